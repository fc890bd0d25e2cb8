//! Partitions: an operand -> something that is read at byte offsets.
//!
//! An [`Operand`] is a file or block device, a range of one, or a partition
//! of a Plan 9 disk. A [`Partition`] is one that is open; all its offsets count
//! from its own start (venti.md 2).

mod direct;
mod listed;
mod node;
pub(crate) mod overlap;

use crate::codec::invalid::Invalid;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{Advice, OFlags, fadvise, seek};
use rustix::io::Errno;

use direct::Direct;

use crate::codec::operand::{Operand, Suffix};
use crate::codec::plan9disk::{DiskError, SECTOR, SECTOR_LEN, Slice, SlicePartition, Table};
use crate::host::lock::{self, Hold};
use crate::text;

/// An open partition. Clones share it, and several threads may read at once.
#[derive(Clone, Debug)]
pub struct Partition(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    file: File,
    /// A block device once more, to be read past the system's caches.
    direct: Option<Direct>,
    operand: Operand,
    path: PathBuf,
    block_device: bool,
    start: u64,
    len: u64,
    /// A block device that nobody else can claim while this is open.
    exclusive: bool,
    /// See [`Partition::try_claim`].
    claim: OnceLock<File>,
}

/// Whether a partition is opened for writing as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    ReadWrite,
    /// For writing, whoever has claimed the block device.
    Beside,
}

impl Partition {
    /// An operand of the command line, opened for reading.
    ///
    /// # Errors
    /// It is not an operand, or it cannot be opened.
    pub fn named(operand: &OsStr) -> eyre::Result<Self> {
        Ok(Self::open(&Operand::try_from(operand)?)?)
    }

    /// Opens what an operand names, for reading.
    ///
    /// A text that is the path of something is that, whatever colons it has. What
    /// is read of a block device comes from the disk, past the caches of its
    /// nodes; see [`Partition::refresh`].
    ///
    /// # Errors
    /// [`PartitionError`]: not there, neither file nor block device, no such range, no such partition.
    pub fn open(operand: &Operand) -> Result<Self, PartitionError> {
        open(operand, Mode::Read, Path::new(node::SYSFS))
    }

    /// Opens what an operand names, for reading and writing. A block device
    /// must not be mounted or otherwise claimed by the system.
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn open_rw(operand: &Operand) -> Result<Self, PartitionError> {
        open(operand, Mode::ReadWrite, Path::new(node::SYSFS))
    }

    /// The same, also where somebody has claimed a block device: see
    /// [`Partition::try_claim`].
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn open_rw_beside(operand: &Operand) -> Result<Self, PartitionError> {
        open(operand, Mode::Beside, Path::new(node::SYSFS))
    }

    /// The same, read by what the system remembers of it: for who is alone in writing to it,
    /// by this and not another node. To be called before it is cloned.
    #[must_use]
    pub fn through_cache(self) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(opened) => Partition(Arc::new(Opened {
                direct: None,
                ..opened
            })),
            Err(shared) => Partition(shared),
        }
    }

    /// Its length in bytes, as it was when opened.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// True where it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The operand it was opened by, which messages show.
    #[must_use]
    pub fn operand(&self) -> &Operand {
        &self.0.operand
    }

    /// The file or block device it is in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where the system shows the open file or device itself, whatever became of
    /// its path. For this process alone, and while the partition is open.
    #[must_use]
    pub fn open_path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.file.as_raw_fd()).into()
    }

    /// Where in that file or device it starts, in bytes.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.0.start
    }

    /// True for a block device, false for a file.
    #[must_use]
    pub fn is_block_device(&self) -> bool {
        self.0.block_device
    }

    /// Fills `buf` from the bytes at `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`], before anything is read, where they
    /// are not all inside; otherwise what the system says. The message has the
    /// operand and the offset.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let at = self.place(buf.len(), offset)?;
        let done = self.0.read(buf, at);
        done.map_err(|e| self.failed("read", buf.len(), offset, &e))
    }

    /// Writes `buf` over the bytes at `offset`; see [`Partition::sync`].
    ///
    /// # Errors
    /// As [`Partition::read_at`]; it fails where the partition was opened for reading.
    pub fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let at = self.place(buf.len(), offset)?;
        let done = self.0.file.write_all_at(buf, at);
        done.map_err(|e| self.failed("write", buf.len(), offset, &e))
    }

    /// Returns when all that was written will outlast a power cut.
    ///
    /// # Errors
    /// What the system says, with the operand.
    pub fn sync(&self) -> io::Result<()> {
        let done = self.0.file.sync_all();
        done.map_err(|e| io::Error::new(e.kind(), format!("{}: cannot sync: {e}", self.0.operand)))
    }

    /// Whether the file system says that these bytes were never written, and so
    /// are zeros; never so on a device. To be asked of what is synced: file
    /// systems have been wrong about what was not.
    #[must_use]
    pub fn is_hole(&self, offset: u64, len: usize) -> bool {
        let Ok(at) = self.place(len, offset) else {
            return false;
        };
        let end = at + len as u64;
        match seek(&self.0.file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data >= end,
            // No data up to the end of the file, wherever that is by now.
            Err(Errno::NXIO) => self.0.file.metadata().is_ok_and(|meta| meta.len() >= end),
            Err(_) => false,
        }
    }

    /// Makes what other programs wrote before this call be what is read after it:
    /// the other nodes of a disk put on disk what they hold. Opening does it
    /// too. For a file there is nothing to do, unless a loop device is made of it.
    pub fn refresh(&self) {
        self.0.refresh(Path::new(node::SYSFS));
    }

    /// Lets go of what the system remembers of it and has on disk, so that what is
    /// read next comes from there. A wish: it may read what it remembers.
    pub fn forget(&self) {
        let len = NonZeroU64::new(self.0.len);
        let _ = fadvise(&self.0.file, self.0.start, len, Advice::DontNeed);
    }

    /// Takes a lock on the file or device, as [`lock::take`]. It ends with the last clone.
    ///
    /// # Errors
    /// What the system says.
    pub fn lock(&self, hold: Hold, limit: Duration) -> io::Result<bool> {
        lock::take(&self.0.file, hold, limit)
    }

    /// Claims the file or device against all who claim it, in any container of this
    /// machine, until the last clone ends: see [`claim`]. False where another has it.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_claim(&self) -> io::Result<bool> {
        if self.0.exclusive || self.0.claim.get().is_some() {
            return Ok(true);
        }
        let claimed = claim(&self.open_path())?;
        Ok(claimed.is_some_and(|file| self.0.claim.set(file).is_ok()))
    }

    /// Where in the file `count` bytes at `offset` are, if they are inside.
    fn place(&self, count: usize, offset: u64) -> io::Result<u64> {
        let end = u64::try_from(count)
            .ok()
            .and_then(|count| offset.checked_add(count))
            .filter(|&end| end <= self.0.len);
        let at = self.0.start.checked_add(offset);
        end.and(at).ok_or_else(|| {
            let text = format!(
                "{}: expected a place in 0-{}, found {count} bytes at {offset}",
                self.0.operand, self.0.len
            );
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }

    fn failed(&self, verb: &str, count: usize, offset: u64, e: &io::Error) -> io::Error {
        let text = format!(
            "{}: cannot {verb} {count} bytes at {offset}: {e}",
            self.0.operand
        );
        io::Error::new(e.kind(), text)
    }
}

/// Claims a file or block device for as long as what is returned, or a copy of it in
/// another process, is open; `None` where another has it. A block device is opened
/// exclusively, which every node of it in every container knows; a file is locked.
///
/// # Errors
/// What the system says.
pub fn claim(path: &Path) -> io::Result<Option<File>> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if fs::metadata(path)?.file_type().is_block_device() {
        flags |= OFlags::EXCL;
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path);
    let file = match opened {
        Err(e) if e.kind() == io::ErrorKind::ResourceBusy => return Ok(None),
        opened => opened?,
    };
    Ok(lock::take_now(&file)?.then_some(file))
}

fn open(operand: &Operand, mode: Mode, sysfs: &Path) -> Result<Partition, PartitionError> {
    let (path, meta, suffix) = find(operand)?;
    let file = open_file(path, &meta, mode).map_err(|cause| PartitionError::system(path, cause))?;
    let mut whole = Opened::whole(file, operand, path)?;
    whole.exclusive = whole.block_device && mode == Mode::ReadWrite;
    whole.refresh(sysfs);
    let part = match suffix {
        None => whole,
        Some(Suffix::Range { lo, hi }) => whole.range(*lo, *hi)?,
        Some(Suffix::Name(name)) => whole.named(name, mode, sysfs)?,
        Some(Suffix::Bad(e)) => {
            let operand = operand.clone();
            let error = e.clone();
            return Err(PartitionError::Operand { operand, error });
        }
    };
    Ok(Partition(Arc::new(part)))
}

/// The path in an operand, what is there, and what follows the path.
fn find(operand: &Operand) -> Result<(&Path, Metadata, Option<&Suffix>), PartitionError> {
    if let Some(meta) = look(operand.as_path())? {
        return Ok((operand.as_path(), meta, None));
    }
    if let Some((path, suffix)) = operand.split()
        && let Some(meta) = look(path)?
    {
        return Ok((path, meta, Some(suffix)));
    }
    Err(PartitionError::NotFound(operand.clone()))
}

/// What is at a path, if anything; refused where it cannot be a partition.
/// Asked before opening, since opening a fifo or a tape waits or acts.
fn look(path: &Path) -> Result<Option<Metadata>, PartitionError> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(cause) => return Err(PartitionError::system(path, cause)),
    };
    check_kind(path, meta.file_type())?;
    Ok(Some(meta))
}

fn check_kind(path: &Path, kind: FileType) -> Result<(), PartitionError> {
    let found = if kind.is_file() || kind.is_block_device() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_char_device() {
        "a character device"
    } else if kind.is_fifo() {
        "a fifo"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "something else"
    };
    let path = path.to_owned();
    Err(PartitionError::Kind { path, found })
}

fn open_file(path: &Path, meta: &Metadata, mode: Mode) -> io::Result<File> {
    // NONBLOCK: should a fifo have taken the name meanwhile, do not wait for its other end.
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if mode != Mode::Read && meta.file_type().is_block_device() {
        // Without CREATE this means: not while it is mounted or claimed.
        flags.set(OFlags::EXCL, mode == Mode::ReadWrite);
    }
    let file = OpenOptions::new()
        .read(true)
        .write(mode != Mode::Read)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)?;
    if mode != Mode::Read && meta.file_type().is_block_device() {
        node::refuse_read_only(&file)?;
    }
    Ok(file)
}

impl Opened {
    fn whole(mut file: File, operand: &Operand, path: &Path) -> Result<Self, PartitionError> {
        let failed = |cause| PartitionError::system(path, cause);
        let meta = file.metadata().map_err(failed)?;
        check_kind(path, meta.file_type())?;
        let block_device = meta.file_type().is_block_device();
        let len = if block_device {
            file.seek(SeekFrom::End(0)).map_err(failed)?
        } else {
            meta.len()
        };
        if block_device && len == 0 {
            return Err(PartitionError::NoMedium(path.to_owned()));
        }
        let direct = block_device.then(|| Direct::of(&file)).flatten();
        Ok(Opened {
            file,
            direct,
            operand: operand.clone(),
            path: path.to_owned(),
            block_device,
            start: 0,
            len,
            exclusive: false,
            claim: OnceLock::new(),
        })
    }

    fn read(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        match &self.direct {
            Some(direct) => direct.read(buf, at),
            None => self.file.read_exact_at(buf, at),
        }
    }

    fn refresh(&self, sysfs: &Path) {
        if let Ok(meta) = self.file.metadata() {
            node::write_out_others(sysfs, &meta);
        }
        if self.block_device {
            // What is written here goes by pages: none may be an old one.
            direct::drop_clean_pages(&self.file);
        }
    }

    /// The bytes from `lo` up to `hi`, or up to the end.
    fn range(mut self, lo: u64, hi: Option<u64>) -> Result<Self, PartitionError> {
        let hi = hi.unwrap_or(self.len);
        if lo >= hi || hi > self.len {
            return Err(PartitionError::Range {
                operand: self.operand,
                lo,
                hi,
                len: self.len,
            });
        }
        self.start = lo;
        self.len = hi - lo;
        Ok(self)
    }

    /// The Plan 9 partition of this name. To read, one that is cut will do.
    fn named(mut self, name: &str, mode: Mode, sysfs: &Path) -> Result<Self, PartitionError> {
        if mode != Mode::Read {
            self.refuse_nodes(sysfs)?;
        }
        let (slice, entry) = self.find_part(name)?;
        let bytes = slice.bytes_of(&entry, self.len, mode == Mode::Read);
        let (lo, hi) = bytes.map_err(|error| self.on_disk(error))?;
        self.start = lo;
        self.len = hi - lo;
        Ok(self)
    }

    /// Looks where plan9port's venti does: in the table of what this is, which
    /// may be a slice, then in the table of each slice that its MBR names.
    fn find_part(&self, name: &str) -> Result<(Slice, SlicePartition), PartitionError> {
        let whole = Slice {
            start: 0,
            len: self.len,
        };
        let mut tables = Vec::new();
        let mut causes = Vec::new();
        let mut look = |slice: Slice| match self.table(slice) {
            Ok(table) => {
                let found = table.find(name).map(|entry| (slice, entry.clone()));
                tables.push(table);
                found
            }
            Err(cause) => {
                causes.push(cause);
                None
            }
        };
        if let Some(found) = look(whole) {
            return Ok(found);
        }
        let slices = self.slices();
        let listed = slices.as_deref().unwrap_or_default();
        if let Some(found) = listed.iter().copied().find_map(look) {
            return Ok(found);
        }
        if !tables.is_empty() {
            return Err(self.on_disk(DiskError::no_such(name, &tables)));
        }
        // That the whole is not a slice is usual, and not why.
        slices?;
        Err(causes
            .pop()
            .unwrap_or_else(|| self.on_disk(DiskError::NoTable)))
    }

    /// The slices that the MBR names.
    fn slices(&self) -> Result<Vec<Slice>, PartitionError> {
        Slice::of_mbr(&self.sector(0)?).map_err(|error| self.on_disk(error))
    }

    /// The table in the second sector of a slice.
    fn table(&self, slice: Slice) -> Result<Table, PartitionError> {
        let sector = self.sector(slice.start.saturating_add(SECTOR))?;
        Table::parse(&sector).map_err(|error| self.on_disk(error))
    }

    /// What is written through a disk is not seen through the nodes of its slices.
    fn refuse_nodes(&self, sysfs: &Path) -> Result<(), PartitionError> {
        if !self.block_device {
            return Ok(());
        }
        let meta = self.file.metadata();
        let dev = meta
            .map_err(|cause| PartitionError::system(&self.path, cause))?
            .rdev();
        let nodes = node::nodes_on(sysfs, dev);
        if nodes.is_empty() {
            return Ok(());
        }
        let operand = self.operand.clone();
        Err(PartitionError::Nodes { operand, nodes })
    }

    fn on_disk(&self, error: DiskError) -> PartitionError {
        let operand = self.operand.clone();
        let error = Box::new(error);
        PartitionError::Disk { operand, error }
    }

    fn sector(&self, at: u64) -> Result<[u8; SECTOR_LEN], PartitionError> {
        if at.checked_add(SECTOR).is_none_or(|end| end > self.len) {
            return Err(self.on_disk(DiskError::Outside {
                what: format!("the sector at {at}"),
                within: "disk",
                len: self.len,
            }));
        }
        let mut sector = [0; SECTOR_LEN];
        let read = self.read(&mut sector, at);
        read.map_err(|cause| PartitionError::system(&self.path, cause))?;
        Ok(sector)
    }
}

/// Why an operand could not be opened.
#[derive(Debug)]
pub enum PartitionError {
    /// Neither the whole text nor what is before its last colon is there.
    NotFound(Operand),
    /// The path is there, but what follows it says nothing.
    Operand {
        /// The operand.
        operand: Operand,
        /// What is wrong with it.
        error: Invalid,
    },
    /// Something that has no offsets.
    Kind {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A block device of length 0.
    NoMedium(PathBuf),
    /// A range that is empty or not inside the file.
    Range {
        /// The operand.
        operand: Operand,
        /// Its first byte.
        lo: u64,
        /// One past its last byte.
        hi: u64,
        /// The length of the file or device.
        len: u64,
    },
    /// A disk whose slices have device nodes, which Linux caches apart from the disk's.
    Nodes {
        /// The operand.
        operand: Operand,
        /// The names of the nodes in `/dev`.
        nodes: Vec<String>,
    },
    /// No such partition on a disk.
    Disk {
        /// The operand.
        operand: Operand,
        /// What was found instead.
        error: Box<DiskError>,
    },
    /// Anything else the system says.
    System {
        /// The file or device.
        path: PathBuf,
        /// What it says.
        cause: io::Error,
    },
}

impl PartitionError {
    fn system(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        Self::System { path, cause }
    }
}

impl fmt::Display for PartitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(operand) => match operand.split() {
                Some((path, _)) => write!(
                    f,
                    "{operand}: no such file or device, and no {} of which it could be a part",
                    text::path(path)
                ),
                None => write!(f, "{operand}: no such file or device"),
            },
            Self::Operand { operand, error } => write!(f, "{operand}: {error}"),
            Self::Kind { path, found } => write!(
                f,
                "{}: expected a file or a block device, found {found}",
                text::path(path)
            ),
            Self::NoMedium(path) => write!(
                f,
                "{}: expected a block device with something on it, found one of length 0",
                text::path(path)
            ),
            Self::Range {
                operand,
                lo,
                hi,
                len,
            } => write!(f, "{operand}: expected a range in 0-{len}, found {lo}-{hi}"),
            Self::Nodes { operand, nodes } => {
                let name = operand.name().unwrap_or_default();
                write!(
                    f,
                    "{operand}: the disk's slices have device nodes, which the system caches separately: use one of"
                )?;
                nodes
                    .iter()
                    .try_for_each(|node| write!(f, " /dev/{node}:{name}"))
            }
            Self::Disk { operand, error } => write!(f, "{operand}: {error}"),
            Self::System { path, cause } => write!(f, "{}: {cause}", text::path(path)),
        }
    }
}

impl std::error::Error for PartitionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Operand { error, .. } => Some(error),
            // The message has what the system says.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
