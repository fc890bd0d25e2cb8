//! Where each target starts, and what the next wrcmd is: rules, without I/O.
//!
//! What a target is known to have comes from two files. Its line in `wrcmds`
//! is a place it has acknowledged; it is believed as long as the source
//! still holds, before it, what it held then. The `wrcmd` is shared with scripts that move on past
//! failures, so for a target without a line it is a hint, which costs probes
//! ([`Start::probe_to`]) and never a block.
//!
//! | known of a target in a partition | it starts | it is probed up to |
//! |---|---|---|
//! | nothing | at the first arena | the end |
//! | the wrcmd, for its own host | at the first arena | the wrcmd's place |
//! | the wrcmd, with `trust` | at the wrcmd's place | - |
//! | its line | at the line's place | - |
//! | both, wrcmd ahead | at the line's place | the wrcmd's place |
//! | both, wrcmd behind (edited by hand) | at the wrcmd's place | the line's place |
//! | a line and nothing to check it by | as with a wrcmd: it is a hint | the line's place |
//! | its line; the clump before the place, the arena's name or magic differ | at that arena's start | that arena's end |
//! | its line; an arena before the place differs | at the first arena | the place |
//! | its line; no arena where it says | at the first arena | the end |
//!
//! Formatting a partition again, or filling it again from a lost tail, can
//! change the arenas *before* a place too, and version 4 arenas keep their magic
//! when it happens. So a line carries a fingerprint of them
//! ([`Partition::fingerprint`]); one without it, or with another, is no proof.

use std::time::SystemTime;

use eyre::Result;
use sha1::{Digest, Sha1};

use crate::arena::{self, Name, Note};
use crate::dial::Dial;
use crate::exit::{Failure, Status};
use crate::score::Score;
use crate::wrcmd::{self, WrCmd};
use crate::wrcmds::{Place, Wrcmds};

/// What the rules must know of an arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arena {
    /// Its name.
    pub name: Name,
    /// Its head block, bytes from the start of the partition.
    pub head: u64,
    /// What every clump begins with.
    pub magic: u32,
    /// Clumps in its log, by the trailer.
    pub clumps: u64,
    /// Bytes of its log, by the trailer.
    pub used: u64,
    /// No clump will be added.
    pub sealed: bool,
    /// Its trailer is damaged: it may have clumps that nothing counts.
    pub uncounted: bool,
}

impl From<&arena::Arena> for Arena {
    fn from(arena: &arena::Arena) -> Self {
        let damaged = |note: &Note| matches!(note, Note::Damaged(_));
        Arena {
            name: arena.name.clone(),
            head: arena.head,
            magic: arena.clump_magic,
            clumps: arena.live.clumps.into(),
            used: arena.live.used,
            sealed: arena.sealed,
            uncounted: arena.live.used == 0 && arena.notes.iter().any(damaged),
        }
    }
}

impl Arena {
    fn may_have_clumps(&self) -> bool {
        self.used > 0 || self.uncounted
    }

    fn is_used_up(&self, offset: u64) -> bool {
        self.sealed && offset >= self.used
    }
}

/// A place in a partition: an arena, by its index, and an offset in its data section.
///
/// The end of arena `k`, whatever it will hold, is `k + 1` at 0; the end of the
/// partition is one past the last arena at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The arena's index in [`Partition::arenas`].
    pub arena: usize,
    /// Bytes of its data section.
    pub offset: u64,
}

impl Point {
    /// The start of a partition.
    pub const START: Point = Point::new(0, 0);

    /// A place in an arena.
    #[must_use]
    pub const fn new(arena: usize, offset: u64) -> Self {
        Point { arena, offset }
    }

    fn end_of(arena: usize) -> Self {
        Point::new(arena.saturating_add(1), 0)
    }
}

/// An arena partition of the source: its arenas in the order of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// How it is named in wrcmd and wrcmds.
    pub name: String,
    /// Those that can be read.
    pub arenas: Vec<Arena>,
}

impl Partition {
    /// The end of everything.
    #[must_use]
    pub fn end(&self) -> Point {
        Point::new(self.arenas.len(), 0)
    }

    /// What tells the first `count` arenas from others, or from themselves
    /// with more in them: a hash over their places, names, magics and counters.
    #[must_use]
    pub fn fingerprint(&self, count: usize) -> Score {
        let mut hash = Sha1::new();
        for arena in self.arenas.iter().take(count) {
            hash.update(arena.head.to_be_bytes());
            hash.update(arena.name.to_field());
            hash.update(arena.magic.to_be_bytes());
            hash.update(arena.clumps.to_be_bytes());
            hash.update(arena.used.to_be_bytes());
        }
        Score::from_bytes(hash.finalize().into())
    }

    /// The line for a target that has acknowledged everything before a point
    /// whose last clump has the score `last`; `None` where no arena is there.
    ///
    /// The arenas must be those of the time when they were *read*: with counters of
    /// later, an arena that grew behind the place would go unnoticed.
    #[must_use]
    pub fn place(
        &self,
        target: &Dial,
        at: Point,
        last: Option<Score>,
        acknowledged: SystemTime,
    ) -> Option<Place> {
        let arena = self.arenas.get(at.arena)?;
        Some(Place {
            target: target.clone(),
            partition: self.name.clone(),
            head: arena.head,
            offset: at.offset,
            arena: Some(arena.name.clone()),
            magic: Some(arena.magic),
            last,
            before: Some(self.fingerprint(at.arena)),
            acknowledged: Some(acknowledged),
        })
    }

    /// Where to go on from a point: at the end of a sealed arena with the
    /// next one that has clumps. While there is none, the place stays.
    #[must_use]
    pub fn next_place(&self, at: Point) -> Point {
        let used_up = |arena: &Arena| arena.is_used_up(at.offset);
        if !self.arenas.get(at.arena).is_some_and(used_up) {
            return at;
        }
        let later = self.arenas.iter().enumerate().skip(at.arena + 1);
        let mut later = later.filter(|(_, arena)| arena.may_have_clumps());
        later.next().map_or(at, |(next, _)| Point::new(next, 0))
    }

    fn find(&self, head: u64) -> Option<(usize, &Arena)> {
        let mut arenas = self.arenas.iter().enumerate();
        arenas.find(|(_, arena)| arena.head == head)
    }

    /// True where no clump lies between two points: the end of a used up
    /// arena and the start of the next are one place.
    fn nothing_between(&self, from: Point, to: Point) -> bool {
        if from == to {
            return true;
        }
        let first = self.arenas.get(from.arena);
        let crossed = self.arenas.iter().take(to.arena).skip(from.arena + 1);
        from < to
            && to.offset == 0
            && first.is_some_and(|arena| arena.is_used_up(from.offset))
            && !crossed.into_iter().any(Arena::may_have_clumps)
    }

    fn shown(&self, at: Point) -> String {
        match self.arenas.get(at.arena) {
            Some(arena) => format!("{:#x} in arena {} at {}", at.offset, arena.name, arena.head),
            None => "the end".to_owned(),
        }
    }
}

/// What is asked of the source.
pub trait Source {
    /// The score of the clump that ends exactly at an offset of an arena's
    /// data section, which is not 0: that of its directory entry or header, intact or
    /// damaged. `None` where no clump ends there, or the log ends before it.
    ///
    /// # Errors
    /// The source could not be read.
    fn score_before(&self, partition: &str, head: u64, offset: u64) -> Result<Option<Score>>;

    /// How many clumps the arena's log holds from an offset on, where that is
    /// cheap to say.
    ///
    /// # Errors
    /// The source could not be read.
    fn clumps_from(&self, _partition: &str, _head: u64, _offset: u64) -> Result<Option<u64>> {
        Ok(None)
    }
}

impl<F: Fn(&str, u64, u64) -> Result<Option<Score>>> Source for F {
    fn score_before(&self, partition: &str, head: u64, offset: u64) -> Result<Option<Score>> {
        self(partition, head, offset)
    }
}

/// What is known before a run.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The partitions to read, in the order of the index.
    pub partitions: &'a [Partition],
    /// The wrcmd as it was found; `None` where it was only just built.
    pub wrcmd: Option<&'a WrCmd>,
    /// The wrcmd's own host.
    pub host: Option<&'a Dial>,
    /// The contents of `wrcmds`.
    pub wrcmds: &'a Wrcmds,
    /// Who is to be brought up to date.
    pub targets: &'a [Dial],
    /// `--trust`: a hint is believed.
    pub trust: bool,
}

/// Where a target starts in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The target.
    pub target: Dial,
    /// The partition's index in [`Known::partitions`].
    pub partition: usize,
    /// From here on.
    pub at: Point,
    /// What lies before this is probably there already: it is probed, and
    /// what is missing is sent. What lies after it is sent.
    pub probe_to: Option<Point>,
    /// What has to be said, `PARTITION: ...`.
    pub remarks: Vec<String>,
}

/// Where each target starts in each partition, partition by partition.
///
/// A wrcmd that names none of the partitions says nothing of them.
///
/// # Errors
/// The source could not be read, or the wrcmd's own place is none: no arena
/// at its `-o`, or its clump offset past the log or inside a clump.
pub fn starts(known: &Known, source: &dyn Source) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    for (index, partition) in known.partitions.iter().enumerate() {
        let hint = match known.wrcmd {
            Some(wrcmd) if wrcmd.file() == partition.name => {
                Some(wrcmd_place(wrcmd, partition, source)?)
            }
            _ => None,
        };
        for target in known.targets {
            let belief = belief(known, partition, target, hint, source)?;
            starts.push(belief.start(target, index, partition));
        }
    }
    Ok(starts)
}

/// The place a wrcmd names, if there is one.
///
/// # Errors
/// As [`starts`], with what the arena holds.
pub fn wrcmd_place(wrcmd: &WrCmd, partition: &Partition, source: &dyn Source) -> Result<Point> {
    let head = wrcmd.file_offset().unwrap_or(0);
    let offset = wrcmd.clump_offset();
    let (index, arena) = partition
        .find(head)
        .ok_or_else(|| no_arena(partition, head))?;
    let ends = || source.score_before(&partition.name, head, offset);
    if offset == 0 || ends()?.is_some() {
        return Ok(Point::new(index, offset));
    }
    let Arena {
        name, clumps, used, ..
    } = arena;
    Err(Failure::report(
        Status::Failed,
        format!(
            "{}: arena {name} at {head}: expected the end of a clump at the wrcmd's offset {offset:#x}, found none: \
             its log holds {clumps} clumps and ends at {used:#x}; \
             an offset of 0x0 probes the arena from its start",
            partition.name
        ),
    ))
}

fn no_arena(partition: &Partition, head: u64) -> eyre::Report {
    let shown = |arena: &Arena| format!("{} is at {}", arena.name, arena.head);
    let before = partition.arenas.iter().rev().find(|a| a.head < head);
    let after = partition.arenas.iter().find(|a| a.head > head);
    let around: Vec<String> = before.into_iter().chain(after).map(shown).collect();
    let around = match around.as_slice() {
        [] => "it has no arenas".to_owned(),
        around => around.join(", "),
    };
    let name = &partition.name;
    let message =
        format!("{name}: expected an arena at the wrcmd's -o {head}, found none: {around}");
    Failure::report(Status::Failed, message)
}

/// What is believed of a target in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Belief {
    at: Point,
    probe_to: Option<Point>,
    remarks: Vec<String>,
}

impl Belief {
    fn exact(at: Point) -> Self {
        Belief {
            at,
            probe_to: None,
            remarks: Vec::new(),
        }
    }

    fn probed(at: Point, to: Point) -> Self {
        Belief {
            at,
            probe_to: (at < to).then_some(to),
            remarks: Vec::new(),
        }
    }

    fn because(mut self, remark: String) -> Self {
        self.remarks.push(remark);
        self
    }

    fn start(self, target: &Dial, index: usize, partition: &Partition) -> Start {
        let Belief {
            at,
            probe_to,
            remarks,
        } = self;
        let name = &partition.name;
        let at = partition.next_place(at);
        Start {
            target: target.clone(),
            partition: index,
            at,
            probe_to: probe_to.filter(|&to| at < to),
            remarks: remarks.iter().map(|r| format!("{name}: {r}")).collect(),
        }
    }
}

fn belief(
    known: &Known,
    partition: &Partition,
    target: &Dial,
    hint: Option<Point>,
    source: &dyn Source,
) -> Result<Belief> {
    let is_host = known.host == Some(target);
    let Some(line) = known.wrcmds.get(target, &partition.name) else {
        return Ok(without_line(known, partition, hint, is_host));
    };
    let believed = of_line(&line, partition, known.trust, source)?;
    Ok(match hint {
        Some(wrcmd) if is_host => with_both(partition, target, believed, wrcmd),
        _ => believed,
    })
}

fn without_line(
    known: &Known,
    partition: &Partition,
    hint: Option<Point>,
    is_host: bool,
) -> Belief {
    match hint {
        Some(at) if known.trust => Belief::exact(at),
        // At the very start, a wrcmd says nothing about what is there.
        Some(at) if is_host && at > Point::START => Belief::probed(Point::START, at),
        _ => Belief::probed(Point::START, partition.end()),
    }
}

/// The earlier of the two places; what lies between them is probed.
fn with_both(partition: &Partition, target: &Dial, line: Belief, wrcmd: Point) -> Belief {
    let acknowledged = line.probe_to.unwrap_or(line.at).max(line.at);
    let (place, command) = (partition.shown(line.at), partition.shown(wrcmd));
    let between = |from, to| partition.nothing_between(from, to);
    if wrcmd < line.at && !between(wrcmd, line.at) {
        let remarks = line.remarks;
        let belief = Belief::probed(wrcmd, acknowledged);
        return Belief { remarks, ..belief }.because(format!(
            "wrcmd ({command}) was set back behind what {target} has acknowledged ({place}): \
             starts there, what lies between is probed"
        ));
    }
    if wrcmd > acknowledged && !between(acknowledged, wrcmd) {
        let remarks = line.remarks;
        let belief = Belief::probed(line.at, wrcmd);
        return Belief { remarks, ..belief }.because(format!(
            "wrcmd ({command}) is ahead of what {target} has acknowledged ({place}): \
             a script ran meanwhile, or it was edited; what lies between is probed"
        ));
    }
    line
}

/// What a line is worth, by what the source holds now.
fn of_line(
    line: &Place,
    partition: &Partition,
    trust: bool,
    source: &dyn Source,
) -> Result<Belief> {
    let Place { target, head, .. } = line;
    let Some((index, arena)) = partition.find(*head) else {
        let probed = Belief::probed(Point::START, partition.end());
        return Ok(probed.because(format!(
            "the place of {target} is in an arena at {head}, and none is there: \
             probed from the first arena on"
        )));
    };
    let at = Point::new(index, line.offset);
    let bare = line.arena.is_none() && line.magic.is_none() && line.last.is_none();
    let doubt = doubt(line, partition, arena, source)?;
    if bare && doubt.is_none_or(|doubt| doubt == Doubt::Unknown) {
        return Ok(of_bare_line(target, at, trust));
    }
    let earlier_stand = index == 0 || line.before == Some(partition.fingerprint(index));
    Ok(match (doubt, earlier_stand) {
        (None, true) => Belief::exact(at),
        (None, false) => Belief::probed(Point::START, at).because(format!(
            "the arenas before {} are not as {target} acknowledged them: \
             probed from the first arena on",
            arena.name
        )),
        (Some(doubt), stand) => {
            let from = Point::new(if stand { index } else { 0 }, 0);
            let told = doubt.told(line, arena);
            Belief::probed(from, Point::end_of(index)).because(format!(
                "{told}: {target} is probed from the start of the {} on",
                if stand { "arena" } else { "partition" }
            ))
        }
    })
}

/// How far a line is believed: everything before this point the target has
/// acknowledged, and the source holds it still.
///
/// # Errors
/// The source could not be read.
pub fn believed(
    line: &Place,
    partition: &Partition,
    trust: bool,
    source: &dyn Source,
) -> Result<Point> {
    Ok(of_line(line, partition, trust, source)?.at)
}

fn of_bare_line(target: &Dial, at: Point, trust: bool) -> Belief {
    if trust {
        return Belief::exact(at);
    }
    Belief::probed(Point::START, at).because(format!(
        "the line of {target} has no `# place` comment to check it by: \
         probed from the first arena on (--trust believes it)"
    ))
}

/// Why a place is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// The arena has another name or magic.
    OtherArena,
    /// Another clump ends at the place, or none.
    OtherClump,
    /// The line does not say what to look for.
    Unknown,
}

impl Doubt {
    fn told(self, line: &Place, arena: &Arena) -> String {
        let Arena {
            name, head, magic, ..
        } = arena;
        let offset = line.offset;
        match self {
            Self::OtherArena => format!(
                "the arena at {head} was {} with clump magic {:#010x}, and is {name} with {magic:#010x}",
                line.arena.as_ref().map_or("without name", Name::as_str),
                line.magic.unwrap_or(0),
            ),
            Self::OtherClump => {
                format!("arena {name} at {head} does not hold at {offset:#x} what it held")
            }
            Self::Unknown => {
                format!("the place at {offset:#x} in arena {name} at {head} cannot be checked")
            }
        }
    }
}

fn doubt(
    line: &Place,
    partition: &Partition,
    arena: &Arena,
    source: &dyn Source,
) -> Result<Option<Doubt>> {
    if line.arena.as_ref().is_some_and(|name| *name != arena.name)
        || line.magic.is_some_and(|magic| magic != arena.magic)
    {
        return Ok(Some(Doubt::OtherArena));
    }
    let found = match line.offset {
        0 => None,
        offset => {
            let found = source.score_before(&partition.name, arena.head, offset)?;
            if found.is_none() {
                return Ok(Some(Doubt::OtherClump));
            }
            found
        }
    };
    Ok(if line.offset > 0 && line.last.is_none() {
        Some(Doubt::Unknown)
    } else if found != line.last {
        Some(Doubt::OtherClump)
    } else if line.arena.is_none() || line.magic.is_none() {
        Some(Doubt::Unknown)
    } else {
        None
    })
}

/// The wrcmd after a run that brought every target to the end.
///
/// `reached` has, for each of the partitions, where each target is. The place that all
/// have reached in the wrcmd's partition becomes that of the wrcmd; at the end
/// of a used up arena it is the next one that has clumps, in the next partition where
/// the arena was the last. While there is none it stays. Only the words that change are written anew.
///
/// # Errors
/// The name of the next partition cannot be written as one word.
pub fn final_wrcmd(
    old: &WrCmd,
    partitions: &[Partition],
    reached: &[Vec<Point>],
) -> Result<WrCmd, wrcmd::Error> {
    let all = partitions.iter().zip(reached);
    let mut all = all.skip_while(|(partition, _)| partition.name != old.file());
    let mut new = old.clone();
    for (partition, points) in all.by_ref() {
        let Some(&least) = points.iter().min() else {
            break;
        };
        let at = partition.next_place(least);
        let Some(arena) = partition.arenas.get(at.arena) else {
            break;
        };
        let goes_on = new.file() == partition.name;
        if !goes_on && !partition.arenas.iter().any(Arena::may_have_clumps) {
            break;
        }
        new = moved(&new, partition, arena, at.offset)?;
        if at.arena + 1 < partition.arenas.len() || !arena.is_used_up(at.offset) {
            break;
        }
    }
    Ok(new)
}

fn moved(
    old: &WrCmd,
    partition: &Partition,
    arena: &Arena,
    offset: u64,
) -> Result<WrCmd, wrcmd::Error> {
    let mut new = old.clone();
    if new.file() != partition.name {
        new = new.with_file(&partition.name)?;
    }
    if new.file_offset().unwrap_or(0) != arena.head {
        new = new.with_file_offset(arena.head);
    }
    Ok(new.with_clump_offset(offset))
}

/// The first wrcmd: the first of the targets, the first arena, its start.
/// What the scripts would do wrong with it is for [`WrCmd::script_hazards`] to say.
///
/// # Errors
/// The partition has no arenas, or a name that cannot be written as one word.
pub fn build_wrcmd(target: &Dial, partition: &Partition) -> Result<WrCmd> {
    let first = partition.arenas.first().ok_or_else(|| {
        let message = format!("{}: expected arenas, found none", partition.name);
        Failure::report(Status::Failed, message)
    })?;
    let host = target.to_string();
    Ok(WrCmd::new(&host, first.head, &partition.name, 0)?)
}

/// How far a line is behind the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The line.
    pub place: Place,
    /// Clumps the target lacks or may lack; `None` where that cannot be said.
    pub clumps: Option<u64>,
    /// Bytes of log the target lacks or may lack; `None` where the partition was not read.
    pub bytes: Option<u64>,
    /// What has to be said, `PARTITION: ...`.
    pub remarks: Vec<String>,
}

/// How far each line is behind what the arenas hold by their trailers.
///
/// A place that is not believed is as far behind as what would be probed.
///
/// # Errors
/// The source could not be read.
pub fn behind(
    wrcmds: &Wrcmds,
    partitions: &[Partition],
    source: &dyn Source,
) -> Result<Vec<Behind>> {
    let lines = wrcmds.places();
    lines
        .map(|place| {
            let partition = partitions.iter().find(|p| p.name == place.partition);
            match partition {
                Some(partition) => behind_in(place, partition, source),
                None => Ok(Behind {
                    remarks: vec![format!("{}: was not read", place.partition)],
                    place,
                    clumps: None,
                    bytes: None,
                }),
            }
        })
        .collect()
}

fn behind_in(place: Place, partition: &Partition, source: &dyn Source) -> Result<Behind> {
    let belief = of_line(&place, partition, true, source)?;
    let Point { arena, offset } = belief.at;
    let mut bytes = 0_u64;
    let mut clumps = Some(0_u64);
    for (index, found) in partition.arenas.iter().enumerate().skip(arena) {
        let from = if index == arena { offset } else { 0 };
        bytes = bytes.saturating_add(found.used.saturating_sub(from));
        let lacking = clumps_from(partition, found, from, source)?;
        clumps = clumps.zip(lacking).map(|(a, b)| a.saturating_add(b));
    }
    let name = &partition.name;
    Ok(Behind {
        remarks: belief
            .remarks
            .iter()
            .map(|r| format!("{name}: {r}"))
            .collect(),
        place,
        clumps,
        bytes: Some(bytes),
    })
}

fn clumps_from(
    partition: &Partition,
    arena: &Arena,
    from: u64,
    source: &dyn Source,
) -> Result<Option<u64>> {
    match from {
        _ if arena.uncounted => Ok(None),
        0 => Ok(Some(arena.clumps)),
        from if from >= arena.used => Ok(Some(0)),
        from => source.clumps_from(&partition.name, arena.head, from),
    }
}

#[cfg(test)]
mod tests;
