//! How many connections whoever they are counted for has, and may have.
//!
//! The table has an entry for whoever has a connection now, so it is as bounded as connections are.

use std::{hash::Hash, sync::Arc};

use dashmap::{DashMap, Entry};

/// Connections by whom they are counted for.
#[derive(Debug)]
pub(super) struct Places<K: Eq + Hash> {
    taken: Arc<DashMap<K, usize>>,
    max: usize,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place<K: Eq + Hash + Copy> {
    taken: Arc<DashMap<K, usize>>,
    key: K,
}

impl<K: Eq + Hash + Copy> Places<K> {
    /// At least one each.
    pub(super) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max: max.max(1) }
    }

    /// The same bound, for those that have been counted so far too.
    pub(super) fn counting_on(&self, counted: &Self) -> Self {
        Self { taken: Arc::clone(&counted.taken), max: self.max }
    }

    /// None: it has as many as it may have.
    pub(super) fn take(&self, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.entry(key).or_insert(0);
        if *taken >= self.max {
            return None;
        }
        *taken += 1;
        Some(Place { taken: Arc::clone(&self.taken), key })
    }
}

impl<K: Eq + Hash + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.taken.entry(self.key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let places = Places::new(2);
        let first = places.take("a").unwrap();
        let _second = places.take("a").unwrap();
        assert!(places.take("a").is_none());
        let other = places.take("b").unwrap();
        drop(first);
        let third = places.take("a");
        assert!(third.is_some() && places.take("a").is_none());
        drop((third, other));
        assert_eq!(places.taken.len(), 1, "whoever has none is forgotten");
    }
    #[test]
    fn another_bound_counts_on() {
        let few = Places::new(1);
        let held = few.take("a").unwrap();
        let more = Places::new(2).counting_on(&few);
        let _second = more.take("a").unwrap();
        assert!(more.take("a").is_none() && few.take("a").is_none());
        drop(held);
        assert!(more.take("a").is_some());
    }
}
