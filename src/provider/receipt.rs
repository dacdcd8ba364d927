//! What publishing gives back.

use super::{Closed, TopicError};
use crate::{log::AutomaticId, sse::EventId};

/// Proof that a message has its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    id: Id,
    subscribers: u32,
    is_repeated: bool,
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
        Self { id: id.map_or(Id::None, Id::Own), subscribers, is_repeated: false }
    }

    pub(super) fn automatic(id: AutomaticId, subscribers: u32) -> Self {
        Self { id: Id::Automatic(id), subscribers, is_repeated: false }
    }

    /// The receipt of what was published before, for whoever publishes it again.
    pub(super) fn repeated(&self) -> Self {
        Self { is_repeated: true, ..self.clone() }
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

    /// Whether the message had been published before under the same idempotency key, and was not
    /// published again.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
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
    /// The message brings an id where all ids are automatic.
    #[error("the message brings an event id, but here all ids are automatic")]
    OwnEventId,
    /// The message brings no id where each must.
    #[error("the message has no event id, and here each brings its own")]
    NoEventId,
    /// The message's own id is that of another one that is still retained.
    #[error("the event id is that of a message that is still retained")]
    DuplicateEventId,
    /// The idempotency key is empty or over [`crate::limits::IDEMPOTENCY_KEY_BYTES_MAX`].
    #[error("idempotency key of {len} bytes: it has from 1 to {max}")]
    IdempotencyKey {
        /// Its length in bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// Something else was published under the same idempotency key.
    #[error("the idempotency key was used for something else")]
    IdempotencyKeyReused,
    /// The provider remembers no idempotency keys.
    #[error("this provider remembers no idempotency keys")]
    NoIdempotencyKeys,
    /// The conflation key is over [`crate::limits::CONFLATION_KEY_BYTES_MAX`].
    #[error("conflation key of {len} bytes is longer than {max}")]
    ConflationKeyTooLong {
        /// Its length in bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
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
