//! One target in one partition of the source: how far behind it is, since when, and what is
//! damaged.

use std::fmt;
use std::time::SystemTime;

use super::age;
use crate::codec::wrcmds::{DamagedStretch, Progress, Wrcmds};
use crate::copy::cursor::{Behind, Cursor};
use crate::survey::part::Part;

/// One target in one partition.
#[derive(Clone, Debug)]
pub(super) struct TargetLag {
    /// Its place.
    pub(super) place: Progress,
    /// Clumps that it lacks or may lack; none where that is not known.
    pub(super) clumps: Option<u64>,
    /// The same in bytes of log.
    pub(super) bytes: Option<u64>,
    /// Arenas in which it lacks something.
    pub(super) arenas: Option<u64>,
    /// From here on it lacks, or may lack, what the source has.
    pub(super) from: Option<Cursor>,
    /// When the first clump that it lacks was written.
    pub(super) lacks_since: Option<SystemTime>,
    /// Why its place is not believed.
    pub(super) remarks: Vec<String>,
    /// The source no longer has this place.
    pub(super) is_gone: bool,
    pub(super) faults: Faults,
}

impl TargetLag {
    pub(super) fn new(behind: Behind, parts: &[Part], wrcmds: &Wrcmds) -> Self {
        let part = parts
            .iter()
            .find(|part| part.name == behind.place.partition);
        let seen = part.zip(behind.from);
        TargetLag {
            arenas: seen.map(|(part, from)| part.arenas_from(from)),
            lacks_since: seen.and_then(|(part, from)| part.written_from(from)),
            faults: Faults::of(&behind.place, wrcmds),
            place: behind.place,
            clumps: behind.clumps,
            bytes: behind.bytes,
            from: seen.map(|(_, from)| from),
            remarks: behind.remarks,
            is_gone: behind.is_gone,
        }
    }

    /// Whether it lacks nothing of what the source has on disk.
    pub(super) fn is_current(&self) -> bool {
        self.bytes == Some(0) && !self.is_gone
    }

    /// Whether its record is from a time to come: the clock was set back since.
    pub(super) fn is_of_the_future(&self, now: SystemTime) -> bool {
        let time = self.place.acknowledged;
        time.is_some_and(|time| age::is_future(time, now))
    }

    /// Whether it lacks something and was last acknowledged that many hours ago, or ever;
    /// or something is wrong with it that no later run mends by itself.
    pub(super) fn is_late(&self, hours: u64, now: SystemTime) -> bool {
        let silent = self.place.acknowledged.and_then(|time| age::of(time, now));
        // Where nothing was ever acknowledged, a place in a log counts as not reached.
        let lacks =
            self.bytes != Some(0) || self.place.acknowledged.is_none() && self.place.offset > 0;
        let is_overdue = lacks && silent.is_none_or(|silent| silent >= age::hours(hours));
        let is_damaged = self.faults != Faults::default();
        is_overdue || self.is_gone || is_damaged || self.is_of_the_future(now)
    }

    /// How old the oldest clump is that it lacks, in seconds; 0 where it lacks none.
    pub(super) fn lag_seconds(&self, now: SystemTime) -> Option<u64> {
        if self.is_current() {
            return Some(0);
        }
        let since = self.lacks_since?;
        Some(now.duration_since(since).unwrap_or_default().as_secs())
    }

    /// It has everything that was stored in this partition before this time; none where that
    /// is not known.
    pub(super) fn has_until(&self, now: SystemTime) -> Option<SystemTime> {
        let acknowledged = self.place.acknowledged;
        let is_past = |time: &SystemTime| !age::is_future(*time, now);
        match self.bytes? {
            _ if self.is_gone => None,
            // Nothing is stored there.
            0 if acknowledged.is_none() && self.place.offset == 0 => Some(now),
            0 => acknowledged.filter(is_past),
            _ => self.lacks_since.filter(is_past),
        }
    }
}

/// How much damage is on record of a target in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Blocks that the target could not give back.
    pub(super) unreadable: u64,
    /// There are more of them than are on record.
    pub(super) more: bool,
    /// Clumps that are damaged in the source, and that the target does not have.
    pub(super) damaged: u64,
    /// Clumps that are damaged in the source, and that the target has whole.
    pub(super) damaged_there: u64,
}

impl Faults {
    pub(super) fn of(place: &Progress, wrcmds: &Wrcmds) -> Self {
        let (target, partition) = (&place.target, &place.partition);
        let mut faults = Faults::default();
        for block in wrcmds.unreadable(target, partition) {
            match block.block() {
                Some(_) => faults.unreadable += 1,
                None => faults.more = true,
            }
        }
        let damages = wrcmds.damages(target, partition);
        let open = damages.filter(|damage| !damage.accepted);
        let clumps = |damage: &DamagedStretch| damage.clumps.max(1);
        faults.damaged = open.map(clumps).sum();
        faults.damaged_there = wrcmds.spared(target, partition).map(clumps).sum();
        faults
    }

    /// Whether the target lacks blocks, or has them and cannot give them back.
    pub(super) fn is_loss(&self) -> bool {
        self.unreadable + self.damaged > 0 || self.more
    }
}

impl fmt::Display for Faults {
    /// What comes behind a line of the list: nothing where all is well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Faults { more: true, .. } => write!(f, ", more than {} unreadable", self.unreadable)?,
            Faults { unreadable: 0, .. } => {}
            Faults { unreadable, .. } => write!(f, ", {unreadable} unreadable")?,
        }
        let counts = [(self.damaged, "missing"), (self.damaged_there, "whole")];
        let mut met = counts.iter().filter(|(clumps, _)| *clumps > 0);
        met.try_for_each(|(clumps, what)| {
            write!(
                f,
                ", {clumps} damaged in the source and {what} on the target"
            )
        })
    }
}
