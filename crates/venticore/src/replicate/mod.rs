//! Replication: from the arenas of a source to targets.
//!
//! One thread walks the logs, all cores decompress and hash, the blocks then
//! go in order to every target, and at the end each target is asked to sync.
//! Every clump is read and decoded once, whatever the number of targets. A
//! fixed number of batches circulates, so memory does not depend on the size
//! of the arenas, and a target slower than the source is waited for.

mod batch;
mod pipeline;

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::arena::log::{Item, Loss, StartError, What};
use crate::arena::{Arena, Name, ReadAt};
use crate::client::{self, Client, Limits};
use crate::dial::Dial;
use crate::score::Score;
use batch::{Batch, Block, Lease, Verdict};
use pipeline::Pipeline;

/// What to copy.
pub struct Job {
    /// The partition or file the arenas lie in.
    pub source: Arc<dyn ReadAt>,
    /// The arenas, in the order in which they are to be copied.
    pub spans: Vec<Span>,
    /// The source's server acknowledged a sync before the arenas were read.
    pub synced: bool,
    /// Stop after this many clumps.
    pub max_clumps: Option<u64>,
}

/// A stretch of one arena: from an offset to the end of its log.
#[derive(Clone, Debug)]
pub struct Span {
    /// The arena, as read just now.
    pub arena: Arena,
    /// Where to start, bytes from the start of the data section.
    pub from: u64,
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// A block was read and verified, and is on its way.
    Block(&'a Score),
    /// Bytes could not be read as blocks, and were passed over.
    Damage(&'a Damage),
    /// Another batch has been handed to the targets: totals so far.
    Progress(Tally),
    /// A target failed; the others go on.
    Lost(&'a Dial, &'a client::Error),
}

/// Something in the source that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The arena.
    pub arena: Name,
    /// Bytes from the start of its data section.
    pub offset: u64,
    /// Bytes of the log it takes up.
    pub len: u64,
    /// The score of the block, where it is known.
    pub score: Option<Score>,
    /// What is wrong.
    pub why: String,
    /// No block was lost: header or directory entry are damaged, the block
    /// hashes to its score and was sent.
    pub block_is_whole: bool,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "arena {} clump {:#x}", self.arena, self.offset)?;
        if let Some(score) = self.score {
            write!(f, " score {score}")?;
        }
        write!(f, ": {}", self.why)?;
        if self.block_is_whole {
            f.write_str("; the block itself is whole and was sent")?;
        }
        Ok(())
    }
}

/// Counts of clumps and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks verified and handed on.
    pub blocks: u64,
    /// Bytes of those blocks, uncompressed.
    pub bytes: u64,
    /// Bytes of log passed, compressed and with headers.
    pub log_bytes: u64,
    /// Clumps marked corrupt in the log itself, passed over.
    pub corrupt: u64,
    /// Damage met.
    pub damaged: u64,
}

/// How far a run came in one arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Where the walk ended, bytes from the start of the data section:
    /// everything before it was handed on, or is named damage.
    pub end: u64,
    /// The last block handed on.
    pub last: Option<Score>,
    /// Clumps the trailer counts that are not on disk yet, from `end` on.
    pub late: Option<Damage>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// For each span, how far it came; an error where it could not start.
    /// Spans that were not reached are missing at the end.
    pub spans: Vec<Result<Reached, StartError>>,
    /// For each target, in the order given: nothing if it acknowledged a sync
    /// after everything was written to it, else why not.
    pub targets: Vec<Result<(), client::Error>>,
    /// Totals over all spans.
    pub tally: Tally,
}

/// Copies all spans of a job to all targets; with no target, only reads and
/// verifies.
///
/// A target that fails is dropped and the others go on; when none is left the
/// run ends early.
pub fn run(
    job: &Job,
    targets: &[Dial],
    limits: Limits,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Report {
    let clients = dial_all(targets, limits);
    for (dial, client) in targets.iter().zip(&clients) {
        if let Err(error) = client {
            on_event(Event::Lost(dial, error));
        }
    }
    thread::scope(|scope| {
        let mut feeds = Vec::new();
        for client in clients {
            let (queue, batches) = bounded(pipeline::QUEUE);
            let feeder = client.map(|client| scope.spawn(move || feed(client, &batches)));
            feeds.push(Feed {
                queue: feeder.is_ok().then_some(queue),
                feeder: Some(feeder),
                result: None,
            });
        }
        let pipeline = Pipeline::start(scope, job);
        Collector {
            job,
            targets,
            feeds,
            on_event,
            tally: Tally::default(),
            spans: Vec::new(),
            pending: Vec::new(),
        }
        .collect(pipeline)
    })
}

fn dial_all(targets: &[Dial], limits: Limits) -> Vec<Result<Client, client::Error>> {
    thread::scope(|scope| {
        let dialing: Vec<_> = targets
            .iter()
            .map(|target| scope.spawn(move || Client::dial(target, limits)))
            .collect();
        dialing.into_iter().map(join).collect()
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Writes batches to one target until there are no more, then syncs it.
fn feed(mut client: Client, batches: &Receiver<Arc<Lease>>) -> Result<(), client::Error> {
    for batch in batches {
        client.write_all(batch.blocks())?;
    }
    client.sync()
}

type Feeder<'scope> =
    Result<thread::ScopedJoinHandle<'scope, Result<(), client::Error>>, client::Error>;

/// A target's queue, and the thread that empties it.
struct Feed<'scope> {
    queue: Option<Sender<Arc<Lease>>>,
    feeder: Option<Feeder<'scope>>,
    result: Option<Result<(), client::Error>>,
}

impl Feed<'_> {
    /// Hands a batch on; false when the target has failed meanwhile.
    fn send(&mut self, batch: &Arc<Lease>) -> bool {
        let Some(queue) = &self.queue else {
            return true;
        };
        let sent = queue.send(Arc::clone(batch)).is_ok();
        if !sent {
            self.finish();
        }
        sent
    }

    /// Ends the queue and waits for the target's last word.
    fn finish(&mut self) {
        self.queue = None;
        if let Some(feeder) = self.feeder.take() {
            self.result = Some(feeder.and_then(join));
        }
    }
}

/// Takes verified batches in order, keeps the books, and hands them on.
struct Collector<'a, 'scope> {
    job: &'a Job,
    targets: &'a [Dial],
    feeds: Vec<Feed<'scope>>,
    on_event: &'a mut dyn FnMut(Event<'_>),
    tally: Tally,
    spans: Vec<Result<Reached, StartError>>,
    /// Losses that may only be late: damage as soon as a whole clump follows.
    pending: Vec<(Item, Loss)>,
}

impl Collector<'_, '_> {
    fn collect(mut self, pipeline: Pipeline) -> Report {
        for ticket in &pipeline.tickets {
            let Ok(batch) = ticket.recv() else {
                break;
            };
            self.account(&batch);
            if !self.hand_on(&Arc::new(batch)) {
                break;
            }
            (self.on_event)(Event::Progress(self.tally));
        }
        drop(pipeline);
        self.end_span();
        for index in 0..self.feeds.len() {
            self.finish(index);
        }
        let results = self.feeds.into_iter().filter_map(|feed| feed.result);
        Report {
            targets: results.collect(),
            spans: self.spans,
            tally: self.tally,
        }
    }

    /// False when there were targets and all have failed.
    fn hand_on(&mut self, batch: &Arc<Lease>) -> bool {
        for index in 0..self.feeds.len() {
            if self
                .feeds
                .get_mut(index)
                .is_some_and(|feed| !feed.send(batch))
            {
                self.finish(index);
            }
        }
        self.feeds.is_empty() || self.feeds.iter().any(|feed| feed.queue.is_some())
    }

    fn finish(&mut self, index: usize) {
        let (Some(feed), Some(dial)) = (self.feeds.get_mut(index), self.targets.get(index)) else {
            return;
        };
        let was_connected = feed.feeder.as_ref().is_none_or(Result::is_ok);
        feed.finish();
        if let (Some(Err(error)), true) = (&feed.result, was_connected) {
            (self.on_event)(Event::Lost(dial, error));
        }
    }

    fn account(&mut self, batch: &Batch) {
        while self.spans.len() <= batch.span {
            self.end_span();
            let from = self.job.spans.get(self.spans.len());
            self.spans.push(Ok(Reached {
                end: from.map_or(0, |span| span.from),
                last: None,
                late: None,
            }));
        }
        if let (Some(error), Some(span)) = (&batch.error, self.spans.last_mut()) {
            *span = Err(error.clone());
        }
        for block in &batch.blocks {
            self.account_block(block);
        }
    }

    fn account_block(&mut self, block: &Block) {
        let item = &block.item;
        self.tally.log_bytes += item.len;
        match &block.verdict {
            Verdict::Lost(loss) if loss.maybe_late || !self.pending.is_empty() => {
                self.pending.push((item.clone(), loss.clone()));
                return;
            }
            Verdict::Lost(loss) => self.damage(item, loss),
            Verdict::Pending | Verdict::Corrupt => {
                self.settle_pending();
                self.tally.corrupt += 1;
            }
            Verdict::Good(_) => {
                self.settle_pending();
                self.good(block);
            }
        }
        if let Some(Ok(reached)) = self.spans.last_mut() {
            reached.end = item.end();
        }
    }

    fn good(&mut self, block: &Block) {
        let What::Clump { header, .. } = &block.item.what else {
            return;
        };
        self.tally.blocks += 1;
        self.tally.bytes += u64::from(header.uncompressed);
        (self.on_event)(Event::Block(&header.score));
        if let Some(Ok(reached)) = self.spans.last_mut() {
            reached.last = Some(header.score);
        }
        if let Some(note) = &block.item.note {
            let damage = Damage {
                block_is_whole: true,
                ..self.describe(&block.item, Some(header.score), note)
            };
            self.tally.damaged += 1;
            (self.on_event)(Event::Damage(&damage));
        }
    }

    fn describe(&self, item: &Item, score: Option<Score>, why: &str) -> Damage {
        let span = self.spans.len().saturating_sub(1);
        let arena = self.job.spans.get(span).map(|span| span.arena.name.clone());
        Damage {
            arena: arena.unwrap_or_else(|| Name::from_field(b"")),
            offset: item.offset,
            len: item.len,
            score,
            why: why.to_owned(),
            block_is_whole: false,
        }
    }

    fn damage(&mut self, item: &Item, loss: &Loss) {
        self.tally.damaged += 1;
        let damage = self.describe(item, loss.score, &loss.why);
        (self.on_event)(Event::Damage(&damage));
    }

    /// A whole clump follows what might have been late: it was damage.
    fn settle_pending(&mut self) {
        for (item, loss) in std::mem::take(&mut self.pending) {
            self.damage(&item, &loss);
        }
    }

    /// Nothing whole follows what may be late: the next run starts there.
    fn end_span(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let late = pending
            .first()
            .map(|(item, loss)| self.describe(item, loss.score, &loss.why));
        if let Some(Ok(reached)) = self.spans.last_mut() {
            reached.late = late;
        }
    }
}
