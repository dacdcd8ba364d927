//! A subscription to the Log that an async task reads: any HTTP stack can serve one.
//!
//! The same Log, the same order and the same rules as on the engine's cores, at the cost of a task.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{LocalProvider, waiting::Places};
use crate::log::{Cursor, Framing, Overtaken, Run, Topic};

/// Bytes handed out at a time: what a slow reader may hold beside its cursor.
const READ_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// What a read gathers in: one for all subscriptions of a thread, not one that each keeps.
    static SCRATCH: RefCell<Run> = RefCell::default();
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
        SCRATCH.with_borrow_mut(|run| {
            let read =
                log.read(&self.topics, self.cursor, below, Framing::Bare, READ_BYTES_MAX, run);
            if let Err(overtaken) = read {
                self.ended = true;
                return Some(Err(overtaken));
            }
            let bytes = run.bytes();
            self.cursor = run.cursor_after(bytes.len());
            (!bytes.is_empty()).then(|| Ok(Bytes::copy_from_slice(bytes)))
        })
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
