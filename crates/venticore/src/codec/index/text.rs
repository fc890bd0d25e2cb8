//! The text of an index page, line by line (venti.md 9.1).
//!
//! Older servers differ in what they say of an arena, not in where it lies:
//! before October 2007 the two sets of counters are called `mem` and `disk`;
//! before the two sets there was one, without a name.

use std::ops::Range;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take, take_while1};
use nom::character::complete::{char, i64, u32, u64};
use nom::combinator::{all_consuming, map, map_opt, map_res, opt, verify};
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};

use super::quoted;
use super::{ArenaRow, MAX_ARENAS, MAX_PARTITIONS, Page, PageCounters, PageError};
use crate::codec::arena::{Name, block_size_is_possible};
use crate::codec::score::Score;

/// How a page begins.
const START: &[u8] = b"index=";

/// Lines of the head of the page besides the first: one on the buckets, and at
/// least one section.
const HEAD_LINES: usize = 2;

/// Reads a page.
pub(super) fn page(text: &[u8]) -> Result<Page, PageError> {
    recognise(text)?;
    let mut lines = Lines::of(text);
    let (name, version, block_size) = lines.read("name, version and block size", head)?;
    let mut page = Page {
        name,
        version,
        block_size,
        arenas: Vec::new(),
    };
    skip_sections(&mut lines)?;
    let mut floor = 0;
    while !lines.rest.is_empty() {
        if page.arenas.len() == MAX_ARENAS {
            return Err(PageError::TooMany(MAX_ARENAS, "arenas"));
        }
        let arena = arena(&mut lines, floor)?;
        floor = arena.index.end;
        page.arenas.push(arena);
    }
    match page.partitions().len() > MAX_PARTITIONS {
        true => Err(PageError::TooMany(MAX_PARTITIONS, "partitions")),
        false => Ok(page),
    }
}

/// Tells other pages from an index page, also from one cut in its first word.
fn recognise(text: &[u8]) -> Result<(), PageError> {
    let start = text.get(..START.len()).unwrap_or(text);
    if text.is_empty() {
        Err(PageError::Empty)
    } else if START.starts_with(start) {
        Ok(())
    } else if is_html(text) {
        Err(PageError::Html)
    } else {
        Err(PageError::NotIndex(quoted(text)))
    }
}

fn is_html(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let begins = |word: &[u8]| {
        text.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    [&b"<!"[..], b"<html", b"<head", b"<body", b"<title", b"<h1"]
        .iter()
        .any(|word| begins(word))
}

/// Whatever is indented below the first line.
fn skip_sections(lines: &mut Lines<'_>) -> Result<(), PageError> {
    let mut skipped = 0;
    while lines.rest.starts_with(b"\t") {
        lines.next()?;
        skipped += 1;
    }
    if lines.rest.is_empty() && skipped < HEAD_LINES {
        lines.next()?;
    }
    Ok(())
}

/// Reads one arena whose addresses begin at `floor` or later.
fn arena(lines: &mut Lines<'_>, floor: u64) -> Result<ArenaRow, PageError> {
    let (name, index) = lines.read("arena=NAME at index [A,B)", named)?;
    if index.start < floor || index.end <= index.start {
        return Err(lines.wrong(
            format!("addresses from {floor} on, not empty"),
            &shown(&index),
        ));
    }
    let (partition, listed) = lines.read(
        "the same name as in the line before, on PARTITION at [P,Q)",
        |line| placed(name, line),
    )?;
    let block_size = block_size(&index, &listed).ok_or_else(|| {
        let size = index.end - index.start;
        lines.wrong(
            format!("{size} bytes and two blocks of a power of two from 512 to 65536"),
            &shown(&listed),
        )
    })?;
    let state = lines.read("version, created, modified and state", state)?;
    let score = if lines.rest.starts_with(b"\tscore") {
        Some(lines.read("a score of 40 hexadecimal digits", score)?)
    } else {
        None
    };
    let size = index.end - index.start;
    let (written, indexed) = lines.both_counters(size)?;
    Ok(ArenaRow {
        name: Name::from_field(name),
        partition,
        head: listed.start - u64::from(block_size),
        block_size,
        total: listed.end - listed.start,
        index,
        listed,
        version: state.version,
        created: state.created,
        modified: state.modified,
        mem_sealed: state.mem_sealed,
        disk_sealed: state.disk_sealed,
        in_queue: state.in_queue,
        score,
        written,
        indexed,
    })
}

/// The block size that follows from the two ranges of an arena: what the page
/// calls its place is its data section and two blocks.
fn block_size(index: &Range<u64>, listed: &Range<u64>) -> Option<u32> {
    let size = index.end.checked_sub(index.start)?;
    let both = listed.end.checked_sub(listed.start)?.checked_sub(size)?;
    let one = u32::try_from(both / 2).ok()?;
    let possible = both % 2 == 0
        && block_size_is_possible(one)
        && size >= one.into()
        && listed.start >= one.into();
    possible.then_some(one)
}

fn shown(range: &Range<u64>) -> String {
    format!("[{},{})", range.start, range.end)
}

/// The lines of a page, and the number of the last one taken.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        Lines {
            rest: text,
            number: 0,
        }
    }

    /// The next line, which ends in a newline or is cut.
    fn next(&mut self) -> Result<&'a [u8], PageError> {
        self.number += 1;
        let end = self.rest.iter().position(|&b| b == b'\n');
        let cut = PageError::Cut { line: self.number };
        let (line, rest) = end
            .and_then(|end| self.rest.split_at_checked(end))
            .ok_or(cut)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(line)
    }

    /// The next line, all of which `parser` understands.
    fn read<T>(
        &mut self,
        expected: &str,
        parser: impl Fn(&'a [u8]) -> IResult<&'a [u8], T>,
    ) -> Result<T, PageError> {
        let line = self.next()?;
        all_consuming(parser)
            .parse(line)
            .map(|(_, value)| value)
            .map_err(|_| self.not_understood(expected, line))
    }

    /// The counters of an arena of `size` bytes, written and indexed: two
    /// lines, or the one of an old server for both.
    fn both_counters(&mut self, size: u64) -> Result<(PageCounters, PageCounters), PageError> {
        if self.rest.starts_with(b"\tclumps=") {
            let both = self.counters("five counters", size, old_counters)?;
            return Ok((both, both));
        }
        let expected = "\"written:\" and five counters";
        let written = self.counters(expected, size, |line| counters(["written", "mem"], line))?;
        let expected = "\"indexed:\" and five counters";
        let indexed = self.counters(expected, size, |line| counters(["indexed", "disk"], line))?;
        Ok((written, indexed))
    }

    /// The next line as counters, in an arena of `size` bytes.
    fn counters(
        &mut self,
        expected: &str,
        size: u64,
        parser: impl Fn(&'a [u8]) -> IResult<&'a [u8], PageCounters>,
    ) -> Result<PageCounters, PageError> {
        let counters = self.read(expected, parser)?;
        if counters.used() > size {
            let used = format!("{} bytes", counters.used());
            return Err(self.wrong(format!("a log of at most {size} bytes"), &used));
        }
        Ok(counters)
    }

    fn not_understood(&self, expected: &str, found: &[u8]) -> PageError {
        self.wrong(expected.to_owned(), &quoted(found))
    }

    /// What is wrong with the last line taken.
    fn wrong(&self, expected: String, found: &str) -> PageError {
        PageError::Line {
            line: self.number,
            expected,
            found: found.to_owned(),
        }
    }
}

/// `index=NAME version=N blocksize=N tabsize=N`
fn head(line: &[u8]) -> IResult<&[u8], (String, u32, u32)> {
    let name = map_res(before_last(" version="), text);
    let number = |name| preceded(tag(name), u32);
    let fields = (
        preceded(tag(START), name),
        number(" version="),
        number(" blocksize="),
        number(" tabsize="),
    );
    map(fields, |(name, version, block_size, _)| {
        (name, version, block_size)
    })
    .parse(line)
}

/// `arena=NAME at index [A,B)`
fn named(line: &[u8]) -> IResult<&[u8], (&[u8], Range<u64>)> {
    let name = preceded(tag("arena="), before_last(" at index ["));
    (name, preceded(tag(" at index "), range)).parse(line)
}

/// `TAB arena='NAME' on PART at [P,Q)`: nothing is escaped, but the name is
/// known from the line before, and the numbers end the line.
fn placed<'a>(name: &[u8], line: &'a [u8]) -> IResult<&'a [u8], (String, Range<u64>)> {
    let (line, _) = (tag("\tarena='"), tag(name), tag("' on ")).parse(line)?;
    let partition = map_res(before_last(" at ["), text);
    let partition = verify(partition, |partition: &String| !partition.is_empty());
    (partition, preceded(tag(" at "), range)).parse(line)
}

/// What an arena's third line says.
struct RowState {
    version: u32,
    created: u32,
    modified: u32,
    mem_sealed: bool,
    disk_sealed: bool,
    in_queue: bool,
}

/// `TAB version=N created=N modified=N[ mem=sealed][ disk=sealed][ inqueue]`,
/// of an old server `[ sealed]`.
fn state(line: &[u8]) -> IResult<&[u8], RowState> {
    let word = |word| map(opt(tag(word)), |found| found.is_some());
    let fields = (
        preceded(tag("\tversion="), u32),
        preceded(tag(" created="), time),
        preceded(tag(" modified="), time),
        map((word(" mem=sealed"), word(" sealed")), |(new, old)| {
            new || old
        }),
        word(" disk=sealed"),
        word(" inqueue"),
    );
    map(
        fields,
        |(version, created, modified, mem_sealed, disk_sealed, in_queue)| RowState {
            version,
            created,
            modified,
            mem_sealed,
            disk_sealed,
            in_queue,
        },
    )
    .parse(line)
}

/// `TAB score=HEX`
fn score(line: &[u8]) -> IResult<&[u8], Score> {
    let digits = map_res(is_not(":"), std::str::from_utf8);
    preceded(tag("\tscore="), map_res(digits, str::parse)).parse(line)
}

/// `TAB SET: clumps=N compressed clumps=N data=C compressed data=C storage=C`,
/// where the set has one of two names.
fn counters<'a>(set: [&'static str; 2], line: &'a [u8]) -> IResult<&'a [u8], PageCounters> {
    let (line, _) = (char('\t'), alt(set.map(tag)), tag(": ")).parse(line)?;
    numbers(line, " storage=", grouped)
}

/// `TAB clumps=N compressed clumps=N data=N compressed data=N disk storage=N`,
/// from when the numbers had no commas, or `storage=C`.
fn old_counters(line: &[u8]) -> IResult<&[u8], PageCounters> {
    let (line, _) = char('\t').parse(line)?;
    numbers(line, " disk storage=", u64).or_else(|_| numbers(line, " storage=", grouped))
}

/// The five counters, the last one by its name here, the sizes read by `size`.
fn numbers<'a>(
    line: &'a [u8],
    storage: &'static str,
    size: fn(&'a [u8]) -> IResult<&'a [u8], u64>,
) -> IResult<&'a [u8], PageCounters> {
    let fields = (
        preceded(tag("clumps="), u32),
        preceded(tag(" compressed clumps="), u32),
        preceded(tag(" data="), size),
        preceded(tag(" compressed data="), size),
        preceded(tag(storage), size),
    );
    map(
        fields,
        |(clumps, compressed_clumps, data, compressed_data, storage)| PageCounters {
            clumps,
            compressed_clumps,
            data,
            compressed_data,
            storage,
        },
    )
    .parse(line)
}

/// `[N,N)`
fn range(input: &[u8]) -> IResult<&[u8], Range<u64>> {
    let ends = separated_pair(u64, char(','), u64);
    map(delimited(char('['), ends, char(')')), |(from, to)| from..to).parse(input)
}

/// Unix seconds. The server prints them as a signed number, so those after
/// January 2038 are negative.
fn time(input: &[u8]) -> IResult<&[u8], u32> {
    map_opt(i64, |seconds| {
        let late = |_| i32::try_from(seconds).map(i32::cast_unsigned);
        u32::try_from(seconds).or_else(late).ok()
    })
    .parse(input)
}

/// A number with a comma every three digits.
fn grouped(input: &[u8]) -> IResult<&[u8], u64> {
    let digits = take_while1(|b: u8| b.is_ascii_digit() || b == b',');
    map_opt(digits, number_of_groups).parse(input)
}

fn number_of_groups(digits: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (at, group) in digits.split(|&b| b == b',').enumerate() {
        let most = if at == 0 { 1..=3 } else { 3..=3 };
        if !most.contains(&group.len()) {
            return None;
        }
        for digit in group {
            number = number
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))?;
        }
    }
    Some(number)
}

/// Everything before the last `end`, which must be there.
fn before_last<'a>(end: &'static str) -> impl Fn(&'a [u8]) -> IResult<&'a [u8], &'a [u8]> {
    move |input| {
        let place = input
            .windows(end.len())
            .rposition(|at| at == end.as_bytes());
        take(place.unwrap_or(usize::MAX)).parse(input)
    }
}

fn text(bytes: &[u8]) -> Result<String, std::str::Utf8Error> {
    std::str::from_utf8(bytes).map(str::to_owned)
}
