//! Reading a line.

use super::word::{is_blank, option_letters, words};
use super::{WrCmd, WrcmdError, number};

/// What stands before the only line that is not blank, that line, and what follows it.
pub(super) fn only_line(text: &str) -> Result<(&str, &str, &str), WrcmdError> {
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
            return Err(WrcmdError::Control(c, start + at));
        }
        let trimmed = line.trim_matches(is_blank);
        if trimmed.starts_with('#') {
            return Err(WrcmdError::Comment(trimmed.to_owned()));
        }
        if !trimmed.is_empty() {
            count += 1;
            found = Some((start, start + line.len()));
        }
        start += whole.len();
    }
    let (start, end) = found.ok_or(WrcmdError::Empty)?;
    if count > 1 {
        return Err(WrcmdError::Lines(count));
    }
    let (before, rest) = text.split_at(start);
    let (line, after) = rest.split_at(end - start);
    Ok((before, line, after))
}

/// Reads the words of a line from left to right into pieces.
pub(super) struct WordReader<'a> {
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

impl<'a> WordReader<'a> {
    pub(super) fn of(line: &'a str) -> Result<Self, WrcmdError> {
        let (trailing, words) = words(line).map_err(|_| WrcmdError::Empty)?;
        Ok(WordReader {
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

    pub(super) fn read(mut self, before: &str, after: &str) -> Result<WrCmd, WrcmdError> {
        let (command, word) = self.next_word().ok_or(WrcmdError::Empty)?;
        if option_letters(word).is_some() {
            return Err(WrcmdError::NoCommand(word.to_owned()));
        }
        self.options()?;
        let (file, _) = self.next_word().ok_or(WrcmdError::NoFile)?;
        let clump_offset = match self.next_word() {
            Some((at, word)) => Some((at, numbered("clump offset", word)?)),
            None => None,
        };
        if let Some((_, word)) = self.words.next() {
            return Err(WrcmdError::TooMany(word.to_owned()));
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

    fn options(&mut self) -> Result<(), WrcmdError> {
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
    fn option_word(&mut self, word: &str, letters: &str) -> Result<(), WrcmdError> {
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
                other => return Err(WrcmdError::UnknownOption(other, word.to_owned())),
            }
        }
        self.push(word);
        Ok(())
    }

    fn option_value(&mut self, letter: char, attached: &str) -> Result<(), WrcmdError> {
        let (at, value) = if attached.is_empty() {
            let (at, value) = self.next_word().ok_or(WrcmdError::NoValue(letter))?;
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

fn numbered(what: &'static str, word: &str) -> Result<u64, WrcmdError> {
    number(word).map_err(|e| WrcmdError::Number(what, e))
}
