//! The order in which a format is written.
//!
//! At each moment the partition is either the old fossil, or has a super block
//! that no tool takes for one, or is the new fossil. So first the magic of the
//! old super block goes; then come labels and data, then the super block, then
//! the header, each synced before the next is begun. Where the header changes, the
//! magic of the new super block comes last: the old header may lead to it as
//! well, but to other data.

use std::io;

use super::plan::{Area, Format};
use super::{ChangeError, Disk, bytes_at, each_chunk};

/// Bytes of the magic of a super block.
pub(super) const MAGIC: usize = 4;

/// Formats a disk. `old` is where the super block of the fossil is that is
/// on it now.
///
/// # Errors
/// [`ChangeError`]: the disk is not formatted, or only in part.
pub fn write(disk: &dyn Disk, format: &Format, old: Option<u64>) -> Result<(), ChangeError> {
    let [labels, data, superblock, header] = format.areas();
    let areas = [&labels, &data, &superblock, &header];
    let magic = old.map(|at| bytes_at(disk, at, MAGIC)).transpose()?;
    if let Some(at) = old {
        disk.write_at(&[0; MAGIC], at)?;
        disk.sync()?;
    }
    let mut written = put(disk, &labels)?;
    written.extend(put(disk, &data)?);
    disk.sync()?;
    if bytes_at(disk, header.start, header.content.len())? != header.content {
        put(disk, &unmarked(&superblock))?;
        disk.sync()?;
        written.extend(put(disk, &header)?);
        disk.sync()?;
    }
    written.extend(put(disk, &superblock)?);
    disk.sync()?;
    // With another block size the old super block lies where the format
    // needs nothing, so that its bytes stay as they were.
    if let (Some(at), Some(magic)) = (old, magic)
        && !areas.iter().any(|area| area.contains(at))
    {
        disk.write_at(&magic, at)?;
        disk.sync()?;
    }
    disk.forget();
    written.iter().try_for_each(|write| compare(disk, write))
}

/// A write, to be read back.
struct WrittenBlock<'a> {
    area: &'a Area,
    at: u64,
    len: usize,
}

/// The super block without its magic.
fn unmarked(superblock: &Area) -> Area {
    let mut area = superblock.clone();
    area.content
        .iter_mut()
        .take(MAGIC)
        .for_each(|byte| *byte = 0);
    area
}

/// Writes what an area does not hold yet, in large pieces.
fn put<'a>(disk: &dyn Disk, area: &'a Area) -> io::Result<Vec<WrittenBlock<'a>>> {
    let mut written = Vec::new();
    each_chunk(disk, area.start, area.len, |at, found| {
        let len = found.len();
        let piece = area.piece(at, len);
        if piece.is(found) {
            return Ok(());
        }
        written.push(WrittenBlock { area, at, len });
        disk.write_at(&piece.into_bytes(), at)
    })?;
    Ok(written)
}

/// Reads back what was written. What was found right and left alone is not
/// read again.
fn compare(disk: &dyn Disk, write: &WrittenBlock<'_>) -> Result<(), ChangeError> {
    let found = bytes_at(disk, write.at, write.len)?;
    let piece = write.area.piece(write.at, write.len);
    if piece.is(&found) {
        return Ok(());
    }
    let expected = piece.into_bytes();
    let differs = found.iter().zip(&expected).position(|(f, e)| f != e);
    Err(ChangeError::Differs {
        area: write.area.name,
        at: write.at + differs.unwrap_or(0) as u64,
    })
}
