//! Mercure's hub: subscriptions and form publishing at one URL ([the protocol]).
//!
//! The parameters are those of the hubs that are in use (`topic`) and of the newest draft (`match`,
//! `matchExact`, `matchURLPattern`). What is not here: the subscription API, and the
//! `Last-Event-ID` of the answer, in place of which a `fanfare.gap` event says what is lost.
//!
//! Tokens are the server's business. Where nobody subscribes without one that allows it, every update is
//! as a private one is to Mercure, and where anybody may, a private one is refused.
//!
//! [the protocol]: https://mercure.rocks/spec

#[cfg(feature = "jwt")]
mod claim;
mod selectors;

use std::{borrow::Cow, fmt::Display, str::FromStr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};

#[cfg(feature = "jwt")]
pub(in crate::server) use self::claim::permissions;
use self::selectors::{exact, origin_len, template, url_pattern};
use super::{Get, Selected, events};
use crate::{
    limits,
    provider::SubscribeRequest,
    server::{
        access::{Asked, PublishGrant},
        fault::Fault,
        publish::{self, Addressed},
        routes::Desk,
        selection::{self, SelectionError},
    },
    sse::Message,
};

/// Where everything is, by the protocol.
pub(super) const PATH: &str = "/.well-known/mercure";

pub(super) fn routes() -> Router<Desk> {
    Router::new().route(PATH, get(events).post(publish))
}

/// What is subscribed to. The header wins over the parameter, and other parameters are passed over.
pub(super) fn subscription(get: &Get<'_>) -> Selected {
    let mut topics = Vec::new();
    let mut last_event_id = None;
    for (name, value) in selection::pairs(get.query) {
        let topic = match &*name {
            "topic" => template(&value)?,
            "match" | "matchExact" => exact(&value)?,
            "matchURLPattern" => url_pattern(&value)?,
            "lastEventID" | "Last-Event-ID" => {
                selection::set_once(&mut last_event_id, value.into_owned())?;
                continue;
            }
            // A misspelt one would be passed over silently.
            _ if is_reserved(&name) => {
                return Err(SelectionError::UnknownParameter(name.into_owned()));
            }
            _ => continue,
        };
        selection::add_topic(&mut topics, &topic, limits::TOPICS_PER_SUBSCRIPTION_MAX)?;
    }
    if topics.is_empty() {
        return Err(SelectionError::NoTopic);
    }
    let by_header = selection::last_event_id(get.last_event_ids.iter().copied())?;
    Ok(SubscribeRequest { topics, last_event_id: by_header.or(last_event_id), lag: None })
}

fn is_reserved(parameter: &str) -> bool {
    parameter.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("match"))
}

/// The answer is the id, as text.
async fn publish(State(desk): State<Desk>, request: Request) -> Result<Response, Fault> {
    let (head, mut body) = request.into_parts();
    let published = match desk.gates.current().publish(&Asked::of_parts(&head)) {
        Ok(grant) => publish_update(&desk, &grant, &head.headers, &mut body).await,
        Err(fault) => Err(fault),
    };
    publish::discard_if_refused(published.as_ref().err(), &head.headers, &mut body).await;
    published
}

async fn publish_update(
    desk: &Desk,
    grant: &PublishGrant,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Response, Fault> {
    let form = publish::read_form(headers, body, &desk.tuning.get().limits).await?;
    let update = parse(&form, desk.gates.current().lets_nobody_listen_in())?;
    let receipts = publish::publish_whole(desk, grant, None, &[update]).await?;
    let id = receipts.first().and_then(|receipt| receipt.id());
    Ok(id.map(|id| id.to_string()).unwrap_or_default().into_response())
}

fn parse(form: &[u8], takes_private: bool) -> Result<Addressed<'_>, Fault> {
    let mut topics = Vec::new();
    let mut data = Cow::Borrowed("");
    let mut event = Message::empty();
    for (name, value) in publish::form_pairs(form)? {
        match &*name {
            "topic" => topics.push(allowed(value)?),
            "data" => data = value,
            "private" if takes_private => {}
            "private" => return Err(Fault::new(StatusCode::NOT_IMPLEMENTED, NO_PRIVATE_UPDATES)),
            // As where it is missing.
            _ if value.is_empty() => {}
            "id" => event = event.id(parsed(&name, &value)?),
            "type" => event = event.event(parsed(&name, &value)?),
            "retry" => event = event.retry(Duration::from_millis(parsed(&name, &value)?)),
            _ => {}
        }
    }
    if topics.is_empty() {
        return Err(Fault::bad_request("missing field \"topic\""));
    }
    Ok((event.data(&data), topics))
}

const NO_PRIVATE_UPDATES: &str =
    "private updates would reach everybody here: set subscribe to closed";

/// The hub's own URLs are nobody else's topics.
fn allowed(topic: Cow<'_, str>) -> Result<Cow<'_, str>, Fault> {
    let path = &topic[origin_len(&topic)..];
    let is_reserved = path
        .strip_prefix(PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    if is_reserved {
        let text = format!("topics at {PATH} are reserved");
        return Err(Fault::new(StatusCode::FORBIDDEN, text));
    }
    selection::check_named(&topic)?;
    Ok(topic)
}

fn parsed<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, Fault> {
    value.parse().map_err(|fault| Fault::bad_request(format!("field {name:?}: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_urls_of_the_hub_are_reserved() {
        for topic in [PATH, "https://example.com/.well-known/mercure/subscriptions/x"] {
            assert!(allowed(topic.into()).is_err(), "{topic}");
        }
        for topic in ["/.well-known/mercury", "https://example.com/a?/.well-known/mercure"] {
            assert!(allowed(topic.into()).is_ok(), "{topic}");
        }
    }
}
