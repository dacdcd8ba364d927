//! What a subscriber asks for, and the stream that it gets.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{Closed, TopicError, check_topic_or_pattern};
use crate::{limits, log::Overtaken};

/// What a subscriber asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// Topics by name, or patterns, at least one and at most [`limits::TOPICS_PER_SUBSCRIPTION_MAX`].
    pub topics: Vec<String>,
    /// The last event it saw, to go on after that; empty is as good as none.
    pub last_event_id: Option<String>,
    /// What becomes of it where it reads too slowly; none is as the provider has it.
    pub lag: Option<LagPolicy>,
}

/// What becomes of a subscriber that reads too slowly: one from which messages that it still needs are
/// no longer retained, or that is farther behind than the provider allows.
///
/// None of these touches a subscriber that keeps up. A provider that knows no other disconnects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LagPolicy {
    /// Its stream is cut; what it got is without a gap, and it may resume.
    #[default]
    Disconnect,
    /// It is told of the gap in the stream, and goes on with the newest message of its topics.
    SkipToNewest,
    /// As long as it lags it is sent, of the messages with the same conflation key on a topic, the
    /// latest only. What is lost nevertheless it is told of, and it goes on with what is retained.
    Conflate,
}

impl SubscribeRequest {
    /// What is published to `topics` from now on.
    pub fn to(topics: &[impl AsRef<str>]) -> Self {
        let topics = topics.iter().map(|topic| topic.as_ref().to_owned()).collect();
        Self { topics, last_event_id: None, lag: None }
    }

    /// The same, after the event with this id.
    #[must_use]
    pub fn after(mut self, last_event_id: impl Into<String>) -> Self {
        self.last_event_id = Some(last_event_id.into());
        self
    }

    /// The same, with this policy where it lags.
    #[must_use]
    pub fn lag(mut self, policy: LagPolicy) -> Self {
        self.lag = Some(policy);
        self
    }

    /// Checks it against the limits.
    ///
    /// # Errors
    /// [`SubscribeError`] names the fault.
    pub fn check(&self) -> Result<(), SubscribeError> {
        let (len, max) = (self.topics.len(), limits::TOPICS_PER_SUBSCRIPTION_MAX);
        match len {
            0 => Err(SubscribeError::NoTopics),
            _ if len > max => Err(SubscribeError::TooManyTopics { len, max }),
            _ => self.topics.iter().try_for_each(|topic| Ok(check_topic_or_pattern(topic)?)),
        }
    }
}

/// Why a subscription is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No topic was named.
    #[error("no topic is named")]
    NoTopics,
    /// More than [`crate::limits::TOPICS_PER_SUBSCRIPTION_MAX`].
    #[error("{len} topics are more than {max}")]
    TooManyTopics {
        /// Topics given.
        len: usize,
        /// The most allowed.
        max: usize,
    },
    /// A topic's name is not valid.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// There are [`limits::PATTERNS_MAX`] other patterns.
    #[error("there is no room for another pattern")]
    TooManyPatterns,
    /// The provider has been shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// What the provider gets messages from has failed, in its words.
    #[error("the provider failed: {0}")]
    Failed(String),
}

/// A live, ordered stream of encoded events; each item holds one or more whole ones.
///
/// It ends when the provider is shut down, after everything published before. A reader so slow that
/// what it still needs is gone gets one [`Overtaken`], and then the end.
pub struct Subscription {
    /// None at the end, so that what belongs to it goes with it.
    stream: Option<Pin<Box<dyn Events>>>,
}

trait Events: Stream<Item = Result<Bytes, Overtaken>> + Send {}

impl<S: Stream<Item = Result<Bytes, Overtaken>> + Send> Events for S {}

impl Subscription {
    /// A subscription that gives what `stream` does, up to its end or its first error.
    pub fn new(stream: impl Stream<Item = Result<Bytes, Overtaken>> + Send + 'static) -> Self {
        Self { stream: Some(Box::pin(stream)) }
    }

    /// The next events, or none at the end.
    ///
    /// # Errors
    /// [`Overtaken`]: events were lost; the subscription is over.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, Overtaken>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Subscription {
    type Item = Result<Bytes, Overtaken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let item = ready!(stream.as_mut().poll_next(context));
        if !matches!(item, Some(Ok(_))) {
            self.stream = None;
        }
        Poll::Ready(item)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
