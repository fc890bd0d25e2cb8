//! What a user writes for a partition: a path, a range of one, a part of a disk.

use crate::codec::invalid::Invalid;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::str::FromStr;

use crate::codec::wrcmd::scaled;

/// A partition as it is written on a command line or in a configuration.
///
/// | text | meaning |
/// |---|---|
/// | `PATH` | a file or block device |
/// | `PATH:LO-HI` | its bytes from LO up to HI; `LO-`, `-HI`, `LO` leave one out; suffixes k, m, g, t |
/// | `PATH:NAME` | the partition NAME in the Plan 9 slice of a disk or disk image |
///
/// Numbers are as in C and in venti(8): decimal, `0x`, octal after `0`. A HI of 0 is the end.
/// Only the last colon counts, and only where the whole text is not
/// the path of something: that is decided when it is opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    text: OsString,
    /// The length of the path before the last colon, and what is after it.
    split: Option<(usize, Suffix)>,
}

/// What stands after the last colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Suffix {
    /// Bytes from `lo` up to `hi`, or up to the end.
    Range { lo: u64, hi: Option<u64> },
    /// A Plan 9 partition.
    Name(String),
    /// Neither.
    Bad(Invalid),
}

impl Operand {
    /// The text as a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.text)
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        &self.text
    }

    /// The path before the last colon and what is after it.
    pub(crate) fn split(&self) -> Option<(&Path, &Suffix)> {
        let (len, suffix) = self.split.as_ref()?;
        let path = self.text.as_bytes().get(..*len)?;
        Some((Path::new(OsStr::from_bytes(path)), suffix))
    }

    /// The name of a Plan 9 partition, where one follows the path.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.split {
            Some((_, Suffix::Name(name))) => Some(name),
            _ => None,
        }
    }
}

impl TryFrom<&OsStr> for Operand {
    type Error = Invalid;

    fn try_from(text: &OsStr) -> Result<Self, Invalid> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(Invalid::NoPartition);
        }
        if bytes.contains(&0) {
            return Err(Invalid::PartitionNul);
        }
        let colon = bytes.iter().rposition(|&byte| byte == b':');
        let split = colon.filter(|&at| at > 0).map(|at| {
            let rest = bytes.get(at + 1..).unwrap_or_default();
            (at, Suffix::of(rest))
        });
        Ok(Operand {
            text: OsString::from_vec(bytes.to_vec()),
            split,
        })
    }
}

impl FromStr for Operand {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Operand::try_from(OsStr::new(text))
    }
}

impl fmt::Display for Operand {
    /// The text as it was written; bytes that are not text and control
    /// characters cannot be shown as they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::path(self.as_path()))
    }
}

impl Suffix {
    fn of(bytes: &[u8]) -> Self {
        let bad = || Suffix::Bad(Invalid::Suffix(String::from_utf8_lossy(bytes).into()));
        let Ok(text) = std::str::from_utf8(bytes) else {
            return bad();
        };
        match range(text) {
            Some(Ok(range)) => range,
            Some(Err(e)) => Suffix::Bad(e),
            None if text.is_empty() || text.contains(|c: char| c.is_control() || c == '/') => bad(),
            None => Suffix::Name(text.to_owned()),
        }
    }
}

/// A range, where the text has the form of one.
fn range(text: &str) -> Option<Result<Suffix, Invalid>> {
    let (lo, hi) = match text.split_once('-') {
        Some((lo, hi)) => (lo, hi),
        None if text.is_empty() => return None,
        None => (text, ""),
    };
    let (lo, hi) = (side(lo)?, side(hi)?);
    Some(lo.and_then(|lo| {
        let hi = hi?.filter(|&hi| hi > 0);
        Ok(Suffix::Range {
            lo: lo.unwrap_or(0),
            hi,
        })
    }))
}

/// One side of a range, where the text has the form of one.
fn side(text: &str) -> Option<Result<Option<u64>, Invalid>> {
    if text.is_empty() {
        return Some(Ok(None));
    }
    match scaled(text) {
        Err(cause @ Invalid::TooLarge(_)) => Some(Err(cause)),
        side => side.ok().map(|value| Ok(Some(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn suffix(text: &str) -> Option<Suffix> {
        let operand: Operand = text.parse().unwrap();
        assert_eq!(operand.to_string(), text);
        operand.split.map(|(_, suffix)| suffix)
    }

    #[test]
    fn ranges_are_those_of_venti() {
        let end = None;
        for (text, lo, hi) in [
            ("f:0-5", 0, Some(5)),
            ("f:4k-8M", 4096, Some(8 << 20)),
            ("f:1g-2t", 1 << 30, Some(2 << 40)),
            ("f:0x10K-010", 16 << 10, Some(8)),
            ("f:7-", 7, end),
            ("f:7", 7, end),
            ("f:-7", 0, Some(7)),
            ("f:-", 0, end),
            ("f:5-0", 5, end),
            ("a:b:1-2", 1, Some(2)),
        ] {
            assert_eq!(suffix(text), Some(Suffix::Range { lo, hi }), "{text}");
        }
    }

    #[test]
    fn the_rest_is_a_name_or_nothing() {
        for name in [
            "9fat", "fossil", "arenas0", "k", "1-2-3", "0x", "08", "-1-", "1kk", "a-b",
        ] {
            assert_eq!(
                suffix(&format!("d:{name}")),
                Some(Suffix::Name(name.to_owned()))
            );
        }
        for text in ["path", "/a/b", ":x", ":1-2"] {
            assert_eq!(suffix(text), None);
        }
        for rest in ["", "a/b"] {
            let bad = Suffix::Bad(Invalid::Suffix(rest.to_owned()));
            assert_eq!(suffix(&format!("d:{rest}")), Some(bad));
        }
        for large in ["16777216t", "18446744073709551616"] {
            for text in [
                format!("f:{large}-"),
                format!("f:-{large}"),
                format!("f:{large}"),
            ] {
                let bad = Suffix::Bad(Invalid::TooLarge(large.to_owned()));
                assert_eq!(suffix(&text), Some(bad));
            }
        }
        let latin1 = Operand::try_from(OsStr::from_bytes(b"d\xe9:a\xe9")).unwrap();
        assert_eq!(latin1.split().unwrap().0.as_os_str().as_bytes(), b"d\xe9");
        assert!(matches!(latin1.split().unwrap().1, Suffix::Bad(_)));
        assert_eq!("".parse::<Operand>(), Err(Invalid::NoPartition));
        assert_eq!("a\0".parse::<Operand>(), Err(Invalid::PartitionNul));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(operand) = Operand::try_from(OsStr::from_bytes(&bytes)) {
                prop_assert_eq!(operand.as_os_str().as_bytes(), &bytes);
                if let Some((path, _)) = operand.split() {
                    prop_assert!(bytes.starts_with(path.as_os_str().as_bytes()));
                }
                prop_assert!(!operand.to_string().contains('\n'));
            }
        }

        #[test]
        fn any_range_is_read(lo: u64, hi in 1u64..) {
            let range = Suffix::Range { lo, hi: Some(hi) };
            prop_assert_eq!(suffix(&format!("f:{lo}-{hi:#x}")), Some(range));
        }

        #[test]
        fn any_text_after_a_colon_is_read_or_refused(text in "[0-9kKmMgGtTx-]{0,25}") {
            let text = format!("f:{text}");
            prop_assert!(suffix(&text).is_some());
        }
    }
}
