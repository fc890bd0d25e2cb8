//! The command ventilag: how far behind each target is, and since when. It reads the
//! state files and the source, asks no target, and writes no state file.

mod list;

use std::ffi::OsString;
use std::path::PathBuf;

use eyre::{Result, WrapErr};

use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::net;
use crate::ninefat::{self, Home, ImageVisit};
use crate::status::{Failure, Status};
use crate::survey::record::StateFiles;
use crate::survey::targets::asked_for;
use crate::survey::{self, Scope};

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-j`: one JSON object for each target and partition.
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
}

impl Options {
    /// The hours after which the status says that a target is late.
    fn older(&self) -> Option<u64> {
        self.warn.into_iter().chain(self.crit).min()
    }
}

/// Runs the command; `tool` is its name.
///
/// # Errors
/// There is no state directory, what is in it cannot be read, or the index page is of
/// another venti.
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
    let mut record = StateFiles::read(tool, state)?;
    if let Some(newer) = visit.as_ref().and_then(ImageVisit::newer_wrcmd) {
        record.wrcmd = Some(WrCmd::parse(newer)?);
    }
    let asked = asked_for(record.wrcmd.as_ref(), &options.scope, config)?;
    let older = options.older();
    let listed = list::list(&record, asked, older, options, config, terminal);
    ninefat::leave(visit, listed, terminal)
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
