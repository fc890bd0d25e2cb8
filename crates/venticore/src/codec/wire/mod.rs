//! The wire protocol as bytes and structs (venti.md 7); no I/O.
//!
//! [`VersionLine`] is what both sides send first, [`unframe`] cuts a stream
//! into messages, [`Request`] and [`Reply`] are the messages. Everything that
//! comes from the other side is checked before it is believed, and borrowed
//! rather than copied.

mod frame;
mod kind;
mod message;
mod version;

use std::fmt;

pub use frame::{WriteHead, message_length, unframe};
pub use message::{REPLY_MAX, Reply, Request};
pub use version::{VERSION_LINE_MAX, Version, VersionLine};

/// The most data accepted in a reply to a read, in bytes: sizes on disk are u16.
pub const DATA_MAX: usize = 65535;

/// The longest string in a message, in bytes.
pub const TEXT_MAX: usize = 1024;

/// Type and tag, before every body.
const HEAD: usize = 1 + 1;

/// Why bytes are not a message, or a message cannot be bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The first line is not `venti-versions-comment`; an escaped excerpt.
    VersionLine(String),
    /// A frame length outside what its kind may have.
    Length {
        /// The length found, in bytes after the length field.
        found: u64,
        /// The most that is accepted.
        most: usize,
    },
    /// A message type that is not one of the expected side.
    Type {
        /// What was expected: "request" or "reply".
        expected: &'static str,
        /// The number found.
        found: u8,
    },
    /// A message whose body is too short, too long or inconsistent.
    Body {
        /// The name of the message.
        message: &'static str,
        /// The length of the whole message, type and tag included.
        found: usize,
    },
    /// A value that does not fit into its field when written.
    TooLong {
        /// What does not fit.
        field: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The most that fits.
        most: usize,
    },
}

impl WireError {
    /// What should have been there, for a message.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::VersionLine(_) => "a venti version line".to_owned(),
            Self::Length { most, .. } => format!("a message of {HEAD} to {most} bytes"),
            Self::Type { expected, .. } => format!("a {expected}"),
            Self::Body { message, .. } => format!("a well-formed {message}"),
            Self::TooLong { field, most, .. } => format!("{field} of at most {most} bytes"),
        }
    }

    /// What was there instead, control characters escaped.
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            Self::VersionLine(text) => format!("\"{text}\""),
            Self::Length { found, .. } => format!("length {found}"),
            Self::Type { found, .. } => format!("message type {found}"),
            Self::Body { found, .. } => format!("a wrong one of {found} bytes"),
            Self::TooLong { found, .. } => format!("{found}"),
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected(), self.found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_expected_and_found() {
        let error = WireError::Length {
            found: 70000,
            most: 65537,
        };
        assert_eq!(
            error.to_string(),
            "expected a message of 2 to 65537 bytes, found length 70000"
        );
    }
}
