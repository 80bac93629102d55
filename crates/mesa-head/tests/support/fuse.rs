//! Stores that die between two durable steps.

use std::{
    ops::Range as Span,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use mesa_meta::{
    Batch, Committed, Entry, Key, MetaError, MetaErrorKind, MetaStore, Range, Row, Table,
};
use mesa_store::{ObjectInfo, ObjectName, ObjectStore, StoreError, StoreErrorKind};

/// Burns down with every durable step; afterwards nothing works any more.
pub struct Fuse {
    left: AtomicI64,
    /// The last step has its effect, only its answer is lost.
    after: bool,
}

enum Fate {
    Lives,
    DiesBefore,
    DiesAfter,
}

impl Fuse {
    /// Lets `steps` durable steps happen.
    pub fn new(steps: i64, after: bool) -> Self {
        Self {
            left: AtomicI64::new(steps),
            after,
        }
    }

    fn step(&self) -> Fate {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Fate::Lives,
            0 if self.after => Fate::DiesAfter,
            _ => Fate::DiesBefore,
        }
    }

    /// Whether it has burnt down.
    pub fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

/// A metadata store that dies with the fuse.
pub struct Meta(pub Arc<mesa_meta::MemoryStore>, pub Arc<Fuse>);

fn gone() -> MetaError {
    MetaError {
        kind: MetaErrorKind::Unavailable,
        step: "crashed",
        source: None,
    }
}

impl Meta {
    fn alive(&self) -> Result<(), MetaError> {
        if self.1.is_dead() {
            Err(gone())
        } else {
            Ok(())
        }
    }
}

#[async_trait::async_trait]
impl MetaStore for Meta {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError> {
        self.alive()?;
        self.0.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError> {
        self.alive()?;
        self.0.get_many(table, keys).await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError> {
        self.alive()?;
        self.0.scan(table, range, limit, descending).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError> {
        match self.1.step() {
            Fate::Lives => self.0.commit(batch).await,
            Fate::DiesBefore => Err(gone()),
            Fate::DiesAfter => {
                self.0.commit(batch).await?;
                Err(gone())
            }
        }
    }

    async fn ping(&self) -> Result<(), MetaError> {
        self.alive()
    }
}

/// An object store that dies with the fuse.
pub struct Objects(pub Arc<mesa_store::MemoryStore>, pub Arc<Fuse>);

fn lost() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "crashed", None)
}

#[async_trait::async_trait]
impl ObjectStore for Objects {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        match self.1.step() {
            Fate::Lives => self.0.put(name, bytes).await,
            Fate::DiesBefore => Err(lost()),
            Fate::DiesAfter => {
                self.0.put(name, bytes).await?;
                Err(lost())
            }
        }
    }

    async fn get_range(&self, name: &ObjectName, range: Span<u64>) -> Result<Bytes, StoreError> {
        if self.1.is_dead() {
            return Err(lost());
        }
        self.0.get_range(name, range).await
    }

    async fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.0.size(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        self.0.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.0.delete(name).await
    }
}
