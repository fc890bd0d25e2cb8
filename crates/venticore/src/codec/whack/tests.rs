//! Tests of `whack`.

use super::*;
use crate::codec::score::Score;
use plan9whack::unwhack::unwhack;
use plan9whack::whack::whackblock;
use proptest::prelude::*;

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/golden/venti/whack-vectors.json"
));

/// The largest size a clump can give.
const MAX_SIZE: usize = 0xffff;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Decodes into a dirty buffer and returns what came out.
fn decode(input: &[u8], size: usize) -> Result<Vec<u8>, WhackError> {
    let mut output = vec![0xa5; size];
    let len = decompress(input, &mut output)?;
    output.truncate(len);
    Ok(output)
}

/// The loop of venti.md 6, word by word and a bit at a time. Also returns
/// the bits of the longest length code.
fn by_the_book(input: &[u8], size: usize) -> (Result<Vec<u8>, WhackError>, usize) {
    const BASE: [usize; 16] = [
        0, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192,
    ];
    const EXTRA: [u32; 16] = [5, 5, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 12, 13];
    let mut used = 0;
    let mut longest = 0;
    let mut out = Vec::new();
    let mut hist = !0_u8;
    macro_rules! take {
        ($count:expr) => {
            (0..$count).fold(0_usize, |value, _| {
                let byte = input.get(used / 8).copied().unwrap_or(0);
                used += 1;
                value << 1 | usize::from(byte >> (7 - (used - 1) % 8) & 1)
            })
        };
    }
    while used + 8 <= 8 * input.len() {
        if take!(1) == 0 {
            let byte = if hist & 15 != 0 {
                take!(8)
            } else {
                match take!(7) {
                    v if v < 24 => (4 * v + take!(2)).wrapping_sub(64),
                    v if v < 32 => (8 * v + take!(3)).wrapping_sub(64),
                    v => v,
                }
            } & 255;
            hist = hist << 1 | u8::from(!(32..=127).contains(&byte));
            if out.len() == size {
                return (Err(WhackError::LiteralPastEnd(size)), longest);
            }
            out.push(u8::try_from(byte).unwrap());
            continue;
        }
        let start = used - 1;
        let mut len = if take!(1) == 0 {
            3
        } else if take!(1) == 0 {
            4
        } else {
            match take!(2) {
                0 => 5,
                1 => 6,
                top => {
                    let (mut c, mut len, mut step, mut dbl) =
                        ((0b11_1000 | top << 1 | take!(1)) - 60, 7, 1_usize, true);
                    while c >= step {
                        if len > MAX_SIZE {
                            return (Err(WhackError::LengthCodeTooLong(0)), 99);
                        }
                        len += step;
                        c -= step;
                        c = 2 * c + take!(1);
                        if dbl {
                            step *= 2;
                        }
                        dbl = !dbl;
                    }
                    len + c
                }
            }
        };
        longest = longest.max(used - start);
        let k = take!(4);
        let distance = BASE[k] + take!(EXTRA[k]) + 1;
        let at = out.len();
        if distance > at {
            let error = WhackError::DistanceBeforeStart { distance, at };
            return (Err(error), longest);
        }
        if at + len > size {
            return (Err(WhackError::MatchPastEnd { len, at, size }), longest);
        }
        while len > 0 {
            out.push(out[out.len() - distance]);
            len -= 1;
        }
    }
    match used.saturating_sub(8 * input.len()) {
        0 => (Ok(out), longest),
        lacking => (
            Err(WhackError::InputOverrun(lacking.try_into().unwrap())),
            longest,
        ),
    }
}

/// A small generator of pseudo-random numbers, the same on every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % limit
    }

    pub(super) fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// Classes of the length codes as venti.md 6 lists them: bits, lengths.
const CLASSES: [(u32, usize, usize); 19] = [
    (6, 7, 7),
    (7, 8, 9),
    (8, 10, 11),
    (9, 12, 15),
    (10, 16, 19),
    (11, 20, 27),
    (12, 28, 35),
    (13, 36, 51),
    (14, 52, 67),
    (15, 68, 99),
    (16, 100, 131),
    (17, 132, 195),
    (18, 196, 259),
    (19, 260, 387),
    (20, 388, 515),
    (21, 516, 771),
    (22, 772, 1027),
    (23, 1028, 1539),
    (24, 1540, 2051),
];

/// The code of a length, and its bits, by the canonical rule.
fn code_of(len: usize) -> (usize, u32) {
    match len {
        3 => return (0b10, 2),
        4 => return (0b110, 3),
        5 => return (0b11100, 5),
        6 => return (0b11101, 5),
        _ => {}
    }
    let mut first = 0b11_1100;
    for (width, from, to) in CLASSES {
        if len <= to {
            return (first + len - from, width);
        }
        first = 2 * (first + to - from + 1);
    }
    panic!("no code for a length of {len}");
}

/// Writes any symbols asked for, also ones no encoder would.
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    bits: u32,
    hist: u8,
}

impl Writer {
    pub(super) fn new() -> Self {
        Writer {
            bytes: Vec::new(),
            bits: 0,
            hist: !0,
        }
    }

    fn put(&mut self, value: usize, width: u32) {
        for shift in (0..width).rev() {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::from(value >> shift & 1 == 1);
            *self.bytes.last_mut().unwrap() |= bit << (7 - self.bits % 8);
            self.bits += 1;
        }
    }

    pub(super) fn literal(&mut self, byte: u8) {
        let plain = (32..=127).contains(&byte);
        let moved = usize::from(byte.wrapping_add(64));
        match (self.hist & 15, plain) {
            (0, true) => self.put(byte.into(), 8),
            (0, false) if moved < 96 => self.put(moved, 10),
            (0, false) => self.put(moved, 11),
            _ => self.put(byte.into(), 9),
        }
        self.hist = self.hist << 1 | u8::from(!plain);
    }

    pub(super) fn copy(&mut self, len: usize, distance: usize) {
        let (code, width) = code_of(len);
        self.put(code, width);
        let k = (0..16)
            .rfind(|&k| usize::from(DISTANCES[k].0) < distance)
            .unwrap();
        self.put(k, 4);
        self.put(distance - 1 - usize::from(DISTANCES[k].0), DISTANCES[k].1);
    }
}

/// A stream of symbols that are mostly fit to follow each other, and how
/// many bytes they make.
pub(super) fn symbols(dice: &mut Dice) -> (Vec<u8>, usize) {
    let mut writer = Writer::new();
    let mut size = 0;
    let wild = [0, 0, 200, 20][dice.below(4)];
    let plain = dice.below(10);
    let far = [4, 40, 400, 16384][dice.below(4)];
    let long = [4, 12, 70, 2049][dice.below(4)];
    for _ in 0..dice.below(80) {
        if size == 0 || dice.below(3) == 0 {
            for _ in 0..=dice.below(10) {
                let byte = dice.byte();
                writer.literal(if dice.below(10) < plain {
                    32 + byte % 96
                } else {
                    byte
                });
                size += 1;
            }
        } else {
            let len = 3 + dice.below(long);
            writer.copy(len, 1 + dice.below(far.min(size)));
            size += len;
        }
        if wild > 0 && dice.below(wild) == 0 {
            match dice.below(3) {
                0 => writer.copy(3, 1 + dice.below(16384)),
                1 => writer.put(usize::MAX, 1 + u32::try_from(dice.below(24)).unwrap()),
                _ => writer.put(dice.below(1 << 20), 20),
            }
        }
    }
    (writer.bytes, size)
}

/// Damages a stream and its size, or leaves them alone.
fn damage(dice: &mut Dice, stream: &mut Vec<u8>, size: &mut usize) {
    match dice.below(8) {
        0 => stream.truncate(dice.below(stream.len() + 1)),
        1 => stream.extend_from_slice(&[0, 255, 128][..=dice.below(3)]),
        2 | 3 if !stream.is_empty() => {
            let at = dice.below(stream.len());
            stream[at] ^= 1 << dice.below(8);
        }
        4 => stream.iter_mut().for_each(|byte| *byte = dice.byte()),
        _ => {}
    }
    *size = match dice.below(6) {
        0 => size.saturating_sub(dice.below(40)),
        1 => *size + dice.below(40),
        2 => dice.below(MAX_SIZE + 1),
        _ => *size,
    }
    .min(MAX_SIZE);
}

/// Text-like words, runs, random bytes, or stretches of each.
pub(super) fn data(seed: u64, size: usize) -> Vec<u8> {
    let mut dice = Dice(seed | 1);
    let words: Vec<Vec<u8>> = (0..200)
        .map(|_| {
            (0..2 + dice.below(8))
                .map(|_| b'a' + dice.byte() % 26)
                .collect()
        })
        .collect();
    let only = dice.below(6);
    let mut data = Vec::new();
    let mut kind = only;
    while data.len() < size {
        if only > 3 && dice.below(20) == 0 {
            kind = dice.below(4);
        }
        match kind {
            0 => {
                data.extend_from_slice(&words[dice.below(words.len())]);
                data.push([b' ', b' ', b' ', b'\n'][dice.below(4)]);
            }
            1 => data.resize(data.len() + 1 + dice.below(3000), dice.byte()),
            2 => data.push(dice.byte()),
            _ => {
                let from = data.len().saturating_sub(1 + dice.below(20));
                data.extend_from_within(from..);
                data.push(dice.byte() & 0x83);
            }
        }
    }
    data.truncate(size);
    data
}

fn compare_with_the_book(seed: u64, streams: usize) {
    let mut dice = Dice(seed);
    let mut whole = 0;
    for _ in 0..streams {
        let (mut stream, mut size) = symbols(&mut dice);
        damage(&mut dice, &mut stream, &mut size);
        let ours = decode(&stream, size);
        whole += usize::from(ours.as_ref().is_ok_and(|out| out.len() == size));
        match by_the_book(&stream, size).0 {
            Err(WhackError::LengthCodeTooLong(_)) => {
                assert!(ours.is_err(), "{stream:02x?}, {size}");
            }
            book => assert_eq!(ours, book, "{stream:02x?}, {size}"),
        }
    }
    assert!(whole > streams / 5, "too few streams were sound: {whole}");
}

#[test]
fn the_table_of_the_specification() {
    let digits: Vec<u8> = (0..0x14).collect();
    let entry = [&unhex("000000001ff4200001")[..], &[0; 11], &digits].concat();
    let rows: [(&[u8], &str, &str); 10] = [
        (
            &[b'a'; 100],
            "30ffbf0000",
            "7f9000257a4918d7072655ea468540cdcbd42e0c",
        ),
        (
            &b"abc".repeat(9),
            "30988c7fb004",
            "8f363337594ece0664b261be156d17fa6842fab2",
        ),
        (
            b"hello hello hello hello",
            "34194d86c6f20fc40a",
            "8be528c84486af62127f31bcc54483024d08df92",
        ),
        (
            b"the rain in spain falls mainly in the plain; the rain in spain",
            "3a1a0ca207261696e20804e6e1810ccc2d8d8e640db029b1e7057085c1b2071df015f51600",
            "2a220c2e25e7bbe9f38ff334dd20767bd3ecd718",
        ),
        (
            &b"abcd\x80efgh\xbfijkl\xc0mnop\x1fqrst".repeat(2),
            "30988c664180653319cd03fcd26a359b000369b8de7017ce272399d3f605c0",
            "778d5499b2637760a348f6de9d36640ab601f409",
        ),
        (
            &b"\xe2\x82\xac".repeat(12),
            "7120959fca02",
            "3a8edc1eb1583e3fbe32327839dfbb0814af80af",
        ),
        (
            &[&b"abcd\x00\x01\x7f\x80\xff"[..], &b"abcd".repeat(6)].concat(),
            "30988c664100027f403ff023f400c0",
            "9cea206a49fcff850bdb343267162cfad0e5b46f",
        ),
        (
            &[0; 4096],
            "007ffcff803ffe7e0000",
            "1ceaf73df40e531df3bfb26b4fb7cd95fb7bff1d",
        ),
        (
            b"abcdefghijkl.abcdefghijkl,abcdefghijk!abcdefghij?",
            "30988c66465666768696a6b6c2efa030b3e41843f00b3f",
            "86551749407d8b23280e8348d45e265bb77b1722",
        ),
        (
            &entry.repeat(3),
            "004000fbd0400000e047a000040403020140c0704024140b060341c0f080442413ff5827",
            "2c1cd1d477a0ac1294549de278e72587f4fcce40",
        ),
    ];
    for (input, compressed, sha1) in rows {
        assert_eq!(Score::of(input).to_string(), sha1);
        assert_eq!(decode(&unhex(compressed), input.len()), Ok(input.to_vec()));
    }
}

#[test]
fn the_damaged_streams_of_the_specification() {
    let too_long = WhackError::MatchPastEnd {
        len: 99,
        at: 1,
        size: 99,
    };
    let too_far = WhackError::DistanceBeforeStart { distance: 1, at: 0 };
    let rows = [
        ("30ffbf0000", 99, Err(too_long)),
        ("30ffbf0000", 101, Ok(100)),
        ("30ffbf", 100, Err(WhackError::InputOverrun(9))),
        ("30ffbf000000", 100, Err(WhackError::LiteralPastEnd(100))),
        ("80000000", 10, Err(too_far)),
        ("", 5, Ok(0)),
        ("30", 5, Err(WhackError::InputOverrun(1))),
        ("3a1a0ca207261696e208", 62, Ok(9)),
    ];
    for (stream, size, verdict) in rows {
        let result = decode(&unhex(stream), size);
        assert_eq!(result.map(|out| out.len()), verdict, "{stream}, {size}");
    }
}

#[test]
fn the_vectors_of_the_reference() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let size = |value: &serde_json::Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let valid = vectors["valid"].as_array().unwrap();
    assert_eq!(valid.len(), 16);
    for vector in valid {
        let expected = size(&vector["uncsize"]);
        let output = decode(&unhex(&text(&vector["compressed"])), expected).unwrap();
        assert_eq!(output.len(), expected, "{}", vector["name"]);
        assert_eq!(Score::of(&output).to_string(), text(&vector["sha1"]));
        if let Some(bytes) = vector["output"].as_str() {
            assert_eq!(output, unhex(bytes), "{}", vector["name"]);
        }
    }
    let invalid = vectors["invalid"].as_array().unwrap();
    assert_eq!(invalid.len(), 10);
    for vector in invalid {
        let result = decode(
            &unhex(&text(&vector["compressed"])),
            size(&vector["uncsize"]),
        );
        match vector["result"].as_str().unwrap() {
            "error" => assert!(result.is_err(), "{}", vector["name"]),
            "short" => assert_eq!(
                result.map(|out| out.len()),
                Ok(size(&vector["length"])),
                "{}",
                vector["name"]
            ),
            other => panic!("unknown result {other}"),
        }
    }
}

#[test]
fn every_length_has_its_code() {
    for len in 3..=2051 {
        let (code, width) = code_of(len);
        for after in [0, u64::MAX >> width] {
            let window = (code as u64) << (64 - width) | after;
            assert_eq!(length(window), (u32::try_from(len).unwrap(), width));
        }
    }
}

#[test]
fn every_length_at_every_distance_class_and_near_every_end() {
    let mut dice = Dice(1);
    let seed: Vec<u8> = (0..16384).map(|_| dice.byte()).collect();
    for distance in (1..40).chain([63, 64, 65, 300, 1000, 5000, 16383, 16384]) {
        for len in (3..60).chain([99, 100, 131, 132, 515, 516, 2051]) {
            for after in [0, 1, 15, 16, 17, 40] {
                let mut writer = Writer::new();
                let before = &seed[..distance.max(12)];
                let mut expected = before.to_vec();
                before.iter().for_each(|&byte| writer.literal(byte));
                writer.copy(len, distance);
                for _ in 0..len {
                    expected.push(expected[expected.len() - distance]);
                }
                for &byte in &seed[..after] {
                    writer.literal(byte);
                    expected.push(byte);
                }
                let output = decode(&writer.bytes, expected.len());
                assert!(
                    output == Ok(expected),
                    "{len} from {distance}, {after} after"
                );
                if distance > 300 && after == 0 {
                    break;
                }
            }
        }
    }
}

#[test]
fn the_longest_length_codes_are_read_or_refused() {
    // A literal, then the shortest match a code of so many ones makes.
    for (ones, size) in [(17, 1 + 4 + (3 << 13)), (18, 1 + 4 + (3 << 14))] {
        let mut writer = Writer::new();
        writer.literal(b'x');
        writer.put((1 << ones) - 1, ones);
        (0..8).for_each(|_| writer.put(0, 10));
        // The zeros left over are literals.
        let result = decode(&writer.bytes, size);
        assert_eq!(result, Err(WhackError::LiteralPastEnd(size)));
    }
    let mut writer = Writer::new();
    writer.literal(b'x');
    writer.put((1 << 19) - 1, 19);
    (0..8).for_each(|_| writer.put(0, 10));
    let refused = Err(WhackError::LengthCodeTooLong(19));
    assert_eq!(decode(&writer.bytes, MAX_SIZE), refused);
    assert_eq!(
        decode(&[255; 100_000], MAX_SIZE),
        Err(WhackError::LengthCodeTooLong(64))
    );
}

#[test]
fn nothing_and_much_are_decoded() {
    assert_eq!(decode(&[], 0), Ok(Vec::new()));
    assert_eq!(decode(&[0], 0), Err(WhackError::LiteralPastEnd(0)));
    let huge = vec![0; 10 << 20];
    assert_eq!(decode(&huge, 0), Err(WhackError::LiteralPastEnd(0)));
    assert_eq!(
        decode(&huge, MAX_SIZE),
        Err(WhackError::LiteralPastEnd(MAX_SIZE))
    );
}

#[test]
fn errors_say_what_was_expected_and_found() {
    let errors = [
        WhackError::LiteralPastEnd(62),
        WhackError::MatchPastEnd {
            len: 99,
            at: 1,
            size: 62,
        },
        WhackError::DistanceBeforeStart { distance: 9, at: 3 },
        WhackError::InputOverrun(5),
        WhackError::LengthCodeTooLong(40),
    ];
    assert_eq!(
        errors.map(|error| error.to_string()),
        [
            "expected 62 bytes, found a literal after them",
            "expected 62 bytes, found a match of 99 bytes at byte 1",
            "expected a distance of at most 3 at byte 3, found 9",
            "expected 5 more bits of input, found its end",
            "expected a length code of at most 18 ones, found 40",
        ]
    );
}

#[test]
fn hostile_streams_decode_by_the_book() {
    let streams = std::env::var("HOSTILE_STREAMS").ok();
    let streams = streams.map_or(200_000, |number| number.parse().unwrap());
    compare_with_the_book(1, streams);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_plan9whack_encodes_is_decoded(seed: u64, size in 1_usize..=57344) {
        let data = data(seed, size);
        if let Some(stream) = whackblock(&data) {
            prop_assert!(decode(&stream, size) == Ok(data));
        }
    }

    #[test]
    fn the_writer_of_these_tests_is_read_by_plan9whack(seed: u64) {
        let (mut stream, mut size) = symbols(&mut Dice(seed | 1));
        for round in 0..8 {
            agrees_with_plan9whack(&stream, size)?;
            damage(&mut Dice(seed.wrapping_add(round) | 1), &mut stream, &mut size);
        }
    }

    #[test]
    fn damaged_streams_fare_as_with_plan9whack(seed: u64, size in 1_usize..2000) {
        let Some(stream) = whackblock(&data(seed, size)) else {
            return Ok(());
        };
        let mut dice = Dice(seed | 1);
        for _ in 0..16 {
            let (mut stream, mut size) = (stream.clone(), size);
            damage(&mut dice, &mut stream, &mut size);
            agrees_with_plan9whack(&stream, size)?;
        }
    }

    #[test]
    fn any_bytes_are_decoded_by_the_book(
        stream in prop::collection::vec(any::<u8>(), 0..200),
        size in 0..MAX_SIZE,
    ) {
        let ours = decode(&stream, size);
        match by_the_book(&stream, size).0 {
            Err(WhackError::LengthCodeTooLong(_)) => prop_assert!(ours.is_err()),
            book => prop_assert_eq!(ours, book),
        }
    }
}

/// Compares with plan9whack where it can be trusted: it panics or reads on
/// when input is overrun, and it reads length codes above 25 bits, which
/// no encoder writes, or not, by their place in the stream.
fn agrees_with_plan9whack(stream: &[u8], size: usize) -> Result<(), TestCaseError> {
    let ours = decode(stream, size);
    if matches!(ours, Err(WhackError::InputOverrun(_))) || by_the_book(stream, size).1 > 25 {
        return Ok(());
    }
    prop_assert_eq!(ours.ok(), unwhack(stream, size).ok());
    Ok(())
}
