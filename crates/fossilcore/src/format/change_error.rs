//! Why a format, or putting back what was there before, did not succeed.

use std::io;

/// Why a partition was not formatted, or not put back as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The partition, or the undo file, could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The undo file is not what it should be.
    #[error("expected an undo file, found {0}")]
    Format(String),
    /// The partition has another length.
    #[error(
        "expected a partition of {expected} bytes, found {found}: the undo file is for another one"
    )]
    Length {
        /// The length of the partition that the undo file is of.
        expected: u64,
        /// The length of this one.
        found: u64,
    },
    /// The partition holds something that is neither the old nor the new, from
    /// this byte on.
    #[error(
        "expected what the format wrote, or what it replaced, found something else at {0}: the undo file is for another partition, or this one was written to since"
    )]
    Written(u64),
    /// What was read back is not what was written.
    #[error("{area}: read back at {at}: expected what was written, found something else")]
    Differs {
        /// What is there: `labels`, `super` ...
        area: &'static str,
        /// The first byte that differs.
        at: u64,
    },
}
