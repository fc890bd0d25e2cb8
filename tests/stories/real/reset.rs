//! fosreset and flfmt beside the real programs: the image is the C tool's, and
//! what was reset is the fossil that was archived.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fossilcore::archive::Archive;
use fossilcore::format::{Format, Standing, Tag, write};
use tempfile::TempDir;
use venti_tests::command::{Command, Output, skipped};
use venti_tests::fossil::{self, Fossil};
use venti_tests::golden;
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::port;
use venti_tests::random::Random;
use venti_tests::realstore::RealStore;
use venti_tests::served::Served as Ventiserve;

use crate::fixture::archives::{ARCHIVES, C_TAG};
use venticore::codec::operand::Operand;
use venticore::codec::score::Score;
use venticore::host::partition::Partition;
use venticore::net::client::{Client, Dialer};

/// A venti, and fossils that archive to it.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    /// The address of the venti.
    host: String,
    venti: Option<Venti>,
}

impl Site {
    fn new() -> Self {
        let (plan9, directory, venti) = Plan9::with_venti(48 << 20, 16 << 20);
        Site {
            directory,
            plan9,
            host: venti.address(),
            venti: Some(venti),
        }
    }

    /// With a venti that is there.
    fn at(host: String) -> Self {
        Site {
            directory: tempfile::tempdir().unwrap(),
            plan9: Plan9::expect(),
            host,
            venti: None,
        }
    }

    /// A directory for one fossil.
    fn place(&self, name: &str) -> PathBuf {
        let place = self.directory.path().join(name);
        fs::create_dir(&place).unwrap();
        place
    }

    fn start(&self, partition: &Path) -> Served<'_> {
        let mut fossil = Fossil::start(&self.plan9, partition, &self.host);
        let port = port::free();
        assert_eq!(
            fossil
                .ask(&format!("listen tcp!127.0.0.1!{port}"))
                .lines()
                .count(),
            2
        );
        Served {
            site: self,
            fossil,
            port,
        }
    }

    /// fosreset of a partition to the score.
    fn reset(&self, options: &[&str], score: &str, partition: &Path) -> Output {
        let state = self.directory.path().join("state");
        let command = Command::new("fosreset").arg("-d").arg(state).args(options);
        command.arg(score).arg(partition).arg(&self.host).run()
    }

    /// What the real flchk finds, without the lines it prints of healthy ones.
    fn flchk(&self, partition: &Path) -> Vec<String> {
        let path = partition.to_str().unwrap();
        let output = self.plan9.run("fossil/flchk", &["-h", &self.host, path]);
        assert_eq!(output.status, 0, "{output:?}");
        let lines = output.stdout.lines().chain(output.stderr.lines());
        let noise = |line: &&str| {
            ["checking epoch", "check: visited", "fsys blocks:", "fsck:"]
                .iter()
                .any(|w| line.starts_with(w))
                || line.contains("previously reported error")
                || line.trim().is_empty()
        };
        lines
            .filter(|line| !noise(line))
            .map(str::to_owned)
            .collect()
    }
}

/// A running fossil and where it serves.
struct Served<'s> {
    site: &'s Site,
    fossil: Fossil,
    port: u16,
}

/// A file as 9P shows it.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    /// Owner, group, mode, times, length; without what counts on each server.
    stat: String,
    content: Option<(usize, Score)>,
}

impl Served<'_> {
    fn nine(&self, tree: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let address = format!("tcp!127.0.0.1!{}", self.port);
        let mut nine = self.site.plan9.command("9p");
        nine.args(["-a", &address, "-A", tree]).args(arguments);
        fed(nine.env("USER", "glenda"), input)
    }

    fn text(&self, tree: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.nine(tree, arguments, b"")).unwrap()
    }

    /// Makes a file with this content.
    fn put(&mut self, path: &str, owner: &str, mode: &str, content: &[u8]) {
        let said = self.fossil.ask(&format!(
            "fsys main create /active/{path} {owner} {owner} {mode}"
        ));
        assert!(!said.contains("create:"), "{said}");
        if !mode.starts_with('d') {
            let _ = self.nine("main/active", &["write", path], content);
        }
    }

    /// Every file below a directory of a tree, by its path.
    fn files(&self, tree: &str) -> BTreeMap<String, Node> {
        let mut found = BTreeMap::new();
        let mut pending = vec![String::from(".")];
        while let Some(directory) = pending.pop() {
            for name in self.text(tree, &["ls", &directory]).lines() {
                let path = match directory.as_str() {
                    "." => name.to_owned(),
                    directory => format!("{directory}/{}", name.rsplit('/').next().unwrap()),
                };
                let stat = self.text(tree, &["stat", &path]);
                let is_directory = stat.contains(" d) m ");
                let content = (!is_directory).then(|| {
                    let content = self.nine(tree, &["read", &path], b"");
                    (content.len(), Score::of(&content))
                });
                if is_directory {
                    pending.push(path.clone());
                }
                let _ = found.insert(
                    path,
                    Node {
                        stat: stable(&stat),
                        content,
                    },
                );
            }
        }
        found
    }
}

/// A line of `9p stat`, without the time of access: our own reading changes
/// that, and a fossil does not write it down.
fn stable(stat: &str) -> String {
    let (before, after) = stat.trim().split_once(" at ").unwrap();
    let (_, after) = after.split_once(" mt ").unwrap();
    format!("{before} mt {after}")
}

/// Files, directories, sizes around those of blocks and pointer blocks, holes.
fn fill(fossil: &mut Served<'_>, block: usize) {
    let mut random = Random::new(block as u64);
    fossil.put("lib", "glenda", "d775", b"");
    fossil.put("lib/deep", "sys", "d700", b"");
    fossil.put("lib/deep/deeper", "adm", "d555", b"");
    fossil.put("empty", "glenda", "d777", b"");
    for (number, size) in [0, 1, block - 1, block, block + 1, 3 * block, 120 * block]
        .into_iter()
        .enumerate()
    {
        let content = random.bytes(size);
        let mode = ["644", "600", "755", "a666", "l640", "444", "664"][number];
        let directory = ["", "lib/", "lib/deep/", "lib/deep/deeper/"][number % 4];
        fossil.put(
            &format!("{directory}file{number}"),
            "glenda",
            mode,
            &content,
        );
    }
    // A hole, and a file of many directories' entries.
    fossil.put("zeros", "glenda", "644", &vec![0; 5 * block]);
    for number in 0..150 {
        fossil.put(
            &format!("lib/small{number}"),
            "glenda",
            "644",
            format!("{number}\n").as_bytes(),
        );
    }
}

/// Archives a fossil with blocks of this size, resets another partition of `larger` bytes
/// from that, and back again.
fn assert_comes_back(site: &Site, block: u32, larger: u64) {
    let (one, two) = (site.place("one"), site.place("two"));
    let original = fossil::format(&site.plan9, &one, 12 << 20, block);
    let mut fossil = site.start(&original);
    fill(&mut fossil, block as usize);
    let before = fossil.files("main/active");
    assert!(before.len() > 150, "{}", before.len());
    fossil.fossil.ask("fsys main snap -a");
    let score = fossil.fossil.archived();
    fossil.fossil.ask("fsys main sync");
    drop(fossil);

    // Another partition, which is a fossil already, with another block size.
    let target = fossil::format(&site.plan9, &two, larger, 12288 - block);
    let output = site.reset(&[], &score, &target);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.flchk(&target), Vec::<String>::new());
    let mut fossil = site.start(&target);
    let after = fossil.files("main/active");
    assert_eq!(after.len(), before.len());
    for (path, node) in &before {
        assert_eq!(after.get(path), Some(node), "{path}");
    }
    // It lives: a file more, an archive more.
    fossil.put("new", "glenda", "644", b"after the reset");
    fossil.fossil.ask("fsys main snap -a");
    let second = fossil.fossil.archived();
    fossil.fossil.ask("fsys main sync");
    let with_new = fossil.files("main/active");
    drop(fossil);
    assert_ne!(second, score);

    // And can be reset to again, every block read.
    let output = site.reset(&["-c"], &second, &original);
    assert_eq!(output.status, 0, "{output:?}");
    let fossil = site.start(&original);
    assert_eq!(fossil.files("main/active"), with_new);
    let archives = fossil.files("main/archive");
    let days = archives
        .keys()
        .filter(|path| path.ends_with("/lib/small7"))
        .count();
    assert_eq!(days, 2, "{:?}", archives.keys().take(9).collect::<Vec<_>>());
    drop(fossil);
    assert_eq!(site.flchk(&original), Vec::<String>::new());
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn what_was_reset_is_the_fossil_that_was_archived() {
    for (block, larger) in [
        (8192, 20 << 20),
        (4096, 20 << 20),
        (8192, 6 << 20),
        (4096, 6 << 20),
    ] {
        assert_comes_back(&Site::new(), block, larger);
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_fossil_archives_to_ventiserve_and_is_reset_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let ventiserve = Ventiserve::made(&directory.path().join("store"));
    let site = Site::at(ventiserve.dial());
    assert_comes_back(&site, 8192, 20 << 20);
    let output = ventiserve.end();
    assert_eq!((output.status, output.remarks().as_str()), (0, ""));
}

/// A fossil's archive in a bucket. The fossil and the venti are lost.
fn assert_comes_back_from(store: Result<RealStore, String>) {
    let store = match store {
        Ok(store) => store,
        Err(why) => return skipped(&format!("a real object store: {why}")),
    };
    let mut site = Site::new();
    let original = fossil::format(&site.plan9, &site.place("one"), 12 << 20, 8192);
    let mut fossil = site.start(&original);
    fill(&mut fossil, 8192);
    let before = fossil.files("main/active");
    fossil.fossil.ask("fsys main snap -a");
    let score = fossil.fossil.archived();
    fossil.fossil.ask("fsys main sync");
    drop(fossil);
    let mut venti = site.venti.take().unwrap();
    venti.sync();
    let target = store.replica("home");
    let command = Command::new("ventiprog")
        .arg("-d")
        .arg(site.place("nightly"));
    let command = command
        .args(["-s", &site.host, "-p"])
        .arg(venti.partition());
    let output = RealStore::with_key(command.arg(&target), "").run();
    assert_eq!(output.status, 0, "{output:?}");
    venti.stop();
    fs::remove_file(venti.partition()).unwrap();
    fs::remove_file(&original).unwrap();

    let port = port::free();
    let command = Command::new("ventiserve").args(["-r", "-a"]);
    let command = command.args([&format!("127.0.0.1:{port}"), &target]);
    let served = Ventiserve::of(RealStore::with_key(command, "").start(), port, 0);
    site.host = served.dial();
    let partition = fossil::format(&site.plan9, &site.place("two"), 20 << 20, 8192);
    let output = site.reset(&["-c"], &score, &partition);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.flchk(&partition), Vec::<String>::new());
    let fossil = site.start(&partition);
    let after = fossil.files("main/active");
    assert_eq!(after, before);
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_fossil_is_reset_from_a_bucket_of_rclone_alone() {
    assert_comes_back_from(RealStore::rclone());
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_fossil_is_reset_from_a_bucket_of_ceph_alone() {
    assert_comes_back_from(RealStore::ceph());
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_fossil_that_holds_the_partition_is_ended_and_another_is_not() {
    let site = Site::new();
    let (one, two) = (site.place("one"), site.place("two"));
    let partition = fossil::format(&site.plan9, &one, 8 << 20, 8192);
    let other = fossil::format(&site.plan9, &two, 8 << 20, 8192);
    let mut ours = site.start(&partition);
    let mut theirs = site.start(&other);
    ours.put("file", "glenda", "644", b"kept");
    ours.fossil.ask("fsys main snap -a");
    let score = ours.fossil.archived();
    ours.put("file2", "glenda", "644", b"lost");
    let output = site.reset(&[], &score, &partition);
    assert_eq!(output.status, 0, "{output:?}");
    drop(ours);
    assert!(theirs.fossil.ask("fsys main df").contains("main: "));
    let mut again = site.start(&partition);
    let files = again.files("main/active");
    assert!(files.contains_key("file") && !files.contains_key("file2"));
    // While it runs nothing is put back, and nothing after it has written.
    let undo = fs::read_dir(site.directory.path().join("state")).unwrap();
    let undo = undo
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "undo"));
    let undo = undo.unwrap();
    let command = || Command::new("fosreset").arg("-u").arg(&undo);
    let output = command().run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("held open by fossil"), "{output:?}");
    again.fossil.ask("fsys main sync");
    drop(again);
    let output = command().run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("was written since"), "{output:?}");
}

/// The archives that the C tool can be compared with: on a real venti that
/// serves the golden arenas.
#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_image_is_the_c_tools_byte_for_byte() {
    let plan9 = Plan9::expect();
    let directory = tempfile::tempdir().unwrap();
    let arenas = directory.path().join("golden.arenas");
    fs::write(&arenas, golden::bytes("fossil/arenas.part")).unwrap();
    let venti = Venti::on(&plan9, &arenas);
    let mut client = Client::dial(&venti.address().parse().unwrap(), &Dialer::default()).unwrap();
    let mut random = Random::new(11);
    let mut compared = 0;
    let layouts = golden::json("fossil/cases.json")["layout"].clone();
    for case in layouts.as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap();
        let (size, block) = (number("size"), number("block"));
        for (score, _) in ARCHIVES {
            let archive = Archive::read(&mut client, &score.parse().unwrap()).unwrap();
            let old = random.bytes(usize::try_from(size).unwrap());
            let theirs = directory.path().join("theirs");
            fs::write(&theirs, &old).unwrap();
            let (block_text, address) = (block.to_string(), venti.address());
            let path = theirs.to_str().unwrap();
            let label = "a label";
            let arguments = [
                "-y",
                "-b",
                &block_text,
                "-h",
                &address,
                "-l",
                label,
                "-v",
                score,
                path,
            ];
            let output = plan9.run("fossil/flfmt", &arguments);
            let tag = Tag::new(C_TAG).unwrap();
            let format = Format::of(&archive, size, Some(block), tag, label.as_bytes());
            let Ok(format) = format else {
                // The C tool cannot read the archive, or makes what no fossil opens.
                assert!(block < archive.block_size(), "{case} {score}");
                continue;
            };
            assert_eq!(output.status, 0, "{case} {score}: {output:?}");
            let ours = directory.path().join("ours");
            fs::write(&ours, &old).unwrap();
            let operand = Operand::try_from(ours.as_os_str()).unwrap();
            let partition = Partition::open_rw(&operand).unwrap();
            let mark = Standing::of(&partition).unwrap().superblock_at();
            write(&partition, &format, mark).unwrap();
            assert!(
                fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(),
                "{case} {score}"
            );
            compared += 1;
        }
    }
    // Every layout with blocks as large as the archives', and larger.
    assert_eq!(
        compared,
        5 * 4 * 3 + 4,
        "the C tool was compared with too little"
    );
}
