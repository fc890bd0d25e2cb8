//! The examples in the manual pages, run as they stand.

use venti_tests::machine::Machine;
use venti_tests::page::Page;

use crate::fixture::reset::is_blind;

/// Why an example may not be run here. The stories of cpsys, of the console, of
/// undo and of replicas run the same, in their own surroundings.
const NOT_RUN: [&str; 6] = [
    "it takes two machines",
    "it takes three machines",
    "it takes a running fossil",
    "it takes a replica on a disk",
    "the file has another name each time",
    "it is a part of a unit",
];

#[test]
fn the_examples_in_the_pages_work() {
    let blind = is_blind();
    for page in Page::all() {
        if blind && ["flfmt.8", "fosreset.8"].contains(&page.file().as_str()) {
            continue;
        }
        let run = Machine::scratch().follow(&page).unwrap();
        let not_run = page.not_run();
        assert!(run + not_run.len() > 0, "{}: no example", page.file());
        for why in not_run {
            // What is the reason of one is the story of another.
            assert!(NOT_RUN.contains(&why), "{}: not run: {why}", page.file());
        }
    }
}

#[test]
fn an_example_that_fails_is_named() {
    let machine = Machine::scratch();
    let mut page = Page::load("fossilast.8");
    page.source = page.source.replace("/dev/sdb2", "/dev/sdb3");
    let cause = machine.follow(&page).unwrap_err();
    assert!(cause.starts_with("fossilast.8: "), "{cause}");
    assert!(cause.contains("/dev/sdb3"), "{cause}");
}

#[test]
fn an_output_that_differs_is_named() {
    let machine = Machine::scratch();
    let mut page = Page::load("ventioffsets.8");
    page.source = page.source.replace("x main1 ", "x main7 ");
    let cause = machine.follow(&page).unwrap_err();
    assert!(
        cause.contains("expected") && cause.contains("main7"),
        "{cause}"
    );
}
