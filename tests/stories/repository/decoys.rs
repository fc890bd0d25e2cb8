//! Nothing that the tests start touches the machine's own fossils and ventis.

use std::process::{Command, Stdio};

use venti_tests::decoys::{Decoys, this_program};

/// The story that calls every command bare.
const BARE: &str = "repository::contract::a_call_without_operands_says_what_is_missing";

/// Runs it beside the decoys.
fn assert_untouched(decoys: &Decoys, mut stories: Command) {
    stories.args(["--exact", BARE]).stdin(Stdio::null());
    let output = stories.output().unwrap();
    let passed = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && passed, "{output:?}");
    assert_eq!(decoys.touched(), Vec::<String>::new());
}

#[test]
fn commands_called_bare_do_not_go_where_the_environment_leads() {
    let decoys = Decoys::new();
    let mut stories = Command::new(this_program().unwrap());
    decoys.lead(&mut stories);
    assert_untouched(&decoys, stories);
}

#[test]
fn commands_called_bare_do_not_go_to_the_built_in_places() {
    let decoys = Decoys::new();
    if let Some(stories) = decoys.inside(&this_program().unwrap()) {
        assert_untouched(&decoys, stories);
    }
}

#[test]
fn a_9fat_that_is_not_mounted_is_not_written_into() {
    for (name, arguments) in [
        ("ventiprog", &[][..]),
        ("ventiprog", &["-n"]),
        ("fossilize", &[]),
    ] {
        let mut decoys = Decoys::new();
        decoys.unmount();
        let Some(mut command) = decoys.bare(name) else {
            return;
        };
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        assert!(said.contains("/n/9fat: no 9fat is mounted there"), "{said}");
        assert_eq!(decoys.touched(), Vec::<String>::new());
    }
}

/// The decoys tell when a command does go there.
#[test]
fn a_command_that_is_not_kept_away_is_seen() {
    for (name, arguments) in [
        ("foshalt", &["-t", "1"][..]),
        ("ventiprog", &[]),
        ("fossilize", &[]),
    ] {
        let decoys = Decoys::new();
        let Some(mut command) = decoys.bare(name) else {
            return;
        };
        let output = command.args(arguments).stdin(Stdio::null()).output();
        assert!(!decoys.touched().is_empty(), "{name}: {output:?}");
    }
}
