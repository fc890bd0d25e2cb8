//! Entries (venti.md 8.2): one stream each, 40 bytes in directory blocks.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::{FormatError, size_of};
use crate::codec::score::Score;

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts what stood in this slot before.
    pub generation: u32,
    /// Bytes of a pointer block, as stored: see [`Entry::psize`].
    pub stored_psize: u16,
    /// Bytes of a data block, as stored: see [`Entry::dsize`].
    pub stored_dsize: u16,
    /// The slot is in use.
    pub active: bool,
    /// The leaves hold entries.
    pub directory: bool,
    /// Levels of pointer blocks above the leaves, at most 7.
    pub depth: u8,
    /// The mark of a block of a fossil partition. It means nothing in an
    /// archive, where plan9port's vac sets it all the same: the score is one.
    pub local: bool,
    /// The sizes are in the encoding of large blocks.
    pub big: bool,
    /// Not to be archived.
    pub no_archive: bool,
    /// Bytes in the stream, less than 2^48.
    pub size: u64,
    /// The top block.
    pub score: Score,
}

impl Entry {
    /// Bytes of an entry.
    pub const LEN: usize = 4 + 2 + 2 + 1 + 5 + 6 + Score::LEN;
    /// The most levels of pointer blocks.
    pub const DEPTH_MAX: u8 = 7;
    /// The least psize and dsize of a stream that has blocks.
    pub const SIZE_MIN: u64 = 256;
    /// The most bytes in a stream.
    const STREAM_MAX: u64 = (1 << 48) - 1;

    const ACTIVE: u8 = 0x01;
    const DIRECTORY: u8 = 0x02;
    const DEPTH_SHIFT: u32 = 2;
    const LOCAL: u8 = 0x20;
    const BIG: u8 = 0x40;
    const NO_ARCHIVE: u8 = 0x80;

    /// Reads an entry. Any 40 bytes are one; whether its sizes can be is
    /// [`Entry::check`]'s to say. Directory blocks are cut in their last
    /// entry, so what is missing counts as zero.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut whole = [0; Self::LEN];
        for (to, from) in whole.iter_mut().zip(bytes) {
            *to = *from;
        }
        let fields = (
            be_u32::<_, nom::error::Error<&[u8]>>,
            be_u16,
            be_u16,
            be_u8,
            take(5usize),
            be_u16,
            be_u32,
        )
            .parse(whole.as_slice());
        // There are 40 bytes, so this cannot fail.
        let (score, (generation, stored_psize, stored_dsize, flags, _, high, low)) =
            fields.unwrap_or_default();
        Entry {
            generation,
            stored_psize,
            stored_dsize,
            active: flags & Self::ACTIVE != 0,
            directory: flags & Self::DIRECTORY != 0,
            depth: flags >> Self::DEPTH_SHIFT & Self::DEPTH_MAX,
            local: flags & Self::LOCAL != 0,
            big: flags & Self::BIG != 0,
            no_archive: flags & Self::NO_ARCHIVE != 0,
            size: u64::from(high) << 32 | u64::from(low),
            score: Score::read(score).map_or(Score::ZERO, |(_, score)| score),
        }
    }

    /// The entry as bytes. More of a depth or size than fits is lost.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let flag = |is: bool, bit| if is { bit } else { 0 };
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(self.stored_psize.to_be_bytes());
        bytes.extend(self.stored_dsize.to_be_bytes());
        bytes.push(
            flag(self.active, Self::ACTIVE)
                | flag(self.directory, Self::DIRECTORY)
                | (self.depth & Self::DEPTH_MAX) << Self::DEPTH_SHIFT
                | flag(self.local, Self::LOCAL)
                | flag(self.big, Self::BIG)
                | flag(self.no_archive, Self::NO_ARCHIVE),
        );
        bytes.extend([0; 5]);
        bytes.extend(self.size.to_be_bytes().iter().skip(2));
        bytes.extend(self.score.as_bytes());
        bytes
    }

    /// The entries of a directory block, the last one padded.
    pub fn all(block: &[u8]) -> impl Iterator<Item = Entry> + '_ {
        block.chunks(Self::LEN).map(Entry::parse)
    }

    /// Bytes of a pointer block.
    #[must_use]
    pub fn psize(&self) -> u64 {
        size_of(self.stored_psize, self.big)
    }

    /// Bytes of a leaf.
    #[must_use]
    pub fn dsize(&self) -> u64 {
        size_of(self.stored_dsize, self.big)
    }

    /// Scores in a pointer block, at least 1.
    #[must_use]
    pub fn pointers(&self) -> u64 {
        (self.psize() / Score::LEN as u64).max(1)
    }

    /// Entries in a leaf of a directory stream, at least 1.
    #[must_use]
    pub fn per_leaf(&self) -> u64 {
        (self.dsize() / Self::LEN as u64).max(1)
    }

    /// How many leaves the size makes, holes among them.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        match self.dsize() {
            0 => 0,
            dsize => self.size.div_ceil(dsize),
        }
    }

    /// How many leaves lie below a block at this level.
    #[must_use]
    pub fn span(&self, level: u8) -> u64 {
        self.pointers().saturating_pow(level.into())
    }

    /// The most bytes that a stream of this depth can have.
    #[must_use]
    pub fn size_max(&self) -> u64 {
        self.span(self.depth).saturating_mul(self.dsize())
    }

    /// Whether there are too few levels for the size.
    #[must_use]
    pub fn is_too_shallow(&self) -> bool {
        self.span(self.depth) < self.leaves()
    }

    /// Whether a stream with blocks can be like this.
    ///
    /// # Errors
    /// A psize or dsize below 256, too few levels for the size.
    pub fn check(&self) -> Result<(), FormatError> {
        if self.score.is_nil() {
            return Ok(());
        }
        let sizes = [(4, "pointer", self.psize()), (6, "data", self.dsize())];
        for (at, what, size) in sizes {
            if size < Self::SIZE_MIN {
                let expected = format!("a {what} block size of at least {}", Self::SIZE_MIN);
                return Err(FormatError::new("entry", at, expected, size));
            }
        }
        if self.is_too_shallow() {
            let most = self.size_max();
            let expected = format!("a size of at most {most} with {} levels", self.depth);
            return Err(FormatError::new(
                "entry",
                14,
                expected,
                self.size.min(Self::STREAM_MAX),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file of plan9port's vac: the local flag is set, the score is one.
    const VAC: [u8; 40] = [
        0, 0, 0, 0, 0x1f, 0xe0, 0x20, 0, 0x25, 0, 0, 0, 0, 0, // gen, sizes, flags
        0, 0, 0, 1, 0x86, 0xa0, // size
        0x5a, 0xe2, 0xcd, 0x05, 0xb2, 0xe9, 0x52, 0x51, 0x16, 0xe9, 0xae, 0x26, 0x90, 0x19, 0x86,
        0x12, 0x22, 0x53, 0x6c, 0x4f,
    ];

    #[test]
    fn an_entry_goes_both_ways_and_its_local_flag_changes_nothing() {
        let entry = Entry::parse(&VAC);
        assert!(entry.active && entry.local && !entry.directory && !entry.big);
        assert_eq!((entry.psize(), entry.dsize(), entry.depth), (8160, 8192, 1));
        assert_eq!(
            (entry.size, entry.leaves(), entry.pointers()),
            (100_000, 13, 408)
        );
        assert_eq!(entry.score.as_bytes(), &VAC[20..]);
        assert_eq!(entry.to_bytes(), VAC);
        let mut masked = VAC;
        masked[8] &= !0x20;
        let plain = Entry::parse(&masked);
        assert_eq!(
            Entry {
                local: true,
                ..plain
            },
            entry
        );
    }

    #[test]
    fn what_was_cut_off_an_entry_is_zero() {
        let mut cut = VAC;
        cut[38..].fill(0);
        assert_eq!(Entry::parse(&cut[..38]), Entry::parse(&cut));
        assert_eq!(Entry::all(&[&VAC[..], &cut[..38]].concat()).count(), 2);
        assert!(!Entry::parse(&[]).active);
    }

    #[test]
    fn big_sizes_and_hostile_ones() {
        let mut entry = Entry::parse(&VAC);
        assert_eq!(entry.check(), Ok(()));
        entry.big = true;
        (entry.stored_psize, entry.stored_dsize) = (0xffff, 0x8007);
        assert_eq!((entry.psize(), entry.dsize()), (2047 << 31, 131_072));
        let small = Entry {
            stored_psize: 255,
            ..Entry::parse(&VAC)
        };
        assert_eq!(small.check().unwrap_err().at, Some(4));
        let small = Entry {
            stored_dsize: 0,
            ..Entry::parse(&VAC)
        };
        assert_eq!(
            (small.check().unwrap_err().at, small.leaves()),
            (Some(6), 0)
        );
        let flat = Entry {
            depth: 0,
            ..Entry::parse(&VAC)
        };
        assert_eq!(flat.check().unwrap_err().at, Some(14));
        let empty = Entry {
            score: Score::ZERO,
            stored_psize: 0,
            ..flat
        };
        assert_eq!(empty.check(), Ok(()));
        let most = Entry {
            depth: 7,
            size: u64::MAX,
            stored_psize: 0xffff,
            big: true,
            ..flat
        };
        let _ = (most.check(), most.span(7));
    }

    proptest! {
        #[test]
        fn any_40_bytes_go_both_ways(bytes: [u8; 40]) {
            let mut bytes = bytes;
            bytes[9..14].fill(0);
            let entry = Entry::parse(&bytes);
            prop_assert_eq!(entry.to_bytes(), bytes);
            let _ = (entry.check(), entry.leaves(), entry.span(entry.depth), entry.per_leaf());
        }
    }
}
