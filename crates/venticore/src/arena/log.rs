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
pub use start::StartError;

use super::clump::{ClumpError, ClumpHeader, HEADER_LEN};
use super::directory::Entry;
use super::{Arena, ReadAt};
use crate::blocktype::BlockType;
use fault::Fault;
use window::Window;

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
