//! What a request selects: topics by query, and the last event its client saw.
//!
//! The cores and the control runtime read requests through this one module, so a subscription means
//! the same wherever it is asked for.

use std::borrow::Cow;

use crate::{
    limits::{self, Limits},
    provider::{
        DEFAULT_TOPIC, LagPolicy, SubscribeRequest, TopicError, check_topic, check_topic_or_pattern,
    },
};

/// Why a request's selection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SelectionError {
    /// `topic=` without a name. The default topic is reached by naming none.
    #[error("topic is empty")]
    EmptyTopic,
    #[error("{len} topics are more than {max}")]
    TooManyTopics { len: usize, max: usize },
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("last event id is given twice")]
    LastEventIdTwice,
    #[error("lag is {0:?}: it is disconnect, skip or conflate")]
    UnknownLag(String),
    #[error("unknown parameter {0:?}")]
    UnknownParameter(String),
    #[error("a subscription has no body")]
    Body,
    #[error("missing parameter \"topic\"")]
    NoTopic,
    #[error(
        "topic selector {0:?} is not supported: it is a name, \"*\", or has variables that are whole \
         segments"
    )]
    Selector(String),
    #[error("no channel is named: give it in the path or as id")]
    NoChannel,
    #[error("channels are read by EventSource: send Accept: text/event-stream")]
    NotEventStream,
}

const TOPIC: &str = "topic";
const LAST_EVENT_ID: &str = "last-event-id";
const LAG: &str = "lag";

/// What a subscription asks for, of topics and patterns, from its query and its `Last-Event-ID` headers.
///
/// No topic is the default one. The header wins over the parameter: a browser that reconnects sends it to the address that it was
/// given once. Parameters of other names are passed over, because clients add their own.
pub(super) fn subscription<'p, 'h>(
    pairs: impl Iterator<Item = (Cow<'p, str>, Cow<'p, str>)>,
    headers: impl Iterator<Item = &'h [u8]>,
) -> Result<SubscribeRequest, SelectionError> {
    let mut topics = Vec::new();
    let (mut by_query, mut lag) = (None, None);
    for (name, value) in pairs {
        match &*name {
            TOPIC => {
                check_topic_or_pattern(&value)?;
                add_topic(&mut topics, &value, limits::TOPICS_PER_SUBSCRIPTION_MAX)?;
            }
            LAST_EVENT_ID => set_once(&mut by_query, value.into_owned())?,
            LAG => lag = Some(lag_policy(&value)?),
            _ => {}
        }
    }
    let by_header = last_event_id(headers)?;
    if topics.is_empty() {
        topics.push(DEFAULT_TOPIC.to_owned());
    }
    Ok(SubscribeRequest { topics, last_event_id: by_header.or(by_query), lag })
}

/// Whether the server allows so many topics.
pub(super) fn check_within(
    request: &SubscribeRequest,
    limits: &Limits,
) -> Result<(), SelectionError> {
    let (len, max) = (request.topics.len(), limits.topics_per_subscription);
    if len > max { Err(SelectionError::TooManyTopics { len, max }) } else { Ok(()) }
}

/// What the `Last-Event-ID` headers say, unless it is nothing.
pub(super) fn last_event_id<'h>(
    headers: impl Iterator<Item = &'h [u8]>,
) -> Result<Option<String>, SelectionError> {
    let mut id = None;
    for value in headers {
        // Bytes that are not UTF-8 are nobody's id: they resume as an unknown one, with a gap.
        set_once(&mut id, String::from_utf8_lossy(value).into_owned())?;
    }
    Ok(id.filter(|id| !id.is_empty()))
}

fn lag_policy(name: &str) -> Result<LagPolicy, SelectionError> {
    match name {
        "disconnect" => Ok(LagPolicy::Disconnect),
        "skip" => Ok(LagPolicy::SkipToNewest),
        "conflate" => Ok(LagPolicy::Conflate),
        _ => Err(SelectionError::UnknownLag(name.to_owned())),
    }
}

/// Topics that a publish names in its query, at most [`limits::TOPICS_PER_MESSAGE_MAX`].
///
/// Other parameters are refused: a misspelt one would send the message to the default topic.
pub(super) fn publish_topics(query: Option<&str>) -> Result<Vec<String>, SelectionError> {
    let mut topics = Vec::new();
    for (name, value) in pairs(query) {
        match &*name {
            TOPIC => {
                check_topic(&value)?;
                add_topic(&mut topics, &value, limits::TOPICS_PER_MESSAGE_MAX)?;
            }
            _ => return Err(SelectionError::UnknownParameter(name.into_owned())),
        }
    }
    Ok(topics)
}

/// The pairs of a query, decoded as a form.
pub(super) fn pairs(query: Option<&str>) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
}

/// Checks a topic that a message names.
pub(super) fn check_named(topic: &str) -> Result<(), SelectionError> {
    if topic.is_empty() {
        return Err(SelectionError::EmptyTopic);
    }
    Ok(check_topic(topic)?)
}

pub(super) fn add_topic(
    topics: &mut Vec<String>,
    topic: &str,
    max: usize,
) -> Result<(), SelectionError> {
    if topic.is_empty() {
        return Err(SelectionError::EmptyTopic);
    }
    if topics.len() == max {
        return Err(SelectionError::TooManyTopics { len: max + 1, max });
    }
    topics.push(topic.to_owned());
    Ok(())
}

pub(super) fn set_once(place: &mut Option<String>, value: String) -> Result<(), SelectionError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(SelectionError::LastEventIdTwice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(query: &str, headers: &[&[u8]]) -> Result<SubscribeRequest, SelectionError> {
        subscription(pairs(Some(query)), headers.iter().copied())
    }

    #[test]
    fn topics_are_decoded_and_keep_their_order() {
        let request = select("topic=a%2Fb&x=y&topic=c+d", &[]).unwrap();
        assert_eq!(request.topics, ["a/b", "c d"]);
        assert_eq!(request.last_event_id, None);
        assert_eq!(select("", &[]).unwrap(), SubscribeRequest::to(&[DEFAULT_TOPIC]));
        let skips = SubscribeRequest::to(&["a"]).lag(LagPolicy::SkipToNewest);
        assert_eq!(select("topic=a&lag=skip", &[]).unwrap(), skips);
    }

    #[test]
    fn a_header_wins_over_the_parameter_unless_it_is_empty() {
        let id = |query, headers| select(query, headers).unwrap().last_event_id;
        assert_eq!(id("last-event-id=q", &[]).as_deref(), Some("q"));
        assert_eq!(id("last-event-id=q", &[b"h"]).as_deref(), Some("h"));
        assert_eq!(id("last-event-id=q", &[b""]).as_deref(), Some("q"));
        assert_eq!(id("", &[b"\xff"]).as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn faults_are_named() {
        let fault =
            |query: &str, headers: &[&[u8]]| select(query, headers).unwrap_err().to_string();
        assert_eq!(fault("topic=", &[]), "topic is empty");
        assert_eq!(fault("topic", &[]), "topic is empty");
        assert_eq!(fault("topic=a%0Ab", &[]), "topic name has a control character at byte 1");
        assert_eq!(
            fault(&format!("topic={}", "a".repeat(257)), &[]),
            "topic name of 257 bytes is longer than 256"
        );
        assert_eq!(fault(&"topic=a&".repeat(257), &[]), "257 topics are more than 256");
        let request = select(&"topic=a&".repeat(33), &[]).unwrap();
        let refused = check_within(&request, &Limits::default()).unwrap_err();
        assert_eq!(refused.to_string(), "33 topics are more than 32");
        assert_eq!(fault("", &[b"a", b"a"]), "last event id is given twice");
        assert_eq!(fault("lag=drop", &[]), "lag is \"drop\": it is disconnect, skip or conflate");
        assert_eq!(fault("last-event-id=a&last-event-id=a", &[]), "last event id is given twice");
        let misspelt = publish_topics(Some("topics=a")).unwrap_err();
        assert_eq!(misspelt.to_string(), "unknown parameter \"topics\"");
    }
}
