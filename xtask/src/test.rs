//! `cargo xtask test [--real] [argument ...]`: builds the commands and runs all
//! tests. Further arguments go to `cargo test`.
//!
//! With `--real` the stories in `tests/stories/real_*.rs` are run too, against
//! plan9port's programs. They are ignored tests, so that a run without it
//! lists them as such; other ignored tests stay ignored.

use std::ffi::OsString;

use eyre::WrapErr;
use venti_tests::plan9::Plan9;

/// The last line of a run without `--real`.
const NOT_RUN: &str = "not run: the tests against plan9port; they need cargo xtask test --real";

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    let real = arguments.iter().any(|a| a == "--real");
    if real {
        Plan9::find()
            .map_err(|e| eyre::eyre!(e))
            .wrap_err("--real")?;
    }
    crate::succeed(crate::cargo().args(["build", "--workspace", "--bins"]))?;
    let rest = arguments.iter().filter(|a| *a != "--real");
    crate::succeed(crate::cargo().args(["test", "--workspace"]).args(rest))?;
    if !real {
        println!("{NOT_RUN}");
        return Ok(());
    }
    println!("against plan9port:");
    let mut test = crate::cargo();
    test.args(["test", "--package", "venti-tests", "--test", "stories"]);
    crate::succeed(test.args(["--", "--ignored", "real_"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_how_the_tests_end() {
        let readme = venti_tests::command::root().join("README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        assert!(readme.lines().any(|line| line.trim() == NOT_RUN));
    }
}
