//! The command rootcheck: proves that roots are whole on ventis.

mod roots;
mod target;
mod tell;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::SystemTime;

use eyre::{Report, Result, WrapErr};

use crate::archive::Checking;
use roots::AskedRoot;
use target::{Outcome, TargetCheck, Verdicts};
use tell::{Progress, Reporter};
use venticore::codec::target::TargetName;
use venticore::codec::verified::Verified;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::ninefat::Home;
use venticore::state::StateDir;
use venticore::status::{Failure, Status};
use venticore::text::line_of;
use venticore::tool::status_of;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-a`: ask for data, and do not read it.
    pub ask: bool,
    /// `--as-written`: what was written invalid is said, and does not count.
    pub as_written: bool,
    /// `-c`: the history of a fossil too.
    pub history: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `-h`: the ventis, in place of the configured targets.
    pub hosts: Vec<String>,
    /// `-j`: print JSON.
    pub json: bool,
    /// `-n`: say what would be checked.
    pub dry_run: bool,
    /// `-q`: of roots that are whole nothing is printed.
    pub quiet: bool,
    /// The roots; the newest ones on record where there are none.
    pub scores: Vec<String>,
}

impl Options {
    /// What stands in the file of verdicts for the command.
    fn words(&self, tool: &str) -> String {
        let mut words = tool.to_owned();
        let options = [
            (self.ask, " -a"),
            (self.history, " -c"),
            (self.as_written, " --as-written"),
        ];
        for (is_given, option) in options {
            words.push_str(if is_given { option } else { "" });
        }
        words
    }
}

/// Runs the command.
///
/// # Errors
/// There is no target or no root, a score or address is invalid, or the state directory
/// cannot be used. What is wrong with roots and targets is told, and in the status.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let targets = targets(options, config)?;
    let given = roots::given(&options.scores, &mut io::stdin().lock())?;
    let (given, refused) = match given {
        Some(given) => (Some(given.roots), say_refused(&given.refused, terminal)),
        None => (None, Status::Done),
    };
    let dir = options.dir.as_deref();
    if options.dry_run {
        let state = Home::existing(config, dir)?;
        let state = state.unwrap_or_else(|| StateDir::none(&config.state_dir(dir)));
        let roots = roots_of(given, &state)?;
        let planned = tell::say_plan(&roots, &targets, options, terminal)?;
        return Ok(planned.worst(refused));
    }
    refuse_without_roots(given.as_deref(), dir, config)?;
    let home = Home::open(config, dir, terminal)?;
    let state = home.state();
    let is_spoilt = given.is_none() && state.is_newest_root_spoilt()?;
    if is_spoilt {
        terminal.say(StateDir::SPOILT_ROOT);
    }
    let outcome = roots_of(given, state).and_then(|roots| {
        if roots.is_empty() {
            return Ok(refused);
        }
        let check = Run {
            tool,
            options,
            config,
            terminal,
            state,
        };
        let status = check.all(&roots, &targets)?.worst(refused);
        Ok(match is_spoilt {
            true => status.worst(Status::Partly),
            false => status,
        })
    });
    home.close(outcome, terminal)
}

/// Says which lines of standard input name no root, and how the run ends for that.
fn say_refused(refused: &[Report], terminal: &Terminal) -> Status {
    let mut lines = terminal.several("lines of standard input that name no root");
    let mut status = Status::Done;
    for error in refused {
        lines.say(&line_of(error));
        status = status.worst(status_of(error));
    }
    status
}

/// The ventis: those given, otherwise the configured targets. One that is named twice is
/// one.
fn targets(options: &Options, config: &Config) -> Result<Vec<TargetName>> {
    let (texts, what) = match options.hosts.is_empty() {
        true => (&config.targets, "target"),
        false => (&options.hosts, "-h"),
    };
    let mut targets = Vec::new();
    for text in texts {
        let target = config
            .target(text)
            .wrap_err_with(|| format!("{what} {text:?}"))?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    match targets.is_empty() {
        true => Err(Failure::report(
            Status::Usage,
            "expected a venti: give one with -h, or set $targetventis or targets in the configuration",
        )),
        false => Ok(targets),
    }
}

/// Without a record there is nothing to check, and no state directory is made.
fn refuse_without_roots(
    given: Option<&[AskedRoot]>,
    dir: Option<&Path>,
    config: &Config,
) -> Result<()> {
    let path = config.state_dir(dir);
    if given.is_none() && config.mount_at(&path).is_none() && Home::existing(config, dir)?.is_none()
    {
        return Err(roots::none_on_record(&path));
    }
    Ok(())
}

fn roots_of(given: Option<Vec<AskedRoot>>, state: &StateDir) -> Result<Vec<AskedRoot>> {
    match given {
        Some(roots) => Ok(roots),
        None => roots::on_record(state),
    }
}

/// One run.
struct Run<'a> {
    tool: &'a str,
    options: &'a Options,
    config: &'a Config,
    terminal: &'a Terminal,
    state: &'a StateDir,
}

impl Run<'_> {
    /// Checks all roots on all targets, a thread each, and tells of each as soon as it is
    /// decided.
    fn all(&self, roots: &[AskedRoot], targets: &[TargetName]) -> Result<Status> {
        let progress = Progress::new(self.terminal, targets.len());
        let how = Checking {
            probe: self.options.ask,
            history: self.options.history,
        };
        let (sender, outcomes) = mpsc::channel();
        let mut reporter = Reporter::new(self.options, self.terminal);
        let told = thread::scope(|scope| {
            for (number, target) in targets.iter().enumerate() {
                let verdicts = Verdicts::new(sender.clone());
                let tick = progress.of(number);
                let check = TargetCheck {
                    target,
                    roots,
                    how,
                    memory: TargetCheck::memory_of_one(targets.len()),
                    config: self.config,
                };
                scope.spawn(move || check.run(&verdicts, tick));
            }
            drop(sender);
            // A line that cannot be printed ends the printing, and not the record.
            let mut told = Ok(());
            for outcome in outcomes {
                let recorded = self.record(&outcome);
                if told.is_ok() {
                    told = reporter.tell(&outcome);
                }
                reporter.status = reporter.status.worst(recorded);
            }
            told
        });
        self.terminal.clear();
        told?;
        Ok(reporter.end(targets.len()))
    }

    /// Adds a verdict to the file of verdicts.
    fn record(&self, outcome: &Outcome) -> Status {
        let Outcome::Decided(decided) = outcome else {
            return Status::Done;
        };
        let Some(verdict) = decided.verdict(self.options) else {
            return Status::Done;
        };
        let line = Verified {
            score: decided.root.score,
            target: decided.target.clone(),
            verdict,
            blocks: decided.blocks(),
            bytes: decided.findings.counts.bytes,
            time: SystemTime::now(),
            tool: self.options.words(self.tool),
        };
        match self.state.append_verified(&[line], StateDir::ROOTSCOR_WAIT) {
            Ok(_) => Status::Done,
            Err(error) => {
                self.terminal.say(&line_of(&error.into()));
                Status::Failed
            }
        }
    }
}
