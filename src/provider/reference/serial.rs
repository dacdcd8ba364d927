//! A provider where one thread does everything, one thing after the other.
//!
//! It is built as the default provider of the Go library go-sse is: the thread owns the subscribers
//! and the history, looks at every subscriber for every message, and encodes it anew for each. So the
//! order of its commands is the order of everything, and nothing in it is locked.
//!
//! Unlike there, the thread waits for nobody: each subscriber has a queue of
//! [`limits::SERIAL_QUEUE_MESSAGES`], and who lets it run full is cut.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use bytes::Bytes;
use tokio::sync::mpsc as queue;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use crate::{
    limits,
    log::{AutomaticId, Overtaken},
    provider::{
        Closed, Provider, Publication, PublishError, Receipt, SubscribeError, SubscribeRequest,
        Subscription,
        local::{GapReason, gap_message},
    },
    sse::{EventId, Message},
};

/// A provider where one thread does everything: it owns the subscribers, and encodes each message
/// anew for each of them.
///
/// It replays the last messages, as many as it was made with, after automatic ids and a message's
/// own. A subscriber that is [`limits::SERIAL_QUEUE_MESSAGES`] behind is cut: it gets what is in its
/// queue, then [`Overtaken`] and the end. Dropping the provider is a shutdown.
///
/// ```
/// use fanfare::{Message, Provider, provider::{SerialProvider, SubscribeRequest}};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let provider = SerialProvider::new(100);
/// let first = provider.publish(&Message::new("doors open"), &["lobby"])?;
/// provider.publish(&Message::new("lights out"), &["lobby"])?;
/// let after = SubscribeRequest::to(&["lobby"]).after(first.id().unwrap().as_str());
/// let event = provider.subscribe(&after)?.next().await.unwrap()?;
/// assert!(event.ends_with(b"data: lights out\n\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SerialProvider {
    /// Each caller waits for its answer, so there are never more commands than callers.
    commands: mpsc::Sender<Command>,
    closed: Arc<AtomicBool>,
    epoch: u32,
}

/// What a caller asks of the thread, and where the answer goes: none if it has ended by then.
#[derive(Debug)]
enum Command {
    Publish(Vec<Post>, mpsc::SyncSender<Vec<Receipt>>),
    Subscribe(SubscribeRequest, mpsc::SyncSender<Subscription>),
    Shutdown(mpsc::SyncSender<()>),
}

/// A message, with its id from when it has one, and its topics.
#[derive(Debug)]
struct Post {
    message: Message,
    topics: Vec<String>,
}

/// What the thread owns.
#[derive(Debug)]
struct Serial {
    epoch: u32,
    /// Number of the next message; the history holds those before it.
    next: u64,
    history: VecDeque<Post>,
    history_max: usize,
    subscribers: Vec<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    topics: Vec<String>,
    queue: queue::Sender<Result<Bytes, Overtaken>>,
}

impl SerialProvider {
    /// A provider that replays at most the last `history` messages.
    ///
    /// # Panics
    /// If the system has no randomness, or no thread, to give.
    pub fn new(history: usize) -> Self {
        let epoch = getrandom::u32().expect("the system gives random numbers");
        let (commands, received) = mpsc::channel();
        let closed = Arc::new(AtomicBool::new(false));
        let mut serial = Serial::new(epoch, history);
        let closing = Arc::clone(&closed);
        let thread = thread::Builder::new().name("serial".to_owned());
        thread.spawn(move || serial.run(&received, &closing)).expect("the system gives a thread");
        Self { commands, closed, epoch }
    }

    fn check(&self, publication: &Publication<'_>) -> Result<(), PublishError> {
        publication.check()?;
        let own = publication.message.event_id().and_then(|id| id.as_str().parse().ok());
        match own {
            Some(AutomaticId { epoch, .. }) if epoch == self.epoch => {
                Err(PublishError::ReservedEventId)
            }
            _ => Ok(()),
        }
    }

    fn ask<T>(&self, command: impl FnOnce(mpsc::SyncSender<T>) -> Command) -> Result<T, Closed> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.commands.send(command(answer)).map_err(|_| Closed)?;
        answered.recv().map_err(|_| Closed)
    }
}

impl Provider for SerialProvider {
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        let mut receipts = self.publish_batch(&[Publication { message, topics }])?;
        Ok(receipts.remove(0))
    }

    fn publish_batch(&self, batch: &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError> {
        batch.iter().try_for_each(|publication| self.check(publication))?;
        let posts = batch.iter().map(|publication| Post {
            message: publication.message.clone(),
            topics: publication.topics.iter().map(|&topic| topic.to_owned()).collect(),
        });
        let posts = posts.collect();
        Ok(self.ask(|answer| Command::Publish(posts, answer))?)
    }

    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
        request.check()?;
        Ok(self.ask(|answer| Command::Subscribe(request.clone(), answer))?)
    }

    fn shutdown(&self) -> Result<(), Closed> {
        self.ask(Command::Shutdown)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

impl Serial {
    fn new(epoch: u32, history_max: usize) -> Self {
        Self { epoch, next: 1, history: VecDeque::new(), history_max, subscribers: Vec::new() }
    }

    /// Does what it is asked until it is shut down or dropped. The subscribers' queues end with it.
    fn run(&mut self, commands: &mpsc::Receiver<Command>, closed: &AtomicBool) {
        // Nobody may be waiting for an answer any more, which is no fault.
        for command in commands {
            match command {
                Command::Publish(posts, answer) => {
                    let _ = answer.send(posts.into_iter().map(|post| self.publish(post)).collect());
                }
                Command::Subscribe(request, answer) => {
                    let _ = answer.send(self.subscribe(request));
                }
                Command::Shutdown(answer) => {
                    closed.store(true, Ordering::Release);
                    let _ = answer.send(());
                    return;
                }
            }
        }
    }

    fn publish(&mut self, mut post: Post) -> Receipt {
        let id = post.message.event_id().cloned().unwrap_or_else(|| self.id(self.next));
        post.message = post.message.id(id.clone());
        let mut delivered = 0;
        self.subscribers.retain(|subscriber| {
            if subscriber.queue.is_closed() {
                return false;
            }
            delivered += u32::from(subscriber.wants(&post));
            !subscriber.wants(&post) || subscriber.deliver(&post.message)
        });
        self.next += 1;
        self.history.push_back(post);
        if self.history.len() > self.history_max {
            self.history.pop_front();
        }
        Receipt::new(Some(id), delivered)
    }

    fn subscribe(&mut self, request: SubscribeRequest) -> Subscription {
        // Those gone go with the next message; without one, where the list would grow.
        if self.subscribers.len() == self.subscribers.capacity() {
            self.subscribers.retain(|subscriber| !subscriber.queue.is_closed());
        }
        // One place more, for the end of one that is cut.
        let (queue, queued) = queue::channel(limits::SERIAL_QUEUE_MESSAGES + 1);
        let subscriber = Subscriber { topics: request.topics, queue };
        let replayed = self.replay(&subscriber, request.last_event_id.as_deref());
        self.subscribers.push(subscriber);
        Subscription::new(tokio_stream::iter(replayed).chain(ReceiverStream::new(queued)))
    }

    fn replay(
        &self,
        to: &Subscriber,
        last_event_id: Option<&str>,
    ) -> Vec<Result<Bytes, Overtaken>> {
        let Some(requested) = last_event_id.filter(|id| !id.is_empty()) else { return Vec::new() };
        let (gap, from) = match self.after(requested) {
            Ok(from) => (None, from),
            Err(reason) => {
                let first = AutomaticId { epoch: self.epoch, position: self.first() };
                (Some(gap_message(requested, first, reason)), 0)
            }
        };
        let kept = self.history.range(from..).filter(|post| to.wants(post));
        let messages = gap.iter().chain(kept.map(|post| &post.message));
        messages.map(|message| Ok(message.to_bytes().into())).collect()
    }

    /// Where in the history what follows this id begins.
    fn after(&self, requested: &str) -> Result<usize, GapReason> {
        match requested.parse() {
            Ok(AutomaticId { epoch, position }) if epoch == self.epoch => {
                let next = position.saturating_add(1).checked_sub(self.first());
                let next = next.ok_or(GapReason::Evicted)?;
                Ok(usize::try_from(next).unwrap_or(usize::MAX).min(self.history.len()))
            }
            automatic => {
                let has_it = |post: &Post| {
                    post.message.event_id().is_some_and(|id| id.as_str() == requested)
                };
                let found = self.history.iter().position(has_it).map(|at| at + 1);
                let lost = if automatic.is_ok() { GapReason::Epoch } else { GapReason::Unknown };
                found.ok_or(lost)
            }
        }
    }

    /// Number of the oldest message in the history.
    fn first(&self) -> u64 {
        self.next - self.history.len() as u64
    }

    fn id(&self, position: u64) -> EventId {
        let id = AutomaticId { epoch: self.epoch, position };
        EventId::new(id.to_string()).expect("an automatic id is a valid one")
    }
}

impl Subscriber {
    fn wants(&self, post: &Post) -> bool {
        self.topics.iter().any(|topic| post.topics.contains(topic))
    }

    /// False: it is cut.
    fn deliver(&self, message: &Message) -> bool {
        let room = self.queue.capacity() > 1;
        let item = if room { Ok(message.to_bytes().into()) } else { Err(Overtaken) };
        self.queue.try_send(item).is_ok() && room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_that_are_gone_are_not_kept_where_nothing_is_published() {
        let mut serial = Serial::new(0, 0);
        let mut kept = Vec::new();
        for _ in 0..1000 {
            kept.push(serial.subscribe(SubscribeRequest::to(&["a"])));
            kept.truncate(2);
        }
        assert!(serial.subscribers.len() <= 8, "{} are kept", serial.subscribers.len());
    }
}
