//! Formatting to an archive: the image is the C tool's, and whatever moment
//! the power goes, the partition is the old fossil, the new one, or visibly
//! neither, and can be brought to either.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard};

use crate::fixture::archives::{ARCHIVES, C_TAG};
use fossilcore::archive::Archive;
use fossilcore::disk::{Header, Label, NIL, SuperBlock};
use fossilcore::format::{
    ChangeError, Disk, Format, Matches, Standing, Tag, UndoFile, save, write,
};
use fossilcore::last::{self, Last};
use tempfile::TempDir;
use venti_tests::golden;
use venti_tests::random::Random;
use venticore::codec::score::Score;
use venticore::net::client::{Client, Dialer};
use venticore::source::ReadAt;

fn archive(score: &str) -> Archive {
    let venti = golden::archives();
    let dial = venti.dial().parse().unwrap();
    let mut client = Client::dial(&dial, &Dialer::default()).unwrap();
    Archive::read(&mut client, &score.parse().unwrap()).unwrap()
}

/// A disk that keeps book of what is written, and stops after so many writes.
struct Shaky {
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    /// What a program reads.
    now: Vec<u8>,
    /// What was synced.
    synced: Vec<u8>,
    /// What was written since.
    since: Vec<(usize, Vec<u8>)>,
    writes: usize,
    /// How many writes and syncs still succeed.
    left: usize,
    /// The write that is acknowledged and does not come about.
    lost: Option<usize>,
}

impl Shaky {
    fn of(bytes: &[u8], left: usize) -> Self {
        Shaky {
            state: Mutex::new(State {
                now: bytes.to_vec(),
                synced: bytes.to_vec(),
                since: Vec::new(),
                writes: 0,
                left,
                lost: None,
            }),
        }
    }

    /// A disk that loses one of the writes.
    fn losing(bytes: &[u8], lost: usize) -> Self {
        let disk = Self::of(bytes, usize::MAX);
        disk.state().lost = Some(lost);
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn now(&self) -> Vec<u8> {
        self.state().now.clone()
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("the power went"))?;
        self.writes += 1;
        Ok(())
    }

    /// What may be on the disk after the power went: what was synced, and of the
    /// rest some sectors, or none, or all.
    fn survivors(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let mut images = vec![self.synced.clone(), self.now.clone()];
        for _ in 0..2 {
            let mut image = self.synced.clone();
            for (at, bytes) in &self.since {
                for (number, sector) in bytes.chunks(512).enumerate() {
                    if random.below(2) == 0 {
                        let at = at + number * 512;
                        image[at..at + sector.len()].copy_from_slice(sector);
                    }
                }
            }
            images.push(image);
        }
        images
    }
}

impl ReadAt for Shaky {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.state().now.read_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.state().now.len() as u64
    }
}

impl Disk for Shaky {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.lost == Some(state.writes) {
            return Ok(());
        }
        let at = usize::try_from(offset).unwrap();
        state.now[at..at + bytes.len()].copy_from_slice(bytes);
        state.since.push((at, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.synced = state.now.clone();
        state.since.clear();
        Ok(())
    }
}

/// The whole format of these bytes, with a tag and a label.
fn formatted(archive: &Archive, old: &[u8], size: Option<u64>, tag: u32, label: &str) -> Vec<u8> {
    let disk = Shaky::of(old, usize::MAX);
    let tag = Tag::new(tag).unwrap();
    let format = Format::of(archive, disk.size(), size, tag, label.as_bytes()).unwrap();
    let standing = Standing::of(&disk).unwrap();
    write(&disk, &format, standing.superblock_at()).unwrap();
    disk.now()
}

#[test]
fn the_golden_partitions_are_made_again_byte_for_byte() {
    for (name, score) in [("formatted-8k", 0), ("formatted-4k", 2)] {
        let label = if score == 0 {
            "restored8k"
        } else {
            "restored4k"
        };
        let archive = archive(ARCHIVES[score].0);
        let expected = golden::fossil(name);
        let zeros = vec![0; expected.len()];
        assert!(
            formatted(&archive, &zeros, None, C_TAG, label) == expected,
            "{name}"
        );
        // What a format does not need stays as it was.
        let noise = Random::new(3).bytes(expected.len());
        let made = formatted(&archive, &noise, None, C_TAG, label);
        let header = Header::parse(&expected[0x20000..]).unwrap();
        let size = usize::from(header.block_size);
        let (start, end) = (
            header.superblock_at(),
            u64::from(header.data + 2) * size as u64,
        );
        let ours = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        for at in 0..expected.len() {
            let needed = ours.contains(&at) || (0x20000..0x20200).contains(&at);
            let from = if needed { &expected } else { &noise };
            assert_eq!(made[at], from[at], "{name} at {at}");
        }
    }
}

#[test]
fn every_recorded_layout_is_the_c_tools() {
    let archive = archive(ARCHIVES[0].0);
    for case in golden::json("fossil/cases.json")["layout"]
        .as_array()
        .unwrap()
    {
        let number = |key: &str| case[key].as_u64().unwrap();
        let header = Header::layout(number("size"), number("block")).unwrap();
        let fields = [header.superblock, header.label, header.data, header.end];
        let expected = ["super", "label", "data", "end"].map(number);
        assert_eq!(fields.map(u64::from), expected);
        let tag = Tag::random();
        let format = Format::of(&archive, number("size"), Some(number("block")), tag, b"");
        assert_eq!(format.is_ok(), number("block") >= 8192, "{case}");
    }
}

/// A fossil of 1.25 MiB, or with more label blocks, that was used.
fn used_fossil(len: u64, block_size: u64) -> Vec<u8> {
    let mut bytes = Random::new(len ^ block_size).bytes(usize::try_from(len).unwrap());
    let header = Header::layout(len, block_size).unwrap();
    let put = |bytes: &mut Vec<u8>, at: u64, from: &[u8]| {
        let at = usize::try_from(at).unwrap();
        bytes[at..at + from.len()].copy_from_slice(from);
    };
    put(&mut bytes, Header::AT, &header.to_bytes());
    let superblock = SuperBlock {
        epoch_low: 1,
        epoch_high: 9,
        qid: 77,
        active: 5,
        next: None,
        current: None,
        last: Score::of(b"the old one"),
        name: b"old".to_vec(),
    };
    let block = usize::try_from(block_size).unwrap();
    put(&mut bytes, header.superblock_at(), &vec![0; block]);
    put(&mut bytes, header.superblock_at(), &superblock.to_bytes());
    if block_size == 8192 {
        // What an earlier format with 4 KiB blocks left where this one needs
        // nothing.
        let stale = SuperBlock {
            active: 1,
            ..superblock
        };
        put(&mut bytes, 34 * 4096, &stale.to_bytes());
    }
    for address in 0..header.data_blocks() {
        let root = address == 5;
        let label = Label {
            state: Label::ALLOCATED,
            kind: if root { Label::DIRECTORY } else { 0 },
            epoch: 3,
            epoch_close: NIL,
            tag: if root { 1 } else { 1000 + address / 7 },
        };
        put(
            &mut bytes,
            header.label_at(address).unwrap(),
            &label.to_bytes(),
        );
    }
    bytes
}

/// What is on a disk: one of these, or nothing that could be mistaken.
fn judge(disk: &dyn ReadAt, old: &Last, new: &Format) -> &'static str {
    match Last::read(disk) {
        Ok(last) if last == *old => "old",
        Ok(last) if last.header == new.header && last.superblock == new.superblock() => "new",
        Ok(last) => panic!("a fossil that is neither: {last:?}"),
        Err(last::LastError::Unfinished { .. }) => "unfinished",
        Err(last::LastError::Format(_) | last::LastError::Root { .. }) => "broken",
        Err(error) => panic!("{error}"),
    }
}

fn undo_file(directory: &TempDir, disk: &dyn ReadAt, format: &Format, new: Score) -> UndoFile {
    let path = directory.path().join("undo");
    let mut bytes = Vec::new();
    save(&mut bytes, disk, format, "p", new).unwrap();
    std::fs::write(&path, bytes).unwrap();
    UndoFile::open(&path).unwrap()
}

/// Cuts the power at each write of a format, and at each of what puts the old
/// one back.
fn cut_everywhere(old: &[u8], format: &Format, new: Score) -> BTreeMap<&'static str, usize> {
    let directory = tempfile::tempdir().unwrap();
    let before = Last::read(&old.to_vec()).unwrap();
    let undo = undo_file(&directory, &old.to_vec(), format, new);
    let whole = Shaky::of(old, usize::MAX);
    write(&whole, format, Some(before.header.superblock_at())).unwrap();
    let made = whole.now();
    let mut random = Random::new(9);
    let mut seen = BTreeMap::new();
    for writes in 0.. {
        let disk = Shaky::of(old, writes);
        let mark = Standing::of(&disk).unwrap().superblock_at();
        let done = write(&disk, format, mark);
        let state = disk.state().clone();
        for image in state.survivors(&mut random) {
            let verdict = judge(&image, &before, format);
            *seen.entry(verdict).or_default() += 1;
            if verdict == "new" {
                // All of it is there; what may still be missing is the magic of
                // an old super block that nothing leads to.
                let differ = (0..image.len()).filter(|&at| image[at] != made[at]);
                let magic = before.header.superblock_at();
                let odd: Vec<usize> = differ
                    .filter(|&at| !(magic..magic + 4).contains(&(at as u64)))
                    .collect();
                assert!(odd.is_empty(), "after {writes} writes: {odd:?}");
            }
            if verdict == "old" {
                // Nothing of it is gone: all that may differ is nothing.
                assert!(image == old, "after {writes} writes");
            }
            let matches = undo.matches(&image).unwrap();
            assert_eq!(matches == Matches::Old, image == old);
            // Putting back completes, whenever it is itself interrupted.
            for cut in 0.. {
                let again = Shaky::of(&image, cut);
                let first = undo.put_back(&again);
                let left = again.state().clone();
                for image in left.survivors(&mut random).into_iter().take(2) {
                    let verdict = judge(&image, &before, format);
                    assert!(verdict != "old" || image == old, "{writes} {cut}");
                    let last = Shaky::of(&image, usize::MAX);
                    undo.put_back(&last).unwrap();
                    assert!(last.now() == old, "after {writes} writes, then {cut}");
                }
                if first.is_ok() {
                    break;
                }
            }
            // A second format completes from here as well.
            let again = Shaky::of(&image, usize::MAX);
            let mark = Standing::of(&again).unwrap().superblock_at();
            write(&again, format, mark).unwrap();
            assert_eq!(judge(&again, &before, format), "new");
        }
        if done.is_ok() {
            assert_eq!(judge(&disk, &before, format), "new");
            break;
        }
    }
    seen
}

#[test]
fn a_power_cut_at_any_write_leaves_the_old_or_the_new_or_neither_and_a_way_back() {
    let archive = archive(ARCHIVES[2].0);
    for (old_size, new_size) in [
        (4096, 4096),
        (4096, 8192),
        (8192, 4096),
        (512, 16384),
        (16384, 4096),
    ] {
        let old = used_fossil(1_310_720 + 12_288, old_size);
        let tag = Tag::new(4321).unwrap();
        let len = old.len() as u64;
        let format = Format::of(&archive, len, Some(new_size), tag, b"new").unwrap();
        let seen = cut_everywhere(&old, &format, archive.score);
        for verdict in ["old", "new", "unfinished"] {
            assert!(
                seen.contains_key(verdict),
                "{old_size} {new_size}: {seen:?}"
            );
        }
    }
}

#[test]
fn a_write_that_the_disk_lost_is_found() {
    let archive = archive(ARCHIVES[0].0);
    let old = used_fossil(5 << 20, 8192);
    let tag = Tag::new(C_TAG).unwrap();
    let format = Format::of(&archive, old.len() as u64, None, tag, b"new").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let undo = undo_file(&directory, &old, &format, Score::of(b"new"));
    let superblock = Some(format.header.superblock_at());
    let whole = Shaky::of(&old, usize::MAX);
    write(&whole, &format, superblock).unwrap();
    let made = whole.now();
    let mut found = BTreeMap::new();
    for lost in 1..=whole.state().writes {
        let disk = Shaky::losing(&old, lost);
        match write(&disk, &format, superblock) {
            Ok(()) => assert!(disk.now() == made, "write {lost} is missing"),
            Err(ChangeError::Differs { area, .. }) => *found.entry(area).or_default() += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // Labels and data are written once; the header is as it was, and nothing
    // is lost with the magic that was to go first.
    assert_eq!(found, [("data", 1), ("labels", 1), ("super", 1)].into());
    for lost in 1.. {
        let disk = Shaky::losing(&made, lost);
        match undo.put_back(&disk) {
            Ok(_) => assert!(disk.now() == old, "write {lost} is missing"),
            Err(ChangeError::Differs { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if disk.state().writes < lost {
            break;
        }
    }
}

#[test]
fn a_partition_that_grew_or_shrank_is_never_the_new_file_system_under_the_old_header() {
    let archive = archive(ARCHIVES[2].0);
    let (short, long) = (1_310_720, 3 << 20);
    let mut grown = used_fossil(short, 4096);
    grown.resize(usize::try_from(long).unwrap(), 7);
    let mut shrunk = used_fossil(long, 4096);
    shrunk.truncate(usize::try_from(short).unwrap());
    for old in [grown, shrunk] {
        let tag = Tag::new(4321).unwrap();
        let len = old.len() as u64;
        let format = Format::of(&archive, len, Some(4096), tag, b"new").unwrap();
        let new = format.superblock();
        for writes in 0.. {
            let disk = Shaky::of(&old, writes);
            let mark = Standing::of(&disk).unwrap().superblock_at();
            let done = write(&disk, &format, mark);
            let state = disk.state().clone();
            for image in state.survivors(&mut Random::new(6)) {
                let header = Header::parse(&image[0x20000..]).unwrap();
                let at = usize::try_from(header.superblock_at()).unwrap();
                let superblock = SuperBlock::parse(&image[at..]);
                let is_new = superblock.is_ok_and(|found| found == new);
                assert!(!is_new || header == format.header, "after {writes} writes");
            }
            if done.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn the_image_is_the_same_over_a_fossil_of_any_block_size_as_over_noise() {
    // An old super block that the format does not overwrite keeps its magic.
    let archive = archive(ARCHIVES[2].0);
    for size in [512, 4096, 8192, 65024] {
        let old = used_fossil(2 << 20, size);
        let made = formatted(&archive, &old, Some(4096), C_TAG, "x");
        let mut noise = old.clone();
        // The same bytes, not to be taken for a fossil while it is written.
        noise[0x20000] ^= 1;
        let plain = formatted(&archive, &noise, Some(4096), C_TAG, "x");
        assert!(made == plain, "{size}");
    }
}

#[test]
fn an_undo_file_is_refused_on_another_partition_and_after_a_write() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(ARCHIVES[2].0);
    let old = used_fossil(2 << 20, 4096);
    let tag = Tag::new(99).unwrap();
    let format = Format::of(&archive, 2 << 20, None, tag, b"new").unwrap();
    let undo = undo_file(&directory, &old, &format, archive.score);
    assert_eq!(undo.matches(&old).unwrap(), Matches::Old);
    let made = formatted(&archive, &old, None, 99, "new");
    assert_eq!(undo.matches(&made).unwrap(), Matches::New);
    let longer = [made.clone(), vec![0; 512]].concat();
    assert!(matches!(
        undo.matches(&longer),
        Err(ChangeError::Length { .. })
    ));
    let other = formatted(&archive, &old, None, 98, "new");
    assert!(matches!(undo.matches(&other), Err(ChangeError::Written(_))));
    // One byte anywhere that the format wrote.
    let header = format.header;
    let mut random = Random::new(4);
    let (from, to) = (header.superblock_at(), u64::from(header.data + 2) * 4096);
    for _ in 0..200 {
        let at = usize::try_from(from).unwrap() + random.below(usize::try_from(to - from).unwrap());
        let mut written = made.clone();
        written[at] ^= 0x10;
        let disk = Shaky::of(&written, usize::MAX);
        match undo.put_back(&disk) {
            Err(ChangeError::Written(place)) => assert_eq!(place, at as u64 / 512 * 512),
            other => panic!("at {at}: {other:?}"),
        }
        assert!(disk.now() == written);
    }
}

#[test]
fn an_undo_file_that_is_cut_or_damaged_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(ARCHIVES[2].0);
    let old = used_fossil(1_310_720, 4096);
    let format = Format::of(&archive, 1_310_720, None, Tag::new(99).unwrap(), b"").unwrap();
    let whole = undo_file(&directory, &old, &format, archive.score);
    let path = whole.path().to_owned();
    let bytes = std::fs::read(&path).unwrap();
    let mut random = Random::new(5);
    for round in 0..400 {
        let mut bad = bytes.clone();
        if round % 4 == 0 {
            bad.truncate(random.below(bytes.len()));
        } else {
            bad[random.below(bytes.len())] ^= 1 << random.below(8);
        }
        std::fs::write(&path, &bad).unwrap();
        let error = UndoFile::open(&path).map(|_| ()).unwrap_err();
        assert!(matches!(error, ChangeError::Format(_)), "{round}: {error}");
    }
}

#[test]
fn an_undo_file_without_the_whole_sector_of_its_super_block_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(ARCHIVES[2].0);
    let old = used_fossil(1_310_720, 4096);
    let format = Format::of(&archive, 1_310_720, None, Tag::new(99).unwrap(), b"").unwrap();
    let whole = undo_file(&directory, &old, &format, archive.score);
    let bytes = std::fs::read(whole.path()).unwrap();
    let text = bytes.len() - bytes.windows(2).position(|two| two == b"\n\n").unwrap();
    let (text, rest) = bytes.split_at(bytes.len() - text);
    let text = std::str::from_utf8(text).unwrap();
    let at = format.header.superblock_at();
    let last = at + 4096 - 510;
    for (from, to) in [
        (format!("super {at}"), format!("super {last}")),
        (format!("mark {at}"), format!("mark {}", at + 1)),
        (
            format!("area super {at} 4096"),
            format!("area super {at} 100"),
        ),
    ] {
        assert!(text.contains(&from), "{from}: {text}");
        let records = &rest[..rest.len() - 20];
        let mut made = [text.replacen(&from, &to, 1).as_bytes(), records].concat();
        let hash = Score::of(&made);
        made.extend(hash.as_bytes());
        std::fs::write(whole.path(), made).unwrap();
        let error = UndoFile::open(whole.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("invalid area"), "{error}");
    }
}

#[test]
fn an_undo_file_of_an_empty_partition_is_small() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(ARCHIVES[0].0);
    let len = 512 << 20;
    let format = Format::of(&archive, len, None, Tag::random(), b"").unwrap();
    struct Zeros(u64);
    impl ReadAt for Zeros {
        fn read_at(&self, buf: &mut [u8], _offset: u64) -> io::Result<()> {
            buf.fill(0);
            Ok(())
        }
        fn size(&self) -> u64 {
            self.0
        }
    }
    let undo = undo_file(&directory, &Zeros(len), &format, archive.score);
    let bytes = std::fs::metadata(undo.path()).unwrap().len();
    assert!(bytes < 8192, "{bytes} bytes for a megabyte of labels");
}
