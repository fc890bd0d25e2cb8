//! ventiprog killed at any moment, and targets that crash.

use std::thread;
use std::time::Duration;

use venti_tests::random::Random;
use venti_tests::venti::Venti;

use crate::fixture::site::Site;

const KILLS: usize = 200;

/// No line is ahead of what its target has on disk: what is not synced is
/// lost by a crash.
fn assert_nothing_claimed(site: &Site, ventis: &[Venti; 3], random: &mut Random) {
    for venti in ventis {
        if random.below(3) == 0 {
            venti.crash();
        }
        if let Some(place) = site.stands(&venti.dial()) {
            assert_eq!(site.holes_before(venti, place), 0, "{place:?}");
        }
    }
}

fn fresh() -> [Venti; 3] {
    [Venti::start(), Venti::start(), Venti::start()]
}

/// Blocks sent, and those of them that were there already.
fn add_counts(sum: &mut (u64, u64), ventis: &[Venti; 3]) {
    for counts in ventis.each_ref().map(Venti::counts) {
        sum.0 += counts.writes;
        sum.1 += counts.duplicates;
    }
}

#[test]
fn two_hundred_kills_leave_no_hole_and_send_little_twice() {
    let mut site = Site::empty(4);
    for _ in 0..3 {
        site.add(400);
        site.seal();
    }
    let mut random = Random::new(29);
    let mut ventis = fresh();
    let (mut sent, mut ended, mut moved) = ((0, 0), 0, 0);
    let limits = "[limits]\nconnect = 2\nsilence = 2\nsync = 2\ncheckpoint = 524288\n";
    let part = site.part();
    let run = |ventis: &[Venti; 3]| {
        let command = site.ventiprog().config(limits).args(["-p", &part]);
        command.args(ventis.each_ref().map(Venti::dial))
    };
    let whole = |ventis: &[Venti; 3]| {
        let writes = ventis.each_ref().map(|venti| venti.counts().writes);
        writes.iter().sum::<u64>()
    };
    for _ in 0..KILLS {
        let until = whole(&ventis) + random.below(1200) as u64;
        let mut running = run(&ventis).start();
        while whole(&ventis) < until && running.is_running() {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_millis(random.below(12) as u64));
        running.kill();
        let status = running.wait().status;
        assert!(matches!(status, 0 | 137), "{status}");
        moved += usize::from(!site.file("wrcmds").is_empty());
        assert_nothing_claimed(&site, &ventis, &mut random);
        if ventis.each_ref().map(|venti| site.holes(venti)) == [0; 3] {
            ended += 1;
            add_counts(&mut sent, &ventis);
            ventis = fresh();
            for name in ["wrcmd", "wrcmds"] {
                drop(std::fs::remove_file(site.state(name)));
            }
        }
    }
    assert!(
        ended > 3 && ended < KILLS / 2 && moved > KILLS / 3,
        "{ended} {moved}"
    );
    let output = run(&ventis).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(ventis.each_ref().map(|venti| site.holes(venti)), [0; 3]);
    add_counts(&mut sent, &ventis);
    let (writes, again) = sent;
    assert!(again * 20 < writes, "{again} of {writes} blocks sent twice");
}
