//! What every command of the suite keeps to, by being a command: see
//! `CONTRACT` for how each one is called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;
use venti_tests::command::{self, Command, Output};
use venti_tests::golden;
use venti_tests::http::{Answer, Http};
use venti_tests::random::Random;
use venticore::codec::score::Score;

/// How one command is called.
struct Contract {
    /// Arguments of a call that only reads; `INPUT` stands for a
    /// partition, `STATE` for a state directory whose wrcmd names it, `URL`
    /// for where an HTTP server has that file.
    read_only: &'static [&'static str],
    /// Golden files that are its input.
    inputs: &'static [&'static str],
    /// The configuration of a call without operands.
    config: &'static str,
    /// Whether `-h` is short for `--help`; it is `-h host` for some.
    short_help: bool,
    /// Whether it needs an operand, so that a call without one is a usage
    /// error.
    needs_operand: bool,
    /// Whether it refuses an input that it can make nothing of, and does not go on with
    /// what is known without it.
    refuses: bool,
}

const ARENAS: &[&str] = &["g5.part", "g4.part", "g5-badclump.part"];
const FOSSILS: &[&str] = &[
    "fossil/archived-8k.fossil",
    "fossil/archiving-8k.fossil",
    "fossil/destroyed-8k.fossil",
];

/// A root; no venti is asked for it.
const SCORE: &str = "vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00";

const CONTRACT: &[(&str, Contract)] = &[
    (
        "cpsys",
        Contract {
            read_only: &["-n", "-r", "false", "INPUT", "INPUT"],
            inputs: FOSSILS,
            config: "",
            short_help: true,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "flfmt",
        Contract {
            read_only: &["-n", "-h", "127.0.0.1:1", "-v", SCORE, "INPUT"],
            inputs: FOSSILS,
            config: "",
            short_help: false,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "foscons",
        Contract {
            read_only: &["-c", "INPUT", "printconfig"],
            inputs: FOSSILS,
            config: "",
            short_help: true,
            needs_operand: false,
            refuses: true,
        },
    ),
    (
        "foshalt",
        Contract {
            read_only: &["-n", "INPUT"],
            inputs: FOSSILS,
            config: "",
            short_help: true,
            needs_operand: false,
            refuses: true,
        },
    ),
    (
        "fosreset",
        Contract {
            read_only: &["-n", "-d", "STATE", SCORE, "INPUT", "127.0.0.1:1"],
            inputs: FOSSILS,
            config: "",
            short_help: true,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "fossilast",
        Contract {
            read_only: &["INPUT"],
            inputs: FOSSILS,
            config: "",
            short_help: true,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "fossilconf",
        Contract {
            read_only: &["INPUT"],
            inputs: &["fossil/conf-8k.fossil"],
            config: "",
            short_help: true,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "fossilize",
        Contract {
            read_only: &["-n", "-d", "STATE", "INPUT"],
            inputs: FOSSILS,
            config: "",
            short_help: true,
            needs_operand: false,
            refuses: true,
        },
    ),
    (
        "fossilstart",
        Contract {
            read_only: &["-d", "STATE", "INPUT"],
            inputs: FOSSILS,
            config: "",
            short_help: true,
            needs_operand: false,
            refuses: true,
        },
    ),
    (
        "rootcheck",
        Contract {
            read_only: &["-n", "-d", "INPUT", "-h", "127.0.0.1:1"],
            inputs: ARENAS,
            config: "",
            short_help: false,
            needs_operand: false,
            refuses: true,
        },
    ),
    (
        "rootget",
        Contract {
            read_only: &["-n", "-h", "127.0.0.1:1", "INPUT"],
            inputs: FOSSILS,
            config: "",
            short_help: false,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "venticonf",
        Contract {
            read_only: &["INPUT"],
            inputs: ARENAS,
            config: "",
            short_help: true,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "ventilag",
        Contract {
            read_only: &["-d", "STATE"],
            inputs: ARENAS,
            config: "",
            short_help: true,
            needs_operand: false,
            refuses: false,
        },
    ),
    (
        "ventioffsets",
        Contract {
            read_only: &["-v", "URL"],
            inputs: ARENAS,
            config: "index = 'http://127.0.0.1:1/index'",
            short_help: true,
            needs_operand: false,
            refuses: true,
        },
    ),
    (
        "ventiprog",
        Contract {
            read_only: &["-n", "-d", "STATE"],
            inputs: ARENAS,
            config: "",
            short_help: true,
            needs_operand: false,
            refuses: true,
        },
    ),
    (
        "ventiroots",
        Contract {
            read_only: &["INPUT"],
            inputs: ARENAS,
            config: "",
            short_help: false,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "ventiserve",
        Contract {
            // No machine has this address, so it ends when it has opened the input.
            read_only: &["-r", "-a", "192.0.2.1", "INPUT"],
            inputs: ARENAS,
            config: "",
            short_help: true,
            needs_operand: true,
            refuses: true,
        },
    ),
    (
        "wrarena",
        Contract {
            read_only: &["-h", "/dev/null", "INPUT"],
            inputs: ARENAS,
            config: "",
            short_help: false,
            needs_operand: true,
            refuses: true,
        },
    ),
];

/// Where the first arena of `g5.part` begins.
const FIRST_ARENA: usize = 794_624;

impl Contract {
    /// A call that only reads, with this partition as its input.
    fn call(&self, name: &str, input: &Path, state: &Path) -> Command {
        let url = url(input);
        let arguments = self.read_only.iter().map(|&argument| match argument {
            "INPUT" => input.as_os_str(),
            "STATE" => state.as_os_str(),
            "URL" => url.as_ref(),
            other => other.as_ref(),
        });
        Command::new(name).args(arguments)
    }
}

/// The commands that refuse an input that they can make nothing of.
fn refusing() -> impl Iterator<Item = &'static (&'static str, Contract)> {
    CONTRACT.iter().filter(|(_, contract)| contract.refuses)
}

/// Where an HTTP server has every file of this machine that can be read.
fn url(file: &Path) -> String {
    static SERVER: OnceLock<Http> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        Http::serve(|path| match fs::read(path) {
            Ok(content) => Answer::page(content),
            Err(error) => Answer::with("404 Not Found", "", error.to_string()),
        })
    });
    let root = server.url();
    format!("{}{}", root.trim_end_matches("/index"), file.display())
}

/// A state directory whose wrcmd sends `input` to a port where nothing listens.
fn state(input: &Path) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let wrcmd = format!(
        "wrarena -h tcp!127.0.0.1!1 -o {FIRST_ARENA} {} 0x0\n",
        input.display()
    );
    fs::write(directory.path().join("wrcmd"), wrcmd).unwrap();
    directory
}

/// Calls a command with an input file that it can make nothing of.
fn refuse(name: &str, contract: &Contract, input: &Path) {
    let state = state(input);
    let output = contract.call(name, input, state.path()).run();
    let what = format!("{name} of {}: {output:?}", input.display());
    assert_ne!(output.status, 0, "{what}");
    assert!(output.status < 128, "{what}");
    assert_one_line(name, &output);
    assert_eq!(output.stdout, "", "{what}");
}

/// Standard error is one line that begins with the command's name.
#[track_caller]
fn assert_one_line(name: &str, output: &Output) {
    assert!(
        output.stderr.starts_with(&format!("{name}: ")),
        "{output:?}"
    );
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(output.stderr.ends_with('\n'), "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

/// A file of this content, and the directory that holds it.
fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    (directory, path)
}

#[test]
fn every_command_has_a_row_and_every_row_a_command() {
    let rows: Vec<&str> = CONTRACT.iter().map(|(name, _)| *name).collect();
    assert_eq!(rows, command::names());
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (name, contract) in CONTRACT {
        let short_help = contract.short_help.then_some("-h");
        for option in ["--help", "--version", "-V"].into_iter().chain(short_help) {
            let output = Command::new(name).arg(option).run();
            assert_eq!(output.status, 0, "{name} {option}: {output:?}");
            assert_eq!(output.stderr, "", "{name} {option}");
            assert!(output.stdout.contains(name), "{name} {option}: {output:?}");
        }
    }
}

#[test]
fn the_version_is_the_workspaces() {
    for (name, _) in CONTRACT {
        let output = Command::new(name).arg("--version").run();
        let expected = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(output.stdout, expected);
    }
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    for (name, _) in CONTRACT {
        for option in ["--no-such-option", "-Q", "--no-such-option=1"] {
            let output = Command::new(name).arg(option).run();
            assert_eq!(output.status, 2, "{name} {option}: {output:?}");
            assert_eq!(output.stdout, "", "{name} {option}");
            assert_one_line(name, &output);
        }
    }
}

#[test]
fn a_call_without_operands_says_what_is_missing() {
    for (name, contract) in CONTRACT {
        let output = Command::new(name).config(contract.config).run();
        assert_ne!(output.status, 0, "{name}: {output:?}");
        if contract.needs_operand {
            assert_eq!(output.status, 2, "{name}: {output:?}");
        }
        assert_eq!(output.stdout, "", "{name}");
        assert_one_line(name, &output);
    }
}

/// Taken for an operand, it would be a target, a partition or nothing at all.
/// foscons passes commands on that have options of their own.
#[test]
fn an_option_after_an_operand_is_a_usage_error_that_says_where_options_go() {
    for (name, contract) in CONTRACT.iter().filter(|(name, _)| *name != "foscons") {
        let run = |words: &[&str]| {
            let command = Command::new(name).config(contract.config);
            command.args(words).run()
        };
        for option in ["-n", "--dry-run", "-d/nowhere"] {
            let output = run(&["operand", option]);
            let says = "after an operand: options go before operands";
            output.assert_refused(2, says);
            assert_one_line(name, &output);
        }
        // An operand may begin with a hyphen behind --.
        let output = run(&["--", "operand", "-n"]);
        assert!(!output.stderr.contains("options go before"), "{output:?}");
    }
}

#[test]
fn a_state_directory_without_a_name_is_a_usage_error() {
    for (name, _) in CONTRACT {
        let help = Command::new(name).arg("--help").run();
        if !help.stdout.contains("-d, --dir") {
            continue;
        }
        let input = golden::bytes("g5.part");
        let (directory, path) = file("partition", &input);
        let command = Command::new(name).args(["-d", ""]).arg(&path);
        let output = command.current_dir(directory.path()).run();
        output.assert_refused(2, "expected a state directory, found an empty name");
        assert_one_line(name, &output);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{name}");
    }
    let output = Command::new("ventilag").config("dir = ''\n").run();
    output.assert_refused(2, "found an empty name");
}

#[test]
fn a_missing_input_is_refused_and_named() {
    for (name, contract) in refusing() {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("no-such-partition");
        refuse(name, contract, &input);
        let state = state(&input);
        let output = contract.call(name, &input, state.path()).run();
        assert!(output.stderr.contains("no-such-partition"), "{output:?}");
    }
}

#[test]
fn an_unreadable_input_is_refused() {
    for (name, contract) in refusing() {
        let directory = tempfile::tempdir().unwrap();
        refuse(name, contract, directory.path());
        // Permissions do not hold root back.
        if !rustix::process::geteuid().is_root() {
            let (_directory, path) = file("locked", &golden::bytes("g5.part"));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
            refuse(name, contract, &path);
        }
    }
}

#[test]
fn a_corrupt_input_is_refused() {
    let mut no_magic = golden::bytes("g5.part");
    no_magic[256 * 1024] ^= 1;
    no_magic[FIRST_ARENA] ^= 1;
    let inputs: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("one-byte", vec![1]),
        ("noise", Random::new(1).bytes(2 << 20)),
        ("zeros", vec![0; 2 << 20]),
        ("no-magic", no_magic),
    ];
    for (name, contract) in refusing() {
        for (what, content) in &inputs {
            let (_directory, path) = file(what, content);
            refuse(name, contract, &path);
        }
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    for (name, contract) in CONTRACT {
        for option in ["--help", "--version"] {
            let output = Command::new(name).arg(option).run_into_closed_pipe();
            assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{name}");
        }
        let directory = tempfile::tempdir().unwrap();
        let input = golden::unpack(contract.inputs[0], directory.path());
        let state = state(&input);
        let call = contract.call(name, &input, state.path());
        let output = call.run_into_closed_pipe();
        assert!(!output.stderr.contains("panicked"), "{name}: {output:?}");
        assert!(!output.stderr.contains("pipe"), "{name}: {output:?}");
    }
}

#[test]
fn a_command_that_only_reads_leaves_its_input_untouched() {
    for (name, contract) in CONTRACT {
        for golden in contract.inputs {
            let directory = tempfile::tempdir().unwrap();
            let input = golden::unpack(golden, directory.path());
            let state = state(&input);
            let before = [snapshot(directory.path()), snapshot(state.path())];
            let _ = contract.call(name, &input, state.path()).run();
            let after = [snapshot(directory.path()), snapshot(state.path())];
            assert_eq!(before, after, "{name} of {golden}");
        }
    }
}

/// Every file of a directory but the lock: name, content and time of change.
fn snapshot(directory: &Path) -> Vec<(PathBuf, Score, std::time::SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("lock"))
        .map(|path| {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            let score = Score::of(&fs::read(&path).unwrap());
            (path, score, modified)
        })
        .collect();
    files.sort();
    files
}
