//! Where everything is in a file system.

use std::ops::Range;

use super::boot::Boot;
use super::slot::SLOT_LEN;
use super::{Bad, Kind, RESERVED, SECTOR};

/// The most bytes of one copy of the table: that of a 9fat has 128 KiB at most.
const TABLE_MAX: u64 = 16 << 20;

/// Where everything is, in bytes from the start of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// The number that was made up when it was formatted.
    pub(crate) volume: u32,
    pub(crate) cluster_len: u64,
    /// The number of clusters with data.
    pub(crate) clusters: u32,
    /// The first copy of the table.
    pub(crate) table: Range<u64>,
    /// All copies of it, one after the other.
    pub(crate) tables: Range<u64>,
    /// The root directory of FAT12 and FAT16, else nothing.
    pub(super) root: Range<u64>,
    /// Where the root directory of FAT32 begins.
    pub(super) root_cluster: u32,
    /// Where cluster 2 begins.
    data: u64,
    /// Where its last cluster ends.
    pub(crate) len: u64,
    /// The sector with the number of free clusters, in FAT32.
    pub(crate) info: Option<u64>,
}

impl Shape {
    /// Reads the first sector of a file system in a partition of `len` bytes.
    pub(crate) fn parse(sector: &[u8; SECTOR], len: u64) -> Result<Self, Bad> {
        let boot = Boot::parse(sector)
            .ok_or("expected a FAT file system, found no 0x55aa at the end of sector 0")?;
        let sector_len = u64::from(boot.sector_len);
        let cluster_sectors = u64::from(boot.sectors_per_cluster);
        let fits = |count: u64| count.is_power_of_two();
        if !(512..=4096).contains(&sector_len) || !fits(sector_len) || !fits(cluster_sectors) {
            return Err(format!(
                "expected a FAT file system, found {sector_len} bytes in a sector and {cluster_sectors} sectors in a cluster"
            ));
        }
        let is32 = boot.is_32();
        let table_sectors = boot.table_sectors();
        if boot.reserved == 0 || !(1..=2).contains(&boot.tables) || table_sectors == 0 {
            return Err(format!(
                "expected one or two allocation tables, found {} of {table_sectors} sectors",
                boot.tables
            ));
        }
        if is32 != (boot.root_slots == 0) || boot.version != 0 || boot.flags & 0x80 != 0 {
            return Err("expected FAT12, FAT16 or a mirrored FAT32, found another form".to_owned());
        }
        let total = boot.sectors();
        let root_sectors = (u64::from(boot.root_slots) * SLOT_LEN).div_ceil(sector_len);
        let tables = u64::from(boot.reserved)
            ..u64::from(boot.reserved) + u64::from(boot.tables) * table_sectors;
        let data = tables.end + root_sectors;
        let clusters = total.saturating_sub(data) / cluster_sectors;
        if clusters == 0 || total * sector_len > len {
            return Err(format!(
                "expected a FAT file system inside {len} bytes, found one of {total} sectors of {sector_len} with data from sector {data} on"
            ));
        }
        let kind = match clusters {
            0..4085 => Kind::Fat12,
            4085..65_525 => Kind::Fat16,
            _ => Kind::Fat32,
        };
        let clusters = u32::try_from(clusters)
            .ok()
            .filter(|_| is32 == (kind == Kind::Fat32));
        let clusters = clusters.ok_or(
            "expected as many clusters as FAT12, FAT16 or FAT32 has, found another number",
        )?;
        let table_len = table_sectors * sector_len;
        let needed = (u64::from(clusters) + u64::from(RESERVED)) * kind.bits();
        if table_len > TABLE_MAX || table_len * 8 < needed {
            return Err(format!(
                "expected an allocation table for {clusters} clusters in at most {TABLE_MAX} bytes, found one of {table_len} bytes"
            ));
        }
        let info = u64::from(boot.info);
        let start = tables.start * sector_len;
        Ok(Shape {
            kind,
            volume: boot.volume,
            cluster_len: cluster_sectors * sector_len,
            clusters,
            table: start..start + table_len,
            tables: start..tables.end * sector_len,
            root: tables.end * sector_len..data * sector_len,
            root_cluster: boot.root_cluster,
            data: data * sector_len,
            len: (data + u64::from(clusters) * cluster_sectors) * sector_len,
            info: (is32 && info > 0 && info < tables.start).then_some(info * sector_len),
        })
    }

    /// The bytes of a cluster.
    pub(crate) fn bytes_of(&self, cluster: u32) -> Option<Range<u64>> {
        let number = cluster
            .checked_sub(RESERVED)
            .filter(|&n| n < self.clusters)?;
        let start = self.data + u64::from(number) * self.cluster_len;
        Some(start..start + self.cluster_len)
    }

    /// The cluster that a byte is in.
    pub(crate) fn cluster_at(&self, at: u64) -> Option<u32> {
        let number = at.checked_sub(self.data)? / self.cluster_len;
        let number = u32::try_from(number).ok().filter(|&n| n < self.clusters)?;
        Some(number + RESERVED)
    }
}
