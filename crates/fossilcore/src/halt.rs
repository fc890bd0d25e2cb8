//! Halting a fossil's file systems in order, and proving it (fossil.md 6.6).
//!
//! The order is the script foshalt's: venti sync, `fsys all sync`, venti
//! sync, `fsys all halt`. An archive under way is waited for first. `fsys all` says
//! only the last error, so each file system is asked by name: it is halted when a
//! second `halt` answers that it is. Then its process may be killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{Result, WrapErr};

use crate::console::systems::System;
use crate::console::{self, CommandLine, Console, end, place, verdict};
use crate::last;
use crate::processes;
use crate::snapshot::{ArchiveWait, Settled};
use crate::venti;
use venticore::codec::dial::Dial;
use venticore::codec::operand::Operand;
use venticore::config::Config;
use venticore::host::holders::Process;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::net::client::{Client, Dialer};
use venticore::status::{Failure, Status};
use venticore::text::line_of;
use venticore::tool::status_of;

/// How long a console has to show that it does not hang.
const ALIVE: Duration = Duration::from_secs(5);

/// The most file systems of one fossil that are halted: each may take its time.
const SYSTEMS: usize = 64;

/// How file systems are halted.
#[derive(Clone, Debug)]
pub struct Halt {
    /// How long an archive under way may take.
    pub archive: Duration,
    /// Whether to go on when it takes longer.
    pub force: bool,
    /// Whether only to say what would be done.
    pub dry_run: bool,
    /// How a venti is reached.
    pub dialer: Dialer,
    /// Whether to sync the venti that a fossil was started with.
    pub own_venti: bool,
    /// The venti of a file system of which no other is known.
    pub venti: Option<String>,
}

/// One file system that is halted, proved by its own word; or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halted {
    /// Its name.
    pub name: String,
    /// Its partition.
    pub partition: PathBuf,
}

/// What became of a console's file systems.
#[derive(Debug, Default)]
pub struct HaltOutcome {
    /// Those that are halted.
    pub halted: Vec<Halted>,
    /// What went wrong: lines, each with its status.
    pub wrong: Vec<(Status, String)>,
}

impl HaltOutcome {
    fn wrong(&mut self, error: &eyre::Report) {
        self.wrong.push((status_of(error), line_of(error)));
    }

    /// The worst of what went wrong.
    #[must_use]
    pub fn status(&self) -> Status {
        let each = self.wrong.iter().map(|(status, _)| *status);
        each.fold(Status::Done, Status::worst)
    }
}

/// What one file system is found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FsysState {
    Open,
    Halted,
    /// Configured, and never opened: there is nothing to halt.
    Closed,
}

impl Halt {
    /// As the configuration has it.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        Halt {
            archive: config.archive,
            force: false,
            dry_run: false,
            dialer: config.dialer.clone(),
            own_venti: true,
            venti: config.venti.clone().or_else(|| config.source.clone()),
        }
    }

    /// Halts all file systems of a console.
    ///
    /// # Errors
    /// The console cannot be talked to; what else goes wrong is in the outcome.
    pub fn console(&self, console: &mut Console, terminal: &Terminal) -> Result<HaltOutcome> {
        let mut outcome = HaltOutcome::default();
        let mut open = Vec::new();
        for system in systems(console)? {
            match state(console, &system.name)? {
                FsysState::Closed => {
                    let text = format!("{}: {}: not open", console.name(), system.name);
                    terminal.detail(|| text);
                }
                found => open.push((system, found)),
            }
        }
        if open.is_empty() {
            return Ok(outcome);
        }
        if self.dry_run {
            outcome.halted = open.into_iter().map(|(system, _)| halted(system)).collect();
            return Ok(outcome);
        }
        self.sync_ventis(&open, &mut outcome);
        let mut waiting = false;
        for (system, found) in &open {
            if *found == FsysState::Open
                && let Err(error) = self.archived(console, system, terminal)
            {
                waiting |= !self.force;
                let repeated = if self.force {
                    ": it will be repeated"
                } else {
                    ""
                };
                let error = error.wrap_err(format!("{}{repeated}", console.name()));
                match self.force {
                    true => terminal.say(&line_of(&error)),
                    false => outcome.wrong(&error),
                }
            }
        }
        if waiting {
            return Ok(outcome);
        }
        self.sync_all(console, &mut outcome)?;
        self.sync_ventis(&open, &mut outcome);
        terminal.wait("halting");
        console.question("fsys all halt").map_err(|e| e.report())?;
        for (system, _) in open {
            match prove(console, &system.name) {
                Ok(()) => outcome.halted.push(halted(system)),
                Err(error) => outcome.wrong(&error),
            }
        }
        terminal.clear();
        Ok(outcome)
    }

    /// Waits for an archive under way.
    fn archived(&self, console: &mut Console, system: &System, terminal: &Terminal) -> Result<()> {
        let operand = Operand::try_from(system.partition.as_os_str())?;
        let (partition, last) = last::open(&operand)?;
        if last.under_way().is_some() {
            let settled = wait(console, system, &partition, terminal, self.archive)?;
            if settled == Settled::NoArchiver {
                terminal.say(&format!(
                    "{}: {}: a snapshot waits to be archived, and this fossil has no archiver: it is not waited for; it is archived once the fossil is opened with its venti",
                    console.name(),
                    system.name
                ));
            }
        }
        Ok(())
    }

    /// `fsys all sync`: its errors may be about file systems that are halted or
    /// closed, so each that is open must have its own line.
    fn sync_all(&self, console: &mut Console, outcome: &mut HaltOutcome) -> Result<()> {
        let reply = console.question("fsys all sync").map_err(|e| e.report())?;
        for line in reply.text.lines() {
            let expected = line.starts_with('\t')
                || verdict::halted(line).is_some()
                || line.ends_with(" not open");
            if !expected {
                let text = format!("{}: fsys all sync: {line}", console.name());
                outcome.wrong(&Failure::report(Status::Failed, text));
            }
        }
        Ok(())
    }

    /// The venti of a file system: the one it was told, otherwise its fossil's.
    fn venti_of(&self, system: &System) -> Option<String> {
        let own = || venti::running(&system.partition).filter(|_| self.own_venti);
        let told = system.venti.clone().or_else(own);
        told.or_else(|| self.venti.clone())
    }

    /// Syncs the ventis that the file systems archive to, each once.
    fn sync_ventis(&self, systems: &[(System, FsysState)], outcome: &mut HaltOutcome) {
        let all = systems.iter();
        let mut ventis: Vec<String> = all
            .filter_map(|(system, _)| self.venti_of(system))
            .collect();
        ventis.sort_unstable();
        ventis.dedup();
        for venti in ventis {
            let dial = Dial::parse_with(&venti, self.venti.as_deref());
            let synced = dial.wrap_err_with(|| format!("venti {venti}"));
            if let Err(error) = synced.and_then(|dial| sync_venti(&dial, &self.dialer)) {
                let error =
                    Failure::report(Status::Partly, format!("{}, not synced", line_of(&error)));
                let text = error.to_string();
                if !outcome.wrong.iter().any(|(_, known)| *known == text) {
                    outcome.wrong(&error);
                }
            }
        }
    }
}

fn halted(system: System) -> Halted {
    Halted {
        name: system.name,
        partition: system.partition,
    }
}

fn wait(
    console: &mut Console,
    system: &System,
    partition: &Partition,
    terminal: &Terminal,
    limit: Duration,
) -> Result<Settled> {
    let mut archive = ArchiveWait {
        console,
        name: &system.name,
        partition,
        terminal,
        limit,
    };
    // That it goes on is what keeps the file system from being halted.
    archive.wait().map_err(|error| match status_of(&error) {
        Status::Unreachable => Failure::report(Status::Partly, line_of(&error)),
        _ => error,
    })
}

/// The file systems of a console, as far as they can be halted.
fn systems(console: &mut Console) -> Result<Vec<System>> {
    let systems = System::list(console).map_err(|e| e.report())?;
    if systems.len() > SYSTEMS {
        let text = format!(
            "{}: printconfig: expected at most {SYSTEMS} file systems, found {}",
            console.name(),
            systems.len()
        );
        return Err(Failure::report(Status::Failed, text));
    }
    Ok(systems)
}

/// Has a venti write what it has acknowledged.
///
/// # Errors
/// It does not.
pub fn sync_venti(venti: &Dial, dialer: &Dialer) -> Result<()> {
    let at = |error| eyre::Report::new(error).wrap_err(format!("venti {venti}"));
    Client::dial(venti, dialer).map_err(at)?.sync().map_err(at)
}

/// What a file system is, asked by a command that changes nothing.
fn state(console: &mut Console, name: &str) -> Result<FsysState> {
    let text = format!("fsys {name} epoch");
    let reply = console.question(&text).map_err(|e| e.report())?;
    let line: CommandLine = text.parse()?;
    if verdict::halted(&reply.text) == Some(name) {
        return Ok(FsysState::Halted);
    }
    match verdict::failure(&line, &reply.text) {
        None => Ok(FsysState::Open),
        Some(failure) if failure.ends_with(" not open") => Ok(FsysState::Closed),
        Some(failure) => {
            let text = format!("{}: {line}: {failure}", console.name());
            Err(Failure::report(Status::Failed, text))
        }
    }
}

/// Asks a file system to halt until it says that it is. The first time it may be
/// that it was not.
fn prove(console: &mut Console, name: &str) -> Result<()> {
    let text = format!("fsys {name} halt");
    let mut said = String::new();
    for _ in 0..2 {
        let reply = console.question(&text).map_err(|e| e.report())?;
        said = reply.text;
        if verdict::halted(&said) == Some(name) {
            return Ok(());
        }
    }
    let text = format!(
        "{}: {text}: expected file system {name} is halted, found {:?}",
        console.name(),
        said.trim()
    );
    Err(Failure::report(Status::Failed, text))
}

/// Halts and ends the fossils of a partition that is about to be overwritten, by
/// their consoles.
pub struct Consoles<'a> {
    /// Where consoles are, and how long they have to answer.
    pub config: &'a Config,
    /// Shows that something is waited for.
    pub terminal: &'a Terminal,
}

impl processes::HaltFirst for Consoles<'_> {
    /// Halts all that such a fossil has, on other partitions too, since all of it
    /// ends with its process. An archive under way is not waited for: it was said
    /// that it will be lost. A fossil without a console is ended without a halt.
    fn halt(&self, partition: &Partition, fossils: &[Process]) -> Result<String> {
        let places = place::consoles(self.config)?;
        let (mut done, mut failed) = (Vec::new(), None);
        for place in places.consoles {
            // A broker that was killed leaves no console.
            if !place.served {
                continue;
            }
            match self.on(partition, &place.path) {
                Ok(Some(mut console)) => done.push(self.end(&mut console, &place.path)?),
                Ok(None) => {}
                Err(error) => failed = failed.or(Some(error.report())),
            }
        }
        let mut refused = places.refused.iter();
        let stranger = refused.find(|refused| refused.is_stranger());
        let stranger = stranger.map(|found| Failure::report(Status::Failed, found.to_string()));
        match (done.is_empty(), failed.or(stranger)) {
            (false, _) => Ok(done.join(", ")),
            // It may be the one.
            (true, Some(error)) => Err(error),
            (true, None) => processes::NoConsole.halt(partition, fossils),
        }
    }
}

impl Consoles<'_> {
    /// The console at a path, if its fossil has the partition.
    fn on(
        &self,
        partition: &Partition,
        path: &Path,
    ) -> Result<Option<Console>, console::ConsoleError> {
        let mut console = Console::open(path, self.config.console)?;
        let systems = System::list(&mut console)?;
        let has = systems.iter().any(|system| system.is_on(partition.path()));
        Ok(has.then_some(console))
    }

    fn end(&self, console: &mut Console, path: &Path) -> Result<String> {
        let halt = Halt {
            archive: Duration::ZERO,
            force: true,
            own_venti: false,
            venti: None,
            ..Halt::from_config(self.config)
        };
        let outcome = halt.console(console, self.terminal)?;
        let failed = |(status, _): &&(Status, String)| *status != Status::Partly;
        if let Some((status, text)) = outcome.wrong.iter().find(failed) {
            return Err(Failure::report(*status, text));
        }
        let halted = outcome.halted.iter();
        let partitions: Vec<PathBuf> = halted.map(|one| one.partition.clone()).collect();
        end::fossil(path, console.peer(), &partitions, self.config.console)
            .wrap_err_with(|| path.display().to_string())?;
        let halted = outcome.halted.iter();
        let names: Vec<&str> = halted.map(|one| one.name.as_str()).collect();
        Ok(format!("{} halted on {}", names.join(", "), path.display()))
    }
}

/// Halts what a broker's console has, for its orderly end: archives under way
/// are not waited for, since they will be repeated.
///
/// # Errors
/// Not all are halted.
pub fn in_order(console: &Path, limit: Duration) -> Result<()> {
    let (terminal, _) = Terminal::keeping("fossilstart");
    let halt = Halt {
        archive: Duration::ZERO,
        force: true,
        dry_run: false,
        dialer: Dialer::default(),
        own_venti: false,
        venti: None,
    };
    // One that hangs shows it at the first question.
    let mut console = Console::open(console, ALIVE).map_err(|e| e.report())?;
    System::list(&mut console).map_err(|e| e.report())?;
    console.limit(limit);
    let outcome = halt.console(&mut console, &terminal)?;
    match outcome.wrong.first() {
        None => Ok(()),
        Some((status, text)) => Err(Failure::report(*status, text)),
    }
}
