//! The command wrarena: sends the clumps of an arena to a venti, as
//! venti/wrarena does (venti.md 10.2), but keeps what it promises.
//!
//! The file offset and the clump offset count on a partition too; an end
//! offset is printed only after the target has acknowledged a sync of all that
//! lies before it; a damaged clump costs only itself.

use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;

use eyre::{Context, Report, Result};

use crate::arena::table::Entry;
use crate::arena::{Arena, ArenaPartition, ArenaSource, Note};
use crate::config::Config;
use crate::dial::Dial;
use crate::exit::{Failure, Output, Status, client_status};
use crate::partition::{Operand, Partition};
use crate::replicate::{self, Event, Job, Span};
use crate::terminal::Terminal;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-v`: print the score of every block.
    pub verbose: bool,
    /// `-o`: where the arena's head lies, bytes from the start of the file;
    /// print the end offset.
    pub file_offset: Option<u64>,
    /// `-h`: the target; `/dev/null` reads and verifies only.
    pub host: Option<String>,
    /// `-M`: stop after so many clumps.
    pub max_clumps: Option<u64>,
    /// The arena partition or file.
    pub file: OsString,
    /// Where to start, bytes from the start of the data section.
    pub clump_offset: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// Nothing could be sent: no such arena, no target, an offset that is not one.
/// What happened on the way is in the status.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let target = target(options, config)?;
    let subject = options.file.to_string_lossy().into_owned();
    let partition = open(&options.file).wrap_err_with(|| subject.clone())?;
    let (spans, mut status) =
        spans(options, &partition, terminal).wrap_err_with(|| subject.clone())?;
    let job = Job {
        source: Arc::new(partition),
        spans,
        synced: false,
        max_clumps: options.max_clumps,
    };
    let targets: Vec<Dial> = target.into_iter().collect();
    let mut output = Output::stdout();
    let report = copy(
        &job,
        &targets,
        config,
        terminal,
        options.verbose.then_some(&mut output),
    );
    if let Some(Err(error)) = report.targets.first() {
        return Ok(status.worst(client_status(error)));
    }
    for (span, reached) in job.spans.iter().zip(report.spans) {
        let reached = reached
            .map_err(|error| past_the_log(&span.arena, &error.to_string()))
            .wrap_err_with(|| subject.clone())?;
        if let Some(late) = reached.late {
            terminal.say(&format!("{late}; not on disk yet, run again later"));
            status = status.worst(Status::Partly);
        }
        if options.file_offset.is_some() && !targets.is_empty() {
            writeln!(output, "end offset {:#x}", reached.end).wrap_err("standard output")?;
        }
    }
    output.flush().wrap_err("standard output")?;
    if report.tally.damaged > 0 {
        status = status.worst(Status::Partly);
    }
    Ok(status)
}

/// An operand, opened for reading.
///
/// # Errors
/// It cannot be opened.
pub fn open(operand: &std::ffi::OsStr) -> Result<Partition> {
    let operand = Operand::try_from(operand)?;
    Ok(Partition::open(&operand)?)
}

/// Runs a job, says what goes wrong while it runs, and shows progress.
pub fn copy(
    job: &Job,
    targets: &[Dial],
    config: &Config,
    terminal: &Terminal,
    mut scores: Option<&mut Output>,
) -> replicate::Report {
    let total = |span: &Span| span.arena.live.used.saturating_sub(span.from);
    terminal.start(job.spans.iter().map(total).sum());
    let report = replicate::run(job, targets, config.limits, &mut |event| match event {
        Event::Block(score) => {
            if let Some(output) = scores.as_deref_mut() {
                // A full disk behind standard output shows in the last flush.
                let _ = writeln!(output, "{score}");
            }
        }
        Event::Damage(damage) => terminal.say(&damage.to_string()),
        Event::Progress(tally) => terminal.advance(tally.log_bytes),
        Event::Lost(dial, error) => terminal.say(&format!("{dial}: {error}")),
    });
    terminal.clear();
    report
}

/// The target: `-h`, else `$venti`; none for `/dev/null`.
fn target(options: &Options, config: &Config) -> Result<Option<Dial>> {
    let host = options.host.as_deref().or(config.venti.as_deref());
    match host {
        Some("/dev/null") => Ok(None),
        Some(host) => Ok(Some(config.dial(host)?)),
        None => Err(Failure::report(
            Status::Usage,
            "no venti to send to: give -h host or set $venti",
        )),
    }
}

/// What to send: one arena where `-o` or the file says so, else all of a
/// partition. Arenas that cannot be read are named and left out.
fn spans(
    options: &Options,
    partition: &Partition,
    terminal: &Terminal,
) -> Result<(Vec<Span>, Status)> {
    let from = options.clump_offset.unwrap_or(0);
    let head = options.file_offset.unwrap_or(0);
    match ArenaSource::read(partition, head)? {
        ArenaSource::Single(arena) => {
            let status = say_notes(&arena, terminal);
            Ok((vec![Span { arena, from }], status))
        }
        ArenaSource::Partition(table) if options.file_offset.is_some() => {
            let arena = arena_at(partition, &table, head)?;
            let status = say_notes(&arena, terminal);
            Ok((vec![Span { arena, from }], status))
        }
        ArenaSource::Partition(_) if options.clump_offset.is_some() => Err(Failure::report(
            Status::Usage,
            "a clump offset in a partition of several arenas needs -o fileoffset",
        )),
        ArenaSource::Partition(table) => Ok(all_arenas(partition, &table, terminal)),
    }
}

fn all_arenas(
    partition: &Partition,
    table: &ArenaPartition,
    terminal: &Terminal,
) -> (Vec<Span>, Status) {
    let mut status = Status::Done;
    let mut spans = Vec::new();
    for entry in &table.entries {
        match table.arena(partition, entry) {
            Ok(arena) => {
                status = status.worst(say_notes(&arena, terminal));
                spans.push(Span { arena, from: 0 });
            }
            Err(error) => {
                terminal.say(&format!("arena {}: {error}; not sent", entry.name));
                status = status.worst(Status::Partly);
            }
        }
    }
    (spans, status)
}

/// The arena of a partition whose head block lies at `head`.
///
/// # Errors
/// None has; the message says which do. Or that arena cannot be read.
pub fn arena_at(partition: &Partition, table: &ArenaPartition, head: u64) -> Result<Arena> {
    let entry = table.entries.iter().find(|entry| entry.start == head);
    let entry = entry.ok_or_else(|| no_arena(table, head))?;
    table
        .arena(partition, entry)
        .wrap_err_with(|| format!("arena {}", entry.name))
}

/// Says what is odd about an arena: damage makes the run a partial one.
pub fn say_notes(arena: &Arena, terminal: &Terminal) -> Status {
    let mut status = Status::Done;
    for note in &arena.notes {
        terminal.say(&format!("arena {}: {note}", arena.name));
        if matches!(note, Note::Damaged(_)) {
            status = Status::Partly;
        }
    }
    status
}

fn no_arena(table: &ArenaPartition, head: u64) -> Report {
    let nearest = |entries: &mut dyn Iterator<Item = &Entry>| {
        entries
            .map(|entry| format!("{} is at {}", entry.name, entry.start))
            .next()
    };
    let around: Vec<String> = [
        nearest(&mut table.entries.iter().rev().filter(|e| e.start < head)),
        nearest(&mut table.entries.iter().filter(|e| e.start > head)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let nearest = match around.as_slice() {
        [] => "the partition has no arenas".to_owned(),
        around => around.join(", "),
    };
    Failure::report(Status::Failed, format!("no arena at {head}: {nearest}"))
}

/// What an arena holds, said where an offset does not fit it.
pub fn past_the_log(arena: &Arena, why: &str) -> Report {
    Failure::report(
        Status::Failed,
        format!(
            "arena {} at {}: {why} (its trailer counts {} clumps, {:#x} bytes)",
            arena.name, arena.head, arena.live.clumps, arena.live.used
        ),
    )
}
