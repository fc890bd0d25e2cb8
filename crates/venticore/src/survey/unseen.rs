//! What of the source is not seen: clumps that only the index page counts, partitions
//! that nothing names, and those that come after a full one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::part::Part;
use super::sought::{Listed, Sought, is_same_node};
use crate::codec::index;
use crate::host::holders::{self, Process};
use crate::host::partition::Partition;
use crate::host::terminal::Terminal;
use crate::source::log::ClumpLog;
use crate::source::{Arena, ArenaPartition};
use crate::status::Status;
use crate::text;

/// What the processes of venti servers are called: plan9port's, and ours.
const SERVERS: [&str; 2] = ["venti", "ventiserve"];

/// Whether a process is a venti server, by its command.
pub(crate) fn is_server(process: &Process) -> bool {
    SERVERS.contains(&process.command.as_str())
}

/// The venti servers of this machine.
pub(crate) fn servers() -> Vec<Process> {
    holders::named(&SERVERS)
}

/// Those whose open files cannot be seen, and the user of each.
pub(crate) fn unseen_servers() -> Vec<(Process, u32)> {
    holders::unseen(&SERVERS)
}

/// Says which arenas have more clumps by the index page than on disk.
pub(crate) fn say_page_ahead(page: &[Listed], parts: &[Part], terminal: &Terminal) -> Status {
    let mut status = Status::Done;
    let mut ahead = terminal.several("arenas that are not here as the index page has them");
    for Listed { name, arenas } in page {
        let Some(part) = parts.iter().find(|part| part.name == *name) else {
            continue;
        };
        for page in arenas {
            if let Some(what) = missing(part, page) {
                ahead.say(&format!("{name}: arena {}: {what}", page.name));
                status = Status::Partly;
            }
        }
    }
    status
}

/// Says which arena partitions the venti that writes the partitions has open besides
/// those that were `named`.
pub(crate) fn say_unnamed(
    named: &[String],
    parts: &[Part],
    at_source: Option<Process>,
    terminal: &Terminal,
) -> Status {
    let writers = parts.iter().flat_map(|part| &part.writers);
    let ventis = writers.filter(|writer| is_server(writer)).cloned();
    let ventis: BTreeSet<Process> = ventis.chain(at_source).collect();
    let mut lines = terminal.several("arena partitions that nothing names");
    let mut status = Status::Done;
    let written_by = |venti: Process| {
        let written = holders::written_by(venti.pid).into_iter();
        written.map(move |of| (venti.clone(), of))
    };
    for (venti, written) in ventis.into_iter().flat_map(written_by) {
        let mut named = named.iter();
        let is_named = named.any(|name| is_same_node(name, &written.descriptor));
        if is_named || !is_another(&written.descriptor, parts) {
            continue;
        }
        lines.say(&format!(
            "{}: {venti} has it open, and nothing names it: nothing of it is copied; \
             name it (-p, or arenas in the configuration) or the index page (-i)",
            text::path(&written.name)
        ));
        status = Status::Partly;
    }
    status
}

/// Whether there is an arena partition, and not one of these by another device.
fn is_another(path: &Path, parts: &[Part]) -> bool {
    let Ok(opened) = Partition::named(path.as_os_str()) else {
        return false;
    };
    let Ok(table) = ArenaPartition::read(&opened) else {
        return false;
    };
    let first = table.entries.first();
    let first = first.and_then(|entry| table.arena(&opened, entry).ok());
    first.is_some_and(|first| {
        let mut arenas = parts.iter().flat_map(|part| &part.arenas);
        !arenas.any(|arena| arena.name == first.name && arena.clump_magic == first.clump_magic)
    })
}

/// What the page has of an arena and the partition does not.
fn missing(part: &Part, page: &index::ArenaRow) -> Option<String> {
    let Some(arena) = part.arenas.iter().find(|arena| arena.head == page.head) else {
        // One that cannot be read was said.
        return part.whole.then(|| {
            format!(
                "the index page has it at {}, and no arena is there: \
                 that is not the partition of this page{}",
                page.head, part.if_by_mistake
            )
        });
    };
    if arena.name != page.name {
        return Some(format!(
            "the arena at {} is {}: that is not the partition of this page{}",
            page.head, arena.name, part.if_by_mistake
        ));
    }
    let (used, clumps) = on_disk(part, arena, page.used());
    let counted = page.clumps();
    (page.used() > used).then(|| {
        format!(
            "the index page counts {counted} clumps, but {clumps} are on disk: \
             the rest is not sent yet"
        )
    })
}

/// Bytes and clumps of the log of an arena: those that its trailer counts, and
/// where the page has more, those behind them.
fn on_disk(part: &Part, arena: &Arena, by_page: u64) -> (u64, u64) {
    let (mut used, mut clumps) = (arena.live.used, u64::from(arena.live.clumps));
    if by_page > used
        && let Ok(log) = ClumpLog::open(Arc::clone(&part.source), arena, used, false)
    {
        for item in log {
            used = item.offset.saturating_add(item.len);
            clumps += 1;
        }
    }
    (used, clumps)
}

/// Says that nothing new can come to the partitions that are known, unless the index page
/// lists another one: that one was said where it is not here.
pub(crate) fn say_used_up(parts: &[Part], sought: Option<&Sought>, terminal: &Terminal) -> Status {
    let mut tables = parts.iter().filter(|part| part.is_table).peekable();
    if tables.peek().is_none() || !tables.all(Part::is_used_up) {
        return Status::Done;
    }
    let with_page = sought.filter(|sought| sought.url.is_some());
    let is_read = |listed: &Listed| parts.iter().any(|part| part.name == listed.name);
    if with_page.is_some_and(|sought| !sought.all_named || !sought.page.iter().all(is_read)) {
        return Status::Done;
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let names = names.join(", ");
    terminal.say(&match with_page {
        Some(_) => format!(
            "{names}: every arena is used up, and the index page lists no other: \
             the source is full, or goes on in a partition that the page does not list yet; \
             give the source another partition, or name the one that it has \
             (arenas in the configuration)"
        ),
        None => format!(
            "{names}: every arena is used up: what the source stores from now on lies elsewhere; \
             name that partition (-p, or arenas in the configuration) or the index page (-i)"
        ),
    });
    Status::Partly
}
