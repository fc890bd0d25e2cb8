//! A store: arenas that are served, and written to.

mod refusal;

use std::sync::Arc;

use crate::codec::arena::trailer::Counters;
use crate::codec::arena::{Name, Version};
use crate::codec::score::Score;

pub use refusal::Refusal;

/// Arenas that blocks are read from and added to, by many threads at once.
#[derive(Debug)]
pub struct Store(());

/// What an arena holds, for the pages.
#[derive(Clone, Debug)]
pub struct ArenaState {
    /// Its name.
    pub name: Name,
    /// The operand of the partition it is in.
    pub partition: String,
    /// The version of its records.
    pub version: Version,
    /// Disk block size in bytes.
    pub block_size: u32,
    /// Its head block, bytes from the start of the partition.
    pub head: u64,
    /// Bytes of its data section: clump log and directory.
    pub size: u64,
    /// Unix time of the first clump, 0 if none.
    pub created: u32,
    /// Unix time of the last clump.
    pub modified: u32,
    /// What it holds.
    pub live: Counters,
    /// Its seal score, once it is in the trailer.
    pub score: Option<Score>,
}

/// What became of the requests of a store since it was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Blocks added.
    pub stored: u64,
    /// Bytes of those blocks, before compression.
    pub stored_bytes: u64,
    /// Writes of blocks that were there and read back whole.
    pub duplicates: u64,
    /// Writes of blocks that were there damaged and were stored again.
    pub healed: u64,
    /// Blocks read.
    pub reads: u64,
    /// Reads of blocks that are not there.
    pub absent: u64,
    /// Syncs that reached the disk.
    pub syncs: u64,
    /// Copies of blocks that did not hash right.
    pub damaged: u64,
}

impl Store {
    /// The block with this score and type (disk number).
    ///
    /// # Errors
    /// It is not there, or no copy of it hashes to its score.
    pub fn read(&self, _score: &Score, _disk_type: u8) -> Result<Arc<[u8]>, Refusal> {
        Err(Refusal::ReadOnly)
    }

    /// Bytes of the block with this score and type, by the index and the clump's header:
    /// the block is not read.
    ///
    /// # Errors
    /// It is not there, or its header cannot be read.
    pub fn size(&self, _score: &Score, _disk_type: u8) -> Result<u16, Refusal> {
        Err(Refusal::ReadOnly)
    }

    /// Adds a block. When this returns it is in the log; see [`Store::sync`]. A block that
    /// is there already is not added, if the copy that is there hashes to its score.
    ///
    /// # Errors
    /// The store is full or read only, the block is too large, or the disk failed.
    pub fn write(&self, _disk_type: u8, _block: &[u8]) -> Result<Score, Refusal> {
        Err(Refusal::ReadOnly)
    }

    /// Returns when every block that was added before the call will outlast a power cut.
    ///
    /// # Errors
    /// The disk failed, now or before.
    pub fn sync(&self) -> Result<(), Refusal> {
        Err(Refusal::ReadOnly)
    }

    /// The arenas in the order in which they are filled.
    #[must_use]
    pub fn arenas(&self) -> Vec<ArenaState> {
        Vec::new()
    }

    /// What became of the requests since the store was opened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// Why no block can be added; none where one can.
    #[must_use]
    pub fn read_only(&self) -> Option<String> {
        None
    }
}
