//! Hash trees (venti.md 8): root blocks, entries and pointer blocks.
//!
//! What is stored is cut: data and directory blocks at their last byte that is
//! not zero, pointer blocks at their last score. Readers here never need the
//! rest: what is not there is zero.

mod entry;
mod pointer;
mod root;

pub use entry::Entry;
pub use pointer::{extended, scores, truncated};
pub use root::Root;

pub use crate::codec::format_error::FormatError;

use crate::codec::blocktype::BlockType;

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
