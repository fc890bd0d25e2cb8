//! What has come from a client and is not given away yet.

use std::io::{self, Read};
use std::ops::Range;

use crate::codec::wire::{Version, VersionLine, message_length};

/// The longest message that is taken, in bytes: no request is as long. One that
/// announces more ends its connection.
pub(super) const MESSAGE_MAX: usize = 64 * 1024 + 6;

/// Bytes that are asked for at once, with room for a message that began before.
const BUFFER: usize = 128 * 1024 + MESSAGE_MAX + 4;

/// Bytes that came, in order; those given away are overwritten.
pub(super) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A message is longer than any request.
pub(super) struct TooLong;

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox {
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
        }
    }

    /// Reads once; 0 means that nothing more comes.
    pub(super) fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let read = from.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read)
    }

    /// Nothing has come that was not given away.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes the first line without its newline; none if it is not all there.
    pub(super) fn line(&mut self) -> Option<&[u8]> {
        let come = &self.buffer[self.start..self.end];
        let length = come.iter().position(|&byte| byte == b'\n')?;
        let start = self.start;
        self.start += length + 1;
        Some(&self.buffer[start..start + length])
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Takes the next message; none if it is not all there. What is returned is where it
    /// is, for [`Inbox::bytes`], until the next [`Inbox::fill`].
    pub(super) fn message(&mut self, version: Version) -> Result<Option<Frame>, TooLong> {
        let come = &self.buffer[self.start..self.end];
        let Some(length) = message_length(version, come) else {
            return Ok(None);
        };
        if length > MESSAGE_MAX {
            return Err(TooLong);
        }
        let whole = version.length_size() + length;
        if come.len() < whole {
            return Ok(None);
        }
        let frame = self.start..self.start + whole;
        self.start = frame.end;
        let message = frame.start + version.length_size()..frame.end;
        Ok(Some(Frame { frame, message }))
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }
}

/// Where a message is in an [`Inbox`].
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// With its length before it.
    pub(super) frame: Range<usize>,
    /// Type, tag and body.
    pub(super) message: Range<usize>,
}

/// The version that a server agrees on by the line of a client.
pub(super) fn agreed(line: &[u8]) -> Option<Version> {
    let line = VersionLine::parse(line).ok()?;
    line.first_of(&[Version::V04, Version::V02])
}
