//! The cases of `tests/conformance/`: what a client makes of published fields, and of a stream's bytes.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Event, EventId, EventType, Item, Message, Parser};

const STREAM_CASES: &str = include_str!("../../tests/conformance/sse-cases.json");
const ENCODE_CASES: &str = include_str!("../../tests/conformance/sse-encode-cases.json");

#[test]
fn a_client_gets_what_was_published() {
    let cases: Vec<Value> = serde_json::from_str(ENCODE_CASES).expect("the cases are JSON");
    let mut checked = 0;
    for case in &cases {
        // Bytes, sizes and patterns in place of text are about the endpoint, not about encoding.
        let fields = case["publish"].as_object().expect("each case publishes something");
        if !fields.keys().all(|key| ["id", "event", "retry", "data", "comment"].contains(&&**key)) {
            continue;
        }
        let decoded = build(&case["publish"]).map(|message| decode(&message.to_bytes()));
        match (case["outcome"].as_str(), decoded) {
            (Some("ok"), decoded) => assert_eq!(decoded.as_ref(), Ok(&case["decoded"]), "{case}"),
            (Some("reject"), Err(_)) => {}
            // A comment is never refused: it is split, and still gives a client no event.
            (Some("reject"), Ok(decoded)) => {
                assert!(fields.contains_key("comment"), "{case}");
                assert_eq!(decoded, serde_json::json!([]), "{case}");
            }
            (outcome, _) => panic!("unknown outcome {outcome:?}: {case}"),
        }
        checked += 1;
    }
    assert!(checked >= 25, "only {checked} of {} cases were checked", cases.len());
}

fn build(publish: &Value) -> Result<Message, String> {
    let mut message = Message::empty();
    if let Some(id) = publish["id"].as_str() {
        message = message.id(EventId::new(id).map_err(|e| e.to_string())?);
    }
    if let Some(event) = publish["event"].as_str() {
        message = message.event(EventType::new(event).map_err(|e| e.to_string())?);
    }
    if let Some(retry) = publish.get("retry") {
        let millis = retry.as_u64().ok_or("not a number of milliseconds")?;
        message = message.retry(Duration::from_millis(millis));
    }
    if let Some(data) = publish["data"].as_str() {
        message = message.data(data);
    }
    if let Some(comment) = publish["comment"].as_str() {
        message = message.comment(comment);
    }
    Ok(message)
}

fn decode(stream: &[u8]) -> Value {
    serde_json::to_value(&parse(Parser::new(), &[stream]).events).expect("events are JSON")
}

#[derive(Debug, PartialEq)]
struct Parsed {
    events: Vec<Event>,
    comments: Vec<String>,
    retry: Option<Duration>,
    last_event_id: String,
}

fn parse(mut parser: Parser, pieces: &[&[u8]]) -> Parsed {
    let (mut events, mut comments) = (Vec::new(), Vec::new());
    for mut piece in pieces.iter().copied() {
        while let Some(item) = parser.next(&mut piece).expect("no case passes a bound") {
            match item {
                Item::Event(event) => events.push(event.to_event()),
                Item::Comment(text) => comments.push(text.to_owned()),
            }
        }
    }
    assert_eq!(parser.finish(), Ok(None));
    let last_event_id = parser.last_event_id().to_owned();
    Parsed { events, comments, retry: parser.reconnection_time(), last_event_id }
}

#[test]
fn a_stream_gives_the_events_of_the_standard_however_it_is_cut() {
    let cases: Vec<Value> = serde_json::from_str(STREAM_CASES).expect("the cases are JSON");
    assert!(cases.len() >= 149, "only {} cases", cases.len());
    let mut random = Random(0x5EED);
    for case in &cases {
        let parser = Parser::new()
            .comments(true)
            .resume_from(case["seed_last_event_id"].as_str().unwrap_or_default());
        let input = unescape(case["input"].as_str().expect("each case has an input"));
        let whole = parse(parser.clone(), &[&input]);
        assert_expected(case, &whole);
        let same = |pieces: &[&[u8]], how: &str| {
            assert_eq!(parse(parser.clone(), pieces), whole, "{how}: {case}");
        };
        if let Some(offsets) = case["chunks"].as_array() {
            let offsets = offsets.iter().map(|at| at.as_u64().expect("an offset") as usize);
            same(&cut(&input, offsets), "at its chunks");
        }
        same(&input.chunks(1).collect::<Vec<_>>(), "byte by byte");
        for at in offsets_to_cut_at(input.len(), &mut random) {
            same(&cut(&input, [at]), &format!("cut at {at}"));
        }
        for _ in 0..if input.len() > LONG { 1 } else { 8 } {
            let mut offsets: Vec<_> = (0..12).map(|_| random.below(input.len() + 1)).collect();
            offsets.sort_unstable();
            same(&cut(&input, offsets), "at random");
        }
    }
}

#[track_caller]
fn assert_expected(case: &Value, parsed: &Parsed) {
    let expected = case["expected"].as_array().expect("each case expects something");
    assert_eq!(parsed.events.len(), expected.len(), "{case}");
    for (event, expected) in parsed.events.iter().zip(expected) {
        assert_eq!(event.event_type(), expected["type"], "{case}");
        assert_eq!(event.last_event_id(), expected["lastEventId"], "{case}");
        match expected["data"].as_str() {
            Some(data) => assert_eq!(event.data(), data, "{case}"),
            None => assert_long(event.data(), expected),
        }
    }
    if case["strict_retry"] != false {
        let millis = parsed.retry.map(|retry| retry.as_millis());
        assert_eq!(serde_json::json!(millis), case["expected_retry"], "{case}");
    }
    if let Some(id) = case["expected_final_id"].as_str() {
        assert_eq!(parsed.last_event_id, id, "{case}");
    }
    if let Some(comments) = case.get("expected_comments") {
        assert_eq!(serde_json::json!(parsed.comments), *comments, "{case}");
    }
}

/// Data too long for the file is there by its length and digest.
#[track_caller]
fn assert_long(data: &str, expected: &Value) {
    assert_eq!(data.len() as u64, expected["data_len"]);
    let digest: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, expected["data_sha256"]);
}

/// Beyond this not every cut is tried: that takes as many runs as there are bytes.
const LONG: usize = 32 * 1024;

/// Every offset, or of a long input those near its ends and a sample of the others.
fn offsets_to_cut_at(len: usize, random: &mut Random) -> Vec<usize> {
    if len <= LONG {
        return (0..=len).collect();
    }
    let sample = (0..4).map(|_| random.below(len));
    (0..4).chain(len - 2..=len).chain(sample).collect()
}

fn cut(input: &[u8], offsets: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut start = 0;
    let offsets = offsets.into_iter().chain([input.len()]);
    offsets.map(|end| &input[std::mem::replace(&mut start, end)..end]).collect()
}

/// The bytes that a case's text stands for: `\n`, `\r`, `\t`, `\0`, `\\`, `\xHH`, and `\R{HH,N}` for N
/// times the byte HH.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend(before.as_bytes());
        let hex = |digits: &str| u8::from_str_radix(digits, 16).expect("two hex digits");
        let taken = match escape.as_bytes()[0] {
            b'x' => {
                bytes.push(hex(&escape[1..3]));
                3
            }
            b'R' => {
                let end = escape.find('}').expect("a repeat ends");
                let (byte, times) = escape[2..end].split_once(',').expect("byte, times");
                let len = bytes.len() + times.parse::<usize>().expect("a number");
                bytes.resize(len, hex(byte));
                end + 1
            }
            letter => {
                let meaning =
                    [(b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'0', 0), (b'\\', b'\\')];
                let byte = meaning.iter().find(|(name, _)| *name == letter);
                bytes.push(byte.expect("a known escape").1);
                1
            }
        };
        rest = &escape[taken..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}

/// Numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
