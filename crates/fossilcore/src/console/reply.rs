//! The answer to a command, found in the stream of a console (fossil.md 6.5).
//! Bytes in, an answer out; no I/O.
//!
//! A command is sent between two fences, in one write:
//!
//! ```text
//! echo x''TOKEN1
//! fsys main sync
//! echo x''TOKEN2
//! ```
//!
//! The fossil echoes each line as it takes it up and prints the token, which
//! its echo is without, since there it is in two halves. What stands between the
//! tokens is the command's echo, its answer and prompts, whatever was in the
//! stream before. Other threads of the fossil print into it at any moment, between
//! two echoed characters too; what they print is taken out first.

use std::fmt;

use venticore::host::random;

use super::line::CommandLine;

/// What stands before a line of the fossil's standard error in the stream of our
/// broker.
pub const STDERR: &str = "!stderr: ";

/// What stands before the broker's own words in the stream.
pub const BROKER: &str = "!broker: ";

/// The most bytes of an answer that are kept; the rest is counted.
const KEPT: usize = 1 << 20;

/// A command between two fences.
#[derive(Debug)]
pub struct Fenced {
    line: CommandLine,
    tokens: [String; 2],
}

impl Fenced {
    /// The command, between tokens that no other has.
    #[must_use]
    pub fn new(line: &CommandLine) -> Self {
        Fenced {
            line: line.clone(),
            tokens: [(); 2].map(|()| format!("x{:016x}", random::number())),
        }
    }

    /// What is written to the console.
    #[must_use]
    pub fn typed(&self) -> String {
        let [first, last] = &self.tokens;
        format!("{}\n{}\n{}\n", fence(first), self.line, fence(last))
    }
}

/// The line that prints a token and does not hold it.
fn fence(token: &str) -> String {
    let (head, tail) = token.split_at(1);
    format!("echo {head}''{tail}")
}

/// Whether a line is only there to tell where an answer begins or ends.
#[must_use]
pub fn is_fence(line: &str) -> bool {
    let token = |text: &str| text.len() == TOKEN - 1 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match line.split_once("echo x''") {
        Some((_, rest)) => token(rest),
        None => line.ends_with(": #") || line.strip_prefix('x').is_some_and(token),
    }
}

/// What a console said to a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleReply {
    /// Its answer: lines, without echo and prompt.
    pub text: String,
    /// Lines that other threads of the fossil printed meanwhile.
    pub asides: Vec<String>,
    /// Lines of its standard error, as far as our broker passes them on.
    pub stderr: Vec<String>,
    /// Bytes of the answer that were not kept.
    pub dropped: usize,
}

/// Why an answer cannot be told from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Garbled {
    /// The console printed more than it holds: the start is lost.
    Lost,
    /// Something unknown stands in the command's echo; the text.
    Unclear(String),
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str(
                "expected an answer, found only its end: the console printed more than it keeps",
            ),
            Self::Unclear(text) => write!(
                f,
                "expected an answer, found it mixed with other text: {}",
                text.trim().replace('\n', " | ")
            ),
        }
    }
}

/// Takes the stream in pieces until a command's answer is whole.
#[derive(Debug)]
pub struct ReplyCollector {
    fenced: Fenced,
    /// The stream since the first token; before that, its last bytes.
    text: Vec<u8>,
    begun: bool,
    dropped: usize,
    /// What was said on standard error before the first token came. It may be of
    /// the command: the two streams are not in order.
    early: Vec<String>,
    /// What other threads printed before the first token came.
    asides: Vec<String>,
    /// What came after the last token.
    rest: Vec<u8>,
}

impl ReplyCollector {
    /// For the answer to this command.
    #[must_use]
    pub fn new(fenced: Fenced) -> Self {
        ReplyCollector {
            fenced,
            text: Vec::new(),
            begun: false,
            dropped: 0,
            early: Vec::new(),
            asides: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Takes the next bytes. Once the last token has come, the answer; what follows
    /// it in these bytes is [`ReplyCollector::rest`].
    pub fn push(&mut self, bytes: &[u8]) -> Option<Result<ConsoleReply, Garbled>> {
        // A token may be split between what was there and what comes.
        let from = self.text.len().saturating_sub(TOKEN);
        self.text.extend_from_slice(bytes);
        if !self.begun {
            let [first, last] = &self.fenced.tokens;
            if let Some(at) = find(&self.text, first.as_bytes()) {
                let before = String::from_utf8_lossy(self.text.get(..at).unwrap_or_default());
                let lines = before.lines().filter_map(|line| line.strip_prefix(STDERR));
                self.early = lines.map(str::to_owned).collect();
                self.asides = without_asides(&before).1;
                self.text.drain(..at + first.len());
                self.begun = true;
                return self.end(0);
            }
            if find(&self.text, last.as_bytes()).is_some() {
                return Some(Err(Garbled::Lost));
            }
            let keep = self.text.len().saturating_sub(BEFORE);
            self.text.drain(..keep);
            return None;
        }
        self.end(from)
    }

    /// What came after the answer, in the same bytes as its end.
    #[must_use]
    pub fn rest(self) -> Vec<u8> {
        self.rest
    }

    /// What the broker said last, of a stream that has ended.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        last_words(&self.text)
    }

    fn end(&mut self, from: usize) -> Option<Result<ConsoleReply, Garbled>> {
        let last = self.fenced.tokens[1].as_bytes();
        if let Some(at) = find(self.text.get(from..).unwrap_or_default(), last) {
            self.rest = self.text.split_off(from + at + last.len());
            self.text.truncate(from + at);
            return Some(self.reply());
        }
        if self.text.len() > 2 * KEPT {
            // The head has the echo, the tail the fence.
            let cut = self.text.len() - 4096;
            self.text.drain(KEPT..cut);
            self.dropped += cut - KEPT;
        }
        None
    }

    fn reply(&self) -> Result<ConsoleReply, Garbled> {
        let text = String::from_utf8_lossy(&self.text);
        let (text, stderr) = without_stderr(&text);
        let (text, asides) = without_asides(&text);
        let unclear = || Garbled::Unclear(text.clone());
        let echo = format!("{}\n", self.fenced.line);
        let start = text.find(&echo).ok_or_else(unclear)? + echo.len();
        let rest = text.get(start..).unwrap_or_default();
        let typed = fence(&self.fenced.tokens[1]);
        let end = rest.rfind(&typed).ok_or_else(unclear)?;
        let answer = rest.get(..end).unwrap_or_default();
        Ok(ConsoleReply {
            text: without_prompt(answer).to_owned(),
            asides: self.asides.iter().cloned().chain(asides).collect(),
            stderr: self.early.iter().cloned().chain(stderr).collect(),
            dropped: self.dropped,
        })
    }
}

/// The broker's last lines in a stream, where it has some.
#[must_use]
pub fn last_words(stream: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stream);
    let ours = text.lines().filter_map(|line| line.strip_prefix(BROKER));
    let last: Vec<&str> = ours.collect();
    (!last.is_empty()).then(|| last.join("; "))
}

/// Bytes that are kept before a command's first token.
const BEFORE: usize = 4096;

/// The bytes of a token.
const TOKEN: usize = 17;

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// An answer ends where the prompt begins, on a line of its own.
fn without_prompt(answer: &str) -> &str {
    let line = answer.rfind('\n').map_or(0, |at| at + 1);
    let (lines, prompt) = answer.split_at(line);
    match is_prompt(prompt) {
        true => lines,
        false => answer,
    }
}

/// Whether a line that has not ended is a prompt: `NAME: `.
#[must_use]
pub fn is_prompt(partial: &str) -> bool {
    let name = partial.strip_suffix(": ");
    name.is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
}

/// Takes out what the broker put into the stream: its lines, and the beginnings
/// of lines that it repeated after them.
fn without_stderr(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut said) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    let mut begins = true;
    while let Some(line) = rest.split_inclusive('\n').next() {
        rest = rest.get(line.len()..).unwrap_or_default();
        let ours = line.strip_prefix(STDERR).or(line.strip_prefix(BROKER));
        let Some(ours) = ours.filter(|_| begins) else {
            kept.push_str(line);
            begins = line.ends_with('\n');
            continue;
        };
        said.push(ours.trim_end().to_owned());
        // The line before it was cut short, and is repeated.
        let cut = kept.trim_end_matches('\n').len();
        let start = kept.get(..cut).unwrap_or_default().rfind('\n');
        let partial = kept.get(start.map_or(0, |at| at + 1)..cut).unwrap_or("");
        let again = !partial.is_empty() && is_prompt(partial) && rest_is(rest, partial);
        if again {
            let keep = cut - partial.len();
            kept.truncate(keep);
        }
    }
    (kept, said)
}

/// Whether the stream goes on with this beginning of a line, at once or after
/// more lines of the broker.
fn rest_is(rest: &str, partial: &str) -> bool {
    rest.starts_with(partial)
}

/// What other threads print, known by its beginning: a score has an end of its
/// own, the others end with their line.
fn without_asides(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut asides) = (String::with_capacity(text.len()), Vec::new());
    let finders = [archive_aside, root_aside, source_aside];
    let mut next = finders.map(|find| find(text));
    let mut from = 0;
    while let Some((at, len)) = next.iter().flatten().min().copied() {
        kept.push_str(text.get(from..at).unwrap_or_default());
        asides.push(text.get(at..at + len).unwrap_or("").trim_end().to_owned());
        from = at + len;
        let rest = text.get(from..).unwrap_or_default();
        for (next, find) in next.iter_mut().zip(finders) {
            // Those further on stay what they are: each byte is looked at once.
            if next.is_some_and(|(at, _)| at < from) {
                *next = find(rest).map(|(at, len)| (from + at, len));
            }
        }
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    (kept, asides)
}

fn archive_aside(text: &str) -> Option<(usize, usize)> {
    text.match_indices(ARCHIVE).find_map(|(at, _)| {
        let score = text.get(at + ARCHIVE.len()..)?;
        let end = score.find(|c: char| !c.is_ascii_hexdigit())?;
        let whole = end == SCORE && score.get(end..)?.starts_with('\n');
        whole.then_some((at, ARCHIVE.len() + SCORE + 1))
    })
}

fn root_aside(text: &str) -> Option<(usize, usize)> {
    let at = text.find("sourceRoot: fs->ehi = ")?;
    let end = text.get(at..)?.find('\n')?;
    Some((at, end + 1))
}

fn source_aside(text: &str) -> Option<(usize, usize)> {
    let marks = [": sourceAlloc: ", ": fileOpenSource: "].into_iter();
    let at = marks.filter_map(|mark| text.find(mark)).min()?;
    let start = text.get(..at)?.rfind('\n').map_or(0, |at| at + 1);
    let end = text.get(at..)?.find('\n')?;
    Some((start, at + end + 1 - start))
}

const ARCHIVE: &str = "archive vac:";
const SCORE: usize = 40;

/// The score in a line that says that an archive is done.
#[must_use]
pub fn archived(aside: &str) -> Option<&str> {
    let at = aside.find(ARCHIVE)? + ARCHIVE.len();
    let score = aside.get(at..at + SCORE)?;
    score
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then_some(score)
}

#[cfg(test)]
mod tests;
