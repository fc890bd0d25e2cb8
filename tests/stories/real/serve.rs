//! plan9port's clients at ventiserve, and plan9port's venti beside it.

use std::fs;
use std::path::Path;

use venti_tests::golden;
use venti_tests::plan9::{Plan9, Venti, fed};
use venti_tests::random::Random;
use venti_tests::served::{Served, WireClient};
use venti_tests::tree::nodes;
use venticore::codec::score::Score;
use venticore::codec::wire::{Request, Version};

/// Bytes of a venti and of each of its arenas.
const VENTI: u64 = 24 << 20;
const ARENA: u64 = 8 << 20;

/// What each of these requests is answered on one connection, one after the other.
fn answers(port: u16, version: Version) -> Vec<String> {
    let mut client = WireClient::hello(port, version).unwrap();
    let blocks: Vec<Vec<u8>> = [1, 20, 300, 8192, 57344]
        .map(|size| Random::new(size).bytes(usize::try_from(size).unwrap()))
        .into();
    let mut answers = Vec::new();
    let mut ask = |request: &Request<'_>| answers.push(client.ask(request));
    let types = [1, 2, 3, 4, 9, 13];
    for data in &blocks {
        for ty in types {
            ask(&Request::Write { ty, data });
            ask(&Request::Write { ty, data });
        }
    }
    ask(&Request::Sync);
    for data in blocks
        .iter()
        .map(Vec::as_slice)
        .chain([&b"absent"[..], b""])
    {
        let score = Score::of(data);
        for ty in types.into_iter().chain([0, 10, 12, 14, 255]) {
            for count in [0, 1, 19, 300, 8191, 8192, 57344, 65535, 70000] {
                ask(&Request::Read { score, ty, count });
            }
        }
    }
    let score = Score::from_bytes([0; Score::LEN]);
    ask(&Request::Read {
        score,
        ty: 13,
        count: 100,
    });
    ask(&Request::Read {
        score,
        ty: 77,
        count: 0,
    });
    for size in [0, 57345, 65000] {
        let data = &vec![0; size];
        ask(&Request::Write { ty: 13, data });
    }
    ask(&Request::Ping);
    let hello = Request::Hello {
        version: version.text().as_bytes(),
        uid: b"x",
        strength: 0,
        crypto: b"",
        codec: b"",
    };
    ask(&hello);
    // What is not a message gets no answer, and a reply is a message.
    for message in [
        &[][..],
        &[12],
        &[99, 1],
        &[16, 1, 0],
        &[14, 1, 13],
        &[17, 1],
    ] {
        client.frame(message).unwrap();
    }
    client.send(1, &Request::Sync).unwrap();
    answers.push(client.answer().unwrap());
    answers.push(client.answer().unwrap());
    answers
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_serve_answers_as_plan9port_does() {
    let plan9 = Plan9::expect();
    let directory = tempfile::tempdir().unwrap();
    let theirs = Venti::fresh(&plan9, directory.path(), "theirs", VENTI, ARENA);
    let ours = Served::made(&directory.path().join("ours"));
    for version in [Version::V04, Version::V02] {
        // What is in plan9port's memory is too small in other words.
        let same = |answer: &String| answer.replace("too small 1:", "too small:");
        let theirs: Vec<String> = answers(theirs.port(), version).iter().map(same).collect();
        let ours: Vec<String> = answers(ours.port(), version).iter().map(same).collect();
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours, theirs, "{version}, request {number}");
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

/// A file tree to be stored.
fn tree(directory: &Path) {
    let tree = directory.join("tree");
    fs::create_dir_all(tree.join("sub/deep")).unwrap();
    for (number, size) in [0, 1, 8191, 8192, 8193, 900_000].into_iter().enumerate() {
        let seed = number as u64 + 40;
        fs::write(
            tree.join(format!("file{number}")),
            Random::new(seed).bytes(size),
        )
        .unwrap();
        fs::write(
            tree.join(format!("sub/deep/text{number}")),
            "word ".repeat(size / 5),
        )
        .unwrap();
    }
}

#[test]
#[ignore = "needs plan9port: cargo xtask test --real"]
fn real_serve_is_a_venti_to_plan9ports_clients() {
    let plan9 = Plan9::expect();
    let directory = tempfile::tempdir().unwrap();
    tree(directory.path());
    let ours = Served::made(&directory.path().join("ours"));
    let theirs = Venti::fresh(&plan9, directory.path(), "theirs", VENTI, ARENA);
    let host = ours.dial();

    let block = Random::new(4).bytes(5000);
    let written = fed(plan9.command("venti/write").args(["-h", &host]), &block);
    let score = String::from_utf8(written).unwrap().trim().to_owned();
    assert_eq!(score, Score::of(&block).to_string());
    let read = fed(plan9.command("venti/read").args(["-h", &host, &score]), b"");
    assert!(read == block);
    plan9.succeed("venti/sync", &["-h", &host]);

    let mut vac = plan9.command("vac");
    vac.current_dir(directory.path());
    let _ = fed(vac.args(["-f", "tree.vac", "-h", &host, "tree"]), b"");
    let before = nodes(&directory.path().join("tree"));
    let back = |host: &str| {
        let to = tempfile::tempdir_in(directory.path()).unwrap();
        let mut unvac = plan9.command("unvac");
        unvac.current_dir(to.path()).args(["-h", host]);
        let _ = fed(unvac.arg(directory.path().join("tree.vac")), b"");
        nodes(&to.path().join("tree"))
    };
    assert_eq!(back(&host), before);
    let root = fs::read_to_string(directory.path().join("tree.vac")).unwrap();
    let root = root.trim();
    plan9.succeed("venti/copy", &[&host, &theirs.address(), root]);
    assert_eq!(back(&theirs.address()), before);

    // And from theirs to another of ours.
    let other = Served::made(&directory.path().join("other"));
    plan9.succeed("venti/copy", &[&theirs.address(), &other.dial(), root]);
    assert_eq!(back(&other.dial()), before);

    let partition = golden::unpack("g5.part", directory.path());
    let before = ours.metric("stored_total ");
    let partition = partition.to_str().unwrap();
    plan9.succeed("venti/wrarena", &["-h", &host, partition]);
    assert!(ours.metric("stored_total ") > before);
    let stored = ours.metric("stored_total ");
    plan9.succeed("venti/wrarena", &["-h", &host, partition]);
    assert_eq!(ours.metric("stored_total "), stored);
    assert_eq!(ours.end().status, 0);
}
