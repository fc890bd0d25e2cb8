//! The command ventiprog: brings ventis up to date with the arenas of another.
//!
//! What each target has acknowledged stands in `wrcmds`, and moves at every
//! checkpoint. The `wrcmd` is shared with the rc script of the same name: it
//! moves at the end of a run in which every target came to the end. Where a
//! run starts follows from both ([`crate::places`]).

mod check;
mod engine;
mod list;
mod record;
mod source;
mod tell;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use eyre::{Result, WrapErr};

use crate::client::Client;
use crate::config::Config;
use crate::dial::Dial;
use crate::exit::{Failure, Status, client_status};
use crate::ninefat::{self, Home, Visit};
use crate::places::{self, Known, Point, Start};
use crate::replicate::{self, At, Checkpoint, Event, Job, Manner, Outcome, Seat, Trouble};
use crate::state::StateDir;
use crate::terminal::Terminal;
use crate::wrcmd::WrCmd;
use crate::wrcmds::{Damage, Wrcmds};
use check::{Fate, ReadBack};
use engine::Engine;
use record::Record;
use source::{Asked, Part};

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-n`: say what would be sent, and write nothing.
    pub dry_run: bool,
    /// `-j`: one JSON object for each target and one for the run.
    pub json: bool,
    /// `-d`: the state directory.
    pub dir: Option<PathBuf>,
    /// `--9fat`: a 9fat that nobody mounts.
    pub nine_fat: Option<OsString>,
    /// `-p`: the arena partition, where there is no wrcmd yet.
    pub partition: Option<String>,
    /// `-i`: the URL of the source's index page.
    pub index: Option<String>,
    /// `-s`: the venti whose arenas are read, to be synced first.
    pub source: Option<String>,
    /// `-b`: bytes a second that each target is sent at most.
    pub rate: Option<u64>,
    /// `-e`: who sends, `native` or `external`.
    pub engine: Option<String>,
    /// `--verify`: read back everything that earlier runs recorded.
    pub verify: bool,
    /// `--trust`: believe a wrcmd offset that no line in wrcmds confirms.
    pub trust: bool,
    /// What to do.
    pub task: Task,
    /// The ventis to bring up to date, besides that of the wrcmd.
    pub targets: Vec<String>,
}

impl Options {
    fn reads_only(&self) -> bool {
        self.dry_run || matches!(self.task, Task::List { .. })
    }
}

/// What a run is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Bring the targets up to date.
    #[default]
    Replicate,
    /// `-l`: show the place of every target; some count as overdue when they
    /// are behind and have acknowledged nothing for so many hours.
    List {
        /// `--older`.
        older: Option<u64>,
    },
    /// `--forget`: remove the lines of a target.
    Forget(String),
}

/// Runs the command; `tool` is its name in the log.
///
/// # Errors
/// Nothing could be sent, or the state could not be written. What happened to
/// single targets is in the status.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let given = options.dir.as_deref();
    if options.reads_only() {
        let state = Home::existing(config, given)?;
        let state = state.ok_or_else(|| no_state(&config.state_dir(given)))?;
        return run_in(state, tool, options, config, terminal);
    }
    let home = Home::open(config, given)?;
    let outcome = run_in(home.state().clone(), tool, options, config, terminal);
    home.close(outcome, terminal)
}

/// Runs the command in this state directory, whatever options and
/// configuration say of one.
///
/// # Errors
/// As [`run`].
pub fn run_in(
    state: StateDir,
    tool: &str,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    let lock = (!options.reads_only()).then(|| state.lock()).transpose();
    let _lock = lock.wrap_err_with(|| state.path().display().to_string())?;
    let visit = config.nine_fat(options.nine_fat.as_deref())?;
    let visit = visit.map(|of| ninefat::arrive(&state, &of, !options.reads_only(), terminal));
    let visit = visit.transpose()?;
    let mut record = Record::read(tool, state)?;
    if let Some(newer) = visit.as_ref().and_then(Visit::newer_wrcmd) {
        record.wrcmd = Some(WrCmd::parse(newer)?);
    }
    let outcome = perform(record, options, config, terminal);
    ninefat::leave(visit, outcome, terminal)
}

/// Does what the run is for.
fn perform(
    mut record: Record,
    options: &Options,
    config: &Config,
    terminal: &Terminal,
) -> Result<Status> {
    match &options.task {
        Task::List { older } => {
            let asked = asked_for(record.wrcmd.as_ref(), options, config)?;
            list::list(&record, &asked, *older, options, terminal)
        }
        Task::Forget(target) => record.forget(&config.dial(target)?).map(|()| Status::Done),
        Task::Replicate => Run::prepare(options, config, terminal, record)?.replicate(),
    }
}

fn no_state(dir: &Path) -> eyre::Report {
    let cause = format!("{}: no such state directory", dir.display());
    Failure::report(Status::Failed, cause)
}

/// The host of the wrcmd, then those asked for; each once, and at least one.
fn targets(wrcmd: Option<&WrCmd>, options: &Options, config: &Config) -> Result<Vec<Target>> {
    let dials = asked_for(wrcmd, options, config)?;
    if dials.is_empty() {
        let cause = "no target: the wrcmd has no -h, and no venti was named";
        return Err(Failure::report(Status::Usage, cause));
    }
    Ok(dials.into_iter().map(Target::new).collect())
}

/// The host of the wrcmd, then the operands, else what the environment or the
/// configuration lists; each once.
fn asked_for(wrcmd: Option<&WrCmd>, options: &Options, config: &Config) -> Result<Vec<Dial>> {
    let own = wrcmd.and_then(WrCmd::host).map(|host| config.dial(host));
    let own = own.transpose().wrap_err("wrcmd")?;
    let port = own.as_ref().map_or(Dial::VENTI, Dial::port);
    let asked = if options.targets.is_empty() {
        &config.targets
    } else {
        &options.targets
    };
    let mut dials: Vec<Dial> = own.into_iter().collect();
    for text in asked {
        let dial = Dial::parse(text, config.venti.as_deref(), port)?;
        if !dials.contains(&dial) {
            dials.push(dial);
        }
    }
    Ok(dials)
}

/// The venti whose arenas are read: `-s`, else `$venti`, else the configured one.
fn source_venti(options: &Options, config: &Config) -> Result<Option<Dial>> {
    let text = options
        .source
        .as_ref()
        .or(config.venti.as_ref())
        .or(config.source.as_ref());
    let dial = text.map(|text| config.dial(text)).transpose();
    dial.wrap_err("source")
}

/// One target, and what has become of it so far.
struct Target {
    dial: Dial,
    status: Status,
    /// Why it is out of the run.
    failure: Option<String>,
    tally: replicate::Tally,
    damaged: u64,
    read_back: ReadBack,
    /// Where it is, in each partition that has been dealt with.
    reached: Vec<Point>,
    from: Option<String>,
    seconds: f64,
}

impl Target {
    fn new(dial: Dial) -> Self {
        Target {
            dial,
            status: Status::Done,
            failure: None,
            tally: replicate::Tally::default(),
            damaged: 0,
            read_back: ReadBack::default(),
            reached: Vec::new(),
            from: None,
            seconds: 0.0,
        }
    }

    fn fail(&mut self, status: Status, why: String) {
        self.status = self.status.worst(status);
        self.failure = Some(why);
    }
}

/// One run, with everything that was given for it.
struct Run<'a> {
    options: &'a Options,
    config: &'a Config,
    terminal: &'a Terminal,
    record: Record,
    engine: Engine,
    parts: Vec<Part>,
    targets: Vec<Target>,
    /// The wrcmd this run starts from: as found, or built.
    wrcmd: WrCmd,
    synced: bool,
    /// What has happened to the source.
    status: Status,
    /// Something other than damage keeps the wrcmd where it is.
    incomplete: bool,
    start: Instant,
}

impl<'a> Run<'a> {
    fn prepare(
        options: &'a Options,
        config: &'a Config,
        terminal: &'a Terminal,
        record: Record,
    ) -> Result<Self> {
        let wrcmd = record.wrcmd.as_ref();
        if wrcmd.is_some_and(WrCmd::had_en_dash) {
            terminal.say("wrcmd: an option begins with an en dash, read as -");
        }
        let engine = Engine::choose(options.engine.as_deref(), config)?;
        let targets = targets(wrcmd, options, config)?;
        let source = source_venti(options, config)?;
        refuse_source(source.as_ref(), &targets)?;
        let (names, found) = source::names(
            wrcmd,
            options.partition.as_deref(),
            options.index.as_deref(),
            config,
            terminal,
        )?;
        let dials: Vec<Dial> = targets.iter().map(|target| target.dial.clone()).collect();
        let recorded = record.partitions(&dials);
        let names = source::with_recorded(names, &recorded, wrcmd.is_some());
        let synced = sync_source(source.as_ref(), config, terminal);
        let (parts, opened) = open_all(&names, wrcmd, &recorded, terminal)?;
        let all_here = parts.len() == names.len();
        let wrcmd = match wrcmd {
            Some(wrcmd) => wrcmd.clone(),
            None => first_wrcmd(&targets, &parts)?,
        };
        let sync_status = match synced {
            Some(false) => Status::Partly,
            _ => Status::Done,
        };
        Ok(Run {
            options,
            config,
            terminal,
            record,
            engine,
            parts,
            targets,
            wrcmd,
            synced: synced == Some(true),
            status: found.worst(opened).worst(sync_status),
            incomplete: found != Status::Done || sync_status != Status::Done || !all_here,
            start: Instant::now(),
        })
    }

    fn replicate(mut self) -> Result<Status> {
        let rules: Vec<_> = self.parts.iter().map(|part| part.rules.clone()).collect();
        let dials: Vec<Dial> = self.targets.iter().map(|t| t.dial.clone()).collect();
        let host = self.record.wrcmd.as_ref().and_then(WrCmd::host);
        let host = host.map(|host| self.config.dial(host)).transpose()?;
        let known = Known {
            partitions: &rules,
            wrcmd: self.record.wrcmd.as_ref(),
            host: host.as_ref(),
            wrcmds: &self.record.wrcmds,
            targets: &dials,
            trust: self.options.trust,
        };
        let starts = places::starts(&known, &Asked(&self.parts))?;
        for remark in starts.iter().flat_map(|start| &start.remarks) {
            self.terminal.say(remark);
        }
        for number in 0..self.parts.len() {
            let starts = starts.iter().filter(|start| start.partition == number);
            self.replicate_part(number, starts.cloned().collect());
        }
        self.finish()
    }

    /// One partition: check what is recorded, then copy what is new.
    fn replicate_part(&mut self, number: usize, mut starts: Vec<Start>) {
        if !self.options.dry_run {
            self.check_all(number, &mut starts);
        }
        match &self.engine {
            Engine::External(program) if !self.options.dry_run => {
                let program = program.clone();
                engine::copy(self, number, &starts, &program);
            }
            _ => self.copy(number, &starts),
        }
        self.say_unsettled(number);
    }

    /// Reads back from every target what earlier runs recorded for it.
    fn check_all(&mut self, number: usize, starts: &mut [Start]) {
        let Some(part) = self.parts.get(number) else {
            return;
        };
        let how = How {
            config: self.config,
            all: self.options.verify,
            trust: self.options.trust,
        };
        let wrcmds = &self.record.wrcmds;
        let checks: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = self
                .targets
                .iter()
                .map(|target| {
                    let alive = target.failure.is_none();
                    let dial = &target.dial;
                    let work = move || check_one(dial, part, wrcmds, how);
                    alive.then(|| scope.spawn(work))
                })
                .collect();
            let join = |check: thread::ScopedJoinHandle<'_, _>| {
                check
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            running.into_iter().map(|check| check.map(join)).collect()
        });
        for (seat, check) in checks.into_iter().enumerate() {
            match check {
                None | Some(Ok(None)) => {}
                Some(Ok(Some(checked))) => self.checked(number, seat, checked, starts),
                Some(Err(error)) => self.lost(seat, &error),
            }
        }
    }

    /// Takes in what a check has shown of a target.
    fn checked(&mut self, number: usize, seat: usize, checked: Checked, starts: &mut [Start]) {
        let (Some(target), Some(part)) = (self.targets.get_mut(seat), self.parts.get(number))
        else {
            return;
        };
        let Checked { read_back, fates } = checked;
        for told in &read_back.told {
            self.terminal.say(&format!("{}: {told}", target.dial));
        }
        let all = read_back.missing + read_back.damaged;
        let more = all - read_back.told.len() as u64;
        if more > 0 {
            self.terminal.say(&format!(
                "{}: and {more} more that are missing or damaged",
                target.dial
            ));
        }
        if all > 0 {
            target.status = target.status.worst(Status::Unverified);
        }
        if read_back.missing > 0 {
            self.terminal.say(&format!(
                "{}: everything is asked for again from the first arena on, and sent where missing",
                target.dial
            ));
            for start in starts
                .iter_mut()
                .filter(|start| start.target == target.dial)
            {
                start.at = Point::START;
                start.probe_to = Some(part.rules.end());
            }
            // Its line says what is not so until all is there again, however
            // this run ends.
            self.record.set_back(&target.dial, part);
        }
        target.read_back.right += read_back.right;
        target.read_back.missing += read_back.missing;
        target.read_back.damaged += read_back.damaged;
        for (damage, fate) in fates {
            let what = format!("arena {} clump {:#x}", damage.arena, damage.offset);
            match fate {
                Fate::Stays => {
                    self.terminal.say(&format!(
                        "{}: {what}: still damaged in the source and not there; \
                         mark it accepted in wrcmds if it is lost for good",
                        target.dial
                    ));
                    target.damaged += 1;
                    target.status = target.status.worst(Status::Partly);
                    continue;
                }
                Fate::Mended => self
                    .terminal
                    .say(&format!("{}: {what}: mended, sent", target.dial)),
                Fate::OnTarget => self
                    .terminal
                    .say(&format!("{}: {what}: found intact there", target.dial)),
                Fate::Gone => {}
            }
            self.record
                .wrcmds
                .remove_damage(&target.dial, &part.name, &damage);
            self.record.save_places();
        }
    }

    fn lost(&mut self, seat: usize, error: &crate::client::Error) {
        if let Some(target) = self.targets.get_mut(seat) {
            self.terminal.say(&format!("{}: {error}", target.dial));
            target.fail(client_status(error), error.to_string());
        }
    }

    /// Copies to all targets that are still in the run.
    fn copy(&mut self, number: usize, starts: &[Start]) {
        let Some(part) = self.parts.get(number) else {
            return;
        };
        let job = Job {
            source: std::sync::Arc::clone(&part.source),
            arenas: part.arenas.clone(),
            cross: false,
            synced: self.synced,
            max_clumps: None,
            tell_blocks: false,
        };
        let alive: Vec<usize> = (0..self.targets.len())
            .filter(|&seat| self.targets.get(seat).is_some_and(|t| t.failure.is_none()))
            .collect();
        let start_of = |seat: usize| {
            let dial = &self.targets.get(seat)?.dial;
            starts.iter().find(|start| start.target == *dial)
        };
        let seats: Vec<Seat> = alive
            .iter()
            .filter_map(|&seat| {
                let start = start_of(seat)?;
                Some(Seat {
                    target: (!self.options.dry_run).then(|| start.target.clone()),
                    from: at(start.at),
                    probe_to: at(start.probe_to.unwrap_or_default()),
                })
            })
            .collect();
        let total = starts.iter().map(|start| part.bytes_from(start.at)).max();
        self.terminal.start(total.unwrap_or(0));
        let manner = self.manner();
        let (record, terminal, targets) = (&mut self.record, self.terminal, &self.targets);
        let dry_run = self.options.dry_run;
        let dial = |seat: usize| {
            let target = alive.get(seat).and_then(|&seat| targets.get(seat));
            target.map(|target| target.dial.clone())
        };
        let began = Instant::now();
        let outcomes = replicate::run(&job, &seats, manner, &mut |event| match event {
            Event::Block(_) => {}
            Event::Progress(bytes) => terminal.advance(bytes),
            Event::Damage(damage) => terminal.say(&damage.to_string()),
            Event::Acknowledged {
                seat,
                place,
                damage,
            } => {
                if let (false, Some(dial)) = (dry_run, dial(seat)) {
                    record.acknowledged(&dial, part, place, damage);
                }
            }
            Event::Retry { seat, error, after } => {
                if let Some(dial) = dial(seat) {
                    terminal.detail(|| format!("{dial}: {error}; again in {after:?}"));
                }
            }
            Event::Lost { seat, error } => {
                if let Some(dial) = dial(seat) {
                    terminal.say(&format!("{dial}: {error}"));
                }
            }
        });
        self.terminal.clear();
        let seconds = began.elapsed().as_secs_f64();
        for ((&target, seat), outcome) in alive.iter().zip(&seats).zip(outcomes) {
            if outcome.place.is_none() && outcome.trouble.is_none() {
                self.remember_trusted(number, target, seat.from);
            }
            self.settle(number, target, seat.from, outcome, seconds);
        }
    }

    fn manner(&self) -> Manner {
        Manner {
            limits: self.config.limits,
            retries: self.config.retries,
            backoff: self.config.backoff,
            probe: true,
            rate: self.options.rate,
            checkpoint: Checkpoint {
                bytes: self.config.checkpoint_bytes,
                time: Checkpoint::default().time,
            },
        }
    }

    /// Takes in how the copy ended for one target.
    fn settle(&mut self, part: usize, seat: usize, from: At, outcome: Outcome, seconds: f64) {
        let Some(target) = self.targets.get_mut(seat) else {
            return;
        };
        target.tally += outcome.tally;
        target.seconds += seconds;
        if target.from.is_none() {
            target.from = self
                .parts
                .get(part)
                .and_then(|part| part.shown(point(from)));
        }
        target.damaged += outcome.damage.len() as u64;
        let reached = outcome.place.map_or(from, |place| place.at);
        target.reached.push(point(reached));
        if !outcome.damage.is_empty() {
            target.status = target.status.worst(Status::Partly);
        }
        if let Some(late) = outcome.late {
            self.terminal.say(&format!(
                "{}: {late}; not on disk yet, the next run starts there \
                 (with a source venti to sync, -s, it would be seen now)",
                target.dial
            ));
            target.status = target.status.worst(Status::Partly);
            self.incomplete = true;
        }
        match outcome.trouble {
            Some(Trouble::Target(error)) => target.fail(client_status(&error), error.to_string()),
            Some(Trouble::Start(error)) => {
                self.terminal.say(&format!("{}: {error}", target.dial));
                target.fail(Status::Failed, error.to_string());
            }
            None => {}
        }
    }

    /// With `--trust`, a hint becomes a place also where nothing was new.
    fn remember_trusted(&mut self, part: usize, seat: usize, at: At) {
        let (Some(target), Some(part)) = (self.targets.get(seat), self.parts.get(part)) else {
            return;
        };
        let known = self.record.wrcmds.get(&target.dial, &part.name);
        let known = known.is_some_and(|line| line.last.is_some());
        if !self.options.trust || self.options.dry_run || known {
            return;
        }
        let arena = part.arenas.get(at.arena);
        let before = arena.and_then(|arena| part.before(arena, at.offset));
        if let Some(before) = before {
            let last = Some(before.score);
            let place = replicate::Place { at, last };
            self.record.acknowledged(&target.dial, part, place, &[]);
        }
    }

    /// An arena that can still grow keeps everything after it waiting.
    fn say_unsettled(&mut self, number: usize) {
        let Some(part) = self.parts.get(number) else {
            return;
        };
        let reached = self.targets.iter().filter_map(|t| t.reached.get(number));
        let Some(least) = reached.min() else {
            return;
        };
        let Some(arena) = part.arenas.get(least.arena) else {
            return;
        };
        let mut later = part.arenas.iter().skip(least.arena + 1);
        if !self.synced && !arena.sealed && later.any(|later| later.live.clumps > 0) {
            self.terminal.say(&format!(
                "{}: arena {} is not sealed on disk, and later ones have clumps: \
                 name the source venti (-s) so that it can be synced first",
                part.name, arena.name
            ));
            self.status = self.status.worst(Status::Partly);
            self.incomplete = true;
        }
    }

    /// The last word: move the wrcmd, log, print.
    fn finish(mut self) -> Result<Status> {
        self.record.check_saved()?;
        let new = self.next_wrcmd()?;
        let reached = |t: &Target| t.failure.is_none() && t.status != Status::Unverified;
        let complete = !self.incomplete && self.targets.iter().all(reached);
        if complete && !self.options.dry_run {
            self.record.move_wrcmd(&new, self.terminal)?;
        }
        let status = self.exit_status();
        tell::tell(&self, &new, complete, status)?;
        Ok(status)
    }

    fn next_wrcmd(&self) -> Result<WrCmd> {
        let rules: Vec<_> = self.parts.iter().map(|part| part.rules.clone()).collect();
        let reached: Vec<Vec<Point>> = (0..self.parts.len())
            .map(|number| {
                let reached = self.targets.iter().filter_map(|t| t.reached.get(number));
                reached.copied().collect()
            })
            .collect();
        Ok(places::final_wrcmd(&self.wrcmd, &rules, &reached)?)
    }

    fn exit_status(&self) -> Status {
        let each = self.targets.iter().map(|target| target.status);
        let mut status = each.fold(self.status, Status::worst);
        let failed = self.targets.iter().filter(|t| t.failure.is_some()).count();
        if (1..self.targets.len()).contains(&failed) {
            status = status.worst(Status::Partly);
        }
        status
    }
}

/// What a check of one target has shown.
struct Checked {
    read_back: ReadBack,
    fates: Vec<(Damage, Fate)>,
}

/// How targets are checked.
#[derive(Clone, Copy)]
struct How<'a> {
    config: &'a Config,
    /// Read back everything.
    all: bool,
    /// Believe a line that nothing confirms.
    trust: bool,
}

/// Reads back what is recorded of a target, as far as the source holds it
/// still, and tries again what was damaged; nothing where nothing is recorded.
fn check_one(
    dial: &Dial,
    part: &Part,
    wrcmds: &Wrcmds,
    how: How<'_>,
) -> Result<Option<Checked>, crate::client::Error> {
    let Some(line) = wrcmds.get(dial, &part.name) else {
        return Ok(None);
    };
    let asked = Asked(std::slice::from_ref(part));
    // What cannot be believed was said when the places were looked at.
    let to = places::believed(&line, &part.rules, how.trust, &asked).unwrap_or(Point::START);
    let damages: Vec<Damage> = wrcmds.damages(dial, &part.name).cloned().collect();
    let mut client = Client::dial(dial, how.config.limits)?;
    let read_back = check::read_back(&mut client, part, to, how.all, &damages)?;
    let mut fates = Vec::new();
    for damage in damages.into_iter().filter(|damage| !damage.accepted) {
        let fate = check::try_again(&mut client, part, &damage)?;
        fates.push((damage, fate));
    }
    Ok(Some(Checked { read_back, fates }))
}

/// Refuses a target that is the source, by name or by address.
fn refuse_source(source: Option<&Dial>, targets: &[Target]) -> Result<()> {
    let Some(source) = source else {
        return Ok(());
    };
    let addresses = source.resolve().unwrap_or_default();
    let is_source = |target: &&Target| {
        let found = target.dial.resolve().unwrap_or_default();
        target.dial == *source || found.iter().any(|address| addresses.contains(address))
    };
    match targets.iter().find(is_source) {
        Some(Target { dial, .. }) => Err(Failure::report(
            Status::Usage,
            format!("{dial}: is the source itself ({source}); name another venti"),
        )),
        None => Ok(()),
    }
}

/// Asks the source to put what it has on disk, so that it is seen; none if no
/// source is known.
fn sync_source(source: Option<&Dial>, config: &Config, terminal: &Terminal) -> Option<bool> {
    let Some(source) = source else {
        terminal.detail(|| {
            "no source venti known (-s, $venti, configuration): \
             what it has not yet written to disk is not seen"
                .to_owned()
        });
        return None;
    };
    let synced = Client::dial(source, config.limits).and_then(|mut client| client.sync());
    if let Err(error) = &synced {
        terminal.say(&format!("source {source}: not synced: {error}"));
    }
    Some(synced.is_ok())
}

/// Opens the partitions. One that is not here is said and left out, unless it
/// is the only one, or the wrcmd's.
fn open_all(
    names: &[String],
    wrcmd: Option<&WrCmd>,
    recorded: &[String],
    terminal: &Terminal,
) -> Result<(Vec<Part>, Status)> {
    let mut parts = Vec::new();
    let mut status = Status::Done;
    for name in names {
        match Part::open(name, wrcmd, terminal) {
            Ok((part, odd)) => {
                parts.push(part);
                status = status.worst(odd);
            }
            Err(error) if names.len() == 1 || wrcmd.is_some_and(|w| w.file() == *name) => {
                return Err(error);
            }
            Err(error) => {
                let cure = match recorded.contains(name) {
                    true => "; if it is gone for good, remove its lines from wrcmds",
                    false => "",
                };
                terminal.say(&format!("{error:#}{cure}"));
                status = status.worst(Status::Partly);
            }
        }
    }
    if parts.is_empty() {
        let cause = "none of the partitions on the index page is here";
        return Err(Failure::report(Status::Failed, cause));
    }
    Ok((parts, status))
}

fn first_wrcmd(targets: &[Target], parts: &[Part]) -> Result<WrCmd> {
    match (targets.first(), parts.first()) {
        (Some(target), Some(part)) => places::build_wrcmd(&target.dial, &part.rules),
        _ => Err(eyre::eyre!("no target or no partition")),
    }
}

fn at(point: Point) -> At {
    At {
        arena: point.arena,
        offset: point.offset,
    }
}

fn point(at: At) -> Point {
    Point::new(at.arena, at.offset)
}

/// A rate such as `2M`: bytes a second, with k, m or g for powers of 1024.
///
/// # Errors
/// The text is no such number.
pub fn rate(text: &str) -> Result<u64> {
    let wrong = || {
        let cause = format!("expected bytes a second such as 500k or 2M, found {text:?}");
        Failure::report(Status::Usage, cause)
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number
        .checked_mul(1 << shift)
        .filter(|&rate| rate > 0)
        .ok_or_else(wrong)
}
