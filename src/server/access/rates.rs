//! How fast each publisher may publish: a token bucket each, by the [generic cell rate
//! algorithm][gcra], so that a bucket is one point in time. Written here because the table of buckets
//! must have a bound.
//!
//! [gcra]: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::limits;

/// How many messages each publisher may publish: by its token, or without one by its address.
///
/// ```
/// use fanfare::server::PublishRate;
///
/// // Ten a second on average, and a hundred at once after ten quiet seconds.
/// let rate = PublishRate::per_second(10.0).burst(100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishRate {
    /// Time for one message.
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

impl PublishRate {
    /// So many messages a second, and as many at once. Between one in a day and a million.
    pub fn per_second(messages: f64) -> Self {
        let messages = if messages.is_nan() { 0.0 } else { messages };
        let messages = messages.clamp(PER_SECOND_MIN, PER_SECOND_MAX);
        let interval = Duration::from_secs_f64(1.0 / messages);
        Self { interval, burst: messages.ceil() as u32 }
    }

    /// At most so many at once after a quiet time; at least one. An array of more is never published.
    #[must_use]
    pub fn burst(mut self, messages: u32) -> Self {
        self.burst = messages.max(1);
        self
    }
}

const PER_SECOND_MIN: f64 = 1.0 / 86_400.0;
const PER_SECOND_MAX: f64 = 1e6;

/// Too fast: there is room for what was asked after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooFast {
    pub(super) retry_after: Duration,
}

/// The buckets of all publishers.
#[derive(Debug)]
pub(super) struct Rates<K: Eq + Hash> {
    rate: PublishRate,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K: Eq + Hash> {
    /// When each bucket is full again; one that is not here is full.
    full_at: HashMap<K, Instant>,
    /// When those that are full were last thrown out of a table without room.
    swept_at: Option<Instant>,
}

impl<K: Eq + Hash> Rates<K> {
    pub(super) fn new(rate: PublishRate) -> Self {
        let buckets = Buckets { full_at: HashMap::new(), swept_at: None };
        Self { rate, buckets: Mutex::new(buckets) }
    }

    /// Goes on with the buckets of another rate: each is full when it would have been.
    pub(super) fn count_on(&mut self, counted: &Self)
    where
        K: Clone,
    {
        self.buckets.get_mut().full_at.clone_from(&counted.buckets.lock().full_at);
    }

    /// Lets so many messages pass, all or none.
    pub(super) fn take(&self, key: K, messages: u32, now: Instant) -> Result<(), TooFast> {
        let mut buckets = self.buckets.lock();
        let (cost, depth) = (self.rate.interval * messages, self.rate.interval * self.rate.burst);
        let full_at = buckets.full_at.get(&key).map_or(now, |full_at| (*full_at).max(now));
        let full_after = full_at + cost;
        let over = full_after.saturating_duration_since(now + depth);
        if !over.is_zero() {
            return Err(TooFast { retry_after: over });
        }
        if !buckets.full_at.contains_key(&key) && !buckets.make_room(self.rate.interval, now) {
            return Err(TooFast { retry_after: depth });
        }
        buckets.full_at.insert(key, full_after);
        Ok(())
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Looks through the whole table at most once in the time of one message: before, nothing can have
    /// become full that was not.
    fn make_room(&mut self, interval: Duration, now: Instant) -> bool {
        if self.full_at.len() < limits::RATED_PUBLISHERS_MAX {
            return true;
        }
        let is_due = self.swept_at.is_none_or(|swept_at| now >= swept_at + interval);
        if is_due {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept_at = Some(now);
        }
        self.full_at.len() < limits::RATED_PUBLISHERS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let rates = Rates::new(PublishRate::per_second(2.0).burst(4));
        let start = Instant::now();
        assert_eq!(rates.take("a", 3, start), Ok(()));
        let half = SECOND / 2;
        assert_eq!(rates.take("a", 2, start), Err(TooFast { retry_after: half }), "all or none");
        assert_eq!(rates.take("a", 1, start), Ok(()));
        assert_eq!(rates.take("a", 1, start), Err(TooFast { retry_after: half }));
        assert_eq!(rates.take("b", 4, start), Ok(()), "each has its own");
        let just_before = start + half - Duration::from_nanos(1);
        assert!(rates.take("a", 1, just_before).is_err());
        assert_eq!(rates.take("a", 1, start + half), Ok(()));
        assert!(rates.take("a", 1, start + half).is_err());
        assert_eq!(rates.take("a", 4, start + 100 * SECOND), Ok(()), "and never more than a burst");
        assert!(rates.take("a", 1, start + 100 * SECOND).is_err());
        assert!(rates.take("c", 5, start).is_err(), "more than a burst never passes at once");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_is_quiet() {
        let rates = Rates::new(PublishRate::per_second(1.0));
        let start = Instant::now();
        for key in 0..limits::RATED_PUBLISHERS_MAX {
            assert_eq!(rates.take(key, 1, start), Ok(()));
        }
        let newcomer = limits::RATED_PUBLISHERS_MAX;
        assert!(rates.take(newcomer, 1, start).is_err());
        assert!(rates.take(newcomer, 1, start + SECOND / 2).is_err());
        assert!(rates.take(0, 1, start).is_err(), "who is known has its own bucket still");
        assert_eq!(rates.take(newcomer, 1, start + SECOND), Ok(()));
        assert_eq!(rates.buckets.lock().full_at.len(), 1);
    }

    #[test]
    fn a_rate_is_within_reason() {
        for (messages, burst) in [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (2.5, 3), (1e12, 1_000_000)] {
            assert_eq!(PublishRate::per_second(messages).burst, burst, "{messages}");
        }
    }
}
