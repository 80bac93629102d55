//! Every wait ends.

use std::time::Duration;

use mesa_client::SyncErrorKind;
use mesa_types::{FileId, Nanos};
use mesa_vfs::{
    content::{ContentConfig, ContentStore},
    fs::FsError,
    session::Connection,
};

use crate::{
    rig::{config, mount_with, noise, until, write},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_without_progress_ends_and_the_data_stays() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let mut settings = config(&server, state.path(), &tempfile::tempdir().unwrap().keep());
    settings.tuning.deadline = Duration::from_millis(200);
    let m = mount_with(settings).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    let seq = m.create("b").await;
    assert_eq!(m.session.wait_acked(seq).await, Err(FsError::Io));
    let status = m.session.status();
    let (_, error) = status.last_error.unwrap();
    assert!(error.starts_with("not synced"), "{error}");
    assert_eq!(status.lag_ops, 1);
    server.release();
    m.acked(seq).await;
    assert_eq!(server.log("ses_1"), ["create a", "create b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_on_while_something_comes_forward() {
    let server = Server::new();
    server.inner.lock().limits.append_ops_max = 1;
    let state = tempfile::tempdir().unwrap();
    let mut settings = config(&server, state.path(), &tempfile::tempdir().unwrap().keep());
    let deadline = Duration::from_secs(1);
    settings.tuning.deadline = deadline;
    let m = mount_with(settings).await;
    m.acked(m.create("first").await).await;
    server.inner.lock().faults.hold = true;
    let mut last = None;
    for n in 0..12 {
        last = Some(m.create(&format!("f{n}")).await);
    }
    let wait = tokio::spawn(m.session.wait_acked(last.unwrap()));
    let begun = tokio::time::Instant::now();
    while !wait.is_finished() {
        tokio::time::sleep(deadline / 4).await;
        server.release_one();
    }
    wait.await.unwrap().unwrap();
    assert!(begun.elapsed() > deadline * 2, "the deadline passed twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refused_key_keeps_here_is_not_called_synced() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount_with(config(
        &server,
        state.path(),
        &tempfile::tempdir().unwrap().keep(),
    ))
    .await;
    let (work, created) = m.create_work("a").await;
    m.acked(created).await;
    m.session.sync().await.unwrap();
    assert_eq!(m.session.status().unsent_files, 0);
    server.inner.lock().faults.refuse = Some(SyncErrorKind::Forbidden);
    server.cut();
    until("it is refused", || {
        m.session.status().connection == Connection::Refused
    })
    .await;
    write(&work, 0, b"kept here");
    let status = m.session.status();
    assert_eq!((status.lag_ops, status.unsent_files), (0, 1));
    assert_eq!(m.session.sync().await, Err(FsError::Access));
    server.inner.lock().faults.refuse = None;
    m.session.credential_changed();
    until("it is attached", || {
        m.session.status().connection == Connection::Attached
    })
    .await;
    m.acked(m.close(&work).unwrap()).await;
    assert_eq!(m.session.status().unsent_files, 0);
    m.session.sync().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_new_files_are_bounded_by_the_quota() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut settings = config(&server, state.path(), &tempfile::tempdir().unwrap().keep());
    settings.content = ContentStore::open(ContentConfig {
        disk_bytes_max: 1_000_000,
        ..ContentConfig::new(cache.path().to_owned())
    })
    .unwrap();
    let m = mount_with(settings).await;
    let (work, _) = m.create_work("a").await;
    write(&work, 0, &noise(2_000_000, 1));
    m.acked(m.close(&work).unwrap()).await;
    let (more, _) = m.create_work("b").await;
    assert!(more.base().size() == 0, "the server takes what is written");

    server.inner.lock().faults.refuse = Some(SyncErrorKind::Unreachable);
    server.cut();
    until("it is away", || {
        matches!(m.session.status().connection, Connection::Waiting(_))
    })
    .await;
    let refused = m.session.create_work(FileId(99), Nanos(1));
    assert_eq!(refused.unwrap_err(), FsError::NoSpace);
    write(&work, 0, b"what is open is written to");
    let queued = m.close(&work).unwrap();
    server.inner.lock().faults.refuse = None;
    m.acked(queued).await;
    m.session.create_work(FileId(99), Nanos(1)).unwrap();
}
