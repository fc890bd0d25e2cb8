//! Blocks of trees, from a venti or from its arenas on a disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::arena::clump::{ClumpError, ClumpHeader, HEADER_LEN};
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::net::client::{Answer, Client, ClientError, Operation, Question};
use crate::source::log::{ClumpLog, Directory, What};
use crate::source::{Arena, ReadAt};

/// Takes each block read, or why not, with its number.
pub type TakeBlock<'f> = dyn FnMut(usize, Result<&[u8], ClientError>) -> ControlFlow<()> + 'f;

/// Where blocks come from.
pub trait Blocks {
    /// Reads what `next` gives, and gives each block to `take` with the number of its
    /// question, in any order. Where `next` has nothing, it is asked again after each
    /// block. It is over when it has nothing and nothing is outstanding, or `take` breaks.
    ///
    /// # Errors
    /// The venti was lost. What a single block can fail with goes to `take`.
    fn read_each(
        &mut self,
        next: &mut dyn FnMut() -> Option<(Score, BlockType)>,
        take: &mut TakeBlock<'_>,
    ) -> Result<(), ClientError>;
}

impl Blocks for Client {
    fn read_each(
        &mut self,
        next: &mut dyn FnMut() -> Option<(Score, BlockType)>,
        take: &mut TakeBlock<'_>,
    ) -> Result<(), ClientError> {
        let question = || next().map(|(score, ty)| Question::Read(score, ty));
        self.ask_many(question, |number, answer| match answer {
            Answer::Block(block) => take(number, block),
            Answer::Presence(_) => ControlFlow::Continue(()),
        })
    }
}

/// The clumps of some arenas, found by their scores: 16 bytes of memory for each.
pub struct ArenaBlocks {
    source: Arc<dyn ReadAt>,
    arenas: Vec<Arena>,
    /// The first bytes of each score, and where its clump begins in the partition.
    clumps: Vec<(u64, u64)>,
}

impl ArenaBlocks {
    /// The clumps of these arenas: by their directories, where these add up to the log,
    /// and otherwise by the log itself. `tick` is told how many were found.
    ///
    /// # Errors
    /// A log cannot be walked at all.
    pub fn of(
        source: Arc<dyn ReadAt>,
        arenas: Vec<Arena>,
        tick: &mut dyn FnMut(u64),
    ) -> Result<Self, ClumpError> {
        let mut clumps = Vec::new();
        for arena in &arenas {
            let from = match by_directory(&source, arena) {
                Some(listed) => {
                    clumps.extend(listed);
                    arena.live.used
                }
                None => 0,
            };
            for item in ClumpLog::open(Arc::clone(&source), arena, from, false)? {
                if let What::Clump { header, .. } = &item.what {
                    clumps.push((prefix(&header.score), arena.base() + item.offset));
                }
            }
            tick(clumps.len() as u64);
        }
        clumps.sort_unstable();
        Ok(ArenaBlocks {
            source,
            arenas,
            clumps,
        })
    }

    /// A block, or the text that says why there is none; an empty one where no clump has
    /// its score.
    fn block(&self, score: &Score, ty: BlockType) -> Result<Vec<u8>, String> {
        let wanted = prefix(score);
        let from = self.clumps.partition_point(|(found, _)| *found < wanted);
        let clumps = self.clumps.iter().skip(from);
        let mut why = String::new();
        for (_, at) in clumps.take_while(|(found, _)| *found == wanted) {
            match self.clump(*at, score, ty) {
                Ok(Some(block)) => return Ok(block),
                Ok(None) => {}
                Err(text) => why = text,
            }
        }
        Err(why)
    }

    /// The block of the clump at this place; `None` where it is another one.
    fn clump(&self, at: u64, score: &Score, ty: BlockType) -> Result<Option<Vec<u8>>, String> {
        let arena = self.arenas.iter().find(|arena| {
            let base = arena.base();
            (base..base.saturating_add(arena.size)).contains(&at)
        });
        let magic = arena.map_or(0, |arena| arena.clump_magic);
        let mut bytes = [0; HEADER_LEN];
        let read = self.source.read_at(&mut bytes, at);
        read.map_err(|error| error.to_string())?;
        let header = ClumpHeader::parse(&bytes, magic).map_err(|error| error.to_string())?;
        if header.score != *score || header.block_type().is_some_and(|found| found != ty) {
            return Ok(None);
        }
        let mut stored = vec![0; header.size.into()];
        let read = self.source.read_at(&mut stored, at + HEADER_LEN as u64);
        read.map_err(|error| error.to_string())?;
        let block = header.block(&stored).map_err(|error| error.to_string())?;
        Ok(Some(block.into_owned()))
    }
}

impl Blocks for ArenaBlocks {
    fn read_each(
        &mut self,
        next: &mut dyn FnMut() -> Option<(Score, BlockType)>,
        take: &mut TakeBlock<'_>,
    ) -> Result<(), ClientError> {
        let mut number = 0;
        while let Some((score, ty)) = next() {
            let block = match score.is_nil() {
                true => Ok(Vec::new()),
                false => self.block(&score, ty).map_err(|text| ClientError::Refused {
                    asked: Operation::Read(ty, score),
                    absent: text.is_empty(),
                    text,
                }),
            };
            let taken = match block {
                Ok(block) => take(number, Ok(&block)),
                Err(error) => take(number, Err(error)),
            };
            if taken.is_break() {
                break;
            }
            number += 1;
        }
        Ok(())
    }
}

/// The clumps that a directory lists; `None` where it does not add up to the log.
fn by_directory(source: &Arc<dyn ReadAt>, arena: &Arena) -> Option<Vec<(u64, u64)>> {
    let mut clumps = Vec::new();
    let mut directory = Directory::new(Arc::clone(source), arena);
    let adds_up = directory.each(arena.live.used, |at, entry| {
        clumps.push((prefix(&entry.score), arena.base() + at));
    });
    adds_up.then_some(clumps)
}

/// The first eight bytes of a score.
fn prefix(score: &Score) -> u64 {
    let bytes = score.as_bytes().iter().take(8);
    bytes.fold(0, |number, &byte| number << 8 | u64::from(byte))
}
