//! Archives of a running fossil: taking one, and knowing that it is complete and
//! on disk (fossil.md 2.2, 2.3).
//!
//! The console says `archive vac:SCORE` first; up to half a minute later the disk
//! has it, and a kill in between makes another score. So the disk decides, and a
//! `sync` on the console makes it come.

use std::path::Path;
use std::time::{Duration, Instant};

use eyre::Result;

use crate::console::systems::System;
use crate::console::{Console, kin, place};
use crate::last::{self, Last, UnderWay};
use venticore::config::Config;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::status::{Failure, Status};

/// Between two looks at the super block, where the console says nothing.
const LOOK: Duration = Duration::from_millis(500);

/// Between two syncs that nothing on the console gave cause for.
const SYNC: Duration = Duration::from_secs(5);

/// How long a line of the console may be on its way.
const LATE: Duration = Duration::from_secs(2);

/// A snapshot that still waits after this time has no archiver at work: a fossil has
/// recorded by then that it took it up.
pub const ARCHIVER: Duration = Duration::from_secs(60);

/// The same where the fossil is asked to record it: an archiver takes a snapshot up
/// before the answer to the next sync.
const TAKEN_UP: Duration = Duration::from_secs(10);

/// The most archives that a console is heard out on after the last one.
const LATER: usize = 64;

/// The fossil that has a partition open, by its console.
#[derive(Debug)]
pub struct LiveFossil {
    /// The console.
    pub console: Console,
    /// The file system on the partition.
    pub system: System,
}

/// Looks for the console whose fossil has a partition.
///
/// # Errors
/// None that answers has it.
pub fn find(partition: &Path, config: &Config) -> Result<LiveFossil> {
    let places = place::consoles(config)?;
    let (mut asked, mut failed) = (Vec::new(), None);
    for place in places.consoles {
        let name = place.path.display().to_string();
        let console = Console::open(&place.path, config.console);
        let listed = console.and_then(|mut console| {
            let systems = System::list(&mut console)?;
            Ok((console, systems))
        });
        match listed {
            Ok((console, systems)) => {
                let system = systems.into_iter().find(|system| system.is_on(partition));
                if let Some(system) = system {
                    return Ok(LiveFossil { console, system });
                }
                asked.push(name);
            }
            Err(error) => failed = failed.or(Some(error.to_string())),
        }
    }
    let refused = places.refused.first().map(ToString::to_string);
    let cause = match (asked.is_empty(), failed.or(refused)) {
        (_, Some(error)) => error,
        (true, None) => "found none".to_owned(),
        (false, None) => format!("found {} with others", asked.join(", ")),
    };
    let text = format!(
        "{}: expected a console whose fossil has this partition: {cause}",
        partition.display()
    );
    Err(Failure::report(Status::Unreachable, text))
}

/// How waiting for an archive ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// No archive is under way; or, where only that is waited for, it was taken up.
    Done(Last),
    /// A snapshot waits, and the fossil has no archiver: it will wait until the fossil
    /// is opened with its venti.
    NoArchiver,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The archiver has the snapshot.
    TakenUp,
    /// The archive is complete and on disk.
    Archived,
}

/// What waiting for an archive needs.
pub struct ArchiveWait<'a> {
    /// The fossil's console.
    pub console: &'a mut Console,
    /// The name of the file system.
    pub name: &'a str,
    /// Its partition.
    pub partition: &'a Partition,
    /// Shows that something is waited for.
    pub terminal: &'a Terminal,
    /// How long it may take.
    pub limit: Duration,
}

impl ArchiveWait<'_> {
    /// Takes an archival snapshot, and waits until it is complete and on disk.
    ///
    /// # Errors
    /// The console refuses, nothing archives the snapshot, or the limit ends the wait;
    /// the fossil runs on.
    pub fn take(&mut self) -> Result<Last> {
        let start = Instant::now();
        let before = last::again(self.partition)?;
        self.refuse_reader()?;
        // Each snapshot that nobody archives takes up room in the fossil for ever.
        if matches!(before.under_way(), Some(UnderWay::Waiting(_)))
            && self.settle(start, Until::TakenUp)? == Settled::NoArchiver
        {
            return Err(self.no_archiver("no further one was taken"));
        }
        let before = last::again(self.partition)?;
        let snap = format!("fsys {} snap -a", self.name);
        self.console.command(&snap).map_err(|e| e.report())?;
        // The snapshot is forced to disk before the prompt comes.
        let taken = last::again(self.partition)?;
        let expected = before.superblock.epoch_high + 2;
        if taken.superblock.epoch_high < expected {
            let text = format!(
                "{}: expected epoch {expected} after the snapshot, found {}: is this the partition of {}?",
                self.partition.operand(),
                taken.superblock.epoch_high,
                self.console.name()
            );
            return Err(Failure::report(Status::Failed, text));
        }
        match self.settle(start, Until::Archived)? {
            Settled::Done(last) => Ok(last),
            Settled::NoArchiver => Err(self.no_archiver("nothing was recorded")),
        }
    }

    /// What is said where nothing is archived.
    fn no_archiver(&self, end: &str) -> eyre::Report {
        let text = format!(
            "{}: a snapshot waits to be archived, and the fossil on {} has no archiver: {end}; open it with its venti, not with -V",
            self.partition.operand(),
            self.console.name()
        );
        Failure::report(Status::Failed, text)
    }

    /// A fossil that was opened with `-r` ends itself at a `snap`.
    fn refuse_reader(&self) -> Result<()> {
        let console = std::path::absolute(self.console.name())?;
        if !kin::only_reads(&console, self.partition.path()) {
            return Ok(());
        }
        let text = format!(
            "{}: expected a fossil that writes it, found it opened with -r on {}: no snapshot can be taken",
            self.partition.operand(),
            self.console.name()
        );
        Err(Failure::report(Status::Failed, text))
    }

    /// Waits while an archive is under way.
    ///
    /// # Errors
    /// As [`ArchiveWait::take`].
    pub fn wait(&mut self) -> Result<Settled> {
        self.settle(Instant::now(), Until::Archived)
    }

    fn settle(&mut self, start: Instant, until: Until) -> Result<Settled> {
        // At first it may be that only the record is late, which a sync brings.
        let (mut said, mut due, mut synced) = (None, true, Instant::now());
        let (mut told, mut waiting) = (None, None);
        loop {
            let last = last::again(self.partition)?;
            match last.under_way() {
                None => {
                    self.terminal.clear();
                    return self.agreed(last, said).map(Settled::Done);
                }
                Some(UnderWay::Archiving(_)) if until == Until::TakenUp => {
                    return Ok(Settled::Done(last));
                }
                Some(UnderWay::Archiving(_)) => waiting = None,
                Some(UnderWay::Waiting(_)) => {
                    let since = waiting.get_or_insert_with(Instant::now);
                    if since.elapsed() >= TAKEN_UP && self.console.complaint().is_none() {
                        self.terminal.clear();
                        return Ok(Settled::NoArchiver);
                    }
                }
            }
            if due || synced.elapsed() >= SYNC {
                self.sync()?;
                (due, synced) = (false, Instant::now());
                continue;
            }
            let left = self.limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                self.terminal.clear();
                return Err(self.over(&last));
            }
            self.terminal.wait("waiting for the archive");
            let scores = self.console.archives(LOOK.min(left));
            let scores = scores.map_err(|e| e.report())?;
            due = !scores.is_empty();
            let complaint = self.console.complaint().map(str::to_owned);
            if told.is_none() && complaint.is_some() {
                let line = complaint.as_deref().unwrap_or_default();
                let text = format!(
                    "{}: the archive is tried again: {line}",
                    self.console.name()
                );
                self.terminal.say(&text);
                told = complaint;
            }
            said = scores.into_iter().next_back().or(said);
        }
    }

    /// What the console said last, and what the disk has, are one.
    fn agreed(&mut self, last: Last, mut said: Option<String>) -> Result<Last> {
        let on_disk = last.superblock.last.to_string();
        let mut later = 0;
        while let Some(score) = said.filter(|score| *score != on_disk) {
            // Its line may be on the way: it was said before it was written.
            let more = self.console.archives(LATE).map_err(|e| e.report())?;
            said = more.into_iter().next_back();
            later += 1;
            if said.is_none() || later > LATER {
                let text = format!(
                    "{}: expected vac:{score}, which {} said, found vac:{on_disk} on disk",
                    self.partition.operand(),
                    self.console.name()
                );
                return Err(Failure::report(Status::Unverified, text));
            }
        }
        Ok(last)
    }

    /// Has the console write what it said. A file system that is halted has
    /// nothing to write, and no archiver that goes on.
    fn sync(&mut self) -> Result<()> {
        let sync = format!("fsys {} sync", self.name);
        let reply = self.console.question(&sync).map_err(|e| e.report())?;
        if crate::console::verdict::halted(&reply.text).is_some() {
            let text = format!(
                "{}: {} is halted, and an archive is under way: fsys {} unhalt lets it go on",
                self.console.name(),
                self.name,
                self.name
            );
            return Err(Failure::report(Status::Partly, text));
        }
        Ok(())
    }

    fn over(&self, last: &Last) -> eyre::Report {
        let retries = self.console.complaint();
        let retries = retries.map(|line| format!("it is tried again each minute ({line})"));
        let why = match last.under_way() {
            _ if retries.is_some() => retries.as_deref().unwrap_or_default(),
            Some(UnderWay::Waiting(_)) if self.limit >= ARCHIVER => {
                "no archiver takes it up, as in a fossil that was opened without its venti"
            }
            Some(UnderWay::Waiting(_)) => "it waits for the archiver",
            _ => "it is being archived, or tried again each minute if the venti is away",
        };
        let text = format!(
            "{}: waited {} seconds for the archive: {why}; the fossil runs on",
            self.partition.operand(),
            self.limit.as_secs_f32()
        );
        Failure::report(Status::Unreachable, text)
    }
}
