//! Where the blocks are: a table in memory, made from the clump directories.
//!
//! A slot is 8 bytes: some bits of a keyed hash of score and type, and the address of the
//! clump. What it says is only a hint; the header of the clump has the score. The table is
//! in shards, each with a lock of its own, and grows a shard at a time, so that it never
//! takes more than 12 bytes a clump for long.

use std::sync::{PoisonError, RwLock};

use crate::codec::score::Score;
use crate::host::random;

/// The largest address, in bytes of all data sections: 16 TiB.
pub(super) const ADDRESS_MAX: u64 = (1 << ADDRESS_BITS) - 2;

const ADDRESS_BITS: u32 = 44;
const TAG_BITS: u32 = 64 - ADDRESS_BITS;
const SHARD_BITS: u32 = 12;

/// A shard grows when more than this part of its slots is taken, by `GROWTH`.
const FULL: (usize, usize) = (17, 20);
const GROWTH: (usize, usize) = (5, 4);

/// Copies of one block that are remembered. More are of no use.
const COPIES: usize = 4;

/// Where the clumps of blocks are, by score and type.
pub(super) struct Index {
    shards: Box<[RwLock<Shard>]>,
    keys: [u64; 2],
}

/// The hash of a block's score and type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash {
    shard: usize,
    tag: u64,
}

impl Index {
    /// An index with room for this many clumps before it grows.
    pub(super) fn with_room(clumps: u64) -> Self {
        let shards = 1 << SHARD_BITS;
        let each = usize::try_from(clumps / shards as u64).unwrap_or(0);
        let shard = |_| RwLock::new(Shard::with_room(each));
        Index {
            shards: (0..shards).map(shard).collect(),
            keys: [random::number() | 1, random::number() | 1],
        }
    }

    /// A keyed hash: nobody who does not see the keys can make blocks that fall together.
    pub(super) fn hash(&self, score: &Score, disk_type: u8) -> Hash {
        let bytes = score.as_bytes();
        let word = |from: usize, len: usize| {
            let bytes = bytes.get(from..from + len).unwrap_or_default();
            bytes.iter().fold(0, |word, &b| word << 8 | u64::from(b))
        };
        let [one, two] = self.keys;
        let first = folded(word(0, 8) ^ one, word(8, 8) ^ two);
        let last = word(16, 4) << 8 | u64::from(disk_type);
        let hash = folded(first ^ last ^ two, one.rotate_left(32));
        let tag = hash >> SHARD_BITS & ((1 << TAG_BITS) - 1);
        let shard = usize::try_from(hash & ((1 << SHARD_BITS) - 1)).unwrap_or(0);
        Hash { shard, tag }
    }

    /// The addresses at which the block may be, the newest first.
    pub(super) fn find(&self, hash: Hash) -> Vec<u64> {
        let Some(shard) = self.shards.get(hash.shard) else {
            return Vec::new();
        };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<u64> = shard.tagged(hash.tag).map(|(_, at)| at).collect();
        drop(shard);
        if found.len() > 1 {
            found.sort_unstable_by(|a, b| b.cmp(a));
        }
        found
    }

    /// Adds a clump. Where many have the same hash, `is_same` is asked which of them are of
    /// the same block, and the oldest of those gives way.
    pub(super) fn insert(&self, hash: Hash, address: u64, is_same: impl Fn(u64) -> bool) {
        let Some(shard) = self.shards.get(hash.shard) else {
            return;
        };
        let crowd = {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if shard.tagged(hash.tag).take(COPIES).count() < COPIES {
                shard.add(hash.tag, address);
                return;
            }
            shard.tagged(hash.tag).map(|(_, at)| at).collect::<Vec<_>>()
        };
        let mut same: Vec<u64> = crowd.into_iter().filter(|&at| is_same(at)).collect();
        same.sort_unstable();
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        match same.first() {
            Some(&oldest) if same.len() >= COPIES => {
                shard.replace(hash.tag, oldest, oldest.max(address));
            }
            _ => shard.add(hash.tag, address),
        }
    }

    /// Bytes of its slots.
    pub(super) fn bytes(&self) -> u64 {
        let len = |shard: &RwLock<Shard>| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.slots.len() as u64
        };
        self.shards.iter().map(len).sum::<u64>() * size_of::<u64>() as u64
    }
}

/// The two halves of a product, in one.
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(product >> 64).unwrap_or(0);
    low ^ high
}

/// Slots with open addressing. A tag's place is its share of the range of tags, so that
/// the tag alone says where a slot goes when the shard grows. An empty slot is 0.
struct Shard {
    slots: Box<[u64]>,
    taken: usize,
}

impl Shard {
    fn with_room(clumps: usize) -> Self {
        let slots = clumps.saturating_mul(FULL.1) / FULL.0 + clumps / 32;
        Shard {
            slots: vec![0; slots].into(),
            taken: 0,
        }
    }

    fn place(&self, tag: u64) -> usize {
        let place = (tag * self.slots.len() as u64) >> TAG_BITS;
        usize::try_from(place).unwrap_or(0)
    }

    /// The taken slots from a tag's place on, up to the first that is empty.
    fn run(&self, tag: u64) -> impl Iterator<Item = (usize, u64)> {
        let place = self.place(tag);
        let all = (place..self.slots.len()).chain(0..place);
        let slots = all.map(|at| (at, self.slots.get(at).copied().unwrap_or(0)));
        slots.take_while(|(_, slot)| *slot != 0)
    }

    /// The slots with this tag, and their addresses.
    fn tagged(&self, tag: u64) -> impl Iterator<Item = (usize, u64)> {
        let with_tag = self
            .run(tag)
            .filter(move |(_, slot)| slot >> ADDRESS_BITS == tag);
        with_tag.map(|(at, slot)| (at, (slot & ((1 << ADDRESS_BITS) - 1)) - 1))
    }

    fn add(&mut self, tag: u64, address: u64) {
        if (self.taken + 1) * FULL.1 > self.slots.len() * FULL.0 {
            self.grow();
        }
        self.put(tag << ADDRESS_BITS | (address + 1));
    }

    fn put(&mut self, slot: u64) {
        let tag = slot >> ADDRESS_BITS;
        let place = self.place(tag);
        let at = self.run(tag).last().map_or(place, |(at, _)| at + 1);
        let at = if at == self.slots.len() { 0 } else { at };
        if let Some(free) = self.slots.get_mut(at) {
            *free = slot;
            self.taken += 1;
        }
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * GROWTH.0 / GROWTH.1).max(8);
        let old = std::mem::replace(&mut self.slots, vec![0; len].into());
        self.taken = 0;
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            self.put(slot);
        }
    }

    fn replace(&mut self, tag: u64, old: u64, new: u64) {
        let found = self.tagged(tag).find(|(_, at)| *at == old);
        if let Some(slot) = found.and_then(|(at, _)| self.slots.get_mut(at)) {
            *slot = tag << ADDRESS_BITS | (new + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn score(n: u64) -> Score {
        Score::of(&n.to_be_bytes())
    }

    #[test]
    fn what_was_put_in_is_found_and_it_takes_at_most_12_bytes_a_clump() {
        for room in [0, 200_000, 300_000] {
            let index = Index::with_room(room);
            for n in 0..300_000 {
                index.insert(index.hash(&score(n), 13), n * 100, |_| false);
            }
            for n in 0..300_000 {
                assert!(index.find(index.hash(&score(n), 13)).contains(&(n * 100)));
            }
            let strangers = (300_000..600_000).filter(|&n| {
                let found = index.find(index.hash(&score(n), 13));
                !found.is_empty()
            });
            assert!(strangers.count() < 100);
            assert!(index.bytes() <= 12 * 300_000, "{}", index.bytes());
        }
    }

    #[test]
    fn types_are_told_apart() {
        let index = Index::with_room(0);
        index.insert(index.hash(&score(1), 13), 7, |_| false);
        assert_eq!(index.find(index.hash(&score(1), 13)), [7]);
        assert!(index.find(index.hash(&score(1), 2)).is_empty());
    }

    #[test]
    fn of_many_copies_the_newest_stay() {
        let index = Index::with_room(0);
        for n in 0..100_000 {
            index.insert(index.hash(&score(1), 13), n, |_| true);
        }
        let found = index.find(index.hash(&score(1), 13));
        assert_eq!(found, [99_999, 99_998, 99_997, 99_996]);
        let mut by_address = HashMap::new();
        for n in 0..1000 {
            index.insert(index.hash(&score(n), 1), n, |at| {
                by_address.get(&at) == Some(&n)
            });
            by_address.insert(n, n);
        }
        assert!((0..1000).all(|n| index.find(index.hash(&score(n), 1)).contains(&n)));
    }
}
