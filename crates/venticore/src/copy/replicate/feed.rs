//! One target: what it lacks is sent, and what it has acknowledged is told.

use crate::copy::cursor::Cursor;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::batch::{Lease, Sendable};
use super::note::{Departure, How, Member, Report};
use super::{Manner, ReachedPlace, Tally};
use crate::codec::blocktype::{BLOCK_MAX, BlockType};
use crate::codec::score::Score;
use crate::net::client::{Client, ClientError, Presence};
use crate::status::Status;

/// A batch on its way to a target.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) batch: Arc<Lease>,
    /// Where the batch starts.
    pub(super) at: Cursor,
    /// What is reached once it is acknowledged; none before the first clump.
    pub(super) place: Option<ReachedPlace>,
    /// Sync after it.
    pub(super) checkpoint: bool,
}

/// A parcel in the queue of a target. The queue of one that was left to itself
/// is emptied, so that it keeps no more than the parcel it is at.
pub(super) struct Posted(Mutex<Option<Parcel>>);

impl Posted {
    pub(super) fn new(parcel: Parcel) -> Self {
        Posted(Mutex::new(Some(parcel)))
    }

    /// The parcel; none where it was taken before.
    pub(super) fn take(&self) -> Option<Parcel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Serves one target until its queue ends or it fails, and says how it ended.
pub(super) fn feed(
    member: Member,
    manner: Manner,
    queue: &Receiver<Arc<Posted>>,
    detached: &AtomicBool,
    notes: &Sender<Report>,
) {
    // What is only counted is not held back.
    let rate = manner.rate.filter(|_| member.client.is_some());
    let mut feeder = Feeder {
        seat: member.seat,
        probe_to: member.start.probe_to,
        client: member.client,
        notes,
        tally: Tally::default(),
        lacks: member.start.lacks,
        probing: match manner.probe && member.believable {
            true => Probing::Untested,
            false => Probing::Useless,
        },
        spoke_nonsense: false,
        quiet: 0,
        pace: rate.map(Pace::new),
        place: None,
        told: None,
    };
    let how = match ClientError::of_panic(|| feeder.serve(queue)) {
        Ok(()) if detached.load(Ordering::Acquire) => How::Behind,
        Ok(()) => How::Current,
        Err(ClientError::Protocol { .. }) if feeder.spoke_nonsense => How::Nonsense,
        Err(error) => How::Failed(error),
    };
    let ended = Departure {
        tally: feeder.tally,
        lacks: feeder.lacks,
        believable: feeder.probing != Probing::Useless,
        how,
    };
    // Nobody keeps books any more when the run was given up.
    let _ = notes.send(Report::Ended(member.seat, ended));
}

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

struct Feeder<'a> {
    seat: usize,
    probe_to: Cursor,
    client: Option<Client>,
    notes: &'a Sender<Report>,
    tally: Tally,
    /// Blocks that it could not give back.
    lacks: Vec<(Score, BlockType)>,
    probing: Probing,
    /// A probe made it break the protocol.
    spoke_nonsense: bool,
    /// Batches in a row that had nothing the target had.
    quiet: u32,
    pace: Option<Pace>,
    /// What is reached once everything sent is acknowledged.
    place: Option<ReachedPlace>,
    told: Option<ReachedPlace>,
}

impl Feeder<'_> {
    fn serve(&mut self, queue: &Receiver<Arc<Posted>>) -> Result<(), ClientError> {
        self.test_probes()?;
        for posted in queue {
            // One that was taken back ends it: what comes after it must not go.
            let Some(parcel) = posted.take() else {
                break;
            };
            self.deliver(&parcel)?;
            self.place = parcel.place.or(self.place);
            if parcel.checkpoint {
                self.acknowledge()?;
            }
        }
        self.acknowledge()
    }

    fn acknowledge(&mut self) -> Result<(), ClientError> {
        if let Some(client) = &mut self.client {
            client.sync()?;
        }
        if let Some(place) = self.place
            && self.told != self.place
        {
            self.told = self.place;
            let _ = self.notes.send(Report::Acknowledged(self.seat, place));
        }
        Ok(())
    }

    /// Looks for what is damaged in the source: a target may have it from
    /// elsewhere.
    fn look_for_lost(&mut self, parcel: &Parcel) -> Result<(), ClientError> {
        let lost: Vec<_> = parcel.batch.lost().collect();
        let Some(client) = self.client.as_mut().filter(|_| !lost.is_empty()) else {
            return Ok(());
        };
        let mut there = HashSet::new();
        let wanted = lost
            .iter()
            .map(|&(_, score, block_type)| (score, block_type));
        client.read_many(wanted, |number, block| {
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

    fn deliver(&mut self, parcel: &Parcel) -> Result<(), ClientError> {
        self.look_for_lost(parcel)?;
        let mut blocks: Vec<Sendable<'_>> = parcel.batch.blocks().collect();
        if blocks.is_empty() {
            // An arena without anything new says nothing of what is there.
            return Ok(());
        }
        if self.asks(parcel.at) {
            let before = blocks.len();
            blocks = self.lacking(blocks)?;
            let present = before - blocks.len();
            self.tally.present += present as u64;
            self.quiet = if present == 0 { self.quiet + 1 } else { 0 };
        } else {
            self.quiet = self.quiet.saturating_add(1);
        }
        let bytes: u64 = blocks.iter().map(|block| block.block.2.len() as u64).sum();
        self.tally.sent += blocks.len() as u64;
        self.tally.bytes += bytes;
        self.tally.log_bytes += blocks.iter().map(|block| block.log_bytes).sum::<u64>();
        if let Some(client) = &mut self.client {
            client.write_all(blocks.iter().map(|block| block.block))?;
        }
        if let Some(pace) = &mut self.pace {
            pace.wait(bytes);
        }
        Ok(())
    }

    /// Whether to ask before sending a batch: at first, as long as that finds
    /// anything, and now and then in a stretch that may be there.
    fn asks(&self, at: Cursor) -> bool {
        self.client.is_some()
            && self.probing != Probing::Useless
            && (self.quiet < QUIET || at < self.probe_to && self.quiet.is_multiple_of(ASK_AGAIN))
    }

    /// Asks for what it could not give back: a server that says yes to that
    /// would be believed where it should be sent to.
    fn test_probes(&mut self) -> Result<(), ClientError> {
        let Some(client) = &mut self.client else {
            return Ok(());
        };
        if self.probing == Probing::Useless {
            self.lacks.clear();
            return Ok(());
        }
        let mut believable = true;
        let asked = client.probe_many(self.lacks.iter().copied(), |_, presence| {
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
        let Some(client) = &mut self.client else {
            return Ok(blocks);
        };
        // What is wrong with a reply to a write is not blamed on the probes.
        client.settle()?;
        let mut has = vec![false; blocks.len()];
        let mut answers = true;
        let wanted = blocks.iter().map(|of| (of.block.1, of.block.0));
        let asked = client.probe_many(wanted, |number, presence| {
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
        let Some(client) = &mut self.client else {
            return Ok(blocks);
        };
        let first = has
            .iter()
            .position(|&has| has)
            .and_then(|at| blocks.get(at));
        if let (Probing::Untested, Some(of)) = (self.probing, first) {
            let (ty, score, _) = of.block;
            let read = client.read(&score, ty, BLOCK_MAX);
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

/// A limit on bytes a second.
struct Pace {
    rate: u64,
    /// When the next byte may go.
    next: Instant,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Pace {
            rate: rate.max(1),
            next: Instant::now(),
        }
    }

    /// Waits until what was sent before these bytes has taken its time.
    fn wait(&mut self, bytes: u64) {
        let now = Instant::now();
        thread::sleep(self.next.saturating_duration_since(now));
        let took = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        self.next = self.next.max(now) + took;
    }
}
