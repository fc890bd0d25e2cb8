//! The root blocks in an arena.

use std::sync::Arc;

use super::log::{ClumpLog, Directory, Item, What};
use super::{Arena, ReadAt};
use crate::codec::arena::clump::ClumpError;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::tree::Root;

/// A root block that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootClump {
    /// Its score.
    pub score: Score,
    /// What it says; `None` where it is a root of a form that is not known.
    pub root: Option<Root>,
    /// When its venti stored it, in seconds since 1970; `None` where only the
    /// directory tells of the clump.
    pub time: Option<u32>,
    /// Where its clump begins, bytes from the start of the data section.
    pub offset: u64,
}

/// What a search comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootEvent {
    /// A root.
    Found(RootClump),
    /// Clumps that cannot be read and may have been roots.
    Lost {
        /// Where they begin, bytes from the start of the data section.
        offset: u64,
        /// How many clumps.
        clumps: u64,
        /// What is wrong.
        why: String,
    },
    /// Everything before this was looked at: bytes of the data section.
    At(u64),
}

/// Looks for the roots of an arena, in the order of the log.
///
/// The directory says where they are, if its sizes add up to the log that the
/// trailer counts; then only they are read, and what follows in a log that can
/// still grow. Where they do not, or with `every_clump`, the whole log is read.
///
/// # Errors
/// The log cannot be walked at all.
pub fn find(
    source: &Arc<dyn ReadAt>,
    arena: &Arena,
    every_clump: bool,
    on_event: &mut dyn FnMut(RootEvent),
) -> Result<(), ClumpError> {
    let mut log = ClumpLog::open(Arc::clone(source), arena, 0, false)?;
    let listed = match every_clump {
        true => None,
        false => by_directory(source, arena),
    };
    if let Some(offsets) = listed {
        for offset in offsets {
            if log.advance_to(offset)
                && let Some(item) = log.next()
            {
                look(&mut log, &item, on_event);
            }
            on_event(RootEvent::At(offset));
        }
        log.advance_to(arena.live.used);
    }
    while let Some(item) = log.next() {
        look(&mut log, &item, on_event);
        on_event(RootEvent::At(item.end()));
    }
    Ok(())
}

/// Where the roots begin by the directory; `None` where that does not agree with
/// the trailer.
fn by_directory(source: &Arc<dyn ReadAt>, arena: &Arena) -> Option<Vec<u64>> {
    let mut offsets = Vec::new();
    let mut directory = Directory::new(Arc::clone(source), arena);
    let adds_up = directory.each(arena.live.used, |at, entry| {
        if entry.disk_type == BlockType::Root.to_disk() {
            offsets.push(at);
        }
    });
    adds_up.then_some(offsets)
}

/// Tells of a clump if it is a root, or may have been one.
fn look(log: &mut ClumpLog, item: &Item, on_event: &mut dyn FnMut(RootEvent)) {
    let (header, is_root) = match &item.what {
        What::Clump {
            header,
            block_type,
            other_type,
        } => {
            let types = [Some(*block_type), *other_type];
            (header, types.contains(&Some(BlockType::Root)))
        }
        What::Corrupt(_) => return,
        What::Lost(loss) => {
            let may_be_root = loss.block_type.is_none_or(|ty| ty == BlockType::Root);
            if may_be_root && !loss.maybe_late {
                on_event(RootEvent::Lost {
                    offset: item.offset,
                    clumps: loss.clumps,
                    why: loss.why.clone(),
                });
            }
            return;
        }
    };
    if !is_root {
        return;
    }
    let block = log.stored(item).map_err(|error| error.to_string());
    let block = block.and_then(|stored| header.block(stored).map_err(|e| e.to_string()));
    on_event(match block {
        Ok(block) => RootEvent::Found(RootClump {
            score: header.score,
            root: Root::parse(&block).ok(),
            time: (header.time != 0).then_some(header.time),
            offset: item.offset,
        }),
        Err(why) => RootEvent::Lost {
            offset: item.offset,
            clumps: 1,
            why,
        },
    });
}
