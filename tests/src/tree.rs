//! File trees, to be compared with what comes back from an archive.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file or directory: its permissions, and what is in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Type and permissions, as the system has them.
    pub mode: u32,
    /// What is in it; none for a directory.
    pub content: Option<Vec<u8>>,
}

/// Everything in a tree, by its path below the root.
///
/// # Panics
///
/// When something in it cannot be read.
#[must_use]
pub fn nodes(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let (node, below) = node(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        pending.extend(below);
        let name = path.strip_prefix(root).expect("it is below the root");
        found.insert(name.to_owned(), node);
    }
    found
}

/// One file or directory, and what lies in it.
fn node(path: &Path) -> std::io::Result<(Node, Vec<PathBuf>)> {
    let metadata = fs::symlink_metadata(path)?;
    let mode = metadata.permissions().mode();
    let content = metadata.is_file().then(|| fs::read(path)).transpose()?;
    let mut below = Vec::new();
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            below.push(entry?.path());
        }
    }
    Ok((Node { mode, content }, below))
}

/// A file, link or directory as it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `d`, `l` or `-`; `?` for anything but these.
    pub kind: char,
    /// Permissions.
    pub mode: u32,
    /// Unix time of the last change.
    pub mtime: i64,
    /// What is in it; the target of a link.
    pub content: Vec<u8>,
}

/// Everything in a tree, by its path below the root; nothing where there is no root.
///
/// # Panics
///
/// When something in it cannot be read.
#[must_use]
pub fn made(root: &Path) -> BTreeMap<PathBuf, Made> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.expect("a name").path();
            let one = one(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if one.kind == 'd' {
                pending.push(path.clone());
            }
            let name = path.strip_prefix(root).expect("it is below the root");
            found.insert(name.to_owned(), one);
        }
    }
    found
}

fn one(path: &Path) -> std::io::Result<Made> {
    let metadata = fs::symlink_metadata(path)?;
    let (kind, content) = if metadata.is_dir() {
        ('d', Vec::new())
    } else if metadata.is_symlink() {
        let target = fs::read_link(path)?;
        ('l', target.as_os_str().as_bytes().to_vec())
    } else if metadata.is_file() {
        ('-', fs::read(path)?)
    } else {
        ('?', Vec::new())
    };
    Ok(Made {
        kind,
        mode: metadata.permissions().mode() & 0o7777,
        mtime: metadata.mtime(),
        content,
    })
}
