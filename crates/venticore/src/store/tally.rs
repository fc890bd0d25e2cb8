//! What became of the requests of a store.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Damaged clumps that are remembered, so that each counts once.
const COUNTED: usize = 10_000;

/// What became of the requests of a store since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks added.
    pub stored: u64,
    /// Bytes of those blocks, before compression.
    pub stored_bytes: u64,
    /// Writes of blocks that were there, and whose copy was read and is whole.
    pub duplicates: u64,
    /// Of the blocks added, those that were there damaged.
    pub healed: u64,
    /// Blocks read.
    pub reads: u64,
    /// Bytes of those blocks.
    pub read_bytes: u64,
    /// Questions whether a block is there.
    pub probes: u64,
    /// Reads and questions about blocks that are not there.
    pub absent: u64,
    /// Syncs that reached the disk.
    pub syncs: u64,
    /// Clumps that were found damaged.
    pub damaged: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    stored: AtomicU64,
    stored_bytes: AtomicU64,
    duplicates: AtomicU64,
    healed: AtomicU64,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    probes: AtomicU64,
    absent: AtomicU64,
    syncs: AtomicU64,
    damaged: Mutex<HashSet<u64>>,
}

impl Tally {
    pub(super) fn stored(&self, bytes: usize, was_there: bool) {
        add(&self.stored, 1);
        add(&self.stored_bytes, bytes as u64);
        add(&self.healed, was_there.into());
    }

    pub(super) fn duplicate(&self) {
        add(&self.duplicates, 1);
    }

    pub(super) fn read(&self, bytes: usize) {
        add(&self.reads, 1);
        add(&self.read_bytes, bytes as u64);
    }

    pub(super) fn probe(&self) {
        add(&self.probes, 1);
    }

    pub(super) fn absent(&self) {
        add(&self.absent, 1);
    }

    pub(super) fn sync(&self) {
        add(&self.syncs, 1);
    }

    /// Counts the damage at an address: how many there are now, if it was not counted before.
    pub(super) fn damaged(&self, address: u64) -> Option<usize> {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = damaged.len() < COUNTED && damaged.insert(address);
        is_new.then(|| damaged.len())
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        Counts {
            stored: of(&self.stored),
            stored_bytes: of(&self.stored_bytes),
            duplicates: of(&self.duplicates),
            healed: of(&self.healed),
            reads: of(&self.reads),
            read_bytes: of(&self.read_bytes),
            probes: of(&self.probes),
            absent: of(&self.absent),
            syncs: of(&self.syncs),
            damaged: damaged.len() as u64,
        }
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
