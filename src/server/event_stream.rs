//! An event stream that the control runtime serves: with heartbeats, and counted while it lasts.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, Sleep, interval, sleep},
};

use super::access::Held;
use crate::{
    http::{self, HEARTBEAT_BARE},
    log::Overtaken,
    provider::Subscription,
};

/// The body of such a stream, and what it holds as long as it lasts.
pub(super) struct EventStream {
    subscription: Subscription,
    heartbeat: Option<Interval>,
    /// What it says when the server shuts down.
    farewell: Option<Bytes>,
    deadline: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
    _held: Held,
}

impl EventStream {
    /// Gives the permit back at its end. Quiet for `heartbeat`, it says so.
    pub(super) fn new(
        subscription: Subscription,
        heartbeat: Option<Duration>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let heartbeat = heartbeat.map(|period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick of an interval is at once.
            interval.reset();
            interval
        });
        let nth = permit.semaphore().available_permits() as u32;
        let farewell = Some(http::come_back(nth).into());
        let _held = Held::default();
        Self { subscription, heartbeat, farewell, deadline: None, _permit: permit, _held }
    }

    /// The same, holding what it was granted, and ending in order after its time, whatever there is
    /// still to send.
    pub(super) fn granted(mut self, lasts: Option<Duration>, held: Held) -> Self {
        self.deadline = lasts.map(|lasts| Box::pin(sleep(lasts)));
        self._held = held;
        self
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes, Overtaken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let deadline = self.deadline.as_mut();
        if deadline.is_some_and(|deadline| deadline.as_mut().poll(context).is_ready()) {
            return Poll::Ready(None);
        }
        let events = Pin::new(&mut self.subscription).poll_next(context);
        if let Poll::Ready(None) = events {
            return Poll::Ready(self.farewell.take().map(Ok));
        }
        let Some(heartbeat) = &mut self.heartbeat else { return events };
        if events.is_ready() {
            heartbeat.reset();
            return events;
        }
        heartbeat.poll_tick(context).map(|_| Some(Ok(Bytes::from_static(HEARTBEAT_BARE))))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use tokio::{sync::Semaphore, time::Instant};

    use super::*;
    use crate::{
        log::LogOptions,
        provider::{LocalProvider, Provider, SubscribeRequest},
        sse::Message,
    };

    fn stream_of(provider: &LocalProvider, heartbeat: Option<Duration>) -> EventStream {
        let provider: &dyn Provider = provider;
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        EventStream::new(
            provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap(),
            heartbeat,
            permit,
        )
    }

    async fn next_or_end(stream: &mut EventStream) -> Option<Bytes> {
        let next = poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await;
        next.transpose().unwrap()
    }

    async fn next(stream: &mut EventStream) -> Bytes {
        next_or_end(stream).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_on_time_and_sends_nothing_after_it() {
        let provider = LocalProvider::new(LogOptions::default());
        let time = Duration::from_secs(2);
        let mut quiet = stream_of(&provider, None).granted(Some(time), Held::default());
        let mut busy = stream_of(&provider, None).granted(Some(time), Held::default());
        let start = Instant::now();
        provider.publish(&Message::new("in time"), &["a"]).unwrap();
        assert!(next(&mut busy).await.ends_with(b"data: in time\n\n"));
        assert!(next(&mut quiet).await.ends_with(b"data: in time\n\n"));
        assert_eq!(next_or_end(&mut quiet).await, None);
        assert_eq!(start.elapsed(), time);
        provider.publish(&Message::new("too late"), &["a"]).unwrap();
        assert_eq!(next_or_end(&mut busy).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_quiet_for_the_interval_says_so() {
        let provider = LocalProvider::new(LogOptions::default());
        let period = Duration::from_secs(15);
        let mut stream = stream_of(&provider, Some(period));
        let start = Instant::now();
        assert_eq!(next(&mut stream).await, HEARTBEAT_BARE);
        assert_eq!(start.elapsed(), period);
        sleep(period / 2).await;
        provider.publish(&Message::new("x"), &["a"]).unwrap();
        assert!(next(&mut stream).await.ends_with(b"data: x\n\n"));
        let event_at = Instant::now();
        assert_eq!(next(&mut stream).await, HEARTBEAT_BARE);
        assert_eq!(event_at.elapsed(), period, "an event puts it off");
        provider.shutdown().unwrap();
        assert!(next(&mut stream).await.starts_with(b"retry: "));
        assert!(poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await.is_none());
    }
}
