//! What a server has acknowledged.

use super::verdict::{mismatch, refused};
use super::{Asked, Error};
use crate::codec::wire::Reply;

/// What a server has acknowledged on this connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Blocks written and acknowledged; empty ones, never sent, among them.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Acknowledged {
    /// Judges a reply to anything but a read; `size` is that of a write.
    pub(super) fn note(
        &mut self,
        asked: Asked,
        size: usize,
        reply: &Reply<'_>,
    ) -> Result<(), Error> {
        match (asked, reply) {
            // What `f` of a read left behind when it did not return.
            (Asked::Read(..) | Asked::Probe(..), _) => Ok(()),
            (_, Reply::Error(text)) => Err(refused(asked, text)),
            (Asked::Write(_, score), Reply::Write(found)) if *found == score => {
                self.blocks += 1;
                self.bytes += u64::try_from(size).unwrap_or(u64::MAX);
                Ok(())
            }
            (Asked::Write(_, expected), Reply::Write(found)) => Err(Error::WrongScore {
                asked,
                expected,
                found: *found,
            }),
            (Asked::Hello, Reply::Hello { .. }) | (Asked::Sync, Reply::Sync) => Ok(()),
            _ => Err(mismatch(asked, reply)),
        }
    }
}
