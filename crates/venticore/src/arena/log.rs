//! Walking the clump log of one arena: live, lagging, mirrored or sealed, and
//! damaged in places (venti.md 5).
//!
//! Below the trailer's end of the log every clump is accounted for, by its own
//! header, by its directory entry, or as lost; past it, while the arena can
//! still grow, clumps are taken only if they hash to their score, and the
//! first that does not ends the log. Where header and directory disagree, what
//! hashes right wins.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::clump::{ClumpError, ClumpHeader, HEADER_LEN};
use super::directory::{self, Entry};
use super::{Arena, ReadAt};
use crate::blocktype::BlockType;
use crate::score::Score;

/// One stretch of the log: a clump, or bytes that should have been one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it starts, bytes from the start of the data section.
    pub offset: u64,
    /// Bytes of it in the log.
    pub len: u64,
    /// What it is.
    pub what: What,
    /// Damage to a header or a directory entry that did not cost the block.
    pub note: Option<String>,
}

impl Item {
    /// Where the next one starts.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// What a stretch of the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A clump; its block is not yet checked.
    Clump {
        /// Its header, or what the directory knows of it.
        header: ClumpHeader,
        /// The type of the block.
        block_type: BlockType,
        /// The other type, where header and directory name two that are both
        /// possible: nothing tells which is right.
        other_type: Option<BlockType>,
    },
    /// A clump marked corrupt or of unknown type, and the score in its header:
    /// counted, never sent.
    Corrupt(Score),
    /// No block can be had from here.
    Lost(Loss),
}

/// A block, or several, that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The score the header or the directory gives for it.
    pub score: Option<Score>,
    /// What is wrong.
    pub why: String,
    /// It may only not have reached the disk yet: the arena can still grow,
    /// and these are zero bytes or those of an earlier use.
    pub maybe_late: bool,
}

/// Why a walk cannot start at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The log ends before it.
    Past {
        /// The offset asked for.
        offset: u64,
        /// Where the log ends, bytes from the start of the data section.
        end: u64,
    },
    /// A clump starts before it and ends after it.
    Inside {
        /// The offset asked for.
        offset: u64,
        /// Where that clump starts.
        before: u64,
        /// Where the next one starts.
        after: u64,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Past { offset, end } => write!(
                f,
                "offset {offset:#x} is past the log, which ends at {end:#x}"
            ),
            Self::Inside {
                offset,
                before,
                after,
            } => write!(
                f,
                "offset {offset:#x} is inside a clump; one starts at {before:#x}, \
                 the next at {after:#x}"
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// A walk along the log of one arena.
pub struct Log {
    arena: Arena,
    settled: bool,
    window: Window,
    directory: Directory,
    at: u64,
    /// The directory entry of the clump at `at`; unknown after damage to both.
    index: Option<u64>,
    stopped: Option<ClumpError>,
    /// The header of the clump that ends where the walk started.
    before: Option<ClumpHeader>,
}

impl Log {
    /// Starts at `from`, bytes from the start of the data section, which must
    /// be where a clump starts or the log ends.
    ///
    /// `synced` says that the server acknowledged a sync before the trailer
    /// was read: then what the trailer counts is on disk, and what is not
    /// there is damage. Without that, in an arena that can still grow, it may
    /// come later ([`Loss::maybe_late`]).
    ///
    /// # Errors
    /// The offset is past the log or inside a clump.
    pub fn open(
        source: Arc<dyn ReadAt>,
        arena: &Arena,
        from: u64,
        synced: bool,
    ) -> Result<Self, StartError> {
        let mut log = Log {
            settled: synced || arena.settled,
            window: Window::new(Arc::clone(&source), arena),
            directory: Directory::new(source, arena),
            at: from,
            index: None,
            stopped: None,
            before: None,
            arena: arena.clone(),
        };
        log.go_to(from)?;
        Ok(log)
    }

    /// The header of the clump that ends exactly where the walk was opened, or
    /// what the directory knows of it; none at 0, and none where nothing tells.
    #[must_use]
    pub fn before(&self) -> Option<&ClumpHeader> {
        self.before.as_ref()
    }

    /// How many clumps the trailer counts before the place where the walk is,
    /// where the directory tells.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.index
    }

    /// Where the walk is: everything before has been returned.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// The stored bytes of a clump that [`Iterator::next`] returned last.
    ///
    /// # Errors
    /// They could not be read.
    pub fn stored(&mut self, item: &Item) -> io::Result<&[u8]> {
        let len = usize::try_from(item.len).unwrap_or(usize::MAX);
        let clump = self.window.get(item.offset, len)?;
        Ok(clump.get(HEADER_LEN..).unwrap_or_default())
    }

    /// Why the scan past the trailer's end of the log ended, once it has.
    #[must_use]
    pub fn stopped(&self) -> Option<&ClumpError> {
        self.stopped.as_ref()
    }

    fn used(&self) -> u64 {
        self.arena.live.used
    }

    fn go_to(&mut self, from: u64) -> Result<(), StartError> {
        let used = self.used();
        let clumps = u64::from(self.arena.live.clumps);
        if from == 0 {
            self.index = Some(0);
        } else if from >= used {
            self.index = Some(clumps);
            self.at = used;
            self.before = self.header_before(used);
            self.scan_to(from)?;
        } else {
            self.index = self.index_in_directory(from)?;
            self.before = self.header_before(from);
        }
        Ok(())
    }

    /// The clump that ends at `end`, where `self.index` is that of the next.
    fn header_before(&mut self, end: u64) -> Option<ClumpHeader> {
        let entry = self.directory.entry(self.index?.checked_sub(1)?).ok()?;
        let by_entry = ClumpHeader::from_entry(&entry).ok()?;
        let start = end.checked_sub(by_entry.stored_len())?;
        let by_header = self.header(start).ok();
        Some(
            by_header
                .filter(|h| h.score == by_entry.score)
                .unwrap_or(by_entry),
        )
    }

    fn scan_to(&mut self, from: u64) -> Result<(), StartError> {
        let mut before = self.at;
        while self.at < from {
            before = self.at;
            let Some(item) = self.next() else {
                return Err(StartError::Past {
                    offset: from,
                    end: self.at,
                });
            };
            self.before = match item.what {
                What::Clump { header, .. } => Some(header),
                _ => None,
            };
        }
        if self.at > from {
            return Err(StartError::Inside {
                offset: from,
                before,
                after: self.at,
            });
        }
        Ok(())
    }

    /// The directory entry of the clump at `from`, by adding up sizes from the
    /// end of the log backwards: the work is that of what is left to read.
    fn index_in_directory(&mut self, from: u64) -> Result<Option<u64>, StartError> {
        let mut index = u64::from(self.arena.live.clumps);
        let mut start = self.used();
        let mut after = start;
        while start > from && index > 0 {
            let Ok(entry) = self.directory.entry(index - 1) else {
                break;
            };
            index -= 1;
            after = start;
            start = start.saturating_sub(HEADER_LEN as u64 + u64::from(entry.size));
        }
        if start == from {
            return Ok(Some(index));
        }
        // Either the offset is wrong or the directory is.
        match self.verified(from, |log| log.header(from)) {
            Ok(header) => Ok(self.directory.find(&header.score, index.saturating_sub(1))),
            Err(_) => Err(StartError::Inside {
                offset: from,
                before: start,
                after,
            }),
        }
    }

    fn next_in_log(&mut self) -> Item {
        let entry = self.index.map(|index| self.directory.entry(index));
        match (self.header(self.at), entry) {
            (Ok(header), None) => self.clump(header, None, None),
            (Ok(header), Some(Ok(entry))) if header.agrees_with(&entry) => {
                self.clump(header, None, None)
            }
            (header, entry) => self.contested(header, entry.and_then(Result::ok)),
        }
    }

    /// Header and directory disagree: what hashes right wins.
    fn contested(&mut self, header: Result<ClumpHeader, Fault>, entry: Option<Entry>) -> Item {
        let at = self.at;
        let index = self.index.unwrap_or_default();
        let by_entry = entry
            .and_then(|entry| ClumpHeader::from_entry(&entry).ok())
            .filter(|by_entry| at + by_entry.stored_len() <= self.used());
        let fault = match header.clone().and_then(|header| self.hashes_right(&header)) {
            Ok(header) => {
                let other = entry.map(|entry| entry.disk_type);
                let note = format!("directory entry {index} does not agree with the clump");
                return self.clump(header, other, Some(note));
            }
            Err(fault) => fault,
        };
        if let Some(Ok(by_entry)) = by_entry.map(|by_entry| self.hashes_right(&by_entry)) {
            let note = format!("clump header is damaged ({fault}), directory entry {index} is not");
            return self.clump(by_entry, None, Some(note));
        }
        let header = header.ok();
        let loss = Loss {
            score: entry
                .map(|entry| entry.score)
                .or(header.map(|header| header.score)),
            why: fault.to_string(),
            maybe_late: !self.settled && fault.is_no_clump(),
        };
        let next = [header, by_entry]
            .into_iter()
            .flatten()
            .map(|header| at + header.stored_len())
            .find(|&next| next == self.used() || self.header(next).is_ok());
        match next {
            Some(next) => self.lost(next, self.index.map(|index| index + 1), loss),
            None => self.resync(loss),
        }
    }

    /// The header, if the block at `self.at` is what it says.
    fn hashes_right(&mut self, header: &ClumpHeader) -> Result<ClumpHeader, Fault> {
        self.verified(self.at, |_| Ok(*header))
    }

    /// Looks for the next clump that hashes to its score.
    fn resync(&mut self, loss: Loss) -> Item {
        let mut at = self.at + 1;
        while let Some(found) = self.find_magic(at) {
            if let Ok(header) = self.verified(found, |log| log.header(found)) {
                let index = self
                    .index
                    .and_then(|index| self.directory.find(&header.score, index));
                return self.lost(found, index, loss);
            }
            at = found + 1;
        }
        self.lost(self.used(), Some(self.arena.live.clumps.into()), loss)
    }

    fn find_magic(&mut self, mut at: u64) -> Option<u64> {
        const STEP: u64 = 4096;
        let magic = self.arena.clump_magic.to_be_bytes();
        while at + HEADER_LEN as u64 <= self.used() {
            let len = STEP.min(self.used() - at);
            let bytes = usize::try_from(len)
                .ok()
                .and_then(|len| self.window.get(at, len).ok());
            let found = bytes.and_then(|bytes| bytes.windows(4).position(|four| four == magic));
            if let Some(found) = found {
                return Some(at + found as u64);
            }
            at += len.saturating_sub(3).max(1);
        }
        None
    }

    fn lost(&mut self, next: u64, index: Option<u64>, loss: Loss) -> Item {
        let item = Item {
            offset: self.at,
            len: next - self.at,
            what: What::Lost(loss),
            note: None,
        };
        self.at = next;
        self.index = index;
        item
    }

    /// The clump at `self.at`; `other` is the type the directory names if it
    /// is another one.
    fn clump(&mut self, header: ClumpHeader, other: Option<u8>, note: Option<String>) -> Item {
        let other = other
            .filter(|&other| other != header.disk_type)
            .and_then(BlockType::from_disk);
        let len = header.stored_len();
        let readable = usize::try_from(len).map(|len| self.window.get(self.at, len).map(|_| ()));
        let what = match (header.block_type().or(other), readable) {
            (_, Ok(Err(error))) => What::Lost(Loss {
                score: Some(header.score),
                why: format!("cannot be read: {error}"),
                maybe_late: false,
            }),
            (Some(block_type), _) => What::Clump {
                header,
                block_type,
                other_type: other.filter(|&other| other != block_type),
            },
            (None, _) => What::Corrupt(header.score),
        };
        let item = Item {
            offset: self.at,
            len,
            what,
            note,
        };
        self.at += len;
        self.index = self.index.map(|index| index + 1);
        item
    }

    /// The next clump past the trailer's end of the log, if it is whole.
    fn next_in_scan(&mut self) -> Option<Item> {
        let clumps = self.index.unwrap_or_default() + 1;
        let room = self.arena.room(clumps);
        let header = self.verified(self.at, |log| {
            let header = log.raw_header(log.at, room)?;
            if log.at + header.stored_len() > room {
                return Err(Fault::Clump(ClumpError::Cut));
            }
            Ok(header)
        });
        match header {
            Ok(header) => Some(self.clump(header, None, None)),
            Err(fault) => {
                self.stopped = Some(match fault {
                    Fault::Clump(error) => error,
                    Fault::Read(_) => ClumpError::Cut,
                });
                None
            }
        }
    }

    /// The header of a clump below the trailer's end of the log.
    fn header(&mut self, at: u64) -> Result<ClumpHeader, Fault> {
        let used = self.used();
        let header = self.raw_header(at, used)?;
        if at + header.stored_len() > used {
            return Err(Fault::Clump(ClumpError::Cut));
        }
        Ok(header)
    }

    fn raw_header(&mut self, at: u64, limit: u64) -> Result<ClumpHeader, Fault> {
        if at + HEADER_LEN as u64 > limit {
            return Err(Fault::Clump(ClumpError::Cut));
        }
        let magic = self.arena.clump_magic;
        let bytes = self.window.get(at, HEADER_LEN)?;
        Ok(ClumpHeader::parse(bytes, magic)?)
    }

    /// A header whose block, at `at`, hashes to its score.
    fn verified(
        &mut self,
        at: u64,
        header: impl FnOnce(&mut Self) -> Result<ClumpHeader, Fault>,
    ) -> Result<ClumpHeader, Fault> {
        let header = header(self)?;
        let stored = self
            .window
            .get(at + HEADER_LEN as u64, header.size.into())?;
        header.block(stored)?;
        Ok(header)
    }
}

impl Iterator for Log {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.at < self.used() {
            Some(self.next_in_log())
        } else if self.arena.settled || self.stopped.is_some() {
            None
        } else {
            self.next_in_scan()
        }
    }
}

/// The loss of a clump whose block turned out not to hash to its score.
///
/// Zero bytes from some disk block boundary on may be a write that has not
/// reached the disk, if the arena can still grow.
#[must_use]
pub fn loss(arena: &Arena, item: &Item, stored: &[u8], error: &ClumpError, settled: bool) -> Loss {
    let block = u64::from(arena.block_size);
    let first = (item.offset + HEADER_LEN as u64).next_multiple_of(block);
    let data = item.offset + HEADER_LEN as u64;
    let skip = usize::try_from(first - data).unwrap_or(usize::MAX);
    let blank = stored
        .get(skip..)
        .unwrap_or_default()
        .chunks(arena.block_size as usize)
        .any(|piece| piece.iter().all(|&byte| byte == 0));
    let score = match &item.what {
        What::Clump { header, .. } => Some(header.score),
        _ => None,
    };
    Loss {
        score,
        why: error.to_string(),
        maybe_late: blank && !settled && !arena.settled,
    }
}

/// Why a clump cannot be had.
#[derive(Clone, Debug)]
enum Fault {
    Clump(ClumpError),
    Read(String),
}

impl Fault {
    /// Zero bytes or those of an earlier use stand where a clump should.
    fn is_no_clump(&self) -> bool {
        matches!(self, Self::Clump(ClumpError::Magic { .. }))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clump(error) => error.fmt(f),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

impl From<ClumpError> for Fault {
    fn from(error: ClumpError) -> Self {
        Fault::Clump(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Read(error.to_string())
    }
}

/// A moving view of the data section. It starts with one disk block and grows
/// with use, so that a look at the end of a log costs one block.
struct Window {
    source: Arc<dyn ReadAt>,
    base: u64,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
    ahead: usize,
}

impl Window {
    const LARGEST: usize = 1 << 20;

    fn new(source: Arc<dyn ReadAt>, arena: &Arena) -> Self {
        Window {
            source,
            base: arena.base(),
            size: arena.size,
            start: 0,
            bytes: Vec::new(),
            ahead: arena.block_size as usize,
        }
    }

    /// The `len` bytes at `at`; a read that fails is tried once more without
    /// reading ahead, so that a bad sector costs only the clumps that lie on it.
    fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
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

    fn range(&self, at: u64, len: usize) -> Option<std::ops::Range<usize>> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        let range = from..from.checked_add(len)?;
        (range.end <= self.bytes.len()).then_some(range)
    }
}

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
    pub fn entry(&mut self, index: u64) -> io::Result<Entry> {
        if index >= self.clumps {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let per_block = directory::entries_per_block(self.block_size);
        self.load(index / per_block)?;
        let at = usize::try_from(index % per_block).unwrap_or(usize::MAX) * Entry::LEN;
        self.block
            .get(at..)
            .and_then(Entry::parse)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The same entry, read by itself: for one here and one there.
    ///
    /// # Errors
    /// As [`Directory::entry`].
    pub fn lone_entry(&self, index: u64) -> io::Result<Entry> {
        if index >= self.clumps {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let per_block = directory::entries_per_block(self.block_size);
        let block = self.end - (index / per_block + 1) * u64::from(self.block_size);
        let mut entry = [0; Entry::LEN];
        let within = index % per_block * Entry::LEN as u64;
        self.source.read_at(&mut entry, block + within)?;
        Entry::parse(&entry).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
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
    /// after two disk blocks of them.
    fn find(&mut self, score: &Score, from: u64) -> Option<u64> {
        let limit = from + 2 * directory::entries_per_block(self.block_size);
        (from..limit.min(self.clumps))
            .find(|&index| matches!(self.entry(index), Ok(entry) if entry.score == *score))
    }
}
