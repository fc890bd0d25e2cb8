//! A server of a store: the venti protocol on sockets, and its pages by HTTP.
//!
//! Each connection has a thread that reads and one that sends; the requests of all are
//! carried out by one pool of workers, in chunks, and answered in order.

mod answer;
mod arenas;
mod connection;
mod inbox;
mod local;
mod pool;
mod slots;
mod turns;
mod web;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::codec::network::Network;
use crate::store::Store;
use pool::Pool;
use slots::{Slot, Slots};

pub use arenas::Sums;
pub use local::LocalServer;

/// How long no connection is taken after the system had none to give.
const NO_MORE_FILES: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// The most connections that are taken from one listener before the others are looked at.
const TAKEN_AT_ONCE: usize = 64;

/// What a server bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. One more takes the place of the one that has asked for nothing
    /// for the longest.
    pub connections: usize,
    /// Connections for pages at once, likewise.
    pub web: usize,
    /// Bytes of requests and of replies that a connection may have on their way, each.
    pub in_flight: usize,
    /// How long the hello may take.
    pub hello: Duration,
    /// How long a request may take to arrive once it has begun.
    pub message: Duration,
    /// How long a client may read nothing of its replies.
    pub replies: Duration,
    /// How long clients have to take what they are owed when the server ends.
    pub end: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 256,
            web: 32,
            in_flight: 1 << 20,
            hello: Duration::from_secs(10),
            message: Duration::from_secs(60),
            replies: Duration::from_secs(60),
            end: Duration::from_secs(30),
        }
    }
}

/// Where a server listens, and for whom.
#[derive(Debug, Default)]
pub struct Doors {
    /// For the venti protocol.
    pub venti: Vec<TcpListener>,
    /// For HTTP.
    pub web: Vec<TcpListener>,
    /// Who is let in; everybody, if there are none.
    pub allow: Vec<Network>,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Venti,
    Web,
}

impl Doors {
    fn all(&self) -> impl Iterator<Item = (&TcpListener, Door)> {
        let venti = self.venti.iter().map(|door| (door, Door::Venti));
        venti.chain(self.web.iter().map(|door| (door, Door::Web)))
    }
}

/// What a signal asks of a server.
#[derive(Debug)]
pub struct Signals {
    /// Readable when the server is to end.
    pub end: UnixStream,
    /// Readable when it is to say how it is.
    pub status: UnixStream,
}

/// What a server tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A signal asked how it is.
    Status,
    /// A signal ended it, and it answers what has come.
    Ending,
}

/// What became of connections since the server was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections now.
    pub open: u64,
    /// Connections taken.
    pub taken: u64,
    /// Connections of addresses that are not let in.
    pub refused: u64,
    /// Connections closed to make room for others.
    pub closed: u64,
}

/// What all threads of a server see.
struct Shared {
    store: Arc<Store>,
    limits: Limits,
    pool: Pool,
    slots: Arc<Slots>,
    web: Arc<Slots>,
    stopped: AtomicBool,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Shared {
    /// What became of connections.
    fn connections(&self) -> Connections {
        Connections {
            open: self.slots.count() as u64,
            taken: self.taken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            closed: self.slots.closed_for_others(),
        }
    }

    fn slots(&self, door: Door) -> &Arc<Slots> {
        match door {
            Door::Venti => &self.slots,
            Door::Web => &self.web,
        }
    }

    /// Nothing more is to be read from clients.
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// A server that has its threads, and takes no connections yet.
pub struct Server(Arc<Shared>);

impl Server {
    /// A server of this store.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn new(store: Arc<Store>, limits: Limits) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            limits,
            pool: Pool::new(),
            slots: Slots::new(limits.connections),
            web: Slots::new(limits.web),
            stopped: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        Pool::start(&shared)?;
        Ok(Server(shared))
    }

    /// What became of connections.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.0.connections()
    }

    /// Takes connections until a signal ends it. Then it answers what has come, for a
    /// while, and returns.
    ///
    /// # Errors
    /// The sockets cannot be waited for.
    pub fn run(
        &self,
        doors: &Doors,
        signals: &Signals,
        mut event: impl FnMut(Event),
    ) -> io::Result<()> {
        let all: Vec<(&TcpListener, Door)> = doors.all().collect();
        for (door, _) in &all {
            door.set_nonblocking(true)?;
        }
        signals.status.set_nonblocking(true)?;
        let mut has_files = true;
        loop {
            let open = if has_files { &*all } else { &[] };
            let ready = wait(signals, open, (!has_files).then_some(&NO_MORE_FILES))?;
            has_files = true;
            if ready.status {
                drain(&signals.status);
                event(Event::Status);
            }
            if ready.end {
                break;
            }
            for at in ready.doors {
                has_files &= self.take(all[at], &doors.allow);
            }
        }
        event(Event::Ending);
        self.finish();
        Ok(())
    }

    /// Takes connections that wait. Says whether the system had room for them.
    fn take(&self, (listener, door): (&TcpListener, Door), allow: &[Network]) -> bool {
        for _ in 0..TAKEN_AT_ONCE {
            match listener.accept() {
                Ok((stream, from)) if is_allowed(allow, from.ip()) => self.admit(stream, door),
                Ok(_) => {
                    self.0.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return true,
                    // The client is gone again.
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ => {
                        self.0.slots(door).close_idlest();
                        return false;
                    }
                },
            }
        }
        true
    }

    fn admit(&self, stream: TcpStream, door: Door) {
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let Some(slot) = self.0.slots(door).admit(stream) else {
            return;
        };
        let shared = Arc::clone(&self.0);
        let serve = move |slot: Slot| match door {
            Door::Venti => connection::serve(&shared, slot),
            Door::Web => web::serve(&shared, &slot),
        };
        if door == Door::Venti {
            self.0.taken.fetch_add(1, Ordering::Relaxed);
        }
        // Without a thread the connection is closed.
        let _ = thread::Builder::new().spawn(move || serve(slot));
    }

    /// Answers what has come, and waits until that is sent.
    fn finish(&self) {
        self.0.slots.hang_up();
        self.0.web.hang_up();
        if !self.0.slots.wait(self.0.limits.end / 2) {
            // Some send on and on.
            self.0.stopped.store(true, Ordering::Relaxed);
            self.0.slots.wait(self.0.limits.end / 2);
        }
    }
}

fn is_allowed(allow: &[Network], address: IpAddr) -> bool {
    allow.is_empty() || allow.iter().any(|network| network.contains(address))
}

/// What is to be done.
struct Ready {
    end: bool,
    status: bool,
    /// The numbers of the listeners that have connections.
    doors: Vec<usize>,
}

/// Waits until something is to be done, or the limit is over.
fn wait(
    signals: &Signals,
    doors: &[(&TcpListener, Door)],
    limit: Option<&Timespec>,
) -> io::Result<Ready> {
    let fds = [signals.end.as_fd(), signals.status.as_fd()].into_iter();
    let fds = fds.chain(doors.iter().map(|(door, _)| door.as_fd()));
    let mut looks: Vec<PollFd<'_>> = fds
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    match poll(&mut looks, limit) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |look: &PollFd<'_>| !look.revents().is_empty();
    let ready: Vec<bool> = looks.iter().map(is_ready).collect();
    let doors = ready.iter().skip(2).enumerate();
    Ok(Ready {
        end: ready.first() == Some(&true),
        status: ready.get(1) == Some(&true),
        doors: doors
            .filter_map(|(at, ready)| ready.then_some(at))
            .collect(),
    })
}

/// Takes what a signal wrote.
fn drain(mut signal: &UnixStream) {
    let mut sink = [0; 64];
    while matches!(io::Read::read(&mut signal, &mut sink), Ok(1..)) {}
}
