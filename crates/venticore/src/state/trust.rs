//! Who else can put a file into the state directory, and what that may not do to us.
//!
//! A directory may belong to a service user while root runs a command in it. So no
//! link in it is followed, no file in it that may have a second name elsewhere is
//! used, and that it is another's is said.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Access, StateDir, StateError, open_plain, parent_of, regular, rootscor};

/// The superuser.
const ROOT: u32 = 0;
/// With these a group, or anybody, can make and remove files in a directory.
const GROUP: u32 = 0o020;
const ANYBODY: u32 = 0o002;

impl StateDir {
    /// Who but us and root decides what is in it, for a message; none on a FAT, which
    /// shows what its mount was told.
    #[must_use]
    pub fn strangers(&self) -> Option<String> {
        let found = fs::metadata(&self.path).ok()?;
        if is_ours(&found) || Self::is_on_fat(&self.path) {
            return None;
        }
        let path = self.path.display();
        let (uid, gid, mode) = (found.uid(), found.gid(), found.mode() & 0o7777);
        Some(match is_trusted(uid) {
            true => format!(
                "{path}: group {gid} can write it, mode {mode:03o}, and change what is done: chmod g-w {path}"
            ),
            false => format!(
                "{path}: belongs to user {uid}, who can change what is done: run this as that user, or chown {path}"
            ),
        })
    }

    /// Takes from others what they could read of our files. Where there are scores in
    /// them that is told, by the file's path; a wrcmd has none, and a script leaves it
    /// as its umask has it.
    #[must_use]
    pub fn tighten(&self) -> Vec<String> {
        let mut told = Vec::new();
        for name in [Self::WRCMD, Self::WRCMDS, Self::ROOTSCOR] {
            let path = self.path_of(name);
            if Self::is_on_fat(parent_of(&path)) {
                continue;
            }
            let mut options = fs::OpenOptions::new();
            let Ok(file) = open_plain(&path, options.read(true)) else {
                continue;
            };
            let tightened = regular(&path, &file).map(|meta| rootscor::tighten(&file, meta.mode()));
            match tightened {
                Ok(Ok(access)) if access != Access::Private && name != Self::WRCMD => {
                    told.push(format!("{}: {access}", path.display()));
                }
                _ => {}
            }
        }
        told
    }
}

/// Refuses a directory that anybody can write.
pub(super) fn refuse_open(path: &Path) -> Result<(), StateError> {
    let read = |cause| StateError::read(path, cause);
    if fs::canonicalize(path).map_err(read)? == Path::new("/") {
        return Err(StateError::RootDirectory);
    }
    let found = fs::metadata(path).map_err(read)?;
    let mode = found.mode() & 0o7777;
    match mode & ANYBODY != 0 && !StateDir::is_on_fat(path) {
        true => Err(StateError::Exposed {
            path: path.to_owned(),
            mode,
        }),
        false => Ok(()),
    }
}

/// Refuses a file that another user may have given a second name, here or there.
pub(super) fn refuse_second_name(path: &Path, file: &Metadata) -> Result<(), StateError> {
    if file.nlink() <= 1 || fs::metadata(parent_of(path)).is_ok_and(|dir| is_ours(&dir)) {
        return Ok(());
    }
    Err(StateError::SecondName(path.to_owned()))
}

/// What the system says of a file that is a link, where none is followed.
pub(super) fn is_link(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| [rustix::io::Errno::LOOP, rustix::io::Errno::MLINK].contains(&errno))
}

/// Nobody but us and root can make a file in it.
fn is_ours(directory: &Metadata) -> bool {
    is_trusted(directory.uid()) && directory.mode() & (GROUP | ANYBODY) == 0
        || directory.uid() == ours()
}

/// Whether files of this user are believed.
#[must_use]
pub fn is_trusted(user: u32) -> bool {
    user == ROOT || user == ours()
}

fn ours() -> u32 {
    rustix::process::geteuid().as_raw()
}
