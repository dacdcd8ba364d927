//! Reading bodies: with a bound, and giving up on those that stand still.

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::{limits, server::fault::Fault};

/// Refuses a body before it is sent, if its head says that it is too large.
pub(super) fn check_announced(headers: &HeaderMap) -> Result<(), Fault> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: u64 = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > limits::BODY_BYTES_MAX as u64 { Err(Fault::too_large("body")) } else { Ok(()) }
}

/// The whole body, at most [`limits::BODY_BYTES_MAX`].
pub(in crate::server) async fn read_whole(body: &mut Body) -> Result<Vec<u8>, Fault> {
    let mut whole = Vec::new();
    while let Some(chunk) = next_chunk(body).await? {
        if whole.len() + chunk.len() > limits::BODY_BYTES_MAX {
            return Err(Fault::too_large("body"));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// The next bytes of a body; none at its end.
pub(super) async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = tokio::time::timeout(limits::BODY_DEADLINE, body.frame());
        match frame.await.map_err(|_| Fault::stalled())? {
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

/// Reads on for a moment, so that a client in the middle of its body gets to see the refusal:
/// closing a socket with unread bytes resets the connection and may overtake the reply.
pub(in crate::server) async fn discard(body: &mut Body) {
    let mut discarded = 0;
    while discarded < limits::BODY_DISCARDED_BYTES_MAX
        && let Ok(Some(Ok(frame))) =
            tokio::time::timeout(limits::BODY_DISCARD_DEADLINE, body.frame()).await
    {
        discarded += frame.data_ref().map_or(1, Bytes::len);
    }
}
