//! The targets of a run: who they are, and what becomes of each.

use std::fmt;
use std::path::Path;

use eyre::{Report, Result};

use super::readback::ReadBack;
use crate::codec::dial::Dial;
use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::copy::cursor::Cursor;
use crate::copy::replicate;
use crate::status::{Failure, Status};
use crate::survey::Scope;
use crate::survey::targets::asked_for;

/// The host of the wrcmd, then those asked for; each once, and at least one.
pub(super) fn some_asked_for(
    wrcmd: Option<&WrCmd>,
    scope: &Scope,
    config: &Config,
) -> Result<Vec<TargetName>> {
    let dials = asked_for(wrcmd, scope, config)?;
    if dials.is_empty() {
        let cause = "no target: the wrcmd has no -h, and no venti was named; see ventiprog --help";
        return Err(Failure::report(Status::Usage, cause));
    }
    Ok(dials)
}

/// No target is named, and the wrcmd that could name one is missing.
pub(super) fn none_named(dir: &Path) -> Report {
    let cause = format!(
        "no target: name the ventis to bring up to date (there is no wrcmd in {}); see ventiprog --help",
        dir.display()
    );
    Failure::report(Status::Usage, cause)
}

/// One target, and what has become of it so far.
pub(super) struct Target {
    pub(super) name: TargetName,
    pub(super) status: Status,
    /// Why it is out of the run.
    pub(super) failure: Option<String>,
    /// Clumps that are not on disk yet wait for the next run.
    pub(super) waits: bool,
    pub(super) tally: replicate::Tally,
    pub(super) damaged: u64,
    /// Clumps that are damaged in the source, and that it gave back in this run.
    pub(super) damaged_there: u64,
    pub(super) read_back: ReadBack,
    /// Where it is, in each partition that has been dealt with.
    pub(super) reached: Vec<Cursor>,
    pub(super) from: Option<String>,
    pub(super) seconds: f64,
    /// A page in `[target_index]` may be its own.
    pub(super) has_page: bool,
    /// Where nothing was on record of it before this run: what it would mean if
    /// it had everything.
    pub(super) new: Option<Copied>,
    /// What was on record of it, damage too, was forgotten (`--forget`).
    pub(super) was_forgotten: bool,
}

/// What it can mean that a new target has every block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// It is another server than the source, was on record, and was forgotten.
    Forgotten,
    /// It is another server than the source.
    Elsewhere,
    /// Its address is another than this one of the source.
    Perhaps(Dial),
    /// The source is not known.
    Unknown,
}

impl Copied {
    /// Whether nothing needs to be looked into.
    pub(super) fn is_expected(&self) -> bool {
        matches!(self, Self::Forgotten | Self::Elsewhere)
    }
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("had every block already")?;
        match self {
            Self::Forgotten => f.write_str(": it was on record before it was forgotten"),
            Self::Elsewhere => {
                f.write_str(": it was copied before, and its place was not on record")
            }
            Self::Perhaps(source) => write!(
                f,
                ", the newest too: it was copied before and its place was lost, \
                 or its address leads to the source {source} (a tunnel)"
            ),
            Self::Unknown => f.write_str(
                ", the newest too: it is a copy made before, \
                 or shares its disk with the source, or is the source itself",
            ),
        }
    }
}

impl Target {
    pub(super) fn new(name: TargetName, new: Option<Copied>) -> Self {
        Target {
            name,
            new,
            status: Status::Done,
            failure: None,
            waits: false,
            has_page: true,
            tally: replicate::Tally::default(),
            damaged: 0,
            damaged_there: 0,
            read_back: ReadBack::default(),
            reached: Vec::new(),
            from: None,
            seconds: 0.0,
            was_forgotten: false,
        }
    }

    /// If it is new and had every block, the newest too: what that means.
    pub(super) fn had_everything(&self) -> Option<&Copied> {
        let replicate::Tally { sent, present, .. } = self.tally;
        let had = self.failure.is_none() && sent == 0 && present > 0;
        self.new.as_ref().filter(|_| had)
    }

    /// Whether it is believed to have blocks that it has not been sent in this run: its
    /// index says so, which knows nothing of what became of its disk. An external engine
    /// does not tell how many there were.
    pub(super) fn is_believed(&self, is_native: bool) -> bool {
        match is_native {
            true => self.tally.present > 0,
            false => self.new.is_some() || self.is_suspect(),
        }
    }

    /// Whether what it is believed to have is to be read back whole: other blocks of it
    /// were missing or damaged in this run, or what was on record of its damage was
    /// forgotten.
    pub(super) fn is_suspect(&self) -> bool {
        self.read_back.missing + self.read_back.damaged + self.read_back.cured > 0
            || self.was_forgotten
    }

    /// Whether it lacked what it had acknowledged, and has been sent it again.
    pub(super) fn was_refilled(&self) -> bool {
        self.read_back.missing > 0 && self.failure.is_none() && self.tally.sent > 0
    }

    /// Whether nothing else was wrong with it that the next run would meet again.
    pub(super) fn is_whole_now(&self) -> bool {
        let damaged = self.damaged + self.read_back.damaged;
        let refilled = self.status == Status::Done || self.was_refilled();
        refilled && damaged == 0 && !self.read_back.more_unreadable() && !self.waits
    }

    pub(super) fn fail(&mut self, status: Status, why: String) {
        self.status = self.status.worst(status);
        self.failure = Some(why);
    }
}
