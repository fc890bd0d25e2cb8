//! The records of real fossil partitions: as the manifest says, and the same
//! bytes when written again.

use fossilcore::disk::{DirEntry, Header, Label, Local, MetaBlock, SuperBlock};
use serde_json::{Value, json};
use venti_tests::golden;
use venticore::codec::tree::Entry;

/// A golden partition, and what the manifest says of it.
struct Fossil {
    name: &'static str,
    bytes: Vec<u8>,
    header: Header,
    superblock: SuperBlock,
    said: Value,
}

impl Fossil {
    fn all() -> Vec<Self> {
        let manifest = golden::json("fossil/manifest.json");
        let partitions = manifest["partitions"].as_object().unwrap();
        assert_eq!(partitions.len(), golden::FOSSILS.len());
        golden::FOSSILS
            .iter()
            .map(|file| Self::open(file, &manifest["partitions"]))
            .collect()
    }

    fn open(file: &'static str, partitions: &Value) -> Self {
        let name = file.strip_prefix("fossil/").unwrap();
        let name = name.strip_suffix(".fossil").unwrap();
        let bytes = golden::bytes(file);
        let header = Header::parse(at(&bytes, Header::AT, Header::LEN)).unwrap();
        header.check(bytes.len() as u64).unwrap();
        let superblock = at(&bytes, header.superblock_at(), SuperBlock::LEN);
        Fossil {
            name,
            superblock: SuperBlock::parse(superblock).unwrap(),
            header,
            said: partitions[name].clone(),
            bytes,
        }
    }

    fn data(&self, address: u32) -> &[u8] {
        let place = self.header.data_at(address).unwrap();
        at(&self.bytes, place, self.header.block_size.into())
    }

    fn label(&self, address: u32) -> &[u8] {
        at(
            &self.bytes,
            self.header.label_at(address).unwrap(),
            Label::LEN,
        )
    }
}

/// Whether a block may be given out again while snapshots from `epoch_low` on are kept.
fn is_available(label: &Label, epoch_low: u32) -> bool {
    let closed = label.state != Label::BAD && label.state & Label::CLOSED != 0;
    let gone = label.epoch_close <= epoch_low || label.epoch == label.epoch_close;
    label.state == Label::FREE || closed && gone
}

fn at(bytes: &[u8], place: u64, len: usize) -> &[u8] {
    let place = usize::try_from(place).unwrap();
    &bytes[place..place + len]
}

/// The block of the partition that an entry leads to, written as it was.
fn local(entry: &Entry) -> Option<Local> {
    let place = entry.local.then(|| Local::parse(entry.score).unwrap())?;
    assert_eq!(place.to_score(), entry.score);
    Some(place)
}

/// The name that the manifest has for an entry.
fn entry_json(entry: &Entry) -> Value {
    let flag = |is, bit| if is { bit } else { 0 };
    let flags = flag(entry.active, 1)
        | flag(entry.directory, 2)
        | entry.depth << 2
        | flag(entry.local, 0x20)
        | flag(entry.big, 0x40)
        | flag(entry.no_archive, 0x80);
    let mut value = json!({
        "gen": entry.generation, "psize": entry.stored_psize, "dsize": entry.stored_dsize,
        "depth": entry.depth, "size": entry.size, "flags": format!("{flags:#04x}"), "local": entry.local,
    });
    let place = match local(entry) {
        None => json!({"snap": 0, "archive": 0, "tag": 0, "score": entry.score.to_string()}),
        Some(Local {
            archive,
            snap,
            tag,
            address,
        }) => json!({"snap": snap, "archive": archive, "tag": tag, "addr": address}),
    };
    let place = place.as_object().unwrap().clone();
    value.as_object_mut().unwrap().extend(place);
    value
}

fn dir_entry_json(entry: &DirEntry) -> Value {
    let text = |name: &Vec<u8>| String::from_utf8(name.clone()).unwrap();
    let mut value = json!({
        "version": DirEntry::VERSION, "elem": text(&entry.elem), "entry": entry.entry,
        "gen": entry.generation, "mentry": entry.meta_entry, "mgen": entry.meta_generation,
        "qid": entry.qid, "uid": text(&entry.uid), "gid": text(&entry.gid), "mid": text(&entry.mid),
        "mtime": entry.mtime, "mcount": entry.mcount, "ctime": entry.ctime, "atime": entry.atime,
        "mode": entry.mode,
    });
    if let Some(space) = entry.qid_space {
        value["qidOffset"] = space.offset.into();
        value["qidMax"] = space.max.into();
    }
    value
}

#[test]
fn headers_and_super_blocks_are_as_the_manifest_says() {
    for fossil in Fossil::all() {
        let Header {
            block_size,
            superblock,
            label,
            data,
            end,
        } = fossil.header;
        assert_eq!(
            json!({"version": Header::VERSION, "bsize": block_size, "super": superblock, "label": label, "data": data, "end": end}),
            fossil.said["header"],
            "{}",
            fossil.name
        );
        let found = &fossil.superblock;
        let score = found.last.to_string();
        assert_eq!(
            json!({
                "version": SuperBlock::VERSION, "epochLow": found.epoch_low, "epochHigh": found.epoch_high,
                "qid": found.qid, "active": found.active, "next": found.next, "current": found.current,
                "last": score, "name": String::from_utf8(found.name.clone()).unwrap(),
                "fossil_last": format!("vac:{score}"),
            }),
            fossil.said["super"],
            "{}",
            fossil.name
        );
    }
}

#[test]
fn headers_and_super_blocks_are_written_as_they_were() {
    for fossil in Fossil::all() {
        let header = at(&fossil.bytes, Header::AT, Header::LEN);
        assert_eq!(fossil.header.to_bytes(), header, "{}", fossil.name);
        let mut block = fossil.superblock.to_bytes();
        block.resize(fossil.header.block_size.into(), 0);
        let there = at(&fossil.bytes, fossil.header.superblock_at(), block.len());
        assert!(block == there, "{}", fossil.name);
    }
}

#[test]
fn every_label_is_as_the_manifest_says_and_is_written_as_it_was() {
    for fossil in Fossil::all() {
        let mut listed = Vec::new();
        let mut used = 0;
        for address in 0..fossil.header.data_blocks() {
            let bytes = fossil.label(address);
            let label = Label::parse(bytes).unwrap();
            assert_eq!(label.to_bytes(), bytes, "{} block {address}", fossil.name);
            used += u32::from(!is_available(&label, fossil.superblock.epoch_low));
            if bytes != [0; Label::LEN] {
                let tag = format!("{:#010x}", label.tag);
                listed.push(json!([
                    address,
                    label.state,
                    label.kind,
                    label.epoch,
                    label.epoch_close,
                    tag
                ]));
            }
        }
        assert_eq!(
            Value::from(listed),
            fossil.said["labels_not_free"],
            "{}",
            fossil.name
        );
        assert_eq!(
            used, fossil.said["blocks"]["used_as_df_counts"],
            "{}",
            fossil.name
        );
        assert_eq!(fossil.header.data_blocks(), fossil.said["blocks"]["total"]);
        assert_eq!(
            fossil.header.labels_per_block(),
            fossil.said["lpb"].as_u64().unwrap()
        );
    }
}

#[test]
fn the_tree_down_to_the_roots_directory_entry_is_as_the_manifest_says() {
    for fossil in Fossil::all().iter().filter(|f| f.name != "destroyed-8k") {
        let active = fossil.superblock.active;
        assert!(Label::parse(fossil.label(active)).unwrap().is_root());
        let entries = entries(fossil.data(active), 2);
        assert_eq!(entry_json(&entries[0]), fossil.said["root_block"]["entry0"]);
        let root = local(&entries[0]).expect("the root is on the partition");
        let sources = self::entries(fossil.data(root.address), 3);
        let listed: Vec<Value> = sources.iter().map(entry_json).collect();
        assert_eq!(
            Value::from(listed),
            fossil.said["root_sources"],
            "{}",
            fossil.name
        );
        if let Some(place) = local(&sources[2]) {
            let meta = MetaBlock::parse(fossil.data(place.address)).unwrap();
            let found: Vec<DirEntry> = meta.entries().map(Result::unwrap).collect();
            assert_eq!(found.len(), 1);
            assert_eq!(dir_entry_json(&found[0]), fossil.said["root_dir_entry"]);
        }
    }
}

/// The first entries of a directory block; all are written as they were.
fn entries(block: &[u8], count: usize) -> Vec<Entry> {
    let slots = block.chunks_exact(Entry::LEN).take(count);
    slots
        .map(|bytes| {
            let entry = Entry::parse(bytes);
            assert_eq!(entry.to_bytes(), bytes);
            entry
        })
        .collect()
}

#[test]
fn every_meta_block_and_its_entries_are_written_as_they_were() {
    let mut blocks = 0;
    for fossil in Fossil::all() {
        for address in 0..fossil.header.data_blocks() {
            let block = fossil.data(address);
            if !block.starts_with(&MetaBlock::MAGIC.to_be_bytes()) {
                continue;
            }
            let meta = MetaBlock::parse(block).unwrap();
            assert!(meta.to_bytes() == block, "{} block {address}", fossil.name);
            for (entry, slot) in meta.entries().zip(&meta.index) {
                let bytes = at(block, slot.offset.into(), slot.len.into());
                assert_eq!(entry.unwrap().to_bytes().unwrap(), bytes);
            }
            blocks += 1;
        }
    }
    assert!(blocks > 50, "only {blocks} meta blocks");
}

#[test]
fn a_meta_block_that_is_made_is_the_one_that_flfmt_made() {
    for fossil in Fossil::all().iter().filter(|f| f.name.starts_with("fresh")) {
        // Block 0 has the root's own entry, block 4 those of the root's files.
        for address in [0, 4] {
            let block = fossil.data(address);
            let meta = MetaBlock::parse(block).unwrap();
            let entries: Vec<DirEntry> = meta.entries().map(Result::unwrap).collect();
            let slots = fossil.header.block_size / 100;
            let made = MetaBlock::of(&entries, slots, fossil.header.block_size).unwrap();
            assert!(made.to_bytes() == block, "{} block {address}", fossil.name);
        }
    }
}

#[test]
fn the_layout_is_that_of_flfmt_for_every_recorded_size() {
    let cases = golden::json("fossil/cases.json");
    let cases = cases["layout"].as_array().unwrap();
    assert_eq!(cases.len(), 36);
    for case in cases {
        let number = |key: &str| case[key].as_u64().unwrap();
        let header = Header::layout(number("size"), number("block")).unwrap();
        assert_eq!(
            json!({
                "size": number("size"), "block": header.block_size, "super": header.superblock,
                "label": header.label, "data": header.data, "end": header.end,
            }),
            *case
        );
        header.check(number("size")).unwrap();
    }
}
