//! The commands of the workspace, built once and run hermetically.
//!
//! This is the only way to start one: where its program lies is known as text
//! alone, for configurations and scripts. A run sees the [`Surroundings`] that are
//! its own, and what the test adds.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::surroundings::Surroundings;

/// How long a command may take before its test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// The root of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a directory of the workspace")
}

/// The commands of the suite: the crates under `crates/` that have a
/// `src/main.rs`, sorted.
#[must_use]
pub fn names() -> Vec<String> {
    let crates = root().join("crates");
    let entries = fs::read_dir(&crates).unwrap_or_else(|e| panic!("{}: {e}", crates.display()));
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().join("src/main.rs").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Says that a test, or a part of it, was not run, and why: `mandoc: not found`.
pub fn skipped(why: &str) {
    // Not by a macro: the harness would keep that to itself.
    let _ = io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

/// A file that takes no byte. None where it may not be opened, which is said.
#[must_use]
pub fn full() -> Option<File> {
    let opened = File::options().write(true).open("/dev/full");
    let opened = opened.map_err(|error| skipped(&format!("a full output: /dev/full: {error}")));
    opened.ok()
}

/// The path of a command's program, for a configuration or a script. It is run
/// as a [`Command`], or by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(PathBuf);

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// A command's program, built from the present sources.
///
/// # Panics
///
/// When the commands cannot be built, or there is none of this name.
#[must_use]
pub fn program(name: &str) -> Program {
    let program = programs().join(name);
    assert!(program.exists(), "{}: not built", program.display());
    Program(program)
}

/// The directory of all programs, which are built from the present sources: to be
/// packed, or the `PATH` of a machine with [`Surroundings`] of its own.
///
/// # Panics
///
/// When they cannot be built.
#[must_use]
pub fn programs() -> &'static Path {
    static PROFILE: OnceLock<PathBuf> = OnceLock::new();
    PROFILE.get_or_init(build_all)
}

/// Builds the commands now, for a test that is about times.
///
/// # Panics
///
/// When they cannot be built.
pub fn build() {
    let _ = programs();
}

/// Puts all commands into the `bin` of a machine with [`Surroundings`] of its own.
///
/// # Panics
///
/// When they cannot be built, or it cannot be written.
pub fn install(bin: &Path) {
    for name in names() {
        let link = std::os::unix::fs::symlink(programs().join(&name), bin.join(&name));
        link.unwrap_or_else(|e| panic!("{}: {e}", bin.display()));
    }
}

/// Builds all commands in the profile of the running program; says where they
/// are. A task shows what is compiled, since that can take minutes; a test does
/// not.
fn build_all() -> PathBuf {
    let directory = profile_directory();
    let is_test = std::env::current_exe().is_ok_and(|program| program.parent() != Some(&directory));
    let profile = match directory.file_name().and_then(OsStr::to_str) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    let target = directory.parent().expect("a profile is in a target");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = process::Command::new(cargo);
    build
        .current_dir(root())
        .args(["build", "--profile", profile, "--target-dir"])
        .arg(target);
    if is_test {
        build.arg("--quiet");
    }
    for name in names() {
        build.args(["--package", &name]);
    }
    let status = build.status().unwrap_or_else(|e| panic!("cargo: {e}"));
    assert!(status.success(), "cargo build: {status}");
    directory
}

/// `target/PROFILE`, where the running test or task lies, or in its `deps`.
fn profile_directory() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let directory = program.parent().expect("a program is in a directory");
    match directory.file_name() {
        Some(name) if name == "deps" => directory.parent().expect("deps is in a profile"),
        _ => directory,
    }
    .to_owned()
}

/// One run of a command, being prepared.
#[derive(Debug)]
pub struct Command {
    name: String,
    home: TempDir,
    surroundings: Surroundings,
    directory: Option<PathBuf>,
    through: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    config: String,
}

/// A run whose input and output the test looks after itself: a terminal, a pipe, a
/// file. Its home is removed with this.
#[derive(Debug)]
pub struct Prepared {
    command: process::Command,
    _home: TempDir,
}

impl Deref for Prepared {
    type Target = process::Command;

    fn deref(&self) -> &process::Command {
        &self.command
    }
}

impl DerefMut for Prepared {
    fn deref_mut(&mut self) -> &mut process::Command {
        &mut self.command
    }
}

/// What a command said and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + N when it was ended by signal N.
    pub status: i32,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

impl Output {
    /// What was said on standard error, without the line that sums up a run of
    /// ventiprog.
    #[must_use]
    pub fn remarks(&self) -> String {
        let lines = self.stderr.split_inclusive('\n');
        lines.filter(|line| !sums_up(line)).collect()
    }

    /// The line that sums up a run of ventiprog; empty where there is none.
    #[must_use]
    pub fn summary(&self) -> &str {
        self.stderr.lines().find(|line| sums_up(line)).unwrap_or("")
    }

    /// It ended with this status, printed nothing, and said this on standard error.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn assert_refused(&self, status: i32, said: &str) {
        assert_eq!(
            (self.status, self.stdout.as_str()),
            (status, ""),
            "{self:?}"
        );
        assert!(self.stderr.contains(said), "{self:?}");
    }
}

fn sums_up(line: &str) -> bool {
    line.contains(" target current") || line.contains(" targets current")
}

/// A command that is running. It is killed when dropped.
#[derive(Debug)]
pub struct Running {
    call: String,
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    _home: TempDir,
}

impl Command {
    /// A run of the command of this name, without arguments.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory for temporary files");
        let surroundings = Surroundings::below(home.path());
        surroundings.make();
        Command {
            name: name.to_owned(),
            home,
            surroundings,
            directory: None,
            through: Vec::new(),
            config: String::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Has another program run it: these words precede its path.
    #[must_use]
    pub fn through<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        self.through.extend(words);
        self
    }

    /// Starts it in this directory, not in its home.
    #[must_use]
    pub fn current_dir(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Sets a variable of the environment.
    ///
    /// # Panics
    ///
    /// It leads out of the test's own directories.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.surroundings.note(name.as_ref(), value.as_ref());
        self.environment
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Gives it this configuration, completed by what keeps the machine out of it.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }

    /// Gives it this on standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(mut self, input: &[u8]) -> Self {
        self.input = input.to_owned();
        self
    }

    /// The directory that is its home and where it is started.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started or does not end.
    #[must_use]
    pub fn run(self) -> Output {
        self.start().wait()
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(self) -> Running {
        self.start_with(Stdio::piped(), Stdio::piped())
    }

    /// Starts it with this as its standard input.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start_on(self, stdin: impl Into<Stdio>) -> Running {
        self.start_with(stdin.into(), Stdio::piped())
    }

    /// Runs it with a standard output that nobody reads any more.
    ///
    /// # Panics
    ///
    /// When it cannot be started or does not end.
    #[must_use]
    pub fn run_into_closed_pipe(self) -> Output {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        self.start_with(Stdio::piped(), writer.into()).wait()
    }

    /// Prepares it to be started by the test.
    ///
    /// # Panics
    ///
    /// When its configuration leads out of the test's own directories.
    #[must_use]
    pub fn prepare(self) -> Prepared {
        Prepared {
            command: self.to_process(),
            _home: self.home,
        }
    }

    fn to_process(&self) -> process::Command {
        self.surroundings.configure(&self.config);
        let program = programs().join(&self.name);
        assert!(program.exists(), "{}: not built", program.display());
        let mut words = self.through.iter().map(OsString::as_os_str);
        let mut command = process::Command::new(words.next().unwrap_or(program.as_os_str()));
        command.args(words);
        if !self.through.is_empty() {
            command.arg(&program);
        }
        self.surroundings
            .around(&mut command)
            .args(&self.arguments)
            .current_dir(self.directory.as_deref().unwrap_or(self.home.path()))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start_with(self, stdin: Stdio, stdout: Stdio) -> Running {
        let mut command = self.to_process();
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let call = format!("{} {:?}", self.name, self.arguments);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{call}: {e}"));
        if let Some(mut stdin) = child.stdin.take() {
            // A command that ends without reading its input is no error here.
            thread::spawn(move || stdin.write_all(&self.input));
        }
        Running {
            call,
            stdout: child.stdout.take().map(collect),
            stderr: child.stderr.take().map(collect),
            child,
            _home: self.home,
        }
    }
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as `kill -9` does; [`Running::wait`] then gives 137.
    pub fn kill(&mut self) {
        // It may have ended already: no error.
        let _ = self.child.kill();
    }

    /// Whether it still runs.
    ///
    /// # Panics
    ///
    /// When the system does not know it.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.poll() {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                None => panic!("{}: still running after {PATIENCE:?}", self.call),
            }
        };
        let join = |pipe: Option<JoinHandle<String>>| {
            pipe.map_or_else(String::new, |pipe| pipe.join().expect("a reading thread"))
        };
        Output {
            status: status_number(status),
            stdout: join(self.stdout.take()),
            stderr: join(self.stderr.take()),
        }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .unwrap_or_else(|e| panic!("{}: {e}", self.call))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// The status a shell would show.
pub(crate) fn status_number(status: ExitStatus) -> i32 {
    let by_signal = status.signal().map(|signal| 128 + signal);
    status.code().or(by_signal).expect("it ended")
}

/// Reads a pipe to its end, beside the test.
fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
