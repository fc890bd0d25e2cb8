//! A broker, as who started it sees it.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use eyre::{Result, WrapErr};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open};

use super::shim::myself;
use super::{AS_BROKER, BrokerJob, pid, word};
use crate::console::kin;
use crate::console::transport::wait;
use venticore::status::{Failure, Status};

/// A broker that serves.
#[derive(Debug)]
pub struct Started {
    /// The broker.
    pub broker: Child,
    /// The first process of its fossil.
    pub fossil: u32,
}

/// Starts a broker, and waits until it serves. Its fossil keeps the claim on its
/// partition open for as long as it lives.
///
/// # Errors
/// It cannot, and says why; or it says nothing before the limit. None is left then.
pub fn start(job: &BrokerJob, claim: File, limit: Duration) -> Result<Started> {
    // A lock that a caller holds in a descriptor must not last as long as a fossil.
    close_fds::set_fds_cloexec(3, &[]);
    let mut command = Command::new(myself());
    command.arg(AS_BROKER).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(claim);
    command.current_dir("/").env_remove(kin::VARIABLE);
    let mut broker = command.spawn().wrap_err("broker")?;
    match employ(&mut broker, job, limit) {
        Ok(fossil) => Ok(Started { broker, fossil }),
        Err(error) => {
            // A fossil that it may have started ends with it.
            match end(&mut broker, limit) {
                Ok(_) => Err(error),
                Err(left) => Err(error.wrap_err(format!("{left:#}"))),
            }
        }
    }
}

/// Gives a broker its job and takes its word: the number of its fossil.
fn employ(broker: &mut Child, job: &BrokerJob, limit: Duration) -> Result<u32> {
    let mut stdin = broker.stdin.take();
    let text = serde_json::to_string(job)?;
    if let Some(stdin) = &mut stdin {
        stdin.write_all(text.as_bytes()).wrap_err("broker")?;
    }
    drop(stdin);
    word::taken_from(broker.stdout.take(), limit)
}

/// Tells a broker to end, in order, with its fossil, and waits for that.
///
/// # Errors
/// It has not ended by then.
pub fn end(broker: &mut Child, limit: Duration) -> Result<ExitStatus> {
    if let Some(status) = broker.try_wait()? {
        return Ok(status);
    }
    let number = pid(broker)?;
    let gone = pidfd_open(number, PidfdFlags::empty()).wrap_err("broker")?;
    kill_process(number, Signal::TERM).wrap_err("broker")?;
    let mut fds = [PollFd::new(&gone, PollFlags::IN)];
    if wait(&mut fds, Some(limit))? == 0 {
        let text = format!(
            "waited {} seconds for the broker (process {}) to end",
            limit.as_secs(),
            broker.id()
        );
        return Err(Failure::report(Status::Failed, text));
    }
    Ok(broker.wait()?)
}
