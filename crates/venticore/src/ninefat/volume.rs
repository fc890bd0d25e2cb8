//! The layout of a FAT file system, read without changing anything: boot
//! sector, allocation table, and the entries of the root directory.
//!
//! The changes are made by the crate `fatfs`, in memory; this is what they are
//! held against, so it shares nothing with it.

mod boot;
mod kind;
mod shape;
mod slot;
mod table;

use std::collections::BTreeMap;
use std::io;

pub(super) use kind::Kind;
pub(super) use shape::Shape;
pub(super) use slot::{Slot, Slots};
pub(super) use table::{Link, Table};

use super::Name;
use slot::read_slots;

/// Bytes that a disk writes as one.
pub(super) const SECTOR: usize = 512;
pub(super) const SECTOR_LEN: u64 = SECTOR as u64;

/// The first two entries of the table stand for no cluster.
const RESERVED: u32 = 2;

/// What is wrong with a file system, as text: it is only said.
pub(super) type Bad = String;

/// Something with bytes at offsets.
pub(super) trait Bytes {
    /// Fills `buf` from the bytes at `offset`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

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
        let table = Table::read(bytes, &shape)?;
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
