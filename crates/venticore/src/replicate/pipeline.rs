//! Reading ahead and verifying on all cores, in order.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, Scope};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::batch::{Batch, Lease};
use super::{At, Job};
use crate::arena::Arena;
use crate::arena::log::{Item, Log, Loss, What};

/// Batches that may wait for one target.
pub(super) const QUEUE: usize = 4;

/// Batches that a target has at most: the one it is at, and those that wait.
const HELD: usize = QUEUE + 1;

/// Verifying threads at most: more would only hold more batches.
const MOST_WORKERS: usize = 8;

type Ticket = Receiver<Lease>;

/// The verified batches of a job, as they come.
pub(super) struct Pipeline {
    /// One ticket a batch, in the order of the log; each brings its batch when
    /// that is verified.
    pub(super) tickets: Receiver<Ticket>,
    /// Where batches return to.
    home: Sender<Batch>,
    /// Ends the reader when dropped. It may be waiting for a batch, and those
    /// in tickets that nobody takes come back only after it has ended: a
    /// bounded channel keeps what is in it until both sides are gone.
    _wanted: Sender<()>,
}

/// A batch to verify, and where to send it then.
struct Work {
    batch: Lease,
    done: Sender<Lease>,
}

impl Pipeline {
    /// Starts a thread that reads and one for each core that verifies. They
    /// end by themselves when the pipeline is dropped.
    ///
    /// A batch ends where `checkpoint` bytes of log are in it: targets sync
    /// between batches only. At most so many `targets` will be left behind.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        job: &'scope Job,
        from: At,
        checkpoint: u64,
        targets: usize,
    ) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = cores.min(MOST_WORKERS);
        let batches = 2 * workers + QUEUE + 2;
        let (home, pool) = bounded(batches + targets * HELD);
        for _ in 0..batches {
            let _ = home.try_send(Batch::default());
        }
        let (work_in, work_out) = bounded::<Work>(batches);
        let (ticket_in, tickets) = bounded(batches);
        let (wanted, unwanted) = bounded(0);
        for _ in 0..workers {
            let work = work_out.clone();
            scope.spawn(move || verify(job, &work));
        }
        let batches_home = home.clone();
        scope.spawn(move || {
            Reader {
                job,
                from,
                home: batches_home,
                pool,
                unwanted,
                work: work_in,
                tickets: ticket_in,
                checkpoint,
                left: job.max_clumps.unwrap_or(u64::MAX),
            }
            .read();
        });
        Pipeline {
            tickets,
            home,
            _wanted: wanted,
        }
    }

    /// Puts new batches in place of those that a target which was left behind may
    /// keep for as long as nothing moves there.
    pub(super) fn make_up(&self) {
        for _ in 0..HELD {
            let _ = self.home.try_send(Batch::default());
        }
    }
}

fn verify(job: &Job, work: &Receiver<Work>) {
    for Work { mut batch, done } in work {
        if let Some(arena) = job.arenas.get(batch.arena) {
            batch.verify(job.source.as_ref(), arena, job.synced);
        }
        // Nobody waits for it when the run has ended early.
        let _ = done.send(batch);
    }
}

/// The run has ended: nobody takes batches any more.
struct Ended;

/// Walks the logs and fills batches.
struct Reader<'a> {
    job: &'a Job,
    from: At,
    home: Sender<Batch>,
    pool: Receiver<Batch>,
    /// Ends when nobody takes batches any more.
    unwanted: Receiver<()>,
    work: Sender<Work>,
    tickets: Sender<Ticket>,
    /// Bytes of log a batch holds at most, the last clump aside.
    checkpoint: u64,
    /// Clumps still to be read.
    left: u64,
}

impl Reader<'_> {
    fn read(mut self) {
        for (number, arena) in self.job.arenas.iter().enumerate().skip(self.from.arena) {
            if self.read_arena(number, arena).is_err() || !self.job.may_leave(arena) {
                return;
            }
        }
    }

    fn read_arena(&mut self, number: usize, arena: &Arena) -> Result<(), Ended> {
        let from = match number == self.from.arena {
            true => self.from.offset,
            false => 0,
        };
        let source = Arc::clone(&self.job.source);
        let mut batch = self.empty(number)?;
        let mut log = match Log::open(source, arena, from, self.job.synced) {
            Ok(log) => log,
            Err(error) => {
                batch.error = Some(error);
                return self.send(batch);
            }
        };
        let mut start = from;
        while self.left > 0
            && let Some(item) = log.next()
        {
            self.left -= 1;
            let end = item.end();
            match item.what {
                What::Clump { .. } => match log.stored(&item) {
                    Ok(stored) => batch.push(item, stored),
                    Err(error) => batch.push(unreadable(item, &error), &[]),
                },
                _ => batch.push(item, &[]),
            }
            if batch.is_full() || end - start >= self.checkpoint {
                start = end;
                let full = std::mem::replace(&mut batch, self.empty(number)?);
                self.send(full)?;
            }
        }
        self.send(batch)
    }

    /// An empty batch from the pool: here a reader that is ahead waits.
    fn empty(&self, arena: usize) -> Result<Lease, Ended> {
        let mut batch = select! {
            recv(self.pool) -> batch => batch.map_err(|_| Ended)?,
            recv(self.unwanted) -> _ => return Err(Ended),
        };
        batch.clear();
        batch.arena = arena;
        Ok(Lease::new(batch, self.home.clone()))
    }

    fn send(&self, batch: Lease) -> Result<(), Ended> {
        let (done, ticket) = bounded(1);
        self.tickets.send(ticket).map_err(|_| Ended)?;
        self.work.send(Work { batch, done }).map_err(|_| Ended)
    }
}

fn unreadable(item: Item, error: &std::io::Error) -> Item {
    let (score, block_type) = match &item.what {
        What::Clump {
            header, block_type, ..
        } => (Some(header.score), Some(*block_type)),
        _ => (None, None),
    };
    Item {
        what: What::Lost(Loss {
            score,
            block_type,
            clumps: 1,
            why: format!("cannot be read: {error}"),
            maybe_late: false,
        }),
        ..item
    }
}
