//! The broker's log, written beside it: a full or slow disk does not stop the
//! console.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use venticore::state::LogFile;

use crate::console::reply::is_fence;

/// Lines that wait to be written.
const WAITING: usize = 1024;

/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of a line that has not ended.
const LINE: usize = 4096;

/// Lines on their way to the log.
pub(super) struct Diary {
    lines: Option<SyncSender<(&'static str, String)>>,
    done: Receiver<()>,
    lost: usize,
    console: Vec<u8>,
    stderr: Vec<u8>,
}

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The console's.
    Console,
    /// The fossil's standard error.
    Stderr,
}

impl Diary {
    /// Starts to write.
    #[must_use]
    pub(super) fn new(mut log: LogFile) -> Self {
        let (lines, waiting) = sync_channel::<(&'static str, String)>(WAITING);
        let (finished, done) = sync_channel(1);
        thread::spawn(move || {
            for (who, text) in waiting {
                // There is nobody to tell; the next line may succeed.
                let _ = log.line(who, &text);
            }
            let _ = finished.send(());
        });
        Diary {
            lines: Some(lines),
            done,
            lost: 0,
            console: Vec::new(),
            stderr: Vec::new(),
        }
    }

    /// A line of the broker's own.
    pub(super) fn line(&mut self, text: &str) {
        self.put("broker", text);
    }

    /// Bytes that were said; whole lines are logged, and returned.
    pub(super) fn said(&mut self, source: Origin, bytes: &[u8]) -> Vec<String> {
        let (who, rest) = match source {
            Origin::Console => ("console", &mut self.console),
            Origin::Stderr => ("stderr", &mut self.stderr),
        };
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") || rest.len() > LINE {
                let line = String::from_utf8_lossy(rest);
                let line = line.trim_end_matches('\n').to_owned();
                rest.clear();
                lines.push(line);
            }
        }
        for line in lines.iter().filter(|line| !is_fence(line)) {
            self.put(who, line);
        }
        lines
    }

    fn put(&mut self, who: &'static str, text: &str) {
        let Some(lines) = &self.lines else { return };
        if self.lost > 0 {
            let text = format!("{} lines lost: the disk is slow", self.lost);
            if lines.try_send(("broker", text)).is_ok() {
                self.lost = 0;
            }
        }
        if let Err(TrySendError::Full(_)) = lines.try_send((who, text.to_owned())) {
            self.lost += 1;
        }
    }

    /// Waits until the last line is written, or the disk is too slow.
    pub(super) fn close(&mut self) {
        self.lines = None;
        let _ = self.done.recv_timeout(PATIENCE);
    }
}
