//! Which frames of a topic are the latest of their conflation key, so that a subscriber that conflates
//! is sent these alone where it lags.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use super::{Sequence, TopicId};

/// A conflation key within the topic that its message was published to: under a pattern the same key of
/// two topics is two.
type Key = (TopicId, Arc<str>);

/// The frames of a topic that no later one stands for, from when somebody first conflated it.
///
/// Some 100 B for each frame that is kept, at most all that are retained.
#[derive(Debug)]
pub(super) struct Latest {
    /// Frames from here on are in `kept`, unless a later one has their key.
    from: Sequence,
    /// From here on none is missing because it was retired.
    complete_from: Sequence,
    kept: BTreeMap<Sequence, Option<Key>>,
    by_key: HashMap<Key, Sequence>,
}

impl Latest {
    /// Looks at what is appended from here on.
    pub(super) fn new(from: Sequence) -> Self {
        Self { from, complete_from: from, kept: BTreeMap::new(), by_key: HashMap::new() }
    }

    /// Frames before it are not here.
    pub(super) fn from(&self) -> Sequence {
        self.from
    }

    /// Adds the newest frame; one without a key stands for itself.
    pub(super) fn append(&mut self, sequence: Sequence, key: Option<(TopicId, &str)>) {
        let key = key.map(|(topic, key)| (topic, Arc::from(key)));
        if let Some(key) = &key
            && let Some(earlier) = self.by_key.insert(key.clone(), sequence)
        {
            self.kept.remove(&earlier);
        }
        self.kept.insert(sequence, key);
    }

    /// Forgets the frames before `tail`, which are no longer retained.
    pub(super) fn retire_below(&mut self, tail: Sequence) {
        while let Some(oldest) = self.kept.first_entry()
            && *oldest.key() < tail
        {
            let (sequence, key) = oldest.remove_entry();
            self.complete_from = sequence.plus(1);
            if let Some(key) = key {
                // A later frame with the key would have taken its place.
                self.by_key.remove(&key);
            }
        }
    }

    /// Appends to `found` the first `max` frames in `range`. False: frames at or after its start are
    /// gone for which no later one stood when they went.
    #[must_use]
    pub(super) fn find(
        &self,
        range: Range<Sequence>,
        max: usize,
        found: &mut Vec<Sequence>,
    ) -> bool {
        if range.start < range.end {
            let kept = self.kept.range(range.clone()).map(|(&sequence, _)| sequence);
            found.extend(kept.take(max));
        }
        self.complete_from <= range.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: TopicId = TopicId(1);

    fn at(number: u64) -> Sequence {
        Sequence::new(number)
    }

    fn find(latest: &Latest, range: Range<u64>) -> (Vec<u64>, bool) {
        let mut found = Vec::new();
        let complete = latest.find(at(range.start)..at(range.end), 100, &mut found);
        (found.iter().map(|sequence| sequence.number()).collect(), complete)
    }

    fn latest(appended: &[(u64, Option<&str>)]) -> Latest {
        let mut latest = Latest::new(at(1));
        for &(number, key) in appended {
            latest.append(at(number), key.map(|key| (TOPIC, key)));
        }
        latest
    }

    #[test]
    fn the_latest_of_a_key_stands_for_those_before_it() {
        let latest = latest(&[(1, Some("a")), (2, Some("b")), (3, None), (5, Some("a"))]);
        assert_eq!(find(&latest, 1..9), (vec![2, 3, 5], true));
        assert_eq!(find(&latest, 1..5), (vec![2, 3], true), "5 comes later, and 1 never");
        assert_eq!(find(&latest, 9..9), (vec![], true));
    }

    #[test]
    fn the_same_key_of_two_topics_is_two() {
        let mut latest = latest(&[(1, Some("a"))]);
        latest.append(at(2), Some((TopicId(2), "a")));
        assert_eq!(find(&latest, 1..9).0, [1, 2]);
    }

    #[test]
    fn only_what_no_later_one_stands_for_is_missing_when_it_is_retired() {
        let mut latest = latest(&[(1, Some("a")), (2, Some("b")), (3, Some("a"))]);
        latest.retire_below(at(2));
        assert_eq!(find(&latest, 1..9), (vec![2, 3], true), "3 stands for 1");
        latest.retire_below(at(3));
        assert_eq!(find(&latest, 1..9), (vec![3], false));
        latest.append(at(4), Some((TOPIC, "b")));
        assert_eq!(find(&latest, 3..9), (vec![3, 4], true));
        latest.retire_below(at(9));
        assert!(latest.by_key.is_empty() && latest.kept.is_empty());
    }
}
