//! The roots in `rootscor`: lines `vac:SCORE PARTITION VENTI`, with the time in the comment
//! before them. Command lines of wrarena, other comments and lines of another form are
//! passed over.

use std::str;
use std::time::SystemTime;

use crate::codec::score::Score;
use crate::codec::utc::Utc;

/// The label before the score of a root.
const LABEL: &str = "vac:";

/// Roots that one comment stands for: a reset records the old one and the new one.
const OF_ONE_ENTRY: usize = 2;

/// A root on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRoot {
    /// The score. Who has it can read the whole archive.
    pub score: Score,
    /// The fossil partition, as it is written.
    pub partition: String,
    /// The venti that has the archive, as it is written, where it was known.
    pub venti: Option<String>,
    /// When it was recorded; `None` where no comment says so, as where a shell appended
    /// the line.
    pub time: Option<SystemTime>,
}

impl RecordedRoot {
    /// The most bytes of a line that is read.
    pub const LINE_MAX: usize = 4096;

    /// The roots of a log, in its order. The score of nothing is not a root.
    #[must_use]
    pub fn all(bytes: &[u8]) -> Vec<Self> {
        let mut roots = Vec::new();
        let mut comment = None;
        for line in bytes.split(|&byte| byte == b'\n') {
            let text = (line.len() <= Self::LINE_MAX).then_some(line);
            let Some(text) = text.and_then(|line| str::from_utf8(line).ok()) else {
                continue;
            };
            if let Some(text) = text.strip_prefix('#') {
                comment = Comment::parse(text);
            } else if let Some(root) = Self::parse(text) {
                let time = comment.as_mut().and_then(Comment::take);
                roots.push(RecordedRoot { time, ..root });
            }
        }
        roots.retain(|root| root.score != Score::of(&[]));
        roots
    }

    /// Whether the last line of a log that begins as a root is not one: cut, or mistyped.
    #[must_use]
    pub fn is_last_spoilt(bytes: &[u8]) -> bool {
        let mut lines = bytes.rsplit(|&byte| byte == b'\n');
        let last = lines.find(|line| line.starts_with(LABEL.as_bytes()));
        let root = |line| Self::parse(str::from_utf8(line).ok()?);
        last.is_some_and(|line| root(line).is_none())
    }

    /// A line of two or three words, without its time.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let root = RecordedRoot {
            score: words.next()?.strip_prefix(LABEL)?.parse().ok()?,
            partition: words.next()?.to_owned(),
            venti: words.next().map(str::to_owned),
            time: None,
        };
        words.next().is_none().then_some(root)
    }
}

/// A comment of ours: `# 2026-11-22T04:00:00Z HOST TOOL`.
struct Comment {
    time: SystemTime,
    /// Roots that it may still stand for.
    left: usize,
}

impl Comment {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let Utc(time) = words.next()?.parse().ok()?;
        // What follows is an entry of ventiprog, and a root after it was appended by
        // something that leaves no comment.
        let left = match words.nth(1) {
            Some("ventiprog") => 0,
            Some("fossilize") => 1,
            _ => OF_ONE_ENTRY,
        };
        Some(Comment { time, left })
    }

    fn take(&mut self) -> Option<SystemTime> {
        self.left = self.left.checked_sub(1)?;
        Some(self.time)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    const SCORE: &str = "f50b65b3911fc87ae786cc7970b2e34d1348bd00";

    fn read(text: &str) -> Vec<(String, Option<u64>)> {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let roots = RecordedRoot::all(text.as_bytes()).into_iter();
        roots
            .map(|root| (root.partition, root.time.map(seconds)))
            .collect()
    }

    #[test]
    fn a_last_root_that_is_spoilt_is_seen() {
        let whole = format!("vac:{SCORE} /dev/a tcp!v!1\n");
        let cut = format!("vac:{} /dev/a tcp!v!1\n", &SCORE[1..]);
        let blank = format!("vac:{SCORE} /dev/a b tcp!v!1\n");
        for (log, spoilt) in [
            (String::new(), false),
            (whole.clone(), false),
            (format!("{whole}{cut}# a comment\nwrarena x\n"), true),
            (format!("{whole}{blank}"), true),
            (format!("{cut}{whole}"), false),
        ] {
            assert_eq!(
                RecordedRoot::is_last_spoilt(log.as_bytes()),
                spoilt,
                "{log}"
            );
        }
    }

    #[test]
    fn a_log_is_read_with_the_times_of_its_entries() {
        let text = format!(
            "# 1970-01-01T00:00:10Z here fossilize\n\
             vac:{SCORE} /dev/a tcp!v!1\n\
             vac:{SCORE} /dev/shell\n\
             # 1970-01-01T00:00:20Z here ventiprog\n\
             wrarena -h v -o 1 /dev/arenas 0x0\n\
             vac:{SCORE} /dev/later\n\
             # 1970-01-01T00:00:30Z here fosreset\n\
             vac:{SCORE} /dev/old v\n\
             vac:{SCORE} /dev/new v\n\
             # a remark\n\
             vac:{SCORE} /dev/remarked v"
        );
        let expected = [
            ("/dev/a", Some(10)),
            ("/dev/shell", None),
            ("/dev/later", None),
            ("/dev/old", Some(30)),
            ("/dev/new", Some(30)),
            ("/dev/remarked", None),
        ];
        let expected = expected.map(|(name, time)| (name.to_owned(), time));
        assert_eq!(read(&text), expected);
        let first = &RecordedRoot::all(text.as_bytes())[0];
        assert_eq!(first.venti.as_deref(), Some("tcp!v!1"));
        assert_eq!(first.score, SCORE.parse().unwrap());
    }

    #[test]
    fn what_is_not_a_root_is_passed_over() {
        for text in [
            "vac:da39a3ee5e6b4b0d3255bfef95601890afd80709 /dev/a v",
            "vac:f50b /dev/a v",
            "f50b65b3911fc87ae786cc7970b2e34d1348bd00 /dev/a v",
            "vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00",
            "vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00 /dev/a v more",
            "",
            "\u{0}",
        ] {
            assert_eq!(read(text), [], "{text:?}");
        }
        let long = format!("vac:{SCORE} /{}", "x".repeat(RecordedRoot::LINE_MAX));
        assert_eq!(read(&long), []);
    }

    proptest! {
        #[test]
        fn an_entry_is_read_back(
            seconds in 0..100_000_000_000_u64,
            bytes in any::<[u8; 20]>(),
            partition in "/[a-z0-9/._<>&-]{1,20}",
            venti in proptest::option::of("[a-z0-9.!:]{1,20}"),
        ) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            let score = Score::from_bytes(bytes);
            let words = venti.as_ref().map_or(String::new(), |venti| format!(" {venti}"));
            let text = format!("# {} here fossilize\nvac:{score} {partition}{words}\n", Utc(time));
            let root = RecordedRoot { score, partition, venti, time: Some(time) };
            prop_assert_eq!(RecordedRoot::all(text.as_bytes()), vec![root]);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = RecordedRoot::all(&bytes);
        }
    }
}
