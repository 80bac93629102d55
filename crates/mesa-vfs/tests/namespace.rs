//! The namespace through the interface the kernel side uses.
#![allow(clippy::unwrap_used)]

mod support;

use mesa_types::NodeKind;
use mesa_vfs::fs::{Filesystem, FsError, RenameFlags};
use support::{calls::*, rig::Rig, server::FakeServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_everything_reaches_the_server() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    mkdir(m, "d").await.unwrap();
    mkdir(m, "d/e").await.unwrap();
    put(m, "d/e/f", b"hello").await.unwrap();
    symlink(m, "e/f", "d/l").await.unwrap();
    link(m, "d/e/f", "hard").await.unwrap();
    put(m, "empty", b"").await.unwrap();
    rename(m, "d/e", "g", RenameFlags::default()).await.unwrap();
    assert_eq!(get(m, "g/f").await.unwrap(), "hello");
    assert_eq!(attr(m, "hard").await.unwrap().nlink, 2);
    assert_eq!(attr(m, "d").await.unwrap().nlink, 2);
    let names = list(m, "").await.unwrap();
    let names: Vec<&str> = names.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["d", "empty", "g", "hard"]);
    m.sync_all().await.unwrap();
    let tree = server.tree();
    let paths: Vec<&str> = tree.keys().map(String::as_str).collect();
    assert_eq!(paths, ["/d", "/d/l", "/empty", "/g", "/g/f", "/hard"]);
    assert_eq!(server.content("g/f").unwrap(), b"hello");
    assert_eq!(server.node("hard").unwrap().nlink, 2);
    m.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    mkdir(m, "d").await.unwrap();
    put(m, "d/f", b"x").await.unwrap();
    let plain = RenameFlags::default();
    assert_eq!(mkdir(m, "d").await.unwrap_err(), FsError::Exists);
    assert_eq!(rmdir(m, "d").await, Err(FsError::NotEmpty));
    assert_eq!(rmdir(m, "d/f").await, Err(FsError::NotDir));
    assert_eq!(unlink(m, "d").await, Err(FsError::IsDir));
    assert_eq!(unlink(m, "gone").await, Err(FsError::NotFound));
    assert_eq!(rename(m, "d", "d/x", plain).await, Err(FsError::Invalid));
    assert_eq!(rename(m, "d/f", "d", plain).await, Err(FsError::NotEmpty));
    mkdir(m, "other").await.unwrap();
    assert_eq!(rename(m, "d/f", "other", plain).await, Err(FsError::IsDir));
    assert_eq!(rename(m, "other", "d/f", plain).await, Err(FsError::NotDir));
    let long = "x".repeat(256);
    assert_eq!(mkdir(m, &long).await.unwrap_err(), FsError::NameTooLong);
    let no_replace = RenameFlags {
        no_replace: true,
        exchange: false,
    };
    put(m, "g", b"y").await.unwrap();
    assert_eq!(
        rename(m, "g", "d/f", no_replace).await,
        Err(FsError::Exists)
    );
    let exchange = RenameFlags {
        no_replace: false,
        exchange: true,
    };
    rename(m, "g", "d", exchange).await.unwrap();
    assert_eq!(attr(m, "d").await.unwrap().kind, NodeKind::File);
    assert_eq!(get(m, "g/f").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_metadata_asks_nothing() {
    let server = FakeServer::new();
    let dir = server.seed("d", NodeKind::Dir, 0o755, b"");
    server.seed("d/f", NodeKind::File, 0o644, b"data");
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let found = find(m, "d").await.unwrap();
    assert_eq!(found.attr.ino, dir);
    list(m, "d").await.unwrap();
    mkdir(m, "other").await.unwrap();
    m.sync_all().await.unwrap();
    let before = server.calls(|c| (c.get_nodes, c.list_repos, c.open_head, c.appends));
    server.pause();
    for _ in 0..3 {
        let node = found.node;
        now(m.lookup(USER, node, b"f")).unwrap();
        now(m.lookup(USER, node, b"absent")).unwrap();
        now(m.getattr(USER, node, None)).unwrap();
        let handle = now(m.opendir(USER, node)).unwrap();
        now(m.readdir(USER, node, handle, 0, 4096, true)).unwrap();
        m.releasedir(node, handle);
    }
    // A create is answered before the server knows.
    let made = now(m.create(USER, found.node, b"new", 0o644, write_flags())).unwrap();
    m.release(made.0.node, made.1.handle);
    now(m.mkdir(USER, found.node, b"newdir", 0o755)).unwrap();
    let after = server.calls(|c| (c.get_nodes, c.list_repos, c.open_head, c.appends));
    assert_eq!(before, after);
    server.resume();
    m.sync_all().await.unwrap();
    assert!(server.node("d/newdir").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn repos_appear_and_go() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let org = lookup(m, mesa_vfs::fs::NodeId::ROOT, "acme")
        .await
        .unwrap()
        .node;
    assert_eq!(
        lookup(m, org, "later").await.unwrap_err(),
        FsError::NotFound
    );
    server.add_repo("later", 78);
    lookup(m, org, "later").await.unwrap();
    assert_eq!(
        done(m.mkdir(USER, org, b"x", 0o755)).await.unwrap_err(),
        FsError::ReadOnly
    );
    assert_eq!(
        done(m.mkdir(USER, org, b"later", 0o755)).await.unwrap_err(),
        FsError::Exists
    );
    let root = work(m).await;
    let later = lookup(m, org, "later").await.unwrap().node;
    let plain = RenameFlags::default();
    mkdir(m, "x").await.unwrap();
    let moved = done(m.rename(USER, root, b"x", later, b"x", plain)).await;
    assert_eq!(moved, Err(FsError::CrossDevice));
}
