//! Clients that do what none should: others are served meanwhile.

use std::collections::VecDeque;
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use venti_tests::random::Random;
use venti_tests::served::{Served, WireClient};
use venticore::codec::score::Score;
use venticore::codec::wire::{Request, Version};

/// Bytes of memory that all connections together may take, as the manual page says, and
/// 100 MiB for the rest.
const MOST: u64 = 700 << 20;

/// It is served, and another client too.
fn assert_serves(client: &mut WireClient, served: &Served, seed: u64) {
    let data = Random::new(seed).bytes(5000);
    let write = Request::Write {
        ty: 13,
        data: &data,
    };
    let expected = format!("Rwrite {}", Score::of(&data));
    assert_eq!(client.ask(&write), expected);
    assert_eq!(served.client(Version::V04).ask(&write), expected);
}

#[test]
fn frames_of_every_length_and_type() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let mut random = Random::new(11);
    for version in [Version::V04, Version::V02] {
        for kind in 0..=255_u8 {
            let mut client = served.client(version);
            for length in [0, 1, 2, 3, 5, 27, 28, 29, 30, 31, 1000, 57350] {
                let mut message = random.bytes(length);
                if let Some(first) = message.first_mut() {
                    *first = kind;
                }
                if client.frame(&message).is_err() {
                    break;
                }
            }
            if kind != 6 {
                client.send(0, &Request::Sync).unwrap();
                let answers = client.rest().unwrap();
                assert_eq!(answers.last().map(String::as_str), Some("Rsync"), "{kind}");
            }
        }
    }
    assert_eq!(served.end().status, 0);
}

#[test]
fn two_thousand_idle_connections_shut_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let mut client = served.client(Version::V04);
    let mut idle = Vec::new();
    for number in 0..2000 {
        // Half of them say hello; those that were closed for others let go of.
        let connected = match number % 2 {
            0 => WireClient::silent(served.port(), Version::V04),
            _ => WireClient::hello(served.port(), Version::V04),
        };
        idle.extend(connected);
        if idle.len() > 600 {
            idle.remove(0);
        }
        if number % 100 == 0 {
            assert_serves(&mut client, &served, number);
        }
    }
    assert_serves(&mut client, &served, 1);
    assert!(served.metric("connections ") <= 256);
    assert!(served.metric("connections_closed_total ") > 1000);
    assert_eq!(served.end().status, 0);
}

#[test]
fn slow_clients_and_those_that_never_read_hold_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let data = Random::new(2).bytes(57344);
    let score = Score::of(&data);
    let mut client = served.client(Version::V04);
    let write = Request::Write {
        ty: 13,
        data: &data,
    };
    assert_eq!(client.ask(&write), format!("Rwrite {score}"));
    let read = Request::Read {
        score,
        ty: 13,
        count: 57344,
    };
    // Asked for 20,000 times, it would be more than a gigabyte of replies.
    let mut deaf: Vec<WireClient> = (0..4).map(|_| served.client(Version::V04)).collect();
    for client in &mut deaf {
        client.stream.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..20_000 {
            read.encode(Version::V04, 1, &mut bytes).unwrap();
        }
        // As much of it as is taken.
        let _ = client.stream.write(&bytes);
    }
    let mut slow = served.client(Version::V02);
    for byte in [0, 28, 12, 1, 7] {
        slow.stream.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_millis(20));
        assert_serves(&mut client, &served, u64::from(byte));
    }
    let resident = memory(&served, "VmRSS:");
    assert!(resident < 200 << 20, "{resident} bytes of memory");
    // Those that did not read are not waited for without end.
    drop(deaf);
    assert_eq!(served.end().status, 0);
}

/// Connections that are held at once: as many as there may be of these, where the system
/// lets this process have that number of files.
fn connections(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    // Some are for other tests that run beside this one.
    let files = limit.maximum.unwrap_or(u64::MAX).saturating_sub(500);
    wanted.min(usize::try_from(files).unwrap_or(usize::MAX))
}

#[test]
fn ten_thousand_connections_at_once_shut_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let held = connections(10_000);
    if held < 10_000 {
        venti_tests::command::skipped(&format!("10,000 connections: {held} at once"));
    }
    let mut client = served.client(Version::V04);
    let mut idle = VecDeque::new();
    for number in 0..10_000 {
        if idle.len() == held {
            idle.pop_front();
        }
        idle.extend(WireClient::silent(served.port(), Version::V04));
        if number % 500 == 0 {
            assert_serves(&mut client, &served, number);
        }
    }
    assert_eq!(idle.len(), held);
    assert_serves(&mut client, &served, 1);
    assert!(served.metric("connections ") <= 256);
    assert!(memory(&served, "VmHWM:") < MOST);
    drop(idle);
    assert_eq!(served.end().status, 0);
}

#[test]
fn clients_that_hold_all_they_can_leave_memory_within_the_bound() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let data = Random::new(2).bytes(57344);
    let score = Score::of(&data);
    let write = Request::Write {
        ty: 13,
        data: &data,
    };
    let mut client = served.client(Version::V04);
    assert_eq!(client.ask(&write), format!("Rwrite {score}"));
    let read = Request::Read {
        score,
        ty: 13,
        count: 57344,
    };
    let frames = |request: &Request<'_>, number| {
        let mut bytes = Vec::new();
        for _ in 0..number {
            request.encode(Version::V04, 1, &mut bytes).unwrap();
        }
        bytes
    };
    // Reads whose replies nobody takes, writes likewise, and a message without its end.
    let (reads, writes) = (frames(&read, 40_000), frames(&write, 40));
    let kinds = [&reads[..], &writes, &reads, &writes[..57_000]];
    let mut hostile = Vec::new();
    for number in 0..255 {
        let client = served.client(Version::V04);
        client.stream.set_nonblocking(true).unwrap();
        hostile.push((client, kinds[number % 4]));
    }
    for round in 0..10 {
        for (client, rest) in &mut hostile {
            // As much of it as is taken.
            if let Ok(taken) = client.stream.write(rest) {
                *rest = &rest[taken..];
            }
        }
        assert_serves(&mut client, &served, round);
    }
    let most = memory(&served, "VmHWM:");
    assert!(most < MOST, "{most} bytes of memory");
    drop(hostile);
    assert_eq!(served.end().status, 0);
}

/// Bytes of memory that it has, or had at most, as this line of its status says.
fn memory(served: &Served, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    let line = status.lines().find_map(|of| of.strip_prefix(line));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap() << 10
}
