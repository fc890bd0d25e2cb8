//! Before a target is sent anything: what is on record of it is checked, and
//! what could not be sent in earlier runs is tried again.

use super::again::{self, Fate};
use super::readback::{self, ReadBack};
use super::record::Record;
use super::source::{Asked, Part};
use super::target::Target;
use crate::blocktype::BlockType;
use crate::client::{Client, Error};
use crate::dial::Dial;
use crate::exit::Status;
use crate::places::{self, Point};
use crate::score::Score;
use crate::terminal::Terminal;
use crate::wrcmds::{Damage, Wrcmds};

/// What a check of one target has shown.
pub(super) struct Checked {
    read_back: ReadBack,
    fates: Vec<(Damage, Fate)>,
}

/// How targets are checked.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    /// What was on record when the run began.
    pub(super) wrcmds: &'a Wrcmds,
    /// Read back everything.
    pub(super) all: bool,
    /// Believe a line that nothing confirms.
    pub(super) trust: bool,
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
    client: &mut Client,
    dial: &Dial,
    part: &Part,
    how: How<'_>,
    on_read: &dyn Fn(u64, u64),
) -> Result<Option<Checked>, Error> {
    let Some(line) = how.wrcmds.get(dial, &part.name) else {
        return Ok(None);
    };
    let asked = Asked(std::slice::from_ref(part));
    // What cannot be believed was said when the places were looked at.
    let to = places::believed(&line, &part.rules, how.trust, &asked).unwrap_or(Point::START);
    let damages: Vec<Damage> = how.wrcmds.damages(dial, &part.name).cloned().collect();
    let read_back = readback::read_back(client, part, to, how.all, &damages, on_read)?;
    let mut fates = Vec::new();
    for damage in damages.into_iter().filter(|damage| !damage.accepted) {
        let fate = again::try_again(client, part, &damage)?;
        fates.push((damage, fate));
    }
    Ok(Some(Checked { read_back, fates }))
}

/// Takes in what a check has shown: it is said, and put on record.
pub(super) fn take_in(
    checked: Checked,
    target: &mut Target,
    part: &Part,
    record: &mut Record,
    terminal: &Terminal,
) -> Verdict {
    let Checked {
        mut read_back,
        fates,
    } = checked;
    let verdict = judge(&mut read_back, target, part, record, terminal);
    target.read_back.right += read_back.right;
    target.read_back.missing += read_back.missing;
    target.read_back.damaged += read_back.damaged;
    for (damage, fate) in fates {
        settle(&damage, &fate, target, part, record, terminal);
    }
    verdict
}

fn judge(
    read_back: &mut ReadBack,
    target: &mut Target,
    part: &Part,
    record: &mut Record,
    terminal: &Terminal,
) -> Verdict {
    let dial = &target.dial;
    for told in &read_back.told {
        terminal.say(&format!("{dial}: {told}"));
    }
    let all = read_back.missing + read_back.damaged;
    let more = all - read_back.told.len() as u64;
    if more > 0 {
        terminal.say(&format!(
            "{dial}: and {more} more that are missing or damaged"
        ));
    }
    if all > 0 {
        target.status = target.status.worst(Status::Unverified);
    }
    if read_back.missing == 0 {
        return Verdict::AsRecorded;
    }
    terminal.say(&format!(
        "{dial}: everything is asked for again from the first arena on, and sent where missing"
    ));
    // Its line says what is not so until all is there again, however this run
    // ends.
    record.set_back(dial, part);
    Verdict::Anew(std::mem::take(&mut read_back.lacks))
}

/// What has become of damage that was met in an earlier run.
fn settle(
    damage: &Damage,
    fate: &Fate,
    target: &mut Target,
    part: &Part,
    record: &mut Record,
    terminal: &Terminal,
) {
    let what = format!(
        "{}: arena {} clump {:#x}",
        target.dial, damage.arena, damage.offset
    );
    match fate {
        Fate::Stays => {
            terminal.say(&format!(
                "{what}: still damaged in the source and not there; \
                 mark it accepted in wrcmds if it is lost for good"
            ));
            target.damaged += 1;
            target.status = target.status.worst(Status::Partly);
            return;
        }
        Fate::Mended => terminal.say(&format!("{what}: mended, sent")),
        Fate::OnTarget => terminal.say(&format!("{what}: found intact there")),
        Fate::Gone => {}
    }
    record
        .wrcmds
        .remove_damage(&target.dial, &part.name, damage);
    record.save_places();
}
