//! All that knows fossil. It builds on `venticore`, which knows nothing of it.
//!
//! Its modules stand on floors: each uses only those listed before it, and the test
//! `floors` in the stories keeps it so.

pub mod disk;

pub mod archive;
pub mod unpack;

pub mod last;
pub mod ninep;

pub mod console;

pub mod broker;
pub mod processes;
mod venti;

pub mod snapshot;

pub mod halt;

mod rootline;

pub mod format;

pub mod remote;

pub mod commands;
