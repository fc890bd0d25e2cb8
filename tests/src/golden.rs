//! Golden data: files written by the real venti and fossil tools, and what is
//! in them.
//!
//! They lie in `tests/golden/`; the READMEs there say what each one is for.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::arena::{Clump, Counters};
use crate::venti::Venti;
use venticore::codec::blocktype::BlockType;
use venticore::codec::score::Score;
use venticore::source::log::{ClumpLog, What};
use venticore::source::{ArenaPartition, ReadAt};

/// The golden arena partitions that are whole, each with a manifest of the
/// same name.
pub const PARTITIONS: &[&str] = &["g5", "g16", "g4"];

/// The golden fossil partitions.
pub const FOSSILS: &[&str] = &[
    "fossil/fresh-8k.fossil",
    "fossil/fresh-4k.fossil",
    "fossil/conf-8k.fossil",
    "fossil/conf-4k.fossil",
    "fossil/pending-8k.fossil",
    "fossil/archiving-8k.fossil",
    "fossil/archived-8k.fossil",
    "fossil/archived-4k.fossil",
    "fossil/archived2-8k.fossil",
    "fossil/formatted-8k.fossil",
    "fossil/formatted-4k.fossil",
    "fossil/destroyed-8k.fossil",
];

/// The path of a golden file: `fossil/NAME`, `ninefat/NAME`, or named from
/// `tests/golden/venti/`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    match name.split_once('/') {
        Some(("fossil" | "ninefat", _)) => golden.join(name),
        _ => golden.join("venti").join(name),
    }
}

/// The bytes of a golden file, unpacked: `g5.part` is read from `g5.part.gz`.
#[must_use]
pub fn bytes(name: &str) -> Vec<u8> {
    let plain = path(name);
    if plain.exists() {
        return fs::read(&plain).unwrap_or_else(|e| panic!("{}: {e}", plain.display()));
    }
    unpacked(&path(&format!("{name}.gz")))
}

/// The bytes of a golden fossil partition, unpacked: `conf-8k` is read from
/// `conf-8k.fossil.gz` in `tests/golden/fossil/`.
#[must_use]
pub fn fossil(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/fossil");
    unpacked(&directory.join(format!("{name}.fossil.gz")))
}

/// A loopback venti with every block of the golden fossil archives.
#[must_use]
pub fn archives() -> Venti {
    let venti = Venti::start();
    for (ty, data) in blocks("fossil/arenas.part") {
        let _ = venti.insert(ty, &data);
    }
    venti
}

/// The blocks in a golden arena partition.
///
/// # Panics
/// When one of them is damaged.
#[must_use]
pub fn blocks(name: &str) -> Vec<(BlockType, Vec<u8>)> {
    blocks_in(&(Arc::new(bytes(name)) as Arc<dyn ReadAt>))
}

/// The blocks in an arena partition.
///
/// # Panics
/// When one of them is damaged.
#[must_use]
pub fn blocks_in(source: &Arc<dyn ReadAt>) -> Vec<(BlockType, Vec<u8>)> {
    let table = ArenaPartition::read(&**source).expect("an arena partition");
    let mut blocks = Vec::new();
    for entry in &table.entries {
        let arena = table.arena(&**source, entry).expect("an arena");
        let mut log = ClumpLog::open(Arc::clone(source), &arena, 0, true).expect("a log");
        while let Some(item) = log.next() {
            let What::Clump { header, .. } = &item.what else {
                panic!("{item:?}");
            };
            let header = *header;
            let ty = BlockType::from_disk(header.disk_type).expect("a known type");
            let stored = log.stored(&item).expect("the bytes of a clump");
            blocks.push((ty, header.block(stored).expect("a whole block").to_vec()));
        }
    }
    blocks
}

fn unpacked(packed: &Path) -> Vec<u8> {
    let file = fs::File::open(packed).unwrap_or_else(|e| panic!("{}: {e}", packed.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .unwrap_or_else(|e| panic!("{}: {e}", packed.display()));
    bytes
}

/// The text of a golden file.
#[must_use]
pub fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A golden file of JSON, as it stands.
#[must_use]
pub fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Unpacks a golden file into a directory and says where it is.
#[must_use]
pub fn unpack(name: &str, directory: &Path) -> PathBuf {
    let to = directory.join(name.strip_prefix("fossil/").unwrap_or(name));
    fs::write(&to, bytes(name)).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    to
}

/// What is in a golden partition.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Length of the partition in bytes.
    pub length: u64,
    /// Version of the partition header: 3.
    pub version: u32,
    /// Its block size.
    pub block_size: u32,
    /// Where its first arena begins.
    pub arena_base: u64,
    /// Its arenas, in the order of the table.
    pub arenas: Vec<Arena>,
}

/// What is in one golden arena.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Its name.
    pub name: String,
    /// Its version, 4 or 5.
    pub version: u32,
    /// Offset of its head block in the partition.
    pub head: u64,
    /// Offset of its data section in the partition.
    pub base: u64,
    /// Size of the data section.
    pub size: u64,
    /// Size from the head to the end of the trailer.
    pub total: u64,
    /// The magic of its clumps.
    pub clump_magic: u32,
    /// The set of counters of what is indexed.
    pub indexed: Counters,
    /// The set of counters of what is in the log.
    pub written: Counters,
    /// Whether the trailer has the extension.
    pub extension: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Its seal score, twenty zero bytes when there is none.
    pub score: Score,
    /// All clumps, in order.
    pub clumps: Vec<Clump>,
}

impl Manifest {
    /// The manifest of a golden partition: `g5`, `g16` or `g4`.
    #[must_use]
    pub fn load(name: &str) -> Self {
        let value = json(&format!("{name}.json"));
        Manifest {
            length: number(&value["partition_bytes"]),
            version: number(&value["version"]),
            block_size: number(&value["blocksize"]),
            arena_base: number(&value["arenabase"]),
            arenas: list(&value["arenas"]).iter().map(Arena::parse).collect(),
        }
    }
}

impl Arena {
    fn parse(value: &Value) -> Self {
        let magic = string(&value["clumpmagic"]);
        Arena {
            name: string(&value["name"]).to_owned(),
            version: number(&value["version"]),
            head: number(&value["head"]),
            base: number(&value["base"]),
            size: number(&value["size"]),
            total: number(&value["total"]),
            clump_magic: u32::from_str_radix(magic, 16).expect("a magic in hex"),
            indexed: counters(&value["indexed"]),
            written: counters(&value["written"]),
            extension: number::<u8>(&value["extension"]) == 1,
            sealed: value["sealed"].as_bool().expect("a truth value"),
            score: score(&value["score"]),
            clumps: list(&value["clumps"]).iter().map(clump).collect(),
        }
    }
}

/// The counters in an object of a manifest or of `arena-files.json`.
#[must_use]
pub fn counters(value: &Value) -> Counters {
    Counters {
        clumps: number(&value["clumps"]),
        compressed: number(&value["cclumps"]),
        used: number(&value["used"]),
        uncompressed: number(&value["uncsize"]),
        sealed: number::<u8>(&value["sealed"]) == 1,
    }
}

fn clump(value: &Value) -> Clump {
    Clump {
        offset: number(&value[0]),
        block_type: number(&value[1]),
        score: score(&value[2]),
        encoding: number(&value[3]),
        stored: number(&value[4]),
        size: number(&value[5]),
    }
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    value
        .as_u64()
        .and_then(|n| T::try_from(n).ok())
        .unwrap_or_else(|| panic!("{value}: not a number of this width"))
}

fn string(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}: not a text"))
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value}: not a list"))
}

fn score(value: &Value) -> Score {
    string(value)
        .parse()
        .unwrap_or_else(|e| panic!("{value}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_agrees_with_itself_and_with_its_partition() {
        for name in PARTITIONS {
            let manifest = Manifest::load(name);
            let partition = bytes(&format!("{name}.part"));
            assert_eq!(manifest.length, partition.len() as u64);
            assert!(!manifest.arenas.is_empty());
            for arena in &manifest.arenas {
                let end = arena
                    .clumps
                    .last()
                    .map(|c| c.offset + 38 + u64::from(c.stored));
                assert_eq!(end, Some(arena.written.used), "{}", arena.name);
                assert_eq!(arena.clumps.len(), arena.written.clumps as usize);
            }
        }
    }

    #[test]
    fn unpack_writes_what_bytes_gives() {
        let directory = tempfile::tempdir().unwrap();
        let path = unpack("g5.0.arena", directory.path());
        assert_eq!(fs::read(path).unwrap(), bytes("g5.0.arena"));
    }
}
