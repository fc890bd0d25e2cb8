//! A line that may be sent to a console: what a fossil would cut, misread or
//! loop on is refused here (fossil.md 6.2).

use std::fmt;
use std::str::FromStr;

use venticore::codec::format_error::FormatError;

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
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        if text.len() > Self::MAX {
            let found = format!("{}: a fossil would cut it and execute the rest", text.len());
            return Err(refused(format!("at most {} bytes", Self::MAX), found));
        }
        if let Some(byte) = text.bytes().find(|&byte| edits(byte)) {
            let found = format!("byte {byte:#04x}, which would edit it");
            return Err(refused("printable characters", found));
        }
        let words = words(text);
        let Some(first) = words.first() else {
            return Err(refused("a command", "none"));
        };
        if words.len() > Self::WORDS {
            let found = format!("{}: a fossil would drop the others", words.len());
            return Err(refused(format!("at most {} words", Self::WORDS), found));
        }
        if first == "echo" && text.contains('%') {
            return Err(refused(
                "an echo without %",
                "one, which a fossil takes for a format",
            ));
        }
        if first == "fsys" && words.len() == 1 {
            let found = "fsys alone, which kills a fossil that has no file system";
            return Err(refused("fsys NAME (printconfig lists the names)", found));
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
fn refused(expected: impl Into<String>, found: impl Into<String>) -> FormatError {
    FormatError::whole("line", expected, found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_traps_are_refused() {
        let long = "x".repeat(256);
        let many = "w ".repeat(20);
        for (text, part) in [
            (long.as_str(), "255 bytes, found 256"),
            (many.as_str(), "19 words, found 20"),
            ("fsys main df\u{17}", "byte 0x17"),
            ("df\nhalt", "byte 0x0a"),
            ("a\rb", "byte 0x0d"),
            ("\u{7f}", "byte 0x7f"),
            ("echo 100%", "without %"),
            (" 'echo' -n %s", "without %"),
            ("fsys", "fsys alone"),
            ("\t fsys  ", "fsys alone"),
            (" \t", "a command, found none"),
        ] {
            let error = text.parse::<CommandLine>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
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
