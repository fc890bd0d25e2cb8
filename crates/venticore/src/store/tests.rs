//! Stores in directories of the tests.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::codec::arena::clump::ClumpHeader;
use crate::codec::operand::Operand;
use crate::codec::whack::Compressor;
use crate::host::partition::Partition;
use crate::source::log::{ClumpLog, What};
use crate::source::{ArenaSource, ReadAt};

struct Scratch {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Scratch {
    fn new(size: u64, arena: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        create::create(&path, size, arena, &mut HashSet::new()).unwrap();
        Scratch {
            _directory: directory,
            path,
        }
    }

    fn open(&self) -> Store {
        Store::open(vec![disk(&self.path)], settings(false)).unwrap()
    }

    /// Flips a bit of each place where the bytes stand in the file.
    fn damage(&self, bytes: &[u8]) {
        let mut all = fs::read(&self.path).unwrap();
        let places: Vec<usize> = (0..all.len() - bytes.len())
            .filter(|&at| all[at..].starts_with(bytes))
            .collect();
        assert!(!places.is_empty());
        for at in places {
            all[at + bytes.len() / 2] ^= 1;
        }
        fs::write(&self.path, all).unwrap();
    }

    /// The scores in the logs, as a reader of plan9port's form finds them.
    fn in_logs(&self) -> Vec<Score> {
        let bytes = Arc::new(fs::read(&self.path).unwrap());
        let ArenaSource::Partition(partition) = ArenaSource::read(&*bytes, 0).unwrap() else {
            panic!("no partition");
        };
        let mut found = Vec::new();
        for entry in &partition.entries {
            let arena = partition.arena(&*bytes, entry).unwrap();
            assert!(arena.notes.is_empty(), "{:?}", arena.notes);
            let source: Arc<dyn ReadAt> = Arc::clone(&bytes) as Arc<dyn ReadAt>;
            for item in ClumpLog::open(source, &arena, 0, true).unwrap() {
                assert_eq!(item.note, None);
                match item.what {
                    What::Clump { header, .. } => found.push(header.score),
                    other => panic!("{other:?}"),
                }
            }
        }
        found
    }
}

fn disk(path: &Path) -> Arc<dyn Disk> {
    let operand = Operand::try_from(path.as_os_str()).unwrap();
    Arc::new(Partition::open_rw(&operand).unwrap())
}

fn settings(read_only: bool) -> Settings {
    Settings {
        read_only,
        cache: 1 << 20,
        say: Box::new(|_| {}),
    }
}

/// Bytes that do not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}

const DATA: u8 = 13;

#[test]
fn what_is_written_is_read_before_and_after_a_restart() {
    let scratch = Scratch::new(20 << 20, 4 << 20);
    let blocks: Vec<Vec<u8>> = (0..300)
        .map(|n| noise(n, 1 + 29 * usize::try_from(n).unwrap()))
        .collect();
    let store = scratch.open();
    for block in &blocks {
        assert_eq!(store.write(DATA, block), Ok(Score::of(block)));
        assert_eq!(store.write(DATA, block), Ok(Score::of(block)));
    }
    assert_eq!(
        (store.counts().stored, store.counts().duplicates),
        (300, 300)
    );
    assert_eq!(store.write(2, &blocks[7]), Ok(Score::of(&blocks[7])));
    for synced in [false, true] {
        if synced {
            store.sync().unwrap();
        }
        let stores = [scratch.open(), scratch.open()];
        for store in stores.iter().chain([&store]) {
            for block in &blocks {
                let score = Score::of(block);
                assert_eq!(store.read(&score, DATA).as_ref(), Ok(block));
                assert_eq!(
                    store.size(&score, DATA),
                    Ok(u16::try_from(block.len()).unwrap())
                );
            }
            let score = Score::of(&blocks[8]);
            let absent = Refusal::Absent {
                score,
                disk_type: 2,
            };
            assert_eq!(store.read(&score, 2), Err(absent.clone()));
            assert_eq!(store.size(&score, 2), Err(absent));
            assert!(store.read(&Score::of(&blocks[7]), 2).is_ok());
        }
        assert_eq!(scratch.in_logs().len(), 301);
    }
}

#[test]
fn a_full_store_refuses_and_keeps_what_it_has() {
    let scratch = Scratch::new(794_624 + (3 << 20), 1 << 20);
    let store = scratch.open();
    let mut kept = Vec::new();
    let refusal = loop {
        let block = noise(kept.len() as u64, 8000);
        match store.write(DATA, &block) {
            Ok(_) => kept.push(block),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Refusal::Full);
    assert!(kept.len() > 370, "{}", kept.len());
    assert_eq!(store.write(DATA, &kept[0]), Ok(Score::of(&kept[0])));
    store.sync().unwrap();
    while store.seal_one(&|_| false) {}
    let states = store.arenas();
    assert!(states.iter().all(|of| of.live.sealed && of.score.is_some()));
    drop(store);
    let store = scratch.open();
    assert_eq!(store.write(DATA, b"one more"), Err(Refusal::Full));
    for block in &kept {
        assert_eq!(store.read(&Score::of(block), DATA).as_ref(), Ok(block));
    }
    assert_eq!(scratch.in_logs().len(), kept.len());
    let bytes = fs::read(&scratch.path).unwrap();
    for state in states {
        let head = usize::try_from(state.head).unwrap();
        let total = usize::try_from(state.size).unwrap() + 2 * 8192;
        let mut arena = bytes[head..head + total].to_vec();
        arena.truncate(total - 20);
        arena.extend([0; 20]);
        assert_eq!(state.score, Some(Score::of(&arena)));
    }
}

#[test]
fn a_damaged_block_is_refused_and_stored_again_when_it_is_sent() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let (block, other) = (noise(1, 5000), noise(2, 5000));
    let store = scratch.open();
    store.write(DATA, &block).unwrap();
    store.write(DATA, &other).unwrap();
    store.sync().unwrap();
    scratch.damage(&block);
    let score = Score::of(&block);
    let Err(Refusal::Damaged(text)) = store.read(&score, DATA) else {
        panic!("read");
    };
    let starts = format!("loading clump: corrupted at store0 0; expected={score} got=");
    assert!(text.starts_with(&starts), "{text}");
    assert_eq!(store.counts().damaged, 1);
    assert_eq!(store.write(DATA, &block), Ok(score));
    assert_eq!(store.counts().healed, 1);
    for store in [&store, &scratch.open()] {
        assert_eq!(store.read(&score, DATA).as_ref(), Ok(&block));
        assert_eq!(store.write(DATA, &block), Ok(score));
    }
    assert_eq!(store.counts().stored, 3);
}

/// A block that compresses, and the bytes that are stored of it.
fn compressible(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let block = noise(seed, 1000).repeat(5);
    let mut stored = vec![0; block.len()];
    let len = Compressor::new().compress(&block, &mut stored).unwrap();
    stored.truncate(len);
    (block, stored)
}

#[test]
fn a_block_that_is_damaged_after_it_was_found_right_is_stored_again() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let (block, stored) = compressible(1);
    let store = scratch.open();
    for _ in 0..3 {
        store.write(DATA, &block).unwrap();
    }
    store.sync().unwrap();
    assert_eq!((store.counts().stored, store.counts().duplicates), (1, 2));
    scratch.damage(&stored);
    store.write(DATA, &block).unwrap();
    assert_eq!((store.counts().stored, store.counts().healed), (2, 1));
    assert_eq!(store.read(&Score::of(&block), DATA).as_ref(), Ok(&block));
    // The copy that is whole is newer, and found right.
    store.write(DATA, &block).unwrap();
    assert_eq!(store.counts().stored, 2);
}

/// As if the memory, or the encoder, had made a mistake before the block was written.
#[test]
fn a_block_that_was_written_wrong_is_stored_again_once_it_was_read() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let (block, stored) = compressible(1);
    let score = Score::of(&block);
    let store = scratch.open();
    store.write(DATA, &block).unwrap();
    store.sync().unwrap();
    scratch.damage(&stored);
    let address = store.index.find(store.index.hash(&score, DATA))[0];
    let mut bytes = vec![0; HEADER_LEN + stored.len()];
    let (place, disk, at) = store.ground.locate(address).unwrap_or_else(|_| panic!());
    disk.read_at(&mut bytes, place.base() + at).unwrap();
    let header = ClumpHeader::parse(&bytes, place.clump_magic).unwrap();
    let sum = store.proven.sum(&header, &bytes[HEADER_LEN..], &block);
    store.proven.note(address, sum);
    store.write(DATA, &block).unwrap();
    assert_eq!(store.counts().stored, 1);
    assert!(store.read(&score, DATA).is_err());
    store.write(DATA, &block).unwrap();
    assert_eq!(store.counts().stored, 2);
    assert_eq!(store.read(&score, DATA).as_ref(), Ok(&block));
}

#[test]
fn another_clump_in_the_same_place_is_decoded() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let (block, stored) = compressible(1);
    let store = scratch.open();
    store.write(DATA, &block).unwrap();
    store.sync().unwrap();
    let mut all = fs::read(&scratch.path).unwrap();
    let starts = all.windows(stored.len());
    let at = starts.enumerate().find(|(_, of)| *of == stored).unwrap().0;
    // Of the same block, by its time.
    all[at - 1] ^= 1;
    fs::write(&scratch.path, &all).unwrap();
    store.write(DATA, &block).unwrap();
    assert_eq!((store.counts().stored, store.counts().duplicates), (1, 1));
    // With what is stored of another block.
    let (_, other) = compressible(2);
    let len = other.len().min(stored.len());
    all[at..at + len].copy_from_slice(&other[..len]);
    fs::write(&scratch.path, &all).unwrap();
    store.write(DATA, &block).unwrap();
    assert_eq!((store.counts().stored, store.counts().healed), (2, 1));
}

#[test]
fn another_block_with_the_same_score_is_refused() {
    let both = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/venti/sha1-collision"
    ));
    let (one, other) = both.split_at(both.len() / 2);
    assert_ne!(one, other);
    // What follows two blocks with the same SHA-1 changes nothing in that, and compresses.
    for more in [0, 3000] {
        let scratch = Scratch::new(10 << 20, 4 << 20);
        let [one, other] = [one, other].map(|start| [start, &vec![b'x'; more]].concat());
        let score = Score::of(&one);
        assert_eq!(Score::of(&other), score);
        let store = scratch.open();
        for _ in 0..3 {
            assert_eq!(store.write(DATA, &one), Ok(score));
            assert_eq!(store.write(DATA, &other), Err(Refusal::Collision(score)));
        }
        assert_eq!(store.read(&score, DATA), Ok(one));
    }
}

/// Reads a block some times.
fn read(store: &Store, block: &[u8], times: usize) {
    for _ in 0..times {
        assert_eq!(store.read(&Score::of(block), DATA).as_deref(), Ok(block));
    }
}

#[test]
fn a_block_that_is_read_again_is_not_decoded_again() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let blocks = [compressible(1).0, noise(2, 5000)];
    let store = scratch.open();
    for block in &blocks {
        for _ in 0..3 {
            store.write(DATA, block).unwrap();
        }
        assert_eq!(store.cache_counts(), CacheCounts::default());
    }
    for block in &blocks {
        read(&store, block, 1);
    }
    assert_eq!(store.cache_counts().bytes, 0);
    for block in &blocks {
        read(&store, block, 4);
    }
    let counts = store.cache_counts();
    assert_eq!((counts.hits, counts.misses), (6, 4));
    assert!(counts.bytes > 10_000, "{counts:?}");
    let none = Settings {
        cache: 0,
        ..settings(true)
    };
    let store = Store::open(vec![disk(&scratch.path)], none).unwrap();
    read(&store, &blocks[0], 5);
    assert_eq!(store.cache_counts(), CacheCounts::default());
}

#[test]
fn a_block_in_the_cache_that_is_damaged_on_the_disk_is_refused_and_stored_again() {
    let (compressed, stored) = compressible(1);
    let plain = noise(2, 5000);
    for (block, on_disk) in [(&compressed, &stored), (&plain, &plain)] {
        let scratch = Scratch::new(10 << 20, 4 << 20);
        let store = scratch.open();
        store.write(DATA, block).unwrap();
        store.sync().unwrap();
        read(&store, block, 4);
        assert_eq!(store.cache_counts().hits, 2);
        scratch.damage(on_disk);
        let refusal = store.read(&Score::of(block), DATA);
        assert!(matches!(refusal, Err(Refusal::Damaged(_))), "{refusal:?}");
        store.write(DATA, block).unwrap();
        assert_eq!(store.counts().healed, 1);
        read(&store, block, 4);
        assert_eq!(store.cache_counts().hits, 4);
    }
}

#[test]
fn the_cache_takes_no_more_memory_than_it_is_given() {
    let scratch = Scratch::new(20 << 20, 4 << 20);
    let store = scratch.open();
    let blocks: Vec<Vec<u8>> = (0..400).map(|n| noise(n, 8192)).collect();
    for block in &blocks {
        store.write(DATA, block).unwrap();
        read(&store, block, 2);
    }
    let counts = store.cache_counts();
    assert!((CACHE_SMALLEST / 2..=CACHE_SMALLEST).contains(&counts.bytes));
    // What is read once leaves it as it is.
    let kept = blocks.last().unwrap();
    read(&store, kept, 1);
    assert_eq!(store.cache_counts().hits, counts.hits + 1);
}

#[test]
fn a_read_only_store_changes_nothing() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let block = noise(1, 5000);
    scratch.open().write(DATA, &block).unwrap();
    let before = fs::read(&scratch.path).unwrap();
    let store = Store::open(vec![disk(&scratch.path)], settings(true)).unwrap();
    assert_eq!(store.read(&Score::of(&block), DATA).as_ref(), Ok(&block));
    assert_eq!(store.write(DATA, &block), Err(Refusal::ReadOnly));
    assert_eq!(store.sync(), Ok(()));
    assert_eq!(fs::read(&scratch.path).unwrap(), before);
}

#[test]
fn what_no_venti_stores_is_refused() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let store = scratch.open();
    assert_eq!(store.write(DATA, b""), Ok(Score::ZERO));
    assert_eq!(store.write(DATA, &[1; 57345]), Err(Refusal::TooLarge));
    assert_eq!(store.write(77, b"x"), Err(Refusal::Type));
    assert_eq!(store.counts().stored, 0);
    assert!(store.write(DATA, &noise(1, 57344)).is_ok());
}

#[test]
fn many_threads_store_a_block_once() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let store = scratch.open();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..200 {
                    store.write(DATA, &noise(n, 3000)).unwrap();
                    store.sync().unwrap();
                }
            });
        }
    });
    assert_eq!(
        (store.counts().stored, store.counts().duplicates),
        (200, 600)
    );
    assert_eq!(scratch.in_logs().len(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn any_bytes_are_a_store_or_refused(at in 0..2_000_000_usize, bytes: [u8; 40]) {
        let scratch = Scratch::new(4 << 20, 1 << 20);
        scratch.open().write(DATA, &noise(1, 5000)).unwrap();
        let mut all = fs::read(&scratch.path).unwrap();
        let at = 262_144 + at;
        all[at..at + 40].copy_from_slice(&bytes);
        fs::write(&scratch.path, all).unwrap();
        if let Ok(store) = Store::open(vec![disk(&scratch.path)], settings(false)) {
            let _ = store.write(DATA, &noise(2, 5000));
            let _ = store.read(&Score::of(&noise(1, 5000)), DATA);
        }
    }
}

#[test]
fn a_store_is_written_by_one_process_at_a_time() {
    let scratch = Scratch::new(10 << 20, 4 << 20);
    let operand = Operand::try_from(scratch.path.as_os_str()).unwrap();
    let open = |read_only| {
        let operands = std::slice::from_ref(&operand);
        disk::open_all(
            operands,
            read_only,
            &crate::replica::StoreAccess::default(),
            &|line| panic!("{line}"),
        )
    };
    let first = open(false).unwrap();
    let second = open(false).err().unwrap().to_string();
    assert!(second.contains("another process"), "{second}");
    assert!(open(true).is_ok());
    drop(first);
    assert!(open(false).is_ok());
}
