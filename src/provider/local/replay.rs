//! What of the history a subscriber that comes back is given, and what it is told of the rest.

use std::time::Duration;

use crate::log::{Log, Sequence};

/// How much of the history is replayed: all that the Log has, or less, by several bounds at once.
///
/// Each bound is exact to the message, and is about what a subscriber may be given that comes back: a
/// live one that lags for a moment gets everything, as long as the Log has it. What the Log has is
/// bounded by its [`history_bytes`](crate::LogOptions::history_bytes) all the same.
///
/// ```
/// use std::time::Duration;
/// use fanfare::{LocalProvider, provider::Replay};
///
/// let replay = Replay::everything().last(1000).younger_than(Duration::from_secs(300));
/// let provider = LocalProvider::builder().replay(replay).build();
/// # let _ = provider;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    count: Option<u64>,
    age: Option<Duration>,
    bytes: Option<u64>,
}

/// What a subscriber gets whose last event is not in the history, after the `fanfare.gap` event that
/// tells it so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterGap {
    /// All of its topics' messages that may be replayed, and then what is live.
    #[default]
    Everything,
    /// What is live.
    Live,
}

impl Replay {
    /// All that the Log has.
    pub const fn everything() -> Self {
        Self { count: None, age: None, bytes: None }
    }

    /// The last `count` messages of the provider, whatever their topics. One is a count like any other;
    /// with none, whoever missed anything is told of a gap.
    #[doc(alias = "FiniteReplayer")]
    #[must_use]
    pub const fn last(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Messages whose age is less than `age`. With an age of zero, whoever missed anything is told of
    /// a gap.
    #[doc(alias = "ValidReplayer")]
    #[must_use]
    pub const fn younger_than(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// The last messages that have at most `bytes` together, as they go out: encoded, with id, each as
    /// an HTTP chunk. Where not even the newest has so few, that is none.
    #[must_use]
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Whether messages need to know when they were published.
    pub(super) fn needs_time(self) -> bool {
        self.age.is_some()
    }

    /// The first message below `head` that may be replayed; `head` if none may.
    pub(super) fn first(self, log: &Log, head: Sequence, now: Duration) -> Sequence {
        let by_count = self.count.map(|count| head.minus(count));
        let by_age = self.age.map(|age| match now.checked_sub(age) {
            Some(oldest) => log.first_published_after(oldest),
            None => Sequence::FIRST,
        });
        let by_bytes = self.bytes.map(|bytes| log.first_of_last_bytes(bytes, head));
        let bounds = [Some(log.tail()), by_count, by_age, by_bytes];
        bounds.into_iter().flatten().max().map_or(head, |first| first.min(head))
    }
}
