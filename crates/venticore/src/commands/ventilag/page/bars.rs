//! The arenas of a partition as a bar, and how far a target is in them.

use crate::commands::ventilag::report::ArenaBar;
use crate::copy::cursor::Cursor;
use crate::text::html::bar::{Bar, BarPiece};

/// The most pieces of a bar: where there are more arenas, several are one piece.
const MOST: usize = 200;

/// The bar of the source.
pub(super) fn of_source(bar: &Bar, arenas: &[ArenaBar]) -> String {
    bar.svg(&pieces(arenas, |_, _| 0), false)
}

/// The bar of a target that has everything before a place.
pub(super) fn of_target(bar: &Bar, arenas: &[ArenaBar], at: Cursor) -> String {
    let have = |number: usize, arena: &ArenaBar| match number.cmp(&at.arena) {
        std::cmp::Ordering::Less => arena.used,
        std::cmp::Ordering::Equal => arena.used.min(at.offset),
        std::cmp::Ordering::Greater => 0,
    };
    bar.svg(&pieces(arenas, have), true)
}

fn pieces(arenas: &[ArenaBar], have: impl Fn(usize, &ArenaBar) -> u64) -> Vec<BarPiece> {
    let each = arenas.len().div_ceil(MOST).max(1);
    let piece = |(group, arenas): (usize, &[ArenaBar])| {
        let mut piece = BarPiece::default();
        for (number, arena) in arenas.iter().enumerate() {
            piece.size = piece.size.saturating_add(arena.size.max(arena.used));
            piece.used = piece.used.saturating_add(arena.used);
            piece.have = piece
                .have
                .saturating_add(have(group * each + number, arena));
        }
        piece
    };
    arenas.chunks(each).enumerate().map(piece).collect()
}
