//! A FAT file system, only ever read: where everything is, a file of its root
//! directory, and whether a change was a change to that file alone.
//!
//! mtools makes the changes. This is what they are held against, so it shares
//! nothing with mtools.

mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::host::partition::Partition;
pub(super) use shape::Shape;
use shape::{RESERVED, ROOT_CLUSTER};

/// Bytes that a disk writes as one.
pub(super) const SECTOR: usize = 512;
pub(super) const SECTOR_LEN: u64 = SECTOR as u64;

/// The most entries of a root directory, as in FAT12 and FAT16.
const SLOTS_MAX: usize = 65_536;

/// What is wrong with a file system, as text: it is only said.
pub(super) type Bad = String;

/// Sectors of a file system, by their number in it.
pub(super) type Sectors = BTreeMap<u64, [u8; SECTOR]>;

/// Something with bytes at offsets.
pub(super) trait Bytes {
    /// Fills `buf` from the bytes at `offset`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Bytes for Partition {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Partition::read_at(self, buf, offset)
    }
}

impl Bytes for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }
}

/// Everything about a file system but the contents of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fat {
    pub(super) shape: Shape,
    table: Vec<u8>,
    /// The entries of the root directory, up to its end.
    slots: Vec<DirectorySlot>,
    /// How many more of them there is room for.
    room: usize,
    /// The clusters of the root directory, in FAT32.
    root: Vec<u32>,
}

/// A file of the root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RootFile {
    /// Its bytes.
    pub(super) size: u64,
    chain: Vec<u32>,
}

/// An entry of a directory, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DirectorySlot {
    at: u64,
    bytes: [u8; 32],
}

impl DirectorySlot {
    const LABEL: u8 = 0x08;
    const DIRECTORY: u8 = 0x10;
    const LONG: u8 = 0x0f;

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn word(&self, at: usize) -> u32 {
        u32::from(self.byte(at)) | u32::from(self.byte(at + 1)) << 8
    }

    fn is_free(&self) -> bool {
        self.byte(0) == 0xe5
    }

    /// True for a part of a long name, which stands before the entry that has it.
    fn is_long(&self) -> bool {
        self.byte(11) & 0x3f == Self::LONG
    }

    fn is_named(&self, name: &str) -> bool {
        let is_label = self.byte(11) & Self::LABEL != 0;
        let padded = format!("{name:<11}");
        !is_label && self.bytes.starts_with(padded.as_bytes())
    }

    fn first_cluster(&self, bits: u32) -> u32 {
        let high = if bits == 32 { self.word(20) } else { 0 };
        high << 16 | self.word(26)
    }
}

/// What an entry of the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Free,
    /// The file goes on in this cluster.
    Next(u32),
    /// The file ends here.
    End,
    /// A bad cluster, or a number that is none.
    Other,
}

impl Fat {
    /// Reads the file system that begins `bytes`, of which there are `len`.
    pub(super) fn read(bytes: &impl Bytes, len: u64) -> Result<Self, Bad> {
        let shape = Shape::read(bytes, len)?;
        let [first, _] = &shape.tables;
        let table = read(bytes, first.start, first.end - first.start)?;
        let mut fat = Fat {
            shape,
            table,
            slots: Vec::new(),
            room: 0,
            root: Vec::new(),
        };
        let mut regions = vec![fat.shape.root.clone()];
        if fat.shape.bits == 32 {
            fat.root = fat
                .chain(ROOT_CLUSTER)
                .map_err(|bad| format!("the root directory: {bad}"))?;
            regions = fat
                .root
                .iter()
                .filter_map(|&n| fat.shape.bytes_of(n))
                .collect();
        }
        let mut ended = false;
        for region in regions {
            let all = read(bytes, region.start, region.end - region.start)?;
            for (at, slot) in (region.start..).step_by(32).zip(all.chunks_exact(32)) {
                let slot = DirectorySlot {
                    at,
                    bytes: slot.try_into().unwrap_or([0; 32]),
                };
                ended |= slot.byte(0) == 0;
                fat.room += usize::from(ended || slot.is_free());
                if !ended {
                    fat.slots.push(slot);
                }
            }
            if fat.slots.len() > SLOTS_MAX {
                return Err("the root directory has more entries than it may".to_owned());
            }
        }
        Ok(fat)
    }

    /// The file of this name, if there is one, with its clusters found sound.
    pub(super) fn find(&self, name: &str) -> Result<Option<RootFile>, Bad> {
        let mut named = self.slots.iter().filter(|slot| slot.is_named(name));
        let Some(slot) = named.next() else {
            return Ok(None);
        };
        if named.next().is_some() || slot.byte(11) & DirectorySlot::DIRECTORY != 0 {
            return Err(format!(
                "{name}: expected one file, found two or a directory"
            ));
        }
        let chain = match slot.first_cluster(self.shape.bits) {
            0 => Vec::new(),
            first => self.chain(first).map_err(|bad| format!("{name}: {bad}"))?,
        };
        let size = u64::from(slot.word(28) | slot.word(30) << 16);
        let clusters = size.div_ceil(self.shape.cluster);
        // Plan 9 may have given it more.
        if (chain.len() as u64) < clusters {
            let found = chain.len();
            return Err(format!(
                "{name}: expected {clusters} clusters for {size} bytes, found {found}"
            ));
        }
        self.check_alone(&chain, name)
            .map_err(|bad| format!("{name}: {bad}"))?;
        Ok(Some(RootFile { size, chain }))
    }

    /// The bytes of a file.
    pub(super) fn contents(&self, bytes: &impl Bytes, entry: &RootFile) -> Result<Vec<u8>, Bad> {
        let mut contents = Vec::new();
        for range in entry.chain.iter().filter_map(|&n| self.shape.bytes_of(n)) {
            let left = entry.size - contents.len() as u64;
            contents.extend(read(bytes, range.start, left.min(self.shape.cluster))?);
        }
        Ok(contents)
    }

    /// Whether a file of this name has room for `bytes` bytes.
    pub(super) fn check_room(&self, name: &str, bytes: u64) -> Result<(), Bad> {
        let old = self.find(name)?;
        let is_free = |&n: &u32| self.link(n) == Link::Free;
        let own = old.as_ref().map_or(0, |entry| entry.chain.len());
        let clusters = self.shape.numbers().filter(is_free).count() + own;
        let free = clusters as u64 * self.shape.cluster;
        if bytes > free {
            return Err(format!(
                "{name}: no room: {bytes} bytes are needed, {free} are free"
            ));
        }
        // A FAT32 root directory grows.
        if old.is_none() && self.room == 0 && self.shape.bits != 32 {
            return Err(format!(
                "{name}: no room for another name in the root directory"
            ));
        }
        Ok(())
    }

    /// Whether `after`, in `bytes`, is this file system with these `contents` in
    /// the file of this name, and nothing but that; `changed` are the sectors that differ.
    pub(super) fn check_only(
        &self,
        name: &str,
        contents: &[u8],
        after: &Fat,
        bytes: &impl Bytes,
        changed: &Sectors,
    ) -> Result<(), Bad> {
        if after.shape != self.shape {
            return Err("the form of the file system would change".to_owned());
        }
        let entry = after
            .find(name)?
            .ok_or_else(|| format!("{name}: would not be there"))?;
        let clusters = entry.size.div_ceil(self.shape.cluster);
        if after.contents(bytes, &entry)? != contents || entry.chain.len() as u64 != clusters {
            return Err(format!("{name}: would have other contents"));
        }
        if self.others(name) != after.others(name) {
            return Err("the entry of another file would change".to_owned());
        }
        let own = self.find(name)?.map(|old| old.chain).unwrap_or_default();
        let own: BTreeSet<u32> = own.into_iter().collect();
        self.check_table(&own, &entry, after)?;
        changed.iter().try_for_each(|(&number, sector)| {
            let at = number * SECTOR_LEN;
            let sound = self.may_change(at, sector, &own, after, bytes)?;
            sound
                .then_some(())
                .ok_or_else(|| format!("the sector at {at} of another file would change"))
        })
    }

    /// In the table, only free clusters and the file's clusters change, and those that
    /// are taken afterwards are the file's.
    fn check_table(&self, own: &BTreeSet<u32>, entry: &RootFile, after: &Fat) -> Result<(), Bad> {
        let new: BTreeSet<u32> = entry.chain.iter().chain(&after.root).copied().collect();
        // Where a root directory of FAT32 grows, its end moves.
        let joint = self
            .root
            .last()
            .filter(|_| after.root.len() > self.root.len());
        for n in 0..self.shape.numbers().end {
            let free = n >= RESERVED && self.link(n) == Link::Free;
            let ours = free || own.contains(&n);
            if self.number(n) != after.number(n) && !ours && joint != Some(&n) {
                return Err(format!("cluster {n} of another file would change"));
            }
            if ours && after.link(n) != Link::Free && !new.contains(&n) {
                return Err(format!("cluster {n} would be lost"));
            }
        }
        Ok(())
    }

    /// Whether a sector may be changed by a change to the file that has the clusters
    /// `own`. What stands in tables and root directory is compared apart from this.
    fn may_change(
        &self,
        at: u64,
        sector: &[u8; SECTOR],
        own: &BTreeSet<u32>,
        after: &Fat,
        bytes: &impl Bytes,
    ) -> Result<bool, Bad> {
        let [first, second] = &self.shape.tables;
        if first.contains(&at) || self.shape.root.contains(&at) {
            return Ok(true);
        }
        if second.contains(&at) {
            let twin = read(bytes, at - second.start + first.start, SECTOR_LEN)?;
            return Ok(twin == sector);
        }
        if self.shape.info == Some(at) {
            // The count of free clusters, and where to look for one.
            let before = read(bytes, at, SECTOR_LEN)?;
            let but =
                |all: &[u8]| [all.get(..488), all.get(496..)].map(|part| part.map(<[u8]>::to_vec));
            return Ok(but(&before) == but(sector));
        }
        let cluster = self.shape.cluster_at(at);
        Ok(cluster.is_some_and(|n| {
            self.link(n) == Link::Free || own.contains(&n) || after.root.contains(&n)
        }))
    }

    /// The entries of all other files, with their long names.
    fn others(&self, name: &str) -> Vec<DirectorySlot> {
        let (mut others, mut long) = (Vec::new(), Vec::new());
        for &slot in &self.slots {
            match slot {
                slot if slot.is_free() => others.append(&mut long),
                slot if slot.is_long() => long.push(slot),
                slot if slot.is_named(name) => long.clear(),
                slot => {
                    others.append(&mut long);
                    others.push(slot);
                }
            }
        }
        others.append(&mut long);
        others
    }

    /// Whether nothing else in the table or the root directory leads to one of these clusters.
    fn check_alone(&self, chain: &[u32], name: &str) -> Result<(), Bad> {
        let own: BTreeSet<u32> = chain.iter().copied().collect();
        let crossed = |n: u32| format!("its cluster {n} belongs to something else as well");
        if own.len() != chain.len() {
            return Err("its cluster chain loops".to_owned());
        }
        for from in self.shape.numbers().filter(|n| !own.contains(n)) {
            if let Link::Next(to) = self.link(from)
                && own.contains(&to)
            {
                return Err(crossed(to));
            }
        }
        for slot in self.others(name).iter().filter(|slot| !slot.is_long()) {
            let first = slot.first_cluster(self.shape.bits);
            if own.contains(&first) {
                return Err(crossed(first));
            }
        }
        match self.root.iter().find(|n| own.contains(n)) {
            Some(&n) => Err(crossed(n)),
            None => Ok(()),
        }
    }

    /// The clusters of a file, from its first one on.
    fn chain(&self, first: u32) -> Result<Vec<u32>, Bad> {
        let mut chain = Vec::new();
        let mut at = first;
        while chain.len() < self.shape.numbers().len() && self.shape.numbers().contains(&at) {
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
        Err(format!("its cluster chain loops from {first} on"))
    }

    fn link(&self, cluster: u32) -> Link {
        let end = match self.shape.bits {
            12 => 0xff8,
            16 => 0xfff8,
            _ => 0x0fff_fff8,
        };
        match self.number(cluster) {
            0 => Link::Free,
            n if n >= end => Link::End,
            n if self.shape.numbers().contains(&n) => Link::Next(n),
            _ => Link::Other,
        }
    }

    /// The number as it stands in the table.
    fn number(&self, cluster: u32) -> u32 {
        let bit = usize::try_from(cluster * self.shape.bits / 4).unwrap_or(usize::MAX);
        let byte = |at: usize| u32::from(self.table.get(bit / 2 + at).copied().unwrap_or(0));
        let pair = byte(0) | byte(1) << 8;
        match self.shape.bits {
            12 if bit % 2 == 1 => pair >> 4,
            12 => pair & 0xfff,
            16 => pair,
            _ => (pair | byte(2) << 16 | byte(3) << 24) & 0x0fff_ffff,
        }
    }
}

fn read(bytes: &impl Bytes, at: u64, len: u64) -> Result<Vec<u8>, Bad> {
    let mut all = vec![0; usize::try_from(len).unwrap_or(0)];
    bytes.read_at(&mut all, at).map_err(|e| e.to_string())?;
    Ok(all)
}

#[cfg(test)]
mod tests;
