//! What publishing gives back.

use super::{Closed, TopicError};
use crate::{log::AutomaticId, sse::EventId};

/// Proof that a message has its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    id: Id,
    subscribers: u32,
}

/// Text is made of an automatic id only where somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    None,
    Automatic(AutomaticId),
    Own(EventId),
}

impl Receipt {
    /// A receipt for a message that went out with this id, if with any, and was there for so many
    /// subscribers in this process.
    pub fn new(id: Option<EventId>, subscribers: u32) -> Self {
        Self { id: id.map_or(Id::None, Id::Own), subscribers }
    }

    pub(super) fn automatic(id: AutomaticId, subscribers: u32) -> Self {
        Self { id: Id::Automatic(id), subscribers }
    }

    /// The id that the message went out with: its own, or the one it was given. None where the
    /// provider gives none.
    pub fn id(&self) -> Option<EventId> {
        match &self.id {
            Id::None => None,
            Id::Automatic(id) => {
                Some(EventId::new(id.to_string()).expect("an automatic id is a valid one"))
            }
            Id::Own(id) => Some(id.clone()),
        }
    }

    /// Subscribers of the message's topics in this process when it was published, each counted
    /// once; none where the provider does not count them.
    pub fn subscribers(&self) -> u32 {
        self.subscribers
    }
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
    /// The provider cannot publish several messages as one.
    #[error("this provider publishes messages one by one")]
    NoBatches,
    /// The provider has been shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// What the provider passes messages on to has failed, in its words.
    #[error("the provider failed: {0}")]
    Failed(String),
}
