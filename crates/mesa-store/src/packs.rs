//! Objects in packs.
//!
//! One [`PackStore`] serves all orgs of a server; [`PackStore::org`] gives the handle for one.

use std::sync::Arc;

use bytes::Bytes;
use mesa_meta::{Batch, MetaStore};
use mesa_object::{Object, OrgKey};
use mesa_types::{ObjectId, OrgId};

use crate::{ObjectStore, StoreError};

/// Bounds and targets.
#[derive(Debug, Clone)]
pub struct PackStoreConfig {
    /// Size at which a data pack is closed, in stored bytes.
    pub data_pack_bytes: usize,
    /// The same for metadata packs.
    pub meta_pack_bytes: usize,
    /// Decoded objects kept in memory, in bytes.
    pub cache_bytes_max: usize,
    /// zstd level, 1 to 3.
    pub zstd_level: i32,
}

impl Default for PackStoreConfig {
    fn default() -> Self {
        Self {
            data_pack_bytes: 16 << 20,
            meta_pack_bytes: 4 << 20,
            cache_bytes_max: 64 << 20,
            zstd_level: 1,
        }
    }
}

/// Packs of all orgs over one object store and one metadata store.
#[derive(Clone)]
pub struct PackStore {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Arc<dyn ObjectStore>,
    meta: Arc<dyn MetaStore>,
    config: PackStoreConfig,
}

impl PackStore {
    /// Over these stores.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        meta: Arc<dyn MetaStore>,
        config: PackStoreConfig,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                objects,
                meta,
                config,
            }),
        }
    }

    /// The handle for one org.
    pub fn org(&self, org: OrgId, key: OrgKey) -> OrgPacks {
        OrgPacks {
            store: self.clone(),
            org,
            key,
        }
    }
}

/// Packs of one org.
#[derive(Clone)]
pub struct OrgPacks {
    store: PackStore,
    org: OrgId,
    key: OrgKey,
}

/// What a put did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Objects newly written.
    pub stored: usize,
    /// Objects that were there already.
    pub present: usize,
}

/// Index rows of packs already on stable storage; the objects exist for readers once the batch
/// they are added to has committed. Dropping them leaves unused packs behind, nothing else.
#[derive(Debug, Default)]
#[must_use]
pub struct IndexRows {
    /// What was written.
    pub stored: Stored,
    batch: Batch,
}

impl IndexRows {
    /// Adds the rows to a batch of the org's shard.
    pub fn add_to(self, batch: &mut Batch) {
        batch.writes.extend(self.batch.writes);
    }
}

impl OrgPacks {
    /// The org.
    pub fn org_id(&self) -> &OrgId {
        &self.org
    }

    /// The key of its object ids.
    pub fn key(&self) -> &OrgKey {
        &self.key
    }

    /// Stores and indexes objects; when this returns they are on stable storage and readable.
    /// Objects there already are skipped. Ids are trusted: check those of foreign bytes first.
    pub async fn put(&self, objects: Vec<Object>) -> Result<Stored, StoreError> {
        let _ = (
            objects,
            &self.store.inner.objects,
            &self.store.inner.meta,
            &self.store.inner.config,
        );
        todo!()
    }

    /// The same without the index: the rows go into a batch of the caller's, so that they commit
    /// together with what refers to them.
    pub async fn write(&self, objects: Vec<Object>) -> Result<IndexRows, StoreError> {
        let _ = objects;
        todo!()
    }

    /// Reads objects, verified, in the order of `ids`; `None` for those the org does not have.
    pub async fn get_many(&self, ids: &[ObjectId]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let _ = ids;
        todo!()
    }

    /// Reads one object, [`crate::StoreErrorKind::NotFound`] if the org does not have it.
    pub async fn get(&self, id: ObjectId) -> Result<Bytes, StoreError> {
        let _ = id;
        todo!()
    }

    /// Which objects the org has, in the order of `ids`.
    pub async fn has(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError> {
        let _ = ids;
        todo!()
    }
}
