//! A server of arenas for the clients of this process alone.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use eyre::{Result, WrapErr};

use super::{Doors, Limits, Server, Signals};
use crate::codec::dial::Dial;
use crate::codec::operand::Operand;
use crate::replica::StoreAccess;
use crate::store::{Settings, Store, disk};

/// A server that reads what an operand names, and ends when it is dropped. It listens on the
/// loopback, at a port that the system chooses; who finds it needs the scores.
pub struct LocalServer {
    dial: Dial,
    end: Option<UnixStream>,
    _status: UnixStream,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl LocalServer {
    /// Starts one; `say` is told what is wrong with the arenas.
    ///
    /// # Errors
    /// They cannot be opened, or the system has no socket or thread to give.
    pub fn start(
        operand: &OsStr,
        access: &StoreAccess,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self> {
        let operand = Operand::try_from(operand)?;
        let disks = disk::open_all(&[operand], true, access, &say)?;
        let settings = Settings {
            read_only: true,
            cache: 0,
            say: Box::new(say),
        };
        let store = Arc::new(Store::open(disks, settings)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).wrap_err("loopback")?;
        let port = listener.local_addr().wrap_err("loopback")?.port();
        let doors = Doors {
            venti: vec![listener],
            ..Doors::default()
        };
        let (end, ends) = UnixStream::pair().wrap_err("sockets")?;
        let (status, asks) = UnixStream::pair().wrap_err("sockets")?;
        let signals = Signals {
            end: ends,
            status: asks,
        };
        let server = Server::new(store, Limits::default()).wrap_err("threads")?;
        let thread = thread::spawn(move || server.run(&doors, &signals, |_| ()));
        Ok(LocalServer {
            dial: format!("tcp!127.0.0.1!{port}").parse()?,
            end: Some(end),
            _status: status,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn dial(&self) -> &Dial {
        &self.dial
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        // The other side reads its end.
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
