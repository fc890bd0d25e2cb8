//! rootcheck: a root is whole on a venti or it is not, and each block that is not is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::golden;
use venti_tests::venti::{Fault, How, On, Venti, closed_port};
use venticore::codec::blocktype::{BlockName, BlockType};
use venticore::codec::score::Score;

use crate::fixture::archives::{ARCHIVES, manifest_blocks};

/// The names of the golden archives in the manifest, in the order of [`ARCHIVES`].
const NAMES: [&str; 3] = ["archived-8k", "archived2-8k", "archived-4k"];

/// A state directory, and runs of rootcheck with it.
struct Checks {
    dir: TempDir,
}

impl Checks {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Checks { dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let state = self.state();
        let command = Command::new("rootcheck").arg("-d").arg(state);
        command.args(arguments)
    }

    fn run(&self, venti: &Venti, arguments: &[&str]) -> Output {
        let dial = venti.dial();
        self.command(&["-h", &dial]).args(arguments).run()
    }

    /// The lines of the file of verdicts.
    fn verified(&self) -> Vec<String> {
        let text = fs::read_to_string(self.state().join("verified")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The line of a root on a venti.
fn line(score: &str, venti: &Venti, verdict: &str, blocks: u64) -> String {
    format!("vac:{score} {} {verdict} {blocks} ", venti.dial())
}

#[track_caller]
fn assert_printed(output: &Output, status: i32, lines: &[String]) {
    assert_eq!(output.status, status, "{output:?}");
    let printed: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(printed.len(), lines.len(), "{lines:?}: {output:?}");
    for line in lines {
        let is_there = printed.iter().any(|printed| printed.starts_with(line));
        assert!(is_there, "{line}: {output:?}");
    }
}

#[test]
fn archives_of_fossils_are_whole_and_their_history_is_read_only_when_asked_for() {
    let venti = golden::archives();
    let manifest = golden::json("fossil/manifest.json");
    for (name, (score, _)) in NAMES.iter().zip(ARCHIVES) {
        let all = manifest_blocks(&manifest, name).len() as u64;
        let reads = venti.counts().reads;
        let checks = Checks::new();
        let output = checks.run(&venti, &["-c", score]);
        assert_printed(&output, 0, &[line(score, &venti, "whole", all)]);
        assert_eq!(venti.counts().reads - reads, all, "{name}");
        assert_eq!(output.stderr, "");
        let output = checks.run(&venti, &[score]);
        assert_eq!(output.status, 0, "{output:?}");
        let blocks: u64 = output.stdout.split(' ').nth(3).unwrap().parse().unwrap();
        assert!(blocks < all, "{name}: {blocks} of {all}");
        // What was printed is on record, with the options that matter.
        let [with, without] = &checks.verified()[..] else {
            panic!("{:?}", checks.verified());
        };
        assert!(with.ends_with("Z rootcheck -c") && without.ends_with("Z rootcheck"));
        assert!(without.starts_with(output.stdout.trim_end()), "{without}");
        let path = checks.state().join("verified");
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
    }
}

#[test]
fn archives_of_vac_are_whole_whatever_their_block_size() {
    for name in golden::PARTITIONS {
        let venti = Venti::start();
        for (ty, data) in golden::blocks(&format!("{name}.part")) {
            let _ = venti.insert(ty, &data);
        }
        let json = golden::json(&format!("{name}.json"));
        for root in json["roots"].as_array().unwrap() {
            let text = root["score"].as_str().unwrap();
            let blocks = root["without_prev"]["blocks"].as_u64().unwrap();
            let checks = Checks::new();
            let reads = venti.counts().reads;
            let output = checks.run(&venti, &["-c", text]);
            let score = text.rsplit(':').next().unwrap();
            assert_printed(&output, 0, &[line(score, &venti, "whole", blocks)]);
            assert_eq!(venti.counts().reads - reads, blocks, "{text}");
        }
    }
}

/// Every block of an archive, one at a time.
#[test]
fn each_block_that_is_missing_or_damaged_is_named_with_its_file() {
    let manifest = golden::json("fossil/manifest.json");
    let (name, (score, _)) = (NAMES[1], ARCHIVES[1]);
    let venti = golden::archives();
    let checks = Checks::new();
    let mut unnamed = 0;
    for (ty, bad) in manifest_blocks(&manifest, name) {
        let block = venti.get(ty, &bad).unwrap();
        for (damaged, verdict, says) in [
            (false, "missing", "not on this venti"),
            (true, "damaged", "cannot be read: "),
        ] {
            match damaged {
                true => assert!(venti.corrupt(ty, &bad)),
                false => assert!(venti.forget(ty, &bad)),
            }
            let output = checks.run(&venti, &["-j", "-c", score]);
            assert_eq!(output.status, 4, "{output:?}");
            let json: Value = serde_json::from_str(&output.stdout).unwrap();
            assert_eq!(json["verdict"], verdict, "{output:?}");
            let found = &json["found"]["bad"][0];
            assert_eq!(found["score"], bad.to_string(), "{output:?}");
            assert_eq!(found["type"], ty.to_string(), "{output:?}");
            let fault = found["fault"].as_str().unwrap();
            assert!(fault.starts_with(says), "{output:?}");
            let path = found["path"].as_str().unwrap();
            assert!(!path.is_empty(), "{output:?}");
            let at = match found["offset"].as_u64() {
                None | Some(0) => String::new(),
                Some(at) => format!(" at byte {at}"),
            };
            let said = format!("{path}: {}{at}: {fault}", BlockName(ty, bad));
            assert!(output.stderr.contains(&said), "{output:?}");
            // Above the root directory there are no names.
            let has_name = path.starts_with('/') && !path.contains("entry");
            unnamed += u64::from(!has_name);
            let output = checks.run(&venti, &["-q", score]);
            assert_eq!(output.stdout.is_empty(), output.status == 0, "{output:?}");
            let _ = venti.insert(ty, &block);
        }
    }
    // The root, the block below it, the block with the sources, the root directory's
    // metadata: each missing, and damaged.
    assert!(unnamed <= 2 * 5, "{unnamed}");
    assert_eq!(checks.run(&venti, &["-c", score]).status, 0);
}

#[test]
fn what_is_asked_for_is_present_and_never_whole() {
    let (venti, checks) = (golden::archives(), Checks::new());
    let (score, _) = ARCHIVES[2];
    let output = checks.run(&venti, &["-a", score]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(output.stdout.contains(" present "), "{output:?}");
    assert!(venti.counts().probes > 10);
    // Nor where the server cannot be asked, and everything is read.
    venti.fault(Fault::no_probe());
    let output = checks.run(&venti, &["-ac", score]);
    assert!(output.stdout.contains(" present "), "{output:?}");
    venti.heal();
    // What is only damaged is not found so.
    let data = golden::json("fossil/manifest.json");
    let mut blocks = manifest_blocks(&data, NAMES[2]).into_iter();
    let (ty, leaf) = blocks.rfind(|(ty, _)| *ty == BlockType::Data).unwrap();
    assert!(venti.corrupt(ty, &leaf));
    assert_eq!(checks.run(&venti, &["-ac", score]).status, 0);
    assert_eq!(checks.run(&venti, &["-c", score]).status, 4);
    assert!(venti.forget(ty, &leaf));
    assert_eq!(checks.run(&venti, &["-ac", score]).status, 4);
    let words: Vec<String> = checks.verified();
    assert!(
        words.iter().all(|line| !line.contains(" whole ")),
        "{words:?}"
    );
    assert!(words[0].ends_with(" rootcheck -a"), "{words:?}");
    assert!(words.last().unwrap().contains(" missing "), "{words:?}");
}

#[test]
fn a_block_of_another_type_is_not_a_root() {
    let (venti, checks) = (Venti::start(), Checks::new());
    for ty in [BlockType::Data, BlockType::Dir, BlockType::Pointer(3)] {
        let score = venti.insert(ty, &[7; 300]).to_string();
        let output = checks.run(&venti, &[&score]);
        let said = format!("not a root: expected a root block, found a {ty} block");
        output.assert_refused(4, &said);
        venti.wipe();
    }
    // Nor is a root block that is none.
    let score = venti.insert(BlockType::Root, &[7; 300]).to_string();
    let output = checks.run(&venti, &[&score]);
    assert_printed(&output, 4, &[line(&score, &venti, "damaged", 0)]);
    assert!(output.stderr.contains("expected version 2"), "{output:?}");
    assert_eq!(checks.verified().len(), 1);
}

#[test]
fn a_target_that_is_down_or_silent_costs_the_others_nothing() {
    let (venti, silent, checks) = (golden::archives(), golden::archives(), Checks::new());
    silent.fault(Fault::from(On::Read, 3, How::Silence));
    let closed = closed_port();
    let (score, _) = ARCHIVES[0];
    let targets = format!(
        "targets = ['{}', '{}', '{closed}']\n",
        silent.dial(),
        venti.dial()
    );
    let config = format!("{targets}[limits]\nsilence = 1\nretries = 0\n");
    let output = checks.command(&[score]).config(&config).run();
    assert_printed(&output, 3, &[line(score, &venti, "whole", 62)]);
    assert!(output.stderr.contains(&closed), "{output:?}");
    assert!(output.stderr.contains(&silent.dial()), "{output:?}");
    assert_eq!(checks.verified().len(), 1);
    // None of them: that may pass.
    let output = checks.command(&["-h", &closed, score]).run();
    output.assert_refused(6, "cannot connect");
    assert_eq!(checks.verified().len(), 1);
    // Each root that was not decided has its line of JSON.
    let output = checks
        .command(&["-j", "-h", &closed, score, ARCHIVES[1].0])
        .run();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!((output.status, lines.len()), (6, 2), "{output:?}");
    for line in lines {
        let json: Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["verdict"], Value::Null);
        assert!(json["error"].as_str().unwrap().contains("cannot connect"));
    }
}

#[test]
fn a_target_that_falls_silent_over_and_over_is_given_up() {
    let (venti, checks) = (golden::archives(), Checks::new());
    // It gives a few blocks each time.
    let faults = (1..50).map(|n| Fault::at(On::Read, 5 * n, How::Silence));
    faults.for_each(|fault| venti.fault(fault));
    let config = "[limits]\nsilence = 1\nretries = 2\n";
    let output = checks
        .command(&["-c", "-h", &venti.dial(), ARCHIVES[1].0])
        .config(config)
        .run();
    output.assert_refused(6, "no answer");
    assert!(venti.counts().connections <= 3);
    assert_eq!(checks.verified().len(), 0);
}

#[test]
fn a_verdict_that_cannot_be_recorded_is_printed_and_makes_a_failure() {
    let (venti, checks) = (golden::archives(), Checks::new());
    let (score, _) = ARCHIVES[0];
    fs::create_dir_all(checks.state().join("verified")).unwrap();
    fs::set_permissions(checks.state(), PermissionsExt::from_mode(0o700)).unwrap();
    let output = checks.run(&venti, &[score]);
    assert_printed(&output, 1, &[line(score, &venti, "whole", 62)]);
    assert!(output.stderr.contains("verified: "), "{output:?}");
}

#[test]
fn a_venti_that_is_lost_is_dialled_again_and_the_check_goes_on() {
    let (venti, checks) = (golden::archives(), Checks::new());
    let (score, _) = ARCHIVES[1];
    for read in [1, 2, 5, 20, 40] {
        venti.fault(Fault::at(On::Read, venti.counts().reads + read, How::Close));
        let output = checks.run(&venti, &["-c", score]);
        assert_printed(&output, 0, &[line(score, &venti, "whole", 79)]);
        venti.heal();
    }
}

#[test]
fn without_a_score_the_newest_root_of_each_partition_is_checked() {
    let (venti, checks) = (golden::archives(), Checks::new());
    let log = format!(
        "# 2026-11-22T04:30:02Z gridfour fossilize\n\
         vac:{} /dev/a tcp!v!17034\n\
         vac:{} /dev/b\n\
         wrarena -h tcp!v!17034 -o 794624 /dev/sdC0/arenas 0x0\n\
         vac:{} /dev/a tcp!v!17034\n\
         vac:{} /dev/c\n\
         vac:{} /dev/a\n",
        ARCHIVES[0].0,
        ARCHIVES[2].0,
        ARCHIVES[1].0,
        ARCHIVES[2].0,
        Score::ZERO
    );
    fs::create_dir(checks.state()).unwrap();
    fs::set_permissions(checks.state(), PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(checks.state().join("rootscor"), &log).unwrap();
    let planned = checks.run(&venti, &["-n"]);
    let expected =
        [ARCHIVES[1].0, ARCHIVES[2].0].map(|score| format!("vac:{score} {}", venti.dial()));
    assert_printed(&planned, 0, &expected);
    assert_eq!(
        (venti.counts().connections, checks.verified().len()),
        (0, 0)
    );
    let output = checks.run(&venti, &["-v"]);
    assert_printed(&output, 0, &expected);
    assert!(
        output.stderr.contains("of /dev/b and /dev/c: whole"),
        "{output:?}"
    );
    assert_eq!(checks.verified().len(), 2);
    // A score is a key: of a root only its first digits are in messages.
    assert!(!output.stderr.contains(ARCHIVES[1].0), "{output:?}");
    // An older root is checked in place of one that is mistyped, which is said.
    fs::write(
        checks.state().join("rootscor"),
        format!("{log}vac:12 /dev/a\n"),
    )
    .unwrap();
    let spoilt = checks.run(&venti, &[]);
    assert_eq!((spoilt.status, spoilt.stdout.lines().count()), (3, 2));
    assert!(
        spoilt.stderr.contains("the last line of a root is not"),
        "{spoilt:?}"
    );
    let all = checks.command(&["-h", &venti.dial(), "-"]);
    let output = all
        .stdin(
            log.replace(&format!("vac:{}", Score::ZERO), "# ")
                .as_bytes(),
        )
        .run();
    assert_eq!(
        (output.status, output.stdout.lines().count()),
        (0, 3),
        "{output:?}"
    );
    // Lines that name no root are named, and the others are checked all the same.
    let input = format!("vac:{0}\n{log}vac:{0}\n", "0".repeat(40));
    let all = checks.command(&["-h", &venti.dial(), "-"]);
    let output = all.stdin(input.as_bytes()).run();
    assert_eq!(
        (output.status, output.stdout.lines().count()),
        (4, 3),
        "{output:?}"
    );
    let said = output.stderr.matches(": not a root: ").count();
    assert_eq!(said, 2 + log.matches(&Score::ZERO.to_string()).count());
    let all = checks.command(&["-h", &venti.dial(), "-n", "-"]);
    let none = all.stdin(format!("vac:{}\n", "0".repeat(40)).as_bytes());
    none.run().assert_refused(4, "line 1: not a root: ");
}

#[test]
fn what_an_earlier_root_proved_is_not_read_again_and_what_it_did_not_is() {
    let (venti, checks) = (golden::archives(), Checks::new());
    let [first, second, _] = ARCHIVES.map(|(score, _)| score);
    let reads = venti.counts().reads;
    let output = checks.run(&venti, &["-c", first, second]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(output.stdout.matches(" whole ").count(), 2, "{output:?}");
    let manifest = golden::json("fossil/manifest.json");
    let blocks = |name| manifest_blocks(&manifest, name);
    let (one, other) = (blocks(NAMES[0]), blocks(NAMES[1]));
    let mut both = [one.clone(), other.clone()].concat();
    both.sort();
    both.dedup();
    assert_eq!(venti.counts().reads - reads, both.len() as u64);
    // A block that both have, and that is bad: neither root is whole.
    let shared = one.iter().filter(|block| other.contains(block));
    for &(ty, score) in shared {
        let block = venti.get(ty, &score).unwrap();
        assert!(venti.forget(ty, &score));
        let output = checks.run(&venti, &["-c", first, second]);
        assert_eq!(output.status, 4, "{output:?}");
        let verdicts = output.stdout.matches(" missing ").count();
        assert_eq!(verdicts, 2, "{ty} {score}: {output:?}");
        let _ = venti.insert(ty, &block);
    }
}
