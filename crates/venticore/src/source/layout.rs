//! Finding the arenas of a partition, or the one arena of a file, and what
//! their trailers say of them (venti.md 2, 3 and 10).

use std::fmt;
use std::io;

use super::{Foreign, ReadAt, recount};
use crate::codec::arena::clump::HEADER_LEN;
use crate::codec::arena::head::Head;
use crate::codec::arena::table::{self, PartitionHeader, TableEntry};
use crate::codec::arena::trailer::{Counters, Trailer};
use crate::codec::arena::{FormatError, Name, directory};
use crate::codec::score::Score;

/// Why an arena or a partition cannot be read.
#[derive(Debug)]
pub enum LayoutError {
    /// A record is not what the format says.
    Format {
        /// Where the record starts, bytes from the start of the partition.
        offset: u64,
        /// What is wrong with it.
        error: FormatError,
    },
    /// The arena goes on past the end of the partition or file.
    Cut {
        /// Where it should end.
        want: u64,
        /// Where the partition ends.
        have: u64,
    },
    /// Something else is there.
    Foreign(Foreign),
    /// The partition could not be read.
    Read {
        /// Where, bytes from the start of the partition.
        offset: u64,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { offset, error } => {
                let FormatError {
                    record,
                    expected,
                    found,
                    ..
                } = error;
                write!(
                    f,
                    "{record} at {offset}: expected {expected}, found {found}"
                )
            }
            Self::Cut { want, have } => {
                write!(
                    f,
                    "cut off: it goes to {want}, but the partition ends at {have}"
                )
            }
            Self::Foreign(foreign) => write!(f, "expected arenas, {foreign}"),
            Self::Read { offset, error } => write!(f, "cannot read at {offset}: {error}"),
        }
    }
}

impl std::error::Error for LayoutError {}

/// The header and table of an arena partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArenaPartition {
    /// Disk block size in bytes.
    pub block_size: u32,
    /// The arenas in the order of the table, which is the order of their offsets.
    /// Those that the table should list and does not are among them.
    pub entries: Vec<TableEntry>,
    /// What is wrong with the table, though arenas were found.
    pub notes: Vec<Oddity>,
}

impl ArenaPartition {
    /// Reads header and table of a partition.
    ///
    /// Entries may lie past the end of a partition that was cut short; see
    /// [`ArenaPartition::arena`].
    ///
    /// A table that does not list every arena on the disk is damaged: those
    /// that its spare lines name, and those whose heads stand one after the
    /// other behind the last one, are added ([`ArenaPartition::notes`]).
    ///
    /// # Errors
    /// The header is missing, or the table is and no arena head stands where the
    /// first one belongs; or something else is there.
    pub fn read(source: &dyn ReadAt) -> Result<Self, LayoutError> {
        Self::read_table(source).map_err(|error| explain(source, error))
    }

    fn read_table(source: &dyn ReadAt) -> Result<Self, LayoutError> {
        let mut bytes = [0; PartitionHeader::LEN];
        read_at(source, &mut bytes, PartitionHeader::OFFSET)?;
        let header = PartitionHeader::parse(&bytes).map_err(at(PartitionHeader::OFFSET))?;
        let offset = header.table_offset();
        let text = table_text(source, &header)?;
        let base = u64::from(header.arena_base);
        let mut notes = Vec::new();
        let mut entries = match table::parse(&text, base) {
            Ok(entries) => entries,
            Err(error) => {
                let error = at(offset)(error);
                if head_at(source, &header, base).is_none() {
                    return Err(error);
                }
                notes.push(Oddity::Damaged(error.to_string()));
                Vec::new()
            }
        };
        let listed = entries.len();
        if notes.is_empty() {
            entries.extend(table::spare(
                &text,
                entries.last().map_or(base, |e| e.stop),
                listed,
            ));
        }
        let mut next = entries.last().map_or(base, |entry| entry.stop);
        while entries.len() < table::MAX_ENTRIES
            && let Some(entry) = head_at(source, &header, next)
        {
            next = entry.stop;
            entries.push(entry);
        }
        if let (true, Some(first)) = (notes.is_empty(), entries.get(listed)) {
            notes.push(Oddity::Damaged(format!(
                "arena table at {offset}: lists {listed} arenas, but arena {} follows at {}",
                first.name, first.start
            )));
        }
        Ok(ArenaPartition {
            block_size: header.block_size,
            entries,
            notes,
        })
    }

    /// Reads trailer and head of the arena of a table entry.
    ///
    /// As the server does, it goes by the table and the trailer; what the head
    /// says otherwise is noted in [`Arena::notes`]. An arena that is cut off
    /// has no trailer any more.
    ///
    /// # Errors
    /// Both its head and its trailer are unreadable or cut off.
    pub fn arena(&self, source: &dyn ReadAt, entry: &TableEntry) -> Result<Arena, LayoutError> {
        let place = ArenaPlace {
            head: entry.start,
            total: entry.stop - entry.start,
            block_size: self.block_size,
        };
        place.check()?;
        let mut bytes = [0; Head::LEN];
        let head = read_at(source, &mut bytes, entry.start)
            .and_then(|()| Head::parse(&bytes).map_err(at(entry.start)));
        match (place.trailer(source), head) {
            (Ok(trailer), head) => Ok(place.with_trailer(source, &trailer, head)),
            (Err(error), Ok(head)) => Ok(place.without_trailer(source, &head, &error)),
            (Err(error), Err(_)) => Err(error),
        }
    }
}

/// The arena whose head block stands at an offset, as a table would list it.
fn head_at(source: &dyn ReadAt, header: &PartitionHeader, offset: u64) -> Option<TableEntry> {
    let mut bytes = [0; Head::LEN];
    read_at(source, &mut bytes, offset).ok()?;
    let head = Head::parse(&bytes).ok()?;
    let stop = offset.checked_add(head.total)?;
    let fits = head.block_size == header.block_size && stop <= source.size();
    fits.then_some(TableEntry {
        name: head.name,
        start: offset,
        stop,
    })
}

/// The text of the table, read block by block up to its first zero byte.
fn table_text(source: &dyn ReadAt, header: &PartitionHeader) -> Result<Vec<u8>, LayoutError> {
    const LONGEST: usize = table::MAX_ENTRIES * (Name::LEN + 2 * 21);
    let mut text = Vec::new();
    let mut block = vec![0; header.block_size as usize];
    let mut offset = header.table_offset();
    while offset < header.arena_base.into() && !text.contains(&0) && text.len() < LONGEST {
        read_at(source, &mut block, offset)?;
        text.extend_from_slice(&block);
        offset += u64::from(header.block_size);
    }
    Ok(text)
}

/// An arena: where it lies and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arena {
    /// Its name.
    pub name: Name,
    /// Its head block, bytes from the start of the partition.
    pub head: u64,
    /// Bytes of the data section: clump log and directory.
    pub size: u64,
    /// Disk block size in bytes.
    pub block_size: u32,
    /// What every clump begins with.
    pub clump_magic: u32,
    /// Clumps and bytes that the log holds by the trailer's larger set. Where
    /// the trailer is damaged, or counts nothing although there are clumps,
    /// they are counted by the directory and the log.
    pub live: Counters,
    /// No clump will be added: by either set of counters.
    pub sealed: bool,
    /// The server has indexed the whole log of a sealed arena, so its log is
    /// final on disk.
    pub settled: bool,
    /// What head and trailer do not agree on, or the one that is damaged.
    pub notes: Vec<Oddity>,
}

/// Something odd about an arena that does not keep its clumps from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Head or trailer is damaged; the other one was believed.
    Damaged(String),
    /// Head and trailer disagree; the trailer was believed.
    Disagree(String),
    /// The trailer counts no clump and there are some, as after the first
    /// writes of a server that has not synced. After a sync it is damage.
    Uncounted(String),
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Damaged(text) | Self::Disagree(text) | Self::Uncounted(text)) = self;
        f.write_str(text)
    }
}

impl Arena {
    /// Reads head and trailer of the arena whose head block is at `head`.
    ///
    /// # Errors
    /// No arena head there.
    pub fn read(source: &dyn ReadAt, head_offset: u64) -> Result<Self, LayoutError> {
        let mut bytes = [0; Head::LEN];
        read_at(source, &mut bytes, head_offset)?;
        let head = Head::parse(&bytes).map_err(at(head_offset))?;
        let place = ArenaPlace {
            head: head_offset,
            total: head.total,
            block_size: head.block_size,
        };
        place.check()?;
        Ok(match place.trailer(source) {
            Ok(trailer) => place.with_trailer(source, &trailer, Ok(head)),
            Err(error) => place.without_trailer(source, &head, &error),
        })
    }

    /// Where the data section starts, bytes from the start of the partition.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.head + u64::from(self.block_size)
    }

    /// Bytes of the whole arena: head, data section and trailer.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.size.saturating_add(2 * u64::from(self.block_size))
    }

    /// The seal score in its trailer, where the server has computed it.
    #[must_use]
    pub fn seal_score(&self, source: &dyn ReadAt) -> Option<Score> {
        let place = ArenaPlace {
            head: self.head,
            total: self.total(),
            block_size: self.block_size,
        };
        let score = place.trailer(source).ok()?.score;
        (score.as_bytes() != &[0; Score::LEN]).then_some(score)
    }

    /// Bytes the log may reach to when it holds `clumps` clumps: the rest of
    /// the data section is their directory.
    #[must_use]
    pub fn room(&self, clumps: u64) -> u64 {
        self.size
            .saturating_sub(directory::len(clumps, self.block_size))
    }
}

/// Where an arena lies.
struct ArenaPlace {
    head: u64,
    total: u64,
    block_size: u32,
}

impl ArenaPlace {
    /// That it has room for head, trailer and a block between them, and that all of
    /// it can be counted. Whether it is there, reading tells.
    fn check(&self) -> Result<(), LayoutError> {
        let least = 3 * u64::from(self.block_size);
        if self.total >= least && self.head.checked_add(self.total).is_some() {
            return Ok(());
        }
        let error = FormatError::whole(
            "arena",
            "at least three blocks that end below 2^64",
            format!("{} bytes", self.total),
        );
        Err(at(self.head)(error))
    }

    fn size(&self) -> u64 {
        self.total - 2 * u64::from(self.block_size)
    }

    fn trailer(&self, source: &dyn ReadAt) -> Result<Trailer, LayoutError> {
        let offset = self.head + self.total - u64::from(self.block_size);
        let mut block = vec![0; self.block_size as usize];
        read_at(source, &mut block, offset)?;
        let trailer = Trailer::parse(&block).map_err(at(offset))?;
        self.check_counters(&trailer.live()).map_err(at(offset))?;
        Ok(trailer)
    }

    fn check_counters(&self, live: &Counters) -> Result<(), FormatError> {
        let room = self
            .size()
            .saturating_sub(directory::len(live.clumps.into(), self.block_size));
        let least = u64::from(live.clumps) * HEADER_LEN as u64;
        let most = least + u64::from(live.clumps) * u64::from(u16::MAX);
        let room = room.min(most);
        if (least..=room).contains(&live.used) {
            return Ok(());
        }
        Err(FormatError::whole(
            "arena trailer",
            format!("{} clumps in {least} to {room} bytes", live.clumps),
            format!("{} bytes used", live.used),
        ))
    }

    fn with_trailer(
        &self,
        source: &dyn ReadAt,
        trailer: &Trailer,
        head: Result<Head, LayoutError>,
    ) -> Arena {
        let mut arena = Arena {
            head: self.head,
            size: self.size(),
            block_size: self.block_size,
            clump_magic: trailer.clump_magic,
            live: trailer.live(),
            sealed: trailer.is_sealed(),
            settled: trailer.indexed.sealed,
            name: trailer.name.clone(),
            notes: Vec::new(),
        };
        match head {
            Ok(head) if self.log_is_of(source, &head, trailer) => {
                arena.clump_magic = head.clump_magic;
                arena.notes.push(Oddity::Damaged(format!(
                    "arena trailer: expected clump magic {:#010x}, which head and log have, \
                     found {:#010x}",
                    head.clump_magic, trailer.clump_magic
                )));
            }
            Ok(head) => arena.notes.extend(self.disagreement(&head, trailer)),
            Err(error) => arena.notes.push(Oddity::Damaged(error.to_string())),
        }
        if arena.live.used == 0 {
            Self::look_into(source, &mut arena, trailer);
        }
        arena
    }

    /// Counts the clumps of an arena that is empty by its trailer.
    fn look_into(source: &dyn ReadAt, arena: &mut Arena, trailer: &Trailer) {
        let found = recount::recount(source, arena);
        if found.clumps == 0 {
            return;
        }
        let text = format!(
            "arena trailer: counts no clumps, but the log has {}",
            found.clumps
        );
        let fresh = !arena.sealed && trailer.created == 0 && trailer.modified == 0;
        arena.notes.push(match fresh {
            true => Oddity::Uncounted(text),
            false => Oddity::Damaged(text),
        });
        arena.live = found;
        arena.settled = false;
    }

    fn without_trailer(&self, source: &dyn ReadAt, head: &Head, error: &LayoutError) -> Arena {
        let mut arena = Arena {
            name: head.name.clone(),
            head: self.head,
            size: self.size(),
            block_size: self.block_size,
            clump_magic: head.clump_magic,
            live: Counters::default(),
            sealed: false,
            settled: false,
            notes: vec![Oddity::Damaged(error.to_string())],
        };
        arena.live = recount::recount(source, &arena);
        // No server opens such an arena: none adds to it.
        arena.sealed = arena.live.clumps > 0;
        arena
    }

    /// True where head and trailer name different clump magics, and the log
    /// begins with the head's.
    fn log_is_of(&self, source: &dyn ReadAt, head: &Head, trailer: &Trailer) -> bool {
        let mut magic = [0; 4];
        let first = self.head + u64::from(self.block_size);
        head.clump_magic != trailer.clump_magic
            && read_at(source, &mut magic, first).is_ok()
            && u32::from_be_bytes(magic) == head.clump_magic
    }

    fn disagreement(&self, head: &Head, trailer: &Trailer) -> Option<Oddity> {
        let by_head = (&head.name, head.version, head.clump_magic, head.total);
        let by_trailer = (
            &trailer.name,
            trailer.version,
            trailer.clump_magic,
            self.total,
        );
        (by_head != by_trailer).then(|| {
            Oddity::Disagree(format!(
                "head says name {}, version {}, clump magic {:#010x}, {} bytes; \
                 table and trailer say {}, {}, {:#010x}, {}",
                by_head.0,
                by_head.1.number(),
                by_head.2,
                by_head.3,
                by_trailer.0,
                by_trailer.1.number(),
                by_trailer.2,
                by_trailer.3,
            ))
        })
    }
}

/// What an operand holds: a whole arena partition, or one arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArenaSource {
    /// A partition with its table.
    Partition(ArenaPartition),
    /// An arena at an offset: an `rdarena` file, or several behind each other.
    Single(Arena),
}

impl ArenaSource {
    /// Looks for a partition first, and failing that for an arena at `head`,
    /// as venti/wrarena does.
    ///
    /// # Errors
    /// Neither is there. The error is the partition's where its header has the
    /// right magic. Otherwise it says what is there instead, where that can be
    /// told, or is the arena's.
    pub fn read(source: &dyn ReadAt, head: u64) -> Result<Self, LayoutError> {
        match ArenaPartition::read_table(source) {
            Ok(partition) => Ok(Self::Partition(partition)),
            Err(of_partition) => match Arena::read(source, head) {
                Ok(arena) => Ok(Self::Single(arena)),
                Err(_) if has_partition_magic(source) => Err(of_partition),
                Err(of_arena) => Err(explain(source, of_arena)),
            },
        }
    }
}

/// Why no arenas were found: what is there instead, where that can be told.
fn explain(source: &dyn ReadAt, error: LayoutError) -> LayoutError {
    match Foreign::of(source) {
        Some(foreign) if !has_partition_magic(source) => LayoutError::Foreign(foreign),
        _ => error,
    }
}

fn has_partition_magic(source: &dyn ReadAt) -> bool {
    let mut magic = [0; 4];
    read_at(source, &mut magic, PartitionHeader::OFFSET).is_ok()
        && u32::from_be_bytes(magic) == PartitionHeader::MAGIC
}

fn read_at(source: &dyn ReadAt, buf: &mut [u8], offset: u64) -> Result<(), LayoutError> {
    let have = source.size();
    let want = offset.saturating_add(buf.len() as u64);
    if want > have {
        return Err(LayoutError::Cut { want, have });
    }
    source
        .read_at(buf, offset)
        .map_err(|error| LayoutError::Read { offset, error })
}

fn at(offset: u64) -> impl Fn(FormatError) -> LayoutError {
    move |error| LayoutError::Format { offset, error }
}
