//! The wrcmd: the place it names, and the one that names another place.

use eyre::Result;

use super::{ArenaView, Clumps, Cursor, PartitionView};
use crate::codec::dial::Dial;
use crate::codec::wrcmd::{self, WrCmd};
use crate::status::{Failure, Status};

/// The place a wrcmd names.
///
/// # Errors
/// As [`starts`](super::starts), with what the arena holds.
pub fn wrcmd_place(
    wrcmd: &WrCmd,
    partition: &PartitionView,
    source: &dyn Clumps,
) -> Result<Cursor> {
    let found = find_place(wrcmd, partition, source)?;
    found.ok_or_else(|| refusal(wrcmd, partition))
}

/// The same; `None` where the partition has no such place.
pub(super) fn find_place(
    wrcmd: &WrCmd,
    partition: &PartitionView,
    source: &dyn Clumps,
) -> Result<Option<Cursor>> {
    let head = wrcmd.file_offset().unwrap_or(0);
    let offset = wrcmd.clump_offset();
    let Some((index, _)) = partition.find(head) else {
        return Ok(None);
    };
    let ends = || source.score_before(&partition.name, head, offset);
    let is_place = offset == 0 || ends()?.is_some();
    Ok(is_place.then(|| Cursor::new(index, offset)))
}

/// Why a wrcmd names no place.
pub(super) fn refusal(wrcmd: &WrCmd, partition: &PartitionView) -> eyre::Report {
    let head = wrcmd.file_offset().unwrap_or(0);
    let offset = wrcmd.clump_offset();
    let Some((_, arena)) = partition.find(head) else {
        return no_arena(partition, head);
    };
    let ArenaView {
        name, clumps, used, ..
    } = arena;
    Failure::report(
        Status::Failed,
        format!(
            "{}: arena {name} at {head}: expected the end of a clump at the wrcmd's offset {offset:#x}, found none: \
             its log holds {clumps} clumps and ends at {used:#x}; \
             an offset of 0x0 probes the arena from its start",
            partition.name
        ),
    )
}

fn no_arena(partition: &PartitionView, head: u64) -> eyre::Report {
    let shown = |arena: &ArenaView| format!("{} is at {}", arena.name, arena.head);
    let before = partition.arenas.iter().rev().find(|a| a.head < head);
    let after = partition.arenas.iter().find(|a| a.head > head);
    let around: Vec<String> = before.into_iter().chain(after).map(shown).collect();
    let around = match around.as_slice() {
        [] => "it has no arenas".to_owned(),
        around => around.join(", "),
    };
    let name = &partition.name;
    let message =
        format!("{name}: expected an arena at the wrcmd's -o {head}, found none: {around}");
    Failure::report(Status::Failed, message)
}

/// The wrcmd after a run that brought every target to the end.
///
/// `reached` has, for each of the partitions, where each target is. The place that all
/// have reached in the wrcmd's partition becomes the wrcmd's place; at the end of a used
/// up arena it becomes the next arena that has clumps, in the next partition where the
/// arena was the last. While there is none it stays. Only the words that change are replaced.
///
/// # Errors
/// The name of the next partition cannot be written as one word.
pub fn final_wrcmd(
    old: &WrCmd,
    partitions: &[PartitionView],
    reached: &[Vec<Cursor>],
) -> Result<WrCmd, wrcmd::WrcmdError> {
    let all = partitions.iter().zip(reached);
    let mut all = all.skip_while(|(partition, _)| partition.name != old.file());
    let mut new = old.clone();
    for (partition, points) in all.by_ref() {
        let Some(&least) = points.iter().min() else {
            break;
        };
        let at = partition.next_place(least);
        let Some(arena) = partition.arenas.get(at.arena) else {
            break;
        };
        let goes_on = new.file() == partition.name;
        if !goes_on && !partition.arenas.iter().any(ArenaView::may_have_clumps) {
            break;
        }
        new = moved(&new, partition, arena, at.offset)?;
        if at.arena + 1 < partition.arenas.len() || !arena.is_used_up(at.offset) {
            break;
        }
    }
    Ok(new)
}

fn moved(
    old: &WrCmd,
    partition: &PartitionView,
    arena: &ArenaView,
    offset: u64,
) -> Result<WrCmd, wrcmd::WrcmdError> {
    let mut new = old.clone();
    if new.file() != partition.name {
        new = new.with_file(&partition.name)?;
    }
    if new.file_offset().unwrap_or(0) != arena.head {
        new = new.with_file_offset(arena.head);
    }
    Ok(new.with_clump_offset(offset))
}

/// The first wrcmd: the first of the targets, the first arena, its start.
///
/// # Errors
/// The partition has no arenas, or a name that cannot be written as one word.
pub fn build_wrcmd(target: &Dial, partition: &PartitionView) -> Result<WrCmd> {
    let first = partition.arenas.first().ok_or_else(|| {
        let message = format!("{}: expected arenas, found none", partition.name);
        Failure::report(Status::Failed, message)
    })?;
    let host = target.to_string();
    Ok(WrCmd::new(&host, first.head, &partition.name, 0)?)
}
