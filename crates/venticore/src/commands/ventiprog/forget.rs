//! `--forget`: a target is retired.

use std::io::Write;

use eyre::{Result, WrapErr};

use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;
use crate::codec::wrcmds::Progress;
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::status::{Failure, Status};
use crate::survey::record::StateFiles;

/// Removes the lines of a target. Where it is the host of the wrcmd, another
/// target on record takes its place there first. Where none can, the next run
/// brings it back, and the status is 3.
///
/// # Errors
/// Nothing is known of the target, or the state could not be written.
pub(super) fn forget(
    record: &mut StateFiles,
    target: &TargetName,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let host_of = match record.wrcmd.clone() {
        Some(wrcmd) if is_host(&wrcmd, target, config)? => Some(wrcmd),
        _ => None,
    };
    let retired = match &host_of {
        Some(wrcmd) => retire(record, wrcmd, target, config, terminal)?,
        None => true,
    };
    let wrcmds = &record.wrcmds;
    let places = wrcmds.places().filter(|place| place.target == *target);
    let unreadable = places.map(|place| wrcmds.unreadable(target, &place.partition).count());
    let unreadable: usize = unreadable.sum();
    let places = record.forget(target)?;
    if places == 0 && host_of.is_none() {
        let cause = format!("{target}: has no line in wrcmds; {}", with_lines(record));
        return Err(Failure::report(Status::Failed, cause));
    }
    let lines = if places == 1 { "line" } else { "lines" };
    terminal.report(&format!(
        "{target}: forgotten, {places} {lines} removed from wrcmds"
    ));
    if unreadable > 0 {
        terminal.say(&format!(
            "{target}: could not give back blocks that are on record ({unreadable}): these are forgotten too; if it becomes a target again, all that it has is read back"
        ));
    }
    if let (Some(wrcmd), false) = (host_of, retired) {
        terminal.say(&format!(
            "{target}: is still the host of the wrcmd, since no other target has a place in {}: \
             the next run sends it what it lacks; to retire it, bring another up to date \
             (ventiprog VENTI), then forget this one again",
            wrcmd.file()
        ));
        return Ok(Status::Partly);
    }
    if is_listed(target, config) {
        terminal.say(&format!(
            "{target}: is still listed (targets in the configuration, or $targetventis): \
             the next run sends it what it lacks; take it off the list to retire it"
        ));
    }
    Ok(Status::Done)
}

/// Which targets have lines.
fn with_lines(record: &StateFiles) -> String {
    let mut targets: Vec<String> = Vec::new();
    for place in record.wrcmds.places() {
        let target = place.target.to_string();
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    match targets.as_slice() {
        [] => "no target has one".to_owned(),
        targets => format!("these have: {}", targets.join(", ")),
    }
}

fn is_host(wrcmd: &WrCmd, target: &TargetName, config: &Config) -> Result<bool> {
    let host = wrcmd.host().map(|host| config.target(host)).transpose();
    Ok(host.wrap_err("wrcmd")?.as_ref() == Some(target))
}

fn is_listed(target: &TargetName, config: &Config) -> bool {
    let dials = config.targets.iter().map(|text| config.target(text));
    dials.flatten().any(|dial| dial == *target)
}

/// Puts another target into the wrcmd, at its own place, logs that and prints
/// the old command and the new one. False where no other target can take the place.
fn retire(
    record: &mut StateFiles,
    wrcmd: &WrCmd,
    target: &TargetName,
    config: &Config,
    terminal: &Terminal,
) -> Result<bool> {
    let Some(place) = successor(record, wrcmd, target, config) else {
        return Ok(false);
    };
    let mut new = wrcmd.with_host(&place.target.to_string())?;
    if new.file_offset().unwrap_or(0) != place.head {
        new = new.with_file_offset(place.head);
    }
    let new = new.with_clump_offset(place.offset);
    record.move_wrcmd(&new, terminal)?;
    record.remember_wrcmd(&new)?;
    let mut output = terminal.output();
    writeln!(output, "{}\n{}", wrcmd.line(), new.line()).wrap_err("standard output")?;
    output.flush().wrap_err("standard output")?;
    let to = &place.target;
    terminal.report(&format!(
        "{target}: was the host of the wrcmd, which is now {to}"
    ));
    Ok(true)
}

/// Another target's place in the wrcmd's partition: the place of the first
/// listed target, or of the first on record where none is listed.
fn successor(
    record: &StateFiles,
    wrcmd: &WrCmd,
    target: &TargetName,
    config: &Config,
) -> Option<Progress> {
    let listed = config
        .targets
        .iter()
        .filter_map(|text| config.target(text).ok());
    let listed: Vec<TargetName> = listed.collect();
    let others = record.wrcmds.places();
    let others = others.filter(|p| p.target != *target && p.partition == wrcmd.file());
    others.min_by_key(|place| {
        listed
            .iter()
            .position(|dial| *dial == place.target)
            .unwrap_or(usize::MAX)
    })
}
