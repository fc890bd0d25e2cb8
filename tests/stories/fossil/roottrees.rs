//! rootcheck: whatever tree a root leads to, each of its blocks is read, and once; bad
//! blocks are named; what was made to be endless is at its end soon, in little memory.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use venti_tests::command::{Command, Output};
use venti_tests::hashtree::HashTree;
use venti_tests::random::Random;
use venti_tests::vac::{Item, Shape, Writer};
use venti_tests::venti::Venti;
use venticore::codec::blocktype::{BlockName, BlockType};
use venticore::codec::score::Score;

/// The memory that a run may take, KiB.
const MEMORY: u64 = 96 << 10;

fn command(venti: &Venti, arguments: &[&str]) -> Command {
    let command = Command::new("rootcheck").args(["-h", &venti.dial()]);
    command.args(arguments)
}

fn check(venti: &Venti, arguments: &[&str], score: &Score) -> Output {
    command(venti, arguments).arg(score.to_string()).run()
}

/// The blocks of these types, in order.
fn of(tree: &HashTree, is: impl Fn(BlockType) -> bool) -> Vec<(BlockType, Score)> {
    let blocks = tree.blocks.iter().copied();
    blocks.filter(|(ty, _)| is(*ty)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn exactly_the_blocks_that_a_root_leads_to_are_read(seed: u64, at: prop::sample::Index) {
        let venti = Venti::start();
        let tree = HashTree::draw(&venti, seed);
        // What no root leads to is left alone.
        let other = HashTree::draw(&venti, !seed);
        venti.note();
        let output = check(&venti, &["-c"], &tree.score);
        let [read, asked] = venti.take_noted();
        let all: Vec<_> = tree.blocks.iter().copied().collect();
        prop_assert_eq!(&read, &all, "{:?}", output);
        prop_assert!(asked.is_empty() && output.status == 0, "{:?}", output);
        let line = format!("vac:{} {} whole {} ", tree.score, venti.dial(), all.len());
        prop_assert!(output.stdout.starts_with(&line), "{:?}", output);

        // By name nothing is left out of what is not a fossil's.
        venti.note();
        let output = check(&venti, &[], &tree.score);
        let [read, _] = venti.take_noted();
        let read: BTreeSet<_> = read.into_iter().collect();
        prop_assert_eq!(&read, &tree.blocks, "{:?}", output);

        // Data is asked for, once.
        venti.note();
        let output = check(&venti, &["-ac"], &tree.score);
        let [read, mut asked] = venti.take_noted();
        prop_assert_eq!(read, of(&tree, |ty| ty != BlockType::Data), "{:?}", output);
        asked.retain(|(ty, _)| *ty == BlockType::Data);
        prop_assert_eq!(asked, of(&tree, |ty| ty == BlockType::Data), "{:?}", output);
        prop_assert!(output.stdout.contains(" present "), "{:?}", output);

        let (ty, bad) = *at.get(&all);
        let is_gone = venti.forget(ty, &bad);
        prop_assert!(is_gone);
        let output = check(&venti, &["-c"], &tree.score);
        prop_assert!(output.stderr.contains(&BlockName(ty, bad).to_string()), "{:?}", output);
        let is_missing = output.stderr.contains(": not on this venti\n");
        prop_assert!(output.status == 4 && is_missing, "{:?}", output);
        let _ = other;
    }
}

/// Files and directories three deep.
fn items(random: &mut Random, nest: usize) -> Vec<Item> {
    let mut items = Vec::new();
    for number in 0..4 {
        let len = [0, 20, 512, 513, 9000][random.below(5)];
        // No two directories are alike.
        let name = format!("file {number} {}", random.below(1 << 30));
        items.push(Item::file(&name, &random.bytes(len)));
    }
    if nest > 0 {
        for number in 0..2 {
            let below = self::items(random, nest - 1);
            let name = format!("directory {number} {}", random.below(1 << 30));
            items.push(Item::directory(&name, below));
        }
    }
    items
}

#[test]
fn each_block_is_named_by_the_path_of_its_file() {
    let shapes = [
        Shape::default(),
        Shape {
            fossil: true,
            version: 9,
            old_magic: false,
            ..Shape::default()
        },
    ];
    for shape in shapes {
        let venti = Venti::start();
        let archive = Writer::new(&venti, shape).archive(&items(&mut Random::new(5), 2));
        assert_eq!(check(&venti, &[], &archive.score).status, 0);
        let streams = archive.streams.iter().map(|of| (of, ""));
        let metadata = archive.metadata.iter().map(|of| (of, ": metadata"));
        let mut named = 0;
        for ((path, stream), suffix) in streams.chain(metadata) {
            let path = String::from_utf8(path.clone()).unwrap();
            let expected = format!("/{path}{suffix}");
            // The first ones are leaves, the last is the top.
            let last = stream.blocks.len().saturating_sub(1);
            for at in BTreeSet::from([0, 1, last]) {
                let Some(&(ty, score)) = stream.blocks.get(at) else {
                    continue;
                };
                let block = venti.get(ty, &score).unwrap();
                assert!(venti.forget(ty, &score));
                let output = check(&venti, &["-j"], &archive.score);
                let json: Value = serde_json::from_str(&output.stdout).unwrap();
                let bad = &json["found"]["bad"][0];
                assert_eq!(bad["score"], score.to_string(), "{output:?}");
                assert_eq!(bad["path"], expected, "{output:?}");
                if ty == BlockType::Data {
                    assert_eq!(bad["offset"], at * 512, "{output:?}");
                }
                let _ = venti.insert(ty, &block);
                named += 1;
            }
        }
        assert!(named > 50, "{named}");
    }
}

/// Runs it to its end, and says the most memory that it took, in KiB.
fn peak(command: Command) -> (Output, u64) {
    let mut run = command.start();
    let status = format!("/proc/{}/status", run.id());
    let mut peak = 0;
    while run.is_running() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak = peak.max(found.unwrap_or(0));
        thread::sleep(Duration::from_millis(10));
    }
    (run.wait(), peak)
}

/// The bytes of an entry in use.
fn entry(directory: bool, depth: u8, size: u64, score: Score) -> Vec<u8> {
    let mut entry = vec![0, 0, 0, 0, 0x1f, 0xe0, 0x20, 0];
    entry.push(1 | u8::from(directory) << 1 | depth << 2);
    entry.extend([0; 5]);
    entry.extend(&size.to_be_bytes()[2..]);
    entry.extend(score.as_bytes());
    entry
}

/// A root above these entries.
fn root(venti: &Venti, entries: &[Vec<u8>]) -> Score {
    let top = venti.insert(BlockType::Dir, &entries.concat());
    let mut root = vec![0, 2];
    root.resize(130, 0);
    root.extend(b"vac");
    root.resize(258, 0);
    root.extend(top.as_bytes());
    root.extend([0x20, 0]);
    root.extend([0; 20]);
    venti.insert(BlockType::Root, &root)
}

/// Pointer blocks up to this level, each full of the one below.
fn tower(venti: &Venti, leaf: Score, levels: u8) -> Score {
    (1..=levels).fold(leaf, |below, level| {
        venti.insert(BlockType::Pointer(level), &below.as_bytes().repeat(408))
    })
}

/// A directory of directories, each many times over in the one above.
fn nested(venti: &Venti, levels: usize, times: usize) -> Vec<u8> {
    let mut score = venti.insert(BlockType::Dir, b"");
    for _ in 0..levels {
        let inner = entry(true, 0, 80, score);
        score = venti.insert(BlockType::Dir, &inner.repeat(times));
    }
    entry(true, 0, 8000, score)
}

/// What is forged, how the run ends, and what it says.
fn forged(venti: &Venti) -> Vec<(Vec<u8>, i32, &'static str)> {
    let leaf = venti.insert(BlockType::Data, &[7; 8192]);
    let top = tower(venti, leaf, 7);
    let most = (1 << 48) - 1;
    let with = |at: usize, bytes: &[u8], mut entry: Vec<u8>| {
        entry[at..at + bytes.len()].copy_from_slice(bytes);
        entry
    };
    let file = entry(false, 0, 8192, leaf);
    vec![
        // All blocks are there, few as they are.
        (entry(false, 7, most, top), 0, ""),
        (nested(venti, 200, 200), 0, ""),
        (
            entry(false, 0, most, leaf),
            4,
            "expected a size of at most 8192 bytes, found 281474976710655",
        ),
        (
            with(6, &[0, 0], file.clone()),
            4,
            "expected a data block size of at least 256",
        ),
        (
            with(4, &[0, 0], file.clone()),
            4,
            "expected a pointer block size of at least 256",
        ),
        (
            with(4, &[0; 4], file.clone()),
            4,
            "block size of at least 256",
        ),
        (entry(false, 7, most, leaf), 4, "not on this venti"),
        (entry(true, 0, most, leaf), 4, "not on this venti"),
        (entry(true, 7, most, top), 4, "not on this venti"),
        // Sizes in the encoding of large ones, as large as they come.
        (
            with(
                4,
                &[0xff, 0xff, 0xff, 0xff, 0x5d],
                entry(false, 7, most, top),
            ),
            0,
            "",
        ),
        (
            nested(venti, 70_000, 1),
            4,
            "expected at most 65536 directories inside one another",
        ),
    ]
}

#[test]
fn forged_trees_are_at_their_end_soon_in_little_memory() {
    let venti = Venti::start();
    for (entry, status, says) in forged(&venti) {
        let score = root(&venti, &[entry]);
        for options in ["-cv", "-acv"] {
            let (output, peak) = peak(command(&venti, &[options]).arg(score.to_string()));
            assert_eq!(output.status, status, "{says}: {output:?}");
            assert!(output.stderr.contains(says), "{says}: {output:?}");
            assert!(peak < MEMORY, "{says}: {peak} KiB: {output:?}");
        }
    }
}

/// Directories beside one another, a long way down, each with a few files at its end. What
/// was read and not looked into yet would be more than may be held at a time.
#[test]
fn a_wide_and_deep_tree_is_walked_in_little_memory() {
    const LEVELS: u32 = 40;
    const WIDE: u32 = 200;
    const FILES: u32 = 20;
    let venti = Venti::start();
    let leaf = venti.insert(BlockType::Data, b"leaf");
    let mut inner = entry(false, 0, 4, leaf);
    for level in 0..LEVELS {
        let directories = (0..WIDE).map(|number| {
            let first = if number == 0 {
                inner.clone()
            } else {
                vec![0; 40]
            };
            let gap = vec![0; 40 * (203 - FILES as usize)];
            // None of the files is there, and no two are alike.
            let files = (0..FILES).flat_map(|file| {
                let id = [level, number, file].map(u32::to_be_bytes).concat();
                entry(false, 0, 4, Score::of(&id))
            });
            let block = [first, gap, files.collect()].concat();
            entry(
                true,
                0,
                block.len() as u64,
                venti.insert(BlockType::Dir, &block),
            )
        });
        let block = directories.collect::<Vec<_>>().concat();
        let score = venti.insert(BlockType::Dir, &block);
        inner = entry(true, 0, block.len() as u64, score);
    }
    let score = root(&venti, &[inner]);
    let (output, peak) = peak(command(&venti, &["-cj"]).arg(score.to_string()));
    assert_eq!(output.status, 4, "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let found = &json["found"];
    assert_eq!(found["missing"], LEVELS * WIDE * FILES, "{output:?}");
    // The root, the block below it, and the leaf at the end.
    assert_eq!(found["read"], LEVELS * (WIDE + 1) + 3, "{output:?}");
    assert!(peak < 48 << 10, "{peak} KiB");
}

/// A file that is gone, in a directory whose metadata says that it has 2^47 bytes.
#[test]
fn a_name_is_looked_for_in_a_limited_part_of_metadata() {
    let venti = Venti::start();
    let gone = entry(false, 0, 5, Score::of(b"gone"));
    let dir = venti.insert(BlockType::Dir, &gone);
    let hole = tower(&venti, venti.insert(BlockType::Data, &[0x56; 8192]), 7);
    for size in [1 << 47, 1 << 27] {
        let meta = entry(false, 7, size, hole);
        let own = entry(false, 0, 5, hole);
        let score = root(&venti, &[entry(true, 0, 40, dir), meta, own]);
        let (output, peak) = peak(command(&venti, &["-c"]).arg(score.to_string()));
        assert_eq!(output.status, 4, "{output:?}");
        assert!(
            output.stderr.contains("/: entry 0: data block"),
            "{output:?}"
        );
        assert!(peak < MEMORY, "{peak} KiB");
    }
}
