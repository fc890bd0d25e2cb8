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

/// Such a number, or one with a suffix k, m, g or t of either case, which stands for
/// 2^10, 2^20, 2^30 or 2^40 times as much.
///
/// # Errors
/// [`Invalid`] names the word.
pub fn scaled(word: &str) -> Result<u64, Invalid> {
    let shift = match word.bytes().last().map(|byte| byte.to_ascii_lowercase()) {
        Some(b'k') => 10,
        Some(b'm') => 20,
        Some(b'g') => 30,
        Some(b't') => 40,
        _ => return number(word).map_err(|error| size(word, &error)),
    };
    let too_large = || Invalid::TooLarge(word.to_owned());
    let digits = word.get(..word.len() - 1).unwrap_or_default();
    let value = number(digits).map_err(|error| size(word, &error))?;
    value.checked_mul(1 << shift).ok_or_else(too_large)
}

/// What is wrong with a word that is to be a size.
fn size(word: &str, error: &Invalid) -> Invalid {
    match error {
        Invalid::TooLarge(_) => Invalid::TooLarge(word.to_owned()),
        Invalid::Octal(_) => Invalid::Octal(word.to_owned()),
        _ => Invalid::Scaled(word.to_owned()),
    }
}
