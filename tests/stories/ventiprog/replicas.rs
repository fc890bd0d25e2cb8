//! ventiprog to replicas: a disk that travels, or the directory of another machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use venti_tests::arena::{Counters, PartitionBuilder};
use venti_tests::command::{Command, Output, skipped};
use venti_tests::golden;
use venti_tests::random::Random;
use venti_tests::served::Served;
use venti_tests::tmpfs::Tmpfs;
use venti_tests::venti::Venti;

use venticore::codec::target::TargetName;
use venticore::replica::{ReplicaSource, StoreAccess};
use venticore::source::{ArenaSource, ReadAt};

use crate::fixture::site::Site;

/// The disk that travels: a directory of its own, and its name as a target.
fn disk(site: &Site, name: &str) -> (PathBuf, String) {
    let path = site.path(name);
    fs::create_dir(&path).unwrap();
    let target = format!("dir:{}", path.display());
    (path, target)
}

/// Three arenas: two sealed, the second of them with damage, one in use.
fn three_arenas() -> Site {
    let mut site = Site::empty(4);
    site.add(300);
    site.seal();
    site.add(200);
    site.seal();
    site.add(100);
    site
}

fn run(site: &Site, target: &str) -> Output {
    let command = site.ventiprog().args(["-p", &site.part(), target]);
    command.run()
}

fn runs(site: &Site, target: &str, status: i32) -> Output {
    let output = run(site, target);
    assert_eq!(output.status, status, "{output:?}\n{}", site.file("wrcmds"));
    output
}

/// The objects of a replica, by name.
fn objects(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            objects.insert(name, fs::read(&path).unwrap());
            continue;
        }
        for (object, bytes) in objects_in(&path) {
            objects.insert(format!("{name}/{object}"), bytes);
        }
    }
    objects
}

fn objects_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| {
        let name = entry.file_name().to_str().unwrap().to_owned();
        (name, fs::read(entry.path()).unwrap())
    });
    named.collect()
}

/// What is in the folder of an arena, one object after the other.
fn joined(root: &Path, arena: &str) -> Vec<u8> {
    let folders = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders = folders.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.rsplit_once('.').is_some_and(|(stem, _)| stem == arena)
    });
    let found = objects_in(&folders.next().unwrap());
    let logs = found.iter().filter(|(name, _)| name.starts_with("log."));
    let mut bytes = found["head"].clone();
    bytes.extend(logs.flat_map(|(_, bytes)| bytes));
    bytes.extend(found.get("end").into_iter().flatten());
    bytes
}

/// The bytes of an arena of the source.
fn arena(site: &Site, number: usize) -> (String, Vec<u8>) {
    let of = &site.partition.arenas()[number];
    let bytes = fs::read(site.partition.path()).unwrap();
    let head = usize::try_from(of.head()).unwrap();
    let next = site.partition.arenas().get(number + 1);
    let end = next.map_or(bytes.len(), |next| usize::try_from(next.head()).unwrap());
    (of.name().to_owned(), bytes[head..end].to_vec())
}

#[test]
fn a_replica_under_two_names_is_one_copy() {
    let site = three_arenas();
    let (root, target) = disk(&site, "disk");
    let other = site.path("other");
    std::os::unix::fs::symlink(&root, &other).unwrap();
    let other = format!("dir:{}", other.display());
    let command = site.ventiprog().args(["-p", &site.part(), &target, &other]);
    let output = command.run();
    assert_eq!(output.status, 3, "{output:?}");
    let said = format!("{other}: the same replica as {target}: that is one copy");
    assert!(output.stderr.contains(&said), "{output:?}");
    assert!(!site.file("wrcmds").contains("/other"), "{output:?}");
}

#[test]
fn the_objects_of_a_sealed_arena_are_the_arena_byte_for_byte() {
    let site = three_arenas();
    let (root, target) = disk(&site, "disk");
    let output = runs(&site, &target, 0);
    assert_eq!((&*output.stdout, &*output.remarks()), ("", ""));
    assert_eq!(site.file("wrcmd"), "", "scripts know no replicas");
    assert_eq!(site.stands(&target), Some((2, site.end(2))));
    assert_eq!(objects(&root)["ventiprog"], b"ventiprog replica 1\n");
    for number in [0, 1] {
        let (name, bytes) = arena(&site, number);
        assert!(joined(&root, &name) == bytes, "{name}");
    }
    let (name, bytes) = arena(&site, 2);
    let live = joined(&root, &name);
    assert!(bytes.starts_with(&live) && live.len() as u64 > site.end(2));

    // Nothing new: nothing is written.
    let before = objects(&root);
    runs(&site, &target, 0);
    assert!(objects(&root) == before);
}

/// Everything before the place on record is in the replica, as the source has it.
fn assert_covers(site: &Site, target: &str) {
    let Some((last, offset)) = site.stands(target) else {
        return;
    };
    let TargetName::Replica(name) = target.parse().unwrap() else {
        panic!("{target}");
    };
    let replica = ReplicaSource::open(&name, &StoreAccess::default()).unwrap();
    let ArenaSource::Partition(table) = ArenaSource::read(&replica, 0).unwrap() else {
        panic!("a partition");
    };
    let source = fs::read(site.partition.path()).unwrap();
    for (number, arena) in site.partition.arenas().iter().enumerate().take(last + 1) {
        let used = if number == last {
            offset
        } else {
            arena.counters().used
        };
        if used == 0 {
            continue;
        }
        let mut entries = table.entries.iter();
        let entry = entries.find(|entry| entry.name.as_str() == arena.name());
        let base = entry.unwrap().start + (arena.base() - arena.head());
        let mut found = vec![0; usize::try_from(used).unwrap()];
        replica.read_at(&mut found, base).unwrap();
        let from = usize::try_from(arena.base()).unwrap();
        assert!(
            found == source[from..from + found.len()],
            "{}",
            arena.name()
        );
    }
}

/// Objects are added, and no other thing happens to them.
fn assert_only_added(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in before {
        assert!(after.get(name) == Some(bytes), "{name}");
    }
}

#[test]
fn what_is_new_is_one_object_and_a_seal_is_another() {
    let mut site = Site::empty(3);
    let (root, target) = disk(&site, "disk");
    site.add(50);
    runs(&site, &target, 0);
    let first = objects(&root);
    site.add(7);
    runs(&site, &target, 0);
    let second = objects(&root);
    assert_only_added(&first, &second);
    assert_eq!(second.len(), first.len() + 1, "{:?}", second.keys());
    site.seal();
    site.add(5);
    runs(&site, &target, 0);
    let third = objects(&root);
    assert_only_added(&second, &third);
    // The end of the one, head and log of the other.
    assert_eq!(third.len(), second.len() + 3, "{:?}", third.keys());
    assert!(joined(&root, &arena(&site, 0).0) == arena(&site, 0).1);
    assert_covers(&site, &target);
}

#[test]
fn a_seal_that_comes_after_the_place_has_moved_on_is_copied_too() {
    let mut site = Site::empty(3);
    let (root, target) = disk(&site, "disk");
    site.add(50);
    site.seal();
    site.add(5);
    // The server has not computed the score yet.
    let score = site.partition.arenas()[0].trailer_offset() + 8192 - 20;
    let whole = fs::read(site.partition.path()).unwrap();
    let mut unscored = whole.clone();
    let at = usize::try_from(score).unwrap();
    unscored[at..at + 20].fill(0);
    fs::write(site.partition.path(), &unscored).unwrap();
    runs(&site, &target, 0);
    assert!(!objects(&root).keys().any(|name| name.ends_with("/end")));
    fs::write(site.partition.path(), &whole).unwrap();
    runs(&site, &target, 0);
    assert!(joined(&root, &arena(&site, 0).0) == arena(&site, 0).1);
}

#[test]
fn a_venti_and_a_replica_share_one_pass() {
    let site = three_arenas();
    let (_, target) = disk(&site, "disk");
    let venti = Venti::start();
    let command = site.ventiprog().args(["-j", "-p", &site.part()]);
    let output = command.args([&target, &venti.dial()]).run();
    assert_eq!(output.status, 0, "{output:?}");
    let run: serde_json::Value =
        serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(run["decoded"], 600);
    assert!(
        site.file("wrcmd").contains(&venti.dial()),
        "the venti is in it"
    );
    assert_eq!(site.holes(&venti), 0);
    assert_covers(&site, &target);
    let lag = site.ventilag().args(["-p", &site.part()]).run();
    assert_eq!(lag.status, 0, "{lag:?}");
    let of_replica = lag.stdout.lines().find(|line| line.starts_with(&target));
    assert!(
        of_replica.is_some_and(|line| line.contains("behind 0")),
        "{lag:?}"
    );
}

#[test]
fn sixty_kills_leave_a_replica_that_covers_its_place() {
    let mut site = Site::empty(4);
    for _ in 0..3 {
        site.add(400);
        site.seal();
    }
    site.add(100);
    let mut random = Random::new(31);
    let (mut root, mut target) = disk(&site, "disk0");
    let (mut ended, mut moved) = (0, 0);
    for number in 1..=60 {
        let limits = "[limits]\ncheckpoint = 262144\nretries = 0\n";
        let command = site.ventiprog().config(limits);
        let mut running = command.args(["-p", &site.part(), &target]).start();
        if number % 12 > 0 {
            thread::sleep(Duration::from_micros(random.below(60_000) as u64));
            running.kill();
        }
        let status = running.wait().status;
        assert!(matches!(status, 0 | 137), "{status}");
        moved += usize::from(site.stands(&target).is_some());
        assert_covers(&site, &target);
        if site.stands(&target) == Some((3, site.end(3))) {
            ended += 1;
            (root, target) = disk(&site, &format!("disk{number}"));
        }
    }
    assert!(ended > 0 && moved > 10, "{ended} {moved}");
    runs(&site, &target, 0);
    assert_covers(&site, &target);
    for number in 0..3 {
        assert!(joined(&root, &arena(&site, number).0) == arena(&site, number).1);
    }
}

#[test]
fn a_full_disk_is_an_error_and_the_next_run_goes_on() {
    let site = three_arenas();
    let Some(small) = Tmpfs::mount("1m") else {
        return skipped("a full disk: cannot mount a tmpfs");
    };
    let target = format!("dir:{}", small.path().display());
    let output = runs(&site, &target, 1);
    assert!(output.remarks().contains("no space left"), "{output:?}");
    assert_covers(&site, &target);
    let left = objects(small.path());
    assert!(
        !left.keys().any(|name| name.contains(".unfinished")),
        "{:?}",
        left.keys()
    );
    let grown = std::process::Command::new("mount")
        .args(["-o", "remount,size=64m"])
        .arg(small.path())
        .status();
    assert!(grown.unwrap().success());
    runs(&site, &target, 0);
    assert_covers(&site, &target);
    assert!(joined(small.path(), &arena(&site, 0).0) == arena(&site, 0).1);
}

#[test]
fn a_disk_that_cannot_be_written_is_an_error() {
    let site = Site::new(20);
    let Some(disk) = Tmpfs::mount("16m") else {
        return skipped("a disk for reading only: cannot mount a tmpfs");
    };
    let target = format!("dir:{}", disk.path().display());
    runs(&site, &target, 0);
    disk.make_read_only();
    let output = runs(&site, &target, 0);
    assert_eq!(output.remarks(), "", "nothing was to be written");
    let mut site = site;
    site.add(5);
    let output = runs(&site, &target, 1);
    assert!(
        output.remarks().contains("read-only file system"),
        "{output:?}"
    );
    assert_covers(&site, &target);
}

#[test]
fn a_disk_that_is_not_mounted_is_not_filled() {
    let site = Site::new(20);
    let (root, target) = disk(&site, "disk");
    let absent = format!("{target}/none");
    let output = runs(&site, &absent, 6);
    assert!(
        output.remarks().contains("is the disk mounted?"),
        "{output:?}"
    );
    runs(&site, &target, 0);
    let place = site.stands(&target);
    fs::rename(&root, site.path("elsewhere")).unwrap();
    fs::create_dir(&root).unwrap();
    let output = runs(&site, &target, 6);
    assert!(
        output.remarks().contains("is the disk mounted?"),
        "{output:?}"
    );
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    assert_eq!(site.stands(&target), place);
    // A directory with other things in it is not made a replica either.
    let home = format!("dir:{}", site.path("state").display());
    let output = runs(&site, &home, 1);
    assert!(
        output.remarks().contains("an empty directory"),
        "{output:?}"
    );
}

/// The one object of an arena whose name begins like this.
fn object(root: &Path, start: &str) -> PathBuf {
    let found = objects(root);
    let name = found.keys().find(|name| {
        let object = name.rsplit('/').next().unwrap();
        name.contains('/') && object.starts_with(start)
    });
    root.join(name.unwrap())
}

#[test]
fn an_object_that_is_missing_is_written_again() {
    let site = three_arenas();
    let (root, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    for (start, said) in [("log.", "is missing"), ("head", "is missing")] {
        let lost = object(&root, start);
        let bytes = fs::read(&lost).unwrap();
        fs::remove_file(&lost).unwrap();
        let output = site.ventiprog().arg("--verify").arg(&target).run();
        assert_eq!(output.status, 4, "{output:?}");
        assert!(output.remarks().contains(said), "{output:?}");
        assert!(fs::read(&lost).unwrap() == bytes, "it is there again");
        let output = site.ventiprog().arg("--verify").arg(&target).run();
        assert_eq!(output.status, 0, "{output:?}");
    }
}

#[test]
fn an_object_that_is_not_what_it_should_be_is_named_until_it_is_removed() {
    let site = three_arenas();
    let (root, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    let path = object(&root, "log.");
    let whole = fs::read(&path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut flipped = whole.clone();
    flipped[5000] ^= 1;
    for other in [&flipped[..], &whole[..whole.len() - 1], &[]] {
        fs::write(&path, other).unwrap();
        for option in ["--verify", "-v"] {
            let output = site.ventiprog().arg(option).arg(&target).run();
            assert_eq!(output.status, 4, "{output:?}");
            assert!(output.remarks().contains(name), "{output:?}");
            assert!(fs::read(&path).unwrap() == other, "nothing is replaced");
        }
        fs::remove_file(&path).unwrap();
        let output = run(&site, &target);
        assert!(matches!(output.status, 0 | 4), "{output:?}");
        assert!(fs::read(&path).unwrap() == whole, "it is there again");
        let output = site.ventiprog().arg("--verify").arg(&target).run();
        assert_eq!(output.status, 0, "{output:?}");
    }
}

#[test]
fn what_is_before_and_after_a_log_is_read_back_too() {
    let site = three_arenas();
    let (root, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    for name in ["head", "end"] {
        let path = object(&root, name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let output = site.ventiprog().arg("--verify").arg(&target).run();
        assert_eq!(output.status, 4, "{name}: {output:?}");
        let said = format!("/{name} has other bytes");
        assert!(output.remarks().contains(&said), "{output:?}");
        assert!(fs::read(&path).unwrap() == flipped, "nothing is replaced");
        fs::remove_file(&path).unwrap();
        run(&site, &target);
        let output = site.ventiprog().arg("--verify").arg(&target).run();
        assert_eq!(output.status, 0, "{name}: {output:?}");
        assert!(fs::read(&path).unwrap() == whole, "it is there again");
    }
}

#[test]
fn the_configuration_may_name_a_replica() {
    let site = Site::new(20);
    let (root, target) = disk(&site, "disk");
    let config = format!("targets = ['{target}']\n");
    let command = site.ventiprog().config(&config).args(["-p", &site.part()]);
    let output = command.run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert_covers(&site, &target);
    drop(root);
}

#[test]
fn a_path_that_no_line_of_wrcmds_can_have_is_refused_before_anything_is_written() {
    let site = Site::new(20);
    let (root, target) = disk(&site, "a disk");
    let output = runs(&site, &target, 2);
    assert!(output.remarks().contains("blanks"), "{output:?}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[test]
fn two_writers_leave_one_archive() {
    let mut site = Site::empty(2);
    let (root, target) = disk(&site, "disk");
    let second = site.path("second");
    fs::create_dir(&second).unwrap();
    let run_other = |site: &Site| {
        let command = Command::new("ventiprog").arg("-d").arg(&second);
        let output = command.args(["-p", &site.part(), &target]).run();
        assert_eq!(output.status, 0, "{output:?}");
    };
    site.add(30);
    runs(&site, &target, 0);
    site.add(30);
    run_other(&site);
    site.add(30);
    runs(&site, &target, 0);
    let found = objects(&root);
    let logs = found.keys().filter(|name| name.contains("/log.")).count();
    assert_eq!(logs, 3, "what another has written is not written once more");
    assert_covers(&site, &target);
    let output = site.ventiprog().arg("--verify").arg(&target).run();
    assert_eq!(output.status, 0, "{output:?}");
}

#[test]
fn another_source_under_the_same_names_is_refused() {
    let site = Site::new(20);
    let (root, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    let before = objects(&root);
    let other = Site::other(20);
    let output = runs(&other, &target, 4);
    assert!(output.remarks().contains("other bytes"), "{output:?}");
    assert!(objects(&root) == before);
}

#[test]
fn what_is_damaged_in_the_source_is_copied_as_it_is_and_named() {
    let mut site = three_arenas();
    let (root, target) = disk(&site, "disk");
    site.partition.flip_data(0, 10, 100).unwrap();
    let output = runs(&site, &target, 3);
    assert!(output.remarks().contains("clump"), "{output:?}");
    assert_eq!(site.stands(&target), Some((2, site.end(2))));
    assert_covers(&site, &target);
    assert!(joined(&root, &arena(&site, 0).0) == arena(&site, 0).1);
    runs(&site, &target, 3);
}

#[test]
fn an_archive_comes_back_from_a_replica_alone() {
    let mut site = three_arenas();
    site.add_root();
    let (_, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    // Arena by arena, or all of it.
    let venti = Venti::start();
    let output = Command::new("wrarena")
        .args(["-h", &venti.dial(), &target])
        .run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    // By a run that can be run again.
    let venti = Venti::start();
    let state = site.path("restored");
    fs::create_dir(&state).unwrap();
    for _ in 0..2 {
        let command = Command::new("ventiprog").arg("-d").arg(&state);
        let output = command.args(["-p", &target, &venti.dial()]).run();
        assert_eq!(output.status, 0, "{output:?}");
    }
    assert_eq!((site.holes(&venti), venti.counts().writes), (0, 601));
    assert!(
        !state.join("wrcmd").exists(),
        "scripts cannot read a replica"
    );
    let command = Command::new("ventiprog").arg("-d").arg(&state);
    let output = command.args(["-p", &target, &target]).run();
    output.assert_refused(2, "is the source itself");
    // The roots in it, and a server of it.
    let roots = Command::new("ventiroots").arg(&target).run();
    assert_eq!(
        (roots.status, roots.stdout.lines().count()),
        (0, 1),
        "{roots:?}"
    );
    let served = Served::with(&["-r"], Path::new(&target));
    let copy = Venti::start();
    let output = Command::new("ventiserve").arg(&target).run();
    output.assert_refused(2, "serve it with -r");
    drop((served, copy));
}

#[test]
fn wrarena_writes_a_replica() {
    let site = three_arenas();
    let (root, target) = disk(&site, "disk");
    let command = || Command::new("wrarena").args(["-h", &target]);
    let output = command().arg(site.part()).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert!(joined(&root, &arena(&site, 0).0) == arena(&site, 0).1);
    let head = site.head(3).to_string();
    let end = format!("{:#x}", site.end(2));
    let output = command().args(["-o", &head, &site.part(), &end]).run();
    assert_eq!(output.status, 1, "{output:?}");
}

#[test]
fn the_archives_of_real_ventis_are_whole_in_their_replicas() {
    let mut roots = 0;
    for name in golden::PARTITIONS {
        let directory = tempfile::tempdir().unwrap();
        let part = golden::unpack(&format!("{name}.part"), directory.path());
        let (root, state) = (
            directory.path().join("disk"),
            directory.path().join("state"),
        );
        fs::create_dir(&root).unwrap();
        fs::create_dir(&state).unwrap();
        let target = format!("dir:{}", root.display());
        let command = Command::new("ventiprog").arg("-d").arg(&state).arg("-p");
        let output = command.arg(&part).arg(&target).run();
        assert_eq!(output.status, 0, "{name}: {output:?}");
        let json = golden::json(&format!("{name}.json"));
        for of in json["roots"].as_array().into_iter().flatten() {
            let score = of["score"].as_str().unwrap();
            let get = Command::new("rootget").args(["-n", "-c", "-h", &target, score]);
            let output = get.run();
            assert_eq!(output.status, 0, "{name} {of}: {output:?}");
            let check = Command::new("rootcheck").arg("-d").arg(&state);
            let output = check.args(["-c", "-h", &target, score]).run();
            assert_eq!(output.status, 0, "{name} {of}: {output:?}");
            roots += 1;
        }
    }
    assert!(roots >= 19, "{roots}");
}

/// What is named is on disk, and so is its name when the next thing is done.
#[test]
fn an_object_is_synced_before_it_is_named_and_its_folder_after() {
    let site = Site::new(20);
    let (root, target) = disk(&site, "disk");
    let trace = site.path("trace");
    let calls = "--trace=fsync,renameat2,mkdir,link,linkat";
    let tracer = ["strace", "-f", "-y", calls, "-o"].map(Into::into);
    let tracer = tracer.into_iter().chain([trace.clone().into_os_string()]);
    // Where it is, it may still not be allowed to trace.
    let works = std::process::Command::new("strace").arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        return skipped("the order of system calls: no strace");
    }
    let command = site.ventiprog().through(tracer);
    let output = command.args(["-p", &site.part(), &target]).run();
    assert_eq!(output.status, 0, "{output:?}");
    let trace = fs::read_to_string(&trace).unwrap();
    let root = root.to_str().unwrap();
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains(root)).collect();
    let mut named = 0;
    for (number, call) in calls.iter().enumerate() {
        let (before, after) = (number.checked_sub(1), calls.get(number + 1));
        if call.contains("renameat2(") {
            let new = call.split('"').nth(1).unwrap();
            let synced = before.is_some_and(|at| calls[at].contains(&format!("<{new}>")));
            assert!(synced, "{call}\n{trace}");
            let folder = Path::new(new).parent().unwrap().display();
            let folder = format!("<{folder}>");
            assert!(
                after.is_some_and(|next| next.contains(&folder)),
                "{call}\n{trace}"
            );
            named += 1;
        }
        if call.contains("mkdir(") {
            let synced = after.is_some_and(|next| next.contains(&format!("<{root}>")));
            assert!(synced, "{call}\n{trace}");
        }
    }
    assert_eq!(named, 3, "marker, head and log\n{trace}");
}

/// A source, its replica behind a filter, and what the filter is.
struct Filtered {
    site: Site,
    root: PathBuf,
    target: String,
    config: String,
}

impl Filtered {
    fn new(write: &[&str], read: &[&str]) -> Self {
        let mut site = three_arenas();
        site.add_root();
        let (root, target) = disk(&site, "disk");
        Filtered {
            site,
            root,
            target,
            config: format!("filter = {{ write = {write:?}, read = {read:?} }}\n"),
        }
    }

    fn run(&self, options: &[&str]) -> Output {
        let command = self.site.ventiprog().config(&self.config).args(options);
        command.args(["-p", &self.site.part(), &self.target]).run()
    }

    /// A replica that is filled, grows and is read, with and without the filter.
    fn tell(&mut self, is_filtered: impl Fn(&[u8]) -> bool) {
        let output = self.run(&[]);
        assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
        self.site.add(5);
        let before = objects(&self.root);
        let output = self.run(&[]);
        assert_eq!(output.status, 0, "{output:?}");
        let found = objects(&self.root);
        assert_only_added(&before, &found);
        assert_eq!(found.len(), before.len() + 1);
        for (name, bytes) in &found {
            assert!(is_filtered(bytes), "{name}");
        }
        let output = self.run(&["--verify"]);
        assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
        // All of it again, without a record: it is compared.
        fs::remove_file(self.site.state("wrcmds")).unwrap();
        let output = self.run(&[]);
        assert_eq!(output.status, 0, "{output:?}");
        assert!(objects(&self.root) == found, "nothing was written");

        let venti = Venti::start();
        let wrarena = || Command::new("wrarena").args(["-h", &venti.dial(), &self.target]);
        let output = wrarena().config(&self.config).run();
        assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
        assert_eq!(self.site.holes(&venti), 0);
        let output = wrarena().run();
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.remarks().contains("filter"), "{output:?}");
    }
}

#[test]
fn every_object_passes_the_filter_on_its_way_there_and_back() {
    let mut filtered = Filtered::new(&["base64"], &["base64", "-d"]);
    filtered.tell(|bytes| bytes.is_ascii());
}

#[test]
fn a_filter_that_loses_bytes_is_an_error_at_once() {
    let filtered = Filtered::new(&["head", "-c", "1000"], &["cat"]);
    let output = filtered.run(&[]);
    assert_eq!(output.status, 4, "{output:?}");
    assert!(
        output.remarks().contains("does not give back"),
        "{output:?}"
    );
    assert_eq!(filtered.site.stands(&filtered.target), None);
}

#[test]
fn a_replica_that_age_encrypts_is_read_with_the_identity_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut identities = Vec::new();
    for name in ["own", "other"] {
        let path = directory.path().join(name);
        let made = std::process::Command::new("age-keygen")
            .arg("-o")
            .arg(&path)
            .output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else {
            return skipped("encrypted replicas: no age");
        };
        let said = String::from_utf8(made.stderr).unwrap();
        let key = said.trim().rsplit(' ').next().unwrap().to_owned();
        identities.push((path.to_str().unwrap().to_owned(), key));
    }
    let read = |identity: &str| ["age", "-d", "-i", identity].map(str::to_owned);
    let own = read(&identities[0].0);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let mut filtered = Filtered::new(&["age", "-r", &identities[0].1], &own);
    filtered.tell(|bytes| bytes.starts_with(b"age-encryption.org/v1"));
    let venti = Venti::start();
    let config = filtered.config.replace(&identities[0].0, &identities[1].0);
    let command = Command::new("wrarena").config(&config);
    let output = command.args(["-h", &venti.dial(), &filtered.target]).run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.remarks().contains("no identity matched"),
        "{output:?}"
    );
}

#[test]
fn an_arena_that_ventiserve_sealed_gets_its_end_and_keeps_it() {
    let mut site = three_arenas();
    for number in [0, 1] {
        // Only the written counters move there.
        let written = site.partition.arenas()[number].counters();
        let none = Counters::default();
        site.partition
            .set_counters(number, none, Some(written))
            .unwrap();
        site.partition.score(number).unwrap();
    }
    let (root, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    let before = objects(&root);
    for number in [0, 1] {
        let (name, bytes) = arena(&site, number);
        assert!(joined(&root, &name) == bytes, "{name}");
    }
    // plan9port's venti indexes them, and writes the trailers once more.
    for number in [0, 1] {
        let written = site.partition.arenas()[number].counters();
        site.partition.set_counters(number, written, None).unwrap();
        site.partition.score(number).unwrap();
    }
    let verify = || site.ventiprog().arg("--verify").arg(&target).run();
    let output = verify();
    assert_eq!(output.status, 0, "{output:?}");
    assert!(objects(&root) == before);
    let end = object(&root, "end");
    let mut bytes = fs::read(&end).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&end, bytes).unwrap();
    let output = verify();
    assert_eq!(output.status, 4, "{output:?}");

    // All of it comes back, though the last arena is not sealed there.
    let venti = Venti::start();
    let state = site.path("restored");
    fs::create_dir(&state).unwrap();
    fs::write(&end, &before[&format!("{}/end", folder(&end))]).unwrap();
    for name in ["log.", "end"] {
        let kept = object(&root, name);
        if name == "end" {
            fs::remove_file(&kept).unwrap();
        }
    }
    let command = Command::new("ventiprog").arg("-d").arg(&state);
    let output = command.args(["-p", &target, &venti.dial()]).run();
    assert_eq!((output.status, site.holes(&venti)), (0, 0), "{output:?}");
}

/// The folder of an object.
fn folder(path: &Path) -> String {
    let folder = path.parent().unwrap().file_name().unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn what_could_not_be_read_beside_the_others_is_not_written() {
    let site = Site::new(20);
    let (root, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    let before = objects(&root);
    // The same names and another magic, and blocks of another size.
    let again = PartitionBuilder::new().arenas(2, 8 << 20).seed(7);
    let wide = PartitionBuilder::new().name("wide").block_size(16384);
    for builder in [again, wide.arenas(2, 8 << 20)] {
        let mut other = Site::built(&builder);
        other.add(5);
        let output = runs(&other, &target, 4);
        assert!(
            output.remarks().contains("use another replica"),
            "{output:?}"
        );
        assert!(objects(&root) == before);
    }
}

#[test]
fn what_others_put_there_is_left_out_and_said() {
    let mut site = Site::new(20);
    site.add_root();
    let (root, target) = disk(&site, "disk");
    runs(&site, &target, 0);
    let whole = |expected: i32| {
        let venti = Venti::start();
        let output = Command::new("wrarena")
            .args(["-h", &venti.dial(), &target])
            .run();
        assert_eq!(
            (output.status, site.holes(&venti)),
            (expected, 0),
            "{output:?}"
        );
    };
    whole(0);
    // A folder with blocks of another size, and one with a size that cannot be.
    let own = root.join(folder(&object(&root, "head")));
    let head = fs::read(own.join("head")).unwrap();
    for (name, at, byte) in [("aaa", 74, 0x40), ("evil", 76, 0x7f)] {
        let mut bytes = head.clone();
        bytes[8..72].fill(0);
        bytes[8..8 + name.len()].copy_from_slice(name.as_bytes());
        bytes[at] = byte;
        let magic = own.to_str().unwrap().rsplit('.').next().unwrap();
        let foreign = root.join(format!("{name}.{magic}"));
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("head"), bytes).unwrap();
        whole(3);
    }
    // Bytes after the log that are not clumps.
    let end = site.end(0);
    let junk = own.join(format!("log.{end:016x}-{:016x}", end + 6));
    fs::write(&junk, b"sixbyt").unwrap();
    whole(3);
    fs::remove_file(junk).unwrap();
    // A link in place of a folder.
    fs::rename(&own, site.path("moved")).unwrap();
    std::os::unix::fs::symlink(site.path("moved"), &own).unwrap();
    let output = site.ventiprog().arg("--verify").arg(&target).run();
    assert_ne!(output.status, 0, "{output:?}");
    assert!(
        output.remarks().contains("expected a directory"),
        "{output:?}"
    );
}
