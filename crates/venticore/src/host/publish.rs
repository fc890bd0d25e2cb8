//! A file for everybody to read, replaced so that a reader sees the old one or the new one,
//! whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

/// What anybody may read, and its owner write.
const MODE: u32 = 0o644;

/// Replaces a file: a new one beside it is written, synced and renamed, and the directory is
/// synced. The new one has mode 0644.
///
/// # Errors
/// Something that is not a regular file has the name; or the system refuses. The old file is
/// as it was then, unless only the last step failed.
pub fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() => {
            let text = "expected a regular file or nothing there, found something else";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let temporary = Temporary::beside(path)?;
    temporary.fill(bytes)?;
    temporary.rename(path)?;
    File::open(parent_of(path))?.sync_all()
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file that is removed when it is dropped before it has its name.
struct Temporary {
    path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    /// Its name begins with a dot and has an ending of its own: who reads a whole directory,
    /// such as node_exporter its `*.prom`, does not read it.
    fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let name = format!(".{}.{}.new", name.to_string_lossy(), process::id());
        let path = parent_of(path).join(name);
        // Left by a process of the same number that was killed.
        let _ = fs::remove_file(&path);
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&path)?;
        Ok(Temporary {
            path,
            file,
            is_renamed: false,
        })
    }

    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)?;
        self.file.set_permissions(Permissions::from_mode(MODE))?;
        self.file.sync_all()
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_readable_by_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.prom");
        for text in ["one", "two"] {
            publish(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o644);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_is_not_a_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [directory.path(), &link, Path::new("/dev/null")] {
            assert!(publish(path, b"new").is_err(), "{}", path.display());
        }
        assert!(publish(&directory.path().join("none/x"), b"new").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
