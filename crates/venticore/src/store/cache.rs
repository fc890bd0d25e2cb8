//! Blocks that were read, decoded.
//!
//! The cache spares decoding and hashing, never the disk: a block is given from it only for
//! a clump that was read again, and stands there as it stood when the block came out of it.
//! So damage is found by the next read, as if there were no cache. Writes know nothing of it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache as Blocks;

use super::proven::{Proven, Sum};
use crate::codec::arena::clump::{ClumpError, ClumpHeader};

/// The smallest cache, in bytes: some of the largest blocks.
pub const SMALLEST: u64 = 1 << 20;

/// The largest cache, in bytes.
pub const LARGEST: u64 = 1 << 36;

/// What a block takes besides its bytes, about.
const OVERHEAD: u64 = 160;

/// A block of the usual size.
const USUAL: u64 = 8192;

/// Addresses that are remembered as read, for each usual block that there is room for.
const MARKS: usize = 4;

/// A block, and the clump that it came out of.
struct Decoded {
    header: ClumpHeader,
    /// Of what is stored; none where that is the block.
    sum: Option<Sum>,
    block: Box<[u8]>,
}

impl Decoded {
    /// Whether it would come out of this clump.
    fn is_of(&self, header: &ClumpHeader, stored: &[u8], proven: &Proven) -> bool {
        self.header == *header
            && match self.sum {
                Some(_) => self.sum == proven.sum(header, stored, &[]),
                None => *self.block == *stored,
            }
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<u64, Arc<Decoded>> for Bytes {
    fn weight(&self, _: &u64, decoded: &Arc<Decoded>) -> u64 {
        decoded.block.len() as u64 + OVERHEAD
    }
}

/// What became of the reads of a store with a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Memory that the blocks in it take, in bytes.
    pub bytes: u64,
    /// Blocks that were not decoded again.
    pub hits: u64,
    /// Blocks that were decoded.
    pub misses: u64,
}

/// See the module. By the addresses of clumps.
pub(super) struct Cache {
    blocks: Blocks<u64, Arc<Decoded>, Bytes>,
    /// Addresses that were read: a block that is read once does not come into the cache, so
    /// who reads everything neither pays for it nor empties it.
    marks: Box<[AtomicU64]>,
    keys: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    /// One that takes this many bytes of memory, from [`SMALLEST`] on. None for 0.
    pub(super) fn of(bytes: u64) -> Option<Self> {
        let items = usize::try_from(bytes / (USUAL + OVERHEAD)).unwrap_or(0);
        // No clump has this address.
        let empty = std::iter::repeat_with(|| AtomicU64::new(u64::MAX));
        (bytes > 0).then(|| Cache {
            blocks: Blocks::with_weighter(items, bytes, Bytes),
            marks: empty.take(items.max(1) * MARKS).collect(),
            keys: RandomState::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// The block of the clump at an address, as it was just read.
    ///
    /// # Errors
    /// As for [`ClumpHeader::block`].
    pub(super) fn block(
        &self,
        address: u64,
        header: &ClumpHeader,
        stored: &[u8],
        proven: &Proven,
    ) -> Result<Vec<u8>, ClumpError> {
        if let Some(decoded) = self.blocks.get(&address)
            && decoded.is_of(header, stored, proven)
        {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(decoded.block.to_vec());
        }
        let block = header.block(stored)?.into_owned();
        self.misses.fetch_add(1, Ordering::Relaxed);
        if self.mark(address) {
            let decoded = Decoded {
                header: *header,
                sum: proven.sum(header, stored, &[]),
                block: block.as_slice().into(),
            };
            self.blocks.insert(address, Arc::new(decoded));
        }
        Ok(block)
    }

    /// Remembers an address as read; whether it was.
    fn mark(&self, address: u64) -> bool {
        let slot = self.keys.hash_one(address) % self.marks.len() as u64;
        let mark = usize::try_from(slot).ok().and_then(|at| self.marks.get(at));
        mark.is_some_and(|mark| mark.swap(address, Ordering::Relaxed) == address)
    }

    pub(super) fn counts(&self) -> CacheCounts {
        CacheCounts {
            bytes: self.blocks.weight(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}
