//! ventiprog: all that the source has is seen, or the run says what is not; and
//! the source is no target of its own.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::{Command, Output, skipped};
use venti_tests::http::{Answer, Http};
use venti_tests::index;
use venti_tests::relay::Relay;
use venti_tests::sample::Sample;
use venti_tests::venti::{Setup, Venti, closed_port};
use venticore::codec::blocktype::BlockType;

use crate::fixture::site::{BLOCK, LIMITS, Site};

const OFFLINE: &str = "offline = true\n[limits]\nconnect = 2\nsilence = 2\nsync = 2\nretries = 0\n";

fn port(venti: &Venti) -> u16 {
    venti.dial().rsplit('!').next().unwrap().parse().unwrap()
}

/// The source of a site: a venti that has what is in its partition.
fn source_of(site: &Site) -> Venti {
    let venti = Venti::start();
    site.give(&venti, site.data.keys().copied());
    venti
}

/// A first run from the site's partition, to this target.
fn first(site: &Site, target: &Venti) -> Command {
    let command = site.ventiprog().args(["-p", &site.part()]);
    command.arg(target.dial())
}

/// Another partition beside that of a site, with blocks of its own.
fn second(site: &Site, blocks: usize) -> Partition {
    let builder = PartitionBuilder::new().name("second").seed(5);
    let mut second = builder
        .arenas(2, 4 << 20)
        .create(&site.path("second"))
        .unwrap();
    let mut sample = Sample::new(77, 0);
    for _ in 0..blocks {
        second.append(13, &sample.noise(BLOCK)).unwrap();
    }
    second.flush().unwrap();
    second
}

fn holes_in(partition: &Partition, venti: &Venti) -> usize {
    let lacks = |score| !venti.contains(BlockType::Data, score);
    let clumps = partition.clumps();
    clumps.filter(|clump| lacks(&clump.score)).count()
}

#[track_caller]
fn assert_said(output: &Output, status: i32, said: &str) {
    assert_eq!(output.status, status, "{output:?}");
    assert!(output.stderr.contains(said), "{output:?}");
}

/// A page of a site's partition on a loopback address of its own, and the venti
/// there at the usual port if it is to run. None where somebody has that port.
fn page_host(page: String, with_venti: bool) -> Option<(Http, Option<Venti>)> {
    static LAST: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = LAST.fetch_add(1, Ordering::Relaxed);
    let host = format!("127.{}.{low}.{last}", high | 128);
    let venti = match TcpListener::bind((host.as_str(), 17034)) {
        Ok(listener) => with_venti.then(|| Venti::at(listener, Setup::default())),
        Err(error) => {
            skipped(&format!("a venti at the usual port: {host}: {error}"));
            return None;
        }
    };
    let listener = TcpListener::bind((host.as_str(), 0)).unwrap();
    let answer = Answer::page(page);
    Some((Http::at(listener, move |_| answer.clone()), venti))
}

#[test]
fn the_host_of_the_index_page_is_synced() {
    let site = Site::new(20);
    let page = index::page(&[(&site.partition, &site.part())]);
    let Some((http, Some(source))) = page_host(page, true) else {
        return;
    };
    site.give(&source, site.data.keys().copied());
    let target = Venti::start();
    let args = ["-i", &http.url(), &target.dial()];
    let output = site.ventiprog().args(args).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert_eq!((source.counts().syncs, site.holes(&target)), (1, 0));

    // Unless told otherwise.
    let output = site
        .ventiprog()
        .args(["--offline", "-i", &http.url()])
        .run();
    assert_eq!((output.status, source.counts().connections), (0, 1));
    let other = source_of(&site);
    let args = ["-s", &other.dial(), "-i", &http.url()];
    assert_eq!(site.ventiprog().args(args).run().status, 0);
    assert_eq!((other.counts().syncs, source.counts().connections), (1, 1));
    // As a target it is the source itself.
    let output = site
        .ventiprog()
        .args(["-i", &http.url(), &source.dial()])
        .run();
    assert_said(&output, 2, "is the source itself");
}

#[test]
fn a_host_of_the_page_that_does_not_sync_is_said_with_the_way_out() {
    let site = Site::new(20);
    let page = index::page(&[(&site.partition, &site.part())]);
    let Some((http, None)) = page_host(page, false) else {
        return;
    };
    let target = Venti::start();
    let url = http.url();
    let run = |args: &[&str]| {
        let command = site.ventiprog().args(["-i", &url]).args(args);
        command.arg(target.dial()).run()
    };
    let output = run(&[]);
    assert_said(&output, 3, "the host of the index page: not synced: ");
    assert!(output.stderr.contains("(-s)"), "{output:?}");
    assert!(output.stderr.contains("(--offline)"), "{output:?}");
    assert_eq!((site.holes(&target), site.file("wrcmd").as_str()), (0, ""));
    assert_eq!(run(&["--offline"]).status, 0);
}

#[test]
fn what_only_the_page_counts_is_said() {
    let (mut site, ahead) = (Site::new(20), Site::new(25));
    let http = Http::page(index::page(&[(&ahead.partition, &site.part())]));
    let target = Venti::start();
    let run = |site: &Site, args: &[&str]| {
        let command = site.ventiprog().args(["-i", &http.url()]).args(args);
        command.arg(target.dial()).run()
    };
    let said = "arena arena0: the index page counts 25 clumps, but 20 are on disk";
    let output = run(&site, &["--offline"]);
    assert_said(&output, 3, said);
    assert_eq!((site.holes(&target), site.file("wrcmd").as_str()), (0, ""));

    // The list counts what is on disk, and says so.
    let list = site.ventilag().args(["-i", &http.url()]);
    let output = list.arg(target.dial()).run();
    assert_said(&output, 0, said);
    assert!(output.stdout.contains("behind 0 clumps 0 bytes on disk"));

    // On disk, and not counted by the trailer yet: sent, and nothing to say.
    site.add(5);
    site.partition.lag(0, 20, 20).unwrap();
    let output = run(&site, &["--offline"]);
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(site.holes(&target), 0);
}

#[test]
fn a_page_of_another_partition_is_said() {
    let mut other = Site::empty(3);
    other.add(1);
    other.seal();
    other.add(1);
    other.seal();
    other.add(1);
    let site = Site::new(20);
    let http = Http::page(index::page(&[(&other.partition, &site.part())]));
    let target = Venti::start();
    let args = ["--offline", "-i", &http.url(), &target.dial()];
    let output = site.ventiprog().args(args).run();
    assert_said(&output, 3, "that is not the partition of this page");
}

#[test]
fn a_partition_that_is_written_needs_its_source() {
    let site = Site::new(20);
    let (target, source) = (Venti::start(), source_of(&site));
    let run = |args: &[&str], config: &str| {
        let command = site.ventiprog().config(config).args(["-p", &site.part()]);
        command.args(args).arg(target.dial()).run()
    };
    let mut holder = std::process::Command::new("sh")
        .args([
            "-c",
            "exec 3<>\"$0\"; echo; read -r line || true",
            &site.part(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0];
    let pipe = holder.stdout.as_mut().unwrap();
    pipe.read_exact(&mut ready).unwrap();

    let output = run(&[], LIMITS);
    let said = format!(
        "(pid {}) has it open for writing, and no source",
        holder.id()
    );
    assert_said(&output, 3, &said);
    assert_eq!((site.holes(&target), site.file("wrcmd").as_str()), (0, ""));
    // That no server writes it is not so.
    let said = format!(
        "{}: sh (pid {}) has it open for writing, but --offline says that no server does",
        site.part(),
        holder.id()
    );
    for (args, config) in [(&["--offline"][..], LIMITS), (&[], OFFLINE)] {
        let output = run(args, config);
        assert_said(&output, 3, &said);
        assert!(output.stderr.contains("(-s) instead of --offline"));
        assert_eq!(output.stderr.matches("open for writing").count(), 1);
    }
    assert_eq!((site.holes(&target), site.file("wrcmd").as_str()), (0, ""));
    let of_source = ["-s", &source.dial()];
    for (args, config) in [
        (&of_source[..], LIMITS),
        // The option beats the key.
        (&of_source, OFFLINE),
    ] {
        let output = run(args, config);
        assert_eq!((output.status, &*output.remarks()), (0, ""), "{args:?}");
    }
    assert_eq!(source.counts().syncs, 2);
    let output = run(&["-s", &source.dial(), "--offline"], LIMITS);
    assert_said(&output, 2, "give only one of them");

    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(site.ventiprog().run().status, 0, "nobody writes it");
    assert_eq!(run(&["--offline"], LIMITS).status, 0);
}

#[test]
fn a_target_whose_process_writes_the_partition_is_the_source() {
    let site = Site::new(20);
    let target = Venti::start();
    // This process listens for the target, and has the partition open.
    let held = File::options().write(true).open(site.partition.path());
    for host in ["127.0.0.1", "localhost", "127.1"] {
        let target = format!("{host}:{}", port(&target));
        let output = site.ventiprog().args(["-p", &site.part(), &target]).run();
        assert_said(&output, 2, "is the source itself: ");
        assert!(output.stderr.contains("open for writing"), "{output:?}");
        // That no server writes the partition is not so, and a source that has the
        // same blocks does not make the target another server.
        let other = source_of(&site);
        for words in [
            vec!["--offline".to_owned()],
            vec!["-s".to_owned(), other.dial()],
        ] {
            let calls = site.ventiprog().args(words).args(["-p", &site.part()]);
            assert_said(&calls.arg(&target).run(), 2, "open for writing");
        }
    }
    assert_eq!(
        (target.counts().connections, site.file("wrcmd")),
        (0, "".into())
    );
    drop(held);
    assert_eq!(first(&site, &target).run().status, 0);
}

#[test]
fn the_source_is_no_target_under_any_name() {
    let site = Site::new(20);
    let venti = source_of(&site);
    let port = port(&venti);
    let mut names = vec![
        "localhost",
        "127.0.0.1",
        "127.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
    ];
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    if std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port))
        .is_ok_and(|mut found| found.all(|address| address.ip().is_loopback()))
    {
        names.push(&host);
    }
    for (source, target) in names
        .iter()
        .flat_map(|one| names.iter().map(move |two| (one, two)))
    {
        let (source, target) = (format!("{source}:{port}"), format!("{target}:{port}"));
        let args = ["-s", &source, "-p", &site.part(), &target];
        let output = site.ventiprog().args(args).run();
        assert_said(&output, 2, "is the source itself");
        assert_said(
            &output,
            2,
            "; name another target, or the right source with -s",
        );
    }
    assert_eq!(venti.counts().connections, 0);
}

#[test]
fn a_server_with_several_names_is_one_target() {
    let site = Site::new(20);
    let venti = Venti::start();
    let names = ["localhost", "127.0.0.1", "127.1"].map(|name| format!("{name}:{}", port(&venti)));
    let command = site.ventiprog().args(["-p", &site.part()]);
    let output = command.args(&names).run();
    assert_said(&output, 3, "tcp!127.1!");
    assert_eq!(
        output
            .stderr
            .matches("the same server as tcp!localhost!")
            .count(),
        2
    );
    assert_eq!((venti.counts().writes, venti.counts().duplicates), (20, 0));
    assert_eq!(site.wrcmds().places().count(), 1);
    let quiet = site.ventiprog().arg("-q").args(&names).run();
    assert_said(&quiet, 3, "that is one copy, not two");
    let output = site.ventilag().args(["--warn", "1"]).args(&names).run();
    assert_eq!(
        (output.status, Site::places(&output).lines().count()),
        (3, 1)
    );
    let output = site.ventilag().args(&names).run();
    assert_said(&output, 0, "that is one copy, not two");
    // The wrcmd may have another name for it than the list.
    let output = site.ventiprog().arg(&names[1]).run();
    assert_said(&output, 0, "which the wrcmd names: both are one target");
}

#[test]
fn a_new_target_that_has_everything_is_named() {
    let mut site = Site::new(20);
    let source = source_of(&site);
    // As through a tunnel.
    let relay = Relay::to(port(&source));
    let said = "had every block already";
    let args = ["-s", &source.dial(), "-p", &site.part(), &relay.address()];
    let output = site.ventiprog().args(args).run();
    let leads = format!("or its address leads to the source {}", source.dial());
    assert_said(&output, 0, said);
    assert_said(&output, 0, &leads);

    // That it was forgotten does not tell where its address leads now.
    let unknown = "or is the source itself".to_owned();
    for (words, expected) in [
        (vec!["-s".to_owned(), source.dial()], leads),
        (vec![], unknown),
    ] {
        let forget = site.ventiprog().args(["--forget", &relay.address()]);
        // It stays the host of the wrcmd, which is known again then.
        assert_eq!(forget.run().status, 3);
        fs::remove_file(site.state("wrcmd")).unwrap();
        let again = site.ventiprog().args(words).args(["-p", &site.part()]);
        let output = again.arg(relay.address()).run();
        assert_said(&output, 0, &expected);
    }

    // Nothing is known at all.
    for name in ["wrcmd", "wrcmds"] {
        fs::remove_file(site.state(name)).unwrap();
    }
    let output = site
        .ventiprog()
        .args(["-p", &site.part(), &relay.address()]);
    assert_said(&output.run(), 0, "or is the source itself");

    // One that lacks something is not, and nor is one that is on record.
    let target = source_of(&site);
    site.add(1);
    site.give(&source, [site.score(0, 20)]);
    for target in [target.dial(), relay.address()] {
        let args = ["-s", &source.dial(), "-p", &site.part(), &target];
        let output = site.ventiprog().args(args).run();
        assert_eq!(output.status, 0, "{output:?}");
        assert!(!output.stderr.contains(said), "{output:?}");
    }
}

#[test]
fn a_source_that_lacks_the_newest_block_is_said() {
    let site = Site::new(20);
    let (other, target) = (Venti::start(), Venti::start());
    // It may well have some of it.
    site.give(&other, [site.score(0, 3)]);
    let run = |source: &Venti| {
        let args = ["-s", &source.dial(), "-p", &site.part(), &target.dial()];
        site.ventiprog().args(args).run()
    };
    let output = run(&other);
    assert_said(&output, 3, "it does not have the newest block of ");
    assert_eq!((other.counts().syncs, site.holes(&target)), (1, 0));
    assert_eq!(site.file("wrcmd"), "");
    assert_eq!(run(&source_of(&site)).status, 0);
}

#[test]
fn a_sync_of_another_venti_does_not_let_arenas_be_left() {
    let mut site = Site::empty(3);
    site.add(30);
    site.seal();
    site.add(10);
    let mut counters = site.partition.arenas()[0].counters();
    counters.sealed = false;
    site.partition.set_counters(0, counters, None).unwrap();
    let (other, target) = (Venti::start(), Venti::start());
    let args = ["-s", &other.dial(), "-p", &site.part(), &target.dial()];
    let output = site.ventiprog().args(args).run();
    assert_said(&output, 3, "is not sealed on disk");
    assert_eq!(target.counts().writes, 30);
}

#[test]
fn the_end_of_all_arenas_is_said_until_the_next_partition_is_known() {
    let mut site = Site::empty(1);
    site.add(30);
    let target = Venti::start();
    site.runs(&[&target], 0);
    site.seal();
    let said = "every arena is used up: ";
    for _ in 0..2 {
        let output = site.ventiprog().run();
        assert_said(&output, 3, said);
        assert!(
            output
                .stderr
                .contains("(-p, or arenas in the configuration)")
        );
    }
    let full = format!("{}\n", site.command(&target.dial(), 0, site.end(0)));
    assert_eq!(site.file("wrcmd"), full, "all of it is there");
    assert_said(&site.ventilag().run(), 0, said);
    let late = ["--warn", "1"];
    assert_said(&site.ventilag().args(late).run(), 3, said);
    assert_eq!(site.ventiprog().arg("--offline").run().status, 0);

    let second = second(&site, 10);
    let path = second.path().display().to_string();
    let config = format!("arenas = ['{}', '{path}']\n{LIMITS}", site.part());
    let output = site.ventiprog().config(&config).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(holes_in(&second, &target), 0);
    assert!(site.file("wrcmd").contains(&format!(" {path} 0x")));
    // It is on record from then on.
    assert_eq!(site.ventiprog().run().status, 0);
}

#[test]
fn an_index_page_shows_the_next_partition() {
    let mut site = Site::empty(1);
    site.add(30);
    site.seal();
    let target = Venti::start();
    let second = second(&site, 10);
    let path = second.path().display().to_string();
    let page = index::page(&[(&site.partition, &site.part()), (&second, &path)]);
    let source = source_of(&site);
    let mut sample = Sample::new(77, 0);
    for _ in second.clumps() {
        source.insert(BlockType::Data, &sample.noise(BLOCK));
    }
    let http = Http::page(page);
    let config = format!(
        "index = '{}'\nsource = '{}'\n{LIMITS}",
        http.url(),
        source.dial()
    );
    let command = site.ventiprog().config(&config).arg(target.dial());
    let output = command.run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!((site.holes(&target), holes_in(&second, &target)), (0, 0));
}

#[test]
fn a_page_that_lists_only_arenas_that_are_used_up_does_not_hide_that_the_source_is_full() {
    let mut site = Site::empty(1);
    site.add(30);
    site.seal();
    let (source, target) = (source_of(&site), Venti::start());
    let second = site.path("second").display().to_string();
    let here = (&site.partition, &*site.part());
    let config = |http: &Http| {
        let (url, source) = (http.url(), source.dial());
        format!("index = '{url}'\nsource = '{source}'\n{LIMITS}")
    };
    let run = |config: &str, args: &[&str]| site.ventiprog().config(config).args(args).run();
    let http = Http::page(index::page(&[here]));
    let full = config(&http);
    let said = "every arena is used up, and the index page lists no other: ";
    for _ in 0..2 {
        assert_said(&run(&full, &[&target.dial()]), 3, said);
    }
    assert_eq!(site.holes(&target), 0);
    let list = |config: &str, args: &[&str]| site.ventilag().config(config).args(args).run();
    assert_said(&list(&full, &[]), 0, said);
    assert_said(&list(&full, &["--warn", "1"]), 3, said);
    let named = format!("arenas = ['{second}']\n{full}");
    let quiet = |output: Output| {
        assert_eq!((output.status, &*output.remarks()), (0, ""));
    };

    // The partition that it has now is not here, or is without a clump, or has some.
    let mut next = PartitionBuilder::new().name("second").seed(5);
    next = next.arenas(2, 4 << 20);
    let mut next = next.create(&site.path("second")).unwrap();
    quiet(run(&named, &[]));
    quiet(run(&full, &["-p", &second]));
    let block = Sample::new(77, 0).noise(BLOCK);
    next.append(13, &block).unwrap();
    next.flush().unwrap();
    source.insert(BlockType::Data, &block);
    let http = Http::page(index::page(&[here, (&next, &second)]));
    let both = config(&http);
    fs::rename(&second, site.path("away")).unwrap();
    for output in [run(&both, &[]), list(&both, &["--warn", "1"])] {
        assert_said(&output, 3, &second);
        assert!(!output.stderr.contains("used up"), "{output:?}");
    }
    fs::rename(site.path("away"), &second).unwrap();
    quiet(run(&both, &[]));
    assert_eq!(holes_in(&next, &target), 0);
}

#[test]
fn the_keys_for_arenas_need_neither_page_nor_wrcmd() {
    let site = Site::new(20);
    let second = second(&site, 10);
    let target = Venti::start();
    let path = second.path().display().to_string();
    let config = format!("arenas = ['{}', '{path}']\n{LIMITS}", site.part());
    let output = site.ventiprog().config(&config).arg(target.dial()).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!((site.holes(&target), holes_in(&second, &target)), (0, 0));

    // One that is not here holds nothing back.
    fs::remove_file(second.path()).unwrap();
    let output = site.ventiprog().config(&config).run();
    assert_said(&output, 3, &path);
}

#[test]
fn a_partition_that_is_named_is_read_beside_that_of_the_wrcmd() {
    let site = Site::new(20);
    let target = Venti::start();
    site.runs(&[&target], 0);
    let second = second(&site, 10);
    let path = second.path().display().to_string();
    let before = (site.file("wrcmd"), site.file("wrcmds"));

    let absent = site.path("absent").display().to_string();
    let output = site.ventiprog().args(["-p", &absent]).run();
    assert_said(&output, 1, &absent);
    assert_eq!((site.file("wrcmd"), site.file("wrcmds")), before);

    let output = site.ventiprog().args(["-p", &path]).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(holes_in(&second, &target), 0);
    assert_eq!(site.file("wrcmd"), before.0, "the wrcmd stays where it is");
    assert_eq!(site.wrcmds().places().count(), 2);

    // Another name of the wrcmd's own is no other partition.
    fs::hard_link(site.partition.path(), site.path("alias")).unwrap();
    let alias = site.path("alias").display().to_string();
    let output = site.ventiprog().args(["-p", &alias]).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(site.wrcmds().places().count(), 2);
}

#[test]
fn several_partitions_may_be_named() {
    let site = Site::new(20);
    let second = second(&site, 10);
    let path = second.path().display().to_string();
    let target = Venti::start();
    let args = ["-p", &site.part(), "-p", &path, &target.dial()];
    let output = site.ventiprog().args(args).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!((site.holes(&target), holes_in(&second, &target)), (0, 0));
}

#[test]
fn the_partitions_on_record_are_read_where_there_is_no_wrcmd() {
    let mut site = Site::new(20);
    let (target, new) = (Venti::start(), Venti::start());
    let down = closed_port();
    let args = ["-p", &site.part(), &target.dial(), &down];
    assert_eq!(site.ventiprog().args(args).run().status, 3);
    assert_eq!(site.file("wrcmd"), "");
    site.add(5);
    let output = site.ventiprog().arg(target.dial()).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(site.holes(&target), 0);

    // Also for a target that has no line.
    fs::remove_file(site.state("wrcmd")).unwrap();
    let output = site.ventiprog().arg(new.dial()).run();
    assert_eq!((output.status, site.holes(&new)), (0, 0), "{output:?}");
}

/// A target's own partition beside that of a site: the same blocks in arenas of its
/// own.
fn copy_of(site: &Site) -> Partition {
    let builder = PartitionBuilder::new().name("copy").seed(5);
    let copy = builder.arenas(2, 4 << 20).create(&site.path("copy"));
    let mut copy = copy.unwrap();
    for clump in site.partition.clumps() {
        let (block_type, block) = &site.data[&clump.score];
        copy.append(block_type.to_disk(), block).unwrap();
    }
    copy.flush().unwrap();
    copy
}

fn state_of(site: &Site) -> [String; 3] {
    ["wrcmd", "wrcmds", "rootscor"].map(|name| site.file(name))
}

#[test]
fn a_page_that_lists_nothing_on_record_is_refused_before_anything_is_written() {
    let site = Site::new(20);
    let (source, target, new) = (source_of(&site), Venti::start(), Venti::start());
    let of_source = ["-s", &source.dial()];
    let args = ["-p", &site.part(), &target.dial()];
    let command = site.ventiprog().args(of_source).args(args);
    assert_eq!(command.run().status, 0);
    // The source has every block of the copy, the newest too.
    let copy = copy_of(&site);
    let path = copy.path().display().to_string();
    let http = Http::page(index::page(&[(&copy, &path)]));
    let said = format!(
        "{}: it lists {path} and not {}, which is on record: that is the page of another venti",
        http.url(),
        site.part()
    );
    let (url, new) = (http.url(), new.dial());
    let by_key = format!("index = '{url}'\nsource = '{}'\n{LIMITS}", source.dial());
    for removed in ["none", "wrcmd"] {
        let _ = fs::remove_file(site.state(removed));
        let before = state_of(&site);
        for command in [
            site.ventiprog().args(of_source).args(["-i", &url]),
            site.ventiprog().args(["--offline", "-i", &url, &new]),
            site.ventiprog().args(["-n", "-i", &url]).args(of_source),
            site.ventiprog().config(&by_key),
        ] {
            let output = command.arg(target.dial()).run();
            assert_said(&output, 2, &said);
            assert_eq!(output.stdout, "");
            assert_eq!(state_of(&site), before);
        }
    }
    assert_eq!(target.counts().writes, 20);
    // What the configuration names beside the page is meant.
    let both = format!("arenas = ['{}']\n{by_key}", site.part());
    let output = site.ventiprog().config(&both).arg(target.dial()).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn a_partition_that_the_page_knows_by_another_name_is_the_one_on_record() {
    let mut site = Site::new(20);
    let (source, target) = (source_of(&site), Venti::start());
    let args = ["-s", &source.dial(), &target.dial()];
    let first = site.ventiprog().args(["-p", &site.part()]).args(args);
    assert_eq!(first.run().status, 0);
    let moved = site.path("moved");
    fs::copy(site.partition.path(), &moved).unwrap();
    let page = index::page(&[(&site.partition, &moved.display().to_string())]);
    let http = Http::page(page);
    let run = || {
        let command = site.ventiprog().args(["-i", &http.url()]);
        command.args(args).run()
    };
    let output = run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    // The old name is gone: its lines tell what it was.
    fs::remove_file(site.state("wrcmd")).unwrap();
    fs::remove_file(site.partition.path()).unwrap();
    assert_said(&run(), 3, "remove its lines from wrcmds");

    // A link is the same partition.
    site = Site::new(20);
    std::os::unix::fs::symlink(site.partition.path(), site.path("link")).unwrap();
    let link = site.path("link").display().to_string();
    let http = Http::page(index::page(&[(&site.partition, &link)]));
    let first = site.ventiprog().args(["-p", &site.part()]).args(args);
    assert_eq!(first.run().status, 0);
    let command = site.ventiprog().args(["-i", &http.url()]);
    assert_eq!(command.args(args).run().status, 0);
}

#[test]
fn a_partition_has_one_name_whichever_of_its_paths_is_given() {
    let site = Site::new(20);
    let (source, target) = (source_of(&site), Venti::start());
    let second = second(&site, 10);
    let mut sample = Sample::new(77, 0);
    for _ in second.clumps() {
        source.insert(BlockType::Data, &sample.noise(BLOCK));
    }
    let link = |name: &str, of: &std::path::Path| {
        std::os::unix::fs::symlink(of, site.path(name)).unwrap();
        site.path(name).display().to_string()
    };
    let (first, path) = (site.part(), second.path().display().to_string());
    let alias = link("link", site.partition.path());
    let other = link("link2", second.path());
    let names = |site: &Site| {
        let places = site.wrcmds();
        let mut names: Vec<String> = places.places().map(|place| place.partition).collect();
        names.sort();
        names
    };
    let run = |config: &str, args: &[&str]| {
        let command = site.ventiprog().config(&format!("{config}\n{LIMITS}"));
        let command = command.args(args).args(["-s", &source.dial()]);
        let output = command.arg(target.dial()).run();
        assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
        names(&site)
    };
    // Two names in one call.
    assert_eq!(run("", &["-p", &first, "-p", &alias]), [&*first]);
    let recorded = [&*first, &*path];
    assert_eq!(run("", &["-p", &path, "-p", &alias]), recorded);
    let (wrcmd, writes) = (site.file("wrcmd"), target.counts().writes);
    let http = Http::page(index::page(&[(&site.partition, &alias), (&second, &other)]));
    let page = format!("index = '{}'", http.url());
    assert_eq!(run(&page, &[]), recorded, "the index page");
    assert_eq!(run("", &["-p", &other]), recorded, "-p");
    let arenas = format!("arenas = ['{alias}', '{other}']");
    assert_eq!(run(&arenas, &[]), recorded, "arenas");
    // The configuration names one that the page does not list.
    let http = Http::page(index::page(&[(&site.partition, &alias)]));
    let page = format!("index = '{}'", http.url());
    assert_eq!(run(&format!("{arenas}\n{page}"), &[]), recorded, "both");
    assert_eq!(
        (site.file("wrcmd"), target.counts().writes),
        (wrcmd, writes)
    );
    // Nothing is on record.
    fs::remove_file(site.state("wrcmd")).unwrap();
    fs::remove_file(site.state("wrcmds")).unwrap();
    let config = format!("arenas = ['{first}', '{path}']\n{page}\n{LIMITS}");
    let command = site
        .ventiprog()
        .config(&config)
        .args(["-s", &source.dial()]);
    assert_eq!(command.arg(Venti::start().dial()).run().status, 0);
    assert_eq!(names(&site), [&*alias, &*path]);
}

#[test]
fn a_partition_on_record_that_the_page_does_not_list_is_said() {
    let site = Site::new(20);
    let target = Venti::start();
    let second = second(&site, 10);
    let path = second.path().display().to_string();
    let args = ["-p", &site.part(), "-p", &path, &target.dial()];
    assert_eq!(site.ventiprog().args(args).run().status, 0);
    let http = Http::page(index::page(&[(&site.partition, &site.part())]));
    let run = |config: &str| {
        let command = site.ventiprog().config(config).arg("--offline");
        command.args(["-i", &http.url()]).run()
    };
    let said = format!("{path}: is on record, and the index page does not list it");
    let before = site.file("wrcmd");
    assert_said(&run(LIMITS), 3, &said);
    assert_eq!(site.file("wrcmd"), before);
    let output = run(&format!("arenas = ['{path}']\n{LIMITS}"));
    assert_eq!((output.status, &*output.remarks()), (0, ""));

    // A page lists no arena without clumps.
    let empty = Site::empty(2);
    let part = empty.part();
    let args = ["-p", &part, "-p", &path, &target.dial()];
    assert_eq!(empty.ventiprog().args(args).run().status, 0);
    let http = Http::page(index::page(&[(&second, &path)]));
    let command = empty.ventiprog().args(["--offline", "-i", &http.url()]);
    let output = command.arg(target.dial()).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
}

#[test]
fn a_page_that_counts_less_than_is_on_disk_is_said() {
    let mut site = Site::new(20);
    let page = |site: &Site| index::page(&[(&site.partition, &site.part())]);
    let old = page(&site);
    site.add(5);
    let (source, target) = (source_of(&site), Venti::start());
    let run = |http: &Http| {
        let args = ["-s", &source.dial(), "-i", &http.url(), &target.dial()];
        site.ventiprog().args(args).run()
    };
    // One that was read before the source was written to is read again.
    let new = page(&site);
    let again = old.clone();
    let asked = AtomicU8::new(0);
    let growing = Http::serve(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::page(&again),
        _ => Answer::page(&new),
    });
    let output = run(&growing);
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(growing.paths().len(), 2);

    let link = site.path("link");
    std::os::unix::fs::symlink(site.part(), &link).unwrap();
    let by_link = old.replace(&site.part(), &link.display().to_string());
    let pages = [old, by_link].map(|page| run(&Http::page(page)));
    let said = "arena arena0: the index page counts 20 clumps, but 25 are on disk already: \
                that is the page of another venti";
    for output in pages {
        assert_said(&output, 3, said);
    }
    assert_eq!(site.holes(&target), 0);
}

#[test]
fn a_page_with_other_names_of_arenas_is_said() {
    let site = Site::new(20);
    let builder = PartitionBuilder::new().name("x").arenas(2, 8 << 20);
    let mut other = Site::built(&builder);
    other.add(20);
    let http = Http::page(index::page(&[(&other.partition, &site.part())]));
    let args = ["--offline", "-i", &http.url(), &closed_port()];
    let output = site.ventiprog().args(args).run();
    assert!(
        output
            .stderr
            .contains("that is not the partition of this page"),
        "{output:?}"
    );
}

#[test]
fn a_target_on_record_is_not_the_source() {
    let site = Site::new(20);
    let (target, new) = (Venti::start(), Venti::start());
    assert_eq!(first(&site, &target).run().status, 0);
    fs::remove_file(site.state("wrcmd")).unwrap();
    let before = state_of(&site);
    // It has the newest block.
    let source = format!("localhost:{}", port(&target));
    let run = || {
        let args = ["-s", &source, "-p", &site.part(), &new.dial()];
        site.ventiprog().args(args).run()
    };
    assert_said(&run(), 2, "a target on record; name the source venti (-s)");
    assert_eq!(state_of(&site), before);
    let forget = site.ventiprog().args(["--forget", &target.dial()]).run();
    assert_eq!(forget.status, 0, "{forget:?}");
    assert_eq!(run().status, 0);
}

/// Removes the lines of a partition from wrcmds, and what is said of them above.
fn remove_lines(site: &Site, partition: &str) {
    let (mut left, mut comments) = (String::new(), String::new());
    for line in site.file("wrcmds").lines() {
        match line.starts_with('#') && !line.starts_with("# seen") {
            true => comments.push_str(&format!("{line}\n")),
            false if line.contains(partition) => comments.clear(),
            false => {
                left.push_str(&format!("{comments}{line}\n"));
                comments.clear();
            }
        }
    }
    match left.is_empty() {
        true => fs::remove_file(site.state("wrcmds")).unwrap(),
        false => fs::write(site.state("wrcmds"), left).unwrap(),
    }
}

#[test]
fn a_lost_partition_of_the_wrcmd_does_not_stop_the_others() {
    let site = Site::new(20);
    let target = Venti::start();
    let mut second = second(&site, 10);
    let other = site.path("second").to_str().unwrap().to_owned();
    let args = ["-p", &site.part(), "-p", &other, &target.dial()];
    assert_eq!(site.ventiprog().args(args).run().status, 0);
    // Once the first is full the wrcmd names the other: here it names the first.
    let wrcmd = site.file("wrcmd");
    assert!(wrcmd.contains(&site.part()), "{wrcmd}");
    fs::rename(site.part(), site.path("gone")).unwrap();
    second.append(13, &Sample::new(78, 0).noise(BLOCK)).unwrap();
    second.flush().unwrap();
    let run = || site.ventiprog().arg(target.dial()).run();
    let output = run();
    let cure = "; if it is gone for good, remove wrcmd, and its lines from wrcmds (or the whole file if it has no others)";
    assert_said(&output, 3, cure);
    assert_eq!((holes_in(&second, &target), site.file("wrcmd")), (0, wrcmd));
    // And that is the way out.
    fs::remove_file(site.state("wrcmd")).unwrap();
    remove_lines(&site, &site.part());
    let output = run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert!(site.file("wrcmd").contains(&other));
}

#[test]
fn a_lost_partition_that_alone_is_on_record_goes_with_the_whole_file() {
    let site = Site::new(20);
    let target = Venti::start();
    assert_eq!(first(&site, &target).run().status, 0);
    let second = second(&site, 10);
    let other = site.path("second").to_str().unwrap().to_owned();
    fs::rename(site.part(), site.path("gone")).unwrap();
    let run = |partitions: &str| {
        let config = format!("arenas = [{partitions}]\n");
        site.ventiprog().config(&config).arg(target.dial()).run()
    };
    let output = run(&format!("{:?}, {other:?}", site.part()));
    assert_said(&output, 3, "(or the whole file if it has no others)");
    fs::remove_file(site.state("wrcmd")).unwrap();
    fs::remove_file(site.state("wrcmds")).unwrap();
    let output = run(&format!("{other:?}"));
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(holes_in(&second, &target), 0);
}

#[test]
fn a_list_shows_a_partition_that_only_the_configuration_names() {
    let site = Site::new(20);
    let target = Venti::start();
    assert_eq!(first(&site, &target).run().status, 0);
    let _second = second(&site, 10);
    let other = site.path("second").to_str().unwrap().to_owned();
    let config = format!("arenas = [{:?}, {other:?}]\n", site.part());
    let list = site.ventilag().config(&config).args(["--warn", "1"]);
    let output = list.run();
    assert_eq!(output.status, 3, "{output:?}");
    let line = output.stdout.lines().find(|line| line.contains(&other));
    let line = line.unwrap_or_else(|| panic!("{output:?}"));
    assert!(
        line.contains(" behind 10 clumps ") && line.ends_with("never"),
        "{line}"
    );
}

#[test]
fn a_page_that_lacks_an_arena_with_clumps_is_said() {
    let mut site = Site::empty(2);
    site.add(10);
    site.seal();
    let old = index::page(&[(&site.partition, &site.part())]);
    site.add(10);
    assert!(!old.contains("arena1"), "{old}");
    let (source, target) = (source_of(&site), Venti::start());
    let http = Http::page(old);
    let args = ["-s", &source.dial(), "-i", &http.url(), &target.dial()];
    let output = site.ventiprog().args(args).run();
    let said = "arena arena1: the index page counts 0 clumps, but 10 are on disk already";
    assert_said(&output, 3, said);
}

#[test]
fn a_partition_that_is_on_record_by_mistake_can_be_removed() {
    let site = Site::new(20);
    let wrong = second(&site, 10).path().display().to_string();
    let source = source_of(&site);
    let page = index::page(&[(&site.partition, &site.part())]);
    let http = Http::page(page);
    let of_page = ["-s", &source.dial(), "-i", &http.url()];
    let of_part = ["-s", &source.dial(), "-p", &site.part()];
    for (words, status) in [(of_part, 3), (of_page, 2)] {
        for name in ["wrcmd", "wrcmds"] {
            let _ = fs::remove_file(site.state(name));
        }
        let target = Venti::start();
        let run = |words: &[&str]| site.ventiprog().args(words).arg(target.dial()).run();
        // Nothing is on record of it: nothing can be removed.
        let output = run(&["-s", &source.dial(), "-p", &wrong]);
        assert_said(&output, 3, "does not have the newest block of");
        assert!(!output.stderr.contains("by mistake"), "{output:?}");
        assert_eq!(run(&["--offline", "-p", &wrong]).status, 0);
        let cure = "; if it is on record by mistake, remove wrcmd, and its lines from wrcmds (or the whole file if it has no others)";
        assert_said(&run(&words), status, cure);
        // And that is the way out.
        fs::remove_file(site.state("wrcmd")).unwrap();
        remove_lines(&site, &wrong);
        let output = run(&words);
        assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
        assert_eq!(site.holes(&target), 0);
        assert!(site.file("wrcmd").contains(&site.part()));
        assert_eq!(run(&words[..2]).status, 0);
    }
}

/// A process called venti that has these files open for writing.
struct Server(Child);

impl Server {
    fn with(directory: &Path, files: [&Path; 2]) -> Self {
        let program = directory.join("venti");
        fs::copy("/bin/sleep", &program).unwrap();
        let [one, two] = files.map(|path| {
            let mut options = fs::File::options();
            options.read(true).write(true).open(path).unwrap()
        });
        let mut command = std::process::Command::new(program);
        command.arg("600").stdin(one).stdout(two);
        Server(command.spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nothing but what its server has open tells that there is a second one.
#[test]
fn a_partition_that_the_server_has_open_and_nobody_named_is_said() {
    let (site, venti) = (Site::new(20), Venti::start());
    let (source, other) = (source_of(&site), second(&site, 5));
    let section = site.path("section");
    fs::write(&section, vec![7; 1 << 20]).unwrap();
    let run = |words: &[&str]| {
        let command = site
            .ventiprog()
            .args(["-s", &source.dial(), "-p", &site.part()]);
        command.args(words).arg(venti.dial()).run()
    };
    {
        let _server = Server::with(&site.path("."), [site.partition.path(), other.path()]);
        for words in [&["-n"][..], &["-q"], &["-q", "--verify"]] {
            let output = run(words);
            assert_eq!(output.status, 3, "{output:?}");
            let said = format!("ventiprog: {}: venti (pid ", other.path().display());
            let line = output.stderr.lines().find(|line| line.starts_with(&said));
            let line = line.unwrap_or_else(|| panic!("{output:?}"));
            assert!(line.contains("nothing of it is copied"), "{line}");
        }
        let late = site.ventilag().args(["--warn", "48"]).run();
        assert_eq!(late.status, 3, "{late:?}");
        let both = site.ventiprog().args(["-p", &site.part(), "-p"]);
        let both = both.arg(other.path()).arg(venti.dial()).run();
        assert!(!both.stderr.contains("nothing names it"), "{both:?}");
    }
    let _server = Server::with(&site.path("."), [site.partition.path(), &section]);
    let output = run(&["-q"]);
    assert!(!output.stderr.contains("nothing names it"), "{output:?}");
}
