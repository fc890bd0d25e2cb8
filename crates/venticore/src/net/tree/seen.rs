//! What a walk met before.
//!
//! A block is known by 63 bits of a hash of its type and score, and by its place in the
//! table, which follows from another such hash. Both have keys that are drawn for each
//! walk, so nobody can make an archive in which an unread block passes for one that was
//! read; by chance that happens less often than once in 2^50 blocks. Whole scores would
//! take two and a half times the memory.

use std::hash::{BuildHasher, RandomState};

use crate::codec::score::Score;

/// Places in the first table, 64 KiB. Each further one has twice as many.
const FIRST: usize = 1 << 13;

/// Visits of pointer and directory blocks that could not be remembered, after which a walk
/// is given up: in a small archive that unfolds to a huge one it could take for ever.
pub(super) const FORGOTTEN_MAX: u64 = 1 << 26;

/// The bit that marks a leaf.
const LEAF: u64 = 1;

/// A block type and a score.
pub(super) type Key = [u8; Score::LEN + 1];

/// What was met before.
pub(super) struct Seen {
    hashes: [RandomState; 2],
    tables: Vec<Table>,
    /// The most bytes of all tables.
    limit: usize,
    forgotten: u64,
}

/// Open addressing; a place with 0 is free.
struct Table {
    places: Vec<u64>,
    used: usize,
}

/// What is at the place of a key.
enum Found {
    Known,
    Free(usize),
}

impl Table {
    fn of(count: usize) -> Self {
        Table {
            places: vec![0; count],
            used: 0,
        }
    }

    /// No more is put there, unless a block with children finds no other place.
    fn is_full(&self) -> bool {
        self.used >= self.places.len() / 4 * 3
    }

    /// Puts a block with children where there is still a free place.
    fn squeeze(&mut self, hash: u64, mark: u64) -> bool {
        if self.used >= self.places.len() / 16 * 15 {
            return false;
        }
        match self.find(hash, mark) {
            Found::Free(at) => self.put(at, mark),
            Found::Known => false,
        }
    }

    /// The places at which a key may be: from its own to the next one that is free.
    fn run(&self, hash: u64) -> impl Iterator<Item = (usize, u64)> + '_ {
        let count = self.places.len();
        let from = usize::try_from(hash % count.max(1) as u64).unwrap_or(0);
        let order = (from..count).chain(0..from);
        order.filter_map(|at| Some((at, *self.places.get(at)?)))
    }

    fn find(&self, hash: u64, mark: u64) -> Found {
        for (at, found) in self.run(hash) {
            match found {
                0 => return Found::Free(at),
                found if found == mark => return Found::Known,
                _ => {}
            }
        }
        Found::Free(0)
    }

    /// Puts a key in the place of a leaf, if there is one where it may be.
    fn replace_leaf(&mut self, hash: u64, mark: u64) -> bool {
        let mut run = self.run(hash).take_while(|(_, found)| *found != 0);
        let leaf = run.find(|(_, found)| found & LEAF != 0);
        drop(run);
        match leaf.and_then(|(at, _)| self.places.get_mut(at)) {
            Some(place) => {
                *place = mark;
                true
            }
            None => false,
        }
    }
}

impl Seen {
    /// The most bytes of what one run remembers, of all targets together.
    pub(super) const LIMIT: usize = 64 << 20;

    /// Nothing; it grows up to this many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Seen {
            hashes: [RandomState::new(), RandomState::new()],
            tables: Vec::new(),
            limit,
            forgotten: 0,
        }
    }

    /// Too many pointer and directory blocks could not be remembered.
    pub(super) fn is_lost(&self) -> bool {
        self.forgotten > FORGOTTEN_MAX
    }

    /// Remembers a block; false where it was known. Where all is full, a block takes the
    /// place of a leaf. One that finds none is not remembered, and is looked at again when
    /// it is met again.
    pub(super) fn insert(&mut self, key: &Key, is_leaf: bool) -> bool {
        let [hash, mark] = [0, 1].map(|n| self.hashes.get(n).map_or(0, |h| h.hash_one(key)));
        let mark = (mark & !LEAF).max(2) | if is_leaf { LEAF } else { 0 };
        let mut free = None;
        for table in &self.tables {
            match table.find(hash, mark) {
                Found::Known => return false,
                Found::Free(at) => free = Some(at),
            }
        }
        if let (Some(at), Some(last)) = (free, self.tables.last_mut())
            && !last.is_full()
        {
            return last.put(at, mark);
        }
        if let Some(table) = self.grow() {
            let at = match table.find(hash, mark) {
                Found::Free(at) => at,
                Found::Known => 0,
            };
            return table.put(at, mark);
        }
        let mut tables = self.tables.iter_mut().rev();
        let mut is_kept = tables.any(|table| table.replace_leaf(hash, mark));
        if !is_kept && !is_leaf {
            let mut tables = self.tables.iter_mut().rev();
            is_kept = tables.any(|table| table.squeeze(hash, mark));
            self.forgotten += u64::from(!is_kept);
        }
        true
    }

    /// Another table, where there is room for one.
    fn grow(&mut self) -> Option<&mut Table> {
        const PLACE: usize = size_of::<u64>();
        let held: usize = self.tables.iter().map(|t| t.places.len() * PLACE).sum();
        let next = self.tables.last().map_or(FIRST, |t| t.places.len() * 2);
        let has_room = self.tables.is_empty() || held + next * PLACE <= self.limit;
        has_room.then(|| self.tables.push(Table::of(next)))?;
        self.tables.last_mut()
    }
}

impl Table {
    /// Fills a place that is free. True: the key is new.
    fn put(&mut self, at: usize, mark: u64) -> bool {
        if let Some(place) = self.places.get_mut(at) {
            *place = mark;
            self.used += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64, kind: u8) -> Key {
        let mut key = [kind; Score::LEN + 1];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn bytes(seen: &Seen) -> usize {
        seen.tables.iter().map(|t| t.places.len() * 8).sum()
    }

    #[test]
    fn what_was_met_is_known_and_nothing_else() {
        let mut seen = Seen::new(4 << 20);
        for number in 0..100_000 {
            assert!(seen.insert(&key(number, 1), number % 3 == 0), "{number}");
        }
        for number in 0..100_000 {
            assert!(!seen.insert(&key(number, 1), number % 3 == 0), "{number}");
            assert!(seen.insert(&key(number, 2), false), "{number}");
        }
        assert!(bytes(&seen) <= 4 << 20);
    }

    #[test]
    fn leaves_give_way_to_pointers_and_no_more_than_the_limit_is_held() {
        let limit = 192 << 10;
        let mut seen = Seen::new(limit);
        let places = (FIRST * 3) as u64;
        for number in 0..places {
            assert!(seen.insert(&key(number, 1), true));
        }
        assert!(!seen.is_lost() && seen.forgotten == 0);
        let pointers = places / 2;
        for number in 0..pointers {
            assert!(seen.insert(&key(number, 2), false));
        }
        assert_eq!((bytes(&seen), seen.forgotten), (limit, 0));
        let known = (0..pointers).filter(|&n| !seen.insert(&key(n, 2), false));
        assert_eq!(known.count() as u64, pointers);
        // As many again have no place: they are new each time, and that is counted.
        for number in 0..2 * places {
            let _ = seen.insert(&key(number, 3), false);
        }
        assert!(seen.forgotten > places / 2, "{}", seen.forgotten);
        assert_eq!(bytes(&seen), limit);
        seen.forgotten = FORGOTTEN_MAX + 1;
        assert!(seen.is_lost());
    }
}
