//! One client of a console.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;

use super::input::Input;
use super::outbox::Outbox;

/// A connection, what it still types and what it has yet to read.
#[derive(Debug)]
pub(super) struct ConsoleClient {
    stream: UnixStream,
    input: Input,
    outbox: Outbox,
    /// It types no more; it may still read.
    mute: bool,
    /// It reads no more; what it typed before may still be on its way.
    deaf: bool,
    gone: bool,
}

impl ConsoleClient {
    /// A new client, who gets this first.
    ///
    /// # Errors
    /// Its socket cannot be set up.
    pub(super) fn new(stream: UnixStream, history: &[u8]) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let mut outbox = Outbox::default();
        outbox.push(history);
        Ok(ConsoleClient {
            stream,
            input: Input::default(),
            outbox,
            mute: false,
            deaf: false,
            gone: false,
        })
    }

    /// Its connection, to be waited for.
    #[must_use]
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// What it waits for; `full` while no more can be passed on.
    #[must_use]
    pub(super) fn wants(&self, full: bool) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, !self.mute && !full);
        flags.set(PollFlags::OUT, !self.outbox.is_empty());
        flags
    }

    /// Whether it is to be forgotten.
    #[must_use]
    pub(super) fn is_gone(&self) -> bool {
        self.gone || self.mute && self.deaf
    }

    /// Whether it has all that was said.
    #[must_use]
    pub(super) fn has_all(&self) -> bool {
        self.is_gone() || self.outbox.is_empty()
    }

    /// Gives it the next bytes of the stream.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        if !self.deaf {
            self.outbox.push(bytes);
        }
    }

    /// Whether it may still type.
    pub(super) fn types(&self) -> bool {
        !self.mute
    }

    /// Reads once what it typed: whole lines that may pass, and what is to be said
    /// of the others. Lines that came together stay together.
    pub(super) fn read(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut buffer = [0; 8192];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.mute = true,
            Ok(count) => return self.input.push(buffer.get(..count).unwrap_or_default()),
            Err(error) if passing(&error) => {}
            Err(_) => self.gone = true,
        }
        (Vec::new(), Vec::new())
    }

    /// Sends what it takes without waiting.
    pub(super) fn flush(&mut self, partial: &[u8]) {
        while !self.outbox.is_empty() {
            match self.stream.write(self.outbox.front()) {
                Ok(count @ 1..) => self.outbox.sent(count, partial),
                Err(error) if passing(&error) => return,
                _ => {
                    self.deaf = true;
                    self.outbox = Outbox::default();
                }
            }
        }
    }

    /// It has closed both ways, or cannot be reached.
    pub(super) fn leave(&mut self) {
        self.gone = true;
    }
}

/// Whether an error only says: not now.
pub(super) fn passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
