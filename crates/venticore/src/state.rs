//! The state directory: the only module that writes state files.
//!
//! | file | how it is written |
//! |---|---|
//! | `lock` | [`StateDir::lock`]: flock, holds the pid, is never removed |
//! | `wrcmd`, `wrcmds` | [`StateDir::replace`]: write, fsync, rename, fsync of the directory |
//! | `rootscor` | [`StateDir::append_rootscor`]: under flock, one write, never renamed |
//! | `verified` | [`StateDir::append_verified`]: likewise |
//! | logs | [`StateDir::log`]: appended to, one older file is kept |
//! | others | [`StateDir::keep`]: a new name, write, fsync, fsync of the directory |
//!
//! All of them 0600. None of them is a link, and none that is one is followed. Readers need no lock: a replaced file is whole at any time.

mod keep;
mod lock;
mod log;
mod permitted;
mod replace;
mod rootscor;
mod step;
mod tail;
mod trust;
mod verified;

use crate::status::Status;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use lock::Lock;
pub use log::LogFile;
pub use rootscor::{Access, Stamp};
pub use step::{Guard, PendingChange};
pub use trust::is_trusted;

use crate::codec::wrcmd::WrCmd;
use crate::codec::wrcmds::Wrcmds;
use crate::text;

/// The directory in which the places of the targets and the log of roots are kept.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Where all but [`StateDir::SHARED`] lies, where the directory is on a FAT.
    own: Option<PathBuf>,
    read_only: bool,
    guard: Option<Arc<dyn Guard>>,
}

impl StateDir {
    /// The name of the file with the command line that the rc scripts share.
    pub const WRCMD: &'static str = "wrcmd";
    /// The name of the file with one command line per target and partition.
    pub const WRCMDS: &'static str = "wrcmds";
    /// The name of the log of roots and command lines.
    pub const ROOTSCOR: &'static str = "rootscor";
    /// The name of the file with the verdicts on roots.
    pub const VERIFIED: &'static str = "verified";
    /// The name of the lock file.
    pub const LOCK: &'static str = "lock";
    /// The most bytes of `wrcmds` that are read: some hundred thousand lines.
    pub const WRCMDS_MAX: usize = Wrcmds::MAX_LEN;
    /// What Plan 9 reads as well, and so lies on a 9fat that is mounted.
    pub const SHARED: [&'static str; 2] = [Self::WRCMD, Self::ROOTSCOR];
    /// How long an append to `rootscor` waits for another writer, unless told otherwise.
    pub const ROOTSCOR_WAIT: Duration = Duration::from_secs(30);

    /// A state directory as `-d` names it.
    ///
    /// # Errors
    /// [`StateError::Unnamed`]: the name is empty, as from a variable nobody set.
    pub fn given(name: OsString) -> Result<PathBuf, StateError> {
        match name.is_empty() {
            true => Err(StateError::Unnamed),
            false => Ok(name.into()),
        }
    }

    /// The directory at `path`, made with mode 0700 where there is none;
    /// missing parents are made with mode 0755.
    ///
    /// # Errors
    /// [`StateError::Read`] where something else is there, [`StateError::Write`] where
    /// it cannot be made, [`StateError::Exposed`] where anybody could write it,
    /// [`StateError::Unnamed`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        match Self::existing(path)? {
            Some(_) => trust::refuse_open(path)?,
            None => make(path)?,
        }
        Ok(Self {
            path: path.to_owned(),
            own: None,
            read_only: false,
            guard: None,
        })
    }

    /// The directory at `path` for reading only: nothing is made, and what
    /// would write is refused. `None` where there is none.
    ///
    /// # Errors
    /// [`StateError::Read`] where it is not a directory or cannot be looked at,
    /// [`StateError::Unnamed`].
    pub fn existing(path: &Path) -> Result<Option<Self>, StateError> {
        if path.as_os_str().is_empty() {
            return Err(StateError::Unnamed);
        }
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(Some(Self {
                path: path.to_owned(),
                own: None,
                read_only: true,
                guard: None,
            })),
            Ok(_) => Err(StateError::read(path, io::ErrorKind::NotADirectory.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(StateError::read(path, cause)),
        }
    }

    /// The same directory, but for what must not lie on a FAT, which has neither
    /// modes nor locks that others honour: all but [`StateDir::SHARED`] is in `own`, made as by
    /// [`StateDir::open`].
    ///
    /// # Errors
    /// As [`StateDir::open`], unless this one is for reading only.
    pub fn apart(self, own: &Path) -> Result<Self, StateError> {
        if !self.read_only {
            Self::open(own)?;
        }
        Ok(Self {
            own: Some(own.to_owned()),
            ..self
        })
    }

    /// True where a directory is on a FAT that is mounted.
    #[must_use]
    pub fn is_on_fat(path: &Path) -> bool {
        /// `MSDOS_SUPER_MAGIC`.
        const MAGIC: u64 = 0x4d44;
        rustix::fs::statfs(path).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(MAGIC))
    }

    /// For a directory that is not there: it holds nothing, and nothing can be
    /// written to it.
    #[must_use]
    pub fn none(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            own: None,
            read_only: true,
            guard: None,
        }
    }

    /// The same directory, with a guard that is asked before each change.
    #[must_use]
    pub fn guarded(self, guard: Arc<dyn Guard>) -> Self {
        Self {
            guard: Some(guard),
            ..self
        }
    }

    /// Asks the guard, if there is one.
    fn before(&self, step: PendingChange<'_>) -> io::Result<()> {
        self.guard
            .as_ref()
            .map_or(Ok(()), |guard| guard.before(step))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file of this name is, or would be.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        let own = self.own.as_ref().filter(|_| !Self::SHARED.contains(&name));
        own.unwrap_or(&self.path).join(name)
    }

    /// The contents of `wrcmd`, for [`WrCmd::parse`]; `None` where there is none.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn read_wrcmd(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.read(Self::WRCMD, WrCmd::MAX_LEN)
    }

    /// The contents of `wrcmds`; `None` where there is none.
    ///
    /// # Errors
    /// As [`StateDir::read`].
    pub fn read_wrcmds(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.read(Self::WRCMDS, Self::WRCMDS_MAX)
    }

    /// The contents of a file of at most `limit` bytes; `None` where there is none.
    ///
    /// # Errors
    /// [`StateError::Read`], [`StateError::NotAFile`], or [`StateError::TooLong`] past the limit.
    pub fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, StateError> {
        let Some((path, file, _)) = self.open_to_read(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(bound)
            .read_to_end(&mut bytes)
            .map_err(|cause| StateError::read(&path, cause))?;
        if bytes.len() > limit {
            return Err(StateError::TooLong { path, limit });
        }
        Ok(Some(bytes))
    }

    /// A file that is only read, where it is, and its state; `None` where there is none.
    fn open_to_read(&self, name: &str) -> Result<Option<(PathBuf, File, Metadata)>, StateError> {
        let path = self.path_of(name);
        let file = match open_plain(&path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if trust::is_link(&e) => return Err(StateError::Link(path)),
            Err(cause) => return Err(StateError::read(&path, cause)),
        };
        let meta = regular(&path, &file)?;
        Ok(Some((path, file, meta)))
    }

    /// The path of a file about to be written.
    fn writable(&self, name: &str) -> Result<PathBuf, StateError> {
        let path = self.path_of(name);
        if self.read_only {
            return Err(StateError::write(
                &path,
                io::ErrorKind::ReadOnlyFilesystem.into(),
            ));
        }
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(StateError::write(
                &path,
                io::ErrorKind::InvalidFilename.into(),
            ));
        }
        Ok(path)
    }
}

/// Opens without waiting for the other end of a fifo, and no link.
fn open_plain(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    use rustix::fs::OFlags;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    options
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)
}

/// The state of an open file that must be a regular one, and nobody else's.
fn regular(path: &Path, file: &File) -> Result<Metadata, StateError> {
    let meta = file
        .metadata()
        .map_err(|cause| StateError::read(path, cause))?;
    if !meta.is_file() {
        return Err(StateError::NotAFile(path.to_owned()));
    }
    trust::refuse_second_name(path, &meta)?;
    Ok(meta)
}

/// Opens a file for reading and writing, or makes one; never cuts it.
/// A new one belongs to the owner of the directory, so that what root did
/// once by hand does not lock out the user whose cron runs.
fn open_or_make(path: &Path, append: bool) -> Result<(File, Metadata), StateError> {
    let failed = |cause| match trust::is_link(&cause) {
        true => StateError::Link(path.to_owned()),
        false => StateError::write(path, cause),
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).append(append).mode(0o600);
    let file = match open_plain(path, options.clone().create_new(true)) {
        Ok(file) => {
            adopt(&file, parent_of(path));
            file
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            open_plain(path, options.create(true)).map_err(failed)?
        }
        Err(cause) => return Err(failed(cause)),
    };
    let meta = regular(path, &file)?;
    Ok((file, meta))
}

/// Gives a file to the owner of another, where it may.
fn adopt(file: &File, like: &Path) {
    if let (Ok(ours), Ok(theirs)) = (file.metadata(), fs::metadata(like))
        && (ours.uid(), ours.gid()) != (theirs.uid(), theirs.gid())
    {
        // Only root may; for others the file stays theirs, as it must.
        let _ = fchown(file, Some(theirs.uid()), Some(theirs.gid()));
    }
}

/// Makes a file 0600, and says the mode it has then (a FAT has none to set).
fn make_private(file: &File) -> io::Result<u32> {
    let mode = |file: &File| Ok::<_, io::Error>(file.metadata()?.mode() & 0o7777);
    if mode(file)? != 0o600 {
        match file.set_permissions(fs::Permissions::from_mode(0o600)) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
            done => done?,
        }
    }
    mode(file)
}

/// The directory a file is in.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory for private files, and its parents where they are missing.
/// All of the names last.
fn make(path: &Path) -> Result<(), StateError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .collect();
    for &dir in missing.iter().rev() {
        let mode = if dir == path { 0o700 } else { 0o755 };
        let failed = |cause| StateError::write(dir, cause);
        match DirBuilder::new().mode(mode).create(dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            made => made.map_err(failed)?,
        }
        match sync_dir(parent_of(dir)) {
            // Names can be made where they cannot be listed.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(failed)?,
        }
    }
    Ok(())
}

/// Makes a new name in a directory last.
fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some file systems have no fsync for directories.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

/// Why a state file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another run holds the lock; its pid where the lock file has one.
    #[error("another run holds the lock{}", .pid.map_or_else(String::new, |pid| format!(": pid {pid}")))]
    Locked {
        /// The pid of that run.
        pid: Option<u32>,
    },
    /// `rootscor` was locked by another writer for as long as this.
    #[error("{}: cannot be written: locked by another writer for {} s, run again when it is done", text::path(path),
                waited.as_secs())]
    Busy {
        /// The log.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// A file or directory cannot be read.
    #[error("{}: cannot be read: {cause}", text::path(path))]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A file or directory cannot be written; what was there is unchanged.
    #[error("{}: cannot be written: {cause}", text::path(path))]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A file was replaced and is in place, but may not outlast a power cut.
    #[error(
        "{}: a file in it was replaced, but the directory cannot be synced: {cause}",
        text::path(path)
    )]
    Unsynced {
        /// The directory that could not be synced.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A directory, device or fifo where a regular file is expected.
    #[error("{}: expected a regular file, found something else: move it away", text::path(.0))]
    NotAFile(PathBuf),
    /// A symbolic link where a file is expected.
    #[error("{}: expected a regular file, found a symbolic link: put the file itself there, or name its directory as the state directory", text::path(.0))]
    Link(PathBuf),
    /// A file that has another name as well, where others can give it one.
    #[error("{}: the file has a second name elsewhere, and others can write the directory: put a copy there", text::path(.0))]
    SecondName(PathBuf),
    /// A directory that anybody can write, with this mode.
    #[error(
        "{0}: anybody can write it, mode {mode:03o}: expected a state directory that only its owner can write, such as {0}/venti",
        text::path(path)
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The directory is the root of all files.
    #[error("/: expected a state directory, such as /var/lib/venti, found the root of all files")]
    RootDirectory,
    /// The name of the directory is empty.
    #[error("expected a state directory, found an empty name")]
    Unnamed,
    /// A file has more bytes than it may have.
    #[error("{}: expected at most {limit} bytes, found more", text::path(path))]
    TooLong {
        /// Which one.
        path: PathBuf,
        /// The most bytes it may have.
        limit: usize,
    },
    /// A line for a log has a newline or a NUL byte in it.
    #[error("expected one line for the log without NUL bytes, found {0:?}")]
    Entry(String),
}

impl StateError {
    /// The exit status it stands for.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Locked { .. } => Status::Locked,
            Self::Unnamed | Self::RootDirectory => Status::Usage,
            _ => Status::Failed,
        }
    }

    fn read(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, cause }
    }

    fn write(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self::Write { path, cause }
    }

    /// True where the system does not let this user do it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Read { cause, .. } | Self::Write { cause, .. } => matches!(
                cause.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
