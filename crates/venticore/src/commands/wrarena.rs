//! The command wrarena: sends the clumps of an arena to a venti, as
//! venti/wrarena does (venti.md 10.2), but keeps what it promises.
//!
//! The file offset and the clump offset count on a partition too; an end
//! offset is printed only after the target has acknowledged a sync of all that
//! lies before it; a damaged clump costs only itself.

use crate::copy::cursor::Cursor;
use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use eyre::{Context, Report, Result};

use crate::codec::arena::clump::ClumpError;
use crate::codec::arena::table::TableEntry;
use crate::codec::target::TargetName;
use crate::config::Config;
use crate::copy::replicate::{
    self, Assignment, Checkpoint, CopyJob, Event, Manner, SendFrom, TargetAccess, TargetOutcome,
    Trouble,
};
use crate::host::terminal::Output;
use crate::host::terminal::Terminal;
use crate::replica::OpenedSource;
use crate::source::notes;
use crate::source::{Arena, ArenaPartition, ArenaSource, ReadAt};
use crate::status::{Failure, Status};

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
    /// `-M`: stop after this many clumps.
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
    let subject = || options.file.to_string_lossy().into_owned();
    let opened = OpenedSource::named(&options.file, &config.replicas).wrap_err_with(subject)?;
    let (arenas, mut status) = arenas(options, &opened, terminal).wrap_err_with(subject)?;
    status = status.worst(notes::say_wrong(&opened.notes, terminal));
    let job = CopyJob {
        source: opened.source,
        arenas,
        cross: true,
        synced: false,
        max_clumps: options.max_clumps,
        tell_blocks: options.verbose,
    };
    let from = Cursor {
        arena: 0,
        offset: options.clump_offset.unwrap_or(0),
    };
    let seat = Assignment {
        job: 0,
        target: target.clone(),
        is_new: true,
        start: SendFrom {
            from,
            ..SendFrom::default()
        },
        after: None,
    };
    let mut output = terminal.output();
    let jobs = [job];
    let outcome = send(&jobs, seat, config, terminal, &mut output);
    status = status.worst(judge(&outcome, terminal));
    match outcome.trouble {
        Some(Trouble::Target(error)) => return Ok(status.worst(error.status())),
        Some(Trouble::Start(error)) => {
            return Err(not_a_place(jobs[0].arenas.first(), &error)).wrap_err_with(subject);
        }
        Some(Trouble::NotTried) | None => {}
    }
    if options.file_offset.is_some() && target.is_some() {
        let end = outcome.place.map_or(from, |place| place.at);
        writeln!(output, "end offset {:#x}", end.offset).wrap_err("standard output")?;
    }
    output.flush().wrap_err("standard output")?;
    Ok(status)
}

fn send(
    jobs: &[CopyJob; 1],
    seat: Assignment,
    config: &Config,
    terminal: &Terminal,
    output: &mut Output,
) -> TargetOutcome {
    let target = seat.target.clone();
    let manner = Manner {
        retries: 0,
        backoff: Duration::ZERO,
        probe: false,
        rate: None,
        checkpoint: Checkpoint::NEVER,
        told: replicate::TOLD,
    };
    let access = TargetAccess {
        ventis: &config.dialer,
        replicas: &config.replicas,
    };
    let whole = jobs[0].bytes_from(seat.start.from);
    let outcomes = replicate::run(
        jobs,
        &[seat],
        manner,
        access,
        &|_, _| Ok(()),
        &mut |event| match event {
            Event::Block(score) => {
                // A full disk behind standard output shows in the last flush.
                let _ = writeln!(output, "{score}");
            }
            Event::Progress { at, .. } => {
                terminal.progress(whole.saturating_sub(jobs[0].bytes_from(at)), whole);
            }
            Event::Damage(damage) => terminal.say(&damage.to_string()),
            Event::Lost { error, .. } => {
                let target = target
                    .as_ref()
                    .map(TargetName::to_string)
                    .unwrap_or_default();
                terminal.say(&format!("{target}: {error}"));
            }
            Event::Found { .. } | Event::Acknowledged { .. } | Event::Retry { .. } => {}
        },
    );
    terminal.clear();
    outcomes.into_iter().next().unwrap_or_default()
}

/// What damage, and clumps that are late, make of the status; late ones are
/// said.
pub fn judge(outcome: &TargetOutcome, terminal: &Terminal) -> Status {
    if let Some(late) = &outcome.late {
        terminal.say(&format!(
            "{late}; not on disk yet, run again once the server has synced"
        ));
    }
    let TargetOutcome { lost, odd, .. } = outcome;
    for (count, what) in [
        (lost, "clumps are damaged"),
        (
            odd,
            "clumps are whole, but their header or directory entry is damaged",
        ),
    ] {
        if *count > replicate::TOLD as u64 {
            terminal.say(&format!("{count} {what}"));
        }
    }
    match outcome.late.is_some() || *lost > 0 || *odd > 0 {
        true => Status::Partly,
        false => Status::Done,
    }
}

/// The target: `-h`, otherwise `$venti`; none for `/dev/null`.
fn target(options: &Options, config: &Config) -> Result<Option<TargetName>> {
    let host = options.host.as_deref().or(config.venti.as_deref());
    match host {
        Some("/dev/null") => Ok(None),
        Some(host) => {
            let name = config.target(host);
            name.map(Some).wrap_err_with(|| format!("host {host:?}"))
        }
        None => Err(Failure::report(
            Status::Usage,
            "no venti to send to: give -h host or set $venti",
        )),
    }
}

/// What to send: one arena where `-o` or the file says so, otherwise all of a
/// partition. Arenas that cannot be read are named and left out.
fn arenas(
    options: &Options,
    partition: &dyn ReadAt,
    terminal: &Terminal,
) -> Result<(Vec<Arena>, Status)> {
    let head = options.file_offset.unwrap_or(0);
    let mut status = Status::Done;
    let arena = match ArenaSource::read(partition, head)? {
        ArenaSource::Single(arena) => arena,
        ArenaSource::Partition(table) if options.file_offset.is_some() => {
            status = notes::say_all("arenas", &table.notes, terminal);
            arena_at(partition, &table, head)?
        }
        ArenaSource::Partition(_) if options.clump_offset.is_some() => {
            return Err(Failure::report(
                Status::Usage,
                "a clump offset in a partition of several arenas needs -o fileoffset",
            ));
        }
        ArenaSource::Partition(table) => return Ok(notes::all_arenas(partition, &table, terminal)),
    };
    let status = status.worst(notes::say_notes(&arena, terminal));
    Ok((vec![arena], status))
}

/// The arena of a partition whose head block lies at `head`.
///
/// # Errors
/// None has; the message says which do. Or that arena cannot be read.
pub fn arena_at(partition: &dyn ReadAt, table: &ArenaPartition, head: u64) -> Result<Arena> {
    let entry = table.entries.iter().find(|entry| entry.start == head);
    let entry = entry.ok_or_else(|| no_arena(table, head))?;
    table
        .arena(partition, entry)
        .wrap_err_with(|| format!("arena {}", entry.name))
}

fn no_arena(table: &ArenaPartition, head: u64) -> Report {
    let nearest = |entries: &mut dyn Iterator<Item = &TableEntry>| {
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

/// Why an offset is not a place, and what the arena holds.
#[must_use = "it is the error of the run"]
pub fn not_a_place(arena: Option<&Arena>, error: &ClumpError) -> Report {
    let holds = arena.map_or_else(String::new, |arena| {
        format!(
            " (arena {} at {}: its trailer counts {} clumps, {:#x} bytes)",
            arena.name, arena.head, arena.live.clumps, arena.live.used
        )
    });
    Failure::report(Status::Failed, format!("{error}{holds}"))
}
