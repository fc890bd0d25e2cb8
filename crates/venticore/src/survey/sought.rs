//! Which partitions the source has.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use eyre::{Report, Result, WrapErr};

use super::Scope;
use super::record::StateFiles;
use crate::codec::index;
use crate::codec::replica::ReplicaName;
use crate::config::Config;
use crate::host::partition::{self};
use crate::host::terminal::Terminal;
use crate::net;
use crate::status::{Failure, Status};
use crate::text::line_of;

/// A partition on the index page.
pub(crate) struct Listed {
    /// Its name here.
    pub(crate) name: String,
    /// What the page says of its arenas.
    pub(crate) arenas: Vec<index::ArenaRow>,
}

/// Which partitions are to be read.
pub(crate) struct Sought {
    /// Their names, in the order in which the source fills them.
    pub(crate) names: Vec<String>,
    /// The ones that the call names (`-p`): they must be here.
    pub(crate) given: Vec<String>,
    /// What the index page says of each, where there is a page.
    pub(crate) page: Vec<Listed>,
    /// The URL of the page that was read.
    pub(crate) url: Option<String>,
    /// All partitions of the page have a name here.
    pub(crate) all_named: bool,
    pub(crate) status: Status,
}

/// The index page that is asked: the one the call names, the one the configuration
/// names, or the usual one where nothing else names a partition.
pub(crate) fn page_url<'a>(
    record: &StateFiles,
    scope: &'a Scope,
    config: &'a Config,
) -> Option<&'a str> {
    let url = scope.index.as_deref().or(config.index.as_deref());
    let named = !scope.partitions.is_empty() || is_known(record, config);
    url.or_else(|| (!named).then_some(config.default_index.as_str()))
}

/// Whether a partition is known without a call that names one, and without a page.
fn is_known(record: &StateFiles, config: &Config) -> bool {
    record.wrcmd.is_some() || !config.arenas.is_empty() || record.wrcmds.places().next().is_some()
}

/// The partitions to read: the ones that `-p` names. Without it, the ones on the
/// index page, in its order, and in the configuration; where these name none, the
/// ones in `wrcmds`. The wrcmd's partition goes before them, where it is none of them.
///
/// # Errors
/// No partition is named anywhere, or the only page that could is not there.
pub(crate) fn sought(
    record: &StateFiles,
    scope: &Scope,
    config: &Config,
    terminal: &Terminal,
) -> Result<Sought> {
    let own = record.wrcmd.as_ref().map(|wrcmd| wrcmd.file().to_owned());
    let recorded = record.all_partitions();
    let mut sought = Sought {
        names: Vec::new(),
        given: Vec::new(),
        page: Vec::new(),
        url: None,
        all_named: true,
        status: Status::Done,
    };
    if scope.partitions.is_empty() {
        let url = page_url(record, scope, config);
        if let Some(url) = url {
            let page = page(url, &recorded, is_known(record, config), config, terminal)?;
            sought.url = page.is_some().then(|| url.to_owned());
            sought.all_named = page.as_ref().is_some_and(|(_, s)| *s == Status::Done);
            (sought.page, sought.status) = page.unwrap_or((Vec::new(), Status::Partly));
        }
        let on_page = sought.page.iter().map(|listed| listed.name.clone());
        add(&mut sought.names, on_page);
        if scope.index.is_none() || sought.url.is_none() {
            let known = [&recorded[..], &sought.names].concat();
            add(&mut sought.names, named(&config.arenas, &known));
        }
    } else {
        sought.given = named(&scope.partitions, &recorded);
        sought.names = sought.given.clone();
    }
    if sought.names.is_empty() && own.is_none() {
        let places = record.wrcmds.places().map(|place| place.partition);
        add(&mut sought.names, places);
    }
    if let Some(own) = own
        && !sought.names.contains(&own)
    {
        sought.names.insert(0, own);
    }
    if sought.names.is_empty() {
        let cause = match sought.status {
            Status::Done => {
                "the index page lists no arenas: nothing is stored yet, or name a partition (-p)"
            }
            _ => "the index page has no partition that can be found here",
        };
        let url = sought.url.unwrap_or_default();
        return Err(Failure::report(Status::Failed, format!("{url}: {cause}")));
    }
    Ok(sought)
}

/// Names that somebody gave, each partition once: absolute, since the wrcmd is run from
/// anywhere, and spelled as those that are known.
pub(crate) fn named(names: &[String], known: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        let given = spelled(from_anywhere(name), known);
        let given = spelled(given, &all);
        add(&mut all, [given]);
    }
    all
}

/// A name as it can be read in any directory. One that is not so can be opened nowhere.
fn from_anywhere(name: &str) -> String {
    if ReplicaName::is_meant(name) {
        let replica: Option<ReplicaName> = name.parse().ok();
        return replica.map_or_else(|| name.to_owned(), |replica| replica.to_string());
    }
    let absolute = std::path::absolute(name).ok();
    let absolute = absolute.and_then(|path| path.into_os_string().into_string().ok());
    absolute.unwrap_or_else(|| name.to_owned())
}

/// The name of a partition, or the one that is known where that is of the same partition:
/// lines on record are found by their spelling.
fn spelled(name: String, known: &[String]) -> String {
    let mut all = known.iter();
    let same = all.find(|known| is_same_node(known, &name));
    same.cloned().unwrap_or(name)
}

/// Adds names, each once.
pub(crate) fn add(names: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Whether two paths are of one file or device.
pub(crate) fn is_same_node(one: impl AsRef<Path>, other: impl AsRef<Path>) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    let node = |path: &Path| {
        let meta = fs::metadata(path).ok()?;
        Some(match meta.file_type().is_block_device() {
            true => (None, meta.rdev()),
            false => (Some(meta.dev()), meta.ino()),
        })
    };
    one == other || node(one).is_some_and(|found| node(other) == Some(found))
}

/// What the index page says of each partition, by its name here. Where other
/// partitions are known, they are enough.
///
/// # Errors
/// It cannot be had, and nothing else is known.
fn page(
    url: &str,
    recorded: &[String],
    is_known: bool,
    config: &Config,
    terminal: &Terminal,
) -> Result<Option<(Vec<Listed>, Status)>> {
    match net::page::fetch(url, config.dialer.limits) {
        Ok(page) => Ok(Some(on_page(&page, recorded, config, terminal))),
        Err(error) if is_known && error.status() != Status::Usage => {
            let rest = "going on with the partitions that are known without it";
            terminal.say(&format!("{url}: {error}; {rest}"));
            Ok(None)
        }
        Err(error) => Err(error)
            .wrap_err_with(|| format!("no wrcmd, no partition (-p), and no index page at {url}")),
    }
}

/// The partitions of a page by their names here, spelled as those that are known, each
/// with its arenas. One that has no place here is said.
pub(crate) fn on_page(
    page: &index::Page,
    known: &[String],
    config: &Config,
    terminal: &Terminal,
) -> (Vec<Listed>, Status) {
    let (mut listed, mut status) = (Vec::new(), Status::Done);
    let mut refused = terminal.several("partitions of the index page that have no place here");
    for found in of_page(page, known, config) {
        match found {
            Ok(found) => listed.push(found),
            Err(error) => {
                refused.say(&line_of(&error));
                status = Status::Partly;
            }
        }
    }
    (listed, status)
}

/// The same, and nothing is said.
pub(crate) fn listed(page: &index::Page, known: &[String], config: &Config) -> Vec<Listed> {
    of_page(page, known, config).flatten().collect()
}

fn of_page(
    page: &index::Page,
    known: &[String],
    config: &Config,
) -> impl Iterator<Item = Result<Listed>> {
    page.partitions().into_iter().map(|of| {
        let name = config.path_from_anywhere(of.partition)?.into_owned();
        Ok(Listed {
            name: spelled(name, known),
            arenas: of.arenas.into_iter().cloned().collect(),
        })
    })
}

/// The same, with the partitions that `wrcmds` knows and nothing names any
/// more: they go before the wrcmd's own, so that it does not cross into them.
pub(crate) fn with_recorded(
    names: Vec<String>,
    recorded: &[String],
    has_wrcmd: bool,
) -> Vec<String> {
    let mut left: Vec<String> = recorded.to_vec();
    left.retain(|name| !names.contains(name));
    match has_wrcmd {
        true => [left, names].concat(),
        false => [names, left].concat(),
    }
}

/// The error of a partition of the index page that cannot be opened, which names it.
/// Where nothing is there, it may be called otherwise here than by its server.
pub(crate) fn hint(error: Report) -> Report {
    match error.downcast_ref() {
        Some(partition::PartitionError::NotFound(_)) => {
            let help = "a table [partitions] in the configuration tells where a server's partition lies here";
            eyre::eyre!("{}; {help}", line_of(&error))
        }
        _ => error,
    }
}
