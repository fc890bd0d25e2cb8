//! The verdict on a reply.

use super::words::ServerWords;
use super::{ClientError, Operation, Presence};
use crate::codec::score::Score;
use crate::codec::wire::Reply;
use crate::text::printable;

/// The verdict on a reply to a read: the block, what is wrong with this block,
/// or what is wrong with the server.
pub(super) fn block_in<'d>(
    asked: Operation,
    max: u32,
    reply: Reply<'d>,
    words: &ServerWords,
) -> Result<Result<&'d [u8], ClientError>, ClientError> {
    match (asked, reply) {
        (Operation::Read(ty, score), Reply::Error(text)) => {
            let text = printable(text);
            let absent = words.say_absent(ty, &score, &text);
            Ok(Err(ClientError::Refused {
                asked,
                text,
                absent,
            }))
        }
        (Operation::Read(..), Reply::Read(data)) if data.len() > usize_of(max) => {
            Err(ClientError::Protocol {
                expected: format!("at most {max} bytes"),
                found: format!("{} in Rread", data.len()),
            })
        }
        (Operation::Read(_, expected), Reply::Read(data)) => Ok(match Score::of(data) {
            found if found == expected => Ok(data),
            _ if data.is_empty() && expected.is_nil() => Ok(data),
            found => Err(ClientError::WrongScore {
                asked,
                expected,
                found,
            }),
        }),
        _ => Err(mismatch(asked, &reply)),
    }
}

/// The verdict on a reply to a probe.
pub(super) fn presence_in(
    asked: Operation,
    reply: &Reply<'_>,
    words: &ServerWords,
) -> Result<Presence, ClientError> {
    match (asked, reply) {
        (Operation::Probe(_, score), Reply::Read([])) if score.is_nil() => {
            Ok(Presence::Present { size: 0 })
        }
        (Operation::Probe(..), Reply::Read(data)) => Ok(Presence::NoAnswer(format!(
            "{} bytes where none were asked for",
            data.len()
        ))),
        (Operation::Probe(ty, score), Reply::Error(text)) => {
            let text = printable(text);
            Ok(match words.say_plainly_absent(ty, &score, &text) {
                true => Presence::Absent,
                false => Presence::of_error(text, &score),
            })
        }
        _ => Err(mismatch(asked, reply)),
    }
}

/// Whether it can be told what a refusal says of the block.
pub(super) fn is_clear(asked: Operation, text: &[u8], words: &ServerWords) -> bool {
    let text = printable(text);
    match asked {
        Operation::Read(ty, score) => words.can_tell(ty, &score, &text),
        Operation::Probe(ty, score) => {
            words.can_tell(ty, &score, &text)
                || !matches!(Presence::of_error(text, &score), Presence::NoAnswer(_))
        }
        _ => true,
    }
}

/// The server would not.
pub(super) fn refused(asked: Operation, text: &[u8]) -> ClientError {
    ClientError::Refused {
        asked,
        text: printable(text),
        absent: false,
    }
}

/// A reply of another kind than was asked for.
pub(super) fn mismatch(asked: Operation, reply: &Reply<'_>) -> ClientError {
    ClientError::Protocol {
        expected: format!("a reply to {asked}"),
        found: reply.name().to_owned(),
    }
}

fn usize_of(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
