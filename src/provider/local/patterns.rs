//! The patterns that somebody subscribes to, by their segments.
//!
//! A pattern is a topic like any other to all that reads the Log: a frame is published to the topics
//! it names and to the patterns that match these. So it has an index, an interest and groups, and a
//! message that reaches a subscriber by name and by pattern reaches it once (I3).
//!
//! A pattern is added under the append lock. Whoever publishes holds that from resolving the topics to
//! moving the head, so each frame is either before the pattern's beginning or in its index.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::RwLock;

use super::topic_name::{ANY, REST, segments};
use crate::{limits, log::Topic};

/// Patterns by their segments. The maps' hashers are keyed.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    root: RwLock<Node>,
    count: AtomicUsize,
}

/// What the patterns that begin in one way have in common.
#[derive(Debug, Default)]
struct Node {
    /// The pattern that ends here.
    ends: Option<Arc<Topic>>,
    /// The one that takes all that follows.
    rest: Option<Arc<Topic>>,
    any: Option<Box<Self>>,
    by_segment: HashMap<Box<str>, Self>,
}

impl Patterns {
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Calls `f` with each pattern that stands for the topic.
    pub(super) fn matching(&self, topic: &str, mut f: impl FnMut(&Arc<Topic>)) {
        if self.len() > 0 {
            self.root.read().matching(segments(topic), &mut f);
        }
    }

    /// Calls `f` with each pattern, and with none for each place on the way, until it has enough.
    pub(super) fn try_for_each(
        &self,
        f: &mut impl FnMut(Option<&Arc<Topic>>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.len() == 0 {
            return ControlFlow::Continue(());
        }
        self.root.read().try_for_each(f)
    }

    pub(super) fn get(&self, pattern: &str) -> Option<Arc<Topic>> {
        let root = self.root.read();
        let mut node = &*root;
        for segment in segments(pattern) {
            node = match segment {
                REST => return node.rest.clone(),
                ANY => node.any.as_deref()?,
                name => node.by_segment.get(name)?,
            };
        }
        node.ends.clone()
    }

    /// The pattern with one more subscriber, made by `new` if it is not here. None when there are
    /// [`limits::PATTERNS_MAX`]. Only under the append lock.
    pub(super) fn subscribe(
        &self,
        pattern: &str,
        new: impl FnOnce() -> Arc<Topic>,
    ) -> Option<Arc<Topic>> {
        let mut root = self.root.write();
        // Before a path is made that would lead nowhere.
        let is_full = self.len() >= limits::PATTERNS_MAX;
        if is_full && root.place(pattern).is_none() {
            root.prune(segments(pattern));
            return None;
        }
        let place = root.place(pattern);
        let topic = place.get_or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            new()
        });
        topic.add_subscriber();
        Some(Arc::clone(topic))
    }

    /// The pattern with one subscriber fewer; without any it is forgotten.
    pub(super) fn unsubscribe(&self, topic: &Topic) {
        topic.remove_subscriber();
        if topic.subscribers() > 0 {
            return;
        }
        let mut root = self.root.write();
        let place = root.place(topic.name());
        let is_unused = |held: &mut Arc<Topic>| held.id() == topic.id() && held.subscribers() == 0;
        if place.take_if(is_unused).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        root.prune(segments(topic.name()));
    }
}

impl Node {
    fn try_for_each(
        &self,
        f: &mut impl FnMut(Option<&Arc<Topic>>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        f(None)?;
        self.ends.iter().chain(&self.rest).try_for_each(|topic| f(Some(topic)))?;
        let deeper = self.any.as_deref().into_iter().chain(self.by_segment.values());
        // As deep as a pattern has segments, whose number its length bounds.
        deeper.into_iter().try_for_each(|node| node.try_for_each(f))
    }

    fn matching<'t>(
        &self,
        mut rest: impl Iterator<Item = &'t str> + Clone,
        f: &mut impl FnMut(&Arc<Topic>),
    ) {
        let Some(segment) = rest.next() else {
            return self.ends.iter().for_each(f);
        };
        self.rest.iter().for_each(&mut *f);
        if let Some(node) = &self.any {
            node.matching(rest.clone(), f);
        }
        if let Some(node) = self.by_segment.get(segment) {
            node.matching(rest, f);
        }
    }

    /// Where a pattern is, or would be. Makes the way there.
    fn place(&mut self, pattern: &str) -> &mut Option<Arc<Topic>> {
        let mut node = self;
        for segment in segments(pattern) {
            node = match segment {
                REST => return &mut node.rest,
                ANY => node.any.get_or_insert_default(),
                name => node.by_segment.entry(name.into()).or_default(),
            };
        }
        &mut node.ends
    }

    /// Takes away what of the way to a pattern leads nowhere.
    fn prune<'p>(&mut self, mut rest: impl Iterator<Item = &'p str>) {
        match rest.next() {
            None | Some(REST) => {}
            Some(ANY) => {
                if let Some(node) = &mut self.any {
                    node.prune(rest);
                    self.any.take_if(|node| node.is_empty());
                }
            }
            Some(name) => {
                if let Some(node) = self.by_segment.get_mut(name) {
                    node.prune(rest);
                    if node.is_empty() {
                        self.by_segment.remove(name);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        let Self { ends, rest, any, by_segment } = self;
        ends.is_none() && rest.is_none() && any.is_none() && by_segment.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Sequence, TopicId};

    fn subscribe(patterns: &Patterns, pattern: &str, id: u64) -> Arc<Topic> {
        let new = || Arc::new(Topic::new(TopicId(id), pattern, Sequence::FIRST));
        patterns.subscribe(pattern, new).expect("there is room")
    }

    fn matching(patterns: &Patterns, topic: &str) -> Vec<String> {
        let mut found = Vec::new();
        patterns.matching(topic, |pattern| found.push(pattern.name().to_owned()));
        found.sort_unstable();
        found
    }

    #[test]
    fn exactly_those_match_that_stand_for_the_topic() {
        let patterns = Patterns::default();
        let all = ["*", "**", "a/*", "a/**", "*/b", "a/*/c", "*/*/*", "b/*"];
        for (id, pattern) in all.iter().enumerate() {
            subscribe(&patterns, pattern, id as u64);
        }
        for topic in ["", "a", "a/b", "b/b", "a/b/c", "a/b/d", "x/y/z/w", "a/", "/"] {
            let expected =
                all.iter().filter(|pattern| super::super::topic_name::matches(pattern, topic));
            let mut expected: Vec<_> = expected.map(|pattern| (*pattern).to_owned()).collect();
            expected.sort_unstable();
            assert_eq!(matching(&patterns, topic), expected, "{topic}");
        }
    }

    #[test]
    fn the_last_subscriber_takes_the_pattern_and_the_way_to_it_along() {
        let patterns = Patterns::default();
        let deep = subscribe(&patterns, "a/*/c/**", 1);
        let again = subscribe(&patterns, "a/*/c/**", 2);
        assert_eq!(deep.id(), again.id());
        let short = subscribe(&patterns, "a/*", 3);
        patterns.unsubscribe(&deep);
        assert_eq!(matching(&patterns, "a/b/c/d"), ["a/*/c/**"]);
        patterns.unsubscribe(&again);
        assert!(matching(&patterns, "a/b/c/d").is_empty());
        assert_eq!((patterns.len(), matching(&patterns, "a/b").len()), (1, 1));
        patterns.unsubscribe(&short);
        assert!(patterns.root.read().is_empty());
    }

    #[test]
    fn there_is_a_most_and_what_is_refused_leaves_nothing_behind() {
        let patterns = Patterns::default();
        for id in 0..limits::PATTERNS_MAX as u64 {
            subscribe(&patterns, &format!("{id}/*"), id);
        }
        let refused = patterns.subscribe("x/y/*", || unreachable!("there is no room"));
        assert!(refused.is_none() && patterns.get("x/y/*").is_none());
        assert!(!patterns.root.read().by_segment.contains_key("x"));
        assert!(patterns.subscribe("7/*", || unreachable!("it is there")).is_some());
    }
}
