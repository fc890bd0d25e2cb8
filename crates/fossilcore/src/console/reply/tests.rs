//! Answers in streams that others print into.

use proptest::prelude::*;

use super::*;

/// A console that prints what these lines make it print, and `aside` between two
/// of its bytes: characters of an echo, or whole messages.
fn stream(fenced: &Fenced, answer: &str, aside: &str, at: usize) -> Vec<u8> {
    let (mut stream, mut between) = (String::new(), Vec::new());
    for line in fenced.typed().lines() {
        stream.push_str("main: ");
        for c in line.chars().chain(['\n']) {
            between.push(stream.len());
            stream.push(c);
        }
        let token = line
            .strip_prefix("echo x''")
            .map(|rest| format!("x{rest}\n"));
        for message in token.as_deref().unwrap_or(answer).split_inclusive('\n') {
            between.push(stream.len());
            stream.push_str(message);
        }
    }
    stream.insert_str(between[at % between.len()], aside);
    stream.into_bytes()
}

fn collect(fenced: Fenced, stream: &[u8], piece: usize) -> Option<Result<ConsoleReply, Garbled>> {
    let mut collector = ReplyCollector::new(fenced);
    stream.chunks(piece.max(1)).find_map(|p| collector.push(p))
}

fn fenced() -> Fenced {
    Fenced::new(&"fsys main sync".parse().unwrap())
}

const ARCHIVED: &str = "archive vac:f50b65b3911fc87ae786cc7970b2e34d1348bd00\n";

proptest! {
    #[test]
    fn an_archive_that_ends_anywhere_is_heard_and_does_not_change_the_answer(
        at in 0usize..400, piece in 1usize..50, lines in 0usize..4,
    ) {
        let answer = "\tmain sync: wrote 0 blocks\n".repeat(lines);
        let fenced = fenced();
        let stream = stream(&fenced, &answer, ARCHIVED, at);
        let reply = collect(fenced, &stream, piece).unwrap();
        let reply = reply.unwrap();
        prop_assert_eq!(reply.text, answer);
        prop_assert_eq!(reply.asides, [ARCHIVED.trim_end()]);
    }

    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1usize..90) {
        let _ = collect(fenced(), &bytes, piece);
    }

    #[test]
    fn any_answer_comes_whole(answer in "([a-z :'%\t]{0,30}\n){0,5}", before in "[ -~\n]{0,99}") {
        let fenced = fenced();
        let mut all = before.into_bytes();
        all.extend(stream(&fenced, &answer, "", 0));
        let reply = collect(fenced, &all, 7).unwrap().unwrap();
        prop_assert_eq!(reply.text, answer);
    }
}

#[test]
fn a_prompt_that_looks_like_an_answer_is_one_only_at_the_end() {
    let fenced = fenced();
    let answer = "main: not open\nmain: \n";
    let reply = collect(
        Fenced {
            line: fenced.line.clone(),
            tokens: fenced.tokens.clone(),
        },
        &stream(&fenced, answer, "", 0),
        9,
    );
    assert_eq!(reply.unwrap().unwrap().text, answer);
}

#[test]
fn a_lost_start_is_said() {
    let fenced = fenced();
    let stream = stream(&fenced, "", "", 0);
    let half = stream.len() - 20;
    let lost = collect(fenced, &stream[half..], 99);
    assert_eq!(lost, Some(Err(Garbled::Lost)));
}

#[test]
fn unknown_text_in_the_echo_is_said() {
    let fenced = fenced();
    let at = fence(&fenced.tokens[0]).len() + 6;
    let stream = stream(&fenced, "", "hello", at);
    match collect(fenced, &stream, 99) {
        Some(Err(Garbled::Unclear(text))) => assert!(text.contains("hello"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_asides_are_taken_out() {
    let (kept, asides) = without_asides(
        "open\nsourceRoot: fs->ehi = 3, b->l = what\n/active: source x for file y: fileOpenSource: z\nmain: ",
    );
    assert_eq!(kept, "open\nmain: ");
    assert_eq!(asides.len(), 2, "{asides:?}");
}

#[test]
fn the_brokers_lines_are_taken_out() {
    let (kept, said) = without_stderr(
        "a\nmain: \n!stderr: one\nmain: \n!stderr: two\nmain: echo\n!stderr: three\nb\n",
    );
    assert_eq!(kept, "a\nmain: echo\nb\n");
    assert_eq!(said, ["one", "two", "three"]);
}

#[test]
fn what_follows_an_answer_is_kept() {
    let fenced = fenced();
    let mut bytes = stream(&fenced, "", "", 0);
    bytes.extend(format!("main: {ARCHIVED}").bytes());
    let mut collector = ReplyCollector::new(fenced);
    assert!(collector.push(&bytes).unwrap().unwrap().asides.is_empty());
    let rest = String::from_utf8(collector.rest()).unwrap();
    assert_eq!(rest, format!("\nmain: {ARCHIVED}"));
}

#[test]
fn megabytes_are_bounded() {
    let fenced = fenced();
    let answer = "x".repeat(99).to_owned() + "\n";
    let answer = answer.repeat(70_000);
    let stream = stream(&fenced, &answer, "", 0);
    let mut collector = ReplyCollector::new(fenced);
    let mut reply = None;
    for piece in stream.chunks(5000) {
        reply = reply.or(collector.push(piece));
        assert!(collector.text.len() <= 2 * KEPT + 5000);
    }
    let reply = reply.unwrap().unwrap();
    assert!(
        reply.dropped > 1 << 20 && reply.text.len() > KEPT / 2,
        "{}",
        reply.dropped
    );
}

#[test]
fn fences_are_known() {
    let fenced = fenced();
    for token in &fenced.tokens {
        assert!(is_fence(token));
        assert!(is_fence(&format!("main: {}", fence(token))));
        assert!(!is_fence(&format!("{token} ")));
    }
    assert!(!is_fence("main: echo hello") && !is_fence("xyz") && !is_fence(""));
}

#[test]
fn asides_without_end_are_taken_out_in_one_pass() {
    let score = "f50b65b3911fc87ae786cc7970b2e34d1348bd00";
    let text = format!("archive vac:{score}\n").repeat(30_000);
    let (kept, asides) = without_asides(&text);
    assert_eq!((kept.as_str(), asides.len()), ("", 30_000));
}
