//! A command: its options, its help, and how it ends. The only place that turns an
//! error into an exit status and a line.

use crate::codec::invalid::Invalid;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use eyre::{Report, WrapErr};
use lexopt::ValueExt;

use crate::codec::{index, wrcmd, wrcmds};
use crate::copy::external;
use crate::host::terminal::{Output, say};
use crate::nearest::nearest;
use crate::net::client;
use crate::status::{Failure, Status};
use crate::text::line_of;
use crate::{config, ninefat, state};

/// The exit status of an error: that of the first cause in its chain that has one,
/// or [`Status::Failed`].
#[must_use]
pub fn status_of(error: &Report) -> Status {
    error
        .chain()
        .find_map(status_of_cause)
        .unwrap_or(Status::Failed)
}

fn status_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Status> {
    let own = of(cause, |failure: &Failure| failure.status)
        .or_else(|| of(cause, client::Error::status))
        .or_else(|| of(cause, external::Error::status))
        .or_else(|| of(cause, index::Error::status))
        .or_else(|| of(cause, ninefat::Error::status))
        .or_else(|| of(cause, state::Error::status))
        .or_else(|| of(cause, wrcmds::Error::status));
    if own.is_some() {
        return own;
    }
    let usage = cause.is::<lexopt::Error>()
        || cause.is::<wrcmd::Error>()
        || cause.is::<Invalid>()
        || cause.is::<config::Error>();
    usage.then_some(Status::Usage)
}

fn of<E: std::error::Error + 'static>(
    cause: &(dyn std::error::Error + 'static),
    status: fn(&E) -> Status,
) -> Option<Status> {
    cause.downcast_ref().map(status)
}

/// What was asked for was only text: `--help`, `--version`.
#[derive(Debug)]
struct Answer(String);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Answer {}

/// What a command says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The name every line on standard error begins with.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Options and operands, without the name; a line for each way to call it,
    /// the common one first.
    pub synopsis: &'static str,
    /// The text of `--help` below the synopsis.
    pub help: &'static str,
}

impl Tool {
    /// Runs the command on the process's arguments and decides how it ends.
    pub fn run(
        &self,
        body: impl FnOnce(&Tool, lexopt::Parser) -> eyre::Result<Status>,
    ) -> ExitCode {
        let status = match body(self, lexopt::Parser::from_env()) {
            Ok(status) => status,
            Err(report) => self.explain(&report),
        };
        ExitCode::from(status.code())
    }

    /// What an option loop returns for `--help`.
    pub fn help(&self) -> Report {
        let form = |form| format!("{} {form}", self.name);
        let forms: Vec<String> = self.synopsis.lines().map(form).collect();
        Report::new(Answer(format!(
            "usage: {}\n\n{}\n",
            forms.join("\n       "),
            self.help.trim_end()
        )))
    }

    /// What an option loop returns for `--version`.
    pub fn version(&self) -> Report {
        Report::new(Answer(format!("{} {}\n", self.name, self.version)))
    }

    /// A usage error.
    pub fn usage(&self, cause: &str) -> Report {
        Failure::report(Status::Usage, format!("{cause}; {}", self.short_usage()))
    }

    fn short_usage(&self) -> String {
        let form = self.synopsis.lines().next().unwrap_or_default();
        format!("usage: {} {form}", self.name)
    }

    /// The long option that an unknown one is nearest to.
    fn meant(&self, error: &lexopt::Error) -> Option<&'static str> {
        let lexopt::Error::UnexpectedOption(found) = error else {
            return None;
        };
        let words = self.help.split([' ', '\n', ',']);
        let long = words.filter(|word| word.starts_with("--") && word.len() > 3);
        found.strip_prefix("--").and_then(|_| nearest(found, long))
    }

    fn explain(&self, report: &Report) -> Status {
        if let Some(Answer(text)) = report.downcast_ref() {
            return match Output::stdout().write_all(text.as_bytes()) {
                Ok(()) => Status::Done,
                Err(_) => Status::Failed,
            };
        }
        let status = status_of(report);
        let mut line = line_of(report);
        if let Some(error) = report.downcast_ref::<lexopt::Error>() {
            if let Some(meant) = self.meant(error) {
                line = format!("{line}, did you mean {meant}?");
            }
            line = format!("{line}; {}", self.short_usage());
        }
        say(self.name, &line);
        status
    }
}

/// The operands: the first one, which the option loop met, and all after it. What
/// looks like an option among them was meant as one, unless `--` stands before them.
///
/// # Errors
/// As for `Parser::raw_args`; or there is an option among them.
pub fn operands(
    parser: &mut lexopt::Parser,
    first: OsString,
) -> Result<Vec<OsString>, lexopt::Error> {
    let operands = words(parser, first)?;
    let before = std::env::args_os().len().checked_sub(operands.len() + 1);
    let ended = before.and_then(|before| std::env::args_os().nth(before));
    let is_option = |word: &&OsString| {
        let bytes = word.as_encoded_bytes();
        bytes.first() == Some(&b'-') && bytes.len() > 1
    };
    match operands.iter().skip(1).find(is_option) {
        Some(option) if ended.is_none_or(|word| word != "--") => {
            let text = format!(
                "unexpected {option:?} after an operand: options go before operands \
                 (-- before operands that begin with -)"
            );
            Err(text.into())
        }
        _ => Ok(operands),
    }
}

/// The words of a command that is passed on as it is, with its own options: the
/// first one, which the option loop met, and all after it.
///
/// # Errors
/// As for `Parser::raw_args`.
pub fn words(parser: &mut lexopt::Parser, first: OsString) -> Result<Vec<OsString>, lexopt::Error> {
    let mut words = vec![first];
    words.extend(parser.raw_args()?);
    Ok(words)
}

/// The value of an option that is a number of seconds. More than 136 years,
/// which no clock can be asked for, are as many.
///
/// # Errors
/// There is no value, or it is no number.
pub fn seconds(option: &'static str, parser: &mut lexopt::Parser) -> eyre::Result<Duration> {
    let value = parser.value()?.string()?;
    let seconds = wrcmd::number(&value).wrap_err(option)?;
    Ok(Duration::from_secs(seconds.min(u32::MAX.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_found_below_any_context() {
        let report = Failure::report(Status::Locked, "held").wrap_err("wrcmd");
        assert_eq!(status_of(&report), Status::Locked);
        let report =
            Report::new("zz".parse::<crate::codec::score::Score>().unwrap_err()).wrap_err("x");
        assert_eq!(status_of(&report), Status::Usage);
        assert_eq!(status_of(&eyre::eyre!("no idea")), Status::Failed);
        for (error, status) in [
            (index::Error::Url(String::new()), Status::Usage),
            (index::Error::Lost(String::new()), Status::Unreachable),
            (index::Error::Html, Status::Failed),
        ] {
            assert_eq!(status_of(&Report::new(error).wrap_err("url")), status);
        }
    }
}
