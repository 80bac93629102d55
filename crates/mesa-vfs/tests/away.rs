//! A process that takes over while the server is away.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mesa_types::NodeKind;
use mesa_vfs::{
    fs::{Filesystem, FsError, RenameFlags},
    session::Connection,
};
use support::{
    calls::*,
    rig::{Options, Rig},
    server::FakeServer,
};

fn options(served_max: u64) -> Options {
    Options {
        served_max,
        tune: |config| {
            config.tuning.backoff_min = Duration::from_millis(5);
            config.tuning.backoff_max = Duration::from_millis(20);
        },
        ..Options::default()
    }
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn connection(rig: &Rig) -> Connection {
    let session = rig.mount.status().orgs[0].repos[0].session.clone();
    session.unwrap().connection
}

fn find_file(dir: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(dir).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return find_file(&path, name);
        }
        path.ends_with(name).then_some(path)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_handed_over_again_changes_nothing() {
    let server = FakeServer::new();
    let rig = Rig::with(&server, options(0));
    put(&rig.mount, "mine", b"mine").await.unwrap();
    rig.mount.sync_all().await.unwrap();
    // As every `mesa mount -d` over a running daemon does.
    rig.mount.credential_changed(&"acme".parse().unwrap());
    server.leave();
    until("what the next process needs is there", || {
        find_file(rig.dir.path(), "away.bin").is_some()
    })
    .await;
    let dir = rig.stop().await;
    let rig = Rig::at(&server, dir, options(0));
    rig.mount.restore(Duration::from_secs(10)).await;
    assert_eq!(get(&rig.mount, "mine").await.unwrap(), "mine");
    server.come_back();
    rig.mount.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_unnamed_files_are_not_given_out_again() {
    let server = FakeServer::new();
    let rig = left_alone(&server, 0).await;
    let mut given = std::collections::HashSet::new();
    let root = work(&rig.mount).await;
    for _ in 0..600 {
        let made = rig.mount.tmpfile(USER, root, 0o600, write_flags());
        let (entry, opened) = done(made).await.unwrap();
        assert!(given.insert(entry.attr.ino));
        rig.mount.release(entry.node, opened.handle);
    }
    let dir = rig.stop().await;
    let rig = Rig::at(&server, dir, options(0));
    let m = &rig.mount;
    m.restore(Duration::from_secs(10)).await;
    let made = mkdir(m, "d").await.unwrap();
    assert!(given.insert(made.attr.ino), "the kernel may have it still");
    server.come_back();
    m.unmount().await.unwrap();
}

/// A mount that knows `old/f`, `link` and its own `mine`, and whose server is away.
async fn left_alone(server: &FakeServer, served_max: u64) -> Rig {
    server.seed("old", NodeKind::Dir, 0o755, b"");
    server.seed("old/f", NodeKind::File, 0o640, b"before");
    server.seed("link", NodeKind::Symlink, 0o777, b"old/f");
    let rig = Rig::with(server, options(served_max));
    let m = &rig.mount;
    assert_eq!(get(m, "old/f").await.unwrap(), "before");
    put(m, "mine", b"mine").await.unwrap();
    m.sync_all().await.unwrap();
    server.leave();
    until("it is noticed", || {
        matches!(connection(&rig), Connection::Waiting(1..))
    })
    .await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_and_takes_what_is_written() {
    for served_max in [0, 1 << 16] {
        let server = FakeServer::new();
        let rig = left_alone(&server, served_max).await;
        let known = find(&rig.mount, "old/f").await.unwrap();
        {
            let m = &rig.mount;
            mkdir(m, "d").await.unwrap();
            put(m, "d/away", b"written while away").await.unwrap();
            rename(m, "mine", "d/mine", RenameFlags::default())
                .await
                .unwrap();
            unlink(m, "link").await.unwrap();
        }
        let dir = rig.stop().await;
        let rig = Rig::at(&server, dir, options(served_max));
        let m = &rig.mount;
        m.restore(Duration::from_secs(10)).await;
        // By the number that the former process gave out.
        let shown = done(m.getattr(USER, known.node, None)).await.unwrap();
        assert_eq!(shown, known.attr);
        assert_eq!(get(m, "old/f").await.unwrap(), "before");
        assert_eq!(get(m, "d/away").await.unwrap(), "written while away");
        assert_eq!(get(m, "d/mine").await.unwrap(), "mine");
        assert_eq!(find(m, "link").await.unwrap_err(), FsError::NotFound);
        let names: Vec<_> = list(m, "").await.unwrap();
        let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["d", "old"]);
        put(m, "d/more", b"by the next process").await.unwrap();
        put(m, "old/f", b"after").await.unwrap();
        assert!(server.node("d").is_none());

        // And the process after that one.
        let dir = rig.stop().await;
        let rig = Rig::at(&server, dir, options(served_max));
        let m = &rig.mount;
        m.restore(Duration::from_secs(10)).await;
        assert_eq!(get(m, "d/more").await.unwrap(), "by the next process");
        mkdir(m, "last").await.unwrap();

        server.come_back();
        m.sync_all().await.unwrap();
        for (path, bytes) in [
            ("old/f", &b"after"[..]),
            ("d/away", b"written while away"),
            ("d/mine", b"mine"),
            ("d/more", b"by the next process"),
        ] {
            assert_eq!(server.content(path).unwrap(), bytes, "{path}");
        }
        assert!(server.node("last").is_some());
        assert!(server.node("mine").is_none() && server.node("link").is_none());
        assert_eq!(find_file(rig.dir.path(), "away.bin"), None);
        m.unmount().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_left_it_fails_and_does_not_hang() {
    let server = FakeServer::new();
    let rig = left_alone(&server, 0).await;
    let dir = rig.stop().await;
    let away = find_file(dir.path(), "away.bin").unwrap();
    std::fs::write(&away, b"damaged").unwrap();
    let rig = Rig::at(&server, dir, options(0));
    rig.mount.restore(Duration::from_secs(10)).await;
    let root = work(&rig.mount).await;
    let found = tokio::time::timeout(
        Duration::from_secs(10),
        done(rig.mount.lookup(USER, root, b"old")),
    );
    assert_eq!(found.await.unwrap().unwrap_err(), FsError::Io);
    server.come_back();
    until("it is opened", || {
        rig.mount.status().orgs[0].repos[0].session.is_some()
    })
    .await;
    assert_eq!(get(&rig.mount, "old/f").await.unwrap(), "before");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_what_is_gone_go_when_the_server_is_back() {
    let server = FakeServer::new();
    let rig = left_alone(&server, 0).await;
    server.come_back();
    let other = Rig::new(&server);
    put(&rig.mount, "f", b"written here").await.unwrap();
    rig.mount.sync_all().await.unwrap();
    put(&other.mount, "f", b"replaced there").await.unwrap();
    other.mount.sync_all().await.unwrap();
    unlink(&other.mount, "f").await.unwrap();
    put(&rig.mount, "last", b"so that it was seen")
        .await
        .unwrap();
    rig.mount.sync_all().await.unwrap();
    server.leave();
    until("it is noticed", || {
        matches!(connection(&rig), Connection::Waiting(1..))
    })
    .await;
    let dir = rig.stop().await;
    let rig = Rig::at(&server, dir, options(0));
    rig.mount.restore(Duration::from_secs(10)).await;
    assert_eq!(
        get(&rig.mount, "last").await.unwrap(),
        "so that it was seen"
    );
    server.come_back();
    let repo = || rig.mount.status().orgs[0].repos[0].clone();
    until("only what has a name is left", || {
        repo().session.unwrap().unsent_files == 0 && repo().work_files <= 2
    })
    .await;
    rig.mount.sync_all().await.unwrap();
    assert_eq!(server.content("last").unwrap(), b"so that it was seen");
}
