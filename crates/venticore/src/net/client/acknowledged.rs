//! What a server has acknowledged.

use super::verdict::{mismatch, refused};
use super::{ClientError, Operation};
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
    /// Judges a reply to anything but a read; `size` is the size of a write.
    pub(super) fn note(
        &mut self,
        asked: Operation,
        size: usize,
        reply: &Reply<'_>,
    ) -> Result<(), ClientError> {
        match (asked, reply) {
            // What `f` of a read left behind when it did not return.
            (Operation::Read(..) | Operation::Probe(..), _) => Ok(()),
            (_, Reply::Error(text)) => Err(refused(asked, text)),
            (Operation::Write(_, score), Reply::Write(found)) if *found == score => {
                self.blocks += 1;
                self.bytes += u64::try_from(size).unwrap_or(u64::MAX);
                Ok(())
            }
            (Operation::Write(_, expected), Reply::Write(found)) => Err(ClientError::WrongScore {
                asked,
                expected,
                found: *found,
            }),
            (Operation::Hello, Reply::Hello { .. }) | (Operation::Sync, Reply::Sync) => Ok(()),
            _ => Err(mismatch(asked, reply)),
        }
    }
}
