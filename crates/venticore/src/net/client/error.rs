//! What can go wrong with a server, told in one line.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use crate::codec::blocktype::{BlockName, BlockType};
use crate::codec::dial::Dial;
use crate::codec::score::Score;
use crate::codec::wire::WireError;
use crate::status::Status;
use crate::text::in_lower_case;

/// Something asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Its version line.
    Version,
    /// The hello.
    Hello,
    /// To store a block.
    Write(BlockType, Score),
    /// The data of a block.
    Read(BlockType, Score),
    /// Whether it has a block.
    Probe(BlockType, Score),
    /// To put everything acknowledged on disk.
    Sync,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("version line"),
            Self::Hello => f.write_str("hello"),
            Self::Write(ty, score) => write!(f, "write of {}", BlockName(*ty, *score)),
            Self::Read(ty, score) => write!(f, "read of {}", BlockName(*ty, *score)),
            Self::Probe(ty, score) => write!(f, "probe for {}", BlockName(*ty, *score)),
            Self::Sync => f.write_str("sync"),
        }
    }
}

/// An error of the client. Displayed as one line without control characters.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name has no address, no address could be connected to, or the command that leads
    /// there did not.
    #[error("cannot connect: {}", in_lower_case(.0))]
    Unreachable(#[source] io::Error),
    /// No complete reply came within the limit.
    #[error("{}", no_answer(asked, limit))]
    Silent {
        /// The request waited for; with several outstanding, one of them.
        asked: Operation,
        /// The limit that passed.
        limit: Duration,
    },
    /// It answers, and too little.
    #[error(
        "too slow: {found} bytes in {limit:?} of waiting, expected at least {expected} (progress in [limits] allows more time)"
    )]
    Slow {
        /// Bytes that it took or gave.
        found: u64,
        /// The least that is enough.
        expected: u64,
        /// The time in which it was waited for.
        limit: Duration,
    },
    /// The connection was closed or reset before everything was answered.
    #[error("connection lost: {}", in_lower_case(.0))]
    Lost(#[source] io::Error),
    /// The other side does not speak the protocol.
    #[error("not a venti: expected {expected}, found {found}")]
    Protocol {
        /// What should have come.
        expected: String,
        /// What came, escaped.
        found: String,
    },
    /// The server answered with an error.
    #[error("{asked}: refused: {text}")]
    Refused {
        /// The request.
        asked: Operation,
        /// The server's text, escaped.
        text: String,
        /// That text says that it does not have the block, or nothing that
        /// could be told from that.
        absent: bool,
    },
    /// The data of a block, or the server's score for it, is not right.
    #[error("{asked}: expected score {expected}, found {found}")]
    WrongScore {
        /// The request.
        asked: Operation,
        /// The score asked for or sent.
        expected: Score,
        /// The score of what came, or the score the server reported.
        found: Score,
    },
    /// A block no server stores: nothing was sent.
    #[error(
        "block {score}: expected 1 to {} bytes, found {found}",
        crate::codec::blocktype::BLOCK_MAX
    )]
    Size {
        /// The block.
        score: Score,
        /// Its size in bytes.
        found: usize,
    },
    /// A replica could not be read or written.
    #[error("{}", in_lower_case(.0))]
    Replica(#[source] io::Error),
    /// The connection was given up after an earlier error.
    #[error("connection given up: {cause}")]
    GivenUp {
        /// Its exit status.
        status: Status,
        /// That error, displayed.
        cause: String,
    },
    /// The program has a bug: the panic message says more.
    #[error("internal error")]
    Internal,
}

impl ClientError {
    /// The exit status it stands for.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Unreachable(_) | Self::Silent { .. } | Self::Slow { .. } | Self::Lost(_) => {
                Status::Unreachable
            }
            Self::Protocol { .. } | Self::Refused { .. } | Self::Size { .. } | Self::Internal => {
                Status::Failed
            }
            Self::WrongScore { .. } => Status::Unverified,
            Self::Replica(error) => match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::InvalidData => Status::Unverified,
                io::ErrorKind::NotFound => Status::Unreachable,
                _ if crate::replica::may_pass(error) => Status::Unreachable,
                _ => Status::Failed,
            },
            Self::GivenUp { status, .. } => *status,
        }
    }

    /// True when the server says that it does not have the block that was read
    /// (venti.md 7.5), in plan9port's words or in its own; also when its words
    /// cannot be told from that. No other refusal answers that question.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { absent: true, .. })
    }

    /// Whether to dial at once again may help. One that was slow is as slow then.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Replica(error) => crate::replica::may_pass(error),
            _ => self.status() == Status::Unreachable && !matches!(self, Self::Slow { .. }),
        }
    }

    /// Runs what is done for one server: a panic, whose message goes to standard error,
    /// ends that server's part and not the run.
    ///
    /// # Errors
    /// What it returns; [`ClientError::Internal`] where it panicked.
    pub fn of_panic<T>(part: impl FnOnce() -> Result<T, Self>) -> Result<T, Self> {
        panic::catch_unwind(AssertUnwindSafe(part)).unwrap_or(Err(Self::Internal))
    }

    /// The same error for the calls that follow it.
    pub(super) fn given_up(&self) -> Self {
        Self::GivenUp {
            status: self.status(),
            cause: match self {
                Self::GivenUp { cause, .. } => cause.clone(),
                _ => self.to_string(),
            },
        }
    }
}

/// True for `no block with score <this score>/<type> exists`.
pub(super) fn says_absent(text: &str, score: &Score) -> bool {
    text.strip_prefix("no block with score ")
        .and_then(|rest| rest.split('/').next())
        .and_then(|digits| digits.parse().ok())
        == Some(*score)
}

/// What a server did not answer in time.
fn no_answer(asked: &Operation, limit: &Duration) -> String {
    match asked {
        Operation::Version => format!(
            "no venti version line within {limit:?}, and a venti sends it at once: expected the port of a venti ({}), perhaps this is its web server's",
            Dial::VENTI
        ),
        asked => format!("no answer to {asked} within {limit:?}"),
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Replica(error)
    }
}

impl From<WireError> for ClientError {
    fn from(error: WireError) -> Self {
        Self::Protocol {
            expected: error.expected(),
            found: error.found(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abc() -> Score {
        Score::of(b"abc")
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        let error = ClientError::of_panic::<()>(|| panic!("a bug")).unwrap_err();
        assert_eq!(
            (error.status(), &*error.to_string()),
            (Status::Failed, "internal error")
        );
        assert!(!error.may_pass(), "the same would happen again");
        assert_eq!(ClientError::of_panic(|| Ok(3)).unwrap(), 3);
    }

    #[test]
    fn every_error_is_one_line_in_lower_case() {
        let asked = Operation::Write(BlockType::Data, abc());
        let refused = io::ErrorKind::ConnectionRefused;
        for (error, line, kind) in [
            (
                ClientError::Unreachable(refused.into()),
                "cannot connect: connection refused",
                Status::Unreachable,
            ),
            (
                ClientError::Lost(io::Error::other("Reset\nby peer")),
                "connection lost: reset\\nby peer",
                Status::Unreachable,
            ),
            (
                ClientError::Silent {
                    asked: Operation::Sync,
                    limit: Duration::from_secs(600),
                },
                "no answer to sync within 600s",
                Status::Unreachable,
            ),
            (
                ClientError::Slow {
                    found: 9,
                    expected: 10,
                    limit: Duration::from_secs(600),
                },
                "too slow: 9 bytes in 600s of waiting, expected at least 10 \
                 (progress in [limits] allows more time)",
                Status::Unreachable,
            ),
            (
                ClientError::Refused {
                    asked,
                    text: "read only".to_owned(),
                    absent: false,
                },
                "write of data block a9993e364706816aba3e25717850c26c9cd0d89d: refused: read only",
                Status::Failed,
            ),
            (
                ClientError::from(WireError::Type {
                    expected: "reply",
                    found: 99,
                }),
                "not a venti: expected a reply, found message type 99",
                Status::Failed,
            ),
            (
                ClientError::WrongScore {
                    asked: Operation::Read(BlockType::Dir, abc()),
                    expected: abc(),
                    found: Score::ZERO,
                },
                "read of directory block a9993e364706816aba3e25717850c26c9cd0d89d: \
                 expected score a9993e364706816aba3e25717850c26c9cd0d89d, \
                 found da39a3ee5e6b4b0d3255bfef95601890afd80709",
                Status::Unverified,
            ),
        ] {
            assert_eq!(error.to_string(), line);
            assert_eq!(error.status(), kind);
            let later = error.given_up();
            assert_eq!(later.to_string(), format!("connection given up: {line}"));
            assert_eq!(later.status(), kind);
            assert_eq!(later.given_up().to_string(), later.to_string());
        }
    }

    #[test]
    fn only_the_very_block_is_absent() {
        let says = |text: &str| says_absent(text, &abc());
        assert!(says(&format!("no block with score {}/0 exists", abc())));
        assert!(!says(&format!(
            "no block with score {}/0 exists",
            Score::ZERO
        )));
        assert!(!says("no block with score"));
        assert!(!says("clump is marked corrupt"));
    }
}
