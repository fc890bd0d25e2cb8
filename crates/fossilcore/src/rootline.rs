//! The line of fossilize, `vac:SCORE PARTITION VENTI`, and its entry in `rootscor`.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use eyre::{Result, WrapErr};

use venticore::codec::operand::Operand;
use venticore::codec::score::{LabelledScore, Score};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::ninefat::Home;
use venticore::state::{Access, Stamp, StateDir};
use venticore::status::{Failure, Status};
use venticore::text::one_line;

/// The line: `vac:SCORE PARTITION VENTI`, without the last where it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootLine {
    /// With its label.
    pub(crate) score: String,
    pub(crate) partition: String,
    pub(crate) venti: Option<String>,
}

impl RootLine {
    /// Reads a line of two or three words, with any blanks and tabs between them. What the
    /// words are is not looked at.
    ///
    /// # Errors
    /// Another number of words: that number.
    pub(crate) fn parse(line: &str) -> Result<Self, usize> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (score, partition, venti) = match words[..] {
            [score, partition] => (score, partition, None),
            [score, partition, venti] => (score, partition, Some(venti)),
            _ => return Err(words.len()),
        };
        Ok(RootLine {
            score: score.to_owned(),
            partition: partition.to_owned(),
            venti: venti.map(str::to_owned),
        })
    }
}

/// A root score: 40 hex digits, `vac:` before them or not.
///
/// # Errors
/// Anything else.
pub(crate) fn root_score(text: &str) -> Result<Score> {
    let labelled: LabelledScore = text.parse()?;
    match labelled.label {
        Some(label) if !label.eq_ignore_ascii_case("vac") => {
            let label = label.escape_default();
            let text = format!("expected vac:SCORE or SCORE, found \"{label}:\"");
            Err(Failure::report(Status::Usage, text))
        }
        _ => Ok(labelled.score),
    }
}

impl fmt::Display for RootLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RootLine {
            score,
            partition,
            venti,
        } = self;
        write!(f, "{score} {partition}")?;
        match venti {
            Some(venti) => write!(f, " {venti}"),
            None => Ok(()),
        }
    }
}

/// A partition as one word of the line: absolute, since the record is read from
/// other directories too.
pub(crate) fn word(operand: &Operand) -> eyre::Result<String> {
    let path = std::path::absolute(operand.as_os_str()).wrap_err_with(|| operand.to_string())?;
    let plain = |text: &&str| !text.contains(|c: char| c.is_whitespace() || c.is_control());
    let word = path.to_str().filter(plain).map(str::to_owned);
    word.ok_or_else(|| {
        let cause = "expected a partition's name without blanks, since the record is read as words";
        let path = path.display();
        Failure::report(
            Status::Usage,
            format!("{path}: {cause}: make a link with such a name, and name that"),
        )
    })
}

/// Appends these lines to the log. A 9fat that nobody mounts gets them with the next
/// run of fossilize or ventiprog.
pub(crate) fn record(
    tool: &str,
    dir: Option<&Path>,
    config: &Config,
    lines: &[String],
    terminal: &Terminal,
) -> eyre::Result<()> {
    let home = Home::open(config, dir, terminal)?;
    let recorded = append(tool, home.state(), lines, terminal);
    home.close(recorded.map(|()| Status::Done), terminal)?;
    Ok(())
}

/// Appends these lines to the log of a state directory that is open.
pub(crate) fn append(
    tool: &str,
    state: &StateDir,
    lines: &[String],
    terminal: &Terminal,
) -> eyre::Result<()> {
    let uname = rustix::system::uname();
    let host = one_line(&uname.nodename().to_string_lossy());
    let stamp = Stamp {
        time: SystemTime::now(),
        host: &host,
        tool,
    };
    let access = state.append_rootscor(&stamp, lines, StateDir::ROOTSCOR_WAIT)?;
    if access != Access::Private {
        let path = state.path_of(StateDir::ROOTSCOR);
        terminal.say(&format!("{}: {access}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blanks_and_tabs_are_one_thing_between_words() {
        let line = RootLine::parse("vac:S  /dev/p\ttcp!v!1").unwrap();
        assert_eq!(line.to_string(), "vac:S /dev/p tcp!v!1");
        for (text, words) in [("", 0), ("vac:S", 1), ("a b c d", 4)] {
            assert_eq!(RootLine::parse(text), Err(words));
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_back(
            score in "vac:[0-9a-f]{40}",
            partition in "/[a-z0-9/._-]{1,20}",
            venti in proptest::option::of("[a-z0-9.!:]{1,20}"),
        ) {
            let line = RootLine { score, partition, venti };
            prop_assert_eq!(RootLine::parse(&line.to_string()), Ok(line));
        }
    }
}
