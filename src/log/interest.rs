//! Who is to be woken for the frames of a topic.
//!
//! A subscriber sets its interest, then loads the head as its start; a publisher stores the head, then
//! loads the interest. Both put a SeqCst fence in between, so at least one of them sees the other's
//! store: a frame is before the subscriber's start, or its publisher wakes it. loom-tests run it.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// A reader thread that is woken when a frame it wants is published: bit of the interest mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderId(u8);

/// Reader threads and async tasks that want a topic's frames.
#[derive(Debug)]
pub struct Interest {
    /// Bit n: reader n has a subscriber. Only reader n changes its bit.
    readers: AtomicU64,
    /// Subscriptions read by async tasks, which share one waker.
    tasks: AtomicU32,
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

impl Default for Interest {
    fn default() -> Self {
        Self::new()
    }
}

impl Interest {
    /// Nobody's.
    pub fn new() -> Self {
        Self { readers: AtomicU64::new(0), tasks: AtomicU32::new(0) }
    }

    /// Reader thread: from now on frames of this topic wake me. Load the head only after this.
    pub fn add_reader(&self, reader: ReaderId) {
        self.readers.fetch_or(reader.bit(), Ordering::AcqRel);
        // SeqCst; pairs with the fence that a publisher puts between its head store and its look at
        // the interest (`announce`).
        fence(Ordering::SeqCst);
    }

    /// Reader thread: no longer.
    pub fn remove_reader(&self, reader: ReaderId) {
        self.readers.fetch_and(!reader.bit(), Ordering::AcqRel);
    }

    /// Async task: as [`add_reader`](Self::add_reader).
    pub fn add_task(&self) {
        self.tasks.fetch_add(1, Ordering::AcqRel);
        // SeqCst; as in `add_reader`.
        fence(Ordering::SeqCst);
    }

    /// Async task: no longer.
    pub fn remove_task(&self) {
        self.tasks.fetch_sub(1, Ordering::AcqRel);
    }

    /// Reader threads that want this topic, a bit for each. A publisher fences (SeqCst) before it asks.
    pub fn readers(&self) -> u64 {
        self.readers.load(Ordering::Relaxed)
    }

    /// Whether an async task wants this topic. A publisher fences (SeqCst) before it asks.
    pub fn has_tasks(&self) -> bool {
        self.tasks.load(Ordering::Relaxed) > 0
    }
}
