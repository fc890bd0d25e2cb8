//! An archive of a fossil on a venti (fossil.md 1.8, venti.md 8.5): what is
//! fossil's own in its tree, and the proof that all of it is there.
//!
//! The root leads to an extra layer of one entry, that to the three root
//! sources, and those to the root directory with `active`, `archive` and
//! `snapshot`. A plain archive of vac(1) has no extra layer, and its root has
//! no qid space: no fossil can be made of it. Its files are found in the same way:
//! [`ArchiveRoot`] takes both.

mod contents;
mod names;
mod proof;
mod root;
mod tree;
mod whole;

use std::fmt;

use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, Root};
use venticore::net::client::{self, Client, Presence};
use venticore::net::tree as hashtree;
use venticore::net::tree::{BadBlock, BlockFault};
use venticore::status::{Failure, Status};

use crate::disk::{DirEntry, MetaBlock};

pub use contents::{ArchiveItem, Contents, Folder, Located, locate};
pub use proof::{Depth, Finding, Findings, prove};
pub use root::ArchiveRoot;
pub use tree::{ArchiveFile, Dir, find, list, taken};
pub use whole::{Checking, NamedBlock, RootCheck, RootFindings};

/// The root of an archive, and what a format needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its score.
    pub score: Score,
    /// The root block.
    pub root: Root,
    /// The entry at the top: the entry of the extra layer, if there is one.
    pub top: Option<Entry>,
    /// The block with the three root sources, as it is stored.
    pub block: Vec<u8>,
    /// The root sources: the root directory, its metadata, its own entry.
    pub sources: [Entry; 3],
    /// The root directory's own entry.
    pub own: DirEntry,
    /// The next qid to hand out.
    pub qid: u64,
}

/// Why a score cannot become a fossil.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is the score of nothing.
    #[error(
        "not a fossil root: the score of nothing stands for a fossil that was never archived: {ADVICE}"
    )]
    Nil,
    /// A block on the way is missing or damaged.
    #[error("{what}: {damage}: give the venti that has the archive, or another score")]
    Damage {
        /// What the block is for.
        what: &'static str,
        /// What is wrong with it.
        damage: Box<BadBlock>,
    },
    /// The score belongs to a block of another type.
    #[error("not a fossil root: expected a root block, found a {0} block of this score: {ADVICE}")]
    NoRoot(BlockType),
    /// A plain archive of vac(1), and how that shows.
    #[error(
        "not a fossil root: a plain vac archive, {0}: unvac can read it, no fossil can: {ADVICE}"
    )]
    Vac(String),
    /// A root, but not one that a fossil wrote.
    #[error("not a fossil root: {0}: {ADVICE}")]
    Shape(String),
    /// The venti was lost.
    #[error("{0}")]
    Client(#[from] client::ClientError),
}

/// The way out of a score that is not a fossil's.
const ADVICE: &str = "give a score that fossilize printed";

impl ArchiveError {
    /// The error as a report about this score.
    pub fn report(self, score: &Score, venti: &dyn fmt::Display) -> eyre::Report {
        match self {
            Self::Client(error) => eyre::Report::new(error).wrap_err(venti.to_string()),
            refusal => Failure::report(Status::Unverified, format!("vac:{score}: {refusal}")),
        }
    }
}

/// The most bytes of a block with the root sources.
const SOURCES: usize = 3 * Entry::LEN;

/// A block with at most this many bytes is the extra layer.
const LAYER: usize = 2 * Entry::LEN;

/// The largest block that a fossil can have.
const BLOCK: u32 = 65_024;

impl Archive {
    /// Reads the root, the layer below it, and the root's own metadata: all
    /// that a format needs, and nothing more.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn read(client: &mut Client, score: &Score) -> Result<Self, ArchiveError> {
        if score.is_nil() {
            return Err(ArchiveError::Nil);
        }
        let root = read_root(client, score)?;
        if root.kind != b"vac" {
            let kind = root.kind.escape_ascii();
            return Err(ArchiveError::Shape(format!(
                "expected type vac, found \"{kind}\""
            )));
        }
        let mut block = read(client, "root sources", root.score, BlockType::Dir)?;
        let mut top = None;
        if block.len() <= LAYER {
            let layer = Entry::parse(&block);
            check_source("the entry at the top", &layer, true)?;
            block = read(client, "root sources", layer.score, BlockType::Dir)?;
            top = Some(layer);
        }
        if block.len() > SOURCES {
            let text = format!(
                "expected 3 root sources in 120 bytes, found {} bytes",
                block.len()
            );
            return Err(ArchiveError::Shape(text));
        }
        let source = |n: usize| Entry::parse(block.get(n * Entry::LEN..).unwrap_or_default());
        let sources = [0, 1, 2].map(source);
        if sources.iter().any(|source| source.local) {
            let text = "with the local flag on its entries".to_owned();
            return Err(ArchiveError::Vac(text));
        }
        for (number, source) in sources.iter().enumerate() {
            check_sizes(number, source)?;
        }
        check_source("root source 2", &sources[2], false)?;
        let meta = sources[2].score;
        let meta = read(client, "the root's metadata", meta, BlockType::Data)?;
        let own = own_entry(&meta)?;
        let Some(space) = own.qid_space else {
            return Err(ArchiveError::Vac("without a qid space on its root".into()));
        };
        if space.max == 0 {
            return Err(ArchiveError::Shape(
                "expected a qid of at least 1, found 0".into(),
            ));
        }
        Ok(Archive {
            score: *score,
            root,
            top,
            block,
            sources,
            own,
            qid: space.max,
        })
    }

    /// The least block size that a partition must have: the root's, or the
    /// block size of a root source that has larger blocks.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        let sizes = self.sources.iter().flat_map(|s| [s.psize(), s.dsize()]);
        sizes.fold(self.root.block_size(), u64::max)
    }

    /// The root directory.
    #[must_use]
    pub fn directory(&self) -> Dir {
        Dir {
            entry: self.sources[0],
            meta: self.sources[1],
        }
    }
}

fn read_root(client: &mut Client, score: &Score) -> Result<Root, ArchiveError> {
    let damage = match hashtree::read_root(client, score)? {
        Ok(root) => return Ok(root),
        Err(damage) => damage,
    };
    if damage.fault == BlockFault::Missing
        && let Some(ty) = other_type(client, score)?
    {
        return Err(ArchiveError::NoRoot(ty));
    }
    let what = "root";
    Err(match damage.fault {
        BlockFault::Format(text) => ArchiveError::Shape(text),
        _ => ArchiveError::Damage {
            what,
            damage: Box::new(damage),
        },
    })
}

/// The type of a block with this score that is not a root.
fn other_type(
    client: &mut Client,
    score: &Score,
) -> Result<Option<BlockType>, client::ClientError> {
    for ty in BlockType::all().filter(|&ty| ty != BlockType::Root) {
        if matches!(client.probe(score, ty)?, Presence::Present { .. }) {
            return Ok(Some(ty));
        }
    }
    Ok(None)
}

/// Reads a block that the root leads to.
fn read(
    client: &mut Client,
    what: &'static str,
    score: Score,
    ty: BlockType,
) -> Result<Vec<u8>, ArchiveError> {
    let fault = match client.read(&score, ty, BLOCK) {
        Ok(block) => return Ok(block),
        Err(error) => BadBlock::fault_of(error)?,
    };
    let damage = Box::new(BadBlock {
        path: Vec::new(),
        at: None,
        ty,
        score,
        fault,
    });
    Err(ArchiveError::Damage { what, damage })
}

/// A source of one leaf, which a format reads without looking at its depth.
fn check_source(what: &str, source: &Entry, directory: bool) -> Result<(), ArchiveError> {
    let shape = |text: String| Err(ArchiveError::Shape(format!("{what}: {text}")));
    if source.local {
        return Err(ArchiveError::Vac(
            "with the local flag on its entries".into(),
        ));
    }
    if !source.active || source.directory != directory || source.score.is_nil() {
        let kind = if directory { "a directory" } else { "a file" };
        return shape(format!("expected {kind}, found none"));
    }
    if source.depth != 0 {
        return shape(format!("expected depth 0, found {}", source.depth));
    }
    Ok(())
}

/// What a format asks of each root source.
fn check_sizes(number: usize, source: &Entry) -> Result<(), ArchiveError> {
    let shape = |text: String| Err(ArchiveError::Shape(format!("root source {number}: {text}")));
    if !source.active {
        return shape("not in use".into());
    }
    if source.directory != (number == 0) {
        let text = match number {
            0 => "expected a directory, found a file",
            _ => "expected a file, found a directory",
        };
        return shape(text.into());
    }
    if source.big {
        return shape("in the encoding of large blocks, which fossil does not know".into());
    }
    let (psize, dsize) = (source.psize(), source.dsize());
    if psize < Entry::SIZE_MIN || dsize < Entry::SIZE_MIN {
        return shape(format!(
            "expected blocks of at least 256 bytes, found {psize} and {dsize}"
        ));
    }
    source
        .check()
        .map_err(|error| ArchiveError::Shape(format!("root source {number}: {error}")))
}

/// The directory entry in the metadata of the root itself.
fn own_entry(block: &[u8]) -> Result<DirEntry, ArchiveError> {
    let shape =
        |error: &dyn fmt::Display| ArchiveError::Shape(format!("the root's metadata: {error}"));
    let meta = MetaBlock::parse(&tree::padded(block)).map_err(|e| shape(&e))?;
    let first = meta.entries().next();
    let entry = first.ok_or_else(|| shape(&"expected an entry, found none"))?;
    entry.map_err(|e| shape(&e))
}
