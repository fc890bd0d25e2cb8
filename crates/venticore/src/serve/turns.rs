//! The requests of one connection that are on their way, in order.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::answer::Answers;

/// Consecutive requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The messages, each with its length.
    pub(super) frames: Vec<u8>,
    /// There are writes among them.
    pub(super) writes: bool,
    /// When it was cut, writes that came before it were not carried out yet.
    pub(super) behind_writes: bool,
}

/// What a chunk takes besides its messages, about, in bytes.
const CHUNK: usize = 128;

impl Chunk {
    fn cost(&self) -> usize {
        CHUNK + self.frames.len()
    }
}

/// Where a chunk is.
#[derive(Debug)]
enum Turn {
    /// In the queue of the workers.
    Waiting(Chunk),
    /// Left to the writer, since too many replies wait to be sent already.
    Left(Chunk),
    /// In somebody's hands.
    Taken,
    /// Carried out.
    Done(Answers),
}

/// What the writer is to do next.
pub(super) enum Next {
    /// Send these.
    Send(Answers),
    /// Carry these out, and send the answers.
    Answer(Chunk),
}

/// The turns of one connection: its reader adds them, workers take them in any order, its
/// writer sends their answers in order.
#[derive(Debug)]
pub(super) struct Turns {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    turns: VecDeque<Turn>,
    /// The number of the first of them.
    first: u64,
    /// Bytes of requests that are not carried out.
    requests: usize,
    /// Bytes of replies that are not sent.
    replies: usize,
    /// Chunks with writes that are not carried out.
    writes: usize,
    /// No turn will be added.
    ended: bool,
    /// Nothing can be sent any more.
    broken: bool,
}

impl Turns {
    /// No turns; at most this many bytes of requests and replies will wait.
    pub(super) fn new(most: usize) -> Self {
        Turns {
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything that came was answered.
    pub(super) fn is_idle(&self) -> bool {
        self.state().turns.is_empty()
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_broken(&self) -> bool {
        self.state().broken
    }

    /// Adds a chunk, as soon as there is room; its number. None when the connection is
    /// broken.
    pub(super) fn add(&self, mut chunk: Chunk) -> Option<u64> {
        let mut state = self.state();
        while !state.broken && !state.turns.is_empty() && state.waiting() >= self.most {
            state = self.wait(state);
        }
        if state.broken {
            return None;
        }
        chunk.behind_writes = state.writes > 0;
        state.requests += chunk.cost();
        state.writes += usize::from(chunk.writes);
        state.turns.push_back(Turn::Waiting(chunk));
        Some(state.first + state.turns.len() as u64 - 1)
    }

    /// Takes a chunk to carry it out. None where there is nothing to do.
    pub(super) fn take(&self, number: u64) -> Option<Chunk> {
        let mut state = self.state();
        let has_room = number == state.first || state.replies < self.most;
        let broken = state.broken;
        let turn = state.turn(number)?;
        let Turn::Waiting(chunk) = std::mem::replace(turn, Turn::Taken) else {
            return None;
        };
        if broken {
            return None;
        }
        if has_room {
            return Some(chunk);
        }
        *turn = Turn::Left(chunk);
        self.changed.notify_all();
        None
    }

    /// Puts the answers to a chunk in its place.
    pub(super) fn done(&self, number: u64, chunk: &Chunk, answers: Answers) {
        let mut state = self.state();
        state.over(chunk);
        state.replies += answers.frames.len();
        if let Some(turn) = state.turn(number) {
            *turn = Turn::Done(answers);
        }
        self.changed.notify_all();
    }

    /// The writer has carried out a chunk itself.
    pub(super) fn answered(&self, chunk: &Chunk) {
        self.state().over(chunk);
        self.changed.notify_all();
    }

    /// Waits for what is to be sent next, and says its number. None at the end.
    pub(super) fn next(&self) -> Option<(u64, Next)> {
        let mut state = self.state();
        loop {
            if state.broken {
                return None;
            }
            let number = state.first;
            if state.ended && state.turns.is_empty() {
                return None;
            }
            match state.turns.front_mut() {
                Some(turn @ (Turn::Done(_) | Turn::Left(_))) => {
                    let next = match std::mem::replace(turn, Turn::Taken) {
                        Turn::Done(answers) => Next::Send(answers),
                        Turn::Left(chunk) | Turn::Waiting(chunk) => Next::Answer(chunk),
                        Turn::Taken => continue,
                    };
                    return Some((number, next));
                }
                _ => state = self.wait(state),
            }
        }
    }

    /// The first turn is over, and this number of bytes of replies is sent.
    pub(super) fn sent(&self, replies: usize) {
        let mut state = self.state();
        state.turns.pop_front();
        state.first += 1;
        state.replies = state.replies.saturating_sub(replies);
        self.changed.notify_all();
    }

    /// No turn will be added.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Nothing can be sent any more.
    pub(super) fn fail(&self) {
        self.state().broken = true;
        self.changed.notify_all();
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.requests + self.replies
    }

    /// A chunk is carried out.
    fn over(&mut self, chunk: &Chunk) {
        self.requests = self.requests.saturating_sub(chunk.cost());
        self.writes = self.writes.saturating_sub(usize::from(chunk.writes));
    }

    fn turn(&mut self, number: u64) -> Option<&mut Turn> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.turns.get_mut(at)
    }
}
