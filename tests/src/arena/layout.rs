//! The records of an arena partition, field by field in disk order.

use std::io;

use venticore::codec::score::Score;

use super::block::{Block, STORED, WHACK};

pub(super) const HEADER_OFFSET: u64 = 256 * 1024;
pub(super) const HEADER_SIZE: u64 = 512;
pub(super) const TABLE_SIZE: u64 = 512 * 1024;
pub(super) const CLUMP_HEADER: usize = 4 + 1 + 2 + 2 + 20 + 1 + 4 + 4;
pub(super) const ENTRY: usize = 1 + 2 + 2 + 20;
pub(super) const VERSION_4_CLUMP_MAGIC: u32 = 0xd15c_b10c;

const PARTITION_MAGIC: u32 = 0xa9e4_a5e7;
const PARTITION_VERSION: u32 = 3;
const HEAD_MAGIC: u32 = 0xd15c_4ead;
const TRAILER_MAGIC: u32 = 0xf2a1_4ead;
const NAME: usize = 64;
const SEAL_SCORE: usize = 20;

/// Where the table is, for this block size.
pub(super) fn table_offset(block_size: u32) -> u64 {
    (HEADER_OFFSET + HEADER_SIZE).next_multiple_of(u64::from(block_size))
}

/// Where the first arena begins, for this block size.
pub(super) fn arena_base(block_size: u32) -> u64 {
    (table_offset(block_size) + TABLE_SIZE).next_multiple_of(u64::from(block_size))
}

/// The partition header.
pub(super) fn partition_header(block_size: u32) -> Vec<u8> {
    let base = u32::try_from(arena_base(block_size)).expect("below one megabyte");
    let mut out = Vec::new();
    put32(&mut out, PARTITION_MAGIC);
    put32(&mut out, PARTITION_VERSION);
    put32(&mut out, block_size);
    put32(&mut out, base);
    out.resize(512, 0);
    out
}

/// The block size a partition header tells.
pub(super) fn partition_block_size(header: &[u8]) -> io::Result<u32> {
    let mut from = Fields(header);
    expect_magic(from.u32(), PARTITION_MAGIC, "arena partition")?;
    from.u32();
    Ok(from.u32())
}

/// What head and trailer of an arena say about its shape.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) version: u32,
    pub(super) name: String,
    pub(super) block_size: u32,
    pub(super) head: u64,
    pub(super) total: u64,
    pub(super) clump_magic: u32,
}

impl Shape {
    /// Where the data section begins in the partition.
    pub(super) fn base(&self) -> u64 {
        self.head + u64::from(self.block_size)
    }

    /// The size of the data section.
    pub(super) fn size(&self) -> u64 {
        self.total - 2 * u64::from(self.block_size)
    }

    /// Where the trailer is in the partition.
    pub(super) fn trailer(&self) -> u64 {
        self.base() + self.size()
    }

    /// Directory entries in one disk block.
    pub(super) fn entries_per_block(&self) -> u32 {
        self.block_size / u32::try_from(ENTRY).expect("small")
    }

    /// Where directory entry `k` is in the partition.
    pub(super) fn entry(&self, k: u32) -> u64 {
        let per = self.entries_per_block();
        let block = u64::from(k / per) + 1;
        self.trailer() - block * u64::from(self.block_size) + u64::from(k % per) * ENTRY as u64
    }

    /// Whether a clump of `stored` bytes fits after these.
    pub(super) fn has_room(&self, counters: &Counters, stored: usize) -> bool {
        let blocks = u64::from((counters.clumps + 1) / self.entries_per_block()) + 1;
        let directory = blocks * u64::from(self.block_size);
        let log = counters.used + (CLUMP_HEADER + stored) as u64;
        log + 8 + directory <= self.size()
    }

    /// The head block.
    pub(super) fn head_block(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put32(&mut out, HEAD_MAGIC);
        put32(&mut out, self.version);
        put_name(&mut out, &self.name);
        put32(&mut out, self.block_size);
        put64(&mut out, self.total);
        if self.version == 5 {
            put32(&mut out, self.clump_magic);
        }
        out.resize(self.block_size as usize, 0);
        out
    }

    /// The shape a head block tells.
    pub(super) fn of_head(head: u64, block: &[u8]) -> io::Result<Self> {
        let mut from = Fields(block);
        expect_magic(from.u32(), HEAD_MAGIC, "arena head")?;
        let version = from.u32();
        Ok(Shape {
            version,
            name: from.name(),
            block_size: from.u32(),
            head,
            total: from.u64(),
            clump_magic: match version {
                5 => from.u32(),
                _ => VERSION_4_CLUMP_MAGIC,
            },
        })
    }
}

/// One set of counters of a trailer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of clumps.
    pub clumps: u32,
    /// How many of them are compressed.
    pub compressed: u32,
    /// Length of the log: headers and data.
    pub used: u64,
    /// Sum of the sizes of the blocks before compression.
    pub uncompressed: u64,
    /// Whether the arena takes no more clumps.
    pub sealed: bool,
}

impl Counters {
    /// Counts one more clump.
    pub(super) fn add(&mut self, clump: &Clump) {
        self.clumps += 1;
        self.compressed += u32::from(clump.encoding == WHACK);
        self.used += CLUMP_HEADER as u64 + u64::from(clump.stored);
        self.uncompressed += u64::from(clump.size);
    }
}

/// A trailer block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trailer {
    pub(super) created: u32,
    pub(super) modified: u32,
    pub(super) indexed: Counters,
    /// Present when the two sets differ.
    pub(super) written: Option<Counters>,
    pub(super) seal_score: [u8; SEAL_SCORE],
}

impl Trailer {
    /// The block, for an arena of this shape.
    pub(super) fn block(&self, shape: &Shape) -> Vec<u8> {
        let mut out = Vec::new();
        put32(&mut out, TRAILER_MAGIC);
        put32(&mut out, shape.version);
        put_name(&mut out, &shape.name);
        put32(&mut out, self.indexed.clumps);
        put32(&mut out, self.indexed.compressed);
        put32(&mut out, self.created);
        put32(&mut out, self.modified);
        if shape.version == 5 {
            put32(&mut out, shape.clump_magic);
        }
        put64(&mut out, self.indexed.used);
        put64(&mut out, self.indexed.uncompressed);
        out.push(u8::from(self.indexed.sealed));
        out.push(u8::from(self.written.is_some()));
        if let Some(written) = &self.written {
            put32(&mut out, written.clumps);
            put32(&mut out, written.compressed);
            put64(&mut out, written.used);
            put64(&mut out, written.uncompressed);
            out.push(u8::from(written.sealed));
        }
        out.resize(shape.block_size as usize - SEAL_SCORE, 0);
        out.extend_from_slice(&self.seal_score);
        out
    }

    /// The trailer a block tells.
    pub(super) fn of_block(block: &[u8]) -> io::Result<Self> {
        let mut from = Fields(block);
        expect_magic(from.u32(), TRAILER_MAGIC, "arena trailer")?;
        let version = from.u32();
        from.name();
        let (clumps, compressed) = (from.u32(), from.u32());
        let (created, modified) = (from.u32(), from.u32());
        if version == 5 {
            from.u32();
        }
        let indexed = Counters {
            clumps,
            compressed,
            used: from.u64(),
            uncompressed: from.u64(),
            sealed: from.u8() == 1,
        };
        let written = (from.u8() == 1).then(|| Counters {
            clumps: from.u32(),
            compressed: from.u32(),
            used: from.u64(),
            uncompressed: from.u64(),
            sealed: from.u8() == 1,
        });
        let mut seal_score = [0; SEAL_SCORE];
        seal_score.copy_from_slice(&block[block.len() - SEAL_SCORE..]);
        Ok(Trailer {
            created,
            modified,
            indexed,
            written,
            seal_score,
        })
    }
}

/// What the directory entry of a clump says, and where the clump is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clump {
    /// Offset of its header in the data section.
    pub offset: u64,
    /// Its type on disk.
    pub block_type: u8,
    /// The score of the block.
    pub score: Score,
    /// 1: stored as it is; 2: compressed.
    pub encoding: u8,
    /// Stored bytes after the header.
    pub stored: u16,
    /// Size of the block.
    pub size: u16,
}

impl Clump {
    pub(super) fn at(offset: u64, block: &Block) -> Self {
        Clump {
            offset,
            block_type: block.block_type,
            score: block.score,
            encoding: block.encoding,
            stored: u16::try_from(block.bytes.len()).expect("a clump is at most 65535 bytes"),
            size: block.size,
        }
    }

    /// Where the clump after it begins, in the data section.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + CLUMP_HEADER as u64 + u64::from(self.stored)
    }

    /// The header in the log.
    pub(super) fn header(&self, magic: u32, time: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(CLUMP_HEADER);
        put32(&mut out, magic);
        out.push(self.block_type);
        put16(&mut out, self.stored);
        put16(&mut out, self.size);
        out.extend_from_slice(self.score.as_bytes());
        out.push(self.encoding);
        put32(&mut out, 0);
        put32(&mut out, time);
        out
    }

    /// The entry in the directory.
    pub(super) fn entry(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENTRY);
        out.push(self.block_type);
        put16(&mut out, self.stored);
        put16(&mut out, self.size);
        out.extend_from_slice(self.score.as_bytes());
        out
    }

    /// The clump at `offset` that an entry tells.
    pub(super) fn of_entry(offset: u64, entry: &[u8]) -> Self {
        let mut from = Fields(entry);
        let block_type = from.u8();
        let (stored, size) = (from.u16(), from.u16());
        Clump {
            offset,
            block_type,
            score: Score::from_bytes(from.take()),
            encoding: if stored < size { WHACK } else { STORED },
            stored,
            size,
        }
    }
}

/// Bytes still to be read, big-endian.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .expect("the block is long enough");
        self.0 = rest;
        *field
    }

    fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn name(&mut self) -> String {
        let name: [u8; NAME] = self.take();
        let text = name.split(|&b| b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

fn expect_magic(found: u32, expected: u32, what: &str) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{what}: expected magic {expected:08x}, found {found:08x}"
    )))
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    let end = out.len() + NAME;
    out.extend_from_slice(name.as_bytes());
    assert!(
        out.len() < end,
        "{name}: an arena name has at most 63 bytes"
    );
    out.resize(end, 0);
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}
