//! What is in an archive, name by name: each directory before what is in it.
//!
//! A directory is read in pieces, and the pieces that come next are read together, so
//! that neither a wide tree nor a line with a long way costs a round trip for each. What is
//! held is bounded: where much is, pieces are read one by one.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use super::Dir;
use super::tree;
use crate::disk::{DirEntry, MetaBlock};
use venticore::codec::tree::Entry;
use venticore::net::client::{Client, ClientError};
use venticore::net::tree::{BadBlock, Leaf, Leaves, StreamPart, StreamReader, read_streams};

/// Pieces that are read together.
const PIECES: usize = 64;

/// Metadata blocks in a piece.
const PIECE: u64 = 64;

/// Metadata blocks that are read together, unless one piece has more.
const TOGETHER: u64 = 256;

/// Steps that are searched for pieces to be read.
const SEARCHED: usize = 4096;

/// From here on pieces are read one by one, and are one metadata block.
const HELD_MAX: usize = 1 << 16;

/// The most metadata blocks of a directory: some 80 million files.
const META_MAX: u64 = 1 << 20;

/// The most directories one inside the other.
const DEPTH_MAX: usize = 1024;

/// The most bytes of a path.
const PATH_MAX: usize = 1 << 16;

/// A directory of an archive, linked to the one that it is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Folder {
    /// A number that no other has.
    pub id: u64,
    above: Option<Rc<Folder>>,
    name: Vec<u8>,
    depth: usize,
    /// Bytes of its path.
    len: usize,
}

impl Folder {
    /// The root directory.
    #[must_use]
    pub fn root() -> Rc<Self> {
        Rc::new(Folder {
            id: 0,
            above: None,
            name: Vec::new(),
            depth: 0,
            len: 0,
        })
    }

    /// Its path, without a slash before it; empty for the root.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        self.path_of(b"")
    }

    /// The path of something in it.
    #[must_use]
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut names = vec![name];
        let mut folder = self;
        while let Some(above) = &folder.above {
            names.push(&folder.name);
            folder = above;
        }
        names.reverse();
        names.retain(|name| !name.is_empty());
        names.join(&b'/')
    }

    /// One in it; `None` where that is too deep.
    fn below(self: &Rc<Self>, id: u64, name: &[u8]) -> Option<Rc<Self>> {
        let len = self.len + 1 + name.len();
        (self.depth < DEPTH_MAX && len <= PATH_MAX).then(|| {
            Rc::new(Folder {
                id,
                above: Some(Rc::clone(self)),
                name: name.to_vec(),
                depth: self.depth + 1,
                len,
            })
        })
    }
}

/// What is met in an archive.
#[derive(Clone, Debug)]
pub enum Found {
    /// A directory; what is in it follows, up to its [`Found::End`].
    Directory {
        /// Where it is.
        above: Rc<Folder>,
        /// The directory itself.
        folder: Rc<Folder>,
        /// Its name, mode and times.
        info: DirEntry,
        /// Its streams.
        dir: Dir,
    },
    /// A file, or what else has contents.
    File {
        /// Where it is.
        above: Rc<Folder>,
        /// Its name, mode and times.
        info: DirEntry,
        /// Its stream.
        entry: Entry,
    },
    /// A name whose entry is not in use: nothing of it is in the archive.
    Unused {
        /// Where it is.
        above: Rc<Folder>,
        /// Its name, mode and times.
        info: DirEntry,
    },
    /// A name that nothing can be found of.
    Lost {
        /// Where it is.
        above: Rc<Folder>,
        /// Its name, mode and times.
        info: DirEntry,
        /// Why.
        cause: Rc<str>,
    },
    /// Names that cannot be read.
    LostNames {
        /// The directory.
        folder: Rc<Folder>,
        /// Why, and where in its metadata.
        cause: String,
    },
    /// Everything in a directory has been told.
    End(Rc<Folder>),
}

/// Why the contents of an archive are not told to their end.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The venti was lost.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// There are more names than anybody could want.
    #[error("expected at most {0} names, found more: give a path")]
    TooMany(u64),
}

/// Some metadata blocks of a directory, from `from` on, not read yet.
struct Piece {
    folder: Rc<Folder>,
    dir: Dir,
    from: u64,
    /// Past the last that is read with it.
    end: u64,
}

enum Step {
    Found(Box<Found>),
    Piece(Piece),
    /// A piece that was read: what it holds, the last first.
    Read(Vec<Step>),
}

/// What is in a directory, and in all below it.
pub struct Contents {
    /// What is still to be told, the next one last.
    steps: Vec<Step>,
    /// How many there are in all steps.
    held: usize,
    next_id: u64,
    told: u64,
    enters: bool,
}

impl Contents {
    /// The most names that are told.
    pub const MOST: u64 = 1 << 28;

    /// What is in a directory and all below it.
    #[must_use]
    pub fn of(folder: Rc<Folder>, dir: Dir) -> Self {
        let next_id = folder.id + 1;
        let piece = Piece {
            folder,
            dir,
            from: 0,
            end: 0,
        };
        Contents {
            steps: vec![Step::Piece(piece)],
            held: 0,
            next_id,
            told: 0,
            enters: true,
        }
    }

    /// What was found by its path, and all that is in it.
    #[must_use]
    pub fn starting_at(found: Found) -> Self {
        let next_id = match &found {
            Found::Directory { folder, .. } => folder.id + 1,
            _ => 1,
        };
        let mut contents = Contents {
            steps: Vec::new(),
            held: 0,
            next_id,
            told: 0,
            enters: true,
        };
        let mut steps = Vec::new();
        contents.enter(found, &mut steps);
        steps.reverse();
        contents.steps = steps;
        contents
    }

    /// What is in a directory and not in those below it.
    fn flat(folder: &Rc<Folder>, dir: Dir) -> Self {
        Contents {
            enters: false,
            ..Self::of(Rc::clone(folder), dir)
        }
    }

    /// The next one, without a look at the venti; `None` where that is needed, or nothing
    /// is left.
    pub fn at_hand(&mut self) -> Option<Found> {
        loop {
            match self.steps.pop()? {
                Step::Found(found) => {
                    self.held = self.held.saturating_sub(1);
                    return Some(*found);
                }
                Step::Read(steps) => self.steps.extend(steps),
                Step::Piece(piece) => {
                    self.steps.push(Step::Piece(piece));
                    return None;
                }
            }
        }
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// [`ContentsError`]. What is wrong with single blocks is told as found.
    pub fn next(&mut self, client: &mut Client) -> Result<Option<Found>, ContentsError> {
        loop {
            if let Some(found) = self.at_hand() {
                self.told += 1;
                if self.told > Self::MOST {
                    return Err(ContentsError::TooMany(Self::MOST));
                }
                return Ok(Some(found));
            }
            if self.steps.is_empty() {
                return Ok(None);
            }
            self.read(client)?;
        }
    }

    /// Leaves out what is in the directory that was told last.
    pub fn skip(&mut self) {
        match self.steps.pop() {
            Some(Step::Read(steps)) => self.held = self.held.saturating_sub(steps.len()),
            Some(Step::Piece(_)) | None => {}
            Some(found) => self.steps.push(found),
        }
    }

    /// Reads the pieces that come next.
    fn read(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let taken = self.take_pieces();
        let (places, pieces): (Vec<usize>, Vec<Piece>) = taken.into_iter().unzip();
        let mut names = NameReader::of(&pieces);
        read_streams(client, &mut names)?;
        let mut entries = EntryReader::of(&pieces, &names.found);
        read_streams(client, &mut entries)?;
        let found = names.found.into_iter().zip(entries.wanted);
        for ((place, piece), (names, entries)) in places.into_iter().zip(pieces).zip(found) {
            let mut steps = self.steps_of(piece, names, &entries);
            steps.reverse();
            self.held += steps.len();
            if let Some(step) = self.steps.get_mut(place) {
                *step = Step::Read(steps);
            }
        }
        Ok(())
    }

    /// The pieces that are read together, each with its place among the steps.
    fn take_pieces(&mut self) -> Vec<(usize, Piece)> {
        let (most, blocks) = match self.held < HELD_MAX {
            true => (PIECES, PIECE),
            false => (1, 1),
        };
        let mut taken = Vec::new();
        let mut together = 0;
        let steps = self.steps.iter_mut().enumerate().rev().take(SEARCHED);
        for (place, step) in steps {
            if !matches!(step, Step::Piece(_)) {
                continue;
            }
            if taken.len() >= most || together >= TOGETHER {
                break;
            }
            if let Step::Piece(mut piece) = std::mem::replace(step, Step::Read(Vec::new())) {
                piece.end = piece.dir.meta.leaves().min(piece.from + blocks);
                together += piece.end.saturating_sub(piece.from);
                taken.push((place, piece));
            }
        }
        taken
    }

    /// What a piece holds, in its order.
    fn steps_of(
        &mut self,
        mut piece: Piece,
        names: Vec<(u64, Names)>,
        entries: &BTreeMap<u32, FoundEntry>,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let found = |found| Step::Found(Box::new(found));
        for name in names.into_iter().flat_map(|(_, names)| names) {
            match name {
                Ok(info) => self.add(&piece.folder, info, entries, &mut steps),
                Err(cause) => {
                    let folder = Rc::clone(&piece.folder);
                    steps.push(found(Found::LostNames { folder, cause }));
                }
            }
        }
        let is_readable = piece.dir.meta.leaves() <= META_MAX;
        if is_readable && piece.end < piece.dir.meta.leaves() {
            piece.from = piece.end;
            steps.push(Step::Piece(piece));
        }
        steps
    }

    /// Adds what a directory lists like this.
    fn add(
        &mut self,
        above: &Rc<Folder>,
        info: DirEntry,
        entries: &BTreeMap<u32, FoundEntry>,
        steps: &mut Vec<Step>,
    ) {
        let above = Rc::clone(above);
        let lost = |above, info, cause| Found::Lost { above, info, cause };
        let of = |number| match entries.get(&number) {
            Some(FoundEntry::Is(entry)) => Ok(*entry),
            Some(FoundEntry::Lost(cause)) => Err(Rc::clone(cause)),
            None => Ok(Entry::parse(&[])),
        };
        let is_directory = info.mode & DirEntry::DIRECTORY != 0;
        let found = match of(info.entry) {
            Err(cause) => lost(above, info, cause),
            Ok(entry) if !entry.active => Found::Unused { above, info },
            Ok(entry) if entry.directory != is_directory => {
                let text = match is_directory {
                    true => "expected the entry of a directory, found one of a file",
                    false => "expected the entry of a file, found one of a directory",
                };
                lost(above, info, text.into())
            }
            Ok(entry) if !is_directory => Found::File { above, info, entry },
            Ok(entry) => match of(info.meta_entry) {
                Err(cause) => lost(above, info, cause),
                Ok(meta) => match above.below(self.next_id, &info.elem) {
                    None => {
                        let text = format!(
                            "expected at most {DEPTH_MAX} directories one inside the other and \
                             a path of at most {PATH_MAX} bytes, found more"
                        );
                        lost(above, info, text.into())
                    }
                    Some(folder) => {
                        self.next_id += 1;
                        let dir = Dir { entry, meta };
                        return self.enter(
                            Found::Directory {
                                above,
                                folder,
                                info,
                                dir,
                            },
                            steps,
                        );
                    }
                },
            },
        };
        steps.push(Step::Found(Box::new(found)));
    }

    /// Adds a directory, and what is in it after it.
    fn enter(&self, found: Found, steps: &mut Vec<Step>) {
        let inside = match &found {
            Found::Directory { folder, dir, .. } if self.enters => Some((Rc::clone(folder), *dir)),
            _ => None,
        };
        steps.push(Step::Found(Box::new(found)));
        if let Some((folder, dir)) = inside {
            let end = Found::End(Rc::clone(&folder));
            steps.push(Step::Piece(Piece {
                folder,
                dir,
                from: 0,
                end: 0,
            }));
            steps.push(Step::Found(Box::new(end)));
        }
    }
}

/// The names of a metadata block, or why some cannot be read.
type Names = Vec<Result<DirEntry, String>>;

/// Reads the metadata of pieces.
struct NameReader<'p> {
    pieces: &'p [Piece],
    next: usize,
    /// For each piece: for each block that is not empty its number, and what is in it.
    found: Vec<Vec<(u64, Names)>>,
}

impl<'p> NameReader<'p> {
    fn of(pieces: &'p [Piece]) -> Self {
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
        self.add(id, first, vec![Err(format!("{which}: {cause}"))]);
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
enum FoundEntry {
    Is(Entry),
    Lost(Rc<str>),
}

/// Reads the entries that names lead to.
struct EntryReader<'p> {
    pieces: &'p [Piece],
    next: usize,
    /// For each piece: the entries, by their numbers.
    wanted: Vec<BTreeMap<u32, FoundEntry>>,
}

impl<'p> EntryReader<'p> {
    fn of(pieces: &'p [Piece], found: &[Vec<(u64, Names)>]) -> Self {
        let wanted = found.iter().map(|blocks| {
            let names = blocks.iter().flat_map(|(_, names)| names).flatten();
            let numbers = names.flat_map(|info| {
                let is_directory = info.mode & DirEntry::DIRECTORY != 0;
                let meta = is_directory.then_some(info.meta_entry);
                [Some(info.entry), meta].into_iter().flatten()
            });
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

/// What a path leads to.
#[derive(Debug)]
pub enum Located {
    /// The root directory.
    Root,
    /// A directory, a file, or a name that nothing is found of.
    Found(Box<Found>),
    /// No such name.
    Nothing {
        /// The path of what was searched.
        within: Vec<u8>,
        /// Names of it that could not be read: the path may be among them.
        lost: Vec<String>,
    },
}

/// Finds a path below the root directory. Empty names and `.` in it are passed over.
///
/// # Errors
/// [`ContentsError`].
pub fn locate(client: &mut Client, root: Dir, path: &[u8]) -> Result<Located, ContentsError> {
    let names = path.split(|&byte| byte == b'/');
    let mut names = names
        .filter(|name| !name.is_empty() && name != b".")
        .peekable();
    let (mut folder, mut dir) = (Folder::root(), root);
    while let Some(name) = names.next() {
        let mut contents = Contents::flat(&folder, dir);
        let mut lost = Vec::new();
        let found = loop {
            match contents.next(client)? {
                None => {
                    let within = folder.path();
                    return Ok(Located::Nothing { within, lost });
                }
                Some(Found::LostNames { cause, .. }) => lost.push(cause),
                Some(found) if found.name() == Some(name) => break found,
                Some(_) => {}
            }
        };
        let Some(_) = names.peek() else {
            return Ok(Located::Found(Box::new(found)));
        };
        match found {
            Found::Directory {
                folder: below,
                dir: streams,
                ..
            } => (folder, dir) = (below, streams),
            lost @ Found::Lost { .. } => return Ok(Located::Found(Box::new(lost))),
            _ => {
                let within = folder.path_of(name);
                return Ok(Located::Nothing { within, lost });
            }
        }
    }
    Ok(Located::Root)
}

impl Found {
    /// Its name, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Directory { info, .. }
            | Self::File { info, .. }
            | Self::Unused { info, .. }
            | Self::Lost { info, .. } => Some(&info.elem),
            Self::LostNames { .. } | Self::End(_) => None,
        }
    }
}
