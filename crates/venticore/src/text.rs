//! Foreign text made fit for one line of a message.

pub mod html;

use std::path::Path;

use eyre::Report;

/// An error and its causes in one line, each thing once: a cause that the error
/// before it has said is left out, and so is a subject that both begin with.
#[must_use]
pub fn line_of(report: &Report) -> String {
    let mut line = String::new();
    let mut before = String::new();
    for cause in report.chain() {
        let cause = one_line(&cause.to_string());
        if line.to_lowercase().ends_with(&cause.to_lowercase()) {
            continue;
        }
        let colon = if line.is_empty() { "" } else { ": " };
        let rest = cause.strip_prefix(&before);
        let rest = rest.and_then(|rest| rest.strip_prefix(": "));
        line = format!("{line}{colon}{}", rest.unwrap_or(&cause));
        before = cause;
    }
    line
}

/// A text as one line of printable characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A number of things: `1 file`, `2 files`.
#[must_use]
pub fn counted(number: u64, one: &str, more: &str) -> String {
    let noun = if number == 1 { one } else { more };
    format!("{number} {noun}")
}

/// A path on one line.
#[must_use]
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.chars().any(char::is_control) {
        return text.escape_default().to_string();
    }
    text.into_owned()
}

/// Foreign bytes, fit for one line of a message: not UTF-8 is
/// replaced, and what does not print (newlines, escapes, direction marks) is
/// escaped.
#[must_use]
pub fn printable(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '\'' | '"' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// An error of the system or of a library, fit to follow a colon: printable, and its first
/// letter in lower case.
#[must_use]
pub fn in_lower_case(error: &dyn std::error::Error) -> String {
    let text = printable(error.to_string().as_bytes());
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}

/// The first `most` bytes of something, printable, with `...` behind them if there are more.
#[must_use]
pub fn excerpt(bytes: &[u8], most: usize) -> String {
    match bytes.get(..most) {
        Some(start) if start.len() < bytes.len() => format!("{}...", printable(start)),
        _ => printable(bytes),
    }
}

/// The first `most` bytes of something binary, escaped and in double quotes, with `...` behind
/// them if there are more.
#[must_use]
pub fn quoted(bytes: &[u8], most: usize) -> String {
    let start = bytes.get(..most).unwrap_or(bytes);
    let more = if bytes.len() > most { "..." } else { "" };
    format!("\"{}\"{more}", start.escape_ascii())
}

/// A number with a comma every three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether sh or rc would not take a word as it stands: a wrarena command is run by both.
#[must_use]
pub fn is_for_a_shell(word: &str) -> bool {
    word.contains(|c| "'\"`$&;|<>()*?[]{}\\^".contains(c)) || word.starts_with(['#', '~'])
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("a\nb\x1b[1mc"), "a b [1mc");
    }

    #[test]
    fn a_cause_is_said_once() {
        let refused = || io::Error::other("Connection refused");
        let report = eyre::eyre!("cannot connect: connection refused").wrap_err("host");
        let lower = Report::new(refused()).wrap_err("host: cannot connect: connection refused");
        assert_eq!(line_of(&report), "host: cannot connect: connection refused");
        assert_eq!(line_of(&lower), "host: cannot connect: connection refused");
        let report = Report::new(refused()).wrap_err("one\nline");
        assert_eq!(line_of(&report), "one line: Connection refused");
        let report = eyre::eyre!("/dev/x: cannot read: refused").wrap_err("/dev/x");
        assert_eq!(line_of(&report), "/dev/x: cannot read: refused");
        let report = eyre::eyre!("/dev/xy: cannot read").wrap_err("/dev/x");
        assert_eq!(line_of(&report), "/dev/x: /dev/xy: cannot read");
    }

    #[test]
    fn nothing_from_a_server_breaks_a_line() {
        assert_eq!(printable(b"no \"space\" left"), "no \"space\" left");
        assert_eq!(printable(b"a\nb\x1b[2J\0"), "a\\nb\\u{1b}[2J\\0");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(printable("a\u{2028}b".as_bytes()), "a\\u{2028}b");
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!(counted(0, "entry", "entries"), "0 entries");
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(21, "entry", "entries"), "21 entries");
    }

    #[test]
    fn an_excerpt_says_that_it_is_one() {
        assert_eq!(excerpt(b"abc", 3), "abc");
        assert_eq!(excerpt(b"a\ncd", 3), "a\\nc...");
        assert_eq!(excerpt(b"", 0), "");
    }
}
