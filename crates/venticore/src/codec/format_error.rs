//! A record that is not what its format says, and where that shows. For the codecs of
//! arenas (venti.md 2 to 5), of hash trees (8) and of fossil partitions (fossil.md 1).

use std::fmt;

/// A record that is not what the format says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// What was being read: "arena head", "root", "super block" ...
    pub record: &'static str,
    /// The byte that shows it, counted from the start of the record, where it is told.
    pub at: Option<u64>,
    /// What was expected there.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl FormatError {
    /// The record has something else than `expected` at byte `at`.
    pub fn new(
        record: &'static str,
        at: usize,
        expected: impl Into<String>,
        found: impl fmt::Display,
    ) -> Self {
        FormatError {
            record,
            at: Some(at as u64),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// The record is not as `expected`; which byte shows it is not told.
    pub fn whole(
        record: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        FormatError {
            record,
            at: None,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The record begins with another number than its own.
    #[must_use]
    pub fn magic(record: &'static str, expected: u32, found: u32) -> Self {
        let expected = format!("magic {expected:#010x}");
        Self::new(record, 0, expected, format_args!("{found:#010x}"))
    }

    /// The record needs `want` bytes, and there are `have`.
    #[must_use]
    pub fn short(record: &'static str, want: usize, have: usize) -> Self {
        Self::new(record, have, format!("{want} bytes"), have)
    }

    /// The same error of a record that begins at `base`: its byte is counted
    /// from where `base` is.
    #[must_use]
    pub fn within(mut self, base: u64) -> Self {
        self.at = self.at.map(|at| at.saturating_add(base));
        self
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FormatError {
            record,
            at,
            expected,
            found,
        } = self;
        write!(f, "{record}: expected {expected}")?;
        if let Some(at) = at {
            write!(f, " at {at}")?;
        }
        write!(f, ", found {found}")
    }
}

impl std::error::Error for FormatError {}
