//! Object stores as they are: rclone, which overwrites and ignores checksums, and Ceph.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use venti_tests::bucket::{KEY, SECRET};
use venti_tests::command::{self, Command, Output, skipped};
use venti_tests::patience;
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::port;
use venti_tests::sample::Sample;

/// A server of objects.
enum Server {
    Rclone {
        child: Child,
        port: u16,
        data: PathBuf,
    },
    Ceph {
        run: PathBuf,
        port: u16,
    },
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    if !there {
        skipped(&format!("{program}: not found"));
    }
    there
}

impl Server {
    fn rclone(directory: &Path) -> Option<Self> {
        is_installed("rclone").then(|| {
            let data = directory.join("objects");
            fs::create_dir_all(&data).unwrap();
            let port = port::free();
            Server::Rclone {
                child: Self::run_rclone(&data, port),
                port,
                data,
            }
        })
    }

    fn run_rclone(data: &Path, port: u16) -> Child {
        let mut rclone = process::Command::new("rclone");
        rclone
            .args(["serve", "s3", "--config", "/dev/null", "--addr"])
            .arg(format!("127.0.0.1:{port}"))
            .env("RCLONE_AUTH_KEY", format!("\"{KEY},{SECRET}\""))
            .arg(data)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        rclone.spawn().unwrap()
    }

    fn ceph(directory: &Path) -> Option<Self> {
        let programs = ["radosgw", "ceph-mon", "ceph-osd"];
        if !programs.into_iter().all(is_installed) {
            return None;
        }
        let (run, port) = (directory.join("ceph"), port::free());
        let mut start = process::Command::new(command::root().join("tests/ceph/start.sh"));
        start
            .arg(&run)
            .args([port.to_string(), port::free().to_string()])
            .env("KEY", KEY)
            .env("SECRET", SECRET)
            .stdin(Stdio::null());
        let log = fs::File::create(directory.join("ceph.log")).unwrap();
        start.stdout(log.try_clone().unwrap()).stderr(log);
        let is_up = start.status().unwrap().success();
        let said = fs::read_to_string(directory.join("ceph.log")).unwrap();
        assert!(is_up, "{said}");
        Some(Server::Ceph { run, port })
    }

    fn target(&self) -> String {
        let (Server::Rclone { port, .. } | Server::Ceph { port, .. }) = self;
        format!("s3:http://127.0.0.1:{port}/archive/home")
    }

    /// Kills it and starts it again.
    fn kill_and_start(&mut self) {
        match self {
            Server::Rclone { child, port, data } => {
                child.kill().unwrap();
                child.wait().unwrap();
                *child = Self::run_rclone(data, *port);
            }
            Server::Ceph { run, .. } => {
                for name in ["client.rgw", "osd.0"] {
                    kill(&run.join(format!("{name}.pid")));
                }
                let start = |words: &[&str]| {
                    let mut program = process::Command::new(words[0]);
                    program
                        .args(&words[1..])
                        .env("CEPH_CONF", run.join("ceph.conf"));
                    program.stdout(Stdio::null()).stderr(Stdio::null());
                    assert!(program.status().unwrap().success(), "{words:?}");
                };
                start(&["ceph-osd", "-i", "0"]);
                start(&["radosgw", "-n", "client.rgw"]);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self {
            Server::Rclone { child, .. } => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Server::Ceph { run, .. } => {
                for name in ["client.rgw", "osd.0", "mon.a"] {
                    kill(&run.join(format!("{name}.pid")));
                }
            }
        }
    }
}

/// Kills the process whose id is in a file, and waits for its end.
fn kill(file: &Path) {
    let id = fs::read_to_string(file).ok();
    let id = id.and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
    if let Some(id) = id {
        let _ = kill_process(id, Signal::KILL);
        patience::until("the end of a server", || {
            // Nobody may have waited for it yet: then it is dead all the same.
            let path = format!("/proc/{}/stat", id.as_raw_nonzero());
            fs::read_to_string(path).map_or(true, |stat| stat.contains(") Z "))
        });
    }
}

/// A real venti of six arenas and a state directory.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    venti: Venti,
    sample: Sample,
    tree: PathBuf,
}

impl Site {
    fn new() -> Self {
        let plan9 = Plan9::expect();
        let directory = tempfile::tempdir().unwrap();
        let venti = Venti::fresh(&plan9, directory.path(), "a", 26 << 20, 4 << 20);
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        Site {
            venti,
            plan9,
            tree,
            directory,
            sample: Sample::new(71, 0),
        }
    }

    /// Adds a file to the tree and archives that.
    fn archive(&mut self, name: &str, megabytes: usize) {
        let noise = self.sample.noise(megabytes << 20);
        fs::write(self.tree.join(name), noise).unwrap();
        self.plan9.vac(self.directory.path(), &self.venti);
        self.venti.sync();
    }

    fn with_key(command: Command) -> Command {
        command
            .config("[limits]\nretries = 7\n[s3]\nregion = \"default\"\n")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    fn ventiprog(&self, target: &str, more: &[&str]) -> Command {
        let part = self.venti.partition().display().to_string();
        let command = Command::new("ventiprog")
            .arg("-d")
            .arg(self.directory.path().join("s"));
        let command = command.args(["-s", &self.venti.address(), "-p", &part]);
        Self::with_key(command.args(more).arg(target))
    }

    fn runs(&self, target: &str, more: &[&str]) -> Output {
        let output = self.ventiprog(target, more).run();
        assert_eq!(output.status, 0, "{output:?}");
        assert!(!output.stderr.contains("X-Amz") && !output.stderr.contains(SECRET));
        output
    }
}

/// Makes the bucket, unless the server has one.
fn make_bucket(target: &str) {
    let url = target.trim_start_matches("s3:").trim_end_matches("/home");
    let mut curl = process::Command::new("curl");
    curl.args(["--retry", "60", "--retry-delay", "1", "--retry-connrefused"]);
    curl.args(["-sSf", "-o", "/dev/null", "-X", "PUT", "-K", "-", url]);
    let sign =
        "aws-sigv4 = \"aws:amz:default:s3\"\nheader = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"\n";
    let _ = fed(
        &mut curl,
        format!("{sign}user = \"{KEY}:{SECRET}\"\n").as_bytes(),
    );
}

/// Seed, rollover, increment, kills, and the way back.
fn story(server: impl Fn(&Path) -> Option<Server>) {
    let mut site = Site::new();
    fs::create_dir(site.directory.path().join("s")).unwrap();
    let Some(mut server) = server(site.directory.path()) else {
        return;
    };
    let target = server.target();
    make_bucket(&target);
    site.archive("first", 3);
    site.runs(&target, &[]);
    // Killed in the middle, again and again, until a run comes to its end.
    site.archive("second", 14);
    for after in [20, 60, 120, 200, 300] {
        let mut running = site.ventiprog(&target, &[]).start();
        std::thread::sleep(Duration::from_millis(after));
        running.kill();
        let _ = running.wait();
    }
    let running = site.ventiprog(&target, &[]).start();
    std::thread::sleep(Duration::from_millis(50));
    server.kill_and_start();
    let output = running.wait();
    assert_eq!(output.status, 0, "{output:?}");
    site.archive("third", 1);
    site.runs(&target, &[]);
    let output = site.runs(&target, &["--verify"]);
    assert!(output.stderr.contains("read back and right"), "{output:?}");
    restore(&site, &target);
}

/// Everything goes to a new partition, and is the same.
fn restore(site: &Site, target: &str) {
    let other = Venti::fresh(&site.plan9, site.directory.path(), "b", 34 << 20, 4 << 20);
    let command = Command::new("wrarena").args(["-h", &other.address(), target]);
    let output = Site::with_key(command).run();
    assert_eq!(output.status, 0, "{output:?}");
    let tree = site
        .plan9
        .unvac(site.directory.path(), &site.venti.address());
    assert!(site.plan9.unvac(site.directory.path(), &other.address()) == tree);
    let serve = Command::new("ventiserve").args(["-r", "-a"]);
    let address = format!("tcp!127.0.0.1!{}", port::free());
    let mut serving = Site::with_key(serve.args([&address, target])).start();
    patience::until("a server of the bucket", || {
        site.plan9.run("venti/sync", &["-h", &address]).status == 0
    });
    assert!(site.plan9.unvac(site.directory.path(), &address) == tree);
    serving.kill();
    let _ = serving.wait();
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_bucket_of_rclone_is_filled_through_kills_and_gives_all_back() {
    story(Server::rclone);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_bucket_of_ceph_is_filled_through_kills_and_gives_all_back() {
    story(Server::ceph);
}
