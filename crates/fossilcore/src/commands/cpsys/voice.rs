//! What a run says and prints: each line once, and with `-q` nothing unless
//! something fails.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;

use eyre::{Result, WrapErr};
use venticore::host::terminal::Terminal;
use venticore::text::one_line;

/// Standard error and output of one run.
pub(super) struct Voice<'a> {
    pub(super) terminal: &'a Terminal,
    said: RefCell<HashSet<String>>,
    printed: RefCell<HashSet<String>>,
    held_back: RefCell<Vec<String>>,
}

impl<'a> Voice<'a> {
    pub(super) fn new(terminal: &'a Terminal) -> Self {
        Voice {
            terminal,
            said: RefCell::default(),
            printed: RefCell::default(),
            held_back: RefCell::default(),
        }
    }

    /// One line on standard error, unless it was said before.
    pub(super) fn say(&self, line: String) {
        if !self.said.borrow_mut().insert(line.clone()) {
            return;
        }
        match self.terminal.is_quiet() {
            true => self.held_back.borrow_mut().push(line),
            false => self.terminal.say(&line),
        }
    }

    /// One line on standard output, unless it was printed before.
    pub(super) fn print(&self, line: &str) -> Result<()> {
        let line = one_line(line);
        if self.terminal.is_quiet() || !self.printed.borrow_mut().insert(line.clone()) {
            return Ok(());
        }
        let mut output = self.terminal.output();
        let written = writeln!(output, "{line}").and_then(|()| output.flush());
        written.wrap_err("standard output")
    }

    /// Says what was held back: it tells why something failed.
    pub(super) fn speak_up(&self) {
        for line in self.held_back.take() {
            self.terminal.say(&line);
        }
    }
}
