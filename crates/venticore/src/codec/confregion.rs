//! A configuration region: bytes <-> the text of a server's configuration.
//!
//! Such a region lies at a fixed place in a partition, just before the
//! server's own header. It holds a fixed first line, then the text, then zeros
//! up to its end; where the text fills it, no zero follows (venti.md 12). The
//! commands that read and write regions differ in nothing but the [`Region`].

pub mod diff;

use std::borrow::Cow;

use super::invalid::Invalid;

/// Where one server's configuration lies, and what it looks like there.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// The command that edits it; names the files that keep what was there.
    pub command: &'static str,
    /// The first line, with its newline; the text is what follows.
    pub first_line: &'static str,
    /// Where it begins, bytes from the start of the partition.
    pub offset: u64,
    /// Its size in bytes.
    pub size: usize,
    /// The least length of a partition in which the server looks for it.
    pub min_len: u64,
    /// The headers that the server's formatters write right behind it.
    pub headers: &'static [Signature],
    /// Whether the server ignores a last line that has no newline.
    pub whole_lines: bool,
}

/// What shows that a partition is of the server's kind.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Its first four bytes.
    pub magic: u32,
    /// What has such a header, for messages.
    pub name: &'static str,
}

/// What a region holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionContents<'a> {
    /// A configuration.
    Text {
        /// The text behind the first line.
        text: &'a [u8],
        /// Whether there is something behind the zero that ends the text: an
        /// earlier, longer one. Servers ignore it.
        rest: bool,
    },
    /// Nothing but zeros.
    Zeros,
    /// Other bytes; the first that is not zero is at this offset in the region.
    Other(usize),
}

impl Region {
    /// How many bytes of text fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.first_line.len())
    }

    /// One past its last byte, where the server's own header is.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset
            .saturating_add(u64::try_from(self.size).unwrap_or(u64::MAX))
    }

    /// The bytes of the region that hold this text.
    ///
    /// # Errors
    /// The text does not fit, or is none.
    pub fn encode(&self, text: &[u8]) -> Result<Vec<u8>, Invalid> {
        if text.len() > self.room() {
            let (room, found) = (self.room(), text.len());
            return Err(Invalid::TextLong { room, found });
        }
        if let Some(at) = text.iter().position(|&byte| byte == 0) {
            return Err(Invalid::TextNul(at));
        }
        let mut bytes = Vec::with_capacity(self.size);
        bytes.extend_from_slice(self.first_line.as_bytes());
        bytes.extend_from_slice(text);
        bytes.resize(self.size, 0);
        Ok(bytes)
    }

    /// What these bytes of a region hold.
    #[must_use]
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> RegionContents<'a> {
        if let Some(after) = bytes.strip_prefix(self.first_line.as_bytes()) {
            let zero = after.iter().position(|&byte| byte == 0);
            let (text, rest) = after.split_at(zero.unwrap_or(after.len()));
            let rest = rest.iter().any(|&byte| byte != 0);
            return RegionContents::Text { text, rest };
        }
        match bytes.iter().position(|&byte| byte != 0) {
            Some(at) => RegionContents::Other(at),
            None => RegionContents::Zeros,
        }
    }

    /// The text as the server will read all of it: with a last newline, where
    /// it needs one.
    #[must_use]
    pub fn complete<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.whole_lines || text.is_empty() || text.ends_with(b"\n") {
            return Cow::Borrowed(text);
        }
        Cow::Owned([text, b"\n"].concat())
    }

    /// Whether a header that starts with these bytes is the server's.
    #[must_use]
    pub fn is_header(&self, bytes: &[u8]) -> bool {
        let magics = self.headers.iter().map(|header| header.magic.to_be_bytes());
        magics.into_iter().any(|magic| bytes.starts_with(&magic))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::commands::venticonf::REGION;

    const SMALL: Region = Region {
        first_line: "a b\n",
        size: 16,
        ..REGION
    };

    #[test]
    fn a_region_is_its_first_line_the_text_and_zeros() {
        let vector = *b"a b\nmem 1m\n\0\0\0\0\0";
        let text = &b"mem 1m\n"[..];
        assert_eq!(SMALL.encode(text).unwrap(), vector);
        let held = RegionContents::Text { text, rest: false };
        assert_eq!(SMALL.decode(&vector), held);
    }

    #[test]
    fn the_limit_is_exact() {
        let full = [b'x'; 12];
        let bytes = SMALL.encode(&full).unwrap();
        assert_eq!(bytes, *b"a b\nxxxxxxxxxxxx");
        let (text, rest) = (&full[..], false);
        assert_eq!(SMALL.decode(&bytes), RegionContents::Text { text, rest });
        let (room, found) = (12, 13);
        let error = Invalid::TextLong { room, found };
        assert_eq!(SMALL.encode(&[b'x'; 13]), Err(error));
    }

    #[test]
    fn a_zero_byte_is_no_text() {
        assert_eq!(SMALL.encode(b"mem\0"), Err(Invalid::TextNul(3)));
    }

    #[test]
    fn what_an_earlier_text_left_is_told_apart() {
        let held = SMALL.decode(b"a b\nx\n\0em 1m\n\0\0\0");
        let (text, rest) = (&b"x\n"[..], true);
        assert_eq!(held, RegionContents::Text { text, rest });
    }

    #[test]
    fn without_the_first_line_there_is_no_text() {
        assert_eq!(SMALL.decode(&[0; 16]), RegionContents::Zeros);
        assert_eq!(
            SMALL.decode(b"a b\r\nmem 1m\n\0\0\0\0"),
            RegionContents::Other(0)
        );
        assert_eq!(
            SMALL.decode(b"a b\0mem 1m\n\0\0\0\0\0"),
            RegionContents::Other(0)
        );
        assert_eq!(
            SMALL.decode(b"\0\0\0z\0\0\0\0\0\0\0\0\0\0\0\0"),
            RegionContents::Other(3)
        );
    }

    #[test]
    fn a_last_newline_is_added_where_the_server_needs_one() {
        let any = Region {
            whole_lines: false,
            ..SMALL
        };
        for (text, whole) in [("", ""), ("a", "a\n"), ("a\n", "a\n")] {
            assert_eq!(*SMALL.complete(text.as_bytes()), *whole.as_bytes());
            assert_eq!(*any.complete(text.as_bytes()), *text.as_bytes());
        }
    }

    #[test]
    fn a_header_is_known_by_its_magic() {
        assert!(REGION.is_header(&[0xa9, 0xe4, 0xa5, 0xe7, 0]));
        assert!(!REGION.is_header(&[0xa9, 0xe4, 0xa5]));
        assert!(!REGION.is_header(&[0; 4]));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "[^\0]{0,40}", size in 4_usize..48) {
            let region = Region { size, ..SMALL };
            match region.encode(text.as_bytes()) {
                Ok(bytes) => {
                    prop_assert_eq!(bytes.len(), size);
                    let (text, rest) = (text.as_bytes(), false);
                    prop_assert_eq!(region.decode(&bytes), RegionContents::Text { text, rest });
                }
                Err(_) => prop_assert!(text.len() + 4 > size),
            }
        }

        #[test]
        fn any_bytes_are_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            let _ = SMALL.decode(&bytes);
        }
    }
}
