//! What there is before anything is copied: the state files, the partitions of the
//! source, the index page that counts them, and the targets that are asked for. Of two
//! commands that look, each sees the same.

use std::path::Path;

use crate::status::{Failure, Status};

pub(crate) mod page;
pub(crate) mod part;
pub(crate) mod record;
pub(crate) mod sought;
pub(crate) mod targets;
pub(crate) mod unseen;

/// What a call names of the source and of the targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `-p`: arena partitions, besides the one in the wrcmd.
    pub partitions: Vec<String>,
    /// `-i`: the URL of the source's index page.
    pub index: Option<String>,
    /// `--offline`: no server writes the partitions.
    pub offline: bool,
    /// The ventis that are targets, besides the one in the wrcmd.
    pub targets: Vec<String>,
}

/// The error of a command that only reads, and finds no state directory.
pub(crate) fn no_state(dir: &Path) -> eyre::Report {
    let cause = format!("{}: no such state directory", dir.display());
    Failure::report(Status::Failed, cause)
}
