//! The names in use: topics with a subscriber or a retained frame. Others are forgotten.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;

use crate::{
    limits,
    log::{Log, Topic, TopicId},
};

/// The topic implied when none is named.
pub const DEFAULT_TOPIC: &str = "";

/// Why a topic's name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// A name over [`limits::TOPIC_BYTES_MAX`].
    #[error("topic name of {len} bytes is longer than {max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The most it may have.
        max: usize,
    },
    /// A control character.
    #[error("topic name has a control character at byte {at}")]
    Control {
        /// Where.
        at: usize,
    },
}

/// Checks a topic's name: at most [`limits::TOPIC_BYTES_MAX`] bytes, no control characters.
///
/// The empty name is [`DEFAULT_TOPIC`].
///
/// # Errors
/// [`TopicError`] names the fault.
pub fn check_topic(name: &str) -> Result<(), TopicError> {
    if name.len() > limits::TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { len: name.len(), max: limits::TOPIC_BYTES_MAX });
    }
    match name.char_indices().find(|(_, char)| char.is_control()) {
        Some((at, _)) => Err(TopicError::Control { at }),
        None => Ok(()),
    }
}

/// Name → topic. The map's hasher is keyed, so names cannot be chosen to collide.
#[derive(Debug, Default)]
pub(super) struct TopicTable {
    topics: DashMap<Box<str>, Arc<Topic>>,
    next_id: AtomicU64,
}

impl TopicTable {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.get(name).map(|topic| Arc::clone(&topic))
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// The topic a frame is about to be appended to. Only under the append lock: [`forget`] runs
    /// there too, so what is returned stays in the table until the frame is in.
    ///
    /// [`forget`]: Self::forget
    pub(super) fn for_append(&self, name: &str, log: &Log) -> Arc<Topic> {
        match self.get(name) {
            Some(topic) => topic,
            None => self.insert(name, log, |_| {}),
        }
    }

    /// The topic with one more subscriber.
    pub(super) fn subscribe(&self, name: &str, log: &Log) -> Arc<Topic> {
        // Counted under the map's lock, so the topic cannot be forgotten in between.
        self.insert(name, log, Topic::add_subscriber)
    }

    /// The topic with one subscriber fewer.
    pub(super) fn unsubscribe(&self, topic: &Topic, log: &Log) {
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
                .remove_if(topic.name(), |_, held| held.id() == topic.id() && held.is_idle());
        }
    }

    fn insert(&self, name: &str, log: &Log, touch: impl FnOnce(&Topic)) -> Arc<Topic> {
        let entry = self.topics.entry(name.into()).or_insert_with(|| {
            let id = TopicId(self.next_id.fetch_add(1, Ordering::Relaxed));
            // An earlier topic of this name may have had any frame that is retired by now.
            Arc::new(Topic::new(id, name, log.tail()))
        });
        touch(&entry);
        Arc::clone(&entry)
    }
}
