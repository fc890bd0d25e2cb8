//! A venti gets blocks: those that it lacks.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crossbeam_channel::Sender;

use super::super::SendFrom;
use super::super::note::Report;
use super::{Parcel, Sendable, Tally, sum};
use crate::codec::blocktype::{BLOCK_MAX, BlockType};
use crate::codec::score::Score;
use crate::copy::cursor::Cursor;
use crate::net::client::{Client, ClientError, Presence};
use crate::status::Status;

/// What is known of probing a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probing {
    /// No block it claims to have has been read yet.
    Untested,
    /// A block it claimed to have was read, and was right.
    Trusted,
    /// Its answers do not tell: everything is written.
    Useless,
}

/// Batches without a block that was there already, after which most are sent
/// without asking.
const QUIET: u32 = 2;

/// In a stretch that may be there already, one of this many batches is asked
/// for all the same.
const ASK_AGAIN: u32 = 8;

pub(super) struct VentiFeed<'a> {
    client: Client,
    seat: usize,
    notes: &'a Sender<Report>,
    probe_to: Cursor,
    /// Blocks that it could not give back.
    pub(super) lacks: Vec<(Score, BlockType)>,
    probing: Probing,
    /// A probe made it break the protocol.
    pub(super) spoke_nonsense: bool,
    /// Batches in a row that had nothing the target had.
    quiet: u32,
}

impl<'a> VentiFeed<'a> {
    pub(super) fn new(
        client: Client,
        seat: usize,
        start: SendFrom,
        believes: bool,
        notes: &'a Sender<Report>,
    ) -> Self {
        VentiFeed {
            client,
            seat,
            notes,
            probe_to: start.probe_to,
            lacks: start.lacks,
            probing: match believes {
                true => Probing::Untested,
                false => Probing::Useless,
            },
            spoke_nonsense: false,
            quiet: 0,
        }
    }

    /// Its answers to probes have not been found useless.
    pub(super) fn is_believable(&self) -> bool {
        self.probing != Probing::Useless
    }

    pub(super) fn sync(&mut self) -> Result<(), ClientError> {
        self.client.sync()
    }

    /// Looks for what is damaged in the source: a target may have it from
    /// elsewhere.
    fn look_for_lost(&mut self, parcel: &Parcel) -> Result<(), ClientError> {
        let lost: Vec<_> = parcel.batch.lost().collect();
        if lost.is_empty() {
            return Ok(());
        }
        let mut there = HashSet::new();
        let wanted = lost
            .iter()
            .map(|&(_, score, block_type)| (score, block_type));
        self.client.read_many(wanted, |number, block| {
            if let (Ok(_), Some(&(offset, ..))) = (block, lost.get(number)) {
                let arena = parcel.batch.arena;
                there.insert(Cursor { arena, offset });
            }
            ControlFlow::Continue(())
        })?;
        if !there.is_empty() {
            let _ = self.notes.send(Report::There(self.seat, there));
        }
        Ok(())
    }

    /// Sends what it lacks, and tells what that was.
    pub(super) fn deliver(&mut self, parcel: &Parcel) -> Result<Tally, ClientError> {
        self.look_for_lost(parcel)?;
        let mut blocks: Vec<Sendable<'_>> = parcel.batch.blocks().collect();
        if blocks.is_empty() {
            // An arena without anything new says nothing of what is there.
            return Ok(Tally::default());
        }
        let mut present = 0;
        if self.asks(parcel.at) {
            let before = blocks.len();
            blocks = self.lacking(blocks)?;
            present = before - blocks.len();
            self.quiet = if present == 0 { self.quiet + 1 } else { 0 };
        } else {
            self.quiet = self.quiet.saturating_add(1);
        }
        self.client
            .write_all(blocks.iter().map(|block| block.block))?;
        Ok(Tally {
            present: present as u64,
            ..sum(blocks.into_iter())
        })
    }

    /// Whether to ask before sending a batch: at first, as long as that finds
    /// anything, and now and then in a stretch that may be there.
    fn asks(&self, at: Cursor) -> bool {
        self.probing != Probing::Useless
            && (self.quiet < QUIET || at < self.probe_to && self.quiet.is_multiple_of(ASK_AGAIN))
    }

    /// Asks for what it could not give back: a server that says yes to that
    /// would be believed where it should be sent to.
    pub(super) fn test_probes(&mut self) -> Result<(), ClientError> {
        if self.probing == Probing::Useless {
            self.lacks.clear();
            return Ok(());
        }
        let mut believable = true;
        let asked = self
            .client
            .probe_many(self.lacks.iter().copied(), |_, presence| {
                believable &= presence == Presence::Absent;
                ControlFlow::Continue(())
            });
        self.note_nonsense(asked)?;
        self.lacks.clear();
        if !believable {
            self.probing = Probing::Useless;
        }
        Ok(())
    }

    /// A server whose answers to probes break the protocol is not probed again.
    fn note_nonsense(&mut self, asked: Result<(), ClientError>) -> Result<(), ClientError> {
        if matches!(asked, Err(ClientError::Protocol { .. })) {
            self.probing = Probing::Useless;
            self.spoke_nonsense = true;
        }
        asked
    }

    /// The blocks that the target does not have.
    fn lacking<'b>(&mut self, blocks: Vec<Sendable<'b>>) -> Result<Vec<Sendable<'b>>, ClientError> {
        // What is wrong with a reply to a write is not blamed on the probes.
        self.client.settle()?;
        let mut has = vec![false; blocks.len()];
        let mut answers = true;
        let wanted = blocks.iter().map(|of| (of.block.1, of.block.0));
        let asked = self.client.probe_many(wanted, |number, presence| {
            match (presence, has.get_mut(number), blocks.get(number)) {
                (Presence::Present { size }, Some(has), Some(of)) => {
                    *has = usize::try_from(size) == Ok(of.block.2.len());
                }
                (Presence::NoAnswer(_), ..) => answers = false,
                _ => {}
            }
            ControlFlow::Continue(())
        });
        self.note_nonsense(asked)?;
        let first = has
            .iter()
            .position(|&has| has)
            .and_then(|at| blocks.get(at));
        if let (Probing::Untested, Some(of)) = (self.probing, first) {
            let (ty, score, _) = of.block;
            let read = self.client.read(&score, ty, BLOCK_MAX);
            self.probing = match read {
                Ok(_) => Probing::Trusted,
                Err(error) if error.status() == Status::Unreachable => return Err(error),
                Err(_) => Probing::Useless,
            };
        }
        if !answers {
            self.probing = Probing::Useless;
        }
        if self.probing == Probing::Useless {
            return Ok(blocks);
        }
        let blocks = blocks.into_iter().zip(has);
        Ok(blocks
            .filter(|(_, has)| !has)
            .map(|(block, _)| block)
            .collect())
    }
}
