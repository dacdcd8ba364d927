//! A subscription to the Log that an async task reads: any HTTP stack can serve one.
//!
//! The same Log, the same order and the same rules as on the engine's cores, at the cost of a task.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{LocalProvider, waiting::Places};
use crate::log::{Cursor, Framing, Log, Overtaken, Run, Sequence, Topic};

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

/// A [`Subscription`](crate::provider::Subscription) to a [`LocalProvider`], in the flesh.
#[derive(Debug)]
pub struct LocalSubscription {
    provider: LocalProvider,
    topics: Vec<Arc<Topic>>,
    cursor: Cursor,
    gap: Option<Vec<u8>>,
    places: Places,
    ended: bool,
}

impl LocalSubscription {
    pub(super) fn new(
        provider: LocalProvider,
        topics: Vec<Arc<Topic>>,
        last_event_id: Option<&str>,
    ) -> Self {
        for topic in &topics {
            topic.add_async_subscriber();
        }
        let start = provider.start(&topics, last_event_id);
        Self {
            provider,
            topics,
            cursor: start.cursor,
            gap: start.gap,
            places: Places::default(),
            ended: false,
        }
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

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Overtaken>>> {
        let mut registered = false;
        loop {
            if self.ended {
                return Poll::Ready(None);
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

    fn read(&mut self) -> Option<Result<Bytes, Overtaken>> {
        if let Some(gap) = self.gap.take() {
            return Some(Ok(gap.into()));
        }
        let log = self.provider.log();
        let below = log.head();
        if self.cursor.sequence >= below {
            return None;
        }
        let read =
            SCRATCH.with_borrow_mut(|scratch| scratch.read(log, &self.topics, self.cursor, below));
        match read {
            Ok((events, next)) => {
                self.cursor = next;
                (!events.is_empty()).then_some(Ok(events))
            }
            Err(overtaken) => {
                self.ended = true;
                Some(Err(overtaken))
            }
        }
    }
}

impl Scratch {
    /// The next events of the topics, and where to go on.
    fn read(
        &mut self,
        log: &Log,
        topics: &[Arc<Topic>],
        from: Cursor,
        below: Sequence,
    ) -> Result<(Bytes, Cursor), Overtaken> {
        if let (Some(last), [topic]) = (&self.last, topics)
            && last.from == from
            && last.topic.as_ptr() == Arc::as_ptr(topic)
        {
            return Ok((last.events.clone(), last.next));
        }
        log.read(topics, from, below, Framing::Bare, READ_BYTES_MAX, &mut self.run)?;
        let events = Bytes::copy_from_slice(self.run.bytes());
        let next = self.run.cursor_after(events.len());
        if let [topic] = topics
            && topic.subscribers() > 1
            && !events.is_empty()
        {
            let (topic, events) = (Arc::downgrade(topic), events.clone());
            self.last = Some(LastRead { topic, from, next, events });
        }
        Ok((events, next))
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
            topic.remove_async_subscriber();
            self.provider.leave(topic);
        }
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
