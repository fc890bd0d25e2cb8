//! What earlier runs recorded is read back from a target.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::arena::clump::ClumpHeader;
use crate::codec::arena::directory::DirectoryEntry;
use crate::codec::blocktype::{BlockName, BlockType};
use crate::codec::score::Score;
use crate::codec::wrcmds::{DamagedStretch, Unreadable};
use crate::copy::cursor::Cursor;
use crate::host::random;
use crate::net::client::{Client, ClientError};
use crate::replica::Proof;
use crate::source::Arena;
use crate::source::log::{ClumpLog, Directory, Item, What};
use crate::survey::part::Part;

/// Clumps below a place that are read back, besides the last one and roots.
const SAMPLE: u64 = 256;

/// The newest clumps, of which [`OF_NEWEST`] are in the sample: what a server
/// did not keep is among them first.
const NEWEST: u64 = 1024;

/// Clumps of the sample that are drawn from the newest.
const OF_NEWEST: u64 = 64;

/// Names of missing and damaged blocks that are kept to be told.
const TOLD: usize = 20;

/// Blocks that a target does not have, and that are looked up in the log
/// before they count as missing. Where there are more, something is missing.
const LOOKED_UP: usize = 4096;

/// A block the target should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WantedBlock {
    /// The number of its arena; none where an earlier run could not read it
    /// back.
    arena: Option<usize>,
    score: Score,
    block_type: BlockType,
    /// Where its clump starts in the log, if all before it was looked at.
    offset: Option<u64>,
}

/// What earlier runs have put on record of a target.
pub(super) struct KnownLosses<'a> {
    /// Damage in the source.
    pub(super) damages: &'a [DamagedStretch],
    /// Blocks that it could not give back.
    pub(super) unreadable: &'a [Unreadable],
}

/// A block that a target has and cannot give back.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) score: Score,
    pub(super) block_type: BlockType,
    /// What the target said.
    pub(super) why: String,
}

/// What a target said of a block, without the block's score: who tells of it names the
/// block, and servers cut the text behind it.
fn said_of(error: &ClientError) -> String {
    match error {
        ClientError::Refused { text, .. } => {
            let said = text.split_once("; expected=");
            said.map_or(text.as_str(), |(said, _)| said).to_owned()
        }
        ClientError::WrongScore { found, .. } => format!("what it gave back has score {found}"),
        error => error.to_string(),
    }
}

impl Broken {
    pub(super) fn block(&self) -> (Score, BlockType) {
        (self.score, self.block_type)
    }
}

/// What reading back has shown.
#[derive(Debug, Default)]
pub(super) struct ReadBack {
    /// Blocks read back and found right.
    pub(super) right: u64,
    /// Blocks the target does not have.
    pub(super) missing: u64,
    /// Blocks it has and cannot give back.
    pub(super) damaged: u64,
    /// Blocks that it could not give back, and gives back since they were sent again.
    pub(super) cured: u64,
    /// The first of those that it cannot give back, until they are sent again.
    pub(super) broken: Vec<Broken>,
    /// Clumps before the place that nothing in the source names any more.
    pub(super) unnamed: u64,
    /// The first of both: what and why.
    pub(super) told: Vec<String>,
    /// What is to be read back until it is right, [`Unreadable::MORE`] among it
    /// where that is not all.
    pub(super) unreadable: Vec<Unreadable>,
    /// What it does not have, by the directory.
    absent: Vec<WantedBlock>,
    /// Of what is missing, that which was looked up.
    pub(super) lacks: Vec<(Score, BlockType)>,
}

impl ReadBack {
    /// Takes in what came for a block; `is_lost` where it was damaged in the
    /// source when it should have been sent.
    fn note(&mut self, wanted: WantedBlock, found: Result<&[u8], ClientError>, is_lost: bool) {
        let WantedBlock {
            score, block_type, ..
        } = wanted;
        match found {
            Ok(_) => self.right += 1,
            Err(error) if error.is_absent() && wanted.arena.is_none() => {
                self.missing(score, block_type);
                self.lacks.push((score, block_type));
                self.keep(score, block_type);
            }
            Err(error) if error.is_absent() && is_lost => {}
            Err(error) if error.is_absent() && self.absent.len() < LOOKED_UP => {
                self.absent.push(wanted);
            }
            Err(error) if error.is_absent() => self.missing(score, block_type),
            // A root may be in the sample too.
            Err(_)
                if self
                    .broken
                    .iter()
                    .any(|of| of.block() == (score, block_type)) => {}
            Err(error) => {
                self.damaged += 1;
                self.keep(score, block_type);
                if self.broken.len() < Unreadable::MOST {
                    self.broken.push(Broken {
                        score,
                        block_type,
                        why: said_of(&error),
                    });
                }
            }
        }
    }

    /// What a look at a replica has shown.
    pub(super) fn of_replica(proof: Proof) -> Self {
        let unreadable = (proof.damaged > 0).then_some(Unreadable::MORE);
        ReadBack {
            unreadable: unreadable.into_iter().collect(),
            right: proof.right,
            missing: proof.missing,
            damaged: proof.damaged,
            told: proof.told,
            ..ReadBack::default()
        }
    }

    /// Takes in whole blocks that are missing between clumps of accepted damage.
    pub(super) fn lacks_too(&mut self, blocks: &[(Score, BlockType)]) {
        for &(score, block_type) in blocks {
            self.missing(score, block_type);
            if self.lacks.len() < LOOKED_UP {
                self.lacks.push((score, block_type));
            }
        }
    }

    /// Puts a block on record, to be read back again in each run.
    fn keep(&mut self, score: Score, block_type: BlockType) {
        let block = Unreadable {
            score: Some(score),
            block_type: Some(block_type),
        };
        if self.unreadable.len() < Unreadable::MOST {
            self.unreadable.push(block);
        } else if !self.more_unreadable() {
            self.unreadable.push(Unreadable::MORE);
        }
    }

    /// Not all that it could not give back is on record.
    pub(super) fn more_unreadable(&self) -> bool {
        self.unreadable.contains(&Unreadable::MORE)
    }

    fn missing(&mut self, score: Score, block_type: BlockType) {
        self.missing += 1;
        self.tell(format!(
            "{} is missing, but was acknowledged before",
            BlockName(block_type, score)
        ));
    }

    pub(super) fn tell(&mut self, what: String) {
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }

    /// Of what is absent, that which the log names too is missing, also where
    /// the source has lost it meanwhile. The rest was never sent: it was
    /// damaged in the source, or only its directory entry is, and names a
    /// block that never was.
    fn look_up(&mut self, part: &Part, lost: &SentDamaged) {
        let mut absent: BTreeMap<usize, Vec<(Score, BlockType)>> = BTreeMap::new();
        for wanted in std::mem::take(&mut self.absent) {
            let arena = absent.entry(wanted.arena.unwrap_or_default());
            let block = (wanted.score, wanted.block_type);
            arena.or_default().push(block);
        }
        for (number, blocks) in absent {
            let scores = blocks.iter().map(|&(score, _)| score).collect();
            let sent = part.arenas.get(number).map_or_else(HashSet::new, |arena| {
                sent_from_log(part, arena, scores, lost)
            });
            for (score, block_type) in blocks {
                if sent.contains(&score) {
                    self.missing(score, block_type);
                    self.lacks.push((score, block_type));
                }
            }
        }
    }
}

/// What was damaged in the source when it should have been sent.
struct SentDamaged {
    blocks: HashSet<(Score, Option<BlockType>)>,
    /// By arena: where stretches start, and where they end. They do not overlap.
    stretches: HashMap<(u64, u32), BTreeMap<u64, u64>>,
}

impl SentDamaged {
    fn new(damages: &[DamagedStretch]) -> Self {
        let blocks = damages
            .iter()
            .filter_map(|damage| Some((damage.score?, damage.block_type)))
            .collect();
        let mut sorted: Vec<&DamagedStretch> = damages.iter().collect();
        sorted.sort_by_key(|damage| damage.offset);
        let mut stretches: HashMap<(u64, u32), BTreeMap<u64, u64>> = HashMap::new();
        for damage in sorted {
            let of_arena = stretches.entry((damage.head, damage.magic)).or_default();
            match of_arena.last_entry() {
                Some(mut last) if damage.offset <= *last.get() => {
                    let end = damage.end().max(*last.get());
                    last.insert(end);
                }
                _ => {
                    of_arena.insert(damage.offset, damage.end());
                }
            }
        }
        SentDamaged { blocks, stretches }
    }

    fn has_block(&self, score: Score, block_type: BlockType) -> bool {
        self.blocks.contains(&(score, Some(block_type))) || self.blocks.contains(&(score, None))
    }

    fn covers(&self, arena: &Arena, offset: u64) -> bool {
        let stretches = self.stretches.get(&(arena.head, arena.clump_magic));
        let before = stretches.and_then(|of_arena| of_arena.range(..=offset).next_back());
        before.is_some_and(|(_, end)| offset < *end)
    }

    fn covers_block(&self, part: &Part, wanted: &WantedBlock) -> bool {
        let arena = wanted.arena.and_then(|number| part.arenas.get(number));
        arena
            .zip(wanted.offset)
            .is_some_and(|(arena, offset)| self.covers(arena, offset))
    }
}

/// Of these scores, those that clump headers in the log of an arena have,
/// outside of what was damaged when it was sent.
fn sent_from_log(
    part: &Part,
    arena: &Arena,
    mut sought: HashSet<Score>,
    lost: &SentDamaged,
) -> HashSet<Score> {
    let mut sent = HashSet::new();
    let Ok(mut log) = ClumpLog::open(Arc::clone(&part.source), arena, 0, true) else {
        return sent;
    };
    while !sought.is_empty()
        && let Some(item) = log.next()
    {
        let score = match &item.what {
            What::Clump { header, .. } => Some(header.score),
            What::Lost(loss) => loss.score,
            What::Corrupt(_) => None,
        };
        if let Some(score) = score.filter(|_| !lost.covers(arena, item.offset))
            && sought.remove(&score)
        {
            sent.insert(score);
        }
    }
    sent
}

/// Reads back what lies before a place: all of it, or its last block, the
/// roots of its arena and a random sample. With all of it, `on_read` is called
/// now and then: with how many blocks were read back, of about how many.
///
/// # Errors
/// The connection was lost.
pub(super) fn read_back(
    client: &mut Client,
    part: &Part,
    to: Cursor,
    all: bool,
    known: &KnownLosses<'_>,
    on_read: &dyn Fn(u64, u64),
) -> Result<ReadBack, ClientError> {
    let lost = SentDamaged::new(known.damages);
    let recorded = known.unreadable.iter().filter_map(Unreadable::block);
    let recorded: HashSet<(Score, BlockType)> = recorded.collect();
    let counts = clumps_before(part, to);
    let whole = counts.iter().sum();
    let mut done = 0;
    let before: Box<dyn Iterator<Item = WantedBlock>> = match all {
        true => Box::new(all_before(part, to, &counts)),
        false => Box::new(some_before(part, to, &counts)),
    };
    let earlier = recorded.iter().map(|&(score, block_type)| WantedBlock {
        arena: None,
        score,
        block_type,
        offset: None,
    });
    let wanted = before.filter(|wanted| {
        let (score, block_type) = (wanted.score, wanted.block_type);
        let is_known = recorded.contains(&(score, block_type));
        !score.is_nil() && !lost.has_block(score, block_type) && !is_known
    });
    let mut result = ReadBack::default();
    let mut asked = Vec::new();
    // Taken in bunches: what was asked for must be known when its answer comes.
    let mut wanted = earlier.chain(wanted).peekable();
    while wanted.peek().is_some() {
        asked.clear();
        asked.extend(wanted.by_ref().take(4096));
        let blocks = asked.iter().map(|wanted| (wanted.score, wanted.block_type));
        client.read_many(blocks, |number, found| {
            if let Some(&wanted) = asked.get(number) {
                let is_lost = found.is_err() && lost.covers_block(part, &wanted);
                result.note(wanted, found, is_lost);
            }
            ControlFlow::Continue(())
        })?;
        done += asked.len() as u64;
        if all {
            on_read(done, whole);
        }
    }
    if all {
        on_read(whole, whole);
        result.unnamed = unnamed(part, &counts, to, &lost);
    }
    if !all && known.unreadable.contains(&Unreadable::MORE) && !result.more_unreadable() {
        result.unreadable.push(Unreadable::MORE);
    }
    result.look_up(part, &lost);
    Ok(result)
}

/// Every block before a place.
fn all_before(part: &Part, to: Cursor, counts: &[u64]) -> impl Iterator<Item = WantedBlock> {
    let arenas = counts.iter().enumerate();
    let counted = arenas.flat_map(move |(arena, &count)| all_of(part, arena, count, to));
    counted.chain(uncounted(part, to))
}

/// The last block before a place, the roots of its arena and a random sample.
fn some_before(part: &Part, to: Cursor, counts: &[u64]) -> impl Iterator<Item = WantedBlock> {
    let mut directories = Directories::new(part);
    let last = last_before(part, to);
    // The block before the place, if the directory has it, comes as `last`.
    let count = counts.get(to.arena).copied().unwrap_or(0);
    let before = count.checked_sub(1).map(|index| (to.arena, index));
    let before = before.filter(|&(arena, index)| directories.lone_block(arena, index) == last);
    let mut chosen = sample(counts);
    chosen.retain(|clump| Some(*clump) != before);
    let blocks = chosen.into_iter();
    let blocks = blocks.filter_map(move |(arena, index)| directories.lone_block(arena, index));
    let counted = blocks.chain(roots(part, to, counts));
    counted.chain(sample_of(uncounted(part, to))).chain(last)
}

/// The block before a place.
fn last_before(part: &Part, to: Cursor) -> Option<WantedBlock> {
    let header = part.before(part.arenas.get(to.arena)?, to.offset)?;
    Some(WantedBlock {
        arena: Some(to.arena),
        score: header.score,
        block_type: header.block_type()?,
        offset: None,
    })
}

/// For each arena up to a place, how many clumps with directory entries lie
/// before it.
pub(super) fn clumps_before(part: &Part, to: Cursor) -> Vec<u64> {
    let arenas = part.arenas.iter().enumerate().take(to.arena + 1);
    arenas
        .map(|(number, arena)| {
            let counted = u64::from(arena.live.clumps);
            if number < to.arena {
                return counted;
            }
            let log = ClumpLog::open(Arc::clone(&part.source), arena, to.offset, false);
            log.ok()
                .and_then(|log| log.index())
                .unwrap_or(0)
                .min(counted)
        })
        .collect()
}

/// The blocks before a place, in order: by the directories, and by the log where a
/// directory does not name all.
pub(super) fn blocks_before(
    part: &Part,
    to: Cursor,
) -> impl Iterator<Item = (Score, BlockType)> + '_ {
    let counts = clumps_before(part, to).into_iter().enumerate();
    let wanted = counts.flat_map(move |(arena, count)| all_of(part, arena, count, to));
    wanted.map(|wanted| (wanted.score, wanted.block_type))
}

/// The blocks before a place that no trailer counts yet: the log's own headers
/// tell of them.
fn uncounted(part: &Part, to: Cursor) -> impl Iterator<Item = WantedBlock> {
    let arenas = part.arenas.iter().enumerate().take(to.arena + 1);
    let growing = arenas.filter(|(_, arena)| !arena.sealed);
    growing.flat_map(move |(number, arena)| {
        let items = in_log(part, number, arena.live.used, end_in(number, to));
        items.filter_map(move |item| by_header(number, &item))
    })
}

/// The counted blocks of an arena before a place.
fn all_of(
    part: &Part,
    arena: usize,
    count: u64,
    to: Cursor,
) -> Box<dyn Iterator<Item = WantedBlock> + '_> {
    if names_all(part, arena, count) {
        return Box::new(in_order(part, arena, count));
    }
    let items = in_log(part, arena, 0, end_of_counted(part, arena, to));
    Box::new(items.filter_map(move |item| by_header(arena, &item)))
}

/// Clumps before a place that neither directory nor log names, and that were not on
/// record as damaged: nobody can say whether the target has them.
fn unnamed(part: &Part, counts: &[u64], to: Cursor, lost: &SentDamaged) -> u64 {
    let arenas = part.arenas.iter().zip(counts).enumerate();
    let mut unnamed: u64 = 0;
    for (number, (arena, &count)) in arenas {
        if names_all(part, number, count) {
            continue;
        }
        for item in in_log(part, number, 0, end_of_counted(part, number, to)) {
            let clumps = match &item.what {
                What::Clump { .. } => 0,
                What::Lost(loss) => loss.clumps,
                What::Corrupt(_) => 1,
            };
            if !lost.covers(arena, item.offset) {
                unnamed = unnamed.saturating_add(clumps);
            }
        }
    }
    unnamed
}

/// Whether each of the first entries of a directory names a block.
fn names_all(part: &Part, arena: usize, count: u64) -> bool {
    in_order(part, arena, count).count() as u64 == count
}

/// Where a place ends an arena: nowhere in those before its own.
fn end_in(arena: usize, to: Cursor) -> u64 {
    match arena == to.arena {
        true => to.offset,
        false => u64::MAX,
    }
}

fn end_of_counted(part: &Part, arena: usize, to: Cursor) -> u64 {
    let used = part.arenas.get(arena).map_or(0, |arena| arena.live.used);
    used.min(end_in(arena, to))
}

/// What the log of an arena has between two offsets; blocks are not read.
fn in_log(part: &Part, arena: usize, from: u64, end: u64) -> impl Iterator<Item = Item> + use<> {
    let arena = part.arenas.get(arena).filter(|_| from < end);
    let log =
        arena.and_then(|arena| ClumpLog::open(Arc::clone(&part.source), arena, from, false).ok());
    let items = log.into_iter().flatten();
    items.take_while(move |item| item.offset < end)
}

/// The block of a clump, by its header.
fn by_header(arena: usize, item: &Item) -> Option<WantedBlock> {
    match &item.what {
        What::Clump {
            header, block_type, ..
        } => Some(WantedBlock {
            arena: Some(arena),
            score: header.score,
            block_type: *block_type,
            offset: Some(item.offset),
        }),
        What::Lost(_) | What::Corrupt(_) => None,
    }
}

/// Some of them, each as likely as any other.
fn sample_of<T>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut chosen = Vec::new();
    for (item, number) in all.zip(1..) {
        if number <= SAMPLE {
            chosen.push(item);
            continue;
        }
        let place = usize::try_from(random::below(number));
        if let Some(slot) = place.ok().and_then(|at| chosen.get_mut(at)) {
            *slot = item;
        }
    }
    chosen
}

/// Random clumps, old and new.
fn sample(counts: &[u64]) -> BTreeSet<(usize, u64)> {
    let total: u64 = counts.iter().sum();
    let mut numbers = BTreeSet::new();
    if total <= SAMPLE {
        numbers.extend(0..total);
    } else {
        let newest = total.min(NEWEST);
        while (numbers.len() as u64) < SAMPLE {
            let (from, among) = match (numbers.len() as u64) < OF_NEWEST {
                true => (total - newest, newest),
                false => (0, total),
            };
            numbers.insert(from + random::below(among));
        }
    }
    let mut chosen = BTreeSet::new();
    let mut first = 0;
    for (arena, &count) in counts.iter().enumerate() {
        let inside = numbers.range(first..first + count);
        chosen.extend(inside.map(|number| (arena, number - first)));
        first += count;
    }
    chosen
}

/// The roots among the clumps of the arena of a place, before that place.
fn roots(part: &Part, to: Cursor, counts: &[u64]) -> impl Iterator<Item = WantedBlock> {
    let count = counts.get(to.arena).copied().unwrap_or(0);
    let blocks = in_order(part, to.arena, count);
    blocks.filter(|wanted| wanted.block_type == BlockType::Root)
}

/// The first blocks of an arena by its directory, with their offsets as far as
/// every entry before tells how long its clump is.
fn in_order(part: &Part, arena: usize, count: u64) -> impl Iterator<Item = WantedBlock> {
    let found = part.arenas.get(arena);
    let mut directory = found.map(|found| Directory::new(Arc::clone(&part.source), found));
    let mut next = Some(0);
    let entries = (0..count).map_while(move |index| Some(directory.as_mut()?.entry(index).ok()));
    entries.filter_map(move |entry| {
        let header = entry.and_then(|entry| ClumpHeader::from_entry(&entry).ok());
        let offset = next;
        next = next
            .zip(header)
            .map(|(at, header)| at + header.stored_len());
        let header = header?;
        Some(WantedBlock {
            arena: Some(arena),
            score: header.score,
            block_type: header.block_type()?,
            offset,
        })
    })
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

    /// What the directory says of a clump; nothing if that is not a block.
    /// No more is read than that.
    fn lone_block(&mut self, arena: usize, index: u64) -> Option<WantedBlock> {
        let entry = self.open(arena)?.lone_entry(index).ok()?;
        wanted(arena, &entry)
    }

    fn open(&mut self, arena: usize) -> Option<&mut Directory> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != arena) {
            let found = self.part.arenas.get(arena)?;
            let directory = Directory::new(Arc::clone(&self.part.source), found);
            self.open = Some((arena, directory));
        }
        self.open.as_mut().map(|(_, directory)| directory)
    }
}

fn wanted(arena: usize, entry: &DirectoryEntry) -> Option<WantedBlock> {
    let header = ClumpHeader::from_entry(entry).ok()?;
    Some(WantedBlock {
        arena: Some(arena),
        score: header.score,
        block_type: header.block_type()?,
        offset: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_old_clumps_and_many_of_the_newest() {
        let chosen = sample(&[70_000, 0, 30_000]);
        assert_eq!(chosen.len() as u64, SAMPLE);
        let is_new = |&&(arena, index): &&(usize, u64)| arena == 2 && index >= 30_000 - NEWEST;
        let new = chosen.iter().filter(is_new).count() as u64;
        assert!((OF_NEWEST..SAMPLE / 2).contains(&new), "{new}");
        assert!(chosen.iter().all(|&(arena, index)| match arena {
            0 => index < 70_000,
            2 => index < 30_000,
            _ => false,
        }));
    }

    #[test]
    fn a_small_archive_is_its_own_sample() {
        assert_eq!(sample(&[3, 2]).len(), 5);
        assert_eq!(sample(&[200, 100]).len() as u64, SAMPLE);
    }
}
