//! The block devices by `/proc/partitions`, where `/sys` is not mounted (a chroot, a
//! small container). It tells their numbers and names, so that a disk and its slices are known,
//! and not which file a loop device is made of, nor what a mapping lies on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Device numbers and names.
type Devices = BTreeMap<u64, String>;

/// All devices; none where `/sys` tells more.
pub(super) fn all(sysfs: &Path) -> Devices {
    if sysfs.join("dev/block").exists() {
        return Devices::new();
    }
    let text = fs::read_to_string(sysfs.with_file_name("proc/partitions"));
    text.unwrap_or_default()
        .lines()
        .filter_map(device)
        .collect()
}

/// `MAJOR MINOR BLOCKS NAME`.
fn device(line: &str) -> Option<(u64, String)> {
    let mut words = line.split_ascii_whitespace();
    let (major, minor) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let name = words.nth(1)?.to_owned();
    Some((rustix::fs::makedev(major, minor), name))
}

/// The loop devices and their slices.
pub(super) fn loops(sysfs: &Path) -> Devices {
    let mut found = all(sysfs);
    found.retain(|_, name| name.starts_with("loop"));
    found
}

/// The slices of a disk.
pub(super) fn slices_of(sysfs: &Path, disk: u64) -> Devices {
    let mut found = all(sysfs);
    let name = found.get(&disk).cloned();
    found.retain(|_, slice| name.as_ref().is_some_and(|disk| is_slice(slice, disk)));
    found
}

/// The slices of a disk; of a slice its disk, and all slices there: how far they go is not told.
pub(super) fn overlapping(sysfs: &Path, dev: u64) -> Vec<u64> {
    let all = all(sysfs);
    let Some(own) = all.get(&dev) else {
        return Vec::new();
    };
    let disk = all.values().find(|disk| is_slice(own, disk));
    let disk = disk.unwrap_or(own);
    let overlaps = |name: &String| name == disk || is_slice(name, disk);
    let found = all.iter().filter(|(_, name)| overlaps(name));
    found.map(|(dev, _)| *dev).collect()
}

/// `sda1` is one of `sda`, and `loop0p1` of `loop0`.
fn is_slice(name: &str, disk: &str) -> bool {
    let rest = name.strip_prefix(disk);
    let number = match disk.ends_with(|last: char| last.is_ascii_digit()) {
        true => rest.and_then(|rest| rest.strip_prefix('p')),
        false => rest,
    };
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_sys_a_disk_and_its_slices_are_known_by_their_names() {
        let root = tempfile::tempdir().unwrap();
        let sys = root.path().join("sys");
        fs::create_dir(root.path().join("proc")).unwrap();
        let list = "major minor  #blocks  name\n\n   7  0  100 loop0\n 259  1  50 loop0p1\n   \
                    7  1  100 loop1\n   8  0  9 sda\n   8  1  4 sda1\n  65  0  9 sdaa\n";
        fs::write(root.path().join("proc/partitions"), list).unwrap();
        let dev = rustix::fs::makedev;
        let names = |devices: Devices| devices.into_values().collect::<Vec<_>>();
        assert_eq!(names(loops(&sys)), ["loop0", "loop1", "loop0p1"]);
        assert_eq!(names(slices_of(&sys, dev(8, 0))), ["sda1"]);
        assert_eq!(names(slices_of(&sys, dev(7, 0))), ["loop0p1"]);
        assert!(slices_of(&sys, dev(8, 1)).is_empty());
        for of in [dev(8, 0), dev(8, 1)] {
            assert_eq!(overlapping(&sys, of), [dev(8, 0), dev(8, 1)]);
        }
        assert_eq!(overlapping(&sys, dev(259, 1)), [dev(7, 0), dev(259, 1)]);
        assert!(overlapping(&sys, dev(9, 9)).is_empty());
        // What sysfs describes is not asked here.
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        assert!(all(&sys).is_empty());
    }
}
