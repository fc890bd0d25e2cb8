//! Making clumps of blocks.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Refusal;
use super::ledger::Packed;
use crate::codec::arena::clump::{ClumpHeader, Encoding};
use crate::codec::score::Score;
use crate::codec::whack::Compressor;

/// What packs a block.
#[derive(Default)]
pub(super) struct Packer {
    compressor: Compressor,
    /// What came out of it last.
    compressed: Vec<u8>,
}

impl Packer {
    /// The clump of a block: compressed, where that makes it smaller.
    pub(super) fn pack<'a>(
        &'a mut self,
        disk_type: u8,
        score: Score,
        block: &'a [u8],
    ) -> Result<Packed<'a>, Refusal> {
        if self.compressed.len() < block.len() {
            self.compressed.resize(block.len(), 0);
        }
        let shorter = self.compressor.compress(block, &mut self.compressed);
        let compressed = shorter.and_then(|len| self.compressed.get(..len));
        let stored = compressed.unwrap_or(block);
        let size = |bytes: &[u8]| u16::try_from(bytes.len()).map_err(|_| Refusal::TooLarge);
        let header = ClumpHeader {
            disk_type,
            size: size(stored)?,
            uncompressed: size(block)?,
            score,
            encoding: match compressed {
                Some(_) => Encoding::Whack,
                None => Encoding::Plain,
            },
            creator: 0,
            time: now(),
        };
        Ok(Packed { header, stored })
    }
}

/// Seconds since 1970.
fn now() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
