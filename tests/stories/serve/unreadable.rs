//! A disk that cannot be read in places: what a store makes of it when it is opened.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use venti_tests::arena::PartitionBuilder;
use venti_tests::faultdisk::{FaultDisk, Power};
use venti_tests::random::Random;
use venticore::codec::score::Score;
use venticore::source::{Arena, ArenaSource};
use venticore::store::{Disk, Refusal, Settings, Store};

const DATA: u8 = 13;

/// Bytes of the blocks, which do not compress, and of their clumps.
const BLOCK: usize = 3000;
const CLUMP: u64 = BLOCK as u64 + 38;

fn block(number: u64) -> Vec<u8> {
    Random::new(number).bytes(BLOCK)
}

fn score(number: u64) -> Score {
    Score::of(&block(number))
}

/// A disk with two arenas, each with room for about 60 blocks.
fn disk() -> Arc<FaultDisk> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas");
    let builder = PartitionBuilder::new().name("bad").block_size(8192);
    builder.arenas(2, 200 << 10).create(&path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    Arc::new(FaultDisk::new("the disk", bytes, &Power::default(), 1))
}

fn arenas(disk: &FaultDisk) -> Vec<Arena> {
    let ArenaSource::Partition(partition) = ArenaSource::read(disk, 0).unwrap() else {
        panic!("no partition");
    };
    let arena = |entry| partition.arena(disk, entry).unwrap();
    partition.entries.iter().map(arena).collect()
}

/// Opens it; the lines that it says.
fn open(disk: &Arc<FaultDisk>, read_only: bool) -> (Store, Vec<String>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&said);
    let settings = Settings {
        read_only,
        cache: 1 << 20,
        say: Box::new(move |line| lines.lock().unwrap().push(line.to_owned())),
    };
    let store = Store::open(vec![Arc::clone(disk) as Arc<dyn Disk>], settings);
    let store = store.unwrap_or_else(|error| panic!("{error:#}"));
    let lines = said.lock().unwrap().clone();
    (store, lines)
}

/// A store whose process is killed with `synced` blocks synced and `beyond` more in its log.
fn killed(synced: u64, beyond: u64) -> Arc<FaultDisk> {
    let disk = disk();
    let (store, _) = open(&disk, false);
    for number in 0..synced {
        store.write(DATA, &block(number)).unwrap();
    }
    store.sync().unwrap();
    for number in synced..synced + beyond {
        store.write(DATA, &block(number)).unwrap();
    }
    disk
}

#[test]
fn an_arena_that_cannot_be_read_beyond_its_trailer_is_closed_and_the_rest_is_served() {
    let disk = killed(5, 10);
    let base = arenas(&disk)[0].base();
    // In the clump of block 8: in its header, or in its block.
    for within in [7, 1000] {
        for read_only in [true, false] {
            let at = base + 8 * CLUMP + within;
            disk.spoil(at..at + 1);
            let (store, said) = open(&disk, read_only);
            let line = "the disk: arena bad0 cannot be read at 24304 bytes of its log, beyond \
                        its trailer, and nothing is added to it: Input/output error (os error 5)";
            assert_eq!(said, [line]);
            for number in 0..8 {
                assert_eq!(store.read(&score(number), DATA), Ok(block(number)));
            }
            assert_eq!(store.arenas()[0].live.clumps, 8);
            if !read_only {
                store.write(DATA, &block(100)).unwrap();
                store.write(DATA, &block(9)).unwrap();
                store.sync().unwrap();
                assert_eq!(store.arenas()[1].live.clumps, 2);
            }
            drop(store);
            disk.readable();
        }
    }
    // Nothing was written over.
    let (store, said) = open(&disk, false);
    assert_eq!(said, [""; 0]);
    for number in (0..15).chain([100]) {
        assert_eq!(store.read(&score(number), DATA), Ok(block(number)));
    }
    store.write(DATA, &block(101)).unwrap();
    assert_eq!(store.arenas()[0].live.clumps, 16);
}

#[test]
fn an_arena_with_a_record_that_cannot_be_read_is_closed_and_the_rest_is_served() {
    let disk = killed(65, 10);
    let [first, second] = &arenas(&disk)[..] else {
        panic!("two arenas");
    };
    let block_at = |at: u64| at..at + 8192;
    let records = |arena: &Arena| -> [Range<u64>; 3] {
        let end = arena.base() + arena.size;
        [block_at(arena.head), block_at(end), block_at(end - 8192)]
    };
    let cases = records(first).into_iter().map(|of| (first, of));
    for (arena, bytes) in cases.chain(records(second).map(|of| (second, of))) {
        for read_only in [true, false] {
            disk.spoil(bytes.clone());
            let (store, said) = open(&disk, read_only);
            let case = format!("{} {bytes:?}: {said:?}", arena.name);
            let named = format!("the disk: arena {} ", arena.name);
            assert!(said.len() <= 1, "{case}");
            assert!(said.iter().all(|line| line.starts_with(&named)), "{case}");
            // What the trailer counts is there, by the directory or by the log.
            for number in 0..65 {
                assert_eq!(
                    store.read(&score(number), DATA),
                    Ok(block(number)),
                    "{case}"
                );
            }
            if !read_only {
                let written = store.write(DATA, &block(200));
                assert!(matches!(written, Ok(_) | Err(Refusal::Full)), "{case}");
                store.sync().unwrap();
            }
            drop(store);
            disk.readable();
        }
    }
    let (store, said) = open(&disk, false);
    assert_eq!(said, [""; 0]);
    for number in 0..75 {
        assert_eq!(store.read(&score(number), DATA), Ok(block(number)));
    }
}

#[test]
fn a_block_whose_copy_cannot_be_read_is_stored_again_when_it_is_sent() {
    let disk = disk();
    let (store, said) = open(&disk, false);
    let block = block(1).repeat(3);
    for _ in 0..3 {
        store.write(DATA, &block).unwrap();
    }
    assert_eq!((store.counts().stored, store.counts().duplicates), (1, 2));
    let base = arenas(&disk)[0].base();
    disk.spoil(base + 1000..base + 1001);
    assert_eq!(store.write(DATA, &block), Ok(Score::of(&block)));
    assert_eq!((store.counts().stored, store.counts().healed), (2, 1));
    assert_eq!(store.read(&Score::of(&block), DATA), Ok(block));
    assert_eq!(said, [""; 0]);
}
