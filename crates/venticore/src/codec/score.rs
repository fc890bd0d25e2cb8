//! Scores: the SHA-1 of a block, 20 bytes, 40 hex digits (venti.md 1).

use crate::codec::invalid::Invalid;
use std::fmt;
use std::str::FromStr;

use nom::bytes::complete::take;
use nom::combinator::map_opt;
use nom::{IResult, Parser};
use sha1::{Digest, Sha1};

/// The SHA-1 of an uncompressed block.
///
/// Text form: 40 hex digits; upper and lower case are read, lower case is
/// written, and nothing may stand before or after. For text that may carry a
/// label (`vac:`) use [`LabelledScore`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Score([u8; Score::LEN]);

impl Score {
    /// Bytes in a score.
    pub const LEN: usize = 20;

    /// The score of the empty block: "no block", never stored.
    pub const ZERO: Score = Score([
        0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60, 0x18,
        0x90, 0xaf, 0xd8, 0x07, 0x09,
    ]);

    /// The score of these bytes.
    #[must_use]
    pub fn of(block: &[u8]) -> Self {
        Score(Sha1::digest(block).into())
    }

    /// A score from its 20 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Score::LEN]) -> Self {
        Score(bytes)
    }

    /// The score at the start of some bytes, and what follows it.
    ///
    /// # Errors
    /// There are fewer than 20 bytes.
    pub fn read(bytes: &[u8]) -> IResult<&[u8], Self> {
        map_opt(take(Self::LEN), |bytes: &[u8]| bytes.try_into().ok())
            .map(Score)
            .parse(bytes)
    }

    /// The 20 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Score::LEN] {
        &self.0
    }

    /// True for the two scores that mean "no block": the score of the empty block
    /// and twenty zero bytes.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        *self == Score::ZERO || self.0 == [0; Score::LEN]
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Score {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; Score::LEN];
        let mut digits = 0;
        for (at, c) in text.chars().enumerate() {
            let value = c.to_digit(16).ok_or(Invalid::ScoreDigit { found: c, at })?;
            if let (Some(byte), Ok(value)) = (bytes.get_mut(at / 2), u8::try_from(value)) {
                *byte = *byte << 4 | value;
            }
            digits = at + 1;
        }
        if digits == 2 * Score::LEN {
            Ok(Score(bytes))
        } else {
            Err(Invalid::ScoreLength(digits))
        }
    }
}

/// A score with the label that may stand before it: `vac:SCORE`, `SCORE`.
///
/// The label is everything up to the first colon and is kept as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelledScore {
    /// The label without its colon; `None` where the text has no colon.
    pub label: Option<String>,
    /// The score itself.
    pub score: Score,
}

impl fmt::Display for LabelledScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            write!(f, "{label}:")?;
        }
        self.score.fmt(f)
    }
}

impl FromStr for LabelledScore {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (label, digits) = match text.split_once(':') {
            Some((label, digits)) => (Some(label.to_owned()), digits),
            None => (None, text),
        };
        Ok(LabelledScore {
            label,
            score: digits.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    #[test]
    fn the_score_of_abc_and_of_nothing() {
        assert_eq!(Score::of(b"abc").to_string(), ABC);
        assert_eq!(Score::of(b""), Score::ZERO);
        assert!(Score::ZERO.is_nil());
        assert!(Score::from_bytes([0; 20]).is_nil());
        assert!(!Score::of(b"abc").is_nil());
    }

    #[test]
    fn text_is_read_in_both_cases_and_nothing_may_follow() {
        let abc: Score = ABC.parse().unwrap();
        assert_eq!(ABC.to_uppercase().parse(), Ok(abc));
        assert_eq!(ABC[1..].parse::<Score>(), Err(Invalid::ScoreLength(39)));
        assert_eq!(
            format!("{ABC}0").parse::<Score>(),
            Err(Invalid::ScoreLength(41))
        );
        assert_eq!(
            format!("{ABC}\n").parse::<Score>(),
            Err(Invalid::ScoreDigit {
                found: '\n',
                at: 40
            })
        );
        assert_eq!(
            ABC.replace('a', "g").parse::<Score>(),
            Err(Invalid::ScoreDigit { found: 'g', at: 0 })
        );
        assert_eq!("".parse::<Score>(), Err(Invalid::ScoreLength(0)));
    }

    #[test]
    fn a_label_is_kept_and_only_the_first_colon_ends_it() {
        for text in [
            format!("vac:{ABC}"),
            ABC.to_owned(),
            format!("ffs:{ABC}"),
            format!(":{ABC}"),
        ] {
            assert_eq!(text.parse::<LabelledScore>().unwrap().to_string(), text);
        }
        assert!(format!("vac:vac:{ABC}").parse::<LabelledScore>().is_err());
    }

    proptest! {
        #[test]
        fn text_goes_both_ways(bytes: [u8; 20]) {
            let score = Score::from_bytes(bytes);
            prop_assert_eq!(score.to_string().parse(), Ok(score));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            if let Ok(score) = text.parse::<LabelledScore>() {
                prop_assert_eq!(score.to_string().to_lowercase(), text.to_lowercase());
            }
        }
    }
}
