//! What a core counts. Written by its thread alone, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::EndReason;

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// The counters of one core.
#[derive(Debug, Default)]
pub struct CoreCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Subscriptions answered with a stream.
    pub subscribed: Counter,
    /// Subscribers at the moment.
    pub subscribers: Counter,
    /// Of these, how many are not up to date.
    pub lagging: Counter,
    /// Send operations.
    pub sends: Counter,
    /// Bytes the kernel took.
    pub bytes_sent: Counter,
    /// Whole frames written to subscribers.
    pub deliveries: Counter,
    /// Comments sent on quiet streams.
    pub heartbeats: Counter,
    /// Times that a subscriber too far behind skipped what it had missed, and was told.
    pub skips: Counter,
    /// Fan-out passes begun.
    pub passes: Counter,
    /// Times the thread went to sleep.
    pub parks: Counter,
    /// Times accepting failed, for want of descriptors or memory.
    pub accept_failures: Counter,
    ends: [Counter; EndReason::ALL.len()],
}

impl Counter {
    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Only on the thread that owns the counter: a load and a store, no locked instruction.
    pub(super) fn add(&self, count: usize) {
        self.set(self.get() + count as u64);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl CoreCounters {
    /// Connections that have ended for this reason.
    pub fn ends(&self, reason: EndReason) -> &Counter {
        &self.ends[reason.index()]
    }
}
