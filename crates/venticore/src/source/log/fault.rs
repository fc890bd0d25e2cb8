//! Why a clump cannot be had.

use std::fmt;
use std::io;

use crate::codec::arena::clump::ClumpError;

/// Why a clump cannot be had.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Clump(ClumpError),
    Read(String),
}

impl Fault {
    /// Zero bytes or those of an earlier use stand where a clump should.
    pub(super) fn is_no_clump(&self) -> bool {
        matches!(self, Self::Clump(ClumpError::Magic { .. }))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clump(error) => error.fmt(f),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

impl From<ClumpError> for Fault {
    fn from(error: ClumpError) -> Self {
        Fault::Clump(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Read(error.to_string())
    }
}
