//! A client of a venti: pipelined, windowed, every wait with a limit
//! (venti.md 7). Blocking, one connection; the only thread is one for the look-up
//! of a name.
//!
//! A block counts as replicated only once [`Client::sync`] has returned after
//! it was written; a write that returned has merely been sent. After an error
//! of the connection or of a write every further call fails with
//! [`ClientError::GivenUp`]: dial again. A read or probe that the server refuses, or
//! answers with wrong data, leaves the connection usable.
//!
//! Dropping a client closes the connection. Nothing is waited for then:
//! requests outstanding may or may not be carried out.

mod acknowledged;
mod conn;
mod dialer;
mod error;
mod limits;
mod line;
mod presence;
mod stream;
mod verdict;
mod window;
mod words;

use crate::net::addresses;
use crate::status::Status;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

pub use acknowledged::Acknowledged;
pub use dialer::Dialer;
pub use error::{ClientError, Operation};
pub use limits::Timeouts;
pub use presence::Presence;
pub use window::WINDOW;

use crate::codec::blocktype::{BLOCK_MAX, BlockType};
use crate::codec::dial::Dial;
use crate::codec::score::Score;
use crate::codec::wire::{Reply, Request, Version, WriteHead};
use crate::text::printable;
use conn::Conn;
use line::{Sink, Transport};
use verdict::{block_in, presence_in};
use words::{AbsentAnswer, ServerWords, impossible};

/// Blocks in one system call. Half a window, so that one half is on its way
/// while the other is answered; two slices a block stay below the 1024 a
/// system call takes.
const BATCH: usize = WINDOW / 2;

/// Takes each block read, or why not, with its position.
type EachBlock<'f> = dyn FnMut(usize, Result<&[u8], ClientError>) -> ControlFlow<()> + 'f;

/// Takes each reply, with the position of its request, and what is known of the
/// server's words.
type EachReply<'f> = dyn FnMut(Operation, usize, Reply<'_>, &ServerWords) -> Result<ControlFlow<()>, ClientError>
    + 'f;

/// Something to be asked of a server in [`Client::ask_many`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// For the data of a block.
    Read(Score, BlockType),
    /// Whether it has a block.
    Probe(Score, BlockType),
}

impl Question {
    fn wanted(self) -> Wanted {
        match self {
            Self::Read(score, ty) => Wanted::read(score, ty, BLOCK_MAX),
            Self::Probe(score, ty) => Wanted::probe(score, ty),
        }
    }
}

/// What a server says to a [`Question`].
#[derive(Debug)]
pub enum Answer<'d> {
    /// A block, or why not: see [`Client::read`].
    Block(Result<&'d [u8], ClientError>),
    /// Whether it has a block.
    Presence(Presence),
}

/// A Tread to be sent.
struct Wanted {
    asked: Operation,
    score: Score,
    ty: BlockType,
    count: u32,
}

impl Wanted {
    fn read(score: Score, ty: BlockType, count: u32) -> Self {
        let asked = Operation::Read(ty, score);
        Wanted {
            asked,
            score,
            ty,
            count,
        }
    }

    fn probe(score: Score, ty: BlockType) -> Self {
        let asked = Operation::Probe(ty, score);
        Wanted {
            asked,
            score,
            ty,
            count: 0,
        }
    }
}

/// A refusal whose words are not known yet.
struct Unclear {
    asked: Operation,
    number: usize,
    text: Vec<u8>,
}

/// A connection to a server.
pub struct Client {
    line: Transport,
    limits: Timeouts,
    acknowledged: Acknowledged,
    words: ServerWords,
    given_up: Option<ClientError>,
}

impl Client {
    /// Connects to the first address that answers, or through a command, agrees on a
    /// version and says hello.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Silent`] and [`ClientError::Lost`] when no
    /// address gave a connection, [`ClientError::Protocol`] and [`ClientError::Refused`]
    /// when something answered that will not do.
    pub fn dial(dial: &Dial, dialer: &Dialer) -> Result<Self, ClientError> {
        let limits = dialer.limits.clamped();
        let deadline = Instant::now() + limits.connect;
        if let Some(words) = dialer.via(dial) {
            return Self::hello(Conn::start(words, deadline, limits.connect)?, limits);
        }
        let addresses =
            addresses::within(dial, limits.connect).map_err(ClientError::Unreachable)?;
        let mut count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut failed = ClientError::Unreachable(io::ErrorKind::NotFound.into());
        for address in &addresses {
            // Each address gets its share of the time left.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = Instant::now() + left / count.max(1);
            count -= 1;
            match Conn::open(address, share, limits.connect) {
                Ok(conn) => return Self::hello(conn, limits),
                Err(error) if error.status() == Status::Unreachable => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// The first request, with tag 0 and everything empty but the version
    /// (venti.md 7.3).
    fn hello(conn: Conn, limits: Timeouts) -> Result<Self, ClientError> {
        let mut client = Client {
            line: Transport::new(conn, limits)?,
            limits,
            acknowledged: Acknowledged::default(),
            words: ServerWords::default(),
            given_up: None,
        };
        let request = Request::Hello {
            version: client.version().text().as_bytes(),
            uid: b"",
            strength: 0,
            crypto: b"",
            codec: b"",
        };
        client.call(Operation::Hello, &request, limits.silence)?;
        Ok(client)
    }

    /// The version agreed on.
    #[must_use]
    pub fn version(&self) -> Version {
        self.line.conn.version()
    }

    /// The blocks acknowledged so far. Only what was acknowledged before a
    /// [`Client::sync`] that succeeded is known to be on disk.
    #[must_use]
    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged
    }

    /// Requests sent and not answered yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.line.window.outstanding()
    }

    /// Sends one block; its acknowledgement is taken later, by
    /// [`Client::sync`] at the latest. For many blocks see
    /// [`Client::write_all`].
    ///
    /// # Errors
    /// As [`Client::write_all`].
    pub fn write(&mut self, ty: BlockType, score: &Score, data: &[u8]) -> Result<(), ClientError> {
        self.write_all([(ty, *score, data)])
    }

    /// Sends blocks of 1 to 57344 bytes with their scores, many in one system
    /// call and without copying them. An empty block is never sent: it counts
    /// as acknowledged.
    ///
    /// # Errors
    /// [`ClientError::Refused`] and [`ClientError::WrongScore`] for any block sent before
    /// that the server would not or did not rightly take, [`ClientError::Size`] for
    /// one that cannot be sent, and the errors of the connection. Each of them
    /// ends the use of the client.
    pub fn write_all<'a>(
        &mut self,
        blocks: impl IntoIterator<Item = (BlockType, Score, &'a [u8])>,
    ) -> Result<(), ClientError> {
        self.guarded(|client| client.send_blocks(blocks.into_iter()))
    }

    fn send_blocks<'a>(
        &mut self,
        mut blocks: impl Iterator<Item = (BlockType, Score, &'a [u8])>,
    ) -> Result<(), ClientError> {
        let mut heads = Vec::with_capacity(BATCH);
        loop {
            let done = &mut self.acknowledged;
            let room = self.line.room(BATCH, &mut |a, n, r| done.note(a, n, &r))?;
            let mut taken = 0;
            for (ty, score, data) in blocks.by_ref().take(room) {
                taken += 1;
                if let Some(head) = self.open_write(ty, score, data)? {
                    heads.push((head, data));
                }
            }
            self.send_heads(&heads)?;
            heads.clear();
            if taken < room {
                return Ok(());
            }
        }
    }

    /// Takes a tag for a write; `None` for an empty block.
    fn open_write(
        &mut self,
        ty: BlockType,
        score: Score,
        data: &[u8],
    ) -> Result<Option<WriteHead>, ClientError> {
        if data.is_empty() && score.is_nil() {
            self.acknowledged.blocks += 1;
            return Ok(None);
        }
        if data.is_empty() || data.len() > BLOCK_MAX as usize {
            let found = data.len();
            return Err(ClientError::Size { score, found });
        }
        let tag = self.line.open(Operation::Write(ty, score), data.len())?;
        let head = WriteHead::new(self.version(), tag, ty.to_disk(), data.len())?;
        Ok(Some(head))
    }

    fn send_heads(&mut self, heads: &[(WriteHead, &[u8])]) -> Result<(), ClientError> {
        let both = |(head, data)| [IoSlice::new(WriteHead::as_bytes(head)), IoSlice::new(data)];
        let mut slices: Vec<_> = heads.iter().map(|(h, d)| (h, *d)).flat_map(both).collect();
        let done = &mut self.acknowledged;
        self.line
            .send(&mut slices, &mut |a, n, r| done.note(a, n, &r))
    }

    /// Waits for the reply to every write, then asks the server to put
    /// everything acknowledged on disk and waits for that.
    ///
    /// # Errors
    /// The errors of [`Client::write_all`] for the writes still outstanding, then
    /// [`ClientError::Refused`] and the errors of the connection for the sync itself.
    pub fn sync(&mut self) -> Result<(), ClientError> {
        self.guarded(|client| {
            client.take_replies()?;
            client.call(Operation::Sync, &Request::Sync, client.limits.sync)
        })
    }

    /// Waits for the reply to every write.
    ///
    /// # Errors
    /// The errors of [`Client::write_all`] for the writes still outstanding.
    pub fn settle(&mut self) -> Result<(), ClientError> {
        self.guarded(Self::take_replies)
    }

    /// Receives until nothing is outstanding.
    fn take_replies(&mut self) -> Result<(), ClientError> {
        let done = &mut self.acknowledged;
        let silence = self.limits.silence;
        self.line
            .receive_until(0, silence, &mut |a, n, r| done.note(a, n, &r))
    }

    /// One request and its reply, with nothing else outstanding.
    fn call(
        &mut self,
        asked: Operation,
        request: &Request<'_>,
        limit: Duration,
    ) -> Result<(), ClientError> {
        let done = &mut self.acknowledged;
        let mut sink = |asked, number, reply: Reply<'_>| done.note(asked, number, &reply);
        let mut bytes = Vec::new();
        let tag = self.line.open(asked, 0)?;
        request.encode(self.line.conn.version(), tag, &mut bytes)?;
        self.line.send(&mut [IoSlice::new(&bytes)], &mut sink)?;
        self.line.receive_until(0, limit, &mut sink)
    }

    /// Reads one block of at most `max` bytes and checks it against its score.
    /// A nil score is the empty block; the server is not asked for it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the server has no such block
    /// ([`ClientError::is_absent`]) or cannot read it, [`ClientError::WrongScore`] when its
    /// data is not the block; neither ends the use of the client. Then the
    /// errors of the connection.
    pub fn read(&mut self, score: &Score, ty: BlockType, max: u32) -> Result<Vec<u8>, ClientError> {
        let mut block = Ok(Vec::new());
        self.guarded(|client| {
            client.read_each([(*score, ty)].into_iter(), max, &mut |_, result| {
                block = result.map(<[u8]>::to_vec);
                ControlFlow::Continue(())
            })
        })?;
        block
    }

    /// Reads many blocks, a window of them at a time, and gives each to `f`
    /// with its position in `wanted`, in the order of the replies. What a
    /// single block can fail with ([`Client::read`]) goes to `f`. After `f`
    /// breaks, no more are asked for and the replies still outstanding are
    /// passed over.
    ///
    /// # Errors
    /// The errors of the connection.
    pub fn read_many(
        &mut self,
        wanted: impl IntoIterator<Item = (Score, BlockType)>,
        mut f: impl FnMut(usize, Result<&[u8], ClientError>) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        self.guarded(|client| client.read_each(wanted.into_iter(), BLOCK_MAX, &mut f))
    }

    fn read_each(
        &mut self,
        wanted: impl Iterator<Item = (Score, BlockType)>,
        max: u32,
        f: &mut EachBlock<'_>,
    ) -> Result<(), ClientError> {
        let wanted = wanted.fuse();
        let wanted = wanted.map(|(score, ty)| Wanted::read(score, ty, max));
        self.ask_each(wanted, &mut |asked, number, reply, words| {
            Ok(f(number, block_in(asked, max, reply, words)?))
        })
    }

    /// Asks whether the server has a block, without moving its data.
    ///
    /// The answer rests on error texts: where a known block is not
    /// [`Presence::Present`], the server cannot be probed.
    ///
    /// # Errors
    /// The errors of the connection.
    pub fn probe(&mut self, score: &Score, ty: BlockType) -> Result<Presence, ClientError> {
        let mut answer = Presence::NoAnswer(String::new());
        self.probe_many([(*score, ty)], |_, presence| {
            answer = presence;
            ControlFlow::Continue(())
        })?;
        Ok(answer)
    }

    /// Probes for many blocks as [`Client::read_many`] reads them.
    ///
    /// # Errors
    /// The errors of the connection.
    pub fn probe_many(
        &mut self,
        wanted: impl IntoIterator<Item = (Score, BlockType)>,
        mut f: impl FnMut(usize, Presence) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let wanted = wanted.into_iter().fuse();
        let wanted = wanted.map(|(score, ty)| Wanted::probe(score, ty));
        self.guarded(|client| {
            client.ask_each(wanted, &mut |asked, number, reply, words| {
                Ok(f(number, presence_in(asked, &reply, words)?))
            })
        })
    }

    /// Asks what `next` gives, a window of questions at a time, and gives each answer to
    /// `f` with the number of its question, in the order of the replies. Where `next` has
    /// nothing, it is asked again after each answer, so that an answer may lead to new
    /// questions while others are on their way. It is over when `next` has nothing and
    /// nothing is outstanding, or `f` breaks.
    ///
    /// # Errors
    /// The errors of the connection.
    pub fn ask_many(
        &mut self,
        mut next: impl FnMut() -> Option<Question>,
        mut f: impl FnMut(usize, Answer<'_>) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let wanted = std::iter::from_fn(|| next().map(Question::wanted));
        self.guarded(|client| {
            client.ask_each(wanted, &mut |asked, number, reply, words| {
                let answer = match asked {
                    Operation::Probe(..) => Answer::Presence(presence_in(asked, &reply, words)?),
                    _ => Answer::Block(block_in(asked, BLOCK_MAX, reply, words)?),
                };
                Ok(f(number, answer))
            })
        })
    }

    /// Sends a Tread for each, and gives each reply to `f`; a nil score is
    /// answered with the empty block at once. Where there is nothing to be sent, replies
    /// are taken until there is, or nothing is outstanding.
    fn ask_each(
        &mut self,
        wanted: impl Iterator<Item = Wanted>,
        f: &mut EachReply<'_>,
    ) -> Result<(), ClientError> {
        // The replies are judged by the words while the line is in use.
        let words = RefCell::new(std::mem::take(&mut self.words));
        let result = self.ask_with(wanted, &words, f);
        self.words = words.into_inner();
        result
    }

    fn ask_with(
        &mut self,
        wanted: impl Iterator<Item = Wanted>,
        words: &RefCell<ServerWords>,
        f: &mut EachReply<'_>,
    ) -> Result<(), ClientError> {
        self.take_replies()?;
        let stopped = Cell::new(false);
        let unclear = RefCell::new(Vec::new());
        let mut sink = |asked, number, reply: Reply<'_>| {
            if stopped.get() {
                return Ok(());
            }
            if let Reply::Error(text) = reply
                && !verdict::is_clear(asked, text, &words.borrow())
            {
                let text = text.to_vec();
                unclear.borrow_mut().push(Unclear {
                    asked,
                    number,
                    text,
                });
                return Ok(());
            }
            stopped.set(f(asked, number, reply, &words.borrow())?.is_break());
            Ok(())
        };
        let mut wanted = wanted.enumerate();
        let mut wanted = std::iter::from_fn(|| (!stopped.get()).then(|| wanted.next()).flatten());
        loop {
            let room = self.line.room(BATCH, &mut sink)?;
            let taken = self.send_wanted(&mut wanted, room, &mut sink)?;
            let is_dry = taken < room;
            // What came while this was sent may lead to new questions.
            let done = stopped.get() || taken == 0 && self.line.window.outstanding() == 0;
            if is_dry && !done {
                self.line.receive_some(self.limits.silence, &mut sink)?;
            }
            // Before the server's words are asked for nothing may be on its way.
            if done || !unclear.borrow().is_empty() {
                self.line.receive_until(0, self.limits.silence, &mut sink)?;
            }
            let done = done && unclear.borrow().is_empty();
            for Unclear {
                asked,
                number,
                text,
            } in unclear.take()
            {
                self.learn(asked, &text, words)?;
                sink(asked, number, Reply::Error(&text))?;
            }
            if done {
                return Ok(());
            }
        }
    }

    /// Sends at most this many requests, and says how many it took.
    fn send_wanted(
        &mut self,
        wanted: &mut dyn Iterator<Item = (usize, Wanted)>,
        most: usize,
        sink: &mut Sink<'_>,
    ) -> Result<usize, ClientError> {
        let (mut taken, mut bytes) = (0, Vec::new());
        while taken < most
            && let Some((number, one)) = wanted.next()
        {
            taken += 1;
            match one.score.is_nil() {
                true => sink(one.asked, number, Reply::Read(&[]))?,
                false => self.open_read(number, &one, &mut bytes)?,
            }
        }
        self.line.send(&mut [IoSlice::new(&bytes)], sink)?;
        Ok(taken)
    }

    /// Asks for a block that cannot exist, unless the words of a refusal are known by
    /// now: how the server says that it lacks one.
    fn learn(
        &mut self,
        asked: Operation,
        text: &[u8],
        words: &RefCell<ServerWords>,
    ) -> Result<(), ClientError> {
        let (Operation::Read(ty, score) | Operation::Probe(ty, score)) = asked else {
            return Ok(());
        };
        if verdict::is_clear(asked, text, &words.borrow()) {
            return Ok(());
        }
        let score = impossible(&score);
        let mut bytes = Vec::new();
        self.open_read(0, &Wanted::read(score, ty, BLOCK_MAX), &mut bytes)?;
        let mut answer = AbsentAnswer::NoError;
        let mut sink = |_, _, reply: Reply<'_>| {
            if let Reply::Error(text) = reply {
                answer = AbsentAnswer::of_text(&printable(text), &score);
            }
            Ok(())
        };
        self.line.send(&mut [IoSlice::new(&bytes)], &mut sink)?;
        self.line.receive_until(0, self.limits.silence, &mut sink)?;
        words.borrow_mut().learn(ty, answer);
        Ok(())
    }

    /// Takes a tag for a Tread and appends it.
    fn open_read(
        &mut self,
        number: usize,
        wanted: &Wanted,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let tag = self.line.open(wanted.asked, number)?;
        let (score, ty, count) = (wanted.score, wanted.ty.to_disk(), wanted.count);
        Ok(Request::Read { score, ty, count }.encode(self.version(), tag, bytes)?)
    }

    /// Refuses after an error that ended the use of the client, and remembers
    /// one that does.
    fn guarded<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        if let Some(error) = &self.given_up {
            return Err(error.given_up());
        }
        let result = call(self);
        self.given_up = result.as_ref().err().map(ClientError::given_up);
        result
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("version", &self.version())
            .field("outstanding", &self.outstanding())
            .field("acknowledged", &self.acknowledged)
            .field("given_up", &self.given_up)
            .finish_non_exhaustive()
    }
}
