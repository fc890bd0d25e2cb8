//! Making a partition the fossil of an archive, as flfmt -v does (fossil.md 3),
//! but so that nothing is lost by it.
//!
//! | module | |
//! |---|---|
//! | `plan` | what is written where: no I/O |
//! | `repeats` | packing labels |
//! | `source` | the archive that it is formatted to, proved |
//! | `standing` | what a partition holds now |
//! | `undo` | a file with everything that is about to be overwritten, and putting it back |
//! | `write` | the order of the writes |
//! | `kept` | undo files: listed, and removed when there are too many |
//! | `job` | all of it, from the log to the comparison |
//!
//! Only this module writes to partitions, beside the configuration regions of
//! [`venticore::codec::confregion`].

mod change_error;
mod job;
mod kept;
mod plan;
mod repeats;
pub(crate) mod source;
mod standing;
mod undo;
mod write;

use std::io;

use venticore::host::partition::Partition;
use venticore::source::ReadAt;

pub use change_error::ChangeError;
pub use job::{CheckedFormat, FormatJob, check, old_undo, perform, say_first};
pub use kept::listed;
pub use plan::{Area, Format, Tag};
pub use standing::{Standing, Whole};
pub use undo::{Matches, UndoFile, save};
pub use write::write;

/// Something that is formatted: a partition, or in tests what loses power
/// between two writes.
pub trait Disk: ReadAt {
    /// Writes over the bytes at `offset`.
    ///
    /// # Errors
    /// The write failed, or the range is not wholly inside.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when everything written will outlast a power cut.
    ///
    /// # Errors
    /// It cannot be known to.
    fn sync(&self) -> io::Result<()>;

    /// Lets what is read next come from the disk, not from what is remembered of it.
    fn forget(&self) {}
}

impl Disk for Partition {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        Partition::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Partition::sync(self)
    }

    fn forget(&self) {
        Partition::forget(self);
    }
}

/// What is read, compared and written at a time.
const CHUNK: usize = 1 << 20;

/// What disks write at once.
const SECTOR: u64 = 512;

/// A range of bytes in chunks: where each begins, and its length.
fn chunks(start: u64, len: u64) -> impl Iterator<Item = (u64, usize)> {
    let end = start.saturating_add(len);
    let mut at = start;
    std::iter::from_fn(move || {
        let count = usize::try_from(end.checked_sub(at)?).map_or(CHUNK, |n| n.min(CHUNK));
        let chunk = (at, count);
        at = at.saturating_add(count as u64);
        (count > 0).then_some(chunk)
    })
}

/// What a range of bytes should be. Zeros, which most labels are, take no
/// memory, and are compared as fast as they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Zeros(usize),
    Bytes(Vec<u8>),
}

impl Piece {
    /// Whether these bytes are as they should be.
    fn is(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Zeros(len) => *len == bytes.len() && are_zeros(bytes),
            Self::Bytes(expected) => expected == bytes,
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Zeros(len) => vec![0; len],
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Whether all bytes are zero. A page at a time without a branch, which
/// the compiler makes fast.
fn are_zeros(bytes: &[u8]) -> bool {
    let mut pages = bytes.chunks(4096);
    pages.all(|page| page.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Reads a range in chunks, all into the same memory, and gives each with its
/// place to `each`. Holes are not read, which would only fill the system's memory with zeros.
fn each_chunk<E: From<io::Error>>(
    disk: &(impl ReadAt + ?Sized),
    start: u64,
    len: u64,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let most = usize::try_from(len).map_or(CHUNK, |len| len.min(CHUNK));
    let mut bytes = vec![0; most];
    for (at, len) in chunks(start, len) {
        let part = bytes.get_mut(..len).unwrap_or_default();
        match disk.is_hole(at, len) {
            true => part.fill(0),
            false => disk.read_at(part, at)?,
        }
        each(at, part)?;
    }
    Ok(())
}

/// Some bytes of a disk.
fn bytes_at(disk: &(impl ReadAt + ?Sized), at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    disk.read_at(&mut bytes, at)?;
    Ok(bytes)
}
