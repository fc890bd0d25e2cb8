//! Before anything is sent: who the source and the targets are, which partitions
//! there are, and whether all is seen that the source has.

use eyre::Result;

use super::origin::Origin;
use super::target::{Copied, Target, some_asked_for};
use super::{Options, servers, unsynced};
use crate::codec::dial::Dial;
use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::net;
use crate::net::reach::Reach;
use crate::status::{Failure, Status};
use crate::survey::part::{self, Part};
use crate::survey::record::StateFiles;
use crate::survey::sought::{self, Sought};
use crate::survey::targets::{self, unlisted_host};
use crate::survey::{page, unseen};
use crate::text::line_of;

/// What is known before the source is read.
pub(super) struct Preflight<'a> {
    options: &'a Options,
    config: &'a Config,
    terminal: &'a Terminal,
    record: &'a StateFiles,
    origin: Origin,
    dials: Vec<TargetName>,
    /// Some of the names given are one server.
    doubled: Status,
    reach: Reach,
}

/// The partitions of the source, as they were found.
pub(super) struct FoundSource {
    pub(super) parts: Vec<Part>,
    pub(super) status: Status,
    /// Something of the source is not seen.
    pub(super) incomplete: bool,
    /// The source venti, where it has synced and has these partitions.
    source: Option<Dial>,
}

impl<'a> Preflight<'a> {
    /// Finds out which venti the source is and which the targets are.
    ///
    /// # Errors
    /// No target is named, or one is the source; bad text of an address.
    pub(super) fn new(
        options: &'a Options,
        config: &'a Config,
        terminal: &'a Terminal,
        record: &'a StateFiles,
    ) -> Result<Self> {
        let url = sought::page_url(record, &options.scope, config);
        let origin = Origin::of(options, config, url)?;
        let dials = some_asked_for(record.wrcmd.as_ref(), &options.scope, config)?;
        let recorded = record.targets();
        let recorded: Vec<Dial> = ventis(&recorded);
        let all = ventis(&dials);
        let all = all.iter().chain(origin.dial()).chain(&recorded);
        let reach = Reach::look_up(all, &config.dialer);
        servers::refuse_source(&origin, &ventis(&dials), &reach)?;
        servers::refuse_recorded(&origin, &recorded, &reach)?;
        let own = unlisted_host(record.wrcmd.as_ref(), &options.scope, config)?;
        let (dials, doubled) = targets::one_each(dials, own.as_ref(), &reach, terminal);
        servers::say_public(&ventis(&dials), &reach, terminal);
        Ok(Preflight {
            options,
            config,
            terminal,
            record,
            origin,
            dials,
            doubled,
            reach,
        })
    }

    /// Has the source sync, opens its partitions, and says what of them is not seen.
    ///
    /// # Errors
    /// A partition that must be here is not, or a target is the source.
    pub(super) fn find(&self) -> Result<FoundSource> {
        let Preflight {
            options,
            config,
            terminal,
            record,
            origin,
            dials,
            doubled,
            reach,
        } = self;
        let sought = sought::sought(record, &options.scope, config, terminal)?;
        let recorded = record.partitions(dials);
        let has_wrcmd = record.wrcmd.is_some();
        let names = sought::with_recorded(sought.names.clone(), &recorded, has_wrcmd);
        let mut contact = origin.sync(reach, config, terminal);
        let (mut parts, opened) = self.open(&names, &sought, &recorded)?;
        let compared = page::Compared::new(&sought, &parts, record);
        if let Some(compared) = &compared {
            compared.refuse_other(&options.scope, config)?;
        }
        let unlisted = compared.map(|compared| compared.say_unlisted(config, terminal));
        let mut gaps = contact.status().worst(sought.status);
        gaps = gaps.worst(unlisted.unwrap_or(Status::Done));
        for part in &mut parts {
            let (synced, status) = contact.covers(origin, part, terminal);
            part.synced = synced;
            gaps = gaps.worst(status);
        }
        let is_sure = parts.iter().all(|part| part.synced);
        let offline = *origin == Origin::Offline;
        let sight = part::see_writers(&mut parts);
        refuse_itself(&parts, dials)?;
        servers::refuse_holder(&parts, &ventis(dials), reach)?;
        let url = sought.url.as_deref();
        let port = url.and_then(|url| net::page::port_of(url).ok());
        gaps = gaps.worst(servers::say_other_server(
            origin, &mut parts, port, reach, terminal,
        ));
        gaps = gaps.worst(servers::say_not_held(origin, &mut parts, reach, terminal));
        let own = origin.dial().map_or(&[][..], |source| reach.own(source));
        let at_source = servers::venti_at(own);
        gaps = gaps.worst(unseen::say_unnamed(&names, &parts, at_source, terminal));
        if !options.dry_run || options.check {
            servers::refuse_suspect(origin, &parts, &ventis(dials), reach, config)?;
        }
        gaps = gaps.worst(unsynced::say_unsynced(origin, &parts, sight, terminal));
        gaps = gaps.worst(unseen::say_page_ahead(&sought.page, &parts, terminal));
        gaps = gaps.worst(page::say_behind(&sought, &parts, config, terminal));
        let used_up = match offline {
            true => Status::Done,
            false => unseen::say_used_up(&parts, Some(&sought), terminal),
        };
        Ok(FoundSource {
            status: opened.worst(gaps).worst(*doubled).worst(used_up),
            incomplete: gaps != Status::Done || parts.len() < names.len(),
            source: origin.dial().filter(|_| is_sure).cloned(),
            parts,
        })
    }

    /// Opens the partitions. One that is not here is said and left out, unless it
    /// is the only one, or one that the call names.
    fn open(
        &self,
        names: &[String],
        sought: &Sought,
        recorded: &[String],
    ) -> Result<(Vec<Part>, Status)> {
        let wrcmd = self.record.wrcmd.as_ref();
        let must_be_here = |name: &String| names.len() == 1 || sought.given.contains(name);
        let is_wrcmds = |name: &String| wrcmd.is_some_and(|wrcmd| wrcmd.file() == *name);
        let mut parts = Vec::new();
        let mut status = Status::Done;
        let mut absent = self.terminal.several("partitions that are not here");
        for name in names {
            let is_on_page = sought.page.iter().any(|listed| listed.name == *name);
            let opened = Part::open(name, wrcmd, &self.config.replicas, self.terminal);
            let opened = match is_on_page {
                true => opened.map_err(sought::hint),
                false => opened,
            };
            match opened {
                Ok((mut part, odd)) => {
                    part.if_by_mistake = self.record.if_by_mistake(name);
                    parts.push(part);
                    status = status.worst(odd);
                }
                Err(error) if must_be_here(name) => return Err(error),
                Err(error) => {
                    let cure = match (is_wrcmds(name), recorded.contains(name)) {
                        (true, _) => {
                            "; if it is gone for good, remove wrcmd, and its lines from wrcmds \
                             (or the whole file if it has no others)"
                        }
                        (false, true) => {
                            "; if it is gone for good, remove its lines from wrcmds \
                             (or the whole file if it has no others)"
                        }
                        (false, false) => "",
                    };
                    absent.say(&format!("{}{cure}", line_of(&error)));
                    status = status.worst(Status::Partly);
                }
            }
        }
        if parts.is_empty() {
            let cause = "none of the partitions is here";
            return Err(Failure::report(Status::Failed, cause));
        }
        Ok((parts, status))
    }

    /// The targets, with what is known before they are dialled: whether anything is
    /// on record of each, and that its name was not found.
    pub(super) fn targets(&self, found: &FoundSource) -> Vec<Target> {
        let host = self.record.wrcmd.as_ref().and_then(WrCmd::host);
        let host = host.and_then(|host| self.config.target(host).ok());
        let new = |dial: &TargetName| {
            let mut places = self.record.wrcmds.places();
            let is_new = host.as_ref() != Some(dial) && !places.any(|place| place.target == *dial);
            let copied = is_new.then(|| self.copied(dial, found));
            let mut target = Target::new(dial.clone(), copied);
            target.was_forgotten = self.record.wrcmds.was_forgotten(dial);
            let unknown = dial.dial().and_then(|dial| self.reach.unknown(dial));
            if let Some(why) = unknown.filter(|_| !self.options.dry_run) {
                let why = format!("cannot connect: {why}");
                self.terminal.say(&format!("{dial}: {why}"));
                target.fail(Status::Unreachable, why);
            }
            target
        };
        self.dials.iter().map(new).collect()
    }

    /// What it would mean that this new target has everything.
    fn copied(&self, target: &TargetName, found: &FoundSource) -> Copied {
        let is_another = match (target, &found.source) {
            (TargetName::Replica(_), _) => true,
            (TargetName::Venti(_), None) => return Copied::Unknown,
            (TargetName::Venti(dial), Some(source)) => {
                servers::is_another(source, dial, &self.reach)
            }
        };
        match (&found.source, self.record.wrcmds.was_forgotten(target)) {
            (_, true) if is_another => Copied::Forgotten,
            (Some(source), _) if !is_another => Copied::Perhaps(source.clone()),
            _ => Copied::Elsewhere,
        }
    }
}

/// Refuses a replica that is source and target.
fn refuse_itself(parts: &[Part], targets: &[TargetName]) -> Result<()> {
    let is_source = |target: &&TargetName| parts.iter().any(|part| part.name == target.to_string());
    match targets.iter().find(is_source) {
        Some(target) => Err(Failure::report(
            Status::Usage,
            format!("{target}: is the source itself; name another target, or another source (-p)"),
        )),
        None => Ok(()),
    }
}

/// The targets that are ventis.
fn ventis(targets: &[TargetName]) -> Vec<Dial> {
    targets
        .iter()
        .filter_map(TargetName::dial)
        .cloned()
        .collect()
}
