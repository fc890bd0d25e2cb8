//! What a store lies on.

use std::io;

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
