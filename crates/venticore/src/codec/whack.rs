//! Whack, encoding 2 of a clump: LZ77 inside one block (venti.md 6).
//!
//! Three loops decode the one format. `Decoder::plain` and `Decoder::wild` take turns
//! while input and room are plenty, each for one of the two ways in which literals are
//! coded: they look at 56 bits or more at once, take several literals and the match after
//! them in one round, copy in chunks, and may write beyond what is decoded.
//! `Decoder::walk` takes over near either end, symbol by symbol. [`Compressor`] encodes.

mod compress;

pub use compress::Compressor;

/// Decodes one block into `output`, whose length is the size the clump
/// promises, and returns the number of bytes decoded.
///
/// Fewer than `output.len()` bytes are not an error here: whack has no end
/// mark, and the promise is the caller's to check. What `output` holds beyond
/// the result, or after an error, is not specified.
///
/// # Errors
///
/// [`WhackError`], when the stream is damaged or is for a larger block.
pub fn decompress(input: &[u8], output: &mut [u8]) -> Result<usize, WhackError> {
    let mut decoder = Decoder {
        bits: Bits::new(input),
        output,
        at: 0,
        hist: u32::MAX,
    };
    decoder.run()?;
    decoder.walk()?;
    Ok(decoder.at)
}

/// Why a block cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhackError {
    /// A literal where all of the output, this many bytes, is decoded.
    #[error("expected {0} bytes, found a literal after them")]
    LiteralPastEnd(usize),
    /// A match that passes the end of the output.
    #[error("expected {size} bytes, found a match of {len} bytes at byte {at}")]
    MatchPastEnd {
        /// Bytes to copy.
        len: usize,
        /// Bytes decoded before.
        at: usize,
        /// Bytes in the output.
        size: usize,
    },
    /// A match that reaches back beyond the start of the output.
    #[error("expected a distance of at most {at} at byte {at}, found {distance}")]
    DistanceBeforeStart {
        /// How far back.
        distance: usize,
        /// Bytes decoded before.
        at: usize,
    },
    /// The number of bits the last symbol lacks.
    #[error("expected {0} more bits of input, found its end")]
    InputOverrun(u32),
    /// The number of ones that start a length code, when they alone make the
    /// match longer than any block.
    #[error("expected a length code of at most {MAX_ONES} ones, found {0}")]
    LengthCodeTooLong(u32),
}

/// Bytes copied at once.
const CHUNK: usize = 16;

/// What one round of the fast loops may read: two refills.
const AHEAD: usize = 2 * size_of::<u64>();

/// What one round of the fast loops may write without asking again: four literals and a
/// chunk.
const ROOM: usize = 4 + CHUNK;

/// The literals before that decide how the next is coded.
const RECENT: u32 = 0b1111;

struct Decoder<'a> {
    bits: Bits<'a>,
    output: &'a mut [u8],
    /// Bytes decoded.
    at: usize,
    /// Classes of the literals before, the last one lowest: 0 is plain.
    hist: u32,
}

impl Decoder<'_> {
    /// Decodes while any symbol's bits are surely there, and its bytes too.
    fn run(&mut self) -> Result<(), WhackError> {
        let input = self.bits.input.len().checked_sub(AHEAD);
        let output = self.output.len().checked_sub(ROOM);
        let (Some(input), Some(output)) = (input, output) else {
            return Ok(());
        };
        while self.bits.next <= input && self.at <= output {
            match self.hist & RECENT {
                0 => self.plain(input, output)?,
                _ => self.wild(input, output)?,
            }
        }
        Ok(())
    }

    /// Decodes while the literals are plain, up to the last places from which a round may
    /// read and write.
    ///
    /// The state is kept in locals, for a reference to it would keep it out of registers.
    #[inline(never)]
    fn plain(&mut self, last_input: usize, last_output: usize) -> Result<(), WhackError> {
        /// The first bits of four codes of eight bits.
        const FIRST: u64 = 0x8080_8080 << 32;
        const TO_FIRST: u64 = (0x8080_8080 - 0x2020_2020) << 32;
        let (mut bits, mut at) = (self.bits, self.at);
        let output = &mut *self.output;
        while bits.next <= last_input && at <= last_output {
            bits.refill();
            // Plain literals, from 32 up and below 128, are their own codes: write four
            // bytes and keep those before the match. Counting beats a branch for each.
            let matches = bits.window & FIRST;
            let stop = matches | 1 << 31;
            let from_32 = (bits.window & !FIRST) + TO_FIRST;
            let others = !from_32 & !matches & FIRST;
            store(output, at, bits.window.to_be_bytes());
            if others > stop {
                let run = others.leading_zeros() / 8;
                bits.skip(8 * run);
                let (byte, width) = literal(bits.window, 0);
                at += run as usize;
                store(output, at, [byte]);
                at += 1;
                bits.skip(width);
                self.hist = class(byte);
                break;
            }
            let width = stop.leading_zeros();
            at += (width / 8) as usize;
            bits.skip(width);
            if !bits.literal_next() {
                at += copy_next(&mut bits, output, at)?;
            }
        }
        (self.bits, self.at) = (bits, at);
        Ok(())
    }

    /// The same while one of the last four literals was not plain.
    #[inline(never)]
    fn wild(&mut self, last_input: usize, last_output: usize) -> Result<(), WhackError> {
        /// The first bits of three codes of nine bits.
        const FIRST: u64 = 1 << 63 | 1 << 54 | 1 << 45;
        let (mut bits, mut at, mut hist) = (self.bits, self.at, self.hist);
        let output = &mut *self.output;
        while hist & RECENT != 0 && bits.next <= last_input && at <= last_output {
            bits.refill();
            let codes = bits.window;
            let byte = |first: u32| (codes << first).to_be_bytes()[0];
            let [a, b, c] = [byte(1), byte(10), byte(19)];
            store(output, at, [a, b, c]);
            let width = (codes & FIRST | STOPS[(hist & RECENT) as usize]).leading_zeros();
            // A ninth.
            let run = (width * 57) >> 9;
            let classes = class(a) << 2 | class(b) << 1 | class(c);
            hist = hist << run | classes >> (3 - run);
            at += run as usize;
            bits.skip(width);
            if !bits.literal_next() {
                at += copy_next(&mut bits, output, at)?;
            }
        }
        (self.bits, self.at, self.hist) = (bits, at, hist);
        Ok(())
    }

    /// Decodes all that is left.
    fn walk(&mut self) -> Result<(), WhackError> {
        let size = self.output.len();
        while self.bits.symbol_left() {
            self.bits.refill_padded();
            if self.bits.literal_next() {
                let (byte, width) = literal(self.bits.window, self.hist);
                *self
                    .output
                    .get_mut(self.at)
                    .ok_or(WhackError::LiteralPastEnd(size))? = byte;
                self.at += 1;
                self.hist = self.hist << 1 | class(byte);
                self.bits.skip(width);
            } else {
                let found = Match::any(self.bits.window)?;
                found.check(self.at, size)?;
                copy(self.output, self.at, found);
                self.at += found.len;
                self.bits.skip(found.width);
            }
        }
        self.bits.end()
    }
}

/// Where a run of literals in nine bits must stop at the latest, by the classes of the four
/// literals before: after three, or where four plain ones come together.
const STOPS: [u64; 1 << 4] = {
    let mut stops = [1 << 36; 1 << 4];
    (stops[0b0000], stops[0b1000]) = (1 << 63, 1 << 54);
    (stops[0b0100], stops[0b1100]) = (1 << 45, 1 << 45);
    stops
};

/// The literal that starts the window, and its bits.
#[inline(always)]
fn literal(window: u64, hist: u32) -> (u8, u32) {
    let (width, bias) = if hist & RECENT != 0 {
        (9, 0)
    } else {
        match window >> 56 {
            0..24 => (10, 64),
            24..32 => (11, 64),
            _ => (8, 0),
        }
    };
    let [byte, ..] = (window << (width - 8)).to_be_bytes();
    (byte.wrapping_sub(bias), width)
}

/// What a literal shifts into `hist`.
#[inline(always)]
fn class(byte: u8) -> u32 {
    u32::from(!(32..=127).contains(&byte))
}

/// Base and number of extra bits of the sixteen distance codes.
const DISTANCES: [(u16, u32); 16] = [
    (0, 5),
    (32, 5),
    (64, 5),
    (96, 5),
    (128, 6),
    (192, 6),
    (256, 7),
    (384, 7),
    (512, 8),
    (768, 8),
    (1024, 9),
    (1536, 9),
    (2048, 10),
    (3072, 10),
    (4096, 12),
    (8192, 13),
];

/// More ones than this make a match longer than 65535. Encoders stop at thirteen
/// ones; this many still fit a window of 56 bits with any distance.
const MAX_ONES: u32 = 18;

#[derive(Clone, Copy)]
struct Match {
    len: usize,
    distance: usize,
    /// Bits of both codes.
    width: u32,
}

impl Match {
    /// The match that starts the window.
    #[inline(always)]
    fn any(window: u64) -> Result<Self, WhackError> {
        let ones = window.leading_ones();
        if ones > MAX_ONES {
            return Err(WhackError::LengthCodeTooLong(ones));
        }
        let (len, width) = length(window);
        let (base, extra) = DISTANCES[top(window << width, 4) as usize];
        Ok(Match {
            len: len as usize,
            distance: usize::from(base) + top(window << (width + 4), extra) as usize + 1,
            width: width + 4 + extra,
        })
    }

    /// Refuses a match that does not lie within what is decoded and expected.
    #[inline(always)]
    fn check(&self, at: usize, size: usize) -> Result<(), WhackError> {
        let Match { len, distance, .. } = *self;
        if distance > at {
            return Err(WhackError::DistanceBeforeStart { distance, at });
        }
        if len > size - at {
            return Err(WhackError::MatchPastEnd { len, at, size });
        }
        Ok(())
    }
}

/// The length code that starts the window, at most [`MAX_ONES`] ones: the
/// length and the bits of the code.
///
/// From 7 up these are gamma codes of the length less four: ones, a zero, a bit
/// that tells two classes apart, extra bits.
const fn length(window: u64) -> (u32, u32) {
    match window.leading_ones() {
        1 => (3, 2),
        2 => (4, 3),
        3 => (5 + top(window << 4, 1), 5),
        ones => {
            let upper = top(window << (ones + 1), 1);
            let extra = ones - 4 + upper;
            // The telling bit is taken along, and left out of the first length.
            let first = 4 + ((3 - upper) << (ones - 4));
            let rest = top(window << (ones + 1), 1 + extra);
            (first + rest, ones + 2 + extra)
        }
    }
}

/// The first `width` bits of the window, 1 to 32.
#[expect(clippy::cast_possible_truncation, reason = "the shift leaves 32 bits")]
#[inline(always)]
const fn top(window: u64, width: u32) -> u32 {
    (window >> (64 - width)) as u32
}

/// Bits that tell a short match: nine of the length, four of the distance.
const SHORT_BITS: u32 = 9 + 4;

/// The most bits of a short match: what a refill holds, less four literals.
const SHORT_MAX: u32 = 56 - 32;

/// A match but for the extra bits of its distance, which end its code; no bits
/// when it is not short.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct ShortCode {
    len: u8,
    width: u8,
    /// Distance when the extra bits are zero.
    base: u16,
    /// The extra bits.
    mask: u16,
}

/// By the bits that start the window. The first is set in every match; without it the index
/// would take one more step.
static SHORT: [ShortCode; 1 << SHORT_BITS] = short_codes();

#[expect(clippy::cast_possible_truncation, reason = "short codes are small")]
const fn short_codes() -> [ShortCode; 1 << SHORT_BITS] {
    let none = ShortCode {
        len: 0,
        width: 0,
        base: 0,
        mask: 0,
    };
    let mut codes = [none; 1 << SHORT_BITS];
    let mut i = codes.len() / 2;
    while i < codes.len() {
        let window = (i as u64) << (64 - SHORT_BITS);
        let (len, width) = length(window);
        let (base, extra) = DISTANCES[top(window << width, 4) as usize];
        let all = width + 4 + extra;
        if width <= SHORT_BITS - 4 && all <= SHORT_MAX {
            codes[i] = ShortCode {
                len: len as u8,
                width: all as u8,
                base: base + 1,
                mask: (1 << extra) - 1,
            };
        }
        i += 1;
    }
    codes
}

/// Copies the match that starts the window, of which [`SHORT_MAX`] bits are held; its
/// length.
#[expect(clippy::cast_possible_truncation, reason = "the mask leaves 13 bits")]
#[inline(always)]
fn copy_next(bits: &mut Bits<'_>, output: &mut [u8], at: usize) -> Result<usize, WhackError> {
    let code = &SHORT[top(bits.window, SHORT_BITS) as usize];
    let width = u32::from(code.width);
    if width == 0 {
        return copy_long(bits, output, at);
    }
    let extra = bits.window.rotate_left(width) & u64::from(code.mask);
    let (len, distance) = (code.len.into(), usize::from(code.base) + extra as usize);
    bits.skip(width);
    let from = at.wrapping_sub(distance);
    // What begins before the start wraps around, and there is room for the rest.
    if from > output.len() - CHUNK {
        return Err(WhackError::DistanceBeforeStart { distance, at });
    }
    if len <= distance {
        let chunk = load(output, from);
        store::<CHUNK>(output, at, chunk);
    } else {
        copy_over(
            output,
            at,
            Match {
                len,
                distance,
                width,
            },
        );
    }
    Ok(len)
}

/// The same for any match.
#[inline(always)]
fn copy_long(bits: &mut Bits<'_>, output: &mut [u8], at: usize) -> Result<usize, WhackError> {
    bits.refill();
    let found = Match::any(bits.window)?;
    found.check(at, output.len())?;
    copy(output, at, found);
    bits.skip(found.width);
    Ok(found.len)
}

#[inline(always)]
fn load<const N: usize>(output: &[u8], at: usize) -> [u8; N] {
    // There is always such a chunk; to copy slices may be a call.
    match output[at..at + N].first_chunk() {
        Some(bytes) => *bytes,
        None => [0; N],
    }
}

#[inline(always)]
fn store<const N: usize>(output: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(room) = output[at..at + N].first_chunk_mut() {
        *room = bytes;
    }
}

/// Copies a match that was checked, in chunks where the last may pass its end.
#[inline(always)]
fn copy(output: &mut [u8], at: usize, found: Match) {
    let end = at + found.len;
    if found.distance < CHUNK || output.len() - end < CHUNK {
        return copy_over(output, at, found);
    }
    for to in (at..end).step_by(CHUNK) {
        let chunk = load(output, to - found.distance);
        store::<CHUNK>(output, to, chunk);
    }
}

/// Copies a match that was checked, which may overlap itself: each step
/// doubles what can be copied without an overlap.
#[inline(never)]
fn copy_over(output: &mut [u8], at: usize, found: Match) {
    let from = at - found.distance;
    let end = at + found.len;
    let mut to = at;
    while to < end {
        let step = (to - from).min(end - to);
        output.copy_within(from..from + step, to);
        to += step;
    }
}

/// The input as bits, the most significant of each byte first.
#[derive(Clone, Copy)]
struct Bits<'a> {
    input: &'a [u8],
    /// The first byte of the input of which not all bits are held.
    next: usize,
    /// The next bits, the very next one highest. Those after the held ones are
    /// zero or what the input will put there.
    window: u64,
    /// Bits of the window that count.
    held: u32,
    /// How many zero bits were added after the input.
    padding: u32,
}

impl<'a> Bits<'a> {
    fn new(input: &'a [u8]) -> Self {
        Bits {
            input,
            next: 0,
            window: 0,
            held: 0,
            padding: 0,
        }
    }

    /// Holds 56 bits or more. There must be eight bytes of input.
    #[inline(always)]
    fn refill(&mut self) {
        self.window |= u64::from_be_bytes(load(self.input, self.next)) >> self.held;
        // As many whole bytes as fit.
        self.next += ((63 - self.held) / 8) as usize;
        self.held |= 56;
    }

    /// Holds 57 bits or more, with zeros after the input.
    fn refill_padded(&mut self) {
        while self.held <= 56 {
            if let Some(&byte) = self.input.get(self.next) {
                self.window |= u64::from(byte) << (56 - self.held);
                self.next += 1;
            } else {
                self.padding += 8;
            }
            self.held += 8;
        }
    }

    #[inline(always)]
    fn literal_next(&self) -> bool {
        self.window >> 63 == 0
    }

    #[inline(always)]
    fn skip(&mut self, width: u32) {
        self.window <<= width;
        self.held -= width;
    }

    /// True while eight bits of input are left; fewer are padding.
    fn symbol_left(&self) -> bool {
        self.next < self.input.len() || self.held >= self.padding + 8
    }

    /// Refuses to have used more bits than there were.
    fn end(&self) -> Result<(), WhackError> {
        match self.padding.saturating_sub(self.held) {
            0 => Ok(()),
            lacking => Err(WhackError::InputOverrun(lacking)),
        }
    }
}

#[cfg(test)]
mod tests;
