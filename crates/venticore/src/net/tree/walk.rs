//! A walk over everything below some entries, to see that a venti has it.
//!
//! It goes deepest first, in one pipeline of reads and probes: as long as there is
//! anything to be asked, a window of requests is outstanding. What it holds is bounded:
//! blocks whose children were not asked for yet (beyond [`HELD`] bytes of them, only one
//! more at a time is read that has children), and what it met before ([`Seen`]), so that a
//! shared subtree is visited once. What is not remembered is looked at again, which costs
//! time only.
//!
//! Where the server is lost, what was on its way is asked again by the next
//! [`Walker::run`], which goes on where the last one stopped.

use std::cell::RefCell;
use std::cmp::Reverse;
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
use crate::net::client::{self, Answer, Client, Presence, Question};

/// Bytes of blocks with children that are held before the walk becomes careful.
const HELD: usize = 12 << 20;

/// Bytes of them that are never held: a hostile archive could be nested that much.
const HELD_MAX: usize = 4 * HELD;

/// The most directories inside one another.
const NEST_MAX: usize = 1 << 16;

/// Answers between two calls that tell the counts.
const TICK: usize = 256;

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
    /// Bytes of the blocks that were read, and of those that are there.
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
        at: None,
        ty,
        score: *score,
        fault,
    };
    let block = match client.read(score, ty, u32::try_from(Root::LEN).unwrap_or(u32::MAX)) {
        Ok(block) => block,
        Err(error) => return BadBlock::fault_of(error).map(|fault| Err(damage(fault))),
    };
    let format = |e: FormatError| damage(BlockFault::Format(e.to_string()));
    Ok(Root::parse(&block).map_err(format))
}

/// Walks over trees, on one server. It remembers what it has seen from one
/// [`Walker::run`] to the next.
pub struct Walker<'t> {
    /// The server answers when it is asked.
    ask: bool,
    /// The most bytes of what is remembered.
    limit: usize,
    seen: Seen,
    counts: Counts,
    pending: Pending,
    tick: Box<dyn FnMut(&Counts) + 't>,
}

impl<'t> Walker<'t> {
    /// The most bytes that the walkers of one run should remember together.
    pub const MEMORY: usize = Seen::LIMIT;

    /// A walker that has seen nothing, and remembers up to `memory` bytes of it. Leaves
    /// are read, whatever their plan, unless [`Walker::try_probes`] finds that the server
    /// can be asked. `tick` is told the counts now and then.
    pub fn new(memory: usize, tick: impl FnMut(&Counts) + 't) -> Self {
        Walker {
            ask: false,
            limit: memory,
            seen: Seen::new(memory),
            counts: Counts::default(),
            pending: Pending::default(),
            tick: Box::new(tick),
        }
    }

    /// Tries on `known`, a block that was just read, whether the server answers probes.
    ///
    /// # Errors
    /// The server was lost.
    pub fn try_probes(
        &mut self,
        client: &mut Client,
        known: (Score, BlockType),
    ) -> Result<(), client::ClientError> {
        let answer = client.probe(&known.0, known.1)?;
        self.ask = matches!(answer, Presence::Present { .. });
        Ok(())
    }

    /// What was looked at so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Forgets what it met: after damage, since what lies below a block that was met
    /// before need not be whole then; and what was left to do.
    pub fn forget(&mut self) {
        self.seen = Seen::new(self.limit);
        self.pending = Pending::default();
    }

    /// Walks over these streams, and all that lies below. After the server was lost, a
    /// further call without streams goes on over a new connection.
    ///
    /// # Errors
    /// [`TreeError`]; what is wrong with single blocks goes to the visitor.
    pub fn run(
        &mut self,
        client: &mut Client,
        streams: impl IntoIterator<Item = StreamRequest>,
        visit: &mut dyn Visitor,
    ) -> Result<(), TreeError> {
        let mut streams: Vec<StreamRequest> = streams.into_iter().collect();
        streams.reverse();
        self.pending.tops.extend(streams);
        let state = RefCell::new(WalkState {
            flying: HashMap::new(),
            reading: 0,
            asked: 0,
            failed: None,
            ask: self.ask,
            pending: &mut self.pending,
            seen: &mut self.seen,
            counts: &mut self.counts,
            visit,
        });
        let answered = client.ask_many(
            || state.borrow_mut().question(),
            |number, answer| {
                let mut state = state.borrow_mut();
                let flow = state.take(number, answer);
                if number % TICK == 0 {
                    (self.tick)(state.counts);
                }
                flow
            },
        );
        let mut state = state.into_inner();
        let unanswered = state.flying.len();
        state.requeue();
        let failed = state.failed.take();
        (self.tick)(&self.counts);
        answered?;
        match (failed, unanswered) {
            (Some(failed), _) => Err(failed),
            (None, 0) => Ok(()),
            (None, count) => {
                let expected = "an answer to each question";
                Err(FormatError::whole("walk", expected, format!("{count} without one")).into())
            }
        }
    }
}

/// Whether its blocks have sizes that blocks can have.
fn has_sizes(entry: &Entry) -> bool {
    entry.psize().min(entry.dsize()) >= Entry::SIZE_MIN
}

/// What is left to do.
#[derive(Default)]
struct Pending {
    /// Streams that were not begun, the next one last.
    tops: Vec<StreamRequest>,
    /// Blocks with children, the next one last.
    frames: Vec<Frame>,
    /// Those that came since the last question, with the number of theirs.
    arrived: Vec<(usize, Frame)>,
    /// Bytes of all these blocks.
    held: usize,
    /// Blocks to be read because asking gave no answer, or none came.
    retry: Vec<BlockTask>,
}

impl Pending {
    /// Puts what has arrived on the list, what was asked for first on top.
    fn settle(&mut self) {
        self.arrived.sort_by_key(|(number, _)| Reverse(*number));
        let arrived = self.arrived.drain(..);
        self.frames.extend(arrived.map(|(_, frame)| frame));
    }

    fn pop_spent(&mut self) {
        while let Some(frame) = self.frames.pop_if(|frame| frame.is_spent()) {
            self.held = self.held.saturating_sub(frame.weight());
        }
    }
}

struct WalkState<'v> {
    /// What was asked and not answered, by number.
    flying: HashMap<usize, BlockTask>,
    /// How many of them have children.
    reading: usize,
    /// Questions so far.
    asked: usize,
    /// Why the walk cannot go on.
    failed: Option<TreeError>,
    ask: bool,
    pending: &'v mut Pending,
    seen: &'v mut Seen,
    counts: &'v mut Counts,
    visit: &'v mut dyn Visitor,
}

impl WalkState<'_> {
    /// The next question; none where there is none now.
    fn question(&mut self) -> Option<Question> {
        let task = match self.pending.retry.pop() {
            Some(task) => task,
            None => self.next()?,
        };
        let (score, ty) = (task.score, task.ty());
        let is_asked = self.is_asked(&task);
        self.reading += usize::from(!task.is_data());
        self.flying.insert(self.asked, task);
        self.asked += 1;
        Some(match is_asked {
            true => Question::Probe(score, ty),
            false => Question::Read(score, ty),
        })
    }

    /// Whether a block is asked for only.
    fn is_asked(&self, task: &BlockTask) -> bool {
        self.ask && !task.is_refused && task.is_data() && task.stream.plan == LeafPlan::Probe
    }

    /// Takes an answer. What is wrong with the server ends the walk.
    fn take(&mut self, number: usize, answer: Answer<'_>) -> ControlFlow<()> {
        let Some(task) = self.flying.remove(&number) else {
            return ControlFlow::Continue(());
        };
        self.reading -= usize::from(!task.is_data());
        match answer {
            Answer::Presence(presence) => self.answered(task, &presence),
            Answer::Block(Ok(data)) => self.came(number, task, data),
            Answer::Block(Err(error)) => match BadBlock::fault_of(error) {
                Ok(fault) => self.damaged(&task, fault),
                Err(error) => {
                    self.failed = Some(error.into());
                    self.pending.retry.push(task);
                }
            },
        }
        match self.failed {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    /// What got no answer is asked again by the next run.
    fn requeue(&mut self) {
        let unanswered = self.flying.drain().map(|(_, task)| task);
        self.pending.retry.extend(unanswered);
    }

    /// The next block to be looked at; none where there is none now.
    fn next(&mut self) -> Option<BlockTask> {
        self.pending.settle();
        while self.failed.is_none() {
            self.pending.pop_spent();
            let is_careful = self.pending.held > HELD && self.reading > 0;
            let task = match self.pending.frames.last_mut() {
                Some(frame) if is_careful && !frame.is_above_data() => return None,
                Some(frame) => match frame.child() {
                    Child::Block(task) => task,
                    Child::Entry(number, entry) => {
                        let stream = frame.task.stream.clone();
                        self.below(&stream, number, entry)
                    }
                    Child::Nothing => continue,
                    Child::End => {
                        self.pop();
                        continue;
                    }
                },
                None => {
                    let wanted = self.pending.tops.pop()?;
                    self.top(wanted)
                }
            };
            if let Some(task) = task.filter(|task| self.is_new(task)) {
                return Some(task);
            }
        }
        None
    }

    fn pop(&mut self) {
        if let Some(frame) = self.pending.frames.pop() {
            self.pending.held = self.pending.held.saturating_sub(frame.weight());
        }
    }

    fn top(&mut self, wanted: StreamRequest) -> Option<BlockTask> {
        self.stream(StreamWalk {
            nest: wanted.path.len(),
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
            nest: above.nest.saturating_add(1),
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
            is_refused: false,
        };
        let mut checked = entry.check().map_err(|e| e.to_string());
        if task.stream.nest > NEST_MAX {
            checked = Err(format!(
                "expected at most {NEST_MAX} directories inside one another, found more"
            ));
        }
        if task.stream.plan.is_told() && entry.leaves() > GIVEN_MAX {
            checked = Err(format!(
                "expected a directory of at most {GIVEN_MAX} blocks, found {}",
                entry.leaves()
            ));
        }
        match checked {
            Ok(()) => Some(task),
            Err(_)
                if task.stream.nest <= NEST_MAX
                    && entry.is_too_shallow()
                    && has_sizes(&entry)
                    && !task.stream.plan.is_told() =>
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
        let new = self.seen.insert(&task.key(), task.is_data());
        self.counts.shared += u64::from(!new);
        if self.seen.is_lost() {
            self.failed = Some(TreeError::TooMany);
        }
        new
    }

    /// A block has come, and its score is right.
    fn came(&mut self, asked: usize, task: BlockTask, data: &[u8]) {
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
            let frame = Frame::of(task, data);
            self.pending.held += frame.weight();
            self.pending.arrived.push((asked, frame));
            if self.pending.held > HELD_MAX {
                self.failed = Some(TreeError::Deep);
            }
        }
    }

    /// A server was asked whether it has a leaf.
    fn answered(&mut self, mut task: BlockTask, presence: &Presence) {
        self.counts.probed += 1;
        let most = task.stream.entry.dsize();
        match *presence {
            Presence::Present { size } if u64::from(size) <= most => {
                self.counts.bytes += u64::from(size);
            }
            Presence::Present { size } => {
                let found = size.into();
                self.damaged(&task, BlockFault::Long { most, found });
            }
            Presence::Absent => self.damaged(&task, BlockFault::Missing),
            Presence::NoAnswer(_) => {
                task.is_refused = true;
                self.pending.retry.push(task);
            }
        }
    }

    fn damaged(&mut self, task: &BlockTask, fault: BlockFault) {
        self.counts.damaged += 1;
        let damage = BadBlock {
            path: task.stream.path(),
            at: Some(task.offset()),
            ty: task.ty(),
            score: task.score,
            fault,
        };
        self.visit.damage(task.stream.id, damage);
    }
}
