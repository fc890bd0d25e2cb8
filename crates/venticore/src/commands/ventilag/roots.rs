//! The roots on record, newest first, and which venti has each: by what was read back, and by
//! what was acknowledged.

use std::collections::HashMap;
use std::time::SystemTime;

use super::age;
use crate::codec::rootscor::RecordedRoot;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::verified::{Verdict, Verified};

/// What is known of a root on a venti. The better comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// Every block was read back there.
    Whole(SystemTime),
    /// It said that it has every block.
    Present(SystemTime),
    /// It acknowledged everything that was stored up to then.
    Acknowledged,
    /// The same, but it lost blocks, or never got those that are damaged in the source.
    Doubtful,
    /// Nothing says whether it has it.
    Unknown,
    /// It lacks what was stored before the root was recorded.
    Behind,
    /// A block is missing there.
    Missing(SystemTime),
    /// A block is damaged there.
    Damaged(SystemTime),
}

impl Holding {
    /// The word for it, in JSON, in metrics and on the page.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Whole(_) => "whole",
            Self::Present(_) => "present",
            Self::Acknowledged => "acknowledged",
            Self::Doubtful => "doubtful",
            Self::Unknown => "unknown",
            Self::Behind => "behind",
            Self::Missing(_) => "missing",
            Self::Damaged(_) => "damaged",
        }
    }

    /// When it was looked at, where it was.
    pub(super) fn time(self) -> Option<SystemTime> {
        match self {
            Self::Whole(time) | Self::Present(time) | Self::Missing(time) | Self::Damaged(time) => {
                Some(time)
            }
            _ => None,
        }
    }

    /// The place in the order of these words.
    fn rank(self) -> u8 {
        match self {
            Self::Whole(_) => 0,
            Self::Present(_) => 1,
            Self::Acknowledged => 2,
            Self::Doubtful => 3,
            Self::Unknown => 4,
            Self::Behind => 5,
            Self::Missing(_) => 6,
            Self::Damaged(_) => 7,
        }
    }

    /// Whether a restore from there is expected to succeed.
    pub(super) fn is_good(self) -> bool {
        self.rank() <= Self::Acknowledged.rank()
    }

    /// Whether it was looked at, and is not all there.
    pub(super) fn is_bad(self) -> bool {
        matches!(self, Self::Missing(_) | Self::Damaged(_))
    }

    /// Whether nothing speaks against it.
    pub(super) fn is_possible(self) -> bool {
        self.rank() <= Self::Unknown.rank()
    }
}

/// What a venti is known to have, apart from single roots.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) dial: TargetName,
    /// It has everything that was stored before this time.
    pub(super) has_until: Option<SystemTime>,
    /// When it last acknowledged anything.
    pub(super) acknowledged: Option<SystemTime>,
    /// It lost blocks, or never got some.
    pub(super) has_loss: bool,
    /// A restore is expected to come from there: it is a target; where there are none, it is
    /// not the source.
    pub(super) is_copy: bool,
}

/// A root on record.
#[derive(Clone, Debug)]
pub(super) struct HeldRoot {
    /// When it was recorded for the first time.
    pub(super) recorded: Option<SystemTime>,
    /// What each venti has of it, in the order of the holders.
    pub(super) on: Vec<Holding>,
}

impl HeldRoot {
    /// Whether it was looked for on a copy and is not all there, and no copy is known to
    /// have it.
    pub(super) fn is_lost(&self, holders: &[Holder]) -> bool {
        let copies = || self.on.iter().zip(holders).filter(|(_, of)| of.is_copy);
        copies().any(|(on, _)| on.is_bad()) && !copies().any(|(on, _)| on.is_good())
    }

    /// The copy with the best claim, by its number among the holders.
    pub(super) fn best(&self, holders: &[Holder]) -> Option<(usize, Holding)> {
        let on = self.on.iter().copied().zip(holders).enumerate();
        let copies = on.filter(|(_, (_, holder))| holder.is_copy);
        let best = copies.min_by_key(|(_, (holding, _))| holding.rank());
        best.map(|(number, (holding, _))| (number, holding))
    }
}

/// A file system, and its roots.
#[derive(Clone, Debug)]
pub(super) struct FileSystem {
    /// Its partition; none for roots that `rootscor` does not have, and that were given to
    /// rootcheck.
    pub(super) partition: Option<String>,
    /// The newest first.
    pub(super) roots: Vec<HeldRoot>,
}

impl FileSystem {
    /// The most roots of one that are kept.
    const MOST: usize = 400;

    /// When its newest root was recorded.
    pub(super) fn newest(&self) -> Option<SystemTime> {
        self.roots.first().and_then(|root| root.recorded)
    }
}

/// The file systems on record, the one that was recorded last first.
pub(super) fn file_systems(
    recorded: &[RecordedRoot],
    verdicts: &[Verified],
    holders: &[Holder],
    now: SystemTime,
) -> Vec<FileSystem> {
    let last = standing(verdicts);
    let on = |score: Score, time: Option<SystemTime>| -> Vec<Holding> {
        let holding = |holder: &Holder| match last.get(&(score, &holder.dial)) {
            Some(verdict) => of_verdict(verdict),
            None => by_acknowledgement(holder, time, now),
        };
        holders.iter().map(holding).collect()
    };
    // From the newest line on, so that the first of each partition is its newest.
    let mut found: Vec<(FileSystem, Vec<Score>)> = Vec::new();
    for root in recorded.iter().rev() {
        let of = found
            .iter()
            .position(|(of, _)| of.partition.as_ref() == Some(&root.partition));
        let of = of.unwrap_or_else(|| {
            let partition = Some(root.partition.clone());
            let roots = Vec::new();
            found.push((FileSystem { partition, roots }, Vec::new()));
            found.len() - 1
        });
        let Some((of, scores)) = found.get_mut(of) else {
            continue;
        };
        let has_room = of.roots.len() < FileSystem::MOST;
        match of.roots.last_mut() {
            // An older record of the same root: it is as old as that says.
            Some(newer) if scores.last() == Some(&root.score) => {
                newer.recorded = root.time.or(newer.recorded);
                newer.on = on(root.score, newer.recorded);
            }
            _ if has_room => {
                of.roots.push(HeldRoot {
                    recorded: root.time,
                    on: on(root.score, root.time),
                });
                scores.push(root.score);
            }
            _ => {}
        }
    }
    let mut all: Vec<FileSystem> = found.into_iter().map(|(of, _)| of).collect();
    all.extend(unrecorded(recorded, verdicts, &on));
    all
}

/// The verdict that counts for each root and venti: the last one, except that to be asked
/// whether it has all blocks is less than to have them read back, whole or damaged.
pub(super) fn standing(verdicts: &[Verified]) -> HashMap<(Score, &TargetName), &Verified> {
    let mut last: HashMap<(Score, &TargetName), &Verified> = HashMap::new();
    for verdict in verdicts {
        let before = last.get(&(verdict.score, &verdict.target));
        let was_read =
            |before: &&Verified| matches!(before.verdict, Verdict::Whole | Verdict::Damaged);
        if verdict.verdict != Verdict::Present || !before.is_some_and(was_read) {
            last.insert((verdict.score, &verdict.target), verdict);
        }
    }
    last
}

/// The roots that only rootcheck knows, the one that was looked at last first.
fn unrecorded(
    recorded: &[RecordedRoot],
    verdicts: &[Verified],
    on: &dyn Fn(Score, Option<SystemTime>) -> Vec<Holding>,
) -> Option<FileSystem> {
    let mut scores: Vec<Score> = Vec::new();
    for verdict in verdicts.iter().rev() {
        let is_known = recorded.iter().any(|root| root.score == verdict.score);
        if !is_known && !scores.contains(&verdict.score) && scores.len() < FileSystem::MOST {
            scores.push(verdict.score);
        }
    }
    let root = |score| HeldRoot {
        recorded: None,
        on: on(score, None),
    };
    let roots: Vec<HeldRoot> = scores.into_iter().map(root).collect();
    (!roots.is_empty()).then_some(FileSystem {
        partition: None,
        roots,
    })
}

fn of_verdict(verdict: &Verified) -> Holding {
    let time = verdict.time;
    match verdict.verdict {
        Verdict::Whole => Holding::Whole(time),
        Verdict::Present => Holding::Present(time),
        Verdict::Missing => Holding::Missing(time),
        Verdict::Damaged => Holding::Damaged(time),
    }
}

fn by_acknowledgement(holder: &Holder, recorded: Option<SystemTime>, now: SystemTime) -> Holding {
    let recorded = recorded.filter(|time| !age::is_future(*time, now));
    match recorded.zip(holder.has_until) {
        None => Holding::Unknown,
        Some((recorded, until)) if recorded >= until => Holding::Behind,
        Some(_) if holder.has_loss => Holding::Doubtful,
        Some(_) => Holding::Acknowledged,
    }
}
