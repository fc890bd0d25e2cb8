//! Head, trailer, directory, log and table are witnesses of each other: where
//! two of their fields are wrong together, every clump is still read, or it is
//! said that something is damaged.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use venti_tests::command::Command;
use venti_tests::golden::{self, Manifest};
use venti_tests::venti::Venti;
use venticore::codec::score::Score;
use venticore::source::log::{ClumpLog, What};
use venticore::source::{ArenaPartition, Oddity, ReadAt};

use crate::fixture::site::LIMITS;

/// A field on disk: its name, where it starts, and how long it is.
type Field = (&'static str, u64, usize);

/// The fields of a version 5 trailer after its magic (venti.md 3).
const TRAILER: [(&str, usize); 18] = [
    ("trailer magic", 4),
    ("trailer version", 4),
    ("trailer name", 64),
    ("clumps", 4),
    ("compressed", 4),
    ("created", 4),
    ("modified", 4),
    ("trailer clump magic", 4),
    ("used", 8),
    ("uncompressed", 8),
    ("sealed", 1),
    ("extension", 1),
    ("written clumps", 4),
    ("written compressed", 4),
    ("written used", 8),
    ("written uncompressed", 8),
    ("written sealed", 1),
    ("zeros", 20),
];

const HEAD: [(&str, usize); 6] = [
    ("head magic", 4),
    ("head version", 4),
    ("head name", 64),
    ("block size", 4),
    ("total", 8),
    ("head clump magic", 4),
];

fn fields(mut at: u64, of: &[(&'static str, usize)]) -> Vec<Field> {
    let place = |&(name, len): &(&'static str, usize)| {
        at += len as u64;
        (name, at - len as u64, len)
    };
    of.iter().map(place).collect()
}

/// The numbers in the table, and its names.
fn table_fields(bytes: &[u8], table: u64) -> Vec<Field> {
    let text = &bytes[usize::try_from(table).unwrap()..];
    let text = text.split(|&byte| byte == 0).next().unwrap();
    let mut at = table;
    let words = text.split(|&byte| byte == b'\t' || byte == b'\n');
    words
        .map(|word| {
            at += word.len() as u64 + 1;
            ("table", at - 1 - word.len() as u64, word.len())
        })
        .filter(|(_, _, len)| *len > 0)
        .collect()
}

/// What a field becomes.
fn wrong(field: &[u8], how: usize, is_text: bool) -> Vec<u8> {
    let mut new = field.to_vec();
    match how {
        0 if is_text => new.fill(b'0'),
        0 => new.fill(0),
        1 if is_text => new[0] ^= 4,
        1 => new.fill(0xff),
        _ => *new.last_mut().unwrap() ^= 1,
    }
    new
}

/// What is read of a partition, and whether something was said of damage.
struct Found {
    blocks: HashSet<Score>,
    named: bool,
}

/// Nothing in the log was changed, so headers tell of blocks; nor was anything
/// in other arenas than that at `head`, if the table has them as they were.
fn found(source: &Arc<dyn ReadAt>, manifest: &Manifest, head: u64) -> Found {
    let mut found = Found {
        blocks: HashSet::new(),
        named: false,
    };
    let Ok(table) = ArenaPartition::read(source.as_ref()) else {
        found.named = true;
        return found;
    };
    found.named |= !table.notes.is_empty();
    for entry in &table.entries {
        let mut others = manifest.arenas.iter().filter(|arena| arena.head != head);
        let as_it_was = others.find(|a| (a.head, a.head + a.total) == (entry.start, entry.stop));
        if let Some(arena) = as_it_was {
            let scores = arena.clumps.iter().map(|clump| clump.score);
            found.blocks.extend(scores);
            continue;
        }
        let Ok(arena) = table.arena(source.as_ref(), entry) else {
            found.named = true;
            continue;
        };
        let damaged = |note: &Oddity| matches!(note, Oddity::Damaged(_) | Oddity::Uncounted(_));
        found.named |= arena.notes.iter().any(damaged);
        let log = ClumpLog::open(Arc::clone(source), &arena, 0, true).unwrap();
        for item in log {
            found.named |= item.note.is_some();
            let What::Clump { header, .. } = item.what else {
                found.named = true;
                continue;
            };
            found.blocks.insert(header.score);
        }
    }
    found
}

/// The golden partition, and every block in it.
fn golden() -> (Vec<u8>, Manifest, HashSet<Score>) {
    let manifest = Manifest::load("g5");
    let arenas = manifest.arenas.iter();
    let blocks = arenas.flat_map(|arena| arena.clumps.iter().map(|clump| clump.score));
    let blocks = blocks.collect();
    (golden::bytes("g5.part"), manifest, blocks)
}

/// A copy of a partition in which some bytes are others.
struct Changed {
    whole: Arc<Vec<u8>>,
    changes: Vec<(u64, Vec<u8>)>,
}

impl ReadAt for Changed {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.whole.read_at(buf, offset)?;
        let end = offset + buf.len() as u64;
        for (at, bytes) in &self.changes {
            let first = offset.max(*at);
            let last = end.min(at + bytes.len() as u64);
            if first < last {
                let within = |from: u64| {
                    let range = first - from..last - from;
                    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
                };
                buf[within(offset)].copy_from_slice(&bytes[within(*at)]);
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.whole.size()
    }
}

fn read(
    (whole, manifest): (&Arc<Vec<u8>>, &Manifest),
    head: u64,
    changes: Vec<(u64, Vec<u8>)>,
) -> Found {
    let source: Arc<dyn ReadAt> = Arc::new(Changed {
        whole: Arc::clone(whole),
        changes,
    });
    found(&source, manifest, head)
}

/// Two fields of one arena, and of the table: zeros, ones, a flipped bit.
#[test]
fn two_wrong_fields_never_hide_a_clump() {
    let (bytes, manifest, all) = golden();
    let whole = Arc::new(bytes);
    let table = table_fields(&whole, 270_336);
    let mut tried = 0;
    // One that is sealed, and the one in use, whose trailer has the extension.
    for arena in [&manifest.arenas[0], &manifest.arenas[2]] {
        let mut of_arena = fields(arena.head, &HEAD);
        of_arena.extend(fields(arena.base + arena.size, &TRAILER));
        of_arena.extend(&table);
        let wrong = |(name, at, len): Field, how| {
            let start = usize::try_from(at).unwrap();
            let field = &whole[start..start + len];
            (at, wrong(field, how, name == "table"))
        };
        for (number, &one) in of_arena.iter().enumerate() {
            for &other in &of_arena[number..] {
                for (how, too) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)] {
                    let changes = vec![wrong(one, how), wrong(other, too)];
                    let found = read((&whole, &manifest), arena.head, changes);
                    assert!(
                        found.named || found.blocks == all,
                        "{} of {} blocks of {} without a word: {one:?} as {how}, {other:?} as {too}",
                        found.blocks.len(),
                        all.len(),
                        arena.name
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

/// From somewhere in head, trailer or table on, all is zero.
#[test]
fn zeros_from_any_place_on_never_hide_a_clump() {
    let (bytes, manifest, all) = golden();
    let whole = Arc::new(bytes);
    let mut stretches = vec![(0, 270_336, 270_336 + 200)];
    for arena in [&manifest.arenas[0], &manifest.arenas[2]] {
        let trailer = arena.base + arena.size;
        stretches.push((arena.head, arena.head, arena.head + 88));
        stretches.push((arena.head, trailer, trailer + 135));
    }
    for (arena, start, end) in stretches {
        for from in start..end {
            let zeros = vec![0; usize::try_from(start + 8192 - from).unwrap()];
            let found = read((&whole, &manifest), arena, vec![(from, zeros)]);
            assert!(found.named || found.blocks == all, "zeros from {from} on");
        }
    }
}

/// The same through the command, the first time and the second.
#[test]
fn an_arena_or_a_table_that_looks_empty_is_named_and_read_all_the_same() {
    let (bytes, manifest, all) = golden();
    let trailer = |arena: usize| manifest.arenas[arena].base + manifest.arenas[arena].size;
    let cases: [(&str, &str, u64, &[u8]); 6] = [
        ("the count of the table", "arena table", 270_336, b"0"),
        ("one arena of the table less", "arena table", 270_336, b"1"),
        (
            "sealed and extension",
            "arena g5.2: arena trailer",
            trailer(2) + 108,
            &[0xff; 2],
        ),
        (
            "from the clump magic on",
            "arena g5.2: arena trailer",
            trailer(2) + 88,
            &[0; 48],
        ),
        (
            "the counters of a sealed arena",
            "arena g5.0: arena trailer",
            trailer(0) + 72,
            &[0; 36],
        ),
        (
            "clumps and times",
            "arena g5.1: arena trailer",
            trailer(1) + 72,
            &[0; 63],
        ),
    ];
    for (what, said, at, new) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("arenas");
        let mut bytes = bytes.clone();
        let start = usize::try_from(at).unwrap();
        bytes[start..start + new.len()].copy_from_slice(new);
        fs::write(&path, &bytes).unwrap();
        let venti = Venti::start();
        for run in [1, 2] {
            let output = Command::new("ventiprog")
                .config(LIMITS)
                .arg("-d")
                .arg(directory.path().join("state"))
                .arg("-p")
                .arg(&path)
                .arg(venti.dial())
                .run();
            assert_eq!(output.status, 3, "{what}, run {run}: {output:?}");
            assert!(output.stderr.contains(said), "{what}: {output:?}");
        }
        let blocks = venti.blocks();
        let there: HashSet<Score> = blocks.iter().map(|(_, score)| *score).collect();
        assert_eq!(there.len(), all.len(), "{what}");
    }
}

/// Version 4 has no clump magic in its trailer: without its counters it is
/// that of an arena that nothing was written to yet.
#[test]
fn a_trailer_that_counts_nothing_after_a_sync_is_damaged() {
    let manifest = Manifest::load("g4");
    let mut bytes = golden::bytes("g4.part");
    let arena = manifest.arenas.iter().rev();
    let mut used = arena.filter(|arena| !arena.sealed && !arena.clumps.is_empty());
    let arena = used.next().expect("an arena in use");
    let counters = usize::try_from(arena.base + arena.size).unwrap() + 72;
    bytes[counters..counters + 60].fill(0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas");
    let (source, target) = (Venti::start(), Venti::start());
    // The source has what its partition has.
    fs::write(&path, golden::bytes("g4.part")).unwrap();
    let fill = Command::new("ventiprog").args(["-p"]).arg(&path);
    assert_eq!(fill.arg(source.dial()).run().status, 0);
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let output = Command::new("ventiprog")
            .config(LIMITS)
            .arg("-d")
            .arg(directory.path().join("state"))
            .args(["-s", &source.dial(), "-p"])
            .arg(&path)
            .arg(target.dial())
            .run();
        assert_eq!(output.status, 3, "{output:?}");
        let said = format!(
            "arena {}: arena trailer: counts no clumps, but the log has {}\n",
            arena.name,
            arena.clumps.len()
        );
        assert!(output.stderr.contains(&said), "{output:?}");
    }
    for clump in &arena.clumps {
        let ty = venticore::codec::blocktype::BlockType::from_disk(clump.block_type).unwrap();
        assert!(target.contains(ty, &clump.score), "{clump:?}");
    }
}
