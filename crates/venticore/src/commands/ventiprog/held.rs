//! What a target holds on its disk, where it has a web server that can be asked.
//!
//! A server whose disk is full acknowledges what it does not keep, and gives it
//! back from memory until it is restarted. Its index page counts what it has
//! put into its arenas, also where the disk below did not take that. So its
//! caches are emptied before blocks are read back, and the page is compared
//! with what it has acknowledged.

use std::collections::HashSet;

use super::check;
use super::cure;
use super::engine::Engine;
use super::readback::{self, blocks_before, clumps_before};
use super::run::Run;
use super::servers;
use super::target::Target;
use crate::codec::dial::Dial;
use crate::codec::index;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::wrcmds::{DamagedStretch, Unreadable};
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::net;
use crate::net::client::Client;
use crate::net::reach::Reach;
use crate::status::Status;
use crate::survey::part::Part;
use crate::survey::record::StateFiles;

/// What an operator can do about a full disk.
const WAY_OUT: &str =
    "its disk may be full; make room there, restart it, then run ventiprog --verify";

/// Blocks that are told apart at a time.
const AT_ONCE: u64 = 1 << 20;

/// Names the keys of `[target_index]` that belong to no target of this run. One that
/// belongs to no target at all is a slip, so `-q` does not hide it.
pub(super) fn say_unused_keys(run: &Run<'_>) {
    let mut keys: Vec<&String> = run.config.target_index.keys().collect();
    keys.sort();
    for key in keys {
        let Ok(dial) = run.config.target(key) else {
            continue;
        };
        if run.targets.iter().any(|target| target.name == dial) {
            continue;
        }
        let listed = run.config.targets.iter();
        let is_listed = listed
            .flat_map(|text| run.config.target(text))
            .any(|of| of == dial);
        let is_recorded = run.record.wrcmds.places().any(|of| of.target == dial);
        let line = |what| format!("[target_index]: {key:?} is not {what}: its page is not asked");
        match is_listed || is_recorded {
            true => run.terminal.report(&line("a target of this run")),
            false => run.terminal.say(&line(
                "a target, neither configured nor on record in wrcmds",
            )),
        }
    }
}

/// Before anything is read back: the targets whose pages are known, and of
/// which something is on record, empty their caches. A page of another server is said,
/// and not asked in this run.
pub(super) fn empty_caches(run: &mut Run<'_>) {
    for target in run.targets.iter_mut().filter(|t| t.failure.is_none()) {
        let Some(url) = page_of(run.config, &target.name) else {
            continue;
        };
        if target
            .name
            .dial()
            .is_some_and(|dial| is_of_another(url, dial, run.config))
        {
            run.terminal.say(&format!(
                "{}: {url} in [target_index] is the page of another server: it is not asked, and \
                 a full disk of this target is not seen",
                target.name
            ));
            target.status = target.status.worst(Status::Partly);
            target.has_page = false;
        } else if target.new.is_none() {
            empty(target, url, run.config, run.terminal);
        }
    }
}

/// Whether a page certainly belongs to another venti of this machine. Of other hosts
/// nothing is certain: they have several addresses, and pages come through tunnels.
fn is_of_another(url: &str, target: &Dial, config: &Config) -> bool {
    let (Ok(venti), Ok(port)) = (net::page::venti_of(url), net::page::port_of(url)) else {
        return false;
    };
    let Ok(page) = format!("tcp!{}!{port}", venti.host()).parse::<Dial>() else {
        return false;
    };
    let reach = Reach::look_up([target, &page], &config.dialer);
    let venti_at = |dial: &Dial| servers::venti_at(reach.own(dial));
    match (venti_at(target), venti_at(&page)) {
        (Some(target), Some(page)) => target != page,
        _ => false,
    }
}

/// After everything was sent: names the targets that hold less than they have
/// acknowledged, by their pages and by blocks that come from their disks; and those that
/// cannot give back what they said they had already.
pub(super) fn check(run: &mut Run<'_>) {
    let is_native = matches!(run.engine, Engine::Native);
    for target in run.targets.iter_mut().filter(|t| t.failure.is_none()) {
        let page = page_of(run.config, &target.name).filter(|_| target.has_page);
        if let Some(url) = page {
            compare(target, url, &run.parts, run.config, run.terminal);
        }
        let before = target.status;
        let has_new = !is_native || target.tally.sent > 0;
        let from_disk = page.is_some() && has_new && before != Status::Unverified;
        let believed = target.is_believed(is_native);
        let is_read = from_disk || believed;
        if !is_read || !page.is_none_or(|url| empty(target, url, run.config, run.terminal)) {
            continue;
        }
        read_back(
            target,
            believed && target.is_suspect(),
            &run.parts,
            run.config,
            &mut run.record,
            run.terminal,
        );
        let is_less = target.status == Status::Unverified && before != Status::Unverified;
        if is_less && page.is_some() {
            run.terminal.say(&format!("{}: {WAY_OUT}", target.name));
        }
    }
}

/// The URL of a target's index page, if the configuration has one.
fn page_of<'a>(config: &'a Config, target: &TargetName) -> Option<&'a str> {
    let mut pages = config.target_index.iter();
    let found = pages.find(|(name, _)| config.target(name).is_ok_and(|dial| dial == *target));
    found.map(|(_, url)| url.as_str())
}

/// Whether its caches are empty now; if not, that is said.
fn empty(target: &mut Target, url: &str, config: &Config, terminal: &Terminal) -> bool {
    let emptied = net::page::empty_caches(url, config.dialer.limits);
    if let Err(error) = &emptied {
        terminal.say(&format!(
            "{}: its caches were not emptied, so a loss may go unseen: {error}",
            target.name
        ));
        target.status = target.status.worst(Status::Partly);
    }
    emptied.is_ok()
}

fn compare(target: &mut Target, url: &str, parts: &[Part], config: &Config, terminal: &Terminal) {
    let (status, cause) = match net::page::fetch(url, config.dialer.limits) {
        Ok(page) => {
            let held = held(&page);
            // Few sources have a block twice, so this is the fast way.
            if held >= acknowledged(target, parts) || held >= distinct(target, parts) {
                return;
            }
            (Status::Unverified, short(held, distinct(target, parts)))
        }
        Err(error) => (Status::Partly, format!("{url}: {error}")),
    };
    terminal.say(&format!("{}: {cause}", target.name));
    target.status = target.status.worst(status);
}

/// Reads back what it has by now: `all` of it, or a sample.
fn read_back(
    target: &mut Target,
    all: bool,
    parts: &[Part],
    config: &Config,
    record: &mut StateFiles,
    terminal: &Terminal,
) {
    let Some(dial) = target.name.dial().cloned() else {
        return;
    };
    let mut client = match Client::dial(&dial, &config.dialer) {
        Ok(client) => client,
        Err(error) => return not_read(target, &error, terminal),
    };
    for (number, part) in parts.iter().enumerate() {
        let Some(&to) = target.reached.get(number) else {
            return;
        };
        let damages: Vec<DamagedStretch> = record
            .wrcmds
            .damages(&target.name, &part.name)
            .cloned()
            .collect();
        let unreadable = record.wrcmds.unreadable(&target.name, &part.name);
        let unreadable: Vec<Unreadable> = unreadable.cloned().collect();
        let known = readback::KnownLosses {
            damages: &damages,
            unreadable: &unreadable,
        };
        match readback::read_back(&mut client, part, to, all, &known, &|_, _| ()) {
            Ok(mut found) => {
                cure::cure(&dial, &config.dialer, part, &mut found);
                check::take_in_last(found, target, part, record, terminal);
            }
            Err(error) => return not_read(target, &error, terminal),
        }
    }
}

fn not_read(target: &mut Target, error: &dyn std::fmt::Display, terminal: &Terminal) {
    terminal.say(&format!(
        "{}: what was sent was not read back: {error}",
        target.name
    ));
    target.status = target.status.worst(Status::Partly);
}

/// Blocks that the target has acknowledged, without those that the source lacks.
fn acknowledged(target: &Target, parts: &[Part]) -> u64 {
    let reached = target.reached.iter().zip(parts);
    let clumps = reached.flat_map(|(&at, part)| clumps_before(part, at));
    clumps.sum::<u64>().saturating_sub(target.damaged)
}

/// The same, where each block counts once however often the source has it. It
/// takes some passes over the directories where there are many.
fn distinct(target: &Target, parts: &[Part]) -> u64 {
    let passes = acknowledged(target, parts).div_ceil(AT_ONCE).max(1);
    let of_pass = |pass: u64| {
        let mut seen = HashSet::new();
        for (&at, part) in target.reached.iter().zip(parts) {
            let blocks = blocks_before(part, at);
            let keys = blocks.map(|(score, block_type)| (prefix(&score), block_type));
            seen.extend(keys.filter(|(prefix, _)| prefix % passes == pass));
        }
        seen.len() as u64
    };
    let all: u64 = (0..passes).map(of_pass).sum();
    all.saturating_sub(target.damaged)
}

/// Enough of a score to tell blocks apart.
fn prefix(score: &Score) -> u64 {
    let (first, _) = score
        .as_bytes()
        .split_first_chunk()
        .unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}

fn held(page: &index::Page) -> u64 {
    let arenas = page.arenas.iter();
    arenas.map(|arena| u64::from(arena.written.clumps)).sum()
}

fn short(held: u64, acknowledged: u64) -> String {
    format!("has acknowledged {acknowledged} blocks, and its index page counts {held}: {WAY_OUT}")
}
