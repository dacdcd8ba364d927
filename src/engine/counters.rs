//! What a core counts. Written by its thread alone, read by anyone.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::connection::EndReason;

/// A number that one thread writes and others read. Who reads it sees whatever was counted before it.
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
    /// Messages offered to subscribers, counted for each, as [`deliveries`](Self::deliveries) gives them.
    pub(super) offered: Counter,
    /// Whole messages written to subscribers.
    pub(super) written_messages: Counter,
    discarded: [Counter; Discard::ALL.len()],
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
    /// From a frame's publish to when it was written to every live subscriber: of the first frame of each
    /// fan-out pass, which waited longest.
    pub written: Latencies,
    ends: [Counter; EndReason::ALL.len()],
}

/// What has become of the messages offered to a core's subscribers, each counted once for each
/// subscriber: at any moment those offered are written, pending, or discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// Those that there were for somebody, from when the core came to them; of what a resume asks for,
    /// from when it was read.
    pub offered: u64,
    /// Those of which the kernel has taken every byte.
    pub written: u64,
    /// Those that were given up, in the order of [`Discard::ALL`].
    pub discarded: [u64; Discard::ALL.len()],
}

/// Why a message that was offered to a subscriber is not written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// The subscriber was too slow, skipped what it had missed, and was told.
    Skipped,
    /// A later message stood for it, as [`LagPolicy::Conflate`](crate::provider::LagPolicy::Conflate) has it.
    Conflated,
    /// The subscriber's connection has ended.
    Ended,
    /// The server was shut down.
    Shutdown,
}

/// How many of something took how long.
#[derive(Debug, Default)]
pub struct Latencies {
    /// By the bound of [`Latencies::BOUNDS`] that they were within; the last took longer.
    buckets: [Counter; Self::BOUNDS.len() + 1],
    micros: Counter,
}

impl Counter {
    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Only on the thread that owns the counter: a load and a store, no locked instruction.
    pub(super) fn add(&self, count: usize) {
        self.set(self.0.load(Ordering::Relaxed) + count as u64);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

impl Latencies {
    /// Upper bounds of the buckets in microseconds.
    pub const BOUNDS: [u64; 16] = [
        100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
        1_000_000, 2_500_000, 5_000_000, 10_000_000,
    ];

    /// How many there were in each bucket: those of [`BOUNDS`](Self::BOUNDS), and one for the rest.
    pub fn buckets(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().map(Counter::get)
    }

    /// Microseconds that all of them took together.
    pub fn micros(&self) -> u64 {
        self.micros.get()
    }

    pub(super) fn add(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = Self::BOUNDS.partition_point(|&bound| bound < micros);
        self.buckets[bucket].add(1);
        self.micros.set(self.micros.get().saturating_add(micros));
    }
}

impl Deliveries {
    /// Messages that are neither written nor discarded.
    pub fn pending(&self) -> u64 {
        self.offered - self.written - self.discarded.iter().sum::<u64>()
    }
}

impl Discard {
    /// Every reason, in the order of [`Deliveries::discarded`].
    pub const ALL: [Self; 4] = [Self::Skipped, Self::Conflated, Self::Ended, Self::Shutdown];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Conflated => "conflated",
            Self::Ended => "ended",
            Self::Shutdown => "shutdown",
        }
    }
}

impl CoreCounters {
    /// What has become of the messages offered, all at one moment.
    pub fn deliveries(&self) -> Deliveries {
        // A message is offered before it is anything else, so what is looked at last has all of them.
        let discarded = Discard::ALL.map(|why| self.discarded(why).get());
        let written = self.written_messages.get();
        Deliveries { offered: self.offered.get(), written, discarded }
    }

    pub(super) fn discarded(&self, why: Discard) -> &Counter {
        &self.discarded[why as usize]
    }

    /// Connections that have ended for this reason.
    pub fn ends(&self, reason: EndReason) -> &Counter {
        &self.ends[reason.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_the_bucket_whose_bound_they_keep() {
        let latencies = Latencies::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001, 99_000_000] {
            latencies.add(Duration::from_micros(micros));
        }
        let buckets: Vec<u64> = latencies.buckets().collect();
        assert_eq!((buckets[0], buckets[1], buckets[15], buckets[16]), (2, 1, 1, 2));
        assert_eq!(buckets.iter().sum::<u64>(), 6);
        assert_eq!(latencies.micros(), 119_000_202);
    }
}
