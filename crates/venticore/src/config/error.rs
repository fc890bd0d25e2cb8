//! Why a configuration cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum Error {
    /// A configuration file could not be read.
    Read(PathBuf, io::Error),
    /// The one that `$VENTIPROG_CONFIG` names is not there.
    Missing(PathBuf),
    /// Its text is not what was expected.
    Text(PathBuf, String),
    /// A variable holds what is not text.
    Variable(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Missing(path) => write!(
                f,
                "$VENTIPROG_CONFIG: {}: no such file; correct the variable or unset it",
                path.display()
            ),
            Self::Text(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Variable(name) => write!(f, "${name}: expected text, found other bytes"),
        }
    }
}

impl std::error::Error for Error {}
