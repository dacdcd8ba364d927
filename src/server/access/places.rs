//! How many connections whoever they are counted for has, and may have.
//!
//! The table has an entry for whoever has a connection now, so it is as bounded as connections are.

use std::{hash::Hash, sync::Arc};

use dashmap::{DashMap, Entry};

/// Connections by whom they are counted for.
#[derive(Debug)]
pub(super) struct Places<K: Eq + Hash> {
    taken: DashMap<K, usize>,
    max: usize,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place<K: Eq + Hash + Copy> {
    places: Arc<Places<K>>,
    key: K,
}

impl<K: Eq + Hash + Copy> Places<K> {
    /// At least one each.
    pub(super) fn new(max: usize) -> Self {
        Self { taken: DashMap::new(), max: max.max(1) }
    }

    /// None: it has as many as it may have.
    pub(super) fn take(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.entry(key).or_insert(0);
        if *taken >= self.max {
            return None;
        }
        *taken += 1;
        Some(Place { places: Arc::clone(self), key })
    }
}

impl<K: Eq + Hash + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.places.taken.entry(self.key) {
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
        let places = Arc::new(Places::new(2));
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
}
