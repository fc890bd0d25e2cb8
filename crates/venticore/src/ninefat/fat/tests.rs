//! Boot sectors of every geometry with every wrong bit, changes that are more than
//! one, and any damage.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;

/// The start of a file system, zeros behind it.
#[derive(Clone)]
struct Start {
    bytes: Vec<u8>,
    len: u64,
}

impl Bytes for Start {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buf.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (at, byte) in (offset..).zip(buf) {
            let at = usize::try_from(at).unwrap();
            *byte = self.bytes.get(at).copied().unwrap_or(0);
        }
        Ok(())
    }
}

impl Start {
    /// What a formatter makes: the fields of the boot sector, and the start of both tables.
    fn new(plan9: bool, bits: u32, total: u32, cluster: u8, table: u32, slots: u16) -> Self {
        let mut bytes = vec![0; (8 + table as usize * 2) * 512];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(3, if plan9 { b"Plan9.00" } else { b"mkfs.fat" });
        put(11, &512u16.to_le_bytes());
        put(13, &[cluster, 2, 0, 2]);
        put(17, &slots.to_le_bytes());
        let short = u16::try_from(total).unwrap_or(0);
        put(19, &short.to_le_bytes());
        put(21, &[0xf8]);
        if plan9 || short == 0 {
            put(32, &total.to_le_bytes());
        }
        let label = if bits == 32 { 82 } else { 54 };
        put(label, format!("FAT{bits:<5}").as_bytes());
        put(510, &[0x55, 0xaa]);
        match bits {
            32 => {
                put(36, &table.to_le_bytes());
                put(44, &[2]);
            }
            _ => put(22, &u16::try_from(table).unwrap().to_le_bytes()),
        }
        for copy in [0, 1] {
            let at = (2 + copy * table as usize) * 512;
            let first = [0xf8, 0xff, 0xff, if bits == 12 { 0 } else { 0xff }];
            put(at, &first);
            if bits == 32 {
                put(at + 8, &[0xff, 0xff, 0xff, 0x0f]);
            }
        }
        let len = u64::from(total) * 512;
        Start { bytes, len }
    }

    /// What Plan 9's disk/format and mkfs.vfat make, for each kind.
    fn all() -> Vec<Start> {
        vec![
            Self::new(true, 12, 2_880, 1, 9, 224),
            Self::new(true, 12, 20_480, 8, 8, 512),
            Self::new(true, 16, 20_480, 4, 20, 512),
            Self::new(true, 16, 65_537, 1, 254, 512),
            Self::new(true, 16, 204_802, 4, 200, 512),
            Self::new(true, 32, 204_800, 1, 1576, 0),
            Self::new(false, 12, 2_880, 1, 9, 224),
            Self::new(false, 12, 1_440, 2, 3, 112),
            Self::new(false, 12, 800, 1, 3, 512),
            Self::new(false, 16, 10_240, 2, 20, 512),
            Self::new(false, 32, 69_632, 1, 536, 0),
        ]
    }
}

#[test]
fn a_boot_sector_with_one_wrong_bit_is_refused_or_means_the_same() {
    for start in Start::all() {
        let whole = Shape::read(&start, start.len).unwrap();
        for bit in 0..512 * 8 {
            let mut flipped = start.clone();
            flipped.bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(shape) = Shape::read(&flipped, start.len) else {
                continue;
            };
            // Fewer clusters at the end are no danger.
            let same = Shape {
                volume: whole.volume,
                clusters: whole.clusters,
                ..shape.clone()
            };
            assert_eq!(same, whole, "bit {bit}");
            assert!(shape.clusters <= whole.clusters, "bit {bit}");
        }
    }
}

#[test]
fn what_is_not_a_file_system_is_refused() {
    for bytes in [vec![], vec![0; 512], vec![0xff; 4096]] {
        let len = bytes.len() as u64;
        assert!(Fat::read(&Start { bytes, len }, len).is_err());
    }
    let start = Start::new(true, 16, 20_480, 4, 20, 512);
    let error = Shape::read(&start, 200 << 10).unwrap_err();
    assert!(error.contains("inside 204800 bytes"), "{error}");
}

/// A small FAT12: two clusters each of a kernel and of WRCMD.
fn small() -> RefCell<Vec<u8>> {
    let mut bytes = Start::new(false, 12, 800, 1, 3, 512).bytes;
    bytes.resize(800 * 512, 0);
    for table in [1024, 1024 + 3 * 512] {
        // 2 -> 3, 4 -> 5.
        bytes[table + 3..][..6].copy_from_slice(&[0x03, 0xf0, 0xff, 0x05, 0xf0, 0xff]);
    }
    let root = (2 + 6) * 512;
    for (at, name, first, size) in [
        (root, b"9PCF       ", 2, 1000u32),
        (root + 32, b"WRCMD      ", 4, 900),
    ] {
        bytes[at..at + 11].copy_from_slice(name);
        bytes[at + 26] = first;
        bytes[at + 28..at + 32].copy_from_slice(&size.to_le_bytes());
    }
    RefCell::new(bytes)
}

impl Bytes for RefCell<Vec<u8>> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let bytes = self.borrow();
        let from = bytes.get(at..at + buf.len());
        buf.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Gives a cluster a number, in both tables of [`small`].
fn link(bytes: &RefCell<Vec<u8>>, n: usize, to: u16) {
    for table in [1024, 1024 + 3 * 512] {
        let at = table + n * 3 / 2;
        let [low, high] = to.to_le_bytes();
        let mut bytes = bytes.borrow_mut();
        match n % 2 {
            0 => {
                bytes[at] = low;
                bytes[at + 1] = bytes[at + 1] & 0xf0 | high;
            }
            _ => {
                bytes[at] = bytes[at] & 0x0f | low << 4;
                bytes[at + 1] = low >> 4 | high << 4;
            }
        }
    }
}

#[test]
fn crossed_and_circular_files_are_refused() {
    let len = small().borrow().len() as u64;
    let whole = Fat::read(&small(), len).unwrap();
    let entry = whole.find("WRCMD").unwrap().unwrap();
    assert_eq!((entry.size, &entry.chain[..]), (900, &[4, 5][..]));
    for (from, to, said) in [
        (5, 4, "chain loops"),
        (5, 2, "something else"),
        (4, 1, "free or bad"),
        (4, 0, "free or bad"),
        (4, 0xff7, "free or bad"),
        (3, 5, "something else"),
        (3, 4, "something else"),
        (4, 0xfff, "expected 2 clusters"),
    ] {
        let broken = small();
        link(&broken, from, to);
        let fat = Fat::read(&broken, len).unwrap();
        let error = fat.find("WRCMD").unwrap_err();
        assert!(error.contains(said), "{from} -> {to}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever stands in a file system: no panic, and no endless loop.
    #[test]
    fn any_damage_is_read_or_refused(
        changes in prop::collection::vec((0usize..8_000, any::<u8>()), 1..12),
    ) {
        let damaged = small();
        for (at, byte) in changes {
            damaged.borrow_mut()[at] = byte;
        }
        let len = damaged.borrow().len() as u64;
        let Ok(fat) = Fat::read(&damaged, len) else {
            return Ok(());
        };
        if let Ok(Some(entry)) = fat.find("WRCMD") {
            let contents = fat.contents(&damaged, &entry).unwrap();
            prop_assert_eq!(contents.len() as u64, entry.size);
        }
        let _ = fat.check_room("ROOTSCOR", 5_000);
    }

    /// A change anywhere is one to a file that is not ours, unless it is in free clusters.
    #[test]
    fn a_change_to_anything_else_is_seen(at in 0usize..26_000, byte in any::<u8>()) {
        let (before, after) = (small(), small());
        after.borrow_mut()[at] = byte;
        let len = before.borrow().len() as u64;
        let fat = Fat::read(&before, len).unwrap();
        let Ok(changed) = Fat::read(&after, len) else {
            return Ok(());
        };
        let mut sectors = Sectors::new();
        let start = at / SECTOR * SECTOR;
        let mut sector = [0; SECTOR];
        sector.copy_from_slice(&after.borrow()[start..start + SECTOR]);
        if before.borrow()[at] != byte {
            sectors.insert(start as u64 / SECTOR_LEN, sector);
        }
        let contents = vec![0; 900];
        let checked = fat.check_only("WRCMD", &contents, &changed, &after, &sectors);
        let cluster = changed.shape.cluster_at(at as u64);
        let is_free = cluster.is_some_and(|n| n > 5 || n == 5 && at % 512 >= 900 - 512);
        let own_slot = 8 * 512 + 32 + 11..8 * 512 + 32 + 26;
        // What is behind the end of a table or of the directory means nothing.
        let unused = (2167..2560).contains(&at) || (4161..20_480).contains(&at);
        let allowed = sectors.is_empty() || is_free || unused || own_slot.contains(&at);
        prop_assert!(allowed || checked.is_err(), "byte {at}: {checked:?}");
        if is_free || sectors.is_empty() {
            prop_assert!(checked.is_ok(), "byte {at}: {checked:?}");
        }
    }
}
