//! Arenas: an arena partition's header and table, arena heads and trailers,
//! clump directories and clumps (venti.md 2 to 5).

pub mod clump;
pub mod directory;
pub mod head;
pub mod table;
pub mod trailer;

use std::fmt;

use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::combinator::map;

pub use crate::codec::format_error::FormatError;

fn magic_error(record: &'static str, expected: u32, found: u32) -> FormatError {
    let expected = format!("magic {expected:#010x}");
    FormatError::whole(record, expected, format!("{found:#010x}"))
}

fn short(record: &'static str, want: usize, have: usize) -> FormatError {
    FormatError::whole(record, format!("{want} bytes"), have.to_string())
}

/// The name of an arena: at most 63 printable ASCII characters. Other bytes,
/// which only damage or malice puts there, are kept in escaped form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Bytes of the field on disk.
    pub const LEN: usize = 64;

    /// The name in a zero padded field, or any text.
    #[must_use]
    pub fn from_field(field: &[u8]) -> Self {
        let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
        let text = field.get(..end).unwrap_or(field);
        if text.iter().all(|b| (0x20..0x7f).contains(b)) {
            Name(text.iter().map(|&b| char::from(b)).collect())
        } else {
            Name(text.escape_ascii().to_string())
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The zero padded field; longer names are cut.
    #[must_use]
    pub fn to_field(&self) -> [u8; Name::LEN] {
        let mut field = [0; Name::LEN];
        for (to, from) in field.iter_mut().zip(self.0.bytes().take(Name::LEN - 1)) {
            *to = from;
        }
        field
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn name(input: &[u8]) -> IResult<&[u8], Name> {
    map(take(Name::LEN), Name::from_field).parse(input)
}

/// True for the block sizes an arena partition can have: a power of two from
/// 512 to 65536 bytes.
pub(crate) fn block_size_is_possible(size: u32) -> bool {
    size.is_power_of_two() && (512..=65536).contains(&size)
}

/// The version of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One clump magic for all arenas.
    V4,
    /// A clump magic for each arena.
    V5,
}

impl Version {
    /// The version of this number, if known.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::V4, Self::V5]
            .into_iter()
            .find(|version| version.number() == number)
    }

    /// The number that stands in heads and trailers.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }
}
