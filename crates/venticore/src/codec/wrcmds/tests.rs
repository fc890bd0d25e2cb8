//! The file as it is written, as operators change it, and as it breaks.

use super::*;
use crate::codec::utc::Utc;
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

const SCORE: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

/// A file with everything in it.
const FILE: &str = "\
# wrcmds: the place that each venti has acknowledged in each partition
# place magic=0xf4040f0d last=a9993e364706816aba3e25717850c26c9cd0d89d time=2026-11-22T04:00:00Z before=a9993e364706816aba3e25717850c26c9cd0d89d arena=g 5.0
# damaged magic=0xf4040f0d head=794624 offset=0x56901 len=346 type=pointer2 score=a9993e364706816aba3e25717850c26c9cd0d89d arena=g 5.0
# accepted magic=0xf4040f0d head=794624 offset=0x5a000 len=1102 type=unknown score=unknown arena=g 5.0
wrarena -h tcp!hostb!17034 -o 794624 /dev/sdC0/arenas 0x13dd9

# C stands in the cellar
wrarena -h tcp!hostc!17034 -o 0 /dev/sdC0/arenas 0x0
";

const PARTITION: &str = "/dev/sdC0/arenas";

fn parse(text: &str) -> Wrcmds {
    Wrcmds::parse(text.as_bytes()).unwrap()
}

fn text(of: &Wrcmds) -> String {
    String::from_utf8(of.to_file()).unwrap()
}

fn dial(text: &str) -> TargetName {
    text.parse().unwrap()
}

fn abc() -> Score {
    SCORE.parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::from_field(text.as_bytes())
}

/// A place of which everything is known.
fn place(target: &str, head: u64, offset: u64) -> Progress {
    Progress {
        target: dial(target),
        partition: PARTITION.to_owned(),
        head,
        offset,
        arena: Some(name("g 5.0")),
        magic: Some(0xf404_0f0d),
        last: Some(abc()),
        before: Some(abc()),
        open: None,
        acknowledged: Some("2026-11-22T04:00:00Z".parse::<Utc>().unwrap().0),
    }
}

/// A place of which nothing is known but that.
fn bare(target: &str, head: u64, offset: u64) -> Progress {
    Progress {
        arena: None,
        magic: None,
        last: None,
        before: None,
        open: None,
        acknowledged: None,
        ..place(target, head, offset)
    }
}

fn damage(offset: u64, len: u64) -> DamagedStretch {
    DamagedStretch {
        head: 794_624,
        magic: 0xf404_0f0d,
        offset,
        len,
        clumps: 1,
        block_type: Some(BlockType::Pointer(2)),
        score: Some(abc()),
        arena: name("g 5.0"),
        accepted: false,
    }
}

fn damages(of: &Wrcmds, target: &str) -> Vec<DamagedStretch> {
    of.damages(&dial(target), PARTITION).cloned().collect()
}

fn refused(text: &str) -> String {
    Wrcmds::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_read() {
    let file = parse(FILE);
    let b = place("hostb", 794_624, 0x13dd9);
    assert_eq!(file.get(&dial("HOSTB:17034"), PARTITION), Some(b.clone()));
    let c = bare("hostc", 0, 0);
    assert_eq!(file.places().collect::<Vec<_>>(), [b, c]);
    assert_eq!(file.get(&dial("hostb!1"), PARTITION), None);
    assert_eq!(file.get(&dial("hostb"), "/dev/other"), None);
    let accepted = DamagedStretch {
        block_type: None,
        score: None,
        accepted: true,
        ..damage(0x5a000, 1102)
    };
    assert_eq!(damages(&file, "hostb"), [damage(0x56901, 346), accepted]);
    assert_eq!(damages(&file, "hostc"), []);
    assert_eq!(text(&file), FILE);
}

#[test]
fn a_new_file_explains_itself_and_takes_places() {
    let mut file = Wrcmds::default();
    assert_eq!(file.places().count(), 0);
    file.set(&place("hostb", 794_624, 0x13dd9)).unwrap();
    file.set(&bare("hostc", 5, 0)).unwrap();
    let written = text(&file);
    let lines: Vec<&str> = written.lines().collect();
    let expected: Vec<&str> = FILE.lines().collect();
    assert!(lines[0].starts_with("# wrcmds: "));
    assert_eq!(lines[1..3], [expected[1], expected[4]]);
    assert_eq!(
        lines[3..],
        ["wrarena -h tcp!hostc!17034 -o 5 /dev/sdC0/arenas 0x0"]
    );
    assert_eq!(parse(&written), file);
}

#[test]
fn a_place_that_moves_changes_its_own_words_only() {
    let mut file = parse(FILE);
    file.set(&place("hostb", 794_624, 0x20000)).unwrap();
    assert_eq!(text(&file), FILE.replace("0x13dd9", "0x20000"));
    let later = Progress {
        acknowledged: Some(UNIX_EPOCH + Duration::from_millis(1500)),
        last: None,
        ..place("hostb", 1_843_200, 0)
    };
    file.set(&later).unwrap();
    let last = format!("last={SCORE}");
    let expected = FILE
        .replacen(&last, "last=none", 1)
        .replace("2026-11-22T04:00:00Z", "1970-01-01T00:00:01Z")
        .replace(
            "-o 794624 /dev/sdC0/arenas 0x13dd9",
            "-o 1843200 /dev/sdC0/arenas 0x0",
        );
    assert_eq!(text(&file), expected);
}

#[test]
fn a_line_of_an_operator_keeps_its_spelling_and_gets_its_comment() {
    let line =
        "\r\n # mine \u{e4}\r\n\t/bin/venti/wrarena  -vh HostB -- /dev/sdC0/arenas 010\r\n# end";
    let bytes: Vec<u8> = line.chars().map(|c| c as u8).collect();
    let mut file = Wrcmds::parse(&bytes).unwrap();
    assert_eq!(file.to_file(), bytes);
    assert_eq!(file.places().collect::<Vec<_>>(), [bare("hostb", 0, 8)]);
    file.set(&bare("hostb", 0, 8)).unwrap();
    assert_eq!(file.to_file(), bytes);
    file.set(&place("hostb", 0, 31)).unwrap();
    let mark = format!(
        "# place magic=0xf4040f0d last={SCORE} time=2026-11-22T04:00:00Z before={SCORE} arena=g 5.0\n"
    );
    let expected = line
        .replace("\t/bin", &format!("{mark}\t/bin"))
        .replace("010", "0x1f");
    let expected: Vec<u8> = expected.chars().map(|c| c as u8).collect();
    assert_eq!(file.to_file(), expected);
    // A last line without an end gets one before another follows.
    file.set(&bare("hostc", 0, 0)).unwrap();
    let added = b"# end\nwrarena -h tcp!hostc!17034 -o 0 /dev/sdC0/arenas 0x0\n";
    assert!(file.to_file().ends_with(added));
}

#[test]
fn of_two_lines_for_one_target_the_one_with_less_progress_is_the_place() {
    let other = "wrarena -h hostb:17034 -o 794624 /dev/sdC0/arenas 0x13dd8\n";
    let dup = format!(
        "{FILE}# damaged magic=1 head=2 offset=3 len=4 type=root score=unknown arena=x\n# note\n{other}"
    );
    let mut file = parse(&dup);
    let least = bare("hostb", 794_624, 0x13dd8);
    assert_eq!(file.get(&dial("hostb"), PARTITION), Some(least.clone()));
    assert_eq!(file.places().count(), 2);
    assert_eq!(damages(&file, "hostb").len(), 3);
    // The next set makes one of them, and loses neither damage nor notes.
    file.set(&Progress {
        offset: 0x13dda,
        ..least
    })
    .unwrap();
    let found = file.get(&dial("hostb"), PARTITION).unwrap();
    assert_eq!(found.offset, 0x13dda);
    assert_eq!(damages(&file, "hostb").len(), 3);
    let written = text(&file);
    assert_eq!(written.matches("hostb").count(), 1);
    assert!(written.contains("\n# note\n") && written.contains("\n# C stands"));
    assert_eq!(parse(&written), file);
    // What was accepted for one of them only is not accepted for the target.
    let both = format!(
        "{FILE}# damaged{}\n{other}",
        &FILE.lines().nth(3).unwrap()[10..]
    );
    let mut file = parse(&both);
    file.set(&place("hostb", 794_624, 0x13dda)).unwrap();
    let flags: Vec<bool> = damages(&file, "hostb").iter().map(|d| d.accepted).collect();
    assert_eq!(flags, [false, false, true]);
    // An earlier arena is less progress, whatever the offset there.
    let dup = format!("{FILE}wrarena -h hostb -o 5 /dev/sdC0/arenas 0xffffff\n");
    assert_eq!(parse(&dup).get(&dial("hostb"), PARTITION).unwrap().head, 5);
    // At the same place it is the one that has to be proved.
    let dup = format!("{FILE}{}", other.replace("13dd8", "13dd9"));
    assert_eq!(
        parse(&dup).get(&dial("hostb"), PARTITION).unwrap().last,
        None
    );
}

#[test]
fn a_stretch_has_no_more_clumps_than_an_arena_can_count() {
    let huge = "# damaged magic=1 head=2 offset=3 len=4 clumps=18446744073709551615 type=data score=unknown arena=x\n";
    let before = "wrarena -h tcp!hostb";
    let file = parse(&FILE.replace(before, &format!("{huge}{before}")));
    let clumps = damages(&file, "hostb")
        .into_iter()
        .map(|damage| damage.clumps);
    assert_eq!(clumps.max(), Some(u32::MAX.into()));
}

#[test]
fn damage_is_remembered_until_it_is_mended_or_accepted() {
    let mut file = parse(FILE);
    let b = dial("hostb");
    let new = damage(0x70000, 99);
    file.add_damages(&b, PARTITION, [new.clone()]).unwrap();
    let line = format!(
        "# damaged magic=0xf4040f0d head=794624 offset=0x70000 len=99 type=pointer2 score={SCORE} arena=g 5.0\n"
    );
    let before = "wrarena -h tcp!hostb";
    let expected = FILE.replace(before, &format!("{line}{before}"));
    assert_eq!(text(&file), expected);
    file.add_damages(&b, PARTITION, [new.clone()]).unwrap();
    assert_eq!(text(&file), expected);
    let mut left = damages(&file, "hostb");
    left.retain(|damage| *damage != new);
    file.set_damages(&b, PARTITION, &left).unwrap();
    assert_eq!(text(&file), FILE);
    let error = file
        .add_damages(&dial("hostd"), PARTITION, [new])
        .unwrap_err();
    assert_eq!(error.to_string(), "tcp!hostd!17034: has no line yet");
    assert_eq!(text(&file), FILE);
}

#[test]
fn accepted_damage_stays_accepted_unless_it_grows() {
    let mut file = parse(FILE);
    let b = dial("hostb");
    let accepted = |file: &Wrcmds| damages(file, "hostb")[1].accepted;
    file.add_damages(&b, PARTITION, [damage(0x5a000, 1102)])
        .unwrap();
    assert!(accepted(&file));
    file.add_damages(&b, PARTITION, [damage(0x5a000, 1103)])
        .unwrap();
    assert!(!accepted(&file));
    assert_eq!(damages(&file, "hostb").len(), 2);
    // The operator accepts the other one by hand.
    let edited = text(&file).replacen("# damaged", "#\taccepted", 1);
    assert!(damages(&parse(&edited), "hostb")[0].accepted);
}

#[test]
fn neighbouring_clumps_are_one_line_with_a_count() {
    let mut file = parse(FILE);
    let b = dial("hostb");
    let new = [
        damage(0x70000, 99),
        damage(0x70000 + 99, 1),
        damage(0x71000, 5),
    ];
    file.add_damages(&b, PARTITION, new).unwrap();
    let written = text(&file);
    assert!(written.contains(
        "# damaged magic=0xf4040f0d head=794624 offset=0x70000 len=100 clumps=2 \
         type=unknown score=unknown arena=g 5.0\n"
    ));
    assert_eq!(damages(&file, "hostb").len(), 4);
    assert_eq!(parse(&written), file);
    // The operator accepts them; what is told of again does not undo that.
    let mut file = parse(&written.replace("# damaged", "# accepted"));
    file.add_damages(&b, PARTITION, [damage(0x70000 + 99, 1)])
        .unwrap();
    assert!(damages(&file, "hostb").iter().all(|damage| damage.accepted));
}

#[test]
fn unreadable_blocks_stand_before_their_target() {
    let mut file = parse(FILE);
    let b = dial("hostb");
    let block = Unreadable {
        block_type: Some(BlockType::Pointer(2)),
        score: Some(abc()),
    };
    file.set_unreadable(&b, PARTITION, &[block.clone(), Unreadable::MORE])
        .unwrap();
    let lines = format!(
        "# unreadable type=pointer2 score={SCORE}\n# unreadable type=unknown score=unknown\n"
    );
    let before = "wrarena -h tcp!hostb";
    assert_eq!(
        text(&file),
        FILE.replace(before, &format!("{lines}{before}"))
    );
    assert_eq!(parse(&text(&file)), file);
    file.set_unreadable(&b, PARTITION, std::slice::from_ref(&block))
        .unwrap();
    let known: Vec<_> = file.unreadable(&b, PARTITION).cloned().collect();
    assert_eq!(known, [block]);
    file.set_unreadable(&b, PARTITION, &[]).unwrap();
    assert_eq!(text(&file), FILE);
}

#[test]
fn a_forgotten_target_takes_its_comments_along_and_no_others() {
    let mut file = parse(FILE);
    assert_eq!(file.forget(&dial("hostd")), 0);
    assert_eq!(text(&file), FILE);
    assert_eq!(file.forget(&dial("hostb:17034")), 1);
    let lines: Vec<&str> = FILE.split_inclusive('\n').collect();
    let forgotten = "# forgotten tcp!hostb!17034\n";
    let left = lines[0].to_owned() + &lines[5..].concat();
    assert_eq!(text(&file).replace(forgotten, ""), left);
    assert_eq!(text(&file).matches(forgotten).count(), 1);
    let mut file = parse("wrarena -h b p 0\nwrarena -h b q 0\n");
    assert_eq!(file.forget(&dial("b")), 2);
    // What is left can be read again: it is not an empty file.
    assert_eq!(parse(&text(&file)), file);
    assert_eq!(file.places().count(), 0);
}

#[test]
fn a_target_is_forgotten_until_it_has_a_place_again() {
    let mut file = parse(FILE);
    let b = dial("hostb");
    let place = file.get(&b, PARTITION).unwrap();
    assert!(!file.was_forgotten(&b));
    file.forget(&b);
    let mut file = parse(&text(&file));
    assert!(file.was_forgotten(&b) && !file.was_forgotten(&dial("hostd")));
    file.set(&place).unwrap();
    assert!(!file.was_forgotten(&b));
    assert!(!text(&file).contains("forgotten"));
}

#[test]
fn where_a_log_ended_is_a_field_of_its_own() {
    let open = Open {
        head: 794_624,
        offset: 0x56901,
        last: Some(abc()),
    };
    let mut file = Wrcmds::new();
    let known = Progress {
        open: Some(open),
        ..place("tcp!a!1", 0, 5)
    };
    file.set(&known).unwrap();
    let field = format!(" open=794624:0x56901:{SCORE} arena=g 5.0\n");
    assert!(text(&file).contains(&field), "{}", text(&file));
    assert_eq!(file.get(&dial("tcp!a!1"), PARTITION), Some(known));
    for wrong in ["open=1:2", "open=x:2:none", "open=1:y:none", "open=1:2:3"] {
        let line = field.split_once("open").unwrap().0;
        let text = text(&file).replace(&field, &format!("{line}{wrong} arena=g 5.0\n"));
        assert!(Wrcmds::parse(text.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_wrcmd_that_was_seen_stands_above_the_lines() {
    let mut file = Wrcmds::new();
    assert_eq!(file.seen(), None);
    file.set(&bare("tcp!a!1", 0, 5)).unwrap();
    let wrcmd = WrCmd::parse("wrarena -h a p 0x5").unwrap();
    file.see(&wrcmd);
    let text = text(&file);
    assert_eq!(text.lines().nth(1), Some("# seen wrarena -h a p 0x5"));
    // One too long to be a line here is not remembered.
    let blanks = " ".repeat(WrCmd::MAX_LEN - 20);
    let long = WrCmd::parse(format!("wrarena -h a p {blanks}0x6")).unwrap();
    file.see(&long);
    assert_eq!(file.seen(), Some(&wrcmd));
    // An operator's remark is none of ours.
    assert_eq!(parse("# seen yesterday\n").seen(), None);
}

#[test]
fn refusals_name_the_line_and_the_way_out() {
    let good = "wrarena -h b p 0\n";
    let mark = "# place magic=1 last=none time=unknown";
    let hurt = "# damaged magic=1 head=2 offset=3 len=4 type=data score=unknown arena=x";
    let cases = [
        (String::new(), "remove it, and every target is probed"),
        (
            "\n \t\n".to_owned(),
            "found nothing: put it back from a copy",
        ),
        (
            format!("{good}rm -rf /\n"),
            "line 2: expected one of the options",
        ),
        (
            format!("{good}\0\0\0"),
            "line 2: expected text, found the control character '\\0'",
        ),
        (
            format!("{good}# a\rb\n"),
            "line 2: expected text, found the control character '\\r'",
        ),
        (
            "wrarena p 0x0".to_owned(),
            "line 1: expected a wrarena command with -h",
        ),
        (
            "wrarena -h a!b!c!d p 0".to_owned(),
            "line 1: -h: expected tcp!host!port",
        ),
        (
            format!("\n{good}{mark}\n"),
            "line 3: expected a wrarena command after this comment",
        ),
        (
            format!("{mark}\n# x\n{mark}\n{good}"),
            "line 1: expected a wrarena command after",
        ),
        (
            format!("{hurt}\n{mark}\n{good}"),
            "line 1: expected a wrarena command after",
        ),
        (
            format!("# accept{}\n{good}", &hurt[9..]),
            "line 1: expected place, damaged, damaged-here, accepted or unreadable, found \"accept\"",
        ),
        (format!("# placed magic=\n{good}"), "found \"placed\""),
        (
            format!("# place magic=1 last=none\n{good}"),
            "line 1: expected a field time=",
        ),
        (format!("#accepted by joe\n{good}"), "found \"by\""),
        (format!("# accepted\n{good}"), "expected a field magic="),
        (
            format!("{mark} magic=1\n{good}"),
            "each once, found \"magic=1\"",
        ),
        (format!("{mark} colour=red\n{good}"), "found \"colour=red\""),
        (
            format!("{}\n{good}", mark.replace('1', "0x100000000")),
            "magic: expected a number below",
        ),
        (
            format!("{}\n{good}", mark.replace("none", "abc")),
            "last: a score has 40 hex digits",
        ),
        (
            format!("{}\n{good}", mark.replace("unknown", "noon")),
            "time: expected a time such as",
        ),
        (
            format!("{}\n{good}", hurt.replace("data", "pointer8")),
            "found \"pointer8\"",
        ),
        (
            format!("{}\n{good}", hurt.replace("offset=3", "offset=")),
            "offset: expected a decimal",
        ),
        (
            format!("{}\n{good}", hurt.replace(" arena=x", "")),
            "expected a field arena=",
        ),
        (
            format!("#{}\n{good}", "x".repeat(4096)),
            "line 1: expected at most 4096 bytes, found 4097",
        ),
    ];
    for (text, said) in cases {
        let message = refused(&text);
        assert!(message.contains(said), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn the_file_is_bounded() {
    let full = format!(
        "wrarena -h b {PARTITION} 0\n{}",
        "\n".repeat(Wrcmds::MAX_LINES - 1)
    );
    let mut file = parse(&full);
    let unchanged = file.clone();
    assert!(refused(&format!("{full}\n")).starts_with("line 100001: expected at most 100000"));
    for error in [
        file.add_damages(&dial("b"), PARTITION, [damage(1, 2)]),
        file.set(&place("b", 0, 1)),
        file.set(&bare("c", 0, 1)),
    ] {
        assert_eq!(error.unwrap_err().problem, Problem::TooMany);
    }
    assert!(file == unchanged);
    file.set(&bare("b", 0, 1)).unwrap();
    let long = vec![b'\n'; Wrcmds::MAX_LEN + 1];
    let problem = Wrcmds::parse(&long).unwrap_err().problem;
    assert_eq!(problem, Problem::TooLong(Wrcmds::MAX_LEN + 1));
}

#[test]
fn what_cannot_be_written_is_refused_or_left_out() {
    let mut file = Wrcmds::new();
    let blank = Progress {
        partition: "a b".to_owned(),
        ..place("b", 0, 0)
    };
    let error = file.set(&blank).unwrap_err();
    assert!(error.to_string().contains("\"a b\""), "{error}");
    assert_eq!(file, Wrcmds::new());
    let far = Progress {
        acknowledged: UNIX_EPOCH.checked_add(Duration::from_secs(1 << 40)),
        ..place("b", 0, 0)
    };
    file.set(&far).unwrap();
    assert!(text(&file).contains(" time=unknown "));
    assert_eq!(parse(&text(&file)), file);
}

fn any_name() -> impl Strategy<Value = Name> {
    prop::collection::vec(any::<u8>(), 0..64).prop_map(|field| Name::from_field(&field))
}

fn any_score() -> impl Strategy<Value = Score> {
    any::<[u8; 20]>().prop_map(Score::from_bytes)
}

fn few_dials() -> impl Strategy<Value = TargetName> {
    prop::sample::select(vec!["a", "b!2", "::1"]).prop_map(dial)
}

fn few_partitions() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["p", "/dev/x:1m-2m", "disk:arenas"]).prop_map(str::to_owned)
}

prop_compose! {
    fn any_open()(
        (head, offset) in any::<(u64, u64)>(),
        last in prop::option::of(any_score()),
    ) -> Open {
        Open { head, offset, last }
    }
}

prop_compose! {
    fn any_place()(
        target in few_dials(),
        partition in few_partitions(),
        (head, offset) in any::<(u64, u64)>(),
        arena in prop::option::of(any_name()),
        magic: Option<u32>,
        last in prop::option::of(any_score()),
        before in prop::option::of(any_score()),
        open in prop::option::of(any_open()),
        time in prop::option::of(0..253_402_300_800_u64),
    ) -> Progress {
        let acknowledged = time.map(|s| UNIX_EPOCH + Duration::from_secs(s));
        Progress { target, partition, head, offset, arena, magic, last, before, open, acknowledged }
    }
}

prop_compose! {
    fn any_damage()(
        (head, magic, len) in any::<(u64, u32, u64)>(),
        offset in 0..5_u64,
        clumps in 1..9_u64,
        number: u8,
        score in prop::option::of(any_score()),
        arena in any_name(),
        accepted: bool,
    ) -> DamagedStretch {
        let block_type = BlockType::from_disk(number % 16);
        DamagedStretch { head, magic, offset, len, clumps, block_type, score, arena, accepted }
    }
}

/// Lines as operators leave them, ours among them.
fn any_file() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "# C stands in the cellar",
        "",
        "  #",
        "# seen wrarena -h a p 0",
        "# seen yesterday",
        "wrarena -h a p 1",
        "wrarena -h tcp!b!2 -o 3 disk:arenas 0x4",
        "/bin/wrarena -vf -o0x5 -h [::1]:17034 p 6",
        "# place magic=0x00000001 last=none time=unknown before=none arena=x y \nwrarena -h b!2 p 0",
        "# damaged magic=1 head=2 offset=3 len=4 type=root score=unknown arena=\nwrarena -h a p 2",
        "# accepted magic=1 head=2 offset=9 len=4 clumps=7 type=unknown score=unknown arena=\nwrarena -h a p 2",
        "# unreadable type=unknown score=unknown\nwrarena -h a p 2",
    ]);
    let end = prop::sample::select(vec!["\n", "\r\n"]);
    prop::collection::vec((line, end), 0..12).prop_map(|lines| {
        let lines = lines.iter().map(|(line, end)| format!("{line}{end}"));
        format!("# mine\n{}", lines.collect::<String>())
    })
}

/// The bytes of a file without the lines of a target and partition and our
/// comments on them.
fn without(file: &Wrcmds, target: &TargetName, partition: &str) -> Vec<u8> {
    let mut rest = file.clone();
    for at in rest.commands(target, partition).into_iter().rev() {
        rest.remove(at);
    }
    rest.to_file()
}

proptest! {
    #[test]
    fn a_set_place_is_read_back_and_all_else_stays(
        file in any_file(),
        places in prop::collection::vec(any_place(), 1..5),
    ) {
        let mut file = parse(&file);
        for place in &places {
            let others: Vec<Progress> = file
                .places()
                .filter(|p| (&p.target, &p.partition) != (&place.target, &place.partition))
                .collect();
            let hurt: Vec<DamagedStretch> = file.damages(&place.target, &place.partition).cloned().collect();
            let rest = without(&file, &place.target, &place.partition);
            file.set(place).unwrap();
            prop_assert_eq!(file.get(&place.target, &place.partition), Some(place.clone()));
            prop_assert_eq!(without(&file, &place.target, &place.partition), rest);
            let mut now: Vec<Progress> = file.places().collect();
            now.retain(|p| p != place);
            prop_assert_eq!(now, others);
            for damage in hurt {
                prop_assert!(file.damages(&place.target, &place.partition).any(|d| *d == damage));
            }
            prop_assert_eq!(Wrcmds::parse(&file.to_file()), Ok(file.clone()));
        }
    }

    #[test]
    fn a_wrcmd_that_was_seen_is_read_back_and_all_else_stays(
        file in any_file(),
        offsets in prop::collection::vec(0..9_u64, 1..3),
    ) {
        let mut file = parse(&file);
        let places: Vec<Progress> = file.places().collect();
        for offset in offsets {
            let wrcmd = WrCmd::parse(format!("/bin/wrarena -h b\t-o 7 p {offset:#x}\r\n")).unwrap();
            file.see(&wrcmd);
            let seen = file.seen().unwrap().line();
            prop_assert_eq!(seen, wrcmd.line());
            prop_assert_eq!(file.positions(|line| line.seen().is_some()).count(), 1);
            prop_assert_eq!(Wrcmds::parse(&file.to_file()), Ok(file.clone()));
        }
        prop_assert_eq!(file.places().collect::<Vec<_>>(), places);
    }

    #[test]
    fn damage_is_read_back(place in any_place(), all in prop::collection::vec(any_damage(), 0..6)) {
        let mut file = Wrcmds::new();
        file.set(&place).unwrap();
        for damage in &all {
            file.add_damages(&place.target, &place.partition, [damage.clone()]).unwrap();
            prop_assert_eq!(Wrcmds::parse(&file.to_file()), Ok(file.clone()));
        }
        // Nothing that was added is outside of what is remembered.
        for damage in &all {
            let covers = |known: &DamagedStretch| {
                (known.head, known.magic) == (damage.head, damage.magic)
                    && known.offset <= damage.offset
                    && known.end() >= damage.end()
            };
            let covered = file.damages(&place.target, &place.partition).any(covers);
            prop_assert!(covered);
        }
        file.set_damages(&place.target, &place.partition, &[]).unwrap();
        prop_assert_eq!(file.damages(&place.target, &place.partition).count(), 0);
        prop_assert_eq!(file.forget(&place.target), 1);
        prop_assert!(file.was_forgotten(&place.target));
        prop_assert_eq!(file.places().count(), 0);
    }

    /// However it comes, damage is few stretches that hide none of it.
    #[test]
    fn stretches_are_few_and_hide_nothing(
        gaps in prop::collection::vec((0..4_u64, 1..9_u64), 1..5000),
        accepted in prop::collection::btree_set(0..5000_usize, 0..5),
    ) {
        let mut at = 0;
        let mut all = Vec::new();
        for (number, (gap, len)) in gaps.iter().enumerate() {
            at += gap;
            let accepted = accepted.contains(&number);
            all.push(DamagedStretch { accepted, ..damage(at, *len) });
            at += len;
        }
        let (known, new): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|d| d.accepted);
        let mut stretches = Stretches::new(known.clone());
        new.iter().for_each(|damage| stretches.add(damage.clone()));
        // Told of twice, it is no more.
        new.iter().rev().take(9).for_each(|damage| stretches.add(damage.clone()));
        let list = stretches.into_list();
        let (kept, open): (Vec<_>, Vec<_>) = list.iter().cloned().partition(|d| d.accepted);
        prop_assert_eq!(kept.len(), known.len());
        prop_assert!(open.len() <= Stretches::MOST + 2 * known.len());
        prop_assert_eq!(open.iter().map(|d| d.clumps).sum::<u64>(), new.len() as u64);
        for damage in &new {
            let after = open.partition_point(|known| known.offset <= damage.offset);
            prop_assert!(after > 0 && open[after - 1].end() >= damage.end());
        }
        for pair in list.windows(2) {
            prop_assert!(pair[0].end() <= pair[1].offset);
        }
    }

    #[test]
    fn any_bytes_are_kept_or_refused(bytes: Vec<u8>) {
        if let Ok(file) = Wrcmds::parse(&bytes) {
            prop_assert_eq!(file.to_file(), bytes);
        }
    }

    #[test]
    fn a_broken_file_is_kept_or_refused(at in 0..FILE.len(), cut in 0..3_usize, byte: u8) {
        let mut bytes = FILE.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(FILE.len()), [byte]);
        if let Ok(file) = Wrcmds::parse(&bytes) {
            prop_assert_eq!(&file.to_file(), &bytes);
        }
        bytes.truncate(at);
        if let Ok(file) = Wrcmds::parse(&bytes) {
            prop_assert_eq!(file.to_file(), bytes);
        }
    }
}
