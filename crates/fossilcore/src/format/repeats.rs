//! Bytes with what repeats after 14 of them left out. They are labels: the
//! labels of one file are all the same, and shrink to what differs.
//!
//! The form: how many bytes follow (u16), how many after them repeat those 14
//! before (u16), the bytes that follow; this over and over. That takes a
//! fraction of the time of general compression, so that a format is not slowed
//! by what it keeps.

use crate::disk::Label;

/// How far back repeats are looked for.
const BACK: usize = Label::LEN;

/// The least that is worth leaving out: each repeat costs four bytes.
const WORTH: usize = 6;

/// The most bytes of either kind at a time.
const MOST: usize = u16::MAX as usize;

/// What is compared at a time.
const STEP: usize = 64;

/// Packs some bytes.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() / 8);
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        let same = repeats(bytes, at).min(MOST);
        let end = at + same == bytes.len();
        if same < WORTH && !(end && same > 0) && at - start < MOST {
            at += 1;
            continue;
        }
        put(&mut packed, bytes.get(start..at).unwrap_or_default(), same);
        at += same;
        start = at;
    }
    if start < at {
        put(&mut packed, bytes.get(start..at).unwrap_or_default(), 0);
    }
    packed
}

fn put(packed: &mut Vec<u8>, bytes: &[u8], same: usize) {
    for count in [bytes.len(), same] {
        packed.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    }
    packed.extend(bytes);
}

/// How many bytes from here on are those 14 before.
fn repeats(bytes: &[u8], at: usize) -> usize {
    let before = at.checked_sub(BACK).and_then(|from| bytes.get(from..));
    let (Some(before), Some(here)) = (before, bytes.get(at..)) else {
        return 0;
    };
    let steps = here.chunks_exact(STEP).zip(before.chunks_exact(STEP));
    let whole = steps.take_while(|(here, before)| here == before).count() * STEP;
    let rest = here.iter().zip(before).skip(whole);
    whole + rest.take_while(|(here, before)| here == before).count()
}

/// Unpacks what makes `len` bytes; `None` where it does not.
pub(super) fn unpack(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while let Some((counts, rest)) = packed.split_first_chunk::<4>() {
        let count = usize::from(u16::from_be_bytes([counts[0], counts[1]]));
        let same = usize::from(u16::from_be_bytes([counts[2], counts[3]]));
        let (plain, rest) = rest.split_at_checked(count)?;
        packed = rest;
        if bytes.len() + count + same > len {
            return None;
        }
        bytes.extend_from_slice(plain);
        let from = match same {
            0 => 0,
            _ => bytes.len().checked_sub(BACK)?,
        };
        let end = bytes.len() + same;
        while bytes.len() < end {
            // What was copied repeats as well.
            let have = (bytes.len() - from) / BACK * BACK;
            let count = have.min(end - bytes.len());
            bytes.extend_from_within(from..from + count);
        }
    }
    (packed.is_empty() && bytes.len() == len).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_shrink() {
        let label = [
            5, 0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0x4c, 0x0f, 0xe2, 0xa2,
        ];
        let packed = pack(&label.repeat(585));
        let expected = [&[0, 14][..], &(584 * 14_u16).to_be_bytes(), &label].concat();
        assert_eq!(packed, expected);
        assert_eq!(unpack(&packed, 585 * 14), Some(label.repeat(585)));
        assert_eq!(unpack(&packed, 585 * 14 - 1), None);
        assert_eq!(unpack(&packed, 585 * 14 + 1), None);
        // Each of another file: all but the tag repeats.
        let labels: Vec<u8> = (0..585_u32)
            .flat_map(|n| [&label[..10], &n.wrapping_mul(0x9e37_79b9).to_be_bytes()].concat())
            .collect();
        assert!(pack(&labels).len() < 9 * 585, "{}", pack(&labels).len());
    }

    #[test]
    fn more_than_fits_one_count_is_several() {
        for bytes in [
            vec![7; 300_000],
            (0..100_000_u32).flat_map(u32::to_be_bytes).collect(),
        ] {
            assert_eq!(unpack(&pack(&bytes), bytes.len()), Some(bytes));
        }
        assert_eq!(unpack(&pack(&[]), 0), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_go_both_ways(pieces in prop::collection::vec((prop::collection::vec(0u8..4, 1..20), 1usize..9), 0..20)) {
            let bytes: Vec<u8> = pieces.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect();
            let packed = pack(&bytes);
            prop_assert_eq!(unpack(&packed, bytes.len()), Some(bytes));
        }

        #[test]
        fn any_packed_bytes_are_unpacked_or_refused(packed: Vec<u8>, len in 0usize..2000) {
            if let Some(bytes) = unpack(&packed, len) {
                prop_assert_eq!(bytes.len(), len);
            }
        }
    }
}
