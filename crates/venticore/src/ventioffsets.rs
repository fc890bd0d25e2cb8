//! The command ventioffsets: where the arenas of a venti lie, from its index
//! page (venti.md 9.1).
//!
//! Each is compared with the table of its partition, where that can be read.

use std::ffi::OsStr;
use std::io::Write;

use eyre::{Result, WrapErr};
use serde::Serialize;

use crate::arena::ArenaPartition;
use crate::config::Config;
use crate::dial::Dial;
use crate::exit::{Output, Status};
use crate::index::{self, Arena, Page, PartitionArenas};
use crate::terminal::Terminal;
use crate::wrarena;
use crate::wrcmd::WrCmd;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-w`: print wrarena commands that send to this venti.
    pub host: Option<String>,
    /// `-j`: one JSON object for each arena.
    pub json: bool,
    /// Where the page is, else as configured, else the default page.
    pub url: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// There is no page, or standard output cannot be written. That page and
/// partition do not agree is in the status.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let host = options.host.as_deref();
    let host = host.map(|host| config.dial(host).wrap_err_with(|| format!("host {host:?}")));
    let host = host.transpose()?;
    let url = options.url.as_deref().or(config.index.as_deref());
    let url = url.unwrap_or(&config.default_index);
    let page = index::fetch(url, config.limits).wrap_err_with(|| url.to_owned())?;
    if page.arenas.is_empty() {
        terminal.detail(|| format!("{url}: no arena has clumps"));
    }
    let run = Run {
        options,
        config,
        terminal,
        host,
    };
    Ok(run.print(&page)?.worst(run.check(&page)))
}

/// One run, once it is known what is asked for.
struct Run<'a> {
    options: &'a Options,
    config: &'a Config,
    terminal: &'a Terminal,
    host: Option<Dial>,
}

impl Run<'_> {
    /// Prints a line for each arena.
    fn print(&self, page: &Page) -> Result<Status> {
        let mut output = Output::stdout();
        let mut status = Status::Done;
        for arena in &page.arenas {
            let line = self.line(arena).unwrap_or_else(|error| {
                let arena = &arena.name;
                self.terminal.say(&format!("arena {arena}: {error}"));
                status = Status::Partly;
                None
            });
            if let Some(line) = line {
                writeln!(output, "{line}").wrap_err("standard output")?;
            }
        }
        output.flush().wrap_err("standard output")?;
        Ok(status)
    }

    /// The line of an arena, if it can have one.
    fn line(&self, arena: &Arena) -> Result<Option<String>> {
        let command = self.host.as_ref().map(|host| self.command(host, arena));
        let command = command.transpose()?;
        Ok(match (self.options.json, command) {
            (true, command) => self.json(arena, command),
            (false, Some(command)) => Some(command),
            (false, None) => Some(format!(
                "x {} {} {}",
                arena.name, arena.head, arena.partition
            )),
        })
    }

    /// The command that sends all of an arena to a venti from here.
    fn command(&self, host: &Dial, arena: &Arena) -> Result<String> {
        let path = self.config.path_from_anywhere(&arena.partition)?;
        Ok(WrCmd::new(&host.to_string(), arena.head, &path, 0)?.line())
    }

    fn json(&self, arena: &Arena, command: Option<String>) -> Option<String> {
        let line = ArenaLine {
            schema: SCHEMA,
            arena: arena.name.as_str(),
            partition: &arena.partition,
            path: &self.config.local_path(&arena.partition),
            offset: arena.head,
            block_size: arena.block_size,
            total: arena.total,
            clumps: arena.written.clumps.max(arena.indexed.clumps),
            used: arena.used(),
            sealed: arena.is_sealed(),
            score: arena.score.map(|score| score.to_string()),
            command,
        };
        serde_json::to_string(&line).ok()
    }

    /// Compares the page with the partitions that are here.
    fn check(&self, page: &Page) -> Status {
        let mut status = Status::Done;
        for arenas in page.partitions() {
            if let Err(error) = self.check_partition(&arenas) {
                self.terminal.say(&format!("{error:#}"));
                status = Status::Partly;
            }
        }
        status
    }

    fn check_partition(&self, arenas: &PartitionArenas<'_>) -> Result<()> {
        let name = arenas.partition;
        let path = self.config.local_path(name);
        let key = || format!("if it is elsewhere, configure [partitions] {name:?} = \"PATH\"");
        let partition = match wrarena::open(OsStr::new(&*path)) {
            Ok(partition) => partition,
            Err(error) => {
                self.terminal
                    .detail(|| format!("{error:#}: not compared; {}", key()));
                return Ok(());
            }
        };
        ArenaPartition::read(&partition)
            .map_err(eyre::Report::new)
            .and_then(|table| Ok(arenas.check(&table)?))
            .map_err(|error| eyre::eyre!("{path}: {error:#}; {}", key()))
    }
}

const SCHEMA: u32 = 1;

/// What `-j` says of an arena.
#[derive(Serialize)]
struct ArenaLine<'a> {
    schema: u32,
    arena: &'a str,
    /// As the server names it.
    partition: &'a str,
    /// As it is called here.
    path: &'a str,
    /// Its head, bytes from the start of the partition.
    offset: u64,
    block_size: u32,
    /// Bytes from the head to the end of the trailer.
    total: u64,
    clumps: u32,
    /// Bytes of the log.
    used: u64,
    sealed: bool,
    score: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}
