//! A `ventiserve` on the loopback, and a client that says to it whatever a test wants.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use venticore::codec::wire::{Reply, Request, Version, message_length};

use crate::command::{Command, Output, Running};
use crate::patience::{self, PATIENCE};
use crate::port;

/// A running server; it is killed when dropped.
#[derive(Debug)]
pub struct Served {
    running: Running,
    port: u16,
    web: u16,
}

impl Served {
    /// A server of this store, made there with arenas of 4 MiB if it is not there.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    pub fn made(store: &Path) -> Self {
        Self::with(&["-c", "64m", "-A", "4m"], store)
    }

    /// A server with these options.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    pub fn with<S: AsRef<OsStr>>(options: &[S], store: &Path) -> Self {
        Self::on(port::free(), options, store)
    }

    /// A server of this store again, on the port that it had.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    pub fn at(store: &Path, port: u16) -> Self {
        Self::on::<&str>(port, &[], store)
    }

    fn on<S: AsRef<OsStr>>(port: u16, options: &[S], store: &Path) -> Self {
        let web = port::free();
        let address = |port| format!("127.0.0.1:{port}");
        let command = Command::new("ventiserve");
        let command = command.args(["-a", &address(port), "-H", &address(web)]);
        let running = command.args(options).arg(store).start();
        Self::of(running, port, web)
    }

    /// A server that was started by the test, with its ports.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    pub fn of(mut running: Running, port: u16, web: u16) -> Self {
        patience::until("ventiserve serves", || {
            assert!(running.is_running(), "ventiserve ended");
            // It may listen before it has the store.
            TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
                let _ = stream.set_read_timeout(Some(PATIENCE));
                stream.read_exact(&mut [0]).is_ok()
            })
        });
        Served { running, port, web }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Its port on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as a dial string.
    #[must_use]
    pub fn dial(&self) -> String {
        format!("tcp!127.0.0.1!{}", self.port)
    }

    /// The URL of a page, `/index`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.web)
    }

    /// What its web server says to this request.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    #[must_use]
    pub fn web(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.web)).expect("it listens");
        let _ = stream.set_read_timeout(Some(PATIENCE));
        // One that is refused may be closed before all of it is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The text of a page.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        let answer = self.web(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        let (head, page) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.0 200 "), "{path}: {head}");
        page.to_owned()
    }

    /// A number of the page `/metrics`.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.page("/metrics");
        let number = page.lines().find_map(|line| {
            let value = line.strip_prefix("ventiserve_")?.strip_prefix(name)?;
            value.trim().parse().ok()
        });
        number.unwrap_or_else(|| panic!("no {name}: {page}"))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When that is not possible.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.running.id()).expect("a process id");
        let pid = Pid::from_raw(pid).expect("a process id");
        kill_process(pid, signal).expect("our own child");
    }

    /// Ends it, as systemd would.
    #[must_use]
    pub fn end(self) -> Output {
        self.signal(Signal::TERM);
        self.running.wait()
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.running.kill();
    }

    /// A client that has said hello.
    ///
    /// # Panics
    ///
    /// When it is not let in.
    #[must_use]
    pub fn client(&self, version: Version) -> WireClient {
        WireClient::hello(self.port, version).expect("it is let in")
    }
}

/// A connection on which nothing is checked.
#[derive(Debug)]
pub struct WireClient {
    /// The socket.
    pub stream: TcpStream,
    version: Version,
}

impl WireClient {
    /// Connects, and says nothing.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn silent(port: u16, version: Version) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(WireClient { stream, version })
    }

    /// Connects, agrees on a version and says hello.
    ///
    /// # Errors
    ///
    /// As the system says; the server closes, or answers something else.
    pub fn hello(port: u16, version: Version) -> io::Result<Self> {
        let mut client = Self::silent(port, version)?;
        client.line()?;
        let line = format!("venti-{}-test\n", version.text());
        client.stream.write_all(line.as_bytes())?;
        client.say_hello()?;
        match client.message()?.first() {
            Some(5) => Ok(client),
            other => Err(io::Error::other(format!("no Rhello: {other:?}"))),
        }
    }

    /// Sends a hello of its version.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn say_hello(&mut self) -> io::Result<()> {
        let version = self.version.text().as_bytes();
        self.send(
            0,
            &Request::Hello {
                version,
                uid: b"test",
                strength: 0,
                crypto: b"",
                codec: b"",
            },
        )
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// As the system says; the server closes.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') {
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// As the system says.
    ///
    /// # Panics
    ///
    /// When it cannot be encoded.
    pub fn send(&mut self, tag: u8, request: &Request<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let encoded = request.encode(self.version, tag, &mut bytes);
        encoded.expect("a request that fits");
        self.stream.write_all(&bytes)
    }

    /// Sends a frame with this message.
    ///
    /// # Errors
    ///
    /// As the system says.
    ///
    /// # Panics
    ///
    /// When it is too long for its version.
    pub fn frame(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u32::try_from(message.len()).expect("it fits");
        let length = length.to_be_bytes();
        let size = self.version.length_size();
        let frame = [&length[length.len() - size..], message].concat();
        self.stream.write_all(&frame)
    }

    /// Reads the next message.
    ///
    /// # Errors
    ///
    /// As the system says; the server closes.
    pub fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut length = vec![0; self.version.length_size()];
        self.stream.read_exact(&mut length)?;
        let length = message_length(self.version, &length).unwrap_or(0);
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message)?;
        Ok(message)
    }

    /// Asks, and reads the answer: `Rwrite SCORE` and so on.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn ask(&mut self, request: &Request<'_>) -> String {
        self.send(7, request).expect("it is read");
        self.answer().expect("an answer")
    }

    /// The same with tag 0, as a hello has.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn ask_with_tag_0(&mut self, request: &Request<'_>) -> String {
        self.send(0, request).expect("it is read");
        self.answer().expect("an answer")
    }

    /// Reads an answer as text, without its tag.
    ///
    /// # Errors
    ///
    /// As the system says; the server closes.
    pub fn answer(&mut self) -> io::Result<String> {
        let message = self.message()?;
        let (_, reply) =
            Reply::decode(&message).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(match reply {
            Reply::Error(text) => format!("Rerror {}", String::from_utf8_lossy(text)),
            Reply::Read(data) => format!("Rread {} {:x?}", data.len(), &data[..data.len().min(8)]),
            Reply::Write(score) => format!("Rwrite {score}"),
            other => other.name().to_owned(),
        })
    }

    /// Sends nothing more, and reads all that comes.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn rest(&mut self) -> io::Result<Vec<String>> {
        self.stream.shutdown(Shutdown::Write)?;
        let mut answers = Vec::new();
        loop {
            match self.answer() {
                Ok(answer) => answers.push(answer),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(answers),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the server closes, and says nothing before it does.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Whether nothing comes for a moment.
    #[must_use]
    pub fn is_silent(&mut self) -> bool {
        let _ = self
            .stream
            .set_read_timeout(Some(Duration::from_millis(100)));
        let read = self.stream.read(&mut [0]);
        let _ = self.stream.set_read_timeout(Some(PATIENCE));
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}
