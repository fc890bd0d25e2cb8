//! Directory entries (fossil.md 1.7): name, owners, times and mode of a file.

use std::fmt;

use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::{IResult, Parser};

use super::{EndsEarly, FormatError};

/// A directory entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name in its directory: any bytes, at most 65535.
    pub elem: Vec<u8>,
    /// Which entry of the directory's source has the file's blocks.
    pub entry: u32,
    /// The generation of that entry.
    pub generation: u32,
    /// For a directory: which entry has its metadata.
    pub meta_entry: u32,
    /// The generation of that entry.
    pub meta_generation: u32,
    /// What identifies the file.
    pub qid: u64,
    /// Its owner.
    pub uid: Vec<u8>,
    /// Its group.
    pub gid: Vec<u8>,
    /// Who changed it last.
    pub mid: Vec<u8>,
    /// Unix time of the last change of its contents.
    pub mtime: u32,
    /// Counts changes.
    pub mcount: u32,
    /// Unix time of the last change of anything.
    pub ctime: u32,
    /// Unix time of the last access.
    pub atime: u32,
    /// Permissions and the bits named here.
    pub mode: u32,
    /// On the root of an archive: the qids it uses.
    pub qid_space: Option<QidSpace>,
}

/// The qids that an archive uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QidSpace {
    /// Added to each qid.
    pub offset: u64,
    /// One past the highest.
    pub max: u64,
}

impl DirEntry {
    /// The first four bytes.
    pub const MAGIC: u32 = 0x1c4d_9072;
    /// The version that is written. 7 and 8, which old archives have, are read.
    pub const VERSION: u16 = 9;
    /// Mode: what is written goes to the end.
    pub const APPEND: u32 = 0x1000;
    /// Mode: one process at a time.
    pub const EXCLUSIVE: u32 = 0x2000;
    /// Mode of vac(1) on Unix: a symbolic link, whose contents are its target.
    pub const LINK: u32 = 0x4000;
    /// Mode of vac(1) on Unix: a device.
    pub const DEVICE: u32 = 0x20_0000;
    /// Mode of vac(1) on Unix: a named pipe.
    pub const PIPE: u32 = 0x40_0000;
    /// Mode: a directory.
    pub const DIRECTORY: u32 = 0x8000;
    /// Mode: the root of a snapshot.
    pub const SNAPSHOT: u32 = 0x10_0000;
    /// The option that has the qid space.
    const QID_SPACE: u8 = 3;
    /// Bytes of that option.
    const QID_SPACE_LEN: u16 = 8 + 8;

    /// Reads an entry, which must take all the bytes. Options that are not
    /// known are passed over, and are lost.
    ///
    /// # Errors
    /// A wrong magic or version; something is cut short; an option of the
    /// wrong length, or twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let cut = |_: EndsEarly<'_>| bad(bytes.len(), "more bytes", &bytes.len());
        let (rest, (magic, version)) = (be_u32, be_u16).parse(bytes).map_err(cut)?;
        if magic != Self::MAGIC {
            return Err(FormatError::magic("directory entry", Self::MAGIC, magic));
        }
        if !(7..=Self::VERSION).contains(&version) {
            return Err(bad(4, "version 7, 8 or 9", &version));
        }
        let (mut rest, mut entry) = fields(rest, version).map_err(cut)?;
        while !rest.is_empty() {
            let at = bytes.len().saturating_sub(rest.len());
            let (after, (kind, option)) = (be_u8, length_data(be_u16)).parse(rest).map_err(cut)?;
            if kind == Self::QID_SPACE {
                entry.set_qid_space(option, at)?;
            }
            rest = after;
        }
        Ok(entry)
    }

    fn set_qid_space(&mut self, option: &[u8], at: usize) -> Result<(), FormatError> {
        if self.qid_space.is_some() {
            return Err(bad(at, "one qid space", &"another"));
        }
        let wrong = |_: EndsEarly<'_>| bad(at, "a qid space of 16 bytes", &option.len());
        let (rest, (offset, max)) = (be_u64, be_u64).parse(option).map_err(wrong)?;
        if !rest.is_empty() {
            return Err(bad(at, "a qid space of 16 bytes", &option.len()));
        }
        self.qid_space = Some(QidSpace { offset, max });
        Ok(())
    }

    /// The entry as bytes, in version 9.
    ///
    /// # Errors
    /// A name is longer than 65535 bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        bytes.extend(Self::MAGIC.to_be_bytes());
        bytes.extend(Self::VERSION.to_be_bytes());
        put_string(&mut bytes, &self.elem)?;
        for number in [
            self.entry,
            self.generation,
            self.meta_entry,
            self.meta_generation,
        ] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.qid.to_be_bytes());
        for name in [&self.uid, &self.gid, &self.mid] {
            put_string(&mut bytes, name)?;
        }
        for number in [self.mtime, self.mcount, self.ctime, self.atime, self.mode] {
            bytes.extend(number.to_be_bytes());
        }
        if let Some(space) = self.qid_space {
            bytes.push(Self::QID_SPACE);
            bytes.extend(Self::QID_SPACE_LEN.to_be_bytes());
            bytes.extend(space.offset.to_be_bytes());
            bytes.extend(space.max.to_be_bytes());
        }
        Ok(bytes)
    }
}

/// Everything between the version and the options.
fn fields(input: &[u8], version: u16) -> IResult<&[u8], DirEntry> {
    let (input, (elem, entry)) = (string, be_u32).parse(input)?;
    let (input, (generation, meta_entry, meta_generation)) = match version {
        DirEntry::VERSION => (be_u32, be_u32, be_u32).parse(input)?,
        _ => (input, (0, entry.wrapping_add(1), 0)),
    };
    let (input, qid) = be_u64(input)?;
    let (input, _skipped) = take(if version == 7 { 20usize } else { 0 })(input)?;
    let (input, (uid, gid, mid)) = (string, string, string).parse(input)?;
    let (input, (mtime, mcount, ctime, atime, mode)) =
        (be_u32, be_u32, be_u32, be_u32, be_u32).parse(input)?;
    let entry = DirEntry {
        elem,
        entry,
        generation,
        meta_entry,
        meta_generation,
        qid,
        uid,
        gid,
        mid,
        mtime,
        mcount,
        ctime,
        atime,
        mode,
        qid_space: None,
    };
    Ok((input, entry))
}

/// A string: its length in 16 bits, then its bytes.
fn string(input: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let (input, bytes) = length_data(be_u16).parse(input)?;
    Ok((input, bytes.to_vec()))
}

fn put_string(bytes: &mut Vec<u8>, text: &[u8]) -> Result<(), FormatError> {
    let len = u16::try_from(text.len());
    let len = len.map_err(|_| bad(bytes.len(), "a name of at most 65535 bytes", &text.len()))?;
    bytes.extend(len.to_be_bytes());
    bytes.extend(text);
    Ok(())
}

fn bad(at: usize, expected: &str, found: &dyn fmt::Display) -> FormatError {
    FormatError::new("directory entry", at, expected, found.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `/archive` of the golden partition `archived-8k`.
    const ARCHIVE: [u8; 74] = [
        0x1c, 0x4d, 0x90, 0x72, 0, 9, 0, 7, b'a', b'r', b'c', b'h', b'i', b'v', b'e', 0, 0, 0, 2,
        0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 3, b'a', b'd', b'm', 0, 3,
        b'a', b'd', b'm', 0, 3, b'a', b'd', b'm', 0x6b, 0x02, 0x5c, 0x71, 0, 0, 0, 1, 0x6b, 0x02,
        0x5c, 0x6f, 0x6b, 0x02, 0x5c, 0x7c, 0, 0, 0x81, 0x6d,
    ];

    fn archive() -> DirEntry {
        DirEntry::parse(&ARCHIVE).unwrap()
    }

    #[test]
    fn an_entry_goes_both_ways() {
        let entry = archive();
        assert_eq!(entry.elem, b"archive");
        assert_eq!((entry.entry, entry.meta_entry, entry.qid), (2, 3, 3));
        assert_eq!(
            (&entry.uid, &entry.gid, &entry.mid),
            (&b"adm".to_vec(), &b"adm".to_vec(), &b"adm".to_vec())
        );
        assert_eq!((entry.mtime, entry.mcount), (1_795_316_849, 1));
        assert_eq!((entry.ctime, entry.atime), (1_795_316_847, 1_795_316_860));
        assert_eq!(entry.mode, DirEntry::DIRECTORY | 0o555);
        assert_eq!(entry.qid_space, None);
        assert_eq!(entry.to_bytes().unwrap(), ARCHIVE);
    }

    /// The entry with this behind it.
    fn with(options: &[u8]) -> Vec<u8> {
        [&ARCHIVE, options].concat()
    }

    #[test]
    fn a_qid_space_goes_both_ways_and_other_options_are_passed_over() {
        let space = [3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25];
        let entry = DirEntry::parse(&with(&space)).unwrap();
        assert_eq!(entry.qid_space, Some(QidSpace { offset: 0, max: 25 }));
        assert_eq!(entry.to_bytes().unwrap(), with(&space));
        let other = [&[9, 0, 2, 1, 2][..], &space, &[1, 0, 0]].concat();
        assert_eq!(DirEntry::parse(&with(&other)), Ok(entry));
        let twice = [space, space].concat();
        assert_eq!(
            DirEntry::parse(&with(&twice)).unwrap_err().at,
            Some(74 + 19)
        );
        for wrong in [&[3, 0, 15][..], &[3, 0, 17], &[9, 0], &[9]] {
            let mut options = wrong.to_vec();
            if wrong.len() == 3 {
                options.resize(3 + usize::from(wrong[2]), 0);
            }
            assert!(DirEntry::parse(&with(&options)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn old_versions_are_read() {
        let mut eight = ARCHIVE.to_vec();
        eight[5] = 8;
        eight.drain(19..31);
        assert_eq!(DirEntry::parse(&eight), Ok(archive()));
        let mut seven = eight;
        seven[5] = 7;
        seven.splice(27..27, [0x5a; 20]);
        assert_eq!(DirEntry::parse(&seven), Ok(archive()));
    }

    #[test]
    fn an_entry_that_cannot_be_is_refused() {
        for cut in 0..ARCHIVE.len() {
            assert!(DirEntry::parse(&ARCHIVE[..cut]).is_err(), "{cut}");
        }
        for (at, byte) in [(0, 0), (5, 6), (5, 10), (6, 1), (40, 0xff)] {
            let mut bytes = ARCHIVE;
            bytes[at] = byte;
            assert!(DirEntry::parse(&bytes).is_err(), "{at}");
        }
        let long = DirEntry {
            gid: vec![0; 65536],
            ..archive()
        };
        assert!(long.to_bytes().is_err());
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..40)
    }

    proptest! {
        #[test]
        fn any_entry_goes_both_ways(
            names in (name(), name(), name(), name()), n: [u32; 9], qid: u64,
            space in prop::option::of(any::<(u64, u64)>()),
        ) {
            let (elem, uid, gid, mid) = names;
            let entry = DirEntry {
                elem, entry: n[0], generation: n[1], meta_entry: n[2], meta_generation: n[3], qid,
                uid, gid, mid, mtime: n[4], mcount: n[5], ctime: n[6], atime: n[7], mode: n[8],
                qid_space: space.map(|(offset, max)| QidSpace { offset, max }),
            };
            prop_assert_eq!(DirEntry::parse(&entry.to_bytes().unwrap()), Ok(entry));
        }

        #[test]
        fn any_bytes_are_read_or_refused(at in 0usize..74, bytes in prop::collection::vec(any::<u8>(), 0..60), version in 7u8..10) {
            let mut whole = ARCHIVE;
            whole[5] = version;
            let mut mixed = whole[..at].to_vec();
            mixed.extend(bytes);
            if let Ok(entry) = DirEntry::parse(&mixed) {
                prop_assert_eq!(DirEntry::parse(&entry.to_bytes().unwrap()), Ok(entry));
            }
        }
    }
}
