//! The command fossilize: records the last archival score of a fossil and
//! prints it (fossil.md 7).
//!
//! The line goes to `rootscor` first, synced, and only then to standard output:
//! a line that was seen is on record, whatever happens next.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use eyre::{Result, WrapErr};
use serde::Serialize;

use crate::halt;
use crate::last::{self, Last, UnderWay};
use crate::rootline::{self, RootLine};
use crate::snapshot::{self, ARCHIVER, ArchiveWait, LiveFossil};
use crate::venti;
use venticore::codec::operand::Operand;
use venticore::config::{Config, NineFat};
use venticore::host::partition::Partition;
use venticore::host::terminal::Output;
use venticore::host::terminal::Terminal;
use venticore::ninefat::{self, Home};
use venticore::state::StateDir;
use venticore::status::{Failure, Status};
use venticore::text::line_of;
use venticore::tool::status_of;

/// The version of the JSON line.
const SCHEMA: u32 = 1;

/// Between two looks at the super block. A fossil writes it within 30 seconds.
const NAP: Duration = Duration::from_millis(200);

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `--9fat`: a 9fat that nobody mounts.
    pub nine_fat: Option<OsString>,
    /// `-s`: take a snapshot first.
    pub snapshot: bool,
    /// `-t`: how long to wait for an archive that is under way.
    pub wait: Duration,
    /// `-n`: record nothing.
    pub dry_run: bool,
    /// `-j`: print JSON.
    pub json: bool,
    /// The partition.
    pub partition: Option<OsString>,
}

/// Runs the command.
///
/// # Errors
/// No score is found, or it could not be recorded: nothing is printed. Or it
/// is on record and could not be printed.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let operand = config.fossil_partition(options.partition.as_deref());
    let operand = Operand::try_from(operand.as_os_str())?;
    let nine_fat = config.nine_fat(options.nine_fat.as_deref())?;
    let name = rootline::word(&operand)?;
    let (partition, last) = last::open(&operand)?;
    let (last, venti) = match options.snapshot && !options.dry_run {
        true => take(&partition, options, config, terminal)?,
        false => {
            let last = settle(&partition, last, options.wait, terminal)?;
            (last, venti::of(&partition, None, config))
        }
    };
    let score = last.score().wrap_err_with(|| operand.to_string())?;
    // A score is worth more than a line that is complete.
    let written = venti.map(|text| venti::written(&text, config)).transpose();
    let (venti, unusable) = match written {
        Ok(venti) => (venti, None),
        Err(error) => (None, Some(error)),
    };
    if let Some(local) = venti.as_ref().filter(|venti| venti.is_loopback) {
        terminal.report(&format!(
            "venti {}: on another machine this address means that machine, and no other name for the venti \
             answers: set address in the configuration",
            local.text
        ));
    }
    let venti = venti.map(|venti| venti.text);
    let entry = RootRecord {
        line: RootLine {
            score: format!("vac:{score}"),
            partition: name,
            venti,
        },
        under_way: last.under_way().is_some(),
    };
    let mut status = record(tool, &entry, nine_fat.as_ref(), options, config, terminal)?;
    if let Some(under_way) = last.under_way() {
        let old = old_score(&entry, under_way, options);
        terminal.say(&format!("{operand}: {old}"));
        status = status.worst(Status::Partly);
    }
    if let Some(error) = unusable {
        let what = if options.dry_run { "would be" } else { "is" };
        let why = line_of(&error);
        terminal.say(&format!("{why}: the line {what} recorded without it"));
        status = status.worst(status_of(&error));
    }
    print(&entry, options, status)?;
    Ok(status)
}

/// Adds a line to the log, and copies that to the 9fat; with `-n` only looks at the 9fat.
fn record(
    tool: &str,
    entry: &RootRecord,
    nine_fat: Option<&NineFat>,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    if options.dry_run {
        nine_fat.map_or(Ok(()), ninefat::check)?;
        return Ok(Status::Done);
    }
    let home = Home::open(config, options.dir.as_deref(), terminal)?;
    let lines = [entry.line.to_string()];
    let recorded = rootline::append(tool, home.state(), &lines, terminal);
    let outcome = recorded.map(|()| export(home.state(), nine_fat, terminal));
    home.close(outcome, terminal)
}

/// Takes a snapshot, waits until it is archived and that is on disk, and has the
/// venti write what it has.
fn take(
    partition: &Partition,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<(Last, Option<String>)> {
    let LiveFossil {
        mut console,
        system,
    } = snapshot::find(partition.operand().as_path(), config)?;
    let known = venti::of(partition, system.venti.as_deref(), config);
    let venti = known.ok_or_else(|| {
        let text = "venti: expected an address, so that it can be synced: set $venti";
        Failure::report(Status::Usage, text)
    })?;
    let limit = match options.wait.is_zero() {
        true => config.archive,
        false => options.wait,
    };
    let mut archive = ArchiveWait {
        console: &mut console,
        name: &system.name,
        partition,
        terminal,
        limit,
    };
    let last = archive.take()?;
    let dial = config.dial(&venti).wrap_err("venti")?;
    halt::sync_venti(&dial, &config.dialer).wrap_err_with(|| {
        format!(
            "{}: archived, but the venti is not synced: run again without -s",
            partition.operand()
        )
    })?;
    Ok((last, Some(venti)))
}

/// Waits while an archive is under way, but no longer than `wait`.
fn settle(partition: &Partition, first: Last, wait: Duration, terminal: &Terminal) -> Result<Last> {
    let start = Instant::now();
    let mut last = first;
    while last.under_way().is_some() {
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            break;
        }
        terminal.wait("waiting for the archive");
        thread::sleep(NAP.min(left));
        last = last::again(partition)?;
    }
    terminal.clear();
    Ok(last)
}

/// What is said of a score that will soon be an old one.
fn old_score(entry: &RootRecord, under_way: UnderWay, options: &Options) -> String {
    let what = if options.dry_run { "would be" } else { "is" };
    let advice = match under_way {
        UnderWay::Waiting(_) if options.wait >= ARCHIVER => {
            "no archiver takes it up: was the fossil opened with its venti?"
        }
        _ => "run again when that is done, or wait for it with -t",
    };
    format!(
        "{under_way}: {} {what} recorded, the previous archive; {advice}",
        entry.line.score
    )
}

/// Brings the log to the 9fat, if there is one. That it cannot be is said and in
/// the status: the line is on record all the same.
fn export(state: &StateDir, nine_fat: Option<&NineFat>, terminal: &Terminal) -> Status {
    let exported = nine_fat.map(|of| ninefat::exchange(state, of, terminal));
    let Some(Err(error)) = exported else {
        return Status::Done;
    };
    terminal.say(&line_of(&error));
    status_of(&error)
}

/// What is recorded and printed.
#[derive(Debug)]
struct RootRecord {
    line: RootLine,
    under_way: bool,
}

/// The same as JSON.
#[derive(Serialize)]
struct JsonRoot<'a> {
    schema: u32,
    score: &'a str,
    partition: &'a str,
    venti: Option<&'a str>,
    recorded: bool,
    under_way: bool,
    status: u8,
}

fn print(entry: &RootRecord, options: &Options, status: Status) -> Result<()> {
    let mut output = Output::stdout();
    let line = if options.json {
        let line = JsonRoot {
            schema: SCHEMA,
            score: &entry.line.score,
            partition: &entry.line.partition,
            venti: entry.line.venti.as_deref(),
            recorded: !options.dry_run,
            under_way: entry.under_way,
            status: status.code(),
        };
        serde_json::to_string(&line)?
    } else {
        entry.line.to_string()
    };
    // One write, since a shell may append to a file that others append to.
    let printed = output.write_all(format!("{line}\n").as_bytes());
    printed
        .and_then(|()| output.flush())
        .wrap_err("standard output")
}
