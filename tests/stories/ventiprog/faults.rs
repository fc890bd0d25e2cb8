//! ventiprog: checkpoints, second tries, slow targets.

use std::thread;
use std::time::{Duration, Instant};

use venti_tests::command::{self, Command};
use venti_tests::venti::{Fault, How, On, Venti};

use crate::fixture::site::{BLOCK, Site};

/// Blocks in a site: 12 MiB, two dozen batches.
const BLOCKS: usize = 3000;

fn seeded() -> Site {
    let mut site = Site::empty(4);
    for _ in 0..3 {
        site.add(BLOCKS / 3);
        site.seal();
    }
    site
}

/// A run that asks for a sync every quarter of a megabyte, and tries again so
/// many times.
fn seeding(site: &Site, retries: u32, targets: &[&Venti]) -> Command {
    let limits = format!(
        "[limits]\nconnect = 2\nsilence = 1\nsync = 2\nretries = {retries}\ncheckpoint = 262144\n"
    );
    let command = site.ventiprog().config(&limits);
    let targets = targets.iter().map(|venti| venti.dial());
    command.args(["-v", "-p", &site.part()]).args(targets)
}

#[test]
fn a_target_that_drops_the_connection_again_and_again_is_served_in_one_run() {
    let site = seeded();
    let drops = [250, 700, 701, 1500, 2100, 2900];
    let venti = Venti::faulty(drops.map(|write| Fault::at(On::Write, write, How::Close)));
    let output = seeding(&site, 3, &[&venti]).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.holes(&venti), 0);
    let counts = venti.counts();
    // The last one reads back a sample of what was there already.
    assert_eq!(counts.connections, 1 + drops.len() as u64 + 1);
    let again = output.stderr.matches("; again in ").count();
    assert_eq!(again, drops.len(), "{output:?}");
    assert!(counts.writes < (BLOCKS + BLOCKS / 2) as u64, "{counts:?}");
    assert!(counts.duplicates < 100, "{counts:?}");
    assert!(counts.syncs > 20, "{counts:?}");
}

#[test]
fn a_target_that_restarts_may_be_away_for_a_while() {
    let site = seeded();
    let away = (2..=3).map(|connection| Fault::at(On::Connection, connection, How::Close));
    let venti = Venti::faulty(away.chain([Fault::at(On::Write, 1500, How::Close)]));
    let output = seeding(&site, 3, &[&venti]).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!((venti.counts().connections, site.holes(&venti)), (5, 0));
}

#[test]
fn when_tries_are_used_up_the_place_is_the_last_checkpoint() {
    let site = seeded();
    let venti = Venti::faulty([Fault::from(On::Write, 1500, How::Close)]);
    let output = seeding(&site, 2, &[&venti]).run();
    assert_eq!((output.status, output.stdout.as_str()), (6, ""));
    assert_eq!(output.stderr.matches("; again in ").count(), 2);
    assert_eq!(venti.counts().connections, 3);
    let (arena, offset) = site.stands(&venti.dial()).unwrap();
    assert!((arena, offset) > (0, 0) && (arena, offset) < (1, site.end(1)));
    assert_eq!(site.holes_before(&venti, (arena, offset)), 0);

    // The next run goes on from there.
    venti.heal();
    let before = venti.counts();
    assert_eq!(seeding(&site, 0, &[&venti]).run().status, 0);
    let writes = venti.counts().writes - before.writes;
    assert!(writes < 2000, "{writes} writes");
    assert_eq!(site.holes(&venti), 0);
}

#[test]
fn a_silent_target_is_given_up_after_the_limit() {
    let site = seeded();
    let (good, silent) = (Venti::start(), Venti::start());
    silent.fault(Fault::from(On::Write, 1500, How::Stall));
    command::build();
    let start = Instant::now();
    let output = seeding(&site, 0, &[&good, &silent]).run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(output.stderr.contains("within 1s"), "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(site.holes(&good), 0);
    assert_eq!(site.stands(&good.dial()), Some((2, site.end(2))));
}

#[test]
fn a_slow_target_does_not_hold_the_others_back() {
    let site = seeded();
    let (one, two, slow) = (Venti::start(), Venti::start(), Venti::start());
    let trickle = How::Trickle(Duration::from_millis(2));
    slow.fault(Fault::from(On::Write, 1, trickle));
    let mut run = seeding(&site, 0, &[&one, &two, &slow]).start();
    let deadline = Instant::now() + Duration::from_secs(30);
    let end = Some((2, site.end(2)));
    let at_end = |venti: &Venti| site.stands(&venti.dial()) == end;
    while !(at_end(&one) && at_end(&two)) {
        assert!(run.is_running() && Instant::now() < deadline);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(run.is_running());
    assert_eq!((site.holes(&one), site.holes(&two)), (0, 0));
    assert!(site.holes(&slow) > 0);
    assert!(!at_end(&slow));
    slow.heal();
    let output = run.wait();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!((at_end(&slow), site.holes(&slow)), (true, 0));
    for venti in [&one, &two, &slow] {
        assert_eq!(venti.counts().duplicates, 0);
    }
}

/// Each of them keeps other blocks, for as long as the limit on silence allows.
#[test]
fn targets_at_which_nothing_moves_do_not_hold_the_others_back() {
    let site = seeded();
    let good = Venti::start();
    let stuck = [1, 700, 1400, 2100]
        .map(|write| Venti::faulty([Fault::from(On::Write, write, How::Stall)]));
    let mut run = site
        .ventiprog()
        .config("[limits]\nsilence = 600\nretries = 0\ncheckpoint = 262144\n")
        .args(["-p", &site.part(), &good.dial()])
        .args(stuck.iter().map(Venti::dial))
        .start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while site.stands(&good.dial()) != Some((2, site.end(2))) {
        assert!(
            run.is_running() && Instant::now() < deadline,
            "it waits, too"
        );
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(site.holes(&good), 0);
    run.kill();
    let _ = run.wait();
}

#[test]
fn the_rate_is_kept() {
    let mut site = Site::empty(1);
    site.add((2 << 20) / BLOCK);
    let (fast, slow) = (Venti::start(), Venti::start());
    site.runs(&[&fast], 0);
    let start = Instant::now();
    let command = site.ventiprog().args(["-b", "1M", &slow.dial()]);
    assert_eq!(command.run().status, 0);
    assert!(start.elapsed() > Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(8));
    assert_eq!(site.holes(&slow), 0);
}

#[test]
fn a_rate_that_is_none_is_refused() {
    let site = Site::new(1);
    for rate in ["0", "M", "1.5M", "2X", "99999999999G", ""] {
        let output = site.ventiprog().args(["-b", rate, "127.0.0.1"]).run();
        assert_eq!(output.status, 2, "{rate:?}: {output:?}");
        assert!(output.stderr.contains("such as 500k or 2M"), "{output:?}");
    }
}
