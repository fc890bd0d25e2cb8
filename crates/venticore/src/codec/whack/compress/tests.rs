//! Tests of the encoder.

use super::super::decompress;
use super::super::tests::{Dice, Writer, data, symbols};
use super::*;
use plan9whack::unwhack::unwhack;
use plan9whack::whack::whackblock;
use proptest::prelude::*;

/// What comes out for a block; it must be read, by both decoders, as the block.
fn compressed(compressor: &mut Compressor, block: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0xa5; MAX_BLOCK];
    let len = compressor.compress(block, &mut out)?;
    out.truncate(len);
    assert!(len < block.len());
    let mut read = vec![0x5a; block.len()];
    assert_eq!(decompress(&out, &mut read), Ok(block.len()));
    assert!(read == block, "{} bytes", block.len());
    assert!(unwhack(&out, block.len()).unwrap() == block);
    Some(out)
}

fn random(seed: u64, size: usize) -> Vec<u8> {
    let mut dice = Dice(seed | 1);
    (0..size).map(|_| dice.byte()).collect()
}

#[test]
fn vectors() {
    let rows: [(&[u8], &str); 5] = [
        (&[b'a'; 100], "30ffbf0000"),
        (&b"abc".repeat(9), "30988c7fb004"),
        (b"hello hello hello hello", "34194d86c6f20fc40a"),
        (&[0; 4096], "007ffcff803ffe7e0000"),
        (
            b"abcd\x80efgh\xbfijkl\xc0mnop\x1fqrst\
              abcd\x80efgh\xbfijkl\xc0mnop\x1fqrst",
            "30988c664180653319cd03fcd26a359b000369b8de7017ce272399d3f605c0",
        ),
    ];
    let mut compressor = Compressor::new();
    for (block, expected) in rows {
        let out = compressed(&mut compressor, block).unwrap();
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}

/// What the tests of the decoder write is checked against the specification there.
#[test]
fn every_length_distance_and_literal_has_its_code() {
    let mut out = [0; 64];
    let matches = (3..=2051).map(|len| (len, 1 + len * 7));
    for (len, distance) in matches.chain((1..=WINDOW).map(|distance| (5, distance))) {
        let mut stream = Stream::new(&mut out);
        let at = WINDOW;
        stream.copy(Repeat { at, len, distance });
        let end = stream.finish().unwrap();
        let mut writer = Writer::new();
        writer.copy(len, distance);
        assert_eq!(out[..end], writer.bytes, "{len} from {distance}");
    }
    for byte in 0..=255 {
        for before in [
            &b"\xffabcd"[..],
            b"\xffabc",
            b"",
            b"abcdefghijklmnop",
            b"\x80",
        ] {
            let bytes = [before, &[byte], b"after, and longer"].concat();
            let mut stream = Stream::new(&mut out);
            stream.literals(&bytes, 0..bytes.len());
            let end = stream.finish().unwrap();
            let mut writer = Writer::new();
            bytes.iter().for_each(|&byte| writer.literal(byte));
            assert_eq!(out[..end], writer.bytes, "{bytes:02x?}");
        }
    }
}

#[test]
fn blocks_of_every_size() {
    let mut compressor = Compressor::new();
    for seed in [1, 2, 3] {
        let block = data(seed, MAX_BLOCK);
        for size in (0..1000)
            .chain((1000..MAX_BLOCK).step_by(331))
            .chain([MAX_BLOCK])
        {
            compressed(&mut compressor, &block[..size]);
            compressed(&mut compressor, &block[MAX_BLOCK - size..]);
        }
    }
}

#[test]
fn runs_and_periods() {
    let mut compressor = Compressor::new();
    for size in [20, 2051, 2052, 2053, 4103, 8192, 16385, 16390, MAX_BLOCK] {
        for period in (1..20).chain([100, 2050, 2051, 2052, 8000, 16383, 16384, 16385]) {
            let mut block = random(size as u64, period.min(size));
            (period..size).for_each(|at| block.push(block[at - period]));
            let out = compressed(&mut compressor, &block);
            let gains = period <= WINDOW && size > 2 * period + 20;
            let len = out.map_or(size, |out| out.len());
            let expected = period * 9 / 8 + size / 20 + 16;
            assert!(!gains || len <= expected, "{size} of {period}: {len}");
        }
    }
}

/// Blocks in which matches begin and end wherever a stream can have them.
#[test]
fn what_streams_of_any_symbols_decode_to() {
    let mut compressor = Compressor::new();
    let mut dice = Dice(5);
    let mut gained = 0;
    for _ in 0..4000 {
        let (stream, size) = symbols(&mut dice);
        let mut block = vec![0; size];
        if let Ok(len) = decompress(&stream, &mut block) {
            let block = &block[..len.min(MAX_BLOCK)];
            gained += usize::from(compressed(&mut compressor, block).is_some());
        }
    }
    assert!(gained > 1000, "{gained}");
}

#[test]
fn what_does_not_get_shorter_has_no_result() {
    let mut compressor = Compressor::new();
    let mut out = vec![0; MAX_BLOCK + 1];
    for size in [0, 1, 2, 3, 8, 300, 4096, 8192, 20000, MAX_BLOCK] {
        assert_eq!(
            compressor.compress(&random(7, size), &mut out),
            None,
            "{size}"
        );
    }
    for block in [&b"foo"[..], b"abcdefghijklmnop", b"aaa", &[255; 3]] {
        assert_eq!(compressor.compress(block, &mut out), None, "{block:?}");
    }
    assert_eq!(compressor.compress(&vec![0; MAX_BLOCK + 1], &mut out), None);
    // Random to beyond half of it; then plan9port's gives up, too.
    let block = [random(9, 5000), vec![0; 3192]].concat();
    assert!(compressor.compress(&block, &mut out).is_some());
}

#[test]
fn the_result_is_within_the_room_or_there_is_none() {
    let mut compressor = Compressor::new();
    for seed in 1..20 {
        let block = data(seed, 700);
        let Some(expected) = compressed(&mut compressor, &block) else {
            continue;
        };
        for room in 0..=block.len() {
            let mut out = vec![0; room];
            let found = compressor.compress(&block, &mut out);
            let fits = room >= expected.len();
            assert_eq!(found, fits.then_some(expected.len()), "{room}");
            assert!(!fits || out[..expected.len()] == expected);
        }
    }
}

#[test]
fn sizes_are_near_those_of_plan9port() {
    let mut compressor = Compressor::new();
    let (mut ours, mut theirs) = (0, 0);
    let texts = [
        &include_str!("../compress.rs").as_bytes()[..8192],
        &include_str!("../tests.rs").as_bytes()[..8192],
        &include_str!("../../whack.rs").as_bytes()[..8192],
    ];
    for block in texts {
        ours += compressed(&mut compressor, block).unwrap().len();
        theirs += whackblock(block).unwrap().len();
    }
    assert!(ours * 100 <= theirs * 110, "{ours}, plan9port's {theirs}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_compressed_is_read_by_both_decoders(seed: u64, size in 1_usize..=57344) {
        let block = data(seed, size);
        compressed(&mut Compressor::new(), &block);
    }

    #[test]
    fn blocks_of_few_values_are_read(
        block in prop::collection::vec(prop::sample::select(vec![0, b' ', b'a', 0xff]), 0..3000),
    ) {
        compressed(&mut Compressor::new(), &block);
    }

    #[test]
    fn a_block_is_compressed_alike_whatever_came_before(seed: u64, size in 1_usize..9000) {
        let mut used = Compressor::new();
        compressed(&mut used, &data(!seed, 57344 - size));
        let block = data(seed, size);
        let fresh = compressed(&mut Compressor::new(), &block);
        prop_assert!(compressed(&mut used, &block) == fresh);
    }
}
