//! Holders of every kind, mostly in a stand-in for `/proc` and `/sys`.

use super::*;
use crate::codec::operand::Operand;
use crate::host::partition::{Partition, overlap as device};
use std::fs::File;
use std::os::unix::fs::symlink;

/// A stand-in for `/proc` and `/sys` below one directory.
struct System {
    directory: tempfile::TempDir,
}

/// The number of a device that exists here: its metadata must be real.
fn own_disk() -> Option<(PathBuf, u64)> {
    let nodes = fs::read_dir("/dev").ok()?.flatten();
    let mut disks = nodes.filter_map(|entry| {
        let meta = fs::metadata(entry.path()).ok()?;
        let device = meta.file_type().is_block_device();
        device.then(|| (entry.path(), meta.rdev()))
    });
    disks.next()
}

impl System {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let system = System { directory };
        fs::create_dir_all(system.roots().sys.join("dev/block")).unwrap();
        let own = std::process::id();
        system.process(own, "self", &[]);
        symlink(own.to_string(), system.roots().proc.join("self")).unwrap();
        system.process(1, "init", &[]);
        system
    }

    fn roots(&self) -> Roots {
        Roots {
            proc: self.directory.path().join("proc"),
            sys: self.directory.path().join("sys"),
        }
    }

    fn process(&self, pid: u32, command: &str, open: &[&Path]) {
        let directory = self.roots().proc.join(pid.to_string());
        fs::create_dir_all(directory.join("fd")).unwrap();
        fs::create_dir_all(directory.join("ns")).unwrap();
        symlink("mnt:[1]", directory.join("ns/mnt")).unwrap();
        fs::write(directory.join("comm"), format!("{command}\n")).unwrap();
        fs::write(directory.join("mountinfo"), "").unwrap();
        for (number, path) in open.iter().enumerate() {
            symlink(path, directory.join(format!("fd/{number}"))).unwrap();
        }
    }

    fn mounts(&self, text: &str) {
        let own = self.roots().proc.join(std::process::id().to_string());
        fs::write(own.join("mountinfo"), text).unwrap();
    }

    /// A block device, in `/sys/block` where it is not a slice.
    fn device(&self, name: &str, number: &str, slice: Option<(u64, u64)>) -> PathBuf {
        let sys = self.roots().sys;
        let directory = sys.join("block").join(name);
        fs::create_dir_all(directory.join("holders")).unwrap();
        fs::write(directory.join("dev"), format!("{number}\n")).unwrap();
        if let Some((start, size)) = slice {
            fs::write(directory.join("partition"), "1\n").unwrap();
            fs::write(directory.join("start"), format!("{start}\n")).unwrap();
            fs::write(directory.join("size"), format!("{size}\n")).unwrap();
        }
        symlink(&directory, sys.join("dev/block").join(number)).unwrap();
        directory
    }

    fn holders(&self, path: &Path) -> Holders {
        Holders::of_in(path, &self.roots()).unwrap()
    }

    fn wanted(&self, number: &str) -> (Overlap, Vec<String>) {
        Overlap::device(&self.roots().sys, device::parse(number).unwrap())
    }
}

#[test]
fn a_file_is_held_by_who_has_it_open_under_any_name() {
    let system = System::new();
    let file = system.directory.path().join("disk.img");
    let link = system.directory.path().join("link");
    File::create(&file).unwrap();
    assert!(system.holders(&file).is_free());
    fs::hard_link(&file, &link).unwrap();
    system.process(70, "fossil", &[Path::new("/dev/null"), &link]);
    system.process(8, "a\nb", &[&file]);
    system.process(
        9,
        "other",
        &[Path::new("/dev/null"), Path::new("/nonexistent")],
    );
    let holders = system.holders(&file);
    assert_eq!(
        holders.to_string(),
        "held open by a b (pid 8), fossil (pid 70)"
    );
    assert_eq!(holders.sight, Sight::Full);
    assert!(!holders.is_free());
}

#[test]
fn a_loop_device_of_a_file_holds_it_and_so_does_its_mount() {
    let system = System::new();
    let file = system.directory.path().join("disk.img");
    File::create(&file).unwrap();
    let device = system.device("loop3", "7:3", None);
    assert!(system.holders(&file).is_free());
    fs::create_dir(device.join("loop")).unwrap();
    fs::write(
        device.join("loop/backing_file"),
        format!("{}\n", file.display()),
    )
    .unwrap();
    system.mounts(
        "1 0 8:1 / / rw - ext4 /dev/x rw\n\
         2 1 7:3 / /n/9\\040fat rw shared:1 - vfat /dev/loop3 rw\n\
         3 1 7:4 / /n/other rw - vfat /dev/loop4 rw\nnonsense\n",
    );
    let holders = system.holders(&file);
    assert_eq!(holders.to_string(), "mounted at /n/9 fat, used by loop3");
    assert!(!holders.is_free());
}

#[test]
fn a_disk_and_its_slices_overlap() {
    let system = System::new();
    system.device("sda", "8:0", None);
    for (name, number, place) in [
        ("sda/sda1", "8:1", (0, 100)),
        ("sda/sda2", "8:2", (100, 100)),
        ("sda/sda5", "8:5", (150, 50)),
    ] {
        system.device(name, number, Some(place));
    }
    let has = |of: &str| {
        let (wanted, _) = system.wanted(of);
        ["8:0", "8:1", "8:2", "8:5", "8:16"].map(|n| wanted.has_device(device::parse(n).unwrap()))
    };
    assert_eq!(has("8:0"), [true, true, true, true, false]);
    assert_eq!(has("8:1"), [true, true, false, false, false]);
    assert_eq!(has("8:2"), [true, false, true, true, false]);
    assert_eq!(has("8:5"), [true, false, true, true, false]);
    assert_eq!(has("8:16"), [false, false, false, false, true]);
}

#[test]
fn what_lies_on_a_device_holds_it() {
    let system = System::new();
    let disk = system.device("sda", "8:0", None);
    let mapping = system.device("dm-0", "253:0", None);
    symlink(&mapping, disk.join("holders/dm-0")).unwrap();
    // Nothing ends the search but that it has been everywhere.
    symlink(&disk, mapping.join("holders/sda")).unwrap();
    let (wanted, above) = system.wanted("8:0");
    assert!(wanted.has_device(device::parse("253:0").unwrap()));
    assert_eq!(above, ["dm-0", "sda"]);
}

#[test]
fn a_block_device_is_found_by_its_number_and_by_the_source_of_a_mount() {
    let Some((node, dev)) = own_disk() else {
        eprintln!("skipped: no block device in /dev");
        return;
    };
    let system = System::new();
    let link = system.directory.path().join("another name");
    symlink(&node, &link).unwrap();
    assert!(system.holders(&node).is_free());
    system.process(5, "cat", &[&link]);
    system.mounts(&format!("1 0 0:40 / /a rw - btrfs {} rw\n", node.display()));
    let holders = system.holders(&node);
    assert_eq!(holders.processes.len(), 1, "{dev}: {holders:?}");
    assert_eq!(holders.mounts, [PathBuf::from("/a")]);
}

#[test]
fn processes_that_are_not_listed_are_missed() {
    let system = System::new();
    let file = system.directory.path().join("f");
    File::create(&file).unwrap();
    assert_eq!(system.holders(&file).sight, Sight::Full);
    fs::remove_dir_all(system.roots().proc.join("1")).unwrap();
    assert_eq!(system.holders(&file).sight, Sight::Hidden);
    fs::remove_dir_all(system.roots().proc).unwrap();
    assert!(Holders::of_in(&file, &system.roots()).is_err());
}

#[test]
fn outside_the_first_pid_namespace_processes_are_missed() {
    let system = System::new();
    let file = system.directory.path().join("f");
    File::create(&file).unwrap();
    let link = system.roots().proc.join("self/ns/pid");
    for (name, sight) in [
        ("pid:[4026531836]", Sight::Full),
        ("pid:[4026532201]", Sight::Contained),
    ] {
        symlink(name, &link).unwrap();
        assert_eq!(system.holders(&file).sight, sight, "{name}");
        fs::remove_file(&link).unwrap();
    }
    // What is listed is another namespace than ours.
    fs::remove_file(system.roots().proc.join("self")).unwrap();
    assert_eq!(system.holders(&file).sight, Sight::Contained);
    // There our number is another's.
    let other = u32::MAX;
    system.process(other, "us", &[]);
    let ours = system.roots().proc.join(std::process::id().to_string());
    symlink(&file, ours.join("fd/9")).unwrap();
    symlink(other.to_string(), system.roots().proc.join("self")).unwrap();
    let holders = system.holders(&file);
    assert_eq!(holders.processes.len(), 1, "{holders}");
}

#[test]
fn only_files_and_block_devices_are_held() {
    assert!(Holders::of(Path::new("/")).is_err());
    assert!(Holders::of(Path::new("/dev/null")).is_err());
    assert!(Holders::of(Path::new("/nonexistent")).is_err());
}

#[test]
fn a_real_process_is_seen_and_this_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.img");
    let file = File::create(&path).unwrap();
    // What another test starts has our files open until it is another program.
    let free = (0..1000).any(|_| Holders::of(&path).unwrap().is_free());
    assert!(free, "only this one has it open");
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .stdin(file)
        .spawn()
        .unwrap();
    let holders = Holders::of(&path).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut pids = holders.processes.iter().map(|p| p.pid);
    assert!(pids.any(|pid| pid == child.id()), "{holders}");
}

#[test]
fn a_process_whose_first_thread_has_ended_is_seen_by_another() {
    let system = System::new();
    let file = system.directory.path().join("f");
    File::create(&file).unwrap();
    system.process(7, "ended", &[]);
    let threads = system.roots().proc.join("7/task");
    for (thread, open) in [("7", None), ("8", Some(&file))] {
        let fds = threads.join(thread).join("fd");
        fs::create_dir_all(&fds).unwrap();
        if let Some(file) = open {
            symlink(file, fds.join("3")).unwrap();
        }
    }
    let holders = system.holders(&file);
    assert_eq!(holders.processes.len(), 1, "{holders}");
    assert_eq!(holders.processes[0].pid, 7);
}

#[test]
fn a_shared_mapping_without_a_descriptor_is_seen() {
    let system = System::new();
    let file = system.directory.path().join("a file");
    File::create(&file).unwrap();
    let meta = fs::metadata(&file).unwrap();
    let dev = meta.dev();
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let by_number = format!("{major:02x}:{minor:02x} {}", meta.ino());
    let by_path = format!("00:00 0      {}", file.display());
    let other = "00:00 0      /dev/zero (deleted)".to_owned();
    system.process(7, "mapper", &[]);
    for (perms, rest, seen) in [
        ("rw-s", &by_number, true),
        ("r--s", &by_path, true),
        ("rw-p", &by_number, false),
        ("rw-s", &other, false),
    ] {
        let maps = format!(
            "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/x\n\
             7f00-7f01 {perms} 00000000 {rest}\n7ff0-7ff1 r-xp 00000000 00:00 0 [vdso]\n"
        );
        fs::write(system.roots().proc.join("7/maps"), maps).unwrap();
        assert_eq!(!system.holders(&file).is_free(), seen, "{perms} {rest}");
    }
}

#[test]
fn who_holds_an_open_partition_is_seen_after_another_took_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.img");
    fs::write(&path, [0; 512]).unwrap();
    let operand = Operand::try_from(path.as_os_str()).unwrap();
    let partition = Partition::open(&operand).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .stdin(File::open(&path).unwrap())
        .spawn()
        .unwrap();
    let other = directory.path().join("other");
    fs::write(&other, [0; 512]).unwrap();
    fs::rename(&other, &path).unwrap();
    let holders = Holders::of(&partition.open_path()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut pids = holders.processes.iter().map(|p| p.pid);
    assert!(pids.any(|pid| pid == child.id()), "{holders}");
}

#[test]
fn a_long_list_is_cut() {
    let process = |pid| Process {
        pid,
        command: "cat".to_owned(),
    };
    let holders = Holders {
        processes: (1..8).map(process).collect(),
        ..Holders::default()
    };
    assert!(
        holders.to_string().ends_with("cat (pid 5) and 2 more"),
        "{holders}"
    );
    let seen = [Sight::Full, Sight::Part(3), Sight::Hidden].map(|sight| sight.to_string());
    assert!(seen[1].contains("3 other processes") && seen[2].contains("hidepid"));
}

#[test]
fn a_file_is_open_for_writing_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "x").unwrap();
    let own = std::process::id();
    assert_eq!(writes(own, &path), None);
    let _reads = fs::File::open(&path).unwrap();
    assert_eq!(writes(own, &path), Some(false));
    let _writes = fs::File::options().write(true).open(&path).unwrap();
    assert_eq!(writes(own, &path), Some(true));
    assert_eq!(writes(u32::MAX, &path), None);
}

#[test]
fn who_writes_is_seen_in_one_look_without_the_own_process_and_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| {
        let path = dir.path().join(name);
        fs::write(&path, "x").unwrap();
        path
    };
    let (one, two, other) = (path("one"), path("two"), path("other"));
    let system = System::new();
    // The links of the stand-in are as those of files open for reading and writing.
    system.process(20, "venti", &[&one, &two]);
    system.process(21, "sh", &[&two]);
    system.process(22, "child", &[&one]);
    system.process(23, "other", &[&other]);
    let proc = system.roots().proc;
    let stat = |pid: u32, parent: u32| {
        let text = format!("{pid} (a b) S {parent} 0 0");
        fs::write(proc.join(pid.to_string()).join("stat"), text).unwrap();
    };
    stat(20, 1);
    stat(22, std::process::id());
    let gone = dir.path().join("gone");
    let paths = [one.as_path(), two.as_path(), gone.as_path()];
    let writers = Writers::of_in(&paths, &system.roots()).unwrap();
    let pids: Vec<Vec<u32>> = writers
        .processes
        .iter()
        .map(|all| all.iter().map(|process| process.pid).collect())
        .collect();
    assert_eq!(pids, [vec![20], vec![20, 21], vec![]]);
    assert_eq!(writers.processes[0][0].command, "venti");
    assert_eq!(writers.sight, system.holders(&one).sight);
}
