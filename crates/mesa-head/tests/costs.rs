//! What operations cost, in calls of the stores.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::sync::Arc;

use mesa_client::SyncApi;
use mesa_head::HeadsConfig;
use mesa_proto::v1;
use mesa_repo::{Principal, Scope};
use mesa_store::Counted;
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::{NodeKind, time::SystemClock};

struct Server {
    meta: Arc<mesa_meta::MemoryStore>,
    objects: Arc<Counted<mesa_store::MemoryStore>>,
    backend: Backend,
    caller: Principal,
    api: InProcess,
}

impl Server {
    async fn start() -> Self {
        let meta = Arc::new(mesa_meta::MemoryStore::new());
        let objects = Arc::new(Counted::new(mesa_store::MemoryStore::new()));
        let backend = Backend::over(
            meta.clone(),
            objects.clone(),
            Arc::new(SystemClock),
            HeadsConfig::default(),
        );
        let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
        backend.repo(&caller, "demo").await.unwrap();
        Self {
            api: InProcess::new(backend.heads.clone(), caller.clone()),
            meta,
            objects,
            backend,
            caller,
        }
    }

    fn restart(&mut self) {
        self.backend = self.backend.restarted();
        self.api = InProcess::new(self.backend.heads.clone(), self.caller.clone());
    }

    fn calls(&self) -> u64 {
        self.meta.counters().calls().total() + self.objects.counts().calls()
    }

    async fn seal(&self, session: &RawSession) -> v1::SealResponse {
        let session = session.opened.session.clone();
        let request = v1::SealRequest { session };
        self.api.seal("acme", request).await.unwrap()
    }
}

#[tokio::test]
async fn one_edit_in_a_large_repo_seals_in_few_operations() {
    const DIRS: u64 = 300;
    const FILES: u64 = 1000;
    let mut server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (top, op) = session.create("", root, "top", NodeKind::Dir);
    session.commit(vec![op]).await;
    let mut edited = None;
    for d in 0..DIRS {
        let (dir, op) = session.create("top", top, &format!("dir{d}"), NodeKind::Dir);
        session.commit(vec![op]).await;
        let path = format!("top/dir{d}");
        let mut ops = Vec::new();
        for f in 0..FILES {
            if session.ids_left() == 0 {
                session.more_ids().await;
            }
            let bytes = f.to_le_bytes();
            let (file, op) = session.file(&path, dir, &format!("file{f}"), &bytes);
            ops.push(op);
            if d == 150 && f == 500 {
                edited = Some((format!("{path}/file{f}"), file, bytes));
            }
        }
        session.commit(ops).await;
    }
    let first = server.seal(&session).await;

    server.restart();
    let (path, file, bytes) = edited.unwrap();
    session.api = server.api.clone();
    session.attach().await.unwrap();
    let before = server.calls();
    let write = session.write(&path, file, &bytes, b"edited");
    session.commit(vec![write]).await;
    let second = server.seal(&session).await;
    let calls = server.calls() - before;
    assert_ne!(first.commit_oid, second.commit_oid);
    assert!(calls <= 50, "{calls} calls");
}

#[tokio::test]
async fn opening_a_head_does_not_read_its_history() {
    let mut server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let mut costs = Vec::new();
    let mut old: Vec<u8> = Vec::new();
    let (file, op) = session.file("", root, "f", &old);
    session.commit(vec![op]).await;
    for round in 0..4 {
        for _ in 0..20_u32.pow(round.min(1)) {
            let new = [&old[..], b"x"].concat();
            let op = session.write("f", file, &old, &new);
            session.commit(vec![op]).await;
            server.seal(&session).await;
            old = new;
        }
        server.restart();
        let before = server.calls();
        let opened = RawSession::open(&server.api, "acme", "demo").await;
        assert_eq!(opened.tree().await.len(), 1);
        costs.push(server.calls() - before);
        session.api = server.api.clone();
        session.attach().await.unwrap();
    }
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}
