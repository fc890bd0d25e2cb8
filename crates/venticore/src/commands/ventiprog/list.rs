//! `-l`: where every target is, and how far behind.

use std::io::Write;
use std::time::{Duration, SystemTime};

use eyre::{Result, WrapErr};
use serde::Serialize;

use super::record::Record;
use super::source::{self, Asked, Part};
use super::tell::{SCHEMA, json_line};
use super::{Options, servers, unseen};
use crate::codec::dial::Dial;
use crate::codec::utc::Utc;
use crate::codec::wrcmds::Wrcmds;
use crate::config::Config;
use crate::copy::cursor::{self, Behind, Point};
use crate::host::terminal::Terminal;
use crate::net::page;
use crate::net::reach::Reach;
use crate::status::Status;

/// Prints a line for each target and partition on record, and for the targets
/// asked for that have none: status 3 where one is behind and has acknowledged
/// nothing for `older` hours.
pub(super) fn list(
    record: &Record,
    asked: Vec<Dial>,
    older: Option<u64>,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let reach = Reach::look_up(&asked, config.limits.connect);
    let asked = &servers::one_each(asked, &reach, terminal);
    let mut names: Vec<String> = record
        .wrcmds
        .places()
        .map(|place| place.partition)
        .collect();
    names.extend(record.wrcmd.as_ref().map(|wrcmd| wrcmd.file().to_owned()));
    names.sort();
    names.dedup();
    let mut status = Status::Done;
    let mut parts = Vec::new();
    for name in &names {
        match Part::open(name, record.wrcmd.as_ref(), terminal) {
            Ok((part, _)) => parts.push(part),
            Err(error) => {
                terminal.say(&format!("{error:#}"));
                status = status.worst(Status::Partly);
            }
        }
    }
    say_what_the_page_counts(&parts, options, config, terminal);
    if config.index.is_none() && options.index.is_none() && !config.offline && !options.offline {
        let used_up = unseen::say_used_up(&parts, terminal);
        status = status.worst(older.map_or(Status::Done, |_| used_up));
    }
    let rules: Vec<_> = parts.iter().map(|part| part.rules.clone()).collect();
    let wrcmds = with_those_never_met(&record.wrcmds, asked, &rules)?;
    let behind = cursor::behind(&wrcmds, &rules, &Asked(&parts))?;
    for target in asked {
        if !behind.iter().any(|line| line.place.target == *target) {
            terminal.say(&format!(
                "{target}: has no place yet, no partition is on record"
            ));
            status = status.worst(older.map_or(Status::Done, |_| Status::Partly));
        }
    }
    let mut output = terminal.output();
    let now = SystemTime::now();
    for line in &behind {
        for remark in &line.remarks {
            terminal.detail(|| remark.clone());
        }
        if older.is_some_and(|hours| is_overdue(line, hours, now)) {
            status = status.worst(Status::Partly);
        }
        if options.json {
            json_line(&mut output, &json(line))?;
        } else {
            writeln!(output, "{}", text(line)).wrap_err("standard output")?;
        }
    }
    output.flush().wrap_err("standard output")?;
    Ok(status)
}

/// What the list shows is what is on disk. Where an index page is known and
/// counts more, that is said.
fn say_what_the_page_counts(
    parts: &[Part],
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) {
    let url = options.index.as_ref().or(config.index.as_ref());
    let Some(url) = url.filter(|_| options.partitions.is_empty()) else {
        return;
    };
    match page::fetch(url, config.limits) {
        Ok(page) => {
            let (page, _) = source::on_page(&page, config, terminal);
            unseen::say_page_ahead(&page, parts, terminal);
        }
        Err(error) => terminal.say(&format!("{url}: {error}; only what is on disk is listed")),
    }
}

/// The lines on record, and one at the start of each partition for each target
/// that was asked for and has none there.
fn with_those_never_met(
    wrcmds: &Wrcmds,
    asked: &[Dial],
    partitions: &[cursor::Partition],
) -> Result<Wrcmds> {
    let mut all = wrcmds.clone();
    for partition in partitions {
        for target in asked {
            let place = partition.place(target, Point::START, None, SystemTime::UNIX_EPOCH);
            if let (None, Some(mut place)) = (all.get(target, &partition.name), place) {
                place.acknowledged = None;
                all.set(&place)?;
            }
        }
    }
    Ok(all)
}

fn is_overdue(line: &Behind, hours: u64, now: SystemTime) -> bool {
    let limit = Duration::from_secs(hours.saturating_mul(3600));
    let silent = line
        .place
        .acknowledged
        .and_then(|time| now.duration_since(time).ok());
    line.bytes != Some(0) && silent.is_none_or(|silent| silent >= limit)
}

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
}

fn json(line: &Behind) -> ListLine {
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
    }
}
