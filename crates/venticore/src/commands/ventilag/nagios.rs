//! The report as a monitoring plugin says it: one line with performance data, and the exit
//! status of the plugin interface, other than in the other commands.

use std::io::Write;

use eyre::{Report as Failure, Result, WrapErr};

use super::age;
use super::report::{LagReport, Level};
use super::targetlag::TargetLag;
use crate::host::terminal::Output;
use crate::status::Status;
use crate::text::{line_of, one_line, printable};

/// What a plugin says, and its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl State {
    fn of(report: &LagReport) -> Self {
        match (report.level(), report.has_gap()) {
            (Level::Critical, _) => Self::Critical,
            (Level::Warn, _) => Self::Warning,
            (Level::Fine, true) => Self::Unknown,
            (Level::Fine, false) => Self::Ok,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The status with the number that the interface has for this state: 0, 1, 2 or 3.
    fn status(self) -> Status {
        match self {
            Self::Ok => Status::Done,
            Self::Warning => Status::Failed,
            Self::Critical => Status::Usage,
            Self::Unknown => Status::Partly,
        }
    }
}

/// Prints the line. `said` is what was said meanwhile: of it the first is told where that is
/// the reason.
///
/// # Errors
/// It cannot be written.
pub(super) fn print(report: &LagReport, said: &[String], output: &mut Output) -> Result<Status> {
    let state = State::of(report);
    let answer = report
        .answer()
        .map(|answer| answer.sentence(report.now).to_string());
    let mut text = format!("restore today: {}", answer.unwrap_or_default());
    for standing in report
        .standings
        .iter()
        .filter(|standing| is_late(standing, report))
    {
        text += &format!("; {}", behind(standing, report));
    }
    if let (true, Some(first)) = (state != State::Ok, said.first()) {
        text += &format!("; {first}");
    }
    line(state, &text, &performance(report), output)?;
    Ok(state.status())
}

/// Prints the line of a call that failed: nothing is known then.
///
/// # Errors
/// It cannot be written.
pub fn failed(failure: &Failure) -> Result<Status> {
    let mut output = Output::stdout();
    line(State::Unknown, &line_of(failure), "", &mut output)?;
    Ok(State::Unknown.status())
}

/// A bar ends the text, so there is none in it.
fn line(state: State, text: &str, performance: &str, output: &mut Output) -> Result<()> {
    let text = one_line(text).replace('|', "/");
    let bar = if performance.is_empty() { "" } else { " | " };
    writeln!(
        output,
        "VENTILAG {} - {text}{bar}{performance}",
        state.word()
    )
    .and_then(|()| output.flush())
    .wrap_err("standard output")
}

fn is_late(standing: &TargetLag, report: &LagReport) -> bool {
    let hours = [report.warn, report.crit].into_iter().flatten().min();
    hours.is_some_and(|hours| standing.is_late(hours, report.now))
}

fn behind(standing: &TargetLag, report: &LagReport) -> String {
    let place = &standing.place;
    let clumps = match standing.clumps {
        Some(clumps) => format!("{clumps} clumps behind"),
        None => "behind, how far is not known".to_owned(),
    };
    let heard = place.acknowledged.map_or_else(
        || "never acknowledged".to_owned(),
        |time| format!("acknowledged {}", age::ago(time, report.now)),
    );
    format!(
        "{} {}: {clumps}, {heard}{}",
        place.target,
        printable(place.partition.as_bytes()),
        standing.faults
    )
}

/// `'label'=value[unit];warn;crit;min` for each value; `U` is one that is not known.
fn performance(report: &LagReport) -> String {
    let limit = |hours: Option<u64>| {
        let seconds = hours.map(|hours| age::hours(hours).as_secs().to_string());
        seconds.unwrap_or_default()
    };
    let limits = format!("{};{}", limit(report.warn), limit(report.crit));
    let or_unknown = |value: Option<u64>, unit: &str| {
        value.map_or_else(|| "U".to_owned(), |value| format!("{value}{unit}"))
    };
    let mut values = Vec::new();
    for target in report.targets.iter().filter(|target| target.is_target) {
        let own = || {
            let own = report.standings.iter();
            own.filter(|standing| standing.place.target == target.dial)
        };
        let sum = |of: fn(&TargetLag) -> Option<u64>| {
            let mut own = own().map(of);
            own.try_fold(0_u64, |sum, one| Some(sum.saturating_add(one?)))
        };
        let lag: Option<Vec<u64>> = own().map(|one| one.lag_seconds(report.now)).collect();
        let lag = lag.map(|lag| lag.into_iter().max().unwrap_or_default());
        let name = &target.dial;
        let age = target
            .acknowledged
            .and_then(|time| age::of(time, report.now));
        let age = or_unknown(age.map(|age| age.as_secs()), "s");
        values.push(format!("'{name} lag'={};{limits};0", or_unknown(lag, "s")));
        values.push(format!("'{name} acknowledged'={age};;;0"));
        let clumps = or_unknown(sum(|one| one.clumps), "");
        values.push(format!("'{name} clumps'={clumps};;;0"));
        let bytes = or_unknown(sum(|one| one.bytes), "B");
        values.push(format!("'{name} bytes'={bytes};;;0"));
    }
    let root = report.answer().and_then(|answer| answer.as_of);
    if let Some(age) = root.and_then(|time| age::of(time, report.now)) {
        values.push(format!("'restored age'={}s;{limits};0", age.as_secs()));
    }
    values.join(" ")
}
