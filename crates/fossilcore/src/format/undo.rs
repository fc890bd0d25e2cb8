//! A file with everything that a format is about to overwrite, and with what
//! it writes: so that the old can be put back, and so that it can be told
//! whether anybody has written to the partition since.
//!
//! The form: lines of text (`fossil undo 1`, then a word and its value each), an
//! empty line, then records, then the SHA-1 of all that. A record has a kind
//! (u8), where it begins in the partition (u64), its length (u64), the length as
//! stored (u32), and its bytes: none for zeros, as they are, or packed. Numbers
//! are big-endian. Pieces of zeros, which most labels are, take 21 bytes
//! together; the labels of a full file system shrink to a fraction.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha1::{Digest, Sha1};
use venticore::arena::ReadAt;
use venticore::score::{LabelledScore, Score};
use venticore::state::Utc;

use super::plan::Format;
use super::repeats;
use super::standing::Standing;
use super::write::MAGIC;
use super::{CHUNK, Disk, Piece, SECTOR, are_zeros, bytes_at, chunks, each_chunk};

/// The first line.
const FIRST: &str = "fossil undo 1";

/// The most bytes of the text.
const TEXT_MAX: u64 = 64 << 10;

/// The most records: those of a file system of 2 TB that is full.
const RECORDS_MAX: usize = 1 << 17;

/// The most areas.
const AREAS_MAX: usize = 16;

/// The kind that ends the records.
const END: u8 = 0xff;

/// Bytes of a record before those it stores.
const HEAD: usize = 1 + 8 + 8 + 4;

/// Which of the two a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old = 0,
    New = 1,
}

/// How a record stores its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Zeros = 0,
    Plain = 1,
    Packed = 2,
}

/// What an undo file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct About {
    partition: String,
    time: SystemTime,
    old: Option<Score>,
    new: Score,
    /// Where the super block of the old fossil is, if there is one.
    mark: Option<u64>,
}

/// Writes what the format of a disk overwrites, and what it writes. `partition`
/// is what the disk is called, `new` the score it is formatted to.
///
/// # Errors
/// The disk could not be read, or the file not written.
pub fn save(
    to: &mut dyn Write,
    disk: &dyn ReadAt,
    format: &Format,
    partition: &str,
    new: Score,
) -> io::Result<()> {
    let standing = Standing::of(disk)?;
    let about = About {
        partition: partition.to_owned(),
        time: SystemTime::now(),
        old: standing.last(),
        new,
        mark: standing.superblock_at(),
    };
    save_about(to, disk, format, &about)
}

fn save_about(
    to: &mut dyn Write,
    disk: &dyn ReadAt,
    format: &Format,
    about: &About,
) -> io::Result<()> {
    let mut to = Recorder {
        to,
        hash: Sha1::new(),
        zeros: None,
    };
    let areas = format.areas();
    let mut text = format!("{FIRST}\npartition {}\n", about.partition);
    text += &format!("length {}\ntime {}\n", disk.size(), Utc(about.time));
    match about.old {
        Some(old) => text += &format!("old vac:{old}\n"),
        None => text += "old none\n",
    }
    text += &format!("new vac:{}\n", about.new);
    if let Some(mark) = about.mark {
        text += &format!("mark {mark}\n");
    }
    text += &format!("super {}\n", format.header.superblock_at());
    let mut ranges: Vec<_> = areas
        .iter()
        .map(|area| (area.name, area.start, area.len))
        .collect();
    // A super block that only loses its magic for a while.
    let outside = about
        .mark
        .filter(|&mark| !areas.iter().any(|area| area.contains(mark)));
    ranges.extend(outside.map(|mark| ("mark", mark / SECTOR * SECTOR, SECTOR)));
    for (name, start, len) in &ranges {
        text += &format!("area {name} {start} {len}\n");
    }
    text += "\n";
    to.put(text.as_bytes())?;
    for (name, start, len) in ranges {
        each_chunk(disk, start, len, |at, old| to.record(Side::Old, at, old))?;
        let area = areas.iter().find(|area| area.name == name);
        for (at, len) in chunks(start, len) {
            match area.map(|area| area.piece(at, len)) {
                Some(Piece::Zeros(len)) => to.zeros(Side::New, at, len as u64)?,
                Some(Piece::Bytes(new)) => to.record(Side::New, at, &new)?,
                None => to.record(Side::New, at, &bytes_at(disk, at, len)?)?,
            }
        }
    }
    to.finish()
}

struct Recorder<'w> {
    to: &'w mut dyn Write,
    hash: Sha1,
    /// A piece of zeros that may go on: side, start, length.
    zeros: Option<(Side, u64, u64)>,
}

impl Recorder<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    /// Zeros, which may go on from the ones before.
    fn zeros(&mut self, side: Side, at: u64, len: u64) -> io::Result<()> {
        self.zeros = match self.zeros {
            Some((of, start, before)) if of == side && start + before == at => {
                Some((of, start, before + len))
            }
            _ => {
                self.flush()?;
                Some((side, at, len))
            }
        };
        Ok(())
    }

    fn record(&mut self, side: Side, at: u64, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        if are_zeros(bytes) {
            return self.zeros(side, at, len);
        }
        self.flush()?;
        let packed = repeats::pack(bytes);
        match packed.len() < bytes.len() {
            true => self.head(side, Stored::Packed, at, len, &packed),
            false => self.head(side, Stored::Plain, at, len, bytes),
        }
    }

    fn head(&mut self, side: Side, how: Stored, at: u64, len: u64, bytes: &[u8]) -> io::Result<()> {
        let stored = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(HEAD + bytes.len());
        record.push((side as u8) << 4 | how as u8);
        record.extend(at.to_be_bytes());
        record.extend(len.to_be_bytes());
        record.extend(stored.to_be_bytes());
        record.extend(bytes);
        self.put(&record)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.zeros.take() {
            Some((side, at, len)) => self.head(side, Stored::Zeros, at, len, &[]),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.put(&[END])?;
        let hash = self.hash.finalize();
        self.to.write_all(&hash)
    }
}

/// Why an undo file cannot be used.
#[derive(Debug)]
pub enum UndoError {
    /// The file, or the partition, could not be read or written.
    Io(io::Error),
    /// The file is not what it should be.
    Format(String),
    /// The partition has another length.
    Length {
        /// That of the one the file is of.
        expected: u64,
        /// That of the one at hand.
        found: u64,
    },
    /// The partition holds something that is neither the old nor the new, from
    /// this byte on.
    Written(u64),
    /// What was read back from here on is not what was written.
    Differs(u64),
}

impl From<io::Error> for UndoError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for UndoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Format(what) => write!(f, "expected an undo file, found {what}"),
            Self::Length { expected, found } => write!(
                f,
                "expected a partition of {expected} bytes, found {found}: the undo file is of another one"
            ),
            Self::Written(at) => write!(
                f,
                "expected what the format wrote, or what it replaced, found something else at {at}: the undo file is of another partition, or this one was written since"
            ),
            Self::Differs(at) => write!(
                f,
                "read back at {at}: expected what was written, found something else"
            ),
        }
    }
}

impl std::error::Error for UndoError {}

/// What a partition holds, compared with an undo file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matches {
    /// What was there before the format.
    Old,
    /// What the format wrote.
    New,
    /// Some of each: the format, or putting back, did not end.
    Between,
}

/// An undo file that is whole.
#[derive(Debug)]
pub struct Undo {
    file: File,
    path: PathBuf,
    /// The partition, as it was called.
    pub partition: String,
    /// Its length in bytes.
    pub length: u64,
    /// When it was formatted.
    pub time: SystemTime,
    /// The last score of the fossil that was replaced.
    pub old: Option<Score>,
    /// The score of the one that replaced it.
    pub new: Score,
    mark: Option<u64>,
    superblock: u64,
    areas: Vec<(String, u64, u64)>,
    records: [Vec<Record>; 2],
}

#[derive(Clone, Copy, Debug)]
struct Record {
    how: Stored,
    at: u64,
    len: u64,
    /// Where its bytes are in the file, and how many.
    place: u64,
    stored: u32,
}

impl Undo {
    /// Opens a file and checks all of it.
    ///
    /// # Errors
    /// [`UndoError::Io`], [`UndoError::Format`].
    pub fn open(path: &Path) -> Result<Self, UndoError> {
        let bad = |what: &str| UndoError::Format(what.to_owned());
        let meta = fs::metadata(path)?;
        if !meta.is_file() {
            return Err(bad("no regular file"));
        }
        let file = File::open(path)?;
        let mut input = Hashed {
            input: BufReader::new(file.try_clone()?),
            hash: Sha1::new(),
            at: 0,
        };
        let text = input.text()?;
        let mut undo = Self::described(file, path, &text)?;
        while let Some((side, record)) = input.record()? {
            let records = undo.records.get_mut(side);
            let records = records.ok_or_else(|| bad("a record of an unknown kind"))?;
            let after = records.last().map_or(0, |last: &Record| last.at + last.len);
            let inside = record
                .at
                .checked_add(record.len)
                .is_some_and(|end| end <= undo.length);
            let area = undo
                .areas
                .iter()
                .position(|(_, start, _)| *start == record.at);
            // Areas come in the order of the writes, records of one in order.
            if !inside || (record.at != after && area.is_none()) || records.len() >= RECORDS_MAX {
                return Err(bad("records that do not follow one another"));
            }
            records.push(record);
        }
        let expected = input.hash.clone().finalize();
        let mut found = Vec::new();
        input.input.take(64).read_to_end(&mut found)?;
        if *expected != *found {
            return Err(bad(
                "another hash than that of its bytes: it was cut short or damaged",
            ));
        }
        for records in &mut undo.records {
            records.sort_by_key(|record| record.at);
        }
        Ok(undo)
    }

    /// What the lines at the start say.
    fn described(file: File, path: &Path, text: &str) -> Result<Self, UndoError> {
        let bad = |what: String| UndoError::Format(what);
        let (mut words, mut areas) = (HashMap::new(), Vec::new());
        for line in text.lines().skip(1) {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            if word != "area" {
                words.insert(word, value);
                continue;
            }
            let fields: Vec<&str> = value.split(' ').collect();
            let number = |n: usize| fields.get(n).and_then(|text| text.parse::<u64>().ok());
            match (fields.first(), number(1), number(2)) {
                (Some(name), Some(start), Some(len)) if areas.len() < AREAS_MAX => {
                    areas.push(((*name).to_owned(), start, len));
                }
                _ => return Err(bad(format!("the line \"{}\"", line.escape_default()))),
            }
        }
        let get = |word: &str| {
            let value = words.get(word).copied();
            value.ok_or_else(|| bad(format!("no line with {word}")))
        };
        let odd = |word: &str| bad(format!("a line with {word} that cannot be"));
        let number = |word: &str| get(word)?.parse::<u64>().map_err(|_| odd(word));
        let score = |word: &str| {
            let parsed = get(word)?.parse::<LabelledScore>();
            parsed.map(|labelled| labelled.score).map_err(|_| odd(word))
        };
        let time: Utc = get("time")?.parse().map_err(|_| odd("time"))?;
        let old = match get("old")? {
            "none" => None,
            _ => Some(score("old")?),
        };
        let mark = words.get("mark").map(|_| number("mark")).transpose()?;
        let undo = Undo {
            file,
            path: path.to_owned(),
            partition: get("partition")?.to_owned(),
            length: number("length")?,
            time: time.0,
            old,
            new: score("new")?,
            mark,
            superblock: number("super")?,
            areas,
            records: [Vec::new(), Vec::new()],
        };
        let outside = |&(_, start, len): &(String, u64, u64)| {
            start.checked_add(len).is_none_or(|end| end > undo.length)
        };
        // The sector of a super block, which is put back by itself.
        let marked = |at: u64| {
            let inside =
                |&(_, start, len): &(String, u64, u64)| start <= at && at - start + SECTOR <= len;
            at.is_multiple_of(SECTOR) && undo.areas.iter().any(inside)
        };
        if undo.areas.iter().any(outside)
            || !undo.mark.is_none_or(marked)
            || !marked(undo.superblock)
        {
            return Err(odd("area"));
        }
        Ok(undo)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Some bytes as they were, or as they were written.
    fn content(&self, side: Side, at: u64, len: usize) -> Result<Piece, UndoError> {
        let records = &self.records[side as usize];
        let number = records.partition_point(|record| record.at <= at);
        let first = number.checked_sub(1).and_then(|n| records.get(n));
        let zeros = first.filter(|record| record.how == Stored::Zeros);
        if zeros.is_some_and(|record| at + len as u64 <= record.at + record.len) {
            return Ok(Piece::Zeros(len));
        }
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let next = at + bytes.len() as u64;
            let number = records.partition_point(|record| record.at <= next);
            let record = number.checked_sub(1).and_then(|n| records.get(n));
            let record = record.filter(|record| next - record.at < record.len);
            let Some(record) = record else {
                return Err(UndoError::Format(format!("no bytes for {next}")));
            };
            let skip = next - record.at;
            let left = usize::try_from(record.len - skip).unwrap_or(usize::MAX);
            let count = left.min(len - bytes.len());
            match record.how {
                Stored::Zeros => bytes.resize(bytes.len() + count, 0),
                _ => {
                    let whole = self.unpack(record)?;
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    bytes.extend(whole.iter().skip(skip).take(count));
                }
            }
        }
        Ok(Piece::Bytes(bytes))
    }

    fn unpack(&self, record: &Record) -> Result<Vec<u8>, UndoError> {
        let mut stored = vec![0; usize::try_from(record.stored).unwrap_or(0)];
        self.file.read_exact_at(&mut stored, record.place)?;
        if record.how == Stored::Plain {
            return Ok(stored);
        }
        let bytes = usize::try_from(record.len)
            .ok()
            .and_then(|len| repeats::unpack(&stored, len));
        bytes.ok_or_else(|| UndoError::Format("packed bytes that cannot be unpacked".into()))
    }

    /// Compares a disk with the file.
    ///
    /// # Errors
    /// [`UndoError::Length`], [`UndoError::Written`], and what cannot be read.
    pub fn matches(&self, disk: &dyn ReadAt) -> Result<Matches, UndoError> {
        if disk.size() != self.length {
            return Err(UndoError::Length {
                expected: self.length,
                found: disk.size(),
            });
        }
        let (mut is_old, mut is_new) = (true, true);
        for &(_, start, len) in &self.areas {
            each_chunk(disk, start, len, |at, found| {
                let old = self.content(Side::Old, at, found.len())?;
                let new = self.content(Side::New, at, found.len())?;
                let (as_old, as_new) = (old.is(found), new.is(found));
                is_old &= as_old;
                is_new &= as_new;
                match as_old || as_new {
                    true => Ok(()),
                    false => self.sectors(at, found, &old.into_bytes(), &new.into_bytes()),
                }
            })?;
        }
        Ok(match (is_old, is_new) {
            (true, _) => Matches::Old,
            (_, true) => Matches::New,
            _ => Matches::Between,
        })
    }

    /// Checks that each sector is as it was before or after.
    fn sectors(&self, at: u64, found: &[u8], old: &[u8], new: &[u8]) -> Result<(), UndoError> {
        let size = usize::try_from(SECTOR).unwrap_or(usize::MAX);
        let sectors = found
            .chunks(size)
            .zip(old.chunks(size))
            .zip(new.chunks(size));
        for (number, ((found, old), new)) in sectors.enumerate() {
            let at = at + (number * size) as u64;
            if found == old || found == new || self.is_unmarked(at, found, &[old, new]) {
                continue;
            }
            return Err(UndoError::Written(at));
        }
        Ok(())
    }

    /// Whether a sector is one of these but for the magic of a super block.
    fn is_unmarked(&self, at: u64, found: &[u8], sides: &[&[u8]]) -> bool {
        let marks = [self.mark, Some(self.superblock)];
        marks.into_iter().flatten().any(|mark| {
            let from = mark
                .checked_sub(at)
                .and_then(|from| usize::try_from(from).ok());
            let Some(from) = from.filter(|from| from + MAGIC <= found.len()) else {
                return false;
            };
            sides.iter().any(|side| {
                let mut side = side.to_vec();
                if let Some(magic) = side.get_mut(from..from + MAGIC) {
                    magic.fill(0);
                }
                side == found
            })
        })
    }

    /// Puts back what was there before the format, all of it or, where it is
    /// interrupted, so that a further call completes it. Until then the disk
    /// is no fossil.
    ///
    /// # Errors
    /// As [`Undo::matches`]; what could not be written; [`UndoError::Differs`].
    pub fn put_back(&self, disk: &dyn Disk) -> Result<Matches, UndoError> {
        // So that what is a hole is known.
        disk.sync()?;
        let before = self.matches(disk)?;
        if before == Matches::Old {
            return Ok(before);
        }
        let marks = [Some(self.superblock), self.mark];
        for mark in marks.into_iter().flatten() {
            disk.write_at(&[0; MAGIC], mark)?;
        }
        disk.sync()?;
        let sector = |mark: u64| mark / SECTOR * SECTOR;
        let last: Vec<u64> = marks.into_iter().flatten().map(sector).collect();
        for (name, start, len) in &self.areas {
            if name != "header" {
                self.put(disk, *start, *len, &last)?;
            }
        }
        disk.sync()?;
        for (_, start, len) in self.areas.iter().filter(|(name, ..)| name == "header") {
            self.put(disk, *start, *len, &[])?;
        }
        disk.sync()?;
        // The super block that the header leads to comes last.
        for at in last {
            self.put(disk, at, SECTOR, &[])?;
            disk.sync()?;
        }
        disk.forget();
        self.compare(disk).map(|()| before)
    }

    /// Writes what was there before, but for some sectors.
    fn put(&self, disk: &dyn Disk, start: u64, len: u64, but: &[u64]) -> Result<(), UndoError> {
        each_chunk(disk, start, len, |at, found| {
            let len = found.len();
            let old = self.content(Side::Old, at, len)?;
            if old.is(found) {
                return Ok(());
            }
            let old = old.into_bytes();
            let mut from = at;
            let end = at + len as u64;
            let mut left_out: Vec<u64> = but
                .iter()
                .copied()
                .filter(|s| (at..end).contains(s))
                .collect();
            left_out.sort_unstable();
            left_out.dedup();
            left_out.push(end);
            for sector in left_out {
                let part = |place: u64| usize::try_from(place - at).unwrap_or(len);
                if let Some(bytes) = old.get(part(from)..part(sector))
                    && !bytes.is_empty()
                {
                    disk.write_at(bytes, from)?;
                }
                from = sector + SECTOR;
            }
            Ok(())
        })
    }

    fn compare(&self, disk: &dyn ReadAt) -> Result<(), UndoError> {
        for &(_, start, len) in &self.areas {
            each_chunk(disk, start, len, |at, found| {
                match self.content(Side::Old, at, found.len())?.is(found) {
                    true => Ok(()),
                    false => Err(UndoError::Differs(at)),
                }
            })?;
        }
        Ok(())
    }
}

/// Reads a file and hashes what was read.
struct Hashed {
    input: BufReader<File>,
    hash: Sha1,
    at: u64,
}

impl Hashed {
    /// The lines up to the empty one.
    fn text(&mut self) -> Result<String, UndoError> {
        let mut text = Vec::new();
        while !text.ends_with(b"\n\n") {
            let room = TEXT_MAX.saturating_sub(text.len() as u64);
            let count = (&mut self.input).take(room).read_until(b'\n', &mut text)?;
            if count == 0 || !text.starts_with(FIRST.as_bytes()) {
                return Err(UndoError::Format("another kind of file".into()));
            }
        }
        self.hash.update(&text);
        self.at += text.len() as u64;
        String::from_utf8(text).map_err(|_| UndoError::Format("bytes that are no text".into()))
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, UndoError> {
        let mut bytes = vec![0; len];
        self.input
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    UndoError::Format("the end of the file too early".into())
                }
                _ => error.into(),
            })?;
        self.hash.update(&bytes);
        self.at += len as u64;
        Ok(bytes)
    }

    /// The next record and its side; `None` at the end.
    fn record(&mut self) -> Result<Option<(usize, Record)>, UndoError> {
        let kind = self.take(1)?;
        let kind = kind.first().copied().unwrap_or(END);
        if kind == END {
            return Ok(None);
        }
        let odd = |what: &str| UndoError::Format(what.to_owned());
        let numbers = self.take(HEAD - 1)?;
        let number = |from: usize, len: usize| {
            let bytes = numbers.iter().skip(from).take(len);
            bytes.fold(0_u64, |n, &byte| n << 8 | u64::from(byte))
        };
        let (at, len) = (number(0, 8), number(8, 8));
        let stored = u32::try_from(number(16, 4)).unwrap_or(u32::MAX);
        let how = match kind & 0x0f {
            0 => Stored::Zeros,
            1 => Stored::Plain,
            2 => Stored::Packed,
            _ => return Err(odd("a record of an unknown kind")),
        };
        let fits = match how {
            Stored::Zeros => stored == 0,
            Stored::Plain => u64::from(stored) == len && len <= CHUNK as u64,
            Stored::Packed => u64::from(stored) < len && len <= CHUNK as u64,
        };
        if !fits || len == 0 {
            return Err(odd("a record of a length that cannot be"));
        }
        let place = self.at;
        self.take(usize::try_from(stored).unwrap_or(0))?;
        let record = Record {
            how,
            at,
            len,
            place,
            stored,
        };
        Ok(Some((usize::from(kind >> 4), record)))
    }
}
