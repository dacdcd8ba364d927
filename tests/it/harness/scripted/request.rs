//! A request as it came.

use std::io;
use std::time::Instant;

use super::Connection;

/// Most bytes of a request's head and body that are read, far more than any test sends.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Most headers of a request.
const HEADERS_MAX: usize = 64;

/// A request with the time at which it had come.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    /// When this side ended the connection, if it did.
    pub(crate) ended: Option<Instant>,
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads one, or `None` if the peer leaves before it is whole.
    pub(super) fn read(connection: &mut Connection<'_>) -> io::Result<Option<Self>> {
        let mut received = Vec::new();
        let mut block = [0; 4096];
        loop {
            if let Some(request) = Self::parse(&received)? {
                return Ok(Some(request));
            }
            let len = connection.read(&mut block)?;
            if len == 0 || received.len() > REQUEST_BYTES_MAX {
                return Ok(None);
            }
            received.extend_from_slice(&block[..len]);
        }
    }

    fn parse(received: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(len) = head.parse(received).map_err(io::Error::other)?
        else {
            return Ok(None);
        };
        let owned = |header: &httparse::Header<'_>| (header.name.to_owned(), header.value.to_vec());
        let mut request = Self {
            at: Instant::now(),
            ended: None,
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
            headers: head.headers.iter().map(owned).collect(),
            body: Vec::new(),
        };
        let body_len = request.header("Content-Length").map_or(Ok(0), |value| value.parse());
        let body_len: usize = body_len.map_err(io::Error::other)?;
        let Some(body) = received[len..].get(..body_len) else { return Ok(None) };
        request.body = body.to_vec();
        Ok(Some(request))
    }

    /// The header's values, in order; no two headers of a name are made one.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The header's only value; a repeated one is shown as such.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values = self.headers(name);
        if values.len() > 1 { Some(format!("{values:?}")) } else { values.into_iter().next() }
    }

    pub(super) fn is_preflight(&self) -> bool {
        self.method == "OPTIONS" && self.header("Access-Control-Request-Method").is_some()
    }

    /// The answer that allows what a preflight asks for.
    pub(super) fn preflight_granted(&self) -> String {
        let asked = |name| self.header(name).unwrap_or_default();
        format!(
            "HTTP/1.1 204 Scripted\r\nConnection: close\r\n\
             Access-Control-Allow-Origin: {}\r\nAccess-Control-Allow-Credentials: true\r\n\
             Access-Control-Allow-Methods: {}\r\nAccess-Control-Allow-Headers: {}\r\n\r\n",
            asked("Origin"),
            asked("Access-Control-Request-Method"),
            asked("Access-Control-Request-Headers"),
        )
    }
}
