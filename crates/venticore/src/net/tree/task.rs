//! The blocks of a walk: each with the stream it is of, and what comes below it.

use std::rc::Rc;

use super::LeafPlan;
use super::seen::Key;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::tree::{Entry, block_type, scores};

/// A stream that is being walked, linked to the one that its entry is in.
pub(super) struct StreamWalk {
    /// How many directories it is in.
    pub(super) nest: usize,
    pub(super) entry: Entry,
    pub(super) plan: LeafPlan,
    /// The caller's name for it.
    pub(super) id: usize,
    /// The stream above it and the number of its entry there, or the path to
    /// it from the top.
    pub(super) above: Above,
}

pub(super) enum Above {
    Stream(Rc<StreamWalk>, u64),
    Path(Vec<u64>),
}

impl StreamWalk {
    pub(super) fn path(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut stream = self;
        loop {
            match &stream.above {
                Above::Stream(above, number) => {
                    numbers.push(*number);
                    stream = above;
                }
                Above::Path(top) => {
                    numbers.extend(top.iter().rev());
                    numbers.reverse();
                    return numbers;
                }
            }
        }
    }
}

impl Drop for StreamWalk {
    /// A chain of directories may be as long as an archive is large, so its
    /// links are not dropped one inside the other.
    fn drop(&mut self) {
        let mut above = std::mem::replace(&mut self.above, Above::Path(Vec::new()));
        while let Above::Stream(stream, _) = above {
            match Rc::try_unwrap(stream) {
                Ok(mut stream) => {
                    above = std::mem::replace(&mut stream.above, Above::Path(Vec::new()));
                }
                Err(_) => return,
            }
        }
    }
}

/// A block to be looked at.
#[derive(Clone)]
pub(super) struct BlockTask {
    pub(super) stream: Rc<StreamWalk>,
    pub(super) score: Score,
    /// Above the leaves.
    pub(super) level: u8,
    /// Its number among the blocks of its level.
    pub(super) number: u64,
    /// The server did not say whether it has it: it is read.
    pub(super) is_refused: bool,
}

impl BlockTask {
    pub(super) fn ty(&self) -> BlockType {
        block_type(self.stream.entry.directory, self.level)
    }

    /// Where in its stream what lies below it begins, in bytes.
    pub(super) fn offset(&self) -> u64 {
        let entry = &self.stream.entry;
        let leaf = self.number.saturating_mul(entry.span(self.level));
        leaf.saturating_mul(entry.dsize())
    }

    pub(super) fn is_data(&self) -> bool {
        self.level == 0 && !self.stream.entry.directory
    }

    /// What it is known by when it is met again.
    pub(super) fn key(&self) -> Key {
        let mut key = [0; Score::LEN + 1];
        let directory = u8::from(self.stream.entry.directory) << 4;
        let read = u8::from(self.stream.plan == LeafPlan::Read) << 5;
        if let Some((kind, score)) = key.split_first_mut() {
            *kind = self.ty().to_disk() | directory | read;
            score.copy_from_slice(self.score.as_bytes());
        }
        key
    }
}

/// A block whose children are being asked for.
pub(super) struct Frame {
    pub(super) task: BlockTask,
    data: Vec<u8>,
    next: usize,
}

/// What comes next in a block.
pub(super) enum Child {
    Block(Option<BlockTask>),
    Entry(u64, Entry),
    Nothing,
    End,
}

impl Frame {
    pub(super) fn of(task: BlockTask, data: &[u8]) -> Self {
        Frame {
            task,
            data: data.to_vec(),
            next: 0,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn weight(&self) -> usize {
        const OVERHEAD: usize = 256;
        self.data.len() + OVERHEAD
    }

    /// Whether its children are leaves of a file, which have no children.
    pub(super) fn is_above_data(&self) -> bool {
        self.task.level == 1 && !self.task.stream.entry.directory
    }

    /// Whether all its children were given.
    pub(super) fn is_spent(&self) -> bool {
        let each = match self.task.level {
            0 => Entry::LEN,
            _ => Score::LEN,
        };
        self.next.saturating_mul(each) >= self.data.len()
    }

    /// The next child.
    pub(super) fn child(&mut self) -> Child {
        let at = self.next;
        self.next += 1;
        match self.task.level.checked_sub(1) {
            Some(level) => self.pointer(at, level),
            None => self.entry(at),
        }
    }

    fn pointer(&self, at: usize, level: u8) -> Child {
        let from = self.data.get(at * Score::LEN..).unwrap_or_default();
        let Some(score) = scores(from).next() else {
            return Child::End;
        };
        let entry = &self.task.stream.entry;
        let before = self.task.number.saturating_mul(entry.pointers());
        let number = before.saturating_add(at as u64);
        let first = number.saturating_mul(entry.span(level));
        if self.task.stream.plan.is_told() && first >= entry.leaves() {
            return Child::End;
        }
        if score.is_nil() {
            return Child::Nothing;
        }
        Child::Block(Some(BlockTask {
            stream: Rc::clone(&self.task.stream),
            score,
            level,
            number,
            is_refused: false,
        }))
    }

    fn entry(&self, at: usize) -> Child {
        let from = self.data.get(at * Entry::LEN..).unwrap_or_default();
        let Some(bytes) = from.chunks(Entry::LEN).next() else {
            return Child::End;
        };
        let per_leaf = self.task.stream.entry.per_leaf();
        let before = self.task.number.saturating_mul(per_leaf);
        Child::Entry(before.saturating_add(at as u64), Entry::parse(bytes))
    }
}
