//! A partition being filled.

use std::io;
use std::path::Path;

use sha1::{Digest, Sha1};

use super::backing::Backing;
use super::block::Block;
use super::layout::{self, Clump, Counters, ENTRY, Shape, Trailer};
use venticore::codec::score::Score;

/// Log bytes held back before they are written.
const PENDING: usize = 1 << 20;
/// Blocks packed at a time by [`Partition::append_all`].
const BATCH: usize = 512;

/// An arena partition in a file, to append to.
#[derive(Debug)]
pub struct Partition {
    pub(super) file: Backing,
    pub(super) arenas: Vec<Arena>,
    /// The arena that takes the next clump.
    current: usize,
    clock: u32,
    seal_scores: bool,
}

/// One arena of a partition, with all that was put into it.
#[derive(Debug)]
pub struct Arena {
    pub(super) shape: Shape,
    pub(super) trailer: Trailer,
    /// What is in the log and the directory.
    counters: Counters,
    clumps: Vec<Clump>,
    /// The end of the log, not on disk yet.
    log: Vec<u8>,
    /// Directory entries not on disk yet.
    directory: Vec<u8>,
    /// The trailer on disk is older than the log.
    stale: bool,
}

/// Where an appended clump went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The number of its arena, from 0.
    pub arena: usize,
    /// Its number in that arena, from 0.
    pub number: usize,
    /// What its header says, and its offset in the data section.
    pub clump: Clump,
}

impl Arena {
    fn new(shape: Shape) -> Self {
        Arena {
            shape,
            trailer: Trailer::default(),
            counters: Counters::default(),
            clumps: Vec::new(),
            log: Vec::new(),
            directory: Vec::new(),
            stale: false,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shape.name
    }

    /// Offset of its head block in the partition.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.shape.head
    }

    /// Offset of its data section in the partition.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.shape.base()
    }

    /// Size of its data section.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shape.size()
    }

    /// Size from the head to the end of the trailer.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.shape.total
    }

    /// Offset of its trailer in the partition.
    #[must_use]
    pub fn trailer_offset(&self) -> u64 {
        self.shape.trailer()
    }

    /// Offset of directory entry `number` in the partition.
    #[must_use]
    pub fn entry_offset(&self, number: usize) -> u64 {
        self.shape
            .entry(u32::try_from(number).expect("clumps are counted in 32 bits"))
    }

    /// The magic of its clumps.
    #[must_use]
    pub fn clump_magic(&self) -> u32 {
        self.shape.clump_magic
    }

    /// What is in its log, whatever the trailer says.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Its clumps, in order.
    #[must_use]
    pub fn clumps(&self) -> &[Clump] {
        &self.clumps
    }

    /// Its seal score, twenty zero bytes when there is none.
    #[must_use]
    pub fn seal_score(&self) -> Score {
        Score::from_bytes(self.trailer.seal_score)
    }

    /// The counters after its first `clumps` clumps.
    #[must_use]
    pub fn counters_at(&self, clumps: usize) -> Counters {
        let mut counters = Counters::default();
        self.clumps[..clumps].iter().for_each(|c| counters.add(c));
        counters
    }

    fn push(&mut self, block: &Block, time: u32) -> Clump {
        let clump = Clump::at(self.counters.used, block);
        self.log
            .extend_from_slice(&clump.header(self.shape.clump_magic, time));
        self.log.extend_from_slice(&block.bytes);
        self.directory.extend_from_slice(&clump.entry());
        self.counters.add(&clump);
        self.clumps.push(clump);
        if self.trailer.created == 0 {
            self.trailer.created = time;
        }
        self.trailer.modified = time;
        self.stale = true;
        clump
    }

    /// Writes log and directory, the log ended by four zero bytes.
    fn write_out(&mut self, file: &Backing) -> io::Result<()> {
        if self.log.is_empty() {
            return Ok(());
        }
        let at = self.base() + self.counters.used - self.log.len() as u64;
        self.log.extend_from_slice(&[0; 4]);
        file.write_all_at(&self.log, at)?;
        let written = self.clumps.len() - self.directory.len() / ENTRY;
        for (n, entry) in self.directory.chunks(ENTRY).enumerate() {
            file.write_all_at(entry, self.entry_offset(written + n))?;
        }
        self.log.clear();
        self.directory.clear();
        Ok(())
    }

    pub(super) fn write_trailer(&mut self, file: &Backing) -> io::Result<()> {
        self.stale = false;
        file.write_all_at(&self.trailer.block(&self.shape), self.shape.trailer())
    }
}

impl Partition {
    pub(super) fn formatted(
        file: Backing,
        shapes: Vec<Shape>,
        clock: u32,
        seal_scores: bool,
    ) -> Self {
        Partition {
            file,
            arenas: shapes.into_iter().map(Arena::new).collect(),
            current: 0,
            clock,
            seal_scores,
        }
    }

    /// Opens a partition made here or by a formatter, to append to it. It must
    /// be whole: nothing is checked but the magic numbers.
    ///
    /// # Errors
    ///
    /// When it cannot be read or has no arena partition.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Backing::at(path);
        let header = read_at(&file, layout::HEADER_OFFSET, 512)?;
        let block_size = layout::partition_block_size(&header)?;
        let mut shapes = Vec::new();
        for head in table_heads(&file, block_size)? {
            let block = read_at(&file, head, block_size as usize)?;
            shapes.push(Shape::of_head(head, &block)?);
        }
        let mut partition = Self::formatted(file, shapes, 1_700_000_000, true);
        for arena in &mut partition.arenas {
            arena.load(&partition.file)?;
            partition.clock = partition.clock.max(arena.trailer.modified + 1);
        }
        Ok(partition)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The arenas, in the order of the table.
    #[must_use]
    pub fn arenas(&self) -> &[Arena] {
        &self.arenas
    }

    /// All clumps of all arenas, in order.
    pub fn clumps(&self) -> impl Iterator<Item = &Clump> {
        self.arenas.iter().flat_map(|arena| &arena.clumps)
    }

    /// Appends a block, compressed when that makes it shorter.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or all arenas are full
    /// ([`io::ErrorKind::StorageFull`]).
    pub fn append(&mut self, block_type: u8, data: &[u8]) -> io::Result<Placed> {
        self.append_block(&Block::pack(block_type, data))
    }

    /// Appends a block that is ready, whatever it says.
    ///
    /// # Errors
    ///
    /// As [`Partition::append`].
    pub fn append_block(&mut self, block: &Block) -> io::Result<Placed> {
        self.make_room(block.bytes.len())?;
        let arena = &mut self.arenas[self.current];
        let clump = arena.push(block, self.clock);
        let number = arena.clumps.len() - 1;
        if arena.log.len() >= PENDING {
            arena.write_out(&self.file)?;
        }
        self.clock += 1;
        Ok(Placed {
            arena: self.current,
            number,
            clump,
        })
    }

    /// Appends many blocks, packing them on two threads.
    ///
    /// # Errors
    ///
    /// As [`Partition::append`].
    pub fn append_all(
        &mut self,
        blocks: impl IntoIterator<Item = (u8, Vec<u8>)>,
    ) -> io::Result<()> {
        let mut blocks = blocks.into_iter();
        loop {
            let batch: Vec<_> = blocks.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            for block in Block::pack_all(&batch) {
                self.append_block(&block)?;
            }
        }
    }

    /// Leaves the current arena as it is, seals it, and goes on in the next.
    ///
    /// # Errors
    ///
    /// When the file cannot be written or read.
    pub fn seal(&mut self) -> io::Result<()> {
        let arena = &mut self.arenas[self.current];
        arena.counters.sealed = true;
        arena.stale = true;
        self.flush()?;
        if self.seal_scores {
            self.score(self.current)?;
        }
        self.current += 1;
        Ok(())
    }

    /// Writes everything, trailers too: both sets of counters equal the log.
    /// Trailers of arenas without new clumps stay as they are.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flush_log()?;
        for arena in self.arenas.iter_mut().filter(|arena| arena.stale) {
            arena.trailer.indexed = arena.counters;
            arena.trailer.written = None;
            arena.write_trailer(&self.file)?;
        }
        Ok(())
    }

    /// Writes logs and directories, but no trailer: as a server that has not
    /// come that far.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn flush_log(&mut self) -> io::Result<()> {
        for arena in &mut self.arenas {
            arena.write_out(&self.file)?;
        }
        Ok(())
    }

    /// [`Partition::flush`], then waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }

    /// Computes the seal score of an arena and writes it into the trailer.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn score(&mut self, arena: usize) -> io::Result<Score> {
        self.flush()?;
        let arena = &mut self.arenas[arena];
        arena.trailer.seal_score = [0; 20];
        arena.write_trailer(&self.file)?;
        let mut digest = Sha1::new();
        let end = arena.shape.head + arena.shape.total;
        let mut at = arena.shape.head;
        while at < end {
            let length = usize::try_from((end - at).min(1 << 20)).expect("a megabyte at most");
            digest.update(read_at(&self.file, at, length)?);
            at += length as u64;
        }
        arena.trailer.seal_score = digest.finalize().into();
        arena.write_trailer(&self.file)?;
        Ok(arena.seal_score())
    }

    /// Seals arenas until the current one takes a clump of this many bytes.
    fn make_room(&mut self, stored: usize) -> io::Result<()> {
        loop {
            let Some(arena) = self.arenas.get(self.current) else {
                return Err(io::ErrorKind::StorageFull.into());
            };
            if !arena.counters.sealed && arena.shape.has_room(&arena.counters, stored) {
                return Ok(());
            }
            if arena.counters.sealed {
                self.current += 1;
            } else {
                self.seal()?;
            }
        }
    }
}

impl Arena {
    /// Takes over what trailer and directory on disk say.
    fn load(&mut self, file: &Backing) -> io::Result<()> {
        let block = read_at(file, self.shape.trailer(), self.shape.block_size as usize)?;
        self.trailer = Trailer::of_block(&block)?;
        let written = self.trailer.written.unwrap_or_default();
        let ahead = self.trailer.indexed.used >= written.used;
        let newest = if ahead { self.trailer.indexed } else { written };
        for number in 0..newest.clumps as usize {
            let entry = read_at(file, self.entry_offset(number), ENTRY)?;
            let clump = Clump::of_entry(self.counters.used, &entry);
            self.counters.add(&clump);
            self.clumps.push(clump);
        }
        self.counters.sealed = self.trailer.indexed.sealed || written.sealed;
        Ok(())
    }
}

/// Where the arenas of the table begin.
fn table_heads(file: &Backing, block_size: u32) -> io::Result<Vec<u64>> {
    let at = layout::table_offset(block_size);
    let length = usize::try_from(layout::arena_base(block_size) - at).expect("below a megabyte");
    let table = String::from_utf8_lossy(&read_at(file, at, length)?).into_owned();
    let lines = table.trim_end_matches('\0').lines().skip(1);
    lines
        .map(|line| {
            let start = line.split('\t').nth(1).and_then(|n| n.parse().ok());
            start.ok_or_else(|| io::Error::other(format!("arena table: {line}")))
        })
        .collect()
}

pub(super) fn read_at(file: &Backing, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::PartitionBuilder;
    use crate::golden::{self, Manifest};
    use crate::sample::Sample;

    #[test]
    fn real_partitions_are_read_and_their_blocks_written_again_bit_for_bit() {
        for name in golden::PARTITIONS {
            let manifest = Manifest::load(name);
            let directory = tempfile::tempdir().unwrap();
            let path = golden::unpack(&format!("{name}.part"), directory.path());
            let partition = Partition::open(&path).unwrap();
            let header = read_at(&partition.file, 256 * 1024, 512).unwrap();
            assert_eq!(header, layout::partition_header(manifest.block_size));
            for (arena, expected) in partition.arenas().iter().zip(&manifest.arenas) {
                assert_eq!(expected.written, arena.counters());
                let block = |at| read_at(&partition.file, at, manifest.block_size as usize);
                assert_eq!(block(arena.head()).unwrap(), arena.shape.head_block());
                let trailer = arena.trailer.block(&arena.shape);
                assert_eq!(block(arena.trailer_offset()).unwrap(), trailer);
                for (clump, expected) in arena.clumps().iter().zip(&expected.clumps) {
                    assert_eq!(clump.score, expected.score);
                    assert_eq!(clump.offset, expected.offset);
                    assert_eq!(clump.encoding, expected.encoding);
                }
            }
        }
    }

    #[test]
    fn the_seal_score_of_a_real_arena_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        for name in golden::PARTITIONS {
            let path = golden::unpack(&format!("{name}.part"), directory.path());
            let mut partition = Partition::open(&path).unwrap();
            let expected = Manifest::load(name).arenas[0].score;
            assert_eq!(partition.score(0).unwrap(), expected);
        }
    }

    #[test]
    fn the_room_rule_is_that_of_the_real_server() {
        let directory = tempfile::tempdir().unwrap();
        for name in golden::PARTITIONS {
            let path = golden::unpack(&format!("{name}.part"), directory.path());
            let partition = Partition::open(&path).unwrap();
            for pair in partition.arenas().windows(2) {
                let (full, next) = (&pair[0], &pair[1]);
                for (n, clump) in full.clumps().iter().enumerate() {
                    let before = full.counters_at(n);
                    assert!(full.shape.has_room(&before, clump.stored.into()));
                }
                let first = next.clumps()[0].stored;
                assert!(!full.shape.has_room(&full.counters(), first.into()));
            }
        }
    }

    #[test]
    fn every_version_and_block_size_fills_and_opens_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("arenas");
        for version in [4, 5] {
            for block_size in [512, 8192, 65536] {
                let builder = PartitionBuilder::new()
                    .version(version)
                    .block_size(block_size)
                    .arenas(2, 512 * 1024);
                let mut partition = builder.create(&path).unwrap();
                let mut sample = Sample::new(7, 60);
                while partition.arenas()[1].counters().clumps < 9 {
                    let size = sample.size(9000);
                    partition.append(13, &sample.block(size)).unwrap();
                }
                partition.flush().unwrap();
                let again = Partition::open(&path).unwrap();
                assert!(again.arenas()[0].counters().sealed);
                assert!(again.clumps().eq(partition.clumps()));
            }
        }
    }

    #[test]
    fn a_full_partition_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let builder = PartitionBuilder::new().arenas(1, 65536);
        let mut partition = builder.create(&directory.path().join("arenas")).unwrap();
        let mut sample = Sample::new(7, 0);
        let error = loop {
            if let Err(error) = partition.append(13, &sample.noise(8192)) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
