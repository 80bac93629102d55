//! More operations than the bounds allow.
#![allow(clippy::unwrap_used)]

mod support;

use futures::poll;
use mesa_vfs::fs::{Filesystem, Step};
use support::{
    calls::*,
    rig::{Options, Rig},
    server::FakeServer,
};

#[tokio::test(flavor = "multi_thread")]
async fn fsync_waits_for_room_in_the_queue() {
    let server = FakeServer::new();
    let rig = Rig::with(
        &server,
        Options {
            tune: |config| config.tuning.unacked_ops_max = 4,
            ..Options::default()
        },
    );
    let m = &rig.mount;
    let mut open = Vec::new();
    for n in 0..9 {
        open.push(create(m, &format!("f{n}")).await.unwrap());
    }
    m.sync_all().await.unwrap();
    server.pause();
    let (last, others) = open.split_last().unwrap();
    for (entry, opened) in others {
        write_at(m, entry.node, opened, 0, b"fills the queue").await;
        m.release(entry.node, opened.handle);
    }
    write_at(m, last.0.node, &last.1, 0, b"comes last").await;
    let Step::Later(mut synced) = m.fsync(last.0.node, last.1.handle, false) else {
        panic!("answered at once");
    };
    assert!(poll!(&mut synced).is_pending());
    let name = format!("f{}", others.len());
    assert_eq!(server.content(&name).unwrap(), b"");
    server.resume();
    synced.await.unwrap();
    assert_eq!(server.content(&name).unwrap(), b"comes last");
    m.release(last.0.node, last.1.handle);
}
