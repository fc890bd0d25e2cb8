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
//! The comments that begin with `place`, `damaged` or `accepted` belong to the
//! wrarena line that follows; `place` comes first of them.
//!
//! | field | is |
//! |---|---|
//! | `magic`, `arena` | clump magic and name of the arena at `-o`, by which another arena in its place is known. The name goes to the end of the line, since names have blanks |
//! | `last` | score of the clump that ends at the offset; `none` at offset 0 |
//! | `time` | when the target acknowledged |
//! | `open` | only where an arena before that one could still be filled when it was read: its head, where its log ended then, and the score of the clump that ended there. What has been added since is no change of the source, and was sent or not |
//! | `before` | fingerprint of the arenas before that one (`places::Partition::fingerprint`): a line can look right although they were filled anew; `none` is a line made without |
//!
//! `unknown` stands where something is not known. A wrarena line without a
//! `place` comment, from an operator or a script, is read, and nothing but
//! the line itself is known.
//!
//! A `damaged` line is a stretch of the source's log that could not be sent.
//! The `seen` line is the wrcmd as a run last obeyed or wrote it. While the
//! wrcmd stands there, nobody has edited it, however far the lines have gone on.
//! A file without it says nothing of that.
//!
//! An operator who has looked at it changes the word into `accepted`, and it
//! no longer counts. So that a slip there does not make damage go unnoticed, a
//! comment that begins with one of the three words or goes on with `magic=`
//! must be a whole one of ours. All other comments, and blank lines, are kept
//! where they are, byte for byte.
//!
//! **Two lines for one target and partition**: the one with less progress is
//! the place, because what lies between the two then costs probes, while
//! with the other one a hole could stay for ever. The damage of both counts. The next
//! [`Wrcmds::set`] makes one line of them.

mod error;
mod line;

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::arena::Name;
use crate::blocktype::BlockType;
use crate::dial::Dial;
use crate::score::Score;
use crate::state::StateDir;
use crate::wrcmd::WrCmd;

pub use error::{Error, Problem};
use line::{Command, Kind, Line, Mark};

/// What stands above the lines of a new file.
const HEADER: &str = "# wrcmds: the place that each venti has acknowledged in each partition; \
     each line can be run as it stands, the comments before it belong to it";

/// How far a target is known to have come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The target.
    pub target: Dial,
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
    /// When the target acknowledged. Whole seconds of the years 0 to 9999 are kept.
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
pub struct Damage {
    /// The arena's head block, bytes from the start of the partition.
    pub head: u64,
    /// The arena's clump magic.
    pub magic: u32,
    /// Where it starts, bytes of the arena's data section.
    pub offset: u64,
    /// How many bytes it is long.
    pub len: u64,
    /// The type of the block, where that is known.
    pub block_type: Option<BlockType>,
    /// The score of the block, where that is known.
    pub score: Option<Score>,
    /// The arena's name.
    pub arena: Name,
    /// An operator said that it no longer counts.
    pub accepted: bool,
}

impl Damage {
    /// True where both are the same stretch, or begin as one.
    fn is_at(&self, other: &Self) -> bool {
        let key = |damage: &Self| (damage.head, damage.magic, damage.offset);
        key(self) == key(other)
    }
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrcmds {
    lines: Vec<Line>,
}

impl Default for Wrcmds {
    fn default() -> Self {
        Self::new()
    }
}

impl Wrcmds {
    /// The most bytes the file may have.
    pub const MAX_LEN: usize = StateDir::WRCMDS_MAX;
    /// The most lines the file may have, comments included.
    pub const MAX_LINES: usize = 100_000;

    /// A file in which no target has a place.
    #[must_use]
    pub fn new() -> Self {
        let lines = vec![Line::other(HEADER)];
        Wrcmds { lines }
    }

    /// Reads the contents of the file.
    ///
    /// # Errors
    /// Whatever cannot be understood, and a file of blanks alone, which is what a
    /// crash can make of one: that is never read as "no places". [`Wrcmds::new`]
    /// is for a file that is not there.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > Self::MAX_LEN {
            return Err(Problem::TooLong(bytes.len()).in_file());
        }
        let mut lines = Vec::new();
        for raw in bytes.split_inclusive(|&b| b == b'\n') {
            let number = lines.len() + 1;
            if number > Self::MAX_LINES {
                return Err(Problem::TooMany.at_line(number));
            }
            lines.push(Line::parse(raw).map_err(|problem| problem.at_line(number))?);
        }
        if lines.iter().all(Line::is_blank) {
            return Err(Problem::Empty.in_file());
        }
        let read = Wrcmds { lines };
        read.check_groups()?;
        Ok(read)
    }

    /// Each of our comments belongs to a command, and `place` comes first.
    fn check_groups(&self) -> Result<(), Error> {
        let mut open = None;
        for (at, line) in self.lines.iter().enumerate() {
            match (&line.kind, open) {
                (Kind::Place(_), Some(first)) => return Err(Problem::Dangling.at_line(first)),
                (Kind::Place(_) | Kind::Damage(_), None) => open = Some(at + 1),
                (Kind::Command(_), _) => open = None,
                (Kind::Damage(_), Some(_)) | (Kind::Other | Kind::Seen(_), _) => {}
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
        self.lines.iter().rev().find_map(Line::seen)
    }

    /// Remembers a wrcmd that was obeyed or written. One that is too long for
    /// a line here, or leaves the file too long, is not remembered.
    pub fn see(&mut self, wrcmd: &WrCmd) {
        let text = Line::text_of_seen(wrcmd);
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
        let below_header = usize::from(new.lines.first() == Some(&Line::other(HEADER)));
        let at = known.first().copied().unwrap_or(below_header);
        let remembered = new.insert(at, &text).and_then(|()| new.check_size());
        if remembered.is_ok() {
            *self = new;
        }
    }

    /// The place of a target in a partition; `None` where it has no line.
    #[must_use]
    pub fn get(&self, target: &Dial, partition: &str) -> Option<Place> {
        self.place_at(self.chosen(target, partition)?)
    }

    /// The places of all targets in all partitions, one for each.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let mut seen = BTreeSet::new();
        let commands = self.lines.iter().filter_map(Line::command);
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
    pub fn set(&mut self, place: &Place) -> Result<(), Error> {
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

    fn rewrite(&mut self, at: usize, place: &Place) -> Result<(), Error> {
        let Some(old) = self.lines.get(at).and_then(Line::command) else {
            return Ok(());
        };
        let mut wrcmd = old.wrcmd.clone();
        if wrcmd.file_offset().unwrap_or(0) != place.head {
            wrcmd = wrcmd.with_file_offset(place.head);
        }
        self.change(at, &wrcmd.with_clump_offset(place.offset).line())?;
        let first = self.own_lines(at).first().copied().unwrap_or(at);
        let mark = Mark::of(place);
        match self.lines.get(first).map(|line| &line.kind) {
            Some(Kind::Place(_)) => self.change(first, &mark.to_string()),
            _ if mark.is_empty() => Ok(()),
            _ => self.insert(first, &mark.to_string()),
        }
    }

    fn append(&mut self, place: &Place) -> Result<(), Error> {
        if let Some(last) = self.lines.last_mut()
            && last.end.is_empty()
        {
            last.end = "\n";
        }
        let mark = Mark::of(place);
        if !mark.is_empty() {
            self.insert(self.lines.len(), &mark.to_string())?;
        }
        let host = place.target.to_string();
        let wrcmd = WrCmd::new(&host, place.head, &place.partition, place.offset);
        let wrcmd = wrcmd.map_err(|e| Problem::Command(e).in_file())?;
        self.insert(self.lines.len(), &wrcmd.line())
    }

    /// Makes one line of all those for a target and partition.
    fn merge(&mut self, target: &Dial, partition: &str) -> Result<(), Error> {
        let Some(kept) = self.chosen(target, partition) else {
            return Ok(());
        };
        let mut spare = self.commands(target, partition);
        spare.retain(|&at| at != kept);
        let known: Vec<&Damage> = self.damages_at(kept).collect();
        let found = spare.iter().flat_map(|&at| self.damages_at(at));
        let new = found.filter(|damage| !known.contains(damage));
        let damages: Vec<String> = new.map(Damage::to_string).collect();
        for &at in spare.iter().rev() {
            self.remove(at);
        }
        for damage in damages {
            let at = self.chosen(target, partition).unwrap_or(0);
            self.insert(at, &damage)?;
        }
        Ok(())
    }

    /// The stretches that could not be sent to a target, accepted ones too.
    pub fn damages(&self, target: &Dial, partition: &str) -> impl Iterator<Item = &Damage> {
        let commands = self.commands(target, partition);
        commands.into_iter().flat_map(|at| self.damages_at(at))
    }

    /// Remembers a stretch that could not be sent. One known before is
    /// replaced; it stays accepted unless it has become longer.
    ///
    /// # Errors
    /// The target has no line for the partition yet, and a line at any place would
    /// say too much: [`Wrcmds::set`] comes first. Or the file would have more
    /// bytes or lines than it may have. Nothing has changed then.
    pub fn add_damage(
        &mut self,
        target: &Dial,
        partition: &str,
        damage: &Damage,
    ) -> Result<(), Error> {
        if self.lines.len() >= Self::MAX_LINES {
            return Err(Problem::TooMany.in_file());
        }
        match self.len() + Line::MAX_LEN {
            len if len > Self::MAX_LEN => Err(Problem::TooLong(len).in_file()),
            _ => self.insert_damage(target, partition, damage),
        }
    }

    fn insert_damage(
        &mut self,
        target: &Dial,
        partition: &str,
        damage: &Damage,
    ) -> Result<(), Error> {
        let mut damage = damage.clone();
        let known = self.find_damage(target, partition, &damage);
        if let Some((_, known)) = known {
            damage.accepted |= known.accepted && damage.len <= known.len;
        }
        match known {
            Some((_, known)) if *known == damage => Ok(()),
            Some((at, _)) => self.change(at, &damage.to_string()),
            None => {
                let at = self.chosen(target, partition);
                let at = at.ok_or_else(|| Problem::NoPlace(target.clone()).in_file())?;
                self.insert(at, &damage.to_string())
            }
        }
    }

    fn find_damage(
        &self,
        target: &Dial,
        partition: &str,
        damage: &Damage,
    ) -> Option<(usize, &Damage)> {
        let commands = self.commands(target, partition);
        let own = commands.into_iter().flat_map(|at| self.own_lines(at));
        let mut damages = own.filter_map(|at| Some((at, self.lines.get(at)?.damage()?)));
        damages.find(|(_, known)| known.is_at(damage))
    }

    /// Forgets a stretch, because it could be sent after all or was found on
    /// the target. False where it was not known.
    pub fn remove_damage(&mut self, target: &Dial, partition: &str, damage: &Damage) -> bool {
        let mut found = false;
        while let Some((at, _)) = self.find_damage(target, partition, damage) {
            self.lines.remove(at);
            found = true;
        }
        found
    }

    /// Removes all lines of a target, and says how many there were.
    pub fn forget(&mut self, target: &Dial) -> usize {
        let is_its = |line: &Line| line.command().is_some_and(|c| c.target == *target);
        let found: Vec<usize> = self.positions(is_its).collect();
        for &at in found.iter().rev() {
            self.remove(at);
        }
        if self.lines.iter().all(Line::is_blank) {
            self.lines.insert(0, Line::other(HEADER));
        }
        found.len()
    }

    fn check_size(&self) -> Result<(), Error> {
        if self.lines.len() > Self::MAX_LINES {
            return Err(Problem::TooMany.in_file());
        }
        match self.len() {
            len if len > Self::MAX_LEN => Err(Problem::TooLong(len).in_file()),
            _ => Ok(()),
        }
    }

    fn positions(&self, wanted: impl Fn(&Line) -> bool) -> impl Iterator<Item = usize> {
        let lines = self.lines.iter().enumerate();
        lines.filter_map(move |(at, line)| wanted(line).then_some(at))
    }

    /// Where the wrarena lines of a target and partition are.
    fn commands(&self, target: &Dial, partition: &str) -> Vec<usize> {
        let is_its = |line: &Line| {
            line.command()
                .is_some_and(|c| c.target == *target && c.wrcmd.file() == partition)
        };
        self.positions(is_its).collect()
    }

    /// Of those, the one with the least progress; of two at the same place the
    /// one of which less is known.
    fn chosen(&self, target: &Dial, partition: &str) -> Option<usize> {
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

    fn damages_at(&self, command: usize) -> impl Iterator<Item = &Damage> {
        let own = self.own_lines(command).into_iter();
        own.filter_map(|at| self.lines.get(at)?.damage())
    }

    fn place_at(&self, command: usize) -> Option<Place> {
        let own = self.own_lines(command);
        let first = own.first().and_then(|&at| self.lines.get(at));
        let mark = match first.map(|line| &line.kind) {
            Some(Kind::Place(mark)) => mark.clone(),
            _ => Mark::default(),
        };
        let Command { wrcmd, target } = self.lines.get(command)?.command()?;
        Some(Place {
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
    fn change(&mut self, at: usize, text: &str) -> Result<(), Error> {
        let new = Line::parse(text.as_bytes()).map_err(Problem::in_file)?;
        if let Some(line) = self.lines.get_mut(at) {
            let end = line.end;
            *line = Line { end, ..new };
        }
        Ok(())
    }

    /// Inserts a line that can be read back.
    fn insert(&mut self, at: usize, text: &str) -> Result<(), Error> {
        let new = Line::parse(text.as_bytes()).map_err(Problem::in_file)?;
        self.lines.insert(at, Line { end: "\n", ..new });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
