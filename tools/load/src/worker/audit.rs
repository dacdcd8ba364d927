//! One subscriber's book: which messages came, which did not, which came wrongly.
//!
//! The messages of a topic are numbered without gaps, so the book is one counter while all goes well. A
//! jump opens a gap; what arrives inside a gap later came out of order; what arrives a second time is a
//! duplicate; what never arrives is missing when the book is closed.

use std::collections::VecDeque;
use std::ops::{AddAssign, Range};

use serde::{Deserialize, Serialize};

/// Gaps a subscriber may have open at once (16 bytes each). Beyond it the oldest is given up: its
/// messages count as missing, and as duplicates should they come after all.
const GAPS_MAX: usize = 1_024;

/// Where an intact message stood in the order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// The one expected next.
    Next,
    /// Later than expected: the ones between are missing, so far.
    Ahead,
    /// Missed before: it came after a later one.
    Late,
    /// It had come already.
    Again,
}

/// What has arrived at one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    next: u64,
    gaps: VecDeque<Range<u64>>,
    faults: Faults,
}

/// Deliveries that were not as they should be.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Faults {
    /// Published and never arrived.
    pub(crate) missing: u64,
    /// Arrived more than once.
    pub(crate) duplicated: u64,
    /// Arrived after a later one.
    pub(crate) reordered: u64,
    /// Arrived later than the run allows. Not booked here: only the clock knows.
    pub(crate) late: u64,
    /// Arrived with bytes that were not published.
    pub(crate) corrupted: u64,
    /// Arrived at a subscriber of another topic.
    pub(crate) misrouted: u64,
}

impl Audit {
    /// A book that begins with message `first`.
    pub(crate) fn from(first: u64) -> Self {
        Self { next: first, ..Self::default() }
    }

    /// The message expected next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Books the expected message: [`Audit::note`] for a caller that knows.
    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }

    /// Books an intact message.
    pub(crate) fn note(&mut self, sequence: u64) -> Place {
        if sequence == self.next {
            self.next += 1;
            Place::Next
        } else if sequence > self.next {
            self.open_gap(self.next..sequence);
            self.next = sequence + 1;
            Place::Ahead
        } else if self.fill(sequence) {
            self.faults.reordered += 1;
            Place::Late
        } else {
            self.faults.duplicated += 1;
            Place::Again
        }
    }

    /// Books a message whose bytes are not what was published.
    pub(crate) fn note_corrupted(&mut self) {
        self.faults.corrupted += 1;
    }

    /// Books a message of another topic.
    pub(crate) fn note_misrouted(&mut self) {
        self.faults.misrouted += 1;
    }

    /// The faults, when `published` messages should have arrived. A corrupted message did arrive,
    /// so it takes the place of one that would otherwise be missing.
    pub(crate) fn close(&self, published: u64) -> Faults {
        let gaps: u64 = self.gaps.iter().map(|gap| gap.end - gap.start).sum();
        let absent = self.faults.missing + gaps + published.saturating_sub(self.next);
        Faults { missing: absent.saturating_sub(self.faults.corrupted), ..self.faults }
    }

    fn open_gap(&mut self, gap: Range<u64>) {
        if self.gaps.len() == GAPS_MAX
            && let Some(oldest) = self.gaps.pop_front()
        {
            self.faults.missing += oldest.end - oldest.start;
        }
        self.gaps.push_back(gap);
    }

    /// Takes `sequence` out of the gap it is in, if there is one.
    fn fill(&mut self, sequence: u64) -> bool {
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        let Some(gap) = self.gaps.get(at).filter(|gap| gap.contains(&sequence)).cloned() else {
            return false;
        };
        self.gaps.remove(at);
        for part in [sequence + 1..gap.end, gap.start..sequence] {
            if !part.is_empty() {
                self.gaps.insert(at, part);
            }
        }
        true
    }
}

impl Faults {
    /// All of them.
    pub(crate) fn count(&self) -> u64 {
        let Self { missing, duplicated, reordered, late, corrupted, misrouted } = self;
        missing + duplicated + reordered + late + corrupted + misrouted
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.late += other.late;
        self.corrupted += other.corrupted;
        self.misrouted += other.misrouted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(sequences: &[u64], published: u64) -> Faults {
        let mut audit = Audit::default();
        for &sequence in sequences {
            audit.note(sequence);
        }
        audit.close(published)
    }

    #[test]
    fn all_in_order_is_clean() {
        assert_eq!(faults(&[0, 1, 2, 3], 4).count(), 0);
    }

    #[test]
    fn each_fault_has_its_own_column() {
        let clean = Faults::default();
        assert_eq!(faults(&[0, 2, 3], 4), Faults { missing: 1, ..clean });
        assert_eq!(faults(&[0, 1], 4), Faults { missing: 2, ..clean });
        assert_eq!(faults(&[0, 1, 1, 2, 3], 4), Faults { duplicated: 1, ..clean });
        assert_eq!(faults(&[0, 2, 1, 3], 4), Faults { reordered: 1, ..clean });
        assert_eq!(faults(&[0, 2, 1, 1, 3], 4), Faults { reordered: 1, duplicated: 1, ..clean });
        assert_eq!(faults(&[5, 1, 3], 6), Faults { missing: 3, reordered: 2, ..clean });
    }

    #[test]
    fn a_corrupted_message_is_not_missing_too() {
        let mut audit = Audit::default();
        audit.note(0);
        audit.note_corrupted();
        audit.note(2);
        assert_eq!(audit.close(3), Faults { corrupted: 1, ..Faults::default() });
    }

    #[test]
    fn gaps_are_bounded_and_still_counted() {
        let every_other: Vec<u64> = (0..10_000).map(|n| 2 * n + 1).collect();
        assert_eq!(faults(&every_other, 20_000).missing, 10_000);
        let mut audit = Audit::default();
        for sequence in every_other {
            audit.note(sequence);
        }
        assert!(audit.gaps.len() <= GAPS_MAX);
    }
}
