//! A program that carries a connection on its standard input and output, such as `ssh -W`.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::child;
use crate::text::printable;

/// How much of what it says on standard error is kept: the end.
const KEPT: usize = 1024;

/// The lines of that which a message has: the last ones.
const LINES: usize = 2;

/// How long a program that has closed the connection may take to say why and to end.
const FAREWELL: Duration = Duration::from_millis(500);

/// The pause between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// A program that runs; it is killed when dropped, with what it has started. Should this
/// process be killed, the program finds its standard input at an end.
#[derive(Debug)]
pub struct RelayProgram {
    name: String,
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    /// Closed when nothing more is said.
    silent: Receiver<()>,
}

impl RelayProgram {
    /// Starts the program of these words; the connection is a socket, so that each wait on
    /// it can have a limit. It is not in the terminal's foreground and so can ask nobody
    /// for a password.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(words: &[String]) -> io::Result<(UnixStream, Self)> {
        let (name, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let name = printable(name.as_bytes());
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(&words[0])
            .args(arguments)
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::piped())
            // So that what it has started can be killed with it.
            .process_group(0)
            .spawn();
        let start = |error: io::Error| {
            io::Error::new(error.kind(), format!("{name}: cannot be started: {error}"))
        };
        let mut child = child.map_err(start)?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (end, silent) = bounded(0);
        let stderr = child.stderr.take();
        let relay = RelayProgram {
            name,
            child,
            said: Arc::clone(&said),
            silent,
        };
        if let Some(stderr) = stderr {
            thread::Builder::new().spawn(move || {
                keep_end(stderr, &said);
                drop(end);
            })?;
        }
        Ok((ours, relay))
    }

    /// What the program is called, fit for a message.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last lines of what it has said so far, fit for a message.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        last_lines(&said)
    }

    /// Why it has closed the connection: what it said last, otherwise how it ended. Waits
    /// for both a little while.
    #[must_use]
    pub fn farewell(&self) -> String {
        let deadline = Instant::now() + FAREWELL;
        // Nothing is ever sent: the end of the wait is the closing.
        let _ = self.silent.recv_deadline(deadline);
        if let Some(said) = self.said() {
            return format!("{}: {said}", self.name);
        }
        let mut end = self.end();
        while end.is_none() && Instant::now() < deadline {
            thread::sleep(PAUSE);
            end = self.end();
        }
        let end = end.unwrap_or_else(|| "it has closed the connection".to_owned());
        format!("{}: {end}", self.name)
    }

    /// How it ended, if it has. It is not reaped, so that its process group stays its own.
    fn end(&self) -> Option<String> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(child::pid(self.child.id())?), options).ok()??;
        let signal = status.terminating_signal();
        let code = status.exit_status();
        code.map(|code| format!("exit status {code}"))
            .or_else(|| signal.map(|signal| format!("ended by signal {signal}")))
    }
}

impl Drop for RelayProgram {
    fn drop(&mut self) {
        child::kill_group(&mut self.child);
    }
}

/// Reads a stream to its end, and keeps the end of it.
fn keep_end(mut stderr: ChildStderr, said: &Mutex<Vec<u8>>) {
    let mut buffer = [0; KEPT];
    loop {
        let bytes = match stderr.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(bytes);
        let more = said.len().saturating_sub(KEPT);
        said.drain(..more);
    }
}

/// The last lines that say something, in one.
fn last_lines(said: &[u8]) -> Option<String> {
    let lines = said.split(|byte| matches!(byte, b'\n' | b'\r'));
    let lines = lines
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(printable).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..)?.join("; ");
    let last = last.trim_end_matches('.');
    (!last.is_empty()).then(|| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn sh(script: &str) -> (UnixStream, RelayProgram) {
        RelayProgram::start(&["sh", "-c", script].map(str::to_owned)).unwrap()
    }

    #[test]
    fn what_is_sent_comes_back_and_nothing_outlives_it() {
        let (mut stream, relay) = sh("sleep 1000 & cat");
        stream.write_all(b"abc").unwrap();
        let mut bytes = [0; 3];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"abc");
        drop(relay);
        let mut rest = Vec::new();
        // The end comes when the last process that has the other end is gone.
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }

    #[test]
    fn its_last_words_or_its_status_are_known() {
        let farewell = |script: &str| {
            let (mut stream, relay) = sh(script);
            let _ = stream.read_to_end(&mut Vec::new());
            relay.farewell()
        };
        let said = farewell("echo one >&2; echo 'two.' >&2; echo >&2; echo three. >&2; exit 255");
        assert_eq!(said, "sh: two.; three");
        assert_eq!(farewell("exit 7"), "sh: exit status 7");
        assert_eq!(farewell("kill -9 $$"), "sh: ended by signal 9");
        let stays = farewell("exec <&- >&-; exec sleep 1000");
        assert_eq!(stays, "sh: it has closed the connection");
    }

    #[test]
    fn of_much_talk_the_end_is_kept() {
        let (mut stream, relay) = sh("yes '' | head -c 3000 >&2; echo last >&2");
        let _ = stream.read_to_end(&mut Vec::new());
        assert_eq!(relay.farewell(), "sh: last");
        assert!(relay.said.lock().unwrap().len() <= KEPT);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = RelayProgram::start(&["/nowhere/ssh".to_owned()]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("/nowhere/ssh: cannot be started: "),
            "{text}"
        );
    }
}
