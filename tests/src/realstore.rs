//! Object stores as they are: Ceph, and rclone, which overwrites and ignores checksums.
//!
//! Each is a server of its own on the loopback. What lies in it is read by curl, as a stranger
//! would.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::bucket::{KEY, SECRET};
use crate::command::{self, Command, Running};
use crate::patience;
use crate::plan9::fed;
use crate::port;

/// The bucket.
const BUCKET: &str = "archive";

/// How long Ceph may take until it runs, in seconds.
const START: &str = "120";

/// A running server with an empty bucket. It is ended when dropped.
#[derive(Debug)]
pub struct RealStore {
    server: Server,
    port: u16,
    directory: TempDir,
}

#[derive(Debug)]
enum Server {
    Rclone(Child),
    Ceph,
}

impl RealStore {
    /// rclone.
    ///
    /// # Errors
    ///
    /// What is missing here.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub fn rclone() -> Result<Self, String> {
        find(&["rclone", "curl"])?;
        let help = process::Command::new("rclone")
            .args(["serve", "s3", "--help"])
            .output();
        // 1.65 is the first that can.
        let help = help.map_err(|error| format!("rclone: {error}"))?;
        if !String::from_utf8_lossy(&help.stdout).contains("rclone serve s3") {
            return Err("rclone: cannot serve s3".to_owned());
        }
        let (directory, port) = (below(), port::free());
        let server = Server::Rclone(run_rclone(directory.path(), port));
        let store = RealStore {
            server,
            port,
            directory,
        };
        store.make_bucket();
        Ok(store)
    }

    /// Ceph: one monitor, one disk, one gateway.
    ///
    /// # Errors
    ///
    /// What is missing here, or why it does not come up.
    ///
    /// # Panics
    ///
    /// When there is no room for its files.
    pub fn ceph() -> Result<Self, String> {
        find(&["radosgw", "ceph-mon", "ceph-osd", "curl"])?;
        let (directory, port) = (below(), port::free());
        let log = directory.path().join("start.log");
        let file = File::create(&log).expect("a log of the start");
        // Held at once: what was started is ended, however far it came.
        let store = RealStore {
            server: Server::Ceph,
            port,
            directory,
        };
        let mut start = process::Command::new("timeout");
        start
            .arg(START)
            .arg(command::root().join("tests/ceph/start.sh"))
            .arg(store.run())
            .args([port.to_string(), port::free().to_string()])
            .env("KEY", KEY)
            .env("SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("an open log"))
            .stderr(file);
        let status = start.status().map_err(|error| format!("Ceph: {error}"))?;
        if !status.success() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            return Err(format!(
                "Ceph does not start: {status}: {}",
                last.unwrap_or_default()
            ));
        }
        store.make_bucket();
        Ok(store)
    }

    fn make_bucket(&self) {
        self.wait();
        let _ = self.curl(&["-X", "PUT"], "");
    }

    fn wait(&self) {
        patience::until("an object store listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn run(&self) -> PathBuf {
        self.directory.path().join("ceph")
    }

    /// A replica in it, as a target.
    #[must_use]
    pub fn replica(&self, prefix: &str) -> String {
        format!("s3:http://127.0.0.1:{}/{BUCKET}/{prefix}", self.port)
    }

    /// Gives a command the key, further attempts, and these lines of configuration.
    #[must_use]
    pub fn with_key(command: Command, config: &str) -> Command {
        let limits = "[limits]\nretries = 7\n[s3]\nregion = \"default\"\n";
        command
            .config(&format!("{config}{limits}"))
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    /// The names of the objects below a prefix, without it.
    ///
    /// # Panics
    ///
    /// When it does not list them.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let listing = self.curl(&[], &format!("?list-type=2&prefix={prefix}%2F"));
        let listing = String::from_utf8(listing).expect("a listing is text");
        assert!(!listing.contains("<IsTruncated>true"), "{listing}");
        let keys = listing.split("<Key>").skip(1);
        let keys = keys.filter_map(|key| key.split_once("</Key>"));
        let start = format!("{prefix}/");
        let keys = keys.filter_map(|(key, _)| key.strip_prefix(&start));
        keys.map(str::to_owned).collect()
    }

    /// The objects below a prefix, by their names without it.
    ///
    /// # Panics
    ///
    /// When it does not give them.
    #[must_use]
    pub fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let object = |name: String| {
            let bytes = self.curl(&[], &format!("/{prefix}/{name}"));
            (name, bytes)
        };
        self.names(prefix).into_iter().map(object).collect()
    }

    /// What it answers to a signed request about the bucket.
    fn curl(&self, arguments: &[&str], rest: &str) -> Vec<u8> {
        let mut curl = process::Command::new("curl");
        curl.args(["-sSfg", "--max-time", "60", "--retry", "30"]);
        curl.args(["--retry-delay", "1", "--retry-all-errors", "-K", "-"]);
        curl.args(arguments);
        let mut config = String::new();
        let url = format!("http://127.0.0.1:{}/{BUCKET}{rest}", self.port);
        for (key, value) in [
            ("url", url.as_str()),
            ("aws-sigv4", "aws:amz:default:s3"),
            ("header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"),
            ("user", &format!("{KEY}:{SECRET}")),
        ] {
            let _ = writeln!(config, "{key} = \"{value}\"");
        }
        fed(&mut curl, config.as_bytes())
    }

    /// Runs that fill a replica in the bucket and are killed before they are done, three
    /// times, or whose store is, once. Each has stored an object more by then.
    ///
    /// # Panics
    ///
    /// When one is done too soon, or the last does not end with 0.
    pub fn fill_through_kills(&mut self, prefix: &str, run: impl Fn() -> Running) {
        for is_ours in [true, true, true, false] {
            let before = self.names(prefix).len();
            let mut running = run();
            patience::until("the next object", || self.names(prefix).len() > before);
            assert!(running.is_running(), "{:?}", running.wait());
            if is_ours {
                running.kill();
                assert_eq!(running.wait().status, 137);
            } else {
                self.kill_and_start();
                let output = running.wait();
                assert_eq!(output.status, 0, "{output:?}");
            }
        }
    }

    /// Kills it, as `kill -9` does, and starts it again. Of Ceph, the gateway and the disk.
    ///
    /// # Panics
    ///
    /// When it does not come up again.
    pub fn kill_and_start(&mut self) {
        let run = self.run();
        let killed = self.server.kill(&run, &["client.rgw", "osd.0"]);
        assert!(killed, "not killed");
        match &mut self.server {
            Server::Rclone(child) => *child = run_rclone(self.directory.path(), self.port),
            Server::Ceph => {
                for words in [["ceph-osd", "-i", "0"], ["radosgw", "-n", "client.rgw"]] {
                    let mut program = process::Command::new("timeout");
                    program.arg(START).args(words).stdin(Stdio::null());
                    program.env("CEPH_CONF", run.join("ceph.conf"));
                    program.stdout(Stdio::null()).stderr(Stdio::null());
                    // What was killed may hold its disk a moment longer.
                    patience::until(&format!("{words:?} starts again"), || {
                        program.status().is_ok_and(|status| status.success())
                    });
                }
            }
        }
        self.wait();
    }
}

impl Drop for RealStore {
    fn drop(&mut self) {
        let run = self.run();
        let _ = self.server.kill(&run, &["client.rgw", "osd.0", "mon.a"]);
    }
}

impl Server {
    /// Kills it; of Ceph, the daemons with these names. Whether all of them ran.
    fn kill(&mut self, run: &Path, daemons: &[&str]) -> bool {
        match self {
            Server::Rclone(child) => child.kill().and_then(|()| child.wait()).is_ok(),
            Server::Ceph => {
                let kill = |name: &&str| kill(&run.join(format!("{name}.pid")));
                let killed: Vec<bool> = daemons.iter().map(kill).collect();
                killed.into_iter().all(|killed| killed)
            }
        }
    }
}

/// A directory for its files. Their sockets have names that may not be long.
fn below() -> TempDir {
    tempfile::tempdir().expect("a directory for temporary files")
}

/// Whether these programs are found.
fn find(programs: &[&str]) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&&str| {
        let mut directories = std::env::split_paths(&path);
        directories.any(|directory| directory.join(program).exists())
    };
    match programs.iter().find(|program| !is_there(program)) {
        Some(missing) => Err(format!("{missing}: not found")),
        None => Ok(()),
    }
}

fn run_rclone(directory: &Path, port: u16) -> Child {
    let objects = directory.join("objects");
    fs::create_dir_all(&objects).expect("a directory for objects");
    let mut rclone = process::Command::new("rclone");
    rclone
        .args(["serve", "s3", "--config", "/dev/null", "--addr"])
        .arg(format!("127.0.0.1:{port}"))
        .env("RCLONE_AUTH_KEY", format!("\"{KEY},{SECRET}\""))
        .arg(objects)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    rclone.spawn().expect("rclone was found")
}

/// Kills the process whose id is in a file, and waits for its end.
fn kill(file: &Path) -> bool {
    let id = fs::read_to_string(file).ok();
    let Some(id) = id.and_then(|text| Pid::from_raw(text.trim().parse().ok()?)) else {
        return false;
    };
    let is_killed = kill_process(id, Signal::KILL).is_ok();
    patience::until("the end of a server", || {
        // Nobody may have waited for it yet: then it is dead all the same.
        let path = format!("/proc/{}/stat", id.as_raw_nonzero());
        fs::read_to_string(path).map_or(true, |stat| stat.contains(") Z "))
    });
    is_killed
}
