//! `cargo xtask test [--real] [--decoys] [argument ...]`: builds the commands and runs all
//! tests. Further arguments go to `cargo test`.
//!
//! With `--real` the stories in `tests/stories/real` are run too, against
//! plan9port's programs. They are ignored tests, so that a run without it
//! lists them as such; other ignored tests stay ignored.
//!
//! With `--decoys` all of it runs beside a live console, a state directory, a fossil
//! and a venti that lie where a command finds the machine's own, and fails if
//! one of them was touched.

use std::ffi::OsString;
use std::process::Command;

use eyre::{WrapErr, ensure};
use venti_tests::decoys::Decoys;
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
    let decoys = arguments.iter().any(|a| a == "--decoys").then(Decoys::new);
    let ours = ["--real", "--decoys"];
    let rest = arguments
        .iter()
        .filter(|a| ours.iter().all(|our| *a != our));
    run_beside(decoys.as_ref(), cargo_test(&["--workspace"]).args(rest))?;
    if !real {
        println!("{NOT_RUN}");
        return Ok(());
    }
    println!("against plan9port:");
    let stories = ["--package", "venti-tests", "--test", "stories"];
    let mut test = cargo_test(&stories);
    run_beside(decoys.as_ref(), test.args(["--", "--ignored", "real::"]))
}

fn cargo_test(arguments: &[&str]) -> Command {
    let mut cargo = crate::cargo();
    cargo.arg("test").args(arguments);
    cargo
}

/// Runs the tests where the decoys lie, if there are any. They are untouched then.
fn run_beside(decoys: Option<&Decoys>, test: &mut Command) -> eyre::Result<()> {
    let Some(decoys) = decoys else {
        return crate::succeed(test);
    };
    match decoys.inside(test.get_program().as_ref()) {
        Some(mut inside) => {
            inside.args(test.get_args());
            inside.current_dir(venti_tests::command::root());
            crate::succeed(&mut inside)?;
        }
        None => {
            decoys.lead(test);
            crate::succeed(test)?;
        }
    }
    let touched = decoys.touched();
    ensure!(touched.is_empty(), "touched: {}", touched.join(", "));
    println!("the decoys were not touched");
    Ok(())
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
