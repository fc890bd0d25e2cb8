//! What the arenas of a store come to.

use crate::codec::arena::clump::HEADER_LEN;
use crate::codec::arena::directory::DirectoryEntry;
use crate::codec::arena::trailer::Counters;
use crate::store::ArenaState;

/// What arenas hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Arenas.
    pub arenas: u64,
    /// Arenas with clumps.
    pub active: u64,
    /// Arenas that no clump is added to.
    pub sealed: u64,
    /// Bytes of the data sections.
    pub size: u64,
    /// Bytes of logs and directories.
    pub storage: u64,
    /// Clumps.
    pub clumps: u64,
    /// Clumps that are compressed.
    pub compressed: u64,
    /// Bytes of the blocks.
    pub data: u64,
    /// Bytes of the blocks as they are stored.
    pub stored: u64,
}

impl Sums {
    /// The sums of these arenas.
    #[must_use]
    pub fn of(arenas: &[ArenaState]) -> Self {
        let mut sums = Sums::default();
        for arena in arenas {
            let live = arena.live;
            sums.arenas += 1;
            sums.active += u64::from(live.clumps > 0);
            sums.sealed += u64::from(live.sealed);
            sums.size = sums.size.saturating_add(arena.size);
            sums.storage = sums.storage.saturating_add(storage(live));
            sums.clumps += u64::from(live.clumps);
            sums.compressed += u64::from(live.compressed);
            sums.data = sums.data.saturating_add(live.uncompressed);
            sums.stored = sums.stored.saturating_add(stored(live));
        }
        sums
    }
}

/// Bytes of blocks as they are stored.
pub(super) fn stored(of: Counters) -> u64 {
    of.used
        .saturating_sub(u64::from(of.clumps) * HEADER_LEN as u64)
}

/// Bytes of log and directory.
pub(super) fn storage(of: Counters) -> u64 {
    of.used
        .saturating_add(u64::from(of.clumps) * DirectoryEntry::LEN as u64)
}
