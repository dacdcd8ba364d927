//! Who gets what? Topics, publishing, and where a subscription starts.
//!
//! [`Provider`] is the contract between those who publish and those who subscribe.
//! [`LocalProvider`] is the one that a server has unless it is given another: a Log in this process.
//! [`BroadcastProvider`] and [`SerialProvider`] do the same in the two other ways that are usual, small
//! enough to be read.

pub mod conformance;
mod local;
mod publisher;
mod receipt;
mod reference;
mod subscribe;

use std::sync::Arc;

pub use self::{
    local::{
        AfterGap, Busiest, DEFAULT_TOPIC, GAP_EVENT, Ids, LocalProvider, LocalProviderBuilder,
        LocalSubscription, PRESENCE_EVENT, Reader, Replay, ReplayRequest, Replayed, Replayer,
        Retained, Start, TopicError, check_topic, check_topic_or_pattern, covers,
    },
    publisher::Publisher,
    receipt::{PublishError, Receipt},
    reference::{BroadcastProvider, SerialProvider},
    subscribe::{LagPolicy, SubscribeError, SubscribeRequest, Subscription},
};
use crate::{limits, sse::Message};

/// Takes messages from publishers and gives each to the subscribers of its topics.
///
/// This is the whole contract, and [`conformance`] holds an implementation to it:
///
/// - **Threads.** Every method may be called from any thread at any time. None of them waits for a
///   subscriber: one that does not read hurts only itself.
/// - **Order.** There is one order of all messages, and every subscriber sees its own in that order. A
///   message whose publishing began after another one's had returned comes after it.
/// - **Once.** A subscriber gets a message at most once, however many of its topics match.
/// - **From where.** A subscription begins at its last event id, where the provider still knows it, and
///   otherwise at the moment of the call: whatever is published after `subscribe` has returned, it gets.
///   Between what is replayed and what is live nothing is missed and nothing comes twice. Where
///   something is lost, the subscriber is told in the stream, or its stream ends with an error.
/// - **No topics** is an error, of publishing and of subscribing, before anything else is looked at.
/// - **The end.** [`shutdown`](Self::shutdown) succeeds once. Whatever is called after it gets its `Closed`
///   error, and each subscription ends, without an error, after what was published before.
///
/// A user's own provider is `examples/own_provider.rs`.
pub trait Provider: Send + Sync + 'static {
    /// Publishes a message to topics. It has its place in the order when this returns.
    ///
    /// The message is the caller's still, and may be published again.
    ///
    /// # Errors
    /// [`PublishError`] names what is wrong; the message then reaches nobody.
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError>;

    /// Publishes messages one after the other with nothing in between, all of them or none.
    ///
    /// A provider that cannot promise that leaves it as it is: then a batch of one is all it takes.
    ///
    /// # Errors
    /// [`PublishError`] of the first message that is wrong; then none is published.
    fn publish_batch(&self, batch: &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError> {
        match batch {
            [] if self.is_closed() => Err(Closed.into()),
            [] => Ok(Vec::new()),
            [one] => self.publish(one.message, one.topics).map(|receipt| vec![receipt]),
            _ => Err(PublishError::NoBatches),
        }
    }

    /// Publishes a batch once, however often it is asked to under the same key: later calls get the
    /// receipts of the first, and nothing is published.
    ///
    /// A key is remembered for a while, which the provider states. One that remembers none leaves this as
    /// it is.
    ///
    /// # Errors
    /// As [`publish_batch`](Self::publish_batch), and what [`PublishError`] says of keys.
    fn publish_once(
        &self,
        _key: &str,
        _batch: &[Publication<'_>],
    ) -> Result<Vec<Receipt>, PublishError> {
        Err(PublishError::NoIdempotencyKeys)
    }

    /// Subscribes: a stream of encoded events, to which dropping it puts an end.
    ///
    /// # Errors
    /// [`SubscribeError`] names what is wrong with the request.
    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError>;

    /// Ends it.
    ///
    /// # Errors
    /// [`Closed`] if that has happened before.
    fn shutdown(&self) -> Result<(), Closed>;

    /// Whether it has been shut down.
    fn is_closed(&self) -> bool;

    /// The provider whose Log this one's messages are in, if there is one: the engine's cores then
    /// read it directly. Without one each subscriber costs a task and a copy of each event.
    fn local(&self) -> Option<&LocalProvider> {
        None
    }
}

/// A message and where it is to go.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'p> {
    /// What.
    pub message: &'p Message,
    /// Where to, by name.
    pub topics: &'p [&'p str],
}

impl Publication<'_> {
    /// Checks it against the limits, and that there is something in it.
    ///
    /// # Errors
    /// [`PublishError`] names the fault.
    pub fn check(&self) -> Result<(), PublishError> {
        let (len, max) = (self.topics.len(), limits::TOPICS_PER_MESSAGE_MAX);
        match len {
            0 => return Err(PublishError::NoTopics),
            _ if len > max => return Err(PublishError::TooManyTopics { len, max }),
            _ => self.topics.iter().try_for_each(|topic| check_topic(topic))?,
        }
        if self.message.event_type().is_some_and(|event| event.is_reserved()) {
            return Err(PublishError::ReservedEventType);
        }
        let key_len = self.message.conflation_key().map_or(0, str::len);
        if key_len > limits::CONFLATION_KEY_BYTES_MAX {
            let max = limits::CONFLATION_KEY_BYTES_MAX;
            return Err(PublishError::ConflationKeyTooLong { len: key_len, max });
        }
        match self.message.encoded_len(None) {
            0 => Err(PublishError::Empty),
            len if len > limits::MESSAGE_BYTES_MAX => {
                Err(PublishError::TooLarge { len, max: limits::MESSAGE_BYTES_MAX })
            }
            _ => Ok(()),
        }
    }
}

/// The provider has been shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider is closed")]
pub struct Closed;

impl<P: Provider + ?Sized> Provider for Arc<P> {
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        (**self).publish(message, topics)
    }

    fn publish_batch(&self, batch: &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError> {
        (**self).publish_batch(batch)
    }

    fn publish_once(
        &self,
        key: &str,
        batch: &[Publication<'_>],
    ) -> Result<Vec<Receipt>, PublishError> {
        (**self).publish_once(key, batch)
    }

    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
        (**self).subscribe(request)
    }

    fn shutdown(&self) -> Result<(), Closed> {
        (**self).shutdown()
    }

    fn is_closed(&self) -> bool {
        (**self).is_closed()
    }

    fn local(&self) -> Option<&LocalProvider> {
        (**self).local()
    }
}
