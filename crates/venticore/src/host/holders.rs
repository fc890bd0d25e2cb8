//! Who holds a file or block device: processes that have it open, file systems
//! mounted from it, loop devices and other devices that lie on it.
//!
//! What is looked for is more than the one device: a disk is held by whoever
//! has one of its slices open, a slice by whoever has the disk open, a file by
//! whoever has a loop device of it open, and the other way round.
//! Only Linux tells, through `/proc` and `/sys`. Without `/sys`, loop devices of a file and
//! mappings of a disk are not seen.

mod scan;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::codec::operand::Operand;
use crate::host::partition::overlap::Overlap;
use crate::host::partition::{self, Partition};
use crate::text::one_line;

/// Names shown in a message before the rest is only counted.
const SHOWN: usize = 5;

/// What has a file or block device in use, as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// The processes that have it open, without the calling one, by number.
    pub processes: Vec<Process>,
    /// Where it is mounted.
    pub mounts: Vec<PathBuf>,
    /// The devices that lie on it: loop devices of a file, mappings of a disk.
    pub devices: Vec<String>,
    /// Whether the open files of all processes could be seen.
    pub sight: Sight,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The name of its command, at most 15 bytes, as the system has it.
    pub command: String,
}

/// How much of the other processes could be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// All of them.
    #[default]
    Full,
    /// The open files of this many processes are not shown to this user.
    Part(usize),
    /// There may be processes that are not even listed.
    Hidden,
    /// Only the container's processes are listed: this process is in another PID
    /// namespace than the first.
    Contained,
}

impl Holders {
    /// Looks for what holds the file or block device at `path`. Whole disks
    /// and slices are told apart only where Linux has nodes for the slices.
    ///
    /// A shared mapping counts as an open file, with its descriptor closed, too.
    ///
    /// # Errors
    /// The path cannot be looked at, is neither file nor block device, or there is no `/proc` to
    /// look in.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::of_in(path, &Roots::default())
    }

    fn of_in(path: &Path, roots: &Roots) -> io::Result<Self> {
        let (wanted, devices) = wanted(path, roots)?;
        let seen = scan::processes(&roots.proc, &wanted)?;
        Ok(Holders {
            processes: seen.processes,
            mounts: seen.mounts,
            devices,
            sight: seen.sight,
        })
    }

    /// True where nothing that could be seen has it in use. Look at
    /// [`Holders::sight`] as well.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.processes.is_empty() && self.mounts.is_empty() && self.devices.is_empty()
    }
}

/// Opens a partition for writing, also where a program has claimed its block device;
/// not where it is mounted, or where that cannot be seen.
///
/// # Errors
/// As [`Partition::open_rw`].
pub fn open_rw(operand: &Operand) -> Result<Partition, partition::PartitionError> {
    let claimed = match Partition::open_rw(operand) {
        Err(partition::PartitionError::System { path, cause })
            if cause.kind() == io::ErrorKind::ResourceBusy =>
        {
            partition::PartitionError::System { path, cause }
        }
        done => return done,
    };
    let holders = Holders::of(operand.as_path());
    let only_open = holders.is_ok_and(|holders| {
        holders.mounts.is_empty() && holders.devices.is_empty() && holders.sight != Sight::Contained
    });
    match only_open {
        true => Partition::open_rw_beside(operand),
        false => Err(claimed),
    }
}

/// Whether a process has the file or block device at `path` open for writing;
/// `None` where it has not opened it, or the system does not tell.
#[must_use]
pub fn writes(pid: u32, path: &Path) -> Option<bool> {
    let roots = Roots::default();
    let (wanted, _) = wanted(path, &roots).ok()?;
    scan::writes(&roots.proc.join(pid.to_string()), &wanted)
}

/// Who has some files and block devices open for writing, as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writers {
    /// For each of the paths, in their order, the processes, without the calling one
    /// and its children, by number.
    pub processes: Vec<Vec<Process>>,
    /// Whether the open files of all processes could be seen.
    pub sight: Sight,
}

impl Writers {
    /// Looks once for all of `paths`. A path that is neither a file nor a block device
    /// has no writers. Mappings are not looked at, which makes it cheaper than
    /// [`Holders::of`].
    ///
    /// # Errors
    /// There is no `/proc` to look in.
    pub fn of(paths: &[&Path]) -> io::Result<Self> {
        Self::of_in(paths, &Roots::default())
    }

    fn of_in(paths: &[&Path], roots: &Roots) -> io::Result<Self> {
        let of = |path: &&Path| wanted(path, roots).map(|(wanted, _)| wanted);
        let wanted: Vec<Overlap> = paths.iter().map(|p| of(p).unwrap_or_default()).collect();
        let (processes, sight) = scan::writers(&roots.proc, &wanted)?;
        Ok(Writers { processes, sight })
    }
}

/// The processes with one of these command names whose open files cannot be seen, and the
/// user of each.
#[must_use]
pub fn unseen(commands: &[&str]) -> Vec<(Process, u32)> {
    scan::unseen(&Roots::default().proc, commands)
}

/// The processes with one of these command names.
#[must_use]
pub fn named(commands: &[&str]) -> Vec<Process> {
    scan::named(&Roots::default().proc, commands)
}

/// A file or block device that a process has open for writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name where the process is.
    pub name: PathBuf,
    /// The descriptor in `/proc`, by which it can be opened here.
    pub descriptor: PathBuf,
}

/// The files and block devices that a process has open for writing, each once; none
/// where the system does not tell.
#[must_use]
pub fn written_by(pid: u32) -> Vec<Written> {
    scan::written_by(&Roots::default().proc.join(pid.to_string()))
}

/// What is looked for, and the devices that lie on it.
fn wanted(path: &Path, roots: &Roots) -> io::Result<(Overlap, Vec<String>)> {
    let meta = fs::metadata(path)?;
    let kind = meta.file_type();
    if kind.is_block_device() {
        Ok(Overlap::device(&roots.sys, meta.rdev()))
    } else if kind.is_file() {
        Ok(Overlap::file(&roots.sys, &meta))
    } else {
        let text = "expected a file or a block device";
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

impl fmt::Display for Holders {
    /// `mounted at /n/9fat, used by loop0, held open by fossil (pid 12)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = Vec::new();
        let mounts: Vec<_> = self
            .mounts
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        let processes: Vec<_> = self.processes.iter().map(Process::to_string).collect();
        for (what, names) in [
            ("mounted at", &mounts),
            ("used by", &self.devices),
            ("held open by", &processes),
        ] {
            if !names.is_empty() {
                groups.push(format!("{what} {}", listed(names)));
            }
        }
        if groups.is_empty() {
            groups.push("held by nobody that can be seen".to_owned());
        }
        f.write_str(&one_line(&groups.join(", ")))
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", one_line(&self.command), self.pid)
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the open files of all processes can be seen"),
            Self::Part(count) => write!(
                f,
                "the open files of {count} other process{} cannot be seen: run as root to be sure",
                if *count == 1 { "" } else { "es" }
            ),
            Self::Hidden => f.write_str(
                "the processes of other users cannot be seen (hidepid): run as root to be sure",
            ),
            Self::Contained => f.write_str(
                "processes outside this container (PID namespace) cannot be seen: run outside it",
            ),
        }
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Where the system describes itself; elsewhere in tests.
struct Roots {
    proc: PathBuf,
    sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots {
            proc: "/proc".into(),
            sys: "/sys".into(),
        }
    }
}

#[cfg(test)]
mod tests;
