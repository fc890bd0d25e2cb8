//! Where an arena lies, and where its records go.

use crate::codec::arena::clump::HEADER_LEN;
use crate::codec::arena::directory::{self, DirectoryEntry};
use crate::codec::arena::trailer::Counters;
use crate::codec::arena::{Name, Version};
use crate::source::Arena;

/// An arena of a store: what does not change while it is served.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The number of its disk.
    pub(super) disk: usize,
    pub(super) name: Name,
    pub(super) version: Version,
    pub(super) clump_magic: u32,
    pub(super) block_size: u32,
    /// Its head block, bytes from the start of the disk.
    pub(super) head: u64,
    /// Bytes of its data section.
    pub(super) size: u64,
    /// The address of the first byte of its data section, among all of the store.
    pub(super) address: u64,
}

impl Place {
    pub(super) fn of(arena: &Arena, disk: usize, version: Version, address: u64) -> Self {
        Place {
            disk,
            name: arena.name.clone(),
            version,
            clump_magic: arena.clump_magic,
            block_size: arena.block_size,
            head: arena.head,
            size: arena.size,
            address,
        }
    }

    /// Where its data section begins, bytes from the start of the disk.
    pub(super) fn base(&self) -> u64 {
        self.head + u64::from(self.block_size)
    }

    /// Bytes of all of it.
    pub(super) fn total(&self) -> u64 {
        self.size + 2 * u64::from(self.block_size)
    }

    pub(super) fn trailer_at(&self) -> u64 {
        self.base() + self.size
    }

    /// Where a disk block of the directory lies.
    pub(super) fn directory_at(&self, number: u64) -> u64 {
        let back = (number + 1).saturating_mul(u64::from(self.block_size));
        self.trailer_at().saturating_sub(back)
    }

    /// The disk block of the directory in which the entry of a clump stands, and its first
    /// byte there.
    pub(super) fn entry_at(&self, clump: u32) -> (u64, usize) {
        let per_block = directory::entries_per_block(self.block_size);
        let within = usize::try_from(u64::from(clump) % per_block).unwrap_or(0);
        (u64::from(clump) / per_block, within * DirectoryEntry::LEN)
    }

    /// Whether a clump of this many stored bytes can be added: the rule of plan9port's venti
    /// (venti.md 3), so that both seal an arena at the same clump.
    pub(super) fn has_room(&self, counters: &Counters, stored: usize) -> bool {
        let blocks = u64::from(counters.clumps)
            .saturating_add(1)
            .checked_div(directory::entries_per_block(self.block_size))
            .map_or(u64::MAX, |blocks| blocks + 1);
        let directory = blocks.saturating_mul(u64::from(self.block_size));
        let clump = HEADER_LEN as u64 + stored as u64 + 2 * size_of::<u32>() as u64;
        let needed = counters.used.saturating_add(clump);
        counters.clumps < u32::MAX && needed.saturating_add(directory) <= self.size
    }
}
