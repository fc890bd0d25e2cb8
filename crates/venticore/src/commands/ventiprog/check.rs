//! Before a target is sent anything: what is on record of it is checked, and
//! what could not be sent in earlier runs is tried again.

use super::again::{self, Retried};
use super::cure;
use super::readback::{self, ReadBack};
use crate::survey::part::{Part, PartsSource};
use crate::survey::record::StateFiles;

use super::target::Target;
use crate::codec::blocktype::BlockType;
use crate::codec::dial::Dial;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::wrcmds::{DamagedStretch, Progress, Unreadable, Wrcmds};
use crate::copy::cursor::{self, Cursor};
use crate::copy::replicate::Recipient;
use crate::host::terminal::Terminal;
use crate::net::client::{Client, ClientError, Dialer};
use crate::replica::{self, ObjectStore};
use crate::status::Status;

/// What a check of one target has shown.
pub(super) struct CheckResult {
    read_back: ReadBack,
    retried: Retried,
    /// All was to be read back, and the source no longer holds some of what is on record.
    is_part: bool,
    /// All was to be read back.
    all: bool,
}

/// How targets are checked.
#[derive(Clone, Copy)]
pub(super) struct CheckPolicy<'a> {
    /// What was on record when the run began.
    pub(super) wrcmds: &'a Wrcmds,
    /// Read back everything.
    pub(super) all: bool,
    /// Believe a line that nothing confirms.
    pub(super) trust: bool,
    /// How long a target may take.
    pub(super) dialer: &'a Dialer,
}

/// What a check means for where a target starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What is on record holds, as far as it was looked at.
    AsRecorded,
    /// It lacks what it had acknowledged, these blocks for some: from the
    /// first arena on.
    Anew(Vec<(Score, BlockType)>),
}

/// Reads back what is recorded of a target, as far as the source holds it
/// still, and tries again what was damaged; nothing where nothing is recorded.
/// `on_read` is called as for [`readback::read_back`].
///
/// # Errors
/// The connection was lost, or the target would not take a block.
pub(super) fn check(
    recipient: &mut Recipient,
    target: &TargetName,
    part: &Part,
    how: CheckPolicy<'_>,
    on_read: &dyn Fn(u64, u64),
) -> Result<Option<CheckResult>, ClientError> {
    match (recipient, target) {
        (Recipient::Venti(client), TargetName::Venti(dial)) => {
            check_venti(client, dial, part, how, on_read)
        }
        (Recipient::Replica(writer), _) => {
            check_replica(writer.store().as_ref(), target, part, how, on_read)
        }
        _ => Ok(None),
    }
}

/// The same of a replica. What is damaged in the source was copied as it is, and stays.
fn check_replica(
    store: &dyn ObjectStore,
    target: &TargetName,
    part: &Part,
    how: CheckPolicy<'_>,
    on_read: &dyn Fn(u64, u64),
) -> Result<Option<CheckResult>, ClientError> {
    let Some(line) = how.wrcmds.get(target, &part.name) else {
        return Ok(None);
    };
    let asked = PartsSource(std::slice::from_ref(part));
    let to = cursor::believed(&line, &part.rules, how.trust, &asked).unwrap_or(Cursor::START);
    let proven = replica::Proven {
        source: part.source.as_ref(),
        arenas: &part.arenas,
        to: (to.arena, to.offset),
    };
    // What was damaged is looked for until nothing is: only a look at all of it tells.
    let was_damaged = how.wrcmds.unreadable(target, &part.name).next().is_some();
    let proof = replica::prove(store, &proven, how.all || was_damaged, on_read)?;
    let damages = how.wrcmds.damages(target, &part.name);
    let is_part = how.all && to < recorded(&line, part);
    Ok(Some(CheckResult {
        read_back: ReadBack::of_replica(proof),
        retried: Retried::none(damages.cloned().collect()),
        is_part,
        all: how.all,
    }))
}

/// The same of a venti.
///
/// # Errors
/// As [`check`].
pub(super) fn check_venti(
    client: &mut Client,
    dial: &Dial,
    part: &Part,
    how: CheckPolicy<'_>,
    on_read: &dyn Fn(u64, u64),
) -> Result<Option<CheckResult>, ClientError> {
    let target = &TargetName::from(dial.clone());
    let Some(line) = how.wrcmds.get(target, &part.name) else {
        return Ok(None);
    };
    let asked = PartsSource(std::slice::from_ref(part));
    // What cannot be believed was said when the places were looked at.
    let to = cursor::believed(&line, &part.rules, how.trust, &asked).unwrap_or(Cursor::START);
    let damages: Vec<DamagedStretch> = how.wrcmds.damages(target, &part.name).cloned().collect();
    let unreadable: Vec<Unreadable> = how.wrcmds.unreadable(target, &part.name).cloned().collect();
    let known = readback::KnownLosses {
        damages: &damages,
        unreadable: &unreadable,
    };
    let mut read_back = readback::read_back(client, part, to, how.all, &known, on_read)?;
    cure::cure(dial, how.dialer, part, &mut read_back);
    let spared = how.wrcmds.spared(target, &part.name).cloned().collect();
    let retried = again::try_again(client, part, damages, spared, how.all)?;
    read_back.lacks_too(&retried.missing);
    let is_part = how.all && to < recorded(&line, part);
    Ok(Some(CheckResult {
        read_back,
        retried,
        is_part,
        all: how.all,
    }))
}

/// The point of a line in a partition; the end where the arena is not there any more.
fn recorded(line: &Progress, part: &Part) -> Cursor {
    let arenas = part.arenas.iter();
    let arena = arenas
        .enumerate()
        .find(|(_, arena)| arena.head == line.head);
    arena.map_or_else(
        || part.rules.end(),
        |(number, _)| Cursor::new(number, line.offset),
    )
}

/// Takes in what a check has shown: it is said, and put on record.
pub(super) fn take_in(
    checked: CheckResult,
    target: &mut Target,
    part: &Part,
    record: &mut StateFiles,
    terminal: &Terminal,
) -> Verdict {
    let CheckResult {
        mut read_back,
        retried,
        is_part,
        all,
    } = checked;
    if is_part {
        terminal.say(&format!(
            "{}: only a part of what is on record in {} was read back, since the source has \
             changed before its place; the rest is asked for: run --verify again",
            target.name, part.name
        ));
        target.status = target.status.worst(Status::Partly);
    }
    let verdict = judge(&mut read_back, target, part, record, terminal);
    if verdict != Verdict::AsRecorded {
        terminal.say(&format!(
            "{}: everything is asked for again from the first arena on, and sent where missing",
            target.name
        ));
    }
    target.read_back.right += read_back.right;
    target.read_back.missing += read_back.missing;
    target.read_back.damaged += read_back.damaged;
    target.read_back.cured += read_back.cured;
    record.unreadable(&target.name, part, &read_back.unreadable);
    say_retried(&retried, all, target, part, terminal);
    // Otherwise the copy passes over the same damage, and counts it.
    if verdict == Verdict::AsRecorded {
        target.damaged += retried.stay;
        target.damaged_there += retried.there;
    }
    record.still_damaged(&target.name, part, &retried.left, &retried.spared);
    verdict
}

/// Says what came of damage on record that was tried again.
fn say_retried(
    retried: &Retried,
    all: bool,
    target: &mut Target,
    part: &Part,
    terminal: &Terminal,
) {
    let dial = &target.name;
    for told in &retried.told {
        terminal.say(&format!("{dial}: {told}"));
    }
    if retried.untold > 0 {
        terminal.say(&format!(
            "{dial}: and {} more stretches of damage; {} clumps are still damaged in the source and missing on the target",
            retried.untold, retried.stay
        ));
    }
    let mut status = Status::Done;
    if all && retried.there > 0 {
        terminal.say(&format!(
            "{dial}: damaged in the source and whole on the target: {} of the clumps of {}",
            retried.there, part.name
        ));
        status = Status::Partly;
    }
    if retried.stay > 0 {
        status = Status::Partly;
    }
    if retried.gone > 0 {
        status = status.worst(Status::Unverified);
    }
    target.status = target.status.worst(status);
}

/// Takes in what was read back after everything was sent: what is missing is
/// said, and left to the next run.
pub(super) fn take_in_last(
    mut read_back: ReadBack,
    target: &mut Target,
    part: &Part,
    record: &mut StateFiles,
    terminal: &Terminal,
) {
    let verdict = judge(&mut read_back, target, part, record, terminal);
    if verdict != Verdict::AsRecorded {
        terminal.say(&format!(
            "{}: the next run asks for everything again from the first arena on",
            target.name
        ));
    }
    target.read_back.missing += read_back.missing;
    target.read_back.damaged += read_back.damaged;
    target.read_back.cured += read_back.cured;
    record.unreadable(&target.name, part, &read_back.unreadable);
}

/// Says what was found, and puts a target back that lacks something.
fn judge(
    read_back: &mut ReadBack,
    target: &mut Target,
    part: &Part,
    record: &mut StateFiles,
    terminal: &Terminal,
) -> Verdict {
    let dial = &target.name;
    for told in &read_back.told {
        terminal.say(&format!("{dial}: {told}"));
    }
    let all = read_back.missing + read_back.damaged + read_back.cured;
    let more = all - read_back.told.len() as u64;
    if more > 0 {
        terminal.say(&format!(
            "{dial}: and {more} more that are missing or damaged"
        ));
    }
    if read_back.unnamed > 0 {
        terminal.say(&format!(
            "{dial}: {} clumps of {} that were sent were not read back: the directory and the log that named them are damaged",
            read_back.unnamed, part.name
        ));
        target.status = target.status.worst(Status::Partly);
    }
    // All of a replica is read back while anything in it is damaged.
    if read_back.more_unreadable() && dial.dial().is_some() {
        terminal.say(&format!(
            "{dial}: has more damaged blocks than wrcmds lists; --verify reads back all"
        ));
    }
    if all > 0 || read_back.more_unreadable() {
        target.status = target.status.worst(Status::Unverified);
    }
    if read_back.missing == 0 {
        return Verdict::AsRecorded;
    }
    // Its line says what is not so until all is there again, however this run
    // ends.
    record.set_back(dial, part);
    Verdict::Anew(std::mem::take(&mut read_back.lacks))
}
