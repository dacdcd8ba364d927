//! The rest between two passes, so that what is published meanwhile goes out in one send.
//!
//! A small send costs the same whatever it carries, so passes back to back are a whole core's work
//! for a few frames each. A core therefore rests after a pass: nearly as long as the pass took if it
//! carried many frames, at most [`limits::REST_MAX`], and not at all if it carried one, for then
//! nothing is waiting. That halves the work of a core that never rested, and costs an idle one
//! nothing.

use std::time::{Duration, Instant};

use crate::limits;

#[derive(Debug, Default)]
pub(super) struct Rest {
    began: Option<Instant>,
    /// What the pass that is over carried; the time of its end is the next that is told.
    ended: Option<u32>,
    until: Option<Instant>,
}

/// Rests shorter than this are not worth a wait.
const REST_MIN: Duration = Duration::from_micros(100);

impl Rest {
    pub(super) fn pass_begins(&mut self, now: Instant) {
        *self = Self { began: Some(now), ended: None, until: None };
    }

    /// The pass is over; it carried so many frames to one subscriber.
    pub(super) fn pass_ends(&mut self, frames: usize) {
        self.ended = Some(u32::try_from(frames).unwrap_or(u32::MAX));
    }

    /// Tells the time, which a pass's last slice has taken some of.
    pub(super) fn look_at(&mut self, now: Instant) {
        if let Some(frames) = self.ended.take()
            && let Some(began) = self.began.take()
        {
            let took = now.saturating_duration_since(began);
            let rest = (took - took / frames.max(1)).min(limits::REST_MAX);
            self.until = (rest >= REST_MIN).then(|| now + rest);
        }
    }

    /// Whether it waits to be told when the pass was over.
    pub(super) fn needs_the_time(&self) -> bool {
        self.ended.is_some()
    }

    /// When the rest is over; none if there is none.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }
}
