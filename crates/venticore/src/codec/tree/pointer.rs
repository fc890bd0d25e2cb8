//! Pointer blocks, and how blocks are cut and extended (venti.md 8.3).

use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;

/// The scores in a pointer block. A part of a score at its end is left out.
pub fn scores(block: &[u8]) -> impl Iterator<Item = Score> + '_ {
    let (scores, _) = block.as_chunks();
    scores.iter().copied().map(Score::from_bytes)
}

/// A block as it is stored: without the zeros, or zero scores, at its end.
/// Root blocks are not cut.
#[must_use]
pub fn truncated(ty: BlockType, block: &[u8]) -> &[u8] {
    let end = match ty {
        BlockType::Root => block.len(),
        BlockType::Dir | BlockType::Data => {
            let last = block.iter().rposition(|&byte| byte != 0);
            last.map_or(0, |at| at + 1)
        }
        BlockType::Pointer(_) => {
            let whole = block.len() / Score::LEN * Score::LEN;
            let mut end = whole;
            while let Some(from) = end.checked_sub(Score::LEN)
                && block.get(from..end) == Some(Score::ZERO.as_bytes())
            {
                end = from;
            }
            // What is no whole score is kept unless there is nothing in it.
            let rest = block.get(whole..).unwrap_or_default();
            if rest.iter().any(|&byte| byte != 0) {
                block.len()
            } else {
                end
            }
        }
    };
    block.get(..end).unwrap_or(block)
}

/// A block that was cut, `len` bytes long again: zero scores are put behind a
/// pointer block, zeros behind all others. A longer one stays as it is.
#[must_use]
pub fn extended(ty: BlockType, block: &[u8], len: usize) -> Vec<u8> {
    let mut whole = block.to_vec();
    if matches!(ty, BlockType::Pointer(_)) {
        let start = block.len().div_ceil(Score::LEN) * Score::LEN;
        if start <= len {
            whole.resize(start, 0);
        }
        while whole.len() + Score::LEN <= len {
            whole.extend(Score::ZERO.as_bytes());
        }
    }
    let len = len.max(whole.len());
    whole.resize(len, 0);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POINTER: BlockType = BlockType::Pointer(1);

    #[test]
    fn zeros_are_cut_off_data_and_zero_scores_off_pointers() {
        assert_eq!(truncated(BlockType::Data, &[1, 0, 2, 0, 0]), [1, 0, 2]);
        assert_eq!(truncated(BlockType::Dir, &[0; 9]), [0; 0]);
        assert_eq!(truncated(BlockType::Root, &[0; 9]), [0; 9]);
        let one = Score::of(b"one");
        let block = [
            *one.as_bytes(),
            *Score::ZERO.as_bytes(),
            *Score::ZERO.as_bytes(),
        ]
        .concat();
        assert_eq!(truncated(POINTER, &block), one.as_bytes());
        assert_eq!(truncated(POINTER, &block[20..]), [0; 0]);
        // Zeros are not the zero score.
        assert_eq!(truncated(POINTER, &[0; 40]), [0; 40]);
    }

    #[test]
    fn zero_scores_are_put_behind_pointers_and_zeros_where_none_fits() {
        let one = Score::of(b"one");
        let block = extended(POINTER, one.as_bytes(), 50);
        assert_eq!(block[..20], *one.as_bytes());
        assert_eq!(block[20..40], *Score::ZERO.as_bytes());
        assert_eq!(block[40..], [0; 10]);
        assert_eq!(extended(BlockType::Data, &[1], 3), [1, 0, 0]);
        assert_eq!(extended(BlockType::Data, &[1, 2], 1), [1, 2]);
        assert_eq!(scores(&block).collect::<Vec<_>>(), [one, Score::ZERO]);
    }

    proptest! {
        #[test]
        fn what_is_cut_is_extended(data: Vec<u8>, zeros in 0usize..60) {
            let mut block = data;
            block.resize(block.len() + zeros, 0);
            let cut = truncated(BlockType::Data, &block);
            prop_assert!(cut.last() != Some(&0));
            prop_assert_eq!(extended(BlockType::Data, cut, block.len()), block);
        }

        #[test]
        fn pointers_are_extended(all in prop::collection::vec(any::<[u8; 20]>(), 0..9), empty in 0usize..5, tail in 0usize..20) {
            let mut block = all.concat();
            (0..empty).for_each(|_| block.extend(Score::ZERO.as_bytes()));
            block.resize(block.len() + tail, 0);
            let cut = truncated(POINTER, &block);
            prop_assert_eq!(extended(POINTER, cut, block.len()), block);
        }
    }
}
