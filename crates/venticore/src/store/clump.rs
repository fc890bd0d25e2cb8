//! Reading clumps by address, and finding a copy of a block that is whole.

use std::io;

use super::{Refusal, Store};
use crate::codec::arena::clump::{ClumpError, ClumpHeader, HEADER_LEN};
use crate::codec::score::Score;

/// So much is read with a header, in the hope that it is the whole clump.
const AHEAD: usize = HEADER_LEN + 8192;

/// Damaged clumps that the operator is told of. Where there are more it is the disk.
const NAMED: usize = 100;

/// Why a clump cannot be had.
pub(super) enum ClumpFault {
    Read(io::Error),
    Clump(ClumpError),
}

impl From<io::Error> for ClumpFault {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<ClumpError> for ClumpFault {
    fn from(error: ClumpError) -> Self {
        Self::Clump(error)
    }
}

/// A clump, and maybe some of what follows it.
struct Clump {
    header: ClumpHeader,
    bytes: Vec<u8>,
}

impl Clump {
    /// What stands after the header.
    fn stored(&self) -> &[u8] {
        let end = HEADER_LEN + usize::from(self.header.size);
        self.bytes.get(HEADER_LEN..end).unwrap_or_default()
    }
}

impl Store {
    /// The block, from the newest copy that hashes to its score. None where no clump has it.
    ///
    /// # Errors
    /// There are copies, and none is whole.
    pub(super) fn whole(&self, score: &Score, disk_type: u8) -> Result<Option<Vec<u8>>, Refusal> {
        let mut fault = None;
        for address in self.index.find(self.index.hash(score, disk_type)) {
            match self.block(address, score, disk_type) {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {}
                Err(found) => fault = fault.or(Some((address, found))),
            }
        }
        match fault {
            Some((address, fault)) => Err(self.damaged(address, score, &fault)),
            None => Ok(None),
        }
    }

    /// Whether a copy of this very block is there. One that is damaged does not count.
    ///
    /// # Errors
    /// Another block has its score.
    pub(super) fn is_there(
        &self,
        score: &Score,
        disk_type: u8,
        block: &[u8],
    ) -> Result<bool, Refusal> {
        for address in self.index.find(self.index.hash(score, disk_type)) {
            match self.holds(address, score, disk_type, block) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(ClumpFault::Clump(ClumpError::WrongScore(found))) if found == *score => {
                    return Err(Refusal::Collision(*score));
                }
                Err(fault) => drop(self.damaged(address, score, &fault)),
            }
        }
        Ok(false)
    }

    /// Whether the clump at an address holds this very block. False where it is of another
    /// block. The copy is read, and compared, not hashed: the score is the block's own. What
    /// is compressed is decoded, unless both are as they were when that was last found right.
    fn holds(
        &self,
        address: u64,
        score: &Score,
        disk_type: u8,
        block: &[u8],
    ) -> Result<bool, ClumpFault> {
        let Some(clump) = self.clump(address, score, disk_type)? else {
            return Ok(false);
        };
        let (header, stored) = (&clump.header, clump.stored());
        let sum = self.proven.sum(header, stored, block);
        if sum.is_some_and(|sum| self.proven.is_noted(address, sum)) {
            return Ok(true);
        }
        let mut room = vec![0; header.uncompressed.into()];
        let found = header.unpack(stored, &mut room)?;
        if found != block {
            return Err(ClumpError::WrongScore(Score::of(found)).into());
        }
        self.proven.note(address, sum);
        Ok(true)
    }

    /// The block of the clump at an address; none where it is of another block.
    fn block(
        &self,
        address: u64,
        score: &Score,
        disk_type: u8,
    ) -> Result<Option<Vec<u8>>, ClumpFault> {
        let Some(clump) = self.clump(address, score, disk_type)? else {
            return Ok(None);
        };
        let (header, stored) = (&clump.header, clump.stored());
        let block = match &self.cache {
            Some(cache) => cache.block(address, header, stored, &self.proven)?,
            None => header.block(stored)?.into_owned(),
        };
        Ok(Some(block))
    }

    /// The clump at an address; none where it is of another block.
    fn clump(
        &self,
        address: u64,
        score: &Score,
        disk_type: u8,
    ) -> Result<Option<Clump>, ClumpFault> {
        let (place, disk, at) = self.ground.locate(address)?;
        let left = usize::try_from(place.size - at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; AHEAD.min(left)];
        if disk.read_at(&mut bytes, place.base() + at).is_err() {
            // What cannot be read may lie behind the clump.
            bytes.resize(HEADER_LEN, 0);
            disk.read_at(&mut bytes, place.base() + at)?;
        }
        let header = ClumpHeader::parse(&bytes, place.clump_magic)?;
        if header.score != *score || header.disk_type != disk_type {
            return Ok(None);
        }
        let end = HEADER_LEN + usize::from(header.size);
        if end > left {
            return Err(ClumpError::Cut.into());
        }
        let have = bytes.len();
        if have < end {
            bytes.resize(end, 0);
            let rest = bytes.get_mut(have..).unwrap_or_default();
            disk.read_at(rest, place.base() + at + have as u64)?;
        }
        Ok(Some(Clump { header, bytes }))
    }

    /// What a client is told of a clump that is not whole, which is then decoded before it is
    /// believed again. The operator is told once.
    pub(super) fn damaged(&self, address: u64, score: &Score, fault: &ClumpFault) -> Refusal {
        let (name, at) = match self.ground.locate(address) {
            Ok((place, _, at)) => (place.name.to_string(), at),
            Err(_) => (String::new(), address),
        };
        let text = match fault {
            ClumpFault::Clump(ClumpError::WrongScore(found)) => {
                format!("loading clump: corrupted at {name} {at}; expected={score} got={found}")
            }
            ClumpFault::Clump(error @ (ClumpError::Whack(_) | ClumpError::Short { .. })) => {
                format!("decompression of {at} in {name} failed: {error}")
            }
            ClumpFault::Clump(error) => format!("loadclump {name} {at}: {error}"),
            ClumpFault::Read(error) => format!("loadclump {name} {at}: {error}"),
        };
        self.proven.forget(address);
        let number = self.tally.damaged(address).unwrap_or(usize::MAX);
        if number <= NAMED {
            // Without the score, which is a key.
            (self.settings.say)(&match fault {
                ClumpFault::Read(error) => {
                    format!("arena {name}: the clump at {at} cannot be read: {error}")
                }
                ClumpFault::Clump(_) => format!("arena {name}: the clump at {at} is damaged"),
            });
        }
        if number == NAMED {
            (self.settings.say)("further damaged clumps are counted, and not named");
        }
        Refusal::Damaged(text)
    }
}
