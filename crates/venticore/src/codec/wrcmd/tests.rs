//! Tests of `wrcmd`.

use super::*;
use crate::codec::invalid::Invalid;
use proptest::prelude::*;

const MANUAL: &str = "wrarena -h tcp!192.168.1.123!17034 -o 537665536 /dev/sdC0/arenas 0x14f55e1f";

fn parse(text: &str) -> WrCmd {
    WrCmd::parse(text).unwrap()
}

fn refused(text: &str) -> String {
    WrCmd::parse(text).unwrap_err().to_string()
}

/// What rc's ventiprog makes of a line for one target, and as the next wrcmd.
fn rc_ventiprog(line: &str, target: &str, offset: &str) -> (String, String) {
    let run = match (line.find('!'), line.rfind('!')) {
        (Some(first), Some(last)) if last > first => {
            format!("{}!{target}!{}", &line[..first], &line[last + 1..])
        }
        _ => line.to_owned(),
    };
    let next = match line.find("0x") {
        Some(at) => format!("{}{offset}", &line[..at]),
        None => line.to_owned(),
    };
    (run, next)
}

#[test]
fn the_line_of_the_manual() {
    let cmd = parse(&format!("{MANUAL}\n"));
    assert_eq!(cmd.command(), "wrarena");
    assert_eq!(cmd.host(), Some("tcp!192.168.1.123!17034"));
    assert_eq!(cmd.file_offset(), Some(537_665_536));
    assert_eq!(cmd.file(), "/dev/sdC0/arenas");
    assert_eq!(cmd.clump_offset(), 0x14f5_5e1f);
    assert_eq!(
        (cmd.verbose(), cmd.unchecked(), cmd.max()),
        (false, false, None)
    );
    assert!(!cmd.had_en_dash());
    assert_eq!(cmd.line(), MANUAL);
}

#[test]
fn a_new_line_is_the_canonical_one() {
    let cmd = WrCmd::new(
        "tcp!192.168.1.123!17034",
        537_665_536,
        "/dev/sdC0/arenas",
        0x14f5_5e1f,
    )
    .unwrap();
    assert_eq!(cmd.to_file(), format!("{MANUAL}\n").into_bytes());
    let zero = WrCmd::new("tcp!h!17034", 0, "p", 0).unwrap();
    assert_eq!(zero.to_string(), "wrarena -h tcp!h!17034 -o 0 p 0x0");
    for (host, file) in [
        ("", "f"),
        ("a b", "f"),
        ("h", ""),
        ("h", "-f"),
        ("h", "a\nb"),
    ] {
        assert!(matches!(
            WrCmd::new(host, 0, file, 0),
            Err(WrcmdError::Word(..))
        ));
    }
}

#[test]
fn options_are_read_as_in_c() {
    for (text, host, offset) in [
        ("wrarena f", None, None),
        ("/bin/venti/wrarena -vfh h f", Some("h"), None),
        ("venti/wrarena -hh!1 -o017 -- f", Some("h!1"), Some(15)),
        ("wrarena -vo0x10 -h -o f", Some("-o"), Some(16)),
        ("wrarena -h a -h b -- -f", Some("b"), None),
        ("wrarena - 5", None, None),
    ] {
        let cmd = parse(text);
        assert_eq!((cmd.host(), cmd.file_offset()), (host, offset), "{text}");
        assert_eq!(cmd.to_text(), text);
    }
    let cmd = parse("wrarena -vfM 12 f");
    assert_eq!(
        (cmd.verbose(), cmd.unchecked(), cmd.max()),
        (true, true, Some(12))
    );
    assert_eq!(parse("wrarena -- -f 7").file(), "-f");
    assert_eq!(parse("wrarena -f -- 7").file(), "7");
    let dash = parse("wrarena - 5");
    assert_eq!((dash.file(), dash.clump_offset()), ("-", 5));
}

#[test]
fn en_dashes_of_the_printed_manual_are_read_and_kept() {
    let text = "wrarena –h tcp!h!17034 –o 5 /dev/arenas 0x1\n";
    let cmd = parse(text);
    assert_eq!(
        (cmd.host(), cmd.file_offset()),
        (Some("tcp!h!17034"), Some(5))
    );
    assert!(cmd.had_en_dash());
    assert_eq!(
        cmd.with_clump_offset(2).to_text(),
        text.replace("0x1", "0x2")
    );
}

#[test]
fn numbers_are_those_of_strtoull_with_base_0() {
    for (text, value) in [
        ("0", 0),
        ("537665536", 537_665_536),
        ("0x14f55e1f", 0x14f5_5e1f),
        ("0XfF", 255),
        ("010", 8),
        ("18446744073709551615", u64::MAX),
        ("0xffffffffffffffff", u64::MAX),
    ] {
        assert_eq!(number(text), Ok(value));
    }
    for text in [
        "", "0x", "1M", "text", "-1", "+1", " 1", "1 ", "0x1g", "1_0", "12ab", "٣",
    ] {
        assert_eq!(number(text), Err(Invalid::Number(text.to_owned())));
    }
    assert_eq!(number("08"), Err(Invalid::Octal("08".to_owned())));
    for text in ["18446744073709551616", "0x10000000000000000"] {
        assert_eq!(number(text), Err(Invalid::TooLarge(text.to_owned())));
    }
}

#[test]
fn refusals_name_what_was_expected_and_what_was_found() {
    for blank in ["", "\n", " \t\r\n\n"] {
        assert!(refused(blank).contains("rootscor"));
    }
    let cases = [
        ("wrarena a 1\nwrarena b 2\n", "found 2"),
        ("# wrarena a 1", "comment \"# wrarena a 1\""),
        (" \t# x\nwrarena a", "comment \"# x\""),
        ("wrarena a\0b 1", "'\\0' at byte 9"),
        ("\nwrarena a \u{7}", "'\\u{7}' at byte 11"),
        (
            "-h h -o 5 f 0x1",
            "command word such as wrarena, found \"-h\"",
        ),
        ("wrarena -x f", "'x' in \"-x\""),
        ("wrarena --host h f", "'-' in \"--host\""),
        ("wrarena -v -h", "value after -h"),
        ("wrarena -o 1M f", "-o: expected a decimal"),
        ("wrarena -M -1 f", "-M: expected a decimal"),
        ("wrarena f 0x", "clump offset: expected a decimal"),
        (
            "wrarena f 09",
            "octal digits after the leading 0, found \"09\"",
        ),
        ("wrarena -h h", "arena file after the options"),
        ("wrarena f 1 2", "found \"2\""),
        ("wrarena f -v 0x1", "clump offset: expected a decimal"),
    ];
    for (text, said) in cases {
        let message = refused(text);
        assert!(message.contains(said), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert_eq!(WrCmd::parse(b"wrarena \xff"), Err(WrcmdError::NotText(8)));
    let long = format!("wrarena {}", "f".repeat(WrCmd::MAX_LEN - 8));
    assert_eq!(parse(&long).file().len(), WrCmd::MAX_LEN - 8);
    assert_eq!(
        WrCmd::parse(long + "f"),
        Err(WrcmdError::TooLong(WrCmd::MAX_LEN + 1))
    );
}

#[test]
fn a_change_touches_its_word_only() {
    let text = "\n \twrarena  -vh\ttcp!h!1 -o0x10 --  f\t0x0 \r\n\n";
    let cmd = parse(text);
    let changed = |cmd: WrCmd| cmd.to_text();
    assert_eq!(
        changed(cmd.with_clump_offset(31)),
        text.replace("0x0", "0x1f")
    );
    assert_eq!(
        changed(cmd.with_file_offset(99)),
        text.replace("0x10", "99")
    );
    assert_eq!(
        changed(cmd.with_host("x").unwrap()),
        text.replace("tcp!h!1", "x")
    );
    assert_eq!(
        changed(cmd.with_file("g").unwrap()),
        text.replace("  f", "  g")
    );
    assert_eq!(cmd.with_clump_offset(0), cmd);
    assert_eq!(cmd.with_file_offset(16), cmd);
    assert_eq!(cmd.with_host("tcp!h!1"), Ok(cmd.clone()));
    assert_eq!(
        cmd.to_file(),
        b" \twrarena  -vh\ttcp!h!1 -o0x10 --  f\t0x0 \r\n"
    );
}

#[test]
fn what_is_absent_is_added() {
    let cmd = parse("wrarena  f ");
    assert_eq!(cmd.with_clump_offset(5).to_text(), "wrarena  f 0x5 ");
    assert_eq!(cmd.with_file_offset(5).to_text(), "wrarena -o 5  f ");
    let all = cmd
        .with_clump_offset(1)
        .with_host("h!1")
        .unwrap()
        .with_file_offset(2)
        .with_file("g")
        .unwrap()
        .with_clump_offset(3)
        .with_host("i")
        .unwrap();
    assert_eq!(all.to_text(), "wrarena -o 2 -h i  g 0x3 ");
    assert_eq!(parse(&all.to_text()), all);
    assert_eq!(cmd.with_clump_offset(0), cmd);
    assert_eq!(parse("wrarena f").to_file(), b"wrarena f\n");
}

#[test]
fn the_rc_script_reads_what_we_print() {
    for text in [MANUAL, "  venti/wrarena -vo 5 -h tcp!h!17034  f 0x0 "] {
        let cmd = parse(text);
        let file = String::from_utf8(cmd.with_clump_offset(0x99).to_file()).unwrap();
        let (run, next) = rc_ventiprog(file.trim_end(), "10.0.0.1", "0x12345");
        let run = parse(&run);
        assert_eq!(run.host(), Some("tcp!10.0.0.1!17034"));
        assert_eq!(
            run,
            parse(file.trim_end())
                .with_host("tcp!10.0.0.1!17034")
                .unwrap()
        );
        let next = parse(&next);
        assert_eq!(next.clump_offset(), 0x12345);
        assert_eq!(next.host(), cmd.host());
        assert_eq!(next.file_offset(), cmd.file_offset());
    }
}

prop_compose! {
    fn blanks(least: usize)(text in prop::collection::vec(prop::sample::select(vec![' ', '\t']), least..4)) -> String {
        text.into_iter().collect()
    }
}

prop_compose! {
    fn spelled()(value: u64, form in 0..4) -> String {
        match form {
            0 => value.to_string(),
            1 => format!("{value:#x}"),
            2 => format!("0X{value:X}"),
            _ => format!("0{value:o}"),
        }
    }
}

/// An option: its words, to be joined by blanks.
fn option() -> impl Strategy<Value = Vec<String>> {
    let dash = || prop::sample::select(vec!["-", "\u{2013}"]);
    prop_oneof![
        (dash(), "[vf]{1,3}").prop_map(|(dash, flags)| vec![format!("{dash}{flags}")]),
        (dash(), "[vf]{0,2}h", "[^ \t\\p{C}]{1,12}", any::<bool>()).prop_map(valued),
        (dash(), "[vf]{0,2}[oM]", spelled(), any::<bool>()).prop_map(valued),
    ]
}

fn valued((dash, letters, value, attached): (&str, String, String, bool)) -> Vec<String> {
    if attached {
        vec![format!("{dash}{letters}{value}")]
    } else {
        vec![format!("{dash}{letters}"), value]
    }
}

prop_compose! {
    fn line()(
        options in prop::collection::vec(option(), 0..6),
        end in prop::option::of(Just("--".to_owned())),
        file in "[/a-zé][^ \t\\p{C}]{0,20}",
        offset in prop::option::of(spelled()),
        gaps in prop::collection::vec(blanks(1), 20),
        first in blanks(0),
        last in blanks(0),
        newline in prop::sample::select(vec!["", "\n", "\r\n", "\r", "\n\n \n"]),
    ) -> String {
        let words = std::iter::once("venti/wrarena".to_owned())
            .chain(options.into_iter().flatten())
            .chain(end)
            .chain(std::iter::once(file))
            .chain(offset);
        let mut text = first;
        for (at, (word, gap)) in words.zip(gaps).enumerate() {
            if at > 0 {
                text += &gap;
            }
            text += &word;
        }
        text + &last + newline
    }
}

proptest! {
    #[test]
    fn what_is_read_is_printed(text in line()) {
        let cmd = WrCmd::parse(&text).unwrap();
        prop_assert_eq!(cmd.to_text(), text);
        let file = cmd.to_file();
        prop_assert_eq!(file.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let again = WrCmd::parse(&file).unwrap();
        prop_assert_eq!(again.line(), cmd.line());
    }

    #[test]
    fn a_new_clump_offset_is_all_that_changes(text in line(), value: u64) {
        let old = WrCmd::parse(&text).unwrap();
        let new = old.with_clump_offset(value);
        let read = WrCmd::parse(new.to_text()).unwrap();
        prop_assert_eq!(&read, &new);
        prop_assert_eq!(read.clump_offset(), value);
        let before: Vec<_> = old.line().split([' ', '\t']).map(str::to_owned).collect();
        let after: Vec<_> = new.line().split([' ', '\t']).map(str::to_owned).collect();
        let differing = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        if old.clump_offset.is_some() {
            prop_assert_eq!(before.len(), after.len());
            prop_assert!(differing <= 1);
            prop_assert_eq!(read.with_clump_offset(old.clump_offset()).clump_offset(), old.clump_offset());
        }
        prop_assert_eq!(
            (read.host(), read.file_offset(), read.file(), read.max()),
            (old.host(), old.file_offset(), old.file(), old.max())
        );
    }

    #[test]
    fn every_change_is_read_back(text in line(), offset: u64, host in "[a-z!-]{1,9}", file in "/[a-z]{0,9}") {
        let new = WrCmd::parse(&text).unwrap()
            .with_file_offset(offset)
            .with_host(&host).unwrap()
            .with_file(&file).unwrap();
        let read = WrCmd::parse(new.to_text()).unwrap();
        prop_assert_eq!(&read.to_text(), &new.to_text());
        prop_assert_eq!(read.host(), Some(host.as_str()));
        prop_assert_eq!(read.file_offset(), Some(offset));
        prop_assert_eq!(read.file(), file);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        if let Ok(cmd) = WrCmd::parse(&bytes) {
            prop_assert_eq!(cmd.to_text().into_bytes(), bytes);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(wrarena)?[ \t\r\n#0x!vfhoM\u{2013}-]{0,40}") {
        match WrCmd::parse(&text) {
            Ok(cmd) => prop_assert_eq!(cmd.to_text(), text),
            Err(e) => prop_assert!(!e.to_string().contains('\n')),
        }
    }
}

#[test]
fn a_made_line_can_be_run_as_it_stands() {
    let made = |file: &str| WrCmd::new("tcp!h!17034", 0, file, 0);
    for file in [
        "/dev/sdC0/arenas",
        "a:512k-1m",
        "d.img:arenas",
        "/a=b,c+d@e%f",
        "/\u{e9}",
    ] {
        assert!(made(file).is_ok(), "{file}");
    }
    for file in [
        "/a;reboot",
        "/a$b",
        "/a'b",
        "/a\"b",
        "/a`b`",
        "/a*",
        "/a(b",
        "/a|b",
        "/a\\b",
        "#a",
        "~a",
        "/a^b",
    ] {
        assert!(
            matches!(made(file), Err(WrcmdError::Word("arena file", _))),
            "{file}"
        );
        // What an operator wrote is read as ever.
        let written = format!("wrarena -h tcp!h!17034 -o 0 {file} 0x0\n");
        assert!(WrCmd::parse(written).is_ok(), "{file}");
    }
}
