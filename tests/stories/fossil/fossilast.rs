//! fossilast: what fossil/last prints, where that means something.

use std::fs;
use std::path::{Path, PathBuf};

use fossilcore::disk::{Header, Label, SuperBlock};
use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::golden;
use venti_tests::plan9disk::Disk;
use venticore::codec::score::Score;

fn last(operand: impl AsRef<std::ffi::OsStr>) -> Output {
    Command::new("fossilast").arg(operand).run()
}

/// It printed nothing, and said this in one line.
#[track_caller]
fn assert_refused(output: &Output, expected: &str) {
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, ""),
        "{output:?}"
    );
    assert!(output.stderr.starts_with("fossilast: "), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(output.stderr.contains(expected), "{expected}: {output:?}");
}

fn put(bytes: &mut [u8], at: u64, from: &[u8]) {
    let at = usize::try_from(at).unwrap();
    bytes[at..at + from.len()].copy_from_slice(from);
}

/// A partition with the super block of `archived-8k`, in blocks of this size.
fn in_blocks_of(size: u64) -> Vec<u8> {
    let archived = golden::bytes("fossil/archived-8k.fossil");
    let from = 18 * 8192;
    let mut superblock = SuperBlock::parse(&archived[from..from + 512]).unwrap();
    superblock.active = 5;
    let len = 2 << 20;
    let mut bytes = vec![0; len];
    let header = Header::layout(len as u64, size).unwrap();
    put(&mut bytes, Header::AT, &header.to_bytes());
    put(&mut bytes, header.superblock_at(), &superblock.to_bytes());
    let root = &archived[19 * 8192 + 74 * Label::LEN..][..Label::LEN];
    put(&mut bytes, header.label_at(5).unwrap(), root);
    bytes
}

/// The score in `archived-8k`.
const ARCHIVED: &str = "vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00\n";

#[test]
fn every_golden_partition_gives_what_the_manifest_says_or_is_refused() {
    let manifest = golden::json("fossil/manifest.json");
    let directory = tempfile::tempdir().unwrap();
    for file in golden::FOSSILS {
        let path = golden::unpack(file, directory.path());
        let name = path.file_stem().unwrap().to_str().unwrap();
        let said = manifest["partitions"][name]["super"]["fossil_last"]
            .as_str()
            .unwrap();
        let output = last(&path);
        if name.starts_with("destroyed") {
            assert_refused(
                &output,
                &format!(
                    "found state 0, type 0, tag 0: cleared by a format that failed? {said} still stands"
                ),
            );
        } else if said == format!("vac:{}", Score::ZERO) {
            assert_refused(&output, "no archival snapshot: ");
        } else {
            let printed = (
                output.status,
                output.stdout.as_str(),
                output.stderr.as_str(),
            );
            assert_eq!(printed, (0, format!("{said}\n").as_str(), ""), "{name}");
        }
        assert!(fs::read(&path).unwrap() == golden::bytes(file), "{name}");
    }
}

/// The files of the recorded runs.
fn cases(directory: &Path) {
    let archived = golden::bytes("fossil/archived-8k.fossil");
    let mut wiped = archived.clone();
    wiped[18 * 8192..19 * 8192].fill(0);
    for (name, bytes) in [
        ("fresh", golden::bytes("fossil/fresh-8k.fossil")),
        ("destroyed", golden::bytes("fossil/destroyed-8k.fossil")),
        ("wipedsuper", wiped),
        ("zero", vec![0; 4 << 20]),
        ("short", archived[..1000].to_vec()),
        ("b1k", in_blocks_of(1024)),
        ("archived", archived),
    ] {
        fs::write(directory.join(name).with_extension("part"), bytes).unwrap();
    }
}

#[test]
fn every_recorded_run_of_fossil_last_ends_as_it_did_save_where_that_was_wrong() {
    let directory = tempfile::tempdir().unwrap();
    cases(directory.path());
    let recorded = golden::json("fossil/cases.json");
    let recorded = recorded["last"].as_array().unwrap();
    assert_eq!(recorded.len(), 11);
    for case in recorded {
        let words = case["args"].as_array().unwrap().iter().skip(1);
        let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
        let file = words.first().copied().unwrap_or("none");
        let path = |word: &&str| match word.ends_with(".part") {
            true => directory.path().join(word),
            false => PathBuf::from(word),
        };
        let output = Command::new("fossilast").args(words.iter().map(path)).run();
        let (status, stdout) = match file {
            // No score is no score, and what no fossil can open has none.
            "fresh.part" | "destroyed.part" | "wipedsuper.part" => (1, ""),
            // The C tool takes byte 11 of the header for a negative number.
            "b1k.part" => (0, ARCHIVED),
            // A wrong call has a status of its own here.
            "none" | "a" | "-x" => (2, ""),
            _ => {
                let status = case["exit"].as_i64().unwrap();
                (
                    i32::try_from(status).unwrap(),
                    case["stdout"].as_str().unwrap(),
                )
            }
        };
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (status, stdout),
            "{case}: {output:?}"
        );
        assert_eq!(output.stderr.is_empty(), status == 0, "{case}: {output:?}");
    }
}

#[test]
fn damage_is_named_with_place_expected_and_found() {
    let directory = tempfile::tempdir().unwrap();
    cases(directory.path());
    for (name, expected) in [
        (
            "zero",
            "header: expected magic 0x3776ae89 at 131072, found 0x00000000: is it a fossil partition?",
        ),
        (
            "short",
            "header: expected a partition of at least 131584 bytes, found 1000",
        ),
        (
            "wipedsuper",
            "super block: expected magic 0x2340a3b1 at 147456, found 0x00000000",
        ),
        (
            "destroyed",
            "expected type 8, tag 1, in use at 156684, found state 0",
        ),
        ("missing", "no such file"),
    ] {
        let path = directory.path().join(name).with_extension("part");
        let output = last(&path);
        assert_refused(&output, expected);
        assert!(output.stderr.contains(path.to_str().unwrap()), "{output:?}");
    }
    let path = directory.path().join("archived.part");
    let good = fs::read(&path).unwrap();
    for (at, from, expected) in [
        (Header::AT + 5, [2], "expected version 1 at 131076, found 2"),
        (
            Header::AT + 7,
            [1],
            "a multiple of 512 at 131078, found 8193",
        ),
        (Header::AT + 8, [1], "at 131084, found 19"),
        (Header::AT + 20, [1], "at 131092, found 16777728"),
        (
            18 * 8192 + 9,
            [0],
            "an epoch of at least 1 at 147462, found 0",
        ),
        (
            18 * 8192 + 22,
            [9],
            "a block address below 492 at 147478, found 150995018",
        ),
        (
            18 * 8192 + 26,
            [0],
            "a block address below 492 at 147482, found 16777215",
        ),
    ] {
        let mut bytes = good.clone();
        put(&mut bytes, at, &from);
        fs::write(&path, bytes).unwrap();
        assert_refused(&last(&path), expected);
    }
}

#[test]
fn block_sizes_that_the_c_tool_mishandles_work() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("part");
    for size in [512, 1024, 2048, 4096, 16384, 32768, 65024] {
        fs::write(&path, in_blocks_of(size)).unwrap();
        assert_eq!(last(&path).stdout, ARCHIVED, "{size}");
    }
}

/// A Plan 9 disk image whose partition `fossil` is `archived-8k`.
fn disk(directory: &TempDir) -> Disk {
    let fossil = golden::bytes("fossil/archived-8k.fossil");
    let parts = [("9fat", &[0; 98 * 512][..]), ("fossil", &fossil)];
    Disk::create(&directory.path().join("disk.img"), &parts)
}

#[test]
fn a_partition_is_named_by_path_range_or_name() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(&directory);
    let start = disk.place("fossil").start;
    let disk = disk.path().to_str().unwrap();
    for operand in [
        format!("{disk}:fossil"),
        format!("{disk}:{start}-"),
        format!("{disk}:{start}-{}", start + (4 << 20)),
    ] {
        let output = last(&operand);
        assert_eq!(output.stdout, ARCHIVED, "{output:?}");
    }
    assert_refused(&last(format!("{disk}:arenas")), "found 9fat fossil");
    assert_refused(&last(format!("{disk}:9fat")), "found 50176");
    assert_refused(&last(disk), "expected magic");
}
