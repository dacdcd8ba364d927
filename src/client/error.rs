//! Why a connection failed, in words that name the request.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use http::{Method, StatusCode};

type Cause = Box<dyn Error + Send + Sync>;

/// Why a [`Connection`](super::Connection) failed: which request, what, and, as its
/// [source](Error::source), the cause.
///
/// Its text is of one level, as in `GET http://host/events: response status is 404 Not Found, not
/// 200`. User information and fragment are removed from the URL; its query is not.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionError {
    target: Target,
    failure: Box<Failure>,
}

impl ConnectionError {
    pub(super) fn new(target: Target, failure: Failure) -> Self {
        Self { target, failure: Box::new(failure) }
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.failure.kind
    }

    /// The URL asked for, before any redirect, without user information and fragment.
    pub fn url(&self) -> &str {
        &self.target.url
    }

    /// Whether the connection ends without a retry, however many of them are left.
    pub fn is_permanent(&self) -> bool {
        self.failure.is_permanent()
    }

    /// The response's status, if there was a response and it was refused.
    pub fn status(&self) -> Option<StatusCode> {
        self.failure.status
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.failure.retry_after
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.target.method, self.target.url, self.failure.what)
    }
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure.source.as_deref().map(|cause| cause as _)
    }
}

/// The sort of a [`ConnectionError`]. Unless it says otherwise, it is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be sent as it is: the caller's mistake. Permanent.
    Request,
    /// There is no connection, or it was lost before a response head was complete.
    Connect,
    /// No response head was complete within the response timeout.
    ResponseTimeout,
    /// What came is not an HTTP response, or its head is too large. Permanent.
    ResponseHead,
    /// A redirect that leads nowhere, or one too many. Permanent.
    Redirect,
    /// The response's status is not 200. Permanent, unless it is one of the
    /// [retryable](super::ClientBuilder::retry_statuses).
    Status,
    /// The response is not an event stream. Permanent.
    ContentType,
    /// The [validator](super::ClientBuilder::validator) refused the response. Permanent.
    Rejected,
    /// The stream broke off.
    Read,
    /// Nothing arrived for as long as the read-idle timeout.
    ReadIdle,
    /// The server ended the stream in order.
    Ended,
    /// The stream is larger than a limit, or ended where it must not.
    Parse,
}

/// The request, as far as an error names it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) method: Method,
    pub(super) url: Arc<str>,
}

/// What failed, before it is known for which request.
#[derive(Debug)]
pub(super) struct Failure {
    kind: ErrorKind,
    what: Cow<'static, str>,
    source: Option<Cause>,
    status: Option<StatusCode>,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        let (what, retryable) = (what.into(), !is_permanent(kind));
        Self { kind, what, source: None, status: None, retryable, retry_after: None }
    }

    pub(super) fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.source = Some(cause.into());
        self
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// To be tried again although its kind is not.
    pub(super) fn retryable(mut self, retry_after: Option<Duration>) -> Self {
        self.retryable = true;
        self.retry_after = retry_after;
        self
    }

    /// A request that got no response.
    pub(super) fn of_request(error: reqwest::Error) -> Self {
        let (kind, what) = if is_of_head(&error) {
            (ErrorKind::ResponseHead, "the response head is not HTTP, or too large")
        } else if error.is_builder() || is_of_user(&error) {
            (ErrorKind::Request, "the request cannot be sent")
        } else if error.is_redirect() {
            (ErrorKind::Redirect, "a redirect cannot be followed")
        } else if error.is_connect() {
            (ErrorKind::Connect, "cannot connect")
        } else if error.is_timeout() {
            (ErrorKind::ResponseTimeout, "no response in time")
        } else {
            (ErrorKind::Connect, "the connection was lost before the response")
        };
        // Its URL may hold user information, and is named already.
        Self::new(kind, what).caused_by(error.without_url())
    }

    #[cfg(test)]
    pub(super) fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn is_permanent(&self) -> bool {
        !self.retryable
    }
}

fn is_permanent(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Request
        | ErrorKind::ResponseHead
        | ErrorKind::Redirect
        | ErrorKind::Status
        | ErrorKind::ContentType
        | ErrorKind::Rejected => true,
        ErrorKind::Connect
        | ErrorKind::ResponseTimeout
        | ErrorKind::Read
        | ErrorKind::ReadIdle
        | ErrorKind::Ended
        | ErrorKind::Parse => false,
    }
}

fn is_of_head(error: &reqwest::Error) -> bool {
    hyper_fault(error).is_some_and(hyper::Error::is_parse)
}

fn is_of_user(error: &reqwest::Error) -> bool {
    hyper_fault(error).is_some_and(hyper::Error::is_user)
}

fn hyper_fault(error: &reqwest::Error) -> Option<&hyper::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref() {
            return Some(fault);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(failure: Failure) -> ConnectionError {
        let target = Target { method: Method::GET, url: "http://host/events".into() };
        ConnectionError::new(target, failure)
    }

    #[test]
    fn names_the_request_and_what_failed() {
        let cause = std::io::Error::other("reset by peer");
        let error = error(Failure::new(ErrorKind::Read, "the stream broke off").caused_by(cause));
        assert_eq!(error.to_string(), "GET http://host/events: the stream broke off");
        assert_eq!(error.source().unwrap().to_string(), "reset by peer");
        assert_eq!(error.url(), "http://host/events");
        assert_eq!((error.kind(), error.status()), (ErrorKind::Read, None));
    }

    #[test]
    fn a_retryable_status_is_not_permanent() {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let failure = || Failure::new(ErrorKind::Status, "x").with_status(status);
        assert!(error(failure()).is_permanent());
        let seven = Some(Duration::from_secs(7));
        let retryable = error(failure().retryable(seven));
        assert!(!retryable.is_permanent());
        assert_eq!((retryable.retry_after(), retryable.status()), (seven, Some(status)));
    }

    #[test]
    fn only_what_cannot_get_better_is_permanent() {
        for kind in [ErrorKind::Request, ErrorKind::ResponseHead, ErrorKind::Redirect] {
            assert!(error(Failure::new(kind, "x")).is_permanent(), "{kind:?}");
        }
        for kind in [ErrorKind::ContentType, ErrorKind::Rejected, ErrorKind::Status] {
            assert!(error(Failure::new(kind, "x")).is_permanent(), "{kind:?}");
        }
        for kind in [ErrorKind::Connect, ErrorKind::ResponseTimeout, ErrorKind::Read] {
            assert!(!error(Failure::new(kind, "x")).is_permanent(), "{kind:?}");
        }
        for kind in [ErrorKind::ReadIdle, ErrorKind::Ended, ErrorKind::Parse] {
            assert!(!error(Failure::new(kind, "x")).is_permanent(), "{kind:?}");
        }
    }
}
