//! Objects in packs.
//!
//! One [`PackStore`] serves all orgs of a server; [`PackStore::org`] gives the handle for one.
//! Packs are named `packs/<org>/<last letter of the ulid>/<ulid>.pack`; two kinds of index row
//! say what they hold ([`rows`]).

mod cache;
mod counts;
mod get;
mod inflight;
mod put;
pub mod rows;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use mesa_meta::{Batch, MetaStore, Table};
use mesa_object::{Domain, Object, OrgKey};
use mesa_types::{
    ObjectId, OrgId,
    random::{Random, SystemRandom},
    time::{Clock, SystemClock},
};
use parking_lot::Mutex;

pub use counts::PackCounts;

use crate::{ObjectName, ObjectStore, StoreError, StoreErrorKind};
use cache::Cache;
use counts::Counters;
use inflight::Inflight;

/// Index rows in one batch of ours.
const ROWS_PER_BATCH: usize = 20_000;

/// Bounds and targets, and where time and randomness for pack names come from.
#[derive(Clone)]
pub struct PackStoreConfig {
    /// Size at which a data pack is closed, in stored bytes.
    pub data_pack_bytes: usize,
    /// The same for metadata packs.
    pub meta_pack_bytes: usize,
    /// Decoded objects kept in memory, in bytes.
    pub cache_bytes_max: usize,
    /// zstd level, 1 to 3.
    pub zstd_level: i32,
    /// Time in pack names.
    pub clock: Arc<dyn Clock>,
    /// The rest of pack names.
    pub random: Arc<dyn Random>,
}

impl Default for PackStoreConfig {
    fn default() -> Self {
        Self {
            data_pack_bytes: 16 << 20,
            meta_pack_bytes: 4 << 20,
            cache_bytes_max: 64 << 20,
            zstd_level: 1,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
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
    cache: Mutex<Cache>,
    inflight: Inflight,
    counters: Counters,
    /// A small number per org, for cache keys.
    slots: Mutex<HashMap<OrgId, u32>>,
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
                cache: Mutex::new(Cache::new(config.cache_bytes_max)),
                inflight: Inflight::default(),
                counters: Counters::default(),
                slots: Mutex::new(HashMap::new()),
                config,
            }),
        }
    }

    /// The handle for one org.
    pub fn org(&self, org: OrgId, key: OrgKey) -> OrgPacks {
        let mut slots = self.inner.slots.lock();
        let next = slots.len() as u32;
        let slot = *slots.entry(org.clone()).or_insert(next);
        drop(slots);
        OrgPacks {
            store: self.clone(),
            org,
            key,
            slot,
        }
    }

    /// Work done so far.
    pub fn counts(&self) -> PackCounts {
        self.inner.counters.read()
    }
}

/// Packs of one org.
#[derive(Clone)]
pub struct OrgPacks {
    store: PackStore,
    org: OrgId,
    key: OrgKey,
    slot: u32,
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
        batch.conditions.extend(self.batch.conditions);
        batch.writes.extend(self.batch.writes);
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batch.writes.len()
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
    /// Objects there already are skipped. Ids are trusted: check those of foreign bytes with
    /// [`Object::verified`] first.
    pub async fn put(&self, objects: Vec<Object>) -> Result<Stored, StoreError> {
        let mut rows = self.write(objects).await?;
        self.settle(&mut rows, ROWS_PER_BATCH).await?;
        let stored = rows.stored;
        if rows.rows() > 0 {
            self.commit(rows).await?;
        }
        Ok(stored)
    }

    /// The same without the index: the rows go into a batch of the caller's, so that they commit
    /// together with what refers to them.
    pub async fn write(&self, objects: Vec<Object>) -> Result<IndexRows, StoreError> {
        put::write(self, objects).await
    }

    /// Commits rows on their own until at most `keep` are left, so that a batch they are added to
    /// stays small. Rows committed early make objects readable that nothing refers to yet.
    pub async fn settle(&self, rows: &mut IndexRows, keep: usize) -> Result<(), StoreError> {
        while rows.rows() > keep {
            let some = rows.rows().min(keep.max(1));
            let writes = rows.batch.writes.drain(..some).collect();
            let part = IndexRows {
                stored: rows.stored,
                batch: Batch {
                    conditions: Vec::new(),
                    writes,
                },
            };
            self.commit(part).await?;
        }
        Ok(())
    }

    async fn commit(&self, rows: IndexRows) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        rows.add_to(&mut batch);
        self.store.inner.counters.index_commit();
        match self.store.inner.meta.commit(batch).await? {
            mesa_meta::Committed::Yes(_) => Ok(()),
            mesa_meta::Committed::Conflict(_) => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "commit index",
                None,
            )),
        }
    }

    /// Reads objects, verified, in the order of `ids`; `None` for those the org does not have.
    /// Everything asked for is in memory at once: bound the number of ids.
    pub async fn get_many(&self, ids: &[ObjectId]) -> Result<Vec<Option<Bytes>>, StoreError> {
        get::get_many(self, ids).await
    }

    /// Reads one object, [`StoreErrorKind::NotFound`] if the org does not have it.
    pub async fn get(&self, id: ObjectId) -> Result<Bytes, StoreError> {
        let found = self.get_many(&[id]).await?.pop().flatten();
        found.ok_or_else(|| {
            StoreError::new(StoreErrorKind::NotFound, format!("get object {id}"), None)
        })
    }

    /// Which objects the org has, in the order of `ids`.
    pub async fn has(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for rows in self.index(ids).await? {
            found.push(rows.is_some());
        }
        Ok(found)
    }

    /// What and how long objects are, in the order of `ids`; `None` for those the org does not
    /// have. Reads the index only.
    pub async fn describe(
        &self,
        ids: &[ObjectId],
    ) -> Result<Vec<Option<(Domain, u32)>>, StoreError> {
        let rows = self.index(ids).await?.into_iter();
        Ok(rows
            .map(|row| row.map(|row| (row.at.domain, row.at.len)))
            .collect())
    }

    /// Index rows of objects, in the order of `ids`.
    async fn index(&self, ids: &[ObjectId]) -> Result<Vec<Option<rows::ChunkRow>>, StoreError> {
        const KEYS_PER_READ: usize = 1024;
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(KEYS_PER_READ) {
            let keys: Vec<_> = part
                .iter()
                .map(|id| rows::chunk_key(&self.org, id))
                .collect();
            self.store.inner.counters.index_read();
            for row in self.store.inner.meta.get_many(Table::Chunks, &keys).await? {
                found.push(
                    row.map(|row| rows::ChunkRow::decode(&row.value))
                        .transpose()?,
                );
            }
        }
        Ok(found)
    }

    fn pack_name(&self, pack: rows::PackId) -> Result<ObjectName, StoreError> {
        let ulid = ulid::Ulid::from_bytes(pack.0).to_string();
        let last = ulid.get(ulid.len() - 1..).unwrap_or("0");
        ObjectName::new(format!("packs/{}/{last}/{ulid}.pack", self.org.as_str()))
    }
}
