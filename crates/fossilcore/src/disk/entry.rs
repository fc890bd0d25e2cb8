//! Entries (fossil.md 1.6): where the blocks of a file or directory are, 40
//! bytes each in directory blocks.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};
use venticore::score::Score;

use super::{Failed, FormatError, score};

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts what stood in this slot before.
    pub generation: u32,
    /// Bytes of a pointer block, as stored: see `big`.
    pub psize: u16,
    /// Bytes of a data block, as stored: see `big`.
    pub dsize: u16,
    /// The slot is in use.
    pub active: bool,
    /// The blocks hold entries.
    pub directory: bool,
    /// Levels of pointer blocks above the data, at most 7.
    pub depth: u8,
    /// The sizes are in the encoding of large blocks, which fossil does not know.
    pub big: bool,
    /// Not to be archived.
    pub no_archive: bool,
    /// Bytes in it, less than 2^48.
    pub size: u64,
    /// The top block.
    pub place: Place,
}

/// Where the top block of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On venti.
    Venti(Score),
    /// A block of the partition.
    Local {
        /// Not zero where the tree is being archived.
        archive: u8,
        /// The epoch of the snapshot that this is the root of, or 0.
        snap: u32,
        /// The tag in the block's label.
        tag: u32,
        /// The block's address.
        address: u32,
    },
}

impl Entry {
    /// Bytes of an entry.
    pub const LEN: usize = 4 + 2 + 2 + 1 + 5 + 6 + Score::LEN;
    /// The most bytes in a file.
    pub const SIZE_MAX: u64 = (1 << 48) - 1;
    /// The most levels of pointer blocks.
    pub const DEPTH_MAX: u8 = 7;
    /// The zero bytes before the fields of a local block.
    const LOCAL_ZEROS: usize = 7;

    const ACTIVE: u8 = 0x01;
    const DIRECTORY: u8 = 0x02;
    const DEPTH_SHIFT: u32 = 2;
    const LOCAL: u8 = 0x20;
    const BIG: u8 = 0x40;
    const NO_ARCHIVE: u8 = 0x80;

    /// Reads an entry.
    ///
    /// # Errors
    /// Too few bytes; a local block with something where zeros belong, as in
    /// the entries of vac(1), which have the mark and a full score: a fossil
    /// misreads them.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let short = |_: Failed<'_>| FormatError::short("entry", Self::LEN, bytes.len());
        let (rest, (generation, psize, dsize, flags, _zeros)) =
            (be_u32, be_u16, be_u16, be_u8, take(5usize))
                .parse(bytes)
                .map_err(short)?;
        let (rest, (size_high, size_low)) = (be_u16, be_u32).parse(rest).map_err(short)?;
        let place = if flags & Self::LOCAL == 0 {
            Place::Venti(score(rest).map_err(short)?.1)
        } else {
            let (_, place) = local(rest).map_err(short)?;
            place.map_err(|zeros| {
                let expected = "zeros in the place of a local block";
                FormatError::new("entry", 20, expected, hex(zeros))
            })?
        };
        Ok(Entry {
            generation,
            psize,
            dsize,
            active: flags & Self::ACTIVE != 0,
            directory: flags & Self::DIRECTORY != 0,
            depth: flags >> Self::DEPTH_SHIFT & Self::DEPTH_MAX,
            big: flags & Self::BIG != 0,
            no_archive: flags & Self::NO_ARCHIVE != 0,
            size: u64::from(size_high) << 32 | u64::from(size_low),
            place,
        })
    }

    /// The entry as bytes.
    ///
    /// # Errors
    /// The size or the depth is more than fits.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        if self.size > Self::SIZE_MAX {
            let found = self.size.to_string();
            return Err(FormatError::new("entry", 14, "a size below 2^48", found));
        }
        if self.depth > Self::DEPTH_MAX {
            let found = self.depth.to_string();
            return Err(FormatError::new("entry", 8, "a depth of at most 7", found));
        }
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(self.psize.to_be_bytes());
        bytes.extend(self.dsize.to_be_bytes());
        bytes.push(self.flags());
        bytes.extend([0; 5]);
        bytes.extend(self.size.to_be_bytes().iter().skip(2));
        match self.place {
            Place::Venti(score) => bytes.extend(score.as_bytes()),
            Place::Local {
                archive,
                snap,
                tag,
                address,
            } => {
                bytes.extend([0; Self::LOCAL_ZEROS]);
                bytes.push(archive);
                bytes.extend(snap.to_be_bytes());
                bytes.extend(tag.to_be_bytes());
                bytes.extend(address.to_be_bytes());
            }
        }
        Ok(bytes)
    }

    fn flags(&self) -> u8 {
        let flag = |is: bool, bit| if is { bit } else { 0 };
        flag(self.active, Self::ACTIVE)
            | flag(self.directory, Self::DIRECTORY)
            | self.depth << Self::DEPTH_SHIFT
            | flag(matches!(self.place, Place::Local { .. }), Self::LOCAL)
            | flag(self.big, Self::BIG)
            | flag(self.no_archive, Self::NO_ARCHIVE)
    }
}

/// The place of a local block, or what stands where its zeros belong.
fn local(input: &[u8]) -> nom::IResult<&[u8], Result<Place, &[u8]>> {
    let (input, zeros) = take(Entry::LOCAL_ZEROS)(input)?;
    let (input, (archive, snap, tag, address)) = (be_u8, be_u32, be_u32, be_u32).parse(input)?;
    let place = Place::Local {
        archive,
        snap,
        tag,
        address,
    };
    let clean = zeros.iter().all(|&byte| byte == 0);
    Ok((input, if clean { Ok(place) } else { Err(zeros) }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Entry 1 of the root block of the golden partition `archived-8k`: a hint
    /// to the root before, of epoch 2.
    const HINT: [u8; 40] = [
        0, 0, 0, 0, 0, 0, 0, 0, 0x23, 0, 0, 0, 0, 0, // gen, sizes, flags
        0, 0, 0, 0, 0, 0, // size
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0x41,
    ];
    /// Root source 1 of the golden partition `formatted-8k`: on venti.
    const VENTI: [u8; 40] = [
        0, 0, 0, 0, 0x1f, 0xe0, 0x20, 0, 0x01, 0, 0, 0, 0, 0, // gen, sizes, flags
        0, 0, 0, 0, 0x20, 0, // size
        0x5a, 0xe2, 0xcd, 0x05, 0xb2, 0xe9, 0x52, 0x51, 0x16, 0xe9, 0xae, 0x26, 0x90, 0x19, 0x86,
        0xaf, 0xa7, 0x54, 0x1f, 0xe9,
    ];

    #[test]
    fn a_local_entry_goes_both_ways() {
        let entry = Entry::parse(&HINT).unwrap();
        let place = Place::Local {
            archive: 0,
            snap: 2,
            tag: 1,
            address: 65,
        };
        assert_eq!(entry.place, place);
        assert!(entry.active && entry.directory && !entry.big && !entry.no_archive);
        assert_eq!((entry.depth, entry.size), (0, 0));
        assert_eq!(entry.to_bytes().unwrap(), HINT);
    }

    #[test]
    fn an_entry_on_venti_goes_both_ways() {
        let entry = Entry::parse(&VENTI).unwrap();
        let score = "5ae2cd05b2e9525116e9ae26901986afa7541fe9".parse().unwrap();
        assert_eq!(
            entry,
            Entry {
                generation: 0,
                psize: 8160,
                dsize: 8192,
                active: true,
                directory: false,
                depth: 0,
                big: false,
                no_archive: false,
                size: 8192,
                place: Place::Venti(score),
            }
        );
        assert_eq!(entry.to_bytes().unwrap(), VENTI);
    }

    #[test]
    fn an_entry_of_vac_is_refused() {
        let mut bytes = VENTI;
        bytes[8] |= 0x20;
        let error = Entry::parse(&bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "entry: expected zeros in the place of a local block at 20, found 5ae2cd05b2e952"
        );
        assert!(Entry::parse(&VENTI[..39]).is_err());
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let entry = Entry::parse(&VENTI).unwrap();
        let size = Entry::SIZE_MAX;
        let bytes = Entry { size, ..entry }.to_bytes().unwrap();
        assert_eq!(bytes[14..20], [0xff; 6]);
        let size = size + 1;
        assert_eq!(Entry { size, ..entry }.to_bytes().unwrap_err().at, 14);
        assert_eq!(Entry { depth: 8, ..entry }.to_bytes().unwrap_err().at, 8);
    }

    proptest! {
        #[test]
        fn any_bytes_go_both_ways_or_are_refused(bytes: [u8; 40], local: bool) {
            let mut bytes = bytes;
            bytes[9..14].fill(0);
            if local {
                bytes[20..27].fill(0);
            }
            match Entry::parse(&bytes) {
                Ok(entry) => prop_assert_eq!(entry.to_bytes().unwrap(), bytes),
                Err(_) => prop_assert!(!local && bytes[8] & 0x20 != 0),
            }
        }

        #[test]
        fn any_length_is_read_or_refused(bytes: Vec<u8>) {
            let _ = Entry::parse(&bytes);
        }
    }
}
