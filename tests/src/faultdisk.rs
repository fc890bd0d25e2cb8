//! A disk in memory that forgets. Reads see all that was written. A power cut leaves what
//! was synced, and of what was written later any part, torn at sectors. Writes and syncs
//! can fail, and the process that uses the disk can be stopped at any of them.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use venticore::source::ReadAt;
use venticore::store::Disk;

use crate::random::Random;

/// Bytes that a disk writes wholly or not at all.
const SECTOR: usize = 512;

/// What the disks of a machine have in common: how many writes and syncs there were, and
/// after which the process is stopped.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<Mutex<Switch>>);

#[derive(Debug, Default)]
struct Switch {
    steps: u64,
    stop_at: Option<u64>,
    is_stopped: bool,
}

impl Power {
    /// Stops the process at the write or sync after so many others: it is half done.
    pub fn stop_after(&self, steps: u64) {
        let mut switch = self.switch();
        switch.stop_at = Some(switch.steps + steps + 1);
    }

    /// Whether the process was stopped. Its writes and syncs fail from then on.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.switch().is_stopped
    }

    /// There is a new process, which nothing stops so far.
    pub fn restart(&self) {
        let mut switch = self.switch();
        switch.stop_at = None;
        switch.is_stopped = false;
    }

    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> Step {
        let mut switch = self.switch();
        if switch.is_stopped {
            return Step::Never;
        }
        switch.steps += 1;
        switch.is_stopped = switch.stop_at.is_some_and(|at| switch.steps >= at);
        match switch.is_stopped {
            true => Step::Half,
            false => Step::Whole,
        }
    }
}

/// How far a write or sync gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Whole,
    Half,
    Never,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write, with this error of the system: some of its first sectors are written.
    Write(i32),
    /// A sync, with this error. Some of it is on disk. The rest is never written, as on Linux:
    /// the next sync knows nothing of it.
    Sync(i32),
}

/// The disk.
#[derive(Debug)]
pub struct FaultDisk {
    name: String,
    power: Power,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What reads see.
    seen: Vec<u8>,
    /// What a power cut leaves for certain.
    lasting: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// What a failed sync forgot to write.
    forgotten: Vec<Range<usize>>,
    fault: Option<(Fault, u64)>,
    unreadable: Option<Range<u64>>,
    random: Random,
}

impl FaultDisk {
    /// A disk that holds these bytes for certain.
    #[must_use]
    pub fn new(name: &str, bytes: Vec<u8>, power: &Power, seed: u64) -> Self {
        FaultDisk {
            name: name.to_owned(),
            power: power.clone(),
            state: Mutex::new(State {
                lasting: bytes.clone(),
                seen: bytes,
                unsynced: Vec::new(),
                forgotten: Vec::new(),
                fault: None,
                unreadable: None,
                random: Random::new(seed),
            }),
        }
    }

    /// From now on this fails, so many times; then nothing does.
    pub fn fail(&self, fault: Fault, times: u64) {
        self.state().fault = Some((fault, times));
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        let mut state = self.state();
        state.fault = None;
        state.unreadable = None;
    }

    /// All can be read again.
    pub fn readable(&self) {
        self.state().unreadable = None;
    }

    /// Reads of any of these bytes fail, until [`FaultDisk::readable`].
    pub fn spoil(&self, bytes: Range<u64>) {
        self.state().unreadable = Some(bytes);
    }

    /// Flips a bit of the byte at an offset, for good.
    pub fn flip(&self, offset: u64, bit: usize) {
        let at = usize::try_from(offset).expect("small disks");
        let mut state = self.state();
        state.seen[at] ^= 1 << (bit % 8);
        state.lasting[at] = state.seen[at];
    }

    /// Takes the power: what was not synced is there, or is not.
    pub fn cut_power(&self) {
        self.state().cut_power();
    }

    /// Whether a power cut could lose something.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        let state = self.state();
        !state.unsynced.is_empty() || !state.forgotten.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether this fails now; how it would.
    fn fails(&mut self, wanted: fn(Fault) -> Option<i32>) -> Option<io::Error> {
        let (fault, times) = self.fault?;
        let error = wanted(fault)?;
        self.fault = (times > 1).then_some((fault, times - 1));
        Some(io::Error::from_raw_os_error(error))
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.seen[at..at + bytes.len()].copy_from_slice(bytes);
        self.unsynced.push((at, bytes.to_vec()));
    }

    /// All that was written lasts.
    fn settle(&mut self) {
        for (at, bytes) in self.unsynced.drain(..) {
            self.lasting[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// Some of what was written lasts.
    fn settle_some(&mut self) {
        for (at, bytes) in self.survivors() {
            self.lasting[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn cut_power(&mut self) {
        let survivors = self.survivors();
        let unsynced = self.unsynced.drain(..);
        let written = unsynced.map(|(at, bytes)| at..at + bytes.len());
        for range in written.chain(self.forgotten.drain(..)) {
            self.seen[range.clone()].copy_from_slice(&self.lasting[range]);
        }
        for (at, bytes) in survivors {
            self.seen[at..at + bytes.len()].copy_from_slice(&bytes);
            self.lasting[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// The sectors, or parts of them, that reach the disk, in the order in which they do.
    fn survivors(&mut self) -> Vec<(usize, Vec<u8>)> {
        let writes = self.unsynced.len();
        let first = self.random.below(writes + 1);
        let lost = self.random.below(writes);
        let percent = self.random.below(101);
        let kind = self.random.below(6);
        let mut survivors = Vec::new();
        for (number, (at, bytes)) in self.unsynced.iter().enumerate() {
            for (at, piece) in sectors(*at, bytes) {
                let survives = match kind {
                    0 => false,
                    1 => number < first,
                    2 => number != lost,
                    3 => number < first || number == first && self.random.below(2) == 0,
                    _ => self.random.below(100) < percent,
                };
                if survives {
                    survivors.push((at, piece.to_vec()));
                }
            }
        }
        if kind == 5 {
            for at in (1..survivors.len()).rev() {
                survivors.swap(at, self.random.below(at + 1));
            }
        }
        survivors
    }
}

/// The parts of a write that lie in one sector each.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = at + from;
        let len = (SECTOR - start % SECTOR).min(bytes.len() - from);
        let piece = &bytes[from..from + len];
        from += len;
        (len > 0).then_some((start, piece))
    })
}

impl ReadAt for FaultDisk {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        const EIO: i32 = 5;
        let state = self.state();
        let end = offset + buf.len() as u64;
        let spoilt = state.unreadable.as_ref();
        if spoilt.is_some_and(|of| of.start < end && offset < of.end) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        state.seen.read_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.state().seen.len() as u64
    }
}

impl Disk for FaultDisk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let mut state = self.state();
        if at + bytes.len() > state.seen.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let step = self.power.step();
        let error = match step {
            Step::Never => return Err(io::Error::other("stopped")),
            Step::Half => Some(io::Error::other("stopped")),
            Step::Whole => state.fails(|fault| match fault {
                Fault::Write(error) => Some(error),
                Fault::Sync(_) => None,
            }),
        };
        let pieces: Vec<usize> = sectors(at, bytes).map(|(_, piece)| piece.len()).collect();
        let len = match error {
            Some(_) => pieces[..state.random.below(pieces.len() + 1)].iter().sum(),
            None => bytes.len(),
        };
        state.write(at, &bytes[..len]);
        error.map_or(Ok(()), Err)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        let error = match self.power.step() {
            Step::Never => return Err(io::Error::other("stopped")),
            Step::Half => {
                state.settle_some();
                return Err(io::Error::other("stopped"));
            }
            Step::Whole => state.fails(|fault| match fault {
                Fault::Sync(error) => Some(error),
                Fault::Write(_) => None,
            }),
        };
        let Some(error) = error else {
            state.settle();
            return Ok(());
        };
        state.settle_some();
        let unsynced = std::mem::take(&mut state.unsynced);
        let ranges = unsynced.iter().map(|(at, bytes)| *at..at + bytes.len());
        state.forgotten.extend(ranges);
        Err(error)
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &FaultDisk, at: u64) -> u8 {
        let mut byte = [0];
        disk.read_at(&mut byte, at).unwrap();
        byte[0]
    }

    #[test]
    fn a_power_cut_leaves_what_was_synced_and_any_part_of_the_rest() {
        let mut seen = [[false; 2]; 2];
        for seed in 0..200 {
            let disk = FaultDisk::new("disk", vec![0; 4096], &Power::default(), seed);
            disk.write_at(&[1; 10], 0).unwrap();
            disk.sync().unwrap();
            disk.write_at(&[2; 1024], 100).unwrap();
            assert_eq!((read(&disk, 100), read(&disk, 1000)), (2, 2));
            disk.cut_power();
            assert_eq!((read(&disk, 0), read(&disk, 9)), (1, 1));
            let (one, two) = (read(&disk, 100), read(&disk, 1000));
            seen[usize::from(one == 2)][usize::from(two == 2)] = true;
        }
        assert_eq!(seen, [[true; 2]; 2]);
    }

    #[test]
    fn what_a_failed_sync_forgot_is_read_until_the_power_is_cut() {
        let mut lost = false;
        for seed in 0..50 {
            let disk = FaultDisk::new("disk", vec![0; 512], &Power::default(), seed);
            disk.fail(Fault::Sync(5), 1);
            disk.write_at(&[1; 10], 0).unwrap();
            assert!(disk.sync().is_err());
            assert!(disk.sync().is_ok());
            assert_eq!(read(&disk, 0), 1);
            disk.cut_power();
            lost |= read(&disk, 0) == 0;
        }
        assert!(lost);
    }

    #[test]
    fn a_process_that_was_stopped_changes_nothing_more() {
        let power = Power::default();
        let disk = FaultDisk::new("disk", vec![0; 512], &power, 1);
        power.stop_after(1);
        assert!(disk.write_at(&[1; 10], 0).is_ok());
        assert!(disk.sync().is_err() && power.is_stopped());
        assert!(disk.write_at(&[2; 10], 0).is_err());
        power.restart();
        assert_eq!(read(&disk, 0), 1);
        assert!(disk.write_at(&[2; 10], 0).is_ok());
    }
}
