//! The entries of a root directory.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::{Bad, Bytes, Kind};

/// Bytes in an entry of a directory.
const SLOT: usize = 32;
pub(super) const SLOT_LEN: u64 = SLOT as u64;

/// The most entries in a root directory, as in FAT12 and FAT16.
const SLOTS_MAX: usize = 65_536;

/// An entry of the root directory, with 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) [u8; SLOT]);

impl Slot {
    const LABEL: u8 = 0x08;
    const DIRECTORY: u8 = 0x10;

    /// True where a new entry may be put.
    pub(crate) fn is_free(&self) -> bool {
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
    pub(super) fn is_named(&self) -> bool {
        !self.is_free() && self.attributes() & Self::LABEL == 0
    }

    #[cfg(test)]
    pub(crate) fn is_long_name(&self) -> bool {
        !self.is_free() && self.attributes() & 0x0f == 0x0f
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.attributes() & Self::DIRECTORY != 0
    }

    /// The name, in 8.3 without the dot.
    pub(super) fn name(&self) -> [u8; 11] {
        self.field(0)
    }

    pub(crate) fn first_cluster(&self, kind: Kind) -> u32 {
        let high = match kind {
            Kind::Fat32 => u16::from_le_bytes(self.field(20)),
            _ => 0,
        };
        u32::from(high) << 16 | u32::from(u16::from_le_bytes(self.field(26)))
    }

    pub(crate) fn size(&self) -> u32 {
        u32::from_le_bytes(self.field(28))
    }

    /// This entry with the place, the length and the time of another.
    pub(crate) fn with_contents_of(&self, other: &Slot) -> Slot {
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
pub(crate) type Slots = BTreeMap<u64, Slot>;

/// The entries in these regions. Behind the one that ends the list, all are free.
pub(super) fn read_slots(
    bytes: &impl Bytes,
    regions: Vec<Range<u64>>,
) -> io::Result<Result<Slots, Bad>> {
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
