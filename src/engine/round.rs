//! A round over the connection table, a stretch of slots at a time: what each connection needs now and
//! then, without a timer of its own.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

/// Slots looked at in one turn: what is sent to them holds a core as long as a slice of a pass does.
const SLOTS_PER_TURN: usize = 256;

/// Where the round is.
#[derive(Debug)]
pub(super) struct Round {
    interval: Option<Duration>,
    next_slot: usize,
    next_at: Option<Instant>,
}

impl Round {
    /// A round takes `interval`; without one there are none.
    pub(super) fn every(interval: Option<Duration>) -> Self {
        Self { interval, next_slot: 0, next_at: None }
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Goes on with another interval.
    pub(super) fn change(&mut self, interval: Option<Duration>) {
        self.interval = interval;
        self.pause();
    }

    /// When the next stretch is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next_at
    }

    /// Nothing is due until it is asked again.
    pub(super) fn pause(&mut self) {
        self.next_at = None;
    }

    /// The slots whose turn it is, of a table of `slots`. What could not be done in time is not made up
    /// for: a clock that jumps must not become a burst.
    pub(super) fn take_due(&mut self, slots: usize, now: Instant) -> Option<Range<usize>> {
        let interval = self.interval?;
        let step = interval / slots.div_ceil(SLOTS_PER_TURN).max(1) as u32;
        if *self.next_at.get_or_insert(now + step) > now {
            return None;
        }
        self.next_at = Some(now + step);
        let start = if self.next_slot < slots { self.next_slot } else { 0 };
        self.next_slot = start + SLOTS_PER_TURN;
        Some(start..self.next_slot.min(slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_comes_to_every_slot_once_in_an_interval() {
        let interval = Duration::from_secs(15);
        for slots in [1, 255, 256, 257, 10_000] {
            let mut round = Round::every(Some(interval));
            let start = Instant::now();
            assert_eq!(round.take_due(slots, start), None);
            let mut looked_at = vec![0; slots];
            while let Some(at) = round.next().filter(|&at| at <= start + interval) {
                for slot in round.take_due(slots, at).expect("it is due") {
                    looked_at[slot] += 1;
                }
            }
            assert!(looked_at.iter().all(|&times| times == 1), "{slots} slots");
        }
    }

    #[test]
    fn another_interval_counts_from_when_it_is_set() {
        let mut round = Round::every(Some(Duration::from_secs(15)));
        let start = Instant::now();
        round.take_due(10, start);
        round.change(Some(Duration::from_secs(2)));
        assert_eq!(round.take_due(10, start), None);
        assert_eq!(round.take_due(10, start + Duration::from_secs(2)), Some(0..10));
        round.change(None);
        assert_eq!(round.take_due(10, start + Duration::from_secs(60)), None);
    }

    #[test]
    fn a_clock_that_jumps_is_no_burst() {
        let mut round = Round::every(Some(Duration::from_secs(15)));
        let start = Instant::now();
        round.take_due(10_000, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(round.take_due(10_000, later), Some(0..256));
        assert_eq!(round.take_due(10_000, later), None);
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let mut round = Round::every(None);
        assert_eq!(round.take_due(10, Instant::now() + Duration::from_secs(60)), None);
        assert_eq!(round.next(), None);
    }
}
