//! A map in bounded memory: what is oldest goes first.

use hufu_kernel::Timestamp;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// At most `most` values, each with the time it is ranked by.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    most: usize,
    values: HashMap<K, (Timestamp, V)>,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, values: HashMap::new() }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.values.get(key).map(|(_, value)| value)
    }

    /// Puts `value` in, ranked by `at`. Who had to go for it, if anybody.
    pub(crate) fn insert(&mut self, key: K, at: Timestamp, value: V) -> Option<K> {
        let full = self.values.len() >= self.most && !self.values.contains_key(&key);
        let oldest = self.values.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone()).filter(|_| full);
        if let Some(oldest) = &oldest {
            self.values.remove(oldest);
        }
        self.values.insert(key, (at, value));
        oldest
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.values.remove(key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.values.get_mut(key).map(|(_, value)| value)
    }

    pub(crate) fn each_mut(&mut self, change: impl FnMut(&mut V)) {
        self.values.values_mut().map(|(_, value)| value).for_each(change);
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.values.retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_lets_the_oldest_go_and_never_grows() {
        let mut map = Bounded::new(3);
        for at in 0..3 {
            assert_eq!(map.insert(format!("k{at}"), Timestamp(at), at), None);
        }
        assert_eq!(map.insert("k0".to_owned(), Timestamp(9), 9), None, "what is there already needs no room");
        // Nothing has expired and nothing is told to go: it is full all the same.
        for at in 10..100 {
            assert!(map.insert(format!("k{at}"), Timestamp(at), at).is_some());
            assert_eq!(map.values.len(), 3);
        }
        assert_eq!((map.get("k99"), map.get("k0")), (Some(&99), None));
        assert_eq!(map.insert("late".to_owned(), Timestamp(1), 0).as_deref(), Some("k97"));
        map.retain(|value| *value != 99);
        assert_eq!(map.get("k99"), None);
        assert_eq!(map.remove("k98"), Some(98));
    }
}
