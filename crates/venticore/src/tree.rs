//! Hash trees (venti.md 8): root blocks, entries and pointer blocks, a walk over
//! all that lies below an entry, and the bytes of one stream.
//!
//! What is stored is cut: data and directory blocks at their last byte that is
//! not zero, pointer blocks at their last score. Readers here never need the
//! rest: what is not there is zero. The codecs ([`Root`], [`Entry`],
//! [`scores`], [`truncated`]) do no I/O.

mod entry;
mod pointer;
mod root;
mod stream;
mod walk;

use std::fmt;

pub use entry::Entry;
pub use pointer::{extended, scores, truncated};
pub use root::Root;
pub use stream::{StreamError, copy, read};
pub use walk::{Counts, Damage, Fault, Leaf, Plan, Visit, WalkError, Walker, Wanted, read_root};

use crate::blocktype::BlockType;

/// A record of a tree that is not what the format says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// What was being read: "root", "entry".
    pub record: &'static str,
    /// The byte that shows it, counted from the start of the record.
    pub at: usize,
    /// What was expected there.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl FormatError {
    fn new(
        record: &'static str,
        at: usize,
        expected: impl Into<String>,
        found: impl fmt::Display,
    ) -> Self {
        FormatError {
            record,
            at,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FormatError {
            record,
            at,
            expected,
            found,
        } = self;
        write!(f, "{record}: expected {expected} at {at}, found {found}")
    }
}

impl std::error::Error for FormatError {}

/// The type of a block of a stream, `level` above its leaves.
#[must_use]
pub fn block_type(directory: bool, level: u8) -> BlockType {
    match (level, directory) {
        (0, true) => BlockType::Dir,
        (0, false) => BlockType::Data,
        (level, _) => BlockType::Pointer(level.min(Entry::DEPTH_MAX)),
    }
}

/// A size in 16 bits, which in the big encoding is a number and a shift.
fn size_of(raw: u16, big: bool) -> u64 {
    match big {
        true => u64::from(raw >> 5) << (raw & 31),
        false => u64::from(raw),
    }
}
