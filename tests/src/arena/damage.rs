//! Lagging trailers and damage of every kind.
//!
//! Everything appended before is written first. Seal scores are left as they
//! were, as damage does.

use std::io;
use std::os::unix::fs::FileExt;

use super::block::Block;
use super::layout::{CLUMP_HEADER, Clump, Counters, ENTRY};
use super::partition::{Partition, read_at};

/// The type of a clump given up by the repair tools.
const CORRUPT: u8 = 255;

impl Partition {
    /// Makes the trailer of an arena lag (or lead): it then says that its first
    /// `indexed` clumps are indexed and its first `written` ones are in the
    /// log, and has the extension when the two differ.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn lag(&mut self, arena: usize, indexed: usize, written: usize) -> io::Result<()> {
        let indexed = self.arenas[arena].counters_at(indexed);
        let written = self.arenas[arena].counters_at(written);
        self.set_counters(arena, indexed, (indexed != written).then_some(written))
    }

    /// Writes these counters into the trailer of an arena, be they true or not,
    /// with the extension if there are `written` ones.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn set_counters(
        &mut self,
        arena: usize,
        indexed: Counters,
        written: Option<Counters>,
    ) -> io::Result<()> {
        self.flush()?;
        let arena = &mut self.arenas[arena];
        arena.trailer.indexed = indexed;
        arena.trailer.written = written;
        arena.write_trailer(&self.file)
    }

    /// Writes bytes anywhere in the partition.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_raw(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.file.write_all_at(bytes, at)
    }

    /// Reads bytes anywhere in the partition.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or ends before.
    pub fn read_raw(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        self.flush()?;
        read_at(&self.file, at, length)
    }

    /// Changes bytes anywhere in the partition.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn edit(
        &mut self,
        at: u64,
        length: usize,
        change: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let mut bytes = self.read_raw(at, length)?;
        change(&mut bytes);
        self.write_raw(at, &bytes)
    }

    /// Flips bit `bit` (0 the lowest) of the byte at `at` in the partition.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn flip_bit(&mut self, at: u64, bit: u32) -> io::Result<()> {
        self.edit(at, 1, |byte| byte[0] ^= 1 << bit)
    }

    /// Flips the lowest bit of byte `byte` of the stored data of a clump.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn flip_data(&mut self, arena: usize, number: usize, byte: u64) -> io::Result<()> {
        let at = self.header_offset(arena, number) + CLUMP_HEADER as u64 + byte;
        self.flip_bit(at, 0)
    }

    /// Changes the 38 bytes of a clump's header.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn edit_header(
        &mut self,
        arena: usize,
        number: usize,
        change: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        self.edit(self.header_offset(arena, number), CLUMP_HEADER, change)
    }

    /// Changes the 25 bytes of a clump's directory entry: type, stored size
    /// (1..3), size (3..5), score.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn edit_entry(
        &mut self,
        arena: usize,
        number: usize,
        change: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        self.edit(self.arenas[arena].entry_offset(number), ENTRY, change)
    }

    /// Marks a clump as given up by the repair tools, in header and directory.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn give_up(&mut self, arena: usize, number: usize) -> io::Result<()> {
        self.edit_header(arena, number, |header| header[4] = CORRUPT)?;
        self.edit_entry(arena, number, |entry| entry[0] = CORRUPT)
    }

    /// Writes whole clumps after the end of an arena's log without counting
    /// them anywhere, neither in the directory nor in the trailer. Returns them
    /// as they would be listed.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn append_uncounted(&mut self, arena: usize, blocks: &[Block]) -> io::Result<Vec<Clump>> {
        self.flush()?;
        let arena = &self.arenas[arena];
        let start = arena.counters().used;
        let (mut at, mut bytes, mut clumps) = (start, Vec::new(), Vec::new());
        for block in blocks {
            let clump = Clump::at(at, block);
            bytes.extend(clump.header(arena.clump_magic(), arena.trailer.modified));
            bytes.extend_from_slice(&block.bytes);
            at = clump.end();
            clumps.push(clump);
        }
        bytes.extend_from_slice(&[0; 4]);
        self.file.write_all_at(&bytes, arena.base() + start)?;
        Ok(clumps)
    }

    /// Cuts the partition off at this length.
    ///
    /// # Errors
    ///
    /// When the file cannot be cut.
    pub fn cut(&mut self, length: u64) -> io::Result<()> {
        self.flush()?;
        self.file.set_len(length)
    }

    /// Writes what `rdarena` would: the bytes of one arena, as a file.
    ///
    /// # Errors
    ///
    /// When the partition cannot be read or the file not written.
    pub fn extract(&mut self, arena: usize, to: &std::path::Path) -> io::Result<()> {
        self.flush()?;
        let (head, total) = (self.arenas[arena].head(), self.arenas[arena].total());
        let out = std::fs::File::create(to)?;
        let mut at = 0;
        while at < total {
            let length = usize::try_from((total - at).min(1 << 20)).expect("a megabyte at most");
            out.write_all_at(&read_at(&self.file, head + at, length)?, at)?;
            at += length as u64;
        }
        Ok(())
    }

    /// Where the header of a clump is in the partition.
    fn header_offset(&self, arena: usize, number: usize) -> u64 {
        let arena = &self.arenas[arena];
        arena.base() + arena.clumps()[number].offset
    }
}
