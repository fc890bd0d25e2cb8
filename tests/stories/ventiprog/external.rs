//! The external engine: what a wrarena says is believed only when it ended
//! well, named no damage, and gave one end offset that can be. Stand-ins are
//! small scripts that note their arguments and answer as told.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use venti_tests::golden;
use venticore::codec::operand::Operand;
use venticore::copy::external::{self, ArenaRest, ExternalError, ExternalFault, Program};
use venticore::host::child::ChildLimits;
use venticore::host::partition::Partition;
use venticore::status::Status;
use venticore::tool::status_of;

/// The arena that the stand-ins are called for.
const STRETCH: ArenaRest = ArenaRest {
    head: 794_624,
    end: 1_843_200,
    size: 1_032_192,
    from: 0x1000,
};

/// Enough for any stand-in that is not meant to be late.
const PATIENT: ChildLimits = ChildLimits {
    silence: Duration::from_secs(60),
    whole: Duration::from_secs(60),
    output: 64 << 20,
};

/// A stand-in and the partition it is called for.
struct StandIn {
    directory: TempDir,
}

impl StandIn {
    /// A shell script; `$D` is its directory.
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let head = format!("D='{}'\n", directory.path().display());
        let log = "for word; do printf '%s\\n' \"$word\"; done >\"$D/log\"\n";
        let text = format!("{head}{log}{script}\n");
        fs::write(directory.path().join("wrarena"), text).unwrap();
        let file = fs::File::create(directory.path().join("arenas")).unwrap();
        file.set_len(8 << 20).unwrap();
        StandIn { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self) -> Program {
        Program::new(["/bin/sh".into(), self.path("wrarena")]).unwrap()
    }

    fn run(&self, limits: &ChildLimits) -> Result<u64, ExternalError> {
        self.run_on(self.path("arenas").to_str().unwrap(), &STRETCH, limits)
    }

    fn run_on(
        &self,
        operand: &str,
        stretch: &ArenaRest,
        limits: &ChildLimits,
    ) -> Result<u64, ExternalError> {
        let operand: Operand = operand.parse().unwrap();
        let partition = Partition::open(&operand).unwrap();
        let target = "backup:17035".parse().unwrap();
        external::run(&self.program(), &target, &partition, stretch, limits)
    }

    /// The arguments of the last call.
    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

/// What a script makes of the run.
fn outcome(script: &str) -> Result<u64, ExternalError> {
    StandIn::new(script).run(&PATIENT)
}

/// A script that must make it fail: the error, which must be one line.
fn error(script: &str) -> ExternalError {
    let error = outcome(script).expect_err(script);
    let line = error.to_string();
    assert!(!line.contains(char::is_control), "{line}");
    assert!(line.starts_with("/bin/sh: "), "{line}");
    error
}

fn assert_error(script: &str, kind: Status, status: u8, part: &str) {
    let error = error(script);
    assert_eq!(error.status(), kind, "{script}: {error}");
    assert!(error.to_string().contains(part), "{script}: {error}");
    let report = eyre::Report::new(error).wrap_err("tcp!backup!17035");
    assert_eq!(status_of(&report).code(), status, "{report:#}");
}

#[test]
fn it_is_called_in_the_one_form_that_works() {
    let stand_in = StandIn::new("echo end offset 0x2000");
    assert_eq!(stand_in.run(&PATIENT).unwrap(), 0x2000);
    let arenas = stand_in.path("arenas").display().to_string();
    let call = |range: &str, from: &str| {
        format!("-o\n0\n-h\ntcp!backup!17035\n{arenas}:{range}\n{from}\n")
    };
    assert_eq!(stand_in.log(), call("794624-1843200", "0x1000"));

    // Of a range, the place in the file.
    let stretch = ArenaRest { from: 0, ..STRETCH };
    let operand = format!("{arenas}:1m-8m");
    let offset = stand_in.run_on(&operand, &stretch, &PATIENT);
    assert_eq!(offset.unwrap(), 0x2000);
    assert_eq!(stand_in.log(), call("1843200-2891776", "0x0"));
}

#[test]
fn words_of_the_configuration_come_first_and_no_shell_sees_them() {
    let stand_in = StandIn::new("echo end offset 0x2000");
    let words = ["/bin/sh", stand_in.path("wrarena").to_str().unwrap()].map(str::to_owned);
    let odd = ["-v", "$HOME; *", ""].map(str::to_owned);
    let program = Program::new(words.into_iter().chain(odd)).unwrap();
    let operand = Operand::try_from(stand_in.path("arenas").as_os_str()).unwrap();
    let partition = Partition::open(&operand).unwrap();
    let target = "backup".parse().unwrap();
    external::run(&program, &target, &partition, &STRETCH, &PATIENT).unwrap();
    assert!(stand_in.log().starts_with("-v\n$HOME; *\n\n-o\n0\n-h\n"));
}

#[test]
fn standard_input_is_empty() {
    assert_eq!(outcome("cat; echo end offset 0x2000").unwrap(), 0x2000);
}

#[test]
fn there_must_be_a_program() {
    for argv in [&[][..], &["", "x"]] {
        let error = Program::new(argv).unwrap_err();
        assert_eq!(status_of(&error.into()), Status::Usage);
    }
    assert_eq!(Program::default(), Program::new(["wrarena"]).unwrap());

    let stand_in = StandIn::new("");
    for name in ["no such program", "wrarena"] {
        let program = Program::new([stand_in.path(name)]).unwrap();
        let operand = Operand::try_from(stand_in.path("arenas").as_os_str()).unwrap();
        let partition = Partition::open(&operand).unwrap();
        let target = "backup".parse().unwrap();
        let error = external::run(&program, &target, &partition, &STRETCH, &PATIENT).unwrap_err();
        assert!(matches!(error.fault(), ExternalFault::Start(_)), "{error}");
        assert!(error.to_string().contains("built-in engine"), "{error}");
        assert_eq!(status_of(&error.into()), Status::Failed);
    }
}

#[test]
fn a_dialect_is_named_with_the_cure() {
    let failed = |script, part| assert_error(script, Status::Failed, 1, part);
    // plan9port's on a whole partition.
    failed(
        "echo end offset 0x2000; echo end offset 0x3000",
        "called as wrarena -o 0 -h HOST PART:HEAD-END 0xOFFSET",
    );
    // One line twice is no better.
    failed(
        "echo end offset 0x2000; echo end offset 0x2000",
        "found 2: plan9port's wrarena on a whole partition",
    );
    for number in ["0x2000", "8192", " 8192 "] {
        let script = format!("echo '{number}'");
        assert_error(&script, Status::Failed, 1, "9front wrarena");
    }
    failed("echo end offset 0x2000; echo 8192", "found \"8192\"");
    for text in [
        "bad offset 0x88 >= 0x44",
        "wrarena: offset of arena 0x88",
        "end offset 8192",
        "end offset: 0x2000",
        "end offset 0x2000 (g5.2)",
        "g5.2 end offset 0x2000",
    ] {
        let script = format!("echo '{text}'");
        let part = format!("found \"{text}\"");
        assert_error(&script, Status::Failed, 1, &part);
        let script = format!("echo end offset 0x2000; echo '{text}'");
        assert_error(&script, Status::Failed, 1, &part);
    }
    failed("printf 'end offset 0x20'", "found \"end offset 0x20\"");
    failed("", "no output");
    failed(
        "echo; echo sent all data; echo",
        "the last line is \"sent all data\"",
    );
    failed("echo end offset 0x2000 >&2", "no output");
}

#[test]
fn an_offset_must_be_in_the_arena_and_not_before_the_start() {
    let said = |offset: u64| outcome(&format!("echo end offset {offset:#x}"));
    for offset in [0x1000, 0x1001, STRETCH.size] {
        assert_eq!(said(offset).unwrap(), offset);
    }
    for found in [0, 0xfff, STRETCH.size + 1, u64::MAX] {
        let error = said(found).unwrap_err();
        assert!(
            matches!(error.fault(), ExternalFault::Implausible { found: was, .. } if *was == found),
            "{error}"
        );
        assert_eq!(error.status(), Status::Failed);
    }
    assert_error(
        "echo end offset 0",
        Status::Failed,
        1,
        "from 0x1000 to 0xfc000, found 0x0",
    );
}

#[test]
fn a_perfect_line_is_worth_nothing_without_status_0() {
    let line = "echo end offset 0x2000; echo sent all data";
    for (end, part) in [
        ("exit 3", "exit status 3, without a word"),
        ("echo a >&2; echo b >&2; exit 1", "exit status 1: \"b\""),
        ("kill -TERM $$; sleep 60", "ended by signal 15"),
        (
            "echo wrarena: executing sync: not connected >&2; exit 1",
            "sync: not connected",
        ),
        (
            "echo wrarena: failed writing clump 249743: no space left in arenas >&2; exit 1",
            "no space left in arenas",
        ),
    ] {
        assert_error(&format!("{line}; {end}"), Status::Failed, 1, part);
    }
    for why in ["Connection refused", "unknown host $venti"] {
        let text = format!("wrarena: could not connect to server: {why}");
        let script = format!("echo '{text}' >&2; echo >&2; exit 1");
        assert_error(&script, Status::Unreachable, 6, &text);
    }
}

#[test]
fn a_damaged_clump_is_an_error_although_it_exits_with_0() {
    for text in [
        "clump 0x3fab has mismatched score",
        "clump 0 has mismatched score",
        "clump 0x3fab failed to read: clump has bad magic number=0x0 != 0x1",
        "clump 0x3fab has bad type 77",
        "venti/wrarena: corrupt clump read at 0x3fab: +8230",
    ] {
        for end in ["echo later >&2", "echo '2026/1122 05:00:00 all well' >&2"] {
            let script = format!("echo end offset 0x3fab; echo '{text}' >&2; {end}");
            assert_error(&script, Status::Partly, 3, text);
        }
        let script = format!("echo '{text}'; echo end offset 0x3fab");
        assert_error(&script, Status::Partly, 3, "built-in engine");
    }
}

#[test]
fn megabytes_on_both_streams_are_drained() {
    let script = "
        yes 'starting to send data' | head -c 9000000 &
        yes 'clumps=600 compressed clumps=185' | head -c 9000000 >&2
        wait
        echo
        echo end offset 0x2000
        yes 'sent all data' | head -c 9000000 >&2";
    assert_eq!(outcome(script).unwrap(), 0x2000);
}

#[test]
fn a_line_or_stream_without_end_is_refused() {
    let long = "head -c 9000000 /dev/zero";
    for redirect in ["", ">&2"] {
        let script = format!("echo end offset 0x2000; {long} {redirect}");
        assert_error(
            &script,
            Status::Failed,
            1,
            "a line of more than 16384 bytes",
        );
        let script = format!("echo end offset 0x2000; exec yes {redirect}");
        let limits = ChildLimits {
            output: 4 << 20,
            ..PATIENT
        };
        let error = StandIn::new(&script).run(&limits).unwrap_err();
        assert!(
            error.to_string().contains("more than 4194304 bytes"),
            "{error}"
        );
    }
}

#[test]
fn other_bytes_than_text_do_no_harm() {
    let noise = r"printf '\377\376\200\0\033[2J\n\n\r'";
    assert_eq!(
        outcome(&format!(
            "{noise} >&2; {noise}; echo; echo end offset 0x2000"
        ))
        .unwrap(),
        0x2000
    );
    let script = format!("{noise}; printf '\\377 offset 0x2000\\n'");
    assert_error(&script, Status::Failed, 1, "\u{fffd} offset 0x2000");
    assert_error(
        &format!("{noise} >&2; exit 1"),
        Status::Failed,
        1,
        "status 1",
    );
}

/// Waits until a process is gone, or at least dead.
fn await_death(pid_file: &Path) {
    let pid = fs::read_to_string(pid_file).unwrap();
    let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
        assert!(Instant::now() < deadline, "{}: still there", pid.trim());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn silence_has_a_limit_and_what_the_program_has_started_ends_with_it() {
    let limits = ChildLimits {
        silence: Duration::from_millis(700),
        ..PATIENT
    };
    for script in [
        "echo end offset 0x2000; sleep 1000 & echo $! >$D/pid; wait",
        // Its streams are closed, it goes on.
        "echo $$ >$D/pid; echo end offset 0x2000; exec sleep 1000 >&- 2>&-",
        // It has ended, a process of its own holds the streams.
        "sleep 1000 & echo $! >$D/pid; echo end offset 0x2000",
        // It does not want to end.
        "trap '' TERM HUP INT; echo $$ >$D/pid; while :; do sleep 1000; done",
    ] {
        let stand_in = StandIn::new(script);
        let start = Instant::now();
        let error = stand_in.run(&limits).unwrap_err();
        assert!(
            matches!(error.fault(), ExternalFault::Silent(_)),
            "{script}: {error}"
        );
        assert!(error.to_string().contains("said nothing for 700ms"));
        assert!(start.elapsed() < Duration::from_secs(10), "{script}");
        await_death(&stand_in.path("pid"));
        assert_eq!(status_of(&error.into()), Status::Unreachable);
    }
}

#[test]
fn a_word_now_and_then_keeps_it_alive_but_not_for_ever() {
    let limits = ChildLimits {
        silence: Duration::from_secs(2),
        ..PATIENT
    };
    let slow = "for i in 1 2 3 4 5 6; do sleep 0.5; echo $i. >&2; done; echo end offset 0x2000";
    assert_eq!(StandIn::new(slow).run(&limits).unwrap(), 0x2000);
    let limits = ChildLimits {
        whole: Duration::from_secs(1),
        ..limits
    };
    let error = StandIn::new(slow).run(&limits).unwrap_err();
    assert!(
        matches!(error.fault(), ExternalFault::Endless(_)),
        "{error}"
    );
}

/// A call that was recorded with the real plan9port.
struct Recorded {
    title: String,
    stdout: String,
    stderr: String,
    exit: String,
}

/// The calls in a transcript.
fn recorded(transcript: &str) -> Vec<Recorded> {
    let sections = transcript.split("\n\n");
    let lines = |section: &str, prefix: &str| {
        let lines = section.lines().filter_map(|l| l.strip_prefix(prefix));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let calls = sections.filter(|section| section.contains("\nexit: "));
    calls
        .map(|section| Recorded {
            title: lines(section, "# ").trim().to_owned(),
            stdout: lines(section, "out: "),
            stderr: lines(section, "err: "),
            exit: lines(section, "exit: ").trim().to_owned(),
        })
        .collect()
}

impl Recorded {
    /// What comes of the same words and status.
    fn replay(&self) -> Result<u64, ExternalError> {
        let script = format!("cat $D/out; cat $D/err >&2; exit {}", self.exit);
        let stand_in = StandIn::new(&script);
        fs::write(stand_in.path("out"), &self.stdout).unwrap();
        fs::write(stand_in.path("err"), &self.stderr).unwrap();
        let stretch = ArenaRest { from: 0, ..STRETCH };
        stand_in.run_on(
            stand_in.path("arenas").to_str().unwrap(),
            &stretch,
            &PATIENT,
        )
    }
}

#[test]
fn the_recorded_calls_of_plan9port_are_judged_as_the_spec_tells() {
    let calls = recorded(&golden::text("transcripts/wrarena.txt"));
    let mut seen = Vec::new();
    for call in &calls {
        let replayed = call.replay();
        let ends: Vec<&str> = call
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("end offset "))
            .collect();
        let damage = ["clump 0x", "corrupt clump"]
            .into_iter()
            .find(|word| call.stderr.contains(word));
        let title = &call.title;
        let expected = match (call.exit.as_str(), damage, ends.as_slice()) {
            ("0", None, [end]) => {
                let end = u64::from_str_radix(end.trim_start_matches("0x"), 16).unwrap();
                assert_eq!(replayed.unwrap(), end, "{title}");
                "accepted"
            }
            (exit, damage, ends) => {
                let error = replayed.expect_err(title);
                let (kind, fault) = match (exit, damage, ends.len()) {
                    ("0", Some(_), _) => (Status::Partly, "damage"),
                    ("0", None, 0) => (Status::Failed, "no offset"),
                    ("0", None, _) => (Status::Failed, "several"),
                    _ if call.stderr.contains("could not connect") => {
                        (Status::Unreachable, "unreachable")
                    }
                    _ => (Status::Failed, "failed"),
                };
                assert_eq!(error.status(), kind, "{title}: {error}");
                fault
            }
        };
        seen.push(expected);
    }
    for kind in [
        "accepted",
        "damage",
        "no offset",
        "several",
        "unreachable",
        "failed",
    ] {
        let count = seen.iter().filter(|of| **of == kind).count();
        assert!(count >= 2, "{kind}: {count} of {}", seen.len());
    }
}
