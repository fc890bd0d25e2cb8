//! The partitions made for the tests are partitions to the real tools.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::sample::Sample;

/// A partition with a sealed arena, one that is being filled, and an empty one.
fn partition(version: u32, block_size: u32) -> (TempDir, PathBuf, Partition) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas");
    let builder = PartitionBuilder::new()
        .version(version)
        .block_size(block_size)
        .arenas(3, 16 * u64::from(block_size).max(32768));
    let builder = match version {
        5 => builder.garbage(),
        _ => builder,
    };
    let mut partition = builder.create(&path).unwrap();
    let mut sample = Sample::new(5, 65);
    while partition.arenas()[1].counters().clumps < 10 {
        let size = sample.size(12000);
        let block_type = [1, 2, 3, 9, 13][size % 5];
        partition.append(block_type, &sample.block(size)).unwrap();
    }
    partition.sync().unwrap();
    (directory, path, partition)
}

/// The number that the tools use for a type on disk.
fn tool_number(block_type: u8) -> u8 {
    match block_type {
        1 => 16,
        2 => 8,
        13 => 0,
        pointer => pointer - 2,
    }
}

/// Every clump of a partition can be read from a server.
fn assert_held(plan9: &Plan9, venti: &Venti, partition: &Partition) {
    for clump in partition.clumps() {
        let arguments = [
            "-t".to_owned(),
            tool_number(clump.block_type).to_string(),
            clump.score.to_string(),
        ];
        let output = plan9.run_at("venti/read", &arguments, &venti.address());
        assert_eq!(output.status, 0, "{clump:?}: {output:?}");
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn they_verify_and_check() {
    let plan9 = Plan9::expect();
    for (version, block_size) in [(4, 8192), (5, 512), (5, 8192), (5, 65536)] {
        let (_directory, path, _partition) = partition(version, block_size);
        let arguments = [Path::new("-v"), &path];
        let verified = plan9.run("venti/verifyarena", &arguments).stderr;
        assert!(verified.contains("arena0: verified score"), "{verified}");
        assert!(!verified.contains("mismatch"), "{verified}");
        let arguments = [Path::new("-av"), &path];
        let checked = plan9.run("venti/checkarenas", &arguments).stderr;
        for complaint in ["mismatch", "incorrect", "corrupt", "out-of-date"] {
            assert!(!checked.contains(complaint), "{checked}");
        }
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn their_clumps_go_to_a_real_venti_and_come_back() {
    let plan9 = Plan9::expect();
    for version in [4, 5] {
        let (directory, path, partition) = partition(version, 8192);
        let venti = Venti::fresh(&plan9, directory.path(), "target", 16 << 20, 4 << 20);
        let address = venti.address();
        let arguments = ["-o", "0", "-h", &address, path.to_str().unwrap()];
        let output = plan9.succeed("venti/wrarena", &arguments);
        for arena in partition.arenas() {
            let used = arena.counters().used;
            let end = match used {
                0 => "end offset 0\n".to_owned(),
                _ => format!("end offset {used:#x}\n"),
            };
            assert!(output.stdout.contains(&end), "{output:?}");
        }
        assert!(!output.stderr.contains("clump 0x"), "{output:?}");
        assert_held(&plan9, &venti, &partition);
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_real_venti_serves_them_and_catches_up_with_a_lagging_trailer() {
    let plan9 = Plan9::expect();
    for version in [4, 5] {
        let (_directory, path, mut partition) = partition(version, 8192);
        partition.lag(1, 3, 5).unwrap();
        let venti = Venti::on(&plan9, &path);
        assert_held(&plan9, &venti, &partition);
    }
}
