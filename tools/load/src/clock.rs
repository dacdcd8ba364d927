//! The run's clock: what all processes of one run call now.
//!
//! CLOCK_MONOTONIC is one clock for the whole machine, so a time that one process stamps means the
//! same to another that was handed the [`Clock`].

use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Nanoseconds since the run began, for every process that has a copy of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Clock {
    /// The machine's monotonic time at which this clock stood at zero.
    base_ns: u64,
}

impl Clock {
    /// A clock that stands at zero.
    pub(crate) fn start() -> Self {
        Self { base_ns: machine_ns() }
    }

    /// Nanoseconds since it was started.
    pub(crate) fn now_ns(self) -> u64 {
        machine_ns().saturating_sub(self.base_ns)
    }

    /// Sleeps until `ns` and returns the time then, which is not before it.
    pub(crate) fn sleep_until(self, ns: u64) -> u64 {
        loop {
            let now = self.now_ns();
            if now >= ns {
                return now;
            }
            thread::sleep(Duration::from_nanos(ns - now));
        }
    }
}

fn machine_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_that_is_handed_the_clock_reads_the_same_time() {
        let here = Clock::start();
        let text = serde_json::to_string(&here).expect("a number");
        let there: Clock = serde_json::from_str(&text).expect("the same number");
        let (before, between, after) = (here.now_ns(), there.now_ns(), here.now_ns());
        assert!(before <= between && between <= after, "{before} {between} {after}");
    }

    #[test]
    fn sleeping_never_ends_early() {
        let clock = Clock::start();
        let due = clock.now_ns() + 2_000_000;
        assert!(clock.sleep_until(due) >= due);
        assert!(clock.sleep_until(0) >= due);
    }
}
