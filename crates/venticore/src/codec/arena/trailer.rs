//! The trailer block of an arena (venti.md 3 and 5): its counters, twice.

use nom::bytes::complete::take;
use nom::combinator::{cond, map, peek};
use nom::number::complete::{be_u8, be_u32, be_u64};
use nom::{IResult, Parser};

use super::clump::MAGIC_V4;
use super::{FormatError, Name, Version, name};
use crate::codec::score::Score;

/// What an arena holds, by one of the two sets of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Clumps in the log.
    pub clumps: u32,
    /// How many of them are compressed.
    pub compressed: u32,
    /// Bytes of clump headers and data: the end of the log in the data section.
    pub used: u64,
    /// Bytes of the blocks before compression.
    pub uncompressed: u64,
    /// No clump will be added.
    pub sealed: bool,
}

/// An arena trailer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Its version.
    pub version: Version,
    /// Name of the arena.
    pub name: Name,
    /// Unix time of the first clump, 0 if none.
    pub created: u32,
    /// Unix time of the last clump.
    pub modified: u32,
    /// What every clump of this arena begins with.
    pub clump_magic: u32,
    /// What the server's index holds.
    pub indexed: Counters,
    /// What the log holds, where that differs: the extension.
    pub written: Option<Counters>,
    /// SHA-1 of the whole arena, twenty zero bytes until computed.
    pub score: Score,
}

impl Trailer {
    /// The first four bytes.
    pub const MAGIC: u32 = 0xf2a1_4ead;
    /// Bytes of the second set of counters, zeros where there is none.
    const EXTENSION: usize = 4 + 4 + 8 + 8 + 1;

    /// Reads a trailer from its whole block.
    ///
    /// # Errors
    /// A wrong magic, an unknown version, a clump magic of 0, or a byte that
    /// no server writes where one says yes or no.
    pub fn parse(block: &[u8]) -> Result<Self, FormatError> {
        let short = |_: nom::Err<_>| super::short("arena trailer", 135, block.len());
        let (rest, (magic, version)) = (be_u32, be_u32).parse(block).map_err(short)?;
        if magic != Self::MAGIC {
            return Err(super::magic_error("arena trailer", Self::MAGIC, magic));
        }
        let bad =
            |expected: &str, found: String| FormatError::whole("arena trailer", expected, found);
        let version = Version::from_number(version)
            .ok_or_else(|| bad("version 4 or 5", version.to_string()))?;
        let (rest, (name, clumps, compressed, created, modified)) =
            (name, be_u32, be_u32, be_u32, be_u32)
                .parse(rest)
                .map_err(short)?;
        let (rest, (clump_magic, used, uncompressed, sealed, extended)) = (
            cond(version == Version::V5, be_u32),
            be_u64,
            be_u64,
            flag,
            be_u8,
        )
            .parse(rest)
            .map_err(short)?;
        let fields = (be_u32, be_u32, be_u64, be_u64, flag);
        let (_, (extension, written)) = (peek(take(Self::EXTENSION)), fields)
            .parse(rest)
            .map_err(short)?;
        if clump_magic == Some(0) {
            return Err(bad("a clump magic", "0".to_owned()));
        }
        let written = match extended {
            0 if extension.iter().all(|&byte| byte == 0) => None,
            0 => return Err(bad("zeros where there is no extension", "others".into())),
            1 => Some(written),
            byte => return Err(bad("an extension mark of 0 or 1", byte.to_string())),
        };
        let score_at = block.len().saturating_sub(Score::LEN);
        let (_, score) = Score::read(block.get(score_at..).unwrap_or_default()).map_err(short)?;
        let counters = |(clumps, compressed, used, uncompressed, sealed): Fields| {
            Ok(Counters {
                clumps,
                compressed,
                used,
                uncompressed,
                sealed: sealed.map_err(|byte| bad("sealed as 0 or 1", byte.to_string()))?,
            })
        };
        let indexed = counters((clumps, compressed, used, uncompressed, sealed))?;
        let written = written.map(counters).transpose()?;
        Ok(Trailer {
            version,
            name,
            created,
            modified,
            clump_magic: clump_magic.unwrap_or(MAGIC_V4),
            indexed,
            written,
            score,
        })
    }

    /// The whole block: fields, zeros, and the score at its end.
    #[must_use]
    pub fn to_block(&self, block_size: usize) -> Vec<u8> {
        let mut block = Vec::with_capacity(block_size);
        block.extend(Self::MAGIC.to_be_bytes());
        block.extend(self.version.number().to_be_bytes());
        block.extend(self.name.to_field());
        block.extend(self.indexed.clumps.to_be_bytes());
        block.extend(self.indexed.compressed.to_be_bytes());
        block.extend(self.created.to_be_bytes());
        block.extend(self.modified.to_be_bytes());
        if self.version == Version::V5 {
            block.extend(self.clump_magic.to_be_bytes());
        }
        block.extend(self.indexed.used.to_be_bytes());
        block.extend(self.indexed.uncompressed.to_be_bytes());
        block.push(u8::from(self.indexed.sealed));
        block.push(u8::from(self.written.is_some()));
        if let Some(written) = &self.written {
            block.extend(written.clumps.to_be_bytes());
            block.extend(written.compressed.to_be_bytes());
            block.extend(written.used.to_be_bytes());
            block.extend(written.uncompressed.to_be_bytes());
            block.push(u8::from(written.sealed));
        }
        block.resize(block_size.saturating_sub(Score::LEN), 0);
        block.extend(self.score.as_bytes());
        block
    }

    /// The set of counters that reaches further: the log goes at least there.
    ///
    /// The written set is usually ahead, but in a mirrored arena it is behind,
    /// mostly zero.
    #[must_use]
    pub fn live(&self) -> Counters {
        match self.written {
            Some(written) if written.used > self.indexed.used => Counters {
                sealed: written.sealed || self.indexed.sealed,
                ..written
            },
            _ => self.indexed,
        }
    }

    /// No clump will be added to the arena, by either set.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.indexed.sealed || self.written.is_some_and(|written| written.sealed)
    }
}

/// The fields of a set of counters, in their order.
type Fields = (u32, u32, u64, u64, Result<bool, u8>);

/// A byte that says yes or no, or the byte that stands there instead.
fn flag(input: &[u8]) -> IResult<&[u8], Result<bool, u8>> {
    map(be_u8, |byte| match byte {
        0 => Ok(false),
        1 => Ok(true),
        byte => Err(byte),
    })
    .parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The trailer of `g5.2` in the golden partition `g5.part`.
    fn g5_2() -> Vec<u8> {
        let mut block = vec![0xf2, 0xa1, 0x4e, 0xad, 0, 0, 0, 5];
        block.extend(b"g5.2");
        block.extend([0; 60]);
        block.extend([0, 0, 0, 51, 0, 0, 0, 39]);
        block.extend([0x6b, 0x02, 0x58, 0x82, 0x6b, 0x02, 0x5d, 0x79]);
        block.extend([0x29, 0x73, 0x1a, 0xa9]);
        block.extend([0, 0, 0, 0, 0, 1, 0x3d, 0xd9]);
        block.extend([0, 0, 0, 0, 0, 1, 0xbb, 0xb6]);
        block.extend([0, 1]);
        block.extend([0, 0, 2, 0x58, 0, 0, 0, 0xb9]);
        block.extend([0, 0, 0, 0, 0, 2, 0x4f, 0x4b]);
        block.extend([0, 0, 0, 0, 0, 2, 0xf9, 0x0e]);
        block.push(0);
        block.resize(8192, 0);
        block
    }

    #[test]
    fn a_trailer_with_extension_goes_both_ways() {
        let trailer = Trailer::parse(&g5_2()).unwrap();
        assert_eq!(trailer.name.as_str(), "g5.2");
        assert_eq!(
            (trailer.created, trailer.modified),
            (1_795_315_842, 1_795_317_113)
        );
        assert_eq!(trailer.clump_magic, 0x2973_1aa9);
        assert_eq!(
            trailer.indexed,
            Counters {
                clumps: 51,
                compressed: 39,
                used: 81369,
                uncompressed: 113_590,
                sealed: false
            }
        );
        assert_eq!(
            trailer.written,
            Some(Counters {
                clumps: 600,
                compressed: 185,
                used: 151_371,
                uncompressed: 194_830,
                sealed: false
            })
        );
        assert_eq!(trailer.live(), trailer.written.unwrap());
        assert_eq!(trailer.to_block(8192), g5_2());
    }

    #[test]
    fn a_mirrored_trailer_is_read_by_its_larger_set() {
        let mut trailer = Trailer::parse(&g5_2()).unwrap();
        trailer.written = Some(Counters::default());
        assert_eq!(trailer.live().clumps, 51);
    }

    #[test]
    fn a_trailer_that_cannot_be_is_refused() {
        let mut block = g5_2();
        block[0] = 0;
        assert!(Trailer::parse(&block).is_err());
        let mut block = g5_2();
        block[7] = 6;
        assert!(Trailer::parse(&block).is_err());
        // Sealed, extension, sealed by the extension; an extension that is
        // not said to be there.
        for (at, byte) in [(108, 0xff), (109, 0xff), (134, 2), (109, 0)] {
            let mut block = g5_2();
            block[at] = byte;
            assert!(Trailer::parse(&block).is_err(), "byte {at} as {byte:#x}");
        }
        let mut block = g5_2();
        block[88..].fill(0);
        assert!(Trailer::parse(&block).is_err());
        assert!(Trailer::parse(&g5_2()[..120]).is_err());
    }

    fn counters() -> impl Strategy<Value = Counters> {
        any::<(u32, u32, u64, u64, bool)>().prop_map(
            |(clumps, compressed, used, uncompressed, sealed)| Counters {
                clumps,
                compressed,
                used,
                uncompressed,
                sealed,
            },
        )
    }

    proptest! {
        #[test]
        fn any_trailer_goes_both_ways(
            five: bool, name in "[ -~]{0,63}", created: u32, modified: u32, magic in 1..=u32::MAX,
            indexed in counters(), written in proptest::option::of(counters()), score: [u8; 20],
        ) {
            let trailer = Trailer {
                version: if five { Version::V5 } else { Version::V4 },
                name: Name::from_field(name.as_bytes()),
                created,
                modified,
                clump_magic: if five { magic } else { MAGIC_V4 },
                indexed,
                written,
                score: Score::from_bytes(score),
            };
            let block = trailer.to_block(512);
            prop_assert_eq!(block.len(), 512);
            prop_assert_eq!(Trailer::parse(&block), Ok(trailer));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Trailer::parse(&bytes);
        }
    }
}
