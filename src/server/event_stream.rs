//! An event stream that the control runtime serves: with heartbeats, and counted while it lasts.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    http::{self, HEARTBEAT_BARE},
    log::Overtaken,
    provider::Subscription,
};

/// The body of such a stream.
pub(super) struct EventStream {
    subscription: Subscription,
    heartbeat: Option<Interval>,
    /// What it says when the server shuts down.
    farewell: Option<Bytes>,
    _permit: OwnedSemaphorePermit,
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
        Self { subscription, heartbeat, farewell, _permit: permit }
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes, Overtaken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
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

    async fn next(stream: &mut EventStream) -> Bytes {
        poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_quiet_for_the_interval_says_so() {
        let provider = LocalProvider::new(LogOptions::default());
        let dynamic: &dyn Provider = &provider;
        let subscription = dynamic.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let period = Duration::from_secs(15);
        let mut stream = EventStream::new(subscription, Some(period), permit);
        let start = Instant::now();
        assert_eq!(next(&mut stream).await, HEARTBEAT_BARE);
        assert_eq!(start.elapsed(), period);
        tokio::time::sleep(period / 2).await;
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
