//! How object stores are reached: what the configuration says of it, and the keys.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Filter;

/// How to reach object stores. Nothing is opened or run before one is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAccess {
    /// What objects pass on their way to a store and back; nothing without one.
    pub filter: Option<Filter>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket stands in the path of a URL, and not in the name of the host.
    pub path_style: bool,
    /// Where the keys come from.
    pub keys: KeySource,
    /// Certificates (PEM) that are trusted in place of the built-in ones.
    pub certificates: Option<PathBuf>,
    /// How long a name look-up and a connection may take.
    pub connect: Duration,
    /// How long the server may be silent.
    pub silence: Duration,
    /// How often a request is made again that may succeed then.
    pub retries: u32,
    /// How long to wait before the first of them; twice as long before each further one.
    pub backoff: Duration,
}

impl StoreAccess {
    /// The usual number of further attempts: about a minute.
    pub const RETRIES: u32 = 8;
}

impl Default for StoreAccess {
    fn default() -> Self {
        StoreAccess {
            filter: None,
            region: "us-east-1".to_owned(),
            path_style: true,
            keys: KeySource::None,
            certificates: None,
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(120),
            retries: Self::RETRIES,
            backoff: Duration::from_millis(250),
        }
    }
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// From nowhere.
    None,
    /// They are known.
    Known(AccessKey),
    /// The secret is in a file that only its owner can read.
    SecretFile {
        /// The public part.
        id: String,
        /// The file.
        file: PathBuf,
    },
    /// A program prints them, as a `credential_process` of other tools does.
    Program(Vec<String>),
}

/// A key for an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The public part.
    pub id: String,
    /// What requests are signed with.
    pub secret: Secret,
    /// What goes with a key that lasts for a while only.
    pub token: Option<Secret>,
}

/// A text that is never displayed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Secret(text.to_owned())
    }

    /// The text.
    #[cfg(feature = "s3")]
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
