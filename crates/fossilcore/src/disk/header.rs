//! The header (fossil.md 1.2), and where everything else is (1.3).

use nom::Parser;
use nom::number::complete::{be_u16, be_u32};

use super::{EndsEarly, FormatError, Label, NIL};

/// The header of a partition: its block size, and where its parts begin, in
/// blocks from the start of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes in a block: a multiple of 512.
    pub block_size: u16,
    /// The super block.
    pub superblock: u32,
    /// The first label block.
    pub label: u32,
    /// The first data block, one past the labels.
    pub data: u32,
    /// One past the last data block.
    pub end: u32,
}

impl Header {
    /// Where it is in a partition.
    pub const AT: u64 = 128 * 1024;
    /// Bytes it takes; the rest of its block is not fossil's.
    pub const LEN: usize = 512;
    /// The first four bytes.
    pub const MAGIC: u32 = 0x3776_ae89;
    /// The only version there is.
    pub const VERSION: u16 = 1;
    /// The block size of flfmt unless told otherwise.
    pub const BLOCK_SIZE: u16 = 8192;
    /// The shortest partition, in bytes.
    pub const MIN_PARTITION: u64 = 1_310_720;
    /// Block sizes are multiples of it.
    const SECTOR: u16 = 512;
    /// Bytes that hold fields; zeros follow.
    const FIELDS: usize = 4 + 2 + 2 + 4 * 4;

    /// Reads a header. Whether its addresses are inside the partition is
    /// [`Header::check`]'s to say.
    ///
    /// # Errors
    /// Too few bytes, a wrong magic or version, a block size that is not a
    /// multiple of 512.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let short = |_: EndsEarly<'_>| FormatError::short("header", Self::FIELDS, bytes.len());
        let (rest, (magic, version, block_size)) =
            (be_u32, be_u16, be_u16).parse(bytes).map_err(short)?;
        if magic != Self::MAGIC {
            return Err(FormatError::magic("header", Self::MAGIC, magic));
        }
        if version != Self::VERSION {
            let expected = format!("version {}", Self::VERSION);
            return Err(FormatError::new("header", 4, expected, version.to_string()));
        }
        if block_size == 0 || block_size % Self::SECTOR != 0 {
            return Err(FormatError::new(
                "header",
                6,
                "a block size that is a multiple of 512",
                block_size.to_string(),
            ));
        }
        let (_, (superblock, label, data, end)) = (be_u32, be_u32, be_u32, be_u32)
            .parse(rest)
            .map_err(short)?;
        Ok(Header {
            block_size,
            superblock,
            label,
            data,
            end,
        })
    }

    /// The header as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.extend(Self::MAGIC.to_be_bytes());
        bytes.extend(Self::VERSION.to_be_bytes());
        bytes.extend(self.block_size.to_be_bytes());
        bytes.extend(self.superblock.to_be_bytes());
        bytes.extend(self.label.to_be_bytes());
        bytes.extend(self.data.to_be_bytes());
        bytes.extend(self.end.to_be_bytes());
        bytes.resize(Self::LEN, 0);
        bytes
    }

    /// The layout of a partition of `len` bytes, as flfmt makes it.
    ///
    /// # Errors
    /// A block size that the header cannot hold or that is not a multiple of
    /// 512, a partition that is too short, or too long for addresses of 32
    /// bits.
    pub fn layout(len: u64, block_size: u64) -> Result<Self, FormatError> {
        let size = u16::try_from(block_size).ok();
        let size = size.filter(|&size| size > 0 && size % Self::SECTOR == 0);
        let size = size.ok_or_else(|| {
            let expected = "a multiple of 512 from 512 to 65024";
            FormatError::whole("block size", expected, block_size.to_string())
        })?;
        let blocks = len / block_size;
        if blocks < Self::MIN_PARTITION / block_size {
            let expected = format!("at least {} bytes", Self::MIN_PARTITION);
            return Err(FormatError::whole("partition", expected, len.to_string()));
        }
        let per_block = block_size / Label::LEN as u64;
        let superblock = (Self::AT + 2 * block_size) / block_size;
        let label = superblock + 1;
        let data_blocks = u128::from(per_block) * u128::from(blocks.saturating_sub(label))
            / u128::from(per_block + 1);
        let long = |_| {
            let found = format!("{len} bytes: use larger blocks");
            FormatError::whole("partition", "less than 2^32 blocks", found)
        };
        let data_blocks = u32::try_from(data_blocks).map_err(long)?;
        let data = label + u64::from(data_blocks).div_ceil(per_block);
        let end = u32::try_from(data + u64::from(data_blocks)).map_err(long)?;
        Ok(Header {
            block_size: size,
            superblock: u32::try_from(superblock).map_err(long)?,
            label: u32::try_from(label).map_err(long)?,
            data: u32::try_from(data).map_err(long)?,
            end,
        })
    }

    /// Checks that the parts come one after another, that there is a label
    /// for every data block, and that all lies in a partition of `len` bytes.
    ///
    /// # Errors
    /// The first address that cannot be.
    pub fn check(&self, len: u64) -> Result<(), FormatError> {
        let bad = |at, expected, found: u32| {
            Err(FormatError::new("header", at, expected, found.to_string()))
        };
        let first = (Self::AT + Self::LEN as u64).div_ceil(self.size());
        if u64::from(self.superblock) < first {
            let expected = format!("a super block at block {first} or later");
            return bad(8, expected, self.superblock);
        }
        if self.label <= self.superblock {
            let expected = format!("labels after the super block, block {}", self.superblock);
            return bad(12, expected, self.label);
        }
        if self.data < self.label {
            let expected = format!("data after the labels, block {}", self.label);
            return bad(16, expected, self.data);
        }
        let labels = u64::from(self.data - self.label) * self.labels_per_block();
        let last = labels.saturating_add(u64::from(self.data));
        if self.end < self.data || u64::from(self.end) > last {
            let expected = format!("an end from block {} to {last}", self.data);
            return bad(20, expected, self.end);
        }
        let blocks = len / self.size();
        if u64::from(self.end) > blocks {
            let expected = format!("an end in the partition of {blocks} blocks, {len} bytes");
            return bad(20, expected, self.end);
        }
        Ok(())
    }

    /// Bytes in a block.
    fn size(&self) -> u64 {
        u64::from(self.block_size)
    }

    /// How many labels a label block holds.
    #[must_use]
    pub fn labels_per_block(&self) -> u64 {
        self.size() / Label::LEN as u64
    }

    /// How many data blocks there are; addresses are below it.
    #[must_use]
    pub fn data_blocks(&self) -> u32 {
        self.end.saturating_sub(self.data)
    }

    /// Where the super block is, in bytes from the start of the partition.
    #[must_use]
    pub fn superblock_at(&self) -> u64 {
        u64::from(self.superblock) * self.size()
    }

    /// Where the label of the data block `address` is, in bytes from the start
    /// of the partition; `None` where the block does not exist.
    #[must_use]
    pub fn label_at(&self, address: u32) -> Option<u64> {
        let address = self.inside(address)?;
        let per_block = self.labels_per_block();
        let block = u64::from(self.label) + address / per_block;
        Some(block * self.size() + address % per_block * Label::LEN as u64)
    }

    /// Where the data block `address` is, in bytes from the start of the
    /// partition; `None` where the block does not exist.
    #[must_use]
    pub fn data_at(&self, address: u32) -> Option<u64> {
        let address = self.inside(address)?;
        Some((u64::from(self.data) + address) * self.size())
    }

    fn inside(&self, address: u32) -> Option<u64> {
        (address != NIL && address < self.data_blocks()).then(|| u64::from(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fields of the golden partition `archived-8k`.
    const ARCHIVED_8K: [u8; 24] = [
        0x37, 0x76, 0xae, 0x89, 0x00, 0x01, 0x20, 0x00, 0x00, 0x00, 0x00, 0x12, 0x00, 0x00, 0x00,
        0x13, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x02, 0x00,
    ];
    const LEN: u64 = 4 << 20;

    fn archived_8k() -> Header {
        Header::parse(&ARCHIVED_8K).unwrap()
    }

    #[test]
    fn a_header_goes_both_ways() {
        let header = archived_8k();
        assert_eq!(
            header,
            Header {
                block_size: 8192,
                superblock: 18,
                label: 19,
                data: 20,
                end: 512,
            }
        );
        let bytes = header.to_bytes();
        assert_eq!(bytes[..24], ARCHIVED_8K);
        assert_eq!(bytes[24..], [0; 488]);
        assert_eq!(Ok(header), Header::layout(LEN, 8192));
        assert_eq!(header.check(LEN), Ok(()));
    }

    #[test]
    fn places_are_counted_in_bytes() {
        let header = archived_8k();
        assert_eq!(header.superblock_at(), 18 * 8192);
        assert_eq!(header.data_blocks(), 492);
        assert_eq!(header.label_at(0), Some(19 * 8192));
        assert_eq!(header.label_at(74), Some(19 * 8192 + 74 * 14));
        assert_eq!(header.data_at(491), Some(511 * 8192));
        for address in [492, NIL] {
            assert_eq!(
                (header.label_at(address), header.data_at(address)),
                (None, None)
            );
        }
        let header = Header::layout(LEN, 4096).unwrap();
        assert_eq!(header.label_at(292), Some(36 * 4096), "292 labels a block");
    }

    #[test]
    fn a_header_that_cannot_be_is_refused_with_the_place() {
        for (at, byte, place) in [(0, 0, 0), (5, 2, 4), (6, 0, 6), (7, 1, 6)] {
            let mut bytes = ARCHIVED_8K;
            bytes[at] = byte;
            let error = Header::parse(&bytes).unwrap_err();
            assert_eq!(error.at, Some(place), "{error}");
        }
        let error = Header::parse(&ARCHIVED_8K[..23]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "header: expected 24 bytes at 23, found 23"
        );
        let error = Header::parse(&[0; 512]).unwrap_err().within(Header::AT);
        assert_eq!(
            error.to_string(),
            "header: expected magic 0x3776ae89 at 131072, found 0x00000000"
        );
    }

    #[test]
    fn addresses_that_cannot_be_are_named() {
        let good = archived_8k();
        let cases = [
            (
                Header {
                    superblock: 16,
                    ..good
                },
                8,
            ),
            (
                Header {
                    superblock: 0,
                    ..good
                },
                8,
            ),
            (Header { label: 18, ..good }, 12),
            (
                Header {
                    superblock: NIL,
                    ..good
                },
                12,
            ),
            (Header { data: 18, ..good }, 16),
            (Header { data: NIL, ..good }, 20),
            (Header { end: 19, ..good }, 20),
            (Header { end: 513, ..good }, 20),
            (Header { end: NIL, ..good }, 20),
            (
                Header {
                    data: 19,
                    end: 20,
                    ..good
                },
                20,
            ),
        ];
        for (header, at) in cases {
            let error = header.check(LEN).unwrap_err();
            assert_eq!(error.at, Some(at), "{error}");
        }
        let error = good.check(LEN - 1).unwrap_err().to_string();
        assert_eq!(
            error,
            "header: expected an end in the partition of 511 blocks, 4194303 bytes at 20, found 512"
        );
    }

    #[test]
    fn what_cannot_be_laid_out_is_refused() {
        for size in [0, 1, 511, 8191, 65536, u64::MAX] {
            let error = Header::layout(LEN, size).unwrap_err().to_string();
            let expected = "block size: expected a multiple of 512 from 512 to 65024, found";
            assert_eq!(error, format!("{expected} {size}"));
        }
        assert!(Header::layout(1_310_720, 8192).is_ok());
        let error = Header::layout(1_310_719, 8192).unwrap_err().to_string();
        let expected = "partition: expected at least 1310720 bytes, found 1310719";
        assert_eq!(error, expected);
        let error = Header::layout(u64::MAX, 512).unwrap_err().to_string();
        let expected = "partition: expected less than 2^32 blocks, found";
        assert!(error.starts_with(expected), "{error}");
        assert!(Header::layout(1 << 45, 65024).is_ok());
    }

    proptest! {
        #[test]
        fn any_layout_is_a_header_that_holds(len in 1_310_720..1u64 << 42, sectors in 1u64..128) {
            let size = sectors * 512;
            if let Ok(header) = Header::layout(len, size) {
                prop_assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
                prop_assert_eq!(header.check(len), Ok(()));
                let last = header.data_blocks() - 1;
                prop_assert!(header.label_at(last).unwrap() + 14 <= header.data_at(0).unwrap());
                prop_assert!(header.data_at(last).unwrap() + size <= len);
            } else {
                prop_assert!(len / size > 1 << 31 || len / size < 1_310_720 / size);
            }
        }

        #[test]
        fn any_header_goes_both_ways(size in 1u16..128, at: [u32; 4], len: u64) {
            let [superblock, label, data, end] = at;
            let header = Header { block_size: size * 512, superblock, label, data, end };
            prop_assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
            if header.check(len).is_ok() {
                prop_assert!(header.superblock_at() + 512 <= len);
            }
            for address in at {
                let _ = (header.label_at(address), header.data_at(address));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, len: u64) {
            let _ = Header::parse(&bytes);
            let mut bytes = bytes;
            bytes.splice(0..0, ARCHIVED_8K[..8].iter().copied());
            if let Ok(header) = Header::parse(&bytes) {
                let _ = header.check(len);
            }
        }
    }
}
