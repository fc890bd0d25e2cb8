//! The wrarena command line as a value: parse, change, print (venti.md 10.2).
//!
//! One line, as it stands in the file `wrcmd`:
//!
//! ```text
//! wrarena -h tcp!192.168.1.123!17034 -o 537665536 /dev/sdC0/arenas 0x14f55e1f
//! ```
//!
//! The rc scripts split it by `$ifs`, so words end at blanks and tabs and no
//! quoting exists. What is not changed is kept byte for byte.

mod error;
mod number;
mod reader;
mod word;

use std::fmt;

pub use error::WrcmdError;
pub use number::{number, scaled};
pub(crate) use word::is_blank;

use reader::{WordReader, only_line};
use word::{one_operand, one_word};

/// A wrarena command line: command word, options, arena file, clump offset.
///
/// Options are read as C programs of Plan 9 read theirs: grouped (`-vh HOST`),
/// the value attached (`-o123`) or in the next word, before the operands, ended
/// by `--`; of an option given twice the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrCmd {
    /// Blank lines before the line.
    before: String,
    /// The line: words and the blanks between them; the value of an option
    /// is a piece of its own even where it is attached.
    pieces: Vec<String>,
    /// What follows the line: a carriage return, newlines, blank lines.
    after: String,
    command: usize,
    host: Option<usize>,
    file_offset: Option<(usize, u64)>,
    file: usize,
    clump_offset: Option<(usize, u64)>,
    max: Option<u64>,
    verbose: bool,
    unchecked: bool,
    en_dash: bool,
}

impl WrCmd {
    /// The most bytes a file with a wrarena command line may have.
    pub const MAX_LEN: usize = 4096;

    /// The command line in canonical form, `wrarena -h HOST -o N FILE 0xN`.
    ///
    /// `file_offset` counts bytes from the start of the partition to the
    /// arena's head, `clump_offset` bytes of the arena's data section. There is exactly
    /// one `0x` in the line unless a name has one: the rc scripts look for it.
    ///
    /// # Errors
    /// [`WrcmdError::Word`] where the host or the file is not one word.
    pub fn new(
        host: &str,
        file_offset: u64,
        file: &str,
        clump_offset: u64,
    ) -> Result<Self, WrcmdError> {
        one_word("host", host)?;
        one_operand("arena file", file)?;
        let text = format!("wrarena -h {host} -o {file_offset} {file} {clump_offset:#x}\n");
        Self::parse(text.as_bytes())
    }

    /// Reads the contents of a `wrcmd` file, or one command line.
    ///
    /// # Errors
    /// Anything but one command line, with blank lines around it at most.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, WrcmdError> {
        let text = text.as_ref();
        if text.len() > Self::MAX_LEN {
            return Err(WrcmdError::TooLong(text.len()));
        }
        let text = std::str::from_utf8(text).map_err(|e| WrcmdError::NotText(e.valid_up_to()))?;
        let (before, line, after) = only_line(text)?;
        WordReader::of(line)?.read(before, after)
    }

    /// The command word, with a path if it has one.
    #[must_use]
    pub fn command(&self) -> &str {
        self.piece(self.command)
    }

    /// The dial string after `-h`.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.map(|at| self.piece(at))
    }

    /// The number after `-o`: where in the file the arena's head block is, in bytes.
    #[must_use]
    pub fn file_offset(&self) -> Option<u64> {
        self.file_offset.map(|(_, value)| value)
    }

    /// The arena file: a partition, or a file with an arena in it.
    #[must_use]
    pub fn file(&self) -> &str {
        self.piece(self.file)
    }

    /// Where in the arena's data section to go on, in bytes; 0 where the word is absent.
    #[must_use]
    pub fn clump_offset(&self) -> u64 {
        self.clump_offset.map_or(0, |(_, value)| value)
    }

    /// The number after `-M`: the most clumps to send.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.max
    }

    /// True with `-v`: print each score sent.
    #[must_use]
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// True with `-f`: do not check the clumps against their scores.
    #[must_use]
    pub fn unchecked(&self) -> bool {
        self.unchecked
    }

    /// True where an en dash (U+2013) stood for the `-` of an option, as in
    /// the printed manual. It is read, and kept; a shell would not read it.
    #[must_use]
    pub fn had_en_dash(&self) -> bool {
        self.en_dash
    }

    /// The same line with another clump offset, written `0x...`; appended
    /// where there was none. An unchanged value leaves its spelling alone.
    #[must_use]
    pub fn with_clump_offset(&self, value: u64) -> Self {
        let mut new = self.clone();
        if value == self.clump_offset() {
            return new;
        }
        let text = format!("{value:#x}");
        let at = match self.clump_offset {
            Some((at, _)) => new.set(at, text),
            None => new.insert(self.file + 1, [" ".to_owned(), text]) + 1,
        };
        new.clump_offset = Some((at, value));
        new
    }

    /// The same line with another arena, `-o` in decimal; inserted after the
    /// command word where there was none. An unchanged value leaves its spelling alone.
    #[must_use]
    pub fn with_file_offset(&self, value: u64) -> Self {
        let mut new = self.clone();
        if self.file_offset() == Some(value) {
            return new;
        }
        let at = new.set_option(self.file_offset.map(|(at, _)| at), "-o", value.to_string());
        new.file_offset = Some((at, value));
        new
    }

    /// The same line with another host; `-h` is inserted after the command
    /// word where there was none.
    ///
    /// # Errors
    /// [`WrcmdError::Word`] where the host is not one word.
    pub fn with_host(&self, host: &str) -> Result<Self, WrcmdError> {
        one_word("host", host)?;
        let mut new = self.clone();
        new.host = Some(new.set_option(self.host, "-h", host.to_owned()));
        Ok(new)
    }

    /// The same line with another arena file.
    ///
    /// # Errors
    /// [`WrcmdError::Word`] where the file is not one word, or would be read as an option.
    pub fn with_file(&self, file: &str) -> Result<Self, WrcmdError> {
        one_operand("arena file", file)?;
        let mut new = self.clone();
        new.set(self.file, file.to_owned());
        Ok(new)
    }

    /// The line without what ends it: no newline, no carriage return.
    #[must_use]
    pub fn line(&self) -> String {
        self.pieces.concat()
    }

    /// Everything as it was read, but for the words changed since.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}{self}{}", self.before, self.after)
    }

    /// The contents of a `wrcmd` file: the line, its carriage return if it
    /// had one, and exactly one newline.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let cr = if self.after.starts_with('\r') {
            "\r"
        } else {
            ""
        };
        format!("{self}{cr}\n").into_bytes()
    }

    fn piece(&self, at: usize) -> &str {
        self.pieces.get(at).map_or("", String::as_str)
    }

    /// Replaces one piece, and says where it is.
    fn set(&mut self, at: usize, text: String) -> usize {
        if let Some(piece) = self.pieces.get_mut(at) {
            *piece = text;
        }
        at
    }

    /// Replaces an option's value, or inserts the option after the command word.
    fn set_option(&mut self, at: Option<usize>, option: &str, value: String) -> usize {
        match at {
            Some(at) => self.set(at, value),
            None => {
                let blank = " ".to_owned();
                let new = [blank.clone(), option.to_owned(), blank, value];
                self.insert(self.command + 1, new) + 3
            }
        }
    }

    /// Inserts pieces, and says where the first of them is.
    fn insert<const N: usize>(&mut self, at: usize, new: [String; N]) -> usize {
        self.pieces.splice(at..at, new);
        let moved = |place: usize| if place >= at { place + N } else { place };
        self.host = self.host.map(moved);
        self.file_offset = self.file_offset.map(|(place, value)| (moved(place), value));
        self.file = moved(self.file);
        self.clump_offset = self
            .clump_offset
            .map(|(place, value)| (moved(place), value));
        at
    }
}

impl fmt::Display for WrCmd {
    /// The line without what ends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| f.write_str(piece))
    }
}

#[cfg(test)]
mod tests;
