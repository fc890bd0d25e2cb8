//! A broker at work: one thread, which waits for everything at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use eyre::{Result, WrapErr};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::client::{ConsoleClient, passing};
use super::desk::{Desk, News};
use super::diary::{Diary, Origin};
use super::shim::spawn;
use super::socket::Socket;
use super::tape::Tape;
use super::{BrokerJob, pid, terminal, word};
use crate::console::kin;
use crate::console::reply::{BROKER, STDERR};
use crate::console::transport::wait;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::text::line_of;

/// Clients at once.
const CLIENTS: usize = 64;

/// Bytes that wait to be typed; while there are more, no client is read.
const TYPED: usize = 64 << 10;

/// How long clients have to read the last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Ends the file systems of a console in order, no longer than this.
pub type HaltFn = fn(&Path, Duration) -> Result<()>;

/// Runs a broker: the job comes on standard input, the word that it serves goes
/// to standard output. Returns when the fossil has ended.
///
/// # Errors
/// It does not serve; that was said.
pub fn run(halt: HaltFn, limit: Duration) -> Result<Status> {
    // The leader of a group has a session already that nobody else is in.
    let _ = rustix::process::setsid();
    let mut broker = match Broker::start(halt, limit) {
        Ok(broker) => broker,
        Err(error) => {
            word::failed(&error);
            return Err(error);
        }
    };
    word::serving(broker.fossil);
    Ok(broker.serve())
}

/// A broker at work.
struct Broker {
    job: BrokerJob,
    /// Until the end: then no more callers are taken.
    socket: Option<Socket>,
    /// Our end of the terminal, until it hangs up.
    console: Option<File>,
    /// The other end stays open between shim and fossil, when nobody has it.
    _terminal: File,
    stderr: Option<File>,
    fossil: Pid,
    /// The fossil's first process, and no other that gets its number.
    handle: OwnedFd,
    /// Who started it, until that ends, if it ends with that.
    parent: Option<OwnedFd>,
    signals: UnixStream,
    bell: UnixStream,
    desk: Desk,
    news: Receiver<News>,
    clients: Vec<ConsoleClient>,
    typed: VecDeque<u8>,
    tape: Tape,
    diary: Diary,
    halt: HaltFn,
    limit: Duration,
    /// It was told to end: once, and may be told again.
    told: u32,
}

impl Broker {
    fn start(halt: HaltFn, limit: Duration) -> Result<Self> {
        let mut text = String::new();
        io::stdin().take(1 << 20).read_to_string(&mut text)?;
        let job: BrokerJob = serde_json::from_str(&text).wrap_err("job")?;
        let parent = job.follows.map(parent).transpose()?;
        let (signals, signal) = UnixStream::pair()?;
        for number in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(number, signal.try_clone()?)?;
        }
        let log = StateDir::open(&job.directory)?.log(&job.log)?;
        let socket = Socket::bind(&job.socket)?;
        let (console, terminal) = terminal::pair().wrap_err("pseudo-terminal")?;
        let mut child = spawn(&job, terminal.try_clone()?)?;
        let fossil = pid(&child)?;
        let handle = pidfd_open(fossil, PidfdFlags::empty())?;
        let stderr = child.stderr.take().map(OwnedFd::from);
        let stderr = File::from(stderr.ok_or_else(|| eyre::eyre!("no standard error"))?);
        rustix::io::ioctl_fionbio(&stderr, true)?;
        let (bell, rings) = UnixStream::pair()?;
        let (sender, news) = channel();
        let desk = Desk {
            sender,
            bell: rings,
        };
        for end in [&signals, &bell, &desk.bell] {
            end.set_nonblocking(true)?;
        }
        let by_child = desk.another()?;
        thread::spawn(move || by_child.tell(News::Ended(child.wait())));
        let mut diary = Diary::new(log);
        diary.line(&format!(
            "serves {}, fossil is process {}: {}",
            job.socket.display(),
            fossil.as_raw_nonzero(),
            job.program.join(" ")
        ));
        Ok(Broker {
            job,
            socket: Some(socket),
            console: Some(console),
            _terminal: terminal,
            stderr: Some(stderr),
            fossil,
            handle,
            parent,
            signals,
            bell,
            desk,
            news,
            clients: Vec::new(),
            typed: VecDeque::new(),
            tape: Tape::default(),
            diary,
            halt,
            limit,
            told: 0,
        })
    }

    /// Serves until the fossil has ended.
    fn serve(&mut self) -> Status {
        loop {
            let ready = self.wait(None);
            if ready.signals {
                self.told_to_end();
            }
            if ready.parent {
                self.parent = None;
                self.left_alone();
            }
            if ready.stderr {
                self.hear_stderr();
            }
            if ready.console {
                self.hear_console();
            }
            if ready.bell
                && let Some(ended) = self.read_news()
            {
                return self.end(&ended);
            }
            if ready.caller {
                self.accept();
            }
            self.attend(&ready.clients);
            self.type_on();
        }
    }

    /// Waits for anything.
    fn wait<'a>(&'a self, limit: Option<Duration>) -> Ready {
        let full = self.typed.len() >= TYPED;
        let mut to_console = PollFlags::IN;
        to_console.set(PollFlags::OUT, !self.typed.is_empty());
        let mut fds: Vec<_> = self
            .clients
            .iter()
            .map(|client| PollFd::new(client.stream(), client.wants(full)))
            .collect();
        let clients = fds.len();
        let mut add = |fd: Option<PollFd<'a>>| {
            let fd = fd?;
            fds.push(fd);
            Some(fds.len() - 1)
        };
        let read = PollFlags::IN;
        let signals = add(Some(PollFd::new(&self.signals, read)));
        let bell = add(Some(PollFd::new(&self.bell, read)));
        let parent = add(self.parent.as_ref().map(|fd| PollFd::new(fd, read)));
        let console = add(self.console.as_ref().map(|fd| PollFd::new(fd, to_console)));
        let stderr = add(self.stderr.as_ref().map(|fd| PollFd::new(fd, read)));
        let socket = self.socket.as_ref().map(|socket| &socket.listener);
        let caller = add(socket.map(|fd| PollFd::new(fd, read)));
        // What fails here fails again at the reading, which tells more.
        let _ = wait(&mut fds, limit);
        let is = |at: Option<usize>| {
            let fd = at.and_then(|at| fds.get(at));
            fd.is_some_and(|fd| !fd.revents().is_empty())
        };
        Ready {
            signals: is(signals),
            bell: is(bell),
            parent: is(parent),
            console: is(console),
            stderr: is(stderr),
            caller: is(caller),
            clients: fds[..clients].iter().map(PollFd::revents).collect(),
        }
    }

    fn accept(&mut self) {
        let caller = self.socket.as_ref().map(|socket| socket.listener.accept());
        let Some(Ok((stream, _))) = caller else {
            return;
        };
        // Who halts it, once it is told to end, comes in all the same.
        if self.clients.len() >= CLIENTS + usize::from(self.told > 0) {
            let text = format!("{BROKER}{CLIENTS} clients are connected already\n");
            // Its buffer is empty, so this does not block.
            let _ = (&stream).write_all(text.as_bytes());
            return;
        }
        if let Ok(client) = ConsoleClient::new(stream, &self.tape.history()) {
            self.clients.push(client);
        }
    }

    /// Reads and writes what the clients are ready for.
    fn attend(&mut self, ready: &[PollFlags]) {
        let mut said = Vec::new();
        for (client, ready) in self.clients.iter_mut().zip(ready) {
            let closed = ready.intersects(PollFlags::HUP | PollFlags::ERR);
            if client.types() && (closed || ready.contains(PollFlags::IN)) {
                let (lines, refused) = client.read();
                self.typed.extend(lines);
                said.extend(refused);
            } else if closed {
                client.leave();
            }
        }
        for text in said {
            self.diary.line(&text);
            let stream = self.tape.note(BROKER, &text);
            self.tell(&stream);
        }
        let partial = self.tape.partial();
        for client in &mut self.clients {
            client.flush(partial);
        }
        self.clients.retain(|client| !client.is_gone());
    }

    fn tell(&mut self, stream: &[u8]) {
        for client in &mut self.clients {
            client.say(stream);
        }
    }

    /// Types what the clients gave, as far as the terminal takes it.
    fn type_on(&mut self) {
        while !self.typed.is_empty() {
            let bytes = self.typed.as_slices().0;
            match self.console.as_mut().map(|console| console.write(bytes)) {
                Some(Ok(count @ 1..)) => drop(self.typed.drain(..count)),
                Some(Err(error)) if passing(&error) => return,
                // The fossil has gone; the news of it is on its way.
                _ => self.typed.clear(),
            }
        }
    }

    fn hear_console(&mut self) {
        let mut buffer = [0; 16 << 10];
        match self.console.as_mut().map(|from| from.read(&mut buffer)) {
            Some(Ok(count @ 1..)) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                // What was said on standard error before this is there by now, and
                // belongs before it.
                self.hear_stderr();
                self.diary.said(Origin::Console, bytes);
                let stream = self.tape.printed(bytes);
                self.tell(&stream);
            }
            Some(Err(error)) if passing(&error) => {}
            // The terminal has hung up; the news of the fossil's end will come.
            _ => self.console = None,
        }
    }

    fn hear_stderr(&mut self) {
        let mut buffer = [0; 16 << 10];
        match self.stderr.as_mut().map(|from| from.read(&mut buffer)) {
            Some(Ok(count @ 1..)) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                for line in self.diary.said(Origin::Stderr, bytes) {
                    let stream = self.tape.note(STDERR, &line);
                    self.tell(&stream);
                }
            }
            Some(Err(error)) if passing(&error) => {}
            _ => self.stderr = None,
        }
    }

    /// A signal asks for the end: in order the first time, at once the second.
    fn told_to_end(&mut self) {
        let mut buffer = [0; 64];
        let count = (&self.signals).read(&mut buffer).unwrap_or(0);
        self.told = self.told.saturating_add(u32::try_from(count).unwrap_or(1));
        if self.told > 1 {
            self.diary.line("told to end again: ending the fossil");
            self.end_fossil();
            return;
        }
        self.diary.line("told to end: halting the file systems");
        self.halt();
    }

    /// Who started it has ended: an end in order, and never "again". The kernel's
    /// signal for that comes once for each thread that ends.
    fn left_alone(&mut self) {
        if self.told == 0 {
            self.told = 1;
            self.diary
                .line("the process that started it has ended: halting the file systems");
            self.halt();
        }
    }

    fn halt(&mut self) {
        let (path, halt, limit) = (self.job.socket.clone(), self.halt, self.limit);
        match self.desk.another() {
            Ok(desk) => {
                thread::spawn(move || desk.tell(News::Halted(halt(&path, limit))));
            }
            Err(_) => self.end_fossil(),
        }
    }

    fn end_fossil(&mut self) {
        if let Err(error) = pidfd_send_signal(&self.handle, Signal::TERM) {
            self.diary.line(&format!("ending the fossil: {error}"));
        }
    }

    fn read_news(&mut self) -> Option<io::Result<ExitStatus>> {
        let mut buffer = [0; 16];
        let _ = (&self.bell).read(&mut buffer);
        for news in self.news.try_iter().collect::<Vec<_>>() {
            match news {
                News::Ended(status) => return Some(status),
                News::Halted(Ok(())) => {
                    self.diary.line("halted");
                    self.end_fossil();
                }
                News::Halted(Err(error)) => {
                    self.diary.line(&format!("not halted: {}", line_of(&error)));
                    self.end_fossil();
                }
            }
        }
        None
    }

    /// The last words, and the end.
    fn end(&mut self, ended: &io::Result<ExitStatus>) -> Status {
        // What was said before the end is still in the pipes.
        for _ in 0..1024 {
            let ready = self.wait(Some(Duration::ZERO));
            if !ready.console && !ready.stderr {
                break;
            }
            self.hear_stderr();
            self.hear_console();
        }
        // Who called and was not answered yet is to know it too.
        for _ in 0..CLIENTS {
            self.accept();
        }
        self.socket = None;
        let text = format!(
            "fossil (process {}) ended: {}",
            self.fossil.as_raw_nonzero(),
            how(ended)
        );
        let mut words = vec![text];
        for kin in kin::of(&self.job.socket) {
            words.push(format!(
                "process {} ({}) of it goes on without a console: end it by hand",
                kin.pid.as_raw_nonzero(),
                kin.command
            ));
        }
        for text in &words {
            self.diary.line(text);
            let stream = self.tape.end(BROKER, text);
            self.tell(&stream);
        }
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            // Who types now is not heard.
            for client in &mut self.clients {
                client.flush(&[]);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.clients.iter().all(ConsoleClient::has_all) {
                break;
            }
            self.wait(Some(left));
        }
        self.diary.close();
        match self.told > 0 && words.len() == 1 {
            true => Status::Done,
            false => Status::Failed,
        }
    }
}

/// The process that started this one, as long as it is there.
fn parent(number: i32) -> Result<OwnedFd> {
    let gone = || eyre::eyre!("process {number}, which started it, has ended");
    let parent = Pid::from_raw(number).ok_or_else(gone)?;
    let handle = pidfd_open(parent, PidfdFlags::empty()).map_err(|_| gone())?;
    // As long as it is our parent, the number is that process's and no other's.
    match rustix::process::getppid() == Some(parent) {
        true => Ok(handle),
        false => Err(gone()),
    }
}

/// What is ready.
struct Ready {
    console: bool,
    stderr: bool,
    signals: bool,
    parent: bool,
    bell: bool,
    caller: bool,
    clients: Vec<PollFlags>,
}

fn how(ended: &io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        },
        Err(error) => error.to_string(),
    }
}
