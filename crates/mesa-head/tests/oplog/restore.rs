//! Bringing paths back.

use bytes::Bytes;
use mesa_head::{At, FileMode};
use mesa_proto::v1::{self, op};
use mesa_types::Nanos;

use crate::{
    support::{DAY, SECOND, World, release},
    writes::{delete, main, pairs, put, put_as},
};

#[tokio::test]
async fn paths_come_back_from_every_kind_of_state() {
    let world = World::start().await;
    let server = &world.server;
    let first = vec![
        put("d/a", "1"),
        put_as("d/run", "#!", FileMode::Executable),
        put_as("d/link", "a", FileMode::Symlink),
        put("keep", "1"),
    ];
    let first = server.write(main(), first).await.unwrap();
    let whole = world.shown().await;
    let seq = world.actions().await[0].last;
    let time = server.backend.catalog.now();
    world.pass(60 * SECOND);
    let second = vec![delete("d"), put("keep", "2"), put("d", "a file now")];
    server.write(main(), second).await.unwrap();
    let later = world.files().await;

    for at in [
        At::After(seq),
        At::Before(seq + 1),
        At::Time(time),
        At::Commit(first.commit.unwrap()),
    ] {
        let written = world.restore(at, &["d"]).await.written.unwrap();
        assert_eq!((written.origin.as_str(), written.undoes), ("restore", None));
        let mut expected = whole.clone();
        let mut now = world.shown().await;
        assert_eq!(now.remove("keep").unwrap().2, b"2");
        expected.remove("keep");
        assert_eq!(now, expected, "{at:?}");
        // A restore is undone like anything else.
        world.undo(Some(written.first)).await;
        assert_eq!(world.files().await, later, "{at:?}");
    }
    world.restore(At::Time(time), &[""]).await;
    assert_eq!(world.shown().await, whole);
    let nothing = world.restore(At::Time(time), &["", "d/a"]).await;
    assert_eq!(nothing.written, None);
    assert!(nothing.commit.is_some());

    // Before anything was there.
    let before = At::Time(Nanos(time.0 - DAY));
    let missing = world.try_restore(before, &["keep"], false).await.unwrap();
    assert_eq!(missing.unwrap_err().0, [b"keep"]);
    let removed = world.try_restore(before, &["keep"], true).await.unwrap();
    assert_eq!(removed.unwrap().written.unwrap().operations, 1);
    // Nor is the whole tree there then.
    let left = world.files().await;
    for at in [
        before,
        At::Before(1),
        At::Change(mesa_types::ChangeId::ROOT),
    ] {
        let missing = world.try_restore(at, &[""], false).await.unwrap();
        assert_eq!(missing.unwrap_err().0, [b""], "{at:?}");
        assert_eq!(world.files().await, left);
    }
    world
        .try_restore(before, &[""], true)
        .await
        .unwrap()
        .unwrap();
    assert!(world.files().await.is_empty());
    let at = At::After(10_000);
    let error = world.try_restore(at, &[""], false).await.unwrap_err();
    assert_eq!(error.code, "OPERATION_NOT_FOUND");
}

#[tokio::test]
async fn a_directory_becomes_what_it_was_and_the_same_files_stay_the_same_nodes() {
    let world = World::start().await;
    let server = &world.server;
    let files = vec![
        put("d/same", "1"),
        put("d/edited", "1"),
        put("d/e/gone", "1"),
    ];
    server.write(main(), files).await.unwrap();
    let seq = world.actions().await[0].last;
    let reader = mesa_testkit::RawSession::open(&server.api, "acme", "demo").await;
    let then = reader.tree().await;
    let edits = vec![
        put("d/edited", "2"),
        delete("d/e"),
        put("d/new", "1"),
        put("x", "1"),
    ];
    server.write(main(), edits).await.unwrap();
    let written = world.restore(At::After(seq), &["d", "d/e"]).await.written;
    // The content, two creations and a time, a removal.
    assert_eq!(written.unwrap().operations, 5);
    assert_eq!(
        world.files().await,
        pairs(&[
            ("d", "/"),
            ("d/e", "/"),
            ("d/e/gone", "1"),
            ("d/edited", "1"),
            ("d/same", "1"),
            ("x", "1"),
        ])
    );
    let now = reader.tree().await;
    for path in ["d", "d/same", "d/edited"] {
        assert_eq!(now[path].id, then[path].id, "{path}");
    }
    assert_eq!(now["d/same"].mtime_ns, then["d/same"].mtime_ns);

    // One file with the directories above it, and nothing else in them.
    server.write(main(), vec![delete("d")]).await.unwrap();
    world.restore(At::After(seq), &["d/e/gone"]).await;
    assert_eq!(
        world.files().await,
        pairs(&[("d", "/"), ("d/e", "/"), ("d/e/gone", "1"), ("x", "1")])
    );
}

#[tokio::test]
async fn one_of_two_names_comes_back_as_a_name_of_the_same_file() {
    let world = World::start().await;
    let mut session = world.session("/bin/ln", 2).await;
    let root = session.root();
    let (file, create) = session.file("", root, "a", b"1");
    let link = v1::Link {
        id: file,
        parent: root,
        name: Bytes::from_static(b"b"),
        source_path: Bytes::from_static(b"a"),
    };
    let link = session.op("", op::Kind::Link(link));
    session.commit(vec![create, link]).await;
    session.pause(3 * SECOND);
    let unlink = session.unlink("", root, "a", file);
    session.commit(vec![unlink]).await;
    release(&mut session).await;
    world.undo(None).await;
    let tree = session.tree().await;
    assert_eq!((tree["a"].id, tree["b"].id), (file, file));
    assert_eq!(tree["a"].nlink, 2);
}
