//! The file `wrcmds` as a value: what each target has acknowledged, one line
//! per target and partition.
//!
//! ```text
//! # wrcmds: the place that each venti has acknowledged in each partition; ...
//! # seen wrarena -h tcp!hostb!17034 -o 794624 /dev/sdC0/arenas 0x13dd9
//! # place magic=0xf4040f0d last=SCORE time=2026-11-22T04:00:00Z before=SCORE arena=NAME
//! # damaged magic=0xf4040f0d head=794624 offset=0x56901 len=346 type=data score=SCORE arena=NAME
//! # accepted magic=0xf4040f0d head=794624 offset=0x5a000 len=1102 type=data score=unknown arena=NAME
//! wrarena -h tcp!hostb!17034 -o 794624 /dev/sdC0/arenas 0x13dd9
//! ```
//!
//! The wrarena line is the place itself, and can be run as it stands. It says
//! that the target acknowledged a sync after every clump before the offset in
//! the arena at `-o`, and after every clump of the arenas before that one.
//! The comments that begin with `place`, `damaged`, `damaged-here`, `accepted` or
//! `unreadable` belong to the wrarena line that follows; `place` comes first of them.
//!
//! | field | is |
//! |---|---|
//! | `magic`, `arena` | clump magic and name of the arena at `-o`, by which another arena in its place is known. The name goes to the end of the line, since names have blanks |
//! | `last` | score of the clump that ends at the offset; `none` at offset 0 |
//! | `time` | when the target acknowledged |
//! | `open` | only where an arena before that one could still be filled when it was read: its head, where its log ended then, and the score of the clump that ended there. What has been added since does not change the source, and was sent or not |
//! | `before` | fingerprint of the arenas before that one (`PartitionView::fingerprint`): a line can look right although they were filled again; `none` is a line made without |
//!
//! `unknown` stands where something is not known. A wrarena line without a
//! `place` comment, from an operator or a script, is read, and nothing but
//! the line itself is known.
//!
//! The `seen` line is the wrcmd as a run last obeyed or wrote it. While the
//! wrcmd stands there, nobody has edited it, however far the lines have gone on.
//! A file without it says nothing of that.
//!
//! A `damaged` line is a stretch of the source's log that could not be sent, or of
//! which `clumps=N` clumps could not. Neighbours become one line, and where there are
//! too many, those with the least between them do ([`Stretches`]).
//! An operator who has looked at it changes the word into `accepted`, and it
//! no longer counts. So that a slip there does not make damage go unnoticed, a
//! comment that begins with one of the five words or goes on with `magic=`
//! must be a whole one of ours. All other comments, and blank lines, are kept
//! where they are, byte for byte.
//!
//! A `damaged-here` line is such a stretch whose blocks the target gave back: it has the
//! only copy of them. It goes when the source is mended, and becomes `damaged` when the
//! target no longer gives them back.
//!
//! A line `# forgotten TARGET` stands for a target whose lines were removed, until
//! it has a place again. Without it, nothing is remembered of that.
//!
//! An `unreadable` line is a block that the target has and could not give back
//! whole. It goes when the target gives it back. One without type and score stands
//! for more of them than are listed.
//!
//! **Two lines for one target and partition**: the one with less progress is
//! the place, because what lies between the two then costs probes, while
//! with the other one a hole could stay for ever. The damage of both counts. The next
//! [`Wrcmds::set`] makes one line of them.

mod error;
mod line;
mod stretches;

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use crate::codec::arena::Name;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;

pub use error::{Problem, WrcmdsError};
use line::{Command, Kind, PlaceComment, WrcmdsLine};
pub use stretches::Stretches;

/// What stands above the lines of a new file.
const HEADER: &str = "# wrcmds: the place that each venti has acknowledged in each partition; \
     each line can be run as it stands, the comments before it belong to it";

/// The comment on a target that was forgotten.
fn forgotten(target: &TargetName) -> String {
    format!("# forgotten {target}")
}

/// How far a target is known to have come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The target.
    pub target: TargetName,
    /// The arena partition, as it was named.
    pub partition: String,
    /// The arena's head block, bytes from the start of the partition.
    pub head: u64,
    /// Everything before this has been acknowledged: bytes of the arena's data section.
    pub offset: u64,
    /// The arena's name.
    pub arena: Option<Name>,
    /// The arena's clump magic.
    pub magic: Option<u32>,
    /// The score of the clump that ends at the offset; none at offset 0.
    pub last: Option<Score>,
    /// The fingerprint of the arenas before this one.
    pub before: Option<Score>,
    /// Where the log ended when the arenas before this one were read, if one
    /// of them could still be filled.
    pub open: Option<Open>,
    /// When the target acknowledged, or was last found to have all there was. Whole seconds of the years 0 to 9999 are kept.
    pub acknowledged: Option<SystemTime>,
}

/// Where the log of an arena ended that could still be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The arena's head block, bytes from the start of the partition.
    pub head: u64,
    /// Bytes of its data section.
    pub offset: u64,
    /// The score of the clump that ended there; none at offset 0.
    pub last: Option<Score>,
}

/// A stretch of the source's log that could not be sent to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedStretch {
    /// The arena's head block, bytes from the start of the partition.
    pub head: u64,
    /// The arena's clump magic.
    pub magic: u32,
    /// Where it starts, bytes of the arena's data section.
    pub offset: u64,
    /// How many bytes it is long.
    pub len: u64,
    /// How many of its clumps could not be sent, as far as that is known.
    pub clumps: u64,
    /// The type of the block, where that is known.
    pub block_type: Option<BlockType>,
    /// The score of the block, where that is known.
    pub score: Option<Score>,
    /// The arena's name.
    pub arena: Name,
    /// An operator said that it no longer counts.
    pub accepted: bool,
}

impl DamagedStretch {
    /// The arena, and the offset in it.
    fn key(&self) -> (u64, u32, u64) {
        (self.head, self.magic, self.offset)
    }

    /// Where it ends, bytes of the arena's data section.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// A block that a target has and could not give back whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its type.
    pub block_type: Option<BlockType>,
    /// Its score.
    pub score: Option<Score>,
}

impl Unreadable {
    /// The most that are listed for a target in a partition.
    pub const MOST: usize = 1000;

    /// Stands for more blocks than are listed.
    pub const MORE: Self = Unreadable {
        block_type: None,
        score: None,
    };

    /// The block, where this is one.
    #[must_use]
    pub fn block(&self) -> Option<(Score, BlockType)> {
        self.score.zip(self.block_type)
    }
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrcmds {
    lines: Vec<WrcmdsLine>,
}

impl Default for Wrcmds {
    fn default() -> Self {
        Self::new()
    }
}

impl Wrcmds {
    /// The most bytes the file may have.
    pub const MAX_LEN: usize = 64 << 20;
    /// The most lines the file may have, comments included.
    pub const MAX_LINES: usize = 100_000;

    /// A file in which no target has a place.
    #[must_use]
    pub fn new() -> Self {
        let lines = vec![WrcmdsLine::other(HEADER)];
        Wrcmds { lines }
    }

    /// Reads the contents of the file.
    ///
    /// # Errors
    /// Whatever cannot be understood, and a file of blanks alone, which is what a
    /// crash can make of one: that is never read as "no places". [`Wrcmds::new`]
    /// is for a file that is not there.
    pub fn parse(bytes: &[u8]) -> Result<Self, WrcmdsError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(Problem::TooLong(bytes.len()).in_file());
        }
        let mut lines = Vec::new();
        for raw in bytes.split_inclusive(|&b| b == b'\n') {
            let number = lines.len() + 1;
            if number > Self::MAX_LINES {
                return Err(Problem::TooMany.at_line(number));
            }
            lines.push(WrcmdsLine::parse(raw).map_err(|problem| problem.at_line(number))?);
        }
        if lines.iter().all(WrcmdsLine::is_blank) {
            return Err(Problem::Empty.in_file());
        }
        let read = Wrcmds { lines };
        read.check_groups()?;
        Ok(read)
    }

    /// Each of our comments belongs to a command, and `place` comes first.
    fn check_groups(&self) -> Result<(), WrcmdsError> {
        let mut open = None;
        for (at, line) in self.lines.iter().enumerate() {
            match (&line.kind, open) {
                (Kind::Place(_), Some(first)) => return Err(Problem::Dangling.at_line(first)),
                (Kind::Command(_), _) => open = None,
                (Kind::Other | Kind::Seen(_), _) | (_, Some(_)) => {}
                (_, None) => open = Some(at + 1),
            }
        }
        match open {
            Some(first) => Err(Problem::Dangling.at_line(first)),
            None => Ok(()),
        }
    }

    /// The contents to write: what was read, but for what was changed since.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        for line in &self.lines {
            bytes.extend_from_slice(&line.text);
            bytes.extend_from_slice(line.end.as_bytes());
        }
        bytes
    }

    fn len(&self) -> usize {
        let lens = self.lines.iter().map(|l| l.text.len() + l.end.len());
        lens.sum()
    }

    /// The wrcmd as a run last obeyed or wrote it; `None` where that is not
    /// known.
    #[must_use]
    pub fn seen(&self) -> Option<&WrCmd> {
        self.lines.iter().rev().find_map(WrcmdsLine::seen)
    }

    /// Remembers a wrcmd that was obeyed or written. One that is too long for
    /// a line here, or leaves the file too long, is not remembered.
    pub fn see(&mut self, wrcmd: &WrCmd) {
        let text = WrcmdsLine::text_of_seen(wrcmd);
        let known: Vec<usize> = self.positions(|line| line.seen().is_some()).collect();
        if let [at] = known.as_slice()
            && self
                .lines
                .get(*at)
                .is_some_and(|line| line.text == text.as_bytes())
        {
            return;
        }
        let mut new = self.clone();
        for &at in known.iter().rev() {
            new.lines.remove(at);
        }
        let below_header = usize::from(new.lines.first() == Some(&WrcmdsLine::other(HEADER)));
        let at = known.first().copied().unwrap_or(below_header);
        let remembered = new.insert(at, &text).and_then(|()| new.check_size());
        if remembered.is_ok() {
            *self = new;
        }
    }

    /// The place of a target in a partition; `None` where it has no line.
    #[must_use]
    pub fn get(&self, target: &TargetName, partition: &str) -> Option<Progress> {
        self.place_at(self.chosen(target, partition)?)
    }

    /// The places of all targets in all partitions, one for each.
    pub fn places(&self) -> impl Iterator<Item = Progress> + '_ {
        let mut seen = BTreeSet::new();
        let commands = self.lines.iter().filter_map(WrcmdsLine::command);
        commands
            .filter(move |command| seen.insert((&command.target, command.wrcmd.file())))
            .filter_map(|command| self.get(&command.target, command.wrcmd.file()))
    }

    /// Sets the place of a target in a partition, in its line or in a new one at
    /// the end. The line's command word, options and spelling are kept, and so are all other lines.
    ///
    /// # Errors
    /// The partition cannot be written as one word, or the file would have
    /// more bytes or lines than it may have. Nothing has changed then.
    pub fn set(&mut self, place: &Progress) -> Result<(), WrcmdsError> {
        let mut new = self.clone();
        new.merge(&place.target, &place.partition)?;
        match new.chosen(&place.target, &place.partition) {
            Some(at) => new.rewrite(at, place)?,
            None => new.append(place)?,
        }
        new.check_size()?;
        *self = new;
        Ok(())
    }

    fn rewrite(&mut self, at: usize, place: &Progress) -> Result<(), WrcmdsError> {
        let Some(old) = self.lines.get(at).and_then(WrcmdsLine::command) else {
            return Ok(());
        };
        let mut wrcmd = old.wrcmd.clone();
        if wrcmd.file_offset().unwrap_or(0) != place.head {
            wrcmd = wrcmd.with_file_offset(place.head);
        }
        self.change(at, &wrcmd.with_clump_offset(place.offset).line())?;
        let first = self.own_lines(at).first().copied().unwrap_or(at);
        let mark = PlaceComment::of(place);
        match self.lines.get(first).map(|line| &line.kind) {
            Some(Kind::Place(_)) => self.change(first, &mark.to_string()),
            _ if mark.is_empty() => Ok(()),
            _ => self.insert(first, &mark.to_string()),
        }
    }

    fn append(&mut self, place: &Progress) -> Result<(), WrcmdsError> {
        let text = forgotten(&place.target);
        self.lines.retain(|line| line.text != text.as_bytes());
        if let Some(last) = self.lines.last_mut()
            && last.end.is_empty()
        {
            last.end = "\n";
        }
        let mark = PlaceComment::of(place);
        if !mark.is_empty() {
            self.insert(self.lines.len(), &mark.to_string())?;
        }
        let host = place.target.to_string();
        let wrcmd = WrCmd::new(&host, place.head, &place.partition, place.offset);
        let wrcmd = wrcmd.map_err(|e| Problem::Command(e).in_file())?;
        self.insert(self.lines.len(), &wrcmd.line())
    }

    /// Makes one line of all those for a target and partition.
    fn merge(&mut self, target: &TargetName, partition: &str) -> Result<(), WrcmdsError> {
        let Some(kept) = self.chosen(target, partition) else {
            return Ok(());
        };
        let mut spare = self.commands(target, partition);
        spare.retain(|&at| at != kept);
        let texts = |own: &[usize]| -> Vec<Vec<u8>> {
            let lines = own.iter().filter_map(|&at| self.lines.get(at));
            let ours = lines.filter(|line| {
                line.damage().is_some() || line.spared().is_some() || line.unreadable().is_some()
            });
            ours.map(|line| line.text.clone()).collect()
        };
        let known: BTreeSet<Vec<u8>> = texts(&self.own_lines(kept)).into_iter().collect();
        let found = spare.iter().flat_map(|&at| texts(&self.own_lines(at)));
        let new: Vec<Vec<u8>> = found.filter(|text| !known.contains(text)).collect();
        for &at in spare.iter().rev() {
            self.remove(at);
        }
        for text in new {
            let at = self.chosen(target, partition).unwrap_or(0);
            self.insert(at, &String::from_utf8_lossy(&text))?;
        }
        Ok(())
    }

    /// The stretches that could not be sent to a target, accepted ones too.
    pub fn damages(
        &self,
        target: &TargetName,
        partition: &str,
    ) -> impl Iterator<Item = &DamagedStretch> {
        self.own(target, partition).filter_map(WrcmdsLine::damage)
    }

    /// The stretches that are damaged in the source and that a target has whole.
    pub fn spared(
        &self,
        target: &TargetName,
        partition: &str,
    ) -> impl Iterator<Item = &DamagedStretch> {
        self.own(target, partition).filter_map(WrcmdsLine::spared)
    }

    /// The blocks that a target could not give back.
    pub fn unreadable(
        &self,
        target: &TargetName,
        partition: &str,
    ) -> impl Iterator<Item = &Unreadable> {
        self.own(target, partition)
            .filter_map(WrcmdsLine::unreadable)
    }

    fn own(&self, target: &TargetName, partition: &str) -> impl Iterator<Item = &WrcmdsLine> {
        let commands = self.commands(target, partition).into_iter();
        let own = commands.flat_map(|at| self.own_lines(at));
        own.filter_map(|at| self.lines.get(at))
    }

    /// Remembers stretches that could not be sent, besides those known. Damage
    /// that was accepted stays so unless it has become longer.
    ///
    /// # Errors
    /// The target has no line for the partition yet, and a line at any place would
    /// say too much: [`Wrcmds::set`] comes first. Or the file would have more
    /// bytes or lines than it may have. Nothing has changed then.
    pub fn add_damages(
        &mut self,
        target: &TargetName,
        partition: &str,
        new: impl IntoIterator<Item = DamagedStretch>,
    ) -> Result<(), WrcmdsError> {
        let mut all = Stretches::new(self.damages(target, partition).cloned());
        new.into_iter().for_each(|damage| all.add(damage));
        self.set_damages(target, partition, &all.into_list())
    }

    /// Remembers these stretches and no others.
    ///
    /// # Errors
    /// As [`Wrcmds::add_damages`].
    pub fn set_damages(
        &mut self,
        target: &TargetName,
        partition: &str,
        all: &[DamagedStretch],
    ) -> Result<(), WrcmdsError> {
        let texts = all.iter().map(DamagedStretch::to_string);
        self.replace_own(target, partition, |line| line.damage().is_some(), texts)
    }

    /// Remembers stretches that a target has whole, besides those known.
    ///
    /// # Errors
    /// As [`Wrcmds::add_damages`].
    pub fn add_spared(
        &mut self,
        target: &TargetName,
        partition: &str,
        new: impl IntoIterator<Item = DamagedStretch>,
    ) -> Result<(), WrcmdsError> {
        let mut all = Stretches::new(self.spared(target, partition).cloned());
        new.into_iter().for_each(|damage| all.add(damage));
        self.set_spared(target, partition, &all.into_list())
    }

    /// Remembers these stretches that a target has whole, and no others.
    ///
    /// # Errors
    /// As [`Wrcmds::add_damages`].
    pub fn set_spared(
        &mut self,
        target: &TargetName,
        partition: &str,
        all: &[DamagedStretch],
    ) -> Result<(), WrcmdsError> {
        let texts = all.iter().map(DamagedStretch::to_spared);
        self.replace_own(target, partition, |line| line.spared().is_some(), texts)
    }

    /// Remembers these blocks that could not be read, and no others.
    ///
    /// # Errors
    /// As [`Wrcmds::add_damages`].
    pub fn set_unreadable(
        &mut self,
        target: &TargetName,
        partition: &str,
        all: &[Unreadable],
    ) -> Result<(), WrcmdsError> {
        let texts = all.iter().map(Unreadable::to_string);
        self.replace_own(target, partition, |line| line.unreadable().is_some(), texts)
    }

    /// Puts these comments in place of the target's of one kind. What says the
    /// same as before keeps its spelling.
    fn replace_own(
        &mut self,
        target: &TargetName,
        partition: &str,
        is_kind: fn(&WrcmdsLine) -> bool,
        texts: impl Iterator<Item = String>,
    ) -> Result<(), WrcmdsError> {
        let mut new = Vec::new();
        for text in texts {
            new.push(WrcmdsLine::parse(text.as_bytes()).map_err(Problem::in_file)?);
        }
        let Some(kept) = self.chosen(target, partition) else {
            let missing = || Err(Problem::NoPlace(target.clone()).in_file());
            return if new.is_empty() { Ok(()) } else { missing() };
        };
        let commands = self.commands(target, partition).into_iter();
        let own = commands.flat_map(|at| self.own_lines(at));
        let old: BTreeSet<usize> = own
            .filter(|&at| self.lines.get(at).is_some_and(is_kind))
            .collect();
        let spellings: HashMap<String, &WrcmdsLine> = old
            .iter()
            .filter_map(|&at| self.lines.get(at))
            .map(|line| (line.kind.to_string(), line))
            .collect();
        let new: Vec<WrcmdsLine> = new
            .into_iter()
            .map(|line| match spellings.get(&line.kind.to_string()) {
                Some(&old) => old.clone(),
                None => WrcmdsLine { end: "\n", ..line },
            })
            .collect();
        let mut lines = Vec::with_capacity(self.lines.len() + new.len());
        let mut new = Some(new);
        for (at, line) in self.lines.iter().enumerate() {
            if at == kept {
                lines.extend(new.take().into_iter().flatten());
            }
            if !old.contains(&at) {
                lines.push(line.clone());
            }
        }
        let changed = Wrcmds { lines };
        changed.check_size()?;
        *self = changed;
        Ok(())
    }

    /// Removes all lines of a target, and says how many there were. That there
    /// were some is remembered until it has a place again.
    pub fn forget(&mut self, target: &TargetName) -> usize {
        let is_its = |line: &WrcmdsLine| line.command().is_some_and(|c| c.target == *target);
        let found: Vec<usize> = self.positions(is_its).collect();
        for &at in found.iter().rev() {
            self.remove(at);
        }
        if self.lines.iter().all(WrcmdsLine::is_blank) {
            self.lines.insert(0, WrcmdsLine::other(HEADER));
        }
        if !found.is_empty() && !self.was_forgotten(target) {
            let below_header = usize::from(self.lines.first() == Some(&WrcmdsLine::other(HEADER)));
            let line = WrcmdsLine::other(&forgotten(target));
            self.lines.insert(below_header, line);
            if self.check_size().is_err() {
                self.lines.remove(below_header);
            }
        }
        found.len()
    }

    /// Whether a target was forgotten and has had no place since.
    #[must_use]
    pub fn was_forgotten(&self, target: &TargetName) -> bool {
        let text = forgotten(target);
        self.lines.iter().any(|line| line.text == text.as_bytes())
    }

    fn check_size(&self) -> Result<(), WrcmdsError> {
        if self.lines.len() > Self::MAX_LINES {
            return Err(Problem::TooMany.in_file());
        }
        match self.len() {
            len if len > Self::MAX_LEN => Err(Problem::TooLong(len).in_file()),
            _ => Ok(()),
        }
    }

    fn positions(&self, wanted: impl Fn(&WrcmdsLine) -> bool) -> impl Iterator<Item = usize> {
        let lines = self.lines.iter().enumerate();
        lines.filter_map(move |(at, line)| wanted(line).then_some(at))
    }

    /// Where the wrarena lines of a target and partition are.
    fn commands(&self, target: &TargetName, partition: &str) -> Vec<usize> {
        let is_its = |line: &WrcmdsLine| {
            line.command()
                .is_some_and(|c| c.target == *target && c.wrcmd.file() == partition)
        };
        self.positions(is_its).collect()
    }

    /// Of those, the one with the least progress; of two at the same place the
    /// one of which less is known.
    fn chosen(&self, target: &TargetName, partition: &str) -> Option<usize> {
        let progress = |at: &usize| {
            self.place_at(*at)
                .map(|place| (place.head, place.offset, place.last.is_some()))
        };
        let commands = self.commands(target, partition);
        commands.into_iter().min_by_key(progress)
    }

    /// Our comments before the wrarena line there, in their order.
    fn own_lines(&self, command: usize) -> Vec<usize> {
        let before = self.lines.get(..command).unwrap_or_default();
        let group = before.iter().enumerate().rev();
        let mut own: Vec<usize> = group
            .take_while(|(_, line)| line.command().is_none())
            .filter(|(_, line)| line.is_own())
            .map(|(at, _)| at)
            .collect();
        own.reverse();
        own
    }

    fn place_at(&self, command: usize) -> Option<Progress> {
        let own = self.own_lines(command);
        let first = own.first().and_then(|&at| self.lines.get(at));
        let mark = match first.map(|line| &line.kind) {
            Some(Kind::Place(mark)) => mark.clone(),
            _ => PlaceComment::default(),
        };
        let Command { wrcmd, target } = self.lines.get(command)?.command()?;
        Some(Progress {
            target: target.clone(),
            partition: wrcmd.file().to_owned(),
            head: wrcmd.file_offset().unwrap_or(0),
            offset: wrcmd.clump_offset(),
            arena: mark.arena,
            magic: mark.magic,
            last: mark.last,
            before: mark.before,
            open: mark.open,
            acknowledged: mark.acknowledged,
        })
    }

    /// Removes a wrarena line and our comments on it.
    fn remove(&mut self, command: usize) {
        let own = self.own_lines(command);
        for at in own.into_iter().chain([command]).rev() {
            if at < self.lines.len() {
                self.lines.remove(at);
            }
        }
    }

    /// Replaces the text of a line, by one that can be read back.
    fn change(&mut self, at: usize, text: &str) -> Result<(), WrcmdsError> {
        let new = WrcmdsLine::parse(text.as_bytes()).map_err(Problem::in_file)?;
        if let Some(line) = self.lines.get_mut(at) {
            let end = line.end;
            *line = WrcmdsLine { end, ..new };
        }
        Ok(())
    }

    /// Inserts a line that can be read back.
    fn insert(&mut self, at: usize, text: &str) -> Result<(), WrcmdsError> {
        let new = WrcmdsLine::parse(text.as_bytes()).map_err(Problem::in_file)?;
        self.lines.insert(at, WrcmdsLine { end: "\n", ..new });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
