//! The pages, and who reads them.

use venti_tests::command::Command;
use venti_tests::random::Random;
use venti_tests::served::Served;
use venticore::codec::index::Page;
use venticore::codec::score::Score;
use venticore::codec::wire::{Request, Version};

/// A server of a store with two arenas in use.
fn filled(store: &std::path::Path) -> Served {
    let served = Served::with(&["-c", "8m", "-A", "2m"], store);
    let mut client = served.client(Version::V04);
    for seed in 0..300 {
        let data = Random::new(seed).bytes(8000);
        let answer = client.ask(&Request::Write {
            ty: 13,
            data: &data,
        });
        assert!(answer.starts_with("Rwrite"), "{answer}");
    }
    assert_eq!(client.ask(&Request::Sync), "Rsync");
    served
}

#[test]
fn the_index_page_is_read_as_plan9ports_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let empty = Served::made(&directory.path().join("empty"));
    assert_eq!(
        Page::parse(empty.page("/index").as_bytes())
            .unwrap()
            .arenas
            .len(),
        0
    );

    let served = filled(&store);
    let page = Page::parse(served.page("/index").as_bytes()).unwrap();
    assert_eq!(page.arenas.len(), 2);
    assert!(page.arenas[0].is_sealed() && !page.arenas[1].is_sealed());
    assert_eq!(page.arenas.iter().map(|a| a.clumps()).sum::<u32>(), 300);
    let storage = served.page("/storage");
    assert!(storage.contains("\ntotal arenas=4 active=2\n"), "{storage}");
    assert!(
        storage.contains("\nclumps=300 compressed clumps="),
        "{storage}"
    );

    // Its name is the same wherever it is read, also where the store was named otherwise.
    let named = format!("' on {} at [", store.display());
    assert_eq!(served.page("/index").matches(&named).count(), 2);
    assert_eq!(served.end().status, 0);
    let port = venti_tests::port::free();
    let web = venti_tests::port::free();
    let command = Command::new("ventiserve").current_dir(directory.path());
    let addresses = [port, web].map(|port| format!("127.0.0.1:{port}"));
    let command = command.args(["-r", "-a", &addresses[0], "-H", &addresses[1], "store"]);
    let served = Served::of(command.start(), port, web);
    assert_eq!(served.page("/index").matches(&named).count(), 2);

    // The page and the partition agree, arena by arena.
    let output = Command::new("ventioffsets").arg(served.url("/index")).run();
    assert_eq!(output.status, 0, "{output:?}");
    let of_page: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(of_page.len(), 2, "{output:?}");
    let output = Command::new("ventioffsets").arg(&store).run();
    assert!(
        of_page.iter().all(|line| output.stdout.contains(line)),
        "{output:?} {of_page:?}"
    );
}

#[test]
fn ventiprog_copies_from_a_store_by_its_page_and_to_another_store() {
    let directory = tempfile::tempdir().unwrap();
    let source = filled(&directory.path().join("source"));
    let target = Served::made(&directory.path().join("target"));
    let pages = format!(
        "[target_index]\n'{}' = '{}'\n",
        target.dial(),
        target.url("/index")
    );
    let run = |extra: &[&str]| {
        let command = Command::new("ventiprog").config(&pages).args(extra);
        let command = command.arg("-d").arg(directory.path().join("state"));
        let command = command.args(["-i", &source.url("/index"), "-s", &source.dial()]);
        command.arg(target.dial()).run()
    };
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let output = run(&[]);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(target.metric("blocks "), 300);
    // A ventiserve has no caches that were to be emptied.
    assert_eq!(output.remarks(), "");
    let output = run(&["--verify"]);
    assert_eq!((output.status, output.remarks()), (0, String::new()));
    assert_eq!(target.metric("blocks "), 300);
}

/// A second server has all that the first has, and is not the one that writes its store.
#[test]
fn a_server_that_has_every_block_is_not_the_source() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("source");
    let source = filled(&store);
    let [copy, target] = ["copy", "target"].map(|name| Served::made(&directory.path().join(name)));
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let run = |from: &Served, to: &Served| {
        let command = Command::new("ventiprog").arg("-p").arg(&store);
        let command = command.arg("-d").arg(directory.path().join("state"));
        command.args(["-s", &from.dial(), &to.dial()]).run()
    };
    assert_eq!(run(&source, &copy).status, 0);
    std::fs::remove_dir_all(directory.path().join("state")).unwrap();
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let output = run(&copy, &target);
    assert_eq!(output.status, 3, "{output:?}");
    let said = "has it open for writing, and is not the server at the source's address";
    assert!(output.stderr.contains(said), "{output:?}");
    // Also where nobody writes the store any more.
    assert_eq!(source.end().status, 0);
    let output = run(&copy, &target);
    assert_eq!(output.status, 3, "{output:?}");
    let said = "the server at the source's address (";
    assert!(output.stderr.contains(said), "{output:?}");
    assert!(
        output.stderr.contains("does not have it open"),
        "{output:?}"
    );
}

#[test]
fn the_page_for_people_is_whole_and_its_text_is_text() {
    let directory = tempfile::tempdir().unwrap();
    let served = filled(&directory.path().join("<b>&\"store"));
    let page = served.page("/");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(
        page.contains("<svg") && page.contains("300 blocks"),
        "{page}"
    );
    assert!(page.contains("&lt;b&gt;&amp;&quot;store"), "{page}");
    assert!(!page.contains("<b>"), "{page}");
    for fetched in ["<script", "src=", "http://", "https://", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    let head = served.web(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && head.ends_with("\r\n\r\n"));
    let metrics = served.page("/metrics");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once(' ').unwrap();
        assert!(name.starts_with("ventiserve_"), "{line}");
        assert!(value.parse::<u64>().is_ok(), "{line}");
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{line}");
    }
    assert_eq!(served.metric("stored_total "), 300);
}

#[test]
fn reads_that_came_out_of_the_cache_are_counted() {
    let data = Random::new(1).bytes(3000);
    let read = Request::Read {
        score: Score::of(&data),
        ty: 13,
        count: 3000,
    };
    for (options, hits, misses) in [
        (&["--cache", "0"][..], 0, 0),
        (&["--cache", "1m"], 3, 2),
        (&[], 3, 2),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let options = [&["-c", "8m", "-A", "2m"], options].concat();
        let served = Served::with(&options, &directory.path().join("store"));
        let mut client = served.client(Version::V04);
        client.ask(&Request::Write {
            ty: 13,
            data: &data,
        });
        for _ in 0..5 {
            assert!(client.ask(&read).starts_with("Rread "));
        }
        assert_eq!(served.metric("cache_hits_total "), hits);
        assert_eq!(served.metric("cache_misses_total "), misses);
        assert_eq!(served.metric("cache_bytes ") > 3000, hits > 0);
        assert_eq!(served.end().status, 0);
    }
}

#[test]
fn what_is_no_request_for_a_page_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let long = format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (request, status) in [
        (
            &b"GET /set?name=devnull&value=1 HTTP/1.0\r\n\r\n"[..],
            "404",
        ),
        (b"GET /../etc/passwd HTTP/1.0\r\n\r\n", "404"),
        (b"POST / HTTP/1.0\r\n\r\n", "405"),
        (b"GET /\r\n\r\n", "400"),
        (b"GET / VENTI/1.0\r\n\r\n", "400"),
        (b"\xff\xff HTTP/1.0\r\n\r\n", "400"),
        (b"\r\n\r\n", "400"),
        (long.as_bytes(), "431"),
    ] {
        let answer = served.web(request);
        assert!(
            answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{request:?}: {answer}"
        );
    }
    assert_eq!(served.end().status, 0);
}
