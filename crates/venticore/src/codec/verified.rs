//! Verdicts on roots, as the file `verified` has them: one line for a root and a target,
//! `vac:SCORE TARGET VERDICT BLOCKS BYTES TIME TOOL...`.

use std::fmt;
use std::str::{self, FromStr};
use std::time::SystemTime;

use crate::codec::invalid::Invalid;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::utc::Utc;

/// The label before a score.
const LABEL: &str = "vac:";

/// What was found of a root on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Every block below the root was read back and hashed to its score.
    Whole,
    /// The target says that it has every block below the root. Leaves were not read.
    Present,
    /// A block is there and is not what it should be.
    Damaged,
    /// A block is not there, and none is damaged.
    Missing,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Whole, Self::Present, Self::Damaged, Self::Missing];

    /// The word of the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Present => "present",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
        }
    }

    /// True where nothing was found wrong.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Whole | Self::Present)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One line: what was found of a root on a target, when, and by which command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The root.
    pub score: Score,
    /// The target.
    pub target: TargetName,
    /// What was found.
    pub verdict: Verdict,
    /// Blocks that were read, or asked for.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was decided. Whole seconds of the years 0 to 9999 are kept.
    pub time: SystemTime,
    /// The command that decided, with the options that matter: `rootcheck -c`. The rest of
    /// the line, without blanks at its ends.
    pub tool: String,
}

impl Verified {
    /// The most bytes of a line that is read.
    pub const LINE_MAX: usize = 4096;

    /// The verdicts of a file, in its order. Comments, and lines that are something
    /// else, are passed over.
    pub fn all(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        bytes.split(|&byte| byte == b'\n').filter_map(|line| {
            let line = Some(line).filter(|line| line.len() <= Self::LINE_MAX)?;
            str::from_utf8(line).ok()?.parse().ok()
        })
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verified {
            score,
            target,
            verdict,
            blocks,
            bytes,
            time,
            tool,
        } = self;
        let time = Utc(*time);
        write!(
            f,
            "{LABEL}{score} {target} {verdict} {blocks} {bytes} {time} {tool}"
        )
    }
}

impl FromStr for Verified {
    type Err = Invalid;

    fn from_str(line: &str) -> Result<Self, Invalid> {
        parse(line).ok_or(Invalid::Verdict)
    }
}

fn parse(line: &str) -> Option<Verified> {
    let mut rest = line;
    let mut word = || {
        rest = rest.trim_start();
        let (word, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        rest = after;
        word
    };
    let score = word().strip_prefix(LABEL)?.parse().ok()?;
    let target = word().parse().ok()?;
    let verdict = word();
    let verdict = Verdict::ALL.into_iter().find(|one| one.word() == verdict)?;
    let (blocks, bytes) = (number(word())?, number(word())?);
    let Utc(time) = word().parse().ok()?;
    let tool = rest.trim().to_owned();
    Some(Verified {
        score,
        target,
        verdict,
        blocks,
        bytes,
        time,
        tool,
    })
}

/// A decimal number, and nothing but digits.
fn number(word: &str) -> Option<u64> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "vac:a9993e364706816aba3e25717850c26c9cd0d89d tcp!venti1!17034 whole 12 \
                        81920 2026-11-22T03:56:12Z rootcheck -c";

    fn verdict() -> Verified {
        Verified {
            score: Score::of(b"abc"),
            target: "venti1".parse().unwrap(),
            verdict: Verdict::Whole,
            blocks: 12,
            bytes: 81_920,
            time: UNIX_EPOCH + Duration::from_secs(1_795_319_772),
            tool: "rootcheck -c".to_owned(),
        }
    }

    #[test]
    fn a_line_goes_both_ways() {
        assert_eq!(LINE.parse(), Ok(verdict()));
        assert_eq!(verdict().to_string(), LINE);
        let blanks = LINE.replace(' ', " \t");
        let read: Verified = blanks.parse().unwrap();
        assert_eq!(read.target, verdict().target);
        assert_eq!(format!("{LINE}\r").parse(), Ok(verdict()));
    }

    #[test]
    fn what_is_something_else_is_passed_over() {
        let other = LINE.replace("whole", "splendid");
        let signed = LINE.replace(" 12 ", " +12 ");
        let long = format!("{LINE} {}", "x".repeat(Verified::LINE_MAX));
        let cut = &LINE[..LINE.len() - 30];
        let unlabelled = &LINE[4..];
        let text = [
            "",
            "# a comment",
            &other,
            &signed,
            &long,
            cut,
            unlabelled,
            LINE,
        ]
        .join("\n");
        let bytes = [&b"\xff\xfe\n"[..], text.as_bytes()].concat();
        assert_eq!(Verified::all(&bytes).collect::<Vec<_>>(), [verdict()]);
        for verdict in Verdict::ALL {
            let line = LINE.replace("whole", verdict.word());
            let read: Verified = line.parse().unwrap();
            assert_eq!(read.verdict, verdict);
            assert_eq!(read.to_string(), line);
        }
    }

    proptest! {
        #[test]
        fn any_verdict_goes_both_ways(
            score: [u8; 20], host in "[a-z0-9][a-z0-9.-]{0,20}[a-z0-9]", port in 1u16..,
            which in 0usize..4, blocks: u64, bytes: u64, seconds in 0u64..253_402_300_800,
            tool in "([!-~]([ -~]{0,20}[!-~])?)?",
        ) {
            let target = format!("tcp!{host}!{port}").parse();
            prop_assume!(target.is_ok());
            let verdict = Verified {
                score: Score::from_bytes(score), target: target.unwrap(),
                verdict: Verdict::ALL[which], blocks, bytes,
                time: UNIX_EPOCH + Duration::from_secs(seconds), tool,
            };
            prop_assert_eq!(verdict.to_string().parse(), Ok(verdict));
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..130) {
            let mut line = LINE.as_bytes().to_vec();
            let at = at.min(line.len());
            line.splice(at..at, bytes.iter().copied());
            for bytes in [bytes, line] {
                for verdict in Verified::all(&bytes) {
                    prop_assert_eq!(verdict.to_string().parse(), Ok(verdict));
                }
            }
        }
    }
}
