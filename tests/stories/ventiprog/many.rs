//! ventiprog: every target has a place of its own.

use venti_tests::venti::{Fault, How, On, Venti, closed_port};
use venticore::codec::blocktype::BlockType;

use crate::fixture::site::{BLOCK, Site};

#[test]
fn one_that_is_down_neither_moves_nor_holds_back_the_others() {
    let mut site = Site::new(40);
    let (b, c, d) = (Venti::start(), Venti::start(), Venti::start());
    site.runs(&[&b, &c], 0);
    let (line, wrcmd, log) = (
        site.place(&c.dial()),
        site.file("wrcmd"),
        site.file("rootscor"),
    );

    site.add(10);
    c.fault(Fault::from(On::Connection, 1, How::Close));
    let output = site.runs(&[&b, &c], 3);
    assert_eq!(output.stdout, "");
    assert_eq!(site.holes(&b), 0);
    assert_eq!(site.stands(&b.dial()), Some((0, site.end(0))));
    assert_eq!(site.place(&c.dial()), line);
    assert_eq!((site.file("wrcmd"), site.file("rootscor")), (wrcmd, log));

    // It returns, and goes on from its own line.
    c.heal();
    site.add(10);
    site.runs(&[&b, &c], 0);
    assert_eq!((c.counts().writes, c.counts().duplicates), (60, 0));
    assert_eq!((b.counts().writes, b.counts().duplicates), (60, 0));
    let end = format!("{}\n", site.command(&b.dial(), 0, site.end(0)));
    assert_eq!(site.file("wrcmd"), end);

    // Another joins, and gets everything.
    site.runs(&[&b, &c, &d], 0);
    assert_eq!((d.counts().writes, site.holes(&d)), (60, 0));
    assert_eq!((b.counts().writes, c.counts().writes), (60, 60));
    assert_eq!(site.file("wrcmd"), end, "the wrcmd has another host");
}

#[test]
fn one_that_never_answered_has_no_line() {
    let site = Site::new(10);
    let (venti, down) = (Venti::start(), closed_port());
    let command = site.ventiprog().args(["-p", &site.part(), &down]);
    let output = command.arg(venti.dial()).run();
    assert_eq!((output.status, output.stdout.as_str()), (3, ""));
    assert_eq!(site.place(&down), None);
    assert_eq!(site.stands(&venti.dial()), Some((0, site.end(0))));
    assert_eq!(site.file("wrcmd"), "", "not built before all are there");
}

#[test]
fn what_a_target_has_already_costs_probes_and_no_data() {
    let mut site = Site::empty(3);
    site.add(700);
    site.seal();
    site.add(300);
    let venti = Venti::start();
    site.give(&venti, site.data.keys().copied());
    let output = site.runs(&[&venti], 0);
    let said = format!(
        "ventiprog: {}: 0 blocks sent, 0 bytes of log, 1000 there already, 0 damaged in the source, 0 read back\n",
        venti.dial()
    );
    assert!(output.remarks().ends_with(&said), "{output:?}");
    let counts = venti.counts();
    assert_eq!((counts.writes, counts.probes), (0, 1000));
    let data = (1000 * BLOCK) as u64;
    assert!(counts.received < data / 50, "{counts:?}");
    assert_eq!(site.stands(&venti.dial()), Some((1, site.end(1))));
}

#[test]
fn only_what_is_missing_is_sent() {
    let site = Site::new(1000);
    let venti = Venti::start();
    let lacking: Vec<usize> = (0..1000).step_by(97).collect();
    let has = (0..1000).filter(|number| !lacking.contains(number));
    site.give(&venti, has.map(|number| site.score(0, number)));
    site.runs(&[&venti], 0);
    let counts = venti.counts();
    assert_eq!(counts.writes, lacking.len() as u64);
    assert_eq!((counts.duplicates, site.holes(&venti)), (0, 0));
}

#[test]
fn a_server_without_a_usable_probe_is_written_to_again() {
    let site = Site::new(300);
    let venti = Venti::faulty([Fault::no_probe()]);
    site.give(&venti, site.data.keys().copied().skip(10));
    site.runs(&[&venti], 0);
    let counts = venti.counts();
    assert_eq!((counts.writes, counts.duplicates), (300, 290));
    assert_eq!(site.holes(&venti), 0);
}

#[test]
fn a_server_that_claims_what_it_does_not_have_loses_nothing() {
    let site = Site::new(300);
    let claim = format!("read too small 1: asked for 0 need at least {BLOCK}");
    let claims = Fault::from(On::Probe, 1, How::Error(claim));
    let other_size = "read too small 1: asked for 0 need at least 77".to_owned();
    let other_size = Fault::from(On::Probe, 1, How::Error(other_size));
    let ventis = [claims, other_size].map(|fault| Venti::faulty([fault]));
    site.runs(&[&ventis[0], &ventis[1]], 0);
    for venti in ventis {
        assert_eq!((venti.counts().writes, site.holes(&venti)), (300, 0));
    }
}

#[test]
fn what_is_claimed_and_cannot_be_read_is_sent_again() {
    let site = Site::new(300);
    let venti = Venti::start();
    site.give(&venti, site.data.keys().copied());
    for number in 0..300 {
        venti.corrupt(BlockType::Data, &site.score(0, number));
    }
    site.runs(&[&venti], 0);
    assert_eq!(venti.counts().writes, 300, "the probe proves nothing there");
}

#[test]
fn targets_at_one_place_and_others_behind_meet_at_the_end() {
    let mut site = Site::new(20);
    let ventis = [Venti::start(), Venti::start(), Venti::start()];
    let [a, b, c] = &ventis;
    site.runs(&[a, b], 0);
    site.add(20);
    site.runs(&[a], 0);
    site.add(20);
    // a is the wrcmd's host; b lacks forty, c has nothing.
    site.runs(&[b, c], 0);
    for venti in &ventis {
        assert_eq!((venti.counts().writes, venti.counts().duplicates), (60, 0));
        assert_eq!(site.stands(&venti.dial()), Some((0, site.end(0))));
    }
}
