//! The layout of a FAT file system, read without changing anything: boot
//! sector, allocation table, and the entries of the root directory.
//!
//! The changes are made by the crate `fatfs`, in memory; this is what they are
//! held against, so it shares nothing with it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;

use nom::bytes::complete::{tag, take};
use nom::number::complete::{le_u8, le_u16, le_u32};
use nom::{IResult, Parser};

use super::Name;

/// Bytes that a disk writes as one.
pub(super) const SECTOR: usize = 512;
pub(super) const SECTOR_LEN: u64 = SECTOR as u64;

/// The most bytes of one copy of the table: that of a 9fat has 128 KiB at most.
const TABLE_MAX: u64 = 16 << 20;

/// Bytes in an entry of a directory.
const SLOT: usize = 32;
const SLOT_LEN: u64 = SLOT as u64;

/// The most entries in a root directory, as in FAT12 and FAT16.
const SLOTS_MAX: usize = 65_536;

/// The first two entries of the table stand for no cluster.
const RESERVED: u32 = 2;

/// What is wrong with a file system, as text: it is only said.
pub(super) type Bad = String;

/// Something with bytes at offsets.
pub(super) trait Bytes {
    /// Fills `buf` from the bytes at `offset`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The widths of an entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fat12,
    Fat16,
    Fat32,
}

/// Where everything is, in bytes from the start of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// The number that was made up when it was formatted.
    pub(super) volume: u32,
    pub(super) cluster_len: u64,
    /// The number of clusters with data.
    pub(super) clusters: u32,
    /// The first copy of the table.
    pub(super) table: Range<u64>,
    /// All copies of it, one after the other.
    pub(super) tables: Range<u64>,
    /// The root directory of FAT12 and FAT16, else nothing.
    root: Range<u64>,
    /// Where the root directory of FAT32 begins.
    root_cluster: u32,
    /// Where cluster 2 begins.
    data: u64,
    /// Where its last cluster ends.
    pub(super) len: u64,
    /// The sector with the number of free clusters, in FAT32.
    pub(super) info: Option<u64>,
}

/// The fields of the boot sector that say where things are.
struct Boot {
    sector_len: u16,
    sectors_per_cluster: u8,
    reserved: u16,
    tables: u8,
    root_slots: u16,
    total16: u16,
    table16: u16,
    total32: u32,
    table32: u32,
    flags: u16,
    version: u16,
    root_cluster: u32,
    info: u16,
    volume: u32,
}

fn boot(input: &[u8]) -> IResult<&[u8], Boot> {
    let (input, _jump_and_maker) = take(11usize)(input)?;
    let (input, sector_len) = le_u16(input)?;
    let (input, sectors_per_cluster) = le_u8(input)?;
    let (input, reserved) = le_u16(input)?;
    let (input, tables) = le_u8(input)?;
    let (input, root_slots) = le_u16(input)?;
    let (input, total16) = le_u16(input)?;
    let (input, _media) = le_u8(input)?;
    let (input, table16) = le_u16(input)?;
    let (input, _track_and_heads) = take(4usize)(input)?;
    let (input, _hidden) = le_u32(input)?;
    let (input, total32) = le_u32(input)?;
    let extended = table16 == 0;
    let (input, table32) = only(extended, le_u32).parse(input)?;
    let (input, flags) = only(extended, le_u16).parse(input)?;
    let (input, version) = only(extended, le_u16).parse(input)?;
    let (input, root_cluster) = only(extended, le_u32).parse(input)?;
    let (input, info) = only(extended, le_u16).parse(input)?;
    let (input, _backup_and_reserved) = take(if extended { 14usize } else { 0 })(input)?;
    let (input, _drive_state_and_mark) = take(3usize)(input)?;
    let (input, volume) = le_u32(input)?;
    let rest = SECTOR - 2 - if extended { 71 } else { 43 };
    let (input, _code) = take(rest)(input)?;
    let (input, _signature) = tag(&[0x55, 0xaa][..])(input)?;
    let boot = Boot {
        sector_len,
        sectors_per_cluster,
        reserved,
        tables,
        root_slots,
        total16,
        table16,
        total32,
        table32,
        flags,
        version,
        root_cluster,
        info,
        volume,
    };
    Ok((input, boot))
}

/// A field that only FAT32 has; 0 elsewhere.
fn only<'a, T: Default>(
    there: bool,
    mut field: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
) -> impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>> {
    move |input| match there {
        true => field.parse(input),
        false => Ok((input, T::default())),
    }
}

impl Shape {
    /// Reads the first sector of a file system in a partition of `len` bytes.
    pub(super) fn parse(sector: &[u8; SECTOR], len: u64) -> Result<Self, Bad> {
        let (_, boot) = boot(sector)
            .map_err(|_| "expected a FAT file system, found no 0x55aa at the end of sector 0")?;
        let sector_len = u64::from(boot.sector_len);
        let cluster_sectors = u64::from(boot.sectors_per_cluster);
        let fits = |count: u64| count.is_power_of_two();
        if !(512..=4096).contains(&sector_len) || !fits(sector_len) || !fits(cluster_sectors) {
            return Err(format!(
                "expected a FAT file system, found {sector_len} bytes in a sector and {cluster_sectors} sectors in a cluster"
            ));
        }
        let is32 = boot.table16 == 0;
        let table_sectors = match is32 {
            true => u64::from(boot.table32),
            false => u64::from(boot.table16),
        };
        if boot.reserved == 0 || !(1..=2).contains(&boot.tables) || table_sectors == 0 {
            return Err(format!(
                "expected one or two allocation tables, found {} of {table_sectors} sectors",
                boot.tables
            ));
        }
        if is32 != (boot.root_slots == 0) || boot.version != 0 || boot.flags & 0x80 != 0 {
            return Err("expected FAT12, FAT16 or a mirrored FAT32, found another form".to_owned());
        }
        // Plan 9's disk/format fills in both.
        let total = match boot.total16 {
            0 => u64::from(boot.total32),
            total => u64::from(total),
        };
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
    pub(super) fn bytes_of(&self, cluster: u32) -> Option<Range<u64>> {
        let number = cluster
            .checked_sub(RESERVED)
            .filter(|&n| n < self.clusters)?;
        let start = self.data + u64::from(number) * self.cluster_len;
        Some(start..start + self.cluster_len)
    }

    /// The cluster that a byte is in.
    pub(super) fn cluster_at(&self, at: u64) -> Option<u32> {
        let number = at.checked_sub(self.data)? / self.cluster_len;
        let number = u32::try_from(number).ok().filter(|&n| n < self.clusters)?;
        Some(number + RESERVED)
    }
}

impl Kind {
    fn bits(self) -> u64 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }
}

/// What an entry of the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Free,
    /// The file goes on in this cluster.
    Next(u32),
    /// The file ends here.
    End,
    /// A bad cluster, or a number that is none.
    Other,
}

/// The allocation table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    kind: Kind,
    clusters: u32,
    bytes: Vec<u8>,
}

impl Table {
    /// The number as it stands in the table.
    pub(super) fn raw(&self, cluster: u32) -> Option<u32> {
        let at = usize::try_from(cluster).ok()?;
        let byte = |at: usize| self.bytes.get(at).copied().map(u32::from);
        match self.kind {
            Kind::Fat12 => {
                let at = at + at / 2;
                let pair = byte(at)? | byte(at + 1)? << 8;
                Some(if cluster.is_multiple_of(2) {
                    pair & 0xfff
                } else {
                    pair >> 4
                })
            }
            Kind::Fat16 => Some(byte(2 * at)? | byte(2 * at + 1)? << 8),
            Kind::Fat32 => {
                let word = self.bytes.get(4 * at..)?.first_chunk::<4>()?;
                Some(u32::from_le_bytes(*word) & 0x0fff_ffff)
            }
        }
    }

    pub(super) fn link(&self, cluster: u32) -> Link {
        let end = match self.kind {
            Kind::Fat12 => 0xff8,
            Kind::Fat16 => 0xfff8,
            Kind::Fat32 => 0x0fff_fff8,
        };
        match self.raw(cluster) {
            Some(0) => Link::Free,
            Some(n) if n >= end => Link::End,
            Some(n) if self.numbers().contains(&n) => Link::Next(n),
            _ => Link::Other,
        }
    }

    /// The numbers of all clusters.
    pub(super) fn numbers(&self) -> Range<u32> {
        RESERVED..RESERVED + self.clusters
    }

    /// Where the number of a cluster stands in the table.
    pub(super) fn place_of(&self, cluster: u32) -> Range<u64> {
        let bits = u64::from(cluster) * self.kind.bits();
        bits / 8..(bits + self.kind.bits()).div_ceil(8)
    }

    /// Another copy of the table.
    pub(super) fn copy_at(&self, bytes: &impl Bytes, at: u64) -> io::Result<Self> {
        let mut copy = self.clone();
        bytes.read_at(&mut copy.bytes, at)?;
        Ok(copy)
    }

    pub(super) fn free(&self) -> usize {
        self.numbers()
            .filter(|&n| self.link(n) == Link::Free)
            .count()
    }

    /// The clusters of a file or directory, from its first one on.
    pub(super) fn chain(&self, first: u32) -> Result<Vec<u32>, Bad> {
        let mut chain = Vec::new();
        let mut at = first;
        loop {
            if !self.numbers().contains(&at) || chain.len() > self.numbers().len() {
                return Err(format!("its clusters from {first} on come to no end"));
            }
            chain.push(at);
            match self.link(at) {
                Link::Next(next) => at = next,
                Link::End => return Ok(chain),
                Link::Free | Link::Other => {
                    return Err(format!(
                        "its cluster {at} is free or bad in the allocation table"
                    ));
                }
            }
        }
    }
}

/// An entry of the root directory, with 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(pub(super) [u8; SLOT]);

impl Slot {
    const LABEL: u8 = 0x08;
    const DIRECTORY: u8 = 0x10;

    /// True where a new entry may be put.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.0.first(), Some(0 | 0xe5))
    }

    fn is_end(&self) -> bool {
        self.0.first() == Some(&0)
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        let field = self.0.get(at..).and_then(<[u8]>::first_chunk::<N>);
        field.copied().unwrap_or([0; N])
    }

    fn attributes(&self) -> u8 {
        let [attributes] = self.field(11);
        attributes & 0x3f
    }

    /// True where this is a file or directory, not a label or a part of a long name.
    fn is_named(&self) -> bool {
        !self.is_free() && self.attributes() & Self::LABEL == 0
    }

    #[cfg(test)]
    pub(super) fn is_long_name(&self) -> bool {
        !self.is_free() && self.attributes() & 0x0f == 0x0f
    }

    pub(super) fn is_directory(&self) -> bool {
        self.attributes() & Self::DIRECTORY != 0
    }

    /// The name, in 8.3 without the dot.
    fn name(&self) -> [u8; 11] {
        self.field(0)
    }

    pub(super) fn first_cluster(&self, kind: Kind) -> u32 {
        let high = match kind {
            Kind::Fat32 => u16::from_le_bytes(self.field(20)),
            _ => 0,
        };
        u32::from(high) << 16 | u32::from(u16::from_le_bytes(self.field(26)))
    }

    pub(super) fn size(&self) -> u32 {
        u32::from_le_bytes(self.field(28))
    }

    /// This entry with the place, the length and the time of another.
    pub(super) fn with_contents_of(&self, other: &Slot) -> Slot {
        let mut new = *self;
        for range in [20..28, 28..32] {
            if let (Some(to), Some(from)) = (new.0.get_mut(range.clone()), other.0.get(range)) {
                to.copy_from_slice(from);
            }
        }
        new
    }
}

/// The entries of a root directory, and where each of them is.
pub(super) type Slots = BTreeMap<u64, Slot>;

/// Everything about a file system but the contents of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) shape: Shape,
    pub(super) table: Table,
    pub(super) slots: Slots,
    /// The clusters of the root directory, in FAT32.
    pub(super) root: Vec<u32>,
}

/// A file in the root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where its entry is.
    pub(super) at: u64,
    pub(super) slot: Slot,
    pub(super) chain: Vec<u32>,
}

impl Volume {
    /// Reads the file system in so many bytes.
    pub(super) fn read(bytes: &impl Bytes, len: u64) -> io::Result<Result<Self, Bad>> {
        let mut sector = [0; SECTOR];
        if len < SECTOR_LEN {
            return Ok(Err(format!(
                "expected a FAT file system, found {len} bytes"
            )));
        }
        bytes.read_at(&mut sector, 0)?;
        let shape = match Shape::parse(&sector, len) {
            Ok(shape) => shape,
            Err(bad) => return Ok(Err(bad)),
        };
        let mut table = Table {
            kind: shape.kind,
            clusters: shape.clusters,
            bytes: vec![0; usize::try_from(shape.table.end - shape.table.start).unwrap_or(0)],
        };
        bytes.read_at(&mut table.bytes, shape.table.start)?;
        let mut root = Vec::new();
        let mut regions = vec![shape.root.clone()];
        if shape.kind == Kind::Fat32 {
            root = match table.chain(shape.root_cluster) {
                Ok(chain) => chain,
                Err(bad) => return Ok(Err(format!("the root directory: {bad}"))),
            };
            regions = root.iter().filter_map(|&n| shape.bytes_of(n)).collect();
        }
        let slots = read_slots(bytes, regions)?;
        Ok(slots.map(|slots| Volume {
            shape,
            table,
            slots,
            root,
        }))
    }

    /// The file of this name, if there is one, with its clusters found sound.
    pub(super) fn find(&self, name: Name) -> Result<Option<Entry>, Bad> {
        let Some((at, slot)) = self.named(&name.in_slot()) else {
            return Ok(None);
        };
        if slot.is_directory() {
            return Err("expected a file, found a directory".to_owned());
        }
        let chain = match slot.first_cluster(self.shape.kind) {
            0 => Vec::new(),
            first => self.table.chain(first)?,
        };
        let room = chain.len() as u64 * self.shape.cluster_len;
        if u64::from(slot.size()) > room {
            return Err(format!(
                "expected {} bytes, found room for {room}",
                slot.size()
            ));
        }
        self.alone(&chain, at)?;
        Ok(Some(Entry { at, slot, chain }))
    }

    /// The entry of this name in 8.3, and where it is.
    pub(super) fn named(&self, name: &[u8; 11]) -> Option<(u64, Slot)> {
        let mut named = self.slots.iter().filter(|(_, slot)| slot.is_named());
        let found = named.find(|(_, slot)| slot.name() == *name);
        found.map(|(&at, &slot)| (at, slot))
    }

    /// Whether nothing else leads to one of these clusters.
    fn alone(&self, chain: &[u32], own: u64) -> Result<(), Bad> {
        let mut places = BTreeMap::new();
        for (place, &cluster) in chain.iter().enumerate() {
            places.insert(cluster, place);
        }
        let crossed = |n: u32| Err(format!("its cluster {n} belongs to something else as well"));
        if places.len() != chain.len() {
            return Err("its clusters come to no end".to_owned());
        }
        for from in self.table.numbers() {
            if let Link::Next(to) = self.table.link(from)
                && let Some(&place) = places.get(&to)
                && place.checked_sub(1).and_then(|p| chain.get(p)) != Some(&from)
            {
                return crossed(to);
            }
        }
        let others = self
            .slots
            .iter()
            .filter(|&(&at, slot)| at != own && slot.is_named());
        let mut firsts = others.map(|(_, slot)| slot.first_cluster(self.shape.kind));
        match firsts.find(|first| places.contains_key(first)).or_else(|| {
            let root = self.root.iter().copied();
            root.into_iter().find(|n| places.contains_key(n))
        }) {
            Some(n) => crossed(n),
            None => Ok(()),
        }
    }

    /// Whether the root directory has room for one more entry.
    pub(super) fn has_free_slot(&self) -> bool {
        self.slots.values().any(Slot::is_free)
    }
}

/// The entries in these regions. Behind the one that ends the list, all are free.
fn read_slots(bytes: &impl Bytes, regions: Vec<Range<u64>>) -> io::Result<Result<Slots, Bad>> {
    let mut slots = Slots::new();
    let mut ended = false;
    for region in regions {
        let mut buffer = vec![0; usize::try_from(region.end - region.start).unwrap_or(0)];
        bytes.read_at(&mut buffer, region.start)?;
        for (number, slot) in buffer.chunks_exact(SLOT).enumerate() {
            let mut slot = Slot(<[u8; SLOT]>::try_from(slot).unwrap_or([0; SLOT]));
            ended |= slot.is_end();
            if ended {
                slot.0[0] = 0;
            }
            slots.insert(region.start + number as u64 * SLOT_LEN, slot);
        }
        if slots.len() > SLOTS_MAX {
            return Ok(Err(
                "the root directory has more entries than it may".to_owned()
            ));
        }
    }
    Ok(Ok(slots))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAT{}", self.bits())
    }
}
