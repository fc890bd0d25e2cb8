//! A loopback venti in a thread, for the tests, the demo and the benchmark.
//!
//! It speaks versions 02 and 04, answers as a real server does (venti.md 7.4
//! and 7.5, error texts included), counts what it is asked, and misbehaves on
//! request: see [`Fault`]. [`Store::Null`] hashes and forgets, to measure a
//! client without the cost of keeping blocks.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use venticore::codec::blocktype::{BLOCK_MAX, BlockType};
use venticore::codec::score::Score;
use venticore::codec::wire::{Reply, Request, Version, VersionLine, unframe};

use crate::port;

/// One read takes in this much, replies to all of it leave in one write.
const BUFFER: usize = 1024 * 1024;

/// The longest request taken; a real server has no such limit in 04.
const REQUEST_MAX: usize = 256 * 1024;

/// Real servers cut their error texts here.
const ERROR_MAX: usize = 127;

/// Where written blocks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Kept in memory by type and score.
    Memory,
    /// Hashed and forgotten.
    Null,
}

/// How a server starts.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The versions offered, in this order.
    pub offer: Vec<Version>,
    /// Where blocks go.
    pub store: Store,
    /// Bytes of blocks there is room for; new blocks beyond are refused.
    pub capacity: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What it says of a block that it lacks, `SCORE` standing for the score;
    /// without it, what plan9port's says.
    pub absent: Option<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            offer: vec![Version::V04, Version::V02],
            store: Store::Memory,
            capacity: u64::MAX,
            faults: Vec::new(),
            absent: None,
        }
    }
}

/// What a fault is counted by; each is numbered from 1 over the life of the
/// server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Accepted connections; the fault stands in place of the version line.
    Connection,
    /// Hellos.
    Hello,
    /// All requests after the hello.
    Request,
    /// Writes.
    Write,
    /// Reads of at least one byte.
    Read,
    /// Reads of no bytes.
    Probe,
    /// Syncs.
    Sync,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// The connection is closed instead of a reply.
    Close,
    /// No reply; later requests are read and answered.
    Silence,
    /// No reply, and nothing is read any more.
    Stall,
    /// Rerror with this text.
    Error(String),
    /// The reply carries another score, or a flipped bit of data.
    Wrong,
    /// The reply carries a tag that is not in use.
    WrongTag,
    /// An Rping.
    WrongReply,
    /// Half of the reply, then the connection is closed.
    Short,
    /// The frame of the reply says the greatest length there is.
    TooLong,
    /// These bytes instead of the reply (or of the version line).
    Say(Vec<u8>),
    /// The reply after this pause.
    Late(Duration),
    /// The reply byte by byte, with this pause before each.
    Trickle(Duration),
    /// The write is acknowledged and the block not kept.
    Lose,
    /// What was acknowledged but not synced is lost, and all connections are
    /// cut.
    Crash,
}

/// Something that goes wrong at the `first` of what it is counted by, and the
/// `times - 1` after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is counted.
    pub on: On,
    /// The first to go wrong, from 1.
    pub first: u64,
    /// How many go wrong.
    pub times: u64,
    /// What happens.
    pub how: How,
}

impl Fault {
    /// Once, at this one.
    #[must_use]
    pub fn at(on: On, first: u64, how: How) -> Self {
        Fault {
            on,
            first,
            times: 1,
            how,
        }
    }

    /// From this one on.
    #[must_use]
    pub fn from(on: On, first: u64, how: How) -> Self {
        Fault {
            times: u64::MAX,
            ..Self::at(on, first, how)
        }
    }

    /// A server started read-only.
    #[must_use]
    pub fn read_only() -> Self {
        Self::from(On::Write, 1, How::Error("read only".to_owned()))
    }

    /// A server whose arenas are full when this write comes.
    #[must_use]
    pub fn full_at(write: u64) -> Self {
        let text = "no space left in arenas".to_owned();
        Self::from(On::Write, write, How::Error(text))
    }

    /// A server that has no answer to reads of no bytes.
    #[must_use]
    pub fn no_probe() -> Self {
        Self::from(On::Probe, 1, How::Error("unknown request".to_owned()))
    }

    /// A web server.
    #[must_use]
    pub fn http() -> Self {
        let text = b"HTTP/1.0 400 Bad Request\r\n\r\n";
        Self::from(On::Connection, 1, How::Say(text.to_vec()))
    }

    fn covers(&self, on: On, number: u64) -> bool {
        self.on == on && number >= self.first && number - self.first < self.times
    }
}

/// What a server has been asked so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Hellos.
    pub hellos: u64,
    /// Requests after hellos, of any kind.
    pub requests: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes of data in them.
    pub written: u64,
    /// Writes of blocks that were there already.
    pub duplicates: u64,
    /// Reads of at least one byte.
    pub reads: u64,
    /// Reads of no bytes.
    pub probes: u64,
    /// Syncs.
    pub syncs: u64,
    /// Bytes received, framing included.
    pub received: u64,
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    hellos: AtomicU64,
    requests: AtomicU64,
    writes: AtomicU64,
    written: AtomicU64,
    duplicates: AtomicU64,
    reads: AtomicU64,
    probes: AtomicU64,
    syncs: AtomicU64,
    received: AtomicU64,
}

struct Block {
    data: Vec<u8>,
    synced: bool,
    damaged: bool,
    /// Only its index entry is left.
    hollow: bool,
}

/// The place of a block: disk type (255 for every unknown one) and score.
type Key = (u8, Score);

#[derive(Default)]
struct State {
    blocks: HashMap<Key, Block>,
    used: u64,
    faults: Vec<Fault>,
    /// Blocks acknowledged and not kept ([`How::Lose`]), and not written and
    /// synced since.
    lost: HashSet<Key>,
    /// Blocks asked for, in order, while they are noted.
    noted: Option<Vec<(Key, bool)>>,
    /// Connections that are open, by number.
    open: HashMap<u64, TcpStream>,
    /// Connections numbered below this have been cut and do nothing more.
    cut: u64,
    stopped: bool,
}

struct Shared {
    setup: Setup,
    state: Mutex<State>,
    /// Tells of `stopped`.
    stop: Condvar,
    /// True when there are faults, to spare the lock where there are none.
    faulty: AtomicBool,
    counters: Counters,
}

/// A running server; it ends when dropped.
pub struct Venti {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Venti {
    /// A server in good health that keeps blocks in memory.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    /// A server in good health that hashes and forgets.
    #[must_use]
    pub fn null() -> Self {
        Self::with(Setup {
            store: Store::Null,
            ..Setup::default()
        })
    }

    /// A server with these faults that keeps blocks in memory.
    #[must_use]
    pub fn faulty(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self::with(Setup {
            faults: faults.into_iter().collect(),
            ..Setup::default()
        })
    }

    /// A server that has other words for a block that it lacks, `SCORE` standing
    /// for the score.
    #[must_use]
    pub fn saying(absent: &'static str) -> Self {
        Self::with(Setup {
            absent: Some(absent),
            ..Setup::default()
        })
    }

    /// A server set up like this.
    ///
    /// # Panics
    /// Where the system gives no port or no thread.
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
        Self::at(listener, setup)
    }

    /// The same, where this listens.
    ///
    /// # Panics
    /// Where the system gives no thread.
    #[must_use]
    pub fn at(listener: TcpListener, setup: Setup) -> Self {
        let address = listener.local_addr().expect("the address of a listener");
        let state = State {
            faults: setup.faults.clone(),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            faulty: AtomicBool::new(!setup.faults.is_empty()),
            setup,
            state: Mutex::new(state),
            stop: Condvar::new(),
            counters: Counters::default(),
        });
        let of_thread = Arc::clone(&shared);
        let accept = move || of_thread.accept(&listener);
        let thread = thread::Builder::new().spawn(accept).expect("a thread");
        Venti {
            shared,
            address,
            thread: Some(thread),
        }
    }

    /// Where it listens, `tcp!127.0.0.1!PORT`.
    #[must_use]
    pub fn dial(&self) -> String {
        dial_string(self.address)
    }

    /// What it has been asked so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.shared.counters;
        Counts {
            connections: of(&c.connections),
            hellos: of(&c.hellos),
            requests: of(&c.requests),
            writes: of(&c.writes),
            written: of(&c.written),
            duplicates: of(&c.duplicates),
            reads: of(&c.reads),
            probes: of(&c.probes),
            syncs: of(&c.syncs),
            received: of(&c.received),
        }
    }

    /// The blocks it has, in order. Those written under an unknown type are
    /// left out.
    #[must_use]
    pub fn blocks(&self) -> Vec<(BlockType, Score)> {
        let state = self.shared.state();
        let known = |key: &Key| Some((BlockType::from_disk(key.0)?, key.1));
        let mut blocks: Vec<_> = state.blocks.keys().filter_map(known).collect();
        blocks.sort_unstable();
        blocks
    }

    /// Begins to note which blocks are read or asked for.
    pub fn note(&self) {
        self.shared.state().noted = Some(Vec::new());
    }

    /// The blocks that were read and those that were asked for since [`Venti::note`], in
    /// order.
    #[must_use]
    pub fn take_noted(&self) -> [Vec<(BlockType, Score)>; 2] {
        let noted = self.shared.state().noted.take().unwrap_or_default();
        [false, true].map(|probes| {
            let of = noted.iter().filter(|(_, is_probe)| *is_probe == probes);
            let known = |key: Key| Some((BlockType::from_disk(key.0)?, key.1));
            let mut blocks: Vec<_> = of.filter_map(|(key, _)| known(*key)).collect();
            blocks.sort_unstable();
            blocks
        })
    }

    /// Whether it has this block.
    #[must_use]
    pub fn contains(&self, ty: BlockType, score: &Score) -> bool {
        let key = (ty.to_disk(), *score);
        self.shared.state().blocks.contains_key(&key)
    }

    /// Whether it has this block, and would after a crash.
    #[must_use]
    pub fn has_synced(&self, ty: BlockType, score: &Score) -> bool {
        let key = (ty.to_disk(), *score);
        let state = self.shared.state();
        state.blocks.get(&key).is_some_and(|block| block.synced)
    }

    /// The blocks that it acknowledged since the last call, did not keep
    /// ([`How::Lose`]) and has not had on disk since.
    #[must_use]
    pub fn take_lost(&self) -> HashSet<(BlockType, Score)> {
        let lost = std::mem::take(&mut self.shared.state().lost);
        let known = |key: Key| Some((BlockType::from_disk(key.0)?, key.1));
        lost.into_iter().filter_map(known).collect()
    }

    /// The data of a block.
    #[must_use]
    pub fn get(&self, ty: BlockType, score: &Score) -> Option<Vec<u8>> {
        let key = (ty.to_disk(), *score);
        let state = self.shared.state();
        state.blocks.get(&key).map(|block| block.data.clone())
    }

    /// Puts a block there, as if written and synced.
    pub fn insert(&self, ty: BlockType, data: &[u8]) -> Score {
        let score = Score::of(data);
        let block = Block {
            data: data.to_vec(),
            synced: true,
            damaged: false,
            hollow: false,
        };
        let mut state = self.shared.state();
        state.blocks.insert((ty.to_disk(), score), block);
        score
    }

    /// Makes a block vanish, index entry and all; false if it was not there.
    pub fn forget(&self, ty: BlockType, score: &Score) -> bool {
        let key = (ty.to_disk(), *score);
        self.shared.state().blocks.remove(&key).is_some()
    }

    /// Damages a block on disk: probes find it, reads fail, and writing it
    /// again heals nothing. False if it was not there.
    pub fn corrupt(&self, ty: BlockType, score: &Score) -> bool {
        let key = (ty.to_disk(), *score);
        let mut state = self.shared.state();
        let block = state.blocks.get_mut(&key);
        block.map(|block| block.damaged = true).is_some()
    }

    /// Loses a block and keeps its index entry: probes find it, reads do not,
    /// and writing it again brings it back. False if it was not there.
    pub fn hollow(&self, ty: BlockType, score: &Score) -> bool {
        let key = (ty.to_disk(), *score);
        let mut state = self.shared.state();
        let block = state.blocks.get_mut(&key);
        block.map(|block| block.hollow = true).is_some()
    }

    /// Adds a fault, looked at from the next request on.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
        self.shared.faulty.store(true, Ordering::SeqCst);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
        self.shared.faulty.store(false, Ordering::SeqCst);
    }

    /// Cuts all connections, as a restart does. Blocks are kept.
    pub fn restart(&self) {
        self.shared.cut_all(|_| true);
    }

    /// Cuts all connections and loses what was acknowledged but not synced, as
    /// a crash does.
    pub fn crash(&self) {
        self.shared.cut_all(|block| block.synced);
    }

    /// Cuts all connections and forgets every block and fault: a new disk.
    /// What was counted stays.
    pub fn wipe(&self) {
        self.heal();
        self.shared.cut_all(|_| false);
        let mut state = self.shared.state();
        state.lost.clear();
        state.used = 0;
    }
}

impl Drop for Venti {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        self.shared.stop.notify_all();
        self.shared.cut_all(|_| true);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A place where nothing listens: connections are refused.
#[must_use]
pub fn closed_port() -> String {
    format!("tcp!127.0.0.1!{}", port::free())
}

fn dial_string(address: SocketAddr) -> String {
    format!("tcp!{}!{}", address.ip(), address.port())
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut_all(&self, keep: impl Fn(&Block) -> bool) {
        let mut state = self.state();
        state.cut = self.counters.connections.load(Ordering::SeqCst) + 1;
        state.blocks.retain(|_, block| keep(block));
        for stream in state.open.values() {
            drop(stream.shutdown(Shutdown::Both));
        }
        state.open.clear();
    }

    fn accept(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            for stream in listener.incoming() {
                if self.state().stopped {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = count(&self.counters.connections, 1);
                if let Ok(copy) = stream.try_clone() {
                    self.state().open.insert(number, copy);
                }
                scope.spawn(move || self.serve(number, stream));
            }
        });
    }

    /// One connection, to its end; how it ends does not matter here.
    fn serve(&self, number: u64, stream: TcpStream) {
        drop(stream.set_nodelay(true));
        let mut session = Session {
            shared: self,
            number,
            stream,
            version: Version::V02,
            greeted: false,
            buf: vec![0; BUFFER],
            start: 0,
            end: 0,
            out: Vec::new(),
        };
        drop(session.run());
        drop(session.stream.shutdown(Shutdown::Both));
        self.state().open.remove(&number);
    }

    fn fault_for(&self, on: On, number: u64) -> Option<How> {
        if !self.faulty.load(Ordering::SeqCst) {
            return None;
        }
        let state = self.state();
        let mut faults = state.faults.iter();
        let found = faults.find(|fault| fault.covers(on, number));
        found.map(|fault| fault.how.clone())
    }

    /// Waits for this long, or for the end of the server; false at the end.
    fn pause(&self, time: Duration) -> bool {
        let running = |state: &mut State| !state.stopped;
        let waited = self.stop.wait_timeout_while(self.state(), time, running);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }

    /// Takes in a block; the reply is its score or an error text.
    fn write(&self, connection: u64, ty: u8, data: &[u8], lose: bool) -> Result<Score, String> {
        if data.is_empty() {
            return Ok(Score::ZERO);
        }
        if data.len() > BLOCK_MAX as usize {
            return Err("lump too large".to_owned());
        }
        let score = Score::of(data);
        if self.setup.store == Store::Null {
            return Ok(score);
        }
        let ty = BlockType::from_disk(ty).map_or(BlockType::CORRUPT, BlockType::to_disk);
        let mut state = self.state();
        if state.cut > connection {
            return Err("cut".to_owned());
        }
        if let Some(block) = state.blocks.get_mut(&(ty, score)) {
            block.hollow = false;
            count(&self.counters.duplicates, 1);
            return Ok(score);
        }
        if lose {
            state.lost.insert((ty, score));
            return Ok(score);
        }
        let used = state.used + wide(data.len());
        if used > self.setup.capacity {
            return Err("no space left in arenas".to_owned());
        }
        state.used = used;
        let block = Block {
            data: data.to_vec(),
            synced: false,
            damaged: false,
            hollow: false,
        };
        state.blocks.insert((ty, score), block);
        Ok(score)
    }

    /// Gives the data of a block, or an error text.
    fn read<T>(
        &self,
        (score, ty, asked): (Score, u8, u32),
        give: impl FnOnce(Result<&[u8], String>) -> T,
    ) -> T {
        if *score.as_bytes() == [0; Score::LEN] {
            return give(Ok(&[]));
        }
        let mut state = self.state();
        if let Some(noted) = &mut state.noted {
            noted.push(((ty, score), asked == 0));
        }
        let Some(block) = state.blocks.get(&(ty, score)) else {
            return give(Err(self.absent(&score, ty)));
        };
        let size = block.data.len();
        if wide(size) > u64::from(asked) {
            // Found by the index, or still in the block memory.
            let by = if block.synced { " 1" } else { "" };
            let text = format!("read too small{by}: asked for {asked} need at least {size}");
            return give(Err(text));
        }
        if block.hollow {
            return give(Err(self.absent(&score, ty)));
        }
        if block.damaged {
            let got = Score::ZERO;
            let text = format!("corrupted at loopback0 0; expected={score} got={got}");
            return give(Err(format!("loading clump: {text}")));
        }
        give(Ok(&block.data))
    }

    /// What is said of a block that is not there.
    fn absent(&self, score: &Score, ty: u8) -> String {
        match self.setup.absent {
            Some(words) => words.replace("SCORE", &score.to_string()),
            None => format!("no block with score {score}/{} exists", tool_type(ty)),
        }
    }

    /// Puts everything on disk, unless the connection was cut.
    fn sync(&self, connection: u64) -> Result<(), String> {
        let mut state = self.state();
        if state.cut > connection {
            return Err("cut".to_owned());
        }
        let State { blocks, lost, .. } = &mut *state;
        for block in blocks.values_mut() {
            block.synced = true;
        }
        lost.retain(|key| !blocks.contains_key(key));
        Ok(())
    }
}

/// Adds and gives the new value.
fn count(counter: &AtomicU64, n: u64) -> u64 {
    counter.fetch_add(n, Ordering::SeqCst) + n
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// The number a tool uses for a disk type, as error texts do.
fn tool_type(disk: u8) -> u8 {
    match disk {
        13 => 0,
        2 => 8,
        3..=9 => disk + 6,
        1 => 16,
        _ => 255,
    }
}

struct Session<'a> {
    shared: &'a Shared,
    number: u64,
    stream: TcpStream,
    version: Version,
    greeted: bool,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    out: Vec<u8>,
}

fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        match self.shared.fault_for(On::Connection, self.number) {
            Some(How::Close) => return Ok(()),
            Some(How::Silence) => return self.swallow(),
            Some(How::Say(bytes)) => {
                self.stream.write_all(&bytes)?;
                return self.swallow();
            }
            _ => self.agree()?,
        }
        loop {
            self.serve_buffer()?;
            self.flush()?;
            self.fill()?;
        }
    }

    /// Reads and answers nothing until the other side closes.
    fn swallow(&mut self) -> io::Result<()> {
        while self.stream.read(&mut self.buf)? > 0 {}
        Ok(())
    }

    fn agree(&mut self) -> io::Result<()> {
        let offer: Vec<_> = self.shared.setup.offer.iter().map(|v| v.text()).collect();
        let versions = offer.join(":");
        let line = VersionLine {
            versions: &versions,
            comment: Some("loopback"),
        };
        self.stream.write_all(format!("{line}\n").as_bytes())?;
        let newline = loop {
            self.fill()?;
            if let Some(at) = self.buf[..self.end].iter().position(|&b| b == b'\n') {
                break at;
            }
        };
        let theirs = VersionLine::parse(&self.buf[..newline]).map_err(|_| closed())?;
        let agreed = theirs.first_of(&self.shared.setup.offer);
        self.version = agreed.ok_or_else(closed)?;
        self.start = newline + 1;
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let n = self.stream.read(&mut self.buf[self.end..])?;
        if n == 0 {
            return Err(closed());
        }
        self.end += n;
        count(&self.shared.counters.received, wide(n));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        self.stream.write_all(&out)?;
        self.out = out;
        self.out.clear();
        Ok(())
    }

    /// Answers every request that is all there, in order, in place.
    fn serve_buffer(&mut self) -> io::Result<()> {
        let buf = std::mem::take(&mut self.buf);
        let result = self.serve_bytes(&buf[..self.end]);
        self.buf = buf;
        result
    }

    fn serve_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        while let Some((message, used)) =
            unframe(self.version, &bytes[self.start..], |_| REQUEST_MAX).map_err(|_| closed())?
        {
            self.start += used;
            // What cannot be parsed gets no reply.
            if let Ok((tag, request)) = Request::decode(message) {
                self.serve_request(tag, &request)?;
            }
            if self.out.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn serve_request(&mut self, tag: u8, request: &Request<'_>) -> io::Result<()> {
        let c = &self.shared.counters;
        if !self.greeted {
            return self.greet(tag, request);
        }
        let (on, number) = match request {
            Request::Write { data, .. } => {
                count(&c.written, wide(data.len()));
                (On::Write, count(&c.writes, 1))
            }
            Request::Read { count: 0, .. } => (On::Probe, count(&c.probes, 1)),
            Request::Read { .. } => (On::Read, count(&c.reads, 1)),
            Request::Sync => (On::Sync, count(&c.syncs, 1)),
            Request::Goodbye => return Err(closed()),
            Request::Ping | Request::Hello { .. } => (On::Request, 0),
        };
        let fault = self.shared.fault_for(on, number);
        let in_all = count(&c.requests, 1);
        match fault.or_else(|| self.shared.fault_for(On::Request, in_all)) {
            None => self.answer(tag, request, false),
            Some(How::Lose) => self.answer(tag, request, true),
            Some(how) => self.misbehave(&how, tag, request),
        }
    }

    /// The first request: a hello with tag 0 and the version agreed on.
    fn greet(&mut self, tag: u8, request: &Request<'_>) -> io::Result<()> {
        let agreed = self.version.text().as_bytes();
        match request {
            Request::Hello { version, .. } if tag == 0 && *version == agreed => {}
            _ => return Err(closed()),
        }
        let number = count(&self.shared.counters.hellos, 1);
        let done = match self.shared.fault_for(On::Hello, number) {
            None => self.answer(tag, request, false),
            Some(how) => self.misbehave(&how, tag, request),
        };
        self.greeted = true;
        done
    }

    /// Carries out a request and appends its reply.
    fn answer(&mut self, tag: u8, request: &Request<'_>, lose: bool) -> io::Result<()> {
        match *request {
            Request::Write { ty, data } => match self.shared.write(self.number, ty, data, lose) {
                Ok(score) => self.push(tag, &Reply::Write(score)),
                Err(text) => self.push(tag, &error(&text)),
            },
            Request::Read { score, ty, count } => {
                let shared = self.shared;
                shared.read((score, ty, count), |found| match found {
                    Ok(data) => self.push(tag, &Reply::Read(data)),
                    Err(text) => self.push(tag, &error(&text)),
                })
            }
            Request::Sync => match self.shared.sync(self.number) {
                Ok(()) => self.push(tag, &Reply::Sync),
                Err(text) => self.push(tag, &error(&text)),
            },
            Request::Hello { .. } if !self.greeted => {
                let sid = b"anonymous";
                let (rcrypto, rcodec) = (0, 0);
                self.push(
                    tag,
                    &Reply::Hello {
                        sid,
                        rcrypto,
                        rcodec,
                    },
                )
            }
            _ => self.push(tag, &error("unknown request")),
        }
    }

    fn push(&mut self, tag: u8, reply: &Reply<'_>) -> io::Result<()> {
        let pushed = reply.encode(self.version, tag, &mut self.out);
        pushed.map_err(|_| closed())
    }

    fn misbehave(&mut self, how: &How, tag: u8, request: &Request<'_>) -> io::Result<()> {
        match how {
            How::Close => {
                self.flush()?;
                Err(closed())
            }
            How::Silence => Ok(()),
            How::Stall => {
                self.flush()?;
                while self.shared.pause(Duration::from_secs(3600)) {}
                Err(closed())
            }
            How::Late(pause) => {
                self.flush()?;
                match self.shared.pause(*pause) {
                    true => self.answer(tag, request, false),
                    false => Err(closed()),
                }?;
                self.flush()
            }
            How::Error(text) => self.push(tag, &error(text)),
            How::WrongReply => self.push(tag, &Reply::Ping),
            How::Say(bytes) => {
                self.out.extend_from_slice(bytes);
                Ok(())
            }
            How::Lose => self.answer(tag, request, true),
            How::Crash => {
                self.shared.cut_all(|block| block.synced);
                Err(closed())
            }
            How::Wrong | How::WrongTag | How::Short | How::TooLong | How::Trickle(_) => {
                let start = self.out.len();
                self.answer(tag, request, false)?;
                let reply = self.out.split_off(start);
                self.spoil(how, reply)
            }
        }
    }

    /// Sends a good reply in a bad way.
    fn spoil(&mut self, how: &How, mut reply: Vec<u8>) -> io::Result<()> {
        let head = self.version.length_size();
        match how {
            How::Wrong => {
                if let Some(last) = reply.last_mut() {
                    *last ^= 1;
                }
            }
            How::WrongTag => reply[head + 1] = 255,
            How::TooLong => reply[..head].fill(0xff),
            How::Short => {
                self.out.extend_from_slice(&reply[..reply.len() / 2]);
                self.flush()?;
                return Err(closed());
            }
            How::Trickle(pause) => {
                self.flush()?;
                for byte in reply.drain(..) {
                    if !self.shared.pause(*pause) {
                        return Err(closed());
                    }
                    self.stream.write_all(&[byte])?;
                }
            }
            _ => {}
        }
        self.out.extend(reply);
        Ok(())
    }
}

/// An error reply, cut as real servers cut them.
fn error(text: &str) -> Reply<'_> {
    let bytes = text.as_bytes();
    Reply::Error(&bytes[..bytes.len().min(ERROR_MAX)])
}
