//! A Plan 9 disk: the MBR in sector 0 names the slices, a slice's second
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

use crate::codec::wrcmd::number;

/// Bytes in a sector.
pub(crate) const SECTOR_LEN: usize = 512;
/// Bytes in a sector.
pub(crate) const SECTOR: u64 = SECTOR_LEN as u64;

/// Bytes of boot code before the four slices of an MBR.
const CODE_LEN: usize = SECTOR_LEN - 4 * MBR_ENTRY_LEN - SIGNATURE.len();
const MBR_ENTRY_LEN: usize = 1 + 3 + 1 + 3 + 4 + 4;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// The type of a Plan 9 slice.
const PLAN9: u8 = 0x39;
/// The type of the one slice in the MBR of a disk that has a GPT.
const GPT: u8 = 0xee;

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
    /// The slices of type 0x39 in a disk's first sector, in its order. No
    /// extended slice and no GPT is followed.
    ///
    /// # Errors
    /// [`DiskError::NoMbr`], or there is none: [`DiskError::Gpt`], [`DiskError::NoSlice`].
    pub fn of_mbr(sector: &[u8; SECTOR_LEN]) -> Result<Vec<Self>, DiskError> {
        let (_, (entries, signature)) = mbr(sector).map_err(|_| DiskError::NoMbr)?;
        if signature != SIGNATURE {
            return Err(DiskError::NoMbr);
        }
        let plan9 = entries.iter().filter(|entry| entry.kind == PLAN9);
        let slices: Vec<_> = plan9.map(Slice::of_entry).collect();
        if !slices.is_empty() {
            return Ok(slices);
        }
        let kinds = entries.iter().map(|entry| entry.kind);
        let kinds: Vec<_> = kinds.filter(|&kind| kind != 0).collect();
        Err(match kinds.contains(&GPT) {
            true => DiskError::Gpt,
            false => DiskError::NoSlice(kinds),
        })
    }

    fn of_entry(entry: &MbrEntry) -> Self {
        Slice {
            start: u64::from(entry.start) * SECTOR,
            len: u64::from(entry.sectors) * SECTOR,
        }
    }

    /// Where an entry starts on a disk of `disk` bytes, and one past its end, in
    /// bytes. With `cut`, the part of it that is there; without, all of it has to be.
    pub(crate) fn bytes_of(
        &self,
        entry: &SlicePartition,
        disk: u64,
        cut: bool,
    ) -> Result<(u64, u64), DiskError> {
        let byte = |sector: u64| sector.checked_mul(SECTOR)?.checked_add(self.start);
        let end = self.start.saturating_add(self.len).min(disk);
        let both = byte(entry.start).zip(byte(entry.end));
        let there = both.map(|(lo, hi)| (lo, if cut { hi.min(end) } else { hi }));
        let there = there.filter(|&(lo, hi)| lo < hi && hi <= end && entry.start < entry.end);
        there.ok_or_else(|| DiskError::Outside {
            what: format!("partition {entry} (in sectors)"),
            within: "slice",
            len: end.saturating_sub(self.start),
        })
    }
}

/// One partition of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePartition {
    /// Its name.
    pub name: String,
    /// Its first sector, from the start of the slice.
    pub start: u64,
    /// One past its last sector.
    pub end: u64,
}

impl fmt::Display for SlicePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.start, self.end)
    }
}

/// The partitions of a slice, in the order of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    entries: Vec<SlicePartition>,
    /// The line that ended the table, since it is not one of a partition.
    bad: Option<String>,
}

impl Table {
    /// Reads the second sector of a slice. The text ends at a zero byte, with
    /// the sector, or before a line that is not `part NAME START END`: as
    /// plan9port's venti does it, such a line keeps nobody from those before it.
    ///
    /// # Errors
    /// [`DiskError::NoTable`]: it does not begin with such a line.
    pub fn parse(sector: &[u8; SECTOR_LEN]) -> Result<Self, DiskError> {
        let text = sector.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut table = Table {
            entries: Vec::new(),
            bad: None,
        };
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            // Where the sector is full, an end of line that is missing is in
            // no sector: the last number may be cut.
            let whole = line.ends_with(b"\n") || text.len() < SECTOR_LEN;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match entry(line).filter(|_| whole) {
                Some(entry) => table.entries.push(entry),
                None => {
                    table.bad = Some(String::from_utf8_lossy(line).into_owned());
                    break;
                }
            }
        }
        let has_lines = !table.entries.is_empty() || text.starts_with(b"part ");
        has_lines.then_some(table).ok_or(DiskError::NoTable)
    }

    /// The first entry of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&SlicePartition> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> &[SlicePartition] {
        &self.entries
    }
}

impl fmt::Display for Table {
    /// The text that is in the sector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = self.entries.iter();
        entries.try_for_each(|entry| writeln!(f, "part {entry}"))
    }
}

/// `part NAME START END`.
fn entry(line: &[u8]) -> Option<SlicePartition> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (part, name, start, end) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if part != "part" || words.next().is_some() {
        return None;
    }
    Some(SlicePartition {
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
    /// A disk with a GPT and no slice of type 0x39.
    Gpt,
    /// No slice of type 0x39; the types there are.
    NoSlice(Vec<u8>),
    /// The slice's second sector has no table.
    NoTable,
    /// No partition of that name.
    NoSuch {
        /// The name asked for.
        name: String,
        /// The partitions there are.
        found: Vec<String>,
        /// The line at which a table ended, since it is not one of a partition.
        bad: Option<String>,
    },
    /// Something that is not wholly where it should be.
    Outside {
        /// What it is.
        what: String,
        /// Where it should be: "disk" or "slice".
        within: &'static str,
        /// The length of that in bytes.
        len: u64,
    },
}

impl DiskError {
    /// These tables have no partition of this name.
    pub(crate) fn no_such(name: &str, tables: &[Table]) -> Self {
        let entries = tables.iter().flat_map(Table::entries);
        Self::NoSuch {
            name: name.to_owned(),
            found: entries.map(|entry| entry.name.clone()).collect(),
            bad: tables.iter().find_map(|table| table.bad.clone()),
        }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMbr => f.write_str(
                "expected a table of Plan 9 partitions or an mbr, found neither in the first two sectors: give a range LO-HI in bytes",
            ),
            Self::Gpt => f.write_str(
                "expected a table of Plan 9 partitions, found a GPT: name the partition's own device, or give a range LO-HI in bytes",
            ),
            Self::NoSlice(kinds) => {
                f.write_str("expected a Plan 9 slice, type 0x39, in the mbr, found")?;
                if kinds.is_empty() {
                    f.write_str(" no slice")?;
                }
                kinds.iter().try_for_each(|kind| write!(f, " {kind:#04x}"))
            }
            Self::NoTable => f.write_str(
                "expected lines `part NAME START END` in the second sector of the Plan 9 slice, found none",
            ),
            Self::NoSuch { name, found, bad } => {
                write!(f, "expected a partition {name:?}, found")?;
                list(f, found)?;
                match bad {
                    Some(line) => write!(f, "; its table ends with a line that is not `part NAME START END`: {line:?}"),
                    None => Ok(()),
                }
            }
            Self::Outside { what, within, len } => {
                write!(f, "expected {} inside the {within} of {len} bytes", what.escape_debug())
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

#[cfg(test)]
pub(crate) mod tests {
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

    pub(crate) fn mbr_with(slices: &[u8]) -> [u8; SECTOR_LEN] {
        let mut sector = [0; SECTOR_LEN];
        sector[CODE_LEN..][..slices.len()].copy_from_slice(slices);
        sector[SECTOR_LEN - 2..].copy_from_slice(&SIGNATURE);
        sector
    }

    pub(crate) fn table_with(text: &str) -> [u8; SECTOR_LEN] {
        let mut sector = [0; SECTOR_LEN];
        sector[..text.len()].copy_from_slice(text.as_bytes());
        sector
    }

    fn table(text: &str) -> Table {
        Table::parse(&table_with(text)).unwrap()
    }

    fn names(table: &Table) -> Vec<&str> {
        table.entries().iter().map(|e| e.name.as_str()).collect()
    }

    fn missed(text: &str) -> String {
        DiskError::no_such("x", &[table(text)]).to_string()
    }

    #[test]
    fn the_plan_9_slices_of_an_mbr() {
        let slices = Slice::of_mbr(&mbr_with(&SLICES)).unwrap();
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[0].start, 16_128 * 512);
        assert_eq!(slices[0].len, 4_028_633_088 * 512);
        assert_eq!((slices[1].start, slices[1].len), (512, 1024));
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
    fn a_gpt_is_called_one_unless_there_is_a_plan_9_slice() {
        let mut protective = SLICES;
        protective[4] = GPT;
        assert_eq!(Slice::of_mbr(&mbr_with(&protective)).unwrap().len(), 2);
        let error = Slice::of_mbr(&mbr_with(&protective[..16])).unwrap_err();
        assert_eq!(error, DiskError::Gpt);
        let text = error.to_string();
        assert!(text.contains("GPT") && text.contains("a range LO-HI"));
    }

    #[test]
    fn a_table_goes_both_ways() {
        let table = table(TABLE);
        assert_eq!(table.to_string(), TABLE);
        let fossil = table.find("fossil").unwrap();
        assert_eq!((fossil.start, fossil.end), (204_803, 9_999_999));
        let slice = Slice {
            start: 1 << 20,
            len: 10_000_000 * 512,
        };
        let bytes = ((1 << 20) + 204_803 * 512, (1 << 20) + 9_999_999 * 512);
        assert_eq!(slice.bytes_of(fossil, u64::MAX, false), Ok(bytes));
        assert_eq!(
            DiskError::no_such("arenas", &[table]).to_string(),
            "expected a partition \"arenas\", found 9fat nvram fossil"
        );
    }

    #[test]
    fn a_line_that_is_not_a_partition_ends_the_table_and_is_named() {
        for line in [
            "part b 1",
            "part b 1 2 3",
            "part b x 2",
            "part b 1 18446744073709551616",
            "port b 1 2",
            "part",
            "\x01",
        ] {
            let text = format!("part a 1 1000\n{line}\npart c 1 2\n");
            assert_eq!(names(&table(&text)), ["a"], "{line}");
            let error = missed(&text);
            assert!(
                error.contains("found a; its table ends with a line"),
                "{error}"
            );
            assert!(!error.contains('\n') && !error.contains('\x01'), "{error}");
        }
        let error = missed("part \u{1}\u{7f} 1 2\n");
        assert!(!error.contains(char::is_control), "{error}");
        assert!(missed("part a 0\n").contains("found none; its table"));
        for text in ["", "\n", "\u{1}\n", "hello\n"] {
            assert_eq!(Table::parse(&table_with(text)), Err(DiskError::NoTable));
        }
        let mut sector = table_with("part a 1 2\n");
        sector[5] = 0xff;
        assert!(Table::parse(&sector).unwrap().entries().is_empty());
    }

    #[test]
    fn the_first_of_two_partitions_of_one_name_counts() {
        let table = table("part a 1 2\npart b 2 3\npart a 3 4\n");
        assert_eq!(table.find("a").unwrap().start, 1);
    }

    #[test]
    fn a_partition_that_is_cut_is_what_is_there_of_it() {
        let slice = Slice {
            start: 1024,
            len: 10 * 512,
        };
        let entry = |start, end| SlicePartition {
            name: "a".to_owned(),
            start,
            end,
        };
        let bytes_of = |start, end, disk, cut| slice.bytes_of(&entry(start, end), disk, cut).ok();
        assert_eq!(bytes_of(2, 10, 9999, false), Some((2048, 6144)));
        assert_eq!(bytes_of(2, 11, 9999, false), None);
        assert_eq!(bytes_of(2, 10, 6143, false), None);
        assert_eq!(bytes_of(2, 11, 9999, true), Some((2048, 6144)));
        assert_eq!(bytes_of(2, 10, 2049, true), Some((2048, 2049)));
        assert_eq!(bytes_of(2, 10, 2048, true), None);
        assert_eq!(bytes_of(5, 5, 9999, true), None);
        assert_eq!(bytes_of(6, 5, 9999, true), None);
        let error = slice.bytes_of(&entry(2, 11), 9999, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected partition a 2 11 (in sectors) inside the slice of 5120 bytes"
        );
    }

    #[test]
    fn the_text_ends_at_a_zero_byte_and_a_cut_line_does_not_count() {
        let table = table("part a 1 2\n\npart b 2 3\0\npart c 4 5\n");
        assert_eq!(table.to_string(), "part a 1 2\npart b 2 3\n");
        let last = "part a 1 2";
        let cut = " ".repeat(SECTOR_LEN - 1 - last.len()) + "\n" + last;
        assert_eq!(Table::parse(&table_with(&cut)), Err(DiskError::NoTable));
        let full = " ".repeat(SECTOR_LEN - 2 - last.len()) + "\n" + last + "\n";
        assert_eq!(names(&Table::parse(&table_with(&full)).unwrap()), ["a"]);
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
            if let Ok(table) = Table::parse(&sector) {
                prop_assert!(sector.starts_with(b"part ") || !table.entries().is_empty());
            }
        }

        #[test]
        fn any_table_goes_both_ways(
            parts in prop::collection::btree_map("[a-z0-9.]{1,8}", (0u64..1000, 1u64..1000), 1..10),
            extra in "[ 0-9a-z\n]{0,30}",
        ) {
            let entries = parts.into_iter().map(|(name, (start, len))| SlicePartition { name, start, end: start + len });
            let table = Table { entries: entries.collect(), bad: None };
            let text = table.to_string();
            prop_assert_eq!(Table::parse(&table_with(&text)), Ok(table.clone()));
            let more = Table::parse(&table_with(&(text + &extra))).unwrap();
            prop_assert!(more.entries().starts_with(table.entries()));
            prop_assert!(!DiskError::no_such("x", &[more]).to_string().contains('\n'));
        }

        #[test]
        fn any_entry_is_placed_or_refused(start: u64, end: u64, at: u64, disk: u64, cut: bool) {
            let slice = Slice { start: at, len: u64::MAX };
            let entry = SlicePartition { name: "x".to_owned(), start, end };
            if let Ok((lo, hi)) = slice.bytes_of(&entry, disk, cut) {
                prop_assert_eq!(u128::from(lo), u128::from(start) * 512 + u128::from(at));
                let whole = u128::from(end) * 512 + u128::from(at);
                prop_assert!(lo < hi && hi <= disk);
                prop_assert!(u128::from(hi) == whole || cut && u128::from(hi) < whole);
            }
        }
    }
}
