//! fossilize: the last archival score is on record, whole, whatever happens.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use fossilcore::disk::SuperBlock;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tempfile::TempDir;
use venti_tests::command::{self, Command, Output};
use venti_tests::golden;
use venti_tests::random::Random;
use venti_tests::tmpfs::Tmpfs;

/// The score in `archived-8k`.
const SCORE: &str = "vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00";

/// Where the super block of an 8 KiB fossil is.
const SUPERBLOCK: u64 = 18 * 8192;

/// A fossil partition, and a state directory that is not made yet.
struct Site {
    directory: TempDir,
    partition: PathBuf,
}

impl Site {
    fn of(golden: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let partition = golden::unpack(&format!("fossil/{golden}.fossil"), directory.path());
        Site {
            directory,
            partition,
        }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn rootscor(&self) -> PathBuf {
        self.state().join("rootscor")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.rootscor()).unwrap_or_default()
    }

    fn command(&self) -> Command {
        Command::new("fossilize").arg("-d").arg(self.state())
    }

    fn run(&self, options: &[&str]) -> Output {
        self.command().args(options).arg(&self.partition).run()
    }

    /// The line that is printed and recorded, without a venti.
    fn line(&self) -> String {
        format!("{SCORE} {}\n", self.partition.display())
    }

    /// Changes the super block, as a fossil would: with one write.
    fn change(&self, change: impl FnOnce(&mut SuperBlock)) {
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.partition);
        let file = options.unwrap();
        let mut bytes = [0; SuperBlock::SECTOR];
        file.read_exact_at(&mut bytes, SUPERBLOCK).unwrap();
        let mut superblock = SuperBlock::parse(&bytes).unwrap();
        change(&mut superblock);
        bytes[..SuperBlock::LEN].copy_from_slice(&superblock.to_bytes());
        file.write_all_at(&bytes, SUPERBLOCK).unwrap();
    }
}

/// The lines of a log that are whole entries: a comment, and this line.
#[track_caller]
fn assert_whole(log: &str, line: &str) -> usize {
    assert!(log.is_empty() || log.ends_with('\n'), "{log:?}");
    let lines: Vec<&str> = log.lines().collect();
    for pair in lines.chunks(2) {
        let words: Vec<&str> = pair[0].split(' ').collect();
        assert!(
            words.len() == 4 && words[0] == "#" && words[3] == "fossilize",
            "{pair:?}"
        );
        assert_eq!(format!("{}\n", pair[1]), line);
    }
    lines.len() / 2
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_partition_named_from_here_is_recorded_for_anywhere() {
    let site = Site::of("archived-8k");
    let name = site.partition.file_name().unwrap();
    let command = site.command().current_dir(site.directory.path());
    let output = command.arg(name).run();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout, site.line());
    assert_eq!(assert_whole(&site.log(), &site.line()), 1);
}

#[test]
fn the_line_is_printed_and_recorded_every_time() {
    let site = Site::of("archived-8k");
    for count in 1..4 {
        let output = site.run(&[]);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
        assert_eq!(output.stdout, site.line());
        assert_eq!(assert_whole(&site.log(), &site.line()), count);
    }
    assert_eq!(
        (mode(&site.state()), mode(&site.rootscor())),
        (0o700, 0o600)
    );
    let before = golden::bytes("fossil/archived-8k.fossil");
    assert!(fs::read(&site.partition).unwrap() == before);
}

#[test]
fn the_venti_is_that_of_the_environment_else_of_the_configuration() {
    let site = Site::of("archived-8k");
    let with = |venti: &str, config: &str| {
        let command = site.command().env("venti", venti).config(config);
        command.arg(&site.partition).run()
    };
    let words = |venti: &str| format!("{SCORE} {} {venti}\n", site.partition.display());
    let config = "source = 'tcp!config!17034'";
    for (venti, config, expected) in [
        ("tcp!10.0.0.1!17034", config, words("tcp!10.0.0.1!17034")),
        ("venti.example.org", "", words("venti.example.org")),
        ("", config, words("tcp!config!17034")),
        ("one\u{1}two", "", words("one")),
        ("", "", site.line()),
    ] {
        let output = with(venti, config);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (0, expected.as_str()),
            "{output:?}"
        );
        assert!(site.log().ends_with(&expected));
    }
}

#[test]
fn a_score_is_recorded_whatever_the_text_of_the_venti_is() {
    let site = Site::of("archived-8k");
    let with = |venti: &str, options: &[&str]| {
        let command = site.command().args(options).env("venti", venti);
        command.arg(&site.partition).run()
    };
    // The second network of a Plan 9 machine, as it is written.
    let apart = "/net.alt/tcp!10.9.0.12!17034";
    let output = with(apart, &[]);
    let line = format!("{SCORE} {} {apart}\n", site.partition.display());
    assert_eq!((output.status, output.stdout.as_str()), (0, line.as_str()));
    assert!(site.log().ends_with(&line));
    for venti in ["tcp!a!b!c!d", "/net.alt/udp!a!1"] {
        let output = with(venti, &[]);
        let found = (output.status, output.stdout.as_str());
        assert_eq!(found, (2, site.line().as_str()), "{output:?}");
        assert!(output.stderr.contains("venti: expected "), "{output:?}");
        let end = ": the line is recorded without it\n";
        assert!(output.stderr.ends_with(end), "{output:?}");
        assert!(site.log().ends_with(&site.line()), "{}", site.log());
    }
    let log = site.log();
    let output = with("tcp!a!b!c!d", &["-n"]);
    assert!(output.stderr.contains("would be recorded"), "{output:?}");
    assert_eq!((output.status, site.log()), (2, log));
}

/// The log is copied to other machines, and their loopback is another machine.
#[test]
fn a_loopback_is_recorded_by_a_name_that_is_right_elsewhere() {
    let site = Site::of("archived-8k");
    let with = |venti: &str, config: &str, options: &[&str]| {
        let command = site.command().args(options);
        let command = command.env("venti", venti).config(config);
        command.arg(&site.partition).run()
    };
    let line = |venti: &str| format!("{SCORE} {} {venti}\n", site.partition.display());
    let config = "address = 'fs.example.org'";
    for (venti, recorded) in [
        ("localhost", "tcp!fs.example.org!17034"),
        ("127.0.0.1:17035", "tcp!fs.example.org!17035"),
        ("[::1]:17035", "tcp!fs.example.org!17035"),
        ("venti.example.org", "venti.example.org"),
    ] {
        let output = with(venti, config, &[]);
        let found = (output.status, output.stdout, output.stderr);
        assert_eq!(found, (0, line(recorded), String::new()));
        assert!(site.log().ends_with(&line(recorded)));
    }
    // Nobody listens there, so no other name can be known.
    let venti = venti_tests::venti::closed_port();
    let output = with(&venti, "", &[]);
    assert_eq!((output.status, output.stdout), (0, line(&venti)));
    assert!(
        output.stderr.contains("set address in"),
        "{}",
        output.stderr
    );
    assert_eq!(with(&venti, "", &["-q"]).stderr, "");
    let log = site.log();
    let output = with(&venti, "address = 'a b'", &[]);
    output.assert_refused(2, "key `address`: expected a host name");
    assert_eq!(site.log(), log);
}

#[test]
fn a_shell_that_holds_the_log_open_gets_the_line() {
    let site = Site::of("archived-8k");
    let elsewhere = site.directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let shell = |script: &str| {
        let status = Command::new("fossilize")
            .through(["sh", "-euc", script, "sh"])
            .arg(&site.partition)
            .current_dir(site.directory.path())
            .env("venti", "tcp!v!17034")
            .prepare()
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{script}: {status}");
    };
    let words = format!("{SCORE} {} tcp!v!17034\n", site.partition.display());
    // The pipeline of the manual, twice, and by one shell that keeps it open.
    shell("\"$1\" -d state \"$2\" >>elsewhere/rootscor");
    shell("exec >>elsewhere/rootscor; \"$1\" -d state \"$2\"; \"$1\" -d state \"$2\"");
    assert_eq!(
        fs::read_to_string(elsewhere.join("rootscor")).unwrap(),
        words.repeat(3)
    );
    assert_eq!(assert_whole(&site.log(), &words), 3);
    // The same file by both ways: the entry, then the shell's line.
    shell("\"$1\" -d elsewhere \"$2\" >>elsewhere/rootscor");
    let log = fs::read_to_string(elsewhere.join("rootscor")).unwrap();
    let lines: Vec<&str> = log.lines().skip(3).collect();
    assert!(lines.len() == 3 && lines[0].starts_with("# "), "{log}");
    assert_eq!(lines[1..], [words.trim_end(); 2]);
    // The words of the line are operands.
    shell(
        "set -- $(\"$1\" -d state \"$2\"); [ $# = 3 ] && [ -f \"$2\" ] && [ $3 = 'tcp!v!17034' ]",
    );
}

#[test]
fn a_partition_that_would_be_several_words_is_refused() {
    let site = Site::of("archived-8k");
    let blank = site.directory.path().join("a fossil");
    fs::rename(&site.partition, &blank).unwrap();
    let output = site.command().arg(&blank).run();
    output.assert_refused(2, "without blanks");
    assert!(!site.state().exists());
}

#[test]
fn a_fossil_that_was_never_archived_is_not_recorded() {
    for golden in [
        "fresh-8k",
        "conf-4k",
        "formatted-8k",
        "pending-8k",
        "archiving-8k",
        "destroyed-8k",
    ] {
        let site = Site::of(golden);
        let output = site.run(&["-t", "1"]);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (1, ""),
            "{golden}: {output:?}"
        );
        assert_eq!(output.stderr.lines().count(), 1, "{golden}: {output:?}");
        assert!(!site.state().exists(), "{golden}");
    }
}

#[test]
fn an_archive_under_way_gives_the_score_before_it_and_says_so() {
    for (next, current, expected) in [
        (
            Some(65),
            None,
            "a snapshot (root block 65) waits to be archived",
        ),
        (
            None,
            Some(65),
            "a snapshot (root block 65) is being archived",
        ),
        (
            Some(74),
            Some(65),
            "a snapshot (root block 65) is being archived",
        ),
    ] {
        let site = Site::of("archived-8k");
        site.change(|superblock| (superblock.next, superblock.current) = (next, current));
        let output = site.run(&[]);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (3, site.line().as_str()),
            "{output:?}"
        );
        assert!(output.stderr.contains(expected), "{output:?}");
        assert!(
            output.stderr.contains(&format!("{SCORE} is recorded")),
            "{output:?}"
        );
        assert_eq!(assert_whole(&site.log(), &site.line()), 1);
    }
}

#[test]
fn an_archive_is_waited_for_as_long_as_asked() {
    let site = Site::of("archived-8k");
    site.change(|superblock| superblock.next = Some(65));
    let start = Instant::now();
    let output = site.run(&["-t", "1"]);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(start.elapsed() >= Duration::from_secs(1));

    let new = "480ecc621d5be4a113cb522b83c89b556b4702eb";
    let mut running = site
        .command()
        .args(["--timeout", "60"])
        .arg(&site.partition)
        .start();
    thread::sleep(Duration::from_millis(300));
    site.change(|superblock| (superblock.next, superblock.current) = (None, Some(65)));
    thread::sleep(Duration::from_millis(500));
    assert!(running.is_running(), "it is still being archived");
    assert_eq!(
        assert_whole(&site.log(), &site.line()),
        1,
        "nothing new yet"
    );
    site.change(|superblock| {
        superblock.current = None;
        superblock.last = new.parse().unwrap();
    });
    let output = running.wait();
    let line = format!("vac:{new} {}\n", site.partition.display());
    assert_eq!(
        (
            output.status,
            output.stdout.as_str(),
            output.stderr.as_str()
        ),
        (0, line.as_str(), "")
    );
    assert!(site.log().ends_with(&line));

    // The first archive of all.
    let site = Site::of("archiving-8k");
    let running = site
        .command()
        .args(["-t", "60"])
        .arg(&site.partition)
        .start();
    thread::sleep(Duration::from_millis(300));
    site.change(|superblock| {
        superblock.current = None;
        superblock.last = SCORE[4..].parse().unwrap();
    });
    assert_eq!(running.wait().stdout, site.line());
}

#[test]
fn a_log_that_others_could_read_is_tightened_and_that_is_said() {
    let site = Site::of("archived-8k");
    fs::create_dir(site.state()).unwrap();
    fs::write(site.rootscor(), "half a line").unwrap();
    fs::set_permissions(site.rootscor(), fs::Permissions::from_mode(0o644)).unwrap();
    let output = site.run(&[]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (0, site.line().as_str())
    );
    assert!(
        output
            .stderr
            .contains("was open to others, mode 644: now 600"),
        "{output:?}"
    );
    assert_eq!(output.stderr.lines().count(), 1);
    assert_eq!(mode(&site.rootscor()), 0o600);
    let log = site.log();
    let entry = log.strip_prefix("half a line\n").unwrap();
    assert_eq!(assert_whole(entry, &site.line()), 1);
    assert_eq!(site.run(&[]).stderr, "");
}

#[test]
fn a_dry_run_writes_nothing_and_json_says_the_same() {
    let site = Site::of("archived-8k");
    let output = site.run(&["-n"]);
    assert_eq!(
        (
            output.status,
            output.stdout.as_str(),
            output.stderr.as_str()
        ),
        (0, site.line().as_str(), "")
    );
    assert!(!site.state().exists());
    let json = |options: &[&str]| -> (i32, Value) {
        let output = site.run(options);
        assert_eq!(output.stdout.lines().count(), 1);
        (output.status, serde_json::from_str(&output.stdout).unwrap())
    };
    let expected = |recorded: bool, status: i32| {
        json!({
            "schema": 1, "score": SCORE, "partition": site.partition, "venti": null,
            "recorded": recorded, "under_way": status == 3, "status": status,
        })
    };
    assert_eq!(json(&["-nj"]), (0, expected(false, 0)));
    assert_eq!(json(&["--json", "--quiet"]), (0, expected(true, 0)));
    assert_eq!(
        assert_whole(&site.log(), &site.line()),
        1,
        "the log is text"
    );
    site.change(|superblock| superblock.current = Some(65));
    assert_eq!(json(&["--dry-run", "-j"]), (3, expected(false, 3)));
    assert_eq!(json(&["-jq"]), (3, expected(true, 3)));
}

#[test]
fn a_log_that_cannot_be_written_leaves_nothing_printed() {
    let site = Site::of("archived-8k");
    fs::create_dir_all(site.rootscor()).unwrap();
    let output = site.run(&[]);
    output.assert_refused(1, "rootscor");

    let site = Site::of("archived-8k");
    fs::write(site.state(), "").unwrap();
    let output = site.run(&[]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, ""),
        "{output:?}"
    );

    if rustix::process::geteuid().is_root() {
        // Permissions do not hold root back; a process file system does.
        let output = Command::new("fossilize")
            .args(["-d", "/proc"])
            .arg(&site.partition)
            .run();
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (1, ""),
            "{output:?}"
        );
        return;
    }
    let site = Site::of("archived-8k");
    fs::create_dir(site.state()).unwrap();
    fs::set_permissions(site.state(), fs::Permissions::from_mode(0o500)).unwrap();
    let output = site.run(&[]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, ""),
        "{output:?}"
    );
}

#[test]
fn a_line_that_cannot_be_printed_is_on_record_and_makes_an_error() {
    let Some(full) = command::full() else {
        return;
    };
    let site = Site::of("archived-8k");
    let status = Command::new("fossilize")
        .arg("-d")
        .arg(site.state())
        .arg(&site.partition)
        .prepare()
        .stdout(full)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(assert_whole(&site.log(), &site.line()), 1);
}

#[test]
fn a_run_that_is_killed_leaves_the_log_whole() {
    let site = Site::of("archived-8k");
    command::build();
    let mut random = Random::new(4);
    let mut seen = [0, 0];
    for round in 0..120 {
        let before = assert_whole(&site.log(), &site.line());
        let mut running = site.command().arg(&site.partition).start();
        thread::sleep(Duration::from_micros(random.below(9000) as u64));
        running.kill();
        let output = running.wait();
        let recorded = assert_whole(&site.log(), &site.line()) - before;
        assert!(recorded <= 1, "round {round}");
        assert!(
            output.stdout.is_empty() || recorded == 1,
            "printed, not on record: {output:?}"
        );
        assert!(output.status != 0 || recorded == 1, "{output:?}");
        seen[recorded] += 1;
    }
    println!(
        "killed before the record: {}, after it: {}",
        seen[0], seen[1]
    );
    assert_eq!(site.run(&[]).status, 0);
}

#[test]
fn concurrent_writers_do_not_mix_their_lines() {
    let site = Site::of("archived-8k");
    fs::create_dir(site.state()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(site.run(&[]).status, 0)));
        }
    });
    assert_eq!(assert_whole(&site.log(), &site.line()), 20);
}

#[test]
fn a_writer_that_holds_the_log_is_waited_for() {
    let site = Site::of("archived-8k");
    fs::create_dir(site.state()).unwrap();
    let mut held = File::create(site.rootscor()).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let mut running = site.command().arg(&site.partition).start();
    thread::sleep(Duration::from_millis(500));
    assert!(running.is_running());
    held.write_all(b"# mine\n").unwrap();
    drop(held);
    assert_eq!(running.wait().status, 0);
    let log = site.log();
    assert_eq!(
        assert_whole(log.strip_prefix("# mine\n").unwrap(), &site.line()),
        1
    );
}

/// fossilize of a partition with its state on a file system of 64 KiB, where
/// this system lets us mount one.
struct Small {
    site: Site,
    state: Tmpfs,
}

impl Small {
    fn new() -> Option<Self> {
        let state = Tmpfs::mount("64k");
        if state.is_none() {
            println!("skipped: no tmpfs can be mounted here");
        }
        Some(Small {
            state: state?,
            site: Site::of("archived-8k"),
        })
    }

    fn rootscor(&self) -> PathBuf {
        self.state.path().join("rootscor")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.rootscor()).unwrap()
    }

    fn run(&self) -> Output {
        let command = Command::new("fossilize").arg("-d").arg(self.state.path());
        command.arg(&self.site.partition).run()
    }

    /// It cannot write, says so, and the log is as it was.
    #[track_caller]
    fn assert_refused(&self) {
        let before = self.log();
        let output = self.run();
        output.assert_refused(1, "rootscor");
        assert_eq!(self.log(), before);
    }
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let Some(small) = Small::new() else {
        return;
    };
    assert_eq!(small.run().status, 0);
    // Fill the last page of the log but for a few bytes, then the disk.
    let pad = 4096 - small.log().len() - 40;
    let mut file = OpenOptions::new()
        .append(true)
        .open(small.rootscor())
        .unwrap();
    writeln!(file, "#{}", "x".repeat(pad - 2)).unwrap();
    let filler = small.state.path().join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write(&[0; 1024]).is_ok_and(|written| written > 0) {}
    let before = small.log();
    small.assert_refused();
    drop(file);
    fs::remove_file(filler).unwrap();
    assert_eq!(small.run().status, 0);
    let entry = small.log().strip_prefix(&before).unwrap().to_owned();
    assert_eq!(assert_whole(&entry, &small.site.line()), 1);
}

#[test]
fn a_file_system_for_reading_only_leaves_the_log_as_it_was() {
    let Some(small) = Small::new() else {
        return;
    };
    assert_eq!(small.run().status, 0);
    small.state.make_read_only();
    small.assert_refused();
}
