//! What a program said on one stream, line by line, kept only as far as it
//! matters.

use crate::host::child::Listen;
use crate::text::excerpt;

/// A line longer than this is not a wrarena's.
const LINE_MAX: usize = 16 * 1024;

/// How much of a line is shown.
pub(super) const SHOWN: usize = 200;

/// What is known of one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Well-formed `end offset` lines.
    pub(super) ends: u64,
    /// The offset in the first of them.
    pub(super) end: Option<u64>,
    /// The first line that has the word `offset` and is not one of them.
    pub(super) unfit: Option<String>,
    /// The first line that is a number and nothing else.
    pub(super) bare: Option<String>,
    /// The first line that names a damaged clump.
    pub(super) damage: Option<String>,
    /// How many lines do.
    pub(super) damaged: u64,
    /// The first line that says that it could not connect.
    pub(super) no_connection: Option<String>,
    /// The last line that is not empty.
    pub(super) last: Option<String>,
    /// Why the stream cannot be relied on.
    pub(super) unread: Option<String>,
}

/// Turns the bytes of a stream into [`Said`].
#[derive(Debug, Default)]
pub(super) struct SaidParser {
    said: Said,
    line: Vec<u8>,
    /// The end of the line is being dropped.
    cut: bool,
}

impl Listen for SaidParser {
    fn hear(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, whole) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            self.take(text);
            if whole {
                self.end_line();
            }
        }
    }

    fn broke(&mut self, why: String) {
        self.said.unread.get_or_insert(why);
    }
}

impl SaidParser {
    /// The stream has ended.
    pub(super) fn finish(mut self) -> Said {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.said.line(&line);
            // It may be the beginning of a longer number.
            if end_offset(&line).is_some() {
                self.said
                    .unfit
                    .get_or_insert_with(|| excerpt(line.trim_ascii(), SHOWN));
            }
        }
        self.said
    }

    fn take(&mut self, text: &[u8]) {
        let room = LINE_MAX - self.line.len();
        self.line.extend(text.iter().take(room));
        if text.len() > room && !self.cut {
            self.cut = true;
            self.broke(format!("a line of more than {LINE_MAX} bytes"));
        }
    }

    fn end_line(&mut self) {
        self.said.line(&self.line);
        self.line.clear();
        self.cut = false;
    }
}

impl Said {
    fn line(&mut self, line: &[u8]) {
        if let Some(offset) = end_offset(line) {
            self.ends += 1;
            self.end.get_or_insert(offset);
        } else if has(line, b"offset") {
            self.unfit
                .get_or_insert_with(|| excerpt(line.trim_ascii(), SHOWN));
        } else if is_number(line) {
            self.bare
                .get_or_insert_with(|| excerpt(line.trim_ascii(), SHOWN));
        }
        if names_a_clump(line) {
            self.damaged += 1;
            self.damage
                .get_or_insert_with(|| excerpt(line.trim_ascii(), SHOWN));
        }
        if has(line, b"could not connect") {
            self.no_connection
                .get_or_insert_with(|| excerpt(line.trim_ascii(), SHOWN));
        }
        if !line.trim_ascii().is_empty() {
            self.last = Some(excerpt(line.trim_ascii(), SHOWN));
        }
    }
}

/// The offset of `end offset 0x...`, or of the `end offset 0` that the C tools
/// print for an empty arena. Nothing may stand before or after it.
fn end_offset(line: &[u8]) -> Option<u64> {
    let number = line.strip_prefix(b"end offset ")?;
    if number == b"0" {
        return Some(0);
    }
    let digits = number.strip_prefix(b"0x")?;
    let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = str::from_utf8(digits).ok()?;
    // More than 16 digits are too many for the parser below.
    let whole = digits.iter().all(plain);
    u64::from_str_radix(text, 16).ok().filter(|_| whole)
}

/// True for a line like `clump 0x13dd9 failed to read` or `corrupt clump read
/// at 0x1c`. The first clump of an arena is `clump 0` to the C tools: their
/// format has no `0x` for nothing.
fn names_a_clump(line: &[u8]) -> bool {
    let mut words = line.windows(b"clump 0".len());
    has(line, b"corrupt clump")
        || words.any(|word| word.starts_with(b"clump ") && word[6].is_ascii_digit())
}

/// True for a decimal or hexadecimal number alone, with or without blanks
/// around it. Scores are longer.
fn is_number(line: &[u8]) -> bool {
    let number = line.trim_ascii();
    let hexadecimal = number.strip_prefix(b"0x");
    let digits = hexadecimal.unwrap_or(number);
    let fits = match hexadecimal {
        Some(_) => u8::is_ascii_hexdigit,
        None => u8::is_ascii_digit,
    };
    (1..=20).contains(&digits.len()) && digits.iter().all(fits)
}

fn has(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|part| part == word)
}
