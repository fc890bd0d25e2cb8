//! plan9port's own programs, found by `$PLAN9`: what the suite is measured
//! against.
//!
//! Stories that need them are marked
//! `#[ignore = "needs plan9port: cargo xtask test --real"]`, so that a run
//! without them says so.

mod vac;
mod venti;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub use venti::Venti;

use crate::command::Output;
use crate::surroundings::Surroundings;

/// Programs that the stories use.
const PROGRAMS: &[&str] = &[
    "9p",
    "dial",
    "fossil/conf",
    "fossil/flchk",
    "fossil/flfmt",
    "fossil/fossil",
    "fossil/last",
    "rc",
    "unvac",
    "vac",
    "vbackup",
    "venti/buildindex",
    "venti/checkarenas",
    "venti/conf",
    "venti/copy",
    "venti/fmtarenas",
    "venti/fmtindex",
    "venti/fmtisect",
    "venti/rdarena",
    "venti/read",
    "venti/sync",
    "venti/venti",
    "venti/verifyarena",
    "venti/wrarena",
    "venti/write",
];

/// An installation of plan9port.
#[derive(Clone, Debug)]
pub struct Plan9 {
    root: PathBuf,
}

impl Plan9 {
    /// The installation that `$PLAN9` names.
    ///
    /// # Errors
    ///
    /// A text that says what is missing.
    pub fn find() -> Result<Self, String> {
        let root = std::env::var_os("PLAN9").ok_or("$PLAN9 is not set; it names plan9port")?;
        let plan9 = Plan9 { root: root.into() };
        for name in PROGRAMS {
            let program = plan9.program(name);
            if !program.exists() {
                return Err(format!("{}: no such program", program.display()));
            }
        }
        Ok(plan9)
    }

    /// [`Plan9::find`], for a story that cannot do without.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn expect() -> Self {
        Self::find().unwrap_or_else(|e| panic!("{e}"))
    }

    /// The same, and a fresh venti of so many bytes in a directory of its own,
    /// in arenas of `arena` bytes.
    ///
    /// # Panics
    ///
    /// When there is none, or one of its programs fails.
    #[must_use]
    pub fn with_venti(bytes: u64, arena: u64) -> (Self, TempDir, Venti) {
        let plan9 = Self::expect();
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let venti = Venti::fresh(&plan9, directory.path(), "a", bytes, arena);
        (plan9, directory, venti)
    }

    /// Where it is, as `$PLAN9` says.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a program: `vac`, `venti/wrarena`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// A program to be run, in an environment that finds the others. The
    /// programs stand last in `PATH`: they have names like `grep`.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        self.prepare(Command::new(self.program(name)))
    }

    /// The same, as the leader of a session whose terminal is its standard input.
    #[must_use]
    pub fn command_on_terminal(&self, name: &str) -> Command {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(self.program(name));
        self.prepare(command)
    }

    /// The same, where no file may have more bytes than these: the system refuses
    /// to write further, and does not kill it for that.
    #[must_use]
    pub fn command_with_full_disk(&self, name: &str, bytes: u64) -> Command {
        let mut command = Command::new("env");
        command.args(["--ignore-signal=XFSZ", "prlimit"]);
        command.arg(format!("--fsize={bytes}"));
        command.arg(self.program(name));
        self.prepare(command)
    }

    fn prepare(&self, mut command: Command) -> Command {
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        path.push(":");
        path.push(self.root.join("bin"));
        // What posts a service says where, and a script which configuration.
        Surroundings::below(Path::new("/nonexistent")).around(&mut command);
        command.env("PLAN9", &self.root).env("PATH", path);
        command
    }

    /// `9p` on the file server at this address, with this on its standard input.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn nine(&self, address: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        fed(
            self.command("9p").args(["-a", address]).args(arguments),
            input,
        )
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn run<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S]) -> Output {
        self.run_at(name, arguments, "")
    }

    /// Runs a program to its end, with `$venti` set to this address.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn run_at<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S], venti: &str) -> Output {
        let output = self
            .command(name)
            .args(arguments)
            .env("venti", venti)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        Output {
            status: crate::command::status_number(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// [`Plan9::run`] of a program that must succeed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn succeed<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S]) -> Output {
        let output = self.run(name, arguments);
        assert_eq!(output.status, 0, "{name}: {output:?}");
        output
    }
}

/// Runs a program that must succeed, with this on its standard input; what it
/// prints.
///
/// # Panics
///
/// When it fails.
#[track_caller]
pub fn fed(command: &mut Command, input: &[u8]) -> Vec<u8> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("it has one");
    stdin
        .write_all(input)
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    drop(stdin);
    let output = child.wait_with_output().expect("our child");
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// A file of so many zeros.
pub(crate) fn zeros(path: &Path, bytes: u64) {
    let file = fs::File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.set_len(bytes)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
