//! `cargo xtask test [--real] [argument ...]`: builds the commands and runs all
//! tests. Further arguments go to `cargo test`.
//!
//! Tests against plan9port's programs are ignored tests, so that a run without
//! `--real` lists them as such.

use std::ffi::OsString;

use eyre::WrapErr;
use venti_tests::plan9::Plan9;

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    let real = arguments.iter().any(|a| a == "--real");
    if real {
        Plan9::find()
            .map_err(|e| eyre::eyre!(e))
            .wrap_err("--real")?;
    }
    crate::succeed(crate::cargo().args(["build", "--workspace", "--bins"]))?;
    let rest: Vec<OsString> = arguments
        .iter()
        .filter(|a| *a != "--real")
        .cloned()
        .collect();
    let mut test = crate::cargo();
    test.args(["test", "--workspace"])
        .args(with_ignored(rest, real));
    crate::succeed(&mut test)?;
    if !real {
        println!("not run: the tests against plan9port; they need cargo xtask test --real");
    }
    Ok(())
}

/// The arguments, with that which includes ignored tests for `--real`.
fn with_ignored(arguments: Vec<OsString>, real: bool) -> Vec<OsString> {
    if !real {
        return arguments;
    }
    let split = arguments.iter().position(|a| a == "--");
    let (ours, theirs) = match split {
        Some(at) => (&arguments[..at], &arguments[at + 1..]),
        None => (&arguments[..], &[][..]),
    };
    let ignored = ["--", "--include-ignored"].map(OsString::from);
    [ours, &ignored, theirs].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_tests_are_included_before_the_harness_own_arguments() {
        let given = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(with_ignored(given("-p x"), false), given("-p x"));
        assert_eq!(
            with_ignored(given("-p x"), true),
            given("-p x -- --include-ignored")
        );
        assert_eq!(
            with_ignored(given("-p x -- name"), true),
            given("-p x -- --include-ignored name")
        );
    }
}
