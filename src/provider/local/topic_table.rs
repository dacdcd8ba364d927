//! The topics in use: those with a subscriber or a retained frame. Others are forgotten.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::DashSet;

use super::{patterns::Patterns, topic_name::is_pattern};
use crate::log::{FrameTopics, Log, Topic, TopicId};

/// Topics by name, and patterns. The set's hasher is keyed, so names cannot be chosen to collide.
#[derive(Debug, Default)]
pub(super) struct TopicTable {
    topics: DashSet<ByName>,
    patterns: Patterns,
    next_id: AtomicU64,
}

/// A topic that is found by its name.
#[derive(Clone, Debug)]
struct ByName(Arc<Topic>);

impl TopicTable {
    /// Topics, without patterns.
    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// The topic of this name, which is no pattern.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.get(name).map(|held| Arc::clone(&held.0))
    }

    /// Calls `f` with topics and patterns, in no order, until it has enough; with none for a place that
    /// only leads to patterns. A lock that new topics need is held meanwhile.
    pub(super) fn try_for_each(
        &self,
        mut f: impl FnMut(Option<&Arc<Topic>>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.topics.iter().try_for_each(|held| f(Some(&held.0)))?;
        self.patterns.try_for_each(&mut f)
    }

    /// Where a frame for these names goes: their topics and the patterns that match, each once. Only
    /// under the append lock: [`forget`] runs there too, so the topics stay in the table until the
    /// frame is in.
    ///
    /// [`forget`]: Self::forget
    pub(super) fn resolve(&self, names: &[&str], log: &Log) -> FrameTopics {
        if let [name] = names
            && self.patterns.len() == 0
        {
            return FrameTopics::One(self.for_append(name, log));
        }
        let mut topics: Vec<Arc<Topic>> = Vec::with_capacity(names.len());
        let add = |topic: &Arc<Topic>, topics: &mut Vec<Arc<Topic>>| {
            if topics.iter().all(|earlier| earlier.id() != topic.id()) {
                topics.push(Arc::clone(topic));
            }
        };
        for name in names {
            add(&self.for_append(name, log), &mut topics);
            self.patterns.matching(name, |pattern| add(pattern, &mut topics));
        }
        match topics.len() {
            1 => FrameTopics::One(topics.remove(0)),
            _ => FrameTopics::Many(topics.into()),
        }
    }

    /// The topic or pattern of this name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        if is_pattern(name) { self.patterns.get(name) } else { self.get(name) }
    }

    /// Where a message to this topic would go, as far as anybody subscribes; or this pattern.
    pub(super) fn reached_by(&self, name: &str) -> Vec<Arc<Topic>> {
        if is_pattern(name) {
            return self.patterns.get(name).into_iter().collect();
        }
        let mut topics: Vec<_> = self.get(name).into_iter().collect();
        self.patterns.matching(name, |pattern| topics.push(Arc::clone(pattern)));
        topics
    }

    /// The topic or pattern with one more subscriber; none when there is no room for the pattern.
    pub(super) fn subscribe(&self, name: &str, log: &Log) -> Option<Arc<Topic>> {
        if is_pattern(name) {
            let _append = log.append();
            // Every frame from here on will be in its index.
            let new = || Arc::new(Topic::pattern(self.new_id(), name, log.head()));
            return self.patterns.subscribe(name, new);
        }
        // Counted under the set's lock, so the topic cannot be forgotten in between.
        let join = |topic: &Arc<Topic>| {
            topic.add_subscriber();
            Arc::clone(topic)
        };
        if let Some(held) = self.topics.get(name) {
            return Some(join(&held.0));
        }
        let _append = log.append();
        Some(self.with_topic(name, log, join))
    }

    /// The topic with one subscriber fewer.
    pub(super) fn unsubscribe(&self, topic: &Topic, log: &Log) {
        if topic.is_pattern() {
            return self.patterns.unsubscribe(topic);
        }
        topic.remove_subscriber();
        if topic.is_idle() {
            let _append = log.append();
            self.forget(topic);
        }
    }

    /// Removes a topic that nobody subscribes to and that has no retained frame. Only under the
    /// append lock.
    pub(super) fn forget(&self, topic: &Topic) {
        if topic.is_idle() {
            self.topics
                .remove_if(topic.name(), |held| held.0.id() == topic.id() && held.0.is_idle());
        }
    }

    fn for_append(&self, name: &str, log: &Log) -> Arc<Topic> {
        self.with_topic(name, log, Arc::clone)
    }

    /// Calls `f` with the topic of a name while it cannot be forgotten. Only under the append lock: the
    /// tail stays where it is until a new topic is here to learn of what is retired.
    fn with_topic<R>(&self, name: &str, log: &Log, f: impl Fn(&Arc<Topic>) -> R) -> R {
        loop {
            if let Some(held) = self.topics.get(name) {
                return f(&held.0);
            }
            // An earlier topic of this name may have had any frame that is retired by now.
            let topic = Topic::new(self.new_id(), name, log.tail());
            self.topics.insert(ByName(Arc::new(topic)));
        }
    }

    fn new_id(&self) -> TopicId {
        TopicId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.name().hash(hasher);
    }
}
