//! What the wrcmd says of a partition, and whether we wrote it ourselves.

use eyre::Result;

use super::command::{find_place, refusal};
use super::{Clumps, Cursor, Known, PartitionView};
use crate::codec::wrcmd::WrCmd;

/// What the wrcmd says of the partition it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    /// The place it names.
    pub(super) at: Cursor,
    /// It is where a run last obeyed or wrote it: nobody has edited it.
    pub(super) is_ours: bool,
}

/// What becomes of a wrcmd.
pub(super) enum HintOutcome {
    /// There is none, or it names another partition.
    Nothing,
    /// It names a place.
    Hint(Hint),
    /// It is ours, and the source no longer holds what it held there: why.
    Outdated(String),
}

impl HintOutcome {
    /// What the wrcmd says of a partition.
    ///
    /// # Errors
    /// The source could not be read, or the wrcmd names no place and is not
    /// one that we wrote.
    pub(super) fn of(
        known: &Known,
        partition: &PartitionView,
        source: &dyn Clumps,
    ) -> Result<Self> {
        let Some(wrcmd) = known.wrcmd.filter(|w| w.file() == partition.name) else {
            return Ok(Self::Nothing);
        };
        let seen = known.wrcmds.seen();
        let is_ours = seen.is_some_and(|seen| place_of(seen) == place_of(wrcmd));
        match find_place(wrcmd, partition, source)? {
            Some(at) => Ok(Self::Hint(Hint { at, is_ours })),
            None if is_ours || is_in_wrcmds(known, wrcmd) => {
                Ok(Self::Outdated(outdated(wrcmd, partition)))
            }
            None => Err(refusal(wrcmd, partition)),
        }
    }

    pub(super) fn hint(&self) -> Option<&Hint> {
        match self {
            Self::Hint(hint) => Some(hint),
            Self::Nothing | Self::Outdated(_) => None,
        }
    }
}

/// Partition, arena and offset, whatever the spelling.
fn place_of(wrcmd: &WrCmd) -> (&str, u64, u64) {
    let head = wrcmd.file_offset().unwrap_or(0);
    (wrcmd.file(), head, wrcmd.clump_offset())
}

/// Whether some target has acknowledged just what the wrcmd says.
fn is_in_wrcmds(known: &Known, wrcmd: &WrCmd) -> bool {
    known
        .wrcmds
        .places()
        .any(|line| (line.partition.as_str(), line.head, line.offset) == place_of(wrcmd))
}

fn outdated(wrcmd: &WrCmd, partition: &PartitionView) -> String {
    let (_, head, offset) = place_of(wrcmd);
    match partition.find(head) {
        Some((_, arena)) => format!(
            "arena {} at {head} does not hold at {offset:#x} what it held when the wrcmd was written: \
             the places in wrcmds count",
            arena.name
        ),
        None => format!(
            "the arena at {head} is gone since the wrcmd was written: the places in wrcmds count"
        ),
    }
}
