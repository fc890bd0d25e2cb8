//! What can go wrong with a program, told in one line with the way out.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::host::child;
use crate::status::Status;

/// Why an external program gave no place: `PROGRAM: cause`, one line.
#[derive(Debug)]
pub struct ExternalError {
    pub(super) program: String,
    pub(super) fault: ExternalFault,
}

impl ExternalError {
    /// What went wrong.
    #[must_use]
    pub fn fault(&self) -> &ExternalFault {
        &self.fault
    }

    /// The exit status it stands for.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.fault {
            ExternalFault::Empty => Status::Usage,
            ExternalFault::Unreachable(_) | ExternalFault::Silent(_) => Status::Unreachable,
            ExternalFault::Damaged { .. } => Status::Partly,
            _ => Status::Failed,
        }
    }
}

impl fmt::Display for ExternalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            ExternalFault::Empty => self.fault.fmt(f),
            _ => write!(f, "{}: {}", self.program, self.fault),
        }
    }
}

impl std::error::Error for ExternalError {}

/// What went wrong. Texts are the program's own, printable and shortened.
#[derive(Debug)]
pub enum ExternalFault {
    /// An argument vector without a program.
    Empty,
    /// It could not be started.
    Start(io::Error),
    /// It, or its streams, could not be watched.
    Watch(io::Error),
    /// Neither stream said anything for this long, or it did not end.
    Silent(Duration),
    /// It was still at work after this long.
    Endless(Duration),
    /// It could not connect to the target.
    Unreachable(String),
    /// It ended otherwise than with status 0.
    Failed {
        /// How.
        status: ExitStatus,
        /// Its last line on standard error.
        last: Option<String>,
    },
    /// It named a damaged clump.
    Damaged {
        /// The first line that does.
        text: String,
        /// How many lines do.
        lines: u64,
    },
    /// More output, or a longer line, than any wrarena has to say; or a stream
    /// that broke off.
    Unread(String),
    /// A line speaks of an offset in other words than ours.
    Unfit(String),
    /// More than one end offset.
    Several(u64),
    /// A number by itself.
    Bare(String),
    /// No end offset; the last line, where there is one.
    Nothing(Option<String>),
    /// An end offset before the start or outside the data section.
    Implausible {
        /// What it said.
        found: u64,
        /// Where it was to start.
        from: u64,
        /// Bytes of the data section.
        size: u64,
    },
}

impl From<child::ChildFault> for ExternalFault {
    fn from(fault: child::ChildFault) -> Self {
        match fault {
            child::ChildFault::Start(cause) => Self::Start(cause),
            child::ChildFault::Watch(cause) => Self::Watch(cause),
            child::ChildFault::Silent(limit) => Self::Silent(limit),
            child::ChildFault::Endless(limit) => Self::Endless(limit),
            child::ChildFault::Flood(most) => Self::Unread(format!("more than {most} bytes")),
        }
    }
}

impl fmt::Display for ExternalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("external engine: expected a program, found no word"),
            Self::Start(cause) => write!(
                f,
                "cannot be started: {cause}; name a wrarena, or use the built-in engine"
            ),
            Self::Watch(cause) => write!(f, "cannot be watched: {cause}"),
            Self::Silent(limit) => write!(f, "said nothing for {limit:?}: killed"),
            Self::Endless(limit) => write!(f, "not done after {limit:?}: killed"),
            Self::Unreachable(text) => f.write_str(text),
            Self::Failed { status, last } => failed(f, *status, last.as_deref()),
            Self::Damaged { text, lines } => write!(
                f,
                "damage in the source: \"{text}\" ({lines} such lines); it may have left out \
                 all that follows; the built-in engine leaves out only the damaged clump"
            ),
            Self::Unread(why) => write!(f, "{why}: not the output of a wrarena"),
            Self::Unfit(text) => write!(
                f,
                "expected one line \"end offset 0x...\", found \"{text}\"; \
                 an unknown dialect of wrarena"
            ),
            Self::Several(count) => several(f, *count),
            Self::Bare(text) => write!(
                f,
                "expected one line \"end offset 0x...\", found the bare number \"{text}\", as a \
                 9front wrarena prints it: use plan9port's or the built-in engine"
            ),
            Self::Nothing(last) => nothing(f, last.as_deref()),
            Self::Implausible { found, from, size } => write!(
                f,
                "expected an end offset from {from:#x} to {size:#x}, found {found:#x}: \
                 is this the arena it was called for?"
            ),
        }
    }
}

fn failed(f: &mut fmt::Formatter<'_>, status: ExitStatus, last: Option<&str>) -> fmt::Result {
    match (status.code(), status.signal()) {
        (Some(code), _) => write!(f, "exit status {code}")?,
        (None, Some(signal)) => write!(f, "ended by signal {signal}")?,
        (None, None) => write!(f, "ended: {status}")?,
    }
    match last {
        Some(last) => write!(f, ": \"{last}\""),
        None => f.write_str(", without a word on standard error"),
    }
}

fn several(f: &mut fmt::Formatter<'_>, count: u64) -> fmt::Result {
    write!(
        f,
        "expected one line \"end offset 0x...\", found {count}: plan9port's wrarena on a whole \
         partition, where it takes no offsets; it works incrementally only when called as \
         wrarena -o 0 -h HOST PART:HEAD-END 0xOFFSET, and these arguments must reach it unchanged"
    )
}

fn nothing(f: &mut fmt::Formatter<'_>, last: Option<&str>) -> fmt::Result {
    f.write_str("expected one line \"end offset 0x...\", found ")?;
    match last {
        Some(last) => write!(f, "none, the last line is \"{last}\"")?,
        None => f.write_str("no output")?,
    }
    f.write_str(" (wrarena prints it only with -o, which it was given)")
}
