//! A partition of the source: what the rules see of it, and which places are the same in it.

use std::cmp::Ordering;
use std::time::SystemTime;

use sha1::{Digest, Sha1};

use super::{ArenaView, Clumps, Cursor};
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::wrcmds::Progress;

/// An arena partition of the source: its arenas in the order of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// How it is named in wrcmd and wrcmds.
    pub name: String,
    /// Those that can be read.
    pub arenas: Vec<ArenaView>,
}

impl PartitionView {
    /// The end of everything.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor::new(self.arenas.len(), 0)
    }

    /// Whether a line stands where the log ended when these arenas were read.
    #[must_use]
    pub fn ends_at(&self, line: &Progress) -> bool {
        let Some((index, arena)) = self.find(line.head) else {
            return false;
        };
        let mut later = self.arenas.iter().skip(index + 1);
        !arena.uncounted && line.offset >= arena.used && !later.any(ArenaView::may_have_clumps)
    }

    /// What tells the first `count` arenas from others, or from themselves
    /// with more in them: a hash over their places, names, magics and counters.
    #[must_use]
    pub fn fingerprint(&self, count: usize) -> Score {
        Self::fingerprint_of(self.arenas.iter().take(count).map(ArenaView::counted))
    }

    fn fingerprint_of<'a>(arenas: impl Iterator<Item = (&'a ArenaView, u64, u64)>) -> Score {
        let mut hash = Sha1::new();
        for (arena, clumps, used) in arenas {
            hash.update(arena.head.to_be_bytes());
            hash.update(arena.name.to_field());
            hash.update(arena.magic.to_be_bytes());
            hash.update(clumps.to_be_bytes());
            hash.update(used.to_be_bytes());
        }
        Score::from_bytes(hash.finalize().into())
    }

    /// Where the log ended when these arenas were read, if that was before a
    /// point: in the first of the arenas before it that could still be filled. None
    /// where the next ones had clumps as well: nobody knows then where the log ended.
    #[must_use]
    pub fn end_before(&self, at: Cursor) -> Option<Cursor> {
        let earlier = self.arenas.iter().enumerate().take(at.arena);
        let (open, arena) = earlier.clone().find(|(_, arena)| !arena.sealed)?;
        let mut later = earlier.skip(open + 1);
        later
            .all(|(_, arena)| arena.clumps == 0 && !arena.may_have_clumps())
            .then(|| Cursor::new(open, arena.used))
    }

    /// Where a target goes on whose line says where the log ended in an arena
    /// before its own, if all that has happened since to the arenas before the line's
    /// is that they were filled from there on.
    ///
    /// # Errors
    /// The source could not be read.
    pub(super) fn filled_from(
        &self,
        line: &Progress,
        count: usize,
        source: &dyn Clumps,
    ) -> Result<Option<Cursor>, eyre::Report> {
        let (Some(open), Some(before)) = (&line.open, line.before) else {
            return Ok(None);
        };
        let found = self.find(open.head).filter(|(index, _)| *index < count);
        let Some((index, arena)) = found else {
            return Ok(None);
        };
        let clumps = match open.offset {
            0 => Some(0),
            offset if source.score_before(&self.name, open.head, offset)? != open.last => None,
            offset if offset >= arena.used => Some(arena.clumps),
            offset => {
                let since = source.clumps_from(&self.name, open.head, offset)?;
                since.and_then(|since| arena.clumps.checked_sub(since))
            }
        };
        let arenas = self.arenas.iter().take(count).enumerate();
        let then = |clumps| {
            Self::fingerprint_of(arenas.map(|(number, arena)| match number.cmp(&index) {
                Ordering::Less => arena.counted(),
                Ordering::Equal => (arena, clumps, open.offset),
                Ordering::Greater => (arena, 0, 0),
            }))
        };
        let is_same = clumps.is_some_and(|clumps| then(clumps) == before);
        Ok(is_same.then(|| Cursor::new(index, open.offset)))
    }

    /// The line for a target that has acknowledged everything before a point
    /// whose last clump has the score `last`; `None` where no arena is there.
    ///
    /// The arenas must be as they were when they were *read*: with later counters,
    /// an arena that grew behind the place would go unnoticed.
    #[must_use]
    pub fn place(
        &self,
        target: &TargetName,
        at: Cursor,
        last: Option<Score>,
        acknowledged: SystemTime,
    ) -> Option<Progress> {
        let arena = self.arenas.get(at.arena)?;
        Some(Progress {
            target: target.clone(),
            partition: self.name.clone(),
            head: arena.head,
            offset: at.offset,
            arena: Some(arena.name.clone()),
            magic: Some(arena.magic),
            last,
            before: Some(self.fingerprint(at.arena)),
            open: None,
            acknowledged: Some(acknowledged),
        })
    }

    /// Where to go on from a point: at the end of a sealed arena with the
    /// next one that has clumps. While there is none, the place stays.
    #[must_use]
    pub fn next_place(&self, at: Cursor) -> Cursor {
        let used_up = |arena: &ArenaView| arena.is_used_up(at.offset);
        if !self.arenas.get(at.arena).is_some_and(used_up) {
            return at;
        }
        let later = self.arenas.iter().enumerate().skip(at.arena + 1);
        let mut later = later.filter(|(_, arena)| arena.may_have_clumps());
        later.next().map_or(at, |(next, _)| Cursor::new(next, 0))
    }

    pub(super) fn find(&self, head: u64) -> Option<(usize, &ArenaView)> {
        let mut arenas = self.arenas.iter().enumerate();
        arenas.find(|(_, arena)| arena.head == head)
    }

    /// True where no clump lies between two points: the end of a used up
    /// arena and the start of the next are one place.
    pub(super) fn nothing_between(&self, from: Cursor, to: Cursor) -> bool {
        if from == to {
            return true;
        }
        let first = self.arenas.get(from.arena);
        let crossed = self.arenas.iter().take(to.arena).skip(from.arena + 1);
        from < to
            && to.offset == 0
            && first.is_some_and(|arena| arena.is_used_up(from.offset))
            && !crossed.into_iter().any(ArenaView::may_have_clumps)
    }

    pub(super) fn shown(&self, at: Cursor) -> String {
        match self.arenas.get(at.arena) {
            Some(arena) => format!("{:#x} in arena {} at {}", at.offset, arena.name, arena.head),
            None => "the end".to_owned(),
        }
    }
}
