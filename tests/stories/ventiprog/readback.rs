//! ventiprog reads back what earlier runs recorded before it sends.

use std::fs;
use std::sync::Arc;

use venti_tests::arena::PartitionBuilder;
use venti_tests::command::{Output, program};
use venti_tests::http::{Answer, Http};
use venti_tests::index;
use venti_tests::venti::{Fault, How, On, Venti};
use venticore::codec::blocktype::{BlockName, BlockType};
use venticore::codec::score::Score;

use crate::fixture::site::{LIMITS, Site};

/// More than are sampled, so that a sample may miss a block.
const MANY: usize = 1500;

/// A run that finds blocks missing names them, sends them, and ends with 4;
/// the next finds nothing.
fn assert_sent_again(site: &Site, venti: &Venti, lost: &[(BlockType, Score)], verify: bool) {
    let writes = venti.counts().writes;
    for (block_type, score) in lost {
        assert!(venti.forget(*block_type, score));
    }
    let run = || match verify {
        true => site.ventiprog().arg("--verify").run(),
        false => site.ventiprog().run(),
    };
    let output = run();
    assert_eq!(output.status, 4, "{output:?}");
    for (block_type, score) in lost {
        let named = format!(
            "ventiprog: {}: {} is missing, but was acknowledged before\n",
            venti.dial(),
            BlockName(*block_type, *score)
        );
        assert!(output.stderr.contains(&named), "{output:?}");
    }
    let sent = match lost.len() {
        1 => "1 block was missing there and was sent again".to_owned(),
        many => format!("{many} blocks were missing there and were sent again"),
    };
    let last = format!(
        "ventiprog: {}: {sent}; the next run should end with 0\n",
        venti.dial()
    );
    assert!(output.stderr.ends_with(&last), "{output:?}");
    assert_eq!(venti.counts().writes, writes + lost.len() as u64);
    assert_eq!(site.holes(venti), 0);
    let output = run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn the_last_block_and_the_roots_are_always_read_back() {
    let mut site = Site::new(500);
    let root = site.add_root();
    site.add(MANY - 501);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let last = site.score(0, MANY - 1);
    for lost in [(BlockType::Data, last), (BlockType::Root, root)] {
        assert_sent_again(&site, &venti, &[lost], false);
    }
}

#[test]
fn a_sample_finds_many_and_verify_finds_any() {
    let mut site = Site::empty(3);
    site.add(MANY / 2);
    site.seal();
    site.add(MANY / 2);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let half = (MANY / 3..MANY / 2).map(|number| (BlockType::Data, site.score(0, number)));
    for lost in half.clone() {
        venti.forget(lost.0, &lost.1);
    }
    let output = site.ventiprog().run();
    assert_eq!(output.status, 4, "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    let reads = venti.counts().reads;
    // What it had is read back whole, once it is known to have lost some.
    let most = (MANY + 300) as u64;
    assert!((MANY as u64..most).contains(&reads), "{reads} reads");

    let one = half.take(1).collect::<Vec<_>>();
    assert_sent_again(&site, &venti, &one, true);
    assert!(venti.counts().reads > reads + 2 * (MANY - 3) as u64);
}

#[test]
fn what_is_damaged_there_is_named_until_it_is_cured() {
    let site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 7);
    venti.corrupt(BlockType::Data, &score);
    for round in 1..=2 {
        let output = site.ventiprog().run();
        assert_eq!((output.status, output.stdout.as_str()), (4, ""));
        let named = format!(
            "ventiprog: {}: data block {score} is damaged there (",
            venti.dial()
        );
        assert!(output.stderr.starts_with(&named), "{output:?}");
        let cure = "; sending it again does not help: if it holds only this backup and \
                    the source has no damage, start that server with empty arenas and run again, \
                    or restore its arenas from a copy";
        assert!(output.remarks().ends_with(&format!("{cure}\n")));
        // It is sent again, which this server acknowledges and does not keep.
        assert_eq!(venti.counts().writes, 20 + round);
    }
    venti.forget(BlockType::Data, &score);
    site.give(&venti, [score]);
    let output = site.ventiprog().run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

/// Its index knows a block that its disk does not have any more.
#[test]
fn what_a_target_says_it_has_already_is_read_back() {
    let site = Site::new(90);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    for number in (10..90).step_by(3) {
        assert!(venti.corrupt(BlockType::Data, &site.score(0, number)));
    }
    // The record is lost.
    for name in ["wrcmd", "wrcmds"] {
        fs::remove_file(site.state(name)).unwrap();
    }
    let output = site.runs(&[&venti], 4);
    let named = format!("data block {} is damaged there (", site.score(0, 10));
    assert!(output.stderr.contains(&named), "{output:?}");
    assert_eq!(site.file("wrcmd"), "");
}

#[test]
fn damage_of_a_target_that_was_forgotten_is_found_when_it_is_a_target_again() {
    let site = Site::new(MANY);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 700);
    venti.corrupt(BlockType::Data, &score);
    let verified = site.ventiprog().arg("--verify").run();
    assert_eq!(verified.status, 4, "{verified:?}");
    fs::remove_file(site.state("wrcmd")).unwrap();
    let forgotten = site.ventiprog().args(["--forget", &venti.dial()]).run();
    let said = "could not give back blocks that are on record (1): these are forgotten too";
    assert!(forgotten.stderr.contains(said), "{forgotten:?}");
    let output = site.runs(&[&venti], 4);
    let named = format!("data block {score} is damaged there (");
    assert!(output.stderr.contains(&named), "{output:?}");
}

#[test]
fn an_external_engine_does_not_hide_what_was_forgotten() {
    let site = Site::new(MANY);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 700);
    venti.corrupt(BlockType::Data, &score);
    fs::remove_file(site.state("wrcmd")).unwrap();
    let forgotten = site.ventiprog().args(["--forget", &venti.dial()]).run();
    assert_eq!(forgotten.status, 0, "{forgotten:?}");
    let config = format!(
        "engine = 'external'\nwrarena = ['{}']\n{LIMITS}",
        program("wrarena")
    );
    let command = site.ventiprog().config(&config).args(["-p", &site.part()]);
    let output = command.arg(venti.dial()).run();
    assert_eq!(output.status, 4, "{output:?}");
    let named = format!("data block {score} is damaged there (");
    assert!(output.stderr.contains(&named), "{output:?}");
}

#[test]
fn a_target_that_has_lost_some_is_read_back_whole() {
    let site = Site::new(MANY);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 700);
    venti.corrupt(BlockType::Data, &score);
    venti.forget(BlockType::Data, &site.score(0, MANY - 1));
    for _ in 0..2 {
        let output = site.ventiprog().run();
        assert_eq!(output.status, 4, "{output:?}");
        let named = format!("data block {score} is damaged there (");
        assert!(output.stderr.contains(&named), "{output:?}");
    }
}

#[test]
fn a_run_that_ends_with_4_does_not_move_the_wrcmd() {
    let mut site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let (wrcmd, log) = (site.file("wrcmd"), site.file("rootscor"));
    venti.forget(BlockType::Data, &site.score(0, 3));
    site.add(5);
    let output = site.ventiprog().run();
    assert_eq!((output.status, output.stdout.as_str()), (4, ""));
    assert_eq!((site.file("wrcmd"), site.file("rootscor")), (wrcmd, log));
    assert_eq!(site.stands(&venti.dial()), Some((0, site.end(0))));
    assert_eq!(site.ventiprog().run().status, 0);
    let end = format!("{}\n", site.command(&venti.dial(), 0, site.end(0)));
    assert_eq!(site.file("wrcmd"), end);
}

#[test]
fn a_target_that_acknowledges_and_keeps_nothing_is_found_out_by_the_next_run() {
    let site = Site::new(50);
    let venti = Venti::faulty([Fault::from(On::Write, 1, How::Lose)]);
    site.runs(&[&venti], 0);
    assert_eq!(site.holes(&venti), 50);
    let output = site.ventiprog().run();
    assert_eq!(output.status, 4, "{output:?}");
    assert!(output.stderr.contains(" is missing, "), "{output:?}");
    assert_eq!(site.ventiprog().run().status, 4, "nothing has changed");
    venti.heal();
    assert_eq!(site.ventiprog().run().status, 4);
    assert_eq!(site.holes(&venti), 0);
    assert_eq!(site.ventiprog().run().status, 0);
}

/// The sample of the next run may miss what this one found.
#[test]
fn what_was_found_missing_is_not_forgotten_when_the_run_dies() {
    let site = Site::new(MANY);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 5);
    venti.forget(BlockType::Data, &score);
    venti.fault(Fault::from(On::Probe, 1, How::Stall));
    let command = site.ventiprog().config("[limits]\nsilence = 60\n");
    let probes = venti.counts().probes;
    let mut run = command.arg("--verify").start();
    while venti.counts().probes == probes && run.is_running() {
        std::thread::yield_now();
    }
    run.kill();
    assert_eq!(run.wait().status, 137);
    venti.heal();
    let output = site.ventiprog().run();
    assert_eq!((output.status, site.holes(&venti)), (0, 0), "{output:?}");
}

/// Its index still names the block, so that a probe finds it.
#[test]
fn a_server_that_claims_what_it_has_lost_is_not_asked_but_sent_to() {
    let site = Site::new(300);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let score = site.score(0, 150);
    assert!(venti.hollow(BlockType::Data, &score));
    let output = site.ventiprog().arg("--verify").run();
    assert_eq!(output.status, 4, "{output:?}");
    assert!(
        output.stderr.contains(&format!("{score} is missing")),
        "{output:?}"
    );
    assert_eq!(venti.counts().writes, 600);
    let output = site.ventiprog().arg("--verify").run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

/// Other servers than plan9port's have other words for it.
#[test]
fn a_target_with_an_empty_disk_is_sent_everything_whatever_its_words() {
    for words in [
        "no such block",
        "no such score/type",
        "Score SCORE: not here",
    ] {
        let site = Site::new(100);
        let venti = Venti::saying(words);
        site.runs(&[&venti], 0);
        venti.wipe();
        let output = site.ventiprog().run();
        assert_eq!(output.status, 4, "{words}: {output:?}");
        assert!(
            output
                .stderr
                .contains("is missing, but was acknowledged before")
        );
        assert!(!output.stderr.contains("is damaged there"), "{output:?}");
        assert_eq!(site.holes(&venti), 0, "{words}");
        let output = site.ventiprog().run();
        assert_eq!(output.status, 0, "{words}: {output:?}");
        // Damage is told from that still.
        venti.corrupt(BlockType::Data, &site.score(0, 7));
        let output = site.ventiprog().arg("--verify").run();
        assert_eq!(output.status, 4, "{words}: {output:?}");
        assert!(output.stderr.contains("is damaged there"), "{output:?}");
    }
}

/// Asked for nothing of a block, some servers break the protocol.
#[test]
fn a_server_that_cannot_be_probed_without_nonsense_is_sent_to() {
    let site = Site::new(100);
    let nonsense = || Fault::from(On::Probe, 1, How::Say(vec![0, 0, 0, 2, 13, 0]));
    let venti = Venti::faulty([nonsense()]);
    // It has a block: what it says of that is what breaks the protocol.
    site.give(&venti, [site.score(0, 0)]);
    site.runs(&[&venti], 0);
    assert_eq!((venti.counts().writes, site.holes(&venti)), (100, 0));
    // Its disk is lost: no probe is needed for that either.
    venti.wipe();
    venti.fault(nonsense());
    assert_eq!(site.ventiprog().run().status, 4);
    assert_eq!(site.holes(&venti), 0);
    assert_eq!(site.ventiprog().run().status, 0);
}

#[test]
fn another_target_is_not_looked_at_twice_because_one_has_holes() {
    let site = Site::new(100);
    let (good, bad) = (Venti::start(), Venti::start());
    site.runs(&[&good, &bad], 0);
    bad.forget(BlockType::Data, &site.score(0, 50));
    let before = good.counts();
    site.runs(&[&good, &bad], 4);
    assert_eq!(site.holes(&bad), 0);
    let after = good.counts();
    assert_eq!((after.probes, after.writes), (before.probes, before.writes));
}

/// What was never sent there is not missing.
#[test]
fn a_source_that_was_formatted_again_makes_nothing_missing() {
    let mut site = Site::new(50);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    site.format_again(&PartitionBuilder::new().seed(2).arenas(2, 8 << 20));
    site.add(60);
    let output = site.run(&[&venti]);
    assert!(!output.stderr.contains("missing"), "{output:?}");
    assert_eq!((output.status, site.holes(&venti)), (0, 0), "{output:?}");
}

#[test]
fn a_damaged_directory_entry_makes_nothing_missing() {
    let mut site = Site::new(50);
    let flip = |entry: &mut [u8]| entry[10] ^= 1;
    site.partition.edit_entry(0, 20, flip).unwrap();
    let venti = Venti::start();
    let output = site.runs(&[&venti], 3);
    assert!(output.stderr.contains("whole and was sent"), "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    let output = site.ventiprog().run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

/// The web server of a target: its index page counts what this site has, and
/// `emptied` is called when a cache is emptied.
fn web(counted: &Site, emptied: impl Fn() + Send + Sync + 'static) -> Http {
    let index = index::page(&[(&counted.partition, "/arenas")]);
    Http::serve(move |path| match path {
        "/index" => Answer::page(&index),
        "/emptydcache" => {
            emptied();
            Answer::page("emptied dcache\n")
        }
        "/emptylumpcache" => Answer::page("emptied lumpcache\n"),
        _ => Answer::with("404 Not Found", "", "not found\n"),
    })
}

/// A run whose configuration names a target's index page.
fn run_with_page(site: &Site, venti: &Venti, web: &Http) -> Output {
    let table = format!("[target_index]\n'{}' = '{}'\n", venti.dial(), web.url());
    let command = site.ventiprog().config(&table).args(["-p", &site.part()]);
    command.arg(venti.dial()).run()
}

#[test]
fn a_target_whose_page_counts_less_than_it_has_acknowledged_is_named() {
    let site = Site::new(60);
    let fewer = Site::new(40);
    let venti = Venti::start();
    let output = run_with_page(&site, &venti, &web(&fewer, || ()));
    assert_eq!((output.status, &*output.stdout), (4, ""), "{output:?}");
    let said = "has acknowledged 60 blocks, and its index page counts 40: ";
    assert!(output.stderr.contains(said), "{output:?}");
    let output = run_with_page(&site, &venti, &web(&site, || ()));
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn a_block_that_the_source_has_twice_counts_once() {
    let mut site = Site::new(60);
    let venti = Venti::start();
    let counted = Site::new(60);
    for _ in 0..3 {
        site.add_again(7);
    }
    let output = run_with_page(&site, &venti, &web(&counted, || ()));
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
}

/// The page of a real server counts blocks that its disk did not take.
#[test]
fn what_a_target_has_in_memory_only_is_found_out_where_its_page_is_known() {
    let site = Site::new(60);
    let venti = Arc::new(Venti::start());
    let lost: Vec<Score> = (30..60).map(|number| site.score(0, number)).collect();
    let memory = (Arc::clone(&venti), lost.clone());
    let web = web(&site, move || {
        for score in &memory.1 {
            memory.0.forget(BlockType::Data, score);
        }
    });
    // At once.
    let output = run_with_page(&site, &venti, &web);
    assert_eq!((output.status, &*output.stdout), (4, ""), "{output:?}");
    for said in [
        " is missing, but was acknowledged before",
        "its disk may be full; make room there, restart it, then run ventiprog --verify",
        "30 were missing on a target",
    ] {
        assert!(output.stderr.contains(said), "{output:?}");
    }
    assert_eq!(
        (site.file("wrcmd"), site.holes(&venti)),
        (String::new(), 30)
    );
    // And as long as it is so.
    assert_eq!(run_with_page(&site, &venti, &web).status, 4);

    // Also where a run that does not know of the page was content with it.
    site.runs(&[&venti], 0);
    assert_eq!(run_with_page(&site, &venti, &web).status, 4);
}

#[test]
fn a_web_server_that_cannot_empty_caches_is_named() {
    let site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let page = Http::page(index::page(&[(&site.partition, "/arenas")]));
    let output = run_with_page(&site, &venti, &page);
    let said =
        "its caches were not emptied, so a loss may go unseen: expected \"emptied ...\" from ";
    assert!(
        output.status == 3 && output.stderr.contains(said),
        "{output:?}"
    );
}

#[test]
fn a_page_of_no_target_of_the_run_is_named() {
    let site = Site::new(10);
    let (venti, other) = (Venti::start(), Venti::start());
    site.runs(&[&venti, &other], 0);
    let run = |key: &str, options: &[&str]| {
        let table = format!("[target_index]\n'{key}' = 'http://localhost:1/index'\n");
        let command = site.ventiprog().config(&table).args(options);
        command.args([venti.dial()]).run()
    };
    // A target, but not of this run.
    let output = run(&other.dial(), &[]);
    assert_eq!(output.status, 0, "{output:?}");
    let said = format!(
        "ventiprog: [target_index]: {:?} is not a target of this run: ",
        other.dial()
    );
    assert!(output.stderr.contains(&said), "{output:?}");
    assert_eq!(run(&other.dial(), &["-q"]).stderr, "");
    // A slip.
    let output = run("no-such-venti", &["-q"]);
    assert_eq!(output.status, 0, "{output:?}");
    let said = "ventiprog: [target_index]: \"no-such-venti\" is not a target, ";
    assert!(output.stderr.starts_with(said), "{output:?}");
    let before = venti.counts();
    let output = run("a!b!c!d", &[]);
    output.assert_refused(2, "key `'a!b!c!d'`: expected tcp!host!port");
    assert_eq!(venti.counts(), before);
}

#[test]
fn what_the_directory_does_not_name_is_read_back_by_the_log() {
    let mut site = Site::new(30);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    // All that is lost there is what the directory does not name any more.
    let lost: Vec<_> = (3..20).map(|number| site.score(0, number)).collect();
    for number in 3..20 {
        let at = site.partition.arenas()[0].entry_offset(number);
        site.partition.write_raw(at, &[0; 25]).unwrap();
    }
    for score in &lost {
        assert!(venti.forget(BlockType::Data, score));
    }
    let verify = |site: &Site| site.ventiprog().arg("--verify").run();
    let output = verify(&site);
    assert_eq!(output.status, 4, "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    let output = verify(&site);
    assert!(
        output.stderr.contains("30 blocks read back and right"),
        "{output:?}"
    );

    // Where the log is gone as well, nobody can tell, and that is said.
    let at = site.partition.arenas()[0].base() + site.partition.arenas()[0].clumps()[5].offset;
    site.partition.write_raw(at, &[0; 40]).unwrap();
    let output = verify(&site);
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output
            .stderr
            .contains("the directory and the log that named them are damaged"),
        "{output:?}"
    );
}
