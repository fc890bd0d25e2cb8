//! Where files are made: directories below one that is there, none of them reached through
//! a link.
//!
//! Each directory is opened from the one above it, without following a link, so that
//! nothing that an archive or another process puts there leads elsewhere. Only some are
//! kept open.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{
    Advice, AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, fadvise,
    fchmod, fstat, futimens, linkat, mkdirat, openat, readlinkat, renameat_with, statat, symlinkat,
    syncfs, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::archive::Folder;
use crate::disk::DirEntry;
use venticore::text::in_lower_case;

/// Directories that are kept open.
const OPEN_MAX: usize = 64;

/// Permissions that are taken over; none that give a process the rights of another user.
const PERMISSIONS: u32 = 0o777;

/// Where the system has the open files of this process.
const OWN_FILES: &str = "/proc/self/fd";

/// Of a directory that is being filled, and a file that is being written.
const PRIVATE: Mode = Mode::RWXU;

/// The directories that files are made in.
pub(super) struct TargetTree {
    folders: HashMap<u64, TargetFolder>,
    /// Those that are open, the one used last at the end.
    open: VecDeque<u64>,
    temporary: u64,
    /// Files can be made that have no name until they are whole, so that a kill leaves nothing.
    nameless: bool,
}

struct TargetFolder {
    folder: Rc<Folder>,
    /// The one that it is in; `None` for the one that was there before.
    above: Option<u64>,
    name: Vec<u8>,
    /// Mode and time that it is to have; `None` where it was there before.
    made: Option<(u32, u32)>,
    /// Things in it that are not done with, itself among them.
    pending: usize,
    handle: Option<Rc<OwnedFd>>,
}

/// Why something is not made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What stands there, or its name, forbids it.
    Refused(String),
    /// The system failed.
    Failed(io::Error),
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EXIST => Self::Refused("it is there already".to_owned()),
            Errno::NAMETOOLONG => Self::Refused("its name is too long for this disk".to_owned()),
            Errno::LOOP | Errno::NOTDIR => {
                Self::Refused("what is there already is not a directory".to_owned())
            }
            error => Self::Failed(error.into()),
        }
    }
}

impl TargetTree {
    /// A directory that is there, in place of the folder `above`. It is made if it is not.
    pub(super) fn open(path: &Path, above: &Rc<Folder>) -> io::Result<Self> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let handle: OwnedFd = File::open(path)?.into();
        // Whether it is a directory shows when something in it is opened.
        let _ = statat(&handle, ".", AtFlags::empty())?;
        let base = TargetFolder {
            folder: Rc::clone(above),
            above: None,
            name: Vec::new(),
            made: None,
            pending: 1,
            handle: Some(Rc::new(handle)),
        };
        Ok(TargetTree {
            folders: HashMap::from([(above.id, base)]),
            open: VecDeque::new(),
            temporary: 0,
            nameless: Path::new(OWN_FILES).exists(),
        })
    }

    /// Makes a directory, or enters the one that is there; then says how its mode differs.
    pub(super) fn enter(
        &mut self,
        above: &Folder,
        folder: &Rc<Folder>,
        info: &DirEntry,
    ) -> Result<Option<String>, Refusal> {
        check_name(&info.elem)?;
        let handle = self.handle(above.id)?;
        let name = OsStr::from_bytes(&info.elem);
        let made = match mkdirat(&handle, name, PRIVATE) {
            Ok(()) => Some((info.mode, info.mtime)),
            Err(Errno::EXIST) => None,
            Err(error) => return Err(error.into()),
        };
        let own = open_folder(&handle, name)?;
        let differs = match made {
            Some(_) => None,
            None => differing_mode(&own, info.mode)?,
        };
        self.hold(above.id);
        let entered = TargetFolder {
            folder: Rc::clone(folder),
            above: Some(above.id),
            name: info.elem.clone(),
            made,
            pending: 1,
            handle: None,
        };
        self.folders.insert(folder.id, entered);
        self.keep(folder.id, Rc::new(own));
        Ok(differs)
    }

    /// Something in a directory is to be made.
    pub(super) fn hold(&mut self, id: u64) {
        if let Some(folder) = self.folders.get_mut(&id) {
            folder.pending += 1;
        }
    }

    /// It is done with. A directory in which nothing is left to be made gets its mode and
    /// time; those that cannot get them come back, with the reason.
    pub(super) fn release(&mut self, id: u64) -> Vec<(Rc<Folder>, io::Error)> {
        let mut failed = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.take() {
            let Some(folder) = self.folders.get_mut(&id) else {
                break;
            };
            folder.pending = folder.pending.saturating_sub(1);
            if folder.pending > 0 || folder.above.is_none() {
                break;
            }
            next = folder.above;
            if let Err(error) = self.finish(id)
                && let Some(folder) = self.folders.get(&id)
            {
                failed.push((Rc::clone(&folder.folder), error));
            }
            self.folders.remove(&id);
            self.open.retain(|open| *open != id);
        }
        failed
    }

    fn finish(&mut self, id: u64) -> io::Result<()> {
        let Some((mode, mtime)) = self.folders.get(&id).and_then(|folder| folder.made) else {
            return Ok(());
        };
        let handle = self.handle(id)?;
        futimens(&handle, &times(mtime))?;
        fchmod(&handle, permissions(mode))?;
        Ok(())
    }

    /// The directory, open.
    pub(super) fn handle(&mut self, id: u64) -> Result<Rc<OwnedFd>, Errno> {
        let mut way = Vec::new();
        let mut at = Some(id);
        let mut handle = loop {
            let folder = at.and_then(|id| self.folders.get(&id));
            let Some((id, folder)) = at.zip(folder) else {
                return Err(Errno::NOENT);
            };
            match &folder.handle {
                Some(handle) => break Rc::clone(handle),
                None => way.push((id, folder.name.clone())),
            }
            at = folder.above;
        };
        while let Some((id, name)) = way.pop() {
            handle = Rc::new(open_folder(&handle, OsStr::from_bytes(&name))?);
            self.keep(id, Rc::clone(&handle));
        }
        Ok(handle)
    }

    /// Keeps a directory open, in place of the one that was opened first.
    fn keep(&mut self, id: u64, handle: Rc<OwnedFd>) {
        if let Some(folder) = self.folders.get_mut(&id) {
            folder.handle = Some(handle);
            self.open.push_back(id);
        }
        if self.open.len() > OPEN_MAX
            && let Some(oldest) = self.open.pop_front()
            && let Some(folder) = self.folders.get_mut(&oldest)
        {
            folder.handle = None;
        }
    }

    /// Whether something of this name can be made in a directory.
    pub(super) fn is_free(&mut self, id: u64, name: &[u8]) -> Result<(), Refusal> {
        check_name(name)?;
        let handle = self.handle(id)?;
        match statat(&handle, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A file to be written in a directory, under a name of its own.
    pub(super) fn create(&mut self, id: u64) -> Result<Writing, Refusal> {
        let folder = self.handle(id)?;
        if self.nameless {
            let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
            match openat(&folder, ".", flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => {
                    return Ok(Writing {
                        folder,
                        name: None,
                        file: file.into(),
                    });
                }
                // Not every file system can.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                    self.nameless = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            self.temporary += 1;
            let name = format!(".rootget.{}.{}", std::process::id(), self.temporary);
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
            let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(&folder, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => {
                    return Ok(Writing {
                        folder,
                        name: Some(name),
                        file: file.into(),
                    });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What was made under a name, to be read from the disk and not from memory; or how it
    /// differs from what should be there.
    pub(super) fn made(&mut self, id: u64, info: &DirEntry, size: u64) -> Result<Made, String> {
        let said = |error: Errno| in_lower_case(&io::Error::from(error));
        let folder = self.handle(id).map_err(said)?;
        let name = OsStr::from_bytes(&info.elem);
        if info.mode & DirEntry::LINK != 0 {
            let target = readlinkat(&folder, name, Vec::new()).map_err(said)?;
            return Ok(Made::Link(target.into_bytes()));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&folder, name, flags, Mode::empty()).map_err(said)?;
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        let file = File::from(file);
        let found = file.metadata().map_err(|error| in_lower_case(&error))?;
        let differs = |what: &str, expected: &dyn Display, found: &dyn Display| {
            Err(format!("expected {what} {expected}, found {found}"))
        };
        let (mode, mtime) = (info.mode & PERMISSIONS, i64::from(info.mtime));
        if found.len() != size {
            return differs("a length of", &size, &found.len());
        }
        if found.mode() & 0o7777 != mode {
            return differs(
                "mode",
                &format!("{mode:o}"),
                &format!("{:o}", found.mode() & 0o7777),
            );
        }
        if found.mtime() != mtime {
            return differs("time", &mtime, &found.mtime());
        }
        Ok(Made::File(file))
    }

    /// Waits until what was made is on disk: only then a disk that is full or damaged has
    /// said so.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let mut folders = self.folders.values();
        let base = folders.find(|folder| folder.above.is_none());
        match base.and_then(|folder| folder.handle.as_ref()) {
            Some(handle) => Ok(syncfs(handle)?),
            None => Ok(()),
        }
    }

    /// Makes a symbolic link.
    pub(super) fn link(
        &mut self,
        id: u64,
        name: &[u8],
        target: &[u8],
        mtime: u32,
    ) -> Result<(), Refusal> {
        let folder = self.handle(id)?;
        let name = OsStr::from_bytes(name);
        symlinkat(OsStr::from_bytes(target), &folder, name)?;
        utimensat(&folder, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }
}

/// Something that was made, as it is on the disk.
pub(super) enum Made {
    File(File),
    Link(Vec<u8>),
}

/// A file that is being written. Without [`Writing::finish`] nothing of it is left.
pub(super) struct Writing {
    folder: Rc<OwnedFd>,
    /// What it is called meanwhile, where it has to have a name.
    name: Option<String>,
    pub(super) file: File,
}

impl Writing {
    /// Gives the file its length, mode and time, and then its name.
    pub(super) fn finish(mut self, info: &DirEntry, size: u64) -> Result<(), Refusal> {
        self.file.set_len(size).map_err(Refusal::Failed)?;
        futimens(&self.file, &times(info.mtime))?;
        fchmod(&self.file, permissions(info.mode))?;
        let (folder, name) = (&*self.folder, OsStr::from_bytes(&info.elem));
        let Some(own) = &self.name else {
            let own = format!("{OWN_FILES}/{}", self.file.as_raw_fd());
            linkat(CWD, own, folder, name, AtFlags::SYMLINK_FOLLOW)?;
            return Ok(());
        };
        match renameat_with(folder, own, folder, name, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(folder, own, folder, name, AtFlags::empty())?;
            }
            result => {
                result?;
                self.name = None;
            }
        }
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlinkat(&self.folder, name, AtFlags::empty());
        }
    }
}

/// What cannot be a name here is refused, and so is what would lead out of a directory.
pub(super) fn check_name(name: &[u8]) -> Result<(), Refusal> {
    let text = match name {
        b"" => "its name is empty",
        b"." | b".." => "its name stands for another directory",
        _ if name.contains(&b'/') => "its name has a slash in it",
        _ if name.contains(&0) => "its name has a NUL in it",
        _ => return Ok(()),
    };
    Err(Refusal::Refused(text.to_owned()))
}

/// Opens a directory in another one, unless a link stands there.
fn open_folder(above: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(above, name, flags, Mode::empty())
}

/// How the mode of a directory that was there differs from the one in the archive.
fn differing_mode(folder: &OwnedFd, mode: u32) -> Result<Option<String>, Errno> {
    let found = fstat(folder)?.st_mode & 0o7777;
    let expected = mode & PERMISSIONS;
    let text = format!(
        "its mode: the directory was there already, with mode {found:o} and not {expected:o}"
    );
    Ok((found != expected).then_some(text))
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & PERMISSIONS)
}

fn times(mtime: u32) -> Timestamps {
    let time = |nanoseconds| Timespec {
        tv_sec: mtime.into(),
        tv_nsec: nanoseconds,
    };
    Timestamps {
        last_access: time(UTIME_OMIT),
        last_modification: time(0),
    }
}
