//! The page `/`: the arenas as a picture, and what they hold, for a person.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec::utc::Utc;
use crate::serve::Shared;
use crate::serve::arenas::Sums;
use crate::store::ArenaState;
use crate::text::html::bar::{Bar, BarPiece};
use crate::text::html::{bytes, count, name, page};

/// The most pieces of a bar: where there are more arenas, several are one piece.
const PIECES: usize = 200;

/// The most partitions that are drawn, and arenas that are listed; the others are counted.
const DRAWN: usize = 24;

/// The page.
pub(super) fn text(shared: &Shared, host: &str) -> String {
    let arenas = shared.store.arenas();
    let sums = Sums::of(&arenas);
    let mut body = format!(
        "<header>\n<h1>{}, {} free</h1>\n<p class=\"lead\">{} of {} taken by {} of data in {}, {} of \
         them sealed.</p>\n",
        count(sums.clumps, "block", "blocks"),
        bytes(shared.store.room()),
        bytes(sums.storage),
        bytes(sums.size),
        bytes(sums.data),
        count(sums.arenas, "arena", "arenas"),
        sums.sealed,
    );
    if let Some(why) = shared.store.read_only() {
        body += &format!(
            "<p class=\"note\">No block can be added: {}.</p>\n",
            name(&why)
        );
    }
    body += "</header>\n<h2>Arenas</h2>\n";
    let partitions = partitions(&arenas);
    for (number, arenas) in partitions.iter().take(DRAWN).enumerate() {
        body += &partition(number, arenas);
    }
    if partitions.len() > DRAWN {
        let more = (partitions.len() - DRAWN) as u64;
        let more = count(more, "more partition", "more partitions");
        body += &format!("<p class=\"soft\">And {more}.</p>\n");
    }
    body += &newest(&arenas);
    body += &since_the_start(shared);
    body += &format!(
        "<footer>As it was <time>{}</time>. The same for programs: <a href=\"/index\">/index</a>, \
         <a href=\"/storage\">/storage</a>, <a href=\"/metrics\">/metrics</a>.</footer>\n",
        Utc(SystemTime::now())
    );
    page(&format!("venti {host}"), &body)
}

/// The arenas of each partition, in the order in which they are filled.
fn partitions(arenas: &[ArenaState]) -> Vec<&[ArenaState]> {
    let is_same = |a: &ArenaState, b: &ArenaState| a.partition == b.partition;
    arenas.chunk_by(is_same).collect()
}

fn partition(number: usize, arenas: &[ArenaState]) -> String {
    let sums = Sums::of(arenas);
    let describes = format!(
        "{} of {} in {}",
        bytes(sums.storage),
        bytes(sums.size),
        count(sums.arenas, "arena", "arenas")
    );
    let bar = Bar {
        id: format!("p{number}"),
        title: "the arenas".to_owned(),
        describes: describes.clone(),
    };
    let each = arenas.len().div_ceil(PIECES).max(1);
    let piece = |arenas: &[ArenaState]| {
        let sums = Sums::of(arenas);
        BarPiece {
            size: sums.size,
            used: sums.storage,
            have: 0,
        }
    };
    let pieces: Vec<BarPiece> = arenas.chunks(each).map(piece).collect();
    let partition = arenas.first().map_or("", |arena| &arena.partition);
    format!(
        "<figure>\n<div class=\"row\"><p><span>{}</span><span class=\"soft\">{describes}</span></p>\n\
         {}</div>\n</figure>\n",
        name(partition),
        bar.svg(&pieces, false)
    )
}

/// The arenas that were written to last, as a table.
fn newest(arenas: &[ArenaState]) -> String {
    let mut written: Vec<&ArenaState> = arenas.iter().filter(|a| a.live.clumps > 0).collect();
    written.sort_by_key(|arena| std::cmp::Reverse(arena.modified));
    if written.is_empty() {
        return "<p>No arena holds a block yet.</p>\n".to_owned();
    }
    let rows: Vec<String> = written.iter().take(DRAWN).map(|arena| row(arena)).collect();
    format!(
        "<h2>Written last</h2>\n<table>\n<thead><tr><th scope=\"col\">arena</th>\
         <th scope=\"col\">blocks</th><th scope=\"col\">data</th><th scope=\"col\">state</th>\
         <th scope=\"col\">last block</th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
        rows.concat()
    )
}

fn row(arena: &ArenaState) -> String {
    let state = match (arena.live.sealed, arena.score) {
        (true, Some(_)) => "sealed, with its score",
        (true, None) => "sealed",
        (false, _) => "open",
    };
    format!(
        "<tr><th scope=\"row\">{}</th><td data-label=\"blocks\">{}</td><td data-label=\"data\">{}</td>\
         <td data-label=\"state\">{state}</td><td data-label=\"last block\"><time>{}</time></td></tr>\n",
        name(arena.name.as_str()),
        count(arena.live.clumps.into(), "block", "blocks"),
        bytes(arena.live.uncompressed),
        Utc(UNIX_EPOCH + Duration::from_secs(arena.modified.into())),
    )
}

fn since_the_start(shared: &Shared) -> String {
    let counts = shared.store.counts();
    let connections = shared.connections();
    let rows = [
        ("blocks added", counts.stored),
        ("writes of blocks that were there", counts.duplicates),
        ("damaged blocks stored again", counts.healed),
        ("blocks read", counts.reads),
        ("reads of blocks that are not there", counts.absent),
        ("copies that did not hash right", counts.damaged),
        ("syncs", counts.syncs),
        ("connections now", connections.open),
        ("connections taken", connections.taken),
        ("connections refused", connections.refused),
    ];
    let rows: Vec<String> = rows
        .iter()
        .map(|(what, number)| {
            let number = crate::text::grouped(*number);
            format!("<tr><th scope=\"row\">{what}</th><td>{number}</td></tr>\n")
        })
        .collect();
    format!(
        "<h2>Since the start</h2>\n<table>\n<tbody>\n{}</tbody>\n</table>\n",
        rows.concat()
    )
}
