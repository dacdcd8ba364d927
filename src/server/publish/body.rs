//! Reading bodies: with a bound, and giving up on those that take too long.

use std::{str::Utf8Error, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::format::{Format, Whole};
use crate::{
    limits::{self, Limits},
    server::fault::Fault,
};

/// When a message must have arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    /// How long that was.
    within: Duration,
}

impl Deadline {
    /// That of one whose time begins now.
    pub(super) fn of(limits: &Limits) -> Self {
        let within = limits.body_deadline;
        Self { at: Instant::now() + within, within }
    }

    /// Later by what is not its sender's time.
    pub(super) fn put_off(&mut self, time: Duration) {
        self.at += time;
    }
}

/// Refuses a body before it is sent, if its head says that it is too large.
pub(super) fn check_announced(headers: &HeaderMap, limits: &Limits) -> Result<(), Fault> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: u64 = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    let max = limits.body_bytes;
    if length > max as u64 { Err(Fault::too_large("body", max)) } else { Ok(()) }
}

/// The whole body, which must be a form of `key=value&…`.
pub(in crate::server) async fn read_form(
    headers: &HeaderMap,
    body: &mut Body,
    limits: &Limits,
) -> Result<Vec<u8>, Fault> {
    if Format::of(headers)? != Format::Whole(Whole::Form) {
        let text = "send application/x-www-form-urlencoded";
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    check_announced(headers, limits)?;
    read_whole(body, limits).await
}

/// The whole body, of whatever type, which must be UTF-8.
pub(in crate::server) async fn read_text(
    headers: &HeaderMap,
    body: &mut Body,
    limits: &Limits,
) -> Result<String, Fault> {
    check_announced(headers, limits)?;
    String::from_utf8(read_whole(body, limits).await?).map_err(|fault| not_utf8(fault.utf8_error()))
}

pub(super) fn not_utf8(fault: Utf8Error) -> Fault {
    Fault::bad_request(format!("body is not UTF-8 at byte {}", fault.valid_up_to()))
}

/// The whole body, at most [`Limits::body_bytes`].
pub(super) async fn read_whole(body: &mut Body, limits: &Limits) -> Result<Vec<u8>, Fault> {
    let deadline = Deadline::of(limits);
    let mut whole = Vec::new();
    while let Some(chunk) = next_chunk(body, deadline).await? {
        if whole.len() + chunk.len() > limits.body_bytes {
            return Err(Fault::too_large("body", limits.body_bytes));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// The next bytes of a body; none at its end.
pub(super) async fn next_chunk(
    body: &mut Body,
    deadline: Deadline,
) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = tokio::time::timeout_at(deadline.at, body.frame());
        match frame.await.map_err(|_| Fault::stalled(deadline.within))? {
            None => return Ok(None),
            Some(Err(_)) => return Err(Fault::bad_request("the body was cut off or malformed")),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads on for a moment where a body was refused, so that a client in the middle of it gets to see why:
/// closing a socket with unread bytes resets the connection and may overtake the reply.
pub(in crate::server) async fn discard_if_refused(
    refusal: Option<&Fault>,
    headers: &HeaderMap,
    body: &mut Body,
) {
    if let Some(fault) = refusal
        && !fault.is_stalled()
        && !headers.contains_key(header::EXPECT)
    {
        discard(body).await;
    }
}

async fn discard(body: &mut Body) {
    let mut discarded = 0;
    while discarded < limits::BODY_DISCARDED_BYTES_MAX
        && let Ok(Some(Ok(frame))) =
            tokio::time::timeout(limits::BODY_DISCARD_DEADLINE, body.frame()).await
    {
        discarded += frame.data_ref().map_or(1, Bytes::len);
    }
}
