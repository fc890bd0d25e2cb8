//! How wrcmd and wrcmds go together: each rule with the files before and
//! after.

use venti_tests::arena::PartitionBuilder;
use venti_tests::command::Output;
use venti_tests::venti::{Fault, How, On, Venti};
use venticore::codec::score::Score;

use crate::fixture::site::Site;

/// Writes, probes.
fn asked(venti: &Venti) -> (u64, u64) {
    let counts = venti.counts();
    (counts.writes, counts.probes)
}

fn end_of(site: &Site, venti: &Venti) -> String {
    format!("{}\n", site.command(&venti.dial(), 0, site.end(0)))
}

fn scores(site: &Site, numbers: std::ops::Range<usize>) -> Vec<Score> {
    numbers.map(|number| site.score(0, number)).collect()
}

/// A site and a target that is current, by runs of ours.
fn current(blocks: usize) -> (Site, Venti) {
    let (site, venti) = (Site::new(blocks), Venti::start());
    site.runs(&[&venti], 0);
    (site, venti)
}

fn assert_quiet(output: &Output) {
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn a_wrcmd_without_a_line_is_a_hint() {
    let site = Site::new(100);
    let venti = Venti::start();
    // The script moved on past a failure: block 30 never came.
    site.give(&venti, scores(&site, 0..30));
    site.give(&venti, scores(&site, 31..60));
    site.write("wrcmd", &site.command(&venti.dial(), 0, site.clump(60)));
    assert_quiet(&site.ventiprog().run());
    assert_eq!((venti.counts().writes, site.holes(&venti)), (41, 0));
    assert_eq!(site.file("wrcmd"), end_of(&site, &venti));
    assert_eq!(site.stands(&venti.dial()), Some((0, site.end(0))));
}

#[test]
fn a_hint_is_not_believed_by_a_server_without_a_probe_either() {
    let site = Site::new(100);
    let venti = Venti::faulty([Fault::no_probe()]);
    site.give(&venti, scores(&site, 0..30));
    site.write("wrcmd", &site.command(&venti.dial(), 0, site.clump(60)));
    assert_quiet(&site.ventiprog().run());
    assert_eq!((venti.counts().writes, site.holes(&venti)), (100, 0));
}

#[test]
fn trust_believes_a_hint_once_and_for_all() {
    let mut site = Site::new(100);
    let venti = Venti::start();
    site.write("wrcmd", &site.command(&venti.dial(), 0, site.clump(60)));
    assert_quiet(&site.ventiprog().arg("--trust").run());
    assert_eq!((venti.counts().writes, site.holes(&venti)), (40, 60));
    site.give(&venti, scores(&site, 0..60));
    site.add(5);
    assert_quiet(&site.ventiprog().run());
    assert_eq!((venti.counts().writes, site.holes(&venti)), (45, 0));
}

#[test]
fn trust_is_remembered_where_nothing_is_new_too() {
    let site = Site::new(100);
    let venti = Venti::start();
    site.give(&venti, scores(&site, 0..100));
    site.write("wrcmd", &end_of(&site, &venti));
    assert_quiet(&site.ventiprog().arg("--trust").run());
    assert_eq!(asked(&venti), (0, 0));
    assert_quiet(&site.ventiprog().run());
    assert_eq!(asked(&venti), (0, 0));
}

#[test]
fn a_wrcmd_ahead_is_said_and_the_stretch_is_probed() {
    let (mut site, venti) = current(50);
    let sent = site.partition.clumps().count();
    site.add(20);
    site.give(&venti, scores(&site, sent..sent + 15));
    site.write("wrcmd", &end_of(&site, &venti));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0);
    insta::assert_snapshot!(site.hermetic(&output.remarks(), &[(&venti.dial(), "HOST")]), @"ventiprog: DIR/arenas: wrcmd (0x46a64 in arena arena0 at 794624) is ahead of what HOST has acknowledged (0x3276c in arena arena0 at 794624): a script ran meanwhile, or it was edited; what lies between is probed");
    assert_eq!((venti.counts().writes, site.holes(&venti)), (55, 0));
    assert_eq!(site.file("wrcmd"), end_of(&site, &venti));
    assert_quiet(&site.ventiprog().run());
}

#[test]
fn a_wrcmd_set_back_is_obeyed() {
    let (site, venti) = current(50);
    let lost = scores(&site, 20..23);
    for score in &lost {
        venti.forget(venticore::codec::blocktype::BlockType::Data, score);
    }
    site.write("wrcmd", &site.command(&venti.dial(), 0, site.clump(20)));
    let output = site.ventiprog().run();
    let said = site.hermetic(&output.remarks(), &[(&venti.dial(), "HOST")]);
    let said: Vec<&str> = said.lines().filter(|l| l.contains("wrcmd")).collect();
    insta::assert_snapshot!(said.join("\n"), @"ventiprog: DIR/arenas: wrcmd (0x142f8 in arena arena0 at 794624) was set back behind what HOST has acknowledged (0x3276c in arena arena0 at 794624): the run starts at the wrcmd, and probes what lies between");
    // Read back as ever: it had acknowledged them.
    assert_eq!(output.status, 4, "{output:?}");
    assert_eq!((venti.counts().writes, site.holes(&venti)), (53, 0));
    assert_eq!(site.stands(&venti.dial()), Some((0, site.end(0))));
}

#[test]
fn a_wrcmd_in_an_earlier_arena_is_obeyed_too() {
    let mut site = Site::new(30);
    let venti = Venti::start();
    site.seal();
    site.add(20);
    site.runs(&[&venti], 0);
    let wrcmd = site.file("wrcmd");
    site.write("wrcmd", &site.command(&venti.dial(), 0, 0));
    let probes = venti.counts().probes;
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0);
    assert!(output.stderr.contains("was set back behind"), "{output:?}");
    assert_eq!(asked(&venti), (50, probes + 50));
    assert_eq!(site.file("wrcmd"), wrcmd);
}

#[test]
fn a_wrcmd_for_another_partition_is_a_new_source() {
    let (site, venti) = current(30);
    let other = Site::other(10);
    other.give(&venti, other.data.keys().copied().take(4));
    let line = site.place(&venti.dial());
    site.write("wrcmd", &other.command(&venti.dial(), 0, 0));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!((venti.counts().writes, other.holes(&venti)), (36, 0));
    assert_eq!(site.file("wrcmd"), end_of(&other, &venti));
    assert_eq!(
        site.place(&venti.dial()),
        line,
        "the other source keeps its line"
    );
    assert_eq!(site.wrcmds().places().count(), 2);
}

#[test]
fn a_source_formatted_again_is_probed_from_its_start() {
    let (mut site, venti) = current(30);
    site.format_again(&PartitionBuilder::new().seed(2).arenas(2, 8 << 20));
    site.add(40);
    site.write("wrcmd", &site.command(&venti.dial(), 0, 0));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    insta::assert_snapshot!(site.hermetic(&output.remarks(), &[(&venti.dial(), "HOST")]), @"ventiprog: DIR/arenas: the source was formatted again or is another venti: the arena at 794624 was arena0 with clump magic 0x910a2dec, and is arena0 with 0x975835de: HOST is probed from the start of the arena on");
    assert_eq!((venti.counts().writes, site.holes(&venti)), (70, 0));
    assert_quiet(&site.ventiprog().run());
}

/// A file system gone back to an older state, and other blocks since.
#[test]
fn a_source_that_lost_its_tail_and_was_filled_again_is_probed() {
    let (mut site, venti) = current(30);
    let before = std::fs::read(site.partition.path()).unwrap();
    site.add(30);
    site.runs(&[&venti], 0);
    std::fs::write(site.partition.path(), before).unwrap();
    site.partition = venti_tests::arena::Partition::open(&site.path("arenas")).unwrap();
    // As many blocks of the same size: a clump ends at the same place.
    site.add(35);
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    insta::assert_snapshot!(site.hermetic(&output.remarks(), &[(&venti.dial(), "HOST")]), @"ventiprog: DIR/arenas: arena arena0 at 794624 does not hold at 0x3c8e8 what it held: HOST is probed from the start of the arena on");
    assert_eq!((venti.counts().writes, site.holes(&venti)), (95, 0));
    assert_quiet(&site.ventiprog().run());
}

/// An older copy of the source: the wrcmd is ours, and names what is gone.
#[test]
fn a_source_restored_from_an_older_copy_is_probed_and_goes_on() {
    let (mut site, venti) = current(30);
    let before = std::fs::read(site.partition.path()).unwrap();
    site.add(30);
    site.runs(&[&venti], 0);
    std::fs::write(site.partition.path(), before).unwrap();
    site.partition = venti_tests::arena::Partition::open(&site.path("arenas")).unwrap();
    let new = Venti::start();
    let output = site.runs(&[&venti, &new], 0);
    let names = [(&*venti.dial(), "HOST"), (&*new.dial(), "NEW")];
    let said = site.hermetic(&output.stderr, &names);
    let said: Vec<&str> = said
        .lines()
        .filter(|l| l.contains("arena arena0"))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @"ventiprog: DIR/arenas: arena arena0 at 794624 does not hold at 0x3c8e8 what it held: HOST is probed from the start of the arena on");
    assert_eq!((site.holes(&venti), site.holes(&new)), (0, 0));
    assert_eq!(site.file("wrcmd"), end_of(&site, &venti));
    assert_quiet(&site.ventiprog().arg(new.dial()).run());
    site.add(5);
    assert_quiet(&site.ventiprog().arg(new.dial()).run());
    assert_eq!((venti.counts().writes, site.holes(&venti)), (65, 0));
}

/// The same where no record but the lines of wrcmds tells that the wrcmd is
/// ours, and where its arena is gone as a whole.
#[test]
fn a_wrcmd_that_agrees_with_a_line_is_no_edit_when_the_source_changes() {
    let (mut site, venti) = current(30);
    let lines = site.file("wrcmds");
    let lines = lines.lines().filter(|line| !line.starts_with("# seen "));
    site.write("wrcmds", &(lines.collect::<Vec<_>>().join("\n") + "\n"));
    let builder = PartitionBuilder::new().block_size(16384).seed(2);
    site.format_again(&builder.arenas(2, 8 << 20));
    site.add(10);
    let output = site.ventiprog().arg("-q").run();
    assert_eq!(output.status, 0, "{output:?}");
    insta::assert_snapshot!(site.hermetic(&output.stderr, &[(&venti.dial(), "HOST")]), @"ventiprog: DIR/arenas: the place of HOST is in an arena at 794624, but no arena is there: probed from the first arena on");
    assert_eq!(site.holes(&venti), 0);
    // A place of which nobody knows is one that somebody wrote there.
    site.write("wrcmd", &site.command(&venti.dial(), 0, site.end(0) + 7));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 1, "{output:?}");
    let said = "expected the end of a clump at the wrcmd's offset";
    assert!(output.stderr.contains(said), "{output:?}");
}

/// The wrcmd waits for the one that is down; that is nobody's edit.
#[test]
fn a_target_that_is_down_costs_the_others_no_probes() {
    let (mut site, venti) = (Site::new(50), Venti::start());
    let down = Venti::start();
    site.runs(&[&venti, &down], 0);
    let wrcmd = site.file("wrcmd");
    let gone = down.dial();
    drop(down);
    for night in 0..3 {
        site.add(40);
        let (writes, probes) = asked(&venti);
        let output = site.ventiprog().arg(&gone).run();
        assert_eq!(output.status, 3, "{output:?}");
        assert!(!output.stderr.contains("set back"), "{night}: {output:?}");
        // All that is new is asked for, and nothing of what is not.
        assert_eq!(asked(&venti), (writes + 40, probes + 40), "night {night}");
        assert_eq!(site.file("wrcmd"), wrcmd);
    }
    // An operator's edit is told from it still, and is obeyed.
    site.write("wrcmd", &site.command(&venti.dial(), 0, site.clump(20)));
    let output = site.ventiprog().arg(&gone).run();
    assert!(output.stderr.contains("was set back"), "{output:?}");
    // Once: the next run has obeyed it.
    let output = site.ventiprog().arg(&gone).run();
    assert!(!output.stderr.contains("set back"), "{output:?}");
}

/// A run ends before an edit was obeyed: the next one obeys it.
#[test]
fn an_edit_is_obeyed_by_the_run_that_reaches_the_target() {
    let (site, venti) = current(50);
    site.write("wrcmd", &site.command(&venti.dial(), 0, site.clump(20)));
    venti.fault(Fault::from(On::Probe, 1, How::Close));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 6, "{output:?}");
    venti.heal();
    let probes = venti.counts().probes;
    let output = site.ventiprog().run();
    assert!(output.stderr.contains("was set back"), "{output:?}");
    assert_eq!(venti.counts().probes, probes + 30, "{output:?}");
}

/// What was late keeps the wrcmd back, while the line goes on.
#[test]
fn an_unsynced_run_that_stopped_before_a_late_tail_is_no_edit() {
    let mut site = Site::new(40);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    site.add(20);
    let arena = &site.partition.arenas()[0];
    let (at, end) = (arena.base() + site.clump(55), arena.base() + site.end(0));
    let length = usize::try_from(end - at).unwrap();
    let tail = site.partition.read_raw(at, length).unwrap();
    site.partition.write_raw(at, &vec![0; length]).unwrap();
    let output = site.ventiprog().run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.stderr.contains("not on disk yet"), "{output:?}");
    site.partition.write_raw(at, &tail).unwrap();
    let probes = venti.counts().probes;
    assert_quiet(&site.ventiprog().run());
    assert_eq!((venti.counts().probes, site.holes(&venti)), (probes + 5, 0));
}

#[test]
fn the_first_target_is_retired_by_forget() {
    let mut site = Site::new(30);
    let (first, second) = (Venti::start(), Venti::start());
    site.runs(&[&first, &second], 0);
    site.add(10);
    let gone = first.dial();
    drop(first);
    assert_eq!(site.ventiprog().arg(second.dial()).run().status, 3);
    let output = site.ventiprog().args(["--forget", &gone]).run();
    let names = [(&*gone, "FIRST"), (&*second.dial(), "SECOND")];
    assert_eq!(output.status, 0, "{output:?}");
    insta::assert_snapshot!(site.hermetic(&output.stdout, &names), @r"
    wrarena -h FIRST -o 794624 DIR/arenas 0x1e474
    wrarena -h SECOND -o 794624 DIR/arenas 0x285f0
    ");
    insta::assert_snapshot!(site.hermetic(&output.stderr, &names), @r"
    ventiprog: FIRST: was the host of the wrcmd, which is now SECOND
    ventiprog: FIRST: forgotten, 1 line removed from wrcmds
    ");
    assert_eq!(site.file("wrcmd"), end_of(&site, &second));
    assert_eq!(site.place(&gone), None);
    let log = site.file("rootscor");
    assert!(
        log.trim_end().ends_with(site.file("wrcmd").trim_end()),
        "{log}"
    );
    // It does not come back, and the other goes on from its place.
    site.add(5);
    let writes = second.counts().writes;
    assert_quiet(&site.ventiprog().run());
    assert_eq!(
        (second.counts().writes, site.holes(&second)),
        (writes + 5, 0)
    );
    assert_eq!(site.wrcmds().places().count(), 1);
}

#[test]
fn forgetting_the_only_target_tells_how_to_retire_it() {
    let (site, venti) = current(30);
    let wrcmd = site.file("wrcmd");
    let output = site.ventiprog().args(["--forget", &venti.dial()]).run();
    assert_eq!((output.status, output.stdout.as_str()), (3, ""));
    insta::assert_snapshot!(site.hermetic(&output.stderr, &[(&venti.dial(), "HOST")]), @r"
    ventiprog: HOST: forgotten, 1 line removed from wrcmds
    ventiprog: HOST: is still the host of the wrcmd, since no other target has a place in DIR/arenas: the next run sends it what it lacks; to retire it, bring another up to date (ventiprog VENTI), then forget this one again
    ");
    assert_eq!(
        (site.file("wrcmd"), site.place(&venti.dial())),
        (wrcmd, None)
    );
    // A target with an empty disk is a new one then.
    venti.wipe();
    assert_quiet(&site.ventiprog().run());
    assert_eq!(site.holes(&venti), 0);
}

#[test]
fn a_forgotten_target_that_is_listed_is_said_to_come_back() {
    let site = Site::new(30);
    let (first, second) = (Venti::start(), Venti::start());
    site.runs(&[&first, &second], 0);
    let list = format!("{} {}", first.dial(), second.dial());
    let command = site.ventiprog().env("targetventis", list);
    let output = command.args(["--forget", &first.dial()]).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains("is still listed"), "{output:?}");
    assert_eq!(site.file("wrcmd"), end_of(&site, &second));
}

#[test]
fn a_target_that_is_not_asked_for_keeps_its_line_until_it_is_forgotten() {
    let mut site = Site::new(30);
    let (kept, left) = (Venti::start(), Venti::start());
    site.runs(&[&kept], 0);
    site.runs(&[&kept, &left], 0);
    site.add(10);
    let output = site.ventiprog().run();
    let said = format!("on record in wrcmds: {};", left.dial());
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.remarks().contains(&said), "{output:?}");
    assert_eq!((kept.counts().writes, left.counts().writes), (40, 30));
    let output = site.ventilag().run();
    let names = [(&*kept.dial(), "KEPT"), (&*left.dial(), "LEFT")];
    insta::assert_snapshot!(site.hermetic(&Site::places(&output), &names), @r"
    KEPT DIR/arenas arena0 0x285f0 behind 0 clumps 0 bytes on disk, acknowledged TIME
    LEFT DIR/arenas arena0 0x1e474 behind 10 clumps 41340 bytes on disk, acknowledged TIME
    ");

    let forget = || site.ventiprog().args(["--forget", &left.dial()]).run();
    let before = site.file("wrcmds");
    let output = forget();
    assert_eq!(output.status, 0);
    insta::assert_snapshot!(site.hermetic(&output.stderr, &names), @"ventiprog: LEFT: forgotten, 1 line removed from wrcmds");
    assert_eq!(site.place(&left.dial()), None);
    let forgotten = format!("# forgotten {}\n", left.dial());
    let kept_lines = site.file("wrcmds").replace(&forgotten, "");
    assert_eq!(site.file("wrcmds").matches(&forgotten).count(), 1);
    assert!(before.starts_with(&kept_lines), "only its own goes");
    let output = forget();
    assert_eq!(output.status, 1);
    assert!(
        output.stderr.contains("has no line in wrcmds"),
        "{output:?}"
    );
}

#[test]
fn two_spellings_are_one_target() {
    let site = Site::new(20);
    let venti = Venti::start();
    let port = venti.dial().rsplit('!').next().unwrap().to_owned();
    let spellings = [
        format!("127.0.0.1:{port}"),
        format!("127.0.0.1!{port}"),
        venti.dial(),
    ];
    let command = site.ventiprog().args(["-p", &site.part()]).args(spellings);
    assert_quiet(&command.run());
    assert_eq!((venti.counts().writes, venti.counts().duplicates), (20, 0));
    assert_eq!(site.wrcmds().places().count(), 1);
}

#[test]
fn a_target_that_is_the_source_is_refused() {
    let (site, venti) = current(20);
    let port = venti.dial().rsplit('!').next().unwrap().to_owned();
    let (wrcmd, wrcmds) = (site.file("wrcmd"), site.file("wrcmds"));
    for source in [venti.dial(), format!("localhost:{port}")] {
        let output = site.ventiprog().env("venti", &source).run();
        assert_eq!(output.status, 2, "{output:?}");
        let said = "is the source itself";
        assert!(output.stderr.contains(said), "{output:?}");
    }
    assert_eq!((site.file("wrcmd"), site.file("wrcmds")), (wrcmd, wrcmds));
    assert_eq!(venti.counts().syncs, 1, "nor is it synced");
}

#[test]
fn the_first_wrcmd_names_the_first_of_the_list() {
    let site = Site::new(20);
    let (first, second) = (Venti::start(), Venti::start());
    let words = format!("{}\x01{}", first.dial(), second.dial());
    let command = site.ventiprog().args(["-p", &site.part()]);
    let output = command.env("targetventis", words).run();
    assert_quiet(&output);
    let built = format!(
        "wrarena -h {} -o {} {} {:#x}\n",
        first.dial(),
        site.head(0),
        site.part(),
        site.end(0)
    );
    assert_eq!(
        (output.stdout, site.file("wrcmd")),
        (built.clone(), built.clone())
    );
    assert_eq!(built.matches("0x").count(), 1);
    let log = site.file("rootscor");
    let lines: Vec<&str> = log.lines().collect();
    let [comment, command] = lines.as_slice() else {
        panic!("{log}");
    };
    assert!(
        comment.starts_with("# ") && comment.ends_with(" ventiprog"),
        "{log}"
    );
    assert_eq!(*command, built.trim_end());
}

#[test]
fn without_a_target_there_is_nothing_to_do() {
    let site = Site::new(20);
    let output = site.ventiprog().args(["-p", &site.part()]).run();
    assert_eq!(output.status, 2);
    assert!(output.stderr.contains("no target"), "{output:?}");
    assert_eq!(site.file("wrcmd"), "");
}

#[test]
fn an_empty_source_gets_a_wrcmd_all_the_same() {
    let mut site = Site::empty(2);
    let venti = Venti::start();
    let output = site.runs(&[&venti], 0);
    let start = format!("{}\n", site.command(&venti.dial(), 0, 0));
    assert_eq!((output.stdout, site.file("wrcmd")), (start.clone(), start));
    site.add(3);
    assert_quiet(&site.ventiprog().run());
    assert_eq!(site.holes(&venti), 0);
}

#[test]
fn wrcmds_after_two_runs() {
    let mut site = Site::new(5);
    let (b, c) = (Venti::start(), Venti::start());
    site.runs(&[&b], 0);
    site.add(5);
    site.runs(&[&c], 0);
    let names = [(&*b.dial(), "B"), (&*c.dial(), "C")];
    insta::assert_snapshot!(site.hermetic(&site.file("wrcmds"), &names), @r"
    # wrcmds: the place that each venti has acknowledged in each partition; each line can be run as it stands, the comments before it belong to it
    # seen wrarena -h B -o 794624 DIR/arenas 0xa17c
    # place magic=0x910a2dec last=ef037b204c2ef4972d87f498b70703f0e5cb1b37 time=TIME before=da39a3ee5e6b4b0d3255bfef95601890afd80709 arena=arena0
    wrarena -h B -o 794624 DIR/arenas 0xa17c
    # place magic=0x910a2dec last=ef037b204c2ef4972d87f498b70703f0e5cb1b37 time=TIME before=da39a3ee5e6b4b0d3255bfef95601890afd80709 arena=arena0
    wrarena -h C -o 794624 DIR/arenas 0xa17c
    ");
    insta::assert_snapshot!(site.hermetic(&site.file("wrcmd"), &names), @"wrarena -h B -o 794624 DIR/arenas 0xa17c");
}
