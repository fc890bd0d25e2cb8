//! The device nodes that Linux makes for the slices of a disk.
//!
//! A disk and the nodes of its slices are cached apart: what is written
//! through one is not seen through the other. So a slice that has a node is
//! written through it and not through the disk, and before one is read, the others
//! put on disk what they hold.

use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::overlap::{Wanted, device_directory};

/// Where Linux describes its devices. Elsewhere it is absent, and no disk has nodes.
pub(super) const SYSFS: &str = "/sys";

/// True where the device refuses writes: Linux opens it for writing all the same.
pub(super) fn is_read_only(sysfs: &Path, dev: u64) -> bool {
    let ro = fs::read_to_string(device_directory(sysfs, dev).join("ro"));
    ro.is_ok_and(|ro| ro.trim_end() == "1")
}

/// The names of the nodes of a disk's slices, sorted.
pub(super) fn nodes_on(sysfs: &Path, dev: u64) -> Vec<String> {
    let Ok(entries) = fs::read_dir(device_directory(sysfs, dev)) else {
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

/// Has every other device that overlaps a file or device write what the system
/// holds for it. One that may not be opened is left: whoever may read
/// only one node of a disk sees the others' bytes when the system writes them.
pub(super) fn write_out_others(sysfs: &Path, meta: &Metadata) {
    let (overlap, own) = match meta.file_type().is_block_device() {
        true => (Wanted::device(sysfs, meta.rdev()).0, Some(meta.rdev())),
        false => (Wanted::file(sysfs, meta).0, None),
    };
    let others = overlap.devices().filter(|&dev| Some(dev) != own);
    for node in others.filter_map(|dev| open_device(sysfs, dev)) {
        // What cannot be written is for whoever wrote it to see.
        let _ = node.sync_all();
    }
}

/// The node of a device, opened for reading.
fn open_device(sysfs: &Path, dev: u64) -> Option<File> {
    let described = fs::canonicalize(device_directory(sysfs, dev)).ok()?;
    // In a name in `/sys`, a slash of one in `/dev` is an exclamation mark.
    let name = described.file_name()?.to_str()?.replace('!', "/");
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).ok()?;
    let path = Path::new("/dev").join(name);
    let is_it = |meta: Metadata| meta.file_type().is_block_device() && meta.rdev() == dev;
    // Asked before opening: what is no block device may act when it is opened.
    fs::metadata(&path)
        .ok()
        .filter(|meta| is_it(meta.clone()))?;
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(is_it).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_says_that_it_is_read_only() {
        let sys = tempfile::tempdir().unwrap();
        let dev = rustix::fs::makedev(7, 0);
        let loop0 = device_directory(sys.path(), dev);
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
    }
}
