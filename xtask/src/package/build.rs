//! The programs that are packaged: static where the musl target is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eyre::{WrapErr, eyre};
use venti_tests::command;

/// Programs, and what they were built for.
pub(crate) struct Build {
    /// As `x86_64-unknown-linux-musl`.
    pub(crate) target: String,
    /// Where they are.
    directory: PathBuf,
    quick: bool,
}

impl Build {
    /// Builds all commands from the sources below `root`.
    pub(crate) fn of(root: &Path, quick: bool) -> eyre::Result<Self> {
        let host = host()?;
        let musl = host.replace("-gnu", "-musl");
        let target = if !quick && is_installed(&musl)? {
            musl
        } else {
            host
        };
        if quick {
            return Ok(Build {
                target,
                directory: command::programs().to_owned(),
                quick,
            });
        }
        let output = root.join("target/package/build");
        let mut cargo = crate::cargo();
        cargo
            .current_dir(root)
            .args(["build", "--release", "--locked", "--target", &target])
            .arg("--target-dir")
            .arg(&output)
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_ENCODED_RUSTFLAGS", flags(root)?)
            .env_remove("RUSTFLAGS");
        for name in command::names() {
            cargo.args(["--package", &name]);
        }
        crate::succeed(&mut cargo)?;
        Ok(Build {
            directory: output.join(&target).join("release"),
            target,
            quick,
        })
    }

    /// The program of this name, without symbols.
    pub(crate) fn program(&self, name: &str) -> eyre::Result<Vec<u8>> {
        let mut path = self.path(name);
        let scratch = tempfile::tempdir()?;
        if self.quick {
            let stripped = scratch.path().join(name);
            super::said(Command::new("strip").arg("-o").arg(&stripped).arg(&path))?;
            path = stripped;
        }
        fs::read(&path).wrap_err_with(|| path.display().to_string())
    }

    /// Where it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether they are as cargo build makes them.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    /// Whether they need no library of the machine.
    pub(crate) fn is_static(&self) -> bool {
        self.target.contains("-musl")
    }

    /// Says how they are linked.
    pub(crate) fn linked(&self) -> String {
        let target = &self.target;
        match (self.quick, self.is_static()) {
            (true, _) => format!("{target}, dynamic, as cargo build makes them: not to be shipped"),
            (false, true) => format!("{target}, static"),
            (false, false) => format!(
                "{target}, dynamic: static ones need rustup target add {}",
                target.replace("-gnu", "-musl")
            ),
        }
    }
}

/// Flags, separated as cargo has it, that keep the paths of this machine out of
/// the programs.
fn flags(root: &Path) -> eyre::Result<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let of_user = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let home = home
        .or_else(of_user)
        .ok_or_else(|| eyre!("neither CARGO_HOME nor HOME is set"))?;
    let to = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [to(&home, "/cargo"), to(root, "/ventiprog")];
    Ok(flags.join("\x1f"))
}

/// The target of this machine.
fn host() -> eyre::Result<String> {
    let said = super::said(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .ok_or_else(|| eyre!("rustc -vV names no host"))?
        .to_owned())
}

/// Whether the standard library for a target is here.
fn is_installed(target: &str) -> eyre::Result<bool> {
    let mut rustc = Command::new("rustc");
    let said = super::said(rustc.args(["--print", "target-libdir", "--target", target]));
    Ok(said.is_ok_and(|directory| Path::new(directory.trim()).is_dir()))
}
