//! What a client decided before its bookmark was moved to something else.

use std::sync::Arc;

use mesa_head::HeadsConfig;
use mesa_proto::v1::{self, server_message::Kind};
use mesa_testkit::{Backend, RawSession, raw_session::request};
use mesa_types::{ChangeId, Nanos, NodeKind, time::SystemClock};

use crate::{
    merges::give_back,
    support::{Server, main, put},
};

/// Whoever is gone is not waited for.
pub async fn server() -> Server {
    let backend = Backend::over(
        Arc::new(mesa_meta::MemoryStore::new()),
        Arc::new(mesa_store::MemoryStore::new()),
        Arc::new(SystemClock),
        HeadsConfig {
            gone_grace: Nanos(1_000_000),
            lease_ttl: Nanos(1_000_000),
            ..HeadsConfig::default()
        },
    );
    Server::of(backend).await
}

impl Server {
    async fn recovery(&self, lost: &v1::Lost) -> RawSession {
        let mut open = request("acme", "demo");
        open.target = Some(v1::Target {
            kind: Some(v1::target::Kind::Change(lost.recovery_change.clone())),
        });
        let mut session = RawSession::open_with(&self.api, open).await.unwrap();
        session.attach().await.unwrap();
        session.lease().await;
        session
    }
}

async fn names(session: &RawSession) -> Vec<String> {
    session.tree().await.into_keys().collect()
}

/// How much of its own the client knows to be on the server when its connection ends.
#[derive(Clone, Copy, PartialEq)]
enum Knows {
    All,
    /// Only from the next `HelloAck`.
    Later,
}

async fn offline_work(knows: Knows, sealed: bool) {
    let server = server().await;
    let first = server.write(main(), vec![put("top", "0")]).await.unwrap();
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let seen = session.head_seq;
    let (dir, create) = session.create("", root, "d", NodeKind::Dir);
    let (old, file) = session.file("d", dir, "old", b"1");
    session.commit(vec![create, file]).await;
    if sealed {
        let (org, repo) = (&server.repo.org, &server.repo.id);
        let heads = &server.backend.heads;
        heads.seal(org, repo, &first.change).await.unwrap();
    }
    session.stream = None;
    if knows == Knows::Later {
        (session.head_seq, session.acked) = (seen, 0);
    }
    let elsewhere = server.create(ChangeId::ROOT, vec![put("other", "2")], "other");
    let elsewhere = elsewhere.await.change;
    server.move_main(elsewhere, true).await.unwrap();
    // The new base goes on, too.
    server.write(main(), vec![put("more", "3")]).await.unwrap();

    let ack = session.attach_unconfirmed().await.unwrap();
    assert!(!ack.replay_events && ack.moved_seq > session.head_seq);
    session.acked = ack.acked_client_seq;
    let write = session.write("d/old", old, b"1", b"11");
    let (_, create) = session.file("d", dir, "new", b"4");
    session.append(vec![write.clone(), create.clone()]).await;
    let fenced = session.until(|kind| matches!(kind, Kind::Fenced(_))).await;
    assert!(matches!(fenced, Kind::Fenced(f) if f.reason == "lease"));
    let lost = session.resume().await.unwrap().lost.unwrap();

    let mut recovered = server.recovery(&lost).await;
    assert_eq!(names(&recovered).await, ["d", "d/old", "top"]);
    let record = server.change(lost.recovery_change.parse().unwrap()).await;
    assert_eq!(record.parents, [first.change]);
    recovered.commit(vec![write, create]).await;
    let tree = recovered.tree().await;
    assert_eq!(&tree["d/old"].inline[..], b"11");
    assert_eq!(&tree["d/new"].inline[..], b"4");
    // It is a change like any other: with a commit, on top of the one it belongs to.
    let (org, repo) = (&server.repo.org, &server.repo.id);
    let heads = &server.backend.heads;
    let change: ChangeId = lost.recovery_change.parse().unwrap();
    let sealed = heads.seal(org, repo, &change).await.unwrap();
    let catalog = &server.backend.catalog;
    let oid = sealed.commit.unwrap();
    let commit = catalog.commit_by_oid(org, repo, &oid);
    let commit = commit.await.unwrap().unwrap();
    let parent = server.change(first.change).await.commit;
    assert!(commit.parents == [parent.unwrap()] || commit.parents == [first.commit.unwrap()]);
}

#[tokio::test]
async fn work_of_an_offline_holder_is_recovered_on_what_it_saw() {
    for knows in [Knows::All, Knows::Later] {
        for sealed in [true, false] {
            offline_work(knows, sealed).await;
        }
    }
}

#[tokio::test]
async fn a_pending_head_that_was_moved_is_recovered_on_its_former_base() {
    let server = server().await;
    let first = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let heads = &server.backend.heads;
    let closed = heads.close_change(&server.repo, &first.change, mesa_repo::ChangeState::Closed);
    closed.await.unwrap();
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    session.stream = None;
    let elsewhere = server.create(ChangeId::ROOT, vec![put("other", "2")], "other");
    server
        .move_main(elsewhere.await.change, true)
        .await
        .unwrap();
    let lost = session.resume_or(true).await.unwrap().lost.unwrap();
    let recovered = server.recovery(&lost).await;
    assert_eq!(names(&recovered).await, ["f"]);
    let record = server.change(lost.recovery_change.parse().unwrap()).await;
    assert_eq!(record.parents, [first.change]);
}

#[tokio::test]
async fn content_that_waited_for_a_move_can_be_recovered() {
    let server = server().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (id, create) = session.create("", root, "f", NodeKind::File);
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    session.lease = 0;
    let elsewhere = server.create(ChangeId::ROOT, vec![put("other", "2")], "other");
    let elsewhere = elsewhere.await.change;
    server.move_main(elsewhere, true).await.unwrap();
    // Sent before the client knows.
    let write = session.write("f", id, b"", b"text");
    let refused = session.refused(write.clone()).await;
    assert_eq!(refused.code, "ENOENT");
    let lost = session.resume_or(true).await.unwrap().lost.unwrap();
    assert_eq!(lost.reason, "head_moved");
    // It can neither go on nor write under its old name.
    assert!(session.attach().await.is_err());
    let mut recovered = server.recovery(&lost).await;
    assert_eq!(names(&recovered).await, ["f"]);
    recovered.commit(vec![write]).await;
    assert_eq!(&recovered.tree().await["f"].inline[..], b"text");
}
