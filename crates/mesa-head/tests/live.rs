//! Heads through the mount protocol, without sockets.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use mesa_client::SyncErrorKind;
use mesa_proto::v1::{self, client_message, op, server_message::Kind};
use mesa_repo::Scope;
use mesa_testkit::{Demo, InProcess, RawSession, raw_session::request};
use mesa_types::NodeKind;

fn names(tree: &std::collections::BTreeMap<String, v1::Node>) -> Vec<&str> {
    tree.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn acknowledged_operations_survive_a_restart() {
    let mut server = Demo::start().await;
    let mut session = server.session().await;
    assert!(session.lease().await.exclusive);
    let root = session.root();
    let (dir, mkdir) = session.create("", root, "src", NodeKind::Dir);
    let (file, create) = session.file("src", dir, "main.rs", b"fn main() {}");
    session.commit(vec![mkdir, create]).await;
    let write = session.write("src/main.rs", file, b"fn main() {}", b"fn main() { }");
    session.commit(vec![write]).await;

    server.restart();
    let mut again = server.session().await;
    let tree = again.tree().await;
    assert_eq!(names(&tree), ["src", "src/main.rs"]);
    assert_eq!(&tree["src/main.rs"].inline[..], b"fn main() { }");
    assert_eq!(tree["src/main.rs"].id, file);

    // The first session goes on where it was.
    let resumed = session.resume().await.unwrap();
    assert!(resumed.resumed);
    assert_eq!(resumed.acked_client_seq, 3);
    session.attach().await.unwrap();
    let unlink = session.unlink("src", dir, "main.rs", file);
    session.commit(vec![unlink]).await;
    assert_eq!(names(&again.tree().await), ["src"]);
    again.attach().await.unwrap();
}

#[tokio::test]
async fn a_seal_makes_a_commit_and_a_restart_reads_it() {
    let mut server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (dir, mkdir) = session.create("", root, "d", NodeKind::Dir);
    let (_, one) = session.file("d", dir, "a", b"one");
    let (link, two) = session.file("d", dir, "b", b"two");
    session.commit(vec![mkdir, one, two]).await;
    let hard = op::Kind::Link(v1::Link {
        id: link,
        parent: root,
        name: "hard".into(),
        source_path: "d/b".into(),
    });
    let hard = session.op("", hard);
    session.commit(vec![hard]).await;
    let before = session.tree().await;
    let seal = v1::SealRequest {
        session: session.opened.session.clone(),
    };
    use mesa_client::SyncApi;
    let first = server.api.seal("acme", seal.clone()).await.unwrap();
    assert_eq!(first.commit_oid.len(), 40);
    assert_eq!(first.head_seq, 4);
    // Nothing new: the same commit.
    assert_eq!(server.api.seal("acme", seal.clone()).await.unwrap(), first);

    server.restart();
    session.attach().await.unwrap();
    let mut after = session.tree().await;
    for node in after.values_mut().chain(before.clone().values_mut()) {
        node.tree = bytes::Bytes::new();
    }
    assert_eq!(names(&after), ["d", "d/a", "d/b", "hard"]);
    for (path, node) in &before {
        let mut node = node.clone();
        node.tree = bytes::Bytes::new();
        assert_eq!(after[path], node, "{path}");
    }
    assert_eq!(after["hard"].nlink, 2);
    // A change through one name shows under the other.
    let write = session.write("hard", link, b"two", b"TWO");
    session.commit(vec![write]).await;
    assert_eq!(&session.tree().await["d/b"].inline[..], b"TWO");
    let second = server.api.seal("acme", seal.clone()).await.unwrap();
    assert_ne!(second.commit_oid, first.commit_oid);
    // Times alone make no commit.
    let set = op::Kind::SetAttr(v1::SetAttr {
        id: link,
        mtime_ns: Some(5),
        ..v1::SetAttr::default()
    });
    let set = session.op("hard", set);
    session.commit(vec![set]).await;
    let third = server.api.seal("acme", seal).await.unwrap();
    assert_eq!(third.commit_oid, second.commit_oid);
    assert!(third.head_seq > second.head_seq);
}

#[tokio::test]
async fn a_resent_append_has_no_second_effect_and_another_one_is_fenced() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "a", b"x");
    let ack = session.commit(vec![create.clone()]).await;
    session.append_at(1, vec![create]).await;
    let again = session.until(|kind| matches!(kind, Kind::Ack(_))).await;
    assert_eq!(again, Kind::Ack(ack));
    let (_, other) = session.file("", root, "b", b"y");
    session.append_at(1, vec![other]).await;
    let fenced = session.until(|kind| matches!(kind, Kind::Fenced(_))).await;
    assert!(matches!(fenced, Kind::Fenced(f) if f.reason == "digest"));
    let lost = session.resume().await.unwrap().lost.unwrap();
    assert_eq!(lost.reason, "forked");
}

#[tokio::test]
async fn two_writers_share_after_a_recall() {
    let server = Demo::start().await;
    let mut one = server.session().await;
    let mut two = server.session().await;
    assert_eq!(one.opened.change_id, two.opened.change_id);
    let held = one.lease().await;
    two.send(client_message::Kind::LeaseRequest(v1::LeaseRequest {}))
        .await;
    one.until(|kind| matches!(kind, Kind::LeaseRecall(_))).await;
    let root = one.root();
    let (_, create) = one.file("", root, "a", b"1");
    one.commit(vec![create]).await;
    one.send(client_message::Kind::LeaseReturn(v1::LeaseReturn {
        lease: held.lease,
        idle: false,
    }))
    .await;
    one.lease = 0;
    one.until(|kind| matches!(kind, Kind::LeaseGrant(g) if !g.exclusive))
        .await;
    // The event comes before the grant that depends on it.
    let event = two.next_message().await.unwrap();
    assert!(matches!(event, Kind::Event(_)), "{event:?}");
    let grant = two.next_message().await.unwrap();
    assert!(matches!(grant, Kind::LeaseGrant(g) if !g.exclusive && g.head_seq == 1));

    let (_, clash) = two.file("", root, "a", b"2");
    let reject = two.refused(clash).await;
    assert_eq!((reject.code.as_str(), reject.client_seq), ("EEXIST", 1));
    let (_, create) = two.file("", root, "b", b"2");
    two.commit(vec![create]).await;
    one.until(|kind| matches!(kind, Kind::Event(_))).await;
    assert_eq!(names(&one.tree().await), ["a", "b"]);

    // One goes idle: the other decides alone again.
    two.send(client_message::Kind::LeaseReturn(v1::LeaseReturn {
        lease: 0,
        idle: true,
    }))
    .await;
    one.until(|kind| matches!(kind, Kind::LeaseGrant(g) if g.exclusive))
        .await;
}

#[tokio::test]
async fn disjoint_ranges_of_two_writers_both_survive() {
    let server = Demo::start().await;
    let mut one = server.session().await;
    let mut two = server.session().await;
    let root = one.root();
    let (file, create) = one.file("", root, "f", b"aaaabbbb");
    one.commit(vec![create]).await;
    let edit = |session: &mut RawSession, new: &[u8], offset: u64| {
        let mut op = session.write("f", file, b"aaaabbbb", new);
        if let Some(op::Kind::SetContent(set)) = &mut op.kind {
            set.extents = vec![v1::Extent { offset, length: 4 }];
        }
        op
    };
    // Lease 0 without a lease asks for one by itself.
    let op = edit(&mut one, b"1111bbbb", 0);
    one.commit(vec![op]).await;
    let op = edit(&mut two, b"aaaa2222", 4);
    two.append(vec![op]).await;
    one.until(|kind| matches!(kind, Kind::LeaseRecall(_))).await;
    one.send(client_message::Kind::LeaseReturn(v1::LeaseReturn {
        lease: 1,
        idle: false,
    }))
    .await;
    let ack = two.until(|kind| matches!(kind, Kind::Ack(_))).await;
    let Kind::Ack(ack) = ack else { unreachable!() };
    assert_eq!(&ack.merged[0].inline[..], b"11112222");
    assert_eq!(&one.tree().await["f"].inline[..], b"11112222");
}

#[tokio::test]
async fn of_two_clones_one_goes_on_and_the_other_is_recovered() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "a", b"1");
    session.commit(vec![create]).await;

    // A copy of the client's state, made while it runs.
    let mut clone = server.session().await;
    clone.opened.session = session.opened.session.clone();
    clone.token = session.token.clone();
    clone.next = session.next;
    clone.head_seq = session.head_seq;
    clone.lease = session.lease;
    let (_, create) = session.file("", root, "original", b"2");
    session.commit(vec![create]).await;
    // The copy's journal ends before what the head has.
    let lost = clone.resume().await.unwrap().lost.unwrap();
    assert_eq!(lost.reason, "forked");
    assert_eq!(
        lost.recovery_bookmark,
        format!("recovered/{}-1", session.opened.session)
    );
    let mut open = request("acme", "demo");
    open.target = Some(v1::Target {
        kind: Some(v1::target::Kind::Change(lost.recovery_change.clone())),
    });
    let mut recovered = RawSession::open_with(&server.api, open).await.unwrap();
    recovered.attach().await.unwrap();
    assert_eq!(recovered.opened.change_id, lost.recovery_change);
    // It begins with what the copy last saw, and takes ids of the lost session.
    assert_eq!(names(&recovered.tree().await), ["a"]);
    recovered.lease().await;
    let (_, mut create) = recovered.file("", root, "copy", b"3");
    if let Some(op::Kind::Create(create)) = &mut create.kind {
        create.id = session.id();
    }
    recovered.commit(vec![create]).await;
    assert_eq!(names(&recovered.tree().await), ["a", "copy"]);
    // The original goes on undisturbed.
    let (_, create) = session.file("", root, "more", b"4");
    session.commit(vec![create]).await;
    assert_eq!(names(&session.tree().await), ["a", "more", "original"]);
}

#[tokio::test]
async fn an_old_token_is_good_until_the_new_one_is_confirmed() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    let old = session.token.clone();
    // The answer was lost: attach again with the same token.
    session.attach_unconfirmed().await.unwrap();
    session.token = old.clone();
    session.attach().await.unwrap();
    // Now the new one is confirmed.
    let newest = std::mem::replace(&mut session.token, old);
    let refused = session.attach().await.unwrap_err();
    assert_eq!(refused.kind, SyncErrorKind::Conflict);
    assert_eq!(refused.code, "SESSION_LOST");
    session.token = newest;
    session.attach().await.unwrap();
}

#[tokio::test]
async fn the_change_appears_with_the_first_operation() {
    let server = Demo::start().await;
    let mut session = server.session().await;
    let repo = server
        .backend
        .catalog
        .repo_by_name(&server.caller.org, &"demo".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let bookmark = async || {
        let name = "main".parse().unwrap();
        let catalog = &server.backend.catalog;
        let found = catalog.bookmark(&server.caller.org, &repo.id, &name).await;
        found.unwrap().unwrap().change
    };
    assert!(bookmark().await.is_root());
    session.lease().await;
    assert!(bookmark().await.is_root());
    let root = session.root();
    let (_, create) = session.file("", root, "a", b"1");
    session.commit(vec![create]).await;
    assert_eq!(bookmark().await.to_string(), session.opened.change_id);
}

#[tokio::test]
async fn hostile_frames_have_no_effect() {
    let server = Demo::start().await;
    let check = async |make: &dyn Fn(&mut RawSession) -> v1::Op| {
        let mut session = server.session().await;
        let op = make(&mut session);
        session.append(vec![op]).await;
        let error = session.until_end().await;
        assert_eq!(error.kind, SyncErrorKind::Invalid, "{error:?}");
        assert_eq!(error.code, "MALFORMED");
        assert!(session.tree().await.is_empty());
    };
    for name in ["", ".", "..", "a/b", "a\0b", &"x".repeat(256)] {
        check(&|session| {
            let root = session.root();
            session.file("", root, name, b"x").1
        })
        .await;
    }
    check(&|session| {
        let root = session.root();
        session.file("a/../b", root, "x", b"x").1
    })
    .await;
    check(&|session| {
        let root = session.root();
        let (_, mut op) = session.file("", root, "x", b"x");
        if let Some(op::Kind::Create(create)) = &mut op.kind {
            create.inline = "y".into();
        }
        op
    })
    .await;
    check(&|_| v1::Op::default()).await;

    // An id that is not the session's.
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (_, mut op) = session.file("", root, "x", b"x");
    if let Some(op::Kind::Create(create)) = &mut op.kind {
        create.id += 1 << 30;
    }
    session.append(vec![op]).await;
    session
        .until(|kind| matches!(kind, Kind::Fenced(f) if f.reason == "refused"))
        .await;
    assert!(session.tree().await.is_empty());
}

#[tokio::test]
async fn content_that_was_not_uploaded_is_asked_for() {
    use mesa_client::SyncApi;
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let bytes = vec![7; 100_000];
    let (_, mut op) = session.create("", root, "big", NodeKind::File);
    if let Some(op::Kind::Create(create)) = &mut op.kind {
        create.content = session.content(&bytes);
    }
    let (_, later) = session.file("", root, "later", b"x");
    let first = session.append(vec![op.clone()]).await;
    session.append(vec![later.clone()]).await;
    let reject = session.until(|kind| matches!(kind, Kind::Reject(_))).await;
    let Kind::Reject(reject) = reject else {
        unreachable!()
    };
    assert_eq!(reject.code, "MISSING_CHUNKS");
    assert_eq!(reject.client_seq, first);
    let id = reject.missing[0].clone();
    let name = &session.opened.session;
    let wrong = vec![(id.clone(), bytes::Bytes::from_static(b"wrong"))];
    let refused = server.api.upload("acme", name, false, wrong).await;
    assert_eq!(refused.unwrap_err().code, "WRONG_HASH");
    let right = vec![(id, bytes::Bytes::from(bytes))];
    server.api.upload("acme", name, false, right).await.unwrap();
    session.append_at(first, vec![op, later]).await;
    let ack = session.until(|kind| matches!(kind, Kind::Ack(_))).await;
    assert!(matches!(ack, Kind::Ack(ack) if ack.client_seq == first + 1));
    assert_eq!(names(&session.tree().await), ["big", "later"]);
}

#[tokio::test]
async fn other_orgs_and_readers_are_kept_out() {
    use mesa_client::SyncApi;
    let server = Demo::start().await;
    let mut session = server.session().await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "secret", b"x");
    session.commit(vec![create]).await;

    let stranger = server.backend.org("other", &[Scope::Admin]).await.unwrap();
    let stranger = InProcess::new(server.backend.heads.clone(), stranger);
    let nodes = v1::GetNodesRequest {
        session: session.opened.session.clone(),
        ..v1::GetNodesRequest::default()
    };
    let refused = stranger.get_nodes("acme", nodes).await.err().unwrap();
    assert_eq!(refused.kind, SyncErrorKind::NotFound);
    let refused = stranger.open_head(request("acme", "demo")).await;
    assert_eq!(refused.unwrap_err().kind, SyncErrorKind::NotFound);

    let mut reader = server.caller.clone();
    reader.scopes = mesa_repo::Scopes::new([Scope::Read]);
    let api = InProcess::new(server.backend.heads.clone(), reader);
    let mut reader = RawSession::open(&api, "acme", "demo").await;
    assert!(reader.opened.read_only);
    assert_eq!(names(&reader.tree().await), ["secret"]);
    let op = session.write("secret", root, b"", b"y");
    reader.append(vec![op]).await;
    assert_eq!(reader.until_end().await.code, "READ_ONLY");
}
