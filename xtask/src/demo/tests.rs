//! What the demo says is in the README, what it suggests works, and nothing is left running.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::thread;

use tempfile::TempDir;
use venti_tests::command;

use super::*;

/// What `show` says in this directory.
fn said(directory: &Path) -> String {
    let mut said = Vec::new();
    show(&mut said, directory).unwrap();
    String::from_utf8(said).unwrap()
}

/// A demo in a directory of its own.
fn demo() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let said = said(&directory.path().join("demo"));
    (directory, said)
}

/// The lines that are there to be typed when the demo has ended.
fn suggested(said: &str) -> Vec<&str> {
    let (_, next) = said.split_once("What you can do next").unwrap();
    let lines = next.lines().filter_map(|line| line.strip_prefix("  $ "));
    lines.collect()
}

/// The port that follows a text.
fn port_after(line: &str, text: &str) -> u16 {
    let (_, rest) = line.split_once(text).unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().unwrap()
}

/// A text without what differs from run to run: ports, times, and a process id.
fn masked(text: &str) -> String {
    let is_time = |word: &str| word.len() > 19 && word.contains("-") && word.contains("Z");
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let word = |(n, word): (usize, &&str)| {
            let before = n.checked_sub(1).map_or("", |n| words[n]);
            let after = words.get(n + 1).copied().unwrap_or_default();
            let differs = word.contains("127.0.0.1") || is_time(word) || before == "-9";
            match differs || after.starts_with("s;") || after.starts_with("second") {
                true => word.replace(|c: char| c.is_ascii_digit(), "N"),
                false => word.replace("seconds", "second"),
            }
        };
        let words: Vec<String> = words.iter().enumerate().map(word).collect();
        words.join(" ")
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    let text = lines.join("\n");
    // Of numbers of any length.
    (0..5).fold(text, |text, _| text.replace("NN", "N"))
}

#[test]
fn the_readme_shows_what_the_demo_says() {
    let (directory, said) = demo();
    let home = "/home/glenda/ventiprog/target";
    let own = directory.path().display().to_string();
    let programs = machine::commands().display().to_string();
    let said = said.replace(&own, home);
    let said = said.replace(&programs, &format!("{home}/debug"));
    let readme = fs::read_to_string(command::root().join("README.md")).unwrap();
    let (_, shown) = readme.split_once("    $ cargo xtask demo\n").unwrap();
    let lines = shown.lines();
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    let lines: Vec<&str> = lines.map(|l| l.strip_prefix("    ").unwrap_or(l)).collect();
    let shown = lines.join("\n");
    assert!(
        masked(shown.trim_end()) == masked(&said),
        "expected:\n{said}"
    );
}

#[test]
fn what_the_demo_suggests_works_as_printed() {
    let (_directory, said) = demo();
    let elsewhere = tempfile::tempdir().unwrap();
    let reader = Machine::new(&elsewhere.path().join("reader")).unwrap();
    let (servers, others): (Vec<&str>, Vec<&str>) = suggested(&said)
        .into_iter()
        .partition(|line| line.ends_with(" &"));
    let start = |line: &&str| {
        reader
            .start(line, port_after(line, "-a 127.0.0.1:"))
            .unwrap()
    };
    let servers: Vec<_> = servers.iter().map(start).collect();
    assert_eq!((servers.len(), others.len()), (3, 5), "{said}");
    for line in others {
        reader.run(&mut std::io::sink(), line).unwrap();
    }
    let pages: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("http://"))
        .collect();
    assert_eq!(pages.len(), 3, "{said}");
    for page in pages {
        let mut stream = TcpStream::connect(("127.0.0.1", port_after(page, "127.0.0.1:"))).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    }
    for mut server in servers {
        assert!(server.end().unwrap(), "{}", server.id());
    }
}

#[test]
fn no_server_survives_the_demo() {
    let (_directory, said) = demo();
    for line in suggested(&said).iter().filter(|line| line.ends_with(" &")) {
        for option in ["-a", "-H"] {
            let port = port_after(line, &format!("{option} 127.0.0.1:"));
            assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{line}");
        }
    }
}

#[test]
fn a_server_ends_when_the_demo_fails() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new(&directory.path().join("demo")).unwrap();
    let server = machine.serve(&mut std::io::sink(), "source").unwrap();
    let address = server.address();
    thread::spawn(move || {
        let _server = server;
        panic!("as a check that fails");
    })
    .join()
    .unwrap_err();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_demo_runs_again_and_removes_only_what_is_its_own() {
    let (directory, _) = demo();
    let place = directory.path().join("demo");
    let _ = said(&place);
    let other = directory.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "kept").unwrap();
    let error = show(&mut std::io::sink(), &other).unwrap_err();
    assert!(error.to_string().contains("not made by a demo"), "{error}");
    assert_eq!(fs::read(other.join("letter")).unwrap(), b"kept");
}

#[test]
fn no_root_score_is_in_a_line_of_the_demo() {
    let (_directory, said) = demo();
    for line in said
        .lines()
        .filter(|line| line.trim_start().starts_with("$ "))
    {
        assert!(
            !line.contains(&Archive::of_day(1).root.to_string()),
            "{line}"
        );
        assert!(
            !line.contains(&Archive::of_day(2).root.to_string()),
            "{line}"
        );
        assert!(!line.contains("vac:"), "{line}");
    }
}

#[test]
fn of_two_demos_in_one_place_the_second_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let demo = directory.path().join("demo");
    let first = Machine::new(&demo).unwrap();
    fs::write(demo.join("log"), "the first").unwrap();
    let error = Machine::new(&demo).err().unwrap().to_string();
    assert!(error.ends_with("another demo runs there; wait until it has ended"));
    assert_eq!(fs::read_to_string(demo.join("log")).unwrap(), "the first");
    drop(first);
    assert!(Machine::new(&demo).is_ok());
}
