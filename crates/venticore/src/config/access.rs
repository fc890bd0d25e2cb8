//! How object stores are reached: the table `[s3]` and the usual variables.

use std::path::PathBuf;

use serde::Deserialize;

use super::environment::Environment;
use super::limits::FileLimits;
use super::value;
use crate::replica::{AccessKey, Filter, KeySource, Secret, StoreAccess};

/// The key `filter`: two programs with their arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilterWords {
    #[serde(deserialize_with = "value::program")]
    write: Vec<String>,
    #[serde(deserialize_with = "value::program")]
    read: Vec<String>,
}

/// The table `[s3]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreKeys {
    #[serde(default, deserialize_with = "value::one::<value::PrintableWord, _, _>")]
    region: Option<String>,
    path_style: Option<bool>,
    #[serde(default, deserialize_with = "value::one::<value::PrintableWord, _, _>")]
    access_key_id: Option<String>,
    secret_access_key_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::program")]
    credentials: Option<Vec<String>>,
    certificates: Option<PathBuf>,
}

impl StoreKeys {
    /// The keys of this table, and the keys of `below` that it does not have. Where keys of a
    /// store come from is one thing.
    pub(super) fn over(self, below: StoreKeys) -> StoreKeys {
        let (own, other) = (self.has_keys(), below.clone());
        let from = if own { self.clone() } else { other };
        StoreKeys {
            region: self.region.or(below.region),
            path_style: self.path_style.or(below.path_style),
            access_key_id: from.access_key_id,
            secret_access_key_file: from.secret_access_key_file,
            credentials: from.credentials,
            certificates: self.certificates.or(below.certificates),
        }
    }

    fn has_keys(&self) -> bool {
        self.access_key_id.is_some()
            || self.secret_access_key_file.is_some()
            || self.credentials.is_some()
    }

    /// A key has two parts.
    pub(super) fn check(&self) -> Result<(), String> {
        let parts = (
            self.access_key_id.is_some(),
            self.secret_access_key_file.is_some(),
        );
        match (parts, self.credentials.is_some()) {
            ((true, true), false) | ((false, false), _) => Ok(()),
            _ => Err(
                "[s3]: expected access_key_id and secret_access_key_file, or credentials alone"
                    .to_owned(),
            ),
        }
    }

    /// How object stores are reached. The environment goes before the file.
    pub(super) fn access(
        self,
        filter: Option<FilterWords>,
        environment: &Environment,
        limits: &FileLimits,
    ) -> StoreAccess {
        let default = StoreAccess::default();
        let client = limits.of_a_client();
        let region = environment.text("AWS_REGION");
        let region = region.or_else(|| environment.text("AWS_DEFAULT_REGION"));
        let filter = filter.map(|FilterWords { write, read }| Filter { write, read });
        StoreAccess {
            filter,
            region: region.or(self.region).unwrap_or(default.region),
            path_style: self.path_style.unwrap_or(default.path_style),
            keys: match (
                known(environment),
                self.access_key_id,
                self.secret_access_key_file,
            ) {
                (Some(key), _, _) => KeySource::Known(key),
                (None, Some(id), Some(file)) => KeySource::SecretFile { id, file },
                _ => self.credentials.map_or(KeySource::None, KeySource::Program),
            },
            certificates: self.certificates,
            connect: client.connect,
            silence: client.silence,
            retries: limits.retries.unwrap_or(default.retries),
            backoff: default.backoff,
        }
    }
}

/// The key in the environment.
fn known(environment: &Environment) -> Option<AccessKey> {
    let secret = |name| environment.text(name).map(|text| Secret::new(&text));
    Some(AccessKey {
        id: environment.text("AWS_ACCESS_KEY_ID")?,
        secret: secret("AWS_SECRET_ACCESS_KEY")?,
        token: secret("AWS_SESSION_TOKEN"),
    })
}
