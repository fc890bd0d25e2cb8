//! Whether a run could write the state directory, found out without writing anything.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::{StateDir, StateError, parent_of, trust};

impl StateDir {
    /// Whether a run of this user could make and replace files in this directory, and
    /// append to those that are there.
    ///
    /// # Errors
    /// It may not, the file system is read only or full, anybody could write the directory, or a file in it is not one that a run would use.
    pub fn refuse_unwritable(&self) -> Result<(), StateError> {
        trust::refuse_open(&self.path)?;
        for path in [Some(&self.path), self.own.as_ref()].into_iter().flatten() {
            match path.is_dir() {
                true => may_make_files(path)?,
                false => Self::refuse_unmakeable(path)?,
            }
        }
        for name in [Self::LOCK, Self::WRCMD, Self::WRCMDS, Self::ROOTSCOR] {
            if let Some((path, ..)) = self.open_to_read(name)? {
                may(&path, Access::WRITE_OK)?;
            }
        }
        Ok(())
    }

    /// Whether a run of this user could make a directory that is not there, with its
    /// parents.
    ///
    /// # Errors
    /// It could not.
    pub fn refuse_unmakeable(path: &Path) -> Result<(), StateError> {
        let above = path.ancestors().skip(1);
        let there = above.map(|above| match above.as_os_str().is_empty() {
            true => Path::new("."),
            false => above,
        });
        let mut there = there.filter(|above| fs::symlink_metadata(above).is_ok());
        may_make_files(there.next().unwrap_or(parent_of(path)))
    }
}

fn may_make_files(directory: &Path) -> Result<(), StateError> {
    may(directory, Access::WRITE_OK | Access::EXEC_OK)?;
    let failed = |cause: rustix::io::Errno| StateError::write(directory, cause.into());
    let system = statvfs(directory).map_err(failed)?;
    // Some file systems count no blocks.
    match system.f_blocks > 0 && system.f_bfree == 0 {
        true => Err(StateError::write(
            directory,
            io::ErrorKind::StorageFull.into(),
        )),
        false => Ok(()),
    }
}

fn may(path: &Path, what: Access) -> Result<(), StateError> {
    access(path, what).map_err(|cause| StateError::write(path, cause.into()))
}
