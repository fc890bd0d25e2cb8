//! ventiprog: no target waits for another, whatever that one is busy with.

use std::fs;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use venti_tests::venti::{Fault, How, On, Venti, closed_port};
use venticore::codec::blocktype::BlockType;
use venticore::copy::replicate::{
    self, Assignment, Checkpoint, CopyJob, Manner, Recipient, SendFrom, TargetAccess, Trouble,
};
use venticore::net::client::Dialer;
use venticore::replica::StoreAccess;
use venticore::status::Status;

use crate::fixture::site::Site;

/// A limit on silence that outlasts the story.
const PATIENT: &str = "[limits]\nsilence = 600\nretries = 0\n";

/// How long the others may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a run in which `stuck` never answers what is read back, and ends it
/// once the others have what `done` says.
fn run_until(site: &Site, stuck: &Venti, done: impl Fn() -> bool) {
    stuck.fault(Fault::from(On::Read, 1, How::Stall));
    let mut run = site.ventiprog().config(PATIENT).arg(stuck.dial()).start();
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "the others wait, too");
        thread::yield_now();
    }
    assert!(run.is_running());
    run.kill();
    let _ = run.wait();
    stuck.heal();
}

#[test]
fn one_that_is_slow_to_give_back_holds_nobody_back() {
    let mut site = Site::new(40);
    let (stuck, other) = (Venti::start(), Venti::start());
    site.runs(&[&other, &stuck], 0);
    let place = site.place(&stuck.dial());
    site.add(20);
    let end = (0, site.end(0));
    run_until(&site, &stuck, || site.stands(&other.dial()) == Some(end));
    assert_eq!((site.holes(&other), site.place(&stuck.dial())), (0, place));
    site.runs(&[&other, &stuck], 0);
    assert_eq!((site.holes(&stuck), stuck.counts().duplicates), (0, 0));
}

/// One that always answers, and hardly ever gets on, would keep the lock.
#[test]
fn one_that_makes_no_progress_is_left_until_the_next_run() {
    let site = Site::new(400);
    let late = How::Late(Duration::from_millis(60));
    let slow = Venti::faulty([Fault::from(On::Write, 1, late)]);
    let other = Venti::start();
    let limits = "[limits]\nsilence = 600\nretries = 9\nprogress = 1\n";
    let command = site.ventiprog().config(limits);
    let command = command.args(["-p", &site.part(), &slow.dial(), &other.dial()]);
    let output = command.run();
    assert_eq!((output.status, site.holes(&other)), (3, 0), "{output:?}");
    let said = format!("ventiprog: {}: too slow: ", slow.dial());
    assert!(output.stderr.contains(&said), "{output:?}");
    assert_eq!(slow.counts().connections, 1, "again it is as slow");
    // It goes on when it is better.
    slow.heal();
    assert_eq!(site.runs(&[&slow, &other], 0).status, 0);
    assert_eq!(site.holes(&slow), 0);
}

/// The partitions come one after the other for each target, not for all.
#[test]
fn one_that_is_stuck_in_a_partition_keeps_no_other_from_the_next() {
    let mut site = Site::new(40);
    let more = Site::other(30);
    let (stuck, other) = (Venti::start(), Venti::start());
    let targets = [other.dial(), stuck.dial()];
    for part in [more.part(), site.part()] {
        // The wrcmd is that of the last; wrcmds remembers both.
        let _ = fs::remove_file(site.state("wrcmd"));
        let command = site.ventiprog().args(["-p", &part]);
        assert_eq!(command.args(&targets).run().status, 0);
    }
    assert_eq!(other.counts().writes, 70);
    site.add(20);
    run_until(&site, &stuck, || site.holes(&other) == 0);
    let output = site.ventiprog().args(&targets).run();
    assert_eq!((output.status, site.holes(&stuck)), (0, 0), "{output:?}");
}

#[test]
fn the_external_engine_keeps_targets_and_partitions_apart_too() {
    let mut site = Site::new(40);
    let more = Site::other(30);
    let (down, other) = (closed_port(), Venti::start());
    let ours = venti_tests::command::program("wrarena");
    let config = format!("wrarena = [{:?}]\n", ours.to_string());
    let run = |site: &Site, arguments: &[&str]| {
        let command = site.ventiprog().config(&config);
        command.args(["-e", "external"]).args(arguments).run()
    };
    for part in [more.part(), site.part()] {
        let _ = fs::remove_file(site.state("wrcmd"));
        let output = run(&site, &["-p", &part, &other.dial()]);
        assert_eq!((output.status, &*output.remarks()), (0, ""));
    }
    site.add(20);
    let before = site.file("wrcmd");
    let output = run(&site, &[&down]);
    assert_eq!((output.status, &*output.stdout), (3, ""), "{output:?}");
    assert_eq!((site.holes(&other), site.file("wrcmd")), (0, before));
    assert_eq!((other.counts().writes, other.counts().duplicates), (90, 0));
    assert_eq!(site.place(&down), None);

    // What it has lost is sent again.
    other.forget(BlockType::Data, &site.score(0, 3));
    let output = run(&site, &[]);
    assert_eq!((output.status, site.holes(&other)), (4, 0), "{output:?}");
    assert_eq!(run(&site, &[]).status, 0);
}

#[test]
fn a_connection_lost_while_reading_back_is_made_again() {
    let mut site = Site::new(40);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    site.add(5);
    venti.fault(Fault::at(On::Read, 20, How::Close));
    let command = site.ventiprog().config("[limits]\nretries = 2\n").arg("-v");
    let output = command.run();
    assert_eq!((output.status, site.holes(&venti)), (0, 0), "{output:?}");
    assert_eq!(
        output.stderr.matches("; again in ").count(),
        1,
        "{output:?}"
    );
}

#[test]
fn a_clump_is_decoded_once_for_all_targets() {
    let site = Site::new(700);
    let ventis = [Venti::start(), Venti::start(), Venti::start()];
    let command = site.ventiprog().args(["-j", "-p", &site.part()]);
    let output = command.args(ventis.iter().map(Venti::dial)).run();
    let run: serde_json::Value =
        serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((output.status, &run["decoded"]), (0, &700.into()));
    for venti in &ventis {
        assert_eq!((venti.counts().writes, site.holes(venti)), (700, 0));
    }
}

/// A bug met with one target ends that target's part, and the run.
#[test]
fn a_panic_in_one_targets_thread_leaves_the_others_alone() {
    let (bad, good) = (Venti::start(), Venti::start());
    let seats = [&bad, &good].map(|venti| Assignment {
        job: 0,
        target: Some(venti.dial().parse().unwrap()),
        is_new: true,
        start: SendFrom::default(),
        after: None,
    });
    let job = CopyJob {
        source: Arc::new(Vec::<u8>::new()),
        arenas: Vec::new(),
        cross: false,
        synced: true,
        max_clumps: None,
        tell_blocks: false,
    };
    let manner = Manner {
        retries: 3,
        backoff: Duration::ZERO,
        probe: true,
        rate: None,
        checkpoint: Checkpoint::default(),
        told: replicate::TOLD,
    };
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let look = |seat: usize, _: &mut Recipient| match seat {
            0 => panic!("a look that panics"),
            _ => Ok(()),
        };
        let outcomes = replicate::run(
            &[job],
            &seats,
            manner,
            TargetAccess {
                ventis: &Dialer::default(),
                replicas: &StoreAccess::default(),
            },
            &look,
            &mut |_| (),
        );
        ended.send(outcomes).unwrap();
    });
    let outcomes = end
        .recv_timeout(Duration::from_secs(30))
        .expect("the run ends");
    match &outcomes[0].trouble {
        Some(Trouble::Target(error)) => {
            assert_eq!(
                (error.status(), &*error.to_string()),
                (Status::Failed, "internal error")
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(outcomes[0].place.is_none());
    assert!(outcomes[1].trouble.is_none(), "{outcomes:?}");
}
