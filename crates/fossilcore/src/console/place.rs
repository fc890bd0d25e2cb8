//! Where consoles are: `/srv/fscons*` or elsewhere by the key `consoles`, and
//! `$NAMESPACE/fscons*`.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use venticore::config::Config;

use super::transport::{is_plain, is_served};
use super::trust::{self, User};

/// What a console's name begins with.
pub const NAME: &str = "fscons";

/// How long a socket may take to say whether it is served.
const PATIENCE: Duration = Duration::from_secs(5);

/// The consoles of this machine and user, and what is not used as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The consoles, by name.
    pub consoles: Vec<FoundConsole>,
    /// What stands where consoles are looked for, and is not used.
    pub refused: Vec<Refused>,
}

/// A console that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundConsole {
    /// Its path.
    pub path: PathBuf,
    /// Whether somebody serves it; a socket that nobody serves had a broker that
    /// was killed.
    pub served: bool,
}

/// What is not used as a console, nor as a place of consoles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A plain file with the name of a console.
    File(PathBuf),
    /// A directory or a console that another user made or can write.
    Stranger {
        /// Its path.
        path: PathBuf,
        /// What was expected and found.
        cause: String,
    },
}

impl Refused {
    /// Whether a fossil may be behind it.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        matches!(self, Self::Stranger { .. })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(
                f,
                "{}: expected a console, found a plain file: not used; what was written to it reached no fossil: remove it",
                path.display()
            ),
            Self::Stranger { path, cause } => write!(
                f,
                "{}: {cause}: not used; name a console by its path to use it all the same",
                path.display()
            ),
        }
    }
}

/// The consoles of this machine and user.
///
/// # Errors
/// A directory is there, is ours, and cannot be read.
pub fn consoles(config: &Config) -> io::Result<Places> {
    let mut places = Places::default();
    for directory in [config.consoles.clone(), namespace(config)] {
        match trust::directory(&directory) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => {
                places.refused.push(stranger(&directory, &e.to_string()));
                continue;
            }
        }
        let mut found = names(&directory)?;
        found.sort();
        for path in found {
            match look(&path) {
                Ok(place) => places.consoles.push(place),
                Err(refused) => places.refused.push(refused),
            }
        }
    }
    Ok(places)
}

/// What stands at a path in a directory that is ours.
fn look(path: &Path) -> Result<FoundConsole, Refused> {
    let meta = fs::metadata(path);
    if let Ok(meta) = &meta {
        let owner = User(meta.uid());
        if is_plain(path, meta) {
            return Err(Refused::File(path.to_owned()));
        }
        if !owner.is_trusted() {
            let cause = format!(
                "expected a console of {}, found one of {owner}",
                User::ours()
            );
            return Err(stranger(path, &cause));
        }
    }
    let socket = meta.is_ok_and(|meta| meta.file_type().is_socket());
    Ok(FoundConsole {
        path: path.to_owned(),
        // One that cannot be asked hides no other: who opens it says why not.
        served: !socket || is_served(path, PATIENCE).unwrap_or(true),
    })
}

fn stranger(path: &Path, cause: &str) -> Refused {
    Refused::Stranger {
        path: path.to_owned(),
        cause: cause.to_owned(),
    }
}

fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let in_it = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", directory.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(in_it)? {
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
    config.namespace(User::real().name().as_deref())
}
