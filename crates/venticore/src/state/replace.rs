//! Replacing a file so that either the old one or the new one is there, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::{
    PendingChange, StateDir, StateError, adopt, make_private, open_plain, parent_of, sync_dir,
};
use crate::host::lock;

/// Names tried before a new file is given up.
const MAX_TRIES: usize = 16;

impl StateDir {
    /// Replaces the file of this name: a new file in the same directory is
    /// written and synced, takes the name, and the directory is synced.
    ///
    /// The result has mode 0600 and the owner of the old file, or, without an
    /// old file, of the directory.
    ///
    /// # Errors
    /// [`StateError::Write`], [`StateError::Link`] or [`StateError::NotAFile`]: the old file is as it was, and
    /// the new one is gone. [`StateError::Unsynced`]: the new file is in place,
    /// but the last step failed.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.writable(name)?;
        if [Self::LOCK, Self::ROOTSCOR].contains(&name) {
            return Err(StateError::write(
                &path,
                io::ErrorKind::InvalidFilename.into(),
            ));
        }
        let dir = parent_of(&path);
        let owner = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => path.as_path(),
            Ok(meta) if meta.is_symlink() => return Err(StateError::Link(path)),
            Ok(_) => return Err(StateError::NotAFile(path)),
            Err(_) => dir,
        };
        self.write_and_rename(&path, owner, name, bytes)
            .map_err(|cause| StateError::write(&path, cause))?;
        let synced = self.before(PendingChange::SyncDir(dir));
        synced
            .and_then(|()| sync_dir(dir))
            .map_err(|cause| StateError::Unsynced {
                path: dir.to_owned(),
                cause,
            })
    }

    /// Removes the file of this name, if there is one, for good.
    ///
    /// # Errors
    /// [`StateError::Write`]: it may be there still.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.writable(name)?;
        let removed = self.before(PendingChange::Remove(&path));
        match removed.and_then(|()| fs::remove_file(&path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed
                .and_then(|()| sync_dir(parent_of(&path)))
                .map_err(|cause| StateError::write(&path, cause)),
        }
    }

    /// An empty private file that has no name any more, to be read and written
    /// while it is open.
    ///
    /// # Errors
    /// [`StateError::Write`].
    pub fn scratch(&self, name: &str) -> Result<File, StateError> {
        let path = self.writable(name)?;
        let file = Temp::create(self, parent_of(&path), name)
            .and_then(|temp| temp.file.try_clone())
            // Nobody can find it any more, and who is given it may want to lock it.
            .and_then(|file| {
                flock(&file, FlockOperation::Unlock)?;
                Ok(file)
            });
        file.map_err(|cause| StateError::write(&path, cause))
    }

    fn write_and_rename(
        &self,
        target: &Path,
        owner: &Path,
        name: &str,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut temp = Temp::create(self, parent_of(target), name)?;
        self.before(PendingChange::Write(&temp.path))?;
        temp.file.write_all(bytes)?;
        self.before(PendingChange::Mode(&temp.path))?;
        adopt(&temp.file, owner);
        make_private(&temp.file)?;
        self.before(PendingChange::Sync(&temp.path))?;
        temp.file.sync_all()?;
        self.before(PendingChange::Rename(&temp.path, target))?;
        fs::rename(&temp.path, target)
    }
}

/// A file that is to take another's name, removed when dropped before it did.
///
/// It is locked as long as it is in use: what no one has locked was left by a crash.
struct Temp<'a> {
    state: &'a StateDir,
    path: PathBuf,
    file: File,
}

impl<'a> Temp<'a> {
    fn create(state: &'a StateDir, dir: &Path, name: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..MAX_TRIES {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!(".{name}.{}-{count}.new", process::id()));
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create_new(true).mode(0o600);
            state.before(PendingChange::Open(&path))?;
            match open_plain(&path, options) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
                Ok(file) => {
                    // A run that took the lock may have removed it before this.
                    if lock_unused(&file) && file.metadata()?.nlink() > 0 {
                        return Ok(Temp { state, path, file });
                    }
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        // After the rename nothing has this name any more. Where it cannot be
        // removed, the next run with the lock tries again.
        if self.state.before(PendingChange::Remove(&self.path)).is_ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks a file; false where somebody else has it locked.
/// A file system without locks has no locked files.
fn lock_unused(file: &File) -> bool {
    lock::take_now(file).unwrap_or(true)
}

/// Whether a name belongs to a file which was to replace another.
fn replaces(temp: &str) -> bool {
    let inner = temp.strip_prefix('.');
    let inner = inner.and_then(|name| name.strip_suffix(".new"));
    let parts = inner.and_then(|name| name.rsplit_once('.'));
    let Some((name, (pid, count))) = parts.and_then(|(name, n)| Some((name, n.split_once('-')?)))
    else {
        return false;
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number(pid) && number(count) && !name.is_empty()
}

/// Removes what crashed runs left. What cannot be removed stays; it is in
/// nobody's way.
pub(super) fn remove_leftovers(state: &StateDir) {
    remove_from(state, state.path());
    if let Some(own) = &state.own {
        remove_from(state, own);
    }
}

fn remove_from(state: &StateDir, dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(replaces) {
            remove_unused(state, &entry.path());
        }
    }
}

fn remove_unused(state: &StateDir, path: &Path) {
    let plain = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    if !plain {
        return;
    }
    if let Ok(file) = open_plain(path, OpenOptions::new().read(true))
        && lock_unused(&file)
        && state.before(PendingChange::Remove(path)).is_ok()
    {
        let _ = fs::remove_file(path);
    }
}
