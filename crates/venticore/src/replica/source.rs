//! A replica, read like the arena partition that it is a copy of.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;

use super::chain::Chain;
use super::{ObjectStore, StoreAccess, open};
use crate::codec::arena::clump::HEADER_LEN;
use crate::codec::arena::directory::{DirectoryEntry, entries_per_block};
use crate::codec::arena::head::Head;
use crate::codec::arena::table::{self, PartitionHeader, TableEntry};
use crate::codec::arena::trailer::{Counters, Trailer};
use crate::codec::replica::{ArenaFolder, ObjectName, ReplicaName};
use crate::codec::score::Score;
use crate::source::log::{ClumpLog, Item, What};
use crate::source::{Arena, ReadAt};

/// Where the first arena starts: after the largest table there can be.
const BASE: u32 = 8 << 20;

/// Bytes of the largest arena that is read.
const LARGEST: u64 = 1 << 40;

/// The type of a directory entry whose clump is damaged.
const CORRUPT: u8 = 255;

/// A partition whose bytes come from the objects of a replica. What no object has is zeros.
///
/// Arenas stand there in the order of their names, numbers in them by value, so that those
/// that come later lie behind the others. An arena that is not sealed there has a directory and
/// a trailer that are made from its log.
pub struct ReplicaSource {
    store: Arc<dyn ObjectStore>,
    /// By where they start.
    extents: Vec<Extent>,
    size: u64,
    notes: Vec<String>,
}

/// Bytes of the partition.
#[derive(Clone)]
struct Extent {
    start: u64,
    len: u64,
    of: Bytes,
}

#[derive(Clone)]
enum Bytes {
    Here(Arc<[u8]>),
    Object { name: Arc<str>, offset: u64 },
}

/// An arena of the replica, and where it is placed.
struct Placed {
    folder: ArenaFolder,
    head: Head,
    chain: Chain,
    entry: TableEntry,
}

impl ReplicaSource {
    /// Opens a replica to be read.
    ///
    /// Logs of arenas that are not sealed are read once, to the end.
    ///
    /// # Errors
    /// It is not there, or cannot be listed or read.
    pub fn open(name: &ReplicaName, access: &StoreAccess) -> io::Result<Self> {
        Self::over(open(name, access)?)
    }

    /// Over a store whose marker was seen.
    ///
    /// # Errors
    /// As [`ReplicaSource::open`].
    pub fn over(store: Arc<dyn ObjectStore>) -> io::Result<Self> {
        let mut notes = Vec::new();
        let arenas = arenas(store.as_ref(), &mut notes)?;
        let block_size = arenas.first().map_or(8192, |of| of.head.block_size);
        let size = arenas.last().map_or(BASE.into(), |of| of.entry.stop);
        let mut extents = table_extents(block_size, &arenas);
        let mut unsealed = Vec::new();
        for of in &arenas {
            let log_end = of.add_objects(&mut extents, &mut notes);
            unsealed.extend(log_end.map(|used| (of, used)));
        }
        let logs = Arc::new(ReplicaSource {
            store: Arc::clone(&store),
            extents: extents.clone(),
            size,
            notes: Vec::new(),
        });
        for (of, used) in unsealed {
            of.add_directory(used, &logs, &mut extents, &mut notes);
        }
        extents.sort_by_key(|of| of.start);
        Ok(ReplicaSource {
            store,
            extents,
            size,
            notes,
        })
    }

    /// What is wrong with it: objects that are missing or cut, arenas that are not served.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The arenas that have a head, in order and placed.
fn arenas(store: &dyn ObjectStore, notes: &mut Vec<String>) -> io::Result<Vec<Placed>> {
    let mut folders = store.folders()?;
    folders.sort_by(|a, b| by_number(a.name.as_str(), b.name.as_str()).then(a.magic.cmp(&b.magic)));
    let mut arenas = Vec::new();
    for folder in folders {
        let mut chain = Chain::of(store.list(&folder)?);
        if chain.end == Some(None) {
            // Behind a filter only reading tells.
            let end = store.get(&folder.object(ObjectName::End))?;
            chain.end = Some(Some(end.len() as u64));
        }
        for cut in &chain.cut {
            notes.push(format!(
                "{}: has {} bytes, expected as many as its name says",
                folder.object(cut.object),
                cut.size.unwrap_or(0)
            ));
        }
        let head = match head_of(store, &folder) {
            Ok(head) => head,
            Err(why) => {
                notes.push(format!("arena {folder} is left out: {why}"));
                continue;
            }
        };
        arenas.push((folder, head, chain));
    }
    Ok(place(arenas, notes))
}

/// Places arenas one after the other. They have blocks of one size, as most of them.
fn place(arenas: Vec<(ArenaFolder, Head, Chain)>, notes: &mut Vec<String>) -> Vec<Placed> {
    let count = |size: u32| {
        arenas
            .iter()
            .filter(|(_, head, _)| head.block_size == size)
            .count()
    };
    let most = arenas
        .iter()
        .map(|(_, head, _)| head.block_size)
        .max_by_key(|&size| count(size));
    let mut placed: Vec<Placed> = Vec::new();
    for (folder, head, chain) in arenas {
        let start = placed.last().map_or(BASE.into(), |last| last.entry.stop);
        let stop = start
            .checked_add(head.total)
            .filter(|_| head.total <= LARGEST);
        let Some(stop) = stop.filter(|_| Some(head.block_size) == most) else {
            notes.push(format!(
                "arena {folder} is left out: its blocks or its size do not go with the others"
            ));
            continue;
        };
        let entry = TableEntry {
            name: head.name.clone(),
            start,
            stop,
        };
        placed.push(Placed {
            folder,
            head,
            chain,
            entry,
        });
    }
    placed
}

/// The head of an arena, or what is wrong with it.
pub(super) fn head_of(store: &dyn ObjectStore, folder: &ArenaFolder) -> Result<Head, String> {
    let mut bytes = [0; Head::LEN];
    let object = folder.object(ObjectName::Head);
    let read = store.read(&object, &mut bytes, 0);
    read.map_err(|error| format!("{object}: {error}"))?;
    let head = Head::parse(&bytes).map_err(|error| {
        format!(
            "{object}: expected {}, found {}",
            error.expected, error.found
        )
    })?;
    if (&head.name, head.clump_magic) != (&folder.name, folder.magic) {
        return Err(format!(
            "{object}: is of arena {} with magic {:08x}",
            head.name, head.clump_magic
        ));
    }
    if !head.total.is_multiple_of(head.block_size.into()) {
        return Err(format!(
            "{object}: {} bytes are not whole blocks",
            head.total
        ));
    }
    Ok(head)
}

/// Header and table.
fn table_extents(block_size: u32, arenas: &[Placed]) -> Vec<Extent> {
    let header = PartitionHeader {
        block_size,
        arena_base: BASE,
    };
    let entries: Vec<_> = arenas.iter().map(|of| of.entry.clone()).collect();
    let text = table::to_text(&entries);
    vec![
        here(PartitionHeader::OFFSET, header.to_bytes().to_vec()),
        here(header.table_offset(), text.into_bytes()),
    ]
}

fn here(start: u64, bytes: Vec<u8>) -> Extent {
    Extent {
        start,
        len: bytes.len() as u64,
        of: Bytes::Here(bytes.into()),
    }
}

impl Placed {
    fn base(&self) -> u64 {
        self.entry.start + u64::from(self.head.block_size)
    }

    fn size(&self) -> u64 {
        self.head.total - 2 * u64::from(self.head.block_size)
    }

    fn object(&self, object: ObjectName, start: u64, offset: u64, len: u64) -> Extent {
        let name = self.folder.object(object).into();
        Extent {
            start,
            len,
            of: Bytes::Object { name, offset },
        }
    }

    /// Adds what its objects hold. Where it is not sealed there, or something is missing,
    /// the end of its log as far as it is there.
    fn add_objects(&self, extents: &mut Vec<Extent>, notes: &mut Vec<String>) -> Option<u64> {
        let block = u64::from(self.head.block_size);
        extents.push(self.object(ObjectName::Head, self.entry.start, 0, block));
        let mut reaches = self.chain.reaches();
        let used = self.used();
        if let Some(used) = used.filter(|&used| reaches < used) {
            notes.push(format!(
                "arena {}: its log has a gap at {reaches:#x} and should reach {used:#x}: only what is before it is read",
                self.folder
            ));
        } else if used.is_none()
            && let Some(next) = self.chain.next_after(reaches)
        {
            notes.push(format!(
                "arena {}: its log has a gap from {reaches:#x} to {next:#x}: only what is before it is read",
                self.folder
            ));
        }
        let sealed = used.filter(|&used| reaches >= used);
        reaches = reaches.min(sealed.unwrap_or(self.size()));
        for piece in self.chain.pieces() {
            let to = piece.of.to.min(reaches);
            if piece.at < to {
                let start = self.base() + piece.at;
                let offset = piece.at - piece.of.from;
                extents.push(self.object(piece.of.object(), start, offset, to - piece.at));
            }
        }
        match sealed {
            Some(used) => {
                let len = self.size() + block - used;
                extents.push(self.object(ObjectName::End, self.base() + used, 0, len));
                None
            }
            None => Some(reaches),
        }
    }

    /// Where the log of a sealed arena ends, by the size of what follows it.
    fn used(&self) -> Option<u64> {
        let rest = self.size() + u64::from(self.head.block_size);
        rest.checked_sub(self.chain.end??)
    }

    /// Makes the directory and the trailer of a log that ends there.
    ///
    /// What follows the last whole clump is not taken for a part of it.
    fn add_directory(
        &self,
        used: u64,
        logs: &Arc<ReplicaSource>,
        extents: &mut Vec<Extent>,
        notes: &mut Vec<String>,
    ) {
        let mut made = Made::default();
        let arena = self.arena(used);
        let source = Arc::clone(logs) as Arc<dyn ReadAt>;
        if let Ok(log) = ClumpLog::open(source, &arena, 0, true) {
            log.take_while(|item| item.offset < used)
                .for_each(|item| made.add(&item));
        }
        made.end_at_whole();
        let end = made.counters.used;
        if end < used {
            notes.push(format!(
                "arena {}: what is there of its log from {end:#x} to {used:#x} is not clumps, and is not read",
                self.folder
            ));
        }
        let block_size = self.head.block_size;
        let directory = made.directory(block_size);
        let room = self.size().saturating_sub(directory.len() as u64);
        if made.counters.used > room {
            return;
        }
        let start = self.base() + self.size() - directory.len() as u64;
        extents.push(here(start, directory));
        let trailer = made.trailer(&self.head).to_block(block_size as usize);
        extents.push(here(self.entry.stop - u64::from(block_size), trailer));
    }

    /// The arena with a log that ends there, and without a directory.
    fn arena(&self, used: u64) -> Arena {
        Arena {
            name: self.head.name.clone(),
            head: self.entry.start,
            size: self.size(),
            block_size: self.head.block_size,
            clump_magic: self.head.clump_magic,
            live: Counters {
                used,
                ..Counters::default()
            },
            sealed: false,
            settled: true,
            notes: Vec::new(),
        }
    }
}

/// What a log says of itself.
#[derive(Default)]
struct Made {
    entries: Vec<DirectoryEntry>,
    counters: Counters,
    created: u32,
    modified: u32,
    /// Entries and counters up to the last clump that is whole.
    whole: (usize, Counters),
}

impl Made {
    /// Forgets what follows the last whole clump.
    fn end_at_whole(&mut self) {
        let (entries, counters) = self.whole;
        self.entries.truncate(entries);
        self.counters = counters;
    }

    fn add(&mut self, item: &Item) {
        let entry = match &item.what {
            What::Clump { header, .. } => {
                if self.created == 0 {
                    self.created = header.time;
                }
                self.modified = header.time;
                self.counters.compressed += u32::from(header.size < header.uncompressed);
                DirectoryEntry {
                    disk_type: header.disk_type,
                    size: header.size,
                    uncompressed: header.uncompressed,
                    score: header.score,
                }
            }
            What::Corrupt(score) => corrupt(item, *score),
            What::Lost(loss) => corrupt(item, loss.score.unwrap_or(Score::ZERO)),
        };
        self.counters.clumps += 1;
        self.counters.used = item.end();
        self.counters.uncompressed += u64::from(entry.uncompressed);
        self.entries.push(entry);
        if matches!(item.what, What::Clump { .. }) {
            self.whole = (self.entries.len(), self.counters);
        }
    }

    /// The blocks of the directory: the first stands last.
    fn directory(&self, block_size: u32) -> Vec<u8> {
        let per_block = usize::try_from(entries_per_block(block_size)).unwrap_or(1);
        let mut bytes = Vec::new();
        for entries in self.entries.chunks(per_block.max(1)).rev() {
            let start = bytes.len();
            bytes.extend(entries.iter().flat_map(DirectoryEntry::to_bytes));
            bytes.resize(start + block_size as usize, 0);
        }
        bytes
    }

    fn trailer(&self, head: &Head) -> Trailer {
        Trailer {
            version: head.version,
            name: head.name.clone(),
            created: self.created,
            modified: self.modified,
            clump_magic: head.clump_magic,
            indexed: self.counters,
            written: None,
            score: Score::from_bytes([0; Score::LEN]),
        }
    }
}

/// The entry of a clump that cannot be had, as long as an entry can say.
fn corrupt(item: &Item, score: Score) -> DirectoryEntry {
    let size = item.len.saturating_sub(HEADER_LEN as u64);
    let size = u16::try_from(size).unwrap_or(u16::MAX);
    DirectoryEntry {
        disk_type: CORRUPT,
        size,
        uncompressed: size,
        score,
    }
}

/// The order of names in which 10 comes after 9.
fn by_number(a: &str, b: &str) -> Ordering {
    let split = |text: &str| {
        let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (stem, number) = text.split_at(text.len() - digits);
        let number = number.trim_start_matches('0').to_owned();
        (stem.to_owned(), number.len(), number)
    };
    split(a).cmp(&split(b)).then(a.cmp(b))
}

impl ReadAt for ReplicaSource {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        let mut at = self
            .extents
            .partition_point(|of| of.start + of.len <= offset);
        while let Some(of) = self.extents.get(at)
            && of.start < offset + buf.len() as u64
        {
            of.read(self.store.as_ref(), buf, offset)?;
            at += 1;
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn is_hole(&self, offset: u64, len: usize) -> bool {
        let at = self
            .extents
            .partition_point(|of| of.start + of.len <= offset);
        let next = self.extents.get(at);
        next.is_none_or(|of| of.start >= offset.saturating_add(len as u64))
    }
}

impl Extent {
    /// Fills what it has of these bytes of the partition.
    fn read(&self, store: &dyn ObjectStore, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let from = self.start.max(offset);
        let to = (self.start + self.len).min(offset + buf.len() as u64);
        let within = |at: u64, start: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
        let part = buf.get_mut(within(from, offset)..within(to, offset));
        let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
        let skip = from - self.start;
        match &self.of {
            Bytes::Here(bytes) => {
                let bytes = bytes.get(within(from, self.start)..within(to, self.start));
                part.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Bytes::Object { name, offset } => store.read(name, part, offset + skip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_their_numbers() {
        let mut names = ["b0", "a10", "a9", "a", "a09", "10", "9"];
        names.sort_by(|a, b| by_number(a, b));
        assert_eq!(names, ["9", "10", "a", "a09", "a9", "a10", "b0"]);
    }
}
