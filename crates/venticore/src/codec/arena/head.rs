//! The head block of an arena (venti.md 3), written once.

use nom::Parser;
use nom::number::complete::{be_u32, be_u64};

use super::clump::MAGIC_V4;
use super::{FormatError, Name, Version, block_size_is_possible, name};

/// An arena head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its version.
    pub version: Version,
    /// Name of the arena.
    pub name: Name,
    /// Disk block size in bytes.
    pub block_size: u32,
    /// Bytes of the whole arena: head, data section and trailer.
    pub total: u64,
    /// What every clump of this arena begins with.
    pub clump_magic: u32,
}

impl Head {
    /// Bytes that hold fields; the rest of the block is zero.
    pub const LEN: usize = 4 + 4 + Name::LEN + 4 + 8 + 4;
    /// The first four bytes.
    pub const MAGIC: u32 = 0xd15c_4ead;

    /// Reads a head from the start of its block.
    ///
    /// # Errors
    /// A wrong magic, an unknown version, an impossible block size, a size
    /// that does not hold head, trailer and a block between them, a clump
    /// magic of 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, (magic, version, name, block_size, total, v5_magic)) =
            (be_u32, be_u32, name, be_u32, be_u64, be_u32)
                .parse(bytes)
                .map_err(|_: nom::Err<_>| super::short("arena head", Self::LEN, bytes.len()))?;
        let bad = |expected: &str, found: String| FormatError::whole("arena head", expected, found);
        if magic != Self::MAGIC {
            return Err(super::magic_error("arena head", Self::MAGIC, magic));
        }
        let version = Version::from_number(version)
            .ok_or_else(|| bad("version 4 or 5", version.to_string()))?;
        if !block_size_is_possible(block_size) {
            return Err(bad(
                "a block size that is a power of two from 512 to 65536",
                block_size.to_string(),
            ));
        }
        if total < 3 * u64::from(block_size) {
            return Err(bad("at least three blocks", format!("{total} bytes")));
        }
        let clump_magic = match version {
            Version::V4 => MAGIC_V4,
            Version::V5 if v5_magic == 0 => return Err(bad("a clump magic", "0".to_owned())),
            Version::V5 => v5_magic,
        };
        Ok(Head {
            version,
            name,
            block_size,
            total,
            clump_magic,
        })
    }

    /// The fields as bytes: the start of the head block, the rest of which is zero.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend(Self::MAGIC.to_be_bytes());
        bytes.extend(self.version.number().to_be_bytes());
        bytes.extend(self.name.to_field());
        bytes.extend(self.block_size.to_be_bytes());
        bytes.extend(self.total.to_be_bytes());
        if self.version == Version::V5 {
            bytes.extend(self.clump_magic.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of `g5.0` in the golden partition `g5.part`.
    fn g5_0() -> Vec<u8> {
        let mut bytes = vec![0xd1, 0x5c, 0x4e, 0xad, 0, 0, 0, 5];
        bytes.extend(b"g5.0");
        bytes.extend([0; 60]);
        bytes.extend([0, 0, 0x20, 0]);
        bytes.extend([0, 0, 0, 0, 0, 0x10, 0, 0]);
        bytes.extend([0xf4, 0x04, 0x0f, 0x0d]);
        bytes
    }

    #[test]
    fn a_head_goes_both_ways() {
        let head = Head::parse(&g5_0()).unwrap();
        assert_eq!(
            head,
            Head {
                version: Version::V5,
                name: Name::from_field(b"g5.0"),
                block_size: 8192,
                total: 1_048_576,
                clump_magic: 0xf404_0f0d,
            }
        );
        assert_eq!(head.to_bytes(), g5_0());
    }

    #[test]
    fn version_4_has_the_clump_magic_of_all() {
        let mut bytes = g5_0();
        bytes[7] = 4;
        let head = Head::parse(&bytes).unwrap();
        assert_eq!(head.clump_magic, 0xd15c_b10c);
        assert_eq!(head.to_bytes(), bytes[..84]);
    }

    #[test]
    fn a_head_that_cannot_be_is_refused() {
        for (at, byte) in [(0, 0), (7, 6), (7, 3), (74, 0x21), (81, 0)] {
            let mut bytes = g5_0();
            bytes[at] = byte;
            assert!(Head::parse(&bytes).is_err(), "byte {at} as {byte:#x}");
        }
        assert!(Head::parse(&g5_0()[..87]).is_err());
    }
}
