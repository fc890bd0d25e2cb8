//! The device nodes that Linux makes for the slices of a disk.
//!
//! A disk and the nodes of its slices are cached apart: what is written
//! through one is not seen through the other. So a slice that has a node is
//! read through it and not through the disk.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Linux describes its devices. Elsewhere it is absent, and no disk has nodes.
pub(super) const SYSFS: &str = "/sys";

/// The directory that describes a block device. In it, a slice has a file
/// `partition`, and a disk a directory for each of its slices.
pub(crate) fn directory(sysfs: &Path, dev: u64) -> PathBuf {
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    sysfs.join(format!("dev/block/{major}:{minor}"))
}

/// True where the device is a slice of a disk.
pub(super) fn is_slice(sysfs: &Path, dev: u64) -> bool {
    directory(sysfs, dev).join("partition").exists()
}

/// True where the device refuses writes: Linux opens it for writing all the same.
pub(super) fn is_read_only(sysfs: &Path, dev: u64) -> bool {
    let ro = fs::read_to_string(directory(sysfs, dev).join("ro"));
    ro.is_ok_and(|ro| ro.trim_end() == "1")
}

/// The names of the nodes of a disk's slices, sorted.
pub(super) fn nodes_on(sysfs: &Path, dev: u64) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory(sysfs, dev)) else {
        return Vec::new();
    };
    let slices = entries
        .flatten()
        .filter(|entry| entry.path().join("partition").exists());
    let mut names: Vec<_> = slices
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_says_that_it_is_read_only() {
        let sys = tempfile::tempdir().unwrap();
        let dev = rustix::fs::makedev(7, 0);
        let loop0 = directory(sys.path(), dev);
        fs::create_dir_all(&loop0).unwrap();
        assert!(!is_read_only(sys.path(), dev));
        for (ro, refused) in [("1\n", true), ("0\n", false)] {
            fs::write(loop0.join("ro"), ro).unwrap();
            assert_eq!(is_read_only(sys.path(), dev), refused, "{ro}");
        }
    }

    #[test]
    fn a_disk_has_nodes_and_a_slice_has_none() {
        let sys = tempfile::tempdir().unwrap();
        let disk = sys.path().join("dev/block/8:0");
        let (disk_dev, slice_dev) = (rustix::fs::makedev(8, 0), rustix::fs::makedev(8, 1));
        for name in ["sda2", "sda1", "queue"] {
            fs::create_dir_all(disk.join(name)).unwrap();
        }
        assert!(nodes_on(sys.path(), disk_dev).is_empty());
        fs::write(disk.join("sda2/partition"), "2\n").unwrap();
        fs::write(disk.join("sda1/partition"), "1\n").unwrap();
        std::os::unix::fs::symlink("8:0/sda1", sys.path().join("dev/block/8:1")).unwrap();
        assert_eq!(nodes_on(sys.path(), disk_dev), ["sda1", "sda2"]);
        assert!(nodes_on(sys.path(), slice_dev).is_empty());
        assert!(!is_slice(sys.path(), disk_dev));
        assert!(is_slice(sys.path(), slice_dev));
        assert!(!is_slice(&sys.path().join("absent"), slice_dev));
    }
}
