//! Who does the sending.

use eyre::Result;

use crate::config::Config;
use crate::copy::external::Program;
use crate::status::{Failure, Status};

/// Who does the sending.
pub(super) enum Engine {
    /// We do.
    Native,
    /// This program does.
    External(Program),
}

impl Engine {
    /// The engine asked for, otherwise the configured one.
    ///
    /// # Errors
    /// The engine does not exist, or the configured program has no name.
    pub(super) fn choose(asked: Option<&str>, config: &Config) -> Result<Self> {
        match asked.or(config.engine.as_deref()) {
            None | Some("native") => Ok(Self::Native),
            Some("external") => Ok(Self::External(match &config.wrarena {
                Some(argv) => Program::new(argv)?,
                None => Program::default(),
            })),
            Some(other) => Err(Failure::report(
                Status::Usage,
                format!("-e: expected native or external, found {other:?}"),
            )),
        }
    }
}
