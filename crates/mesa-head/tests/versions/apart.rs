//! Sessions of one change that follow different bookmarks.

use mesa_head::ViewTarget;
use mesa_proto::v1::{self, server_message::Kind, target};
use mesa_repo::ChangeState;
use mesa_testkit::{RawSession, raw_session::request};
use mesa_types::ChangeId;

use crate::{
    merges::give_back,
    support::{Server, by_bookmark, main, pairs, put},
};

async fn open(server: &Server, kind: target::Kind) -> RawSession {
    let mut open = request("acme", "demo");
    open.target = Some(v1::Target { kind: Some(kind) });
    let mut session = RawSession::open_with(&server.api, open).await.unwrap();
    session.attach().await.unwrap();
    session
}

async fn names(session: &RawSession) -> Vec<String> {
    session.tree().await.into_keys().collect()
}

async fn write(session: &mut RawSession, name: &str) {
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, name, b"1");
    session.commit(vec![create]).await;
    give_back(session).await;
}

/// Three sessions in one change: by `main`, by `dev`, and by its id.
async fn together(server: &Server) -> (ChangeId, [RawSession; 3]) {
    let open_change = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let shared = open_change.change;
    server.bookmark("dev", shared).await;
    let mut sessions = [
        open(server, target::Kind::Bookmark("main".into())).await,
        open(server, target::Kind::Bookmark("dev".into())).await,
        open(server, target::Kind::Change(shared.to_string())).await,
    ];
    for session in &mut sessions {
        give_back(session).await;
    }
    (shared, sessions)
}

/// The one that goes is told to come back, and finds itself elsewhere.
async fn comes_back(session: &mut RawSession) {
    session.until_end().await;
    session.stream = None;
    let ack = session.attach().await.unwrap();
    assert!(
        !ack.replay_events && ack.moved_seq == ack.head_seq,
        "{ack:?}"
    );
    session.head_seq = ack.head_seq;
}

#[tokio::test]
async fn moving_a_bookmark_takes_along_who_follows_it_and_nobody_else() {
    let server = Server::start().await;
    let (shared, [mut by_main, mut by_dev, mut by_id]) = together(&server).await;
    write(&mut by_main, "early").await;
    let elsewhere = server.create(ChangeId::ROOT, vec![put("other", "2")], "other");
    let elsewhere = elsewhere.await.change;
    server.move_main(elsewhere, true).await.unwrap();
    comes_back(&mut by_main).await;
    assert_eq!(names(&by_main).await, ["other"]);
    for session in [&by_dev, &by_id] {
        assert_eq!(names(session).await, ["early", "f"]);
    }
    assert_eq!(server.change(shared).await.state, ChangeState::Open);
    // Everybody goes on where they are, and bookmarks with those who follow them.
    write(&mut by_main, "main").await;
    write(&mut by_dev, "dev").await;
    write(&mut by_id, "id").await;
    assert_eq!(
        server.files(main()).await,
        pairs(&[("main", "1"), ("other", "2")])
    );
    let expected = [("dev", "1"), ("early", "1"), ("f", "1"), ("id", "1")];
    assert_eq!(server.files(by_bookmark("dev")).await, pairs(&expected));
    assert_eq!(server.at_bookmark("dev").await, shared);
    let next = server.main_change().await;
    assert_eq!(server.change(next).await.parents, [elsewhere]);

    // What the one that went had sent is not taken again, nor is it lost.
    let resumed = by_main.resume().await.unwrap();
    assert!(resumed.resumed && resumed.lost.is_none(), "{resumed:?}");
    assert_eq!(resumed.acked_client_seq, 2);
}

#[tokio::test]
async fn a_merge_into_one_bookmark_leaves_the_others_where_they_are() {
    let server = Server::start().await;
    let (shared, [mut by_main, mut by_dev, _]) = together(&server).await;
    let side = server.create(ChangeId::ROOT, vec![put("side", "s")], "side");
    server.bookmark("side", side.await.change).await;
    let merge = server.merged("side").await;
    comes_back(&mut by_main).await;
    assert_eq!(names(&by_main).await, ["f", "side"]);
    // What was merged takes no more writes: the others go on on top of it, with the same files.
    by_dev
        .until(|kind| matches!(kind, Kind::HeadMoved(moved) if moved.same_tree))
        .await;
    assert_eq!(names(&by_dev).await, ["f"]);
    write(&mut by_dev, "dev").await;
    write(&mut by_main, "main").await;
    let (main_now, dev_now) = (server.main_change().await, server.at_bookmark("dev").await);
    assert_eq!(server.change(main_now).await.parents, [merge]);
    assert_eq!(server.change(dev_now).await.parents, [shared]);
    assert_eq!(
        server.files(by_bookmark("dev")).await,
        pairs(&[("dev", "1"), ("f", "1")])
    );
    let expected = [("f", "1"), ("main", "1"), ("side", "s")];
    assert_eq!(server.files(main()).await, pairs(&expected));
}

#[tokio::test]
async fn a_bookmark_that_nobody_follows_moves_alone() {
    let server = Server::start().await;
    let (shared, [by_main, mut by_dev, _]) = together(&server).await;
    let close = v1::CloseSessionRequest {
        session: by_main.opened.session.clone(),
        resume_token: by_main.token.clone(),
        ..v1::CloseSessionRequest::default()
    };
    let heads = &server.backend.heads;
    heads.close_session(&server.caller, close).await.unwrap();
    let elsewhere = server.create(ChangeId::ROOT, vec![put("other", "2")], "other");
    let elsewhere = elsewhere.await.change;
    server.move_main(elsewhere, true).await.unwrap();
    write(&mut by_dev, "dev").await;
    assert_eq!(server.at_bookmark("dev").await, shared);
    assert_eq!(server.files(main()).await, pairs(&[("other", "2")]));
    let mut again = open(&server, target::Kind::Bookmark("main".into())).await;
    write(&mut again, "main").await;
    assert_eq!(
        server.files(main()).await,
        pairs(&[("main", "1"), ("other", "2")])
    );
}

/// Work done while the client was away, on what it saw then, has to be found in the log of the head
/// that its session has left.
#[tokio::test]
async fn offline_work_of_one_that_went_is_recovered_on_what_it_saw() {
    let server = crate::moved::server().await;
    let (shared, [mut by_main, mut by_dev, _]) = together(&server).await;
    write(&mut by_main, "early").await;
    let seen = by_main.head_seq;
    by_main.stream = None;
    write(&mut by_dev, "late").await;
    let elsewhere = server.create(ChangeId::ROOT, vec![put("other", "2")], "other");
    let elsewhere = elsewhere.await.change;
    server.move_main(elsewhere, true).await.unwrap();
    by_main.head_seq = seen;
    let ack = by_main.attach_unconfirmed().await.unwrap();
    assert!(ack.moved_seq > seen);
    by_main.stream = None;
    let resumed = by_main.resume_or(true).await.unwrap();
    let lost = resumed.lost.expect("it cannot go on");
    let recovered: ChangeId = lost.recovery_change.parse().unwrap();
    assert_eq!(server.change(recovered).await.parents, [shared]);
    let files = server.files(ViewTarget::Change(recovered)).await;
    assert_eq!(files, pairs(&[("early", "1"), ("f", "1")]));
}
