//! The bytes of one stream (venti.md 8.3): a file, a directory's entries.

use std::io::{self, Write};
use std::ops::{ControlFlow, Range};

use super::TreeError;
use crate::codec::score::Score;
use crate::codec::tree::{Entry, block_type, scores};
use crate::net::client::Client;

/// Leaves that are held at a time.
const AHEAD: u64 = 128;

/// Reads at most `count` bytes of a stream, from `offset` on: fewer where it
/// ends before.
///
/// # Errors
/// [`TreeError`].
pub fn read(
    client: &mut Client,
    entry: &Entry,
    offset: u64,
    count: usize,
) -> Result<Vec<u8>, TreeError> {
    let mut bytes = Vec::new();
    let end = offset.saturating_add(count as u64);
    pour(client, entry, offset..end, &mut bytes)?;
    Ok(bytes)
}

/// Writes a whole stream, holes as zeros, and says how many bytes it has. Memory
/// does not depend on that.
///
/// # Errors
/// [`TreeError`]; part of it may have been written.
pub fn copy(client: &mut Client, entry: &Entry, to: &mut dyn Write) -> Result<u64, TreeError> {
    pour(client, entry, 0..entry.size, to)
}

fn pour(
    client: &mut Client,
    entry: &Entry,
    range: Range<u64>,
    to: &mut dyn Write,
) -> Result<u64, TreeError> {
    let end = range.end.min(entry.size);
    let empty = entry.dsize() == 0 && entry.score.is_nil();
    if range.start >= end || !entry.active || empty {
        return Ok(0);
    }
    entry.check()?;
    let dsize = entry.dsize();
    let leaves = range.start / dsize..end.div_ceil(dsize);
    let mut first = leaves.start;
    while first < leaves.end {
        let last = leaves.end.min(first + AHEAD);
        for (number, data) in (first..).zip(read_leaves(client, entry, first..last)?) {
            let start = number * dsize;
            let from = range.start.saturating_sub(start);
            let until = dsize.min(end - start);
            write_leaf(&data, from..until, to).map_err(TreeError::Write)?;
        }
        first = last;
    }
    Ok(end - range.start)
}

/// Writes a part of a leaf, with the zeros that were cut off.
fn write_leaf(data: &[u8], part: Range<u64>, to: &mut dyn Write) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let len = data.len() as u64;
    let index = |n: u64| usize::try_from(n.min(len)).unwrap_or(data.len());
    to.write_all(
        data.get(index(part.start)..index(part.end))
            .unwrap_or_default(),
    )?;
    let mut zeros = part.end.saturating_sub(part.start.max(len));
    while zeros > 0 {
        let count = usize::try_from(zeros).map_or(ZEROS.len(), |n| n.min(ZEROS.len()));
        to.write_all(ZEROS.get(..count).unwrap_or_default())?;
        zeros = zeros.saturating_sub(count as u64);
    }
    Ok(())
}

/// These leaves, level by level from the top.
fn read_leaves(
    client: &mut Client,
    entry: &Entry,
    leaves: Range<u64>,
) -> Result<Vec<Vec<u8>>, TreeError> {
    // The blocks of the level that are needed: the number of the first, their scores.
    let (mut first, mut level) = (0, vec![entry.score]);
    for depth in (1..=entry.depth).rev() {
        let blocks = read_level(client, entry, depth, &level)?;
        let span = entry.span(depth - 1);
        let below = leaves.start / span..leaves.end.div_ceil(span);
        let score = |number: u64| {
            let block = usize::try_from(number / entry.pointers() - first).ok()?;
            let at = usize::try_from(number % entry.pointers()).ok()?;
            scores(blocks.get(block)?).nth(at)
        };
        level = below
            .clone()
            .map(|n| score(n).unwrap_or(Score::ZERO))
            .collect();
        first = below.start;
    }
    read_level(client, entry, 0, &level)
}

/// The blocks of one level that have these scores.
fn read_level(
    client: &mut Client,
    entry: &Entry,
    level: u8,
    wanted: &[Score],
) -> Result<Vec<Vec<u8>>, TreeError> {
    let ty = block_type(entry.directory, level);
    let most = match level {
        0 => entry.dsize(),
        _ => entry.psize(),
    };
    let mut blocks = vec![Vec::new(); wanted.len()];
    let mut failed = None;
    client.read_many(wanted.iter().map(|&score| (score, ty)), |number, block| {
        let error = match (block, blocks.get_mut(number), wanted.get(number)) {
            (Ok(data), Some(_), Some(&score)) if data.len() as u64 > most => {
                let found = data.len();
                TreeError::Long { score, most, found }
            }
            (Ok(data), Some(block), _) => {
                *block = data.to_vec();
                return ControlFlow::Continue(());
            }
            (Ok(_), ..) => return ControlFlow::Continue(()),
            (Err(error), ..) => error.into(),
        };
        failed = Some(error);
        ControlFlow::Break(())
    })?;
    failed.map_or(Ok(blocks), Err)
}
