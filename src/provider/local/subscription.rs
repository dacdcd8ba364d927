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

use super::LocalProvider;
use crate::log::{Cursor, Framing, Overtaken, Run, Topic};

/// Bytes handed out at a time: what a slow reader may hold beside its cursor.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A [`Subscription`](crate::provider::Subscription) to a [`LocalProvider`], in the flesh.
#[derive(Debug)]
pub struct LocalSubscription {
    provider: LocalProvider,
    topics: Vec<Arc<Topic>>,
    cursor: Cursor,
    gap: Option<Vec<u8>>,
    run: Run,
    woken: Option<Pin<Box<OwnedNotified>>>,
    ended: bool,
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
        let start = provider.start(&topics, last_event_id);
        Self {
            provider,
            topics,
            cursor: start.cursor,
            gap: start.gap,
            run: Run::new(),
            woken: None,
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
        loop {
            if self.ended {
                return Poll::Ready(None);
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

    fn read(&mut self) -> Option<Result<Bytes, Overtaken>> {
        if let Some(gap) = self.gap.take() {
            return Some(Ok(gap.into()));
        }
        let log = self.provider.log();
        let below = log.head();
        let read = log.read(
            &self.topics,
            self.cursor,
            below,
            Framing::Bare,
            READ_BYTES_MAX,
            &mut self.run,
        );
        if let Err(overtaken) = read {
            self.ended = true;
            return Some(Err(overtaken));
        }
        let bytes = self.run.bytes();
        self.cursor = self.run.cursor_after(bytes.len());
        (!bytes.is_empty()).then(|| Ok(Bytes::copy_from_slice(bytes)))
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
            self.provider.leave(topic);
        }
    }
}
