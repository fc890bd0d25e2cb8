//! What is in each package: files, and what is said of it.
//!
//! A command's package has the command, its page, its completions, its units and
//! examples from `docs/contrib`, and licences. The pages that are about no
//! one command, and `docs`, are in `ventiprog-doc`, so that any packages can be
//! installed side by side. `ventiprog-all` has nothing but needs them all.

use std::fs;
use std::path::{Path, PathBuf};

use eyre::WrapErr;
use venti_tests::command;
use venti_tests::help::{Choice, Help};
use venti_tests::page::Page;

use super::build::Build;
use super::licences;
use crate::completions;

/// One file: where it goes below `/usr`, what is in it, how it is used.
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) executable: bool,
}

/// One package.
pub(crate) struct Contents {
    /// Its name.
    pub(crate) name: String,
    /// What it is, in one line.
    pub(crate) does: String,
    /// The same in a few.
    pub(crate) text: String,
    /// The packages of this suite that it needs, others that it may run, and what
    /// goes with it.
    pub(crate) needs: Vec<String>,
    pub(crate) recommends: Vec<String>,
    pub(crate) suggests: Vec<String>,
    /// Its files, without those that Debian alone wants.
    pub(crate) entries: Vec<Entry>,
    /// Whether one of them is a program.
    pub(crate) is_program: bool,
}

/// The package with the pages that are about no one command.
const MANUAL: &str = "ventiprog-doc";
/// The package that needs all others.
const ALL: &str = "ventiprog-all";

impl Contents {
    /// The package of a command.
    pub(crate) fn of_command(name: &str, build: &Build) -> eyre::Result<Self> {
        let (help, page) = (Help::of(name), Page::load(&format!("{name}.8")));
        let does = page.describes();
        let mut contents = Contents {
            text: help.summary.clone(),
            recommends: recommended(&help),
            suggests: vec![MANUAL.to_owned()],
            is_program: true,
            ..Self::named(name, &does)
        };
        contents.entries.push(Entry {
            path: Path::new("bin").join(name),
            bytes: build.program(name)?,
            executable: true,
        });
        contents.add_page(&page);
        for (path, text) in completions::of(&help) {
            contents.add(Path::new("share").join(path), text);
        }
        contents.add_contrib()?;
        let licences = licences::of(name, &build.target)?;
        contents.add(contents.documentation("third-party"), licences);
        Ok(contents)
    }

    /// The package of the pages that are about no one command, and of `docs`.
    pub(crate) fn of_manual() -> eyre::Result<Self> {
        let mut contents = Self::named(MANUAL, "manual of the ventiprog suite");
        "The pages of the manual that are about no one command: formats of files,\n\
         and how fossils and ventis are backed up and brought back."
            .clone_into(&mut contents.text);
        let mut pages = Page::all();
        pages.retain(|page| page.section != "8");
        for page in &pages {
            contents.add_page(page);
        }
        for path in files(&command::root().join("docs"))? {
            let name = path.file_name().unwrap_or_default();
            contents.add(contents.documentation("").join(name), read(&path)?);
        }
        let readme = command::root().join("README.md");
        contents.add(contents.documentation("README.md"), read(&readme)?);
        Ok(contents)
    }

    /// The package that needs all others.
    pub(crate) fn of_all() -> Self {
        let mut contents = Self::named(ALL, "backup of venti archives and fossils (all commands)");
        "Has nothing itself, but needs every command of the ventiprog suite and its\nmanual."
            .clone_into(&mut contents.text);
        contents.needs = command::names();
        contents.needs.push(MANUAL.to_owned());
        contents
    }

    fn named(name: &str, does: &str) -> Self {
        Contents {
            name: name.to_owned(),
            does: does.to_owned(),
            text: String::new(),
            needs: Vec::new(),
            recommends: Vec::new(),
            suggests: Vec::new(),
            entries: Vec::new(),
            is_program: false,
        }
    }

    /// The section of Debian that it belongs to.
    pub(crate) fn section(&self) -> &'static str {
        match (self.is_program, self.needs.is_empty()) {
            (true, _) => "admin",
            (false, true) => "doc",
            (false, false) => "metapackages",
        }
    }

    /// Where a file of its documentation goes.
    pub(crate) fn documentation(&self, file: &str) -> PathBuf {
        Path::new("share/doc").join(&self.name).join(file)
    }

    /// The names of its units.
    pub(crate) fn units(&self) -> Vec<String> {
        let units = Path::new("lib/systemd/system");
        let names = self.entries.iter().filter_map(|entry| {
            let name = entry.path.strip_prefix(units).ok()?;
            Some(name.display().to_string())
        });
        names.collect()
    }

    pub(crate) fn add(&mut self, path: PathBuf, text: impl Into<Vec<u8>>) {
        self.entries.push(Entry {
            path,
            bytes: text.into(),
            executable: false,
        });
    }

    fn add_page(&mut self, page: &Page) {
        let directory = format!("share/man/man{}", page.section);
        let path = Path::new(&directory).join(page.file());
        self.add(path, page.source.clone());
    }

    /// What `docs/contrib` has for this command: files that are named like it, whatever
    /// follows `.` or `@`.
    fn add_contrib(&mut self) -> eyre::Result<()> {
        for kind in directories(&command::root().join("docs/contrib"))? {
            for path in files(&kind)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.split(['.', '@']).next() != Some(&self.name) {
                    continue;
                }
                let to = match kind.ends_with("systemd") {
                    true => Path::new("lib/systemd/system").join(&*name),
                    false => {
                        let kind = kind.file_name().unwrap_or_default().to_string_lossy();
                        self.documentation("examples")
                            .join(format!("{name}.{kind}"))
                    }
                };
                self.add(to, read(&path)?);
            }
        }
        Ok(())
    }
}

/// The packages of others that a command runs, if they are there.
fn recommended(help: &Help) -> Vec<String> {
    let of_9fat = |option: &Choice| option.long.as_deref() == Some("9fat");
    let writes = help.options.iter().any(of_9fat);
    writes.then(|| "mtools".to_owned()).into_iter().collect()
}

fn read(path: &Path) -> eyre::Result<Vec<u8>> {
    fs::read(path).wrap_err_with(|| path.display().to_string())
}

/// The directories in a directory, sorted.
fn directories(directory: &Path) -> eyre::Result<Vec<PathBuf>> {
    Ok(entries(directory)?
        .into_iter()
        .filter(|p| p.is_dir())
        .collect())
}

/// The files in a directory, sorted.
fn files(directory: &Path) -> eyre::Result<Vec<PathBuf>> {
    Ok(entries(directory)?
        .into_iter()
        .filter(|p| p.is_file())
        .collect())
}

fn entries(directory: &Path) -> eyre::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).wrap_err_with(|| directory.display().to_string())?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}
