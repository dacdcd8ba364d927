//! A topic: which frames it has, and who wants them.
//!
//! The Log appends to and retires from the topic's index under the append lock; readers that catch
//! up look sequences up in it.

use std::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

use parking_lot::Mutex;

use super::{Sequence, index::Index, interest::Interest};

/// A topic's identity for as long as its table entry lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub(crate) u64);

/// One topic.
#[derive(Debug)]
pub struct Topic {
    id: TopicId,
    name: Box<str>,
    index: Mutex<Index>,
    interest: Interest,
    subscribers: AtomicU32,
    /// Of a pattern: frames from here on name it.
    begins: Option<Sequence>,
}

impl Topic {
    /// A topic without frames. Frames before `complete_from` may have been its own in an earlier life.
    pub fn new(id: TopicId, name: &str, complete_from: Sequence) -> Self {
        Self::with(id, name, complete_from, None)
    }

    /// A pattern that stands for topics: every frame from `complete_from` on that is published to one of
    /// them is published to it too.
    pub fn pattern(id: TopicId, name: &str, complete_from: Sequence) -> Self {
        Self::with(id, name, complete_from, Some(complete_from))
    }

    fn with(id: TopicId, name: &str, complete_from: Sequence, begins: Option<Sequence>) -> Self {
        Self {
            id,
            name: name.into(),
            index: Mutex::new(Index::new(complete_from)),
            interest: Interest::new(),
            subscribers: AtomicU32::new(0),
            begins,
        }
    }

    /// Its identity.
    pub fn id(&self) -> TopicId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a pattern, and stands for topics.
    pub fn is_pattern(&self) -> bool {
        self.begins.is_some()
    }

    /// From here on a frame of its own names it. A pattern's earlier ones are in its index alone.
    pub fn named_from(&self) -> Sequence {
        self.begins.unwrap_or(Sequence::FIRST)
    }

    /// Who is woken for its frames.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Subscribers at the moment.
    pub fn subscribers(&self) -> u32 {
        self.subscribers.load(Ordering::Relaxed)
    }

    /// Whether nobody subscribes and nothing is retained: the table may forget it.
    pub fn is_idle(&self) -> bool {
        self.subscribers() == 0 && self.index.lock().is_empty()
    }

    /// Counts a subscriber in.
    pub fn add_subscriber(&self) {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a subscriber out.
    pub fn remove_subscriber(&self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    /// From here on every published frame of the topic is still known.
    pub fn complete_from(&self) -> Sequence {
        self.index.lock().complete_from()
    }

    /// Whether a frame in `range` is its own, as far as that is still known.
    pub fn has_any(&self, range: Range<Sequence>) -> bool {
        self.index.lock().has_any(range)
    }

    /// Appends to `found` the first `max` sequences of this topic in `range`.
    ///
    /// False: frames at or after its start may be gone.
    #[must_use]
    pub fn sequences(&self, range: Range<Sequence>, max: usize, found: &mut Vec<Sequence>) -> bool {
        self.index.lock().find(range, max, found)
    }

    /// Adds frames from before this pattern was one, in order: all that are its own from
    /// `complete_from` on.
    pub fn prepend(&self, older: &[Sequence], complete_from: Sequence) {
        self.index.lock().prepend(older, complete_from);
    }

    pub(super) fn append(&self, sequence: Sequence, tail: Sequence) {
        let mut index = self.index.lock();
        if self.is_pattern() {
            // Frames that were prepended do not name the pattern when they are retired.
            index.retire_below(tail);
        }
        index.append(sequence);
    }

    /// Forgets its frames before `tail`. True when none is left.
    pub(super) fn retire_below(&self, tail: Sequence) -> bool {
        let mut index = self.index.lock();
        index.retire_below(tail);
        index.is_empty()
    }
}
