//! What could not be sent in earlier runs is tried again.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::source::Part;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::wrcmds::{Damage, Stretches};
use crate::net::client::{Client, Error, Presence};
use crate::source::Arena;
use crate::source::log::{Item, Log, What};

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
    pub(super) left: Vec<Damage>,
    /// What has become of the first stretches.
    pub(super) told: Vec<String>,
    /// Stretches of which nothing is told.
    pub(super) untold: u64,
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
/// other is looked for on the target. With `all`, what an operator has accepted
/// is tried too, and stays accepted whatever comes of it.
///
/// # Errors
/// The connection was lost, or the target would not take a block.
pub(super) fn try_again(
    client: &mut Client,
    part: &Part,
    mut damages: Vec<Damage>,
    all: bool,
) -> Result<Retried, Error> {
    damages.sort_by_key(|damage| (damage.head, damage.magic, damage.offset));
    let mut retried = Retried::default();
    let (mut accepted, mut left) = (Vec::new(), Stretches::default());
    let mut walk: Option<Walk> = None;
    let mut sent = 0;
    for damage in damages {
        if damage.accepted && !all {
            accepted.push(damage);
            continue;
        }
        let mut arenas = part.arenas.iter();
        let arena = arenas.find(|a| a.head == damage.head && a.clump_magic == damage.magic);
        let Some(arena) = arena else {
            // The arena is another one now.
            accepted.extend(damage.accepted.then_some(damage));
            continue;
        };
        let walked = walk.take().filter(|walk| walk.is_in(arena));
        let mut tried = Try {
            client,
            damage: &damage,
            left: &mut left,
            fate: Fate::default(),
        };
        walk = Walk::at(walked, part, arena, damage.offset);
        match &mut walk {
            Some(walk) => tried.stretch(walk)?,
            None => tried.stays(
                damage.offset,
                damage.len,
                damage.clumps,
                (damage.score, damage.block_type),
            ),
        }
        let fate = tried.fate;
        sent += fate.sent;
        if damage.accepted {
            accepted.push(damage);
            continue;
        }
        retried.stay += fate.stay;
        match retried.told.len() < TOLD {
            true => retried.told.push(told(&damage, &fate)),
            false => retried.untold += 1,
        }
    }
    if sent > 0 {
        client.sync()?;
    }
    retried.left = left.into_list();
    retried.left.extend(accepted);
    Ok(retried)
}

/// A walk along the log of an arena, from one stretch to the next.
struct Walk {
    log: Log,
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
        let log = Log::open(Arc::clone(&part.source), arena, offset, true);
        let head = arena.head;
        log.ok().map(|log| Walk { log, head })
    }
}

/// A stretch that is being tried.
struct Try<'a> {
    client: &'a mut Client,
    damage: &'a Damage,
    left: &'a mut Stretches,
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
    fn stretch(&mut self, walk: &mut Walk) -> Result<(), Error> {
        let end = self.damage.end();
        let mut bunch = Bunch::default();
        while walk.log.offset() < end {
            let from = walk.log.offset();
            let Some(item) = walk.log.next() else {
                self.stays(from, end - from, 1, (None, None));
                break;
            };
            bunch.add(&mut walk.log, item);
            if bunch.is_full() {
                self.deal_with(std::mem::take(&mut bunch))?;
            }
        }
        self.deal_with(bunch)
    }

    fn deal_with(&mut self, bunch: Bunch) -> Result<(), Error> {
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
            if there.contains(&number) {
                self.fate.there += 1;
                continue;
            }
            let clumps = match &item.what {
                What::Lost(loss) => loss.clumps,
                _ => 1,
            };
            let block_type = types.first().copied().filter(|_| types.len() == 1);
            self.stays(item.offset, item.len, clumps, (*score, block_type));
        }
        self.send(bunch.whole)
    }

    /// Sends blocks. Where a stretch has others between its damaged clumps, most
    /// of them are there.
    fn send(&mut self, mut blocks: Vec<(BlockType, Score, Vec<u8>)>) -> Result<(), Error> {
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

    /// Nothing has changed here; an accepted stretch is remembered as it was.
    fn stays(
        &mut self,
        offset: u64,
        len: u64,
        clumps: u64,
        (score, block_type): (Option<Score>, Option<BlockType>),
    ) {
        self.fate.stay += clumps;
        if !self.damage.accepted {
            self.left.add(Damage {
                offset,
                len,
                clumps,
                score,
                block_type,
                ..self.damage.clone()
            });
        }
    }
}

impl Bunch {
    fn add(&mut self, log: &mut Log, item: Item) {
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

fn told(damage: &Damage, fate: &Fate) -> String {
    let Damage {
        arena,
        offset,
        clumps,
        ..
    } = damage;
    let what = match clumps {
        0 | 1 => format!("arena {arena} clump {offset:#x}"),
        _ => format!(
            "arena {arena} clumps from {offset:#x} to {:#x}",
            damage.end()
        ),
    };
    match fate {
        Fate {
            stay: 0, sent: 0, ..
        } => format!("{what}: found intact there"),
        Fate { stay: 0, .. } => format!("{what}: mended, sent"),
        Fate { stay, .. } if *clumps > 1 => format!(
            "{what}: {stay} still damaged in the source and not there; \
             mark them accepted in wrcmds if they are lost for good"
        ),
        _ => format!(
            "{what}: still damaged in the source and not there; \
             mark it accepted in wrcmds if it is lost for good"
        ),
    }
}
