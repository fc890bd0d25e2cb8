//! What could not be sent in an earlier run is tried again.

use std::sync::Arc;

use super::source::Part;
use crate::arena::Arena;
use crate::arena::clump::{ClumpHeader, MAX_BLOCK};
use crate::arena::log::{Directory, Item, Log, What};
use crate::blocktype::BlockType;
use crate::client::{Client, Error};
use crate::score::Score;
use crate::wrcmds::Damage;

/// What has become of damage met in an earlier run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The source is whole there now, and the target has the block.
    Mended,
    /// The target has the block from elsewhere, and gave it back.
    OnTarget,
    /// The arena is another one now.
    Gone,
    /// Nothing has changed.
    Stays,
}

/// Tries again to bring over what was damaged in the source. A stretch may
/// have been several clumps: it has ended as damage when each of them is there.
///
/// # Errors
/// The connection was lost, or the target would not take a block.
pub(super) fn try_again(client: &mut Client, part: &Part, damage: &Damage) -> Result<Fate, Error> {
    let mut arenas = part.arenas.iter();
    let Some(arena) = arenas.find(|a| a.head == damage.head && a.clump_magic == damage.magic)
    else {
        return Ok(Fate::Gone);
    };
    let Ok(mut log) = Log::open(Arc::clone(&part.source), arena, damage.offset, true) else {
        return Ok(Fate::Stays);
    };
    let mut fate = Fate::OnTarget;
    while log.offset() < damage.offset.saturating_add(damage.len) {
        let Some(item) = log.next() else {
            return Ok(Fate::Stays);
        };
        if let Some((block_type, score, block)) = block_of(&mut log, &item) {
            client.write(block_type, &score, &block)?;
            fate = Fate::Mended;
        } else if !is_on_target(client, part, arena, &item)? {
            return Ok(Fate::Stays);
        }
    }
    if fate == Fate::Mended {
        client.sync()?;
    }
    Ok(fate)
}

/// The block of a clump that is whole.
fn block_of(log: &mut Log, item: &Item) -> Option<(BlockType, Score, Vec<u8>)> {
    let What::Clump {
        header, block_type, ..
    } = &item.what
    else {
        return None;
    };
    let block = header.block(log.stored(item).ok()?).ok()?;
    Some((*block_type, header.score, block.into_owned()))
}

/// Whether a target gives back the block of a clump that is damaged in the
/// source; no where that does not tell which block it was.
fn is_on_target(
    client: &mut Client,
    part: &Part,
    arena: &Arena,
    item: &Item,
) -> Result<bool, Error> {
    let block = match &item.what {
        What::Clump {
            header, block_type, ..
        } => Some((header.score, *block_type)),
        What::Lost(loss) => loss
            .score
            .and_then(|score| only_clump(part, arena, score, item.len)),
        What::Corrupt(_) => None,
    };
    let Some((score, block_type)) = block else {
        return Ok(false);
    };
    let max = u32::try_from(MAX_BLOCK).unwrap_or(u32::MAX);
    match client.read(&score, block_type, max) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == crate::client::Kind::Transient => Err(error),
        Err(_) => Ok(false),
    }
}

/// The block of this score, if the directory of an arena has a clump with it
/// that takes up so many bytes: then no other is lost with it.
fn only_clump(part: &Part, arena: &Arena, score: Score, len: u64) -> Option<(Score, BlockType)> {
    let mut directory = Directory::new(Arc::clone(&part.source), arena);
    let mut entries =
        (0..u64::from(arena.live.clumps)).filter_map(|index| directory.entry(index).ok());
    let entry = entries.find(|entry| entry.score == score)?;
    let header = ClumpHeader::from_entry(&entry).ok()?;
    (header.stored_len() == len).then_some((score, header.block_type()?))
}
