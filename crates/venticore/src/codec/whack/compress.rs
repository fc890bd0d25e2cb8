//! The encoder of whack, made for speed: two tables remember one place each for what
//! begins there, literals are written when the match after them is known, and steps grow
//! where nothing repeats.

use std::ops::Range;

/// The largest block there is in venti, in bytes.
const MAX_BLOCK: usize = 57344;

/// The shortest match there is a code for.
const SHORTEST: usize = 3;

/// The longest match that encoders write.
const LONGEST: usize = 2051;

/// How far back a match may lie.
const WINDOW: usize = 16384;

/// After a match this long the next byte is not tried for a longer one.
const LONG_ENOUGH: usize = 6;

/// After this many places without a match, a match of three bytes is chance.
const CHANCE: usize = 32;

/// The step grows by one byte after this many places without a match.
const SLOW: usize = 64;

/// The largest growth of the step, in bytes.
const MAX_GROWTH: usize = 15;

const HASH_BITS: u32 = 13;

/// Compresses blocks, one after the other. It owns its tables: a call allocates nothing.
#[derive(Debug)]
pub struct Compressor {
    /// Where six bytes of this hash began last.
    six: Box<[u16; 1 << HASH_BITS]>,
    /// Where three bytes of this hash began last.
    three: Box<[u16; 1 << HASH_BITS]>,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor::new()
    }
}

impl Compressor {
    /// One whose tables, 32 KiB, are allocated.
    #[must_use]
    pub fn new() -> Self {
        Compressor {
            six: Box::new([0; 1 << HASH_BITS]),
            three: Box::new([0; 1 << HASH_BITS]),
        }
    }

    /// Compresses a block of at most 57344 bytes into the start of `out` and returns
    /// the bytes written there. Without a result the block is stored as it is: it is larger
    /// than that, or what came out is not shorter than the block, or not within `out`.
    ///
    /// What `out` holds beyond the result, or without one, is not specified.
    pub fn compress(&mut self, block: &[u8], out: &mut [u8]) -> Option<usize> {
        let size = block.len();
        let room = size.checked_sub(1)?.min(out.len());
        if size > MAX_BLOCK {
            return None;
        }
        self.six.fill(0);
        self.three.fill(0);
        let mut stream = Stream::new(&mut out[..room]);
        // All before `written` is in the stream. The first byte repeats nothing.
        let (mut at, mut written, mut misses) = (1, 0, 0);
        while at + SHORTEST <= size {
            let least = SHORTEST + usize::from(misses > CHANCE);
            let found = self.find(block, at).filter(|found| found.len >= least);
            let Some(mut found) = found else {
                misses += 1;
                at += 1 + (misses / SLOW).min(MAX_GROWTH);
                continue;
            };
            misses = 0;
            if found.len < LONG_ENOUGH {
                found = self.better(block, found);
            }
            let end = found.at + found.len;
            found.extend_back(block, written);
            stream.literals(block, written..found.at);
            stream.copy(found);
            // Like plan9port's: without any gain in half of the block, none is expected.
            if stream.is_full || end > size / 2 && stream.at >= end {
                return None;
            }
            for place in [at + 1, end - 2, end - 1] {
                self.note(block, place);
            }
            (at, written) = (end, end);
        }
        // A literal takes eight bits or more.
        if stream.at + (size - written) >= size {
            return None;
        }
        stream.literals(block, written..size);
        stream.finish()
    }

    /// The match at a place, if there is one. Notes the place.
    #[inline(always)]
    fn find(&mut self, block: &[u8], at: usize) -> Option<Repeat> {
        let ahead = load(block, at);
        let six = replace(&mut self.six[hash(ahead, 6)], at);
        let three = replace(&mut self.three[hash(ahead, 3)], at);
        // Four bytes that are found by the hash of six are as good.
        Repeat::of(block, six, at, ahead, 4).or_else(|| Repeat::of(block, three, at, ahead, 3))
    }

    /// The match at the next byte, if it is longer; otherwise the one that was found.
    #[inline(always)]
    fn better(&mut self, block: &[u8], found: Repeat) -> Repeat {
        let at = found.at + 1;
        let ahead = load(block, at);
        let from = usize::from(self.six[hash(ahead, 6)]);
        match Repeat::of(block, from, at, ahead, 4) {
            Some(next) if next.len > found.len => next,
            _ => found,
        }
    }

    /// Notes what begins at a place.
    #[inline(always)]
    fn note(&mut self, block: &[u8], at: usize) {
        let ahead = load(block, at);
        replace(&mut self.six[hash(ahead, 6)], at);
        replace(&mut self.three[hash(ahead, 3)], at);
    }
}

/// The slot of the first bytes of a word.
#[inline(always)]
fn hash(word: u64, bytes: u32) -> usize {
    const GOLDEN: u64 = 0x9e37_79b1_85eb_ca87;
    ((word << (64 - 8 * bytes)).wrapping_mul(GOLDEN) >> (64 - HASH_BITS)) as usize
}

/// Puts a place into a slot; the one that was there.
#[expect(
    clippy::cast_possible_truncation,
    reason = "blocks are smaller than 64 KiB"
)]
#[inline(always)]
fn replace(slot: &mut u16, at: usize) -> usize {
    std::mem::replace(slot, at as u16).into()
}

/// Eight bytes, the first one lowest, with zeros after the end.
#[inline(always)]
fn load(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at + 8).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => load_last(bytes, at),
    }
}

#[cold]
#[inline(never)]
fn load_last(bytes: &[u8], at: usize) -> u64 {
    let last = bytes.get(at..).unwrap_or_default().iter().rev();
    last.fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Bytes that were there before.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    at: usize,
    len: usize,
    distance: usize,
}

impl Repeat {
    /// What is the same from an earlier place on as from `at` on, where `ahead` is read;
    /// nothing if that is less than `least` bytes, at most eight, or too far back.
    #[inline(always)]
    fn of(block: &[u8], from: usize, at: usize, ahead: u64, least: u32) -> Option<Self> {
        let differ = load(block, from) ^ ahead;
        let distance = at - from;
        if differ << (64 - 8 * least) != 0 || distance > WINDOW {
            return None;
        }
        let len = match differ {
            0 => common(&block[from..], &block[at..]),
            _ => differ.trailing_zeros() as usize / 8,
        };
        // After the end of the block zeros are read.
        let len = len.min(block.len() - at);
        Some(Repeat { at, len, distance })
    }

    /// Takes along the bytes before, down to a place, that are the same too.
    #[inline(always)]
    fn extend_back(&mut self, block: &[u8], least: usize) {
        while self.at > least
            && self.at > self.distance
            && block[self.at - 1] == block[self.at - 1 - self.distance]
        {
            self.at -= 1;
            self.len += 1;
        }
    }
}

/// How many bytes are the same. The second slice is the shorter one.
#[inline(always)]
fn common(earlier: &[u8], later: &[u8]) -> usize {
    let limit = later.len();
    let (earlier, later) = (&earlier[..limit], &later[..limit]);
    let mut len = 0;
    while len < limit {
        let differ = load(earlier, len) ^ load(later, len);
        if differ != 0 {
            return (len + differ.trailing_zeros() as usize / 8).min(limit);
        }
        len += 8;
    }
    limit
}

/// The output as bits, the most significant of each byte first.
struct Stream<'a> {
    out: &'a mut [u8],
    /// Whole bytes written.
    at: usize,
    /// Bits that are not written yet, the first one highest, and zeros.
    window: u64,
    /// Bits of the window that count: fewer than eight between calls.
    held: u32,
    /// Classes of the literals before, the last one lowest: 0 is plain.
    hist: u32,
    /// There were more bytes than room.
    is_full: bool,
}

/// Literals that fit into the window, whatever they are: 11 bits each.
const AT_ONCE: usize = 5;

impl<'a> Stream<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Stream {
            out,
            at: 0,
            window: 0,
            held: 0,
            hist: u32::MAX,
            is_full: false,
        }
    }

    /// Adds a code. At most 57 bits may be added between two calls of `flush`.
    #[inline(always)]
    fn put(&mut self, code: u32, width: u32) {
        self.window |= u64::from(code) << (64 - width - self.held);
        self.held += width;
    }

    /// Writes the whole bytes.
    #[inline(always)]
    fn flush(&mut self) {
        let whole = self.held / 8;
        let bytes = self.window.to_be_bytes();
        match self.out.get_mut(self.at..self.at + bytes.len()) {
            Some(out) => out.copy_from_slice(&bytes),
            None => self.flush_last(&bytes[..whole as usize]),
        }
        self.at += whole as usize;
        self.window <<= 8 * whole;
        self.held %= 8;
    }

    #[cold]
    #[inline(never)]
    fn flush_last(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.at..self.at + bytes.len()) {
            Some(out) => out.copy_from_slice(bytes),
            None => self.is_full = true,
        }
    }

    /// Adds literals, which stand in this range of the block.
    #[inline(always)]
    fn literals(&mut self, block: &[u8], range: Range<usize>) {
        let Range { mut start, end } = range;
        while start < end {
            if self.hist & super::RECENT == 0 {
                // Plain literals are their own codes.
                let ahead = load(block, start).swap_bytes();
                let left = u32::try_from(end - start).unwrap_or(u32::MAX);
                let run = plain_run(ahead).min(left);
                if run > 0 {
                    self.window |= (ahead & !(u64::MAX >> (8 * run))) >> self.held;
                    self.held += 8 * run;
                    self.flush();
                    start += run as usize;
                    continue;
                }
            }
            let some = &block[start..end.min(start + AT_ONCE)];
            some.iter().for_each(|&byte| self.literal(byte));
            self.flush();
            start += some.len();
        }
    }

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        let class = super::class(byte);
        let moved = byte.wrapping_add(64);
        let (code, width) = if self.hist & super::RECENT != 0 {
            (byte, 9)
        } else if class == 0 {
            (byte, 8)
        } else {
            (moved, if moved < 96 { 10 } else { 11 })
        };
        self.put(code.into(), width);
        self.hist = self.hist << 1 | class;
    }

    /// One match, or several when it is longer than the longest code.
    #[inline(always)]
    fn copy(&mut self, found: Repeat) {
        let mut left = found.len;
        while left > LONGEST {
            // What is left must have a code, too.
            let part = LONGEST.min(left - SHORTEST);
            self.copy_once(part, found.distance);
            left -= part;
        }
        self.copy_once(left, found.distance);
    }

    #[inline(always)]
    fn copy_once(&mut self, len: usize, distance: usize) {
        let length = LENGTHS[len];
        self.put(length.code, length.width);
        #[expect(clippy::cast_possible_truncation, reason = "the window is small")]
        let back = (distance - 1) as u32;
        let offset = OFFSETS[(u32::BITS - back.leading_zeros()) as usize];
        self.put(offset.code + back, offset.width);
        self.flush();
    }

    /// Pads to a byte; the bytes written, if there was room.
    fn finish(mut self) -> Option<usize> {
        self.held = self.held.next_multiple_of(8);
        self.flush();
        (!self.is_full).then_some(self.at)
    }
}

/// How many of the first seven bytes of the window are plain literals, each in
/// eight bits: from 32 up, below 128.
#[inline(always)]
fn plain_run(window: u64) -> u32 {
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const TO_HIGH: u64 = u64::from_ne_bytes([0x80 - 32; 8]);
    let from_32 = (window & !HIGH) + TO_HIGH;
    // The eighth byte may hold bits that do not count yet: stop there.
    let stop = (window | !from_32) & HIGH | 0x80;
    stop.leading_zeros() / 8
}

/// Bits to write.
#[derive(Clone, Copy)]
struct Code {
    code: u32,
    width: u32,
}

/// The codes of the lengths, from [`SHORTEST`] on.
static LENGTHS: [Code; LONGEST + 1] = lengths();

/// They count up inside a class. The first of a class is twice the one after the last of
/// the class before, and every second class is twice as large.
const fn lengths() -> [Code; LONGEST + 1] {
    let mut codes = [Code { code: 0, width: 0 }; LONGEST + 1];
    codes[3] = Code {
        code: 0b10,
        width: 2,
    };
    codes[4] = Code {
        code: 0b110,
        width: 3,
    };
    codes[5] = Code {
        code: 0b11100,
        width: 5,
    };
    codes[6] = Code {
        code: 0b11101,
        width: 5,
    };
    let (mut len, mut code, mut width, mut size) = (7, 0b11_1100, 6, 1);
    while len <= LONGEST {
        let end = len + size;
        while len < end && len <= LONGEST {
            codes[len] = Code { code, width };
            code += 1;
            len += 1;
        }
        code *= 2;
        width += 1;
        if width % 2 == 1 {
            size *= 2;
        }
    }
    codes
}

/// The codes of the distances less one, by the number of their bits: what is added to the
/// distance to make its code.
static OFFSETS: [Code; 15] = offsets();

#[expect(clippy::cast_possible_truncation, reason = "there are sixteen bases")]
const fn offsets() -> [Code; 15] {
    let mut codes = [Code { code: 0, width: 9 }; 15];
    let mut number = 0;
    while number < super::DISTANCES.len() {
        let (base, extra) = super::DISTANCES[number];
        let code = ((number as u32) << extra) - base as u32;
        // Of two bases with the same number of bits the second goes on where the first ends.
        let bits = (u16::BITS - base.leading_zeros()) as usize;
        codes[bits] = Code {
            code,
            width: 4 + extra,
        };
        number += 1;
    }
    codes
}

#[cfg(test)]
mod tests;
