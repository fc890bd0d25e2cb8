//! Blocks made ready for the log.

use venticore::codec::score::Score;

/// Stored as it is.
pub(super) const STORED: u8 = 1;
/// Compressed with whack.
pub(super) const WHACK: u8 = 2;

/// What a clump will hold: the fields of its header and its data.
///
/// The fields are open so that a test can make them wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The type number on disk.
    pub block_type: u8,
    /// The score of the data before compression.
    pub score: Score,
    /// 1: stored as it is; 2: compressed.
    pub encoding: u8,
    /// The size before compression.
    pub size: u16,
    /// The bytes to store.
    pub bytes: Vec<u8>,
}

impl Block {
    /// A block compressed when that makes it shorter, else as it is.
    ///
    /// # Panics
    ///
    /// When `data` is longer than a clump can say, 65535 bytes.
    #[must_use]
    pub fn pack(block_type: u8, data: &[u8]) -> Self {
        match plan9whack::whack::whackblock(data) {
            Some(bytes) if bytes.len() < data.len() => Block {
                encoding: WHACK,
                bytes,
                ..Self::stored(block_type, data)
            },
            _ => Self::stored(block_type, data),
        }
    }

    /// A block as it is, not compressed.
    ///
    /// # Panics
    ///
    /// When `data` is longer than a clump can say, 65535 bytes.
    #[must_use]
    pub fn stored(block_type: u8, data: &[u8]) -> Self {
        Block {
            block_type,
            score: Score::of(data),
            encoding: STORED,
            size: u16::try_from(data.len()).expect("a block is at most 65535 bytes"),
            bytes: data.to_vec(),
        }
    }

    /// Packs many blocks on two threads, in order.
    #[must_use]
    pub fn pack_all(blocks: &[(u8, Vec<u8>)]) -> Vec<Self> {
        let pack = |blocks: &[(u8, Vec<u8>)]| -> Vec<Self> {
            blocks
                .iter()
                .map(|(t, data)| Self::pack(*t, data))
                .collect()
        };
        let (first, second) = blocks.split_at(blocks.len() / 2);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| pack(first));
            let second = pack(second);
            let mut packed = first.join().expect("packing does not panic");
            packed.extend(second);
            packed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_packed_together_are_those_packed_alone() {
        let blocks: Vec<(u8, Vec<u8>)> = (1..8).map(|n| (n, vec![n; usize::from(n) * 9])).collect();
        let alone: Vec<Block> = blocks.iter().map(|(t, d)| Block::pack(*t, d)).collect();
        assert_eq!(Block::pack_all(&blocks), alone);
        assert_eq!(alone[6].encoding, WHACK);
        assert_eq!(Block::pack(13, b"ab").encoding, STORED);
    }
}
