//! A refusal over hyper: a status and a [`Problem`] that names the fault.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::selection::SelectionError;
use crate::{
    http::{HeadError, PROBLEM_JSON, Problem},
    provider::{Closed, PublishError, SubscribeError},
};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    status: StatusCode,
    text: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    progress: Option<Progress>,
    afterwards: Afterwards,
}

/// How far a body of several messages came before its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Progress {
    /// Line of the fault, from 1.
    pub(super) line: u64,
    /// Messages published before it.
    pub(super) published: u64,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    Keep,
    Close,
}

#[derive(Serialize)]
struct Body<'f> {
    #[serde(flatten)]
    problem: Problem<'f>,
    #[serde(flatten)]
    progress: Option<Progress>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            text: text.into(),
            headers: Vec::new(),
            progress: None,
            afterwards: Afterwards::Keep,
        }
    }

    pub(super) fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such path")
    }

    /// A body, or a line of one, over so many bytes.
    pub(super) fn too_large(what: &str, bytes_max: usize) -> Self {
        let text = format!("{what} is larger than {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, text).closing()
    }

    /// A publish that does not say how long its body is.
    pub(super) fn without_length() -> Self {
        let text = "a POST has a Content-Length, or is chunked";
        Self::new(StatusCode::LENGTH_REQUIRED, text).closing()
    }

    /// A message that did not arrive within this time.
    pub(super) fn stalled(within: Duration) -> Self {
        let text = format!("the message did not arrive within {} seconds", within.as_secs_f64());
        Self::new(StatusCode::REQUEST_TIMEOUT, text).closing()
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    pub(super) fn at(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The fault is in a message of a batch, by number from 1.
    pub(super) fn of_message(mut self, number: usize) -> Self {
        self.text = format!("message {number}: {}", self.text).into();
        self
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.status == StatusCode::REQUEST_TIMEOUT
    }

    /// The connection ends with it.
    pub(super) fn closing(mut self) -> Self {
        self.afterwards = Afterwards::Close;
        self
    }
}

impl From<HeadError> for Fault {
    fn from(fault: HeadError) -> Self {
        let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, fault.to_string()).closing()
    }
}

impl From<SelectionError> for Fault {
    fn from(fault: SelectionError) -> Self {
        Self::bad_request(fault.to_string())
    }
}

impl From<SubscribeError> for Fault {
    fn from(fault: SubscribeError) -> Self {
        match fault {
            SubscribeError::Closed(_) => closed(),
            SubscribeError::Failed(_) => failed(fault.to_string()),
            _ => Self::bad_request(fault.to_string()),
        }
    }
}

impl From<Closed> for Fault {
    fn from(_: Closed) -> Self {
        closed()
    }
}

impl From<PublishError> for Fault {
    fn from(fault: PublishError) -> Self {
        match fault {
            PublishError::Closed(_) => closed(),
            PublishError::Failed(_) => failed(fault.to_string()),
            PublishError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, fault.to_string())
            }
            PublishError::IdempotencyKeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, fault.to_string())
            }
            PublishError::NoIdempotencyKeys | PublishError::NoBatches => {
                Self::new(StatusCode::NOT_IMPLEMENTED, fault.to_string())
            }
            _ => Self::bad_request(fault.to_string()),
        }
    }
}

fn failed(text: String) -> Fault {
    Fault::new(StatusCode::BAD_GATEWAY, text)
}

fn closed() -> Fault {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down").closing()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let problem = Problem::new(self.status.as_u16(), &self.text);
        let body = Json(Body { problem, progress: self.progress });
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.afterwards == Afterwards::Close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
