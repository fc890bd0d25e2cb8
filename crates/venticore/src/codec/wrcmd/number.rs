//! A number as C reads it.

use crate::codec::invalid::Invalid;
/// A number as C's `strtoull` reads it with base 0: decimal, hexadecimal
/// after `0x` or `0X`, octal after a leading `0`.
///
/// Unlike there, all of the word must be digits: no sign, no blank, no suffix.
///
/// # Errors
/// [`Invalid`] names the word.
pub fn number(word: &str) -> Result<u64, Invalid> {
    let (digits, base) =
        if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            (digits, 16)
        } else if word.len() > 1 && word.starts_with('0') {
            (word, 8)
        } else {
            (word, 10)
        };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base.max(10))) {
        return Err(Invalid::Number(word.to_owned()));
    }
    if !digits.chars().all(|c| c.is_digit(base)) {
        return Err(Invalid::Octal(word.to_owned()));
    }
    u64::from_str_radix(digits, base).map_err(|_| Invalid::TooLarge(word.to_owned()))
}
