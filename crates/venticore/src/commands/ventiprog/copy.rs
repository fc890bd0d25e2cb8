//! The native engine: what is new goes to all targets.

use std::sync::Arc;

use super::check::{self, CheckPolicy, Verdict};
use super::progress::RunProgress;
use super::run::Run;
use crate::survey::part::{self, Part};
use crate::survey::record::StateFiles;

use super::target::Target;
use crate::codec::target::TargetName;
use crate::copy::cursor::{self, Cursor};
use crate::copy::replicate::{
    self, Assignment, Checkpoint, CopyJob, Event, Manner, ReachedPlace, Recipient, SendFrom,
    TargetAccess, TargetOutcome, Trouble,
};
use crate::host::terminal::Terminal;
use crate::net::client::{ClientError, Operation, Timeouts};
use crate::status::Status;

/// Which target a seat is for, and in which partition.
#[derive(Clone, Copy)]
struct Chair {
    part: usize,
    target: usize,
}

/// Copies every partition to every target, from where each one starts.
pub(super) fn copy(run: &mut Run<'_>, starts: &[cursor::Start]) {
    let uncounted = part::say_uncounted(&run.parts, run.terminal);
    run.status = run.status.worst(uncounted);
    let jobs: Vec<CopyJob> = run.parts.iter().map(job).collect();
    let (chairs, seats) = seats(run, starts);
    let manner = manner(run);
    let before = |seat: &Assignment| {
        jobs.get(seat.job)
            .map_or(0, |job| job.bytes_from(seat.start.from))
    };
    let progress = RunProgress::new(run.terminal, seats.iter().map(before));
    // A target's own lines change only after it was looked at.
    let wrcmds = run.record.wrcmds.clone();
    let how = CheckPolicy {
        wrcmds: &wrcmds,
        all: run.options.verify,
        trust: run.options.trust,
        dialer: &run.config.dialer,
    };
    let dials: Vec<_> = run
        .targets
        .iter()
        .map(|target| target.name.clone())
        .collect();
    let parts = &run.parts;
    let limits = limits(run.config.dialer.limits, run.options.rate);
    let dialer = run.config.dialer.within(limits);
    let access = TargetAccess {
        ventis: &dialer,
        replicas: &run.config.replicas,
    };
    let look = |seat: usize, recipient: &mut Recipient| -> Result<_, ClientError> {
        let found = chairs
            .get(seat)
            .and_then(|chair| Some((dials.get(chair.target)?, parts.get(chair.part)?)));
        found.map_or(Ok(None), |(dial, part)| {
            let read = |done, whole| progress.read_back(seat, done, whole);
            check::check(recipient, dial, part, how, &read)
        })
    };
    let mut clerk = Clerk {
        chairs: &chairs,
        jobs: &jobs,
        progress: &progress,
        parts,
        targets: &mut run.targets,
        record: &mut run.record,
        decoded: &mut run.decoded,
        terminal: run.terminal,
        dry_run: run.options.dry_run,
    };
    let outcomes = replicate::run(&jobs, &seats, manner, access, &look, &mut |event| {
        clerk.enter(event);
    });
    run.terminal.clear();
    for ((chair, seat), outcome) in chairs.iter().zip(&seats).zip(outcomes) {
        settle(run, *chair, seat.start.from, outcome);
    }
}

fn job(part: &Part) -> CopyJob {
    CopyJob {
        source: Arc::clone(&part.source),
        arenas: part.arenas.clone(),
        cross: false,
        synced: part.synced,
        max_clumps: None,
        tell_blocks: false,
    }
}

/// A seat for each target in each partition, one after the other.
fn seats(run: &Run<'_>, starts: &[cursor::Start]) -> (Vec<Chair>, Vec<Assignment>) {
    let (mut chairs, mut seats) = (Vec::new(), Vec::new());
    for (number, target) in run.targets.iter().enumerate() {
        if target.failure.is_some() {
            continue;
        }
        let mut after = None;
        for part in 0..run.parts.len() {
            let mut of_part = starts.iter().filter(|start| start.partition == part);
            let Some(start) = of_part.find(|start| start.target == target.name) else {
                continue;
            };
            chairs.push(Chair {
                part,
                target: number,
            });
            seats.push(Assignment {
                job: part,
                target: (!run.options.dry_run).then(|| target.name.clone()),
                is_new: target.new.is_some(),
                start: SendFrom {
                    from: start.at,
                    probe_to: start.probe_to.unwrap_or_default(),
                    lacks: Vec::new(),
                },
                after,
            });
            after = Some(seats.len() - 1);
        }
    }
    (chairs, seats)
}

/// Where each target is sent at most `rate` bytes a second, half of that is
/// enough progress.
fn limits(limits: Timeouts, rate: Option<u64>) -> Timeouts {
    let half = rate.map(|rate| rate.saturating_mul(limits.progress.as_secs()) / 2);
    Timeouts {
        least: half.map_or(limits.least, |half| half.min(limits.least)),
        ..limits
    }
}

fn manner(run: &Run<'_>) -> Manner {
    Manner {
        retries: run.config.retries,
        backoff: run.config.backoff,
        probe: true,
        rate: run.options.rate,
        checkpoint: Checkpoint {
            bytes: run.config.checkpoint_bytes,
            time: Checkpoint::default().time,
        },
        told: replicate::TOLD,
    }
}

/// Says and writes down what happens while the copy goes on.
struct Clerk<'a> {
    chairs: &'a [Chair],
    jobs: &'a [CopyJob],
    progress: &'a RunProgress<'a>,
    parts: &'a [Part],
    targets: &'a mut [Target],
    record: &'a mut StateFiles,
    decoded: &'a mut u64,
    terminal: &'a crate::host::terminal::Terminal,
    dry_run: bool,
}

impl Clerk<'_> {
    fn enter(&mut self, event: Event<'_, Option<check::CheckResult>>) {
        match event {
            Event::Block(_) => {}
            Event::Found { seat, found, start } => {
                if let Some(found) = found {
                    self.found(seat, found, start);
                }
            }
            Event::Progress { seats, at, decoded } => {
                *self.decoded += decoded;
                let left = seats.first().map_or(0, |&seat| self.bytes_from(seat, at));
                self.progress.reached(seats, left);
            }
            Event::Damage(damage) => self.terminal.say(&damage.to_string()),
            Event::Acknowledged {
                seat,
                place,
                damage,
                there,
            } => self.acknowledged(seat, place, damage, there),
            Event::Retry { seat, error, after } => {
                let dial = self.dial(seat);
                self.terminal
                    .detail(|| format!("{dial}: {error}; again in {after:?}"));
            }
            Event::Lost { seat, error } => {
                let dial = self.dial(seat);
                self.terminal
                    .say(&format!("{dial}: {error}{}", way_out(error)));
                self.progress.lost(&self.seats_of_the_target_of(seat));
            }
        }
    }

    /// Bytes of log after a place in the partition of a seat.
    fn bytes_from(&self, seat: usize, at: Cursor) -> u64 {
        let chair = self.chairs.get(seat);
        let job = chair.and_then(|chair| self.jobs.get(chair.part));
        job.map_or(0, |job| job.bytes_from(at))
    }

    /// A target that is lost in one partition is out of the run in all.
    fn seats_of_the_target_of(&self, seat: usize) -> Vec<usize> {
        let target = self.chairs.get(seat).map(|chair| chair.target);
        let of_target =
            |(number, chair): (usize, &Chair)| (Some(chair.target) == target).then_some(number);
        self.chairs
            .iter()
            .enumerate()
            .filter_map(of_target)
            .collect()
    }

    fn chair(&self, seat: usize) -> Option<(&Target, &Part)> {
        let chair = self.chairs.get(seat)?;
        Some((self.targets.get(chair.target)?, self.parts.get(chair.part)?))
    }

    fn dial(&self, seat: usize) -> String {
        let target = self.chair(seat).map(|(target, _)| target.name.to_string());
        target.unwrap_or_default()
    }

    fn found(&mut self, seat: usize, found: check::CheckResult, start: &mut SendFrom) {
        let Some(&Chair { part, target }) = self.chairs.get(seat) else {
            return;
        };
        let (Some(part), Some(target)) = (self.parts.get(part), self.targets.get_mut(target))
        else {
            return;
        };
        let verdict = check::take_in(found, target, part, self.record, self.terminal);
        if let Verdict::Anew(lacks) = verdict {
            *start = SendFrom {
                from: Cursor::START,
                probe_to: part.rules.end(),
                lacks,
            };
            self.progress
                .restarts(seat, self.bytes_from(seat, start.from));
        }
    }

    fn acknowledged(
        &mut self,
        seat: usize,
        place: ReachedPlace,
        damage: &[replicate::SourceDamage],
        there: &[replicate::SourceDamage],
    ) {
        if self.dry_run {
            return;
        }
        if let Some(&Chair { part, target }) = self.chairs.get(seat)
            && let (Some(part), Some(target)) = (self.parts.get(part), self.targets.get(target))
        {
            let record = &mut self.record;
            record.acknowledged(&target.name, part, place, damage, there);
        }
    }
}

/// What helps where a target was lost.
fn way_out(error: &ClientError) -> &'static str {
    match error {
        ClientError::Unreachable(_) | ClientError::Lost(_) => "; the next run catches up",
        ClientError::Refused {
            asked: Operation::Write(..),
            text,
            ..
        } if text.contains("no space") => {
            "; its arenas are full: give that venti another arena partition, then run again"
        }
        _ => "",
    }
}

/// Takes in how the copy of one partition ended for one target.
fn settle(run: &mut Run<'_>, chair: Chair, from: Cursor, outcome: TargetOutcome) {
    if outcome.place.is_none() && outcome.trouble.is_none() {
        remember_trusted(run, chair, from);
    }
    let (Some(target), Some(part)) = (run.targets.get_mut(chair.target), run.parts.get(chair.part))
    else {
        return;
    };
    let status = match outcome.trouble {
        Some(Trouble::NotTried) => return,
        Some(Trouble::Target(error)) => Some((error.status(), error.to_string())),
        Some(Trouble::Start(error)) => {
            run.terminal.say(&format!("{}: {error}", target.name));
            Some((Status::Failed, error.to_string()))
        }
        None => None,
    };
    if let Some((status, why)) = status {
        target.fail(status, why);
    }
    target.tally += outcome.tally;
    target.seconds += outcome.took.as_secs_f64();
    if target.from.is_none() {
        target.from = part.shown(from);
    }
    target.damaged += outcome.lost;
    target.damaged_there += outcome.there;
    target
        .reached
        .push(outcome.place.map_or(from, |place| place.at));
    if outcome.lost > 0 || outcome.odd > 0 || run.options.verify && outcome.there > 0 {
        target.status = target.status.worst(Status::Partly);
    }
    say_damage(
        (outcome.lost, outcome.there, outcome.odd),
        &target.name,
        run.terminal,
    );
    if let Some(late) = outcome.late {
        run.terminal.say(&format!(
            "{}: {late}; not on disk yet, the next run starts there (to see it now, name a source venti to sync, -s)",
            target.name
        ));
        target.status = target.status.worst(Status::Partly);
        target.waits = true;
        run.incomplete = true;
    }
}

/// Says how much damage in the source a copy has met: clumps lost, clumps that are
/// there all the same, and clumps sent although what describes them is damaged.
fn say_damage((lost, there, odd): (u64, u64, u64), dial: &TargetName, terminal: &Terminal) {
    let many = replicate::TOLD as u64;
    if lost == 0 && there > 0 {
        terminal.say(&format!(
            "{dial}: has each block that is damaged in the source ({there}): nothing is lost there"
        ));
    } else if lost + there > many {
        terminal.say(&format!(
            "{dial}: {lost} clumps are damaged in the source and missing on the target, {there} are damaged in the source only"
        ));
    }
    if odd > many {
        terminal.say(&format!(
            "{dial}: {odd} blocks were sent although their header or directory entry is damaged"
        ));
    }
}

/// With `--trust`, a hint becomes a place also where nothing was new.
fn remember_trusted(run: &mut Run<'_>, chair: Chair, at: Cursor) {
    let (Some(target), Some(part)) = (run.targets.get(chair.target), run.parts.get(chair.part))
    else {
        return;
    };
    let known = run.record.wrcmds.get(&target.name, &part.name);
    let known = known.is_some_and(|line| line.last.is_some());
    if !run.options.trust || run.options.dry_run || known {
        return;
    }
    let arena = part.arenas.get(at.arena);
    let before = arena.and_then(|arena| part.before(arena, at.offset));
    if let Some(before) = before {
        let last = Some(before.score);
        let place = ReachedPlace { at, last };
        run.record.acknowledged(&target.name, part, place, &[], &[]);
    }
}
