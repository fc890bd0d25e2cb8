//! Ending the processes of a fossil whose file systems are halted.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eyre::Result;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::kin;
use super::transport::wait;
use venticore::host::child;
use venticore::host::holders::Holders;
use venticore::status::{Failure, Status};

/// The first argument of the broker.
pub const AS_BROKER: &str = "--as-broker";

/// A process that is to end, and no other that gets its number.
#[derive(Debug)]
struct Doomed {
    pid: Pid,
    handle: OwnedFd,
}

impl Doomed {
    /// `None` where it has ended already.
    fn new(pid: Pid) -> Option<Self> {
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Doomed { pid, handle })
    }
}

/// Ends the fossil behind a console and waits until its processes are gone. Our
/// broker is told, and ends it; where another program serves the console, the
/// fossils that hold its partitions are told.
///
/// # Errors
/// They are not known, may not be ended, or have not ended by then.
pub fn fossil(
    console: &Path,
    peer: Option<Pid>,
    partitions: &[PathBuf],
    limit: Duration,
) -> Result<()> {
    let console = std::path::absolute(console)?;
    let console = console.as_path();
    let broker = peer.filter(|&pid| is_broker(pid)).and_then(Doomed::new);
    let (doomed, told): (Vec<Doomed>, usize) = match broker {
        Some(broker) => {
            // A service that is still posted would refuse the next fossil its name.
            let kin = kin::of(console).into_iter().chain(kin::services(console));
            let kin = kin.filter_map(|kin| Doomed::new(kin.pid));
            (std::iter::once(broker).chain(kin).collect(), 1)
        }
        // What an earlier broker here may have left was not halted by us.
        None => {
            let holders = holders(partitions)?;
            let doomed: Vec<Doomed> = holders.into_iter().filter_map(Doomed::new).collect();
            let all = doomed.len();
            (doomed, all)
        }
    };
    if doomed.is_empty() {
        let text = format!(
            "{}: expected processes of a fossil, found none that can be seen: end them by hand",
            console.display()
        );
        return Err(Failure::report(Status::Failed, text));
    }
    for one in doomed.iter().take(told) {
        match pidfd_send_signal(&one.handle, Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                let text = format!("process {}: {error}", one.pid.as_raw_nonzero());
                return Err(Failure::report(Status::Failed, text));
            }
        }
    }
    gone(&doomed, limit)
}

/// The fossils among the processes that hold these partitions.
fn holders(partitions: &[PathBuf]) -> Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for partition in partitions {
        if !partition.is_absolute() {
            let text = format!(
                "{}: expected an absolute path, found one relative to the directory of its fossil: end the fossil by hand",
                partition.display()
            );
            return Err(Failure::report(Status::Failed, text));
        }
        let holders = Holders::of(partition)?;
        let fossils = holders.processes.iter().filter(|p| p.command == "fossil");
        pids.extend(fossils.filter_map(|p| child::pid(p.pid)));
    }
    // One whose console is another was not halted by us.
    let others = kin::all();
    pids.retain(|pid| !others.iter().any(|kin| kin.pid == *pid));
    Ok(pids)
}

/// Whether a process is a broker of ours.
fn is_broker(pid: Pid) -> bool {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    let command = fs::read(path).unwrap_or_default();
    command.split(|&byte| byte == 0).nth(1) == Some(AS_BROKER.as_bytes())
}

/// Waits until all have ended.
fn gone(doomed: &[Doomed], limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    for one in doomed {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&one.handle, PollFlags::IN)];
        if wait(&mut fds, Some(left))? == 0 {
            let text = format!(
                "waited {} seconds for process {} to end",
                limit.as_secs(),
                one.pid.as_raw_nonzero()
            );
            return Err(Failure::report(Status::Failed, text));
        }
    }
    Ok(())
}
