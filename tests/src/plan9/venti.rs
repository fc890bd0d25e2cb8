//! A real venti server.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Plan9, zeros};
use crate::port;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A real venti server on the loopback. It is killed when dropped.
#[derive(Debug)]
pub struct Venti {
    plan9: Plan9,
    partition: PathBuf,
    configuration: PathBuf,
    port: u16,
    web: u16,
    server: Option<Child>,
    /// The most bytes that its files may have.
    most: Option<u64>,
}

impl Venti {
    /// A server on a fresh partition `NAME.arenas` in a directory, of so many
    /// bytes, in arenas of `arena` bytes.
    ///
    /// # Panics
    ///
    /// When one of the programs fails.
    #[must_use]
    pub fn fresh(plan9: &Plan9, directory: &Path, name: &str, bytes: u64, arena: u64) -> Self {
        let partition = directory.join(format!("{name}.arenas"));
        zeros(&partition, bytes);
        let arena = arena.to_string();
        let arguments: [&OsStr; 4] = [
            "-a".as_ref(),
            arena.as_ref(),
            name.as_ref(),
            partition.as_ref(),
        ];
        plan9.succeed("venti/fmtarenas", &arguments);
        Self::on(plan9, &partition)
    }

    /// A server on this partition, with an index made for it beside it.
    ///
    /// # Panics
    ///
    /// When one of the programs fails.
    #[must_use]
    pub fn on(plan9: &Plan9, partition: &Path) -> Self {
        let mut venti = Self::beside(plan9, partition);
        plan9.succeed("venti/buildindex", &[&venti.configuration]);
        venti.start();
        venti
    }

    /// A server on this partition, with an index beside it that is empty: the server
    /// enters by itself what the partition holds.
    ///
    /// # Panics
    ///
    /// When one of the programs fails.
    #[must_use]
    pub fn with_empty_index(plan9: &Plan9, partition: &Path) -> Self {
        let mut venti = Self::beside(plan9, partition);
        venti.start();
        venti
    }

    fn beside(plan9: &Plan9, partition: &Path) -> Self {
        let section = partition.with_extension("isect");
        zeros(&section, 20 << 20);
        let arguments: [&OsStr; 2] = ["isect".as_ref(), section.as_ref()];
        plan9.succeed("venti/fmtisect", &arguments);
        let (port, web) = (port::free(), port::free());
        let configuration = partition.with_extension("conf");
        let text = format!(
            "index main\nisect {}\narenas {}\nmem 10m\nbcmem 20m\nicmem 10m\naddr tcp!127.0.0.1!{port}\nhttpaddr tcp!127.0.0.1!{web}\n",
            section.display(),
            partition.display(),
        );
        fs::write(&configuration, text).expect("a configuration beside the partition");
        plan9.succeed("venti/fmtindex", &[&configuration]);
        Venti {
            plan9: plan9.clone(),
            partition: partition.to_owned(),
            configuration,
            port,
            web,
            server: None,
            most: None,
        }
    }

    /// Its arena partition.
    #[must_use]
    pub fn partition(&self) -> &Path {
        &self.partition
    }

    /// Its address as a dial string.
    #[must_use]
    pub fn address(&self) -> String {
        format!("tcp!127.0.0.1!{}", self.port)
    }

    /// Its port on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its index page.
    #[must_use]
    pub fn index(&self) -> String {
        format!("http://127.0.0.1:{}/index", self.web)
    }

    /// A page of its web server, `/index` or `/storage`, after a sync.
    ///
    /// # Panics
    ///
    /// When it does not come.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        self.sync();
        let mut stream = connect(self.web);
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("a request");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a page");
        let answer = String::from_utf8(bytes).expect("a page of text");
        let (head, page) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(" 200 "), "{path}: {head}");
        page.to_owned()
    }

    /// How many clumps it says that it holds.
    ///
    /// # Panics
    ///
    /// When it does not say.
    #[must_use]
    pub fn clumps(&self) -> u64 {
        let page = self.page("/storage");
        let number = page.lines().find_map(|line| {
            let (number, _) = line.strip_prefix("clumps=")?.split_once(' ')?;
            number.replace(',', "").parse().ok()
        });
        number.unwrap_or_else(|| panic!("no number of clumps: {page}"))
    }

    /// Makes it sync.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn sync(&self) {
        let address = self.address();
        self.plan9.succeed("venti/sync", &["-h", address.as_str()]);
    }

    /// Has it read its configuration from here when it is started again.
    pub fn configure_from(&mut self, file: &Path) {
        self.configuration = file.to_owned();
    }

    /// Its configuration file.
    #[must_use]
    pub fn configuration(&self) -> &Path {
        &self.configuration
    }

    /// When it is started again, its disk is full where a file has so many bytes;
    /// or it is not.
    pub fn fill_disk_at(&mut self, bytes: Option<u64>) {
        self.most = bytes;
    }

    /// Starts it again, on the same partition and port.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub fn start(&mut self) {
        let log = fs::File::create(self.partition.with_extension("log")).expect("a log file");
        let program = "venti/venti";
        let mut command = match self.most {
            Some(most) => self.plan9.command_with_full_disk(program, most),
            None => self.plan9.command(program),
        };
        let server = command
            .args([
                OsString::from("-s"),
                "-c".into(),
                self.configuration.clone().into(),
            ])
            // Otherwise the server is a child of our child, and outlives it.
            .env("NOLIBTHREADDAEMONIZE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("venti: {e}"));
        self.server = Some(server);
        connect(self.port);
    }

    /// Kills it. After that nobody answers on its port.
    ///
    /// # Panics
    ///
    /// When somebody does.
    pub fn stop(&mut self) {
        self.kill();
        let answer = TcpStream::connect(("127.0.0.1", self.port));
        assert!(answer.is_err(), "port {}: still answering", self.port);
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended already: no error.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for Venti {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection to this port of the loopback, as soon as it answers.
fn connect(port: u16) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(e) => assert!(Instant::now() < deadline, "port {port}: {e}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}
