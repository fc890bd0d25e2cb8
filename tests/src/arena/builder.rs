//! Formatting a partition.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::backing::Backing;
use super::layout::{self, Shape, Trailer, VERSION_4_CLUMP_MAGIC};
use super::partition::Partition;
use crate::random::Random;

/// What an arena partition shall be like. Arenas are added in order; the rest
/// has defaults: version 5, block size 8192, names `arena0`, `arena1` ...
#[derive(Clone, Debug)]
pub struct PartitionBuilder {
    version: u32,
    block_size: u32,
    template: String,
    totals: Vec<u64>,
    gap: u64,
    garbage: bool,
    seed: u64,
    clock: u32,
    seal_scores: bool,
}

impl Default for PartitionBuilder {
    fn default() -> Self {
        PartitionBuilder {
            version: 5,
            block_size: 8192,
            template: "arena".to_owned(),
            totals: Vec::new(),
            gap: 0,
            garbage: false,
            seed: 1,
            clock: 1_700_000_000,
            seal_scores: true,
        }
    }
}

impl PartitionBuilder {
    /// A partition of the usual kind, still without arenas.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Version of the arenas: 4 or 5.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        assert!(matches!(version, 4 | 5), "arenas have version 4 or 5");
        self.version = version;
        self
    }

    /// Size of a disk block: a power of two, 512 to 65536.
    #[must_use]
    pub fn block_size(mut self, block_size: u32) -> Self {
        assert!(
            block_size.is_power_of_two() && (512..=65536).contains(&block_size),
            "{block_size}: not a power of two from 512 to 65536"
        );
        self.block_size = block_size;
        self
    }

    /// What arena names begin with; a number from 0 follows.
    #[must_use]
    pub fn name(mut self, template: &str) -> Self {
        template.clone_into(&mut self.template);
        self
    }

    /// Adds `count` arenas of `total` bytes each, head and trailer included,
    /// rounded down to whole disk blocks when the partition is made.
    #[must_use]
    pub fn arenas(mut self, count: usize, total: u64) -> Self {
        self.totals.extend(std::iter::repeat_n(total, count));
        self
    }

    /// Leaves so many bytes unused before each arena.
    #[must_use]
    pub fn gap(mut self, bytes: u64) -> Self {
        self.gap = bytes;
        self
    }

    /// Fills the data sections with noise first: what is left on a disk that
    /// was used before. Only version 5 is made on such disks.
    #[must_use]
    pub fn garbage(mut self) -> Self {
        self.garbage = true;
        self
    }

    /// What clump magics and garbage are drawn from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Unix time of the first clump; each clump is written a second later.
    #[must_use]
    pub fn clock(mut self, seconds: u32) -> Self {
        self.clock = seconds;
        self
    }

    /// Leaves full arenas sealed but without a seal score.
    #[must_use]
    pub fn without_seal_scores(mut self) -> Self {
        self.seal_scores = false;
        self
    }

    /// Makes the partition, replacing what is there.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn create(&self, path: &Path) -> io::Result<Partition> {
        assert!(
            self.version == 5 || !self.garbage,
            "version 4 arenas are zeroed when formatted"
        );
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let mut random = Random::new(self.seed);
        let shapes = self.shapes(&mut random);
        let end = shapes.last().map_or(0, |s| s.head + s.total);
        file.set_len(end.max(layout::arena_base(self.block_size)))?;
        file.write_all_at(
            &layout::partition_header(self.block_size),
            layout::HEADER_OFFSET,
        )?;
        file.write_all_at(
            table(&shapes).as_bytes(),
            layout::table_offset(self.block_size),
        )?;
        for shape in &shapes {
            if self.garbage {
                fill_with_noise(&file, shape, &mut random)?;
            }
            file.write_all_at(&shape.head_block(), shape.head)?;
            file.write_all_at(&Trailer::default().block(shape), shape.trailer())?;
        }
        Ok(Partition::formatted(
            Backing::at(path),
            shapes,
            self.clock,
            self.seal_scores,
        ))
    }

    fn shapes(&self, random: &mut Random) -> Vec<Shape> {
        let block = u64::from(self.block_size);
        let mut head = layout::arena_base(self.block_size);
        let mut shapes = Vec::new();
        for (number, total) in self.totals.iter().enumerate() {
            head += self.gap.next_multiple_of(block);
            let total = total / block * block;
            assert!(total >= 4 * block, "{total}: too small for an arena");
            shapes.push(Shape {
                version: self.version,
                name: format!("{}{number}", self.template),
                block_size: self.block_size,
                head,
                total,
                clump_magic: self.clump_magic(random),
            });
            head += total;
        }
        shapes
    }

    fn clump_magic(&self, random: &mut Random) -> u32 {
        if self.version == 4 {
            return VERSION_4_CLUMP_MAGIC;
        }
        loop {
            let magic = u32::try_from(random.draw() >> 32).expect("32 bits");
            if magic != 0 && magic != VERSION_4_CLUMP_MAGIC {
                return magic;
            }
        }
    }
}

/// The text of the table.
fn table(shapes: &[Shape]) -> String {
    let lines: String = shapes
        .iter()
        .map(|s| format!("{}\t{}\t{}\n", s.name, s.head, s.head + s.total))
        .collect();
    format!("{}\n{lines}", shapes.len())
}

/// Noise in the whole data section, but for what the formatter zeroes.
fn fill_with_noise(file: &std::fs::File, shape: &Shape, random: &mut Random) -> io::Result<()> {
    let zeroed = shape.base() + u64::from(shape.block_size.min(8192));
    let mut at = zeroed;
    while at < shape.trailer() {
        let length = (shape.trailer() - at).min(1 << 16);
        let length = usize::try_from(length).expect("64 KiB at most");
        file.write_all_at(&random.bytes(length), at)?;
        at += length as u64;
    }
    Ok(())
}
