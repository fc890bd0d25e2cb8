//! How a run ends, and an error that says it.

use std::fmt;

use eyre::Report;

/// The exit statuses, the same for every command.
///
/// When several apply, the one listed first wins: [`Status::worst`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 4: a block is missing or damaged where it was believed to be, or a
    /// server answered with a wrong score.
    Unverified,
    /// 3: partly done; some targets current and others not, damage in the
    /// source, or a source that did not sync.
    Partly,
    /// 1: failed, nothing lost, run again.
    Failed,
    /// 6: nothing that was asked for could be reached.
    Unreachable,
    /// 5: another run holds the lock.
    Locked,
    /// 2: usage, or bad text of a score, address, number or configuration.
    Usage,
    /// 0: everything asked for has happened.
    Done,
}

impl Status {
    /// All of them, the worst first.
    pub const ALL: [Status; 7] = [
        Status::Unverified,
        Status::Partly,
        Status::Failed,
        Status::Unreachable,
        Status::Locked,
        Status::Usage,
        Status::Done,
    ];

    /// The number a shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partly => 3,
            Self::Unverified => 4,
            Self::Locked => 5,
            Self::Unreachable => 6,
        }
    }

    /// The status that a shell sees as this number, if there is one.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        let is_it = |status: &Self| i32::from(status.code()) == code;
        Self::ALL.into_iter().find(is_it)
    }

    /// Of two that apply, the one to exit with.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let rank = |status| Self::ALL.iter().position(|&of| of == status);
        if rank(other) < rank(self) {
            other
        } else {
            self
        }
    }
}

/// An error that brings its exit status.
#[derive(Debug)]
pub struct Failure {
    /// How the run ends.
    pub status: Status,
    /// `subject: cause`, one line.
    pub message: String,
}

impl Failure {
    /// The error as a report.
    pub fn report(status: Status, message: impl Into<String>) -> Report {
        Report::new(Failure {
            status,
            message: message.into(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_contract() {
        let codes: Vec<u8> = Status::ALL.iter().map(|status| status.code()).collect();
        assert_eq!(codes, [4, 3, 1, 6, 5, 2, 0]);
        let back = codes.iter().map(|&code| Status::from_code(code.into()));
        assert!(back.eq(Status::ALL.map(Some)));
        assert_eq!([-1, 7, 260].map(Status::from_code), [None; 3]);
    }

    #[test]
    fn the_worst_wins_in_both_orders() {
        for (i, &worse) in Status::ALL.iter().enumerate() {
            for &better in &Status::ALL[i..] {
                assert_eq!(worse.worst(better), worse);
                assert_eq!(better.worst(worse), worse);
            }
        }
    }
}
