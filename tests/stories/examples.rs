//! The examples in the manual pages, run as they stand.

use venti_tests::machine::Machine;
use venti_tests::page::Page;

#[test]
fn the_examples_in_the_pages_work() {
    for page in Page::all() {
        let run = Machine::scratch().follow(&page).unwrap();
        assert!(run > 0, "{}: no example that can be run", page.file());
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
