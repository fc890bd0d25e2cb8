//! The broker: runs `fossil -t` on a pseudo-terminal and serves its console on a
//! unix socket to any number of clients (fossil.md 6.7, 6.8).
//!
//! Two programs stand behind it, both our own, run again: the broker, leader of
//! a session without a terminal, and a shim that makes the pseudo-terminal its
//! own and becomes the fossil. So nothing has to happen between fork and exec.
//!
//! One thread, which waits for everything at once and never for one client. Only
//! the log, the fossil's end and an orderly end have threads beside it.

mod client;
mod desk;
mod diary;
mod input;
mod outbox;
mod server;
mod shim;
mod socket;
mod started;
mod tape;
mod terminal;
mod word;

use std::path::PathBuf;
use std::process::Child;

use eyre::Result;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use venticore::host::child;

pub use crate::console::end::AS_BROKER;
pub use server::{HaltFn, run};
pub use shim::become_fossil;
pub use started::{Started, end, start};

/// The first argument of the shim.
pub const AS_FOSSIL: &str = "--as-fossil";

/// What a broker is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrokerJob {
    /// Where it serves the console.
    pub socket: PathBuf,
    /// The directory of its log.
    pub directory: PathBuf,
    /// The name of its log.
    pub log: String,
    /// The fossil: program and arguments.
    pub program: Vec<String>,
    /// What is set in the fossil's environment.
    pub environment: Vec<(String, String)>,
    /// The number of the process that started it, if it ends, in order, with that.
    pub follows: Option<i32>,
}

/// The number of a process of ours.
pub(crate) fn pid(child: &Child) -> Result<Pid> {
    let pid = child::pid(child.id());
    pid.ok_or_else(|| eyre::eyre!("process {}: no such number", child.id()))
}
