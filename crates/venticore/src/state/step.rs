//! The changes that are made to a state directory, one system call each, and
//! the place at which tests stop a run between two of them.

use std::fmt;
use std::io;
use std::path::Path;

/// A change about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingChange<'a> {
    /// A file is opened, and made where there is none.
    Open(&'a Path),
    /// Bytes are written to a file, or it is cut.
    Write(&'a Path),
    /// A file gets its mode.
    Mode(&'a Path),
    /// What was written to a file is made to last.
    Sync(&'a Path),
    /// A file takes the name of another.
    Rename(&'a Path, &'a Path),
    /// The names in a directory are made to last.
    SyncDir(&'a Path),
    /// A file is removed.
    Remove(&'a Path),
}

/// Asked before each [`PendingChange`]: what tests put between a state directory and the
/// system. A guard that lets nothing pass any more leaves on disk what a run
/// leaves that was killed there; nothing is cleaned up behind it.
pub trait Guard: fmt::Debug + Send + Sync {
    /// Lets a step pass.
    ///
    /// # Errors
    /// The step is not made, and fails with this.
    fn before(&self, step: PendingChange<'_>) -> io::Result<()>;
}
