//! fosreset on a terminal: it says what will be lost, and asks.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use fossilcore::disk::SuperBlock;
use venti_tests::command::Command;
use venti_tests::fossil::terminal;
use venti_tests::golden;

use crate::fixture::archives::ARCHIVES;
use crate::fixture::reset::{Site, is_blind};

/// How long an answer may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the terminal showed, and how the run ended.
struct Shown {
    text: String,
    status: i32,
}

/// How fosreset gets the words of the line of fossilize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Operands,
    Pipe,
    Typed,
}

/// Runs fosreset on a terminal with the words, and types this when it asks.
fn on_terminal(site: &Site, from: Words, options: &[&str], answer: &str) -> Shown {
    let (mut near, far) = terminal();
    let words = format!(
        "vac:{} {} {}",
        ARCHIVES[1].0,
        site.partition.display(),
        site.venti.dial()
    );
    // The terminal is the session's also where standard input is a pipe.
    let script = match from {
        Words::Pipe => "line=$1; shift; printf '%s\\n' \"$line\" | \"$@\" -",
        Words::Operands => "line=$1; shift; exec \"$@\" $line",
        Words::Typed => "shift; exec \"$@\" -",
    };
    let mut command = Command::new("fosreset")
        .through(["setsid", "--ctty", "--wait"])
        .through(["bash", "-c", script, "bash", &words])
        .arg("-d")
        .arg(site.state())
        .args(options)
        .env("TERM", "dumb")
        .prepare();
    command
        .stdin(far.try_clone().unwrap())
        .stdout(far.try_clone().unwrap())
        .stderr(far.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    // It would hold the far end open, and its home has to stay.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    drop(far);
    if from == Words::Typed {
        near.write_all(format!("{words}\n").as_bytes()).unwrap();
    }
    let mut reader = near.try_clone().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || read_all(&mut reader, &tell));
    let (mut text, mut asked) = (String::new(), false);
    let deadline = Instant::now() + PATIENCE;
    while let Ok(more) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        text += &more;
        if text.contains("[y/n]: ") && !asked {
            near.write_all(answer.as_bytes()).unwrap();
            asked = true;
        }
    }
    assert!(Instant::now() < deadline, "still running: {text}");
    let status = child.wait().unwrap().code().unwrap();
    Shown { text, status }
}

fn read_all(near: &mut File, tell: &std::sync::mpsc::Sender<String>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = near.read(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        if tell.send(text).is_err() {
            return;
        }
    }
}

#[test]
fn what_will_be_lost_is_said_and_no_is_no() {
    if is_blind() {
        return;
    }
    let site = Site::of("archived-8k");
    for answer in ["n\n", "\n", "Yes\n"] {
        let shown = on_terminal(&site, Words::Operands, &[], answer);
        assert_eq!(shown.status, 1, "{}", shown.text);
        for says in [
            "holds the fossil \"golden8k\"",
            &format!(
                "its last archive is vac:{}: taken 2026-11-22T",
                ARCHIVES[0].0
            ),
            "Z, its root is readable on this venti",
            "changes made after that archive will be lost",
            &format!("reset it to vac:{}? [y/n]: ", ARCHIVES[1].0),
            "the answer was not y: nothing was written",
        ] {
            assert!(shown.text.contains(says), "{says}: {}", shown.text);
        }
        assert!(site.bytes() == golden::fossil("archived-8k") && site.undos().is_empty());
    }
}

#[test]
fn yes_is_yes_wherever_the_line_comes_from() {
    if is_blind() {
        return;
    }
    for line in [Words::Operands, Words::Pipe, Words::Typed] {
        let site = Site::of("archived-8k");
        let shown = on_terminal(&site, line, &[], "n\n");
        assert_eq!(shown.status, 1, "{line:?}: {}", shown.text);
        assert!(site.bytes() == golden::fossil("archived-8k"), "{line:?}");
        let shown = on_terminal(&site, line, &[], "y\n");
        assert_eq!(shown.status, 0, "{line:?}: {}", shown.text);
        assert!(shown.text.contains("fosreset -u "), "{}", shown.text);
        assert_eq!(site.undos().len(), 1);
    }
    let site = Site::of("archived-8k");
    let shown = on_terminal(&site, Words::Operands, &["-y"], "");
    assert!(
        shown.status == 0 && !shown.text.contains("[y/n]"),
        "{}",
        shown.text
    );
}

#[test]
fn an_archive_under_way_and_one_that_is_nowhere_are_said() {
    if is_blind() {
        return;
    }
    let site = Site::of("archiving-8k");
    let shown = on_terminal(&site, Words::Operands, &[], "n\n");
    assert!(
        shown.text.contains("is being archived, and will be lost"),
        "{}",
        shown.text
    );
    assert!(
        shown.text.contains("it was never archived"),
        "{}",
        shown.text
    );
    // Without a terminal it is said as well, and goes on.
    let output = site.reset(&["-q"], ARCHIVES[1].0);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output
            .stderr
            .contains("is being archived, and will be lost"),
        "{output:?}"
    );
    // The score of an archive on another venti.
    let mut bytes = golden::fossil("archived-8k");
    let superblock = SuperBlock {
        last: venticore::codec::score::Score::of(b"elsewhere"),
        ..SuperBlock::parse(&bytes[18 * 8192..]).unwrap()
    };
    bytes[18 * 8192..][..SuperBlock::LEN].copy_from_slice(&superblock.to_bytes());
    let site = Site::with(bytes);
    let shown = on_terminal(&site, Words::Operands, &[], "n\n");
    assert!(
        shown.text.contains("not readable on this venti"),
        "{}",
        shown.text
    );
}
