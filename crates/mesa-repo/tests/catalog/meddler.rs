//! A store in which things happen at the worst moment.

use std::sync::atomic::{AtomicUsize, Ordering};

use mesa_meta::{
    Batch, Committed, Condition, Entry, Key, MemoryStore, MetaError, MetaErrorKind, MetaStore,
    Range, Row, Table,
};

/// Somebody else writes to the row that a commit depends on, just before it; or the store is gone
/// after some commits.
#[derive(Debug)]
pub struct Meddler {
    inner: MemoryStore,
    left: AtomicUsize,
    commits: AtomicUsize,
}

impl Default for Meddler {
    fn default() -> Self {
        Self {
            inner: MemoryStore::new(),
            left: AtomicUsize::new(0),
            commits: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Meddler {
    /// So many commits with a condition lose.
    pub fn loses(&self, commits: usize) {
        self.left.store(commits, Ordering::Relaxed);
    }

    /// So many commits are left before it fails.
    pub fn fails_after(&self, commits: usize) {
        self.commits.store(commits, Ordering::Relaxed);
    }

    /// Whether everything it was to do has happened.
    pub fn is_done(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    async fn meddle(&self, batch: &Batch) -> Result<(), MetaError> {
        let depends = batch.conditions.iter().find_map(|c| match c {
            Condition::Is(table, key, version) => Some((*table, key.clone(), *version)),
            _ => None,
        });
        let Some((table, key, version)) = depends.filter(|_| !self.is_done()) else {
            return Ok(());
        };
        let Some(row) = self.inner.get(table, &key).await? else {
            return Ok(());
        };
        if row.version == version {
            self.left.fetch_sub(1, Ordering::Relaxed);
            let mut other = Batch::new();
            other.put(table, key, row.value);
            self.inner.commit(other).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl MetaStore for Meddler {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError> {
        self.inner.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError> {
        self.inner.get_many(table, keys).await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError> {
        self.inner.scan(table, range, limit, descending).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError> {
        let less = |left: usize| left.checked_sub(usize::from(left != usize::MAX));
        let taken = self
            .commits
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if taken.is_err() {
            return Err(MetaError::new(MetaErrorKind::Unavailable, "commit"));
        }
        self.meddle(&batch).await?;
        self.inner.commit(batch).await
    }

    async fn ping(&self) -> Result<(), MetaError> {
        self.inner.ping().await
    }
}
