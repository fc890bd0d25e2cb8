//! Seeded schedules of writers that are killed, stores that fail, and objects that vanish.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::*;
use crate::codec::arena::clump::{ClumpHeader, Encoding};
use crate::codec::arena::head::Head;
use crate::codec::arena::trailer::{Counters, Trailer};
use crate::codec::arena::{Name, Version};
use crate::codec::score::Score;
use crate::source::{Arena, ArenaSource, ReadAt};

const BLOCK: u32 = 512;
const MAGIC: u32 = 0x1234_5678;
const ARENA: u64 = 64 << 10;

/// How many schedules; `$VENTI_SCHEDULES` gives another number.
fn schedules() -> u64 {
    let given = std::env::var("VENTI_SCHEDULES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// Objects in memory. Puts fail, before or after the object is there.
#[derive(Default)]
struct Shelf {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// One of this many puts fails, if any.
    fails: Mutex<Option<(Dice, u64)>>,
}

impl Shelf {
    fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    /// 0: it goes well. 1: nothing is stored. 2: it is stored, and the answer is lost.
    fn fate(&self) -> u64 {
        let mut fails = self.fails.lock().unwrap();
        fails
            .as_mut()
            .map_or(0, |(dice, of)| match dice.below(*of) {
                fate @ 0..2 => fate + 1,
                _ => 0,
            })
    }
}

impl ObjectStore for Shelf {
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.objects.lock().unwrap().is_empty())
    }

    fn folders(&self) -> io::Result<Vec<ArenaFolder>> {
        let names = self.names();
        let folders = names.iter().filter_map(|name| name.split_once('/'));
        let mut folders: Vec<_> = folders
            .filter_map(|(of, _)| ArenaFolder::parse(of))
            .collect();
        folders.dedup();
        Ok(folders)
    }

    fn list(&self, arena: &ArenaFolder) -> io::Result<Vec<Listed>> {
        let objects = self.objects.lock().unwrap();
        let listed = objects.iter().filter_map(|(name, bytes)| {
            let name = name.strip_prefix(&format!("{arena}/"))?;
            let (object, size) = (ObjectName::parse(name)?, Some(bytes.len() as u64));
            Some(Listed { object, size })
        });
        Ok(listed.collect())
    }

    fn put(&self, object: &str, bytes: &[u8]) -> io::Result<()> {
        let fate = self.fate();
        let mut objects = self.objects.lock().unwrap();
        if objects.get(object).is_some_and(|there| there != bytes) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if fate != 1 {
            objects.insert(object.to_owned(), bytes.to_owned());
        }
        match fate {
            0 => Ok(()),
            _ => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn get(&self, object: &str) -> io::Result<Vec<u8>> {
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(object).ok_or(io::ErrorKind::NotFound)?.clone())
    }

    fn read(&self, object: &str, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let objects = self.objects.lock().unwrap();
        let bytes = objects.get(object).ok_or(io::ErrorKind::NotFound)?;
        bytes.read_at(buf, offset)
    }
}

/// An arena with a sealed log, and where its clumps end.
struct Written {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

fn written(dice: &mut Dice) -> Written {
    let name = Name::from_field(b"arenas0");
    let head = Head {
        version: Version::V5,
        name: name.clone(),
        block_size: BLOCK,
        total: ARENA,
        clump_magic: MAGIC,
    };
    let mut bytes = head.to_bytes();
    bytes.resize(BLOCK as usize, 0);
    let mut ends = Vec::new();
    for _ in 0..1 + dice.below(60) {
        let len = 1 + u16::try_from(dice.below(600)).unwrap();
        let block: Vec<u8> = (0..len)
            .map(|_| u8::try_from(dice.below(256)).unwrap())
            .collect();
        let header = ClumpHeader {
            disk_type: 13,
            size: len,
            uncompressed: len,
            score: Score::of(&block),
            encoding: Encoding::Plain,
            creator: 0,
            time: 1,
        };
        bytes.extend(header.to_bytes(MAGIC));
        bytes.extend(block);
        ends.push(bytes.len() as u64 - u64::from(BLOCK));
    }
    let counters = Counters {
        clumps: u32::try_from(ends.len()).unwrap(),
        compressed: 0,
        used: *ends.last().unwrap(),
        uncompressed: 0,
        sealed: true,
    };
    bytes.resize(usize::try_from(ARENA).unwrap() - BLOCK as usize, 0);
    let trailer = Trailer {
        version: Version::V5,
        name,
        created: 1,
        modified: 1,
        clump_magic: MAGIC,
        indexed: counters,
        written: None,
        score: Score::of(b"the seal"),
    };
    bytes.extend(trailer.to_block(BLOCK as usize));
    Written { bytes, ends }
}

/// Takes a writer on for some clumps, from an acknowledged place; where that is now.
fn go_on(
    shelf: &Arc<Shelf>,
    of: &Written,
    arena: &Arena,
    place: u64,
    dice: &mut Dice,
) -> io::Result<u64> {
    let store = Arc::clone(shelf) as Arc<dyn ObjectStore>;
    let mut writer = ReplicaWriter::new(store);
    writer.enter(&of.bytes, arena, place)?;
    let mut acknowledged = place;
    let mut at = place;
    for &end in of.ends.iter().filter(|&&end| end > place) {
        let base = u64::from(BLOCK);
        let range = |at: u64| usize::try_from(base + at).unwrap();
        writer.append(&of.bytes[range(at)..range(end)], true)?;
        at = end;
        match dice.below(12) {
            0 => {
                if writer.flush().is_err() {
                    return Ok(acknowledged);
                }
                acknowledged = at;
            }
            // Killed.
            1 => return Ok(acknowledged),
            _ => {}
        }
    }
    if writer.flush().is_err() {
        return Ok(acknowledged);
    }
    // A seal that fails is put there by the next run.
    let _ = writer.seal(&of.bytes, arena);
    Ok(at)
}

fn proof(shelf: &Shelf, of: &Written, arena: &Arena, place: u64) -> Proof {
    let proven = Proven {
        source: &of.bytes,
        arenas: std::slice::from_ref(arena),
        to: (0, place),
    };
    // It may put the end of the arena there.
    let fails = shelf.fails.lock().unwrap().take();
    let found = prove(shelf, &proven, true, &|_, _| ()).unwrap();
    *shelf.fails.lock().unwrap() = fails;
    found
}

fn play(seed: u64) {
    let mut dice = Dice(seed);
    let of = written(&mut dice);
    let arena = Arena::read(&of.bytes, 0).unwrap();
    let shelf = Arc::new(Shelf::default());
    *shelf.fails.lock().unwrap() = Some((Dice(!seed), 2 + dice.below(20)));
    // Two writers that know nothing of each other, each with its place.
    let mut places = [0, 0];
    for _ in 0..dice.below(12) {
        let who = usize::try_from(dice.below(2)).unwrap();
        // One that fails has acknowledged nothing.
        if let Ok(place) = go_on(&shelf, &of, &arena, places[who], &mut dice) {
            places[who] = place;
        }
        for place in places {
            let found = proof(&shelf, &of, &arena, place);
            assert_eq!(
                (found.missing, found.damaged),
                (0, 0),
                "seed {seed}: {found:?}"
            );
        }
        if dice.below(10) == 0 {
            lose_one(&shelf, &of, &arena, &mut places, &mut dice);
        }
    }
    *shelf.fails.lock().unwrap() = None;
    let is_whole = |shelf: &Shelf| {
        let has_end = shelf.names().iter().any(|name| name.ends_with("/end"));
        has_end && proof(shelf, &of, &arena, arena.live.used).missing == 0
    };
    while !is_whole(&shelf) {
        places[0] = go_on(&shelf, &of, &arena, places[0], &mut dice).unwrap();
    }
    let replica = ReplicaSource::over(Arc::clone(&shelf) as Arc<dyn ObjectStore>).unwrap();
    assert_eq!(replica.notes(), [""; 0], "seed {seed}");
    let ArenaSource::Partition(table) = ArenaSource::read(&replica, 0).unwrap() else {
        panic!("a partition");
    };
    let mut bytes = vec![0; of.bytes.len()];
    replica.read_at(&mut bytes, table.entries[0].start).unwrap();
    assert!(bytes == of.bytes, "seed {seed}");
}

/// An object vanishes: either nobody needs it, or that is seen and mended.
fn lose_one(shelf: &Shelf, of: &Written, arena: &Arena, places: &mut [u64; 2], dice: &mut Dice) {
    let names = shelf.names();
    let Some(name) = names.get(usize::try_from(dice.below(names.len().max(1) as u64)).unwrap())
    else {
        return;
    };
    shelf.objects.lock().unwrap().remove(name);
    for place in places {
        if proof(shelf, of, arena, *place).missing > 0 {
            *place = 0;
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_whatever_happens() {
    for seed in 0..schedules() {
        play(seed);
    }
}
