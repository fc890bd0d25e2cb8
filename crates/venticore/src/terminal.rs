//! What a command says while it runs: lines on standard error, and progress
//! where that is a terminal.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit;

/// Standard error of one command.
pub struct Terminal {
    tool: &'static str,
    verbose: bool,
    bar: ProgressBar,
}

impl Terminal {
    /// Progress is shown only on a terminal that can move its cursor, and not
    /// when `quiet`.
    #[must_use]
    pub fn new(tool: &'static str, quiet: bool, verbose: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let shown = !quiet && !dumb && stderr().is_terminal();
        Terminal {
            tool,
            verbose,
            bar: if shown {
                ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            } else {
                ProgressBar::hidden()
            },
        }
    }

    /// One line: `tool: line`.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| exit::say(self.tool, line));
    }

    /// One line, if `-v` was given.
    pub fn detail(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            self.say(&line());
        }
    }

    /// Starts to show progress towards `total` bytes: bytes, rate, time left.
    pub fn start(&self, total: u64) {
        const LINE: &str = "{bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        self.bar.set_length(total);
        if let Ok(style) = ProgressStyle::with_template(LINE) {
            self.bar.set_style(style);
        }
    }

    /// So many more bytes are done.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Shows that something is waited for, and since when; to be called at
    /// every look.
    pub fn wait(&self, what: &'static str) {
        if let Ok(style) = ProgressStyle::with_template("{msg}, {elapsed}") {
            self.bar.set_style(style);
        }
        self.bar.set_message(what);
        self.bar.tick();
    }

    /// Takes the progress line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
