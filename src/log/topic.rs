//! A topic: which frames it has, and who wants them.
//!
//! The Log appends to and retires from the topic's index under the append lock; readers that catch
//! up look sequences up in it, so that catching up costs the frames sent, not the frames retained.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

use parking_lot::Mutex;

use super::Sequence;

/// A topic's identity for as long as its table entry lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub(crate) u64);

/// A reader thread that is woken when a frame it wants is published: bit of the interest mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderId(u8);

/// One topic.
#[derive(Debug)]
pub struct Topic {
    id: TopicId,
    name: Box<str>,
    index: Mutex<Index>,
    /// Bit n: reader n has a subscriber. Only reader n changes its bit.
    interest: AtomicU64,
    /// Subscriptions read by async tasks, which share one waker.
    async_subscribers: AtomicU32,
    /// Subscribers in all.
    subscribers: AtomicU32,
}

#[derive(Debug)]
struct Index {
    sequences: VecDeque<Sequence>,
    /// Below this, frames of this topic may have been retired.
    retired_below: Sequence,
}

impl ReaderId {
    /// Readers there can be: one bit each.
    pub const MAX: usize = u64::BITS as usize;

    /// The reader with this number, below [`Self::MAX`].
    pub fn new(number: usize) -> Option<Self> {
        (number < Self::MAX).then_some(Self(number as u8))
    }

    /// Its number.
    pub fn number(self) -> usize {
        self.0.into()
    }

    fn bit(self) -> u64 {
        1 << self.0
    }
}

impl Topic {
    /// A topic without frames. Frames below `tail` may have been its own in an earlier life.
    pub fn new(id: TopicId, name: &str, tail: Sequence) -> Self {
        Self {
            id,
            name: name.into(),
            index: Mutex::new(Index { sequences: VecDeque::new(), retired_below: tail }),
            interest: AtomicU64::new(0),
            async_subscribers: AtomicU32::new(0),
            subscribers: AtomicU32::new(0),
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

    /// Subscribers at the moment.
    pub fn subscribers(&self) -> u32 {
        self.subscribers.load(Ordering::Relaxed)
    }

    /// Whether nobody subscribes and nothing is retained: the table may forget it.
    pub fn is_idle(&self) -> bool {
        self.subscribers() == 0 && self.index.lock().sequences.is_empty()
    }

    /// Counts a subscriber in. Frames published after this are announced to `reader`.
    pub fn add_subscriber(&self) {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a subscriber out.
    pub fn remove_subscriber(&self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reader thread: from now on frames of this topic wake me. Load the head only after this.
    pub fn add_interest(&self, reader: ReaderId) {
        self.interest.fetch_or(reader.bit(), Ordering::AcqRel);
        // SeqCst; pairs with the fence in `Signal::notify`, which stands between a publisher's
        // head store and its look at `interest`: it sees our bit, or we see its head.
        fence(Ordering::SeqCst);
    }

    /// Reader thread: no longer.
    pub fn remove_interest(&self, reader: ReaderId) {
        self.interest.fetch_and(!reader.bit(), Ordering::AcqRel);
    }

    /// Async subscription: as [`add_interest`](Self::add_interest).
    pub fn add_async_subscriber(&self) {
        self.async_subscribers.fetch_add(1, Ordering::AcqRel);
        // SeqCst; as in `add_interest`.
        fence(Ordering::SeqCst);
    }

    /// Async subscription: no longer.
    pub fn remove_async_subscriber(&self) {
        self.async_subscribers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Reader threads that want this topic. A publisher fences (SeqCst) before it asks.
    pub fn interest(&self) -> u64 {
        self.interest.load(Ordering::Relaxed)
    }

    /// Whether an async subscription wants this topic. A publisher fences before it asks.
    pub fn has_async_subscribers(&self) -> bool {
        self.async_subscribers.load(Ordering::Relaxed) > 0
    }

    /// Below this sequence frames of this topic may be gone.
    pub fn retired_below(&self) -> Sequence {
        self.index.lock().retired_below
    }

    /// Appends to `found` the first `max` sequences of this topic in `from..below`.
    ///
    /// False: frames at or after `from` may be gone.
    #[must_use]
    pub fn sequences(
        &self,
        from: Sequence,
        below: Sequence,
        max: usize,
        found: &mut Vec<Sequence>,
    ) -> bool {
        let index = self.index.lock();
        let start = index.sequences.partition_point(|&sequence| sequence < from);
        let wanted = index.sequences.range(start..).take(max);
        found.extend(wanted.take_while(|&&sequence| sequence < below));
        index.retired_below <= from
    }

    pub(super) fn append(&self, sequence: Sequence) {
        self.index.lock().sequences.push_back(sequence);
    }

    /// Forgets the oldest sequence, which is being retired. True when none is left.
    pub(super) fn retire(&self, sequence: Sequence) -> bool {
        let mut index = self.index.lock();
        let oldest = index.sequences.pop_front();
        debug_assert_eq!(oldest, Some(sequence));
        index.retired_below = sequence.plus(1);
        if index.sequences.capacity() > 4 * index.sequences.len().max(4) {
            index.sequences.shrink_to_fit();
        }
        index.sequences.is_empty()
    }
}
