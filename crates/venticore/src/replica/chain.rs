//! What of an arena a replica has, by its listing.

use super::Listed;
use crate::codec::replica::{LONGEST, ObjectName};

/// Bytes of the log in one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Segment {
    pub(super) fn object(self) -> ObjectName {
        ObjectName::Log {
            from: self.from,
            to: self.to,
        }
    }
}

/// The objects of an arena that have the sizes that they should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// By where they start.
    segments: Vec<Segment>,
    /// The head is there, of this size where that is known.
    pub(super) head: Option<Option<u64>>,
    /// The end is there, of this size where that is known.
    pub(super) end: Option<Option<u64>>,
    /// Objects whose size is not what their names say, or more than a name may say.
    pub(super) cut: Vec<Listed>,
}

impl Chain {
    /// Of everything that is listed.
    #[must_use]
    pub fn of(listed: Vec<Listed>) -> Self {
        let mut chain = Chain::default();
        for of in listed {
            match of.object {
                ObjectName::Head => chain.head = Some(of.size),
                ObjectName::End => chain.end = Some(of.size),
                // What is longer than any that was written would have to be held in memory.
                ObjectName::Log { from, to }
                    if to - from <= LONGEST && of.size.is_none_or(|size| size == to - from) =>
                {
                    chain.segments.push(Segment { from, to });
                }
                ObjectName::Log { .. } => chain.cut.push(of),
            }
        }
        chain.segments.sort_by_key(|of| (of.from, of.to));
        chain
    }

    /// Where the log ends that is there without a gap from the first byte on.
    #[must_use]
    pub fn reaches(&self) -> u64 {
        self.reaches_from(0)
    }

    /// The same from a byte on.
    #[must_use]
    pub fn reaches_from(&self, from: u64) -> u64 {
        let mut at = from;
        for of in &self.segments {
            if of.from > at {
                break;
            }
            at = at.max(of.to);
        }
        at
    }

    /// Where the next stretch starts that is there after a gap.
    #[must_use]
    pub(super) fn next_after(&self, at: u64) -> Option<u64> {
        self.segments
            .iter()
            .map(|of| of.from)
            .find(|&from| from > at)
    }

    /// The segment that has this byte and goes on furthest.
    pub(super) fn at(&self, at: u64) -> Option<Segment> {
        let has = |of: &&Segment| of.from <= at && at < of.to;
        let before = self.segments.iter().take_while(|of| of.from <= at);
        before.filter(has).max_by_key(|of| of.to).copied()
    }

    /// The segments that make up the log from its start, each from where the one before
    /// it ends.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(of) = self.at(at) {
            pieces.push(Piece { at, of });
            at = of.to;
        }
        pieces
    }

    /// All segments, whether they are needed or not.
    pub(super) fn all(&self) -> Vec<Piece> {
        let pieces = self.segments.iter().map(|&of| Piece { at: of.from, of });
        pieces.collect()
    }

    pub(super) fn add(&mut self, new: Segment) {
        if !self.segments.contains(&new) {
            let place = self
                .segments
                .partition_point(|of| (of.from, of.to) < (new.from, new.to));
            self.segments.insert(place, new);
        }
    }
}

/// A segment as far as it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// From which byte of the log on.
    pub(super) at: u64,
    pub(super) of: Segment,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(from: u64, to: u64, size: u64) -> Listed {
        Listed {
            object: ObjectName::Log { from, to },
            size: Some(size),
        }
    }

    #[test]
    fn a_chain_ends_at_its_first_gap() {
        let chain = Chain::of(vec![log(20, 30, 10), log(0, 10, 10), log(5, 12, 7)]);
        assert_eq!((chain.reaches(), chain.next_after(12)), (12, Some(20)));
        assert_eq!(chain.reaches_from(20), 30);
        let pieces: Vec<_> = chain.pieces().iter().map(|p| (p.at, p.of.from)).collect();
        assert_eq!(pieces, [(0, 0), (10, 5)]);
    }

    #[test]
    fn an_object_that_is_cut_or_too_long_does_not_count() {
        let long = LONGEST + 1;
        for of in [log(0, 10, 9), log(0, long, long)] {
            let chain = Chain::of(vec![of]);
            assert_eq!((chain.reaches(), chain.cut.len()), (0, 1));
        }
    }

    proptest! {
        #[test]
        fn each_byte_of_the_chain_is_in_a_piece(of in proptest::collection::vec((0_u64..60, 1_u64..9), 0..20)) {
            let listed = of.iter().map(|&(from, len)| log(from, from + len, len)).collect();
            let chain = Chain::of(listed);
            let end = (0..).find(|at| !of.iter().any(|&(from, len)| (from..from + len).contains(at)));
            prop_assert_eq!(Some(chain.reaches()), end);
            let mut at = 0;
            for piece in chain.pieces() {
                prop_assert_eq!(piece.at, at);
                prop_assert!(piece.of.from <= at && at < piece.of.to);
                at = piece.of.to;
            }
            prop_assert_eq!(at, chain.reaches());
        }
    }
}
