//! Why a clump cannot be had.

use std::fmt;
use std::io;

use crate::codec::arena::clump::ClumpError;

/// Why a clump cannot be had.
#[derive(Clone, Debug)]
pub(super) enum ClumpFault {
    Clump(ClumpError),
    Read(String),
}

impl ClumpFault {
    /// Zero bytes or the bytes of an earlier use stand where a clump should.
    pub(super) fn is_no_clump(&self) -> bool {
        matches!(self, Self::Clump(ClumpError::Magic { .. }))
    }
}

impl fmt::Display for ClumpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clump(error) => error.fmt(f),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

impl From<ClumpError> for ClumpFault {
    fn from(error: ClumpError) -> Self {
        ClumpFault::Clump(error)
    }
}

impl From<io::Error> for ClumpFault {
    fn from(error: io::Error) -> Self {
        ClumpFault::Read(error.to_string())
    }
}
