//! The report as JSON: a line for each target and partition, one for the newest root of each
//! file system, and one for the answer.

use std::io::Write;
use std::time::SystemTime;

use eyre::{Result, WrapErr};
use serde::Serialize;

use super::age;
use super::answer::RestoreAnswer;
use super::report::{LagReport, Level, VentiCopy};
use super::roots::{FileSystem, Holding};
use super::targetlag::TargetLag;
use crate::codec::utc::Utc;
use crate::host::terminal::{Output, SCHEMA};

/// Prints the lines.
///
/// # Errors
/// They cannot be written.
pub(super) fn print(report: &LagReport, output: &mut Output) -> Result<()> {
    for standing in &report.standings {
        output.json_line(&PlaceJson::of(standing, report))?;
    }
    for file_system in &report.file_systems {
        if let Some(line) = RootJson::of(file_system, report) {
            output.json_line(&line)?;
        }
    }
    for answer in &report.answers {
        output.json_line(&AnswerJson::of(answer, report))?;
    }
    output.flush().wrap_err("standard output")
}

fn text(time: Option<SystemTime>) -> Option<String> {
    time.map(|time| Utc(time).to_string())
}

#[derive(Serialize)]
struct PlaceJson {
    schema: u32,
    kind: &'static str,
    target: String,
    partition: String,
    arena: Option<String>,
    head: u64,
    offset: u64,
    behind_clumps: Option<u64>,
    behind_bytes: Option<u64>,
    behind_arenas: Option<u64>,
    behind_seconds: Option<u64>,
    acknowledged: Option<String>,
    /// The record is of a time to come.
    future: bool,
    unreadable: u64,
    damaged: u64,
    damaged_there: u64,
    gone: bool,
    read_back: Option<String>,
    read_back_verdict: Option<&'static str>,
    late: Option<&'static str>,
}

impl PlaceJson {
    fn of(standing: &TargetLag, report: &LagReport) -> Self {
        let place = &standing.place;
        let own = |target: &&VentiCopy| target.dial == place.target;
        let read_back = report.targets.iter().find(own);
        let read_back = read_back.and_then(|target| target.read_back);
        PlaceJson {
            schema: SCHEMA,
            kind: "target",
            target: place.target.to_string(),
            partition: place.partition.clone(),
            arena: place.arena.as_ref().map(ToString::to_string),
            head: place.head,
            offset: place.offset,
            behind_clumps: standing.clumps,
            behind_bytes: standing.bytes,
            behind_arenas: standing.arenas,
            behind_seconds: standing.lag_seconds(report.now),
            acknowledged: text(place.acknowledged),
            future: standing.is_of_the_future(report.now),
            unreadable: standing.faults.unreadable + u64::from(standing.faults.more),
            damaged: standing.faults.damaged,
            damaged_there: standing.faults.damaged_there,
            gone: standing.is_gone,
            read_back: text(read_back.map(|(time, _)| time)),
            read_back_verdict: read_back.map(|(_, verdict)| verdict.word()),
            late: late(standing, report),
        }
    }
}

fn late(standing: &TargetLag, report: &LagReport) -> Option<&'static str> {
    let by = |hours: Option<u64>| hours.is_some_and(|hours| standing.is_late(hours, report.now));
    match (by(report.crit), by(report.warn)) {
        (true, _) => Some(word(Level::Critical)),
        (false, true) => Some(word(Level::Warn)),
        (false, false) => None,
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Fine => "fine",
        Level::Warn => "warn",
        Level::Critical => "crit",
    }
}

#[derive(Serialize)]
struct RootJson<'a> {
    schema: u32,
    kind: &'static str,
    root_of: Option<&'a str>,
    recorded: Option<String>,
    on: Vec<RootOn>,
}

#[derive(Serialize)]
struct RootOn {
    venti: String,
    holds: &'static str,
    verified: Option<String>,
}

impl<'a> RootJson<'a> {
    fn of(file_system: &'a FileSystem, report: &LagReport) -> Option<Self> {
        let root = file_system.roots.first()?;
        let on = report.targets.iter().zip(&root.on);
        let on = on.map(|(target, holding): (&VentiCopy, &Holding)| RootOn {
            venti: target.dial.to_string(),
            holds: holding.word(),
            verified: text(holding.time()),
        });
        Some(RootJson {
            schema: SCHEMA,
            kind: "root",
            root_of: file_system.partition.as_deref(),
            recorded: text(root.recorded),
            on: on.collect(),
        })
    }
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    schema: u32,
    kind: &'static str,
    restore: &'static str,
    from: Option<String>,
    root_of: Option<&'a str>,
    as_of: Option<String>,
    age_seconds: Option<u64>,
    holds: Option<&'static str>,
    status: u8,
}

impl<'a> AnswerJson<'a> {
    fn of(answer: &'a RestoreAnswer, report: &LagReport) -> Self {
        let age = answer.as_of.and_then(|time| age::of(time, report.now));
        AnswerJson {
            schema: SCHEMA,
            kind: "answer",
            restore: answer.word.text(),
            from: answer.target.as_ref().map(ToString::to_string),
            root_of: answer.partition.as_deref(),
            as_of: text(answer.as_of),
            age_seconds: age.map(|age| age.as_secs()),
            holds: answer.holding.map(Holding::word),
            status: report.status().code(),
        }
    }
}
