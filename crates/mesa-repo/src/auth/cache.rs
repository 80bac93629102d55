//! Keys kept in memory, so that a request does not cost a read of the store.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicI64},
};

use mesa_types::{KeyId, Nanos, OrgSlug};
use parking_lot::Mutex;

use super::verifier::Verifier;
use crate::records::{
    ApiKey,
    api_key::{LookupHash, PublicKey},
};

/// Keys held at most; one more empties the cache.
const KEYS_MAX: usize = 10_000;
/// How long a key is believed unseen. Revocations in this process take effect at once; this
/// bounds how late one made by another process of the same store does.
const FRESH: Nanos = Nanos(5 * 1_000_000_000);

/// What proves that a request comes from the key's holder.
#[derive(Debug)]
pub(crate) enum Proof {
    /// An API key's secret, or a token signed with it.
    Secret(Verifier),
    /// A token signed with the private half.
    Public(PublicKey),
}

/// A key as loaded.
#[derive(Debug)]
pub(crate) struct CachedKey {
    pub(crate) record: ApiKey,
    pub(crate) org_slug: OrgSlug,
    pub(crate) proof: Proof,
    /// Nanoseconds; `i64::MIN` = never.
    pub(crate) last_used: AtomicI64,
    pub(crate) loaded: Nanos,
}

#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_id: HashMap<KeyId, Arc<CachedKey>>,
    by_lookup: HashMap<LookupHash, KeyId>,
    /// Counts invalidations.
    generation: u64,
}

impl KeyCache {
    pub(crate) fn by_id(&self, id: &KeyId, now: Nanos) -> Option<Arc<CachedKey>> {
        self.0.lock().fresh(id, now)
    }

    pub(crate) fn by_lookup(&self, lookup: &LookupHash, now: Nanos) -> Option<Arc<CachedKey>> {
        let state = self.0.lock();
        let id = state.by_lookup.get(lookup)?;
        state.fresh(id, now)
    }

    /// To be read before loading what is to be inserted.
    pub(crate) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Keeps a key, unless something was invalidated since it began to load: then what was loaded
    /// may be older than that.
    pub(crate) fn insert(&self, key: Arc<CachedKey>, generation: u64) {
        let mut state = self.0.lock();
        if state.generation != generation {
            return;
        }
        if state.by_id.len() >= KEYS_MAX {
            state.by_id.clear();
            state.by_lookup.clear();
        }
        state
            .by_lookup
            .insert(key.record.lookup, key.record.id.clone());
        state.by_id.insert(key.record.id.clone(), key);
    }

    /// Forgets a key; to be called after its change is committed and before that is answered.
    pub(crate) fn invalidate(&self, id: &KeyId) {
        let mut state = self.0.lock();
        state.generation += 1;
        if let Some(key) = state.by_id.remove(id) {
            state.by_lookup.remove(&key.record.lookup);
        }
    }
}

impl State {
    fn fresh(&self, id: &KeyId, now: Nanos) -> Option<Arc<CachedKey>> {
        let key = self.by_id.get(id)?;
        let age = now.0.abs_diff(key.loaded.0);
        (age < FRESH.0.unsigned_abs()).then(|| Arc::clone(key))
    }
}
