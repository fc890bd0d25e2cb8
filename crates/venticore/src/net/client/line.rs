//! Requests and replies over a connection: the window, and the silence limit.

use std::io::IoSlice;
use std::time::{Duration, Instant};

use super::Timeouts;
use super::conn::Conn;
use super::error::{ClientError, Operation};
use super::window::{RequestWindow, WINDOW};
use crate::codec::wire::Reply;

/// How long one system call may block on a server that does not read, before
/// its replies are looked at.
const SLICE: Duration = Duration::from_secs(1);

/// What is done with each reply: the request, its number, the reply.
pub(super) type Sink<'s> = dyn FnMut(Operation, usize, Reply<'_>) -> Result<(), ClientError> + 's;

pub(super) struct Transport {
    pub(super) conn: Conn,
    pub(super) window: RequestWindow,
    limits: Timeouts,
    progress: ServerActivity,
    /// The last complete reply, or the first request that is outstanding.
    since: Instant,
}

/// What a server did while it was waited for.
#[derive(Default)]
struct ServerActivity {
    waited: Duration,
    /// Bytes, an answer being [`Timeouts::ANSWER`] at least.
    amount: u64,
}

impl ServerActivity {
    /// The server has answered.
    fn answered(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.amount = self.amount.saturating_add(bytes.max(Timeouts::ANSWER));
    }

    /// Begins again after each stretch that was long enough.
    ///
    /// # Errors
    /// The server did too little in it.
    fn check(&mut self, limits: &Timeouts) -> Result<(), ClientError> {
        if self.waited < limits.progress {
            return Ok(());
        }
        let found = std::mem::take(self).amount;
        match found < limits.least {
            true => Err(ClientError::Slow {
                found,
                expected: limits.least,
                limit: limits.progress,
            }),
            false => Ok(()),
        }
    }
}

impl Transport {
    pub(super) fn new(conn: Conn, limits: Timeouts) -> Result<Self, ClientError> {
        conn.block_at_most(SLICE.min(limits.silence))?;
        Ok(Transport {
            conn,
            window: RequestWindow::new(),
            limits,
            progress: ServerActivity::default(),
            since: Instant::now(),
        })
    }

    /// Requests to send now, at most `wanted`; makes room when there is none,
    /// many at a time so that system calls carry many replies.
    pub(super) fn room(
        &mut self,
        wanted: usize,
        sink: &mut Sink<'_>,
    ) -> Result<usize, ClientError> {
        if self.window.room() == 0 {
            self.receive_until(WINDOW / 2, self.limits.silence, sink)?;
        }
        Ok(self.window.room().min(wanted))
    }

    /// A tag for a request about to be sent.
    pub(super) fn open(&mut self, asked: Operation, number: usize) -> Result<u8, ClientError> {
        if self.window.outstanding() == 0 {
            self.since = Instant::now();
        }
        let full = || ClientError::Protocol {
            expected: "a free tag".to_owned(),
            found: "a full window".to_owned(),
        };
        self.window.open(asked, number).ok_or_else(full)
    }

    /// Sends all of it. Replies are taken in whenever the other side does not
    /// take our bytes as fast as we have them, so that both cannot wait for
    /// each other.
    pub(super) fn send(
        &mut self,
        mut data: &mut [IoSlice<'_>],
        sink: &mut Sink<'_>,
    ) -> Result<(), ClientError> {
        // Nothing to send is no call: a write of nothing looks like an end.
        IoSlice::advance_slices(&mut data, 0);
        while !data.is_empty() {
            self.listen_if_overdue(sink)?;
            let began = Instant::now();
            let sent = match self.conn.send_some(data) {
                Ok(sent) => sent,
                Err(error) => return Err(self.last_words(error, sink)),
            };
            IoSlice::advance_slices(&mut data, sent);
            if !data.is_empty() {
                self.progress.waited += began.elapsed();
                self.receive_at_hand(sink)?;
            }
        }
        Ok(())
    }

    /// Receives until at most `most` requests are outstanding.
    pub(super) fn receive_until(
        &mut self,
        most: usize,
        limit: Duration,
        sink: &mut Sink<'_>,
    ) -> Result<(), ClientError> {
        while self.window.outstanding() > most {
            let asked = self.window.any().unwrap_or(Operation::Sync);
            let began = Instant::now();
            let (tag, reply) = self.conn.reply(limit, asked)?;
            self.since = Instant::now();
            // A sync has a limit of its own.
            if asked != Operation::Sync {
                self.progress.waited += self.since - began;
            }
            let bytes = answer(&mut self.window, tag, reply, sink)?;
            self.progress.answered(bytes);
            self.progress.check(&self.limits)?;
        }
        Ok(())
    }

    /// Waits for one reply, and takes those that came with it.
    pub(super) fn receive_some(
        &mut self,
        limit: Duration,
        sink: &mut Sink<'_>,
    ) -> Result<(), ClientError> {
        let most = self.window.outstanding().saturating_sub(1);
        self.receive_until(most, limit, sink)?;
        while let Some((tag, reply)) = self.conn.reply_in_buffer()? {
            let bytes = answer(&mut self.window, tag, reply, sink)?;
            self.progress.answered(bytes);
        }
        Ok(())
    }

    /// Takes the replies that have come already.
    fn receive_at_hand(&mut self, sink: &mut Sink<'_>) -> Result<(), ClientError> {
        while let Some((tag, reply)) = self.conn.reply_at_hand()? {
            self.since = Instant::now();
            let bytes = answer(&mut self.window, tag, reply, sink)?;
            self.progress.answered(bytes);
        }
        self.progress.check(&self.limits)
    }

    /// The verdict on a server that takes requests and answers none. The caller
    /// may have been away meanwhile, so what has come is looked at first.
    fn listen_if_overdue(&mut self, sink: &mut Sink<'_>) -> Result<(), ClientError> {
        let overdue = |line: &Self| line.since.elapsed() >= line.limits.silence;
        if !overdue(self) {
            return Ok(());
        }
        self.receive_at_hand(sink)?;
        match self.window.any() {
            Some(asked) if overdue(self) => Err(ClientError::Silent {
                asked,
                limit: self.limits.silence,
            }),
            _ => Ok(()),
        }
    }

    /// What the server said before it closed tells more than that it closed.
    fn last_words(&mut self, error: ClientError, sink: &mut Sink<'_>) -> ClientError {
        match self.receive_at_hand(sink) {
            Err(said @ (ClientError::Refused { .. } | ClientError::WrongScore { .. })) => said,
            _ => error,
        }
    }
}

/// Passes a reply on, and says how many bytes of a block the answer is about.
fn answer(
    window: &mut RequestWindow,
    tag: u8,
    reply: Reply<'_>,
    sink: &mut Sink<'_>,
) -> Result<usize, ClientError> {
    let (asked, number) = window.close(tag).ok_or_else(|| ClientError::Protocol {
        expected: "a tag in use".to_owned(),
        found: format!("tag {tag} in {}", reply.name()),
    })?;
    let bytes = match (asked, &reply) {
        // The number of a write is its size.
        (Operation::Write(..), _) => number,
        (_, Reply::Read(data)) => data.len(),
        _ => 0,
    };
    sink(asked, number, reply)?;
    Ok(bytes)
}
