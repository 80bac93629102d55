//! Least-recently-used order with a weight per key.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// A map that knows which keys were used longest ago and how much all values weigh.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    entries: HashMap<K, Slot<V>>,
    order: BTreeMap<u64, K>,
    tick: u64,
    weight: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    weight: u64,
    tick: u64,
}

impl<K: Hash + Eq + Copy, V> Lru<K, V> {
    pub fn new() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            tick: 0,
            weight: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Weight of everything in it.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The value; it becomes the most recent one.
    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.entries.get_mut(key)?;
        self.tick += 1;
        self.order.remove(&slot.tick);
        slot.tick = self.tick;
        self.order.insert(self.tick, *key);
        Some(&mut slot.value)
    }

    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Adds or replaces.
    pub fn insert(&mut self, key: K, value: V, weight: u64) {
        self.remove(&key);
        self.tick += 1;
        self.order.insert(self.tick, key);
        self.weight += weight;
        let tick = self.tick;
        self.entries.insert(
            key,
            Slot {
                value,
                weight,
                tick,
            },
        );
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.entries.remove(key)?;
        self.order.remove(&slot.tick);
        self.weight -= slot.weight;
        Some(slot.value)
    }

    /// Takes out the oldest entries that `free` allows until the weight is at most `max`.
    pub fn shrink(&mut self, max: u64, mut free: impl FnMut(&V) -> bool) -> Vec<(K, V)> {
        let mut over = self.weight.saturating_sub(max);
        let mut keys = Vec::new();
        for key in self.order.values() {
            if over == 0 {
                break;
            }
            if let Some(slot) = self.entries.get(key).filter(|slot| free(&slot.value)) {
                over = over.saturating_sub(slot.weight);
                keys.push(*key);
            }
        }
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(value) = self.remove(&key) {
                out.push((key, value));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_free_entries_go_first() {
        let mut lru = Lru::new();
        for key in 1..=4 {
            lru.insert(key, key * 10, 100);
        }
        lru.get(&1);
        let gone = lru.shrink(200, |&value| value != 20);
        assert_eq!(gone, [(3, 30), (4, 40)]);
        assert_eq!((lru.weight(), lru.len()), (200, 2));
        assert!(lru.contains(&1) && lru.contains(&2));
        lru.insert(1, 11, 50);
        assert_eq!(lru.weight(), 150);
    }
}
