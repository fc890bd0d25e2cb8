//! ventiprog and ventilag: what they print, and state that cannot be used.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use venti_tests::command::{self, Command};
use venti_tests::venti::{Fault, How, On, Setup, Venti, closed_port};
use venticore::codec::blocktype::BlockType;
use venticore::codec::wrcmds::Progress;

use crate::fixture::site::Site;

/// One target that is current and one that is behind.
fn one_behind() -> (Site, Venti, Venti) {
    let mut site = Site::new(30);
    let (here, behind) = (Venti::start(), Venti::start());
    site.runs(&[&here], 0);
    site.runs(&[&here, &behind], 0);
    site.add(10);
    site.runs(&[&here], 0);
    (site, here, behind)
}

#[test]
fn the_list_shows_every_place() {
    let (site, here, behind) = one_behind();
    let names = [(&*here.dial(), "HERE"), (&*behind.dial(), "BEHIND")];
    let before = (here.counts(), behind.counts());
    let list = |options: &[&str]| site.ventilag().args(options).run();
    let output = list(&[]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(site.hermetic(&Site::places(&output), &names), @r"
    HERE DIR/arenas arena0 0x285f0 behind 0 clumps 0 bytes on disk, acknowledged TIME
    BEHIND DIR/arenas arena0 0x1e474 behind 10 clumps 41340 bytes on disk, acknowledged TIME
    ");
    for (hours, status) in [("0", 3), ("1", 0), ("99999999999999999999", 2), ("x", 2)] {
        let output = list(&["--warn", hours]);
        assert_eq!(output.status, status, "{hours}: {output:?}");
    }
    let output = list(&["-j"]);
    let lines: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (lines, answer) = lines.split_at(2);
    assert!(lines.iter().all(|line| line["kind"] == "target"));
    assert_eq!((answer.len(), &answer[0]["kind"]), (1, &"answer".into()));
    assert!(lines.iter().all(|line| line["schema"] == 1));
    let of_each = |key: &str| {
        lines
            .iter()
            .map(|line| line[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of_each("behind_clumps"), [0, 10]);
    assert_eq!(of_each("behind_bytes"), [0, site.end(0) - site.clump(30)]);
    assert_eq!(of_each("offset"), [site.end(0), site.clump(30)]);
    assert_eq!((here.counts(), behind.counts()), before, "it asks nobody");
}

#[test]
fn a_list_of_nothing_is_empty() {
    let site = Site::new(1);
    let output = site.ventilag().run();
    let said = "restore today: no: no target has acknowledged anything\n";
    assert_eq!((output.status, output.stdout.as_str()), (0, said));
    assert_eq!(fs::read_dir(site.path("state")).unwrap().count(), 0);
}

#[test]
fn who_lists_with_ventiprog_is_told_of_ventilag() {
    let (site, _here, _behind) = one_behind();
    let before = site.file("wrcmds");
    for options in [
        &["-l"][..],
        &["-lj"],
        &["--list"],
        &["-l", "--older", "48"],
        &["--older=48"],
        &["--forget", "one", "-l"],
    ] {
        let output = site.ventiprog().args(options).run();
        output.assert_refused(2, "ventilag shows how far behind each target is");
    }
    assert_eq!(site.file("wrcmds"), before);
}

#[test]
fn no_option_that_means_nothing_is_ignored_silently() {
    let (site, here, _behind) = one_behind();
    let forget = here.dial();
    let before = site.file("wrcmds");
    for (options, option) in [
        (&["-n", "--verify"][..], "--verify"),
        (&["--forget", &forget, "--verify"], "--verify"),
        (&["--forget", &forget, "-j"], "-j"),
        (&["--forget", &forget, "-p", "x"], "-p"),
        (&["--forget", &forget, "-s", "localhost"], "-s"),
        (&["--forget", &forget, "--offline"], "--offline"),
        (&["--forget", &forget, "-i", "http://localhost/"], "-i"),
    ] {
        let output = site.ventiprog().args(options).run();
        output.assert_refused(2, &format!("{option} cannot be used with it"));
    }
    assert_eq!(site.file("wrcmds"), before);
}

#[test]
fn a_list_of_one_partition_shows_no_other() {
    let (site, here, behind) = one_behind();
    let other = Site::new(5);
    let targets = [here.dial(), behind.dial()];
    let command = site.ventiprog().args(["-p", &other.part()]);
    assert_eq!(command.args(&targets).run().status, 0);
    let list = |options: &[&str]| site.ventilag().args(options).run();
    assert_eq!(Site::places(&list(&[])).lines().count(), 4);
    for part in [site.part(), other.part()] {
        let output = list(&["-p", &part]);
        assert_eq!((output.status, &*output.stderr), (0, ""));
        let places = Site::places(&output);
        let lines: Vec<&str> = places.lines().collect();
        assert_eq!(lines.len(), 2, "{output:?}");
        let named = format!(" {part} ");
        assert!(lines.iter().all(|line| line.contains(&named)), "{output:?}");
    }
    // By another name, and with the other.
    let link = site.path("link");
    std::os::unix::fs::symlink(other.part(), &link).unwrap();
    let output = list(&["-p", &link.display().to_string()]);
    assert_eq!(Site::places(&output).lines().count(), 2, "{output:?}");
    let output = list(&["-p", &site.part(), "-p", &other.part()]);
    assert_eq!(Site::places(&output).lines().count(), 4, "{output:?}");
    let output = list(&["-p", "/nonexistent/arenas"]);
    assert_eq!(
        (output.status, &*Site::places(&output)),
        (3, ""),
        "{output:?}"
    );
}

#[test]
fn a_list_shows_what_a_target_cannot_give_back() {
    let site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let list = |options: &[&str]| site.ventilag().args(options).run();
    assert!(!list(&[]).stdout.contains("unreadable"));
    assert_eq!(list(&["--warn", "48"]).status, 0);
    for number in [3, 7] {
        venti.corrupt(BlockType::Data, &site.score(0, number));
    }
    assert_eq!(site.ventiprog().run().status, 4);
    let output = list(&[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.stdout.contains(" behind 0 clumps 0 bytes on disk, "),
        "{output:?}"
    );
    assert!(
        Site::places(&output).ends_with("Z, 2 unreadable\n"),
        "{output:?}"
    );
    assert_eq!(list(&["--warn", "48"]).status, 3);
    let json = list(&["-j"]).stdout;
    let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&json["unreadable"], &json["damaged"]),
        (&2.into(), &0.into())
    );
    let more = "# unreadable type=unknown score=unknown\nwrarena ";
    let more = site
        .file("wrcmds")
        .replace("\nwrarena ", &format!("\n{more}"));
    site.write("wrcmds", &more);
    assert!(
        Site::places(&list(&[])).ends_with("Z, more than 2 unreadable\n"),
        "{:?}",
        list(&[])
    );
}

#[test]
fn a_list_shows_what_is_damaged_in_the_source_until_it_is_accepted() {
    let mut site = Site::new(20);
    site.partition.flip_data(0, 7, 3).unwrap();
    let venti = Venti::start();
    site.runs(&[&venti], 3);
    let list = |options: &[&str]| site.ventilag().args(options).run();
    let said = "Z, 1 damaged in the source and missing on the target\n";
    let places = Site::places(&list(&[]));
    assert!(places.ends_with(said), "{places}");
    assert_eq!(list(&["--warn", "48"]).status, 3);
    let json = list(&["-j"]).stdout;
    let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(json["damaged"], 1);
    let accepted = site.file("wrcmds").replace("# damaged ", "# accepted ");
    site.write("wrcmds", &accepted);
    let output = list(&["--warn", "48"]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(Site::places(&output).ends_with("Z\n"), "{output:?}");
}

#[test]
fn forget_makes_no_state_directory() {
    let site = Site::new(1);
    let nowhere = site.path("nowhere");
    let command = site.ventiprog().args(["--forget", "localhost", "-d"]);
    let output = command.arg(&nowhere).run();
    output.assert_refused(1, "nowhere: no such state directory");
    assert!(!nowhere.exists());
}

#[test]
fn the_summary_of_a_verifying_run_says_how_many_blocks_were_read_back() {
    let (site, here, _behind) = one_behind();
    let output = site.ventiprog().arg("--verify").run();
    let said = "; 40 blocks read back and right";
    assert!(output.summary().contains(said), "{output:?}");
    assert!(
        output.summary().contains("(the source was not checked)"),
        "{output:?}"
    );
    drop(here);
}

#[test]
fn a_list_of_a_partition_that_is_gone_says_so() {
    let (site, here, _behind) = one_behind();
    fs::rename(site.path("arenas"), site.path("elsewhere")).unwrap();
    let output = site.ventilag().run();
    assert_eq!(output.status, 3);
    assert_eq!(Site::places(&output).lines().count(), 2);
    assert!(
        output.stdout.contains("behind ? clumps ? bytes"),
        "{output:?}"
    );
    // That table is for the names of an index page.
    assert!(!output.stderr.contains("[partitions]"), "{output:?}");
    drop(here);
}

#[test]
fn verbose_says_what_each_target_got() {
    let site = Site::new(30);
    let (venti, down) = (Venti::start(), closed_port());
    let command = site.ventiprog().args(["-v", "-p", &site.part()]);
    let output = command.args([&venti.dial(), &down]).run();
    let names = [(&*venti.dial(), "HOST"), (&*down, "DOWN")];
    insta::assert_snapshot!(site.hermetic(&output.remarks(), &names), @r"
    ventiprog: no source venti known (-s, $venti, configuration): what it has not yet written to disk is not seen
    ventiprog: DOWN: cannot connect: connection refused (os error 111); the next run catches up
    ventiprog: HOST: 30 blocks sent, 124020 bytes of log, 0 there already, 0 damaged in the source, 0 read back
    ventiprog: DOWN: 0 blocks sent, 0 bytes of log, 0 there already, 0 damaged in the source, 0 read back
    ");
}

#[test]
fn json_shows_places_and_read_back() {
    let (site, here, behind) = one_behind();
    let command = site.ventiprog().args(["-j", "--verify", &behind.dial()]);
    let output = command.run();
    let names = [(&*here.dial(), "HERE"), (&*behind.dial(), "BEHIND")];
    let seconds = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["seconds"].is_f64());
        value["seconds"] = "SECONDS".into();
        site.hermetic(&value.to_string(), &names)
    };
    let lines: Vec<String> = output.stdout.lines().map(seconds).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"bytes":0,"cured":0,"damaged":0,"damaged_there":0,"from":"DIR/arenas 794624 0x285f0","log_bytes":0,"missing":0,"present":0,"read_back":40,"schema":1,"seconds":"SECONDS","sent":0,"status":0,"target":"HERE","to":"DIR/arenas 794624 0x285f0","unreadable":0}
    {"bytes":40960,"cured":0,"damaged":0,"damaged_there":0,"from":"DIR/arenas 794624 0x1e474","log_bytes":41340,"missing":0,"present":0,"read_back":30,"schema":1,"seconds":"SECONDS","sent":10,"status":0,"target":"BEHIND","to":"DIR/arenas 794624 0x285f0","unreadable":0}
    {"decoded":10,"dry_run":false,"new":"wrarena -h HERE -o 794624 DIR/arenas 0x285f0","old":"wrarena -h HERE -o 794624 DIR/arenas 0x285f0","schema":1,"seconds":"SECONDS","status":0}
    "#);
}

#[test]
fn a_dry_run_of_several_counts_for_each() {
    let (site, here, behind) = one_behind();
    let new = closed_port();
    let (wrcmd, wrcmds, log) = (
        site.file("wrcmd"),
        site.file("wrcmds"),
        site.file("rootscor"),
    );
    let output = site.ventiprog().args(["-n", &behind.dial(), &new]).run();
    assert_eq!(output.status, 0);
    let names = [
        (&*here.dial(), "HERE"),
        (&*behind.dial(), "BEHIND"),
        (&*new, "NEW"),
    ];
    insta::assert_snapshot!(site.hermetic(&output.remarks(), &names), @r"
    ventiprog: HERE: nothing to send
    ventiprog: BEHIND: would send 10 clumps, 41340 bytes of log, except what it has already
    ventiprog: NEW: would send 40 clumps, 165360 bytes of log, except what it has already
    ");
    insta::assert_snapshot!(site.hermetic(&output.stdout, &names), @r"
    wrarena -h HERE -o 794624 DIR/arenas 0x285f0
    wrarena -h HERE -o 794624 DIR/arenas 0x285f0
    ");
    assert_eq!(
        (
            site.file("wrcmd"),
            site.file("wrcmds"),
            site.file("rootscor")
        ),
        (wrcmd, wrcmds, log)
    );
}

#[test]
fn a_dry_run_shows_the_first_wrcmd() {
    let site = Site::new(5);
    let target = closed_port();
    let command = site.ventiprog().args(["-n", "-p", &site.part(), &target]);
    let output = command.run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(
        output.stdout,
        format!("{}\n", site.command(&target, 0, site.end(0)))
    );
    assert_eq!(fs::read_dir(site.path("state")).unwrap().count(), 0);
}

#[test]
fn a_dry_run_needs_no_state_directory() {
    let site = Site::new(5);
    let (target, none) = (closed_port(), site.path("none"));
    let command = site.ventiprog().args(["-n", "-p", &site.part(), "-d"]);
    let output = command.arg(&none).arg(&target).run();
    let first = format!("{}\n", site.command(&target, 0, site.end(0)));
    assert_eq!((output.status, output.stdout), (0, first));
    assert!(!none.exists());
}

#[test]
fn json_names_no_new_command_where_the_place_did_not_move() {
    let (site, _here, _behind) = one_behind();
    let output = site.ventiprog().args(["-j", &closed_port()]).run();
    assert_eq!(output.status, 3, "{output:?}");
    let run: serde_json::Value =
        serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert!(run["old"].is_string() && run["new"].is_null(), "{run}");
}

#[test]
fn a_partition_named_from_here_is_found_from_anywhere() {
    let site = Site::new(5);
    let venti = Venti::start();
    let command = site.ventiprog().args(["-p", "here", &venti.dial()]);
    let here = command.home().join("here");
    std::os::unix::fs::symlink(site.part(), &here).unwrap();
    assert_eq!(command.run().status, 0);
    let partition = format!(" {} 0x", here.display());
    assert!(
        site.file("wrcmd").contains(&partition),
        "{}",
        site.file("wrcmd")
    );
}

#[test]
fn wrcmds_that_cannot_be_read_is_never_an_empty_one() {
    let (site, here, _behind) = one_behind();
    let good = site.file("wrcmds");
    let wrcmd = site.file("wrcmd");
    let cut = &good[..good.len() / 2];
    for text in [
        "",
        "\n\n",
        "\0\0\0\0",
        cut,
        "rm -rf /\n",
        "# place magic=0x1\n",
    ] {
        site.write("wrcmds", text);
        let before = here.counts();
        let path = format!(": {}: ", site.state("wrcmds").display());
        for command in [
            site.ventiprog(),
            site.ventiprog().arg("-n"),
            site.ventiprog().args(["--forget", &here.dial()]),
            site.ventilag(),
        ] {
            let output = command.run();
            assert_eq!(output.status, 2, "{text:?} {output:?}");
            let said = output.stderr.find(&path).is_some_and(|at| at < 10);
            assert!(said, "{output:?}");
        }
        assert_eq!(
            (site.file("wrcmds"), site.file("wrcmd")),
            (text.to_owned(), wrcmd.clone())
        );
        assert_eq!(here.counts(), before);
    }
    fs::remove_file(site.state("wrcmds")).unwrap();
    fs::create_dir(site.state("wrcmds")).unwrap();
    let output = site.ventiprog().run();
    output.assert_refused(1, "wrcmds: ");
    assert_eq!(site.file("wrcmd"), wrcmd);
}

#[test]
fn wrcmds_that_cannot_be_written_claims_nothing() {
    let site = Site::new(30);
    let venti = Venti::faulty([Fault::at(
        On::Sync,
        1,
        How::Trickle(std::time::Duration::from_millis(30)),
    )]);
    let command = site.ventiprog().args(["-p", &site.part(), &venti.dial()]);
    let run = command.start();
    while venti.counts().syncs == 0 {
        std::thread::yield_now();
    }
    // In its place, before the reply to the sync is there.
    fs::create_dir_all(site.state("wrcmds/x")).unwrap();
    let output = run.wait();
    output.assert_refused(1, "wrcmds: ");
    assert_eq!(
        (site.file("wrcmd"), site.file("rootscor")),
        (String::new(), String::new())
    );
}

#[test]
fn forget_is_not_mixed_with_what_only_looks() {
    let (site, here, behind) = one_behind();
    let before = site.file("wrcmds");
    let (one, two) = (here.dial(), behind.dial());
    for options in [&["-n", "--forget", &one][..], &["--forget", &one, &two]] {
        let output = site.ventiprog().args(options).run();
        output.assert_refused(
            2,
            "--forget takes one target, but neither -n, --check nor a ventilist",
        );
        assert_eq!(site.file("wrcmds"), before, "{options:?}");
    }
}

#[test]
fn a_bad_address_is_said_with_all_of_its_text() {
    let site = Site::new(1);
    for (option, subject) in [
        (
            &["a:1 b:1"][..],
            "target \"a:1 b:1\": expected one address, found \"a:1 b:1\": give several as separate words",
        ),
        (
            &["-p", "PART", "venti:"],
            "target \"venti:\": expected a port",
        ),
        (
            &["-s", "bad!", "-p", "PART", "venti"],
            "source \"bad!\": expected a port",
        ),
        (
            &["--forget", "a!b!c!d"],
            "target \"a!b!c!d\": expected tcp!host!port",
        ),
        (&["-b", "fast"], "-b: expected bytes a second"),
        (
            &["-p", "PART", "one,two"],
            "target \"one,two\": expected one address, found \"one,two\": give several",
        ),
        (
            &["-p", "PART", "http://one:8000/index"],
            "target \"http://one:8000/index\": expected the address of a venti, such as HOST",
        ),
        (
            &["-i", "localhost:8000/index", "one"],
            "-i: expected http://HOST:PORT/index, found",
        ),
        (
            &["--offline", "-p", "/dev/x", "-i", "one", "one"],
            "-i: expected http://HOST:PORT/index, found",
        ),
    ] {
        let output = site.ventiprog().args(option).run();
        output.assert_refused(2, &format!("ventiprog: {subject}"));
    }
    for option in ["--warn", "--crit"] {
        let output = site.ventilag().args([option, "2w"]).run();
        let said = format!("ventilag: {option}: expected hours or days such as 48, 48h or 2d");
        output.assert_refused(2, &said);
    }
}

#[test]
fn a_full_output_is_named() {
    let (site, _here, _behind) = one_behind();
    for (command, options) in [
        ("ventilag", &[][..]),
        ("ventilag", &["-j"]),
        ("ventiprog", &["-n"]),
        ("ventiprog", &["-n", "-j"]),
    ] {
        let Some(full) = command::full() else {
            return;
        };
        let done = Command::new(command)
            .arg("-d")
            .arg(site.path("state"))
            .args(options)
            .prepare()
            .stdin(Stdio::null())
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{options:?} {said}");
        assert!(said.contains(": standard output: "), "{said}");
    }
}

#[test]
fn an_age_is_hours_or_days() {
    let (site, _here, behind) = one_behind();
    for (age, status) in [("0", 3), ("0h", 3), ("0d", 3), ("2d", 0), ("48h", 0)] {
        let output = site.ventilag().args(["--warn", age]).run();
        assert_eq!(output.status, status, "{age}: {output:?}");
    }
    drop(behind);
}

#[test]
fn a_partition_that_the_call_names_wrongly_is_said_without_the_table_of_the_page() {
    let site = Site::new(1);
    let output = site.ventiprog().args(["-p", "/nope", "one"]).run();
    output.assert_refused(1, "ventiprog: /nope: no such file or device\n");
}

#[test]
fn a_target_without_a_line_is_told_which_have_one() {
    let (site, here, behind) = one_behind();
    let output = site.ventiprog().args(["--forget", "other"]).run();
    let said = format!(
        "ventiprog: tcp!other!17034: has no line in wrcmds; these have: {}, {}\n",
        here.dial(),
        behind.dial()
    );
    output.assert_refused(1, &said);
    let output = Site::new(1).ventiprog().args(["--forget", "other"]).run();
    output.assert_refused(1, "has no line in wrcmds; no target has one");
}

#[test]
fn a_full_target_is_told_what_it_needs() {
    let site = Site::new(40);
    let venti = Venti::with(Setup {
        capacity: 20 * 4096,
        ..Setup::default()
    });
    let output = site.runs(&[&venti], 1);
    let said = "refused: no space left in arenas; its arenas are full: \
                give that venti another arena partition, then run again\n";
    assert!(output.stderr.contains(said), "{output:?}");
}

#[test]
fn an_option_with_a_slip_is_answered_with_the_one_that_was_meant() {
    let site = Site::new(1);
    for (slip, meant) in [
        ("--verfy", "'--verfy', did you mean --verify?; usage: "),
        ("-verify", "\"-verify\", did you mean --verify?; usage: "),
        ("--zzz", "'--zzz'; usage: "),
    ] {
        let output = site.ventiprog().arg(slip).run();
        output.assert_refused(2, &format!("ventiprog: invalid option {meant}"));
    }
}

#[test]
fn a_place_that_the_source_no_longer_has_is_said_and_late() {
    let (mut site, venti) = (Site::new(30), Venti::start());
    site.runs(&[&venti], 0);
    let empty = venti_tests::arena::PartitionBuilder::new().seed(77);
    site.format_again(&empty.arenas(2, 8 << 20));
    for (options, status) in [(&[][..], 0), (&["--warn", "48"], 3)] {
        let output = site.ventilag().args(options).run();
        assert_eq!(output.status, status, "{output:?}");
        let said = "Z, the source no longer has this place\n";
        assert!(Site::places(&output).ends_with(said), "{output:?}");
    }
    let output = site.ventilag().arg("-j").run();
    assert!(output.stdout.contains("\"gone\":true"), "{output:?}");
}

/// A run long ago in which each target acknowledged what it has.
fn was_long_ago(site: &Site) {
    let lines = site.file("wrcmds");
    let words = lines
        .split_inclusive([' ', '\n'])
        .map(|word| match word.starts_with("time=") {
            true => format!(
                "time=2020-01-01T00:00:00Z{}",
                &word[word.trim_end().len()..]
            ),
            false => word.to_owned(),
        });
    site.write("wrcmds", &words.collect::<String>());
}

#[test]
fn a_target_that_was_found_complete_is_not_silent_since_its_last_block() {
    for engine in ["native", "external"] {
        let (mut site, venti) = (Site::new(20), Venti::start());
        site.runs(&[&venti], 0);
        was_long_ago(&site);
        let before = site.place(&venti.dial()).unwrap();
        let output = site.ventiprog().args(["-e", engine]).run();
        assert_eq!(output.status, 0, "{output:?}");
        let after = site.place(&venti.dial()).unwrap();
        assert!(after.acknowledged > before.acknowledged, "{engine}");
        let acknowledged = before.acknowledged;
        assert_eq!(
            Progress {
                acknowledged,
                ..after
            },
            before,
            "nothing else"
        );
        site.add(1);
        let output = site.ventilag().args(["--warn", "48"]).run();
        assert_eq!(output.status, 0, "{engine}: {output:?}");
    }
}

#[test]
fn a_run_with_nothing_new_leaves_a_fresh_wrcmds_alone() {
    let (site, venti) = (Site::new(20), Venti::start());
    site.runs(&[&venti], 0);
    let file = || fs::metadata(site.state("wrcmds")).unwrap().ino();
    let before = file();
    site.runs(&[&venti], 0);
    assert_eq!(file(), before, "it was not replaced");
    was_long_ago(&site);
    let before = site.file("wrcmds");
    let output = site.ventiprog().arg("-n").run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.file("wrcmds"), before);
}

#[test]
fn a_target_that_is_behind_or_not_reached_keeps_its_time() {
    let (mut site, here) = (Site::new(20), Venti::start());
    let gone = Venti::start();
    let down = gone.dial();
    site.runs(&[&here, &gone], 0);
    site.add(3);
    was_long_ago(&site);
    let long_ago = site.place(&down).unwrap().acknowledged;
    drop(gone);
    assert_eq!(site.ventiprog().arg(&down).run().status, 3);
    assert_eq!(site.place(&down).unwrap().acknowledged, long_ago);
    assert!(site.place(&here.dial()).unwrap().acknowledged > long_ago);
    let output = site.ventilag().args(["--warn", "48"]).run();
    assert_eq!(output.status, 3, "{output:?}");
    // Complete, as far as is known, and not reached.
    let (site, gone) = (Site::new(20), Venti::start());
    site.runs(&[&gone], 0);
    was_long_ago(&site);
    let before = site.file("wrcmds");
    drop(gone);
    assert_eq!(site.ventiprog().run().status, 6);
    assert_eq!(site.file("wrcmds"), before);
}

#[test]
fn a_mistake_is_answered_with_the_form_that_has_its_options() {
    let site = Site::new(1);
    let forget = "; usage: ventiprog --forget target [";
    let copy = "; usage: ventiprog [";
    for (options, usage) in [
        (&["--forget", "a", "-n"][..], forget),
        (&["--forget"], forget),
        (&["-n", "--verify"], copy),
        (&["-p", "-l", "--verfy"], copy),
        (&["-pl", "--verfy"], copy),
        (&["--zzz", "--", "-l"], copy),
    ] {
        let output = site.ventiprog().args(options).run();
        output.assert_refused(2, usage);
    }
}

#[test]
fn a_wrong_value_in_the_configuration_is_found_by_each_call() {
    let (site, _here, _behind) = one_behind();
    for (config, said) in [
        (
            "engine = 'natve'\n",
            "key `engine`: expected native or external, found \"natve\"",
        ),
        (
            "targets = ['localhost:2o101']\n",
            "key `targets`: expected a port from 1 to 65535",
        ),
        (
            "[limits]\nconnect = 0\n",
            "key `connect`: expected at least 1, found 0",
        ),
        (
            "address = 'tcp!!'\n",
            "key `address`: expected a host name or address",
        ),
    ] {
        for command in [
            site.ventilag(),
            site.ventiprog().arg("-n"),
            site.ventiprog(),
        ] {
            let output = command.config(config).run();
            output.assert_refused(2, said);
            assert!(output.stderr.contains(".toml: line "), "{output:?}");
        }
    }
}
