//! Object stores as they are, filled from plan9port's venti: rclone, which overwrites and
//! ignores checksums, and Ceph.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use tempfile::TempDir;
use venti_tests::bucket::SECRET;
use venti_tests::command::{Command, Output, skipped};
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::port;
use venti_tests::realstore::RealStore;
use venti_tests::sample::Sample;
use venti_tests::served::Served;
use venti_tests::tree::nodes;

use super::bothways::scores;

/// Bytes of an arena.
const ARENA: u64 = 4 << 20;

/// So slow that a run can be seen in its middle.
const SLOW: [&str; 2] = ["-b", "4m"];

/// A real venti of nine arenas, a tree that is archived there, and a state directory.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    venti: Venti,
    sample: Sample,
    tree: PathBuf,
}

impl Site {
    fn new() -> Self {
        let (plan9, directory, venti) = Plan9::with_venti(38 << 20, ARENA);
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::create_dir(directory.path().join("s")).unwrap();
        Site {
            venti,
            plan9,
            tree,
            directory,
            sample: Sample::new(71, 0),
        }
    }

    /// Adds a file to the tree and archives that.
    fn archive(&mut self, name: &str, megabytes: usize) {
        let noise = self.sample.noise(megabytes << 20);
        fs::write(self.tree.join(name), noise).unwrap();
        self.plan9.vac(self.directory.path(), &self.venti);
        scores(&self.venti);
    }

    fn ventiprog(&self, target: &str, more: &[&str]) -> Command {
        let part = self.venti.partition().display().to_string();
        let command = Command::new("ventiprog").arg("-d");
        let command = command.arg(self.directory.path().join("s")).args(more);
        let command = command.args(["-s", &self.venti.address(), "-p", &part, target]);
        RealStore::with_key(command, "")
    }

    fn runs(&self, target: &str, more: &[&str]) -> Output {
        let output = self.ventiprog(target, more).run();
        assert_eq!(output.status, 0, "{output:?}");
        assert!(!output.stderr.contains("X-Amz") && !output.stderr.contains(SECRET));
        output
    }

    /// What plan9port's venti or ours gives of the tree is the tree.
    fn assert_has_the_tree(&self, venti: &str) {
        let back = self.plan9.unvac(self.directory.path(), venti);
        assert!(back == nodes(&self.tree), "{venti}");
    }

    /// verifyarena accepts what the documented `cat` makes of each sealed arena.
    fn assert_verifies(&self, objects: &BTreeMap<String, Vec<u8>>, arenas: usize) {
        let folders = objects.keys().filter_map(|key| key.strip_suffix("/end"));
        let folders: Vec<&str> = folders.collect();
        assert_eq!(folders.len(), arenas, "{:?}", objects.keys());
        for folder in folders {
            let of = |name: &str| &objects[&format!("{folder}/{name}")];
            let mut arena = of("head").clone();
            let logs = format!("{folder}/log.");
            for (_, bytes) in objects.iter().filter(|(key, _)| key.starts_with(&logs)) {
                arena.extend(bytes);
            }
            arena.extend(of("end"));
            let file = self.directory.path().join("arena");
            fs::write(&file, arena).unwrap();
            let mut verify = self.plan9.command("venti/verifyarena");
            let output = verify.arg("-v").stdin(File::open(&file).unwrap()).output();
            let output = output.unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains("verified score"), "{folder}: {said}");
        }
    }
}

/// The folders of arenas in the bucket.
fn arenas(store: &RealStore) -> usize {
    let names = store.names("home").into_iter();
    names.filter(|name| name.ends_with("/head")).count()
}

/// Seed, kills, rollover, increment, and the way back.
fn story(store: Result<RealStore, String>) {
    let mut store = match store {
        Ok(store) => store,
        Err(why) => return skipped(&format!("a real object store: {why}")),
    };
    let mut site = Site::new();
    let target = store.replica("home");
    site.archive("first", 21);
    store.fill_through_kills("home", || site.ventiprog(&target, &SLOW).start());
    assert_eq!(arenas(&store), 6);
    site.archive("second", 4);
    site.runs(&target, &[]);
    assert_eq!(arenas(&store), 7);
    let before = store.names("home").len();
    site.archive("third", 1);
    site.runs(&target, &[]);
    assert_eq!(store.names("home").len(), before + 1);
    let output = site.runs(&target, &["--verify"]);
    assert!(output.stderr.contains("read back and right"), "{output:?}");
    site.assert_verifies(&store.objects("home"), 6);
    restore(&mut site, &target);
}

/// The venti is lost. Everything goes to a new one, and is the same; and the bucket is one.
fn restore(site: &mut Site, target: &str) {
    site.venti.stop();
    fs::remove_file(site.venti.partition()).unwrap();
    let other = Venti::fresh(&site.plan9, site.directory.path(), "b", 46 << 20, ARENA);
    let command = Command::new("wrarena").args(["-h", &other.address(), target]);
    let output = RealStore::with_key(command, "").run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    site.assert_has_the_tree(&other.address());

    let port = port::free();
    let command = Command::new("ventiserve").args(["-r", "-a"]);
    let command = command.args([&format!("127.0.0.1:{port}"), target]);
    let served = Served::of(RealStore::with_key(command, "").start(), port, 0);
    site.assert_has_the_tree(&served.dial());
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_bucket_of_rclone_is_filled_through_kills_and_gives_all_back() {
    story(RealStore::rclone());
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_bucket_of_ceph_is_filled_through_kills_and_gives_all_back() {
    story(RealStore::ceph());
}
