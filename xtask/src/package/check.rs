//! `cargo xtask package --check`: what has to be seen true of the packages.
//!
//! 1. `cargo install --path crates/NAME` gives each command.
//! 2. Built again, from a clone in another directory, they are the same byte for byte.
//! 3. In a clean Debian, made by debootstrap, each installs alone and gives only
//!    its files, and leaves nothing when it is removed.
//! 4. All of them install side by side, the examples of the manual run there as
//!    the pages have them, and removing all leaves only what the examples wrote.
//!
//! The last two need root.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eyre::{OptionExt, WrapErr, ensure, eyre};
use venti_tests::command;
use venti_tests::machine::Machine;
use venti_tests::page::Page;

use super::build::Build;
use super::tarball::remove;
use super::{Release, directory, pack, said};

/// What changes below a root without being part of a package: the books of
/// dpkg, logs and caches; and where we put packages.
const BOOKS: [&str; 5] = [
    "var/lib/dpkg",
    "var/log",
    "var/cache",
    "etc/ld.so.cache",
    "packages",
];
/// Where examples and the machine they run on write.
const STATE: [&str; 6] = [
    "dev/sd",
    "etc/ventiprog.toml",
    "n",
    "usr/local/plan9",
    "var/lib/ventiprog",
    "images",
];

pub(crate) fn run(release: &Release, build: &Build, made: &[PathBuf]) -> eyre::Result<()> {
    let scratch = directory().join("check");
    fs::create_dir_all(&scratch)?;
    cargo_install(&scratch.join("cargo"))?;
    same_again(release, build, made, &scratch)?;
    ensure!(
        rustix::process::geteuid().is_root(),
        "installing in a clean Debian needs root"
    );
    let root = Root::make(&scratch)?;
    let packages: Vec<&PathBuf> = made
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "deb"))
        .collect();
    for package in &packages {
        if !name_of(package).ends_with("-all") {
            root.takes_alone(package)?;
        }
    }
    root.takes_all(&packages)
}

/// Installs each command as a user would, though without optimization.
fn cargo_install(to: &Path) -> eyre::Result<()> {
    for name in command::names() {
        let mut cargo = crate::cargo();
        cargo.args(["install", "--quiet", "--debug", "--locked", "--force"]);
        cargo
            .arg("--path")
            .arg(command::root().join("crates").join(&name));
        cargo
            .arg("--target-dir")
            .arg(command::root().join("target"));
        said(cargo.arg("--root").arg(to))?;
        let version = said(Command::new(to.join("bin").join(&name)).arg("--version"))?;
        ensure!(version.starts_with(&name), "{name} --version: {version}");
    }
    println!("cargo install: each of {} commands", command::names().len());
    Ok(())
}

/// Builds and packs a clone of the present commit, and compares.
fn same_again(
    release: &Release,
    build: &Build,
    made: &[PathBuf],
    scratch: &Path,
) -> eyre::Result<()> {
    let mut git = Command::new("git");
    git.current_dir(command::root());
    let changes = said(git.args(["status", "--porcelain"]))?;
    if !changes.is_empty() || build.is_quick() {
        println!("not built again: that takes all committed, and no --quick");
        return Ok(());
    }
    let clone = scratch.join("clone");
    remove(&clone)?;
    let mut git = Command::new("git");
    git.args(["clone", "--quiet"]).arg(command::root());
    said(git.arg(&clone))?;
    let again = Build::of(&clone, false)?;
    let packed = pack(release, &again, &scratch.join("again"))?;
    for (one, other) in made.iter().zip(&packed) {
        ensure!(
            fs::read(one)? == fs::read(other)?,
            "{} and {} differ",
            one.display(),
            other.display()
        );
    }
    ensure!(made.len() == packed.len(), "not as many packages");
    remove(&clone)?;
    println!(
        "built again in another directory: {} packages, same bytes",
        made.len()
    );
    Ok(())
}

/// The name of the package in a file `NAME_VERSION_ARCHITECTURE.deb`.
fn name_of(package: &Path) -> String {
    let file = package.file_name().unwrap_or_default().to_string_lossy();
    file.split('_').next().unwrap_or_default().to_owned()
}

/// A clean Debian.
struct Root(PathBuf);

impl Root {
    /// Makes it, from what an earlier call kept, or with debootstrap.
    fn make(scratch: &Path) -> eyre::Result<Self> {
        let root = scratch.join("root");
        remove(&root)?;
        let kept = scratch.join("debian.tar");
        if !kept.exists() {
            let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
            let name = release
                .lines()
                .find_map(|l| l.strip_prefix("VERSION_CODENAME="));
            println!("debootstrap: a clean Debian in {}", root.display());
            let mut debootstrap = Command::new("debootstrap");
            debootstrap.args(["--variant=minbase", name.unwrap_or("stable")]);
            said(debootstrap.arg(&root)).wrap_err("a clean Debian")?;
            let mut tar = Command::new("tar");
            said(tar.arg("-cf").arg(&kept).arg("-C").arg(&root).arg("."))?;
        } else {
            fs::create_dir(&root)?;
            let mut tar = Command::new("tar");
            said(tar.arg("-xpf").arg(&kept).arg("-C").arg(&root))?;
        }
        fs::create_dir_all(root.join("packages"))?;
        Ok(Root(root))
    }

    /// Runs a program there.
    fn run(&self, arguments: &[&str]) -> eyre::Result<String> {
        let mut chroot = Command::new("chroot");
        chroot
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        chroot
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C");
        said(chroot.arg(&self.0).args(arguments))
    }

    /// Puts packages there, and installs them in one call.
    fn install(&self, packages: &[&PathBuf]) -> eyre::Result<()> {
        let mut call = vec!["dpkg".to_owned(), "--install".to_owned()];
        for package in packages {
            let name = package.file_name().ok_or_eyre("a package has a name")?;
            fs::copy(package, self.0.join("packages").join(name))?;
            call.push(format!("/packages/{}", name.display()));
        }
        let call: Vec<&str> = call.iter().map(String::as_str).collect();
        self.run(&call).map(drop)
    }

    fn remove(&self, names: &[String]) -> eyre::Result<()> {
        let mut call = vec!["dpkg", "--purge"];
        call.extend(names.iter().map(String::as_str));
        self.run(&call).map(drop)
    }

    /// Every path there, but for the books.
    fn listing(&self) -> eyre::Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        let mut next = vec![self.0.clone()];
        while let Some(directory) = next.pop() {
            let failed = || directory.display().to_string();
            for entry in fs::read_dir(&directory).wrap_err_with(failed)? {
                let path = entry?.path();
                let relative = path.strip_prefix(&self.0)?.to_owned();
                if BOOKS.iter().any(|book| relative.starts_with(book)) {
                    continue;
                }
                if path.is_dir() && !path.is_symlink() {
                    next.push(path);
                }
                found.insert(relative);
            }
        }
        Ok(found)
    }

    /// A package gives its files and no others; and none stays.
    fn takes_alone(&self, package: &PathBuf) -> eyre::Result<()> {
        let name = name_of(package);
        let before = self.listing()?;
        self.install(&[package])?;
        let added: BTreeSet<PathBuf> = &self.listing()? - &before;
        let files = added.iter().filter(|path| self.0.join(path).is_file());
        let files: BTreeSet<PathBuf> = files.cloned().collect();
        for file in &files {
            let fits = |pattern: &str| file.starts_with(pattern.replace("NAME", &name));
            let ours = ["usr/bin/NAME", "usr/share/doc/NAME"];
            let last = file.file_name().unwrap_or_default().to_string_lossy();
            let named = last.trim_start_matches('_').split(['.', '@']).next() == Some(&name);
            let is_manual = name.ends_with("-doc") && file.starts_with("usr/share/man");
            ensure!(
                ours.into_iter().any(fits) || named || is_manual,
                "{name}: installs {}",
                file.display()
            );
        }
        if command::names().contains(&name) {
            self.is_of_use(&name, &files)?;
        }
        self.remove(std::slice::from_ref(&name))?;
        let left: Vec<PathBuf> = (&self.listing()? - &before).into_iter().collect();
        ensure!(left.is_empty(), "{name}: leaves {left:?}");
        println!("{name}: {} files, none left when removed", files.len());
        Ok(())
    }

    /// The command runs, and its page is the one of the sources.
    fn is_of_use(&self, name: &str, files: &BTreeSet<PathBuf>) -> eyre::Result<()> {
        let version = self.run(&[name, "--version"])?;
        ensure!(version.starts_with(name), "{name} --version: {version}");
        let page = PathBuf::from(format!("usr/share/man/man8/{name}.8.gz"));
        ensure!(files.contains(&page), "{name}: no page");
        let text = self.run(&["gzip", "-dc", &format!("/{}", page.display())])?;
        let source = Page::load(&format!("{name}.8")).source;
        ensure!(text == source, "{name}: another page");
        Ok(())
    }

    /// All packages together; the examples; what is left.
    fn takes_all(&self, packages: &[&PathBuf]) -> eyre::Result<()> {
        let before = self.listing()?;
        self.install(packages)?;
        println!("all {} packages side by side", packages.len());
        let processes = Processes::shown(&self.0)?;
        for page in Page::all() {
            for path in ["n", "var/lib/ventiprog"] {
                remove(&self.0.join(path))?;
            }
            let run = Machine::below(&self.0)
                .follow(&page)
                .map_err(|cause| eyre!("{cause}"))?;
            println!("{}: {run} examples run", page.file());
        }
        drop(processes);
        let names: Vec<String> = packages.iter().map(|package| name_of(package)).collect();
        self.remove(&names)?;
        let is_state = |path: &Path| {
            let path = path.to_string_lossy();
            STATE.iter().any(|state| path.starts_with(state))
        };
        let left: Vec<PathBuf> = (&self.listing()? - &before)
            .into_iter()
            .filter(|path| !is_state(path))
            .collect();
        ensure!(left.is_empty(), "all removed, left are {left:?}");
        println!("all removed: nothing but state is left");
        Ok(())
    }
}

/// `/proc` of a root, while this lives: who formats a partition wants to see that no
/// process has it open.
struct Processes(PathBuf);

impl Processes {
    fn shown(root: &Path) -> eyre::Result<Self> {
        let proc = root.join("proc");
        let mut mount = Command::new("mount");
        said(mount.args(["-t", "proc", "proc"]).arg(&proc))?;
        Ok(Processes(proc))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // What stays mounted shows when the root is removed.
        let _ = said(Command::new("umount").arg(&self.0));
    }
}
