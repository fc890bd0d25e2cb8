//! A relay between a client and a server: it counts the writes that pass, can keep the
//! server's newer version from the client, and can be as slow as a long line.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use venticore::codec::wire::{Request, Version, VersionLine, unframe};

/// The longest request a client sends.
const REQUEST_MAX: usize = 256 * 1024;

/// The longest version line.
const LINE_MAX: usize = 1024;

#[derive(Default)]
struct Shared {
    writes: AtomicU64,
    stopped: AtomicBool,
    only_02: bool,
    /// How long each byte is on its way.
    delay: Duration,
}

/// A relay on a loopback port of its own; it takes no new connections once
/// dropped.
pub struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay to the server on this port of the loopback.
    #[must_use]
    pub fn to(port: u16) -> Self {
        Self::with(port, Shared::default())
    }

    /// The same, but the server seems to know version 02 only.
    #[must_use]
    pub fn of_02(port: u16) -> Self {
        Self::with(
            port,
            Shared {
                only_02: true,
                ..Shared::default()
            },
        )
    }

    /// A relay on which each byte takes this long, in both directions.
    #[must_use]
    pub fn slow(port: u16, delay: Duration) -> Self {
        Self::with(
            port,
            Shared {
                delay,
                ..Shared::default()
            },
        )
    }

    fn with(port: u16, shared: Shared) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(shared);
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || accept(&listener, port, &of_thread));
        Relay {
            shared,
            address,
            thread: Some(thread),
        }
    }

    /// Where it listens, as a dial string.
    #[must_use]
    pub fn address(&self) -> String {
        format!("tcp!127.0.0.1!{}", self.address.port())
    }

    /// Writes that have passed since this was last asked.
    #[must_use]
    pub fn take_writes(&self) -> u64 {
        self.shared.writes.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes it up; it may be gone already.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        // A server that is down: the client sees its connection closed.
        if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
            let of_thread = Arc::clone(shared);
            thread::spawn(move || join(client, server, &of_thread));
        }
    }
}

/// Passes everything on until both sides have closed.
fn join(mut client: TcpStream, mut server: TcpStream, shared: &Shared) {
    let (Ok(mut to_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(move || {
            // An end by an error is an end.
            let _ = down(&mut server, &mut to_client, shared);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let _ = up(&mut client, &mut to_server, shared);
        let _ = to_server.shutdown(Shutdown::Both);
    });
}

fn down(server: &mut TcpStream, client: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let mut line = read_line(server)?;
    if shared.only_02 {
        line = b"venti-02-relay\n".to_vec();
    }
    client.write_all(&line)?;
    late(server, client, shared, |_| Ok(()))
}

fn up(client: &mut TcpStream, server: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let line = read_line(client)?;
    let known: &[Version] = match shared.only_02 {
        true => &[Version::V02],
        false => &[Version::V04, Version::V02],
    };
    let version = VersionLine::parse(line.trim_ascii_end())
        .ok()
        .and_then(|line| line.first_of(known))
        .ok_or(io::ErrorKind::InvalidData)?;
    server.write_all(&line)?;
    let mut pending = Vec::new();
    late(client, server, shared, |bytes| {
        pending.extend_from_slice(bytes);
        let used = count(version, &pending, &shared.writes)?;
        pending.drain(..used);
        Ok(())
    })
}

/// Passes on what comes, each piece after the delay, until the end.
fn late(
    from: &mut TcpStream,
    to: &mut TcpStream,
    shared: &Shared,
    mut look: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    // What is on its way, and when it is there.
    let (sender, line) = mpsc::sync_channel::<(Instant, Vec<u8>)>(1024);
    let mut buffer = vec![0; 64 * 1024];
    thread::scope(|scope| {
        scope.spawn(move || {
            for (due, bytes) in line {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        loop {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            look(&buffer[..n])?;
            let piece = (Instant::now() + shared.delay, buffer[..n].to_vec());
            if sender.send(piece).is_err() {
                return Ok(());
            }
        }
    })
}

/// Counts the writes among the requests that are all there; says how many
/// bytes these take.
fn count(version: Version, bytes: &[u8], writes: &AtomicU64) -> io::Result<usize> {
    let mut start = 0;
    while let Some((message, used)) = unframe(version, &bytes[start..], |_| REQUEST_MAX)
        .map_err(|_| io::ErrorKind::InvalidData)?
    {
        start += used;
        if let Ok((_, Request::Write { .. })) = Request::decode(message) {
            writes.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(start)
}

/// A version line, with its newline.
fn read_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') && line.len() < LINE_MAX {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(line)
}
