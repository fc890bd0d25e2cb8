//! The client against a loopback venti: what works, and every way it can fail.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use venti_tests::venti::{Fault, How, On, Setup, Store, Venti, closed_port};
use venticore::codec::blocktype::BlockType::{self, Data, Dir, Pointer, Root};
use venticore::codec::score::Score;
use venticore::codec::wire::Version;
use venticore::net::client::{
    Acknowledged, Answer, Client, ClientError, Operation, Presence, Question, Timeouts, WINDOW,
};
use venticore::status::Status;

const SHORT: Duration = Duration::from_millis(300);

/// The most that noticing a [`SHORT`] silence may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);

fn limits() -> Timeouts {
    Timeouts {
        connect: SHORT,
        silence: SHORT,
        sync: SHORT,
        ..Timeouts::default()
    }
}

/// Limits that no healthy server reaches.
fn patient() -> Timeouts {
    Timeouts::default()
}

fn dial(venti: &Venti) -> Client {
    Client::dial(&venti.dial().parse().unwrap(), &patient().into()).unwrap()
}

fn dial_short(text: &str) -> Result<Client, ClientError> {
    Client::dial(&text.parse().unwrap(), &limits().into())
}

/// `n` different blocks of `size` bytes.
fn blocks(n: u32, size: usize) -> Vec<Vec<u8>> {
    let block = |i: u32| {
        let mut block = i.to_be_bytes().repeat(size.div_ceil(4));
        block.truncate(size);
        block
    };
    (0..n).map(block).collect()
}

fn write_all(client: &mut Client, blocks: &[Vec<u8>]) -> Result<(), ClientError> {
    client.write_all(blocks.iter().map(|b| (Data, Score::of(b), &b[..])))
}

fn write_and_sync(client: &mut Client, blocks: &[Vec<u8>]) -> Result<(), ClientError> {
    write_all(client, blocks)?;
    client.sync()
}

/// Writes blocks to a server with this fault; what comes of it, and what every
/// later call gives, which must be an error.
fn failing(fault: Fault) -> ClientError {
    failing_with(&Venti::faulty([fault]))
}

fn failing_with(venti: &Venti) -> ClientError {
    let mut client = dial_short(&venti.dial()).unwrap();
    let begun = Instant::now();
    let error = write_and_sync(&mut client, &blocks(1000, 8192)).unwrap_err();
    assert!(begun.elapsed() < SOON, "{error}: {:?}", begun.elapsed());
    is_given_up(&mut client, &error);
    error
}

fn is_given_up(client: &mut Client, error: &ClientError) {
    let block = b"later";
    let score = Score::of(block);
    let later = [
        client.write(Data, &score, block).unwrap_err(),
        client.sync().unwrap_err(),
        client.read(&score, Data, 100).unwrap_err(),
        client.probe(&score, Data).unwrap_err(),
    ];
    for given_up in later {
        assert_eq!(
            given_up.to_string(),
            format!("connection given up: {error}")
        );
        assert_eq!(given_up.status(), error.status());
    }
}

#[test]
fn blocks_go_there_and_back_in_both_versions() {
    for version in [Version::V02, Version::V04] {
        let venti = Venti::with(Setup {
            offer: vec![version],
            ..Setup::default()
        });
        let mut client = dial(&venti);
        assert_eq!(client.version(), version);
        let types = [Root, Dir, Pointer(1), Pointer(7), Data];
        let data = blocks(5, 300);
        let scores: Vec<_> = data.iter().map(|b| Score::of(b)).collect();
        for ((ty, score), block) in types.iter().zip(&scores).zip(&data) {
            client.write(*ty, score, block).unwrap();
        }
        client.sync().unwrap();
        assert_eq!(client.outstanding(), 0);
        let expected = Acknowledged {
            blocks: 5,
            bytes: 1500,
        };
        assert_eq!(client.acknowledged(), expected);
        for ((ty, score), block) in types.iter().zip(&scores).zip(&data) {
            assert!(venti.contains(*ty, score));
            assert_eq!(&client.read(score, *ty, 300).unwrap(), block);
            let present = Presence::Present { size: 300 };
            assert_eq!(client.probe(score, *ty).unwrap(), present);
        }
        assert_eq!(client.probe(&scores[0], Data).unwrap(), Presence::Absent);
        let counts = venti.counts();
        assert_eq!((counts.writes, counts.written), (5, 1500));
        assert_eq!((counts.reads, counts.probes, counts.syncs), (5, 6, 1));
    }
}

#[test]
fn the_client_prefers_04_whatever_the_order() {
    let venti = Venti::with(Setup {
        offer: vec![Version::V02, Version::V04],
        ..Setup::default()
    });
    assert_eq!(dial(&venti).version(), Version::V04);
}

#[test]
fn many_windows_of_blocks_of_all_sizes_arrive() {
    let venti = Venti::start();
    let mut client = dial(&venti);
    let sizes = [1, 20, 512, 8192, 57344];
    let all: Vec<_> = sizes
        .iter()
        .flat_map(|&size| blocks(200, size))
        .filter(|b| b.iter().any(|&x| x != 0))
        .collect();
    assert!(all.len() > 3 * WINDOW);
    write_and_sync(&mut client, &all).unwrap();
    for block in &all {
        assert!(venti.contains(Data, &Score::of(block)));
    }
    assert_eq!(client.acknowledged().blocks, all.len() as u64);
    assert_eq!(venti.counts().writes, all.len() as u64);

    let scores: Vec<_> = all.iter().map(|b| Score::of(b)).collect();
    let mut seen = vec![0; all.len()];
    let wanted = scores.iter().map(|s| (*s, Data));
    client
        .read_many(wanted.clone(), |n, block| {
            assert_eq!(block.unwrap(), &all[n][..]);
            seen[n] += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    client
        .probe_many(wanted, |n, presence| {
            let size = u32::try_from(all[n].len()).unwrap();
            assert_eq!(presence, Presence::Present { size });
            seen[n] += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(seen.iter().all(|&times| times == 2));
    client.sync().unwrap();
}

#[test]
fn a_null_store_answers_with_the_right_scores() {
    let venti = Venti::with(Setup {
        store: Store::Null,
        ..Setup::default()
    });
    let mut client = dial(&venti);
    write_and_sync(&mut client, &blocks(500, 8192)).unwrap();
    assert_eq!(venti.counts().written, 500 * 8192);
    assert!(venti.blocks().is_empty());
}

/// Each block leads to the next two; every third is asked for, and the others are read.
#[test]
fn an_answer_leads_to_new_questions_while_others_are_on_their_way() {
    const COUNT: usize = 2000;
    for venti in [Venti::start(), Venti::saying("nothing here called SCORE")] {
        let blocks = blocks(u32::try_from(COUNT).unwrap(), 40);
        let scores: Vec<Score> = blocks
            .iter()
            .map(|block| venti.insert(Data, block))
            .collect();
        let gone = 77;
        assert!(venti.forget(Data, &scores[gone]));
        let mut client = dial(&venti);
        let (waiting, asked) = (RefCell::new(vec![0]), RefCell::new(Vec::new()));
        let (mut most, mut missing) = (0, Vec::new());
        let next = || {
            let number: usize = waiting.borrow_mut().pop()?;
            asked.borrow_mut().push(number);
            Some(match number % 3 {
                0 => Question::Probe(scores[number], Data),
                _ => Question::Read(scores[number], Data),
            })
        };
        let told = client.ask_many(next, |at, answer| {
            let number = asked.borrow()[at];
            most = most.max(asked.borrow().len() - at);
            match answer {
                Answer::Block(Ok(data)) => assert_eq!(data, blocks[number]),
                Answer::Presence(Presence::Present { size }) => assert_eq!(size, 40),
                _ => missing.push(number),
            }
            let below = [2 * number + 1, 2 * number + 2];
            waiting
                .borrow_mut()
                .extend(below.iter().filter(|&&n| n < COUNT));
            ControlFlow::Continue(())
        });
        told.unwrap();
        let mut all = asked.into_inner();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..COUNT));
        assert_eq!(missing, [gone]);
        assert!(most > 100, "at most {most} on their way");
        // An answer may be the last one that is wanted.
        let mut answers = 0;
        let endless = || Some(Question::Probe(scores[0], Data));
        let told = client.ask_many(endless, |_, _| {
            answers += 1;
            ControlFlow::Break(())
        });
        told.unwrap();
        assert_eq!((answers, client.outstanding()), (1, 0));
    }
}

/// What the words mean is asked for in between; that takes no answer away.
#[test]
fn an_error_in_words_that_are_not_known_costs_no_answer_that_is_on_its_way() {
    let venti = Venti::faulty([
        Fault::at(On::Read, 2, How::Error("decompression failed".into())),
        Fault::at(On::Read, 3, How::Late(Duration::from_millis(200))),
    ]);
    let blocks = blocks(3, 40);
    let scores: Vec<Score> = blocks
        .iter()
        .map(|block| venti.insert(Data, block))
        .collect();
    let mut client = dial(&venti);
    let waiting = RefCell::new(vec![0]);
    let mut answers = Vec::new();
    let next = || Some(Question::Read(scores[waiting.borrow_mut().pop()?], Data));
    let told = client.ask_many(next, |at, answer| {
        answers.push((at, matches!(answer, Answer::Block(Ok(_)))));
        if at == 0 {
            waiting.borrow_mut().extend([1, 2]);
        }
        ControlFlow::Continue(())
    });
    told.unwrap();
    answers.sort_unstable();
    assert_eq!(answers, [(0, true), (1, false), (2, true)]);
}

#[test]
fn empty_blocks_and_nil_scores_are_never_sent() {
    let venti = Venti::start();
    let mut client = dial(&venti);
    client.write(Data, &Score::ZERO, b"").unwrap();
    client.sync().unwrap();
    assert_eq!(client.acknowledged().blocks, 1);
    for nil in [Score::ZERO, Score::from_bytes([0; 20])] {
        assert_eq!(client.read(&nil, Data, 10).unwrap(), b"");
        let present = Presence::Present { size: 0 };
        assert_eq!(client.probe(&nil, Dir).unwrap(), present);
    }
    let empty = std::iter::repeat_n((Data, Score::ZERO, &b""[..]), 1000);
    client.write_all(empty).unwrap();
    let nil = std::iter::repeat_n((Score::ZERO, Data), 1000);
    let mut seen = 0;
    let count = |_, block: Result<&[u8], ClientError>| {
        seen += block.unwrap().len() + 1;
        ControlFlow::Continue(())
    };
    client.read_many(nil, count).unwrap();
    assert_eq!(seen, 1000);
    assert_eq!(venti.counts().requests, 1);
}

#[test]
fn a_block_no_server_stores_is_not_sent() {
    for size in [0, 57345] {
        let venti = Venti::start();
        let mut client = dial(&venti);
        let block = vec![1; size];
        let score = Score::of(b"x");
        let error = client.write(Data, &score, &block).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("block {score}: expected 1 to 57344 bytes, found {size}")
        );
        assert_eq!(error.status(), Status::Failed);
        is_given_up(&mut client, &error);
        assert_eq!(venti.counts().requests, 0);
    }
}

/// The recorded sessions of a real server: the loopback venti answers with the
/// same bytes.
#[test]
fn the_loopback_answers_as_the_recorded_server_did() {
    let text = include_str!("../../golden/venti/wire-sessions.json");
    let sessions: serde_json::Value = serde_json::from_str(text).unwrap();
    for version in ["02", "04"] {
        let venti = Venti::start();
        let mut stream = TcpStream::connect(venti.dial()[4..].replace('!', ":")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut line = [0; "venti-04:02-loopback\n".len()];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"venti-04:02-loopback\n");
        for message in &sessions[version].as_array().unwrap()[1..] {
            let bytes = unhex(message["hex"].as_str().unwrap());
            if message["dir"] == ">" {
                stream.write_all(&bytes).unwrap();
                continue;
            }
            let mut reply = vec![0; bytes.len()];
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(reply, bytes, "{version}: {}", message["note"]);
        }
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the goodbye closes");
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn where_nothing_listens_is_unreachable() {
    let error = dial_short(&closed_port()).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
    assert_eq!(error.status(), Status::Unreachable);
    let line = "cannot connect: connection refused";
    assert!(error.to_string().starts_with(line), "{error}");
    let error = dial_short("tcp!no-such-host.invalid!17034").unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
}

#[test]
fn what_is_no_venti_is_told_from_its_first_line() {
    let long = [b'x'; 2000];
    for (says, found) in [
        (
            &b"HTTP/1.0 400 Bad Request\r\n"[..],
            "\"HTTP/1.0 400 Bad Request\\r\"",
        ),
        (b"SSH-2.0-OpenSSH\n", "\"SSH-2.0-OpenSSH\""),
        (b"\x1b[2Jhello\n", "\"\\u{1b}[2Jhello\""),
        (
            b"garbage, and then nothing",
            "\"garbage, and then nothing\"",
        ),
        (b"\n", "\"\""),
        (
            &long,
            "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"",
        ),
    ] {
        let fault = Fault::from(On::Connection, 1, How::Say(says.to_vec()));
        let error = dial_short(&Venti::faulty([fault]).dial()).unwrap_err();
        assert_eq!(error.status(), Status::Failed);
        assert_eq!(
            error.to_string(),
            format!("not a venti: expected a venti version line, found {found}")
        );
    }
    let says = How::Say(b"venti-05:03-future\n".to_vec());
    let venti = Venti::faulty([Fault::from(On::Connection, 1, says)]);
    assert_eq!(
        dial_short(&venti.dial()).unwrap_err().to_string(),
        "not a venti: expected version 04 or 02, found \"05:03\""
    );
}

#[test]
fn a_server_without_a_version_line_is_silent_or_lost() {
    let silent = |error: &ClientError| {
        let asked = Operation::Version;
        matches!(error, ClientError::Silent { asked: a, .. } if *a == asked)
    };
    let on = On::Connection;
    let error = dial_short(&Venti::faulty([Fault::at(on, 1, How::Silence)]).dial()).unwrap_err();
    assert!(silent(&error), "{error}");
    let said = "no venti version line within 300ms, and a venti sends it at once: ";
    assert!(error.to_string().starts_with(said), "{error}");
    let part = How::Say(b"venti-04:0".to_vec());
    let error = dial_short(&Venti::faulty([Fault::at(on, 1, part)]).dial()).unwrap_err();
    assert!(silent(&error), "{error}");
    let error = dial_short(&Venti::faulty([Fault::at(on, 1, How::Close)]).dial()).unwrap_err();
    assert!(matches!(error, ClientError::Lost(_)), "{error}");
}

#[test]
fn a_hello_may_fail_too() {
    let dialled = |how| dial_short(&Venti::faulty([Fault::at(On::Hello, 1, how)]).dial());
    let error = dialled(How::Error("go\naway".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "hello: refused: go\\naway");
    let error = dialled(How::Silence).unwrap_err();
    assert_eq!(error.to_string(), "no answer to hello within 300ms");
    assert!(matches!(
        dialled(How::Close).unwrap_err(),
        ClientError::Lost(_)
    ));
    let error = dialled(How::WrongReply).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not a venti: expected a reply to hello, found Rping"
    );
}

#[test]
fn a_refused_write_names_the_block() {
    let all = blocks(1000, 8192);
    for fault in [Fault::full_at(500), Fault::at(On::Write, 500, full())] {
        let error = failing(fault);
        assert_eq!(
            error.to_string(),
            format!(
                "write of data block {}: refused: no space left in arenas",
                Score::of(&all[499])
            )
        );
        assert_eq!(error.status(), Status::Failed);
    }
    let error = failing(Fault::read_only());
    assert!(
        error.to_string().ends_with(": refused: read only"),
        "{error}"
    );
    let text = How::Error("no\n\u{1b}[31m".to_owned());
    let error = failing(Fault::at(On::Write, 1, text));
    assert!(
        error.to_string().ends_with(": refused: no\\n\\u{1b}[31m"),
        "{error}"
    );
}

fn full() -> How {
    How::Error("no space left in arenas".to_owned())
}

#[test]
fn a_full_server_still_takes_what_it_has() {
    let venti = Venti::with(Setup {
        capacity: 10 * 8192,
        ..Setup::default()
    });
    let all = blocks(11, 8192);
    let mut client = dial(&venti);
    write_and_sync(&mut client, &all[..10]).unwrap();
    write_and_sync(&mut client, &all[..10]).unwrap();
    assert_eq!(venti.counts().duplicates, 10);
    let error = write_and_sync(&mut client, &all).unwrap_err();
    assert!(
        error.to_string().ends_with("no space left in arenas"),
        "{error}"
    );
}

#[test]
fn a_wrong_score_for_a_write_is_a_failed_verification() {
    let error = failing(Fault::at(On::Write, 500, How::Wrong));
    let score = Score::of(&blocks(1000, 8192)[499]);
    match error {
        ClientError::WrongScore {
            asked, expected, ..
        } => {
            assert_eq!(asked, Operation::Write(Data, score));
            assert_eq!(expected, score);
        }
        _ => panic!("{error}"),
    }
    assert_eq!(error.status(), Status::Unverified);
}

#[test]
fn nonsense_is_told_as_nonsense() {
    for (how, line) in [
        (
            How::TooLong,
            "expected a message of 2 to 22 bytes, found length 4294967295",
        ),
        (
            How::WrongTag,
            "expected a tag in use, found tag 255 in Rwrite",
        ),
        (
            How::Say(b"nonsense bytes".to_vec()),
            "expected a message of 2 to 2 bytes, found length 1852796531",
        ),
        (
            How::Say(vec![0, 0, 0, 0]),
            "expected a well-formed message, found a wrong one of 0 bytes",
        ),
        (
            How::Say(vec![0, 0, 0, 2, 99, 0]),
            "expected a reply, found message type 99",
        ),
        (
            How::Say(vec![0, 0, 0, 3, 15, 0, 7]),
            "expected a well-formed Rwrite, found a wrong one of 3 bytes",
        ),
    ] {
        let error = failing(Fault::at(On::Write, 7, how));
        assert_eq!(error.to_string(), format!("not a venti: {line}"));
        assert_eq!(error.status(), Status::Failed);
    }
    let error = failing(Fault::at(On::Write, 7, How::WrongReply));
    assert!(error.to_string().ends_with("found Rping"), "{error}");
}

#[test]
fn a_long_frame_of_version_02_is_refused_before_it_comes() {
    let error = failing_with(&Venti::with(Setup {
        offer: vec![Version::V02],
        faults: vec![Fault::at(On::Write, 7, How::TooLong)],
        ..Setup::default()
    }));
    let line = "not a venti: expected a message of 2 to 22 bytes, found length 65535";
    assert_eq!(error.to_string(), line);
}

#[test]
fn a_connection_lost_half_way_is_lost() {
    for how in [How::Close, How::Short] {
        let error = failing(Fault::at(On::Write, 500, how));
        assert!(matches!(error, ClientError::Lost(_)), "{error}");
        assert_eq!(error.status(), Status::Unreachable);
    }
    let venti = Venti::start();
    let mut client = dial(&venti);
    write_and_sync(&mut client, &blocks(3, 10)).unwrap();
    venti.restart();
    let error = write_and_sync(&mut client, &blocks(3, 10)).unwrap_err();
    assert!(matches!(error, ClientError::Lost(_)), "{error}");
}

#[test]
fn one_reply_missing_among_many_is_silence() {
    let error = failing(Fault::at(On::Write, 500, How::Silence));
    assert_eq!(
        error.to_string(),
        format!(
            "no answer to write of data block {} within 300ms",
            Score::of(&blocks(1000, 8192)[499])
        )
    );
    assert_eq!(error.status(), Status::Unreachable);
}

#[test]
fn a_server_that_stops_answering_or_reading_is_silent() {
    for how in [How::Silence, How::Stall] {
        let error = failing(Fault::from(On::Request, 10, how));
        assert!(matches!(error, ClientError::Silent { .. }), "{error}");
    }
}

/// More than all socket buffers hold, so that the client blocks in sending.
#[test]
fn a_server_that_stops_reading_large_blocks_is_silent() {
    let venti = Venti::faulty([Fault::from(On::Request, 1, How::Stall)]);
    let mut client = dial_short(&venti.dial()).unwrap();
    let all = blocks(600, 57344);
    let begun = Instant::now();
    let error = write_all(&mut client, &all).unwrap_err();
    assert!(matches!(error, ClientError::Silent { .. }), "{error}");
    assert!(begun.elapsed() < SOON);
}

#[test]
fn single_bytes_do_not_keep_a_connection_alive() {
    let pause = SHORT / 10;
    let error = failing(Fault::at(On::Write, 5, How::Trickle(pause)));
    assert!(matches!(error, ClientError::Silent { .. }), "{error}");
}

#[test]
fn a_caller_may_be_away_for_longer_than_the_silence() {
    let venti = Venti::start();
    let mut client = dial_short(&venti.dial()).unwrap();
    let all = blocks(480, 57344);
    write_all(&mut client, &all[..200]).unwrap();
    thread::sleep(SHORT * 2);
    write_all(&mut client, &all[200..]).unwrap();
    thread::sleep(SHORT * 2);
    client.sync().unwrap();
    assert_eq!(venti.blocks().len(), all.len());
    let mut away = Some(SHORT * 2);
    let mut seen = 0;
    let slow = |_, block: Result<&[u8], ClientError>| {
        thread::sleep(away.take().unwrap_or_default());
        assert_eq!(block.unwrap().len(), 57344);
        seen += 1;
        ControlFlow::Continue(())
    };
    let wanted = all.iter().map(|b| (Score::of(b), Data));
    client.read_many(wanted, slow).unwrap();
    assert_eq!(seen, all.len());
}

/// A write that was never answered is noticed by the next call, however long
/// the window is not full.
#[test]
fn a_slow_caller_notices_a_dead_server() {
    let venti = Venti::faulty([Fault::from(On::Write, 1, How::Silence)]);
    let mut client = dial_short(&venti.dial()).unwrap();
    let all = blocks(2, 100);
    write_all(&mut client, &all[..1]).unwrap();
    thread::sleep(SHORT * 2);
    let error = write_all(&mut client, &all[1..]).unwrap_err();
    assert!(matches!(error, ClientError::Silent { .. }), "{error}");
}

#[test]
fn a_sync_may_fail() {
    let synced = |how| failing(Fault::at(On::Sync, 1, how));
    let error = synced(How::Error("disk on fire".to_owned()));
    assert_eq!(error.to_string(), "sync: refused: disk on fire");
    let error = synced(How::Silence);
    assert_eq!(error.to_string(), "no answer to sync within 300ms");
    assert_eq!(
        synced(How::WrongReply).to_string(),
        "not a venti: expected a reply to sync, found Rping"
    );
    let lost = synced(How::Close);
    assert!(matches!(lost, ClientError::Lost(_)), "{lost}");
}

#[test]
fn a_write_refused_after_it_was_sent_makes_the_sync_fail() {
    let venti = Venti::faulty([Fault::read_only()]);
    let mut client = dial(&venti);
    write_all(&mut client, &blocks(3, 10)).unwrap();
    let error = client.sync().unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error}");
    assert_eq!(venti.counts().syncs, 0);
    is_given_up(&mut client, &error);
}

#[test]
fn a_crash_loses_what_was_not_synced() {
    let venti = Venti::start();
    let all = blocks(20, 100);
    let mut client = dial(&venti);
    write_and_sync(&mut client, &all[..10]).unwrap();
    write_all(&mut client, &all[10..]).unwrap();
    while venti.counts().writes < 20 {
        thread::yield_now();
    }
    venti.crash();
    assert_eq!(venti.blocks().len(), 10);
    assert!(client.sync().is_err());
    write_and_sync(&mut dial(&venti), &all).unwrap();
    assert_eq!(venti.blocks().len(), 20);
}

#[test]
fn a_server_that_loses_a_block_is_caught_only_by_reading() {
    let venti = Venti::faulty([Fault::at(On::Write, 3, How::Lose)]);
    let all = blocks(5, 100);
    let mut client = dial(&venti);
    write_and_sync(&mut client, &all).unwrap();
    let score = Score::of(&all[2]);
    assert_eq!(client.probe(&score, Data).unwrap(), Presence::Absent);
    assert!(client.read(&score, Data, 100).unwrap_err().is_absent());
}

#[test]
fn a_bad_block_does_not_end_the_reading_of_others() {
    let venti = Venti::start();
    let all = blocks(6, 100);
    let scores: Vec<_> = all.iter().map(|b| venti.insert(Data, b)).collect();
    venti.forget(Data, &scores[1]);
    venti.corrupt(Data, &scores[2]);
    venti.fault(Fault::at(On::Read, 4, How::Wrong));
    let mut client = dial(&venti);
    let mut told = vec![String::new(); 6];
    client
        .read_many(scores.iter().map(|s| (*s, Data)), |n, block| {
            told[n] = match block {
                Ok(block) => (block == &all[n][..]).to_string(),
                Err(error) => error.to_string(),
            };
            ControlFlow::Continue(())
        })
        .unwrap();
    let read = |n: usize| format!("read of data block {}", scores[n]);
    assert_eq!(
        told[1],
        format!(
            "{}: refused: no block with score {}/0 exists",
            read(1),
            scores[1]
        )
    );
    let corrupted = format!("{}: refused: loading clump: corrupted at", read(2));
    assert!(told[2].starts_with(&corrupted), "{}", told[2]);
    let wrong = format!("{}: expected score {}, found ", read(3), scores[3]);
    assert!(told[3].starts_with(&wrong), "{}", told[3]);
    for n in [0, 4, 5] {
        assert_eq!(told[n], "true");
    }
    // Single reads: the connection stays good, too.
    let error = client.read(&scores[1], Data, 100).unwrap_err();
    assert!(error.is_absent());
    let error = client.read(&scores[2], Data, 100).unwrap_err();
    assert!(!error.is_absent());
    assert_eq!(error.status(), Status::Failed);
    venti.fault(Fault::from(On::Read, 1, How::Wrong));
    let error = client.read(&scores[3], Data, 100).unwrap_err();
    assert_eq!(error.status(), Status::Unverified);
    venti.heal();
    assert_eq!(client.read(&scores[3], Data, 100).unwrap(), all[3]);
    let present = Presence::Present { size: 100 };
    assert_eq!(client.probe(&scores[2], Data).unwrap(), present);
    write_and_sync(&mut client, &all).unwrap();
}

#[test]
fn a_read_asks_for_no_more_than_its_limit() {
    let venti = Venti::start();
    let score = venti.insert(Data, &[7; 100]);
    let mut client = dial(&venti);
    let error = client.read(&score, Data, 99).unwrap_err();
    let text = "refused: read too small 1: asked for 99 need at least 100";
    assert!(error.to_string().ends_with(text), "{error}");
    // A reply over the limit, tag 0.
    let mut reply = vec![0, 0, 0, 102, 13, 0];
    reply.resize(4 + 102, 7);
    venti.fault(Fault::from(On::Read, 1, How::Say(reply)));
    let error = client.read(&score, Data, 99).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not a venti: expected at most 99 bytes, found 100 in Rread"
    );
    is_given_up(&mut client, &error);
}

#[test]
fn reading_may_be_ended_early() {
    let venti = Venti::start();
    let scores: Vec<_> = blocks(2000, 50)
        .iter()
        .map(|b| venti.insert(Data, b))
        .collect();
    let mut client = dial(&venti);
    let mut seen = 0;
    client
        .read_many(scores.iter().map(|s| (*s, Data)), |_, _| {
            seen += 1;
            match seen {
                300 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })
        .unwrap();
    assert_eq!(seen, 300);
    assert_eq!(client.outstanding(), 0);
    assert!(venti.counts().reads < 1000);
    assert_eq!(client.read(&scores[1999], Data, 50).unwrap().len(), 50);
}

#[test]
fn faults_end_a_reading_too() {
    for (how, transient, expected) in [
        (How::Close, true, 149),
        (How::Short, true, 149),
        (How::Trickle(SHORT / 10), true, 149),
        (How::TooLong, false, 149),
        (How::WrongTag, false, 149),
        (How::WrongReply, false, 149),
        // All others are answered.
        (How::Silence, true, 499),
    ] {
        let venti = Venti::faulty([Fault::at(On::Read, 150, how)]);
        let scores: Vec<_> = blocks(500, 50)
            .iter()
            .map(|b| venti.insert(Data, b))
            .collect();
        let mut client = dial_short(&venti.dial()).unwrap();
        let mut seen = 0;
        let error = client
            .read_many(scores.iter().map(|s| (*s, Data)), |n, block| {
                assert_ne!(n, 149);
                assert!(block.is_ok());
                seen += 1;
                ControlFlow::Continue(())
            })
            .unwrap_err();
        assert_eq!(seen, expected, "{error}");
        assert_eq!(error.status() == Status::Unreachable, transient, "{error}");
        is_given_up(&mut client, &error);
    }
}

#[test]
fn a_server_that_cannot_be_probed_gives_no_answer() {
    let venti = Venti::faulty([Fault::no_probe()]);
    let score = venti.insert(Data, b"abc");
    let mut client = dial(&venti);
    let no_answer = Presence::NoAnswer("unknown request".to_owned());
    assert_eq!(client.probe(&score, Data).unwrap(), no_answer);
    assert_eq!(client.read(&score, Data, 3).unwrap(), b"abc");
}

#[test]
fn probes_find_what_is_not_synced_yet() {
    let venti = Venti::start();
    let mut client = dial(&venti);
    let score = Score::of(b"abc");
    client.write(Dir, &score, b"abc").unwrap();
    let present = Presence::Present { size: 3 };
    assert_eq!(client.probe(&score, Dir).unwrap(), present);
    client.sync().unwrap();
    assert_eq!(client.probe(&score, Dir).unwrap(), present);
    let unknown = |ty: BlockType| ty == Dir;
    assert!(venti.blocks().iter().all(|(ty, _)| unknown(*ty)));
}

#[test]
fn limits_may_be_endless() {
    let venti = Venti::start();
    let endless = Timeouts {
        connect: Duration::MAX,
        silence: Duration::MAX,
        sync: Duration::MAX,
        progress: Duration::MAX,
        ..Timeouts::default()
    };
    let mut client = Client::dial(&venti.dial().parse().unwrap(), &endless.into()).unwrap();
    write_and_sync(&mut client, &blocks(500, 100)).unwrap();
}

#[test]
fn closing_a_client_ends_its_connection_only() {
    let venti = Venti::start();
    let mut kept = dial(&venti);
    drop(dial(&venti));
    write_and_sync(&mut kept, &blocks(300, 100)).unwrap();
    assert_eq!(venti.counts().connections, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a server says in place of a reply, the client ends with an
    /// error or a right answer, soon.
    #[test]
    fn hostile_replies_end_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut faults = vec![Fault::at(On::Write, 2, How::Say(bytes))];
        faults.push(Fault::at(On::Write, 3, How::Close));
        let venti = Venti::faulty(faults);
        let mut client = dial_short(&venti.dial()).unwrap();
        let error = write_and_sync(&mut client, &blocks(5, 10)).unwrap_err();
        prop_assert!(!error.to_string().contains(char::is_control));
        is_given_up(&mut client, &error);
    }
}
