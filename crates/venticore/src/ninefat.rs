//! A 9fat that nobody mounts: `wrcmd` and `rootscor` in the FAT file system of
//! a disk image or an unused block device. And one that is mounted while a command
//! runs: [`Home`].
//!
//! A 9fat also holds the kernel, `plan9.ini` and `nvram`. So GNU mtools write to a
//! copy, the copy is held against a reading of our own, and what differs is
//! brought to the image only if nothing but the one file changes.

mod exchange;
mod fat;
mod memory;
mod mount;
mod program;
mod redo;
mod write;

use std::fmt;
use std::fs;
use std::io;
use std::time::Duration;

use crate::codec::operand::Operand;
use crate::codec::wrcmd;
use crate::config::NineFat;
use crate::host::holders::{Holders, Sight};
use crate::host::lock::Hold;
use crate::host::partition::{self, Partition};
use crate::host::terminal::Terminal;
use crate::state::{self, StateDir};
use crate::status::Status;
pub use exchange::{ImageVisit, arrive, check, exchange, leave};
use fat::{Bad, Fat};
use memory::Memory;
pub use mount::Home;
use redo::Redo;

/// How long another that has the image locked is waited for.
const WAIT: Duration = Duration::from_secs(30);

/// The names of the files that are exchanged, as Plan 9 writes those that fit in 8.3.
const WRCMD: &str = "WRCMD";
const ROOTSCOR: &str = "ROOTSCOR";

/// An image that nobody else uses, locked.
#[derive(Debug)]
struct Image {
    partition: Partition,
    sight: Sight,
}

impl Image {
    /// Opens and locks it, and makes sure that nobody else has it in use.
    fn open(operand: &Operand, write: bool) -> Result<Self, NinefatError> {
        let partition = match write {
            true => Partition::open_rw(operand)?,
            false => Partition::open(operand)?,
        };
        let failed = |e: io::Error| NinefatError::Image(operand.clone(), e.to_string());
        let hold = if write { Hold::Alone } else { Hold::Shared };
        if !partition.lock(hold, WAIT).map_err(failed)? {
            return Err(NinefatError::Locked(operand.clone()));
        }
        let holders = Holders::of(&partition.open_path()).map_err(failed)?;
        if !holders.is_free() {
            return Err(NinefatError::Held(operand.clone(), Box::new(holders)));
        }
        Ok(Image {
            partition,
            sight: holders.sight,
        })
    }

    /// The same, for a run that has begun with the image: a change to it that a crash
    /// cut short is brought to its end first.
    fn mended(
        nine_fat: &NineFat,
        state: &StateDir,
        terminal: &Terminal,
    ) -> Result<Self, NinefatError> {
        let image = Self::open(&nine_fat.image, false)?;
        if Redo::pending(&image.key(), state)?.is_none() {
            return Ok(image);
        }
        drop(image);
        let image = Self::open(&nine_fat.image, true)?;
        image.mend(state, terminal)?;
        Ok(image)
    }

    fn mend(&self, state: &StateDir, terminal: &Terminal) -> Result<(), NinefatError> {
        let Some(redo) = Redo::pending(&self.key(), state)? else {
            return Ok(());
        };
        let failed = |e: io::Error| self.error(&e.to_string());
        let operand = self.partition.operand();
        if !redo.still_fits(&self.partition).map_err(failed)? {
            terminal.say(&format!(
                "9fat {operand}: changed since a run was cut short while it wrote there: look at it with fsck.fat or on plan 9"
            ));
            return Ok(redo.forget(state)?);
        }
        redo.commit(&self.partition, 0, state)?.map_err(failed)?;
        terminal.say(&format!(
            "9fat {operand}: a run was cut short while it wrote there: finished"
        ));
        Ok(())
    }

    /// By what it is known.
    fn key(&self) -> String {
        let path = self.partition.path();
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        format!("{}:{}", path.display(), self.partition.start())
    }

    fn memory(&self, fat: &Fat, state: &StateDir) -> Result<Memory, NinefatError> {
        Ok(Memory::of(state, &self.key(), fat.shape.volume)?)
    }

    fn error(&self, cause: &str) -> NinefatError {
        NinefatError::Image(self.partition.operand().clone(), cause.to_owned())
    }

    /// What is where, as it is now.
    fn fat(&self) -> Result<Fat, NinefatError> {
        let fat = Fat::read(&self.partition, self.partition.len());
        fat.map_err(|bad| self.error(&bad))
    }

    /// The contents of a file of at most `limit` bytes; `None` where there is none.
    fn contents(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, NinefatError> {
        let fat = self.fat()?;
        let contents = || -> Result<Option<Vec<u8>>, Bad> {
            let Some(entry) = fat.find(name)? else {
                return Ok(None);
            };
            if entry.size > limit as u64 {
                let size = entry.size;
                return Err(format!(
                    "{name}: expected at most {limit} bytes, found {size}"
                ));
            }
            fat.contents(&self.partition, &entry).map(Some)
        };
        contents().map_err(|bad| self.error(&bad))
    }

    /// Gives a file these contents.
    fn put(
        &self,
        name: &str,
        contents: &[u8],
        words: &[String],
        state: &StateDir,
    ) -> Result<(), NinefatError> {
        let len = self.partition.len();
        let sectors = write::changes(&self.partition, len, (name, contents), words, state);
        let sectors = sectors.map_err(|bad| self.error(&format!("{bad}: nothing was written")))?;
        let data = self.fat()?.shape.data;
        let failed = |e: io::Error| self.error(&format!("{e}: the next run tries again"));
        let redo = Redo::record(&self.key(), &self.partition, sectors, state)?.map_err(failed)?;
        redo.commit(&self.partition, data, state)?.map_err(failed)
    }
}

/// Why the files of a 9fat could not be exchanged.
#[derive(Debug)]
pub enum NinefatError {
    /// The image cannot be opened.
    Partition(partition::PartitionError),
    /// Another run has it locked, and was waited for.
    Locked(Operand),
    /// Something else has it in use.
    Held(Operand, Box<Holders>),
    /// It cannot be read or written, or is not a sound FAT file system.
    Image(Operand, String),
    /// The wrcmd on it is none.
    NoWrcmd(Operand, wrcmd::WrcmdError),
    /// The wrcmd on it changed while the run was at work.
    Changed(Operand),
    /// What was exchanged cannot be told from the state directory.
    State(state::StateError),
}

impl From<partition::PartitionError> for NinefatError {
    fn from(error: partition::PartitionError) -> Self {
        Self::Partition(error)
    }
}

impl From<state::StateError> for NinefatError {
    fn from(error: state::StateError) -> Self {
        Self::State(error)
    }
}

impl NinefatError {
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

impl fmt::Display for NinefatError {
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

impl std::error::Error for NinefatError {}
