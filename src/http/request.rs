//! The head of a request: request line and headers, up to the blank line.
//!
//! `httparse` does the grammar; this module adds what it leaves to its caller: the bounds, strict
//! line ends, `Host`, the form of the target, and framing without a second reading.
//!
//! Invariant: the answer depends on the bytes alone, not on how they were split on their way. A head
//! is [`Partial`](Head::Partial) until either its blank line or its first fault has arrived.

use std::borrow::Cow;
use std::mem::MaybeUninit;

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
    /// The path of the target, not decoded. Always begins with `/`.
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
}

impl HeadError {
    /// The status to answer with: 400 or 431.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
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
/// [`HeadError::Malformed`] as soon as a fault of grammar has arrived, or else with the blank line.
/// [`HeadError::TooLarge`] as soon as the head cannot end within [`HEAD_BYTES_MAX`] and
/// [`HEADERS_MAX`].
pub fn parse_head(bytes: &[u8]) -> Result<Head<'_>, HeadError> {
    parse_head_after(bytes, 0)
}

/// As [`parse_head`], for a caller that already had [`Head::Partial`] for the first `seen` bytes.
///
/// Only a line end can complete a head, so without a new one there is nothing to read, and a fault
/// waits for the end of its line. A head has a bounded number of lines, so this is what makes one
/// that drips in byte by byte cost as much, within that bound, as one that comes whole.
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
    let new = bytes.get(seen..).unwrap_or_default();
    if seen > 0 && bytes.len() <= HEAD_BYTES_MAX && !new.contains(&b'\n') {
        return Ok(Head::Partial);
    }
    let allowed = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    match parse_allowed(allowed)? {
        Head::Partial if bytes.len() > HEAD_BYTES_MAX => Err(HeadError::TooLarge),
        head => Ok(head),
    }
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
    let (path, query) = split_target(target)?;
    check_host(request.headers, version)?;
    let body_length = body_length(request.headers, version)?;
    let request_line = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1);
    let lines = &head[request_line..];
    Ok(RequestHead { method, path, query, version, len, body_length, lines })
}

/// Path and query of a target in origin form, or in absolute form, whose authority is dropped.
fn split_target(target: &str) -> Result<(&str, Option<&str>), HeadError> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HeadError::Malformed("invalid byte in the request target"));
    }
    let from_path = if target.starts_with('/') { target } else { strip_authority(target)? };
    let (path, query) = match from_path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (from_path, None),
    };
    Ok((if path.is_empty() { "/" } else { path }, query))
}

fn strip_authority(target: &str) -> Result<&str, HeadError> {
    const NEITHER: HeadError =
        HeadError::Malformed("request target is neither a path nor an http URI");
    let (scheme, rest) = target.split_once("://").ok_or(NEITHER)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(NEITHER);
    }
    let (authority, from_path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || !authority.bytes().all(is_host_byte) {
        return Err(HeadError::Malformed("invalid host in the request target"));
    }
    Ok(from_path)
}

fn check_host(headers: &[httparse::Header<'_>], version: Version) -> Result<(), HeadError> {
    let mut hosts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::Http10 => Ok(()),
        (None, _) => Err(HeadError::Malformed("no Host")),
        (Some(_), Some(_)) => Err(HeadError::Malformed("more than one Host")),
        (Some(host), None) if host.value.iter().copied().all(is_host_byte) => Ok(()),
        (Some(_), None) => Err(HeadError::Malformed("invalid Host")),
    }
}

/// Whether a `uri-host [ ":" port ]` of RFC 3986 may have `byte`. Userinfo may not be in one.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
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

fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    // `u64::from_str` alone would take a sign.
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let text = digits.and_then(|digits| str::from_utf8(digits).ok());
    text.and_then(|text| text.parse().ok()).ok_or(HeadError::Malformed("invalid Content-Length"))
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

    /// The pairs of the query, decoded as a form: `%` escapes and `+`. What is not UTF-8 after that
    /// becomes U+FFFD. Text without an escape is borrowed.
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
