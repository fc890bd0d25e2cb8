//! rootcheck of what vac, vbackup and a fossil stored, on a venti whose disk has lost or
//! changed blocks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use venti_tests::command::{Command, Output};
use venti_tests::fossil::{self, Fossil};
use venti_tests::golden;
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::random::Random;
use venticore::codec::blocktype::{BlockName, BlockType};
use venticore::codec::operand::Operand;
use venticore::codec::score::Score;
use venticore::host::partition::Partition;

/// Bytes before the score in a clump's header and directory entry: type, size, and the
/// size of the block.
const BEFORE: usize = 1 + 2 + 2;

/// Bytes of a clump's header behind the score.
const BEHIND: usize = 1 + 4 + 4;

fn check(venti: &Venti, arguments: &[&str]) -> Output {
    let address = venti.address();
    let command = Command::new("rootcheck").args(["-c", "-h", &address]);
    command.args(arguments).run()
}

/// The blocks on a venti's disk.
fn blocks(venti: &mut Venti) -> Vec<(BlockType, Vec<u8>)> {
    venti.sync();
    venti.stop();
    let operand = Operand::try_from(venti.partition().as_os_str()).unwrap();
    let found = golden::blocks_in(&(Arc::new(Partition::open(&operand).unwrap()) as _));
    venti.start();
    found
}

/// Where the score of a block stands in a partition: in the header of its clump, and in the
/// directory of the arena.
fn places(bytes: &[u8], ty: BlockType, data: &[u8]) -> [usize; 2] {
    let score = Score::of(data);
    let len = u16::try_from(data.len()).unwrap().to_be_bytes();
    let is_it = |at: &usize| {
        bytes[at - BEFORE] == ty.to_disk()
            && bytes[at - 2..*at] == len
            && bytes[*at..at + Score::LEN] == *score.as_bytes()
    };
    let found: Vec<usize> = (BEFORE..bytes.len() - Score::LEN).filter(is_it).collect();
    found
        .try_into()
        .unwrap_or_else(|found| panic!("{ty} {score} {}: {found:?}", data.len()))
}

/// Changes the disk of a venti while it is stopped.
fn change(venti: &mut Venti, change: impl FnOnce(&mut Vec<u8>)) {
    venti.stop();
    let mut bytes = fs::read(venti.partition()).unwrap();
    change(&mut bytes);
    fs::write(venti.partition(), bytes).unwrap();
    venti.start();
}

/// Flips a bit of a block on the disk of a venti, sees what is said of its root, and puts
/// the bit back.
fn damage(venti: &mut Venti, root: &str, (ty, data): (BlockType, &[u8]), place: &str) {
    let mut at = 0;
    change(venti, |bytes| {
        at = places(bytes, ty, data)[0] + Score::LEN + BEHIND;
        bytes[at + 1] ^= 0x10;
    });
    let output = check(venti, &[root]);
    assert_eq!(output.status, 4, "{output:?}");
    assert!(output.stdout.contains(" damaged "), "{output:?}");
    let said = format!("{place}: {}", BlockName(ty, Score::of(data)));
    assert!(output.stderr.contains(&said), "{said}: {output:?}");
    assert!(output.stderr.contains(": cannot be read: "), "{output:?}");
    // Its index knows nothing of that.
    let asked = check(venti, &["-a", root]);
    assert_eq!(
        asked.stdout.contains(" present "),
        ty == BlockType::Data,
        "{asked:?}"
    );
    change(venti, |bytes| bytes[at + 1] ^= 0x10);
    assert_eq!(check(venti, &[root]).status, 0);
}

/// Takes a block off the disk of a venti and out of its index.
fn remove(plan9: &Plan9, venti: Venti, ty: BlockType, data: &[u8]) -> Venti {
    venti.sync();
    let partition = venti.partition().to_owned();
    drop(venti);
    let mut bytes = fs::read(&partition).unwrap();
    for at in places(&bytes, ty, data) {
        bytes[at] ^= 0xff;
    }
    fs::write(&partition, bytes).unwrap();
    Venti::on(plan9, &partition)
}

/// A leaf as it is stored: without the zeros at its end.
fn cut(leaf: &[u8]) -> &[u8] {
    let last = leaf.iter().rposition(|&byte| byte != 0);
    &leaf[..last.map_or(0, |at| at + 1)]
}

/// A tree with a file of several blocks, two directories deep.
fn tree(directory: &Path) -> Vec<u8> {
    let deep = directory.join("tree/one/two");
    fs::create_dir_all(&deep).unwrap();
    let large = Random::new(1).bytes(100_000);
    fs::write(deep.join("large"), &large).unwrap();
    fs::write(directory.join("tree/small"), b"small").unwrap();
    large
}

fn vac_score(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("tree.vac")).unwrap();
    text.trim().to_owned()
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn what_the_disk_of_a_venti_has_lost_or_changed_of_a_vac_archive_is_named() {
    let (plan9, directory, mut venti) = Plan9::with_venti(24 << 20, 8 << 20);
    let large = tree(directory.path());
    plan9.vac(directory.path(), &venti);
    let root = vac_score(directory.path());
    let output = check(&venti, &[&root]);
    assert_eq!(
        (output.status, output.stderr.as_str()),
        (0, ""),
        "{output:?}"
    );
    assert!(output.stdout.contains(" whole "), "{output:?}");

    let all = blocks(&mut venti);
    let blocks: u64 = output.stdout.split(' ').nth(3).unwrap().parse().unwrap();
    // As many as venti/copy finds; vac leaves a few behind.
    let other = Venti::fresh(&plan9, directory.path(), "b", 24 << 20, 8 << 20);
    let arguments = ["-m", &venti.address(), &other.address(), &root];
    plan9.succeed("venti/copy", &arguments);
    assert_eq!(blocks, other.clumps(), "{output:?}");
    drop(other);
    let scores: Vec<u8> = large
        .chunks(8192)
        .flat_map(|leaf| *Score::of(cut(leaf)).as_bytes())
        .collect();
    let path = "/one/two/large";
    let (leaf, pointer) = (BlockType::Data, BlockType::Pointer(1));
    damage(&mut venti, &root, (leaf, cut(&large[8192..16_384])), path);
    damage(&mut venti, &root, (pointer, &scores), path);
    let names = |data: &[u8], name: &[u8]| data.windows(name.len()).any(|part| part == name);
    let of = |wanted: BlockType, is: &dyn Fn(&[u8]) -> bool| {
        let found = all.iter().find(|(ty, data)| *ty == wanted && is(data));
        found.unwrap().1.clone()
    };
    let metadata = of(leaf, &|data| {
        names(data, b"large") && data.starts_with(&[0x56, 0x56])
    });
    damage(&mut venti, &root, (leaf, &metadata), "/one/two: metadata");
    let score = Score::of(&scores);
    let entries = of(BlockType::Dir, &|data| names(data, score.as_bytes()));
    damage(&mut venti, &root, (BlockType::Dir, &entries), "/one/two");
    let own = of(BlockType::Root, &|_| true);
    damage(&mut venti, &root, (BlockType::Root, &own), "root");

    let venti = remove(&plan9, venti, leaf, &large[..8192]);
    let output = check(&venti, &[&root]);
    let said = format!(
        "{path}: data block {}: not on this venti",
        Score::of(&large[..8192])
    );
    assert!(output.stderr.contains(&said), "{output:?}");
    assert!(
        output.status == 4 && output.stdout.contains(" missing "),
        "{output:?}"
    );
    let venti = remove(&plan9, venti, BlockType::Root, &own);
    let output = check(&venti, &[&root]);
    assert!(output.stderr.contains(": root: root block "), "{output:?}");
    let score = format!("{}", Score::of(&entries));
    let output = check(&venti, &[&score]);
    output.assert_refused(
        4,
        "not a root: expected a root block, found a directory block",
    );
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_disk_that_vbackup_stored_is_whole_or_named() {
    let (plan9, directory, mut venti) = Plan9::with_venti(64 << 20, 16 << 20);
    let large = tree(directory.path());
    let image = directory.path().join("disk.img");
    let mut make = process::Command::new("mke2fs");
    make.args(["-q", "-t", "ext2", "-b", "4096", "-d"])
        .arg(directory.path().join("tree"));
    make.stdout(process::Stdio::null());
    assert!(make.arg(&image).arg("8M").status().unwrap().success());
    let mut vbackup = plan9.command("vbackup");
    vbackup.env("venti", venti.address()).arg(&image);
    let said = String::from_utf8(fed(&mut vbackup, b"")).unwrap();
    let root = said
        .split_whitespace()
        .find(|word| word.contains("ext2:"))
        .unwrap();
    let output = check(&venti, &["-j", root]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.stdout.contains("\"verdict\":\"whole\""),
        "{output:?}"
    );
    assert!(output.stdout.contains("\"type\":\"ext2\""), "{output:?}");
    damage(
        &mut venti,
        root,
        (BlockType::Data, cut(&large[4096..8192])),
        "entry 0",
    );
}

fn archived() -> (Plan9, tempfile::TempDir, Venti, PathBuf, Vec<String>) {
    let (plan9, directory, venti) = Plan9::with_venti(24 << 20, 8 << 20);
    let partition = fossil::format(&plan9, directory.path(), 8 << 20, 8192);
    let mut fossil = Fossil::start(&plan9, &partition, &venti.address());
    let mut roots = Vec::new();
    for name in ["one", "two"] {
        fossil.ask(&format!("fsys main create /active/{name} adm sys d775"));
        fossil.ask("fsys main snap -a");
        roots.push(fossil.archived());
    }
    fossil.ask("fsys main sync");
    drop(fossil);
    (plan9, directory, venti, partition, roots)
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn archives_of_a_fossil_are_whole_and_the_history_is_only_read_when_asked_for() {
    let (_plan9, _directory, mut venti, _partition, roots) = archived();
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let output = check(&venti, &["-v", roots[0], roots[1]]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(output.stdout.matches(" whole ").count(), 2, "{output:?}");
    let all = blocks(&mut venti).len() as u64;
    let number = |output: &Output| -> u64 {
        let lines = output.stdout.lines();
        lines
            .map(|line| line.split(' ').nth(3).unwrap().parse::<u64>().unwrap())
            .sum()
    };
    // What both have is counted once; the fossil stored nothing else.
    assert_eq!(number(&output), all, "{output:?}");
    let address = venti.address();
    let shallow = Command::new("rootcheck")
        .args(["-h", &address, roots[1]])
        .run();
    assert_eq!(shallow.status, 0, "{shallow:?}");
    let deep = check(&venti, &[roots[1]]);
    assert!(number(&shallow) < number(&deep), "{shallow:?} {deep:?}");
}
