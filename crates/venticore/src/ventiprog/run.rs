//! One run from its start to its last word.

use std::time::Instant;

use eyre::Result;

use super::engine::{self, Engine};
use super::record::Record;
use super::source::{self, Asked, Part};
use super::target::{Target, refuse_source, source_venti, targets};
use super::{Options, copy, held, tell};
use crate::client::Client;
use crate::config::Config;
use crate::dial::Dial;
use crate::exit::{Failure, Status};
use crate::places::{self, Known, Point};
use crate::terminal::Terminal;
use crate::wrcmd::WrCmd;

/// One run, with everything that was given for it.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) config: &'a Config,
    pub(super) terminal: &'a Terminal,
    pub(super) record: Record,
    pub(super) engine: Engine,
    pub(super) parts: Vec<Part>,
    pub(super) targets: Vec<Target>,
    /// The wrcmd this run starts from: as found, or built.
    pub(super) wrcmd: WrCmd,
    pub(super) synced: bool,
    /// What has happened to the source.
    pub(super) status: Status,
    /// Something other than damage keeps the wrcmd where it is.
    pub(super) incomplete: bool,
    /// Clumps that were decompressed and hashed.
    pub(super) decoded: u64,
    pub(super) start: Instant,
}

impl<'a> Run<'a> {
    pub(super) fn prepare(
        options: &'a Options,
        config: &'a Config,
        terminal: &'a Terminal,
        record: Record,
    ) -> Result<Self> {
        let wrcmd = record.wrcmd.as_ref();
        if wrcmd.is_some_and(WrCmd::had_en_dash) {
            terminal.say("wrcmd: an option begins with an en dash, read as -");
        }
        let engine = Engine::choose(options.engine.as_deref(), config)?;
        let targets = targets(wrcmd, options, config)?;
        let source = source_venti(options, config)?;
        refuse_source(source.as_ref(), &targets)?;
        let (names, found) = source::names(
            wrcmd,
            options.partition.as_deref(),
            options.index.as_deref(),
            config,
            terminal,
        )?;
        let dials: Vec<Dial> = targets.iter().map(|target| target.dial.clone()).collect();
        let recorded = record.partitions(&dials);
        let names = source::with_recorded(names, &recorded, wrcmd.is_some());
        let synced = sync_source(source.as_ref(), config, terminal);
        let (parts, opened) = open_all(&names, wrcmd, &recorded, terminal)?;
        let all_here = parts.len() == names.len();
        let wrcmd = match wrcmd {
            Some(wrcmd) => wrcmd.clone(),
            None => first_wrcmd(&targets, &parts)?,
        };
        let sync_status = match synced {
            Some(false) => Status::Partly,
            _ => Status::Done,
        };
        Ok(Run {
            options,
            config,
            terminal,
            record,
            engine,
            parts,
            targets,
            wrcmd,
            synced: synced == Some(true),
            status: found.worst(opened).worst(sync_status),
            incomplete: found != Status::Done || sync_status != Status::Done || !all_here,
            decoded: 0,
            start: Instant::now(),
        })
    }

    pub(super) fn replicate(mut self) -> Result<Status> {
        let rules: Vec<_> = self.parts.iter().map(|part| part.rules.clone()).collect();
        let dials: Vec<Dial> = self.targets.iter().map(|t| t.dial.clone()).collect();
        let host = self.record.wrcmd.as_ref().and_then(WrCmd::host);
        let host = host.map(|host| self.config.dial(host)).transpose()?;
        self.record.set_host(host.clone());
        let known = Known {
            partitions: &rules,
            wrcmd: self.record.wrcmd.as_ref(),
            host: host.as_ref(),
            wrcmds: &self.record.wrcmds,
            targets: &dials,
            trust: self.options.trust,
        };
        let starts = places::starts(&known, &Asked(&self.parts))?;
        for remark in starts.iter().flat_map(|start| &start.remarks) {
            self.terminal.say(remark);
        }
        match &self.engine {
            Engine::External(program) if !self.options.dry_run => {
                let program = program.clone();
                engine::copy(&mut self, &starts, &program);
            }
            _ => copy::copy(&mut self, &starts),
        }
        for number in 0..self.parts.len() {
            self.say_unsettled(number);
        }
        if !self.options.dry_run {
            held::check(&mut self);
        }
        self.finish()
    }

    /// An arena that can still grow keeps everything after it waiting.
    fn say_unsettled(&mut self, number: usize) {
        let Some(part) = self.parts.get(number) else {
            return;
        };
        let reached = self.targets.iter().filter_map(|t| t.reached.get(number));
        let Some(least) = reached.min() else {
            return;
        };
        let Some(arena) = part.arenas.get(least.arena) else {
            return;
        };
        let mut later = part.arenas.iter().skip(least.arena + 1);
        if !self.synced && !arena.sealed && later.any(|later| later.live.clumps > 0) {
            self.terminal.say(&format!(
                "{}: arena {} is not sealed on disk, and later ones have clumps: \
                 name the source venti (-s) so that it can be synced first",
                part.name, arena.name
            ));
            self.status = self.status.worst(Status::Partly);
            self.incomplete = true;
        }
    }

    /// The last word: move the wrcmd, log, print.
    fn finish(mut self) -> Result<Status> {
        self.record.check_saved()?;
        let new = self.next_wrcmd()?;
        let reached = |t: &Target| t.failure.is_none() && t.status != Status::Unverified;
        let complete = !self.incomplete && self.targets.iter().all(reached);
        if complete && !self.options.dry_run {
            self.record.move_wrcmd(&new, self.terminal)?;
            self.record.remember_wrcmd(&new)?;
        }
        let status = self.exit_status();
        tell::tell(&self, &new, complete, status)?;
        Ok(status)
    }

    fn next_wrcmd(&self) -> Result<WrCmd> {
        let rules: Vec<_> = self.parts.iter().map(|part| part.rules.clone()).collect();
        let reached: Vec<Vec<Point>> = (0..self.parts.len())
            .map(|number| {
                let reached = self.targets.iter().filter_map(|t| t.reached.get(number));
                reached.copied().collect()
            })
            .collect();
        Ok(places::final_wrcmd(&self.wrcmd, &rules, &reached)?)
    }

    fn exit_status(&self) -> Status {
        let each = self.targets.iter().map(|target| target.status);
        let mut status = each.fold(self.status, Status::worst);
        let failed = self.targets.iter().filter(|t| t.failure.is_some()).count();
        if (1..self.targets.len()).contains(&failed) {
            status = status.worst(Status::Partly);
        }
        status
    }
}

/// Asks the source to put what it has on disk, so that it is seen; none if no
/// source is known.
fn sync_source(source: Option<&Dial>, config: &Config, terminal: &Terminal) -> Option<bool> {
    let Some(source) = source else {
        terminal.detail(|| {
            "no source venti known (-s, $venti, configuration): \
             what it has not yet written to disk is not seen"
                .to_owned()
        });
        return None;
    };
    let synced = Client::dial(source, config.limits).and_then(|mut client| client.sync());
    if let Err(error) = &synced {
        terminal.say(&format!("source {source}: not synced: {error}"));
    }
    Some(synced.is_ok())
}

/// Opens the partitions. One that is not here is said and left out, unless it
/// is the only one, or the wrcmd's.
fn open_all(
    names: &[String],
    wrcmd: Option<&WrCmd>,
    recorded: &[String],
    terminal: &Terminal,
) -> Result<(Vec<Part>, Status)> {
    let mut parts = Vec::new();
    let mut status = Status::Done;
    for name in names {
        match Part::open(name, wrcmd, terminal) {
            Ok((part, odd)) => {
                parts.push(part);
                status = status.worst(odd);
            }
            Err(error) if names.len() == 1 || wrcmd.is_some_and(|w| w.file() == *name) => {
                return Err(error);
            }
            Err(error) => {
                let cure = match recorded.contains(name) {
                    true => "; if it is gone for good, remove its lines from wrcmds",
                    false => "",
                };
                terminal.say(&format!("{error:#}{cure}"));
                status = status.worst(Status::Partly);
            }
        }
    }
    if parts.is_empty() {
        let cause = "none of the partitions on the index page is here";
        return Err(Failure::report(Status::Failed, cause));
    }
    Ok((parts, status))
}

fn first_wrcmd(targets: &[Target], parts: &[Part]) -> Result<WrCmd> {
    match (targets.first(), parts.first()) {
        (Some(target), Some(part)) => places::build_wrcmd(&target.dial, &part.rules),
        _ => Err(eyre::eyre!("no target or no partition")),
    }
}
