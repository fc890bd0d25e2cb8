//! A disk has several nodes, each with a cache of its own. What a server wrote
//! through one is what the commands read through another.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process;

use fossilcore::disk::{Header, SuperBlock};
use tempfile::TempDir;
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::{self, Command, Output};
use venti_tests::golden;
use venti_tests::sample::Sample;
use venti_tests::venti::Venti;

use crate::fixture::loop_device::Loop;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

/// An image with two loop devices: the server's and ours.
struct Nodes {
    image: PathBuf,
    server: Loop,
    ours: Loop,
    /// Keeps our node's cache alive, as a mounted slice or another reader does.
    _reader: File,
    _directory: TempDir,
}

impl Nodes {
    /// None, and said, where this system has no loop devices for us. All of
    /// the image is in our node's cache.
    fn of(bytes: &[u8]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::write(&image, bytes).unwrap();
        let both = Loop::of(&image, &[]).zip(Loop::of(&image, &[]));
        let Some((server, ours)) = both else {
            command::skipped("two nodes of one disk: no loop device can be made here");
            return None;
        };
        let reader = read_all(&ours.0);
        Some(Nodes {
            image,
            server,
            ours,
            _reader: reader,
            _directory: directory,
        })
    }
}

/// Reads a device into its cache.
fn read_all(device: &str) -> File {
    let mut file = File::open(device).unwrap();
    std::io::copy(&mut Read::by_ref(&mut file), &mut std::io::sink()).unwrap();
    file
}

/// The image of a partition of one arena with a few blocks.
fn arenas() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas");
    let mut partition = PartitionBuilder::new()
        .arenas(1, 1 << 20)
        .create(&path)
        .unwrap();
    append(&mut partition, 1);
    partition.sync().unwrap();
    fs::read(path).unwrap()
}

/// Appends ten blocks, which are others for another seed.
fn append(partition: &mut Partition, seed: u64) -> Vec<Score> {
    let mut sample = Sample::new(seed, 65);
    (0..10)
        .map(|_| {
            let block = sample.block(4096);
            partition.append(13, &block).unwrap();
            Score::of(&block)
        })
        .collect()
}

fn assert_has(venti: &Venti, scores: &[Score], output: &Output) {
    for score in scores {
        assert!(venti.contains(BlockType::Data, score), "{output:?}");
    }
}

#[test]
fn what_a_venti_wrote_through_another_node_arrives() {
    let Some(nodes) = Nodes::of(&arenas()) else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let venti = Venti::start();
    let mut server = Partition::open(Path::new(&nodes.server.0)).unwrap();
    // On the disk; then only in the cache of the server's node; and both again
    // in a second run, for which the first one's reading must not count.
    for seed in 2..6 {
        let scores = append(&mut server, seed);
        server.flush().unwrap();
        if seed % 2 == 0 {
            server.sync().unwrap();
        }
        let output = Command::new("ventiprog")
            .arg("-d")
            .arg(state.path())
            .args(["-p", &nodes.ours.0, &venti.dial()])
            .run();
        assert_has(&venti, &scores, &output);
        let sent = Venti::start();
        let output = Command::new("wrarena")
            .args(["-h", &sent.dial(), &nodes.ours.0])
            .run();
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
        assert_has(&sent, &scores, &output);
    }
}

#[test]
fn what_a_venti_wrote_through_the_disk_is_read_through_its_slice() {
    let image = [vec![0; 63 * 512], arenas()].concat();
    let Some(nodes) = Nodes::of(&image) else {
        return;
    };
    let disk = &nodes.ours.0;
    let sectors = (image.len() / 512 - 63).to_string();
    let added = process::Command::new("addpart")
        .args([disk, "1", "63", &sectors])
        .status();
    let slice = format!("{disk}p1");
    if !added.is_ok_and(|status| status.success()) || !Path::new(&slice).exists() {
        command::skipped("a disk and its slice: no slice can be added to a loop device here");
        return;
    }
    let reader = read_all(&slice);
    let venti = Venti::start();
    let range = format!("{disk}:32256-");
    for (seed, file) in [(2, &slice), (3, &range)] {
        // The server's node is the disk, then the slice; the bytes are the same.
        let written = Path::new(if file == &range { &slice } else { disk });
        let copy = nodes.image.with_file_name("copy");
        let skip = if file == &range { 0 } else { 63 * 512 };
        let mut now = vec![0; image.len() - 63 * 512];
        let node = File::options().read(true).write(true).open(written);
        let node = node.unwrap();
        node.read_exact_at(&mut now, skip).unwrap();
        fs::write(&copy, now).unwrap();
        let mut partition = Partition::open(&copy).unwrap();
        let scores = append(&mut partition, seed);
        partition.sync().unwrap();
        node.write_all_at(&fs::read(&copy).unwrap(), skip).unwrap();
        let output = Command::new("wrarena")
            .args(["-h", &venti.dial(), file])
            .run();
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
        assert_has(&venti, &scores, &output);
    }
    drop(reader);
    let _ = process::Command::new("delpart").args([disk, "1"]).status();
}

#[test]
fn what_a_fossil_wrote_through_another_node_is_its_last_score() {
    let bytes = golden::fossil("archived-8k");
    let Some(nodes) = Nodes::of(&bytes) else {
        return;
    };
    let at = usize::try_from(Header::AT).unwrap();
    let header = Header::parse(&bytes[at..][..Header::LEN]).unwrap();
    let at = header.superblock_at();
    let from = usize::try_from(at).unwrap();
    let mut superblock = SuperBlock::parse(&bytes[from..][..SuperBlock::LEN]).unwrap();
    let mut server = File::options().write(true).open(&nodes.server.0).unwrap();
    for text in ["first", "second"] {
        superblock.last = Score::of(text.as_bytes());
        // A fossil never syncs.
        server.write_all_at(&superblock.to_bytes(), at).unwrap();
        server.flush().unwrap();
        let image = nodes.image.to_str().unwrap();
        for operand in [nodes.ours.0.as_str(), image] {
            let output = Command::new("fossilast").arg(operand).run();
            let expected = format!("vac:{}\n", superblock.last);
            assert_eq!((output.status, output.stdout), (0, expected), "{operand}");
        }
    }
}
