//! What of the Log is there: the sequences from the tail to the head, in stretches.
//!
//! The head moves by one Release store, after what it covers has been written; a reader that has
//! loaded it (Acquire) finds all of that. The tail moves before anything of what it passes is
//! forgotten elsewhere, so whoever misses something finds the new tail. A stretch that is retired
//! lives on for whoever has it. loom-tests run it.

use std::collections::VecDeque;

use crossbeam::utils::CachePadded;

use super::Sequence;
use crate::sync::{AtomicU64, Ordering, RwLock, RwLockReadGuard};

/// Consecutive frames that come and go together. Clones share them.
pub trait Stretch: Clone {
    /// Sequence of the first frame.
    fn first(&self) -> Sequence;
}

/// The retained stretches of a Log. Only the holder of the append lock changes it.
#[derive(Debug)]
pub struct Window<S> {
    /// Sequence of the next frame: everything below is published.
    head: CachePadded<AtomicU64>,
    /// Sequence of the oldest retained frame.
    tail: CachePadded<AtomicU64>,
    /// Oldest first; the last one is being written.
    stretches: RwLock<VecDeque<S>>,
}

impl<S: Stretch> Window<S> {
    /// A window with one stretch, which has no published frame.
    pub fn new(stretch: S) -> Self {
        let first = stretch.first().number();
        Self {
            head: CachePadded::new(AtomicU64::new(first)),
            tail: CachePadded::new(AtomicU64::new(first)),
            stretches: RwLock::new(VecDeque::from([stretch])),
        }
    }

    /// Sequence that the next frame will get; every frame below it is published.
    #[inline]
    pub fn head(&self) -> Sequence {
        // Acquire; pairs with the Release in `publish`.
        Sequence::new(self.head.load(Ordering::Acquire))
    }

    /// Sequence of the oldest retained frame; the head when there is none.
    #[inline]
    pub fn tail(&self) -> Sequence {
        // Acquire; pairs with the Release in `take_oldest`.
        Sequence::new(self.tail.load(Ordering::Acquire))
    }

    /// All of them, oldest first.
    pub fn stretches(&self) -> RwLockReadGuard<'_, VecDeque<S>> {
        self.stretches.read()
    }

    /// The stretch that holds `sequence`, or will: none when it is retired.
    pub fn find(&self, sequence: Sequence) -> Option<S> {
        let stretches = self.stretches.read();
        let after = stretches.partition_point(|stretch| stretch.first() <= sequence);
        Some(stretches[after.checked_sub(1)?].clone())
    }

    /// Moves the head: every frame below it has been written.
    pub fn publish(&self, head: Sequence) {
        // Release; pairs with the Acquire in `head`.
        self.head.store(head.number(), Ordering::Release);
    }

    /// Begins a stretch, behind the one that was being written.
    pub fn push(&self, stretch: S) {
        self.stretches.write().push_back(stretch);
    }

    /// Retires the oldest stretch, if it is neither the only one nor has unpublished frames.
    pub fn take_oldest(&self) -> Option<S> {
        // Only the holder of the append lock, who calls this, moves the head.
        let head = Sequence::new(self.head.load(Ordering::Relaxed));
        let mut stretches = self.stretches.write();
        let next = stretches.get(1)?.first();
        if next > head {
            return None;
        }
        // Release; pairs with the Acquire in `tail`. Before the stretch goes and the topics' indexes
        // shrink, so whoever misses a frame there finds the new tail.
        self.tail.store(next.number(), Ordering::Release);
        stretches.pop_front()
    }
}
