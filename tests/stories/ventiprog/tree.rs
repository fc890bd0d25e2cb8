//! Hash trees: every block below a root is met, once; what is missing or
//! damaged is named; hostile entries neither loop nor panic; streams read back.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;
use venti_tests::golden;
use venti_tests::random::Random;
use venti_tests::venti::{Fault, How, On, Venti};

use crate::fixture::archives::ARCHIVES;
use crate::fixture::archives::manifest_blocks;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, Root, block_type, truncated};
use venticore::net::client::{Client, Dialer};
use venticore::net::tree;
use venticore::net::tree::{
    BadBlock, BlockFault as Wrong, Counts, Leaf, LeafPlan, StreamRequest, Visitor, Walker,
};

fn client(venti: &Venti) -> Client {
    Client::dial(&venti.dial().parse().unwrap(), &Dialer::default()).unwrap()
}

/// What a walk told.
#[derive(Default)]
struct Told {
    damaged: Vec<BadBlock>,
    leaves: Vec<(u64, Vec<u8>)>,
}

impl Visitor for Told {
    fn leaf(&mut self, leaf: Leaf<'_>) {
        self.leaves.push((leaf.number, leaf.data.to_vec()));
    }

    fn damage(&mut self, _id: usize, damage: BadBlock) {
        self.damaged.push(damage);
    }
}

/// A walk over these streams.
fn walk(venti: &Venti, entries: &[Entry], plan: LeafPlan) -> (Counts, Told) {
    let known = venti.insert(BlockType::Data, b"a block that is known");
    let mut client = client(venti);
    let mut walker = Walker::new(Walker::MEMORY, |_| {});
    let known = (known, BlockType::Data);
    walker.try_probes(&mut client, known).unwrap();
    let mut told = Told::default();
    let wanted = (0..).zip(entries).map(|(number, &entry)| StreamRequest {
        entry,
        plan,
        id: 0,
        path: vec![number],
    });
    walker.run(&mut client, wanted, &mut told).unwrap();
    (walker.counts(), told)
}

/// The entries of the block at the top of an archive.
fn top(venti: &Venti, score: &Score) -> (Root, Vec<Entry>) {
    let root = tree::read_root(&mut client(venti), score).unwrap().unwrap();
    let block = venti.get(BlockType::Dir, &root.score).unwrap();
    (root, Entry::all(&block).collect())
}

/// The golden archives of vac: where they lie, and what each has.
fn vac_archives() -> Vec<(Venti, Vec<Value>)> {
    let archives = golden::PARTITIONS.iter().map(|name| {
        let venti = Venti::start();
        for (ty, data) in golden::blocks(&format!("{name}.part")) {
            let _ = venti.insert(ty, &data);
        }
        let json = golden::json(&format!("{name}.json"));
        (venti, json["roots"].as_array().cloned().unwrap_or_default())
    });
    archives.collect()
}

#[test]
fn every_block_of_every_golden_archive_is_met_once() {
    let mut seen = 0;
    for (venti, roots) in vac_archives() {
        for root in roots {
            let score = root["score"]
                .as_str()
                .unwrap()
                .rsplit(':')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let (_, entries) = top(&venti, &score);
            let (counts, told) = walk(&venti, &entries, LeafPlan::Read);
            assert_eq!(told.damaged, [], "{root}");
            let blocks = root["without_prev"]["blocks"].as_u64().unwrap();
            // The root and the block at its top were read before.
            assert_eq!(counts.read + 2, blocks, "{root}");
            let visits = root["without_prev"]["visits"].as_u64().unwrap();
            assert_eq!(counts.shared, visits - blocks, "{root}");
            let asked = walk(&venti, &entries, LeafPlan::Probe).0;
            let data = root["without_prev"]["by_disk_type"]["13"].as_u64().unwrap();
            assert_eq!(
                (asked.probed, asked.read + asked.probed),
                (data, counts.read),
                "{root}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 19, "{seen} archives");
    let venti = golden::archives();
    let manifest = golden::json("fossil/manifest.json");
    for (name, (score, _)) in ["archived-8k", "archived2-8k", "archived-4k"]
        .iter()
        .zip(ARCHIVES)
    {
        let (_, entries) = top(&venti, &score.parse().unwrap());
        let (counts, told) = walk(&venti, &entries, LeafPlan::Read);
        assert_eq!(told.damaged, []);
        let blocks: BTreeSet<_> = manifest_blocks(&manifest, name).into_iter().collect();
        assert_eq!(counts.read + 2, blocks.len() as u64, "{name}");
    }
}

#[test]
fn each_missing_or_damaged_block_is_named() {
    let venti = golden::archives();
    let manifest = golden::json("fossil/manifest.json");
    let (root, entries) = top(&venti, &ARCHIVES[2].0.parse().unwrap());
    for (ty, score) in manifest_blocks(&manifest, "archived-4k") {
        if ty == BlockType::Root || score == root.score {
            continue;
        }
        let block = venti.get(ty, &score).unwrap();
        assert!(venti.forget(ty, &score));
        for plan in [LeafPlan::Read, LeafPlan::Probe] {
            let (counts, told) = walk(&venti, &entries, plan);
            let [damage] = &*told.damaged else {
                panic!("{ty} {score}: {:?}", told.damaged);
            };
            assert_eq!(
                (damage.ty, damage.score, &damage.fault),
                (ty, score, &Wrong::Missing)
            );
            assert_eq!((counts.damaged, damage.path[0]), (1, 0));
        }
        let _ = venti.insert(ty, &block);
        assert!(venti.corrupt(ty, &score));
        let (_, told) = walk(&venti, &entries, LeafPlan::Read);
        assert_eq!(told.damaged.len(), 1);
        assert!(matches!(told.damaged[0].fault, Wrong::Unreadable(_)));
        let _ = venti.insert(ty, &block);
    }
    // Another block than the one asked for.
    let asked = venti.counts().reads;
    venti.fault(Fault::at(On::Read, asked + 3, How::Wrong));
    let (_, told) = walk(&venti, &entries, LeafPlan::Read);
    assert!(
        matches!(told.damaged[0].fault, Wrong::Wrong(_)),
        "{:?}",
        told.damaged
    );
}

/// An entry in use, of so many levels over the block with this score.
fn entry(directory: bool, depth: u8, size: u64, score: Score) -> Entry {
    Entry {
        generation: 0,
        stored_psize: 8160,
        stored_dsize: 8192,
        active: true,
        directory,
        depth,
        local: false,
        big: false,
        no_archive: false,
        size,
        score,
    }
}

/// Pointer blocks up to this level, each full of the one below.
fn tower(venti: &Venti, leaf: Score, levels: u8) -> Score {
    (1..=levels).fold(leaf, |below, level| {
        let block = below.as_bytes().repeat(408);
        venti.insert(BlockType::Pointer(level), &block)
    })
}

#[test]
fn a_small_tree_that_unfolds_to_a_huge_one_is_walked_in_no_time() {
    let venti = Venti::start();
    let leaf = venti.insert(BlockType::Data, b"leaf");
    let top = tower(&venti, leaf, 7);
    for plan in [LeafPlan::Read, LeafPlan::Probe] {
        let (counts, told) = walk(&venti, &[entry(false, 7, 1 << 47, top)], plan);
        assert_eq!((counts.read + counts.probed, told.damaged.len()), (8, 0));
        assert_eq!(counts.shared, 7 * 407);
    }
    // Where the leaves are wanted, the size is the limit.
    let (_, told) = walk(
        &venti,
        &[entry(false, 7, 3 * 8192 + 1, top)],
        LeafPlan::Give,
    );
    let numbers: BTreeSet<u64> = told.leaves.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..4).collect());
    let (_, told) = walk(&venti, &[entry(false, 7, 1 << 47, top)], LeafPlan::Give);
    assert!(told.leaves.is_empty() && matches!(told.damaged[0].fault, Wrong::Format(_)));
    // Directories that hold one another many times over.
    let mut score = venti.insert(BlockType::Dir, b"");
    for _ in 0..64 {
        let inner = entry(true, 0, 80, score).to_bytes();
        score = venti.insert(BlockType::Dir, &inner.repeat(200));
    }
    let (counts, told) = walk(&venti, &[entry(true, 0, 8000, score)], LeafPlan::Read);
    assert!(counts.read <= 64 && told.damaged.is_empty(), "{counts:?}");
}

#[test]
fn a_chain_of_directories_as_deep_as_one_likes_is_walked() {
    let venti = Venti::start();
    let missing = Score::of(b"not there");
    let mut inner = entry(false, 0, 9, missing);
    for _ in 0..20_000 {
        let score = venti.insert(BlockType::Dir, &inner.to_bytes());
        inner = entry(true, 0, 40, score);
    }
    let (counts, told) = walk(&venti, &[inner], LeafPlan::Read);
    assert_eq!((counts.read, told.damaged.len()), (20_000, 1));
    assert_eq!(told.damaged[0].path.len(), 20_001);
    assert!(
        told.damaged[0].to_string().len() < 200,
        "{}",
        told.damaged[0]
    );
}

#[test]
fn entries_that_cannot_be_are_damage() {
    let venti = Venti::start();
    let leaf = venti.insert(BlockType::Data, &[7; 8192]);
    let good = entry(false, 0, 8192, leaf);
    for (bad, says) in [
        (
            Entry {
                stored_psize: 0,
                ..good
            },
            "pointer block size",
        ),
        (
            Entry {
                stored_dsize: 255,
                ..good
            },
            "data block size",
        ),
        (Entry { size: 8193, ..good }, "a size of at most 8192"),
        (
            Entry {
                stored_dsize: 4096,
                size: 4096,
                ..good
            },
            "at most 4096 bytes, found 8192",
        ),
        (Entry { depth: 3, ..good }, "not on this venti"),
        (
            Entry {
                directory: true,
                ..good
            },
            "not on this venti",
        ),
    ] {
        for plan in [LeafPlan::Read, LeafPlan::Probe, LeafPlan::Give] {
            let (_, told) = walk(&venti, &[bad], plan);
            let said: Vec<String> = told.damaged.iter().map(ToString::to_string).collect();
            assert!(
                said.len() == 1 && said[0].contains(says),
                "{says}: {said:?}"
            );
        }
    }
    for fine in [
        Entry {
            active: false,
            ..good
        },
        Entry {
            score: Score::ZERO,
            stored_psize: 0,
            stored_dsize: 0,
            ..good
        },
        Entry {
            local: true,
            ..good
        },
    ] {
        assert_eq!(walk(&venti, &[fine], LeafPlan::Read).1.damaged, []);
    }
}

#[test]
fn a_server_that_cannot_be_asked_is_read_from() {
    let venti = golden::archives();
    venti.fault(Fault::no_probe());
    let (_, entries) = top(&venti, &ARCHIVES[0].0.parse().unwrap());
    let asked = walk(&venti, &entries, LeafPlan::Probe).0;
    assert_eq!(
        (asked.probed, asked.read),
        (0, walk(&venti, &entries, LeafPlan::Read).0.read)
    );
}

/// Stores a stream as a venti client does: cut into blocks, empty ones left out.
fn store(venti: &Venti, data: &[u8], directory: bool, psize: u16, dsize: u16) -> Entry {
    let put = |ty, block: &[u8]| match truncated(ty, block) {
        [] => Score::ZERO,
        block => venti.insert(ty, block),
    };
    let leaf = block_type(directory, 0);
    let mut level: Vec<Score> = data
        .chunks(dsize.into())
        .map(|block| put(leaf, block))
        .collect();
    let mut depth = 0;
    while level.len() > 1 {
        depth += 1;
        let ty = block_type(directory, depth);
        let blocks = level.chunks(usize::from(psize) / 20);
        let bytes = blocks.map(|scores| {
            scores
                .iter()
                .flat_map(|s| *s.as_bytes())
                .collect::<Vec<u8>>()
        });
        level = bytes.map(|block| put(ty, &block)).collect();
    }
    Entry {
        stored_psize: psize,
        stored_dsize: dsize,
        depth,
        size: data.len() as u64,
        score: level.first().copied().unwrap_or(Score::ZERO),
        ..entry(directory, 0, 0, Score::ZERO)
    }
}

/// Some pieces of noise and of zeros.
fn content(random: &mut Random, most: usize) -> Vec<u8> {
    let mut content = Vec::new();
    while content.len() < most && random.below(12) > 0 {
        let len = random.below(2000);
        match random.below(2) {
            0 => content.extend(random.bytes(len)),
            _ => content.resize(content.len() + len, 0),
        }
    }
    content
}

#[test]
fn a_stream_reads_back_whatever_its_size_and_holes() {
    let venti = Venti::start();
    let mut client = client(&venti);
    let mut random = Random::new(1);
    for round in 0..120 {
        let data = content(&mut random, 40_000);
        let (psize, dsize) = ([256, 260, 400][round % 3], [256, 300, 512][random.below(3)]);
        let entry = store(&venti, &data, false, psize, dsize);
        let mut out = Vec::new();
        assert_eq!(
            tree::copy(&mut client, &entry, &mut out).unwrap(),
            data.len() as u64
        );
        assert!(out == data, "{round}: {entry:?}");
        for _ in 0..5 {
            let (from, count) = (random.below(data.len() + 300), random.below(5000));
            let part = tree::read(&mut client, &entry, from as u64, count).unwrap();
            let expected: Vec<u8> = data.iter().skip(from).take(count).copied().collect();
            assert!(
                part == expected,
                "{round}: {count} bytes at {from} of {}",
                data.len()
            );
        }
        let (_, told) = walk(&venti, &[entry], LeafPlan::Give);
        assert_eq!(told.damaged, []);
        for (number, leaf) in told.leaves {
            let from = usize::try_from(number).unwrap() * usize::from(dsize);
            assert!(data[from..].starts_with(&leaf));
        }
    }
}

#[test]
fn a_stream_with_a_block_missing_is_an_error_and_a_huge_hole_is_not() {
    let venti = Venti::start();
    let mut client = client(&venti);
    let data = Random::new(2).bytes(20_000);
    let entry = store(&venti, &data, false, 256, 256);
    let block = Score::of(&data[10 * 256..11 * 256]);
    assert!(venti.forget(BlockType::Data, &block));
    assert!(tree::copy(&mut client, &entry, &mut Vec::new()).is_err());
    assert_eq!(
        tree::read(&mut client, &entry, 0, 2560).unwrap(),
        data[..2560]
    );
    let hole = Entry {
        score: Score::ZERO,
        size: 1 << 47,
        depth: 7,
        ..entry
    };
    assert_eq!(
        tree::read(&mut client, &hole, 1 << 46, 3).unwrap(),
        [0, 0, 0]
    );
    let flat = Entry { depth: 0, ..entry };
    assert!(tree::read(&mut client, &flat, 0, 3).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_entry_over_any_blocks_is_walked(bytes: [u8; 40], noise: Vec<u8>, plan in 0usize..4) {
        let venti = Venti::start();
        let mut entry = Entry::parse(&bytes);
        entry.active = true;
        for level in 0..=7 {
            let _ = venti.insert(block_type(entry.directory, level), &noise);
        }
        entry.score = Score::of(&noise);
        let plan = [LeafPlan::Read, LeafPlan::Probe, LeafPlan::Give, LeafPlan::Follow][plan];
        let _ = walk(&venti, &[entry], plan);
        let _ = tree::read(&mut client(&venti), &entry, entry.size / 2, 100);
    }
}
