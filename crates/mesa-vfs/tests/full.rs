//! More operations than the bounds allow.
#![allow(clippy::unwrap_used)]

mod support;

use futures::poll;
use mesa_vfs::{
    fs::{Filesystem, Handle, NodeId, Step},
    mount::Mount,
    session::Durability,
};
use support::{
    calls::*,
    rig::{Options, Rig},
    server::FakeServer,
};

#[tokio::test(flavor = "multi_thread")]
async fn fsync_waits_for_room_in_the_queue() {
    waits(Durability::Fsync, |mount, node, handle| {
        mount.fsync(node, handle, false)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_close_where_that_is_promised() {
    waits(Durability::Close, Mount::flush).await;
}

async fn waits(durability: Durability, call: fn(&Mount, NodeId, Handle) -> Step<()>) {
    let server = FakeServer::new();
    let rig = Rig::with(
        &server,
        Options {
            durability,
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
    let Step::Later(mut synced) = call(m, last.0.node, last.1.handle) else {
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
