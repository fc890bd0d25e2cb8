//! Ten thousand random schedules of a store on disks that forget: blocks that are new, there
//! already, or damaged on disk, syncs, reads, scores of sealed arenas; a process that is killed,
//! a machine that loses its power, disks that are full or fail. After each start all that a sync
//! acknowledged is read, nothing is claimed that was never written, and the arenas are what a
//! reader of plan9port's form takes for the same clumps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use venti_tests::arena::PartitionBuilder;
use venti_tests::faultdisk::{Fault, FaultDisk, Power};
use venti_tests::random::Random;
use venti_tests::sample::Sample;
use venti_tests::seeds;
use venticore::codec::score::Score;
use venticore::source::log::{ClumpLog, What};
use venticore::source::{Arena, ArenaSource, Oddity, ReadAt};
use venticore::store::{Disk, Refusal, Settings, Store};

/// Bytes of a block, at most: it fits into each of the arenas.
const BLOCK: usize = 3000;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A block's type and score.
type Key = (u8, Score);

#[test]
fn what_a_sync_acknowledged_outlasts_kills_power_cuts_and_failing_disks() {
    seeds::play(|| (), |(), seed| Schedule::new(seed).play());
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A write of it was begun, or what became of it is not known.
    Sent,
    /// A write of it returned.
    Written,
    /// A sync after that returned, too.
    Synced,
}

/// A clump on a disk, as the reader of plan9port's form finds it.
struct Found {
    key: Key,
    disk: usize,
    /// Bytes from the start of the disk.
    at: u64,
    len: u64,
    /// The trailer counts it.
    is_counted: bool,
}

/// One schedule, and what is known of it so far.
struct Schedule {
    seed: u64,
    random: Random,
    sample: Sample,
    power: Power,
    disks: Vec<Arc<FaultDisk>>,
    blocks: BTreeMap<Key, (Vec<u8>, Stage)>,
    /// Heads of arenas with damage: disk and offset.
    damaged: BTreeSet<(usize, u64)>,
    /// Blocks of which a copy was damaged.
    hurt: BTreeSet<Key>,
    /// Clumps in each arena when the store was opened last.
    opened: Vec<u32>,
    /// What happened, to be told when it fails.
    story: Vec<String>,
    /// What happened, to be counted.
    seen: BTreeMap<&'static str, u64>,
}

impl Drop for Schedule {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("schedule {}: VENTI_SCHEDULE={0} plays it again", self.seed);
            println!("{}", self.story.join("\n"));
        }
    }
}

/// The bytes of a partition with a few small arenas.
fn partition(random: &mut Random, name: &str) -> Vec<u8> {
    let block = 512 << random.below(5);
    let version = 4 + u32::from(random.below(4) > 0);
    let mut builder = PartitionBuilder::new()
        .name(name)
        .version(version)
        .block_size(block)
        .seed(random.draw());
    for _ in 0..2 + random.below(4) {
        let log = BLOCK + 100 + 512 * random.below(40);
        builder = builder.arenas(1, u64::from(4 * block) + log as u64);
    }
    if version == 5 && random.below(2) == 0 {
        builder = builder.garbage();
    }
    let memory = Path::new("/dev/shm");
    let directory = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
    let directory = directory.unwrap();
    let path = directory.path().join("arenas");
    builder.create(&path).unwrap();
    fs::read(path).unwrap()
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(29));
        let power = Power::default();
        let names = ["one", "two"];
        let disks = names.iter().take(1 + random.below(5) / 4).map(|name| {
            let bytes = partition(&mut random, name);
            Arc::new(FaultDisk::new(name, bytes, &power, random.draw()))
        });
        Schedule {
            seed,
            disks: disks.collect(),
            sample: Sample::new(random.draw(), 50),
            random,
            power,
            blocks: BTreeMap::new(),
            damaged: BTreeSet::new(),
            hurt: BTreeSet::new(),
            opened: Vec::new(),
            story: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn play(mut self) -> BTreeMap<&'static str, u64> {
        for _ in 0..2 + self.random.below(4) {
            self.live();
        }
        let store = self.open().expect("nothing stops it");
        for _ in 0..3 {
            self.write_new(&store);
        }
        self.sync(&store);
        self.check(&store);
        drop(store);
        self.cut_power();
        let store = self.open().expect("nothing stops it");
        drop(store);
        std::mem::take(&mut self.seen)
    }

    /// A process, from its start to its end.
    fn live(&mut self) {
        if self.chance(15) {
            let steps = self.random.below(8) as u64;
            self.power.stop_after(steps);
        } else if self.chance(10) {
            self.live_half_blind();
        }
        if let Some(store) = self.open() {
            if self.chance(60) {
                let steps = self.random.below(40) as u64;
                self.power.stop_after(steps);
            } else if self.chance(40) {
                self.fail();
            }
            for _ in 0..5 + self.random.below(30) {
                self.act(&store);
                if self.power.is_stopped() {
                    self.saw("stopped at a write or sync");
                    break;
                }
            }
            if !self.power.is_stopped() {
                self.check(&store);
            }
        }
        self.power.restart();
        self.disks.iter().for_each(|disk| disk.mend());
        if self.chance(50) {
            self.cut_power();
        } else {
            self.tell("killed".into());
            self.saw("killed");
        }
    }

    /// A process on a disk that cannot be read at one place for as long as it lives. It adds
    /// nothing where a log may go on behind that.
    fn live_half_blind(&mut self) {
        let Some(clump) = self.any_clump() else {
            return;
        };
        self.tell(format!("not readable at a start: {}", clump.key.1));
        self.saw("not readable at a start");
        let disk = Arc::clone(&self.disks[clump.disk]);
        let at = clump.at + self.random.below(usize::try_from(clump.len).unwrap()) as u64;
        disk.spoil(at..at + 1);
        let store = self.store().expect("the rest is served");
        for _ in 0..self.random.below(8) {
            self.write_new(&store);
            self.write_again(&store);
        }
        if self.chance(50) {
            assert_eq!(store.sync(), Ok(()));
        }
        drop(store);
        disk.readable();
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.random.below(100) < percent
    }

    fn tell(&mut self, line: String) {
        self.story.push(line);
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    fn cut_power(&mut self) {
        let lost = self.disks.iter().any(|disk| disk.has_unsynced());
        self.disks.iter().for_each(|disk| disk.cut_power());
        for (_, stage) in self.blocks.values_mut() {
            if *stage == Stage::Written {
                *stage = Stage::Sent;
            }
        }
        self.tell("power cut".into());
        self.saw(match lost {
            true => "power cut with unsynced writes",
            false => "power cut",
        });
    }

    /// One of the disks begins to fail.
    fn fail(&mut self) {
        let fault = match self.random.below(3) {
            0 => Fault::Write(ENOSPC),
            1 => Fault::Write(EIO),
            _ => Fault::Sync(EIO),
        };
        let times = [1, 1, 1000][self.random.below(3)];
        let disk = self.random.below(self.disks.len());
        self.disks[disk].fail(fault, times);
        self.tell(format!("disk {disk}: {fault:?}, {times} times"));
    }

    fn store(&self) -> eyre::Result<Store> {
        let disks = self.disks.iter().cloned();
        let disks = disks.map(|disk| disk as Arc<dyn Disk>).collect();
        let settings = Settings {
            read_only: false,
            cache: 1 << 20,
            say: Box::new(|_| {}),
        };
        Store::open(disks, settings)
    }

    /// Opens the store; none where it is stopped on the way.
    fn open(&mut self) -> Option<Store> {
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => {
                assert!(self.power.is_stopped(), "cannot be opened: {error:#}");
                self.saw("stopped while it was opened");
                return None;
            }
        };
        self.tell("opened".into());
        // A process that was killed leaves all of it to the next, which has synced it.
        self.check(&store);
        let states = store.arenas();
        self.opened = states.iter().map(|state| state.live.clumps).collect();
        self.check_arenas(&store);
        for (key, (_, stage)) in &mut self.blocks {
            *stage = match store.read(&key.1, key.0) {
                Ok(_) => Stage::Synced,
                Err(_) => Stage::Sent,
            };
        }
        Some(store)
    }

    fn act(&mut self, store: &Store) {
        match self.random.below(100) {
            0..45 => self.write_new(store),
            45..60 => self.write_again(store),
            60..72 => self.sync(store),
            72..84 => self.read_one(store),
            84..89 => drop(store.seal_one(&|_| false)),
            89..93 => self.damage(),
            93..95 => self.spoil(store),
            _ => self.ask_for_strangers(store),
        }
    }

    /// Some new blocks, one after the other; of many, one comes twice.
    fn write_new(&mut self, store: &Store) {
        let number = [1, 1, 2, 5][self.random.below(4)];
        let mut blocks = Vec::new();
        for _ in 0..number {
            let size = 1 + self.random.below(BLOCK);
            let disk_type = [13, 13, 13, 2, 3, 1][self.random.below(6)];
            let block = self.sample.block(size);
            blocks.push(((disk_type, Score::of(&block)), block));
        }
        if number > 2 {
            blocks.push(blocks[self.random.below(number)].clone());
        }
        for (key, block) in blocks {
            self.write(store, key, block);
        }
    }

    /// What is there already, or is there damaged, or did not get through.
    fn write_again(&mut self, store: &Store) {
        if let Some((key, block)) = self.any_block() {
            self.write(store, key, block);
        }
    }

    fn any_block(&mut self) -> Option<(Key, Vec<u8>)> {
        let number = self.random.below(self.blocks.len());
        let (key, (block, _)) = self.blocks.iter().nth(number)?;
        Some((*key, block.clone()))
    }

    fn write(&mut self, store: &Store, key: Key, block: Vec<u8>) {
        let was_read_only = store.read_only().is_some();
        let result = store.write(key.0, &block);
        let len = block.len();
        self.tell(format!("write {}/{} of {len}: {result:?}", key.1, key.0));
        let (_, stage) = self.blocks.entry(key).or_insert((block, Stage::Sent));
        match &result {
            Ok(score) => {
                assert_eq!(*score, key.1);
                assert!(!was_read_only, "a write after a failure");
                *stage = (*stage).max_written();
            }
            Err(Refusal::Full) => self.saw("full"),
            Err(refusal) => self.failed(store, refusal),
        }
    }

    fn sync(&mut self, store: &Store) {
        let was_read_only = store.read_only().is_some();
        let result = store.sync();
        self.tell(format!("sync: {result:?}"));
        match result {
            Ok(()) => {
                assert!(!was_read_only, "a sync after a failure");
                for (_, stage) in self.blocks.values_mut() {
                    if *stage == Stage::Written {
                        *stage = Stage::Synced;
                    }
                }
                self.check_arenas(store);
                self.saw("synced");
            }
            Err(refusal) => self.failed(store, &refusal),
        }
    }

    /// A write or sync failed: that is for good.
    fn failed(&mut self, store: &Store, refusal: &Refusal) {
        let is_disk = matches!(refusal, Refusal::Disk(_) | Refusal::Failed(_));
        assert!(is_disk, "{refusal}");
        assert!(store.read_only().is_some(), "{refusal}");
        if !self.power.is_stopped() {
            self.saw("a failing disk");
        }
    }

    fn read_one(&mut self, store: &Store) {
        if let Some((key, _)) = self.any_block() {
            self.check_block(store, key);
        }
    }

    /// Blocks that were never written, and types that were not.
    fn ask_for_strangers(&mut self, store: &Store) {
        let mut keys = vec![(13, Score::of(&self.random.bytes(20)))];
        keys.extend(self.any_block().map(|(key, _)| (key.0 ^ 4, key.1)));
        for (disk_type, score) in keys {
            if self.blocks.contains_key(&(disk_type, score)) {
                continue;
            }
            let absent = Refusal::Absent { score, disk_type };
            assert_eq!(store.read(&score, disk_type), Err(absent.clone()));
            assert_eq!(store.size(&score, disk_type), Err(absent));
        }
    }

    /// What is claimed of a block is true, and is claimed where it must be.
    fn check_block(&self, store: &Store, key: Key) {
        let (block, stage) = &self.blocks[&key];
        let (disk_type, score) = key;
        let (read, size) = (store.read(&score, disk_type), store.size(&score, disk_type));
        if let Ok(read) = &read {
            assert!(read == block, "{score}: other bytes");
        }
        // It is what the header of a copy says.
        if let Ok(size) = size
            && !self.hurt.contains(&key)
        {
            assert_eq!(usize::from(size), block.len(), "{score}");
        }
        if *stage != Stage::Sent {
            assert!(read.is_ok(), "{stage:?} and lost: {read:?}, {size:?}");
            assert!(size.is_ok(), "{stage:?} and lost: {size:?}");
        }
    }

    /// The same of all blocks; and the arenas are what others take for the same clumps.
    fn check(&mut self, store: &Store) {
        for key in self.blocks.keys() {
            self.check_block(store, *key);
        }
        let found: BTreeSet<Key> = self.clumps().iter().map(|clump| clump.key).collect();
        for key in &found {
            assert!(self.blocks.contains_key(key), "{key:?} was never written");
        }
        for (key, (_, stage)) in &self.blocks {
            let is_there = found.contains(key) || *stage == Stage::Sent;
            assert!(
                is_there,
                "{stage:?}, but not for a reader of the form: {key:?}"
            );
        }
    }

    /// After a sync the trailers say what the store does, and seal scores are right.
    fn check_arenas(&mut self, store: &Store) {
        let mut opened = self.opened.iter();
        let mut states = store.arenas().into_iter();
        for (number, disk) in self.disks.iter().enumerate() {
            for arena in arenas(disk) {
                let state = states.next().unwrap();
                assert_eq!((&state.name, state.live), (&arena.name, arena.live));
                if opened.next() != Some(&arena.live.clumps) {
                    let mut mark = [1; 4];
                    let end = arena.base() + arena.live.used;
                    disk.read_at(&mut mark, end).unwrap();
                    assert_eq!(mark, [0; 4], "the end of the log");
                }
                let is_damaged = self.damaged.contains(&(number, arena.head));
                let Some(score) = state.score.filter(|_| !is_damaged) else {
                    continue;
                };
                let mut bytes = vec![0; usize::try_from(arena.total()).unwrap()];
                disk.read_at(&mut bytes, arena.head).unwrap();
                let end = bytes.len() - Score::LEN;
                assert_eq!(bytes[end..], score.as_bytes()[..]);
                bytes[end..].fill(0);
                assert_eq!(Score::of(&bytes), score, "a seal score");
                *self.seen.entry("seal score checked").or_insert(0) += 1;
            }
        }
    }

    /// All clumps that hash right, as plan9port's form has them.
    fn clumps(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for (number, disk) in self.disks.iter().enumerate() {
            for arena in arenas(disk) {
                let is_damaged = self.damaged.contains(&(number, arena.head));
                // A reader counts by the directory what the trailer does not.
                let has_counts = arena.notes.is_empty();
                let source = Arc::clone(disk) as Arc<dyn ReadAt>;
                let mut log = ClumpLog::open(source, &arena, 0, true).unwrap();
                while let Some(item) = log.next() {
                    let name = &arena.name;
                    assert!(item.note.is_none() || is_damaged, "{name}: {item:?}");
                    let What::Clump { header, .. } = &item.what else {
                        assert!(is_damaged, "{name}: {item:?}");
                        continue;
                    };
                    let is_whole = header.block(log.stored(&item).unwrap()).is_ok();
                    assert!(is_whole || is_damaged, "{name}: {item:?}");
                    if is_whole {
                        found.push(Found {
                            key: (header.disk_type, header.score),
                            disk: number,
                            at: arena.base() + item.offset,
                            len: item.len,
                            is_counted: has_counts && item.end() <= arena.live.used,
                        });
                    }
                }
            }
        }
        found
    }

    fn any_clump(&mut self) -> Option<Found> {
        let clumps = self.clumps();
        let number = self.random.below(clumps.len());
        clumps.into_iter().nth(number)
    }

    /// One of the clumps that the trailers count.
    fn counted_clump(&mut self) -> Option<Found> {
        let mut clumps = self.clumps();
        clumps.retain(|clump| clump.is_counted);
        let number = self.random.below(clumps.len());
        clumps.into_iter().nth(number)
    }

    /// A bit of a clump flips, for good.
    fn damage(&mut self) {
        let Some(clump) = self.counted_clump() else {
            return;
        };
        let byte = match self.random.below(usize::try_from(clump.len).unwrap()) {
            // Nothing witnesses the type.
            4 => 5,
            byte => byte as u64,
        };
        let at = clump.at + byte;
        let disk = &self.disks[clump.disk];
        disk.flip(at, self.random.below(8));
        let arena = arenas(disk).into_iter().rfind(|arena| arena.head < at);
        self.damaged.insert((clump.disk, arena.unwrap().head));
        self.hurt.insert(clump.key);
        if let Some((_, stage)) = self.blocks.get_mut(&clump.key) {
            *stage = Stage::Sent;
        }
        self.tell(format!("damaged: {}/{}", clump.key.1, clump.key.0));
        self.saw("damaged");
    }

    /// A clump cannot be read for a while: its block is refused, is stored again when it is
    /// sent, and nothing else suffers.
    fn spoil(&mut self, store: &Store) {
        let Some(clump) = self.counted_clump() else {
            return;
        };
        let key = clump.key;
        let Some((block, stage)) = self.blocks.get(&key).cloned() else {
            return;
        };
        self.tell(format!("not readable: {}/{}", key.1, key.0));
        self.saw("not readable");
        self.disks[clump.disk].spoil(clump.at..clump.at + clump.len);
        let before = store.read_only().is_some();
        if let Some((_, stage)) = self.blocks.get_mut(&key) {
            *stage = Stage::Sent;
        }
        for key in self.blocks.keys() {
            self.check_block(store, *key);
        }
        assert_eq!(store.read_only().is_some(), before);
        self.write(store, key, block);
        if self.blocks[&key].1 != Stage::Sent {
            self.check_block(store, key);
            self.saw("stored again");
        } else if let Some((_, now)) = self.blocks.get_mut(&key) {
            *now = stage;
        }
        if !self.power.is_stopped() {
            self.disks[clump.disk].readable();
        }
    }
}

impl Stage {
    /// After a write that returned.
    fn max_written(self) -> Self {
        match self {
            Stage::Sent => Stage::Written,
            stage => stage,
        }
    }
}

/// The arenas of a disk. Nothing is odd about them.
fn arenas(disk: &Arc<FaultDisk>) -> Vec<Arena> {
    let source: &FaultDisk = disk;
    let ArenaSource::Partition(partition) = ArenaSource::read(source, 0).unwrap() else {
        panic!("no partition");
    };
    assert!(partition.notes.is_empty(), "{:?}", partition.notes);
    let arena = |entry| partition.arena(source, entry).unwrap();
    let arenas: Vec<Arena> = partition.entries.iter().map(arena).collect();
    for arena in &arenas {
        let is_odd = |note: &Oddity| !matches!(note, Oddity::Uncounted(_));
        assert!(!arena.notes.iter().any(is_odd), "{:?}", arena.notes);
    }
    arenas
}
