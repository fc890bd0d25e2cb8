//! The super block (fossil.md 1.4): the live tree, what is being archived, and
//! the last archival score.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u16, be_u32, be_u64};

use super::{EndsEarly, FormatError, NIL, address};
use venticore::codec::score::Score;

/// A super block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuperBlock {
    /// Snapshots of earlier epochs are gone; at least 1.
    pub epoch_low: u32,
    /// The epoch of the live tree, at least `epoch_low`.
    pub epoch_high: u32,
    /// The next qid to hand out, at least 1.
    pub qid: u64,
    /// The address of the live tree's root block.
    pub active: u32,
    /// The root block of the snapshot that waits to be archived.
    pub next: Option<u32>,
    /// The root block of the snapshot that is being archived.
    pub current: Option<u32>,
    /// The score of the last archive that was completed.
    pub last: Score,
    /// The name the file system was formatted with: at most 127 bytes, none
    /// of them NUL.
    pub name: Vec<u8>,
}

impl SuperBlock {
    /// Bytes that hold fields; the rest of the block is zero.
    pub const LEN: usize = 4 + 2 + 4 + 4 + 8 + 4 + 4 + 4 + Score::LEN + Self::NAME;
    /// Bytes of a read that a server writes at once: the fields lie in one sector.
    pub const SECTOR: usize = 512;
    /// The first four bytes.
    pub const MAGIC: u32 = 0x2340_a3b1;
    /// The only version there is.
    pub const VERSION: u16 = 1;
    /// Where the score is in it.
    pub const LAST_AT: u64 = 34;
    /// Where the address of the live tree is in it.
    pub const ACTIVE_AT: u64 = 22;
    /// Where the address of the snapshot that waits is in it.
    pub const NEXT_AT: u64 = 26;
    /// Where the address of the snapshot that is being archived is in it.
    pub const CURRENT_AT: u64 = 30;
    /// Bytes of the name and the NULs after it.
    const NAME: usize = 128;

    /// Reads a super block from the start of its block. Addresses are not
    /// looked at: how many blocks there are is the header's to say.
    ///
    /// # Errors
    /// Too few bytes, a wrong magic or version, epochs or a qid that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let short = |_: EndsEarly<'_>| FormatError::short("super block", Self::LEN, bytes.len());
        let (rest, (magic, version)) = (be_u32, be_u16).parse(bytes).map_err(short)?;
        if magic != Self::MAGIC {
            return Err(FormatError::magic("super block", Self::MAGIC, magic));
        }
        if version != Self::VERSION {
            let expected = format!("version {}", Self::VERSION);
            return Err(bad(4, expected, u64::from(version)));
        }
        let (rest, (epoch_low, epoch_high, qid)) =
            (be_u32, be_u32, be_u64).parse(rest).map_err(short)?;
        let (_, (active, next, current, last, name)) =
            (be_u32, be_u32, be_u32, Score::read, take(Self::NAME))
                .parse(rest)
                .map_err(short)?;
        if epoch_low == 0 {
            return Err(bad(6, "an epoch of at least 1", 0));
        }
        if epoch_high < epoch_low {
            let expected = format!("an epoch of at least {epoch_low}");
            return Err(bad(10, expected, u64::from(epoch_high)));
        }
        if qid == 0 {
            return Err(bad(14, "a qid of at least 1", 0));
        }
        Ok(SuperBlock {
            epoch_low,
            epoch_high,
            qid,
            active,
            next: address(next),
            current: address(current),
            last,
            name: name
                .iter()
                .copied()
                .take(Self::NAME - 1)
                .take_while(|&b| b != 0)
                .collect(),
        })
    }

    /// Reads a super block whose magic was made zero by a format that did not
    /// end; `None` where it is not that.
    #[must_use]
    pub fn parse_unmarked(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0; 4])?;
        Self::parse(&[&Self::MAGIC.to_be_bytes(), rest].concat()).ok()
    }

    /// The fields as bytes; zeros follow them on disk. A name that is too long
    /// is cut.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend(Self::MAGIC.to_be_bytes());
        bytes.extend(Self::VERSION.to_be_bytes());
        bytes.extend(self.epoch_low.to_be_bytes());
        bytes.extend(self.epoch_high.to_be_bytes());
        bytes.extend(self.qid.to_be_bytes());
        bytes.extend(self.active.to_be_bytes());
        bytes.extend(self.next.unwrap_or(NIL).to_be_bytes());
        bytes.extend(self.current.unwrap_or(NIL).to_be_bytes());
        bytes.extend(self.last.as_bytes());
        bytes.extend(self.name.iter().take(Self::NAME - 1));
        bytes.resize(Self::LEN, 0);
        bytes
    }
}

fn bad(at: usize, expected: impl Into<String>, found: u64) -> FormatError {
    FormatError::new("super block", at, expected, found.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fields before the name in the golden partition `archiving-8k`, with
    /// the score of `archived-8k`.
    const FIELDS: [u8; 54] = [
        0x23, 0x40, 0xa3, 0xb1, 0x00, 0x01, // magic, version
        0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x03, // epochs
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x19, // qid
        0x00, 0x00, 0x00, 0x4a, // active
        0xff, 0xff, 0xff, 0xff, // next
        0x00, 0x00, 0x00, 0x41, // current
        0xf5, 0x0b, 0x65, 0xb3, 0x91, 0x1f, 0xc8, 0x7a, 0xe7, 0x86, // last
        0xcc, 0x79, 0x70, 0xb2, 0xe3, 0x4d, 0x13, 0x48, 0xbd, 0x00,
    ];

    fn bytes() -> Vec<u8> {
        let mut bytes = FIELDS.to_vec();
        bytes.extend(b"golden8k");
        bytes.resize(SuperBlock::LEN, 0);
        bytes
    }

    #[test]
    fn a_super_block_goes_both_ways() {
        assert_eq!(SuperBlock::LEN, 182);
        let superblock = SuperBlock::parse(&bytes()).unwrap();
        assert_eq!(
            superblock,
            SuperBlock {
                epoch_low: 1,
                epoch_high: 3,
                qid: 25,
                active: 74,
                next: None,
                current: Some(65),
                last: "f50b65b3911fc87ae786cc7970b2e34d1348bd00".parse().unwrap(),
                name: b"golden8k".to_vec(),
            }
        );
        assert_eq!(superblock.to_bytes(), bytes());
        let at = usize::try_from(SuperBlock::LAST_AT).unwrap();
        assert_eq!(&bytes()[at..at + 20], superblock.last.as_bytes());
    }

    #[test]
    fn a_name_ends_at_its_first_nul_and_has_at_most_127_bytes() {
        let mut long = bytes();
        long[54..].fill(b'x');
        let superblock = SuperBlock::parse(&long).unwrap();
        assert_eq!(superblock.name, [b'x'; 127]);
        assert_eq!(
            superblock.to_bytes()[54..],
            [&[b'x'; 127][..], &[0]].concat()
        );
        long[55] = 0;
        assert_eq!(SuperBlock::parse(&long).unwrap().name, b"x");
        assert_eq!(
            SuperBlock {
                name: vec![b'y'; 300],
                ..superblock
            }
            .to_bytes()
            .len(),
            182
        );
    }

    #[test]
    fn a_super_block_that_cannot_be_is_refused_with_the_place() {
        for (at, byte, place) in [(0, 0, 0), (5, 0, 4), (9, 0, 6), (9, 4, 10), (21, 0, 14)] {
            let mut bytes = bytes();
            bytes[at] = byte;
            let error = SuperBlock::parse(&bytes).unwrap_err();
            assert_eq!(error.at, Some(place), "{error}");
        }
        assert_eq!(
            SuperBlock::parse(&bytes()[..181]).unwrap_err().at,
            Some(181)
        );
        let mut unmarked = bytes();
        unmarked[..4].fill(0);
        assert_eq!(
            SuperBlock::parse_unmarked(&unmarked),
            SuperBlock::parse(&bytes()).ok()
        );
        assert_eq!(SuperBlock::parse_unmarked(&bytes()), None);
        assert_eq!(SuperBlock::parse_unmarked(&[0; 182]), None);
        let wiped = SuperBlock::parse(&[0; 182]).unwrap_err().to_string();
        assert_eq!(
            wiped,
            "super block: expected magic 0x2340a3b1 at 0, found 0x00000000"
        );
    }

    proptest! {
        #[test]
        fn any_super_block_goes_both_ways(
            epoch_low in 1u32.., epochs: u32, qid in 1u64.., active: u32,
            next in prop::option::of(0..NIL), current in prop::option::of(0..NIL),
            last: [u8; 20], name in prop::collection::vec(1u8.., 0..128),
        ) {
            let superblock = SuperBlock {
                epoch_low, epoch_high: epoch_low.saturating_add(epochs), qid, active,
                next, current, last: Score::from_bytes(last), name,
            };
            prop_assert_eq!(SuperBlock::parse(&superblock.to_bytes()), Ok(superblock));
        }

        #[test]
        fn any_bytes_are_read_or_refused(rest: Vec<u8>, cut in 0usize..200) {
            let mut bytes = FIELDS[..6].to_vec();
            bytes.extend(rest);
            bytes.resize(cut.max(bytes.len()), 0x5a);
            if let Ok(superblock) = SuperBlock::parse(&bytes) {
                prop_assert_eq!(SuperBlock::parse(&superblock.to_bytes()), Ok(superblock));
            }
        }
    }
}
