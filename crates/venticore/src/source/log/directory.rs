//! The directory of an arena, as it is read: one disk block of it at a time.

use std::io;
use std::sync::Arc;

use crate::codec::arena::clump::{ClumpHeader, HEADER_LEN};
use crate::codec::arena::directory::{self, DirectoryEntry};
use crate::codec::score::Score;
use crate::source::{Arena, ReadAt};

/// Disk blocks that are read together where all are wanted.
const RUN: usize = 128;

/// The clump directory of an arena, one disk block of it at a time.
pub struct Directory {
    source: Arc<dyn ReadAt>,
    /// The end of the data section, bytes from the start of the partition.
    end: u64,
    block_size: u32,
    clumps: u64,
    cached: Option<u64>,
    block: Vec<u8>,
}

impl Directory {
    /// The directory of an arena.
    #[must_use]
    pub fn new(source: Arc<dyn ReadAt>, arena: &Arena) -> Self {
        Directory {
            source,
            end: arena.base() + arena.size,
            block_size: arena.block_size,
            clumps: arena.live.clumps.into(),
            cached: None,
            block: vec![0; arena.block_size as usize],
        }
    }

    /// The entry of clump `index`, from 0 in log order.
    ///
    /// # Errors
    /// The trailer counts no such clump, or the directory cannot be read.
    pub fn entry(&mut self, index: u64) -> io::Result<DirectoryEntry> {
        if index >= self.clumps {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let per_block = directory::entries_per_block(self.block_size);
        self.load(index / per_block)?;
        let at = usize::try_from(index % per_block).unwrap_or(usize::MAX) * DirectoryEntry::LEN;
        self.block
            .get(at..)
            .and_then(DirectoryEntry::parse)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The same entry, read by itself: for one here and one there.
    ///
    /// # Errors
    /// As [`Directory::entry`].
    pub fn lone_entry(&self, index: u64) -> io::Result<DirectoryEntry> {
        if index >= self.clumps {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let per_block = directory::entries_per_block(self.block_size);
        let block = self.end - (index / per_block + 1) * u64::from(self.block_size);
        let mut entry = [0; DirectoryEntry::LEN];
        let within = index % per_block * DirectoryEntry::LEN as u64;
        self.source.read_at(&mut entry, block + within)?;
        DirectoryEntry::parse(&entry).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Gives every entry to `take`, in log order, with where its clump begins: bytes from
    /// the start of the data section. False where one cannot be read, or they do not add up
    /// to a log of `used` bytes: then what was given proves nothing.
    pub fn each(&mut self, used: u64, mut take: impl FnMut(u64, &DirectoryEntry)) -> bool {
        let per_block = directory::entries_per_block(self.block_size);
        let blocks = self.clumps.div_ceil(per_block);
        let (mut at, mut left) = (0, self.clumps);
        let mut run = Vec::new();
        for first in (0..blocks).step_by(RUN) {
            let count = (blocks - first).min(RUN as u64);
            if self.load_run(first, count, &mut run).is_err() {
                return false;
            }
            // The first of them is the last on disk.
            for block in run.chunks_exact(self.block.len()).rev() {
                let here = usize::try_from(left.min(per_block)).unwrap_or(0);
                for bytes in block.chunks_exact(DirectoryEntry::LEN).take(here) {
                    let entry = DirectoryEntry::parse(bytes);
                    let Some((entry, header)) = entry
                        .and_then(|entry| Some((entry, ClumpHeader::from_entry(&entry).ok()?)))
                    else {
                        return false;
                    };
                    take(at, &entry);
                    at += header.stored_len();
                }
                left -= here as u64;
            }
        }
        left == 0 && at == used
    }

    /// Reads `count` disk blocks from `first` on, in the order in which they lie on disk.
    fn load_run(&self, first: u64, count: u64, run: &mut Vec<u8>) -> io::Result<()> {
        let unfit = |_| io::Error::from(io::ErrorKind::InvalidData);
        let len = count.saturating_mul(u64::from(self.block_size));
        run.resize(usize::try_from(len).map_err(unfit)?, 0);
        let back = (first + count).saturating_mul(u64::from(self.block_size));
        let offset = self.end.checked_sub(back);
        let offset = offset.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.source.read_at(run, offset)
    }

    fn load(&mut self, number: u64) -> io::Result<()> {
        if self.cached == Some(number) {
            return Ok(());
        }
        self.cached = None;
        let offset = self.end - (number + 1) * u64::from(self.block_size);
        self.source.read_at(&mut self.block, offset)?;
        self.cached = Some(number);
        Ok(())
    }

    /// The entry with this score among those from `from` on; the search ends
    /// after two disk blocks of them, and as many as `bytes` of log can have.
    pub(super) fn find(&mut self, score: &Score, from: u64, bytes: u64) -> Option<u64> {
        let least = HEADER_LEN as u64 + 1;
        let limit = from + 2 * directory::entries_per_block(self.block_size) + bytes / least;
        (from..limit.min(self.clumps))
            .find(|&index| matches!(self.entry(index), Ok(entry) if entry.score == *score))
    }

    /// The entry of the clump that starts `bytes` of log after the clump of entry
    /// `from`, by adding up sizes; none where no clump starts there.
    pub(super) fn after(&mut self, from: u64, bytes: u64) -> Option<u64> {
        let (mut index, mut sum) = (from, 0);
        while sum < bytes {
            sum += ClumpHeader::from_entry(&self.entry(index).ok()?)
                .ok()?
                .stored_len();
            index += 1;
        }
        (sum == bytes).then_some(index)
    }
}
