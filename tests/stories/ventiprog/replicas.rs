//! ventiprog to replicas: a disk that travels, or the directory of another machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use venti_tests::command::Output;

use crate::fixture::site::Site;

/// The disk that travels: a directory of its own, and its name as a target.
fn disk(site: &Site, name: &str) -> (PathBuf, String) {
    let path = site.path(name);
    fs::create_dir(&path).unwrap();
    let target = format!("dir:{}", path.display());
    (path, target)
}

/// Three arenas: two sealed, the second of them with damage, one in use.
fn three_arenas() -> Site {
    let mut site = Site::empty(4);
    site.add(300);
    site.seal();
    site.add(200);
    site.seal();
    site.add(100);
    site
}

fn run(site: &Site, target: &str) -> Output {
    let command = site.ventiprog().args(["-p", &site.part(), target]);
    command.run()
}

fn runs(site: &Site, target: &str, status: i32) -> Output {
    let output = run(site, target);
    assert_eq!(output.status, status, "{output:?}\n{}", site.file("wrcmds"));
    output
}

/// The objects of a replica, by name.
fn objects(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            objects.insert(name, fs::read(&path).unwrap());
            continue;
        }
        for (object, bytes) in objects_in(&path) {
            objects.insert(format!("{name}/{object}"), bytes);
        }
    }
    objects
}

fn objects_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| {
        let name = entry.file_name().to_str().unwrap().to_owned();
        (name, fs::read(entry.path()).unwrap())
    });
    named.collect()
}

/// What is in the folder of an arena, one object after the other.
fn joined(root: &Path, arena: &str) -> Vec<u8> {
    let folders = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders = folders.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.rsplit_once('.').is_some_and(|(stem, _)| stem == arena)
    });
    let found = objects_in(&folders.next().unwrap());
    let logs = found.iter().filter(|(name, _)| name.starts_with("log."));
    let mut bytes = found["head"].clone();
    bytes.extend(logs.flat_map(|(_, bytes)| bytes));
    bytes.extend(found.get("end").into_iter().flatten());
    bytes
}

/// The bytes of an arena of the source.
fn arena(site: &Site, number: usize) -> (String, Vec<u8>) {
    let of = &site.partition.arenas()[number];
    let bytes = fs::read(site.partition.path()).unwrap();
    let head = usize::try_from(of.head()).unwrap();
    let next = site.partition.arenas().get(number + 1);
    let end = next.map_or(bytes.len(), |next| usize::try_from(next.head()).unwrap());
    (of.name().to_owned(), bytes[head..end].to_vec())
}

#[test]
fn the_objects_of_a_sealed_arena_are_the_arena_byte_for_byte() {
    let site = three_arenas();
    let (root, target) = disk(&site, "disk");
    let output = runs(&site, &target, 0);
    assert_eq!((&*output.stdout, &*output.remarks()), ("", ""));
    assert_eq!(site.file("wrcmd"), "", "scripts know no replicas");
    assert_eq!(site.stands(&target), Some((2, site.end(2))));
    assert_eq!(objects(&root)["ventiprog"], b"ventiprog replica 1\n");
    for number in [0, 1] {
        let (name, bytes) = arena(&site, number);
        assert!(joined(&root, &name) == bytes, "{name}");
    }
    let (name, bytes) = arena(&site, 2);
    let live = joined(&root, &name);
    assert!(bytes.starts_with(&live) && live.len() as u64 > site.end(2));

    // Nothing new: nothing is written.
    let before = objects(&root);
    runs(&site, &target, 0);
    assert!(objects(&root) == before);
}
