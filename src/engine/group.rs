//! Groups: connections of a core that want the very same bytes.
//!
//! Subscribers of the same topics that are served in the same manner form a group, so a batch of frames is
//! gathered once per group and a message on several of its topics is in there once (I3). A topic
//! knows its groups; a group knows its live members.

use std::{sync::Arc, time::Instant};

use rustc_hash::FxHashMap;
use slab::Slab;

use super::driver::Socket;
use crate::{
    log::{Framing, ReaderId, Sequence, Topic, TopicId},
    provider::LagPolicy,
};

/// A group of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupId(u32);

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) topics: Box<[Arc<Topic>]>,
    /// Its place among the groups of each of its topics.
    places: Box<[u32]>,
    pub(super) manner: Manner,
    /// From here on its frames name its topics, so that a pass finds them.
    pub(super) named_from: Sequence,
    /// When it last got a frame.
    pub(super) active_at: Instant,
    /// Those that are up to date.
    live: Vec<Socket>,
    /// Live and lagging ones.
    population: u32,
    /// Those that lag and are offered whatever a pass comes to.
    pub(super) counting: u32,
    /// Messages that these have been offered by passes, each.
    pub(super) offered: u64,
    /// Frames of the batch being planned, as offsets from its first.
    pub(super) pending: Vec<u32>,
    /// Bytes of these.
    pub(super) pending_bytes: usize,
}

/// How the members of a group are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    pub(super) framing: Framing,
    pub(super) lag: LagPolicy,
}

/// The groups of one core.
#[derive(Debug)]
pub(super) struct Groups {
    reader: ReaderId,
    groups: Slab<Group>,
    by_topics: FxHashMap<GroupKey, GroupId>,
    by_topic: FxHashMap<TopicId, Vec<GroupId>>,
}

type GroupKey = (Box<[TopicId]>, Manner);

impl Groups {
    pub(super) fn new(reader: ReaderId) -> Self {
        Self {
            reader,
            groups: Slab::new(),
            by_topics: FxHashMap::default(),
            by_topic: FxHashMap::default(),
        }
    }

    /// Counts a connection into the group of these topics; frames published after this wake the
    /// core.
    pub(super) fn join(&mut self, topics: &[Arc<Topic>], manner: Manner, now: Instant) -> GroupId {
        let key = key(topics, manner);
        if let Some(&id) = self.by_topics.get(&key) {
            self.groups[id.0 as usize].population += 1;
            return id;
        }
        let id = GroupId(self.groups.vacant_key() as u32);
        let named_from = topics.iter().map(|topic| topic.named_from()).max();
        let group = Group {
            topics: topics.into(),
            places: topics.iter().map(|topic| self.enter(topic, id)).collect(),
            manner,
            named_from: named_from.unwrap_or(Sequence::FIRST),
            active_at: now,
            live: Vec::new(),
            population: 1,
            counting: 0,
            offered: 0,
            pending: Vec::new(),
            pending_bytes: 0,
        };
        self.groups.insert(group);
        if manner.lag == LagPolicy::Conflate {
            topics.iter().for_each(|topic| topic.conflate());
        }
        self.by_topics.insert(key, id);
        id
    }

    /// Counts a connection out that is no longer among the live members.
    pub(super) fn leave(&mut self, id: GroupId) {
        let group = &mut self.groups[id.0 as usize];
        group.population -= 1;
        if group.population == 0 {
            let group = self.groups.remove(id.0 as usize);
            self.by_topics.remove(&key(&group.topics, group.manner));
            for (topic, &place) in group.topics.iter().zip(&group.places) {
                self.forget(topic, place);
                if group.manner.lag == LagPolicy::Conflate {
                    topic.stop_conflating();
                }
            }
        }
    }

    pub(super) fn get(&self, id: GroupId) -> &Group {
        &self.groups[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: GroupId) -> &mut Group {
        &mut self.groups[id.0 as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|(_, group)| group)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups that want a topic's frames.
    #[inline]
    pub(super) fn of_topic(&self, topic: TopicId) -> &[GroupId] {
        self.by_topic.get(&topic).map_or(&[], Vec::as_slice)
    }

    /// Makes a connection a live member, and gives its place.
    pub(super) fn add_live(&mut self, id: GroupId, socket: Socket) -> u32 {
        let live = &mut self.groups[id.0 as usize].live;
        live.push(socket);
        live.len() as u32 - 1
    }

    /// Takes a live member out. Gives the one that has moved into its place.
    pub(super) fn remove_live(&mut self, id: GroupId, member: u32) -> Option<Socket> {
        let live = &mut self.groups[id.0 as usize].live;
        live.swap_remove(member as usize);
        live.get(member as usize).copied()
    }

    /// Adds a group to those of a topic, and gives its place.
    fn enter(&mut self, topic: &Topic, id: GroupId) -> u32 {
        let groups = self.by_topic.entry(topic.id()).or_default();
        if groups.is_empty() {
            topic.interest().add_reader(self.reader);
        }
        groups.push(id);
        groups.len() as u32 - 1
    }

    /// Takes the group at this place out of those of a topic, and tells the one that moves there:
    /// where each connection is a group of its own, a shared topic has as many groups.
    fn forget(&mut self, topic: &Topic, place: u32) {
        let Some(groups) = self.by_topic.get_mut(&topic.id()) else { return };
        groups.swap_remove(place as usize);
        if let Some(&moved) = groups.get(place as usize) {
            let moved = &mut self.groups[moved.0 as usize];
            let nth = moved.topics.iter().position(|of| of.id() == topic.id());
            moved.places[nth.expect("it is a group of this topic")] = place;
        } else if groups.is_empty() {
            self.by_topic.remove(&topic.id());
            topic.interest().remove_reader(self.reader);
        }
    }
}

impl Group {
    /// Those that are up to date.
    pub(super) fn live(&self) -> &[Socket] {
        &self.live
    }
}

/// The same topics in any order are the same group.
fn key(topics: &[Arc<Topic>], manner: Manner) -> GroupKey {
    let mut ids: Box<[TopicId]> = topics.iter().map(|topic| topic.id()).collect();
    ids.sort_unstable();
    (ids, manner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Sequence;

    const MANNER: Manner = Manner { framing: Framing::Chunked, lag: LagPolicy::Disconnect };

    fn topic(id: u64) -> Arc<Topic> {
        Arc::new(Topic::new(TopicId(id), "", Sequence::FIRST))
    }

    #[test]
    fn who_leaves_in_any_order_is_forgotten_by_each_topic() {
        let all = topic(0);
        let own: Vec<_> = (1..=20).map(topic).collect();
        for stride in [1, 3, 7, 19] {
            let mut groups = Groups::new(ReaderId::new(0).unwrap());
            let join = |own: &Arc<Topic>| {
                let topics = [Arc::clone(own), Arc::clone(&all)];
                groups.join(&topics, MANNER, Instant::now())
            };
            let ids: Vec<_> = own.iter().map(join).collect();
            let mut left: Vec<_> = ids.clone();
            for nth in 0..ids.len() {
                let id = ids[nth * stride % ids.len()];
                groups.leave(id);
                left.retain(|&other| other != id);
                let mut of_all = groups.of_topic(all.id()).to_vec();
                of_all.sort_by_key(|id| id.0);
                assert_eq!(of_all, left);
                for (id, own) in ids.iter().zip(&own) {
                    assert_eq!(groups.of_topic(own.id()).contains(id), left.contains(id));
                }
            }
            assert!(groups.is_empty() && all.interest().readers() == 0);
        }
    }
}
