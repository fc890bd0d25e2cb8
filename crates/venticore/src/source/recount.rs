//! What an arena holds by its directory and its log, where its trailer cannot
//! be believed.

use super::{Arena, ReadAt};
use crate::codec::arena::clump::{ClumpHeader, HEADER_LEN};
use crate::codec::arena::directory::{self, DirectoryEntry};
use crate::codec::arena::trailer::Counters;

/// Entries in a row, from the first on, that no clump agrees with: then the
/// directory comes from an earlier use of the disk, and the arena is empty.
const STALE: u64 = 64;

/// Counts the clumps of an arena: the directory is followed for as long as it
/// can be one, and the last entry with which the header in the log agrees is
/// the last clump's. Clumps that are damaged in between count.
///
/// Nothing is hashed, and what cannot be read counts as damaged.
pub(super) fn recount(source: &dyn ReadAt, arena: &Arena) -> Counters {
    let mut entries = DirectoryBlocks::new(source, arena);
    let (mut all, mut found) = (Counters::default(), Counters::default());
    while let Some((entry, header)) = entries.next(&all) {
        let agrees = header_at(source, arena, all.used).is_some_and(|h| h.agrees_with(&entry));
        all.clumps += 1;
        all.compressed += u32::from(header.size < header.uncompressed);
        all.used += header.stored_len();
        all.uncompressed += u64::from(header.uncompressed);
        if agrees {
            found = all;
        }
        if found.clumps == 0 && u64::from(all.clumps) >= STALE {
            break;
        }
    }
    found
}

fn header_at(source: &dyn ReadAt, arena: &Arena, at: u64) -> Option<ClumpHeader> {
    let mut bytes = [0; HEADER_LEN];
    source.read_at(&mut bytes, arena.base() + at).ok()?;
    ClumpHeader::parse(&bytes, arena.clump_magic).ok()
}

/// The entries of a directory of unknown length, block by block.
struct DirectoryBlocks<'a> {
    source: &'a dyn ReadAt,
    arena: &'a Arena,
    block: Vec<u8>,
}

impl<'a> DirectoryBlocks<'a> {
    fn new(source: &'a dyn ReadAt, arena: &'a Arena) -> Self {
        DirectoryBlocks {
            source,
            arena,
            block: Vec::new(),
        }
    }

    /// The entry after those that were counted, if it can be one and there is
    /// room for its clump.
    fn next(&mut self, counted: &Counters) -> Option<(DirectoryEntry, ClumpHeader)> {
        let index = u64::from(counted.clumps);
        let per_block = directory::entries_per_block(self.arena.block_size);
        let within = index % per_block;
        if within == 0 {
            self.load(index / per_block)?;
        }
        let at = usize::try_from(within).ok()? * DirectoryEntry::LEN;
        let entry = DirectoryEntry::parse(self.block.get(at..)?)?;
        let header = ClumpHeader::from_entry(&entry).ok()?;
        let end = counted.used + header.stored_len();
        (end <= self.arena.room(index + 1)).then_some((entry, header))
    }

    fn load(&mut self, number: u64) -> Option<()> {
        let block_size = u64::from(self.arena.block_size);
        let back = (number + 1).checked_mul(block_size)?;
        let within = self.arena.size.checked_sub(back)?;
        self.block.resize(self.arena.block_size as usize, 0);
        let offset = self.arena.base() + within;
        self.source.read_at(&mut self.block, offset).ok()
    }
}
