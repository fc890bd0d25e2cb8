//! A walk over everything below some entries, to see that a venti has it.
//!
//! It goes deepest first, with a window of requests outstanding. What it holds is
//! a window of blocks for each level it is below the top, at most; the scores
//! of the pointer and directory blocks that it met, so that a shared subtree
//! is visited once (about 40 bytes for each, which in an archive of 8 KiB
//! blocks stands for 3 MB of data); and a cache, of fixed size, of leaves. A
//! leaf that has dropped out of that is looked at again, which costs time only.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::TreeError;
use super::damage::{BadBlock, BlockFault};
use super::seen::Seen;
use super::task::{Above, BlockTask, Child, Frame, StreamWalk};
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::tree::{Entry, FormatError, Root};
use crate::net::client::{self, Client, Presence};

/// Leaves that are asked for together.
const PROBES: usize = 4096;

/// The most leaves of a stream that are given to the visitor: a directory with
/// some hundred million files.
const GIVEN_MAX: u64 = 1 << 22;

/// What becomes of the leaves of a stream, and of what lies below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafPlan {
    /// Data is asked for and not moved; directories are followed.
    Probe,
    /// Data is read; directories are followed.
    Read,
    /// Leaves are read and given to [`Visitor::leaf`]; entries in them are not
    /// followed. Leaves past the stream's size are left out.
    Give,
    /// A directory stream, of which [`Visitor::entry`] decides entry by entry.
    /// Leaves past the stream's size are left out.
    Follow,
}

impl LeafPlan {
    /// Whether the visitor wants all of the stream, also where the same
    /// block comes twice. Nothing but the size bounds such a stream.
    pub(super) fn is_told(self) -> bool {
        matches!(self, Self::Give | Self::Follow)
    }
}

/// A stream to be walked.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// The stream.
    pub entry: Entry,
    /// What to do with its leaves.
    pub plan: LeafPlan,
    /// The caller's name for it.
    pub id: usize,
    /// The numbers of the entries that lead to it.
    pub path: Vec<u64>,
}

/// A leaf that was read and hashed to its score.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// The caller's name for its stream.
    pub id: usize,
    /// Its number in the stream, from 0.
    pub number: u64,
    /// Its bytes, without the zeros at its end.
    pub data: &'a [u8],
}

/// What a walk tells.
pub trait Visitor {
    /// A leaf of a stream with [`LeafPlan::Give`]. They come in any order, holes
    /// not at all.
    fn leaf(&mut self, _leaf: Leaf<'_>) {}
    /// An entry that is in use, number `number` of a stream with
    /// [`LeafPlan::Follow`]: what to do with its stream. `None` passes it over.
    fn entry(&mut self, _id: usize, _number: u64, _entry: &Entry) -> Option<LeafPlan> {
        None
    }
    /// A block is not there, or is not what it should be. What lies below it is not
    /// looked at, except where only the size of its stream is invalid. `id` is the
    /// caller's name for the stream that was asked for.
    fn damage(&mut self, id: usize, damage: BadBlock);
}

/// How many blocks were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read and hashed.
    pub read: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Asked for only.
    pub probed: u64,
    /// Met again, and passed over.
    pub shared: u64,
    /// Missing or damaged.
    pub damaged: u64,
}

/// Reads a root block.
///
/// # Errors
/// The server was lost. What is wrong with the block comes as the inner error.
pub fn read_root(
    client: &mut Client,
    score: &Score,
) -> Result<Result<Root, BadBlock>, client::ClientError> {
    let ty = BlockType::Root;
    let damage = |fault| BadBlock {
        path: Vec::new(),
        ty,
        score: *score,
        fault,
    };
    let block = match client.read(score, ty, u32::try_from(Root::LEN).unwrap_or(u32::MAX)) {
        Ok(block) => block,
        Err(error) => return BadBlock::of(error).map(|fault| Err(damage(fault))),
    };
    let format = |e: FormatError| damage(BlockFault::Format(e.to_string()));
    Ok(Root::parse(&block).map_err(format))
}

/// Walks over one connection. It remembers what it has seen from one
/// [`Walker::run`] to the next.
pub struct Walker<'c> {
    client: &'c mut Client,
    probes: bool,
    seen: Seen,
    counts: Counts,
    tick: Box<dyn FnMut(&Counts) + 'c>,
}

impl<'c> Walker<'c> {
    /// A walker that has seen nothing.
    ///
    /// Whether the server answers probes is tried on `known`, a block that was
    /// just read; where it does not, leaves are read instead. `tick` is told
    /// the counts now and then.
    ///
    /// # Errors
    /// The server was lost.
    pub fn new(
        client: &'c mut Client,
        known: (Score, BlockType),
        tick: impl FnMut(&Counts) + 'c,
    ) -> Result<Self, client::ClientError> {
        let answer = client.probe(&known.0, known.1)?;
        Ok(Walker {
            probes: matches!(answer, Presence::Present { .. }),
            client,
            seen: Seen::new(),
            counts: Counts::default(),
            tick: Box::new(tick),
        })
    }

    /// What was looked at so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Walks over these streams, and all that lies below.
    ///
    /// # Errors
    /// [`TreeError`]; what is wrong with single blocks goes to the visitor.
    pub fn run(
        &mut self,
        streams: impl IntoIterator<Item = StreamRequest>,
        visit: &mut dyn Visitor,
    ) -> Result<(), TreeError> {
        let mut state = WalkState {
            tops: streams.into_iter().collect(),
            frames: Vec::new(),
            probes: Vec::new(),
            retry: Vec::new(),
            ask: self.probes,
            too_many: false,
            seen: &mut self.seen,
            counts: &mut self.counts,
            visit,
        };
        state.tops.reverse();
        let state = RefCell::new(state);
        while state.borrow().has_work() {
            read_some(self.client, &state)?;
            probe_some(self.client, &state)?;
            let now = state.borrow();
            (self.tick)(now.counts);
            if now.too_many {
                return Err(TreeError::TooMany);
            }
        }
        Ok(())
    }
}

/// Reads until nothing is left that can be read, or enough leaves have
/// gathered that are asked for only.
fn read_some(
    client: &mut Client,
    state: &RefCell<WalkState<'_>>,
) -> Result<(), client::ClientError> {
    let flying = RefCell::new(HashMap::new());
    let mut sent = 0;
    let wanted = std::iter::from_fn(|| {
        let task = state.borrow_mut().next()?;
        let block = (task.score, task.ty());
        flying.borrow_mut().insert(sent, task);
        sent += 1;
        Some(block)
    });
    let mut failed = None;
    client.read_many(wanted, |number, block| {
        let Some(task) = flying.borrow_mut().remove(&number) else {
            return ControlFlow::Continue(());
        };
        let mut state = state.borrow_mut();
        match block.map_err(BadBlock::of) {
            Ok(data) => state.came(task, data),
            Err(Ok(fault)) => state.damaged(&task, fault),
            Err(Err(error)) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(()), Err)
}

/// Asks for the leaves that have gathered.
fn probe_some(
    client: &mut Client,
    state: &RefCell<WalkState<'_>>,
) -> Result<(), client::ClientError> {
    let tasks = std::mem::take(&mut state.borrow_mut().probes);
    let wanted = tasks.iter().map(|task| (task.score, task.ty()));
    client.probe_many(wanted, |number, presence| {
        if let Some(task) = tasks.get(number) {
            state.borrow_mut().answered(task, &presence);
        }
        ControlFlow::Continue(())
    })
}

/// Whether its blocks have sizes that blocks can have.
fn has_sizes(entry: &Entry) -> bool {
    entry.psize().min(entry.dsize()) >= Entry::SIZE_MIN
}

struct WalkState<'v> {
    /// Streams that were not begun, the next one last.
    tops: Vec<StreamRequest>,
    frames: Vec<Frame>,
    /// Leaves to be asked for.
    probes: Vec<BlockTask>,
    /// Leaves to be read because asking gave no answer.
    retry: Vec<BlockTask>,
    /// The server answers when it is asked.
    ask: bool,
    too_many: bool,
    seen: &'v mut Seen,
    counts: &'v mut Counts,
    visit: &'v mut dyn Visitor,
}

impl WalkState<'_> {
    fn has_work(&self) -> bool {
        let streams = !self.tops.is_empty() || !self.frames.is_empty();
        streams || !self.probes.is_empty() || !self.retry.is_empty()
    }

    /// The next block to be read; none where there is none now.
    fn next(&mut self) -> Option<BlockTask> {
        if let Some(task) = self.retry.pop() {
            return Some(task);
        }
        while self.probes.len() < PROBES && !self.too_many {
            let task = match self.frames.last_mut() {
                Some(frame) => match frame.child() {
                    Child::Block(task) => task,
                    Child::Entry(number, entry) => {
                        let stream = frame.task.stream.clone();
                        self.below(&stream, number, entry)
                    }
                    Child::Nothing => continue,
                    Child::End => {
                        self.frames.pop();
                        continue;
                    }
                },
                None => {
                    let wanted = self.tops.pop()?;
                    self.top(wanted)
                }
            };
            if let Some(task) = task.filter(|task| self.is_new(task)) {
                match task.is_data() && task.stream.plan == LeafPlan::Probe && self.ask {
                    true => self.probes.push(task),
                    false => return Some(task),
                }
            }
        }
        None
    }

    fn top(&mut self, wanted: StreamRequest) -> Option<BlockTask> {
        self.stream(StreamWalk {
            entry: wanted.entry,
            plan: wanted.plan,
            id: wanted.id,
            above: Above::Path(wanted.path),
        })
    }

    fn below(&mut self, above: &Rc<StreamWalk>, number: u64, entry: Entry) -> Option<BlockTask> {
        let plan = match above.plan {
            LeafPlan::Follow if entry.active => self.visit.entry(above.id, number, &entry)?,
            plan => plan,
        };
        self.stream(StreamWalk {
            entry,
            plan,
            id: above.id,
            above: Above::Stream(Rc::clone(above), number),
        })
    }

    /// The top block of a stream, if it has any.
    fn stream(&mut self, stream: StreamWalk) -> Option<BlockTask> {
        let entry = stream.entry;
        if !entry.active || entry.score.is_nil() {
            return None;
        }
        let task = BlockTask {
            stream: Rc::new(stream),
            score: entry.score,
            level: entry.depth,
            number: 0,
        };
        let mut checked = entry.check().map_err(|e| e.to_string());
        if task.stream.plan.is_told() && entry.leaves() > GIVEN_MAX {
            checked = Err(format!(
                "expected a directory of at most {GIVEN_MAX} blocks, found {}",
                entry.leaves()
            ));
        }
        match checked {
            Ok(()) => Some(task),
            Err(_)
                if entry.is_too_shallow() && has_sizes(&entry) && !task.stream.plan.is_told() =>
            {
                let (most, found) = (entry.size_max(), entry.size);
                self.damaged(&task, BlockFault::Size { most, found });
                Some(task)
            }
            Err(text) => {
                self.damaged(&task, BlockFault::Format(text));
                None
            }
        }
    }

    /// Whether a block is to be looked at; remembers it.
    fn is_new(&mut self, task: &BlockTask) -> bool {
        if task.stream.plan.is_told() {
            return true;
        }
        let new = match task.is_data() {
            true => self.seen.leaf(&task.key()),
            false => self.seen.block(task.key()),
        };
        self.counts.shared += u64::from(!new);
        self.too_many |= self.seen.is_full();
        new
    }

    /// A block has come, and its score is right.
    fn came(&mut self, task: BlockTask, data: &[u8]) {
        self.counts.read += 1;
        let found = data.len() as u64;
        self.counts.bytes += found;
        let entry = &task.stream.entry;
        let most = match task.level {
            0 => entry.dsize(),
            _ => entry.psize(),
        };
        if found > most {
            self.damaged(&task, BlockFault::Long { most, found });
        } else if task.level == 0 && task.stream.plan == LeafPlan::Give {
            let (id, number) = (task.stream.id, task.number);
            self.visit.leaf(Leaf { id, number, data });
        } else if !task.is_data() {
            self.frames.push(Frame::of(task, data));
        }
    }

    /// A server was asked whether it has a leaf.
    fn answered(&mut self, task: &BlockTask, presence: &Presence) {
        self.counts.probed += 1;
        let most = task.stream.entry.dsize();
        match presence {
            Presence::Present { size } if u64::from(*size) <= most => {}
            Presence::Present { size } => {
                let found = (*size).into();
                self.damaged(task, BlockFault::Long { most, found });
            }
            Presence::Absent => self.damaged(task, BlockFault::Missing),
            Presence::NoAnswer(_) => self.retry.push(task.clone()),
        }
    }

    fn damaged(&mut self, task: &BlockTask, fault: BlockFault) {
        self.counts.damaged += 1;
        let damage = BadBlock {
            path: task.stream.path(),
            ty: task.ty(),
            score: task.score,
            fault,
        };
        self.visit.damage(task.stream.id, damage);
    }
}
