//! The clump directory at the end of an arena's data section (venti.md 3).

use crate::codec::score::Score;

/// One directory entry: what the clump's own header should say too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Type by its disk number; 255 for a corrupt clump.
    pub disk_type: u8,
    /// Stored bytes after the clump header.
    pub size: u16,
    /// Bytes of the block.
    pub uncompressed: u16,
    /// SHA-1 of the block.
    pub score: Score,
}

impl DirectoryEntry {
    /// Bytes of an entry.
    pub const LEN: usize = 1 + 2 + 2 + Score::LEN;

    /// Reads an entry; `None` when there are fewer than [`DirectoryEntry::LEN`] bytes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        // Read by hand: at a start millions are read, and nom takes a score byte by byte.
        let bytes: &[u8; Self::LEN] = bytes.first_chunk()?;
        let [disk_type, size @ .., _, _] = bytes.first_chunk::<5>()?;
        let [_, _, _, uncompressed @ ..] = bytes.first_chunk::<5>()?;
        Some(DirectoryEntry {
            disk_type: *disk_type,
            size: u16::from_be_bytes(*size),
            uncompressed: u16::from_be_bytes(*uncompressed),
            score: Score::from_bytes(*bytes.last_chunk()?),
        })
    }

    /// The entry as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.disk_type;
        bytes[1..3].copy_from_slice(&self.size.to_be_bytes());
        bytes[3..5].copy_from_slice(&self.uncompressed.to_be_bytes());
        bytes[5..].copy_from_slice(self.score.as_bytes());
        bytes
    }
}

/// Entries in one disk block.
#[must_use]
pub fn entries_per_block(block_size: u32) -> u64 {
    u64::from(block_size) / DirectoryEntry::LEN as u64
}

/// Bytes of directory that `clumps` clumps need: whole disk blocks.
#[must_use]
pub fn len(clumps: u64, block_size: u32) -> u64 {
    clumps
        .div_ceil(entries_per_block(block_size))
        .saturating_mul(u64::from(block_size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_goes_both_ways() {
        let mut bytes = vec![13, 0x12, 0x34, 0x56, 0x78];
        bytes.extend(Score::ZERO.as_bytes());
        let entry = DirectoryEntry::parse(&bytes).unwrap();
        assert_eq!(
            entry,
            DirectoryEntry {
                disk_type: 13,
                size: 0x1234,
                uncompressed: 0x5678,
                score: Score::ZERO
            }
        );
        assert_eq!(entry.to_bytes()[..], bytes);
        assert_eq!(DirectoryEntry::parse(&bytes[..24]), None);
    }

    #[test]
    fn the_directory_is_counted_in_whole_blocks() {
        assert_eq!(entries_per_block(8192), 327);
        assert_eq!(entries_per_block(16384), 655);
        assert_eq!(
            [len(0, 8192), len(327, 8192), len(328, 8192)],
            [0, 8192, 16384]
        );
    }

    proptest! {
        #[test]
        fn any_entry_goes_both_ways(bytes: [u8; DirectoryEntry::LEN]) {
            prop_assert_eq!(DirectoryEntry::parse(&bytes).unwrap().to_bytes(), bytes);
        }
    }
}
