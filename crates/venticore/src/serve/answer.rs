//! What a request is answered, as plan9port's venti would (venti.md 7.5).

use crate::codec::score::Score;
use crate::codec::wire::{Reply, Request, Version, message_length};
use crate::store::{Refusal, Store};

/// Error texts are cut here, in bytes.
const ERROR_MAX: usize = 127;

/// The score by which clients of old ask for nothing; answered with nothing.
const ALL_ZERO: Score = Score::from_bytes([0; Score::LEN]);

/// The replies to consecutive requests.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Frames, in the order of the requests.
    pub(super) frames: Vec<u8>,
    /// The replies that are missing among them, in order.
    pub(super) held: Vec<Held>,
}

/// A reply that can only be made when all requests before it are carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Where it belongs among the frames.
    pub(super) at: usize,
    /// The tag of its request.
    pub(super) tag: u8,
    /// The request.
    pub(super) request: HeldRequest,
}

/// A request whose turn has to come.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeldRequest {
    /// A sync: of everything before it.
    Sync,
    /// A read that found nothing: what it asks for may be among the writes before it.
    Read {
        /// The block.
        score: Score,
        /// Its type by disk number.
        disk_type: u8,
        /// The most bytes wanted.
        count: u32,
    },
}

/// When a request is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// All requests before it are carried out, and nobody waits for this thread.
    InTurn,
    /// The writes before it are carried out.
    AfterWrites,
    /// Writes before it may not be carried out.
    BesideWrites,
}

/// Carries requests out.
#[derive(Clone, Copy)]
pub(super) struct Clerk<'a> {
    /// Where blocks are.
    pub(super) store: &'a Store,
    /// What was agreed on with the client.
    pub(super) version: Version,
}

impl Clerk<'_> {
    /// Carries out one message. What is not a message gets no reply, as plan9port has it.
    pub(super) fn answer(self, message: &[u8], when: When, answers: &mut Answers) {
        let (tag, request) = match Request::decode(message) {
            Ok(decoded) => decoded,
            // A reply is a message too, but none that a server takes.
            Err(_) => match Reply::decode(message) {
                Ok((tag, _)) => return self.refuse(tag, "unknown request", answers),
                Err(_) => return,
            },
        };
        match request {
            Request::Read { score, ty, count } => {
                let request = HeldRequest::Read {
                    score,
                    disk_type: ty,
                    count,
                };
                self.read(tag, request, when, answers);
            }
            Request::Write { ty, data } => self.write(tag, ty, data, answers),
            Request::Sync if when == When::InTurn => self.sync(tag, answers),
            Request::Sync => hold(tag, HeldRequest::Sync, answers),
            Request::Ping | Request::Hello { .. } => self.refuse(tag, "unknown request", answers),
            Request::Goodbye => {}
        }
    }

    /// Carries out messages that follow each other, each with its length.
    pub(super) fn answer_all(self, mut frames: &[u8], when: When) -> Answers {
        let mut answers = Answers::default();
        while let Some(length) = message_length(self.version, frames) {
            let start = self.version.length_size();
            let Some(message) = frames.get(start..start + length) else {
                break;
            };
            self.answer(message, when, &mut answers);
            frames = &frames[start + length..];
        }
        answers
    }

    /// Carries out a request whose turn has come.
    pub(super) fn answer_held(self, held: Held, answers: &mut Answers) {
        match held.request {
            HeldRequest::Sync => self.sync(held.tag, answers),
            HeldRequest::Read { .. } => self.read(held.tag, held.request, When::InTurn, answers),
        }
    }

    fn read(self, tag: u8, request: HeldRequest, when: When, answers: &mut Answers) {
        let HeldRequest::Read {
            score,
            disk_type,
            count,
        } = request
        else {
            return;
        };
        if score == ALL_ZERO {
            return self.reply(tag, Reply::Read(&[]), answers);
        }
        match self.block(&score, disk_type, count) {
            Ok(Ok(block)) => self.reply(tag, Reply::Read(&block), answers),
            Ok(Err(size)) => {
                // What is not in plan9port's memory is refused in these words.
                let text = format!("read too small 1: asked for {count} need at least {size}");
                self.refuse(tag, &text, answers);
            }
            Err(Refusal::Absent { .. }) if when == When::BesideWrites => {
                hold(tag, request, answers);
            }
            Err(refusal) => self.refuse(tag, &refusal.to_string(), answers),
        }
    }

    /// A block; its size where that is more than is wanted. One of which 0 bytes are wanted
    /// is not read: that is how clients ask whether it is there.
    fn block(
        self,
        score: &Score,
        disk_type: u8,
        wanted: u32,
    ) -> Result<Result<Vec<u8>, usize>, Refusal> {
        if wanted == 0 {
            return Ok(Err(self.store.size(score, disk_type)?.into()));
        }
        let block = self.store.read(score, disk_type)?;
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        Ok(match block.len() {
            size if size > wanted => Err(size),
            _ => Ok(block),
        })
    }

    fn write(self, tag: u8, disk_type: u8, data: &[u8], answers: &mut Answers) {
        match self.store.write(disk_type, data) {
            Ok(score) => self.reply(tag, Reply::Write(score), answers),
            Err(refusal) => self.refuse(tag, &refusal.to_string(), answers),
        }
    }

    fn sync(self, tag: u8, answers: &mut Answers) {
        match self.store.sync() {
            Ok(()) => self.reply(tag, Reply::Sync, answers),
            Err(refusal) => self.refuse(tag, &refusal.to_string(), answers),
        }
    }

    fn refuse(self, tag: u8, text: &str, answers: &mut Answers) {
        let text = text.as_bytes();
        let text = &text[..text.len().min(ERROR_MAX)];
        self.reply(tag, Reply::Error(text), answers);
    }

    fn reply(self, tag: u8, reply: Reply<'_>, answers: &mut Answers) {
        // A block fits into a message of either version, and so does what is shorter.
        let _ = reply.encode(self.version, tag, &mut answers.frames);
    }
}

fn hold(tag: u8, request: HeldRequest, answers: &mut Answers) {
    let at = answers.frames.len();
    answers.held.push(Held { at, tag, request });
}
