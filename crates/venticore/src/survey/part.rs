//! The partitions of the source, opened and read.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eyre::{Result, WrapErr};

use crate::codec::arena::clump::ClumpHeader;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::wrcmd::WrCmd;
use crate::copy::cursor;
use crate::host::holders::{Process, Sight, Writers};
use crate::host::partition::Partition;
use crate::host::terminal::Terminal;
use crate::replica::{OpenedSource, StoreAccess};
use crate::source::Arena;
use crate::source::ArenaSource;
use crate::source::Oddity;
use crate::source::ReadAt;
use crate::source::log::{ClumpLog, What};
use crate::source::notes;
use crate::status::Status;

/// Stands for the score of a clump that nothing tells any more.
pub(crate) const UNKNOWN: Score = Score::ZERO;

/// One arena partition of the source.
pub(crate) struct Part {
    /// How wrcmd and wrcmds name it.
    pub(crate) name: String,
    /// None where it is a replica.
    pub(crate) opened: Option<Arc<Partition>>,
    pub(crate) source: Arc<dyn ReadAt>,
    pub(crate) arenas: Vec<Arena>,
    /// The same, as the rules for places see it.
    pub(crate) rules: cursor::PartitionView,
    /// It has a table of arenas, and is not one arena by itself.
    pub(crate) is_table: bool,
    /// All arenas of the table could be read.
    pub(crate) whole: bool,
    /// Its server has put on disk what it had, before the arenas were read.
    pub(crate) synced: bool,
    /// The processes that are seen to have it open for writing ([`see_writers`]).
    pub(crate) writers: Vec<Process>,
    /// What helps where it is on record and does not belong there ([`StateFiles::if_by_mistake`]).
    ///
    /// [`StateFiles::if_by_mistake`]: super::record::StateFiles::if_by_mistake
    pub(crate) if_by_mistake: &'static str,
}

impl Part {
    /// Opens a partition and reads what its arenas hold now. What is odd about
    /// them is said, and those that cannot be read are left out.
    ///
    /// # Errors
    /// The partition does not exist, or nothing on it has arenas.
    pub(crate) fn open(
        name: &str,
        wrcmd: Option<&WrCmd>,
        access: &StoreAccess,
        terminal: &Terminal,
    ) -> Result<(Self, Status)> {
        let opened = OpenedSource::named(OsStr::new(name), access)?;
        let wrong = notes::say_wrong(&opened.notes, terminal);
        let head = wrcmd.filter(|wrcmd| wrcmd.file() == name);
        let head = head.and_then(WrCmd::file_offset).unwrap_or(0);
        let found = ArenaSource::read(&opened, head).wrap_err_with(|| name.to_owned())?;
        let entries = match &found {
            ArenaSource::Partition(table) => Some(table.entries.len()),
            ArenaSource::Single(_) => None,
        };
        let (arenas, status) = match found {
            ArenaSource::Partition(table) => notes::all_arenas(&opened, &table, terminal),
            ArenaSource::Single(arena) => {
                let status = notes::say_notes(&arena, terminal);
                (vec![arena], status)
            }
        };
        let rules = cursor::PartitionView {
            name: name.to_owned(),
            arenas: arenas.iter().map(cursor::ArenaView::from).collect(),
        };
        let part = Part {
            name: name.to_owned(),
            // What a replica has, it has: no server holds more of it in memory.
            synced: opened.partition.is_none(),
            opened: opened.partition,
            source: opened.source,
            is_table: entries.is_some(),
            whole: entries.is_none_or(|entries| entries <= arenas.len()),
            arenas,
            rules,
            writers: Vec::new(),
            if_by_mistake: "",
        };
        Ok((part, status.worst(wrong)))
    }

    /// A place in words: partition, head, offset.
    pub(crate) fn shown(&self, at: cursor::Cursor) -> Option<String> {
        let arena = self.arenas.get(at.arena)?;
        Some(format!("{} {} {:#x}", self.name, arena.head, at.offset))
    }

    /// Score and type of the block that was stored last, if there is one and it is known.
    pub(crate) fn newest(&self) -> Option<(Score, BlockType)> {
        let mut arenas = self.arenas.iter().rev();
        let arena = arenas.find(|arena| arena.live.used > 0)?;
        let header = self.before(arena, arena.live.used)?;
        Some((header.score, header.block_type()?))
    }

    /// When the last clump was written, by the server's clock; none where there is none, or
    /// its header cannot be read.
    pub(crate) fn written_last(&self) -> Option<SystemTime> {
        let mut arenas = self.arenas.iter().rev();
        let arena = arenas.find(|arena| arena.live.used > 0)?;
        let header = self.before(arena, arena.live.used)?;
        let time = Duration::from_secs(header.time.into());
        UNIX_EPOCH.checked_add(time).filter(|_| header.time > 0)
    }

    /// How many arenas have clumps from a point on.
    pub(crate) fn arenas_from(&self, at: cursor::Cursor) -> u64 {
        let ahead = self.arenas.iter().enumerate().skip(at.arena);
        let lacking = ahead.filter(|(number, arena)| {
            let from = if *number == at.arena { at.offset } else { 0 };
            arena.live.used > from
        });
        lacking.count() as u64
    }

    /// When the first clump from a point on was written, by the server's clock; none
    /// where there is none, or its header cannot be read.
    pub(crate) fn written_from(&self, at: cursor::Cursor) -> Option<SystemTime> {
        let mut ahead = self.arenas.iter().enumerate().skip(at.arena);
        let (number, arena) = ahead.find(|(number, arena)| {
            let from = if *number == at.arena { at.offset } else { 0 };
            arena.live.used > from
        })?;
        let from = if number == at.arena { at.offset } else { 0 };
        let mut log = ClumpLog::open(Arc::clone(&self.source), arena, from, false).ok()?;
        match log.next()?.what {
            What::Clump { header, .. } if header.time > 0 => {
                UNIX_EPOCH.checked_add(Duration::from_secs(header.time.into()))
            }
            _ => None,
        }
    }

    /// Whether it has room for nothing more.
    pub(crate) fn is_used_up(&self) -> bool {
        self.whole && !self.arenas.is_empty() && self.arenas.iter().all(|arena| arena.sealed)
    }

    /// The clump that ends at an offset of an arena.
    pub(crate) fn before(&self, arena: &Arena, offset: u64) -> Option<ClumpHeader> {
        let log = ClumpLog::open(Arc::clone(&self.source), arena, offset, false).ok()?;
        log.before().copied()
    }

    /// The score of the clump that ends at an offset, [`UNKNOWN`] after damage
    /// that left nothing to know it by; none where no clump ends.
    fn score_before(&self, arena: &Arena, offset: u64) -> Option<Score> {
        let log = ClumpLog::open(Arc::clone(&self.source), arena, offset, false).ok()?;
        Some(log.before().map_or(UNKNOWN, |header| header.score))
    }
}

/// Looks for the processes that have the partitions open for writing, once for all of
/// them, and tells how much could be seen.
pub(crate) fn see_writers(parts: &mut [Part]) -> Sight {
    let (mut parts, opened): (Vec<&mut Part>, Vec<Arc<Partition>>) = parts
        .iter_mut()
        .filter_map(|part| {
            let opened = part.opened.clone()?;
            Some((part, opened))
        })
        .unzip();
    let paths: Vec<_> = opened.iter().map(|opened| opened.path()).collect();
    // A system that does not tell shows no more than one that hides the others.
    let Ok(found) = Writers::of(&paths) else {
        return Sight::Hidden;
    };
    for (part, writers) in parts.iter_mut().zip(found.processes) {
        part.writers = writers;
    }
    found.sight
}

/// Says which trailers count nothing although their logs have clumps: after a
/// sync of the source that is damage.
pub(crate) fn say_uncounted(parts: &[Part], terminal: &Terminal) -> Status {
    let mut status = Status::Done;
    let synced = parts.iter().filter(|part| part.synced);
    for arena in synced.flat_map(|part| &part.arenas) {
        for note in &arena.notes {
            if matches!(note, Oddity::Uncounted(_)) {
                terminal.say(&format!("arena {}: {note}", arena.name));
                status = Status::Partly;
            }
        }
    }
    status
}

/// The source, as the rules for places ask it.
pub(crate) struct PartsSource<'a>(pub(crate) &'a [Part]);

impl PartsSource<'_> {
    fn arena(&self, partition: &str, head: u64) -> Option<(&Part, &Arena)> {
        let part = self.0.iter().find(|part| part.name == partition)?;
        let arena = part.arenas.iter().find(|arena| arena.head == head)?;
        Some((part, arena))
    }
}

impl cursor::Clumps for PartsSource<'_> {
    fn score_before(&self, partition: &str, head: u64, offset: u64) -> Result<Option<Score>> {
        let found = self.arena(partition, head);
        Ok(found.and_then(|(part, arena)| part.score_before(arena, offset)))
    }

    fn clumps_from(&self, partition: &str, head: u64, offset: u64) -> Result<Option<u64>> {
        let log = self.arena(partition, head).and_then(|(part, arena)| {
            let log = ClumpLog::open(Arc::clone(&part.source), arena, offset, false).ok()?;
            u64::from(arena.live.clumps).checked_sub(log.index()?)
        });
        Ok(log)
    }
}
