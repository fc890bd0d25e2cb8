//! ventiroots: every root in the arenas, once, whatever is damaged beside it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::{Command, Output};
use venti_tests::golden;
use venti_tests::random::Random;
use venti_tests::venti::Venti;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

/// A root block, field by field as venti.md 8.1 has it.
fn root(name: &[u8], kind: &[u8], top: u8, prev: [u8; 20]) -> Vec<u8> {
    let mut block = vec![0, 2];
    for text in [name, kind] {
        let end = block.len() + 128;
        block.extend(text);
        block.resize(end, 0);
    }
    block.extend([top; 20]);
    block.extend([0x20, 0]);
    block.extend(prev);
    block
}

fn roots(options: &[&str], partition: &Path) -> Output {
    Command::new("ventiroots")
        .args(options)
        .arg(partition)
        .run()
}

/// The scores of a list.
fn scores(output: &Output) -> Vec<String> {
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    output.stdout.lines().map(first).collect()
}

/// A partition of two arenas that are full and one that is being filled, and the
/// roots in it.
struct Filled {
    _directory: TempDir,
    path: PathBuf,
    partition: Partition,
    /// The arena of each root, its clump's number there, and its score.
    roots: Vec<(usize, usize, Score)>,
}

impl Filled {
    fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("arenas");
        let builder = PartitionBuilder::new().arenas(4, 1 << 17).seed(seed);
        let mut partition = builder.create(&path).unwrap();
        let mut random = Random::new(seed);
        let mut roots = Vec::new();
        while partition.arenas()[2].counters().clumps < 8 {
            let top = u8::try_from(roots.len() + 1).unwrap();
            let placed = match random.below(4) {
                0 => partition.append(1, &root(b"", b"vac", top, [0; 20])),
                _ => partition.append(13, &random.bytes(2000)),
            };
            placed.unwrap();
            let mut arenas = partition.arenas().iter().enumerate();
            let (arena, now) = arenas.rfind(|(_, a)| !a.clumps().is_empty()).unwrap();
            let last = now.clumps().last().unwrap();
            if last.block_type == 1 {
                roots.push((arena, now.clumps().len() - 1, last.score));
            }
        }
        partition.sync().unwrap();
        Filled {
            _directory: directory,
            path,
            partition,
            roots,
        }
    }

    /// What the command should list, but for the roots of these clumps.
    fn expected(&self, without: &[(usize, usize)]) -> Vec<String> {
        let left = |root: &&(usize, usize, Score)| !without.contains(&(root.0, root.1));
        let left = self.roots.iter().filter(left);
        let mut scores: Vec<_> = left.map(|root| format!("vac:{}", root.2)).collect();
        scores.sort();
        scores
    }
}

fn sorted(output: &Output) -> Vec<String> {
    let mut scores = scores(output);
    scores.sort();
    scores
}

#[test]
fn the_roots_of_golden_partitions_are_those_of_their_manifests() {
    let directory = tempfile::tempdir().unwrap();
    for name in golden::PARTITIONS {
        let partition = golden::unpack(&format!("{name}.part"), directory.path());
        let manifest = golden::json(&format!("{name}.json"));
        let listed = manifest["roots"].as_array().unwrap().iter();
        let mut expected: Vec<_> = listed.map(|root| root["score"].as_str().unwrap()).collect();
        expected.sort_unstable();
        for options in [&["-a"][..], &["-a", "--every-clump"]] {
            let output = roots(options, &partition);
            assert_eq!((output.status, &*output.stderr), (0, ""), "{name}");
            assert_eq!(sorted(&output), expected, "{name}");
        }
        for root in manifest["roots"].as_array().unwrap() {
            let output = roots(&["-aj"], &partition);
            let mut lines = output.stdout.lines();
            let line = lines.find(|line| line.contains(root["score"].as_str().unwrap()));
            let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
            assert_eq!(line["name"], root["name"]);
            assert_eq!(line["type"], root["type"]);
        }
    }
}

/// Two archives of one fossil: the second names the first. Beside them what its
/// console's `vac` command made.
#[test]
fn a_root_that_a_later_one_names_is_left_out_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let partition = golden::unpack("fossil/arenas.part", directory.path());
    let all = roots(&["-a"], &partition);
    insta::assert_snapshot!(all.stdout);
    assert_eq!((all.status, &*all.stderr), (0, ""));
    let output = roots(&[], &partition);
    let first = "vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00";
    let left: Vec<_> = scores(&all).into_iter().filter(|s| s != first).collect();
    assert_eq!(scores(&output), left);
    assert!(
        output
            .stderr
            .contains("roots left out: 1; a later root names each as the one before it; -a lists"),
        "{output:?}"
    );
    assert_eq!(roots(&["-q"], &partition).stderr, "");
    let json = roots(&["-aj"], &partition).stdout;
    let last = json.lines().last().unwrap();
    let place = partition.to_str().unwrap();
    insta::assert_snapshot!(last.replace(place, "arenas.part"));
}

#[test]
fn every_root_is_found_once_whichever_way_it_is_looked_for() {
    for seed in 0..8 {
        let mut filled = Filled::new(seed);
        assert!(filled.roots.len() > 3);
        let file = filled.path.with_file_name("arena");
        filled.partition.extract(1, &file).unwrap();
        for options in [&["-a"][..], &["-a", "--every-clump"]] {
            let output = Command::new("ventiroots").args(options);
            let output = output.arg(&filled.path).arg(&file).arg(&filled.path).run();
            assert_eq!((output.status, &*output.stderr), (0, ""));
            assert_eq!(sorted(&output), filled.expected(&[]));
        }
    }
}

#[test]
fn what_is_whole_is_found_beside_damage() {
    for seed in 0..8 {
        let mut filled = Filled::new(seed);
        // A trailer, a block of a directory, and a root of the arena that is being filled.
        let trailer = filled.partition.arenas()[0].trailer_offset();
        filled.partition.write_raw(trailer, &[0x5a; 512]).unwrap();
        let block = filled.partition.arenas()[1].entry_offset(0) / 8192 * 8192;
        filled.partition.write_raw(block, &[0xa5; 8192]).unwrap();
        let output = roots(&["-a"], &filled.path);
        assert_eq!(output.status, 3, "{output:?}");
        assert_eq!(
            sorted(&output),
            filled.expected(&[]),
            "seed {seed}: {output:?}"
        );
        let (arena, number, _) = *filled.roots.last().unwrap();
        filled.partition.flip_data(arena, number, 5).unwrap();
        let output = roots(&["-a"], &filled.path);
        assert_eq!(output.status, 3, "{output:?}");
        assert_eq!(
            sorted(&output),
            filled.expected(&[(arena, number)]),
            "seed {seed}"
        );
        assert!(
            output.stderr.contains("a root among them is not listed"),
            "{output:?}"
        );
    }
}

/// A directory whose sizes add up is believed; a type in it may be wrong all the same.
#[test]
fn a_root_that_its_directory_calls_data_is_found_by_every_clump() {
    let mut filled = Filled::new(3);
    let (arena, number, _) = filled.roots[1];
    filled
        .partition
        .edit_entry(arena, number, |entry| entry[0] = 13)
        .unwrap();
    let output = roots(&["-a"], &filled.path);
    assert_eq!(sorted(&output), filled.expected(&[(arena, number)]));
    let output = roots(&["-a", "--every-clump"], &filled.path);
    assert_eq!(sorted(&output), filled.expected(&[]));
}

/// What a server wrote last is in no directory and no trailer yet.
#[test]
fn a_root_that_the_trailer_does_not_count_yet_is_found() {
    let mut filled = Filled::new(5);
    let late = root(b"", b"vac", 0xee, [0; 20]);
    let block = venti_tests::arena::Block::pack(1, &late);
    filled.partition.append_uncounted(2, &[block]).unwrap();
    let mut expected = filled.expected(&[]);
    expected.push(format!("vac:{}", Score::of(&late)));
    expected.sort();
    let output = roots(&["-a"], &filled.path);
    assert_eq!((output.status, sorted(&output)), (0, expected));
}

#[test]
fn what_a_root_says_is_one_word_of_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas");
    let builder = PartitionBuilder::new().arenas(1, 1 << 17);
    let mut partition = builder.create(&path).unwrap();
    let mut unknown = root(b"", b"vac", 9, [0; 20]);
    unknown[1] = 7;
    for block in [
        root(b"two words\nand a line\x1b[2J", b"ext2", 1, [0; 20]),
        root(b"\xff\xfe", b"a b\n", 2, [0; 20]),
        root(b"fossil", b"vac", 3, [0; 20]),
        unknown,
    ] {
        partition.append(1, &block).unwrap();
    }
    partition.sync().unwrap();
    let output = roots(&["-a"], &path);
    assert_eq!(output.status, 0, "{output:?}");
    let words = |line: &str| line.split(' ').skip(2).collect::<Vec<_>>().join(" ");
    let words: Vec<_> = output.stdout.lines().map(words).collect();
    let expected = [
        "ext2 two_words\\nand_a_line\\u{1b}[2J",
        "a_b\\n \u{fffd}\u{fffd}",
        "fossil fossil",
        "unknown -",
    ];
    assert_eq!(words, expected);
    let labels = scores(&output);
    assert!(labels[0].starts_with("ext2:") && labels[1].starts_with("vac:"));
}

#[test]
fn a_venti_is_asked_for_each_root() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas");
    let builder = PartitionBuilder::new().arenas(1, 1 << 17);
    let mut partition = builder.create(&path).unwrap();
    let venti = Venti::start();
    let blocks = [1, 2, 3].map(|top| root(b"", b"vac", top, [0; 20]));
    for block in &blocks {
        partition.append(1, block).unwrap();
        let _ = venti.insert(BlockType::Root, block);
    }
    partition.sync().unwrap();
    let dial = venti.dial();
    let output = roots(&["-h", &dial], &path);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output
            .stdout
            .lines()
            .all(|line| line.ends_with(" readable"))
    );
    assert!(venti.forget(BlockType::Root, &Score::of(&blocks[1])));
    assert!(venti.corrupt(BlockType::Root, &Score::of(&blocks[2])));
    let output = roots(&["-h", &dial], &path);
    assert_eq!(output.status, 4, "{output:?}");
    let last = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
    let states: Vec<_> = output.stdout.lines().map(last).collect();
    assert_eq!(states, ["readable", "missing", "damaged"]);
    drop(venti);
    let output = roots(&["-h", &dial], &path);
    assert_eq!((output.status, &*output.stdout), (6, ""), "{output:?}");
}

#[test]
fn no_root_and_no_arenas_are_two_things() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas");
    let builder = PartitionBuilder::new().arenas(2, 1 << 17);
    builder.create(&path).unwrap().sync().unwrap();
    let output = roots(&[], &path);
    assert_eq!(output.status, 0);
    assert_eq!(output.stderr, "ventiroots: no root in 2 arenas\n");
    fs::write(&path, [0; 4096]).unwrap();
    roots(&[], &path).assert_refused(1, "arenas: ");
}
