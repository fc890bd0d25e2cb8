//! The stream of a console as all clients see it: what the fossil prints, and
//! lines of our own in between, but never within a line.

use std::collections::VecDeque;

use crate::console::reply::is_prompt;

/// How much of the past a new client is shown.
const HISTORY: usize = 8192;

/// The most bytes of a line that are repeated.
const PARTIAL: usize = 512;

/// The most lines that wait for the end of another.
const NOTES: usize = 256;

/// What was printed last, and what waits to be.
#[derive(Debug, Default)]
pub(super) struct Tape {
    history: VecDeque<u8>,
    partial: Vec<u8>,
    notes: VecDeque<String>,
}

impl Tape {
    /// Takes what the fossil printed; says what the clients get.
    pub(super) fn printed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = Vec::with_capacity(bytes.len());
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            stream.extend_from_slice(piece);
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.partial.clear();
                for note in self.notes.drain(..) {
                    stream.extend(note.bytes());
                }
            }
            self.partial.truncate(PARTIAL);
        }
        if self.waits_at_prompt() {
            for note in std::mem::take(&mut self.notes) {
                stream.extend(self.at_prompt(&note));
            }
        }
        self.keep(&stream);
        stream
    }

    /// Takes a line of our own, `mark` and all; says what the clients get now. In
    /// the middle of a line that is nothing yet.
    pub(super) fn note(&mut self, mark: &str, text: &str) -> Vec<u8> {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let note = format!("{mark}{text}\n");
        let stream = if self.partial.is_empty() {
            note.into_bytes()
        } else if self.waits_at_prompt() {
            self.at_prompt(&note)
        } else {
            if self.notes.len() < NOTES {
                self.notes.push_back(note);
            }
            Vec::new()
        };
        self.keep(&stream);
        stream
    }

    /// The same for the last line of all, which waits for nothing.
    pub(super) fn end(&mut self, mark: &str, text: &str) -> Vec<u8> {
        let mut stream = match self.partial.is_empty() {
            true => Vec::new(),
            false => b"\n".to_vec(),
        };
        self.partial.clear();
        for note in self.notes.drain(..) {
            stream.extend(note.bytes());
        }
        stream.extend(self.note(mark, text));
        stream
    }

    fn waits_at_prompt(&self) -> bool {
        std::str::from_utf8(&self.partial).is_ok_and(is_prompt)
    }

    /// A line below the prompt, and the prompt again.
    fn at_prompt(&self, note: &str) -> Vec<u8> {
        [b"\n", note.as_bytes(), &self.partial].concat()
    }

    fn keep(&mut self, stream: &[u8]) {
        self.history.extend(stream);
        if self.history.len() > HISTORY {
            let over = self.history.len() - HISTORY;
            let line = self.history.iter().skip(over).position(|&b| b == b'\n');
            self.history.drain(..over + line.map_or(0, |at| at + 1));
        }
    }

    /// What a new client is shown: whole lines, and the one that has not ended.
    #[must_use]
    pub(super) fn history(&self) -> Vec<u8> {
        self.history.iter().copied().collect()
    }

    /// The line that has not ended, or the part of it that is kept.
    #[must_use]
    pub(super) fn partial(&self) -> &[u8] {
        &self.partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn a_note_stands_between_lines_only() {
        let mut tape = Tape::default();
        assert_eq!(text(&tape.note("!", "one")), "!one\n");
        assert_eq!(text(&tape.printed(b"main: ")), "main: ");
        assert_eq!(text(&tape.note("!", "two\r")), "\n!two\nmain: ");
        assert_eq!(text(&tape.printed(b"sy")), "sy");
        assert_eq!(text(&tape.note("!", "three")), "");
        assert_eq!(text(&tape.printed(b"nc\n\tx")), "nc\n!three\n\tx");
        assert_eq!(text(&tape.end("!", "four")), "\n!four\n");
    }

    #[test]
    fn history_begins_with_a_line() {
        let mut tape = Tape::default();
        for number in 0..2000 {
            tape.printed(format!("line {number}\n").as_bytes());
        }
        tape.printed(b"main: ");
        let history = text(&tape.history());
        assert!(history.len() <= HISTORY && history.len() > HISTORY - 20);
        assert!(history.starts_with("line ") && history.ends_with("line 1999\nmain: "));
    }
}
