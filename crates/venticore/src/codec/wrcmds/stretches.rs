//! Damage as few stretches: neighbours are one, and there is a most of them.

use super::DamagedStretch;

/// Stretches of damage in the order of arenas and offsets.
///
/// New damage that touches a stretch becomes part of it. Where there are more
/// than [`Stretches::MOST`], the stretches of an arena with the least between
/// them become one, whole clumps in between included. What an operator has accepted
/// is never made longer, nor part of another.
#[derive(Clone, Debug, Default)]
pub struct Stretches {
    list: Vec<DamagedStretch>,
    /// How long the list may become before it is made shorter again.
    limit: usize,
}

impl Stretches {
    /// The most stretches, accepted ones aside. There may be one for each
    /// arena all the same, and one before and after each accepted one.
    pub const MOST: usize = 1000;

    /// Starts with these, as they are.
    #[must_use]
    pub fn new(known: impl IntoIterator<Item = DamagedStretch>) -> Self {
        let mut list: Vec<DamagedStretch> = known.into_iter().collect();
        list.sort_by_key(DamagedStretch::key);
        Stretches {
            limit: list.len() + Self::MOST,
            list,
        }
    }

    /// Adds one, if no stretch covers it.
    pub fn add(&mut self, new: DamagedStretch) {
        let after = self.list.partition_point(|d| d.key() <= new.key());
        let mut at = after;
        let before = after.checked_sub(1);
        match before.and_then(|before| self.list.get_mut(before)) {
            Some(last) if same_arena(last, &new) && last.end() >= new.end() => return,
            Some(last) if last.key() == new.key() => {
                *last = new;
                at = after - 1;
            }
            Some(last) if touches(last, &new) => {
                join(last, &new);
                at = after - 1;
            }
            _ => self.list.insert(after, new),
        }
        self.absorb_next(at);
        if self.list.len() > self.limit {
            self.shorten();
            self.limit = self.list.len() + Self::MOST;
        }
    }

    /// The stretch at `at` has become longer: what it now touches is part of it.
    fn absorb_next(&mut self, at: usize) {
        while let (Some(last), Some(next)) = (self.list.get(at), self.list.get(at + 1))
            && touches(last, next)
        {
            let next = self.list.remove(at + 1);
            if let Some(last) = self.list.get_mut(at) {
                join(last, &next);
            }
        }
    }

    /// Joins those with the least between them, until there are few enough.
    fn shorten(&mut self) {
        let open = self.list.iter().filter(|damage| !damage.accepted).count();
        let Some(spare @ 1..) = open.checked_sub(Self::MOST) else {
            return;
        };
        let pairs = self.list.iter().zip(self.list.iter().skip(1));
        let mut gaps: Vec<(u64, (u64, u32, u64))> = pairs
            .filter(|(one, next)| may_join(one, next))
            .map(|(one, next)| (next.offset.saturating_sub(one.end()), next.key()))
            .collect();
        gaps.sort_unstable();
        gaps.truncate(spare);
        let mut joined: Vec<_> = gaps.into_iter().map(|(_, next)| next).collect();
        joined.sort_unstable();
        let mut list: Vec<DamagedStretch> = Vec::with_capacity(self.list.len());
        for damage in self.list.drain(..) {
            match list.last_mut() {
                Some(last) if joined.binary_search(&damage.key()).is_ok() => join(last, &damage),
                _ => list.push(damage),
            }
        }
        self.list = list;
    }

    /// The stretches.
    #[must_use]
    pub fn into_list(mut self) -> Vec<DamagedStretch> {
        self.shorten();
        self.list
    }
}

fn same_arena(one: &DamagedStretch, other: &DamagedStretch) -> bool {
    (one.head, one.magic) == (other.head, other.magic)
}

fn may_join(one: &DamagedStretch, next: &DamagedStretch) -> bool {
    same_arena(one, next) && !one.accepted && !next.accepted
}

/// True where `next`, which begins no earlier, begins no later than `one` ends.
fn touches(one: &DamagedStretch, next: &DamagedStretch) -> bool {
    may_join(one, next) && next.offset <= one.end()
}

fn join(one: &mut DamagedStretch, next: &DamagedStretch) {
    one.len = one.end().max(next.end()) - one.offset;
    one.clumps = one.clumps.saturating_add(next.clumps);
    one.block_type = None;
    one.score = None;
}
