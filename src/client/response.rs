//! Which responses may be read as an event stream.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use reqwest::Response;

use super::{
    builder::Settings,
    error::{ErrorKind, Failure},
};

/// Most characters of a peer's media type that an error repeats.
const SHOWN_MAX: usize = 80;

/// What a [validator](super::ClientBuilder::validator) sees of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'r> {
    status: StatusCode,
    headers: &'r HeaderMap,
    url: &'r str,
}

impl<'r> ResponseHead<'r> {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    /// The URL that answered: the last one, if there were redirects.
    pub fn url(&self) -> &'r str {
        self.url
    }

    /// Whether the media type is `text/event-stream`, in any case and with any parameters.
    pub fn is_event_stream(&self) -> bool {
        self.media_type().is_some_and(|name| name.eq_ignore_ascii_case(b"text/event-stream"))
    }

    /// The first token of the first `Content-Type`.
    fn media_type(&self) -> Option<&'r [u8]> {
        let value = self.headers.get(header::CONTENT_TYPE)?.as_bytes();
        let mut tokens = value.split(|byte| matches!(byte, b' ' | b'\t' | b';' | b','));
        tokens.find(|token| !token.is_empty())
    }
}

pub(super) fn check(settings: &Settings, response: &Response) -> Result<(), Failure> {
    let status = response.status();
    if status.is_redirection() {
        let what = format!("response status is {}, a redirect not followed", name(status));
        return Err(Failure::new(ErrorKind::Redirect, what).with_status(status));
    }
    if settings.options.retry_statuses.contains(&status) {
        return Err(wrong_status(status).retryable(retry_after(response.headers())));
    }
    let (headers, url) = (response.headers(), response.url().as_str());
    let head = ResponseHead { status, headers, url };
    match &settings.options.validator {
        Some(validator) => validator(&head).map_err(|why| {
            let what = format!("the response was refused: {why}");
            Failure::new(ErrorKind::Rejected, what).with_status(status)
        }),
        None => check_standard(&head),
    }
}

/// A status, with its usual name if it has one.
pub(super) fn name(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn check_standard(head: &ResponseHead<'_>) -> Result<(), Failure> {
    if head.status != StatusCode::OK {
        return Err(wrong_status(head.status));
    }
    if head.is_event_stream() {
        return Ok(());
    }
    let what = match head.media_type() {
        Some(other) => {
            let text = String::from_utf8_lossy(other);
            let shown: String = text.chars().take(SHOWN_MAX).collect();
            format!("response is {shown:?}, not text/event-stream")
        }
        None => "response names no media type, and so not text/event-stream".to_owned(),
    };
    Err(Failure::new(ErrorKind::ContentType, what).with_status(head.status))
}

fn wrong_status(status: StatusCode) -> Failure {
    let what = format!("response status is {}, not 200", name(status));
    Failure::new(ErrorKind::Status, what).with_status(status)
}

/// `Retry-After` in seconds; a date is not understood.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    value.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn checked(status: u16, content_type: Option<&str>) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        check_standard(&ResponseHead { status, headers: &headers, url: "http://host/" })
    }

    #[test]
    fn an_event_stream_is_known_by_its_first_token() {
        for name in [
            "text/event-stream",
            "TEXT/Event-Stream; Charset=UTF-8",
            " ;text/event-stream",
            "text/event-stream, text/html",
            "text/event-stream charset=utf-8",
        ] {
            assert!(checked(200, Some(name)).is_ok(), "{name}");
        }
        for name in ["", "text/event-streamx", "text/html; text/event-stream", "event-stream"] {
            let failure = checked(200, Some(name)).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::ContentType, "{name}");
        }
        assert_eq!(checked(200, None).unwrap_err().kind(), ErrorKind::ContentType);
    }

    #[test]
    fn only_200_is_read() {
        for status in [201, 204, 205, 299, 404, 503] {
            let failure = checked(status, Some("text/event-stream")).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::Status, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds() {
        let parsed = |text| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers)
        };
        assert_eq!(parsed(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(parsed("18446744073709551615"), Some(Duration::from_secs(u64::MAX)));
        for text in ["", "-1", "1.5", "18446744073709551616", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
