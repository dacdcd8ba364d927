//! ARCHITECTURE.md, I11 and I12: a request head gives one answer however its bytes come, and what is
//! taken lies within the bytes and bounds that it was given.

#![no_main]

use fanfare::http::{BodyLength, Head, HeadError, RequestHead, parse_head, parse_head_after};
use fanfare::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use fanfare_fuzz::Pieces;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Pieces, &[u8])| {
    let (pieces, bytes) = input;
    // A fault may wait for the end of its line, so every line has one.
    let bytes = [bytes, b"\n"].concat();
    let whole = parse_head(&bytes);
    let answer = Answer::of(&whole);
    assert_eq!(arriving(&bytes, bytes.chunks(1)), answer, "byte by byte");
    assert_eq!(arriving(&bytes, pieces.of(&bytes)), answer, "in pieces");
    if let Ok(Head::Complete(head)) = whole {
        assert_sound(&bytes, &head);
    }
});

/// All that an answer says.
#[derive(Debug, PartialEq)]
enum Answer {
    Partial,
    Complete(String),
    Refused(HeadError),
}

impl Answer {
    fn of(answer: &Result<Head<'_>, HeadError>) -> Self {
        match answer {
            Ok(Head::Partial) => Self::Partial,
            Ok(Head::Complete(head)) => Self::Complete(format!("{head:?}")),
            Err(fault) => Self::Refused(*fault),
        }
    }
}

/// The first answer that is not [`Head::Partial`], as a connection asks for it.
fn arriving<'b>(bytes: &[u8], pieces: impl Iterator<Item = &'b [u8]>) -> Answer {
    let mut seen = 0;
    for piece in pieces {
        let answer = Answer::of(&parse_head_after(&bytes[..seen + piece.len()], seen));
        if answer != Answer::Partial {
            return answer;
        }
        seen += piece.len();
    }
    Answer::Partial
}

fn assert_sound(bytes: &[u8], head: &RequestHead<'_>) {
    assert!(head.len <= HEAD_BYTES_MAX);
    let text = &bytes[..head.len];
    assert!(text.ends_with(b"\r\n\r\n"), "a head ends in a blank line");
    assert!(text.iter().enumerate().all(|(at, byte)| *byte != b'\n' || text[at - 1] == b'\r'));
    assert!(head.path.starts_with('/') || (head.method, head.path) == ("OPTIONS", "*"));
    assert!(head.headers("host").count() <= 1);
    let lengths = head.headers("content-length").count();
    let encodings = head.headers("transfer-encoding").count();
    let framed = usize::from(head.body_length() != BodyLength::None);
    assert_eq!(lengths + encodings, framed, "the body has one length");
    for name in ["host", "content-length", "last-event-id", "x"] {
        assert!(head.headers(name).count() <= HEADERS_MAX);
        for value in head.headers(name) {
            assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }
    assert!(head.query.is_some() || head.query_pairs().next().is_none());
    for (name, value) in head.query_pairs() {
        assert!(name.len() + value.len() <= 3 * head.len, "decoding only ever shrinks an escape");
    }
}
