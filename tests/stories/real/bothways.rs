//! Stores that plan9port's venti and ventiserve serve by turns.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use venti_tests::command::Command;
use venti_tests::patience;
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::random::Random;
use venti_tests::served::Served;
use venti_tests::tree::{Node, nodes};
use venticore::source::{Arena, ArenaSource};

/// Bytes of a store and of each of its arenas.
const STORE: u64 = 64 << 20;
const ARENA: u64 = 2 << 20;

/// A store, and every root that was ever written into it.
struct Site {
    plan9: Plan9,
    directory: TempDir,
    /// Each with the tree that it is the root of.
    roots: Vec<(String, BTreeMap<PathBuf, Node>)>,
    random: Random,
}

impl Site {
    fn new() -> Self {
        Site {
            plan9: Plan9::expect(),
            directory: tempfile::tempdir().unwrap(),
            roots: Vec::new(),
            random: Random::new(77),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn vac(&self, host: &str, score: &Path, tree: &Path) -> std::process::Command {
        let mut vac = self.plan9.command("vac");
        vac.current_dir(self.directory.path()).args(["-h", host]);
        vac.arg("-f").arg(score).arg(tree);
        vac
    }

    /// Archives a tree of about 3 MiB that has something of the one before.
    fn archive(&mut self, host: &str) {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("sub")).unwrap();
        let number = self.roots.len();
        let noise = self.random.bytes(2_500_000);
        fs::write(tree.join(format!("noise{}", number % 2)), noise).unwrap();
        let text = format!("round {number} ").repeat(60_000);
        fs::write(tree.join(format!("sub/text{number}")), text).unwrap();
        let score = self.path(&format!("{number}.vac"));
        let _ = fed(&mut self.vac(host, &score, Path::new("tree")), b"");
        let root = fs::read_to_string(score).unwrap().trim().to_owned();
        self.roots.push((root, nodes(&tree)));
    }

    /// Starts to archive 8 MiB, and returns as soon as `is_enough`.
    fn archive_in_vain(&mut self, host: &str, mut is_enough: impl FnMut() -> bool) -> Vac {
        let number = self.roots.len();
        let tree = self.path(&format!("vain{number}"));
        fs::write(&tree, self.random.bytes(8 << 20)).unwrap();
        let mut vac = self.vac(host, &tree.with_extension("vac"), &tree);
        vac.stdin(Stdio::null()).stdout(Stdio::null());
        let log = File::create(tree.with_extension("log")).unwrap();
        let vac = Vac(vac.stderr(log).spawn().unwrap());
        patience::until("blocks arrive", &mut is_enough);
        vac
    }

    /// Every root is whole, and the newest and the oldest tree come back as they were.
    fn assert_all_there(&self, host: &str) {
        let lines: Vec<&str> = self.roots.iter().map(|(root, _)| root.as_str()).collect();
        let command = Command::new("rootcheck").args(["-c", "-h", host, "-"]);
        let output = command.stdin(lines.join("\n").as_bytes()).run();
        assert_eq!(
            (output.status, output.stderr.as_str()),
            (0, ""),
            "{output:?}"
        );
        assert_eq!(output.stdout.matches(" whole ").count(), lines.len());
        for (root, tree) in [self.roots.first(), self.roots.last()]
            .into_iter()
            .flatten()
        {
            let to = tempfile::tempdir_in(self.directory.path()).unwrap();
            let mut unvac = self.plan9.command("unvac");
            unvac.current_dir(to.path()).args(["-h", host, root]);
            let _ = fed(&mut unvac, b"");
            assert!(nodes(&to.path().join("tree")) == *tree, "{root}");
        }
    }

    /// Nothing of plan9port's finds anything wrong in a store that nobody serves.
    fn assert_sound(&self, store: &Path) -> Vec<Arena> {
        // They end with 0 whatever they find.
        let verified = self.run("verifyarena", &["-v".as_ref(), store]);
        let checked = self.run("checkarenas", &["-v".as_ref(), store]);
        for complaint in [
            "mismatch",
            "incorrect",
            "corrupt",
            "out-of-date",
            "warning",
            "wrong",
            "bad",
        ] {
            assert!(!verified.contains(complaint), "{verified}");
            assert!(!checked.contains(complaint), "{checked}");
        }
        let arenas = arenas(store);
        for arena in &arenas {
            self.assert_sound_arena(store, arena, &verified);
        }
        arenas
    }

    fn assert_sound_arena(&self, store: &Path, arena: &Arena, verified: &str) {
        let name = arena.name.to_string();
        let state = match score(store, arena) {
            Some(_) => format!("{name}: verified score\n"),
            None => format!("{name}: unsealed "),
        };
        assert!(verified.contains(&state), "{state}: {verified}");

        let path = store.as_os_str();
        let mut copy = self.plan9.command("venti/rdarena");
        let copy = fed(copy.args([path, name.as_ref()]), b"");
        let file = self.path("copy");
        fs::write(&file, &copy).unwrap();
        assert_eq!(copy.len() as u64, arena.size + 2 * 8192);
        let mut verify = self.plan9.command("venti/verifyarena");
        verify.arg("-v").stdin(File::open(&file).unwrap());
        let output = verify.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let state = state.trim_start_matches(&name).trim_end();
        assert!(said.contains(state), "{state}: {said}");

        let offset = arena.head.to_string();
        let mut print = self.plan9.command("venti/printarena");
        let output = print.arg("-o").arg(&offset).arg(path).output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        for complaint in ["illegal", "failed", "mismatched", "bad type"] {
            assert!(!stderr.contains(complaint), "{name}: {stderr}");
        }
        let end = format!("end offset {}\n", arena.live.used);
        assert!(stdout.ends_with(&end), "{name}: expected {end}{stderr}");
    }

    /// What a program of plan9port's says on standard error.
    fn run(&self, name: &str, arguments: &[&Path]) -> String {
        self.plan9.run(&format!("venti/{name}"), arguments).stderr
    }
}

/// A vac that is killed when dropped.
struct Vac(std::process::Child);

impl Drop for Vac {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The arenas of a store that hold something.
fn arenas(store: &Path) -> Vec<Arena> {
    let bytes = fs::read(store).unwrap();
    let ArenaSource::Partition(partition) = ArenaSource::read(&bytes, 0).unwrap() else {
        panic!("no partition");
    };
    assert!(partition.notes.is_empty(), "{:?}", partition.notes);
    let read = |entry| partition.arena(&bytes, entry).unwrap();
    let arenas = partition.entries.iter().map(read);
    arenas.filter(|arena| arena.live.clumps > 0).collect()
}

/// The seal score of an arena, once it is in its trailer.
fn score(store: &Path, arena: &Arena) -> Option<[u8; 20]> {
    let bytes = File::open(store).unwrap();
    let end = arena.head + arena.size + 2 * u64::from(arena.block_size);
    let mut score = [0; 20];
    bytes.read_exact_at(&mut score, end - 20).unwrap();
    (score != [0; 20]).then_some(score)
}

fn serve(store: &Path) -> Served {
    Served::with::<&str>(&[], store)
}

/// A day with ventiserve: it is killed while it is written to, and started again.
fn day_of_ours(site: &mut Site, store: &Path) {
    let ours = serve(store);
    site.assert_all_there(&ours.dial());
    site.archive(&ours.dial());
    let before = ours.metric("stored_total ");
    let enough = || ours.metric("stored_total ") > before + 300;
    let vac = site.archive_in_vain(&ours.dial(), enough);
    ours.kill();
    drop(vac);
    let ours = serve(store);
    site.assert_all_there(&ours.dial());
    site.archive(&ours.dial());
    site.assert_all_there(&ours.dial());
    let output = ours.end();
    assert_eq!(
        (output.status, output.remarks().as_str()),
        (0, ""),
        "{output:?}"
    );
    site.assert_sound(store);
}

/// A day with plan9port's venti: the same.
fn day_of_theirs(site: &mut Site, theirs: &mut Venti) {
    site.assert_all_there(&theirs.address());
    site.archive(&theirs.address());
    let before = theirs.clumps();
    let enough = || theirs.clumps() > before + 300;
    let vac = site.archive_in_vain(&theirs.address(), enough);
    theirs.stop();
    drop(vac);
    theirs.start();
    site.assert_all_there(&theirs.address());
    site.archive(&theirs.address());
    site.assert_all_there(&theirs.address());
    theirs.stop();
    let log = fs::read_to_string(theirs.partition().with_extension("log")).unwrap();
    for complaint in ["mismatch", "corrupt", "out of order", "cannot"] {
        assert!(!log.contains(complaint), "{log}");
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_what_plan9port_filled_is_served_and_written_on_by_turns() {
    let mut site = Site::new();
    let mut theirs = Venti::fresh(&site.plan9, site.directory.path(), "a", STORE, ARENA);
    let store = theirs.partition().to_owned();
    site.archive(&theirs.address());
    for _ in 0..2 {
        day_of_theirs(&mut site, &mut theirs);
        day_of_ours(&mut site, &store);
        theirs.start();
    }
    site.assert_all_there(&theirs.address());
    assert!(arenas(&store).iter().filter(|of| of.sealed).count() > 6);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_what_ventiserve_made_is_served_and_written_on_by_turns() {
    let mut site = Site::new();
    let store = site.path("ours");
    let (size, arena) = (STORE.to_string(), ARENA.to_string());
    let ours = Served::with(&["-c", &size, "-A", &arena], &store);
    site.archive(&ours.dial());
    assert_eq!(ours.end().status, 0);
    day_of_ours(&mut site, &store);
    // Its index is empty; it finds by itself what the arenas hold.
    let mut theirs = Venti::with_empty_index(&site.plan9, &store);
    day_of_theirs(&mut site, &mut theirs);
    day_of_ours(&mut site, &store);
    theirs.start();
    site.assert_all_there(&theirs.address());
}

/// How many arenas of a store are sealed, and how many of those have a score.
fn sealed(store: &Path) -> (usize, usize) {
    let sealed = || arenas(store).into_iter().filter(|arena| arena.sealed);
    let scored = sealed().filter(|arena| score(store, arena).is_some());
    (sealed().count(), scored.count())
}

fn have_scores(store: &Path) -> bool {
    let (sealed, scored) = sealed(store);
    sealed == scored
}

/// Has plan9port's venti index and score at once, or never score, and not when nobody has
/// asked it for anything for minutes.
fn schedule(theirs: &Venti, scores: bool) {
    let never = if scores { 0 } else { 1_000_000_000 };
    for (name, value) in [
        ("manualscheduling", 1),
        ("icachesleeptime", 0),
        ("arenasumsleeptime", never),
    ] {
        let _ = theirs.page(&format!("/set?name={name}&value={value}"));
    }
}

/// Has plan9port's venti index everything, and score what is sealed.
pub(super) fn scores(theirs: &Venti) {
    schedule(theirs, true);
    let _ = theirs.page("/flushicache");
    patience::until("their scores", || {
        theirs.sync();
        have_scores(theirs.partition())
    });
}

/// The bytes of the sealed arenas.
fn sealed_bytes(store: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(store).unwrap();
    let sealed = arenas(store).into_iter().filter(|arena| arena.sealed);
    let range = |arena: Arena| {
        let start = usize::try_from(arena.head).unwrap();
        let len = arena.size + 2 * u64::from(arena.block_size);
        bytes[start..][..usize::try_from(len).unwrap()].to_vec()
    };
    sealed.map(range).collect()
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_seal_scores_are_those_that_plan9port_computes() {
    let mut site = Site::new();
    let mut theirs = Venti::fresh(&site.plan9, site.directory.path(), "a", STORE, ARENA);
    let store = theirs.partition().to_owned();
    for _ in 0..3 {
        site.archive(&theirs.address());
    }
    // All is indexed, and no score is there yet.
    schedule(&theirs, false);
    let _ = theirs.page("/flushicache");
    theirs.sync();
    theirs.stop();
    assert!(arenas(&store).iter().all(|of| of.sealed == of.settled));
    let (before, scored) = sealed(&store);
    assert!(before >= 3 && scored == 0, "{before} {scored}");

    let copy = site.path("copy.arenas");
    fs::copy(&store, &copy).unwrap();
    let mut other = Venti::on(&site.plan9, &copy);
    scores(&other);
    other.stop();
    let ours = serve(&store);
    patience::until("our scores", || have_scores(&store));
    assert!(sealed_bytes(&store) == sealed_bytes(&copy));

    // What ours seals has a score too, although plan9port's venti has not indexed it.
    for _ in 0..2 {
        site.archive(&ours.dial());
    }
    let is_scored = || sealed(&store).0 > before && have_scores(&store);
    patience::until("scores of what ours sealed", is_scored);
    assert_eq!(ours.end().status, 0);
    let arenas = site.assert_sound(&store);
    assert!(arenas.iter().any(|of| of.sealed && !of.settled));
    // When it indexes it, it computes the scores again.
    theirs.start();
    schedule(&theirs, true);
    let _ = theirs.page("/flushicache");
    patience::until("theirs again", || {
        theirs.sync();
        let said = site.run("verifyarena", &[&store]);
        !said.contains("mismatch")
    });
    theirs.stop();
    site.assert_sound(&store);
    let ours = serve(&store);
    site.assert_all_there(&ours.dial());
}
