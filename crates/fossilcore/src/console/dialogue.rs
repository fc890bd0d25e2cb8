//! Commands and their answers, over whatever reaches the console.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use eyre::Report;
use rustix::process::Pid;

use super::line::CommandLine;
use super::reply::{ConsoleReply, Fenced, Garbled, ReplyCollector, STDERR, archived, last_words};
use super::transport::{Received, Transport};
use super::verdict;
use venticore::codec::format_error::FormatError;
use venticore::status::{Failure, Status};

/// How often a question that changes nothing is asked, where the answer cannot
/// be told from other text.
const TRIES: usize = 3;

/// The most bytes of a line that has not ended that are looked through for asides.
const PARTIAL: usize = 4096;

/// What lines of an archiver in trouble begin with.
const COMPLAINTS: &[&str] = &[
    "archive",
    "archWalk",
    "ventiSend",
    "vtWriteBlock",
    "archThread",
];

/// A fossil's console.
#[derive(Debug)]
pub struct Console {
    name: String,
    transport: Transport,
    limit: Duration,
    /// Whether its history was passed over.
    met: bool,
    /// What came outside of answers and has no newline yet.
    partial: Vec<u8>,
    /// Lines that came in answers but do not belong to them.
    asides: Vec<String>,
    /// The last line of the fossil's standard error that spoke of its archiver.
    complaint: Option<String>,
}

impl Console {
    /// Reaches the console at a path. A command may take `limit` to answer.
    ///
    /// # Errors
    /// [`ConsoleError::Unreachable`].
    pub fn open(path: &Path, limit: Duration) -> Result<Self, ConsoleError> {
        let name = path.display().to_string();
        match Transport::open(path, limit) {
            Ok(transport) => Ok(Self::of(name, transport, limit)),
            Err(cause) => Err(ConsoleError::Unreachable { name, cause }),
        }
    }

    /// A console over a stream that is open: the near end of a pseudo-terminal.
    ///
    /// # Errors
    /// [`ConsoleError::Unreachable`]: the system refuses a thread.
    pub fn over(name: &str, stream: File, limit: Duration) -> Result<Self, ConsoleError> {
        let name = name.to_owned();
        match Transport::over(stream) {
            Ok(transport) => Ok(Self::of(name, transport, limit)),
            Err(cause) => Err(ConsoleError::Unreachable { name, cause }),
        }
    }

    fn of(name: String, transport: Transport, limit: Duration) -> Self {
        Console {
            name,
            transport,
            limit,
            met: false,
            partial: Vec::new(),
            asides: Vec::new(),
            complaint: None,
        }
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process that serves it, where it is a socket and the system says.
    #[must_use]
    pub fn peer(&self) -> Option<Pid> {
        self.transport.peer()
    }

    /// Changes how long a command has to answer.
    pub fn limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Sends a line and waits for its answer, whatever that says.
    ///
    /// # Errors
    /// The console takes nothing, ends, is silent past the limit, or what it
    /// says cannot be told apart.
    pub fn ask(&mut self, line: &CommandLine) -> Result<ConsoleReply, ConsoleError> {
        let deadline = Instant::now() + self.limit;
        if !std::mem::replace(&mut self.met, true) {
            // What it said to others comes first, and is of no concern.
            let nothing = "#".parse().map_err(|cause| ConsoleError::Line {
                name: self.name.clone(),
                text: "#".to_owned(),
                cause: Box::new(cause),
            })?;
            self.exchange(line, Fenced::new(&nothing), deadline)?;
            self.asides.clear();
            self.complaint = None;
        }
        for bytes in self.transport.pending() {
            self.overhear(&bytes);
        }
        self.exchange(line, Fenced::new(line), deadline)
    }

    /// Sends what is fenced, for a command, and takes the answer.
    fn exchange(
        &mut self,
        line: &CommandLine,
        fenced: Fenced,
        deadline: Instant,
    ) -> Result<ConsoleReply, ConsoleError> {
        let typed = fenced.typed();
        let sent = self.transport.write(typed.as_bytes(), deadline);
        sent.map_err(|cause| match cause.kind() {
            io::ErrorKind::TimedOut => self.silent(line),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                let last = self.last_words(deadline);
                self.ended(line, last)
            }
            _ => self.ended(line, Some(cause.to_string())),
        })?;
        let mut collector = ReplyCollector::new(fenced);
        // The beginning of a line that came before goes on in what comes now.
        let _ = collector.push(&std::mem::take(&mut self.partial));
        loop {
            match self.transport.read(deadline) {
                Received::Bytes(bytes) => match collector.push(&bytes) {
                    None => {}
                    Some(Ok(reply)) => {
                        self.asides.extend(reply.asides.iter().cloned());
                        for line in &reply.stderr {
                            self.complained(line);
                        }
                        self.overhear(&collector.rest());
                        return Ok(reply);
                    }
                    Some(Err(cause)) => return Err(self.garbled(line, cause)),
                },
                Received::Nothing => return Err(self.silent(line)),
                Received::End(cause) => {
                    let last = collector.last_words();
                    let cause = last.or(cause.map(|cause| cause.to_string()));
                    return Err(self.ended(line, cause));
                }
            }
        }
    }

    /// [`Console::ask`], where an answer that the console calls an error is one.
    ///
    /// # Errors
    /// As there, or [`ConsoleError::Refused`], or [`ConsoleError::Line`]: nothing was sent.
    pub fn command(&mut self, text: &str) -> Result<ConsoleReply, ConsoleError> {
        let line = self.line(text)?;
        let reply = self.ask(&line)?;
        match verdict::failure(&line, &reply.text) {
            None => Ok(reply),
            Some(failure) => Err(ConsoleError::Refused {
                name: self.name.clone(),
                line,
                said: said(failure, &reply.stderr),
            }),
        }
    }

    /// The answer to a question that may be asked again, since it changes
    /// nothing the second time.
    ///
    /// # Errors
    /// As [`Console::ask`].
    pub fn question(&mut self, text: &str) -> Result<ConsoleReply, ConsoleError> {
        let line = self.line(text)?;
        let mut tries = 1;
        loop {
            match self.ask(&line) {
                Err(ConsoleError::Garbled { .. }) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    fn line(&self, text: &str) -> Result<CommandLine, ConsoleError> {
        text.parse().map_err(|cause| ConsoleError::Line {
            name: self.name.clone(),
            text: text.to_owned(),
            cause: Box::new(cause),
        })
    }

    /// The scores of archives that the console called done since it was last
    /// asked; waits for one no longer than the limit.
    ///
    /// # Errors
    /// [`ConsoleError::Ended`].
    pub fn archives(&mut self, limit: Duration) -> Result<Vec<String>, ConsoleError> {
        let deadline = Instant::now() + limit;
        loop {
            let asides = std::mem::take(&mut self.asides);
            let scores: Vec<String> = asides
                .iter()
                .filter_map(|aside| Some(archived(aside)?.to_owned()))
                .collect();
            if !scores.is_empty() {
                return Ok(scores);
            }
            match self.transport.read(deadline) {
                Received::Bytes(bytes) => self.overhear(&bytes),
                Received::Nothing => return Ok(Vec::new()),
                Received::End(cause) => {
                    return Err(ConsoleError::Ended {
                        name: self.name.clone(),
                        waited: "an archive".to_owned(),
                        cause: cause.map(|cause| cause.to_string()),
                    });
                }
            }
        }
    }

    /// Keeps the whole lines of what was said unasked.
    fn overhear(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') else {
            let cut = self.partial.len().saturating_sub(PARTIAL);
            self.partial.drain(..cut);
            return;
        };
        let lines: Vec<u8> = self.partial.drain(..=end).collect();
        let lines = String::from_utf8_lossy(&lines).into_owned();
        for line in lines.lines() {
            self.complained(line.strip_prefix(STDERR).unwrap_or_default());
        }
        let telling = lines.lines().filter(|line| archived(line).is_some());
        self.asides.extend(telling.map(str::to_owned));
    }

    fn complained(&mut self, line: &str) {
        if COMPLAINTS.iter().any(|word| line.starts_with(word)) {
            self.complaint = Some(line.to_owned());
        }
    }

    /// What the fossil's archiver last complained of on standard error, as far as
    /// our broker passes it on.
    #[must_use]
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    fn silent(&self, line: &CommandLine) -> ConsoleError {
        ConsoleError::Silent {
            name: self.name.clone(),
            waited: format!("an answer to {line}"),
            limit: self.limit,
        }
    }

    /// What the broker said before it closed a stream that takes nothing now.
    fn last_words(&mut self, deadline: Instant) -> Option<String> {
        let mut said = Vec::new();
        while let Received::Bytes(bytes) = self.transport.read(deadline) {
            said.extend(bytes);
            let cut = said.len().saturating_sub(PARTIAL);
            said.drain(..cut);
        }
        last_words(&said)
    }

    fn ended(&self, line: &CommandLine, cause: Option<String>) -> ConsoleError {
        ConsoleError::Ended {
            name: self.name.clone(),
            waited: format!("an answer to {line}"),
            cause,
        }
    }

    fn garbled(&self, line: &CommandLine, cause: Garbled) -> ConsoleError {
        ConsoleError::Garbled {
            name: self.name.clone(),
            line: line.clone(),
            cause,
        }
    }
}

/// An error text, and what the fossil said of it on its standard error alone.
fn said(failure: &str, stderr: &[String]) -> String {
    match stderr {
        [] => failure.to_owned(),
        stderr => format!("{failure} ({})", stderr.join("; ")),
    }
}

/// Why a console did not do what it was asked.
#[derive(Debug)]
pub enum ConsoleError {
    /// Nobody serves it, or it cannot be opened.
    Unreachable {
        /// The console.
        name: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It was silent past the limit.
    Silent {
        /// The console.
        name: String,
        /// What was waited for.
        waited: String,
        /// How long.
        limit: Duration,
    },
    /// It ended: the fossil or what serves its console is gone.
    Ended {
        /// The console.
        name: String,
        /// What was waited for.
        waited: String,
        /// What the system says, where it is more than an end.
        cause: Option<String>,
    },
    /// It calls a command an error.
    Refused {
        /// The console.
        name: String,
        /// The command.
        line: CommandLine,
        /// What it says.
        said: String,
    },
    /// Its answer cannot be told from other text.
    Garbled {
        /// The console.
        name: String,
        /// The command.
        line: CommandLine,
        /// Why not.
        cause: Garbled,
    },
    /// The line may not be sent.
    Line {
        /// The console.
        name: String,
        /// The line.
        text: String,
        /// Why not.
        cause: Box<FormatError>,
    },
}

impl ConsoleError {
    /// How a run ends that fails by this.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => Status::Unreachable,
            Self::Line { .. } => Status::Usage,
            Self::Ended { .. } | Self::Refused { .. } | Self::Garbled { .. } => Status::Failed,
        }
    }

    /// The error with its status, for a command's end.
    pub fn report(&self) -> Report {
        Failure::report(self.status(), self.to_string())
    }
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { name, cause } => {
                write!(f, "{name}: ")?;
                match cause.kind() {
                    io::ErrorKind::ConnectionRefused => f.write_str(
                        "expected a console, found a socket that nobody serves: its broker was killed",
                    ),
                    io::ErrorKind::TimedOut => {
                        f.write_str("expected a console, found a socket that accepts no connection")
                    }
                    _ => cause.fmt(f),
                }
            }
            Self::Silent {
                name,
                waited,
                limit,
            } => write!(
                f,
                "{name}: waited {} seconds for {waited}: the fossil is busy or hangs",
                limit.as_secs_f32()
            ),
            Self::Ended {
                name,
                waited,
                cause,
            } => {
                write!(f, "{name}: ended while {waited} was waited for")?;
                match cause {
                    Some(cause) => write!(f, ": {cause}"),
                    None => f.write_str(": the fossil or its broker is gone"),
                }
            }
            Self::Refused { name, line, said } => write!(f, "{name}: {line}: {said}"),
            Self::Garbled { name, line, cause } => write!(f, "{name}: {line}: {cause}"),
            Self::Line { name, text, cause } => write!(f, "{name}: {text}: {cause}"),
        }
    }
}

impl std::error::Error for ConsoleError {}
