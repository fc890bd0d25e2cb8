//! One run from its start to its last word.

use eyre::Result;

use super::engine::Engine;
use crate::survey::part::PartsSource;

use super::run::Run;
use super::target::Target;
use super::{copy, external, held, tell, uncovered};
use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;
use crate::copy::cursor::{self, Cursor, Known};
use crate::status::Status;

impl Run<'_> {
    pub(super) fn replicate(mut self) -> Result<Status> {
        let rules: Vec<_> = self.parts.iter().map(|part| part.rules.clone()).collect();
        let dials: Vec<TargetName> = self.targets.iter().map(|t| t.name.clone()).collect();
        let host = self.record.wrcmd.as_ref().and_then(WrCmd::host);
        let host = host.map(|host| self.config.target(host)).transpose()?;
        self.record.set_host(host.clone());
        let known = Known {
            partitions: &rules,
            wrcmd: self.record.wrcmd.as_ref(),
            host: host.as_ref(),
            wrcmds: &self.record.wrcmds,
            targets: &dials,
            trust: self.options.trust,
        };
        let starts = cursor::starts(&known, &PartsSource(&self.parts))?;
        for remark in starts.iter().flat_map(|start| &start.remarks) {
            self.terminal.say(remark);
        }
        uncovered::say_unasked(&mut self)?;
        held::say_unused_keys(&self);
        if self.options.verify {
            uncovered::say_unrecorded(&mut self);
        }
        if !self.options.dry_run {
            held::empty_caches(&mut self);
        }
        match &self.engine {
            Engine::External(program) if !self.options.dry_run => {
                let program = program.clone();
                external::copy(&mut self, &starts, &program);
            }
            _ => copy::copy(&mut self, &starts),
        }
        for number in 0..self.parts.len() {
            self.say_unsettled(number);
        }
        if !self.options.dry_run {
            held::check(&mut self);
        }
        for target in &self.targets {
            let line = |copied| format!("{}: {copied}", target.name);
            match target.had_everything() {
                Some(copied) if copied.is_expected() => self.terminal.report(&line(copied)),
                Some(copied) => self.terminal.say(&line(copied)),
                None => {}
            }
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
        if !part.synced && !arena.sealed && later.any(|later| later.live.clumps > 0) {
            self.terminal.say(&format!(
                "{}: arena {} is not sealed on disk, and later ones have clumps: \
                 name the source venti (-s) so that it can be synced first",
                part.name, arena.name
            ));
            self.status = self.status.worst(Status::Partly);
            self.incomplete = true;
        }
    }

    /// The targets that came to the end have everything, also where nothing was new.
    fn renew(&mut self) {
        if self.options.dry_run {
            return;
        }
        let ended = |target: &&Target| target.failure.is_none() && !target.waits;
        let ended = self.targets.iter().filter(ended);
        let parts = &self.parts;
        let complete = ended.flat_map(|target| parts.iter().map(|part| (&target.name, part)));
        self.record.complete(complete);
    }

    /// The last word: move the wrcmd, log, print.
    fn finish(mut self) -> Result<Status> {
        self.record.check_saved()?;
        self.renew();
        let new = self.next_wrcmd()?;
        let reached = |t: &Target| t.failure.is_none() && t.status != Status::Unverified;
        let complete = !self.incomplete && self.targets.iter().all(reached);
        if let Some(new) = new.as_ref().filter(|_| complete && !self.options.dry_run) {
            self.record.move_wrcmd(new, self.terminal)?;
            self.record.remember_wrcmd(new)?;
        }
        let status = self.exit_status();
        tell::tell(&self, new.as_ref(), complete, status)?;
        Ok(status)
    }

    fn next_wrcmd(&self) -> Result<Option<WrCmd>> {
        let Some(wrcmd) = &self.wrcmd else {
            return Ok(None);
        };
        let rules: Vec<_> = self.parts.iter().map(|part| part.rules.clone()).collect();
        let reached: Vec<Vec<Cursor>> = (0..self.parts.len())
            .map(|number| {
                let reached = self.targets.iter().filter_map(|t| t.reached.get(number));
                reached.copied().collect()
            })
            .collect();
        Ok(Some(cursor::final_wrcmd(wrcmd, &rules, &reached)?))
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
