//! Real fossils on a real venti, started, archived, halted and reset by the
//! commands.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fossilcore::console::kin;
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::fossil;
use venti_tests::patience::until;
use venti_tests::plan9::{Plan9, Venti};

use crate::fixture::broker::kin_below;
use crate::fixture::reset::is_blind;

/// A venti, a namespace, and partitions.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    venti: Venti,
}

impl Site {
    fn new() -> Self {
        let (plan9, directory, venti) = Plan9::with_venti(64 << 20, 16 << 20);
        Site {
            directory,
            plan9,
            venti,
        }
    }

    fn format(&self, name: &str) -> PathBuf {
        let partition = self.directory.path().join(name);
        fossil::format_as(&self.plan9, &partition, 16 << 20, 8192, name);
        partition
    }

    fn namespace(&self) -> PathBuf {
        self.directory.path().join("ns")
    }

    fn console(&self, name: &str) -> String {
        self.namespace().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, name: &str) -> Command {
        Command::new(name)
            .env("PLAN9", self.plan9.root())
            .env("NAMESPACE", self.namespace())
            .env("STATE_DIRECTORY", self.directory.path().join("state"))
            .env("venti", self.venti.address())
    }

    /// Runs a command that must succeed; what it prints.
    #[track_caller]
    fn run(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.command(name).args(arguments).run();
        assert_eq!(output.status, 0, "{name} {arguments:?}: {output:?}");
        output.stdout
    }

    fn fails(&self, name: &str, arguments: &[&str]) -> Output {
        let output = self.command(name).args(arguments).run();
        assert_ne!(output.status, 0, "{name} {arguments:?}: {output:?}");
        output
    }

    /// plan9port's 9p on a service, with this on its standard input.
    #[track_caller]
    fn nine(&self, service: &str, arguments: &[&str], input: &str) -> String {
        let address = format!("unix!{}", self.console(service));
        let said = self.plan9.nine(&address, arguments, input.as_bytes());
        String::from_utf8(said).unwrap()
    }

    fn kin(&self) -> Vec<kin::Kin> {
        kin_below(&self.namespace())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for kin in self.kin() {
            let _ = kill_process(kin.pid, Signal::KILL);
        }
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn archived_halted_reset_and_started_again_ten_times_in_a_row() {
    let site = Site::new();
    let partition = site.format("fossil");
    let part = partition.to_str().unwrap();
    let resets = !is_blind();
    let mut files = Vec::new();
    for round in 0..10 {
        site.run("fossilstart", &[part]);
        if round == 0 {
            site.run("foscons", &["fsys main create /active/data adm sys d777"]);
        }
        let (file, text) = (format!("data/f{round}"), format!("text of round {round}\n"));
        site.nine("fossil", &["create", &file], "");
        site.nine("fossil", &["write", &file], &text);
        files.push((file, text));
        let names = site.nine("fossil", &["ls", "data"], "");
        assert_eq!(names.lines().count(), round + 1, "{names}");
        let line = site.run("fossilize", &["-s", part]);
        let score = line.split(' ').next().unwrap();
        let c = site.plan9.run("fossil/last", &[part]);
        assert_eq!(c.stdout, format!("{score}\n"));
        let halted = site.run("foshalt", &["-k"]);
        let console = site.console("fscons");
        assert_eq!(halted, format!("halted main {part} {console}\n"));
        assert!(site.kin().is_empty(), "{:?}", site.kin());
        if resets {
            site.run("fosreset", &["-y", score, part]);
        } else {
            eprintln!("fosreset is left out: not all processes can be seen here");
            let score = score.trim_start_matches("vac:");
            let address = site.venti.address();
            let arguments = ["-y", "-h", &address, "-v", score, part];
            site.plan9.succeed("fossil/flfmt", &arguments);
        }
        site.run("fossilstart", &[part]);
        for (file, text) in &files {
            assert_eq!(site.nine("fossil", &["read", file], ""), *text);
        }
        site.run("foshalt", &["-k"]);
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_fossil_that_runs_is_halted_and_ended_by_fosreset() {
    let site = Site::new();
    let partition = site.format("fossil");
    let part = partition.to_str().unwrap();
    if is_blind() {
        eprintln!("left out: not all processes can be seen here");
        return;
    }
    site.run("fossilstart", &[part]);
    site.run("foscons", &["fsys main create /active/kept adm sys d777"]);
    let line = site.run("fossilize", &["-s", part]);
    site.run("foscons", &["fsys main create /active/lost adm sys d777"]);
    site.run("fosreset", &["-y", line.split(' ').next().unwrap(), part]);
    assert!(site.kin().is_empty(), "{:?}", site.kin());
    site.run("fossilstart", &[part]);
    let names = site.nine("fossil", &["ls", "/"], "");
    assert!(names.contains("kept") && !names.contains("lost"), "{names}");
    site.run("foshalt", &["-k"]);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn two_fossils_at_once_of_which_one_is_halted() {
    let site = Site::new();
    let (one, two) = (site.format("one"), site.format("two"));
    site.run("fossilstart", &[one.to_str().unwrap(), "one"]);
    site.run("fossilstart", &[two.to_str().unwrap(), "two"]);
    let again = site.fails("fossilstart", &[one.to_str().unwrap(), "three"]);
    assert!(again.stderr.contains("fscons.one"), "{again:?}");
    for name in ["one", "two"] {
        let console = site.console(&format!("fscons.{name}"));
        let create = format!("fsys main create /active/{name} adm sys d777");
        site.run("foscons", &["-c", &console, &create]);
    }
    let console = site.console("fscons.one");
    site.run("foshalt", &["-k", &console]);
    assert_eq!(site.nine("two", &["ls", "/"], ""), "two\n");
    assert!(UnixStream::connect(&console).is_err());
    let listed = site.run("foscons", &["printconfig"]);
    assert_eq!(listed, format!("\tfsys main config {}\n", two.display()));
    site.run("foshalt", &["-k"]);
    assert!(site.kin().is_empty());
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn plan9ports_dial_works_on_the_socket() {
    let site = Site::new();
    let partition = site.format("fossil");
    site.run("fossilstart", &[partition.to_str().unwrap()]);
    let address = format!("unix!{}", site.console("fscons"));
    let mut dial = site
        .plan9
        .command("dial")
        .args(["-e", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It goes on reading until the console ends.
    let mut typed = dial.stdin.take().unwrap();
    typed
        .write_all(b"fsys main df\nfsys main create /active/dialled adm sys d777\n")
        .unwrap();
    drop(typed);
    let reads = std::thread::spawn(move || dial.wait_with_output().unwrap());
    let known = || {
        site.command("foscons")
            .arg("fsys main stat /active/dialled")
            .run()
    };
    until("the command", || known().status == 0);
    site.run("foshalt", &["-k"]);
    let output = reads.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(" used + "), "{said}");
    assert!(said.contains("!broker: fossil (process "), "{said}");
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_venti_is_away_while_an_archive_is_waited_for() {
    let mut site = Site::new();
    let partition = site.format("fossil");
    let part = partition.to_str().unwrap();
    site.run("fossilstart", &[part]);
    site.run("foscons", &["fsys main create /active/data adm sys d777"]);
    site.venti.stop();
    let output = site.fails("fossilize", &["-s", "-t", "15", part]);
    output.assert_refused(6, "tried again each minute");
    assert!(output.stderr.contains("the fossil runs on"), "{output:?}");
    assert_eq!(site.nine("fossil", &["ls", "/"], ""), "data\n");
    let output = site.fails("foshalt", &["-k", "-t", "1"]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (3, ""),
        "{output:?}"
    );
    let output = site.fails("foshalt", &["-kf", "-t", "0"]);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.stdout.starts_with("halted main "), "{output:?}");
    assert!(output.stderr.contains("it will be repeated"), "{output:?}");
    // A fossil that cannot reach its venti is not started.
    let output = site.fails("fossilstart", &[part]);
    assert_eq!(output.status, 6, "{output:?}");
    // The archive is taken up when there is one again.
    site.venti.start();
    site.run("fossilstart", &[part]);
    site.run("fossilize", &["-t", "120", part]);
    site.run("foshalt", &["-k"]);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_fossil_is_killed_while_a_client_waits() {
    let site = Site::new();
    let partition = site.format("fossil");
    let part = partition.to_str().unwrap();
    site.run("fossilstart", &[part]);
    let waiting = site.command("fossilize").args(["-s", part]).start();
    // The snapshot is taken before the archiver waits for ten seconds.
    let high = |line: String| line.trim().rsplit(' ').next().map(str::to_owned);
    let first = high(site.run("foscons", &["fsys main epoch"]));
    until("the snapshot", || {
        high(site.run("foscons", &["fsys main epoch"])) != first || first.as_deref() != Some("1")
    });
    for kin in site.kin() {
        let _ = kill_process(kin.pid, Signal::KILL);
    }
    let output = waiting.wait();
    output.assert_refused(1, "ended");
    until("the end", || {
        UnixStream::connect(site.console("fossil")).is_err()
            && !Path::new(&site.console("fscons")).exists()
    });
    site.run("fossilstart", &[part]);
    site.run("foshalt", &["-kf", "-t", "0"]);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_broker_is_killed_and_the_fossil_serves_on_and_is_reported() {
    let site = Site::new();
    let partition = site.format("fossil");
    let part = partition.to_str().unwrap();
    site.run("fossilstart", &[part]);
    site.run("foscons", &["fsys main create /active/data adm sys d777"]);
    let stream = UnixStream::connect(site.console("fscons")).unwrap();
    let broker = rustix::net::sockopt::socket_peercred(&stream).unwrap().pid;
    kill_process(broker, Signal::KILL).unwrap();
    until("the end of the console", || {
        UnixStream::connect(site.console("fscons")).is_err()
    });
    assert_eq!(site.nine("fossil", &["ls", "/"], ""), "data\n");
    let output = site.fails("foscons", &["printconfig"]);
    assert_eq!(output.status, 6, "{output:?}");
    let output = site.fails("foshalt", &["-k"]);
    assert!(
        output.stderr.contains("goes on without a console"),
        "{output:?}"
    );
    let output = site.fails("fossilstart", &[part, "other"]);
    assert!(output.stderr.contains("held open by fossil"), "{output:?}");
    // It serves on after all that.
    assert_eq!(site.nine("fossil", &["ls", "/"], ""), "data\n");
    for kin in site.kin() {
        kill_process(kin.pid, Signal::TERM).unwrap();
    }
    until("the end", || {
        site.kin().is_empty() && UnixStream::connect(site.console("fossil")).is_err()
    });
    site.run("fossilstart", &[part]);
    site.run("foshalt", &["-k"]);
}
