//! Rows that nobody needs go; everything else stays.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use mesa_client::SyncApi;
use mesa_head::{Collected, HeadsConfig};
use mesa_meta::{MetaStore, Range, Table};
use mesa_proto::v1::{self, client_message, server_message::Kind};
use mesa_repo::{Principal, Scope};
use mesa_testkit::{Backend, InProcess, RawSession, TestClock, raw_session::request};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

struct Server {
    meta: Arc<mesa_meta::MemoryStore>,
    clock: Arc<TestClock>,
    backend: Backend,
    caller: Principal,
    api: InProcess,
}

impl Server {
    async fn start() -> Self {
        let meta = Arc::new(mesa_meta::MemoryStore::new());
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000 * SECOND)));
        let backend = Backend::over(
            meta.clone(),
            Arc::new(mesa_store::MemoryStore::new()),
            clock.clone(),
            HeadsConfig::default(),
        );
        let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
        backend.repo(&caller, "demo").await.unwrap();
        let api = InProcess::new(backend.heads.clone(), caller.clone());
        Self {
            meta,
            clock,
            backend,
            caller,
            api,
        }
    }

    fn restart(&mut self) {
        self.backend = self.backend.restarted();
        self.api = InProcess::new(self.backend.heads.clone(), self.caller.clone());
    }

    fn pass(&self, time: i64) {
        self.clock.0.fetch_add(time, Ordering::SeqCst);
    }

    async fn rows(&self, table: Table) -> usize {
        let org = mesa_meta::KeyBuf::new(self.caller.org.as_str());
        let range = Range::prefix(org);
        self.meta
            .scan(table, &range, 10_000, false)
            .await
            .unwrap()
            .len()
    }

    async fn close(&self, session: &RawSession) {
        let close = v1::CloseSessionRequest {
            session: session.opened.session.clone(),
            resume_token: session.token.clone(),
            unused_ids: None,
        };
        self.api.close_session("acme", close).await.unwrap();
    }
}

#[tokio::test]
async fn a_pending_head_vanishes_with_its_last_session() {
    let server = Server::start().await;
    let first = RawSession::open(&server.api, "acme", "demo").await;
    let second = RawSession::open(&server.api, "acme", "demo").await;
    assert_eq!(first.opened.head, second.opened.head);
    server.close(&first).await;
    let third = RawSession::open(&server.api, "acme", "demo").await;
    assert_eq!(third.opened.head, second.opened.head, "it is in use");
    server.close(&second).await;
    server.close(&third).await;
    assert_eq!(server.rows(Table::Heads).await, 0);
    assert_eq!(server.rows(Table::Sessions).await, 0);

    let mut writer = RawSession::open(&server.api, "acme", "demo").await;
    assert_ne!(writer.opened.head, first.opened.head);
    writer.lease().await;
    let root = writer.root();
    let (_, create) = writer.file("", root, "f", b"1");
    writer.commit(vec![create]).await;
    server.close(&writer).await;
    let reader = RawSession::open(&server.api, "acme", "demo").await;
    assert_eq!(reader.tree().await.len(), 1, "a head with work stays");
}

#[tokio::test]
async fn sessions_end_after_90_days_and_their_pending_heads_with_them() {
    let mut server = Server::start().await;
    let mut idle = request("acme", "demo");
    idle.isolate = true;
    let idle = RawSession::open_with(&server.api, idle).await.unwrap();
    let attached = RawSession::open(&server.api, "acme", "demo").await;
    server.pass(89 * DAY);
    let all = || server.backend.heads.collect(1000);
    assert_eq!(all().await.unwrap(), Collected::default());
    server.pass(2 * DAY);
    let collected = all().await.unwrap();
    assert_eq!(collected.sessions, 1);
    assert_eq!(server.rows(Table::Sessions).await, 1, "one is attached");
    assert_eq!(idle.resume().await.unwrap_err().code, "SESSION_NOT_FOUND");
    drop(attached);

    // After a crash only the rows know; the head goes when nobody comes back.
    server.restart();
    assert_eq!(
        server.backend.heads.collect(1000).await.unwrap().sessions,
        1
    );
    assert_eq!(server.rows(Table::Sessions).await, 0);
    assert_eq!(server.rows(Table::Heads).await, 0);
}

#[tokio::test]
async fn log_rows_of_an_idle_head_go_after_their_time() {
    let server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    for n in 0..3 {
        let (_, create) = session.file("", root, &format!("f{n}"), b"1");
        session.commit(vec![create]).await;
    }
    server.pass(2 * DAY);
    assert_eq!(
        server.backend.heads.collect(1000).await.unwrap().log_rows,
        0
    );
    let seal = v1::SealRequest {
        session: session.opened.session.clone(),
    };
    server.pass(-2 * DAY);
    server.api.seal("acme", seal).await.unwrap();
    assert_eq!(server.rows(Table::OpLog).await, 3);
    server.pass(2 * DAY);
    // One row at a time: the passes go on where the last one stopped.
    let mut removed = 0;
    for _ in 0..10 {
        removed += server.backend.heads.collect(1).await.unwrap().log_rows;
    }
    assert_eq!(removed, 3);
    assert_eq!(server.rows(Table::OpLog).await, 0);
    assert_eq!(session.tree().await.len(), 3);
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_after_a_restart_is_fenced_when_it_sends_under_it() {
    let mut server = Server::start().await;
    let mut holder = RawSession::open(&server.api, "acme", "demo").await;
    holder.lease().await;
    let root = holder.root();
    let (_, create) = holder.file("", root, "acked", b"1");
    holder.commit(vec![create]).await;
    holder.stream = None;

    let ask = |session: &RawSession| {
        let _ = session;
        client_message::Kind::LeaseRequest(v1::LeaseRequest {})
    };
    // Recalled before the restart, taken after it: the rows alone tell.
    let other = RawSession::open(&server.api, "acme", "demo").await;
    other.send(ask(&other)).await;
    server.restart();
    let mut other = RawSession::open(&server.api, "acme", "demo").await;
    other.send(ask(&other)).await;
    other
        .send(client_message::Kind::Heartbeat(v1::Heartbeat::default()))
        .await;
    other.until(|kind| matches!(kind, Kind::Heartbeat(_))).await;
    server.pass(60 * SECOND);
    other
        .until(|kind| matches!(kind, Kind::LeaseGrant(g) if g.exclusive))
        .await;
    let (_, create) = other.file("", root, "other", b"2");
    other.lease = 2;
    other.commit(vec![create]).await;

    // What it decided under its lease comes too late.
    holder.api = server.api.clone();
    holder.attach_unconfirmed().await.unwrap();
    let (_, late) = holder.file("", root, "late", b"3");
    holder.append(vec![late]).await;
    holder
        .until(|kind| matches!(kind, Kind::Fenced(f) if f.reason == "lease"))
        .await;
    server.restart();
    holder.api = server.api.clone();
    let refused = holder.attach().await.unwrap_err();
    assert_eq!(refused.code, "SESSION_LOST");
    let lost = holder.resume().await.unwrap().lost.unwrap();
    assert_eq!(lost.reason, "head_moved");
    server.restart();
    holder.api = server.api.clone();
    let again = holder.resume().await.unwrap().lost.unwrap();
    assert_ne!(again.recovery_bookmark, lost.recovery_bookmark);
}
