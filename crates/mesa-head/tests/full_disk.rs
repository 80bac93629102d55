//! A server whose disk is full goes on showing what it has.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use mesa_client::SyncApi;
use mesa_head::HeadsConfig;
use mesa_meta::{
    Batch, Committed, Entry, Key, MemoryStore, MetaError, MetaErrorKind, MetaStore, Range, Row,
    Table,
};
use mesa_proto::v1;
use mesa_repo::Scope;
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::time::SystemClock;

#[derive(Default)]
struct Disk {
    inner: MemoryStore,
    full: AtomicBool,
}

#[async_trait::async_trait]
impl MetaStore for Disk {
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
        if self.full.load(Ordering::SeqCst) {
            return Err(MetaError::new(MetaErrorKind::Full, "commit"));
        }
        self.inner.commit(batch).await
    }

    async fn ping(&self) -> Result<(), MetaError> {
        Ok(())
    }
}

#[tokio::test]
async fn heads_are_read_from_a_full_disk_and_written_when_there_is_room() {
    let disk = Arc::new(Disk::default());
    let objects = Arc::new(mesa_store::MemoryStore::new());
    let config = HeadsConfig {
        // Only when asked.
        seal_quiet: mesa_types::Nanos(3600 * 1_000_000_000),
        ..HeadsConfig::default()
    };
    let first = Backend::over(disk.clone(), objects, Arc::new(SystemClock), config);
    let caller = first.org("acme", &[Scope::Write]).await.unwrap();
    let repo = first.repo(&caller, "demo").await.unwrap();
    let api = InProcess::new(first.heads.clone(), caller.clone());
    let mut session = RawSession::open(&api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, one) = session.file("", root, "one", b"1");
    session.commit(vec![one]).await;
    let seal = v1::SealRequest {
        session: session.opened.session.clone(),
    };
    let sealed = api.seal("acme", seal).await.unwrap();
    let change = sealed.change_id.parse().unwrap();
    api.cut();

    // What is sealed is read without loading, let alone writing, anything.
    disk.full.store(true, Ordering::SeqCst);
    let full = first.restarted();
    let at = full.heads.seal(&repo.org, &repo.id, &change).await.unwrap();
    assert_eq!(at.commit.unwrap().to_string(), sealed.commit_oid);
    assert!(at.root.is_some());
    assert_eq!(full.heads.live_count(), 0);

    // What is only in the log is read by loading the head.
    disk.full.store(false, Ordering::SeqCst);
    let second = first.restarted();
    let api = InProcess::new(second.heads.clone(), caller.clone());
    session.api = api.clone();
    session.attach().await.unwrap();
    session.lease().await;
    let (_, two) = session.file("", root, "two", b"2");
    session.commit(vec![two]).await;
    api.cut();
    disk.full.store(true, Ordering::SeqCst);
    let full = first.restarted();
    session.api = InProcess::new(full.heads.clone(), caller.clone());
    let tree = session.tree().await;
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(full.heads.live_count(), 1);
    let refused = session.attach().await;
    assert!(refused.is_err() || session.next_message().await.is_err());

    // The head that was loaded for reading writes as soon as there is room, and keeps out the
    // one from before.
    disk.full.store(false, Ordering::SeqCst);
    session.attach().await.unwrap();
    session.lease().await;
    let (_, three) = session.file("", root, "three", b"3");
    session.commit(vec![three]).await;
    let tree = session.tree().await;
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["one", "three", "two"]);
}
