//! Spinning for a moment before going to sleep, where that has been worth it.
//!
//! To wake a sleeping core costs its publisher a system call, 5 to 7 µs, and the core 13 to 35 µs until
//! it runs; a core that spins is told in less than 0.1 µs. But its CPU does nothing else meanwhile, so
//! it spins only where the last sleep was shorter than the longest spin, and never longer than that.

use std::{
    hint,
    time::{Duration, Instant},
};

use crate::{limits, log::signal::Signal};

/// Whether to spin.
#[derive(Debug, Default)]
pub(super) struct Spin {
    is_worth_it: bool,
}

/// Looks at the signal between two looks at the clock.
const LOOKS: usize = 16;

impl Spin {
    /// Waits for a notification, a moment at most. False: there was none, or spinning is not worth it.
    pub(super) fn until_notified(&mut self, signal: &Signal, clock: fn() -> Instant) -> bool {
        if !self.is_worth_it {
            return false;
        }
        let start = clock();
        while clock().saturating_duration_since(start) < limits::SPIN_MAX {
            for _ in 0..LOOKS {
                if signal.is_notified() {
                    return true;
                }
                hint::spin_loop();
            }
        }
        self.is_worth_it = false;
        false
    }

    /// It slept for so long, until it was notified or for another reason.
    pub(super) fn slept(&mut self, time: Duration, was_notified: bool) {
        self.is_worth_it = was_notified && time < limits::SPIN_MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spins_only_after_a_short_sleep_that_a_notification_ended() {
        let signal = Signal::new();
        assert!(!signal.notify());
        let mut spin = Spin::default();
        assert!(!spin.until_notified(&signal, Instant::now), "not at first");
        for (time, was_notified, spins) in [
            (limits::SPIN_MAX / 2, true, true),
            (limits::SPIN_MAX, true, false),
            (limits::SPIN_MAX / 2, false, false),
        ] {
            spin.slept(time, was_notified);
            assert_eq!(spin.until_notified(&signal, Instant::now), spins);
        }
    }

    #[test]
    fn it_gives_up_and_does_not_spin_again_until_that_is_worth_it() {
        let signal = Signal::new();
        let mut spin = Spin::default();
        spin.slept(Duration::ZERO, true);
        let start = Instant::now();
        assert!(!spin.until_notified(&signal, Instant::now));
        assert!(start.elapsed() >= limits::SPIN_MAX);
        assert!(!signal.notify());
        assert!(!spin.until_notified(&signal, Instant::now));
    }
}
