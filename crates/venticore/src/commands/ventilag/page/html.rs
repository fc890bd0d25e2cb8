//! Text in an HTML document.

use std::time::SystemTime;

use crate::codec::utc::Utc;
use crate::commands::ventilag::age::ago;
use crate::text::printable;

/// Foreign text, fit for the content of an element and for an attribute in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in printable(text.as_bytes()).chars() {
        match c {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            '\'' => html += "&#39;",
            c => html.push(c),
        }
    }
    html
}

/// A name that somebody gave: an address, a path.
pub(super) fn name(text: &str) -> String {
    format!(
        "<span class=\"name\" translate=\"no\">{}</span>",
        escaped(text)
    )
}

/// A time, to the minute.
pub(super) fn time(time: SystemTime) -> String {
    let exact = Utc(time).to_string();
    let to_minutes = exact.get(..16).unwrap_or(&exact).replace('T', " ");
    format!("<time datetime=\"{exact}\">{to_minutes} UTC</time>")
}

/// A time, and how long ago it was.
pub(super) fn since(of: SystemTime, now: SystemTime) -> String {
    let (time, ago) = (time(of), ago(of, now));
    format!("{time} <span class=\"count\">({ago})</span>")
}

/// A number of things, its thousands apart.
pub(super) fn count(number: u64, one: &str, more: &str) -> String {
    let noun = if number == 1 { one } else { more };
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {noun}")
}

/// Bytes in the largest unit of which there is one, by thousands.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (1_000_000_000_000_000, "PB"),
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    match UNITS.into_iter().find(|(unit, _)| number >= *unit) {
        None => count(number, "byte", "bytes"),
        Some((unit, name)) => {
            let tenths = number / (unit / 10);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_text() {
        let html = escaped("<b a=\"x\" b='y'>&amp;\n\u{202e}\0");
        assert_eq!(
            html,
            "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;\\n\\u{202e}\\0"
        );
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(count(1, "clump", "clumps"), "1 clump");
        assert_eq!(count(1_234_567, "clump", "clumps"), "1,234,567 clumps");
        assert_eq!(count(999, "clump", "clumps"), "999 clumps");
        for (number, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (82_680, "82.6 kB"),
            (536_870_912, "536.8 MB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
