//! Decoded objects in memory, least recently used first out, bounded by bytes.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use mesa_types::ObjectId;

/// An object of an org (by its slot): ids alone would let one org read what another cached.
pub(super) type CacheKey = (u32, ObjectId);

/// Bookkeeping counted for every object, so that tiny ones are bounded too.
const OVERHEAD_BYTES: usize = 200;

#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: usize,
    bytes: usize,
    tick: u64,
    objects: HashMap<CacheKey, (Bytes, u64)>,
    by_age: BTreeMap<u64, CacheKey>,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            tick: 0,
            objects: HashMap::new(),
            by_age: BTreeMap::new(),
        }
    }

    pub(super) fn get(&mut self, key: &CacheKey) -> Option<Bytes> {
        let (bytes, age) = self.objects.get_mut(key)?;
        self.by_age.remove(age);
        self.tick += 1;
        *age = self.tick;
        self.by_age.insert(self.tick, *key);
        Some(bytes.clone())
    }

    pub(super) fn insert(&mut self, key: CacheKey, bytes: Bytes) {
        let cost = bytes.len() + OVERHEAD_BYTES;
        // One object must not empty the cache.
        if cost > self.bytes_max / 4 || self.objects.contains_key(&key) {
            return;
        }
        self.tick += 1;
        self.objects.insert(key, (bytes, self.tick));
        self.by_age.insert(self.tick, key);
        self.bytes += cost;
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            if let Some((bytes, _)) = self.objects.remove(&oldest) {
                self.bytes -= bytes.len() + OVERHEAD_BYTES;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let key = |n| (0, ObjectId([n; 32]));
        let mut cache = Cache::new(8 * (1000 + OVERHEAD_BYTES));
        for n in 0..8 {
            cache.insert(key(n), vec![n; 1000].into());
        }
        assert!(cache.get(&key(0)).is_some());
        cache.insert(key(8), vec![8; 1000].into());
        assert!(cache.get(&key(1)).is_none());
        assert!(cache.get(&key(0)).is_some());
        assert!(cache.get(&(1, ObjectId([0; 32]))).is_none(), "another org");
        cache.insert(key(9), vec![9; 5000].into());
        assert!(cache.get(&key(9)).is_none(), "too large to be kept");
        assert!(cache.bytes <= cache.bytes_max);
        assert_eq!(cache.objects.len(), cache.by_age.len());
    }
}
