//! Limits of time, and how to go on after a fault: the table `[limits]`.

use std::time::Duration;

use serde::Deserialize;

use super::value;
use crate::net::client::Timeouts;

/// Time limits in seconds, and how to go on after a fault.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileLimits {
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) connect: Option<u32>,
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) silence: Option<u32>,
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) sync: Option<u32>,
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) progress: Option<u32>,
    pub(super) retries: Option<u32>,
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) checkpoint: Option<u64>,
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) remote: Option<u32>,
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) console: Option<u32>,
    #[serde(default, deserialize_with = "value::positive")]
    pub(super) archive: Option<u32>,
}

impl FileLimits {
    /// The keys of this table, and the keys of `below` that it does not have.
    pub(super) fn over(self, below: &FileLimits) -> FileLimits {
        FileLimits {
            connect: self.connect.or(below.connect),
            silence: self.silence.or(below.silence),
            sync: self.sync.or(below.sync),
            progress: self.progress.or(below.progress),
            retries: self.retries.or(below.retries),
            checkpoint: self.checkpoint.or(below.checkpoint),
            remote: self.remote.or(below.remote),
            console: self.console.or(below.console),
            archive: self.archive.or(below.archive),
        }
    }

    /// The limits for a connection to a venti.
    pub(super) fn of_a_client(&self) -> Timeouts {
        let default = Timeouts::default();
        Timeouts {
            connect: seconds(self.connect, default.connect),
            silence: seconds(self.silence, default.silence),
            sync: seconds(self.sync, default.sync),
            progress: seconds(self.progress, default.progress),
            least: default.least,
        }
    }
}

/// A limit in seconds.
pub(super) fn seconds(given: Option<u32>, default: Duration) -> Duration {
    given.map_or(default, |given| Duration::from_secs(given.into()))
}
