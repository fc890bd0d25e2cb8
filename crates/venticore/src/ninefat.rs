//! A 9fat that nobody mounts: `wrcmd` and `rootscor` in the FAT file system of
//! a disk image or an unused block device. And one that is mounted while a command
//! runs: [`Home`].
//!
//! A 9fat also holds the kernel, `plan9.ini` and `nvram`. So a change is made in
//! memory by the crate `fatfs`, held against a reading of our own, and written
//! only if nothing but the one file changes.

mod change;
mod exchange;
mod memory;
mod mount;
mod stage;
mod volume;

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::Status;
use crate::holders::{Holders, Sight};
use crate::partition::{self, Operand, Partition};
use crate::state;
use crate::wrcmd;
use change::Medium;
pub use exchange::{Visit, arrive, check, exchange, leave};
pub use mount::Home;
use volume::{Bytes, Volume};

/// How long another that has the image locked is waited for.
const WAIT: Duration = Duration::from_secs(30);

/// Between two looks at the lock of another.
const NAP: Duration = Duration::from_millis(20);

/// The files that are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Wrcmd,
    Rootscor,
}

impl Name {
    /// The name in upper case, as Plan 9 writes it, too, where it fits in 8.3.
    fn text(self) -> &'static str {
        match self {
            Self::Wrcmd => "WRCMD",
            Self::Rootscor => "ROOTSCOR",
        }
    }

    /// The name as it stands in an entry of a directory.
    fn in_slot(self) -> [u8; 11] {
        match self {
            Self::Wrcmd => *b"WRCMD      ",
            Self::Rootscor => *b"ROOTSCOR   ",
        }
    }
}

/// Why a file could not be read or written.
#[derive(Debug)]
enum Cause {
    Io(io::Error),
    Bad(Option<Name>, volume::Bad),
    Full { needed: u64, free: u64 },
    NoEntry,
}

/// An image that nobody else uses, locked.
#[derive(Debug)]
struct Image {
    partition: Partition,
    sight: Sight,
}

impl Bytes for Partition {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Partition::read_at(self, buf, offset)
    }
}

impl Medium for Partition {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        Partition::write_at(self, buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Partition::sync(self)
    }
}

impl Image {
    /// Opens and locks it, and makes sure that nobody else has it in use.
    fn open(operand: &Operand, write: bool) -> Result<Self, Error> {
        let partition = match write {
            true => Partition::open_rw(operand)?,
            false => Partition::open(operand)?,
        };
        let failed = |e: io::Error| Error::Image(operand.clone(), e.to_string());
        let start = Instant::now();
        while !partition.try_lock(write).map_err(failed)? {
            if start.elapsed() >= WAIT {
                return Err(Error::Locked(operand.clone()));
            }
            thread::sleep(NAP);
        }
        let holders = Holders::of(partition.path()).map_err(failed)?;
        if !holders.is_free() {
            return Err(Error::Held(operand.clone(), Box::new(holders)));
        }
        Ok(Image {
            partition,
            sight: holders.sight,
        })
    }

    fn error(&self, cause: &Cause) -> Error {
        Error::Image(self.partition.operand().clone(), cause.to_string())
    }

    /// What is where, as it is now.
    fn volume(&self) -> Result<Volume, Error> {
        let volume = Volume::read(&self.partition, self.partition.len());
        let volume = volume.map_err(|e| self.error(&Cause::Io(e)))?;
        volume.map_err(|bad| self.error(&Cause::Bad(None, bad)))
    }

    fn contents(
        &self,
        volume: &Volume,
        name: Name,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        change::contents(&self.partition, volume, name, limit).map_err(|cause| self.error(&cause))
    }

    fn commit(&self, plan: Result<change::Plan, Cause>) -> Result<(), Error> {
        let plan = plan.map_err(|cause| self.error(&cause))?;
        let done = plan.commit(&self.partition);
        done.map_err(|e| self.error(&Cause::Io(e)))
    }
}

/// Why the files of a 9fat could not be exchanged.
#[derive(Debug)]
pub enum Error {
    /// The image cannot be opened.
    Partition(partition::Error),
    /// Another run has it locked, and was waited for.
    Locked(Operand),
    /// Something else has it in use.
    Held(Operand, Box<Holders>),
    /// It cannot be read or written, or is no sound FAT file system.
    Image(Operand, String),
    /// The wrcmd on it is none.
    NoWrcmd(Operand, wrcmd::Error),
    /// The wrcmd on it changed while the run was at work.
    Changed(Operand),
    /// What was exchanged cannot be told from the state directory.
    State(state::Error),
}

impl From<partition::Error> for Error {
    fn from(error: partition::Error) -> Self {
        Self::Partition(error)
    }
}

impl From<state::Error> for Error {
    fn from(error: state::Error) -> Self {
        Self::State(error)
    }
}

impl Error {
    /// The exit status it stands for.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Locked(_) => Status::Locked,
            // A wrcmd that is none is as one in the state directory.
            Self::NoWrcmd(..) => Status::Usage,
            _ => Status::Failed,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(error) => write!(f, "9fat: {error}"),
            Self::Locked(operand) => write!(
                f,
                "9fat {operand}: locked by another run for {} s: run again when it is done",
                WAIT.as_secs()
            ),
            Self::Held(operand, holders) => write!(
                f,
                "9fat {operand}: {holders}: expected an image that nobody else uses: end that, or \
                 give the directory where it is mounted with -d"
            ),
            Self::Image(operand, cause) => write!(f, "9fat {operand}: {cause}"),
            Self::NoWrcmd(operand, error) => write!(f, "9fat {operand}: wrcmd: {error}"),
            Self::Changed(operand) => write!(
                f,
                "9fat {operand}: wrcmd: changed there during this run: left as it is, and taken by the next run"
            ),
            Self::State(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
