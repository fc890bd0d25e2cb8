//! One stretch of a log.

use super::Loss;
use crate::codec::arena::clump::ClumpHeader;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;

/// One stretch of the log: a clump, or bytes that should have been one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it starts, bytes from the start of the data section.
    pub offset: u64,
    /// Bytes of it in the log.
    pub len: u64,
    /// What it is.
    pub what: What,
    /// Damage to a header or a directory entry that did not cost the block.
    pub note: Option<String>,
}

impl Item {
    /// Where the next one starts.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// What a stretch of the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A clump; its block is not yet checked.
    Clump {
        /// Its header, or what the directory knows of it.
        header: ClumpHeader,
        /// The type of the block.
        block_type: BlockType,
        /// The other type, where header and directory name two that are both
        /// possible: nothing tells which is right.
        other_type: Option<BlockType>,
    },
    /// A clump marked corrupt or of unknown type, and the score in its header:
    /// counted, never sent.
    Corrupt(Score),
    /// No block can be had from here.
    Lost(Loss),
}
