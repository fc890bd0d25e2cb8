//! ventiprog: what a run does not cover is named, and never passes for verified.

use std::fs;

use venti_tests::arena::PartitionBuilder;
use venti_tests::venti::Venti;

use crate::fixture::site::Site;

/// Two targets with the same blocks; the first is the host of the wrcmd.
fn two() -> (Site, Venti, Venti) {
    let site = Site::new(30);
    let (first, second) = (Venti::start(), Venti::start());
    site.runs(&[&first, &second], 0);
    (site, first, second)
}

/// What is said of targets that a run was not asked for.
fn unasked(names: &str) -> String {
    format!("ventiprog: not asked for in this run, on record in wrcmds: {names}; ")
}

#[test]
fn a_run_names_the_targets_on_record_that_it_was_not_asked_for() {
    let (site, first, second) = two();
    // Without operands all there are is meant, and -q does not hide that one is not.
    for quiet in [&["-q"][..], &[]] {
        let output = site.ventiprog().args(quiet).run();
        assert_eq!(output.status, 3, "{output:?}");
        assert!(
            output.stderr.contains(&unasked(&second.dial())),
            "{output:?}"
        );
        assert!(output.stderr.contains("--forget"), "{output:?}");
    }
    // The operands replace what is configured.
    let third = Venti::start();
    let targets = format!("targets = ['{}']\n", second.dial());
    let output = site.ventiprog().config(&targets).arg(third.dial()).run();
    assert!(
        output.stderr.contains(&unasked(&second.dial())),
        "{output:?}"
    );
    // Who names operands means those.
    let output = site.ventiprog().arg("-q").arg(third.dial()).run();
    assert_eq!((output.status, &*output.stderr), (0, ""));
    let all = [first.dial(), second.dial(), third.dial()];
    let output = site.ventiprog().args(all).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn verifying_without_operands_is_not_done_while_a_target_on_record_is_left_out() {
    let (site, _first, second) = two();
    let verify = || site.ventiprog().args(["-q", "--verify"]);
    let output = verify().run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output.stderr.contains(&unasked(&second.dial())),
        "{output:?}"
    );
    let both = format!("targets = ['{}']\n", second.dial());
    let output = verify().config(&both).run();
    assert_eq!((output.status, &*output.stderr), (0, ""));
}

#[test]
fn verifying_the_targets_that_the_operands_name_is_done_without_the_others() {
    let (site, first, second) = two();
    let output = site.ventiprog().args(["--verify", &first.dial()]).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.stderr.contains(&unasked(&second.dial())),
        "{output:?}"
    );
}

#[test]
fn verifying_where_nothing_is_on_record_verifies_nothing_and_says_so() {
    let (site, first, _second) = two();
    let elsewhere = site.path("elsewhere");
    let verify = site
        .ventiprog()
        .args(["--verify", "-p", &site.part(), "-d"]);
    let output = verify.arg(&elsewhere).arg(first.dial()).run();
    assert_eq!(output.status, 3, "{output:?}");
    let said = format!(
        "ventiprog: {}: nothing is on record there, so nothing is verified; ",
        elsewhere.display()
    );
    assert!(output.stderr.contains(&said), "{output:?}");
    assert!(
        output.summary().contains("; nothing was verified"),
        "{output:?}"
    );
    assert!(output.summary().ends_with("; exit status 3"), "{output:?}");
}

#[test]
fn a_target_of_which_nothing_is_on_record_is_not_verified() {
    let (site, first, second) = two();
    let new = Venti::start();
    let all = [first.dial(), second.dial(), new.dial()];
    let run = || site.ventiprog().args(["-q", "--verify"]).args(&all).run();
    let output = run();
    assert_eq!(output.status, 3, "{output:?}");
    let said = format!("nothing is on record there of {}, so ", new.dial());
    assert!(output.stderr.contains(&said), "{output:?}");
    let output = run();
    assert_eq!((output.status, &*output.stderr), (0, ""));
}

#[test]
fn verifying_a_source_that_has_changed_is_not_done() {
    let (mut site, venti) = (Site::new(30), Venti::start());
    site.runs(&[&venti], 0);
    site.format_again(&PartitionBuilder::new().arenas(2, 8 << 20));
    site.add(10);
    let output = site.ventiprog().args(["-q", "--verify"]).run();
    assert_eq!(output.status, 3, "{output:?}");
    let said = "only a part of what is on record in ";
    assert!(output.stderr.contains(said), "{output:?}");
    let output = site.ventiprog().args(["-q", "--verify"]).run();
    assert_eq!((output.status, &*output.stderr), (0, ""));
}

#[test]
fn a_list_where_nothing_is_on_record_says_so() {
    let site = Site::new(1);
    let said = format!(
        "ventilag: {}: nothing is on record there\n",
        site.path("state").display()
    );
    for (options, status) in [(&[][..], 0), (&["--warn", "48"], 3)] {
        let output = site.ventilag().args(options).run();
        assert_eq!((output.status, &*Site::places(&output)), (status, ""));
        assert_eq!(output.stderr, said);
    }
    assert_eq!(fs::read_dir(site.path("state")).unwrap().count(), 0);
}
