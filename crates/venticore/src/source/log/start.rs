//! Where a walk may start.

use super::{ClumpLog, What};
use crate::codec::arena::clump::{ClumpError, ClumpHeader, HEADER_LEN};

impl ClumpLog {
    /// Goes to `from`, where a clump starts or the log ends.
    pub(super) fn go_to(&mut self, from: u64) -> Result<(), ClumpError> {
        let used = self.used();
        let clumps = u64::from(self.arena.live.clumps);
        if from == 0 {
            self.index = Some(0);
        } else if from >= used {
            self.index = Some(clumps);
            self.at = used;
            self.before = self.header_before(used);
            self.scan_to(from)?;
        } else {
            self.index = self.index_in_directory(from)?;
            self.before = self.header_before(from);
        }
        Ok(())
    }

    /// The clump that ends at `end`, where `self.index` is the index of the next.
    fn header_before(&mut self, end: u64) -> Option<ClumpHeader> {
        let entry = self.directory.entry(self.index?.checked_sub(1)?).ok()?;
        let by_entry = ClumpHeader::from_entry(&entry).ok()?;
        let start = end.checked_sub(by_entry.stored_len())?;
        let by_header = self.header(start).ok();
        Some(
            by_header
                .filter(|h| h.score == by_entry.score)
                .unwrap_or(by_entry),
        )
    }

    fn scan_to(&mut self, from: u64) -> Result<(), ClumpError> {
        let mut before = self.at;
        while self.at < from {
            before = self.at;
            let Some(item) = self.next() else {
                return Err(ClumpError::Past {
                    offset: from,
                    end: self.at,
                });
            };
            self.before = match item.what {
                What::Clump { header, .. } => Some(header),
                _ => None,
            };
        }
        if self.at > from {
            return Err(ClumpError::Inside {
                offset: from,
                before,
                after: self.at,
            });
        }
        Ok(())
    }

    /// The directory entry of the clump at `from`, by adding up sizes from the end
    /// of the log backwards: the work grows with what is left to read.
    fn index_in_directory(&mut self, from: u64) -> Result<Option<u64>, ClumpError> {
        let mut index = u64::from(self.arena.live.clumps);
        let mut start = self.used();
        let mut after = start;
        while start > from && index > 0 {
            let Ok(entry) = self.directory.entry(index - 1) else {
                break;
            };
            index -= 1;
            after = start;
            start = start.saturating_sub(HEADER_LEN as u64 + u64::from(entry.size));
        }
        if start == from {
            return Ok(Some(index));
        }
        // Either the offset is wrong or the directory is.
        match self.verified(from, |log| log.header(from)) {
            Ok(header) => Ok(self
                .directory
                .find(&header.score, index.saturating_sub(1), 0)),
            Err(_) => Err(ClumpError::Inside {
                offset: from,
                before: start,
                after,
            }),
        }
    }
}
