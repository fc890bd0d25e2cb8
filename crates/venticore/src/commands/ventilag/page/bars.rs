//! The arenas of a partition as a bar, and how far a target is in them.

use crate::commands::ventilag::report::ArenaBar;
use crate::copy::cursor::Cursor;

/// The most pieces of a bar: where there are more arenas, several are one piece.
const MOST: usize = 200;

/// A bar, with what a person hears who does not see it.
pub(super) struct Bar<'a> {
    /// A name for the elements of this bar that nothing else on the page has.
    pub(super) id: String,
    /// What it is, as HTML text.
    pub(super) title: String,
    /// What it shows, as HTML text.
    pub(super) describes: String,
    pub(super) arenas: &'a [ArenaBar],
}

/// What of a piece is drawn, in bytes.
#[derive(Clone, Copy, Default)]
struct BarPiece {
    size: u64,
    used: u64,
    have: u64,
}

impl Bar<'_> {
    /// The bar of the source.
    pub(super) fn of_source(&self) -> String {
        self.svg(&self.pieces(|_, _| 0), false)
    }

    /// The bar of a target that has everything before a place.
    pub(super) fn of_target(&self, at: Cursor) -> String {
        let have = |number: usize, arena: &ArenaBar| match number.cmp(&at.arena) {
            std::cmp::Ordering::Less => arena.used,
            std::cmp::Ordering::Equal => arena.used.min(at.offset),
            std::cmp::Ordering::Greater => 0,
        };
        self.svg(&self.pieces(have), true)
    }

    fn pieces(&self, have: impl Fn(usize, &ArenaBar) -> u64) -> Vec<BarPiece> {
        let each = self.arenas.len().div_ceil(MOST).max(1);
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
        self.arenas.chunks(each).enumerate().map(piece).collect()
    }

    fn svg(&self, pieces: &[BarPiece], of_target: bool) -> String {
        let Bar {
            id,
            title,
            describes,
            ..
        } = self;
        let mut svg = format!(
            "<svg role=\"img\" aria-labelledby=\"{id}t {id}d\" width=\"100%\" height=\"16\">\
             <title id=\"{id}t\">{title}</title><desc id=\"{id}d\">{describes}</desc>\
             <rect class=\"room\" width=\"100%\" height=\"16\"/>"
        );
        let whole = pieces.iter().map(|piece| piece.size).sum::<u64>().max(1);
        let mut before = 0;
        for piece in pieces {
            let from = |bytes: u64| percent(before + bytes, whole);
            if of_target {
                svg += &rect("have", from(0), from(piece.have));
                if piece.used > piece.have {
                    // Less than a hundredth of a percent is still a lack.
                    let (start, end) = (from(piece.have), from(piece.used));
                    svg += &rect("lack", start, end.max(start + 0.01));
                }
            } else {
                svg += &rect("used", from(0), from(piece.used));
            }
            if before > 0 {
                let at = from(0);
                svg += &format!(
                    "<line class=\"tick\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"16\"/>"
                );
            }
            before = before.saturating_add(piece.size);
        }
        svg + "</svg>"
    }
}

/// A part of the whole, in percent.
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part.min(whole)) * 10_000 / u128::from(whole);
    f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0
}

/// What is there is seen, however little it is.
fn rect(class: &str, from: f64, to: f64) -> String {
    const LEAST: f64 = 0.3;
    if to <= from {
        return String::new();
    }
    let width = (to - from).max(LEAST);
    let from = from.min(100.0 - width);
    format!(
        "<rect class=\"{class}\" x=\"{from:.2}%\" y=\"1\" width=\"{width:.2}%\" height=\"14\"/>"
    )
}
