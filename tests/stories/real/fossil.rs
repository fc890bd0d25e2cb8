//! A real fossil on a real venti, and what fossilast and fossilize make of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fossilcore::last::Last;
use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::fossil::{self, Fossil};
use venti_tests::plan9::{Plan9, Venti};
use venticore::codec::operand::Operand;
use venticore::host::partition::Partition;

/// A formatted fossil and the venti it archives to.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    venti: Venti,
    partition: PathBuf,
}

impl Site {
    fn new(block_size: u32) -> Self {
        let (plan9, directory, venti) = Plan9::with_venti(24 << 20, 8 << 20);
        Site {
            partition: fossil::format(&plan9, directory.path(), 8 << 20, block_size),
            directory,
            plan9,
            venti,
        }
    }

    fn start(&self) -> Fossil {
        Fossil::start(&self.plan9, &self.partition, &self.venti.address())
    }

    fn fossilize(&self, options: &[&str]) -> Command {
        let state = self.directory.path().join("state");
        let command = Command::new("fossilize").arg("-d").arg(state);
        let command = command.env("venti", self.venti.address());
        command.args(options).arg(&self.partition)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("state/rootscor")).unwrap_or_default()
    }

    fn line(&self, score: &str) -> String {
        format!(
            "{score} {} {}\n",
            self.partition.display(),
            self.venti.address()
        )
    }

    /// What the C tool prints, once the disk has it.
    fn c_last(&self) -> Output {
        self.plan9.run("fossil/last", &[&self.partition])
    }

    /// The names in an archive, as unvac lists them.
    fn names(&self, score: &str) -> String {
        let address = self.venti.address();
        let arguments = ["-t", "-h", address.as_str(), score];
        let listed = self.plan9.run("unvac", &arguments);
        assert_eq!(listed.status, 0, "{listed:?}");
        listed.stdout
    }
}

/// It was refused, for want of a snapshot.
#[track_caller]
fn assert_none(output: &Output) {
    output.assert_refused(1, "no archival snapshot");
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_score_on_record_is_the_one_that_the_console_printed() {
    let site = Site::new(8192);
    assert_none(&site.fossilize(&[]).run());
    let mut fossil = site.start();
    assert_none(&site.fossilize(&[]).run());
    fossil.ask("fsys main create /active/one adm sys d775");

    fossil.ask("fsys main snap -a");
    let output = site.fossilize(&[]).run();
    assert_none(&output);
    assert!(output.stderr.contains("archived"), "{output:?}");
    assert_eq!(site.log(), "");
    let waiting = site.fossilize(&["-q", "-t", "100"]).start();
    let first = fossil.archived();
    let output = waiting.wait();
    let line = site.line(&first);
    assert_eq!(
        (
            output.status,
            output.stdout.as_str(),
            output.stderr.as_str()
        ),
        (0, line.as_str(), "")
    );
    assert!(site.log().ends_with(&line));
    assert_eq!(site.c_last().stdout, format!("{first}\n"));

    fossil.ask("fsys main create /active/two adm sys d775");
    fossil.ask("fsys main snap -a");
    let output = site.fossilize(&[]).run();
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (3, line.as_str()),
        "{output:?}"
    );
    let second = fossil.archived();
    assert_ne!(second, first);
    fossil.ask("fsys main sync");
    let output = site.fossilize(&[]).run();
    assert_eq!(
        (output.status, output.stdout),
        (0, site.line(&second)),
        "{}",
        output.stderr
    );
    let output = Command::new("fossilast").arg(&site.partition).run();
    assert_eq!(output.stdout, site.c_last().stdout);
    drop(fossil);

    let (names, before) = (site.names(&second), site.names(&first));
    assert!(names.contains("active/two"), "{names}");
    assert!(
        before.contains("active/one") && !before.contains("active/two"),
        "{before}"
    );
}

/// Reads what a partition says, over and over, until told to stop; says how
/// often, and how many different scores there were.
fn watch(partition: &Path, stop: &AtomicBool) -> (u32, usize) {
    let operand = Operand::try_from(partition.as_os_str()).unwrap();
    let partition = Partition::open(&operand).unwrap();
    let (mut reads, mut scores) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let last = Last::read(&partition).unwrap_or_else(|e| panic!("read {reads}: {e}"));
        if let Ok(score) = last.score()
            && !scores.contains(&score)
        {
            scores.push(score);
        }
        reads += 1;
        thread::sleep(Duration::from_micros(200));
    }
    (reads, scores.len())
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_fossil_at_work_is_never_taken_for_a_damaged_one() {
    let site = Site::new(4096);
    let mut fossil = site.start();
    let stop = AtomicBool::new(false);
    let (reads, scores) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&site.partition, &stop));
        for round in 0..2 {
            for name in 0..30 {
                fossil.ask(&format!(
                    "fsys main create /active/d{round}.{name} adm sys d775"
                ));
                fossil.ask("fsys main snap");
            }
            fossil.ask("fsys main snap -a");
            fossil.archived();
            fossil.ask("fsys main snapclean 0");
            fossil.ask("fsys main sync");
        }
        stop.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(reads > 1000, "only {reads} reads");
    assert_eq!(scores, 2, "no score but those of the two archives");
}
