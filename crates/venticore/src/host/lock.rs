//! Locks on open files (flock), waited for within a limit. Each ends with the last copy
//! of what it was taken on, however the process ends.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Between two looks at a lock that another has. A flock can be given a time
/// limit only by a signal, which safe code cannot arm, or by a thread that
/// may stay behind for ever.
const NAP: Duration = Duration::from_millis(20);

/// Who else may have the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nobody.
    Alone,
    /// All who hold it shared.
    Shared,
}

/// Takes a lock, or turns one that is held into the other kind; one that another has is
/// waited for as long as `limit`. False where another has it still.
///
/// # Errors
/// What the system says.
pub fn take(file: impl AsFd, hold: Hold, limit: Duration) -> io::Result<bool> {
    let operation = match hold {
        Hold::Alone => FlockOperation::NonBlockingLockExclusive,
        Hold::Shared => FlockOperation::NonBlockingLockShared,
    };
    let start = Instant::now();
    loop {
        match flock(&file, operation) {
            Err(Errno::WOULDBLOCK) => {}
            done => return Ok(done.map(|()| true)?),
        }
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        thread::sleep(NAP.min(left));
    }
}

/// Takes a lock on a file that nobody else may use, if nobody has it.
///
/// # Errors
/// What the system says.
pub fn take_now(file: impl AsFd) -> io::Result<bool> {
    take(file, Hold::Alone, Duration::ZERO)
}

/// The process that holds a flock on this file, as far as the system tells: no lock is
/// taken, so that nobody finds it taken. `taken_by` is the pid that the file names; inode
/// numbers alone do not tell files of several file systems apart.
#[must_use]
pub fn is_held(file: &Metadata, taken_by: u32) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let lock = (taken_by, file.ino());
    locks.lines().any(|line| flock_of(line) == Some(lock))
}

/// The process and the inode of a line such as
/// `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`; none of other kinds of locks, and of
/// those that are only waited for.
fn flock_of(line: &str) -> Option<(u32, u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    words.next().filter(|&kind| kind == "FLOCK")?;
    let pid = words.nth(2)?.parse().ok()?;
    let (_, inode) = words.next()?.rsplit_once(':')?;
    Some((pid, inode.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_no_longer_than_the_limit() {
        let (file, path) = (tempfile::NamedTempFile::new().unwrap()).into_parts();
        let other = std::fs::File::open(&path).unwrap();
        assert!(take(&file, Hold::Shared, Duration::ZERO).unwrap());
        assert!(take(&other, Hold::Shared, Duration::ZERO).unwrap());
        assert!(!take_now(&other).unwrap());
        assert!(!take(&other, Hold::Alone, NAP * 2).unwrap());
        let letting_go = thread::spawn(move || {
            thread::sleep(NAP);
            drop(file);
        });
        assert!(take(&other, Hold::Alone, Duration::from_secs(60)).unwrap());
        letting_go.join().unwrap();
    }

    #[test]
    fn a_lock_is_seen_by_its_process_and_its_inode() {
        let held = "3: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF";
        assert_eq!(flock_of(held), Some((1234, 5678)));
        for other in [
            "3: -> FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF",
            "3: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF",
            "3: FLOCK  ADVISORY  WRITE 1234",
            "",
        ] {
            assert_eq!(flock_of(other), None, "{other}");
        }
        let (file, _path) = (tempfile::NamedTempFile::new().unwrap()).into_parts();
        let (meta, own) = (file.metadata().unwrap(), std::process::id());
        assert!(!is_held(&meta, own));
        assert!(take_now(&file).unwrap());
        assert!(is_held(&meta, own));
        assert!(!is_held(&meta, own + 1));
    }
}
