//! The layout of an archive of vac(1) or a fossil, and the path of the file that a block
//! belongs to, found by the numbers of the entries that lead to it.

use venticore::codec::blocktype::{BLOCK_MAX, BlockType};
use venticore::codec::score::Score;
use venticore::codec::tree::{Entry, Root};
use venticore::net::client::{Client, ClientError};
use venticore::net::tree as hashtree;
use venticore::net::tree::{BadBlock, LeafPlan, StreamRequest, TreeError};

use super::tree::{self, Dir};
use super::{LAYER, SOURCES};
use crate::disk::DirEntry;

/// The most bytes of metadata in which the names of a root's bad blocks are looked for.
const META_MAX: u64 = 256 << 20;

/// The most directories that are looked into for them.
const DIRECTORIES_MAX: u32 = 1024;

/// Bytes of metadata that are read together, about.
const CHUNK: u64 = 1 << 20;

/// The most bytes of metadata of the root directory of a fossil.
const ROOT_META_MAX: u64 = 1 << 20;

/// What stands between a root and its root directory.
pub(super) struct Layout {
    /// The entry of the extra layer that an archive of a fossil has.
    layer: Option<Entry>,
    /// What else is in the block of the extra layer.
    beside: Vec<(u64, Entry)>,
    /// The root directory, its metadata, its own entry.
    sources: [Entry; 3],
    /// Blocks that were read for it.
    pub(super) blocks: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl Layout {
    /// Reads it. `None` where the archive is of another kind, or one of the blocks cannot be
    /// read.
    ///
    /// # Errors
    /// The venti was lost.
    pub(super) fn read(client: &mut Client, root: &Root) -> Result<Option<Self>, ClientError> {
        if root.kind != b"vac" {
            return Ok(None);
        }
        let Some(mut block) = read(client, &root.score)? else {
            return Ok(None);
        };
        let (mut blocks, mut bytes) = (1, block.len() as u64);
        let (mut layer, mut beside) = (None, Vec::new());
        if block.len() <= LAYER {
            let entry = Entry::parse(&block);
            if !entry.active || !entry.directory || entry.depth != 0 {
                return Ok(None);
            }
            beside = (0..).zip(Entry::all(&block)).skip(1).collect();
            layer = Some(entry);
            let Some(below) = read(client, &entry.score)? else {
                return Ok(None);
            };
            block = below;
            blocks += 1;
            bytes += block.len() as u64;
        }
        let source = |n: usize| Entry::parse(block.get(n * Entry::LEN..).unwrap_or_default());
        Ok((block.len() <= SOURCES).then(|| Layout {
            layer,
            beside,
            sources: [0, 1, 2].map(source),
            blocks,
            bytes,
        }))
    }

    /// Whether it is of an archive of a fossil.
    pub(super) fn is_of_fossil(&self) -> bool {
        self.layer.is_some()
    }

    fn directory(&self) -> Dir {
        Dir {
            entry: self.sources[0],
            meta: self.sources[1],
        }
    }

    /// The numbers of the entries of a directory in the root directory: of itself and of its
    /// metadata. One that another name has as well is left out. None where there is no such
    /// directory, or it cannot be read.
    ///
    /// # Errors
    /// The venti was lost.
    pub(super) fn entries_of(
        &self,
        client: &mut Client,
        name: &[u8],
    ) -> Result<Vec<u64>, ClientError> {
        let directory = self.directory();
        if directory.meta.size > ROOT_META_MAX {
            return Ok(Vec::new());
        }
        let files = match tree::list(client, &directory) {
            Ok(files) => files,
            Err(error) => return unless_lost(error).map(|()| Vec::new()),
        };
        let is_it = |file: &&DirEntry| file.elem == name && file.mode & DirEntry::DIRECTORY != 0;
        let numbers = |file: &DirEntry| [file.entry, file.meta_entry].map(u64::from);
        let mut found: Vec<u64> = files.iter().filter(is_it).flat_map(numbers).collect();
        let others = files.iter().filter(|file| !is_it(file)).flat_map(numbers);
        let others: Vec<u64> = others.collect();
        found.retain(|number| !others.contains(number));
        Ok(found)
    }

    /// The streams below, the root directory to be followed entry by entry.
    pub(super) fn streams(&self, plan: LeafPlan) -> Vec<StreamRequest> {
        let of = |path: Vec<u64>, entry: Entry, plan| StreamRequest {
            entry,
            plan,
            id: 0,
            path,
        };
        let mut streams = Vec::new();
        for (number, &source) in (0..).zip(&self.sources) {
            let path = match self.layer {
                Some(_) => vec![0, number],
                None => vec![number],
            };
            let is_root = number == 0 && source.directory;
            let plan = if is_root { LeafPlan::Follow } else { plan };
            streams.push(of(path, source, plan));
        }
        let beside = self.beside.iter();
        streams.extend(beside.map(|&(number, entry)| of(vec![number], entry, plan)));
        streams
    }
}

/// A directory block; `None` where it cannot be read.
fn read(client: &mut Client, score: &Score) -> Result<Option<Vec<u8>>, ClientError> {
    match client.read(score, BlockType::Dir, BLOCK_MAX) {
        Ok(block) => Ok(Some(block)),
        Err(error) => unless_lost(error.into()).map(|()| None),
    }
}

/// What is wrong with single blocks does not count here.
fn unless_lost(error: TreeError) -> Result<(), ClientError> {
    match error {
        TreeError::Client(ClientError::Refused { .. } | ClientError::WrongScore { .. }) => Ok(()),
        TreeError::Client(error) => Err(error),
        _ => Ok(()),
    }
}

/// What may still be read to find names: archives made to be large have an end.
pub(super) struct Budget {
    bytes: u64,
    directories: u32,
}

impl Budget {
    /// For the names of one root's blocks.
    pub(super) fn new() -> Self {
        Budget {
            bytes: META_MAX,
            directories: DIRECTORIES_MAX,
        }
    }
}

/// The path of the file that a block belongs to. Where a name cannot be read, or not for
/// what is left of the budget, the numbers of the entries take its place.
pub(super) fn place(
    client: &mut Client,
    root: Option<&Root>,
    block: &BadBlock,
    budget: &mut Budget,
) -> String {
    if block.ty == BlockType::Root {
        return "root".to_owned();
    }
    let layout = root.and_then(|root| Layout::read(client, root).ok().flatten());
    let Some(layout) = layout else {
        return match block.path.is_empty() {
            true => "block below the root".to_owned(),
            false => numbers(&block.path),
        };
    };
    let own = usize::from(layout.layer.is_some());
    match block.path.get(own..).and_then(<[u64]>::split_first) {
        Some((0, rest)) => below_root(client, layout.directory(), rest, budget),
        Some((1, [])) => metadata_of("/"),
        Some((2, [])) => "/: its own metadata".to_owned(),
        Some(_) => numbers(&block.path),
        None => "block below the root".to_owned(),
    }
}

fn below_root(client: &mut Client, mut dir: Dir, mut rest: &[u64], budget: &mut Budget) -> String {
    let mut path = "/".to_owned();
    while let Some((&number, below)) = rest.split_first() {
        let Some(file) = by_number(client, &dir, number, budget) else {
            return format!("{path}: {}", numbers(rest));
        };
        path = tree::below(&path, &file.elem);
        if u64::from(file.entry) != number {
            return metadata_of(&path);
        }
        rest = below;
        if rest.is_empty() {
            break;
        }
        let entries = [file.entry, file.meta_entry].map(|n| tree::entry(client, &dir, n));
        let [Ok(entry), Ok(meta)] = entries else {
            return format!("{path}: {}", numbers(rest));
        };
        dir = Dir { entry, meta };
    }
    path
}

/// The file of a directory whose entry, or whose metadata's entry, has this number.
fn by_number(client: &mut Client, dir: &Dir, number: u64, budget: &mut Budget) -> Option<DirEntry> {
    budget.directories = budget.directories.checked_sub(1)?;
    let is_it = |file: &DirEntry| {
        let is_directory = file.mode & DirEntry::DIRECTORY != 0;
        u64::from(file.entry) == number || is_directory && u64::from(file.meta_entry) == number
    };
    let dsize = dir.meta.dsize();
    if dsize == 0 || dsize > CHUNK {
        return None;
    }
    let chunk = CHUNK / dsize * dsize;
    let end = dir.meta.size;
    let mut at = 0;
    while at < end {
        budget.bytes = budget.bytes.checked_sub(chunk.min(end - at))?;
        // A block that cannot be read does not hide those beside it.
        let found = match files(client, dir, at, chunk) {
            Some(files) => files.into_iter().find(is_it),
            None => (at..end.min(at + chunk))
                .step_by(usize::try_from(dsize).ok()?)
                .find_map(|at| files(client, dir, at, dsize)?.into_iter().find(is_it)),
        };
        if found.is_some() {
            return found;
        }
        at += chunk;
    }
    None
}

/// The entries in some blocks of metadata.
fn files(client: &mut Client, dir: &Dir, at: u64, count: u64) -> Option<Vec<DirEntry>> {
    let count = usize::try_from(count).ok()?;
    let bytes = hashtree::read(client, &dir.meta, at, count).ok()?;
    let block = usize::try_from(dir.meta.dsize()).ok()?;
    let blocks = bytes.chunks(block).map(tree::entries);
    blocks
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .map(|all| all.concat())
}

fn metadata_of(path: &str) -> String {
    format!("{path}: metadata")
}

/// `entry 0/5/3`; a long one without its middle.
fn numbers(path: &[u64]) -> String {
    const MOST: usize = 16;
    let words: Vec<String> = path.iter().take(MOST).map(u64::to_string).collect();
    let more = if path.len() > MOST { "/..." } else { "" };
    format!("entry {}{more}", words.join("/"))
}
