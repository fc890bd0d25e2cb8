//! A store: arenas in plan9port's form that are served, and written to.
//!
//! The log of the arenas is the truth. The index is in memory, made from the clump
//! directories when the store is opened; no block is believed to be there before a copy of
//! it hashes to its score. A block is in the log when [`Store::write`] returns. A
//! [`Store::sync`] writes what the log needs to be found again: the data is synced, then the
//! directory, then the trailer.

mod cache;
mod clump;
pub mod create;
pub mod disk;
mod ground;
mod index;
mod keeper;
mod ledger;
mod open;
mod pack;
mod place;
mod proven;
mod refusal;
mod seal;
mod tally;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use eyre::WrapErr;

use crate::codec::arena::clump::HEADER_LEN;
use crate::codec::arena::trailer::Counters;
use crate::codec::arena::{Name, Version};
use crate::codec::blocktype::{BLOCK_MAX, BlockType};
use crate::codec::score::Score;

use cache::Cache;
use ground::Ground;
use index::Index;
use ledger::{END_MARK, Flush, Ledger, Packed};
use pack::Packer;
use place::Place;
use proven::Proven;
use tally::Tally;

pub use cache::{CacheCounts, LARGEST as CACHE_LARGEST, SMALLEST as CACHE_SMALLEST};
pub use disk::Disk;
pub use keeper::Keeper;
pub use refusal::Refusal;
pub use tally::Counts;

/// How a store is opened.
pub struct Settings {
    /// Nothing is written.
    pub read_only: bool,
    /// Bytes of memory for blocks that were read; 0 for none.
    pub cache: u64,
    /// Is told what an operator should know, a line each: what is damaged, and what fails.
    pub say: Box<dyn Fn(&str) + Send + Sync>,
}

/// Arenas that blocks are read from and added to, by many threads at once.
pub struct Store {
    ground: Ground,
    index: Index,
    ledger: Mutex<Ledger>,
    /// How many added clumps are known to outlast a power cut. Who has the lock syncs.
    synced: Mutex<u64>,
    /// The same number, to be looked at without waiting for a sync.
    synced_upto: AtomicU64,
    /// Why the disk failed, once it has: nothing is written after that.
    failed: OnceLock<String>,
    packers: Mutex<Vec<Packer>>,
    proven: Proven,
    /// None where there is to be none.
    cache: Option<Cache>,
    tally: Tally,
    settings: Settings,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("places", &self.ground.places)
            .finish_non_exhaustive()
    }
}

/// What an arena holds, for the pages.
#[derive(Clone, Debug)]
pub struct ArenaState {
    /// Its name.
    pub name: Name,
    /// The operand of the partition it is in.
    pub partition: String,
    /// The version of its records.
    pub version: Version,
    /// Disk block size in bytes.
    pub block_size: u32,
    /// Its head block, bytes from the start of the partition.
    pub head: u64,
    /// Bytes of its data section: clump log and directory.
    pub size: u64,
    /// Unix time of the first clump, 0 if none.
    pub created: u32,
    /// Unix time of the last clump.
    pub modified: u32,
    /// What it holds.
    pub live: Counters,
    /// Its seal score, once it is in the trailer.
    pub score: Option<Score>,
}

impl Store {
    /// Opens the arenas of these disks. What a log holds beyond its trailer is found, up to
    /// the first clump that is not whole, and entered in its directory and trailer.
    ///
    /// # Errors
    /// A disk has no arenas or cannot be read; two arenas have the same name; or, unless the
    /// store is read only, what was found beyond a trailer cannot be entered.
    pub fn open(disks: Vec<Arc<dyn Disk>>, settings: Settings) -> eyre::Result<Self> {
        let mut found = open::arenas(&disks)?;
        let places = found.iter().map(|of| of.place.clone()).collect();
        let ground = Ground { disks, places };
        let loaded = open::load(&mut found, &ground)?;
        let read_only = settings.read_only;
        loaded.notes.iter().for_each(|note| (settings.say)(note));
        let tails = found.iter().map(|of| (of.place.disk, of.tail.clone()));
        let tails: Vec<_> = tails.collect();
        let accounts = found.into_iter().map(|of| of.account).collect();
        let store = Store {
            ledger: Mutex::new(Ledger::new(accounts, loaded.pieces)),
            ground,
            index: loaded.index,
            synced: Mutex::new(0),
            synced_upto: AtomicU64::new(0),
            failed: OnceLock::new(),
            packers: Mutex::default(),
            proven: Proven::default(),
            cache: Cache::of(settings.cache),
            tally: Tally::default(),
            settings,
        };
        if !read_only {
            let settled = store.settle(&tails);
            settled.wrap_err("cannot enter what was found beyond the trailers")?;
        }
        Ok(store)
    }

    /// Makes sure that what was found outlasts a power cut. A process before may have been
    /// killed in a sync; or its sync failed, and the system holds in memory what it will
    /// never write by itself. So all that may be so is written again.
    fn settle(&self, tails: &[(usize, Range<u64>)]) -> io::Result<()> {
        const PIECE: usize = 1 << 20;
        let mut ledger = self.ledger();
        for (number, bytes) in tails {
            let disk = self.ground.disks.get(*number);
            let disk = disk.ok_or(io::ErrorKind::NotFound)?;
            for at in bytes.clone().step_by(PIECE) {
                let len = usize::try_from(bytes.end - at).unwrap_or(PIECE).min(PIECE);
                let mut piece = vec![0; len];
                disk.read_at(&mut piece, at)?;
                disk.write_at(&piece, at)?;
            }
        }
        for (place, account) in self.ground.places.iter().zip(&ledger.accounts) {
            if !account.is_closed {
                self.settle_beyond(place, account.written.used)?;
            }
        }
        ledger.doubt_trailers();
        let flush = ledger.take(&self.ground);
        self.flush(&flush)?;
        ledger.fill_next(&self.ground)
    }

    /// Writes again what follows the end of a log: its mark, and a clump that did not get
    /// through. Otherwise a power cut could change it after the arena has got its score.
    fn settle_beyond(&self, place: &Place, used: u64) -> io::Result<()> {
        const MOST: u64 = (HEADER_LEN + END_MARK) as u64 + BLOCK_MAX as u64;
        let len = place.size.saturating_sub(used).min(MOST);
        let disk = self.ground.disks.get(place.disk);
        let disk = disk.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let at = place.base() + used;
        // Nobody has written what cannot be read.
        if disk.is_hole(at, bytes.len()) || disk.read_at(&mut bytes, at).is_err() {
            return Ok(());
        }
        match used == 0 && bytes.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => disk.write_at(&bytes, at),
        }
    }

    /// The block with this score and type (disk number).
    ///
    /// # Errors
    /// It is not there, or no copy of it hashes to its score.
    pub fn read(&self, score: &Score, disk_type: u8) -> Result<Vec<u8>, Refusal> {
        let found = self.whole(score, disk_type)?;
        match found {
            Some(block) => {
                self.tally.read(block.len());
                Ok(block)
            }
            None => Err(self.absent(score, disk_type)),
        }
    }

    /// Bytes of the block with this score and type, by its header: the block is not read.
    ///
    /// # Errors
    /// It is not there, or its header is damaged.
    pub fn size(&self, score: &Score, disk_type: u8) -> Result<u16, Refusal> {
        let mut fault = None;
        self.tally.probe();
        for address in self.index.find(self.index.hash(score, disk_type)) {
            match self.ground.header(address) {
                Ok(header) if header.score == *score && header.disk_type == disk_type => {
                    return Ok(header.uncompressed);
                }
                Ok(_) => {}
                Err(found) => fault = fault.or(Some((address, found))),
            }
        }
        match fault {
            Some((address, fault)) => Err(self.damaged(address, score, &fault)),
            None => Err(self.absent(score, disk_type)),
        }
    }

    /// Adds a block. When this returns it is in the log; see [`Store::sync`]. A block that
    /// is there already is not added, if a copy that is there hashes to its score.
    ///
    /// # Errors
    /// The store is full or read only, the block is too large or of an unknown type, or the
    /// disk fails.
    pub fn write(&self, disk_type: u8, block: &[u8]) -> Result<Score, Refusal> {
        if block.is_empty() {
            return Ok(Score::ZERO);
        }
        if block.len() > BLOCK_MAX as usize {
            return Err(Refusal::TooLarge);
        }
        self.may_write()?;
        BlockType::from_disk(disk_type).ok_or(Refusal::Type)?;
        let score = Score::of(block);
        let hash = self.index.hash(&score, disk_type);
        let before = self.index.find(hash);
        if !before.is_empty() && self.is_there(&score, disk_type, block)? {
            self.tally.duplicate();
            return Ok(score);
        }
        let mut packer = self.packers().pop().unwrap_or_default();
        let packed = packer.pack(disk_type, score, block);
        let done = packed.and_then(|packed| self.add(hash, &before, block, &packed));
        self.packers().push(packer);
        done.map(|()| score)
    }

    /// Adds a clump, if nobody else added its block meanwhile.
    fn add(
        &self,
        hash: index::Hash,
        before: &[u64],
        block: &[u8],
        packed: &Packed<'_>,
    ) -> Result<(), Refusal> {
        let header = &packed.header;
        let sum = self.proven.sum(header, packed.stored, block);
        let mut ledger = self.ledger();
        if self.index.find(hash) != before
            && self.is_there(&header.score, header.disk_type, block)?
        {
            drop(ledger);
            self.tally.duplicate();
            return Ok(());
        }
        self.may_write()?;
        let added = ledger.append(&self.ground, packed);
        let address = added.inspect_err(|refusal| self.fail(refusal))?;
        self.index.insert(hash, address, |at| {
            self.ground.is_of(at, &header.score, header.disk_type)
        });
        let is_due = ledger.is_due();
        drop(ledger);
        self.proven.note(address, sum);
        self.tally.stored(block.len(), !before.is_empty());
        if is_due {
            self.sync()?;
        }
        Ok(())
    }

    /// Returns when every block that was added before the call will outlast a power cut.
    ///
    /// # Errors
    /// The disk fails, or failed before.
    pub fn sync(&self) -> Result<(), Refusal> {
        if self.settings.read_only {
            return Ok(());
        }
        let wanted = self.ledger().added();
        let synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_failed()?;
        // Somebody else's sync may have been of this too. What came later has its own.
        let is_done = {
            let ledger = self.ledger();
            *synced >= wanted && (ledger.added() > wanted || !ledger.is_changed())
        };
        match is_done {
            true => Ok(()),
            false => self.flush_all_as(synced),
        }
    }

    /// Writes all that is not on disk yet.
    fn flush_all(&self) -> Result<(), Refusal> {
        self.flush_all_as(self.synced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn flush_all_as(&self, mut synced: MutexGuard<'_, u64>) -> Result<(), Refusal> {
        self.has_failed()?;
        let flush = self.ledger().take(&self.ground);
        self.flush(&flush).map_err(|error| {
            let refusal = Refusal::Disk(format!("cannot sync: {error}"));
            self.fail(&refusal);
            refusal
        })?;
        *synced = flush.upto;
        self.synced_upto.store(flush.upto, Ordering::Release);
        self.tally.sync();
        Ok(())
    }

    /// Data, then directory, then trailer, each on disk before the next is written.
    fn flush(&self, flush: &Flush) -> io::Result<()> {
        let sync = || {
            let mut disks = flush
                .disks
                .iter()
                .filter_map(|&number| self.ground.disks.get(number));
            disks.try_for_each(|disk| disk.sync())
        };
        sync()?;
        for pieces in [&flush.directory, &flush.trailers] {
            if !pieces.is_empty() {
                pieces
                    .iter()
                    .try_for_each(|piece| piece.write(&self.ground.disks))?;
                sync()?;
            }
        }
        Ok(())
    }

    /// The arenas in the order in which they are filled.
    #[must_use]
    pub fn arenas(&self) -> Vec<ArenaState> {
        let accounts = self.ledger().accounts.clone();
        let both = self.ground.places.iter().zip(accounts);
        let state = both.map(|(place, account)| ArenaState {
            name: place.name.clone(),
            partition: self
                .ground
                .disks
                .get(place.disk)
                .map(|disk| disk.name())
                .unwrap_or_default(),
            version: place.version,
            block_size: place.block_size,
            head: place.head,
            size: place.size,
            created: account.created,
            modified: account.modified,
            live: account.written,
            score: (*account.score.as_bytes() != [0; Score::LEN]).then_some(account.score),
        });
        state.collect()
    }

    /// What became of the requests since the store was opened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Bytes of log that can still be written.
    #[must_use]
    pub fn room(&self) -> u64 {
        match self.read_only() {
            Some(_) => 0,
            None => self.ledger().room(&self.ground),
        }
    }

    /// Bytes that the index takes in memory.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        self.index.bytes()
    }

    /// What became of the reads; all 0 without a cache.
    #[must_use]
    pub fn cache_counts(&self) -> CacheCounts {
        let counts = self.cache.as_ref().map(Cache::counts);
        counts.unwrap_or_default()
    }

    /// Blocks that were added and are not synced.
    #[must_use]
    pub fn unsynced(&self) -> u64 {
        let added = self.ledger().added();
        added.saturating_sub(self.synced_upto.load(Ordering::Acquire))
    }

    /// Why no block can be added; none where one can.
    #[must_use]
    pub fn read_only(&self) -> Option<String> {
        self.may_write().err().map(|refusal| refusal.to_string())
    }

    fn may_write(&self) -> Result<(), Refusal> {
        match self.settings.read_only {
            true => Err(Refusal::ReadOnly),
            false => self.has_failed(),
        }
    }

    fn has_failed(&self) -> Result<(), Refusal> {
        let why = self.failed.get().cloned();
        why.map_or(Ok(()), |why| Err(Refusal::Failed(why)))
    }

    /// After a failed write or sync nobody knows what is on the disk.
    fn fail(&self, refusal: &Refusal) {
        if let Refusal::Disk(why) = refusal
            && self.failed.set(why.clone()).is_ok()
        {
            (self.settings.say)(&format!("{why}; nothing is written until the next start"));
        }
    }

    fn absent(&self, score: &Score, disk_type: u8) -> Refusal {
        self.tally.absent();
        let score = *score;
        Refusal::Absent { score, disk_type }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn packers(&self) -> MutexGuard<'_, Vec<Packer>> {
        self.packers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
