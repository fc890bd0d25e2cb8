//! What is on record: wrcmd, wrcmds and the log, read once and written as the
//! run goes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use eyre::{Result, WrapErr};

use super::part::{Part, UNKNOWN};

use crate::codec::target::TargetName;
use crate::codec::wrcmd::WrCmd;
use crate::codec::wrcmds::{self, DamagedStretch, Open, Progress, Unreadable, Wrcmds};
use crate::copy::cursor::Cursor;
use crate::copy::replicate;
use crate::host::terminal::Terminal;
use crate::state::{self, Access, Stamp, StateDir};
use crate::status::{Failure, Status};

/// How much earlier a line may say that its target was complete, where nothing was new
/// since: a run every few minutes does not write the file each time.
const RENEWED_AFTER: Duration = Duration::from_secs(15 * 60);

/// The files of the state directory.
pub(crate) struct StateFiles {
    tool: String,
    state: StateDir,
    /// The wrcmd as it was found.
    pub(crate) wrcmd: Option<WrCmd>,
    pub(crate) wrcmds: Wrcmds,
    /// The host of that wrcmd.
    host: Option<TargetName>,
    /// Why a place that was acknowledged could not be written down.
    unsaved: Option<state::StateError>,
    /// Why one has no room in the file.
    refused: Option<eyre::Report>,
}

impl StateFiles {
    pub(crate) fn read(tool: &str, state: StateDir) -> Result<Self> {
        let path = |name| move |state: &StateDir| state.path_of(name).display().to_string();
        let wrcmd = state.read_wrcmd()?.map(WrCmd::parse).transpose();
        let wrcmd = wrcmd.wrap_err_with(|| path(StateDir::WRCMD)(&state))?;
        let wrcmds = state.read_wrcmds()?;
        let wrcmds = wrcmds.map(|bytes| Wrcmds::parse(&bytes)).transpose();
        let wrcmds = wrcmds.wrap_err_with(|| path(StateDir::WRCMDS)(&state))?;
        Ok(StateFiles {
            wrcmd,
            wrcmds: wrcmds.unwrap_or_default(),
            ..Self::nothing(tool, state)
        })
    }

    /// Nothing is on record, or what is cannot be read.
    pub(crate) fn nothing(tool: &str, state: StateDir) -> Self {
        StateFiles {
            tool: tool.to_owned(),
            state,
            wrcmd: None,
            wrcmds: Wrcmds::default(),
            host: None,
            unsaved: None,
            refused: None,
        }
    }

    /// The state directory.
    pub(crate) fn dir(&self) -> &Path {
        self.state.path()
    }

    /// The host of the wrcmd, by its address: once it has acknowledged
    /// anything, the wrcmd was obeyed.
    pub(crate) fn set_host(&mut self, host: Option<TargetName>) {
        self.host = host;
    }

    /// A target has acknowledged everything before a place, except this damage; `there`
    /// is damage in the source whose blocks it has.
    pub(crate) fn acknowledged(
        &mut self,
        target: &TargetName,
        part: &Part,
        place: replicate::ReachedPlace,
        damage: &[replicate::SourceDamage],
        there: &[replicate::SourceDamage],
    ) {
        let at = place.at;
        let last = Some(place.last.unwrap_or(UNKNOWN));
        let line = part.rules.place(target, at, last, SystemTime::now());
        let Some(line) = line else {
            return;
        };
        let line = Progress {
            open: open_before(part, at),
            ..line
        };
        let mut new = self.wrcmds.clone();
        let damage = damage.iter().filter_map(|damage| remembered(part, damage));
        let there = there.iter().filter_map(|damage| remembered(part, damage));
        let set = new
            .set(&line)
            .and_then(|()| new.add_damages(target, &part.name, damage))
            .and_then(|()| new.add_spared(target, &part.name, there));
        if let Some(wrcmd) = &self.wrcmd
            && self.host.as_ref() == Some(target)
            && wrcmd.file() == part.name
        {
            new.see(wrcmd);
        }
        self.change(target, new, set);
    }

    /// These targets were asked, and have everything in these partitions: where a line
    /// stood there before the run, it says the time of this one. All lines are written
    /// together.
    pub(crate) fn complete<'a>(
        &mut self,
        complete: impl Iterator<Item = (&'a TargetName, &'a Part)>,
    ) {
        let now = SystemTime::now();
        let mut new = self.wrcmds.clone();
        for (target, part) in complete {
            let line = self.wrcmds.get(target, &part.name);
            let line = line.filter(|line| line.last.is_some() && part.rules.ends_at(line));
            // A time to come is that of a clock that was wrong.
            let age = |time| now.duration_since(time).unwrap_or(Duration::MAX);
            let is_old =
                |line: &Progress| line.acknowledged.is_none_or(|t| age(t) >= RENEWED_AFTER);
            let Some(line) = line.filter(is_old) else {
                continue;
            };
            let renewed = Progress {
                acknowledged: Some(now),
                ..line
            };
            // What has no room in the file keeps its time: no place moves by it.
            let _ = new.set(&renewed);
        }
        if new != self.wrcmds {
            self.wrcmds = new;
            self.save_places();
        }
    }

    /// What of earlier damage a target still lacks, and what of it the target has.
    pub(crate) fn still_damaged(
        &mut self,
        target: &TargetName,
        part: &Part,
        left: &[DamagedStretch],
        spared: &[DamagedStretch],
    ) {
        let mut new = self.wrcmds.clone();
        let set = new
            .set_damages(target, &part.name, left)
            .and_then(|()| new.set_spared(target, &part.name, spared));
        self.change(target, new, set);
    }

    /// The blocks that a target has and cannot give back.
    pub(crate) fn unreadable(&mut self, target: &TargetName, part: &Part, blocks: &[Unreadable]) {
        let mut new = self.wrcmds.clone();
        let set = new.set_unreadable(target, &part.name, blocks);
        self.change(target, new, set);
    }

    /// Takes over new places, if they can be written: a place must not move
    /// past damage that is not remembered.
    fn change(&mut self, target: &TargetName, new: Wrcmds, set: Result<(), wrcmds::WrcmdsError>) {
        match set {
            Ok(()) if new == self.wrcmds => {}
            Ok(()) => {
                self.wrcmds = new;
                self.save_places();
            }
            Err(error) => {
                let cause = format!("{target}: its place cannot be written: wrcmds: {error}");
                self.refused = Some(Failure::report(Status::Failed, cause));
            }
        }
    }

    /// A target lacks what it had acknowledged: it starts again, from the first
    /// arena on.
    pub(crate) fn set_back(&mut self, target: &TargetName, part: &Part) {
        let old = self.wrcmds.get(target, &part.name);
        let start = part
            .rules
            .place(target, Cursor::START, None, SystemTime::now());
        let (Some(old), Some(start)) = (old, start) else {
            return;
        };
        let start = Progress {
            acknowledged: old.acknowledged,
            ..start
        };
        let mut new = self.wrcmds.clone();
        let set = new.set(&start);
        self.change(target, new, set);
    }

    /// Writes wrcmds. A failure ends the run as one: [`StateFiles::check_saved`].
    pub(crate) fn save_places(&mut self) {
        let saved = self.state.replace(StateDir::WRCMDS, &self.wrcmds.to_file());
        self.unsaved = saved.err();
    }

    /// Logs the old command and the new one, then moves the place: a run that
    /// dies in between leaves a line too many in the log, never a place too far.
    pub(crate) fn move_wrcmd(&mut self, new: &WrCmd, terminal: &Terminal) -> Result<()> {
        let old = self.wrcmd.as_ref().map(WrCmd::line);
        if old.as_ref() == Some(&new.line()) {
            return Ok(());
        }
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        let stamp = Stamp {
            time: SystemTime::now(),
            host: &host,
            tool: &self.tool,
        };
        let lines: Vec<String> = old.into_iter().chain([new.line()]).collect();
        let access = self
            .state
            .append_rootscor(&stamp, &lines, StateDir::ROOTSCOR_WAIT)?;
        if access != Access::Private {
            let path = self.state.path_of(StateDir::ROOTSCOR);
            terminal.say(&format!("{}: {access}", path.display()));
        }
        self.state.replace(StateDir::WRCMD, &new.to_file())?;
        Ok(())
    }

    /// The wrcmd stands here at the end of a run that obeyed or wrote it: where
    /// the next run finds it there, nobody has edited it.
    pub(crate) fn remember_wrcmd(&mut self, wrcmd: &WrCmd) -> Result<()> {
        let mut new = self.wrcmds.clone();
        new.see(wrcmd);
        if new != self.wrcmds {
            self.wrcmds = new;
            self.save_places();
        }
        self.check_saved()
    }

    /// Fails if a place that was acknowledged could not be written down.
    pub(crate) fn check_saved(&mut self) -> Result<()> {
        let unsaved = self.unsaved.take().map(eyre::Report::from);
        unsaved.or(self.refused.take()).map_or(Ok(()), Err)
    }

    /// All targets that have a line in wrcmds.
    pub(crate) fn targets(&self) -> Vec<TargetName> {
        let mut targets = Vec::new();
        for place in self.wrcmds.places() {
            if !targets.contains(&place.target) {
                targets.push(place.target);
            }
        }
        targets
    }

    /// All partitions on record, the wrcmd's first.
    pub(crate) fn all_partitions(&self) -> Vec<String> {
        let own = self.wrcmd.as_ref().map(|wrcmd| wrcmd.file().to_owned());
        let mut names = Vec::from_iter(own);
        for name in self.partitions(&self.targets()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// How a message about the wrong venti ends, where the partition that it is about may
    /// be on record by mistake; nothing where it is not on record.
    pub(crate) fn if_by_mistake(&self, partition: &str) -> &'static str {
        let mut places = self.wrcmds.places();
        let has_line = places.any(|place| place.partition == partition);
        let is_wrcmds = self.wrcmd.as_ref().map(WrCmd::file) == Some(partition);
        match (has_line, is_wrcmds) {
            (_, true) => {
                "; if it is on record by mistake, remove wrcmd, and its lines from wrcmds \
                 (or the whole file if it has no others)"
            }
            (true, false) => {
                "; if it is on record by mistake, remove its lines from wrcmds \
                 (or the whole file if it has no others)"
            }
            (false, false) => "",
        }
    }

    /// The partitions in which one of these targets has a line.
    pub(crate) fn partitions(&self, targets: &[TargetName]) -> Vec<String> {
        let mut names = Vec::new();
        for place in self.wrcmds.places() {
            if targets.contains(&place.target) && !names.contains(&place.partition) {
                names.push(place.partition);
            }
        }
        names
    }

    /// Removes the lines of a target, and says how many there were.
    pub(crate) fn forget(&mut self, target: &TargetName) -> Result<usize> {
        let places = self.wrcmds.forget(target);
        if places > 0 {
            self.state
                .replace(StateDir::WRCMDS, &self.wrcmds.to_file())?;
        }
        Ok(places)
    }
}

/// Where the log ended when the arenas were read, if that was before a point.
fn open_before(part: &Part, at: Cursor) -> Option<Open> {
    let end = part.rules.end_before(at)?;
    let arena = part.arenas.get(end.arena)?;
    let last = part.before(arena, end.offset).map(|header| header.score);
    Some(Open {
        head: arena.head,
        offset: end.offset,
        last,
    })
}

fn remembered(part: &Part, damage: &replicate::SourceDamage) -> Option<DamagedStretch> {
    let arena = part.arenas.get(damage.at.arena)?;
    Some(DamagedStretch {
        head: arena.head,
        magic: arena.clump_magic,
        offset: damage.at.offset,
        len: damage.len,
        clumps: damage.clumps,
        block_type: damage.block_type,
        score: damage.score,
        arena: arena.name.clone(),
        accepted: false,
    })
}
