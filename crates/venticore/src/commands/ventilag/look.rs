//! What there is to be seen: the places on record, the partitions of the source, and the
//! index page that counts them.

use std::time::SystemTime;

use eyre::Result;

use super::Options;
use crate::codec::target::TargetName;
use crate::codec::wrcmds::Wrcmds;
use crate::config::Config;
use crate::copy::cursor::{self, Behind, Cursor};
use crate::host::terminal::Terminal;
use crate::net;
use crate::net::reach::Reach;
use crate::replica::StoreAccess;
use crate::status::Status;
use crate::survey::page::{self, Compared};
use crate::survey::part::{self, Part, PartsSource};
use crate::survey::record::StateFiles;
use crate::survey::sought::{self, Sought};
use crate::survey::targets::{self, unlisted_host};
use crate::survey::unseen;
use crate::text::line_of;

/// What was seen.
pub(super) struct Seen {
    /// The places on record, and one at the start of each partition for each target that
    /// was asked for and has none there.
    pub(super) behind: Vec<Behind>,
    /// The partitions of the source that are here.
    pub(super) parts: Vec<Part>,
    /// Those that are not.
    pub(super) absent: Vec<String>,
    /// Targets that were asked for and have no place, since no partition is known.
    pub(super) unmet: Vec<TargetName>,
    /// Something of the source is not seen: a partition, or the index page.
    pub(super) has_gap: bool,
    /// Something is wrong that only counts where it is asked whether a target is late.
    pub(super) is_odd: bool,
}

/// Looks, and says what is not as it should be. With `-p` only these partitions count.
///
/// # Errors
/// The index page is of another venti.
pub(super) fn look(
    record: &StateFiles,
    asked: Vec<TargetName>,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Seen> {
    let scope = &options.scope;
    let reach = Reach::look_up(asked.iter().filter_map(TargetName::dial), &config.dialer);
    let own = unlisted_host(record.wrcmd.as_ref(), scope, config)?;
    let (asked, doubled) = targets::one_each(asked, own.as_ref(), &reach, terminal);
    let on_record = on_record(record);
    let sought = match scope.partitions.is_empty() {
        true => of_page(&on_record, options, config, terminal),
        false => None,
    };
    let new = sought.as_ref().map_or(&[][..], |sought| &sought.names);
    let names = names(&on_record, new, options, config);
    let (mut parts, absent) = open(&names, new, record, &config.replicas, terminal);
    part::see_writers(&mut parts);
    let mut odd = doubled;
    let mut has_gap = !absent.is_empty();
    if let Some(sought) = &sought {
        has_gap |= sought.status != Status::Done;
        odd = odd.worst(compare(sought, &parts, record, options, config, terminal)?);
    }
    if scope.partitions.is_empty() && !config.offline && !scope.offline {
        let used_up = unseen::say_used_up(&parts, sought.as_ref(), terminal);
        let unnamed = unseen::say_unnamed(&names, &parts, None, terminal);
        odd = odd.worst(used_up).worst(unnamed);
    }
    let rules: Vec<_> = parts.iter().map(|part| part.rules.clone()).collect();
    let wrcmds = with_those_never_met(record, &asked, &rules, &on_record)?;
    let mut behind = cursor::behind(&wrcmds, &rules, &PartsSource(&parts))?;
    behind.retain(|line| names.contains(&line.place.partition));
    let (unmet, is_empty) = say_unmet(&behind, asked, &names, record, options, terminal);
    Ok(Seen {
        is_odd: odd != Status::Done || is_empty || !unmet.is_empty(),
        behind,
        parts,
        absent,
        unmet,
        has_gap,
    })
}

/// The partitions that are to be looked at.
fn names(on_record: &[String], new: &[String], options: &Options, config: &Config) -> Vec<String> {
    let mut names = [on_record, new].concat();
    if !options.scope.partitions.is_empty() {
        return sought::named(&options.scope.partitions, &names);
    }
    let configured = sought::named(&config.arenas, &names);
    sought::add(&mut names, configured);
    names
}

/// The partitions on record.
fn on_record(record: &StateFiles) -> Vec<String> {
    let places = record.wrcmds.places().map(|place| place.partition);
    let mut names: Vec<String> = places.collect();
    names.extend(record.wrcmd.as_ref().map(|wrcmd| wrcmd.file().to_owned()));
    names.sort();
    names.dedup();
    names
}

/// Opens the partitions. One that is not here is said, and its name is in the second list;
/// the page may call one that is `new` otherwise.
fn open(
    names: &[String],
    new: &[String],
    record: &StateFiles,
    access: &StoreAccess,
    terminal: &Terminal,
) -> (Vec<Part>, Vec<String>) {
    let mut lines = terminal.several("partitions that are not here");
    let (mut parts, mut absent) = (Vec::new(), Vec::new());
    for name in names {
        let error = match Part::open(name, record.wrcmd.as_ref(), access, terminal) {
            Ok((part, _)) => {
                parts.push(part);
                continue;
            }
            Err(error) if new.contains(name) => sought::hint(error),
            Err(error) => error,
        };
        lines.say(&line_of(&error));
        absent.push(name.clone());
    }
    (parts, absent)
}

/// Says where nothing is on record, which is the second result, and which targets that were
/// asked for have no place.
fn say_unmet(
    behind: &[Behind],
    mut asked: Vec<TargetName>,
    names: &[String],
    record: &StateFiles,
    options: &Options,
    terminal: &Terminal,
) -> (Vec<TargetName>, bool) {
    let is_empty = behind.is_empty() && asked.is_empty();
    if is_empty {
        let dir = record.dir().display();
        terminal.say(&match options.scope.partitions.is_empty() {
            true => format!("{dir}: nothing is on record there"),
            false => format!("{dir}: nothing is on record there of {}", names.join(", ")),
        });
    }
    asked.retain(|target| !behind.iter().any(|line| line.place.target == *target));
    for target in &asked {
        terminal.say(&format!(
            "{target}: has no place yet, no partition is on record"
        ));
    }
    (asked, is_empty)
}

/// What the index page lists, where one is known, by the names on record where
/// those are of the same partition; none where no page is known.
fn of_page(
    on_record: &[String],
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Option<Sought> {
    let url = options.scope.index.as_ref().or(config.index.as_ref())?;
    let mut sought = Sought {
        names: Vec::new(),
        given: Vec::new(),
        page: Vec::new(),
        url: None,
        all_named: false,
        status: Status::Partly,
    };
    match net::page::fetch(url, config.dialer.limits) {
        Ok(page) => {
            (sought.page, sought.status) = sought::on_page(&page, on_record, config, terminal);
            sought.url = Some(url.clone());
            sought.all_named = sought.status == Status::Done;
        }
        Err(error) => terminal.say(&format!("{url}: {error}; only what is on disk is listed")),
    }
    let names = sought.page.iter().map(|listed| listed.name.clone());
    let new = names.filter(|name| !on_record.contains(name));
    sought::add(&mut sought.names, new);
    Some(sought)
}

/// Compares the index page with what is on disk and on record, as a run does.
///
/// # Errors
/// It is the page of another venti.
fn compare(
    sought: &Sought,
    parts: &[Part],
    record: &StateFiles,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let mut status = Status::Done;
    if let Some(compared) = Compared::new(sought, parts, record) {
        compared.refuse_other(&options.scope, config)?;
        status = status.worst(compared.say_unlisted(config, terminal));
    }
    Ok(status
        .worst(unseen::say_page_ahead(&sought.page, parts, terminal))
        .worst(page::say_behind(sought, parts, config, terminal)))
}

/// The lines on record, and one at the start of each partition for each target
/// that was asked for and has none there; in a partition that is not `on_record` for
/// each target that is.
fn with_those_never_met(
    record: &StateFiles,
    asked: &[TargetName],
    partitions: &[cursor::PartitionView],
    on_record: &[String],
) -> Result<Wrcmds> {
    let mut all = record.wrcmds.clone();
    let mut known = record.targets();
    known.retain(|target| !asked.contains(target));
    for partition in partitions {
        let is_new = !on_record.contains(&partition.name);
        for target in asked.iter().chain(known.iter().filter(|_| is_new)) {
            let place = partition.place(target, Cursor::START, None, SystemTime::UNIX_EPOCH);
            if let (None, Some(mut place)) = (all.get(target, &partition.name), place) {
                place.acknowledged = None;
                all.set(&place)?;
            }
        }
    }
    Ok(all)
}
