//! The default provider: a Log in this process.

mod builder;
mod busiest;
mod cold_history;
mod idempotency;
mod lag;
mod patterns;
mod presence;
mod reader;
mod replay;
mod retained;
mod start;
mod subscription;
#[cfg(test)]
mod tests;
mod topic_name;
mod topic_sets;
mod topic_table;
mod waiting;

use std::collections::HashSet;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering, fence},
};
use std::time::Duration;

use parking_lot::Mutex;

pub(super) use self::start::{GapReason, gap_message};
use self::{
    builder::Settings, idempotency::Idempotency, presence::Presence, reader::Readers,
    topic_sets::TopicSets, topic_table::TopicTable, waiting::Waiting,
};
pub use self::{
    builder::{Ids, LocalProviderBuilder},
    busiest::Busiest,
    cold_history::{ReplayRequest, Replayed, Replayer},
    presence::PRESENCE_EVENT,
    reader::Reader,
    replay::{AfterGap, Replay},
    retained::Retained,
    start::{GAP_EVENT, Start},
    subscription::LocalSubscription,
    topic_name::{DEFAULT_TOPIC, TopicError, check_topic, check_topic_or_pattern, covers},
};
use super::{
    Closed, Provider, Publication, PublishError, Receipt, SubscribeError, SubscribeRequest,
    Subscription,
};
use crate::{
    log::{Append, AutomaticId, FrameTopics, Log, LogOptions, Sequence, Topic},
    sse::Message,
};

/// A provider whose Log is in this process. Clones share it.
///
/// It also has what a [`Provider`] may leave out: replay of what is retained, [`patterns`](Self::subscribe)
/// of topics, atomic batches, and [idempotency keys](Self::publish_once).
#[derive(Clone, Debug)]
pub struct LocalProvider {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    settings: Settings,
    topics: TopicTable,
    topic_sets: TopicSets,
    presence: Option<Presence>,
    readers: Readers,
    idempotency: Mutex<Idempotency>,
    waiting: Waiting,
    closed: AtomicBool,
    subscribers: AtomicU64,
}

/// How often an async publisher looks whether the readers have caught up.
const CATCH_UP_POLL: Duration = Duration::from_millis(1);

impl LocalProvider {
    /// A provider with an empty Log, and the default settings.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    pub fn new(options: LogOptions) -> Self {
        Self::builder().history_bytes(options.history_bytes).build()
    }

    /// A provider with other settings.
    pub fn builder() -> LocalProviderBuilder {
        LocalProviderBuilder::default()
    }

    fn with(log: Log, mut settings: Settings) -> Self {
        let shared = Shared {
            log,
            presence: settings.presence.take(),
            settings,
            topics: TopicTable::default(),
            topic_sets: TopicSets::default(),
            readers: Readers::default(),
            idempotency: Mutex::default(),
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
        self.check_own_ids(&[message])?;
        append.set_time(self.now_if(self.shared.settings.replay.needs_time()));
        let topics = self.shared.topics.resolve(topics, &self.shared.log);
        let sequence = append.append(message, topics.clone());
        let receipt = self.receipt(sequence, message, &topics);
        self.publish_appended(append);
        self.announce(sequence, std::slice::from_ref(&topics));
        Ok(receipt)
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
        if self.shared.settings.ids == Ids::Own {
            let messages: Vec<&Message> = batch.iter().map(|one| one.message).collect();
            self.check_own_ids(&messages)?;
        }
        append.set_time(self.now_if(self.shared.settings.replay.needs_time()));
        let first = append.next();
        let mut receipts = Vec::with_capacity(batch.len());
        let mut batch_topics = Vec::with_capacity(batch.len());
        for publication in batch {
            let topics = self.shared.topics.resolve(publication.topics, &self.shared.log);
            let sequence = append.append(publication.message, topics.clone());
            receipts.push(self.receipt(sequence, publication.message, &topics));
            batch_topics.push(topics);
        }
        self.publish_appended(append);
        self.announce(first, &batch_topics);
        Ok(receipts)
    }

    /// Publishes a batch once, however often it is asked to under the same key.
    ///
    /// A key is remembered for [`IDEMPOTENCY_WINDOW`](crate::limits::IDEMPOTENCY_WINDOW), among the last
    /// [`IDEMPOTENCY_KEYS_MAX`](crate::limits::IDEMPOTENCY_KEYS_MAX). Whatever else is published under a key meanwhile waits for it.
    ///
    /// ```
    /// use fanfare::{LocalProvider, LogOptions, Message, provider::Publication};
    ///
    /// let provider = LocalProvider::new(LogOptions::default());
    /// let order = Message::new("order 17");
    /// let batch = [Publication { message: &order, topics: &["orders"] }];
    /// let first = provider.publish_once("order-17", &batch)?;
    /// let again = provider.publish_once("order-17", &batch)?;
    /// assert_eq!(first[0].id(), again[0].id());
    /// assert!(again[0].is_repeated());
    /// # Ok::<(), fanfare::PublishError>(())
    /// ```
    ///
    /// # Errors
    /// As [`publish_batch`](Self::publish_batch), and what [`PublishError`] says of keys.
    pub fn publish_once(
        &self,
        key: &str,
        batch: &[Publication<'_>],
    ) -> Result<Vec<Receipt>, PublishError> {
        if batch.iter().any(|publication| publication.topics.is_empty()) {
            return Err(PublishError::NoTopics);
        }
        self.check_open()?;
        let mut idempotency = self.shared.idempotency.lock();
        idempotency.publish_once(key, batch, self.now(), || self.publish_batch(batch))
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
    /// A topic may be a pattern: in it the segment `*` stands for any one segment, and `**` at the end
    /// for one or more, as in `orders/*/status` or `orders/**`. Names that share no beginning with a
    /// pattern cost their publishers nothing.
    ///
    /// # Errors
    /// [`SubscribeError`] names what is wrong with the request.
    pub fn subscribe(
        &self,
        request: &SubscribeRequest,
    ) -> Result<LocalSubscription, SubscribeError> {
        request.check()?;
        self.check_open()?;
        let topics = self.join(&request.topics)?;
        let lag = self.lag_policy(request);
        let last_event_id = request.last_event_id.as_deref();
        Ok(LocalSubscription::new(self.clone(), topics, lag, last_event_id))
    }

    /// Subscribers that a message to this topic would reach, or subscribers of this pattern.
    pub fn subscribers(&self, name: &str) -> u32 {
        self.shared.topic_sets.count(&self.shared.topics.reached_by(name))
    }

    /// Subscriptions in all at the moment.
    pub fn subscriptions(&self) -> u64 {
        self.shared.subscribers.load(Ordering::Relaxed)
    }

    /// Topics that have a subscriber or a retained message, without patterns.
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

    /// Counts a subscriber in on topics and patterns by name (checked before), each once.
    ///
    /// # Errors
    /// [`SubscribeError::TooManyPatterns`]; then it is counted in nowhere.
    pub fn join(&self, names: &[String]) -> Result<Vec<Arc<Topic>>, SubscribeError> {
        let mut topics: Vec<Arc<Topic>> = Vec::with_capacity(names.len());
        for (nth, name) in names.iter().enumerate() {
            if names.iter().take(nth).any(|earlier| earlier == name) {
                continue;
            }
            match self.join_topic(name) {
                Ok(topic) => topics.push(topic),
                Err(full) => {
                    topics.iter().for_each(|topic| self.leave_topic(topic));
                    return Err(full);
                }
            }
        }
        self.shared.topic_sets.join(&topics);
        self.shared.subscribers.fetch_add(1, Ordering::Relaxed);
        Ok(topics)
    }

    /// Counts a subscriber out that was counted in on these topics.
    pub fn leave(&self, topics: &[Arc<Topic>]) {
        self.shared.topic_sets.leave(topics);
        topics.iter().for_each(|topic| self.leave_topic(topic));
        self.shared.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    fn join_topic(&self, name: &str) -> Result<Arc<Topic>, SubscribeError> {
        let joined = self.shared.topics.subscribe(name, &self.shared.log);
        let topic = joined.ok_or(SubscribeError::TooManyPatterns)?;
        self.note_presence(name);
        Ok(topic)
    }

    fn leave_topic(&self, topic: &Topic) {
        self.shared.topics.unsubscribe(topic, &self.shared.log);
        self.note_presence(topic.name());
    }

    fn note_presence(&self, name: &str) {
        if let Some(presence) = &self.shared.presence {
            presence.note(name);
        }
    }

    fn topic_sets(&self) -> &TopicSets {
        &self.shared.topic_sets
    }

    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn replayer(&self) -> Option<&dyn Replayer> {
        self.shared.settings.replayer.as_deref()
    }

    /// The time by the provider's clock, which reads the system's unless its builder was given another.
    pub fn now(&self) -> Duration {
        (self.shared.settings.clock)()
    }

    /// The time, where it is needed; reading the clock costs as much as half an append.
    fn now_if(&self, needed: bool) -> Duration {
        if needed { self.now() } else { Duration::ZERO }
    }

    fn waiting(&self) -> &Waiting {
        &self.shared.waiting
    }

    fn check(&self, message: &Message, topics: &[&str]) -> Result<(), PublishError> {
        Publication { message, topics }.check()?;
        let Some(own) = message.event_id() else {
            let is_missing = self.shared.settings.ids == Ids::Own;
            return if is_missing { Err(PublishError::NoEventId) } else { Ok(()) };
        };
        if self.shared.settings.ids == Ids::Automatic {
            return Err(PublishError::OwnEventId);
        }
        let automatic = own.as_str().parse::<AutomaticId>();
        if automatic.is_ok_and(|id| id.epoch == self.shared.log.epoch()) {
            return Err(PublishError::ReservedEventId);
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Closed> {
        if self.is_closed() { Err(Closed) } else { Ok(()) }
    }

    /// Where messages bring their ids, each must be new. Only under the append lock.
    fn check_own_ids(&self, messages: &[&Message]) -> Result<(), PublishError> {
        if self.shared.settings.ids != Ids::Own {
            return Ok(());
        }
        let mut ids = HashSet::new();
        for id in messages.iter().filter_map(|message| message.event_id()) {
            if !ids.insert(id) || self.shared.log.find_own_id(id.as_str()).is_some() {
                return Err(PublishError::DuplicateEventId);
            }
        }
        Ok(())
    }

    /// Publishes messages of ours, whose types nobody else may use.
    fn publish_ours(&self, messages: &[Message], topic: &str) -> Result<(), Closed> {
        let mut append = self.shared.log.append();
        self.check_open()?;
        append.set_time(self.now_if(self.shared.settings.replay.needs_time()));
        let first = append.next();
        let mut published = Vec::with_capacity(messages.len());
        for message in messages {
            let topics = self.shared.topics.resolve(&[topic], &self.shared.log);
            append.append(message, topics.clone());
            published.push(topics);
        }
        self.publish_appended(append);
        self.announce(first, &published);
        Ok(())
    }

    fn publish_appended(&self, mut append: Append<'_>) {
        for topic in append.publish() {
            self.shared.topics.forget(&topic);
        }
    }

    /// Wakes whoever wants frames of these topics, which have just been published from `first` on.
    fn announce(&self, first: Sequence, published: &[FrameTopics]) {
        // SeqCst; pairs with the fence in `Interest::add_reader`: we see a new reader's interest, or
        // it sees our head and starts after it.
        fence(Ordering::SeqCst);
        let topics = published.iter().flat_map(FrameTopics::as_slice);
        let readers = topics.clone().fold(0, |readers, topic| readers | topic.interest().readers());
        // The cores first: there may be many tasks.
        self.shared.readers.notify(readers, first, || self.now());
        for topic in topics.filter(|topic| topic.interest().has_tasks()) {
            self.shared.waiting.wake(topic.id());
        }
    }

    /// The receipt of what is appended and not yet published: whoever has had the message may have left
    /// already.
    fn receipt(&self, sequence: Sequence, message: &Message, topics: &FrameTopics) -> Receipt {
        let subscribers = self.shared.topic_sets.count(topics.as_slice());
        match message.event_id() {
            Some(own) => Receipt::new(Some(own.clone()), subscribers),
            None => Receipt::automatic(self.id_at(sequence), subscribers),
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

    fn publish_once(
        &self,
        key: &str,
        batch: &[Publication<'_>],
    ) -> Result<Vec<Receipt>, PublishError> {
        self.publish_once(key, batch)
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
