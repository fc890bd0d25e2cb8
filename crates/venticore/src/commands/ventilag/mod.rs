//! The command ventilag: could I restore today, from where, and how old would it be; and how
//! far behind each target is. It reads the state files and the source, asks no target, and
//! writes no state file.

mod age;
mod answer;
mod json;
mod look;
mod metrics;
mod nagios;
mod page;
mod report;
mod roots;
mod targetlag;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eyre::{Result, WrapErr};

use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::host::publish::publish;
use crate::host::terminal::{Output, Terminal};
use crate::net;
use crate::ninefat::{self, Home, ImageVisit};
use crate::state::StateDir;
use crate::status::{Failure, Status};
use crate::survey::record::StateFiles;
use crate::survey::targets::asked_for;
use crate::survey::{self, Scope};
use crate::text;
pub use nagios::failed;
use report::{LagReport, RootsOnRecord};

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-j`: JSON, an object a line.
    pub json: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `--9fat`: a 9fat that nobody mounts.
    pub nine_fat: Option<OsString>,
    /// `-p`, `-i`, `--offline`, and the targets, besides those on record.
    pub scope: Scope,
    /// `--warn`: hours after which a target that is behind is late.
    pub warn: Option<u64>,
    /// `--crit`: hours after which it is far too late.
    pub crit: Option<u64>,
    /// `--nagios`: a line for a monitoring system, and its exit status.
    pub nagios: bool,
    /// `--metrics`: the file for node_exporter; `-` is standard output.
    pub metrics: Option<PathBuf>,
    /// `--page`: the file for people; `-` is standard output.
    pub page: Option<PathBuf>,
}

impl Options {
    /// Why these options do not go together, if they do not.
    #[must_use]
    pub fn refused(&self) -> Option<&'static str> {
        let has_limit = self.warn.is_some() || self.crit.is_some();
        let is_reversed = self
            .warn
            .zip(self.crit)
            .is_some_and(|(warn, crit)| warn > crit);
        let to_output = [&self.metrics, &self.page].into_iter().flatten();
        let to_output = to_output.filter(|path| is_output(path)).count();
        let printed = usize::from(self.json) + usize::from(self.nagios) + to_output;
        match () {
            () if self.nagios && !has_limit => Some("--nagios needs --warn or --crit"),
            () if is_reversed => Some("--warn must be a shorter time than --crit"),
            () if printed > 1 => Some("only one of -j, --nagios and - goes to standard output"),
            () => None,
        }
    }

    /// Whether standard output is taken by a file.
    fn is_output_taken(&self) -> bool {
        [&self.metrics, &self.page]
            .into_iter()
            .flatten()
            .any(|path| is_output(path))
    }
}

fn is_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Runs the command; `tool` is its name.
///
/// # Errors
/// There is no state directory, what is in it cannot be read, the index page is of another
/// venti, or a file cannot be written.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    if let Some(url) = &options.scope.index {
        net::page::venti_of(url).wrap_err("-i")?;
    }
    let given = options.dir.as_deref();
    let state = Home::existing(config, given)?;
    let state = state.ok_or_else(|| survey::no_state(&config.state_dir(given)))?;
    let visit = config.nine_fat(options.nine_fat.as_deref())?;
    let visit = visit.map(|of| ninefat::arrive(&state, &of, false, terminal));
    let visit = visit.transpose()?;
    let source = config
        .source
        .as_deref()
        .and_then(|at| config.target(at).ok());
    let mut roots = RootsOnRecord::new(state.read_roots()?, state.read_verified()?, source);
    roots.is_newest_spoilt = state.is_newest_root_spoilt()?;
    let mut record = StateFiles::read(tool, state)?;
    if let Some(newer) = visit.as_ref().and_then(ImageVisit::newer_wrcmd) {
        record.wrcmd = Some(WrCmd::parse(newer)?);
    }
    let status = show(&record, &roots, options, config, terminal);
    ninefat::leave(visit, status, terminal)
}

/// Looks, and says what was seen in each form that was asked for.
fn show(
    record: &StateFiles,
    roots: &RootsOnRecord,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let kept = options.nagios.then(|| Terminal::keeping("ventilag"));
    let said_to = kept.as_ref().map_or(terminal, |(silent, _)| silent);
    let asked = asked_for(record.wrcmd.as_ref(), &options.scope, config)?;
    let look = look::look(record, asked, options, config, said_to)?;
    let report = LagReport::new(look, record, roots, options, SystemTime::now());
    for remark in report
        .standings
        .iter()
        .flat_map(|standing| &standing.remarks)
    {
        terminal.detail(|| remark.clone());
    }
    report.say_future(roots, said_to);
    if roots.is_newest_spoilt {
        said_to.say(StateDir::SPOILT_ROOT);
    }
    if let Some(path) = &options.metrics {
        write("--metrics", path, &metrics::text(&report))?;
    }
    if let Some(path) = &options.page {
        write("--page", path, &page::text(&report))?;
    }
    let status = report.status();
    let mut output = Output::stdout();
    if let Some((_, kept)) = kept {
        return nagios::print(&report, &kept.said(), &mut output);
    }
    if options.is_output_taken() || terminal.is_quiet() && status == Status::Done {
        return Ok(status);
    }
    match options.json {
        true => json::print(&report, &mut output)?,
        false => words::print(&report, &mut output)?,
    }
    Ok(status)
}

/// Writes a file that others read, or to standard output.
fn write(option: &'static str, path: &Path, content: &str) -> Result<()> {
    if is_output(path) {
        use std::io::Write;
        let mut output = Output::stdout();
        let written = output.write_all(content.as_bytes());
        return written
            .and_then(|()| output.flush())
            .wrap_err("standard output");
    }
    publish(path, content.as_bytes()).map_err(|error| {
        let cause = text::in_lower_case(&error);
        eyre::eyre!("{option} {}: cannot be written: {cause}", text::path(path))
    })
}

/// An age such as `48`, `48h` or `2d`, in hours.
///
/// # Errors
/// The text is none.
pub fn hours(text: &str) -> Result<u64> {
    let wrong = || {
        let cause = format!("expected hours or days such as 48, 48h or 2d, found {text:?}");
        Failure::report(Status::Usage, cause)
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let each = match text.get(digits.len()..).unwrap_or_default() {
        "" | "h" => 1,
        "d" => 24,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(each).ok_or_else(wrong)
}
