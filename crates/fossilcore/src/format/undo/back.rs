//! What a disk holds, compared with an undo file, and putting back what the
//! format overwrote.

use venticore::source::ReadAt;

use super::{Matches, RecordSide, UndoFile};
use crate::format::ChangeError;
use crate::format::write::MAGIC;
use crate::format::{Disk, SECTOR, each_chunk};

impl UndoFile {
    /// Compares a disk with the file.
    ///
    /// # Errors
    /// [`ChangeError::Length`], [`ChangeError::Written`], and what cannot be read.
    pub fn matches(&self, disk: &dyn ReadAt) -> Result<Matches, ChangeError> {
        if disk.size() != self.length {
            return Err(ChangeError::Length {
                expected: self.length,
                found: disk.size(),
            });
        }
        let (mut is_old, mut is_new) = (true, true);
        for &(_, start, len) in &self.areas {
            each_chunk(disk, start, len, |at, found| {
                let old = self.content(RecordSide::Old, at, found.len())?;
                let new = self.content(RecordSide::New, at, found.len())?;
                let (as_old, as_new) = (old.is(found), new.is(found));
                is_old &= as_old;
                is_new &= as_new;
                match as_old || as_new {
                    true => Ok(()),
                    false => self.sectors(at, found, &old.into_bytes(), &new.into_bytes()),
                }
            })?;
        }
        Ok(match (is_old, is_new) {
            (true, _) => Matches::Old,
            (_, true) => Matches::New,
            _ => Matches::Between,
        })
    }

    /// Checks that each sector is as it was before or after.
    fn sectors(&self, at: u64, found: &[u8], old: &[u8], new: &[u8]) -> Result<(), ChangeError> {
        let size = usize::try_from(SECTOR).unwrap_or(usize::MAX);
        let sectors = found
            .chunks(size)
            .zip(old.chunks(size))
            .zip(new.chunks(size));
        for (number, ((found, old), new)) in sectors.enumerate() {
            let at = at + (number * size) as u64;
            if found == old || found == new || self.is_unmarked(at, found, &[old, new]) {
                continue;
            }
            return Err(ChangeError::Written(at));
        }
        Ok(())
    }

    /// Whether a sector is one of these but for the magic of a super block.
    fn is_unmarked(&self, at: u64, found: &[u8], sides: &[&[u8]]) -> bool {
        let marks = [self.mark, Some(self.superblock)];
        marks.into_iter().flatten().any(|mark| {
            let from = mark
                .checked_sub(at)
                .and_then(|from| usize::try_from(from).ok());
            let Some(from) = from.filter(|from| from + MAGIC <= found.len()) else {
                return false;
            };
            sides.iter().any(|side| {
                let mut side = side.to_vec();
                if let Some(magic) = side.get_mut(from..from + MAGIC) {
                    magic.fill(0);
                }
                side == found
            })
        })
    }

    /// Puts back what was there before the format, all of it or, where it is
    /// interrupted, so that a further call completes it. Until then the disk
    /// is not a fossil.
    ///
    /// # Errors
    /// As [`UndoFile::matches`]; what could not be written; [`ChangeError::Differs`].
    pub fn put_back(&self, disk: &dyn Disk) -> Result<Matches, ChangeError> {
        // So that what is a hole is known.
        disk.sync()?;
        let before = self.matches(disk)?;
        if before == Matches::Old {
            return Ok(before);
        }
        let marks = [Some(self.superblock), self.mark];
        for mark in marks.into_iter().flatten() {
            disk.write_at(&[0; MAGIC], mark)?;
        }
        disk.sync()?;
        let sector = |mark: u64| mark / SECTOR * SECTOR;
        let last: Vec<u64> = marks.into_iter().flatten().map(sector).collect();
        for (name, start, len) in &self.areas {
            if name != "header" {
                self.put(disk, *start, *len, &last)?;
            }
        }
        disk.sync()?;
        for (_, start, len) in self.areas.iter().filter(|(name, ..)| name == "header") {
            self.put(disk, *start, *len, &[])?;
        }
        disk.sync()?;
        // The super block that the header leads to comes last.
        for at in last {
            self.put(disk, at, SECTOR, &[])?;
            disk.sync()?;
        }
        disk.forget();
        self.compare(disk).map(|()| before)
    }

    /// Writes what was there before, but for some sectors.
    fn put(&self, disk: &dyn Disk, start: u64, len: u64, but: &[u64]) -> Result<(), ChangeError> {
        each_chunk(disk, start, len, |at, found| {
            let len = found.len();
            let old = self.content(RecordSide::Old, at, len)?;
            if old.is(found) {
                return Ok(());
            }
            let old = old.into_bytes();
            let mut from = at;
            let end = at + len as u64;
            let mut left_out: Vec<u64> = but
                .iter()
                .copied()
                .filter(|s| (at..end).contains(s))
                .collect();
            left_out.sort_unstable();
            left_out.dedup();
            left_out.push(end);
            for sector in left_out {
                let part = |place: u64| usize::try_from(place - at).unwrap_or(len);
                if let Some(bytes) = old.get(part(from)..part(sector))
                    && !bytes.is_empty()
                {
                    disk.write_at(bytes, from)?;
                }
                from = sector + SECTOR;
            }
            Ok(())
        })
    }

    fn compare(&self, disk: &dyn ReadAt) -> Result<(), ChangeError> {
        for &(_, start, len) in &self.areas {
            each_chunk(disk, start, len, |at, found| {
                match self.content(RecordSide::Old, at, found.len())?.is(found) {
                    true => Ok(()),
                    false => Err(ChangeError::Differs {
                        area: "partition",
                        at,
                    }),
                }
            })?;
        }
        Ok(())
    }
}
