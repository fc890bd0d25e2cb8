//! The processes that have a partition open: which of them are fossils, and
//! ending those.
//!
//! A fossil takes no lock, so what has the partition open is looked for. Only
//! fossils that hold this very partition are ended, each by a descriptor of
//! the process (Linux 5.3): a number may belong to another process by the time the
//! signal is sent, a descriptor cannot.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use eyre::{Result, WrapErr, eyre};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use venticore::config::Config;
use venticore::host::child;
use venticore::host::holders::{Holders, Process, Sight};
use venticore::host::partition::Partition;

/// The name of the server's program.
const FOSSIL: &str = "fossil";

/// How long a fossil may take to end when it is asked to, and when it is made to.
const PATIENCE: [(Signal, Duration); 2] = [
    (Signal::TERM, Duration::from_secs(10)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// Halts fossils before they are ended, so that what they hold is on disk.
pub trait HaltFirst {
    /// Halts the file systems of these processes that lie on this partition.
    /// Says what was done, for the user.
    ///
    /// # Errors
    /// They could not be halted, and must not be ended.
    fn halt(&self, partition: &Partition, fossils: &[Process]) -> Result<String>;
}

/// Where no console can be reached: fossils are ended without a halt, which
/// leaves what they wrote up to 30 seconds ago.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoConsole;

impl HaltFirst for NoConsole {
    fn halt(&self, _partition: &Partition, fossils: &[Process]) -> Result<String> {
        Ok(format!("{} is ended without a halt", listed(fossils)))
    }
}

/// The fossils that have a partition open.
///
/// # Errors
/// Something else has it in use, or what other users' processes have open
/// cannot be seen.
pub fn fossils_on(partition: &Partition, config: &Config) -> Result<Vec<Process>> {
    let mut holders = look(partition, config)?;
    let (fossils, others) = holders.processes.into_iter().partition(is_fossil);
    holders.processes = others;
    if holders.is_free() {
        return Ok(fossils);
    }
    Err(eyre!("{}: {holders}: end that first", partition.operand()))
}

/// Checks that nothing at all has a partition in use.
///
/// # Errors
/// Something has, or it cannot be seen.
pub fn prove_free(partition: &Partition, config: &Config) -> Result<()> {
    let holders = look(partition, config)?;
    if holders.is_free() {
        return Ok(());
    }
    Err(eyre!("{}: {holders}: end that first", partition.operand()))
}

/// Claims a partition that is free, for as long as it is open: against a fossil that
/// fossilstart runs, and against others who are about to write it, whether they can be
/// seen from here or not.
///
/// # Errors
/// One of these has it.
pub fn claim(partition: &Partition) -> Result<()> {
    let operand = partition.operand();
    match partition
        .try_claim()
        .wrap_err_with(|| operand.to_string())?
    {
        true => Ok(()),
        false => Err(eyre!("{operand}: {CLAIMED}")),
    }
}

/// What is said of a partition that another has claimed.
pub(crate) const CLAIMED: &str = "claimed by a program that cannot be seen from here: a fossil of fossilstart in another container, or another reset: end that first";

fn look(partition: &Partition, config: &Config) -> Result<Holders> {
    let operand = partition.operand();
    let holders = Holders::of(&partition.open_path())
        .wrap_err_with(|| format!("{operand}: cannot see who has it open"))?;
    match holders.sight {
        Sight::Full => Ok(holders),
        Sight::Part(1) if is_kept_by_init() => Ok(holders),
        Sight::Contained if config.private => Ok(holders),
        sight @ Sight::Contained => Err(eyre!(
            "{operand}: perhaps held open: {sight}, or set private = true in [fossil] of the configuration if nothing outside can open it"
        )),
        sight => Err(eyre!("{operand}: perhaps held open: {sight}")),
    }
}

/// Whether the one process that cannot be looked into is the first one, and
/// we are root: so it is with the keeper of a sandbox, which has more rights than root
/// inside. Nobody could be told to have more; and it serves no file system,
/// which its name would tell.
fn is_kept_by_init() -> bool {
    let closed = || {
        let mut files = fs::read_dir("/proc/1/fd")?.flatten();
        files.try_for_each(|file| fs::metadata(file.path()).map(drop))
    };
    let denied = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let name = fs::read_to_string("/proc/1/comm");
    rustix::process::geteuid().is_root()
        && name.is_ok_and(|name| name.trim_end() != FOSSIL)
        && closed().is_err_and(denied)
}

/// Ends processes, and returns when they are gone.
///
/// # Errors
/// One is still there after the time it has for that, or may not be ended.
pub fn end(partition: &Partition, fossils: &[Process], config: &Config) -> Result<()> {
    for fossil in fossils {
        let held = || format!("{}: held open by {fossil}", partition.operand());
        let Some(handle) = handle(fossil.pid).wrap_err_with(held)? else {
            continue;
        };
        // With the descriptor in hand: is it still the one that was found?
        if !fossils_on(partition, config)?.contains(fossil) {
            continue;
        }
        if !end_one(&handle).wrap_err_with(held)? {
            return Err(eyre!(
                "{}: expected it to end within {:?} of a kill, it is still there",
                held(),
                PATIENCE[1].1
            ));
        }
    }
    Ok(())
}

fn handle(pid: u32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = child::pid(pid) else {
        return Ok(None);
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => Ok(Some(handle)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks a process to end, then makes it; false if it is still there.
fn end_one(handle: &OwnedFd) -> io::Result<bool> {
    for (signal, patience) in PATIENCE {
        match pidfd_send_signal(handle, signal) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        if gone_within(handle, patience)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits for the end of a process.
fn gone_within(handle: &OwnedFd, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        let mut fds = [PollFd::new(handle, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a process is a fossil: by the name of its command, or of the program
/// it runs.
pub(crate) fn is_fossil(process: &Process) -> bool {
    if process.command == FOSSIL {
        return true;
    }
    let program = fs::read_link(Path::new("/proc").join(process.pid.to_string()).join("exe"));
    program.is_ok_and(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_suffix(" (deleted)").unwrap_or(&name) == FOSSIL
    })
}

fn listed(fossils: &[Process]) -> String {
    let names: Vec<String> = fossils.iter().map(Process::to_string).collect();
    names.join(", ")
}
