//! The verdict on a reply.

use super::{Asked, Error, Presence};
use crate::score::Score;
use crate::wire::{Reply, printable};

/// The verdict on a reply to a read: the block, what is wrong with this block,
/// or what is wrong with the server.
pub(super) fn block_in(
    asked: Asked,
    max: u32,
    reply: Reply<'_>,
) -> Result<Result<&[u8], Error>, Error> {
    match (asked, reply) {
        (Asked::Read(..), Reply::Error(text)) => Ok(Err(refused(asked, text))),
        (Asked::Read(..), Reply::Read(data)) if data.len() > usize_of(max) => {
            Err(Error::Protocol {
                expected: format!("at most {max} bytes"),
                found: format!("{} in Rread", data.len()),
            })
        }
        (Asked::Read(_, expected), Reply::Read(data)) => Ok(match Score::of(data) {
            found if found == expected => Ok(data),
            _ if data.is_empty() && expected.is_nil() => Ok(data),
            found => Err(Error::WrongScore {
                asked,
                expected,
                found,
            }),
        }),
        _ => Err(mismatch(asked, &reply)),
    }
}

/// The verdict on a reply to a probe.
pub(super) fn presence_in(asked: Asked, reply: &Reply<'_>) -> Result<Presence, Error> {
    match (asked, reply) {
        (Asked::Probe(_, score), Reply::Read([])) if score.is_nil() => {
            Ok(Presence::Present { size: 0 })
        }
        (Asked::Probe(..), Reply::Read(data)) => Ok(Presence::NoAnswer(format!(
            "{} bytes where none were asked for",
            data.len()
        ))),
        (Asked::Probe(_, score), Reply::Error(text)) => {
            Ok(Presence::of_error(printable(text), &score))
        }
        _ => Err(mismatch(asked, reply)),
    }
}

/// The server would not.
pub(super) fn refused(asked: Asked, text: &[u8]) -> Error {
    Error::Refused {
        asked,
        text: printable(text),
    }
}

/// A reply of another kind than was asked for.
pub(super) fn mismatch(asked: Asked, reply: &Reply<'_>) -> Error {
    Error::Protocol {
        expected: format!("a reply to {asked}"),
        found: reply.name().to_owned(),
    }
}

fn usize_of(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
