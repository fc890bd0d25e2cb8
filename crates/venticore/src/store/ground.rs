//! The disks of a store and where the arenas lie on them: what an address leads to.

use std::io;
use std::sync::Arc;

use super::Disk;
use super::clump::ClumpFault;
use super::place::Place;
use crate::codec::arena::clump::{ClumpHeader, HEADER_LEN};
use crate::codec::score::Score;

/// See the module.
pub(super) struct Ground {
    pub(super) disks: Vec<Arc<dyn Disk>>,
    /// In the order of their addresses.
    pub(super) places: Vec<Place>,
}

impl Ground {
    /// An arena, and its disk.
    pub(super) fn arena(&self, number: usize) -> Option<(&Place, &Arc<dyn Disk>)> {
        let place = self.places.get(number)?;
        Some((place, self.disks.get(place.disk)?))
    }

    /// Where an address lies: its arena, its disk, and the offset in the data section.
    pub(super) fn locate(&self, address: u64) -> io::Result<(&Place, &Arc<dyn Disk>, u64)> {
        let after = self
            .places
            .partition_point(|place| place.address <= address);
        let arena = after.checked_sub(1).and_then(|number| self.arena(number));
        let (place, disk) = arena.ok_or(io::ErrorKind::NotFound)?;
        let at = address - place.address;
        match at < place.size {
            true => Ok((place, disk, at)),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The header of the clump at an address.
    pub(super) fn header(&self, address: u64) -> Result<ClumpHeader, ClumpFault> {
        let (place, disk, at) = self.locate(address)?;
        let mut bytes = [0; HEADER_LEN];
        disk.read_at(&mut bytes, place.base() + at)?;
        Ok(ClumpHeader::parse(&bytes, place.clump_magic)?)
    }

    /// Whether the clump at an address is of this block, by its header.
    pub(super) fn is_of(&self, address: u64, score: &Score, disk_type: u8) -> bool {
        let same = |header: ClumpHeader| header.score == *score && header.disk_type == disk_type;
        self.header(address).is_ok_and(same)
    }
}
