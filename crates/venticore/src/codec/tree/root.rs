//! Root blocks (venti.md 8.1): 300 bytes, type root.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u16;

use super::{FormatError, size_of};
use crate::codec::score::Score;

/// The root of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Who wrote it: `fossil`, or nothing. Up to its first NUL.
    pub name: Vec<u8>,
    /// What is in it: `vac`, `ext2` ... Up to its first NUL.
    pub kind: Vec<u8>,
    /// The directory block at the top.
    pub score: Score,
    /// The block size as it is stored: see [`Root::block_size`].
    pub stored_size: u16,
    /// The block size is in the encoding of large ones.
    pub big: bool,
    /// The root of the archive before, or nil.
    pub prev: Score,
}

impl Root {
    /// Bytes of a root block; it is never cut.
    pub const LEN: usize = 2 + 2 * Self::TEXT + Score::LEN + 2 + Score::LEN;
    /// The only version there is.
    pub const VERSION: u16 = 2;
    /// The bit beside the version that marks a big block size.
    const BIG: u16 = 0x8000;
    /// Bytes of a text and the NULs after it.
    const TEXT: usize = 128;
    /// The least block size.
    const SIZE_MIN: u64 = 256;

    /// Reads a root block.
    ///
    /// # Errors
    /// Another length than 300 bytes, another version, a block size below 256.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let len = |_| FormatError::new("root", 0, format!("{} bytes", Self::LEN), bytes.len());
        let (rest, (version, name, kind, score, stored_size, prev)) = (
            be_u16::<_, nom::error::Error<&[u8]>>,
            take(Self::TEXT),
            take(Self::TEXT),
            Score::read,
            be_u16,
            Score::read,
        )
            .parse(bytes)
            .map_err(|_| len(()))?;
        if !rest.is_empty() {
            return Err(len(()));
        }
        let big = version & Self::BIG != 0;
        if version & !Self::BIG != Self::VERSION {
            let expected = format!("version {}", Self::VERSION);
            return Err(FormatError::new("root", 0, expected, version & !Self::BIG));
        }
        if size_of(stored_size, big) < Self::SIZE_MIN {
            let expected = format!("a block size of at least {}", Self::SIZE_MIN);
            let found = size_of(stored_size, big);
            return Err(FormatError::new("root", 278, expected, found));
        }
        Ok(Root {
            name: text(name),
            kind: text(kind),
            score,
            stored_size,
            big,
            prev,
        })
    }

    /// The root as bytes; texts that are too long are cut.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        let big = if self.big { Self::BIG } else { 0 };
        bytes.extend((Self::VERSION | big).to_be_bytes());
        for text in [&self.name, &self.kind] {
            let end = bytes.len() + Self::TEXT;
            bytes.extend(text.iter().take(Self::TEXT));
            bytes.resize(end, 0);
        }
        bytes.extend(self.score.as_bytes());
        bytes.extend(self.stored_size.to_be_bytes());
        bytes.extend(self.prev.as_bytes());
        bytes
    }

    /// Bytes in a block of the archive.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        size_of(self.stored_size, self.big)
    }
}

fn text(field: &[u8]) -> Vec<u8> {
    field
        .iter()
        .copied()
        .take_while(|&byte| byte != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A root of fossil, as one of the golden archives has it.
    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0, 2];
        for text in ["fossil", "vac"] {
            let end = bytes.len() + 128;
            bytes.extend(text.bytes());
            bytes.resize(end, 0);
        }
        bytes.extend([0x5a; 20]);
        bytes.extend([0x20, 0]);
        bytes.extend(Score::ZERO.as_bytes());
        bytes
    }

    #[test]
    fn a_root_goes_both_ways() {
        assert_eq!(Root::LEN, 300);
        let root = Root::parse(&bytes()).unwrap();
        assert_eq!(root.name, b"fossil");
        assert_eq!(root.kind, b"vac");
        assert_eq!(root.score, Score::from_bytes([0x5a; 20]));
        assert_eq!((root.block_size(), root.prev), (8192, Score::ZERO));
        assert_eq!(root.to_bytes(), bytes());
    }

    #[test]
    fn a_big_block_size_is_a_number_and_a_shift() {
        let mut big = bytes();
        big[0] = 0x80;
        big[278..280].copy_from_slice(&0x8007_u16.to_be_bytes());
        let root = Root::parse(&big).unwrap();
        assert_eq!(root.block_size(), 131_072);
        assert_eq!(root.to_bytes(), big);
    }

    #[test]
    fn a_root_that_cannot_be_is_refused_with_the_place() {
        for (at, byte, place) in [(1, 1, 0), (0, 1, 0), (278, 0, 278)] {
            let mut bytes = bytes();
            bytes[at] = byte;
            assert_eq!(
                Root::parse(&bytes).unwrap_err().at,
                Some(place),
                "byte {at}"
            );
        }
        let long = [bytes(), vec![0]].concat();
        for wrong in [&bytes()[..299], &long, &[]] {
            let said = Root::parse(wrong).unwrap_err().to_string();
            assert!(said.starts_with("root: expected 300 bytes"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn any_root_goes_both_ways(
            name in "[a-z]{0,128}", kind in "[a-z]{0,128}", score: [u8; 20], prev: [u8; 20],
            stored_size: u16, big: bool,
        ) {
            let root = Root {
                name: name.into(), kind: kind.into(), score: Score::from_bytes(score),
                stored_size, big, prev: Score::from_bytes(prev),
            };
            match Root::parse(&root.to_bytes()) {
                Ok(again) => prop_assert_eq!(again, root),
                Err(_) => prop_assert!(root.block_size() < 256),
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(start in 0usize..300, noise in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = bytes();
            for (to, from) in bytes.iter_mut().skip(start).zip(noise) {
                *to = from;
            }
            if let Ok(root) = Root::parse(&bytes) {
                prop_assert_eq!(Root::parse(&root.to_bytes()), Ok(root));
            }
        }
    }
}
