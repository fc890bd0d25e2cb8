//! Whether the index page belongs to the source: by the partitions on record, by
//! what they hold, and by what the page counts.

use eyre::Result;

use super::Scope;
use super::part::Part;
use super::record::StateFiles;
use super::sought::{self, Listed, Sought};
use crate::codec::arena::Name;
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::net;
use crate::status::{Failure, Status};

/// What an arena is known by, wherever its partition lies: its name, the offset of its
/// head in bytes, and what its clumps begin with.
type ArenaKey = (Option<Name>, u64, u32);

/// Compares the partitions on record with those on the page.
pub(crate) struct Compared<'a> {
    sought: &'a Sought,
    parts: &'a [Part],
    record: &'a StateFiles,
}

impl<'a> Compared<'a> {
    /// Nothing where no page was read, or where what it lists has no name here.
    pub(crate) fn new(
        sought: &'a Sought,
        parts: &'a [Part],
        record: &'a StateFiles,
    ) -> Option<Self> {
        let compared = Compared {
            sought,
            parts,
            record,
        };
        (sought.url.is_some() && sought.all_named).then_some(compared)
    }

    /// Refuses a page that lists partitions, and none of those on record.
    ///
    /// # Errors
    /// It is the page of another venti.
    pub(crate) fn refuse_other(&self, scope: &Scope, config: &Config) -> Result<()> {
        let recorded = self.record.all_partitions();
        let by_config = |name: &String| scope.index.is_none() && is_named(name, config);
        let known = |name: &String| by_config(name) || self.is_listed(name);
        let (Some(first), Some(listed)) = (recorded.first(), self.sought.page.first()) else {
            return Ok(());
        };
        if recorded.iter().any(known) {
            return Ok(());
        }
        let url = self.sought.url.as_deref().unwrap_or_default();
        let listed = &listed.name;
        let if_by_mistake = self.record.if_by_mistake(first);
        let cause = format!(
            "{url}: it lists {listed} and not {first}, which is on record: that is the page of \
             another venti; give the page of the source (-i), \
             or another state directory (-d) if {listed} is another source{if_by_mistake}"
        );
        Err(Failure::report(Status::Usage, cause))
    }

    /// Says which of the partitions that are read are on record and not on the page.
    pub(crate) fn say_unlisted(&self, config: &Config, terminal: &Terminal) -> Status {
        let recorded = self.record.all_partitions();
        let mut status = Status::Done;
        for part in self.parts {
            let name = &part.name;
            let known = is_named(name, config) || !recorded.contains(name);
            if !known && !self.is_listed(name) {
                terminal.say(&format!(
                    "{name}: is on record, and the index page does not list it; \
                     name it in arenas in the configuration if it belongs to the source{}",
                    part.if_by_mistake
                ));
                status = Status::Partly;
            }
        }
        status
    }

    /// Whether the page lists a partition, under this or another name. It lists no
    /// arena without clumps.
    fn is_listed(&self, name: &str) -> bool {
        let part = self.parts.iter().find(|part| part.name == name);
        let mut page = self.sought.page.iter();
        page.any(|listed| sought::is_same_node(&listed.name, name) || self.has_moved(name, listed))
            || part.is_some_and(|part| part.arenas.iter().all(|arena| arena.live.used == 0))
    }

    /// Whether a partition of the page has an arena of this one.
    fn has_moved(&self, name: &str, listed: &Listed) -> bool {
        let marks = |name: &str| {
            let part = self.parts.iter().find(|part| part.name == name);
            let arenas = part.map_or(&[][..], |part| &part.arenas).iter();
            let mark = |arena: &crate::source::Arena| -> ArenaKey {
                (Some(arena.name.clone()), arena.head, arena.clump_magic)
            };
            arenas.map(mark).collect::<Vec<ArenaKey>>()
        };
        let places = self.record.wrcmds.places();
        let places = places.filter(|place| place.partition == name);
        let recorded = places.filter_map(|place| Some((place.arena, place.head, place.magic?)));
        let there = marks(&listed.name);
        let mut known = marks(name).into_iter().chain(recorded);
        known.any(|mark| there.contains(&mark))
    }
}

/// Whether the configuration names a partition, by this or another path.
fn is_named(name: &str, config: &Config) -> bool {
    let mut arenas = config.arenas.iter();
    arenas.any(|given| sought::is_same_node(given, name))
}

/// Says which arenas have fewer clumps by the index page than on disk. A server counts
/// a clump before it is on disk, so that is the page of another one. What was written
/// since the page was read is told by a second look.
pub(crate) fn say_behind(
    sought: &Sought,
    parts: &[Part],
    config: &Config,
    terminal: &Terminal,
) -> Status {
    let Some(url) = &sought.url else {
        return Status::Done;
    };
    if behind(&sought.page, parts).is_empty() {
        return Status::Done;
    }
    let page = match net::page::fetch(url, config.dialer.limits) {
        Ok(page) => {
            let known: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
            sought::listed(&page, &known, config)
        }
        Err(error) => {
            terminal.say(&format!("{url}: {error}"));
            return Status::Partly;
        }
    };
    let behind = behind(&page, parts);
    let mut lines = terminal.several("arenas that have fewer clumps by the index page");
    for said in &behind {
        lines.say(said);
    }
    match behind.is_empty() {
        true => Status::Done,
        false => Status::Partly,
    }
}

/// What to say of the arenas of which a page counts less than their trailers do.
fn behind(page: &[Listed], parts: &[Part]) -> Vec<String> {
    let mut said = Vec::new();
    for Listed { name, arenas } in page {
        let part = parts.iter().find(|part| part.name == *name);
        for arena in part.map_or(&[][..], |part| &part.arenas) {
            if !arena.notes.is_empty() {
                continue;
            }
            // An arena that it does not list has no clump there.
            let by_page = arenas.iter().find(|listed| listed.head == arena.head);
            if by_page.map_or(0, |listed| listed.used()) < arena.live.used {
                said.push(format!(
                    "{name}: arena {}: the index page counts {} clumps, but {} are on disk already: \
                     that is the page of another venti; give the page of the source (-i){}",
                    arena.name,
                    by_page.map_or(0, |listed| listed.clumps()),
                    arena.live.clumps,
                    part.map_or("", |part| part.if_by_mistake)
                ));
            }
        }
    }
    said
}
