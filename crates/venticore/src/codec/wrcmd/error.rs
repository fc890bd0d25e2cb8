//! Why a text is not a wrarena command line.

use crate::codec::invalid::Invalid;
use std::fmt;

use super::WrCmd;

/// Why a text is not a wrarena command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrcmdError {
    /// The number of bytes, where at most [`WrCmd::MAX_LEN`] may be.
    TooLong(usize),
    /// Not UTF-8 from this byte on.
    NotText(usize),
    /// A control character, and the byte at which it stands.
    Control(char, usize),
    /// Nothing but blanks.
    Empty,
    /// A comment line.
    Comment(String),
    /// The number of lines that are not blank, where one is expected.
    Lines(usize),
    /// The first word, which is an option and no command word.
    NoCommand(String),
    /// An option letter that wrarena does not have, and its word.
    UnknownOption(char, String),
    /// An option without its value.
    NoValue(char),
    /// A word that is not a number, and what it should have been.
    Number(&'static str, Invalid),
    /// No arena file.
    NoFile,
    /// The first operand too many.
    TooMany(String),
    /// A name for the line that is not one word, and what it names.
    Word(&'static str, String),
}

impl fmt::Display for WrcmdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(n) => {
                write!(f, "expected at most {} bytes, found {n}", WrCmd::MAX_LEN)
            }
            Self::NotText(at) => write!(f, "expected utf-8 text, found another byte at {at}"),
            Self::Control(c, at) => {
                write!(f, "expected text, found the control character {c:?} at byte {at}")
            }
            Self::Empty => f.write_str(
                "expected a wrarena command, found nothing (the rc ventiprog blanks wrcmd when wrarena prints several `end offset` lines): take the last good line from rootscor",
            ),
            Self::Comment(line) => write!(
                f,
                "expected one wrarena command, found the comment {line:?}: the rc ventiprog would run it, remove it"
            ),
            Self::Lines(n) => write!(f, "expected one line, found {n}: keep only the one to continue from"),
            Self::NoCommand(word) => {
                write!(f, "expected a command word such as wrarena, found {word:?}")
            }
            Self::UnknownOption(c, word) => write!(
                f,
                "expected one of the options -h -o -M -f -v, found {c:?} in {word:?}"
            ),
            Self::NoValue(c) => write!(f, "expected a value after -{c}, found the end of the line"),
            Self::Number(what, e) => write!(f, "{what}: {e}"),
            Self::NoFile => f.write_str("expected an arena file after the options, found none"),
            Self::TooMany(word) => write!(
                f,
                "expected nothing after the arena file and the clump offset, found {word:?} (there is no quoting)"
            ),
            Self::Word(what, word) => write!(
                f,
                "{what}: expected one word without blanks, shell characters or a leading dash, found {word:?}"
            ),
        }
    }
}

impl std::error::Error for WrcmdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Number(_, e) => Some(e),
            _ => None,
        }
    }
}
