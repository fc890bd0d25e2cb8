//! How a run ends: exit status, the one line that says why, and standard
//! output that may be a closed pipe. The only place that decides any of it.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use eyre::{Report, WrapErr};
use lexopt::ValueExt;

use crate::nearest::nearest;
use crate::{
    client, config, dial, external, index, ninefat, partition, score, state, wrcmd, wrcmds,
};

/// The exit statuses, the same for every command.
///
/// When several apply, the one listed first wins: [`Status::worst`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 4: a block is missing or damaged where it was believed to be, or a
    /// server answered with a wrong score.
    Unverified,
    /// 3: partly done; some targets current and others not, damage in the
    /// source, or a source that did not sync.
    Partly,
    /// 1: failed, nothing lost, run again.
    Failed,
    /// 6: nothing that was asked for could be reached.
    Unreachable,
    /// 5: another run holds the lock.
    Locked,
    /// 2: usage, or bad text of a score, address, number or configuration.
    Usage,
    /// 0: everything asked for has happened.
    Done,
}

impl Status {
    /// All of them, the worst first.
    pub const ALL: [Status; 7] = [
        Status::Unverified,
        Status::Partly,
        Status::Failed,
        Status::Unreachable,
        Status::Locked,
        Status::Usage,
        Status::Done,
    ];

    /// The number a shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partly => 3,
            Self::Unverified => 4,
            Self::Locked => 5,
            Self::Unreachable => 6,
        }
    }

    /// Of two that apply, the one to exit with.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let rank = |status| Self::ALL.iter().position(|&of| of == status);
        if rank(other) < rank(self) {
            other
        } else {
            self
        }
    }

    /// The status of an error: that of the first cause in its chain that has
    /// one, else [`Status::Failed`].
    #[must_use]
    pub fn of(error: &Report) -> Self {
        error
            .chain()
            .find_map(status_of_cause)
            .unwrap_or(Self::Failed)
    }
}

fn status_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Status> {
    if let Some(error) = cause.downcast_ref::<Failure>() {
        return Some(error.status);
    }
    if let Some(error) = cause.downcast_ref::<client::Error>() {
        return Some(client_status(error));
    }
    if let Some(error) = cause.downcast_ref::<index::Error>() {
        return Some(match error.kind() {
            index::Kind::Usage => Status::Usage,
            index::Kind::Transient => Status::Unreachable,
            index::Kind::Failed => Status::Failed,
        });
    }
    if let Some(error) = cause.downcast_ref::<external::Error>() {
        return Some(external_status(error));
    }
    if let Some(error) = cause.downcast_ref::<state::Error>() {
        return Some(match error {
            state::Error::Locked { .. } => Status::Locked,
            state::Error::Unnamed => Status::Usage,
            _ => Status::Failed,
        });
    }
    if let Some(error) = cause.downcast_ref::<ninefat::Error>() {
        return Some(error.status());
    }
    if let Some(error) = cause.downcast_ref::<wrcmds::Error>() {
        return Some(match error.problem {
            wrcmds::Problem::TooLong(_)
            | wrcmds::Problem::TooMany
            | wrcmds::Problem::NoPlace(_) => Status::Failed,
            _ => Status::Usage,
        });
    }
    let usage = cause.is::<lexopt::Error>()
        || cause.is::<wrcmd::Error>()
        || cause.is::<wrcmd::NumberError>()
        || cause.is::<dial::DialError>()
        || cause.is::<score::ScoreError>()
        || cause.is::<partition::OperandError>()
        || cause.is::<config::Error>();
    usage.then_some(Status::Usage)
}

/// The status that the failure of one target stands for.
#[must_use]
pub fn client_status(error: &client::Error) -> Status {
    match error.kind() {
        client::Kind::Verification => Status::Unverified,
        client::Kind::Transient => Status::Unreachable,
        client::Kind::Failed => Status::Failed,
    }
}

/// The status that the failure of an external engine stands for.
#[must_use]
pub fn external_status(error: &external::Error) -> Status {
    match error.kind() {
        external::Kind::Damage => Status::Partly,
        external::Kind::Failed => Status::Failed,
        external::Kind::Transient => Status::Unreachable,
        external::Kind::Usage => Status::Usage,
    }
}

/// An error that brings its exit status.
#[derive(Debug)]
pub struct Failure {
    /// How the run ends.
    pub status: Status,
    /// `subject: cause`, one line.
    pub message: String,
}

impl Failure {
    /// The error as a report.
    pub fn report(status: Status, message: impl Into<String>) -> Report {
        Report::new(Failure {
            status,
            message: message.into(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

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
        let status = Status::of(report);
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

/// One line on standard error; that it cannot be written is no reason to stop.
pub fn say(tool: &str, line: &str) {
    let _ = writeln!(io::stderr(), "{tool}: {}", one_line(line));
}

/// A text as one line of printable characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
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

/// Standard output. A reader that went away is no error: what follows is
/// dropped, and the work goes on.
pub struct Output {
    inner: Box<dyn Write>,
    closed: bool,
}

impl Output {
    /// The process's standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(io::stdout())
    }

    /// Something else in its place.
    #[must_use]
    pub fn to(inner: impl Write + 'static) -> Self {
        Output {
            inner: Box::new(inner),
            closed: false,
        }
    }

    fn unless_closed<T>(&mut self, result: io::Result<T>, dropped: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(dropped)
            }
            result => result,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.inner.write(bytes);
        self.unless_closed(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.unless_closed(result, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_contract() {
        let codes: Vec<u8> = Status::ALL.iter().map(|status| status.code()).collect();
        assert_eq!(codes, [4, 3, 1, 6, 5, 2, 0]);
    }

    #[test]
    fn the_worst_wins_in_both_orders() {
        for (i, &worse) in Status::ALL.iter().enumerate() {
            for &better in &Status::ALL[i..] {
                assert_eq!(worse.worst(better), worse);
                assert_eq!(better.worst(worse), worse);
            }
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let refused = || io::Error::other("Connection refused");
        let report = Report::new(client::Error::Unreachable(refused())).wrap_err("host");
        assert_eq!(line_of(&report), "host: cannot connect: connection refused");
        let report = Report::new(refused()).wrap_err("one\nline");
        assert_eq!(line_of(&report), "one line: Connection refused");
        let report = eyre::eyre!("/dev/x: cannot read: refused").wrap_err("/dev/x");
        assert_eq!(line_of(&report), "/dev/x: cannot read: refused");
        let report = eyre::eyre!("/dev/xy: cannot read").wrap_err("/dev/x");
        assert_eq!(line_of(&report), "/dev/x: /dev/xy: cannot read");
    }

    #[test]
    fn a_status_is_found_below_any_context() {
        let report = Failure::report(Status::Locked, "held").wrap_err("wrcmd");
        assert_eq!(Status::of(&report), Status::Locked);
        let report = Report::new("zz".parse::<score::Score>().unwrap_err()).wrap_err("x");
        assert_eq!(Status::of(&report), Status::Usage);
        assert_eq!(Status::of(&eyre::eyre!("no idea")), Status::Failed);
        for (error, status) in [
            (index::Error::Url(String::new()), Status::Usage),
            (index::Error::Lost(String::new()), Status::Unreachable),
            (index::Error::Html, Status::Failed),
        ] {
            assert_eq!(Status::of(&Report::new(error).wrap_err("url")), status);
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("a\nb\x1b[1mc"), "a b [1mc");
    }
}
