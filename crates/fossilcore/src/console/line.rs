//! A line that may be sent to a console: what a fossil would cut, misread or
//! loop on is refused here (fossil.md 6.2).

use std::fmt;
use std::str::FromStr;

/// A command line of at most 255 bytes, without its newline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommandLine(String);

impl CommandLine {
    /// The most bytes that a fossil keeps of a line; it drops what follows, and
    /// executes the rest.
    pub const MAX: usize = 255;
    /// The most words that it keeps, the command among them.
    pub const WORDS: usize = 19;

    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its words, without quotes.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        words(&self.0)
    }

    /// What it does, behind `fsys NAME`: the command and its words. Empty where
    /// it only chooses a file system.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let words = self.words();
        match words.first().map(String::as_str) {
            Some("fsys") => words.into_iter().skip(2).collect(),
            _ => words,
        }
    }
}

impl FromStr for CommandLine {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        if text.len() > Self::MAX {
            return Err(LineError::Long(text.len()));
        }
        if let Some(byte) = text.bytes().find(|&byte| edits(byte)) {
            return Err(LineError::Control(byte));
        }
        let words = words(text);
        let Some(first) = words.first() else {
            return Err(LineError::Empty);
        };
        if words.len() > Self::WORDS {
            return Err(LineError::Words(words.len()));
        }
        if first == "echo" && text.contains('%') {
            return Err(LineError::Percent);
        }
        if first == "fsys" && words.len() == 1 {
            return Err(LineError::BareFsys);
        }
        Ok(CommandLine(text.to_owned()))
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a byte is one that no line may hold: those that edit lines, ^W above
/// all, on which a fossil may loop for ever, and others that cannot be seen.
pub(super) fn edits(byte: u8) -> bool {
    byte != b'\t' && byte.is_ascii_control()
}

/// Splits a line as a fossil does: at blanks, with `'` around what holds some,
/// and `''` for a quote in there.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|&c| blank(c)).is_some() {}
        if rest.peek().is_none() {
            return words;
        }
        let (mut word, mut quoted) = (String::new(), false);
        while let Some(c) = rest.next_if(|&c| quoted || !blank(c)) {
            match c {
                '\'' if quoted && rest.next_if_eq(&'\'').is_some() => word.push('\''),
                '\'' => quoted = !quoted,
                c => word.push(c),
            }
        }
        words.push(word);
    }
}

/// A word as it is written in a line: in quotes where it needs them.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = !word.is_empty() && !word.contains(|c| blank(c) || c == '\'');
    match plain {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "''")),
    }
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Why a line may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It has no words.
    #[error("expected a command, found none")]
    Empty,
    /// It has this many bytes.
    #[error(
        "expected a line of at most {most} bytes, found {0}: a fossil would cut it and execute the rest",
        most = CommandLine::MAX
    )]
    Long(usize),
    /// It has this many words.
    #[error(
        "expected at most {most} words, found {0}: a fossil would drop the others",
        most = CommandLine::WORDS
    )]
    Words(usize),
    /// It holds this byte.
    #[error("expected a line of printable characters, found byte {0:#04x}, which would edit it")]
    Control(u8),
    /// It is an echo with a `%`, which would be a format.
    #[error("expected an echo without %, which a fossil takes for a format")]
    Percent,
    /// It is `fsys` alone.
    #[error("fsys alone kills a fossil that has no file system: printconfig lists them")]
    BareFsys,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_traps_are_refused() {
        let long = "x".repeat(256);
        let many = "w ".repeat(20);
        for (text, error) in [
            (long.as_str(), LineError::Long(256)),
            (many.as_str(), LineError::Words(20)),
            ("fsys main df\u{17}", LineError::Control(0x17)),
            ("df\nhalt", LineError::Control(b'\n')),
            ("a\rb", LineError::Control(b'\r')),
            ("\u{7f}", LineError::Control(0x7f)),
            ("echo 100%", LineError::Percent),
            (" 'echo' -n %s", LineError::Percent),
            ("fsys", LineError::BareFsys),
            ("\t fsys  ", LineError::BareFsys),
            (" \t", LineError::Empty),
        ] {
            assert_eq!(text.parse::<CommandLine>(), Err(error), "{text:?}");
        }
        assert!("x".repeat(255).parse::<CommandLine>().is_ok());
        assert!("w ".repeat(19).parse::<CommandLine>().is_ok());
        assert!("fsys main".parse::<CommandLine>().is_ok());
    }

    #[test]
    fn words_are_those_of_the_transcripts() {
        // administration.txt: `echo 'a  b' c` prints `a  b c`.
        assert_eq!(words("echo 'a  b' c"), ["echo", "a  b", "c"]);
        assert_eq!(words("echo fe''nce"), ["echo", "fence"]);
        assert_eq!(words("fsys main venti ''"), ["fsys", "main", "venti", ""]);
        assert_eq!(words("'it''s' 'open"), ["it's", "open"]);
    }

    #[test]
    fn the_command_stands_behind_the_file_system() {
        let command = |text: &str| text.parse::<CommandLine>().unwrap().command();
        assert_eq!(command("fsys all halt"), ["halt"]);
        assert_eq!(command("srv -A fossil"), ["srv", "-A", "fossil"]);
        assert!(command("fsys main").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_one_word(all in proptest::collection::vec("[ -~äß\t]{0,9}", 0..9)) {
            let line: Vec<String> = all.iter().map(|word| quote(word)).collect();
            prop_assert_eq!(words(&line.join(" ")), all);
        }
    }
}
