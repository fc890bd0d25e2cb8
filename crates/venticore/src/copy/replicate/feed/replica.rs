//! A replica gets the bytes of the log, each clump as it stands there.

use super::{Parcel, Tally};
use crate::copy::cursor::Cursor;
use crate::copy::replicate::CopyJob;
use crate::copy::replicate::batch::{Block, BlockVerdict};
use crate::net::client::ClientError;
use crate::replica::{Appended, ReplicaWriter};
use crate::source::Arena;
use crate::source::log::What;

/// Bytes of the source that are read at once.
const READ: u64 = 1 << 20;

pub(super) struct ReplicaFeed<'a> {
    writer: ReplicaWriter,
    job: &'a CopyJob,
    from: Cursor,
    /// The arena that is written.
    arena: Option<&'a Arena>,
    window: Window,
}

/// Bytes of the log that were read last.
#[derive(Default)]
struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl<'a> ReplicaFeed<'a> {
    pub(super) fn new(writer: ReplicaWriter, job: &'a CopyJob, from: Cursor) -> Self {
        ReplicaFeed {
            writer,
            job,
            from,
            arena: None,
            window: Window::default(),
        }
    }

    /// Puts there the ends of arenas that have been sealed since their logs were copied.
    pub(super) fn seal_earlier(&mut self) -> Result<(), ClientError> {
        let earlier = self.job.arenas.iter().take(self.from.arena).rev();
        let mut missing = Vec::new();
        for arena in earlier.take_while(|arena| arena.sealed) {
            if self.writer.has_end(arena)? {
                break;
            }
            missing.push(arena);
        }
        // The earliest first: where one has its end, those before it have theirs.
        for arena in missing.into_iter().rev() {
            self.writer.seal(self.job.source.as_ref(), arena)?;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), ClientError> {
        Ok(self.writer.flush()?)
    }

    /// Puts the end of the arena that was written there, if that is sealed.
    pub(super) fn seal(&mut self) -> Result<(), ClientError> {
        match self.arena {
            Some(arena) => Ok(self.writer.seal(self.job.source.as_ref(), arena)?),
            None => Ok(()),
        }
    }

    /// Adds what lies before the place that is reached with a batch.
    pub(super) fn deliver(&mut self, parcel: &Parcel) -> Result<Tally, ClientError> {
        let mut tally = Tally::default();
        let number = parcel.batch.arena;
        let reached = parcel.place.filter(|place| place.at.arena == number);
        let (Some(place), Some(arena)) = (reached, self.job.arenas.get(number)) else {
            return Ok(tally);
        };
        let mut at = match self.writer.at(arena) {
            Some(at) => at,
            None => self.enter(number, arena, parcel.at)?,
        };
        for block in &parcel.batch.blocks {
            let (start, end) = (block.item.offset, block.item.end());
            if start < at || end > place.at.offset {
                continue;
            }
            // What was late, and turned out to be damage.
            self.append_damaged(arena, at, start)?;
            match self.expected(parcel, block) {
                Some(stored) => {
                    let appended = self.append_whole(arena, start, end, stored)?;
                    count(&mut tally, block, appended);
                }
                None => self.append_damaged(arena, start, end)?,
            }
            at = end;
        }
        self.append_damaged(arena, at, place.at.offset)?;
        Ok(tally)
    }

    /// Goes on with another arena, from where the batch starts.
    fn enter(&mut self, number: usize, arena: &'a Arena, at: Cursor) -> Result<u64, ClientError> {
        self.sync()?;
        self.seal()?;
        let from = if at.arena == number { at.offset } else { 0 };
        self.writer.enter(self.job.source.as_ref(), arena, from)?;
        self.arena = Some(arena);
        self.window = Window::default();
        Ok(from)
    }

    /// What was verified of a clump, if it was found whole.
    fn expected<'p>(&self, parcel: &'p Parcel, block: &Block) -> Option<&'p [u8]> {
        match block.verdict {
            BlockVerdict::Good(_) => parcel.batch.stored(block),
            _ => None,
        }
    }

    /// A clump whose block hashes to its score. The bytes are read once more, with its
    /// header, and must still be those that were verified.
    fn append_whole(
        &mut self,
        arena: &Arena,
        start: u64,
        end: u64,
        stored: &[u8],
    ) -> Result<Appended, ClientError> {
        self.read(arena, start, end)?;
        let clump = self.window.get(start, end);
        if !clump.ends_with(stored) {
            let text = format!(
                "arena {}: the clump at {start:#x} changed while it was read",
                arena.name
            );
            return Err(std::io::Error::other(text).into());
        }
        Ok(self.writer.append(clump, true)?)
    }

    /// A stretch that is damaged in the source, as it is there; zeros where that cannot be
    /// read.
    fn append_damaged(&mut self, arena: &Arena, start: u64, end: u64) -> Result<(), ClientError> {
        let mut at = start;
        while at < end {
            let to = end.min(at + READ);
            if self.read(arena, at, to).is_err() {
                self.window = Window {
                    at,
                    bytes: vec![0; usize::try_from(to - at).unwrap_or(0)],
                };
            }
            self.writer.append(self.window.get(at, to), false)?;
            at = to;
        }
        Ok(())
    }

    /// Has these bytes of the log in the window: at most [`READ`], or a clump.
    fn read(&mut self, arena: &Arena, start: u64, end: u64) -> std::io::Result<()> {
        if self.window.has(start, end) {
            return Ok(());
        }
        let ahead = end.max(start + READ).min(arena.size);
        let base = arena.base();
        self.window
            .fill(self.job, base, start, ahead)
            .or_else(|_| self.window.fill(self.job, base, start, end))
    }
}

impl Window {
    fn has(&self, start: u64, end: u64) -> bool {
        self.at <= start && end <= self.at + self.bytes.len() as u64
    }

    fn fill(&mut self, job: &CopyJob, base: u64, start: u64, end: u64) -> std::io::Result<()> {
        self.at = start;
        self.bytes
            .resize(usize::try_from(end - start).unwrap_or(0), 0);
        let read = job.source.read_at(&mut self.bytes, base + start);
        read.inspect_err(|_| self.bytes.clear())
    }

    fn get(&self, start: u64, end: u64) -> &[u8] {
        let within = |at: u64| usize::try_from(at.saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.bytes
            .get(within(start)..within(end))
            .unwrap_or_default()
    }
}

fn count(tally: &mut Tally, block: &Block, appended: Appended) {
    let What::Clump { header, .. } = &block.item.what else {
        return;
    };
    match appended {
        Appended::New => {
            tally.sent += 1;
            tally.bytes += u64::from(header.uncompressed);
            tally.log_bytes += block.item.len;
        }
        Appended::Present | Appended::Other => tally.present += 1,
    }
}
