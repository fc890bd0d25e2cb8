//! What is in a configuration file, and which goes before which.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::access::{FilterWords, StoreKeys};
use super::limits::FileLimits;
use super::mtools::Mtools;
use super::value;
use super::via::Via;
use super::{Fossil, Mount, Remote, Undo};

/// The configuration file, TOML. A key that is not listed here is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where it was read from: the files whose keys go before first.
    #[serde(skip)]
    pub(super) read_from: Vec<PathBuf>,
    #[serde(rename = "9fat", default)]
    #[serde(deserialize_with = "value::one::<value::PartitionText, _, _>")]
    pub(super) nine_fat: Option<String>,
    pub(super) mount: Option<Mount>,
    pub(super) mtools: Option<Mtools>,
    #[serde(default, deserialize_with = "value::directory")]
    pub(super) dir: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::one::<value::Address, _, _>")]
    pub(super) source: Option<String>,
    #[serde(default, deserialize_with = "value::one::<value::HostName, _, _>")]
    pub(super) address: Option<String>,
    pub(super) undo: Option<Undo>,
    #[serde(default, deserialize_with = "value::one::<value::EngineName, _, _>")]
    pub(super) engine: Option<String>,
    #[serde(default, deserialize_with = "value::program")]
    pub(super) wrarena: Option<Vec<String>>,
    #[serde(default, deserialize_with = "value::list::<value::TargetText, _>")]
    pub(super) targets: Option<Vec<String>>,
    #[serde(default, deserialize_with = "value::one::<value::IndexPage, _, _>")]
    pub(super) index: Option<String>,
    #[serde(default, deserialize_with = "value::one::<value::IndexPage, _, _>")]
    pub(super) default_index: Option<String>,
    #[serde(default, deserialize_with = "value::list::<value::PartitionText, _>")]
    pub(super) arenas: Option<Vec<String>>,
    pub(super) offline: Option<bool>,
    #[serde(
        default,
        deserialize_with = "value::table::<value::Word, value::PartitionText, _>"
    )]
    pub(super) partitions: Option<HashMap<String, String>>,
    #[serde(default, deserialize_with = "value::one::<value::Word, _, _>")]
    pub(super) remote: Option<String>,
    pub(super) remotes: Option<HashMap<String, Remote>>,
    #[serde(
        default,
        deserialize_with = "value::table::<value::Address, value::TargetPage, _>"
    )]
    pub(super) target_index: Option<HashMap<String, String>>,
    pub(super) via: Option<Via>,
    #[serde(
        default,
        deserialize_with = "value::table::<value::Word, value::Word, _>"
    )]
    pub(super) hosts: Option<HashMap<String, String>>,
    #[serde(default, deserialize_with = "value::directory")]
    pub(super) consoles: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::directory")]
    pub(super) namespace: Option<PathBuf>,
    pub(super) fossil: Option<Fossil>,
    pub(super) fossils: Option<HashMap<String, Fossil>>,
    pub(super) s3: Option<StoreKeys>,
    pub(super) filter: Option<FilterWords>,
    pub(super) limits: Option<FileLimits>,
}

impl File {
    /// The default partition is one for all commands, and so is whether others can open
    /// one: a fossil with a name has none of its own.
    pub(super) fn check(&self) -> Result<(), String> {
        self.s3.as_ref().map_or(Ok(()), StoreKeys::check)?;
        for (name, fossil) in self.fossils.iter().flatten() {
            let keys = [
                (fossil.partition.is_some(), "partition"),
                (fossil.private.is_some(), "private"),
            ];
            if let Some((_, key)) = keys.into_iter().find(|(is_given, _)| *is_given) {
                return Err(format!(
                    "[fossils.{name}]: unknown key `{key}`: expected only in [fossil]"
                ));
            }
        }
        Ok(())
    }

    /// The keys of this file, and the keys of `below` that it does not have.
    pub(super) fn over(self, below: File) -> File {
        let limits = self.limits.unwrap_or_default();
        let fossil = self.fossil.unwrap_or_default();
        let undo = self.undo.unwrap_or_default();
        let s3 = self.s3.unwrap_or_default();
        File {
            read_from: [self.read_from, below.read_from].concat(),
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
            via: Some(
                self.via
                    .unwrap_or_default()
                    .over(below.via.unwrap_or_default()),
            ),
            hosts: merged(self.hosts, below.hosts),
            consoles: self.consoles.or(below.consoles),
            namespace: self.namespace.or(below.namespace),
            fossil: Some(fossil.over(below.fossil.unwrap_or_default())),
            fossils: merged(self.fossils, below.fossils),
            filter: self.filter.or(below.filter),
            s3: Some(s3.over(below.s3.unwrap_or_default())),
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
