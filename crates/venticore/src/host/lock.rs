//! Locks on open files (flock), waited for within a limit. Each ends with the last copy
//! of what it was taken on, however the process ends.

use std::io;
use std::os::fd::AsFd;
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
}
