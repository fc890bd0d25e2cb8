//! wrarena: a drop-in for venti/wrarena that honours its own options.

use std::path::Path;

use tempfile::TempDir;
use venti_tests::arena::{Block, Partition, PartitionBuilder};
use venti_tests::command::{Command, Output};
use venti_tests::golden::{self, Manifest};
use venti_tests::sample::Sample;
use venti_tests::venti::{Fault, How, On, Venti, closed_port};
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

/// The clumps of an arena that name a block: type and score.
fn blocks(arena: &golden::Arena) -> Vec<(BlockType, Score)> {
    let clumps = arena.clumps.iter();
    clumps
        .filter_map(|clump| Some((BlockType::from_disk(clump.block_type)?, clump.score)))
        .collect()
}

fn assert_holds(venti: &Venti, blocks: &[(BlockType, Score)]) {
    for (block_type, score) in blocks {
        assert!(venti.contains(*block_type, score), "{block_type} {score}");
    }
}

fn send(venti: &Venti, arguments: &[&str], file: &Path) -> Output {
    Command::new("wrarena")
        .args(["-h", &venti.dial()])
        .args(arguments)
        .arg(file)
        .run()
}

/// A golden file, unpacked.
fn unpacked(name: &str) -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = golden::unpack(name, directory.path());
    (directory, path)
}

#[test]
fn every_golden_partition_arrives_whole() {
    for name in golden::PARTITIONS {
        let (_directory, path) = unpacked(&format!("{name}.part"));
        let venti = Venti::start();
        let output = send(&venti, &[], &path);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{name}");
        assert_eq!(output.stdout, "", "without -o there is no end offset");
        let manifest = Manifest::load(name);
        let all: Vec<_> = manifest.arenas.iter().flat_map(blocks).collect();
        assert_holds(&venti, &all);
        assert_eq!(venti.counts().writes, all.len() as u64);
        assert_eq!(venti.counts().syncs, 1);
    }
}

#[test]
fn the_file_offset_picks_one_arena_of_a_partition() {
    let (_directory, path) = unpacked("g5.part");
    for arena in &Manifest::load("g5").arenas {
        let venti = Venti::start();
        let output = send(&venti, &["-o", &arena.head.to_string()], &path);
        let expected = format!("end offset {:#x}\n", arena.written.used);
        assert_eq!((output.status, output.stdout), (0, expected));
        assert_holds(&venti, &blocks(arena));
        assert_eq!(venti.counts().writes, arena.clumps.len() as u64);
    }
}

#[test]
fn the_clump_offset_sends_only_what_follows() {
    let (_directory, path) = unpacked("g5.part");
    let venti = Venti::start();
    // The arena at 2891776, clump 51 of 600: in hexadecimal, decimal and octal.
    for offset in ["0x13dd9", "81369", "0236731"] {
        let before = venti.counts().writes;
        let output = Command::new("wrarena")
            .args(["-vo2891776", "-h", &venti.dial()])
            .arg(&path)
            .arg(offset)
            .run();
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(venti.counts().writes - before, 549);
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert_eq!(lines[0], "972076e05ad89dad1885422c9da4b511ecba6e0e");
        assert_eq!(lines[549..], ["end offset 0x24f4b"]);
    }
}

#[test]
fn the_end_offset_goes_on_where_it_ended() {
    let (_directory, path) = unpacked("g5.2.arena");
    let venti = Venti::start();
    let output = send(&venti, &["-M", "100", "-o", "0"], &path);
    assert_eq!(venti.counts().writes, 100);
    let end = output.stdout.trim().strip_prefix("end offset ").unwrap();
    let output = Command::new("wrarena")
        .args(["-o", "0", "-h", &venti.dial()])
        .arg(&path)
        .arg(end)
        .run();
    assert_eq!(output.stdout, "end offset 0x24f4b\n");
    assert_eq!(venti.counts().writes, 600);
    assert_eq!(venti.counts().duplicates, 0);
}

#[test]
fn arena_files_are_sent_as_far_as_their_log_goes() {
    let expected = golden::json("arena-files.json");
    for (name, expected) in expected.as_object().unwrap() {
        let (_directory, path) = unpacked(name);
        let venti = Venti::start();
        let output = send(&venti, &["-o", "0"], &path);
        let scan = &expected["forward_scan"];
        let end = scan["end"].as_u64().unwrap();
        assert_eq!(output.stdout, format!("end offset {end:#x}\n"), "{name}");
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{name}");
        assert_eq!(venti.counts().writes, scan["clumps"].as_u64().unwrap());
    }
}

#[test]
fn the_damaged_golden_clump_is_named_and_the_rest_goes() {
    let (_directory, path) = unpacked("g5-badclump.part");
    let venti = Venti::start();
    let output = send(&venti, &[], &path);
    assert_eq!(output.status, 3);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let manifest = Manifest::load("g5");
    let bad = manifest.arenas[0].clumps[466].score;
    let named = format!("wrarena: arena g5.0 clump 0x56901 score {bad}: ");
    assert!(output.stderr.starts_with(&named), "{}", output.stderr);
    let all: Vec<_> = manifest.arenas.iter().flat_map(blocks).collect();
    let (bad, good): (Vec<_>, Vec<_>) = all.into_iter().partition(|block| block.1 == bad);
    assert_holds(&venti, &good);
    assert!(!venti.contains(bad[0].0, &bad[0].1));
    // -f is accepted, and changes nothing.
    assert_eq!(send(&Venti::start(), &["-f"], &path), output);
}

/// The clumps of an arena that end at or before an offset in its data section.
fn blocks_up_to(arena: &golden::Arena, end: u64) -> Vec<(BlockType, Score)> {
    let clumps = arena.clumps.iter();
    clumps
        .filter(|clump| clump.offset + 38 + u64::from(clump.stored) <= end)
        .filter_map(|clump| Some((BlockType::from_disk(clump.block_type)?, clump.score)))
        .collect()
}

#[test]
fn of_a_partition_cut_short_every_whole_clump_goes() {
    let (_directory, path) = unpacked("g5-trunc.part");
    let venti = Venti::start();
    let output = send(&venti, &[], &path);
    assert_eq!(output.status, 3);
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(
        lines,
        [
            "wrarena: arena g5.1: cut off: it goes to 2891776, but the partition ends at 2443200",
            "wrarena: arena g5.2: cut off: it goes to 3940352, but the partition ends at 2443200; left out",
        ]
    );
    let arenas = Manifest::load("g5").arenas;
    let mut whole = blocks(&arenas[0]);
    let base = arenas[1].head + 8192;
    whole.extend(blocks_up_to(&arenas[1], 2_443_200 - base));
    assert!(whole.len() > blocks(&arenas[0]).len());
    assert_holds(&venti, &whole);
    assert_eq!(venti.counts().writes, whole.len() as u64);
}

/// Every command that opens arenas, given something else.
#[test]
fn what_is_not_arenas_is_called_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("given");
    let file = path.to_str().unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut image = vec![0; 300 << 10];
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let state = directory.path().join("state");
    for (bytes, said) in [
        (golden::fossil("archived-8k"), "found a fossil"),
        (
            with(256 << 10, &[0xd1, 0x5c, 0x5e, 0xc7]),
            "found an index section",
        ),
        (with(0, &[0xb1, 0, 0x4e, 0xad]), "found a bloom filter"),
        (
            b"index main\narenas /dev/sdb1\n".to_vec(),
            "found the configuration of a venti",
        ),
        (
            with(248 << 10, b"venti config\n"),
            "found the configuration of a venti",
        ),
        (
            with(512, b"part arenas 63 99\n"),
            "found a disk with Plan 9 partitions",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let commands = [
            Command::new("wrarena").args(["-h", "/dev/null", file]),
            Command::new("ventioffsets").arg(file),
            Command::new("ventiprog")
                .arg("-d")
                .arg(&state)
                .args(["-p", file, &closed_port()]),
        ];
        for command in commands {
            let output = command.run();
            output.assert_refused(1, said);
            assert_eq!(output.stderr.matches(file).count(), 1, "{output:?}");
        }
    }
}

/// What is wrong is said once, and where the name is not the matter, no other is
/// asked for.
#[test]
fn a_partition_that_cannot_be_opened_is_named_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("loop");
    std::os::unix::fs::symlink("loop", &path).unwrap();
    let file = path.to_str().unwrap();
    let part = golden::unpack("g5.part", directory.path());
    let range = format!("{}:9-1", part.display());
    for (operand, said) in [(file, "Too many levels"), (&range, "expected a range")] {
        let state = directory.path().join("state");
        for command in [
            Command::new("wrarena").args(["-h", "/dev/null", operand]),
            Command::new("ventioffsets").arg(operand),
            Command::new("ventiprog")
                .arg("-d")
                .arg(&state)
                .args(["-p", operand, &closed_port()]),
        ] {
            let output = command.run();
            output.assert_refused(1, said);
            assert!(!output.stderr.contains("[partitions]"), "{output:?}");
            assert_eq!(output.stderr.matches(operand).count(), 1, "{output:?}");
            assert_eq!(output.stderr.matches(said).count(), 1, "{output:?}");
        }
    }
}

/// A medium that was full, or reads no further.
#[test]
fn of_an_arena_file_cut_short_every_whole_clump_goes() {
    let manifest = Manifest::load("g5");
    let arena = &manifest.arenas[0];
    let bytes = golden::bytes("g5.0.arena");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arena");
    let log = 8192 + usize::try_from(arena.written.used).unwrap();
    for len in [88, 8192, 8193, 8500, 700_000, log - 1, log, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        let venti = Venti::start();
        let output = send(&venti, &["-o", "0"], &path);
        let said = format!(
            "wrarena: arena g5.0: cut off: it goes to 1048576, but the partition ends at {len}\n"
        );
        assert_eq!((output.status, output.stderr), (3, said), "{len}");
        let whole = blocks_up_to(arena, (len as u64).saturating_sub(8192));
        assert_holds(&venti, &whole);
        assert_eq!(venti.counts().writes, whole.len() as u64, "{len}");
        let end = whole.len().checked_sub(1).map_or(0, |last| {
            let clump = &arena.clumps[last];
            clump.offset + 38 + u64::from(clump.stored)
        });
        assert_eq!(output.stdout, format!("end offset {end:#x}\n"));
    }
    std::fs::write(&path, &bytes[..80]).unwrap();
    let output = send(&Venti::start(), &[], &path);
    output.assert_refused(1, "cut off");
}

/// A partition of one active arena with some clumps.
fn active(clumps: usize) -> (TempDir, Partition) {
    let directory = tempfile::tempdir().unwrap();
    let mut partition = PartitionBuilder::new()
        .arenas(1, 1 << 20)
        .create(&directory.path().join("part"))
        .unwrap();
    let mut sample = Sample::new(3, 60);
    for _ in 0..clumps {
        let size = sample.size(5000);
        partition.append(13, &sample.block(size)).unwrap();
    }
    partition.sync().unwrap();
    (directory, partition)
}

#[test]
fn damage_in_the_active_arena_costs_one_clump() {
    let damages: [fn(&mut Partition); 4] = [
        |partition| partition.flip_data(0, 30, 2).unwrap(),
        |partition| {
            partition
                .edit_header(0, 30, |header| header[5] ^= 1)
                .unwrap();
        },
        |partition| partition.edit_entry(0, 30, |entry| entry[2] ^= 1).unwrap(),
        |partition| {
            partition
                .edit_header(0, 30, |header| header.fill(0))
                .unwrap();
            partition.edit_entry(0, 30, |entry| entry.fill(0)).unwrap();
        },
    ];
    for damage in damages {
        let (_directory, mut partition) = active(60);
        let end = partition.arenas()[0].counters().used;
        damage(&mut partition);
        let venti = Venti::start();
        let output = send(&venti, &["-o", "794624"], partition.path());
        assert_eq!(output.status, 3);
        assert_eq!(output.stdout, format!("end offset {end:#x}\n"));
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        let missing = partition.arenas()[0].clumps().iter().enumerate();
        let missing: Vec<usize> = missing
            .filter(|(_, clump)| !venti.contains(BlockType::Data, &clump.score))
            .map(|(number, _)| number)
            .collect();
        assert!(missing.is_empty() || missing == [30], "{missing:?}");
    }
}

#[test]
fn what_is_late_is_left_for_later() {
    let (_directory, mut partition) = active(20);
    let last = partition.arenas()[0].clumps()[19].offset;
    partition
        .edit_header(0, 19, |header| header.fill(0))
        .unwrap();
    let late = partition.read_raw(partition.arenas()[0].entry_offset(19), 25);
    partition.edit_entry(0, 19, |entry| entry.fill(0)).unwrap();
    let venti = Venti::start();
    let output = send(&venti, &["-o", "794624"], partition.path());
    assert_eq!(output.status, 3, "{late:?}");
    assert_eq!(output.stdout, format!("end offset {last:#x}\n"));
    assert!(
        output.stderr.contains("not on disk yet"),
        "{}",
        output.stderr
    );
    assert_eq!(venti.counts().writes, 19);
}

#[test]
fn blocks_of_every_kind_arrive_with_their_type() {
    let directory = tempfile::tempdir().unwrap();
    let mut partition = PartitionBuilder::new()
        .version(4)
        .block_size(16384)
        .arenas(1, 2 << 20)
        .create(&directory.path().join("part"))
        .unwrap();
    let mut sample = Sample::new(5, 50);
    let sizes = [1, 2, 3, 57343, 57344];
    let types = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13];
    let mut expected = Vec::new();
    for block_type in types {
        for data in [
            sample.block(sizes[usize::from(block_type) % 5]),
            vec![0; 57344],
        ] {
            partition
                .append_block(&Block::pack(block_type, &data))
                .unwrap();
            expected.push((BlockType::from_disk(block_type).unwrap(), data));
        }
    }
    partition.sync().unwrap();
    let venti = Venti::start();
    assert_eq!(send(&venti, &[], partition.path()).status, 0);
    for (block_type, data) in expected {
        assert_eq!(venti.get(block_type, &Score::of(&data)), Some(data));
    }
}

#[test]
fn offsets_that_the_arena_does_not_have_say_what_it_holds() {
    let (_directory, path) = unpacked("g5.part");
    let venti = Venti::start();
    let refused = |arguments: &[&str], offset: Option<&str>| {
        let output = Command::new("wrarena")
            .args(["-h", &venti.dial()])
            .args(arguments)
            .arg(&path)
            .args(offset)
            .run();
        assert_eq!(output.stdout, "");
        let line = output.stderr.trim_end().to_owned();
        let line = line.replace(&path.display().to_string(), "PART");
        (output.status, line)
    };
    let cases = [
        refused(&["-o", "0"], None),
        refused(&["-o", "1843201"], None),
        refused(&["-o", "2891776"], Some("0x24f4c")),
        refused(&["-o", "2891776"], Some("0x13dda")),
        refused(&[], Some("0x13dd9")),
        refused(&["-o", "1M"], None),
        refused(&["-o", "2891776"], Some("zork")),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(status, line)| format!("{status} {line}"))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(venti.counts().writes, 0);
}

#[test]
fn dev_null_reads_and_verifies_only() {
    let (_directory, path) = unpacked("g5-badclump.part");
    let output = Command::new("wrarena")
        .args(["-h", "/dev/null", "-o", "794624"])
        .arg(&path)
        .run();
    assert_eq!((output.status, output.stdout.as_str()), (3, ""));
    assert!(output.stderr.contains("0x56901"));
}

#[test]
fn without_a_host_it_is_the_venti_variable() {
    let (_directory, path) = unpacked("g5.2.arena");
    let venti = Venti::start();
    let output = Command::new("wrarena")
        .env("venti", venti.dial())
        .arg(&path)
        .run();
    assert_eq!((output.status, venti.counts().writes), (0, 600));
    let output = Command::new("wrarena").arg(&path).run();
    assert_eq!(output.status, 2, "{output:?}");
    assert!(output.stderr.contains("$venti"));
}

/// No end offset without an acknowledged sync, whatever goes wrong.
#[test]
fn a_target_that_fails_gets_no_end_offset() {
    let (_directory, path) = unpacked("g5.2.arena");
    let full = Fault::full_at(300);
    let cases = [
        (vec![Fault::at(On::Write, 300, How::Close)], 6),
        (vec![Fault::at(On::Write, 300, How::Short)], 6),
        (vec![Fault::from(On::Write, 300, How::Silence)], 6),
        (vec![Fault::from(On::Request, 300, How::Stall)], 6),
        (vec![Fault::at(On::Sync, 1, How::Silence)], 6),
        (vec![Fault::at(On::Write, 300, How::Wrong)], 4),
        (vec![Fault::at(On::Write, 300, How::WrongTag)], 1),
        (vec![Fault::at(On::Write, 300, How::WrongReply)], 1),
        (vec![Fault::at(On::Write, 300, How::TooLong)], 1),
        (vec![Fault::at(On::Sync, 1, How::Error("no".into()))], 1),
        (vec![Fault::read_only()], 1),
        (vec![full], 1),
        (vec![Fault::http()], 1),
    ];
    for (faults, status) in cases {
        let what = format!("{faults:?}");
        let venti = Venti::faulty(faults);
        let output = Command::new("wrarena")
            .config("[limits]\nsilence = 1\nsync = 1\n")
            .args(["-o", "0", "-h", &venti.dial()])
            .arg(&path)
            .run();
        assert_eq!(output.status, status, "{what} {output:?}");
        assert_eq!(output.stdout, "", "{what}");
        assert_eq!(output.stderr.lines().count(), 1, "{what} {}", output.stderr);
        let named = format!("wrarena: {}: ", venti.dial());
        assert!(
            output.stderr.starts_with(&named),
            "{what} {}",
            output.stderr
        );
    }
    let output = Command::new("wrarena")
        .args(["-o", "0", "-h", &closed_port()])
        .arg(&path)
        .run();
    assert_eq!((output.status, output.stdout.as_str()), (6, ""));
}
