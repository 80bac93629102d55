//! Counting calls: tests bound them, metrics show them.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;

use crate::{ObjectInfo, ObjectName, ObjectStore, StoreError};

/// Calls made so far, failed ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects put.
    pub puts: u64,
    /// Ranges read.
    pub gets: u64,
    /// Sizes asked.
    pub sizes: u64,
    /// Listings.
    pub lists: u64,
    /// Deletions.
    pub deletes: u64,
    /// Bytes put.
    pub bytes_put: u64,
    /// Bytes read.
    pub bytes_got: u64,
}

impl Counts {
    /// All calls together.
    pub fn calls(&self) -> u64 {
        self.puts + self.gets + self.sizes + self.lists + self.deletes
    }
}

/// Passes everything to `S` and counts.
#[derive(Debug, Default)]
pub struct Counted<S> {
    inner: S,
    puts: AtomicU64,
    gets: AtomicU64,
    sizes: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    bytes_put: AtomicU64,
    bytes_got: AtomicU64,
}

impl<S> Counted<S> {
    /// Over `inner`, all counts 0.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            puts: AtomicU64::new(0),
            gets: AtomicU64::new(0),
            sizes: AtomicU64::new(0),
            lists: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
            bytes_put: AtomicU64::new(0),
            bytes_got: AtomicU64::new(0),
        }
    }

    /// The store counted.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        Counts {
            puts: self.puts.load(Relaxed),
            gets: self.gets.load(Relaxed),
            sizes: self.sizes.load(Relaxed),
            lists: self.lists.load(Relaxed),
            deletes: self.deletes.load(Relaxed),
            bytes_put: self.bytes_put.load(Relaxed),
            bytes_got: self.bytes_got.load(Relaxed),
        }
    }
}

#[async_trait::async_trait]
impl<S: ObjectStore> ObjectStore for Counted<S> {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.puts.fetch_add(1, Relaxed);
        self.bytes_put.fetch_add(bytes.len() as u64, Relaxed);
        self.inner.put(name, bytes).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.gets.fetch_add(1, Relaxed);
        let bytes = self.inner.get_range(name, range).await?;
        self.bytes_got.fetch_add(bytes.len() as u64, Relaxed);
        Ok(bytes)
    }

    async fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.sizes.fetch_add(1, Relaxed);
        self.inner.size(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        self.lists.fetch_add(1, Relaxed);
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.deletes.fetch_add(1, Relaxed);
        self.inner.delete(name).await
    }
}
