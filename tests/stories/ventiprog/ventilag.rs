//! ventilag: could I restore today, from where, how old would it be; and how far behind is
//! each target.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use venti_tests::command::{Command, Output};
use venti_tests::random::Random;
use venti_tests::venti::{Venti, closed_port};
use venticore::codec::score::Score;
use venticore::codec::utc::Utc;
use venticore::codec::verified::Verdict;

use crate::fixture::site::Site;
use crate::fixture::watched::{FOSSIL, HOUR, Watched, acknowledged, ago, entry, root, verdict};

/// One target that is current.
fn current() -> (Site, Venti) {
    let (site, venti) = (Site::new(20), Venti::start());
    site.runs(&[&venti], 0);
    (site, venti)
}

fn first(output: &Output) -> &str {
    output.stdout.lines().next().unwrap_or_default()
}

fn json(output: &Output) -> Vec<serde_json::Value> {
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What differs from run to run, taken out: times, ages and seconds.
fn plain(site: &Site, text: &str, names: &[(&str, &str)]) -> String {
    let mut plain = String::new();
    let hermetic = site.hermetic(text, names);
    let mut rest = hermetic.as_str();
    while let Some(c) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let time = rest.get(..20).filter(|text| is_time(text));
        let units = ["second", "minute", "hour", "day"];
        let after = &rest[digits..];
        let unit = units
            .iter()
            .find(|unit| after.trim_start().starts_with(**unit) && digits > 0);
        let (shown, len) = match (time, unit) {
            (Some(_), _) => ("TIME", 20),
            (None, Some(unit)) => {
                let end = after.find(unit).unwrap() + unit.len();
                let plural = usize::from(after[end..].starts_with('s'));
                ("AGE", digits + end + plural)
            }
            (None, None) if digits >= 8 => ("SECONDS", digits),
            (None, None) if digits > 0 => (&rest[..digits], digits),
            (None, None) => (&rest[..c.len_utf8()], c.len_utf8()),
        };
        plain += shown;
        rest = &rest[len..];
    }
    plain
}

/// `2026-11-22T04:00:00Z`, or as a page has it: `2026-11-22 04:00 UTC`.
fn is_time(text: &str) -> bool {
    let exact = text.replacen(' ', "T", 1).replace(" UTC", ":00Z");
    exact.parse::<Utc>().is_ok()
}

#[test]
fn the_first_line_says_whether_from_where_and_how_old() {
    let (site, venti) = current();
    let names = [(&*venti.dial(), "VENTI")];
    let line = |expected: &str| {
        let output = site.ventilag().run();
        assert_eq!((output.status, &*output.stderr), (0, ""), "{output:?}");
        assert_eq!(plain(&site, first(&output), &names), expected);
    };
    line(
        "restore today: probably, from VENTI: all that the source had on disk as it was TIME (AGE ago); \
         acknowledged there; no root is on record",
    );
    let old = entry(root(1), FOSSIL, ago(48 * HOUR));
    site.write("rootscor", &old);
    line(
        "restore today: probably, from VENTI: /dev/fossil as it was TIME (AGE ago); \
         acknowledged there, not yet read back",
    );
    let whole = verdict(root(1), &venti.dial(), Verdict::Whole, ago(24 * HOUR));
    site.write("verified", &whole);
    line(
        "restore today: yes, from VENTI: /dev/fossil as it was TIME (AGE ago); \
         every block was read back there TIME (AGE ago)",
    );
    // A newer one is acknowledged, the older one is proved.
    site.write(
        "rootscor",
        &format!("{old}{}", entry(root(2), FOSSIL, ago(HOUR))),
    );
    line(
        "restore today: probably, from VENTI: /dev/fossil as it was TIME (AGE ago); \
         acknowledged there, not yet read back; \
         an older root, as it was TIME (AGE ago), was read back whole from VENTI TIME (AGE ago)",
    );
    let present = verdict(root(2), &venti.dial(), Verdict::Present, ago(HOUR));
    site.write("verified", &present);
    line(
        "restore today: probably, from VENTI: /dev/fossil as it was TIME (AGE ago); \
         that venti said that it has every block TIME (AGE ago); they were not read",
    );
    let damaged = [1, 2].map(|n| verdict(root(n), &venti.dial(), Verdict::Damaged, ago(HOUR)));
    site.write("verified", &damaged.concat());
    line("restore today: no: no target has a root that is on record, as far as is known");
}

#[test]
fn a_newer_root_that_is_damaged_leaves_the_older_one() {
    let (site, venti) = current();
    let entries = [
        entry(root(1), FOSSIL, ago(48 * HOUR)),
        entry(root(2), FOSSIL, ago(HOUR)),
    ];
    site.write("rootscor", &entries.concat());
    let other = "tcp!elsewhere!17034";
    let lines = [
        verdict(root(2), &venti.dial(), Verdict::Missing, ago(60)),
        verdict(root(1), other, Verdict::Damaged, ago(90)),
        verdict(root(1), other, Verdict::Whole, ago(60)),
    ];
    site.write("verified", &lines.concat());
    let output = site.ventilag().args([venti.dial().as_str(), other]).run();
    let said =
        format!("restore today: yes, but not the newest root, from {other}: {FOSSIL} as it was ");
    assert!(first(&output).starts_with(&said), "{output:?}");
    assert!(first(&output).contains("(2 days ago)"), "{output:?}");
    let newest = format!("    {}: blocks are missing, found ", venti.dial());
    assert!(output.stdout.contains(&newest), "{output:?}");
}

/// What rootcheck found on a target is damage on record, whatever the target acknowledged.
#[test]
fn a_root_that_was_found_damaged_is_late_until_it_is_found_whole() {
    let (site, venti) = current();
    let entries = [
        entry(root(1), FOSSIL, ago(48 * HOUR)),
        entry(root(2), FOSSIL, ago(HOUR)),
    ];
    site.write("rootscor", &entries.concat());
    let of = |n, what, time| verdict(root(n), &venti.dial(), what, ago(time));
    let run = |lines: &[String]| {
        site.write("verified", &lines.concat());
        let output = site.ventilag().args(["--warn", "3d"]).run();
        let word = first(&output).split(' ').nth(2).unwrap().to_owned();
        let plugin = site.ventilag().args(["--warn", "3d", "--nagios"]).run();
        assert_eq!(plugin.status != 0, output.status == 3, "{plugin:?}");
        (output.status, word)
    };
    let damaged = of(1, Verdict::Damaged, 600);
    assert_eq!(run(&[]), (0, "probably,".to_owned()));
    // The newer root may share what is damaged.
    assert_eq!(
        run(std::slice::from_ref(&damaged)),
        (3, "perhaps,".to_owned())
    );
    assert_eq!(
        run(&[of(1, Verdict::Missing, 600)]),
        (3, "perhaps,".to_owned())
    );
    // To be asked is less than to be read.
    let asked = of(1, Verdict::Present, 60);
    assert_eq!(
        run(&[damaged.clone(), asked.clone()]),
        (3, "perhaps,".to_owned())
    );
    assert_eq!(run(&[damaged.clone(), of(1, Verdict::Whole, 60)]).0, 0);
    let whole = of(2, Verdict::Whole, 600);
    assert_eq!(
        run(&[whole, of(2, Verdict::Present, 60)]),
        (0, "yes,".to_owned())
    );
    assert_eq!(
        run(&[of(1, Verdict::Missing, 600), asked]),
        (0, "probably,".to_owned())
    );
}

/// The source is what may be lost, and a score that nobody has is not a root.
#[test]
fn neither_the_source_nor_a_wrong_score_is_an_answer() {
    let (site, venti) = current();
    site.write("rootscor", &entry(root(1), FOSSIL, ago(48 * HOUR)));
    let source = "tcp!source.example.org!17034";
    let lines = [
        verdict(root(1), source, Verdict::Whole, ago(60)),
        verdict(root(1), &venti.dial(), Verdict::Damaged, ago(60)),
    ];
    site.write("verified", &lines.concat());
    let output = site.ventilag().run();
    assert!(
        first(&output).starts_with("restore today: no"),
        "{output:?}"
    );
    let wrong = format!(
        "vac:{} {} missing 0 0 2026-11-28T00:00:00Z rootcheck\n",
        "1".repeat(40),
        venti.dial()
    );
    site.write("verified", &wrong);
    let output = site.ventilag().run();
    assert_eq!(
        output.stdout.matches("restore today: ").count(),
        1,
        "{output:?}"
    );
    assert!(!output.stdout.contains("missing"), "{output:?}");
}

#[test]
fn a_newest_root_that_is_mistyped_is_named() {
    let (site, _venti) = current();
    let good = entry(root(1), FOSSIL, ago(48 * HOUR));
    site.write("rootscor", &format!("{good}vac:123 /dev/fossil tcp!v!1\n"));
    let output = site.ventilag().run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output.stderr.contains("rootscor: the last line of a root"),
        "{output:?}"
    );
}

#[test]
fn a_target_that_acknowledged_nothing_is_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    let command = Command::new("ventilag").arg("-d").arg(&state);
    let output = command.arg("tcp!127.0.0.1!1").run();
    assert_eq!(
        first(&output),
        "restore today: no: no target has acknowledged anything"
    );
}

#[test]
fn a_root_is_as_old_as_its_first_record_and_a_venti_that_lacks_what_was_stored_since_lacks_no_more()
{
    let (mut site, venti) = current();
    // Clumps of these stories are of 2023; this root is from before, and this one is not.
    let (then, since) = ("2023-11-14T00:00:00Z", "2025-01-01T00:00:00Z");
    let time = |text: &str| text.parse::<Utc>().unwrap().0;
    let entries = [
        entry(root(1), FOSSIL, time(then)),
        entry(root(1), FOSSIL, time("2024-01-01T00:00:00Z")),
    ];
    site.write("rootscor", &entries.concat());
    site.add(10);
    let said = format!(
        "restore today: probably, from {}: {FOSSIL} as it was {then} (",
        venti.dial()
    );
    let output = site.ventilag().run();
    assert!(first(&output).starts_with(&said), "{output:?}");
    let newer = format!(
        "{}{}",
        entries.concat(),
        entry(root(2), FOSSIL, time(since))
    );
    site.write("rootscor", &newer);
    let output = site.ventilag().run();
    assert!(first(&output).starts_with(&said), "{output:?}");
    let newest = format!("    {}: not there yet\n", venti.dial());
    assert!(output.stdout.contains(&newest), "{output:?}");
    // A target that lost blocks may lack some of it.
    let lost = "# unreadable type=unknown score=unknown\nwrarena ";
    let lines = site
        .file("wrcmds")
        .replace("\nwrarena ", &format!("\n{lost}"));
    site.write("wrcmds", &lines);
    let output = site.ventilag().run();
    assert!(
        first(&output).starts_with("restore today: perhaps, "),
        "{output:?}"
    );
}

#[test]
fn a_target_that_is_behind_by_an_arena_says_so() {
    let (mut site, here, behind) = (Site::new(20), Venti::start(), Venti::start());
    site.runs(&[&here], 0);
    site.runs(&[&here, &behind], 0);
    site.add(5);
    site.seal();
    site.add(7);
    site.runs(&[&here], 0);
    let output = site.ventilag().run();
    let names = [(&*here.dial(), "HERE"), (&*behind.dial(), "BEHIND")];
    insta::assert_snapshot!(plain(&site, &output.stdout, &names));
    let lines = json(&site.ventilag().arg("-j").run());
    let of = |line: usize| {
        let line = &lines[line];
        [&line["behind_arenas"], &line["behind_clumps"]].map(|n| n.as_u64().unwrap())
    };
    assert_eq!((of(0), of(1)), ([0, 0], [2, 12]));
    let seconds = |line: usize| lines[line]["behind_seconds"].as_u64().unwrap();
    assert_eq!(seconds(0), 0);
    assert!(seconds(1) > HOUR, "{lines:?}");
}

/// Nothing is late where everything is well, and each thing that is not makes it so.
#[test]
fn the_status_is_3_exactly_where_something_is_late_or_not_seen() {
    let statuses = |site: &Site, more: &[&str]| {
        let with = |options: &[&str]| site.ventilag().args(options).args(more).run().status;
        [with(&[]), with(&["--warn", "48"]), with(&["--crit", "2d"])]
    };
    let (mut site, venti) = current();
    assert_eq!(statuses(&site, &[]), [0, 0, 0], "current");
    site.add(1);
    assert_eq!(statuses(&site, &[]), [0, 0, 0], "behind since now");
    acknowledged(&site, ago(47 * HOUR));
    assert_eq!(statuses(&site, &[]), [0, 0, 0], "behind since yesterday");
    acknowledged(&site, ago(49 * HOUR));
    assert_eq!(statuses(&site, &[]), [0, 3, 3], "behind for two days");
    assert_eq!(site.ventilag().args(["--warn", "3d"]).run().status, 0);
    site.runs(&[&venti], 0);
    assert_eq!(statuses(&site, &[]), [0, 0, 0], "current again");
    assert_eq!(
        statuses(&site, &[&closed_port()]),
        [0, 3, 3],
        "one was never reached"
    );
    // The newest root that could be restored.
    site.write("rootscor", &entry(root(1), FOSSIL, ago(50 * HOUR)));
    assert_eq!(statuses(&site, &[]), [0, 3, 3], "an old root");
    let recent = entry(root(1), FOSSIL, ago(2 * HOUR));
    let undated = recent.lines().find(|line| line.starts_with("vac:"));
    site.write("rootscor", &format!("{}\n", undated.unwrap()));
    assert_eq!(statuses(&site, &[]), [0, 3, 3], "a root of an unknown age");
    let entries = [
        entry(root(1), FOSSIL, ago(50 * HOUR)),
        entry(root(2), FOSSIL, ago(2 * HOUR)),
    ];
    site.write("rootscor", &entries.concat());
    acknowledged(&site, ago(HOUR));
    assert_eq!(statuses(&site, &[]), [0, 0, 0], "a new one");
    acknowledged(&site, ago(3 * HOUR));
    assert_eq!(
        statuses(&site, &[]),
        [0, 3, 3],
        "a new one that no target has"
    );
    acknowledged(&site, ago(HOUR));
    site.write(
        "verified",
        &verdict(root(2), &venti.dial(), Verdict::Damaged, ago(60)),
    );
    assert_eq!(
        statuses(&site, &[]),
        [0, 3, 3],
        "a new one that is damaged there"
    );
    site.write("verified", "");
    // What is not there.
    fs::rename(site.path("arenas"), site.path("away")).unwrap();
    assert_eq!(statuses(&site, &[]), [3, 3, 3], "no source");
    fs::rename(site.path("away"), site.path("arenas")).unwrap();
    let page = ["-i", "http://127.0.0.1:1/index"];
    assert_eq!(statuses(&site, &page), [3, 3, 3], "no index page");
    assert_eq!(statuses(&site, &[]), [0, 0, 0], "all is well");
}

#[test]
fn a_target_that_was_forgotten_is_not_fine_while_it_is_asked_for() {
    let (site, venti) = current();
    let other = Venti::start();
    site.runs(&[&venti, &other], 0);
    let list = |dial: &str| {
        let config = format!("targets = [{dial:?}]");
        site.ventilag().config(&config).args(["--warn", "48"]).run()
    };
    assert_eq!(list(&other.dial()).status, 0);
    let forget = site.ventiprog().args(["--forget", &other.dial()]).run();
    assert_eq!(forget.status, 0, "{forget:?}");
    let output = list(&other.dial());
    assert_eq!(output.status, 3, "{output:?}");
    let line = format!("{} {} ", other.dial(), site.part());
    let places = Site::places(&output);
    let line = places
        .lines()
        .find(|found| found.starts_with(&line))
        .unwrap();
    assert!(line.ends_with(", acknowledged never"), "{line}");
    assert_eq!(list(&venti.dial()).status, 0, "nobody asks for it");
}

#[test]
fn a_record_of_a_time_to_come_is_named_and_not_taken_for_fresh() {
    let (site, venti) = current();
    let coming = SystemTime::now() + Duration::from_secs(30 * HOUR);
    acknowledged(&site, coming);
    let quiet = || site.ventilag().args(["--warn", "1000000"]).run();
    let output = quiet();
    let said = |of: &str| {
        format!(
            "ventilag: {of}: its record is of {}, which is in the future: a clock was set back; \
             it does not count as fresh\n",
            Utc(coming)
        )
    };
    let place = said(&format!("{} {}", venti.dial(), site.part()));
    assert_eq!((output.status, &*output.stderr), (3, &*place), "{output:?}");
    assert!(
        first(&output).starts_with("restore today: no"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("last acknowledged in the future"),
        "{output:?}"
    );
    let lines = json(&site.ventilag().arg("-j").run());
    assert_eq!(lines[0]["future"], true);
    let metrics = site.ventilag().args(["--metrics", "-"]).run().stdout;
    let success = format!(
        "ventiprog_last_success_timestamp_seconds{{target=\"{}\"}} 0\n",
        venti.dial()
    );
    assert!(metrics.contains(&success), "{metrics}");
    // A few seconds are not that.
    acknowledged(&site, SystemTime::now() + Duration::from_secs(60));
    let output = quiet();
    assert_eq!((output.status, &*output.stderr), (0, ""), "{output:?}");
    // A root and a verdict of a time to come.
    site.write("rootscor", &entry(root(1), FOSSIL, coming));
    site.write(
        "verified",
        &verdict(root(1), &venti.dial(), Verdict::Whole, coming),
    );
    let output = quiet();
    assert_eq!(output.status, 3, "{output:?}");
    let both = said(&format!("root of {FOSSIL}")) + &said(&format!("verdict on {}", venti.dial()));
    assert_eq!(output.stderr, both);
    let never = format!(
        "{}: no root was ever read back by rootcheck\n",
        venti.dial()
    );
    assert!(output.stdout.contains(&never), "{output:?}");
}

#[test]
fn without_the_source_what_the_state_files_know_is_said() {
    let (site, venti) = current();
    site.write("rootscor", &entry(root(1), FOSSIL, ago(HOUR)));
    fs::remove_file(site.part()).unwrap();
    let output = site.ventilag().run();
    assert_eq!(output.status, 3, "{output:?}");
    let gone = format!("ventilag: {}: no such file or device\n", site.part());
    assert_eq!(output.stderr, gone);
    let names = [(&*venti.dial(), "VENTI")];
    insta::assert_snapshot!(plain(&site, &output.stdout, &names));
    site.write(
        "verified",
        &verdict(root(1), &venti.dial(), Verdict::Whole, ago(60)),
    );
    let output = site.ventilag().run();
    let said = format!("restore today: yes, from {}: {FOSSIL} ", venti.dial());
    assert!(first(&output).starts_with(&said), "{output:?}");
    assert_eq!(output.status, 3);
}

#[test]
fn json_has_places_roots_and_the_answer() {
    let (site, venti) = current();
    site.write("rootscor", &entry(root(1), FOSSIL, ago(HOUR)));
    site.write(
        "verified",
        &verdict(root(1), &venti.dial(), Verdict::Whole, ago(60)),
    );
    let output = site.ventilag().args(["-j", "--warn", "48"]).run();
    assert_eq!((output.status, &*output.stderr), (0, ""));
    let names = [(&*venti.dial(), "VENTI")];
    let text = plain(&site, &output.stdout, &names);
    let (before, age) = text.split_once("\"age_seconds\":").unwrap();
    let age = age.trim_start_matches(|c: char| c.is_ascii_digit());
    insta::assert_snapshot!(format!("{before}\"age_seconds\":N{age}"));
}

#[test]
fn metrics_are_written_for_everybody_and_hold_no_score() {
    let (mut site, venti) = current();
    let never = closed_port();
    let entries = [
        entry(root(1), FOSSIL, ago(HOUR)),
        entry(root(3), "/dev/other", ago(2 * HOUR)),
    ];
    site.write("rootscor", &entries.concat());
    site.write(
        "verified",
        &verdict(root(1), &venti.dial(), Verdict::Whole, ago(60)),
    );
    acknowledged(&site, ago(30));
    site.add(2);
    let file = site.path("ventiprog.prom");
    fs::write(&file, "old").unwrap();
    let write = |file: &str| {
        let command = site.ventilag().args(["-q", "--metrics", file]);
        command.arg(&never).run()
    };
    let output = write(file.to_str().unwrap());
    assert_eq!(
        (output.status, &*output.stdout, &*output.stderr),
        (0, "", "")
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o644
    );
    let text = fs::read_to_string(&file).unwrap();
    for score in [root(1), root(3), site.score(0, 19)] {
        assert!(!text.contains(&score.to_string()), "{text}");
    }
    let names = [(&*venti.dial(), "VENTI"), (&*never, "NEVER")];
    insta::assert_snapshot!(plain(&site, &text, &names));
    let printed = write("-").stdout;
    let without_time = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("lag_"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(without_time(&printed), without_time(&text));
    // Beside it lies nothing; what cannot be written is named, and leaves the old file.
    let names: Vec<_> = fs::read_dir(site.path("."))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().starts_with('.')),
        "{names:?}"
    );
    for bad in [site.path("none/x.prom"), site.path("state")] {
        let output = write(bad.to_str().unwrap());
        output.assert_refused(
            1,
            &format!("--metrics {}: cannot be written: ", bad.display()),
        );
    }
}

#[test]
fn a_plugin_has_exit_statuses_of_its_own_and_one_line() {
    let (mut site, venti) = current();
    let plugin = |options: &[&str]| {
        let output = site.ventilag().arg("--nagios").args(options).run();
        assert_eq!(
            (output.stdout.lines().count(), &*output.stderr),
            (1, ""),
            "{output:?}"
        );
        output
    };
    let limits = ["--warn", "1", "--crit", "2"];
    let output = plugin(&limits);
    assert_eq!(output.status, 0);
    let names = [(&*venti.dial(), "VENTI")];
    let text = plain(&site, &output.stdout, &names);
    // How long ago that was differs.
    let mut pieces = text
        .split_inclusive("ed'=")
        .flat_map(|piece| piece.split_inclusive("age'="));
    let mut shown = pieces.next().unwrap().to_owned();
    for piece in pieces {
        shown = shown + "N" + piece.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    insta::assert_snapshot!(shown);
    for failure in [
        &[][..],
        &["--warn", "x"],
        &["--warn", "2", "--crit", "1"],
        &["--zzz"],
        &["--warn", "1", "-d", "/none"],
    ] {
        let output = plugin(failure);
        assert_eq!(output.status, 3, "{output:?}");
        assert!(
            output.stdout.starts_with("VENTILAG UNKNOWN - "),
            "{output:?}"
        );
    }
    site.partition
        .append(13, &Random::new(3).bytes(999))
        .unwrap();
    site.partition.flush().unwrap();
    let states = [(90, 1, "WARNING"), (150, 2, "CRITICAL"), (10, 0, "OK")];
    for (minutes, status, word) in states {
        acknowledged(&site, ago(minutes * 60));
        let output = site.ventilag().arg("--nagios").args(limits).run();
        assert_eq!(output.status, status, "{output:?}");
        let start = format!("VENTILAG {word} - restore today: ");
        assert!(output.stdout.starts_with(&start), "{output:?}");
    }
    fs::rename(site.path("arenas"), site.path("away")).unwrap();
    let output = site.ventilag().arg("--nagios").args(limits).run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.stdout.contains("lag'=U;3600;7200;0 "), "{output:?}");
    assert!(
        output.stdout.contains(": no such file or device"),
        "{output:?}"
    );
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let site = Site::new(1);
    for (options, said) in [
        (&["--nagios"][..], "expected"),
        (
            &["--warn", "2d", "--crit", "47h"],
            "--warn must be a shorter time than --crit",
        ),
        (
            &["--page", "-", "--metrics", "-"],
            "only one of -j, --nagios and -",
        ),
        (&["-j", "--metrics", "-"], "only one of -j, --nagios and -"),
        (&["--metrics", ""], "expected a file, found an empty name"),
    ] {
        let output = site.ventilag().args(options).run();
        if options == ["--nagios"] {
            assert_eq!(output.status, 3, "{output:?}");
            continue;
        }
        output.assert_refused(2, said);
    }
}

#[test]
fn hostile_text_in_state_files_stays_text() {
    let (site, venti) = current();
    let bad = "/<script>alert(1)</script>\"';&amp;\u{1b}[2J\u{202e}\\";
    site.write("rootscor", &entry(root(1), bad, ago(HOUR)));
    let output = site.ventilag().run();
    assert_eq!((output.status, &*output.stderr), (0, ""), "{output:?}");
    assert!(output.stdout.lines().count() < 12, "{output:?}");
    let controls = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    assert!(
        !controls(&output.stdout) && !output.stdout.contains('\u{202e}'),
        "{output:?}"
    );
    let lines = json(&site.ventilag().arg("-j").run());
    let of_root = lines.iter().find(|line| line["kind"] == "root").unwrap();
    assert_eq!(of_root["root_of"], bad);
    let metrics = site.ventilag().args(["--metrics", "-"]).run().stdout;
    let label = format!(
        "file_system=\"{}\"",
        bad.replace('\\', "\\\\").replace('"', "\\\"")
    );
    assert!(metrics.contains(&label), "{metrics}");
    let page = site.ventilag().args(["--page", "-"]).run().stdout;
    assert!(!page.contains("<script") && !controls(&page) && !page.contains('\u{202e}'));
    let shown =
        "/&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;;&amp;amp;\\u{1b}[2J\\u{202e}\\\\<";
    assert!(page.contains(shown), "{page}");
    let output = site.ventilag().args(["--nagios", "--warn", "48"]).run();
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    assert!(!controls(&output.stdout), "{output:?}");
    drop(venti);
}

#[test]
fn lines_that_are_something_else_are_passed_over() {
    let (site, _venti) = current();
    let noise = Random::new(5).bytes(100_000);
    for name in ["rootscor", "verified"] {
        fs::write(site.state(name), &noise).unwrap();
    }
    let output = site.ventilag().run();
    assert_eq!((output.status, &*output.stderr), (0, ""), "{output:?}");
    assert!(
        first(&output).contains("no root is on record"),
        "{output:?}"
    );
}

#[test]
fn a_state_directory_that_cannot_be_read_is_an_error_and_writes_nothing() {
    let (site, _venti) = current();
    let file = site.path("x.prom");
    let run = || {
        site.ventilag()
            .args(["--metrics", file.to_str().unwrap()])
            .run()
    };
    for name in ["rootscor", "verified", "wrcmds", "wrcmd"] {
        let before = fs::read(site.state(name)).unwrap_or_default();
        let _ = fs::remove_file(site.state(name));
        fs::create_dir(site.state(name)).unwrap();
        run().assert_refused(1, &format!("{name}: "));
        fs::remove_dir(site.state(name)).unwrap();
        fs::write(site.state(name), before).unwrap();
    }
    assert!(!file.exists());
    let output = site.ventilag().args(["-d", "/none"]).run();
    output.assert_refused(1, "/none: no such state directory");
    let output = site.ventilag().args(["-d", &site.part()]).run();
    output.assert_refused(1, "");
}

#[test]
fn a_page_answers_in_its_first_line_and_shows_arenas_and_roots() {
    let busy = Watched::new();
    let file = busy.site.path("page.html");
    let html = busy.page(&file);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o644
    );
    let heading = html
        .split_once("<h1>")
        .unwrap()
        .1
        .split_once("</h1>")
        .unwrap()
        .0;
    assert!(
        words(heading).starts_with("Restore today: yes, from tcp!"),
        "{heading}"
    );
    assert!(heading.ends_with(", 6 hours old"), "{heading}");
    let scores: Vec<Score> = (1..15)
        .map(root)
        .chain([root(100), busy.site.score(0, 89)])
        .collect();
    for score in scores {
        assert!(!html.contains(&score.to_string()));
    }
    let names = [
        (&*busy.here.dial(), "HERE"),
        (&*busy.behind.dial(), "BEHIND"),
        (&*busy.never, "NEVER"),
    ];
    let (_, body) = html.split_once("<body>").unwrap();
    let lines = plain(&busy.site, body, &names);
    // Where a mark is on the time line differs with the second.
    let mut pieces = lines.split("<svg x=\"");
    let mut shown = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (at, rest) = piece.split_once('"').unwrap();
        let at = if at.ends_with('%') { "AT" } else { at };
        shown = format!("{shown}<svg x=\"{at}\"{rest}");
    }
    insta::assert_snapshot!(shown.replace("><", ">\n<"));
}

/// The text of a piece of HTML, without its marks.
fn words(html: &str) -> String {
    let pieces = html
        .split('<')
        .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    pieces.collect()
}

#[test]
fn a_page_asks_for_nothing_and_every_figure_has_words() {
    let busy = Watched::new();
    let html = busy.page(&busy.site.path("page.html"));
    for word in [
        "<script",
        " src=",
        "url(",
        "@import",
        "http:",
        "https:",
        "<link rel=\"stylesheet",
        "<iframe",
        "javascript",
        " on",
    ] {
        let found = html
            .match_indices(word)
            .map(|(at, _)| &html[at..(at + 30).min(html.len())]);
        // A word of the text, not an attribute.
        let found: Vec<&str> = found
            .filter(|text| word != " on" || text.split(' ').nth(1).unwrap().contains('='))
            .collect();
        assert!(found.is_empty(), "{word}: {found:?}");
    }
    let links: Vec<&str> = html
        .match_indices("href=")
        .map(|(at, _)| &html[at..at + 13])
        .collect();
    assert_eq!(links, ["href=\"data:,\""]);
    let figures = html.matches("<svg role=\"img\"").count();
    assert!(figures > 6, "{figures}");
    assert_eq!(html.matches("</title><desc id=").count(), figures);
    let mut ids: Vec<&str> = html
        .split(" id=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all), (2 * figures, 2 * figures));
    for label in html
        .split("aria-labelledby=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        assert!(label.split(' ').all(|id| ids.contains(&id)), "{label}");
    }
    assert_eq!(
        html.matches("<th ").count(),
        html.matches("<th role=").count()
    );
    assert_eq!(
        html.matches("<th ").count(),
        html.matches(" scope=\"").count()
    );
}
