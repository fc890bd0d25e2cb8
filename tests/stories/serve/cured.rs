//! A target whose disk has changed a block, and what ventiprog makes of it.

use std::fs;

use venti_tests::command::Output;
use venti_tests::served::Served;
use venticore::codec::score::Score;
use venticore::codec::wire::{Request, Version};

use crate::fixture::site::Site;

/// Flips a bit of the block with this score on a disk.
fn damage(store: &std::path::Path, score: Score) {
    let mut bytes = fs::read(store).unwrap();
    // In the header of its clump; 9 bytes later the block begins.
    let starts = bytes.windows(Score::LEN);
    let header = starts.enumerate().find(|(_, at)| at == score.as_bytes());
    let (at, _) = header.unwrap();
    bytes[at + Score::LEN + 9] ^= 0x10;
    fs::write(store, bytes).unwrap();
}

#[test]
fn a_damaged_block_is_stored_again_when_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let data = venti_tests::random::Random::new(5).bytes(3000);
    let score = Score::of(&data);
    let write = Request::Write {
        ty: 13,
        data: &data,
    };
    let read = Request::Read {
        score,
        ty: 13,
        count: 3000,
    };
    let served = Served::made(&store);
    let mut client = served.client(Version::V04);
    assert_eq!(client.ask(&write), format!("Rwrite {score}"));
    assert_eq!(served.end().status, 0);
    damage(&store, score);
    let served = Served::made(&store);
    let mut client = served.client(Version::V04);
    let said = client.ask(&read);
    let expected = format!("Rerror loading clump: corrupted at store0 0; expected={score} got=");
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(client.ask(&write), format!("Rwrite {score}"));
    assert!(client.ask(&read).starts_with("Rread 3000 "));
    // Also after a restart.
    let output = served.end();
    let told = "arena store0: the clump at 0 is damaged\n";
    assert_eq!(output.stderr.matches(told).count(), 1, "{output:?}");
    let served = Served::made(&store);
    assert!(
        served
            .client(Version::V04)
            .ask(&read)
            .starts_with("Rread 3000 ")
    );
}

#[test]
fn ventiprog_cures_a_damaged_target() {
    let mut site = Site::new(40);
    let root = site.add_root();
    let store = site.path("store");
    let run = |served: &Served, options: &[&str]| -> Output {
        let part = site.part();
        let command = site.ventiprog().args(["-p", &part]).args(options);
        command.arg(served.dial()).run()
    };
    let served = Served::made(&store);
    let port = served.port().to_string();
    assert_eq!(run(&served, &[]).status, 0);
    assert_eq!(served.end().status, 0);
    let again = || Served::at(&store, port.parse().unwrap());
    for (score, options) in [
        (root, &[][..]),
        (site.score(0, 7), &["--verify"][..]),
        (site.score(0, 20), &[]),
        (site.score(0, 30), &["-j"]),
    ] {
        damage(&store, score);
        let served = again();
        let output = run(&served, options);
        assert_eq!(output.status, 4, "{output:?}");
        // The root score of an archive is in no message.
        let shown = match score == root {
            true => score.to_string()[..8].to_owned(),
            false => score.to_string(),
        };
        let said = format!("block {shown} was damaged there (loading clump: corrupted at store0 ");
        assert!(output.stderr.contains(&said), "{output:?}");
        let cured = "); it was sent again, and is whole now\n";
        assert_eq!(output.stderr.matches(cured).count(), 1, "{output:?}");
        assert_eq!(output.stderr.matches(&shown).count(), 1);
        assert!(!output.stderr.contains(&root.to_string()), "{output:?}");
        let summed_up = "; 1 was damaged on a target and sent again; ";
        assert!(output.summary().contains(summed_up), "{output:?}");
        let json = output.stdout.contains("\"unreadable\":0,\"cured\":1,");
        assert_eq!(json, options.contains(&"-j"), "{output:?}");
        let output = run(&served, &["--verify"]);
        assert_eq!(
            (output.status, output.remarks().as_str()),
            (0, ""),
            "{output:?}"
        );
        assert_eq!(served.end().status, 0);
    }
}
