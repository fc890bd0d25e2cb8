//! The options of ventiprog, and which task they ask for.

use std::ffi::OsString;
use std::path::PathBuf;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-n`: say what would be sent, and write nothing.
    pub dry_run: bool,
    /// `-j`: one JSON object for each target and one for the run.
    pub json: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `--9fat`: a 9fat that nobody mounts.
    pub nine_fat: Option<OsString>,
    /// `-p`: arena partitions, besides the one in the wrcmd.
    pub partitions: Vec<String>,
    /// `-i`: the URL of the source's index page.
    pub index: Option<String>,
    /// `-s`: the venti whose arenas are read, to be synced first.
    pub source: Option<String>,
    /// `--offline`: no server writes the partitions.
    pub offline: bool,
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
    /// The ventis to bring up to date, besides the one in the wrcmd.
    pub targets: Vec<String>,
}

impl Options {
    pub(super) fn reads_only(&self) -> bool {
        self.dry_run || matches!(self.task, Task::List { .. })
    }
}

/// What a run is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Bring the targets up to date.
    #[default]
    Replicate,
    /// `-l`: show the place of every target; some count as overdue when they
    /// are behind and have acknowledged nothing for `older` hours.
    List {
        /// `--older`.
        older: Option<u64>,
    },
    /// `--forget`: remove the lines of a target.
    Forget(String),
}

/// The options that choose the task, and `-q`, which not every task has.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `-l`.
    pub list: bool,
    /// `--older`, in hours.
    pub older: Option<u64>,
    /// `--forget`: the target.
    pub forget: Option<String>,
    /// `-q`.
    pub quiet: bool,
}

impl Asked {
    /// The task.
    ///
    /// # Errors
    /// The options do not go together, or one means nothing for the task: the cause of
    /// the usage error.
    pub fn task(self, options: &Options) -> Result<Task, String> {
        if let Some(cause) = self.meaningless(options) {
            return Err(cause);
        }
        match (self.list, self.older, self.forget) {
            (true, older, None) => Ok(Task::List { older }),
            (false, None, None) => Ok(Task::Replicate),
            (false, None, Some(target)) if !options.dry_run && options.targets.is_empty() => {
                Ok(Task::Forget(target))
            }
            (false, Some(_), None) => Err("--older goes with -l".into()),
            (_, _, Some(_)) => {
                Err("--forget takes one target, and not -l, -n or a ventilist".into())
            }
        }
    }

    /// Why an option means nothing for what is to be done. None is ignored silently.
    fn meaningless(&self, options: &Options) -> Option<String> {
        let acts = [
            (options.rate.is_some(), "-b"),
            (options.engine.is_some(), "-e"),
            (options.source.is_some(), "-s"),
            (options.trust, "--trust"),
            (options.verify, "--verify"),
        ];
        let reads = [
            (options.json, "-j"),
            (options.index.is_some(), "-i"),
            (!options.partitions.is_empty(), "-p"),
            (options.offline, "--offline"),
        ];
        let (why, refused) = match (self.forget.is_some(), self.list) {
            // What it does not go with at all is said elsewhere.
            (true, true) => return None,
            (true, false) => (
                "--forget only removes the lines of a target",
                [&acts[..], &reads].concat(),
            ),
            (false, true) => {
                let silent = [(options.dry_run, "-n"), (self.quiet, "-q")];
                let why = "-l only shows what is on record";
                (why, [&acts[..], &silent].concat())
            }
            (false, false) => {
                let verify = (options.dry_run && options.verify, "--verify");
                ("-n asks no target", vec![verify])
            }
        };
        let (_, option) = refused.into_iter().find(|(is_given, _)| *is_given)?;
        Some(format!("{why}: {option} goes without it"))
    }
}
