//! Why the place of a line is not believed.

use eyre::Result;

use super::{ArenaView, Clumps, PartitionView};
use crate::codec::arena::Name;
use crate::codec::wrcmds::Progress;

/// Why a place is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The arena has another name or magic.
    OtherArena,
    /// Another clump ends at the place, or none.
    OtherClump,
    /// The line does not say what to look for.
    Unknown,
}

impl Doubt {
    /// Why the place of a line is not believed, if it is not.
    pub(super) fn of(
        line: &Progress,
        partition: &PartitionView,
        arena: &ArenaView,
        source: &dyn Clumps,
    ) -> Result<Option<Self>> {
        if line.arena.as_ref().is_some_and(|name| *name != arena.name)
            || line.magic.is_some_and(|magic| magic != arena.magic)
        {
            return Ok(Some(Doubt::OtherArena));
        }
        let found = match line.offset {
            0 => None,
            offset => {
                let found = source.score_before(&partition.name, arena.head, offset)?;
                if found.is_none() {
                    return Ok(Some(Doubt::OtherClump));
                }
                found
            }
        };
        Ok(if line.offset > 0 && line.last.is_none() {
            Some(Doubt::Unknown)
        } else if found != line.last {
            Some(Doubt::OtherClump)
        } else if line.arena.is_none() || line.magic.is_none() {
            Some(Doubt::Unknown)
        } else {
            None
        })
    }

    /// What is said of it.
    pub(super) fn told(self, line: &Progress, arena: &ArenaView) -> String {
        let ArenaView {
            name, head, magic, ..
        } = arena;
        let offset = line.offset;
        match self {
            Self::OtherArena => format!(
                "the source was formatted again or is another venti: the arena at {head} was {} with clump magic {:#010x}, and is {name} with {magic:#010x}",
                line.arena.as_ref().map_or("without name", Name::as_str),
                line.magic.unwrap_or(0),
            ),
            Self::OtherClump => {
                format!("arena {name} at {head} does not hold at {offset:#x} what it held")
            }
            Self::Unknown => {
                format!("the place at {offset:#x} in arena {name} at {head} cannot be checked")
            }
        }
    }
}
