//! Tests of `message`.

use super::*;
use crate::codec::wire::{VersionLine, unframe};
use proptest::prelude::*;

const V02: Version = Version::V02;
const V04: Version = Version::V04;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    let pair = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn no_limit(_: u8) -> usize {
    usize::MAX
}

#[track_caller]
fn is_request(version: Version, tag: u8, request: &Request<'_>, hex: &str) {
    let expected = bytes(hex);
    let mut out = Vec::new();
    request.encode(version, tag, &mut out).unwrap();
    assert_eq!(out, expected);
    let (message, used) = unframe(version, &expected, no_limit).unwrap().unwrap();
    assert_eq!(used, expected.len());
    assert_eq!(Request::decode(message), Ok((tag, *request)));
}

#[track_caller]
fn is_reply(version: Version, tag: u8, reply: &Reply<'_>, hex: &str) {
    let expected = bytes(hex);
    let mut out = Vec::new();
    reply.encode(version, tag, &mut out).unwrap();
    assert_eq!(out, expected);
    let (message, used) = unframe(version, &expected, Reply::length_max)
        .unwrap()
        .unwrap();
    assert_eq!(used, expected.len());
    assert_eq!(Reply::decode(message), Ok((tag, *reply)));
}

fn abc() -> Score {
    Score::of(b"abc")
}

const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

#[test]
fn every_request_is_these_bytes() {
    let hello = Request::Hello {
        version: b"02",
        uid: b"user",
        strength: 0,
        crypto: b"",
        codec: b"",
    };
    is_request(
        V02,
        0,
        &hello,
        "000f 04 00 0002 3032 0004 75736572 00 00 00",
    );
    let hello = Request::Hello {
        version: b"04",
        uid: b"",
        strength: 1,
        crypto: &[2, 3],
        codec: &[4],
    };
    is_request(
        V04,
        9,
        &hello,
        "0000000e 04 09 0002 3034 0000 01 02 0203 01 04",
    );
    is_request(V02, 1, &Request::Ping, "0002 02 01");
    is_request(V04, 2, &Request::Goodbye, "00000002 06 02");
    is_request(V02, 255, &Request::Sync, "0002 10 ff");
    is_request(
        V02,
        3,
        &Request::Write {
            ty: 13,
            data: b"abc",
        },
        "0009 0e 03 0d 000000 616263",
    );
    let read = |count| Request::Read {
        score: abc(),
        ty: 2,
        count,
    };
    is_request(V02, 4, &read(8192), &format!("001a 0c 04 {ABC} 02 00 2000"));
    is_request(
        V04,
        4,
        &read(65536),
        &format!("0000001c 0c 04 {ABC} 02 00 00010000"),
    );
}

#[test]
fn a_small_count_may_come_in_four_bytes() {
    let message = bytes(&format!("0c 04 {ABC} 02 00 00000007"));
    let read = Request::Read {
        score: abc(),
        ty: 2,
        count: 7,
    };
    assert_eq!(Request::decode(&message), Ok((4, read)));
}

#[test]
fn every_reply_is_these_bytes() {
    is_reply(
        V02,
        1,
        &Reply::Error(b"read only"),
        "000d 01 01 0009 72656164206f6e6c79",
    );
    is_reply(V04, 2, &Reply::Ping, "00000002 03 02");
    let hello = Reply::Hello {
        sid: b"anonymous",
        rcrypto: 0,
        rcodec: 0,
    };
    is_reply(V02, 0, &hello, "000f 05 00 0009 616e6f6e796d6f7573 00 00");
    is_reply(V04, 5, &Reply::Read(b"abc"), "00000005 0d 05 616263");
    is_reply(V04, 5, &Reply::Read(b""), "00000002 0d 05");
    is_reply(V02, 6, &Reply::Write(abc()), &format!("0016 0f 06 {ABC}"));
    is_reply(V02, 7, &Reply::Sync, "0002 11 07");
}

#[test]
fn bodies_of_the_wrong_length_are_refused() {
    for hex in [
        "",
        "01",
        "01 01",
        "01 01 00",
        "01 01 0002 61",
        "01 01 0001 61 62",
        "03 01 00",
        "05 00 0000 00",
        "05 00 0000 00 00 00",
        "11 01 00",
    ] {
        assert!(Reply::decode(&bytes(hex)).is_err(), "{hex}");
    }
    let score = |n: usize| bytes(&format!("0f 06 {}", "00".repeat(n)));
    assert!(Reply::decode(&score(19)).is_err());
    assert!(Reply::decode(&score(20)).is_ok());
    assert!(Reply::decode(&score(21)).is_err());
    for n in [23, 25, 27] {
        assert!(Request::decode(&bytes(&format!("0c 06 {}", "00".repeat(n)))).is_err());
    }
    assert!(Request::decode(&bytes("0e 01 0d 0000")).is_err());
    let mut long = bytes("01 01 0401");
    long.resize(4 + 1025, b'x');
    assert!(Reply::decode(&long).is_err());
    long[3] = 0;
    long.pop();
    assert!(Reply::decode(&long).is_ok());
    assert_eq!(
        Reply::decode(&bytes("0e 01 0d 000000"))
            .unwrap_err()
            .to_string(),
        "expected a reply, found message type 14"
    );
}

#[test]
fn the_bound_of_each_reply_admits_its_longest() {
    let text = [b'x'; TEXT_MAX];
    let data = [0; DATA_MAX];
    let sid = Reply::Hello {
        sid: &text,
        rcrypto: 0,
        rcodec: 0,
    };
    for reply in [
        Reply::Error(&text),
        sid,
        Reply::Read(&data),
        Reply::Write(abc()),
        Reply::Sync,
        Reply::Ping,
    ] {
        let mut out = Vec::new();
        reply.encode(V04, 1, &mut out).unwrap();
        assert_eq!(out.len(), 4 + Reply::length_max(reply.kind()));
        assert!(out.len() <= 4 + REPLY_MAX);
    }
}

/// Two sessions recorded from a real server: every message is read, and
/// written again as the same bytes.
#[test]
fn recorded_sessions_go_both_ways() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/venti/wire-sessions.json"
    ));
    let sessions: serde_json::Value = serde_json::from_str(text).unwrap();
    for version in [V02, V04] {
        let session = sessions[version.text()].as_array().unwrap();
        assert!(session.len() > 20);
        for (at, message) in session.iter().enumerate() {
            let bytes = bytes(message["hex"].as_str().unwrap());
            let from_server = message["dir"] == "<";
            match at {
                0 | 1 => replay_line(version, &bytes, from_server),
                _ => replay(version, &bytes, from_server),
            }
        }
    }
}

fn replay_line(version: Version, bytes: &[u8], from_server: bool) {
    let line = VersionLine::parse(bytes.strip_suffix(b"\n").unwrap()).unwrap();
    let expected = if from_server { V04 } else { version };
    assert_eq!(line.choose(), Some(expected));
    assert_eq!(format!("{line}\n").as_bytes(), bytes);
}

fn replay(version: Version, bytes: &[u8], from_server: bool) {
    let Some((message, used)) = unframe(version, bytes, no_limit).unwrap() else {
        return assert!(bytes.is_empty(), "the close at the end");
    };
    assert_eq!(used, bytes.len());
    let mut out = Vec::new();
    if from_server {
        let (tag, reply) = Reply::decode(message).unwrap();
        reply.encode(version, tag, &mut out).unwrap();
    } else {
        let (tag, request) = Request::decode(message).unwrap();
        request.encode(version, tag, &mut out).unwrap();
    }
    assert_eq!(out, bytes);
}

fn some(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=most)
}

proptest! {
    #[test]
    fn requests_go_both_ways(
        four: bool, tag: u8, ty: u8, count: u32, score: [u8; 20],
        (a, b, c, d) in (some(1024), some(20), some(255), some(20)),
    ) {
        let version = if four { V04 } else { V02 };
        let score = Score::from_bytes(score);
        let hello = Request::Hello { version: &a, uid: &b, strength: ty, crypto: &c, codec: &d };
        let write = Request::Write { ty, data: &a };
        let read = Request::Read { score, ty, count };
        for request in [hello, write, read] {
            let mut out = Vec::new();
            request.encode(version, tag, &mut out).unwrap();
            let (message, _) = unframe(version, &out, no_limit).unwrap().unwrap();
            prop_assert_eq!(Request::decode(message), Ok((tag, request)));
        }
    }

    #[test]
    fn replies_go_both_ways(four: bool, tag: u8, text in some(1024), data in some(9000)) {
        let version = if four { V04 } else { V02 };
        let hello = Reply::Hello { sid: &text, rcrypto: tag, rcodec: 1 };
        for reply in [Reply::Error(&text), hello, Reply::Read(&data), Reply::Write(abc())] {
            let mut out = Vec::new();
            reply.encode(version, tag, &mut out).unwrap();
            let (message, _) = unframe(version, &out, Reply::length_max).unwrap().unwrap();
            prop_assert_eq!(Reply::decode(message), Ok((tag, reply)));
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_refused(kind in 0u8..20, mut message in some(80)) {
        message.insert(0, kind);
        let frame = |encode: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            encode(&mut out);
            out[4..].to_vec()
        };
        if let Ok((tag, reply)) = Reply::decode(&message) {
            prop_assert_eq!(frame(&|out| reply.encode(V04, tag, out).unwrap()), message);
        } else if let Ok((tag, request)) = Request::decode(&message) {
            // The padding and the width of a count are not kept.
            let again = frame(&|out| request.encode(V04, tag, out).unwrap());
            prop_assert_eq!(Request::decode(&again), Ok((tag, request)));
        }
    }
}
