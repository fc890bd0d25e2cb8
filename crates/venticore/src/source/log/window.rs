//! A moving view of the data section of an arena.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::source::{Arena, ReadAt};

/// A moving view of the data section. It starts with one disk block and grows
/// with use, so that a look at the end of a log costs one block.
pub(super) struct LogWindow {
    source: Arc<dyn ReadAt>,
    base: u64,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
    ahead: usize,
}

impl LogWindow {
    const LARGEST: usize = 1 << 20;

    pub(super) fn new(source: Arc<dyn ReadAt>, arena: &Arena) -> Self {
        // Of an arena that is cut off, what is there.
        let size = arena.size.min(source.size().saturating_sub(arena.base()));
        LogWindow {
            source,
            base: arena.base(),
            size,
            start: 0,
            bytes: Vec::new(),
            ahead: arena.block_size as usize,
        }
    }

    /// The `len` bytes at `at`; a read that fails is tried once more without
    /// reading ahead, so that a bad sector costs only the clumps that lie on it.
    pub(super) fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        if self.range(at, len).is_none() {
            let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
            if len > left {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let ahead = len.max(self.ahead).min(left);
            self.ahead = (self.ahead * 2).min(Self::LARGEST);
            self.fill(at, ahead).or_else(|_| self.fill(at, len))?;
        }
        self.range(at, len)
            .and_then(|range| self.bytes.get(range))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn fill(&mut self, at: u64, len: usize) -> io::Result<()> {
        self.start = at;
        self.bytes.resize(len, 0);
        self.source
            .read_at(&mut self.bytes, self.base + at)
            .inspect_err(|_| self.bytes.clear())
    }

    fn range(&self, at: u64, len: usize) -> Option<Range<usize>> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        let range = from..from.checked_add(len)?;
        (range.end <= self.bytes.len()).then_some(range)
    }
}
