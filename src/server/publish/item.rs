//! One message as a body describes it, and where it is to go.

use std::{borrow::Cow, time::Duration};

use serde::Deserialize;

use crate::{
    provider::DEFAULT_TOPIC,
    server::{fault::Fault, selection},
    sse::{EventId, EventType, Message},
};

/// A message and the topics it goes to.
pub(in crate::server) type Addressed<'t> = (Message, Vec<Cow<'t, str>>);

/// What a body that is read whole says.
pub(super) enum Content<'c> {
    One(Addressed<'c>),
    /// All of them are published, or none.
    Batch(Vec<Addressed<'c>>),
}

/// A message's fields, whatever they were written in. As JSON it is the object itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item<'i> {
    pub(super) topics: Option<Vec<Cow<'i, str>>>,
    pub(super) id: Option<EventId>,
    pub(super) event: Option<EventType>,
    #[serde(borrow)]
    pub(super) data: Cow<'i, str>,
    /// Milliseconds.
    pub(super) retry: Option<u64>,
    #[serde(borrow)]
    pub(super) conflation_key: Option<Cow<'i, str>>,
}

impl<'i> Item<'i> {
    /// The message, and its topics: its own, or those of the query.
    pub(super) fn address(self, query_topics: &'i [String]) -> Result<Addressed<'i>, Fault> {
        let mut message = Message::new(&self.data);
        if let Some(id) = self.id {
            message = message.id(id);
        }
        if let Some(event) = self.event {
            message = message.event(event);
        }
        if let Some(millis) = self.retry {
            message = message.retry(Duration::from_millis(millis));
        }
        if let Some(key) = self.conflation_key {
            message = message.conflate_by(&key);
        }
        let Some(topics) = self.topics else { return Ok((message, or_default(query_topics))) };
        topics.iter().try_for_each(|topic| selection::check_named(topic))?;
        Ok((message, topics))
    }
}

/// The topics of the query, or the default one where it names none.
pub(super) fn or_default(topics: &[String]) -> Vec<Cow<'_, str>> {
    if topics.is_empty() {
        return vec![Cow::Borrowed(DEFAULT_TOPIC)];
    }
    topics.iter().map(|topic| Cow::Borrowed(topic.as_str())).collect()
}
