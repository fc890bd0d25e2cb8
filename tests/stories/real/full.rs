//! A real venti as the target whose disk is full, and whose caches are larger than
//! what it could not keep.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::sample::Sample;

/// Where the target's disk is full.
const FULL: u64 = 4 << 20;

/// More than there is room for, and less than its caches hold.
const STORED: usize = 6 << 20;

/// The source A and the target B.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    sample: Sample,
    a: Venti,
    b: Venti,
}

impl Site {
    /// B has arenas of so many bytes.
    fn new(bytes: u64, arena: u64) -> Self {
        let plan9 = Plan9::expect();
        let directory = tempfile::tempdir().unwrap();
        let fresh = |name, bytes, arena| Venti::fresh(&plan9, directory.path(), name, bytes, arena);
        let mut site = Site {
            a: fresh("a", 24 << 20, 4 << 20),
            b: fresh("b", bytes, arena),
            sample: Sample::new(43, 0),
            directory,
            plan9,
        };
        site.store(300_000);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Stores a file of so many bytes in A.
    fn store(&mut self, bytes: usize) {
        let file = self.path("noise");
        fs::write(&file, self.sample.noise(bytes)).unwrap();
        let archive = file.with_extension("vac").display().to_string();
        let (venti, file) = (self.a.address(), file.display().to_string());
        self.plan9
            .succeed("vac", &["-h", &venti, "-f", &archive, &file]);
    }

    /// Starts B again.
    fn restart(&mut self, full: Option<u64>) {
        self.b.sync();
        self.b.stop();
        self.b.fill_disk_at(full);
        self.b.start();
    }

    /// A run, which may know of B's page.
    fn run(&self, paged: bool, args: &[&str]) -> Output {
        let (source, target) = (self.a.address(), self.b.address());
        let table = match paged {
            true => format!("[target_index]\n'{target}' = '{}'\n", self.b.index()),
            false => String::new(),
        };
        let part = self.a.partition().display().to_string();
        let command = Command::new("ventiprog").config(&table).args(args);
        let command = command.arg("-d").arg(self.path("state"));
        command.args(["-s", &source, "-p", &part, &target]).run()
    }
}

fn assert_whole(output: &Output) {
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
}

fn assert_lost(output: &Output, said: &str) {
    assert_eq!((output.status, &*output.stdout), (4, ""), "{output:?}");
    assert!(output.stderr.contains(said), "{output:?}");
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn what_a_full_disk_did_not_keep_is_seen_where_the_page_of_the_target_is_known() {
    let mut site = Site::new(24 << 20, 4 << 20);
    site.restart(Some(FULL));
    assert_whole(&site.run(true, &[]));
    site.store(STORED);
    let said = "its disk may be full; make room there, restart it, then run ventiprog --verify";
    assert_lost(&site.run(true, &[]), said);
    assert_lost(&site.run(true, &[]), "damaged there");

    // There is room, it was restarted, and is sent what it lacks.
    site.restart(None);
    assert_lost(&site.run(true, &["--verify"]), "was acknowledged before");
    assert_whole(&site.run(true, &["--verify"]));
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn without_a_page_it_is_seen_after_a_restart() {
    let mut site = Site::new(24 << 20, 4 << 20);
    site.restart(Some(FULL));
    assert_whole(&site.run(false, &[]));
    site.store(STORED);
    // What comes from its memory is right, and it says that it has all.
    for args in [&[][..], &[], &["--verify"], &[]] {
        assert_whole(&site.run(false, args));
    }
    assert_eq!(site.b.clumps(), site.a.clumps());
    assert_lost(&site.run(true, &["--verify"]), "damaged there");

    site.restart(None);
    assert_lost(&site.run(false, &[]), "was acknowledged before");
    assert_whole(&site.run(false, &["--verify"]));
    assert_whole(&site.run(true, &["--verify"]));
}

/// It writes later, and acknowledges at once.
#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn what_did_not_fit_into_the_arenas_is_counted_by_the_page() {
    let mut site = Site::new(4 << 20, 1 << 20);
    let conf = site.b.configuration().to_owned();
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text + "queuewrites\n").unwrap();
    site.restart(None);
    assert_whole(&site.run(true, &[]));
    site.store(STORED);
    assert_lost(&site.run(true, &[]), "and its index page counts ");
}
