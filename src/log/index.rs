//! Which frames a topic has, so that catching up costs the frames sent, not the frames retained.

use std::{collections::VecDeque, ops::Range};

use super::Sequence;

/// The sequences of a topic's frames, oldest first. 8 B each.
#[derive(Debug)]
pub struct Index {
    sequences: VecDeque<Sequence>,
    /// From here on every published frame of the topic is in `sequences`; before, some may be gone.
    complete_from: Sequence,
}

impl Index {
    /// An index without frames, of a topic that may have had some before `complete_from`.
    pub fn new(complete_from: Sequence) -> Self {
        Self { sequences: VecDeque::new(), complete_from }
    }

    /// From here on every published frame of the topic is here.
    pub fn complete_from(&self) -> Sequence {
        self.complete_from
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Whether there is a frame in `range`.
    pub fn has_any(&self, range: Range<Sequence>) -> bool {
        self.first(range).is_some()
    }

    /// The first frame in `range`.
    pub fn first(&self, range: Range<Sequence>) -> Option<Sequence> {
        self.from(range.start).next().filter(|&first| first < range.end)
    }

    /// Appends to `found` the first `max` sequences in `range`. False: frames at or after its start may
    /// be gone.
    #[must_use]
    pub fn find(&self, range: Range<Sequence>, max: usize, found: &mut Vec<Sequence>) -> bool {
        found.extend(self.from(range.start).take(max).take_while(|&at| at < range.end));
        self.complete_from <= range.start
    }

    /// Whether each of the `count` sequences from `first` on is a frame of this topic.
    pub fn has_all(&self, first: Sequence, count: usize) -> bool {
        let place = self.sequences.partition_point(|&sequence| sequence < first);
        let has = |place: usize, at: Sequence| self.sequences.get(place) == Some(&at);
        // They rise, so what lies between two that are as far apart as their places is dense.
        count == 0 || has(place, first) && has(place + count - 1, first.plus(count - 1))
    }

    /// The newest frame in `range`.
    pub fn newest(&self, range: Range<Sequence>) -> Option<Sequence> {
        let after = self.sequences.partition_point(|&sequence| sequence < range.end);
        let newest = *self.sequences.get(after.checked_sub(1)?)?;
        (newest >= range.start).then_some(newest)
    }

    /// Every frame from here on is one that will be appended.
    pub fn end(&self) -> Sequence {
        self.sequences.back().map_or(self.complete_from, |newest| newest.plus(1))
    }

    /// Adds the newest frame.
    pub fn append(&mut self, sequence: Sequence) {
        debug_assert!(self.sequences.back().is_none_or(|&newest| newest < sequence));
        self.sequences.push_back(sequence);
    }

    /// Adds `older` frames, in order: all of the topic's from `complete_from` to where the index began
    /// until now. What others have added meanwhile is left out.
    pub fn prepend(&mut self, older: &[Sequence], complete_from: Sequence) {
        if complete_from >= self.complete_from {
            return;
        }
        let missing = older.partition_point(|&sequence| sequence < self.complete_from);
        older[..missing].iter().rev().for_each(|&sequence| self.sequences.push_front(sequence));
        self.complete_from = complete_from;
    }

    /// Forgets the frames before `tail`, which are no longer retained.
    pub fn retire_below(&mut self, tail: Sequence) {
        while let Some(&oldest) = self.sequences.front()
            && oldest < tail
        {
            self.sequences.pop_front();
            self.complete_from = self.complete_from.max(oldest.plus(1));
        }
        if self.sequences.capacity() > 4 * self.sequences.len().max(4) {
            self.sequences.shrink_to_fit();
        }
    }

    fn from(&self, start: Sequence) -> impl Iterator<Item = Sequence> {
        let first = self.sequences.partition_point(|&sequence| sequence < start);
        self.sequences.range(first..).copied()
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    fn at(number: u64) -> Sequence {
        Sequence::new(number)
    }

    fn index(numbers: &[u64], complete_from: u64) -> Index {
        let mut index = Index::new(at(complete_from));
        numbers.iter().for_each(|&number| index.append(at(number)));
        index
    }

    fn find(index: &Index, range: Range<u64>, max: usize) -> (Vec<u64>, bool) {
        let mut found = Vec::new();
        let complete = index.find(at(range.start)..at(range.end), max, &mut found);
        (found.iter().map(|sequence| sequence.number()).collect(), complete)
    }

    #[test]
    fn finds_what_is_in_the_range_and_says_whether_that_is_all() {
        let index = index(&[3, 5, 8], 3);
        assert_eq!(find(&index, 3..8, 9), (vec![3, 5], true));
        assert_eq!(find(&index, 4..9, 1), (vec![5], true));
        assert_eq!(find(&index, 2..4, 9), (vec![3], false));
        assert_eq!(find(&index, 9..20, 9), (vec![], true));
        assert!(index.has_any(at(4)..at(6)) && !index.has_any(at(6)..at(8)));
        assert_eq!(index.newest(at(3)..at(8)), Some(at(5)));
        assert_eq!(index.newest(at(6)..at(8)), None);
    }

    #[test]
    fn dense_is_what_has_no_other_in_between() {
        let index = index(&[3, 5, 6, 7, 9], 3);
        assert!(index.has_all(at(5), 3) && index.has_all(at(9), 1) && index.has_all(at(4), 0));
        assert!(!index.has_all(at(3), 2) && !index.has_all(at(6), 3) && !index.has_all(at(4), 1));
        assert!(!index.has_all(at(9), 2), "there is no more");
    }

    #[test]
    fn what_is_retired_is_known_to_be_gone() {
        let mut index = index(&[3, 5, 8], 3);
        index.retire_below(at(6));
        assert_eq!(find(&index, 6..9, 9), (vec![8], true));
        assert!(!find(&index, 5..9, 9).1);
        index.retire_below(at(20));
        assert!(index.is_empty());
        assert_eq!(index.complete_from(), at(9), "nothing of the topic is gone after 8");
    }

    #[test]
    fn older_frames_are_added_once() {
        let mut index = index(&[8], 8);
        index.prepend(&[at(5), at(7)], at(4));
        index.prepend(&[at(2), at(5), at(7)], at(1));
        index.prepend(&[at(5)], at(3));
        assert_eq!(find(&index, 1..9, 9), (vec![2, 5, 7, 8], true));
    }
}
