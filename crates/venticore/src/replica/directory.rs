//! A replica in a directory: a disk that travels, or one of another machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{LONGEST_OBJECT, Listed, ObjectStore};
use crate::codec::replica::{ArenaFolder, ObjectName};
use crate::host::random;

/// Files that are kept open to be read.
const OPEN: usize = 16;

/// What begins the name of a file that is being written.
const UNFINISHED: &str = ".unfinished-";

/// The objects as files, the folders as directories.
pub(super) struct DirectoryStore {
    root: PathBuf,
    /// What was read last, the newest at the end.
    open: Mutex<Vec<(String, Arc<File>)>>,
}

impl DirectoryStore {
    /// In a directory that is there.
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let meta = fs::metadata(root).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(
                io::ErrorKind::NotFound,
                "no such directory: is the disk mounted?",
            ),
            _ => error,
        })?;
        if !meta.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(DirectoryStore {
            root: root.to_owned(),
            open: Mutex::new(Vec::new()),
        })
    }

    fn file(&self, object: &str) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(name, _)| name == object) {
            let found = open.remove(at);
            let file = Arc::clone(&found.1);
            open.push(found);
            return Ok(file);
        }
        let file = Arc::new(open_regular(&self.root.join(object))?);
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push((object.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    /// Makes the directory of an object, where it is not there yet.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if is_folder(folder)? {
            return Ok(());
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => File::open(&self.root)?.sync_all(),
        }
    }
}

/// Whether there is such a directory; a link to one is not one.
fn is_folder(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(true),
        Ok(_) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = format!("{name}: expected a directory, found a link or a file");
            Err(io::Error::new(io::ErrorKind::NotADirectory, text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file that is one, without waiting for the other side of a pipe.
fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = options
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("expected a regular file")),
    }
}

impl ObjectStore for DirectoryStore {
    /// What a file system has at its root is nothing, and files that were never finished are.
    fn is_empty(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name != "lost+found" && !name.starts_with(UNFINISHED) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn lists_at_once(&self) -> bool {
        true
    }

    fn folders(&self) -> io::Result<Vec<ArenaFolder>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let folder = entry.file_name().to_str().and_then(ArenaFolder::parse);
            if let (Some(folder), true) = (folder, entry.file_type()?.is_dir()) {
                folders.push(folder);
            }
        }
        Ok(folders)
    }

    fn list(&self, arena: &ArenaFolder) -> io::Result<Vec<Listed>> {
        let folder = self.root.join(arena.to_string());
        if !is_folder(&folder)? {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(folder)?;
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some(object) = entry.file_name().to_str().and_then(ObjectName::parse) else {
                continue;
            };
            let meta = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta?,
            };
            if meta.is_file() {
                let size = Some(meta.len());
                listed.push(Listed { object, size });
            }
        }
        Ok(listed)
    }

    fn put(&self, object: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(object);
        let folder = path.parent().unwrap_or(&self.root);
        if folder != self.root {
            self.make_folder(folder)?;
        }
        let new = Unfinished::write(folder, bytes)?;
        match new.name(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let other = || {
                    let text = "other bytes are there under the same name, and are not replaced";
                    io::Error::new(io::ErrorKind::AlreadyExists, text)
                };
                let file = open_regular(&path).map_err(|_| other())?;
                if !holds(&file, bytes)? {
                    return Err(other());
                }
                // Who wrote it may not have lived to see it on disk.
                file.sync_all()?;
            }
            named => named?,
        }
        File::open(folder)?.sync_all()
    }

    fn get(&self, object: &str) -> io::Result<Vec<u8>> {
        let file = self.file(object)?;
        let size = file.metadata()?.len();
        let len = usize::try_from(size)
            .ok()
            .filter(|_| size <= LONGEST_OBJECT);
        let mut bytes = vec![0; len.ok_or(io::ErrorKind::FileTooLarge)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn read(&self, object: &str, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file(object)?.read_exact_at(buf, offset)
    }
}

/// Whether a file has these bytes and no others.
fn holds(mut file: &File, bytes: &[u8]) -> io::Result<bool> {
    if file.metadata()?.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut found = vec![0; 1 << 16];
    for expected in bytes.chunks(found.len()) {
        let found = found.get_mut(..expected.len()).unwrap_or_default();
        file.read_exact(found)?;
        if found != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file without its name yet; removed if it does not get it.
struct Unfinished {
    path: PathBuf,
    is_named: bool,
}

impl Unfinished {
    /// A file with these bytes, on disk.
    fn write(folder: &Path, bytes: &[u8]) -> io::Result<Self> {
        let path = folder.join(format!("{UNFINISHED}{:016x}", random::below(u64::MAX)));
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let unfinished = Unfinished {
            path,
            is_named: false,
        };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(unfinished)
    }

    /// Gives it a name that nothing has. File systems without hard links can do that when
    /// they rename, and those that cannot do that have hard links.
    fn name(mut self, path: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => self.is_named = true,
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::hard_link(&self.path, path)?,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = fs::remove_file(&self.path);
        }
    }
}
