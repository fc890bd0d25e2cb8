//! The environment of the process.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::status::{Failure, Status};

/// Variables and their values.
pub(super) struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The environment of this process.
    pub(super) fn of_this_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable that is set, and not empty.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.0.get(OsStr::new(name))?;
        (!value.is_empty()).then(|| value.into())
    }

    /// A variable that is set to text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.0.get(OsStr::new(name))?.to_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The words of a variable: split at blanks, and at byte 1, which is how
    /// plan9port's rc separates the elements of a list.
    pub(super) fn list(&self, name: &'static str) -> eyre::Result<Vec<String>> {
        let Some(value) = self.0.get(OsStr::new(name)) else {
            return Ok(Vec::new());
        };
        let value = value.to_str().ok_or_else(|| {
            let message = format!("${name}: expected text, found other bytes");
            Failure::report(Status::Usage, message)
        })?;
        Ok(value
            .split(|c: char| c == '\x01' || c.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// `$STATE_DIRECTORY`; systemd separates several state directories by colons.
    pub(super) fn state_directory(&self) -> Option<PathBuf> {
        let dirs = self.path("STATE_DIRECTORY")?;
        match dirs.to_str().and_then(|dirs| dirs.split_once(':')) {
            Some((first, _)) => Some(first.into()),
            None => Some(dirs),
        }
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Environment(variables.into_iter().collect())
    }
}
