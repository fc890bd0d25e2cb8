//! Debian packages, by `dpkg-deb`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eyre::{WrapErr, ensure, eyre};
use venti_tests::command;

use super::Release;
use super::build::Build;
use super::contents::{Contents, Entry};
use super::tarball::{gzip, put, remove};

const MAINTAINER: &str = "the ventiprog authors <ventiprog@users.noreply.github.com>";

/// Whether `dpkg-deb` is here.
pub(crate) fn can() -> bool {
    let output = Command::new("dpkg-deb").arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// Makes a package.
pub(crate) fn write(
    contents: &Contents,
    release: &Release,
    build: &Build,
    directory: &Path,
) -> eyre::Result<PathBuf> {
    let stage = directory.join("stage-deb");
    remove(&stage)?;
    let mut size = 0;
    let mut sums = Vec::new();
    for entry in files(contents, release)? {
        size += entry.bytes.len().div_ceil(1024);
        put(&stage.join(&entry.path), &entry)?;
        sums.push(entry.path);
    }
    sums.sort();
    let mut md5sum = Command::new("md5sum");
    let sums = super::said(md5sum.current_dir(&stage).args(&sums))?;
    let control = control(contents, release, build, size)?;
    let mut of_dpkg = vec![("control", control), ("md5sums", sums)];
    of_dpkg.extend(scripts(&contents.units()));
    for (name, text) in of_dpkg {
        let entry = Entry {
            path: Path::new("DEBIAN").join(name),
            bytes: text.into_bytes(),
            executable: ["prerm", "postrm"].contains(&name),
        };
        put(&stage.join(&entry.path), &entry)?;
    }
    let architecture = architecture(contents, build)?;
    let name = format!("{}_{}_{architecture}.deb", contents.name, release.version);
    let path = directory.join(name);
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.env("SOURCE_DATE_EPOCH", release.epoch.to_string())
        .args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"])
        .args([&stage, &path]);
    super::said(&mut dpkg)?;
    remove(&stage)?;
    Ok(path)
}

/// All files of a package, as Debian wants them.
fn files(contents: &Contents, release: &Release) -> eyre::Result<Vec<Entry>> {
    let mut entries = vec![
        plain(contents.documentation("copyright"), copyright()?),
        plain(
            contents.documentation("changelog"),
            changelog(contents, release)?,
        ),
    ];
    let ours = contents.entries.iter().map(|entry| Entry {
        path: entry.path.clone(),
        bytes: entry.bytes.clone(),
        executable: entry.executable,
    });
    entries.extend(ours);
    for entry in &mut entries {
        let is_page = entry.path.starts_with("share/man");
        let is_long = ["changelog", "third-party"]
            .iter()
            .any(|n| entry.path.ends_with(n));
        if is_page || is_long {
            entry.bytes = gzip(&entry.bytes)?;
            entry.path.as_mut_os_string().push(".gz");
        }
        // Debian 12 looks for units in /lib, later ones have made that /usr/lib.
        entry.path = Path::new("usr").join(&entry.path);
    }
    Ok(entries)
}

fn plain(path: PathBuf, text: String) -> Entry {
    Entry {
        path,
        bytes: text.into_bytes(),
        executable: false,
    }
}

fn control(
    contents: &Contents,
    release: &Release,
    build: &Build,
    size: usize,
) -> eyre::Result<String> {
    let version = release.version;
    let mut control = format!(
        "Package: {}\nVersion: {version}\nArchitecture: {}\nMaintainer: {MAINTAINER}\n\
         Installed-Size: {size}\nSection: {}\nPriority: optional\nHomepage: {}\n",
        contents.name,
        architecture(contents, build)?,
        contents.section(),
        env!("CARGO_PKG_REPOSITORY"),
    );
    let mut needs: Vec<String> = contents
        .needs
        .iter()
        .map(|name| format!("{name} (= {version})"))
        .collect();
    if contents.is_program && !build.is_static() {
        needs.push(libraries(&build.path(&contents.name))?);
    }
    for (key, names) in [
        ("Depends", &needs),
        ("Recommends", &contents.recommends),
        ("Suggests", &contents.suggests),
    ] {
        if !names.is_empty() {
            control += &format!("{key}: {}\n", names.join(", "));
        }
    }
    control += &format!("Description: {}\n", contents.does);
    for line in contents.text.lines() {
        let line = if line.is_empty() { "." } else { line };
        control += &format!(" {line}\n");
    }
    Ok(control)
}

/// What Debian calls the machine.
fn architecture(contents: &Contents, build: &Build) -> eyre::Result<&'static str> {
    if !contents.is_program {
        return Ok("all");
    }
    match build.target.split('-').next() {
        Some("x86_64") => Ok("amd64"),
        Some("aarch64") => Ok("arm64"),
        Some("armv7") => Ok("armhf"),
        Some("i586" | "i686") => Ok("i386"),
        Some("powerpc64le") => Ok("ppc64el"),
        Some("riscv64gc") => Ok("riscv64"),
        Some("s390x") => Ok("s390x"),
        _ => Err(eyre!("{}: Debian's name for it is not known", build.target)),
    }
}

/// The packages whose libraries a program needs, as `dpkg-shlibdeps` finds them.
fn libraries(program: &Path) -> eyre::Result<String> {
    let directory = tempfile::tempdir()?;
    fs::create_dir(directory.path().join("debian"))?;
    fs::write(
        directory.path().join("debian/control"),
        "Source: x\n\nPackage: x\nArchitecture: any\n",
    )?;
    let mut shlibdeps = Command::new("dpkg-shlibdeps");
    shlibdeps.current_dir(directory.path());
    let said = super::said(shlibdeps.arg("-O").arg(program));
    let said = said.wrap_err("a dynamic program needs dpkg-shlibdeps of dpkg-dev")?;
    let depends = said.trim().strip_prefix("shlibs:Depends=");
    Ok(depends
        .ok_or_else(|| eyre!("dpkg-shlibdeps: {said}"))?
        .to_owned())
}

/// The licence, in Debian's form.
fn copyright() -> eyre::Result<String> {
    let licence = fs::read_to_string(command::root().join("LICENSE"))?;
    let mut paragraphs = licence.splitn(3, "\n\n");
    let (_, holder, text) = (paragraphs.next(), paragraphs.next(), paragraphs.next());
    let (Some(holder), Some(text)) = (holder, text) else {
        return Err(eyre!("LICENSE: expected a title, a copyright and a text"));
    };
    let holder = holder.trim_start_matches("Copyright (c) ");
    let mut copyright = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: ventiprog\nSource: {}\n\nFiles: *\nCopyright: {holder}\n\
         License: Expat\nComment: A program contains crates with licences of their own, see\n \
         third-party.gz beside this file.\n\nLicense: Expat\n",
        env!("CARGO_PKG_REPOSITORY"),
    );
    for line in text.lines() {
        let line = if line.is_empty() { "." } else { line };
        copyright += &format!(" {line}\n");
    }
    Ok(copyright)
}

/// A changelog in Debian's form: the entries of this version.
fn changelog(contents: &Contents, release: &Release) -> eyre::Result<String> {
    let version = release.version;
    let changes = fs::read_to_string(command::root().join("CHANGELOG.md"))?;
    let title = format!("## {version}");
    let entries: Vec<&str> = changes
        .lines()
        .skip_while(|line| !line.starts_with(&title))
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| !line.is_empty())
        .collect();
    ensure!(
        !entries.is_empty(),
        "CHANGELOG.md: has no entries for {version}"
    );
    let mut text = format!("{} ({version}) unstable; urgency=medium\n\n", contents.name);
    for line in entries {
        text += &format!("  {line}\n");
    }
    let mut date = Command::new("date");
    date.env("LC_ALL", "C");
    let date = super::said(date.args(["-u", "-R", &format!("-d@{}", release.epoch)]))?;
    text += &format!("\n -- {MAINTAINER}  {date}");
    Ok(text)
}

/// What is done when a package with units is removed: they are stopped, and the
/// links by which they were enabled go.
fn scripts(units: &[String]) -> Vec<(&'static str, String)> {
    if units.is_empty() {
        return Vec::new();
    }
    let disable = units.join(" ");
    let stop: Vec<String> = units
        .iter()
        .map(|u| format!("'{}'", u.replace('@', "@*")))
        .collect();
    let stop = stop.join(" ");
    let prerm = format!(
        "#!/bin/sh\nset -e\nif [ \"$1\" = remove ] && command -v systemctl >/dev/null; then\n    \
         [ ! -d /run/systemd/system ] || systemctl --quiet stop {stop} || true\n    \
         systemctl --quiet disable {disable} || true\nfi\n"
    );
    let postrm = "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then\n    \
                  systemctl --quiet daemon-reload || true\nfi\n";
    vec![("prerm", prerm), ("postrm", postrm.to_owned())]
}

/// Has lintian look at packages, where it is installed. Errors of its are ours.
pub(crate) fn lint(packages: &[PathBuf]) -> eyre::Result<()> {
    let packages: Vec<&PathBuf> = packages
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "deb"))
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--tag-display-limit", "0"]);
    if rustix::process::geteuid().is_root() {
        lintian.arg("--allow-root");
    }
    match lintian.args(packages).output() {
        Err(error) => println!("not checked by lintian: {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let errors: Vec<&str> = said.lines().filter(|l| l.starts_with("E: ")).collect();
            let count = |begin: &str| said.lines().filter(|l| l.starts_with(begin)).count();
            ensure!(
                output.status.success() && errors.is_empty(),
                "lintian: {}\n{said}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
            println!("lintian: no errors, {} warnings", count("W: "));
        }
    }
    Ok(())
}
