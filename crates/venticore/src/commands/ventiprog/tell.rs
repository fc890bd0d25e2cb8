//! What a run prints: the commands, or JSON; what each target got, with `-v`;
//! and the line for people that sums it up.

use std::io::Write;
use std::time::Duration;

use eyre::{Result, WrapErr};
use indicatif::{DecimalBytes, HumanCount, HumanDuration};
use serde::Serialize;

use super::engine::Engine;
use super::readback::ReadBack;
use super::run::Run;
use super::target::Target;
use crate::codec::wrcmd::WrCmd;
use crate::copy::replicate::Tally;
use crate::host::terminal::{Output, SCHEMA};
use crate::status::Status;

/// Prints the end of a run; the commands only where the place may have moved.
pub(super) fn tell(
    run: &Run<'_>,
    new: Option<&WrCmd>,
    complete: bool,
    status: Status,
) -> Result<()> {
    for target in &run.targets {
        if run.options.dry_run {
            // What keeps a target out of a run was said with what was checked.
            if target.failure.is_none() {
                run.terminal.say(&would_send(target));
            }
        } else {
            run.terminal.detail(|| was_sent(target));
        }
    }
    let mut output = run.terminal.output();
    if run.options.json {
        json(&mut output, run, new, complete, status)?;
    } else if complete && !run.terminal.is_quiet() {
        if let Some(old) = &run.record.wrcmd {
            writeln!(output, "{}", old.line()).wrap_err("standard output")?;
        }
        if let Some(new) = new {
            writeln!(output, "{}", new.line()).wrap_err("standard output")?;
        }
    }
    output.flush().wrap_err("standard output")?;
    if !run.options.dry_run {
        run.terminal.report(&summary(run, new, complete, status));
        say_refilled(run);
    }
    Ok(())
}

/// What was missing on a target is there again: what the next run will show.
fn say_refilled(run: &Run<'_>) {
    let is_whole = run.status == Status::Done && !run.incomplete;
    let next = match is_whole && run.targets.iter().all(Target::is_whole_now) {
        true => "; the next run should end with 0",
        false => "",
    };
    for target in run.targets.iter().filter(|target| target.was_refilled()) {
        let sent = HumanCount(target.tally.sent);
        let (blocks, were) = match target.tally.sent {
            1 => ("block", "was"),
            _ => ("blocks", "were"),
        };
        run.terminal.say(&format!(
            "{}: {sent} {blocks} {were} missing there and {were} sent again{next}",
            target.name
        ));
    }
}

/// Verbs for one block, and for more.
const ARE: (&str, &str) = ("is", "are");
const WERE: (&str, &str) = ("was", "were");

/// The run in one line.
fn summary(run: &Run<'_>, new: Option<&WrCmd>, complete: bool, status: Status) -> String {
    let mut tally = Tally::default();
    run.targets.iter().for_each(|target| tally += target.tally);
    let took = took(run.start.elapsed());
    let mut line = match tally.sent {
        // Another program does not tell what it sent.
        0 if matches!(run.engine, Engine::External(_)) => {
            format!("{}: {took}", current(&run.targets))
        }
        0 => format!("{}: nothing was sent, {took}", current(&run.targets)),
        sent => format!(
            "{}: {} {}, {} of log sent, {took}",
            current(&run.targets),
            HumanCount(sent),
            if sent == 1 { "block" } else { "blocks" },
            DecimalBytes(tally.log_bytes)
        ),
    };
    if run.options.verify {
        line = format!("{line}; {}", verified(&run.targets));
    }
    for found in found(run, tally.present) {
        line = format!("{line}; {found}");
    }
    if let (true, Some(next)) = (complete, new.and_then(|new| next(run, new))) {
        line = format!("{line}; next from {next}");
    }
    if status != Status::Done {
        line = format!("{line}; exit status {}", status.code());
    }
    line
}

/// What was found of the blocks of all targets, where that is anything.
fn found(run: &Run<'_>, present: u64) -> impl Iterator<Item = String> {
    let of_all = |count: fn(&Target) -> u64| run.targets.iter().map(count).sum::<u64>();
    let counts = [
        (present, WERE, "there already"),
        (
            of_all(|target| target.damaged),
            ARE,
            "damaged in the source",
        ),
        (
            of_all(|target| target.damaged_there),
            ARE,
            "damaged in the source and whole on a target",
        ),
        (
            of_all(|target| target.read_back.missing),
            WERE,
            "missing on a target",
        ),
        (
            of_all(|target| target.read_back.damaged),
            ARE,
            "damaged on a target",
        ),
        (
            of_all(|target| target.read_back.cured),
            WERE,
            "damaged on a target and sent again",
        ),
    ];
    let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
    counts.map(|(count, (one, more), what)| {
        let verb = if count == 1 { one } else { more };
        format!("{} {verb} {what}", HumanCount(count))
    })
}

/// What `--verify` has shown. The source's own blocks are not part of it.
fn verified(targets: &[Target]) -> String {
    let read = |target: &Target| {
        let ReadBack {
            right,
            missing,
            damaged,
            cured,
            ..
        } = target.read_back;
        right + missing + damaged + cured
    };
    match targets.iter().map(read).sum() {
        0 => "nothing was verified".to_owned(),
        _ => {
            let right = targets.iter().map(|target| target.read_back.right).sum();
            let blocks = if right == 1 { "block" } else { "blocks" };
            format!(
                "{} {blocks} read back and right (the source was not checked)",
                HumanCount(right)
            )
        }
    }
}

/// A time for people: `0.3 s`, `12.0 s`, `3 minutes`.
fn took(time: Duration) -> String {
    match time < Duration::from_secs(120) {
        true => format!("{:.1} s", time.as_secs_f64()),
        false => HumanDuration(time).to_string(),
    }
}

/// The place of the new command: the name of its arena, and the offset.
fn next(run: &Run<'_>, new: &WrCmd) -> Option<String> {
    let part = run.parts.iter().find(|part| part.name == new.file())?;
    let head = new.file_offset().unwrap_or_default();
    let arena = part.arenas.iter().find(|arena| arena.head == head)?;
    let offset = new.clump_offset();
    Some(format!("{} {offset:#x}", arena.name))
}

/// How many targets came to the end, and the names of those that did not.
fn current(targets: &[Target]) -> String {
    let is_current = |target: &&Target| {
        target.failure.is_none() && !target.waits && target.status != Status::Unverified
    };
    let (current, others): (Vec<_>, Vec<_>) = targets.iter().partition(is_current);
    let noun = if targets.len() == 1 {
        "target"
    } else {
        "targets"
    };
    if others.is_empty() {
        return format!("{} {noun} current", current.len());
    }
    let names: Vec<String> = others
        .iter()
        .map(|target| target.name.to_string())
        .collect();
    format!(
        "{} of {} {noun} current, not {}",
        current.len(),
        targets.len(),
        names.join(", ")
    )
}

fn would_send(target: &Target) -> String {
    if target.tally.sent == 0 {
        return format!("{}: nothing to send", target.name);
    }
    format!(
        "{}: would send {} clumps, {} bytes of log, except what it has already",
        target.name, target.tally.sent, target.tally.log_bytes
    )
}

fn was_sent(target: &Target) -> String {
    format!(
        "{}: {} blocks sent, {} bytes of log, {} there already, {} damaged in the source, {} read back",
        target.name,
        target.tally.sent,
        target.tally.log_bytes,
        target.tally.present,
        target.damaged,
        target.read_back.right
    )
}

fn json(
    output: &mut Output,
    run: &Run<'_>,
    new: Option<&WrCmd>,
    complete: bool,
    status: Status,
) -> Result<()> {
    for target in &run.targets {
        output.json_line(&TargetLine::of(target, run))?;
    }
    output.json_line(&RunLine {
        schema: SCHEMA,
        old: run.record.wrcmd.as_ref().map(WrCmd::line),
        new: new.filter(|_| complete).map(WrCmd::line),
        dry_run: run.options.dry_run,
        decoded: run.decoded,
        seconds: run.start.elapsed().as_secs_f64(),
        status: status.code(),
    })
}

#[derive(Serialize)]
struct TargetLine<'a> {
    schema: u32,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    sent: u64,
    bytes: u64,
    log_bytes: u64,
    present: u64,
    damaged: u64,
    damaged_there: u64,
    read_back: u64,
    missing: u64,
    unreadable: u64,
    cured: u64,
    seconds: f64,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> TargetLine<'a> {
    fn of(target: &'a Target, run: &Run<'_>) -> Self {
        let reached = target.reached.last().copied();
        let part = target.reached.len().checked_sub(1);
        let part = part.and_then(|number| run.parts.get(number));
        let to = part.zip(reached).and_then(|(part, at)| part.shown(at));
        TargetLine {
            schema: SCHEMA,
            target: target.name.to_string(),
            from: target.from.as_deref(),
            to,
            sent: target.tally.sent,
            bytes: target.tally.bytes,
            log_bytes: target.tally.log_bytes,
            present: target.tally.present,
            damaged: target.damaged,
            damaged_there: target.damaged_there,
            read_back: target.read_back.right,
            missing: target.read_back.missing,
            unreadable: target.read_back.damaged,
            cured: target.read_back.cured,
            seconds: target.seconds,
            status: target.status.code(),
            error: target.failure.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct RunLine {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    /// Where it did not move, and would not have, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
    dry_run: bool,
    /// Clumps that were decompressed and hashed, for all targets together.
    decoded: u64,
    seconds: f64,
    status: u8,
}
