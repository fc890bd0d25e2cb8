//! One connection: a thread that reads requests and one that sends replies.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Shared;
use super::answer::{Answers, Clerk, HeldRequest, When};
use super::inbox::{Inbox, TooLong, agreed};
use super::pool::{Chunks, Job};
use super::slots::Slot;
use super::turns::{Chunk, Next, Turns};
use crate::codec::wire::{Reply, Request, VERSION_LINE_MAX, Version};

/// What is offered, in the order of preference.
const VERSION_LINE: &[u8] = b"venti-04:02-ventiserve\n";

/// What the server calls the user, as plan9port's does.
const SID: &[u8] = b"anonymous";

/// How often a reader looks whether it is to go on.
const TICK: Duration = Duration::from_secs(5);

/// How long a connection that is over is read from, so that its last replies arrive.
const LINGER: Duration = Duration::from_secs(2);

/// The weight of a chunk: one processor's work between two looks at the queue.
const CHUNK_WEIGHT: usize = 64 * 1024;

/// The weight of a read, 16 a chunk.
const READ_WEIGHT: usize = CHUNK_WEIGHT / 16;

/// The weight of everything small, 256 a chunk.
const SMALL_WEIGHT: usize = CHUNK_WEIGHT / 256;

/// A connection that has said hello.
pub(super) struct Connection {
    /// Its place.
    slot: Slot,
    /// What was agreed on.
    pub(super) version: Version,
    /// Its requests that are on their way.
    pub(super) turns: Turns,
}

impl Connection {
    /// Nothing more can be sent.
    pub(super) fn fail(&self) {
        self.turns.fail();
        // Its reader waits for what does not come.
        let _ = self.stream().shutdown(Shutdown::Both);
    }

    fn stream(&self) -> &TcpStream {
        &self.slot.guest.stream
    }
}

/// Serves a connection to its end.
pub(super) fn serve(shared: &Arc<Shared>, slot: Slot) {
    let mut inbox = Inbox::new();
    // What ends a connection before its hello is the client's affair, and so is what
    // ends it afterwards: it knows what was not answered.
    let Ok(version) = greet(shared, &slot, &mut inbox) else {
        return;
    };
    let connection = Arc::new(Connection {
        slot,
        version,
        turns: Turns::new(shared.limits.in_flight),
    });
    thread::scope(|scope| {
        let writer = thread::Builder::new();
        let started = writer.spawn_scoped(scope, || send_replies(shared, &connection));
        if started.is_ok() {
            let mut reader = Reader {
                shared,
                connection: &connection,
                inbox,
                begun: None,
                answers: Answers::default(),
            };
            reader.read();
        }
        connection.turns.end();
    });
    close(connection.stream());
}

/// Says that nothing more is sent, and takes what the client sends meanwhile: to close at
/// once would destroy replies that are on their way.
pub(super) fn close(mut stream: &TcpStream) {
    let deadline = Instant::now() + LINGER;
    let mut sink = [0; 4096];
    let limited = stream
        .shutdown(Shutdown::Write)
        .and_then(|()| stream.set_read_timeout(Some(LINGER)));
    if limited.is_ok() {
        while matches!(stream.read(&mut sink), Ok(1..)) && Instant::now() < deadline {}
    }
}

/// Agrees on a version and takes the hello.
fn greet(shared: &Shared, slot: &Slot, inbox: &mut Inbox) -> io::Result<Version> {
    let deadline = Instant::now() + shared.limits.hello;
    let mut stream = &slot.guest.stream;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(shared.limits.replies))?;
    stream.write_all(VERSION_LINE)?;
    let closed = || io::Error::from(io::ErrorKind::InvalidData);
    let version = loop {
        if let Some(line) = inbox.line() {
            break agreed(line).ok_or_else(closed)?;
        }
        fill_before(inbox, stream, deadline, VERSION_LINE_MAX)?;
    };
    let frame = loop {
        match inbox.message(version) {
            Ok(Some(frame)) => break frame,
            Ok(None) => fill_before(inbox, stream, deadline, usize::MAX)?,
            Err(TooLong) => return Err(closed()),
        }
    };
    match Request::decode(inbox.bytes(frame.message)) {
        Ok((0, Request::Hello { version: said, .. })) if said == version.text().as_bytes() => {}
        _ => return Err(closed()),
    }
    let mut reply = Vec::new();
    let hello = Reply::Hello {
        sid: SID,
        rcrypto: 0,
        rcodec: 0,
    };
    hello.encode(version, 0, &mut reply).map_err(|_| closed())?;
    stream.write_all(&reply)?;
    slot.is_active();
    stream.set_read_timeout(Some(TICK))?;
    Ok(version)
}

/// Reads once, not later than this, and not what follows that number of bytes.
fn fill_before(
    inbox: &mut Inbox,
    mut stream: &TcpStream,
    deadline: Instant,
    most: usize,
) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() || inbox.len() >= most {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    match inbox.fill(&mut stream)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The thread that reads.
struct Reader<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Arc<Connection>,
    inbox: Inbox,
    /// Since when a message is there that is not whole.
    begun: Option<Instant>,
    /// The answer to a request that is alone; its room is used again.
    answers: Answers,
}

/// The connection takes no more requests.
struct Over;

impl Reader<'_> {
    fn read(&mut self) {
        while self.give().is_ok() && self.come() {}
    }

    /// Waits for more bytes; whether some have come.
    fn come(&mut self) -> bool {
        loop {
            let mut stream = self.connection.stream();
            match self.inbox.fill(&mut stream) {
                Ok(0) => return false,
                Ok(_) => return !self.shared.is_stopped(),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                        if !self.is_late() && !self.connection.turns.is_broken() => {}
                    _ => return false,
                },
            }
        }
    }

    /// A message was begun too long ago.
    fn is_late(&self) -> bool {
        let limit = self.shared.limits.message;
        self.begun.is_some_and(|begun| begun.elapsed() > limit)
    }

    /// Gives what has come to the workers, in chunks. One request that is alone is
    /// carried out here: to hand it over would take longer.
    fn give(&mut self) -> Result<(), Over> {
        let mut chunk = Chunk::default();
        let mut weight = 0;
        let mut first = true;
        let over = loop {
            let frame = match self.inbox.message(self.connection.version) {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(TooLong) => break Err(Over),
            };
            let message = self.inbox.bytes(frame.message.clone());
            if is_goodbye(message) {
                break Err(Over);
            }
            if first && self.inbox.is_empty() && self.connection.turns.is_idle() {
                self.begun = None;
                self.connection.slot.is_active();
                return self.answer_alone(frame.message);
            }
            first = false;
            weight += weight_of(message);
            chunk.writes |= is_write(message);
            chunk.frames.extend(self.inbox.bytes(frame.frame));
            if weight >= CHUNK_WEIGHT {
                self.add(std::mem::take(&mut chunk))?;
                weight = 0;
            }
        };
        if !first {
            self.begun = None;
            self.connection.slot.is_active();
        }
        if !chunk.frames.is_empty() {
            self.add(chunk)?;
        }
        if self.is_late() {
            return Err(Over);
        }
        if !self.inbox.is_empty() && self.begun.is_none() {
            self.begun = Some(Instant::now());
        }
        over
    }

    fn add(&self, chunk: Chunk) -> Result<(), Over> {
        let number = self.connection.turns.add(chunk).ok_or(Over)?;
        let connection = Arc::clone(self.connection) as Arc<dyn Chunks>;
        let job = Job { connection, number };
        self.shared.pool.give(job).map_err(|_| Over)
    }

    fn answer_alone(&mut self, message: std::ops::Range<usize>) -> Result<(), Over> {
        let Reader { inbox, answers, .. } = self;
        let clerk = clerk(self.shared, self.connection);
        answers.frames.clear();
        let message = inbox.bytes(message);
        guarded(|| clerk.answer(message, When::InTurn, answers)).ok_or(Over)?;
        let sent = self.connection.stream().write_all(&answers.frames);
        sent.map_err(|_| Over)
    }
}

fn clerk<'a>(shared: &'a Shared, connection: &Connection) -> Clerk<'a> {
    Clerk {
        store: &shared.store,
        version: connection.version,
    }
}

/// Runs what is done for one client: a panic, whose message goes to standard error, ends
/// that client's connection and not the server.
fn guarded<T>(part: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(part)).ok()
}

impl Chunks for Connection {
    fn carry_out(&self, shared: &Shared, number: u64) {
        let Some(chunk) = self.turns.take(number) else {
            return;
        };
        let clerk = clerk(shared, self);
        let when = match chunk.behind_writes {
            true => When::BesideWrites,
            false => When::AfterWrites,
        };
        match guarded(|| clerk.answer_all(&chunk.frames, when)) {
            Some(answers) => self.turns.done(number, &chunk, answers),
            None => self.fail(),
        }
    }
}

/// The thread that sends replies.
fn send_replies(shared: &Shared, connection: &Connection) {
    let clerk = clerk(shared, connection);
    while let Some((_, next)) = connection.turns.next() {
        let (answers, counted) = match next {
            Next::Send(answers) => {
                let counted = answers.frames.len();
                (Some(answers), counted)
            }
            Next::Answer(chunk) => {
                let answers = guarded(|| clerk.answer_all(&chunk.frames, When::InTurn));
                connection.turns.answered(&chunk);
                (answers, 0)
            }
        };
        let sent = answers.and_then(|answers| {
            let send = || send(clerk, connection.stream(), &answers);
            guarded(send)?.ok()
        });
        if sent.is_none() {
            connection.fail();
            return;
        }
        connection.slot.is_active();
        connection.turns.sent(counted);
    }
}

/// Sends answers, those first that were held back until their turn.
fn send(clerk: Clerk<'_>, mut stream: &TcpStream, answers: &Answers) -> io::Result<()> {
    if answers.held.is_empty() {
        return stream.write_all(&answers.frames);
    }
    let mut out = Answers::default();
    let mut from = 0;
    for held in &answers.held {
        out.frames.extend(&answers.frames[from..held.at]);
        from = held.at;
        if matches!(held.request, HeldRequest::Sync) {
            // A sync takes its time.
            stream.write_all(&out.frames)?;
            out.frames.clear();
        }
        clerk.answer_held(*held, &mut out);
    }
    out.frames.extend(&answers.frames[from..]);
    stream.write_all(&out.frames)
}

fn is_goodbye(message: &[u8]) -> bool {
    matches!(Request::decode(message), Ok((_, Request::Goodbye)))
}

fn is_write(message: &[u8]) -> bool {
    matches!(Request::decode(message), Ok((_, Request::Write { .. })))
}

fn weight_of(message: &[u8]) -> usize {
    match Request::decode(message) {
        Ok((_, Request::Write { data, .. })) => data.len().max(SMALL_WEIGHT),
        Ok((_, Request::Read { count: 1.., .. })) => READ_WEIGHT,
        _ => SMALL_WEIGHT,
    }
}
