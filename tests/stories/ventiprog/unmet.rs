//! ventilag: a target that could never be reached is not passed over.

use venti_tests::venti::{Venti, closed_port};

use crate::fixture::site::Site;

#[test]
fn a_target_that_was_never_reached_is_listed_and_overdue() {
    let site = Site::new(20);
    let (here, never) = (Venti::start(), closed_port());
    let output = site
        .ventiprog()
        .args(["-p", &site.part(), &here.dial(), &never])
        .run();
    assert_eq!(output.status, 3, "{output:?}");
    let names = [(&*here.dial(), "HERE"), (&*never, "NEVER")];
    let config = format!("targets = [{:?}, {never:?}]", here.dial());
    let list = |options: &[&str]| site.ventilag().config(&config).args(options).run();
    for (options, status) in [(&[][..], 0), (&["--warn", "1000000"], 3)] {
        let output = list(options);
        assert_eq!(
            (output.status, &*output.remarks()),
            (status, ""),
            "{output:?}"
        );
        let places = Site::places(&output);
        let lines: Vec<_> = places
            .lines()
            .map(|line| line.split_once(", acknowledged ").unwrap())
            .collect();
        let [(current, time), (behind, "never")] = lines[..] else {
            panic!("{output:?}");
        };
        assert!(time.ends_with('Z'), "{time}");
        let behind = format!("{current}\n{behind}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(site.hermetic(&behind, &names), @r"
            HERE DIR/arenas arena0 0x142f8 behind 0 clumps 0 bytes on disk
            NEVER DIR/arenas arena0 0x0 behind 20 clumps 82680 bytes on disk
            ");
        }
    }
    let json = list(&["-j"]).stdout;
    assert!(json.contains(r#""acknowledged":null"#), "{json}");
}

#[test]
fn targets_before_the_first_run_are_said() {
    let site = Site::new(1);
    let never = closed_port();
    for (options, status) in [(&[][..], 0), (&["--warn", "1"], 3)] {
        let output = site.ventilag().args(options).arg(&never).run();
        assert_eq!(
            (output.status, &*Site::places(&output)),
            (status, ""),
            "{output:?}"
        );
        let said = format!("ventilag: {never}: has no place yet, no partition is on record\n");
        assert_eq!(output.remarks(), said);
    }
}

/// A line that an operator wrote is a hint: nobody has acknowledged its place.
#[test]
fn a_line_that_nothing_confirms_is_not_up_to_date() {
    let site = Site::new(20);
    let target = closed_port();
    let command = site.command(&target, 0, site.end(0));
    site.write("wrcmds", &format!("{command}\n"));
    for (options, status) in [(&[][..], 0), (&["--warn", "1000000"], 3)] {
        let output = site.ventilag().args(options).run();
        assert_eq!(output.status, status, "{output:?}");
        let listed = site.hermetic(&Site::places(&output), &[(&target, "HINTED")]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(listed, @"HINTED DIR/arenas ? 0x142f8 behind ? clumps ? bytes on disk, acknowledged never");
        }
    }
    let json = site.ventilag().arg("-j").run().stdout;
    for unknown in ["behind_clumps", "behind_bytes", "acknowledged"] {
        assert!(json.contains(&format!("{unknown:?}:null")), "{json}");
    }
}
