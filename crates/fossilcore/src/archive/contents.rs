//! What is in an archive, name by name: each directory before what is in it.
//!
//! A directory is read in pieces, and the pieces that come next are read together, so
//! that neither a wide tree nor a line with a long way costs a round trip for each. What is
//! held is bounded: where much is, pieces are read one by one.

mod pieces;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Dir;
use crate::disk::DirEntry;
use pieces::{DirPiece, EntryReader, FoundEntry, NameReader, NamelessReader, Names};
use venticore::codec::tree::Entry;
use venticore::net::client::ClientError;
use venticore::net::tree::{Blocks, read_streams};

/// Pieces that are read together.
const PIECES: usize = 64;

/// Metadata blocks in a piece.
const PIECE: u64 = 64;

/// Metadata blocks that are read together, unless one piece has more.
const TOGETHER: u64 = 256;

/// Steps that are searched for pieces to be read.
const SEARCHED: usize = 4096;

/// From here on pieces are read one by one, and are one metadata block.
const HELD_MAX: usize = 1 << 15;

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
pub enum ArchiveItem {
    /// A directory; what is in it follows, up to its [`ArchiveItem::End`].
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

enum Step {
    Item(Box<ArchiveItem>),
    Piece(DirPiece),
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
    most: u64,
    enters: bool,
}

impl Contents {
    /// The most names that are told.
    pub const MOST: u64 = 1 << 28;

    /// What is in a directory and all below it.
    #[must_use]
    pub fn of(folder: Rc<Folder>, dir: Dir) -> Self {
        let next_id = folder.id + 1;
        Contents {
            steps: vec![Step::Piece(DirPiece::first(folder, dir))],
            held: 0,
            next_id,
            told: 0,
            most: Self::MOST,
            enters: true,
        }
    }

    /// What was found by its path, and all that is in it.
    #[must_use]
    pub fn starting_at(found: ArchiveItem) -> Self {
        let next_id = match &found {
            ArchiveItem::Directory { folder, .. } => folder.id + 1,
            _ => 1,
        };
        let mut contents = Contents {
            steps: Vec::new(),
            held: 0,
            next_id,
            told: 0,
            most: Self::MOST,
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
    pub fn at_hand(&mut self) -> Option<ArchiveItem> {
        loop {
            match self.steps.pop()? {
                Step::Item(found) => {
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

    /// The next one; `None` at the end, or where there were more names than anybody could
    /// want.
    ///
    /// # Errors
    /// The venti was lost. What is wrong with single blocks is told as an item.
    pub fn next(&mut self, blocks: &mut dyn Blocks) -> Result<Option<ArchiveItem>, ClientError> {
        loop {
            if let Some(found) = self.at_hand() {
                self.told += 1;
                if self.told > self.most {
                    return Ok(Some(self.give_up()));
                }
                return Ok(Some(found));
            }
            if self.steps.is_empty() {
                return Ok(None);
            }
            self.read(blocks)?;
        }
    }

    /// Ends here.
    fn give_up(&mut self) -> ArchiveItem {
        self.steps.clear();
        ArchiveItem::LostNames {
            folder: Folder::root(),
            cause: format!(
                "expected at most {} names, found more: give a path",
                self.most
            ),
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
    fn read(&mut self, blocks: &mut dyn Blocks) -> Result<(), ClientError> {
        let taken = self.take_pieces();
        let (places, mut pieces): (Vec<usize>, Vec<DirPiece>) = taken.into_iter().unzip();
        let mut names = NameReader::of(&pieces);
        read_streams(blocks, &mut names)?;
        let names = names.found;
        let mut entries = EntryReader::of(&pieces, &names);
        read_streams(blocks, &mut entries)?;
        let entries = entries.wanted;
        for (piece, names) in pieces.iter_mut().zip(&names) {
            piece.note(names);
        }
        let mut nameless = NamelessReader::of(&pieces);
        read_streams(blocks, &mut nameless)?;
        let nameless: Vec<Option<String>> = nameless.told().collect();
        let found = names.into_iter().zip(entries).zip(nameless);
        for ((place, piece), ((names, entries), nameless)) in
            places.into_iter().zip(pieces).zip(found)
        {
            let mut steps = self.steps_of(piece, names, &entries, nameless);
            steps.reverse();
            self.held += steps.len();
            if let Some(step) = self.steps.get_mut(place) {
                *step = Step::Read(steps);
            }
        }
        Ok(())
    }

    /// The pieces that are read together, each with its place among the steps.
    fn take_pieces(&mut self) -> Vec<(usize, DirPiece)> {
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
        mut piece: DirPiece,
        names: Vec<(u64, Names)>,
        entries: &BTreeMap<u32, FoundEntry>,
        nameless: Option<String>,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let lost = |cause| {
            let folder = Rc::clone(&piece.folder);
            Step::Item(Box::new(ArchiveItem::LostNames { folder, cause }))
        };
        for name in names.into_iter().flat_map(|(_, names)| names) {
            match name {
                Ok(info) => self.add(&piece.folder, info, entries, &mut steps),
                Err(cause) => steps.push(lost(cause)),
            }
        }
        steps.extend(nameless.map(lost));
        if piece.has_more() {
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
        let lost = |above, info, cause| ArchiveItem::Lost { above, info, cause };
        let of = |number| match entries.get(&number) {
            Some(FoundEntry::Is(entry)) => Ok(*entry),
            Some(FoundEntry::Lost(cause)) => Err(Rc::clone(cause)),
            None => Ok(Entry::parse(&[])),
        };
        let is_directory = info.mode & DirEntry::DIRECTORY != 0;
        let found = match of(info.entry) {
            Err(cause) => lost(above, info, cause),
            Ok(entry) if !entry.active => ArchiveItem::Unused { above, info },
            Ok(entry) if entry.directory != is_directory => {
                let text = match is_directory {
                    true => "expected the entry of a directory, found one of a file",
                    false => "expected the entry of a file, found one of a directory",
                };
                lost(above, info, text.into())
            }
            Ok(entry) if !is_directory => ArchiveItem::File { above, info, entry },
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
                            ArchiveItem::Directory {
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
        steps.push(Step::Item(Box::new(found)));
    }

    /// Adds a directory, and what is in it after it.
    fn enter(&self, found: ArchiveItem, steps: &mut Vec<Step>) {
        let inside = match &found {
            ArchiveItem::Directory { folder, dir, .. } if self.enters => {
                Some((Rc::clone(folder), *dir))
            }
            _ => None,
        };
        steps.push(Step::Item(Box::new(found)));
        if let Some((folder, dir)) = inside {
            let end = ArchiveItem::End(Rc::clone(&folder));
            steps.push(Step::Piece(DirPiece::first(folder, dir)));
            steps.push(Step::Item(Box::new(end)));
        }
    }
}

/// What a path leads to.
#[derive(Debug)]
pub enum Located {
    /// The root directory.
    Root,
    /// A directory, a file, or a name that nothing is found of.
    Item(Box<ArchiveItem>),
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
/// The venti was lost.
pub fn locate(blocks: &mut dyn Blocks, root: Dir, path: &[u8]) -> Result<Located, ClientError> {
    let names = path.split(|&byte| byte == b'/');
    let mut names = names
        .filter(|name| !name.is_empty() && name != b".")
        .peekable();
    let (mut folder, mut dir) = (Folder::root(), root);
    while let Some(name) = names.next() {
        let mut contents = Contents::flat(&folder, dir);
        let mut lost = Vec::new();
        let found = loop {
            match contents.next(blocks)? {
                None => {
                    let within = folder.path();
                    return Ok(Located::Nothing { within, lost });
                }
                Some(ArchiveItem::LostNames { cause, .. }) => lost.push(cause),
                Some(found) if found.name() == Some(name) => break found,
                Some(_) => {}
            }
        };
        let Some(_) = names.peek() else {
            return Ok(Located::Item(Box::new(found)));
        };
        match found {
            ArchiveItem::Directory {
                folder: below,
                dir: streams,
                ..
            } => (folder, dir) = (below, streams),
            lost @ ArchiveItem::Lost { .. } => return Ok(Located::Item(Box::new(lost))),
            _ => {
                let within = folder.path_of(name);
                return Ok(Located::Nothing { within, lost });
            }
        }
    }
    Ok(Located::Root)
}

impl ArchiveItem {
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
