//! Foreign text made fit for one line of a message.

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

/// A path on one line.
#[must_use]
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.chars().any(char::is_control) {
        return text.escape_default().to_string();
    }
    text.into_owned()
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
}
