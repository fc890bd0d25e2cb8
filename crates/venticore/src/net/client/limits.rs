//! How long to wait for what.

use std::time::Duration;

/// How long to wait for what; a year is the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the name look-up, the connection and the version line together.
    pub connect: Duration,
    /// For the next complete reply while requests are outstanding.
    pub silence: Duration,
    /// For the reply to a sync.
    pub sync: Duration,
    /// For [`Timeouts::least`]: only the time that is spent waiting for the
    /// server counts, syncs aside.
    pub progress: Duration,
    /// Bytes that the server must take or give in that time. Each answer counts
    /// as [`Timeouts::ANSWER`] at least.
    pub least: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(120),
            sync: Duration::from_secs(600),
            progress: Duration::from_secs(600),
            least: Self::LEAST,
        }
    }
}

/// The longest limit there is: sums of times must not overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Timeouts {
    /// What [`Timeouts::least`] is unless told otherwise.
    pub const LEAST: u64 = 4 << 20;

    /// What an answer counts as at least, in bytes: a probe or a small block costs
    /// a server as much as a large one.
    pub const ANSWER: u64 = 4096;

    /// None longer than the longest there is.
    pub(super) fn clamped(self) -> Self {
        Timeouts {
            connect: self.connect.min(LONGEST),
            silence: self.silence.min(LONGEST),
            sync: self.sync.min(LONGEST),
            progress: self.progress.min(LONGEST),
            least: self.least,
        }
    }
}
