//! Making the index of all clumps that are there already.
//!
//! The slots of a shard are held in the order in which they come, and go to their places once
//! all are known: sorted, so that each stands at its place or right behind the one before it.
//! No free slot is looked for, and a shard fits into a processor's cache, the table does not.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;

use super::{ADDRESS_BITS, ADDRESS_MASK, COPIES, Hash, Index, Keys, SHARDS, Shard};
use crate::codec::score::Score;

/// Slots for one shard that a [`Gatherer`] holds before it takes the lock of the shard.
const HELD: usize = 32;

/// What becomes an index. Until then the slots of a shard are in no order.
pub(in crate::store) struct Maker {
    shards: Box<[RwLock<Shard>]>,
    keys: Keys,
}

impl Maker {
    /// One with room for this many clumps before a shard grows.
    pub(in crate::store) fn with_room(clumps: u64) -> Self {
        let each = usize::try_from(clumps / SHARDS as u64).unwrap_or(0);
        let shard = |_| {
            RwLock::new(Shard {
                slots: Vec::with_capacity(Shard::room_for(each)),
                taken: 0,
            })
        };
        Maker {
            shards: (0..SHARDS).map(shard).collect(),
            keys: Keys::random(),
        }
    }

    /// What one thread gathers clumps with.
    pub(in crate::store) fn gatherer(&self) -> Gatherer<'_> {
        Gatherer {
            maker: self,
            slots: vec![[0; HELD]; SHARDS],
            held: vec![0; SHARDS],
        }
    }

    /// The index, by all cores, and the clumps for which [`Index::insert`] has to ask.
    pub(in crate::store) fn index(self) -> (Index, Vec<(Hash, u64)>) {
        let next = AtomicUsize::new(0);
        let crowded = Mutex::new(Vec::new());
        let one = || {
            let (mut held, mut crowd) = (Vec::new(), Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(shard) = self.shards.get(number) else {
                    break;
                };
                let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
                shard.settle(&mut held, |slot| {
                    crowd.push((Hash::of(number, slot), address(slot)));
                });
            }
            let mut crowded = crowded.lock().unwrap_or_else(PoisonError::into_inner);
            crowded.append(&mut crowd);
        };
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            for _ in 1..cores {
                scope.spawn(one);
            }
            one();
        });
        let index = Index {
            shards: self.shards,
            keys: self.keys,
        };
        let crowded = crowded.into_inner();
        (index, crowded.unwrap_or_else(PoisonError::into_inner))
    }
}

/// Clumps on their way into a [`Maker`].
pub(in crate::store) struct Gatherer<'a> {
    maker: &'a Maker,
    slots: Vec<[u64; HELD]>,
    /// How many of each are taken.
    held: Vec<usize>,
}

impl Gatherer<'_> {
    /// Adds a clump. It is in the index if [`Gatherer::finish`] is called.
    pub(in crate::store) fn push(&mut self, score: &Score, disk_type: u8, address: u64) {
        let hash = self.maker.keys.hash(score, disk_type);
        let number = hash.shard as usize;
        let (Some(slots), Some(held)) = (self.slots.get_mut(number), self.held.get_mut(number))
        else {
            return;
        };
        if let Some(slot) = slots.get_mut(*held) {
            *slot = hash.slot(address);
            *held += 1;
        }
        if *held == HELD {
            self.maker.append(number, slots);
            *held = 0;
        }
    }

    /// Gives what it holds to its maker.
    pub(in crate::store) fn finish(self) {
        for (number, (slots, &held)) in self.slots.iter().zip(&self.held).enumerate() {
            self.maker
                .append(number, slots.get(..held).unwrap_or_default());
        }
    }
}

impl Maker {
    fn append(&self, number: usize, slots: &[u64]) {
        if let Some(shard) = self.shards.get(number) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.slots.extend_from_slice(slots);
        }
    }
}

impl Shard {
    /// Puts the slots, which are held in any order, where they are looked for. Those with a
    /// tag that [`COPIES`] have already go to `crowd`. `held` is room to work in.
    fn settle(&mut self, held: &mut Vec<u64>, mut crowd: impl FnMut(u64)) {
        self.slots.sort_unstable();
        // The clumps of an arena whose directory was given up half-way came twice.
        self.slots.dedup();
        held.clear();
        for with_tag in self.slots.chunk_by(|one, other| tag(*one) == tag(*other)) {
            let (few, rest) = with_tag.split_at(with_tag.len().min(COPIES));
            held.extend_from_slice(few);
            rest.iter().copied().for_each(&mut crowd);
        }
        self.slots.clear();
        self.slots.resize(Shard::room_for(held.len()), 0);
        if self.slots.capacity() > self.slots.len() / 8 * 9 {
            self.slots.shrink_to_fit();
        }
        let mut free = 0;
        for &slot in held.iter() {
            let at = free.max(self.place(tag(slot)));
            match self.slots.get_mut(at) {
                Some(room) => {
                    *room = slot;
                    self.taken += 1;
                    free = at + 1;
                }
                // Behind the end the first ones follow.
                None => drop(self.put(slot, usize::MAX)),
            }
        }
    }
}

fn tag(slot: u64) -> u64 {
    slot >> ADDRESS_BITS
}

fn address(slot: u64) -> u64 {
    (slot & ADDRESS_MASK) - 1
}
