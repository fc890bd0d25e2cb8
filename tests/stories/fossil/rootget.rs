//! rootget: what comes back from an archive is what went in; damage costs what it hits;
//! nothing that an archive says is written elsewhere, or over anything.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde_json::Value;
use tempfile::TempDir;
use venti_tests::arena::PartitionBuilder;
use venti_tests::command::{Command, Output};
use venti_tests::golden;
use venti_tests::random::Random;
use venti_tests::tmpfs::Tmpfs;
use venti_tests::tree::{Made, made};
use venti_tests::vac::{Archive, Content, Item, Shape, Stream, Writer, entry_of, mode};
use venti_tests::venti::{Fault, How, On, Venti};
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

use crate::fixture::archives::ARCHIVES;

/// A venti with an archive, and a directory to copy into.
struct Site {
    venti: Venti,
    archive: Archive,
    directory: TempDir,
}

impl Site {
    fn new(items: &[Item]) -> Self {
        Self::shaped(Shape::default(), items)
    }

    fn shaped(shape: Shape, items: &[Item]) -> Self {
        let venti = Venti::start();
        let archive = Writer::new(&venti, shape).archive(items);
        Site {
            venti,
            archive,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Of an archive that is forged below its root.
    fn forged(make: impl FnOnce(&Writer<'_>) -> Vec<u8>) -> Self {
        let mut site = Self::new(&[]);
        let writer = Writer::new(&site.venti, Shape::default());
        site.archive.score = writer.root(&make(&writer));
        site
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// The command with these options, the score, and these paths.
    fn command(&self, options: &[&str], paths: &[&OsStr]) -> Command {
        let score = format!("vac:{}", self.archive.score);
        let command = Command::new("rootget").args(["-h", &self.venti.dial()]);
        command.args(options).arg(score).args(paths)
    }

    /// Copies these paths into the directory.
    fn copy(&self, paths: &[&str]) -> Output {
        let out = self.out();
        let paths: Vec<&OsStr> = paths.iter().map(OsStr::new).collect();
        self.command(&["-o", out.to_str().unwrap()], &paths).run()
    }

    fn list(&self, options: &[&str]) -> Output {
        self.command(options, &[]).run()
    }

    /// What was copied.
    fn copied(&self) -> BTreeMap<PathBuf, Made> {
        made(&self.out())
    }
}

/// What items come to on a disk.
fn expected(items: &[Item]) -> BTreeMap<PathBuf, Made> {
    fn add(below: &Path, items: &[Item], all: &mut BTreeMap<PathBuf, Made>) {
        for item in items {
            let path = below.join(OsStr::from_bytes(&item.name));
            let (mut kind, mut mode, mut content) = ('-', item.mode & 0o777, Vec::new());
            match &item.content {
                Content::Directory(items) => {
                    kind = 'd';
                    add(&path, items, all);
                }
                Content::Sparse(size, parts) => {
                    content.resize(usize::try_from(*size).unwrap(), 0);
                    for (at, part) in parts {
                        let at = usize::try_from(*at).unwrap();
                        content[at..at + part.len()].copy_from_slice(part);
                    }
                }
            }
            if item.mode & mode::LINK != 0 {
                (kind, mode) = ('l', 0o777);
            }
            let mtime = item.mtime.into();
            let made = Made {
                kind,
                mode,
                mtime,
                content,
            };
            all.insert(path, made);
        }
    }
    let mut all = BTreeMap::new();
    add(Path::new(""), items, &mut all);
    all
}

fn bytes(seed: u64, count: usize) -> Vec<u8> {
    Random::new(seed).bytes(count)
}

/// A bit of everything, for blocks of 512 bytes.
fn sample() -> Vec<Item> {
    let many =
        (0..40).map(|n| Item::file(&format!("{n}"), &bytes(n, 40 * usize::try_from(n).unwrap())));
    let mut private = Item::directory("private", vec![Item::file("key", b"secret")]);
    private.mode = 0o500;
    let mut read_only = Item::file("read-only", b"x");
    (read_only.mode, read_only.mtime) = (0o6444, 1);
    let hole = Content::Sparse(
        100_000,
        vec![(0, b"start".to_vec()), (90_000, b"end".to_vec())],
    );
    vec![
        Item::file("empty", b""),
        Item::file("one-block", &bytes(1, 512)),
        Item::file("one-more", &bytes(2, 513)),
        Item::file("two-levels", &bytes(3, 512 * 700 + 9)),
        Item::file(
            "zeros-at-the-end",
            &[&bytes(4, 700)[..], &[0; 3000]].concat(),
        ),
        Item::of(b"hole", 0o600, hole),
        Item::of(b"all-hole", 0o600, Content::Sparse(70_000, Vec::new())),
        Item::of(
            b"not\xffutf-8 \x1b[1m\n",
            0o640,
            Content::Sparse(1, vec![(0, b"x".to_vec())]),
        ),
        Item::link("link", b"../elsewhere"),
        Item::directory("empty-directory", Vec::new()),
        Item::directory("many", many.collect()),
        Item::directory(
            "a",
            vec![Item::directory("b", vec![Item::file("c", b"deep")])],
        ),
        private,
        read_only,
    ]
}

fn shapes() -> [Shape; 5] {
    let vac = Shape::default();
    let version = |version, old_magic| Shape {
        version,
        old_magic,
        ..vac
    };
    [
        vac,
        version(7, true),
        version(9, false),
        Shape {
            fossil: true,
            ..version(9, false)
        },
        Shape {
            dsize: 8192,
            psize: 8180,
            ..vac
        },
    ]
}

#[test]
fn what_comes_back_is_what_went_in() {
    let items = sample();
    for shape in shapes() {
        for check in [&[][..], &["-c"]] {
            let site = Site::shaped(shape, &items);
            let out = site.out();
            let options = [check, &["-o", out.to_str().unwrap()]].concat();
            let output = site.command(&options, &[]).run();
            assert_eq!(output.status, 0, "{shape:?}: {output:?}");
            assert_eq!(output.stdout, "");
            assert_eq!(site.copied(), expected(&items), "{shape:?}");
            let hole = fs::metadata(out.join("hole")).unwrap();
            assert!(hole.blocks() * 512 < 40_000, "{} blocks", hole.blocks());
        }
    }
}

#[test]
fn a_file_of_more_than_4_gib_comes_back_with_its_holes() {
    let size = (5 << 30) + 3;
    let parts = vec![
        (0, bytes(1, 1000)),
        (4 << 30, bytes(2, 700)),
        (size - 2, b"zz".to_vec()),
    ];
    let shape = Shape {
        dsize: 8192,
        psize: 8180,
        ..Shape::default()
    };
    let site = Site::shaped(
        shape,
        &[Item::of(
            b"large",
            0o644,
            Content::Sparse(size, parts.clone()),
        )],
    );
    let output = site.copy(&[]);
    assert_eq!(output.status, 0, "{output:?}");
    let file = fs::File::open(site.out().join("large")).unwrap();
    let meta = file.metadata().unwrap();
    assert_eq!(meta.len(), size);
    assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    for (at, part) in parts {
        let mut found = vec![0; part.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut found, at).unwrap();
        assert_eq!(found, part);
    }
}

fn item() -> impl Strategy<Value = Vec<Item>> {
    let part = (0_u64..60_000, prop::collection::vec(any::<u8>(), 0..3000));
    let file = (prop::collection::vec(part, 0..4), 0_u64..3000).prop_map(|(mut parts, more)| {
        parts.sort_by_key(|(at, _)| *at);
        let mut size = 0;
        parts.retain(|(at, part)| {
            let fits = *at >= size;
            if fits {
                size = at + part.len() as u64;
            }
            fits
        });
        Content::Sparse(size + more, parts)
    });
    let named = |content: BoxedStrategy<Content>| {
        let item = (content, 0_u32..0o1000, any::<u32>());
        let items = prop::collection::btree_map(prop::collection::vec(1_u8.., 1..20), item, 0..7);
        items.prop_map(|items| {
            let items = items.into_iter().filter(|(name, _)| {
                let is_special = [&b"."[..], b".."].contains(&&name[..]);
                !is_special && !name.contains(&b'/')
            });
            let item = |(name, (content, mode, mtime)): (Vec<u8>, (Content, u32, u32))| Item {
                name,
                mode,
                mtime,
                content,
            };
            items.map(item).collect::<Vec<Item>>()
        })
    };
    let file = file.boxed();
    let tree = file.clone().prop_recursive(3, 60, 7, move |inner| {
        let inner = prop_oneof![2 => file.clone(), 1 => inner].boxed();
        named(inner).prop_map(Content::Directory)
    });
    named(tree.boxed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_tree_in_blocks_of_any_size_comes_back(
        items in item(), size in 256_u16..9000, pointers in 13_u16..400, fossil: bool,
        version in 7_u16..10,
    ) {
        let shape = Shape { dsize: size, psize: 20 * pointers, fossil, version, old_magic: !fossil };
        let site = Site::shaped(shape, &items);
        let output = site.copy(&[]);
        prop_assert_eq!(output.status, 0, "{:?}", output);
        prop_assert_eq!(site.copied(), expected(&items));
        let checked = site.list(&["-c", "-n"]);
        prop_assert_eq!(checked.status, 0, "{:?}", checked);
        prop_assert_eq!(checked.stdout.lines().count(), expected(&items).len());
    }
}

#[test]
fn a_list_is_as_that_of_ls() {
    let site = Site::new(&sample()[5..12]);
    let output = site.list(&["-n"]);
    assert_eq!((output.status, &*output.stderr), (0, ""));
    let listed: Vec<&str> = output
        .stdout
        .lines()
        .filter(|line| !line.contains(" many/"))
        .collect();
    insta::assert_snapshot!(listed.join("\n"), @r"
    drwxr-xr-x glenda   sys                 0 2009-02-13T23:31:30Z a
    drwxr-xr-x glenda   sys                 0 2009-02-13T23:31:30Z a/b
    -rw-r--r-- glenda   sys                 4 2009-02-13T23:31:30Z a/b/c
    -rw------- glenda   sys             70000 2009-02-13T23:31:30Z all-hole
    drwxr-xr-x glenda   sys                 0 2009-02-13T23:31:30Z empty-directory
    -rw------- glenda   sys            100000 2009-02-13T23:31:30Z hole
    lrwxrwxrwx glenda   sys                12 2009-02-13T23:31:30Z link
    drwxr-xr-x glenda   sys                 0 2009-02-13T23:31:30Z many
    -rw-r----- glenda   sys                 1 2009-02-13T23:31:30Z not�utf-8 \u{1b}[1m\n
    ");
    assert!(!site.out().exists());
    let many = output.stdout.lines().filter(|line| line.contains(" many/"));
    assert_eq!(many.count(), 40);
}

#[test]
fn a_list_in_json_has_every_name_byte_by_byte() {
    let items = sample();
    let site = Site::new(&items);
    let output = site.list(&["-n", "-j"]);
    assert_eq!((output.status, &*output.stderr), (0, ""));
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (summary, lines) = lines.split_last().unwrap();
    assert_eq!(summary["status"], 0);
    let paths: Vec<PathBuf> = lines.iter().map(path_of).collect();
    let mut sorted = paths.clone();
    sorted.sort();
    assert!(sorted.iter().eq(expected(&items).keys()));
    // A directory comes before what is in it.
    let place = |path: &str| {
        paths
            .iter()
            .position(|found| found == Path::new(path))
            .unwrap()
    };
    assert!(place("a") < place("a/b") && place("a/b") < place("a/b/c"));
    let link = lines.iter().find(|line| line["path"] == "link").unwrap();
    insta::assert_snapshot!(link, @r#"{"gid":"sys","mode":"0777","mtime":"2009-02-13T23:31:30Z","path":"link","schema":1,"size":12,"type":"link","uid":"glenda"}"#);
}

fn path_of(line: &Value) -> PathBuf {
    let Some(hex) = line["path_hex"].as_str() else {
        return line["path"].as_str().unwrap().into();
    };
    let digits = hex
        .as_bytes()
        .chunks(2)
        .map(|two| std::str::from_utf8(two).unwrap());
    let bytes: Vec<u8> = digits
        .map(|two| u8::from_str_radix(two, 16).unwrap())
        .collect();
    OsStr::from_bytes(&bytes).into()
}

#[test]
fn a_path_selects_a_file_or_a_subtree() {
    let items = sample();
    let all = expected(&items);
    for path in ["a/b", "/a//b/", "./a/b/."] {
        let site = Site::new(&items);
        let output = site.copy(&[path, "empty"]);
        assert_eq!(output.status, 0, "{output:?}");
        let found: Vec<PathBuf> = site.copied().into_keys().collect();
        assert_eq!(found, ["b", "b/c", "empty"].map(PathBuf::from));
        assert_eq!(site.copied()[Path::new("b/c")], all[Path::new("a/b/c")]);
        assert_eq!(site.copied()[Path::new("b")], all[Path::new("a/b")]);
    }
    let site = Site::new(&items);
    let odd = OsStr::from_bytes(b"not\xffutf-8 \x1b[1m\n");
    let out = site.out();
    let output = site
        .command(&["-q", "-o", out.to_str().unwrap()], &[odd])
        .run();
    assert_eq!(
        (output.status, &*output.stderr, &*output.stdout),
        (0, "", "")
    );
    assert_eq!(site.copied()[Path::new(odd)], all[Path::new(odd)]);
    let listed = site.command(&["-n"], &[OsStr::new("a/b")]).run();
    let names: Vec<&str> = listed
        .stdout
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(names, ["a/b", "a/b/c"]);

    for (paths, status, said) in [
        (&["a/x"][..], 1, "rootget: a/x: not found in a\n"),
        (&["x"], 1, "rootget: x: not found in the root directory\n"),
        (&["empty/x"], 1, "rootget: empty/x: not found in empty\n"),
        (&["a/../a"], 2, "found .. in it"),
        (
            &["a/b", "many/1", "x/b"],
            2,
            "rootget: b: two paths would come to the same place",
        ),
    ] {
        let site = Site::new(&items);
        let output = site.copy(paths);
        assert_eq!(output.status, status, "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
    }
}

#[test]
fn one_file_is_written_to_standard_output() {
    let site = Site::new(&sample());
    let get = |path: &str| site.command(&["-o", "-"], &[OsStr::new(path)]).run();
    let output = get("a/b/c");
    assert_eq!(
        (output.status, &*output.stdout, &*output.stderr),
        (0, "deep", "")
    );
    for (path, status) in [("a", 2), ("", 2), ("nothing", 1), ("link", 0)] {
        assert_eq!(get(path).status, status, "{path}");
    }
    let output = site.command(&["-o", "-"], &[]).run();
    output.assert_refused(2, "expected the path of one file, found 0 paths");
    let stream = &site.archive.streams[&b"one-more"[..]];
    assert!(site.venti.forget(BlockType::Data, &stream.blocks[1].1));
    let output = get("one-more");
    assert_eq!(output.status, 4, "{output:?}");
    assert!(output.stderr.contains("one-more: damaged: "), "{output:?}");
    let piped = site.command(&["-o", "-"], &[OsStr::new("two-levels")]);
    let output = piped.run_into_closed_pipe();
    assert_eq!((output.status, &*output.stderr), (0, ""));
}

#[test]
fn the_score_stands_in_an_operand_a_file_or_standard_input() {
    let site = Site::new(&[Item::file("x", b"x")]);
    let score = site.archive.score.to_string();
    let file = site.directory.path().join("root.vac");
    let run = |operand: &OsStr, input: &str| {
        let command = Command::new("rootget").args(["-n", "-h", &site.venti.dial()]);
        command.arg(operand).stdin(input.as_bytes()).run()
    };
    for text in [
        score.to_uppercase(),
        format!("vac:{score}\n"),
        format!("{score}\n"),
    ] {
        fs::write(&file, &text).unwrap();
        let operands = [OsString::from(text.trim()), file.clone().into(), "-".into()];
        for operand in operands {
            let output = run(&operand, &text);
            assert_eq!(output.status, 0, "{operand:?}: {output:?}");
            assert_eq!(output.stdout.lines().count(), 1);
        }
    }
    // A log of roots, and a line of ventiroots: the last root counts.
    let other = "1".repeat(40);
    for text in [
        format!("# a\nvac:{other} /dev/a tcp!v!1\nvac:{score} /dev/a tcp!v!1\nwrarena x\n"),
        format!("vac:{score} 2026-11-22T03:07:39Z vac -\n"),
    ] {
        fs::write(&file, &text).unwrap();
        for operand in [file.as_os_str(), "-".as_ref()] {
            assert_eq!(run(operand, &text).status, 0, "{text}");
        }
    }
    for (text, said) in [
        ("", "found 0"),
        ("vac:12\n", "found 2"),
        (&*format!("ext2:{score}"), "found \"ext2:\""),
        (&*format!("{score}\n{score}\n"), "expected"),
        (&*format!("vac:{score}\nvac:12 a b\n"), "found 2"),
    ] {
        fs::write(&file, text).unwrap();
        for operand in [file.as_os_str(), "-".as_ref()] {
            run(operand, text).assert_refused(2, said);
        }
    }
    run("no-such-file".as_ref(), "").assert_refused(2, "no-such-file: expected vac:SCORE");
    let none = Command::new("rootget").arg(&score).run();
    none.assert_refused(2, "please set a venti");
}

#[test]
fn what_is_not_the_root_of_files_is_refused_with_status_4() {
    let site = Site::new(&[Item::file("x", b"x")]);
    let run = |score: &Score| {
        let command = Command::new("rootget").args(["-n", "-h", &site.venti.dial()]);
        command.arg(score.to_string()).run()
    };
    let image = {
        let root = site
            .venti
            .get(BlockType::Root, &site.archive.score)
            .unwrap();
        let mut image = root;
        image[130..134].copy_from_slice(b"ext2");
        site.venti.insert(BlockType::Root, &image)
    };
    let data = site.archive.streams[&b"x"[..]].blocks[0].1;
    for (score, said) in [
        (Score::ZERO, "the score of nothing"),
        (data, "expected a root block, found a data block"),
        (Score::of(b"nowhere"), "not on this venti"),
        (image, "expected type vac, found \"ext2\""),
    ] {
        run(&score).assert_refused(4, said);
    }
}

/// The block of a stream that is lost, and what must be said of it.
fn lose(site: &Site, stream: &Stream, at: usize, corrupt: bool) -> Score {
    let (ty, score) = stream.blocks[at];
    let lost = match corrupt {
        true => site.venti.corrupt(ty, &score),
        false => site.venti.forget(ty, &score),
    };
    assert!(lost, "{ty} {score}");
    score
}

#[test]
fn a_damaged_block_costs_its_file_and_nothing_else() {
    let items = sample();
    for (corrupt, at) in [
        (false, 0),
        (true, 300),
        (false, 700),
        (false, 701),
        (true, 729),
    ] {
        let site = Site::new(&items);
        let stream = site.archive.streams[&b"two-levels"[..]].clone();
        let score = lose(&site, &stream, at.min(stream.blocks.len() - 1), corrupt);
        let output = site.copy(&[]);
        assert_eq!(output.status, 4, "{output:?}");
        let named: Vec<&str> = output
            .stderr
            .lines()
            .filter(|line| line.contains("damaged:"))
            .collect();
        assert_eq!(named.len(), 1, "{output:?}");
        assert!(
            named[0].starts_with("rootget: two-levels: damaged: "),
            "{output:?}"
        );
        assert!(named[0].contains(&score.to_string()), "{output:?}");
        let mut rest = expected(&items);
        rest.remove(Path::new("two-levels"));
        assert_eq!(site.copied(), rest);
        let checked = site.list(&["-n", "-c", "-q"]);
        assert_eq!((checked.status, &*checked.stdout), (4, ""));
        assert!(checked.stderr.contains(&score.to_string()), "{checked:?}");
        assert_eq!(site.list(&["-n"]).status, 0, "a list does not read files");
    }
}

fn output_of_list(site: &Site) -> String {
    site.list(&["-n", "-q"]).stderr
}

#[test]
fn a_damaged_directory_costs_the_files_that_stand_in_the_block() {
    let items = sample();
    // Names: block 3 of the metadata of many.
    let site = Site::new(&items);
    let metadata = site.archive.metadata[&b"many"[..]].clone();
    let score = lose(&site, &metadata, 2, false);
    for output in [site.copy(&[]), site.list(&["-n"])] {
        assert_eq!(output.status, 4, "{output:?}");
        let text = format!(
            "rootget: many: damaged: block 3 of {} of its metadata: ",
            metadata.blocks.len() - 1
        );
        assert!(output.stderr.contains(&text), "{text}: {output:?}");
        assert!(output.stderr.contains(&score.to_string()), "{output:?}");
    }
    let (found, all) = (site.copied(), expected(&items));
    assert!(found.iter().all(|(path, made)| all[path] == *made));
    assert!(
        all.len() - found.len() < 10,
        "{} of {}",
        found.len(),
        all.len()
    );
    let lost = all.len() - found.len();
    let text = format!("rootget: many: damaged: {lost} entries have no name that can be read: ");
    assert!(
        output_of_list(&site).contains(&text),
        "{text}: {}",
        output_of_list(&site)
    );
    // A name that may be among those that are lost is not said to be missing.
    let output = site.copy(&["many/nothing"]);
    assert_eq!(output.status, 4, "{output:?}");

    // Entries: the second block of many has 12 of them.
    let site = Site::new(&items);
    let entries = site.archive.streams[&b"many"[..]].clone();
    let score = lose(&site, &entries, 1, true);
    let output = site.copy(&[]);
    assert_eq!(output.status, 4, "{output:?}");
    let named = output.stderr.lines().filter(|line| {
        line.starts_with("rootget: many/")
            && line.contains(&format!("its entry: directory block {score}"))
    });
    assert_eq!(named.count(), 12, "{output:?}");
    assert_eq!(site.copied().len(), all.len() - 12);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let plain = |name: &[u8]| Item::of(name, 0o644, Content::Sparse(1, vec![(0, b"x".to_vec())]));
    let mut items: Vec<Item> = [
        &b".."[..],
        b".",
        b"",
        b"a/b",
        b"/etc/x",
        b"nul\0",
        &[b'n'; 256],
    ]
    .map(plain)
    .into();
    items.push(Item::directory("..", vec![Item::file("inside", b"x")]));
    items.push(Item::file("good", b"x"));
    for (name, bit) in [("device", mode::DEVICE), ("pipe", mode::PIPE)] {
        let mut special = Item::file(name, b"c 1 3");
        special.mode |= bit;
        items.push(special);
    }
    items.push(Item::link("nul-link", b"a\0b"));
    items.push(Item::link("empty-link", b""));
    items.push(Item::link("cut-link", b"../a/ver\0\0\0"));
    let shape = Shape {
        dsize: 8192,
        psize: 8180,
        ..Shape::default()
    };
    let site = Site::shaped(shape, &items);
    let output = site.copy(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    let refused = output
        .stderr
        .lines()
        .filter(|line| line.contains(": not copied: "));
    assert_eq!(refused.count(), 13, "{output:?}");
    let cut = "only the first 8 of the 11 bytes of its target: ../a/ver\n";
    assert!(output.stderr.contains(cut), "{output:?}");
    assert_eq!(
        site.copied().into_keys().collect::<Vec<_>>(),
        [PathBuf::from("good")]
    );
    let beside = fs::read_dir(site.directory.path()).unwrap();
    assert_eq!(beside.count(), 1, "nothing beside the directory");
    // The check says the same of what it lists; a name of 256 bytes only this disk refuses.
    let output = site.list(&["-nc"]);
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(
        output.stderr.matches(": would not be copied: ").count(),
        12,
        "{output:?}"
    );
    let sum = "every block read, 12 would not be copied
";
    assert!(output.stderr.ends_with(sum), "{output:?}");
}

#[test]
fn no_link_is_followed_and_nothing_is_written_over() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().as_os_str().as_bytes();
    // A link that the archive itself makes, and a directory of the same name.
    let trap = [
        Item::link("trap", target),
        Item::directory("trap", vec![Item::file("x", b"x")]),
        Item::directory("standing", vec![Item::file("x", b"x")]),
        Item::file("file", b"new"),
        Item::directory(
            "there",
            vec![Item::file("old", b"new"), Item::file("more", b"new")],
        ),
    ];
    let shape = Shape {
        dsize: 8192,
        psize: 8180,
        ..Shape::default()
    };
    let site = Site::shaped(shape, &trap);
    let out = site.out();
    fs::create_dir_all(out.join("there")).unwrap();
    fs::set_permissions(out.join("there"), fs::Permissions::from_mode(0o711)).unwrap();
    symlink(elsewhere.path(), out.join("standing")).unwrap();
    symlink(elsewhere.path().join("new"), out.join("file")).unwrap();
    fs::write(out.join("there/old"), "old").unwrap();
    let output = site.copy(&[]);
    assert_eq!(output.status, 1, "{output:?}");
    for name in ["standing", "file", "there", "there/old"] {
        let line = format!("rootget: {name}: not copied: ");
        assert_eq!(output.stderr.matches(&line).count(), 1, "{output:?}");
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert_eq!(fs::read(out.join("there/old")).unwrap(), b"old");
    assert_eq!(fs::read(out.join("there/more")).unwrap(), b"new");
    let mode = fs::metadata(out.join("there"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(
        mode & 0o777,
        0o711,
        "a directory that was there keeps its mode"
    );
    assert_eq!(site.copied().len(), 7, "{:?}", site.copied());

    // Again: nothing is left to do, and that is not what was asked for.
    let before = site.copied();
    let output = site.copy(&["there"]);
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(site.copied(), before);
}

/// Source entries with a directory stream like this, and a metadata stream like that.
fn sources(writer: &Writer<'_>, dir: &[u8], names: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let meta = writer.metadata_of(names);
    [dir, &meta.entry, &meta.entry].concat()
}

#[test]
fn forged_sizes_and_depths_end_in_an_error() {
    let name = |name: &str, number| {
        let item = Item::file(name, b"");
        (
            entry_of(&item, number, number + 1, 8),
            name.as_bytes().to_vec(),
        )
    };
    // A file whose entry says this of itself.
    let file = |change: &dyn Fn(&mut Vec<u8>)| {
        Site::forged(|writer| {
            let data = writer.put(BlockType::Data, &[7; 300]);
            let mut entry = writer.entry(false, 0, 300, data);
            change(&mut entry);
            let good = writer.sparse(false, 4, &[(0, b"good".to_vec())]);
            let dir = writer.sparse(true, 80, &[(0, [entry, good.entry].concat())]);
            sources(writer, &dir.entry, &[name("bad", 0), name("good", 1)])
        })
    };
    let size =
        |entry: &mut Vec<u8>, size: u64| entry[14..20].copy_from_slice(&size.to_be_bytes()[2..]);
    let sites = [
        (
            "a data block size of at least 256",
            file(&|entry| entry[6..8].fill(0)),
        ),
        (
            "a pointer block size of at least 256",
            file(&|entry| entry[4..6].fill(0)),
        ),
        (
            "expected a size of at most 512 bytes",
            file(&|entry| size(entry, 513)),
        ),
        (
            "expected a size of at most",
            file(&|entry| size(entry, (1 << 48) - 1)),
        ),
        // A data block as pointers of 7 levels: no such block.
        ("not on this venti", file(&|entry| entry[8] |= 7 << 2)),
        (
            "expected a size of at most 256 bytes, found 300",
            file(&|entry| entry[6..8].copy_from_slice(&[1, 0])),
        ),
    ];
    for (said, site) in sites {
        let output = site.copy(&[]);
        assert_eq!(output.status, 4, "{said}: {output:?}");
        assert!(output.stderr.contains(said), "{said}: {output:?}");
        assert_eq!(
            site.copied().into_keys().collect::<Vec<_>>(),
            [PathBuf::from("good")]
        );
    }
    // All of it a hole.
    let site = file(&|entry| {
        entry[8] |= 7 << 2;
        size(entry, (1 << 48) - 1);
        entry[20..].copy_from_slice(Score::ZERO.as_bytes());
    });
    let output = site.list(&["-n", "-c"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stdout.contains(" 281474976710655 "), "{output:?}");
}

#[test]
fn forged_directories_end_in_an_error() {
    // Metadata of 2^40 bytes, all of it a hole but for the top.
    let site = Site::forged(|writer| {
        let mut meta = writer.sparse(false, 1 << 40, &[(0, vec![1])]).entry;
        meta[14] = 1;
        let dir = writer.sparse(true, 40, &[(0, vec![1; 40])]);
        [&dir.entry[..], &meta, &meta].concat()
    });
    for output in [site.list(&["-n"]), site.copy(&[]), site.copy(&["x"])] {
        assert_eq!(output.status, 4, "{output:?}");
        assert!(
            output
                .stderr
                .contains("expected at most 1048576 blocks, found"),
            "{output:?}"
        );
    }
    // Directories one inside the other, more than are followed.
    let site = Site::forged(|writer| {
        let mut item = Item::directory("d", Vec::new());
        item.mode |= mode::DIRECTORY;
        let names = [(entry_of(&item, 0, 1, 8), b"d".to_vec())];
        let meta = writer.metadata_of(&names).entry;
        let mut dir = writer.sparse(true, 0, &[]).entry;
        for _ in 0..2000 {
            dir = writer
                .sparse(true, 80, &[(0, [&dir[..], &meta].concat())])
                .entry;
        }
        sources(writer, &dir, &names)
    });
    for output in [site.list(&["-n", "-q"]), site.copy(&[])] {
        assert_eq!(output.status, 4, "{}", output.stderr.len());
        assert!(
            output
                .stderr
                .contains("expected at most 1024 directories one inside the other")
        );
    }
    // Left to the system, a test could not remove it.
    let removed = std::process::Command::new("rm")
        .arg("-rf")
        .arg(site.out())
        .status();
    assert!(removed.unwrap().success());
    // Names that say that they are directories, and entries that say otherwise.
    let site = Site::forged(|writer| {
        let entry = writer.sparse(false, 4, &[(0, b"file".to_vec())]).entry;
        let dir = writer.sparse(true, 40, &[(0, entry)]);
        let mut item = Item::directory("d", Vec::new());
        item.mode |= mode::DIRECTORY;
        let beyond = Item::file("beyond", b"");
        let names = [
            (entry_of(&item, 0, 1, 8), b"d".to_vec()),
            (entry_of(&beyond, u32::MAX, 0, 8), b"beyond".to_vec()),
        ];
        sources(writer, &dir.entry, &names)
    });
    let output = site.copy(&[]);
    assert_eq!(output.status, 4, "{output:?}");
    assert!(
        output
            .stderr
            .contains("rootget: d: damaged: expected the entry of a directory"),
        "{output:?}"
    );
    assert!(site.copied().is_empty());
}

/// More names than there are atoms, of a few hundred blocks.
#[test]
fn directories_that_are_shared_without_end_take_little_memory() {
    let venti = Venti::start();
    let shape = Shape {
        dsize: 8192,
        psize: 8180,
        ..Shape::default()
    };
    let writer = Writer::new(&venti, shape);
    let names: Vec<_> = (0..64)
        .map(|number| {
            let mut item = Item::directory(&format!("d{number}"), Vec::new());
            item.mode |= mode::DIRECTORY;
            (entry_of(&item, 2 * number, 2 * number + 1, 8), item.name)
        })
        .collect();
    let meta = writer.metadata_of(&names).entry;
    let mut dir = writer.sparse(true, 0, &[]).entry;
    for _ in 0..400 {
        let both = [&dir[..], &meta].concat().repeat(64);
        dir = writer.sparse(true, both.len() as u64, &[(0, both)]).entry;
    }
    let score = writer.root(&sources(&writer, &dir, &names));
    let command = Command::new("rootget").args(["-n", "-q", "-h", &venti.dial()]);
    let mut running = command.arg(score.to_string()).start();
    while venti.counts().reads < 2000 && running.is_running() {
        thread::sleep(Duration::from_millis(20));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    running.kill();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most = most.and_then(|line| line.split_whitespace().next());
    let most: u64 = most.unwrap().parse().unwrap();
    assert!(most < 128 << 10, "{most} KiB");
}

/// Whether a file without a name can be made there.
fn has_nameless_files(directory: &Path) -> bool {
    let flags = OFlags::RDWR | OFlags::TMPFILE;
    openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR).is_ok()
}

#[test]
fn a_run_that_is_killed_leaves_no_half_file_under_a_name() {
    let items: Vec<Item> = (0..30)
        .map(|n| Item::file(&format!("f{n}"), &bytes(n, 20_000)))
        .collect();
    let all = expected(&items);
    for read in [20, 100, 400] {
        let site = Site::new(&items);
        site.venti.fault(Fault::from(On::Read, read, How::Silence));
        let out = site.out();
        let mut running = site.command(&["-o", out.to_str().unwrap()], &[]).start();
        while site.venti.counts().reads < read {
            thread::sleep(Duration::from_millis(5));
        }
        running.kill();
        drop(running.wait());
        if has_nameless_files(site.directory.path()) {
            let left = site.copied().into_keys();
            let left: Vec<_> = left.filter(|path| !all.contains_key(path)).collect();
            assert!(left.is_empty(), "{left:?}");
        }
        for (path, made) in site.copied() {
            let name = path.to_str().unwrap();
            assert!(
                name.starts_with(".rootget.") || all[&path] == made,
                "{name}"
            );
        }
        // The next run brings the rest.
        site.venti.heal();
        let output = site.copy(&[]);
        assert!([0, 1].contains(&output.status), "{output:?}");
        let mut found = site.copied();
        found.retain(|path, _| !path.to_str().unwrap().starts_with(".rootget."));
        assert_eq!(found, all);
    }
}

#[test]
fn a_venti_that_is_lost_ends_the_copy_and_leaves_nothing_half_done() {
    let items: Vec<Item> = (0..30)
        .map(|n| Item::file(&format!("f{n}"), &bytes(n, 20_000)))
        .collect();
    let all = expected(&items);
    let site = Site::new(&items);
    site.venti.fault(Fault::from(On::Read, 400, How::Close));
    let output = site.copy(&[]);
    assert_eq!(output.status, 6, "{output:?}");
    assert!(site.copied().iter().all(|(path, made)| all[path] == *made));
}

#[test]
fn a_full_disk_is_named_and_ends_the_copy() {
    let Some(small) = Tmpfs::mount("256k") else {
        venti_tests::command::skipped("a full disk: cannot mount a tmpfs");
        return;
    };
    let items: Vec<Item> = (0..30)
        .map(|n| Item::file(&format!("f{n:02}"), &bytes(n, 20_000)))
        .collect();
    let site = Site::new(&items);
    let out = small.path().join("out");
    let output = site.command(&["-o", out.to_str().unwrap()], &[]).run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.lines().count() < 25, "{output:?}");
    assert!(
        output.stderr.contains("no space left on device"),
        "{output:?}"
    );
    let last = output.stderr.lines().last().unwrap();
    assert!(last.contains("the copy is not complete"), "{output:?}");
    let all = expected(&items);
    assert!(
        made(&out).iter().all(|(path, made)| all[path] == *made),
        "no half file"
    );
}

#[test]
fn what_was_copied_is_compared_with_the_archive() {
    let site = Site::new(&[
        Item::file("f", &bytes(1, 5000)),
        Item::file("g", &bytes(2, 5000)),
    ]);
    // The pointer blocks are read once more to compare; meanwhile a file changes.
    let reads = 4 + 2 + 20;
    site.venti.fault(Fault::at(
        On::Read,
        reads + 1,
        How::Late(Duration::from_secs(2)),
    ));
    let out = site.out();
    let running = site
        .command(&["-c", "-o", out.to_str().unwrap()], &[])
        .start();
    while site.venti.counts().reads <= reads {
        thread::sleep(Duration::from_millis(5));
    }
    let mut content = fs::read(out.join("f")).unwrap();
    content[3000] ^= 1;
    let time = fs::metadata(out.join("f")).unwrap().modified().unwrap();
    fs::write(out.join("f"), content).unwrap();
    let file = fs::File::options().write(true).open(out.join("f")).unwrap();
    file.set_modified(time).unwrap();
    let output = running.wait();
    assert_eq!(output.status, 4, "{output:?}");
    let said = "rootget: f: copied, but differs from the archive: expected a block with score ";
    assert!(output.stderr.contains(said), "{output:?}");
    assert!(!output.stderr.contains("rootget: g"), "{output:?}");
}

#[test]
fn every_golden_archive_is_listed_and_checked() {
    let mut archives = 0;
    for name in golden::PARTITIONS {
        let venti = Venti::start();
        for (ty, data) in golden::blocks(&format!("{name}.part")) {
            let _ = venti.insert(ty, &data);
        }
        let json = golden::json(&format!("{name}.json"));
        for root in json["roots"].as_array().into_iter().flatten() {
            let score = root["score"].as_str().unwrap();
            let command = Command::new("rootget").args(["-n", "-c", "-h", &venti.dial(), score]);
            let output = command.run();
            assert_eq!(output.status, 0, "{root}: {output:?}");
            assert!(
                output.stderr.contains("all there, every block read"),
                "{output:?}"
            );
            archives += 1;
        }
    }
    assert!(archives >= 19, "{archives}");
    let venti = golden::archives();
    for (score, _) in ARCHIVES {
        let command = Command::new("rootget").args(["-n", "-c", "-h", &venti.dial(), score]);
        let output = command.run();
        assert_eq!(output.status, 0, "{score}: {output:?}");
        assert!(output.stdout.contains(" active/"), "{output:?}");
    }
}

#[test]
fn the_arenas_of_a_venti_that_is_lost_are_read_from_their_partition() {
    let mut archives = 0;
    for name in golden::PARTITIONS {
        let directory = tempfile::tempdir().unwrap();
        let part = golden::unpack(&format!("{name}.part"), directory.path());
        let host = format!("part:{}", part.display());
        let json = golden::json(&format!("{name}.json"));
        for root in json["roots"].as_array().into_iter().flatten() {
            let score = root["score"].as_str().unwrap();
            let output = Command::new("rootget")
                .args(["-n", "-c", "-h", &host, score])
                .run();
            assert_eq!(output.status, 0, "{root}: {output:?}");
            archives += 1;
        }
        let none = Command::new("rootget").args(["-n", "-h", &host]);
        let none = none.arg(Score::of(b"nowhere").to_string()).run();
        none.assert_refused(4, "root block ");
    }
    assert!(archives >= 19, "{archives}");
}

#[test]
fn damage_in_a_partition_costs_the_file_it_hits() {
    let items = sample();
    let site = Site::new(&items);
    let path = site.directory.path().join("arenas");
    let builder = PartitionBuilder::new().name("arena");
    let mut partition = builder.arenas(2, 4 << 20).create(&path).unwrap();
    for (ty, score) in site.venti.blocks() {
        let block = site.venti.get(ty, &score).unwrap();
        partition.append(ty.to_disk(), &block).unwrap();
    }
    partition.flush().unwrap();
    let host = format!("part:{}", path.display());
    let out = site.out();
    let run = || {
        let command = Command::new("rootget").args(["-h", &host, "-o"]);
        command.arg(&out).arg(site.archive.score.to_string()).run()
    };
    let output = run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.copied(), expected(&items));
    let removed = std::process::Command::new("rm")
        .arg("-rf")
        .arg(&out)
        .status();
    assert!(removed.unwrap().success());

    let mut content = fs::read(&path).unwrap();
    let wanted = &bytes(1, 512)[..];
    let at = content.windows(512).position(|window| window == wanted);
    content[at.unwrap() + 100] ^= 1;
    fs::write(&path, content).unwrap();
    let output = run();
    assert_eq!(output.status, 4, "{output:?}");
    let named = "rootget: one-block: damaged: data block ";
    assert!(output.stderr.contains(named), "{output:?}");
    assert!(output.stderr.contains("hashes to"), "{output:?}");
    let mut rest = expected(&items);
    rest.remove(Path::new("one-block"));
    assert_eq!(site.copied(), rest);

    let empty = site.directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    for (path, status) in [("nothing", 1), ("empty", 1)] {
        let host = format!("part:{}", site.directory.path().join(path).display());
        let command = Command::new("rootget").args(["-n", "-h", &host]);
        let output = command.arg(site.archive.score.to_string()).run();
        assert_eq!(output.status, status, "{output:?}");
        assert!(output.stderr.contains(path), "{output:?}");
    }
}

/// What the fossil itself said of its files when the archive was taken.
#[test]
fn the_files_of_a_golden_fossil_are_those_that_it_served() {
    let venti = golden::archives();
    let manifest = golden::json("fossil/manifest.json");
    let names = ["archived-8k", "archived2-8k", "archived-4k"];
    for (name, (score, _)) in names.iter().zip(ARCHIVES) {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let command = Command::new("rootget").args(["-c", "-h", &venti.dial(), "-o"]);
        let output = command.arg(&out).args([score, "active"]).run();
        assert_eq!(output.status, 0, "{output:?}");
        let mut found = made(&out);
        let tree = manifest["partitions"][name]["tree"].as_object().unwrap();
        let active = tree.iter().filter(|(path, _)| path.starts_with("/active"));
        for (path, node) in active {
            let made = found
                .remove(Path::new(&path[1..]))
                .unwrap_or_else(|| panic!("{path}"));
            let mode = node["mode"].as_str().unwrap().trim_start_matches("0o");
            let mode = u32::from_str_radix(mode, 8).unwrap() & 0o777;
            assert_eq!(made.mode, mode, "{path}");
            if node["type"] == "f" {
                let score = Score::of(&made.content).to_string();
                assert_eq!(node["sha1"], score, "{path}");
                assert_eq!(node["mtime"], made.mtime, "{path}");
            }
        }
        assert!(found.is_empty(), "{found:?}");
    }
}
