//! A group of targets at the same place: batches are taken in order, the books
//! of the walk are kept, and each batch is handed to every target.

use crate::copy::cursor::Cursor;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender, bounded};

use super::batch::{Batch, Block, BlockVerdict};
use super::feed::{self, Parcel, Posted};
use super::note::{Member, Report, Walked};
use super::pipeline::{self, Pipeline, Share};
use super::{CopyJob, Manner, ReachedPlace, SourceDamage};
use crate::codec::arena::Name;
use crate::codec::score::Score;
use crate::source::log::{Item, Loss, What};

/// How long the others of a group wait for a target with a full queue. Then
/// it goes on by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same where each target is sent at most `rate` bytes a second: one batch's
/// time on top, since obeying the limit is not being slow.
fn patience(rate: Option<u64>) -> Duration {
    let batch = rate.map_or(0.0, |rate| Batch::MOST as f64 / rate.max(1) as f64);
    PATIENCE + Duration::from_secs_f64(batch)
}

/// Serves a group from its place to the end of the job.
pub(super) fn run_group<'scope>(
    scope: &'scope Scope<'scope, '_>,
    (number, job): (usize, &'scope CopyJob),
    members: Vec<Member>,
    from: Cursor,
    (manner, share): (Manner, Share),
    notes: &Sender<Report>,
) {
    let mut lines = Vec::new();
    for member in members {
        let (queue, parcels) = bounded(pipeline::QUEUE);
        let detached = Arc::new(AtomicBool::new(false));
        lines.push(TargetQueue {
            seat: member.seat,
            queue: Some(queue),
            posted: VecDeque::new(),
            detached: Arc::clone(&detached),
        });
        let notes = notes.clone();
        scope.spawn(move || feed::feed(member, job, manner, &parcels, &detached, &notes));
    }
    let collector = Coordinator {
        number,
        job,
        notes,
        manner,
        lines,
        at: from,
        place: None,
        pending: Vec::new(),
        since: Since::now(),
        found: Vec::new(),
    };
    let (checkpoint, targets) = (manner.checkpoint.bytes, collector.lines.len());
    collector.collect(&Pipeline::start(
        scope, job, from, checkpoint, targets, share,
    ));
    let _ = notes.send(Report::WalkEnded);
}

/// The way to one target.
struct TargetQueue {
    seat: usize,
    /// Gone when the target has failed or was left to itself.
    queue: Option<Sender<Arc<Posted>>>,
    /// What was last put into that queue, and may still be there.
    posted: VecDeque<Weak<Posted>>,
    /// Tells the target's thread that it was left to itself.
    detached: Arc<AtomicBool>,
}

/// A target was left to itself.
struct Left;

/// Places of damage after which targets are asked to sync: what was not yet
/// acknowledged is kept in memory.
const DAMAGE: u64 = 4096;

/// Places of damage that are told of together.
const TOGETHER: usize = 128;

/// What has gone to the targets since they were last asked to sync.
struct Since {
    bytes: u64,
    damage: u64,
    time: Instant,
}

impl Since {
    fn now() -> Self {
        Since {
            bytes: 0,
            damage: 0,
            time: Instant::now(),
        }
    }
}

struct Coordinator<'a> {
    /// Which of the jobs.
    number: usize,
    job: &'a CopyJob,
    notes: &'a Sender<Report>,
    manner: Manner,
    lines: Vec<TargetQueue>,
    /// Everything before has been handed on, or is named damage.
    at: Cursor,
    /// The place at `at`, once the walk has passed a clump.
    place: Option<ReachedPlace>,
    /// Losses that may only be late: damage as soon as a whole clump follows.
    pending: Vec<(Cursor, Item, Loss)>,
    since: Since,
    /// Damage that has not been told of yet.
    found: Vec<SourceDamage>,
}

impl Coordinator<'_> {
    fn collect(mut self, pipeline: &Pipeline) {
        for ticket in &pipeline.tickets {
            let Ok(batch) = ticket.recv() else {
                break;
            };
            if let Some(error) = batch.error.clone() {
                self.tell(Report::Start(error, self.seats()));
                break;
            }
            let at = self.at;
            self.account(&batch);
            let checkpoint = self.is_due();
            let parcel = Parcel {
                batch: Arc::new(batch),
                at,
                place: self.place,
                checkpoint,
            };
            for _ in 0..self.hand_on(&parcel) {
                pipeline.make_up();
            }
            if self.lines.iter().all(|line| line.queue.is_none()) {
                break;
            }
        }
        // Nothing whole follows what may be late: the next run starts there.
        if let Some((at, item, loss)) = self.pending.first() {
            let late = self.describe(*at, item, loss.score, &loss.why);
            self.tell(Report::Late(late, self.seats()));
        }
    }

    fn tell(&self, note: Report) {
        // Nobody keeps books any more when the run was given up.
        let _ = self.notes.send(note);
    }

    /// The targets that are still served.
    fn seats(&self) -> Vec<usize> {
        let served = self.lines.iter().filter(|line| line.queue.is_some());
        served.map(|line| line.seat).collect()
    }

    fn is_due(&mut self) -> bool {
        let every = self.manner.checkpoint;
        let due = self.since.bytes >= every.bytes
            || self.since.damage >= DAMAGE
            || self.since.time.elapsed() >= every.time;
        if due {
            self.since = Since::now();
        }
        due
    }

    /// Hands a parcel to all, and says how many were left behind by that.
    fn hand_on(&mut self, parcel: &Parcel) -> usize {
        let patience = patience(self.manner.rate);
        let mut left = 0;
        for number in 0..self.lines.len() {
            let others = self.seats().len() > 1;
            if let Some(line) = self.lines.get_mut(number) {
                let sent = line.send(parcel.clone(), others.then_some(patience));
                left += usize::from(sent.is_err());
            }
        }
        left
    }

    fn account(&mut self, batch: &Batch) {
        let bytes: u64 = batch.blocks.iter().map(|block| block.item.len).sum();
        for block in &batch.blocks {
            self.account_block(batch.arena, block);
        }
        self.tell_damage();
        self.since.bytes += bytes;
        self.tell(Report::Progress(Walked {
            seats: self.seats(),
            at: self.at,
            decoded: batch.decoded,
        }));
    }

    fn account_block(&mut self, arena: usize, block: &Block) {
        let item = &block.item;
        let at = Cursor {
            arena,
            offset: item.offset,
        };
        match &block.verdict {
            BlockVerdict::Lost(loss) if loss.maybe_late || !self.pending.is_empty() => {
                self.pending.push((at, item.clone(), loss.clone()));
                return;
            }
            BlockVerdict::Lost(loss) => self.damage(at, item, loss),
            BlockVerdict::Pending => self.settle_pending(),
            BlockVerdict::Corrupt => {
                self.settle_pending();
                self.damage(at, item, &corrupt(item));
            }
            BlockVerdict::Good(_) => {
                self.settle_pending();
                self.good(at, item);
            }
        }
        self.at = Cursor {
            arena,
            offset: item.end(),
        };
        self.place = Some(ReachedPlace {
            at: self.at,
            last: score_of(item),
        });
    }

    fn good(&mut self, at: Cursor, item: &Item) {
        if let (true, Some(score)) = (self.job.tell_blocks, score_of(item)) {
            self.tell(Report::Block(score));
        }
        if let Some(note) = &item.note {
            let damage = SourceDamage {
                block_is_whole: true,
                ..self.describe(at, item, score_of(item), note)
            };
            self.note_damage(damage);
        }
    }

    fn describe(&self, at: Cursor, item: &Item, score: Option<Score>, why: &str) -> SourceDamage {
        let arena = self.job.arenas.get(at.arena);
        SourceDamage {
            at,
            arena: arena.map_or_else(|| Name::from_field(b""), |arena| arena.name.clone()),
            len: item.len,
            clumps: 1,
            score,
            block_type: match &item.what {
                What::Clump { block_type, .. } => Some(*block_type),
                _ => None,
            },
            why: why.to_owned(),
            block_is_whole: false,
        }
    }

    fn damage(&mut self, at: Cursor, item: &Item, loss: &Loss) {
        let damage = SourceDamage {
            clumps: loss.clumps,
            block_type: loss.block_type,
            ..self.describe(at, item, loss.score, &loss.why)
        };
        self.since.damage += 1;
        self.note_damage(damage);
    }

    fn note_damage(&mut self, damage: SourceDamage) {
        self.found.push(damage);
        if self.found.len() >= TOGETHER {
            self.tell_damage();
        }
    }

    fn tell_damage(&mut self) {
        if !self.found.is_empty() {
            let found = std::mem::take(&mut self.found);
            self.tell(Report::Damage(self.number, found, self.seats()));
        }
    }

    /// A whole clump follows what might have been late: it was damage.
    fn settle_pending(&mut self) {
        for (at, item, loss) in std::mem::take(&mut self.pending) {
            self.damage(at, &item, &loss);
        }
    }
}

fn corrupt(item: &Item) -> Loss {
    Loss {
        score: score_of(item),
        block_type: None,
        clumps: 1,
        why: "marked as corrupt by the server or its repair tools".to_owned(),
        maybe_late: false,
    }
}

/// The score by which a place is recognised again: the score of the clump
/// before it, as its header or directory entry has it.
fn score_of(item: &Item) -> Option<Score> {
    match &item.what {
        What::Clump { header, .. } => Some(header.score),
        What::Corrupt(score) => Some(*score),
        What::Lost(loss) => loss.score,
    }
}

impl TargetQueue {
    /// Hands a parcel on. A target that keeps others waiting for longer than they
    /// do is left to itself: it gets nothing more here.
    fn send(&mut self, parcel: Parcel, others: Option<Duration>) -> Result<(), Left> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        let posted = Arc::new(Posted::new(parcel));
        self.posted.push_back(Arc::downgrade(&posted));
        if self.posted.len() > pipeline::QUEUE + 1 {
            self.posted.pop_front();
        }
        let sent = match others {
            Some(patience) => queue.send_timeout(posted, patience),
            None => queue
                .send(posted)
                .map_err(|error| SendTimeoutError::Disconnected(error.0)),
        };
        let Err(error) = sent else {
            return Ok(());
        };
        let is_slow = error.is_timeout();
        self.detached.store(is_slow, Ordering::Release);
        self.queue = None;
        match is_slow {
            true => {
                // What it was not yet given is read again where it goes on.
                let posted = self.posted.iter().filter_map(Weak::upgrade);
                posted.for_each(|posted| drop(posted.take()));
                Err(Left)
            }
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_for_all_leaves_nobody_behind() {
        assert_eq!(patience(None), PATIENCE);
        let batch = Duration::from_secs(Batch::MOST >> 10);
        assert_eq!(patience(Some(1 << 10)), PATIENCE + batch);
        assert!(patience(Some(u64::MAX)) < 2 * PATIENCE);
    }
}
