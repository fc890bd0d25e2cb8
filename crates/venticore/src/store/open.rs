//! Opening a store: which arenas there are, what they hold by their directories, and what a
//! log that was not closed holds beyond its trailer (venti.md 5).

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use eyre::{OptionExt, WrapErr, bail};

use super::Disk;
use super::ground::Ground;
use super::index::{ADDRESS_MAX, Gatherer, Index, Maker};
use super::ledger::{Account, DirectoryEnd, Piece};
use super::place::Place;
use crate::codec::arena::Version;
use crate::codec::arena::clump::{ClumpHeader, HEADER_LEN};
use crate::codec::arena::head::Head;
use crate::codec::arena::trailer::{Counters, Trailer};
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::source::log::{ClumpLog, Directory, What};
use crate::source::{Arena, ArenaSource, Oddity, ReadAt};

/// An arena that was found, and what is on record of it.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) account: Account,
    /// What its log holds beyond the trailer: bytes of the disk.
    pub(super) tail: Range<u64>,
    arena: Arena,
    /// Its directory cannot be followed.
    is_damaged: bool,
    /// Where its log cannot be read beyond the trailer, bytes from the start of the data
    /// section, and why.
    unreadable: Option<(u64, io::Error)>,
}

/// The arenas of all disks, in the order in which they are filled.
///
/// # Errors
/// A disk holds no arenas; two arenas have one name; or they are too large for the index.
pub(super) fn arenas(disks: &[Arc<dyn Disk>]) -> eyre::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    let mut names = BTreeMap::new();
    let mut address = 0;
    for (number, disk) in disks.iter().enumerate() {
        for arena in arenas_of(disk.as_ref())? {
            if let Some(other) = names.insert(arena.name.clone(), disk.name()) {
                let (name, here) = (&arena.name, disk.name());
                bail!("{here}: arena {name} is also in {other}; expected names of its own");
            }
            let size = arena.size;
            found.push(Found::read(disk.as_ref(), number, arena, address)?);
            address += size;
            if address > ADDRESS_MAX {
                bail!("{}: expected at most 16 TiB of arenas in all", disk.name());
            }
        }
    }
    Ok(found)
}

fn arenas_of(disk: &dyn Disk) -> eyre::Result<Vec<Arena>> {
    let source: &dyn ReadAt = disk;
    match ArenaSource::read(source, 0).wrap_err_with(|| disk.name())? {
        ArenaSource::Single(arena) => Ok(vec![arena]),
        ArenaSource::Partition(partition) => {
            let read = |entry| partition.arena(source, entry);
            let arenas: Result<_, _> = partition.entries.iter().map(read).collect();
            arenas.wrap_err_with(|| disk.name())
        }
    }
}

impl Found {
    fn read(disk: &dyn Disk, number: usize, arena: Arena, address: u64) -> eyre::Result<Self> {
        let at = arena.base() + arena.size;
        let mut block = vec![0; arena.block_size as usize];
        let trailer = disk.read_at(&mut block, at).ok();
        let trailer = trailer.and_then(|()| Trailer::parse(&block).ok());
        let version = trailer.as_ref().map(|trailer| trailer.version);
        let version = match version {
            Some(version) => version,
            None => head_version(disk, &arena).ok_or_eyre("neither head nor trailer is there")?,
        };
        let is_odd = |note: &Oddity| !matches!(note, Oddity::Uncounted(_));
        let is_damaged = trailer.is_none() || arena.notes.iter().any(is_odd);
        let place = Place::of(&arena, number, version, address);
        let account = match trailer {
            Some(trailer) if !is_damaged => Account {
                indexed: trailer.indexed,
                written: trailer.live(),
                created: trailer.created,
                modified: trailer.modified,
                score: trailer.score,
                is_closed: trailer.is_sealed(),
                is_unscored: false,
                is_changed: false,
            },
            _ => Account {
                indexed: arena.live,
                written: arena.live,
                created: 0,
                modified: 0,
                score: Score::from_bytes([0; Score::LEN]),
                is_closed: true,
                is_unscored: true,
                is_changed: false,
            },
        };
        Ok(Found {
            place,
            account,
            tail: 0..0,
            arena,
            is_damaged,
            unreadable: None,
        })
    }

    fn load_and_enter(
        &mut self,
        disks: &[Arc<dyn Disk>],
        clumps: &mut Gatherer<'_>,
    ) -> eyre::Result<Vec<Piece>> {
        let disk = disks.get(self.place.disk).ok_or_eyre("no such disk")?;
        let beyond = self.load(disk, clumps)?;
        let entered = self.enter(disk.as_ref(), &beyond);
        Ok(entered.unwrap_or_else(|error| {
            self.close(self.account.written.used, error);
            Vec::new()
        }))
    }

    /// Adds nothing to an arena whose log cannot be read from `at` on: there may be clumps
    /// that writing would destroy. They are found at a start at which they can be read.
    fn close(&mut self, at: u64, error: io::Error) {
        self.account.is_closed = true;
        self.unreadable = Some((at, error));
    }

    /// Gives what the arena holds, and returns what it has beyond its trailer.
    fn load(&mut self, disk: &Arc<dyn Disk>, clumps: &mut Gatherer<'_>) -> eyre::Result<Beyond> {
        let mut arena = self.arena.clone();
        arena.live = self.account.written;
        let source: Arc<dyn ReadAt> = Arc::clone(disk) as Arc<dyn ReadAt>;
        let mut directory = Directory::new(Arc::clone(&source), &arena);
        let start = self.place.address;
        let adds_up = !self.is_damaged
            && directory.each(arena.live.used, |at, entry| {
                gather(clumps, &entry.score, entry.disk_type, start + at);
            });
        if !adds_up {
            self.is_damaged = true;
            self.account.is_closed = true;
            self.account.is_unscored = true;
            self.walk(source, clumps)?;
            return Ok(Beyond::default());
        }
        if self.account.is_closed {
            return Ok(Beyond::default());
        }
        let beyond = self.scan(disk.as_ref());
        for (at, header) in &beyond.clumps {
            gather(clumps, &header.score, header.disk_type, start + at);
        }
        Ok(beyond)
    }

    /// An arena whose directory does not lead through it: clump by clump.
    fn walk(&self, source: Arc<dyn ReadAt>, clumps: &mut Gatherer<'_>) -> eyre::Result<()> {
        let log = ClumpLog::open(source, &self.arena, 0, true);
        for item in log.wrap_err_with(|| self.place.name.to_string())? {
            if let What::Clump { header, .. } = &item.what {
                let address = self.place.address + item.offset;
                gather(clumps, &header.score, header.disk_type, address);
            }
        }
        Ok(())
    }

    /// The clumps after those that the trailer counts, up to the first that is not whole or
    /// cannot be read.
    fn scan(&mut self, disk: &dyn Disk) -> Beyond {
        let mut account = self.account.clone();
        let mut clumps = Vec::new();
        let mut stored = vec![0; usize::from(u16::MAX)];
        loop {
            match self.clump_after(&account.written, disk, &mut stored) {
                Ok(Some(header)) => {
                    clumps.push((account.written.used, header));
                    account.count(&header);
                }
                Ok(None) => break,
                Err(error) => {
                    self.close(account.written.used, error);
                    break;
                }
            }
        }
        Beyond { clumps }
    }

    /// The header of the clump after those that are counted, if it is whole.
    fn clump_after(
        &self,
        counted: &Counters,
        disk: &dyn Disk,
        stored: &mut [u8],
    ) -> io::Result<Option<ClumpHeader>> {
        let place = &self.place;
        let at = place.base() + counted.used;
        if !place.has_room(counted, 0) {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_LEN];
        disk.read_at(&mut bytes, at)?;
        let Ok(header) = ClumpHeader::parse(&bytes, place.clump_magic) else {
            return Ok(None);
        };
        if !place.has_room(counted, header.size.into()) {
            return Ok(None);
        }
        let stored = stored.get_mut(..header.size.into()).unwrap_or_default();
        disk.read_at(stored, at + HEADER_LEN as u64)?;
        Ok(header.block(stored).is_ok().then_some(header))
    }

    /// Enters what is beyond the trailer, and gives the directory blocks that say so.
    fn enter(&mut self, disk: &dyn Disk, beyond: &Beyond) -> io::Result<Vec<Piece>> {
        if beyond.clumps.is_empty() {
            return Ok(Vec::new());
        }
        let mut end = DirectoryEnd::read(&self.place, self.account.written.clumps, disk)?;
        let from = self.place.base() + self.account.written.used;
        let mut pieces = Vec::new();
        for (_, header) in &beyond.clumps {
            pieces.extend(end.add(&self.place, self.account.written.clumps, header));
            self.account.count(header);
        }
        pieces.extend(end.take(&self.place, self.account.written.clumps));
        self.tail = from..self.place.base() + self.account.written.used;
        Ok(pieces)
    }
}

/// Takes a clump that a client can ask for.
fn gather(clumps: &mut Gatherer<'_>, score: &Score, disk_type: u8, address: u64) {
    if BlockType::from_disk(disk_type).is_some() {
        clumps.push(score, disk_type, address);
    }
}

fn head_version(disk: &dyn Disk, arena: &Arena) -> Option<Version> {
    let mut bytes = [0; Head::LEN];
    disk.read_at(&mut bytes, arena.head).ok()?;
    Head::parse(&bytes).ok().map(|head| head.version)
}

/// Whole clumps beyond a trailer, with where they begin in the data section.
#[derive(Default)]
pub(super) struct Beyond {
    clumps: Vec<(u64, ClumpHeader)>,
}

/// What is in all arenas.
pub(super) struct Loaded {
    pub(super) index: Index,
    /// Directory blocks that name what was found beyond the trailers.
    pub(super) pieces: Vec<Piece>,
    /// What is odd, a line each.
    pub(super) notes: Vec<String>,
}

/// Makes the index, by all cores, and enters what is beyond the trailers.
///
/// # Errors
/// The log of an arena cannot be walked at all.
pub(super) fn load(found: &mut [Found], ground: &Ground) -> eyre::Result<Loaded> {
    let clumps = found.iter().map(|of| u64::from(of.account.written.clumps));
    let maker = Maker::with_room(clumps.sum());
    let work: Vec<_> = found.iter_mut().map(Mutex::new).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let one = || {
        let mut clumps = maker.gatherer();
        let mut done = Vec::new();
        while let Some(found) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(found.load_and_enter(&ground.disks, &mut clumps));
        }
        clumps.finish();
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        results.extend(done);
    };
    // Half of them read while the others work.
    let threads = 2 * thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(one);
        }
        one();
    });
    drop(work);
    let mut pieces = Vec::new();
    for done in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        pieces.extend(done?);
    }
    let (index, crowded) = maker.index();
    for (hash, address) in crowded {
        let header = ground.header(address).ok();
        index.insert(hash, address, |at| {
            let header = header.as_ref();
            header.is_some_and(|of| ground.is_of(at, &of.score, of.disk_type))
        });
    }
    Ok(Loaded {
        index,
        pieces,
        notes: notes(found, &ground.disks),
    })
}

/// What keeps arenas from being added to, a line each.
fn notes(found: &[Found], disks: &[Arc<dyn Disk>]) -> Vec<String> {
    let mut notes = Vec::new();
    for of in found {
        let disk = disks.get(of.place.disk).map(|disk| disk.name());
        let (disk, name) = (disk.unwrap_or_default(), &of.place.name);
        if let Some((at, error)) = &of.unreadable {
            notes.push(format!(
                "{disk}: arena {name} cannot be read at {at} bytes of its log, beyond its \
                 trailer, and nothing is added to it: {error}"
            ));
        }
        if of.is_damaged {
            let why = of.arena.notes.first().map(ToString::to_string);
            let why = why.unwrap_or_else(|| "its directory does not add up to its log".into());
            notes.push(format!(
                "{disk}: arena {name} is damaged, and nothing is added to it: {why}"
            ));
        }
    }
    notes
}
