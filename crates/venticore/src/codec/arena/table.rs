//! The header and the table of an arena partition (venti.md 2).

use nom::Parser;
use nom::number::complete::be_u32;

use super::{FormatError, Name, block_size_is_possible};
use crate::text::quoted;

/// The partition header at [`PartitionHeader::OFFSET`]: 512 bytes, the rest of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionHeader {
    /// Disk block size in bytes, a power of two.
    pub block_size: u32,
    /// Where the first arena starts, bytes from the start of the partition.
    pub arena_base: u32,
}

impl PartitionHeader {
    /// Where the header lies, bytes from the start of the partition.
    pub const OFFSET: u64 = 256 * 1024;
    /// Bytes of the header.
    pub const LEN: usize = 512;
    /// The first four bytes.
    pub const MAGIC: u32 = 0xa9e4_a5e7;
    const VERSION: u32 = 3;

    /// Reads a header.
    ///
    /// # Errors
    /// A wrong magic or version, an impossible block size, a table that does
    /// not lie below the first arena.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, (magic, version, block_size, arena_base)) = (be_u32, be_u32, be_u32, be_u32)
            .parse(bytes)
            .map_err(|_: nom::Err<()>| super::short("arena partition header", 16, bytes.len()))?;
        if magic != Self::MAGIC {
            return Err(super::magic_error(
                "arena partition header",
                Self::MAGIC,
                magic,
            ));
        }
        if version != Self::VERSION {
            return Err(FormatError::whole(
                "arena partition header",
                "version 3",
                version.to_string(),
            ));
        }
        if !block_size_is_possible(block_size) {
            return Err(FormatError::whole(
                "arena partition header",
                "a block size that is a power of two from 512 to 65536",
                block_size.to_string(),
            ));
        }
        let header = PartitionHeader {
            block_size,
            arena_base,
        };
        if header.table_offset() >= u64::from(arena_base) {
            return Err(FormatError::whole(
                "arena partition header",
                format!("a first arena after the table at {}", header.table_offset()),
                arena_base.to_string(),
            ));
        }
        Ok(header)
    }

    /// The header as bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PartitionHeader::LEN] {
        let mut bytes = [0; PartitionHeader::LEN];
        let fields = [Self::MAGIC, Self::VERSION, self.block_size, self.arena_base];
        for (to, field) in bytes.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    /// Where the table starts, bytes from the start of the partition.
    #[must_use]
    pub fn table_offset(&self) -> u64 {
        (Self::OFFSET + Self::LEN as u64).next_multiple_of(u64::from(self.block_size))
    }
}

/// One line of the arena table: where an arena lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Name of the arena.
    pub name: Name,
    /// Its head block, bytes from the start of the partition.
    pub start: u64,
    /// One past its trailer block.
    pub stop: u64,
}

/// Most entries a table may have.
pub const MAX_ENTRIES: usize = 31744;

/// Reads the text of the table, which ends at its first zero byte.
///
/// As the reference parser does, `#` starts a comment, leading blanks, tabs
/// and carriage returns are dropped, and empty lines are skipped.
///
/// # Errors
/// No count, a count over [`MAX_ENTRIES`], a line that is not
/// `name TAB start TAB stop`, fewer lines than counted, arenas that overlap,
/// descend or begin below `arena_base`.
pub fn parse(text: &[u8], arena_base: u64) -> Result<Vec<TableEntry>, FormatError> {
    let mut lines = lines(text);
    let count = count(lines.next().unwrap_or_default())?;
    let mut entries: Vec<TableEntry> = Vec::new();
    for line in lines.by_ref().take(count) {
        let entry = entry(line)?;
        let floor = entries.last().map_or(arena_base, |last| last.stop);
        if entry.start < floor || entry.stop <= entry.start {
            return Err(FormatError::whole(
                "arena table",
                format!("arena {} from {floor} on, not empty", entry.name),
                format!("[{},{})", entry.start, entry.stop),
            ));
        }
        entries.push(entry);
    }
    if entries.len() < count {
        return Err(FormatError::whole(
            "arena table",
            format!("{count} arenas"),
            entries.len().to_string(),
        ));
    }
    Ok(entries)
}

/// The arenas in lines after the first `count`, which a whole table does not
/// have: from `floor` on, up to the first line that is none.
#[must_use]
pub fn spare(text: &[u8], mut floor: u64, count: usize) -> Vec<TableEntry> {
    let lines = lines(text).skip(1 + count).take(MAX_ENTRIES);
    lines
        .map_while(|line| entry(line).ok())
        .take_while(|entry| {
            let fits = entry.start >= floor && entry.stop > entry.start;
            floor = entry.stop;
            fits
        })
        .collect()
}

/// The lines of a table that say something.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.split(|&b| b == 0).next().unwrap_or_default();
    let lines = text.split(|&b| b == b'\n').map(meaning_of_line);
    lines.filter(|line| !line.is_empty())
}

/// The text of a table, without the zero bytes that follow it.
#[must_use]
pub fn to_text(entries: &[TableEntry]) -> String {
    use std::fmt::Write;
    let mut text = format!("{}\n", entries.len());
    for TableEntry { name, start, stop } in entries {
        let _ = writeln!(text, "{name}\t{start}\t{stop}");
    }
    text
}

fn meaning_of_line(line: &[u8]) -> &[u8] {
    let line = line.split(|&b| b == b'#').next().unwrap_or_default();
    let from = line
        .iter()
        .position(|b| !b" \t\r".contains(b))
        .unwrap_or(line.len());
    line.get(from..).unwrap_or_default()
}

fn count(line: &[u8]) -> Result<usize, FormatError> {
    number(line)
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n <= MAX_ENTRIES)
        .ok_or_else(|| {
            FormatError::whole(
                "arena table",
                format!("a count of at most {MAX_ENTRIES}"),
                quoted(line, 60),
            )
        })
}

fn entry(line: &[u8]) -> Result<TableEntry, FormatError> {
    let mut fields = line.splitn(3, |&b| b == b'\t');
    let mut next = || fields.next();
    let entry = next().and_then(|name| {
        Some(TableEntry {
            name: Name::from_field(name),
            start: number(next()?)?,
            stop: number(next()?)?,
        })
    });
    entry.ok_or_else(|| FormatError::whole("arena table", "name, start and stop", quoted(line, 60)))
}

fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text)
        .ok()?
        .trim_end_matches(['\r', ' ', '\t']);
    if text.starts_with('+') {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: [u8; 16] = [
        0xa9, 0xe4, 0xa5, 0xe7, 0, 0, 0, 3, 0, 0, 0x20, 0, 0, 0x0c, 0x20, 0,
    ];

    #[test]
    fn a_header_goes_both_ways() {
        let header = PartitionHeader::parse(&HEADER).unwrap();
        assert_eq!((header.block_size, header.arena_base), (8192, 794_624));
        assert_eq!(header.table_offset(), 270_336);
        assert_eq!(header.to_bytes()[..16], HEADER);
        assert!(header.to_bytes()[16..].iter().all(|&b| b == 0));
    }

    #[test]
    fn a_header_that_cannot_be_is_refused() {
        for (at, byte) in [(0, 0), (7, 2), (10, 0x30), (10, 0), (13, 0), (9, 2)] {
            let mut bytes = HEADER;
            bytes[at] = byte;
            assert!(
                PartitionHeader::parse(&bytes).is_err(),
                "byte {at} as {byte:#x}"
            );
        }
        assert!(PartitionHeader::parse(&HEADER[..15]).is_err());
    }

    #[test]
    fn a_table_goes_both_ways() {
        let text = b"2\nmain arena0\t794624\t1843200\nmain'1\t1843200\t2891776\n";
        let entries = parse(text, 794_624).unwrap();
        assert_eq!(entries[0].name.as_str(), "main arena0");
        assert_eq!((entries[1].start, entries[1].stop), (1_843_200, 2_891_776));
        assert_eq!(to_text(&entries).as_bytes(), text);
    }

    #[test]
    fn comments_blanks_and_what_follows_the_end_are_passed_over() {
        let text = b" 1 # count\r\n\n# nothing\n\ta\t9\t20\n\0garbage\n";
        assert_eq!(
            parse(text, 9).unwrap(),
            [TableEntry {
                name: Name::from_field(b"a"),
                start: 9,
                stop: 20
            }]
        );
    }

    #[test]
    fn a_table_that_cannot_be_is_refused() {
        for text in [
            "",
            "x\n",
            "-1\n",
            "+1\na\t9\t20\n",
            "31745\n",
            "2\na\t9\t20\n",
            "1\na\t9\n",
            "1\na\t9\tx\n",
            "1\na\t8\t20\n",
            "1\na\t20\t20\n",
            "2\na\t9\t20\nb\t19\t30\n",
            "1\na\t9\t99999999999999999999\n",
        ] {
            assert!(parse(text.as_bytes(), 9).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: Vec<u8>) {
            let _ = parse(&text, 0);
        }
    }
}
