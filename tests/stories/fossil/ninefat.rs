//! A 9fat that nobody mounts: `wrcmd` and `rootscor` come and go, and nothing
//! else on the disk changes by a byte.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;
use venti_tests::command::{self, Command, Output};
use venti_tests::fat::{self, Fat};
use venti_tests::golden;
use venti_tests::plan9disk::Disk;
use venti_tests::random::Random;
use venti_tests::venti::Venti;

use crate::fixture::loop_device::Loop;
use crate::fixture::site::{LIMITS, Site};

/// The score in `archived-8k`.
const SCORE: &str = "vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00";

const FATS: [&str; 3] = ["fat12", "fat16", "fat32"];

/// A configuration in which a stand-in writes to the 9fat, with this fault.
fn configured(fault: &str) -> String {
    let program = env!("CARGO_BIN_EXE_stand-in-mcopy");
    format!("{LIMITS}\n[mtools]\nwrite = ['{program}', '{fault}', '{{image}}', '{{file}}']\n")
}

/// What is in every 9fat, and stays there.
const OTHERS: [&str; 3] = ["9PCF", "NVRAM", "PLAN9   INI"];

fn fat(name: &str) -> Vec<u8> {
    golden::bytes(&format!("ninefat/{name}.img"))
}

/// A disk with a 9fat and a fossil, and a state directory.
struct Machine {
    directory: TempDir,
    disk: Disk,
}

impl Machine {
    fn new(of: &str) -> Self {
        Self::with(&fat(of), &[])
    }

    fn with(fat: &[u8], arenas: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fossil = golden::bytes("fossil/archived-8k.fossil");
        let parts = [
            ("9fat", fat),
            ("nvram", &[0x5a; 512]),
            ("fossil", &fossil),
            ("arenas", arenas),
        ];
        let count = if arenas.is_empty() { 3 } else { 4 };
        let disk = Disk::create(&directory.path().join("disk.img"), &parts[..count]);
        Machine { directory, disk }
    }

    fn state(&self, name: &str) -> PathBuf {
        self.directory.path().join("state").join(name)
    }

    fn command(&self, name: &str) -> Command {
        Command::new(name)
            .config(&configured("none"))
            .arg("-d")
            .arg(self.directory.path().join("state"))
            .arg("--9fat")
            .arg(self.disk.operand("9fat"))
    }

    fn fossilize(&self) -> Output {
        self.command("fossilize")
            .arg(self.disk.operand("fossil"))
            .run()
    }

    /// The line that is recorded.
    fn line(&self) -> String {
        format!("{SCORE} {}\n", self.disk.operand("fossil"))
    }

    /// A file of the 9fat.
    fn file(&self, name: &str) -> Option<String> {
        let bytes = self.disk.bytes();
        let contents = Fat::new(&bytes[self.disk.place("9fat")]).file(name);
        contents.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// Writes over a file of the 9fat of the same length, as Plan 9 might.
    fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let old = self.file(name).unwrap();
        let new = change(old.clone());
        assert_eq!(old.len(), new.len());
        let mut bytes = self.disk.bytes();
        let place = self.disk.place("9fat");
        let at = place.start + Fat::new(&bytes[place]).start_of(name);
        bytes[at..][..new.len()].copy_from_slice(new.as_bytes());
        fs::write(self.disk.path(), bytes).unwrap();
    }

    /// The whole disk is as before but for these files of the 9fat.
    #[track_caller]
    fn assert_only(&self, before: &[u8], names: &[&str]) {
        let after = self.disk.bytes();
        let place = self.disk.place("9fat");
        assert!(before[..place.start] == after[..place.start]);
        assert!(before[place.end..] == after[place.end..]);
        Fat::new(&before[place.clone()]).assert_only(&after[place.clone()], names);
        let fat = Fat::new(&after[place]);
        for name in OTHERS {
            assert!(fat.file(name).is_some(), "{name}");
        }
    }
}

fn all() -> impl Iterator<Item = Machine> {
    FATS.iter().map(|of| {
        let machine = Machine::new(of);
        let bytes = machine.disk.bytes();
        let bits = Fat::new(&bytes[machine.disk.place("9fat")]).bits();
        assert_eq!(format!("fat{bits}"), *of);
        machine
    })
}

#[test]
fn fossilize_brings_the_log_to_a_disk_image_and_changes_nothing_else() {
    for machine in all() {
        let before = machine.disk.bytes();
        let output = machine.fossilize();
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (0, machine.line().as_str()),
            "{output:?}"
        );
        assert!(output.stderr.contains("has no modes"), "{output:?}");
        machine.assert_only(&before, &["ROOTSCOR"]);
        let log = fs::read_to_string(machine.state("rootscor")).unwrap();
        assert_eq!(machine.file("ROOTSCOR"), Some(log));
        // What is said once is said once.
        let output = machine.fossilize();
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
        for _ in 0..10 {
            assert_eq!(machine.fossilize().status, 0);
        }
        machine.assert_only(&before, &["ROOTSCOR"]);
        let log = fs::read_to_string(machine.state("rootscor")).unwrap();
        assert_eq!(log.matches(SCORE).count(), 12);
        assert_eq!(machine.file("ROOTSCOR"), Some(log));
        let mode = fs::metadata(machine.state("ninefat"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_configured_image_is_used_without_an_option() {
    let machine = Machine::new("fat12");
    let config = format!(
        "9fat = '{}'\n{}",
        machine.disk.operand("9fat"),
        configured("none")
    );
    let command = Command::new("fossilize")
        .config(&config)
        .arg("-d")
        .arg(machine.state(""));
    assert_eq!(command.arg(machine.disk.operand("fossil")).run().status, 0);
    assert!(machine.file("ROOTSCOR").unwrap().contains(SCORE));
}

#[test]
fn the_log_of_plan_9_keeps_its_lines_and_gets_ours() {
    let machine = Machine::new("fat16");
    assert_eq!(machine.fossilize().status, 0);
    // A line of the other side, and the last one of ours without its end.
    machine.edit("ROOTSCOR", |log| {
        let ours = log.len() - 1;
        format!("{}x", &log[..ours])
    });
    let theirs = machine.file("ROOTSCOR").unwrap();
    assert_eq!(machine.fossilize().status, 0);
    let log = machine.file("ROOTSCOR").unwrap();
    let added = log.strip_prefix(&theirs).unwrap();
    assert!(
        added.starts_with("\n# ") && added.ends_with(&machine.line()),
        "{added:?}"
    );
    assert_eq!(added.matches(SCORE).count(), 1);
    // What was exchanged is forgotten: nothing that is there is added again.
    fs::remove_file(machine.state("ninefat")).unwrap();
    let before = fs::read_to_string(machine.state("rootscor")).unwrap();
    assert_eq!(machine.fossilize().status, 0);
    let now = machine.file("ROOTSCOR").unwrap();
    assert!(now.starts_with(&log));
    let after = fs::read_to_string(machine.state("rootscor")).unwrap();
    let newest = after.strip_prefix(&before).unwrap();
    assert!(now.ends_with(newest));
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let machine = Machine::new("fat12");
    let before = machine.disk.bytes();
    let command = machine.command("fossilize").arg("-n");
    let output = command.arg(machine.disk.operand("fossil")).run();
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (0, machine.line().as_str()),
        "{output:?}"
    );
    assert!(machine.disk.bytes() == before && !machine.state("").exists());
    let command = Command::new("fossilize")
        .args(["-n", "--9fat"])
        .arg(machine.disk.operand("fossil"));
    let output = command.arg(machine.disk.operand("fossil")).run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("expected a FAT file system"),
        "{output:?}"
    );
}

/// A site whose partition is on a disk with a 9fat.
fn replica(of: &str) -> (Site, Machine, Venti) {
    let site = Site::new(40);
    let arenas = fs::read(site.partition.path()).unwrap();
    (site, Machine::with(&fat(of), &arenas), Venti::start())
}

fn ventiprog(machine: &Machine, venti: &Venti, options: &[&str]) -> Output {
    let command = machine.command("ventiprog").args(options);
    command
        .args(["-p", &machine.disk.operand("arenas"), &venti.dial()])
        .run()
}

#[test]
fn ventiprog_takes_the_wrcmd_from_the_image_and_brings_it_back() {
    for of in FATS {
        let (site, machine, venti) = replica(of);
        let before = machine.disk.bytes();
        let output = ventiprog(&machine, &venti, &[]);
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(site.holes(&venti), 0);
        machine.assert_only(&before, &["ROOTSCOR", "WRCMD"]);
        let wrcmd = fs::read_to_string(machine.state("wrcmd")).unwrap();
        assert_eq!(machine.file("WRCMD").as_ref(), Some(&wrcmd));
        let log = fs::read_to_string(machine.state("rootscor")).unwrap();
        assert_eq!(machine.file("ROOTSCOR"), Some(log));
        assert_eq!(machine.file("WRCMDS"), None);
        assert_eq!(machine.file("LOCK"), None);
        // Nothing new: not a byte changes.
        let before = machine.disk.bytes();
        assert_eq!(ventiprog(&machine, &venti, &[]).status, 0);
        assert!(machine.disk.bytes() == before);
        // Set back on the other side: obeyed, and said.
        let offset = format!("{:#x}", site.end(0));
        let other = format!("0x{:0width$x}", 0, width = offset.len() - 2);
        machine.edit("WRCMD", |wrcmd| wrcmd.replace(&offset, &other));
        let dry = ventiprog(&machine, &venti, &["-n"]);
        assert!(dry.stderr.contains("read from there"), "{dry:?}");
        assert_eq!(fs::read_to_string(machine.state("wrcmd")).unwrap(), wrcmd);
        let before = machine.disk.bytes();
        let output = ventiprog(&machine, &venti, &[]);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(output.stderr.contains("changed on the 9fat"), "{output:?}");
        assert!(
            output
                .stdout
                .starts_with(wrcmd.trim_end().strip_suffix(&offset).unwrap())
        );
        let back = machine.file("WRCMD").unwrap();
        assert_eq!(back, fs::read_to_string(machine.state("wrcmd")).unwrap());
        assert!(back.trim_end().ends_with(&offset), "{back}");
        machine.assert_only(&before, &["ROOTSCOR", "WRCMD"]);
    }
}

#[test]
fn a_wrcmd_that_changed_on_both_sides_is_obeyed_and_ours_is_kept() {
    let (site, machine, venti) = replica("fat12");
    assert_eq!(ventiprog(&machine, &venti, &[]).status, 0);
    let ours = fs::read_to_string(machine.state("wrcmd")).unwrap();
    let offset = format!("{:#x}", site.end(0));
    let clump = |n| format!("0x{:0width$x}", site.clump(n), width = offset.len() - 2);
    machine.edit("WRCMD", |wrcmd| wrcmd.replace(&offset, &clump(3)));
    let ours = ours.replace(&offset, &clump(5));
    fs::write(machine.state("wrcmd"), &ours).unwrap();
    let output = ventiprog(&machine, &venti, &[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert!(
        output.stderr.contains("neither is known to be newer"),
        "{output:?}"
    );
    assert!(output.stdout.contains(&clump(3)), "{output:?}");
    assert_eq!(
        fs::read_to_string(machine.state("wrcmd.kept")).unwrap(),
        ours
    );
    // A run that ended before it could export is no conflict.
    let newer = fs::read_to_string(machine.state("wrcmd"))
        .unwrap()
        .replace(&offset, &clump(7));
    fs::write(machine.state("wrcmd"), &newer).unwrap();
    let output = ventiprog(&machine, &venti, &[]);
    assert!(
        output.status == 0 && !output.stderr.contains("9fat"),
        "{output:?}"
    );
    assert!(output.stdout.contains(&clump(7)), "{output:?}");
}

#[test]
fn a_wrcmd_that_is_none_is_refused_and_nothing_is_taken() {
    let (_, machine, venti) = replica("fat12");
    assert_eq!(ventiprog(&machine, &venti, &[]).status, 0);
    let ours = fs::read_to_string(machine.state("wrcmd")).unwrap();
    machine.edit("WRCMD", |wrcmd| "\u{1}".repeat(wrcmd.len()));
    let before = machine.disk.bytes();
    let output = ventiprog(&machine, &venti, &[]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (2, ""),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("9fat") && output.stderr.contains("wrcmd"),
        "{output:?}"
    );
    assert_eq!(fs::read_to_string(machine.state("wrcmd")).unwrap(), ours);
    assert!(machine.disk.bytes() == before);
}

#[test]
fn an_image_that_somebody_else_has_open_is_refused() {
    let machine = Machine::new("fat12");
    let before = machine.disk.bytes();
    let mut holder = process::Command::new("sleep")
        .arg("60")
        .stdin(File::open(machine.disk.path()).unwrap())
        .spawn()
        .unwrap();
    let output = machine.fossilize();
    holder.kill().unwrap();
    holder.wait().unwrap();
    // The line is on record all the same, and the status tells.
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, machine.line().as_str()),
        "{output:?}"
    );
    let named = format!("held open by sleep (pid {})", holder.id());
    assert!(output.stderr.contains(&named), "{output:?}");
    assert!(machine.disk.bytes() == before);
    assert!(
        fs::read_to_string(machine.state("rootscor"))
            .unwrap()
            .ends_with(&machine.line())
    );
    // The next run brings both.
    assert_eq!(machine.fossilize().status, 0);
    assert_eq!(machine.file("ROOTSCOR").unwrap().matches(SCORE).count(), 2);
}

#[test]
fn an_image_that_another_run_has_locked_is_waited_for() {
    let machine = Machine::new("fat12");
    command::build();
    let mut flocked = process::Command::new("flock")
        .arg(machine.disk.path())
        .args(["sleep", "1"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(300));
    let probe = File::open(machine.disk.path()).unwrap();
    assert!(flock(&probe, FlockOperation::NonBlockingLockExclusive).is_err());
    drop(probe);
    assert_eq!(machine.fossilize().status, 0);
    flocked.wait().unwrap();
}

#[test]
fn an_image_with_a_loop_device_is_refused() {
    if !Path::new("/sys/dev/block").exists() {
        println!("skipped: without /sys nothing tells of which file a loop device is made");
        return;
    }
    let machine = Machine::new("fat12");
    let Some(device) = Loop::of(machine.disk.path(), &[]) else {
        println!("skipped: no loop device can be made here");
        return;
    };
    let before = machine.disk.bytes();
    let output = machine.fossilize();
    assert_eq!(output.status, 1, "{output:?}");
    let name = device.0.strip_prefix("/dev/").unwrap();
    assert!(
        output.stderr.contains(&format!("used by {name}")),
        "{output:?}"
    );
    assert!(machine.disk.bytes() == before);
    drop(device);
    assert_eq!(machine.fossilize().status, 0);
}

#[test]
fn a_live_disk_is_used_through_its_slice() {
    let machine = Machine::new("fat16");
    let Some(device) = Loop::of(machine.disk.path(), &[]) else {
        println!("skipped: no loop device can be made here");
        return;
    };
    let sectors = (machine.disk.bytes().len() / 512 - 63 - 3).to_string();
    let added = process::Command::new("addpart")
        .args([&device.0, "1", "63", &sectors])
        .status();
    let name = device.0.strip_prefix("/dev/").unwrap();
    let number = fs::read_to_string(format!("/sys/block/{name}/{name}p1/dev"));
    let (Ok(true), Ok(number)) = (added.map(|status| status.success()), number) else {
        println!("skipped: no slice can be added to a loop device here");
        return;
    };
    let before = machine.disk.bytes();
    let slice = machine.directory.path().join("slice");
    let (major, minor) = number.trim().split_once(':').unwrap();
    let made = process::Command::new("mknod")
        .arg(&slice)
        .args(["b", major, minor])
        .status();
    assert!(made.unwrap().success());
    let run = |nine_fat: &str| {
        let command = Command::new("fossilize")
            .config(&configured("none"))
            .arg("-d")
            .arg(machine.state(""))
            .args(["--9fat", nine_fat]);
        command.arg(format!("{}:fossil", slice.display())).run()
    };
    // The disk has nodes for its slices, which are cached apart from it.
    let output = run(&format!("{}:9fat", device.0));
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("device nodes"), "{output:?}");
    let nine_fat = format!("{}:9fat", slice.display());
    for path in [Path::new(&device.0), machine.disk.path()] {
        let mut holder = process::Command::new("sleep")
            .arg("60")
            .stdin(File::open(path).unwrap())
            .spawn()
            .unwrap();
        let output = run(&nine_fat);
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(output.status, 1, "{}: {output:?}", path.display());
        assert!(output.stderr.contains("held open by sleep"), "{output:?}");
    }
    let output = run(&nine_fat);
    assert_eq!(output.status, 0, "{output:?}");
    let _ = process::Command::new("delpart")
        .args([&device.0, "1"])
        .status();
    drop(device);
    machine.assert_only(&before, &["ROOTSCOR"]);
    assert_eq!(machine.file("ROOTSCOR").unwrap().matches(SCORE).count(), 4);
}

#[test]
fn a_9fat_without_room_leaves_both_logs_whole() {
    for of in ["fat12", "fat16"] {
        let machine = Machine::new(of);
        assert_eq!(machine.fossilize().status, 0);
        // Every free cluster is marked bad.
        let mut bytes = machine.disk.bytes();
        let place = machine.disk.place("9fat");
        let filled = filled(&bytes[place.clone()]);
        bytes[place].copy_from_slice(&filled);
        fs::write(machine.disk.path(), &bytes).unwrap();
        let ours = || fs::read_to_string(machine.state("rootscor")).unwrap();
        let mut last = Output {
            status: 0,
            stdout: String::new(),
            stderr: String::new(),
        };
        for _ in 0..20 {
            let (there, before) = (machine.file("ROOTSCOR").unwrap(), ours());
            last = machine.fossilize();
            assert_eq!(last.stdout, machine.line());
            assert!(ours().starts_with(&before) && ours().ends_with(&machine.line()));
            let now = machine.file("ROOTSCOR").unwrap();
            assert!(now.starts_with(&there) && ours().starts_with(&now));
            if last.status != 0 {
                assert_eq!(now, there);
                break;
            }
        }
        assert_eq!(last.status, 1, "{last:?}");
        assert!(last.stderr.contains("no room"), "{last:?}");
        machine.assert_only(&bytes, &["ROOTSCOR"]);
    }
}

/// A FAT12 or FAT16 without a free cluster.
fn filled(bytes: &[u8]) -> Vec<u8> {
    let fat = Fat::new(bytes);
    let mut filled = bytes.to_vec();
    fat.fill_free(&mut filled);
    filled
}

/// What a run that was cut short left on record of a change to the image.
fn left_over(machine: &Machine) -> Option<PathBuf> {
    let names = fs::read_dir(machine.state("")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().path());
    names.find(|path| path.display().to_string().contains("/ninefat."))
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next() {
    let machine = Machine::new("fat12");
    command::build();
    assert_eq!(machine.fossilize().status, 0);
    let before = machine.disk.bytes();
    let mut random = Random::new(9);
    for round in 0..40 {
        let there = machine.file("ROOTSCOR").unwrap();
        let command = machine
            .command("fossilize")
            .arg(machine.disk.operand("fossil"));
        let mut running = command.start();
        thread::sleep(Duration::from_micros(random.below(20_000) as u64));
        running.kill();
        let _ = running.wait();
        if left_over(&machine).is_some() {
            let output = machine.fossilize();
            assert_eq!(output.status, 0, "{output:?}");
            assert!(output.stderr.contains("cut short"), "{output:?}");
        }
        let now = machine.file("ROOTSCOR").unwrap();
        assert!(now.starts_with(&there), "round {round}");
        let ours = fs::read_to_string(machine.state("rootscor")).unwrap();
        assert!(
            ours.starts_with(&now),
            "round {round}: no line twice, none lost"
        );
    }
    assert_eq!(machine.fossilize().status, 0);
    machine.assert_only(&before, &["ROOTSCOR"]);
    let ours = fs::read_to_string(machine.state("rootscor")).unwrap();
    assert_eq!(machine.file("ROOTSCOR").unwrap(), ours);
    assert_eq!(left_over(&machine), None);
}

#[test]
fn what_writes_to_the_9fat_is_not_believed() {
    let machine = Machine::new("fat16");
    let run = |config: &str| {
        let command = machine.command("fossilize").config(config);
        command.arg(machine.disk.operand("fossil")).run()
    };
    assert_eq!(run(&configured("none")).status, 0);
    let before = machine.disk.bytes();
    for (fault, said) in [
        (
            "fails",
            "stand-in-mcopy: exit status: 1: Cannot initialize '::'",
        ),
        ("cuts", "ROOTSCOR: would have other contents"),
        ("elsewhere", "the entry of another file would change"),
        ("kernel", "of another file would change"),
        ("lost", "would be lost"),
        ("boot", "the sector at 0 of another file would change"),
        ("grows", "its length of 5242880 bytes would change"),
        ("floods", "more than 1048576 bytes of output"),
    ] {
        let output = run(&configured(fault));
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (1, machine.line().as_str()),
            "{fault}: {output:?}"
        );
        let said = [said, "nothing was written"];
        assert!(
            said.iter().all(|said| output.stderr.contains(said)),
            "{fault}: {output:?}"
        );
        assert!(machine.disk.bytes() == before, "{fault}");
    }
    // What the next one with a good program brings is all of it.
    assert_eq!(run(&configured("none")).status, 0);
    let ours = fs::read_to_string(machine.state("rootscor")).unwrap();
    assert_eq!(machine.file("ROOTSCOR"), Some(ours));
    machine.assert_only(&before, &["ROOTSCOR"]);
}

#[test]
fn without_mtools_the_work_is_done_and_the_message_says_what_to_install() {
    let (site, machine, venti) = replica("fat12");
    let before = machine.disk.bytes();
    let command = machine.command("ventiprog").config(LIMITS);
    let command = command.env("PATH", "/nonexistent");
    let command = command.args(["-p", &machine.disk.operand("arenas"), &venti.dial()]);
    let output = command.run();
    assert_eq!(output.status, 1, "{output:?}");
    let said = "\"mcopy\" is not installed: install GNU mtools (package mtools)";
    assert!(output.stderr.contains(said), "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    assert!(machine.state("wrcmd").exists() && machine.state("rootscor").exists());
    assert!(machine.disk.bytes() == before);
    // With it, both are brought; then there is nothing to write, and it is not needed.
    assert_eq!(ventiprog(&machine, &venti, &[]).status, 0);
    assert!(machine.file("WRCMD").is_some() && machine.file("ROOTSCOR").is_some());
    let command = machine.command("ventiprog").config(LIMITS);
    let command = command.env("PATH", "/nonexistent");
    let output = command
        .args(["-p", &machine.disk.operand("arenas"), &venti.dial()])
        .run();
    assert!(
        output.status == 0 && !output.stderr.contains("9fat"),
        "{output:?}"
    );
}

#[test]
fn a_9fat_that_cannot_be_written_is_told_once_the_work_is_done() {
    let (site, machine, venti) = replica("fat12");
    let before = machine.disk.bytes();
    let read_only = fs::Permissions::from_mode(0o444);
    fs::set_permissions(machine.disk.path(), read_only).unwrap();
    let device = match rustix::process::geteuid().is_root() {
        // No mode keeps root out.
        true => Loop::of(machine.disk.path(), &["--read-only"]),
        false => None,
    };
    let place = machine.disk.place("9fat");
    let image = match &device {
        Some(device) => format!("{}:{}-{}", device.0, place.start, place.end),
        None if rustix::process::geteuid().is_root() => {
            command::skipped("a read-only 9fat: no loop device can be made here");
            return;
        }
        None => machine.disk.operand("9fat"),
    };
    let arenas = machine.disk.operand("arenas");
    let command = Command::new("ventiprog").config(&configured("none"));
    let command = command.arg("-d").arg(machine.state(""));
    let command = command.args(["--9fat", &image, "-p", &arenas, &venti.dial()]);
    let output = command.run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("9fat"), "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    assert!(machine.state("wrcmd").exists());
    assert!(machine.disk.bytes() == before);
}

/// Programs of mtools and dosfstools, in a directory of their own.
struct Tools(TempDir);

impl Tools {
    /// None where one of them is not here, which is said.
    fn new() -> Option<Self> {
        let all = ["mcopy", "mdir", "mmd", "mkfs.vfat", "fsck.fat"];
        if let Some(missing) = all.iter().find(|name| Self::program(name).is_none()) {
            command::skipped(&format!("a 9fat with mtools: no {missing} here"));
            return None;
        }
        Some(Tools(tempfile::tempdir().unwrap()))
    }

    fn program(name: &str) -> Option<PathBuf> {
        let dirs = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
        let mut paths = dirs.iter().map(|dir| Path::new(dir).join(name));
        paths.find(|path| path.exists())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes an image of these bytes, with holes for zeros, and what a 9fat holds.
    fn image(&self, name: &str, bytes: &[u8]) {
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0);
        fs::write(self.path(name), &bytes[..=end]).unwrap();
        let image = File::options().write(true).open(self.path(name));
        image.unwrap().set_len(bytes.len() as u64).unwrap();
        self.fill(name);
    }

    fn output(&self, words: &[&str]) -> process::Output {
        process::Command::new(Self::program(words[0]).unwrap())
            .args(&words[1..])
            .current_dir(self.0.path())
            .env("MTOOLS_SKIP_CHECK", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Puts into an image what a 9fat holds.
    fn fill(&self, image: &str) {
        let kernel: Vec<u8> = (0..100_000u32).map(|n| (n % 253) as u8).collect();
        fs::write(self.path("9pcf"), &kernel).unwrap();
        fs::write(self.path("plan9.ini"), "bootfile=9pcf\n").unwrap();
        fs::write(self.path("nvram"), [0x5a; 512]).unwrap();
        fs::write(self.path("A long name.txt"), "long\n").unwrap();
        self.run(&["mmd", "-i", image, "::efi"]);
        self.run(&[
            "mcopy",
            "-i",
            image,
            "9pcf",
            "plan9.ini",
            "nvram",
            "A long name.txt",
            "::",
        ]);
        self.run(&["mcopy", "-i", image, "9pcf", "::efi/bootx64"]);
    }

    /// What fsck.fat finds in an image. It wants more of a FAT32 than Plan 9 makes.
    fn faults(&self, image: &str) -> String {
        let output = self.output(&["fsck.fat", "-n", image]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let faults = said.lines().filter(|line| !line.starts_with("fsck.fat"));
        let faults: Vec<&str> = faults.filter(|line| !line.contains(" clusters")).collect();
        faults.join("\n")
    }

    /// Records a score, with this image as the 9fat.
    fn fossilize(&self, nine_fat: &str) -> Output {
        let fossil = golden::unpack("fossil/archived-8k.fossil", self.0.path());
        let command = Command::new("fossilize").config(LIMITS);
        let command = command.arg("-d").arg(self.path("state"));
        let command = command.args(["--9fat", nine_fat]);
        command.arg(fossil).run()
    }

    /// The image has our files, and is else as before.
    #[track_caller]
    fn assert_only(&self, image: &str, before: &[u8], names: &[&str]) {
        let after = fs::read(self.path(image)).unwrap();
        Fat::new(before).assert_only(&after, names);
        for name in names {
            let _ = fs::remove_file(self.path("out"));
            self.run(&["mcopy", "-n", "-i", image, &format!("::{name}"), "out"]);
            let ours = fs::read(self.path("state").join(name.to_lowercase())).unwrap();
            assert!(
                fs::read(self.path("out")).unwrap() == ours,
                "{image} {name}"
            );
        }
        fs::write(self.path("before.img"), before).unwrap();
        assert_eq!(self.faults(image), self.faults("before.img"));
    }
}

#[test]
fn mtools_write_to_each_of_plan_9s_geometries() {
    let Some(tools) = Tools::new() else {
        return;
    };
    let mut kinds = Vec::new();
    for sectors in [204_800, 204_802, 20_480, 65_537] {
        for cluster in [1, 2, 4, 8] {
            let image = tools.path("a.img");
            let bytes = fat::plan9(sectors, cluster);
            kinds.push(Fat::new(&bytes).bits());
            tools.image("a.img", &bytes);
            let before = fs::read(&image).unwrap();
            let _ = fs::remove_dir_all(tools.path("state"));
            for _ in 0..2 {
                let output = tools.fossilize(&image.display().to_string());
                assert_eq!(output.status, 0, "{sectors} {cluster}: {output:?}");
            }
            tools.assert_only("a.img", &before, &["ROOTSCOR"]);
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, [12, 16, 32]);
}

#[test]
fn mtools_write_to_what_mkfs_makes() {
    let Some(tools) = Tools::new() else {
        return;
    };
    for (bits, kilobytes, cluster) in [
        ("12", "1440", "1"),
        ("12", "16000", "8"),
        ("16", "20480", "4"),
        ("16", "100001", "8"),
        ("32", "36864", "1"),
        ("32", "300000", "8"),
    ] {
        let image = tools.path("a.img");
        let _ = fs::remove_file(&image);
        tools.run(&[
            "mkfs.vfat",
            "-C",
            "-F",
            bits,
            "-s",
            cluster,
            "-n",
            "9FAT",
            "a.img",
            kilobytes,
        ]);
        tools.fill("a.img");
        let before = fs::read(&image).unwrap();
        let _ = fs::remove_dir_all(tools.path("state"));
        for _ in 0..2 {
            let output = tools.fossilize(&image.display().to_string());
            assert_eq!(output.status, 0, "{bits} {kilobytes}: {output:?}");
        }
        tools.assert_only("a.img", &before, &["ROOTSCOR"]);
    }
}

#[test]
fn mtools_write_inside_a_disk_image_and_names_are_those_of_plan_9() {
    let Some(tools) = Tools::new() else {
        return;
    };
    tools.image("a.img", &fat::plan9(20_480, 4));
    // As Linux has it: a name in small letters and a long one.
    let old = "wrarena -h tcp!old!17034 -o 1 /dev/old 0x0\n";
    fs::write(tools.path("Wrcmd"), old).unwrap();
    tools.run(&["mcopy", "-m", "-i", "a.img", "Wrcmd", "::"]);
    let site = Site::new(10);
    let arenas = fs::read(site.partition.path()).unwrap();
    let machine = Machine::with(&fs::read(tools.path("a.img")).unwrap(), &arenas);
    let venti = Venti::start();
    let run = || {
        let command = machine.command("ventiprog").config(LIMITS);
        let command = command.args(["-p", &machine.disk.operand("arenas"), &venti.dial()]);
        command.run()
    };
    // The wrcmd of the image is obeyed: its partition is not here.
    let before = machine.disk.bytes();
    let output = run();
    assert_ne!(output.status, 0, "{output:?}");
    assert_eq!(fs::read_to_string(machine.state("wrcmd")).unwrap(), old);
    assert!(machine.disk.bytes() == before, "nothing to bring back");
    let ours = site.command(&venti.dial(), 0, 0);
    let ours = ours.replace(&site.part(), &machine.disk.operand("arenas")) + "\n";
    fs::write(machine.state("wrcmd"), ours).unwrap();
    let output = run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    machine.assert_only(&before, &["WRCMD", "ROOTSCOR"]);
    // A copy of the part, for tools that know no disk of Plan 9.
    let nine_fat = &machine.disk.bytes()[machine.disk.place("9fat")];
    fs::write(tools.path("a.img"), nine_fat).unwrap();
    assert_eq!(tools.faults("a.img"), "");
    for name in ["wrcmd", "rootscor"] {
        let _ = fs::remove_file(tools.path("out"));
        tools.run(&["mcopy", "-n", "-i", "a.img", &format!("::{name}"), "out"]);
        let ours = fs::read(machine.state(name)).unwrap();
        assert!(fs::read(tools.path("out")).unwrap() == ours, "{name}");
    }
    // Names in 8.3 alone: the long one goes.
    let listing = tools.run(&["mdir", "-i", "a.img", "::"]);
    for name in ["WRCMD ", "ROOTSCOR "] {
        let lines: Vec<&str> = listing
            .lines()
            .filter(|line| line.starts_with(name))
            .collect();
        assert_eq!(lines.len(), 1, "{listing}");
        assert!(
            !lines[0]
                .to_lowercase()
                .ends_with(name.trim().to_lowercase().as_str())
        );
    }
    assert!(!listing.contains("Wrcmd"), "{listing}");
}

#[test]
fn mtools_write_nothing_where_there_is_no_room_or_damage() {
    let Some(tools) = Tools::new() else {
        return;
    };
    let image = tools.path("a.img");
    let nine_fat = image.display().to_string();
    tools.image("a.img", &fat::plan9(4_000, 1));
    assert_eq!(tools.fossilize(&nine_fat).status, 0);
    let whole = fs::read(&image).unwrap();
    // No room: mcopy itself would end with status 0 and an empty file.
    let free = tools.run(&["mdir", "-i", "a.img", "::"]);
    let free = free
        .lines()
        .find_map(|line| line.strip_suffix(" bytes free"))
        .unwrap();
    let free: usize = free.replace(' ', "").parse().unwrap();
    fs::write(tools.path("big"), vec![1; free - 512]).unwrap();
    tools.run(&["mcopy", "-i", "a.img", "big", "::"]);
    let full = fs::read(&image).unwrap();
    let mut last = tools.fossilize(&nine_fat);
    for _ in 0..10 {
        assert_eq!(tools.faults("a.img"), "");
        if last.status != 0 {
            break;
        }
        last = tools.fossilize(&nine_fat);
    }
    assert_eq!(last.status, 1, "{last:?}");
    assert!(last.stderr.contains("no room") && last.stderr.contains("nothing was written"));
    Fat::new(&full).assert_only(&fs::read(&image).unwrap(), &["ROOTSCOR"]);
    // Damage: rootscor's last cluster leads into the kernel.
    let mut damaged = whole.clone();
    Fat::new(&whole).cross(&mut damaged, "ROOTSCOR", "9PCF");
    fs::write(&image, &damaged).unwrap();
    let output = tools.fossilize(&nine_fat);
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("belongs to something else"),
        "{output:?}"
    );
    assert!(fs::read(&image).unwrap() == damaged);
}

#[test]
fn one_wrong_bit_in_a_boot_sector_harms_no_other_file() {
    let Some(tools) = Tools::new() else {
        return;
    };
    let image = tools.path("a.img");
    // All of the bits are tried beside the code that reads a boot sector.
    for (sectors, step) in [(4_000, 5), (8_600, 11), (68_000, 47)] {
        tools.image("a.img", &fat::plan9(sectors, 1));
        assert_eq!(tools.fossilize(&image.display().to_string()).status, 0);
        let whole = fs::read(&image).unwrap();
        for bit in (11 * 8..64 * 8).step_by(step) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&image, &flipped).unwrap();
            let output = tools.fossilize(&image.display().to_string());
            let mut after = fs::read(&image).unwrap();
            match output.status {
                0 => {
                    after[bit / 8] ^= 1 << (bit % 8);
                    Fat::new(&whole).assert_only(&after, &["ROOTSCOR"]);
                }
                _ => assert!(after == flipped, "bit {bit}: {output:?}"),
            }
        }
    }
}

/// A machine whose 9fat is mounted by scripts, which say what they did.
struct Mounting {
    directory: TempDir,
    partition: PathBuf,
}

impl Mounting {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let partition = golden::unpack("fossil/archived-8k.fossil", directory.path());
        let site = Mounting {
            directory,
            partition,
        };
        fs::create_dir(site.path("behind it")).unwrap();
        fs::write(site.path("behind it/plan9.ini"), "").unwrap();
        // Mounting is to become a link: what is on the partition is seen.
        site.script(
            "mount",
            "echo mount \"$@\" >>\"$LOG\"; rmdir \"$2\" && ln -s \"$1\" \"$2\"",
        );
        site.script(
            "umount",
            "echo umount \"$@\" >>\"$LOG\"; rm \"$1\" && mkdir \"$1\"",
        );
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        let log = self.path("log");
        fs::write(
            &path,
            format!("#!/bin/sh\nLOG='{}'\n{text}\n", log.display()),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }

    fn command(&self) -> Command {
        let path = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "dir = '{}'\n[mount]\npartition = '{}'\ncommand = ['{}', '{{partition}}', '{{dir}}']\nunmount = ['{}', '{{dir}}']\n",
            path("n 9fat"),
            path("behind it"),
            path("mount"),
            path("umount"),
        );
        Command::new("fossilize")
            .config(&config)
            .env("STATE_DIRECTORY", self.path("own"))
    }

    fn run(&self) -> Output {
        self.command().arg(&self.partition).run()
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.replace(&self.directory.path().display().to_string(), "DIR")
    }
}

#[test]
fn a_9fat_is_mounted_and_unmounted_around_a_run() {
    let site = Mounting::new();
    let dry = site.command().arg("-n").arg(&site.partition).run();
    assert_eq!((dry.status, site.log().as_str()), (0, ""), "{dry:?}");
    let output = site.run();
    assert_eq!(
        (output.status, output.stderr.as_str()),
        (0, ""),
        "{output:?}"
    );
    assert_eq!(
        site.log(),
        "mount DIR/behind it DIR/n 9fat\numount DIR/n 9fat\n"
    );
    let log = fs::read_to_string(site.path("behind it/rootscor")).unwrap();
    assert!(log.contains(SCORE));
    assert_eq!(
        fs::read_dir(site.path("n 9fat")).unwrap().count(),
        0,
        "nothing below it"
    );
    assert_eq!(fs::read_dir(site.path("behind it")).unwrap().count(), 2);
    // Mounted by somebody else: used, and left.
    fs::remove_dir(site.path("n 9fat")).unwrap();
    std::os::unix::fs::symlink(site.path("behind it"), site.path("n 9fat")).unwrap();
    assert_eq!(site.run().status, 0);
    assert_eq!(site.log().lines().count(), 2);
    let log = fs::read_to_string(site.path("behind it/rootscor")).unwrap();
    assert_eq!(log.matches(SCORE).count(), 2);
}

#[test]
fn a_9fat_that_cannot_be_mounted_is_no_state_directory() {
    let site = Mounting::new();
    site.script("mount", "echo no such device >&2; exit 32");
    let output = site.run();
    output.assert_refused(1, "exit status: 32: no such device");
    assert_eq!(fs::read_dir(site.path("n 9fat")).unwrap().count(), 0);
    // Something is mounted, but no 9fat.
    fs::remove_file(site.path("behind it/plan9.ini")).unwrap();
    let site = Mounting::new();
    fs::remove_file(site.path("behind it/plan9.ini")).unwrap();
    let output = site.run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("expected plan9.ini"), "{output:?}");
    assert_eq!(
        site.log(),
        "mount DIR/behind it DIR/n 9fat\numount DIR/n 9fat\n"
    );
    // It cannot be unmounted: the line is on record, and the status tells.
    let site = Mounting::new();
    site.script("umount", "echo busy >&2; exit 1");
    let output = site.run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stdout.starts_with(SCORE) && output.stderr.contains("busy"),
        "{output:?}"
    );
    // What a run left mounted, the next one unmounts.
    site.script("umount", "rm \"$1\" && mkdir \"$1\"");
    assert_eq!(site.run().status, 0);
    assert_eq!(fs::read_dir(site.path("n 9fat")).unwrap().count(), 0);
}

#[test]
fn of_several_runs_the_last_one_unmounts() {
    let site = Mounting::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..4).for_each(|_| assert_ne!(site.run().status, 2)));
        }
    });
    assert_eq!(fs::read_dir(site.path("n 9fat")).unwrap().count(), 0);
    let log = fs::read_to_string(site.path("behind it/rootscor")).unwrap();
    assert_eq!(log.matches(SCORE).count(), 16);
    let calls = site.log();
    let count = |word: &str| calls.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("mount"), count("umount"));
}
