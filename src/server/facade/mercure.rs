//! Mercure's hub: subscriptions and form publishing at one URL ([the protocol]).
//!
//! The parameters are those of the hubs that are in use (`topic`) and of the newest draft (`match`,
//! `matchExact`, `matchURLPattern`). What is not here: private updates, the subscription API, and the
//! `Last-Event-ID` of the answer, in place of which a `fanfare.gap` event says what is lost.
//!
//! [the protocol]: https://mercure.rocks/spec

use std::{borrow::Cow, fmt::Display, str::FromStr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Get, Selected, events};
use crate::{
    limits,
    provider::{SubscribeRequest, TopicError, check_topic},
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

/// `*` is every topic, whatever the matcher.
const EVERY_TOPIC: &str = "*";

fn exact(name: &str) -> Result<Cow<'_, str>, SelectionError> {
    if name == EVERY_TOPIC {
        return Ok("**".into());
    }
    match check_topic(name) {
        Ok(()) => Ok(name.into()),
        // A name that is a pattern here, and selects what it should not.
        Err(TopicError::Pattern) => Err(unsupported(name)),
        Err(fault) => Err(fault.into()),
    }
}

/// A name, or a URI template (RFC 6570) of which the simple expressions alone are understood:
/// `https://example.com/books/{id}` is all that has one segment in place of `{id}`.
fn template(selector: &str) -> Result<Cow<'_, str>, SelectionError> {
    if !selector.contains(['{', '}']) {
        return exact(selector);
    }
    let pattern = by_segment(selector, |segment| {
        let variable = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match variable {
            Some(variable) => is_variable(variable).then_some("*"),
            None => (!segment.contains(['{', '}', '*'])).then_some(segment),
        }
    });
    pattern.map(Cow::Owned).ok_or_else(|| unsupported(selector))
}

/// A URL pattern of which the named groups alone are understood, as whole segments of the path, and a
/// last segment `*`.
fn url_pattern(selector: &str) -> Result<Cow<'_, str>, SelectionError> {
    if selector == EVERY_TOPIC {
        return exact(selector);
    }
    let (origin, path) = selector.split_at(origin_len(selector));
    let (path, end) = path.strip_suffix("/*").map_or((path, ""), |path| (path, "/**"));
    let path = by_segment(path, |segment| match segment.strip_prefix(':') {
        Some(group) => is_variable(group).then_some("*"),
        None => {
            (!segment.contains(':') && !segment.contains(URL_PATTERN_SYNTAX)).then_some(segment)
        }
    });
    path.filter(|_| !origin.contains(URL_PATTERN_SYNTAX))
        .map(|path| format!("{origin}{path}{end}").into())
        .ok_or_else(|| unsupported(selector))
}

const URL_PATTERN_SYNTAX: [char; 9] = ['{', '}', '*', '(', ')', '?', '+', '#', '\\'];

/// Up to the path, with the colons of scheme and port. A relative pattern has no origin.
fn origin_len(url: &str) -> usize {
    let Some(authority) = url.find("://").map(|scheme| scheme + 3) else { return 0 };
    url[authority..].find('/').map_or(url.len(), |path| authority + path)
}

/// The segments as `translate` has them; none if it has none for one of them.
fn by_segment<'s>(
    selector: &'s str,
    translate: impl Fn(&'s str) -> Option<&'s str>,
) -> Option<String> {
    let segments: Option<Vec<&str>> = selector.split('/').map(translate).collect();
    segments.map(|segments| segments.join("/"))
}

fn is_variable(name: &str) -> bool {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || character == '_';
    !name.is_empty() && name.chars().all(is_allowed)
}

fn unsupported(selector: &str) -> SelectionError {
    SelectionError::Selector(selector.to_owned())
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
    let form = publish::read_form(headers, body).await?;
    let update = parse(&form)?;
    let receipts = publish::publish_whole(desk, grant, None, &[update]).await?;
    let id = receipts.first().and_then(|receipt| receipt.id());
    Ok(id.map(|id| id.to_string()).unwrap_or_default().into_response())
}

fn parse(form: &[u8]) -> Result<Addressed<'_>, Fault> {
    let mut topics = Vec::new();
    let mut data = Cow::Borrowed("");
    let mut event = Message::empty();
    for (name, value) in publish::form_pairs(form)? {
        match &*name {
            "topic" => topics.push(allowed(value)?),
            "data" => data = value,
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

const NO_PRIVATE_UPDATES: &str = "private updates are not supported: they would reach everybody";

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
    fn selectors_are_names_and_patterns() {
        for (selector, topic) in [
            ("https://example.com/books/1", "https://example.com/books/1"),
            ("https://example.com/books/{id}", "https://example.com/books/*"),
            ("/a/{b}/c/{d_1}", "/a/*/c/*"),
            ("*", "**"),
            ("what:ever?x=1", "what:ever?x=1"),
        ] {
            assert_eq!(template(selector).unwrap(), topic);
        }
        for (selector, topic) in [
            ("https://example.com:8080/books/:id", "https://example.com:8080/books/*"),
            ("https://example.com/books/:id/pages/*", "https://example.com/books/*/pages/**"),
            ("/books/:id", "/books/*"),
            ("https://example.com/books", "https://example.com/books"),
            ("*", "**"),
        ] {
            assert_eq!(url_pattern(selector).unwrap(), topic);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for selector in [
            "/a/b-{id}",
            "/a/{+path}",
            "/a{/b}",
            "/a/{b}/*",
            "/a/{}",
            "/a/{b",
            "/a/b}",
            "{?q}",
            "a/*",
        ] {
            assert_eq!(template(selector), Err(unsupported(selector)));
        }
        for selector in
            ["https://*.example.com/a", "/a/b-:id", "/a/:id?", "/a/(.*)", "/*/a", "/a/:", "/a{/b}?"]
        {
            assert_eq!(url_pattern(selector), Err(unsupported(selector)));
        }
    }

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
