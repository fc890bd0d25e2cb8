//! Before sending: what earlier runs recorded is read back from a target, and
//! what could not be sent then is tried again.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::source::Part;
use crate::arena::clump::{ClumpHeader, MAX_BLOCK};
use crate::arena::log::{Directory, Log, What};
use crate::blocktype::BlockType;
use crate::client::{Client, Error};
use crate::places::Point;
use crate::score::Score;
use crate::wrcmds::Damage;

/// Clumps below a place that are read back, besides the last one and roots.
const SAMPLE: u64 = 256;

/// Names of missing and damaged blocks that are kept to be told.
const TOLD: usize = 20;

/// What reading back has shown.
#[derive(Debug, Default)]
pub(super) struct ReadBack {
    /// Blocks read back and found right.
    pub(super) right: u64,
    /// Blocks the target does not have.
    pub(super) missing: u64,
    /// Blocks it has and cannot give back.
    pub(super) damaged: u64,
    /// The first of both: what and why.
    pub(super) told: Vec<String>,
}

impl ReadBack {
    fn note(&mut self, score: Score, block_type: BlockType, found: Result<&[u8], Error>) {
        let Err(error) = found else {
            self.right += 1;
            return;
        };
        let what = if error.is_absent() {
            self.missing += 1;
            format!("{block_type} block {score} is missing, it was acknowledged before")
        } else {
            self.damaged += 1;
            format!(
                "{block_type} block {score} is damaged there ({error}); only that server can cure it"
            )
        };
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }
}

/// Reads back what lies before a place: all of it, or its last block, the
/// roots of its arena and a random sample.
///
/// # Errors
/// The connection was lost.
pub(super) fn read_back(
    client: &mut Client,
    part: &Part,
    to: Point,
    all: bool,
    known_damage: &[Damage],
) -> Result<ReadBack, Error> {
    let lost: HashSet<Score> = known_damage
        .iter()
        .filter_map(|damage| damage.score)
        .collect();
    let counts = clumps_before(part, to);
    let last = part
        .arenas
        .get(to.arena)
        .and_then(|arena| part.before(arena, to.offset))
        .and_then(|header| Some((header.score, header.block_type()?)));
    let mut result = ReadBack::default();
    let chosen: Box<dyn Iterator<Item = (usize, u64)>> = if all {
        Box::new(
            counts
                .iter()
                .enumerate()
                .flat_map(|(arena, &n)| (0..n).map(move |k| (arena, k))),
        )
    } else {
        Box::new(sample(&counts).into_iter())
    };
    let mut directories = Directories::new(part);
    let roots = if all {
        Vec::new()
    } else {
        roots(part, to, &counts)
    };
    let wanted = chosen.filter_map(|(arena, index)| directories.block(arena, index));
    let wanted = wanted.chain(roots).chain(last);
    let wanted = wanted.filter(|(score, _)| !score.is_nil() && !lost.contains(score));
    let mut asked = Vec::new();
    // Taken in bunches: what was asked for must be known when its answer comes.
    let mut wanted = wanted.peekable();
    while wanted.peek().is_some() {
        asked.clear();
        asked.extend(wanted.by_ref().take(4096));
        client.read_many(asked.iter().copied(), |number, found| {
            if let Some(&(score, block_type)) = asked.get(number) {
                result.note(score, block_type, found);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(result)
}

/// For each arena up to a place, how many clumps with directory entries lie
/// before it.
fn clumps_before(part: &Part, to: Point) -> Vec<u64> {
    let arenas = part.arenas.iter().enumerate().take(to.arena + 1);
    arenas
        .map(|(number, arena)| {
            let counted = u64::from(arena.live.clumps);
            if number < to.arena {
                return counted;
            }
            let log = Log::open(Arc::clone(&part.source), arena, to.offset, false);
            log.ok()
                .and_then(|log| log.index())
                .unwrap_or(0)
                .min(counted)
        })
        .collect()
}

/// Random clumps, in log order.
fn sample(counts: &[u64]) -> Vec<(usize, u64)> {
    let total: u64 = counts.iter().sum();
    let mut numbers = BTreeSet::new();
    if total <= SAMPLE {
        numbers.extend(0..total);
    } else {
        let random = RandomState::new();
        let mut drawn: u64 = 0;
        while (numbers.len() as u64) < SAMPLE {
            let mut hasher = random.build_hasher();
            hasher.write_u64(drawn);
            drawn += 1;
            numbers.insert(hasher.finish() % total);
        }
    }
    let mut chosen = Vec::new();
    let mut first = 0;
    for (arena, &count) in counts.iter().enumerate() {
        let inside = numbers.range(first..first + count);
        chosen.extend(inside.map(|number| (arena, number - first)));
        first += count;
    }
    chosen
}

/// The roots among the clumps of the arena of a place, before that place.
fn roots(part: &Part, to: Point, counts: &[u64]) -> Vec<(Score, BlockType)> {
    let mut directories = Directories::new(part);
    let count = counts.get(to.arena).copied().unwrap_or(0);
    let blocks = (0..count).filter_map(|index| directories.block(to.arena, index));
    blocks
        .filter(|(_, block_type)| *block_type == BlockType::Root)
        .collect()
}

/// The directories of a partition's arenas, the one in use kept open.
struct Directories<'a> {
    part: &'a Part,
    open: Option<(usize, Directory)>,
}

impl<'a> Directories<'a> {
    fn new(part: &'a Part) -> Self {
        Directories { part, open: None }
    }

    /// What the directory says of a clump; nothing if that is no block.
    fn block(&mut self, arena: usize, index: u64) -> Option<(Score, BlockType)> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != arena) {
            let found = self.part.arenas.get(arena)?;
            let directory = Directory::new(Arc::clone(&self.part.source), found);
            self.open = Some((arena, directory));
        }
        let (_, directory) = self.open.as_mut()?;
        let entry = directory.entry(index).ok()?;
        let header = ClumpHeader::from_entry(&entry).ok()?;
        Some((header.score, header.block_type()?))
    }
}

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

/// Tries again to bring over what was damaged in the source.
///
/// # Errors
/// The connection was lost, or the target would not take the block.
pub(super) fn try_again(client: &mut Client, part: &Part, damage: &Damage) -> Result<Fate, Error> {
    let mut arenas = part.arenas.iter();
    let Some(arena) = arenas.find(|a| a.head == damage.head && a.clump_magic == damage.magic)
    else {
        return Ok(Fate::Gone);
    };
    let log = Log::open(Arc::clone(&part.source), arena, damage.offset, true);
    if let Ok(mut log) = log
        && let Some(item) = log.next()
        && let What::Clump {
            header, block_type, ..
        } = item.what
        && let Ok(stored) = log.stored(&item)
        && let Ok(block) = header.block(stored)
    {
        client.write(block_type, &header.score, &block)?;
        client.sync()?;
        return Ok(Fate::Mended);
    }
    let (Some(score), Some(block_type)) = (damage.score, damage.block_type) else {
        return Ok(Fate::Stays);
    };
    let max = u32::try_from(MAX_BLOCK).unwrap_or(u32::MAX);
    match client.read(&score, block_type, max) {
        Ok(_) => Ok(Fate::OnTarget),
        Err(error) if error.kind() == crate::client::Kind::Transient => Err(error),
        Err(_) => Ok(Fate::Stays),
    }
}
