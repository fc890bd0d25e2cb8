//! What one client of a console has yet to read: bounded, in whole lines.

use std::collections::VecDeque;

use crate::console::reply::BROKER;

/// The most bytes that wait for a client.
pub(super) const LIMIT: usize = 256 << 10;

/// How much longer a line may get that a client has seen a part of.
const LINE: usize = 16 << 10;

/// Bytes on their way to a client. What a slow client has no room for is
/// skipped in whole lines, and a mark in its place says how much.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: VecDeque<u8>,
    /// Bytes of the line that has not ended.
    line: usize,
    skipped: usize,
}

impl Outbox {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.skipped > 0 {
                self.skipped += piece.len();
                continue;
            }
            // Only a line of which nothing was sent can be left out.
            let whole = self.bytes.len() >= self.line;
            let room = if whole { LIMIT } else { LIMIT + LINE };
            if self.bytes.len() + piece.len() <= room {
                self.put(piece);
            } else if whole {
                self.skipped = self.line + piece.len();
                self.bytes.truncate(self.bytes.len() - self.line);
                self.line = 0;
            } else {
                self.skipped = piece.len();
                self.put(b"\n");
            }
        }
    }

    fn put(&mut self, piece: &[u8]) {
        self.bytes.extend(piece);
        self.line = match piece.last() {
            Some(b'\n') => 0,
            _ => self.line + piece.len(),
        };
    }

    /// Whether anything waits.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes to send next, as far as they lie together.
    #[must_use]
    pub(super) fn front(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// The first `count` bytes were sent. When all are, and some were skipped before, the
    /// client goes on behind a mark, with the beginning of the present line.
    pub(super) fn sent(&mut self, count: usize, partial: &[u8]) {
        self.bytes.drain(..count.min(self.bytes.len()));
        if self.bytes.is_empty() && self.skipped > 0 {
            let mark = format!("{BROKER}{} bytes skipped: read faster\n", self.skipped);
            self.skipped = 0;
            self.line = 0;
            self.put(mark.as_bytes());
            self.put(partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(outbox: &mut Outbox, most: usize, partial: &[u8]) -> Vec<u8> {
        let count = outbox.front().len().min(most);
        let sent = outbox.front()[..count].to_vec();
        outbox.sent(count, partial);
        sent
    }

    proptest! {
        #[test]
        fn no_line_is_torn_and_none_is_lost_unsaid(
            steps in proptest::collection::vec((1usize..40_000, 0usize..90_000), 1..40),
        ) {
            let (mut outbox, mut sent, mut number) = (Outbox::default(), Vec::new(), 0);
            for (put, take) in steps {
                let mut put_now = 0;
                while put_now < put {
                    let line = format!("line {number} {}\n", "x".repeat(number % 60));
                    number += 1;
                    put_now += line.len();
                    // In two pieces, as an echo comes.
                    outbox.push(&line.as_bytes()[..3]);
                    outbox.push(&line.as_bytes()[3..]);
                }
                prop_assert!(outbox.bytes.len() <= LIMIT + LINE);
                sent.extend(drain(&mut outbox, take, b""));
            }
            while !outbox.is_empty() {
                sent.extend(drain(&mut outbox, usize::MAX, b""));
            }
            let text = String::from_utf8(sent).unwrap();
            let mut lost = false;
            let mut next = 0;
            for line in text.lines() {
                if line.starts_with(BROKER) {
                    lost = true;
                    continue;
                }
                let mut words = line.split(' ');
                prop_assert_eq!(words.next(), Some("line"));
                let number: usize = words.next().unwrap().parse().unwrap();
                prop_assert_eq!(words.next().unwrap().len(), number % 60);
                prop_assert!(number == next || lost && number > next);
                (next, lost) = (number + 1, false);
            }
            prop_assert!(next == number || lost);
        }
    }

    #[test]
    fn a_client_that_catches_up_gets_the_present_line() {
        let mut outbox = Outbox::default();
        outbox.push(&[b'x'; LIMIT]);
        outbox.push(b"y\nprompt: ");
        assert_eq!(outbox.skipped, LIMIT + 2 + 8);
        assert!(outbox.is_empty());
        outbox.sent(0, b"prompt: ");
        let text = String::from_utf8_lossy(outbox.front()).into_owned();
        assert!(
            text.starts_with(BROKER) && text.ends_with("faster\nprompt: "),
            "{text}"
        );
    }
}
