//! Async tasks that wait for frames, each by its topics, so that a publisher wakes just those.
//!
//! A task registers, then looks; a publisher stores the head, then wakes who is registered. Both take
//! the lock of the topic's shard in between, so one of them comes first there: the publisher finds the
//! task, or the task finds the head.
//!
//! Waking takes every waker of a topic. A task that was woken registers again when it next waits.

use std::{fmt, sync::Arc, task::Waker};

use crossbeam::utils::CachePadded;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::log::{Topic, TopicId};

/// Who waits, of all topics.
pub(super) struct Waiting {
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
}

/// Locks: a topic's is shared with few others.
const SHARDS: usize = 32;

#[derive(Default)]
struct Shard {
    topics: FxHashMap<TopicId, Round>,
    rounds: u64,
}

/// Who has registered since the topic's tasks were last woken.
struct Round {
    number: u64,
    wakers: Slab<Waker>,
}

/// Where one task is registered.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
    topic: TopicId,
    round: u64,
    key: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| CachePadded::default()) }
    }
}

impl Waiting {
    /// Registers a task, whose places these are, with its topics. True: it was not registered with
    /// all of them, so it must look once more before it waits.
    pub(super) fn register(
        &self,
        places: &mut Places,
        topics: &[Arc<Topic>],
        waker: &Waker,
    ) -> bool {
        let mut is_new = false;
        for topic in topics {
            let place = places.0.iter_mut().find(|place| place.topic == topic.id());
            let mut shard = self.shard(topic.id()).lock();
            let round = shard.round(topic.id());
            let kept = place.as_ref().filter(|place| place.round == round.number);
            if let Some(kept) = kept {
                round.wakers[kept.key].clone_from(waker);
                continue;
            }
            is_new = true;
            let (number, key) = (round.number, round.wakers.insert(waker.clone()));
            match place {
                Some(place) => (place.round, place.key) = (number, key),
                None => places.0.push(Place { topic: topic.id(), round: number, key }),
            }
        }
        is_new
    }

    /// Forgets a task.
    pub(super) fn remove(&self, places: &mut Places) {
        for place in places.0.drain(..) {
            let mut shard = self.shard(place.topic).lock();
            let Some(round) = shard.topics.get_mut(&place.topic) else { continue };
            if round.number == place.round {
                round.wakers.remove(place.key);
            }
            if round.wakers.is_empty() {
                shard.topics.remove(&place.topic);
            }
        }
    }

    /// Wakes who waits for a topic.
    pub(super) fn wake(&self, topic: TopicId) {
        let shard = self.shard(topic);
        let Some(mut wakers) = shard.lock().next_round(topic) else { return };
        // Without the lock: a waker is somebody else's code.
        wakers.drain().for_each(Waker::wake);
        shard.lock().reuse(topic, wakers);
    }

    /// Wakes who waits for anything.
    pub(super) fn wake_all(&self) {
        for shard in &self.shards {
            let topics: Vec<_> = shard.lock().topics.keys().copied().collect();
            topics.into_iter().for_each(|topic| self.wake(topic));
        }
    }

    fn shard(&self, topic: TopicId) -> &Mutex<Shard> {
        // Ids are given one after the other.
        &self.shards[topic.0 as usize % SHARDS]
    }
}

impl Shard {
    fn round(&mut self, topic: TopicId) -> &mut Round {
        self.topics.entry(topic).or_insert_with(|| {
            self.rounds += 1;
            Round { number: self.rounds, wakers: Slab::new() }
        })
    }

    /// Those of the round that is over, if there are any.
    fn next_round(&mut self, topic: TopicId) -> Option<Slab<Waker>> {
        let round = self.topics.get_mut(&topic).filter(|round| !round.wakers.is_empty())?;
        self.rounds += 1;
        round.number = self.rounds;
        Some(std::mem::take(&mut round.wakers))
    }

    /// Keeps the memory of a round that is over for the one that has begun.
    fn reuse(&mut self, topic: TopicId, wakers: Slab<Waker>) {
        let Some(round) = self.topics.get_mut(&topic) else { return };
        if round.wakers.is_empty() {
            round.wakers = wakers;
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;
    use crate::log::Sequence;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn so_far(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn topics(ids: impl IntoIterator<Item = u64>) -> Vec<Arc<Topic>> {
        ids.into_iter().map(|id| Arc::new(Topic::new(TopicId(id), "t", Sequence::FIRST))).collect()
    }

    fn waker() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (Arc::clone(&wakes), wakes.into())
    }

    #[test]
    fn a_task_is_woken_once_for_each_time_it_waits_and_by_its_topics_only() {
        let waiting = Waiting::default();
        let (wakes, waker) = waker();
        let (mut places, both) = (Places::default(), topics([1, 1 + SHARDS as u64]));
        assert!(waiting.register(&mut places, &both, &waker));
        assert!(!waiting.register(&mut places, &both, &waker), "it is registered");
        waiting.wake(TopicId(2));
        assert_eq!(wakes.so_far(), 0);
        waiting.wake(TopicId(1));
        waiting.wake(TopicId(1));
        assert_eq!(wakes.so_far(), 1);
        assert!(waiting.register(&mut places, &both, &waker), "the first topic's has been used up");
        waiting.wake_all();
        assert_eq!(wakes.so_far(), 3, "once for each topic");
    }

    #[test]
    fn the_waker_of_the_last_time_is_the_one_that_counts() {
        let waiting = Waiting::default();
        let ((old, old_waker), (new, new_waker)) = (waker(), waker());
        let (mut places, topics) = (Places::default(), topics([1]));
        waiting.register(&mut places, &topics, &old_waker);
        waiting.register(&mut places, &topics, &new_waker);
        waiting.wake(TopicId(1));
        assert_eq!((old.so_far(), new.so_far()), (0, 1));
    }

    #[test]
    fn nothing_is_kept_of_who_has_gone() {
        let waiting = Waiting::default();
        let ((gone, gone_waker), (stays, stays_waker)) = (waker(), waker());
        let topics = topics(1..100);
        let (mut going, mut staying) = (Places::default(), Places::default());
        waiting.register(&mut going, &topics, &gone_waker);
        waiting.register(&mut staying, &topics[..1], &stays_waker);
        waiting.remove(&mut going);
        drop(gone_waker);
        assert_eq!(Arc::strong_count(&gone), 1);
        waiting.wake(TopicId(1));
        assert_eq!((gone.so_far(), stays.so_far()), (0, 1));
        waiting.remove(&mut staying);
        assert!(waiting.shards.iter().all(|shard| shard.lock().topics.is_empty()));
    }

    #[test]
    fn a_place_of_a_round_that_is_over_is_nobody_else_s() {
        let waiting = Waiting::default();
        let ((_, one_waker), (other, other_waker)) = (waker(), waker());
        let topics = topics([1]);
        let (mut one, mut another) = (Places::default(), Places::default());
        waiting.register(&mut one, &topics, &one_waker);
        waiting.wake(TopicId(1));
        waiting.register(&mut another, &topics, &other_waker);
        // The same key, a round later.
        waiting.remove(&mut one);
        waiting.wake(TopicId(1));
        assert_eq!(other.so_far(), 1);
    }
}
