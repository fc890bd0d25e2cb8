//! The last archival score of a fossil (fossil.md 2), and the command
//! fossilast, which prints it as fossil/last does.
//!
//! fossil/last prints whatever stands where the score belongs. Here it counts
//! only in a partition that a fossil could open: a header and a super block
//! that can be, and a root block whose label says that it is one.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};

use eyre::{Report, Result, WrapErr};

use crate::disk::{FormatError, Header, Label, SuperBlock};
use venticore::codec::operand::Operand;
use venticore::codec::score::Score;
use venticore::host::partition::Partition;
use venticore::host::terminal::Output;
use venticore::source::ReadAt;
use venticore::status::Status;

/// How often a super block is read that differs each time.
const TRIES: usize = 64;

/// What a fossil partition says of its archives, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Where everything is.
    pub header: Header,
    /// The super block.
    pub superblock: SuperBlock,
}

/// An archive that is under way: a later score than the last one will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// The snapshot with this root block waits to be archived.
    Waiting(u32),
    /// The snapshot with this root block is being archived.
    Archiving(u32),
}

impl Last {
    /// Reads it from a partition that a fossil may have open.
    ///
    /// # Errors
    /// [`LastError`]: the partition cannot be read, or is not one that a fossil
    /// could open.
    pub fn read(source: &dyn ReadAt) -> Result<Self, LastError> {
        let bytes = read(source, "header", Header::AT, Header::LEN)?;
        let header = Header::parse(&bytes).map_err(|e| e.within(Header::AT))?;
        let inside = header.check(source.size());
        inside.map_err(|e| e.within(Header::AT))?;
        let mut found = settled(source, &header)?;
        for _ in 0..TRIES {
            let checked = Self::check(source, header, &found);
            // A snapshot taken between the two reads explains a label that does not fit.
            let again = settled(source, &header)?;
            if checked.is_ok() || again == found {
                return checked;
            }
            found = again;
        }
        Err(LastError::Unsettled(header.superblock_at()))
    }

    fn check(source: &dyn ReadAt, header: Header, bytes: &[u8]) -> Result<Self, LastError> {
        let base = header.superblock_at();
        let superblock =
            SuperBlock::parse(bytes).map_err(|e| match SuperBlock::parse_unmarked(bytes) {
                Some(SuperBlock { last, .. }) => LastError::Unfinished { at: base, last },
                None => LastError::Format(e.within(base)),
            })?;
        let blocks = header.data_blocks();
        let addresses = [
            (SuperBlock::ACTIVE_AT, Some(superblock.active)),
            (SuperBlock::NEXT_AT, superblock.next),
            (SuperBlock::CURRENT_AT, superblock.current),
        ];
        for (at, address) in addresses {
            if let Some(address) = address.filter(|&address| address >= blocks) {
                return Err(LastError::Format(FormatError {
                    record: "super block",
                    at: Some(base + at),
                    expected: format!("a block address below {blocks}"),
                    found: address.to_string(),
                }));
            }
        }
        check_root(source, &header, &superblock)?;
        Ok(Last { header, superblock })
    }

    /// The score of the last archive.
    ///
    /// # Errors
    /// [`LastError::NoSnapshot`] where none was ever completed.
    pub fn score(&self) -> Result<Score, LastError> {
        let score = self.superblock.last;
        if score.is_nil() {
            return Err(LastError::NoSnapshot(self.under_way()));
        }
        Ok(score)
    }

    /// The archive that is under way, if one is.
    #[must_use]
    pub fn under_way(&self) -> Option<UnderWay> {
        let archiving = self.superblock.current.map(UnderWay::Archiving);
        archiving.or(self.superblock.next.map(UnderWay::Waiting))
    }
}

/// Checks that the live tree's root block is labelled as one.
fn check_root(
    source: &dyn ReadAt,
    header: &Header,
    superblock: &SuperBlock,
) -> Result<(), LastError> {
    let address = superblock.active;
    let at = header.label_at(address).unwrap_or(0);
    let bytes = read(source, "label", at, Label::LEN)?;
    let found = match Label::parse(&bytes) {
        Ok(label) if label.is_root() => return Ok(()),
        Ok(label) => format!(
            "state {}, type {}, tag {}",
            label.state, label.kind, label.tag
        ),
        Err(error) => error.to_string(),
    };
    Err(LastError::Root {
        at,
        address,
        found,
        last: superblock.last,
    })
}

/// The sector with the super block's fields, read until it is the same twice:
/// a fossil may be writing it, and half of a score is not a score.
fn settled(source: &dyn ReadAt, header: &Header) -> Result<Vec<u8>, LastError> {
    let read = || {
        read(
            source,
            "super block",
            header.superblock_at(),
            SuperBlock::SECTOR,
        )
    };
    let mut before = read()?;
    for _ in 0..TRIES {
        let now = read()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(LastError::Unsettled(header.superblock_at()))
}

fn read(
    source: &dyn ReadAt,
    record: &'static str,
    at: u64,
    len: usize,
) -> Result<Vec<u8>, LastError> {
    let want = at.saturating_add(len as u64);
    if want > source.size() {
        return Err(LastError::Short {
            record,
            want,
            len: source.size(),
        });
    }
    let mut bytes = vec![0; len];
    source.read_at(&mut bytes, at).map_err(LastError::Read)?;
    Ok(bytes)
}

/// Why a partition's last archival score cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum LastError {
    /// No archive was ever completed, or none since the partition was formatted; the
    /// first one, where it is under way.
    #[error(
        "no archival snapshot: never archived, or not since it was formatted; {}",
        way_to_one(.0.as_ref())
    )]
    NoSnapshot(Option<UnderWay>),
    /// The system could not read it.
    #[error(transparent)]
    Read(io::Error),
    /// It ends before the record does.
    #[error(
        "{record}: expected a partition of at least {want} bytes, found {len}: is it a whole fossil partition?"
    )]
    Short {
        /// The record.
        record: &'static str,
        /// The bytes that the partition needs.
        want: u64,
        /// The bytes it has.
        len: u64,
    },
    /// A record that is not what the format says; its byte is counted from the
    /// start of the partition.
    #[error("{}", with_advice(.0))]
    Format(#[from] FormatError),
    /// The root block of the live tree is not labelled as one: a format was
    /// begun and did not succeed.
    #[error(
        "label of root block {address}: expected type 8, tag 1, in use at {at}, found {found}: cleared by a format that failed{}",
        standing(last, "? ", " still stands in the super block, format from it")
    )]
    Root {
        /// Where the label is, bytes from the start of the partition.
        at: u64,
        /// The address of the root block.
        address: u32,
        /// What its label says.
        found: String,
        /// The score that still stands in the super block.
        last: Score,
    },
    /// The super block is whole but for its magic: a format was begun that
    /// made it invalid, and did not end.
    #[error(
        "super block: expected a magic at {at}, found zeros: a format was not finished: run fosreset again, or undo it with fosreset -u{}",
        standing(last, "; ", " still stands there")
    )]
    Unfinished {
        /// Where it is, bytes from the start of the partition.
        at: u64,
        /// The score that still stands in it.
        last: Score,
    },
    /// The super block, which begins at this byte, differed at each read.
    #[error(
        "super block: expected the same bytes in two reads at {0}, found others {TRIES} times: run again"
    )]
    Unsettled(u64),
}

/// How a first archive comes about.
fn way_to_one(under_way: Option<&UnderWay>) -> String {
    match under_way {
        Some(under_way) => format!("{under_way}, run again when that is done"),
        None => "take one on the console: snap -a".into(),
    }
}

/// A record that is not what it should be, and what that means.
fn with_advice(error: &FormatError) -> String {
    match error.record {
        "header" => format!("{error}: is it a fossil partition?"),
        _ => format!("{error}: the file system is damaged, a score on record may bring it back"),
    }
}

/// A score that still stands in a super block, where there is one.
fn standing(last: &Score, before: &str, after: &str) -> String {
    match last.is_nil() {
        true => String::new(),
        false => format!("{before}vac:{last}{after}"),
    }
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(root) => write!(f, "a snapshot (root block {root}) waits to be archived"),
            Self::Archiving(root) => write!(f, "a snapshot (root block {root}) is being archived"),
        }
    }
}

/// Opens a partition and reads what it says.
///
/// # Errors
/// As [`Partition::open`] and [`Last::read`], with the operand.
pub fn open(operand: &Operand) -> Result<(Partition, Last)> {
    let partition = Partition::open(operand)?;
    let last = again(&partition)?;
    Ok((partition, last))
}

/// Reads again what an open partition says.
///
/// # Errors
/// As [`Last::read`], with the operand.
pub fn again(partition: &Partition) -> Result<Last> {
    partition.refresh();
    Last::read(partition).map_err(|error| match error {
        // It names the partition itself.
        LastError::Read(error) => Report::new(error),
        error => Report::new(error).wrap_err(partition.operand().to_string()),
    })
}

/// Runs the command fossilast: prints `vac:` and the score.
///
/// # Errors
/// The partition cannot be read or is damaged, or was never archived.
pub fn run(operand: &OsStr) -> Result<Status> {
    let operand = Operand::try_from(operand)?;
    let (_, last) = open(&operand)?;
    let score = last.score().wrap_err_with(|| operand.to_string())?;
    let mut output = Output::stdout();
    writeln!(output, "vac:{score}").wrap_err("standard output")?;
    output.flush().wrap_err("standard output")?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests;
