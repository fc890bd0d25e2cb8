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

mod back;
mod reader;
mod recorder;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use venticore::codec::score::{LabelledScore, Score};
use venticore::codec::utc::Utc;

use super::ChangeError;
use super::{Piece, SECTOR, repeats};
use reader::HashingReader;

pub use recorder::save;

/// The first line.
const FIRST: &str = "fossil undo 1";

/// The most records: as many as a full file system of 2 TB needs.
const RECORDS_MAX: usize = 1 << 17;

/// The most areas.
const AREAS_MAX: usize = 16;

/// The kind that ends the records.
const END: u8 = 0xff;

/// Bytes of a record before those it stores.
const HEAD: usize = 1 + 8 + 8 + 4;

/// Which of the two a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordSide {
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

/// The name of an area, its start on the partition and its length, in bytes.
type NamedArea = (String, u64, u64);

/// The lines at the start of an undo file: the value of each word, and the areas.
fn words_and_areas(text: &str) -> Result<(HashMap<&str, &str>, Vec<NamedArea>), ChangeError> {
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
            _ => {
                let line = line.escape_default();
                return Err(ChangeError::Format(format!("the line \"{line}\"")));
            }
        }
    }
    Ok((words, areas))
}

/// An undo file that is whole.
#[derive(Debug)]
pub struct UndoFile {
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
    areas: Vec<NamedArea>,
    records: [Vec<UndoRecord>; 2],
}

#[derive(Clone, Copy, Debug)]
struct UndoRecord {
    how: Stored,
    at: u64,
    len: u64,
    /// Where its bytes are in the file, and how many.
    place: u64,
    stored: u32,
}

impl UndoFile {
    /// Opens a file and checks all of it.
    ///
    /// # Errors
    /// [`ChangeError::Io`], [`ChangeError::Format`].
    pub fn open(path: &Path) -> Result<Self, ChangeError> {
        let bad = |what: &str| ChangeError::Format(what.to_owned());
        let meta = fs::metadata(path)?;
        if !meta.is_file() {
            return Err(bad("no regular file"));
        }
        let file = File::open(path)?;
        let mut input = HashingReader::of(file.try_clone()?);
        let text = input.text()?;
        let mut undo = Self::described(file, path, &text)?;
        while let Some((side, record)) = input.record()? {
            let records = undo.records.get_mut(side);
            let records = records.ok_or_else(|| bad("a record of an unknown kind"))?;
            let after = records
                .last()
                .map_or(0, |last: &UndoRecord| last.at + last.len);
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
        input.end()?;
        for records in &mut undo.records {
            records.sort_by_key(|record| record.at);
        }
        Ok(undo)
    }

    /// What the lines at the start say.
    fn described(file: File, path: &Path, text: &str) -> Result<Self, ChangeError> {
        let bad = |what: String| ChangeError::Format(what);
        let (words, areas) = words_and_areas(text)?;
        let get = |word: &str| {
            let value = words.get(word).copied();
            value.ok_or_else(|| bad(format!("no line with {word}")))
        };
        let odd = |word: &str| bad(format!("a line with an invalid {word}"));
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
        let undo = UndoFile {
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
        match undo.areas_are_possible() {
            true => Ok(undo),
            false => Err(odd("area")),
        }
    }

    /// Whether all areas are on the partition, and the super blocks in one of them.
    fn areas_are_possible(&self) -> bool {
        let ends_outside = |area: &NamedArea| {
            area.1
                .checked_add(area.2)
                .is_none_or(|end| end > self.length)
        };
        // The sector of a super block, which is put back by itself.
        let is_marked = |at: u64| {
            let has = |&(_, start, len): &NamedArea| start <= at && at - start + SECTOR <= len;
            at.is_multiple_of(SECTOR) && self.areas.iter().any(has)
        };
        !self.areas.iter().any(ends_outside)
            && self.mark.is_none_or(is_marked)
            && is_marked(self.superblock)
    }

    /// The user to whom the file belongs.
    ///
    /// # Errors
    /// The system does not say.
    pub fn owner(&self) -> io::Result<u32> {
        Ok(self.file.metadata()?.uid())
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Some bytes as they were, or as they were written.
    fn content(&self, side: RecordSide, at: u64, len: usize) -> Result<Piece, ChangeError> {
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
                return Err(ChangeError::Format(format!("no bytes for {next}")));
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

    fn unpack(&self, record: &UndoRecord) -> Result<Vec<u8>, ChangeError> {
        let mut stored = vec![0; usize::try_from(record.stored).unwrap_or(0)];
        self.file.read_exact_at(&mut stored, record.place)?;
        if record.how == Stored::Plain {
            return Ok(stored);
        }
        let bytes = usize::try_from(record.len)
            .ok()
            .and_then(|len| repeats::unpack(&stored, len));
        bytes.ok_or_else(|| ChangeError::Format("packed bytes that cannot be unpacked".into()))
    }
}
