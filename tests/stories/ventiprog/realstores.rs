//! ventiprog to a bucket of a real object store, where one is installed: through kills of
//! either side, encrypted, and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process;

use venti_tests::arena::PartitionBuilder;
use venti_tests::command::{Command, Output, skipped};
use venti_tests::golden;
use venti_tests::port;
use venti_tests::realstore::RealStore;
use venti_tests::served::Served;
use venti_tests::venti::Venti;
use venticore::codec::blocktype::BLOCK_MAX;
use venticore::net::client::{Client, Dialer};

use crate::fixture::archives::ARCHIVES;
use crate::fixture::reset::{self, is_blind};
use crate::fixture::site::Site;

/// Small enough that a sealed arena is stored at once.
const ARENA: u64 = 1 << 20;

/// So slow that a run can be seen in its middle.
const SLOW: [&str; 2] = ["-b", "300k"];

#[test]
fn a_bucket_of_rclone_is_filled_through_kills_and_gives_all_back() {
    story(RealStore::rclone());
}

#[test]
fn a_bucket_of_ceph_is_filled_through_kills_and_gives_all_back() {
    story(RealStore::ceph());
}

fn story(store: Result<RealStore, String>) {
    let mut store = match store {
        Ok(store) => store,
        Err(why) => return skipped(&format!("a real object store: {why}")),
    };
    goes_through_kills_and_back(&mut store);
    leads_to_a_fossil(&store);
    is_encrypted(&store);
}

fn ventiprog(site: &Site, target: &str, options: &[&str]) -> Command {
    let command = Command::new("ventiprog").arg("-d").arg(site.path("state"));
    let command = command.args(options).args(["-p", &site.part(), target]);
    RealStore::with_key(command, "")
}

fn runs(site: &Site, target: &str, options: &[&str]) -> Output {
    let output = ventiprog(site, target, options).run();
    assert_eq!(output.status, 0, "{output:?}\n{}", site.file("wrcmds"));
    output
}

/// Six arenas, the last in use; later a seventh.
fn goes_through_kills_and_back(store: &mut RealStore) {
    let mut site = Site::built(&PartitionBuilder::new().arenas(7, ARENA));
    for _ in 0..5 {
        site.add(80);
        site.seal();
    }
    site.add(80);
    let target = store.replica("home");
    store.fill_through_kills("home", || ventiprog(&site, &target, &SLOW).start());
    assert_eq!(site.stands(&target), Some((5, site.end(5))));
    let before = store.names("home").len();

    // What is new is one object, and a rollover the end of an arena and the next.
    site.add(5);
    runs(&site, &target, &[]);
    assert_eq!(store.names("home").len(), before + 1);
    site.seal();
    site.add(5);
    runs(&site, &target, &[]);
    assert_eq!(store.names("home").len(), before + 4);
    let output = runs(&site, &target, &["--verify"]);
    assert!(output.stderr.contains("read back and right"), "{output:?}");
    assert_is_the_source(&site, &store.objects("home"));
    gives_all_back(&site, &target);
}

/// The objects of each sealed arena, one after the other, are the arena.
fn assert_is_the_source(site: &Site, objects: &BTreeMap<String, Vec<u8>>) {
    let source = fs::read(site.partition.path()).unwrap();
    let arenas = site.partition.arenas();
    for (arena, next) in arenas.iter().zip(&arenas[1..]) {
        let of = |name: &str| {
            let start = format!("{}.", arena.name());
            let mut found = objects.iter().filter(|(key, _)| key.starts_with(&start));
            let object = found.find_map(|(key, bytes)| key.ends_with(name).then_some(bytes));
            object.unwrap_or_else(|| panic!("{start} {name}: {:?}", objects.keys()))
        };
        let mut joined = of("/head").clone();
        let start = format!("{}.", arena.name());
        for (key, bytes) in objects {
            if key.starts_with(&start) && key.contains("/log.") {
                joined.extend(bytes);
            }
        }
        joined.extend(of("/end"));
        let at = |offset: u64| usize::try_from(offset).unwrap();
        let expected = &source[at(arena.head())..at(next.head())];
        assert!(joined == expected, "{}", arena.name());
    }
}

/// To a venti, and as a venti.
fn gives_all_back(site: &Site, target: &str) {
    let venti = Venti::start();
    let command = Command::new("wrarena").args(["-h", &venti.dial(), target]);
    let output = RealStore::with_key(command, "").run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert_eq!(site.holes(&venti), 0);

    let served = serve(target);
    let dial = served.dial().parse().unwrap();
    let mut client = Client::dial(&dial, &Dialer::default()).unwrap();
    for (score, (block_type, block)) in &site.data {
        let read = client.read(score, *block_type, BLOCK_MAX).unwrap();
        assert!(read == *block, "{score}");
    }
}

/// A venti that reads the replica, and has nothing but that.
fn serve(target: &str) -> Served {
    let port = port::free();
    let command = Command::new("ventiserve").args(["-r", "-a"]);
    let command = command.args([&format!("127.0.0.1:{port}"), target]);
    Served::of(RealStore::with_key(command, "").start(), port, 0)
}

/// The golden archives of a fossil, whose arenas are gone afterwards.
fn leads_to_a_fossil(store: &RealStore) {
    if is_blind() {
        return;
    }
    let target = store.replica("fossil");
    let directory = tempfile::tempdir().unwrap();
    let arenas = directory.path().join("arenas");
    fs::write(&arenas, golden::bytes("fossil/arenas.part")).unwrap();
    let command = Command::new("ventiprog")
        .arg("-d")
        .arg(directory.path())
        .arg("--offline")
        .arg("-p");
    let output = RealStore::with_key(command.arg(&arenas).arg(&target), "").run();
    assert_eq!(output.status, 0, "{output:?}");
    drop(directory);

    let served = serve(&target);
    for (score, _) in ARCHIVES {
        let site = reset::Site::of("fresh-8k");
        let command = site.command().arg("-c").arg(score).arg(&site.partition);
        let output = command.arg(served.dial()).run();
        assert_eq!(output.status, 0, "{output:?}");
        assert!(site.log().contains(score), "{}", site.log());
    }
}

/// With age: every object is an age file, and nothing is read without the identity.
fn is_encrypted(store: &RealStore) {
    let directory = tempfile::tempdir().unwrap();
    let identity = directory.path().join("identity");
    let made = process::Command::new("age-keygen")
        .arg("-o")
        .arg(&identity)
        .output();
    let Some(made) = made.ok().filter(|made| made.status.success()) else {
        return skipped("an encrypted bucket: no age");
    };
    let said = String::from_utf8(made.stderr).unwrap();
    let recipient = said.trim().rsplit(' ').next().unwrap();
    let config = |identity: &Path| {
        let (write, read) = (["age", "-r", recipient], ["age", "-d", "-i"]);
        let identity = identity.to_str().unwrap();
        let read = [read[0], read[1], read[2], identity];
        format!("filter = {{ write = {write:?}, read = {read:?} }}\n")
    };
    let mut site = Site::built(&PartitionBuilder::new().arenas(2, ARENA));
    site.add(20);
    site.seal();
    site.add(20);
    let target = store.replica("secret");
    for _ in 0..2 {
        site.add(5);
        let command = ventiprog(&site, &target, &[]);
        let output = RealStore::with_key(command, &config(&identity)).run();
        assert_eq!(output.status, 0, "{output:?}");
    }
    let objects = store.objects("secret");
    assert_eq!(objects.len(), 7, "{:?}", objects.keys());
    for (name, bytes) in &objects {
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"), "{name}");
    }

    let venti = Venti::start();
    let restore = |config: &str| {
        let command = Command::new("wrarena").args(["-h", &venti.dial(), &target]);
        RealStore::with_key(command, config).run()
    };
    let nowhere = directory.path().join("nowhere");
    for (config, missing) in [(String::new(), "filter"), (config(&nowhere), "nowhere")] {
        let output = restore(&config);
        output.assert_refused(1, missing);
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    }
    let output = restore(&config(&identity));
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert_eq!(site.holes(&venti), 0);
}
