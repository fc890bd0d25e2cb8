//! Reading ahead and verifying on all cores, in order.

use crate::copy::cursor::Cursor;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, Scope};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::CopyJob;
use super::batch::{Batch, Lease};
use crate::source::Arena;
use crate::source::log::{ClumpLog, Item, Loss, What};

/// Batches that may wait for one target.
pub(super) const QUEUE: usize = 4;

/// Verifying threads at most: more would only hold more batches.
const MOST_WORKERS: usize = 8;

/// Walks at a time at most. Further ones wait for one of them to end.
const MOST_WALKS: usize = 16;

/// Bytes that all batches of a run may take up, as long as they need not be
/// smaller than the smallest.
const POOL: usize = 48 << 20;

/// What a run may use, by the number of its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Walks at a time.
    pub(super) walks: usize,
    /// Verifying threads of a walk.
    workers: usize,
    /// Batches of a walk.
    batches: usize,
    /// Stored and decompressed bytes of a full batch, each.
    full: usize,
}

impl Share {
    /// For `targets` targets, on a machine with `cores` cores. Each walk has its
    /// batches, and each target that hangs keeps the one it is at.
    pub(super) fn of(targets: usize, cores: usize) -> Self {
        let targets = targets.max(1);
        let walks = targets.min(MOST_WALKS);
        let workers = cores
            .min(MOST_WORKERS)
            .min((2 * MOST_WORKERS / walks).max(2));
        let batches = 2 * workers + QUEUE + 2;
        let full = POOL / 2 / (walks * batches + targets);
        Share {
            walks,
            workers,
            batches,
            full: full.clamp(Batch::SMALLEST, Batch::LARGEST),
        }
    }

    /// The same, on this machine.
    pub(super) fn here(targets: usize) -> Self {
        Self::of(
            targets,
            thread::available_parallelism().map_or(1, NonZero::get),
        )
    }
}

type Ticket = Receiver<Lease>;

/// The verified batches of a job, as they come.
pub(super) struct Pipeline {
    /// One ticket a batch, in the order of the log; each brings its batch when
    /// that is verified.
    pub(super) tickets: Receiver<Ticket>,
    /// Where batches return to.
    home: Sender<Batch>,
    /// Bytes of a full batch.
    full: usize,
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
    /// between batches only. At most `targets` targets will be left behind.
    /// The share says how many batches there are, and how large.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        job: &'scope CopyJob,
        from: Cursor,
        checkpoint: u64,
        targets: usize,
        share: Share,
    ) -> Self {
        let Share {
            workers,
            batches,
            full,
            ..
        } = share;
        let (home, pool) = bounded(batches + targets);
        for _ in 0..batches {
            let _ = home.try_send(Batch::new(full));
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
            LogReader {
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
            full,
            _wanted: wanted,
        }
    }

    /// Puts a new batch in place of the one that a target which was left behind
    /// keeps for as long as nothing moves there.
    pub(super) fn make_up(&self) {
        let _ = self.home.try_send(Batch::new(self.full));
    }
}

fn verify(job: &CopyJob, work: &Receiver<Work>) {
    for Work { mut batch, done } in work {
        if let Some(arena) = job.arenas.get(batch.arena) {
            batch.verify(job.source.as_ref(), arena, job.synced);
        }
        // Nobody waits for it when the run has ended early.
        let _ = done.send(batch);
    }
}

/// The run has ended: nobody takes batches any more.
struct RunEnded;

/// Walks the logs and fills batches.
struct LogReader<'a> {
    job: &'a CopyJob,
    from: Cursor,
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

impl LogReader<'_> {
    fn read(mut self) {
        for (number, arena) in self.job.arenas.iter().enumerate().skip(self.from.arena) {
            if self.read_arena(number, arena).is_err() || !self.job.may_leave(arena) {
                return;
            }
        }
    }

    fn read_arena(&mut self, number: usize, arena: &Arena) -> Result<(), RunEnded> {
        let from = match number == self.from.arena {
            true => self.from.offset,
            false => 0,
        };
        let source = Arc::clone(&self.job.source);
        let mut batch = self.empty(number)?;
        let mut log = match ClumpLog::open(source, arena, from, self.job.synced) {
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
    fn empty(&self, arena: usize) -> Result<Lease, RunEnded> {
        let mut batch = select! {
            recv(self.pool) -> batch => batch.map_err(|_| RunEnded)?,
            recv(self.unwanted) -> _ => return Err(RunEnded),
        };
        batch.clear();
        batch.arena = arena;
        Ok(Lease::new(batch, self.home.clone()))
    }

    fn send(&self, batch: Lease) -> Result<(), RunEnded> {
        let (done, ticket) = bounded(1);
        self.tickets.send(ticket).map_err(|_| RunEnded)?;
        self.work.send(Work { batch, done }).map_err(|_| RunEnded)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of all batches that there can be.
    fn most(targets: usize, cores: usize) -> usize {
        let share = Share::of(targets, cores);
        2 * share.full * (share.walks * share.batches + targets)
    }

    #[test]
    fn one_pool_is_shared_by_all_targets() {
        assert_eq!(Share::of(1, 2).full, Batch::LARGEST);
        for cores in [1, 2, 4, 64] {
            for targets in 0..=32 {
                assert!(
                    most(targets, cores) <= POOL + (4 << 20),
                    "{targets} {cores}"
                );
            }
        }
        // Beyond, each that hangs keeps one of the smallest.
        let more = most(1000, 64) - most(100, 64);
        assert_eq!(more, 900 * 2 * Batch::SMALLEST);
    }
}
