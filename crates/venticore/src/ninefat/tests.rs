//! Changes to file systems of every kind, and every crash in the middle of one.

use std::cell::{Cell, RefCell};
use std::io::{Cursor, Read, Write};
use std::sync::OnceLock;

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use proptest::prelude::*;

use super::change::{append, contents, replace};
use super::stage::Sectors;
use super::volume::{SECTOR, SECTOR_LEN};
use super::*;

/// A disk in memory that can fail after so many writes.
#[derive(Clone)]
struct Disk {
    bytes: RefCell<Vec<u8>>,
    writes: Cell<usize>,
    broken_after: usize,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Self {
        Disk {
            bytes: RefCell::new(bytes),
            writes: Cell::new(0),
            broken_after: usize::MAX,
        }
    }

    fn len(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn volume(&self) -> Volume {
        Volume::read(self, self.len()).unwrap().unwrap()
    }

    fn get(&self, name: Name) -> Option<Vec<u8>> {
        contents(self, &self.volume(), name, 1 << 20).unwrap()
    }

    fn put(&self, name: Name, bytes: &[u8]) {
        let plan = replace(self, &self.volume(), name, bytes).unwrap();
        plan.commit(self).unwrap();
    }

    fn add(&self, name: Name, bytes: &[u8]) {
        let plan = append(self, &self.volume(), name, bytes).unwrap();
        plan.commit(self).unwrap();
    }
}

impl Bytes for Disk {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let bytes = self.bytes.borrow();
        let from = bytes.get(at..at + buf.len());
        buf.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Medium for Disk {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if self.writes.get() == self.broken_after {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.writes.set(self.writes.get() + 1);
        let at = usize::try_from(offset).unwrap();
        self.bytes.borrow_mut()[at..at + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The other files of a 9fat.
fn others() -> [(&'static str, Vec<u8>); 3] {
    let kernel = (0..9000u32).map(|n| (n % 251) as u8).collect();
    [
        ("9PCF", kernel),
        ("PLAN9.INI", b"bootfile=sdC0!9fat!9pcf\n".to_vec()),
        ("NVRAM", vec![0xa5; 512]),
    ]
}

fn format(kind: FatType) -> Vec<u8> {
    static MADE: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
    let made = MADE.iter().zip(KINDS).find(|(_, of)| *of == kind);
    made.unwrap().0.get_or_init(|| make(kind)).clone()
}

fn make(kind: FatType) -> Vec<u8> {
    let (len, cluster) = match kind {
        FatType::Fat12 => (300 << 10, 512),
        FatType::Fat16 => (4400 << 10, 512),
        FatType::Fat32 => (35 << 20, 512),
    };
    let mut bytes = Cursor::new(vec![0; len]);
    let options = FormatVolumeOptions::new()
        .bytes_per_cluster(cluster)
        .fat_type(kind);
    fatfs::format_volume(&mut bytes, options).unwrap();
    bytes.set_position(0);
    {
        let fs = FileSystem::new(&mut bytes, FsOptions::new()).unwrap();
        assert_eq!(fs.fat_type(), kind);
        for (name, contents) in others() {
            let mut file = fs.root_dir().create_file(name).unwrap();
            file.write_all(&contents).unwrap();
        }
        fs.unmount().unwrap();
    }
    bytes.into_inner()
}

const KINDS: [FatType; 3] = [FatType::Fat12, FatType::Fat16, FatType::Fat32];

/// All other files are whole, by another reading than ours.
#[track_caller]
fn assert_others(disk: &Disk) {
    let bytes = disk.bytes.borrow().clone();
    let fs = FileSystem::new(Cursor::new(bytes), FsOptions::new()).unwrap();
    for (name, contents) in others() {
        let mut found = Vec::new();
        let mut file = fs.root_dir().open_file(name).unwrap();
        file.read_to_end(&mut found).unwrap();
        assert!(found == contents, "{name}");
    }
}

/// Clusters that are in use, but nothing leads to.
fn lost(disk: &Disk) -> usize {
    let volume = disk.volume();
    let mut owned = volume.root.len();
    for slot in volume.slots.values() {
        let first = slot.first_cluster(volume.shape.kind);
        if !slot.is_free() && first != 0 && !slot.is_long_name() {
            owned += volume.table.chain(first).unwrap().len();
        }
    }
    volume.table.numbers().len() - volume.table.free() - owned
}

#[test]
fn files_are_made_replaced_and_added_to_in_every_kind_of_fat() {
    for kind in KINDS {
        let disk = Disk::new(format(kind));
        assert_eq!(disk.get(Name::Wrcmd), None);
        disk.put(Name::Wrcmd, b"first\n");
        disk.put(Name::Wrcmd, b"second, and longer\n");
        assert_eq!(disk.get(Name::Wrcmd).unwrap(), b"second, and longer\n");
        let mut log = Vec::new();
        for n in 0..60u8 {
            let entry = vec![b'a' + n % 26; 7 * usize::from(n) + 1];
            disk.add(Name::Rootscor, &entry);
            log.extend(entry);
            assert!(disk.get(Name::Rootscor).unwrap() == log, "{kind:?} {n}");
        }
        assert_others(&disk);
        assert_eq!(lost(&disk), 0, "{kind:?}");
        let names = disk
            .volume()
            .slots
            .into_values()
            .filter(|slot| !slot.is_free());
        assert_eq!(names.filter(|slot| slot.is_long_name()).count(), 0);
    }
}

#[test]
fn nothing_else_changes_by_a_byte() {
    for kind in KINDS {
        let disk = Disk::new(format(kind));
        disk.put(Name::Wrcmd, b"first\n");
        disk.add(Name::Rootscor, b"one\n");
        let before = disk.bytes.borrow().clone();
        let volume = disk.volume();
        disk.put(Name::Wrcmd, b"second\n");
        disk.add(Name::Rootscor, b"two\n");
        let after = disk.bytes.borrow().clone();
        let own: Vec<u64> = [Name::Wrcmd, Name::Rootscor]
            .iter()
            .map(|&name| volume.find(name).unwrap().unwrap().at)
            .collect();
        for (at, (old, new)) in (0u64..).zip(before.iter().zip(&after)) {
            let shape = &volume.shape;
            let cluster = shape.cluster_at(at);
            let allowed = shape.tables.contains(&at)
                || own.iter().any(|&slot| (slot..slot + 32).contains(&at))
                || shape
                    .info
                    .is_some_and(|info| (info + 488..info + 496).contains(&at))
                || cluster.is_some_and(|n| volume.table.link(n) == volume::Link::Free)
                || volume
                    .find(Name::Rootscor)
                    .unwrap()
                    .unwrap()
                    .chain
                    .contains(&cluster.unwrap_or(0));
            assert!(old == new || allowed, "{kind:?}: byte {at}");
        }
        let entry = volume.find(Name::Wrcmd).unwrap().unwrap();
        assert_eq!(disk.volume().named(b"WRCMD      ").unwrap().0, entry.at);
    }
}

#[test]
fn the_second_total_of_plan_9_is_no_obstacle() {
    let mut bytes = format(FatType::Fat16);
    let total = u16::from_le_bytes([bytes[19], bytes[20]]);
    assert_ne!(total, 0);
    bytes[32..36].copy_from_slice(&u32::from(total).to_le_bytes());
    assert!(FileSystem::new(Cursor::new(bytes.clone()), FsOptions::new()).is_err());
    let boot = bytes[..512].to_vec();
    let disk = Disk::new(bytes);
    disk.put(Name::Wrcmd, b"x\n");
    assert_eq!(disk.get(Name::Wrcmd).unwrap(), b"x\n");
    assert_eq!(disk.bytes.borrow()[..512], boot);
}

/// Every state a crash can leave: the steps before are on disk, and any part of
/// the sectors of the step that was under way.
fn crashes(disk: &Disk, plan: &change::Plan, check: impl Fn(&Disk)) {
    for (count, step) in plan.steps().iter().enumerate() {
        let sectors: Vec<_> = step.iter().collect();
        let masks = match sectors.len() {
            0..=6 => 0..1u32 << sectors.len(),
            _ => 0..200,
        };
        for mask in masks {
            let crashed = disk.clone();
            for done in plan.steps().iter().take(count) {
                write(&crashed, done);
            }
            for (bit, (number, sector)) in sectors.iter().enumerate() {
                if mask.wrapping_mul(0x9e37_79b1).rotate_left(7) >> (bit % 32) & 1 == 1
                    || sectors.len() <= 6 && mask >> bit & 1 == 1
                {
                    crashed.write_at(*sector, **number * SECTOR_LEN).unwrap();
                }
            }
            check(&crashed);
        }
    }
}

fn write(disk: &Disk, sectors: &Sectors) {
    for (number, sector) in sectors {
        disk.write_at(sector, number * SECTOR_LEN).unwrap();
    }
}

#[test]
fn after_any_crash_the_old_file_or_the_new_one_is_there() {
    for kind in [FatType::Fat12, FatType::Fat16] {
        let disk = Disk::new(format(kind));
        let old = [&b"old "[..], &[b'o'; 1500]].concat();
        let new = [&b"new "[..], &[b'n'; 2000]].concat();
        disk.put(Name::Wrcmd, &old);
        let plan = replace(&disk, &disk.volume(), Name::Wrcmd, &new).unwrap();
        let seen = RefCell::new([0, 0]);
        crashes(&disk, &plan, |crashed| {
            let found = crashed.get(Name::Wrcmd).unwrap();
            assert!(found == old || found == new);
            seen.borrow_mut()[usize::from(found == new)] += 1;
            assert_others(crashed);
            // And the next run goes on from there.
            crashed.put(Name::Wrcmd, b"next\n");
            assert_eq!(crashed.get(Name::Wrcmd).unwrap(), b"next\n");
            assert_others(crashed);
        });
        assert!(seen.borrow().iter().all(|&n| n > 0), "{seen:?}");

        disk.add(Name::Rootscor, &[b'a'; 700]);
        let plan = append(&disk, &disk.volume(), Name::Rootscor, &[b'b'; 3000]).unwrap();
        crashes(&disk, &plan, |crashed| {
            let found = crashed.get(Name::Rootscor).unwrap();
            assert!(found.len() == 700 || found.len() == 3700);
            assert!(found.iter().take(700).all(|&byte| byte == b'a'));
            assert!(found.iter().skip(700).all(|&byte| byte == b'b'));
            assert_others(crashed);
        });
    }
}

#[test]
fn copies_of_the_table_that_differ_become_the_same() {
    for kind in [FatType::Fat12, FatType::Fat16] {
        let disk = Disk::new(format(kind));
        disk.put(Name::Wrcmd, b"old\n");
        let shape = disk.volume().shape;
        let range = |at: u64| usize::try_from(at).unwrap();
        let (first, second) = (range(shape.table.start), range(shape.table.end));
        // A part of the second copy was not written when the power went.
        disk.bytes.borrow_mut()[second + 30..second + 60].fill(0xff);
        disk.put(Name::Wrcmd, b"new\n");
        let bytes = disk.bytes.borrow();
        assert_eq!(bytes[first..second], bytes[second..range(shape.tables.end)]);
    }
}

#[test]
fn a_disk_that_breaks_after_any_write_has_one_or_the_other() {
    let disk = Disk::new(format(FatType::Fat12));
    disk.put(Name::Wrcmd, b"old\n");
    let plan = replace(&disk, &disk.volume(), Name::Wrcmd, b"new\n").unwrap();
    let all = disk.clone();
    all.writes.set(0);
    plan.commit(&all).unwrap();
    let mut seen = Vec::new();
    for count in 0..all.writes.get() {
        let mut broken = disk.clone();
        broken.writes.set(0);
        broken.broken_after = count;
        plan.commit(&broken).unwrap_err();
        seen.push(broken.get(Name::Wrcmd).unwrap());
        assert_others(&broken);
    }
    assert!(seen.contains(&b"old\n".to_vec()) && seen.contains(&b"new\n".to_vec()));
}

#[test]
fn a_full_file_system_is_left_as_it_is() {
    let disk = Disk::new(format(FatType::Fat12));
    disk.put(Name::Wrcmd, b"old\n");
    let free = disk.volume().table.free() * 512;
    disk.add(Name::Rootscor, &vec![b'x'; free - 700]);
    let before = disk.bytes.borrow().clone();
    let error = append(&disk, &disk.volume(), Name::Rootscor, &[b'y'; 2000]).unwrap_err();
    assert!(matches!(error, Cause::Full { .. }), "{error}");
    // The rest of the last cluster still has room.
    disk.add(Name::Rootscor, &[b'z'; 100]);
    disk.add(Name::Rootscor, &vec![b'z'; 600]);
    let error = replace(&disk, &disk.volume(), Name::Wrcmd, b"new\n").unwrap_err();
    assert!(matches!(error, Cause::Full { .. }), "{error}");
    assert_eq!(disk.get(Name::Wrcmd).unwrap(), b"old\n");
    assert_others(&disk);
    assert_eq!(before.len() as u64, disk.len());
}

#[test]
fn a_full_directory_is_left_as_it_is() {
    let bytes = format(FatType::Fat12);
    let mut bytes = Cursor::new(bytes);
    {
        let fs = FileSystem::new(&mut bytes, FsOptions::new()).unwrap();
        let made = (0..600).take_while(|n| fs.root_dir().create_file(&format!("F{n}")).is_ok());
        assert!(made.count() < 600);
    }
    let disk = Disk::new(bytes.into_inner());
    let error = replace(&disk, &disk.volume(), Name::Wrcmd, b"x").unwrap_err();
    assert!(matches!(error, Cause::NoEntry), "{error}");
}

/// Makes something else in the allocation table lead to a cluster.
fn link(disk: &Disk, from: u32, to: u16) {
    let shape = disk.volume().shape;
    let mut start = shape.tables.start;
    while start < shape.tables.end {
        disk.write_at(&to.to_le_bytes(), start + 2 * u64::from(from))
            .unwrap();
        start += shape.table.end - shape.table.start;
    }
}

#[test]
fn crossed_and_circular_files_are_refused() {
    let disk = Disk::new(format(FatType::Fat16));
    disk.put(Name::Wrcmd, &[b'x'; 1200]);
    let chain = disk.volume().find(Name::Wrcmd).unwrap().unwrap().chain;
    let kernel = disk.volume().named(b"9PCF       ").unwrap().1;
    let kernel = kernel.first_cluster(volume::Kind::Fat16);
    let number = |n: u32| u16::try_from(n).unwrap();
    for (from, to, said) in [
        (chain[1], number(chain[0]), "no end"),
        (chain[1], number(kernel), "something else"),
        (chain[0], 1, "free or bad"),
        (chain[0], 0, "free or bad"),
        (chain[0], 0xfff7, "free or bad"),
        (kernel, number(chain[1]), "something else"),
        (chain[0], 0xffff, "room for 512"),
    ] {
        let broken = disk.clone();
        link(&broken, from, to);
        let before = broken.bytes.borrow().clone();
        let volume = broken.volume();
        for error in [
            replace(&broken, &volume, Name::Wrcmd, b"y").map(|_| ()),
            append(&broken, &volume, Name::Wrcmd, b"y").map(|_| ()),
            contents(&broken, &volume, Name::Wrcmd, 5000).map(|_| ()),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(said), "{from} -> {to}: {error}");
        }
        assert!(*broken.bytes.borrow() == before);
    }
}

#[test]
fn a_root_directory_in_a_circle_comes_to_an_end() {
    let disk = Disk::new(format(FatType::Fat32));
    let volume = disk.volume();
    let root = volume.root[0];
    let at = volume.shape.tables.start + 4 * u64::from(root);
    disk.write_at(&root.to_le_bytes(), at).unwrap();
    let error = Volume::read(&disk, disk.len()).unwrap().unwrap_err();
    assert!(error.contains("no end"), "{error}");
}

#[test]
fn what_is_no_file_system_is_refused() {
    for bytes in [Vec::new(), vec![0; 512], vec![0xff; 4096]] {
        let disk = Disk::new(bytes);
        assert!(Volume::read(&disk, disk.len()).unwrap().is_err());
    }
    let mut short = format(FatType::Fat12);
    short.truncate(200 << 10);
    let disk = Disk::new(short);
    let error = Volume::read(&disk, disk.len()).unwrap().unwrap_err();
    assert!(error.contains("inside 204800 bytes"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the boot sector, table and directory hold: no panic, no endless
    /// loop, and the other files stay what they were where they were sound.
    #[test]
    fn any_damage_is_refused_or_harmless(
        changes in prop::collection::vec((0usize..40_000, any::<u8>()), 1..12),
        boot in prop::collection::vec((11usize..64, any::<u8>()), 0..3),
        fat16: bool,
    ) {
        let kind = if fat16 { FatType::Fat16 } else { FatType::Fat12 };
        let disk = Disk::new(format(kind));
        disk.put(Name::Wrcmd, &[b'x'; 1200]);
        disk.add(Name::Rootscor, &[b'y'; 900]);
        let len = disk.len();
        {
            let mut bytes = disk.bytes.borrow_mut();
            for (at, byte) in changes.into_iter().chain(boot) {
                bytes[at] = byte;
            }
        }
        let Ok(volume) = Volume::read(&disk, len).unwrap() else {
            return Ok(());
        };
        let before = disk.bytes.borrow().clone();
        let entry = volume.find(Name::Rootscor).ok().flatten();
        let own = entry.map(|entry| entry.chain).unwrap_or_default();
        for plan in [
            replace(&disk, &volume, Name::Wrcmd, &[b'z'; 2000]),
            append(&disk, &volume, Name::Rootscor, &[b'z'; 2000]),
        ] {
            let Ok(plan) = plan else { continue };
            let changed = disk.clone();
            plan.commit(&changed).unwrap();
            let after = changed.bytes.borrow();
            // What is in use, and not by the file, is as it was.
            for n in volume.table.numbers().filter(|&n| volume.table.link(n) != volume::Link::Free) {
                let place = volume.shape.bytes_of(n).unwrap();
                let place = usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap();
                prop_assert!(own.contains(&n) || before[place.clone()] == after[place]);
            }
            prop_assert!(before[..SECTOR] == after[..SECTOR]);
        }
        let _ = contents(&disk, &volume, Name::Wrcmd, 4096);
    }

    #[test]
    fn any_first_sector_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 36), len in 0u64..1 << 34) {
        let mut sector = [0; SECTOR];
        sector[..36].copy_from_slice(&bytes);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        if let Ok(shape) = volume::Shape::parse(&sector, len) {
            prop_assert!(shape.len <= len);
            prop_assert!(shape.table.end - shape.table.start <= 16 << 20);
        }
    }
}
