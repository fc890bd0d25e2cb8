//! The options of ventiprog, and which task they ask for.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::survey::Scope;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-n`: say what would be sent, and write nothing.
    pub dry_run: bool,
    /// `--check`: say of each thing that a run needs whether it is there. Then `-n` too.
    pub check: bool,
    /// `-j`: one JSON object for each target and one for the run.
    pub json: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `--9fat`: a 9fat that nobody mounts.
    pub nine_fat: Option<OsString>,
    /// `-p`, `-i`, `--offline`, and the ventis to bring up to date, besides the one in
    /// the wrcmd.
    pub scope: Scope,
    /// `-s`: the venti whose arenas are read, to be synced first.
    pub source: Option<String>,
    /// `-b`: bytes a second that each target is sent at most.
    pub rate: Option<u64>,
    /// `-e`: who sends, `native` or `external`.
    pub engine: Option<String>,
    /// `--verify`: read back everything that earlier runs recorded.
    pub verify: bool,
    /// `--trust`: believe a wrcmd offset that no line in wrcmds confirms.
    pub trust: bool,
    /// What to do.
    pub task: Task,
}

impl Options {
    pub(super) fn reads_only(&self) -> bool {
        self.dry_run
    }
}

/// What a run is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Bring the targets up to date.
    #[default]
    Replicate,
    /// `--forget`: remove the lines of a target.
    Forget(String),
}

impl Task {
    /// The task: to forget a target, where one is named.
    ///
    /// # Errors
    /// The options do not go together, or one means nothing for the task: the cause of
    /// the usage error.
    pub fn of(forget: Option<String>, options: &Options) -> Result<Self, String> {
        if let Some(cause) = meaningless(forget.is_some(), options) {
            return Err(cause);
        }
        match forget {
            None => Ok(Task::Replicate),
            Some(_) if options.dry_run || !options.scope.targets.is_empty() => {
                Err("--forget takes one target, but neither -n, --check nor a ventilist".into())
            }
            Some(target) => Ok(Task::Forget(target)),
        }
    }
}

/// Why an option means nothing for what is to be done. None is ignored silently.
fn meaningless(forgets: bool, options: &Options) -> Option<String> {
    let scope = &options.scope;
    let (why, refused) = match forgets {
        true => (
            "--forget only removes the lines of a target",
            vec![
                (options.rate.is_some(), "-b"),
                (options.engine.is_some(), "-e"),
                (options.source.is_some(), "-s"),
                (options.trust, "--trust"),
                (options.verify, "--verify"),
                (options.json, "-j"),
                (scope.index.is_some(), "-i"),
                (!scope.partitions.is_empty(), "-p"),
                (scope.offline, "--offline"),
            ],
        ),
        false => {
            let verify = (options.dry_run && options.verify, "--verify");
            match options.check {
                true => ("--check reads nothing back", vec![verify]),
                false => ("-n asks no target", vec![verify]),
            }
        }
    };
    let (_, option) = refused.into_iter().find(|(is_given, _)| *is_given)?;
    Some(format!("{why}: {option} cannot be used with it"))
}
