//! What a store lies on.

use std::io;
use std::sync::Arc;

use eyre::{WrapErr, bail};

use crate::codec::operand::Operand;
use crate::host::holders::{self, Writers};
use crate::host::partition::Partition;
use crate::source::ReadAt;

/// A partition or file that is written to, by several threads at once.
pub trait Disk: ReadAt {
    /// Writes `bytes` at `offset` (bytes from the start). They need not outlast a power
    /// cut before [`Disk::sync`].
    ///
    /// # Errors
    /// The write failed, wholly or in part, or the range is not wholly inside.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written will outlast a power cut.
    ///
    /// # Errors
    /// Something that was written may be lost.
    fn sync(&self) -> io::Result<()>;

    /// How messages and pages call it.
    fn name(&self) -> String;
}

/// Opens what an operand names, to be served by this process alone, unless it is only read.
///
/// # Errors
/// It cannot be opened, or another process has it open for writing.
pub fn open(operand: &Operand, read_only: bool) -> eyre::Result<Arc<dyn Disk>> {
    if read_only {
        return Ok(Arc::new(Partition::open(operand)?.through_cache()));
    }
    let partition = Partition::open_rw(operand)?;
    let claimed = partition.try_claim();
    if !claimed.wrap_err_with(|| format!("{operand}: cannot lock it"))? {
        bail!("{operand}: another process serves it or writes to it; expected to be alone");
    }
    let writers = Writers::of(&[partition.path()]).map(|found| found.processes);
    let writers = writers.unwrap_or_default();
    if let Some(holders::Process { pid, command }) = writers.into_iter().flatten().next() {
        bail!(
            "{operand}: {command} (process {pid}) has it open for writing; end it first, or \
             serve with -r"
        );
    }
    Ok(Arc::new(partition.through_cache()))
}

impl Disk for Partition {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        Partition::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Partition::sync(self)
    }

    fn name(&self) -> String {
        self.operand().to_string()
    }
}
