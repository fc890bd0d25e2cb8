//! Arenas as a bar.

/// A bar, with what a person hears who does not see it.
#[derive(Clone, Debug)]
pub struct Bar {
    /// A name for the elements of this bar that nothing else on the page has.
    pub id: String,
    /// What it is, as HTML text.
    pub title: String,
    /// What it shows, as HTML text.
    pub describes: String,
}

/// A piece of a bar, and what of it is drawn, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BarPiece {
    /// All of it.
    pub size: u64,
    /// What of that is used.
    pub used: u64,
    /// What of that somebody has.
    pub have: u64,
}

impl Bar {
    /// The picture. `is_copy` says that what is had is drawn, and what is lacked of what
    /// is used; otherwise what is used is.
    #[must_use]
    pub fn svg(&self, pieces: &[BarPiece], is_copy: bool) -> String {
        let Bar {
            id,
            title,
            describes,
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
            if is_copy {
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
