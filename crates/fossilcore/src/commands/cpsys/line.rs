//! The line of fossilize, found among whatever a far login may print.

use venticore::codec::dial::Dial;
use venticore::codec::score::{LabelledScore, Score};
use venticore::text::excerpt;

use crate::remote::RemoteOutput;
use crate::rootline::RootLine;

/// What the output of fossilize holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FoundRoot {
    /// One line as it should be.
    One(RootLine),
    /// None, but this one is almost one.
    Odd(String),
    /// None.
    Nothing,
    /// More than one.
    Several(usize),
    /// One with the score of a fossil that was never archived.
    NoRoot,
}

impl FoundRoot {
    /// Looks through the lines of an output.
    pub(super) fn in_lines(lines: &[String]) -> Self {
        let begun: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        let begun: Vec<&str> = begun
            .into_iter()
            .filter(|l| l.starts_with("vac:"))
            .collect();
        match begun[..] {
            [] => Self::Nothing,
            [line] => parse(line).unwrap_or_else(Self::Odd),
            _ => Self::Several(begun.len()),
        }
    }

    /// It tells that there never was an archive.
    pub(super) fn is_no_root(&self) -> bool {
        *self == Self::NoRoot
    }

    /// Why it is not the line of fossilize.
    pub(super) fn why_not(&self) -> String {
        let found = match self {
            Self::One(_) => "one".to_owned(),
            Self::Odd(why) => why.clone(),
            Self::Nothing => "none".to_owned(),
            Self::Several(count) => format!("{count} of them"),
            Self::NoRoot => "the score of a fossil that was never archived".to_owned(),
        };
        format!("fossilize: expected one line vac:SCORE PARTITION VENTI, found {found}")
    }
}

/// A line whose words are what they should be.
fn parse(text: &str) -> Result<FoundRoot, String> {
    let line = RootLine::parse(text).map_err(|words| format!("one of {words} words"))?;
    let parsed: LabelledScore = line.score.parse().map_err(|error| format!("{error}"))?;
    if parsed.score == Score::ZERO || parsed.score == Score::from_bytes([0; Score::LEN]) {
        return Ok(FoundRoot::NoRoot);
    }
    check_partition(&line.partition)?;
    if let Some(venti) = &line.venti {
        check_venti(venti)?;
    }
    Ok(FoundRoot::One(line))
}

/// A partition's name that no shell and no command takes for anything else.
pub(super) fn check_partition(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_alphanumeric() || "_./:+,@%=~#-".contains(c);
    let is_name =
        name.chars().all(plain) && !name.starts_with('-') && name.contains(char::is_alphanumeric);
    if is_name && name.len() <= 1024 {
        return Ok(());
    }
    Err(format!(
        "expected the name of a partition, found \"{}\"",
        excerpt(name.as_bytes(), 100)
    ))
}

/// An address that can be dialled, in the words of any of our notations.
pub(super) fn check_venti(address: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.:![]%/#-".contains(c);
    let parsed = Dial::parse_with(address, None).map_err(|error| error.to_string());
    if address.chars().all(plain) && !address.starts_with('-') {
        return parsed.map(drop);
    }
    Err(format!(
        "expected the address of a venti, found \"{}\"",
        excerpt(address.as_bytes(), 100)
    ))
}

/// The far fossilize failed because it found no archive to record: ours
/// says so on standard error, the script on standard output.
pub(super) fn tells_no_root(answer: &RemoteOutput) -> bool {
    let ours = [
        "no archival snapshot",
        "is it a fossil partition?",
        "is it a whole fossil partition?",
        "cleared by a format that failed",
    ];
    let says = |line: &String| ours.iter().any(|text| line.contains(text));
    let script = |line: &String| line.trim() == "no score?!";
    answer.stderr.iter().any(says) || answer.stdout.iter().any(script)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCORE: &str = "0123456789abcdef0123456789abcdef01234567";

    fn found(text: &str) -> FoundRoot {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        FoundRoot::in_lines(&lines)
    }

    #[test]
    fn the_line_is_found_among_others() {
        let line = format!("vac:{SCORE} /dev/sdC0/fossil tcp!10.0.0.1!17034");
        let FoundRoot::One(one) = found(&format!("Welcome!\n\n{line}\r\nyou have mail\n")) else {
            panic!();
        };
        assert_eq!(one.to_string(), line);
        let apart = format!("vac:{SCORE} /p /net.alt/tcp!10.0.0.1!17034");
        assert!(matches!(found(&apart), FoundRoot::One(one) if one.to_string() == apart));
        let short = format!("vac:{SCORE} disk.img:fossil");
        assert!(matches!(
            found(&short),
            FoundRoot::One(RootLine { venti: None, .. })
        ));
    }

    #[test]
    fn no_other_line_will_do() {
        let upper = SCORE.to_uppercase();
        assert!(matches!(
            found(&format!("vac:{upper} /p v")),
            FoundRoot::One(_)
        ));
        for text in [
            "",
            "no score?!",
            &format!("score vac:{SCORE} /p v"),
            &format!("{SCORE} /p v"),
        ] {
            assert_eq!(found(text), FoundRoot::Nothing, "{text}");
        }
        for text in [
            "vac:",
            &format!("vac:{SCORE}"),
            &format!("vac:{SCORE} /p v w"),
            &format!("vac:{SCORE}0 /p v"),
            &format!("vac:{} /p v", &SCORE[1..]),
            &format!("vac:{SCORE} -f v"),
            &format!("vac:{SCORE} /p;reboot v"),
            &format!("vac:{SCORE} $(reboot) v"),
            &format!("vac:{SCORE} /p `reboot`"),
            &format!("vac:{SCORE} /p -oX"),
            &format!("vac:{SCORE} /p tcp!a!b!c!d"),
            &format!("vac:{SCORE} .. v"),
        ] {
            assert!(matches!(found(text), FoundRoot::Odd(_)), "{text}");
        }
        let twice = format!("vac:{SCORE} /p v\nvac:{SCORE} /p v");
        assert_eq!(found(&twice), FoundRoot::Several(2));
        assert_eq!(
            found(&format!("vac:{} /p v", Score::ZERO)),
            FoundRoot::NoRoot
        );
        assert_eq!(found(&format!("vac:{:040} /p v", 0)), FoundRoot::NoRoot);
    }

    proptest! {
        #[test]
        fn nothing_that_is_found_has_a_shell_in_it(text in "vac:[0-9a-f]{40} [ -~]{0,9} [ -~]{0,9}") {
            if let FoundRoot::One(line) = found(&text) {
                let special = |c: char| "\"'`$;&|<>(){}*?\\".contains(c);
                prop_assert!(!line.to_string().contains(special));
            }
        }
    }
}
