//! The replies a core writes without help: the head of an event stream, and errors.
//!
//! Every error closes its connection, so that a core never has to find where a refused request ends.

use super::{
    problem::{PROBLEM_JSON, Problem, reason},
    request::Version,
};
use crate::limits;

/// The head of an event stream to an HTTP/1.1 client. Each event follows as a chunk, and
/// [`LAST_CHUNK`] ends it.
///
/// `X-Accel-Buffering` keeps nginx, and what learnt from it, from holding events back.
pub const EVENT_STREAM_HEAD_CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\n\
    Cache-Control: no-store\r\n\
    X-Accel-Buffering: no\r\n\
    Transfer-Encoding: chunked\r\n\
    \r\n";

/// The head of an event stream to an HTTP/1.0 client, which ends with the connection.
///
/// The version is the server's own and not the request's, as RFC 9110 wants it (section 6.2).
pub const EVENT_STREAM_HEAD_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\n\
    Cache-Control: no-store\r\n\
    X-Accel-Buffering: no\r\n\
    Connection: close\r\n\
    \r\n";

/// The head of an event stream to a client of this version, with more header lines.
///
/// ```
/// use fanfare::http::{Version, event_stream_head};
///
/// let head = event_stream_head(Version::Http11, b"Set-Cookie: seen=1\r\n");
/// assert!(head.ends_with(b"\r\nSet-Cookie: seen=1\r\n\r\n"));
/// ```
pub fn event_stream_head(version: Version, headers: &[u8]) -> Vec<u8> {
    let head = match version {
        Version::Http11 => EVENT_STREAM_HEAD_CHUNKED,
        Version::Http10 => EVENT_STREAM_HEAD_CLOSE,
    };
    let (head, end) = head.split_at(head.len() - 2);
    [head, headers, end].concat()
}

/// What ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What keeps a quiet event stream open: an empty comment, which clients ignore.
pub const HEARTBEAT_BARE: &[u8] = b":\n\n";

/// [`HEARTBEAT_BARE`] as one HTTP/1.1 chunk.
pub const HEARTBEAT_CHUNKED: &[u8] = b"3\r\n:\n\n\r\n";

/// What the last event stream of a server that shuts down says: when to come back. It spreads numbers
/// that are near each other over [`limits::DRAIN_RETRY_MIN`] to [`limits::DRAIN_RETRY_MAX`].
///
/// ```
/// assert!(fanfare::http::come_back(1).starts_with(b"retry: "));
/// assert_ne!(fanfare::http::come_back(1), fanfare::http::come_back(2));
/// ```
pub fn come_back(nth: u32) -> Vec<u8> {
    let range = (limits::DRAIN_RETRY_MAX - limits::DRAIN_RETRY_MIN).as_millis();
    // Fibonacci hashing: neighbours come to be far from each other.
    let spread = u128::from(nth.wrapping_mul(0x9e37_79b1) >> 8);
    let retry = limits::DRAIN_RETRY_MIN.as_millis() + spread % range;
    format!("retry: {retry}\n\n").into_bytes()
}

/// A whole reply with `status`, a [`Problem`] whose detail is `fault`, and the end of the connection.
///
/// ```
/// let reply = String::from_utf8(fanfare::http::error(404, "no such path")).unwrap();
/// assert!(reply.starts_with("HTTP/1.1 404 Not Found\r\n"));
/// assert!(reply.contains("\r\nContent-Type: application/problem+json\r\n"));
/// assert!(reply.ends_with("\"status\":404,\"detail\":\"no such path\"}"));
/// ```
///
/// # Panics
///
/// In debug builds, if `status` is not of three digits.
pub fn error(status: u16, fault: &str) -> Vec<u8> {
    error_with(status, b"", fault)
}

/// As [`error`], with more headers: whole lines, each with its line end.
///
/// ```
/// let reply = fanfare::http::error_with(401, b"WWW-Authenticate: Bearer\r\n", "who is it?");
/// let reply = String::from_utf8(reply).unwrap();
/// assert!(reply.contains("\r\nWWW-Authenticate: Bearer\r\n"));
/// assert!(reply.ends_with("\"status\":401,\"detail\":\"who is it?\"}"));
/// ```
pub fn error_with(status: u16, headers: &[u8], fault: &str) -> Vec<u8> {
    let own = format!("Content-Type: {PROBLEM_JSON}\r\nCache-Control: no-store\r\n");
    let body = serde_json::to_vec(&Problem::new(status, fault))
        .expect("numbers and texts are always JSON");
    reply(status, &[own.as_bytes(), headers].concat(), &body)
}

/// A 405 that tells which methods the path has, such as `GET, HEAD`: HTTP wants it of every 405.
///
/// `allow` is written as it is.
///
/// ```
/// let reply = fanfare::http::method_not_allowed("GET");
/// assert!(String::from_utf8(reply).unwrap().contains("\r\nAllow: GET\r\n"));
/// ```
pub fn method_not_allowed(allow: &'static str) -> Vec<u8> {
    error_with(405, format!("Allow: {allow}\r\n").as_bytes(), "method not allowed")
}

/// A whole reply with `status`, these headers, which are whole lines, this body, and the end of the
/// connection.
///
/// ```
/// let reply = fanfare::http::reply(403, b"Content-Type: text/plain\r\n", b"no");
/// assert_eq!(
///     String::from_utf8(reply).unwrap(),
///     "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\
///      Connection: close\r\n\r\nno"
/// );
/// ```
///
/// # Panics
///
/// In debug builds, if `status` is not of three digits.
pub fn reply(status: u16, headers: &[u8], body: &[u8]) -> Vec<u8> {
    debug_assert!((100..1000).contains(&status), "not a status: {status}");
    let mut reply = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
    reply.extend_from_slice(headers);
    // RFC 9110, section 8.6: this one has no body, and no length of one.
    if status != 204 {
        reply.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    reply.extend_from_slice(b"Connection: close\r\n\r\n");
    reply.extend_from_slice(body);
    reply
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_error_is_one_whole_reply() {
        assert_eq!(
            String::from_utf8(error(400, "say \"a\"\r\n")).unwrap(),
            "HTTP/1.1 400 Bad Request\r\n\
             Content-Type: application/problem+json\r\n\
             Cache-Control: no-store\r\n\
             Content-Length: 82\r\n\
             Connection: close\r\n\
             \r\n\
             {\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\
             \"detail\":\"say \\\"a\\\"\\r\\n\"}"
        );
    }

    #[test]
    fn every_reply_is_a_head_that_parses() {
        for status in [400, 401, 403, 404, 405, 408, 413, 429, 431, 500, 503] {
            let reply = error(status, "é");
            let body = check_head(&reply, status);
            assert!(body.ends_with(",\"detail\":\"é\"}".as_bytes()));
            assert!(!reason(status).is_empty());
        }
        check_head(&error(599, ""), 599);
        check_head(&method_not_allowed("GET, POST"), 405);
        assert!(check_head(EVENT_STREAM_HEAD_CHUNKED, 200).is_empty());
        assert!(check_head(EVENT_STREAM_HEAD_CLOSE, 200).is_empty());
    }

    #[test]
    fn they_do_not_all_come_back_at_once() {
        let range = limits::DRAIN_RETRY_MIN..limits::DRAIN_RETRY_MAX;
        let mut tenths = [0; 10];
        for nth in 0..10_000 {
            let text = String::from_utf8(come_back(nth)).unwrap();
            let digits = text.strip_prefix("retry: ").unwrap().trim_end();
            let retry = Duration::from_millis(digits.parse().unwrap());
            assert!(range.contains(&retry));
            let share = (retry - range.start).div_duration_f64(range.end - range.start);
            tenths[(share * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|tenth| (900..1100).contains(tenth)), "{tenths:?}");
    }

    #[track_caller]
    fn check_head(reply: &[u8], status: u16) -> &[u8] {
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut headers);
        let len = response.parse(reply).unwrap().unwrap();
        assert_eq!(response.code, Some(status));
        let (_, body) = reply.split_at(len);
        if let Some(header) = response.headers.iter().find(|h| h.name == "Content-Length") {
            assert_eq!(header.value, body.len().to_string().as_bytes());
        }
        body
    }
}
