//! The trait.

use bytes::Bytes;

use crate::key::Key;

/// The tables. Each is a separate SQL table, so that the hot ones can be partitioned on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Table {
    /// Server settings and format versions (global shard).
    Server,
    /// Organisations and slug index.
    Orgs,
    /// API keys, by id and by lookup hash.
    Keys,
    /// Repos and the name index.
    Repos,
    /// Changes.
    Changes,
    /// Commits by oid.
    Commits,
    /// Evolution log: all commits a change has had.
    Evolution,
    /// Bookmarks.
    Bookmarks,
    /// Live heads.
    Heads,
    /// Operation log rows.
    OpLog,
    /// Sessions.
    Sessions,
    /// Where each chunk and object is packed.
    Chunks,
    /// Packs.
    Packs,
    /// Git object ids of contents.
    GitMap,
    /// Repo-level operations (bookmark moves, creations, deletions).
    Operations,
    /// Audit records.
    Audit,
    /// Answers kept for `Idempotency-Key`.
    Idempotency,
    /// Webhook targets, events to be told and their deliveries.
    Hooks,
    /// Syncs with upstreams.
    Syncs,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 19] = [
        Self::Server,
        Self::Orgs,
        Self::Keys,
        Self::Repos,
        Self::Changes,
        Self::Commits,
        Self::Evolution,
        Self::Bookmarks,
        Self::Heads,
        Self::OpLog,
        Self::Sessions,
        Self::Chunks,
        Self::Packs,
        Self::GitMap,
        Self::Operations,
        Self::Audit,
        Self::Idempotency,
        Self::Hooks,
        Self::Syncs,
    ];

    /// The place in [`Table::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The SQL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Orgs => "orgs",
            Self::Keys => "api_keys",
            Self::Repos => "repos",
            Self::Changes => "changes",
            Self::Commits => "commits",
            Self::Evolution => "evolution",
            Self::Bookmarks => "bookmarks",
            Self::Heads => "heads",
            Self::OpLog => "oplog",
            Self::Sessions => "sessions",
            Self::Chunks => "chunks",
            Self::Packs => "packs",
            Self::GitMap => "git_map",
            Self::Operations => "operations",
            Self::Audit => "audit",
            Self::Idempotency => "idempotency",
            Self::Hooks => "hooks",
            Self::Syncs => "syncs",
        }
    }
}

/// The version of a row: changes with every write to it and is never used twice, not even after
/// a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

/// A stored value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The value as written.
    pub value: Bytes,
    /// Its version.
    pub version: Version,
}

/// A key with its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole key.
    pub key: Key,
    /// The row.
    pub row: Row,
}

/// What must hold for a batch to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no row.
    Absent(Table, Key),
    /// There is a row, of whatever version.
    Present(Table, Key),
    /// The row has this version.
    Is(Table, Key, Version),
}

/// A change to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Inserts or replaces.
    Put(Table, Key, Bytes),
    /// Deletes; nothing happens if there is no row.
    Delete(Table, Key),
}

/// An atomic set of writes under conditions. All keys belong to one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Checked against the state before the batch.
    pub conditions: Vec<Condition>,
    /// Applied in order; a later write to the same key wins.
    pub writes: Vec<Write>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: no row under `key`.
    pub fn absent(&mut self, table: Table, key: impl Into<Key>) -> &mut Self {
        self.conditions.push(Condition::Absent(table, key.into()));
        self
    }

    /// Adds: some row under `key`.
    pub fn present(&mut self, table: Table, key: impl Into<Key>) -> &mut Self {
        self.conditions.push(Condition::Present(table, key.into()));
        self
    }

    /// Adds: the row under `key` has `version`.
    pub fn is(&mut self, table: Table, key: impl Into<Key>, version: Version) -> &mut Self {
        self.conditions
            .push(Condition::Is(table, key.into(), version));
        self
    }

    /// Adds a write.
    pub fn put(&mut self, table: Table, key: impl Into<Key>, value: impl Into<Bytes>) -> &mut Self {
        self.writes
            .push(Write::Put(table, key.into(), value.into()));
        self
    }

    /// Adds a delete.
    pub fn delete(&mut self, table: Table, key: impl Into<Key>) -> &mut Self {
        self.writes.push(Write::Delete(table, key.into()));
        self
    }
}

impl Batch {
    /// Longest key in bytes.
    pub const KEY_BYTES_MAX: usize = 4096;
    /// Most conditions and writes of one batch together.
    pub const ROWS_MAX: usize = 100_000;
    /// Most bytes of keys and values written by one batch.
    pub const BYTES_MAX: usize = 64 * 1024 * 1024;

    /// Whether the batch does nothing and demands nothing.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.writes.is_empty()
    }

    /// Bytes of the keys and values written.
    pub fn written_bytes(&self) -> usize {
        let bytes = |write: &Write| match write {
            Write::Put(_, key, value) => key.0.len() + value.len(),
            Write::Delete(_, key) => key.0.len(),
        };
        self.writes.iter().map(bytes).sum()
    }

    /// `Usage` unless the batch keeps to one shard and the limits. Every store calls this first.
    pub fn check(&self) -> Result<(), MetaError> {
        let conditions = self.conditions.iter().map(|c| match c {
            Condition::Absent(_, key) | Condition::Present(_, key) | Condition::Is(_, key, _) => {
                key
            }
        });
        let writes = self.writes.iter().map(|w| match w {
            Write::Put(_, key, _) | Write::Delete(_, key) => key,
        });
        let mut shard = None;
        for key in conditions.chain(writes) {
            if key.0.len() > Self::KEY_BYTES_MAX {
                return Err(MetaError::usage("a key is too long"));
            }
            if *shard.get_or_insert(key.shard()) != key.shard() {
                return Err(MetaError::usage("a batch spans two shards"));
            }
        }
        if self.conditions.len() + self.writes.len() > Self::ROWS_MAX {
            return Err(MetaError::usage("a batch has too many rows"));
        }
        if self.written_bytes() > Self::BYTES_MAX {
            return Err(MetaError::usage("a batch has too many bytes"));
        }
        Ok(())
    }
}

/// Outcome of a batch that reached the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// Applied and on stable storage. Every row put by the batch has this version.
    Yes(Version),
    /// Not applied: the condition with this index did not hold.
    Conflict(usize),
}

/// A range of keys in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// First key that can match.
    pub start: Key,
    /// First key beyond; `None` = to the end of the table.
    pub end: Option<Key>,
}

impl Range {
    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Key>) -> Self {
        let start: Key = prefix.into();
        let end = start.successor_of_prefix();
        Self { start, end }
    }
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetaErrorKind {
    /// Try again later; the batch may or may not have been applied.
    Unavailable,
    /// The store has no room (disk full, quota).
    Full,
    /// The stored data is damaged; an operator must look.
    Corrupt,
    /// The call was wrong (batch over two shards, too large).
    Usage,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("metadata store: {step}")]
pub struct MetaError {
    /// What the caller can do.
    pub kind: MetaErrorKind,
    /// The step that failed, e.g. `commit`.
    pub step: &'static str,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl MetaError {
    /// An error without a cause.
    pub fn new(kind: MetaErrorKind, step: &'static str) -> Self {
        Self {
            kind,
            step,
            source: None,
        }
    }

    /// A wrong call.
    pub fn usage(step: &'static str) -> Self {
        Self::new(MetaErrorKind::Usage, step)
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// The metadata store.
///
/// Reads see every batch whose commit was answered before the read began (linearisable per key;
/// one `scan` or `get_many` is a consistent snapshot).
#[async_trait::async_trait]
pub trait MetaStore: Send + Sync + 'static {
    /// One row.
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError>;

    /// Several rows of one shard, in the order of `keys`; at most [`Batch::ROWS_MAX`].
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError>;

    /// Up to `limit` rows of the range, ascending, or descending from its end. Fewer than `limit`
    /// means that there are no more.
    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError>;

    /// Applies a batch atomically and durably: when this returns `Yes`, a crash of the process,
    /// the database or the machine does not undo it.
    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError>;

    /// Whether the store answers, for readiness.
    async fn ping(&self) -> Result<(), MetaError>;

    /// Ends the store in good order: batches already given are finished, later calls answer
    /// `Unavailable`. Dropping a store without this loses nothing either.
    async fn close(&self) -> Result<(), MetaError> {
        Ok(())
    }
}
