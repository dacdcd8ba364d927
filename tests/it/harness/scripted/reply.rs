//! What the scripted server does with one request, and how a case's step says it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Bytes, Origins};

/// Between the pieces of an answer that a case cuts: enough that the kernel passes each by itself.
const PAUSE: Duration = Duration::from_millis(20);

/// What is done with one request. A connection serves one, and is never reused.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(super) bytes: Bytes,
    /// Offsets in `bytes` at which to pause.
    pub(super) cuts: Vec<u64>,
    pub(super) pause: Duration,
    pub(super) then: Then,
}

/// What follows the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing; the connection stands until the peer leaves. Cases call it `keep` where the answer
    /// is whole so far, and `stall` where it is not.
    Keep,
    /// An end in order, as far as TCP goes.
    Close,
    /// A reset, some time after the last byte.
    Reset,
}

impl Reply {
    /// These bytes, and then nothing.
    pub(crate) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), cuts: Vec::new(), pause: PAUSE, then: Then::Keep }
    }

    /// No byte at all, on a connection that stands.
    pub(crate) fn silence() -> Self {
        Self::raw(Bytes::default())
    }

    /// A stream of events that begins so and stands.
    pub(crate) fn stream(body: impl Into<Bytes>) -> Self {
        let mut bytes = Bytes::from(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
        );
        bytes.append(body.into());
        Self::raw(bytes)
    }

    /// What follows the last byte.
    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// Sends byte by byte, with that pause after each.
    pub(crate) fn dripping(mut self, pause: Duration) -> Self {
        self.cuts = (1..self.bytes.len()).collect();
        self.pause = pause;
        self
    }

    /// The reply that a case's step describes.
    ///
    /// Every response says `Connection: close`, unless it has a `Connection` of its own. With
    /// `Transfer-Encoding: chunked`, a `body` is sent as one chunk; a `raw_body` is sent as it is.
    /// `raw_headers` are sent as they are, and ended as a head is unless the step stalls without a
    /// body. An `error` that a server can play, it plays; the others are not for this function.
    ///
    /// # Errors
    ///
    /// Names the key or value that means nothing here: no part of a step is passed over.
    pub(crate) fn of_step(step: &Value, origins: &Origins) -> Result<Self, String> {
        let fields = step.as_object().ok_or("a step is an object")?;
        let known =
            ["status", "headers", "raw_headers", "body", "raw_body", "chunks", "then", "error"];
        if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("unknown key of a step: {key}"));
        }
        if let Some(error) = fields.get("error") {
            let then = match error.as_str() {
                Some("reset") => Then::Reset,
                Some("close" | "eof") => Then::Close,
                Some("timeout" | "stall") => Then::Keep,
                _ => return Err(format!("a server cannot play the error {error}")),
            };
            return Ok(Self::silence().then(then));
        }
        let then = match text(fields, "then")? {
            Some("keep" | "stall") => Then::Keep,
            Some("close") => Then::Close,
            Some("reset") => Then::Reset,
            other => return Err(format!("unknown end of a step: {other:?}")),
        };
        let mut bytes = head(fields, origins)?;
        let head_len = bytes.len();
        bytes.append(body(fields, then)?);
        let cuts = match fields.get("chunks") {
            None => Vec::new(),
            Some(chunks) => offsets(chunks).ok_or("chunks are offsets")?,
        };
        let cuts = cuts.into_iter().map(|offset| head_len + offset).collect();
        Ok(Self { bytes, cuts, pause: PAUSE, then })
    }
}

fn offsets(chunks: &Value) -> Option<Vec<u64>> {
    chunks.as_array()?.iter().map(Value::as_u64).collect()
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    let text = |value: &'a Value| value.as_str().ok_or_else(|| format!("{key} is a text"));
    fields.get(key).map(text).transpose()
}

fn head(step: &Map<String, Value>, origins: &Origins) -> Result<Bytes, String> {
    let status = step.get("status").and_then(Value::as_u64).ok_or("a step has a status")?;
    let mut head = Bytes::from(format!("HTTP/1.1 {status} Scripted\r\n").as_str());
    for (name, value) in headers(step)? {
        head.push(format!("{name}: ").as_bytes());
        head.append(Bytes::unescape(&origins.fill_in(value))?);
        head.push(b"\r\n");
    }
    let Some(raw) = text(step, "raw_headers")? else {
        if !has_header(step, "connection")? {
            head.push(b"Connection: close\r\n");
        }
        head.push(b"\r\n");
        return Ok(head);
    };
    head.append(Bytes::unescape(&origins.fill_in(raw))?);
    let has_body = step.contains_key("body") || step.contains_key("raw_body");
    if (has_body || text(step, "then")? != Some("stall")) && !head.ends_with(b"\r\n\r\n") {
        head.push(if head.ends_with(b"\r\n") { b"\r\n" } else { b"\r\n\r\n" });
    }
    Ok(head)
}

/// Every header with its value; one that is repeated has a list of them.
fn headers(step: &Map<String, Value>) -> Result<Vec<(&str, &str)>, String> {
    let Some(headers) = step.get("headers") else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (name, value) in headers.as_object().ok_or("headers are an object")? {
        let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let value = value.as_str().ok_or_else(|| format!("the header {name} is a text"))?;
            all.push((name.as_str(), value));
        }
    }
    Ok(all)
}

fn has_header(step: &Map<String, Value>, name: &str) -> Result<bool, String> {
    Ok(headers(step)?.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)))
}

fn body(step: &Map<String, Value>, then: Then) -> Result<Bytes, String> {
    if let Some(raw) = text(step, "raw_body")? {
        return Bytes::unescape(raw);
    }
    let body = Bytes::unescape(text(step, "body")?.unwrap_or_default())?;
    if !has_header(step, "transfer-encoding")? {
        return Ok(body);
    }
    let mut chunked = Bytes::default();
    if body.len() > 0 {
        chunked.push(format!("{:x}\r\n", body.len()).as_bytes());
        chunked.append(body);
        chunked.push(b"\r\n");
    }
    if then == Then::Close {
        chunked.push(b"0\r\n\r\n");
    }
    Ok(chunked)
}
