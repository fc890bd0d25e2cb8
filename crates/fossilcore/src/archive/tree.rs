//! Directories and files of an archive, by name.

use std::time::{Duration, SystemTime};

use venticore::codec::tree::Entry;
use venticore::net::client::Client;
use venticore::net::tree as hashtree;
use venticore::net::tree::TreeError;
use venticore::text::one_line;

use super::Archive;
use crate::disk::{DirEntry, FormatError, MetaBlock};

/// The most bytes of metadata of one directory that are listed at once.
const META_MAX: u64 = 64 << 20;

/// The longest path that a message shows whole.
const NAME_MAX: usize = 240;

/// A directory: where its files' entries are, and where their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dir {
    /// The stream of entries.
    pub entry: Entry,
    /// The stream of metadata.
    pub meta: Entry,
}

/// A file or directory that was found by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFile {
    /// Its name, owners, mode and times.
    pub info: DirEntry,
    /// Its bytes, or its entries: see [`venticore::net::tree::copy`].
    pub entry: Entry,
    /// The same as a directory, where it is one.
    pub directory: Option<Dir>,
}

/// What is in a directory, in the order of its metadata.
///
/// # Errors
/// [`TreeError`].
pub fn list(client: &mut Client, dir: &Dir) -> Result<Vec<DirEntry>, TreeError> {
    if dir.meta.size > META_MAX {
        return Err(TreeError::Large {
            most: META_MAX,
            found: dir.meta.size,
        });
    }
    let mut bytes = Vec::new();
    hashtree::copy(client, &dir.meta, &mut bytes)?;
    let block = usize::try_from(dir.meta.dsize().max(1)).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for block in bytes.chunks(block) {
        found.extend(entries(block)?);
    }
    Ok(found)
}

/// A meta block with the zeros that were cut off the part in use.
pub(super) fn padded(block: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    if let Some(&[high, low]) = block.get(4..6) {
        let used = usize::from(u16::from_be_bytes([high, low]));
        block.resize(used.max(block.len()), 0);
    }
    block
}

/// The entries of a meta block. One that is all zeros was never used.
pub(super) fn entries(block: &[u8]) -> Result<Vec<DirEntry>, FormatError> {
    if block.iter().all(|&byte| byte == 0) {
        return Ok(Vec::new());
    }
    MetaBlock::parse(block)?.entries().collect()
}

/// The file of this name in a directory; `None` where there is none, or its
/// entry is not in use.
///
/// # Errors
/// [`TreeError`].
pub fn find(client: &mut Client, dir: &Dir, name: &[u8]) -> Result<Option<ArchiveFile>, TreeError> {
    let files = list(client, dir)?;
    match files.into_iter().find(|file| file.elem == name) {
        Some(info) => open(client, dir, info),
        None => Ok(None),
    }
}

/// The file that a directory lists like this.
fn open(client: &mut Client, dir: &Dir, info: DirEntry) -> Result<Option<ArchiveFile>, TreeError> {
    let entry = entry(client, dir, info.entry)?;
    if !entry.active {
        return Ok(None);
    }
    let mut directory = None;
    if info.mode & DirEntry::DIRECTORY != 0 && entry.directory {
        let meta = self::entry(client, dir, info.meta_entry)?;
        directory = Some(Dir { entry, meta });
    }
    Ok(Some(ArchiveFile {
        info,
        entry,
        directory,
    }))
}

/// Entry `number` of a directory.
pub(super) fn entry(client: &mut Client, dir: &Dir, number: u32) -> Result<Entry, TreeError> {
    let per_leaf = dir.entry.per_leaf();
    let (leaf, at) = (u64::from(number) / per_leaf, u64::from(number) % per_leaf);
    let offset = leaf
        .saturating_mul(dir.entry.dsize())
        .saturating_add(at * Entry::LEN as u64);
    let bytes = hashtree::read(client, &dir.entry, offset, Entry::LEN)?;
    Ok(Entry::parse(&bytes))
}

/// When an archive was taken: when the newest directory of `archive` was made,
/// which is its own. `None` where that does not show.
///
/// # Errors
/// [`TreeError`].
pub fn taken(client: &mut Client, archive: &Archive) -> Result<Option<SystemTime>, TreeError> {
    let mut dir = archive.directory();
    let Some(top) = find(client, &dir, b"archive")? else {
        return Ok(None);
    };
    let mut made = None;
    let mut next = top.directory;
    // The years, then the days: 1122, and 1122.1 for the second of a day.
    for _ in 0..2 {
        let Some(inside) = next else {
            return Ok(None);
        };
        dir = inside;
        let files = list(client, &dir)?;
        let Some(newest) = files.into_iter().max_by_key(|file| order(&file.elem)) else {
            return Ok(None);
        };
        made = Some(newest.ctime);
        next = open(client, &dir, newest)?.and_then(|file| file.directory);
    }
    let time = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    Ok(made.and_then(|seconds| time(seconds.into())))
}

/// The numbers in a name like `1122.3`.
fn order(name: &[u8]) -> (u64, u64) {
    let text = String::from_utf8_lossy(name);
    let (day, count) = text.split_once('.').unwrap_or((&text, "0"));
    let number = |text: &str| text.parse().unwrap_or(0);
    (number(day), number(count))
}

/// The path of a file in a directory; a long one without its middle.
pub(super) fn below(name: &str, elem: &[u8]) -> String {
    let elem = one_line(&String::from_utf8_lossy(elem));
    let name = format!("{}/{elem}", name.trim_end_matches('/'));
    if name.len() <= NAME_MAX {
        return name;
    }
    let chars: Vec<char> = name.chars().collect();
    let half = NAME_MAX / 3;
    let part = |chars: &[char]| chars.iter().collect::<String>();
    match (
        chars.get(..half),
        chars.get(chars.len().saturating_sub(half)..),
    ) {
        (Some(first), Some(last)) if chars.len() > NAME_MAX / 2 => {
            format!("{}...{}", part(first), part(last))
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_short_however_deep_the_directory() {
        let mut name = "/".to_owned();
        for depth in 0..2000 {
            name = below(&name, format!("d\u{e9}{depth}\n").as_bytes());
            assert!(name.len() < 2 * NAME_MAX && !name.contains('\n'), "{name}");
        }
        assert!(name.starts_with("/d\u{e9}0 /d\u{e9}1 /") && name.ends_with("/d\u{e9}1999 "));
        assert_eq!(below("/", b"active"), "/active");
    }

    #[test]
    fn the_tenth_archive_of_a_day_comes_after_the_ninth() {
        let mut names = [&b"1122.10"[..], b"1122", b"1121.30", b"1122.9", b"odd"];
        names.sort_by_key(|name| order(name));
        let expected = [&b"odd"[..], b"1121.30", b"1122", b"1122.9", b"1122.10"];
        assert_eq!(names, expected);
    }
}
