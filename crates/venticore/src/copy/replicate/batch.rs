//! A batch: neighbouring clumps of one arena, as stored and as blocks.

use std::ops::{Deref, DerefMut, Range};

use crossbeam_channel::Sender;

use crate::codec::arena::clump::ClumpError;
use crate::codec::arena::clump::Encoding;
use crate::codec::blocktype::{BLOCK_MAX, BlockType};
use crate::codec::score::Score;
use crate::source::log::{self, Item, Loss, What};
use crate::source::{Arena, ReadAt};

/// What is known of a clump's block.
#[derive(Debug)]
pub(super) enum BlockVerdict {
    /// Not looked at yet.
    Pending,
    /// It hashes to its score, and lies here.
    Good(BatchSlot),
    /// The log itself marks it corrupt.
    Corrupt,
    /// It cannot be had.
    Lost(Loss),
}

/// Where in its batch a block lies.
#[derive(Clone, Debug)]
pub(super) enum BatchSlot {
    /// Stored as it is.
    Stored(Range<usize>),
    /// Decompressed.
    Plain(Range<usize>),
}

/// One stretch of the log in a batch.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) item: Item,
    stored: Range<usize>,
    pub(super) verdict: BlockVerdict,
}

/// A verified block, to be sent.
#[derive(Clone, Copy)]
pub(super) struct Sendable<'a> {
    /// Its type, score and bytes.
    pub(super) block: (BlockType, Score, &'a [u8]),
    /// Bytes that its clump takes up in the log.
    pub(super) log_bytes: u64,
}

/// Neighbouring clumps of one arena.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Which arena of the job.
    pub(super) arena: usize,
    pub(super) blocks: Vec<Block>,
    /// Why the walk could not start; then `blocks` is empty.
    pub(super) error: Option<ClumpError>,
    stored: Vec<u8>,
    plain: Vec<u8>,
    /// Stored and decompressed bytes of a full one, each.
    full: usize,
    /// Bytes that the compressed blocks take up once decompressed.
    plain_len: usize,
    /// Clumps that were decompressed and hashed.
    pub(super) decoded: u64,
}

impl Batch {
    /// Stored and decompressed bytes of a full batch, each: enough for system
    /// calls of a useful size, little enough for a dozen batches.
    pub(super) const LARGEST: usize = 512 * 1024;

    /// The same, where many targets share the memory: room for more than the
    /// largest block.
    pub(super) const SMALLEST: usize = 128 * 1024;

    /// Bytes of blocks in a batch at most.
    pub(super) const MOST: u64 = 2 * Self::LARGEST as u64;

    /// An empty batch. When it is full it has `full` stored and `full`
    /// decompressed bytes.
    pub(super) fn new(full: usize) -> Self {
        Batch {
            full,
            ..Batch::default()
        }
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.error = None;
        self.stored.clear();
        self.plain_len = 0;
        self.decoded = 0;
    }

    pub(super) fn is_full(&self) -> bool {
        self.stored.len() + BLOCK_MAX as usize > self.full
            || self.plain_len + BLOCK_MAX as usize > self.full
            || self.blocks.len() >= self.full / 128
    }

    /// Adds a stretch of the log; `stored` is what follows a clump's header.
    pub(super) fn push(&mut self, item: Item, stored: &[u8]) {
        let start = self.stored.len();
        self.stored.extend_from_slice(stored);
        let verdict = match &item.what {
            What::Clump { header, .. } => {
                if header.encoding == Encoding::Whack {
                    self.plain_len += usize::from(header.uncompressed);
                }
                BlockVerdict::Pending
            }
            What::Corrupt(_) => BlockVerdict::Corrupt,
            What::Lost(loss) => BlockVerdict::Lost(loss.clone()),
        };
        self.blocks.push(Block {
            item,
            stored: start..self.stored.len(),
            verdict,
        });
    }

    /// Decompresses and hashes every clump.
    pub(super) fn verify(&mut self, source: &dyn ReadAt, arena: &Arena, synced: bool) {
        if self.plain.len() < self.plain_len {
            self.plain.resize(self.plain_len, 0);
        }
        let mut rest = self.plain.as_mut_slice();
        let mut at = 0;
        for block in &mut self.blocks {
            let What::Clump { header, .. } = &block.item.what else {
                continue;
            };
            let len = match header.encoding {
                Encoding::Plain => 0,
                Encoding::Whack => usize::from(header.uncompressed),
            };
            let (room, after) = rest.split_at_mut(len);
            rest = after;
            let place = match header.encoding {
                Encoding::Plain => BatchSlot::Stored(block.stored.clone()),
                Encoding::Whack => BatchSlot::Plain(at..at + len),
            };
            at += len;
            self.decoded += 1;
            let Some(stored) = self.stored.get_mut(block.stored.clone()) else {
                continue;
            };
            block.verdict = match verify_block(&block.item, stored, room, source, arena, synced) {
                Ok(()) => BlockVerdict::Good(place),
                Err(loss) => BlockVerdict::Lost(loss),
            };
        }
    }

    /// What may be there although it is damaged here, and where: blocks under
    /// the type they had, or under any type where none is known.
    pub(super) fn lost(&self) -> impl Iterator<Item = (u64, Score, BlockType)> {
        self.blocks.iter().flat_map(|block| {
            let (score, types) = match &block.verdict {
                BlockVerdict::Corrupt => (corrupt_score(&block.item), BlockType::all().collect()),
                BlockVerdict::Lost(loss) if !loss.maybe_late => {
                    let types = loss.block_type.into_iter().collect();
                    (loss.score, types)
                }
                _ => (None, Vec::new()),
            };
            let at = block.item.offset;
            types
                .into_iter()
                .filter_map(move |block_type| Some((at, score?, block_type)))
        })
    }

    /// What follows the header of a clump in the log.
    pub(super) fn stored(&self, block: &Block) -> Option<&[u8]> {
        self.stored.get(block.stored.clone())
    }

    /// The verified blocks, in log order, each with the bytes that its clump
    /// takes up there. A block whose type the log names twice over comes under
    /// both.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Sendable<'_>> {
        self.blocks.iter().flat_map(|block| {
            let place = match &block.verdict {
                BlockVerdict::Good(BatchSlot::Stored(range)) => self.stored.get(range.clone()),
                BlockVerdict::Good(BatchSlot::Plain(range)) => self.plain.get(range.clone()),
                _ => None,
            };
            let types = match &block.item.what {
                What::Clump {
                    header,
                    block_type,
                    other_type,
                } => [Some(*block_type), *other_type].map(|t| t.map(|t| (t, header.score))),
                _ => [None, None],
            };
            types
                .into_iter()
                .flatten()
                .filter_map(move |(block_type, score)| {
                    Some(Sendable {
                        block: (block_type, score, place?),
                        log_bytes: block.item.len,
                    })
                })
        })
    }
}

fn corrupt_score(item: &Item) -> Option<Score> {
    match item.what {
        What::Corrupt(score) => Some(score),
        _ => None,
    }
}

/// Decodes one clump. One that fails is read once more from the source: it may
/// have been looked at while the server was writing it.
fn verify_block(
    item: &Item,
    stored: &mut [u8],
    room: &mut [u8],
    source: &dyn ReadAt,
    arena: &Arena,
    synced: bool,
) -> Result<(), Loss> {
    let What::Clump { header, .. } = &item.what else {
        return Ok(());
    };
    if header.decode(stored, room).is_ok() {
        return Ok(());
    }
    let data = arena.base() + item.end() - stored.len() as u64;
    let again = source.read_at(stored, data);
    match (header.decode(stored, room), again) {
        (Ok(_), _) => Ok(()),
        (Err(error), _) => Err(log::loss(arena, item, stored, &error, synced)),
    }
}

/// A batch on loan from the pool, to which it returns when dropped.
pub(super) struct Lease {
    batch: Batch,
    home: Sender<Batch>,
}

impl Lease {
    pub(super) fn new(batch: Batch, home: Sender<Batch>) -> Self {
        Lease { batch, home }
    }
}

impl Deref for Lease {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Batch {
        &mut self.batch
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The pool is gone when the run has ended.
        let _ = self.home.try_send(std::mem::take(&mut self.batch));
    }
}
