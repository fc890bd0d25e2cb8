//! Ranges of an object, as they are asked for and as they are answered.

use std::io::{self, Read};

/// Bytes of an object that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) from: u64,
    /// One past the last byte.
    pub(super) to: u64,
}

impl ByteRange {
    /// This number of bytes from there on.
    pub(super) fn of(from: u64, len: u64) -> Self {
        ByteRange {
            from,
            to: from.saturating_add(len),
        }
    }

    /// The value of the header that asks for it.
    pub(super) fn header(self) -> String {
        format!("bytes={}-{}", self.from, self.to.saturating_sub(1))
    }

    /// How many bytes of a body are to be passed over, and how many taken, by what the answer
    /// says of itself: the status, the content range, if there is one.
    ///
    /// # Errors
    /// It is another range.
    pub(super) fn of_answer(
        self,
        status: u16,
        content_range: Option<&str>,
    ) -> io::Result<BodyPart> {
        let Some(text) = content_range else {
            return match status {
                // The server does not know ranges, and gives everything.
                200 => Ok(BodyPart {
                    skip: self.from,
                    take: self.to - self.from,
                    is_exact: false,
                }),
                _ => Err(other_range()),
            };
        };
        let (first, last, whole) = parse(text).ok_or_else(other_range)?;
        let is_end = whole.is_none_or(|whole| last + 1 == whole);
        let is_it = first == self.from && last < self.to && (last + 1 == self.to || is_end);
        match is_it {
            true => Ok(BodyPart {
                skip: 0,
                take: last + 1 - first,
                is_exact: true,
            }),
            false => Err(other_range()),
        }
    }
}

/// What is taken of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyPart {
    pub(super) skip: u64,
    pub(super) take: u64,
    /// It has just these bytes.
    pub(super) is_exact: bool,
}

impl BodyPart {
    /// The bytes of a body. One without ranges may end before them; `length` is what its
    /// header says.
    ///
    /// # Errors
    /// The body ends earlier than was said.
    pub(super) fn of(self, mut body: impl Read, length: Option<u64>) -> io::Result<Vec<u8>> {
        let take = match self.is_exact {
            true => self.take,
            false => length.map_or(self.take, |length| {
                length.saturating_sub(self.skip).min(self.take)
            }),
        };
        let skip = length.map_or(self.skip, |length| length.min(self.skip));
        let skipped = io::copy(&mut body.by_ref().take(skip), &mut io::sink())?;
        let mut bytes = Vec::new();
        body.take(take).read_to_end(&mut bytes)?;
        let is_told = self.is_exact || length.is_some();
        match is_told && (skipped < skip || (bytes.len() as u64) < take) {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(bytes),
        }
    }
}

fn other_range() -> io::Error {
    io::Error::other("the server gives another range than the one that was asked for")
}

/// First and last byte, and the size where it is told: `bytes 0-99/200`.
fn parse(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, whole) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
    let whole = match whole {
        "*" => None,
        whole => Some(whole.parse().ok()?),
    };
    (first <= last && last < u64::MAX).then_some((first, last, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_the_range_that_was_asked_for() {
        let range = ByteRange::of(100, 50);
        assert_eq!(range.header(), "bytes=100-149");
        let exact = |take| BodyPart {
            skip: 0,
            take,
            is_exact: true,
        };
        let good = |status, text| range.of_answer(status, Some(text)).unwrap();
        assert_eq!(good(206, "bytes 100-149/1000"), exact(50));
        assert_eq!(good(206, "bytes 100-119/120"), exact(20));
        assert_eq!(good(206, "bytes 100-149/*"), exact(50));
        // As rclone does.
        assert_eq!(good(200, "bytes 100-149/1000"), exact(50));
        let all = range.of_answer(200, None).unwrap();
        assert_eq!((all.skip, all.take, all.is_exact), (100, 50, false));
        for text in [
            "bytes 100-119/1000",
            "bytes 0-49/1000",
            "bytes 100-150/1000",
            "bytes 149-100/1000",
            "bytes */1000",
            "100-149/1000",
            "",
        ] {
            assert!(range.of_answer(206, Some(text)).is_err(), "{text}");
        }
        assert!(range.of_answer(206, None).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_panics(from: u64, len in 1..u64::MAX, text in "(bytes )?[0-9*/ -]{0,40}") {
            if let Ok(part) = ByteRange::of(from, len).of_answer(206, Some(&text)) {
                prop_assert!(part.take <= len && part.skip == 0);
            }
        }
    }
}
