//! Why a subscription does not begin, as its client sees it, on a core or elsewhere.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{super::fault::Fault, session::Reject};
use crate::http as own_http;

/// Why a subscription is refused.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::server) enum Refusal {
    /// In the server's words.
    Fault(Fault),
    /// In the operator's.
    Rejected(Box<Reject>),
}

impl Refusal {
    /// The whole reply, after which the connection is closed.
    pub(in crate::server) fn into_bytes(self, headers: &HeaderMap) -> Vec<u8> {
        let mut lines = Vec::new();
        write_headers(&mut lines, headers);
        match self {
            Self::Fault(fault) => {
                write_headers(
                    &mut lines,
                    fault.headers().iter().map(|(name, value)| (name, value)),
                );
                own_http::error_with(fault.status().as_u16(), &lines, fault.text())
            }
            Self::Rejected(reject) => {
                let reject = reject.with_defaults();
                write_headers(&mut lines, reject.headers.iter().map(|(name, value)| (name, value)));
                own_http::reply(reject.status.as_u16(), &lines, &reject.body)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Fault(fault) => fault.into_response(),
            Self::Rejected(reject) => {
                let reject = reject.with_defaults();
                let mut response = Response::new(Body::from(reject.body));
                *response.status_mut() = reject.status;
                for (name, value) in reject.headers {
                    response.headers_mut().append(name, value);
                }
                response
            }
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Reject {
    fn with_defaults(mut self) -> Self {
        // What is between is not the end of a response, and these have no body.
        if self.status.is_informational() {
            self.status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        if matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            self.body.clear();
        }
        for (name, value) in [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            if self.headers.iter().all(|(given, _)| *given != name) {
                self.headers.push((name, HeaderValue::from_static(value)));
            }
        }
        self
    }
}

/// Adds headers as they go out.
pub(in crate::server) fn write_headers<'h>(
    lines: &mut Vec<u8>,
    headers: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
) {
    for (name, value) in headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
}
