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

    /// The bytes of the file system with these contents in a file of this name, in
    /// new clusters; a FAT32 stays with its counts.
    ///
    /// # Panics
    ///
    /// When there is no room.
    #[must_use]
    pub fn with(&self, name: &str, contents: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        let half = self.tables.len() / 2;
        let both = [self.tables.start, self.tables.start + half];
        let old = self
            .entries()
            .into_iter()
            .find(|entry| entry.name.trim_end() == name);
        let own = old.as_ref().map_or(Vec::new(), |old| old.clusters.clone());
        let count = contents.len().div_ceil(self.cluster);
        let free = (2..self.clusters + 2).filter(|&n| self.next(n) == 0 || own.contains(&n));
        let chain: Vec<usize> = free.take(count).collect();
        assert_eq!(chain.len(), count, "no room");
        let mut links: Vec<(usize, usize)> = own.iter().map(|&n| (n, 0)).collect();
        for (place, &n) in chain.iter().enumerate() {
            links.push((n, *chain.get(place + 1).unwrap_or(&0x0fff_ffff)));
        }
        for (table, (n, to)) in both
            .iter()
            .flat_map(|&table| links.iter().map(move |&l| (table, l)))
        {
            self.link(&mut bytes, table, n, to);
        }
        for (&n, part) in chain.iter().zip(contents.chunks(self.cluster)) {
            bytes[self.place(n).start..][..part.len()].copy_from_slice(part);
        }
        let slots = self.root().into_iter().flat_map(|range| range.step_by(32));
        let mut free = slots.filter(|&at| [0, 0xe5].contains(&self.bytes[at]));
        let at = old.map_or_else(|| free.next().expect("no entry"), |old| old.at);
        let slot = &mut bytes[at..at + 32];
        slot[..11].copy_from_slice(format!("{name:<11}").as_bytes());
        slot[11..28].fill(0);
        let first = chain.first().map_or(0, |&n| u32::try_from(n).expect("few"));
        slot[26..28].copy_from_slice(&first.to_le_bytes()[..2]);
        slot[20..22].copy_from_slice(&first.to_le_bytes()[2..]);
        let size = u32::try_from(contents.len()).expect("a small file");
        slot[28..].copy_from_slice(&size.to_le_bytes());
        bytes
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
                self.link(
                    copy,
                    start,
                    n,
                    if self.bits == 16 { 0xfff7 } else { 0x0ff7 },
                );
            }
        }
    }

    /// Has the last cluster of a file lead to the first one of another, in a copy of a FAT12 or
    /// FAT16.
    ///
    /// # Panics
    ///
    /// When one of them is not there.
    pub fn cross(&self, copy: &mut [u8], from: &str, to: &str) {
        let clusters = |name: &str| {
            let mut entries = self.entries().into_iter();
            let entry = entries.find(|entry| entry.name.trim_end() == name);
            entry.expect("a file of this name").clusters
        };
        let from = *clusters(from).last().expect("a cluster");
        let half = self.tables.len() / 2;
        for table in [self.tables.start, self.tables.start + half] {
            self.link(copy, table, from, clusters(to)[0]);
        }
    }

    /// Writes a number to a table that begins at `table` in a copy.
    fn link(&self, copy: &mut [u8], table: usize, n: usize, to: usize) {
        let at = table + n * self.bits / 8;
        let byte = |n: usize| u8::try_from(n & 0xff).expect("a byte");
        match (self.bits, n % 2) {
            (12, 0) => {
                copy[at] = byte(to);
                copy[at + 1] = copy[at + 1] & 0xf0 | byte(to >> 8 & 0x0f);
            }
            (12, _) => {
                copy[at] = copy[at] & 0x0f | byte(to << 4);
                copy[at + 1] = byte(to >> 4);
            }
            (16, _) => copy[at..at + 2].copy_from_slice(&[byte(to), byte(to >> 8)]),
            _ => copy[at..at + 4].copy_from_slice(&to.to_le_bytes()[..4]),
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
        let sectors = self.bytes.chunks(512).zip(new.chunks(512)).enumerate();
        let differ = sectors.filter(|(_, (old, new))| old != new);
        let bytes = differ.flat_map(|(n, (old, new))| (512 * n..).zip(old.iter().zip(new)));
        for (at, (old, new)) in bytes {
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

/// A file system of so many sectors as Plan 9's disk/format makes one behind two
/// reserved sectors: the number of sectors given twice where it fits, a table for exactly
/// as many clusters as there are, the root directory of a FAT32 in its first
/// clusters, and no sector with counts.
///
/// # Panics
///
/// When there is no such file system.
#[must_use]
pub fn plan9(sectors: usize, cluster: usize) -> Vec<u8> {
    let (bits, slots, table) = [12, 16, 32]
        .into_iter()
        .find_map(|bits| of_plan9(sectors, cluster, bits))
        .expect("a kind for it");
    let mut bytes = vec![0; sectors * 512];
    let fat32 = bits == 32;
    let short = |wanted: bool, n: usize| if wanted { n } else { 0 };
    bytes[..11].copy_from_slice(b"\xeb\x3c\x90Plan9.00");
    let mut put = |at: usize, count: usize, value: usize| {
        bytes[at..at + count].copy_from_slice(&value.to_le_bytes()[..count]);
    };
    put(11, 2, 512);
    put(13, 1, cluster);
    put(14, 2, RESERVED);
    put(16, 1, 2);
    put(17, 2, short(!fat32, slots));
    put(19, 2, short(sectors < 1 << 16, sectors));
    put(21, 1, 0xf8);
    put(22, 2, short(!fat32, table));
    put(24, 2, 63);
    put(26, 2, 255);
    put(28, 4, 63);
    put(32, 4, sectors);
    let extended = if fat32 { 64 } else { 36 };
    if fat32 {
        put(36, 4, table);
        put(44, 4, 2);
    }
    put(extended, 1, 0x80);
    put(extended + 2, 1, 0x29);
    put(extended + 3, 4, 0x9fa7_0009);
    put(510, 2, 0xaa55);
    let label = format!("{:<11}FAT{bits:<5}", "NO NAME");
    bytes[extended + 7..][..19].copy_from_slice(label.as_bytes());
    for copy in [0, 1] {
        let at = (RESERVED + copy * table) * 512;
        let first: &[u8] = match bits {
            12 => &[0xf8, 0xff, 0xff],
            16 => &[0xf8, 0xff, 0xff, 0xff],
            _ => &[0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        };
        bytes[at..at + first.len()].copy_from_slice(first);
        let last = 1 + slots * 32 / 512 / cluster;
        for n in (2..=last).filter(|_| fat32) {
            let next = if n == last { 0x0fff_ffff } else { n + 1 };
            bytes[at + 4 * n..][..4].copy_from_slice(&next.to_le_bytes()[..4]);
        }
    }
    bytes
}

/// The sectors before the tables: boot sector and table of partitions.
const RESERVED: usize = 2;

/// The width of an entry of the table, the entries of the root directory, and the sectors of a
/// table, if the file system is of this kind.
fn of_plan9(sectors: usize, cluster: usize, bits: usize) -> Option<(usize, usize, usize)> {
    let mut root = (sectors / 200).min(32);
    if bits == 32 {
        root = (root - root % cluster).max(cluster);
    }
    let mut clusters = 0;
    for _ in 0..10 {
        let table = (bits * clusters).div_ceil(8 * 512);
        let found = 2 + (sectors - RESERVED - 2 * table - root) / cluster;
        if found == clusters {
            let most = [(12, 0xff7), (16, 0xfff7), (32, 0xfff_fff7)];
            let fits = most.iter().any(|&(of, most)| of == bits && clusters < most);
            return fits.then_some((bits, root * 16, table));
        }
        clusters = found;
    }
    None
}
