//! `cargo xtask package [--quick] [--check]`: a Debian package and an archive
//! for each command, below `target/package`.
//!
//! Both are made again byte for byte from the same commit: times are the commit's, or
//! the one in `$SOURCE_DATE_EPOCH`, and no path of this machine is left in a program. With
//! `--quick` they hold programs as `cargo build` makes them: to look at the packages, not to
//! ship. With `--check` they are then installed in a clean Debian, see `check`.

mod build;
mod check;
mod contents;
mod deb;
mod licences;
mod tarball;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eyre::{WrapErr, ensure, eyre};
use venti_tests::command;

use build::Build;
use contents::Contents;

/// What all packages have in common.
pub(crate) struct Release {
    /// The version of the workspace.
    version: &'static str,
    /// Seconds since 1970: the time of everything in a package.
    epoch: u64,
}

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    let (mut quick, mut checked) = (false, false);
    for argument in arguments {
        match argument.to_str() {
            Some("--quick") => quick = true,
            Some("--check") => checked = true,
            _ => return Err(eyre!("takes --quick, --check, or nothing")),
        }
    }
    let release = Release::of_commit()?;
    let build = Build::of(command::root(), quick)?;
    let made = pack(&release, &build, &directory())?;
    for path in &made {
        let name = path.strip_prefix(command::root()).unwrap_or(path);
        println!("{:>9} {}", fs::metadata(path)?.len(), name.display());
    }
    println!("{}", build.linked());
    deb::lint(&made)?;
    if checked {
        check::run(&release, &build, &made)?;
    }
    Ok(())
}

/// Where packages are made.
fn directory() -> PathBuf {
    command::root().join("target/package")
}

impl Release {
    fn of_commit() -> eyre::Result<Self> {
        let given = std::env::var("SOURCE_DATE_EPOCH").ok();
        let epoch = match given {
            Some(epoch) => epoch,
            None => {
                let mut git = Command::new("git");
                git.current_dir(command::root());
                said(git.args(["log", "-1", "--format=%ct"]))
                    .wrap_err("where there is no git, set SOURCE_DATE_EPOCH")?
            }
        };
        Ok(Release {
            version: env!("CARGO_PKG_VERSION"),
            epoch: epoch
                .trim()
                .parse()
                .wrap_err("expected seconds since 1970 in SOURCE_DATE_EPOCH")?,
        })
    }
}

/// Makes all packages in a directory; says which files those are.
fn pack(release: &Release, build: &Build, directory: &Path) -> eyre::Result<Vec<PathBuf>> {
    fs::create_dir_all(directory).wrap_err_with(|| directory.display().to_string())?;
    remove_packages(directory)?;
    let mut all = Vec::new();
    for name in command::names() {
        all.push(Contents::of_command(&name, build)?);
    }
    let mut made = Vec::new();
    for contents in &all {
        made.push(tarball::write(contents, release, build, directory)?);
    }
    all.push(Contents::of_manual()?);
    all.push(Contents::of_all());
    if !deb::can() {
        println!("no .deb: there is no dpkg-deb here");
        return Ok(made);
    }
    for contents in &all {
        made.push(deb::write(contents, release, build, directory)?);
    }
    Ok(made)
}

/// Removes what an earlier call left: it is not a package of this one.
fn remove_packages(directory: &Path) -> eyre::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let ends = |end: &str| path.to_string_lossy().ends_with(end);
        if ends(".deb") || ends(".tar.gz") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// What a program that must succeed prints.
fn said(command: &mut Command) -> eyre::Result<String> {
    let output = command.output().wrap_err_with(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        error.trim()
    );
    String::from_utf8(output.stdout).wrap_err_with(|| format!("{command:?}"))
}
