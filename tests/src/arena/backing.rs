//! The file of a partition, open only while it is read or written: who keeps one
//! open for writing looks like the server that it belongs to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file by its path.
#[derive(Debug)]
pub(super) struct Backing(PathBuf);

impl Backing {
    pub(super) fn at(path: &Path) -> Self {
        Backing(path.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(&self.0)
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.open()?.write_all_at(bytes, at)
    }

    pub(super) fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        File::open(&self.0)?.read_exact_at(bytes, at)
    }

    pub(super) fn set_len(&self, length: u64) -> io::Result<()> {
        self.open()?.set_len(length)
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        self.open()?.sync_data()
    }
}
