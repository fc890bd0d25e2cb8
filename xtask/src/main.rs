//! Tasks of the workspace, `cargo xtask TASK`: one file a task.

use std::ffi::OsString;
use std::process::ExitCode;

mod bench;
mod completions;
mod demo;
mod measure;
mod package;
mod sink;
mod test;

/// One task.
struct Task {
    name: &'static str,
    does: &'static str,
    run: fn(&[OsString]) -> eyre::Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "demo",
        does: "a backup, a loss and a restore with three ventis in target/demo",
        run: demo::run,
    },
    Task {
        name: "test",
        does: "all tests; with --real also against plan9port in $PLAN9, with --decoys beside what they must not touch",
        run: test::run,
    },
    Task {
        name: "bench",
        does: "what wrarena and ventiprog cost, beside the C tools where $PLAN9 is set",
        run: bench::run,
    },
    Task {
        name: "completions",
        does: "completions for bash, zsh and fish, from what --help says",
        run: completions::run,
    },
    Task {
        name: "package",
        does: "packages of all commands; with --check also installed in a clean Debian",
        run: package::run,
    },
    Task {
        name: "sink",
        does: "the hashing null sink of the benchmark, until its input ends",
        run: sink::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some((name, arguments)) = arguments.split_first() else {
        print!("{}", listing());
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| *name == *task.name) else {
        eprint!("xtask: {}: no such task\n{}", name.display(), listing());
        return ExitCode::from(2);
    };
    match (task.run)(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {}: {error:#}", task.name);
            ExitCode::FAILURE
        }
    }
}

/// The tasks, a line each.
fn listing() -> String {
    let line = |task: &Task| format!("cargo xtask {:<11} {}\n", task.name, task.does);
    TASKS.iter().map(line).collect()
}

/// A call of cargo, the one that runs this.
fn cargo() -> std::process::Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = std::process::Command::new(program);
    cargo.current_dir(venti_tests::command::root());
    cargo
}

/// Runs a command that must succeed.
fn succeed(command: &mut std::process::Command) -> eyre::Result<()> {
    let status = command.status()?;
    eyre::ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
