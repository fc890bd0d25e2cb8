//! Clumps that are known to hold a block, as they stand: what spares decoding them again.
//!
//! For a clump that was decoded and compared with its block, and for one that this process
//! has made of a block itself, a sum of both is noted. Who has the block again, and reads
//! the clump from the disk again, need not decode it if the sum is the same.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use crate::codec::arena::clump::{ClumpHeader, Encoding};

/// The number of sums that are noted: 8 MiB, and enough for 8 GiB in blocks of 8 KiB.
const SLOTS: usize = 1 << 20;

/// A hash with a key of a clump and its block: every bit of both counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum(u64);

/// See the module. Of two clumps that have one slot, the later one is noted.
pub(super) struct Proven {
    /// Drawn in each process: nobody can make two blocks with one sum.
    keys: RandomState,
    seed: SharedSeed,
    /// Made when a sum is noted for the first time. 0 is none.
    slots: OnceLock<Box<[AtomicU64]>>,
}

impl Default for Proven {
    fn default() -> Self {
        let keys = RandomState::new();
        Proven {
            seed: SharedSeed::from_u64(keys.hash_one("seed")),
            keys,
            slots: OnceLock::new(),
        }
    }
}

impl Proven {
    /// The sum of a clump, as it is read from the disk or written there, and its block. None
    /// where nothing is compressed: to compare is faster then.
    pub(super) fn sum(&self, header: &ClumpHeader, stored: &[u8], block: &[u8]) -> Option<Sum> {
        if header.encoding == Encoding::Plain {
            return None;
        }
        let mut hasher = FoldHasher::with_seed(0, &self.seed);
        // The magic is that of the arena, which the address names.
        hasher.write(&header.to_bytes(0));
        hasher.write(stored);
        hasher.write(block);
        Some(Sum(hasher.finish()))
    }

    /// Notes that the clump at an address holds its block.
    pub(super) fn note(&self, address: u64, sum: Option<Sum>) {
        let Some(sum) = sum else {
            return;
        };
        let slots = self.slots.get_or_init(|| {
            let empty = std::iter::repeat_with(AtomicU64::default);
            empty.take(SLOTS).collect()
        });
        if let Some(slot) = slots.get(self.slot(address)) {
            slot.store(self.content(address, sum), Ordering::Relaxed);
        }
    }

    /// Notes nothing of the clump at an address any more: it does not hold its block.
    pub(super) fn forget(&self, address: u64) {
        let slots = self.slots.get();
        if let Some(slot) = slots.and_then(|slots| slots.get(self.slot(address))) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// Whether this was noted of the clump at an address.
    pub(super) fn is_noted(&self, address: u64, sum: Sum) -> bool {
        let slots = self.slots.get();
        let slot = slots.and_then(|slots| slots.get(self.slot(address)));
        slot.is_some_and(|slot| slot.load(Ordering::Relaxed) == self.content(address, sum))
    }

    fn slot(&self, address: u64) -> usize {
        usize::try_from(self.keys.hash_one(address) % SLOTS as u64).unwrap_or(0)
    }

    fn content(&self, address: u64, Sum(sum): Sum) -> u64 {
        self.keys.hash_one((address, sum)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::score::Score;

    #[test]
    fn only_what_was_noted_is_known() {
        let (block, stored) = (b"a block, a block, a block", b"as it is stored");
        let header = ClumpHeader {
            disk_type: 13,
            size: 15,
            uncompressed: 25,
            score: Score::of(block),
            encoding: Encoding::Whack,
            creator: 0,
            time: 1,
        };
        let proven = Proven::default();
        let is_noted = |address, sum: Option<Sum>| proven.is_noted(address, sum.unwrap());
        let sum = proven.sum(&header, stored, block);
        assert!(!is_noted(7, sum));
        proven.note(7, sum);
        assert!(is_noted(7, sum));
        assert!(!is_noted(8, sum));
        let later = ClumpHeader { time: 2, ..header };
        let others = [
            proven.sum(&later, stored, block),
            proven.sum(&header, b"as it is Stored", block),
            proven.sum(&header, stored, b"a block, a block, A block"),
            Proven::default().sum(&header, stored, block),
        ];
        for other in others {
            assert!(!is_noted(7, other));
        }
        proven.note(7, others[0]);
        assert!(!is_noted(7, sum));
    }
}
