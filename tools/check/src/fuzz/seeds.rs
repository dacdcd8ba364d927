//! What the targets begin with: the streams of `tests/conformance/`, and the files of
//! `tools/fuzz/seeds` for what no case stands for.

use std::fs;
use std::io;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::command::root;

const CASES: &str = include_str!("../../../../tests/conformance/sse-cases.json");

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
    let Some(before) = before_a_stream(target) else { return Ok(()) };
    for (name, stream) in streams() {
        fs::write(corpus.join(name), [before, &stream].concat())?;
    }
    Ok(())
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
        assert!(names.iter().all(|name| !name.contains('/')));
    }
}
