//! What carries a connection: a socket of the network, or a program.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::host::relay::RelayProgram;

/// A socket of which every wait has a limit.
pub(super) enum VentiStream {
    Tcp(TcpStream),
    /// The program has the other end. It is dropped before the socket: killed, so it does not
    /// see an end.
    Via(Box<RelayProgram>, UnixStream),
}

impl VentiStream {
    pub(super) fn connect(address: &SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(address, limit)?;
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    pub(super) fn start(words: &[String]) -> io::Result<Self> {
        let (socket, relay) = RelayProgram::start(words)?;
        Ok(Self::Via(Box::new(relay), socket))
    }

    /// The program, if there is one.
    pub(super) fn relay(&self) -> Option<&RelayProgram> {
        match self {
            Self::Tcp(_) => None,
            Self::Via(relay, _) => Some(relay),
        }
    }

    pub(super) fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Self::Via(_, stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    pub(super) fn set_write_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(limit)),
            Self::Via(_, stream) => stream.set_write_timeout(Some(limit)),
        }
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(nonblocking),
            Self::Via(_, stream) => stream.set_nonblocking(nonblocking),
        }
    }
}

impl Read for VentiStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Via(_, stream) => stream.read(buffer),
        }
    }
}

impl Write for VentiStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Via(_, stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Via(_, stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Via(_, stream) => stream.flush(),
        }
    }
}
