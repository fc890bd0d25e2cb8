//! A scripted HTTP server in a thread: it says what a test wants, as it wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest request head that is read.
const REQUEST_MAX: usize = 64 * 1024;

/// One answer: bytes, and what happens after them.
#[derive(Clone, Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    pause: Duration,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Close,
    Hang,
}

impl Answer {
    /// These bytes, head and all, and the end of the connection.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Answer {
            bytes: bytes.into(),
            pause: Duration::ZERO,
            then: Then::Close,
        }
    }

    /// A page as plan9port's venti sends it to an HTTP/1.1 client: chunked,
    /// text/plain.
    #[must_use]
    pub fn page(body: impl AsRef<[u8]>) -> Self {
        let mut bytes =
            b"HTTP/1.1 200 OK\r\nServer: Plan9\r\nContent-type: text/plain; charset=utf-8\r\n\
              Transfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        bytes.extend(chunked(body.as_ref()));
        Answer::raw(bytes)
    }

    /// A body with its length, under this status (`200 OK`) and further
    /// header lines, each with its `\r\n`.
    #[must_use]
    pub fn with(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(body);
        Answer::raw(bytes)
    }

    /// The same, but only its first bytes.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// The same, but the connection stays open, silent.
    #[must_use]
    pub fn and_hang(mut self) -> Self {
        self.then = Then::Hang;
        self
    }

    /// The same, with a pause before each byte.
    #[must_use]
    pub fn slowly(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Bytes of the answer, head and all.
    #[must_use]
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    fn send(&self, stream: &mut TcpStream, stop: &AtomicBool) {
        // That the client goes away is what many tests want.
        if self.pause.is_zero() {
            let _ = stream.write_all(&self.bytes);
        } else {
            for byte in &self.bytes {
                thread::sleep(self.pause);
                if stop.load(Ordering::Relaxed) || stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        }
        while self.then == Then::Hang && !stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(1000) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// A running server. It stops when dropped.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Http {
    /// Answers every request by what `answer` says to its path.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    #[must_use]
    pub fn serve(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::at(listener, answer)
    }

    /// The same, where this listens.
    ///
    /// # Panics
    ///
    /// When it listens nowhere.
    #[must_use]
    pub fn at(
        listener: TcpListener,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let http = Http {
            address: listener.local_addr().expect("an address"),
            stop: Arc::default(),
            connections: Arc::default(),
            paths: Arc::default(),
        };
        let (stop, connections) = (http.stop.clone(), http.connections.clone());
        let (paths, answer) = (http.paths.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                connections.fetch_add(1, Ordering::Relaxed);
                let (stop, paths, answer) = (stop.clone(), paths.clone(), answer.clone());
                thread::spawn(move || serve_one(stream, &stop, &paths, &*answer));
            }
        });
        http
    }

    /// Answers every request alike.
    #[must_use]
    pub fn answering(answer: Answer) -> Self {
        Self::serve(move |_| answer.clone())
    }

    /// Serves this page.
    #[must_use]
    pub fn page(body: impl AsRef<[u8]>) -> Self {
        Self::answering(Answer::page(body))
    }

    /// `http://ADDRESS/index`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/index", self.address)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The paths asked for so far.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.clone()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve_one(
    mut stream: TcpStream,
    stop: &AtomicBool,
    paths: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str) -> Answer,
) {
    // A client that asks nothing is one that only looks.
    let Some(path) = requested(&mut stream) else {
        return;
    };
    let answer = answer(&path);
    paths
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path);
    answer.send(&mut stream, stop);
}

/// Reads the head of a request; its path.
fn requested(stream: &mut TcpStream) -> Option<String> {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") && head.len() < REQUEST_MAX {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => head.extend(buffer.get(..count)?),
            _ => return None,
        }
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.strip_prefix("GET ")?.split(' ').next()?;
    Some(path.to_owned())
}
