//! A command: its options, its help, and how it ends. The only place that turns an
//! error into an exit status and a line.

mod form;

use crate::codec::invalid::Invalid;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use eyre::{Report, WrapErr};
use lexopt::{Arg, ValueExt};

use crate::codec::{index, wrcmd, wrcmds};
use crate::copy::external;
use crate::host::terminal::{Output, say};
use crate::nearest::nearest;
use crate::net::client;
use crate::status::{Failure, Status};
use crate::text::line_of;
use crate::{ninefat, state};

/// The exit status of an error: the status of the first cause in its chain that
/// has one, or [`Status::Failed`].
#[must_use]
pub fn status_of(error: &Report) -> Status {
    error
        .chain()
        .find_map(status_of_cause)
        .unwrap_or(Status::Failed)
}

fn status_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Status> {
    let own = of(cause, |failure: &Failure| failure.status)
        .or_else(|| of(cause, client::ClientError::status))
        .or_else(|| of(cause, external::ExternalError::status))
        .or_else(|| of(cause, index::PageError::status))
        .or_else(|| of(cause, ninefat::NinefatError::status))
        .or_else(|| of(cause, state::StateError::status))
        .or_else(|| of(cause, wrcmds::WrcmdsError::status));
    if own.is_some() {
        return own;
    }
    let usage =
        cause.is::<lexopt::Error>() || cause.is::<wrcmd::WrcmdError>() || cause.is::<Invalid>();
    usage.then_some(Status::Usage)
}

fn of<E: std::error::Error + 'static>(
    cause: &(dyn std::error::Error + 'static),
    status: fn(&E) -> Status,
) -> Option<Status> {
    cause.downcast_ref().map(status)
}

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

/// What ends an option loop early, and is not a failure: the text is printed.
fn only_text(text: String) -> Report {
    Failure::report(Status::Done, text)
}

impl Tool {
    /// Runs the command on the process's arguments and decides how it ends.
    pub fn run(
        &self,
        body: impl FnOnce(&Tool, lexopt::Parser) -> eyre::Result<Status>,
    ) -> ExitCode {
        let body = match self.one_dash() {
            Some(error) => Err(error),
            None => body(self, lexopt::Parser::from_env()),
        };
        let status = match body {
            Ok(status) => status,
            Err(report) => self.explain(&report),
        };
        ExitCode::from(status.code())
    }

    /// Gives each option of the command line to `take`, and returns the operands. What
    /// `take` does not know it gives to [`Tool::common`].
    ///
    /// # Errors
    /// As for `take` and the parser; or an option stands among the operands.
    pub fn operands(
        &self,
        parser: lexopt::Parser,
        take: impl FnMut(Arg<'_>, &mut lexopt::Parser) -> eyre::Result<()>,
    ) -> eyre::Result<Operands> {
        let words = self.words(parser, take)?;
        if let Some(option) = misplaced_option(&words) {
            let text = format!(
                "unexpected {option:?} after an operand: options go before operands \
                 (-- before operands that begin with -)"
            );
            return Err(lexopt::Error::from(text).into());
        }
        Ok(Operands {
            tool: *self,
            words: words.into_iter(),
        })
    }

    /// The same for a command that is passed on as it is, with its own options.
    ///
    /// # Errors
    /// As for `take` and the parser.
    pub fn words(
        &self,
        mut parser: lexopt::Parser,
        mut take: impl FnMut(Arg<'_>, &mut lexopt::Parser) -> eyre::Result<()>,
    ) -> eyre::Result<Vec<OsString>> {
        let mut words = Vec::new();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Value(first) => {
                    words.push(first);
                    words.extend(parser.raw_args()?);
                }
                Arg::Short(option) => take(Arg::Short(option), &mut parser)?,
                Arg::Long(option) => {
                    let option = option.to_owned();
                    take(Arg::Long(&option), &mut parser)?;
                }
            }
        }
        Ok(words)
    }

    /// How an option ends a command that does not take it itself: with the help, with
    /// the version, or as unexpected.
    ///
    /// # Errors
    /// Always.
    pub fn common(&self, option: Arg<'_>) -> eyre::Result<()> {
        Err(match option {
            Arg::Short('h') | Arg::Long("help") => self.help(),
            Arg::Short('V') | Arg::Long("version") => self.version(),
            option => option.unexpected().into(),
        })
    }

    /// What `--help` ends with.
    fn help(&self) -> Report {
        let form = |form| format!("{} {form}", self.name);
        let forms: Vec<String> = self.synopsis.lines().map(form).collect();
        only_text(format!(
            "usage: {}\n\n{}\n",
            forms.join("\n       "),
            self.help.trim_end()
        ))
    }

    /// What `--version` ends with.
    fn version(&self) -> Report {
        only_text(format!("{} {}\n", self.name, self.version))
    }

    /// A usage error.
    pub fn usage(&self, cause: &str) -> Report {
        Failure::report(Status::Usage, format!("{cause}; {}", self.short_usage()))
    }

    /// The form that the call was meant to be.
    fn short_usage(&self) -> String {
        let words = std::env::args_os().skip(1);
        let words = words.map(|word| word.to_string_lossy().into_owned());
        let form = form::meant(self.synopsis, self.help, words);
        format!("usage: {} {form}", self.name)
    }

    /// The long options that `--help` lists.
    fn long_options(&self) -> impl Iterator<Item = &'static str> {
        let words = self.help.split([' ', '\n', ',']);
        words.filter(|word| word.starts_with("--") && word.len() > 3)
    }

    /// The error of a long option with one dash, which would be taken for several short
    /// ones.
    fn one_dash(&self) -> Option<Report> {
        let mut words = std::env::args_os().skip(1).take_while(|word| word != "--");
        words.find_map(|word| {
            let word = word.to_str()?;
            let meant = self
                .long_options()
                .find(|long| long.get(1..) == Some(word))?;
            Some(self.usage(&format!("invalid option {word:?}, did you mean {meant}?")))
        })
    }

    /// The long option that an unknown one is nearest to.
    fn meant(&self, error: &lexopt::Error) -> Option<&'static str> {
        let lexopt::Error::UnexpectedOption(found) = error else {
            return None;
        };
        let is_long = found.starts_with("--");
        is_long.then(|| nearest(found, self.long_options()))?
    }

    fn explain(&self, report: &Report) -> Status {
        if let Some(Failure {
            status: Status::Done,
            message,
        }) = report.downcast_ref()
        {
            return match Output::stdout().write_all(message.as_bytes()) {
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

/// The operands of a command line, from the first to the last.
#[derive(Debug)]
pub struct Operands {
    tool: Tool,
    words: std::vec::IntoIter<OsString>,
}

impl Iterator for Operands {
    type Item = OsString;

    fn next(&mut self) -> Option<OsString> {
        self.words.next()
    }
}

impl Operands {
    /// The next operand, which must be there: `what` is what the usage error names.
    ///
    /// # Errors
    /// There is none.
    pub fn expect(&mut self, what: &str) -> eyre::Result<OsString> {
        let missing = || self.tool.usage(&format!("expected {what}, found none"));
        self.words.next().ok_or_else(missing)
    }

    /// The next operand, if there is one, which must be text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&mut self) -> Result<Option<String>, lexopt::Error> {
        self.words.next().map(ValueExt::string).transpose()
    }

    /// All that are left, which must be text.
    ///
    /// # Errors
    /// One is not UTF-8.
    pub fn texts(self) -> Result<Vec<String>, lexopt::Error> {
        self.words.map(ValueExt::string).collect()
    }

    /// Makes sure that all have been taken.
    ///
    /// # Errors
    /// One is left.
    pub fn end(mut self) -> eyre::Result<()> {
        match self.words.next() {
            Some(extra) => {
                let cause = format!("unexpected operand {}", extra.display());
                Err(self.tool.usage(&cause))
            }
            None => Ok(()),
        }
    }
}

/// What looks like an option among the operands, the last words of the command line.
/// It was meant as one, unless `--` stands before the operands.
fn misplaced_option(operands: &[OsString]) -> Option<&OsString> {
    let before = std::env::args_os().len().checked_sub(operands.len() + 1);
    let ended = before.and_then(|before| std::env::args_os().nth(before));
    let is_option = |word: &&OsString| {
        let bytes = word.as_encoded_bytes();
        bytes.first() == Some(&b'-') && bytes.len() > 1
    };
    let option = operands.iter().skip(1).find(is_option);
    option.filter(|_| ended.is_none_or(|word| word != "--"))
}

/// The value of an option that is a number of seconds. More than 136 years,
/// which no clock can be asked for, are as many.
///
/// # Errors
/// The value is missing, or it is not a number.
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
            (index::PageError::Url(String::new()), Status::Usage),
            (index::PageError::Lost(String::new()), Status::Unreachable),
            (index::PageError::Html, Status::Failed),
        ] {
            assert_eq!(status_of(&Report::new(error).wrap_err("url")), status);
        }
    }
}
