//! Which configuration files there are, and how they are read.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};

use super::Error;
use super::environment::Environment;
use super::explain::explain;
use super::file::File;

/// More than anyone writes by hand: what is longer is something else.
const MOST: u64 = 1 << 20;

/// How long a pipe may take to begin, as of a shell's `<(...)`.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file that the environment leads to: the one that `$VENTIPROG_CONFIG`
/// names; where it is not set, the user's over the machine's.
pub(super) fn found_by(environment: &Environment) -> Result<File, Error> {
    if let Some(named) = environment.path("VENTIPROG_CONFIG") {
        return read(&named).map_err(|error| match error {
            Error::Read(path, error) if is_absent(&error) => Error::Missing(path),
            error => error,
        });
    }
    let file = read_if_there(Path::new("/etc/ventiprog.toml"))?;
    let home = environment.path("HOME").map(|home| home.join(".config"));
    match environment.path("XDG_CONFIG_HOME").or(home) {
        Some(home) => Ok(read_if_there(&home.join("ventiprog.toml"))?.over(file)),
        None => Ok(file),
    }
}

fn read_if_there(path: &Path) -> Result<File, Error> {
    match read(path) {
        Err(Error::Read(_, error)) if is_absent(&error) => Ok(File::default()),
        result => result,
    }
}

fn read(path: &Path) -> Result<File, Error> {
    let text = text_of(path).map_err(|error| Error::Read(path.into(), error))?;
    if text.len() as u64 > MOST {
        let cause = format!("expected at most {MOST} bytes, found more");
        return Err(Error::Text(path.into(), cause));
    }
    let file: File =
        toml::from_str(&text).map_err(|error| Error::Text(path.into(), explain(&text, &error)))?;
    file.check()
        .map_err(|cause| Error::Text(path.into(), cause))?;
    Ok(file)
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
