//! The place of a local block (fossil.md 1.6): what an entry whose local flag is
//! set has instead of a score.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u32};

use super::{EndsEarly, FormatError};
use venticore::codec::score::Score;

/// A block of the partition, as an entry leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Not zero where the tree is being archived.
    pub archive: u8,
    /// The epoch of the snapshot that this is the root of, or 0.
    pub snap: u32,
    /// The tag in the block's label.
    pub tag: u32,
    /// The block's address.
    pub address: u32,
}

impl Local {
    /// The zero bytes before the fields.
    const ZEROS: usize = 7;

    /// Reads what stands in place of a score.
    ///
    /// # Errors
    /// Something where zeros belong, as in the entries of vac(1), which have the flag
    /// and a full score: a fossil misreads them.
    pub fn parse(score: Score) -> Result<Self, FormatError> {
        let bytes = score.as_bytes();
        let short = |_: EndsEarly<'_>| FormatError::short("local block", Score::LEN, bytes.len());
        let (_, (zeros, archive, snap, tag, address)) =
            (take(Self::ZEROS), be_u8, be_u32, be_u32, be_u32)
                .parse(bytes.as_slice())
                .map_err(short)?;
        if zeros.iter().any(|&byte| byte != 0) {
            let found: String = zeros.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(FormatError::new("local block", 0, "zeros", found));
        }
        Ok(Local {
            archive,
            snap,
            tag,
            address,
        })
    }

    /// What stands in place of a score.
    #[must_use]
    pub fn to_score(self) -> Score {
        let mut bytes = [0; Score::LEN];
        let numbers = [self.snap, self.tag, self.address].map(u32::to_be_bytes);
        let fields = std::iter::once(self.archive).chain(numbers.into_iter().flatten());
        for (to, from) in bytes.iter_mut().skip(Self::ZEROS).zip(fields) {
            *to = from;
        }
        Score::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// In entry 1 of the root block of the golden partition `archived-8k`: a hint
    /// to the root before, of epoch 2.
    const HINT: [u8; 20] = [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0x41,
    ];

    #[test]
    fn a_local_block_goes_both_ways() {
        let local = Local {
            archive: 0,
            snap: 2,
            tag: 1,
            address: 65,
        };
        let score = Score::from_bytes(HINT);
        assert_eq!(Local::parse(score), Ok(local));
        assert_eq!(local.to_score(), score);
    }

    #[test]
    fn a_score_of_vac_is_refused() {
        let score = "5ae2cd05b2e9525116e9ae26901986afa7541fe9".parse().unwrap();
        assert_eq!(
            Local::parse(score).unwrap_err().to_string(),
            "local block: expected zeros at 0, found 5ae2cd05b2e952"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_go_both_ways_or_are_refused(bytes: [u8; 20], zeros: bool) {
            let mut bytes = bytes;
            if zeros {
                bytes[..7].fill(0);
            }
            let score = Score::from_bytes(bytes);
            match Local::parse(score) {
                Ok(local) => prop_assert_eq!(local.to_score(), score),
                Err(_) => prop_assert!(!zeros),
            }
        }
    }
}
