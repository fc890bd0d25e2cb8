//! A Plan 9 disk: the MBR in sector 0 names the slice, the slice's second
//! sector has a table of its partitions as text.
//!
//! ```text
//! part 9fat 63 204863
//! part fossil 204863 33759295
//! ```
//!
//! The numbers are sectors from the start of the slice: the first one, and
//! one past the last.

use std::fmt;

use nom::bytes::complete::take;
use nom::multi::count;
use nom::number::complete::{le_u8, le_u32};
use nom::{IResult, Parser};

use crate::wrcmd::number;

/// Bytes in a sector.
pub(super) const SECTOR_LEN: usize = 512;
/// Bytes in a sector.
pub(crate) const SECTOR: u64 = SECTOR_LEN as u64;

/// Bytes of boot code before the four slices of an MBR.
const CODE_LEN: usize = SECTOR_LEN - 4 * MBR_ENTRY_LEN - SIGNATURE.len();
const MBR_ENTRY_LEN: usize = 1 + 3 + 1 + 3 + 4 + 4;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// The type of a Plan 9 slice.
const PLAN9: u8 = 0x39;

/// The part of a disk that Plan 9 has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where it starts on the disk.
    pub start: u64,
    /// Its length.
    pub len: u64,
}

/// One of the four records of an MBR.
struct MbrEntry {
    kind: u8,
    start: u32,
    sectors: u32,
}

fn mbr_entry(input: &[u8]) -> IResult<&[u8], MbrEntry> {
    let (input, _active) = le_u8(input)?;
    let (input, _first) = take(3usize)(input)?;
    let (input, kind) = le_u8(input)?;
    let (input, _last) = take(3usize)(input)?;
    let (input, start) = le_u32(input)?;
    let (input, sectors) = le_u32(input)?;
    let entry = MbrEntry {
        kind,
        start,
        sectors,
    };
    Ok((input, entry))
}

fn mbr(input: &[u8]) -> IResult<&[u8], (Vec<MbrEntry>, &[u8])> {
    let (input, _code) = take(CODE_LEN)(input)?;
    (count(mbr_entry, 4), take(SIGNATURE.len())).parse(input)
}

impl Slice {
    /// The first slice of type 0x39 in a disk's first sector. Nothing else
    /// is followed: no extended slice, no GPT.
    ///
    /// # Errors
    /// [`DiskError::NoMbr`], [`DiskError::NoSlice`].
    pub fn of_mbr(sector: &[u8; SECTOR_LEN]) -> Result<Self, DiskError> {
        let (_, (entries, signature)) = mbr(sector).map_err(|_| DiskError::NoMbr)?;
        if signature != SIGNATURE {
            return Err(DiskError::NoMbr);
        }
        let plan9 = entries.iter().find(|entry| entry.kind == PLAN9);
        let entry = plan9.ok_or_else(|| {
            let kinds = entries.iter().map(|entry| entry.kind);
            DiskError::NoSlice(kinds.filter(|&kind| kind != 0).collect())
        })?;
        Ok(Slice {
            start: u64::from(entry.start) * SECTOR,
            len: u64::from(entry.sectors) * SECTOR,
        })
    }

    /// Where on the disk an entry starts, and one past its end, in bytes.
    pub(super) fn bytes_of(&self, entry: &Entry) -> Result<(u64, u64), DiskError> {
        let byte = |sector: u64| sector.checked_mul(SECTOR)?.checked_add(self.start);
        let both = byte(entry.start).zip(byte(entry.end));
        both.ok_or_else(|| DiskError::Outside {
            what: format!("partition {entry}"),
            len: self.len,
        })
    }
}

/// One partition of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its first sector, from the start of the slice.
    pub start: u64,
    /// One past its last sector.
    pub end: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.start, self.end)
    }
}

/// The partitions of a slice, in the order of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table(Vec<Entry>);

impl Table {
    /// Reads the second sector of a slice of so many sectors. The text ends
    /// at a zero byte or with the sector.
    ///
    /// # Errors
    /// [`DiskError::NoTable`], or [`DiskError::Line`] for a line that is no
    /// partition inside the slice, or has the name of an earlier one.
    pub fn parse(sector: &[u8; SECTOR_LEN], sectors: u64) -> Result<Self, DiskError> {
        let text = sector.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut table = Table(Vec::new());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            // Where the sector is full, an end of line that is missing is in
            // no sector: the last number may be cut.
            let whole = line.ends_with(b"\n") || text.len() < SECTOR_LEN;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match entry(line).filter(|entry| whole && table.admits(entry, sectors)) {
                Some(entry) => table.0.push(entry),
                None => return Err(table.refuse(line, sectors)),
            }
        }
        if table.0.is_empty() {
            return Err(DiskError::NoTable);
        }
        Ok(table)
    }

    /// The entry of this name.
    ///
    /// # Errors
    /// [`DiskError::NoSuch`] has the names there are.
    pub fn find(&self, name: &str) -> Result<&Entry, DiskError> {
        let entry = self.0.iter().find(|entry| entry.name == name);
        entry.ok_or_else(|| DiskError::NoSuch {
            name: name.to_owned(),
            found: self.names(),
        })
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|entry| entry.name.clone()).collect()
    }

    fn admits(&self, entry: &Entry, sectors: u64) -> bool {
        let inside = entry.start < entry.end && entry.end <= sectors;
        inside && self.find(&entry.name).is_err()
    }

    /// The error for a line after those of this table.
    fn refuse(&self, line: &[u8], sectors: u64) -> DiskError {
        if self.0.is_empty() && !line.starts_with(b"part ") {
            return DiskError::NoTable;
        }
        DiskError::Line {
            line: String::from_utf8_lossy(line).into_owned(),
            sectors,
            found: self.names(),
        }
    }
}

impl fmt::Display for Table {
    /// The text that is in the sector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|entry| writeln!(f, "part {entry}"))
    }
}

/// `part NAME START END`.
fn entry(line: &[u8]) -> Option<Entry> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (part, name, start, end) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if part != "part" || words.next().is_some() {
        return None;
    }
    Some(Entry {
        name: name.to_owned(),
        start: number(start).ok()?,
        end: number(end).ok()?,
    })
}

/// Why a partition was not found on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The first sector does not end with 0x55 0xaa.
    NoMbr,
    /// No slice of type 0x39; the types there are.
    NoSlice(Vec<u8>),
    /// The slice's second sector has no table.
    NoTable,
    /// A line of the table that cannot be.
    Line {
        /// The line.
        line: String,
        /// The sectors in the slice.
        sectors: u64,
        /// The partitions before it.
        found: Vec<String>,
    },
    /// No partition of that name.
    NoSuch {
        /// The name asked for.
        name: String,
        /// The partitions there are.
        found: Vec<String>,
    },
    /// Something past the end of the disk.
    Outside {
        /// What it is.
        what: String,
        /// The length of the disk in bytes.
        len: u64,
    },
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMbr => f.write_str(
                "expected a disk with an mbr, found no 0x55aa at the end of sector 0: give a range LO-HI",
            ),
            Self::NoSlice(kinds) => {
                f.write_str("expected a plan 9 slice, type 0x39, in the mbr, found")?;
                if kinds.is_empty() {
                    f.write_str(" no slice")?;
                }
                kinds.iter().try_for_each(|kind| write!(f, " {kind:#04x}"))
            }
            Self::NoTable => f.write_str(
                "expected lines `part NAME START END` in the second sector of the plan 9 slice, found none",
            ),
            Self::Line {
                line,
                sectors,
                found,
            } => {
                write!(
                    f,
                    "expected `part NAME START END` with a new name in 0-{sectors}, found {line:?}; partitions before it:"
                )?;
                list(f, found)
            }
            Self::NoSuch { name, found } => {
                write!(f, "expected a partition {name:?}, found")?;
                list(f, found)
            }
            Self::Outside { what, len } => {
                write!(f, "expected {} inside the disk of {len} bytes", what.escape_debug())
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        f.write_str(" none")?;
    }
    names
        .iter()
        .try_for_each(|name| write!(f, " {}", name.escape_debug()))
}

impl std::error::Error for DiskError {}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slice table of a disk with a FAT slice and two Plan 9 slices.
    const SLICES: [u8; 4 * MBR_ENTRY_LEN] = [
        0x00, 0x01, 0x01, 0x00, 0x0c, 0xfe, 0xff, 0xff, 0x3f, 0x00, 0x00, 0x00, 0xc1, 0x3e, 0x00,
        0x00, // 0x0c: 63, 16065
        0x80, 0x00, 0x01, 0x01, 0x39, 0xfe, 0xff, 0xff, 0x00, 0x3f, 0x00, 0x00, 0x00, 0x10, 0x20,
        0xf0, // 0x39: 16128, 4028633088
        0x00, 0x00, 0x01, 0x01, 0x39, 0xfe, 0xff, 0xff, 0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00,
        0x00, // 0x39: 1, 2
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00,
    ];
    const TABLE: &str =
        "part 9fat 2 204802\npart nvram 204802 204803\npart fossil 204803 9999999\n";

    pub(in super::super) fn mbr_with(slices: &[u8]) -> [u8; SECTOR_LEN] {
        let mut sector = [0; SECTOR_LEN];
        sector[CODE_LEN..][..slices.len()].copy_from_slice(slices);
        sector[SECTOR_LEN - 2..].copy_from_slice(&SIGNATURE);
        sector
    }

    pub(in super::super) fn table_with(text: &str) -> [u8; SECTOR_LEN] {
        let mut sector = [0; SECTOR_LEN];
        sector[..text.len()].copy_from_slice(text.as_bytes());
        sector
    }

    fn refused(text: &str) -> String {
        Table::parse(&table_with(text), 1000)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_first_plan_9_slice_of_an_mbr() {
        let slice = Slice::of_mbr(&mbr_with(&SLICES)).unwrap();
        assert_eq!(slice.start, 16_128 * 512);
        assert_eq!(slice.len, 4_028_633_088 * 512);
        let mut sector = mbr_with(&SLICES);
        sector[511] = 0;
        assert_eq!(Slice::of_mbr(&sector), Err(DiskError::NoMbr));
        let error = Slice::of_mbr(&mbr_with(&SLICES[..16])).unwrap_err();
        assert_eq!(error, DiskError::NoSlice(vec![0x0c]));
        assert!(error.to_string().ends_with("in the mbr, found 0x0c"));
        let error = Slice::of_mbr(&mbr_with(&[])).unwrap_err().to_string();
        assert!(error.ends_with("found no slice"), "{error}");
    }

    #[test]
    fn a_table_goes_both_ways() {
        let table = Table::parse(&table_with(TABLE), 10_000_000).unwrap();
        assert_eq!(table.to_string(), TABLE);
        let fossil = table.find("fossil").unwrap();
        assert_eq!((fossil.start, fossil.end), (204_803, 9_999_999));
        let slice = Slice {
            start: 1 << 20,
            len: 10_000_000 * 512,
        };
        let bytes = ((1 << 20) + 204_803 * 512, (1 << 20) + 9_999_999 * 512);
        assert_eq!(slice.bytes_of(fossil), Ok(bytes));
        assert_eq!(
            table.find("arenas").unwrap_err().to_string(),
            "expected a partition \"arenas\", found 9fat nvram fossil"
        );
    }

    #[test]
    fn a_line_that_cannot_be_is_refused_with_those_before_it() {
        for line in [
            "part b 5 5",
            "part b 6 5",
            "part b 1 1001",
            "part a 3 4",
            "part b 1",
            "part b 1 2 3",
            "part b x 2",
            "part b 1 18446744073709551616",
            "port b 1 2",
            "part",
            "\x01",
        ] {
            let error = refused(&format!("part a 1 1000\n{line}\npart c 1 2\n"));
            assert!(
                error.contains("0-1000") && error.ends_with(" before it: a"),
                "{error}"
            );
            assert!(!error.contains('\n') && !error.contains('\x01'), "{error}");
        }
        let odd = Table::parse(&table_with("part \u{1}\u{7f} 1 2\n"), 9).unwrap();
        let error = odd.find("a").unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error}");
        assert!(refused("part a 0 0\n").ends_with("before it: none"));
        for text in ["", "\n", "\u{1}\n", "hello\n"] {
            assert_eq!(
                Table::parse(&table_with(text), 1000),
                Err(DiskError::NoTable)
            );
        }
        let mut sector = table_with("part a 1 2\n");
        sector[5] = 0xff;
        assert!(Table::parse(&sector, 1000).is_err());
    }

    #[test]
    fn the_text_ends_at_a_zero_byte_and_must_not_be_cut() {
        let sector = table_with("part a 1 2\n\npart b 2 3\0\npart c 4 5\n");
        let table = Table::parse(&sector, 1000).unwrap();
        assert_eq!(table.to_string(), "part a 1 2\npart b 2 3\n");
        let last = "part a 1 2";
        let cut = " ".repeat(SECTOR_LEN - 1 - last.len()) + "\n" + last;
        assert!(refused(&cut).contains("found \"part a 1 2\""));
        let full = " ".repeat(SECTOR_LEN - 2 - last.len()) + "\n" + last + "\n";
        assert!(Table::parse(&table_with(&full), 1000).is_ok());
    }

    proptest! {
        #[test]
        fn any_sector_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), SECTOR_LEN), signed: bool, kind: bool) {
            let mut sector: [u8; SECTOR_LEN] = bytes.try_into().unwrap();
            if signed {
                sector[SECTOR_LEN - 2..].copy_from_slice(&SIGNATURE);
            }
            if kind {
                sector[CODE_LEN + 4] = PLAN9;
            }
            let slice = Slice::of_mbr(&sector);
            prop_assert!(signed || slice.is_err());
            prop_assert!(!(signed && kind) || slice.is_ok());
            prop_assert!(Table::parse(&sector, u64::MAX).is_err());
        }

        #[test]
        fn any_table_goes_both_ways(
            parts in prop::collection::btree_map("[a-z0-9.]{1,8}", (0u64..1000, 1u64..1000), 1..10),
            extra in "[ 0-9a-z\n]{0,30}",
        ) {
            let entries = parts.into_iter().map(|(name, (start, len))| Entry { name, start, end: start + len });
            let table = Table(entries.collect());
            let text = table.to_string();
            prop_assert_eq!(Table::parse(&table_with(&text), 2000), Ok(table));
            if let Err(e) = Table::parse(&table_with(&(text + &extra)), 2000) {
                prop_assert!(!e.to_string().contains('\n'));
            }
        }

        #[test]
        fn any_entry_is_placed_or_refused(start: u64, end: u64, at: u64) {
            let slice = Slice { start: at, len: u64::MAX };
            let entry = Entry { name: "x".to_owned(), start, end };
            if let Ok((lo, hi)) = slice.bytes_of(&entry) {
                prop_assert_eq!(u128::from(lo), u128::from(start) * 512 + u128::from(at));
                prop_assert_eq!(u128::from(hi), u128::from(end) * 512 + u128::from(at));
            }
        }
    }
}
