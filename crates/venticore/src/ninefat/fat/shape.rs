//! Where everything is in a FAT file system, by its boot sector.
//!
//! With one wrong bit in a field, the data of one file would be taken for
//! another's. So each field that matters is held against a second witness.

use std::ops::Range;

use super::{Bad, Bytes, SECTOR, SECTOR_LEN};

/// Bytes in an entry of a directory.
const SLOT_LEN: u64 = 32;

/// The first two entries of the table stand for no cluster.
pub(super) const RESERVED: u32 = 2;

/// The first cluster of the root directory of FAT32, wherever one is made.
pub(super) const ROOT_CLUSTER: u32 = 2;

/// The most bytes of one copy of the table; the table of a 9fat has 128 KiB at most.
const TABLE_MAX: u64 = 16 << 20;

/// The most sectors that a table has beyond those that it needs, besides two
/// clusters: formatters round up.
const SPARE: u64 = 8;

/// Where everything is, in bytes from the start of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Shape {
    /// 12, 16 or 32.
    pub(super) bits: u32,
    /// The number that was made up when it was formatted.
    pub(in super::super) volume: u32,
    /// Bytes in a cluster.
    pub(super) cluster: u64,
    /// The number of clusters with data.
    pub(super) clusters: u32,
    /// Both copies of the allocation table.
    pub(super) tables: [Range<u64>; 2],
    /// The root directory of FAT12 and FAT16; otherwise empty.
    pub(super) root: Range<u64>,
    /// Where the first cluster begins.
    pub(in super::super) data: u64,
    /// The sector with the number of free clusters, in FAT32.
    pub(super) info: Option<u64>,
}

impl Shape {
    /// Where everything is in the file system that begins `bytes`, of which there
    /// are `len`.
    pub(super) fn read(bytes: &impl Bytes, len: u64) -> Result<Self, Bad> {
        let sector = sector(bytes, 0, len)?;
        let mut shape = Self::parse(&sector, len)?;
        let start = |range: &Range<u64>| {
            let mut first = [0; 3];
            let read = bytes.read_at(&mut first, range.start);
            read.map(|()| first).map_err(|e| e.to_string())
        };
        let [first, second] = &shape.tables;
        let (first, second) = (start(first)?, start(second)?);
        let media = *sector.get(21).unwrap_or(&0);
        if first != [media, 0xff, 0xff] || second != first {
            return Err(format!(
                "expected two allocation tables that begin with {media:#04x} 0xff 0xff, found {first:02x?} and {second:02x?}"
            ));
        }
        if let Some(at) = shape.info
            && !is_info(&self::sector(bytes, at, len)?)
        {
            shape.info = None;
        }
        Ok(shape)
    }

    /// Reads the first sector of a file system in a partition of `len` bytes.
    pub(super) fn parse(sector: &[u8; SECTOR], len: u64) -> Result<Self, Bad> {
        let boot = Boot(sector);
        boot.check()?;
        let (sector_len, per_cluster) = (u64::from(boot.word(11)), u64::from(boot.byte(13)));
        let (reserved, table) = (u64::from(boot.word(14)), u64::from(boot.table()));
        let (total, slots) = (boot.total()?, u64::from(boot.word(17)));
        boot.check_root(slots, total)?;
        let data = reserved + 2 * table + (slots * SLOT_LEN).div_ceil(sector_len);
        let clusters = total.saturating_sub(data) / per_cluster;
        if clusters == 0 || total * sector_len > len {
            return Err(format!(
                "expected a FAT file system inside {len} bytes, found one of {total} sectors of {sector_len} with data from sector {data} on"
            ));
        }
        let bits = bits(clusters);
        boot.check_kind(bits)?;
        let room = table * sector_len * 8 / u64::from(bits);
        // Plan 9's disk/format makes a table without room for the root directory of a FAT32.
        let clusters = clusters.min(room.saturating_sub(RESERVED.into()));
        let needed = (clusters + u64::from(RESERVED)) * u64::from(bits);
        let most = needed.div_ceil(8 * sector_len) + 2 * per_cluster + SPARE;
        if table > most || table * sector_len > TABLE_MAX || clusters == 0 {
            return Err(format!(
                "expected an allocation table for {clusters} clusters, found one of {table} sectors"
            ));
        }
        let table_at = |number| {
            let start = (reserved + number * table) * sector_len;
            start..start + table * sector_len
        };
        let (data, info) = (data * sector_len, u64::from(boot.word(48)));
        Ok(Shape {
            bits,
            volume: boot.long(if boot.is_32() { 67 } else { 39 }),
            cluster: per_cluster * sector_len,
            clusters: u32::try_from(clusters).map_err(|_| "too many clusters".to_owned())?,
            tables: [table_at(0), table_at(1)],
            root: table_at(1).end..data,
            data,
            info: (boot.is_32() && info > 0 && info < reserved).then_some(info * sector_len),
        })
    }

    /// The numbers of all clusters.
    pub(super) fn numbers(&self) -> Range<u32> {
        RESERVED..RESERVED + self.clusters
    }

    /// The bytes of a cluster.
    pub(super) fn bytes_of(&self, cluster: u32) -> Option<Range<u64>> {
        let number = cluster.checked_sub(RESERVED)?;
        let start = self.data + u64::from(number) * self.cluster;
        (number < self.clusters).then_some(start..start + self.cluster)
    }

    /// The cluster that a byte is in.
    pub(super) fn cluster_at(&self, at: u64) -> Option<u32> {
        let number = u32::try_from(at.checked_sub(self.data)? / self.cluster).ok()?;
        (number < self.clusters).then_some(number + RESERVED)
    }
}

/// The fields of a boot sector.
struct Boot<'a>(&'a [u8; SECTOR]);

impl Boot<'_> {
    fn byte(&self, at: usize) -> u32 {
        u32::from(self.0.get(at).copied().unwrap_or(0))
    }

    fn word(&self, at: usize) -> u32 {
        self.byte(at) | self.byte(at + 1) << 8
    }

    fn long(&self, at: usize) -> u32 {
        self.word(at) | self.word(at + 2) << 16
    }

    fn is_32(&self) -> bool {
        self.word(22) == 0
    }

    /// The sectors of one allocation table.
    fn table(&self) -> u32 {
        match self.is_32() {
            true => self.long(36),
            false => self.word(22),
        }
    }

    /// The number of sectors. Plan 9's disk/format gives it twice where it fits.
    fn total(&self) -> Result<u64, Bad> {
        match (self.word(19), self.long(32)) {
            (0, total) | (total, 0) => Ok(total.into()),
            (short, long) if short == long => Ok(long.into()),
            (short, long) => Err(format!(
                "expected one number of sectors, found {short} and {long}"
            )),
        }
    }

    /// Whether the fields describe a file system that is known here.
    fn check(&self) -> Result<(), Bad> {
        if self.word(510) != 0xaa55 {
            let bad = "expected a FAT file system, found no 0x55aa at the end of sector 0";
            return Err(bad.to_owned());
        }
        let (sector_len, per_cluster) = (self.word(11), self.byte(13));
        let is_size = (512..=4096).contains(&sector_len) && sector_len.is_power_of_two();
        if !is_size || !per_cluster.is_power_of_two() {
            return Err(format!(
                "expected a FAT file system, found {sector_len} bytes in a sector and {per_cluster} sectors in a cluster"
            ));
        }
        let (reserved, tables, table) = (self.word(14), self.byte(16), self.table());
        if reserved == 0 || tables != 2 || table == 0 {
            return Err(format!(
                "expected two allocation tables, found {tables} of {table} sectors behind {reserved}"
            ));
        }
        let is_mirrored = self.word(40) & 0x80 == 0;
        let is_usual = is_mirrored && self.word(42) == 0 && self.long(44) == ROOT_CLUSTER;
        if self.is_32() && !is_usual {
            return Err("expected a mirrored FAT32 with its root in cluster 2".to_owned());
        }
        Ok(())
    }

    /// Whether a root directory has as many entries as Plan 9's disk/format gives it, or
    /// as other formatters give it on floppies and disks.
    fn check_root(&self, slots: u64, total: u64) -> Result<(), Bad> {
        let is_usual = match (self.is_32(), self.0.get(3..11) == Some(b"Plan9.00")) {
            (true, _) => slots == 0,
            (false, true) => slots > 0 && slots == (total / 200 * 16).min(512),
            (false, false) => [112, 224, 512].contains(&slots),
        };
        is_usual.then_some(()).ok_or_else(|| {
            format!("expected a root directory of a usual length, found one of {slots} entries")
        })
    }

    /// Whether the kind by the number of clusters is the kind that is written there.
    fn check_kind(&self, bits: u32) -> Result<(), Bad> {
        let at = if self.is_32() { 82 } else { 54 };
        let text = self.0.get(at..at + 8).unwrap_or_default();
        let is_named = |bits: &u32| format!("FAT{bits:<5}").as_bytes() == text;
        let named = [12, 16, 32].into_iter().find(is_named);
        let is_kind = self.is_32() == (bits == 32) && named.is_none_or(|named| named == bits);
        is_kind.then_some(()).ok_or_else(|| {
            format!(
                "expected as many clusters as FAT12, FAT16 or FAT32 has, found as many as FAT{bits} has"
            )
        })
    }
}

fn bits(clusters: u64) -> u32 {
    match clusters {
        0..4085 => 12,
        4085..65_525 => 16,
        _ => 32,
    }
}

fn is_info(sector: &[u8; SECTOR]) -> bool {
    sector.starts_with(b"RRaA") && sector.get(484..488) == Some(b"rrAa")
}

fn sector(bytes: &impl Bytes, at: u64, len: u64) -> Result<[u8; SECTOR], Bad> {
    let mut sector = [0; SECTOR];
    if at + SECTOR_LEN > len {
        return Err(format!("expected a FAT file system, found {len} bytes"));
    }
    bytes.read_at(&mut sector, at).map_err(|e| e.to_string())?;
    Ok(sector)
}
