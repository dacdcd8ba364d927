//! A provider on one `tokio::sync::broadcast` channel.
//!
//! Every subscriber is given every message, and drops those of other topics: a message costs
//! O(subscribers), whatever its topics. The channel is the order, and the only store.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::broadcast;
use tokio_stream::{StreamExt, wrappers::BroadcastStream};

use crate::{
    log::Overtaken,
    provider::{
        Closed, Provider, Publication, PublishError, Receipt, SubscribeError, SubscribeRequest,
        Subscription,
    },
    sse::Message,
};

/// A provider on one broadcast channel: a message is encoded once, each subscriber filters.
///
/// It has no replay and gives no ids, knows no batches, and does not count subscribers. A subscriber
/// that is more than its capacity behind gets [`Overtaken`] and the end.
///
/// ```
/// use fanfare::{Message, Provider, provider::{BroadcastProvider, SubscribeRequest}};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let provider = BroadcastProvider::new(1024);
/// let mut subscription = provider.subscribe(&SubscribeRequest::to(&["lobby"]))?;
/// provider.publish(&Message::new("doors open"), &["lobby"])?;
/// assert_eq!(subscription.next().await.unwrap()?, "data: doors open\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BroadcastProvider {
    /// None once it is shut down: the channel ends with its only sender.
    channel: RwLock<Option<broadcast::Sender<Arc<Sent>>>>,
}

/// What goes through the channel.
#[derive(Debug)]
struct Sent {
    topics: Box<[Box<str>]>,
    event: Bytes,
}

impl BroadcastProvider {
    /// A provider whose channel holds the last `capacity` messages, rounded up to a power of two, for
    /// whoever has not read them yet. Each is 32 B and the encoded message, once.
    ///
    /// # Panics
    /// If `capacity` is zero or more than half of `usize::MAX`.
    pub fn new(capacity: usize) -> Self {
        Self { channel: RwLock::new(Some(broadcast::channel(capacity).0)) }
    }
}

impl Provider for BroadcastProvider {
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        Publication { message, topics }.check()?;
        let channel = self.channel.read();
        let channel = channel.as_ref().ok_or(Closed)?;
        let topics = topics.iter().map(|&topic| topic.into()).collect();
        // It fails where nobody subscribes, which is no fault.
        let _ = channel.send(Arc::new(Sent { topics, event: message.to_bytes().into() }));
        Ok(Receipt::new(message.event_id().cloned(), 0))
    }

    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
        request.check()?;
        let receiver = self.channel.read().as_ref().ok_or(Closed)?.subscribe();
        let wanted = request.topics.clone();
        let events = BroadcastStream::new(receiver).filter_map(move |received| match received {
            Ok(sent) => sent.is_for(&wanted).then(|| Ok(sent.event.clone())),
            // It has lagged.
            Err(_) => Some(Err(Overtaken)),
        });
        Ok(Subscription::new(events))
    }

    fn shutdown(&self) -> Result<(), Closed> {
        // Receivers get what is in the channel, and then its end.
        self.channel.write().take().map(drop).ok_or(Closed)
    }

    fn is_closed(&self) -> bool {
        self.channel.read().is_none()
    }
}

impl Sent {
    fn is_for(&self, wanted: &[String]) -> bool {
        self.topics.iter().any(|topic| wanted.iter().any(|name| **name == **topic))
    }
}
