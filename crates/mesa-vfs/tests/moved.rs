//! The head's base changes under a mount.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use mesa_vfs::fs::{Filesystem, FsError};
use support::{calls::*, rig::Rig, server::FakeServer};

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn session(rig: &Rig) -> mesa_vfs::session::Status {
    rig.mount.status().orgs[0].repos[0].session.clone().unwrap()
}

/// Two mounts that share the right to write.
async fn sharing(server: &FakeServer) -> (Rig, Rig) {
    let (one, two) = (Rig::new(server), Rig::new(server));
    put(&one.mount, "seed", b"1").await.unwrap();
    list(&one.mount, "").await.unwrap();
    put(&two.mount, "other", b"2").await.unwrap();
    put(&one.mount, "shared", b"3").await.unwrap();
    one.mount.sync_all().await.unwrap();
    two.mount.sync_all().await.unwrap();
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn content_whose_file_went_is_not_called_synced() {
    let server = FakeServer::new();
    let (one, _two) = sharing(&server).await;
    let m = &one.mount;
    let before = session(&one);
    let (entry, file) = create(m, "f").await.unwrap();
    write_at(m, entry.node, &file, 0, b"content").await;
    let seen = session(&one).head_seq.0;
    server.pause();
    let sync = m.fsync(entry.node, file.handle, false);
    let waiting = tokio::spawn(done(sync));
    until("the content is on its way", || server.held() > 0).await;
    server.move_head(&["f"]);
    server.resume();
    assert_eq!(waiting.await.unwrap(), Err(FsError::Io));
    until("another session took its place", || {
        session(&one).session != before.session
    })
    .await;
    // Its work goes to a change on the state it was decided on.
    assert_eq!(server.calls(|calls| calls.given_up_at.clone()), [seen]);
    assert_eq!(session(&one).recovering.len(), 1);
    assert_eq!(
        done(m.fsync(entry.node, file.handle, false)).await,
        Err(FsError::Stale)
    );
    put(m, "after", b"4").await.unwrap();
    until("it goes on in the new one", || {
        server.content("after").is_some_and(|bytes| bytes == b"4")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_removed_can_be_synced() {
    let server = FakeServer::new();
    let (one, two) = sharing(&server).await;
    let m = &one.mount;
    let before = session(&one);
    let (entry, file) = create(m, "f").await.unwrap();
    m.sync_all().await.unwrap();
    until_found(&two, "f").await;
    unlink(&two.mount, "f").await.unwrap();
    write_at(m, entry.node, &file, 0, b"content").await;
    assert_eq!(done(m.fsync(entry.node, file.handle, false)).await, Ok(()));
    assert_eq!(session(&one).session, before.session);
}

async fn until_found(rig: &Rig, path: &str) {
    let start = Instant::now();
    while find(&rig.mount, path).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "{path}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_file_open_that_went_is_told_once() {
    let server = FakeServer::new();
    let (one, _two) = sharing(&server).await;
    let m = &one.mount;
    let before = session(&one);
    let (gone, gone_file) = create(m, "gone").await.unwrap();
    let (kept, kept_file) = create(m, "kept").await.unwrap();
    write_at(m, gone.node, &gone_file, 0, b"in the former change").await;
    m.sync_all().await.unwrap();
    server.move_head(&["gone"]);
    let start = Instant::now();
    while find(m, "gone").await.is_ok() || session(&one).head_seq.0 == before.head_seq.0 {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut told = Vec::new();
    let start = Instant::now();
    // Until it was read again nothing is known to be wrong with it, nor is anything written to it.
    while told.len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(10));
        if let Err(error) = done(m.fsync(gone.node, gone_file.handle, false)).await {
            told.push(error);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(told, [FsError::Io, FsError::Stale]);
    write_at(m, kept.node, &kept_file, 0, b"goes on").await;
    assert_eq!(
        done(m.fsync(kept.node, kept_file.handle, false)).await,
        Ok(())
    );
    assert_eq!(server.content("kept").unwrap(), b"goes on");
    assert_eq!(session(&one).session, before.session, "nothing was unsent");
}
