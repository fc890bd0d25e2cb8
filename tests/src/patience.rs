//! Waiting for what another process does and nobody announces.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that is to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
///
/// # Panics
///
/// When it is not, for [`PATIENCE`].
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "not seen: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
