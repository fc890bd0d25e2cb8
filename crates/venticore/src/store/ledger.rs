//! What changes when blocks are added: the counters of the arenas, the directory blocks and
//! trailers that are not on disk yet, and the arena that takes the next clump.

use std::io;
use std::sync::Arc;

use super::ground::Ground;
use super::place::Place;
use super::{Disk, Refusal};
use crate::codec::arena::clump::{ClumpHeader, HEADER_LEN};
use crate::codec::arena::directory::DirectoryEntry;
use crate::codec::arena::trailer::{Counters, Trailer};
use crate::codec::score::Score;

/// Zeros after the last clump: what stood there before is not taken for one.
pub(super) const END_MARK: usize = 4;

/// After this many full directory blocks that are not on disk, a writer syncs by itself.
const PENDING: usize = 1024;

/// What is on record of an arena.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// What a plan9port venti has in its index: never changed here, so that such a venti
    /// finds the rest by itself.
    pub(super) indexed: Counters,
    /// What the log holds.
    pub(super) written: Counters,
    pub(super) created: u32,
    pub(super) modified: u32,
    /// The seal score, all zero until computed.
    pub(super) score: Score,
    /// Nothing is added to it: by its trailer, or since it is damaged.
    pub(super) is_closed: bool,
    /// Its score is not computed: it is damaged, or cannot be read.
    pub(super) is_unscored: bool,
    /// The trailer on disk says something else.
    pub(super) is_changed: bool,
}

impl Account {
    /// Counts a clump that is in the log.
    pub(super) fn count(&mut self, header: &ClumpHeader) {
        let written = &mut self.written;
        written.clumps += 1;
        written.compressed += u32::from(header.size < header.uncompressed);
        written.used += header.stored_len();
        written.uncompressed += u64::from(header.uncompressed);
        if self.created == 0 {
            self.created = header.time;
        }
        self.modified = header.time;
        self.is_changed = true;
    }

    fn trailer(&self, place: &Place) -> Trailer {
        Trailer {
            version: place.version,
            name: place.name.clone(),
            created: self.created,
            modified: self.modified,
            clump_magic: place.clump_magic,
            indexed: self.indexed,
            written: (self.written != self.indexed).then_some(self.written),
            score: self.score,
        }
    }
}

/// Bytes that have to be written somewhere.
#[derive(Debug)]
pub(super) struct Piece {
    disk: usize,
    at: u64,
    bytes: Vec<u8>,
}

impl Piece {
    pub(super) fn write(&self, disks: &[Arc<dyn Disk>]) -> io::Result<()> {
        let disk = disks.get(self.disk).ok_or(io::ErrorKind::NotFound)?;
        disk.write_at(&self.bytes, self.at)
    }
}

/// What makes the clumps that were added up to now outlast a power cut.
#[derive(Debug, Default)]
pub(super) struct Flush {
    /// The disks that hold them.
    pub(super) disks: Vec<usize>,
    pub(super) directory: Vec<Piece>,
    pub(super) trailers: Vec<Piece>,
    /// How many clumps had been added since the store was opened.
    pub(super) upto: u64,
}

/// The end of a directory: its last block, which is not full.
#[derive(Debug)]
pub(super) struct DirectoryEnd {
    block: Vec<u8>,
    is_changed: bool,
}

impl DirectoryEnd {
    /// The end of the directory of an arena with this many clumps on record.
    pub(super) fn read(place: &Place, clumps: u32, disk: &dyn Disk) -> io::Result<Self> {
        let mut block = vec![0; place.block_size as usize];
        let (number, within) = place.entry_at(clumps);
        if within > 0 {
            disk.read_at(&mut block, place.directory_at(number))?;
            block.iter_mut().skip(within).for_each(|byte| *byte = 0);
        }
        Ok(DirectoryEnd {
            block,
            is_changed: false,
        })
    }

    /// Adds the entry of clump `number`; the block, if that was the last that it has room for.
    pub(super) fn add(
        &mut self,
        place: &Place,
        number: u32,
        header: &ClumpHeader,
    ) -> Option<Piece> {
        let (block, within) = place.entry_at(number);
        let entry = DirectoryEntry {
            disk_type: header.disk_type,
            size: header.size,
            uncompressed: header.uncompressed,
            score: header.score,
        };
        if let Some(room) = self.block.get_mut(within..within + DirectoryEntry::LEN) {
            room.copy_from_slice(&entry.to_bytes());
        }
        self.is_changed = true;
        if place.entry_at(number + 1).0 == block {
            return None;
        }
        let full = self.piece(place, block);
        self.block.fill(0);
        self.is_changed = false;
        Some(full)
    }

    /// The block as it is, if it has entries that are not on disk.
    pub(super) fn take(&mut self, place: &Place, clumps: u32) -> Option<Piece> {
        let changed = std::mem::take(&mut self.is_changed);
        changed.then(|| self.piece(place, place.entry_at(clumps).0))
    }

    fn piece(&self, place: &Place, number: u64) -> Piece {
        Piece {
            disk: place.disk,
            at: place.directory_at(number),
            bytes: self.block.clone(),
        }
    }
}

/// A block as its clump holds it.
pub(super) struct Packed<'a> {
    pub(super) header: ClumpHeader,
    pub(super) stored: &'a [u8],
}

/// See the module.
pub(super) struct Ledger {
    pub(super) accounts: Vec<Account>,
    /// The arena that takes the next clump, and the end of its directory.
    filling: Option<(usize, DirectoryEnd)>,
    /// Directory blocks that are not on disk.
    pending: Vec<Piece>,
    added: u64,
}

impl Ledger {
    pub(super) fn new(accounts: Vec<Account>, pending: Vec<Piece>) -> Self {
        Ledger {
            accounts,
            filling: None,
            pending,
            added: 0,
        }
    }

    /// How many clumps were added since the store was opened.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// Whether a trailer on disk says something else: also where no clump was added, but
    /// an arena was sealed.
    pub(super) fn is_changed(&self) -> bool {
        self.accounts.iter().any(|account| account.is_changed)
    }

    /// Trailers that a process before wrote and may not have synced will be written again:
    /// all but those that say nothing, and those that are final.
    pub(super) fn doubt_trailers(&mut self) {
        let accounts = self.accounts.iter_mut();
        let doubted = accounts.filter(|of| {
            let has_score = *of.score.as_bytes() != [0; Score::LEN];
            of.written.clumps > 0 && !has_score && !of.is_unscored
        });
        doubted.for_each(|account| account.is_changed = true);
    }

    /// A sealed arena without a score, whose trailer is on disk as it will be.
    pub(super) fn to_be_scored(&self) -> Option<usize> {
        self.accounts.iter().position(|of| {
            let is_final = of.written.sealed && !of.is_changed && !of.is_unscored;
            is_final && *of.score.as_bytes() == [0; Score::LEN]
        })
    }

    pub(super) fn set_score(&mut self, number: usize, score: Score) {
        if let Some(account) = self.accounts.get_mut(number) {
            account.score = score;
            account.is_changed = true;
        }
    }

    pub(super) fn give_up_score(&mut self, number: usize) {
        if let Some(account) = self.accounts.get_mut(number) {
            account.is_unscored = true;
        }
    }

    /// Whether so much waits for a sync that nobody should be waited for.
    pub(super) fn is_due(&self) -> bool {
        self.pending.len() >= PENDING
    }

    /// The bytes of log that can still be written.
    pub(super) fn room(&self, ground: &Ground) -> u64 {
        let open = self
            .accounts
            .iter()
            .zip(&ground.places)
            .filter(|(of, _)| !of.is_closed);
        let left = open.map(|(of, place)| place.size.saturating_sub(of.written.used));
        left.sum()
    }

    /// Goes on with the first arena that is open.
    pub(super) fn fill_next(&mut self, ground: &Ground) -> io::Result<()> {
        self.filling = None;
        let Some(number) = self.accounts.iter().position(|account| !account.is_closed) else {
            return Ok(());
        };
        if let (Some(place), Some(account)) = (ground.places.get(number), self.accounts.get(number))
        {
            let disk = ground
                .disks
                .get(place.disk)
                .ok_or(io::ErrorKind::NotFound)?;
            let end = DirectoryEnd::read(place, account.written.clumps, disk.as_ref())?;
            self.filling = Some((number, end));
        }
        Ok(())
    }

    /// Writes a clump at the end of the log, and returns its address. The arenas that have no
    /// room for it are sealed on the way.
    ///
    /// # Errors
    /// No arena has room; or the disk failed, and then nothing is counted.
    pub(super) fn append(&mut self, ground: &Ground, packed: &Packed<'_>) -> Result<u64, Refusal> {
        let failed = |error: io::Error| Refusal::Disk(format!("cannot write a clump: {error}"));
        loop {
            let Some((number, end)) = &mut self.filling else {
                return Err(Refusal::Full);
            };
            let (Some(place), Some(account)) =
                (ground.places.get(*number), self.accounts.get_mut(*number))
            else {
                return Err(Refusal::Full);
            };
            if !place.has_room(&account.written, packed.stored.len()) {
                account.written.sealed = true;
                account.is_closed = true;
                account.is_changed = true;
                self.pending.extend(end.take(place, account.written.clumps));
                self.fill_next(ground).map_err(failed)?;
                continue;
            }
            let disk = ground.disks.get(place.disk).ok_or(Refusal::Full)?;
            let at = account.written.used;
            let mut clump = Vec::with_capacity(HEADER_LEN + packed.stored.len() + END_MARK);
            clump.extend(packed.header.to_bytes(place.clump_magic));
            clump.extend(packed.stored);
            // The end of the log, until the next clump.
            clump.extend([0; END_MARK]);
            disk.write_at(&clump, place.base() + at).map_err(failed)?;
            let full = end.add(place, account.written.clumps, &packed.header);
            self.pending.extend(full);
            account.count(&packed.header);
            self.added += 1;
            return Ok(place.address + at);
        }
    }

    /// All that is not on disk, which then counts as written there.
    pub(super) fn take(&mut self, ground: &Ground) -> Flush {
        let mut directory = std::mem::take(&mut self.pending);
        if let Some((number, end)) = &mut self.filling
            && let (Some(place), Some(account)) =
                (ground.places.get(*number), self.accounts.get(*number))
        {
            directory.extend(end.take(place, account.written.clumps));
        }
        let mut trailers = Vec::new();
        let mut disks = Vec::new();
        for (account, place) in self.accounts.iter_mut().zip(&ground.places) {
            if std::mem::take(&mut account.is_changed) {
                trailers.push(Piece {
                    disk: place.disk,
                    at: place.trailer_at(),
                    bytes: account.trailer(place).to_block(place.block_size as usize),
                });
                disks.push(place.disk);
            }
        }
        disks.dedup();
        Flush {
            disks,
            directory,
            trailers,
            upto: self.added,
        }
    }
}
