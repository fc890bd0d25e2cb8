//! Which configuration files there are, and how they are read.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use eyre::Report;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};

use super::environment::Environment;
use super::explain::explain;
use super::file::File;
use crate::status::{Failure, Status};

/// More than anyone writes by hand: what is longer is something else.
const MOST: u64 = 1 << 20;

/// How long a pipe may take to begin, as of a shell's `<(...)`.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file that the environment leads to: the one that `$VENTIPROG_CONFIG`
/// names; where it is not set, the user's over the machine's.
pub(super) fn found_by(environment: &Environment) -> eyre::Result<File> {
    if let Some(named) = environment.path("VENTIPROG_CONFIG") {
        let missing = || {
            let cause = "no such file; correct the variable or unset it";
            wrong(&format!("$VENTIPROG_CONFIG: {}", named.display()), cause)
        };
        return read(&named)?.ok_or_else(missing);
    }
    let file = read(Path::new("/etc/ventiprog.toml"))?.unwrap_or_default();
    let home = environment.path("HOME").map(|home| home.join(".config"));
    match environment.path("XDG_CONFIG_HOME").or(home) {
        Some(home) => {
            let own = read(&home.join("ventiprog.toml"))?.unwrap_or_default();
            Ok(own.over(file))
        }
        None => Ok(file),
    }
}

/// A configuration that cannot be used, and why.
fn wrong(subject: &str, cause: impl fmt::Display) -> Report {
    Failure::report(Status::Usage, format!("{subject}: {cause}"))
}

/// The file, where there is one.
fn read(path: &Path) -> eyre::Result<Option<File>> {
    let wrong = |cause: String| wrong(&path.display().to_string(), cause);
    let text = match text_of(path) {
        Err(error) if is_absent(&error) => return Ok(None),
        text => text.map_err(|error| wrong(error.to_string()))?,
    };
    if text.len() as u64 > MOST {
        return Err(wrong(format!("expected at most {MOST} bytes, found more")));
    }
    let mut file: File = toml::from_str(&text).map_err(|error| wrong(explain(&text, &error)))?;
    file.check().map_err(wrong)?;
    file.read_from = vec![path.to_owned()];
    Ok(Some(file))
}

/// The file does not exist; a home such as `/dev/null`, which is not a directory, has none.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is in the file, and at most a byte too many: a device has no end. Something must
/// come out of a pipe in time.
fn text_of(path: &Path) -> io::Result<String> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::File::options()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        let mut fds = [PollFd::new(&file, PollFlags::IN)];
        let limit = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        if poll(&mut fds, Some(&limit))? == 0 {
            let text = format!("a pipe, and nothing came within {} s", PATIENCE.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        fcntl_setfl(&file, OFlags::empty())?;
    }
    let mut text = String::new();
    file.take(MOST + 1).read_to_string(&mut text)?;
    Ok(text)
}
