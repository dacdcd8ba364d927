//! The settings of a provider.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    AfterGap, LocalProvider, Replay, Replayer, TopicError, check_topic, lag::LagRule,
    presence::Presence,
};
use crate::{
    log::{Log, LogOptions},
    provider::LagPolicy,
};

/// Tells the time since a moment of its choice, and never goes back.
pub(super) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Where the ids of messages come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// A message keeps the id it brings, and gets an automatic one otherwise. An id that comes again
    /// means the first message that had it.
    #[default]
    Any,
    /// All are automatic; a message that brings one is refused.
    Automatic,
    /// Each message brings one; none, or one of a message that is still retained, is refused.
    Own,
}

/// Settings of a [`LocalProvider`]; each has a default.
///
/// ```
/// use fanfare::{LocalProvider, Message, PublishError, provider::Ids};
///
/// let provider = LocalProvider::builder().ids(Ids::Own).build();
/// let refused = provider.publish(&Message::new("no id"), &["a"]);
/// assert_eq!(refused, Err(PublishError::NoEventId));
/// ```
#[must_use]
pub struct LocalProviderBuilder {
    pub(super) log: LogOptions,
    pub(super) settings: Settings,
}

/// The settings that are not the Log's.
pub(super) struct Settings {
    pub(super) ids: Ids,
    pub(super) replay: Replay,
    pub(super) after_gap: AfterGap,
    pub(super) lag: LagRule,
    pub(super) replayer: Option<Box<dyn Replayer>>,
    pub(super) presence: Option<Presence>,
    pub(super) clock: Clock,
}

impl LocalProviderBuilder {
    /// Most bytes of messages to retain, give or take one segment. It bounds the memory, what can be
    /// replayed, and how far a subscriber may lag. Default:
    /// [`HISTORY_BYTES_DEFAULT`](crate::limits::HISTORY_BYTES_DEFAULT).
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.log.history_bytes = bytes;
        self
    }

    /// Where ids come from. Default: [`Ids::Any`].
    pub fn ids(mut self, ids: Ids) -> Self {
        self.settings.ids = ids;
        self
    }

    /// How much of the history is replayed. Default: [`Replay::everything`].
    pub fn replay(mut self, replay: Replay) -> Self {
        self.settings.replay = replay;
        self
    }

    /// What follows a gap. Default: [`AfterGap::Everything`].
    pub fn after_gap(mut self, after_gap: AfterGap) -> Self {
        self.settings.after_gap = after_gap;
        self
    }

    /// What becomes of a subscriber that reads too slowly, and does not ask for something else.
    /// Default: [`LagPolicy::Disconnect`].
    pub fn lag(self, policy: LagPolicy) -> Self {
        self.settings.lag.set(policy, self.settings.lag.bytes());
        self
    }

    /// How far a subscriber may lag: it reads too slowly if a message for it that was published since it
    /// came is not among the Log's newest `bytes`. One that conflates may lag as far as the history.
    /// Default: as far as the history.
    pub fn lag_bytes(self, bytes: u64) -> Self {
        self.settings.lag.set(self.settings.lag.policy(), Some(bytes));
        self
    }

    /// Where history is kept that is older than the Log. Default: nowhere.
    ///
    /// Subscribers that need it are served by async tasks, not by the engine's cores.
    pub fn replayer(mut self, replayer: impl Replayer) -> Self {
        self.settings.replayer = Some(Box::new(replayer));
        self
    }

    /// On which topic it is told how many subscribers each other topic has, when that changes and
    /// [`tell_presence`](LocalProvider::tell_presence) is called: events of type
    /// [`PRESENCE_EVENT`](super::PRESENCE_EVENT) with the data `{"topic":"lobby","subscribers":3}`, or
    /// `{"missed":true}` where more topics changed than there was room to note. Default: nowhere.
    ///
    /// # Errors
    /// [`TopicError`] if nothing can be published to such a topic.
    pub fn presence(mut self, topic: &str) -> Result<Self, TopicError> {
        check_topic(topic)?;
        self.settings.presence = Some(Presence::new(topic));
        Ok(self)
    }

    /// What tells the time since some moment, for the age of messages and of idempotency keys; it must never go back. Default:
    /// the system's monotonic clock.
    pub fn clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The provider, with an empty Log.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    pub fn build(self) -> LocalProvider {
        LocalProvider::with(Log::new(self.log), self.settings)
    }

    /// The provider, over this Log.
    #[cfg(test)]
    pub(crate) fn build_over(self, log: Log) -> LocalProvider {
        LocalProvider::with(log, self.settings)
    }
}

impl Default for LocalProviderBuilder {
    fn default() -> Self {
        let start = Instant::now();
        let settings = Settings {
            ids: Ids::default(),
            replay: Replay::default(),
            after_gap: AfterGap::default(),
            lag: LagRule::new(LagPolicy::default(), None),
            replayer: None,
            presence: None,
            clock: Arc::new(move || start.elapsed()),
        };
        Self { log: LogOptions::default(), settings }
    }
}

impl fmt::Debug for LocalProviderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalProviderBuilder")
            .field("log", &self.log)
            .field("settings", &self.settings)
            .finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("ids", &self.ids)
            .field("replay", &self.replay)
            .field("after_gap", &self.after_gap)
            .field("lag", &self.lag)
            .field("replayer", &self.replayer.is_some())
            .finish_non_exhaustive()
    }
}
