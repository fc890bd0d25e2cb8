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

use std::fmt;

use nom::bytes::complete::{take_while, take_while1};
use nom::multi::many0;
use nom::{IResult, Parser};

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
    /// one `0x` in the line unless a name has one: see [`WrCmd::script_hazards`].
    ///
    /// # Errors
    /// [`Error::Word`] where the host or the file is not one word.
    pub fn new(host: &str, file_offset: u64, file: &str, clump_offset: u64) -> Result<Self, Error> {
        one_word("host", host)?;
        one_operand("arena file", file)?;
        let text = format!("wrarena -h {host} -o {file_offset} {file} {clump_offset:#x}\n");
        Self::parse(text.as_bytes())
    }

    /// Reads the contents of a `wrcmd` file, or one command line.
    ///
    /// # Errors
    /// Anything but one command line, with blank lines around it at most.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, Error> {
        let text = text.as_ref();
        if text.len() > Self::MAX_LEN {
            return Err(Error::TooLong(text.len()));
        }
        let text = std::str::from_utf8(text).map_err(|e| Error::NotText(e.valid_up_to()))?;
        let (before, line, after) = only_line(text)?;
        Reader::of(line)?.read(before, after)
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
    /// [`Error::Word`] where the host is not one word.
    pub fn with_host(&self, host: &str) -> Result<Self, Error> {
        one_word("host", host)?;
        let mut new = self.clone();
        new.host = Some(new.set_option(self.host, "-h", host.to_owned()));
        Ok(new)
    }

    /// The same line with another arena file.
    ///
    /// # Errors
    /// [`Error::Word`] where the file is not one word, or would be read as an option.
    pub fn with_file(&self, file: &str) -> Result<Self, Error> {
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

    /// What the rc script `ventiprog` would do wrong with this line (fossil.md 7.1).
    ///
    /// The script replaces everything from the first `0x` on by the new clump
    /// offset, and everything from the first `!` to the last by its target.
    #[must_use]
    pub fn script_hazards(&self) -> Vec<Hazard> {
        let mut found = Vec::new();
        let last = self.clump_offset.map(|(at, _)| at);
        if let Some(cut) = self.words_but(last).find(|word| word.contains("0x")) {
            found.push(Hazard::CutShort(cut.to_owned()));
        }
        if !last.is_some_and(|at| self.piece(at).starts_with("0x")) {
            found.push(Hazard::NeverMoves);
        }
        let bangs = self.host().map_or(0, |host| host.matches('!').count());
        if bangs < 2 {
            found.push(Hazard::NoTarget);
        }
        if let Some(word) = self.words_but(self.host).find(|word| word.contains('!')) {
            found.push(Hazard::Mangled(word.to_owned()));
        }
        if self.en_dash {
            found.push(Hazard::EnDash);
        }
        found
    }

    fn piece(&self, at: usize) -> &str {
        self.pieces.get(at).map_or("", String::as_str)
    }

    fn words_but(&self, excluded: Option<usize>) -> impl Iterator<Item = &str> {
        let pieces = self.pieces.iter().enumerate();
        pieces
            .filter(move |(at, _)| Some(*at) != excluded)
            .map(|(_, piece)| piece.as_str())
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

/// Something the rc script `ventiprog` would do wrong with a line that we read well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hazard {
    /// This word, before the clump offset, has a `0x`.
    CutShort(String),
    /// The clump offset is absent or does not begin with `0x`.
    NeverMoves,
    /// There is no host with two `!` in it.
    NoTarget,
    /// This word, which is not the host, has a `!`.
    Mangled(String),
    /// An option begins with an en dash.
    EnDash,
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort(word) => write!(
                f,
                "the rc ventiprog cuts the line at the first 0x, which is in {word:?}: write -o in decimal"
            ),
            Self::NeverMoves => f.write_str(
                "the rc ventiprog never moves a clump offset without 0x: write it in hexadecimal",
            ),
            Self::NoTarget => f.write_str(
                "the rc ventiprog puts its targets between two !, and the host has no two: write -h tcp!HOST!17034",
            ),
            Self::Mangled(word) => write!(
                f,
                "the rc ventiprog replaces everything from the first ! to the last, and {word:?} has one"
            ),
            Self::EnDash => f.write_str(
                "an option begins with an en dash, which only this program reads: write -",
            ),
        }
    }
}

/// Why a text is not a wrarena command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
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
    /// A word that is no number, and what it should have been.
    Number(&'static str, NumberError),
    /// No arena file.
    NoFile,
    /// The first operand too many.
    TooMany(String),
    /// A name for the line that is not one word, and what it names.
    Word(&'static str, String),
}

impl fmt::Display for Error {
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
            Self::Lines(n) => write!(f, "expected one line, found {n}: leave the one to go on from"),
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
                "{what}: expected one word without blanks and no leading dash, found {word:?}"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Number(_, e) => Some(e),
            _ => None,
        }
    }
}

/// Why a text is not a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// The word, which is not all digits.
    Digit(String),
    /// The word, which has a leading 0 and other digits than octal ones.
    Octal(String),
    /// The word, whose value is 2^64 or more.
    TooLarge(String),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digit(word) => write!(
                f,
                "expected a decimal, 0x hexadecimal or 0 octal number without suffix, found {word:?}"
            ),
            Self::Octal(word) => {
                write!(
                    f,
                    "expected octal digits after the leading 0, found {word:?}"
                )
            }
            Self::TooLarge(word) => write!(f, "expected a number below 2^64, found {word:?}"),
        }
    }
}

impl std::error::Error for NumberError {}

/// A number as C's `strtoull` reads it with base 0: decimal, hexadecimal
/// after `0x` or `0X`, octal after a leading `0`.
///
/// Unlike there, all of the word must be digits: no sign, no blank, no suffix.
///
/// # Errors
/// [`NumberError`] names the word.
pub fn number(word: &str) -> Result<u64, NumberError> {
    let (digits, base) =
        if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            (digits, 16)
        } else if word.len() > 1 && word.starts_with('0') {
            (word, 8)
        } else {
            (word, 10)
        };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base.max(10))) {
        return Err(NumberError::Digit(word.to_owned()));
    }
    if !digits.chars().all(|c| c.is_digit(base)) {
        return Err(NumberError::Octal(word.to_owned()));
    }
    u64::from_str_radix(digits, base).map_err(|_| NumberError::TooLarge(word.to_owned()))
}

/// The characters between words.
fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// The words of a line, each with the blanks before it; the rest is blank.
fn words(line: &str) -> IResult<&str, Vec<(&str, &str)>> {
    many0((take_while(is_blank), take_while1(|c| !is_blank(c)))).parse(line)
}

/// What stands before the only line that is not blank, that line, and what follows it.
fn only_line(text: &str) -> Result<(&str, &str, &str), Error> {
    let mut found = None;
    let mut count = 0;
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some((at, c)) = line
            .char_indices()
            .find(|(_, c)| c.is_control() && *c != '\t')
        {
            return Err(Error::Control(c, start + at));
        }
        let trimmed = line.trim_matches(is_blank);
        if trimmed.starts_with('#') {
            return Err(Error::Comment(trimmed.to_owned()));
        }
        if !trimmed.is_empty() {
            count += 1;
            found = Some((start, start + line.len()));
        }
        start += whole.len();
    }
    let (start, end) = found.ok_or(Error::Empty)?;
    if count > 1 {
        return Err(Error::Lines(count));
    }
    let (before, rest) = text.split_at(start);
    let (line, after) = rest.split_at(end - start);
    Ok((before, line, after))
}

/// The letters of an option word, and whether an en dash stood before them.
/// A lone dash is an operand.
fn option_letters(word: &str) -> Option<(&str, bool)> {
    let (letters, en_dash) = match word.strip_prefix('-') {
        Some(letters) => (letters, false),
        None => (word.strip_prefix('\u{2013}')?, true),
    };
    (!letters.is_empty()).then_some((letters, en_dash))
}

/// Refuses what would not be read back as one word.
fn one_word(what: &'static str, word: &str) -> Result<(), Error> {
    if word.is_empty() || word.chars().any(|c| is_blank(c) || c.is_control()) {
        return Err(Error::Word(what, word.to_owned()));
    }
    Ok(())
}

/// Refuses what would not be read back as an operand.
fn one_operand(what: &'static str, word: &str) -> Result<(), Error> {
    if option_letters(word).is_some() {
        return Err(Error::Word(what, word.to_owned()));
    }
    one_word(what, word)
}

/// Reads the words of a line from left to right into pieces.
struct Reader<'a> {
    words: std::vec::IntoIter<(&'a str, &'a str)>,
    trailing: &'a str,
    pieces: Vec<String>,
    host: Option<usize>,
    file_offset: Option<(usize, u64)>,
    max: Option<u64>,
    verbose: bool,
    unchecked: bool,
    en_dash: bool,
}

impl<'a> Reader<'a> {
    fn of(line: &'a str) -> Result<Self, Error> {
        let (trailing, words) = words(line).map_err(|_| Error::Empty)?;
        Ok(Reader {
            words: words.into_iter(),
            trailing,
            pieces: Vec::new(),
            host: None,
            file_offset: None,
            max: None,
            verbose: false,
            unchecked: false,
            en_dash: false,
        })
    }

    fn read(mut self, before: &str, after: &str) -> Result<WrCmd, Error> {
        let (command, word) = self.next_word().ok_or(Error::Empty)?;
        if option_letters(word).is_some() {
            return Err(Error::NoCommand(word.to_owned()));
        }
        self.options()?;
        let (file, _) = self.next_word().ok_or(Error::NoFile)?;
        let clump_offset = match self.next_word() {
            Some((at, word)) => Some((at, numbered("clump offset", word)?)),
            None => None,
        };
        if let Some((_, word)) = self.words.next() {
            return Err(Error::TooMany(word.to_owned()));
        }
        self.pieces.push(self.trailing.to_owned());
        Ok(WrCmd {
            before: before.to_owned(),
            pieces: self.pieces,
            after: after.to_owned(),
            command,
            host: self.host,
            file_offset: self.file_offset,
            file,
            clump_offset,
            max: self.max,
            verbose: self.verbose,
            unchecked: self.unchecked,
            en_dash: self.en_dash,
        })
    }

    /// The next word as a piece: where it is, and what it says.
    fn next_word(&mut self) -> Option<(usize, &'a str)> {
        let (blanks, word) = self.words.next()?;
        self.pieces.push(blanks.to_owned());
        Some((self.push(word), word))
    }

    fn push(&mut self, text: &str) -> usize {
        self.pieces.push(text.to_owned());
        self.pieces.len() - 1
    }

    fn options(&mut self) -> Result<(), Error> {
        while let Some((blanks, word)) = self.words.as_slice().first().copied() {
            let Some((letters, en_dash)) = option_letters(word) else {
                break;
            };
            self.words.next();
            self.pieces.push(blanks.to_owned());
            self.en_dash |= en_dash;
            if letters == "-" || letters == "\u{2013}" {
                self.push(word);
                break;
            }
            self.option_word(word, letters)?;
        }
        Ok(())
    }

    /// One word of options, and the next one where the last option's value is there.
    fn option_word(&mut self, word: &str, letters: &str) -> Result<(), Error> {
        for (at, letter) in letters.char_indices() {
            match letter {
                'v' => self.verbose = true,
                'f' => self.unchecked = true,
                'h' | 'o' | 'M' => {
                    let value = letters.get(at + 1..).unwrap_or("");
                    let option = word.strip_suffix(value).unwrap_or(word);
                    self.push(option);
                    return self.option_value(letter, value);
                }
                other => return Err(Error::UnknownOption(other, word.to_owned())),
            }
        }
        self.push(word);
        Ok(())
    }

    fn option_value(&mut self, letter: char, attached: &str) -> Result<(), Error> {
        let (at, value) = if attached.is_empty() {
            let (at, value) = self.next_word().ok_or(Error::NoValue(letter))?;
            (at, value.to_owned())
        } else {
            (self.push(attached), attached.to_owned())
        };
        match letter {
            'h' => self.host = Some(at),
            'o' => self.file_offset = Some((at, numbered("-o", &value)?)),
            _ => self.max = Some(numbered("-M", &value)?),
        }
        Ok(())
    }
}

fn numbered(what: &'static str, word: &str) -> Result<u64, Error> {
    number(word).map_err(|e| Error::Number(what, e))
}

#[cfg(test)]
mod tests;
