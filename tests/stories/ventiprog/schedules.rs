//! Ten thousand random schedules: a small partition that grows, one to three
//! targets that fail in every way they can, runs that are killed between two
//! changes to the state directory, power cuts. After each run, no line of
//! wrcmds says more than its target has on disk; at the end all have everything.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use eyre::Result;
use tempfile::TempDir;
use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::random::Random;
use venti_tests::sample::Sample;
use venti_tests::seeds;
use venti_tests::venti::{Fault, How, On, Venti};
use venticore::codec::blocktype::{BlockName, BlockType};
use venticore::codec::score::Score;
use venticore::codec::target::TargetName;
use venticore::codec::wrcmd::WrCmd;
use venticore::codec::wrcmds::{Progress, Wrcmds};
use venticore::commands::ventiprog::{self, Options};
use venticore::config::Config;
use venticore::host::terminal::{Kept, Terminal};
use venticore::net::client::Timeouts;
use venticore::state::{Guard, PendingChange, StateDir};
use venticore::status::Status;
use venticore::survey::Scope;
use venticore::tool::status_of;

/// Targets at most; one server more is the source.
const TARGETS: usize = 3;

type Key = (BlockType, Score);

#[test]
fn no_place_is_ahead_of_what_was_acknowledged_and_the_last_run_completes() {
    let servers = || -> Arc<[Venti]> { (0..=TARGETS).map(|_| Venti::start()).collect() };
    seeds::play(servers, |servers, seed| {
        let seen = Schedule::new(seed, servers).play();
        seen.into_iter().map(|what| (what, 1))
    });
}

/// A server that restarts takes longer than one redial.
#[test]
fn a_target_that_was_met_is_dialled_again_until_it_answers() {
    let servers: Arc<[Venti]> = (0..=TARGETS).map(|_| Venti::start()).collect();
    let mut schedule = Schedule::new(1, &servers);
    schedule.append(6);
    let mut config = schedule.config();
    config.retries = 5;
    let counts = servers[0].counts();
    servers[0].fault(Fault::at(On::Write, counts.writes + 3, How::Crash));
    servers[0].fault(Fault {
        on: On::Connection,
        first: counts.connections + 2,
        times: 4,
        how: How::Close,
    });
    let status = schedule.run(&[0], &config, None, false);
    assert_eq!(status, Status::Done);
    assert_eq!(servers[0].counts().connections, counts.connections + 6);
}

/// A directory that costs no disk, where there is one.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// One schedule, and what is known of it so far.
struct Schedule<'a> {
    seed: u64,
    random: Random,
    sample: Sample,
    servers: &'a Arc<[Venti]>,
    dials: Vec<TargetName>,
    with_source: bool,
    directory: TempDir,
    partition: Partition,
    /// The blocks so far, to repeat some.
    blocks: Vec<(u8, Vec<u8>)>,
    /// Clumps of each arena that the trailers on disk count.
    counted: Vec<usize>,
    /// A clump with a flipped bit: arena and number.
    damaged: Option<(usize, usize)>,
    /// What happened, to be told when it fails.
    story: Vec<String>,
    /// What happened, to be counted.
    seen: Vec<&'static str>,
}

impl Drop for Schedule<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("schedule {}: VENTI_SCHEDULE={0} plays it again", self.seed);
            println!("{}", self.story.join("\n"));
        }
    }
}

impl<'a> Schedule<'a> {
    fn new(seed: u64, servers: &'a Arc<[Venti]>) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(17));
        let directory = scratch();
        let mut builder = PartitionBuilder::new().block_size(512).seed(seed);
        if random.below(2) == 0 {
            builder = builder.without_seal_scores();
        }
        for _ in 0..2 + random.below(2) {
            builder = builder.arenas(1, 6 * 1024 + 512 * random.below(20) as u64);
        }
        let partition = builder.create(&directory.path().join("arenas")).unwrap();
        servers.iter().for_each(Venti::wipe);
        let targets = 1 + random.below(TARGETS);
        let dials = servers.iter().map(|s| s.dial().parse().unwrap());
        fs::create_dir(directory.path().join("state")).unwrap();
        Schedule {
            seed,
            sample: Sample::new(random.draw(), 65),
            with_source: random.below(3) == 0,
            servers,
            dials: dials.take(targets).collect(),
            directory,
            counted: vec![0; partition.arenas().len()],
            partition,
            random,
            blocks: Vec::new(),
            damaged: None,
            story: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn play(mut self) -> Vec<&'static str> {
        let blocks = self.random.below(24);
        self.append(blocks);
        if self.random.below(2) == 0 {
            let command = self.command(0, 0);
            self.write_wrcmd(&command);
        }
        for _ in 0..1 + self.random.below(3) {
            self.run_once();
            self.happen();
        }
        self.end();
        std::mem::take(&mut self.seen)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.random.below(100) < percent
    }

    fn tell(&mut self, line: String) {
        self.story.push(line);
    }

    fn append(&mut self, count: usize) {
        for _ in 0..count {
            let again = self.random.below(self.blocks.len() * 8);
            let block = match self.blocks.get(again) {
                Some(block) => block.clone(),
                None => {
                    let size = 20 + self.random.below(900);
                    let block_type = [13, 13, 13, 2, 3, 1][self.random.below(6)];
                    (block_type, self.sample.block(size))
                }
            };
            match self.partition.append(block.0, &block.1) {
                Ok(_) => {
                    let block_type = BlockType::from_disk(block.0).unwrap();
                    self.servers[TARGETS].insert(block_type, &block.1);
                    self.blocks.push(block);
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
            }
        }
        if self.chance(25) {
            self.partition.flush_log().unwrap();
            self.seen.push("trailers that lag");
        } else {
            self.flush();
        }
        let clumps = self.partition.clumps().count();
        self.tell(format!("appended: {clumps} clumps now"));
    }

    fn flush(&mut self) {
        self.partition.flush().unwrap();
        let arenas = self.partition.arenas().iter();
        self.counted = arenas.map(|arena| arena.clumps().len()).collect();
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn part(&self) -> String {
        self.partition.path().display().to_string()
    }

    /// The wrcmd for a place.
    fn command(&self, arena: usize, offset: u64) -> String {
        let head = self.partition.arenas()[arena].head();
        let (host, part) = (&self.dials[0], self.part());
        format!("wrarena -h {host} -o {head} {part} {offset:#x}\n")
    }

    /// The wrcmd at the end of everything.
    fn last_command(&self) -> String {
        let mut arenas = self.partition.arenas().iter().enumerate().rev();
        let last = arenas.find(|(_, arena)| arena.counters().clumps > 0);
        last.map_or_else(
            || self.command(0, 0),
            |(number, arena)| self.command(number, arena.counters().used),
        )
    }

    fn wrcmd(&self) -> Option<String> {
        fs::read_to_string(self.state().join("wrcmd")).ok()
    }

    fn write_wrcmd(&self, text: &str) {
        fs::write(self.state().join("wrcmd"), text).unwrap();
    }

    fn wrcmds(&self) -> Wrcmds {
        match fs::read(self.state().join("wrcmds")) {
            Ok(bytes) => Wrcmds::parse(&bytes).expect("wrcmds"),
            Err(_) => Wrcmds::new(),
        }
    }

    /// The clumps that the line of a target says it has: those before its
    /// place, but for recorded damage.
    fn claimed(&self, wrcmds: &Wrcmds, target: usize) -> Vec<Key> {
        let (dial, part) = (&self.dials[target], self.part());
        let Some(Progress { head, offset, .. }) = wrcmds.get(dial, &part) else {
            return Vec::new();
        };
        let damage: HashSet<(u64, u64)> = wrcmds
            .damages(dial, &part)
            .map(|damage| (damage.head, damage.offset))
            .collect();
        let arenas = self.partition.arenas();
        let at = arenas.iter().position(|arena| arena.head() == head);
        let at = at.expect("a line is at an arena");
        let ends = arenas[at].clumps().iter().any(|c| c.end() == offset);
        assert!(offset == 0 || ends, "{dial}: {offset:#x} is no place");
        let claims = |(number, arena): (usize, &'_ venti_tests::arena::Arena)| {
            let head = arena.head();
            let clumps = arena.clumps().iter().copied();
            let before = clumps.filter(|c| number < at || c.offset < offset);
            let sent = before.filter(|c| !damage.contains(&(head, c.offset)));
            sent.map(|c| (BlockType::from_disk(c.block_type).unwrap(), c.score))
                .collect::<Vec<_>>()
        };
        arenas
            .iter()
            .enumerate()
            .take(at + 1)
            .flat_map(claims)
            .collect()
    }

    /// What of that is not on the target's disk.
    fn lacking(&self, wrcmds: &Wrcmds, target: usize) -> BTreeSet<Key> {
        let server = &self.servers[target];
        let mut claimed = self.claimed(wrcmds, target);
        claimed.retain(|(block_type, score)| !server.has_synced(*block_type, score));
        claimed.into_iter().collect()
    }

    /// Between two runs.
    fn happen(&mut self) {
        if self.chance(70) {
            let count = self.random.below(12);
            self.append(count);
        }
        if self.chance(10) {
            self.flush();
        }
        for target in 0..self.dials.len() {
            if self.chance(15) {
                self.vanish(target);
            }
        }
        if self.chance(12) {
            self.damage_or_mend();
        }
        if self.wrcmd().is_some() && self.chance(12) {
            self.edit_wrcmd();
        }
    }

    /// Blocks that a target acknowledged are there no more.
    fn vanish(&mut self, target: usize) {
        let mut blocks = self.servers[target].blocks();
        for _ in 0..1 + self.random.below(3) {
            if blocks.is_empty() {
                return;
            }
            let (block_type, score) = blocks.swap_remove(self.random.below(blocks.len()));
            self.servers[target].forget(block_type, &score);
            self.tell(format!("{target} forgets {block_type} {score}"));
            self.seen.push("a block that vanished");
        }
    }

    /// Damages a clump that the trailers count and that is there once, or
    /// mends it.
    fn damage_or_mend(&mut self) {
        if self.damaged.is_some() {
            self.mend();
            return;
        }
        let arena = self.random.below(self.counted.len());
        if self.counted[arena] == 0 {
            return;
        }
        let clump = self.random.below(self.counted[arena]);
        let score = self.partition.arenas()[arena].clumps()[clump].score;
        if self.partition.clumps().filter(|c| c.score == score).count() > 1 {
            return;
        }
        self.partition.flip_data(arena, clump, 3).unwrap();
        self.damaged = Some((arena, clump));
        // A second, whole copy would hide it: no server stores one.
        self.blocks.clear();
        self.tell(format!("clump {clump} of arena {arena} is damaged"));
        self.seen.push("a damaged clump");
    }

    fn mend(&mut self) {
        if let Some((arena, clump)) = self.damaged.take() {
            self.partition.flip_data(arena, clump, 3).unwrap();
            self.tell("mended".to_owned());
        }
    }

    /// What scripts and operators do: ahead without having sent, or back.
    fn edit_wrcmd(&mut self) {
        let command = if self.chance(60) {
            self.last_command()
        } else {
            let arena = self.random.below(self.counted.len());
            let clumps = self.partition.arenas()[arena].clumps();
            let clump = clumps.get(self.random.below(clumps.len() + 1));
            self.command(arena, clump.map_or(0, |clump| clump.offset))
        };
        self.tell(format!("wrcmd edited: {}", command.trim_end()));
        self.write_wrcmd(&command);
        self.seen.push("an edited wrcmd");
    }

    /// A fault of a target, counted from now.
    fn fault(&mut self, server: usize) {
        let counts = self.servers[server].counts();
        let (on, base, within) = [
            (On::Connection, counts.connections, 3),
            (On::Hello, counts.hellos, 3),
            (On::Request, counts.requests, 60),
            (On::Write, counts.writes, 25),
            (On::Write, counts.writes, 25),
            (On::Write, counts.writes, 25),
            (On::Read, counts.reads, 20),
            (On::Probe, counts.probes, 25),
            (On::Sync, counts.syncs, 5),
            (On::Sync, counts.syncs, 5),
        ][self.random.below(10)];
        let how = match self.random.below(if on == On::Write { 16 } else { 10 }) {
            0 | 1 => How::Close,
            2 | 3 => How::Crash,
            4 | 5 => How::Error("no space left in arenas".to_owned()),
            6 => How::Short,
            7 => How::Wrong,
            8 => How::WrongTag,
            9 => How::WrongReply,
            _ => How::Lose,
        };
        // What stands in place of a version line is a closed connection.
        let how = if on == On::Connection {
            How::Close
        } else {
            how
        };
        let first = base + 1 + self.random.below(within) as u64;
        let times = [1, 1, 1, 2, 5, u64::MAX][self.random.below(6)];
        let fault = Fault {
            on,
            first,
            times,
            how,
        };
        self.tell(format!("{server}: {fault:?} (now {base})"));
        self.servers[server].fault(fault);
    }

    /// One run, with all that goes wrong in it, and what has to hold after it.
    fn run_once(&mut self) {
        let mut config = self.config();
        for server in 0..=self.dials.len() {
            // The source is the last one.
            let server = if server == self.dials.len() {
                TARGETS
            } else {
                server
            };
            while self.chance(if server == TARGETS { 15 } else { 35 }) {
                self.fault(server);
            }
        }
        if self.chance(2) {
            let server = self.random.below(self.dials.len());
            let asked = self.servers[server].counts().requests + 1;
            let first = asked + self.random.below(40) as u64;
            self.servers[server].fault(Fault::at(On::Request, first, How::Silence));
            let limit = Duration::from_millis(30);
            config.dialer.limits.silence = limit;
            config.dialer.limits.sync = limit;
            self.tell(format!("{server}: silent at request {first}"));
        }
        let steps = self.chance(50).then(|| self.random.below(70));
        let verify = self.chance(20);
        let mut targets: Vec<usize> = (0..self.dials.len()).collect();
        if self.chance(20) {
            targets.truncate(1);
        }
        self.run(&targets, &config, steps, verify);
        self.servers.iter().for_each(Venti::heal);
    }

    fn config(&mut self) -> Config {
        let limit = Duration::from_secs(5);
        let mut config = Config::default();
        config.retries = u32::try_from(self.random.below(3)).unwrap();
        config.backoff = Duration::from_millis(1);
        config.checkpoint_bytes = 1 + self.random.below(6000) as u64;
        config.dialer.limits = Timeouts {
            connect: limit,
            silence: limit,
            sync: limit,
            ..Timeouts::default()
        };
        config
    }

    fn options(&self, targets: &[usize], verify: bool) -> Options {
        let source = self.with_source.then(|| self.servers[TARGETS].dial());
        Options {
            scope: Scope {
                offline: source.is_none(),
                partitions: vec![self.part()],
                targets: targets.iter().map(|&t| self.servers[t].dial()).collect(),
                ..Scope::default()
            },
            source,
            verify,
            ..Options::default()
        }
    }

    /// Runs, and checks what has to hold after any run.
    fn run(
        &mut self,
        targets: &[usize],
        config: &Config,
        steps: Option<usize>,
        verify: bool,
    ) -> Status {
        let before = self.look();
        let options = self.options(targets, verify);
        let (fuse, kept, result) = loop {
            let fuse = Arc::new(Fuse::new(&self.state(), steps, self.servers));
            let state = StateDir::open(&self.state()).unwrap();
            let state = state.guarded(Arc::clone(&fuse) as Arc<dyn Guard>);
            let (terminal, kept) = Terminal::keeping("ventiprog");
            let result = ventiprog::run_in(state, "ventiprog", &options, config, &terminal);
            // A child that another story just forked has our open files, and
            // with them the lock of the last run, until it executes something.
            if status(&result).0 != Status::Locked {
                break (fuse, kept, result);
            }
            thread::sleep(Duration::from_millis(1));
        };
        let killed = fuse.has_blown();
        if killed && self.chance(50) {
            fuse.cut_power(&mut self.random);
            self.tell("power cut".to_owned());
            self.seen.push("a power cut");
        }
        self.tell(format!(
            "run on {targets:?}, verify {verify}, steps {steps:?}, checkpoint {}, retries {}: {result:?}, killed {killed}",
            config.checkpoint_bytes, config.retries
        ));
        self.story
            .extend(kept.said().into_iter().map(|l| format!("    {l}")));
        if let Ok(text) = fs::read_to_string(self.state().join("wrcmds")) {
            self.story.extend(text.lines().map(|l| format!("  | {l}")));
        }
        let run = Run {
            targets: targets.to_vec(),
            status: status(&result),
            killed,
            kept,
            before,
        };
        self.seen.push(if killed { "killed" } else { run.status.1 });
        self.check(&run);
        run.status.0
    }

    fn look(&self) -> Before {
        let wrcmds = self.wrcmds();
        let all = 0..self.dials.len();
        for server in self.servers.iter() {
            let _ = server.take_lost();
        }
        let lacking = all.clone().map(|t| self.lacking(&wrcmds, t));
        let lacking: Vec<BTreeSet<Key>> = lacking.collect();
        let mut gone = lacking.clone();
        for (gone, server) in gone.iter_mut().zip(self.servers.iter()) {
            gone.retain(|(block_type, score)| !server.contains(*block_type, score));
        }
        Before {
            left: self.left(),
            wrcmd: self.wrcmd(),
            lacking,
            gone,
            places: all.map(|t| self.place(&wrcmds, t)).collect(),
        }
    }

    fn place(&self, wrcmds: &Wrcmds, target: usize) -> Option<(u64, u64)> {
        let place = wrcmds.get(&self.dials[target], &self.part())?;
        Some((place.head, place.offset))
    }

    fn check(&mut self, run: &Run) {
        let wrcmds = self.wrcmds();
        for target in 0..self.dials.len() {
            let lost = self.servers[target].take_lost();
            self.check_target(run, &wrcmds, target, &lost);
        }
        self.check_wrcmd(run, &wrcmds);
        if !run.killed {
            let new = self.left();
            let left: Vec<_> = new.difference(&run.before.left).collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }

    /// Files that were to replace others.
    fn left(&self) -> BTreeSet<String> {
        let files = fs::read_dir(self.state()).unwrap();
        let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }

    /// A line is not ahead of its target, and what vanished was noticed.
    fn check_target(&mut self, run: &Run, wrcmds: &Wrcmds, target: usize, lost: &HashSet<Key>) {
        let dial = &self.dials[target];
        let vanished = &run.before.lacking[target];
        let moved = run.before.places[target] != self.place(wrcmds, target);
        let missing = run.blocks(dial, " is missing, ");
        let damaged = run.blocks(dial, " is damaged there ");
        let noticed: HashSet<&String> = missing.union(&damaged).collect();
        let unheeded = run.killed || missing.is_empty();
        for key in self.lacking(wrcmds, target) {
            // What cannot be read is told, and nothing here can cure it.
            let unread = missing.is_empty() && !damaged.is_empty();
            let known = vanished.contains(&key) && (unread || !moved && unheeded);
            assert!(
                lost.contains(&key) || known,
                "{target}: its line claims {key:?} (vanished before: {})",
                vanished.contains(&key)
            );
        }
        let gone = &run.before.gone[target];
        if run.killed || gone.is_empty() || !run.targets.contains(&target) {
            return;
        }
        if noticed.is_empty() {
            assert!(run.says_of(dial), "{target}: a loss went unnoticed");
            assert_ne!(run.status.0, Status::Done);
            self.seen.push("a loss behind a failure");
            return;
        }
        // Many are only counted.
        let said = run.kept.said();
        let more = format!("{dial}: and ");
        let all_told = !said.iter().any(|line| line.starts_with(&more));
        for &(block_type, score) in gone.iter().filter(|_| all_told) {
            let name = BlockName(block_type, score).to_string();
            assert!(noticed.contains(&name), "{target}: {name} was not missed");
        }
        assert_eq!(run.status.0, Status::Unverified);
        self.seen.push("a loss noticed");
    }

    /// The wrcmd is the old one, or the new one of a run in which all targets
    /// came to the end.
    fn check_wrcmd(&mut self, run: &Run, wrcmds: &Wrcmds) {
        let (old, new) = (&run.before.wrcmd, self.wrcmd());
        if let Some(text) = &new {
            WrCmd::parse(text.as_bytes()).expect("wrcmd");
        }
        let all = self.partition.clumps().count();
        let complete = run.targets.iter().all(|&target| {
            let damages = wrcmds.damages(&self.dials[target], &self.part()).count();
            self.claimed(wrcmds, target).len() + damages >= all
        });
        if new != *old {
            assert_eq!(new, Some(self.last_command()), "it was {old:?}");
            assert!(complete, "wrcmd moved, and not all are at the end");
        }
        if run.status.0 == Status::Done {
            assert!(complete && new == Some(self.last_command()), "{new:?}");
        }
    }

    /// How a run ends in which nothing is amiss: a source that has no room left
    /// goes on elsewhere.
    fn at_best(&self) -> Status {
        let mut arenas = self.partition.arenas().iter();
        match self.with_source && arenas.all(|arena| arena.counters().sealed) {
            true => Status::Partly,
            false => Status::Done,
        }
    }

    /// A block that a target could not give back, and that is on record until it
    /// does, is lost there meanwhile. It counts wherever the target's place is.
    fn lost_unreadable(&self, target: usize) -> bool {
        let wrcmds = self.wrcmds();
        let part = self.part();
        let mut blocks = wrcmds.unreadable(&self.dials[target], &part);
        blocks.any(|block| match (block.block_type, block.score) {
            (Some(block_type), Some(score)) => !self.servers[target].contains(block_type, &score),
            _ => false,
        })
    }

    /// Whether each target has a place beyond the start of the partition.
    fn recorded(&self) -> bool {
        let (wrcmds, part) = (self.wrcmds(), self.part());
        let start = self.partition.arenas()[0].head();
        self.dials.iter().all(|dial| {
            let place = wrcmds.get(dial, &part);
            place.is_some_and(|place| (place.head, place.offset) != (start, 0))
        })
    }

    /// All is well again: one run completes, and the next has nothing to do.
    fn end(&mut self) {
        self.mend();
        self.flush();
        self.servers.iter().for_each(Venti::heal);
        let targets: Vec<usize> = (0..self.dials.len()).collect();
        let gone = self.look().gone.iter().any(|gone| !gone.is_empty());
        let gone = gone || targets.iter().any(|&target| self.lost_unreadable(target));
        let config = self.config();
        let recorded = self.recorded();
        let status = self.run(&targets, &config, None, true);
        let expected = match (gone, recorded) {
            (true, _) => Status::Unverified,
            // Of a target without a place nothing is verified, and that is said.
            (false, false) => Status::Partly,
            (false, true) => self.at_best(),
        };
        assert_eq!(status, expected, "the final run");
        let sent = || self.servers.iter().map(|s| s.counts().writes).sum::<u64>();
        let before = sent();
        let config = self.config();
        let at_best = match self.recorded() {
            true => self.at_best(),
            false => Status::Partly,
        };
        let status = self.run(&targets, &config, None, true);
        assert_eq!(status, at_best);
        let sent = || self.servers.iter().map(|s| s.counts().writes).sum::<u64>();
        assert_eq!(sent(), before, "nothing was new");
        for target in targets {
            for clump in self.partition.clumps() {
                let block_type = BlockType::from_disk(clump.block_type).unwrap();
                let has = self.servers[target].has_synced(block_type, &clump.score);
                assert!(has, "{target} lacks {clump:?}");
            }
        }
        // What killed runs left goes as soon as nothing has it open.
        let mut tries = 0;
        while !self.left().is_empty() {
            assert!(tries < 1000, "left behind: {:?}", self.left());
            tries += 1;
            thread::sleep(Duration::from_millis(1));
            let _ = StateDir::open(&self.state()).unwrap().lock();
        }
        let log = fs::read_to_string(self.state().join("rootscor")).unwrap_or_default();
        let last = log.lines().rfind(|line| line.starts_with("wrarena"));
        let wrcmd = self.wrcmd().unwrap();
        assert!(last.is_none_or(|last| last == wrcmd.trim_end()) || self.was_edited());
    }

    fn was_edited(&self) -> bool {
        self.seen.contains(&"an edited wrcmd")
    }
}

/// What there was before a run.
struct Before {
    left: BTreeSet<String>,
    wrcmd: Option<String>,
    /// For each target, what its line claims and is not on its disk.
    lacking: Vec<BTreeSet<Key>>,
    /// What of that it does not have in memory either.
    gone: Vec<BTreeSet<Key>>,
    places: Vec<Option<(u64, u64)>>,
}

/// What came of a run.
struct Run {
    targets: Vec<usize>,
    status: (Status, &'static str),
    killed: bool,
    kept: Arc<Kept>,
    before: Before,
}

impl Run {
    /// The names of the blocks of a target of which this was said.
    fn blocks(&self, dial: &TargetName, what: &str) -> HashSet<String> {
        let start = format!("{dial}: ");
        let said = self.kept.said();
        let of_target = said.iter().filter_map(|line| line.strip_prefix(&start));
        of_target
            .filter_map(|line| Some(line.split_once(what)?.0))
            .filter(|name| name.contains(" block "))
            .map(str::to_owned)
            .collect()
    }

    fn says_of(&self, dial: &TargetName) -> bool {
        let start = format!("{dial}: ");
        self.kept.said().iter().any(|line| line.starts_with(&start))
    }
}

fn status(result: &Result<Status>) -> (Status, &'static str) {
    let status = match result {
        Ok(status) => *status,
        Err(report) => status_of(report),
    };
    let name = match status {
        Status::Done => "status 0",
        Status::Failed => "status 1",
        Status::Usage => "status 2",
        Status::Partly => "status 3",
        Status::Unverified => "status 4",
        Status::Locked => "status 5",
        Status::Unreachable => "status 6",
    };
    (status, name)
}

/// Kills a run after so many steps: from then on nothing changes on disk, all
/// connections are cut and no new ones are served. Keeps book of what of the
/// state directory would outlast a power cut.
struct Fuse {
    servers: Arc<[Venti]>,
    burning: Mutex<Burning>,
}

struct Burning {
    left: Option<usize>,
    blown: bool,
    /// The step that was let pass last; it is done when the next one comes.
    last: Option<Done>,
    disk: Disk,
}

impl fmt::Debug for Fuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fuse")
    }
}

impl Fuse {
    fn new(directory: &Path, steps: Option<usize>, servers: &Arc<[Venti]>) -> Self {
        Fuse {
            servers: Arc::clone(servers),
            burning: Mutex::new(Burning {
                left: steps,
                blown: false,
                last: None,
                disk: Disk::look(directory),
            }),
        }
    }

    fn burning(&self) -> MutexGuard<'_, Burning> {
        self.burning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_blown(&self) -> bool {
        self.burning().blown
    }

    fn cut_power(&self, random: &mut Random) {
        self.burning().disk.cut_power(random);
    }

    fn kill(&self) {
        for server in self.servers.iter() {
            let next = server.counts().connections + 1;
            server.fault(Fault::from(On::Connection, next, How::Close));
            server.restart();
        }
    }
}

impl Guard for Fuse {
    fn before(&self, step: PendingChange<'_>) -> io::Result<()> {
        let mut burning = self.burning();
        let last = burning.last.take();
        if let Some(last) = last {
            burning.disk.note(last);
        }
        match burning.left {
            _ if burning.blown => Err(io::Error::other("killed")),
            Some(0) => {
                burning.blown = true;
                self.kill();
                Err(io::Error::other("killed"))
            }
            left => {
                burning.left = left.map(|left| left - 1);
                burning.last = Some(Done::from(step));
                Ok(())
            }
        }
    }
}

/// A step that was made.
enum Done {
    Open(PathBuf),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    SyncDir,
    Remove(PathBuf),
    Other,
}

impl From<PendingChange<'_>> for Done {
    fn from(step: PendingChange<'_>) -> Self {
        match step {
            PendingChange::Open(path) => Done::Open(path.to_owned()),
            PendingChange::Sync(path) => Done::Sync(path.to_owned()),
            PendingChange::Rename(from, to) => Done::Rename(from.to_owned(), to.to_owned()),
            PendingChange::SyncDir(_) => Done::SyncDir,
            PendingChange::Remove(path) => Done::Remove(path.to_owned()),
            PendingChange::Write(_) | PendingChange::Mode(_) => Done::Other,
        }
    }
}

/// What of a directory lasts: names as of the last sync of the directory,
/// contents as of the last sync of each file.
struct Disk {
    /// The files by name, now.
    names: BTreeMap<PathBuf, usize>,
    /// The same, as of the last sync.
    lasting: BTreeMap<PathBuf, usize>,
    /// Their contents, as of the last sync of each.
    contents: Vec<Vec<u8>>,
}

impl Disk {
    fn look(directory: &Path) -> Self {
        let mut disk = Disk {
            names: BTreeMap::new(),
            lasting: BTreeMap::new(),
            contents: Vec::new(),
        };
        for file in fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            disk.contents.push(fs::read(&path).unwrap());
            disk.names.insert(path, disk.contents.len() - 1);
        }
        disk.lasting = disk.names.clone();
        disk
    }

    fn note(&mut self, done: Done) {
        match done {
            Done::Open(path) => {
                if !self.names.contains_key(&path) {
                    self.contents.push(Vec::new());
                    self.names.insert(path, self.contents.len() - 1);
                }
            }
            Done::Sync(path) => {
                if let Some(&file) = self.names.get(&path) {
                    self.contents[file] = fs::read(&path).unwrap();
                }
            }
            Done::Rename(from, to) => {
                let file = self.names.remove(&from).unwrap();
                self.names.insert(to, file);
            }
            Done::SyncDir => self.lasting = self.names.clone(),
            Done::Remove(path) => drop(self.names.remove(&path)),
            Done::Other => {}
        }
    }

    /// Leaves what lasts, and by chance some of the rest.
    fn cut_power(&mut self, random: &mut Random) {
        let now: BTreeMap<usize, Vec<u8>> = self
            .names
            .iter()
            .filter_map(|(path, &file)| Some((file, fs::read(path).ok()?)))
            .collect();
        let names = if random.below(2) == 0 {
            &self.names
        } else {
            &self.lasting
        };
        for path in self.names.keys() {
            let _ = fs::remove_file(path);
        }
        for (path, &file) in names {
            let unsynced = now.get(&file).filter(|_| random.below(2) == 0);
            fs::write(path, unsynced.unwrap_or(&self.contents[file])).unwrap();
        }
    }
}
