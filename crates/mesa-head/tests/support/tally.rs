//! A metadata store that counts what is asked of it, row by row.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use mesa_meta::{Batch, Committed, Entry, Key, MetaError, MetaStore, Range, Row, Table};

/// Counts calls and rows.
pub struct Tally {
    inner: Arc<mesa_meta::MemoryStore>,
    calls: AtomicU64,
    rows: AtomicU64,
}

impl Tally {
    pub fn over(inner: Arc<mesa_meta::MemoryStore>) -> Self {
        Self {
            inner,
            calls: AtomicU64::new(0),
            rows: AtomicU64::new(0),
        }
    }

    /// Calls, and rows asked for, found, demanded or written.
    pub fn counts(&self) -> (u64, u64) {
        (self.calls.load(Relaxed), self.rows.load(Relaxed))
    }

    fn count(&self, rows: usize) {
        self.calls.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows as u64, Relaxed);
    }
}

#[async_trait::async_trait]
impl MetaStore for Tally {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError> {
        self.count(1);
        self.inner.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError> {
        self.count(keys.len());
        self.inner.get_many(table, keys).await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError> {
        let found = self.inner.scan(table, range, limit, descending).await?;
        self.count(found.len());
        Ok(found)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError> {
        self.count(batch.conditions.len() + batch.writes.len());
        self.inner.commit(batch).await
    }

    async fn ping(&self) -> Result<(), MetaError> {
        self.inner.ping().await
    }
}
