//! Damage in numbers, damage that somebody has marked, and damage on a target.

use std::fs;

use venti_tests::arena::PartitionBuilder;
use venti_tests::command::Output;
use venti_tests::venti::Venti;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

use crate::fixture::site::Site;

/// The object for the first target that `-j` prints.
fn of_target(output: &Output) -> serde_json::Value {
    let line = output.stdout.lines().next().expect("a line of JSON");
    serde_json::from_str(line).unwrap()
}

/// A site with zeros from inside of clump `first` to inside of clump `last`.
fn with_hole(clumps: usize, first: usize, last: usize) -> Site {
    let mut site = Site::new(clumps);
    let base = site.partition.arenas()[0].base();
    let from = site.clump(first) + 100;
    let len = usize::try_from(site.clump(last) + 3000 - from).unwrap();
    site.partition
        .write_raw(base + from, &vec![0; len])
        .unwrap();
    site
}

#[test]
fn each_clump_of_a_hole_is_counted_and_named() {
    let site = with_hole(300, 20, 171);
    let venti = Venti::start();
    let output = site.run(&[&venti]);
    assert_eq!(output.status, 3, "{output:?}");
    for number in 20..=171 {
        let named = format!(
            "ventiprog: arena arena0 clump {:#x} score {}: ",
            site.clump(number),
            site.score(0, number)
        );
        assert!(output.stderr.contains(&named), "{number}: {output:?}");
    }
    assert_eq!(site.holes(&venti), 152);
    let lines: Vec<String> = site.file("wrcmds").lines().map(str::to_owned).collect();
    let damaged: Vec<&String> = lines
        .iter()
        .filter(|l| l.starts_with("# damaged"))
        .collect();
    assert_eq!(damaged.len(), 1, "{lines:?}");
    assert!(damaged[0].contains(" clumps=152 "), "{damaged:?}");
    // The next run says so again, in one line.
    let output = site.ventiprog().arg("-j").run();
    assert_eq!(output.status, 3, "{output:?}");
    assert_eq!(of_target(&output)["damaged"], 152, "{output:?}");
    assert!(
        output
            .stderr
            .contains(": 152 still damaged in the source and missing on the target")
    );
    // The first run of another target says the same.
    let other = Venti::start();
    let output = site.ventiprog().arg("-j").arg(other.dial()).run();
    let of_other = output.stdout.lines().nth(1).unwrap();
    let of_other: serde_json::Value = serde_json::from_str(of_other).unwrap();
    assert_eq!(of_other["damaged"], 152, "{output:?}");
}

#[test]
fn a_target_that_has_a_hole_from_elsewhere_lacks_nothing() {
    let site = with_hole(300, 20, 171);
    let venti = Venti::start();
    site.give(&venti, (20..=171).map(|number| site.score(0, number)));
    let run = site.ventiprog().args(["-j", "-p", &site.part()]);
    let output = run.arg(venti.dial()).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains("arena arena0 clump"), "{output:?}");
    let target = of_target(&output);
    assert_eq!(
        (&target["damaged"], &target["damaged_there"]),
        (&0.into(), &152.into())
    );
    assert_eq!((site.holes(&venti), site.damages(&venti)), (0, 0));
}

#[test]
fn of_a_hole_what_comes_later_is_taken_off() {
    let site = with_hole(300, 20, 171);
    let venti = Venti::start();
    site.runs(&[&venti], 3);
    site.give(&venti, (30..=171).map(|number| site.score(0, number)));
    let output = site.ventiprog().arg("-j").run();
    assert_eq!(of_target(&output)["damaged"], 10, "{output:?}");
    assert!(site.file("wrcmds").contains(" clumps=10 "));
    // Reading everything back does not take the rest for missing.
    let output = site.ventiprog().args(["-j", "--verify"]).run();
    assert_eq!(output.status, 3, "{output:?}");
    assert_eq!(of_target(&output)["missing"], 0, "{output:?}");
    site.give(&venti, (20..30).map(|number| site.score(0, number)));
    assert_eq!(site.ventiprog().run().status, 0);
    assert_eq!(site.damages(&venti), 0);
}

/// Many small clumps, every fourth of them with a flipped bit.
fn every_fourth(clumps: usize) -> (Site, Vec<Score>) {
    let mut site = Site::built(&PartitionBuilder::new().arenas(1, 2 << 20));
    site.add_small(clumps);
    let lost: Vec<usize> = (0..clumps).step_by(4).collect();
    for &number in &lost {
        site.partition.flip_data(0, number, 3).unwrap();
    }
    let scores = lost.iter().map(|&number| site.score(0, number)).collect();
    (site, scores)
}

#[test]
fn damage_everywhere_costs_few_lines_and_is_all_remembered() {
    let (mut site, lost) = every_fourth(6000);
    let venti = Venti::start();
    for run in 1..=2 {
        let output = site.run(&[&venti]);
        assert_eq!(output.status, 3, "{output:?}");
        assert!(output.stderr.lines().count() < 300, "run {run}");
        assert!(
            output.stderr.contains(" 1500 clumps are "),
            "{}",
            output.stderr
        );
        assert!(site.damages(&venti) <= 1000);
    }
    let output = site.ventiprog().arg("-j").run();
    assert_eq!(of_target(&output)["damaged"], 1500, "{output:?}");
    let output = site.ventiprog().args(["-j", "--verify"]).run();
    assert_eq!(output.status, 3, "{output:?}");
    assert_eq!(of_target(&output)["missing"], 0, "{output:?}");
    // A whole clump between them that the target loses is sent again.
    let score = site.score(0, 1);
    venti.forget(BlockType::Data, &score);
    assert_eq!(site.ventiprog().run().status, 3);
    assert!(venti.contains(BlockType::Data, &score));
    // What is mended in the source is sent, and all is well.
    for number in (0..6000).step_by(4) {
        site.partition.flip_data(0, number, 3).unwrap();
    }
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!((site.holes(&venti), site.damages(&venti)), (0, 0));
    assert!(
        lost.iter()
            .all(|score| venti.contains(BlockType::Data, score))
    );
}

/// Stretches that were made one hold whole clumps too, which are no accepted damage.
#[test]
fn a_whole_block_between_accepted_damage_is_missed() {
    let (site, lost) = every_fourth(6000);
    let venti = Venti::start();
    assert_eq!(site.run(&[&venti]).status, 3);
    let accepted = site.file("wrcmds").replace("# damaged ", "# accepted ");
    site.write("wrcmds", &accepted);
    let verify = || site.ventiprog().args(["-j", "--verify"]).run();
    let output = verify();
    assert_eq!(output.status, 0, "{output:?}");
    let wrcmds = site.wrcmds();
    let (dial, part) = (venti.dial().parse().unwrap(), site.part());
    let whole = (0..6000).find(|number| {
        let mut all = wrcmds.damages(&dial, &part);
        let at = site.clump(*number);
        number % 4 != 0 && all.any(|d| d.offset < at && at < d.end())
    });
    let score = site.score(0, whole.unwrap());
    venti.forget(BlockType::Data, &score);
    let output = verify();
    assert_eq!(output.status, 4, "{output:?}");
    assert_eq!(of_target(&output)["missing"], 1, "{output:?}");
    let said = format!("data block {score} is missing, but was acknowledged before");
    assert!(output.stderr.contains(&said), "{output:?}");
    assert!(venti.contains(BlockType::Data, &score));
    let output = verify();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert!(
        !lost
            .iter()
            .any(|score| venti.contains(BlockType::Data, score))
    );
}

/// Whole clumps with a damaged header: each block goes, and few lines are said.
#[test]
fn many_damaged_headers_cost_nothing_but_a_count() {
    let mut site = Site::built(&PartitionBuilder::new().arenas(1, 2 << 20));
    site.add_small(2000);
    for number in 0..1000 {
        site.partition
            .edit_header(0, number, |header| header[0] ^= 1)
            .unwrap();
    }
    let venti = Venti::start();
    let output = site.run(&[&venti]);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.stderr.lines().count() < 300);
    let counted = ": 1000 blocks were sent although their header or directory entry is damaged";
    assert!(output.stderr.contains(counted), "{}", output.stderr);
    assert_eq!((site.holes(&venti), site.damages(&venti)), (0, 0));
}

#[test]
fn a_clump_marked_as_corrupt_is_named_and_looked_for() {
    let mut site = Site::new(30);
    site.partition.give_up(0, 7).unwrap();
    let venti = Venti::start();
    let score = site.score(0, 7);
    let output = site.runs(&[&venti], 3);
    let named = format!(
        "ventiprog: arena arena0 clump {:#x} score {score}: marked as corrupt",
        site.clump(7)
    );
    assert!(output.stderr.contains(&named), "{output:?}");
    assert_eq!(site.damages(&venti), 1);
    assert_eq!(site.ventiprog().run().status, 3);
    // A target that has it from elsewhere has it under some type.
    site.give(&venti, [score]);
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.damages(&venti), 0);
    let second = Venti::start();
    site.give(&second, [score]);
    let output = site.runs(&[&second], 0);
    assert!(output.stderr.contains(&named), "{output:?}");
    let whole = format!(
        "ventiprog: {}: has each block that is damaged in the source (1): nothing is lost there\n",
        second.dial()
    );
    assert!(output.stderr.contains(&whole), "{output:?}");
    // wrarena names it too.
    let third = Venti::start();
    let output = venti_tests::command::Command::new("wrarena")
        .args(["-h", &third.dial()])
        .arg(site.partition.path())
        .run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.stderr.contains("marked as corrupt"), "{output:?}");
}

#[test]
fn a_block_that_a_target_cannot_give_back_is_on_record_until_it_does() {
    // More than a run reads back at random.
    let mut site = Site::new(900);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 400);
    venti.corrupt(BlockType::Data, &score);
    let output = site.ventiprog().arg("--verify").run();
    assert_eq!(output.status, 4, "{output:?}");
    let line = format!("# unreadable type=data score={score}\n");
    assert!(
        site.file("wrcmds").contains(&line),
        "{}",
        site.file("wrcmds")
    );
    let before = site.file("wrcmd");
    for _ in 0..2 {
        site.add(3);
        let output = site.ventiprog().run();
        assert_eq!(output.status, 4, "{output:?}");
        assert!(output.stderr.contains("is damaged there"), "{output:?}");
        assert!(site.file("wrcmds").contains(&line));
        assert_eq!(site.file("wrcmd"), before, "it stays where it is");
    }
    site.give(&venti, [score]);
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(!site.file("wrcmds").contains("unreadable"));
    assert_eq!(site.holes(&venti), 0);
}

#[test]
fn a_block_on_record_that_a_target_has_lost_is_sent_again() {
    let site = Site::new(900);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 400);
    venti.corrupt(BlockType::Data, &score);
    assert_eq!(site.ventiprog().arg("--verify").run().status, 4);
    venti.forget(BlockType::Data, &score);
    assert_eq!(site.ventiprog().run().status, 4);
    assert!(venti.contains(BlockType::Data, &score));
    let output = site.ventiprog().run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(!site.file("wrcmds").contains("unreadable"));
}

/// A target whose disk is spoilt has a few of its blocks listed, and one line
/// that says that there are more.
#[test]
fn a_target_with_more_damage_than_is_listed_stays_unverified() {
    let mut site = Site::built(&PartitionBuilder::new().arenas(1, 2 << 20));
    site.add_small(1500);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let scores: Vec<Score> = (0..1200).map(|number| site.score(0, number)).collect();
    for score in &scores {
        venti.corrupt(BlockType::Data, score);
    }
    assert_eq!(site.ventiprog().arg("--verify").run().status, 4);
    let wrcmds = site.file("wrcmds");
    assert_eq!(wrcmds.matches("# unreadable ").count(), 1001);
    assert!(wrcmds.contains("# unreadable type=unknown score=unknown\n"));
    // What is listed is cured: there are more.
    site.give(&venti, scores.iter().copied().take(1199));
    assert_eq!(site.ventiprog().run().status, 4);
    assert_eq!(site.ventiprog().arg("--verify").run().status, 4);
    assert_eq!(site.file("wrcmds").matches("# unreadable ").count(), 1);
    site.give(&venti, scores);
    assert_eq!(site.ventiprog().run().status, 0);
    fs::metadata(site.state("wrcmds")).unwrap();
}

/// A site with one damaged clump, and a target that has its block from elsewhere.
fn only_there() -> (Site, Venti, Score) {
    let mut site = Site::new(30);
    site.partition.flip_data(0, 7, 3).unwrap();
    let (venti, score) = (Venti::start(), site.score(0, 7));
    site.give(&venti, [score]);
    site.runs(&[&venti], 0);
    (site, venti, score)
}

fn spared(site: &Site) -> usize {
    let lines = site.file("wrcmds");
    lines.matches("# damaged-here ").count()
}

#[test]
fn what_only_a_target_has_is_on_record_until_the_source_is_mended() {
    let (mut site, venti, _) = only_there();
    assert_eq!((spared(&site), site.damages(&venti)), (1, 0));
    let run = |site: &Site, options: &[&str]| site.ventiprog().args(options).run();
    let list = |site: &Site, options: &[&str]| site.ventilag().args(options).run();
    for _ in 0..2 {
        // Nothing is lost, so that a night is no reason for mail.
        let output = run(&site, &["-q"]);
        assert_eq!((output.status, &*output.stderr), (0, ""));
        let output = run(&site, &["-j"]);
        assert_eq!(of_target(&output)["damaged_there"], 1, "{output:?}");
        let output = run(&site, &["-q", "--verify"]);
        let said = format!(
            "ventiprog: {}: damaged in the source and whole on the target: 1 of the clumps of {}\n",
            venti.dial(),
            site.part()
        );
        assert_eq!((output.status, output.stderr), (3, said));
        let output = list(&site, &[]);
        let said = "Z, 1 damaged in the source and whole on the target\n";
        assert!(Site::places(&output).ends_with(said), "{output:?}");
        assert_eq!(of_target(&list(&site, &["-j"]))["damaged_there"], 1);
        assert_eq!(list(&site, &["--warn", "48"]).status, 3);
    }
    site.partition.flip_data(0, 7, 3).unwrap();
    let output = run(&site, &[]);
    assert_eq!(output.status, 0, "{output:?}");
    let said = ": mended in the source\n";
    assert!(output.stderr.contains(said), "{output:?}");
    assert_eq!(spared(&site), 0);
    let output = run(&site, &["-q", "--verify"]);
    assert_eq!((output.status, &*output.stderr), (0, ""));
    assert_eq!(list(&site, &["--warn", "48"]).status, 0);
}

#[test]
fn what_only_a_target_had_is_lost_when_it_loses_it() {
    let (site, venti, score) = only_there();
    venti.forget(BlockType::Data, &score);
    let output = site.ventiprog().run();
    assert_eq!(output.status, 4, "{output:?}");
    let said = ": damaged in the source, and the target no longer gives back 1 of them\n";
    assert!(output.stderr.contains(said), "{output:?}");
    assert_eq!((spared(&site), site.damages(&venti)), (0, 1));
    // And is on record again when it has it.
    site.give(&venti, [score]);
    assert_eq!(site.ventiprog().run().status, 0);
    assert_eq!((spared(&site), site.damages(&venti)), (1, 0));
}

#[test]
fn a_hole_that_a_target_has_from_elsewhere_is_one_line() {
    let site = with_hole(300, 20, 171);
    let venti = Venti::start();
    site.give(&venti, (20..=171).map(|number| site.score(0, number)));
    site.runs(&[&venti], 0);
    assert_eq!((spared(&site), site.damages(&venti)), (1, 0));
    let output = site.ventiprog().arg("--verify").run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output.stderr.contains(": 152 of the clumps of "),
        "{output:?}"
    );
    let said = "; 152 are damaged in the source and whole on a target";
    assert!(output.summary().contains(said), "{output:?}");
    // An operator may say that it does not count.
    let accepted = site.file("wrcmds");
    let accepted = accepted.replace("# damaged-here ", "# accepted ");
    site.write("wrcmds", &accepted);
    let output = site.ventiprog().args(["-q", "--verify"]).run();
    assert_eq!((output.status, &*output.stderr), (0, ""));
    assert_eq!(site.file("wrcmds").matches("# accepted ").count(), 1);
}
