//! Hash trees drawn at random, put into a loopback venti block by block: any depth, holes,
//! shared subtrees, cut blocks, all block sizes. It knows nothing of the readers in
//! venticore and fossilcore.

use std::collections::BTreeSet;

use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;

use crate::random::Random;
use crate::venti::Venti;

/// Bytes of an entry.
const ENTRY: usize = 40;

/// Sizes of blocks, as an entry stores them, in bytes, and whether they are in the
/// encoding of large ones.
const SIZES: [(u16, usize, bool); 6] = [
    (256, 256, false),
    (300, 300, false),
    (8192, 8192, false),
    (57_344, 57_344, false),
    (4 << 5 | 7, 512, true),
    (0x8007, 131_072, true),
];

/// A tree that was drawn.
#[derive(Debug)]
pub struct HashTree {
    /// Its root.
    pub score: Score,
    /// Every block that the root leads to, itself among them.
    pub blocks: BTreeSet<(BlockType, Score)>,
}

/// Draws a tree.
struct Builder<'v> {
    venti: &'v Venti,
    random: Random,
    blocks: BTreeSet<(BlockType, Score)>,
    /// Entries that were used, to be used again.
    entries: Vec<Vec<u8>>,
}

impl HashTree {
    /// A tree of a root of any kind.
    #[must_use]
    pub fn draw(venti: &Venti, seed: u64) -> Self {
        let mut builder = Builder {
            venti,
            random: Random::new(seed),
            blocks: BTreeSet::new(),
            entries: Vec::new(),
        };
        let kinds: [(&[u8], &[u8]); 4] = [
            (b"", b"vac"),
            (b"fossil", b"vac"),
            (b"", b"ext2"),
            (b"x", b""),
        ];
        let (name, kind) = kinds[builder.random.below(kinds.len())];
        let count = 1 + builder.random.below(4);
        let entries: Vec<Vec<u8>> = (0..count).map(|_| builder.entry(4)).collect();
        let top = builder.put(BlockType::Dir, &entries.concat());
        let mut root = vec![0, 2];
        for text in [name, kind] {
            let end = root.len() + 128;
            root.extend(text);
            root.resize(end, 0);
        }
        root.extend(top.as_bytes());
        root.extend(8192_u16.to_be_bytes());
        root.extend([0; 20]);
        let score = builder.venti.insert(BlockType::Root, &root);
        builder.blocks.insert((BlockType::Root, score));
        HashTree {
            score,
            blocks: builder.blocks,
        }
    }
}

impl Builder<'_> {
    /// Stores a block without what is cut off its end.
    fn put(&mut self, ty: BlockType, block: &[u8]) -> Score {
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
        if end == 0 {
            return Score::ZERO;
        }
        let score = self.venti.insert(ty, &block[..end]);
        self.blocks.insert((ty, score));
        score
    }

    /// An entry, with all that lies below it.
    fn entry(&mut self, nest: usize) -> Vec<u8> {
        let again = self.random.below(self.entries.len() + 1);
        let entry = match self.random.below(10) {
            // A slot that is not in use, whatever stands in it.
            0 => {
                let mut slot = self.random.bytes(ENTRY);
                slot[8] &= !1;
                return slot;
            }
            1..3 if again < self.entries.len() => return self.entries[again].clone(),
            3..6 if nest > 0 => self.directory(nest - 1),
            _ => self.file(),
        };
        self.entries.push(entry.clone());
        entry
    }

    fn file(&mut self) -> Vec<u8> {
        let (stored, size, big) = SIZES[self.random.below(SIZES.len())];
        // A venti takes 56 KiB.
        let most = size.min(57_344);
        let count = self.random.below(if size > 8192 { 3 } else { 40 });
        let leaves: Vec<Score> = (0..count)
            .map(|_| {
                let len = self.random.below(most.min(600) + 1);
                let mut leaf = self.random.bytes(len);
                if self.random.below(3) == 0 {
                    leaf.fill(0);
                }
                leaf.resize(most, 0);
                self.put(BlockType::Data, &leaf)
            })
            .collect();
        self.stream(false, leaves, (stored, size, big))
    }

    fn directory(&mut self, nest: usize) -> Vec<u8> {
        let (stored, size, big) = SIZES[self.random.below(4)];
        let count = self.random.below(9);
        let entries: Vec<Vec<u8>> = (0..count).map(|_| self.entry(nest)).collect();
        let blocks: Vec<Vec<u8>> = entries.chunks(size / ENTRY).map(<[_]>::concat).collect();
        let leaves = blocks.iter().map(|block| self.put(BlockType::Dir, block));
        let leaves = leaves.collect();
        self.stream(true, leaves, (stored, size, big))
    }

    /// The pointer blocks above some leaves, a level or two more than are needed at times.
    fn stream(&mut self, directory: bool, leaves: Vec<Score>, leaf: (u16, usize, bool)) -> Vec<u8> {
        let (stored_dsize, dsize, big) = leaf;
        let pointers: &[(u16, usize, bool)] = &SIZES;
        let fit: Vec<_> = pointers.iter().filter(|size| size.2 == big).collect();
        let &(stored_psize, psize, _) = fit[self.random.below(fit.len())];
        let size = leaves.len() * dsize;
        let levels = self.random.below(3);
        let (mut level, mut depth) = (leaves, 0);
        while level.len() > 1 || depth < levels {
            depth += 1;
            let blocks: Vec<Vec<u8>> = level
                .chunks(psize.min(57_344) / 20)
                .map(|scores| scores.iter().flat_map(|s| *s.as_bytes()).collect())
                .collect();
            let ty = BlockType::Pointer(u8::try_from(depth).expect("few levels"));
            level = blocks.iter().map(|block| self.put(ty, block)).collect();
            if level.is_empty() {
                break;
            }
        }
        let top = level.first().copied().unwrap_or(Score::ZERO);
        let local = if self.random.below(2) == 0 { 0x20 } else { 0 };
        let flags = 1 | u8::from(directory) << 1 | local | if big { 0x40 } else { 0 };
        let mut entry = vec![0; 4];
        entry.extend(stored_psize.to_be_bytes());
        entry.extend(stored_dsize.to_be_bytes());
        entry.push(flags | u8::try_from(depth).expect("few levels") << 2);
        entry.extend([0; 5]);
        entry.extend(&(size as u64).to_be_bytes()[2..]);
        entry.extend(top.as_bytes());
        entry
    }
}
