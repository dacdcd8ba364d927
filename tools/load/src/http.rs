//! As much HTTP/1.1 as a tester needs: requests as text, response heads, whole small responses.

use std::io::{self, Read};

use crate::worker::{Framing, Step};

/// Bytes a response head may have.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes a response that is read whole may have.
const BODY_BYTES_MAX: usize = 256 * 1024;
const HEADERS_MAX: usize = 64;

/// What a response head says.
#[derive(Debug)]
pub(crate) struct Head {
    /// Bytes of the head; the body follows.
    pub(crate) len: usize,
    /// The status code.
    pub(crate) status: u16,
    /// The media type, without parameters, in lower case.
    pub(crate) content_type: String,
    /// The body is chunked.
    pub(crate) chunked: bool,
    content_length: Option<usize>,
    /// The connection ends after this response.
    closes: bool,
}

/// A response read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// The server said that it ends the connection after this response.
    pub(crate) closes: bool,
}

/// Parses a response head. `None`: it has not all arrived.
pub(crate) fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(invalid("the response head does not end")),
        Err(error) => return Err(invalid(&format!("not an HTTP response: {error}"))),
    };
    let value = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).trim().to_ascii_lowercase())
    };
    let content_type = value("content-type").unwrap_or_default();
    let connection = value("connection").unwrap_or_default();
    let says = |option: &str| connection.split(',').any(|said| said.trim() == option);
    let is_old = response.version == Some(0);
    Ok(Some(Head {
        len,
        status: response.code.unwrap_or_default(),
        content_type: content_type.split(';').next().unwrap_or_default().trim().to_owned(),
        chunked: value("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")),
        content_length: value("content-length").and_then(|len| len.parse().ok()),
        closes: says("close") || is_old && !says("keep-alive"),
    }))
}

/// Reads responses, one after another, from a connection.
#[derive(Debug)]
pub(crate) struct Responses<R> {
    connection: R,
    buffered: Vec<u8>,
}

impl<R: Read> Responses<R> {
    /// Responses of `connection`.
    pub(crate) fn new(connection: R) -> Self {
        Self { connection, buffered: Vec::new() }
    }

    /// The next final response; `None` when the connection ended before one began. Interim ones
    /// (1xx) are passed over.
    pub(crate) fn next(&mut self) -> io::Result<Option<Response>> {
        loop {
            let Some(head) = self.head()? else { return Ok(None) };
            self.buffered.drain(..head.len);
            if (100..200).contains(&head.status) {
                continue;
            }
            let body = self.body(&head)?;
            return Ok(Some(Response { status: head.status, body, closes: head.closes }));
        }
    }

    fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(head) = parse_head(&self.buffered)? {
                return Ok(Some(head));
            }
            if self.fill()? == 0 {
                return if self.buffered.is_empty() { Ok(None) } else { Err(cut_off()) };
            }
        }
    }

    fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.status == 204 || head.status == 304 {
            return Ok(Vec::new());
        }
        match (head.chunked, head.content_length) {
            (true, _) => self.chunked_body(),
            (false, Some(len)) => {
                while self.buffered.len() < len {
                    self.fill_more()?;
                }
                Ok(self.buffered.drain(..len).collect())
            }
            (false, None) => {
                while self.fill()? > 0 {}
                Ok(std::mem::take(&mut self.buffered))
            }
        }
    }

    fn chunked_body(&mut self) -> io::Result<Vec<u8>> {
        let mut framing = Framing::chunked();
        let mut body = Vec::new();
        loop {
            if self.buffered.is_empty() && !framing.is_over() {
                self.fill_more()?;
            }
            match framing.step(&self.buffered) {
                Ok(Step::Skip(len)) if !framing.is_over() => drop(self.buffered.drain(..len)),
                Ok(Step::Skip(len)) => {
                    self.buffered.drain(..len);
                    return Ok(body);
                }
                Ok(Step::Body(len)) => {
                    body.extend(self.buffered.drain(..len));
                    framing.advance(len);
                }
                Ok(Step::End) => return Ok(body),
                Err(_) => return Err(invalid("not a chunked body")),
            }
            if body.len() > BODY_BYTES_MAX {
                return Err(invalid("the response is too large"));
            }
        }
    }

    fn fill_more(&mut self) -> io::Result<()> {
        if self.buffered.len() > BODY_BYTES_MAX {
            return Err(invalid("the response is too large"));
        }
        match self.fill()? {
            0 => Err(cut_off()),
            _ => Ok(()),
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 4_096];
        let len = self.connection.read(&mut piece)?;
        self.buffered.extend_from_slice(&piece[..len]);
        Ok(len)
    }
}

/// The peer broke the protocol.
pub(crate) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended inside a response")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its bytes one at a time.
    struct OneByOne<'b>(&'b [u8]);

    impl Read for OneByOne<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let len = buf.len().min(1);
            self.0.read(&mut buf[..len])
        }
    }

    #[test]
    fn responses_follow_one_another() {
        let input = b"HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok\
            HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n\
            HTTP/1.0 200 OK\r\n\r\nthe rest";
        let check = |mut responses: Responses<_>| {
            let mut next = || {
                responses.next().map(|found: Option<Response>| {
                    found.map(|found| {
                        (found.status, String::from_utf8_lossy(&found.body).into_owned())
                    })
                })
            };
            assert_eq!(next().ok(), Some(Some((202, "ok".to_owned()))));
            assert_eq!(next().ok(), Some(Some((400, "bad".to_owned()))));
            assert_eq!(next().ok(), Some(Some((200, "the rest".to_owned()))));
            assert_eq!(next().ok(), Some(None));
        };
        check(Responses::new(Box::new(OneByOne(input)) as Box<dyn Read>));
        check(Responses::new(Box::new(&input[..]) as Box<dyn Read>));
    }

    #[test]
    fn the_last_response_of_a_connection_says_so() {
        for (head, closes) in [
            ("HTTP/1.1 200 OK\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", true),
            ("HTTP/1.0 200 OK\r\n", true),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n", false),
        ] {
            let input = format!("{head}Content-Length: 0\r\n\r\n");
            let response = Responses::new(input.as_bytes()).next().expect("whole");
            assert_eq!(response.map(|response| response.closes), Some(closes), "{head}");
        }
    }

    #[test]
    fn a_response_cut_off_is_an_error() {
        for input in [&b"HTTP/1.1 200"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"] {
            assert!(Responses::new(input).next().is_err());
        }
    }
}
