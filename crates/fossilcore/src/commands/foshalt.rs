//! The command foshalt: halts fossils in order, and says when it is safe to end
//! them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{Result, WrapErr};

use crate::console::place::{self, FoundConsole, Places};
use crate::console::{Console, end, kin};
use crate::halt::{Halt, HaltOutcome};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::{Failure, Status};
use venticore::text::line_of;
use venticore::tool::status_of;

/// How long processes have to end once they are told.
const END: Duration = Duration::from_secs(60);

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-f`: halt although an archive is under way.
    pub force: bool,
    /// `-k`: end the processes too.
    pub kill: bool,
    /// `-n`: only say what would be halted.
    pub dry_run: bool,
    /// `-t`: how long an archive under way may take.
    pub wait: Option<Duration>,
    /// The consoles; those that are found where there are none.
    pub consoles: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// No console is found, or standard output cannot be written.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let found = options.consoles.is_empty();
    let places = match found {
        true => place::consoles(config)?,
        false => given(&options.consoles),
    };
    let mut status = Status::Done;
    for refused in &places.refused {
        terminal.say(&refused.to_string());
        if refused.is_stranger() {
            status = Status::Failed;
        }
    }
    let mut served = 0;
    for place in &places.consoles {
        let one = match place.served {
            true => {
                served += 1;
                console(&place.path, options, config, terminal)
            }
            false => dead(&place.path, terminal),
        };
        status = status.worst(one.unwrap_or_else(|error| {
            terminal.say(&line_of(&error));
            status_of(&error)
        }));
    }
    if found {
        status = status.worst(orphans(
            &places.consoles,
            &place::namespace(config),
            terminal,
        ));
        if served == 0 && status == Status::Done {
            let text = format!(
                "no console in {} or {}: nothing is halted",
                config.consoles.display(),
                place::namespace(config).display()
            );
            return Err(Failure::report(Status::Failed, text));
        }
    }
    Ok(status)
}

/// The consoles that were named, whoever owns them.
fn given(paths: &[PathBuf]) -> Places {
    let place = |path: &PathBuf| FoundConsole {
        path: path.clone(),
        // If not, it will be said.
        served: true,
    };
    Places {
        consoles: paths.iter().map(place).collect(),
        refused: Vec::new(),
    }
}

/// Halts one fossil, and ends it if that was asked for.
fn console(path: &Path, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let halt = Halt {
        archive: options.wait.unwrap_or(config.archive),
        force: options.force,
        dry_run: options.dry_run,
        ..Halt::from_config(config)
    };
    let mut console = match Console::open(path, config.console) {
        Ok(console) => console,
        Err(error) => {
            let _ = dead(path, terminal)?;
            return Err(error.report());
        }
    };
    let outcome = halt.console(&mut console, terminal)?;
    for (_, text) in &outcome.wrong {
        terminal.say(text);
    }
    tell(path, &outcome, options.dry_run, terminal)?;
    let unhalted = outcome
        .wrong
        .iter()
        .any(|(status, _)| *status != Status::Partly);
    let archiving = outcome.halted.is_empty() && !outcome.wrong.is_empty();
    if options.kill && !options.dry_run {
        if unhalted || archiving {
            let text = format!("{}: not ended, since not all is halted", path.display());
            terminal.say(&text);
        } else {
            let halted = outcome.halted.iter();
            let partitions: Vec<PathBuf> = halted.map(|one| one.partition.clone()).collect();
            end::fossil(path, console.peer(), &partitions, END)
                .wrap_err_with(|| path.display().to_string())?;
        }
    }
    Ok(outcome.status())
}

/// One line for each file system: `halted NAME PARTITION CONSOLE`.
fn tell(path: &Path, outcome: &HaltOutcome, dry_run: bool, terminal: &Terminal) -> Result<()> {
    let word = if dry_run { "would halt" } else { "halted" };
    let mut output = terminal.output();
    for one in &outcome.halted {
        let (name, partition) = (&one.name, one.partition.display());
        writeln!(output, "{word} {name} {partition} {}", path.display())
            .wrap_err("standard output")?;
    }
    output.flush().wrap_err("standard output")
}

/// A socket that nobody serves: what is left of its fossil, if anything is.
fn dead(path: &Path, terminal: &Terminal) -> Result<Status> {
    let path = std::path::absolute(path)?;
    let left = kin::of(&path);
    for kin in &left {
        terminal.say(&orphan(kin));
    }
    match left.is_empty() {
        true => {
            terminal.detail(|| format!("{}: nobody serves it", path.display()));
            Ok(Status::Done)
        }
        false => Ok(Status::Failed),
    }
}

/// Fossils of this namespace whose broker was killed, and whose console's file is
/// gone as well.
fn orphans(places: &[FoundConsole], namespace: &Path, terminal: &Terminal) -> Status {
    let namespace = std::path::absolute(namespace).unwrap_or_else(|_| namespace.to_owned());
    let mut status = Status::Done;
    for kin in kin::all() {
        let known = places.iter().any(|place| place.path == kin.console);
        let ours = kin.console.parent() == Some(namespace.as_path());
        if ours && !known && !kin.console.exists() {
            terminal.say(&orphan(&kin));
            status = Status::Failed;
        }
    }
    status
}

fn orphan(kin: &kin::Kin) -> String {
    let pid = kin.pid.as_raw_nonzero();
    format!(
        "{}: its broker was killed, and process {pid} ({}) goes on without a console: it cannot be halted; kill {pid} ends it, and loses up to 30 seconds of changes",
        kin.console.display(),
        kin.command
    )
}
