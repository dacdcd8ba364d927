//! The topics of the simulation, and what a subscription selects of them: a second reading of what
//! patterns mean.

use fastrand::Rng;

use super::plan::PeersPlan;

/// What is published to.
pub(super) const NAMES: [&str; 12] =
    ["a", "", "a/b", "b", "a/c", "a/b/c", "b/c", "d", "e/f", "e/g", "h", "i"];

const PATTERNS: [&str; 6] = ["*", "**", "a/*", "a/**", "*/b", "*/c"];

/// A set of topics: a bit for each of [`NAMES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Topics(u32);

impl Topics {
    pub(super) fn add(&mut self, name: usize) {
        self.0 |= 1 << name;
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

/// Whatever can be subscribed to.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(PATTERNS)
}

/// Names and patterns to subscribe to. One may be there twice.
pub(super) fn draw(rng: &mut Rng, plan: &PeersPlan, topics: usize) -> Vec<&'static str> {
    let count = rng.usize(1..=plan.selections_max);
    let one = |rng: &mut Rng| {
        if plan.has_patterns && rng.u8(0..3) == 0 {
            PATTERNS[rng.usize(..PATTERNS.len())]
        } else {
            NAMES[rng.usize(..topics)]
        }
    };
    (0..count).map(|_| one(rng)).collect()
}

/// All topics that any of these selects.
pub(super) fn selected(selections: &[&str]) -> Topics {
    let mut topics = Topics::default();
    for (number, name) in NAMES.iter().enumerate() {
        if selections.iter().any(|selection| stands_for(&split(selection), &split(name))) {
            topics.add(number);
        }
    }
    topics
}

fn split(name: &str) -> Vec<&str> {
    name.split('/').collect()
}

fn stands_for(selection: &[&str], name: &[&str]) -> bool {
    match (selection, name) {
        ([], []) | (["**"], [_, ..]) => true,
        (["*", selection @ ..], [_, name @ ..]) => stands_for(selection, name),
        ([same, selection @ ..], [segment, name @ ..]) => {
            same == segment && stands_for(selection, name)
        }
        _ => false,
    }
}
