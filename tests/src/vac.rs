//! Archives as vac and fossil write them, put into a loopback venti block by block. It
//! knows nothing of the readers in venticore and fossilcore.

use std::collections::BTreeMap;

use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

use crate::venti::Venti;

/// Mode bits of vac.
pub mod mode {
    /// A directory.
    pub const DIRECTORY: u32 = 1 << 15;
    /// A symbolic link.
    pub const LINK: u32 = 1 << 14;
    /// A device.
    pub const DEVICE: u32 = 1 << 21;
    /// A named pipe.
    pub const PIPE: u32 = 1 << 22;
}

/// A file or directory to be archived.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name.
    pub name: Vec<u8>,
    /// Permissions, and bits of [`mode`].
    pub mode: u32,
    /// Unix time of its last change.
    pub mtime: u32,
    /// What is in it.
    pub content: Content,
}

/// What is in an item.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes, each stretch at its offset, zeros between them.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    /// Files and directories.
    Directory(Vec<Item>),
}

impl Item {
    /// A file.
    #[must_use]
    pub fn file(name: &str, data: &[u8]) -> Self {
        let content = Content::Sparse(data.len() as u64, vec![(0, data.to_vec())]);
        Self::of(name.as_bytes(), 0o644, content)
    }

    /// A directory.
    #[must_use]
    pub fn directory(name: &str, items: Vec<Item>) -> Self {
        Self::of(name.as_bytes(), 0o755, Content::Directory(items))
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(name: &str, target: &[u8]) -> Self {
        let mut link = Self::file(name, target);
        link.mode = 0o777 | mode::LINK;
        link
    }

    /// Anything.
    #[must_use]
    pub fn of(name: &[u8], mode: u32, content: Content) -> Self {
        Item {
            name: name.to_vec(),
            mode,
            mtime: 1_234_567_890,
            content,
        }
    }
}

/// How an archive is written.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bytes of a data block.
    pub dsize: u16,
    /// Bytes of a pointer block.
    pub psize: u16,
    /// With the extra layer of a fossil.
    pub fossil: bool,
    /// Of directory entries: 7, 8 or 9.
    pub version: u16,
    /// The magic of metadata blocks is the old one.
    pub old_magic: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            dsize: 512,
            psize: 500,
            fossil: false,
            version: 8,
            old_magic: true,
        }
    }
}

/// A stream that was written.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its entry of 40 bytes.
    pub entry: Vec<u8>,
    /// Its blocks, the top one last.
    pub blocks: Vec<(BlockType, Score)>,
}

/// An archive that was written.
#[derive(Debug)]
pub struct Archive {
    /// Its root.
    pub score: Score,
    /// The stream of each file and directory, by its path.
    pub streams: BTreeMap<Vec<u8>, Stream>,
    /// The metadata of each directory, by its path.
    pub metadata: BTreeMap<Vec<u8>, Stream>,
}

/// Writes archives to a venti.
pub struct Writer<'v> {
    venti: &'v Venti,
    shape: Shape,
    streams: BTreeMap<Vec<u8>, Stream>,
    metadata: BTreeMap<Vec<u8>, Stream>,
}

impl<'v> Writer<'v> {
    /// A writer of archives of this shape.
    #[must_use]
    pub fn new(venti: &'v Venti, shape: Shape) -> Self {
        Writer {
            venti,
            shape,
            streams: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// An archive whose root directory holds these.
    #[must_use]
    pub fn archive(mut self, items: &[Item]) -> Archive {
        let (dir, meta) = self.directory(b"", items);
        let root = Item::of(
            b"/",
            0o755 | mode::DIRECTORY,
            Content::Directory(Vec::new()),
        );
        let own = self.metadata_of(&[(entry_of(&root, 0, 0, self.shape.version), root.name)]);
        let sources = [dir.entry, meta.entry, own.entry].concat();
        let score = self.root(&sources);
        Archive {
            score,
            streams: self.streams,
            metadata: self.metadata,
        }
    }

    /// A root above three root sources.
    #[must_use]
    pub fn root(&self, sources: &[u8]) -> Score {
        let mut top = self.put(BlockType::Dir, sources);
        if self.shape.fossil {
            let layer = self.entry(true, 0, 120, top);
            let empty = [&[0; 8][..], &[3], &[0; 11], Score::ZERO.as_bytes()].concat();
            top = self.put(BlockType::Dir, &[layer, empty].concat());
        }
        let mut root = vec![0, 2];
        let name: &[u8] = if self.shape.fossil { b"fossil" } else { b"" };
        for text in [name, b"vac"] {
            let end = root.len() + 128;
            root.extend(text);
            root.resize(end, 0);
        }
        root.extend(top.as_bytes());
        root.extend(self.shape.dsize.to_be_bytes());
        root.extend([0; 20]);
        self.venti.insert(BlockType::Root, &root)
    }

    /// A directory stream, and its metadata.
    fn directory(&mut self, path: &[u8], items: &[Item]) -> (Stream, Stream) {
        let mut entries = Vec::new();
        let mut names = Vec::new();
        for item in items {
            let number = u32::try_from(entries.len()).expect("few entries");
            let below = [path, if path.is_empty() { b"" } else { b"/" }, &item.name].concat();
            let mut described = item.clone();
            match &item.content {
                Content::Sparse(size, parts) => {
                    let stream = self.sparse(false, *size, parts);
                    entries.push(stream.entry.clone());
                    self.streams.insert(below, stream);
                }
                Content::Directory(items) => {
                    described.mode |= mode::DIRECTORY;
                    let (dir, meta) = self.directory(&below, items);
                    entries.extend([dir.entry, meta.entry]);
                }
            }
            let version = self.shape.version;
            names.push((
                entry_of(&described, number, number + 1, version),
                item.name.clone(),
            ));
        }
        // As many to a block as are whole in it.
        let per_block = usize::from(self.shape.dsize) / 40;
        let mut bytes = Vec::new();
        for block in entries.chunks(per_block) {
            let end = bytes.len() + usize::from(self.shape.dsize);
            bytes.extend(block.concat());
            if block.len() == per_block {
                bytes.resize(end, 0);
            }
        }
        let dir = self.sparse(true, bytes.len() as u64, &[(0, bytes)]);
        let meta = self.metadata_of(&names);
        self.streams.insert(path.to_vec(), dir.clone());
        self.metadata.insert(path.to_vec(), meta.clone());
        (dir, meta)
    }

    /// Metadata blocks with these entries.
    #[must_use]
    pub fn metadata_of(&self, names: &[(Vec<u8>, Vec<u8>)]) -> Stream {
        let size = usize::from(self.shape.dsize);
        let mut blocks: Vec<Vec<&(Vec<u8>, Vec<u8>)>> = Vec::new();
        let mut used = usize::MAX;
        for name in names {
            let len = name.0.len() + 4;
            if used.saturating_add(len) > size {
                blocks.push(Vec::new());
                used = 12;
            }
            used += len;
            blocks.last_mut().expect("one was begun").push(name);
        }
        let mut bytes = Vec::new();
        for mut names in blocks {
            names.sort_by(|a, b| a.1.cmp(&b.1));
            bytes.extend(self.metadata_block(&names, size));
        }
        self.sparse(false, bytes.len() as u64, &[(0, bytes)])
    }

    fn metadata_block(&self, names: &[&(Vec<u8>, Vec<u8>)], size: usize) -> Vec<u8> {
        let count = u16::try_from(names.len()).expect("few names");
        let magic: u32 = if self.shape.old_magic {
            0x5656_fc79
        } else {
            0x5656_fc7a
        };
        let mut at = 12 + 4 * names.len();
        let (mut index, mut body): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
        for (entry, _) in names {
            index.extend(u16::try_from(at).expect("a small block").to_be_bytes());
            index.extend(u16::try_from(entry.len()).expect("short").to_be_bytes());
            body.extend(entry);
            at += entry.len();
        }
        let mut block = magic.to_be_bytes().to_vec();
        for number in [u16::try_from(at).expect("a small block"), 0, count, count] {
            block.extend(number.to_be_bytes());
        }
        block.extend(index);
        block.extend(body);
        assert!(block.len() <= size, "{} of {size}", block.len());
        block.resize(size, 0);
        block
    }

    /// A stream of this size with these stretches in it.
    #[must_use]
    pub fn sparse(&self, directory: bool, size: u64, parts: &[(u64, Vec<u8>)]) -> Stream {
        let dsize = u64::from(self.shape.dsize);
        let mut leaves: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for (offset, data) in parts {
            let mut at = *offset;
            let mut data = data.as_slice();
            while !data.is_empty() {
                let (leaf, from) = (at / dsize, usize::try_from(at % dsize).expect("small"));
                let room = usize::from(self.shape.dsize) - from;
                let (now, rest) = data.split_at(room.min(data.len()));
                let block = leaves.entry(leaf).or_default();
                block.resize(block.len().max(from + now.len()), 0);
                block[from..from + now.len()].copy_from_slice(now);
                at += now.len() as u64;
                data = rest;
            }
        }
        let mut blocks = Vec::new();
        let mut put = |ty, data: &[u8]| {
            let score = self.put(ty, data);
            if score != Score::ZERO {
                blocks.push((ty, score));
            }
            score
        };
        let ty = if directory {
            BlockType::Dir
        } else {
            BlockType::Data
        };
        let scores = leaves.iter().map(|(&number, data)| (number, put(ty, data)));
        let mut level: BTreeMap<u64, Score> = scores.collect();
        let pointers = u64::from(self.shape.psize) / 20;
        let (mut depth, mut covered) = (0, 1);
        while covered < size.div_ceil(dsize) {
            depth += 1;
            covered *= pointers;
            let mut above: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
            for (number, score) in level {
                let block = above.entry(number / pointers).or_default();
                let at = usize::try_from(number % pointers).expect("small");
                while block.len() < 20 * at {
                    block.extend(Score::ZERO.as_bytes());
                }
                block.extend(score.as_bytes());
            }
            let pointer =
                |(number, block): (u64, Vec<u8>)| (number, put(BlockType::Pointer(depth), &block));
            level = above.into_iter().map(pointer).collect();
        }
        let top = level.get(&0).copied().unwrap_or(Score::ZERO);
        Stream {
            entry: self.entry(directory, depth, size, top),
            blocks,
        }
    }

    /// An entry, as vac writes it: with the local flag.
    #[must_use]
    pub fn entry(&self, directory: bool, depth: u8, size: u64, score: Score) -> Vec<u8> {
        let local = if self.shape.fossil { 0 } else { 0x20 };
        let flags = 1 | u8::from(directory) << 1 | depth << 2 | local;
        let mut entry = vec![0; 4];
        entry.extend(self.shape.psize.to_be_bytes());
        entry.extend(self.shape.dsize.to_be_bytes());
        entry.extend([flags, 0, 0, 0, 0, 0]);
        entry.extend(&size.to_be_bytes()[2..]);
        entry.extend(score.as_bytes());
        entry
    }

    /// Stores a block without the zeros, or zero scores, at its end.
    pub fn put(&self, ty: BlockType, block: &[u8]) -> Score {
        let mut end = block.len();
        if matches!(ty, BlockType::Pointer(_)) {
            while end >= 20 && &block[end - 20..end] == Score::ZERO.as_bytes() {
                end -= 20;
            }
        } else {
            while end > 0 && block[end - 1] == 0 {
                end -= 1;
            }
        }
        match end {
            0 => Score::ZERO,
            end => self.venti.insert(ty, &block[..end]),
        }
    }
}

/// The directory entry of an item, whose streams have these numbers.
#[must_use]
pub fn entry_of(item: &Item, number: u32, meta: u32, version: u16) -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &[u8]) {
        bytes.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
        bytes.extend(text);
    }
    let mut bytes = 0x1c4d_9072_u32.to_be_bytes().to_vec();
    bytes.extend(version.to_be_bytes());
    text(&mut bytes, &item.name);
    bytes.extend(number.to_be_bytes());
    if version == 9 {
        for field in [0, meta, 0] {
            bytes.extend(field.to_be_bytes());
        }
    }
    bytes.extend(u64::from(number).to_be_bytes());
    if version == 7 {
        bytes.extend([0; 20]);
    }
    for name in [&b"glenda"[..], b"sys", b"none"] {
        text(&mut bytes, name);
    }
    for field in [item.mtime, 1, item.mtime, item.mtime, item.mode] {
        bytes.extend(field.to_be_bytes());
    }
    bytes
}
