//! The records of a fossil partition (fossil.md 1): bytes <-> structs, no I/O.
//!
//! | record | where |
//! |---|---|
//! | [`Header`] | at 128 KiB; says where the others are |
//! | [`SuperBlock`] | block `super`: the trees, and the last archival score |
//! | [`Label`] | 14 bytes for each data block |
//! | [`Entry`] | 40 bytes in directory blocks: a file's or directory's blocks |
//! | [`MetaBlock`], [`DirEntry`] | the names, owners and modes of a directory's files |

mod direntry;
mod entry;
mod header;
mod label;
mod meta;
mod superblock;

use std::fmt;

use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::combinator::map;
use venticore::score::Score;

pub use direntry::{DirEntry, QidSpace};
pub use entry::{Entry, Place};
pub use header::{Header, LayoutError};
pub use label::Label;
pub use meta::{MetaBlock, Slot};
pub use superblock::SuperBlock;

/// The block address that stands for no block.
pub const NIL: u32 = 0xffff_ffff;

/// A record on disk that is not what the format says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// What was being read: "header", "super block" ...
    pub record: &'static str,
    /// The byte that shows it, counted from the start of the record.
    pub at: u64,
    /// What was expected there.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl FormatError {
    fn new(
        record: &'static str,
        at: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        FormatError {
            record,
            at: at as u64,
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn magic(record: &'static str, expected: u32, found: u32) -> Self {
        Self::new(
            record,
            0,
            format!("magic {expected:#010x}"),
            format!("{found:#010x}"),
        )
    }

    /// The record needs `want` bytes, and there are `have`.
    fn short(record: &'static str, want: usize, have: usize) -> Self {
        Self::new(record, have, format!("{want} bytes"), format!("{have}"))
    }

    /// The same error of a record that begins at `base`: its byte is counted
    /// from where `base` is.
    #[must_use]
    pub fn within(mut self, base: u64) -> Self {
        self.at = self.at.saturating_add(base);
        self
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FormatError {
            record,
            at,
            expected,
            found,
        } = self;
        write!(f, "{record}: expected {expected} at {at}, found {found}")
    }
}

impl std::error::Error for FormatError {}

/// What nom says of bytes that end too early.
type Failed<'a> = nom::Err<nom::error::Error<&'a [u8]>>;

fn score(input: &[u8]) -> IResult<&[u8], Score> {
    map(take(Score::LEN), |bytes: &[u8]| {
        let mut score = [0; Score::LEN];
        score.copy_from_slice(bytes);
        Score::from_bytes(score)
    })
    .parse(input)
}

/// A block address; [`NIL`] is none.
fn address(value: u32) -> Option<u32> {
    Some(value).filter(|&address| address != NIL)
}
