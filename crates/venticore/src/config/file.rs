//! What is in a configuration file, and which goes before which.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::limits::FileLimits;
use super::mtools::Mtools;
use super::{Fossil, Mount, Remote, Undo};

/// The configuration file, TOML. A key that is not listed here is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(rename = "9fat")]
    pub(super) nine_fat: Option<String>,
    pub(super) mount: Option<Mount>,
    pub(super) mtools: Option<Mtools>,
    pub(super) dir: Option<PathBuf>,
    pub(super) source: Option<String>,
    pub(super) address: Option<String>,
    pub(super) undo: Option<Undo>,
    pub(super) engine: Option<String>,
    pub(super) wrarena: Option<Vec<String>>,
    pub(super) targets: Option<Vec<String>>,
    pub(super) index: Option<String>,
    pub(super) default_index: Option<String>,
    pub(super) arenas: Option<Vec<String>>,
    pub(super) offline: Option<bool>,
    pub(super) partitions: Option<HashMap<String, String>>,
    pub(super) remote: Option<String>,
    pub(super) remotes: Option<HashMap<String, Remote>>,
    pub(super) target_index: Option<HashMap<String, String>>,
    pub(super) hosts: Option<HashMap<String, String>>,
    pub(super) consoles: Option<PathBuf>,
    pub(super) namespace: Option<PathBuf>,
    pub(super) fossil: Option<Fossil>,
    pub(super) fossils: Option<HashMap<String, Fossil>>,
    pub(super) limits: Option<FileLimits>,
}

impl File {
    /// The default partition is one for all commands: a fossil with a name has
    /// no default of its own.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut named = self.fossils.iter().flatten();
        match named.find(|(_, fossil)| fossil.partition.is_some()) {
            Some((name, _)) => Err(format!(
                "[fossils.{name}]: unknown key `partition`: expected only in [fossil]"
            )),
            None => Ok(()),
        }
    }

    /// The keys of this file, and those of `below` that it does not have.
    pub(super) fn over(self, below: File) -> File {
        let limits = self.limits.unwrap_or_default();
        let fossil = self.fossil.unwrap_or_default();
        let undo = self.undo.unwrap_or_default();
        File {
            nine_fat: self.nine_fat.or(below.nine_fat),
            mount: self.mount.or(below.mount),
            mtools: self.mtools.or(below.mtools),
            dir: self.dir.or(below.dir),
            source: self.source.or(below.source),
            address: self.address.or(below.address),
            undo: Some(undo.over(below.undo.unwrap_or_default())),
            engine: self.engine.or(below.engine),
            wrarena: self.wrarena.or(below.wrarena),
            targets: self.targets.or(below.targets),
            index: self.index.or(below.index),
            default_index: self.default_index.or(below.default_index),
            arenas: self.arenas.or(below.arenas),
            offline: self.offline.or(below.offline),
            partitions: merged(self.partitions, below.partitions),
            remote: self.remote.or(below.remote),
            remotes: merged(self.remotes, below.remotes),
            target_index: merged(self.target_index, below.target_index),
            hosts: merged(self.hosts, below.hosts),
            consoles: self.consoles.or(below.consoles),
            namespace: self.namespace.or(below.namespace),
            fossil: Some(fossil.over(below.fossil.unwrap_or_default())),
            fossils: merged(self.fossils, below.fossils),
            limits: Some(limits.over(&below.limits.unwrap_or_default())),
        }
    }
}

/// A table, and the keys of `below` that it does not have.
fn merged<T>(
    table: Option<HashMap<String, T>>,
    below: Option<HashMap<String, T>>,
) -> Option<HashMap<String, T>> {
    Some(below.into_iter().chain(table).flatten().collect())
}
