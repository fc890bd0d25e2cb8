//! The source: which partitions it has, opened and read.

use std::ffi::OsStr;
use std::sync::Arc;

use eyre::{Report, Result, WrapErr};

use crate::arena::clump::ClumpHeader;
use crate::arena::log::Log;
use crate::arena::{Arena, ArenaSource, Note, ReadAt};
use crate::config::Config;
use crate::exit::{Failure, Status, line_of};
use crate::index;
use crate::partition::{self, Partition};
use crate::places;
use crate::score::Score;
use crate::terminal::Terminal;
use crate::wrarena;
use crate::wrcmd::WrCmd;

/// Stands for the score of a clump that nothing tells any more.
pub(super) const UNKNOWN: Score = Score::ZERO;

/// One arena partition of the source.
pub(super) struct Part {
    /// How wrcmd and wrcmds name it.
    pub(super) name: String,
    pub(super) opened: Arc<Partition>,
    pub(super) source: Arc<dyn ReadAt>,
    pub(super) arenas: Vec<Arena>,
    /// The same, as the rules for places see it.
    pub(super) rules: places::Partition,
}

/// The names of the partitions to read: those of the index page, if one is
/// known, in its order, and before them that of the wrcmd where it is none of
/// them. Without either, the default page is asked.
///
/// # Errors
/// No partition is named anywhere, or the only page that could is not there.
pub(super) fn names(
    wrcmd: Option<&WrCmd>,
    partition: Option<&str>,
    url: Option<&str>,
    config: &Config,
    terminal: &Terminal,
) -> Result<(Vec<String>, Status)> {
    let own = wrcmd.map(|wrcmd| wrcmd.file().to_owned());
    if let Some(partition) = partition {
        // The wrcmd is run from anywhere.
        let absolute = std::path::absolute(partition).ok();
        let absolute = absolute.and_then(|path| path.into_os_string().into_string().ok());
        let given = absolute.unwrap_or_else(|| partition.to_owned());
        return Ok((vec![own.unwrap_or(given)], Status::Done));
    }
    let url = url.or(config.index.as_deref());
    let page = match (url, &own) {
        (Some(url), _) => index::fetch(url, config.limits),
        (None, Some(own)) => return Ok((vec![own.clone()], Status::Done)),
        (None, None) => index::fetch(&config.default_index, config.limits),
    };
    let (page, status) = match (page, own) {
        (Ok(page), own) => {
            let (named, status) = on_page(&page, config, terminal);
            if named.is_empty() && status != Status::Done && own.is_none() {
                let cause = "the index page has no partition that can be found here";
                return Err(Failure::report(Status::Failed, cause));
            }
            (with_own(named, own), status)
        }
        (Err(error), Some(own)) => {
            terminal.say(&format!(
                "{}: {error}; going on with the wrcmd's partition",
                url.unwrap_or(&config.default_index)
            ));
            return Ok((vec![own], Status::Partly));
        }
        (Err(error), None) => {
            return Err(error).wrap_err_with(|| {
                format!(
                    "no wrcmd, no partition (-p), and no index page at {}",
                    url.unwrap_or(&config.default_index)
                )
            });
        }
    };
    if page.is_empty() {
        let cause =
            "the index page lists no arenas: nothing is stored yet, or name a partition (-p)";
        return Err(Failure::report(Status::Failed, cause));
    }
    Ok((page, status))
}

/// The partitions of the page that have a place here; one that has none is said.
fn on_page(page: &index::Page, config: &Config, terminal: &Terminal) -> (Vec<String>, Status) {
    let (mut named, mut status) = (Vec::new(), Status::Done);
    for arenas in page.partitions() {
        match config.path_from_anywhere(arenas.partition) {
            Ok(path) => named.push(path.into_owned()),
            Err(error) => {
                terminal.say(&format!("{error:#}"));
                status = Status::Partly;
            }
        }
    }
    (named, status)
}

/// The same, with the partitions that `wrcmds` knows and nothing names any
/// more: they go before the wrcmd's own, so that it does not cross into them.
pub(super) fn with_recorded(
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

fn with_own(mut names: Vec<String>, own: Option<String>) -> Vec<String> {
    if let Some(own) = own
        && !names.contains(&own)
    {
        names.insert(0, own);
    }
    names
}

impl Part {
    /// Opens a partition and reads what its arenas hold now. What is odd about
    /// them is said, and those that cannot be read are left out.
    ///
    /// # Errors
    /// There is no such partition, or nothing on it that has arenas.
    pub(super) fn open(
        name: &str,
        wrcmd: Option<&WrCmd>,
        terminal: &Terminal,
    ) -> Result<(Self, Status)> {
        let opened = wrarena::open(OsStr::new(name)).map_err(hint)?;
        let head = wrcmd.filter(|wrcmd| wrcmd.file() == name);
        let head = head.and_then(WrCmd::file_offset).unwrap_or(0);
        let found = ArenaSource::read(&opened, head).wrap_err_with(|| name.to_owned())?;
        let (arenas, status) = match found {
            ArenaSource::Partition(table) => wrarena::all_arenas(&opened, &table, terminal),
            ArenaSource::Single(arena) => {
                let status = wrarena::say_notes(&arena, terminal);
                (vec![arena], status)
            }
        };
        let opened = Arc::new(opened);
        let rules = places::Partition {
            name: name.to_owned(),
            arenas: arenas.iter().map(places::Arena::from).collect(),
        };
        let part = Part {
            name: name.to_owned(),
            source: Arc::clone(&opened) as Arc<dyn ReadAt>,
            opened,
            arenas,
            rules,
        };
        Ok((part, status))
    }

    /// A place in words: partition, head, offset.
    pub(super) fn shown(&self, at: places::Point) -> Option<String> {
        let arena = self.arenas.get(at.arena)?;
        Some(format!("{} {} {:#x}", self.name, arena.head, at.offset))
    }

    /// The clump that ends at an offset of an arena.
    pub(super) fn before(&self, arena: &Arena, offset: u64) -> Option<ClumpHeader> {
        let log = Log::open(Arc::clone(&self.source), arena, offset, false).ok()?;
        log.before().copied()
    }

    /// The score of the clump that ends at an offset, [`UNKNOWN`] after damage
    /// that left nothing to know it by; none where no clump ends.
    fn score_before(&self, arena: &Arena, offset: u64) -> Option<Score> {
        let log = Log::open(Arc::clone(&self.source), arena, offset, false).ok()?;
        Some(log.before().map_or(UNKNOWN, |header| header.score))
    }
}

/// Says which trailers count nothing although their logs have clumps: after a
/// sync of the source that is damage.
pub(super) fn say_uncounted(parts: &[Part], terminal: &Terminal) -> Status {
    let mut status = Status::Done;
    for arena in parts.iter().flat_map(|part| &part.arenas) {
        for note in &arena.notes {
            if matches!(note, Note::Uncounted(_)) {
                terminal.say(&format!("arena {}: {note}", arena.name));
                status = Status::Partly;
            }
        }
    }
    status
}

/// The error of a partition that cannot be opened, which names it. Where nothing is
/// there, it may be called otherwise here than by its server.
fn hint(error: Report) -> Report {
    match error.downcast_ref() {
        Some(partition::Error::NotFound(_)) => {
            let help = "a table [partitions] in the configuration tells where a server's partition lies here";
            eyre::eyre!("{}; {help}", line_of(&error))
        }
        _ => error,
    }
}

/// The source, as the rules for places ask it.
pub(super) struct Asked<'a>(pub(super) &'a [Part]);

impl Asked<'_> {
    fn arena(&self, partition: &str, head: u64) -> Option<(&Part, &Arena)> {
        let part = self.0.iter().find(|part| part.name == partition)?;
        let arena = part.arenas.iter().find(|arena| arena.head == head)?;
        Some((part, arena))
    }
}

impl places::Source for Asked<'_> {
    fn score_before(&self, partition: &str, head: u64, offset: u64) -> Result<Option<Score>> {
        let found = self.arena(partition, head);
        Ok(found.and_then(|(part, arena)| part.score_before(arena, offset)))
    }

    fn clumps_from(&self, partition: &str, head: u64, offset: u64) -> Result<Option<u64>> {
        let log = self.arena(partition, head).and_then(|(part, arena)| {
            let log = Log::open(Arc::clone(&part.source), arena, offset, false).ok()?;
            u64::from(arena.live.clumps).checked_sub(log.index()?)
        });
        Ok(log)
    }
}
