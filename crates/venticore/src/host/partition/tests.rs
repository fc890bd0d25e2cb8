//! Partitions of every kind that can be made here, and operands of every form.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::codec::plan9disk::SECTOR_LEN;
use crate::codec::plan9disk::tests::{mbr_with, table_with};

/// Where the Plan 9 slice of the test disk is, and its sectors.
const START: u64 = 3;
const SECTORS: u64 = 17;

fn open_text(text: impl AsRef<OsStr>) -> Result<Partition, PartitionError> {
    Partition::open(&Operand::try_from(text.as_ref()).unwrap())
}

fn refused(text: impl AsRef<OsStr>) -> String {
    let error = open_text(text).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// A file of bytes that count up.
fn counting(len: usize) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let bytes: Vec<_> = (0..=u8::MAX).cycle().take(len).collect();
    fs::write(&path, bytes).unwrap();
    let text = path.to_str().unwrap().to_owned();
    (dir, text)
}

fn bytes_at(part: &Partition, offset: u64, len: usize) -> Vec<u8> {
    let mut buf = vec![0; len];
    part.read_at(&mut buf, offset).unwrap();
    buf
}

/// The image of a disk whose Plan 9 slice has this table, and a first byte
/// of each sector that is the sector's number on the disk.
fn disk(table: &str) -> (TempDir, String) {
    let mut image: Vec<_> = (0..START + SECTORS)
        .flat_map(|sector| [u8::try_from(sector).unwrap(); SECTOR_LEN])
        .collect();
    let mut entry = vec![0, 0, 0, 0, 0x39, 0, 0, 0];
    entry.extend(u32::try_from(START).unwrap().to_le_bytes());
    entry.extend(u32::try_from(SECTORS).unwrap().to_le_bytes());
    image[..SECTOR_LEN].copy_from_slice(&mbr_with(&entry));
    let at = usize::try_from(START + 1).unwrap() * SECTOR_LEN;
    image[at..][..SECTOR_LEN].copy_from_slice(&table_with(table));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    fs::write(&path, image).unwrap();
    let text = path.to_str().unwrap().to_owned();
    (dir, text)
}

#[test]
fn a_file_is_read_where_asked() {
    let (_dir, path) = counting(1000);
    let part = open_text(&path).unwrap();
    assert_eq!(
        (part.len(), part.start(), part.is_block_device()),
        (1000, 0, false)
    );
    assert_eq!(part.path(), Path::new(&path));
    assert_eq!(bytes_at(&part, 258, 3), [2, 3, 4]);
    assert!(bytes_at(&part, 1000, 0).is_empty());
    assert!(part.write_at(&[1], 0).is_err());
}

#[test]
fn a_range_of_a_file() {
    let (_dir, path) = counting(5000);
    for (range, start, len) in [
        ("100-200", 100, 100),
        ("1k-4k", 1024, 3072),
        ("-7", 0, 7),
        ("4999-", 4999, 1),
        ("10", 10, 4990),
        ("0-5000", 0, 5000),
        ("0x10-0", 16, 4984),
    ] {
        let part = open_text(format!("{path}:{range}")).unwrap();
        assert_eq!((part.start(), part.len()), (start, len), "{range}");
        assert_eq!(bytes_at(&part, 0, 1), [u8::try_from(start % 256).unwrap()]);
        assert_eq!(part.path(), Path::new(&path));
    }
    for range in ["200-100", "5-5", "0-5001", "5000-", "5001", "1t-2t"] {
        let error = refused(format!("{path}:{range}"));
        assert!(
            error.contains("expected a range in 0-5000, found"),
            "{error}"
        );
    }
    assert!(refused(format!("{path}:")).contains("after the last colon"));
    assert!(refused(format!("{path}:99999999999t-")).contains("2^64"));
}

#[test]
fn outside_is_an_error_that_names_the_offsets() {
    let (_dir, path) = counting(1000);
    let part = open_text(format!("{path}:100-200")).unwrap();
    for (offset, len) in [(0, 101), (100, 1), (101, 0), (u64::MAX, 1), (99, 2)] {
        let error = part.read_at(&mut vec![0; len], offset).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let text = error.to_string();
        let said = format!("expected a place in 0-100, found {len} bytes at {offset}");
        assert!(text.contains(&said) && text.starts_with(&path), "{text}");
    }
    let whole = open_text(&path).unwrap();
    let error = whole
        .read_at(&mut [0; 2], u64::MAX)
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected a place in 0-1000"), "{error}");
    fs::write(&path, "short").unwrap();
    let error = part.read_at(&mut [0; 10], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(
        error.to_string().contains("cannot read 10 bytes at 0"),
        "{error}"
    );
}

#[test]
fn an_existing_path_wins_and_else_the_last_colon_counts() {
    let (dir, path) = counting(1000);
    let colons = dir.path().join("file:0-5");
    fs::write(&colons, "whole").unwrap();
    assert_eq!(bytes_at(&open_text(&colons).unwrap(), 0, 5), b"whole");
    let part = open_text(format!("{path}:0-5:1-3")).unwrap();
    assert_eq!(bytes_at(&part, 0, 2), b"ho");
    assert_eq!(open_text(format!("{path}:0-6")).unwrap().len(), 6);
    let odd = dir.path().join(OsStr::from_bytes(b"\xe9"));
    fs::write(&odd, "odd").unwrap();
    let mut text = odd.into_os_string();
    text.push(":1-");
    assert_eq!(bytes_at(&open_text(text).unwrap(), 0, 2), b"dd");
}

#[test]
fn what_is_not_there_is_said() {
    let (_dir, path) = counting(10);
    assert_eq!(
        refused("/absent/file"),
        "/absent/file: no such file or device"
    );
    assert_eq!(
        refused("/absent/disk:fossil"),
        "/absent/disk:fossil: no such file or device, and no /absent/disk of which it could be a part"
    );
    assert!(refused(format!("{path}/x:1-2")).contains("no such file or device"));
    assert!(refused("a\nb").starts_with("a\\nb: "));
    assert!(refused("x".repeat(5000)).contains("ile name too long"));
}

#[test]
fn what_has_no_offsets_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    assert!(
        Command::new("mkfifo")
            .arg(path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    let _socket = UnixListener::bind(path("socket")).unwrap();
    symlink("/dev/null", path("null")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    for (name, found) in [
        (".", "a directory"),
        ("fifo", "a fifo"),
        ("socket", "a socket"),
        ("null", "a character device"),
    ] {
        let error = refused(path(name));
        let said = format!("expected a file or a block device, found {found}");
        assert!(error.ends_with(&said), "{error}");
        let error = refused(format!("{}:0-5", path(name).display()));
        assert!(error.ends_with(&said), "{error}");
    }
    assert!(refused(path("dangling")).contains("no such file"));
    // Even where a fifo took the name after the look.
    let meta = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    let file = open_file(&path("fifo"), &meta, Mode::Read).unwrap();
    let operand = "fifo".parse().unwrap();
    assert!(matches!(
        Opened::whole(file, &operand, &path("fifo")),
        Err(PartitionError::Kind { .. })
    ));
}

#[test]
fn an_empty_file_is_a_partition_of_no_bytes() {
    let (_dir, path) = counting(0);
    let part = open_text(&path).unwrap();
    assert!(part.is_empty());
    assert!(part.read_at(&mut [0], 0).is_err());
    assert!(refused(format!("{path}:-")).contains("expected a range in 0-0"));
    assert!(refused(format!("{path}:fossil")).contains("inside the disk of 0 bytes"));
}

#[test]
fn several_threads_read_one_partition() {
    let (_dir, path) = counting(256 * 256);
    let part = open_text(path).unwrap();
    let readers: Vec<_> = (0..4u8)
        .map(|id| {
            let part = part.clone();
            thread::spawn(move || {
                (0..255).all(|at| bytes_at(&part, at * 256 + u64::from(id), 2) == [id, id + 1])
            })
        })
        .collect();
    assert!(readers.into_iter().all(|reader| reader.join().unwrap()));
}

#[test]
fn what_is_written_stays_inside() {
    let (_dir, path) = counting(100);
    let operand: Operand = format!("{path}:10-20").parse().unwrap();
    let part = Partition::open_rw(&operand).unwrap();
    part.write_at(&[200; 10], 0).unwrap();
    part.sync().unwrap();
    assert!(part.write_at(&[200; 11], 0).is_err());
    assert!(part.write_at(&[200], 10).is_err());
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 100);
    assert_eq!(
        bytes[9..=20],
        [9, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 20]
    );
}

#[test]
fn a_hole_is_what_was_never_written() {
    let (_dir, path) = counting(4096);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(10 << 20).unwrap();
    file.write_all_at(&[0; 4096], 5 << 20).unwrap();
    file.sync_all().unwrap();
    let part = open_text(format!("{path}:1m-9m")).unwrap();
    let mib = 1 << 20;
    for (offset, len, expected) in [
        (0, mib, true),
        (0, 4 * mib, true),
        // Zeros that were written.
        (4 * mib as u64, mib, false),
        (3 * mib as u64, 2 * mib, false),
        // Up to the end, and beyond it.
        (7 * mib as u64, mib, true),
        (7 * mib as u64, mib + 1, false),
        (u64::MAX, 2, false),
    ] {
        assert_eq!(part.is_hole(offset, len), expected, "{len} at {offset}");
    }
    file.set_len(8 << 20).unwrap();
    assert!(
        !part.is_hole(7 * mib as u64, mib),
        "the file is shorter now"
    );
}

#[test]
fn a_partition_of_a_plan_9_disk() {
    let (_dir, path) = disk("part 9fat 2 5\npart fossil 5 17\n");
    let part = open_text(format!("{path}:fossil")).unwrap();
    assert_eq!(
        (part.start(), part.len()),
        ((START + 5) * SECTOR, 12 * SECTOR)
    );
    assert_eq!(bytes_at(&part, 0, 1), [8]);
    assert_eq!(bytes_at(&part, 12 * SECTOR - 1, 1), [19]);
    assert_eq!(
        bytes_at(&open_text(format!("{path}:9fat")).unwrap(), 0, 1),
        [5]
    );
    let error = refused(format!("{path}:arenas"));
    assert_eq!(
        error,
        format!("{path}:arenas: expected a partition \"arenas\", found 9fat fossil")
    );
}

/// To read, a partition that is cut is what is there of it; to write, nothing.
#[test]
fn a_partition_that_is_cut_is_read_and_not_written() {
    let refused_rw = |path: &str| {
        let operand: Operand = format!("{path}:fossil").parse().unwrap();
        Partition::open_rw(&operand).unwrap_err().to_string()
    };
    let (_dir, path) = disk("part fossil 5 18\n");
    let part = open_text(format!("{path}:fossil")).unwrap();
    assert_eq!(part.len(), (SECTORS - 5) * SECTOR);
    let said = "expected partition fossil 5 18 (in sectors) inside the slice of 8704 bytes";
    assert!(refused_rw(&path).ends_with(said));
    let (_dir, path) = disk("part fossil 5 17\npart swap 17 99\n");
    assert_eq!(
        open_text(format!("{path}:fossil")).unwrap().len(),
        12 * SECTOR
    );
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len((START + SECTORS) * SECTOR - 1).unwrap();
    let part = open_text(format!("{path}:fossil")).unwrap();
    assert_eq!(part.len(), 12 * SECTOR - 1);
    assert!(refused_rw(&path).contains("inside the slice of 8703 bytes"));
    file.set_len((START + 5) * SECTOR).unwrap();
    assert!(refused(format!("{path}:fossil")).contains("inside the slice of 2560 bytes"));
    for (len, said) in [
        (
            (START + 2) * SECTOR - 1,
            "the sector at 2048 inside the disk of 2559 bytes",
        ),
        (511, "the sector at 0 inside the disk of 511 bytes"),
    ] {
        file.set_len(len).unwrap();
        let error = refused(format!("{path}:fossil"));
        assert!(error.contains(said), "{error}");
    }
    let (_dir, path) = counting(4096);
    assert!(refused(format!("{path}:fossil")).contains("found neither in the first two sectors"));
}

/// Where plan9port's venti looks: in what is named, then in each slice.
#[test]
fn a_slice_a_disk_without_an_mbr_and_a_second_slice_have_partitions() {
    let (_dir, path) = disk("part fossil 5 17\n");
    let image = fs::read(&path).unwrap();
    let at = |sector: u64| usize::try_from(sector * SECTOR).unwrap();
    let start_of = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let part = open_text(format!("{path}:fossil"));
        part.map(|part| part.start() / SECTOR)
            .map_err(|e| e.to_string())
    };
    let slice = &image[at(START)..];
    assert_eq!(start_of(slice), Ok(5));
    // Its first sector is whatever its first partition begins with.
    let mut boot = slice.to_vec();
    boot[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(start_of(&boot), Ok(5));
    // A first slice without a table, with another one, and one past the end.
    let entry = |start: u64, sectors: u64| {
        let number = |n| u32::try_from(n).unwrap().to_le_bytes();
        [
            &[0, 0, 0, 0, 0x39, 0, 0, 0],
            &number(start)[..],
            &number(sectors)[..],
        ]
        .concat()
    };
    let mut second = image.clone();
    for first in [START + 3, START + SECTORS + 5] {
        let mbr = mbr_with(&[entry(first, 5), entry(START, SECTORS)].concat());
        second[..512].copy_from_slice(&mbr);
        assert_eq!(start_of(&second), Ok(START + 5));
    }
    let mbr = mbr_with(&[entry(START + 3, 5), entry(START, SECTORS)].concat());
    second[..512].copy_from_slice(&mbr);
    second[at(START + 4)..][..512].copy_from_slice(&table_with("part other 2 3\n"));
    assert_eq!(start_of(&second), Ok(START + 5));
    let both = start_of(&second[..at(START + 5)]).unwrap_err();
    assert!(both.contains("inside the slice"), "{both}");
    second[at(START + 1)..][..512].copy_from_slice(&table_with("part more 2 3\nbroken\n"));
    let error = start_of(&second).unwrap_err();
    assert!(
        error.contains("found other more; its table ends"),
        "{error}"
    );
}

/// An image stands for the device; only the description of it is Linux's.
#[test]
fn a_disk_whose_slices_have_nodes_is_read_and_not_written() {
    let (dir, path) = disk("part fossil 5 17\n");
    let sys = dir.path();
    let operand: Operand = format!("{path}:fossil").parse().unwrap();
    let device = || {
        let file = File::open(&path).unwrap();
        let mut opened = Opened::whole(file, &operand, Path::new(&path)).unwrap();
        opened.block_device = true;
        opened
    };
    let dev = device().file.metadata().unwrap().rdev();
    let node = sys.join(format!(
        "dev/block/{}:{}",
        rustix::fs::major(dev),
        rustix::fs::minor(dev)
    ));
    fs::create_dir_all(node.join("sdz1")).unwrap();
    let named = |mode| device().named("fossil", mode, sys);
    assert_eq!(named(Mode::ReadWrite).unwrap().start, (START + 5) * SECTOR);
    fs::write(node.join("sdz1/partition"), "1\n").unwrap();
    let error = named(Mode::ReadWrite).unwrap_err().to_string();
    assert!(error.ends_with("use one of /dev/sdz1:fossil"), "{error}");
    assert_eq!(named(Mode::Read).unwrap().start, (START + 5) * SECTOR);
}
