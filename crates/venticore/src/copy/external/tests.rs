//! What a program may say, and what is made of it.

use super::said::SaidParser;
use super::*;
use crate::host::child::Listen as _;
use proptest::prelude::*;

/// An arena of a mebibyte, from 0x1000 on.
const STRETCH: ArenaRest = ArenaRest {
    head: 794_624,
    end: 1_843_200,
    size: 1_032_192,
    from: 0x1000,
};

fn said(bytes: &[u8]) -> Said {
    let mut listener = SaidParser::default();
    listener.hear(bytes);
    listener.finish()
}

fn judged(stdout: &[u8], stderr: &[u8]) -> Result<u64, ExternalFault> {
    judge(&said(stdout), &said(stderr), &STRETCH)
}

/// What may be accepted, told apart from the code above: the one line that
/// has the form, and the number in it.
fn only_offset(stdout: &[u8]) -> Option<u64> {
    let lines: Vec<&[u8]> = stdout.split(|&byte| byte == b'\n').collect();
    let (_unfinished, whole) = lines.split_last()?;
    let mut found = whole.iter().filter_map(|line| {
        let number = std::str::from_utf8(line)
            .ok()?
            .strip_prefix("end offset ")?;
        match (number, number.strip_prefix("0x")) {
            ("0", _) => Some(0),
            (_, digits) => u64::from_str_radix(digits?, 16).ok(),
        }
    });
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

/// Pieces that lines of a wrarena are made of, whole and broken.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"end offset 0x1234\n",
        b"end offset 0xfc000\n",
        b"end offset 0\n",
        b"end offset ",
        b"end offset 0x",
        b"offset",
        b"0x1234",
        b"1234",
        b"0x",
        b"\n",
        b"\r\n",
        b" ",
        b"\xff\n",
        b"\0",
        b"2026/1122 02:56:12 sent all data\n",
        b"clump 0x44 failed to read\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn output() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(piece(), 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_is_accepted_but_the_one_well_formed_line(
        stdout in output(),
        stderr in output(),
        from in 0u64..0x2000,
    ) {
        let stretch = ArenaRest { from, ..STRETCH };
        if let Ok(offset) = judge(&said(&stdout), &said(&stderr), &stretch) {
            prop_assert_eq!(only_offset(&stdout), Some(offset));
            prop_assert!((from..=STRETCH.size).contains(&offset));
            prop_assert!(!stderr.windows(5).any(|word| word == b"clump"));
        }
    }

    #[test]
    fn a_good_line_among_others_is_accepted(
        offset in STRETCH.from..=STRETCH.size,
        before in "([A-Za-z:/ ]{0,40}\n){0,5}",
        after in "([A-Za-z:/ ]{0,40}\n){0,5}[a-z]{0,3}",
    ) {
        prop_assume!(!format!("{before}{after}").contains("offset"));
        let stdout = format!("{before}end offset {offset:#x}\n{after}");
        prop_assert_eq!(judged(stdout.as_bytes(), after.as_bytes()).unwrap(), offset);
    }

    #[test]
    fn how_the_bytes_come_makes_no_difference(bytes in output(), cuts: Vec<u8>) {
        let mut listener = SaidParser::default();
        let mut rest = bytes.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(usize::from(cut % 8).min(rest.len()));
            listener.hear(now);
            rest = later;
        }
        listener.hear(rest);
        prop_assert_eq!(listener.finish(), said(&bytes));
    }

    #[test]
    fn an_error_is_one_line_of_bounded_length(stdout: Vec<u8>, stderr in output()) {
        if let Err(fault) = judged(&stdout, &stderr) {
            let line = Program::default().error(fault).to_string();
            prop_assert!(!line.contains(char::is_control), "{}", line);
            prop_assert!(line.len() < 3000, "{}", line);
        }
    }
}

#[test]
fn the_forms_of_an_end_offset() {
    for (text, offset) in [
        ("end offset 0x1000\n", 0x1000),
        ("end offset 0xfc000\n", 0xf_c000),
        ("one\nend offset 0xf4957\ntwo", 0xf_4957),
    ] {
        assert_eq!(judged(text.as_bytes(), b"").unwrap(), offset, "{text}");
    }
    for text in [
        "end offset 4096\n",
        "end offset 0x1000",
        "end offset 0x1000 \n",
        "end offset 0x1000\r\n",
        " end offset 0x1000\n",
        "end offset  0x1000\n",
        "end offset 0xF4957\n",
        "end offset 0x\n",
        "end offset 0x+1000\n",
        "end offset\n",
        "End offset 0x1000\n",
        "end offset 0x10000000000001000\n",
        "end offset 0x1000\nbad offset 0x88 >= 0x44\n",
    ] {
        let fault = judged(text.as_bytes(), b"").unwrap_err();
        assert!(matches!(fault, ExternalFault::Unfit(_)), "{text}: {fault}");
    }
    let from_0 = ArenaRest { from: 0, ..STRETCH };
    for text in ["end offset 0\n", "end offset 0x0\n"] {
        let offset = judge(&said(text.as_bytes()), &said(b""), &from_0);
        assert_eq!(offset.unwrap(), 0);
    }
}

#[test]
fn a_damaged_first_clump_has_no_0x() {
    let good = b"end offset 0x1000\n";
    for text in [
        "clump 0 has mismatched score",
        "clump 0x13dd9 failed to read: clump has bad magic",
        "wrarena: corrupt clump read at 0: +8230",
        "wrarena: corrupt clump read at 0x1c: +8230",
    ] {
        let fault = judged(good, text.as_bytes()).unwrap_err();
        assert!(
            matches!(fault, ExternalFault::Damaged { .. }),
            "{text}: {fault}"
        );
    }
    let fine = b"\tclumps=600 compressed clumps=185 data=194,830\n";
    assert_eq!(judged(good, fine).unwrap(), 0x1000);
}

#[test]
fn an_operand_is_never_an_option_and_counts_from_the_start_of_the_file() {
    for (path, start, text) in [
        ("/dev/sdC0/arenas", 0, "/dev/sdC0/arenas:794624-1843200"),
        ("disk", 1 << 20, "disk:1843200-2891776"),
        ("a:b", 0, "a:b:794624-1843200"),
        ("-v", 0, "./-v:794624-1843200"),
    ] {
        assert_eq!(operand(Path::new(path), start, &STRETCH), text);
    }
}
