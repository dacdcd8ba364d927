//! How long to wait before the next request. Pure: the clock and the dice are the caller's.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{RECONNECTION_TIME_GROWTH_MIN, RECONNECTION_TIME_MAX};

/// When to try again after a connection was lost or could not be made.
///
/// The n-th wait in a row is drawn from the interval `initial_interval` × `multiplier`ⁿ, which
/// `max_interval` and [`RECONNECTION_TIME_MAX`] bound; `jitter` says how. Count, elapsed time and
/// interval begin anew once a connection has proved itself: an event came, or it stayed open for
/// [`CLIENT_PROVEN_AFTER`](crate::limits::CLIENT_PROVEN_AFTER). A server that accepts and closes at
/// once thus meets growing waits, and `max_retries`.
///
/// # What the server asks for
///
/// A `retry` field R replaces `initial_interval` until the server sends another one, and no wait is
/// shorter: jitter spreads upwards only, from i to 2 i with [`Jitter::Full`], to i + j·i with
/// [`Jitter::Fraction`]. `max_interval` bounds the growth, spread included, but not R itself.
///
/// ```
/// use std::time::Duration;
/// use fanfare::client::{Backoff, Jitter};
///
/// let steady = Backoff {
///     initial_interval: Duration::from_secs(1),
///     multiplier: 1.0,
///     jitter: Jitter::Fraction(0.1),
///     ..Backoff::default()
/// };
/// let client = fanfare::Client::builder().backoff(steady).build()?;
/// # let _ = client;
/// # Ok::<(), fanfare::client::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first interval. Default: 500 ms.
    pub initial_interval: Duration,
    /// What each failure in a row multiplies the interval by; at least 1. Default: 1.5.
    pub multiplier: f64,
    /// How a wait is drawn from its interval. Default: [`Jitter::Full`].
    pub jitter: Jitter,
    /// Longest wait, jitter included and from the first one on; `None` for
    /// [`RECONNECTION_TIME_MAX`]. Default: 30 s.
    pub max_interval: Option<Duration>,
    /// Gives up where the next wait would end later than this after the first of the failures in a
    /// row, or after the first request if none succeeded. Default: `None`, no limit.
    pub max_elapsed: Option<Duration>,
    /// Most retries in a row: `Some(0)` for none at all. Default: `None`, no limit.
    pub max_retries: Option<u32>,
}

impl Backoff {
    /// No retry at all: the first failure is the last, and so is the end of the stream.
    pub fn never() -> Self {
        Self { max_retries: Some(0), ..Self::default() }
    }

    /// What is wrong with the values, if anything is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if !self.multiplier.is_finite() || self.multiplier < 1.0 {
            return Some("multiplier must be a number of at least 1");
        }
        match self.jitter {
            Jitter::Fraction(share) if !(0.0..=1.0).contains(&share) => {
                Some("a fraction of jitter must be within 0 and 1")
            }
            _ => None,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_millis(500),
            multiplier: 1.5,
            jitter: Jitter::Full,
            max_interval: Some(Duration::from_secs(30)),
            max_elapsed: None,
            max_retries: None,
        }
    }
}

/// How a wait is drawn from its interval i, so that clients cut off together do not return together.
///
/// Where the server set the reconnection time, every kind spreads upwards only: see [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Always i.
    Off,
    /// Uniform within 0 and i.
    Full,
    /// Uniform within i − j·i and i + j·i, for a j within 0 and 1.
    Fraction(f64),
}

/// What a server asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// The stream's `retry`.
    pub(super) reconnection_time: Option<Duration>,
    /// The response's `Retry-After`.
    pub(super) retry_after: Option<Duration>,
}

/// A [`Backoff`] in progress.
#[derive(Debug)]
pub(super) struct Schedule {
    backoff: Backoff,
    /// Retries granted since a connection last proved itself.
    retries: u32,
    /// When these failures began.
    since: Instant,
}

impl Schedule {
    pub(super) fn new(backoff: Backoff, now: Instant) -> Self {
        Self { backoff, retries: 0, since: now }
    }

    /// The connection that has just failed had proved itself.
    pub(super) fn reset(&mut self, now: Instant) {
        self.retries = 0;
        self.since = now;
    }

    /// The wait before the next request, or `None` to give up. `dice` is within 0 and 1.
    pub(super) fn next_wait(&mut self, now: Instant, asked: Asked, dice: f64) -> Option<Duration> {
        if self.backoff.max_retries.is_some_and(|max| self.retries >= max) {
            return None;
        }
        let drawn = match asked.reconnection_time {
            Some(floor) => self.above(floor.min(RECONNECTION_TIME_MAX), dice),
            None => self.own(dice),
        };
        let wait = drawn.max(asked.retry_after.unwrap_or_default().min(RECONNECTION_TIME_MAX));
        let elapsed = now.saturating_duration_since(self.since);
        if self.backoff.max_elapsed.is_some_and(|max| elapsed.saturating_add(wait) > max) {
            return None;
        }
        self.retries = self.retries.saturating_add(1);
        Some(wait)
    }

    fn own(&self, dice: f64) -> Duration {
        let max = self.max_interval();
        let interval = self.grown(self.backoff.initial_interval, max);
        let wait = match self.backoff.jitter {
            Jitter::Off => return interval,
            Jitter::Full => interval.mul_f64(dice),
            Jitter::Fraction(share) => interval.mul_f64(1.0 - share + 2.0 * share * dice),
        };
        wait.min(max)
    }

    /// The interval is kept low enough for its spread to fit below the cap: cut off there, the waits
    /// of many clients would meet.
    fn above(&self, floor: Duration, dice: f64) -> Duration {
        let spread = match self.backoff.jitter {
            Jitter::Off => 0.0,
            Jitter::Full => 1.0,
            Jitter::Fraction(share) => share,
        };
        let max = self.max_interval().div_f64(1.0 + spread).max(floor);
        self.grown(floor, max).mul_f64(1.0 + spread * dice)
    }

    fn max_interval(&self) -> Duration {
        self.backoff.max_interval.unwrap_or(RECONNECTION_TIME_MAX).min(RECONNECTION_TIME_MAX)
    }

    fn grown(&self, initial: Duration, max: Duration) -> Duration {
        if self.retries == 0 {
            return initial.min(max);
        }
        let from = initial.max(RECONNECTION_TIME_GROWTH_MIN).as_secs_f64();
        let exponent = i32::try_from(self.retries).unwrap_or(i32::MAX);
        let grown = from * self.backoff.multiplier.powi(exponent);
        Duration::try_from_secs_f64(grown).map_or(max, |grown| grown.min(max))
    }
}

#[cfg(test)]
mod tests;
