//! One HTTP/1 connection in raw bytes: it sends what it is told and reads with a time-out.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// Bytes asked of the kernel at once.
const READ_BYTES: usize = 16 * 1024;

/// A connection and what has arrived on it but was not looked at yet.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts");
        Self::over(stream)
    }

    /// A connection over a socket made elsewhere.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket takes TCP_NODELAY");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
        Self { stream, received: Vec::new() }
    }

    /// Sends all of it.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server takes what it is sent");
    }

    /// Sends all of it, where the server may hang up half-way.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `GET target` and reads the answer.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
        self.response()
    }

    /// Sends `POST target` and reads the answer.
    pub(crate) fn post(&mut self, target: &str, content_type: &str, body: &[u8]) -> Response {
        // A server that refuses need not read the body; what it says is read below either way.
        let _ = self.try_send(&post_request(target, content_type, body));
        self.response()
    }

    /// Reads one whole answer, which is not a stream of events.
    pub(crate) fn response(&mut self) -> Response {
        let head = self.head();
        assert!(!head.is_stream(), "a subscription instead of an answer: {head:?}");
        self.body_of(head)
    }

    /// Reads the body that follows this head, if one does.
    pub(crate) fn body_of(&mut self, mut response: Response) -> Response {
        if response.has_body() {
            response.body = match response.header("content-length") {
                Some(length) => self.exactly(length.parse().expect("a length")),
                None if response.is_chunked() => self.chunks(),
                None => self.rest(),
            };
        }
        response
    }

    /// Reads the head of an answer, and nothing after it.
    pub(crate) fn head(&mut self) -> Response {
        self.head_or_end().unwrap_or_else(|| {
            panic!("closed before the answer's head: {:?}", self.received_text())
        })
    }

    /// As [`Self::head`], or nothing where the server hangs up before there is one.
    pub(crate) fn head_or_end(&mut self) -> Option<Response> {
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            match self.fill(deadline) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no head came: {error}; had {:?}", self.received_text()),
            }
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        Some(Response::parse(std::str::from_utf8(&head).expect("a head is ASCII")))
    }

    /// Says that no more is sent.
    pub(crate) fn finish(&self) {
        // The server may have hung up.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits until the server hangs up, in whichever way, and returns what it said before.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.rest_within(PATIENCE).expect("the server hangs up")
    }

    /// As [`Self::rest`], or `None` if the connection still stands after that time.
    pub(crate) fn rest_within(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.fill(deadline) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => return None,
                Err(_reset) => break,
            }
        }
        Some(std::mem::take(&mut self.received))
    }

    /// Reads once, until `deadline` at most; zero bytes mean that the server has hung up.
    ///
    /// # Errors
    ///
    /// `TimedOut` at the deadline; else what the socket says.
    pub(crate) fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        let mut block = [0; READ_BYTES];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut block) {
                Ok(len) => {
                    self.received.extend_from_slice(&block[..len]);
                    return Ok(len);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What has arrived but was not taken.
    pub(crate) const fn received(&mut self) -> &mut Vec<u8> {
        &mut self.received
    }

    /// Reads that many bytes.
    pub(crate) fn exactly(&mut self, len: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.received.len() < len {
            let read = self.fill(deadline).expect("the server goes on");
            assert!(read > 0, "closed after {} of {len} bytes", self.received.len());
        }
        self.received.drain(..len).collect()
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = usize::from_str_radix(line.trim(), 16).expect("a chunk's size");
            let chunk = self.exactly(size + 2);
            assert!(chunk.ends_with(b"\r\n"), "a chunk ends in CRLF");
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    fn line(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=at).collect();
                return String::from_utf8(line).expect("a line is ASCII");
            }
            assert!(self.fill(deadline).expect("the server goes on") > 0, "closed within a line");
        }
    }

    fn received_text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

/// The bytes of a POST, head and body.
pub(crate) fn post_request(target: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    fn parse(head: &str) -> Self {
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a status line");
        let (version, rest) = status_line.split_once(' ').expect("a version and a status");
        let status = rest.split(' ').next().and_then(|code| code.parse().ok()).expect("a status");
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let headers = lines.map(header).collect();
        Self { version: version.to_owned(), status, headers, body: Vec::new() }
    }

    /// The value of a header, its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the body is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type").is_some_and(|value| value.starts_with("text/event-stream"))
    }

    /// Whether the body comes in chunks.
    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// The body as text, if the status is that one.
    pub(crate) fn expect_text(self, status: u16) -> String {
        let text = String::from_utf8(self.body).expect("a text body");
        assert_eq!(self.status, status, "with body {text:?}");
        text
    }

    /// The body as JSON, if the status is that one.
    pub(crate) fn expect_json(self, status: u16) -> Value {
        self.expect_json_as("application/json", status)
    }

    /// The problem details of a refusal, if the status is that one; they name their fault.
    pub(crate) fn expect_problem(self, status: u16) -> Value {
        let problem = self.expect_json_as("application/problem+json", status);
        assert_eq!(problem["type"], "about:blank", "in {problem}");
        assert_eq!(problem["status"], status, "in {problem}");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem
    }

    /// The fault that a refusal names, if the status is that one.
    pub(crate) fn expect_fault(self, status: u16) -> String {
        let problem = self.expect_problem(status);
        problem["detail"].as_str().expect("a problem has a detail").to_owned()
    }

    fn expect_json_as(self, media_type: &str, status: u16) -> Value {
        let said = self.header("content-type").unwrap_or_default().to_owned();
        let text = self.expect_text(status);
        assert!(said.starts_with(media_type), "{said:?} is not {media_type} of {text:?}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
    }

    fn has_body(&self) -> bool {
        !matches!(self.status, 100..200 | 204 | 304)
    }
}
