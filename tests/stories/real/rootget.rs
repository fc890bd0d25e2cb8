//! rootget beside plan9port's own programs: what vac stored, as unvac gives it back; a
//! fossil's archive, as the fossil serves it; damage on the disk of a real venti.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use venti_tests::command::Command;
use venti_tests::fossil::{self, Fossil};
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::port;
use venti_tests::random::Random;
use venti_tests::tree::{Made, made};

/// Files in the tree.
const FILES: usize = 600;

/// Bytes of a venti's arenas, and of one of them.
const BYTES: u64 = 48 << 20;
const ARENA: u64 = 16 << 20;

/// A tree in this directory: files of all sizes around a block, directories, links, a
/// sparse file, and what is not UTF-8.
fn plant(tree: &Path) {
    let mut random = Random::new(15);
    let mut directories = vec![tree.to_owned()];
    fs::create_dir(tree).unwrap();
    for number in 0..40 {
        let above = directories[random.below(directories.len())].clone();
        directories.push(above.join(format!("d{number}")));
        fs::create_dir(directories.last().unwrap()).unwrap();
    }
    let sizes = [0, 1, 100, 4000, 8191, 8192, 8193, 30_000];
    for number in 0..FILES {
        let below = directories[random.below(directories.len())].clone();
        let path = below.join(format!("f {number}"));
        let size = sizes[random.below(sizes.len())];
        fs::write(&path, random.bytes(size)).unwrap();
        let mode = [0o644, 0o600, 0o755, 0o444, 0o400][number % 5];
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        set_time(&path, 1_000_000_000 + number as u64);
    }
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    for (at, bytes) in [
        (0, &b"start"[..]),
        (20 << 20, b"middle"),
        (99_999_999, b"!"),
    ] {
        std::os::unix::fs::FileExt::write_all_at(&sparse, bytes, at).unwrap();
    }
    // A block of zeros is not stored, nor is the end of one.
    fs::write(tree.join("zeros"), vec![0; 100_000]).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"not\xffutf-8");
    fs::write(tree.join(odd), "x").unwrap();
    symlink("../short", tree.join("link")).unwrap();
    symlink("../longer", tree.join("cut")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(tree.join("socket"));
    drop(socket.unwrap());
    for (number, directory) in directories.iter().enumerate().rev() {
        let mode = [0o755, 0o700, 0o711][number % 3];
        fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
        set_time(directory, 1_100_000_000 + number as u64);
    }
}

fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = fs::File::open(path).unwrap();
    file.set_modified(time).unwrap();
}

/// A tree that was stored in a venti.
struct Stored {
    plan9: Plan9,
    directory: TempDir,
    venti: Venti,
    expected: BTreeMap<PathBuf, Made>,
}

impl Stored {
    fn new() -> Self {
        let (plan9, directory, venti) = Plan9::with_venti(BYTES, ARENA);
        let tree = directory.path().join("tree");
        plant(&tree);
        plan9.vac(directory.path(), &venti);
        venti.sync();
        let mut expected = made(directory.path());
        expected.retain(|path, _| path.starts_with("tree"));
        Stored {
            plan9,
            directory,
            venti,
            expected,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn rootget(&self, venti: &Venti, options: &[&str]) -> Command {
        let command = Command::new("rootget").args(["-h", &venti.address()]);
        command.args(options).arg(self.path("tree.vac"))
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn what_vac_stored_comes_back_from_a_replica_as_unvac_gives_it() {
    let mut stored = Stored::new();
    let replica = Venti::fresh(&stored.plan9, stored.directory.path(), "b", BYTES, ARENA);
    let source = stored.venti.address();
    let ventiprog = Command::new("ventiprog").arg("-q").arg("-d");
    let ventiprog = ventiprog
        .arg(stored.path("state"))
        .args(["-s", &source, "-p"]);
    let ventiprog = ventiprog.arg(stored.venti.partition());
    let output = ventiprog.arg(replica.address()).run();
    assert_eq!(output.status, 0, "{output:?}");
    stored.venti.stop();

    let (out, there) = (stored.path("out"), stored.path("unvac"));
    let options = ["-c", "-o", out.to_str().unwrap()];
    let output = stored.rootget(&replica, &options).run();
    // vac stores eight bytes of a link's target.
    let cut = "rootget: tree/cut: not copied: a link, and the archive has only the first 8 of the 9 bytes";
    assert!(output.stderr.starts_with(cut), "{output:?}");
    let refused = output
        .stderr
        .lines()
        .filter(|line| line.contains("not copied: "));
    assert_eq!((output.status, refused.count()), (1, 1), "{output:?}");
    let found = made(&out);
    let mut expected = stored.expected.clone();
    assert!(expected.remove(Path::new("tree/cut")).is_some());
    // vac stores a socket as an empty file.
    let socket = expected.get_mut(Path::new("tree/socket")).unwrap();
    let socket = Made {
        kind: '-',
        ..socket.clone()
    };
    expected.insert("tree/socket".into(), socket);
    assert!(found == expected, "{:?}", differ(&found, &expected));
    let metadata = fs::metadata(out.join("tree/sparse")).unwrap();
    assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) < 1000);

    fs::create_dir(&there).unwrap();
    let mut unvac = stored.plan9.command("unvac");
    unvac
        .current_dir(&there)
        .args(["-T", "-h", &replica.address()]);
    let _ = venti_tests::plan9::fed(unvac.arg(stored.path("tree.vac")), b"");
    let mut theirs = made(&there);
    // It leaves out links, and writes another name where one is not UTF-8.
    let mut ours = found;
    ours.retain(|path, made| made.kind != 'l' && path.to_str().is_some());
    theirs.retain(|path, _| !path.to_str().is_some_and(|path| path.contains('\u{fffd}')));
    assert!(ours == theirs, "{:?}", differ(&ours, &theirs));

    // The names, links among them.
    let address = replica.address();
    let score = fs::read_to_string(stored.path("tree.vac")).unwrap();
    let arguments = ["-t", "-h", address.as_str(), score.trim()];
    let listed = stored.plan9.succeed("unvac", &arguments).stdout;
    let mut theirs: Vec<&str> = listed
        .lines()
        .map(|line| line.trim_end_matches('/'))
        .collect();
    let listed = stored.rootget(&replica, &["-n", "-j"]).run().stdout;
    let names = listed.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["path"].as_str().map(str::to_owned)
    });
    let mut ours: Vec<String> = names.collect();
    ours.sort();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

/// The first that differ.
fn differ(a: &BTreeMap<PathBuf, Made>, b: &BTreeMap<PathBuf, Made>) -> Vec<(PathBuf, String)> {
    let paths = a
        .keys()
        .chain(b.keys())
        .filter(|path| a.get(*path) != b.get(*path));
    let shown = |made: Option<&Made>| match made {
        Some(made) => format!(
            "{} {:o} {} {}",
            made.kind,
            made.mode,
            made.mtime,
            made.content.len()
        ),
        None => "none".to_owned(),
    };
    let both = |path: &PathBuf| {
        (
            path.clone(),
            format!("{} {}", shown(a.get(path)), shown(b.get(path))),
        )
    };
    paths.map(both).take(5).collect()
}

/// Flips a bit of what lies behind these bytes in a partition.
fn flip(partition: &Path, bytes: &[u8]) {
    let mut content = fs::read(partition).unwrap();
    let mut places = content.windows(bytes.len()).enumerate();
    let (at, _) = places
        .find(|(_, window)| *window == bytes)
        .expect("stored as it is");
    content[at] ^= 1;
    fs::write(partition, content).unwrap();
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn damage_on_the_disk_of_a_real_venti_costs_the_files_it_hits() {
    let mut stored = Stored::new();
    stored.venti.stop();
    let is_stored = |made: &Made| made.kind == '-' && made.content.len() == 8191;
    let hit = stored.expected.iter().filter(|(_, made)| is_stored(made));
    let hit: Vec<(PathBuf, Vec<u8>)> = hit
        .map(|(path, made)| (path.clone(), made.content.clone()))
        .take(3)
        .collect();
    assert_eq!(hit.len(), 3);
    for (_, content) in &hit {
        flip(stored.venti.partition(), &content[1000..1100]);
    }
    stored.venti.start();
    let out = stored.path("out");
    let output = stored
        .rootget(&stored.venti, &["-o", out.to_str().unwrap()])
        .run();
    assert_eq!(output.status, 4, "{output:?}");
    let checked = stored.rootget(&stored.venti, &["-c", "-n", "-q"]).run();
    assert_eq!(checked.status, 4, "{checked:?}");
    for (path, _) in &hit {
        let named = format!("rootget: {}: damaged: data block ", path.display());
        assert!(output.stderr.contains(&named), "{output:?}");
        assert!(checked.stderr.contains(&named), "{checked:?}");
    }
    let mut rest = stored.expected.clone();
    rest.retain(|path, made| made.kind != '?' && hit.iter().all(|(hit, _)| hit != path));
    assert!(rest.remove(Path::new("tree/cut")).is_some());
    let mut found = made(&out);
    assert!(found.remove(Path::new("tree/socket")).is_some());
    assert!(found == rest, "{:?}", differ(&found, &rest));
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_archive_of_a_fossil_comes_back_as_the_fossil_serves_it() {
    let (plan9, directory, venti) = Plan9::with_venti(BYTES, ARENA);
    let partition = fossil::format(&plan9, directory.path(), 16 << 20, 8192);
    let mut fossil = Fossil::start(&plan9, &partition, &venti.address());
    fossil.ask("fsys main create /active/data adm sys d777");
    fossil.ask("srv -A here");
    let address = format!("tcp!127.0.0.1!{}", port::free());
    fossil.ask(&format!("listen {address}"));
    let mut random = Random::new(7);
    let mut files = Vec::new();
    for (number, size) in [0, 1, 8191, 8192, 8193, 100_000, 4_000_000]
        .into_iter()
        .enumerate()
    {
        let directory = format!("data/d{}", number % 3);
        if number < 3 {
            fossil.ask(&format!(
                "fsys main create /active/{directory} adm sys d777"
            ));
        }
        let file = format!("{directory}/f\u{e9}{number}");
        let _ = plan9.nine(&address, &["create", &file], b"");
        let _ = plan9.nine(&address, &["write", &file], &random.bytes(size));
        files.push(file);
    }
    fossil.ask("fsys main snap -a");
    let score = fossil.archived();
    venti.sync();
    let out = directory.path().join("out");
    let command = Command::new("rootget").args(["-c", "-h", &venti.address()]);
    let command = command.arg("-o").arg(&out).args([&score, "active"]);
    let output = command.run();
    assert_eq!(output.status, 0, "{output:?}");
    let mut found = made(&out.join("active"));
    for file in files {
        let made = found
            .remove(Path::new(&file))
            .unwrap_or_else(|| panic!("{file}"));
        assert!(
            made.content == plan9.nine(&address, &["read", &file], b""),
            "{file}"
        );
        let stat = plan9.nine(&address, &["stat", &file], b"");
        let stat = String::from_utf8(stat).unwrap();
        let words: Vec<&str> = stat.split_whitespace().collect();
        let field = |name: &str| {
            let at = words.iter().position(|word| *word == name);
            at.and_then(|at| words.get(at + 1))
                .copied()
                .unwrap_or_default()
        };
        assert_eq!(field("mt"), made.mtime.to_string(), "{stat}");
        let mode = u32::from_str_radix(field("m").trim_start_matches("0o"), 8);
        assert_eq!(mode, Ok(made.mode), "{stat}");
    }
    let rest: Vec<&str> = found.keys().filter_map(|path| path.to_str()).collect();
    let expected = ["data", "data/d0", "data/d1", "data/d2"];
    assert_eq!(rest, expected);
}
