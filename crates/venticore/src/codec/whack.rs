//! Whack, encoding 2 of a clump: LZ77 inside one block (venti.md 6).
//!
//! Two loops decode the one format. `Decoder::run` goes on while input and room
//! are plenty: it looks at 56 bits or more at once, takes plain literals several
//! at a time, copies in chunks, and may write beyond what it has decoded.
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

/// What one round of [`Decoder::run`] may write without asking again: up to
/// seven literals and a chunk.
const ROOM: usize = 7 + CHUNK;

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
    ///
    /// The state is kept in locals, for a reference to it would keep it out of
    /// registers.
    fn run(&mut self) -> Result<(), WhackError> {
        let Decoder {
            mut bits,
            mut at,
            mut hist,
            ..
        } = *self;
        let output = &mut *self.output;
        while output.len() - at >= ROOM && bits.refill() {
            if hist & RECENT == 0 {
                // Plain literals are their own codes: write eight bytes and
                // keep those that are. Counting beats a branch for each.
                let run = plain_run(bits.window);
                store(output, at, bits.window.to_be_bytes());
                at += run as usize;
                bits.skip(8 * run);
                if !bits.refill() {
                    break;
                }
            }
            if bits.literal_next() {
                let (byte, width) = literal(bits.window, hist);
                store(output, at, [byte]);
                at += 1;
                hist = hist << 1 | class(byte);
                bits.skip(width);
            } else if let Some(found) = Match::short(bits.window) {
                found.check(at, output.len())?;
                if found.len <= found.distance {
                    let chunk = load(output, at - found.distance);
                    store::<CHUNK>(output, at, chunk);
                } else {
                    copy_over(output, at, found);
                }
                at += found.len;
                bits.skip(found.width);
            } else {
                let found = Match::any(bits.window)?;
                found.check(at, output.len())?;
                copy(output, at, found);
                at += found.len;
                bits.skip(found.width);
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
    /// The match that starts the window, if its length code is short.
    #[inline(always)]
    fn short(window: u64) -> Option<Self> {
        let code = &SHORT[top(window << 1, SHORT_BITS - 1) as usize];
        let width = u32::from(code.width);
        (width != 0).then(|| Match {
            len: code.len.into(),
            distance: usize::from(code.base) + (top(window, width) & u32::from(code.mask)) as usize,
            width,
        })
    }

    /// The match that starts the window.
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

/// Bits that tell a short match: eight of the length, four of the distance.
const SHORT_BITS: u32 = 8 + 4;

/// A match but for the extra bits of its distance, which end its code; no bits
/// when the length code is longer than eight.
#[derive(Clone, Copy)]
struct ShortCode {
    len: u8,
    width: u8,
    /// Distance when the extra bits are zero.
    base: u16,
    /// The extra bits.
    mask: u16,
}

/// By the bits after the first, which is set in every match.
static SHORT: [ShortCode; 1 << (SHORT_BITS - 1)] = short_codes();

#[expect(clippy::cast_possible_truncation, reason = "short codes are small")]
const fn short_codes() -> [ShortCode; 1 << (SHORT_BITS - 1)] {
    let none = ShortCode {
        len: 0,
        width: 0,
        base: 0,
        mask: 0,
    };
    let mut codes = [none; 1 << (SHORT_BITS - 1)];
    let mut i = 0;
    while i < codes.len() {
        let window = (i as u64 | 1 << (SHORT_BITS - 1)) << (64 - SHORT_BITS);
        let (len, width) = length(window);
        if width <= SHORT_BITS - 4 {
            let (base, extra) = DISTANCES[top(window << width, 4) as usize];
            codes[i] = ShortCode {
                len: len as u8,
                width: (width + 4 + extra) as u8,
                base: base + 1,
                mask: (1 << extra) - 1,
            };
        }
        i += 1;
    }
    codes
}

#[inline(always)]
fn load<const N: usize>(output: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&output[at..at + N]);
    bytes
}

#[inline(always)]
fn store<const N: usize>(output: &mut [u8], at: usize, bytes: [u8; N]) {
    output[at..at + N].copy_from_slice(&bytes);
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
    /// Bytes of which not all bits are held yet.
    rest: &'a [u8],
    /// The next bits, the very next one highest. Those after the held ones are
    /// zero or what `rest` will put there.
    window: u64,
    /// Bits of the window that count.
    held: u32,
    /// How many zero bits were added after the input.
    padding: u32,
}

impl<'a> Bits<'a> {
    fn new(input: &'a [u8]) -> Self {
        Bits {
            rest: input,
            window: 0,
            held: 0,
            padding: 0,
        }
    }

    /// Holds 56 bits or more, from input alone; false if that may not do.
    #[inline(always)]
    fn refill(&mut self) -> bool {
        let Some(bytes) = self.rest.first_chunk() else {
            return false;
        };
        self.window |= u64::from_be_bytes(*bytes) >> self.held;
        // As many whole bytes as fit; the remainder only tells the compiler.
        self.rest = &self.rest[(63 - self.held) as usize / 8 % 8..];
        self.held |= 56;
        true
    }

    /// Holds 57 bits or more, with zeros after the input.
    fn refill_padded(&mut self) {
        while self.held <= 56 {
            if let Some((&byte, rest)) = self.rest.split_first() {
                self.window |= u64::from(byte) << (56 - self.held);
                self.rest = rest;
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
        !self.rest.is_empty() || self.held >= self.padding + 8
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
