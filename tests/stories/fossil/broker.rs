//! fossilstart, foscons, foshalt and fossilize -s, with a stand-in for fossil behind
//! the real broker.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use venti_tests::command::{self, Command, Prepared};
use venti_tests::fossil::terminal;
use venti_tests::golden;
use venti_tests::patience::{PATIENCE, until};
use venti_tests::standin::{Archiver, Fault, Script};
use venti_tests::surroundings::Surroundings;
use venti_tests::venti::{Venti, closed_port};

use crate::fixture::broker::{Site, broker, snapshot, typed};
use crate::fixture::loop_device::Loop;

#[test]
fn the_setup_is_that_of_the_script_line_for_line() {
    let site = Site::new(&Script::default());
    site.started(None);
    let partition = site.partition.display();
    let expected = [
        format!("fsys main config {partition}"),
        "fsys main open -c 9000".to_owned(),
        "fsys main snaptime -s 60 -a 0500 -t 2880".to_owned(),
        "srv -A fossil".to_owned(),
    ];
    assert_eq!(typed(&mut site.connect("fscons")), expected);
    let mode = fs::metadata(site.console("fscons")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    let output = site.halt(&["-k"]);
    let line = format!(
        "halted main {partition} {}\n",
        site.console("fscons").display()
    );
    assert_eq!(
        (output.status, output.stdout),
        (0, line),
        "{}",
        output.stderr
    );
    site.assert_nothing_runs();
    let log = site.log("fscons.log");
    assert!(log.contains("broker: halted\n"), "{log}");
    assert!(log.contains("ended: signal 15\n"), "{log}");
    let output = site.halt(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("no console in "), "{output:?}");
}

#[test]
fn with_a_name_all_commands_go_to_its_console_and_two_live_side_by_side() {
    let site = Site::new(&Script::default());
    site.started(None);
    let two = golden::unpack("fossil/archived-4k.fossil", site.directory.path());
    let output = site.command("fossilstart").arg(&two).arg("alt").run();
    assert_eq!(output.status, 0, "{output:?}");
    let commands = typed(&mut site.connect("fscons.alt"));
    assert_eq!(commands.len(), 4, "{commands:?}");
    assert_eq!(commands[3], "srv -A alt");
    assert_eq!(typed(&mut site.connect("fscons")).len(), 4);

    let output = site.ask(&["printconfig"]);
    output.assert_refused(2, "2 consoles, choose one with -c: ");
    let alt = site.console("fscons.alt");
    let output = site.halt(&["-k", alt.to_str().unwrap()]);
    assert_eq!(output.status, 0, "{output:?}");
    let output = site.ask(&["fsys", "main", "sync"]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (0, "\tmain sync: wrote 1 blocks\n")
    );
    assert_eq!(site.halt(&["-k"]).status, 0);
    site.assert_nothing_runs();
}

#[test]
fn what_the_configuration_says_is_sent_in_place_of_the_defaults() {
    let script = Script::default();
    let site = Site::new(&script);
    let more = "open = '-AWP -c 300'\nsnaptime = ''\nsrv = '-P'\n";
    let site = site.with(&script, more);
    site.started(Some("other"));
    let commands = typed(&mut site.connect("fscons.other"));
    assert_eq!(
        commands[1..],
        ["fsys main open -AWP -c 300", "srv -P other"]
    );
}

#[test]
fn a_partition_that_is_served_is_refused_with_its_console() {
    let site = Site::new(&Script::default());
    site.started(None);
    for name in [None, Some("other")] {
        let output = site.start(&[], name);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (1, ""),
            "{output:?}"
        );
        let console = format!("console {}", site.console("fscons").display());
        assert!(output.stderr.contains(&console), "{output:?}");
    }
    assert_eq!(site.ask(&["printconfig"]).status, 0);
}

#[test]
fn a_step_that_fails_is_named_and_what_was_started_is_ended() {
    let error = |text: &str| Fault::Error(text.to_owned());
    let open = "fsys main open -c 9000";
    let warning = "warning: connecting to venti: Connection refused";
    let cases = [
        (open, error("fsOpen: block label mismatch"), 1, "open: "),
        (open, Fault::Die, 1, "ended with exit status 1"),
        (
            open,
            Fault::Hang,
            6,
            "waited 1 seconds for an answer to fsys main open",
        ),
        (
            open,
            Fault::Stderr(warning.to_owned()),
            6,
            "it would never archive",
        ),
        (
            "fsys main snaptime -s 60 -a 0500 -t 2880",
            error("usage: x"),
            1,
            "snaptime: ",
        ),
        ("srv -A fossil", error("Bad file descriptor"), 1, "srv: "),
        ("listen tcp!*!1", error("listen: announce"), 1, "listen: "),
        // It says yes, and listens at nothing.
        ("nothing", Fault::Die, 1, "listen: "),
    ];
    for (command, fault, status, expected) in cases {
        let script = Script::default().at(command, fault);
        let site = Site::new(&script);
        let mut site = site.with(&script, "listen = 'tcp!*!1'\n");
        site.config = site.config.replace("console = 20", "console = 1");
        let output = site.start(&[], None);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (status, ""),
            "{output:?}"
        );
        assert!(output.stderr.contains(expected), "{expected}: {output:?}");
        site.assert_nothing_runs();
    }
}

#[test]
fn what_can_be_known_before_is_said_before_anything_is_started() {
    let site = Site::new(&Script::default());
    let fails = |command: Command, status: i32, expected: &str| {
        let output = command.arg(&site.partition).run();
        assert_eq!(output.status, status, "{output:?}");
        assert!(output.stderr.contains(expected), "{output:?}");
        assert!(site.log("fscons.log").is_empty());
    };
    fails(
        site.command("fossilstart").env("venti", ""),
        2,
        "please set $venti",
    );
    let closed = site.command("fossilstart").env("venti", closed_port());
    fails(closed, 6, "venti tcp!");
    let namespace = site.directory.path().join("open");
    fs::create_dir(&namespace).unwrap();
    fs::set_permissions(&namespace, fs::Permissions::from_mode(0o777)).unwrap();
    let open = site.command("fossilstart").env("NAMESPACE", &namespace);
    fails(open, 1, "nobody else can write");
    let live = UnixListener::bind(site.console("fossil")).unwrap();
    fails(site.command("fossilstart"), 1, "served already");
    drop(live);
    // A service whose name is like a console's would be taken for one.
    for name in ["a/b", "", "-x", "a b", "fscons", "fsconsole"] {
        let output = site
            .command("fossilstart")
            .arg("--")
            .arg(&site.partition)
            .arg(name)
            .run();
        assert_eq!(output.status, 2, "{output:?}");
    }
    let output = site
        .command("fossilstart")
        .arg(format!("{}:0-1m", site.partition.display()))
        .run();
    assert_eq!(output.status, 2, "{output:?}");
    site.assert_nothing_runs();
}

/// A fossil cuts what it prints after 255 bytes; a partition whose name is cut there
/// is not found again by who halts it.
#[test]
fn a_path_that_a_console_cannot_print_is_refused() {
    let mut site = Site::new(&Script::default());
    let used = site.directory.path().as_os_str().len() + 1;
    for (length, status) in [(236, 0), (237, 2)] {
        let name = "x".repeat(length - used);
        let partition = site.directory.path().join(name);
        fs::rename(&site.partition, &partition).unwrap();
        site.partition = partition;
        let output = site.start(&[], None);
        assert_eq!(output.status, status, "{output:?}");
        assert_eq!(site.halt(&["-k"]).status, i32::from(status != 0));
    }
    site.assert_nothing_runs();
}

/// A fossil opens a device that refuses what is written, and then hangs.
#[test]
fn a_partition_that_cannot_be_written_is_refused() {
    let site = Site::new(&Script::default());
    let Some(device) = Loop::of(&site.partition, &["--read-only"]) else {
        command::skipped("a device that is read-only: no loop device can be made here");
        return;
    };
    let output = site.command("fossilstart").arg(&device.0).run();
    output.assert_refused(1, "read-only");
    assert!(site.log("fscons.log").is_empty());
    site.assert_nothing_runs();
    // Who only wants to read it may.
    let site = site.with(&Script::default(), "open = '-r -c 300'\n");
    let output = site.command("fossilstart").arg(&device.0).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.halt(&["-k"]).status, 0);
}

/// Without `PATH` the system's directories are still looked through.
#[test]
fn without_a_path_it_is_started_all_the_same() {
    let mut site = Site::new(&Script::default());
    let plan9 = site.directory.path().join("bin/fossil");
    fs::create_dir_all(&plan9).unwrap();
    let program = env!("CARGO_BIN_EXE_stand-in-fossil");
    symlink(program, plan9.join("fossil")).unwrap();
    let fossil = plan9.join("fossil").display().to_string();
    site.config = site.config.replace(program, &fossil);
    let command = site.command("fossilstart").env("PATH", "");
    let output = command.arg(&site.partition).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.halt(&["-k"]).status, 0);
}

#[test]
fn a_program_that_is_not_there_is_said() {
    let mut site = Site::new(&Script::default());
    site.config = "[fossil]\nprogram = ['/nonexistent/fossil']\n".to_owned();
    let output = site.start(&[], None);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("ended with exit status 127, see "),
        "{output:?}"
    );
    assert!(site.log("fscons.log").contains("/nonexistent/fossil"));
    site.assert_nothing_runs();
}

#[test]
fn a_socket_that_nobody_serves_is_replaced() {
    let site = Site::new(&Script::default());
    drop(UnixListener::bind(site.console("fscons")).unwrap());
    let output = site.ask(&["printconfig"]);
    assert_eq!(output.status, 6, "{output:?}");
    assert!(output.stderr.contains("nobody serves"), "{output:?}");
    let console = site.console("fscons");
    let output = site.ask(&["-c", console.to_str().unwrap(), "printconfig"]);
    assert_eq!(output.status, 6, "{output:?}");
    site.started(None);
    assert_eq!(site.ask(&["printconfig"]).status, 0);
}

#[test]
fn a_command_and_its_answer_go_through() {
    let script = Script::default().at("fsys main sync", Fault::Stderr("from stderr".to_owned()));
    let site = Site::new(&script);
    site.started(None);
    let output = site.ask(&["bogus"]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, "bogus: - eh?\n")
    );
    assert!(
        output.stderr.ends_with("bogus: bogus: - eh?\n"),
        "{output:?}"
    );
    for trap in ["fsys", "echo 50%", "df\u{17}", &"x".repeat(256)] {
        assert_eq!(site.ask(&[trap]).status, 2, "{trap:?}");
    }
    let output = site.ask(&["-t", "18446744073709551615", "fsys", "main", "sync"]);
    assert_eq!(output.stdout, "\tmain sync: wrote 1 blocks\n");
    assert!(output.stderr.contains("from stderr"), "{output:?}");
    // Commands on standard input, each for itself.
    let output = site
        .command("foscons")
        .stdin(b"printconfig\nbogus\n\nprintconfig\n")
        .run();
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(
        output.stdout.matches("fsys main config").count(),
        2,
        "{output:?}"
    );
}

#[test]
fn a_client_that_writes_and_leaves_is_heard() {
    let site = Site::new(&Script::default());
    site.started(None);
    drop({
        let mut stream = site.connect("fscons");
        stream.write_all(b"fsys main halt\n").unwrap();
        stream
    });
    until("the halt", || {
        site.ask(&["fsys", "main", "epoch"])
            .stdout
            .contains("is halted")
    });
    // One that only stops writing still reads.
    let mut stream = site.connect("fscons");
    stream.write_all(b"\nprintconfig\nhalf a li").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("fsys main config") || !line.starts_with('\t') {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    assert!(!site.log("fscons.log").contains("half"));
}

#[test]
fn lines_that_a_console_must_not_get_are_not_passed_on() {
    let site = Site::new(&Script::default());
    site.started(None);
    let mut stream = site.connect("fscons");
    let long = "x".repeat(300);
    write!(stream, "df\u{17}\n{long}\nfsys\necho %s\n").unwrap();
    let mut refused = Vec::new();
    for line in BufReader::new(&mut stream).lines() {
        let line = line.unwrap();
        if let Some(text) = line.strip_prefix("!broker: ") {
            refused.push(text.to_owned());
        }
        if refused.len() == 4 {
            break;
        }
    }
    assert!(
        refused[1].contains("at most 255 bytes, found 300"),
        "{refused:?}"
    );
    assert_eq!(site.ask(&["fsys", "main", "sync"]).status, 0);
}

/// What one client saw: whole lines of the flood, in order, none twice.
fn assert_whole(text: &str) {
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        let number = line.len() == 63 && line.bytes().all(|byte| byte.is_ascii_digit());
        let known = line.is_empty()
            || line.starts_with("prompt: ")
            || line.starts_with('\t')
            || line.starts_with('x') && line.len() == 17
            || line.starts_with("!broker: ")
            || line == "done";
        assert!(number || known || last, "{line:?}");
    }
}

#[test]
fn three_clients_one_of_them_not_reading() {
    // More than all buffers on the way can hold.
    let script = Script::default().at("printconfig", Fault::Flood(3 << 20));
    let site = Site::new(&script);
    site.started(None);
    let mut deaf = site.connect("fscons");
    let mut reader = site.connect("fscons");
    let heard = thread::spawn(move || {
        let mut text = Vec::new();
        let mut bytes = [0; 65536];
        loop {
            let count = reader.read(&mut bytes).unwrap();
            assert_ne!(count, 0);
            text.extend_from_slice(&bytes[..count]);
            // No more than what is new is looked at: a slow reader misses lines.
            let new = text.len().saturating_sub(count + 8);
            if text[new..].windows(6).any(|line| line == b"\ndone\n") {
                return String::from_utf8_lossy(&text).into_owned();
            }
        }
    });
    for _ in 0..2 {
        let output = site.ask(&["-t", "120", "printconfig"]);
        assert!(
            output.stdout.starts_with(&format!("{:063}\n", 0)),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains("bytes more"), "{}", output.stderr);
    }
    let answers: Vec<_> = (0..8)
        .map(|_| {
            site.command("foscons")
                .args(["-t", "120", "fsys", "main", "sync"])
                .start()
        })
        .collect();
    for answer in answers {
        assert_eq!(answer.wait().stdout, "\tmain sync: wrote 1 blocks\n");
    }
    // Again and again, in case the reader has missed it after all.
    let mut teller = site.connect("fscons");
    while !heard.is_finished() {
        teller.write_all(b"echo done\n").unwrap();
        thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_whole(&heard.join().unwrap());
    // The third one finds whole lines too, and a mark for what it missed.
    let mut text = String::new();
    while !text.contains("bytes skipped: read faster\n") {
        let mut bytes = [0; 65536];
        let count = deaf.read(&mut bytes).unwrap();
        assert_ne!(count, 0);
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert_whole(&text);
    assert_eq!(site.halt(&["-k"]).status, 0);
}

#[test]
fn the_fossil_is_killed_while_a_client_waits() {
    let script = Script::default().at("fsys main sync", Fault::Hang);
    let site = Site::new(&script);
    site.started(None);
    let waiting = site
        .command("foscons")
        .args(["fsys", "main", "sync"])
        .start();
    let mut watcher = BufReader::new(site.connect("fscons"));
    let mut line = String::new();
    while !line.ends_with("fsys main sync\n") {
        line.clear();
        watcher.read_line(&mut line).unwrap();
    }
    for kin in site.kin() {
        kill_process(kin.pid, Signal::KILL).unwrap();
    }
    let output = waiting.wait();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("an answer to fsys main sync"),
        "{output:?}"
    );
    assert!(output.stderr.contains("ended: signal 9"), "{output:?}");
    until("the end of the console", || {
        !site.console("fscons").exists()
    });
    assert!(site.log("fscons.log").contains("ended: signal 9"));
    site.started(None);
}

#[test]
fn the_broker_is_killed_and_its_fossil_does_not_hold_the_partition_unnoticed() {
    let site = Site::new(&Script::default());
    site.started(None);
    let stream = site.connect("fscons");
    kill_process(broker(&stream), Signal::KILL).unwrap();
    let mut rest = Vec::new();
    let _ = BufReader::new(stream).read_to_end(&mut rest);

    let output = site.ask(&["printconfig"]);
    assert_eq!(output.status, 6, "{output:?}");
    assert!(output.stderr.contains("nobody serves"), "{output:?}");
    let output = site.halt(&[]);
    output.assert_refused(1, "goes on without a console");
    let output = site.start(&[], None);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("stand-in-fossil (pid "),
        "{output:?}"
    );
    // Also when the socket was removed.
    fs::remove_file(site.console("fscons")).unwrap();
    let output = site.halt(&[]);
    assert!(
        output.stderr.contains("goes on without a console"),
        "{output:?}"
    );
    let kin = site.kin();
    assert_eq!(kin.len(), 1, "{kin:?}");
    kill_process(kin[0].pid, Signal::TERM).unwrap();
    until("its end", || site.kin().is_empty() && !is_up(&site));
    site.started(None);
}

#[test]
fn in_the_foreground_a_signal_ends_it_in_order() {
    let site = Site::new(&Script::default());
    let running = site
        .command("fossilstart")
        .arg("-F")
        .arg(&site.partition)
        .start();
    until("the service", || is_up(&site));
    let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = running.wait();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(site.log("fscons.log").contains("broker: halted\n"));
    site.assert_nothing_runs();
}

#[test]
fn a_start_that_is_broken_off_leaves_nothing_behind() {
    let open = "fsys main open -c 9000";
    let late = Fault::Late(Duration::from_secs(5));
    let site = Site::new(&Script::default().at(open, late));
    let running = site.command("fossilstart").arg(&site.partition).start();
    until("the step open", || site.log("fscons.log").contains(open));
    let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = running.wait();
    site.assert_nothing_runs();
    assert_eq!((output.status, output.stdout.as_str()), (1, ""));
    let said = "(ended again): interrupted by a signal before it had started\n";
    assert!(output.stderr.ends_with(said), "{output:?}");
}

/// Whether the service is up.
fn is_up(site: &Site) -> bool {
    UnixStream::connect(site.console("fossil")).is_ok()
}

#[test]
fn in_the_foreground_it_ends_with_its_fossil_and_the_fossil_with_it() {
    let site = Site::new(&Script::default());
    let foreground = || {
        let command = site.command("fossilstart").arg("-F").arg(&site.partition);
        let mut prepared = command.prepare();
        let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
        let mut running = prepared.stdout(stdout).stderr(stderr).spawn().unwrap();
        // It says where once it serves.
        let mut line = String::new();
        let mut output = BufReader::new(running.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(line.contains("fscons"), "{line:?}");
        (prepared, running)
    };
    let (_home, running) = foreground();
    for kin in site.kin() {
        kill_process(kin.pid, Signal::KILL).unwrap();
    }
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("exited unexpectedly"), "{said}");

    until("its end", || !is_up(&site));
    let (_home, mut running) = foreground();
    running.kill().unwrap();
    running.wait().unwrap();
    until("the end of the fossil", || site.kin().is_empty());
    until("the end of the console", || {
        !site.console("fscons").exists()
    });
    // Its end is told once, however many threads it had: that is an end in order.
    let mut log = String::new();
    until("its last word", || {
        log = site.log("fscons.log");
        log.ends_with("ended: signal 15\n")
    });
    assert!(log.contains("broker: halted\n"), "{log}");
}

fn rootscor(site: &Site) -> String {
    site.log("rootscor")
}

/// A fossil that was opened with `-r` ends itself at a snap.
#[test]
fn a_fossil_that_only_reads_is_asked_for_no_snapshot() {
    let script = Script::default();
    let site = Site::new(&script).with(&script, "open = '-r'\n");
    site.started(None);
    snapshot(&site, &[]).assert_refused(1, "opened with -r");
    assert_eq!(site.ask(&["printconfig"]).status, 0);
    assert!(!typed(&mut site.connect("fscons")).contains(&"fsys main snap -a".to_owned()));
}

#[test]
fn an_archive_is_taken_waited_for_synced_and_recorded() {
    let site = Site::new(&Script::default());
    site.started(Some("a"));
    let output = snapshot(&site, &[]);
    let line = format!(
        "vac:{} {} {}\n",
        "01".repeat(20),
        site.partition.display(),
        site.venti.dial()
    );
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (0, line.as_str()),
        "{output:?}"
    );
    assert!(rootscor(&site).ends_with(&line));
    assert_eq!(site.venti.counts().syncs, 1);
    // A second one has another score.
    let output = snapshot(&site, &[]);
    assert!(output.stdout.starts_with("vac:0202"), "{output:?}");
    // With -n none is taken.
    let output = snapshot(&site, &["-n"]);
    assert!(output.stdout.starts_with("vac:0202"), "{output:?}");
}

/// That of everybody's environment may be another one by now, or down.
#[test]
fn the_venti_of_a_running_fossil_is_the_one_it_was_started_with() {
    let site = Site::new(&Script::default());
    let other = Venti::start();
    site.started(None);
    let line = |score: &str| {
        let [partition, venti] = [site.partition.display().to_string(), site.venti.dial()];
        format!("vac:{score} {partition} {venti}\n")
    };
    let state = site.directory.path().join("state");
    let fossilize = |options: &[&str], venti: &str| {
        let command = site.command("fossilize").env("venti", venti);
        let command = command.args(options).arg("-d").arg(&state);
        command.arg(&site.partition).run()
    };
    let down = closed_port();
    for (round, venti) in [&other.dial(), &down].into_iter().enumerate() {
        let output = fossilize(&["-s"], venti);
        let expected = line(&format!("{:02x}", round + 1).repeat(20));
        assert_eq!(
            (output.status, &output.stdout),
            (0, &expected),
            "{output:?}"
        );
        assert_eq!(site.venti.counts().syncs, round as u64 + 1);
        // Without a snapshot as well, which needs no console.
        assert_eq!(fossilize(&[], venti).stdout, expected);
    }
    assert!(rootscor(&site).ends_with(&line(&"02".repeat(20))));
    let halted = site.command("foshalt").env("venti", &down).arg("-k").run();
    assert_eq!(halted.status, 0, "{halted:?}");
    assert_eq!(other.counts().connections, 0);
}

#[test]
fn without_an_archiver_or_with_one_that_retries_the_limit_ends_the_wait() {
    let cases = [
        (Archiver::None, "it waits for the archiver"),
        (Archiver::Retries, "tried again"),
    ];
    for (archiver, expected) in cases {
        let script = Script {
            archiver,
            ..Script::default()
        };
        let site = Site::new(&script);
        site.started(None);
        let output = snapshot(&site, &["-t", "1"]);
        output.assert_refused(6, expected);
        assert!(output.stderr.contains("the fossil runs on"), "{output:?}");
        assert_eq!(rootscor(&site), "");
        assert_eq!(site.ask(&["fsys", "main", "epoch"]).status, 0);
        assert_eq!(site.kin().len(), 1);

        let output = site.halt(&["-k", "-t", "1"]);
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (3, ""),
            "{output:?}"
        );
        assert_eq!(site.kin().len(), 1);
        let output = site.halt(&["-fk", "-t", "0"]);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(output.stderr.contains("it will be repeated"), "{output:?}");
        assert!(output.stdout.starts_with("halted main "), "{output:?}");
        site.assert_nothing_runs();
    }
}

#[test]
fn a_console_that_does_not_have_the_partition_is_not_taken() {
    let site = Site::new(&Script::default());
    let other = golden::unpack("fossil/archived-4k.fossil", site.directory.path());
    let output = site.command("fossilstart").arg(&other).run();
    assert_eq!(output.status, 0, "{output:?}");
    let output = snapshot(&site, &[]);
    output.assert_refused(6, "with others");
}

#[test]
fn a_halt_that_is_not_proved_is_no_halt() {
    let script = Script::default().at("fsys main halt", Fault::Error("no".to_owned()));
    let site = Site::new(&script);
    site.started(None);
    let output = site.halt(&["-k"]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, ""),
        "{output:?}"
    );
    assert!(
        output
            .stderr
            .contains("expected file system main is halted"),
        "{output:?}"
    );
    assert!(output.stderr.contains("not ended"), "{output:?}");
    assert_eq!(site.kin().len(), 1);
}

/// A fossil behind a console that another program serves, for those who come by a
/// socket; the fossil's end ends nothing else.
struct Foreign {
    fossil: Child,
    partition: PathBuf,
}

impl Foreign {
    fn start(site: &Site, console: &Path) -> Self {
        let directory = site.directory.path().join("foreign");
        fs::create_dir(&directory).unwrap();
        let partition = golden::unpack("fossil/archived-8k.fossil", &directory);
        let program = directory.join("fossil");
        symlink(env!("CARGO_BIN_EXE_stand-in-fossil"), &program).unwrap();
        let (near, far) = terminal();
        let mut fossil = process::Command::new("setsid");
        let fossil = Surroundings::below(&directory)
            .around(&mut fossil)
            .arg("--ctty")
            .arg(program)
            .arg(Script::default().to_word())
            .stdin(far)
            .spawn()
            .unwrap();
        relay(near, UnixListener::bind(console).unwrap());
        let foreign = Foreign { fossil, partition };
        let config = format!("fsys main config {}", foreign.partition.display());
        let console = console.to_str().unwrap();
        for line in [&config, "fsys main open -c 300"] {
            let output = site.ask(&["-c", console, line]);
            assert_eq!(output.status, 0, "{output:?}");
        }
        foreign
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.fossil.kill();
        let _ = self.fossil.wait();
    }
}

/// Passes on what callers type, and to all what the terminal says.
fn relay(terminal: fs::File, listener: UnixListener) {
    let callers: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
    let (mut from, to) = (terminal.try_clone().unwrap(), Arc::clone(&callers));
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let mut callers = to.lock().unwrap();
            callers.retain_mut(|caller| caller.write_all(&bytes[..count]).is_ok());
        }
        for caller in to.lock().unwrap().iter() {
            let _ = caller.shutdown(Shutdown::Both);
        }
    });
    thread::spawn(move || {
        for caller in listener.incoming().map_while(Result::ok) {
            let (mut typed, mut terminal) = (caller.try_clone().unwrap(), &terminal);
            callers.lock().unwrap().push(caller);
            let _ = std::io::copy(&mut typed, &mut terminal);
        }
    });
}

#[test]
fn behind_a_console_that_is_not_ours_only_who_was_halted_is_ended() {
    let site = Site::new(&Script::default());
    // An earlier broker was killed here, and its fossil goes on.
    site.started(Some("theirs"));
    let console = site.console("fscons.theirs");
    let stream = site.connect("fscons.theirs");
    kill_process(broker(&stream), Signal::KILL).unwrap();
    let _ = BufReader::new(stream).read_to_end(&mut Vec::new());
    fs::remove_file(&console).unwrap();
    let left = site.kin();
    assert_eq!(left.len(), 1, "{left:?}");

    let mut foreign = Foreign::start(&site, &console);
    let output = site.halt(&["-k", console.to_str().unwrap()]);
    let halted = format!(
        "halted main {} {}\n",
        foreign.partition.display(),
        console.display()
    );
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (0, halted.as_str())
    );
    assert_eq!(foreign.fossil.wait().unwrap().signal(), Some(15));
    assert_eq!(site.kin(), left);
}

/// foscons on a terminal, as a person has it.
struct Person {
    _prepared: Prepared,
    foscons: Child,
    terminal: fs::File,
    shown: String,
}

impl Person {
    fn at(site: &Site, console: &str) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let near = near.unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap().into_string().unwrap();
        let far = fs::File::options().read(true).write(true).open(name);
        let far = far.unwrap();
        let mut prepared = Command::new("foscons")
            .args(["-c", site.console(console).to_str().unwrap()])
            .prepare();
        let foscons = prepared
            .stdin(far.try_clone().unwrap())
            .stdout(far.try_clone().unwrap())
            .stderr(far)
            .spawn()
            .unwrap();
        Person {
            _prepared: prepared,
            foscons,
            terminal: near.into(),
            shown: String::new(),
        }
    }

    /// Reads on until this is shown; what came since the last time.
    fn sees(&mut self, text: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.shown.find(text) {
                return self.shown.drain(..at + text.len()).collect();
            }
            let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
            let limit = Timespec::try_from(PATIENCE).unwrap();
            let ready = poll(&mut fds, Some(&limit)).unwrap();
            assert_eq!(ready, 1, "no {text:?} in {:?}", self.shown);
            let count = self.terminal.read(&mut bytes).unwrap();
            self.shown
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.foscons.kill();
        let _ = self.foscons.wait();
    }
}

#[test]
fn on_a_terminal_a_person_sees_the_console_and_no_fences() {
    let site = Site::new(&Script::default());
    site.started(None);
    let mut person = Person::at(&site, "fscons");
    let history = person.sees("srv -A fossil\r\nprompt: ");
    assert!(!history.contains("echo x"), "{history}");

    person.types("fsys main sync\n");
    let seen = person.sees("\r\nprompt: ");
    assert_eq!(
        seen,
        "fsys main sync\r\n\tmain sync: wrote 1 blocks\r\nprompt: "
    );
    // What a console must not get goes no further.
    person.types("fsys\n");
    person.sees("fsys alone, which kills a fossil that has no file system");
    // What others do is seen, without their fences.
    assert_eq!(site.ask(&["printconfig"]).status, 0);
    let seen = person.sees("\tfsys main config ");
    assert!(!seen.contains("echo x"), "{seen}");

    assert_eq!(site.halt(&["-k"]).status, 0);
    let seen = person.sees(" ended: ");
    assert!(!seen.contains("echo x"), "{seen}");
    assert_eq!(person.foscons.wait().unwrap().code(), Some(0));

    // One that leaves takes nothing with it.
    site.started(None);
    let mut person = Person::at(&site, "fscons");
    person.sees("prompt: ");
    person.types("\x04");
    assert_eq!(person.foscons.wait().unwrap().code(), Some(0));
    assert_eq!(site.ask(&["fsys", "main", "sync"]).status, 0);
}

#[test]
fn who_ends_it_in_order_finds_room_at_a_full_console() {
    let site = Site::new(&Script::default());
    site.started(None);
    // One more than there is room for, who is told so.
    let callers: Vec<_> = (0..65).map(|_| site.connect("fscons")).collect();
    let mut last = callers.last().unwrap();
    let mut said = String::new();
    last.read_to_string(&mut said).unwrap();
    assert_eq!(said, "!broker: 64 clients are connected already\n");
    kill_process(broker(last), Signal::TERM).unwrap();
    until("its end", || site.kin().is_empty());
    until("the end of its log", || {
        site.log("fscons.log").contains(" ended: ")
    });
    let log = site.log("fscons.log");
    assert!(log.contains("broker: halted\n"), "{log}");
    drop(callers);
}

#[test]
fn a_console_that_cannot_be_reached_hides_no_other() {
    let site = Site::new(&Script::default());
    site.started(Some("b"));
    // Nothing of this kind can be connected to, as another user's cannot.
    let path = site.console("fscons.a");
    let _odd = UnixDatagram::bind(&path).unwrap();
    let output = site.halt(&["-k"]);
    assert_eq!(output.status, 6, "{output:?}");
    assert!(output.stdout.starts_with("halted main "), "{output:?}");
    let said = format!("foshalt: {}: ", path.display());
    assert!(output.stderr.starts_with(&said), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(site.kin().is_empty());
}

#[test]
fn a_dry_run_halts_nothing() {
    let site = Site::new(&Script::default());
    site.started(None);
    let output = site.halt(&["-nk"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stdout.starts_with("would halt main "), "{output:?}");
    assert_eq!(site.ask(&["fsys", "main", "sync"]).status, 0);
    assert!(Path::new(&site.console("fscons")).exists());
}
