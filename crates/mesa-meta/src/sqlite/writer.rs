//! The writer thread.

use std::{fs::File, ops::Range as Span, sync::Arc};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::{
    error::{kind, meta_error},
    schema::sql,
};
use crate::{
    counters::{Counters, count},
    key::Key,
    store::{Batch, Committed, Condition, MetaError, MetaErrorKind, Table, Version, Write},
};

/// Batches folded into one transaction, at most.
const GROUP_BATCHES_MAX: usize = 256;
/// Bytes after which a transaction takes no further batch.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Versions reserved at once.
const VERSION_BLOCK: u64 = 4096;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Commit {
        batch: Batch,
        answer: oneshot::Sender<Result<Committed, MetaError>>,
    },
    Ping {
        answer: oneshot::Sender<Result<(), MetaError>>,
    },
    Checkpoint {
        answer: oneshot::Sender<rusqlite::Result<()>>,
    },
    Close {
        answer: oneshot::Sender<rusqlite::Result<()>>,
    },
    /// Stands in for a disk of limited size.
    #[cfg(test)]
    LimitPages {
        pages: u32,
        answer: oneshot::Sender<()>,
    },
}

type Waiting = Vec<(Batch, oneshot::Sender<Result<Committed, MetaError>>)>;

pub(super) struct Writer {
    connection: Connection,
    /// Versions that the file says are handed out, not used yet.
    versions: Span<u64>,
    counters: Arc<Counters>,
    /// Set when an fsync failed: the kernel may have dropped what it could not write, so nothing
    /// may be promised any more until the file is opened again.
    broken: bool,
    _lock: File,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        lock: File,
        counters: Arc<Counters>,
    ) -> rusqlite::Result<Self> {
        let next: i64 = connection.query_row("SELECT next FROM counter", [], |row| row.get(0))?;
        let next = next as u64;
        Ok(Self {
            connection,
            versions: next..next,
            counters,
            broken: false,
            _lock: lock,
        })
    }

    /// Works until the store is closed or dropped; what was sent before is done first.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Commit { batch, answer } => {
                    let mut bytes = batch.written_bytes();
                    let mut group = vec![(batch, answer)];
                    while group.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
                        match jobs.try_recv() {
                            Ok(Job::Commit { batch, answer }) => {
                                bytes += batch.written_bytes();
                                group.push((batch, answer));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(group);
                }
                Job::Ping { answer } => {
                    let _ = answer.send(self.usable());
                }
                Job::Checkpoint { answer } => {
                    let _ = answer.send(self.checkpoint());
                }
                #[cfg(test)]
                Job::LimitPages { pages, answer } => {
                    let set = format!("PRAGMA max_page_count = {pages}");
                    let _ = self.connection.query_row(&set, [], |_| Ok(()));
                    let _ = answer.send(());
                }
                Job::Close { answer } => {
                    jobs.close();
                    while let Ok(job) = jobs.try_recv() {
                        if let Job::Commit { batch, answer } = job {
                            self.commit(vec![(batch, answer)]);
                        }
                    }
                    let result = self.checkpoint();
                    drop(self);
                    let _ = answer.send(result);
                    return;
                }
            }
        }
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "last checkpoint of the metadata database failed");
        }
    }

    fn usable(&self) -> Result<(), MetaError> {
        if self.broken {
            return Err(MetaError::new(
                MetaErrorKind::Unavailable,
                "stopped after a failed write to disk; restart the server",
            ));
        }
        Ok(())
    }

    /// Applies a group in one transaction and answers everybody.
    fn commit(&mut self, group: Waiting) {
        let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        match self
            .usable()
            .map_err(Failure::Meta)
            .and_then(|()| self.transact(&batches))
        {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(Ok(outcome));
                }
            }
            Err(failure) => {
                // Versions reserved by the lost transaction are not in the file.
                self.versions = self.versions.end..self.versions.end;
                let failure = failure.into_meta();
                tracing::error!(error = %failure, cause = ?failure.source, "metadata commit failed");
                let cause = failure.source.map(Arc::from);
                for answer in answers {
                    let mut error = MetaError::new(failure.kind, failure.step);
                    error.source = cause.clone().map(|c| Box::new(Shared(c)) as _);
                    let _ = answer.send(Err(error));
                }
            }
        }
    }

    fn transact(&mut self, batches: &[Batch]) -> Result<Vec<Committed>, Failure> {
        let at = |step| move |error| Failure::Sqlite(step, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(at("begin"))?;
        let needed = batches.len() as u64;
        if self.versions.end - self.versions.start < needed {
            // A block of its own: the rest of the old one is skipped if this fails.
            let start = self.versions.end;
            let end = start + VERSION_BLOCK.max(needed);
            transaction
                .prepare_cached("UPDATE counter SET next = ?1")
                .and_then(|mut s| s.execute(params![end as i64]))
                .map_err(at("reserve versions"))?;
            self.versions = start..end;
        }
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            let failed = first_failed(&transaction, &batch.conditions).map_err(at("check"))?;
            outcomes.push(if let Some(index) = failed {
                Committed::Conflict(index)
            } else {
                let version = Version(self.versions.start);
                self.versions.start += 1;
                apply(&transaction, &batch.writes, version).map_err(at("write"))?;
                Committed::Yes(version)
            });
        }
        transaction.commit().map_err(|error| {
            if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                self.broken = true;
            }
            Failure::Sqlite("commit", error)
        })?;
        count(&self.counters.transactions);
        Ok(outcomes)
    }

    /// Moves everything from the WAL into the database file.
    fn checkpoint(&self) -> rusqlite::Result<()> {
        if self.broken {
            return Ok(());
        }
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn first_failed(
    connection: &Connection,
    conditions: &[Condition],
) -> rusqlite::Result<Option<usize>> {
    let version = |table: Table, key: &Key| {
        connection
            .prepare_cached(&sql(table).version)?
            .query_row(params![&key.0[..]], |row| row.get::<_, i64>(0))
            .optional()
    };
    for (index, condition) in conditions.iter().enumerate() {
        let holds = match condition {
            Condition::Absent(table, key) => version(*table, key)?.is_none(),
            Condition::Present(table, key) => version(*table, key)?.is_some(),
            Condition::Is(table, key, wanted) => version(*table, key)? == Some(wanted.0 as i64),
        };
        if !holds {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn apply(connection: &Connection, writes: &[Write], version: Version) -> rusqlite::Result<()> {
    for write in writes {
        match write {
            Write::Put(table, key, value) => connection
                .prepare_cached(&sql(*table).put)?
                .execute(params![&key.0[..], version.0 as i64, &value[..]])?,
            Write::Delete(table, key) => connection
                .prepare_cached(&sql(*table).delete)?
                .execute(params![&key.0[..]])?,
        };
    }
    Ok(())
}

enum Failure {
    Meta(MetaError),
    Sqlite(&'static str, rusqlite::Error),
}

impl Failure {
    fn into_meta(self) -> MetaError {
        match self {
            Self::Meta(error) => error,
            Self::Sqlite(step, error) => {
                if kind(&error) == MetaErrorKind::Corrupt {
                    tracing::error!(step, "the metadata database is damaged");
                }
                meta_error(step, error)
            }
        }
    }
}

/// One cause told to every batch of a group.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<dyn std::error::Error + Send + Sync>);
