//! The head of a request: request line and headers, up to the blank line.
//!
//! `httparse` does the grammar; this module adds what it leaves to its caller: the bounds, strict
//! line ends, `Host`, the form of the target, and framing without a second reading.
//!
//! Invariant: the answer depends on the bytes alone, not on how they were split on their way. A head
//! is [`Partial`](Head::Partial) until either its blank line or its first fault has arrived.

mod target;

use std::borrow::Cow;
use std::mem::MaybeUninit;

use self::target::{is_authority, split_target};
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};

/// What the bytes of a connection, from the start of a request, have come to.
#[derive(Clone, Copy, Debug)]
pub enum Head<'b> {
    /// Nothing wrong so far, but the blank line is still to come.
    Partial,
    /// The whole head.
    Complete(RequestHead<'b>),
}

/// The head of a request, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'b> {
    /// The method as sent, in its own case.
    pub method: &'b str,
    /// The path of the target, not decoded. It begins with `/`, but for the `*` of `OPTIONS *`.
    pub path: &'b str,
    /// What follows the first `?` of the target, not decoded.
    pub query: Option<&'b str>,
    /// The version of the request.
    pub version: Version,
    /// Bytes of the head, its blank line included: where the body begins.
    pub len: usize,
    body_length: BodyLength,
    /// Whole header lines, each `name:value\r\n`, as `httparse` let them through.
    lines: &'b [u8],
}

/// The version of HTTP a request is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: a reply must not be chunked, and ends where the connection does.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// As many bytes as `Content-Length` says, maybe 0.
    Exact(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Why a head is refused. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The peer did not send HTTP/1.1, or sent what it forbids.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// The peer's head is over [`HEAD_BYTES_MAX`] or [`HEADERS_MAX`].
    #[error("request head is over {HEAD_BYTES_MAX} bytes or {HEADERS_MAX} headers")]
    TooLarge,
    /// The peer expects something else than `100-continue`.
    #[error("the only expectation met here is 100-continue")]
    Expectation,
}

impl HeadError {
    /// The status to answer with: 400, 417 or 431.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Expectation => 417,
            Self::TooLarge => 431,
        }
    }
}

/// Reads the head that `bytes` begin with; more bytes may follow it.
///
/// ```
/// use fanfare::http::{Head, parse_head};
///
/// assert!(matches!(parse_head(b"GET /events?topic=a HTTP/1.1\r\nHo"), Ok(Head::Partial)));
///
/// let Head::Complete(head) = parse_head(b"GET /events?topic=a HTTP/1.1\r\nHost: b\r\n\r\n")? else {
///     unreachable!()
/// };
/// assert_eq!((head.method, head.path, head.query), ("GET", "/events", Some("topic=a")));
/// assert_eq!(head.header("host"), Some(&b"b"[..]));
/// # Ok::<(), fanfare::http::HeadError>(())
/// ```
///
/// # Errors
///
/// [`HeadError::Malformed`] as soon as a fault of grammar has arrived, or else with the blank line,
/// as [`HeadError::Expectation`] is. [`HeadError::TooLarge`] as soon as the head cannot end within [`HEAD_BYTES_MAX`] and
/// [`HEADERS_MAX`].
pub fn parse_head(bytes: &[u8]) -> Result<Head<'_>, HeadError> {
    parse_head_after(bytes, 0)
}

/// As [`parse_head`], for a caller that already had [`Head::Partial`] for the first `seen` bytes.
///
/// Only a line end can complete a head, so without a new one there is nothing to read, unless a byte
/// has come that no head may have: that ends it at once. Other faults wait for the end of their line. A
/// head has a bounded number of lines, so this is what makes one that drips in byte by byte cost as much,
/// within that bound, as one that comes whole.
///
/// ```
/// use fanfare::http::{Head, parse_head_after};
///
/// let bytes = b"GET / HTTP/1.0\r\n\r\n";
/// assert!(matches!(parse_head_after(&bytes[..7], 0), Ok(Head::Partial)));
/// assert!(matches!(parse_head_after(&bytes[..12], 7), Ok(Head::Partial)));
/// assert!(matches!(parse_head_after(bytes, 12), Ok(Head::Complete(_))));
/// ```
///
/// # Errors
///
/// As for [`parse_head`].
pub fn parse_head_after(bytes: &[u8], seen: usize) -> Result<Head<'_>, HeadError> {
    if seen > 0 && bytes.len() <= HEAD_BYTES_MAX && !may_decide(bytes, seen) {
        return Ok(Head::Partial);
    }
    let allowed = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    match parse_allowed(allowed)? {
        Head::Partial if bytes.len() > HEAD_BYTES_MAX => Err(HeadError::TooLarge),
        head => Ok(head),
    }
}

/// Whether the bytes after the first `seen` can be more than the middle of a line.
fn may_decide(bytes: &[u8], seen: usize) -> bool {
    let new = bytes.get(seen..).unwrap_or_default();
    // A CR may have waited for the byte after it.
    let from_cr = bytes.get(seen.saturating_sub(1)..).unwrap_or_default();
    let bare_cr = from_cr.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
    bare_cr || new.iter().any(|byte| byte.is_ascii_control() && !matches!(byte, b'\r' | b'\t'))
}

fn parse_allowed(bytes: &[u8]) -> Result<Head<'_>, HeadError> {
    let blank_lines = blank_lines_before(bytes)?;
    // Nothing behind a bare LF is looked at, so a fault before it is found first, whether or not
    // the bytes behind it have come yet.
    let bare_lf = find_bare_lf(bytes);
    let strict = bare_lf.map_or(bytes, |at| &bytes[..=at]);

    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(strict, &mut headers).map_err(head_error)?;
    match status {
        httparse::Status::Complete(len) if bare_lf.is_none_or(|at| len <= at) => {
            complete(&request, &bytes[blank_lines..len], len).map(Head::Complete)
        }
        _ if bare_lf.is_some() => Err(HeadError::Malformed("line ends in a bare line feed")),
        _ => Ok(Head::Partial),
    }
}

/// Bytes of blank lines before the request line. RFC 9112 asks to pass over at least one; more than
/// one is refused, for they would be lines without a bound.
fn blank_lines_before(bytes: &[u8]) -> Result<usize, HeadError> {
    let len = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    if len > 0 && bytes[len..].starts_with(b"\r\n") {
        return Err(HeadError::Malformed("blank lines before the request"));
    }
    Ok(len)
}

/// The first LF without a CR, up to the end of the head: what is behind it may be a body.
fn find_bare_lf(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    while let Some(len) = bytes[line..].iter().position(|byte| *byte == b'\n') {
        let at = line + len;
        if len == 0 || bytes[at - 1] != b'\r' {
            return Some(at);
        }
        if len == 1 && line > 2 {
            return None;
        }
        line = at + 1;
    }
    None
}

fn head_error(fault: httparse::Error) -> HeadError {
    use httparse::Error;
    HeadError::Malformed(match fault {
        Error::TooManyHeaders => return HeadError::TooLarge,
        Error::HeaderName => "invalid header name",
        Error::HeaderValue => "invalid header value",
        Error::NewLine => "invalid line end",
        Error::Version => "not HTTP/1.0 or HTTP/1.1",
        Error::Token | Error::Status => "invalid request line",
    })
}

/// `head` is the head from its method on, `len` what it takes with a blank line before it.
fn complete<'b>(
    request: &httparse::Request<'_, 'b>,
    head: &'b [u8],
    len: usize,
) -> Result<RequestHead<'b>, HeadError> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(HeadError::Malformed("invalid request line"));
    };
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let (path, query) = match (method, target) {
        // It would make a tunnel of the connection.
        ("CONNECT", _) => return Err(HeadError::Malformed("CONNECT is not served")),
        ("OPTIONS", "*") => ("*", None),
        _ => split_target(target)?,
    };
    check_host(request.headers, version)?;
    check_expectation(request.headers)?;
    let body_length = body_length(request.headers, version)?;
    let request_line = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1);
    let lines = &head[request_line..];
    Ok(RequestHead { method, path, query, version, len, body_length, lines })
}

fn check_host(headers: &[httparse::Header<'_>], version: Version) -> Result<(), HeadError> {
    let mut hosts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::Http10 => Ok(()),
        (None, _) => Err(HeadError::Malformed("no Host")),
        (Some(_), Some(_)) => Err(HeadError::Malformed("more than one Host")),
        (Some(host), None) if is_authority(host.value) => Ok(()),
        (Some(_), None) => Err(HeadError::Malformed("invalid Host")),
    }
}

fn check_expectation(headers: &[httparse::Header<'_>]) -> Result<(), HeadError> {
    let mut expected = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("expect"));
    if expected.all(|header| header.value.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    Err(HeadError::Expectation)
}

/// One `Content-Length`, or one `Transfer-Encoding` that is `chunked`, or neither: anything else
/// can be read in two ways, and has been.
fn body_length(
    headers: &[httparse::Header<'_>],
    version: Version,
) -> Result<BodyLength, HeadError> {
    let mut length = BodyLength::None;
    for header in headers {
        let this = if header.name.eq_ignore_ascii_case("content-length") {
            BodyLength::Exact(content_length(header.value)?)
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            check_chunked(header.value, version)?;
            BodyLength::Chunked
        } else {
            continue;
        };
        length = match (length, this) {
            (BodyLength::None, this) => this,
            (BodyLength::Exact(_), BodyLength::Exact(_)) => {
                return Err(HeadError::Malformed("more than one Content-Length"));
            }
            (BodyLength::Chunked, BodyLength::Chunked) => {
                return Err(HeadError::Malformed("more than one Transfer-Encoding"));
            }
            _ => return Err(HeadError::Malformed("both Content-Length and Transfer-Encoding")),
        };
    }
    Ok(length)
}

const INVALID_LENGTH: HeadError = HeadError::Malformed("invalid Content-Length");

fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    // One spelling per number, and no more than other servers' signed lengths hold: `str::parse` alone
    // would take a sign, and some read a leading zero as octal.
    let is_canonical = value == b"0" || !value.starts_with(b"0");
    let digits = (is_canonical && value.iter().all(u8::is_ascii_digit)).then_some(value);
    let text = digits.and_then(|digits| str::from_utf8(digits).ok());
    let length = text.and_then(|text| text.parse::<i64>().ok());
    length.and_then(|length| length.try_into().ok()).ok_or(INVALID_LENGTH)
}

fn check_chunked(value: &[u8], version: Version) -> Result<(), HeadError> {
    if version == Version::Http10 {
        return Err(HeadError::Malformed("Transfer-Encoding in HTTP/1.0"));
    }
    if !value.eq_ignore_ascii_case(b"chunked") {
        return Err(HeadError::Malformed("Transfer-Encoding is not chunked"));
    }
    Ok(())
}

impl<'b> RequestHead<'b> {
    /// The value of the first header called `name`, in any case, without the blanks around it.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers(name).next()
    }

    /// The values of all headers called `name`, in any case, in the order they were sent.
    ///
    /// ```
    /// use fanfare::http::{Head, parse_head};
    ///
    /// let bytes = b"GET / HTTP/1.0\r\nAccept: a\r\nHost: b\r\naccept: c \r\n\r\n";
    /// let Head::Complete(head) = parse_head(bytes)? else { unreachable!() };
    /// assert_eq!(head.headers("ACCEPT").collect::<Vec<_>>(), [b"a", b"c"]);
    /// # Ok::<(), fanfare::http::HeadError>(())
    /// ```
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        self.header_lines()
            .filter(move |(this, _)| this.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The pairs of the query, decoded as a form: `%` escapes and `+`. A head with an escape that is not
    /// whole, or that is not UTF-8, is not taken. Text without an escape is borrowed.
    ///
    /// ```
    /// use fanfare::http::{Head, parse_head};
    ///
    /// let bytes = b"GET /events?topic=a%2Fb&topic=c+d HTTP/1.0\r\n\r\n";
    /// let Head::Complete(head) = parse_head(bytes)? else { unreachable!() };
    /// let topics: Vec<_> = head.query_pairs().map(|(_, topic)| topic).collect();
    /// assert_eq!(topics, ["a/b", "c d"]);
    /// # Ok::<(), fanfare::http::HeadError>(())
    /// ```
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b> {
        form_urlencoded::parse(self.query.unwrap_or_default().as_bytes())
    }

    /// How long the body is that follows the head.
    pub fn body_length(&self) -> BodyLength {
        self.body_length
    }

    /// Names and values of all headers, in the order they were sent, without the blanks around them.
    ///
    /// ```
    /// use fanfare::http::{Head, parse_head};
    ///
    /// let bytes = b"GET / HTTP/1.0\r\nAccept: a\r\nHost:b\r\n\r\n";
    /// let Head::Complete(head) = parse_head(bytes)? else { unreachable!() };
    /// let lines: Vec<_> = head.header_lines().collect();
    /// assert_eq!(lines, [(&b"Accept"[..], &b"a"[..]), (b"Host", b"b")]);
    /// # Ok::<(), fanfare::http::HeadError>(())
    /// ```
    pub fn header_lines(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        // The blank line at the end has no colon, so it falls out with the filter.
        self.lines.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            // Only blanks and the CR can be at the ends: other white space is refused in a value.
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }
}

#[cfg(test)]
mod tests;
