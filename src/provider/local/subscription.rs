//! A subscription to the Log that an async task reads: any HTTP stack can serve one.
//!
//! The same Log, the same order and the same rules as on the engine's cores, at the cost of a task.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{
    LocalProvider, check_topic_or_pattern,
    cold_history::{ColdReplay, ColdStep, ReplayRequest},
    start::GapReason,
    waiting::Places,
};
use crate::{
    limits,
    log::{Cursor, Framing, Log, Overtaken, Run, Sequence, Topic, Wanted},
    provider::{Closed, LagPolicy, SubscribeError},
};

/// Bytes handed out at a time: what a slow reader may hold beside its cursor.
const READ_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What reads gather in: one for all subscriptions of a thread, not one that each keeps.
#[derive(Debug, Default)]
struct Scratch {
    run: Run,
    /// What the last one got, for others at the same place: whoever waits for a topic is woken with
    /// all the others, to read the same.
    last: Option<LastRead>,
}

#[derive(Debug)]
struct LastRead {
    /// Its address is its identity for as long as this is here.
    topic: Weak<Topic>,
    from: Cursor,
    next: Cursor,
    events: Bytes,
}

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
    /// Where it began.
    came_at: Sequence,
    lag: LagPolicy,
    gap: Option<Vec<u8>>,
    places: Places,
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
        lag: LagPolicy,
        last_event_id: Option<&str>,
    ) -> Self {
        for topic in &topics {
            begin(topic, lag);
        }
        let head = provider.log().head();
        let mut subscription = Self {
            cursor: Cursor::at(head),
            came_at: head,
            lag,
            provider,
            topics,
            added: Vec::new(),
            cold: None,
            gap: None,
            places: Places::default(),
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
        if self.provider.is_closed() {
            return Err(Closed.into());
        }
        let (len, max) = (self.topics.len() + 1, limits::TOPICS_PER_SUBSCRIPTION_MAX);
        if len > max {
            return Err(SubscribeError::TooManyTopics { len, max });
        }
        let topic = self.provider.join_topic(name)?;
        begin(&topic, self.lag);
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
        end(&topic, self.lag);
        self.provider.leave_topic(&topic);
        true
    }

    fn change_topics(&mut self, change: impl FnOnce(&mut Vec<Arc<Topic>>)) {
        self.provider.topic_sets().leave(&self.topics);
        change(&mut self.topics);
        self.provider.topic_sets().join(&self.topics);
        // It waits for others from now on.
        self.provider.waiting().remove(&mut self.places);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Overtaken>>> {
        let mut registered = false;
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if self.cold.is_some()
                && let Some(event) = ready!(self.poll_cold(context))
            {
                return Poll::Ready(Some(Ok(event)));
            }
            // Closed before the last look, so that nothing published before is missed.
            let closed = self.provider.is_closed();
            if let Some(item) = self.read() {
                return Poll::Ready(Some(item));
            }
            if closed {
                self.ended = true;
                continue;
            }
            // Look once more after registering: what is published from then on wakes us.
            if registered || !self.register(context) {
                return Poll::Pending;
            }
            registered = true;
        }
    }

    /// True: we were not registered before, so what came in between has woken nobody.
    fn register(&mut self, context: &Context<'_>) -> bool {
        self.provider.waiting().register(&mut self.places, &self.topics, context.waker())
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
            if self.cursor.sequence >= head {
                return None;
            }
            match self.read_below(head) {
                Ok((events, next)) => {
                    self.cursor = next;
                    if !events.is_empty() {
                        return Some(Ok(events));
                    }
                }
                Err(overtaken) => return Some(self.skip().ok_or(overtaken)),
            }
        }
    }

    /// It lags too far: gives the gap event after which it goes on, or none where it ends.
    fn skip(&mut self) -> Option<Bytes> {
        let next = self.cursor.sequence;
        let Some(start) = self.provider.skip(&self.topics, self.lag, next) else {
            self.ended = true;
            return None;
        };
        self.cursor = start.cursor;
        start.gap.map(Bytes::from)
    }

    /// The next events below `head`, and where to go on.
    fn read_below(&mut self, head: Sequence) -> Result<(Bytes, Cursor), Overtaken> {
        let (log, cursor) = (self.provider.log(), self.cursor);
        let (came_at, next) = (self.came_at, cursor.sequence);
        if self.provider.lags_too_far(&self.topics, self.lag, came_at, next) {
            return Err(Overtaken);
        }
        let conflated = self.lag == LagPolicy::Conflate;
        self.added.retain(|(from, _)| *from > cursor.sequence);
        let Some((first, _)) = self.added.first() else {
            return SCRATCH.with_borrow_mut(|scratch| {
                scratch.read(log, &self.topics, conflated, cursor, head)
            });
        };
        let is_added =
            |topic: &Arc<Topic>| self.added.iter().any(|(_, added)| added.id() == topic.id());
        let read: Vec<_> = self.topics.iter().filter(|topic| !is_added(topic)).cloned().collect();
        let below = head.min(*first);
        SCRATCH.with_borrow_mut(|scratch| scratch.gather(log, &read, conflated, cursor, below))
    }
}

impl Scratch {
    /// The next events of the topics, and where to go on.
    fn read(
        &mut self,
        log: &Log,
        topics: &[Arc<Topic>],
        conflated: bool,
        from: Cursor,
        below: Sequence,
    ) -> Result<(Bytes, Cursor), Overtaken> {
        if conflated {
            return self.gather(log, topics, conflated, from, below);
        }
        if let (Some(last), [topic]) = (&self.last, topics)
            && last.from == from
            && last.topic.as_ptr() == Arc::as_ptr(topic)
        {
            return Ok((last.events.clone(), last.next));
        }
        let (events, next) = self.gather(log, topics, conflated, from, below)?;
        if let [topic] = topics
            && topic.subscribers() > 1
            && !events.is_empty()
        {
            let (topic, events) = (Arc::downgrade(topic), events.clone());
            self.last = Some(LastRead { topic, from, next, events });
        }
        Ok((events, next))
    }

    fn gather(
        &mut self,
        log: &Log,
        topics: &[Arc<Topic>],
        conflated: bool,
        from: Cursor,
        below: Sequence,
    ) -> Result<(Bytes, Cursor), Overtaken> {
        let wanted = Wanted { topics, framing: Framing::Bare, conflated };
        log.read(wanted, from, below, READ_BYTES_MAX, &mut self.run)?;
        let events = Bytes::copy_from_slice(self.run.bytes());
        let next = self.run.cursor_after(events.len());
        Ok((events, next))
    }
}

/// Interest in a topic, and what its policy needs.
fn begin(topic: &Topic, lag: LagPolicy) {
    topic.interest().add_task();
    if lag == LagPolicy::Conflate {
        topic.conflate();
    }
}

fn end(topic: &Topic, lag: LagPolicy) {
    topic.interest().remove_task();
    if lag == LagPolicy::Conflate {
        topic.stop_conflating();
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
        self.provider.waiting().remove(&mut self.places);
        for topic in &self.topics {
            end(topic, self.lag);
        }
        self.provider.leave(&self.topics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::LogOptions, provider::SubscribeRequest, sse::Message};

    fn provider() -> LocalProvider {
        LocalProvider::new(LogOptions::default())
    }

    fn subscribe(provider: &LocalProvider, topics: &[&str]) -> LocalSubscription {
        provider.subscribe(&SubscribeRequest::to(topics)).unwrap()
    }

    async fn next(subscription: &mut LocalSubscription) -> Bytes {
        subscription.next().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn who_reads_the_same_of_a_topic_shares_it() {
        let provider = provider();
        let mut same = [subscribe(&provider, &["a"]), subscribe(&provider, &["a"])];
        let mut other = subscribe(&provider, &["b"]);
        for (data, topic) in [("1", "a"), ("2", "b")] {
            provider.publish(&Message::new(data), &[topic]).unwrap();
        }
        let [one, two] = &mut same;
        let (one, two) = (next(one).await, next(two).await);
        assert_eq!(one.as_ptr(), two.as_ptr());
        assert!(one.ends_with(b"data: 1\n\n"), "{one:?}");
        assert!(next(&mut other).await.ends_with(b"data: 2\n\n"));
    }

    #[tokio::test]
    async fn who_is_at_another_place_reads_what_is_there() {
        let provider = provider();
        let mut early = [subscribe(&provider, &["a"]), subscribe(&provider, &["a"])];
        provider.publish(&Message::new("1"), &["a"]).unwrap();
        let mut late = subscribe(&provider, &["a"]);
        let [one, two] = &mut early;
        next(one).await;
        provider.publish(&Message::new("2"), &["a"]).unwrap();
        assert!(next(&mut late).await.ends_with(b"data: 2\n\n"));
        // What one has read is there no more; both get all, in the same order.
        let all = next(two).await;
        let all = String::from_utf8_lossy(&all);
        assert!(all.contains("data: 1\n\n") && all.ends_with("data: 2\n\n"), "{all}");
        assert!(next(one).await.ends_with(b"data: 2\n\n"));
    }

    #[tokio::test]
    async fn two_providers_share_nothing() {
        let providers = [provider(), provider()];
        let mut subscriptions: Vec<_> = providers
            .iter()
            .flat_map(|provider| [subscribe(provider, &["a"]), subscribe(provider, &["a"])])
            .collect();
        for (provider, data) in providers.iter().zip(["one", "other"]) {
            provider.publish(&Message::new(data), &["a"]).unwrap();
        }
        for (subscription, data) in subscriptions.iter_mut().zip(["one", "one", "other", "other"]) {
            let event = next(subscription).await;
            assert!(event.ends_with(format!("data: {data}\n\n").as_bytes()), "{event:?}");
        }
    }
}
