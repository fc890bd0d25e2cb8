//! Writing an undo file.

use std::io::{self, Write};
use std::time::SystemTime;

use sha1::{Digest, Sha1};

use super::{END, FIRST, HEAD, RecordSide, Stored};
use crate::format::plan::Format;
use crate::format::standing::Standing;
use crate::format::{Piece, SECTOR, are_zeros, bytes_at, chunks, each_chunk, repeats};
use venticore::codec::score::Score;
use venticore::codec::utc::Utc;
use venticore::source::ReadAt;

/// What an undo file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct About {
    partition: String,
    time: SystemTime,
    old: Option<Score>,
    new: Score,
    /// Where the super block of the old fossil is, if there is one.
    mark: Option<u64>,
}

/// Writes what the format of a disk overwrites, and what it writes. `partition`
/// is what the disk is called, `new` the score it is formatted to.
///
/// # Errors
/// The disk could not be read, or the file not written.
pub fn save(
    to: &mut dyn Write,
    disk: &dyn ReadAt,
    format: &Format,
    partition: &str,
    new: Score,
) -> io::Result<()> {
    let standing = Standing::of(disk)?;
    let about = About {
        partition: partition.to_owned(),
        time: SystemTime::now(),
        old: standing.last(),
        new,
        mark: standing.superblock_at(),
    };
    save_about(to, disk, format, &about)
}

fn save_about(
    to: &mut dyn Write,
    disk: &dyn ReadAt,
    format: &Format,
    about: &About,
) -> io::Result<()> {
    let mut to = Recorder {
        to,
        hash: Sha1::new(),
        zeros: None,
    };
    let areas = format.areas();
    let mut text = format!("{FIRST}\npartition {}\n", about.partition);
    text += &format!("length {}\ntime {}\n", disk.size(), Utc(about.time));
    match about.old {
        Some(old) => text += &format!("old vac:{old}\n"),
        None => text += "old none\n",
    }
    text += &format!("new vac:{}\n", about.new);
    if let Some(mark) = about.mark {
        text += &format!("mark {mark}\n");
    }
    text += &format!("super {}\n", format.header.superblock_at());
    let mut ranges: Vec<_> = areas
        .iter()
        .map(|area| (area.name, area.start, area.len))
        .collect();
    // A super block that only loses its magic for a while.
    let outside = about
        .mark
        .filter(|&mark| !areas.iter().any(|area| area.contains(mark)));
    ranges.extend(outside.map(|mark| ("mark", mark / SECTOR * SECTOR, SECTOR)));
    for (name, start, len) in &ranges {
        text += &format!("area {name} {start} {len}\n");
    }
    text += "\n";
    to.put(text.as_bytes())?;
    for (name, start, len) in ranges {
        each_chunk(disk, start, len, |at, old| {
            to.record(RecordSide::Old, at, old)
        })?;
        let area = areas.iter().find(|area| area.name == name);
        for (at, len) in chunks(start, len) {
            match area.map(|area| area.piece(at, len)) {
                Some(Piece::Zeros(len)) => to.zeros(RecordSide::New, at, len as u64)?,
                Some(Piece::Bytes(new)) => to.record(RecordSide::New, at, &new)?,
                None => to.record(RecordSide::New, at, &bytes_at(disk, at, len)?)?,
            }
        }
    }
    to.finish()
}

struct Recorder<'w> {
    to: &'w mut dyn Write,
    hash: Sha1,
    /// A piece of zeros that may go on: side, start, length.
    zeros: Option<(RecordSide, u64, u64)>,
}

impl Recorder<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    /// Zeros, which may go on from the ones before.
    fn zeros(&mut self, side: RecordSide, at: u64, len: u64) -> io::Result<()> {
        self.zeros = match self.zeros {
            Some((of, start, before)) if of == side && start + before == at => {
                Some((of, start, before + len))
            }
            _ => {
                self.flush()?;
                Some((side, at, len))
            }
        };
        Ok(())
    }

    fn record(&mut self, side: RecordSide, at: u64, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        if are_zeros(bytes) {
            return self.zeros(side, at, len);
        }
        self.flush()?;
        let packed = repeats::pack(bytes);
        match packed.len() < bytes.len() {
            true => self.head(side, Stored::Packed, at, len, &packed),
            false => self.head(side, Stored::Plain, at, len, bytes),
        }
    }

    fn head(
        &mut self,
        side: RecordSide,
        how: Stored,
        at: u64,
        len: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let stored = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(HEAD + bytes.len());
        record.push((side as u8) << 4 | how as u8);
        record.extend(at.to_be_bytes());
        record.extend(len.to_be_bytes());
        record.extend(stored.to_be_bytes());
        record.extend(bytes);
        self.put(&record)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.zeros.take() {
            Some((side, at, len)) => self.head(side, Stored::Zeros, at, len, &[]),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.put(&[END])?;
        let hash = self.hash.finalize();
        self.to.write_all(&hash)
    }
}
