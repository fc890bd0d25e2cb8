//! Block types, in the one numbering shared by disk and wire (venti.md 1).

use std::fmt;

use crate::codec::score::Score;

/// Bytes of the largest block that a venti stores.
pub const BLOCK_MAX: u32 = 56 * 1024;

/// The type of a block: part of its identity, beside the score.
///
/// Pointers to data and pointers to directories share their numbers on disk
/// and wire, so they need no telling apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockType {
    /// A root block, disk type 1.
    Root,
    /// A directory block (entries), disk type 2.
    Dir,
    /// A block of scores, `level` 1..=7 above the data, disk types 3..=9.
    Pointer(u8),
    /// A data block, disk type 13.
    Data,
}

impl BlockType {
    /// The number on disk and wire that marks a clump given up by the repair
    /// tools, or written under an unknown type.
    pub const CORRUPT: u8 = 255;

    /// The type with this number on disk and wire; `None` for unknown and
    /// corrupt ones, which must be skipped and never sent.
    #[must_use]
    pub fn from_disk(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Root),
            2 => Some(Self::Dir),
            3..=9 => Some(Self::Pointer(number - 2)),
            13 => Some(Self::Data),
            _ => None,
        }
    }

    /// All types.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).filter_map(Self::from_disk)
    }

    /// The number on disk and wire.
    #[must_use]
    pub fn to_disk(self) -> u8 {
        match self {
            Self::Root => 1,
            Self::Dir => 2,
            Self::Pointer(level) => 2 + level,
            Self::Data => 13,
        }
    }
}

impl fmt::Display for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Dir => f.write_str("directory"),
            Self::Pointer(level) => write!(f, "pointer level {level}"),
            Self::Data => f.write_str("data"),
        }
    }
}

/// A block as messages call it. A root score opens a whole archive, and messages go into
/// logs and mail: of a root block there are only the first eight digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockName(pub BlockType, pub Score);

impl fmt::Display for BlockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlockName(block_type, score) = self;
        match block_type {
            BlockType::Root => write!(f, "{block_type} block {:.8}", score.to_string()),
            _ => write!(f, "{block_type} block {score}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_root_score() {
        let score = Score::of(b"an archive");
        let name = BlockName(BlockType::Root, score).to_string();
        assert_eq!(name, format!("root block {}", &score.to_string()[..8]));
        let name = BlockName(BlockType::Data, score).to_string();
        assert_eq!(name, format!("data block {score}"));
    }

    #[test]
    fn every_number_goes_both_ways_or_is_refused() {
        let known: Vec<u8> = (0..=255)
            .filter(|&n| BlockType::from_disk(n).is_some())
            .collect();
        assert_eq!(known, [1, 2, 3, 4, 5, 6, 7, 8, 9, 13]);
        for n in known {
            assert_eq!(BlockType::from_disk(n).unwrap().to_disk(), n);
        }
    }
}
