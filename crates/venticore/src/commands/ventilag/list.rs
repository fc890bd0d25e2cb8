//! Where every target is, and how far behind.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime};

use eyre::{Result, WrapErr};
use serde::Serialize;

use super::Options;
use crate::codec::dial::Dial;
use crate::codec::utc::Utc;
use crate::codec::wrcmds::{DamagedStretch, Progress, Wrcmds};
use crate::config::Config;
use crate::copy::cursor::{self, Behind, Cursor};
use crate::host::terminal::{SCHEMA, Terminal};
use crate::net;
use crate::net::reach::Reach;
use crate::status::Status;
use crate::survey::page::{self, Compared};
use crate::survey::part::{self, Part, PartsSource};
use crate::survey::record::StateFiles;
use crate::survey::sought::{self, Sought};
use crate::survey::targets::{self, unlisted_host};
use crate::survey::unseen;
use crate::text::line_of;

/// Prints a line for each target and partition on record, and for the targets
/// asked for that have none; with `-p` only for these partitions. Status 3 where one
/// is behind and has acknowledged nothing for `older` hours, or has damage on record,
/// or where not all is seen that the index page counts.
///
/// # Errors
/// The index page is of another venti.
pub(super) fn list(
    record: &StateFiles,
    asked: Vec<Dial>,
    older: Option<u64>,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let reach = Reach::look_up(&asked, config.limits.connect);
    let own = unlisted_host(record.wrcmd.as_ref(), &options.scope, config)?;
    let (asked, doubled) = targets::one_each(asked, own.as_ref(), &reach, terminal);
    let asked = &asked;
    let on_record = on_record(record);
    let late = |status: Status| older.map_or(Status::Done, |_| status);
    let mut status = late(doubled);
    let sought = match options.scope.partitions.is_empty() {
        true => of_page(&on_record, options, config, terminal),
        false => None,
    };
    let new = sought.as_ref().map_or(&[][..], |sought| &sought.names);
    let mut names = [&on_record[..], new].concat();
    if options.scope.partitions.is_empty() {
        let configured = sought::named(&config.arenas, &names);
        sought::add(&mut names, configured);
    } else {
        names = sought::named(&options.scope.partitions, &names);
    }
    let mut parts = open(&names, new, record, terminal);
    part::see_writers(&mut parts);
    if parts.len() < names.len() {
        status = status.worst(Status::Partly);
    }
    if let Some(sought) = &sought {
        let differs = compare(sought, &parts, record, options, config, terminal)?;
        status = status.worst(late(differs));
    }
    if options.scope.partitions.is_empty() && !config.offline && !options.scope.offline {
        let used_up = unseen::say_used_up(&parts, sought.as_ref(), terminal);
        let unnamed = unseen::say_unnamed(&names, &parts, None, terminal);
        status = status.worst(late(used_up)).worst(late(unnamed));
    }
    let rules: Vec<_> = parts.iter().map(|part| part.rules.clone()).collect();
    let wrcmds = with_those_never_met(record, asked, &rules, &on_record)?;
    let mut behind = cursor::behind(&wrcmds, &rules, &PartsSource(&parts))?;
    behind.retain(|line| names.contains(&line.place.partition));
    let unmet = say_unmet(&behind, asked, &names, record, options, terminal);
    status = status.worst(late(unmet));
    status = status.worst(is_late(&behind, older, record));
    if status != Status::Done || !terminal.is_quiet() {
        print(&behind, record, options, terminal)?;
    }
    Ok(status)
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

/// Opens the partitions. One that is not here is said and left out; the page may call
/// one that is `new` otherwise.
fn open(names: &[String], new: &[String], record: &StateFiles, terminal: &Terminal) -> Vec<Part> {
    let mut absent = terminal.several("partitions that are not here");
    let mut parts = Vec::new();
    for name in names {
        match Part::open(name, record.wrcmd.as_ref(), terminal) {
            Ok((part, _)) => parts.push(part),
            Err(error) if new.contains(name) => absent.say(&line_of(&sought::hint(error))),
            Err(error) => absent.say(&line_of(&error)),
        }
    }
    parts
}

/// Says where nothing is on record, or nothing of a target that was asked for.
fn say_unmet(
    behind: &[Behind],
    asked: &[Dial],
    names: &[String],
    record: &StateFiles,
    options: &Options,
    terminal: &Terminal,
) -> Status {
    let mut status = Status::Done;
    if behind.is_empty() && asked.is_empty() {
        let dir = record.dir().display();
        terminal.say(&match options.scope.partitions.is_empty() {
            true => format!("{dir}: nothing is on record there"),
            false => format!("{dir}: nothing is on record there of {}", names.join(", ")),
        });
        status = Status::Partly;
    }
    for target in asked {
        if !behind.iter().any(|line| line.place.target == *target) {
            terminal.say(&format!(
                "{target}: has no place yet, no partition is on record"
            ));
            status = Status::Partly;
        }
    }
    status
}

/// Whether a target is late, by `older`, or has damage on record.
fn is_late(behind: &[Behind], older: Option<u64>, record: &StateFiles) -> Status {
    let now = SystemTime::now();
    let late = |line: &Behind| {
        let faults = Faults::of(&line.place, &record.wrcmds);
        older.is_some_and(|hours| is_overdue(line, hours, now))
            || line.is_gone
            || faults != Faults::default()
    };
    match older.is_some() && behind.iter().any(late) {
        true => Status::Partly,
        false => Status::Done,
    }
}

/// Prints the lines.
fn print(
    behind: &[Behind],
    record: &StateFiles,
    options: &Options,
    terminal: &Terminal,
) -> Result<()> {
    let mut output = terminal.output();
    for line in behind {
        for remark in &line.remarks {
            terminal.detail(|| remark.clone());
        }
        let faults = Faults::of(&line.place, &record.wrcmds);
        if options.json {
            output.json_line(&json(line, faults))?;
        } else {
            let gone = if line.is_gone { GONE } else { "" };
            writeln!(output, "{}{gone}{faults}", text(line)).wrap_err("standard output")?;
        }
    }
    output.flush().wrap_err("standard output")
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
    match net::page::fetch(url, config.limits) {
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
    let mut status = sought.status;
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
    asked: &[Dial],
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

/// Whether a line lacks something and was last acknowledged that long ago. Where
/// nothing was ever acknowledged, a place in a log counts as not reached.
fn is_overdue(line: &Behind, hours: u64, now: SystemTime) -> bool {
    let limit = Duration::from_secs(hours.saturating_mul(3600));
    let silent = line
        .place
        .acknowledged
        .and_then(|time| now.duration_since(time).ok());
    let lacks = match line.place.acknowledged {
        None => line.bytes != Some(0) || line.place.offset > 0,
        Some(_) => line.bytes != Some(0),
    };
    lacks && silent.is_none_or(|silent| silent >= limit)
}

/// How much damage is on record of a target in a partition.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Faults {
    /// Blocks that the target could not give back.
    unreadable: u64,
    /// There are more of them than are on record.
    more: bool,
    /// Clumps that are damaged in the source, and that the target does not have.
    damaged: u64,
    /// Clumps that are damaged in the source, and that the target has whole.
    damaged_there: u64,
}

impl Faults {
    fn of(place: &Progress, wrcmds: &Wrcmds) -> Self {
        let (target, partition) = (&place.target, &place.partition);
        let mut faults = Faults::default();
        for block in wrcmds.unreadable(target, partition) {
            match block.block() {
                Some(_) => faults.unreadable += 1,
                None => faults.more = true,
            }
        }
        let damages = wrcmds.damages(target, partition);
        let open = damages.filter(|damage| !damage.accepted);
        let clumps = |damage: &DamagedStretch| damage.clumps.max(1);
        faults.damaged = open.map(clumps).sum();
        faults.damaged_there = wrcmds.spared(target, partition).map(clumps).sum();
        faults
    }
}

impl fmt::Display for Faults {
    /// What comes behind a line of the list: nothing where all is well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Faults { more: true, .. } => write!(f, ", more than {} unreadable", self.unreadable)?,
            Faults { unreadable: 0, .. } => {}
            Faults { unreadable, .. } => write!(f, ", {unreadable} unreadable")?,
        }
        let counts = [
            (self.damaged, "not there"),
            (self.damaged_there, "whole there"),
        ];
        let mut met = counts.iter().filter(|(clumps, _)| *clumps > 0);
        met.try_for_each(|(clumps, what)| write!(f, ", {clumps} damaged in the source and {what}"))
    }
}

/// What is said of a place that is not in the source any more.
const GONE: &str = ", the source no longer has this place";

fn text(line: &Behind) -> String {
    let Behind {
        place,
        clumps,
        bytes,
        ..
    } = line;
    let or_unknown = |n: &Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let arena = place.arena.as_ref().map_or("?", |name| name.as_str());
    format!(
        "{} {} {arena} {:#x} behind {} clumps {} bytes on disk, acknowledged {}",
        place.target,
        place.partition,
        place.offset,
        or_unknown(clumps),
        or_unknown(bytes),
        acknowledged(line).unwrap_or_else(|| "never".to_owned())
    )
}

fn acknowledged(line: &Behind) -> Option<String> {
    line.place.acknowledged.map(|time| Utc(time).to_string())
}

#[derive(Serialize)]
struct ListLine {
    schema: u32,
    target: String,
    partition: String,
    arena: Option<String>,
    head: u64,
    offset: u64,
    behind_clumps: Option<u64>,
    behind_bytes: Option<u64>,
    acknowledged: Option<String>,
    unreadable: u64,
    damaged: u64,
    damaged_there: u64,
    gone: bool,
}

fn json(line: &Behind, faults: Faults) -> ListLine {
    let place = &line.place;
    ListLine {
        schema: SCHEMA,
        target: place.target.to_string(),
        partition: place.partition.clone(),
        arena: place.arena.as_ref().map(ToString::to_string),
        head: place.head,
        offset: place.offset,
        behind_clumps: line.clumps,
        behind_bytes: line.bytes,
        acknowledged: acknowledged(line),
        unreadable: faults.unreadable + u64::from(faults.more),
        damaged: faults.damaged,
        damaged_there: faults.damaged_there,
        gone: line.is_gone,
    }
}
