//! Which files and devices have bytes in common with one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::listed;
use crate::codec::plan9disk::SECTOR;

/// How many layers of devices on devices are followed.
const MAX_DEPTH: usize = 16;

/// The files and devices that have bytes in common with one, itself among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Device and inode of files.
    files: BTreeSet<(u64, u64)>,
    /// Device numbers of block devices.
    devices: BTreeSet<u64>,
}

impl Overlap {
    /// A file, and the loop devices of it with all that lies on them; the
    /// names of those that lie on it.
    pub(crate) fn file(sys: &Path, meta: &Metadata) -> (Self, Vec<String>) {
        let mut wanted = Overlap::default();
        let id = (meta.dev(), meta.ino());
        wanted.files.insert(id);
        let mut above = Vec::new();
        for (dev, name) in loops_of(sys, id) {
            above.push(name);
            wanted.add(sys, dev, &mut above, 0);
        }
        (wanted, unique(above))
    }

    /// A block device, and what overlaps it.
    pub(crate) fn device(sys: &Path, dev: u64) -> (Self, Vec<String>) {
        let mut wanted = Overlap::default();
        let mut above = Vec::new();
        wanted.add(sys, dev, &mut above, 0);
        (wanted, unique(above))
    }

    /// True for an open file of this metadata.
    pub(crate) fn has(&self, meta: &Metadata) -> bool {
        use std::os::unix::fs::FileTypeExt;
        if meta.file_type().is_block_device() {
            self.has_device(meta.rdev())
        } else {
            self.has_file(meta.dev(), meta.ino())
        }
    }

    pub(crate) fn has_file(&self, dev: u64, ino: u64) -> bool {
        self.files.contains(&(dev, ino))
    }

    pub(crate) fn has_device(&self, dev: u64) -> bool {
        self.devices.contains(&dev)
    }

    /// The device numbers, in order.
    pub(super) fn devices(&self) -> impl Iterator<Item = u64> {
        self.devices.iter().copied()
    }

    /// Adds a device, its disk, the slices that overlap it, the file behind
    /// it, and whatever lies on any of those.
    fn add(&mut self, sys: &Path, dev: u64, above: &mut Vec<String>, depth: usize) {
        for dev in overlapping(sys, dev) {
            if depth >= MAX_DEPTH || !self.devices.insert(dev) {
                continue;
            }
            let directory = device_directory(sys, dev);
            if let Some(meta) = backing_file(&directory) {
                let id = (meta.dev(), meta.ino());
                self.files.insert(id);
                for (other, _) in loops_of(sys, id) {
                    self.add(sys, other, above, depth + 1);
                }
            }
            for name in names_in(&directory.join("holders")) {
                if let Some(dev) = number_in(&directory.join("holders").join(&name)) {
                    above.push(name);
                    self.add(sys, dev, above, depth + 1);
                }
            }
        }
    }
}

/// The directory that describes a block device. In it, a slice has a file
/// `partition`, and a disk a directory for each of its slices.
pub(super) fn device_directory(sys: &Path, dev: u64) -> PathBuf {
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    sys.join(format!("dev/block/{major}:{minor}"))
}

fn unique(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

/// The device itself; for a slice its disk and the slices that overlap it
/// (an extended slice holds others), for a disk all its slices.
fn overlapping(sys: &Path, dev: u64) -> Vec<u64> {
    let directory = device_directory(sys, dev);
    let mut devices = vec![dev];
    if directory.join("partition").exists() {
        // The link leads to DISK/SLICE.
        let disk = fs::canonicalize(&directory).ok();
        if let Some(disk) = disk.as_deref().and_then(Path::parent) {
            devices.extend(number_in(disk));
            let ours = extent(&directory);
            let others = slices(disk)
                .into_iter()
                .filter(|(_, theirs)| match (&ours, theirs) {
                    (Some(a), Some(b)) => a.0 < b.1 && b.0 < a.1,
                    // Where nothing is known, all may be.
                    _ => true,
                });
            devices.extend(others.map(|(dev, _)| dev));
        }
    } else {
        devices.extend(slices(&directory).into_keys());
        devices.extend(listed::overlapping(sys, dev));
    }
    devices
}

type Extent = (u64, u64);

/// The slices of a disk: their device numbers, and from where to where they go.
fn slices(disk: &Path) -> BTreeMap<u64, Option<Extent>> {
    let directories = names_in(disk).into_iter().map(|name| disk.join(name));
    directories
        .filter(|directory| directory.join("partition").exists())
        .filter_map(|directory| Some((number_in(&directory)?, extent(&directory))))
        .collect()
}

/// From where to where a slice goes on its disk, in bytes.
fn extent(slice: &Path) -> Option<Extent> {
    let number = |name| -> Option<u64> {
        let text = fs::read_to_string(slice.join(name)).ok()?;
        text.trim().parse::<u64>().ok()?.checked_mul(SECTOR)
    };
    let (start, len) = (number("start")?, number("size")?);
    Some((start, start.checked_add(len)?))
}

/// The device number in the file `dev` of a directory that describes a device.
fn number_in(directory: &Path) -> Option<u64> {
    parse(fs::read_to_string(directory.join("dev")).ok()?.trim())
}

/// `MAJOR:MINOR`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    Some(rustix::fs::makedev(
        major.parse().ok()?,
        minor.parse().ok()?,
    ))
}

/// `MAJOR:MINOR` in hex, as in a list of mappings.
pub(crate) fn parse_hex(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(rustix::fs::makedev(number(major)?, number(minor)?))
}

/// The loop devices whose file this is.
fn loops_of(sys: &Path, file: (u64, u64)) -> Vec<(u64, String)> {
    let block = sys.join("block");
    let mut loops = Vec::new();
    for name in names_in(&block) {
        let directory = block.join(&name);
        let backed = backing_file(&directory).map(|meta| (meta.dev(), meta.ino()));
        if backed == Some(file)
            && let Some(dev) = number_in(&directory)
        {
            loops.push((dev, name));
        }
    }
    loops
}

/// The file behind a loop device, as far as its path still leads there.
fn backing_file(directory: &Path) -> Option<Metadata> {
    let text = fs::read_to_string(directory.join("loop/backing_file")).ok()?;
    fs::metadata(PathBuf::from(text.strip_suffix('\n')?)).ok()
}

/// The names in a directory, sorted; none where it cannot be read.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
