//! The words of a line: what lies between them, which are options.

use nom::bytes::complete::{take_while, take_while1};
use nom::multi::many0;
use nom::{IResult, Parser};

use super::WrcmdError;
use crate::text::is_for_a_shell;

/// The characters between words.
pub(crate) fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// The words of a line, each with the blanks before it; the rest is blank.
pub(super) fn words(line: &str) -> IResult<&str, Vec<(&str, &str)>> {
    many0((take_while(is_blank), take_while1(|c| !is_blank(c)))).parse(line)
}

/// The letters of an option word, and whether an en dash stood before them.
/// A lone dash is an operand.
pub(super) fn option_letters(word: &str) -> Option<(&str, bool)> {
    let (letters, en_dash) = match word.strip_prefix('-') {
        Some(letters) => (letters, false),
        None => (word.strip_prefix('\u{2013}')?, true),
    };
    (!letters.is_empty()).then_some((letters, en_dash))
}

/// Refuses what would not be read back as one word.
pub(super) fn one_word(what: &'static str, word: &str) -> Result<(), WrcmdError> {
    if word.is_empty() || word.chars().any(|c| is_blank(c) || c.is_control()) {
        return Err(WrcmdError::Word(what, word.to_owned()));
    }
    Ok(())
}

/// Refuses what would not be read back as an operand, here or in a shell.
pub(super) fn one_operand(what: &'static str, word: &str) -> Result<(), WrcmdError> {
    if option_letters(word).is_some() || is_for_a_shell(word) {
        return Err(WrcmdError::Word(what, word.to_owned()));
    }
    one_word(what, word)
}
