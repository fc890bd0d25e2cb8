//! A change to one file of a FAT file system: made in memory by `fatfs`, held
//! against what it may touch, and written in an order that no crash can spoil.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use fatfs::{Date, DateTime, FileSystem, FsOptions, Time, TimeProvider};

use super::stage::{Sectors, Stage};
use super::volume::{Bad, Bytes, Entry, Link, SECTOR, SECTOR_LEN, Volume};
use super::{Cause, Name};
use crate::state::Utc;

/// Calls that any change may cost, besides those that grow with it.
const BUDGET: u64 = 1 << 20;

/// Where changes end up.
pub(super) trait Medium: Bytes {
    /// Writes over the bytes at `offset`.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when all that was written will outlast a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// The sectors that a change writes: one step after the other, each synced
/// before the next begins.
///
/// 1. The new contents, in clusters that were free or behind the file's end.
/// 2. The allocation of those clusters; that of a file that grows by a step more.
/// 3. The one sector with the file's entry: from here on, the new file is there.
/// 4. What the old file had is freed, and the count of free clusters is set.
///
/// What a crash leaves behind is at worst a cluster that nobody has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan(Vec<Sectors>);

impl Plan {
    pub(super) fn commit(&self, medium: &impl Medium) -> io::Result<()> {
        for step in self.0.iter().filter(|step| !step.is_empty()) {
            for (number, sector) in step {
                medium.write_at(sector, number * SECTOR_LEN)?;
            }
            medium.sync()?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> &[Sectors] {
        &self.0
    }
}

/// The contents of a file of at most `limit` bytes; `None` where there is none.
pub(super) fn contents(
    disk: &impl Bytes,
    volume: &Volume,
    name: Name,
    limit: usize,
) -> Result<Option<Vec<u8>>, Cause> {
    let Some(entry) = found(volume, name)? else {
        return Ok(None);
    };
    let size = usize::try_from(entry.slot.size()).unwrap_or(usize::MAX);
    if size > limit {
        let found = format!("expected at most {limit} bytes, found {size}");
        return Err(Cause::Bad(Some(name), found));
    }
    let mut stage = Stage::new(disk, volume.shape.len, budget(volume, size));
    let fs = mount(&mut stage)?;
    let mut bytes = Vec::new();
    let mut file = fs.root_dir().open_file(name.text())?;
    Read::take(&mut file, size as u64).read_to_end(&mut bytes)?;
    if bytes.len() != size {
        let found = format!("expected {size} bytes, found {}", bytes.len());
        return Err(Cause::Bad(Some(name), found));
    }
    Ok(Some(bytes))
}

/// The last bytes of a file, at most so many.
pub(super) fn tail(
    disk: &impl Bytes,
    volume: &Volume,
    entry: &Entry,
    most: usize,
) -> Result<Vec<u8>, Cause> {
    let size = u64::from(entry.slot.size());
    let start = size.saturating_sub(most as u64);
    let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(0)];
    read_file(disk, volume, entry, &mut bytes, start)?;
    Ok(bytes)
}

/// The file, with its clusters found sound.
pub(super) fn found(volume: &Volume, name: Name) -> Result<Option<Entry>, Cause> {
    volume.find(name).map_err(|bad| Cause::Bad(Some(name), bad))
}

/// Gives a file these contents; makes it where there is none.
pub(super) fn replace(
    disk: &impl Bytes,
    volume: &Volume,
    name: Name,
    bytes: &[u8],
) -> Result<Plan, Cause> {
    let old = found(volume, name)?;
    has_room(volume, bytes.len() as u64, true)?;
    let other = old.as_ref().map(|_| unused_name(volume));
    let made = other.as_ref().map_or(name.text(), |(text, _)| text);
    let mut stage = Stage::new(disk, volume.shape.len, budget(volume, bytes.len()));
    {
        let fs = mount(&mut stage)?;
        let mut file = fs.root_dir().create_file(made)?;
        file.write_all(bytes)?;
        file.flush()?;
        drop(file);
        fs.unmount()?;
    }
    let written = stage.changed.clone();
    if let (Some(old), Some((text, in_slot))) = (&old, &other) {
        swap(&mut stage, disk, old, text, in_slot)?;
    }
    let change = Change {
        name,
        before: volume,
        old: old.as_ref(),
        kept: None,
        added: bytes,
    };
    change.plan(disk, &mut stage, written)
}

/// Adds bytes to the end of a file; makes it where there is none.
pub(super) fn append(
    disk: &impl Bytes,
    volume: &Volume,
    name: Name,
    bytes: &[u8],
) -> Result<Plan, Cause> {
    let Some(old) = found(volume, name)? else {
        return replace(disk, volume, name, bytes);
    };
    let size = u64::from(old.slot.size());
    let room = old.chain.len() as u64 * volume.shape.cluster_len - size;
    has_room(volume, (bytes.len() as u64).saturating_sub(room), false)?;
    if size + bytes.len() as u64 > u64::from(u32::MAX) {
        let bad = "it would be longer than a file on a FAT can be".to_owned();
        return Err(Cause::Bad(Some(name), bad));
    }
    let mut stage = Stage::new(disk, volume.shape.len, budget(volume, bytes.len()));
    let written = {
        let fs = mount(&mut stage)?;
        let mut file = fs.root_dir().open_file(name.text())?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(bytes)?;
        file.flush()?;
        drop(file);
        fs.unmount()?;
        stage.changed.clone()
    };
    let change = Change {
        name,
        before: volume,
        old: Some(&old),
        kept: Some(size),
        added: bytes,
    };
    change.plan(disk, &mut stage, written)
}

/// Gives the old entry the new contents, and the new one the old contents; then
/// removes that. So an entry keeps its place, its long name, and what it
/// is marked with.
fn swap<D: Bytes>(
    stage: &mut Stage<'_, D>,
    disk: &D,
    old: &Entry,
    text: &str,
    in_slot: &[u8; 11],
) -> Result<(), Cause> {
    let len = stage.seek(SeekFrom::End(0))?;
    let now = read_volume(stage, len)?;
    let (at, new) = now
        .named(in_slot)
        .ok_or_else(|| Cause::Bad(None, "a new file is not there".to_owned()))?;
    stage.put(&old.slot.with_contents_of(&new).0, old.at)?;
    stage.put(&new.with_contents_of(&old.slot).0, at)?;
    stage.seek(SeekFrom::Start(0))?;
    let fs = mount(&mut *stage)?;
    fs.root_dir().remove(text)?;
    fs.unmount()?;
    let mut unused = [0; 32];
    disk.read_at(&mut unused, at)?;
    stage.put(&unused, at)?;
    Ok(())
}

fn read_volume(bytes: &impl Bytes, len: u64) -> Result<Volume, Cause> {
    Volume::read(bytes, len)?.map_err(|bad| Cause::Bad(None, bad))
}

/// A name in 8.3 that no entry has: as text, and as it stands in an entry.
fn unused_name(volume: &Volume) -> (String, [u8; 11]) {
    let mut number = 0u32;
    loop {
        let text = format!("{number:08}.NEW");
        let mut in_slot = *b"00000000NEW";
        for (to, from) in in_slot.iter_mut().zip(text.bytes().filter(|&b| b != b'.')) {
            *to = from;
        }
        // A directory has fewer entries than there are numbers.
        if volume.named(&in_slot).is_none() {
            return (text, in_slot);
        }
        number += 1;
    }
}

/// Whether so many bytes more have room, with one entry more, or without.
fn has_room(volume: &Volume, bytes: u64, entry: bool) -> Result<(), Cause> {
    if entry && !volume.has_free_slot() {
        return Err(Cause::NoEntry);
    }
    let free = volume.table.free() as u64 * volume.shape.cluster_len;
    if bytes.next_multiple_of(volume.shape.cluster_len) > free {
        return Err(Cause::Full {
            needed: bytes,
            free,
        });
    }
    Ok(())
}

/// The calls that a change of so many bytes may cost.
fn budget(volume: &Volume, bytes: usize) -> u64 {
    BUDGET + 16 * u64::from(volume.shape.clusters) + bytes as u64
}

fn mount<T: fatfs::ReadWriteSeek>(disk: T) -> io::Result<FileSystem<T>> {
    static CLOCK: Clock = Clock;
    FileSystem::new(disk, FsOptions::new().time_provider(&CLOCK))
}

/// The time in UTC: a FAT has local times without a zone, and nobody knows the
/// zone of the Plan 9 machine.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        let now = SystemTime::now().max(UNIX_EPOCH);
        let text = Utc(now).to_string();
        let field = |at: Range<usize>| text.get(at).and_then(|t| t.parse().ok()).unwrap_or(1u16);
        DateTime {
            date: Date {
                year: field(0..4).clamp(1980, 2107),
                month: field(5..7),
                day: field(8..10),
            },
            time: Time {
                hour: field(11..13),
                min: field(14..16),
                sec: field(17..19),
                millis: 0,
            },
        }
    }
}

/// Reads a part of a file by its clusters.
fn read_file(
    bytes: &impl Bytes,
    volume: &Volume,
    entry: &Entry,
    buf: &mut [u8],
    offset: u64,
) -> io::Result<()> {
    let len = volume.shape.cluster_len;
    let mut at = offset;
    let mut rest = buf;
    while !rest.is_empty() {
        let number = usize::try_from(at / len).unwrap_or(usize::MAX);
        let cluster = entry.chain.get(number);
        let place = cluster.and_then(|&n| volume.shape.bytes_of(n));
        let place = place.ok_or(io::ErrorKind::UnexpectedEof)?;
        let count = usize::try_from(len - at % len).unwrap_or(0).min(rest.len());
        let (part, others) = rest.split_at_mut(count);
        bytes.read_at(part, place.start + at % len)?;
        at += count as u64;
        rest = others;
    }
    Ok(())
}

/// A change, for the check that it is no other than this.
struct Change<'a> {
    name: Name,
    before: &'a Volume,
    old: Option<&'a Entry>,
    /// Of a file that grows, the bytes that stay.
    kept: Option<u64>,
    added: &'a [u8],
}

impl Change<'_> {
    /// What is to be written, if it is what may be.
    fn plan<D: Bytes>(
        &self,
        disk: &D,
        stage: &mut Stage<'_, D>,
        mut written: Sectors,
    ) -> Result<Plan, Cause> {
        self.mirror(disk, &mut written)?;
        self.mirror(disk, &mut stage.changed)?;
        let stage = &*stage;
        let after = read_volume(stage, self.before.shape.len)?;
        let done = self
            .check_table(stage)?
            .and_then(|()| self.check_slots(&after));
        done.map_err(|bad| Cause::Bad(None, bad))?;
        let last = changed(disk, &stage.changed)?;
        self.check_sectors(disk, &last)?;
        self.check_contents(stage, &after)?;
        let tables = self.sectors_of_tables();
        let slots = self.sectors_of_slots();
        let info = self.before.shape.info.map(|at| at / SECTOR_LEN);
        let in_table = |number: &u64| tables.contains(number) || info == Some(*number);
        let mut allocated = changed(disk, &written)?;
        allocated.retain(|number, _| tables.contains(number));
        let mut freed = stage.changed.clone();
        freed.retain(|number, now| match allocated.get(number) {
            Some(then) => then != now,
            None => in_table(number) && last.contains_key(number),
        });
        let rest = last.into_iter().filter(|(number, _)| !in_table(number));
        let (entry, data): (Sectors, Sectors) = rest.partition(|(n, _)| slots.contains(n));
        if entry.len() > 1 {
            let bad = format!("expected one entry to change, found {}", entry.len());
            return Err(Cause::Bad(None, bad));
        }
        let joint = self.sectors_of_joint();
        let (linked, allocated) = allocated.into_iter().partition(|(n, _)| joint.contains(n));
        Ok(Plan(vec![data, allocated, linked, entry, freed]))
    }

    /// Makes the sectors that change the same in all copies of the table. After a
    /// crash they may differ, and in FAT12 a number is written with half of its
    /// neighbour. The first copy counts, as it does for dossrv.
    fn mirror(&self, disk: &impl Bytes, sectors: &mut Sectors) -> io::Result<()> {
        let tables = self.sectors_of_tables();
        let len = (self.before.shape.table.end - self.before.shape.table.start) / SECTOR_LEN;
        let touched: BTreeSet<u64> = sectors
            .range(tables.clone())
            .map(|(number, _)| tables.start + (number - tables.start) % len)
            .collect();
        for number in touched {
            let mut first = [0; SECTOR];
            match sectors.get(&number) {
                Some(sector) => first = *sector,
                None => disk.read_at(&mut first, number * SECTOR_LEN)?,
            }
            let mut copy = number;
            while copy < tables.end {
                sectors.insert(copy, first);
                copy += len;
            }
        }
        Ok(())
    }

    /// The sectors of all copies of the table.
    fn sectors_of_tables(&self) -> Range<u64> {
        let tables = &self.before.shape.tables;
        tables.start / SECTOR_LEN..tables.end / SECTOR_LEN
    }

    fn sectors_of_slots(&self) -> BTreeSet<u64> {
        self.before.slots.keys().map(|at| at / SECTOR_LEN).collect()
    }

    /// Of a file that grows, the sectors where its last cluster is joined to
    /// new ones: what they lead to must be there first.
    fn sectors_of_joint(&self) -> BTreeSet<u64> {
        let shape = &self.before.shape;
        let last = self.kept.and(self.old).and_then(|old| old.chain.last());
        let mut sectors = BTreeSet::new();
        let (len, mut start) = (shape.table.end - shape.table.start, shape.tables.start);
        while let Some(&last) = last
            && start < shape.tables.end
        {
            let at = self.before.table.place_of(last);
            sectors.extend([
                (start + at.start) / SECTOR_LEN,
                (start + at.end - 1) / SECTOR_LEN,
            ]);
            start += len;
        }
        sectors
    }

    /// In the table, only free clusters and those of the file change.
    fn check_table<D: Bytes>(&self, stage: &Stage<'_, D>) -> io::Result<Result<(), Bad>> {
        let own: BTreeSet<u32> = match (self.old, self.kept) {
            (None, _) => BTreeSet::new(),
            (Some(old), None) => old.chain.iter().copied().collect(),
            (Some(old), Some(_)) => old.chain.last().copied().into_iter().collect(),
        };
        let after = self
            .before
            .table
            .copy_at(stage, self.before.shape.table.start)?;
        let (before, all) = (&self.before.table, 0..self.before.table.numbers().end);
        for n in all.filter(|&n| before.raw(n) != after.raw(n)) {
            let free = n >= 2 && before.link(n) == Link::Free;
            if !free && !own.contains(&n) {
                return Ok(Err(format!("cluster {n} of another file would change")));
            }
        }
        Ok(Ok(()))
    }

    /// In the directory, only the entry of the file changes.
    fn check_slots(&self, after: &Volume) -> Result<(), Bad> {
        if after.shape != self.before.shape || !after.slots.keys().eq(self.before.slots.keys()) {
            return Err("the form of the file system would change".to_owned());
        }
        let named = after.named(&self.name.in_slot()).map(|(at, _)| at);
        for ((at, old), new) in self.before.slots.iter().zip(after.slots.values()) {
            let ours = match self.old {
                Some(entry) => entry.at == *at,
                None => old.is_free() && named == Some(*at),
            };
            if old != new && !ours {
                return Err(format!("the entry at {at} of another file would change"));
            }
        }
        Ok(())
    }

    /// Elsewhere, only clusters that were free change, and the file behind its end.
    fn check_sectors(&self, disk: &impl Bytes, changed: &Sectors) -> Result<(), Cause> {
        let shape = &self.before.shape;
        let (tables, slots) = (self.sectors_of_tables(), self.sectors_of_slots());
        for (&number, sector) in changed {
            let at = number * SECTOR_LEN;
            if tables.contains(&number) || slots.contains(&number) || shape.info == Some(at) {
                continue;
            }
            let cluster = shape.cluster_at(at);
            let free = cluster.is_some_and(|n| self.before.table.link(n) == Link::Free);
            if !free && !self.is_behind_end(disk, number, sector, cluster)? {
                let bad = format!("the sector at {at} of another file would change");
                return Err(Cause::Bad(None, bad));
            }
        }
        Ok(())
    }

    /// Whether a sector of the file differs only behind what is kept of it.
    fn is_behind_end(
        &self,
        disk: &impl Bytes,
        number: u64,
        sector: &[u8; SECTOR],
        cluster: Option<u32>,
    ) -> io::Result<bool> {
        let (Some(kept), Some(old), Some(cluster)) = (self.kept, self.old, cluster) else {
            return Ok(false);
        };
        let Some(place) = old.chain.iter().position(|&n| n == cluster) else {
            return Ok(false);
        };
        let shape = &self.before.shape;
        let start = shape.bytes_of(cluster).map_or(0, |bytes| bytes.start);
        let in_file = place as u64 * shape.cluster_len + (number * SECTOR_LEN - start);
        let kept = usize::try_from(kept.saturating_sub(in_file)).unwrap_or(usize::MAX);
        let mut before = [0; SECTOR];
        disk.read_at(&mut before, number * SECTOR_LEN)?;
        let kept = kept.min(SECTOR);
        Ok(before.get(..kept) == sector.get(..kept))
    }

    /// The file has the bytes it should have.
    fn check_contents(&self, stage: &impl Bytes, after: &Volume) -> Result<(), Cause> {
        let kept = self.kept.unwrap_or(0);
        let bad = |text: &str| Cause::Bad(Some(self.name), text.to_owned());
        let entry = found(after, self.name)?.ok_or_else(|| bad("it would not be there"))?;
        if u64::from(entry.slot.size()) != kept + self.added.len() as u64 {
            return Err(bad("it would have another length"));
        }
        let mut bytes = vec![0; self.added.len()];
        read_file(stage, after, &entry, &mut bytes, kept)?;
        if bytes != self.added {
            return Err(bad("it would have other contents"));
        }
        Ok(())
    }
}

/// Those sectors that differ from what is on disk.
fn changed(disk: &impl Bytes, sectors: &Sectors) -> io::Result<Sectors> {
    let mut changed = Sectors::new();
    for (&number, sector) in sectors {
        let mut before = [0; SECTOR];
        disk.read_at(&mut before, number * SECTOR_LEN)?;
        if before != *sector {
            changed.insert(number, *sector);
        }
    }
    Ok(changed)
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Cause::Io(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Bad(name, bad) => {
                if let Some(name) = name {
                    write!(f, "{}: ", name.text())?;
                }
                write!(
                    f,
                    "{bad}: nothing was written; look at it with fsck.fat or on plan 9"
                )
            }
            Self::Full { needed, free } => write!(
                f,
                "no room: {needed} bytes more are needed, {free} are free: nothing was written"
            ),
            Self::NoEntry => {
                f.write_str("no room for another name in its root directory: nothing was written")
            }
        }
    }
}
