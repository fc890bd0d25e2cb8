//! Text in an HTML document, and figures of arenas in it.

pub mod bar;

use crate::text::{grouped, printable};

/// The style of pages, inside each.
const STYLE: &str = include_str!("html.css");

/// A whole page: one file, without script, and without anything that would be fetched. The
/// title is text, the body HTML.
#[must_use]
pub fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Foreign text, fit for the content of an element and for an attribute in double quotes.
#[must_use]
pub fn escaped(text: &str) -> String {
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
#[must_use]
pub fn name(text: &str) -> String {
    format!(
        "<span class=\"name\" translate=\"no\">{}</span>",
        escaped(text)
    )
}

/// A number of things, its thousands apart.
#[must_use]
pub fn count(number: u64, one: &str, more: &str) -> String {
    let noun = if number == 1 { one } else { more };
    format!("{} {noun}", grouped(number))
}

/// Bytes in the largest unit of which there is one, by thousands.
#[must_use]
pub fn bytes(number: u64) -> String {
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
