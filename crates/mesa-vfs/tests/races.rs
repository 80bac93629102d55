//! Two mounts that change the same names at the same time.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use futures::poll;
use mesa_types::NodeKind;
use mesa_vfs::{
    fs::{Filesystem, FsError, FsResult, OpenMode, RenameFlags, Step},
    mount::Mount,
};
use support::{
    calls::*,
    rig::{Options, Rig},
    server::FakeServer,
};

async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let start = Instant::now();
    while !check().await {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Two mounts that both write: the server decides.
async fn two() -> (FakeServer, Rig, Rig) {
    let server = FakeServer::new();
    let (one, two) = (Rig::new(&server), Rig::new(&server));
    put(&one.mount, "one", b"1").await.unwrap();
    put(&two.mount, "two", b"2").await.unwrap();
    put(&one.mount, "three", b"3").await.unwrap();
    for mount in [&one.mount, &two.mount] {
        mount.sync_all().await.unwrap();
        until("everything is seen", || async {
            list(mount, "").await.unwrap().len() == 3
        })
        .await;
    }
    (server, one, two)
}

/// The first operation reaches the server first; the second was planned without knowing of it.
async fn race<A: Send + 'static, B: Send + 'static>(
    server: &FakeServer,
    first: impl Future<Output = FsResult<A>> + Send + 'static,
    second: impl Future<Output = FsResult<B>> + Send + 'static,
) -> (FsResult<A>, FsResult<B>) {
    server.pause();
    let first = tokio::spawn(first);
    until("the first is sent", || async { server.held() == 1 }).await;
    let second = tokio::spawn(second);
    until("the second is sent", || async { server.held() == 2 }).await;
    server.resume();
    (first.await.unwrap(), second.await.unwrap())
}

fn on<T, F: Future<Output = FsResult<T>> + Send>(rig: &Rig, call: impl FnOnce(Mount) -> F) -> F {
    call(rig.mount.clone())
}

/// open(O_CREAT) of a name that the kernel did not see.
async fn open_or_create(mount: &Mount, name: &str) -> FsResult<u64> {
    let root = work(mount).await;
    let (entry, opened) =
        done(mount.create(USER, root, name.as_bytes(), 0o666, write_flags())).await?;
    mount.release(entry.node, opened.handle);
    mount.forget(entry.node, 1);
    Ok(entry.attr.ino)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_replaces_what_appeared_meanwhile() {
    let (server, one, two) = two().await;
    let outcome = race(
        &server,
        on(&one, |m| async move { mkfile(&m, "doc").await }),
        on(&two, |m| async move {
            rename(&m, "two", "doc", RenameFlags::default()).await
        }),
    )
    .await;
    assert_eq!(outcome, (Ok(()), Ok(())));
    assert_eq!(get(&two.mount, "doc").await.unwrap(), "2");
    assert_eq!(server.content("doc").unwrap(), b"2");
}

async fn mkfile(mount: &Mount, name: &str) -> FsResult<()> {
    let (entry, opened) = create(mount, name).await?;
    mount.release(entry.node, opened.handle);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlink_takes_what_the_name_stands_for_now() {
    let (server, one, two) = two().await;
    let outcome = race(
        &server,
        on(&one, |m| async move {
            rename(&m, "one", "two", RenameFlags::default()).await
        }),
        on(&two, |m| async move { unlink(&m, "two").await }),
    )
    .await;
    assert_eq!(outcome, (Ok(()), Ok(())));
    assert_eq!(
        find(&two.mount, "two").await.unwrap_err(),
        FsError::NotFound
    );
    assert!(server.node("one").is_none() && server.node("two").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_really_is_so_is_told() {
    let (server, one, two) = two().await;
    let both = race(
        &server,
        on(&one, |m| async move { mkdir(&m, "d").await.map(drop) }),
        on(&two, |m| async move { mkdir(&m, "d").await.map(drop) }),
    )
    .await;
    assert_eq!(both, (Ok(()), Err(FsError::Exists)));
    let both = race(
        &server,
        on(&one, |m| async move { unlink(&m, "one").await }),
        on(&two, |m| async move { unlink(&m, "one").await }),
    )
    .await;
    assert_eq!(both, (Ok(()), Err(FsError::NotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_may_open_the_file_that_one_of_them_makes() {
    let (server, one, two) = two().await;
    let (first, second) = race(
        &server,
        on(&one, |m| async move { open_or_create(&m, "f").await }),
        on(&two, |m| async move { open_or_create(&m, "f").await }),
    )
    .await;
    assert_eq!(first.unwrap(), second.unwrap());
    // And one that is long known, but not to the kernel.
    let ino = open_or_create(&two.mount, "one").await.unwrap();
    assert_eq!(ino, attr(&one.mount, "one").await.unwrap().ino);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_appeared_is_followed_by_the_kernel() {
    let (server, one, two) = two().await;
    let (made, opened) = race(
        &server,
        on(&one, |m| async move {
            let root = work(&m).await;
            done(m.symlink(USER, root, b"link", b"one")).await.map(drop)
        }),
        on(&two, |m| async move { open_or_create(&m, "link").await }),
    )
    .await;
    assert_eq!((made, opened), (Ok(()), Err(FsError::Stale)));
    mkdir(&one.mount, "d").await.unwrap();
    until("the directory", || async {
        find(&two.mount, "d").await.is_ok()
    })
    .await;
    for (name, error) in [("d", FsError::IsDir), ("link", FsError::Stale)] {
        let opened = open_or_create(&two.mount, name).await;
        assert_eq!(opened, Err(error), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_is_answered_though_it_is_gone_again() {
    let (_server, one, two) = two().await;
    let (a, b) = (&one.mount, &two.mount);
    let root = work(b).await;
    // The answer may be there at once.
    let mut names = (0..).map(|n| format!("d{n}"));
    let (name, made) = loop {
        let name = names.next().unwrap();
        let Step::Later(mut made) = b.mkdir(USER, root, name.as_bytes(), 0o777) else {
            panic!("the server decides");
        };
        if poll!(&mut made).is_pending() {
            break (name, made);
        }
    };
    until("a sees it", || async { find(a, &name).await.is_ok() }).await;
    rmdir(a, &name).await.unwrap();
    // Without looking it up, which would keep it.
    let then = attr(a, "").await.unwrap().mtime;
    until("b sees that", || async {
        attr(b, "").await.unwrap().mtime == then
    })
    .await;
    let made = made.await.unwrap();
    assert_eq!(made.attr.kind, NodeKind::Dir);
    let gone = done(b.getattr(USER, made.node, None)).await;
    assert!(gone.is_ok(), "the kernel knows it: {gone:?}");
    b.forget(made.node, 1);
    let gone = done(b.getattr(USER, made.node, None)).await;
    assert_eq!(gone.unwrap_err(), FsError::Stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_replaced_before_it_was_fetched_is_looked_for_again() {
    for served_max in [0, 1 << 16] {
        let server = FakeServer::new();
        server.seed("f", NodeKind::File, 0o644, b"old");
        server.seed("g", NodeKind::File, 0o644, b"old, too");
        let options = Options {
            served_max,
            ..Options::default()
        };
        let rig = Rig::with(&server, options);
        let m = &rig.mount;
        let (f, g) = (find(m, "f").await.unwrap(), find(m, "g").await.unwrap());
        server.replace_unseen("f", b"new");
        server.replace_unseen("g", b"new, too");
        let opened = done(m.open(USER, f.node, read_flags())).await.unwrap();
        assert_eq!(
            matches!(opened.mode, OpenMode::Served { .. }),
            served_max > 0
        );
        let data = done(m.read(f.node, opened.handle, 0, 100)).await;
        assert_eq!(data.unwrap(), "new");
        m.release(f.node, opened.handle);
        let opened = done(m.open(USER, g.node, write_flags())).await.unwrap();
        let data = done(m.read(g.node, opened.handle, 0, 100)).await;
        assert_eq!(data.unwrap(), "new, too");
        m.release(g.node, opened.handle);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_is_read_as_it_was_opened() {
    let server = FakeServer::new();
    server.seed("f", NodeKind::File, 0o644, b"old");
    let options = Options {
        served_max: 1 << 16,
        ..Options::default()
    };
    let rig = Rig::with(&server, options);
    let m = &rig.mount;
    let node = find(m, "f").await.unwrap().node;
    let opened = done(m.open(USER, node, read_flags())).await.unwrap();
    server.replace_unseen("f", b"new");
    let data = done(m.read(node, opened.handle, 0, 100)).await;
    assert_eq!(data.unwrap(), "old");
    m.release(node, opened.handle);
    let reads = server.calls(|calls| calls.get_chunks);
    assert_eq!(reads, 1, "and fetched once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_while_open_is_not_opened_for_writing() {
    let (server, one, two) = two().await;
    let (a, b) = (&one.mount, &two.mount);
    let before = find(b, "one").await.unwrap().node;
    let reader = done(b.open(USER, before, read_flags())).await.unwrap();
    put(a, "one", b"another version").await.unwrap();
    a.sync_all().await.unwrap();
    until("b sees it", || async {
        get(b, "one").await.unwrap() == "another version"
    })
    .await;
    let late = done(b.open(USER, before, write_flags())).await;
    assert_eq!(late.err(), Some(FsError::Stale), "the kernel looks again");
    b.release(before, reader.handle);
    put(b, "one", b"and one more").await.unwrap();
    b.sync_all().await.unwrap();
    assert_eq!(server.content("one").unwrap(), b"and one more");
}
