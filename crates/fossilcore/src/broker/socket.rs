//! The socket at which a console is served: ours alone, mode 0600.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{Result, WrapErr};

use crate::console::transport::is_served;
use venticore::host::lock::{self, Hold};
use venticore::status::{Failure, Status};

/// How long another may hold the directory.
const BUSY: Duration = Duration::from_secs(10);

/// A socket that is listened at. Its file goes with it, where it is still ours.
#[derive(Debug)]
pub(super) struct Socket {
    /// What accepts.
    pub(super) listener: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl Socket {
    /// Listens at a path. A socket there that nobody serves is replaced; one that
    /// is served is left.
    ///
    /// # Errors
    /// Somebody serves it, another is about to, or it cannot be made.
    pub(super) fn bind(path: &Path) -> Result<Self> {
        let failed = |e: io::Error| Failure::report(Status::Failed, describe(path, &e));
        let directory = path.parent().unwrap_or(Path::new("."));
        // Two that replace a dead socket at once would each remove the other's.
        let lock = File::open(directory).map_err(failed)?;
        hold(&lock, directory)?;
        remove_dead(path)?;
        let listener = private(path, directory).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let meta = fs::symlink_metadata(path).map_err(failed)?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
            identity: (meta.dev(), meta.ino()),
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let meta = fs::symlink_metadata(&self.path);
        if meta.is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity) {
            // It is found dead, and replaced, if this fails.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Holds a directory against others that make a socket in it, which takes them no
/// time.
fn hold(file: &File, directory: &Path) -> Result<()> {
    let named = || directory.display().to_string();
    if lock::take(file, Hold::Alone, BUSY).wrap_err_with(named)? {
        return Ok(());
    }
    let text = format!(
        "{}: waited {} seconds for another fossil that is being started here: run again",
        directory.display(),
        BUSY.as_secs()
    );
    Err(Failure::report(Status::Locked, text))
}

/// A socket of mode 0600 from the moment it can be reached: it is made in a
/// directory of our own.
fn private(path: &Path, directory: &Path) -> io::Result<UnixListener> {
    let own = directory.join(format!(".fossil.{}", std::process::id()));
    match fs::DirBuilder::new().mode(0o700).create(&own) {
        // Of a process that had our number, and died between these lines.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => fs::remove_dir_all(&own)
            .and_then(|()| fs::DirBuilder::new().mode(0o700).create(&own))?,
        made => made?,
    }
    let inside = own.join("s");
    let made = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    });
    // What is left is empty, or not worth a message.
    let _ = fs::remove_dir_all(&own);
    made
}

/// Removes a socket that nobody serves.
fn remove_dead(path: &Path) -> Result<()> {
    let failed = |e: io::Error| Failure::report(Status::Failed, describe(path, &e));
    let meta = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(failed)?,
    };
    if !meta.file_type().is_socket() {
        let text = format!(
            "{}: expected no file or a socket, found another kind of file: move it away",
            path.display()
        );
        return Err(Failure::report(Status::Failed, text));
    }
    if is_served(path, Duration::from_secs(5)).map_err(failed)? {
        let text = format!("{}: a fossil has its console here already", path.display());
        return Err(Failure::report(Status::Failed, text));
    }
    fs::remove_file(path).map_err(failed)
}

fn describe(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fscons");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = Socket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = Socket::bind(&path).unwrap_err().to_string();
        assert!(refused.contains("already"), "{refused}");
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "text").unwrap();
        assert!(Socket::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn a_socket_that_is_no_longer_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fscons");
        let old = Socket::bind(&path).unwrap();
        // The other one is made first, so that it cannot get the old one's number.
        let other = UnixListener::bind(dir.path().join("other")).unwrap();
        fs::rename(dir.path().join("other"), &path).unwrap();
        drop(old);
        assert!(path.exists());
        drop(other);
    }
}
