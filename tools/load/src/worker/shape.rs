//! How single events reach their subscribers: when the first got it, the one in the middle, the last.
//!
//! Following an event takes a count per time; so one in some is followed, which says the same of the
//! shape. A worker sees its own members only, so what it tells can be merged with what others saw.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Steps of a time: eight to each doubling, up to some 4,300 s in microseconds.
const STEPS_PER_DOUBLING: u32 = 8;
const STEPS: usize = 32 * STEPS_PER_DOUBLING as usize;
/// Events that are followed at the same time (1 KiB each). Beyond it the oldest is told as it stands.
const FOLLOWED_MAX: usize = 4_096;
/// An event that has not reached all after so long is told as it stands.
const PATIENCE_NS: u64 = 10_000_000_000;

/// The way of one event to some subscribers; times in microseconds from its intended publish time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct EventShape {
    pub(crate) sequence: u64,
    pub(crate) first_us: u64,
    pub(crate) last_us: u64,
    /// Subscribers by step of time.
    counts: Vec<(u16, u32)>,
}

/// The events that are being followed.
#[derive(Debug)]
pub(crate) struct Followed {
    /// Of the messages of each topic, those are followed whose number has none of these bits.
    mask: u64,
    events: VecDeque<Way>,
    complete: Vec<EventShape>,
}

#[derive(Debug)]
struct Way {
    sequence: u64,
    intended_ns: u64,
    reached: u32,
    first_us: u64,
    last_us: u64,
    counts: Box<[u32; STEPS]>,
}

impl EventShape {
    /// Adds what another worker saw of the same event.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.first_us = self.first_us.min(other.first_us);
        self.last_us = self.last_us.max(other.last_us);
        self.counts.extend_from_slice(&other.counts);
    }

    /// When half of the subscribers had it.
    pub(crate) fn median_us(&self) -> u64 {
        let mut counts = self.counts.clone();
        counts.sort_unstable_by_key(|&(step, _)| step);
        let half = counts.iter().map(|&(_, count)| u64::from(count)).sum::<u64>().div_ceil(2);
        let mut so_far = 0;
        let middle = counts.iter().find(|&&(_, count)| {
            so_far += u64::from(count);
            so_far >= half
        });
        let median = middle.map_or(0, |&(step, _)| time_of(step));
        median.clamp(self.first_us, self.last_us)
    }
}

impl Followed {
    /// Follows one in `one_in` events, a power of two.
    pub(crate) fn new(one_in: u64) -> Self {
        let mask = one_in.next_power_of_two() - 1;
        Self { mask, events: VecDeque::new(), complete: Vec::new() }
    }

    /// Whether the message of this number in its topic is followed.
    #[inline]
    pub(crate) fn follows(&self, number: u64) -> bool {
        number & self.mask == 0
    }

    /// A followed event has reached one of `all` subscribers.
    pub(crate) fn reach(&mut self, sequence: u64, intended_ns: u64, now_ns: u64, all: u32) {
        let us = now_ns.saturating_sub(intended_ns) / 1_000;
        let Some(at) = self.place(sequence, intended_ns) else { return };
        let way = &mut self.events[at];
        way.reached += 1;
        way.first_us = way.first_us.min(us);
        way.last_us = way.last_us.max(us);
        way.counts[step_of(us)] += 1;
        if way.reached >= all
            && let Some(way) = self.events.remove(at)
        {
            self.complete.push(way.shape());
        }
    }

    /// Takes what is complete; what was waited for long enough as well, or all when the part is over.
    pub(crate) fn take(&mut self, now_ns: u64, all: bool) -> Vec<EventShape> {
        while let Some(oldest) = self.events.front() {
            if !all && now_ns.saturating_sub(oldest.intended_ns) < PATIENCE_NS {
                break;
            }
            let way = self.events.pop_front();
            self.complete.extend(way.map(|way| way.shape()));
        }
        std::mem::take(&mut self.complete)
    }

    /// Where an event is; those come in order, but for what is new.
    fn place(&mut self, sequence: u64, intended_ns: u64) -> Option<usize> {
        match self.events.binary_search_by_key(&sequence, |way| way.sequence) {
            Ok(at) => Some(at),
            Err(at) => {
                if self.events.len() == FOLLOWED_MAX {
                    let oldest = self.events.pop_front()?;
                    self.complete.push(oldest.shape());
                    return self.place(sequence, intended_ns);
                }
                self.events.insert(at, Way::new(sequence, intended_ns));
                Some(at)
            }
        }
    }
}

impl Way {
    fn new(sequence: u64, intended_ns: u64) -> Self {
        let counts = Box::new([0; STEPS]);
        Self { sequence, intended_ns, reached: 0, first_us: u64::MAX, last_us: 0, counts }
    }

    fn shape(&self) -> EventShape {
        let counts = self.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        EventShape {
            sequence: self.sequence,
            first_us: self.first_us,
            last_us: self.last_us,
            counts: counts.map(|(step, &count)| (step as u16, count)).collect(),
        }
    }
}

/// The step a time falls into: its power of two, and the three bits below that.
fn step_of(us: u64) -> usize {
    let us = us.max(STEPS_PER_DOUBLING.into());
    let power = us.ilog2();
    let within = (us >> (power - 3)) as u32 - STEPS_PER_DOUBLING;
    (((power - 3) * STEPS_PER_DOUBLING + within) as usize).min(STEPS - 1)
}

/// The middle of a step.
fn time_of(step: u16) -> u64 {
    let (power, within) =
        (u32::from(step) / STEPS_PER_DOUBLING, u32::from(step) % STEPS_PER_DOUBLING);
    let width = 1_u64 << power;
    u64::from(STEPS_PER_DOUBLING + within) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_within_an_eighth_of_its_times() {
        for us in (0..40).map(|power| 1_u64 << power).flat_map(|us| [us, us + us / 3, us * 2 - 1]) {
            let told = time_of(step_of(us) as u16);
            let error = told.abs_diff(us);
            let is_told = (8..4_000_000_000).contains(&us);
            assert!(!is_told || error <= us / 8 + 1, "{us}: {told}");
        }
    }

    #[test]
    fn first_median_and_last_are_told_when_all_have_it() {
        let mut followed = Followed::new(4);
        assert!(followed.follows(8) && !followed.follows(9));
        for us in [1_000, 2_000, 3_000, 4_000, 90_000] {
            assert!(followed.take(0, false).is_empty());
            followed.reach(8, 5_000, 5_000 + us * 1_000, 5);
        }
        let shapes = followed.take(0, false);
        assert_eq!((shapes.len(), shapes[0].sequence), (1, 8));
        assert_eq!((shapes[0].first_us, shapes[0].last_us), (1_000, 90_000));
        assert!(shapes[0].median_us().abs_diff(3_000) < 400, "{}", shapes[0].median_us());
    }

    #[test]
    fn what_two_workers_saw_is_one_way() {
        let (mut here, mut there) = (Followed::new(1), Followed::new(1));
        for us in 1..=3 {
            here.reach(0, 0, us * 1_000_000, 3);
            there.reach(0, 0, us * 100_000_000, 3);
        }
        let mut shape = here.take(0, false).remove(0);
        shape.merge(&there.take(0, false)[0]);
        assert_eq!((shape.first_us, shape.last_us), (1_000, 300_000));
        assert!(shape.median_us().abs_diff(3_000) < 400);
    }

    #[test]
    fn an_event_that_some_never_get_is_told_after_a_while_or_at_the_end() {
        let mut followed = Followed::new(1);
        followed.reach(0, 0, 1_000, 2);
        followed.reach(1, PATIENCE_NS, PATIENCE_NS + 1_000, 2);
        assert!(followed.take(1_000, false).is_empty());
        assert_eq!(followed.take(PATIENCE_NS, false).len(), 1);
        assert_eq!(followed.take(PATIENCE_NS, true).len(), 1);
    }

    #[test]
    fn few_are_followed_at_a_time() {
        let mut followed = Followed::new(1);
        for sequence in 0..=FOLLOWED_MAX as u64 {
            followed.reach(sequence, 0, 1_000, 2);
        }
        assert_eq!(followed.events.len(), FOLLOWED_MAX);
        assert_eq!(followed.take(0, false).len(), 1);
    }
}
