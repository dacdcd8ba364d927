//! History that is older than the Log, from wherever its owner keeps it.
//!
//! It is asked only where the Log cannot resume a subscriber, and read by the subscriber's own task. What
//! goes wrong there, a panic too, ends that replay in a `fanfare.gap` event, and nothing else.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use crate::sse::Message;

/// Replays messages that the Log does not have any more, or never had.
///
/// It learns what is published like anybody: from receipts, or by a subscription of its own.
pub trait Replayer: Send + Sync + 'static {
    /// What comes after the last event that a subscriber saw, up to what the Log still has.
    ///
    /// None: the event is not known here either. The subscriber is then told of a gap.
    ///
    /// It is called on the runtime that serves the subscriber, so it must not block.
    fn replay(&self, request: &ReplayRequest) -> Option<Replayed>;
}

/// What a [`Replayer`] is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayRequest {
    /// Topics and patterns, as they were subscribed to.
    pub topics: Vec<String>,
    /// The last event that the subscriber saw: its messages come after that.
    pub last_event_id: String,
    /// The first event that the Log has: it, and what comes after it, is not asked for.
    pub before: String,
}

/// The messages of a replay: in order, each once, and each with the id that it went out with.
pub type Replayed =
    Pin<Box<dyn Stream<Item = Result<Message, Box<dyn Error + Send + Sync>>> + Send>>;

/// A replay that is under way.
pub(super) struct ColdReplay {
    messages: Replayed,
    /// The subscriber's last event, in this replay or before it.
    pub(super) last_event_id: String,
}

/// How a replay goes on.
pub(super) enum ColdStep {
    /// An encoded event.
    Event(Vec<u8>),
    /// There is no more: the Log has what follows.
    Done,
    /// It broke off.
    Failed,
}

impl ColdReplay {
    /// Begins a replay, if the replayer knows the event to begin after.
    pub(super) fn begin(replayer: &dyn Replayer, request: &ReplayRequest) -> Option<Self> {
        let messages = match catch_unwind(AssertUnwindSafe(|| replayer.replay(request))) {
            Ok(messages) => messages?,
            Err(_) => {
                tracing::error!("a replayer panicked; its subscriber is told of a gap");
                return None;
            }
        };
        Some(Self { messages, last_event_id: request.last_event_id.clone() })
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<ColdStep> {
        let messages = &mut self.messages;
        let polled = catch_unwind(AssertUnwindSafe(|| messages.as_mut().poll_next(context)));
        let Ok(polled) = polled else {
            tracing::error!("a replay panicked; its subscriber is told of a gap");
            return Poll::Ready(ColdStep::Failed);
        };
        Poll::Ready(match ready!(polled) {
            None => ColdStep::Done,
            Some(Ok(message)) => {
                if let Some(id) = message.event_id() {
                    id.as_str().clone_into(&mut self.last_event_id);
                }
                ColdStep::Event(message.to_bytes())
            }
            Some(Err(error)) => {
                tracing::warn!(error, "a replay failed; its subscriber is told of a gap");
                ColdStep::Failed
            }
        })
    }
}

impl fmt::Debug for ColdReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdReplay")
            .field("last_event_id", &self.last_event_id)
            .finish_non_exhaustive()
    }
}
