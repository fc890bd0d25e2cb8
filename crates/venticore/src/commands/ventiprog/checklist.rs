//! `--check`: whether what a run needs is there, each thing in one line, and then what
//! the run would do. Nothing is written.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, SystemTime};

use eyre::{Report, Result, WrapErr};
use serde::Serialize;

use super::Options;
use super::engine::Engine;
use super::origin::{Contact, Origin};
use super::run::Run;
use super::target::some_asked_for;
use crate::codec::blocktype::BlockName;
use crate::codec::dial::Dial;
use crate::codec::target::TargetName;
use crate::codec::utc::Utc;
use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::host::terminal::{Output, SCHEMA, Terminal};
use crate::net;
use crate::net::client::{Client, ClientError, Presence};
use crate::net::reach::Reach;
use crate::ninefat::{self, Home, ImageVisit};
use crate::replica;
use crate::state::StateDir;
use crate::status::{Failure, Status};
use crate::survey::part::Part;
use crate::survey::record::StateFiles;
use crate::survey::sought;
use crate::text::{counted, line_of};
use crate::tool::status_of;

/// How far behind what was written a clock may be: clocks of several machines differ.
const TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks all that a run with these options needs, whatever is wrong first, and says
/// what the run would do.
///
/// # Errors
/// Standard output cannot be written. What is wrong is in the status.
pub fn check_all(
    tool: &str,
    options: &Options,
    config: Result<Config>,
    terminal: &Terminal,
) -> Result<Status> {
    let mut list = Checklist {
        output: terminal.output(),
        json: options.json,
        quiet: terminal.is_quiet(),
        wrong: Vec::new(),
        status: Status::Done,
    };
    let config = match config {
        Ok(config) => config,
        // Nothing can be checked against a configuration that cannot be read.
        Err(error) => {
            list.failed("configuration", &error)?;
            return list.end();
        }
    };
    list.ok("configuration", &files(&config))?;
    let check = Check {
        tool,
        options,
        config: &config,
        terminal,
        silent: Terminal::keeping("ventiprog").0,
    };
    check.each(&mut list)?;
    list.end()
}

fn files(config: &Config) -> String {
    let files = config.files.iter();
    let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
    match files.is_empty() {
        true => "no file, the defaults hold".to_owned(),
        false => files.join(", "),
    }
}

/// What was found, line by line.
struct Checklist {
    output: Output,
    json: bool,
    quiet: bool,
    /// What was wrong, so that it is not said again.
    wrong: Vec<String>,
    status: Status,
}

/// A line of the list, with `-j`.
#[derive(Serialize)]
struct CheckLine<'a> {
    schema: u32,
    check: &'a str,
    ok: bool,
    found: &'a str,
}

impl Checklist {
    fn ok(&mut self, what: &str, found: &str) -> Result<()> {
        match self.quiet && !self.json {
            true => Ok(()),
            false => self.line(what, true, found),
        }
    }

    /// What is wrong, where the end of a run that meets it follows from something else.
    fn not_ok(&mut self, what: &str, cause: &str) -> Result<()> {
        self.wrong.push(cause.to_owned());
        self.line(what, false, cause)
    }

    /// What is wrong, and how a run would end that meets it.
    fn failed(&mut self, what: &str, error: &Report) -> Result<()> {
        self.status = self.status.worst(status_of(error));
        self.not_ok(what, &line_of(error))
    }

    fn found<E: Into<Report>>(&mut self, what: &str, found: Result<String, E>) -> Result<()> {
        match found {
            Ok(found) => self.ok(what, &found),
            Err(error) => self.failed(what, &error.into()),
        }
    }

    fn line(&mut self, what: &str, ok: bool, found: &str) -> Result<()> {
        if self.json {
            return self.output.json_line(&CheckLine {
                schema: SCHEMA,
                check: what,
                ok,
                found,
            });
        }
        let verdict = if ok { "ok" } else { "not ok" };
        writeln!(self.output, "{verdict}: {what}: {found}").wrap_err("standard output")
    }

    fn end(mut self) -> Result<Status> {
        self.output.flush().wrap_err("standard output")?;
        Ok(self.status)
    }
}

/// Why a target is not as a run needs it.
struct Unfit {
    status: Status,
    cause: String,
}

impl From<ClientError> for Unfit {
    fn from(error: ClientError) -> Self {
        Unfit {
            status: error.status(),
            cause: error.to_string(),
        }
    }
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        ClientError::from(error).into()
    }
}

/// What a run would be made of.
struct Check<'a> {
    tool: &'a str,
    options: &'a Options,
    config: &'a Config,
    terminal: &'a Terminal,
    /// Keeps to itself what the run says again.
    silent: Terminal,
}

impl Check<'_> {
    fn each(&self, list: &mut Checklist) -> Result<()> {
        let engine = Engine::choose(self.options.engine.as_deref(), self.config);
        if let Err(error) = engine {
            list.failed("engine", &error)?;
        }
        let state = self.state(list)?;
        let (record, visit) = self.record(state, list)?;
        let config = self.config;
        let targets = some_asked_for(record.wrcmd.as_ref(), &self.options.scope, config);
        let targets = match targets {
            Ok(targets) => targets,
            Err(error) => {
                list.failed("targets", &error)?;
                Vec::new()
            }
        };
        self.page(&record, list)?;
        self.source(&record, &targets, list)?;
        let parts = self.partitions(&record, &targets, list)?;
        clock(&record, &parts, list)?;
        let failed = self.targets(&record, &parts, &targets, list)?;
        drop(parts);
        self.rehearse(record, visit, &failed, list)
    }

    /// The state directory: whether it can be written, and that no other run is at work.
    fn state(&self, list: &mut Checklist) -> Result<StateDir> {
        let given = self.options.dir.as_deref();
        let dir = self.config.state_dir(given);
        let what = format!("state directory {}", dir.display());
        let state = match Home::existing(self.config, given) {
            Ok(state) => state,
            Err(error) => {
                list.failed(&what, &error)?;
                return Ok(StateDir::none(&dir));
            }
        };
        let Some(state) = state else {
            let made = StateDir::refuse_unmakeable(&dir);
            list.found(
                &what,
                made.map(|()| "not there yet, can be made".to_owned()),
            )?;
            return Ok(StateDir::none(&dir));
        };
        let written = state.refuse_unwritable();
        list.found(&what, written.map(|()| "can be written".to_owned()))?;
        let free = state.refuse_locked();
        list.found("lock", free.map(|()| "no other run is at work".to_owned()))?;
        Ok(state)
    }

    /// What is on record in the state directory, and on a 9fat that nobody mounts.
    fn record(
        &self,
        state: StateDir,
        list: &mut Checklist,
    ) -> Result<(StateFiles, Option<ImageVisit>)> {
        let visit = self.nine_fat(&state, list)?;
        let nothing = StateDir::none(state.path());
        let mut record = match StateFiles::read(self.tool, state) {
            Ok(record) => {
                let places = record.wrcmds.places().count() as u64;
                let places = counted(places, "place", "places");
                list.ok("record", &format!("{places} of targets in wrcmds"))?;
                record
            }
            Err(error) => {
                list.failed("record", &error)?;
                StateFiles::nothing(self.tool, nothing)
            }
        };
        if let Some(newer) = visit.as_ref().and_then(ImageVisit::newer_wrcmd) {
            record.wrcmd = Some(WrCmd::parse(newer)?);
        }
        Ok((record, visit))
    }

    fn nine_fat(&self, state: &StateDir, list: &mut Checklist) -> Result<Option<ImageVisit>> {
        let nine_fat = match self.config.nine_fat(self.options.nine_fat.as_deref()) {
            Ok(Some(nine_fat)) => nine_fat,
            Ok(None) => return Ok(None),
            Err(error) => {
                list.failed("9fat", &error.into())?;
                return Ok(None);
            }
        };
        match ninefat::arrive(state, &nine_fat, false, self.terminal) {
            Ok(visit) => {
                list.ok(&format!("9fat {}", nine_fat.image), "can be read")?;
                Ok(Some(visit))
            }
            Err(error) => {
                list.failed("9fat", &error.into())?;
                Ok(None)
            }
        }
    }

    /// The index pages: of the source, and of the targets that are compared with theirs.
    fn page(&self, record: &StateFiles, list: &mut Checklist) -> Result<()> {
        let (scope, config) = (&self.options.scope, self.config);
        let url = sought::page_url(record, scope, config);
        if let Some(url) = url.filter(|_| scope.partitions.is_empty()) {
            let what = format!("index page {url}");
            match net::page::fetch(url, config.dialer.limits) {
                Ok(page) => {
                    let arenas = counted(page.arenas.len() as u64, "arena", "arenas");
                    list.ok(&what, &arenas)?;
                }
                Err(error) => list.not_ok(&what, &error.to_string())?,
            }
        }
        let mut pages: Vec<(&String, &String)> = config.target_index.iter().collect();
        pages.sort();
        for (target, url) in pages {
            let what = format!("index page {url} of target {target}");
            match net::page::fetch(url, config.dialer.limits) {
                Ok(_) => list.ok(&what, "answers")?,
                // As a run that cannot compare.
                Err(error) => {
                    let error = Failure::report(Status::Partly, error.to_string());
                    list.failed(&what, &error)?;
                }
            }
        }
        Ok(())
    }

    fn source(
        &self,
        record: &StateFiles,
        targets: &[TargetName],
        list: &mut Checklist,
    ) -> Result<()> {
        let url = sought::page_url(record, &self.options.scope, self.config);
        let origin = match Origin::of(self.options, self.config, url) {
            Ok(origin) => origin,
            Err(error) => return list.failed("source", &error),
        };
        let Some(dial) = origin.dial() else {
            let why = match origin {
                Origin::Offline => "no server writes the partitions (--offline)",
                _ => "no venti is known (-s), so none is asked to sync",
            };
            return list.ok("source", why);
        };
        let ventis = targets.iter().filter_map(TargetName::dial);
        let reach = Reach::look_up(ventis.chain([dial]), &self.config.dialer);
        let (silent, kept) = Terminal::keeping("ventiprog");
        let what = format!("source {}", origin.shown());
        match origin.sync(&reach, self.config, &silent) {
            Contact::Failed => {
                let said = kept.said().join("; ");
                let cause = said.strip_prefix(&format!("{what}: ")).unwrap_or(&said);
                list.not_ok(&what, cause)
            }
            Contact::None | Contact::Synced(_) => list.ok(&what, "has synced"),
        }
    }

    /// The partitions that a run would read.
    fn partitions(
        &self,
        record: &StateFiles,
        targets: &[TargetName],
        list: &mut Checklist,
    ) -> Result<Vec<Part>> {
        let (scope, config, silent) = (&self.options.scope, self.config, &self.silent);
        let names = match sought::sought(record, scope, config, silent) {
            Ok(sought) => sought.names,
            Err(error) => {
                list.failed("partitions", &error)?;
                return Ok(Vec::new());
            }
        };
        let recorded = record.partitions(targets);
        let wrcmd = record.wrcmd.as_ref();
        let mut parts = Vec::new();
        for name in sought::with_recorded(names, &recorded, wrcmd.is_some()) {
            let what = format!("partition {name}");
            match Part::open(&name, wrcmd, &config.replicas, silent) {
                Ok((part, Status::Done)) => {
                    list.ok(&what, &counted(part.arenas.len() as u64, "arena", "arenas"))?;
                    parts.push(part);
                }
                Ok((part, _)) => {
                    list.not_ok(&what, "damaged, as said below")?;
                    parts.push(part);
                }
                Err(error) => {
                    let cause = line_of(&error);
                    let cause = cause.strip_prefix(&format!("{name}: ")).unwrap_or(&cause);
                    list.not_ok(&what, cause)?;
                }
            }
        }
        Ok(parts)
    }

    /// Whether the targets can be reached, all at the same time; those that cannot.
    fn targets(
        &self,
        record: &StateFiles,
        parts: &[Part],
        targets: &[TargetName],
        list: &mut Checklist,
    ) -> Result<Vec<(TargetName, Unfit)>> {
        let found: Vec<Result<String, Unfit>> = thread::scope(|scope| {
            let reach = |target| scope.spawn(move || self.reach(target, record, parts));
            let threads: Vec<_> = targets.iter().map(reach).collect();
            let found = threads.into_iter().map(thread::ScopedJoinHandle::join);
            found
                .map(|found| found.unwrap_or_else(|_| Err(ClientError::Internal.into())))
                .collect()
        });
        let mut failed = Vec::new();
        for (target, found) in targets.iter().zip(found) {
            let what = format!("target {target}");
            match found {
                Ok(found) => list.ok(&what, &found)?,
                Err(unfit) => {
                    list.not_ok(&what, &unfit.cause)?;
                    failed.push((target.clone(), unfit));
                }
            }
        }
        Ok(failed)
    }

    /// Reaches a target, and asks it for the block that it acknowledged last.
    fn reach(
        &self,
        target: &TargetName,
        record: &StateFiles,
        parts: &[Part],
    ) -> Result<String, Unfit> {
        let is_recorded = record.wrcmds.places().any(|place| place.target == *target);
        match target {
            TargetName::Venti(dial) => self.probe(dial, target, record, parts),
            TargetName::Replica(name) if is_recorded => {
                replica::open(name, &self.config.replicas)?;
                Ok("is a replica".to_owned())
            }
            TargetName::Replica(name) => Ok(match replica::is_made(name, &self.config.replicas)? {
                true => "is a replica, nothing is on record of it yet".to_owned(),
                false => "is empty, a replica can be made".to_owned(),
            }),
        }
    }

    fn probe(
        &self,
        dial: &Dial,
        target: &TargetName,
        record: &StateFiles,
        parts: &[Part],
    ) -> Result<String, Unfit> {
        let mut client = Client::dial(dial, &self.config.dialer)?;
        let last = parts.iter().rev().find_map(|part| {
            let place = record.wrcmds.get(target, &part.name)?;
            let mut arenas = part.arenas.iter();
            let arena = arenas.find(|arena| arena.head == place.head)?;
            let header = part.before(arena, place.offset)?;
            let is_same = place.last == Some(header.score);
            Some((header.score, header.block_type()?)).filter(|_| is_same)
        });
        let Some((score, block_type)) = last else {
            return Ok("answers, nothing on record to ask it for".to_owned());
        };
        match client.probe(&score, block_type)? {
            Presence::Absent => Err(Unfit {
                status: Status::Unverified,
                cause: format!(
                    "{} is missing, but was acknowledged before",
                    BlockName(block_type, score)
                ),
            }),
            _ => Ok("answers, and has the block acknowledged last".to_owned()),
        }
    }

    /// What a run would do, as far as it would come.
    fn rehearse(
        &self,
        record: StateFiles,
        visit: Option<ImageVisit>,
        failed: &[(TargetName, Unfit)],
        list: &mut Checklist,
    ) -> Result<()> {
        list.output.flush().wrap_err("standard output")?;
        let run = Run::prepare(self.options, self.config, self.terminal, record);
        let outcome = run.and_then(|mut run| {
            for target in &mut run.targets {
                let found = failed.iter().find(|(name, _)| *name == target.name);
                match found {
                    // A run sends it again.
                    Some((_, unfit)) if unfit.status == Status::Unverified => {
                        target.status = unfit.status;
                    }
                    Some((_, unfit)) => target.fail(unfit.status, unfit.cause.clone()),
                    None => {}
                }
            }
            run.replicate()
        });
        match ninefat::leave(visit, outcome, self.terminal) {
            Ok(status) => list.status = list.status.worst(status),
            Err(error) => {
                let cause = line_of(&error);
                list.status = list.status.worst(status_of(&error));
                if !list.wrong.iter().any(|wrong| cause.contains(wrong)) {
                    list.not_ok("run", &cause)?;
                }
            }
        }
        Ok(())
    }
}

/// The clock, held against what was written by it or by the source's. A run does not look
/// at it: what it would write down is wrong, and who reads that is misled.
fn clock(record: &StateFiles, parts: &[Part], list: &mut Checklist) -> Result<()> {
    let now = SystemTime::now();
    let acknowledged = record.wrcmds.places().filter_map(|place| {
        let time = place.acknowledged?;
        Some((time, format!("{} acknowledged at", place.target)))
    });
    let written = parts.iter().filter_map(|part| {
        let time = part.written_last()?;
        Some((time, format!("the newest block of {} is of", part.name)))
    });
    let newest = written.chain(acknowledged).max_by_key(|(time, _)| *time);
    let is_ahead = |time: SystemTime| time.duration_since(now).is_ok_and(|by| by > TOLERANCE);
    match newest {
        Some((time, what)) if is_ahead(time) => {
            let cause = format!("{}, but {what} {}: set the clock", Utc(now), Utc(time));
            list.failed("clock", &Failure::report(Status::Partly, cause))
        }
        Some(_) => list.ok("clock", &Utc(now).to_string()),
        None => list.ok(
            "clock",
            &format!("{}, nothing to compare it with", Utc(now)),
        ),
    }
}
