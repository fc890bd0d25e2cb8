//! What a program took: time, processor time, memory.

use std::fmt;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use eyre::{WrapErr, ensure, eyre};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Linux shows processor times in hundredths of a second, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often the memory is looked at. The system keeps the peak itself.
const INTERVAL: Duration = Duration::from_millis(1);

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// From the start to the end.
    pub(crate) elapsed: Duration,
    /// Seconds of processor time, user and system.
    pub(crate) processor: f64,
    /// The most memory it held at a time, in KiB.
    pub(crate) peak_kib: u64,
    /// What it has read from files, from the cache or not; none where the
    /// system shows that to root alone.
    pub(crate) read: Option<Read>,
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) bytes: u64,
    pub(crate) calls: u64,
}

/// Runs a program that must succeed.
pub(crate) fn measure(command: &mut Command) -> eyre::Result<Measured> {
    let start = Instant::now();
    let mut child = command.spawn().wrap_err_with(|| format!("{command:?}"))?;
    let pid = Pid::from_child(&child);
    let mut peak_kib = 0;
    while !has_ended(pid)? {
        peak_kib = peak(pid).unwrap_or(peak_kib);
        thread::sleep(INTERVAL);
    }
    let elapsed = start.elapsed();
    let processor = processor(pid)?;
    let read = Read::by(pid)?;
    let status = child.wait()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(Measured {
        elapsed,
        processor,
        peak_kib,
        read,
    })
}

/// Whether a child has ended; it is left for `Child::wait`, so that what it
/// took can still be read.
fn has_ended(pid: Pid) -> eyre::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}

/// The peak of its memory so far, in KiB; none when it has just ended.
fn peak(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Its processor time in seconds.
fn processor(pid: Pid) -> eyre::Result<f64> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = fs::read_to_string(&path).wrap_err_with(|| path.clone())?;
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = stat
        .rsplit_once(") ")
        .ok_or_else(|| eyre!("{path}: no name"))?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u32>);
    match (times.next(), times.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(f64::from(user + system) / TICKS_PER_SECOND),
        _ => Err(eyre!("{path}: no processor times")),
    }
}

impl Read {
    /// What a program that has ended has read.
    fn by(pid: Pid) -> eyre::Result<Option<Self>> {
        let path = format!("/proc/{}/io", pid.as_raw_nonzero());
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            text => text.wrap_err_with(|| path.clone())?,
        };
        let number = |key: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(name, _)| *name == key);
            let number = found.next().and_then(|(_, number)| number.parse().ok());
            number.ok_or_else(|| eyre!("{path}: no {key}"))
        };
        Ok(Some(Read {
            bytes: number("rchar")?,
            calls: number("syscr")?,
        }))
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} reads", self.bytes, self.calls)
    }
}

impl Measured {
    /// What it has read, in words.
    pub(crate) fn read_text(&self) -> String {
        let text = self.read.map(|read| read.to_string());
        text.unwrap_or_else(|| "reads not counted (run as root)".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_program_takes_time_and_memory() {
        let program = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let took = measure(Command::new("sh").args(["-c", program])).unwrap();
        assert!(took.processor > 0.0);
        assert!(took.peak_kib > 100);
    }

    #[test]
    fn what_a_program_reads_is_counted() {
        let mut read = Command::new("head");
        read.args(["-c", "3000000", "/dev/zero"])
            .stdout(std::process::Stdio::null());
        let took = measure(&mut read).unwrap();
        let Some(read) = took.read else {
            assert!(!rustix::process::geteuid().is_root());
            return;
        };
        assert!((3_000_000..3_200_000).contains(&read.bytes), "{took:?}");
        assert!(read.calls > 0);
    }

    #[test]
    fn a_program_that_fails_is_an_error() {
        assert!(measure(&mut Command::new("false")).is_err());
    }
}
