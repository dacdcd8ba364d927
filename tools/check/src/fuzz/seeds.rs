//! What the targets begin with: the streams and requests of `tests/conformance/`, and the files of
//! `tools/fuzz/seeds` for what no case stands for.

use std::fs;
use std::io;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::command::root;

const CASES: &str = include_str!("../../../../tests/conformance/sse-cases.json");

const REQUESTS: &str = include_str!("../../../../tests/conformance/http-request-cases.json");

/// The plan that the targets for streams take off the front of their input: read by the standard, without
/// bounds or comments, in pieces of 1, 2 and 3 bytes.
const PLAN: &[u8] = &[0, 0, 0, 0, 0, 1, 2, 3];

/// Writes the seeds of a target into its corpus.
pub(super) fn write(target: &str) -> io::Result<()> {
    let corpus = root().join("tools/fuzz/corpus").join(target);
    fs::create_dir_all(&corpus)?;
    let seeds = root().join("tools/fuzz/seeds").join(target);
    if seeds.exists() {
        for seed in fs::read_dir(seeds)? {
            let seed = seed?;
            fs::copy(seed.path(), corpus.join(seed.file_name()))?;
        }
    }
    if let Some(before) = before_a_stream(target) {
        for (name, stream) in streams() {
            fs::write(corpus.join(name), [before, &stream].concat())?;
        }
    }
    if let Some(before) = before_a_request(target) {
        for (name, request) in requests() {
            fs::write(corpus.join(name), [before, &request].concat())?;
        }
    }
    Ok(())
}

/// What stands before a request in the target's input: pieces of 1, 2 and 3 bytes, or nothing.
fn before_a_request(target: &str) -> Option<&'static [u8]> {
    match target {
        "request_head_reads_as_hyper_reads_it" => Some(b""),
        "request_head_reads_alike_however_cut" | "hand_over_answers_alike_however_cut" => {
            Some(&[1, 2, 3])
        }
        _ => None,
    }
}

/// What stands before a stream in the target's input; `None` if it takes something else.
fn before_a_stream(target: &str) -> Option<&'static [u8]> {
    match target {
        "message_text_is_read_or_refused" => Some(b""),
        _ if target.starts_with("stream_reads_") => Some(PLAN),
        _ => None,
    }
}

/// Name and bytes of each case that is not too long to be written out in the file.
fn streams() -> impl Iterator<Item = (String, Vec<u8>)> {
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("the cases are JSON");
    cases.into_iter().filter_map(|case| {
        let name = case["name"].as_str().expect("a case has a name");
        let stream = BASE64_STANDARD.decode(case["input_b64"].as_str()?).expect("it is base64");
        Some((format!("case-{name}"), stream))
    })
}

/// Name and bytes of each case of a request that is written out in the file.
fn requests() -> impl Iterator<Item = (String, Vec<u8>)> {
    let cases: Vec<Value> = serde_json::from_str(REQUESTS).expect("the cases are JSON");
    cases.into_iter().filter_map(|case| {
        let name = case["name"].as_str().expect("a case has a name");
        let text = case["request"].as_str().expect("a case has a request");
        let text =
            text.replace("{SUB}", "/events").replace("{PUB}", "/publish").replace("{HOST}", "h");
        Some((format!("request-{name}"), unescape(&text.replace("{EPOCH}", "0000002a"))?))
    })
}

/// The bytes of the file's notation, if nothing in it is repeated or said in words.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (byte, length) = match *escaped.as_bytes().first()? {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'0' => (0, 1),
            b'\\' => (b'\\', 1),
            b'x' => (u8::from_str_radix(escaped.get(1..3)?, 16).ok()?, 3),
            _ => return None,
        };
        bytes.push(byte);
        rest = &escaped[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    (!bytes.contains(&b'{')).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_case_is_a_file_of_its_own() {
        let streams: Vec<_> = streams().collect();
        assert!(streams.len() >= 140, "only {}", streams.len());
        assert!(streams.iter().any(|(_, stream)| stream.starts_with(b"\xef\xbb\xbfdata:1\n")));
        let names: HashSet<_> = streams.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), streams.len());
        let requests: Vec<_> = requests().collect();
        assert!(requests.len() >= 90, "only {}", requests.len());
        let (_, least) = requests.iter().find(|(name, _)| name == "request-ok-http10").unwrap();
        assert_eq!(least, b"GET /events HTTP/1.0\r\n\r\n");
        assert!(names.iter().all(|name| !name.contains('/')));
    }
}
