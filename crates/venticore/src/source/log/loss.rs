//! A block, or several, that cannot be read.

use super::{Item, What};
use crate::codec::arena::clump::{ClumpError, HEADER_LEN};
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::source::Arena;

/// A block, or several, that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The score the header or the directory gives for it.
    pub score: Option<Score>,
    /// What type of block it was. Known only where one clump is lost, and
    /// nothing contradicts its score: then a copy elsewhere makes up for it.
    pub block_type: Option<BlockType>,
    /// How many clumps it was by the directory; 1 where that does not tell.
    pub clumps: u64,
    /// What is wrong.
    pub why: String,
    /// It may only not have reached the disk yet: the arena can still grow,
    /// and these are zero bytes or the bytes of an earlier use.
    pub maybe_late: bool,
}

/// The loss of a clump whose block turned out not to hash to its score.
///
/// Zero bytes from some disk block boundary on may be a write that has not
/// reached the disk, if the arena can still grow.
#[must_use]
pub fn loss(arena: &Arena, item: &Item, stored: &[u8], error: &ClumpError, settled: bool) -> Loss {
    let block = u64::from(arena.block_size);
    let first = (item.offset + HEADER_LEN as u64).next_multiple_of(block);
    let data = item.offset + HEADER_LEN as u64;
    let skip = usize::try_from(first - data).unwrap_or(usize::MAX);
    let blank = stored
        .get(skip..)
        .unwrap_or_default()
        .chunks(arena.block_size as usize)
        .any(|piece| piece.iter().all(|&byte| byte == 0));
    let (score, block_type) = match &item.what {
        What::Clump {
            header, block_type, ..
        } => (Some(header.score), Some(*block_type)),
        _ => (None, None),
    };
    Loss {
        score,
        block_type,
        clumps: 1,
        why: error.to_string(),
        maybe_late: blank && !settled && !arena.settled,
    }
}
