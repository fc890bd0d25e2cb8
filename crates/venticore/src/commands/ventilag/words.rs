//! The report for people: the answer, a line for each target and partition, and the newest
//! root of each file system.

use std::io::Write;

use eyre::{Result, WrapErr};

use super::age::ago;
use super::answer::RestoreAnswer;
use super::report::{LagReport, VentiCopy};
use super::roots::{FileSystem, Holding};
use super::targetlag::TargetLag;
use crate::codec::utc::Utc;
use crate::host::terminal::Output;
use crate::text::printable;

/// What is said of a place that is not in the source any more.
const GONE: &str = ", the source no longer has this place";

/// Prints the report.
///
/// # Errors
/// It cannot be written.
pub(super) fn print(report: &LagReport, output: &mut Output) -> Result<()> {
    for line in lines(report) {
        writeln!(output, "{line}").wrap_err("standard output")?;
    }
    output.flush().wrap_err("standard output")
}

fn lines(report: &LagReport) -> Vec<String> {
    let mut lines = Vec::new();
    for answer in &report.answers {
        lines.push(first(answer, report));
    }
    for standing in &report.standings {
        lines.push(place(standing));
        lines.push(format!("    {}", since(standing, report)));
    }
    for target in report.targets.iter().filter(|target| target.is_target) {
        lines.push(read_back(target, report));
    }
    for file_system in &report.file_systems {
        lines.extend(newest(file_system, report));
    }
    lines
}

fn first(answer: &RestoreAnswer, report: &LagReport) -> String {
    format!("restore today: {}", answer.sentence(report.now))
}

/// Where it is, and how far behind.
fn place(standing: &TargetLag) -> String {
    let place = &standing.place;
    let or_unknown = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let arena = place.arena.as_ref().map_or("?", |name| name.as_str());
    let acknowledged = place.acknowledged.map(|time| Utc(time).to_string());
    format!(
        "{} {} {} {:#x} behind {} clumps {} bytes on disk, acknowledged {}{}{}",
        place.target,
        printable(place.partition.as_bytes()),
        printable(arena.as_bytes()),
        place.offset,
        or_unknown(standing.clumps),
        or_unknown(standing.bytes),
        acknowledged.as_deref().unwrap_or("never"),
        if standing.is_gone { GONE } else { "" },
        standing.faults
    )
}

/// What that means.
fn since(standing: &TargetLag, report: &LagReport) -> String {
    let now = report.now;
    let acknowledged = standing.place.acknowledged;
    let heard = match acknowledged {
        Some(time) => format!("last acknowledged {}", ago(time, now)),
        None => "nothing was ever acknowledged".to_owned(),
    };
    let lacks = match (standing.is_current(), standing.arenas) {
        (true, _) => "current".to_owned(),
        (false, None) => "how far behind is not known".to_owned(),
        (false, Some(1)) => "behind in 1 arena".to_owned(),
        (false, Some(arenas)) => format!("behind in {arenas} arenas"),
    };
    let oldest = standing.lacks_since.filter(|_| !standing.is_current());
    match oldest {
        Some(time) => format!(
            "{lacks}, lacks what was stored from {} on ({}); {heard}",
            Utc(time),
            ago(time, now)
        ),
        None => format!("{lacks}; {heard}"),
    }
}

fn read_back(target: &VentiCopy, report: &LagReport) -> String {
    match target.read_back {
        Some((time, verdict)) => format!(
            "{}: last read back by rootcheck {} ({}): {verdict}",
            target.dial,
            Utc(time),
            ago(time, report.now)
        ),
        None => format!("{}: no root was ever read back by rootcheck", target.dial),
    }
}

/// The newest root, and what each venti has of it.
fn newest(file_system: &FileSystem, report: &LagReport) -> Vec<String> {
    let Some(root) = file_system.roots.first() else {
        return Vec::new();
    };
    let of = match &file_system.partition {
        Some(partition) => format!("newest root of {}", printable(partition.as_bytes())),
        None => "last root that was given to rootcheck".to_owned(),
    };
    let recorded = match root.recorded {
        Some(time) => format!("recorded {} ({})", Utc(time), ago(time, report.now)),
        None => "recorded at a time that is not known".to_owned(),
    };
    let on = report.targets.iter().zip(&root.on);
    let on = on.map(|(target, holding)| format!("    {}: {}", target.dial, held(*holding, report)));
    std::iter::once(format!("{of}, {recorded}"))
        .chain(on)
        .collect()
}

fn held(holding: Holding, report: &LagReport) -> String {
    let at = |time| format!("{} ({})", Utc(time), ago(time, report.now));
    match holding {
        Holding::Whole(time) => format!("read back whole {}", at(time)),
        Holding::Present(time) => format!("reported as present {}", at(time)),
        Holding::Acknowledged => "acknowledged, not yet read back".to_owned(),
        Holding::Doubtful => "acknowledged, but blocks are lost or damaged there".to_owned(),
        Holding::Unknown => "not known".to_owned(),
        Holding::Behind => "not there yet".to_owned(),
        Holding::Missing(time) => format!("blocks are missing, found {}", at(time)),
        Holding::Damaged(time) => format!("blocks are damaged, found {}", at(time)),
    }
}
