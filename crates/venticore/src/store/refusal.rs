//! Why a store does not do what it is asked, in the words of plan9port's venti
//! (venti.md 7.5), which clients know.

use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;

/// Why a request is refused. Its text is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such block.
    #[error("no block with score {score}/{} exists", tool_type(*disk_type))]
    Absent {
        /// The block.
        score: Score,
        /// Its type by disk number.
        disk_type: u8,
    },
    /// The block is larger than what was asked for.
    #[error("read too small 1: asked for {asked} need at least {size}")]
    TooSmall {
        /// Bytes asked for.
        asked: u32,
        /// Bytes of the block.
        size: u16,
    },
    /// No copy of the block is whole.
    #[error("{0}")]
    Damaged(String),
    /// Larger than the largest block there is.
    #[error("lump too large")]
    TooLarge,
    /// A type that no block has: it could not be read again.
    #[error("invalid lump type")]
    Type,
    /// Another block has this score.
    #[error("score collision {0}")]
    Collision(Score),
    /// No arena has room.
    #[error("no space left in arenas")]
    Full,
    /// Nothing is written here, by the operator's wish.
    #[error("read only")]
    ReadOnly,
    /// Nothing is written any more since the disk failed.
    #[error("read only: {0}")]
    Failed(String),
    /// The disk failed.
    #[error("{0}")]
    Disk(String),
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
