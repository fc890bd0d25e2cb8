//! Reaching a console: a unix socket, a terminal, or any path that can be read
//! and written. Every wait has a limit.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, statfs};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Pid;
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};

use super::trust::{self, User};

/// Pieces of the stream that wait to be looked at.
const PIECES: usize = 64;

/// A console's stream, both ways.
#[derive(Debug)]
pub struct Transport {
    console: File,
    heard: Receiver<io::Result<Vec<u8>>>,
    /// Its other end is the reading thread's; the thread ends with it.
    _stop: UnixStream,
}

/// What came within a limit.
#[derive(Debug)]
pub enum Received {
    /// Bytes of the stream, at least one.
    Bytes(Vec<u8>),
    /// Nothing.
    Nothing,
    /// The stream has ended.
    End(Option<io::Error>),
}

impl Transport {
    /// Reaches what stands at a path.
    ///
    /// # Errors
    /// There is nothing, nobody serves it, or it cannot be opened in time.
    pub fn open(path: &Path, limit: Duration) -> io::Result<Self> {
        Self::over(stream(path, limit)?)
    }

    /// Over an open stream.
    ///
    /// # Errors
    /// The system refuses a thread or a pair of sockets.
    pub fn over(console: File) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&console, true)?;
        let (stop, stopped) = UnixStream::pair()?;
        let (send, heard) = sync_channel(PIECES);
        let from = console.try_clone()?;
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || listen(from, &stopped, &send))?;
        Ok(Transport {
            console,
            heard,
            _stop: stop,
        })
    }

    /// Writes all of this before the deadline, in one piece where the console
    /// takes it.
    ///
    /// # Errors
    /// The stream has ended, or takes nothing for too long.
    pub fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.console.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let mut fds = [PollFd::new(&self.console, PollFlags::OUT)];
                    if left.is_zero() || wait(&mut fds, Some(left))? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What has come by now, as far as it was taken in; never more than that, since
    /// a console may talk without end.
    pub fn pending(&mut self) -> Vec<Vec<u8>> {
        let pieces = self.heard.try_iter().take(PIECES);
        pieces.map_while(Result::ok).collect()
    }

    /// The next piece of the stream, before the deadline: after it nothing is
    /// taken, even from a console that talks without end.
    pub fn read(&mut self, deadline: Instant) -> Received {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Received::Nothing;
        }
        match self.heard.recv_timeout(left) {
            Ok(Ok(bytes)) => Received::Bytes(bytes),
            Ok(Err(error)) => Received::End(Some(error)),
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => Received::End(None),
        }
    }

    /// The process that serves the console, where it is a socket and the
    /// system says.
    #[must_use]
    pub fn peer(&self) -> Option<Pid> {
        rustix::net::sockopt::socket_peercred(&self.console)
            .ok()
            .map(|peer| peer.pid)
    }
}

/// The kinds of file systems on which a file may be a service of Plan 9: 9P and FUSE.
const PLAN9: [i64; 2] = [0x0102_1997, 0x6573_5546];

/// Whether a file is a plain one. A mounted service of Plan 9 looks like an empty
/// file; any other regular file only keeps what is written to it.
#[must_use]
pub fn is_plain(path: &Path, meta: &Metadata) -> bool {
    let kind = || statfs(path).map(|system| system.f_type);
    meta.is_file() && (meta.len() > 0 || !kind().is_ok_and(|kind| PLAN9.contains(&kind)))
}

/// Opens what stands at a path: a socket that is served, a terminal (which is made
/// raw), or another path that is neither a directory nor a plain file.
///
/// # Errors
/// There is nothing, nobody serves it, another user than its owner does, or it cannot
/// be opened in time.
pub fn stream(path: &Path, limit: Duration) -> io::Result<File> {
    let meta = std::fs::metadata(path)?;
    if meta.file_type().is_socket() {
        return Ok(File::from(dial(path, limit)?));
    }
    if meta.is_dir() || is_plain(path, &meta) {
        let found = if meta.is_dir() {
            "a directory"
        } else {
            "a plain file: what was written to it reached no fossil"
        };
        let text = format!("expected a console, found {found}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)?;
    if isatty(&file) {
        // Otherwise it would echo the console's own words to the console.
        let mut modes = tcgetattr(&file)?;
        modes.make_raw();
        tcsetattr(&file, OptionalActions::Now, &modes)?;
    }
    Ok(file)
}

/// Connects to a unix socket, and makes sure who serves it. A server with many callers
/// waiting makes us wait too, but no longer than the limit.
fn dial(path: &Path, limit: Duration) -> io::Result<OwnedFd> {
    let owner = User(std::fs::metadata(path)?.uid());
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // A limit of zero would be none.
    let limit = limit.max(Duration::from_millis(1));
    set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    match connect(&socket, &address) {
        Err(rustix::io::Errno::AGAIN) => Err(io::ErrorKind::TimedOut.into()),
        done => {
            done?;
            trust::peer(&socket, owner)?;
            Ok(socket)
        }
    }
}

/// Reads the stream to its end, or until nobody listens.
fn listen(mut console: File, stopped: &UnixStream, heard: &SyncSender<io::Result<Vec<u8>>>) {
    let mut buffer = [0; 8192];
    loop {
        let mut fds = [
            PollFd::new(&console, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        if wait(&mut fds, None).is_err() || !fds[1].revents().is_empty() {
            return;
        }
        let said = match console.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(buffer.get(..count).unwrap_or_default().to_vec()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let ended = said.is_err();
        if heard.send(said).is_err() || ended {
            return;
        }
    }
}

/// Waits until one of these is ready; 0 when the limit came first. A signal does
/// not end it.
pub(crate) fn wait(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<usize> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Whether somebody serves a socket: `false` where it refuses.
///
/// # Errors
/// It cannot be told.
pub fn is_served(path: &Path, limit: Duration) -> io::Result<bool> {
    match dial(path, limit) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        // It has more callers than it can take: it is there.
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Ok(true),
        Err(error) => Err(error),
    }
}
