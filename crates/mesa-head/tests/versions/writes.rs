//! Writes of the server's, among sessions.

use mesa_head::{Describe, FileMode, HeadErrorKind, ViewTarget, Write};
use mesa_proto::v1::{self, client_message, server_message::Kind};
use mesa_repo::ChangeState;
use mesa_testkit::{RawSession, raw_session::request};
use mesa_types::ChangeId;

use crate::support::{Server, delete, main, pairs, put, put_as, rename};

#[tokio::test]
async fn files_are_written_moved_and_removed_with_their_directories() {
    let server = Server::start().await;
    let first = server
        .write(
            main(),
            vec![
                put("a/b/c.txt", "one"),
                put_as("run.sh", "#!/bin/sh\n", FileMode::Executable),
                put_as("link", "a/b/c.txt", FileMode::Symlink),
            ],
        )
        .await
        .unwrap();
    assert!(first.commit.is_some());
    assert_eq!(server.main_change().await, first.change);
    let expected = pairs(&[
        ("a", "/"),
        ("a/b", "/"),
        ("a/b/c.txt", "one"),
        ("link", "->a/b/c.txt"),
        ("run.sh", "#!/bin/sh\n"),
    ]);
    assert_eq!(server.files(main()).await, expected);
    let mode = server.view(main()).await.stat(b"run.sh").await.unwrap();
    assert_eq!(mode.unwrap().attr.mode, 0o755);

    // Later operations of a write see what earlier ones did.
    let second = server
        .write(
            main(),
            vec![
                put_as("run.sh", "#!/bin/sh\n", FileMode::Regular),
                rename("a/b/c.txt", "d/moved.txt"),
                put("d/moved.txt", "two"),
                put("link", "a file now"),
                put("gone/x", "1"),
                delete("gone"),
            ],
        )
        .await
        .unwrap();
    assert_eq!(second.change, first.change, "the change is open");
    assert_ne!(second.commit, first.commit);
    let expected = pairs(&[
        ("d", "/"),
        ("d/moved.txt", "two"),
        ("link", "a file now"),
        ("run.sh", "#!/bin/sh\n"),
    ]);
    assert_eq!(server.files(main()).await, expected);

    let same = server.write(main(), vec![put("d/moved.txt", "two")]).await;
    assert_eq!(same.unwrap().commit, second.commit, "nothing to write");
    server
        .write(main(), vec![delete("d/moved.txt")])
        .await
        .unwrap();
    let expected = pairs(&[("link", "a file now"), ("run.sh", "#!/bin/sh\n")]);
    assert_eq!(server.files(main()).await, expected, "no empty parents");
}

#[tokio::test]
async fn an_impossible_write_has_no_effect() {
    let server = Server::start().await;
    server
        .write(main(), vec![put("dir/file", "1"), put("f", "1")])
        .await
        .unwrap();
    let before = server.files(main()).await;
    for (edit, code) in [
        (delete("nothing"), "PATH_NOT_FOUND"),
        (delete("f/below"), "PARENT_NOT_DIRECTORY"),
        (put("dir", "1"), "PATH_IS_DIRECTORY"),
        (put("f/below", "1"), "PARENT_NOT_DIRECTORY"),
        (rename("dir", "dir/inside"), "BAD_MOVE"),
        (rename("f", "dir"), "PATH_EXISTS"),
        (put_as("l", "", FileMode::Symlink), "BAD_SYMLINK"),
    ] {
        let edits = vec![
            put("new/file", "1"),
            delete("dir/file"),
            put("dir/other", "2"),
            edit,
        ];
        let error = server.write(main(), edits).await.unwrap_err();
        assert_eq!((error.kind, error.code), (HeadErrorKind::Invalid, code));
    }
    assert_eq!(server.files(main()).await, before);
    let fresh = ViewTarget::Change(ChangeId::ROOT);
    assert!(server.write(fresh, vec![delete("x")]).await.is_err());
}

#[tokio::test]
async fn large_contents_and_many_files_arrive_whole() {
    let server = Server::start().await;
    let large = "0123456789abcdef".repeat(64 << 10);
    let mut edits = vec![put("large", &large)];
    edits.extend((0..3000).map(|n| put(&format!("many/{}/{n}", n % 7), &format!("{n}\n"))));
    edits.extend((0..60).map(|n| put(&format!("mid/{n}"), &large[..60_000 + n])));
    server.write(main(), edits).await.unwrap();
    let files = server.files(main()).await;
    assert_eq!(files.len(), 1 + 1 + 7 + 3000 + 1 + 60);
    let get = |name: &str| files.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!(get("large"), large);
    assert_eq!(get("many/2/2389"), "2389\n");
    assert_eq!(get("mid/59"), large[..60_059]);
}

#[tokio::test]
async fn a_stale_commit_is_refused() {
    let server = Server::start().await;
    let first = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let write = |content: &str| Write {
        target: ViewTarget::Change(first.change),
        edits: vec![put("f", content)],
        describe: Describe::default(),
        base_commit: first.commit,
    };
    let heads = &server.backend.heads;
    let actor = server.actor();
    heads.write(&actor, &server.repo, write("2")).await.unwrap();
    let error = heads.write(&actor, &server.repo, write("3")).await;
    assert_eq!(error.unwrap_err().code, "STALE_COMMIT");
    assert_eq!(server.files(main()).await, pairs(&[("f", "2")]));
}

#[tokio::test]
async fn sessions_see_a_write_and_the_holder_of_the_lease_is_asked_first() {
    let server = Server::start().await;
    let mut idle = RawSession::open(&server.api, "acme", "demo").await;
    let mut holder = RawSession::open(&server.api, "acme", "demo").await;
    let lease = holder.lease().await.lease;
    let root = holder.root();
    let (file, create) = holder.file("", root, "f", b"mine");
    holder.commit(vec![create]).await;

    let writing = server.write(main(), vec![put("from-rest", "theirs")]);
    let answering = async {
        holder
            .until(|kind| matches!(kind, Kind::LeaseRecall(r) if r.lease == lease))
            .await;
        // Decided before the recall was seen.
        let write = holder.write("f", file, b"mine", b"mine still");
        holder.commit(vec![write]).await;
        let back = v1::LeaseReturn { lease, idle: false };
        holder.send(client_message::Kind::LeaseReturn(back)).await;
        let event = holder.until(|kind| matches!(kind, Kind::Event(_))).await;
        let grant = holder
            .until(|kind| matches!(kind, Kind::LeaseGrant(_)))
            .await;
        (event, grant)
    };
    let (written, (event, grant)) = tokio::join!(writing, answering);
    written.unwrap();
    let Kind::Event(v1::Event { entry: Some(entry) }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(
        (entry.origin.as_str(), entry.address.as_str()),
        ("rest", "192.0.2.7")
    );
    assert!(matches!(grant, Kind::LeaseGrant(g) if g.exclusive && g.lease > lease));
    idle.until(|kind| matches!(kind, Kind::Event(e) if e.entry.as_ref().unwrap().origin == "rest"))
        .await;
    let expected = pairs(&[("f", "mine still"), ("from-rest", "theirs")]);
    assert_eq!(server.files(main()).await, expected);
    assert_eq!(idle.tree().await.len(), 2);
}

#[tokio::test]
async fn a_child_closes_its_parent_and_sessions_go_on_in_a_new_change() {
    let server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "f", b"1");
    session.commit(vec![create]).await;
    let first = server.main_change().await;
    assert_eq!(first.to_string(), session.opened.change_id);

    let child = server.create(first, vec![put("g", "2")], "on top").await;
    assert_eq!(server.change(first).await.state, ChangeState::Closed);
    let created = server.change(child.change).await;
    assert_eq!(created.parents, [first]);
    assert_eq!(created.message, "on top");
    assert_eq!(created.state, ChangeState::Open);
    assert_eq!(server.main_change().await, first, "nothing was written");

    let moved = session
        .until(|kind| matches!(kind, Kind::HeadMoved(_)))
        .await;
    let Kind::HeadMoved(moved) = moved else {
        panic!("{moved:?}");
    };
    assert!(moved.same_tree);
    let (_, create) = session.file("", root, "h", b"3");
    session.commit(vec![create]).await;
    let second = server.main_change().await;
    assert_eq!(second.to_string(), moved.change_id);
    assert_eq!(server.change(second).await.parents, [first]);
    assert_eq!(server.files(main()).await, pairs(&[("f", "1"), ("h", "3")]));
    let child = ViewTarget::Change(child.change);
    assert_eq!(server.files(child).await, pairs(&[("f", "1"), ("g", "2")]));
    let first = ViewTarget::Change(first);
    assert_eq!(server.files(first).await, pairs(&[("f", "1")]));
}

#[tokio::test]
async fn an_isolated_session_closes_the_change_it_begins_with() {
    let server = Server::start().await;
    let open = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let mut isolated = request("acme", "demo");
    isolated.isolate = true;
    let mut isolated = RawSession::open_with(&server.api, isolated).await.unwrap();
    isolated.attach().await.unwrap();
    assert_eq!(server.change(open.change).await.state, ChangeState::Closed);
    isolated.lease().await;
    let root = isolated.root();
    let (_, create) = isolated.file("", root, "mine", b"2");
    isolated.commit(vec![create]).await;
    assert_eq!(
        server.main_change().await,
        open.change,
        "the bookmark stays"
    );
    let own: ChangeId = isolated.opened.change_id.parse().unwrap();
    assert_eq!(server.change(own).await.parents, [open.change]);

    let other = server.write(main(), vec![put("g", "3")]).await.unwrap();
    assert_ne!(other.change, own);
    assert_eq!(server.change(other.change).await.parents, [open.change]);
    assert_eq!(server.main_change().await, other.change);
}

#[tokio::test]
async fn a_closed_change_gets_a_new_one_on_top() {
    let server = Server::start().await;
    let first = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let heads = &server.backend.heads;
    let next = heads
        .close_change(&server.repo, &first.change, ChangeState::Published)
        .await
        .unwrap();
    assert!(next.is_none_or(|next| next != first.change));
    let on_top = server
        .write(ViewTarget::Change(first.change), vec![put("f", "2")])
        .await
        .unwrap();
    assert_eq!(server.change(on_top.change).await.parents, [first.change]);
    assert_eq!(
        server.main_change().await,
        first.change,
        "no bookmark was named"
    );
    let followed = server.write(main(), vec![put("f", "3")]).await.unwrap();
    assert_eq!(server.main_change().await, followed.change);
    assert_eq!(
        server.change(first.change).await.state,
        ChangeState::Published
    );
    let nothing = server
        .write(ViewTarget::Change(first.change), vec![put("f", "1")])
        .await
        .unwrap();
    assert_eq!(
        (nothing.change, nothing.commit),
        (first.change, first.commit)
    );
}

#[tokio::test]
async fn a_description_alone_makes_a_new_commit() {
    let server = Server::start().await;
    let first = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let write = Write {
        target: main(),
        edits: Vec::new(),
        describe: Describe {
            message: Some("said".to_owned()),
            ..Describe::default()
        },
        base_commit: first.commit,
    };
    let heads = &server.backend.heads;
    let second = heads
        .write(&server.actor(), &server.repo, write.clone())
        .await
        .unwrap();
    assert_ne!(second.commit, first.commit);
    assert_eq!(server.change(first.change).await.message, "said");
    let again = Write {
        base_commit: None,
        ..write
    };
    let third = heads.write(&server.actor(), &server.repo, again).await;
    assert_eq!(third.unwrap().commit, second.commit, "it says so already");
    let empty = server.create(first.change, Vec::new(), "empty").await;
    assert!(empty.commit.is_some());
    assert_ne!(empty.commit, second.commit);
}

#[tokio::test]
async fn a_busy_session_does_not_keep_a_change_open() {
    let server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (file, create) = session.file("", root, "f", b"0");
    session.commit(vec![create]).await;
    let first = server.main_change().await;
    let heads = server.backend.heads.clone();
    let repo = server.repo.clone();
    let closing = tokio::spawn(async move {
        heads
            .close_change(&repo, &first, ChangeState::Closed)
            .await
            .unwrap()
    });
    let mut last = 0_u32;
    while !closing.is_finished() {
        let (old, new) = (last.to_string(), (last + 1).to_string());
        let write = session.write("f", file, old.as_bytes(), new.as_bytes());
        session.commit(vec![write]).await;
        last += 1;
    }
    closing.await.unwrap();
    let write = session.write("f", file, last.to_string().as_bytes(), b"last");
    session.commit(vec![write]).await;
    assert_eq!(server.files(main()).await, pairs(&[("f", "last")]));
    let second = server.main_change().await;
    assert_ne!(second, first);
    assert_eq!(server.change(second).await.parents, [first]);
    assert_eq!(server.change(first).await.state, ChangeState::Closed);
    let kept = server.files(ViewTarget::Change(first)).await;
    assert!(kept[0].1.parse::<u32>().unwrap() <= last);
}
