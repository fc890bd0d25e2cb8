//! ventiprog by the index page: several partitions, odd names, partitions
//! that are not here.

use std::fmt::Write;

use venti_tests::arena::{Partition, PartitionBuilder};
use venti_tests::command::Command;
use venti_tests::http::Http;
use venti_tests::index;
use venti_tests::sample::Sample;
use venti_tests::venti::{Venti, closed_port};
use venticore::codec::blocktype::BlockType;

use crate::fixture::site::{BLOCK, LIMITS, Site};

/// A site with a second partition; both have an arena without clumps.
struct Two {
    site: Site,
    second: Partition,
}

const BLOCKS: usize = 30;

impl Two {
    fn new() -> Self {
        let odd = PartitionBuilder::new().name("it's <a> & \"b\". ");
        let mut site = Site::built(&odd.arenas(2, 4 << 20));
        site.add(BLOCKS);
        let builder = PartitionBuilder::new().name("other").seed(5);
        let second = builder.arenas(2, 4 << 20).create(&site.path("second"));
        let mut two = Two {
            site,
            second: second.unwrap(),
        };
        two.add(7, BLOCKS);
        two
    }

    /// Adds blocks to the second partition.
    fn add(&mut self, seed: u64, blocks: usize) {
        let mut sample = Sample::new(seed, 0);
        for _ in 0..blocks {
            self.second.append(13, &sample.noise(BLOCK)).unwrap();
        }
        self.second.flush().unwrap();
    }

    fn page(&self) -> Http {
        Http::page(index::page(&[
            (&self.site.partition, "arenas.0"),
            (&self.second, "arenas.1"),
        ]))
    }

    /// The server's names for the partitions, and their paths here.
    fn config(&self, names: &[(&str, &str)]) -> String {
        let mut config = format!("{LIMITS}[partitions]\n");
        for (name, path) in names {
            let path = self.site.path(path);
            writeln!(config, "'{name}' = '{}'", path.display()).unwrap();
        }
        config
    }

    fn here(&self) -> String {
        self.config(&[("arenas.0", "arenas"), ("arenas.1", "second")])
    }

    fn ventiprog(&self, config: &str) -> Command {
        // Not even the venti on the host of the page is asked for anything.
        self.site.ventiprog().config(config).arg("--offline")
    }

    /// Clumps of either partition that a target does not have.
    fn holes(&self, venti: &Venti) -> (usize, usize) {
        let lacks = |score| !venti.contains(BlockType::Data, score);
        let of_second = self.second.clumps().filter(|clump| lacks(&clump.score));
        (self.site.holes(venti), of_second.count())
    }

    fn end_of_second(&self, host: &str) -> String {
        let arena = &self.second.arenas()[0];
        let (head, used) = (arena.head(), arena.counters().used);
        let path = self.second.path().display();
        format!("wrarena -h {host} -o {head} {path} {used:#x}\n")
    }
}

#[test]
fn every_partition_of_the_page_is_copied_without_other_input() {
    let two = Two::new();
    let (b, c) = (Venti::start(), Venti::start());
    let http = two.page();
    let command = two.ventiprog(&two.here()).args(["-i", &http.url()]);
    let output = command.arg(b.dial()).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    let names = [(&*b.dial(), "B")];
    insta::assert_snapshot!(two.site.hermetic(&two.site.file("wrcmds"), &names), @r#"
    # wrcmds: the place that each venti has acknowledged in each partition; each line can be run as it stands, the comments before it belong to it
    # seen wrarena -h B -o 794624 DIR/arenas 0x1e474
    # place magic=0x910a2dec last=ed9fccf05f2116bf36521d890c484765c83a6388 time=TIME before=da39a3ee5e6b4b0d3255bfef95601890afd80709 arena=it's <a> & "b". 0
    wrarena -h B -o 794624 DIR/arenas 0x1e474
    # place magic=0x63033b0c last=209414b0656063bf77aaea76c622a044e66a27e7 time=TIME before=da39a3ee5e6b4b0d3255bfef95601890afd80709 arena=other0
    wrarena -h B -o 794624 DIR/second 0x1e474
    "#);
    assert_eq!(http.paths(), ["/index"]);

    let command = two.ventiprog(&two.here()).args(["-i", &http.url()]);
    let output = command.args([b.dial(), c.dial()]).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!((two.holes(&b), two.holes(&c)), ((0, 0), (0, 0)));
    assert_eq!(two.site.wrcmds().places().count(), 4);
}

#[test]
fn a_partition_on_record_is_copied_when_no_page_names_it_any_more() {
    let mut two = Two::new();
    let venti = Venti::start();
    let http = two.page();
    let command = two.ventiprog(&two.here()).args(["-i", &http.url()]);
    assert_eq!(command.arg(venti.dial()).run().status, 0);
    two.site.add(5);
    two.add(8, 5);
    let output = two.ventiprog(LIMITS).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(two.holes(&venti), (0, 0));
    assert_eq!(venti.counts().writes, 2 * BLOCKS as u64 + 10);

    // Gone, it is said, and the rest goes on.
    std::fs::remove_file(two.second.path()).unwrap();
    two.site.add(5);
    let output = two.ventiprog(LIMITS).run();
    assert_eq!(output.status, 3, "{output:?}");
    let named = two.second.path().display().to_string();
    assert!(output.stderr.contains(&named), "{output:?}");
    assert_eq!(two.site.holes(&venti), 0);
}

/// A relative name says where the server was started, not where this is run.
#[test]
fn a_relative_name_of_the_page_does_not_come_into_a_wrcmd() {
    let two = Two::new();
    let venti = Venti::start();
    let http = two.page();
    let config = two.config(&[("arenas.0", "arenas")]);
    let command = two.ventiprog(&config).args(["-i", &http.url()]);
    let output = command.arg(venti.dial()).run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(
        output
            .stderr
            .contains("[partitions] \"arenas.1\" = \"/PATH\""),
        "{output:?}"
    );
    assert!(!two.site.file("wrcmds").contains("arenas.1"));
    assert_eq!(two.site.holes(&venti), 0);

    let fresh = Two::new();
    let http = fresh.page();
    let command = fresh.ventiprog(LIMITS).args(["-i", &http.url()]);
    let output = command.arg(venti.dial()).run();
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (1, ""),
        "{output:?}"
    );
    assert_eq!(fresh.site.file("wrcmd"), "");
    let output = Command::new("ventioffsets")
        .config(&config)
        .args(["-w", "v", &http.url()])
        .run();
    assert_eq!(output.status, 3, "{output:?}");
    assert!(!output.stdout.contains("arenas.1"), "{output:?}");
}

#[test]
fn a_partition_that_is_not_here_is_said_with_the_key_and_holds_nothing_back() {
    let two = Two::new();
    let venti = Venti::start();
    let http = two.page();
    let config = two.config(&[("arenas.0", "arenas"), ("arenas.1", "missing")]);
    let command = two.ventiprog(&config).args(["-i", &http.url()]);
    let output = command.arg(venti.dial()).run();
    assert_eq!((output.status, output.stdout.as_str()), (3, ""));
    insta::assert_snapshot!(two.site.hermetic(&output.remarks(), &[]), @"ventiprog: DIR/missing: no such file or device; a table [partitions] in the configuration tells where a server's partition lies here");
    assert_eq!(two.site.holes(&venti), 0);
    assert_eq!(two.site.stands(&venti.dial()), Some((0, two.site.end(0))));
    assert_eq!(two.site.file("wrcmd"), "", "not all has been reached");

    // With the right key the next run completes.
    let command = two.ventiprog(&two.here()).args(["-i", &http.url()]);
    let output = command.arg(venti.dial()).run();
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(two.holes(&venti), (0, 0));
    assert_eq!(venti.counts().writes, 2 * BLOCKS as u64);
}

#[test]
fn none_of_the_partitions_here_is_a_failure() {
    let two = Two::new();
    let http = two.page();
    let command = two.ventiprog(LIMITS).args(["-i", &http.url()]);
    let output = command.arg(closed_port()).run();
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("[partitions]"), "{output:?}");
}

#[test]
fn a_wrcmd_beats_the_page() {
    let two = Two::new();
    let venti = Venti::start();
    let http = two.page();
    // The wrcmd's own place, in the second partition.
    let wrcmd = two.end_of_second(&venti.dial());
    let clumps = two.second.clumps();
    let mut sample = Sample::new(7, 0);
    for clump in clumps {
        let block = sample.noise(BLOCK);
        assert_eq!(venti.insert(BlockType::Data, &block), clump.score);
    }
    two.site.write("wrcmd", &wrcmd);
    let command = two.ventiprog(&two.here()).args(["-i", &http.url()]);
    let output = command.run();
    assert_eq!((output.status, &*output.remarks()), (0, ""));
    assert_eq!(two.site.file("wrcmd"), wrcmd);
    assert_eq!(output.stdout, format!("{wrcmd}{wrcmd}"));
    assert_eq!(two.holes(&venti), (0, 0));
    assert_eq!(venti.counts().writes, BLOCKS as u64);
}

#[test]
fn a_page_that_cannot_be_had_leaves_the_wrcmd() {
    let mut site = Site::new(20);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    site.add(5);
    let wrcmd = site.file("wrcmd");
    let url = "http://127.0.0.1:1/index";
    let output = site.ventiprog().args(["--offline", "-i", url]).run();
    assert_eq!((output.status, output.stdout.as_str()), (3, ""));
    insta::assert_snapshot!(output.remarks(), @"ventiprog: http://127.0.0.1:1/index: cannot connect: connection refused (os error 111); going on with the partitions that are known without it");
    assert_eq!((site.holes(&venti), site.file("wrcmd")), (0, wrcmd));

    let fresh = Site::new(1);
    let output = fresh
        .ventiprog()
        .args(["--offline", "-i", url, &venti.dial()])
        .run();
    assert_eq!(output.status, 6, "{output:?}");
    assert!(
        output.stderr.contains("no wrcmd, no partition (-p)"),
        "{output:?}"
    );
}

#[test]
fn a_page_without_arenas_and_a_page_of_something_else() {
    let site = Site::empty(2);
    let nothing = Http::page(index::page(&[(&site.partition, "arenas")]));
    let html = Http::page("<html><body>hello</body></html>");
    for (http, said) in [(nothing, "lists no arenas"), (html, "index")] {
        let url = http.url();
        let output = site
            .ventiprog()
            .args(["--offline", "-i", &url, &closed_port()])
            .run();
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
        assert!(output.stderr.contains(&url), "{output:?}");
        assert_eq!(site.file("wrcmd"), "");
    }
}

#[test]
fn a_list_shows_a_partition_that_only_the_index_page_names() {
    let two = Two::new();
    let venti = Venti::start();
    two.site.runs(&[&venti], 0);
    let http = two.page();
    let line = format!(
        "{} {} other0 0x0 behind {BLOCKS} clumps ",
        venti.dial(),
        two.second.path().display()
    );
    for (options, status) in [(&[][..], 0), (&["--warn", "48"], 3)] {
        let list = two.site.ventilag().config(&two.here()).args(options);
        let output = list.args(["-i", &http.url()]).run();
        assert_eq!((output.status, &*output.stderr), (status, ""));
        let mut lines = output.stdout.lines();
        let never = lines.find(|found| found.starts_with(&line));
        let never = never.is_some_and(|found| found.ends_with(", acknowledged never"));
        assert!(never, "{output:?}");
    }
    // By the configuration.
    let config = format!("index = '{}'\n{}", http.url(), two.here());
    let output = two.site.ventilag().config(&config).run();
    assert!(output.stdout.contains(&line), "{output:?}");
}

#[test]
fn a_list_refuses_the_page_of_another_venti() {
    let (two, other) = (Two::new(), Site::other(5));
    let venti = Venti::start();
    two.site.runs(&[&venti], 0);
    let http = Http::page(index::page(&[(&other.partition, &other.part())]));
    for options in [&[][..], &["--warn", "48"]] {
        let output = two.site.ventilag().args(options);
        let output = output.args(["-i", &http.url()]).run();
        output.assert_refused(2, "that is the page of another venti");
    }
}

#[test]
fn a_list_is_late_where_the_page_counts_more_than_is_on_disk_or_is_not_there() {
    let mut site = Site::new(BLOCKS);
    let venti = Venti::start();
    site.runs(&[&venti], 0);
    let before = std::fs::read(site.part()).unwrap();
    site.add(5);
    let http = Http::page(index::page(&[(&site.partition, &site.part())]));
    std::fs::write(site.part(), before).unwrap();
    let more = "the index page counts 35 clumps, but 30 are on disk";
    // Without the page, a partition may be missing: that is never fine.
    for (url, said, without) in [
        (http.url(), more, 0),
        ("http://127.0.0.1:1/index".to_owned(), "cannot connect", 3),
    ] {
        for (options, status) in [(&[][..], without), (&["--warn", "48"], 3)] {
            let output = site.ventilag().args(options).args(["-i", &url]).run();
            assert_eq!(output.status, status, "{output:?}");
            assert!(output.stderr.contains(said), "{output:?}");
        }
    }
}

/// A page is a stranger's text: however many partitions it lists, the run names the
/// first of them and counts the others.
#[test]
fn partitions_that_are_not_here_are_named_up_to_a_number_and_then_counted() {
    let two = Two::new();
    let counters = "clumps=1 compressed clumps=0 data=5 compressed data=5 storage=43";
    let mut text = index::page(&[(&two.site.partition, "arenas.0")]);
    for number in 0..1000u64 {
        let from = (1 << 40) + number * 512;
        writeln!(
            text,
            "arena=x{number} at index [{from},{})\n\tarena='x{number}' on {} at [512,2048)\n\
             \tversion=5 created=0 modified=0\n\twritten: {counters}\n\tindexed: {counters}",
            from + 512,
            two.site.path(&format!("p{number}")).display()
        )
        .unwrap();
    }
    let page = Http::page(text);
    let venti = Venti::start();
    let config = two.here();
    let run = |words: &[&str]| {
        let command = two.ventiprog(&config).args(["-i", &page.url()]);
        command.args(words).run()
    };
    let list = two.site.ventilag().config(&config);
    let list = list.args(["-i", &page.url(), "--warn", "1"]);
    for output in [run(&[&venti.dial()]), list.run()] {
        assert_eq!(output.status, 3, "{}", output.stderr);
        let lines = output.stderr.lines().count();
        assert!(lines < 50, "{lines} lines: {}", output.stderr);
        let rest = "and 980 more partitions that are not here\n";
        assert!(output.stderr.contains(rest), "{}", output.stderr);
    }
    assert_eq!(two.holes(&venti).0, 0);
}
