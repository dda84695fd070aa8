//! Places at a listener, so many for each who takes them: whatever one of them takes, the others find theirs. As many names are in memory
//! as have a place at the moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The same number of places for each.
#[derive(Debug)]
pub(crate) struct Places<K: Ord> {
    each: usize,
    occupied: Mutex<BTreeMap<K, usize>>,
}

/// One place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place<K: Ord + Clone> {
    of: Arc<Places<K>>,
    key: K,
}

impl<K: Ord + Clone> Places<K> {
    /// So many for each; one at least.
    pub fn of(each: usize) -> Arc<Self> {
        Arc::new(Self { each: each.max(1), occupied: Mutex::default() })
    }

    /// A place of this one's; nothing if it has all of them.
    pub fn take(self: &Arc<Self>, key: &K) -> Option<Place<K>> {
        let mut occupied = self.occupied.lock().unwrap_or_else(PoisonError::into_inner);
        let count = occupied.entry(key.clone()).or_insert(0);
        if *count >= self.each {
            return None;
        }
        *count += 1;
        drop(occupied);
        Some(Place { of: Arc::clone(self), key: key.clone() })
    }
}

impl<K: Ord + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        let mut occupied = self.of.occupied.lock().unwrap_or_else(PoisonError::into_inner);
        match occupied.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(occupied.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_takes_its_own_places_and_nobody_elses_and_is_forgotten_when_it_has_none() {
        let places = Places::of(2);
        let held = [places.take(&1), places.take(&1)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(&1).is_none());
        assert!(places.take(&2).is_some(), "the control");
        drop(held);
        assert!(places.occupied.lock().unwrap().is_empty());
        assert!(places.take(&1).is_some());
    }
}
