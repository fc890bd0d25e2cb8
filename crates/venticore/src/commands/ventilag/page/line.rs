//! Roots on a time line.

use std::time::SystemTime;

use crate::commands::ventilag::roots::{HeldRoot, Holding};

/// Where a time is, from 0 to 100: the oldest root to the left, now to the right.
pub(super) struct Scale {
    from: SystemTime,
    now: SystemTime,
}

impl Scale {
    /// From the oldest of these on; at least an hour.
    pub(super) fn of(roots: &[HeldRoot], now: SystemTime) -> Self {
        let hour = std::time::Duration::from_secs(3600);
        let oldest = roots.iter().filter_map(|root| root.recorded).min();
        let latest = now.checked_sub(hour).unwrap_or(now);
        Scale {
            from: oldest.unwrap_or(latest).min(latest),
            now,
        }
    }

    pub(super) fn start(&self) -> SystemTime {
        self.from
    }

    fn at(&self, time: SystemTime) -> f64 {
        let seconds = |from: SystemTime, to: SystemTime| {
            to.duration_since(from).unwrap_or_default().as_secs_f64()
        };
        let whole = seconds(self.from, self.now).max(1.0);
        (100.0 * seconds(self.from, time) / whole).clamp(0.0, 100.0)
    }
}

/// The marks of one venti. `number` is its place in the lists of the roots.
pub(super) fn svg(
    id: &str,
    title: &str,
    describes: &str,
    roots: &[HeldRoot],
    number: usize,
    scale: &Scale,
) -> String {
    let mut svg = format!(
        "<svg role=\"img\" aria-labelledby=\"{id}t {id}d\" width=\"100%\" height=\"18\">\
         <title id=\"{id}t\">{title}</title><desc id=\"{id}d\">{describes}</desc>\
         <line class=\"rail\" x1=\"0\" x2=\"100%\" y1=\"9\" y2=\"9\"/>"
    );
    for root in roots.iter().rev() {
        if let (Some(time), Some(&holding)) = (root.recorded, root.on.get(number)) {
            let at = scale.at(time);
            svg += &format!("<svg x=\"{at:.2}%\" y=\"9\">{}</svg>", mark(holding.word()));
        }
    }
    svg + "</svg>"
}

/// The mark of a word, around the origin. The shapes differ, and not the colours alone.
fn mark(word: &str) -> String {
    let shape = match word {
        "present" => "<circle r=\"5\"/><circle class=\"dot\" r=\"2\"/>",
        "missing" | "damaged" => "<path d=\"M-4-4 4 4M-4 4 4-4\"/>",
        "unknown" | "behind" => "<path d=\"M0-4V4\"/>",
        _ => "<circle r=\"5\"/>",
    };
    format!("<g class=\"mark {word}\">{shape}</g>")
}

/// What the marks mean: those that these roots have.
pub(super) fn legend(roots: &[HeldRoot]) -> String {
    const MEANINGS: [(&[&str], &str); 6] = [
        (&["whole"], "every block read back"),
        (&["present"], "reported as present"),
        (&["acknowledged"], "acknowledged"),
        (&["doubtful"], "acknowledged, with losses"),
        (&["missing", "damaged"], "blocks missing or damaged"),
        (&["unknown", "behind"], "not there, or not known"),
    ];
    let all = || roots.iter().flat_map(|root| root.on.iter().copied());
    let mut html = "<ul class=\"legend\">".to_owned();
    for (words, meaning) in MEANINGS {
        let Some(found) = all().map(Holding::word).find(|word| words.contains(word)) else {
            continue;
        };
        html += &format!(
            "<li><svg aria-hidden=\"true\" width=\"14\" height=\"14\"><svg x=\"7\" y=\"7\">{}\
             </svg></svg>{meaning}</li>",
            mark(found)
        );
    }
    html + "</ul>\n"
}
