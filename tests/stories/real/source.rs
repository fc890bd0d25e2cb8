//! A real venti as the source: what it keeps in memory, the partition in which it
//! goes on, and itself as a target.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::sample::Sample;

/// The source A with a small partition, and the target B.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    sample: Sample,
    a: Venti,
    b: Venti,
}

impl Site {
    fn new() -> Self {
        let plan9 = Plan9::expect();
        let directory = tempfile::tempdir().unwrap();
        let fresh = |name, bytes| Venti::fresh(&plan9, directory.path(), name, bytes, 1 << 20);
        Site {
            a: fresh("a", 4 << 20),
            b: fresh("b", 24 << 20),
            sample: Sample::new(41, 0),
            directory,
            plan9,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn part(&self) -> String {
        self.a.partition().display().to_string()
    }

    /// Stores blocks in A, as many as it takes. Returns the last one and its score.
    fn store(&mut self, blocks: usize) -> (Vec<u8>, String) {
        let mut last = (Vec::new(), String::new());
        for _ in 0..blocks {
            let block = self.sample.noise(50_000);
            let mut write = self.plan9.command("venti/write");
            write.args(["-h", &self.a.address()]);
            let score = String::from_utf8(fed(&mut write, &block)).unwrap();
            last = (block, score.trim().to_owned());
        }
        last
    }

    /// Stores blocks in A until it has no room for more.
    fn fill(&mut self) {
        let file = self.path("noise");
        fs::write(&file, self.sample.noise(6 << 20)).unwrap();
        let archive = file.with_extension("vac");
        let (file, archive) = (file.display().to_string(), archive.display().to_string());
        let output = self
            .plan9
            .run("vac", &["-h", &self.a.address(), "-f", &archive, &file]);
        let said = "no space left in arenas";
        assert!(
            output.stderr.contains(said),
            "it has room for all: {output:?}"
        );
    }

    /// Gives A a second partition; says where it is.
    fn add_partition(&mut self) -> String {
        let second = self.path("second.arenas");
        fs::write(&second, "").unwrap();
        fs::File::options()
            .write(true)
            .open(&second)
            .and_then(|file| file.set_len(8 << 20))
            .unwrap();
        let second = second.display().to_string();
        self.plan9
            .succeed("venti/fmtarenas", &["-a", "1048576", "second", &second]);
        let old = self.a.partition().with_extension("conf");
        let new = self.path("both.conf");
        let line = format!("arenas {}\n", self.part());
        let text = fs::read_to_string(old).unwrap();
        let text = text.replace(&line, &format!("{line}arenas {second}\n"));
        fs::write(&new, text).unwrap();
        self.a.stop();
        let new_text = new.display().to_string();
        self.plan9.succeed("venti/fmtindex", &["-a", &new_text]);
        self.a.configure_from(&new);
        self.a.start();
        second
    }

    fn ventiprog(&self, state: &str, args: &[&str]) -> Output {
        let command = Command::new("ventiprog").arg("-d").arg(self.path(state));
        command.args(args).run()
    }

    /// Whether B gives this block back.
    fn has(&self, (block, score): &(Vec<u8>, String)) -> bool {
        let mut read = self.plan9.command("venti/read");
        let output = read.args(["-h", &self.b.address(), score]).output();
        output.unwrap().stdout == *block
    }
}

fn assert_said(output: &Output, status: i32, said: &str) {
    assert_eq!(output.status, status, "{output:?}");
    assert!(output.stderr.contains(said), "{output:?}");
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_partition_in_which_a_venti_goes_on_is_asked_for_and_found() {
    let mut site = Site::new();
    let (source, target, part) = (site.a.address(), site.b.address(), site.part());
    site.fill();
    let said = "every arena is used up";
    let output = site.ventiprog("s", &["-s", &source, "-p", &part, &target]);
    assert_said(&output, 3, said);
    // The page of a full venti shows no way on.
    let index = site.a.index();
    let output = site.ventiprog("full", &["-s", &source, "-i", &index, &target]);
    assert_said(&output, 3, "and the index page lists no other");
    let second = site.add_partition();
    let stored = site.store(5);
    let output = site.ventiprog("s", &["-s", &source, &target]);
    assert_said(&output, 3, said);
    assert!(!site.has(&stored));

    // Named once, it is on record.
    let output = site.ventiprog("s", &["-s", &source, "-p", &second, &target]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(site.has(&stored));
    let stored = site.store(5);
    let output = site.ventiprog("s", &["-s", &source, &target]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(site.has(&stored));

    // The page finds it by itself, also from a wrcmd in the first partition.
    let stored = site.store(5);
    site.a.sync();
    let index = site.a.index();
    let output = site.ventiprog("t", &["-s", &source, "-i", &index, &target]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(site.has(&stored));
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn what_is_in_memory_is_missed_without_the_source() {
    let mut site = Site::new();
    let (source, target, part) = (site.a.address(), site.b.address(), site.part());
    let stored = site.store(1);
    let output = site.ventiprog("s", &["-p", &part, &target]);
    assert_said(
        &output,
        3,
        "has it open for writing, and no source venti is known",
    );
    // That no server writes the partition is not so.
    let output = site.ventiprog("s", &["--offline", "-p", &part, &target]);
    assert_said(&output, 3, "but --offline says that no server does");
    let output = site.ventiprog("s", &["-s", &source, "-p", &part, &target]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(site.has(&stored));
    // Another venti is not the source, whatever was asked to sync.
    let output = site.ventiprog("s", &["-s", &target, "-p", &part, &source]);
    assert_said(&output, 2, "is the source itself");
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_venti_is_no_backup_of_itself() {
    let mut site = Site::new();
    let part = site.part();
    let _ = site.store(3);
    let port = site.a.port();
    let names = ["127.0.0.1", "localhost", "127.1"].map(|name| format!("{name}:{port}"));
    for name in &names {
        // Nobody says which venti is the source, but it has the partition open.
        let output = site.ventiprog("s", &["-p", &part, name]);
        assert_said(&output, 2, "is the source itself");
        for source in &names {
            let output = site.ventiprog("s", &["-s", source, "-p", &part, name]);
            assert_said(&output, 2, "is the source itself");
        }
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_page_of_a_target_does_not_make_its_copy_a_source() {
    let mut site = Site::new();
    let (source, target, part) = (site.a.address(), site.b.address(), site.part());
    let other = Venti::fresh(&site.plan9, site.directory.path(), "c", 24 << 20, 1 << 20);
    let other = other.address();
    let _ = site.store(5);
    let output = site.ventiprog("s", &["-s", &source, "-p", &part, &target]);
    assert_eq!(output.status, 0, "{output:?}");
    site.b.sync();
    let files = ["wrcmd", "wrcmds", "rootscor"];
    let state = |site: &Site| files.map(|name| fs::read(site.path("s").join(name)).ok());
    let before = state(&site);
    let page = site.b.index();
    for targets in [&[&*target][..], &[&other], &[]] {
        let args = [&["-s", &source, "-i", &page], targets].concat();
        let output = site.ventiprog("s", &args);
        assert_said(
            &output,
            2,
            "which is on record: that is the page of another venti",
        );
        assert_eq!(state(&site), before);
    }
    // Where nothing is on record, the process tells: A has all that B has.
    let output = site.ventiprog("t", &["-s", &source, "-i", &page, &other]);
    assert_said(&output, 3, "is not the server at the source's address");
    let output = site.ventiprog("s", &["-s", &target, "-p", &part, &other]);
    assert_said(&output, 2, "is the source itself");
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_server_that_has_moved_to_another_disk_is_said() {
    let mut site = Site::new();
    let (source, target, part) = (site.a.address(), site.b.address(), site.part());
    let _ = site.store(5);
    let args = ["-q", "-s", &source, "-p", &part, &target];
    let output = site.ventiprog("s", &args);
    assert_eq!((output.status, &*output.stderr), (0, ""), "{output:?}");
    // The old disk stays where it was; the server has every block of it.
    let old = site.path("old");
    fs::copy(&part, &old).unwrap();
    let _ = site.store(5);
    let old = old.to_str().unwrap();
    let args = ["-q", "-s", &source, "-p", old, &target];
    let output = site.ventiprog("t", &args);
    assert_said(&output, 3, "does not have it open");
    assert!(!site.path("t").join("wrcmd").exists());
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_page_of_another_venti_is_not_that_of_a_target() {
    let mut site = Site::new();
    let (source, target, part) = (site.a.address(), site.b.address(), site.part());
    let _ = site.store(5);
    for (page, status) in [(site.b.index(), 0), (site.a.index(), 3)] {
        let table = format!("[target_index]\n{target:?} = {page:?}\n");
        let command = Command::new("ventiprog").config(&table);
        let command = command.arg("-d").arg(site.path("s"));
        let output = command.args(["-s", &source, "-p", &part, &target]).run();
        assert_eq!(output.status, status, "{output:?}");
        let said = output.stderr.contains("is the page of another server");
        assert_eq!(said, status == 3, "{output:?}");
    }
}
