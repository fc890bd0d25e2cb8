//! How a bucket is addressed, keys that last for a while only, and readers beside each other.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use venti_tests::bucket::{Bucket, Fault, KEY, NAME, SECRET};
use venti_tests::command::{Command, skipped};
use venti_tests::port;
use venti_tests::served::Served;
use venticore::codec::blocktype::BLOCK_MAX;
use venticore::net::client::{Client, Dialer};

use super::buckets::{assert_tells_no_key, below, expected, runs, three_arenas, with_key};
use crate::fixture::site::{LIMITS, Site};

/// What goes with a key.
const TOKEN: &str = "t0ken/of+the=stories";

#[test]
fn a_bucket_can_be_in_the_name_of_the_host() {
    let site = three_arenas();
    let bucket = Bucket::start();
    let target = bucket.replica_at("store.test", "x");
    // The name is known to these runs alone.
    let hosts = site.path("hosts");
    fs::write(&hosts, format!("127.0.0.1 {NAME}.store.test\n")).unwrap();
    let hosts = hosts.to_str().unwrap();
    let apart = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let words = ["unshare", "-m", "sh", "-c", apart, hosts];
    let probe = std::process::Command::new(words[0])
        .args(&words[1..])
        .arg("true")
        .output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return skipped("a bucket in the name of a host: no mount namespace can be made here");
    }
    let config = format!("{LIMITS}[s3]\npath_style = false\n");
    for options in [&["-p"][..], &["--verify", "-p"]] {
        let command = site.ventiprog().through(words).args(options);
        let command = with_key(command.args([&site.part(), &target]));
        let output = command.config(&config).run();
        assert_eq!(output.status, 0, "{output:?}");
    }
    assert!(below(&bucket, "x") == expected(&site));
    let addressed = bucket.addressed();
    assert!(!addressed.is_empty());
    for (host, _) in &addressed {
        assert!(host.starts_with("archive.store.test:"), "{host}");
    }
    assert_eq!(bucket.wrong(), [""; 0]);
}

#[test]
fn a_token_goes_with_its_key_and_is_told_to_nobody_else() {
    let site = three_arenas();
    let bucket = Bucket::start();
    let target = bucket.replica("x");
    let command = site.ventiprog().args(["-p", &site.part(), &target]);
    let output = with_key(command).env("AWS_SESSION_TOKEN", TOKEN).run();
    assert_eq!((output.status, &*output.remarks()), (0, ""), "{output:?}");
    assert!(below(&bucket, "x") == expected(&site));
    let tokens: BTreeSet<_> = bucket.addressed().into_iter().map(|of| of.1).collect();
    assert_eq!(tokens, BTreeSet::from([Some(TOKEN.to_owned())]));
    assert_eq!(bucket.wrong(), [""; 0]);
    assert_tells_no_key(&site, &output);
    for entry in fs::read_dir(site.path("state")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("t0ken"));
    }
}

/// A program that prints a key, and leaves a line each time; and the file of these lines.
fn printer(site: &Site) -> (String, std::path::PathBuf) {
    let (script, calls) = (site.path("printer"), site.path("calls"));
    let key = format!(r#"{{"AccessKeyId":"{KEY}","SecretAccessKey":"{SECRET}"}}"#);
    let text = format!("echo called >>'{}'\necho '{key}'\n", calls.display());
    fs::write(&script, text).unwrap();
    let config = format!(
        "{LIMITS}[s3]\ncredentials = ['sh', '{}']\n",
        script.display()
    );
    (config, calls)
}

#[test]
fn a_key_that_the_server_refuses_is_printed_once_more() {
    for (method, of, status, code, calls, ends) in [
        ("PUT", "/log.", 403, "InvalidAccessKeyId", 2, 0),
        ("GET", "/ventiprog", 403, "AccessDenied", 2, 0),
        ("PUT", "/head", 400, "ExpiredToken", 2, 0),
        // The answer to this has no body, and so no code.
        ("HEAD", "/head", 400, "", 2, 0),
        ("HEAD", "/head", 403, "", 2, 0),
        ("PUT", "/log.", 400, "InvalidRequest", 1, 1),
    ] {
        let site = three_arenas();
        let bucket = Bucket::start();
        let times = if ends == 0 { 1 } else { 100 };
        bucket.plan(method, of, times, Fault::Status(status, code));
        let target = bucket.replica("x");
        let (config, called) = printer(&site);
        let command = site.ventiprog().args(["-p", &site.part(), &target]);
        let output = command.config(&config).run();
        let case = format!("{method} {status} {code}: {output:?}");
        assert_eq!(output.status, ends, "{case}");
        let lines = fs::read_to_string(called).unwrap().lines().count();
        assert_eq!(lines, calls, "{case}");
        if ends == 0 {
            assert!(below(&bucket, "x") == expected(&site), "{case}");
        }
        assert_tells_no_key(&site, &output);
    }
}

#[test]
fn a_key_that_stays_refused_ends_the_run() {
    let site = three_arenas();
    let bucket = Bucket::start();
    bucket.plan(
        "PUT",
        "/log.",
        100,
        Fault::Status(403, "InvalidAccessKeyId"),
    );
    let target = bucket.replica("x");
    let (config, _) = printer(&site);
    let command = site.ventiprog().args(["-p", &site.part(), &target]);
    let output = command.config(&config).run();
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(output.remarks().lines().count(), 1, "{output:?}");
    assert!(output.stderr.contains("check the key"), "{output:?}");
}

#[test]
fn readers_beside_each_other_get_what_is_there() {
    let site = three_arenas();
    let bucket = Bucket::start();
    let target = bucket.replica("x");
    runs(&site, &target, 0);
    let port = port::free();
    let command = Command::new("ventiserve").args(["-r", "-a"]);
    let command = command.args([&format!("127.0.0.1:{port}"), &target]);
    let served = Served::of(with_key(command).start(), port, 0);
    // Each of them loses a connection, and has another order.
    bucket.plan("GET", "/log.", 4, Fault::HalfABody);
    thread::scope(|scope| {
        for reader in 0..6_usize {
            let (served, data) = (&served, &site.data);
            scope.spawn(move || {
                let dial = served.dial().parse().unwrap();
                let mut client = Client::dial(&dial, &Dialer::default()).unwrap();
                let count = data.len();
                for (score, (ty, block)) in data.iter().cycle().skip(reader * count / 6).take(count)
                {
                    let read = client.read(score, *ty, BLOCK_MAX).unwrap();
                    assert!(read == *block, "{score}");
                }
            });
        }
    });
    // Programs of their own, too.
    let mut readers = Vec::new();
    for _ in 0..3 {
        let venti = venti_tests::venti::Venti::start();
        let command = Command::new("wrarena").args(["-h", &venti.dial(), &target]);
        readers.push((with_key(command).start(), venti));
    }
    for (reader, venti) in readers {
        let output = reader.wait();
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(site.holes(&venti), 0);
    }
}
