//! A console's answers: those of the transcripts, and those of one with faults.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fossilcore::console::verdict::failure;
use fossilcore::console::{CommandLine, Console, ConsoleError};
use fossilcore::last;
use fossilcore::snapshot::ArchiveWait;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use venti_tests::golden;
use venti_tests::standin::{Fault, Script, StandIn, answers};
use venticore::codec::operand::Operand;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;

const TRANSCRIPTS: &[&str] = &[
    "administration",
    "archive-8k",
    "config-open",
    "halt",
    "open-bad-super",
    "open-destroyed",
    "open-missing",
    "open-no-header",
    "open-short",
    "open-venti-refused",
    "open-venti-unset",
    "unconfig",
];

/// More than anything takes that is not to fail.
const LIMIT: Duration = Duration::from_secs(60);

/// A limit that is to end a wait.
const SHORT: Duration = Duration::from_millis(300);

/// The console of a stand-in.
fn console(script: Script, limit: Duration) -> Console {
    let (near, far) = UnixStream::pair().unwrap();
    let input = far.try_clone().unwrap();
    thread::spawn(move || {
        StandIn::new(&far, script).serve(input);
        // A fossil that ends takes its console with it.
        let _ = far.shutdown(std::net::Shutdown::Both);
    });
    Console::over("cons", File::from(OwnedFd::from(near)), limit).unwrap()
}

#[test]
fn what_was_recorded_comes_back() {
    for name in TRANSCRIPTS {
        let mut console = console(Script::default().playing(name), LIMIT);
        for (command, answer) in answers(name) {
            // `fsys` alone and comments are not for sending.
            let Ok(line) = command.parse::<CommandLine>() else {
                assert!(command == "fsys" || command.is_empty(), "{name}: {command}");
                continue;
            };
            if line.words()[0] == "echo" {
                continue;
            }
            let reply = console.ask(&line).unwrap();
            let (said, asides): (Vec<&str>, Vec<&str>) = answer
                .lines()
                .partition(|line| !line.contains("archive vac:"));
            assert_eq!(
                reply.text.lines().collect::<Vec<_>>(),
                said,
                "{name}: {line}"
            );
            assert_eq!(reply.asides, asides, "{name}: {line}");
        }
    }
}

/// What is taken for a failure, of all that was recorded.
#[test]
fn failures_are_told_from_answers() {
    let mut table = String::new();
    for name in TRANSCRIPTS {
        writeln!(table, "{name}").unwrap();
        for (command, answer) in answers(name) {
            if let Ok(line) = command.parse::<CommandLine>() {
                let verdict = failure(&line, &answer).unwrap_or("-");
                writeln!(table, "    {line}: {verdict}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_console_without_a_prompt_is_given_up_and_named() {
    let script = Script::default().at("fsys main sync", Fault::Hang);
    let mut console = console(script, SHORT);
    let error = console.command("fsys main sync").unwrap_err();
    assert!(matches!(error, ConsoleError::Silent { .. }), "{error}");
    let expected = "cons: waited 0.3 seconds for an answer to fsys main sync: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn a_late_prompt_is_waited_for() {
    let script = Script::default().at("printconfig", Fault::Late(Duration::from_millis(200)));
    let mut console = console(script, LIMIT);
    assert_eq!(console.command("printconfig").unwrap().text, "");
}

#[test]
fn a_death_in_the_middle_is_no_answer() {
    let script = Script::default().at("printconfig", Fault::Die);
    let mut console = console(script, LIMIT);
    let error = console.command("printconfig").unwrap_err();
    assert!(matches!(error, ConsoleError::Ended { .. }), "{error}");
    assert!(
        error.to_string().contains("an answer to printconfig"),
        "{error}"
    );
    let error = console.command("printconfig").unwrap_err();
    assert!(matches!(error, ConsoleError::Ended { .. }), "{error}");
}

#[test]
fn an_error_text_is_an_error() {
    let text = "fsOpen: block label mismatch";
    let script = Script::default().at("fsys main open", Fault::Error(text.to_owned()));
    let mut console = console(script, LIMIT);
    let error = console.command("fsys main open").unwrap_err();
    assert_eq!(error.to_string(), format!("cons: fsys main open: {text}"));
    // And the console goes on.
    assert!(console.command("printconfig").is_ok());
}

#[test]
fn megabytes_come_before_the_prompt() {
    let script = Script::default().at("printconfig", Fault::Flood(5 << 20));
    let mut console = console(script, LIMIT);
    let reply = console.ask(&"printconfig".parse().unwrap()).unwrap();
    assert!(reply.dropped > 2 << 20, "{}", reply.dropped);
    assert!(reply.text.starts_with(&format!("{:063}\n", 0)));
    assert!(
        reply
            .text
            .ends_with(&format!("{:063}\n", (5 << 20) / 64 - 1))
    );
    assert!(console.command("fsys main config /p").is_ok());
}

#[test]
fn one_that_talks_without_end_is_given_up_all_the_same() {
    let (near, mut far) = UnixStream::pair().unwrap();
    thread::spawn(move || while far.write_all(&[b'x'; 8192]).is_ok() {});
    let mut console = Console::over("cons", File::from(OwnedFd::from(near)), SHORT).unwrap();
    for _ in 0..2 {
        let error = console.command("fsys main sync").unwrap_err();
        assert!(matches!(error, ConsoleError::Silent { .. }), "{error}");
        assert!(error.to_string().contains("an answer to fsys main sync"));
    }
    assert!(console.archives(SHORT).unwrap().is_empty());
}

/// One that always has another archive to report must not be heard out for ever.
#[test]
fn one_that_reports_archives_without_end_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = golden::unpack("fossil/archived-8k.fossil", directory.path());
    let operand = Operand::try_from(path.as_os_str()).unwrap();
    let partition = Partition::open_rw(&operand).unwrap();
    let current = last::again(&partition).unwrap().header.superblock_at() + 30;
    partition.write_at(&[0; 4], current).unwrap();

    let (near, far) = UnixStream::pair().unwrap();
    let (input, mut talk) = (far.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || StandIn::new(&far, Script::default()).serve(input));
    let mut console = Console::over("cons", File::from(OwnedFd::from(near)), LIMIT).unwrap();
    let config = format!("fsys main config {}", path.display());
    for line in [&config, "fsys main open -c 300"] {
        console.command(line).unwrap();
    }
    let line = format!("archive vac:{}\n", "ab".repeat(20));
    let disk = partition.clone();
    thread::spawn(move || {
        for count in 0.. {
            if talk.write_all(line.as_bytes()).is_err() {
                return;
            }
            if count == 100 {
                disk.write_at(&[0xff; 4], current).unwrap();
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let (terminal, _) = Terminal::keeping("test");
        let mut archive = ArchiveWait {
            console: &mut console,
            name: "main",
            partition: &partition,
            terminal: &terminal,
            limit: LIMIT,
        };
        done.send(archive.wait().map_err(|error| format!("{error:#}")))
    });
    let waited = ended.recv_timeout(LIMIT).expect("an end of the wait");
    let error = waited.unwrap_err();
    assert!(error.contains("which cons said, found vac:"), "{error}");
}

#[test]
fn an_archive_that_ends_within_an_echo_is_no_answer() {
    let score = "f50b65b3911fc87ae786cc7970b2e34d1348bd00";
    let aside = Fault::Aside(format!("archive vac:{score}\n"));
    let script = Script::default().at("fsys main config /p", aside);
    let mut console = console(script, LIMIT);
    let reply = console.command("fsys main config /p").unwrap();
    assert_eq!(reply.asides, [format!("archive vac:{score}")]);
    assert_eq!(console.archives(SHORT).unwrap(), [score]);
    assert!(console.archives(SHORT).unwrap().is_empty());
}

#[test]
fn other_text_within_an_echo_is_said_not_guessed() {
    let script = Script::default().at("fsys main config /p", Fault::Aside("huh\n".to_owned()));
    let mut console = console(script, LIMIT);
    let error = console.command("fsys main config /p").unwrap_err();
    assert!(matches!(error, ConsoleError::Garbled { .. }), "{error}");
}

#[test]
fn a_terminal_is_a_console_too() {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&near).unwrap();
    let name = ptsname(&near, Vec::new()).unwrap().into_string().unwrap();
    // Its end is held, so that the other one does not hang up before we come.
    let held = fs::OpenOptions::new().read(true).write(true).open(&name);
    // It is made raw by this, before it can echo anything back.
    let mut console = Console::open(Path::new(&name), LIMIT).unwrap();
    let near = File::from(near);
    thread::spawn(move || StandIn::new(near.try_clone().unwrap(), Script::default()).serve(near));
    assert!(console.command("fsys main config /p").is_ok());
    let answer = console.command("printconfig").unwrap().text;
    assert_eq!(answer, "\tfsys main config /p\n");
    drop(held);
}

#[test]
fn what_is_no_console_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "text").unwrap();
    for (path, expected) in [
        (directory.path(), "expected a console, found a directory"),
        (&file, "expected a console, found a plain file"),
        (&directory.path().join("none"), "No such file"),
    ] {
        let error = Console::open(path, LIMIT).unwrap_err();
        assert!(matches!(error, ConsoleError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
    assert!(!directory.path().join("none").exists());
}

#[test]
fn a_trap_is_never_sent() {
    let mut console = console(Script::default(), LIMIT);
    for text in ["fsys", "df\u{17}", "echo 50%", &"x".repeat(256), ""] {
        let error = console.command(text).unwrap_err();
        assert!(matches!(error, ConsoleError::Line { .. }), "{error}");
    }
    assert!(console.command("printconfig").is_ok());
}
