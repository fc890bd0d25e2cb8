//! How soon `ventiserve` serves a store of many clumps, against reading their directories once.
//! Neither finds any of them in memory.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use eyre::{OptionExt, ensure};
use rustix::fs::{Advice, fadvise};
use venti_tests::served::Served;
use venticore::codec::arena::Version;
use venticore::codec::arena::clump::ClumpHeader;
use venticore::codec::arena::directory::{self, DirectoryEntry};
use venticore::codec::arena::trailer::{Counters, Trailer};
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::host::partition::Partition;
use venticore::source::{Arena, ArenaSource};
use venticore::store::create::create;

use super::{ARENA, BLOCK, spread};

/// What half of a block is stored in, as of common data.
const STORED: u16 = 4000;

pub(super) fn run(directory: &Path, clumps: u64, rounds: usize) -> eyre::Result<()> {
    let path = directory.join("clumps");
    println!("making directories of {clumps} clumps ...");
    let directories = make(&path, clumps)?;
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let read = read_once(&path, &directories)?;
        let start = serve(&path)?;
        println!(
            "round {round}: read once {:.2} s, ventiserve serves after {:.2} s",
            read.as_secs_f64(),
            start.as_secs_f64()
        );
        ratios.push(start.as_secs_f64() / read.as_secs_f64());
    }
    println!("the start against reading once: {}", spread(ratios));
    std::fs::remove_file(&path)?;
    Ok(())
}

/// A store whose arenas are sealed and full, but for the clumps, which are holes. Gives where
/// the directories are.
fn make(path: &Path, clumps: u64) -> eyre::Result<Vec<(u64, usize)>> {
    let stored = ClumpHeader::from_entry(&entry(0))?.stored_len();
    let each = ARENA * 99 / 100 / (stored + DirectoryEntry::LEN as u64);
    let size = (clumps.div_ceil(each) + 1) * ARENA;
    create(path, size, ARENA, &mut HashSet::new())?;
    let file = File::options().read(true).write(true).open(path)?;
    let disk = Partition::named(path.as_os_str())?;
    let ArenaSource::Partition(partition) = ArenaSource::read(&disk, 0)? else {
        return Err(eyre::eyre!("expected a partition"));
    };
    let mut left = clumps;
    let mut number = 0;
    let mut directories = Vec::new();
    for at in &partition.entries {
        let arena = partition.arena(&disk, at)?;
        let count = left.min(each);
        if count == 0 {
            break;
        }
        directories.push(write_directory(&file, &arena, number..number + count)?);
        write_trailer(&file, &arena, count, stored)?;
        (left, number) = (left - count, number + count);
    }
    ensure!(left == 0, "{left} clumps have no room");
    file.sync_all()?;
    Ok(directories)
}

fn entry(number: u64) -> DirectoryEntry {
    DirectoryEntry {
        disk_type: BlockType::Data.to_disk(),
        size: STORED,
        uncompressed: u16::try_from(BLOCK).unwrap_or(u16::MAX),
        score: Score::of(&number.to_be_bytes()),
    }
}

fn write_directory(
    file: &File,
    arena: &Arena,
    numbers: std::ops::Range<u64>,
) -> eyre::Result<(u64, usize)> {
    let block = arena.block_size as usize;
    let len = directory::len(numbers.end - numbers.start, arena.block_size);
    let len = usize::try_from(len)?;
    let mut bytes = vec![0; len];
    let per_block = usize::try_from(directory::entries_per_block(arena.block_size))?;
    // The first clumps are in the last block.
    let mut blocks = bytes.chunks_exact_mut(block).rev();
    let numbers: Vec<u64> = numbers.collect();
    for numbers in numbers.chunks(per_block) {
        let block = blocks.next().ok_or_eyre("a block for these entries")?;
        for (number, room) in numbers
            .iter()
            .zip(block.chunks_exact_mut(DirectoryEntry::LEN))
        {
            room.copy_from_slice(&entry(*number).to_bytes());
        }
    }
    let at = arena.base() + arena.size - len as u64;
    file.write_all_at(&bytes, at)?;
    Ok((at, len))
}

fn write_trailer(file: &File, arena: &Arena, clumps: u64, stored: u64) -> eyre::Result<()> {
    let clumps = u32::try_from(clumps)?;
    let trailer = Trailer {
        version: Version::V5,
        name: arena.name.clone(),
        created: 1,
        modified: 1,
        clump_magic: arena.clump_magic,
        indexed: Counters {
            clumps,
            compressed: clumps,
            uncompressed: u64::from(clumps) * BLOCK as u64,
            used: u64::from(clumps) * stored,
            sealed: true,
        },
        written: None,
        score: Score::of(b"not the score of it"),
    };
    let block = trailer.to_block(arena.block_size as usize);
    file.write_all_at(&block, arena.base() + arena.size)?;
    Ok(())
}

fn forget(path: &Path) -> eyre::Result<File> {
    let file = File::open(path)?;
    fadvise(&file, 0, None, Advice::DontNeed)?;
    Ok(file)
}

fn read_once(path: &Path, directories: &[(u64, usize)]) -> eyre::Result<Duration> {
    let file = forget(path)?;
    let mut bytes = Vec::new();
    let start = Instant::now();
    for &(at, len) in directories {
        bytes.resize(len, 0);
        file.read_exact_at(&mut bytes, at)?;
    }
    Ok(start.elapsed())
}

fn serve(path: &Path) -> eyre::Result<Duration> {
    drop(forget(path)?);
    let start = Instant::now();
    let server = Served::with(&["-r"], path);
    let time = start.elapsed();
    drop(server);
    Ok(time)
}
