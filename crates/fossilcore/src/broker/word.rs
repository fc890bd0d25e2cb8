//! The word of a broker, whether it serves: one line on its standard output.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use eyre::{Report, Result, WrapErr};
use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;

use crate::console::transport::wait;
use venticore::host::terminal::Output;
use venticore::status::{Failure, Status};
use venticore::text::line_of;
use venticore::tool::status_of;

/// The word of a broker that serves; the fossil's number follows.
const SERVING: &str = "serving";

/// The word of one that does not; status and cause follow.
const FAILED: &str = "failed";

/// It serves the console of this fossil.
pub(super) fn serving(fossil: Pid) {
    give(&format!("{SERVING} {}", fossil.as_raw_nonzero()));
}

/// It does not serve.
pub(super) fn failed(error: &Report) {
    let text = line_of(error);
    give(&format!("{FAILED} {} {text}", status_of(error).code()));
}

/// Says one line on standard output and closes it: who waits for our word may
/// have its own standard output waited for.
fn give(word: &str) {
    let mut output = Output::stdout();
    let _ = writeln!(output, "{word}");
    let _ = output.flush();
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Takes it, on the other side: the number of the fossil.
pub(super) fn taken_from(broker: Option<ChildStdout>, limit: Duration) -> Result<u32> {
    let mut said = String::new();
    if let Some(stdout) = broker {
        let stdout = File::from(OwnedFd::from(stdout));
        said = until(&stdout, b'\n', limit).wrap_err("broker")?;
    }
    let mut words = said.trim_end().splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(SERVING), Some(pid), None) => Ok(pid.parse()?),
        (Some(FAILED), Some(code), Some(cause)) => {
            let status = code.parse().ok().and_then(Status::from_code);
            Err(Failure::report(status.unwrap_or(Status::Failed), cause))
        }
        _ => {
            let cause = format!(
                "waited {} seconds for the broker to serve, it said {said:?}",
                limit.as_secs()
            );
            Err(Failure::report(Status::Failed, cause))
        }
    }
}

/// Reads up to a byte, to the end, or until `limit` has passed.
fn until(mut from: &File, last: u8, limit: Duration) -> io::Result<String> {
    let deadline = Instant::now() + limit;
    let (mut text, mut byte) = (Vec::new(), [0]);
    while text.last() != Some(&last) {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(from, PollFlags::IN)];
        if wait(&mut fds, Some(left))? == 0 || from.read(&mut byte)? == 0 {
            break;
        }
        text.extend(byte);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
