//! Leases and streams when clients misbehave or vanish.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use mesa_head::HeadsConfig;
use mesa_proto::v1::{self, client_message, server_message::Kind};
use mesa_repo::{Principal, Scope};
use mesa_testkit::{Backend, InProcess, RawSession, TestClock};
use mesa_types::{
    Nanos,
    time::{Clock, SystemClock},
};

const MILLI: i64 = 1_000_000;

async fn server(config: HeadsConfig) -> (Backend, Principal, InProcess) {
    server_at(config, Arc::new(SystemClock)).await
}

async fn server_at(config: HeadsConfig, clock: Arc<dyn Clock>) -> (Backend, Principal, InProcess) {
    let backend = Backend::over(
        Arc::new(mesa_meta::MemoryStore::new()),
        Arc::new(mesa_store::MemoryStore::new()),
        clock,
        config,
    );
    let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
    backend.repo(&caller, "demo").await.unwrap();
    let api = InProcess::new(backend.heads.clone(), caller.clone());
    (backend, caller, api)
}

fn hurried() -> HeadsConfig {
    HeadsConfig {
        recall: Nanos(50 * MILLI),
        lease_ttl: Nanos(100 * MILLI),
        gone_grace: Nanos(100 * MILLI),
        ..HeadsConfig::default()
    }
}

async fn ask(session: &RawSession) {
    session
        .send(client_message::Kind::LeaseRequest(v1::LeaseRequest {}))
        .await;
}

#[tokio::test]
async fn a_holder_that_does_not_answer_is_fenced_and_its_work_recovered() {
    let (_, _, api) = server(hurried()).await;
    let mut holder = RawSession::open(&api, "acme", "demo").await;
    let mut other = RawSession::open(&api, "acme", "demo").await;
    let held = holder.lease().await.lease;
    let root = holder.root();
    let (_, create) = holder.file("", root, "acked", b"1");
    holder.commit(vec![create]).await;
    let granted = other.lease().await;
    assert!(granted.exclusive);
    let fenced = holder.until(|kind| matches!(kind, Kind::Fenced(_))).await;
    assert!(matches!(fenced, Kind::Fenced(f) if f.reason == "unresponsive"));
    assert_eq!(holder.until_end().await.code, "FENCED");
    let (_, create) = other.file("", root, "other", b"2");
    other.commit(vec![create]).await;

    let lost = holder.resume().await.unwrap().lost.unwrap();
    assert_eq!(lost.reason, "head_moved");
    let mut open = mesa_testkit::raw_session::request("acme", "demo");
    open.target = Some(v1::Target {
        kind: Some(v1::target::Kind::Change(lost.recovery_change)),
    });
    let mut recovered = RawSession::open_with(&api, open).await.unwrap();
    recovered.attach().await.unwrap();
    let tree = recovered.tree().await;
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["acked"]);
    assert!(held > 0);
}

#[tokio::test]
async fn a_holder_that_vanished_keeps_its_lease_for_a_while_and_resumes_if_nobody_wants_it() {
    let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000 * MILLI)));
    let (_, _, api) = server_at(HeadsConfig::default(), clock.clone()).await;
    let mut holder = RawSession::open(&api, "acme", "demo").await;
    holder.lease().await;
    let root = holder.root();
    holder.stream = None;
    clock.0.fetch_add(60_000 * MILLI, Ordering::SeqCst);
    // Long after its time nobody has asked: it goes on under its old lease.
    holder.attach().await.unwrap();
    let (_, create) = holder.file("", root, "a", b"1");
    holder.commit(vec![create]).await;

    holder.stream = None;
    let mut other = RawSession::open(&api, "acme", "demo").await;
    ask(&other).await;
    // A round trip: the request is before the head when its time runs out.
    other
        .send(client_message::Kind::Heartbeat(v1::Heartbeat::default()))
        .await;
    other.until(|kind| matches!(kind, Kind::Heartbeat(_))).await;
    // No longer than a moment: it is gone, not slow.
    clock.0.fetch_add(3_000 * MILLI, Ordering::SeqCst);
    other
        .until(|kind| matches!(kind, Kind::LeaseGrant(g) if g.exclusive))
        .await;
    let (_, create) = other.file("", root, "b", b"2");
    other.commit(vec![create]).await;

    // Nothing of it was on its way: it goes on in place, and hears what it missed.
    assert!(holder.resume().await.unwrap().lost.is_none());
    assert!(holder.attach_unconfirmed().await.unwrap().replay_events);
    holder.until(|kind| matches!(kind, Kind::Event(_))).await;
    // What it decided without knowing is not taken.
    let (_, late) = holder.file("", root, "late", b"3");
    holder.append(vec![late]).await;
    holder
        .until(|kind| matches!(kind, Kind::Fenced(f) if f.reason == "lease"))
        .await;
    assert_eq!(other.tree().await.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(holder.resume().await.unwrap().lost.is_some());
}

#[tokio::test]
async fn after_a_restart_of_the_server_a_holder_has_longer_to_come_back() {
    let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000 * MILLI)));
    let config = HeadsConfig {
        lease_ttl: Nanos(20_000 * MILLI),
        ..HeadsConfig::default()
    };
    let (backend, _, api) = server_at(config, clock.clone()).await;
    let mut holder = RawSession::open(&api, "acme", "demo").await;
    let held = holder.lease().await.lease;
    let root = holder.root();
    let mut other = RawSession::open(&api, "acme", "demo").await;
    assert_eq!(backend.heads.flush_all().await, 0);
    assert_eq!(backend.heads.live_count(), 0);
    other.attach().await.unwrap();
    ask(&other).await;
    other
        .send(client_message::Kind::Heartbeat(v1::Heartbeat::default()))
        .await;
    other.until(|kind| matches!(kind, Kind::Heartbeat(_))).await;
    clock.0.fetch_add(15_000 * MILLI, Ordering::SeqCst);
    holder.attach_unconfirmed().await.unwrap();
    holder
        .until(|kind| matches!(kind, Kind::LeaseRecall(r) if r.lease == held))
        .await;
    let (_, create) = holder.file("", root, "a", b"1");
    holder.commit(vec![create]).await;
}

#[tokio::test]
async fn a_holder_that_comes_back_hears_of_the_recall() {
    let config = HeadsConfig {
        gone_grace: Nanos(20_000 * MILLI),
        ..hurried()
    };
    let (_, _, api) = server(config).await;
    let mut holder = RawSession::open(&api, "acme", "demo").await;
    let held = holder.lease().await.lease;
    holder.stream = None;
    let mut other = RawSession::open(&api, "acme", "demo").await;
    ask(&other).await;
    holder.attach_unconfirmed().await.unwrap();
    holder
        .until(|kind| matches!(kind, Kind::LeaseRecall(r) if r.lease == held))
        .await;
    holder
        .send(client_message::Kind::LeaseReturn(v1::LeaseReturn {
            lease: held,
            idle: true,
        }))
        .await;
    other
        .until(|kind| matches!(kind, Kind::LeaseGrant(g) if g.exclusive))
        .await;
}

#[tokio::test]
async fn operations_under_a_lease_given_back_are_fenced() {
    let (_, _, api) = server(HeadsConfig::default()).await;
    let mut holder = RawSession::open(&api, "acme", "demo").await;
    let held = holder.lease().await.lease;
    holder
        .send(client_message::Kind::LeaseReturn(v1::LeaseReturn {
            lease: held,
            idle: true,
        }))
        .await;
    let root = holder.root();
    let (_, create) = holder.file("", root, "late", b"1");
    holder.append(vec![create]).await;
    holder
        .until(|kind| matches!(kind, Kind::Fenced(f) if f.reason == "lease"))
        .await;
    assert!(holder.tree().await.is_empty());
}

#[tokio::test]
async fn a_reader_that_is_too_slow_loses_its_stream_and_catches_up() {
    let config = HeadsConfig {
        queue_messages: 64,
        ..HeadsConfig::default()
    };
    let (_, _, api) = server(config).await;
    let mut writer = RawSession::open(&api, "acme", "demo").await;
    let mut reader = RawSession::open(&api, "acme", "demo").await;
    writer.lease().await;
    let root = writer.root();
    for i in 0..500 {
        let (_, create) = writer.file("", root, &format!("f{i}"), b"x");
        writer.commit(vec![create]).await;
    }
    let error = reader.until_end().await;
    assert!(
        matches!(error.code.as_str(), "SLOW_READER" | "ENDED"),
        "{error:?}"
    );
    assert!(reader.head_seq < 500);
    let ack = reader.attach_unconfirmed().await.unwrap();
    assert_eq!(ack.head_seq, 500);
    // More than the queue holds cannot be replayed: everything is to be read again.
    assert!(!ack.replay_events);
    assert_eq!(reader.tree().await.len(), 500);
}

#[tokio::test]
async fn events_missed_while_away_are_replayed_in_order() {
    let (_, _, api) = server(HeadsConfig::default()).await;
    let mut writer = RawSession::open(&api, "acme", "demo").await;
    let mut reader = RawSession::open(&api, "acme", "demo").await;
    writer.lease().await;
    let root = writer.root();
    reader.stream = None;
    for i in 0..20 {
        let (_, create) = writer.file("", root, &format!("f{i}"), b"x");
        writer.commit(vec![create]).await;
    }
    let ack = reader.attach_unconfirmed().await.unwrap();
    assert!(ack.replay_events);
    for seq in 1..=20 {
        let event = reader.until(|kind| matches!(kind, Kind::Event(_))).await;
        let Kind::Event(event) = event else {
            unreachable!()
        };
        assert_eq!(event.entry.unwrap().first_seq, seq);
    }
}

#[tokio::test]
async fn a_quiet_head_seals_itself_and_leaves_memory() {
    let config = HeadsConfig {
        seal_quiet: Nanos(20 * MILLI),
        idle: Nanos(60 * MILLI),
        ..HeadsConfig::default()
    };
    let (backend, caller, api) = server(config).await;
    let mut session = RawSession::open(&api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "a", b"1");
    session.commit(vec![create]).await;
    session
        .until(|kind| matches!(kind, Kind::Sealed(s) if s.head_seq == 1))
        .await;
    session.stream = None;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while backend.heads.live_count() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "still in memory");
        tokio::task::yield_now().await;
    }
    session.attach().await.unwrap();
    assert_eq!(session.tree().await.len(), 1);
    let repo = backend
        .catalog
        .repo_by_name(&caller.org, &"demo".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let main = mesa_head::ViewTarget::Bookmark("main".parse().unwrap());
    let view = backend
        .heads
        .view(&caller.org, &repo.id, &main)
        .await
        .unwrap();
    let node = view.stat(b"a").await.unwrap().unwrap();
    assert_eq!(
        &view.read(&node.attr.content, 0..9).await.unwrap()[..],
        b"1"
    );
    assert!(view.stat(b"b").await.unwrap().is_none());
    assert_eq!(view.list(b"").await.unwrap().unwrap().len(), 1);
    assert_eq!(view.list(b"a").await.unwrap_err().code, "NOT_A_DIRECTORY");
    // Shutdown ends streams and seals what is left.
    let (_, create) = session.file("", root, "b", b"2");
    session.commit(vec![create]).await;
    assert_eq!(backend.heads.flush_all().await, 0);
    assert_eq!(backend.heads.live_count(), 0);
    let change = backend
        .catalog
        .change(&caller.org, &repo.id, &view.change)
        .await
        .unwrap()
        .unwrap();
    let at = backend
        .heads
        .seal(&caller.org, &repo.id, &view.change)
        .await
        .unwrap();
    assert_eq!(at.commit, change.commit);
    assert_eq!(at.head_seq, 2);
}

#[tokio::test]
async fn after_an_expiry_only_what_was_journalled_before_is_taken() {
    use futures::StreamExt;
    let (backend, caller, api) = server(HeadsConfig::default()).await;
    let mut session = RawSession::open(&api, "acme", "demo").await;
    let root = session.root();
    let expired = |at: i64| mesa_head::Access::Expired {
        key: caller.key.clone(),
        at: Nanos(at),
    };
    let (_, before) = session.file("", root, "before", b"1");
    let at = session.tick();
    let (_, after) = session.file("", root, "after", b"2");
    let append = |first_client_seq, op: v1::Op| v1::ClientMessage {
        kind: Some(client_message::Kind::Append(v1::Append {
            first_client_seq,
            digest: mesa_proto::append_digest(std::slice::from_ref(&op))
                .to_vec()
                .into(),
            ops: vec![op],
            actors: Vec::new(),
            lease: 0,
        })),
    };
    let hello = v1::Hello {
        session: session.opened.session.clone(),
        resume_token: session.token.clone(),
        ..v1::Hello::default()
    };
    let mut stream = backend.heads.attach(&caller, hello).await.unwrap();
    let head = stream.sender();
    head.send(expired(at), append(1, before)).await.unwrap();
    head.send(expired(at), append(2, after)).await.unwrap();
    let mut acked = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(message) => {
                if let Some(Kind::Ack(ack)) = message.kind {
                    acked = ack.client_seq;
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(acked, 1);
    assert_eq!(error.code, "CREDENTIAL_EXPIRED");
    assert_eq!(session.tree().await.keys().collect::<Vec<_>>(), ["before"]);
}
