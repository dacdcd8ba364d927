//! How many subscriptions name several topics at once, so that one that matches a message twice is
//! counted once.
//!
//! A topic counts its subscribers. Whoever is on two topics of a message is in both counts; the sets
//! of topics say how often that is so. Looked at only for messages that are on several topics, or on a
//! topic and a pattern, and then at the sets that have one of these but the most popular one.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use crate::log::{Topic, TopicId};

/// The sets of topics that subscriptions have: some 150 B for each distinct one of several topics.
#[derive(Debug, Default)]
pub(super) struct TopicSets {
    sets: Mutex<Sets>,
    /// Subscriptions that are counted here.
    len: AtomicUsize,
}

#[derive(Debug, Default)]
struct Sets {
    subscriptions: HashMap<Arc<[TopicId]>, u32>,
    by_topic: HashMap<TopicId, HashSet<Arc<[TopicId]>>>,
}

impl TopicSets {
    /// Counts a subscription of these topics in.
    pub(super) fn join(&self, topics: &[Arc<Topic>]) {
        if topics.len() < 2 {
            return;
        }
        self.len.fetch_add(1, Ordering::Relaxed);
        let set = set_of(topics);
        let mut sets = self.sets.lock();
        if let Some(count) = sets.subscriptions.get_mut(&set) {
            *count += 1;
            return;
        }
        for topic in set.iter() {
            sets.by_topic.entry(*topic).or_default().insert(Arc::clone(&set));
        }
        sets.subscriptions.insert(set, 1);
    }

    /// Counts one out.
    pub(super) fn leave(&self, topics: &[Arc<Topic>]) {
        if topics.len() < 2 {
            return;
        }
        let set = set_of(topics);
        let mut sets = self.sets.lock();
        let Some(count) = sets.subscriptions.get_mut(&set) else { return };
        self.len.fetch_sub(1, Ordering::Relaxed);
        *count -= 1;
        if *count > 0 {
            return;
        }
        sets.subscriptions.remove(&set);
        for topic in set.iter() {
            let Some(others) = sets.by_topic.get_mut(topic) else { continue };
            others.remove(&set);
            if others.is_empty() {
                sets.by_topic.remove(topic);
            }
        }
    }

    /// Subscriptions that have one of these topics.
    pub(super) fn count(&self, topics: &[Arc<Topic>]) -> u32 {
        let in_all = topics.iter().map(|topic| topic.subscribers()).sum::<u32>();
        if topics.len() < 2 || self.len.load(Ordering::Relaxed) == 0 {
            return in_all;
        }
        in_all.saturating_sub(self.sets.lock().counted_again(topics))
    }
}

impl Sets {
    /// How often a subscription is in the count of another of these topics, after the first.
    fn counted_again(&self, topics: &[Arc<Topic>]) -> u32 {
        let wanted: HashSet<TopicId> = topics.iter().map(|topic| topic.id()).collect();
        let sets_of = |topic: &TopicId| self.by_topic.get(topic).map_or(0, HashSet::len);
        let Some(&popular) = wanted.iter().max_by_key(|topic| sets_of(topic)) else { return 0 };
        let others = wanted.iter().filter(|&&topic| topic != popular);
        let sets: HashSet<&Arc<[TopicId]>> =
            others.filter_map(|topic| self.by_topic.get(topic)).flatten().collect();
        let again = |set: &&Arc<[TopicId]>| {
            let matching = set.iter().filter(|topic| wanted.contains(topic)).count() as u32;
            (matching - 1) * self.subscriptions[*set]
        };
        sets.iter().map(again).sum()
    }
}

/// The same topics in any order are the same set.
fn set_of(topics: &[Arc<Topic>]) -> Arc<[TopicId]> {
    let mut ids: Vec<TopicId> = topics.iter().map(|topic| topic.id()).collect();
    ids.sort_unstable();
    ids.into()
}
