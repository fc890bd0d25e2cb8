//! Pieces of directories, read together: their names, the entries that the names lead to,
//! and the entries that no name leads to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use super::Folder;
use crate::archive::{Dir, tree};
use crate::disk::{DirEntry, MetaBlock};
use venticore::codec::tree::Entry;
use venticore::net::tree::{BadBlock, Leaf, Leaves, StreamPart, StreamReader};

/// The most metadata blocks of a directory: some 80 million files.
const META_MAX: u64 = 1 << 20;

/// The most entries of a directory that are searched for some without a name.
const SEARCHED_MAX: usize = 1 << 22;

/// Stretches of entries that a message shows.
const SHOWN: usize = 8;

/// Some metadata blocks of a directory, from `from` on, not read yet.
pub(super) struct DirPiece {
    pub(super) folder: Rc<Folder>,
    pub(super) dir: Dir,
    pub(super) from: u64,
    /// Past the last that is read with it.
    pub(super) end: u64,
    /// Entries that names led to in the pieces before it.
    pub(super) named: Vec<u32>,
    /// Names were lost in it, or before it.
    pub(super) is_damaged: bool,
}

impl DirPiece {
    /// The first of a directory.
    pub(super) fn first(folder: Rc<Folder>, dir: Dir) -> Self {
        DirPiece {
            folder,
            dir,
            from: 0,
            end: 0,
            named: Vec::new(),
            is_damaged: false,
        }
    }

    /// The directory has more metadata.
    pub(super) fn has_more(&self) -> bool {
        let blocks = self.dir.meta.leaves();
        blocks <= META_MAX && self.end < blocks
    }

    /// Remembers what the names that were read lead to.
    pub(super) fn note(&mut self, names: &[(u64, Names)]) {
        for name in names.iter().flat_map(|(_, names)| names) {
            match name {
                Ok(_) if self.named.len() > SEARCHED_MAX => {}
                Ok(info) => self.named.extend(numbers(info)),
                Err(_) => self.is_damaged = true,
            }
        }
        if self.is_searched() {
            self.named.sort_unstable();
        }
    }

    /// Whether entries without a name are to be searched for.
    fn is_searched(&self) -> bool {
        let entries = self
            .dir
            .entry
            .leaves()
            .saturating_mul(self.dir.entry.per_leaf());
        let is_small = entries <= SEARCHED_MAX as u64 && self.named.len() <= SEARCHED_MAX;
        self.is_damaged && !self.has_more() && is_small
    }
}

/// The entries that a name leads to.
fn numbers(info: &DirEntry) -> impl Iterator<Item = u32> + use<> {
    let is_directory = info.mode & DirEntry::DIRECTORY != 0;
    let meta = is_directory.then_some(info.meta_entry);
    [Some(info.entry), meta].into_iter().flatten()
}

/// The names of a metadata block, or why some cannot be read.
pub(super) type Names = Vec<Result<DirEntry, String>>;

/// Reads the metadata of pieces.
pub(super) struct NameReader<'p> {
    pieces: &'p [DirPiece],
    next: usize,
    /// For each piece: for each block that is not empty its number, and what is in it.
    pub(super) found: Vec<Vec<(u64, Names)>>,
}

impl<'p> NameReader<'p> {
    pub(super) fn of(pieces: &'p [DirPiece]) -> Self {
        NameReader {
            pieces,
            next: 0,
            found: pieces.iter().map(|_| Vec::new()).collect(),
        }
    }

    fn add(&mut self, id: usize, number: u64, names: Names) {
        if let Some(found) = self.found.get_mut(id) {
            found.push((number, names));
        }
    }

    fn lost(&mut self, id: usize, blocks: Range<u64>, cause: &str) {
        let Some(piece) = self.pieces.get(id) else {
            return;
        };
        let first = blocks.start.max(piece.from);
        let last = blocks
            .end
            .min(piece.end.max(piece.from + 1))
            .saturating_sub(1);
        let of = piece.dir.meta.leaves();
        let which = match first == last {
            true => format!("block {} of {of} of its metadata", first + 1),
            false => format!(
                "blocks {} to {} of {of} of its metadata",
                first + 1,
                last + 1
            ),
        };
        self.add(
            id,
            first,
            vec![Err(format!("{which}: {cause}: the names in it are lost"))],
        );
    }
}

impl StreamReader for NameReader<'_> {
    fn next(&mut self) -> Option<StreamPart> {
        let id = self.next;
        let piece = self.pieces.get(id)?;
        self.next += 1;
        let mut entry = piece.dir.meta;
        if entry.leaves() > META_MAX {
            let found = entry.leaves();
            let text = format!("expected at most {META_MAX} blocks, found {found}");
            self.lost(id, 0..1, &text);
            entry.active = false;
        }
        Some(StreamPart {
            entry,
            id,
            leaves: Leaves::These((piece.from..piece.end).collect()),
        })
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        if leaf.data.is_empty() {
            return;
        }
        match MetaBlock::parse(&tree::padded(leaf.data)) {
            Ok(meta) => {
                let entries = meta.entries().map(|entry| entry.map_err(|e| e.to_string()));
                let names = entries.collect();
                self.add(leaf.id, leaf.number, names);
            }
            Err(error) => {
                self.lost(leaf.id, leaf.number..leaf.number + 1, &error.to_string());
            }
        }
    }

    fn damage(&mut self, id: usize, leaves: Range<u64>, damage: BadBlock) -> ControlFlow<()> {
        self.lost(id, leaves, &damage.to_string());
        ControlFlow::Continue(())
    }

    fn end(&mut self, id: usize) {
        if let Some(found) = self.found.get_mut(id) {
            found.sort_by_key(|(number, _)| *number);
        }
    }
}

/// An entry that a name leads to.
pub(super) enum FoundEntry {
    Is(Entry),
    Lost(Rc<str>),
}

/// Reads the entries that names lead to.
pub(super) struct EntryReader<'p> {
    pieces: &'p [DirPiece],
    next: usize,
    /// For each piece: the entries, by their numbers.
    pub(super) wanted: Vec<BTreeMap<u32, FoundEntry>>,
}

impl<'p> EntryReader<'p> {
    pub(super) fn of(pieces: &'p [DirPiece], found: &[Vec<(u64, Names)>]) -> Self {
        let wanted = found.iter().map(|blocks| {
            let names = blocks.iter().flat_map(|(_, names)| names).flatten();
            let numbers = names.flat_map(numbers);
            let unused = || FoundEntry::Is(Entry::parse(&[]));
            numbers.map(|number| (number, unused())).collect()
        });
        EntryReader {
            pieces,
            next: 0,
            wanted: wanted.collect(),
        }
    }

    /// The entries in these leaves of a directory that are wanted: how many fit in a leaf,
    /// and each with its number.
    fn within(
        &mut self,
        id: usize,
        leaves: &Range<u64>,
    ) -> Option<(u64, impl Iterator<Item = (u32, &mut FoundEntry)>)> {
        let per_leaf = self.pieces.get(id)?.dir.entry.per_leaf();
        let number = |leaf: u64| u32::try_from(leaf.saturating_mul(per_leaf)).unwrap_or(u32::MAX);
        let range = number(leaves.start)..number(leaves.end);
        let entries = self.wanted.get_mut(id)?.range_mut(range);
        Some((per_leaf, entries.map(|(number, entry)| (*number, entry))))
    }
}

impl StreamReader for EntryReader<'_> {
    fn next(&mut self) -> Option<StreamPart> {
        let id = self.next;
        let entry = self.pieces.get(id)?.dir.entry;
        self.next += 1;
        let numbers = self.wanted.get(id)?.keys();
        let mut leaves: Vec<u64> = numbers.map(|&n| u64::from(n) / entry.per_leaf()).collect();
        leaves.dedup();
        Some(StreamPart {
            entry,
            id,
            leaves: Leaves::These(leaves),
        })
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        let leaves = leaf.number..leaf.number + 1;
        let Some((per_leaf, entries)) = self.within(leaf.id, &leaves) else {
            return;
        };
        for (number, entry) in entries {
            let at = usize::try_from(u64::from(number) % per_leaf).unwrap_or(usize::MAX);
            let from = at.saturating_mul(Entry::LEN);
            let bytes = leaf.data.get(from..).unwrap_or_default();
            *entry = FoundEntry::Is(Entry::parse(bytes));
        }
    }

    fn damage(&mut self, id: usize, leaves: Range<u64>, damage: BadBlock) -> ControlFlow<()> {
        let cause: Rc<str> = format!("its entry: {damage}").into();
        for (_, entry) in self
            .within(id, &leaves)
            .into_iter()
            .flat_map(|(_, all)| all)
        {
            *entry = FoundEntry::Lost(Rc::clone(&cause));
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, _id: usize) {}
}

/// Searches directories of which names were lost for entries that no name leads to.
pub(super) struct NamelessReader<'p> {
    pieces: &'p [DirPiece],
    next: usize,
    /// For each piece: the numbers of such entries.
    found: Vec<Vec<u64>>,
}

impl<'p> NamelessReader<'p> {
    pub(super) fn of(pieces: &'p [DirPiece]) -> Self {
        NamelessReader {
            pieces,
            next: 0,
            found: pieces.iter().map(|_| Vec::new()).collect(),
        }
    }

    /// For each piece: what is said of such entries, if there are any.
    pub(super) fn told(self) -> impl Iterator<Item = Option<String>> {
        self.found.into_iter().map(|mut numbers| {
            numbers.sort_unstable();
            let stretches: Vec<&[u64]> = numbers.chunk_by(|a, b| a + 1 == *b).collect();
            let mut text = match numbers.len() {
                0 => return None,
                1 => "1 entry has no name that can be read: ".to_owned(),
                count => format!("{count} entries have no name that can be read: "),
            };
            for (at, stretch) in stretches.iter().take(SHOWN).enumerate() {
                let comma = if at > 0 { ", " } else { "" };
                let _ = match stretch {
                    [first, .., last] => write!(text, "{comma}{first} to {last}"),
                    [only] => write!(text, "{comma}{only}"),
                    [] => Ok(()),
                };
            }
            if stretches.len() > SHOWN {
                text.push_str(" ...");
            }
            Some(text)
        })
    }
}

impl StreamReader for NamelessReader<'_> {
    fn next(&mut self) -> Option<StreamPart> {
        let id = self.next;
        let piece = self.pieces.get(id)?;
        self.next += 1;
        let mut entry = piece.dir.entry;
        entry.active &= piece.is_searched();
        Some(StreamPart {
            entry,
            id,
            leaves: Leaves::All,
        })
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        let (Some(piece), Some(found)) = (self.pieces.get(leaf.id), self.found.get_mut(leaf.id))
        else {
            return;
        };
        let per_leaf = piece.dir.entry.per_leaf();
        let first = leaf.number.saturating_mul(per_leaf);
        for (number, entry) in (first..first.saturating_add(per_leaf)).zip(Entry::all(leaf.data)) {
            let is_named =
                u32::try_from(number).is_ok_and(|n| piece.named.binary_search(&n).is_ok());
            if entry.active && !is_named {
                found.push(number);
            }
        }
    }

    fn damage(&mut self, _: usize, _: Range<u64>, _: BadBlock) -> ControlFlow<()> {
        // The names that lead there are told with it.
        ControlFlow::Continue(())
    }

    fn end(&mut self, _id: usize) {}
}
