//! A disk as Plan 9 has it, in a file: MBR, slice, partition table, partitions.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const SECTOR: usize = 512;

/// Where the slice begins, in sectors.
const SLICE: usize = 63;

/// A disk image.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    parts: Vec<(String, Range<usize>)>,
}

impl Disk {
    /// Makes one with these partitions, one after the other. The first one begins
    /// with the slice, as a 9fat does, where its second sector is free for the table.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn create(path: &Path, parts: &[(&str, &[u8])]) -> Self {
        let mut slice = Vec::new();
        if parts
            .first()
            .is_some_and(|(_, bytes)| bytes.iter().skip(SECTOR).take(SECTOR).any(|&b| b != 0))
        {
            // Its second sector is in use: it follows the table.
            slice.resize(2 * SECTOR, 0);
        }
        let (mut table, mut places) = (String::new(), Vec::new());
        for (name, bytes) in parts {
            let start = slice.len();
            slice.extend_from_slice(bytes);
            slice.resize(slice.len().next_multiple_of(SECTOR), 0);
            let (first, end) = (start / SECTOR, slice.len() / SECTOR);
            table += &format!("part {name} {first} {end}\n");
            let start = SLICE * SECTOR + start;
            places.push(((*name).to_owned(), start..start + bytes.len()));
        }
        slice[SECTOR..][..SECTOR].fill(0);
        slice[SECTOR..][..table.len()].copy_from_slice(table.as_bytes());
        let mut mbr = [0; SECTOR];
        let sectors = u32::try_from(slice.len() / SECTOR).expect("a small disk");
        mbr[446 + 4] = 0x39;
        mbr[446 + 8..][..4].copy_from_slice(&63u32.to_le_bytes());
        mbr[446 + 12..][..4].copy_from_slice(&sectors.to_le_bytes());
        mbr[510..].copy_from_slice(&[0x55, 0xaa]);
        let mut disk = mbr.to_vec();
        disk.resize(SLICE * SECTOR, 0xee);
        disk.extend(slice);
        // What is behind the slice is nobody's.
        disk.resize(disk.len() + 3 * SECTOR, 0xdd);
        fs::write(path, disk).expect("a new file");
        Disk {
            path: path.to_owned(),
            parts: places,
        }
    }

    /// Where the image is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The operand of a partition.
    #[must_use]
    pub fn operand(&self, name: &str) -> String {
        format!("{}:{name}", self.path.display())
    }

    /// Where in the image a partition is.
    ///
    /// # Panics
    ///
    /// When there is none of this name.
    #[must_use]
    pub fn place(&self, name: &str) -> Range<usize> {
        let part = self.parts.iter().find(|(of, _)| of == name);
        part.expect("a partition of this name").1.clone()
    }

    /// All bytes of the image.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).expect("the image")
    }
}
