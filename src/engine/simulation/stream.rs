//! What a core sends to one connection, cut into its units: a head, then events.

use crate::http::{EVENT_STREAM_HEAD_CHUNKED, EVENT_STREAM_HEAD_CLOSE, LAST_CHUNK};

/// Takes the bytes of one connection apart.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Bytes of the units that are complete.
    taken: usize,
    body: Body,
}

/// What the bytes behind the head are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Body {
    /// The head is not complete.
    #[default]
    Unknown,
    Chunked,
    Bare,
    /// The last chunk has come.
    Over,
    /// It is no event stream.
    Refusal,
}

/// A complete part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit<'b> {
    StreamBegins,
    Refused,
    /// An event, without what it is wrapped in.
    Event(&'b str),
    Heartbeat,
    /// When to come back, before the end.
    ComeBack,
    /// The stream ends in order.
    Ends,
}

/// What comes on a quiet stream.
pub(super) const HEARTBEAT: &str = ":\n\n";

const BLANK: &[u8] = b"\r\n\r\n";

impl Stream {
    pub(super) fn body(&self) -> Body {
        self.body
    }

    /// The bytes behind the last complete unit.
    pub(super) fn rest<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.taken..]
    }

    /// The next unit, of all the bytes so far.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<Unit<'b>> {
        let rest = &bytes[self.taken..];
        match self.body {
            Body::Unknown => self.head(rest),
            Body::Chunked => self.chunk(rest),
            Body::Bare => {
                let len = find(rest, b"\n\n")? + 2;
                self.taken += len;
                Some(unit(text(&rest[..len])))
            }
            Body::Over => {
                assert!(rest.is_empty(), "bytes behind the last chunk");
                None
            }
            Body::Refusal => None,
        }
    }

    fn head<'b>(&mut self, rest: &'b [u8]) -> Option<Unit<'b>> {
        let len = find(rest, BLANK)? + BLANK.len();
        self.taken += len;
        let head = &rest[..len];
        self.body = if head == EVENT_STREAM_HEAD_CHUNKED {
            Body::Chunked
        } else if head == EVENT_STREAM_HEAD_CLOSE {
            Body::Bare
        } else {
            assert!(head.starts_with(b"HTTP/1.1 4") || head.starts_with(b"HTTP/1.1 503 "));
            Body::Refusal
        };
        Some(if self.body == Body::Refusal { Unit::Refused } else { Unit::StreamBegins })
    }

    fn chunk<'b>(&mut self, rest: &'b [u8]) -> Option<Unit<'b>> {
        let digits = find(rest, b"\r\n")?;
        let len = usize::from_str_radix(text(&rest[..digits]), 16).expect("the length of a chunk");
        let begin = digits + 2;
        let chunk = rest.get(begin..begin + len + 2)?;
        assert!(chunk.ends_with(b"\r\n"), "a chunk goes on where it should end");
        self.taken += begin + len + 2;
        if len == 0 {
            self.body = Body::Over;
            return Some(Unit::Ends);
        }
        Some(unit(text(&chunk[..len])))
    }
}

fn unit(event: &str) -> Unit<'_> {
    match event {
        HEARTBEAT => Unit::Heartbeat,
        _ if event.starts_with("retry:") => Unit::ComeBack,
        _ => Unit::Event(event),
    }
}

/// Whether it is the beginning of what ends a stream in order.
pub(super) fn begins_end(rest: &[u8], body: Body) -> bool {
    let (alone, told): (&[u8], &[u8]) = match body {
        Body::Chunked => (LAST_CHUNK, b"d\r\nretry: ####\n\n\r\n0\r\n\r\n"),
        _ => (b"", b"retry: ####\n\n"),
    };
    let fits = |(&byte, &wanted): (&u8, &u8)| match wanted {
        b'#' => byte.is_ascii_digit(),
        _ => byte == wanted,
    };
    alone.starts_with(rest) || rest.len() <= told.len() && rest.iter().zip(told).all(fits)
}

/// The event as it comes in this body.
pub(super) fn wrapped(event: &str, body: Body) -> Vec<u8> {
    match body {
        Body::Chunked => format!("{:x}\r\n{event}\r\n", event.len()).into_bytes(),
        _ => event.into(),
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("all that is published is text")
}
