//! What a command says while it runs: lines on standard error, and progress
//! where that is a terminal.

use std::io::{self, BufRead, IsTerminal, Read, Write, stderr};
use std::sync::{Arc, Mutex, PoisonError};

use eyre::{Result, WrapErr};
use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::text::one_line;

/// The most bytes of an answer.
const ANSWER_MAX: u64 = 128;

/// Standard error of one command.
pub struct Terminal {
    tool: &'static str,
    quiet: bool,
    verbose: bool,
    bar: ProgressBar,
    kept: Option<Arc<Kept>>,
}

/// What a command has said and printed where nothing goes to the process's own
/// standard error and output.
#[derive(Debug, Default)]
pub struct Kept {
    said: Mutex<Vec<String>>,
    printed: Mutex<Vec<u8>>,
}

impl Kept {
    /// The lines said, without the name of the tool.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What was printed.
    #[must_use]
    pub fn printed(&self) -> String {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&printed).into_owned()
    }
}

/// The first lines of one kind; see [`Terminal::several`].
pub struct Several<'a> {
    terminal: &'a Terminal,
    what: &'a str,
    said: usize,
}

impl Several<'_> {
    /// The most lines that are said.
    pub const MOST: usize = 20;

    /// One line, or one more that is not said.
    pub fn say(&mut self, line: &str) {
        self.said += 1;
        if self.said <= Self::MOST {
            self.terminal.say(line);
        }
    }
}

impl Drop for Several<'_> {
    fn drop(&mut self) {
        let more = self.said.saturating_sub(Self::MOST);
        if more > 0 {
            self.terminal.say(&format!("and {more} more {}", self.what));
        }
    }
}

/// Prints to what is kept.
struct Printer(Arc<Kept>);

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let printed = self.0.printed.lock();
        printed
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Terminal {
    /// Progress is shown only on a terminal that can move its cursor, and not
    /// when `quiet`.
    #[must_use]
    pub fn new(tool: &'static str, quiet: bool, verbose: bool) -> Self {
        let shown = !quiet && stderr().is_terminal();
        Terminal {
            tool,
            quiet,
            verbose,
            bar: if shown {
                ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            } else {
                ProgressBar::hidden()
            },
            kept: None,
        }
    }

    /// A terminal that shows nothing and keeps everything, `-v` given: for
    /// runs inside another program.
    #[must_use]
    pub fn keeping(tool: &'static str) -> (Self, Arc<Kept>) {
        let kept = Arc::<Kept>::default();
        let terminal = Terminal {
            tool,
            quiet: false,
            verbose: true,
            bar: ProgressBar::hidden(),
            kept: Some(Arc::clone(&kept)),
        };
        (terminal, kept)
    }

    /// Where the command prints.
    #[must_use]
    pub fn output(&self) -> Output {
        match &self.kept {
            Some(kept) => Output::to(Printer(Arc::clone(kept))),
            None => Output::stdout(),
        }
    }

    /// One line: `tool: line`.
    pub fn say(&self, line: &str) {
        match &self.kept {
            Some(kept) => {
                let said = kept.said.lock();
                said.unwrap_or_else(PoisonError::into_inner)
                    .push(one_line(line));
            }
            None => self.bar.suspend(|| say(self.tool, line)),
        }
    }

    /// Lines of one kind that a file or a page can make many of: the first are said, the
    /// others counted when it is dropped.
    #[must_use]
    pub fn several<'a>(&'a self, what: &'a str) -> Several<'a> {
        Several {
            terminal: self,
            what,
            said: 0,
        }
    }

    /// Asks a question. `y` means yes; any other answer, or the end of the
    /// input, means no.
    ///
    /// # Errors
    /// The answer cannot be read.
    pub fn ask(&self, question: &str, answers: &mut dyn BufRead) -> io::Result<bool> {
        let question = one_line(question);
        self.bar.suspend(|| {
            let mut err = stderr();
            // That nobody can see the question is no yes: the answer is asked for.
            let _ = write!(err, "{}: {question} [y/n]: ", self.tool);
            let _ = err.flush();
        });
        let mut answer = Vec::new();
        answers.take(ANSWER_MAX).read_until(b'\n', &mut answer)?;
        Ok(answer.starts_with(b"y"))
    }

    /// One line, if `-v` was given.
    pub fn detail(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            self.say(&line());
        }
    }

    /// `-q` was given: a run that succeeds says nothing and prints nothing.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// One line for a person, unless `-q` was given.
    pub fn report(&self, line: &str) {
        if !self.quiet {
            self.say(line);
        }
    }

    /// Shows how many bytes of log are done, of how many; the rate and the time
    /// left follow. Nothing is shown where nothing is to be done.
    pub fn progress(&self, done: u64, whole: u64) {
        const LINE: &str =
            "{decimal_bytes} of {decimal_total_bytes} of log, {decimal_bytes_per_sec}, {eta} left";
        if whole == 0 || self.bar.is_hidden() {
            return;
        }
        self.show(LINE);
        self.bar.set_length(whole);
        self.bar.set_position(done);
    }

    /// Shows how many blocks were read back, of how many.
    pub fn reading_back(&self, done: u64, whole: u64) {
        const LINE: &str = "{human_pos} of {human_len} blocks read back, {per_sec}, {eta} left";
        if whole == 0 || self.bar.is_hidden() {
            return;
        }
        self.show(LINE);
        self.bar.set_length(whole);
        self.bar.set_position(done);
    }

    /// Shows how many files and how many bytes of them are done.
    pub fn files(&self, files: u64, bytes: u64) {
        if self.bar.is_hidden() {
            return;
        }
        self.show("{msg}, {elapsed}");
        let bytes = DecimalBytes(bytes);
        self.bar.set_message(format!("{files} files, {bytes}"));
        self.bar.tick();
    }

    /// Shows how many blocks were looked at, and their bytes.
    pub fn looking(&self, blocks: u64, bytes: u64) {
        if self.bar.is_hidden() {
            return;
        }
        self.show("{msg}, {elapsed}");
        let (blocks, bytes) = (HumanCount(blocks), DecimalBytes(bytes));
        self.bar
            .set_message(format!("{blocks} blocks looked at, {bytes}"));
    }

    fn show(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    /// Shows that something is waited for, and since when; to be called at
    /// every look.
    pub fn wait(&self, what: &'static str) {
        self.show("{msg}, {elapsed}");
        self.bar.set_message(what);
        self.bar.tick();
    }

    /// Takes the progress line away while something is printed.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the progress line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// The version of the JSON lines.
pub const SCHEMA: u32 = 1;

/// Standard output. A reader that went away is not an error: what follows is
/// dropped, and the work goes on.
pub struct Output {
    inner: Box<dyn Write>,
    closed: bool,
}

impl Output {
    /// The process's standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(io::stdout())
    }

    /// Something else in its place.
    #[must_use]
    pub fn to(inner: impl Write + 'static) -> Self {
        Output {
            inner: Box::new(inner),
            closed: false,
        }
    }

    /// Writes one JSON object as one line.
    ///
    /// # Errors
    /// It cannot be written, or the value has no JSON form.
    pub fn json_line(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(line)?;
        writeln!(self, "{text}").wrap_err("standard output")
    }

    /// The reader went away.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn unless_closed<T>(&mut self, result: io::Result<T>, dropped: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(dropped)
            }
            result => result,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.inner.write(bytes);
        self.unless_closed(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.unless_closed(result, ())
    }
}

/// Writes one line to standard error. A failed write is ignored.
pub fn say(tool: &str, line: &str) {
    let _ = writeln!(io::stderr(), "{tool}: {}", one_line(line));
}
