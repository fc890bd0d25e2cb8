//! Making a store: a sparse file with arenas in plan9port's form, all empty.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use eyre::{OptionExt, WrapErr};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::codec::arena::clump::MAGIC_V4;
use crate::codec::arena::head::Head;
use crate::codec::arena::table::{self, MAX_ENTRIES, PartitionHeader, TableEntry};
use crate::codec::arena::trailer::{Counters, Trailer};
use crate::codec::arena::{Name, Version};
use crate::codec::score::Score;
use crate::host::random;
use crate::status::{Failure, Status};
use crate::text;

/// Bytes of an arena, where nothing else is asked for.
pub const ARENA: u64 = 512 << 20;

/// The smallest arena: plan9port's formatter makes none smaller of what is left over.
pub const ARENA_MIN: u64 = 1 << 20;

/// Disk block size in bytes.
const BLOCK: u32 = 8192;
/// Bytes for the arena table.
const TABLE: u64 = 512 << 10;

/// Makes a store of `size` bytes with arenas of `arena` bytes each. The file appears
/// under its name when all of it is on disk. It takes up what is written into it. Its
/// directory is made if only that is missing. None of its arenas has a name that is
/// `taken`; their names are added to that.
///
/// # Errors
/// Something has the name already, the sizes do not go together, or the system refuses.
pub fn create(path: &Path, size: u64, arena: u64, taken: &mut HashSet<Name>) -> eyre::Result<()> {
    let mut layout = Layout::of(path, size, arena)?;
    layout.rename(&template(path), taken);
    let temporary = temporary(path)?;
    make_directory(directory_of(path))?;
    // Left by a process of the same number that was killed.
    let _ = fs::remove_file(&temporary);
    let made = layout
        .write(&temporary, size)
        .and_then(|()| publish(&temporary, path));
    taken.extend(layout.arenas.into_iter().map(|arena| arena.name));
    made.inspect_err(|_| drop(fs::remove_file(&temporary)))
        .wrap_err_with(|| format!("{}: cannot make a store", text::path(path)))
}

struct Layout {
    header: PartitionHeader,
    arenas: Vec<TableEntry>,
}

impl Layout {
    fn of(path: &Path, size: u64, arena: u64) -> eyre::Result<Self> {
        let block = u64::from(BLOCK);
        let header = |arena_base| PartitionHeader {
            block_size: BLOCK,
            arena_base,
        };
        let base = header(0).table_offset() + TABLE;
        let least = base + ARENA_MIN;
        let refused = |expected: String| {
            let text = format!("{}: expected {expected}", text::path(path));
            Err(Failure::report(Status::Usage, text))
        };
        if arena < ARENA_MIN {
            return refused(format!(
                "arenas of at least 1m with -A, found {arena} bytes"
            ));
        }
        if size < least {
            return refused(format!("at least {least} bytes with -c, found {size}"));
        }
        let (size, arena) = (size / block * block, arena / block * block);
        let arenas = (size - base).div_ceil(arena);
        if arenas > MAX_ENTRIES as u64 {
            return refused(format!(
                "at most {MAX_ENTRIES} arenas, found {arenas}: make them larger with -A"
            ));
        }
        let mut arenas = Vec::new();
        let mut start = base;
        while size - start >= ARENA_MIN {
            let mut stop = size.min(start + arena);
            if size - stop < ARENA_MIN {
                stop = size;
            }
            let name = Name::from_field(b"");
            arenas.push(TableEntry { name, start, stop });
            start = stop;
        }
        let base = u32::try_from(base).wrap_err("the first arena")?;
        Ok(Layout {
            header: header(base),
            arenas,
        })
    }

    /// Numbers the arenas after a word of their own: `store0`, or `store-2-0` where another
    /// store has such a name.
    fn rename(&mut self, template: &str, taken: &HashSet<Name>) {
        let mut prefix = template.to_owned();
        for copy in 2.. {
            for (number, arena) in self.arenas.iter_mut().enumerate() {
                arena.name = Name::from_field(format!("{prefix}{number}").as_bytes());
            }
            if !self.arenas.iter().any(|arena| taken.contains(&arena.name)) {
                return;
            }
            prefix = format!("{template}-{copy}-");
        }
    }

    fn write(&self, path: &Path, size: u64) -> eyre::Result<()> {
        // What it holds is for who has the scores, and they do not read this.
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.set_len(size)?;
        file.write_all_at(&self.header.to_bytes(), PartitionHeader::OFFSET)?;
        let text = table::to_text(&self.arenas);
        file.write_all_at(text.as_bytes(), self.header.table_offset())?;
        for arena in &self.arenas {
            write_arena(&file, arena)?;
        }
        file.sync_all()?;
        Ok(())
    }
}

fn write_arena(file: &File, arena: &TableEntry) -> io::Result<()> {
    let head = Head {
        version: Version::V5,
        name: arena.name.clone(),
        block_size: BLOCK,
        total: arena.stop - arena.start,
        clump_magic: magic(),
    };
    let trailer = Trailer {
        version: Version::V5,
        name: arena.name.clone(),
        created: 0,
        modified: 0,
        clump_magic: head.clump_magic,
        indexed: Counters::default(),
        written: None,
        score: Score::from_bytes([0; Score::LEN]),
    };
    file.write_all_at(&head.to_bytes(), arena.start)?;
    let block = trailer.to_block(BLOCK as usize);
    file.write_all_at(&block, arena.stop - u64::from(BLOCK))
}

/// What the clumps of one arena begin with: neither zeros nor what version 4 has.
fn magic() -> u32 {
    loop {
        let [a, b, c, d, ..] = random::number().to_be_bytes();
        let magic = u32::from_be_bytes([a, b, c, d]);
        if magic != 0 && magic != MAGIC_V4 {
            return magic;
        }
    }
}

/// What the names of the arenas begin with: the name of the file, as far as arenas can be
/// called so.
fn template(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().filter(fits).take(40).collect();
    match name.as_str() {
        "" => "arena".into(),
        _ => name,
    }
}

fn temporary(path: &Path) -> eyre::Result<PathBuf> {
    let name = path.file_name().ok_or_eyre("expected the name of a file")?;
    let name = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
    Ok(path.with_file_name(name))
}

/// Gives the file its name, unless something has it.
fn publish(temporary: &Path, path: &Path) -> eyre::Result<()> {
    renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE)?;
    File::open(directory_of(path))?.sync_all()?;
    Ok(())
}

/// The directory, for its owner alone, if it is not there. One above it has to be there: it
/// may be a disk that is not mounted.
fn make_directory(directory: &Path) -> eyre::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let made = DirBuilder::new().mode(0o700).create(directory);
    made.and_then(|()| File::open(directory_of(directory))?.sync_all())
        .wrap_err_with(|| format!("{}: cannot make the directory", text::path(directory)))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::source::{ArenaSource, ReadAt};

    fn make(path: &Path, size: u64, arena: u64) -> eyre::Result<()> {
        create(path, size, arena, &mut HashSet::new())
    }

    #[test]
    fn what_is_made_is_a_partition_of_empty_arenas() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("my store");
        let size = (10 << 20) + 5000;
        make(&path, size, 3 << 20).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, size);
        let ArenaSource::Partition(partition) = ArenaSource::read(&bytes, 0).unwrap() else {
            panic!("no partition");
        };
        assert!(partition.notes.is_empty());
        let names: Vec<_> = partition
            .entries
            .iter()
            .map(|of| of.name.as_str())
            .collect();
        assert_eq!(names, ["mystore0", "mystore1", "mystore2"]);
        for entry in &partition.entries {
            let arena = partition.arena(&bytes, entry).unwrap();
            assert_eq!(
                (arena.live.clumps, arena.sealed, arena.notes.len()),
                (0, false, 0)
            );
        }
        let last = partition.entries.last().unwrap().stop;
        assert_eq!(last, bytes.size() / 8192 * 8192);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(make(&path, size, 3 << 20).is_err());
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn its_directory_is_made_for_its_owner_alone_but_no_further_one() {
        let directory = tempfile::tempdir().unwrap();
        let parent = directory.path().join("venti");
        make(&parent.join("store"), 10 << 20, 3 << 20).unwrap();
        let mode = fs::metadata(&parent).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        // As where a disk is not mounted, or a name is not spelt right.
        let far = directory.path().join("a/b/store");
        let error = make(&far, 10 << 20, 3 << 20).unwrap_err();
        assert!(format!("{error:#}").contains("a/b"), "{error:#}");
        assert!(!directory.path().join("a").exists());
    }

    #[test]
    fn sizes_that_do_not_go_together_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        for (size, arena) in [
            (0, ARENA),
            (1 << 20, ARENA),
            (1 << 30, 1000),
            (1 << 44, ARENA_MIN),
        ] {
            assert!(make(&path, size, arena).is_err(), "{size} {arena}");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
