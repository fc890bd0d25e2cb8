//! What a format writes, and where (fossil.md 3.2). No I/O.

use venticore::codec::score::Score;
use venticore::codec::tree::Entry;
use venticore::host::random;

use super::Piece;
use crate::archive::Archive;
use crate::disk::{FormatError, Header, Label, Local, NIL, SuperBlock};

/// The tag of the block with the root sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(u32);

impl Tag {
    /// Tags below it are reserved.
    const MIN: u32 = 32;
    /// The highest one.
    const MAX: u32 = 0x7fff_ffff;

    /// A tag that nobody can foresee. The C tool's is always the same; a new
    /// one each time tells the formats of a partition apart.
    #[must_use]
    pub fn random() -> Self {
        let range = u64::from(Self::MAX - Self::MIN) + 1;
        let tag = u32::try_from(random::below(range)).unwrap_or(0);
        Tag(tag.saturating_add(Self::MIN))
    }

    /// This tag; `None` for one that is reserved or too high.
    #[must_use]
    pub fn new(tag: u32) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&tag).then_some(Tag(tag))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// All that a format writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Where everything is.
    pub header: Header,
    /// The root sources, as the venti has them.
    sources: Vec<u8>,
    /// The next qid.
    qid: u64,
    /// The tag of the block with the sources.
    pub tag: Tag,
    /// The name of the file system: at most 127 bytes count.
    label: Vec<u8>,
}

/// A range of the partition, and what it will hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// What it is: `labels`, `data`, `super`, `header`.
    pub name: &'static str,
    /// Where it begins, bytes from the start of the partition.
    pub start: u64,
    /// Its bytes.
    pub len: u64,
    /// What it begins with; zeros follow.
    pub content: Vec<u8>,
}

impl Area {
    /// What `len` bytes from `at` will be, counted from the start of the partition.
    #[must_use]
    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        self.piece(at, len).into_bytes()
    }

    /// The same, zeros as such.
    pub(super) fn piece(&self, at: u64, len: usize) -> Piece {
        let skip = usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let from = self.content.get(skip..).unwrap_or_default();
        if from.is_empty() {
            return Piece::Zeros(len);
        }
        let mut bytes: Vec<u8> = from.iter().copied().take(len).collect();
        bytes.resize(len, 0);
        Piece::Bytes(bytes)
    }

    /// Whether a byte is in it.
    #[must_use]
    pub fn contains(&self, at: u64) -> bool {
        (self.start..self.start.saturating_add(self.len)).contains(&at)
    }
}

impl Format {
    /// The format of a partition of `len` bytes. Without a block size it is
    /// the archive's own.
    ///
    /// # Errors
    /// What cannot be: the block size, or the length of the partition.
    pub fn of(
        archive: &Archive,
        len: u64,
        block_size: Option<u64>,
        tag: Tag,
        label: &[u8],
    ) -> Result<Self, FormatError> {
        let least = archive.block_size();
        let found = block_size.unwrap_or(least);
        // A size that cannot be at all is told as that.
        let header = Header::layout(len, found)?;
        if found < least {
            let expected = format!("at least {least}, as in the archive");
            let found = format!("{found}: a fossil could not open it");
            return Err(FormatError::whole("block size", expected, found));
        }
        let label = label.iter().copied().take_while(|&byte| byte != 0);
        Ok(Format {
            header,
            sources: archive.block.clone(),
            qid: archive.qid,
            tag,
            label: label.collect(),
        })
    }

    /// What is written, in the order of the writes.
    #[must_use]
    pub fn areas(&self) -> [Area; 4] {
        let size = u64::from(self.header.block_size);
        let area = |name, start, len, content| Area {
            name,
            start,
            len,
            content,
        };
        let data = u64::from(self.header.data) * size;
        let labels = u64::from(self.header.label) * size;
        let superblock = self.superblock().to_bytes();
        [
            area("labels", labels, data.saturating_sub(labels), self.labels()),
            area("data", data, 2 * size, self.data()),
            area("super", self.header.superblock_at(), size, superblock),
            area(
                "header",
                Header::AT,
                Header::LEN as u64,
                self.header.to_bytes(),
            ),
        ]
    }

    /// The labels of the two blocks in use; the rest are zeros.
    fn labels(&self) -> Vec<u8> {
        let label = |tag| Label {
            state: Label::ALLOCATED,
            kind: Label::DIRECTORY,
            epoch: 1,
            epoch_close: NIL,
            tag,
        };
        [label(self.tag.0), label(Label::ROOT_TAG)]
            .map(|label| label.to_bytes())
            .concat()
    }

    /// The two blocks: the root sources, and the root block that leads to
    /// them.
    fn data(&self) -> Vec<u8> {
        let size = self.header.block_size;
        let entry_len = u16::try_from(Entry::LEN).unwrap_or(u16::MAX);
        let entry = Entry {
            generation: 0,
            stored_psize: size / entry_len * entry_len,
            stored_dsize: size,
            active: true,
            directory: true,
            depth: 0,
            local: true,
            big: false,
            no_archive: false,
            size: 3 * u64::from(entry_len),
            score: Local {
                archive: 0,
                snap: 0,
                tag: self.tag.0,
                address: 0,
            }
            .to_score(),
        };
        let mut blocks = self.sources.clone();
        blocks.resize(size.into(), 0);
        blocks.extend(entry.to_bytes());
        blocks
    }

    /// The super block.
    #[must_use]
    pub fn superblock(&self) -> SuperBlock {
        SuperBlock {
            epoch_low: 1,
            epoch_high: 1,
            qid: self.qid,
            active: 1,
            next: None,
            current: None,
            last: Score::ZERO,
            name: self.label.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_in_its_range_and_another_each_time() {
        let tags: Vec<u32> = (0..50).map(|_| Tag::random().number()).collect();
        assert!(tags.iter().all(|tag| (32..=0x7fff_ffff).contains(tag)));
        assert!(tags.iter().any(|tag| *tag != tags[0]));
        for (tag, good) in [
            (0, false),
            (31, false),
            (32, true),
            (0x7fff_ffff, true),
            (1 << 31, false),
        ] {
            assert_eq!(Tag::new(tag).is_some(), good, "{tag}");
        }
    }
}
