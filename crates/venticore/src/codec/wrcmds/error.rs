//! Why a file is not a `wrcmds`, said with the line and the way out.

use crate::codec::invalid::Invalid;
use std::fmt;

use super::Wrcmds;
use super::line::WrcmdsLine;
use crate::codec::target::TargetName;
use crate::codec::wrcmd::{self};
use crate::status::Status;

/// Why a file is not a `wrcmds`, or would not be one after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrcmdsError {
    /// The line, counted from 1, where it is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

impl WrcmdsError {
    /// The exit status it stands for.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.problem {
            Problem::TooLong(_) | Problem::TooMany | Problem::NoPlace(_) => Status::Failed,
            _ => Status::Usage,
        }
    }
}

impl fmt::Display for WrcmdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for WrcmdsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Command(e) => Some(e),
            Problem::Invalid(_, e) => Some(e),
            _ => None,
        }
    }
}

/// What can be wrong with a file, or with one of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The number of bytes of the file, of which there may be [`Wrcmds::MAX_LEN`].
    TooLong(usize),
    /// More lines than [`Wrcmds::MAX_LINES`].
    TooMany,
    /// Nothing but blanks.
    Empty,
    /// The number of bytes of a line, of which there may be [`WrCmd::MAX_LEN`](crate::codec::wrcmd::WrCmd::MAX_LEN).
    LongLine(usize),
    /// A control character.
    Control(u8),
    /// A line that is not a wrarena command.
    Command(wrcmd::WrcmdError),
    /// A wrarena command without `-h`.
    NoHost,
    /// A comment of ours, and no wrarena command that it belongs to.
    Dangling,
    /// A comment that goes on as one of ours does, and its first word.
    Word(String),
    /// A comment of ours lacks this field.
    Missing(&'static str),
    /// A word in a comment of ours that is not a field of it, or one too many.
    Field(String),
    /// A field, or the host of a command, that is not what it should be.
    Invalid(&'static str, Invalid),
    /// A field that is not a block type.
    Type(String),
    /// Damage of a target that has no line.
    NoPlace(TargetName),
}

impl Problem {
    pub(super) fn at_line(self, line: usize) -> WrcmdsError {
        WrcmdsError {
            line: Some(line),
            problem: self,
        }
    }

    pub(super) fn in_file(self) -> WrcmdsError {
        WrcmdsError {
            line: None,
            problem: self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(len) => write!(
                f,
                "expected at most {} bytes, found {len}: mend or accept the damage, or forget targets",
                Wrcmds::MAX_LEN
            ),
            Self::TooMany => write!(
                f,
                "expected at most {} lines, found more: mend or accept the damage, or forget targets",
                Wrcmds::MAX_LINES
            ),
            Self::Empty => f.write_str(
                "expected wrarena commands, found nothing: put it back from a copy, or remove it, \
                 and every target is probed from the first arena on",
            ),
            Self::LongLine(len) => {
                write!(f, "expected at most {} bytes, found {len}", WrcmdsLine::MAX_LEN)
            }
            Self::Control(byte) => write!(
                f,
                "expected text, found the control character {:?}: put the file back from a copy, \
                 or remove the line, and its target is probed from the first arena on",
                char::from(*byte)
            ),
            Self::Command(error) => error.fmt(f),
            Self::NoHost => f.write_str(
                "expected a wrarena command with -h, found none: add the target, or remove the line",
            ),
            Self::Dangling => f.write_str(
                "expected a wrarena command after this comment, found none: \
                 remove the comment, or put its command back",
            ),
            Self::Word(word) => write!(
                f,
                "expected place, damaged, damaged-here, accepted or unreadable, found {word:?}: correct the word"
            ),
            Self::Missing(key) => write!(
                f,
                "expected a field {key}= in this comment, found none: put it back, \
                 or begin a comment of your own with another word"
            ),
            Self::Field(word) => write!(
                f,
                "expected the fields of this comment, each once, found {word:?}: correct it, \
                 or begin a comment of your own with another word"
            ),
            Self::Invalid(key, error) => write!(f, "{key}: {error}"),
            Self::Type(word) => write!(
                f,
                "type: expected root, directory, data, pointer1 to pointer7 or unknown, found {word:?}"
            ),
            Self::NoPlace(target) => write!(f, "{target}: has no line yet"),
        }
    }
}
