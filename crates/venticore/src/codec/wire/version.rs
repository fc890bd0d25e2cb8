//! Protocol versions and the line that offers them (venti.md 7.1).

use std::fmt;

use super::WireError;
use crate::text::excerpt;

/// The longest version line, newline included.
pub const VERSION_LINE_MAX: usize = 1023;

const PREFIX: &str = "venti-";

/// The most of a wrong line that is shown.
const EXCERPT: usize = 60;

/// A version of the protocol. They differ in the width of the frame length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Frame lengths of two bytes.
    V02,
    /// Frame lengths of four bytes.
    V04,
}

impl Version {
    /// The two digits.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::V02 => "02",
            Self::V04 => "04",
        }
    }

    /// The version of these two digits, if known.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::V04, Self::V02]
            .into_iter()
            .find(|v| v.text() == text)
    }

    /// Bytes in a frame length.
    #[must_use]
    pub const fn length_size(self) -> usize {
        match self {
            Self::V02 => size_of::<u16>(),
            Self::V04 => size_of::<u32>(),
        }
    }

    /// The longest message, type and tag included, that its length can carry.
    #[must_use]
    pub const fn message_max(self) -> usize {
        match self {
            Self::V02 => u16::MAX as usize,
            Self::V04 => u32::MAX as usize,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The first line of either side: `venti-04:02-libventi`.
///
/// Printed without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionLine<'a> {
    /// Versions separated by colons, in the order of preference of the sender.
    pub versions: &'a str,
    /// What follows the second dash; it may be missing.
    pub comment: Option<&'a str>,
}

impl<'a> VersionLine<'a> {
    /// Parses a line without its newline.
    ///
    /// # Errors
    /// [`WireError::VersionLine`] for a wrong prefix, a character outside
    /// 0x20..=0x7f, or more than 1023 bytes with the newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, WireError> {
        let wrong = || WireError::VersionLine(excerpt(line, EXCERPT));
        let good = line.len() < VERSION_LINE_MAX && line.iter().all(|b| (0x20..=0x7f).contains(b));
        let text = str::from_utf8(line).ok().filter(|_| good);
        let rest = text
            .and_then(|t| t.strip_prefix(PREFIX))
            .ok_or_else(wrong)?;
        let (versions, comment) = match rest.split_once('-') {
            Some((versions, comment)) => (versions, Some(comment)),
            None => (rest, None),
        };
        Ok(VersionLine { versions, comment })
    }

    /// The version for the client to settle on: 04 if offered, otherwise 02.
    #[must_use]
    pub fn choose(&self) -> Option<Version> {
        let offers = |v: &Version| self.versions.split(':').any(|word| word == v.text());
        [Version::V04, Version::V02].into_iter().find(offers)
    }

    /// The first version offered that is among these: how a server chooses.
    #[must_use]
    pub fn first_of(&self, known: &[Version]) -> Option<Version> {
        let mut offered = self.versions.split(':').filter_map(Version::from_text);
        offered.find(|v| known.contains(v))
    }
}

impl fmt::Display for VersionLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.versions)?;
        match self.comment {
            Some(comment) => write!(f, "-{comment}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choice(line: &str) -> Option<Version> {
        VersionLine::parse(line.as_bytes()).unwrap().choose()
    }

    #[test]
    fn the_line_of_a_real_server() {
        let line = VersionLine::parse(b"venti-04:02-libventi").unwrap();
        assert_eq!(line.versions, "04:02");
        assert_eq!(line.comment, Some("libventi"));
        assert_eq!(line.to_string(), "venti-04:02-libventi");
    }

    #[test]
    fn the_client_picks_04_then_02_whatever_the_order() {
        assert_eq!(choice("venti-04:02-x"), Some(Version::V04));
        assert_eq!(choice("venti-02:04-x"), Some(Version::V04));
        assert_eq!(choice("venti-02"), Some(Version::V02));
        assert_eq!(choice("venti-02-"), Some(Version::V02));
        assert_eq!(choice("venti-05:03-x-04"), None);
        assert_eq!(choice("venti-"), None);
        let line = VersionLine::parse(b"venti-05:02:04-x").unwrap();
        let both = [Version::V04, Version::V02];
        assert_eq!(line.first_of(&both), Some(Version::V02));
        assert_eq!(line.first_of(&both[..1]), Some(Version::V04));
    }

    #[test]
    fn limits_of_length_characters_and_prefix() {
        let long = |n: usize| format!("venti-02-{}", "x".repeat(n - "venti-02-".len()));
        assert!(VersionLine::parse(long(1022).as_bytes()).is_ok());
        for line in [
            long(1023).as_bytes(),
            b"venti-02-x\r",
            b"venti-02-\xc3\xb6",
            b"Venti-02-x",
            b"venti",
            b"",
        ] {
            assert!(VersionLine::parse(line).is_err(), "{line:?}");
        }
        assert_eq!(
            VersionLine::parse(b"HTTP/1.0 400 Bad\r")
                .unwrap_err()
                .to_string(),
            "expected a venti version line, found \"HTTP/1.0 400 Bad\\r\""
        );
    }

    proptest! {
        #[test]
        fn lines_go_both_ways(versions in "[0-9:]{0,20}", comment in prop::option::of("[ -~]{0,40}")) {
            let line = VersionLine { versions: &versions, comment: comment.as_deref() };
            let text = line.to_string();
            prop_assert_eq!(VersionLine::parse(text.as_bytes()), Ok(line));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(line) = VersionLine::parse(&bytes) {
                let text = line.to_string();
                prop_assert_eq!(text.as_bytes(), &bytes);
            }
        }
    }
}
