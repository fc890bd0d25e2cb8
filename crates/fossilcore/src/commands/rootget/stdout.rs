//! One file, written to standard output.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::{ControlFlow, Range};

use eyre::{Report, Result, WrapErr};

use venticore::codec::tree::Entry;
use venticore::net::tree::{
    BadBlock, Blocks, Leaf, Leaves, StreamPart, StreamReader, read_streams,
};
use venticore::status::{Failure, Status};

/// Leaves that are held.
const AHEAD: u64 = 256;

/// Bytes of zeros that are written at a time.
const ZEROS: [u8; 4096] = [0; 4096];

/// Copies a file to standard output. A reader that has enough of it ends the copy.
pub(super) fn copy(blocks: &mut dyn Blocks, entry: &Entry, path: &str) -> Result<Status> {
    let mut output = io::stdout().lock();
    let mut first = 0;
    loop {
        let end = entry.leaves().min(first + AHEAD);
        let leaves = match entry.leaves() {
            // Where there should be some, its sizes are invalid.
            0 => Leaves::All,
            _ => Leaves::These((first..end).collect()),
        };
        let mut some = SomeLeaves {
            part: Some(StreamPart {
                entry: *entry,
                id: 0,
                leaves,
            }),
            leaves: BTreeMap::new(),
            damage: None,
        };
        read_streams(blocks, &mut some).wrap_err("the copy is not complete")?;
        if let Some(damage) = some.damage {
            let bytes = first.saturating_mul(entry.dsize());
            let text = format!("{path}: damaged: {damage}: {bytes} bytes before that were written");
            return Err(Failure::report(Status::Unverified, text));
        }
        match write(&mut output, entry, first..end, &some.leaves) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Status::Done),
            Err(error) => return Err(Report::new(error).wrap_err("standard output")),
        }
        first = end;
        if first >= entry.leaves() {
            return Ok(Status::Done);
        }
    }
}

/// Writes these leaves, with the zeros that are not stored.
fn write(
    output: &mut dyn Write,
    entry: &Entry,
    numbers: Range<u64>,
    leaves: &BTreeMap<u64, Vec<u8>>,
) -> io::Result<()> {
    for number in numbers {
        let at = number.saturating_mul(entry.dsize());
        let len = entry.size.saturating_sub(at).min(entry.dsize());
        let mut left = usize::try_from(len).unwrap_or(usize::MAX);
        let data = leaves.get(&number).map_or(&[][..], Vec::as_slice);
        let data = data.get(..left).unwrap_or(data);
        output.write_all(data)?;
        left -= data.len();
        while left > 0 {
            let zeros = ZEROS.get(..left).unwrap_or(&ZEROS);
            output.write_all(zeros)?;
            left -= zeros.len();
        }
    }
    output.flush()
}

/// Some leaves of a file.
struct SomeLeaves {
    part: Option<StreamPart>,
    leaves: BTreeMap<u64, Vec<u8>>,
    damage: Option<BadBlock>,
}

impl StreamReader for SomeLeaves {
    fn next(&mut self) -> Option<StreamPart> {
        self.part.take()
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        self.leaves.insert(leaf.number, leaf.data.to_vec());
    }

    fn damage(&mut self, _id: usize, _leaves: Range<u64>, damage: BadBlock) -> ControlFlow<()> {
        self.damage = Some(damage);
        ControlFlow::Break(())
    }

    fn end(&mut self, _id: usize) {}
}
