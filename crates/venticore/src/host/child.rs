//! Running a program to its end: both streams drained beside it, nothing kept
//! of them but what its listeners keep, and no wait without a limit. No shell.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rustix::process::{Pid, Signal};

/// How much is read at once.
const BUFFER: usize = 16 * 1024;

/// How long a killed program may take to go before it is left to the system.
const GRACE: Duration = Duration::from_secs(2);

/// The longest pause between two looks at a program that has closed its streams.
const PAUSE: Duration = Duration::from_millis(50);

/// How much time and talk a program is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLimits {
    /// Time without a byte on either stream.
    pub silence: Duration,
    /// Time in all.
    pub whole: Duration,
    /// Bytes on each stream.
    pub output: u64,
}

/// Why a program did not come to its end by itself.
#[derive(Debug, thiserror::Error)]
pub enum ChildFault {
    /// It could not be started.
    #[error("cannot be started: {0}")]
    Start(io::Error),
    /// It, or its streams, could not be watched.
    #[error("cannot be watched: {0}")]
    Watch(io::Error),
    /// Neither stream said anything for this long, or it did not end.
    #[error("said nothing for {0:?}: killed")]
    Silent(Duration),
    /// It was still at work after this long.
    #[error("not done after {0:?}: killed")]
    Endless(Duration),
    /// One of its streams had more than this many bytes.
    #[error("more than {0} bytes of output: killed")]
    Flood(u64),
}

/// What listens to a stream.
pub trait Listen: Default + Send + 'static {
    /// Takes in what comes next.
    fn hear(&mut self, bytes: &[u8]);

    /// The stream broke off.
    fn broke(&mut self, why: String);
}

/// A program that has ended by itself.
#[derive(Debug)]
pub struct Exited<L> {
    /// How.
    pub status: ExitStatus,
    /// What listened to standard output.
    pub stdout: L,
    /// What listened to standard error.
    pub stderr: L,
}

/// Which stream.
#[derive(Clone, Copy)]
enum OutputStream {
    Output,
    Error,
}

/// What the threads at the streams report.
enum StreamEvent<L> {
    /// Something came.
    Spoke,
    /// More came than is taken.
    Flood,
    /// The stream has ended.
    Done(OutputStream, L),
}

/// Runs a program to its end, with these bytes on its standard input. Where
/// that takes too long, it is killed, with what it has started.
///
/// # Errors
/// It could not be started, or has outlived a limit.
pub fn run<L: Listen>(
    mut command: Command,
    input: Vec<u8>,
    limits: &ChildLimits,
) -> Result<Exited<L>, ChildFault> {
    let stdin = match input.is_empty() {
        true => Stdio::null(),
        false => Stdio::piped(),
    };
    command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // So that what it has started can be killed with it.
        .process_group(0);
    let mut running = Running {
        child: command.spawn().map_err(ChildFault::Start)?,
        ended: false,
    };
    running.tell(input).map_err(ChildFault::Watch)?;
    let events = running.listen(limits).map_err(ChildFault::Watch)?;
    let mut clock = Clock::start(limits);
    let (stdout, stderr) = hear_out(&events, &mut clock, limits)?;
    let status = running.wait(&clock)?;
    Ok(Exited {
        status,
        stdout,
        stderr,
    })
}

/// Waits for the end of both streams.
fn hear_out<L: Listen>(
    events: &Receiver<StreamEvent<L>>,
    clock: &mut Clock,
    limits: &ChildLimits,
) -> Result<(L, L), ChildFault> {
    let (mut stdout, mut stderr) = (None, None);
    loop {
        match events.recv_timeout(clock.left()?) {
            Ok(StreamEvent::Spoke) => clock.heard = Instant::now(),
            Ok(StreamEvent::Flood) => return Err(ChildFault::Flood(limits.output)),
            Ok(StreamEvent::Done(OutputStream::Output, heard)) => stdout = Some(heard),
            Ok(StreamEvent::Done(OutputStream::Error, heard)) => stderr = Some(heard),
            // The clock says which limit it was.
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(ChildFault::Watch(io::ErrorKind::BrokenPipe.into()));
            }
        }
        if stdout.is_some() && stderr.is_some() {
            return Ok((stdout.unwrap_or_default(), stderr.unwrap_or_default()));
        }
    }
}

/// How long it has been.
struct Clock<'a> {
    limits: &'a ChildLimits,
    started: Instant,
    heard: Instant,
}

impl<'a> Clock<'a> {
    fn start(limits: &'a ChildLimits) -> Self {
        let started = Instant::now();
        Clock {
            limits,
            started,
            heard: started,
        }
    }

    /// The time until the next limit.
    fn left(&self) -> Result<Duration, ChildFault> {
        let left = |limit: Duration, since: Instant| limit.checked_sub(since.elapsed());
        let ChildLimits { silence, whole, .. } = *self.limits;
        let in_all = left(whole, self.started).ok_or(ChildFault::Endless(whole))?;
        let silent = left(silence, self.heard).ok_or(ChildFault::Silent(silence))?;
        Ok(in_all.min(silent))
    }
}

/// A program that runs; it is killed when dropped before its end was seen.
struct Running {
    child: Child,
    ended: bool,
}

impl Running {
    /// A thread that writes the input. It ends with it, or with the program.
    fn tell(&mut self, input: Vec<u8>) -> io::Result<()> {
        let Some(mut pipe) = self.child.stdin.take() else {
            return Ok(());
        };
        // A program that ends without reading it all shows by how it ends.
        let write = move || drop(pipe.write_all(&input));
        thread::Builder::new().spawn(write).map(drop)
    }

    /// A thread at each stream. They end with the streams, or once nobody
    /// listens to them any more.
    fn listen<L: Listen>(&mut self, limits: &ChildLimits) -> io::Result<Receiver<StreamEvent<L>>> {
        let (sender, receiver) = crossbeam_channel::bounded(16);
        let most = limits.output;
        if let Some(pipe) = self.child.stdout.take() {
            spawn(pipe, OutputStream::Output, most, sender.clone())?;
        }
        if let Some(pipe) = self.child.stderr.take() {
            spawn(pipe, OutputStream::Error, most, sender)?;
        }
        Ok(receiver)
    }

    /// Waits for the end of a program that has closed its streams.
    fn wait(&mut self, clock: &Clock<'_>) -> Result<ExitStatus, ChildFault> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.child.try_wait().map_err(ChildFault::Watch)? {
                self.ended = true;
                return Ok(status);
            }
            thread::sleep(pause.min(clock.left()?));
            pause = (2 * pause).min(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            kill_group(&mut self.child);
        }
    }
}

/// Kills a program that leads a process group, and all of that group, and waits a little
/// while until it is gone. It must not have been waited for: its group is its own until
/// then.
pub(super) fn kill_group(child: &mut Child) {
    if let Some(group) = pid(child.id()) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(5));
    }
}

/// The process of this number; `None` for a number that no process has.
#[must_use]
pub fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

fn spawn<L: Listen>(
    pipe: impl Read + Send + 'static,
    stream: OutputStream,
    most: u64,
    events: Sender<StreamEvent<L>>,
) -> io::Result<()> {
    let listen = move || listen(pipe, stream, most, &events);
    thread::Builder::new().spawn(listen).map(drop)
}

/// Reads a stream to its end. An event that nobody takes any more ends it.
fn listen<L: Listen>(
    mut pipe: impl Read,
    stream: OutputStream,
    most: u64,
    events: &Sender<StreamEvent<L>>,
) {
    let mut listener = L::default();
    let mut buffer = [0; BUFFER];
    let mut total = 0;
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                total += n as u64;
                listener.hear(&buffer[..n]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                listener.broke(error.to_string());
                break;
            }
        }
        let event = match total {
            _ if total > most => StreamEvent::Flood,
            _ => StreamEvent::Spoke,
        };
        if events.send(event).is_err() || total > most {
            return;
        }
    }
    // Nobody may be there any more.
    let _ = events.send(StreamEvent::Done(stream, listener));
}
