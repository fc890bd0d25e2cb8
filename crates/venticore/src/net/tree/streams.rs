//! Many streams read at once: one window of requests over all of them.
//!
//! A stream is begun when those before it have nothing left to ask for, so what is
//! held is a window of pointer blocks for each level, and a window of streams.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use super::Leaf;
use super::arenas::Blocks;
use super::damage::{BadBlock, BlockFault};
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::tree::{Entry, block_type, scores};
use crate::net::client::ClientError;

/// Which leaves of a stream are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// All that its size covers.
    All,
    /// Those with these numbers, which ascend.
    These(Vec<u64>),
}

impl Leaves {
    /// Whether a leaf from `first` on and before `end` is among them.
    fn within(&self, first: u64, end: u64) -> bool {
        match self {
            Self::All => true,
            Self::These(numbers) => {
                let at = numbers.partition_point(|&number| number < first);
                numbers.get(at).is_some_and(|&number| number < end)
            }
        }
    }
}

/// A stream, or some leaves of it, to be read.
#[derive(Clone, Debug)]
pub struct StreamPart {
    /// The stream.
    pub entry: Entry,
    /// The caller's name for it.
    pub id: usize,
    /// Its leaves that are wanted.
    pub leaves: Leaves,
}

/// Who gets what is read.
pub trait StreamReader {
    /// The next stream to be read; `None` where there is none now. It is asked again after
    /// each block that comes.
    fn next(&mut self) -> Option<StreamPart>;
    /// Whether the leaf with this score is to be read; otherwise it is passed over.
    fn wants(&mut self, _id: usize, _number: u64, _score: &Score) -> bool {
        true
    }
    /// A leaf that was read and hashed to its score. They come in any order, holes not at
    /// all.
    fn leaf(&mut self, leaf: Leaf<'_>);
    /// A block of the stream is not there, or is not what it should be: these leaves are
    /// lost. After [`ControlFlow::Break`] the rest of the stream is passed over.
    fn damage(&mut self, id: usize, leaves: Range<u64>, damage: BadBlock) -> ControlFlow<()>;
    /// Nothing more comes of the stream. This is told of every stream.
    fn end(&mut self, id: usize);
    /// Whether to stop: no more is asked for then.
    fn stops(&self) -> bool {
        false
    }
}

/// Reads what a reader asks for, until it asks for nothing more, or stops.
///
/// # Errors
/// The server was lost. What is wrong with single blocks goes to the reader.
pub fn read_streams(
    blocks: &mut dyn Blocks,
    reader: &mut dyn StreamReader,
) -> Result<(), ClientError> {
    let state = RefCell::new(ReadState {
        reader,
        frames: Vec::new(),
    });
    let flying = RefCell::new(HashMap::new());
    let mut sent = 0;
    let mut next = || {
        let task = state.borrow_mut().next()?;
        let question = (task.score, task.ty());
        flying.borrow_mut().insert(sent, task);
        sent += 1;
        Some(question)
    };
    let mut failed = None;
    blocks.read_each(&mut next, &mut |number, block| {
        let Some(task) = flying.borrow_mut().remove(&number) else {
            return ControlFlow::Continue(());
        };
        let mut state = state.borrow_mut();
        match block.map_err(BadBlock::fault_of) {
            Ok(data) => state.came(task, data),
            Err(Ok(fault)) => state.damaged(task, fault),
            Err(Err(error)) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        match state.reader.stops() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// A stream that is being read. When nothing holds it any more, it has ended.
struct Stream {
    part: StreamPart,
    /// The rest of it is passed over.
    given_up: Cell<bool>,
}

/// A block to be read.
struct StreamBlock {
    stream: Rc<Stream>,
    score: Score,
    /// Above the leaves.
    level: u8,
    /// Its number among the blocks of its level.
    number: u64,
}

impl StreamBlock {
    fn ty(&self) -> BlockType {
        block_type(self.stream.part.entry.directory, self.level)
    }

    /// The leaves below it.
    fn leaves(&self) -> Range<u64> {
        let entry = &self.stream.part.entry;
        let span = entry.span(self.level);
        let first = self.number.saturating_mul(span);
        first..first.saturating_add(span).min(entry.leaves())
    }
}

/// A pointer block whose children are being asked for.
struct PointerFrame {
    task: StreamBlock,
    data: Vec<u8>,
    next: usize,
}

impl PointerFrame {
    /// The next child that is wanted; `None` at the end.
    fn child(&mut self) -> Option<StreamBlock> {
        let stream = &self.task.stream;
        let entry = &stream.part.entry;
        let level = self.task.level.checked_sub(1)?;
        while !stream.given_up.get() {
            let at = self.next;
            self.next += 1;
            let score = scores(self.data.get(at * Score::LEN..)?).next()?;
            let number = self.task.number.saturating_mul(entry.pointers());
            let number = number.saturating_add(at as u64);
            let first = number.saturating_mul(entry.span(level));
            if first >= entry.leaves() {
                return None;
            }
            let end = first.saturating_add(entry.span(level));
            if !score.is_nil() && stream.part.leaves.within(first, end) {
                return Some(StreamBlock {
                    stream: Rc::clone(stream),
                    score,
                    level,
                    number,
                });
            }
        }
        None
    }
}

struct ReadState<'r> {
    reader: &'r mut dyn StreamReader,
    frames: Vec<PointerFrame>,
}

impl ReadState<'_> {
    /// The next block to be read; none where there is none now.
    fn next(&mut self) -> Option<StreamBlock> {
        while !self.reader.stops() {
            let task = match self.frames.last_mut() {
                Some(frame) => match frame.child() {
                    Some(task) => Some(task),
                    None => {
                        if let Some(frame) = self.frames.pop() {
                            self.leave(frame.task);
                        }
                        None
                    }
                },
                None => {
                    let part = self.reader.next()?;
                    self.begin(part)
                }
            };
            let Some(task) = task else {
                continue;
            };
            let id = task.stream.part.id;
            if task.level > 0 || self.reader.wants(id, task.number, &task.score) {
                return Some(task);
            }
            self.leave(task);
        }
        None
    }

    /// The top block of a stream, if it has any.
    fn begin(&mut self, part: StreamPart) -> Option<StreamBlock> {
        let (entry, id) = (part.entry, part.id);
        let within = part.leaves.within(0, entry.leaves());
        if !entry.active || entry.score.is_nil() || entry.size == 0 || !within {
            self.reader.end(id);
            return None;
        }
        let task = StreamBlock {
            stream: Rc::new(Stream {
                part,
                given_up: Cell::new(false),
            }),
            score: entry.score,
            level: entry.depth,
            number: 0,
        };
        let Err(error) = entry.check() else {
            return Some(task);
        };
        let has_sizes = entry.psize().min(entry.dsize()) >= Entry::SIZE_MIN;
        let (most, found) = (entry.size_max(), entry.size);
        let fault = match has_sizes {
            true => BlockFault::Size { most, found },
            false => BlockFault::Format(error.to_string()),
        };
        self.damaged(task, fault);
        None
    }

    /// A block has come, and its score is right.
    fn came(&mut self, task: StreamBlock, data: &[u8]) {
        let part = &task.stream.part;
        let most = match task.level {
            0 => part.entry.dsize(),
            _ => part.entry.psize(),
        };
        let found = data.len() as u64;
        if found > most {
            return self.damaged(task, BlockFault::Long { most, found });
        }
        if task.level > 0 && !task.stream.given_up.get() {
            let data = data.to_vec();
            return self.frames.push(PointerFrame {
                task,
                data,
                next: 0,
            });
        }
        if !task.stream.given_up.get() {
            let (id, number) = (part.id, task.number);
            self.reader.leaf(Leaf { id, number, data });
        }
        self.leave(task);
    }

    fn damaged(&mut self, task: StreamBlock, fault: BlockFault) {
        let part = &task.stream.part;
        if !task.stream.given_up.get() {
            let damage = BadBlock {
                path: Vec::new(),
                at: None,
                ty: task.ty(),
                score: task.score,
                fault,
            };
            let after = self.reader.damage(part.id, task.leaves(), damage);
            task.stream.given_up.set(after.is_break());
        }
        self.leave(task);
    }

    /// A block is done with, and its stream where it was the last.
    fn leave(&mut self, task: StreamBlock) {
        if let Some(stream) = Rc::into_inner(task.stream) {
            self.reader.end(stream.part.id);
        }
    }
}
