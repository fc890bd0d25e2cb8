//! ventiroots on partitions that a venti filled with what vac, vbackup and a fossil sent.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use venti_tests::command::{self, Command, Output};
use venti_tests::fossil::{self, Fossil};
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::random::Random;
use venticore::source::{ArenaPartition, ReadAt};

/// One archive by vac: the score that it printed.
fn vac(plan9: &Plan9, directory: &Path, venti: &Venti, options: &[&str]) -> String {
    let mut vac = plan9.command("vac");
    vac.current_dir(directory);
    vac.args(["-h", &venti.address()]).args(options).arg("tree");
    let printed = String::from_utf8(fed(&mut vac, b"")).unwrap();
    match options {
        ["-a", file] => fs::read_to_string(directory.join(file))
            .unwrap()
            .trim()
            .to_owned(),
        _ => printed.trim().to_owned(),
    }
}

/// One archive of an ext2 file system by vbackup; none where no such file system can
/// be made.
fn vbackup(plan9: &Plan9, directory: &Path, venti: &Venti) -> Option<String> {
    let image = directory.join("ext2");
    fs::write(&image, vec![0; 4 << 20]).unwrap();
    let made = Process::new("mke2fs")
        .args(["-q", "-t", "ext2", "-b", "4096", "-d"])
        .arg(directory.join("tree"))
        .arg(&image)
        .stdin(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        command::skipped("vbackup: mke2fs is not here");
        return None;
    }
    let output = plan9.run_at("vbackup", &[&image], &venti.address());
    let score = output
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("ffs:") || word.starts_with("ext2:"));
    Some(score.unwrap_or_else(|| panic!("{output:?}")).to_owned())
}

fn roots(options: &[&str], partition: &Path) -> (Output, Vec<String>) {
    let output = Command::new("ventiroots")
        .args(options)
        .arg(partition)
        .run();
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut scores: Vec<String> = output.stdout.lines().map(first).collect();
    scores.sort();
    (output, scores)
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn every_root_that_the_tools_printed_is_found_once() {
    let (plan9, directory, mut venti) = Plan9::with_venti(24 << 20, 1 << 20);
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let mut random = Random::new(1);
    let mut printed = Vec::new();
    let partition = fossil::format(&plan9, directory.path(), 8 << 20, 8192);
    let mut fossil = Fossil::start(&plan9, &partition, &venti.address());
    for day in 0..4 {
        fs::write(tree.join(format!("day{day}")), random.bytes(700_000)).unwrap();
        printed.push(vac(&plan9, directory.path(), &venti, &[]));
        printed.push(vac(&plan9, directory.path(), &venti, &["-a", "kept.vac"]));
        fossil.ask(&format!("fsys main create /active/day{day} adm sys d775"));
        fossil.ask("fsys main snap -a");
        printed.push(fossil.archived());
    }
    printed.extend(vbackup(&plan9, directory.path(), &venti));
    venti.sync();
    printed.sort();
    printed.dedup();
    let (output, found) = roots(&["-a"], venti.partition());
    assert_eq!((output.status, &*output.stderr), (0, ""));
    assert_eq!(found, printed);
    let host = venti.address();
    let (output, _) = roots(&["-a", "-h", &host], venti.partition());
    assert_eq!(output.status, 0, "{output:?}");
    let fossils = output
        .stdout
        .lines()
        .filter(|l| l.contains(" fossil fossil "));
    assert_eq!(fossils.count(), 4);

    // Stopped, a trailer and a block of a directory are overwritten: nothing is lost by that.
    venti.stop();
    let source = fs::read(venti.partition()).unwrap();
    let table = ArenaPartition::read(&source).unwrap();
    let arenas: Vec<_> = table
        .entries
        .iter()
        .map(|e| table.arena(&source, e).unwrap())
        .collect();
    assert!(arenas.iter().filter(|arena| arena.live.clumps > 0).count() > 2);
    let file = OpenOptions::new()
        .write(true)
        .open(venti.partition())
        .unwrap();
    let block = u64::from(table.block_size);
    let end = |n: usize| arenas[n].base() + arenas[n].size;
    file.write_all_at(&vec![0x5a; 8192], end(0)).unwrap();
    file.write_all_at(&vec![0xa5; 8192], end(1) - block)
        .unwrap();
    let (output, found) = roots(&["-a"], venti.partition());
    assert_eq!(output.status, 3, "{output:?}");
    assert_eq!(found, printed);
    assert_eq!(source.size(), file.metadata().unwrap().len());
}
