//! Where consoles are: `/srv/fscons*` or elsewhere by the key `consoles`, and
//! `$NAMESPACE/fscons*`.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use venticore::config::Config;

use super::transport::is_served;

/// What a console's name begins with.
pub const NAME: &str = "fscons";

/// How long a socket may take to say whether it is served.
const PATIENCE: Duration = Duration::from_secs(5);

/// A console that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: PathBuf,
    /// Whether somebody serves it; a socket that nobody serves had a broker that
    /// was killed.
    pub served: bool,
}

/// The consoles of this machine and user, by name.
///
/// # Errors
/// A directory is there and cannot be read.
pub fn consoles(config: &Config) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for directory in [config.consoles.clone(), namespace(config)] {
        let mut found = names(&directory)?;
        found.sort();
        for path in found {
            let socket = fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_socket());
            // One that cannot be asked, such as another user's, hides no other: who
            // opens it says why not.
            let served = !socket || is_served(&path, PATIENCE).unwrap_or(true);
            places.push(Place { path, served });
        }
    }
    Ok(places)
}

fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let in_it = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", directory.display()));
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(in_it)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(in_it)?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if rest.is_some() {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// The directory in which plan9port's programs post their services.
#[must_use]
pub fn namespace(config: &Config) -> PathBuf {
    config.namespace(login().as_deref())
}

/// The name under which the present user logs in.
fn login() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number == uid).then(|| name.to_owned())
    })
}
