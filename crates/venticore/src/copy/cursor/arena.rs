//! What the rules must know of an arena.

use crate::codec::arena::Name;
use crate::source;
use crate::source::Oddity;

/// What the rules must know of an arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArenaView {
    /// Its name.
    pub name: Name,
    /// Its head block, bytes from the start of the partition.
    pub head: u64,
    /// What every clump begins with.
    pub magic: u32,
    /// Clumps in its log, by the trailer.
    pub clumps: u64,
    /// Bytes of its log, by the trailer.
    pub used: u64,
    /// No clump will be added.
    pub sealed: bool,
    /// Its trailer is damaged: it may have clumps that nothing counts.
    pub uncounted: bool,
}

impl From<&source::Arena> for ArenaView {
    fn from(arena: &source::Arena) -> Self {
        let damaged = |note: &Oddity| matches!(note, Oddity::Damaged(_));
        ArenaView {
            name: arena.name.clone(),
            head: arena.head,
            magic: arena.clump_magic,
            clumps: arena.live.clumps.into(),
            used: arena.live.used,
            sealed: arena.sealed,
            uncounted: arena.live.used == 0 && arena.notes.iter().any(damaged),
        }
    }
}

impl ArenaView {
    /// The arena with its counters.
    pub(super) fn counted(&self) -> (&Self, u64, u64) {
        (self, self.clumps, self.used)
    }

    pub(super) fn may_have_clumps(&self) -> bool {
        self.used > 0 || self.uncounted
    }

    pub(super) fn is_used_up(&self, offset: u64) -> bool {
        self.sealed && offset >= self.used
    }
}
