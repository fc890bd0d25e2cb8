//! The lock of a run: flock on the file `lock`, which holds the pid for the message.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::{PendingChange, StateDir, StateError, open_or_make, replace};
use crate::host::lock;

/// A pid and its newline are shorter than this.
const PID_LEN: u64 = 16;

/// Held while a run is at work; released when dropped, and by the system
/// when the process ends, however it ends. The file stays.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl StateDir {
    /// Takes the lock without waiting, and removes what crashed runs left
    /// behind of files they were replacing.
    ///
    /// # Errors
    /// [`StateError::Locked`] where another run has it, [`StateError::Write`] where
    /// the lock file cannot be made or written.
    pub fn lock(&self) -> Result<Lock, StateError> {
        let path = self.writable(Self::LOCK)?;
        let failed = |cause| StateError::write(&path, cause);
        self.before(PendingChange::Open(&path)).map_err(failed)?;
        let (mut file, _) = open_or_make(&path, false)?;
        if !lock::take_now(&file).map_err(failed)? {
            let pid = read_pid(&file);
            return Err(StateError::Locked { pid });
        }
        self.before(PendingChange::Write(&path)).map_err(failed)?;
        write_pid(&path, &mut file)?;
        replace::remove_leftovers(self);
        Ok(Lock { _file: file })
    }
}

impl StateDir {
    /// A file for an flock of the caller's own; made where there is none.
    ///
    /// # Errors
    /// As [`StateDir::lock`], but for the lock.
    pub fn lock_file(&self, name: &str) -> Result<File, StateError> {
        let path = self.writable(name)?;
        self.before(PendingChange::Open(&path))
            .map_err(|cause| StateError::write(&path, cause))?;
        open_or_make(&path, false).map(|(file, _)| file)
    }
}

impl StateDir {
    /// Looks whether another run has the lock, and takes none.
    ///
    /// # Errors
    /// [`StateError::Locked`] where it has; [`StateError::Read`].
    pub fn refuse_locked(&self) -> Result<(), StateError> {
        let Some((_, file, meta)) = self.open_to_read(Self::LOCK)? else {
            return Ok(());
        };
        match read_pid(&file).filter(|&pid| lock::is_held(&meta, pid)) {
            Some(pid) => Err(StateError::Locked { pid: Some(pid) }),
            None => Ok(()),
        }
    }
}

fn write_pid(path: &Path, file: &mut File) -> Result<(), StateError> {
    let pid = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.write_all(pid.as_bytes()))
        .map_err(|cause| StateError::write(path, cause))
}

/// The pid, where a whole line of digits is there: the holder may be about to write it.
fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_LEN).read_to_string(&mut text).ok()?;
    let (digits, _) = text.split_once('\n')?;
    digits.parse().ok()
}
