//! What a store lies on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use eyre::WrapErr;

use crate::codec::operand::Operand;
use crate::host::holders::{self, Writers};
use crate::host::partition::Partition;
use crate::source::ReadAt;
use crate::status::{Failure, Status};

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

/// Opens what operands name, to be served by this process alone, unless it is only read.
/// Several may be parts of one file or device.
///
/// # Errors
/// One cannot be opened, or another process has it open for writing.
pub fn open_all(operands: &[Operand], read_only: bool) -> eyre::Result<Vec<Arc<dyn Disk>>> {
    let mut claimed = Vec::new();
    let mut disks: Vec<Arc<dyn Disk>> = Vec::new();
    for operand in operands {
        let disk = match read_only {
            true => Partition::open(operand)?,
            false => open_for_writing(operand, &mut claimed)?,
        };
        disks.push(Arc::new(disk.through_cache()));
    }
    Ok(disks)
}

/// Opens what an operand names, and claims the file or device it is in, unless this
/// process has claimed it already.
fn open_for_writing(operand: &Operand, claimed: &mut Vec<PathBuf>) -> eyre::Result<Partition> {
    let path = Partition::open(operand)?.path().canonicalize();
    let path = path.wrap_err_with(|| operand.to_string())?;
    if claimed.contains(&path) {
        return Ok(Partition::open_rw_beside(operand)?);
    }
    let in_use = |why: &str| Failure::report(Status::Locked, format!("{operand}: {why}"));
    let partition = Partition::open_rw(operand)?;
    let is_ours = partition.try_claim();
    if !is_ours.wrap_err_with(|| format!("{operand}: cannot lock it"))? {
        let why = "another process serves it or writes to it; expected to be alone";
        return Err(in_use(why));
    }
    let writers = Writers::of(&[partition.path()]).map(|found| found.processes);
    let writers = writers.unwrap_or_default();
    if let Some(holders::Process { pid, command }) = writers.into_iter().flatten().next() {
        return Err(in_use(&format!(
            "{command} (process {pid}) has it open for writing; end it first, or serve with -r"
        )));
    }
    claimed.push(path);
    Ok(partition)
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
