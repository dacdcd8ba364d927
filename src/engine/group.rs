//! Groups: connections of a core that want the very same bytes.
//!
//! Subscribers of the same topics with the same framing form a group, so a batch of frames is
//! gathered once per group and a message on several of its topics is in there once (I3). A topic
//! knows its groups; a group knows its live members.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use slab::Slab;

use super::driver::Socket;
use crate::log::{Framing, ReaderId, Sequence, Topic, TopicId};

/// A group of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupId(u32);

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) topics: Box<[Arc<Topic>]>,
    pub(super) framing: Framing,
    /// From here on its frames name its topics, so that a pass finds them.
    pub(super) named_from: Sequence,
    /// Those that are up to date.
    live: Vec<Socket>,
    /// Live and lagging ones.
    population: u32,
    /// Frames of the batch being planned, as offsets from its first.
    pub(super) pending: Vec<u32>,
}

/// The groups of one core.
#[derive(Debug)]
pub(super) struct Groups {
    reader: ReaderId,
    groups: Slab<Group>,
    by_topics: FxHashMap<GroupKey, GroupId>,
    by_topic: FxHashMap<TopicId, Vec<GroupId>>,
}

type GroupKey = (Box<[TopicId]>, Framing);

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
    pub(super) fn join(&mut self, topics: &[Arc<Topic>], framing: Framing) -> GroupId {
        let key = key(topics, framing);
        if let Some(&id) = self.by_topics.get(&key) {
            self.groups[id.0 as usize].population += 1;
            return id;
        }
        let named_from = topics.iter().map(|topic| topic.named_from()).max();
        let group = Group {
            topics: topics.into(),
            framing,
            named_from: named_from.unwrap_or(Sequence::FIRST),
            live: Vec::new(),
            population: 1,
            pending: Vec::new(),
        };
        let id = GroupId(self.groups.insert(group) as u32);
        self.by_topics.insert(key, id);
        for topic in topics {
            let groups = self.by_topic.entry(topic.id()).or_default();
            if groups.is_empty() {
                topic.interest().add_reader(self.reader);
            }
            groups.push(id);
        }
        id
    }

    /// Counts a connection out that is no longer among the live members.
    pub(super) fn leave(&mut self, id: GroupId) {
        let group = &mut self.groups[id.0 as usize];
        group.population -= 1;
        if group.population == 0 {
            let group = self.groups.remove(id.0 as usize);
            self.by_topics.remove(&key(&group.topics, group.framing));
            for topic in &group.topics {
                self.forget(topic, id);
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

    fn forget(&mut self, topic: &Topic, id: GroupId) {
        let Some(groups) = self.by_topic.get_mut(&topic.id()) else { return };
        groups.retain(|&group| group != id);
        if groups.is_empty() {
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
fn key(topics: &[Arc<Topic>], framing: Framing) -> GroupKey {
    let mut ids: Box<[TopicId]> = topics.iter().map(|topic| topic.id()).collect();
    ids.sort_unstable();
    (ids, framing)
}
