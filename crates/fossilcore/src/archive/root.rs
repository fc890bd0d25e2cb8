//! The root of any archive whose files have names: plan9port's vac, or a fossil's.

use std::ops::ControlFlow;

use eyre::{Report, WrapErr};

use super::{ArchiveError, Dir, LAYER, SOURCES};
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, Root};
use venticore::net::tree::{BadBlock, BlockFault, Blocks};
use venticore::status::{Failure, Status};

/// The root of an archive: where its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRoot {
    /// The root directory.
    pub directory: Dir,
    /// A fossil wrote it: it has the extra layer.
    pub is_fossil: bool,
}

/// Why a score has no files, as a report.
fn report(error: ArchiveError) -> Report {
    let text = match error {
        ArchiveError::Client(error) => return Report::new(error),
        ArchiveError::Nil => "the score of nothing: there is no archive".to_owned(),
        ArchiveError::Damage { what, damage } => format!("{what}: {damage}"),
        ArchiveError::NoRoot(ty) => {
            format!("not a root: expected a root block, found a {ty} block of this score")
        }
        ArchiveError::Vac(text) | ArchiveError::Shape(text) => {
            format!("not an archive of files: {text}")
        }
    };
    Failure::report(Status::Unverified, text)
}

impl ArchiveRoot {
    /// Reads a root, and what lies between it and the root directory.
    ///
    /// # Errors
    /// The score is not the root of an archive of files, or a block on the way is missing
    /// or damaged; or the venti was lost.
    pub fn open(blocks: &mut dyn Blocks, score: &Score) -> eyre::Result<Self> {
        Self::read(blocks, score)
            .map_err(report)
            .wrap_err_with(|| format!("vac:{score}"))
    }

    fn read(blocks: &mut dyn Blocks, score: &Score) -> Result<Self, ArchiveError> {
        if score.is_nil() {
            return Err(ArchiveError::Nil);
        }
        let root = read_root(blocks, score)?;
        if root.kind != b"vac" {
            let kind = root.kind.escape_ascii();
            let text = format!("expected type vac, found \"{kind}\"");
            return Err(ArchiveError::Shape(text));
        }
        let mut block = read(blocks, "root sources", root.score, BlockType::Dir)?;
        let is_fossil = block.len() <= LAYER;
        if is_fossil {
            let layer = Entry::parse(&block);
            if !layer.active || !layer.directory || layer.depth != 0 || layer.score.is_nil() {
                let text = "expected a directory in the entry at the top, found none".to_owned();
                return Err(ArchiveError::Shape(text));
            }
            block = read(blocks, "root sources", layer.score, BlockType::Dir)?;
        }
        if block.len() > SOURCES {
            let found = block.len();
            let text = format!("expected 3 root sources in {SOURCES} bytes, found {found} bytes");
            return Err(ArchiveError::Shape(text));
        }
        let source = |n: usize| Entry::parse(block.get(n * Entry::LEN..).unwrap_or_default());
        let (entry, meta) = (source(0), source(1));
        let is_directory = entry.active && entry.directory;
        if !is_directory || !meta.active || meta.directory {
            let text = "expected a directory and its metadata, found other root sources".to_owned();
            return Err(ArchiveError::Shape(text));
        }
        Ok(ArchiveRoot {
            directory: Dir { entry, meta },
            is_fossil,
        })
    }
}

/// Reads the root block.
fn read_root(blocks: &mut dyn Blocks, score: &Score) -> Result<Root, ArchiveError> {
    let block = match read(blocks, "root", *score, BlockType::Root) {
        Ok(block) => block,
        Err(ArchiveError::Damage { what, damage }) => {
            let others = BlockType::all().filter(|&ty| ty != BlockType::Root);
            for ty in others.filter(|_| damage.fault == BlockFault::Missing) {
                if read(blocks, what, *score, ty).is_ok() {
                    return Err(ArchiveError::NoRoot(ty));
                }
            }
            return Err(ArchiveError::Damage { what, damage });
        }
        Err(error) => return Err(error),
    };
    Root::parse(&block).map_err(|error| ArchiveError::Shape(error.to_string()))
}

/// Reads a block that the root leads to.
fn read(
    blocks: &mut dyn Blocks,
    what: &'static str,
    score: Score,
    ty: BlockType,
) -> Result<Vec<u8>, ArchiveError> {
    let mut wanted = Some((score, ty));
    let mut found = Err(None);
    blocks.read_each(&mut || wanted.take(), &mut |_, block| {
        found = block.map(<[u8]>::to_vec).map_err(Some);
        ControlFlow::Continue(())
    })?;
    let fault = match found {
        Ok(block) => return Ok(block),
        Err(Some(error)) => BadBlock::fault_of(error)?,
        Err(None) => BlockFault::Missing,
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
