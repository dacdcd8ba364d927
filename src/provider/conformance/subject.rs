//! What a rule holds: the provider, and readers of its subscriptions, with no wait that has no end.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::runtime::Handle;

use super::{Capabilities, Replay, panic_text, reader::Reader};
use crate::{
    provider::{
        Closed, Provider, Publication, PublishError, Receipt, SubscribeError, SubscribeRequest,
        Subscription,
    },
    sse::Message,
};

/// How a provider breaks a rule.
#[derive(Debug)]
pub(super) struct Fault(String);

/// Makes a provider.
pub(super) type Make = Arc<dyn Fn() -> Arc<dyn Provider> + Send + Sync>;

/// A provider under a rule.
pub(super) struct Subject {
    provider: Arc<dyn Provider>,
    make: Make,
    capabilities: Capabilities,
    runtime: Handle,
    calls: Arc<Calls>,
}

/// Calls that have begun and those that have returned.
#[derive(Debug, Default)]
pub(super) struct Calls {
    within: [AtomicUsize; CALLS.len()],
    completed: AtomicUsize,
}

const CALLS: [&str; 5] =
    ["publish", "publish_batch", "subscribe", "shutdown", "a subscription's poll"];

/// Place in [`CALLS`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Publish,
    PublishBatch,
    Subscribe,
    Shutdown,
    Poll,
}

/// Fails the rule unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err($crate::provider::conformance::subject::Fault::new(format!($($text)*)));
        }
    };
}
pub(super) use ensure;

impl Subject {
    pub(super) fn new(
        make: Make,
        capabilities: Capabilities,
        runtime: Handle,
        calls: Arc<Calls>,
    ) -> Self {
        Self { provider: make(), make, capabilities, runtime, calls }
    }

    /// Another one, to which nothing has happened.
    pub(super) fn fresh(&self) -> Self {
        let (make, calls) = (Arc::clone(&self.make), Arc::clone(&self.calls));
        Self::new(make, self.capabilities.clone(), self.runtime.clone(), calls)
    }

    /// The provider, to call as it is.
    pub(super) fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    pub(super) fn counts(&self) -> bool {
        self.capabilities.counts
    }

    pub(super) fn replay(&self) -> Replay {
        self.capabilities.replay.expect("the rule is skipped otherwise")
    }

    pub(super) fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, Fault> {
        let published = self.try_publish(message, topics);
        published.map_err(|error| Fault::new(format!("publishing to {topics:?} failed: {error}")))
    }

    pub(super) fn try_publish(
        &self,
        message: &Message,
        topics: &[&str],
    ) -> Result<Receipt, PublishError> {
        let _within = self.calls.enter(Call::Publish);
        self.provider.publish(message, topics)
    }

    /// Publishes data alone.
    pub(super) fn say(&self, data: &str, topics: &[&str]) -> Result<Receipt, Fault> {
        self.publish(&Message::new(data), topics)
    }

    /// Publishes data alone, and gives the id that it went out with.
    pub(super) fn say_for_id(&self, data: &str, topics: &[&str]) -> Result<String, Fault> {
        let id = self.say(data, topics)?.id();
        let id = id.ok_or_else(|| Fault::new(format!("the receipt of {data:?} has no id")))?;
        Ok(id.into())
    }

    pub(super) fn try_publish_batch(
        &self,
        batch: &[Publication<'_>],
    ) -> Result<Vec<Receipt>, PublishError> {
        let _within = self.calls.enter(Call::PublishBatch);
        self.provider.publish_batch(batch)
    }

    pub(super) fn shutdown(&self) -> Result<(), Closed> {
        let _within = self.calls.enter(Call::Shutdown);
        self.provider.shutdown()
    }

    /// A reader of what is published to `topics` from now on.
    pub(super) fn subscribe(&self, topics: &[&str]) -> Result<Reader, Fault> {
        self.request(&SubscribeRequest::to(topics))
    }

    /// A reader of what follows the message with this id.
    pub(super) fn resume(&self, topics: &[&str], last_event_id: &str) -> Result<Reader, Fault> {
        self.request(&SubscribeRequest::to(topics).after(last_event_id))
    }

    pub(super) fn request(&self, request: &SubscribeRequest) -> Result<Reader, Fault> {
        let subscribed = self.try_subscribe(request);
        let subscription =
            subscribed.map_err(|error| Fault::new(format!("{request:?} failed: {error}")))?;
        Ok(self.reader(subscription))
    }

    pub(super) fn try_subscribe(
        &self,
        request: &SubscribeRequest,
    ) -> Result<Subscription, SubscribeError> {
        let _within = self.calls.enter(Call::Subscribe);
        self.provider.subscribe(request)
    }

    pub(super) fn reader(&self, subscription: Subscription) -> Reader {
        let (patience, runtime) = (self.capabilities.patience, self.runtime.clone());
        Reader::new(subscription, patience, runtime, Arc::clone(&self.calls))
    }

    /// Runs `work` on a thread of `scope`, as the provider's user.
    pub(super) fn spawn<'scope, 'env, T: Send + 'scope>(
        &self,
        scope: &'scope thread::Scope<'scope, 'env>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> thread::ScopedJoinHandle<'scope, T> {
        let runtime = self.runtime.clone();
        scope.spawn(move || {
            let _entered = runtime.enter();
            work()
        })
    }
}

impl Fault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn before(self, awaited: &str, events: usize) -> Self {
        Self(format!("{self}: {awaited:?} was published, and {events} others came before"))
    }

    /// The same, with where it was before it.
    pub(super) fn at(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {self}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Calls {
    pub(super) fn enter(&self, call: Call) -> impl Drop {
        struct Within<'c>(&'c Calls, Call);
        impl Drop for Within<'_> {
            fn drop(&mut self) {
                self.0.within[self.1 as usize].fetch_sub(1, Ordering::Relaxed);
                self.0.completed.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.within[call as usize].fetch_add(1, Ordering::Relaxed);
        Within(self, call)
    }

    pub(super) fn completed(&self) -> usize {
        self.completed.load(Ordering::Relaxed)
    }
}

/// The calls that have not returned.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = CALLS.iter().zip(&self.within);
        let names: Vec<_> = within
            .filter(|(_, count)| count.load(Ordering::Relaxed) > 0)
            .map(|(name, _)| *name)
            .collect();
        f.write_str(if names.is_empty() { "no call of ours" } else { "" })?;
        f.write_str(&names.join(" and "))
    }
}

/// What a thread of a rule gave.
pub(super) fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Fault>>) -> Result<T, Fault> {
    match thread.join() {
        Ok(result) => result,
        Err(payload) => Err(Fault::new(format!("it panicked: {}", panic_text(&*payload)))),
    }
}
