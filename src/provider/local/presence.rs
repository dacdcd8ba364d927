//! Who has how many subscribers, told as events on a topic.
//!
//! Not each join and leave, but the count there is: a topic whose subscribers come and go is noted
//! once and told once, however often that was, so that a crowd that reconnects makes no storm. What
//! is noted is bounded, and so is what is told at a time; whatever waits is told later, with the
//! count that there is then.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;

use super::LocalProvider;
use crate::{
    limits,
    provider::Closed,
    sse::{EventType, Message},
};

/// Type of the event that tells how many subscribers a topic has now, on the topic of
/// [`LocalProviderBuilder::presence`](super::LocalProviderBuilder::presence).
pub const PRESENCE_EVENT: &str = "fanfare.presence";

#[derive(Debug)]
pub(super) struct Presence {
    /// Where it is told.
    topic: Box<str>,
    changed: Mutex<Changed>,
}

/// Topics whose subscribers are others than was told, longest ago first.
#[derive(Debug, Default)]
struct Changed {
    in_order: VecDeque<Arc<str>>,
    /// The same. Its hasher is keyed, so names cannot be chosen to collide.
    names: HashSet<Arc<str>>,
    /// A change found no room.
    missed: bool,
}

/// The data of such an event.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'t> {
    Count {
        topic: &'t str,
        subscribers: u32,
    },
    /// Counts that were told before may be wrong by now.
    Missed {
        missed: bool,
    },
}

impl Presence {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.into(), changed: Mutex::default() }
    }

    /// Notes that somebody has come to or gone from a topic or pattern.
    pub(super) fn note(&self, name: &str) {
        // Whoever watches is nobody's news.
        if name != &*self.topic {
            self.changed.lock().note(name);
        }
    }
}

impl Changed {
    fn note(&mut self, name: &str) {
        if self.names.contains(name) {
            return;
        }
        if self.names.len() >= limits::PRESENCE_CHANGES_MAX {
            self.missed = true;
            return;
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        self.in_order.push_back(name);
    }

    /// The next ones to be told of.
    fn take(&mut self, most: usize) -> Vec<Arc<str>> {
        let taken: Vec<_> = self.in_order.drain(..most.min(self.in_order.len())).collect();
        for name in &taken {
            self.names.remove(name);
        }
        taken
    }
}

impl LocalProvider {
    /// The topic on which presence is told, if it is.
    pub fn presence_topic(&self) -> Option<&str> {
        self.shared.presence.as_ref().map(|presence| &*presence.topic)
    }

    /// Tells on the topic of [`presence`](super::LocalProviderBuilder::presence) how many subscribers
    /// those topics have now whose subscribers have changed, [`PRESENCE_TOLD_MAX`](limits::PRESENCE_TOLD_MAX) of
    /// them at most; the others are told of next time. Returns how many events that made.
    ///
    /// A server calls it in an interval.
    ///
    /// ```
    /// use fanfare::{LocalProvider, provider::SubscribeRequest};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let provider = LocalProvider::builder().presence("who")?.build();
    /// let mut watcher = provider.subscribe(&SubscribeRequest::to(&["who"]))?;
    /// let _lobby = provider.subscribe(&SubscribeRequest::to(&["lobby"]))?;
    /// assert_eq!(provider.tell_presence()?, 1);
    /// let event = watcher.next().await.expect("the provider is open")?;
    /// assert!(event.ends_with(b"data: {\"topic\":\"lobby\",\"subscribers\":1}\n\n"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Closed`] if it has been shut down.
    pub fn tell_presence(&self) -> Result<usize, Closed> {
        let Some(presence) = &self.shared.presence else { return Ok(0) };
        let (names, missed) = {
            let mut changed = presence.changed.lock();
            (changed.take(limits::PRESENCE_TOLD_MAX), mem::take(&mut changed.missed))
        };
        // Counted after they were taken: who comes from now on is noted anew.
        let counts = names.iter().map(|name| self.presence_of(name));
        let missed = missed.then(|| message(&Told::Missed { missed: true }));
        let messages: Vec<Message> = missed.into_iter().chain(counts).collect();
        if !messages.is_empty() {
            self.publish_ours(&messages, &presence.topic)?;
        }
        Ok(messages.len())
    }

    fn presence_of(&self, name: &str) -> Message {
        let subscribers = self.shared.topics.find(name).map_or(0, |topic| topic.subscribers());
        let message = message(&Told::Count { topic: name, subscribers });
        if name.len() <= limits::CONFLATION_KEY_BYTES_MAX {
            message.conflate_by(name)
        } else {
            message
        }
    }
}

fn message(told: &Told<'_>) -> Message {
    let data = serde_json::to_string(told).expect("numbers and texts are always JSON");
    Message::new(data).event(EventType::new(PRESENCE_EVENT).expect("it is one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{SubscribeRequest, TopicError};

    fn provider() -> LocalProvider {
        LocalProvider::builder().presence("who").unwrap().build()
    }

    async fn told(subscription: &mut super::super::LocalSubscription) -> Vec<String> {
        let events = subscription.next().await.unwrap().unwrap();
        let events = String::from_utf8(events.to_vec()).unwrap();
        assert_eq!(
            events.matches("event: fanfare.presence\n").count(),
            events.matches("data: ").count()
        );
        let lines = events.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn each_topic_is_told_once_with_the_count_there_is() {
        let provider = provider();
        let subscribe = |topic: &str| provider.subscribe(&SubscribeRequest::to(&[topic])).unwrap();
        let mut watcher = subscribe("who");
        assert_eq!(provider.tell_presence(), Ok(0), "whoever watches is no news");
        let held = [subscribe("a"), subscribe("a"), subscribe("n/*")];
        drop(subscribe("a"));
        drop(subscribe("b"));
        assert_eq!(provider.tell_presence(), Ok(3));
        let counts = [
            r#"{"topic":"a","subscribers":2}"#,
            r#"{"topic":"n/*","subscribers":1}"#,
            r#"{"topic":"b","subscribers":0}"#,
        ];
        assert_eq!(told(&mut watcher).await, counts);
        assert_eq!(provider.tell_presence(), Ok(0), "nothing has changed");
        drop(held);
        assert_eq!(provider.tell_presence(), Ok(2));
        let gone = [r#"{"topic":"a","subscribers":0}"#, r#"{"topic":"n/*","subscribers":0}"#];
        assert_eq!(told(&mut watcher).await, gone);
        provider.shutdown().unwrap();
        drop(watcher);
        assert_eq!(provider.tell_presence(), Ok(0));
    }

    #[tokio::test]
    async fn a_storm_is_told_in_parts_and_what_found_no_room_is_owned_up_to() {
        let provider = provider();
        let mut watcher = provider.subscribe(&SubscribeRequest::to(&["who"])).unwrap();
        let topics = limits::PRESENCE_CHANGES_MAX + 1;
        for nth in 0..topics {
            provider.subscribe(&SubscribeRequest::to(&[&format!("t{nth}")])).unwrap();
        }
        assert_eq!(provider.tell_presence(), Ok(limits::PRESENCE_TOLD_MAX + 1));
        let first = told(&mut watcher).await;
        assert_eq!(first[..2], [r#"{"missed":true}"#, r#"{"topic":"t0","subscribers":0}"#]);
        let mut rest = 0;
        loop {
            match provider.tell_presence().unwrap() {
                0 => break,
                events => rest += events,
            }
        }
        assert_eq!(rest, limits::PRESENCE_CHANGES_MAX - limits::PRESENCE_TOLD_MAX);
    }

    #[test]
    fn it_is_told_on_a_topic_and_not_where_nobody_asked() {
        let on_pattern = LocalProvider::builder().presence("who/*");
        assert_eq!(on_pattern.unwrap_err(), TopicError::Pattern);
        let silent = LocalProvider::builder().build();
        let _subscription = silent.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
        assert_eq!(silent.tell_presence(), Ok(0));
    }
}
