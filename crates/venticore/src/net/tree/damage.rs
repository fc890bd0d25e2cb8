//! A block of a tree that is not there, or not what it should be: which, where,
//! and what is wrong.

use std::fmt;

use crate::codec::blocktype::{BlockName, BlockType};
use crate::codec::score::Score;
use crate::net::client;

/// Entry numbers that a message shows at either end of a path.
const SHOWN: usize = 8;

/// A block that is not there, or is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBlock {
    /// The numbers of the entries that lead to its stream, from the top.
    pub path: Vec<u64>,
    /// Where in its stream what it is for begins, in bytes, where that is known.
    pub at: Option<u64>,
    /// Its type.
    pub ty: BlockType,
    /// Its score.
    pub score: Score,
    /// What is wrong.
    pub fault: BlockFault,
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockFault {
    /// The server does not have it.
    Missing,
    /// The server cannot read it, and says this.
    Unreadable(String),
    /// What the server has is another block, of this score.
    Wrong(Score),
    /// It has more bytes than its entry allows.
    Long {
        /// The most.
        most: u64,
        /// What there are.
        found: u64,
    },
    /// What is in it is not what the format says.
    Format(String),
    /// The entry that leads to it says more bytes than its depth can have.
    Size {
        /// The most.
        most: u64,
        /// What it says.
        found: u64,
    },
    /// It is as it was meant, and of no use to who asks.
    Unfit(String),
}

impl BlockFault {
    /// Whether the block, or the one with its entry, is stored as it was written:
    /// sending the archive again changes nothing.
    #[must_use]
    pub fn is_as_written(&self) -> bool {
        matches!(
            self,
            Self::Long { .. } | Self::Format(_) | Self::Size { .. }
        )
    }
}

impl BadBlock {
    /// Wraps what the client says of one block; an error that is not of the
    /// block alone is given back.
    ///
    /// # Errors
    /// That one.
    pub fn fault_of(error: client::ClientError) -> Result<BlockFault, client::ClientError> {
        match error {
            error if error.is_absent() => Ok(BlockFault::Missing),
            client::ClientError::Refused { text, .. } => Ok(BlockFault::Unreadable(text)),
            client::ClientError::WrongScore { found, .. } => Ok(BlockFault::Wrong(found)),
            error => Err(error),
        }
    }
}

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadBlock {
            path, ty, score, ..
        } = self;
        if !path.is_empty() {
            write!(f, "entry {}: ", Path(path))?;
        }
        write!(f, "{}: {}", BlockName(*ty, *score), self.fault)
    }
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not on this venti"),
            Self::Unreadable(text) => write!(f, "cannot be read: {text}"),
            Self::Wrong(found) => write!(f, "damaged: what is there has score {found}"),
            Self::Long { most, found } => {
                write!(f, "expected at most {most} bytes, found {found}")
            }
            Self::Format(text) | Self::Unfit(text) => f.write_str(text),
            Self::Size { most, found } => {
                write!(f, "expected a size of at most {most} bytes, found {found}")?;
                match sign_spread(*found) {
                    Some(meant) => write!(f, ", which was {meant} before sign extension"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What a size of 48 bits was whose lower half was taken for a signed number. The
/// upper half, if it had one, is lost.
fn sign_spread(size: u64) -> Option<u64> {
    let low = size & 0xffff_ffff;
    (size >> 32 == 0xffff && low >> 31 == 1).then_some(low)
}

/// `0/2/5`; a long one without its middle.
struct Path<'a>(&'a [u64]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |part: &[u64]| {
            let words: Vec<String> = part.iter().map(u64::to_string).collect();
            words.join("/")
        };
        let len = self.0.len();
        match (self.0.get(..SHOWN), self.0.get(len.saturating_sub(SHOWN)..)) {
            (Some(first), Some(last)) if len > 2 * SHOWN => {
                write!(f, "{}/.../{}", words(first), words(last))
            }
            _ => f.write_str(&words(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_whose_sign_was_spread_is_known() {
        // Three bytes at 3 GiB.
        assert_eq!(sign_spread(0xffff_c000_0003), Some(3_221_225_475));
        assert_eq!(sign_spread(0xffff_8000_0000), Some(1 << 31));
        for size in [0, 0x8000_0000, 0xffff_7fff_ffff, 0xfffe_8000_0000, u64::MAX] {
            assert_eq!(sign_spread(size), None, "{size:#x}");
        }
    }
}
