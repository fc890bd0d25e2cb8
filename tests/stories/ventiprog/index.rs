//! The index page: every real page, every cut of one, hostile text, servers
//! that misbehave, and ventioffsets.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use venti_tests::arena::PartitionBuilder;
use venti_tests::command::{Command, Output};
use venti_tests::golden::{self, Manifest};
use venti_tests::http::{Answer, Http};
use venti_tests::plan9disk::Disk;
use venti_tests::random::Random;
use venti_tests::sample::Sample;
use venti_tests::venti::{Venti, closed_port};
use venticore::codec::index::{self, Page, PageError};
use venticore::net::client::Timeouts;
use venticore::net::page;
use venticore::source::ArenaPartition;
use venticore::status::Status;

/// The golden index pages.
const PAGES: &[&str] = &[
    "empty",
    "g16-blocksize-16k",
    "g4-version4",
    "g5",
    "many-1-mem-sealed",
    "many-2-disk-sealed",
    "many-3-scored",
    "many-4-mixed",
    "many-5-many",
    "many-6-restarted",
    "odd-names",
    "one-active",
];

fn golden_page(name: &str) -> String {
    golden::text(&format!("http/index-{name}.txt"))
}

fn page(text: &str) -> Page {
    Page::parse(text.as_bytes()).unwrap()
}

fn short_limits() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(1),
        silence: Duration::from_millis(500),
        ..Timeouts::default()
    }
}

fn fetched(http: &Http) -> Result<Page, PageError> {
    page::fetch(&http.url(), Timeouts::default())
}

fn offsets(arguments: &[&str], config: &str) -> Output {
    Command::new("ventioffsets")
        .config(config)
        .args(arguments)
        .run()
}

// The page.

#[test]
fn every_golden_page_is_here() {
    let found = fs::read_dir(golden::path("http")).unwrap();
    let found = found.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("index-")
    });
    assert_eq!(found.count(), PAGES.len());
}

#[test]
fn every_golden_partition_has_what_its_page_says() {
    for (name, page_name) in [
        ("g5", "g5"),
        ("g16", "g16-blocksize-16k"),
        ("g4", "g4-version4"),
    ] {
        let page = page(&golden_page(page_name));
        let manifest = Manifest::load(name);
        assert_eq!(page.arenas.len(), manifest.arenas.len());
        for (arena, expected) in page.arenas.iter().zip(&manifest.arenas) {
            assert_eq!(arena.name.as_str(), expected.name);
            assert_eq!(arena.head, expected.head, "{}", arena.name);
            assert_eq!(arena.block_size, manifest.block_size);
            assert_eq!((arena.size(), arena.total), (expected.size, expected.total));
            assert_eq!(arena.version, expected.version);
            assert_eq!(arena.partition, "arenas.part");
            for (found, expected) in [
                (arena.written, expected.written),
                (arena.indexed, expected.indexed),
            ] {
                assert_eq!(found.used(), expected.used, "{}", arena.name);
                assert_eq!(found.clumps, expected.clumps);
                assert_eq!(found.compressed_clumps, expected.compressed);
                assert_eq!(found.data, expected.uncompressed);
                assert_eq!(found.storage, found.used() + 25 * u64::from(found.clumps));
            }
            assert_eq!(arena.used(), expected.written.used);
            assert_eq!(arena.is_sealed(), expected.sealed);
            assert_eq!(arena.score, expected.sealed.then_some(expected.score));
        }
        let bytes = golden::bytes(&format!("{name}.part"));
        let table = ArenaPartition::read(&bytes).unwrap();
        page.partitions()[0]
            .check(table.block_size, &table.entries)
            .unwrap();
    }
}

/// For each arena: m(em sealed), d(isk sealed), q(ueued), s(cored), else `-`.
#[test]
fn every_state_of_an_arena_is_seen() {
    let states = |name| {
        let page = page(&golden_page(name));
        let states = page.arenas.iter().map(|arena| {
            let seen = [
                ('m', arena.mem_sealed),
                ('d', arena.disk_sealed),
                ('q', arena.in_queue),
                ('s', arena.score.is_some()),
            ];
            let seen = seen.map(|(letter, is)| if is { letter } else { '-' });
            seen.into_iter().collect::<String>()
        });
        states.collect::<Vec<_>>().join(" ")
    };
    let seen: Vec<String> = PAGES
        .iter()
        .map(|name| format!("{name}: {}", states(name)))
        .collect();
    insta::assert_snapshot!(seen.join("\n"));
}

#[test]
fn the_pages_of_one_server_lie_behind_each_other() {
    for name in PAGES {
        let page = page(&golden_page(name));
        assert_eq!((page.name.as_str(), page.version), ("main", 1));
        for pair in page.arenas.windows(2) {
            assert_eq!(pair[0].index.end, pair[1].index.start, "{name}");
            assert_eq!(pair[0].head + pair[0].total, pair[1].head, "{name}");
        }
    }
    assert_eq!(page(&golden_page("empty")).partitions(), []);
    assert_eq!(page(&golden_page("many-5-many")).arenas.len(), 12);
}

#[test]
fn odd_names_are_names() {
    let odd = page(&golden_page("odd-names"));
    assert_eq!(odd.arenas[0].name.as_str(), "it's <a> & \"b\". 0");
    assert_eq!(odd.arenas[0].head, 794_624);
    let text = golden_page("one-active");
    let old = page(&text).arenas[0].clone();
    for name in [
        "a' on b at [1,2)",
        "a at index [1,2)",
        "' on ' on ",
        "arena='x' on",
        " blank ",
        "",
        "x' on y",
    ] {
        for partition in [
            "arenas.part",
            "/dev/sd 0/arenas at [3,4)",
            "it' on that",
            "a:1m-2m",
        ] {
            let text = text
                .replace(old.name.as_str(), name)
                .replace("arenas.part", partition);
            let arena = &page(&text).arenas[0];
            assert_eq!(arena.name.as_str(), name);
            assert_eq!(arena.partition, partition);
            assert_eq!((arena.head, arena.total), (old.head, old.total));
        }
    }
}

#[test]
fn the_two_lines_must_name_the_same_arena() {
    for other in ["g5.", "g5.11", "G5.1", "g5.1 "] {
        let text = golden_page("g5").replace("arena='g5.1'", &format!("arena='{other}'"));
        let error = Page::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, PageError::Line { line: 11, .. }), "{error}");
    }
}

#[test]
fn times_after_2038_are_read_as_the_server_prints_them() {
    let text = golden_page("one-active");
    let text = text.replace("created=1", "created=-1");
    let created = page(&text).arenas[0].created;
    assert!(created > 2_147_483_647, "{created}");
    assert!(Page::parse(text.replace("created=-1", "created=-9").as_bytes()).is_err());
}

/// Each edit of the g5 page, the line it is in, and what the error must show.
#[test]
fn numbers_that_cannot_be_are_refused_with_their_line() {
    let max = u64::MAX;
    let edits: &[(&str, String, usize, &str)] = &[
        (
            "[1048576,2080768)",
            "[1048576,1048576)".into(),
            4,
            "not empty",
        ),
        (
            "[1048576,2080768)",
            "[2080768,1048576)".into(),
            4,
            "not empty",
        ),
        (
            "[2080768,3112960)",
            "[2080767,3112960)".into(),
            10,
            "2080768 on",
        ),
        (
            "[802816,1851392)",
            "[1851392,802816)".into(),
            5,
            "[1851392,802816)",
        ),
        (
            "[802816,1851392)",
            "[802816,1851393)".into(),
            5,
            "power of two",
        ),
        (
            "[802816,1851392)",
            "[802816,1859584)".into(),
            5,
            "power of two",
        ),
        (
            "[802816,1851392)",
            "[802816,1835008)".into(),
            5,
            "power of two",
        ),
        (
            "[802816,1851392)",
            format!("[802816,{max})"),
            5,
            "power of two",
        ),
        (
            "[802816,1851392)",
            "[8191,1056767)".into(),
            5,
            "power of two",
        ),
        ("[802816,1851392)", format!("[{max}0,1851392)"), 5, "[P,Q)"),
        ("[802816,1851392)", "[-1,1851392)".into(), 5, "[P,Q)"),
        ("[802816,1851392)", "[802816,1851392) ".into(), 5, "[P,Q)"),
        (" on arenas.part at ", " on  at ".into(), 5, "PARTITION"),
        (
            "version=5 created=1795315575",
            "version=5".into(),
            6,
            "created",
        ),
        ("mem=sealed disk", "disk=sealed mem".into(), 6, "state"),
        ("score=38", "score=".into(), 7, "40 hexadecimal"),
        ("score=38", "score=vac:38".into(), 7, "40 hexadecimal"),
        ("=966,399", "=966399".into(), 8, "written"),
        ("=966,399", "=9,66399".into(), 8, "written"),
        ("=966,399", "=,966,399".into(), 8, "written"),
        ("=966,399", "=966,399,966,399".into(), 8, "at most 1032192"),
        (
            "=966,399",
            "=18,446,744,073,709,551,615".into(),
            8,
            "at most",
        ),
        (
            "=966,399",
            "=18,446,744,073,709,551,616".into(),
            8,
            "written",
        ),
        ("clumps=932 ", "clumps=4294967296 ".into(), 8, "written"),
        ("clumps=932 ", "clumps=-1 ".into(), 8, "written"),
        ("\tindexed", "\tIndexed".into(), 9, "indexed"),
        ("version=1", "version=one".into(), 1, "version"),
    ];
    let text = golden_page("g5");
    for (from, to, line, shows) in edits {
        assert!(text.contains(from), "{from}");
        let error = Page::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(&format!("line {line}: ")), "{to}: {told}");
        assert!(told.contains(shows), "{to}: {told}");
    }
}

#[test]
fn what_is_no_index_page_is_told_apart() {
    let long = format!("{}\n", "no".repeat(500));
    let cases: [(&[u8], &str); 7] = [
        (b"", "found nothing"),
        (b"<!DOCTYPE html><html>", "html"),
        (b"\n <HTML><body>404", "html"),
        (b"\x1b]0;x\x07\xff\n", "\\u{1b}]0;x"),
        (b"venti-04:02-libventi\n", "venti-04:02-libventi\\n"),
        (long.as_bytes(), "nono...\""),
        (b"index=main\ntotal arenas=1\n", "line 1: "),
    ];
    for (text, shows) in cases {
        let error = Page::parse(text).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(shows), "{told}");
        assert!(!told.contains(char::is_control), "{told:?}");
        assert!(told.len() < 250, "{told}");
        assert_eq!(error.status(), Status::Failed);
    }
    let xml = Page::parse(golden::text("http/xindex-g5.xml").as_bytes());
    assert!(matches!(xml, Err(PageError::NotIndex(_))));
}

/// Of the pages of old servers only the counters and the state look otherwise.
#[test]
fn pages_of_old_servers_are_read() {
    let text = golden_page("g5");
    let now = page(&text);
    let before_october_2007 = text
        .replace("\twritten:", "\tmem:")
        .replace("\tindexed:", "\tdisk:");
    assert_eq!(page(&before_october_2007), now);
    let lines = text.lines().filter(|line| !line.starts_with("\twritten"));
    let single: Vec<String> = lines
        .map(|line| match line.strip_prefix("\tindexed: ") {
            Some(counters) => {
                format!("\t{}", counters.replace(',', "")).replace(" storage=", " disk storage=")
            }
            None => line.replace(" mem=sealed disk=sealed", " sealed"),
        })
        .collect();
    let oldest = page(&(single.join("\n") + "\n"));
    for (old, now) in oldest.arenas.iter().zip(&now.arenas) {
        assert_eq!(
            (&old.name, old.head, old.total),
            (&now.name, now.head, now.total)
        );
        assert_eq!(old.is_sealed(), now.is_sealed());
        assert_eq!((old.written, old.indexed), (now.indexed, now.indexed));
    }
    assert_eq!(oldest.arenas.len(), now.arenas.len());
    let http = Http::answering(Answer::page(&before_october_2007));
    let output = offsets(&[&http.url()], "");
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout.lines().count(), 3);
}

/// A page cut just after an arena cannot be told from a shorter one, so that
/// is the one cut which gives a page: the first arenas, unchanged.
#[test]
fn a_page_cut_at_any_byte_never_gives_a_wrong_list() {
    for name in PAGES {
        let text = golden_page(name);
        let whole = page(&text);
        let mut shorter = 0;
        for end in 0..text.len() {
            match Page::parse(&text.as_bytes()[..end]) {
                Ok(page) => {
                    let rest = &text[end..];
                    let between = rest.starts_with("arena=") || rest.starts_with("\tsect=");
                    assert!(between, "{name} cut at {end}");
                    assert_eq!(page.arenas, whole.arenas[..page.arenas.len()]);
                    assert!(page.arenas.len() < whole.arenas.len());
                    shorter += 1;
                }
                Err(PageError::Empty) => assert_eq!(end, 0),
                Err(error) => {
                    let line = text[..end].matches('\n').count() + 1;
                    assert_eq!(error, PageError::Cut { line }, "{name} cut at {end}");
                }
            }
        }
        assert_eq!(shorter, whole.arenas.len(), "{name}");
    }
}

#[test]
fn a_page_has_so_many_arenas_and_no_more() {
    let text = golden_page("one-active");
    let (head, _) = text.split_at(text.find("arena=").unwrap());
    let mut long = head.to_owned();
    let counters = "clumps=0 compressed clumps=0 data=0 compressed data=0 storage=0";
    for number in 0..=index::MAX_ARENAS {
        let (from, to) = (number * 512, (number + 1) * 512);
        long += &format!(
            "arena=a at index [{from},{to})\n\tarena='a' on p{} at [512,2048)\n\
             \tversion=5 created=0 modified=0\n\twritten: {counters}\n\tindexed: {counters}\n",
            number % index::MAX_PARTITIONS
        );
    }
    let start = Instant::now();
    let error = Page::parse(long.as_bytes()).unwrap_err();
    assert_eq!(error, PageError::TooMany(index::MAX_ARENAS, "arenas"));
    let last = long.rfind("arena=a ").unwrap();
    let page = page(&long[..last]);
    assert_eq!(page.partitions().len(), index::MAX_PARTITIONS);
    let more = long[..last].replacen(" on p0 ", " on another ", 1);
    let error = Page::parse(more.as_bytes()).unwrap_err();
    assert_eq!(
        error,
        PageError::TooMany(index::MAX_PARTITIONS, "partitions")
    );
    assert!(start.elapsed() < Duration::from_secs(60));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: Vec<u8>) {
        let _ = Page::parse(&text);
    }

    /// Bytes of a real page put in place of others.
    #[test]
    fn a_damaged_page_is_read_or_refused(
        name in proptest::sample::select(PAGES),
        edits in proptest::collection::vec((any::<usize>(), any::<usize>(), 0..40_usize), 1..6),
    ) {
        let text = golden_page(name).into_bytes();
        let mut damaged = text.clone();
        for (from, to, length) in edits {
            let from = from % text.len();
            let piece = text[from..(from + length).min(text.len())].to_vec();
            let to = to % damaged.len();
            let end = (to + length).min(damaged.len());
            damaged.splice(to..end, piece);
        }
        if let Ok(page) = Page::parse(&damaged) {
            for arena in &page.arenas {
                let block = u64::from(arena.block_size);
                prop_assert!(block.is_power_of_two() && (512..=65536).contains(&block));
                prop_assert_eq!(arena.total, arena.size() + 2 * block);
                prop_assert!(arena.head.checked_add(arena.total).is_some());
                prop_assert!(arena.used() <= arena.size());
            }
        }
    }
}

// The page and the partition.

#[test]
fn a_partition_may_have_more_arenas_than_the_page() {
    let text = golden_page("g5");
    let cut = text.find("arena=g5.1").unwrap();
    let page = page(&text[..cut]);
    let bytes = golden::bytes("g5.part");
    let table = ArenaPartition::read(&bytes).unwrap();
    assert_eq!((page.arenas.len(), table.entries.len()), (1, 3));
    page.partitions()[0]
        .check(table.block_size, &table.entries)
        .unwrap();
}

#[test]
fn page_and_partition_that_differ_are_told_with_both_numbers() {
    let bytes = golden::bytes("g5.part");
    let table = ArenaPartition::read(&bytes).unwrap();
    let edits = [
        // One block further.
        ("at [802816,1851392)", "at [811008,1859584)"),
        // One block shorter.
        ("[1048576,2080768)", "[1048576,2072576)"),
        // Other block sizes for the same total.
        ("[1048576,2080768)", "[1048576,2064384)"),
        // Another arena there, and no such arena at all.
        ("g5.0", "g5.2"),
        ("g5.0", "nix"),
        ("at [802816,1851392)", "at [11008,1059584)"),
    ];
    let told = edits.map(|(from, to)| {
        let mut text = golden_page("g5").replace(from, to);
        if to == "[1048576,2072576)" {
            text = text.replace("[802816,1851392)", "[802816,1843200)");
        }
        text.truncate(text.find("arena=g5.1").unwrap());
        let text = text.replace("clumps=932", "clumps=900");
        let page = page(&text);
        let error = page.partitions()[0]
            .check(table.block_size, &table.entries)
            .unwrap_err();
        assert_eq!(error.status(), Status::Failed);
        error.to_string()
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn two_partitions_in_one_index_keep_their_arenas_apart() {
    let page = page(&two_partitions("first", "second part"));
    let seen: Vec<(&str, Vec<&str>)> = page
        .partitions()
        .iter()
        .map(|of| {
            let names = of.arenas.iter().map(|arena| arena.name.as_str());
            (of.partition, names.collect())
        })
        .collect();
    let expected = [
        ("first", vec!["g5.0", "g5.2"]),
        ("second part", vec!["g5.1"]),
    ];
    assert_eq!(seen, expected);
}

/// The g5 page as of a server that has its middle arena elsewhere.
fn two_partitions(first: &str, second: &str) -> String {
    golden_page("g5")
        .replace("'g5.1' on arenas.part", &format!("'g5.1' on {second}"))
        .replace("on arenas.part", &format!("on {first}"))
}

// The server.

#[test]
fn a_page_arrives_however_it_is_sent() {
    let text = golden_page("many-5-many");
    let old = format!("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n{text}");
    for answer in [
        Answer::page(&text),
        Answer::raw(old),
        Answer::with("200 OK", "", &text),
        Answer::with("200 OK", "Content-Type: text/html\r\n", &text),
        Answer::with("200 OK", "Content-Type: image/png\r\n", &text),
        Answer::page(&text).and_hang(),
        Answer::with("200 OK", "", &text).and_hang(),
    ] {
        let http = Http::answering(answer.clone());
        assert_eq!(fetched(&http), Ok(page(&text)), "{answer:?}");
        assert_eq!(
            (http.connections(), http.paths()),
            (1, vec!["/index".into()])
        );
    }
}

/// HTTP/1.0 without a length ends where the connection does: only the page
/// itself can tell. Chunked or with a length, every cut is noticed.
#[test]
fn an_answer_cut_at_any_byte_is_no_page() {
    let text = golden_page("g5");
    for whole in [Answer::page(&text), Answer::with("200 OK", "", &text)] {
        let length = whole.length();
        for end in (0..length).step_by(37).chain(length - 12..length) {
            let http = Http::answering(whole.clone().cut(end));
            match fetched(&http) {
                // The last chunk's own end may be missing, the page is whole.
                Ok(found) => assert!(found == page(&text) && end + 2 >= length, "{end}"),
                Err(error) => assert_eq!(error.status(), Status::Unreachable, "{end}: {error}"),
            }
        }
    }
}

#[test]
fn a_server_that_misbehaves_is_told_on_one_line() {
    let text = golden_page("g5");
    let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", u64::MAX);
    let redirect = "Location: http://127.0.0.1:1/\x07index\r\n";
    let endless = vec![b'\t'; usize::try_from(page::PAGE_MAX).unwrap() + 1];
    let cases: Vec<(Answer, Status, &str)> = vec![
        (Answer::raw(""), Status::Unreachable, "closed"),
        (Answer::raw("").and_hang(), Status::Unreachable, "500ms"),
        (
            Answer::page(&text).cut(300).and_hang(),
            Status::Unreachable,
            "500ms",
        ),
        (
            Answer::page(&text).slowly(Duration::from_millis(20)),
            Status::Unreachable,
            "500ms",
        ),
        (
            Answer::with("302 Found", "Location: http://127.0.0.1:1/index\r\n", &text),
            Status::Failed,
            "302, redirected to \"http://127.0.0.1:1/index\"",
        ),
        (
            Answer::with("302 Found", redirect, &text),
            Status::Failed,
            "http",
        ),
        (Answer::with("301 Moved", "", &text), Status::Failed, "301"),
        (
            Answer::with("404 Not Found", "", "no"),
            Status::Failed,
            "404",
        ),
        (Answer::with("503 Busy", "", "no"), Status::Failed, "503"),
        (
            Answer::with("204 No Content", "", ""),
            Status::Failed,
            "204",
        ),
        (
            Answer::with("200 OK", "", ""),
            Status::Failed,
            "found nothing",
        ),
        (Answer::page("<html>hello</html>"), Status::Failed, "html"),
        (Answer::page(b"\0\x01\x02"), Status::Failed, "\\0"),
        (Answer::raw(huge), Status::Unreachable, "closed"),
        (
            Answer::with("200 OK", "", [text.as_bytes(), &endless].concat()),
            Status::Failed,
            "67108864",
        ),
        (Answer::page(&endless), Status::Failed, "67108864"),
        (
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            Status::Failed,
            "http",
        ),
        (
            Answer::raw(Random::new(7).bytes(1000)),
            Status::Failed,
            "http",
        ),
        (
            Answer::raw(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20))),
            Status::Failed,
            "header",
        ),
    ];
    for (answer, kind, shows) in cases {
        let http = Http::answering(answer);
        let limits = match kind {
            Status::Unreachable => short_limits(),
            _ => Timeouts::default(),
        };
        let start = Instant::now();
        let error = page::fetch(&http.url(), limits).unwrap_err();
        let told = error.to_string();
        assert!(start.elapsed() < Duration::from_secs(30), "{told}");
        assert_eq!(error.status(), kind, "{shows}: {told}");
        assert!(told.contains(shows), "{shows}: {told}");
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}

#[test]
fn what_is_not_there_or_no_http_server_is_told() {
    let port = |dial: &str| dial.rsplit_once('!').unwrap().1.to_owned();
    let venti = Venti::start();
    let url = format!("http://127.0.0.1:{}/index", port(&venti.dial()));
    let error = page::fetch(&url, Timeouts::default()).unwrap_err();
    assert_eq!(error.status(), Status::Failed);
    let told = error.to_string();
    assert!(
        told.contains("\"venti-04:02-") && told.contains("httpaddr"),
        "{told}"
    );

    let url = format!("http://127.0.0.1:{}/index", port(&closed_port()));
    let error = page::fetch(&url, Timeouts::default()).unwrap_err();
    assert_eq!(error.status(), Status::Unreachable);
    assert!(error.to_string().contains("refused"), "{error}");

    let error = page::fetch("http://no-such-host.invalid/index", short_limits()).unwrap_err();
    assert_eq!(error.status(), Status::Unreachable, "{error}");
}

// ventioffsets.

#[test]
fn the_offsets_are_printed_as_the_script_printed_them() {
    let http = Http::page(golden_page("g16-blocksize-16k"));
    let output = offsets(&[&http.url()], "");
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let expected = "x g16.0 802816 arenas.part\nx g16.1 1851392 arenas.part\n";
    assert_eq!(output.stdout, expected);

    let http = Http::page(golden_page("odd-names"));
    let output = offsets(&[&http.url()], "");
    let expected = "x it's <a> & \"b\". 0 794624 arenas.part\n";
    assert_eq!((output.status, output.stdout.as_str()), (0, expected));

    let http = Http::page(golden_page("empty"));
    let output = offsets(&["-v", &http.url()], "");
    assert_eq!((output.status, output.stdout.as_str()), (0, ""));
    assert!(output.stderr.contains("no arena has clumps"));
}

#[test]
fn the_url_is_the_operand_else_the_configured_one() {
    let (configured, given) = (
        Http::page(golden_page("g5")),
        Http::page(golden_page("empty")),
    );
    let config = format!("index = '{}'\n", configured.url());
    assert_eq!(offsets(&[], &config).stdout.lines().count(), 3);
    assert_eq!(offsets(&[&given.url()], &config).stdout, "");
    assert_eq!((configured.connections(), given.connections()), (1, 1));
}

/// A fresh venti has no arena on its page.
#[test]
fn a_partition_is_read_as_well_as_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let part = golden::unpack("g5.part", directory.path());
    let file = part.to_str().unwrap();
    let http = Http::page(golden_page("g5"));
    let of_page = |arguments: &[&str]| {
        let output = offsets(&[arguments, &[&http.url()]].concat(), &mapped(&part));
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
        output.stdout.replace("arenas.part", file)
    };
    let of_partition = |arguments: &[&str]| {
        let output = offsets(&[arguments, &[file]].concat(), "");
        assert_eq!((output.status, output.stderr.as_str()), (0, ""));
        output.stdout
    };
    for arguments in [
        &[] as &[&str],
        &["-w", "host.example.org"],
        &["-j"],
        &["-j", "-w", "host.example.org"],
    ] {
        assert_eq!(of_partition(arguments), of_page(arguments), "{arguments:?}");
    }
    // All of its table, those without clumps too; and a partition of a disk.
    let fresh = directory.path().join("fresh");
    PartitionBuilder::new()
        .arenas(2, 1 << 20)
        .create(&fresh)
        .unwrap();
    let bytes = std::fs::read(&fresh).unwrap();
    let disk = Disk::create(&directory.path().join("disk"), &[("arenas", &bytes)]);
    for operand in [fresh.to_str().unwrap(), &disk.operand("arenas")] {
        let output = offsets(&[operand], "");
        let expected = [794_624, 1_843_200].map(|at| format!("{at} {operand}\n"));
        assert_eq!((output.status, output.stdout.lines().count()), (0, 2));
        for (line, end) in output.stdout.split_inclusive('\n').zip(expected) {
            assert!(line.starts_with("x ") && line.ends_with(&end), "{line}");
        }
    }
    let arena = golden::unpack("g5.2.arena", directory.path());
    let output = offsets(&[arena.to_str().unwrap()], "");
    assert_eq!(output.stdout, format!("x g5.2 0 {}\n", arena.display()));
}

/// Where the arenas lie is in the table, also of those that are damaged or cut off.
#[test]
fn what_is_wrong_with_a_partitions_arenas_is_said_and_all_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let part = golden::unpack("g5-trunc.part", directory.path());
    let output = offsets(&["-j", part.to_str().unwrap()], "");
    assert_eq!((output.status, output.stdout.lines().count()), (3, 3));
    assert!(output.stderr.contains("arena g5.1: cut off"), "{output:?}");
    assert!(output.stderr.contains("arena g5.2: cut off"), "{output:?}");
    assert!(
        output
            .stdout
            .ends_with("\"clumps\":null,\"used\":null,\"sealed\":null,\"score\":null}\n")
    );
    offsets(&["/absent"], "").assert_refused(1, "/absent: no such file or device\n");
    offsets(&["/"], "").assert_refused(1, "found a directory");
    let address = "localhost:8000/index";
    let said = "; an index page is given as http://HOST:PORT/index";
    offsets(&[address], "").assert_refused(2, said);
}

/// The configuration that maps `arenas.part` to a path here.
fn mapped(path: &Path) -> String {
    format!("[partitions]\n'arenas.part' = '{}'\n", path.display())
}

#[test]
fn ready_commands_are_for_the_path_here() {
    let directory = tempfile::tempdir().unwrap();
    let part = golden::unpack("g5.part", directory.path());
    let http = Http::page(golden_page("g5"));
    let output = offsets(&["-w", "venti2", &http.url()], &mapped(&part));
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let expected: String = [794_624, 1_843_200, 2_891_776]
        .map(|offset| {
            let part = part.display();
            format!("wrarena -h tcp!venti2!17034 -o {offset} {part} 0x0\n")
        })
        .concat();
    assert_eq!(output.stdout, expected);
}

#[test]
fn a_ready_command_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let part = golden::unpack("g16.part", directory.path());
    let http = Http::page(golden_page("g16-blocksize-16k"));
    let venti = Venti::start();
    let output = offsets(&["--wrarena", &venti.dial(), &http.url()], &mapped(&part));
    for line in output.stdout.lines() {
        let mut words = line.split(' ');
        let run = Command::new(words.next().unwrap()).args(words).run();
        assert_eq!(run.status, 0, "{line}: {run:?}");
    }
    let arenas = Manifest::load("g16").arenas;
    let clumps: usize = arenas.iter().map(|arena| arena.clumps.len()).sum();
    assert_eq!(venti.counts().writes, clumps as u64);
}

#[test]
fn json_has_the_same_numbers() {
    let http = Http::page(golden_page("g5"));
    let config = "[partitions]\n'arenas.part' = '/dev/g5'\n";
    let output = offsets(&["-j", "-w", "v", &http.url()], config);
    let first = output.stdout.lines().next().unwrap();
    insta::assert_snapshot!(first);
    for line in output.stdout.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["schema"], 1);
    }
}

#[test]
fn a_partition_that_is_here_must_agree() {
    let directory = tempfile::tempdir().unwrap();
    let part = golden::unpack("g4.part", directory.path());
    let here = part.display().to_string();
    let http = Http::page(golden_page("g5"));
    let output = offsets(&[&http.url()], &mapped(&part));
    assert_eq!(output.status, 3);
    assert_eq!(
        output.stdout.lines().count(),
        3,
        "it is printed all the same"
    );
    insta::assert_snapshot!(output.stderr.replace(&here, "PART"));

    fs::write(&part, vec![0; 1 << 20]).unwrap();
    let output = offsets(&[&http.url()], &mapped(&part));
    assert_eq!((output.status, output.stderr.lines().count()), (3, 1));
    assert!(
        output.stderr.contains("arena partition header"),
        "{output:?}"
    );
}

#[test]
fn a_partition_that_is_not_here_is_said_with_the_key_that_maps_it() {
    let http = Http::page(two_partitions("/dev/nix/arenas", "/dev/nix/more"));
    let quiet = offsets(&[&http.url()], "");
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""));
    let output = offsets(&["-v", &http.url()], "");
    assert_eq!((output.status, output.stdout), (0, quiet.stdout));
    insta::assert_snapshot!(output.stderr);
}

#[test]
fn names_and_places_hold_for_a_partition_made_to_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arenas.part");
    let name = "it's <a> & \"b\". ";
    let mut partition = PartitionBuilder::new()
        .name(name)
        .arenas(3, 1 << 20)
        .create(&path)
        .unwrap();
    partition
        .append(13, &Sample::new(1, 50).block(1000))
        .unwrap();
    partition.sync().unwrap();
    let http = Http::page(golden_page("odd-names"));
    let output = offsets(&["-v", &http.url()], &mapped(&path));
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
}

#[test]
fn a_path_that_is_not_one_word_makes_no_command() {
    let http = Http::page(two_partitions("/a b", "/c"));
    let output = offsets(&["-w", "v", &http.url()], "");
    assert_eq!(output.status, 3);
    assert_eq!(output.stdout, "wrarena -h tcp!v!17034 -o 1843200 /c 0x0\n");
    assert_eq!(output.stderr.lines().count(), 2, "{output:?}");
    assert!(output.stderr.contains("one word"), "{output:?}");
}

#[test]
fn what_was_typed_wrong_is_usage() {
    for arguments in [
        &["https://127.0.0.1:1/index"][..],
        &["127.0.0.1:8000"],
        &["http://127.0.0.1:1/index", "extra"],
        &["-w", "a!b!c!d", "http://127.0.0.1:1/index"],
        &["-w"],
    ] {
        let output = offsets(arguments, "");
        assert_eq!(output.status, 2, "{arguments:?} {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    }
    assert_eq!(offsets(&["http://127.0.0.1:1/index"], "").status, 6);
}
