//! Ids that messages brought themselves, for as long as their frames are retained.
//!
//! An id that comes twice means its first message: whoever resumes from it may get something again,
//! but misses nothing.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use super::Sequence;

/// Some 100 B and the id for each retained message that has one of its own. The map's hasher is
/// keyed, so ids cannot be chosen to collide.
#[derive(Debug, Default)]
pub(super) struct OwnIds {
    by_id: HashMap<Arc<str>, Sequence>,
    oldest_first: VecDeque<(Sequence, Arc<str>)>,
}

impl OwnIds {
    pub(super) fn insert(&mut self, id: &str, sequence: Sequence) {
        let id: Arc<str> = id.into();
        if let Entry::Vacant(vacant) = self.by_id.entry(Arc::clone(&id)) {
            vacant.insert(sequence);
            self.oldest_first.push_back((sequence, id));
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Sequence> {
        self.by_id.get(id).copied()
    }

    pub(super) fn retire_below(&mut self, tail: Sequence) {
        while let Some((sequence, id)) = self.oldest_first.front()
            && *sequence < tail
        {
            self.by_id.remove(id);
            self.oldest_first.pop_front();
        }
    }
}
