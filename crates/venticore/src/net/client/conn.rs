//! A connection: frames over a stream, every wait with a limit.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::{ClientError, Operation};
use super::stream::VentiStream;
use crate::codec::wire::{REPLY_MAX, Reply, VERSION_LINE_MAX, Version, VersionLine, unframe};
use crate::text::printable;

/// Holds the longest reply, and hundreds of short ones for one system call.
const BUFFER: usize = (64 * 1024) + REPLY_MAX;

/// The shortest time a socket can be told to wait.
const INSTANT: Duration = Duration::from_millis(1);

/// What we call ourselves in the version line.
const COMMENT: &str = "ventiprog";

pub(super) struct Conn {
    stream: VentiStream,
    version: Version,
    buf: Box<[u8]>,
    /// `buf[start..end]` has come and is not used yet.
    start: usize,
    end: usize,
}

impl Conn {
    /// Connects and agrees on a version, both before the deadline; `limit` is
    /// what to tell when it passes.
    pub(super) fn open(
        address: &SocketAddr,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let stream =
            VentiStream::connect(address, left.max(INSTANT)).map_err(ClientError::Unreachable)?;
        Self::greet(stream, deadline, limit)
    }

    /// The same through a command: whatever keeps it from a connection is in what it says.
    pub(super) fn start(
        words: &[String],
        deadline: Instant,
        limit: Duration,
    ) -> Result<Self, ClientError> {
        let stream = VentiStream::start(words).map_err(ClientError::Unreachable)?;
        Self::greet(stream, deadline, limit)
    }

    fn greet(stream: VentiStream, deadline: Instant, limit: Duration) -> Result<Self, ClientError> {
        stream
            .set_write_timeout(limit.max(INSTANT))
            .map_err(ClientError::Lost)?;
        let mut conn = Conn {
            stream,
            version: Version::V02,
            buf: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
        };
        let greeted = conn.receive_version(deadline, limit);
        conn.version = greeted.map_err(|error| conn.not_connected(error))?;
        conn.send_version().map_err(|error| conn.lost(error))?;
        Ok(conn)
    }

    /// A command that ends or is silent before the version line has not connected.
    fn not_connected(&self, error: ClientError) -> ClientError {
        match (self.stream.relay(), error) {
            (Some(_), ClientError::Lost(error)) => ClientError::Unreachable(error),
            (Some(relay), ClientError::Silent { limit, .. }) => {
                let said = relay.said();
                let said = said.map_or(String::new(), |said| format!("; it said: {said}"));
                let text = format!(
                    "{}: no venti version line within {limit:?}{said} \
                     (nobody is there to answer a question for a password)",
                    relay.name()
                );
                ClientError::Unreachable(io::Error::new(ErrorKind::TimedOut, text))
            }
            (_, error) => error,
        }
    }

    /// An error of the stream; where a program carries it, what that said.
    fn lost(&self, error: io::Error) -> ClientError {
        ClientError::Lost(match self.stream.relay() {
            Some(relay) => io::Error::new(error.kind(), relay.farewell()),
            None => error,
        })
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Our line, which offers the version agreed on and no other.
    fn send_version(&mut self) -> io::Result<()> {
        let line = VersionLine {
            versions: self.version.text(),
            comment: Some(COMMENT),
        };
        self.stream.write_all(format!("{line}\n").as_bytes())
    }

    fn receive_version(
        &mut self,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Version, ClientError> {
        let line = loop {
            let come = &self.buf[..self.end];
            let newline = come.iter().position(|&b| b == b'\n');
            if let Some(at) = newline.or((come.len() >= VERSION_LINE_MAX).then_some(come.len())) {
                break at;
            }
            if let Err(error) = self.fill_until(deadline, Operation::Version, limit) {
                return Err(self.or_nonsense(error));
            }
        };
        let parsed = VersionLine::parse(&self.buf[..line])?;
        let version = parsed.choose().ok_or_else(|| ClientError::Protocol {
            expected: "version 04 or 02".to_owned(),
            found: format!("\"{}\"", printable(parsed.versions.as_bytes())),
        })?;
        self.start = self.end.min(line + 1);
        Ok(version)
    }

    /// A server that said something other than a version line before it fell
    /// silent is not a venti.
    fn or_nonsense(&self, error: ClientError) -> ClientError {
        match VersionLine::parse(&self.buf[..self.end]) {
            Err(nonsense) if !b"venti-".starts_with(&self.buf[..self.end.min(6)]) => {
                nonsense.into()
            }
            _ => error,
        }
    }

    /// The next reply. Waits until `limit` from now for all of it, so that a
    /// server sending single bytes gains no time.
    pub(super) fn reply(
        &mut self,
        limit: Duration,
        asked: Operation,
    ) -> Result<(u8, Reply<'_>), ClientError> {
        let deadline = Instant::now() + limit;
        while self.whole()?.is_none() {
            self.fill_until(deadline, asked, limit)?;
        }
        self.take()
    }

    /// The length of the reply at the front of the buffer, if it is all there.
    fn whole(&self) -> Result<Option<usize>, ClientError> {
        let come = &self.buf[self.start..self.end];
        let found = unframe(self.version, come, Reply::length_max)?;
        Ok(found.map(|(_, used)| used))
    }

    /// Takes the reply at the front of the buffer, which is all there.
    fn take(&mut self) -> Result<(u8, Reply<'_>), ClientError> {
        let used = self.whole()?.unwrap_or(0);
        let message = &self.buf[self.start..self.start + used];
        self.start += used;
        Ok(Reply::decode(
            &message[self.version.length_size().min(used)..],
        )?)
    }

    /// The next reply if it has come already.
    pub(super) fn reply_at_hand(&mut self) -> Result<Option<(u8, Reply<'_>)>, ClientError> {
        if self.whole()?.is_none() {
            self.fill_at_hand()?;
        }
        self.reply_in_buffer()
    }

    /// The next reply if it has been taken in already.
    pub(super) fn reply_in_buffer(&mut self) -> Result<Option<(u8, Reply<'_>)>, ClientError> {
        match self.whole()? {
            Some(_) => self.take().map(Some),
            None => Ok(None),
        }
    }

    /// One read that waits until the deadline at most.
    fn fill_until(
        &mut self,
        deadline: Instant,
        asked: Operation,
        limit: Duration,
    ) -> Result<(), ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Silent { asked, limit });
        }
        self.stream
            .set_read_timeout(left.max(INSTANT))
            .map_err(ClientError::Lost)?;
        self.fill().map_err(|error| self.lost(error))
    }

    /// One read that does not wait.
    fn fill_at_hand(&mut self) -> Result<(), ClientError> {
        self.stream
            .set_nonblocking(true)
            .map_err(ClientError::Lost)?;
        let result = self.fill();
        self.stream
            .set_nonblocking(false)
            .map_err(ClientError::Lost)?;
        result.map_err(|error| self.lost(error))
    }

    /// One read into the free part of the buffer. It is not an error that nothing came
    /// in time. There is always a free part: what is not used yet is less
    /// than one reply.
    fn fill(&mut self) -> io::Result<()> {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match self.stream.read(&mut self.buf[self.end..]) {
            Ok(0) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "closed by the server",
            )),
            Ok(n) => {
                self.end += n;
                Ok(())
            }
            Err(error) if is_wait_over(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sets how long [`Conn::send_some`] may take.
    pub(super) fn block_at_most(&self, limit: Duration) -> Result<(), ClientError> {
        self.stream
            .set_write_timeout(limit.max(INSTANT))
            .map_err(ClientError::Lost)
    }

    /// Sends as much as one system call takes; returns the number of bytes
    /// taken, 0 when the other side does not read.
    ///
    /// The vectored call has no way to ask for no SIGPIPE: a program that gives
    /// that signal its default action again is killed by a server that closes.
    pub(super) fn send_some(&mut self, data: &[IoSlice<'_>]) -> Result<usize, ClientError> {
        match self.stream.write_vectored(data) {
            Ok(0) if !data.is_empty() => Err(ClientError::Lost(ErrorKind::WriteZero.into())),
            Ok(n) => Ok(n),
            Err(error) if is_wait_over(&error) => Ok(0),
            Err(error) => Err(self.lost(error)),
        }
    }
}

fn is_wait_over(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
