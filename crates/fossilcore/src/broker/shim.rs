//! The shim: it makes the pseudo-terminal its own and becomes the fossil.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use eyre::{Result, WrapErr};

use super::{AS_FOSSIL, BrokerJob};
use crate::console::kin;
use venticore::status::Status;

/// Starts it, on its end of the terminal. What the broker got as its standard error is
/// the claim on the partition, open for reading: the fossil has it as standard
/// output, to which it prints nothing, and the broker keeps none of it.
pub(super) fn spawn(job: &BrokerJob, terminal: File) -> Result<Child> {
    let mut command = Command::new(myself());
    command.arg(AS_FOSSIL).args(&job.program);
    let environment = job.environment.iter().map(|(name, value)| (name, value));
    command.envs(environment).env(kin::VARIABLE, &job.socket);
    command.stdin(terminal).stdout(io::stderr());
    command.stderr(Stdio::piped());
    let child = command.spawn().wrap_err("fossil")?;
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(child)
}

/// The running program, also when its file was replaced or removed.
pub(super) fn myself() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.is_file() => path,
        _ => "/proc/self/exe".into(),
    }
}

/// Becomes the fossil: a session and a terminal of its own, SIGHUP ignored, so
/// that it outlives its broker.
///
/// # Errors
/// It could not; it does not return otherwise.
pub fn become_fossil(program: impl Iterator<Item = OsString>) -> Result<Status> {
    rustix::process::setsid().wrap_err("session")?;
    rustix::process::ioctl_tiocsctty(io::stdin()).wrap_err("terminal")?;
    let error = Command::new("nohup")
        .args(program)
        .stdin(Stdio::null())
        .exec();
    Err(error).wrap_err("nohup")
}
