//! All that is known: what each output is made from.

use std::collections::HashSet;
use std::time::SystemTime;

use super::Options;
use super::age;
use super::answer::RestoreAnswer;
use super::look::Seen;
use super::roots::{self, FileSystem, Holder};
use super::targetlag::TargetLag;
use crate::codec::rootscor::RecordedRoot;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::utc::Utc;
use crate::codec::verified::{Verdict, Verified};
use crate::host::terminal::Terminal;
use crate::status::Status;
use crate::survey::record::StateFiles;

/// The roots and the verdicts on record, and where the source is.
pub(super) struct RootsOnRecord {
    pub(super) recorded: Vec<RecordedRoot>,
    pub(super) verdicts: Vec<Verified>,
    pub(super) source: Option<TargetName>,
    /// The newest root cannot be read, so that an older one stands for it.
    pub(super) is_newest_spoilt: bool,
}

impl RootsOnRecord {
    /// Leaves out what was found of a score that no venti has and that is on no record: it
    /// was not the score of a root.
    pub(super) fn new(
        recorded: Vec<RecordedRoot>,
        mut verdicts: Vec<Verified>,
        source: Option<TargetName>,
    ) -> Self {
        let scores: HashSet<Score> = recorded.iter().map(|root| root.score).collect();
        verdicts.retain(|of| {
            let is_nothing = of.verdict == Verdict::Missing && of.blocks == 0;
            !is_nothing || scores.contains(&of.score)
        });
        RootsOnRecord {
            recorded,
            verdicts,
            source,
            is_newest_spoilt: false,
        }
    }

    /// The ventis of which a root was read back and found damaged or not all there, and was
    /// not found whole since.
    fn lossy(&self) -> HashSet<&TargetName> {
        let standing = roots::standing(&self.verdicts);
        let bad = standing.into_values().filter(|of| !of.verdict.is_good());
        bad.map(|of| &of.target).collect()
    }
}

/// An arena of the source.
#[derive(Clone, Debug)]
pub(super) struct ArenaBar {
    /// Bytes of its data section.
    pub(super) size: u64,
    /// Bytes of its log.
    pub(super) used: u64,
    pub(super) sealed: bool,
}

/// A partition of the source that is here.
#[derive(Clone, Debug)]
pub(super) struct SourcePart {
    pub(super) name: String,
    pub(super) arenas: Vec<ArenaBar>,
}

/// A venti that has a copy, or was asked for a root.
#[derive(Clone, Debug)]
pub(super) struct VentiCopy {
    pub(super) dial: TargetName,
    /// When it was last found to have everything, or to have more: in the partition where
    /// that is longest ago. None where it never was in one, or its record is of a time to
    /// come.
    pub(super) acknowledged: Option<SystemTime>,
    /// When blocks of it were last read back by rootcheck, and what was found.
    pub(super) read_back: Option<(SystemTime, Verdict)>,
    /// It is a target of ventiprog, not just a venti that rootcheck was given.
    pub(super) is_target: bool,
}

/// How late something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing is late.
    Fine,
    /// By `--warn`.
    Warn,
    /// By `--crit`.
    Critical,
}

/// All that is known.
pub(super) struct LagReport {
    pub(super) now: SystemTime,
    pub(super) warn: Option<u64>,
    pub(super) crit: Option<u64>,
    pub(super) standings: Vec<TargetLag>,
    pub(super) parts: Vec<SourcePart>,
    /// Partitions of the source that are not here.
    pub(super) absent: Vec<String>,
    pub(super) targets: Vec<VentiCopy>,
    pub(super) file_systems: Vec<FileSystem>,
    /// One for each file system, the newest first; one where there is none.
    pub(super) answers: Vec<RestoreAnswer>,
    has_gap: bool,
    is_odd: bool,
    unmet: bool,
    /// A root was found damaged on a target, or not all there.
    has_lost: bool,
}

impl LagReport {
    pub(super) fn new(
        look: Seen,
        record: &StateFiles,
        roots: &RootsOnRecord,
        options: &Options,
        now: SystemTime,
    ) -> Self {
        let parts = &look.parts;
        let standings = look.behind.into_iter();
        let standings: Vec<TargetLag> = standings
            .map(|behind| TargetLag::new(behind, parts, &record.wrcmds))
            .collect();
        let targets = targets(&standings, &look.unmet, &roots.verdicts, now);
        let lossy = roots.lossy();
        let has_targets = targets.iter().any(|target| target.is_target);
        let is_copy = |target: &VentiCopy| {
            let is_source = roots.source.as_ref() == Some(&target.dial);
            target.is_target || !has_targets && !is_source
        };
        let holders: Vec<Holder> = targets
            .iter()
            .map(|target| {
                let mut holder = holder(target, &standings, now);
                holder.has_loss |= lossy.contains(&target.dial);
                holder.is_copy = is_copy(target);
                holder
            })
            .collect();
        let has_lost = holders
            .iter()
            .any(|of| of.is_copy && lossy.contains(&of.dial));
        let file_systems = roots::file_systems(&roots.recorded, &roots.verdicts, &holders, now);
        let mut answers: Vec<RestoreAnswer> = file_systems
            .iter()
            .map(|file_system| RestoreAnswer::of(file_system, &holders))
            .collect();
        if answers.is_empty() {
            answers.push(RestoreAnswer::without_roots(&holders));
        }
        LagReport {
            now,
            warn: options.warn,
            crit: options.crit,
            parts: parts.iter().map(source_part).collect(),
            standings,
            absent: look.absent,
            targets,
            file_systems,
            answers,
            has_gap: look.has_gap || roots.is_newest_spoilt,
            is_odd: look.is_odd,
            unmet: !look.unmet.is_empty(),
            has_lost,
        }
    }

    /// The answer about the file system whose root was recorded last.
    pub(super) fn answer(&self) -> Option<&RestoreAnswer> {
        self.answers.first()
    }

    /// How late anything is.
    pub(super) fn level(&self) -> Level {
        let by = |hours: Option<u64>| hours.is_some_and(|hours| self.is_late(hours));
        match (by(self.crit), by(self.warn)) {
            (true, _) => Level::Critical,
            (false, true) => Level::Warn,
            (false, false) => Level::Fine,
        }
    }

    fn is_late(&self, hours: u64) -> bool {
        let late = |standing: &TargetLag| standing.is_late(hours, self.now);
        let answer = |answer: &RestoreAnswer| answer.is_late(hours, self.now);
        self.is_odd
            || self.unmet
            || self.has_lost
            || self.standings.iter().any(late)
            || self.answer().is_some_and(answer)
    }

    /// Whether something of the source is not seen.
    pub(super) fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// 3 where something is late, or is not seen.
    pub(super) fn status(&self) -> Status {
        match self.has_gap || self.level() > Level::Fine {
            true => Status::Partly,
            false => Status::Done,
        }
    }

    /// Says which records are of a time to come: they are not taken for fresh.
    pub(super) fn say_future(&self, roots: &RootsOnRecord, terminal: &Terminal) {
        let mut lines = terminal.several("records of a time to come");
        let mut say = |of: String, time: SystemTime| {
            lines.say(&format!(
                "{of}: its record is of {}, which is in the future: a clock was set back; \
                 it does not count as fresh",
                Utc(time)
            ));
        };
        for standing in &self.standings {
            let place = &standing.place;
            if let Some(time) = place
                .acknowledged
                .filter(|_| standing.is_of_the_future(self.now))
            {
                say(format!("{} {}", place.target, place.partition), time);
            }
        }
        for root in &roots.recorded {
            if let Some(time) = root.time.filter(|time| age::is_future(*time, self.now)) {
                say(format!("root of {}", root.partition), time);
            }
        }
        for verdict in &roots.verdicts {
            if age::is_future(verdict.time, self.now) {
                say(format!("verdict on {}", verdict.target), verdict.time);
            }
        }
    }
}

/// The ventis: targets first, in the order of their lines, then the others that verdicts name.
fn targets(
    standings: &[TargetLag],
    unmet: &[TargetName],
    verdicts: &[Verified],
    now: SystemTime,
) -> Vec<VentiCopy> {
    let mut dials: Vec<&TargetName> = Vec::new();
    let all = standings.iter().map(|standing| &standing.place.target);
    for dial in all.chain(unmet) {
        if !dials.contains(&dial) {
            dials.push(dial);
        }
    }
    let count = dials.len();
    for verdict in verdicts {
        if !dials.contains(&&verdict.target) {
            dials.push(&verdict.target);
        }
    }
    let target = |(number, dial): (usize, &TargetName)| VentiCopy {
        dial: dial.clone(),
        acknowledged: acknowledged(dial, standings, now),
        read_back: read_back(dial, verdicts, now),
        is_target: number < count,
    };
    dials.into_iter().enumerate().map(target).collect()
}

fn acknowledged(dial: &TargetName, standings: &[TargetLag], now: SystemTime) -> Option<SystemTime> {
    let own = standings
        .iter()
        .filter(|standing| standing.place.target == *dial);
    let times: Option<Vec<SystemTime>> = own
        .map(|standing| {
            let time = standing.place.acknowledged;
            time.filter(|time| !age::is_future(*time, now))
        })
        .collect();
    times?.into_iter().min()
}

fn read_back(
    dial: &TargetName,
    verdicts: &[Verified],
    now: SystemTime,
) -> Option<(SystemTime, Verdict)> {
    let own = verdicts.iter().filter(|verdict| verdict.target == *dial);
    let read = own.filter(|verdict| verdict.verdict != Verdict::Present);
    let past = read.filter(|verdict| !age::is_future(verdict.time, now));
    let times = past.map(|verdict| (verdict.time, verdict.verdict));
    times.max_by_key(|(time, _)| *time)
}

fn holder(target: &VentiCopy, standings: &[TargetLag], now: SystemTime) -> Holder {
    let own = || {
        let mut own = standings.iter();
        std::iter::from_fn(move || own.find(|standing| standing.place.target == target.dial))
    };
    let until: Option<Vec<SystemTime>> = own().map(|standing| standing.has_until(now)).collect();
    let has_loss = own().any(|standing| standing.faults.is_loss());
    Holder {
        dial: target.dial.clone(),
        acknowledged: target.acknowledged,
        has_until: until.and_then(|times| times.into_iter().min()),
        has_loss,
        is_copy: target.is_target,
    }
}

fn source_part(part: &crate::survey::part::Part) -> SourcePart {
    let bar = |arena: &crate::source::Arena| ArenaBar {
        size: arena.size,
        used: arena.live.used,
        sealed: arena.sealed,
    };
    SourcePart {
        name: part.name.clone(),
        arenas: part.arenas.iter().map(bar).collect(),
    }
}
