//! Clumps: a header and a block, as the log holds them (venti.md 4).

use std::borrow::Cow;

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::directory::DirectoryEntry;
use crate::codec::blocktype::{BLOCK_MAX, BlockType};
use crate::codec::score::Score;
use crate::codec::whack::{self, WhackError};

/// The clump magic of every version 4 arena.
pub const MAGIC_V4: u32 = 0xd15c_b10c;

/// Bytes of a clump header.
pub const HEADER_LEN: usize = 4 + 1 + 2 + 2 + Score::LEN + 1 + 4 + 4;

/// How a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Compressed with [`whack`].
    Whack,
}

/// A clump header that is valid in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClumpHeader {
    /// Type by its disk number; 255 for a corrupt clump.
    pub disk_type: u8,
    /// Stored bytes after the header.
    pub size: u16,
    /// Bytes of the block, 1 to [`BLOCK_MAX`].
    pub uncompressed: u16,
    /// SHA-1 of the block.
    pub score: Score,
    /// How the block is stored.
    pub encoding: Encoding,
    /// Who wrote it; 0 from the network.
    pub creator: u32,
    /// Unix time when it was written.
    pub time: u32,
}

/// Why bytes are not a clump, or no clump starts at an offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClumpError {
    /// The clump does not begin with the arena's magic.
    #[error("expected clump magic {expected:#010x}, found {found:#010x}")]
    Magic {
        /// The arena's magic.
        expected: u32,
        /// The first four bytes; 0 where the log ends.
        found: u32,
    },
    /// The header is cut off at the end of the log.
    #[error("header runs past the end of the log")]
    Cut,
    /// Encoding and sizes do not go together.
    #[error("invalid header: encoding {encoding}, size {size}, uncompressed size {uncompressed}")]
    Fields {
        /// The encoding byte.
        encoding: u8,
        /// Stored bytes.
        size: u16,
        /// Bytes of the block.
        uncompressed: u16,
    },
    /// The block does not decompress.
    #[error("does not decompress: {0}")]
    Whack(WhackError),
    /// The block decompresses to fewer bytes than it should have.
    #[error("decompresses to {found} bytes, expected {expected}")]
    Short {
        /// Bytes of the block by the header.
        expected: u16,
        /// Bytes that came out.
        found: usize,
    },
    /// The block has another SHA-1.
    #[error("hashes to {0}")]
    WrongScore(Score),
    /// The log ends before the offset.
    #[error("offset {offset:#x} is past the log, which ends at {end:#x}")]
    Past {
        /// The offset asked for.
        offset: u64,
        /// Where the log ends, bytes from the start of the data section.
        end: u64,
    },
    /// A clump starts before the offset and ends after it.
    #[error(
        "offset {offset:#x} is inside a clump; one starts at {before:#x}, the next at {after:#x}"
    )]
    Inside {
        /// The offset asked for.
        offset: u64,
        /// Where that clump starts.
        before: u64,
        /// Where the next one starts.
        after: u64,
    },
}

impl ClumpHeader {
    /// Reads a header and checks it against itself.
    ///
    /// # Errors
    /// [`ClumpError::Magic`], [`ClumpError::Cut`] or [`ClumpError::Fields`].
    pub fn parse(bytes: &[u8], clump_magic: u32) -> Result<Self, ClumpError> {
        let (_, (magic, disk_type, size, uncompressed, score, encoding, creator, time)) = (
            be_u32,
            be_u8,
            be_u16,
            be_u16,
            Score::read,
            be_u8,
            be_u32,
            be_u32,
        )
            .parse(bytes)
            .map_err(|_| ClumpError::Cut)?;
        if magic != clump_magic {
            return Err(ClumpError::Magic {
                expected: clump_magic,
                found: magic,
            });
        }
        Ok(ClumpHeader {
            disk_type,
            size,
            uncompressed,
            score,
            encoding: checked_encoding(encoding, size, uncompressed)?,
            creator,
            time,
        })
    }

    /// The header as bytes.
    #[must_use]
    pub fn to_bytes(&self, clump_magic: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend(clump_magic.to_be_bytes());
        bytes.push(self.disk_type);
        bytes.extend(self.size.to_be_bytes());
        bytes.extend(self.uncompressed.to_be_bytes());
        bytes.extend(self.score.as_bytes());
        bytes.push(match self.encoding {
            Encoding::Plain => 1,
            Encoding::Whack => 2,
        });
        bytes.extend(self.creator.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes
    }

    /// The header that a directory entry stands for; the encoding follows
    /// from the sizes, creator and time are unknown.
    ///
    /// # Errors
    /// [`ClumpError::Fields`] when the sizes cannot be.
    pub fn from_entry(entry: &DirectoryEntry) -> Result<Self, ClumpError> {
        let encoding = if entry.size == entry.uncompressed {
            1
        } else {
            2
        };
        Ok(ClumpHeader {
            disk_type: entry.disk_type,
            size: entry.size,
            uncompressed: entry.uncompressed,
            score: entry.score,
            encoding: checked_encoding(encoding, entry.size, entry.uncompressed)?,
            creator: 0,
            time: 0,
        })
    }

    /// True when the directory says the same of this clump.
    #[must_use]
    pub fn agrees_with(&self, entry: &DirectoryEntry) -> bool {
        self.disk_type == entry.disk_type
            && self.size == entry.size
            && self.uncompressed == entry.uncompressed
            && self.score == entry.score
    }

    /// Bytes of the whole clump in the log.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.size)
    }

    /// The type of the block; `None` for corrupt and unknown ones, which are
    /// counted in offsets but never sent.
    #[must_use]
    pub fn block_type(&self) -> Option<BlockType> {
        BlockType::from_disk(self.disk_type)
    }

    /// Decompresses `stored` (the bytes after the header) into `block`, which
    /// is `uncompressed` bytes long, and checks the score.
    ///
    /// # Errors
    /// The block does not decompress, or hashes to another score.
    pub fn decode<'a>(
        &self,
        stored: &'a [u8],
        block: &'a mut [u8],
    ) -> Result<&'a [u8], ClumpError> {
        let block = self.unpack(stored, block)?;
        match Score::of(block) {
            score if score == self.score => Ok(block),
            score => Err(ClumpError::WrongScore(score)),
        }
    }

    /// The same, without a look at the score: for who compares the bytes.
    ///
    /// # Errors
    /// The block does not decompress.
    pub fn unpack<'a>(
        &self,
        stored: &'a [u8],
        block: &'a mut [u8],
    ) -> Result<&'a [u8], ClumpError> {
        if self.encoding == Encoding::Plain {
            return Ok(stored);
        }
        let found = whack::decompress(stored, block).map_err(ClumpError::Whack)?;
        let expected = self.uncompressed;
        match found == usize::from(expected) {
            true => Ok(block),
            false => Err(ClumpError::Short { expected, found }),
        }
    }

    /// The block of a clump that is wholly in memory: [`decode`](Self::decode)
    /// with room of its own.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode); `stored` may be cut.
    pub fn block<'a>(&self, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, ClumpError> {
        let stored = stored.get(..self.size.into()).ok_or(ClumpError::Cut)?;
        let mut room = match self.encoding {
            Encoding::Plain => Vec::new(),
            Encoding::Whack => vec![0; self.uncompressed.into()],
        };
        let whole = self.decode(stored, &mut room).map(<[u8]>::len)?;
        Ok(match self.encoding {
            Encoding::Plain => Cow::Borrowed(stored),
            Encoding::Whack => {
                room.truncate(whole);
                Cow::Owned(room)
            }
        })
    }
}

fn checked_encoding(encoding: u8, size: u16, uncompressed: u16) -> Result<Encoding, ClumpError> {
    let room = 1..=BLOCK_MAX;
    match encoding {
        _ if !room.contains(&u32::from(uncompressed)) => None,
        1 if size == uncompressed => Some(Encoding::Plain),
        2 if size < uncompressed => Some(Encoding::Whack),
        _ => None,
    }
    .ok_or(ClumpError::Fields {
        encoding,
        size,
        uncompressed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAGIC: u32 = 0xf404_0f0d;

    fn hundred_a() -> Vec<u8> {
        let mut bytes = vec![0xf4, 0x04, 0x0f, 0x0d, 13, 0, 5, 0, 100];
        bytes.extend(Score::of(&[b'a'; 100]).as_bytes());
        bytes.extend([2, 0, 0, 0, 0, 0x6b, 0x02, 0xb5, 0x82]);
        bytes.extend([0x30, 0xff, 0xbf, 0, 0]);
        bytes
    }

    #[test]
    fn a_clump_goes_both_ways_and_decodes() {
        let bytes = hundred_a();
        let header = ClumpHeader::parse(&bytes, MAGIC).unwrap();
        assert_eq!(header.encoding, Encoding::Whack);
        assert_eq!((header.size, header.uncompressed), (5, 100));
        assert_eq!(header.block_type(), Some(BlockType::Data));
        assert_eq!(header.to_bytes(MAGIC), bytes[..HEADER_LEN]);
        assert_eq!(
            header.block(&bytes[HEADER_LEN..]).unwrap(),
            &[b'a'; 100][..]
        );
    }

    #[test]
    fn what_is_no_clump_is_refused() {
        let refused = |at: usize, byte: u8| {
            let mut bytes = hundred_a();
            bytes[at] = byte;
            ClumpHeader::parse(&bytes, MAGIC)
                .and_then(|header| header.block(&bytes[HEADER_LEN..]).map(|_| ()))
                .unwrap_err()
        };
        assert!(matches!(refused(0, 0), ClumpError::Magic { .. }));
        assert!(matches!(refused(29, 3), ClumpError::Fields { .. }));
        assert!(matches!(refused(29, 1), ClumpError::Fields { .. }));
        assert!(matches!(refused(6, 100), ClumpError::Fields { .. }));
        assert!(matches!(refused(7, 0xff), ClumpError::Fields { .. }));
        assert!(matches!(refused(8, 99), ClumpError::Whack(_)));
        assert!(matches!(refused(8, 101), ClumpError::Short { .. }));
        assert!(matches!(refused(9, 0), ClumpError::WrongScore(_)));
        assert_eq!(
            ClumpHeader::parse(&hundred_a()[..37], MAGIC),
            Err(ClumpError::Cut)
        );
    }

    proptest! {
        #[test]
        fn any_header_is_refused_or_goes_both_ways(bytes: [u8; HEADER_LEN]) {
            let magic = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if let Ok(header) = ClumpHeader::parse(&bytes, magic) {
                prop_assert_eq!(header.to_bytes(magic), bytes);
            }
        }
    }
}
