//! One file, written to standard output.

use std::io::{self, Write};

use eyre::{Report, Result, WrapErr};

use venticore::codec::tree::Entry;
use venticore::net::client::Client;
use venticore::net::tree::{self, TreeError};
use venticore::status::{Failure, Status};

/// Counts what was written.
struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Copies a file to standard output. A reader that has enough of it ends the copy.
pub(super) fn copy(client: &mut Client, entry: &Entry, path: &str) -> Result<Status> {
    let mut output = Counted {
        to: io::stdout().lock(),
        bytes: 0,
    };
    let copied = tree::copy(client, entry, &mut output);
    let copied = copied.and_then(|_| output.flush().map_err(TreeError::Write));
    match copied {
        Ok(()) => Ok(Status::Done),
        Err(TreeError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Status::Done)
        }
        Err(TreeError::Write(error)) => Err(Report::new(error).wrap_err("standard output")),
        Err(TreeError::Client(error)) if error.status() == Status::Unreachable => {
            Err(error).wrap_err("the copy is not complete")
        }
        Err(error) => {
            let bytes = output.bytes;
            let text = format!("{path}: damaged: {error}: {bytes} bytes before that were written");
            Err(Failure::report(Status::Unverified, text))
        }
    }
}
