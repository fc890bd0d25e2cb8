//! The sectors that a change writes, on record before the first of them is
//! written, so that the next run can bring one to its end that was cut short.
//!
//! A line of JSON says which image it is for; each sector follows as its number, what it
//! held, and what it is to hold.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::fat::{Bytes, SECTOR, SECTOR_LEN, Sectors};
use super::memory::fingerprint;
use crate::host::partition::Partition;
use crate::state::{self, StateDir};

const SCHEMA: u32 = 1;

/// Bytes of a sector's number.
const NUMBER: usize = 8;

/// The most sectors that a change may write.
pub(super) const SECTORS_MAX: usize = 1 << 16;

/// The most bytes of a record.
const FILE_MAX: usize = (SECTORS_MAX + 1) * (NUMBER + 2 * SECTOR);

/// What a change is for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RedoHead {
    schema: u32,
    image: String,
}

/// The sectors that a change writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redo {
    name: String,
    head: RedoHead,
    /// What each sector holds before and after.
    sectors: BTreeMap<u64, ([u8; SECTOR], [u8; SECTOR])>,
}

/// Where changes end up.
pub(super) trait Medium: Bytes {
    /// Writes over the bytes at `offset`.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when all that was written will outlast a power cut.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for Partition {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        Partition::write_at(self, buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Partition::sync(self)?;
        self.forget();
        Ok(())
    }
}

fn name_for(image: &str) -> String {
    let mark = fingerprint(image.as_bytes());
    format!("ninefat.{}", mark.get(..8).unwrap_or_default())
}

impl Redo {
    /// A change of these sectors of an image, on record.
    pub(super) fn record(
        image: &str,
        medium: &impl Bytes,
        new: Sectors,
        state: &StateDir,
    ) -> Result<io::Result<Self>, state::StateError> {
        let mut redo = Redo {
            name: name_for(image),
            head: RedoHead {
                schema: SCHEMA,
                image: image.to_owned(),
            },
            sectors: BTreeMap::new(),
        };
        for (number, new) in new {
            let mut old = [0; SECTOR];
            if let Err(error) = medium.read_at(&mut old, number * SECTOR_LEN) {
                return Ok(Err(error));
            }
            redo.sectors.insert(number, (old, new));
        }
        state.replace(&redo.name, &redo.to_bytes())?;
        Ok(Ok(redo))
    }

    /// The change to an image that was begun and is not known to have been finished.
    /// What cannot be understood was never begun: a record is whole or not there.
    pub(super) fn pending(
        image: &str,
        state: &StateDir,
    ) -> Result<Option<Self>, state::StateError> {
        let name = name_for(image);
        let bytes = state.read(&name, FILE_MAX)?.unwrap_or_default();
        let redo = Self::parse(name, &bytes);
        Ok(redo.filter(|redo| redo.head.image == image))
    }

    /// Whether each sector holds what it held, or what it is to hold.
    pub(super) fn still_fits(&self, medium: &impl Bytes) -> io::Result<bool> {
        for (number, (old, new)) in &self.sectors {
            let mut now = [0; SECTOR];
            medium.read_at(&mut now, number * SECTOR_LEN)?;
            if now != *old && now != *new {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the sectors, those from byte `data` on first, and takes the change off the record.
    pub(super) fn commit(
        self,
        medium: &impl Medium,
        data: u64,
        state: &StateDir,
    ) -> Result<io::Result<()>, state::StateError> {
        if let Err(error) = self.write(medium, data) {
            return Ok(Err(error));
        }
        self.forget(state).map(Ok)
    }

    /// Takes the change off the record.
    pub(super) fn forget(self, state: &StateDir) -> Result<(), state::StateError> {
        state.remove(&self.name)
    }

    fn write(&self, medium: &impl Medium, data: u64) -> io::Result<()> {
        let is_data = |number: &u64| number * SECTOR_LEN >= data;
        for of_data in [true, false] {
            let part = self.sectors.iter().filter(|(n, _)| is_data(n) == of_data);
            for (number, (_, new)) in part {
                medium.write_at(new, number * SECTOR_LEN)?;
            }
            medium.sync()?;
        }
        for (number, (_, new)) in &self.sectors {
            let mut now = [0; SECTOR];
            medium.read_at(&mut now, number * SECTOR_LEN)?;
            if now != *new {
                let at = number * SECTOR_LEN;
                let text = format!("the sector at {at} does not hold what was written to it");
                return Err(io::Error::other(text));
            }
        }
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        for (number, (old, new)) in &self.sectors {
            bytes.extend(number.to_le_bytes());
            bytes.extend(old);
            bytes.extend(new);
        }
        bytes
    }

    fn parse(name: String, bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let head: RedoHead = serde_json::from_slice(bytes.get(..end)?).ok()?;
        let records = bytes.get(end + 1..)?.chunks(NUMBER + 2 * SECTOR);
        let sectors = records.map(|record| {
            let (number, rest) = record.split_first_chunk()?;
            let (old, new) = rest.split_first_chunk()?;
            Some((u64::from_le_bytes(*number), (*old, new.try_into().ok()?)))
        });
        let sectors = sectors.collect::<Option<_>>()?;
        (head.schema == SCHEMA).then_some(Redo {
            name,
            head,
            sectors,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A disk in memory that fails after `left` writes.
    struct Disk {
        bytes: RefCell<Vec<u8>>,
        left: Cell<usize>,
    }

    impl Bytes for Disk {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            let at = usize::try_from(offset).unwrap();
            buf.copy_from_slice(&self.bytes.borrow()[at..at + buf.len()]);
            Ok(())
        }
    }

    impl Medium for Disk {
        fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
            let left = self.left.get().checked_sub(1);
            self.left.set(left.ok_or(io::ErrorKind::BrokenPipe)?);
            let at = usize::try_from(offset).unwrap();
            self.bytes.borrow_mut()[at..at + buf.len()].copy_from_slice(buf);
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn change() -> Sectors {
        [1, 3, 4, 7].map(|n| (n, [0xaa; SECTOR])).into()
    }

    #[test]
    fn a_change_that_was_cut_short_anywhere_is_finished_by_the_next_run() {
        for left in 0..4 {
            let directory = tempfile::tempdir().unwrap();
            let state = StateDir::open(directory.path()).unwrap();
            let disk = Disk {
                bytes: RefCell::new(vec![0x55; 8 * SECTOR]),
                left: Cell::new(left),
            };
            let redo = Redo::record("/a:0", &disk, change(), &state).unwrap();
            redo.unwrap()
                .commit(&disk, 4 * SECTOR_LEN, &state)
                .unwrap()
                .unwrap_err();
            assert_eq!(Redo::pending("/b:0", &state).unwrap(), None);
            let redo = Redo::pending("/a:0", &state).unwrap().unwrap();
            assert!(redo.still_fits(&disk).unwrap());
            disk.left.set(4);
            redo.commit(&disk, 0, &state).unwrap().unwrap();
            assert_eq!(Redo::pending("/a:0", &state).unwrap(), None);
            for (n, sector) in disk.bytes.borrow().chunks(SECTOR).enumerate() {
                let new = change().contains_key(&(n as u64));
                assert!(
                    sector
                        .iter()
                        .all(|&byte| byte == if new { 0xaa } else { 0x55 })
                );
            }
        }
    }

    #[test]
    fn a_disk_that_has_changed_since_does_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let disk = Disk {
            bytes: RefCell::new(vec![0x55; 8 * SECTOR]),
            left: Cell::new(1),
        };
        let redo = Redo::record("/a:0", &disk, change(), &state).unwrap();
        redo.unwrap().commit(&disk, 0, &state).unwrap().unwrap_err();
        disk.bytes.borrow_mut()[3 * SECTOR + 5] = 0;
        let redo = Redo::pending("/a:0", &state).unwrap().unwrap();
        assert!(!redo.still_fits(&disk).unwrap());
        redo.forget(&state).unwrap();
        assert_eq!(Redo::pending("/a:0", &state).unwrap(), None);
    }

    #[test]
    fn what_is_not_a_record_is_none() {
        let redo = |bytes: &[u8]| Redo::parse("x".to_owned(), bytes);
        let head = &b"{\"schema\":1,\"image\":\"/a:0\"}\n"[..];
        assert!(redo(head).is_some());
        for bytes in [
            &b""[..],
            b"\n",
            b"{\"schema\":2,\"image\":\"\"}\n",
            &[head, &[0; 9]].concat(),
        ] {
            assert_eq!(redo(bytes), None);
        }
    }
}
