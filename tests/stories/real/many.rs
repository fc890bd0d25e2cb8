//! A real venti with many small arenas, and two others that are to have all of
//! it: no file is written by hand, arenas fill and seal meanwhile, and a run is
//! killed in the middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use venti_tests::command::{Command, Output};
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::relay::Relay;
use venti_tests::sample::Sample;
use venti_tests::tree::nodes;
use venticore::codec::operand::Operand;
use venticore::host::partition::Partition;
use venticore::source::{Arena, ArenaPartition};

/// Small, so that a few megabytes fill several.
const ARENA: u64 = 2 << 20;
const ARENAS: u64 = 12;

/// The ventis A, B and C; B is reached by version 04 of the protocol, C by 02.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    sample: Sample,
    a: Venti,
    b: Venti,
    c: Venti,
    to_b: Relay,
    to_c: Relay,
    generation: usize,
}

impl Site {
    fn new() -> Self {
        let plan9 = Plan9::expect();
        let directory = tempfile::tempdir().unwrap();
        for name in ["tree", "state"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let fresh =
            |name, arena| Venti::fresh(&plan9, directory.path(), name, ARENAS * ARENA, arena);
        let (a, b, c) = (
            fresh("a", ARENA),
            fresh("b", 4 * ARENA),
            fresh("c", 2 * ARENA),
        );
        Site {
            sample: Sample::new(31, 50),
            to_b: Relay::to(b.port()),
            to_c: Relay::of_02(c.port()),
            directory,
            plan9,
            a,
            b,
            c,
            generation: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn state(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap()
    }

    /// Files of about so many bytes more in the tree, put into A, and a block
    /// of each of some types besides.
    fn store(&mut self, bytes: usize) {
        self.generation += 1;
        let below = self
            .path("tree")
            .join(format!("generation {}", self.generation));
        fs::create_dir_all(&below).unwrap();
        let mut left = bytes;
        for number in 0.. {
            let size = self.sample.size(300_000).min(left);
            fs::write(below.join(format!("{number}")), self.sample.block(size)).unwrap();
            left -= size;
            if left == 0 {
                break;
            }
        }
        self.plan9.vac(self.directory.path(), &self.a);
        for block_type in ["0", "3", "8", "13"] {
            self.write(block_type);
        }
        self.a.sync();
    }

    fn write(&mut self, block_type: &str) {
        let size = self.sample.size(8000);
        let block = self.sample.block(size);
        let mut write = self.plan9.command("venti/write");
        write.args(["-h", &self.a.address(), "-t", block_type]);
        let _ = fed(&mut write, &block);
    }

    /// The arenas of A that have clumps.
    fn arenas(&self) -> Vec<Arena> {
        self.a.sync();
        let operand = Operand::try_from(self.a.partition().as_os_str()).unwrap();
        let partition = Partition::open(&operand).unwrap();
        let table = ArenaPartition::read(&partition).unwrap();
        let arenas = table.entries.iter();
        let arenas = arenas.map(|entry| table.arena(&partition, entry).unwrap());
        arenas.filter(|arena| arena.live.clumps > 0).collect()
    }

    /// The call that a crontab has, the first time and each time after.
    fn ventiprog(&self, options: &[&str]) -> Command {
        Command::new("ventiprog")
            .args(options)
            .args(["-s", &self.a.address(), "-i", &self.a.index(), "-d"])
            .arg(self.path("state"))
            .args([self.to_b.address(), self.to_c.address()])
    }

    /// The wrcmd of somebody who is at the end of everything.
    fn current(&self, host: &str) -> String {
        let arenas = self.arenas();
        let Arena { head, live, .. } = arenas.last().unwrap();
        let part = self.a.partition().display();
        format!("wrarena -h {host} -o {head} {part} {:#x}", live.used)
    }

    /// B and C hold what A holds, no block twice.
    #[track_caller]
    fn assert_complete(&self, output: &Output) {
        let all = self.a.clumps();
        assert_eq!((self.b.clumps(), self.c.clumps()), (all, all), "{output:?}");
    }

    /// The files say so, and nothing else.
    #[track_caller]
    fn assert_state(&self, log: &[String]) {
        let current = self.current(&self.to_b.address());
        assert_eq!(self.state("wrcmd"), format!("{current}\n"));
        let lines = |text: String| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(lines(self.state("rootscor")), log);
        let mut expected = [current, self.current(&self.to_c.address())];
        expected.sort();
        let mut places = lines(self.state("wrcmds"));
        places.sort();
        assert_eq!(places, expected);
        let arenas = self.arenas();
        let last = arenas.last().unwrap();
        let wrcmds = self.state("wrcmds");
        let comments = wrcmds.lines().filter(|line| line.starts_with("# place "));
        for comment in comments.clone() {
            let magic = format!("magic={:#010x} ", last.clump_magic);
            assert!(comment.contains(&magic), "{comment}");
            let name = format!(" arena={}", last.name);
            assert!(comment.ends_with(&name), "{comment}");
        }
        assert_eq!(comments.count(), 2, "{wrcmds}");
        assert!(!wrcmds.contains("damaged"), "{wrcmds}");
    }

    /// The tree comes back from either, with A stopped.
    fn assert_comes_back(&mut self) {
        let expected = nodes(&self.path("tree"));
        self.a.stop();
        for venti in [&self.b, &self.c] {
            assert_eq!(
                self.plan9.unvac(self.directory.path(), &venti.address()),
                expected
            );
        }
        self.a.start();
    }

    /// Where the C wrarena says that an arena of A ends.
    fn c_end(&self, arena: &Arena) -> String {
        // Head block, data section, trailer block.
        let end = arena.base() + arena.size + u64::from(arena.block_size);
        let range = format!("{}:{}-{end}", self.a.partition().display(), arena.head);
        let arguments = ["-o", "0", "-h", &self.b.address(), &range];
        let output = self.plan9.succeed("venti/wrarena", &arguments);
        let end = output
            .stdout
            .lines()
            .find_map(|l| l.strip_prefix("end offset "));
        end.unwrap_or_else(|| panic!("{output:?}")).to_owned()
    }

    fn writes(&self) -> (u64, u64) {
        (self.to_b.take_writes(), self.to_c.take_writes())
    }

    /// A further run has nothing to do, and says so.
    fn assert_idle(&self) {
        let names = ["wrcmd", "wrcmds", "rootscor"];
        let before = names.map(|name| self.state(name));
        let counts = (self.b.clumps(), self.c.clumps());
        self.writes();
        let output = self.ventiprog(&["-j"]).run();
        assert_eq!(output.status, 0, "{output:?}");
        let sent = output.stdout.matches(r#""sent":0,"bytes":0,"#).count();
        assert_eq!(sent, 2, "{output:?}");
        assert_eq!(self.writes(), (0, 0));
        assert_eq!((self.b.clumps(), self.c.clumps()), counts);
        assert_eq!(names.map(|name| self.state(name)), before);
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn two_ventis_get_many_arenas_in_one_run_and_the_next_run_crosses_over() {
    let mut site = Site::new();
    site.store(8_000_000);
    site.store(8_000_000);
    let arenas = site.arenas();
    let sealed = arenas.iter().filter(|arena| arena.sealed).count();
    assert!(arenas.len() >= 6 && sealed >= 4, "{sealed} of {arenas:?}");

    // Nothing but the URL and the hosts.
    let output = site.ventiprog(&[]).run();
    assert_eq!(output.status, 0, "{output:?}");
    let all = site.a.clumps();
    assert_eq!(site.writes(), (all, all), "{output:?}");
    site.assert_complete(&output);
    let first = site.current(&site.to_b.address());
    assert_eq!(output.stdout, format!("{first}\n"));
    let active = arenas.last().unwrap();
    assert!(
        first.ends_with(&format!(" {}", site.c_end(active))),
        "{first}"
    );
    let mut log = vec![first.clone()];
    site.assert_state(&log);
    site.assert_comes_back();
    site.assert_idle();

    // The active arena fills and seals, and so does the one after.
    site.store(5_000_000);
    let crossed = site.arenas().len() - arenas.len();
    assert!(crossed >= 2, "{crossed}");
    assert!(site.arenas()[arenas.len() - 1].sealed);
    let output = site.ventiprog(&[]).run();
    assert_eq!(output.status, 0, "{output:?}");
    let new = site.a.clumps() - all;
    assert_eq!(site.writes(), (new, new), "{output:?}");
    site.assert_complete(&output);
    let second = site.current(&site.to_b.address());
    assert_eq!(output.stdout, format!("{first}\n{second}\n"));
    log.extend([first, second]);
    site.assert_state(&log);
    site.assert_comes_back();
    site.assert_idle();
    let verified = site.ventiprog(&["--verify", "-j"]).run();
    assert_eq!(verified.status, 0, "{verified:?}");
    let read_back = format!(r#""read_back":{},"#, site.a.clumps());
    assert_eq!(
        verified.stdout.matches(&read_back).count(),
        2,
        "{verified:?}"
    );
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_seeding_that_is_killed_is_completed_by_the_next_run() {
    let mut site = Site::new();
    site.store(9_000_000);
    let all = site.a.clumps();
    let often = "[limits]\ncheckpoint = 500000\n";
    let mut sent = (0, 0);
    for kill in 1..=3 {
        let mut running = site.ventiprog(&["-b", "3M"]).config(often).start();
        let goal = all * kill / 5;
        let deadline = Instant::now() + Duration::from_secs(60);
        while sent.0 < goal && running.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
            let (b, c) = site.writes();
            sent = (sent.0 + b, sent.1 + c);
        }
        assert!(running.is_running(), "{:?}", running.wait());
        running.kill();
        assert_eq!(running.wait().status, 137);
        assert!(!site.path("state/wrcmd").exists());
    }
    assert!(
        site.state("wrcmds")
            .lines()
            .any(|line| line.starts_with("wrarena "))
    );

    let output = site.ventiprog(&[]).run();
    assert_eq!(output.status, 0, "{output:?}");
    let (b, c) = site.writes();
    let most = all + all / 5;
    for total in [sent.0 + b, sent.1 + c] {
        assert!(
            (all..=most).contains(&total),
            "{total} writes of {all} blocks"
        );
    }
    site.assert_complete(&output);
    site.assert_state(&[site.current(&site.to_b.address())]);
    site.assert_comes_back();
    site.assert_idle();
}

/// A partition is only ever read.
#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_sources_partition_is_not_touched() {
    let mut site = Site::new();
    site.store(3_000_000);
    site.a.stop();
    let part = site.a.partition().to_owned();
    let state = |part: &Path| {
        let modified = fs::metadata(part).unwrap().modified().unwrap();
        (
            modified,
            venticore::codec::score::Score::of(&fs::read(part).unwrap()),
        )
    };
    let before = state(&part);
    let output = Command::new("ventiprog")
        .arg("-d")
        .arg(site.path("state"))
        .arg("-p")
        .arg(&part)
        .args([site.to_b.address(), site.to_c.address()])
        .run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(state(&part), before);
    site.a.start();
    site.assert_complete(&output);
    site.assert_idle();
}
