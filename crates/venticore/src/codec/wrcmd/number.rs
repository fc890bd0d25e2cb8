//! A number as C reads it.

use std::fmt;

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
