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
