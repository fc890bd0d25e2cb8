//! The processes of a fossil that our broker started: they carry the path of
//! their console in their environment, so that they are known again when the
//! broker is gone. Only Linux tells, through `/proc`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use venticore::host::holders;

/// The variable with the path of the console.
pub const VARIABLE: &str = "FOSSIL_CONSOLE";

/// The program that passes 9P on; it ends with its fossil.
const NINEPSERVE: &str = "9pserve";

/// A process of a fossil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Its number.
    pub pid: Pid,
    /// The name of its command.
    pub command: String,
    /// Where its console is, or was.
    pub console: PathBuf,
}

/// The processes of the fossil with this console; none where the system does
/// not tell.
#[must_use]
pub fn of(console: &Path) -> Vec<Kin> {
    let mut kin = all();
    kin.retain(|kin| kin.console == console);
    kin
}

/// The processes that pass 9P on for the fossil with this console; they end with
/// it, a moment later.
#[must_use]
pub fn services(console: &Path) -> Vec<Kin> {
    let mut kin = seen();
    kin.retain(|kin| kin.console == console && kin.command == NINEPSERVE);
    kin
}

/// The processes of all fossils that a broker of ours started and that can be
/// seen, without those that only pass 9P on.
#[must_use]
pub fn all() -> Vec<Kin> {
    let mut kin = seen();
    kin.retain(|kin| kin.command != NINEPSERVE);
    kin
}

/// Whether the fossil with this console has a file or device open for reading only;
/// `false` where the system does not tell.
#[must_use]
pub fn only_reads(console: &Path, partition: &Path) -> bool {
    let kin = of(console).into_iter();
    let pids = kin.map(|kin| kin.pid.as_raw_nonzero().get().unsigned_abs());
    pids.filter_map(|pid| holders::writes(pid, partition))
        .reduce(|one, other| one | other)
        == Some(false)
}

fn seen() -> Vec<Kin> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| look(&name)).collect()
}

fn look(name: &str) -> Option<Kin> {
    let pid = Pid::from_raw(name.parse().ok()?)?;
    let directory = Path::new("/proc").join(name);
    let environment = fs::read(directory.join("environ")).ok()?;
    let console = environment.split(|&byte| byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(VARIABLE.as_bytes())?;
        value.strip_prefix(b"=")
    })?;
    let command = fs::read(directory.join("comm")).ok()?;
    let command = String::from_utf8_lossy(&command).trim_end().to_owned();
    Some(Kin {
        pid,
        command,
        console: PathBuf::from(OsStr::from_bytes(console)),
    })
}
