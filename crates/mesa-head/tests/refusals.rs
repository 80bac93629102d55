//! What one client may not do to a head, and to those who share it.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use bytes::Bytes;
use mesa_client::{SyncApi, SyncErrorKind};
use mesa_proto::v1::{self, client_message, op, server_message::Kind};
use mesa_repo::{PageRequest, Scope, Scopes};
use mesa_testkit::{Demo, InProcess, RawSession, raw_session::request};
use mesa_types::NodeKind;

/// A connection of somebody who may only read.
fn reader(server: &Demo) -> InProcess {
    let mut reader = server.caller.clone();
    reader.scopes = Scopes::new([Scope::Read]);
    InProcess::new(server.backend.heads.clone(), reader)
}

async fn bookmarks(server: &Demo) -> usize {
    let catalog = &server.backend.catalog;
    let org = &server.caller.org;
    let repo = catalog.repo_by_name(org, &"demo".parse().unwrap()).await;
    let repo = repo.unwrap().unwrap();
    let page = PageRequest::default();
    let all = catalog.list_bookmarks(org, &repo.id, None, &page);
    all.await.unwrap().items.len()
}

async fn seals(server: &Demo, session: &RawSession) {
    let seal = v1::SealRequest {
        session: session.opened.session.clone(),
    };
    let sealed = server.api.seal("acme", seal).await.unwrap();
    assert_eq!(sealed.commit_oid.len(), 40);
}

#[tokio::test]
async fn a_reader_makes_no_recovery_change() {
    let server = Demo::start().await;
    let mut writer = server.session().await;
    writer.lease().await;
    let root = writer.root();
    let (_, create) = writer.file("", root, "a", b"1");
    writer.commit(vec![create]).await;
    let api = reader(&server);
    let mut own = RawSession::open(&api, "acme", "demo").await;
    own.token = Bytes::from_static(b"no token of this session");
    let refused = own.resume().await.unwrap_err();
    assert_eq!(refused.kind, SyncErrorKind::NotFound);
    // Nor with the session of a writer.
    let resume = v1::OpenHeadRequest {
        resume: Some(v1::Resume {
            session: writer.opened.session.clone(),
            token: Bytes::from_static(b"nor of this"),
            ..v1::Resume::default()
        }),
        ..request("acme", "demo")
    };
    let refused = api.open_head(resume).await.unwrap_err();
    assert_eq!(refused.kind, SyncErrorKind::Forbidden);
    assert_eq!(bookmarks(&server).await, 1);
}

#[tokio::test]
async fn a_reader_gets_no_head_of_its_own() {
    let server = Demo::start().await;
    let api = reader(&server);
    let isolated = v1::OpenHeadRequest {
        isolate: true,
        ..request("acme", "demo")
    };
    let one = api.open_head(isolated.clone()).await.unwrap();
    let two = api.open_head(isolated).await.unwrap();
    assert_eq!(one.head, two.head);
}

#[tokio::test]
async fn content_of_another_length_is_refused_and_the_head_still_seals() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let bytes = vec![7; 100_000];
    let id = Bytes::copy_from_slice(&session.key().chunk_id(&bytes).0);
    let name = session.opened.session.clone();
    let objects = vec![(id.clone(), Bytes::from(bytes))];
    server
        .api
        .upload("acme", &name, false, objects)
        .await
        .unwrap();
    let (_, mut lies) = session.create("", root, "lies", NodeKind::File);
    if let Some(op::Kind::Create(create)) = &mut lies.kind {
        create.content = Some(v1::ContentRef {
            size: 100_001,
            id,
            manifest: false,
        });
    }
    session.append(vec![lies]).await;
    assert_eq!(session.until_end().await.kind, SyncErrorKind::Invalid);
    let mut other = server.session().await;
    let (_, create) = other.file("", root, "a", b"1");
    other.append(vec![create]).await;
    session.attach().await.unwrap();
    let held = session.lease;
    session
        .send(client_message::Kind::LeaseReturn(v1::LeaseReturn {
            lease: held,
            idle: true,
        }))
        .await;
    other.until(|kind| matches!(kind, Kind::Ack(_))).await;
    seals(&server, &other).await;
}

#[tokio::test]
async fn content_that_another_operation_brings_does_not_count_as_stored() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (_, mut names_it) = session.create("", root, "one", NodeKind::File);
    if let Some(op::Kind::Create(create)) = &mut names_it.kind {
        create.content = session.content(b"shared");
    }
    let (_, brings_it) = session.file("", root, "two", b"shared");
    session.append(vec![names_it, brings_it]).await;
    let reject = session.until(|kind| matches!(kind, Kind::Reject(_))).await;
    assert!(matches!(reject, Kind::Reject(r) if r.code == "MISSING_CHUNKS"));
    assert!(session.tree().await.is_empty());
}

#[tokio::test]
async fn content_for_a_symlink_is_refused_and_the_head_goes_on() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (link, mut create) = session.create("", root, "link", NodeKind::Symlink);
    if let Some(op::Kind::Create(create)) = &mut create.kind {
        create.target = Bytes::from_static(b"somewhere");
        create.mode = 0o777;
    }
    session.commit(vec![create]).await;
    let write = session.write("link", link, b"", b"text");
    session.append(vec![write]).await;
    session
        .until(|kind| matches!(kind, Kind::Fenced(f) if f.reason == "refused"))
        .await;
    let other = server.session().await;
    assert_eq!(other.tree().await.len(), 1);
    seals(&server, &other).await;
}

#[tokio::test]
async fn an_over_long_path_is_only_a_missing_hint() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (file, create) = session.file("", root, "deep", b"1");
    session.commit(vec![create]).await;
    let hint = vec!["directory"; 600].join("/");
    let write = session.write(&hint, file, b"1", b"2");
    session.commit(vec![write]).await;
    assert_eq!(&session.tree().await["deep"].inline[..], b"2");
}

#[tokio::test]
async fn file_ids_are_not_given_without_end() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    for _ in 0..4 {
        session
            .send(client_message::Kind::IdRequest(v1::IdRequest {
                count: 1 << 20,
            }))
            .await;
    }
    assert_eq!(session.until_end().await.code, "TOO_MANY_IDS");
}
