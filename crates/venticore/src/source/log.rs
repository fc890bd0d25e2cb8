//! Walking the clump log of one arena: live, lagging, mirrored or sealed, and
//! damaged in places (venti.md 5).
//!
//! Below the trailer's end of the log every clump is accounted for, by its own
//! header, by its directory entry, or as lost; past it, while the arena can
//! still grow, clumps are taken only if they hash to their score, and the
//! first that does not ends the log. Where header and directory disagree, what
//! hashes right wins.

mod directory;
mod fault;
mod item;
mod loss;
mod start;
mod window;

use std::io;
use std::sync::Arc;

pub use directory::Directory;
pub use item::{Item, What};
pub use loss::{Loss, loss};

use super::recount::recount;
use super::{Arena, ReadAt};
use crate::codec::arena::clump::{ClumpError, ClumpHeader, HEADER_LEN};
use crate::codec::arena::directory::DirectoryEntry;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use fault::ClumpFault;
use window::LogWindow;

/// A walk along the log of one arena.
pub struct ClumpLog {
    source: Arc<dyn ReadAt>,
    arena: Arena,
    settled: bool,
    window: LogWindow,
    directory: Directory,
    at: u64,
    /// The directory entry of the clump at `at`; unknown after damage to both.
    index: Option<u64>,
    /// Before this the directory tells where damaged clumps end: its sizes add
    /// up to a whole clump here, or to the end of the log.
    guided: u64,
    stopped: Option<ClumpError>,
    /// The header of the clump that ends where the walk started.
    before: Option<ClumpHeader>,
}

impl ClumpLog {
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
    ) -> Result<Self, ClumpError> {
        let mut log = ClumpLog {
            settled: synced || arena.settled,
            window: LogWindow::new(Arc::clone(&source), arena),
            directory: Directory::new(Arc::clone(&source), arena),
            source,
            at: from,
            index: None,
            guided: 0,
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

    /// Moves the walk on to `offset`, where a clump starts: by the directory, or
    /// from clump to clump. False where none starts there, or the walk is past it.
    pub fn advance_to(&mut self, offset: u64) -> bool {
        let bytes = offset.checked_sub(self.at);
        let bytes = bytes.filter(|_| offset <= self.used());
        let by_sizes = self.index.zip(bytes);
        let by_sizes = by_sizes.and_then(|(index, bytes)| self.directory.after(index, bytes));
        if let Some(index) = by_sizes {
            self.at = offset;
            self.index = Some(index);
            return true;
        }
        while self.at < offset && self.next().is_some() {}
        self.at == offset
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
    fn contested(
        &mut self,
        header: Result<ClumpHeader, ClumpFault>,
        entry: Option<DirectoryEntry>,
    ) -> Item {
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
            block_type: type_of_lost(header, by_entry),
            clumps: 1,
            why: fault.to_string(),
            maybe_late: !self.settled && at >= self.guided && fault.is_no_clump(),
        };
        let next_index = self.index.map(|index| index + 1);
        if let Some(by_entry) = by_entry
            && at + by_entry.stored_len() <= self.guided
        {
            return self.lost(at + by_entry.stored_len(), next_index, loss);
        }
        let next = [header, by_entry]
            .into_iter()
            .flatten()
            .map(|header| at + header.stored_len())
            .find(|&next| next == self.used() || self.header(next).is_ok());
        match next {
            Some(next) => self.lost(next, next_index, loss),
            None => self.resync(loss, by_entry),
        }
    }

    /// The header, if the block at `self.at` is what it says.
    fn hashes_right(&mut self, header: &ClumpHeader) -> Result<ClumpHeader, ClumpFault> {
        self.verified(self.at, |_| Ok(*header))
    }

    /// Looks for the next clump that hashes to its score. Where the sizes in
    /// the directory add up to there, they tell the lost clumps apart.
    fn resync(&mut self, loss: Loss, by_entry: Option<ClumpHeader>) -> Item {
        let (end, score) = match self.next_whole() {
            Some((at, score)) => (at, Some(score)),
            None => (self.used(), None),
        };
        let bytes = end - self.at;
        let loss = Loss {
            maybe_late: loss.maybe_late && score.is_none(),
            ..loss
        };
        let first = self.index.unwrap_or_default();
        let by_sizes = self
            .index
            .and_then(|index| self.directory.after(index, bytes));
        if let (Some(by_entry), Some(index), false) = (by_entry, by_sizes, loss.maybe_late)
            && self.stands_at(index, score)
        {
            self.guided = end;
            return self.lost(self.at + by_entry.stored_len(), Some(first + 1), loss);
        }
        let index = match (self.index, score) {
            (_, None) => Some(u64::from(self.arena.live.clumps)),
            (Some(index), Some(score)) => self.directory.find(&score, index, bytes),
            (None, Some(_)) => None,
        };
        let clumps = index.and_then(|index| index.checked_sub(first));
        let clumps = clumps.filter(|_| self.index.is_some()).unwrap_or(1).max(1);
        let loss = Loss {
            block_type: None,
            clumps,
            ..loss
        };
        self.lost(end, index, loss)
    }

    /// The next clump that hashes to its score, after where the walk is.
    fn next_whole(&mut self) -> Option<(u64, Score)> {
        let mut at = self.at + 1;
        while let Some(found) = self.find_magic(at) {
            if let Ok(header) = self.verified(found, |log| log.header(found)) {
                return Some((found, header.score));
            }
            at = found + 1;
        }
        None
    }

    /// Whether the directory entry at `index` has this score; `None` is the end of the directory.
    fn stands_at(&mut self, index: u64, score: Option<Score>) -> bool {
        match score {
            Some(score) => self.directory.entry(index).is_ok_and(|e| e.score == score),
            None => index == u64::from(self.arena.live.clumps),
        }
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
            (block_type, Ok(Err(error))) => What::Lost(Loss {
                score: Some(header.score),
                block_type,
                clumps: 1,
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

    /// No clump follows the end of an arena to which none will be added. If
    /// one does, the trailer is wrong, and the clumps are counted.
    fn next_past_end(&mut self) -> Option<Item> {
        if self.arena.size == self.at
            || self
                .verified(self.at, |log| log.raw_header(log.at, log.arena.size))
                .is_err()
        {
            return None;
        }
        let counted = self.used();
        let found = recount(self.source.as_ref(), &self.arena);
        if found.used <= counted {
            return None;
        }
        self.arena.live = found;
        self.directory = Directory::new(Arc::clone(&self.source), &self.arena);
        let mut item = self.next_in_log();
        item.note.get_or_insert_with(|| {
            format!("the trailer ends the log at {counted:#x}, but clumps follow")
        });
        Some(item)
    }

    /// The next clump past the trailer's end of the log, if it is whole.
    fn next_in_scan(&mut self) -> Option<Item> {
        let clumps = self.index.unwrap_or_default() + 1;
        let room = self.arena.room(clumps);
        let header = self.verified(self.at, |log| {
            let header = log.raw_header(log.at, room)?;
            if log.at + header.stored_len() > room {
                return Err(ClumpFault::Clump(ClumpError::Cut));
            }
            Ok(header)
        });
        match header {
            Ok(header) => Some(self.clump(header, None, None)),
            Err(fault) => {
                self.stopped = Some(match fault {
                    ClumpFault::Clump(error) => error,
                    ClumpFault::Read(_) => ClumpError::Cut,
                });
                None
            }
        }
    }

    /// The header of a clump below the trailer's end of the log.
    fn header(&mut self, at: u64) -> Result<ClumpHeader, ClumpFault> {
        let used = self.used();
        let header = self.raw_header(at, used)?;
        if at + header.stored_len() > used {
            return Err(ClumpFault::Clump(ClumpError::Cut));
        }
        Ok(header)
    }

    fn raw_header(&mut self, at: u64, limit: u64) -> Result<ClumpHeader, ClumpFault> {
        if at + HEADER_LEN as u64 > limit {
            return Err(ClumpFault::Clump(ClumpError::Cut));
        }
        let magic = self.arena.clump_magic;
        let bytes = self.window.get(at, HEADER_LEN)?;
        Ok(ClumpHeader::parse(bytes, magic)?)
    }

    /// A header whose block, at `at`, hashes to its score.
    fn verified(
        &mut self,
        at: u64,
        header: impl FnOnce(&mut Self) -> Result<ClumpHeader, ClumpFault>,
    ) -> Result<ClumpHeader, ClumpFault> {
        let header = header(self)?;
        let stored = self
            .window
            .get(at + HEADER_LEN as u64, header.size.into())?;
        header.block(stored)?;
        Ok(header)
    }
}

/// The type of the one block that was lost, where header and directory do not
/// contradict each other.
fn type_of_lost(header: Option<ClumpHeader>, entry: Option<ClumpHeader>) -> Option<BlockType> {
    match (header, entry) {
        (Some(header), Some(entry)) if header.score != entry.score => None,
        (Some(header), Some(entry)) if header.disk_type != entry.disk_type => None,
        (header, entry) => header.or(entry)?.block_type(),
    }
}

impl Iterator for ClumpLog {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.at < self.used() {
            Some(self.next_in_log())
        } else if self.stopped.is_some() {
            None
        } else if self.arena.settled {
            self.next_past_end()
        } else {
            self.next_in_scan()
        }
    }
}
