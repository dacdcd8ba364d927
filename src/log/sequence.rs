//! A frame's place in the Log's one order.

use std::fmt;

/// A frame's place in the one order of a Log: 1, 2, 3 and so on, dense, local to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// The first frame of a Log.
    pub const FIRST: Self = Self(1);

    /// The sequence with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The sequence `count` frames later.
    #[must_use]
    pub const fn plus(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }

    /// The sequence `count` frames earlier, and not before the first.
    #[must_use]
    pub fn minus(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count).max(Self::FIRST.0))
    }

    /// Frames from `earlier` to this one; none if this one comes before.
    pub fn since(self, earlier: Self) -> Option<usize> {
        self.0.checked_sub(earlier.0).map(|count| count as usize)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
