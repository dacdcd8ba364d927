//! The line at debug for each end of a connection, and a bound for how many there are: thousands may
//! end at once, and each line costs as much as the end.

use std::time::{Duration, Instant};

use crate::limits;

/// Lets so many lines through in a second, and counts the others.
#[derive(Debug, Default)]
pub(super) struct EndLines {
    now: Option<Instant>,
    /// When the second began whose lines are counted.
    began: Option<Instant>,
    told: usize,
    left_out: usize,
}

const SECOND: Duration = Duration::from_secs(1);

impl EndLines {
    /// What time it is. Gives how many lines were left out in the second that is over.
    pub(super) fn look_at(&mut self, now: Instant) -> Option<usize> {
        let is_over = self.began.is_some_and(|began| began + SECOND <= now);
        let over = if is_over { std::mem::take(self) } else { Self::default() };
        self.now = Some(now);
        (over.left_out > 0).then_some(over.left_out)
    }

    /// Whether a line may be told. It counts as such, or as left out.
    pub(super) fn may_tell(&mut self) -> bool {
        self.began = self.began.or(self.now);
        let may_tell = self.told < limits::END_LINES_PER_SECOND;
        self.told += usize::from(may_tell);
        self.left_out += usize::from(!may_tell);
        may_tell
    }

    /// When there is something to say.
    pub(super) fn next(&self) -> Option<Instant> {
        self.began.filter(|_| self.left_out > 0).map(|began| began + SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = limits::END_LINES_PER_SECOND;

    #[test]
    fn a_second_has_so_many_lines_and_then_says_how_many_it_has_not() {
        let (mut lines, start) = (EndLines::default(), Instant::now());
        let told = |lines: &mut EndLines| (0..MAX + 7).filter(|_| lines.may_tell()).count();
        for second in 0..3 {
            let now = start + SECOND * second;
            assert_eq!(lines.look_at(now), (second > 0).then_some(MAX + 7 + 7));
            assert_eq!(told(&mut lines), MAX);
            assert_eq!(lines.look_at(now + SECOND / 2), None);
            assert_eq!(told(&mut lines), 0);
            assert_eq!(lines.next(), Some(now + SECOND), "it is told even if nothing else happens");
        }
        assert_eq!(lines.look_at(start + 10 * SECOND), Some(MAX + 7 + 7));
        assert_eq!((lines.next(), lines.look_at(start + 20 * SECOND)), (None, None));
    }

    #[test]
    fn few_lines_leave_none_out() {
        let (mut lines, start) = (EndLines::default(), Instant::now());
        for second in 0..5 {
            assert_eq!(lines.look_at(start + SECOND * second), None);
            assert!((0..MAX).all(|_| lines.may_tell()));
            assert_eq!(lines.next(), None);
        }
    }
}
