//! A subscription to the Log that an async task reads: any HTTP stack can serve one.
//!
//! The same Log, the same order and the same rules as on the engine's cores, at the cost of a task.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::futures::OwnedNotified;

use super::{
    LocalProvider, check_topic_or_pattern,
    cold_history::{ColdReplay, ColdStep, ReplayRequest},
    start::GapReason,
};
use crate::{
    limits,
    log::{Cursor, Framing, Overtaken, Run, Sequence, Topic},
    provider::SubscribeError,
};

/// Bytes handed out at a time: what a slow reader may hold beside its cursor.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A [`Subscription`](crate::provider::Subscription) to a [`LocalProvider`], in the flesh: its topics
/// may be changed while it lasts.
///
/// ```
/// use fanfare::{LocalProvider, LogOptions, Message, provider::SubscribeRequest};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let provider = LocalProvider::new(LogOptions::default());
/// let mut subscription = provider.subscribe(&SubscribeRequest::to(&["lobby"]))?;
/// subscription.add_topic("stage/*")?;
/// provider.publish(&Message::new("curtain up"), &["stage/main"])?;
/// let events = subscription.next().await.expect("the provider is open")?;
/// assert!(events.ends_with(b"data: curtain up\n\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalSubscription {
    provider: LocalProvider,
    /// All of them, those that were added and are not read yet too.
    topics: Vec<Arc<Topic>>,
    /// Those that are read from a place on that the cursor has not reached, nearest first.
    added: Vec<(Sequence, Arc<Topic>)>,
    /// What comes before the Log.
    cold: Option<Cold>,
    cursor: Cursor,
    gap: Option<Vec<u8>>,
    run: Run,
    woken: Option<Pin<Box<OwnedNotified>>>,
    ended: bool,
}

/// A replay of what the Log has not.
#[derive(Debug)]
struct Cold {
    replay: ColdReplay,
    reason: GapReason,
    /// Where the Log goes on.
    before: Sequence,
    /// How often the replayer has been asked.
    asked: u32,
}

impl LocalSubscription {
    pub(super) fn new(
        provider: LocalProvider,
        topics: Vec<Arc<Topic>>,
        last_event_id: Option<&str>,
    ) -> Self {
        for topic in &topics {
            topic.interest().add_task();
        }
        let mut subscription = Self {
            cursor: Cursor::at(provider.log().head()),
            provider,
            topics,
            added: Vec::new(),
            cold: None,
            gap: None,
            run: Run::new(),
            woken: None,
            ended: false,
        };
        if let Some(requested) = last_event_id.filter(|id| !id.is_empty()) {
            match subscription.provider.resume(&subscription.topics, requested) {
                Ok(sequence) => subscription.cursor = Cursor::at(sequence),
                Err(reason) => subscription.begin_replay(requested, reason, 1),
            }
        }
        subscription
    }

    /// The next events, or none at the end.
    ///
    /// # Errors
    /// [`Overtaken`]: events were lost; the subscription is over.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, Overtaken>> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Adds a topic or pattern: what is published to it from now on is received, in its place in the
    /// order. False: it was there.
    ///
    /// # Errors
    /// [`SubscribeError`] names what is wrong with it; nothing has changed then.
    pub fn add_topic(&mut self, name: &str) -> Result<bool, SubscribeError> {
        check_topic_or_pattern(name)?;
        if self.topics.iter().any(|topic| topic.name() == name) {
            return Ok(false);
        }
        let (len, max) = (self.topics.len() + 1, limits::TOPICS_PER_SUBSCRIPTION_MAX);
        if len > max {
            return Err(SubscribeError::TooManyTopics { len, max });
        }
        let topic = self.provider.join_topic(name)?;
        topic.interest().add_task();
        self.change_topics(|topics| topics.push(Arc::clone(&topic)));
        // Interest before the head: what is published after this wakes the task.
        self.added.push((self.provider.log().head(), topic));
        Ok(true)
    }

    /// Removes a topic or pattern: nothing more is received that is only on it. False: it was not
    /// there.
    pub fn remove_topic(&mut self, name: &str) -> bool {
        let Some(place) = self.topics.iter().position(|topic| topic.name() == name) else {
            return false;
        };
        let topic = Arc::clone(&self.topics[place]);
        self.change_topics(|topics| {
            topics.remove(place);
        });
        self.added.retain(|(_, added)| added.id() != topic.id());
        // Of a frame that has begun nothing has been given out: they come whole.
        topic.interest().remove_task();
        self.provider.leave_topic(&topic);
        true
    }

    fn change_topics(&mut self, change: impl FnOnce(&mut Vec<Arc<Topic>>)) {
        self.provider.topic_sets().leave(&self.topics);
        change(&mut self.topics);
        self.provider.topic_sets().join(&self.topics);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Overtaken>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if self.cold.is_some()
                && let Some(event) = ready!(self.poll_cold(context))
            {
                return Poll::Ready(Some(Ok(event)));
            }
            // Listen first, then look: what is published in between wakes us.
            let provider = &self.provider;
            let woken = self.woken.get_or_insert_with(|| Box::pin(provider.async_notified()));
            woken.as_mut().enable();
            // Closed before the last look, so that nothing published before is missed.
            let closed = self.provider.is_closed();
            if let Some(item) = self.read() {
                return Poll::Ready(Some(item));
            }
            if closed {
                self.ended = true;
                continue;
            }
            let woken = self.woken.as_mut().expect("set above");
            ready!(woken.as_mut().poll(context));
            self.woken = None;
        }
    }

    /// The next event from before the Log; none when the Log goes on.
    fn poll_cold(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while let Some(cold) = &mut self.cold {
            match ready!(cold.replay.poll(context)) {
                ColdStep::Event(event) if event.is_empty() => {}
                ColdStep::Event(event) => return Poll::Ready(Some(event.into())),
                ColdStep::Done => self.end_replay(),
                ColdStep::Failed => self.give_up_replay(),
            }
        }
        Poll::Ready(None)
    }

    /// Asks for what comes after `requested` and the Log has not; where nobody knows, there is a gap.
    fn begin_replay(&mut self, requested: &str, reason: GapReason, asked: u32) {
        let before = self.provider.first_replayable();
        let replayer = self.provider.replayer().filter(|_| asked <= limits::REPLAYS_MAX);
        let replay = replayer.and_then(|replayer| {
            let request = ReplayRequest {
                topics: self.topics.iter().map(|topic| topic.name().to_owned()).collect(),
                last_event_id: requested.to_owned(),
                before: self.provider.id_at(before).to_string(),
            };
            ColdReplay::begin(replayer, &request)
        });
        match replay {
            Some(replay) => self.cold = Some(Cold { replay, reason, before, asked }),
            None => self.begin_after_gap(requested, reason),
        }
    }

    /// The replay is at its end: the Log goes on, unless its tail has moved on meanwhile.
    fn end_replay(&mut self) {
        let Some(cold) = self.cold.take() else { return };
        if self.provider.is_retained(&self.topics, cold.before) {
            self.cursor = Cursor::at(cold.before);
        } else {
            let reason = GapReason::Evicted;
            self.begin_replay(&cold.replay.last_event_id, reason, cold.asked + 1);
        }
    }

    fn give_up_replay(&mut self) {
        if let Some(cold) = self.cold.take() {
            self.begin_after_gap(&cold.replay.last_event_id, cold.reason);
        }
    }

    fn begin_after_gap(&mut self, requested: &str, reason: GapReason) {
        let start = self.provider.start_after_gap(&self.topics, requested, reason);
        (self.cursor, self.gap) = (start.cursor, start.gap);
    }

    fn read(&mut self) -> Option<Result<Bytes, Overtaken>> {
        if let Some(gap) = self.gap.take() {
            return Some(Ok(gap.into()));
        }
        loop {
            let head = self.provider.log().head();
            self.added.retain(|(from, _)| *from > self.cursor.sequence);
            let below = self.added.first().map_or(head, |(from, _)| head.min(*from));
            if let Err(overtaken) = self.gather(below) {
                self.ended = true;
                return Some(Err(overtaken));
            }
            let bytes = self.run.bytes();
            self.cursor = self.run.cursor_after(bytes.len());
            if !bytes.is_empty() {
                return Some(Ok(Bytes::copy_from_slice(bytes)));
            }
            if self.cursor.sequence >= head {
                return None;
            }
        }
    }

    /// Gathers what comes next below `below` of the topics that are read there.
    fn gather(&mut self, below: Sequence) -> Result<(), Overtaken> {
        let log = self.provider.log();
        let (cursor, max, run) = (self.cursor, READ_BYTES_MAX, &mut self.run);
        if self.added.is_empty() {
            return log.read(&self.topics, cursor, below, Framing::Bare, max, run);
        }
        let is_added =
            |topic: &Arc<Topic>| self.added.iter().any(|(_, added)| added.id() == topic.id());
        let read: Vec<_> = self.topics.iter().filter(|topic| !is_added(topic)).cloned().collect();
        log.read(&read, cursor, below, Framing::Bare, max, run)
    }
}

impl Stream for LocalSubscription {
    type Item = Result<Bytes, Overtaken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl Drop for LocalSubscription {
    fn drop(&mut self) {
        for topic in &self.topics {
            topic.interest().remove_task();
        }
        self.provider.leave(&self.topics);
    }
}
