//! What could not be sent in earlier runs is tried again.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::wrcmds::{DamagedStretch, Stretches};
use crate::net::client::{Client, ClientError, Presence};
use crate::source::Arena;
use crate::source::log::{ClumpLog, Item, What};
use crate::survey::part::Part;

/// Stretches of which it is told what has become of them; the rest is counted.
pub(super) const TOLD: usize = crate::copy::replicate::TOLD;

/// Clumps, and bytes of their blocks, that are looked at together.
const TOGETHER: usize = 1024;
const BYTES: usize = 1 << 20;

/// What has become of damage met in earlier runs.
#[derive(Debug, Default)]
pub(super) struct Retried {
    /// Clumps that are still damaged and not on the target.
    pub(super) stay: u64,
    /// What is still to be remembered: these, and what was accepted.
    pub(super) left: Vec<DamagedStretch>,
    /// Clumps that are damaged in the source, and that the target gave back.
    pub(super) there: u64,
    /// Of those that it gave back in an earlier run, clumps that it no longer does.
    pub(super) gone: u64,
    /// Where those are that it gave back.
    pub(super) spared: Vec<DamagedStretch>,
    /// Whole blocks between damaged clumps that were accepted, which the target does
    /// not have.
    pub(super) missing: Vec<(Score, BlockType)>,
    /// What has become of the first stretches.
    pub(super) told: Vec<String>,
    /// Stretches of which nothing is told.
    pub(super) untold: u64,
}

impl Retried {
    /// Nothing was tried: all of it stays.
    pub(super) fn none(damages: Vec<DamagedStretch>) -> Self {
        let counted = damages.iter().filter(|damage| !damage.accepted);
        Retried {
            stay: counted.map(|damage| damage.clumps).sum(),
            left: damages,
            ..Retried::default()
        }
    }
}

/// What has become of one stretch.
#[derive(Debug, Default)]
struct Fate {
    /// Clumps that are whole now, and were sent.
    sent: u64,
    /// Damaged clumps that the target gave back.
    there: u64,
    /// Damaged clumps that it did not.
    stay: u64,
}

/// Tries again to bring over what was damaged in the source, in the order of
/// the log: each clump that is whole now is sent where it is missing, each
/// other is looked for on the target. What is `spared`, because the target had it in
/// an earlier run, is looked for there again, and given up when the source is mended.
/// With `all`, what an operator has accepted is tried too, and stays accepted whatever
/// comes of it. Where clumps between them were whole, their blocks are read back
/// and a missing one is left to be sent with all that is missing.
///
/// # Errors
/// The connection was lost, or the target would not take a block.
pub(super) fn try_again(
    client: &mut Client,
    part: &Part,
    damages: Vec<DamagedStretch>,
    spared: Vec<DamagedStretch>,
    all: bool,
) -> Result<Retried, ClientError> {
    let damages = in_order(damages, spared);
    let mut retried = Retried::default();
    let (mut accepted, mut left) = (Vec::new(), Stretches::default());
    let mut spared = Stretches::default();
    let mut walk: Option<Walk> = None;
    let mut sent = 0;
    for (damage, was_spared) in damages {
        if damage.accepted && !all {
            accepted.push(damage);
            continue;
        }
        let is_in = |a: &&Arena| a.head == damage.head && a.clump_magic == damage.magic;
        let Some(arena) = part.arenas.iter().find(is_in) else {
            // The arena is another one now.
            accepted.extend(damage.accepted.then_some(damage));
            continue;
        };
        let walked = walk.take().filter(|walk| walk.is_in(arena));
        let mut tried = Try {
            client,
            damage: &damage,
            was_spared,
            missing: has_whole(part, arena, &damage).then_some(&mut retried.missing),
            left: &mut left,
            spared: &mut spared,
            fate: Fate::default(),
        };
        walk = Walk::at(walked, part, arena, damage.offset);
        match &mut walk {
            Some(walk) => tried.stretch(walk)?,
            None => tried.is_unknown(
                damage.offset,
                damage.len,
                damage.clumps,
                (damage.score, damage.block_type),
            ),
        }
        let fate = tried.fate;
        sent += fate.sent;
        match damage.accepted {
            true => accepted.push(damage),
            false => retried.note(&damage, was_spared, &fate),
        }
    }
    if sent > 0 {
        client.sync()?;
    }
    retried.spared = spared.into_list();
    retried.left = left.into_list();
    retried.left.extend(accepted);
    Ok(retried)
}

/// Damage in the order of the log, each with whether it was spared.
fn in_order(
    damages: Vec<DamagedStretch>,
    spared: Vec<DamagedStretch>,
) -> Vec<(DamagedStretch, bool)> {
    let damages = damages.into_iter().map(|damage| (damage, false));
    let spared = spared.into_iter().map(|damage| (damage, true));
    let mut all: Vec<(DamagedStretch, bool)> = damages.chain(spared).collect();
    all.sort_by_key(|(damage, _)| (damage.head, damage.magic, damage.offset));
    all
}

impl Retried {
    /// Counts what became of one stretch of damage, and keeps its line.
    fn note(&mut self, damage: &DamagedStretch, was_spared: bool, fate: &Fate) {
        self.stay += fate.stay;
        self.there += fate.there;
        let told = match was_spared {
            true => told_of_spared(damage, fate),
            false => Some(told(damage, fate)),
        };
        if was_spared {
            self.gone += fate.stay;
        }
        match told {
            Some(told) if self.told.len() < TOLD => self.told.push(told),
            Some(_) => self.untold += 1,
            None => {}
        }
    }
}

/// Whether clumps between those that were accepted need not have been damaged.
fn has_whole(part: &Part, arena: &Arena, damage: &DamagedStretch) -> bool {
    if !damage.accepted || damage.clumps < 2 {
        return false;
    }
    let log = ClumpLog::open(Arc::clone(&part.source), arena, damage.offset, true);
    let items = log.into_iter().flatten();
    let inside = items.take_while(|item| item.offset < damage.end());
    let clumps = inside.fold(0_u64, |clumps, item| {
        clumps.saturating_add(clumps_of(&item))
    });
    clumps > damage.clumps
}

fn clumps_of(item: &Item) -> u64 {
    match &item.what {
        What::Lost(loss) => loss.clumps,
        _ => 1,
    }
}

/// A walk along the log of an arena, from one stretch to the next.
struct Walk {
    log: ClumpLog,
    head: u64,
}

impl Walk {
    fn is_in(&self, arena: &Arena) -> bool {
        self.head == arena.head
    }

    /// The walk, moved on to where a stretch begins; a new one if it cannot be.
    fn at(walk: Option<Walk>, part: &Part, arena: &Arena, offset: u64) -> Option<Walk> {
        if let Some(mut walk) = walk
            && walk.log.advance_to(offset)
        {
            return Some(walk);
        }
        let log = ClumpLog::open(Arc::clone(&part.source), arena, offset, true);
        let head = arena.head;
        log.ok().map(|log| Walk { log, head })
    }
}

/// A stretch that is being tried.
struct Try<'a> {
    client: &'a mut Client,
    damage: &'a DamagedStretch,
    /// The target gave it back in an earlier run.
    was_spared: bool,
    /// Where whole blocks go that the target does not have; none where they are sent.
    missing: Option<&'a mut Vec<(Score, BlockType)>>,
    left: &'a mut Stretches,
    spared: &'a mut Stretches,
    fate: Fate,
}

/// Clumps of a stretch that are looked at together.
#[derive(Default)]
struct Bunch {
    /// Blocks that are whole in the source.
    whole: Vec<(BlockType, Score, Vec<u8>)>,
    bytes: usize,
    /// Clumps that are not, with the types that their blocks may have.
    lost: Vec<(Item, Option<Score>, Vec<BlockType>)>,
}

impl Try<'_> {
    fn stretch(&mut self, walk: &mut Walk) -> Result<(), ClientError> {
        let end = self.damage.end();
        let mut bunch = Bunch::default();
        while walk.log.offset() < end {
            let from = walk.log.offset();
            let Some(item) = walk.log.next() else {
                self.is_unknown(from, end - from, 1, (None, None));
                break;
            };
            bunch.add(&mut walk.log, item);
            if bunch.is_full() {
                self.deal_with(std::mem::take(&mut bunch))?;
            }
        }
        self.deal_with(bunch)
    }

    fn deal_with(&mut self, bunch: Bunch) -> Result<(), ClientError> {
        let mut there = HashSet::new();
        let lost = bunch.lost.iter().enumerate();
        let wanted: Vec<(usize, Score, BlockType)> = lost
            .flat_map(|(number, (_, score, types))| {
                let types = types.iter();
                types.filter_map(move |&block_type| Some((number, (*score)?, block_type)))
            })
            .collect();
        let blocks = wanted.iter().map(|&(_, score, ty)| (score, ty));
        self.client.read_many(blocks, |asked, block| {
            if let (Ok(_), Some(&(number, ..))) = (block, wanted.get(asked)) {
                there.insert(number);
            }
            ControlFlow::Continue(())
        })?;
        for (number, (item, score, types)) in bunch.lost.iter().enumerate() {
            let block_type = types.first().copied().filter(|_| types.len() == 1);
            if there.contains(&number) {
                self.is_there(item.offset, item.len, 1, (*score, block_type));
                continue;
            }
            self.stays(item.offset, item.len, clumps_of(item), (*score, block_type));
        }
        match self.was_spared {
            true => Ok(()),
            false if self.missing.is_some() => self.look_for(&bunch.whole),
            false => self.send(bunch.whole),
        }
    }

    /// Reads whole blocks back. What is damaged there was said when all was read back.
    fn look_for(&mut self, blocks: &[(BlockType, Score, Vec<u8>)]) -> Result<(), ClientError> {
        let Some(missing) = self.missing.as_mut() else {
            return Ok(());
        };
        let wanted: Vec<_> = blocks.iter().map(|&(ty, score, _)| (score, ty)).collect();
        self.client
            .read_many(wanted.iter().copied(), |number, block| {
                if let (Err(error), Some(&wanted)) = (block, wanted.get(number))
                    && error.is_absent()
                {
                    missing.push(wanted);
                }
                ControlFlow::Continue(())
            })
    }

    /// Sends blocks. Where a stretch has others between its damaged clumps, most
    /// of them are there.
    fn send(&mut self, mut blocks: Vec<(BlockType, Score, Vec<u8>)>) -> Result<(), ClientError> {
        if self.damage.clumps > 1 {
            let mut there = HashSet::new();
            let wanted = blocks.iter().map(|&(ty, score, _)| (score, ty));
            self.client.probe_many(wanted, |number, presence| {
                if matches!(presence, Presence::Present { .. }) {
                    there.insert(number);
                }
                ControlFlow::Continue(())
            })?;
            let mut number = 0..;
            blocks.retain(|_| number.next().is_none_or(|number| !there.contains(&number)));
        }
        self.fate.sent += blocks.len() as u64;
        let blocks = blocks.iter();
        self.client
            .write_all(blocks.map(|(ty, score, data)| (*ty, *score, data.as_slice())))
    }

    /// A piece of the stretch that is tried.
    fn piece(
        &self,
        offset: u64,
        len: u64,
        clumps: u64,
        (score, block_type): (Option<Score>, Option<BlockType>),
    ) -> DamagedStretch {
        DamagedStretch {
            offset,
            len,
            clumps,
            score,
            block_type,
            ..self.damage.clone()
        }
    }

    /// The target gave these clumps back.
    fn is_there(
        &mut self,
        offset: u64,
        len: u64,
        clumps: u64,
        block: (Option<Score>, Option<BlockType>),
    ) {
        self.fate.there += clumps;
        if !self.damage.accepted {
            let piece = self.piece(offset, len, clumps, block);
            self.spared.add(piece);
        }
    }

    /// The log cannot be read here, so that nothing is known that was not known before.
    fn is_unknown(
        &mut self,
        offset: u64,
        len: u64,
        clumps: u64,
        block: (Option<Score>, Option<BlockType>),
    ) {
        match self.was_spared {
            true => self.is_there(offset, len, clumps, block),
            false => self.stays(offset, len, clumps, block),
        }
    }

    /// Nothing has changed here; an accepted stretch is remembered as it was.
    fn stays(
        &mut self,
        offset: u64,
        len: u64,
        clumps: u64,
        block: (Option<Score>, Option<BlockType>),
    ) {
        self.fate.stay += clumps;
        if !self.damage.accepted {
            let piece = self.piece(offset, len, clumps, block);
            self.left.add(piece);
        }
    }
}

impl Bunch {
    fn add(&mut self, log: &mut ClumpLog, item: Item) {
        let lost = match &item.what {
            What::Clump {
                header, block_type, ..
            } => {
                if let Some(block) = log.stored(&item).ok().and_then(|s| header.block(s).ok()) {
                    self.bytes += block.len();
                    self.whole
                        .push((*block_type, header.score, block.into_owned()));
                    return;
                }
                (Some(header.score), vec![*block_type])
            }
            What::Lost(loss) => (loss.score, loss.block_type.into_iter().collect()),
            // Marked as corrupt, and its type with it.
            What::Corrupt(score) => (Some(*score), BlockType::all().collect()),
        };
        self.lost.push((item, lost.0, lost.1));
    }

    fn is_full(&self) -> bool {
        self.whole.len() + self.lost.len() >= TOGETHER || self.bytes >= BYTES
    }
}

/// What is told of a stretch that the target had in an earlier run: only what has
/// changed.
fn told_of_spared(damage: &DamagedStretch, fate: &Fate) -> Option<String> {
    let what = shown(damage);
    match fate {
        Fate { stay: 0, there, .. } if *there >= damage.clumps => None,
        Fate {
            stay: 0, there: 0, ..
        } => Some(format!("{what}: mended in the source")),
        Fate { stay: 0, there, .. } => Some(format!(
            "{what}: mended in the source, except {there} of them; the target has those whole"
        )),
        Fate { stay, .. } => Some(format!(
            "{what}: damaged in the source, and the target no longer gives back {stay} of them"
        )),
    }
}

/// A stretch in words.
fn shown(damage: &DamagedStretch) -> String {
    let DamagedStretch { arena, offset, .. } = damage;
    match damage.clumps {
        0 | 1 => format!("arena {arena} clump {offset:#x}"),
        _ => format!(
            "arena {arena} clumps from {offset:#x} to {:#x}",
            damage.end()
        ),
    }
}

fn told(damage: &DamagedStretch, fate: &Fate) -> String {
    let clumps = &damage.clumps;
    let what = shown(damage);
    match fate {
        Fate {
            stay: 0, sent: 0, ..
        } => format!("{what}: found intact there"),
        Fate { stay: 0, .. } => format!("{what}: mended, sent"),
        Fate { stay, .. } if *clumps > 1 => format!(
            "{what}: {stay} still damaged in the source and missing on the target; \
             mark them accepted in wrcmds if they are lost for good"
        ),
        _ => format!(
            "{what}: still damaged in the source and missing on the target; \
             mark it accepted in wrcmds if it is lost for good"
        ),
    }
}
