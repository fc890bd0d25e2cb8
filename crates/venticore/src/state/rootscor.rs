//! The log of roots and command lines, `rootscor`: appended to, never renamed,
//! since a shell may hold it open (`fossilize >>rootscor`).

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::codec::rootscor::RecordedRoot;
use crate::codec::utc::Utc;
use crate::host::lock::{self, Hold};

use super::{PendingChange, StateDir, StateError, make_private, open_or_make, parent_of, sync_dir};

/// Who writes an entry, and when: `# 2026-11-22T03:56:12Z HOST TOOL`.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The time of the entry.
    pub time: SystemTime,
    /// The name of this machine.
    pub host: &'a str,
    /// The command that writes.
    pub tool: &'a str,
}

/// Who may read the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner only, as it should be.
    Private,
    /// Others could, with this mode; now its owner only. The caller warns.
    Tightened(u32),
    /// Others can, with this mode, and the file system or its owner does not
    /// let us change that. The caller warns.
    Open(u32),
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("readable by its owner only"),
            Self::Tightened(mode) => write!(
                f,
                "was open to others, mode {mode:03o}: now 600, the scores in it are as secret as the data"
            ),
            Self::Open(mode) => write!(
                f,
                "open to others, mode {mode:03o}, and cannot be changed: the scores in it are as secret as the data"
            ),
        }
    }
}

impl StateDir {
    /// The most bytes of `rootscor` that are read, those at its end: the entries of some
    /// ten years.
    pub const ROOTSCOR_READ: u64 = 4 << 20;

    /// Appends one entry to `rootscor`: a comment line that says who and
    /// when, and the lines given (without newlines), in a single write, synced.
    ///
    /// Another writer that has the file locked is waited for as long as
    /// `wait`; see [`StateDir::ROOTSCOR_WAIT`].
    ///
    /// # Errors
    /// [`StateError::Entry`] for a NUL or newline in a line, [`StateError::Busy`] after
    /// the wait, [`StateError::Write`]: nothing of the entry is in the log.
    pub fn append_rootscor(
        &self,
        stamp: &Stamp<'_>,
        lines: &[impl AsRef<[u8]>],
        wait: Duration,
    ) -> Result<Access, StateError> {
        let entry = compose(stamp, lines)?;
        let access = self.append_entry(Self::ROOTSCOR, entry, wait)?;
        Ok(self.once(access))
    }

    /// Appends whole lines to a file that is only added to: under flock, in a single
    /// write, synced.
    pub(super) fn append_entry(
        &self,
        name: &str,
        entry: Vec<u8>,
        wait: Duration,
    ) -> Result<Access, StateError> {
        let path = self.writable(name)?;
        let failed = |cause| StateError::write(&path, cause);
        self.before(PendingChange::Open(&path)).map_err(failed)?;
        let (file, meta) = open_locked(&path, wait)?;
        self.before(PendingChange::Mode(&path)).map_err(failed)?;
        let access = tighten(&file, meta.mode()).map_err(failed)?;
        self.append(&path, &file, meta.len(), entry)
            .map_err(failed)?;
        if meta.len() == 0 {
            let dir = parent_of(&path);
            self.before(PendingChange::SyncDir(dir)).map_err(failed)?;
            sync_dir(dir).map_err(failed)?;
        }
        Ok(access)
    }

    /// The newest roots in `rootscor`, oldest first: those in the last
    /// [`StateDir::ROOTSCOR_READ`] bytes. Without a file: none.
    ///
    /// # Errors
    /// [`StateError::Read`], [`StateError::NotAFile`], [`StateError::Link`].
    pub fn read_roots(&self) -> Result<Vec<RecordedRoot>, StateError> {
        let lines = self.read_tail(Self::ROOTSCOR, Self::ROOTSCOR_READ)?;
        Ok(RecordedRoot::all(&lines))
    }

    /// Whether the newest root in `rootscor` cannot be read, so that an older one stands
    /// for it.
    ///
    /// # Errors
    /// As [`StateDir::read_roots`].
    pub fn is_newest_root_spoilt(&self) -> Result<bool, StateError> {
        let lines = self.read_tail(Self::ROOTSCOR, Self::ROOTSCOR_READ)?;
        Ok(RecordedRoot::is_last_spoilt(&lines))
    }

    /// The words for that.
    pub const SPOILT_ROOT: &str = "rootscor: the last line of a root is not \
        vac:SCORE PARTITION VENTI: correct it; until then an older root counts as the newest";

    /// On a FAT nothing can be done about the mode: it is told once. That it
    /// was told may be forgotten; then it is told again.
    fn once(&self, access: Access) -> Access {
        const TOLD: &str = "rootscor.open";
        if self.own.is_none() || !matches!(access, Access::Open(_)) {
            return access;
        }
        if self.path_of(TOLD).exists() {
            return Access::Private;
        }
        let _ = self.replace(TOLD, b"");
        access
    }

    /// Appends to a file of `len` bytes, or leaves it as it is.
    fn append(&self, path: &Path, mut file: &File, len: u64, mut entry: Vec<u8>) -> io::Result<()> {
        if !ends_with_newline(file, len)? {
            entry.insert(0, b'\n');
        }
        self.before(PendingChange::Write(path))?;
        let written = file.write(&entry)?;
        let done = if written == entry.len() {
            self.before(PendingChange::Sync(path))
                .and_then(|()| file.sync_all())
        } else {
            let text = format!("only {written} of {} bytes could be", entry.len());
            Err(io::Error::new(io::ErrorKind::WriteZero, text))
        };
        done.inspect_err(|_| {
            if self.before(PendingChange::Write(path)).is_ok() {
                take_back(file, len, written);
            }
        })
    }
}

/// The bytes of an entry.
fn compose(stamp: &Stamp<'_>, lines: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, StateError> {
    let comment = format!("# {} {} {}", Utc(stamp.time), stamp.host, stamp.tool);
    let mut entry = Vec::new();
    for line in std::iter::once(comment.as_bytes()).chain(lines.iter().map(AsRef::as_ref)) {
        if line.iter().any(|byte| matches!(byte, b'\n' | b'\0')) {
            return Err(StateError::Entry(
                String::from_utf8_lossy(line).into_owned(),
            ));
        }
        entry.extend_from_slice(line);
        entry.push(b'\n');
    }
    Ok(entry)
}

/// The log, locked, and the file that has its name now: while we waited for
/// the lock somebody may have put another in its place.
fn open_locked(path: &Path, wait: Duration) -> Result<(File, Metadata), StateError> {
    let start = Instant::now();
    let failed = |cause| StateError::write(path, cause);
    loop {
        let (file, _) = open_or_make(path, true)?;
        let left = wait.saturating_sub(start.elapsed());
        if !lock::take(&file, Hold::Alone, left).map_err(failed)? {
            return Err(StateError::Busy {
                path: path.to_owned(),
                waited: wait,
            });
        }
        let ours = file.metadata().map_err(failed)?;
        match fs::symlink_metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {
                return Ok((file, ours));
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
}

pub(super) fn tighten(file: &File, mode: u32) -> io::Result<Access> {
    let mode = mode & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(Access::Private);
    }
    match make_private(file)? {
        now if now & 0o077 == 0 => Ok(Access::Tightened(mode)),
        now => Ok(Access::Open(now)),
    }
}

fn ends_with_newline(file: &File, len: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = len.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last == [b'\n'])
}

/// Cuts off what was written of an entry, unless a shell that takes no lock
/// has appended meanwhile: its lines are worth more than ours.
fn take_back(file: &File, len: u64, written: usize) {
    let end = u64::try_from(written).ok().and_then(|n| len.checked_add(n));
    if file.metadata().ok().map(|meta| meta.len()) == end {
        // If this fails as well, the next entry begins with a newline.
        let _ = file.set_len(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_fat_has_no_modes_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(&directory.path().join("fat")).unwrap();
        for _ in 0..2 {
            assert_eq!(state.once(Access::Open(0o755)), Access::Open(0o755));
        }
        let state = state.apart(&directory.path().join("own")).unwrap();
        assert_eq!(
            state.once(Access::Tightened(0o644)),
            Access::Tightened(0o644)
        );
        assert_eq!(state.once(Access::Open(0o755)), Access::Open(0o755));
        assert_eq!(state.once(Access::Open(0o755)), Access::Private);
    }

    #[test]
    fn what_a_shell_wrote_meanwhile_is_not_taken_back() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"old\npart of an en").unwrap();
        take_back(&file, 4, 13);
        assert_eq!(file.metadata().unwrap().len(), 4);
        file.set_len(4 + 13 + 9).unwrap();
        take_back(&file, 4, 13);
        assert_eq!(file.metadata().unwrap().len(), 4 + 13 + 9);
        take_back(&file, u64::MAX, 13);
        assert_eq!(file.metadata().unwrap().len(), 4 + 13 + 9);
    }
}
