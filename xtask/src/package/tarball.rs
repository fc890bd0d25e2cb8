//! Archives for everybody else: `tar -C /usr/local --strip-components=1 -xzf FILE`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eyre::WrapErr;
use flate2::{Compression, GzBuilder};
use venti_tests::command;

use super::Release;
use super::build::Build;
use super::contents::{Contents, Entry};

/// Makes the archive of a package.
pub(crate) fn write(
    contents: &Contents,
    release: &Release,
    build: &Build,
    directory: &Path,
) -> eyre::Result<PathBuf> {
    let top = format!("{}-{}", contents.name, release.version);
    let stage = directory.join("stage-tar");
    remove(&stage)?;
    for entry in &contents.entries {
        let path = entry.path.to_string_lossy();
        // Debian has a directory of its own for what comes in packages.
        let path = path.replace("zsh/vendor-completions", "zsh/site-functions");
        put(&stage.join(&top).join(path), entry)?;
    }
    for file in ["LICENSE", "CHANGELOG.md"] {
        let entry = Entry {
            path: contents.documentation(file),
            bytes: fs::read(command::root().join(file))?,
            executable: false,
        };
        put(&stage.join(&top).join(&entry.path), &entry)?;
    }
    let mut tar = Command::new("tar");
    tar.current_dir(&stage)
        .env("LC_ALL", "C")
        .args(["--create", "--file=archive", "--format=gnu", "--sort=name"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", release.epoch))
        .arg(&top);
    super::said(&mut tar)?;
    let packed = gzip(&fs::read(stage.join("archive"))?)?;
    let path = directory.join(format!("{top}-{}.tar.gz", build.target));
    fs::write(&path, packed).wrap_err_with(|| path.display().to_string())?;
    remove(&stage)?;
    Ok(path)
}

/// Bytes, compressed, without a name and a time.
pub(crate) fn gzip(bytes: &[u8]) -> eyre::Result<Vec<u8>> {
    let mut packer = GzBuilder::new().write(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut packer, bytes)?;
    Ok(packer.finish()?)
}

/// Writes a file with the directories it lies in.
pub(crate) fn put(path: &Path, entry: &Entry) -> eyre::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let failed = || path.display().to_string();
    let parent = path.parent().unwrap_or(path);
    make(parent).wrap_err_with(failed)?;
    fs::write(path, &entry.bytes).wrap_err_with(failed)?;
    let mode = if entry.executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).wrap_err_with(failed)
}

/// A directory and those above it, whatever the umask.
fn make(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        make(parent)?;
    }
    fs::create_dir(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

/// Removes a directory, if it is there.
pub(crate) fn remove(directory: &Path) -> eyre::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).wrap_err_with(|| directory.display().to_string())
        }
        _ => Ok(()),
    }
}
