//! The command ventiprog: brings ventis up to date with the arenas of another.
//!
//! What each target has acknowledged stands in `wrcmds`, and moves at every
//! checkpoint. The `wrcmd` is shared with the rc script of the same name: it
//! moves at the end of a run in which every target came to the end. Where a
//! run starts follows from both ([`crate::copy::cursor`]).

mod again;
mod check;
mod checklist;
mod copy;
mod cure;
mod engine;
mod external;
mod forget;
mod held;
mod options;
mod origin;
mod preflight;
mod progress;
mod readback;
mod replication;
mod run;
mod servers;
mod target;
mod tell;
mod uncovered;
mod unsynced;

use eyre::{Result, WrapErr};

use crate::codec::wrcmd::{self, WrCmd};
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::net;
use crate::ninefat::{self, Home, ImageVisit};
use crate::state::StateDir;
use crate::status::{Failure, Status};
use crate::survey;
use crate::survey::record::StateFiles;
pub use checklist::check_all;
pub use options::{Options, Task};
use run::Run;

/// Runs the command; `tool` is its name in the log.
///
/// # Errors
/// Nothing could be sent, or the state could not be written. What happened to
/// single targets is in the status.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let given = options.dir.as_deref();
    if let Some(url) = &options.scope.index {
        net::page::venti_of(url).wrap_err("-i")?;
    }
    if options.reads_only() {
        let dir = config.state_dir(given);
        let state = match Home::existing(config, given)? {
            Some(state) => state,
            // -n shows what the first run would do.
            None => StateDir::none(&dir),
        };
        return run_in(state, tool, options, config, terminal);
    }
    match options.task {
        Task::Forget(_) => refuse_without_state(options, config)?,
        _ => refuse_without_target(options, config)?,
    }
    let home = Home::open(config, given, terminal)?;
    let outcome = run_in(home.state().clone(), tool, options, config, terminal);
    home.close(outcome, terminal)
}

/// Where the state directory does not exist, nothing can be removed from it, and none is made.
fn refuse_without_state(options: &Options, config: &Config) -> Result<()> {
    let given = options.dir.as_deref();
    let dir = config.state_dir(given);
    if config.mount_at(&dir).is_none() && Home::existing(config, given)?.is_none() {
        return Err(survey::no_state(&dir));
    }
    Ok(())
}

/// A call that names no target anywhere does not make a state directory, nor a
/// lock in it.
fn refuse_without_target(options: &Options, config: &Config) -> Result<()> {
    let dir = config.state_dir(options.dir.as_deref());
    let named = !options.scope.targets.is_empty() || !config.targets.is_empty();
    if named || StateDir::none(&dir).read_wrcmd()?.is_some() {
        return Ok(());
    }
    let has_9fat = config.nine_fat(options.nine_fat.as_deref())?.is_some();
    match has_9fat || config.mount_at(&dir).is_some() {
        true => Ok(()),
        false => Err(target::none_named(&dir)),
    }
}

/// Runs the command in this state directory, whatever options and
/// configuration say of one.
///
/// # Errors
/// As [`run`].
pub fn run_in(
    state: StateDir,
    tool: &str,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let lock = (!options.reads_only()).then(|| state.lock()).transpose();
    let _lock = lock.wrap_err_with(|| state.path().display().to_string())?;
    let visit = config.nine_fat(options.nine_fat.as_deref())?;
    let visit = visit.map(|of| ninefat::arrive(&state, &of, !options.reads_only(), terminal));
    let visit = visit.transpose()?;
    let mut record = StateFiles::read(tool, state)?;
    if let Some(newer) = visit.as_ref().and_then(ImageVisit::newer_wrcmd) {
        record.wrcmd = Some(WrCmd::parse(newer)?);
    }
    let outcome = perform(record, options, config, terminal);
    ninefat::leave(visit, outcome, terminal)
}

/// Does what the run is for.
fn perform(
    mut record: StateFiles,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    match &options.task {
        Task::Forget(target) => {
            let dial = config
                .target(target)
                .wrap_err_with(|| format!("target {target:?}"))?;
            forget::forget(&mut record, &dial, config, terminal)
        }
        Task::Replicate => Run::prepare(options, config, terminal, record)?.replicate(),
    }
}

/// A rate such as `2M`: bytes a second, with k, m or g for powers of 1024.
///
/// # Errors
/// The text is not such a number.
pub fn rate(text: &str) -> Result<u64> {
    let wrong = || {
        let cause = format!("expected bytes a second such as 500k or 2M, found {text:?}");
        Failure::report(Status::Usage, cause)
    };
    let rate = wrcmd::scaled(text).ok().filter(|&rate| rate > 0);
    rate.ok_or_else(wrong)
}
