//! ventiprog: from arena to arena, without a hand.

use venti_tests::venti::{Fault, How, On, Venti};

use crate::fixture::site::{LIMITS, Site};

/// The arenas of a new site: two sealed, one in use, one empty.
fn three_arenas() -> Site {
    let mut site = Site::empty(4);
    site.add(30);
    site.seal();
    site.add(20);
    site.seal();
    site.add(10);
    site
}

#[test]
fn one_run_brings_a_new_target_from_nothing_to_current() {
    let site = three_arenas();
    let venti = Venti::start();
    let command = site.ventiprog().args(["-p", &site.part(), &venti.dial()]);
    let output = command.run();
    let new = format!("{}\n", site.command(&venti.dial(), 2, site.end(2)));
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(output.stdout, new, "there was no old command");
    assert_eq!(site.file("wrcmd"), new);
    assert_eq!(site.stands(&venti.dial()), Some((2, site.end(2))));
    assert_eq!((venti.counts().writes, site.holes(&venti)), (60, 0));
    let log = site.file("rootscor");
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, [new.trim_end()]);

    // The next needs nothing but cron.
    let output = site.ventiprog().run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(output.stdout, format!("{new}{new}"));
    assert_eq!(venti.counts().writes, 60);
    assert_eq!(site.file("rootscor"), log);
}

#[test]
fn the_wrcmd_waits_in_a_used_up_arena_and_then_crosses_by_itself() {
    let mut site = Site::empty(4);
    let venti = Venti::start();
    site.add(30);
    site.runs(&[&venti], 0);
    site.seal();
    site.runs(&[&venti], 0);
    let waiting = format!("{}\n", site.command(&venti.dial(), 0, site.end(0)));
    assert_eq!(site.file("wrcmd"), waiting);
    assert_eq!(site.stands(&venti.dial()), Some((0, site.end(0))));

    // An arena without clumps, sealed too, is nothing to wait in.
    site.seal();
    site.runs(&[&venti], 0);
    assert_eq!(site.file("wrcmd"), waiting);
    site.add(5);
    let output = site.runs(&[&venti], 0);
    let crossed = format!("{}\n", site.command(&venti.dial(), 2, site.end(2)));
    assert_eq!(output.stdout, format!("{waiting}{crossed}"));
    assert_eq!(site.file("wrcmd"), crossed);
    assert_eq!(site.stands(&venti.dial()), Some((2, site.end(2))));
    assert_eq!((venti.counts().writes, site.holes(&venti)), (35, 0));
}

/// The trailer of the first arena does not say yet that it is sealed.
fn unsealed_on_disk() -> Site {
    let mut site = Site::empty(3);
    site.add(30);
    site.seal();
    site.add(10);
    let mut counters = site.partition.arenas()[0].counters();
    counters.sealed = false;
    site.partition.set_counters(0, counters, None).unwrap();
    site
}

#[test]
fn an_arena_that_may_still_grow_keeps_later_ones_waiting() {
    let mut site = unsealed_on_disk();
    let venti = Venti::start();
    let output = site.runs(&[&venti], 3);
    assert_eq!(output.stdout, "");
    let said = "arena arena0 is not sealed on disk, and later ones have clumps: \
                name the source venti (-s) so that it can be synced first";
    assert!(output.stderr.contains(said), "{output:?}");
    assert_eq!(
        (venti.counts().writes, site.file("wrcmd").as_str()),
        (30, "")
    );
    assert_eq!(site.stands(&venti.dial()), Some((0, site.end(0))));

    // Once the seal is on disk it goes on by itself.
    let counters = site.partition.arenas()[0].counters();
    site.partition.set_counters(0, counters, None).unwrap();
    site.runs(&[&venti], 0);
    assert_eq!((venti.counts().writes, site.holes(&venti)), (40, 0));
}

#[test]
fn a_synced_source_has_no_arena_that_may_still_grow_before_others() {
    let site = unsealed_on_disk();
    let (source, venti) = (Venti::start(), Venti::start());
    site.give(&source, [site.score(1, 9)]);
    let run = || {
        let command = site.ventiprog().args(["-s", &source.dial()]);
        command.args(["-p", &site.part(), &venti.dial()]).run()
    };
    let output = run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!((venti.counts().writes, site.holes(&venti)), (40, 0));
    assert_eq!(site.stands(&venti.dial()), Some((1, site.end(1))));
    let moved = site.file("wrcmd");
    assert!(moved.contains(&format!("-o {} ", site.head(1))), "{moved}");

    assert_eq!(run().status, 0);
    assert_eq!((source.counts().syncs, venti.counts().writes), (2, 40));
}

/// A writer is at work: an arena is filled and sealed, and the run that has
/// read it before goes on into the next.
#[test]
fn an_arena_that_was_filled_during_a_run_makes_nothing_be_asked_again() {
    let mut site = Site::empty(4);
    site.add(300);
    site.seal();
    site.add(30);
    let source = Venti::start();
    site.give(&source, site.data.keys().copied());
    let venti = Venti::faulty([Fault::at(On::Probe, 1, How::Silence)]);
    let limits = LIMITS.replace("retries = 0", "retries = 1");
    let command = site.ventiprog().config(&limits);
    let command = command.args(["-s", &source.dial(), "-p", &site.part(), &venti.dial()]);
    let mut run = command.start();
    while venti.counts().probes == 0 && run.is_running() {
        std::thread::yield_now();
    }
    site.add(10);
    site.seal();
    site.add(10);
    site.give(&source, site.data.keys().copied());
    let output = run.wait();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(site.stands(&venti.dial()), Some((2, site.end(2))));
    assert_eq!(site.holes(&venti), 0);

    let probes = venti.counts().probes;
    let output = site.ventiprog().args(["-s", &source.dial()]).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    let again = venti.counts().probes - probes;
    assert!(again <= 20, "{again} of 350 were asked again");
    let probes = venti.counts().probes;
    assert_eq!(
        site.ventiprog().args(["-s", &source.dial()]).run().status,
        0
    );
    assert_eq!(venti.counts().probes, probes);
}

#[test]
fn a_new_target_starts_in_the_first_arena_when_the_wrcmd_is_in_the_last() {
    let mut site = three_arenas();
    let (first, second) = (Venti::start(), Venti::start());
    site.runs(&[&first], 0);
    site.add(5);
    let output = site.runs(&[&second], 0);
    assert_eq!((first.counts().writes, second.counts().writes), (65, 65));
    assert_eq!((site.holes(&first), site.holes(&second)), (0, 0));
    assert_eq!(output.stdout.lines().count(), 2);
    assert_eq!(site.stands(&first.dial()), site.stands(&second.dial()));
}
