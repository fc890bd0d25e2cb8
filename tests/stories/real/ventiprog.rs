//! plan9port's programs and ours on the same archives: what `vac` stored comes
//! back from the copy, the original script takes turns with us, and the C
//! wrarena agrees about where an arena ends.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use venti_tests::arena::PartitionBuilder;
use venti_tests::command::{self, Command, Output};
use venti_tests::golden::{self, Manifest};
use venti_tests::plan9::{Plan9, Venti};
use venti_tests::relay::Relay;
use venti_tests::sample::Sample;
use venti_tests::surroundings::Surroundings;
use venti_tests::tree::{Node, nodes};
use venticore::codec::operand::Operand;
use venticore::copy::external::{self, ArenaRest, Program};
use venticore::host::partition::Partition;
use venticore::source::{Arena, ArenaPartition};
use venticore::status::Status;

/// The arenas of the ventis here: a story stays in the first one.
const ARENA: u64 = 8 << 20;

/// A file tree, the venti A that holds it, and the venti B it is copied to
/// through a relay.
struct Site {
    directory: TempDir,
    plan9: Plan9,
    sample: Sample,
    a: Venti,
    b: Venti,
    relay: Relay,
    head: u64,
    end: u64,
    /// Clumps in A when they were last counted.
    counted: u64,
}

impl Site {
    fn new() -> Self {
        let plan9 = Plan9::expect();
        let directory = tempfile::tempdir().unwrap();
        for name in ["tree", "state"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let fresh = |name| Venti::fresh(&plan9, directory.path(), name, 3 * ARENA, ARENA);
        let (a, b) = (fresh("a"), fresh("b"));
        let operand = Operand::try_from(a.partition().as_os_str()).unwrap();
        let table = ArenaPartition::read(&Partition::open(&operand).unwrap()).unwrap();
        Site {
            sample: Sample::new(29, 65),
            relay: Relay::to(b.port()),
            head: table.entries[0].start,
            end: table.entries[0].stop,
            counted: 0,
            directory,
            plan9,
            a,
            b,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn part(&self) -> String {
        self.a.partition().display().to_string()
    }

    /// Adds files of these sizes to the tree, and puts it into A; says how
    /// many clumps A has got.
    fn store(&mut self, generation: &str, sizes: &[usize]) -> u64 {
        let tree = self.path("tree");
        let below = tree.join(format!("{generation}/sub directory"));
        fs::create_dir_all(&below).unwrap();
        for (i, &size) in sizes.iter().enumerate() {
            let path = match i % 2 {
                0 => tree.join(format!("{generation} {i}")),
                _ => below.join(format!("{i}")),
            };
            fs::write(&path, self.sample.text(size / 2)).unwrap();
            let noise = self.sample.noise(size - size / 2);
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(&noise).unwrap();
            let mode = [0o640, 0o755, 0o604, 0o400][i % 4];
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&below, fs::Permissions::from_mode(0o750)).unwrap();
        self.plan9.vac(self.directory.path(), &self.a);
        self.a.sync();
        let before = self.counted;
        self.counted = self.a.clumps();
        self.counted - before
    }

    /// The tree as it comes back from B.
    fn unvac(&self) -> BTreeMap<PathBuf, Node> {
        self.plan9.unvac(self.directory.path(), &self.b.address())
    }

    /// The end offset of the arena in A by plan9port's wrarena. It sends all
    /// of it to B once more, not through the relay.
    fn c_end(&self) -> u64 {
        let range = format!("{}:{}-{}", self.part(), self.head, self.end);
        let arguments = ["-o", "0", "-h", &self.b.address(), &range];
        let output = self.plan9.succeed("venti/wrarena", &arguments);
        let offset = output.stdout.lines().find_map(|line| {
            let digits = line.strip_prefix("end offset 0x")?;
            u64::from_str_radix(digits, 16).ok()
        });
        offset.unwrap_or_else(|| panic!("{output:?}"))
    }

    fn command(&self, file: &Path, head: u64, offset: u64) -> String {
        let host = self.relay.address();
        format!("wrarena -h {host} -o {head} {} {offset:#x}", file.display())
    }

    fn write_wrcmd(&self, line: &str) {
        fs::write(self.path("state/wrcmd"), format!("{line}\n")).unwrap();
    }

    fn wrcmd(&self) -> String {
        fs::read_to_string(self.path("state/wrcmd")).unwrap()
    }

    /// What rootscor has, without comments.
    fn rootscor(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("state/rootscor")).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    fn ventiprog(&self) -> Output {
        Command::new("ventiprog")
            .args(["-s", &self.a.address(), "-d"])
            .arg(self.path("state"))
            .run()
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn a_tree_comes_back_from_the_copy_and_only_what_is_new_is_sent() {
    let mut site = Site::new();
    let part = PathBuf::from(site.part());
    let mut place = site.command(&part, site.head, 0);
    site.write_wrcmd(&place);
    let mut log = Vec::new();
    let generations: [&[usize]; 3] = [
        &[0, 1, 8191, 8192, 8193, 700_000, 1_500_000],
        &[40_000, 3, 250_000],
        &[],
    ];
    for (i, sizes) in generations.into_iter().enumerate() {
        if i > 0 {
            site.a.start();
        }
        let new = site.store(&format!("generation{i}"), sizes);
        let output = site.ventiprog();
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(site.relay.take_writes(), new, "{output:?}");
        assert_eq!(site.b.clumps(), site.counted);

        let end = site.c_end();
        let next = site.command(&part, site.head, end);
        assert_eq!(output.stdout, format!("{place}\n{next}\n"));
        assert_eq!(site.wrcmd(), format!("{next}\n"));
        log.extend([std::mem::replace(&mut place, next.clone()), next]);
        assert_eq!(site.rootscor(), log);

        site.a.stop();
        assert_eq!(site.unvac(), nodes(&site.path("tree")));
    }
    site.a.start();
    let output = site.ventiprog();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(output.stdout, format!("{place}\n{place}\n"));
    assert_eq!(site.relay.take_writes(), 0);
    assert_eq!(site.rootscor(), log);
}

/// The original script, with our state directory for `/n/9fat`, and the
/// wrarena that it finds; `None` where `$ANTS` does not say where it lies.
fn script(site: &Site, wrarena: &str) -> Option<std::process::Command> {
    let Some(ants) = std::env::var_os("ANTS") else {
        // Not by a macro: the harness would keep that to itself.
        let line = "skipped: the original ventiprog; set $ANTS to the directory it lies in\n";
        let _ = io::stderr().write_all(line.as_bytes());
        return None;
    };
    let original = Path::new(&ants).join("ventiprog");
    let text = fs::read_to_string(&original)
        .unwrap_or_else(|e| panic!("{}: {e}", original.display()))
        .replace("/n/9fat", site.path("state").to_str().unwrap());
    let copy = site.path("ventiprog.rc");
    fs::write(&copy, text).unwrap();
    let bin = site.path("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(wrarena, bin.join("wrarena")).unwrap();

    let mut rc = site.plan9.command("rc");
    let mut path = OsString::from(bin);
    let rest = rc.get_envs().find(|(name, _)| *name == "PATH");
    path.push(":");
    path.push(rest.and_then(|(_, value)| value).unwrap());
    let surroundings = Surroundings::below(&site.path(""));
    surroundings.configure("");
    rc.arg(copy)
        .envs(surroundings.environment())
        .env("PATH", path);
    Some(rc)
}

fn run(script: &mut std::process::Command) -> Output {
    let output = script.output().unwrap();
    Output {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Who takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Ours,
    Script,
}

/// Turn after turn, each with new files in the tree: everyone goes on from
/// where the other one stopped. `refresh` makes the file that is read, and
/// says where the arena lies in it.
fn take_turns(wrarena: &str, refresh: impl Fn(&Site) -> (PathBuf, u64)) {
    let mut site = Site::new();
    let Some(mut script) = script(&site, wrarena) else {
        return;
    };
    let (file, head) = refresh(&site);
    let mut place = site.command(&file, head, 0);
    site.write_wrcmd(&place);
    let mut log = Vec::new();
    let turns = [
        Turn::Ours,
        Turn::Script,
        Turn::Ours,
        Turn::Script,
        Turn::Script,
        Turn::Ours,
    ];
    for (i, turn) in turns.into_iter().enumerate() {
        let new = site.store(&format!("turn{i}"), &[200_000, 30_000, 50]);
        refresh(&site);
        let output = match turn {
            Turn::Ours => site.ventiprog(),
            Turn::Script => run(&mut script),
        };
        assert_eq!(output.status, 0, "turn {i}, {turn:?}: {output:?}");
        assert_eq!(site.relay.take_writes(), new, "turn {i}: {output:?}");
        assert_eq!(site.b.clumps(), site.counted, "turn {i}");

        let next = site.command(&file, head, site.c_end());
        assert_eq!(output.stdout, format!("{place}\n{next}\n"), "turn {i}");
        assert_eq!(site.wrcmd(), format!("{next}\n"), "turn {i}");
        log.extend([std::mem::replace(&mut place, next.clone()), next]);
        assert_eq!(site.rootscor(), log, "turn {i}");
    }
    site.a.stop();
    assert_eq!(site.unvac(), nodes(&site.path("tree")));
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_original_script_and_ours_take_turns_with_our_wrarena() {
    take_turns(&command::program("wrarena").to_string(), |site| {
        (site.a.partition().to_owned(), site.head)
    });
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_original_script_and_ours_take_turns_with_the_c_wrarena() {
    let c = Plan9::expect().program("venti/wrarena");
    // The C wrarena knows no offset in a partition.
    take_turns(c.to_str().unwrap(), |site| {
        let file = site.path("a.arena");
        let rdarena = site
            .plan9
            .command("venti/rdarena")
            .arg(site.a.partition())
            .arg("a0")
            .output()
            .unwrap();
        assert!(rdarena.status.success(), "{rdarena:?}");
        fs::write(&file, rdarena.stdout).unwrap();
        (file, 0)
    });
}

/// An arena of a partition that is open, by its number.
fn arena(partition: &Partition, number: usize) -> Arena {
    let table = ArenaPartition::read(partition).unwrap();
    table.arena(partition, &table.entries[number]).unwrap()
}

fn open(operand: &str) -> Partition {
    Partition::open(&operand.parse().unwrap()).unwrap()
}

/// Runs plan9port's wrarena as the external engine.
fn external_run(
    plan9: &Plan9,
    target: &str,
    partition: &Partition,
    stretch: &ArenaRest,
) -> Result<u64, external::ExternalError> {
    let program = Program::new([plan9.program("venti/wrarena")]).unwrap();
    let target = target.parse().unwrap();
    external::run(&program, &target, partition, stretch, &external::LIMITS)
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_c_wrarena_as_the_engine_sends_what_is_new_and_stops_where_ours_does() {
    let mut site = Site::new();
    let host = site.relay.address();
    let mut from = 0;
    for i in 0..3 {
        let new = site.store(&format!("generation{i}"), &[300_000, 20_000, 1]);
        let partition = open(&site.part());
        let stretch = ArenaRest::of(&arena(&partition, 0), from);
        assert_eq!(stretch.end, site.end);
        let end = external_run(&site.plan9, &host, &partition, &stretch).unwrap();
        assert_eq!(site.relay.take_writes(), new);
        assert_eq!(site.b.clumps(), site.counted);

        let ours = Command::new("wrarena")
            .args(["-h", &host, "-o", &site.head.to_string()])
            .args([&site.part(), &format!("{from:#x}")])
            .run();
        assert_eq!(ours.stdout, format!("end offset {end:#x}\n"), "{ours:?}");
        // It may ask first what is there, and then sends nothing.
        assert!([0, new].contains(&site.relay.take_writes()));
        from = end;
    }
    // Nothing new, and an arena without clumps.
    let partition = open(&site.part());
    for (number, from) in [(0, from), (1, 0)] {
        let stretch = ArenaRest::of(&arena(&partition, number), from);
        let end = external_run(&site.plan9, &host, &partition, &stretch).unwrap();
        assert_eq!(end, from);
        assert_eq!(site.relay.take_writes(), 0);
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_c_wrarena_as_the_engine_reads_a_range_of_a_disk() {
    let mut site = Site::new();
    let new = site.store("all", &[300_000, 20_000, 1]);
    site.a.stop();
    let mut disk = vec![0xa5; 1 << 20];
    disk.extend(fs::read(site.a.partition()).unwrap());
    let path = site.path("a disk: the first");
    fs::write(&path, disk).unwrap();

    let partition = open(&format!("{}:1m-", path.display()));
    let arena = arena(&partition, 0);
    let host = site.relay.address();
    let end = external_run(&site.plan9, &host, &partition, &ArenaRest::of(&arena, 0));
    assert_eq!(end.unwrap(), arena.live.used);
    assert_eq!(site.relay.take_writes(), new);
    assert_eq!(site.unvac(), nodes(&site.path("tree")));
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn the_c_wrarena_as_the_engine_is_not_believed_about_a_damaged_arena() {
    let plan9 = Plan9::expect();
    let directory = tempfile::tempdir().unwrap();
    let venti = Venti::fresh(&plan9, directory.path(), "b", 3 * ARENA, ARENA);
    // The C tool names the first clump of an arena otherwise than the rest.
    for damaged in [0, 3, 9] {
        let path = directory.path().join(format!("arenas{damaged}"));
        let mut made = PartitionBuilder::new()
            .arenas(1, 1 << 20)
            .create(&path)
            .unwrap();
        let mut sample = Sample::new(3, 65);
        for _ in 0..10 {
            made.append(13, &sample.noise(2000)).unwrap();
        }
        made.sync().unwrap();
        made.flip_data(0, damaged, 1000).unwrap();

        let partition = open(path.to_str().unwrap());
        let stretch = ArenaRest::of(&arena(&partition, 0), 0);
        let error = external_run(&plan9, &venti.address(), &partition, &stretch).unwrap_err();
        assert_eq!(error.status(), Status::Partly, "{error}");
        assert!(error.to_string().contains("mismatched score"), "{error}");
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn our_wrarena_fills_a_real_venti_from_the_golden_partitions_in_both_versions() {
    let plan9 = Plan9::expect();
    for (name, manifest, status, lost) in [
        ("g5", "g5", 0, 0),
        ("g16", "g16", 0, 0),
        ("g4", "g4", 0, 0),
        ("g5-badclump", "g5", 3, 1),
    ] {
        let arenas = Manifest::load(manifest).arenas;
        let clumps: Vec<_> = arenas.iter().flat_map(|arena| &arena.clumps).collect();
        let distinct: HashSet<_> = clumps.iter().map(|c| (c.block_type, c.score)).collect();
        for relay in [Relay::to, Relay::of_02] {
            let directory = tempfile::tempdir().unwrap();
            let partition = golden::unpack(&format!("{name}.part"), directory.path());
            let venti = Venti::fresh(&plan9, directory.path(), "b", 3 * ARENA, ARENA);
            let relay = relay(venti.port());
            let output = Command::new("wrarena")
                .args(["-h", &relay.address()])
                .arg(partition)
                .run();
            assert_eq!(output.status, status, "{name}: {output:?}");
            assert_eq!(relay.take_writes(), clumps.len() as u64 - lost, "{name}");
            assert_eq!(venti.clumps(), distinct.len() as u64 - lost, "{name}");
        }
    }
}
