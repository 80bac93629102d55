//! A metadata store that takes its time to commit: what a head has decided and not committed yet
//! is nothing that its own work beside may rely on.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use mesa_head::HeadsConfig;
use mesa_meta::{Batch, Committed, Entry, Key, MetaError, MetaStore, Range, Row, Table};
use mesa_repo::Scope;
use mesa_testkit::{Backend, InProcess};
use mesa_types::time::SystemClock;

use crate::support::{Server, main, put};

struct Slow(mesa_meta::MemoryStore);

#[async_trait::async_trait]
impl MetaStore for Slow {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError> {
        self.0.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError> {
        self.0.get_many(table, keys).await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError> {
        self.0.scan(table, range, limit, descending).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.0.commit(batch).await
    }

    async fn ping(&self) -> Result<(), MetaError> {
        self.0.ping().await
    }
}

async fn start() -> Server {
    let backend = Backend::over(
        Arc::new(Slow(mesa_meta::MemoryStore::new())),
        Arc::new(mesa_store::MemoryStore::new()),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
    let repo = backend.repo(&caller, "demo").await.unwrap();
    Server {
        api: InProcess::new(backend.heads.clone(), caller.clone()),
        backend,
        caller,
        repo,
    }
}

/// A seal stores contents that the next one finds in other files.
#[tokio::test]
async fn the_same_bytes_are_written_to_many_files_at_once() {
    let server = start().await;
    for round in 0..5 {
        let writes = (0..20).map(|n| {
            let server = &server;
            async move {
                // Some of them come while the seal for others is being made or committed.
                tokio::time::sleep(Duration::from_millis(3 * n)).await;
                let edit = put(&format!("{round}/{n}"), &format!("the same of {round}"));
                server.write(main(), vec![edit]).await
            }
        });
        for written in join_all(writes).await {
            written.unwrap();
        }
    }
    assert_eq!(server.files(main()).await.len(), 105);
}
