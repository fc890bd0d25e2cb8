//! The root of any archive whose files have names: plan9port's vac, or a fossil's.

use std::fmt;

use eyre::Report;

use super::{ArchiveError, Dir, LAYER, SOURCES, read, read_root};
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::codec::tree::Entry;
use venticore::net::client::{self, Client};
use venticore::net::tree::BadBlock;
use venticore::status::{Failure, Status};

/// The root of an archive: where its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRoot {
    /// The root directory.
    pub directory: Dir,
    /// A fossil wrote it: it has the extra layer.
    pub is_fossil: bool,
}

/// Why a score has no files.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It is the score of nothing.
    #[error("the score of nothing: there is no archive")]
    Nil,
    /// A block on the way is missing or damaged.
    #[error("{what}: {damage}")]
    Damage {
        /// What the block is for.
        what: &'static str,
        /// What is wrong with it.
        damage: Box<BadBlock>,
    },
    /// The score belongs to a block of another type.
    #[error("not a root: expected a root block, found a {0} block of this score")]
    NotRoot(BlockType),
    /// A root, but the archive has no files with names.
    #[error("not an archive of files: {0}")]
    Shape(String),
    /// The venti was lost.
    #[error("{0}")]
    Client(#[from] client::ClientError),
}

impl RootError {
    /// The error as a report about this score.
    pub fn report(self, score: &Score, venti: &dyn fmt::Display) -> Report {
        match self {
            Self::Client(error) => Report::new(error).wrap_err(venti.to_string()),
            refusal => {
                let text = format!("{venti}: vac:{score}: {refusal}");
                Failure::report(Status::Unverified, text)
            }
        }
    }
}

impl From<ArchiveError> for RootError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Nil => Self::Nil,
            ArchiveError::Damage { what, damage } => Self::Damage { what, damage },
            ArchiveError::NoRoot(ty) => Self::NotRoot(ty),
            ArchiveError::Vac(text) | ArchiveError::Shape(text) => Self::Shape(text),
            ArchiveError::Client(error) => Self::Client(error),
        }
    }
}

impl ArchiveRoot {
    /// Reads a root, and what lies between it and the root directory.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn open(client: &mut Client, score: &Score) -> Result<Self, RootError> {
        if score.is_nil() {
            return Err(RootError::Nil);
        }
        let root = read_root(client, score)?;
        if root.kind != b"vac" {
            let kind = root.kind.escape_ascii();
            let text = format!("expected type vac, found \"{kind}\"");
            return Err(RootError::Shape(text));
        }
        let mut block = read(client, "root sources", root.score, BlockType::Dir)?;
        let is_fossil = block.len() <= LAYER;
        if is_fossil {
            let layer = Entry::parse(&block);
            if !layer.active || !layer.directory || layer.depth != 0 || layer.score.is_nil() {
                let text = "expected a directory in the entry at the top, found none".to_owned();
                return Err(RootError::Shape(text));
            }
            block = read(client, "root sources", layer.score, BlockType::Dir)?;
        }
        if block.len() > SOURCES {
            let found = block.len();
            let text = format!("expected 3 root sources in {SOURCES} bytes, found {found} bytes");
            return Err(RootError::Shape(text));
        }
        let source = |n: usize| Entry::parse(block.get(n * Entry::LEN..).unwrap_or_default());
        let (entry, meta) = (source(0), source(1));
        let is_directory = entry.active && entry.directory;
        if !is_directory || !meta.active || meta.directory {
            let text = "expected a directory and its metadata, found other root sources".to_owned();
            return Err(RootError::Shape(text));
        }
        Ok(ArchiveRoot {
            directory: Dir { entry, meta },
            is_fossil,
        })
    }
}
