//! Clump logs: live, lagging, mirrored, sealed, and damaged in places.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;
use venti_tests::arena::{Block, Clump, Counters, Partition, PartitionBuilder};
use venti_tests::golden::{self, Manifest};
use venti_tests::sample::Sample;
use venticore::codec::arena::clump::ClumpError;
use venticore::source::log::{ClumpLog, Item, Loss, What};
use venticore::source::{Arena, ArenaPartition, Oddity, ReadAt};

/// What a walk says of a clump: as the manifests list them.
type Row = (u64, u8, String, u8, u16, u16);

fn row(item: &Item) -> Row {
    let What::Clump { header, .. } = &item.what else {
        panic!("not a clump: {item:?}");
    };
    let encoding = match header.encoding {
        venticore::codec::arena::clump::Encoding::Plain => 1,
        venticore::codec::arena::clump::Encoding::Whack => 2,
    };
    (
        item.offset,
        header.disk_type,
        header.score.to_string(),
        encoding,
        header.size,
        header.uncompressed,
    )
}

fn source(bytes: Vec<u8>) -> Arc<dyn ReadAt> {
    Arc::new(bytes)
}

fn arenas(source: &dyn ReadAt) -> Vec<Arena> {
    let table = ArenaPartition::read(source).unwrap();
    let arenas = table.entries.iter();
    arenas
        .map(|entry| table.arena(source, entry).unwrap())
        .collect()
}

/// The items from `from` on; every clump among them hashes to its score.
fn walk(source: &Arc<dyn ReadAt>, arena: &Arena, from: u64, synced: bool) -> Vec<Item> {
    let mut log = ClumpLog::open(Arc::clone(source), arena, from, synced).unwrap();
    let mut items = Vec::new();
    while let Some(mut item) = log.next() {
        assert_eq!(log.offset(), item.end());
        if let What::Clump { header, .. } = &item.what {
            let header = *header;
            let stored = log.stored(&item).unwrap();
            if let Err(error) = header.block(stored) {
                let loss = venticore::source::log::loss(arena, &item, stored, &error, synced);
                item.what = What::Lost(loss);
            }
        }
        items.push(item);
    }
    items
}

#[test]
fn every_golden_partition_lists_the_clumps_of_its_manifest() {
    for name in golden::PARTITIONS {
        let manifest = Manifest::load(name);
        let source = source(golden::bytes(&format!("{name}.part")));
        let found = arenas(source.as_ref());
        assert_eq!(found.len(), manifest.arenas.len());
        for (arena, expected) in found.iter().zip(&manifest.arenas) {
            assert_eq!(arena.name.as_str(), expected.name);
            assert_eq!(arena.notes, []);
            assert_eq!(
                (arena.head, arena.base(), arena.size, arena.clump_magic),
                (
                    expected.head,
                    expected.base,
                    expected.size,
                    expected.clump_magic
                )
            );
            assert_eq!(arena.live.used, expected.written.used);
            let rows: Vec<Row> = walk(&source, arena, 0, false).iter().map(row).collect();
            let listed: Vec<Row> = expected.clumps.iter().map(golden_row).collect();
            assert_eq!(rows, listed, "{name} {}", expected.name);
        }
    }
}

fn golden_row(clump: &Clump) -> Row {
    (
        clump.offset,
        clump.block_type,
        clump.score.to_string(),
        clump.encoding,
        clump.stored,
        clump.size,
    )
}

#[test]
fn arena_files_are_read_by_the_rule_for_their_state() {
    let expected = golden::json("arena-files.json");
    for (name, expected) in expected.as_object().unwrap() {
        let source = source(golden::bytes(name));
        let arena = Arena::read(source.as_ref(), 0).unwrap();
        let mut log = ClumpLog::open(source, &arena, 0, false).unwrap();
        let clumps = log.by_ref().count();
        let scan = &expected["forward_scan"];
        assert_eq!(clumps as u64, scan["clumps"], "{name}");
        assert_eq!(log.offset(), scan["end"].as_u64().unwrap(), "{name}");
        let stopped = log.stopped().cloned();
        match scan["stopped_by"].as_str().unwrap() {
            _ if arena.settled => assert_eq!(stopped, None),
            "magic 00000000" => {
                assert!(
                    matches!(stopped, Some(ClumpError::Magic { found: 0, .. })),
                    "{name}"
                );
            }
            "clump header without its data" => assert!(stopped.is_some(), "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
}

/// A partition of two arenas, the first of them full.
fn made(version: u32) -> (TempDir, Partition) {
    let directory = tempfile::tempdir().unwrap();
    let mut partition = PartitionBuilder::new()
        .version(version)
        .arenas(2, 256 * 1024)
        .create(&directory.path().join("part"))
        .unwrap();
    let mut sample = Sample::new(7, 60);
    while partition.arenas()[1].clumps().len() < 20 {
        let size = sample.size(9000);
        partition.append(13, &sample.block(size)).unwrap();
    }
    partition.sync().unwrap();
    (directory, partition)
}

/// What is left after damage: which clumps are whole, and what is lost.
struct Outcome {
    whole: Vec<u64>,
    lost: Vec<(u64, Loss)>,
    notes: Vec<u64>,
}

fn outcome(partition: &Partition, number: usize, synced: bool) -> Outcome {
    let source = source(fs::read(partition.path()).unwrap());
    let arena = &arenas(source.as_ref())[number];
    let mut outcome = Outcome {
        whole: Vec::new(),
        lost: Vec::new(),
        notes: Vec::new(),
    };
    for item in walk(&source, arena, 0, synced) {
        if item.note.is_some() {
            outcome.notes.push(item.offset);
        }
        match item.what {
            What::Lost(loss) => outcome.lost.push((item.offset, loss)),
            _ => outcome.whole.push(item.offset),
        }
    }
    outcome
}

fn offsets(partition: &Partition, arena: usize) -> Vec<u64> {
    let clumps = partition.arenas()[arena].clumps().iter();
    clumps.map(|clump| clump.offset).collect()
}

fn but(mut offsets: Vec<u64>, number: usize) -> Vec<u64> {
    offsets.remove(number);
    offsets
}

#[test]
fn a_flipped_bit_costs_one_clump_in_any_arena() {
    for arena in [0, 1] {
        for synced in [false, true] {
            let (_directory, mut partition) = made(5);
            partition.flip_data(arena, 5, 3).unwrap();
            let outcome = outcome(&partition, arena, synced);
            let all = offsets(&partition, arena);
            assert_eq!(outcome.whole, but(all.clone(), 5));
            let [(offset, loss)] = outcome.lost.as_slice() else {
                panic!("{:?}", outcome.lost);
            };
            assert_eq!(*offset, all[5]);
            assert_eq!(
                loss.score,
                Some(partition.arenas()[arena].clumps()[5].score)
            );
            assert!(!loss.maybe_late);
        }
    }
}

#[test]
fn a_wrong_directory_entry_costs_nothing() {
    for arena in [0, 1] {
        for byte in 0..25 {
            let (_directory, mut partition) = made(5);
            partition
                .edit_entry(arena, 5, |entry| entry[byte] ^= 2)
                .unwrap();
            let outcome = outcome(&partition, arena, false);
            assert_eq!(outcome.whole, offsets(&partition, arena), "byte {byte}");
            assert_eq!(outcome.notes, [outcome.whole[5]], "byte {byte}");
        }
    }
}

#[test]
fn a_wrong_header_is_mended_from_the_directory() {
    for version in [4, 5] {
        // Magic, size, uncompressed size, score; encoding follows from the sizes.
        for byte in [0, 3, 5, 6, 7, 8, 9, 28, 29] {
            let (_directory, mut partition) = made(version);
            partition
                .edit_header(1, 5, |header| header[byte] ^= 2)
                .unwrap();
            let outcome = outcome(&partition, 1, false);
            assert_eq!(outcome.whole, offsets(&partition, 1), "byte {byte}");
            assert_eq!(outcome.notes, [outcome.whole[5]], "byte {byte}");
        }
    }
}

#[test]
fn two_possible_types_are_both_told() {
    let (_directory, mut partition) = made(5);
    partition.edit_entry(1, 5, |entry| entry[0] = 2).unwrap();
    let source = source(fs::read(partition.path()).unwrap());
    let arena = &arenas(source.as_ref())[1];
    let item = walk(&source, arena, 0, true).remove(5);
    let What::Clump {
        block_type,
        other_type,
        ..
    } = item.what
    else {
        panic!("{item:?}");
    };
    assert_eq!(block_type.to_disk(), 13);
    assert_eq!(
        other_type.map(venticore::codec::blocktype::BlockType::to_disk),
        Some(2)
    );
}

#[test]
fn with_header_and_entry_gone_the_next_clump_is_found() {
    for version in [4, 5] {
        let (_directory, mut partition) = made(version);
        partition
            .edit_header(1, 5, |header| header.fill(0x55))
            .unwrap();
        partition.edit_entry(1, 5, |entry| entry.fill(0)).unwrap();
        let outcome = outcome(&partition, 1, false);
        assert_eq!(outcome.whole, but(offsets(&partition, 1), 5));
        assert_eq!(outcome.lost.len(), 1);
        assert_eq!(outcome.notes, [0; 0], "the directory is found again");
    }
}

#[test]
fn the_clumps_of_a_hole_are_told_apart_by_the_directory() {
    for (arena, synced, to_the_end) in [(0, false, false), (1, false, false), (1, true, true)] {
        let (_directory, mut partition) = made(5);
        let clumps = partition.arenas()[arena].clumps().to_vec();
        let base = partition.arenas()[arena].base();
        let (first, last) = match to_the_end {
            true => (3, clumps.len() - 1),
            false => (3, 14),
        };
        let from = clumps[first].offset + 50;
        let zeros = vec![0; usize::try_from(clumps[last].end() - 9 - from).unwrap()];
        partition.write_raw(base + from, &zeros).unwrap();
        let outcome = outcome(&partition, arena, synced);
        let lost: Vec<_> = outcome
            .lost
            .iter()
            .map(|(at, loss)| {
                (
                    *at,
                    loss.score,
                    loss.block_type,
                    loss.clumps,
                    loss.maybe_late,
                )
            })
            .collect();
        let expected: Vec<_> = clumps[first..=last]
            .iter()
            .map(|c| {
                let block_type = venticore::codec::blocktype::BlockType::from_disk(c.block_type);
                (c.offset, Some(c.score), block_type, 1, false)
            })
            .collect();
        assert_eq!(lost, expected);
        assert_eq!(outcome.notes, [0; 0], "the directory is found again");
        let all = clumps.iter().map(|c| c.offset);
        let whole: Vec<u64> = all.filter(|at| !lost.iter().any(|l| l.0 == *at)).collect();
        assert_eq!(outcome.whole, whole);
    }
}

/// With one entry of the hole gone as well, it is one stretch; its clumps are
/// counted, since the directory is found again after it.
#[test]
fn a_hole_that_the_directory_does_not_explain_is_one_stretch() {
    let (_directory, mut partition) = made(5);
    let clumps = partition.arenas()[0].clumps().to_vec();
    let base = partition.arenas()[0].base();
    let zeros = vec![0; usize::try_from(clumps[15].offset - clumps[3].offset).unwrap()];
    partition
        .write_raw(base + clumps[3].offset, &zeros)
        .unwrap();
    partition.edit_entry(0, 7, |entry| entry.fill(0)).unwrap();
    let outcome = outcome(&partition, 0, true);
    let [(at, loss)] = outcome.lost.as_slice() else {
        panic!("{:?}", outcome.lost);
    };
    assert_eq!(
        (*at, loss.clumps, loss.block_type),
        (clumps[3].offset, 12, None)
    );
}

#[test]
fn a_corrupt_clump_is_counted_and_skipped() {
    let (_directory, mut partition) = made(5);
    partition.give_up(0, 5).unwrap();
    let source = source(fs::read(partition.path()).unwrap());
    let arena = &arenas(source.as_ref())[0];
    let items = walk(&source, arena, 0, false);
    let score = partition.arenas()[0].clumps()[5].score;
    assert_eq!(items[5].what, What::Corrupt(score));
    assert!(items.iter().all(|item| !matches!(item.what, What::Lost(_))));
    assert_eq!(items.len(), partition.arenas()[0].clumps().len());
}

#[test]
fn a_trailer_ahead_of_its_data_is_late_unless_synced_or_settled() {
    let (_directory, mut partition) = made(5);
    let last = partition.arenas()[1].clumps().len() - 1;
    let whole = offsets(&partition, 1);
    partition
        .edit_header(1, last, |header| header.fill(0))
        .unwrap();
    partition
        .edit_entry(1, last, |entry| entry.fill(0))
        .unwrap();
    for (synced, late) in [(false, true), (true, false)] {
        let outcome = outcome(&partition, 1, synced);
        assert_eq!(outcome.whole, whole[..last]);
        let [(offset, loss)] = outcome.lost.as_slice() else {
            panic!("{:?}", outcome.lost);
        };
        assert_eq!((*offset, loss.maybe_late), (whole[last], late));
    }
}

#[test]
fn data_that_has_not_reached_the_disk_is_late() {
    let directory = tempfile::tempdir().unwrap();
    let mut partition = PartitionBuilder::new()
        .block_size(512)
        .arenas(1, 256 * 1024)
        .create(&directory.path().join("part"))
        .unwrap();
    let noise = Sample::new(1, 0).noise(4000);
    partition.append(13, &noise).unwrap();
    partition.append(13, &noise[1..]).unwrap();
    partition.sync().unwrap();
    let (base, second) = (
        partition.arenas()[0].base(),
        partition.arenas()[0].clumps()[1].offset,
    );
    let from = (base + second + 38).next_multiple_of(512);
    partition.write_raw(from, &[0; 3 * 512]).unwrap();
    for (synced, late) in [(false, true), (true, false)] {
        let outcome = outcome(&partition, 0, synced);
        assert_eq!(outcome.whole, [0]);
        assert_eq!(outcome.lost[0].1.maybe_late, late);
    }
}

#[test]
fn clumps_past_the_trailer_are_found_up_to_the_first_that_is_not_whole() {
    let (_directory, mut partition) = made(5);
    let before = offsets(&partition, 1);
    let mut blocks: Vec<Block> = (0..4u8).map(|n| Block::pack(13, &[n; 300])).collect();
    blocks[2].bytes[1] ^= 1;
    let added: Vec<Clump> = partition.append_uncounted(1, &blocks).unwrap();
    let outcome = outcome(&partition, 1, true);
    let expected: Vec<u64> = added[..2].iter().map(|clump| clump.offset).collect();
    assert_eq!(outcome.whole, [before, expected].concat());
    assert!(outcome.lost.is_empty());
}

#[test]
fn a_walk_starts_only_where_a_clump_starts() {
    let (_directory, mut partition) = made(5);
    partition.lag(1, 10, 15).unwrap();
    let source = source(fs::read(partition.path()).unwrap());
    let arena = &arenas(source.as_ref())[1];
    let all = offsets(&partition, 1);
    let end = partition.arenas()[1].counters().used;
    for (number, &offset) in all.iter().enumerate() {
        let rest = walk(&source, arena, offset, false);
        assert_eq!(rest.len(), all.len() - number);
        assert!(rest.iter().all(|item| item.note.is_none()));
        let next = all.get(number + 1).copied().unwrap_or(end);
        let inside = ClumpLog::open(Arc::clone(&source), arena, offset + 1, false).err();
        let expected = ClumpError::Inside {
            offset: offset + 1,
            before: offset,
            after: next,
        };
        assert_eq!(inside, Some(expected));
    }
    assert_eq!(walk(&source, arena, end, false), []);
    for past in [end + 1, arena.size, u64::MAX] {
        let error = ClumpLog::open(Arc::clone(&source), arena, past, false).err();
        assert_eq!(error, Some(ClumpError::Past { offset: past, end }));
    }
}

#[test]
fn with_a_damaged_trailer_the_log_is_scanned_from_its_head() {
    let (_directory, mut partition) = made(5);
    let all = offsets(&partition, 0);
    let trailer = partition.arenas()[0].trailer_offset();
    partition.flip_bit(trailer, 3).unwrap();
    let found = outcome(&partition, 0, true);
    assert_eq!(found.whole, all);
    let source = source(fs::read(partition.path()).unwrap());
    assert!(matches!(
        arenas(source.as_ref())[0].notes[..],
        [Oddity::Damaged(_)]
    ));
}

#[test]
fn counters_that_cannot_be_are_not_believed() {
    let (_directory, mut partition) = made(5);
    let all = offsets(&partition, 1);
    let good = partition.arenas()[1].counters();
    for counters in [
        Counters {
            clumps: u32::MAX,
            ..good
        },
        Counters {
            used: u64::MAX,
            ..good
        },
        Counters {
            used: partition.arenas()[1].size(),
            ..good
        },
    ] {
        partition.set_counters(1, counters, None).unwrap();
        assert_eq!(outcome(&partition, 1, false).whole, all);
    }
}

#[test]
fn a_damaged_head_costs_nothing_in_a_partition() {
    let (_directory, mut partition) = made(5);
    let head = partition.arenas()[0].head();
    partition.write_raw(head, &[0; 512]).unwrap();
    assert_eq!(outcome(&partition, 0, true).whole, offsets(&partition, 0));
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is overwritten: no panic, no clump that is not one, and
        /// the walk goes forward to its end.
        #[test]
        fn any_damage_is_survived(
            places in prop::collection::vec((0u64..262_144, any::<u8>()), 1..200),
            synced: bool,
        ) {
            let (_directory, mut partition) = made(5);
            let start = partition.arenas()[1].head();
            for (at, byte) in places {
                partition.write_raw(start + at, &[byte]).unwrap();
            }
            let source = source(fs::read(partition.path()).unwrap());
            let table = ArenaPartition::read(source.as_ref()).unwrap();
            if let Ok(arena) = table.arena(source.as_ref(), &table.entries[1]) {
                let mut at = 0;
                for item in walk(&source, &arena, 0, synced) {
                    prop_assert_eq!(item.offset, at);
                    prop_assert!(item.len > 0);
                    at = item.end();
                }
                prop_assert!(at <= arena.size);
            }
        }
    }
}
