//! What a walk met before.

use std::collections::HashSet;

use crate::codec::score::Score;

/// The most pointer and directory blocks that are remembered: as many as an
/// archive of some 50 TB in 8 KiB blocks has. An archive with more is not walked to
/// its end: without the memory a small one could take for ever.
pub(super) const SEEN_MAX: usize = 1 << 24;

/// Leaves that are remembered.
const LEAVES: usize = 1 << 18;

/// A block type and a score.
pub(super) type Key = [u8; Score::LEN + 1];

/// What was met before.
pub(super) struct Seen {
    blocks: HashSet<Key>,
    leaves: Vec<Key>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Seen {
            blocks: HashSet::new(),
            leaves: Vec::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.blocks.len() > SEEN_MAX
    }

    /// Remembers a pointer or directory block; false where it was known.
    pub(super) fn block(&mut self, key: Key) -> bool {
        self.blocks.insert(key)
    }

    /// Remembers a leaf, in place of another one; false where it was known.
    pub(super) fn leaf(&mut self, key: &Key) -> bool {
        if self.leaves.is_empty() {
            self.leaves.resize(LEAVES, [0; Score::LEN + 1]);
        }
        let number = key.iter().skip(1).take(8);
        let number = number.fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
        let place = usize::try_from(number % LEAVES as u64).unwrap_or(0);
        match self.leaves.get_mut(place) {
            Some(known) if known == key => false,
            Some(known) => {
                *known = *key;
                true
            }
            None => true,
        }
    }
}
