//! A disk in memory over one on disk: what is written stays in memory until it
//! was looked at.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::volume::{Bytes, SECTOR, SECTOR_LEN};

/// Sectors that have changed, by number.
pub(super) type Sectors = BTreeMap<u64, [u8; SECTOR]>;

/// The most bytes that may be changed: a log of many years.
const CHANGED_MAX: usize = (64 << 20) / SECTOR;

/// Where the number of sectors stands in the first one: in 16 bits, else in 32.
const TOTAL16: usize = 19;
const TABLE16: usize = 22;
const TOTAL32: usize = 32;

/// Reads what is on disk, writes to memory.
///
/// Each call costs a part of a budget, so that a file system whose clusters go
/// round in a circle ends with an error.
#[derive(Debug)]
pub(super) struct Stage<'a, D> {
    disk: &'a D,
    len: u64,
    at: u64,
    pub(super) changed: Sectors,
    /// The sector read last.
    cached: Option<(u64, [u8; SECTOR])>,
    budget: u64,
}

impl<'a, D: Bytes> Stage<'a, D> {
    pub(super) fn new(disk: &'a D, len: u64, budget: u64) -> Self {
        Stage {
            disk,
            len,
            at: 0,
            changed: Sectors::new(),
            cached: None,
            budget,
        }
    }

    /// Changes some bytes.
    pub(super) fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.at = at;
        self.write_all(bytes)
    }

    fn spend(&mut self) -> io::Result<()> {
        let left = self.budget.checked_sub(1);
        self.budget = left.ok_or_else(|| io::Error::other("damaged: it comes to no end"))?;
        Ok(())
    }

    /// The sector, and how far the place is in it; nothing at the end.
    fn sector(&mut self) -> io::Result<Option<([u8; SECTOR], usize)>> {
        let (number, within) = (self.at / SECTOR_LEN, self.at % SECTOR_LEN);
        let within = usize::try_from(within).unwrap_or(0);
        if self.at >= self.len {
            return Ok(None);
        }
        if let Some(sector) = self.changed.get(&number) {
            return Ok(Some((*sector, within)));
        }
        if let Some((_, sector)) = self.cached.filter(|&(of, _)| of == number) {
            return Ok(Some((sector, within)));
        }
        let mut sector = [0; SECTOR];
        self.disk.read_at(&mut sector, number * SECTOR_LEN)?;
        self.cached = Some((number, sector));
        Ok(Some((sector, within)))
    }
}

impl<D: Bytes> Bytes for Stage<'_, D> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.read_at(buf, offset)?;
        let end = offset + buf.len() as u64;
        for (number, sector) in self
            .changed
            .range(offset / SECTOR_LEN..end.div_ceil(SECTOR_LEN))
        {
            let start = number * SECTOR_LEN;
            for (byte, at) in sector.iter().zip(start..) {
                let within = at.checked_sub(offset).and_then(|n| usize::try_from(n).ok());
                if let Some(place) = within.and_then(|n| buf.get_mut(n)) {
                    *place = *byte;
                }
            }
        }
        Ok(())
    }
}

impl<D: Bytes> Read for Stage<'_, D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.spend()?;
        let first = self.at < SECTOR_LEN;
        let Some((mut sector, within)) = self.sector()? else {
            return Ok(0);
        };
        if first {
            hide_second_total(&mut sector);
        }
        let bytes = sector.get(within..).unwrap_or_default();
        let count = bytes.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Plan 9's disk/format gives the number of sectors twice, which `fatfs`
/// refuses. dossrv takes the shorter field where it is not 0; so do we.
fn hide_second_total(sector: &mut [u8; SECTOR]) {
    let is_zero = |at: usize| sector.get(at..at + 2).is_some_and(|field| field == [0, 0]);
    if !is_zero(TOTAL16)
        && !is_zero(TABLE16)
        && let Some(field) = sector.get_mut(TOTAL32..TOTAL32 + 4)
    {
        field.fill(0);
    }
}

impl<D: Bytes> Write for Stage<'_, D> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.spend()?;
        let number = self.at / SECTOR_LEN;
        let Some((mut sector, within)) = self.sector()? else {
            return Err(io::Error::other("damaged: it goes on past its end"));
        };
        let place = sector.get_mut(within..).unwrap_or_default();
        let count = place.len().min(buf.len());
        if let (Some(to), Some(from)) = (place.get_mut(..count), buf.get(..count)) {
            to.copy_from_slice(from);
        }
        if self.changed.len() >= CHANGED_MAX && !self.changed.contains_key(&number) {
            let text = "expected a log of at most 64 MiB, found more";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.changed.insert(number, sector);
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: Bytes> Seek for Stage<'_, D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
