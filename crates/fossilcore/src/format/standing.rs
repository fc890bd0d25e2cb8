//! What a partition holds before it is formatted.

use std::fmt;
use std::io;

use venticore::codec::score::Score;
use venticore::source::ReadAt;

use super::{are_zeros, bytes_at, chunks};
use crate::disk::{Header, SuperBlock};
use crate::last::{self, Last};

/// How much of a partition without a fossil must be zeros to be taken for an
/// empty one: where other file systems, disk labels and ventis have their
/// headers.
const LOOKED_AT: u64 = 1 << 20;

/// The room for the configuration of a fossil, which may be there before the
/// file system is.
const CONFIG: std::ops::Range<u64> = 127 * 1024..128 * 1024;

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A fossil that a server could open.
    Whole(Box<Whole>),
    /// A fossil whose super block was made invalid: a format was begun and did
    /// not end. The score that still stands there, if one does.
    Unfinished(Option<Score>),
    /// A header of a fossil that cannot be opened.
    Damaged {
        /// Why not.
        why: String,
        /// Its super block, and where that is, if there is one.
        superblock: Option<(u64, SuperBlock)>,
    },
    /// Nothing.
    Empty,
    /// Other bytes, and where they begin.
    Other {
        /// What it looks like, if that is known.
        name: Option<&'static str>,
        /// The first byte that is not zero.
        at: u64,
    },
}

/// What a whole fossil says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Where everything is.
    pub header: Header,
    /// The super block.
    pub superblock: SuperBlock,
}

impl Standing {
    /// Looks at a partition.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(disk: &dyn ReadAt) -> io::Result<Self> {
        match Last::read(disk) {
            Ok(Last { header, superblock }) => {
                return Ok(Self::Whole(Box::new(Whole { header, superblock })));
            }
            Err(last::LastError::Read(error)) => return Err(error),
            Err(last::LastError::Unfinished { last, .. }) => {
                return Ok(Self::Unfinished(Some(last).filter(|last| !last.is_nil())));
            }
            Err(error) => {
                if let Some(header) = header(disk)? {
                    return Ok(Self::Damaged {
                        why: error.to_string(),
                        superblock: superblock(disk, &header),
                    });
                }
            }
        }
        other(disk)
    }

    /// The score of the last archive, where one stands there.
    #[must_use]
    pub fn last(&self) -> Option<Score> {
        let last = match self {
            Self::Whole(whole) => Some(whole.superblock.last),
            Self::Unfinished(last) => *last,
            Self::Damaged { superblock, .. } => superblock.as_ref().map(|(_, s)| s.last),
            Self::Empty | Self::Other { .. } => None,
        };
        last.filter(|last| !last.is_nil())
    }

    /// Where a super block is that makes it a fossil, or may while labels are
    /// written.
    #[must_use]
    pub fn superblock_at(&self) -> Option<u64> {
        match self {
            Self::Whole(whole) => Some(whole.header.superblock_at()),
            Self::Damaged { superblock, .. } => superblock.as_ref().map(|(at, _)| *at),
            _ => None,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(_) => f.write_str("a fossil"),
            Self::Unfinished(_) => f.write_str("a fossil whose format was not finished"),
            Self::Damaged { why, .. } => write!(f, "a damaged fossil ({why})"),
            Self::Empty => f.write_str("nothing"),
            Self::Other { name, at } => {
                let name = name.unwrap_or("something that is not a fossil");
                write!(f, "{name} (not zero at {at})")
            }
        }
    }
}

/// The header, if it has the mark of one.
fn header(disk: &dyn ReadAt) -> io::Result<Option<Header>> {
    if disk.size() < Header::AT + Header::LEN as u64 {
        return Ok(None);
    }
    let bytes = bytes_at(disk, Header::AT, Header::LEN)?;
    Ok(Header::parse(&bytes).ok())
}

/// The super block, and where it is, if it is one by itself.
fn superblock(disk: &dyn ReadAt, header: &Header) -> Option<(u64, SuperBlock)> {
    let at = header.superblock_at();
    let bytes = bytes_at(disk, at, SuperBlock::LEN).ok()?;
    Some((at, SuperBlock::parse(&bytes).ok()?))
}

/// A magic number: where, its bytes, and whose it is.
const KNOWN: &[(u64, &[u8], &str)] = &[
    (0x438, &[0x53, 0xef], "an ext file system"),
    (0, b"XFSB", "an XFS file system"),
    (0x1_0040, b"_BHRfS_M", "a Btrfs file system"),
    (0xff6, b"SWAPSPACE2", "swap space"),
    (0, b"LUKS\xba\xbe", "an encrypted volume"),
    (0x200, b"LABELONE", "a volume of LVM"),
    (0x218, b"LVM2", "a volume of LVM"),
    (3, b"NTFS", "an NTFS file system"),
    (0x36, b"FAT", "a FAT file system"),
    (0x52, b"FAT32", "a FAT file system"),
    (0x8001, b"CD001", "an ISO 9660 file system"),
    (0x200, b"EFI PART", "a disk with a partition table"),
    (
        256 << 10,
        &[0xa9, 0xe4, 0xa5, 0xe7],
        "the arenas of a venti",
    ),
    (256 << 10, &[0xd1, 0x5c, 0x5e, 0xc7], "the index of a venti"),
    (
        256 << 10,
        &[0xb1, 0x00, 0x4e, 0xad],
        "the Bloom filter of a venti",
    ),
    (0x1fe, &[0x55, 0xaa], "a disk with boot code"),
];

/// What a partition without a fossil holds.
fn other(disk: &dyn ReadAt) -> io::Result<Standing> {
    let len = disk.size().min(LOOKED_AT);
    for &(at, magic, name) in KNOWN {
        if at + magic.len() as u64 <= len && bytes_at(disk, at, magic.len())? == magic {
            return Ok(Standing::Other {
                name: Some(name),
                at,
            });
        }
    }
    for (at, count) in chunks(0, len) {
        let bytes = bytes_at(disk, at, count)?;
        if are_zeros(&bytes) {
            continue;
        }
        let places = (at..).zip(&bytes);
        let mut used = places.filter(|(at, byte)| **byte != 0 && !CONFIG.contains(at));
        if let Some((at, _)) = used.next() {
            return Ok(Standing::Other { name: None, at });
        }
    }
    Ok(Standing::Empty)
}
