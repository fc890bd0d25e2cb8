//! Files that are copied together: their blocks come in any order.

use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;

use super::target::{Refusal, Writing};
use super::{CopyOutcome, FileCopy, Unpack};
use venticore::net::tree::{BadBlock, Leaf, Leaves, StreamPart, StreamReader};
use venticore::text::printable;

/// Files that are copied together.
pub(super) struct CopyBatch<'u, 'r> {
    unpack: &'u mut Unpack<'r>,
    jobs: Vec<CopyProgress>,
    next: usize,
}

/// How far a file is.
struct CopyProgress {
    job: FileCopy,
    writing: Option<Writing>,
    /// What has come of a link's target.
    target: Vec<u8>,
    /// Why it is given up.
    wrong: Option<CopyOutcome>,
    is_copied: bool,
}

impl<'u, 'r> CopyBatch<'u, 'r> {
    pub(super) fn of(unpack: &'u mut Unpack<'r>, jobs: Vec<FileCopy>) -> Self {
        let fresh = |job| CopyProgress {
            job,
            writing: None,
            target: Vec::new(),
            wrong: None,
            is_copied: false,
        };
        CopyBatch {
            unpack,
            jobs: jobs.into_iter().map(fresh).collect(),
            next: 0,
        }
    }

    /// The files that were copied, where they are to be compared.
    pub(super) fn copied(self) -> Vec<FileCopy> {
        if !self.unpack.compares {
            return Vec::new();
        }
        let copied = self.jobs.into_iter().filter(|file| file.is_copied);
        copied.map(|file| file.job).collect()
    }

    /// Puts a leaf where it belongs.
    fn put(&mut self, leaf: &Leaf<'_>) -> Result<(), Refusal> {
        let Some(file) = self.jobs.get_mut(leaf.id) else {
            return Ok(());
        };
        let entry = &file.job.entry;
        let at = leaf.number.saturating_mul(entry.dsize());
        let most = usize::try_from(entry.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let data = leaf.data.get(..most).unwrap_or(leaf.data);
        if file.job.is_link() {
            let from = usize::try_from(at).unwrap_or(usize::MAX);
            let size = usize::try_from(entry.size).unwrap_or(0);
            file.target.resize(size, 0);
            for (to, byte) in file.target.iter_mut().skip(from).zip(data) {
                *to = *byte;
            }
            return Ok(());
        }
        let writing = match &mut file.writing {
            Some(writing) => writing,
            none => none.insert(self.unpack.target.create(file.job.above.id)?),
        };
        writing.file.write_all_at(data, at).map_err(Refusal::Failed)
    }

    /// Gives a file its name.
    fn finish(&mut self, id: usize) -> Result<(), Refusal> {
        let Some(file) = self.jobs.get_mut(id) else {
            return Ok(());
        };
        let (above, info) = (file.job.above.id, &file.job.info);
        let target = &mut self.unpack.target;
        if file.job.is_link() {
            let size = usize::try_from(file.job.entry.size).unwrap_or(0);
            file.target.resize(size, 0);
            check_link(&file.target)?;
            return target.link(above, &info.elem, &file.target, info.mtime);
        }
        let writing = match file.writing.take() {
            Some(writing) => writing,
            None => target.create(above)?,
        };
        writing.finish(info, file.job.entry.size)
    }
}

/// A link's target, as long as the archive says it is, must be a path. plan9port's vac
/// stores eight bytes of it, whatever its length.
pub(super) fn check_link(target: &[u8]) -> Result<(), Refusal> {
    let end = target.iter().rposition(|&byte| byte != 0);
    let stored = target.get(..end.map_or(0, |at| at + 1)).unwrap_or_default();
    let text = if stored.contains(&0) {
        "expected a link to a path, found a NUL in it".to_owned()
    } else if stored.len() < target.len() {
        format!(
            "a link, and the archive has only the first {} of the {} bytes of its target: {}",
            stored.len(),
            target.len(),
            printable(stored)
        )
    } else {
        return Ok(());
    };
    Err(Refusal::Refused(text))
}

impl StreamReader for CopyBatch<'_, '_> {
    fn next(&mut self) -> Option<StreamPart> {
        let id = self.next;
        let entry = self.jobs.get(id)?.job.entry;
        self.next += 1;
        Some(StreamPart {
            entry,
            id,
            leaves: Leaves::All,
        })
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        let is_given_up = |file: &CopyProgress| file.wrong.is_some();
        if self.jobs.get(leaf.id).is_none_or(is_given_up) {
            return;
        }
        if let Err(refusal) = self.put(&leaf) {
            let wrong = self.unpack.outcome(refusal);
            if let Some(file) = self.jobs.get_mut(leaf.id) {
                file.wrong = Some(wrong);
            }
        }
    }

    fn damage(&mut self, id: usize, _leaves: Range<u64>, damage: BadBlock) -> ControlFlow<()> {
        if let Some(file) = self.jobs.get_mut(id) {
            file.wrong = Some(CopyOutcome::Damaged(damage.to_string()));
        }
        ControlFlow::Break(())
    }

    fn end(&mut self, id: usize) {
        let wrong = self.jobs.get_mut(id).and_then(|file| file.wrong.take());
        let outcome = match wrong {
            Some(wrong) => wrong,
            None => match self.finish(id) {
                Ok(()) => CopyOutcome::Copied,
                Err(refusal) => self.unpack.outcome(refusal),
            },
        };
        let Some(file) = self.jobs.get_mut(id) else {
            return;
        };
        file.writing = None;
        file.is_copied = outcome == CopyOutcome::Copied;
        let is_kept = file.is_copied && self.unpack.compares;
        let job = &file.job;
        let (above, size) = (&job.above, job.entry.size);
        self.unpack.say(above, Some(&job.info), size, outcome);
        // What is to be compared keeps its directory.
        if !is_kept {
            self.unpack.release(above.id);
        }
    }

    fn stops(&self) -> bool {
        self.unpack.full.is_some()
    }
}
