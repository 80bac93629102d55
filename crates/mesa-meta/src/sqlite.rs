//! SQLite in one file: WAL, `synchronous = FULL`, one writer thread, a few readers.
//!
//! Every commit is a job for the writer thread, which folds all jobs that wait into one SQLite
//! transaction: one fsync for all of them. Each batch is checked on its own against the state that
//! the batches before it left. Reads run on blocking threads over their own connections and see
//! every transaction that was committed before they began.
//!
//! Format (`application_id` `Mesa`, `user_version` 1): per [`Table`] a table of that name with
//! `key BLOB PRIMARY KEY, version INTEGER, value BLOB`, and `counter(next INTEGER)` with one row,
//! the first version not handed out; versions are reserved in blocks, so a crash skips some.

mod error;
mod files;
mod readers;
mod schema;
mod writer;

use std::{path::Path, sync::Arc};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot};

pub use self::files::OpenError;
use self::{
    error::meta_error,
    files::Refused,
    readers::Readers,
    schema::sql,
    writer::{Job, Writer},
};
use crate::{
    counters::{Counters, count},
    key::Key,
    store::{
        Batch, Committed, Entry, MetaError, MetaErrorKind, MetaStore, Range, Row, Table, Version,
    },
};

/// Batches that may wait for the writer; further commits wait before that.
const JOBS_MAX: usize = 1024;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Connections for reading.
    pub readers: usize,
    /// SQLite's name of the file layer; the system's own when absent. For tests of durability.
    pub vfs: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            vfs: None,
        }
    }
}

/// A store in a directory.
#[derive(Debug)]
pub struct SqliteStore {
    jobs: mpsc::Sender<Job>,
    readers: Readers,
    counters: Arc<Counters>,
}

impl SqliteStore {
    /// Opens or creates the store in `directory` (files `meta.db*` and `meta.lock`), which must
    /// exist. One process at a time: another one gets [`OpenError::InUse`]. Blocks on disk.
    pub fn open(directory: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::open_in(directory, options).map_err(|refused| refused.of(directory))
    }

    fn open_in(directory: &Path, options: &SqliteOptions) -> Result<Self, Refused> {
        let files = files::Files::prepare(directory)?;
        let connection = files.connect(options)?;
        schema::prepare(&connection)?;
        files.sync_directory()?;
        let readers = (0..options.readers.max(1))
            .map(|_| {
                let reader = files.connect(options)?;
                reader.pragma_update(None, "query_only", true)?;
                Ok(reader)
            })
            .collect::<Result<_, Refused>>()?;
        let counters = Arc::new(Counters::default());
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let writer = Writer::new(connection, files.into_lock(), Arc::clone(&counters))?;
        std::thread::Builder::new()
            .name("mesa-meta-writer".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            jobs,
            readers: Readers::new(readers),
            counters,
        })
    }

    /// Counts of calls so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// SQLite's own check of the whole file; problems as texts, empty = sound.
    pub async fn check_integrity(&self) -> Result<Vec<String>, MetaError> {
        self.readers
            .read("check integrity", |connection| {
                let mut statement = connection.prepare("PRAGMA integrity_check")?;
                let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
                rows.filter(|row| !matches!(row, Ok(text) if text == "ok"))
                    .collect()
            })
            .await
    }

    /// Moves everything committed so far into the database file itself, so that it is there even
    /// for somebody who copies that file alone.
    pub async fn checkpoint(&self) -> Result<(), MetaError> {
        self.send(|answer| Job::Checkpoint { answer })
            .await?
            .map_err(|error| meta_error("checkpoint", error))
    }

    async fn send<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, MetaError> {
        let closed = || MetaError::new(MetaErrorKind::Unavailable, "the store is closed");
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }
}

fn stored_row(connection: &Connection, table: Table, key: &Key) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached(&sql(table).get)?
        .query_row(params![&key.0[..]], |row| {
            Ok(Row {
                version: Version(row.get::<_, i64>(0)? as u64),
                value: row.get::<_, Vec<u8>>(1)?.into(),
            })
        })
        .optional()
}

#[async_trait::async_trait]
impl MetaStore for SqliteStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError> {
        count(&self.counters.gets);
        let key = key.clone();
        self.readers
            .read("get", move |connection| stored_row(connection, table, &key))
            .await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError> {
        count(&self.counters.get_manys);
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if keys.len() > Batch::ROWS_MAX {
            return Err(MetaError::usage("too many keys in one call"));
        }
        let keys = keys.to_vec();
        self.readers
            .read("get many", move |connection| {
                let snapshot = connection.transaction()?;
                keys.iter()
                    .map(|key| stored_row(&snapshot, table, key))
                    .collect()
            })
            .await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError> {
        count(&self.counters.scans);
        let range = range.clone();
        self.readers
            .read("scan", move |connection| {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let mut statement =
                    connection.prepare_cached(sql(table).scan(range.end.is_some(), descending))?;
                let start = &range.start.0[..];
                let mut rows = match &range.end {
                    Some(end) => statement.query(params![limit, start, &end.0[..]])?,
                    None => statement.query(params![limit, start])?,
                };
                let mut out = Vec::new();
                while let Some(row) = rows.next()? {
                    out.push(Entry {
                        key: Key(row.get::<_, Vec<u8>>(0)?.into()),
                        row: Row {
                            version: Version(row.get::<_, i64>(1)? as u64),
                            value: row.get::<_, Vec<u8>>(2)?.into(),
                        },
                    });
                }
                Ok(out)
            })
            .await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError> {
        count(&self.counters.commits);
        batch.check()?;
        self.send(|answer| Job::Commit { batch, answer }).await?
    }

    async fn ping(&self) -> Result<(), MetaError> {
        self.send(|answer| Job::Ping { answer }).await??;
        self.readers
            .read("ping", |connection| {
                connection.query_row("SELECT next FROM counter", [], |_| Ok(()))
            })
            .await
    }

    async fn close(&self) -> Result<(), MetaError> {
        self.readers.close().await;
        self.send(|answer| Job::Close { answer })
            .await?
            .map_err(|e| meta_error("close", e))
    }
}

#[cfg(test)]
mod tests;
