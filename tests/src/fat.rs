//! A FAT file system, read in the plainest way: what the stories hold 9fats
//! against. It shares nothing with what writes them.

use std::collections::BTreeSet;
use std::ops::Range;

/// The bytes of a file system.
#[derive(Clone, Debug)]
pub struct Fat<'a> {
    bytes: &'a [u8],
    /// 12, 16 or 32.
    bits: usize,
    tables: Range<usize>,
    root: Range<usize>,
    data: usize,
    cluster: usize,
    clusters: usize,
}

/// An entry of the root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its 32 bytes are.
    pub at: usize,
    /// Name and extension, padded with blanks.
    pub name: String,
    /// Its contents.
    pub contents: Vec<u8>,
    clusters: Vec<usize>,
}

impl<'a> Fat<'a> {
    /// Looks where everything is.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let word = |at: usize| usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8;
        let long = |at: usize| word(at) | word(at + 2) << 16;
        let or = |short: usize, long: usize| if short == 0 { long } else { short };
        let sector = word(11);
        let total = or(word(19), long(32));
        let table = or(word(22), long(36)) * sector;
        let tables = word(14) * sector..word(14) * sector + usize::from(bytes[16]) * table;
        let root = tables.end..tables.end + word(17) * 32;
        let cluster = usize::from(bytes[13]) * sector;
        let clusters = (total * sector - root.end) / cluster;
        Fat {
            bytes,
            bits: match clusters {
                0..4085 => 12,
                4085..65525 => 16,
                _ => 32,
            },
            data: root.end,
            tables,
            root,
            cluster,
            clusters,
        }
    }

    /// The number of bits of an entry of its table.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    fn next(&self, cluster: usize) -> usize {
        let bit = cluster * self.bits;
        let at = self.tables.start + bit / 8;
        let word = (0..4)
            .rev()
            .fold(0, |word, n| word << 8 | usize::from(self.bytes[at + n]));
        match self.bits {
            12 => word >> (bit % 8) & 0xfff,
            16 => word & 0xffff,
            _ => word & 0x0fff_ffff,
        }
    }

    fn place(&self, cluster: usize) -> Range<usize> {
        let start = self.data + (cluster - 2) * self.cluster;
        start..start + self.cluster
    }

    fn chain(&self, first: usize) -> Vec<usize> {
        let mut chain = Vec::new();
        let mut at = first;
        while (2..self.clusters + 2).contains(&at) {
            chain.push(at);
            assert!(chain.len() <= self.clusters, "a circle");
            at = self.next(at);
        }
        chain
    }

    /// Where the root directory is.
    fn root(&self) -> Vec<Range<usize>> {
        match self.bits {
            32 => self.chain(2).into_iter().map(|n| self.place(n)).collect(),
            _ => vec![self.root.clone()],
        }
    }

    /// The files and directories of the root, in order.
    ///
    /// # Panics
    ///
    /// When it is damaged.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let slots = self.root().into_iter().flat_map(|range| range.step_by(32));
        let slots = slots.take_while(|&at| self.bytes[at] != 0);
        let used = slots.filter(|&at| self.bytes[at] != 0xe5 && self.bytes[at + 11] & 8 == 0);
        used.map(|at| self.entry(at)).collect()
    }

    fn entry(&self, at: usize) -> Entry {
        let slot = &self.bytes[at..at + 32];
        let first =
            usize::from(slot[26]) | usize::from(slot[27]) << 8 | usize::from(slot[20]) << 16;
        let clusters = self.chain(first);
        let mut contents = Vec::new();
        for &n in &clusters {
            contents.extend_from_slice(&self.bytes[self.place(n)]);
        }
        if slot[11] & 0x10 == 0 {
            let size = u32::from_le_bytes(slot[28..].try_into().expect("four bytes"));
            contents.truncate(usize::try_from(size).expect("a small file"));
        }
        Entry {
            at,
            name: String::from_utf8_lossy(&slot[..11]).into_owned(),
            contents,
            clusters,
        }
    }

    /// The file of this name, such as `WRCMD`.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let mut entries = self.entries().into_iter();
        let entry = entries.find(|entry| entry.name.trim_end() == name)?;
        Some(entry.contents)
    }

    /// Where the contents of a file begin.
    ///
    /// # Panics
    ///
    /// When there is none of this name.
    #[must_use]
    pub fn start_of(&self, name: &str) -> usize {
        let mut entries = self.entries().into_iter();
        let entry = entries.find(|entry| entry.name.trim_end() == name);
        self.place(entry.expect("a file of this name").clusters[0])
            .start
    }

    /// Marks every free cluster as bad in a copy of it, which must be FAT12 or FAT16.
    pub fn fill_free(&self, copy: &mut [u8]) {
        let half = self.tables.len() / 2;
        for n in (2..self.clusters + 2).filter(|&n| self.next(n) == 0) {
            for start in [self.tables.start, self.tables.start + half] {
                let at = start + n * self.bits / 8;
                match (self.bits, n % 2) {
                    (12, 0) => (copy[at], copy[at + 1]) = (0xf7, copy[at + 1] | 0x0f),
                    (12, _) => (copy[at], copy[at + 1]) = (copy[at] | 0x70, 0xff),
                    _ => (copy[at], copy[at + 1]) = (0xf7, 0xff),
                }
            }
        }
    }

    /// Checks that `new` differs from this file system in nothing but files of
    /// these names: not in another entry, nor in a cluster that was in use.
    ///
    /// # Panics
    ///
    /// When it does.
    #[track_caller]
    pub fn assert_only(&self, new: &[u8], names: &[&str]) {
        let after = Fat::new(new);
        let ours = |entry: &&Entry| names.contains(&entry.name.trim_end());
        let (before_all, after_all) = (self.entries(), after.entries());
        let others = |all: &[Entry]| -> Vec<Entry> {
            all.iter().filter(|entry| !ours(entry)).cloned().collect()
        };
        assert_eq!(others(&before_all), others(&after_all));
        let own: BTreeSet<usize> = before_all
            .iter()
            .filter(ours)
            .flat_map(|e| e.clusters.clone())
            .collect();
        let slots: BTreeSet<usize> = before_all
            .iter()
            .chain(&after_all)
            .filter(ours)
            .map(|e| e.at)
            .collect();
        let root = self.root();
        for (at, (old, new)) in self.bytes.iter().zip(new).enumerate() {
            if old == new || slots.contains(&(at / 32 * 32)) {
                continue;
            }
            let cluster = at.checked_sub(self.data).map(|at| at / self.cluster + 2);
            let allowed = if self.tables.contains(&at) {
                true
            } else if let Some(n) = cluster.filter(|_| !root.iter().any(|r| r.contains(&at))) {
                self.next(n) == 0 || own.contains(&n)
            } else {
                // The count of free clusters.
                self.bits == 32 && (512 + 488..512 + 496).contains(&at)
            };
            assert!(allowed, "byte {at} changed from {old:#x} to {new:#x}");
        }
        // Clusters of others are theirs still.
        for n in 2..self.clusters + 2 {
            let (old, new) = (self.next(n), after.next(n));
            assert!(old == new || old == 0 || own.contains(&n), "cluster {n}");
        }
        let half = self.tables.len() / 2;
        let tables = &new[self.tables.clone()];
        assert!(tables[..half] == tables[half..], "the tables differ");
    }
}
