//! Which roots are checked: those given, or the newest of each partition on record.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, Read};
use std::path::Path;

use eyre::{Report, Result, WrapErr};

use venticore::codec::score::{LabelledScore, Score};
use venticore::state::StateDir;
use venticore::status::{Failure, Status};
use venticore::text::{excerpt, path};

/// The most bytes of standard input that are read.
const INPUT_MAX: u64 = 64 << 20;

/// Bytes of a line that a message shows.
const SHOWN: usize = 60;

/// A root to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AskedRoot {
    pub(super) score: Score,
    /// The partitions whose newest root it is.
    pub(super) partitions: Vec<String>,
}

/// What the operands name.
#[derive(Debug)]
pub(super) struct Given {
    /// The roots, each once.
    pub(super) roots: Vec<AskedRoot>,
    /// What is wrong with the lines of standard input that name none.
    pub(super) refused: Vec<Report>,
}

/// The roots that the operands name; `-` stands for those on standard input. `None` where
/// there are no operands.
pub(super) fn given(scores: &[String], input: &mut dyn BufRead) -> Result<Option<Given>> {
    if scores.is_empty() {
        return Ok(None);
    }
    let (mut roots, mut refused) = (Vec::new(), Vec::new());
    for text in scores {
        match text.as_str() {
            "-" => read(input, &mut roots, &mut refused)?,
            text => roots.push(score(text).wrap_err("score")?),
        }
    }
    let mut met = HashSet::new();
    roots.retain(|&score| met.insert(score));
    let roots: Vec<AskedRoot> = roots.into_iter().map(AskedRoot::from).collect();
    match roots.is_empty() && refused.is_empty() {
        true => Err(Failure::report(
            Status::Usage,
            "standard input: expected lines that begin with a score, found none",
        )),
        false => Ok(Some(Given { roots, refused })),
    }
}

fn score(text: &str) -> Result<Score> {
    let labelled: LabelledScore = text.parse()?;
    match labelled.score.is_nil() {
        true => Err(Failure::report(
            Status::Unverified,
            "not a root: the score of nothing stands for a fossil that was never archived, and \
             vac prints zeros when it loses its server",
        )),
        false => Ok(labelled.score),
    }
}

/// Reads lines that begin with a score, as in rootscor. Comments, empty lines and
/// the commands of rootscor are passed over.
fn read(input: &mut dyn BufRead, roots: &mut Vec<Score>, refused: &mut Vec<Report>) -> Result<()> {
    let mut text = Vec::new();
    let read = input.take(INPUT_MAX).read_to_end(&mut text);
    read.wrap_err("standard input")?;
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let mut words = line.split(u8::is_ascii_whitespace);
        let word = words.find(|word| !word.is_empty()).unwrap_or_default();
        if word.is_empty() || word.starts_with(b"#") || word == b"wrarena" {
            continue;
        }
        let subject = || format!("standard input: line {number}");
        let word = std::str::from_utf8(word).map_err(|_| {
            let cause = format!("expected a score, found {}", excerpt(word, SHOWN));
            Failure::report(Status::Usage, cause)
        });
        match word.and_then(score).wrap_err_with(subject) {
            Ok(root) => roots.push(root),
            Err(error) => refused.push(error),
        }
    }
    Ok(())
}

impl From<Score> for AskedRoot {
    fn from(score: Score) -> Self {
        AskedRoot {
            score,
            partitions: Vec::new(),
        }
    }
}

/// The newest root of each partition on record.
pub(super) fn on_record(state: &StateDir) -> Result<Vec<AskedRoot>> {
    let recorded = state.read_roots()?.into_iter();
    let newest: BTreeMap<String, Score> = recorded.map(|of| (of.partition, of.score)).collect();
    let mut roots: Vec<AskedRoot> = Vec::new();
    for (partition, score) in newest {
        match roots.iter_mut().find(|root| root.score == score) {
            Some(root) => root.partitions.push(partition),
            None => roots.push(AskedRoot {
                score,
                partitions: vec![partition],
            }),
        }
    }
    match roots.is_empty() {
        true => Err(none_on_record(state.path())),
        false => Ok(roots),
    }
}

pub(super) fn none_on_record(dir: &Path) -> eyre::Report {
    let log = path(&dir.join(StateDir::ROOTSCOR));
    let cause =
        format!("{log}: expected a root, found none: give a score, or record one with fossilize");
    Failure::report(Status::Failed, cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use venticore::tool::status_of;

    const ONE: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
    const TWO: &str = "f50b65b3911fc87ae786cc7970b2e34d1348bd00";

    fn asked(scores: &[&str], input: &str) -> Result<Given> {
        let scores: Vec<String> = scores.iter().map(|&text| text.to_owned()).collect();
        Ok(given(&scores, &mut input.as_bytes())?.unwrap())
    }

    fn roots(scores: &[&str], input: &str) -> Result<Vec<String>> {
        let given = asked(scores, input)?;
        assert!(given.refused.is_empty(), "{:?}", given.refused);
        let roots = given.roots.iter();
        Ok(roots.map(|root| root.score.to_string()).collect())
    }

    #[test]
    fn each_root_is_checked_once_whoever_names_it() {
        let input = format!(
            "# 2026-11-22T04:30:02Z gridfour fossilize\nvac:{TWO} /dev/sdC0/fossil tcp!v!1\r\n\n\
             wrarena -h tcp!v!1 -o 794624 /dev/sdC0/arenas 0x0\n  ffs:{ONE}\n"
        );
        assert_eq!(roots(&["-"], &input).unwrap(), [TWO, ONE]);
        assert_eq!(roots(&[ONE, "-", ONE], &input).unwrap(), [ONE, TWO]);
        let upper = format!("vac:{}", ONE.to_uppercase());
        assert_eq!(roots(&[&upper], "").unwrap(), [ONE]);
        assert!(given(&[], &mut &b""[..]).unwrap().is_none());
    }

    #[test]
    fn what_is_not_a_score_is_refused_and_told_where() {
        let refused = |scores: &[&str], input: &str, status| {
            let error = roots(scores, input).unwrap_err();
            assert_eq!(status_of(&error), status, "{error:#}");
            format!("{error:#}")
        };
        assert!(refused(&["vac:12"], "", Status::Usage).contains("found 2 characters"));
        assert!(refused(&["-"], "# none\n", Status::Usage).contains("found none"));
        let nothing = "vac:da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert!(refused(&[nothing], "", Status::Unverified).contains("not a root"));
    }

    #[test]
    fn a_line_that_names_no_root_keeps_no_other_from_being_checked() {
        let zeros = "0".repeat(40);
        let given = asked(
            &["-"],
            &format!("{ONE}\nvac:{zeros}\nsomething else\n{TWO}\n"),
        );
        let Given { roots, refused } = given.unwrap();
        let roots: Vec<String> = roots.iter().map(|root| root.score.to_string()).collect();
        assert_eq!(roots, [ONE, TWO]);
        let refused: Vec<_> = refused
            .iter()
            .map(|error| (status_of(error), format!("{error:#}")))
            .collect();
        let [(zeros, of_zeros), (text, of_text)] = &refused[..] else {
            panic!("{refused:?}");
        };
        assert_eq!((*zeros, *text), (Status::Unverified, Status::Usage));
        assert!(of_zeros.starts_with("standard input: line 2: not a root"));
        assert!(of_text.starts_with("standard input: line 3: "));
    }
}
