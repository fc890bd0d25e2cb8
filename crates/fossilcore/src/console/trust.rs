//! Whom a console may belong to.
//!
//! A console asks for no password, and its answers are believed: that all is halted,
//! that an archive is done. So consoles are looked for only in directories that
//! nobody else can write, and one that is reached must be served by its owner, by us
//! or by root.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::net::sockopt::socket_peercred;

/// The superuser.
const ROOT: u32 = 0;

/// Bits of a mode with which others can make and remove files.
const WRITE: u32 = 0o022;

/// A user, as messages show him: by name where he has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(pub u32);

impl User {
    /// The user whose rights this process has.
    #[must_use]
    pub fn ours() -> Self {
        User(rustix::process::geteuid().as_raw())
    }

    /// The user who started this process.
    #[must_use]
    pub fn real() -> Self {
        User(rustix::process::getuid().as_raw())
    }

    /// The name under which he logs in.
    #[must_use]
    pub fn name(self) -> Option<String> {
        let number = self.0.to_string();
        let users = fs::read_to_string("/etc/passwd").ok()?;
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?);
            (uid == number).then(|| name.to_owned())
        })
    }

    /// Whether this process believes him: he is our user, or root.
    #[must_use]
    pub fn is_trusted(self) -> bool {
        self == Self::ours() || self.0 == ROOT
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(&name),
            None => write!(f, "user {}", self.0),
        }
    }
}

/// Checks that a directory, and a link that leads to it, are ours or root's, and that
/// nobody else can write the directory.
///
/// # Errors
/// It is not there; or it is another's, with [`io::ErrorKind::PermissionDenied`].
pub fn directory(path: &Path) -> io::Result<()> {
    let link = fs::symlink_metadata(path)?;
    let meta = fs::metadata(path)?;
    let owner = |meta: &Metadata| User(meta.uid());
    if !meta.is_dir() {
        let text = "expected a directory, found a file of another kind";
        return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
    }
    if !owner(&link).is_trusted() {
        return Err(denied(&owner(&link), &link));
    }
    if !owner(&meta).is_trusted() || meta.mode() & WRITE != 0 {
        return Err(denied(&owner(&meta), &meta));
    }
    Ok(())
}

fn denied(owner: &User, meta: &Metadata) -> io::Error {
    let text = format!(
        "expected a directory of {} that nobody else can write, found owner {owner}, mode {:o}",
        User::ours(),
        meta.mode() & 0o7777
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// Checks who serves a connected socket: the owner of its file, our user or root.
///
/// # Errors
/// Another does, or the system does not say.
pub fn peer(socket: &impl AsFd, owner: User) -> io::Result<()> {
    let peer = User(socket_peercred(socket)?.uid.as_raw());
    if serves(peer, owner) {
        return Ok(());
    }
    let text = format!("expected a console that {owner} serves, found that {peer} serves it");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

fn serves(peer: User, owner: User) -> bool {
    peer == owner || peer.is_trusted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    /// A user who is neither we nor root.
    fn stranger() -> User {
        User(User::ours().0 + 4321)
    }

    #[test]
    fn a_console_is_served_by_its_owner_by_us_or_by_root() {
        let other = User(stranger().0 + 1);
        assert!(serves(stranger(), stranger()));
        assert!(serves(User::ours(), stranger()));
        assert!(serves(User(ROOT), stranger()));
        assert!(!serves(other, stranger()));
        assert!(!serves(stranger(), User::ours()));
        assert!(!serves(stranger(), User(ROOT)));
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(peer(&near, stranger()).is_ok());
    }

    #[test]
    fn a_directory_that_others_can_write_is_not_trusted() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("ns");
        assert_eq!(
            directory(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        fs::create_dir(&path).unwrap();
        let link = scratch.path().join("link");
        symlink(&path, &link).unwrap();
        for (mode, trusted) in [
            (0o700, true),
            (0o755, true),
            (0o775, false),
            (0o1777, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(directory(&path).is_ok(), trusted, "{mode:o}");
            assert_eq!(directory(&link).is_ok(), trusted, "{mode:o}");
        }
        let text = directory(&path).unwrap_err().to_string();
        assert!(text.ends_with(", mode 1777"), "{text}");
        fs::write(scratch.path().join("file"), "").unwrap();
        assert!(directory(&scratch.path().join("file")).is_err());
    }

    #[test]
    fn a_directory_of_another_user_is_not_trusted() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("ns");
        fs::create_dir(&path).unwrap();
        // Only root can give a directory away.
        if std::os::unix::fs::chown(&path, Some(stranger().0), None).is_ok() {
            let error = directory(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            // Nor is a link of theirs to one of ours.
            let (ours, link) = (scratch.path().join("ours"), scratch.path().join("link"));
            fs::create_dir(&ours).unwrap();
            symlink(&ours, &link).unwrap();
            std::os::unix::fs::lchown(&link, Some(stranger().0), None).unwrap();
            assert!(directory(&ours).is_ok() && directory(&link).is_err());
        }
    }
}
