//! The processes of a fossil that our broker started: they carry the path of
//! their console in their environment, so that they are known again when the
//! broker is gone. Only Linux tells, through `/proc`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::process::Pid;

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
    let Ok(meta) = fs::metadata(partition) else {
        return false;
    };
    let identity = |meta: &fs::Metadata| match meta.file_type().is_block_device() {
        true => (0, meta.rdev()),
        false => (meta.dev(), meta.ino()),
    };
    let fds = of(console).into_iter().flat_map(|kin| {
        let directory = format!("/proc/{}/fd", kin.pid.as_raw_nonzero());
        fs::read_dir(directory).into_iter().flatten().flatten()
    });
    let mut fds = fds
        .filter(|fd| fs::metadata(fd.path()).is_ok_and(|open| identity(&open) == identity(&meta)));
    // The link has the modes of the open file.
    let writes = |fd: &fs::DirEntry| fd.metadata().is_ok_and(|link| link.mode() & 0o200 != 0);
    fds.next()
        .is_some_and(|first| !writes(&first) && !fds.any(|fd| writes(&fd)))
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
