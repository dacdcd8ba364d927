//! What publishing gives back, and the handle that users hold.

use super::{LocalProvider, TopicError};
use crate::{
    log::AutomaticId,
    sse::{EventId, Message},
};

/// Publishes from any thread. Clones are cheap and share the provider.
///
/// ```
/// use fanfare::{LocalProvider, LogOptions, Message, Publisher};
///
/// let publisher = Publisher::new(LocalProvider::new(LogOptions::default()));
/// let receipt = publisher.publish(&Message::new("doors open"), &["lobby"])?;
/// assert_eq!(receipt.subscribers(), 0);
/// # Ok::<(), fanfare::PublishError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Publisher {
    provider: LocalProvider,
}

/// Proof that a message has its place in the Log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) automatic: AutomaticId,
    pub(super) own: Option<EventId>,
    pub(super) subscribers: u32,
}

/// Why a message is refused. It then reaches nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No topic was named.
    #[error("no topic is named")]
    NoTopics,
    /// More than [`crate::limits::TOPICS_PER_MESSAGE_MAX`].
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
    /// Event types that begin with `fanfare.` are ours.
    #[error("event types that begin with \"fanfare.\" are reserved")]
    ReservedEventType,
    /// The message's own id is one that this provider gives, or will give, to another.
    #[error("the event id is one of those that this server gives out")]
    ReservedEventId,
    /// The encoded message is over [`crate::limits::MESSAGE_BYTES_MAX`].
    #[error("message of {len} bytes encoded is larger than {max}")]
    TooLarge {
        /// Encoded length in bytes.
        len: usize,
        /// The most allowed.
        max: usize,
    },
    /// Nothing in it is set.
    #[error("message is empty: it has no id, event type, retry, data or comment")]
    Empty,
    /// The provider has been shut down.
    #[error("the provider is closed")]
    Closed,
}

/// Why a subscription is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
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
    /// The provider has been shut down.
    #[error("the provider is closed")]
    Closed,
}

impl Publisher {
    /// A publisher for a provider.
    pub fn new(provider: LocalProvider) -> Self {
        Self { provider }
    }

    /// Publishes at once; see [`LocalProvider::publish`]. It never waits, so a publisher faster than
    /// the cores makes their subscribers lag, and in the end lose their connection.
    ///
    /// # Errors
    /// [`PublishError`] names what is wrong; the message then reaches nobody.
    pub fn publish(
        &self,
        message: &Message,
        topics: &[impl AsRef<str>],
    ) -> Result<Receipt, PublishError> {
        self.provider.publish(message, topics)
    }

    /// Publishes as soon as the cores are not far behind; see [`LocalProvider::ready`].
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Cancellation
    /// Dropped before it is done, the message has not been published.
    pub async fn publish_async(
        &self,
        message: &Message,
        topics: &[impl AsRef<str>],
    ) -> Result<Receipt, PublishError> {
        self.provider.ready().await;
        self.provider.publish(message, topics)
    }
}

impl Receipt {
    /// The message's id: its own, or the automatic one.
    pub fn id(&self) -> EventId {
        let automatic = || EventId::new(self.automatic.to_string());
        self.own.clone().unwrap_or_else(|| automatic().expect("an automatic id is a valid one"))
    }

    /// Subscribers of the message's topics when it was published; one that is on several of them
    /// counts for each.
    pub fn subscribers(&self) -> u32 {
        self.subscribers
    }
}
