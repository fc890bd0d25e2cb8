//! Why a tree could not be walked, or a stream of it not be read.

use std::io;

use super::seen::FORGOTTEN_MAX;
use crate::codec::format_error::FormatError;
use crate::codec::score::Score;
use crate::net::client;

/// Why a tree could not be walked, or a stream of it not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A block is missing or damaged, or the server was lost.
    #[error("{0}")]
    Client(#[from] client::ClientError),
    /// An entry, or what a stream holds, is not what the format says.
    #[error("{0}")]
    Format(#[from] FormatError),
    /// A block is longer than its entry allows.
    #[error("block {score}: expected at most {most} bytes, found {found}")]
    Long {
        /// The block.
        score: Score,
        /// The most bytes.
        most: u64,
        /// What there are.
        found: usize,
    },
    /// A directory that is too large to be listed at once.
    #[error("expected at most {most} bytes of metadata, found {found}")]
    Large {
        /// The most bytes of metadata.
        most: u64,
        /// What there are.
        found: u64,
    },
    /// There are more pointer and directory blocks than are remembered, and too many of
    /// them were looked at again.
    #[error(
        "given up: more than {FORGOTTEN_MAX} pointer and directory blocks could not be remembered"
    )]
    TooMany,
    /// Too many blocks inside one another, all with more children to look at.
    #[error("given up: nested too deeply")]
    Deep,
    /// What was read could not be written.
    #[error("{0}")]
    Write(io::Error),
}
