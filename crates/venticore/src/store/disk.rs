//! What a store lies on.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use eyre::WrapErr;

use crate::codec::arena::Name;
use crate::codec::operand::Operand;
use crate::codec::replica::ReplicaName;
use crate::host::holders::{self, Sight, Writers};
use crate::host::partition::{Partition, PartitionError};
use crate::replica::{OpenedSource, StoreAccess};
use crate::source::{ArenaSource, ReadAt};
use crate::status::{Failure, Status};

/// What the process of a server of plan9port's is called.
const SERVER: &str = "venti";

/// A partition or file that is written to, by several threads at once.
pub trait Disk: ReadAt {
    /// Writes `bytes` at `offset` (bytes from the start). They need not outlast a power
    /// cut before [`Disk::sync`].
    ///
    /// # Errors
    /// The write failed, wholly or in part, or the range is not wholly inside.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written will outlast a power cut.
    ///
    /// # Errors
    /// Something that was written may be lost.
    fn sync(&self) -> io::Result<()>;

    /// How messages and pages call it.
    fn name(&self) -> String;
}

/// Opens what operands name, to be served by this process alone, unless it is only read.
/// Several may be parts of one file or device.
///
/// `say` is told what could not be seen of other processes, a line each.
///
/// # Errors
/// One cannot be opened, or another process has it open for writing.
pub fn open_all(
    operands: &[Operand],
    read_only: bool,
    access: &StoreAccess,
    say: &dyn Fn(&str),
) -> eyre::Result<Vec<Arc<dyn Disk>>> {
    let mut claimed = Vec::new();
    let mut disks: Vec<Arc<dyn Disk>> = Vec::new();
    for operand in operands {
        if operand
            .as_os_str()
            .to_str()
            .is_some_and(ReplicaName::is_meant)
        {
            let replica = open_replica(operand, read_only, access)?;
            replica.source.notes.iter().for_each(|note| say(note));
            disks.push(Arc::new(replica));
            continue;
        }
        let disk = match read_only {
            true => Partition::open(operand)?,
            false => open_for_writing(operand, &mut claimed, say)?,
        };
        disks.push(Arc::new(disk.through_cache()));
    }
    Ok(disks)
}

/// A replica, which is only read.
struct Replica {
    source: OpenedSource,
    name: String,
}

fn open_replica(operand: &Operand, read_only: bool, access: &StoreAccess) -> eyre::Result<Replica> {
    if !read_only {
        let cause = format!("{operand}: a replica is only read: serve it with -r");
        return Err(Failure::report(Status::Usage, cause));
    }
    Ok(Replica {
        source: OpenedSource::named(operand.as_os_str(), access)?,
        name: operand.to_string(),
    })
}

impl ReadAt for Replica {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.source.read_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.source.size()
    }

    fn is_hole(&self, offset: u64, len: usize) -> bool {
        self.source.is_hole(offset, len)
    }
}

impl Disk for Replica {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// Opens what an operand names, and claims the file or device it is in, unless this
/// process has claimed it already.
fn open_for_writing(
    operand: &Operand,
    claimed: &mut Vec<PathBuf>,
    say: &dyn Fn(&str),
) -> eyre::Result<Partition> {
    let path = Partition::open(operand)?.path().canonicalize();
    let path = path.wrap_err_with(|| operand.to_string())?;
    if claimed.contains(&path) {
        return Ok(Partition::open_rw_beside(operand)?);
    }
    let in_use = |why: &str| Failure::report(Status::Locked, format!("{operand}: {why}"));
    let partition = match Partition::open_rw(operand) {
        Err(PartitionError::System { cause, .. }) if cause.kind() == ErrorKind::ResourceBusy => {
            let why = "it is mounted, or another process serves it or writes to it";
            return Err(in_use(why));
        }
        opened => opened?,
    };
    let is_ours = partition.try_claim();
    if !is_ours.wrap_err_with(|| format!("{operand}: cannot lock it"))? {
        let why = "another process serves it or writes to it; expected to be alone";
        return Err(in_use(why));
    }
    let writers = Writers::of(&[partition.path()]);
    if let Some(unseen) = unseen(writers.as_ref()) {
        say(&format!(
            "{operand}: another process may have it open for writing: {unseen}"
        ));
    }
    let writers = writers.into_iter().flat_map(|found| found.processes);
    if let Some(holders::Process { pid, command }) = writers.flatten().next() {
        return Err(in_use(&format!(
            "another process, {command} ({pid}), has it open for writing; end it first, or serve \
             with -r"
        )));
    }
    claimed.push(path);
    Ok(partition)
}

/// What cannot be seen of other processes that may write to a disk. Of those whose open
/// files are hidden, servers are suspected alone.
fn unseen(writers: Result<&Writers, &io::Error>) -> Option<String> {
    let sight = match writers {
        Err(error) => return Some(format!("/proc cannot be read: {error}")),
        Ok(writers) => writers.sight,
    };
    match sight {
        Sight::Full | Sight::Contained => None,
        Sight::Hidden => Some(sight.to_string()),
        Sight::Part(_) => {
            let (server, user) = holders::unseen(&[SERVER]).into_iter().next()?;
            Some(format!(
                "the open files of {server}, of user {user}, cannot be seen"
            ))
        }
    }
}

/// The names of the arenas of a store; none of one that is not as it should be.
#[must_use]
pub fn arena_names(operand: &Operand) -> Vec<Name> {
    let Ok(partition) = Partition::open(operand) else {
        return Vec::new();
    };
    match ArenaSource::read(&partition, 0) {
        Ok(ArenaSource::Single(arena)) => vec![arena.name],
        Ok(ArenaSource::Partition(table)) => {
            table.entries.into_iter().map(|entry| entry.name).collect()
        }
        Err(_) => Vec::new(),
    }
}

impl Disk for Partition {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        Partition::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Partition::sync(self)
    }

    fn name(&self) -> String {
        self.operand().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_of_other_processes_is_said() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        let said = unseen(Err(&error)).unwrap();
        assert!(said.starts_with("/proc cannot be read: "), "{said}");
        let seen = |sight| Writers {
            processes: Vec::new(),
            sight,
        };
        assert_eq!(unseen(Ok(&seen(Sight::Full))), None);
        assert_eq!(unseen(Ok(&seen(Sight::Contained))), None);
        let said = unseen(Ok(&seen(Sight::Hidden))).unwrap();
        assert!(said.contains("hidepid"), "{said}");
    }
}
