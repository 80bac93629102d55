//! Descriptors of a session that was lost.
#![allow(clippy::unwrap_used)]

mod support;

use mesa_types::NodeKind;
use mesa_vfs::fs::{Filesystem, FsError};
use support::{
    calls::*,
    rig::{Options, Rig},
    server::FakeServer,
};

async fn replaced(rig: &Rig, before: &str) {
    let session = || rig.mount.status().orgs[0].repos[0].session.clone().unwrap();
    let start = std::time::Instant::now();
    while session().session == before {
        assert!(start.elapsed().as_secs() < 20, "{:?}", session());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_new_session_can_be_had_a_descriptor_fails_once_too() {
    let server = FakeServer::new();
    server.seed("f", NodeKind::File, 0o644, b"sealed");
    let options = Options {
        durability: mesa_vfs::session::Durability::Write,
        tune: |config| {
            config.tuning.backoff_min = std::time::Duration::from_millis(5);
            config.tuning.backoff_max = std::time::Duration::from_millis(20);
        },
        ..Options::default()
    };
    let rig = Rig::with(&server, options);
    let m = &rig.mount;
    let node = find(m, "f").await.unwrap().node;
    let (one, two) = (
        done(m.open(USER, node, write_flags())).await.unwrap(),
        done(m.open(USER, node, write_flags())).await.unwrap(),
    );
    m.sync_all().await.unwrap();
    server.fence_all_and_leave();
    let session = || rig.mount.status().orgs[0].repos[0].session.clone().unwrap();
    let start = std::time::Instant::now();
    // It told the tree, and then found nobody to ask for another session.
    let connection = |waits| matches!(waits, mesa_vfs::session::Connection::Waiting(1..));
    while !connection(session().connection) {
        assert!(start.elapsed().as_secs() < 20, "{:?}", session());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for error in [FsError::Io, FsError::Stale, FsError::Stale] {
        assert_eq!(done(m.fsync(node, one.handle, false)).await, Err(error));
        assert_eq!(
            done(m.write(node, two.handle, 0, b"late")).await,
            Err(error)
        );
    }
    server.come_back();
    replaced(&rig, "ses_1").await;
    for handle in [one.handle, two.handle] {
        let late = done(m.fsync(node, handle, false)).await;
        assert_eq!(late, Err(FsError::Stale));
        m.release(node, handle);
    }
    assert_eq!(get(m, "f").await.unwrap(), "sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_descriptor_fails_once_and_is_stale_then() {
    for served in [false, true] {
        let server = FakeServer::new();
        server.seed("f", NodeKind::File, 0o644, b"sealed");
        let options = Options {
            durability: if served {
                mesa_vfs::session::Durability::Write
            } else {
                mesa_vfs::session::Durability::Fsync
            },
            ..Options::default()
        };
        let rig = Rig::with(&server, options);
        let m = &rig.mount;
        let node = find(m, "f").await.unwrap().node;
        let writers = [
            done(m.open(USER, node, write_flags())).await.unwrap(),
            done(m.open(USER, node, write_flags())).await.unwrap(),
        ];
        let (made, new) = create(m, "new").await.unwrap();
        let reader = done(m.open(USER, node, read_flags())).await.unwrap();
        m.sync_all().await.unwrap();
        server.fence_all();
        replaced(&rig, "ses_1").await;

        for writer in &writers {
            for error in [FsError::Io, FsError::Stale, FsError::Stale] {
                assert_eq!(done(m.fsync(node, writer.handle, false)).await, Err(error));
            }
            let late = done(m.write(node, writer.handle, 0, b"late")).await;
            assert_eq!(late, Err(FsError::Stale));
        }
        let late = done(m.write(made.node, new.handle, 0, b"late")).await;
        assert_eq!(late, Err(FsError::Io));
        assert_eq!(
            done(m.fsync(made.node, new.handle, false)).await,
            Err(FsError::Stale)
        );
        let read = done(m.read(node, reader.handle, 0, 100)).await;
        assert_eq!(read.unwrap(), "sealed", "it lost nothing");
        for handle in writers.iter().chain([&reader]) {
            m.release(node, handle.handle);
        }
        m.release(made.node, new.handle);

        // Who opens again is in the new session.
        put(m, "f", b"after").await.unwrap();
        put(m, "g", b"another").await.unwrap();
        m.sync_all().await.unwrap();
        assert_eq!(server.content("f").unwrap(), b"after");
        assert_eq!(get(m, "g").await.unwrap(), "another");
    }
}
