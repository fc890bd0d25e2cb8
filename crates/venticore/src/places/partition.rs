//! A partition of the source: what the rules see of it, and which places are the same in it.

use std::time::SystemTime;

use sha1::{Digest, Sha1};

use super::{Arena, Point};
use crate::dial::Dial;
use crate::score::Score;
use crate::wrcmds::Place;

/// An arena partition of the source: its arenas in the order of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// How it is named in wrcmd and wrcmds.
    pub name: String,
    /// Those that can be read.
    pub arenas: Vec<Arena>,
}

impl Partition {
    /// The end of everything.
    #[must_use]
    pub fn end(&self) -> Point {
        Point::new(self.arenas.len(), 0)
    }

    /// What tells the first `count` arenas from others, or from themselves
    /// with more in them: a hash over their places, names, magics and counters.
    #[must_use]
    pub fn fingerprint(&self, count: usize) -> Score {
        let mut hash = Sha1::new();
        for arena in self.arenas.iter().take(count) {
            hash.update(arena.head.to_be_bytes());
            hash.update(arena.name.to_field());
            hash.update(arena.magic.to_be_bytes());
            hash.update(arena.clumps.to_be_bytes());
            hash.update(arena.used.to_be_bytes());
        }
        Score::from_bytes(hash.finalize().into())
    }

    /// The line for a target that has acknowledged everything before a point
    /// whose last clump has the score `last`; `None` where no arena is there.
    ///
    /// The arenas must be those of the time when they were *read*: with counters of
    /// later, an arena that grew behind the place would go unnoticed.
    #[must_use]
    pub fn place(
        &self,
        target: &Dial,
        at: Point,
        last: Option<Score>,
        acknowledged: SystemTime,
    ) -> Option<Place> {
        let arena = self.arenas.get(at.arena)?;
        Some(Place {
            target: target.clone(),
            partition: self.name.clone(),
            head: arena.head,
            offset: at.offset,
            arena: Some(arena.name.clone()),
            magic: Some(arena.magic),
            last,
            before: Some(self.fingerprint(at.arena)),
            acknowledged: Some(acknowledged),
        })
    }

    /// Where to go on from a point: at the end of a sealed arena with the
    /// next one that has clumps. While there is none, the place stays.
    #[must_use]
    pub fn next_place(&self, at: Point) -> Point {
        let used_up = |arena: &Arena| arena.is_used_up(at.offset);
        if !self.arenas.get(at.arena).is_some_and(used_up) {
            return at;
        }
        let later = self.arenas.iter().enumerate().skip(at.arena + 1);
        let mut later = later.filter(|(_, arena)| arena.may_have_clumps());
        later.next().map_or(at, |(next, _)| Point::new(next, 0))
    }

    pub(super) fn find(&self, head: u64) -> Option<(usize, &Arena)> {
        let mut arenas = self.arenas.iter().enumerate();
        arenas.find(|(_, arena)| arena.head == head)
    }

    /// True where no clump lies between two points: the end of a used up
    /// arena and the start of the next are one place.
    pub(super) fn nothing_between(&self, from: Point, to: Point) -> bool {
        if from == to {
            return true;
        }
        let first = self.arenas.get(from.arena);
        let crossed = self.arenas.iter().take(to.arena).skip(from.arena + 1);
        from < to
            && to.offset == 0
            && first.is_some_and(|arena| arena.is_used_up(from.offset))
            && !crossed.into_iter().any(Arena::may_have_clumps)
    }

    pub(super) fn shown(&self, at: Point) -> String {
        match self.arenas.get(at.arena) {
            Some(arena) => format!("{:#x} in arena {} at {}", at.offset, arena.name, arena.head),
            None => "the end".to_owned(),
        }
    }
}
