//! Reading a block device past what the system remembers of it.
//!
//! Linux has a cache for each node of a disk: the disk's own, one for each
//! slice, one for each loop device. A server that writes through another node
//! leaves ours as it was. So a device is read with `O_DIRECT`: that asks the
//! disk, after our own node's cache was written to it. What another node has
//! yet to write, [`super::node::Others`] makes it write.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::fs::{Advice, OFlags, fadvise, ioctl_blksszget};

/// Most bytes that are asked for at once.
const PIECE: usize = 1 << 20;

/// Where in memory the bytes must go: as much as any device wants.
const MEMORY: usize = 4096;

/// A device, opened once more to be read directly.
#[derive(Debug)]
pub(super) struct Direct {
    file: File,
    /// Offsets and lengths are multiples of it: the device's sector in bytes.
    sector: u64,
}

impl Direct {
    /// None where the device cannot be read so.
    pub(super) fn of(device: &File) -> Option<Self> {
        let sector = ioctl_blksszget(device).ok()?;
        Self::with(device, sector.into())
    }

    fn with(device: &File, sector: u64) -> Option<Self> {
        let flags = i32::try_from((OFlags::DIRECT | OFlags::NOCTTY).bits()).ok()?;
        let path = format!("/proc/self/fd/{}", device.as_raw_fd());
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        Some(Direct {
            file: file.ok()?,
            sector: sector.max(1),
        })
    }

    /// Fills `buf` from the bytes at `at`.
    pub(super) fn read(&self, buf: &mut [u8], mut at: u64) -> io::Result<()> {
        for piece in buf.chunks_mut(PIECE) {
            self.read_piece(piece, at)?;
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(())
    }

    fn read_piece(&self, piece: &mut [u8], at: u64) -> io::Result<()> {
        let unfit = || io::Error::from(io::ErrorKind::InvalidInput);
        let lo = at - at % self.sector;
        let end = at.checked_add(piece.len() as u64);
        let hi = end.and_then(|end| end.checked_next_multiple_of(self.sector));
        let len = hi.and_then(|hi| usize::try_from(hi - lo).ok());
        let len = len.ok_or_else(unfit)?;
        let mut room = vec![0; len.saturating_add(MEMORY)];
        let skip = room.as_ptr().align_offset(MEMORY);
        let sectors = room.get_mut(skip..).and_then(|room| room.get_mut(..len));
        let sectors = sectors.ok_or_else(unfit)?;
        self.file.read_exact_at(sectors, lo)?;
        let from = usize::try_from(at - lo).map_err(|_| unfit())?;
        let wanted = sectors.get(from..).and_then(|rest| rest.get(..piece.len()));
        piece.copy_from_slice(wanted.ok_or_else(unfit)?);
        Ok(())
    }
}

/// Drops what the system remembers of a file or device and need not write. A
/// page that a program has mapped stays.
pub(super) fn drop_clean_pages(file: &File) {
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file stands for the device, where its file system can be read so.
    #[test]
    fn any_bytes_are_read_whatever_the_sectors() {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let bytes: Vec<u8> = (0..PIECE + 3 * MEMORY)
            .map(|n| u8::try_from(n / 7 % 251).unwrap())
            .collect();
        file.write_all(&bytes).unwrap();
        file.sync_all().unwrap();
        let Some(direct) = Direct::with(&file, MEMORY as u64) else {
            eprintln!("skipped: no direct reading in this file system");
            return;
        };
        for (at, len) in [
            (0, 0),
            (0, 1),
            (4095, 2),
            (4096, 4096),
            (1, PIECE),
            (5000, PIECE + 1),
            (PIECE + 3 * MEMORY - 1, 1),
        ] {
            let mut buf = vec![0; len];
            direct.read(&mut buf, at as u64).unwrap();
            assert!(buf == bytes[at..][..len], "{len} at {at}");
        }
        let past = direct.read(&mut [0; 2], bytes.len() as u64 - 1);
        assert_eq!(past.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(direct.read(&mut [0; 2], u64::MAX).is_err());
    }
}
