//! Where the blocks are: a table in memory, made from the clump directories.
//!
//! A slot is 8 bytes: some bits of a keyed hash of score and type, and the address of the
//! clump. What it says is only a hint; the header of the clump has the score. The table is
//! in shards, each with a lock of its own, and grows a shard at a time, so that it never
//! takes more than 12 bytes a clump for long.

mod maker;

use std::sync::{PoisonError, RwLock};

use crate::codec::score::Score;
use crate::host::random;

pub(super) use maker::{Gatherer, Maker};

/// The largest address, in bytes of all data sections: 16 TiB.
pub(super) const ADDRESS_MAX: u64 = (1 << ADDRESS_BITS) - 2;

const ADDRESS_BITS: u32 = 44;
const TAG_BITS: u32 = 64 - ADDRESS_BITS;
const SHARD_BITS: u32 = 12;
const SHARDS: usize = 1 << SHARD_BITS;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

/// A shard grows when more than this part of its slots is taken, by `GROWTH`.
const FULL: (usize, usize) = (17, 20);
const GROWTH: (usize, usize) = (5, 4);

/// Copies of one block that are remembered. More are of no use.
const COPIES: usize = 4;

/// Where the clumps of blocks are, by score and type.
pub(super) struct Index {
    shards: Box<[RwLock<Shard>]>,
    keys: Keys,
}

/// What nobody outside knows of the hashes.
#[derive(Clone, Copy)]
struct Keys([u64; 2]);

/// The hash of a block's score and type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash {
    shard: u32,
    tag: u32,
}

impl Keys {
    fn random() -> Self {
        Keys([random::number() | 1, random::number() | 1])
    }

    /// A keyed hash: nobody who does not see the keys can make blocks that fall together.
    fn hash(&self, score: &Score, disk_type: u8) -> Hash {
        let (first, rest) = score
            .as_bytes()
            .split_first_chunk()
            .unwrap_or((&[0; 8], &[]));
        let (second, rest) = rest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let third = rest.first_chunk().unwrap_or(&[0; 4]);
        let [one, two] = self.0;
        let (first, second) = (u64::from_be_bytes(*first), u64::from_be_bytes(*second));
        let first = folded(first ^ one, second ^ two);
        let last = u64::from(u32::from_be_bytes(*third)) << 8 | u64::from(disk_type);
        let hash = folded(first ^ last ^ two, one.rotate_left(32));
        let low = |hash: u64, bits: u32| u32::try_from(hash & ((1 << bits) - 1)).unwrap_or(0);
        Hash {
            shard: low(hash, SHARD_BITS),
            tag: low(hash >> SHARD_BITS, TAG_BITS),
        }
    }
}

impl Hash {
    /// The slot of a clump with this hash.
    fn slot(self, address: u64) -> u64 {
        u64::from(self.tag) << ADDRESS_BITS | (address + 1)
    }

    /// The hash of a clump in this shard with this slot.
    fn of(shard: usize, slot: u64) -> Self {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Hash {
            shard: number(shard as u64),
            tag: number(slot >> ADDRESS_BITS),
        }
    }
}

impl Index {
    /// The hash of a block.
    pub(super) fn hash(&self, score: &Score, disk_type: u8) -> Hash {
        self.keys.hash(score, disk_type)
    }

    /// The addresses at which the block may be, the newest first.
    pub(super) fn find(&self, hash: Hash) -> Vec<u64> {
        let Some(shard) = self.shards.get(hash.shard as usize) else {
            return Vec::new();
        };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<u64> = shard
            .tagged(u64::from(hash.tag))
            .map(|(_, at)| at)
            .collect();
        drop(shard);
        if found.len() > 1 {
            found.sort_unstable_by(|a, b| b.cmp(a));
        }
        found
    }

    /// Adds a clump. Where many have the same hash, `is_same` is asked which of them are of
    /// the same block, and the oldest of those gives way.
    pub(super) fn insert(&self, hash: Hash, address: u64, is_same: impl Fn(u64) -> bool) {
        let Some(shard) = self.shards.get(hash.shard as usize) else {
            return;
        };
        let crowd = {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if shard.add(u64::from(hash.tag), address) {
                return;
            }
            shard
                .tagged(u64::from(hash.tag))
                .map(|(_, at)| at)
                .collect::<Vec<_>>()
        };
        let mut same: Vec<u64> = crowd.into_iter().filter(|&at| is_same(at)).collect();
        same.sort_unstable();
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        match same.first() {
            Some(&oldest) if same.len() >= COPIES => {
                shard.replace(u64::from(hash.tag), oldest, oldest.max(address));
            }
            _ => shard.force(u64::from(hash.tag), address),
        }
    }

    /// Bytes of its slots.
    pub(super) fn bytes(&self) -> u64 {
        let len = |shard: &RwLock<Shard>| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.slots.capacity() as u64
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
    slots: Vec<u64>,
    taken: usize,
}

impl Shard {
    /// Slots for this many clumps, before it grows.
    fn room_for(clumps: usize) -> usize {
        clumps.saturating_mul(FULL.1).div_ceil(FULL.0) + clumps / 32
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
        with_tag.map(|(at, slot)| (at, (slot & ADDRESS_MASK) - 1))
    }

    /// Adds a clump; false where there are [`COPIES`] with its tag already.
    fn add(&mut self, tag: u64, address: u64) -> bool {
        if (self.taken + 1) * FULL.1 > self.slots.len() * FULL.0 {
            self.grow();
        }
        self.put(tag << ADDRESS_BITS | (address + 1), COPIES)
    }

    /// Adds a clump, however many have its tag.
    fn force(&mut self, tag: u64, address: u64) {
        if (self.taken + 1) * FULL.1 > self.slots.len() * FULL.0 {
            self.grow();
        }
        self.put(tag << ADDRESS_BITS | (address + 1), usize::MAX);
    }

    fn put(&mut self, slot: u64, copies: usize) -> bool {
        let tag = slot >> ADDRESS_BITS;
        let place = self.place(tag);
        let (before, after) = self.slots.split_at_mut(place);
        let mut same = 0;
        for free in after.iter_mut().chain(before) {
            if *free == 0 {
                *free = slot;
                self.taken += 1;
                return true;
            }
            same += usize::from(*free >> ADDRESS_BITS == tag);
            if same >= copies {
                break;
            }
        }
        false
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * GROWTH.0 / GROWTH.1).max(8);
        let old = std::mem::replace(&mut self.slots, vec![0; len]);
        self.taken = 0;
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            self.put(slot, usize::MAX);
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

    fn empty() -> Index {
        Maker::with_room(0).index().0
    }

    /// Half of the clumps by a maker with room for `expected`, half one by one.
    fn both_ways(expected: u64, clumps: u64) -> Index {
        let maker = Maker::with_room(expected);
        let mut halves = [maker.gatherer(), maker.gatherer()];
        for n in 0..clumps / 2 {
            let [one, other] = &mut halves;
            let half = if n % 3 == 0 { one } else { other };
            half.push(&score(n), 13, n * 100);
        }
        halves.into_iter().for_each(Gatherer::finish);
        let (index, crowded) = maker.index();
        assert!(crowded.is_empty());
        for n in clumps / 2..clumps {
            index.insert(index.hash(&score(n), 13), n * 100, |_| false);
        }
        index
    }

    #[test]
    fn what_was_put_in_is_found_and_it_takes_at_most_12_bytes_a_clump() {
        for expected in [0, 150_000, 300_000] {
            let index = both_ways(expected, 300_000);
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
        let index = empty();
        index.insert(index.hash(&score(1), 13), 7, |_| false);
        assert_eq!(index.find(index.hash(&score(1), 13)), [7]);
        assert!(index.find(index.hash(&score(1), 2)).is_empty());
    }

    #[test]
    fn of_many_copies_a_maker_takes_a_few_and_gives_back_the_rest() {
        let maker = Maker::with_room(10);
        let mut clumps = maker.gatherer();
        for n in 0..1000 {
            clumps.push(&score(1), 13, n);
            clumps.push(&score(1), 13, n);
        }
        clumps.finish();
        let (index, crowded) = maker.index();
        assert_eq!(index.find(index.hash(&score(1), 13)), [3, 2, 1, 0]);
        let rest: Vec<u64> = crowded.iter().map(|(_, at)| *at).collect();
        assert_eq!(rest, (4..1000).collect::<Vec<_>>());
        for (hash, address) in crowded {
            index.insert(hash, address, |_| true);
        }
        let found = index.find(index.hash(&score(1), 13));
        assert_eq!(found, [999, 998, 997, 996]);
    }

    #[test]
    fn of_many_copies_the_newest_stay() {
        let index = empty();
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
