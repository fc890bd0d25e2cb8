//! What a run does not cover: targets on record that it was not asked for, and with
//! `--verify`, targets of which nothing is on record.

use eyre::Result;

use super::run::Run;
use super::target::Target;
use crate::codec::target::TargetName;
use crate::codec::wrcmds::Progress;
use crate::status::Status;
use crate::survey::targets::asked_for;

/// Targets that are named in one line; the rest is counted.
const NAMED: usize = 20;

/// Names the targets on record that this run was not asked for. Without operands that
/// is status 3: the call asked for all there are.
///
/// # Errors
/// Bad text of an address.
pub(super) fn say_unasked(run: &mut Run<'_>) -> Result<()> {
    let asked = asked_for(run.record.wrcmd.as_ref(), &run.options.scope, run.config)?;
    let mut unasked: Vec<TargetName> = Vec::new();
    for place in run.record.wrcmds.places() {
        if !asked.contains(&place.target) && !unasked.contains(&place.target) {
            unasked.push(place.target);
        }
    }
    if unasked.is_empty() {
        return Ok(());
    }
    let line = format!(
        "not asked for in this run, on record in wrcmds: {}; \
         list it in targets in the configuration, name it as an operand, \
         or retire it with --forget",
        named(unasked.iter())
    );
    if run.options.scope.targets.is_empty() {
        run.terminal.say(&line);
        run.status = run.status.worst(Status::Partly);
    } else {
        run.terminal.report(&line);
    }
    Ok(())
}

/// With `--verify`: names the targets of which nothing is on record, since nothing of
/// them can be verified.
pub(super) fn say_unrecorded(run: &mut Run<'_>) {
    let is_recorded = |target: &Target| {
        let mut places = run.record.wrcmds.places();
        places.any(|place| place.target == target.name && !is_start(run, &place))
    };
    let dir = run.record.dir().display();
    let reached = |target: &&Target| target.failure.is_none();
    let unrecorded: Vec<&TargetName> = run
        .targets
        .iter()
        .filter(reached)
        .filter(|target| !is_recorded(target))
        .map(|target| &target.name)
        .collect();
    if unrecorded.is_empty() {
        return;
    }
    let line = match run.record.wrcmds.places().next() {
        None => format!(
            "{dir}: nothing is on record there, so nothing is verified; \
             name another state directory (-d), or run --verify again after this run"
        ),
        Some(_) => format!(
            "{dir}: nothing is on record there of {}, so nothing of it is verified",
            named(unrecorded.into_iter())
        ),
    };
    run.terminal.say(&line);
    run.status = run.status.worst(Status::Partly);
}

/// Whether a place is the start of its partition: nothing lies before it.
fn is_start(run: &Run<'_>, place: &Progress) -> bool {
    let part = run.parts.iter().find(|part| part.name == place.partition);
    let first = part.and_then(|part| part.arenas.first());
    first.is_some_and(|arena| arena.head == place.head && place.offset == 0)
}

/// The first names, and how many more there are.
fn named<'a>(dials: impl ExactSizeIterator<Item = &'a TargetName>) -> String {
    let more = dials.len().saturating_sub(NAMED);
    let names: Vec<String> = dials.take(NAMED).map(TargetName::to_string).collect();
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
