//! `POST /publish`: what a body is decides which module reads it.
//!
//! A body of messages that belong together (`data`, `json`, `form`) is read whole and published at
//! once; a stream of `lines` is published as it arrives. What is published waits for the cores
//! first, so a publisher over HTTP is slowed down instead of outrunning its subscribers.

mod body;
mod data;
mod form;
mod format;
mod item;
mod json;
mod key;
mod lines;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;

pub(super) use self::{
    body::{discard_if_refused, read_form, read_text},
    form::pairs as form_pairs,
    item::Addressed,
};
use self::{
    format::{Format, Whole},
    item::Content,
    key::IDEMPOTENCY_REPLAYED,
};
use super::{
    access::{Asked, PublishGrant},
    fault::Fault,
    routes::Desk,
    selection,
};
use crate::{limits::Limits, provider::Receipt, sse::EventId};

/// What a request's head says of its body.
struct Head {
    topics: Vec<String>,
    format: Format,
    idempotency_key: Option<String>,
}

/// The receipt of one message.
#[derive(Serialize)]
struct Accepted {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    subscribers: u32,
}

/// The handler.
pub(super) async fn publish(State(desk): State<Desk>, request: Request) -> Result<Response, Fault> {
    let (head, mut body) = request.into_parts();
    let accepted = match desk.gates.current().publish(&Asked::of_parts(&head)) {
        Ok(grant) => publish_body(&desk, &grant, &head, &mut body).await,
        Err(fault) => Err(fault),
    };
    discard_if_refused(accepted.as_ref().err(), &head.headers, &mut body).await;
    accepted
}

impl Head {
    fn read(headers: &HeaderMap, query: Option<&str>, limits: &Limits) -> Result<Self, Fault> {
        let topics = selection::publish_topics(query)?;
        let format = Format::of(headers)?;
        let idempotency_key = key::of(headers)?;
        if format != Format::Lines {
            body::check_announced(headers, limits)?;
        } else if idempotency_key.is_some() {
            return Err(Fault::bad_request(
                "an idempotency key is of a whole body: a stream of lines is published as it \
                 arrives; send an array as application/json",
            ));
        }
        Ok(Self { topics, format, idempotency_key })
    }
}

async fn publish_body(
    desk: &Desk,
    grant: &PublishGrant,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response, Fault> {
    let limits = desk.tuning.get().limits;
    let head = Head::read(&parts.headers, parts.uri.query(), &limits)?;
    let Format::Whole(whole) = head.format else {
        return lines::publish(desk, grant, &head.topics, body).await;
    };
    let body = body::read_whole(body, &limits).await?;
    let key = head.idempotency_key.as_deref();
    match parse(whole, &parts.headers, &body, &head.topics).await? {
        Content::One(one) => {
            let receipts = publish_whole(desk, grant, key, &[one]).await?;
            Ok(answer(&receipts, Json(receipts.first().map(Accepted::of))))
        }
        Content::Batch(batch) => {
            let receipts = publish_whole(desk, grant, key, &batch).await?;
            let accepted: Vec<_> = receipts.iter().map(Accepted::of).collect();
            Ok(answer(&receipts, Json(accepted)))
        }
    }
}

async fn parse<'b>(
    whole: Whole,
    headers: &HeaderMap,
    body: &'b [u8],
    topics: &'b [String],
) -> Result<Content<'b>, Fault> {
    match whole {
        Whole::Data => data::parse(body, topics).map(Content::One),
        Whole::Json => json::parse(body, topics),
        Whole::Form => form::parse(body, topics).map(Content::One),
        Whole::Multipart => form::parse_parts(headers, body, topics).await.map(Content::One),
    }
}

/// Publishes messages that may be published with nothing in between, all or none; under a key only once.
pub(super) async fn publish_whole(
    desk: &Desk,
    grant: &PublishGrant,
    key: Option<&str>,
    batch: &[Addressed<'_>],
) -> Result<Vec<Receipt>, Fault> {
    desk.publisher.ready().await;
    desk.check_open()?;
    grant.check_batch(batch)?;
    let receipts = match key {
        Some(key) => desk.publisher.publish_once(key, batch)?,
        None => desk.publisher.publish_batch(batch)?,
    };
    let new = receipts.iter().filter(|receipt| !receipt.is_repeated()).count();
    desk.counters.count_published(new as u64);
    Ok(receipts)
}

fn answer(receipts: &[Receipt], accepted: impl IntoResponse) -> Response {
    let mut response = (StatusCode::ACCEPTED, accepted).into_response();
    if receipts.first().is_some_and(Receipt::is_repeated) {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

impl Accepted {
    fn of(receipt: &Receipt) -> Self {
        Self { id: receipt.id(), subscribers: receipt.subscribers() }
    }
}

#[cfg(test)]
mod tests;
