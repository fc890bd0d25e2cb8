//! Why a store does not do what it is asked, in the words of plan9port's venti
//! (venti.md 7.5), which clients know.

use std::fmt;

use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;

/// Why a request is refused. Its text is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such block.
    Absent {
        /// The block.
        score: Score,
        /// Its type by disk number.
        disk_type: u8,
    },
    /// No copy of the block is whole: what is wrong with the newest.
    Damaged(String),
    /// Larger than the largest block there is.
    TooLarge,
    /// A type that no block has: it could not be read again.
    Type,
    /// Another block has this score.
    Collision(Score),
    /// No arena has room.
    Full,
    /// Nothing is written here, by the operator's wish.
    ReadOnly,
    /// Nothing is written any more, since the disk failed before.
    Failed(String),
    /// The disk fails.
    Disk(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { score, disk_type } => {
                let number = tool_type(*disk_type);
                write!(f, "no block with score {score}/{number} exists")
            }
            Self::TooLarge => f.write_str("lump too large"),
            Self::Type => f.write_str("invalid lump type"),
            Self::Collision(score) => write!(f, "score collision {score}"),
            Self::Full => f.write_str("no space left in arenas"),
            Self::ReadOnly => f.write_str("read only"),
            Self::Failed(why) => write!(f, "read only since the disk failed: {why}"),
            Self::Damaged(why) | Self::Disk(why) => f.write_str(why),
        }
    }
}

/// The number by which tools call a type. Disk types do not tell pointers to data from
/// pointers to directories; like plan9port, this calls all of them the latter.
fn tool_type(disk_type: u8) -> u8 {
    match BlockType::from_disk(disk_type) {
        Some(BlockType::Data) => 0,
        Some(BlockType::Dir) => 8,
        Some(BlockType::Pointer(level)) => 8 + level,
        Some(BlockType::Root) => 16,
        None => 255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_types_as_the_tools_do() {
        let score = Score::of(b"abc");
        let text = |disk_type| Refusal::Absent { score, disk_type }.to_string();
        for (disk, tool) in [(13, 0), (2, 8), (3, 9), (9, 15), (1, 16), (77, 255)] {
            let expected = format!("no block with score {score}/{tool} exists");
            assert_eq!(text(disk), expected);
        }
    }
}
