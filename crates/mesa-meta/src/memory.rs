//! A store in memory, for tests and simulations. Nothing survives it.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    counters::{Counters, count},
    key::Key,
    store::{
        Batch, Committed, Condition, Entry, MetaError, MetaErrorKind, MetaStore, Range, Row, Table,
        Version, Write,
    },
};

/// What a commit does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Fails with this kind and is not applied.
    NotApplied(MetaErrorKind),
    /// Is applied, yet answers `Unavailable`, like a database whose answer got lost.
    AnswerLost,
}

/// The store.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<Table, BTreeMap<Key, Row>>,
    last_version: u64,
    faults: VecDeque<Fault>,
    closed: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts of calls so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Makes the next commits fail, one each.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().faults.extend(faults);
    }

    fn open_state(&self) -> Result<parking_lot::MutexGuard<'_, State>, MetaError> {
        let state = self.state.lock();
        if state.closed {
            return Err(MetaError::new(
                MetaErrorKind::Unavailable,
                "the store is closed",
            ));
        }
        Ok(state)
    }
}

impl State {
    fn row(&self, table: Table, key: &Key) -> Option<&Row> {
        self.tables.get(&table)?.get(key)
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Absent(table, key) => self.row(*table, key).is_none(),
            Condition::Present(table, key) => self.row(*table, key).is_some(),
            Condition::Is(table, key, version) => self
                .row(*table, key)
                .is_some_and(|row| row.version == *version),
        }
    }

    fn apply(&mut self, batch: Batch) -> Committed {
        if let Some(failed) = batch.conditions.iter().position(|c| !self.holds(c)) {
            return Committed::Conflict(failed);
        }
        self.last_version += 1;
        let version = Version(self.last_version);
        for write in batch.writes {
            match write {
                Write::Put(table, key, value) => {
                    // A copy, so that a slice does not keep a whole network buffer alive.
                    let value = Bytes::copy_from_slice(&value);
                    let key = Key(Bytes::copy_from_slice(&key.0));
                    self.tables
                        .entry(table)
                        .or_default()
                        .insert(key, Row { value, version });
                }
                Write::Delete(table, key) => {
                    self.tables.entry(table).or_default().remove(&key);
                }
            }
        }
        Committed::Yes(version)
    }
}

#[async_trait::async_trait]
impl MetaStore for MemoryStore {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError> {
        count(&self.counters.gets);
        Ok(self.open_state()?.row(table, key).cloned())
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError> {
        count(&self.counters.get_manys);
        let state = self.open_state()?;
        Ok(keys
            .iter()
            .map(|key| state.row(table, key).cloned())
            .collect())
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError> {
        count(&self.counters.scans);
        let state = self.open_state()?;
        let end = match &range.end {
            Some(end) if *end <= range.start => return Ok(Vec::new()),
            Some(end) => Bound::Excluded(end),
            None => Bound::Unbounded,
        };
        let Some(rows) = state.tables.get(&table) else {
            return Ok(Vec::new());
        };
        let rows = rows.range::<Key, _>((Bound::Included(&range.start), end));
        let entry = |(key, row): (&Key, &Row)| Entry {
            key: key.clone(),
            row: row.clone(),
        };
        Ok(if descending {
            rows.rev().take(limit).map(entry).collect()
        } else {
            rows.take(limit).map(entry).collect()
        })
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError> {
        count(&self.counters.commits);
        batch.check()?;
        let mut state = self.open_state()?;
        count(&self.counters.transactions);
        match state.faults.pop_front() {
            Some(Fault::NotApplied(kind)) => Err(MetaError::new(kind, "injected fault")),
            Some(Fault::AnswerLost) => {
                state.apply(batch);
                Err(MetaError::new(MetaErrorKind::Unavailable, "injected fault"))
            }
            None => Ok(state.apply(batch)),
        }
    }

    async fn ping(&self) -> Result<(), MetaError> {
        self.open_state().map(|_| ())
    }

    async fn close(&self) -> Result<(), MetaError> {
        self.state.lock().closed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::KeyBuf;

    #[tokio::test]
    async fn conforms() {
        crate::conformance::run(|| async { Arc::new(MemoryStore::new()) as Arc<dyn MetaStore> })
            .await;
    }

    #[tokio::test]
    async fn faults_come_in_order_and_once() {
        let store = MemoryStore::new();
        let key = || Key::from(KeyBuf::new("g").text("k"));
        let put = |value: &'static str| {
            let mut batch = Batch::new();
            batch.put(Table::Server, key(), value);
            batch
        };
        store.inject([Fault::NotApplied(MetaErrorKind::Full), Fault::AnswerLost]);
        let error = store.commit(put("a")).await.unwrap_err();
        assert_eq!(error.kind, MetaErrorKind::Full);
        assert_eq!(store.get(Table::Server, &key()).await.unwrap(), None);
        assert!(store.commit(put("b")).await.is_err());
        let row = store.get(Table::Server, &key()).await.unwrap().unwrap();
        assert_eq!(row.value, "b");
        assert!(store.commit(put("c")).await.is_ok());
        assert_eq!(store.counters().calls().commits, 3);
    }
}
