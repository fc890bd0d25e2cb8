//! Clients that do what none should: others are served meanwhile.

use std::io::Write;
use std::thread;
use std::time::Duration;

use venti_tests::random::Random;
use venti_tests::served::{Served, WireClient};
use venticore::codec::score::Score;
use venticore::codec::wire::{Request, Version};

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
    let resident = resident(&served);
    assert!(resident < 200 << 20, "{resident} bytes of memory");
    // Those that did not read are not waited for without end.
    drop(deaf);
    assert_eq!(served.end().status, 0);
}

/// Bytes of memory that it has.
fn resident(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap() << 10
}
