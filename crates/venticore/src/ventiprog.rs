//! The command ventiprog: brings ventis up to date with the arenas of another.
//!
//! It keeps its place in `wrcmd`, which it shares with the rc script of the
//! same name: read the command, send what is new to its host and to every
//! other target, and only when all of them have acknowledged a sync of it,
//! move the clump offset and log the old command and the new one.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use eyre::{Context, Result};
use serde::Serialize;

use crate::arena::{ArenaSource, Name};
use crate::client::{self, Client};
use crate::config::Config;
use crate::dial::Dial;
use crate::exit::{Failure, Output, Status, client_status};
use crate::replicate::{Job, Reached, Report, Span};
use crate::state::{Access, Stamp, StateDir};
use crate::terminal::Terminal;
use crate::wrarena;
use crate::wrcmd::WrCmd;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-n`: say what would be sent, and write nothing.
    pub dry_run: bool,
    /// `-j`: one JSON object for each target and one for the run.
    pub json: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `-s`: the venti whose arenas are read, to be synced first.
    pub source: Option<String>,
    /// The ventis to bring up to date, besides that of the wrcmd.
    pub targets: Vec<String>,
}

/// Runs the command; `tool` is its name in the log.
///
/// # Errors
/// Nothing could be sent, or the state could not be written. What happened to
/// single targets is in the status.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let dir = config.state_dir(options.dir.as_deref());
    let state = if options.dry_run {
        StateDir::existing(&dir)?.ok_or_else(|| no_wrcmd(&dir))?
    } else {
        StateDir::open(&dir)?
    };
    let lock = (!options.dry_run).then(|| state.lock()).transpose();
    let _lock = lock.wrap_err_with(|| dir.display().to_string())?;
    let text = state.read_wrcmd()?.ok_or_else(|| no_wrcmd(&dir))?;
    let old = WrCmd::parse(text)
        .wrap_err_with(|| state.path_of(StateDir::WRCMD).display().to_string())?;
    if old.had_en_dash() {
        terminal.say("wrcmd: an option begins with an en dash, read as -");
    }
    let run = Run {
        tool,
        options,
        config,
        terminal,
        state: &state,
        targets: targets(&old, options, config)?,
        source: source(options, config)?,
        old,
        start: Instant::now(),
    };
    run.refuse_source()?;
    run.replicate()
}

fn no_wrcmd(dir: &std::path::Path) -> eyre::Report {
    Failure::report(
        Status::Failed,
        format!(
            "{}: no wrcmd here; write one such as \
             'wrarena -h tcp!HOST!17034 -o ARENAOFFSET PARTITION 0x0'",
            dir.display()
        ),
    )
}

/// The host of the wrcmd, then those asked for; each once.
fn targets(wrcmd: &WrCmd, options: &Options, config: &Config) -> Result<Vec<Dial>> {
    let own = wrcmd.host().map(|host| config.dial(host)).transpose();
    let own = own.wrap_err("wrcmd")?;
    let port = own.as_ref().map_or(Dial::VENTI, Dial::port);
    let asked = if options.targets.is_empty() {
        &config.targets
    } else {
        &options.targets
    };
    let mut targets: Vec<Dial> = own.into_iter().collect();
    for text in asked {
        let target = Dial::parse(text, config.venti.as_deref(), port)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    if targets.is_empty() {
        let cause = "no target: the wrcmd has no -h, and no venti was named";
        return Err(Failure::report(Status::Usage, cause));
    }
    Ok(targets)
}

/// The venti whose arenas are read: `-s`, else `$venti`, else the configured one.
fn source(options: &Options, config: &Config) -> Result<Option<Dial>> {
    let text = options
        .source
        .as_ref()
        .or(config.venti.as_ref())
        .or(config.source.as_ref());
    let dial = text.map(|text| config.dial(text)).transpose();
    dial.wrap_err("source")
}

/// One run, with everything that was given for it.
struct Run<'a> {
    tool: &'a str,
    options: &'a Options,
    config: &'a Config,
    terminal: &'a Terminal,
    state: &'a StateDir,
    targets: Vec<Dial>,
    source: Option<Dial>,
    old: WrCmd,
    start: Instant,
}

impl Run<'_> {
    fn refuse_source(&self) -> Result<()> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        let addresses = source.resolve().unwrap_or_default();
        let is_source = |target: &&Dial| {
            let found = target.resolve().unwrap_or_default();
            *target == source || found.iter().any(|address| addresses.contains(address))
        };
        match self.targets.iter().find(is_source) {
            Some(target) => Err(Failure::report(
                Status::Usage,
                format!("{target}: is the source itself ({source}); name another venti"),
            )),
            None => Ok(()),
        }
    }

    fn replicate(&self) -> Result<Status> {
        let mut status = self.sync_source();
        let synced = self.source.is_some() && status == Status::Done;
        let file = self.old.file();
        let job = self
            .job(synced, &mut status)
            .wrap_err_with(|| file.to_owned())?;
        let targets = if self.options.dry_run {
            &[]
        } else {
            self.targets.as_slice()
        };
        let report = wrarena::copy(&job, targets, self.config, self.terminal, None);
        let reached = reached(&job, &report).wrap_err_with(|| file.to_owned())?;
        status = status.worst(self.judge(&report, reached));
        let new = self.old.with_clump_offset(reached.end);
        let all_current = report.targets.iter().all(Result::is_ok);
        if all_current && !self.options.dry_run {
            self.record(&new)?;
        }
        self.print(&new, &job, &report, status)?;
        Ok(status)
    }

    /// Asks the source to put what it has on disk, so that it is seen.
    fn sync_source(&self) -> Status {
        let Some(source) = &self.source else {
            self.terminal.detail(|| {
                "no source venti known (-s, $venti, configuration): \
                 what it has not yet written to disk is not seen"
                    .to_owned()
            });
            return Status::Done;
        };
        let synced = Client::dial(source, self.config.limits).and_then(|mut client| client.sync());
        match synced {
            Ok(()) => Status::Done,
            Err(error) => {
                self.terminal
                    .say(&format!("source {source}: not synced: {error}"));
                Status::Partly
            }
        }
    }

    /// The arena the command names, from its clump offset on.
    fn job(&self, synced: bool, status: &mut Status) -> Result<Job> {
        let partition = wrarena::open(OsStr::new(self.old.file()))?;
        let head = self.old.file_offset().unwrap_or(0);
        let arena = match ArenaSource::read(&partition, head)? {
            ArenaSource::Single(arena) => arena,
            ArenaSource::Partition(table) => wrarena::arena_at(&partition, &table, head)?,
        };
        *status = status.worst(wrarena::say_notes(&arena, self.terminal));
        Ok(Job {
            source: Arc::new(partition),
            spans: vec![Span {
                arena,
                from: self.old.clump_offset(),
            }],
            synced,
            max_clumps: None,
        })
    }

    fn judge(&self, report: &Report, reached: &Reached) -> Status {
        let mut status = Status::Done;
        if let Some(late) = &reached.late {
            self.terminal.say(&format!(
                "{late}; not on disk yet, the next run starts there \
                 (with a source venti to sync, it would be seen now)"
            ));
            status = status.worst(Status::Partly);
        }
        if report.tally.damaged > 0 {
            status = status.worst(Status::Partly);
        }
        let failed = report
            .targets
            .iter()
            .filter_map(|target| target.as_ref().err());
        for error in failed.clone() {
            status = status.worst(client_status(error));
        }
        if (1..report.targets.len()).contains(&failed.count()) {
            status = status.worst(Status::Partly);
        }
        status
    }

    /// Logs both commands, then moves the place: a run that dies in between
    /// leaves a line too many in the log, never a place too far.
    fn record(&self, new: &WrCmd) -> Result<()> {
        if new.clump_offset() == self.old.clump_offset() {
            return Ok(());
        }
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let stamp = Stamp {
            time: SystemTime::now(),
            host: &host,
            tool: self.tool,
        };
        let lines = [self.old.line(), new.line()];
        let access = self
            .state
            .append_rootscor(&stamp, &lines, StateDir::ROOTSCOR_WAIT)?;
        if access != Access::Private {
            let path = self.state.path_of(StateDir::ROOTSCOR);
            self.terminal.say(&format!("{}: {access}", path.display()));
        }
        self.state.replace(StateDir::WRCMD, &new.to_file())?;
        Ok(())
    }

    fn print(&self, new: &WrCmd, job: &Job, report: &Report, status: Status) -> Result<()> {
        let tally = report.tally;
        if self.options.dry_run {
            self.terminal.say(&format!(
                "would send {} clumps, {} bytes, to {} targets",
                tally.blocks,
                tally.bytes,
                self.targets.len()
            ));
        } else {
            self.terminal.detail(|| {
                format!(
                    "{} clumps, {} bytes, to {} targets",
                    tally.blocks,
                    tally.bytes,
                    self.targets.len()
                )
            });
        }
        let mut output = Output::stdout();
        if self.options.json {
            self.print_json(&mut output, new, job, report, status)?;
        } else if report.targets.iter().all(Result::is_ok) {
            write!(output, "{}\n{}\n", self.old.line(), new.line())?;
        }
        output.flush().wrap_err("standard output")
    }

    fn print_json(
        &self,
        output: &mut Output,
        new: &WrCmd,
        job: &Job,
        report: &Report,
        status: Status,
    ) -> Result<()> {
        for (dial, result) in self.targets.iter().zip(&report.targets) {
            let error = result.as_ref().err();
            json_line(
                output,
                &TargetLine {
                    schema: SCHEMA,
                    target: dial.to_string(),
                    current: error.is_none(),
                    status: error.map_or(Status::Done, client_status).code(),
                    error: error.map(client::Error::to_string),
                },
            )?;
        }
        let arena = job.spans.first().map(|span| &span.arena.name);
        json_line(
            output,
            &RunLine {
                schema: SCHEMA,
                arena: arena.map(Name::as_str),
                old: self.old.line(),
                new: new.line(),
                clumps: report.tally.blocks,
                bytes: report.tally.bytes,
                damaged: report.tally.damaged,
                dry_run: self.options.dry_run,
                seconds: self.start.elapsed().as_secs_f64(),
                status: status.code(),
            },
        )
    }
}

fn reached<'a>(job: &Job, report: &'a Report) -> Result<&'a Reached> {
    match (report.spans.first(), job.spans.first()) {
        (Some(Ok(reached)), _) => Ok(reached),
        (Some(Err(error)), Some(span)) => {
            Err(wrarena::past_the_log(&span.arena, &error.to_string()))
        }
        _ => Err(eyre::eyre!("nothing was read")),
    }
}

/// The version of the JSON lines.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct TargetLine {
    schema: u32,
    target: String,
    current: bool,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct RunLine<'a> {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    arena: Option<&'a str>,
    old: String,
    new: String,
    clumps: u64,
    bytes: u64,
    damaged: u64,
    dry_run: bool,
    seconds: f64,
    status: u8,
}

fn json_line(output: &mut Output, line: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(line)?;
    writeln!(output, "{text}").wrap_err("standard output")
}
