//! The default provider: a Log in this process.

mod reader;
mod start;
mod subscription;
#[cfg(test)]
mod tests;
mod topic_table;
mod waiting;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering, fence},
};
use std::time::Duration;

pub(super) use self::start::{Reason, gap_message};
pub use self::{
    reader::Reader,
    start::{GAP_EVENT, Start},
    subscription::LocalSubscription,
    topic_table::{DEFAULT_TOPIC, TopicError, check_topic},
};
use self::{reader::Readers, topic_table::TopicTable, waiting::Waiting};
use super::{
    Closed, Provider, Publication, PublishError, Receipt, SubscribeError, SubscribeRequest,
    Subscription,
};
use crate::{
    log::{Append, AutomaticId, FrameTopics, Log, LogOptions, Sequence, Topic},
    sse::Message,
};

/// A provider whose Log is in this process. Clones share it.
#[derive(Clone, Debug)]
pub struct LocalProvider {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    topics: TopicTable,
    readers: Readers,
    waiting: Waiting,
    closed: AtomicBool,
    subscribers: AtomicU64,
}

/// How often an async publisher looks whether the readers have caught up.
const CATCH_UP_POLL: Duration = Duration::from_millis(1);

impl LocalProvider {
    /// A provider with an empty Log.
    pub fn new(options: LogOptions) -> Self {
        let shared = Shared {
            log: Log::new(options),
            topics: TopicTable::default(),
            readers: Readers::default(),
            waiting: Waiting::default(),
            closed: AtomicBool::new(false),
            subscribers: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Publishes a message to topics: it is in the Log, and the readers that want it are awake,
    /// when this returns. It never waits for a subscriber.
    ///
    /// # Errors
    /// [`PublishError`] names what is wrong; the message then reaches nobody.
    pub fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        self.check(message, topics)?;
        let mut append = self.shared.log.append();
        self.check_open()?;
        let topics = self.resolve(topics);
        let sequence = append.append(message, topics.clone());
        self.publish_appended(append);
        self.announce(std::slice::from_ref(&topics));
        Ok(self.receipt(sequence, message, &topics))
    }

    /// Publishes messages one after the other with nothing in between: readers see all or none.
    ///
    /// # Errors
    /// [`PublishError`] of the first message that is wrong; then none is published.
    pub fn publish_batch(&self, batch: &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError> {
        for publication in batch {
            self.check(publication.message, publication.topics)?;
        }
        let mut append = self.shared.log.append();
        self.check_open()?;
        let mut sequences = Vec::with_capacity(batch.len());
        let mut batch_topics = Vec::with_capacity(batch.len());
        for publication in batch {
            let topics = self.resolve(publication.topics);
            sequences.push(append.append(publication.message, topics.clone()));
            batch_topics.push(topics);
        }
        self.publish_appended(append);
        self.announce(&batch_topics);
        let appended = sequences.iter().zip(batch).zip(&batch_topics);
        Ok(appended
            .map(|((&sequence, publication), topics)| {
                self.receipt(sequence, publication.message, topics)
            })
            .collect())
    }

    /// Resolves when no reader thread is far behind: the back-pressure a publisher may choose.
    ///
    /// Far behind means that more than half of the history is unread by most of the subscribers
    /// that read at all.
    pub async fn ready(&self) {
        while self.shared.readers.any_far_behind(&self.shared.log) && !self.is_closed() {
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
    }

    /// Subscribes: an async stream of encoded events.
    ///
    /// # Errors
    /// [`SubscribeError`] names what is wrong with the request.
    pub fn subscribe(
        &self,
        request: &SubscribeRequest,
    ) -> Result<LocalSubscription, SubscribeError> {
        request.check()?;
        self.check_open()?;
        let topics = self.join(&request.topics);
        Ok(LocalSubscription::new(self.clone(), topics, request.last_event_id.as_deref()))
    }

    /// Subscribers of a topic at the moment.
    pub fn subscribers(&self, topic: &str) -> u32 {
        self.shared.topics.get(topic).map_or(0, |topic| topic.subscribers())
    }

    /// Subscriptions in all at the moment; one on several topics counts once for each.
    pub fn subscriptions(&self) -> u64 {
        self.shared.subscribers.load(Ordering::Relaxed)
    }

    /// Topics that have a subscriber or a retained message.
    pub fn topics(&self) -> usize {
        self.shared.topics.len()
    }

    /// The Log.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// Ends it: later publishes and subscribes are refused, async subscriptions end after what they
    /// are owed. The engine ends its own.
    ///
    /// # Errors
    /// [`Closed`] if that has happened before.
    pub fn shutdown(&self) -> Result<(), Closed> {
        // Under the append lock, so a publish is either before this or refused.
        let append = self.shared.log.append();
        let was_closed = self.shared.closed.swap(true, Ordering::AcqRel);
        drop(append);
        self.shared.waiting.wake_all();
        if was_closed { Err(Closed) } else { Ok(()) }
    }

    /// Whether it has been shut down.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Registers a reader thread, which `wake` wakes; none when [`crate::log::ReaderId::MAX`] are.
    pub fn register_reader(&self, wake: Box<dyn Fn() + Send + Sync>) -> Option<Arc<Reader>> {
        self.shared.readers.register(wake)
    }

    /// Counts a subscriber in on topics by name (checked before), each once.
    pub fn join(&self, names: &[String]) -> Vec<Arc<Topic>> {
        let mut topics: Vec<Arc<Topic>> = Vec::with_capacity(names.len());
        for (nth, name) in names.iter().enumerate() {
            if names.iter().take(nth).any(|earlier| earlier == name) {
                continue;
            }
            topics.push(self.shared.topics.subscribe(name, &self.shared.log));
            self.shared.subscribers.fetch_add(1, Ordering::Relaxed);
        }
        topics
    }

    /// Counts a subscriber of a topic out.
    pub fn leave(&self, topic: &Topic) {
        self.shared.topics.unsubscribe(topic, &self.shared.log);
        self.shared.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    fn waiting(&self) -> &Waiting {
        &self.shared.waiting
    }

    fn check(&self, message: &Message, topics: &[&str]) -> Result<(), PublishError> {
        Publication { message, topics }.check()?;
        let automatic = message.event_id().and_then(|id| id.as_str().parse::<AutomaticId>().ok());
        if automatic.is_some_and(|id| id.epoch == self.shared.log.epoch()) {
            return Err(PublishError::ReservedEventId);
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Closed> {
        if self.is_closed() { Err(Closed) } else { Ok(()) }
    }

    /// Topics of a message, each once. Only under the append lock.
    fn resolve(&self, names: &[&str]) -> FrameTopics {
        let find = |name: &str| self.shared.topics.for_append(name, &self.shared.log);
        if let [name] = names {
            return FrameTopics::One(find(name));
        }
        let mut topics: Vec<Arc<Topic>> = Vec::with_capacity(names.len());
        for name in names {
            let topic = find(name);
            if topics.iter().all(|earlier| earlier.id() != topic.id()) {
                topics.push(topic);
            }
        }
        FrameTopics::Many(topics.into())
    }

    fn publish_appended(&self, mut append: Append<'_>) {
        for topic in append.publish() {
            self.shared.topics.forget(&topic);
        }
    }

    /// Wakes whoever wants frames of these topics, which have just been published.
    fn announce(&self, published: &[FrameTopics]) {
        // SeqCst; pairs with the fence in `Topic::add_interest`: we see a new reader's interest, or
        // it sees our head and starts after it.
        fence(Ordering::SeqCst);
        let topics = published.iter().flat_map(FrameTopics::as_slice);
        let interest = topics.clone().fold(0, |interest, topic| interest | topic.interest());
        // The cores first: there may be many tasks.
        self.shared.readers.notify(interest);
        for topic in topics.filter(|topic| topic.has_async_subscribers()) {
            self.shared.waiting.wake(topic.id());
        }
    }

    fn receipt(&self, sequence: Sequence, message: &Message, topics: &FrameTopics) -> Receipt {
        let subscribers = topics.as_slice().iter().map(|topic| topic.subscribers()).sum();
        match message.event_id() {
            Some(own) => Receipt::new(Some(own.clone()), subscribers),
            None => {
                let (epoch, position) = (self.shared.log.epoch(), sequence.number());
                Receipt::automatic(AutomaticId { epoch, position }, subscribers)
            }
        }
    }
}

impl Provider for LocalProvider {
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        self.publish(message, topics)
    }

    fn publish_batch(&self, batch: &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError> {
        self.publish_batch(batch)
    }

    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
        self.subscribe(request).map(Subscription::new)
    }

    fn shutdown(&self) -> Result<(), Closed> {
        self.shutdown()
    }

    fn is_closed(&self) -> bool {
        self.is_closed()
    }

    fn local(&self) -> Option<&LocalProvider> {
        Some(self)
    }
}
