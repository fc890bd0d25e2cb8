//! Where the threads beside the loop leave their news.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::mpsc::Sender;

use eyre::Result;

/// What a thread beside has to tell.
#[derive(Debug)]
pub(super) enum News {
    /// The fossil's first process has ended.
    Ended(io::Result<ExitStatus>),
    /// The orderly end is prepared, or failed.
    Halted(Result<()>),
}

/// The threads' news, and what wakes the loop for them.
pub(super) struct Desk {
    pub(super) sender: Sender<News>,
    pub(super) bell: UnixStream,
}

impl Desk {
    pub(super) fn tell(&self, news: News) {
        let _ = self.sender.send(news);
        let _ = (&self.bell).write(&[0]);
    }

    pub(super) fn another(&self) -> io::Result<Desk> {
        Ok(Desk {
            sender: self.sender.clone(),
            bell: self.bell.try_clone()?,
        })
    }
}
