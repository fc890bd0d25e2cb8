//! Requests and their answers (venti.md 7).

use std::fs;

use venti_tests::random::Random;
use venti_tests::served::{Served, WireClient};
use venticore::codec::score::Score;
use venticore::codec::wire::{Request, Version};

const DATA: u8 = 13;
const BOTH: [Version; 2] = [Version::V04, Version::V02];

fn read(score: Score, ty: u8, count: u32) -> Request<'static> {
    Request::Read { score, ty, count }
}

#[test]
fn each_request_has_the_answer_of_plan9port() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let served = Served::made(&store);
    for version in BOTH {
        let mut client = served.client(version);
        let data = b"abcdefgh";
        let (score, absent) = (Score::of(data), Score::of(b"absent"));
        let nothing = Score::of(b"");
        let large = vec![1; 57345];
        let largest = vec![2; 57344];
        let write = |data| Request::Write { ty: DATA, data };
        let table = [
            (write(&data[..]), format!("Rwrite {score}")),
            (write(&data[..]), format!("Rwrite {score}")),
            (
                read(score, DATA, 57344),
                "Rread 8 [61, 62, 63, 64, 65, 66, 67, 68]".into(),
            ),
            (
                read(score, DATA, 8),
                "Rread 8 [61, 62, 63, 64, 65, 66, 67, 68]".into(),
            ),
            (
                read(score, DATA, 7),
                "Rerror read too small 1: asked for 7 need at least 8".into(),
            ),
            (
                read(score, DATA, 0),
                "Rerror read too small 1: asked for 0 need at least 8".into(),
            ),
            (
                read(score, 3, 0),
                format!("Rerror no block with score {score}/9 exists"),
            ),
            (
                read(absent, DATA, 9),
                format!("Rerror no block with score {absent}/0 exists"),
            ),
            (
                read(absent, 77, 9),
                format!("Rerror no block with score {absent}/255 exists"),
            ),
            (
                read(nothing, DATA, 9),
                format!("Rerror no block with score {nothing}/0 exists"),
            ),
            (
                read(Score::from_bytes([0; 20]), DATA, 9),
                "Rread 0 []".into(),
            ),
            (read(Score::from_bytes([0; 20]), 99, 0), "Rread 0 []".into()),
            (write(b""), format!("Rwrite {nothing}")),
            (write(&large), "Rerror lump too large".into()),
            (write(&largest), format!("Rwrite {}", Score::of(&largest))),
            (
                Request::Write { ty: 200, data },
                "Rerror invalid lump type".into(),
            ),
            (Request::Ping, "Rerror unknown request".into()),
            (Request::Sync, "Rsync".into()),
        ];
        for (request, expected) in &table {
            assert_eq!(client.ask(request), *expected, "{version}: {request:?}");
        }
        // All at once, the answers are the same and in the same order.
        for (tag, (request, _)) in table.iter().enumerate() {
            client.send(u8::try_from(tag).unwrap(), request).unwrap();
        }
        let expected: Vec<&String> = table.iter().map(|(_, expected)| expected).collect();
        assert_eq!(client.rest().unwrap().iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_read_finds_what_was_written_before_it_on_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let mut client = served.client(Version::V04);
    let blocks: Vec<Vec<u8>> = (0..200).map(|n| Random::new(n).bytes(8192)).collect();
    let mut expected = Vec::new();
    for data in &blocks {
        client.send(1, &Request::Write { ty: DATA, data }).unwrap();
        let score = Score::of(data);
        client.send(2, &read(score, DATA, 0)).unwrap();
        expected.push(format!("Rwrite {score}"));
        expected.push("Rerror read too small 1: asked for 0 need at least 8192".into());
    }
    assert_eq!(client.rest().unwrap(), expected);
}

#[test]
fn at_the_end_of_a_connection_no_reply_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let data = Random::new(1).bytes(8192);
    for goodbye in [false, true] {
        let mut client = served.client(Version::V02);
        for _ in 0..200 {
            client
                .send(
                    3,
                    &Request::Write {
                        ty: DATA,
                        data: &data,
                    },
                )
                .unwrap();
        }
        if goodbye {
            client.send(3, &Request::Goodbye).unwrap();
            // Nobody reads this.
            client.send(3, &Request::Sync).unwrap();
        }
        let answers = client.rest().unwrap();
        assert_eq!(answers, vec![format!("Rwrite {}", Score::of(&data)); 200]);
    }
}

#[test]
fn the_first_message_is_a_hello_of_the_version_agreed_on() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    let hello = |version| Request::Hello {
        version,
        uid: b"",
        strength: 3,
        crypto: &[1, 2, 3, 4, 5, 6, 7],
        codec: &[9; 255],
    };
    let open = |line: &str| {
        let mut client = WireClient::silent(served.port(), Version::V04).unwrap();
        assert_eq!(client.line().unwrap(), "venti-04:02-ventiserve\n");
        std::io::Write::write_all(&mut client.stream, line.as_bytes()).unwrap();
        client
    };
    for line in ["venti-04-x\n", "venti-05:04:02\n"] {
        let mut client = open(line);
        assert_eq!(client.ask_with_tag_0(&hello(b"04")), "Rhello", "{line}");
        assert_eq!(client.ask(&hello(b"04")), "Rerror unknown request");
        assert_eq!(client.ask(&Request::Sync), "Rsync");
    }
    for line in ["venti-05-x\n", "venti-04-x\r\n", "HTTP/1.0\n", "\n"] {
        assert!(open(line).is_closed(), "{line:?}");
    }
    let long = format!("venti-04-{}\n", "x".repeat(1100));
    assert!(open(&long).is_closed());
    for (tag, first) in [(0, hello(b"02")), (1, hello(b"04")), (0, Request::Sync)] {
        let mut client = open("venti-04-x\n");
        client.send(tag, &first).unwrap();
        assert!(client.is_closed(), "{first:?}");
    }
}

#[test]
fn what_is_not_a_message_has_no_answer_and_the_next_one_has() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    for version in BOTH {
        let mut client = served.client(version);
        for wrong in [
            &[][..],
            &[12],
            &[0, 1],
            &[99, 1, 2, 3],
            &[12, 1, 2, 3],
            &[16, 1, 0],
            &[14, 1, 13],
            &[6, 1, 9],
            &[255; 60000],
        ] {
            client.frame(wrong).unwrap();
        }
        // A reply is a message, and none that a server serves.
        client.frame(&[17, 5]).unwrap();
        client.send(5, &Request::Sync).unwrap();
        assert_eq!(client.rest().unwrap(), ["Rerror unknown request", "Rsync"]);
    }
}

#[test]
fn a_frame_longer_than_any_request_ends_its_connection() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::made(&directory.path().join("store"));
    for length in [65543_u32, 1 << 20, u32::MAX] {
        let mut client = served.client(Version::V04);
        client.send(5, &Request::Sync).unwrap();
        let frame = [&length.to_be_bytes()[..], &[14, 1, 13]].concat();
        std::io::Write::write_all(&mut client.stream, &frame).unwrap();
        assert_eq!(client.answer().unwrap(), "Rsync");
        assert!(client.is_closed(), "{length}");
    }
}

#[test]
fn a_store_that_is_only_read_refuses_writes_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let data = Random::new(3).bytes(500);
    let served = Served::made(&store);
    let write = Request::Write {
        ty: DATA,
        data: &data,
    };
    assert!(
        served
            .client(Version::V04)
            .ask(&write)
            .starts_with("Rwrite")
    );
    assert_eq!(served.end().status, 0);
    let before = fs::read(&store).unwrap();
    let served = Served::with(&["-r"], &store);
    let mut client = served.client(Version::V04);
    let other = Request::Write {
        ty: DATA,
        data: b"other",
    };
    assert_eq!(client.ask(&other), "Rerror read only");
    assert!(
        client
            .ask(&read(Score::of(&data), DATA, 500))
            .starts_with("Rread 500")
    );
    assert_eq!(client.ask(&Request::Sync), "Rsync");
    assert_eq!(served.end().status, 0);
    assert!(fs::read(&store).unwrap() == before);
}
