//! Files that were copied, read again from the disk and compared with the archive: each
//! block of them must have its score. Of the venti only pointer blocks are asked for.

use std::io;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;

use super::target::Made;
use super::{CopyOutcome, FileCopy, Unpack};
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::codec::tree::truncated;
use venticore::net::tree::{BadBlock, Leaf, Leaves, StreamPart, StreamReader};
use venticore::text::in_lower_case;

/// Files that are compared together.
pub(super) struct Comparison<'u, 'r> {
    unpack: &'u mut Unpack<'r>,
    files: Vec<ComparedFile>,
    next: usize,
}

/// A file that is being compared.
struct ComparedFile {
    job: FileCopy,
    made: Option<Made>,
    wrong: Option<String>,
}

impl<'u, 'r> Comparison<'u, 'r> {
    pub(super) fn of(unpack: &'u mut Unpack<'r>, jobs: Vec<FileCopy>) -> Self {
        let fresh = |job| ComparedFile {
            job,
            made: None,
            wrong: None,
        };
        Comparison {
            unpack,
            files: jobs.into_iter().map(fresh).collect(),
            next: 0,
        }
    }
}

impl ComparedFile {
    fn differs(&mut self, text: String) {
        self.wrong.get_or_insert(text);
    }

    /// The bytes of a leaf as they are on the disk.
    fn read(&mut self, number: u64) -> io::Result<Vec<u8>> {
        let entry = &self.job.entry;
        let at = number.saturating_mul(entry.dsize());
        let len = entry.size.saturating_sub(at).min(entry.dsize());
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        match &self.made {
            Some(Made::File(file)) => file.read_exact_at(&mut bytes, at)?,
            Some(Made::Link(target)) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                for (to, byte) in bytes.iter_mut().zip(target.iter().skip(from)) {
                    *to = *byte;
                }
            }
            None => {}
        }
        Ok(bytes)
    }
}

impl StreamReader for Comparison<'_, '_> {
    fn next(&mut self) -> Option<StreamPart> {
        let id = self.next;
        let file = self.files.get_mut(id)?;
        self.next += 1;
        let (job, target) = (&file.job, &mut self.unpack.target);
        match target.made(job.above.id, &job.info, job.entry.size) {
            Ok(made) => file.made = Some(made),
            Err(text) => file.differs(text),
        }
        let mut entry = file.job.entry;
        entry.active &= file.made.is_some();
        Some(StreamPart {
            entry,
            id,
            leaves: Leaves::All,
        })
    }

    fn wants(&mut self, id: usize, number: u64, score: &Score) -> bool {
        let Some(file) = self.files.get_mut(id).filter(|file| file.wrong.is_none()) else {
            return false;
        };
        match file.read(number) {
            Err(error) => file.differs(in_lower_case(&error)),
            Ok(bytes) if Score::of(truncated(BlockType::Data, &bytes)) == *score => {}
            Ok(_) => {
                let at = number.saturating_mul(file.job.entry.dsize());
                file.differs(format!(
                    "expected a block with score {score} at byte {at}, found another"
                ));
            }
        }
        false
    }

    fn leaf(&mut self, _leaf: Leaf<'_>) {}

    fn damage(&mut self, id: usize, _leaves: Range<u64>, damage: BadBlock) -> ControlFlow<()> {
        if let Some(file) = self.files.get_mut(id) {
            file.differs(damage.to_string());
        }
        ControlFlow::Break(())
    }

    fn end(&mut self, id: usize) {
        let Some(file) = self.files.get_mut(id) else {
            return;
        };
        file.made = None;
        let outcome = match file.wrong.take() {
            Some(text) => CopyOutcome::Differs(text),
            None => CopyOutcome::Compared,
        };
        let job = &file.job;
        let (above, size) = (&job.above, job.entry.size);
        self.unpack.say(above, Some(&job.info), size, outcome);
        self.unpack.release(above.id);
    }
}
