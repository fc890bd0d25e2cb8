//! Meta blocks (fossil.md 1.7): the directory entries of one directory, found
//! by an index that is sorted by name.

use nom::multi::count;
use nom::number::complete::{be_u16, be_u32};
use nom::{IResult, Parser};

use super::{DirEntry, EndsEarly, FormatError};

/// A meta block: where its entries are, and their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaBlock {
    /// 0x5656fc7a; old archives have [`MetaBlock::OLD_MAGIC`].
    pub magic: u32,
    /// Bytes that were ever used, from the start of the block.
    pub used: u16,
    /// How many of them are free again.
    pub free: u16,
    /// How many slots the index has room for.
    pub slots: u16,
    /// The slots in use, sorted by name.
    pub index: Vec<MetaSlot>,
    /// What follows the slots in use, up to the end of the block.
    body: Vec<u8>,
}

/// One slot of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaSlot {
    /// Where the entry is, bytes from the start of the block.
    pub offset: u16,
    /// How many bytes it has.
    pub len: u16,
}

impl MetaSlot {
    /// Bytes of a slot.
    const LEN: usize = 2 + 2;
}

impl MetaBlock {
    /// The first four bytes.
    pub const MAGIC: u32 = 0x5656_fc7a;
    /// The same in old archives of vac(1).
    pub const OLD_MAGIC: u32 = 0x5656_fc79;
    /// Bytes before the index.
    const FIELDS: usize = 4 + 2 + 2 + 2 + 2;
    /// The fewest bytes of an entry.
    const ENTRY_MIN: u16 = 8;

    /// Reads a meta block, and checks the index. The entries themselves are
    /// [`DirEntry::parse`]'s to check.
    ///
    /// # Errors
    /// A wrong magic; sizes that do not fit in the block or in one another;
    /// a slot that leads to no entry.
    pub fn parse(block: &[u8]) -> Result<Self, FormatError> {
        let short = |_: EndsEarly<'_>| FormatError::short("meta block", Self::FIELDS, block.len());
        let (body, (magic, used, free, slots, entries)) = (be_u32, be_u16, be_u16, be_u16, be_u16)
            .parse(block)
            .map_err(short)?;
        if magic != Self::MAGIC && magic != Self::OLD_MAGIC {
            return Err(FormatError::magic("meta block", Self::MAGIC, magic));
        }
        let end = Self::entries_at(slots);
        if end > block.len() || end > usize::from(used) {
            let expected = format!("an index in the {used} bytes used of {}", block.len());
            return Err(bad(8, expected, format!("{slots} slots")));
        }
        if usize::from(used) > block.len() {
            let expected = format!("at most {} bytes used", block.len());
            return Err(bad(4, expected, used.to_string()));
        }
        if entries > slots {
            let expected = format!("at most {slots} entries");
            return Err(bad(10, expected, entries.to_string()));
        }
        let (body, index) = count(slot, usize::from(entries))
            .parse(body)
            .map_err(short)?;
        let meta = MetaBlock {
            magic,
            used,
            free,
            slots,
            index,
            body: body.to_vec(),
        };
        for (number, &slot) in meta.index.iter().enumerate() {
            meta.check(slot, Self::FIELDS + number * MetaSlot::LEN)?;
        }
        Ok(meta)
    }

    fn check(&self, slot: MetaSlot, at: usize) -> Result<(), FormatError> {
        let first = Self::entries_at(self.slots);
        let end = usize::from(slot.offset) + usize::from(slot.len);
        if usize::from(slot.offset) < first || end > usize::from(self.used) {
            let expected = format!("an entry in bytes {first} to {}", self.used);
            let found = format!("{} to {end}", slot.offset);
            return Err(bad(at, expected, found));
        }
        if slot.len < Self::ENTRY_MIN {
            let expected = format!("an entry of at least {} bytes", Self::ENTRY_MIN);
            return Err(bad(at + 2, expected, slot.len.to_string()));
        }
        let magic = DirEntry::MAGIC.to_be_bytes();
        let entry = self.bytes_of(slot);
        if !entry.starts_with(&magic) {
            let expected = format!("an entry with magic {:#010x}", DirEntry::MAGIC);
            let found = entry.iter().take(4).map(|b| format!("{b:02x}"));
            return Err(bad(slot.offset.into(), expected, found.collect::<String>()));
        }
        Ok(())
    }

    /// Where the entries may begin, with an index of `slots` slots.
    fn entries_at(slots: u16) -> usize {
        Self::FIELDS + usize::from(slots) * MetaSlot::LEN
    }

    fn bytes_of(&self, slot: MetaSlot) -> &[u8] {
        let slots = Self::FIELDS + self.index.len() * MetaSlot::LEN;
        let from = usize::from(slot.offset).checked_sub(slots);
        let range = from.map(|from| from..from + usize::from(slot.len));
        range
            .and_then(|range| self.body.get(range))
            .unwrap_or_default()
    }

    /// The entries, in the order of the index.
    ///
    /// # Errors
    /// Each has its own: see [`DirEntry::parse`]. Places are counted from the
    /// start of the block.
    pub fn entries(&self) -> impl Iterator<Item = Result<DirEntry, FormatError>> + '_ {
        self.index.iter().map(|&slot| {
            DirEntry::parse(self.bytes_of(slot)).map_err(|e| e.within(slot.offset.into()))
        })
    }

    /// A block of `len` bytes with an index of `slots`, that holds these
    /// entries.
    ///
    /// # Errors
    /// They do not fit, or one cannot be written.
    pub fn of(entries: &[DirEntry], slots: u16, len: u16) -> Result<Self, FormatError> {
        let most = usize::from(len);
        let full = |at, expected: &str| {
            let found = format!("{} in {slots} slots", entries.len());
            bad(at, format!("{expected} in {most} bytes"), found)
        };
        if entries.len() > usize::from(slots) || Self::entries_at(slots) > most {
            return Err(full(8, "an index that holds all entries"));
        }
        let mut sorted: Vec<&DirEntry> = entries.iter().collect();
        sorted.sort_by(|a, b| a.elem.cmp(&b.elem));
        let mut index = Vec::new();
        let mut body = vec![0; (usize::from(slots) - entries.len()) * MetaSlot::LEN];
        let mut end = Self::entries_at(slots);
        for entry in sorted {
            let bytes = entry.to_bytes()?;
            let (offset, len) = (u16::try_from(end), u16::try_from(bytes.len()));
            end += bytes.len();
            match (offset, len) {
                (Ok(offset), Ok(len)) if end <= most => index.push(MetaSlot { offset, len }),
                _ => return Err(full(4, "all entries")),
            }
            body.extend(bytes);
        }
        let used = u16::try_from(end).map_err(|_| full(4, "all entries"))?;
        body.resize(most - Self::FIELDS - index.len() * MetaSlot::LEN, 0);
        Ok(MetaBlock {
            magic: Self::MAGIC,
            used,
            free: 0,
            slots,
            index,
            body,
        })
    }

    /// The block as bytes, as long as the one that was read or made.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.magic.to_be_bytes());
        bytes.extend(self.used.to_be_bytes());
        bytes.extend(self.free.to_be_bytes());
        bytes.extend(self.slots.to_be_bytes());
        bytes.extend(
            u16::try_from(self.index.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes(),
        );
        for slot in &self.index {
            bytes.extend(slot.offset.to_be_bytes());
            bytes.extend(slot.len.to_be_bytes());
        }
        bytes.extend(&self.body);
        bytes
    }
}

fn slot(input: &[u8]) -> IResult<&[u8], MetaSlot> {
    let (input, (offset, len)) = (be_u16, be_u16).parse(input)?;
    Ok((input, MetaSlot { offset, len }))
}

fn bad(at: usize, expected: impl Into<String>, found: impl std::fmt::Display) -> FormatError {
    FormatError::new("meta block", at, expected, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An index of two slots, one in use, and the entry of a file `x`.
    const BLOCK: [u8; 96] = [
        0x56, 0x56, 0xfc, 0x7a, // magic
        0, 81, 0, 0, 0, 2, 0, 1, // used, free, slots, entries
        0, 20, 0, 61, 0, 0, 0, 0, // index
        0x1c, 0x4d, 0x90, 0x72, 0, 9, 0, 1, b'x', // magic, version, elem
        0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // entry, gen, mentry, mgen
        0, 0, 0, 0, 0, 0, 0, 42, // qid
        0, 1, b'u', 0, 1, b'g', 0, 0, // uid, gid, mid
        0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 1, 0xa4, // times, mode
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn a_block_goes_both_ways() {
        let meta = MetaBlock::parse(&BLOCK).unwrap();
        assert_eq!((meta.used, meta.free, meta.slots), (81, 0, 2));
        assert_eq!(
            meta.index,
            [MetaSlot {
                offset: 20,
                len: 61
            }]
        );
        let entries: Vec<DirEntry> = meta.entries().map(Result::unwrap).collect();
        assert_eq!(
            (entries[0].elem.as_slice(), entries[0].qid),
            (&b"x"[..], 42)
        );
        assert_eq!(meta.to_bytes(), BLOCK);
        assert_eq!(MetaBlock::of(&entries, 2, 96), Ok(meta));
    }

    #[test]
    fn a_block_that_cannot_be_is_refused_with_the_place() {
        for (at, byte, place) in [
            (0, 0, 0),
            (5, 97, 4),
            (5, 19, 8),
            (5, 80, 12),
            (9, 22, 8),
            (11, 3, 10),
            (13, 19, 12),
            (13, 21, 12),
            (15, 7, 14),
            (20, 0, 20),
        ] {
            let mut block = BLOCK;
            block[at] = byte;
            let error = MetaBlock::parse(&block).unwrap_err();
            assert_eq!(error.at, Some(place), "byte {at}: {error}");
        }
        assert!(MetaBlock::parse(&BLOCK[..11]).is_err());
        assert!(MetaBlock::parse(&[]).is_err());
        let mut old = BLOCK;
        old[3] = 0x79;
        assert_eq!(MetaBlock::parse(&old).unwrap().to_bytes(), old);
    }

    #[test]
    fn an_entry_that_cannot_be_is_named_by_its_place_in_the_block() {
        let mut block = BLOCK;
        block[25] = 6;
        let meta = MetaBlock::parse(&block).unwrap();
        let error = meta.entries().next().unwrap().unwrap_err();
        assert_eq!(error.at, Some(24), "{error}");
    }

    fn file(name: &str) -> DirEntry {
        let meta = MetaBlock::parse(&BLOCK).unwrap();
        DirEntry {
            elem: name.into(),
            ..meta.entries().next().unwrap().unwrap()
        }
    }

    #[test]
    fn entries_are_sorted_and_must_fit() {
        let files = ["b", "c", "a"].map(file);
        let len = 12 + 3 * 4 + 3 * 61;
        let meta = MetaBlock::of(&files, 3, len).unwrap();
        let names: Vec<_> = meta.entries().map(|e| e.unwrap().elem).collect();
        assert_eq!(names, [b"a", b"b", b"c"]);
        assert_eq!(MetaBlock::parse(&meta.to_bytes()), Ok(meta));
        assert_eq!(MetaBlock::of(&files, 3, len - 1).unwrap_err().at, Some(4));
        assert_eq!(MetaBlock::of(&files, 2, 8192).unwrap_err().at, Some(8));
        assert_eq!(MetaBlock::of(&[], 81, 100).unwrap_err().at, Some(8));
        assert!(MetaBlock::of(&[], u16::MAX, u16::MAX).is_err());
    }

    proptest! {
        #[test]
        fn any_entries_go_both_ways(names in prop::collection::btree_set("[a-z]{1,9}", 0..20)) {
            let files: Vec<DirEntry> = names.iter().map(|name| file(name)).collect();
            let meta = MetaBlock::of(&files, 20, 4096).unwrap();
            let again = MetaBlock::parse(&meta.to_bytes()).unwrap();
            let found: Result<Vec<DirEntry>, _> = again.entries().collect();
            prop_assert_eq!(found, Ok(files));
            prop_assert_eq!(again, meta);
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            changes in prop::collection::vec((4usize..96, any::<u8>()), 0..6), cut in 12usize..97,
        ) {
            let mut block = BLOCK;
            for (at, byte) in changes {
                block[at] = byte;
            }
            if let Ok(meta) = MetaBlock::parse(&block[..cut]) {
                prop_assert_eq!(meta.to_bytes(), &block[..cut]);
                let _ = meta.entries().count();
            }
        }
    }
}
