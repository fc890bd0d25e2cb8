//! A 9fat that is mounted while a command runs: the state directory of a
//! machine that has Plan 9 on another partition.
//!
//! Several runs may use it at once. Each holds a shared lock; who mounts holds it
//! alone while it does, and so does the last one, who unmounts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use eyre::{Result, WrapErr};

use super::WAIT;
use super::program::{self, ProgramFailure};
use crate::config::{self, Config};
use crate::host::lock::{self, Hold};
use crate::host::terminal::Terminal;
use crate::state::{self, StateDir};
use crate::status::{Failure, Status};

/// A 9fat has this file; a directory where nothing is mounted has not.
const SIGN: &str = "plan9.ini";

/// The name of the lock in our own directory.
const LOCK: &str = "mount";

/// What is in it while we have mounted it.
const MOUNTED: &[u8] = b"mounted\n";

/// The state directory of a command, mounted where that is configured.
#[derive(Debug)]
pub struct Home {
    state: StateDir,
    mounted: Option<Mounted>,
}

/// The use of a mounted 9fat.
#[derive(Debug)]
struct Mounted {
    dir: PathBuf,
    unmount: Vec<String>,
    own: StateDir,
    lock: Option<File>,
}

impl Home {
    /// The state directory that options and configuration name. A 9fat that is
    /// not mounted is, where the configuration says how; then call [`Home::close`].
    /// Who else can write it, and who could read what is in it, is said.
    ///
    /// # Errors
    /// It cannot be made or mounted.
    pub fn open(config: &Config, given: Option<&Path>, terminal: &Terminal) -> Result<Self> {
        let dir = config.state_dir(given);
        refuse_unmounted(config, given, &dir)?;
        let mount = config.mount_at(&dir);
        let mounted = mount.map(|mount| Mounted::enter(mount, &dir, config));
        let mounted = mounted.transpose()?;
        let state = StateDir::open(&dir).map_err(|error| named_by(error, given));
        match state.and_then(|state| Self::apart(state, config)) {
            Ok(state) => {
                let told = state.strangers().into_iter().chain(state.tighten());
                told.for_each(|line| terminal.say(&line));
                Ok(Home { state, mounted })
            }
            Err(error) => {
                // Why it cannot be used is worth more than that it stays mounted.
                let _ = mounted.map(Mounted::leave);
                Err(error)
            }
        }
    }

    /// The same for reading only: nothing is made or mounted. `None` where the
    /// directory does not exist.
    ///
    /// # Errors
    /// It is not mounted.
    pub fn existing(config: &Config, given: Option<&Path>) -> Result<Option<StateDir>> {
        let dir = config.state_dir(given);
        if config.mount_at(&dir).is_some() && !is_mounted(&dir) {
            let cause = format!(
                "{}: expected {SIGN}, found none: it is not mounted, and a run that writes nothing mounts nothing",
                dir.display()
            );
            return Err(Failure::report(Status::Failed, cause));
        }
        refuse_unmounted(config, given, &dir)?;
        let state = StateDir::existing(&dir)?;
        state.map(|state| Self::apart(state, config)).transpose()
    }

    fn apart(state: StateDir, config: &Config) -> Result<StateDir> {
        if config.mount_at(state.path()).is_none() && !StateDir::is_on_fat(state.path()) {
            return Ok(state);
        }
        Ok(state.apart(&config.own_dir())?)
    }

    /// The directory.
    #[must_use]
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// Ends a run with `outcome`: unmounts what no other run uses. That it
    /// cannot be unmounted is said and in the status.
    ///
    /// # Errors
    /// The run's own error.
    pub fn close(self, outcome: Result<Status>, terminal: &Terminal) -> Result<Status> {
        let left = self.mounted.map_or(Ok(()), Mounted::leave);
        let Err(error) = left else {
            return outcome;
        };
        terminal.say(&format!("{error:#}"));
        outcome.map(|status| status.worst(Status::Failed))
    }
}

/// A directory that is only there for a 9fat to be mounted at is not a state directory:
/// another night's state is on that 9fat.
fn refuse_unmounted(config: &Config, given: Option<&Path>, dir: &Path) -> Result<()> {
    if !config.lacks_nine_fat(given) {
        return Ok(());
    }
    let cause = format!(
        "{}: no 9fat is mounted there: mount it, or name a state directory (-d, or the key dir)",
        dir.display()
    );
    Err(Failure::report(Status::Failed, cause))
}

/// An error of the state directory; one that nobody chose, and that a plain user
/// may not make, comes with the way out.
fn named_by(error: state::StateError, given: Option<&Path>) -> eyre::Report {
    let refused = error.is_refused() && given.is_none();
    match refused {
        true => {
            let cause = format!("{error}; name a state directory of your own (-d, or the key dir)");
            Failure::report(Status::Failed, cause)
        }
        false => error.into(),
    }
}

fn is_mounted(dir: &Path) -> bool {
    dir.join(SIGN).exists()
}

impl Mounted {
    fn enter(mount: &config::Mount, dir: &Path, config: &Config) -> Result<Self> {
        let own = StateDir::open(&config.own_dir())?;
        let path = own.path_of(LOCK);
        let lock = own.lock_file(LOCK)?;
        let words = |words: &[String]| fill(words, &mount.partition, dir);
        let mounted = Mounted {
            dir: dir.to_owned(),
            unmount: words(&mount.unmount)?,
            own,
            lock: None,
        };
        let start = Instant::now();
        loop {
            // Alone: nobody uses it, so nobody minds that it is mounted now.
            let alone = lock::take_now(&lock).wrap_err_with(|| path.display().to_string())?;
            if alone && !is_mounted(dir) {
                mounted.mount(&words(&mount.command)?)?;
            }
            share(&lock, dir)?;
            // Another may have unmounted it before the lock was shared.
            if is_mounted(dir) {
                break;
            }
            if start.elapsed() >= WAIT {
                return Err(mounted.no_sign());
            }
        }
        Ok(Mounted {
            lock: Some(lock),
            ..mounted
        })
    }

    fn no_sign(&self) -> eyre::Report {
        let cause = format!(
            "{}: expected {SIGN}, found none: no 9fat is mounted there",
            self.dir.display()
        );
        Failure::report(Status::Failed, cause)
    }

    fn mount(&self, words: &[String]) -> Result<()> {
        fs::create_dir_all(&self.dir).wrap_err_with(|| self.dir.display().to_string())?;
        call(words)?;
        if !is_mounted(&self.dir) {
            call(&self.unmount)?;
            return Err(self.no_sign());
        }
        Ok(self.own.replace(LOCK_MARK, MOUNTED)?)
    }

    /// Unmounts it, if one of us mounted it and nobody else uses it.
    fn leave(self) -> Result<()> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        if !lock::take_now(lock).unwrap_or(false) {
            // The last one does it.
            return Ok(());
        }
        let mark = self.own.read(LOCK_MARK, MOUNTED.len())?;
        if mark.as_deref() != Some(MOUNTED) {
            return Ok(());
        }
        call(&self.unmount)?;
        Ok(self.own.replace(LOCK_MARK, b"")?)
    }
}

/// Takes the lock with others, waiting for one who is about to mount.
fn share(lock: &File, dir: &Path) -> Result<()> {
    if lock::take(lock, Hold::Shared, WAIT)? {
        return Ok(());
    }
    let cause = format!("another run has been mounting it for {} s", WAIT.as_secs());
    let text = format!("{}: {cause}", dir.display());
    Err(Failure::report(Status::Locked, text))
}

/// The name of the file that says whether we have mounted it.
const LOCK_MARK: &str = "mounted";

/// An argument vector with its places filled in.
fn fill(words: &[String], partition: &str, dir: &Path) -> Result<Vec<String>> {
    let usage = |cause| Failure::report(Status::Usage, cause);
    let dir = dir.to_str();
    let dir = dir.ok_or_else(|| usage("expected a state directory with a name of text"))?;
    if words.is_empty() {
        return Err(usage("[mount]: expected a command, found no word"));
    }
    let places = [("{partition}", partition), ("{dir}", dir)];
    Ok(program::fill(words, &places))
}

/// Runs a command to its end.
fn call(words: &[String]) -> Result<()> {
    let failed = |cause: &str| {
        let text = format!("{}: {cause}", words.join(" "));
        Failure::report(Status::Failed, text)
    };
    match program::call(words, &[], Vec::new()) {
        Ok(_) => Ok(()),
        Err(ProgramFailure::Missing) => Err(failed("no such program")),
        Err(ProgramFailure::Ended(cause)) => Err(failed(&cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::status_of;

    #[test]
    fn only_whole_words_are_places() {
        let words = ["mount", "-o", "x={dir}", "{partition}", "{dir}"].map(str::to_owned);
        let filled = fill(&words, "/dev/a b", Path::new("/n/9fat")).unwrap();
        assert_eq!(filled, ["mount", "-o", "x={dir}", "/dev/a b", "/n/9fat"]);
        assert!(fill(&[], "", Path::new("/")).is_err());
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_words() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        call(&words(&["true"])).unwrap();
        let error = call(&words(&["false", "x"])).unwrap_err().to_string();
        assert!(error.starts_with("false x: exit status: 1"), "{error}");
        let error = call(&words(&["/nonexistent/mount"])).unwrap_err();
        assert_eq!(status_of(&error), Status::Failed);
    }
}
