//! The arenas on a disk: where they lie in a partition or file, and a walk over the
//! clumps of one, live or damaged.

mod foreign;
pub mod layout;
pub mod log;
pub mod notes;
mod recount;
pub mod roots;

use std::io;

use crate::host::partition::Partition;

pub use foreign::Foreign;
pub use layout::{Arena, ArenaPartition, ArenaSource, LayoutError, Oddity};

/// Something that can be read at any offset, by several threads at once: a
/// partition, a file, a slice of bytes.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` from `offset` (bytes from the start).
    ///
    /// # Errors
    /// The read failed, or the range is not wholly inside.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Its length in bytes.
    fn size(&self) -> u64;

    /// True where these bytes are known to be zeros without a look at them: a
    /// hole of a sparse file. False says nothing.
    fn is_hole(&self, _offset: u64, _len: usize) -> bool {
        false
    }
}

impl ReadAt for Partition {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Partition::read_at(self, buf, offset)
    }

    fn size(&self) -> u64 {
        self.len()
    }

    fn is_hole(&self, offset: u64, len: usize) -> bool {
        Partition::is_hole(self, offset, len)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let range = usize::try_from(offset)
            .ok()
            .and_then(|start| Some(start..start.checked_add(buf.len())?));
        let found = range.and_then(|range| self.get(range));
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}
