//! How long frames take from publish to written: one at a time for each reader thread.
//!
//! A publisher reads the clock only if no frame is being timed, so at full speed that is once in a
//! pass of the reader, and when little happens every frame is timed. The one that is, is the first of
//! its pass: the one that has waited longest.

use std::time::Duration;

use super::Sequence;
use crate::sync::{AtomicU64, Ordering};

/// Times the way of one frame.
#[derive(Debug)]
pub struct Stopwatch {
    /// Of the frame that is on its way; or one of the two below, which no frame has.
    sequence: AtomicU64,
    /// When it was published, in nanoseconds.
    since: AtomicU64,
}

const STOPPED: u64 = u64::MAX;
const STARTING: u64 = u64::MAX - 1;

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Stopwatch {
    /// One that times nothing.
    pub fn new() -> Self {
        Self { sequence: AtomicU64::new(STOPPED), since: AtomicU64::new(0) }
    }

    /// Publisher: a frame has been published, at the time that `now` says. If another is on its way
    /// `now` is not asked.
    pub fn start(&self, sequence: Sequence, now: impl FnOnce() -> Duration) {
        if self.sequence.load(Ordering::Relaxed) != STOPPED {
            return;
        }
        // Acquire; pairs with the Release in `stop`: that time has been read before this one is written.
        let start =
            self.sequence.compare_exchange(STOPPED, STARTING, Ordering::Acquire, Ordering::Relaxed);
        if start.is_ok() {
            let since = u64::try_from(now().as_nanos()).unwrap_or(u64::MAX);
            self.since.store(since, Ordering::Relaxed);
            // Release; pairs with the Acquire in `stop`.
            self.sequence.store(sequence.number(), Ordering::Release);
        }
    }

    /// Reader: everything before `position` has been written. When the frame was published that is timed,
    /// if it is among them.
    pub fn stop(&self, position: Sequence) -> Option<Duration> {
        // Acquire; pairs with the Release in `start`: the time is that of this frame.
        if self.sequence.load(Ordering::Acquire) >= position.number() {
            return None;
        }
        let since = self.since.load(Ordering::Relaxed);
        // Release; pairs with the Acquire in `start`.
        self.sequence.store(STOPPED, Ordering::Release);
        Some(Duration::from_nanos(since))
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_frame_is_timed_at_a_time() {
        let stopwatch = Stopwatch::new();
        let (first, second) = (Sequence::new(7), Sequence::new(8));
        assert_eq!(stopwatch.stop(first), None);
        stopwatch.start(first, || Duration::from_millis(1));
        stopwatch.start(second, || panic!("one is on its way"));
        assert_eq!(stopwatch.stop(first), None, "it is not written yet");
        assert_eq!(stopwatch.stop(second), Some(Duration::from_millis(1)));
        assert_eq!(stopwatch.stop(second), None);
        stopwatch.start(second, || Duration::from_millis(3));
        assert_eq!(stopwatch.stop(Sequence::new(100)), Some(Duration::from_millis(3)));
    }
}
