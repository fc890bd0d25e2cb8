//! The command ventioffsets: where the arenas of a venti lie, from its index
//! page (venti.md 9.1) or from the table of a partition (venti.md 2).
//!
//! The arenas on a page are compared with the table of their partition, where
//! that can be read.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use eyre::{Result, WrapErr};
use serde::Serialize;

use crate::codec::arena::table::TableEntry;
use crate::codec::dial::Dial;
use crate::codec::index::{ArenaRow, Page, PartitionArenas};
use crate::codec::score::Score;
use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::host::partition::{self, Partition};
use crate::host::terminal::Output;
use crate::host::terminal::Terminal;
use crate::net::page;
use crate::source;
use crate::source::notes;
use crate::source::{ArenaPartition, ArenaSource};
use crate::status::{Failure, Status};
use crate::text::line_of;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-w`: print wrarena commands that send to this venti.
    pub host: Option<String>,
    /// `-j`: one JSON object for each arena.
    pub json: bool,
    /// Where to read: the URL of a page, or a partition. Without it, the page
    /// as configured.
    pub from: Option<OsString>,
}

/// Runs the command.
///
/// # Errors
/// The page or partition is missing, or standard output cannot be written. What is
/// wrong with single arenas, and that page and partition do not agree, is in
/// the status.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let host = options.host.as_deref();
    let host = host.map(|host| config.dial(host).wrap_err_with(|| format!("host {host:?}")));
    let run = OffsetsRun {
        options,
        config,
        terminal,
        host: host.transpose()?,
    };
    match options.from.as_deref() {
        Some(from) if !is_url(from) => run.of_partition(from),
        from => run.of_page(from.map(|url| url.to_string_lossy().into_owned())),
    }
}

/// Whether an operand is a URL; a partition is anything else.
fn is_url(operand: &OsStr) -> bool {
    operand.to_string_lossy().contains("://")
}

/// One run, once it is known what is asked for.
struct OffsetsRun<'a> {
    options: &'a Options,
    config: &'a Config,
    terminal: &'a Terminal,
    host: Option<Dial>,
}

impl OffsetsRun<'_> {
    /// The arenas of an index page.
    fn of_page(&self, url: Option<String>) -> Result<Status> {
        let url = url.or_else(|| self.config.index.clone());
        let url = url.unwrap_or_else(|| self.config.default_index.clone());
        let page = page::fetch(&url, self.config.dialer.limits).wrap_err_with(|| url.clone())?;
        if page.arenas.is_empty() {
            self.terminal
                .detail(|| format!("{url}: no arena has clumps"));
        }
        let rows = page.arenas.iter().map(|arena| self.row_of(arena));
        Ok(self.print(rows)?.worst(self.check(&page)))
    }

    fn row_of(&self, arena: &ArenaRow) -> Row {
        Row {
            arena: arena.name.to_string(),
            partition: arena.partition.clone(),
            path: self.config.local_path(&arena.partition).into_owned(),
            offset: arena.head,
            block_size: arena.block_size,
            total: arena.total,
            held: Some(ArenaContents {
                clumps: arena.written.clumps.max(arena.indexed.clumps),
                used: arena.used(),
                sealed: arena.is_sealed(),
                score: arena.score,
            }),
        }
    }

    /// The arenas of a partition's own table, or the one of a file.
    fn of_partition(&self, operand: &OsStr) -> Result<Status> {
        let partition = open(operand)?;
        let subject = || operand.to_string_lossy().into_owned();
        let found = ArenaSource::read(&partition, 0).wrap_err_with(subject)?;
        let (rows, status) = match found {
            ArenaSource::Single(arena) => {
                let status = notes::say_notes(&arena, self.terminal);
                (vec![local_row(operand, &partition, &arena)], status)
            }
            ArenaSource::Partition(table) => {
                let mut status = notes::say_all("arenas", &table.notes, self.terminal);
                let rows = table.entries.iter().map(|entry| {
                    let (row, odd) = self.entry(operand, &partition, &table, entry);
                    status = status.worst(odd);
                    row
                });
                (rows.collect(), status)
            }
        };
        Ok(self.print(rows)?.worst(status))
    }

    /// The arena of a table entry. One that cannot be read is said; where it
    /// lies is known all the same.
    fn entry(
        &self,
        operand: &OsStr,
        partition: &Partition,
        table: &ArenaPartition,
        entry: &TableEntry,
    ) -> (Row, Status) {
        match table.arena(partition, entry) {
            Ok(arena) => {
                let status = notes::say_notes(&arena, self.terminal);
                (local_row(operand, partition, &arena), status)
            }
            Err(error) => {
                self.terminal.say(&format!("arena {}: {error}", entry.name));
                let row = Row {
                    arena: entry.name.to_string(),
                    partition: operand.to_string_lossy().into_owned(),
                    path: absolute(operand),
                    offset: entry.start,
                    block_size: table.block_size,
                    total: entry.stop - entry.start,
                    held: None,
                };
                (row, Status::Partly)
            }
        }
    }

    /// Prints a line for each arena.
    fn print(&self, rows: impl IntoIterator<Item = Row>) -> Result<Status> {
        let mut output = Output::stdout();
        let mut status = Status::Done;
        for row in rows {
            match self.line(&row) {
                Ok(line) => writeln!(output, "{line}").wrap_err("standard output")?,
                Err(error) => {
                    self.terminal
                        .say(&format!("arena {}: {error:#}", row.arena));
                    status = Status::Partly;
                }
            }
        }
        output.flush().wrap_err("standard output")?;
        Ok(status)
    }

    /// The line of an arena, if it can have one.
    fn line(&self, row: &Row) -> Result<String> {
        let command = self.host.as_ref().map(|host| self.command(host, row));
        let command = command.transpose()?;
        Ok(match (self.options.json, command) {
            (true, command) => json(row, command)?,
            (false, Some(command)) => command,
            (false, None) => format!("x {} {} {}", row.arena, row.offset, row.partition),
        })
    }

    /// The command that sends all of an arena to a venti from here.
    fn command(&self, host: &Dial, row: &Row) -> Result<String> {
        let path = match Path::new(&row.path).is_absolute() {
            true => Cow::Borrowed(row.path.as_str()),
            false => self.config.path_from_anywhere(&row.partition)?,
        };
        Ok(WrCmd::new(&host.to_string(), row.offset, &path, 0)?.line())
    }

    /// Compares the page with the partitions that are here.
    fn check(&self, page: &Page) -> Status {
        let mut status = Status::Done;
        for arenas in page.partitions() {
            if let Err(error) = self.check_partition(&arenas) {
                self.terminal.say(&line_of(&error));
                status = Status::Partly;
            }
        }
        status
    }

    fn check_partition(&self, arenas: &PartitionArenas<'_>) -> Result<()> {
        let name = arenas.partition;
        let path = self.config.local_path(name);
        let key = || format!("if it is elsewhere, configure [partitions] {name:?} = \"PATH\"");
        let partition = match Partition::named(OsStr::new(&*path)) {
            Ok(partition) => partition,
            Err(error) => {
                self.terminal
                    .detail(|| format!("{}: not compared; {}", line_of(&error), key()));
                return Ok(());
            }
        };
        ArenaPartition::read(&partition)
            .map_err(eyre::Report::new)
            .and_then(|table| Ok(arenas.check(table.block_size, &table.entries)?))
            .map_err(|error| eyre::eyre!("{path}: {}; {}", line_of(&error), key()))
    }
}

/// Opens a partition that was named as the operand. What is not there and has no
/// slash at its start may be meant for an address.
fn open(operand: &OsStr) -> Result<Partition> {
    let opened = Partition::named(operand);
    let is_address = !operand.to_string_lossy().starts_with('/');
    opened.map_err(|error| match error.downcast_ref() {
        Some(partition::PartitionError::NotFound(_)) if is_address => {
            let hint = "an index page is given as http://HOST:PORT/index";
            Failure::report(Status::Usage, format!("{}; {hint}", line_of(&error)))
        }
        _ => error,
    })
}

/// An arena that was read from a partition.
fn local_row(operand: &OsStr, partition: &Partition, arena: &source::Arena) -> Row {
    Row {
        arena: arena.name.to_string(),
        partition: operand.to_string_lossy().into_owned(),
        path: absolute(operand),
        offset: arena.head,
        block_size: arena.block_size,
        total: arena.total(),
        held: Some(ArenaContents {
            clumps: arena.live.clumps,
            used: arena.live.used,
            sealed: arena.sealed,
            score: arena.seal_score(partition),
        }),
    }
}

/// What a command that is run from anywhere calls a partition.
fn absolute(operand: &OsStr) -> String {
    let path = std::path::absolute(operand);
    let path = path.map_or_else(|_| operand.to_owned(), Into::into);
    path.to_string_lossy().into_owned()
}

fn json(row: &Row, command: Option<String>) -> Result<String> {
    let held = row.held.as_ref();
    Ok(serde_json::to_string(&ArenaLine {
        schema: SCHEMA,
        arena: &row.arena,
        partition: &row.partition,
        path: &row.path,
        offset: row.offset,
        block_size: row.block_size,
        total: row.total,
        clumps: held.map(|held| held.clumps),
        used: held.map(|held| held.used),
        sealed: held.map(|held| held.sealed),
        score: held
            .and_then(|held| held.score)
            .map(|score| score.to_string()),
        command,
    })?)
}

/// An arena, wherever it was found.
struct Row {
    arena: String,
    /// As the server names it, or as the operand does.
    partition: String,
    /// As it is called here.
    path: String,
    /// Its head, bytes from the start of the partition.
    offset: u64,
    block_size: u32,
    /// Bytes from the head to the end of the trailer.
    total: u64,
    /// What is in it; unknown where it could not be read.
    held: Option<ArenaContents>,
}

/// What is in an arena.
struct ArenaContents {
    clumps: u32,
    /// Bytes of the log.
    used: u64,
    sealed: bool,
    score: Option<Score>,
}

const SCHEMA: u32 = 1;

/// What `-j` says of an arena.
#[derive(Serialize)]
struct ArenaLine<'a> {
    schema: u32,
    arena: &'a str,
    partition: &'a str,
    path: &'a str,
    offset: u64,
    block_size: u32,
    total: u64,
    clumps: Option<u32>,
    used: Option<u64>,
    sealed: Option<bool>,
    score: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}
