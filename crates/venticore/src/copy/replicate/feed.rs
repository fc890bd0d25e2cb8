//! One target: what it lacks is sent, and what it has acknowledged is told.

mod replica;
mod venti;

use crate::copy::cursor::Cursor;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::batch::{Lease, Sendable};
use super::note::{Departure, How, Member, Report};
use super::recipient::Recipient;
use super::{CopyJob, Manner, ReachedPlace, Tally};
use crate::net::client::ClientError;
use replica::ReplicaFeed;
use venti::VentiFeed;

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
    job: &CopyJob,
    manner: Manner,
    queue: &Receiver<Arc<Posted>>,
    detached: &AtomicBool,
    notes: &Sender<Report>,
) {
    let seat = member.seat;
    let mut lacks = member.start.lacks.clone();
    let feeds = match member.recipient {
        None => Feeds::Counter,
        Some(Recipient::Replica(writer)) => {
            Feeds::Replica(ReplicaFeed::new(writer, job, member.start.from))
        }
        Some(Recipient::Venti(client)) => {
            let believes = manner.probe && member.believable;
            Feeds::Venti(VentiFeed::new(*client, seat, member.start, believes, notes))
        }
    };
    // What is only counted is not held back.
    let rate = manner.rate.filter(|_| !matches!(feeds, Feeds::Counter));
    let mut feeder = Feeder {
        seat,
        feeds,
        notes,
        tally: Tally::default(),
        pace: rate.map(Pace::new),
        place: None,
        told: None,
    };
    let result = ClientError::of_panic(|| feeder.serve(queue, detached));
    let (mut believable, mut spoke_nonsense) = (member.believable, false);
    if let Feeds::Venti(venti) = feeder.feeds {
        (believable, spoke_nonsense) = (venti.is_believable(), venti.spoke_nonsense);
        lacks = venti.lacks;
    }
    let how = match result {
        Ok(()) if detached.load(Ordering::Acquire) => How::Behind,
        Ok(()) => How::Current,
        Err(ClientError::Protocol { .. }) if spoke_nonsense => How::Nonsense,
        Err(error) => How::Failed(error),
    };
    let ended = Departure {
        tally: feeder.tally,
        lacks,
        believable,
        how,
    };
    // Nobody keeps books any more when the run was given up.
    let _ = notes.send(Report::Ended(seat, ended));
}

/// What is fed.
enum Feeds<'a> {
    /// Nothing: what there is, is counted.
    Counter,
    Venti(VentiFeed<'a>),
    Replica(ReplicaFeed<'a>),
}

struct Feeder<'a> {
    seat: usize,
    feeds: Feeds<'a>,
    notes: &'a Sender<Report>,
    tally: Tally,
    pace: Option<Pace>,
    /// What is reached once everything sent is acknowledged.
    place: Option<ReachedPlace>,
    told: Option<ReachedPlace>,
}

impl Feeder<'_> {
    fn serve(
        &mut self,
        queue: &Receiver<Arc<Posted>>,
        detached: &AtomicBool,
    ) -> Result<(), ClientError> {
        match &mut self.feeds {
            Feeds::Counter => {}
            Feeds::Venti(venti) => venti.test_probes()?,
            Feeds::Replica(replica) => replica.seal_earlier()?,
        }
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
        self.acknowledge()?;
        match &mut self.feeds {
            Feeds::Replica(replica) if !detached.load(Ordering::Acquire) => replica.seal(),
            _ => Ok(()),
        }
    }

    fn acknowledge(&mut self) -> Result<(), ClientError> {
        match &mut self.feeds {
            Feeds::Counter => {}
            Feeds::Venti(venti) => venti.sync()?,
            Feeds::Replica(replica) => replica.sync()?,
        }
        if let Some(place) = self.place
            && self.told != self.place
        {
            self.told = self.place;
            let _ = self.notes.send(Report::Acknowledged(self.seat, place));
        }
        Ok(())
    }

    fn deliver(&mut self, parcel: &Parcel) -> Result<(), ClientError> {
        let given = match &mut self.feeds {
            Feeds::Counter => sum(parcel.batch.blocks()),
            Feeds::Venti(venti) => venti.deliver(parcel)?,
            Feeds::Replica(replica) => replica.deliver(parcel)?,
        };
        self.tally += given;
        if let Some(pace) = &mut self.pace {
            pace.wait(given.bytes);
        }
        Ok(())
    }
}

/// What it is to be given these blocks.
fn sum<'b>(blocks: impl Iterator<Item = Sendable<'b>>) -> Tally {
    let mut tally = Tally::default();
    for block in blocks {
        tally.sent += 1;
        tally.bytes += block.block.2.len() as u64;
        tally.log_bytes += block.log_bytes;
    }
    tally
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
