//! Real servers start from the configurations that fossilconf and venticonf
//! wrote, and plan9port's own conf and ours read what the other wrote.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::fossil;
use venti_tests::patience::until;
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::port;

/// Room for text in the two regions.
const FOSSIL_ROOM: usize = 1010;
const VENTI_ROOM: usize = 8179;

/// `fossilconf` or `venticonf` of a partition.
fn ours(command: &str, options: &[&str], partition: &Path, text: &str) -> Output {
    let call = Command::new(command).args(options).arg(partition);
    let output = call.stdin(text.as_bytes()).run();
    assert_eq!(output.status, 0, "{output:?}");
    output
}

/// plan9port's `fossil/conf` or `venti/conf`. They are scripts whose first
/// line may name an rc that is not there.
fn theirs(plan9: &Plan9, conf: &str, arguments: &[&Path]) -> Output {
    let script = plan9.program(conf);
    let arguments: Vec<&Path> = [&[script.as_path()], arguments].concat();
    plan9.succeed("rc", &arguments)
}

/// A text of exactly `room` bytes: comments before the lines that matter.
fn filled(lines: &str, room: usize) -> String {
    let mut comments = "# a comment\n".repeat(room);
    comments.truncate(room - lines.len() - 1);
    let text = format!("{comments}\n{lines}");
    assert_eq!(text.len(), room);
    text
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A partition formatted by flfmt, and the fossils started on it.
struct Site {
    plan9: Plan9,
    directory: TempDir,
    partition: PathBuf,
}

impl Site {
    fn new() -> Self {
        let plan9 = Plan9::expect();
        let directory = tempfile::tempdir().unwrap();
        let partition = fossil::format(&plan9, directory.path(), 8 << 20, 8192);
        fs::create_dir(directory.path().join("ns")).unwrap();
        Site {
            plan9,
            directory,
            partition,
        }
    }

    /// Runs `fossil -f partition` until it goes into the background; says what
    /// its exit status was and where its standard error goes.
    fn start(&self) -> (bool, PathBuf) {
        let log = self.directory.path().join("log");
        let status = self
            .plan9
            .command("fossil/fossil")
            .arg("-f")
            .arg(&self.partition)
            .env("NAMESPACE", self.directory.path().join("ns"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .status()
            .unwrap();
        (status.success(), log)
    }

    /// The processes that have a file of this directory open or in their
    /// arguments: fossil itself and its 9pserve.
    fn processes(&self) -> Vec<Pid> {
        let processes = fs::read_dir("/proc").unwrap();
        let pids = processes.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid = name.to_str()?.parse().ok()?;
            Pid::from_raw(pid).filter(|_| self.is_ours(pid))
        });
        pids.collect()
    }

    fn is_ours(&self, pid: i32) -> bool {
        let directory = self.directory.path();
        let process = PathBuf::from(format!("/proc/{pid}"));
        let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
        let named = String::from_utf8_lossy(&arguments).contains(directory.to_str().unwrap());
        let files = fs::read_dir(process.join("fd")).into_iter().flatten();
        named
            || files.flatten().any(|file| {
                fs::read_link(file.path()).is_ok_and(|open| open.starts_with(directory))
            })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let own = rustix::process::getpid();
        for pid in self.processes().into_iter().filter(|&pid| pid != own) {
            // It may have ended already: no error.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_fossil_starts_from_what_fossilconf_wrote() {
    let site = Site::new();
    let (started, log) = site.start();
    let said = fs::read_to_string(log).unwrap();
    assert!(!started && said.contains("bad config magic"), "{said}");

    let port = port::free();
    let lines = format!(
        "fsys main config *\nfsys main open -AWPV -c 300\nsrv -A here\nlisten tcp!127.0.0.1!{port}\necho the last line"
    );
    // The longest text there can be, without a newline at its end.
    let text = filled(&lines, FOSSIL_ROOM);
    ours("fossilconf", &["-w"], &site.partition, &text);
    assert_eq!(ours("fossilconf", &[], &site.partition, "").stdout, text);
    let (started, log) = site.start();
    assert!(started);
    let said = || fs::read_to_string(&log).unwrap();
    until("the last line was executed", || {
        said().contains("the last line")
    });
    until("fossil listens", || answers(port));
    assert!(site.directory.path().join("ns/here").exists());

    // While it runs, the configuration of its next start is written.
    let text = text.replace("srv -A here", "srv -A away");
    ours("fossilconf", &["-w"], &site.partition, &text);
    assert_eq!(ours("fossilconf", &[], &site.partition, "").stdout, text);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_venti_starts_from_what_venticonf_wrote() {
    let plan9 = Plan9::expect();
    let directory = tempfile::tempdir().unwrap();
    let mut venti = Venti::fresh(&plan9, directory.path(), "v", 16 << 20, 8 << 20);
    let partition = venti.partition().to_owned();
    let file = partition.with_extension("conf");
    let lines = fs::read_to_string(&file).unwrap();
    venti.stop();
    fs::remove_file(&file).unwrap();
    let arguments = ["-s".as_ref(), "-c".as_ref(), partition.as_path()];
    let refused = plan9.run("venti/venti", &arguments);
    assert_ne!(refused.status, 0);
    assert!(
        refused.stderr.contains("bad venti config magic"),
        "{refused:?}"
    );

    // The longest text there can be; without a newline at its end the server
    // would not see its last line, which says where the web server is.
    let text = filled(&lines, VENTI_ROOM);
    let lacking = text.trim_end_matches('\n');
    assert!(lacking.lines().last().unwrap().starts_with("httpaddr"));
    let output = ours("venticonf", &["-w"], &partition, lacking);
    assert!(output.stderr.contains("added a newline"), "{output:?}");
    assert_eq!(ours("venticonf", &[], &partition, "").stdout, text);

    venti.configure_from(&partition);
    venti.start();
    let block = directory.path().join("block");
    fs::write(&block, "a block that is kept").unwrap();
    let address = venti.address();
    let written = plan9
        .command("venti/write")
        .args(["-h", &address])
        .stdin(File::open(&block).unwrap())
        .output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    let score = String::from_utf8(written.stdout).unwrap();
    let read = plan9.succeed("venti/read", &["-h", &address, score.trim()]);
    assert_eq!(read.stdout, "a block that is kept");
    assert_eq!(venti.clumps(), 1);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_original_reads_what_we_wrote_and_we_what_it_wrote() {
    let site = Site::new();
    let venti = Venti::fresh(&site.plan9, site.directory.path(), "v", 16 << 20, 8 << 20);
    let file = site.directory.path().join("conf");
    let cases = [
        (
            "fossilconf",
            "fossil/conf",
            site.partition.as_path(),
            FOSSIL_ROOM,
        ),
        ("venticonf", "venti/conf", venti.partition(), VENTI_ROOM),
    ];
    for (our, their, partition, room) in cases {
        let texts = [
            filled("# last\n", room),
            "# *\n\n# b\tc\n".into(),
            "# d\n".into(),
        ];
        for text in &texts {
            ours(our, &["-w"], partition, text);
            let read = theirs(&site.plan9, their, &[partition]);
            assert_eq!(&read.stdout, text, "{our} wrote");
        }
        for text in &texts {
            fs::write(&file, text).unwrap();
            theirs(&site.plan9, their, &["-w".as_ref(), partition, &file]);
            let read = ours(our, &[], partition, "");
            assert_eq!(&read.stdout, text, "{their} wrote");
        }
    }
    // The original leaves the end of a longer text; ours does not.
    let region = || fs::read(venti.partition()).unwrap()[253_952..262_144].to_vec();
    assert_ne!(region()[8191], 0);
    ours("venticonf", &["-w"], venti.partition(), "# e\n");
    assert!(region()[17..].iter().all(|&byte| byte == 0));
}
