//! The device nodes that Linux makes for the slices of a disk.
//!
//! A disk and the nodes of its slices are cached apart: what is written
//! through one is not seen through the other. So a slice that has a node is
//! written through it and not through the disk, and before one is read, the others
//! put on disk what they hold.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::listed;
use super::overlap::{Overlap, device_directory};

/// Where Linux describes its devices. Elsewhere it is absent, and no disk has nodes.
pub(super) const SYSFS: &str = "/sys";

/// Fails where an open device refuses writes: Linux opens it for writing all the same.
/// A write of no bytes is refused, too.
pub(super) fn refuse_read_only(device: &File) -> io::Result<()> {
    match device.write_at(&[], 0) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
        written => written.map(|_| ()),
    }
}

/// The names of the nodes of a disk's slices, sorted.
pub(super) fn nodes_on(sysfs: &Path, dev: u64) -> Vec<String> {
    let Ok(entries) = fs::read_dir(device_directory(sysfs, dev)) else {
        let mut names: Vec<_> = listed::slices_of(sysfs, dev).into_values().collect();
        names.sort();
        return names;
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
        true => (Overlap::device(sysfs, meta.rdev()).0, Some(meta.rdev())),
        false => (Overlap::file(sysfs, meta).0, None),
    };
    let loops = listed::loops(sysfs).into_keys();
    let all: BTreeSet<u64> = overlap.devices().chain(loops).collect();
    let others = all.into_iter().filter(|&dev| Some(dev) != own);
    for node in others.filter_map(|dev| open_device(sysfs, dev)) {
        // What cannot be written is for whoever wrote it to see.
        let _ = node.sync_all();
    }
}

/// The node of a device, opened for reading.
fn open_device(sysfs: &Path, dev: u64) -> Option<File> {
    let described = fs::canonicalize(device_directory(sysfs, dev)).ok();
    let described = described.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    // In a name in `/sys`, a slash of one in `/dev` is an exclamation mark.
    let name = described.or_else(|| listed::all(sysfs).remove(&dev))?;
    let name = name.replace('!', "/");
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
