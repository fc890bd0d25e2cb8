//! The page `/index` of a venti's HTTP server (venti.md 9.1): which arenas the
//! index has, in its order, and where they lie in their partitions.
//!
//! [`Page::parse`] turns its text into values and does no I/O. The page lists only arenas that hold clumps. Its numbers
//! are read without a lock and may belong to different moments: take places
//! from it, and what an arena holds from its trailer.

mod error;
mod text;

use std::collections::HashMap;
use std::ops::Range;

use crate::codec::arena::Name;
use crate::codec::arena::clump::HEADER_LEN;
use crate::codec::arena::table::{self, TableEntry};
use crate::codec::score::Score;
use crate::text::excerpt;

pub use error::PageError;

/// Where the page of a venti on this machine usually is.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8000/index";

/// Most arenas a page may list: as many as sixteen full partitions have.
pub const MAX_ARENAS: usize = table::MAX_ENTRIES * 16;

/// The most partitions of a page: each is opened, and one that is not here is said.
pub const MAX_PARTITIONS: usize = 1024;

/// The beginning of a page or an address, in double quotes.
pub(crate) fn quoted(text: &[u8]) -> String {
    format!("\"{}\"", excerpt(text, 60))
}

/// An index page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Name of the index.
    pub name: String,
    /// Version of the index.
    pub version: u32,
    /// Block size of the index sections in bytes. [`ArenaRow::block_size`] is the
    /// block size of an arena partition.
    pub block_size: u32,
    /// The arenas that hold clumps, in index order.
    pub arenas: Vec<ArenaRow>,
}

/// What the page says of one arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArenaRow {
    /// Its name.
    pub name: Name,
    /// Its partition as the server's configuration names it: the path may be
    /// relative to the server's directory, and `:lo-hi` may follow it.
    pub partition: String,
    /// Its addresses in the index; as long as its data section.
    pub index: Range<u64>,
    /// What the page calls its place in the partition, in bytes: from its data
    /// section to one block past its end.
    pub listed: Range<u64>,
    /// Its head block, bytes from the start of the partition.
    pub head: u64,
    /// Disk block size of its partition, in bytes.
    pub block_size: u32,
    /// Bytes of the whole arena: head, data section and trailer.
    pub total: u64,
    /// 4 or 5.
    pub version: u32,
    /// When its first clump was written, Unix seconds.
    pub created: u32,
    /// When its last clump was written, Unix seconds.
    pub modified: u32,
    /// No clump will be added.
    pub mem_sealed: bool,
    /// And all are in the index.
    pub disk_sealed: bool,
    /// It was queued for its seal score since the server started.
    pub in_queue: bool,
    /// The seal score, once it is computed: the arena is complete and final.
    pub score: Option<Score>,
    /// What its log holds.
    pub written: PageCounters,
    /// What of that is in the index.
    pub indexed: PageCounters,
}

/// One set of counters of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounters {
    /// Number of clumps.
    pub clumps: u32,
    /// How many of them are compressed.
    pub compressed_clumps: u32,
    /// Bytes of the blocks.
    pub data: u64,
    /// Bytes of the blocks as stored.
    pub compressed_data: u64,
    /// Bytes of log and directory.
    pub storage: u64,
}

impl PageCounters {
    /// Length of the log in bytes: clump headers and stored data.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.compressed_data
            .saturating_add(HEADER_LEN as u64 * u64::from(self.clumps))
    }
}

impl ArenaRow {
    /// Bytes of the data section.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.index.end - self.index.start
    }

    /// Length of the log in bytes by the larger set of counters (venti.md 5).
    /// A hint: the server may have gone on while it printed them.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.written.used().max(self.indexed.used())
    }

    /// Number of clumps by the larger set of counters, as a hint too.
    #[must_use]
    pub fn clumps(&self) -> u32 {
        self.written.clumps.max(self.indexed.clumps)
    }

    /// No clump will be added.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.mem_sealed || self.disk_sealed
    }

    /// Compares the arena with the table of the partition it should lie in.
    ///
    /// # Errors
    /// [`PageError::Differs`]: no arena of this name, or another place or length.
    pub fn check(&self, block_size: u32, entries: &[TableEntry]) -> Result<(), PageError> {
        let differs = |page: String, partition: String| PageError::Differs {
            arena: self.name.clone(),
            page,
            partition,
        };
        if self.block_size != block_size {
            let blocks = |size| format!("blocks of {size} bytes");
            return Err(differs(blocks(self.block_size), blocks(block_size)));
        }
        let place = entries.binary_search_by_key(&self.head, |entry| entry.start);
        let found = place.ok().and_then(|at| entries.get(at));
        match found {
            Some(entry) if entry.name == self.name => {
                let total = entry.stop - entry.start;
                let bytes = |total| format!("{total} bytes at {}", self.head);
                (total == self.total)
                    .then_some(())
                    .ok_or_else(|| differs(bytes(self.total), bytes(total)))
            }
            other => Err(differs(
                format!("its head at {}", self.head),
                self.elsewhere(other, entries),
            )),
        }
    }

    /// What the table has instead of this arena at its place.
    fn elsewhere(&self, there: Option<&TableEntry>, entries: &[TableEntry]) -> String {
        let mut entries = entries.iter();
        match (entries.find(|entry| entry.name == self.name), there) {
            (Some(entry), _) => format!("it at {}", entry.start),
            (None, Some(entry)) => format!("arena {} at {}", entry.name, entry.start),
            (None, None) => "no arena of this name".to_owned(),
        }
    }
}

/// The arenas of one partition, in index order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionArenas<'p> {
    /// The partition as the page names it.
    pub partition: &'p str,
    /// Its arenas; those without clumps are not on the page.
    pub arenas: Vec<&'p ArenaRow>,
}

impl PartitionArenas<'_> {
    /// Compares the arenas with the partition's table. It may have more.
    ///
    /// # Errors
    /// As [`ArenaRow::check`], for the first that differs.
    pub fn check(&self, block_size: u32, entries: &[TableEntry]) -> Result<(), PageError> {
        let mut arenas = self.arenas.iter();
        arenas.try_for_each(|arena| arena.check(block_size, entries))
    }
}

impl Page {
    /// Reads a page.
    ///
    /// A page that was cut just after an arena cannot be told from a shorter
    /// one; [`fetch`](crate::net::page::fetch) notices where the server says how long it is, as real
    /// ones do.
    ///
    /// # Errors
    /// Not an index page, one that is cut short, a line that is not understood
    /// or whose numbers cannot be, more than [`MAX_ARENAS`] arenas or [`MAX_PARTITIONS`]
    /// partitions.
    pub fn parse(text: &[u8]) -> Result<Self, PageError> {
        text::page(text)
    }

    /// The partitions in the order in which they first appear, each with its
    /// arenas.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionArenas<'_>> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut partitions: Vec<PartitionArenas<'_>> = Vec::new();
        for arena in &self.arenas {
            let partition = arena.partition.as_str();
            let place = *places.entry(partition).or_insert(partitions.len());
            match partitions.get_mut(place) {
                Some(found) => found.arenas.push(arena),
                None => partitions.push(PartitionArenas {
                    partition,
                    arenas: vec![arena],
                }),
            }
        }
        partitions
    }
}
